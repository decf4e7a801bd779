"""What every source of genotypes offers, whatever its format and however many files it lies in.

How many of them are open at once.

Phase sets (FORMAT PS, PSL): haplotypes of two sets are not known to be of one parent.
"""

from __future__ import annotations

import gzip
import weakref
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Interval, Variants
from hapsight.cohort.ploidy import Sex
from hapsight.cohort.policies import GenotypePolicy
from hapsight.cohort.reference import Reference
from hapsight.errors import InputError, in_shell, plural

__all__ = [
    "ACROSS_SETS",
    "Genotypes",
    "PhaseSets",
    "calls_of_lines",
    "calls_of_records",
    "keep_few_open",
    "people_across_sets",
    "phase_set_tag",
    "phase_sets_of",
    "require_no_more_calls",
    "require_people_once",
]


class Genotypes(Protocol):
    """Phased genotypes of some people; may be pickled, forked and shared by processes."""

    @property
    def samples_in_file(self) -> tuple[str, ...]:
        """All people, in the file's order."""

    @property
    def samples(self) -> tuple[str, ...]:
        """The kept people, in the order asked."""

    @property
    def contigs(self) -> tuple[str, ...]:
        """Contigs that have records."""

    @property
    def policy(self) -> GenotypePolicy:
        """Which variants are used, and what to do with bad ones."""

    @property
    def sexes(self) -> dict[str, Sex]:
        """Sex of people, where the files say it."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file that the genotypes depend on, indexes apart."""

    def read(self, interval: Interval, reference: Reference | None = None) -> tuple[Variants, Dropped]:
        """Read the variants whose REF overlaps `interval`, and what was left out of them.

        Raises
        ------
        InputError
            A record offends against a policy of ``"error"``, or a file is damaged.
        """

    @property
    def has_phase_sets(self) -> bool:
        """Whether phased calls come in sets (FORMAT PS or PSL)."""

    def phase_sets(self, variants: Variants) -> NDArray[np.int64]:
        """(V, N) phase set of each heterozygous call of variants (at least one) that were read here.

        Raises
        ------
        InputError
            A file is damaged.
        """

    def expected_records(self, interval: Interval) -> float:
        """About how many records lie in `interval`, from indexes alone; 0 where these do not say.

        Raises
        ------
        InputError
            An index cannot be read.
        """

    def keeping(self, samples: Sequence[str], policy: GenotypePolicy) -> Genotypes:
        """The same files, read for these people and by this policy.

        Raises
        ------
        InputError
            A person is not there, or is asked for twice.
        """


PhaseSets = NDArray[np.int64]
"""(N,) or (V, N) number of a call's phase set; only whether two are equal has a meaning."""

ACROSS_SETS: Final = (
    "across sets, haplotypes are put together by chance (dosages are right); "
    "to mend: phase the file as one set, for example with SHAPEIT or Beagle"
)
"""What a window of two phase sets means."""


def phase_set_tag(header: str) -> str | None:
    """Which tag of a VCF's header tells the phase set; ``None`` without one.

    Examples
    --------
    >>> phase_set_tag('##FORMAT=<ID=PS,Number=1,Type=Integer,Description="Phase set">')
    'PS'
    """
    return next((tag for tag in ("PS", "PSL") if f"##FORMAT=<ID={tag}," in header), None)


Calls = tuple[tuple[int, str], Callable[[str], object]]
"""A record's 0-based position and REF, and what gives a person's phase set."""


def calls_of_lines(lines: Iterable[str], tag: str, samples: Sequence[str]) -> Iterator[Calls]:
    """Phase sets in lines of a VCF with these people."""
    column = {name: number for number, name in enumerate(samples, start=9)}
    for line in lines:
        fields = line.split("\t")
        tags = fields[8].split(":")
        place = tags.index(tag) if tag in tags else len(tags)

        def call(name: str, fields: list[str] = fields, place: int = place) -> str | None:
            return next(islice(fields[column[name]].split(":"), place, None), None)

        yield (int(fields[1]) - 1, fields[3].upper()), call


def calls_of_records(records: Iterable[Any], tag: str) -> Iterator[Calls]:
    """Phase sets in pysam's records of a BCF."""
    for record in records:

        def call(name: str, record: Any = record) -> object:
            return record.samples[name].get(tag)

        yield (record.start, record.ref.upper()), call


def phase_sets_of(variants: Variants, calls: Iterable[Calls]) -> PhaseSets:
    """(V, N) phase sets of heterozygous calls.

    Others, and those without a set, are 0; by the VCF specification the latter are in one set.
    """
    het = variants.alleles[:, :, 0] != variants.alleles[:, :, 1]
    rows = dict[tuple[int, str], list[int]]()
    for row, site in enumerate(zip(variants.position.tolist(), variants.ref, strict=True)):
        rows.setdefault(site, []).append(row)
    sets = np.zeros(het.shape, np.int64)
    for site, call in calls:
        for row in rows.pop(site, ()):
            for person in np.flatnonzero(het[row]).tolist():
                sets[row, person] = _number(call(variants.samples[person]))
    return sets


def _number(name: object) -> int:
    """A set's number, from its name or from that of each allele (PSL)."""
    parts = name if isinstance(name, tuple) else str(name).split(",")
    known = [str(part) for part in parts if part not in (None, ".", "None")]
    return 1 + zlib.crc32(",".join(known).encode()) if known else 0


def people_across_sets(genotypes: Genotypes, windows: Iterable[Variants]) -> list[int]:
    """How many people have heterozygous calls of two phase sets, in each window's variants.

    Their haplotypes there are not known: which of a set's two goes with which of the next one's is chance.
    """
    return [_across(variants, genotypes.phase_sets(variants)) if len(variants) else 0 for variants in windows]


def _across(variants: Variants, sets: PhaseSets) -> int:
    het = variants.alleles[:, :, 0] != variants.alleles[:, :, 1]
    bounds = np.iinfo(np.int64)
    lowest = np.where(het, sets, bounds.max).min(axis=0)
    highest = np.where(het, sets, bounds.min).max(axis=0)
    return int((lowest < highest).sum())


_MOST_OPEN: Final = 64
"""Genotype files, of up to three open ones each; systems let a process have 256 or 1,024."""

_read: Final[list[weakref.ref[Any]]] = []
"""Open genotype files of this process, those that were read last behind the others."""


def keep_few_open(file: Any) -> None:
    """Note that a genotype file is read; of many, the one that was read longest ago is closed."""
    others = [other for other in _read if other() is not None and other() is not file]
    _read[:] = [*others[-_MOST_OPEN + 1 :], weakref.ref(file)]
    for other in others[: -_MOST_OPEN + 1]:
        if (old := other()) is not None:
            old.close()


_COLUMNS: Final = 9
"""Of a VCF before those of people."""


def require_people_once(path: Path) -> None:
    """Refuse a VCF that htslib cannot open, where that is because a person is in its header twice."""
    with suppress(OSError, EOFError, zlib.error), gzip.open(path, "rt", encoding="latin-1") as file:
        header = next((line for line in file if not line.startswith("##")), "")
        names = header.rstrip("\r\n").split("\t")[_COLUMNS:]
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise InputError(
                f"{plural(len(twice), 'people')} in the genotype file are there twice.",
                where=f"{path}, line #CHROM",
                expected="a name for each column of calls",
                got=", ".join(twice[:5]),
                fix=f"bcftools reheader -s names.txt -o NEW.vcf.gz {in_shell(path)}, "
                "names.txt with a name of its own for each column, one a line; then index it",
            )


def require_no_more_calls(path: Path, line: str, people: int) -> None:
    """Refuse a line of a VCF with more calls than its header has people, of which htslib takes the first.

    Tabs at the end are no calls.
    """
    columns = line.rstrip("\t\r").count("\t") + 1 - _COLUMNS
    if columns > people:
        raise InputError(
            "A line of the VCF has more calls than its header has people: whose each is, is not known.",
            where=f"{path}, {':'.join(line.split(None, 2)[:2])[:60]}",
            expected=f"{people:,} calls, in columns of their own",
            got=f"{columns:,}",
            fix="put the lines and the header of one file together; look at #CHROM for names that are lost",
        )
