"""Genome builds by the names that files give them, and by the lengths of chromosomes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from hapsight.cohort.contigs import plain_contig

__all__ = ["build_named", "build_of"]

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
