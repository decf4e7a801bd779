"""Colours of pictures against white and dark paper: 3:1 at least, as WCAG 2.2 asks of graphics (1.4.11)."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

pytest.importorskip("altair", reason="the report's extra is not installed")

from hapsight.report import charts, direction, direction_charts, gene_charts, gene_pictures, training

STYLE = (files("hapsight") / "report/style.css").read_text()
LIGHT, DARK = (re.search(r"--paper: (#\w+)", part).group(1) for part in STYLE.split("@media", 2)[:2])
BRIGHTER = dict(re.findall(r'\[(?:fill|style\*)="(#\w+)"\] \{ (?:fill|background): (#\w+)', STYLE))
"""What a colour of a picture becomes on dark paper."""
DRAWN = {
    charts.MODEL_COLOUR,
    charts.BASELINE_COLOUR,
    direction_charts.WRONG_COLOUR,
    *direction._COLOURS,
    *direction._ARITHMETIC_COLOURS.values(),
    *training._COLOURS.values(),
    *gene_charts.GENOTYPE_COLOURS,
    gene_charts._BEYOND,
    *gene_pictures._COLOURS.values(),
}


def luminance(colour: str) -> float:
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return sum(v * w for v, w in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("colour", sorted(DRAWN))
def test_stands_out_from_the_paper(colour) -> None:
    assert contrast(colour, LIGHT) >= 3
    assert contrast(BRIGHTER.get(colour, colour), DARK) >= 3
