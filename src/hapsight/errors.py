"""The one form in which hapsight reports bad input: what, where, expected, got, how to mend it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = [
    "AS_TOML",
    "ConfigError",
    "HapsightError",
    "HapsightWarning",
    "IncompleteError",
    "InputError",
    "Listed",
    "MissingExtraError",
    "ModelError",
    "StoreError",
    "TrainingError",
    "WeightsError",
    "at_line",
    "in_shell",
    "plural",
    "quoted",
]

_MOST: Final = {"got": 160, "expected": 400, "where": 400}
"""Letters of each part of an error; what somebody else's error says has fewer."""
_MOST_OF_OTHERS: Final = 80
_MOST_OF_A_LINE: Final = 300
_QUOTE: Final = 40
"""Letters between two quotation marks that may stay."""
_KEPT: Final = 24
_IN_QUOTES: Final = re.compile(rf"""(?<![A-Za-z0-9])([`"'])((?:(?!\1)[^\n]){{{_QUOTE},}})""")
_ROW: Final = re.compile(r"(?:[^\s\t]*\t[^\t\n]*){3,}")


_IRREGULAR: Final = {
    "people": ("person", "people"),
    "person": ("person", "people"),
    "man": ("man", "men"),
    "woman": ("woman", "women"),
}


def plural(number: int, noun: str) -> str:
    """A count with its noun.

    Examples
    --------
    >>> plural(1, "gene"), plural(2000, "gene"), plural(1, "people"), plural(2, "pass")
    ('1 gene', '2,000 genes', '1 person', '2 passes')
    """
    one, more = _IRREGULAR.get(noun, (noun, noun + ("es" if noun.endswith("s") else "s")))
    return f"{number:,} {one if number == 1 else more}"


def in_shell(*words: object) -> str:
    """Words of a command, such as paths, as a shell has to be given them.

    Examples
    --------
    >>> print("samtools faidx", in_shell("Ann's data/hg38.fa"), in_shell("-odd.fa"))
    samtools faidx 'Ann'"'"'s data/hg38.fa' ./-odd.fa
    """
    texts = (f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else word for word in words)
    return shlex.join(map(str, texts))


AS_TOML: Final = (
    "text stands in straight quotes, true and false have small letters, a key and a section are there once; "
    "a path with backslashes stands in single quotes"
)
"""What is mostly wrong where a file is not TOML."""


def at_line(error: Exception, text: str) -> list[str]:
    r"""What a parser says of a text, and the line that it means.

    Examples
    --------
    >>> at_line(ValueError("Invalid value (at line 2, column 5)"), "a = 1\nb = x.bed\n")
    ['Invalid value (at line 2, column 5)', 'b = x.bed']
    """
    found = re.search(r"at line (\d+)", str(error))
    lines = text.splitlines()[int(found[1]) - 1 :][:1] if found else []
    return [str(error), *(line.strip() for line in lines)]


def quoted(text: object, most: int = _MOST_OF_OTHERS) -> str:
    """What an error may repeat of a file: a few dozen letters of it, never a row of people's values.

    Parameters
    ----------
    text
        A text, or an error of another package, of which the first line is kept.
    most
        Letters in all.

    Examples
    --------
    >>> quoted("could not parse `2.1, 3.2, 4.8, 1.9, 2.2, 3.1, 2.9, 4.4, 5.1, 3.3` as a number")
    'could not parse `2.1, 3.2, 4.8, 1.9, 2.2,… (48 letters)` as a number'
    """
    whole = str(text)
    if isinstance(text, BaseException):
        whole = whole.partition("\n")[0]
    short = _ROW.sub(lambda found: _head(found[0]), whole)
    short = _IN_QUOTES.sub(lambda found: found[1] + _head(found[2]), short)
    return short if len(short) <= most else f"{short[:most].rstrip()}… ({len(whole):,} letters)"


def _head(text: str) -> str:
    return f"{text[:_KEPT]}… ({len(text):,} letters)" if len(text) > _QUOTE else text


class Listed(str):
    """A list of names that hapsight made itself, of layers or tracks; an error does not cut it."""

    __slots__ = ()


class HapsightError(Exception):
    """An error a user can mend.

    Parameters
    ----------
    what
        One sentence: what is wrong.
    where
        The file, record, gene or option concerned.
    expected, got
        What was wanted and what was found; of long texts and rows, the first letters only (`quoted`). Of a
        list, each is a line of its own.
    fix
        How to mend it: a command or an option.
    """

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        expected: object = None,
        got: object = None,
        fix: str | None = None,
    ) -> None:
        self.what = "\n".join(quoted(line, _MOST_OF_A_LINE) for line in what.split("\n"))
        self.details = {
            name: str(value) if name == "to mend" else _detail(name, value)
            for name, value in (("where", where), ("expected", expected), ("got", got), ("to mend", fix))
            if value is not None
        }
        super().__init__(self._text())

    def _text(self) -> str:
        return "\n".join([self.what, *(f"  {name}: {value}" for name, value in self.details.items())])

    def mend(self, reword: Callable[[str], str]) -> None:
        """Say in other words how to mend it."""
        if "to mend" in self.details:
            self.details["to mend"] = reword(self.details["to mend"])
            self.args = (self._text(),)


def _detail(name: str, value: object) -> str:
    if isinstance(value, Listed):
        return str(value)
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return "\n    ".join(_detail(name, one) for one in value)
    most = _MOST_OF_OTHERS if isinstance(value, BaseException) else _MOST[name]
    return quoted(value, most)


def require_kind(value: object, kind: type, where: str, fix: str) -> None:
    """Refuse a thing of another class, by name and with what to give instead: for callers of Python."""
    if not isinstance(value, kind):
        got = value if isinstance(value, str) else type(value).__name__
        raise ConfigError(
            "This is another kind of thing.", where=where, expected=kind.__name__, got=got, fix=fix
        )


class InputError(HapsightError):
    """A cohort file is broken, or does not fit the others."""


class ConfigError(HapsightError):
    """The configuration asks for something that does not exist or does not make sense."""


class WeightsError(HapsightError):
    """Model weights are missing, damaged, or of another model."""


class ModelError(HapsightError):
    """A model does not keep its contract: a number that is not finite, another shape, no fingerprint.

    Attributes
    ----------
    row
        Which of the sequences it was given, where that is known.
    """

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        expected: object = None,
        got: object = None,
        fix: str | None = None,
        row: int | None = None,
    ) -> None:
        super().__init__(what, where=where, expected=expected, got=got, fix=fix)
        self.row = row
        self.place: str | None = None

    def at(self, place: str) -> ModelError:
        """The same with a place; itself where it has one, which was nearer."""
        if self.place is not None:
            return self
        found = dict(self.details)
        where, fix = found.pop("where", "a model"), found.pop("to mend", None)
        named = ModelError(self.what, where=f"{where}, {place}", fix=fix, row=self.row, **found)
        named.place = place
        return named


class StoreError(HapsightError):
    """A run folder holds something that does not belong to this run."""


class TrainingError(HapsightError):
    """Training cannot begin or go on: a loss or a score is not a finite number."""


class MissingExtraError(HapsightError):
    """A feature needs an optional dependency that is not installed."""


class IncompleteError(HapsightError):
    """Part of the work could not be done; what is missing is listed (exit code 3)."""


class HapsightWarning(UserWarning):
    """Something was resolved or dropped, and is counted; never silent."""
