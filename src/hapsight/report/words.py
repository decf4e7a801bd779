"""Numbers as a reader wants them; a number that is not there is a dash, never NaN."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Final

from hapsight.errors import plural as _plural

__all__ = [
    "ABSENT",
    "STATUS",
    "count",
    "decimal",
    "duration",
    "frequency",
    "listed",
    "of_peaks",
    "p_value",
    "page_of_peaks",
    "percent",
    "plural",
    "size",
    "spec_of_peaks",
    "status",
]

ABSENT: Final = "–"
_MINUS: Final = "−"

STATUS: Final = {
    "ok": "tested",
    "constant_prediction": "same prediction for everybody",
    "no_variants": "no variant in the window",
    "no_variable_variant": "no variant differs between people",
    "constant_expression": "same expression in everybody",
    "no_model": "no model: every fold constant",
    "few_people": "tested; rests on fewer than five people, so not shown",
    "low_share": "too few of its weights could be used",
    "not_predicted": "not predicted",
}


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


_PEAKS: Final = {
    "gene": "peak",
    "TSS": "centre",
    "expression": "signal",
    "express more": "have more of it",
    "express less": "have less of it",
    "eGene": "peak with a QTL",
    "in the direction of transcription": "along the chromosome",
}
_PLURALS: Final = {word + "s": other + "s" for word, other in _PEAKS.items()} | dict(_PEAKS)
_FORMS: Final = {_capital(word): _capital(other) for word, other in _PLURALS.items()} | _PLURALS
_WORD: Final = re.compile(
    r"(?<![\w/.#])(?:" + "|".join(sorted(map(re.escape, _FORMS), key=len, reverse=True)) + r")(?![\w/]|\.\w)"
)
"""Whole words only, and none of a path such as report/genes.csv."""

_PARTS: Final = re.compile(r"(?s)(<script.*?</script>|<style.*?</style>|<code>.*?</code>|<[^>]*>)")
_SPOKEN: Final = re.compile(r'(?<=\s)(aria-label|title|placeholder)="([^"]*)"')
_SAID: Final = frozenset({"title", "text", "subtitle", "description"})
"""Keys of a Vega-Lite specification whose values are for readers."""


def of_peaks(text: str) -> str:
    """Text about genes as text about peaks, which have a centre and a signal.

    Examples
    --------
    >>> of_peaks("Genes whose expression, at the TSS: see report/genes.csv")
    'Peaks whose signal, at the centre: see report/genes.csv'
    """
    return _WORD.sub(lambda found: _FORMS[found[0]], text)


def page_of_peaks(html: str) -> str:
    """A page about genes as one about peaks: what is read changes, and no link, script or identifier."""
    parts = _PARTS.split(html)
    parts[::2] = map(of_peaks, parts[::2])
    for place in range(1, len(parts), 2):
        if not parts[place].startswith(("<script", "<style", "<code")):
            parts[place] = _SPOKEN.sub(lambda found: f'{found[1]}="{of_peaks(found[2])}"', parts[place])
    return "".join(parts)


def spec_of_peaks(value: Any, said: bool = False) -> Any:
    """The same of a Vega-Lite specification: titles and texts change, data and names of fields do not."""
    if isinstance(value, dict):
        return {
            key: spec_of_peaks(inner, key in _SAID) for key, inner in value.items() if key != "datasets"
        } | {key: inner for key, inner in value.items() if key == "datasets"}
    if isinstance(value, list | tuple):
        return [spec_of_peaks(inner, said) for inner in value]
    return of_peaks(value) if said and isinstance(value, str) else value


def _absent(value: float | None) -> bool:
    return value is None or not math.isfinite(value)


def decimal(value: float | None, digits: int = 3) -> str:
    """Write a number with a fixed count of decimals and a true minus sign.

    Examples
    --------
    >>> decimal(-0.01234), decimal(None), decimal(-0.0001)
    ('−0.012', '–', '0.000')
    """
    if value is None or _absent(value):
        return ABSENT
    text = f"{abs(value):.{digits}f}"
    return f"{_MINUS}{text}" if value < 0 and float(text) != 0 else text


def frequency(value: float | None, step: float | None = None) -> str:
    """Write an allele frequency; where it was rounded to a `step`, 0 and 1 are told as what they stand for.

    Examples
    --------
    >>> frequency(0.1, 0.1), frequency(0.0, 0.1), frequency(1.0, 0.02), frequency(0.0)
    ('0.100', '≤ 0.05', '≥ 0.99', '0.000')
    """
    if step is None or value not in (0.0, 1.0):
        return decimal(value)
    return f"≤ {step / 2:g}" if value == 0 else f"≥ {1 - step / 2:g}"


def percent(value: float | None) -> str:
    """Write a share (0 to 1) in per cent, one decimal.

    Examples
    --------
    >>> percent(0.453)
    '45.3 %'
    """
    return ABSENT if value is None or _absent(value) else f"{100 * value:.1f} %"


def count(value: float | None) -> str:
    """Write a whole number with thousands apart.

    Examples
    --------
    >>> count(82203)
    '82,203'
    """
    return ABSENT if value is None or _absent(value) else f"{value:,.0f}"


def plural(number: float | None, noun: str) -> str:
    """Write a count with its noun.

    Examples
    --------
    >>> plural(1, "gene"), plural(2, "gene"), plural(3, "people")
    ('1 gene', '2 genes', '3 people')
    """
    if number is None or _absent(number):
        return f"{ABSENT} {noun if noun == 'people' else noun + 's'}"
    return _plural(round(number), noun)


def p_value(value: float | None) -> str:
    """Write a p or q: plain down to 0.001, then a power of ten.

    Examples
    --------
    >>> p_value(0.0421), p_value(2e-7)
    ('0.042', '2.0e−7')
    """
    if value is None or _absent(value):
        return ABSENT
    if value >= 0.00095:
        return f"{value:.3f}"
    if value == 0:
        return f"< 1e{_MINUS}300"
    mantissa, power = f"{value:.1e}".split("e")
    return f"{mantissa}e{_MINUS}{abs(int(power))}"


def duration(seconds: float | None) -> str:
    """Wall time.

    Examples
    --------
    >>> duration(4.25), duration(92), duration(7320)
    ('4.2 s', '1 min 32 s', '2 h 2 min')
    """
    if seconds is None or _absent(seconds):
        return ABSENT
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(number: float | None) -> str:
    """Bytes in decimal units.

    Examples
    --------
    >>> size(512), size(41_200_000)
    ('512 B', '41.2 MB')
    """
    if number is None or _absent(number):
        return ABSENT
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= scale:
            return f"{number / scale:.1f} {unit}"
    return f"{number:.0f} B"


def status(code: str | None) -> str:
    """Put a gene's status in words; a code this version does not know is shown as it is."""
    return ABSENT if code is None else STATUS.get(code, code)


def listed(names: Sequence[str], most: int = 12) -> str:
    """Write the first names of a list, and how many more there are.

    Examples
    --------
    >>> listed(["A", "B", "C"], most=2)
    'A, B and 1 more'
    """
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {count(len(names) - most)} more"
