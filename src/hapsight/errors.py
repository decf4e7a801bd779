"""The one form in which hapsight reports bad input: what, where, expected, got, how to mend it."""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "HapsightError",
    "HapsightWarning",
    "IncompleteError",
    "InputError",
    "MissingExtraError",
    "StoreError",
    "TrainingError",
    "WeightsError",
]


class HapsightError(Exception):
    """An error a user can mend.

    Parameters
    ----------
    what
        One sentence: what is wrong.
    where
        The file, record, gene or option concerned.
    expected, got
        What was wanted and what was found, values included.
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
        self.what = what
        self.details = {
            name: str(value)
            for name, value in (("where", where), ("expected", expected), ("got", got), ("to mend", fix))
            if value is not None
        }
        super().__init__("\n".join([what, *(f"  {name}: {value}" for name, value in self.details.items())]))


class InputError(HapsightError):
    """A cohort file is broken, or does not fit the others."""


class ConfigError(HapsightError):
    """The configuration asks for something that does not exist or does not make sense."""


class WeightsError(HapsightError):
    """Model weights are missing, damaged, or of another model."""


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
