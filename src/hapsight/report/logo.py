"""Sequence logos as inline SVG: letters are paths, so they are sharp at any size and in print."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from markupsafe import Markup, escape

from hapsight.report.gene_view import Logo

__all__ = ["logo_pair", "logo_svg"]

_GLYPHS: Final = {
    "A": "M0 100 38 0H62L100 100H78L71 79H29L22 100ZM35 61H65L50 18Z",
    "C": "M97 33C91 12 74 0 52 0 21 0 0 20 0 50S21 100 52 100C75 100 92 87 97 65L76 61C73 75 65 82 52 82 "
    "34 82 22 70 22 50S34 18 52 18C65 18 73 25 76 38Z",
    "G": "M96 30C90 11 74 0 53 0 21 0 0 20 0 50S21 100 53 100C72 100 88 94 98 86V46H54V63H77V76C71 80 63 82 "
    "54 82 34 82 22 70 22 50S34 18 53 18C65 18 73 24 76 35Z",
    "T": "M0 0H100V18H61V100H39V18H0Z",
}
"""Letters in a box of 100 x 100, y downwards."""

_COLOURS: Final = {"A": "#109648", "C": "#255c99", "G": "#e8a317", "T": "#d62839"}

_STEP: Final = 20.0
_LEFT: Final = 62.0
_TOP: Final = 26.0
_HEIGHT: Final = 110.0
_BOTTOM: Final = 24.0


def logo_pair(ref: Logo, alt: Logo, alleles: tuple[str, str]) -> tuple[Markup, Markup]:
    """Both alleles on one scale, one to be put above the other.

    Parameters
    ----------
    alleles
        What to write over each, such as ``"REF: C"``.
    """
    values = [0.0, *ref.worth.tolist(), *alt.worth.tolist()]
    limits = min(values), max(values)
    columns = max(len(ref.letters), len(alt.letters))
    return logo_svg(ref, alleles[0], limits, columns), logo_svg(alt, alleles[1], limits, columns)


def logo_svg(logo: Logo, title: str, limits: tuple[float, float], columns: int) -> Markup:
    """One logo; letters of a negative worth hang below the line.

    Parameters
    ----------
    limits
        Lowest and highest worth of the scale; 0 lies within.
    columns
        Letters that the picture has room for.
    """
    width, height = _LEFT + _STEP * columns + 4, _TOP + _HEIGHT + _BOTTOM
    scale = _HEIGHT / ((limits[1] - limits[0]) or 1.0)
    zero = _TOP + limits[1] * scale
    parts = [
        f'<svg class="logo" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}: {escape(logo.letters)}">',
        *_allele(logo, title),
        *_axis(limits, scale, zero, width),
        *_letters(logo, scale, zero),
        *_places(logo),
        "</svg>",
    ]
    return Markup("".join(parts))


def _allele(logo: Logo, title: str) -> Iterator[str]:
    """The stretch that is the allele, shaded, and its name over it."""
    x, wide = _LEFT + _STEP * logo.first, _STEP * (logo.last - logo.first)
    middle, y = x + wide / 2, _TOP - 9
    yield f'<rect class="allele" x="{x:.1f}" y="{_TOP:.0f}" width="{wide:.1f}" height="{_HEIGHT:.0f}"/>'
    yield f'<text class="name" x="{middle:.1f}" y="{y:.0f}" text-anchor="middle">{escape(title)}</text>'


def _letters(logo: Logo, scale: float, zero: float) -> Iterator[str]:
    for place, (letter, worth) in enumerate(zip(logo.letters, logo.worth.tolist(), strict=True)):
        tall = abs(worth) * scale
        if letter not in _GLYPHS or tall < 0.05:
            continue
        x, y = _LEFT + _STEP * place + 1, zero - tall if worth > 0 else zero
        yield (
            f'<path d="{_GLYPHS[letter]}" fill="{_COLOURS[letter]}" fill-rule="evenodd" '
            f'transform="translate({x:.1f} {y:.2f}) scale({(_STEP - 2) / 100:.2f} {tall / 100:.5f})"/>'
        )


def _axis(limits: tuple[float, float], scale: float, zero: float, width: float) -> Iterator[str]:
    """The line at 0 and some values on the left."""
    yield f'<path class="line" d="M{_LEFT} {zero:.1f}H{width - 4:.1f}M{_LEFT} {_TOP}V{_TOP + _HEIGHT}"/>'
    for value in _ticks(*limits):
        text = f"{value:.3g}".replace("-", "−")
        yield f'<text x="{_LEFT - 6:.0f}" y="{zero - value * scale + 4:.1f}" text-anchor="end">{text}</text>'


def _places(logo: Logo) -> Iterator[str]:
    """Bases to the left and to the right of the allele, every tenth."""
    y = _TOP + _HEIGHT + 16
    for place in range(len(logo.letters)):
        if logo.first <= place < logo.last:
            continue
        off = place - logo.first if place < logo.first else place - logo.last + 1
        if off % 10 == 0:
            x = _LEFT + _STEP * (place + 0.5)
            text = f"−{-off}" if off < 0 else f"+{off}"
            yield f'<text x="{x:.1f}" y="{y:.0f}" text-anchor="middle">{text}</text>'


def _ticks(low: float, high: float) -> Sequence[float]:
    """0 and round values on either side."""
    span = high - low
    if span <= 0:
        return [0.0]
    rough = span / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(lead * power for lead in (1, 2, 5, 10) if lead * power >= rough)
    return [step * k for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
