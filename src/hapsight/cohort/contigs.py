"""One contig, two names: `22` and `chr22`, `MT` and `chrM`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from hapsight.errors import InputError

__all__ = ["find_contig", "plain_contig", "plink_contigs", "resolve_contig"]

_SHOWN = 12

_PLINK: Final = {"PAR1": "X", "PAR2": "X", "XY": "X", "23": "X", "24": "Y", "25": "X", "26": "MT"}
"""PLINK 2's own names for people; positions are those of the whole chromosome."""


def plain_contig(name: str) -> str:
    """The name without ``chr``, the mitochondrion as ``MT``; equal for names of one contig.

    Examples
    --------
    >>> plain_contig("chr22"), plain_contig("chrM"), plain_contig("X")
    ('22', 'MT', 'X')
    """
    bare = name[3:] if name[:3].lower() == "chr" else name
    return "MT" if bare.upper() in {"M", "MT"} else bare


def find_contig(name: str, contigs: Collection[str]) -> str | None:
    """The name that `contigs` has for this contig, the same spelling first; ``None`` without one."""
    if name in contigs:
        return name
    plain = plain_contig(name)
    return next((contig for contig in contigs if plain_contig(contig) == plain), None)


def plink_contigs(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """A PLINK 2 file's contigs, for each chromosome of people that they are parts of.

    Examples
    --------
    >>> plink_contigs(["chr22", "PAR1", "chrX", "PAR2", "26"])
    {'chr22': ('chr22',), 'chrX': ('PAR1', 'chrX', 'PAR2'), 'MT': ('26',)}
    """
    parts: dict[str, list[str]] = {}
    for name in names:
        plain = plain_contig(name)
        plain = plain_contig(plain.lstrip("0") or plain)  # --output-chr 0M
        parts.setdefault(_PLINK.get(plain.upper(), plain), []).append(name)
    return {find_contig(whole, found) or whole: tuple(found) for whole, found in parts.items()}


def resolve_contig(name: str, contigs: Collection[str], where: object) -> str:
    """As `find_contig`, but a contig that is not there is an error.

    Raises
    ------
    InputError
        No contig of `where` has this name in either convention; lists those it has.
    """
    found = find_contig(name, contigs)
    if found is None:
        shown = ", ".join(list(contigs)[:_SHOWN])
        raise InputError(
            f"There is no contig {name!r}, with or without 'chr'.",
            where=where,
            expected=f"one of {shown}"
            + (f" and {len(contigs) - _SHOWN} more" if len(contigs) > _SHOWN else ""),
            got=name,
            fix="use files of one genome build and the same contigs",
        )
    return found
