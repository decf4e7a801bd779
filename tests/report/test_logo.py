"""Sequence logos: every letter stands where it should, as tall as it is worth."""

import re

import numpy as np
import pytest

from hapsight.report.gene_pictures import logo_pair, logo_svg
from hapsight.report.gene_view import Logo


def letters(svg: str) -> list[tuple[float, float, float]]:
    """Left end, top and height of each letter."""
    found = re.findall(r'transform="translate\(([\d.-]+) ([\d.-]+)\) scale\([\d.]+ ([\d.]+)\)"', svg)
    return [(float(x), float(y), 100 * float(tall)) for x, y, tall in found]


def test_heights_follow_worth_and_hang_where_it_is_negative():
    logo = Logo("ACGT", np.array([1.0, -0.5, 0.25, 0.0]), 1, 2)
    svg = logo_svg(logo, "REF C", (-1.0, 1.0), 4)
    (a, c, g) = letters(svg)
    assert a[2] == pytest.approx(2 * c[2], rel=1e-3)
    assert a[2] == pytest.approx(4 * g[2], rel=1e-3)
    zero = a[1] + a[2]
    assert g[1] + g[2] == pytest.approx(zero, abs=0.02)
    assert c[1] == pytest.approx(zero, abs=0.02)
    assert c[0] - a[0] == pytest.approx(g[0] - c[0])
    assert 'class="allele"' in svg
    assert "REF C" in svg


def test_both_alleles_have_one_scale():
    ref, alt = Logo("AC", np.array([1.0, 0.5]), 0, 1), Logo("GCC", np.array([2.0, -1.0, 0.5]), 0, 2)
    one, other = logo_pair(ref, alt, ("REF", "ALT"))
    assert letters(one)[1][2] == pytest.approx(letters(other)[2][2], rel=1e-3)
    assert re.search(r'viewBox="[^"]*"', one)[0] == re.search(r'viewBox="[^"]*"', other)[0]


def test_unknown_bases_and_no_worth_draw_nothing():
    svg = logo_svg(Logo("NNA", np.array([0.0, 0.5, 0.0]), 2, 3), "REF A", (0.0, 0.0), 3)
    assert letters(svg) == []
    assert "nan" not in svg.lower()


def test_the_title_is_text():
    svg = logo_svg(Logo("A", np.array([1.0]), 0, 1), '<b onload="x">', (0.0, 1.0), 1)
    assert "<b" not in svg
    assert "&lt;b" in svg
