"""Where a scheduler is: its address, or a file that says so."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Final

from hapsight.errors import IncompleteError

__all__ = ["find_address", "is_address"]

_ADDRESS: Final = re.compile(r"[a-z]+://.+|[^/]+:\d+")
_PAUSE: Final = 0.5


def is_address(scheduler: str) -> bool:
    """Whether this is ``tcp://host:port`` or ``host:port``; anything else is a file."""
    return _ADDRESS.fullmatch(scheduler) is not None


def find_address(scheduler: str, deadline: float) -> str:
    """The address itself, or what the scheduler file says; waits for a file that is not there yet.

    Parameters
    ----------
    deadline
        On the clock of `time.monotonic`.

    Raises
    ------
    IncompleteError
        By then there is no file that names an address.
    """
    if is_address(scheduler):
        return scheduler
    while True:
        try:
            return str(json.loads(Path(scheduler).read_text())["address"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            if time.monotonic() >= deadline:
                raise IncompleteError(
                    "There is no scheduler file that names an address.",
                    where=scheduler,
                    got=error,
                    fix="start the scheduler with `dask scheduler --scheduler-file FILE`",
                ) from None
            time.sleep(_PAUSE)
