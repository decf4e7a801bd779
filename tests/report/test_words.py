import doctest
import math

import hypothesis.strategies as st
import pytest
from hypothesis import given

from hapsight.report import words


def test_examples() -> None:
    result = doctest.testmod(words)
    assert result.attempted >= 8
    assert result.failed == 0


@pytest.mark.parametrize(
    "say", [words.decimal, words.percent, words.count, words.p_value, words.duration, words.size]
)
@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_is_not_there_is_a_dash(say, value) -> None:
    assert say(value) == "–"


@given(st.floats(1e-320, 1.0))
def test_p_values_read_back_to_two_digits(p: float) -> None:
    text = words.p_value(p).replace("−", "-")
    assert float(text) == pytest.approx(p, rel=0.06, abs=5.1e-4 if p >= 0.00095 else 0)


def test_p_of_zero_is_not_claimed() -> None:
    assert words.p_value(0.0) == "< 1e−300"


def test_durations_carry_over() -> None:
    assert words.duration(59.99) == "60.0 s"
    assert words.duration(119.6) == "2 min 0 s"


def test_unknown_status_is_shown_as_it_is() -> None:
    assert words.status("eaten_by_dog") == "eaten_by_dog"
    assert words.status(None) == "–"
