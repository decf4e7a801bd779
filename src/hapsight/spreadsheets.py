"""Text tables that a spreadsheet may open: no cell of them is run as a formula."""

from __future__ import annotations

from typing import Final

import polars as pl

__all__ = ["csv_text"]

_FORMULA: Final = r"^[=+\-@\t\r]"
_HARMLESS: Final = r"^(?:[+-]|[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)$"
"""A strand, or a number."""


def csv_text(table: pl.DataFrame, separator: str = ",") -> str:
    r"""A table as text; a cell that a spreadsheet would take for a formula begins with an apostrophe.

    Numbers stay numbers, and a strand (``+`` or ``-``) stays as it is.

    Examples
    --------
    >>> csv_text(pl.DataFrame({"gene": ["=1+1", "-"], "slope": [-0.5, 2.0]}))
    "gene,slope\n'=1+1,-0.5\n-,2.0\n"
    """
    text = pl.col(pl.String)
    risky = text.str.contains(_FORMULA) & ~text.str.contains(_HARMLESS)
    safe = table.with_columns(pl.when(risky).then("'" + text).otherwise(text).name.keep())
    names = [_named(name) for name in table.columns]
    return safe.rename(dict(zip(table.columns, names, strict=True))).write_csv(separator=separator)


def _named(column: str) -> str:
    return f"'{column}" if column[:1] in ("=", "+", "-", "@", "\t", "\r") else column
