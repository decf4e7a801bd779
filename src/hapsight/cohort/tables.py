"""Text tables as the field writes them: plain or gzipped, tab- or comma-separated, with one header line.

Whether a file is there, how it is compressed, and whether it is whole.

Parquet files: written whole, and read where a damaged one would end the process in polars' code.

Text tables that a spreadsheet may open: no cell of them is run as a formula.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import re
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.errors import InputError, in_shell
from hapsight.files import write_atomically

__all__ = [
    "BAD_PARQUET",
    "as_parquet",
    "csv_text",
    "is_bgzip",
    "is_gzip",
    "numbers",
    "read_lines",
    "read_table",
    "require_columns",
    "require_end",
    "require_file",
    "require_readable",
    "require_unique",
    "stream_table",
    "table_of",
    "unpacked_head",
    "without_comments",
    "write_table",
]

_BGZF_END: Final = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def _head(path: Path, count: int) -> bytes:
    with open(path, "rb") as file:
        return file.read(count)


def require_file(path: Path, what: str) -> None:
    """Refuse a path that is no file; `what` names its part in the cohort."""
    if not os.path.isfile(path):  # False for a name that no system takes
        raise InputError(f"The {what} file is not there.", where=path, fix="check the path")


def is_gzip(path: Path) -> bool:
    """Whether the file begins as gzip, block-wise or not."""
    return _head(path, 2) == b"\x1f\x8b"


def is_bgzip(path: Path) -> bool:
    """Whether the file begins as block gzip (BGZF), the kind that can be indexed."""
    head = _head(path, 18)
    return head[:4] == b"\x1f\x8b\x08\x04" and head[12:14] == b"BC"


def unpacked_head(path: Path, count: int) -> bytes:
    """The first bytes of a file, or of what it unpacks to; none of a gzip file that is damaged."""
    if not is_gzip(path):
        return _head(path, count)
    try:
        with gzip.open(path) as file:
            return file.read(count)
    except (OSError, EOFError, zlib.error):
        return b""


def require_end(path: Path) -> None:
    """Refuse a bgzipped file without the empty block that ends every whole one (SAM specification, 4.1.2).

    Raises
    ------
    InputError
        The block is missing: the file was cut off.
    """
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - len(_BGZF_END)))
        tail = file.read()
    if tail != _BGZF_END:
        raise InputError(
            "The file is cut off: the block that ends a bgzip file is missing.",
            where=path,
            expected="the 28-byte end-of-file block",
            got=f"{size:,} bytes that end otherwise",
            fix="copy or make the file again, and its index after it",
        )


BAD_PARQUET: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""What polars raises at a damaged Parquet file; a panic of its compiled code is no `Exception`."""

_READ: Final = "import sys, polars; polars.read_parquet(sys.argv[1])"


def require_readable(path: Path, what: str) -> None:
    """Let another process read a user's Parquet file first, since a damaged one may end the process.

    Raises
    ------
    InputError
        That process did not come through.
    """
    command = [sys.executable, "-c", _READ, str(path)]
    tried = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if tried.returncode:
        said = [line for line in tried.stderr.splitlines() if line.strip() and not line.startswith(" ")]
        panicked = next((line for line in said if "alloc" in line or "panicked" in line), None)
        raise InputError(
            f"The {what} file is no Parquet that can be read.",
            where=path,
            got=panicked or (said[-1] if said else f"its reader ended with {tried.returncode}"),
            fix="write the file again",
        )


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Write a Parquet table atomically."""
    write_atomically(path, as_parquet(table))


def stream_table(path: Path, table: pl.LazyFrame) -> None:
    """Write a Parquet table atomically that may be too large for the memory.

    Raises
    ------
    StoreError
        As `write_atomically`.
    """

    def fill(temporary: Path) -> None:
        try:
            table.sink_parquet(temporary, compression="zstd", row_group_size=_GROUP, maintain_order=True)
        except pl.exceptions.ComputeError as error:
            raise OSError(str(error)) from error

    write_atomically(path, fill)


_GROUP: Final = 100_000
"""Rows that are written together."""


def as_parquet(table: pl.DataFrame) -> bytes:
    """A table as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


_MOST_UNPACKED: Final = 200
"""Times that a text may be longer than its gzipped file."""

_SMALL: Final = 1 << 28
"""Bytes of text that are read however much they were compressed."""


def read_lines(path: Path, what: str) -> Iterator[str]:
    """Lines of a text file without their ends.

    Raises
    ------
    InputError
        The file is missing, cut off, no UTF-8, or unpacks to far more than any table does.
    """
    require_file(path, what)
    _require_text(path, what)
    compressed = is_gzip(path)
    if compressed and is_bgzip(path):
        require_end(path)
    try:
        with open(path, "rb") as raw, _text(path, raw, compressed) as file:
            for line in file:
                yield line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        fix = "save it as text in UTF-8 (of Excel: CSV UTF-8, or Text (Tab delimited))"
        raise InputError(f"The {what} file is no text in UTF-8.", where=path, got=error, fix=fix) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"The {what} file is damaged or no text.", where=path, got=error) from error


_OTHERS: Final = {
    rb"\x28\xb5\x2f\xfd": ("compressed by zstd", "zstd -d {}"),
    rb"BZh[1-9]1AY": ("compressed by bzip2", "bunzip2 -k {}"),
    rb"\xfd7zXZ\x00": ("compressed by xz", "unxz -k {}"),
    rb"PK\x03\x04": (
        "a ZIP archive, as .xlsx is",
        "of Excel: save it as Text (Tab delimited); else: unzip {}",
    ),
    rb"PAR1\x15": ("Parquet", "give it a name that ends in .parquet: mv {} NEW.parquet"),
    rb"\x89HDF": ("HDF5", "write its table as text with tabs"),
}
"""How files begin that are no text, what they are, and what makes text of them."""


def _require_text(path: Path, what: str) -> None:
    """Refuse files that other programs pack, by how they begin."""
    head = _head(path, 8)
    for begin, (kind, fix) in _OTHERS.items():
        if re.match(begin, head, re.DOTALL):
            raise InputError(
                f"The {what} file is no text: it is {kind}.",
                where=path,
                expected="text, gzipped or not",
                fix=fix.format(in_shell(path)),
            )


def _text(path: Path, raw: IO[bytes], compressed: bool) -> io.TextIOWrapper:
    return io.TextIOWrapper(_Unpacked(path, raw) if compressed else raw, encoding="utf-8-sig")


class _Unpacked(gzip.GzipFile):
    """A gzipped file that stops where it unpacks to more than a table would."""

    def __init__(self, path: Path, packed: IO[bytes]) -> None:
        super().__init__(fileobj=packed, mode="rb")
        self._path, self._most = path, max(_SMALL, _MOST_UNPACKED * os.fstat(packed.fileno()).st_size)

    def read1(self, size: int = -1) -> bytes:
        """The next bytes, counted."""
        found = super().read1(size)
        if self.tell() > self._most:
            raise InputError(
                "A compressed file unpacks to far more than a table does; it is not read further.",
                where=self._path,
                expected=f"up to {_MOST_UNPACKED} times its size, or {_SMALL:,} bytes",
                got=f"more than {self._most:,} bytes",
                fix="if the file is what it should be, unpack it and give the text",
            )
        return found


def read_table(path: Path, what: str) -> pl.DataFrame:
    """A table whose every cell is text, null where empty; comma-separated where the name says ``.csv``.

    Raises
    ------
    InputError
        The file is missing, cut off, empty, ragged, or names a column twice.
    """
    if path.suffix == ".parquet":
        require_file(path, what)
        require_readable(path, what)
        return pl.read_parquet(path)
    lines = [line for line in read_lines(path, what) if line and not line.startswith("##")]
    return table_of(lines, path, what)


def table_of(lines: Sequence[str], path: Path, what: str) -> pl.DataFrame:
    """The table of these lines of a file, the first of which is the header; as `read_table`."""
    separator = "," if ".csv" in path.suffixes else "\t"
    lines = without_comments(lines, separator)
    if len(lines) < 2:
        raise InputError(f"The {what} file has no rows.", where=path, expected="a header line and rows")
    _require_separated(path, lines, separator, what)
    lines = _without_nameless(lines, separator)
    _require_even(path, lines, separator)
    header = [name.strip().strip('"').strip() for name in lines[0].split(separator)]
    require_unique(header, "column", path)
    table = _parsed(path, lines, separator)
    if len(header) > 1 and not header[-1] and table[:, -1].is_null().all():  # each line ends in a separator
        table = table[:, :-1]
    return table.rename(lambda name: name.strip())


_GCT: Final = re.compile(r"#1\.[23]\s*")


def without_comments(lines: Sequence[str], separator: str) -> Sequence[str]:
    """The lines from the header on: before it may be others that begin with ``#``.

    The header may begin so too: it is the last such line that has as many cells as the first row, or one more
    or fewer (R's) if ``# `` does not begin it. GCT has its version there, and a line of two counts.
    """
    if len(lines) > 2 and _GCT.fullmatch(lines[0]):
        return lines[2:]
    marked = next((i for i, line in enumerate(lines) if not line.startswith("#")), 0)
    if not marked:
        return lines
    before, rows = lines[:marked], lines[marked:]
    wanted = _cells(rows[0], separator)
    fits = [line for line in before if _cells(line, separator) == wanted]
    fits = fits or [x for x in before if x[1:2] not in "# \t" and abs(_cells(x, separator) - wanted) < 2]
    return [*fits[-1:], *rows]


def _cells(line: str, separator: str) -> int:
    """As `_fields`, but for empty cells at its end; 0 where a quote is open."""
    return _fields(line.rstrip(separator), separator) or 0


def _without_nameless(lines: Sequence[str], separator: str) -> Sequence[str]:
    """The lines, without separators at the header's end that no row has (1000 Genomes' panel)."""
    header = lines[0].rstrip(separator)
    if header == lines[0] or any(line.count(separator) != header.count(separator) for line in lines[1:]):
        return lines
    return [header, *lines[1:]]


_SEPARATORS: Final = {
    "\t": ("tabs", "call it .tsv"),
    ",": ("commas", "call it .csv, or write it with tabs"),
    ";": ("semicolons", "save it with tabs, and points in numbers (of Excel: Text (Tab delimited))"),
    " ": ("spaces", "awk -v OFS='\\t' '{{$1 = $1; print}}' {} > NEW.tsv, and give that"),
}
"""What stands between columns, and what to do where it is not what the file's name says."""


def _require_separated(path: Path, lines: Sequence[str], separator: str, what: str) -> None:
    """Refuse a header that is one cell by this separator, and three or more by another one, or R's two."""
    header = lines[0]
    other = next((sign for sign in _SEPARATORS if len(header.split(sign)) > 2 or f'"{sign}"' in header), None)
    if separator in header or other is None:
        return
    (name, fix), wanted = _SEPARATORS[other], _SEPARATORS[separator][0]
    if other == " ":
        fix = _of_r(lines, other) or (_R_TABS if '"' in header else fix)
    raise InputError(
        f"The columns of the {what} file are not separated by {wanted}.",
        where=path,
        expected="tabs; commas in a file that is called .csv",
        got=f"a header with {name}, and without {wanted}",
        fix=fix.format(in_shell(path)),
    )


def _parsed(path: Path, lines: Sequence[str], separator: str) -> pl.DataFrame:
    """The table of these lines, a row for each but the first."""
    text = io.BytesIO("\n".join(lines).encode())
    try:
        table = pl.read_csv(text, separator=separator, infer_schema=False, quote_char='"')
    except pl.exceptions.PolarsError as error:
        raise _misquoted(path, str(error).partition("\n")[0]) from error
    if len(table) != len(lines) - 1:
        raise _misquoted(path, f"{len(table):,} rows of {len(lines) - 1:,} lines")
    return table


def _misquoted(path: Path, got: str) -> InputError:
    return InputError(
        "The quotes of a table do not come in pairs, so its cells are not known.",
        where=path,
        expected="cells without quotes, or each within two, on one line",
        got=got,
        fix='remove the quotes ("), or double those inside of a cell',
    )


_R: Final = r'in R: write.table(x, "NEW.tsv", sep = "\t", quote = FALSE, '
_ROW_NAMES: Final = f"name the first column, of the names of rows, too; {_R}col.names = NA)"
_R_TABS: Final = f"{_R}row.names = FALSE)"
_ROW_NUMBERS: Final = f"leave out the numbers of rows in front; {_R_TABS}"


def _of_r(lines: Sequence[str], separator: str) -> str | None:
    """What to do with rows that are all one cell longer than the header: R's row names."""
    wanted = _cells(lines[0], separator) + 1
    if any(_cells(line, separator) != wanted for line in lines[1:]):
        return None
    first = [line.split(separator, 1)[0].strip('"') for line in lines[1:]]
    return _ROW_NUMBERS if first == [str(n) for n in range(1, len(lines))] else _ROW_NAMES


def _require_even(path: Path, lines: Sequence[str], separator: str) -> None:
    fields = [_fields(line, separator) for line in lines]
    wanted = fields[0] or lines[0].count(separator) + 1
    for number, (line, found) in enumerate(zip(lines, fields, strict=True), start=1):
        if found not in (wanted, None):
            raise InputError(
                "A row is longer or shorter than the header.",
                where=f"{path}, row {number} ({line.split(separator)[0]})",
                expected=f"{wanted} fields, separated by {'a comma' if separator == ',' else 'a tab'}",
                got=f"{found} fields",
                fix=_of_r(lines, separator),
            )


def _fields(line: str, separator: str) -> int | None:
    """How many cells a line has; ``None`` where a quote is open, of which `_parsed` says more."""
    if '"' not in line:
        return line.count(separator) + 1
    try:
        return len(next(csv.reader([line], delimiter=separator, strict=True)))
    except csv.Error:
        return None


def require_columns(table: pl.DataFrame, columns: Collection[str], what: str, where: object) -> None:
    """Refuse a table that lacks any of these columns; `what` is its name in the error."""
    lacking = [name for name in columns if name not in table.columns]
    if lacking:
        raise InputError(
            f"The {what} lacks columns.",
            where=where,
            expected=", ".join(columns),
            got=f"without {', '.join(lacking)}",
        )


_PARTS: Final = ("row", "column")


def require_unique(names: Iterable[str], what: str, where: object) -> None:
    """Refuse a name that comes twice."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(
            f"A {what} is there twice.",
            where=where,
            got=", ".join(twice[:5]),
            fix=f"keep one {what} of each name" if what in _PARTS else f"keep one row for each {what}",
        )


_GIVE_NUMBERS: Final = "give every value a number, or leave the row or the column out"


_OTHERWISE: Final = re.compile(r"[+\-\u2212]?[\d,]*\d(?:\.\d+)?%?")
_AS_NUMBER: Final = "write numbers with a point, with - for minus, and without commas or %"


def numbers(
    table: pl.DataFrame, rows: Sequence[str], where: object, fix: str = _GIVE_NUMBERS
) -> NDArray[np.float64]:
    """All cells (R, C) as float64; the row's name and the column of one that is no finite number are told.

    Raises
    ------
    InputError
        A cell is empty, not numeric, NaN or infinite.
    """
    values = _cast(table)
    if not np.isfinite(values).all():  # numbers that R's format() has padded
        values = _cast(table.with_columns(pl.col(pl.String).str.strip_chars()))
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            "A value is not a finite number.",
            where=f"{where}, row {rows[row]}, column {table.columns[column]}",
            expected="a number",
            got=f"{table[row, column]!r}; {bad.sum():,} such of {bad.size:,} values",
            fix=_AS_NUMBER if _OTHERWISE.fullmatch(str(table[row, column]).strip()) else fix,
        )
    return values


def _cast(table: pl.DataFrame) -> NDArray[np.float64]:
    """All cells (R, C) as float64, NaN where one is no number."""
    cast = table.select(pl.all().cast(pl.Float64, strict=False))
    return np.array(cast.to_numpy(), dtype=np.float64, order="C")


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
