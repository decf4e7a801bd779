"""Edits that spoil a file: bytes flipped, cells exchanged, lines doubled, ends cut off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

KINDS = ("flip", "delete", "insert", "repeat", "cut", "cell", "drop_line", "double_line", "move_line")

TOKENS = (
    b"",
    b"NA",
    b"nan",
    b"inf",
    b"-inf",
    b"-1",
    b"0",
    b"1",
    b"+1",
    b"1.5",
    b"1e309",
    b"9" * 25,
    b"9" * 5000,
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b'"',
    b'""',
    b"'",
    b"\t",
    b"\n",
    b"\r",
    b"\r\n",
    b" ",
    b",",
    b";",
    b"#",
    b"##",
    b"#chr",
    b"<script>",
    b"../..",
    "²".encode(),
    "é".encode(),
    "\u2028".encode(),
    b"\x85",
    b"1_0",
    b"+",
    b"-",
    b".",
    b"*",
    b"<DEL>",
    b"|",
    b"/",
    b"0|1",
    b"1/0",
    b".|.",
    b"2|7",
    b"0",
    b"0|1|1",
    b"ACGT",
    b"acgt",
    b"U",
    b"track",
    b"gene",
    b"transcript",
    b'gene_id ""',
    b"chr1",
    b"1",
    b"chrM",
    b"[",
    b"[[",
    b"]]",
    b"{}",
    b"=",
    b"true",
    b"[cohort]",
    b"[[models]]",
    b"models = 3",
    b"cohort = 1",
    b"options = 7",
    b"protocol = 'huang2023'",
    b"\\",
    b"\\u0000",
    b"0x10",
    b"1979-05-27",
    b"[1,[2,[3]]]",
    b"[" * 600,
    b"GT",
    b"PASS",
    b"A,C,*",
    b"A[chr1:5[",
)


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a file's bytes; `at` is a place, from 0 (its start) to 1 (its end)."""

    kind: str
    at: float
    length: int
    token: bytes


def apply(content: bytes, edits: Sequence[Edit]) -> bytes:
    """The content after all edits, one after the other."""
    for edit in edits:
        content = _one(content, edit)
    return content


def _one(content: bytes, edit: Edit) -> bytes:
    place = int(edit.at * len(content))
    before, rest = content[:place], content[place:]
    match edit.kind:
        case "flip":
            return before + bytes([b ^ (1 << edit.length % 8) for b in rest[:1]]) + rest[1:]
        case "delete":
            return before + rest[edit.length :]
        case "insert":
            return before + edit.token + rest
        case "repeat":
            return before + rest[: edit.length] * 2 + rest[edit.length :]
        case "cut":
            return before
        case "cell":
            return _cell(content, place, edit.token)
    return _lines(content, edit)


def _cell(content: bytes, place: int, token: bytes) -> bytes:
    """Exchange the field around a place, whatever separates fields."""
    marks = [i for i, byte in enumerate(content) if byte in b"\t\n,;= "]
    first = max((i + 1 for i in marks if i < place), default=0)
    last = min((i for i in marks if i >= place), default=len(content))
    return content[:first] + token + content[last:]


def _lines(content: bytes, edit: Edit) -> bytes:
    lines = content.split(b"\n")
    line = lines.pop(min(int(edit.at * len(lines)), len(lines) - 1))
    if edit.kind != "drop_line":
        where = edit.length % (len(lines) + 1)
        lines[where:where] = [line, line] if edit.kind == "double_line" else [line]
    return b"\n".join(lines)


def some_edits() -> st.SearchStrategy[list[Edit]]:
    """One to five edits, for hypothesis."""
    edit = st.builds(
        Edit, st.sampled_from(KINDS), st.floats(0, 1), st.integers(1, 60), st.sampled_from(TOKENS)
    )
    return st.lists(edit, min_size=1, max_size=5)


def drawn_edits(rng: np.random.Generator) -> list[Edit]:
    """The same at random, for long campaigns."""
    return [
        Edit(
            KINDS[rng.integers(len(KINDS))],
            float(rng.random()),
            int(rng.integers(1, 61)),
            TOKENS[rng.integers(len(TOKENS))],
        )
        for _ in range(rng.integers(1, 6))
    ]
