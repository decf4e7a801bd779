"""What is lost is counted as by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hapsight.engine.outputs import GenePrediction
from hapsight.engine.precision import FLOAT32_ROUNDING, compare
from hapsight.sequence.haplotypes import Dropped


def gene(reference: float, distinct: list[float], index: list[tuple[int, int]]) -> GenePrediction:
    samples = tuple(f"P{i}" for i in range(len(index)))
    values = np.array(distinct)[:, None]
    return GenePrediction("G", samples, np.array([reference]), values, np.array(index), 3, Dropped(), 1.0)


PEOPLE = [(0, 0), (0, 1), (1, 2), (2, 3)]


def test_by_hand():
    exact = gene(1.0, [1.0, 1.1, 0.8, 1.4], PEOPLE)  # the first is the reference: no difference
    other = gene(1.0, [1.0, 1.0, 0.8, 0.9], PEOPLE)  # one becomes equal, one turns
    loss = compare([exact], [other])
    assert (loss.differences, loss.genes, loss.constant, loss.below) == (3, 1, 0, 1)
    assert loss.signs_lost == pytest.approx(2 / 3)
    assert loss.equal == pytest.approx(1 / 3)
    assert loss.largest_error == pytest.approx(0.5 / 1.4)
    wanted = np.corrcoef([1.0, 1.05, 0.95, 1.1], [1.0, 1.0, 0.9, 0.85])[0, 1]
    assert loss.lowest_r == loss.median_r == pytest.approx(wanted)
    assert not loss.acceptable


def test_by_tenth_the_smallest_first():
    size = np.arange(1, 21) / 100
    exact = gene(0.0, list(size), [(i, i) for i in range(20)])
    other = gene(0.0, [0.0, 0.0, -1.0, *size[3:]], [(i, i) for i in range(20)])
    loss = compare([exact], [other])
    assert loss.lost_by_tenth == (1.0, 0.5, *[0.0] * 8)


def test_people_who_became_equal_are_a_constant_gene():
    exact = gene(1.0, [1.0, 1.1, 1.2, 1.3], PEOPLE)
    loss = compare([exact, exact], [gene(1.0, [1.25] * 4, PEOPLE), exact])
    assert (loss.genes, loss.constant, loss.below) == (2, 1, 1)
    assert loss.lowest_r == pytest.approx(1.0)
    assert not loss.acceptable


def test_what_float32_cannot_tell_from_its_rounding_is_no_difference():
    exact = gene(4.0, [4.0, 4.000001, 4.0, 4.1], PEOPLE)
    other = gene(4.0, [4.0, 3.999999, 4.0, 4.1], PEOPLE)
    assert compare([exact], [other]).signs_lost == 0.5
    assert compare([exact], [other], FLOAT32_ROUNDING).differences == 1
    assert compare([exact], [other], FLOAT32_ROUNDING).acceptable
    alike, turned = (gene(4.0, [4.0, 4.0 + d, 4.0], [(0, 0), (1, 1), (2, 2)]) for d in (1e-6, -1e-6))
    assert compare([alike], [turned]).genes == 1
    assert compare([alike], [turned], FLOAT32_ROUNDING).genes == 0


def test_nothing_to_lose():
    same = gene(1.0, [1.0] * 4, PEOPLE)
    loss = compare([same], [same])
    assert (loss.differences, loss.genes, loss.signs_lost) == (0, 0, 0.0)
    assert loss.lowest_r is None
    assert loss.acceptable
    exact = gene(1.0, [1.0, 1.1, 1.2, 1.3], PEOPLE)
    assert compare([exact], [exact]).acceptable
