"""The packages that pages need."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from hapsight.errors import MissingExtraError

__all__ = ["require_extra"]

_NEEDED: Final = ("altair", "jinja2", "vl_convert")


def require_extra() -> None:
    """Refuse to go on without them.

    Raises
    ------
    MissingExtraError
        Names those that are missing.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            "The report needs packages that are not installed.",
            expected=", ".join(_NEEDED),
            got=f"missing: {', '.join(missing)}",
            fix="pip install 'hapsight[report]'",
        )
