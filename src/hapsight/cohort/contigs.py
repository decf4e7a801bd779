"""One contig, two names: `22` and `chr22`, `MT` and `chrM`.

Genome builds by the names that files give them, and by the lengths of chromosomes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from hapsight.dna import plain_contig
from hapsight.errors import InputError

__all__ = [
    "build_named",
    "build_of",
    "find_contig",
    "one_naming",
    "plain_contig",
    "plink_contigs",
    "resolve_contig",
]

_SHOWN = 12

_PLINK: Final = {"PAR1": "X", "PAR2": "X", "XY": "X", "23": "X", "24": "Y", "25": "X", "26": "MT"}
"""PLINK 2's own names for people; positions are those of the whole chromosome."""


def find_contig(name: str, contigs: Collection[str]) -> str | None:
    """The name that `contigs` has for this contig, the same spelling first; ``None`` without one."""
    if name in contigs:
        return name
    plain = plain_contig(name)
    return next((contig for contig in contigs if plain_contig(contig) == plain), None)


_ACCESSION: Final = re.compile(r"(?:NC_\d{6}|CM\d{6}|NT_\d{6}|NW_\d+)\.\d+")
_NUMBERED: Final = frozenset({"23", "24", "25", "26"})


def one_naming(contigs: Iterable[str]) -> str | None:
    """How to mend files that call contigs by different systems; ``None`` where these names show none.

    Examples
    --------
    >>> print(one_naming(["chr22", "NC_000022.11"]))
    RefSeq and GenBank name contigs by accession (NC_000022.11 is chr22 of GRCh38): rename them ...
    """
    names = {plain_contig(name) for name in contigs}
    if any(map(_ACCESSION.fullmatch, names)):
        return (
            "RefSeq and GenBank name contigs by accession (NC_000022.11 is chr22 of GRCh38): rename them by "
            "the assembly report, or use files of Ensembl, GENCODE or UCSC"
        )
    if names & _NUMBERED and not names >= _NUMBERED:
        return (
            "PLINK numbers X, Y and MT as 23, 24 and 26: printf '23 X\\n24 Y\\n26 MT\\n' > names.txt && "
            "bcftools annotate --rename-chrs names.txt -Oz -o NEW.vcf.gz FILE, and index that"
        )
    return None


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


_NAMES: Final = {
    "GRCh37": re.compile(r"(?:grch|b|hg)?37|hg19", re.IGNORECASE),
    "GRCh38": re.compile(r"(?:grch|b|hg)?38", re.IGNORECASE),
}
_CHROMOSOMES: Final = (*map(str, range(1, 23)), "X", "Y")
_LENGTHS: Final = {
    "GRCh37": (
        *(249250621, 243199373, 198022430, 191154276, 180915260, 171115067, 159138663, 146364022),
        *(141213431, 135534747, 135006516, 133851895, 115169878, 107349540, 102531392, 90354753),
        *(81195210, 78077248, 59128983, 63025520, 48129895, 51304566, 155270560, 59373566),
    ),
    "GRCh38": (
        *(248956422, 242193529, 198295559, 190214555, 181538259, 170805979, 159345973, 145138636),
        *(138394717, 133797422, 135086622, 133275309, 114364328, 107043718, 101991189, 90338345),
        *(83257441, 80373285, 58617616, 64444167, 46709983, 50818468, 156040895, 57227415),
    ),
}


def build_named(text: str) -> str | None:
    """The build that a word names; None for any other word.

    Examples
    --------
    >>> build_named("b38"), build_named("hg19"), build_named("v8")
    ('GRCh38', 'GRCh37', None)
    """
    return next((build for build, name in _NAMES.items() if name.fullmatch(text)), None)


def build_of(contigs: Mapping[str, int]) -> str | None:
    """The human build that has a chromosome of the same name and length; None where none has.

    Examples
    --------
    >>> build_of({"chr22": 50818468}), build_of({"chr22": 22000000})
    ('GRCh38', None)
    """
    here = {plain_contig(name): length for name, length in contigs.items()}
    for build, lengths in _LENGTHS.items():
        if any(here.get(name) == length for name, length in zip(_CHROMOSOMES, lengths, strict=True)):
            return build
    return None
