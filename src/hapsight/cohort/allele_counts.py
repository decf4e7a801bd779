"""Reads of either haplotype: allele-specific counts of a VCF, and phASER's haplotypic counts.

A VCF's two numbers are of the first and the second haplotype, or of REF and ALT; which of the two has to be
told, or is found out from the phase. Whichever haplotype a file calls the first, counts are handed on in
the order of the run's own phased genotypes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np

from hapsight.cohort.genes import gtf_rows
from hapsight.cohort.matching import gene_index, genes_called
from hapsight.cohort.nouns import Dropped, Gene, Interval, Variants
from hapsight.cohort.records import allele_fault
from hapsight.cohort.tables import read_lines, read_table, require_columns
from hapsight.dna import plain_contig
from hapsight.errors import ConfigError, InputError, in_shell

__all__ = [
    "AlleleCounts",
    "Order",
    "Reads",
    "find_order",
    "in_phase",
    "read_allele_counts",
    "read_features",
]

Order = Literal["haplotypes", "alleles"]
"""What the two counts of a call are of: the first and second haplotype, or REF and ALT."""

_SAMPLE: Final = "{sample}"
_SURE: Final = 10.0
"""Difference of two chi-squares from which on one order is held to be found out."""
_SAME_PHASE: Final = 0.99
"""Share of calls in the genotypes' phase, from which on sites that these lack are taken as they are."""
_HAPLOTYPIC: Final = ("contig", "variants", "haplotypeA", "haplotypeB", "aCount", "bCount")


class Reads(NamedTuple):
    """Reads of one person's two haplotypes at one site, or at several that reads join.

    Attributes
    ----------
    places
        0-based position, REF and ALT of each site.
    alt_on
        Of each site, the haplotype (0 or 1) that carries ALT.
    counts
        Reads of either haplotype, in the same order.
    """

    sample: str
    contig: str
    places: tuple[tuple[int, str, str], ...]
    alt_on: tuple[int, ...]
    counts: tuple[int, int]

    @property
    def name(self) -> str:
        """The person and the first site, 1-based."""
        position, ref, alt = self.places[0]
        return f"{self.sample} {self.contig}:{position + 1} {ref}>{alt}"

    @property
    def reference_lead(self) -> float:
        """Share of the sites where the first haplotype carries REF, less that where the second does."""
        return 2 * sum(self.alt_on) / len(self.alt_on) - 1

    def exchanged(self) -> Reads:
        """The same, each haplotype called by the other's number."""
        alt_on = tuple(1 - one for one in self.alt_on)
        return self._replace(alt_on=alt_on, counts=self.counts[::-1])


@dataclass(frozen=True, slots=True)
class AlleleCounts:
    """What a file says.

    Attributes
    ----------
    reads
        Of people who are heterozygous, with none or more reads.
    order
        What the counts of a VCF were; None of phASER's.
    found_out
        Whether the order was found out from the phase.
    """

    reads: tuple[Reads, ...]
    order: Order | None
    found_out: bool
    dropped: Dropped


def read_features(path: Path, genes: Sequence[Gene]) -> tuple[dict[str, tuple[Interval, ...]], Dropped]:
    """Where reads count for a gene: a BED of ``contig, start, end, gene``, or a GTF's exons.

    Returns
    -------
    ``gene_id`` -> intervals on the gene's contig, and what was left out.

    Raises
    ------
    InputError
        A row is broken, or no row is of one of the genes.
    """
    found: dict[str, list[Interval]] = {}
    dropped, index = Dropped(), gene_index(genes)
    rows = _gtf_rows(path) if ".gtf" in path.suffixes else _bed_rows(path)
    for contig, start, end, name in rows:
        places = genes_called(name, index)
        if len(places) != 1:
            dropped.add("feature", "of no gene of the cohort" if not places else "of several genes", name)
            continue
        gene = genes[places[0]]
        if plain_contig(contig) != plain_contig(gene.contig):
            dropped.add("feature", "on another contig than its gene", name)
            continue
        found.setdefault(gene.gene_id, []).append(Interval(gene.contig, start, end))
    if not found:
        raise InputError(
            "No feature is of a gene of the cohort.",
            where=path,
            expected=", ".join(gene.gene_id for gene in genes[:3]),
            got=", ".join(name for names in dropped.names.values() for name in names[:3]) or "no feature",
        )
    return {gene: tuple(intervals) for gene, intervals in found.items()}, dropped


def _bed_rows(path: Path) -> Iterator[tuple[str, int, int, str]]:
    for number, line in enumerate(read_lines(path, "feature"), start=1):
        if not line or line.startswith(("#", "track", "browser")):
            continue
        row, where = line.split("\t"), f"{path}, line {number}"
        if len(row) < 4:
            raise InputError(
                "A row of the features is too short.",
                where=where,
                expected="contig, start (from 0), end and gene, separated by tabs",
                got=f"{len(row)} columns",
            )
        yield row[0], _place_of(row[1], where), _place_of(row[2], where), row[3]


def _gtf_rows(path: Path) -> Iterator[tuple[str, int, int, str]]:
    for where, row in gtf_rows(path, "feature", ("exon",)):
        name = row[8].partition('gene_id "')[2].partition('"')[0]
        yield row[0], _place_of(row[3], where) - 1, _place_of(row[4], where), name


def read_allele_counts(
    path: Path,
    samples: Sequence[str],
    features: Mapping[str, Sequence[Interval]],
    order: Order | None = None,
    tag: str = "AS",
) -> AlleleCounts:
    """Read a VCF with two counts a call, or phASER's haplotypic counts, a file a person.

    Parameters
    ----------
    path
        ``.vcf`` or ``.vcf.gz``; or a name with ``{sample}`` in it, of files ``*.haplotypic_counts.txt``.
    samples
        Whose counts are wanted; others are counted as left out.
    features
        Where reads count (`read_features`).
    order
        Of a VCF's counts; None: to be found out (`find_order`).
    tag
        FORMAT field of a VCF's counts, such as ``AS`` or ``AD``.

    Raises
    ------
    InputError
        A file is missing or broken, has none of the people, or the order cannot be found out.
    """
    inside = _Inside(features)
    if _SAMPLE in str(path):
        return _haplotypic(path, samples, inside)
    if path.suffix == ".bcf":
        raise InputError(
            "Counts are read from a VCF, not from a BCF.",
            where=path,
            fix=f"bcftools view -Oz -o {in_shell(Path(f'{path.stem}.vcf.gz'), path)}",
        )
    dropped = Dropped()
    given = _without_twice(list(_vcf_reads(path, samples, inside, tag, dropped)), dropped)
    found = order or find_order(given, path)
    reads = tuple(one if found == "haplotypes" else _by_haplotype(one) for one in given)
    return AlleleCounts(reads, found, order is None, dropped)


class _Inside:
    """Whether a place lies in a feature."""

    def __init__(self, features: Mapping[str, Sequence[Interval]]) -> None:
        spans: dict[str, list[tuple[int, int]]] = {}
        for one in chain.from_iterable(features.values()):
            spans.setdefault(plain_contig(one.contig), []).append((one.start, one.end))
        self._starts, self._reach = {}, {}
        for contig, here in spans.items():
            here.sort()
            self._starts[contig] = np.array([start for start, _ in here])
            self._reach[contig] = np.maximum.accumulate([end for _, end in here])

    def __call__(self, contig: str, position: int) -> bool:
        contig = plain_contig(contig)
        if contig not in self._starts:
            return False
        before = int(np.searchsorted(self._starts[contig], position, side="right"))
        return before > 0 and bool(self._reach[contig][before - 1] > position)


def _vcf_reads(
    path: Path, samples: Sequence[str], inside: _Inside, tag: str, dropped: Dropped
) -> Iterator[Reads]:
    """Heterozygous calls with the counts as they are written, REF on the first haplotype or on the second."""
    columns: dict[int, str] | None = None
    for line in read_lines(path, "allele count"):
        if line.startswith("#CHROM"):
            columns = _columns(line.split("\t"), samples, path, dropped)
        if line.startswith("#"):
            continue
        if columns is None:
            break
        row = line.split("\t", 2)
        where = f"{path}, {':'.join(row[:2])[:100]}"
        if inside(row[0], _place_of(row[1] if len(row) == 3 else "", where) - 1):
            yield from _record_reads(_whole(line, columns, where), columns, tag, where, dropped)
    if columns is None:
        raise InputError("The VCF of allele counts has no header line.", where=path, expected="#CHROM ...")


def _whole(line: str, columns: Mapping[int, str], where: str) -> list[str]:
    row = line.split("\t")
    if len(row) <= max(columns):
        raise InputError(
            "A line of the allele counts is shorter than its header.",
            where=where,
            expected=f"at least {max(columns) + 1} columns",
            got=f"{len(row)} columns",
        )
    return row


def _columns(header: list[str], samples: Sequence[str], path: Path, dropped: Dropped) -> dict[int, str]:
    wanted = set(samples)
    for name in header[9:]:
        if name not in wanted:
            dropped.add("sample", "has allele counts, and is not in the run", name)
    found = {column: name for column, name in enumerate(header) if column > 8 and name in wanted}
    if not found:
        raise InputError(
            "The allele counts have none of the run's people.",
            where=path,
            expected=", ".join(samples[:3]),
            got=", ".join(header[9:12]) or "no people",
        )
    return found


def _without_twice(reads: Sequence[Reads], dropped: Dropped) -> list[Reads]:
    """Without the sites of several records: a 0 there may be another record's ALT, and reads count twice."""
    times = Counter((one.sample, one.contig, one.places[0][0]) for one in reads)
    twice = {(contig, position) for (_, contig, position), found in times.items() if found > 1}
    for contig, position in sorted(twice):
        dropped.add("site", "several records", f"{contig}:{position + 1}")
    return [one for one in reads if (one.contig, one.places[0][0]) not in twice]


def _record_reads(
    row: list[str], columns: Mapping[int, str], tag: str, where: str, dropped: Dropped
) -> Iterator[Reads]:
    ref, alt, keys = row[3].upper(), row[4].upper(), row[8].split(":")
    name = f"{row[0]}:{row[1]} {ref}>{alt}"
    fault = "several ALTs" if "," in alt else allele_fault(ref, alt)
    if fault is not None:
        dropped.add("site", fault, name)
        return
    if "GT" not in keys or tag not in keys:
        dropped.add("site", f"without GT or {tag}", name)
        return
    genotype, counts = keys.index("GT"), keys.index(tag)
    for column, sample in columns.items():
        call = row[column].split(":")
        found = _two_counts(call[counts] if len(call) > counts else ".", f"{where}, {sample}")
        alleles = call[genotype] if len(call) > genotype else "."
        if alleles in ("0|1", "1|0"):
            place = (int(row[1]) - 1, ref, alt)
            alt_on = 1 if alleles == "0|1" else 0
            yield Reads(sample, row[0], (place,), (alt_on,), found)
        elif any(found):
            unphased = alleles in ("0/1", "1/0")
            reason = "unphased, so its reads are of no haplotype" if unphased else "reads of a homozygote"
            dropped.add("genotype", reason, f"{sample} {name}")


def _two_counts(text: str, where: str) -> tuple[int, int]:
    if text in (".", ".,.", ""):
        return 0, 0
    parts = text.split(",")
    if len(parts) != 2:
        raise InputError(
            "A call does not have two counts.", where=where, expected="two numbers, such as 12,9", got=text
        )
    return _count(parts[0], where), _count(parts[1], where)


def _count(text: str, where: str, what: str = "count") -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise InputError(f"A {what} is no whole number.", where=where, expected="0 or more", got=text[:40])
    return int(text)


def _place_of(text: str, where: str) -> int:
    return _count(text, where, "place")


def _by_haplotype(one: Reads) -> Reads:
    """Counts of REF and ALT as those of the two haplotypes."""
    return one if one.alt_on[0] == 1 else one._replace(counts=one.counts[::-1])


def find_order(reads: Sequence[Reads], where: object = None) -> Order:
    """Whether counts follow the haplotypes or REF and ALT, as far as people of either phase tell.

    Of a site with people of both phases, the mean log ratio of the first count to the second has one sign in
    both where the counts are REF and ALT, and opposite signs where they follow the haplotypes. What speaks
    against either is summed over the sites as a chi-square.

    Raises
    ------
    ConfigError
        The two sums differ by less than 10.
    """
    sites: dict[tuple[str, int, str, str], tuple[list[float], list[float]]] = {}
    for one in reads:
        first, second = one.counts
        if first + second:
            ratio = float(np.log((first + 0.5) / (second + 0.5)))
            sites.setdefault((one.contig, *one.places[0]), ([], []))[one.alt_on[0]].append(ratio)
    against = {"haplotypes": 0.0, "alleles": 0.0}
    for alt_first, alt_second in sites.values():
        if min(len(alt_first), len(alt_second)) > 1:
            a, b = np.array(alt_first), np.array(alt_second)
            variance = a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b)
            if variance > 0:
                against["haplotypes"] += float((a.mean() + b.mean()) ** 2 / variance)
                against["alleles"] += float((a.mean() - b.mean()) ** 2 / variance)
    if abs(against["haplotypes"] - against["alleles"]) < _SURE:
        raise ConfigError(
            "It cannot be found out whether the two counts are of haplotypes or of REF and ALT.",
            where=where,
            expected="--order haplotypes or --order alleles",
            got=f"chi-square {against['haplotypes']:.1f} against haplotypes, {against['alleles']:.1f} "
            f"against REF and ALT, over {len(sites)} sites with reads",
            fix="look at how the file was made, and say which",
        )
    return "haplotypes" if against["haplotypes"] < against["alleles"] else "alleles"


def _haplotypic(path: Path, samples: Sequence[str], inside: _Inside) -> AlleleCounts:
    reads: list[Reads] = []
    dropped, found = Dropped(), 0
    for sample in samples:
        own = Path(str(path).replace(_SAMPLE, sample))
        if not own.is_file():
            dropped.add("sample", "without a file of haplotypic counts", sample)
            continue
        found += 1
        reads += _phaser_reads(own, sample, inside, dropped)
    if not found:
        raise InputError(
            "Nobody of the run has a file of haplotypic counts.",
            where=path,
            expected=str(path).replace(_SAMPLE, samples[0]),
            got="no such file",
        )
    return AlleleCounts(tuple(reads), None, False, dropped)


def _phaser_reads(path: Path, sample: str, inside: _Inside, dropped: Dropped) -> Iterator[Reads]:
    """Haplotype A is taken for the first; `in_phase` exchanges it where it is the second."""
    table = read_table(path, "haplotypic count")
    require_columns(table, _HAPLOTYPIC, "table of phASER's haplotypic counts", path)
    for row in table.select(_HAPLOTYPIC).iter_rows():
        contig, variants, a, b, *counts = (text or "" for text in row)
        where = f"{path}, {variants[:80]}"
        places = [_place(name, where) for name in variants.split(",")]
        if not any(inside(contig, place[0]) for place in places):
            continue
        one, other = a.split(","), b.split(",")
        alt_on = [_alt_on(place, *pair) for place, *pair in zip(places, one, other, strict=False)]
        if not len(places) == len(one) == len(other) or None in alt_on:
            dropped.add("block", "its alleles are not REF and ALT of its variants", f"{sample} {variants}")
            continue
        known = tuple(0 if on is None else on for on in alt_on)
        both = _count(counts[0], where), _count(counts[1], where)
        yield Reads(sample, contig, tuple(places), known, both)


def _place(name: str, where: str) -> tuple[int, str, str]:
    parts = name.rsplit("_", 3)
    if len(parts) != 4:
        raise InputError(
            "The name of a variant does not say where it is.",
            where=where,
            expected="contig_position_REF_ALT, as phASER makes them",
            got=name[:80],
        )
    return _place_of(parts[1], where) - 1, parts[2].upper(), parts[3].upper()


def _alt_on(place: tuple[int, str, str], a: str, b: str) -> int | None:
    """The haplotype (A 0, B 1) with ALT; None where the two are not REF and ALT."""
    _, ref, alt = place
    return {(alt, ref): 0, (ref, alt): 1}.get((a.upper(), b.upper()))


def in_phase(reads: Sequence[Reads], variants: Variants, dropped: Dropped) -> list[Reads]:
    """Reads of one gene by the run's own haplotypes.

    A person's haplotypes are exchanged where the run's genotypes have them the other way round. A site that
    the genotypes lack is taken as it is where at least 99 % of the calls that both have agree.

    Parameters
    ----------
    variants
        The run's genotypes where the gene's reads are.
    """
    places = zip(variants.position.tolist(), variants.ref, variants.alt, strict=True)
    rows = {place: row for row, place in enumerate(places)}
    person = {name: column for column, name in enumerate(variants.samples)}
    votes = [_votes(one, variants, rows, person[one.sample]) for one in reads]
    shared = [vote for own in votes for vote in own if vote is not None]
    joint = bool(shared) and shared.count(True) >= _SAME_PHASE * len(shared)
    found = []
    for one, own in zip(reads, votes, strict=True):
        known = {vote for vote in own if vote is not None}
        if known == {True} or (not own and joint):
            found.append(one)
        elif known == {False}:
            found.append(one.exchanged())
        else:
            reason = "phase differs within the block" if len(known) == 2 else _unknown(own)
            dropped.add("reads", reason, one.name)
    return found


def _unknown(votes: Sequence[bool | None]) -> str:
    if votes:
        return "heterozygous by the counts, not by the genotypes"
    return "not among the genotypes, and their phase is not known to be the counts'"


def _votes(
    one: Reads, variants: Variants, rows: Mapping[tuple[int, str, str], int], column: int
) -> list[bool | None]:
    """Of each site that the genotypes have: whether its phase is theirs; None where they are homozygous."""
    found: list[bool | None] = []
    for place, alt_on in zip(one.places, one.alt_on, strict=True):
        if place in rows:
            first, second = (int(allele) for allele in variants.alleles[rows[place], column])
            found.append(None if first == second else (first == 1) == (alt_on == 0))
    return found
