"""Records of a VCF become biallelic rows; alleles that are no DNA sequence are left out and counted.

What htslib says by itself: nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Final, Literal, Self

import numpy as np
import pysam
from cyvcf2.cyvcf2 import set_htslib_log_level
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Interval
from hapsight.errors import InputError

__all__ = [
    "ABSENT",
    "MISSING",
    "NO_HARD_CALL",
    "RecordReader",
    "Rows",
    "allele_fault",
    "hush_htslib",
    "reference_allele",
    "without_leading_phase",
]


def hush_htslib() -> None:
    """Keep both copies of htslib, pysam's and cyvcf2's, from writing to standard error.

    Their complaints quote the file, names of people and genotypes included; ours, which follow, do not.
    """
    pysam.set_verbosity(0)
    set_htslib_log_level(0)


_BLOCK: Final = 512
_DNA: Final = frozenset("ACGTN")

_LEADING_PHASE: Final = re.compile(r"(?<=\t)[|/](?=[.\d])")

_MOST_ALTS: Final = 32_767
"""That a call of int16 can name; cyvcf2 turns higher numbers into negative ones."""

MISSING: Final = -1
"""An allele that is not known."""

ABSENT: Final = -2
"""The place of an allele in a call that has fewer than the record's longest."""

NO_HARD_CALL: Final = -3
"""An allele of which a PGEN has an imputed dosage, too far from a whole number for a hard call."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Biallelic rows with their calls, before any policy on genotypes.

    Attributes
    ----------
    position
        (V,) int64, 0-based.
    calls
        (V, N, 2) int8: 1 where that haplotype carries `alt`, 0 where it does not, `MISSING` or
        `NO_HARD_CALL` where that is not known; `ABSENT` as the second of a call with one allele.
    phased
        (V, N) whether the call is phased.
    """

    contig: str
    position: NDArray[np.int64]
    ref: tuple[str, ...]
    alt: tuple[str, ...]
    variant_id: tuple[str, ...]
    calls: NDArray[np.int8]
    phased: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ref)

    def at(self, row: int) -> tuple[int, int]:
        """From where to where a row's REF reaches."""
        start = int(self.position[row])
        return start, start + len(self.ref[row])

    def name(self, row: int) -> str:
        """A row in words, 1-based as in the file: ``chr22:100 A>G``."""
        return f"{self.contig}:{self.position[row] + 1} {self.ref[row]}>{self.alt[row]}"

    def take(self, chosen: NDArray[np.bool_]) -> Self:
        """The rows where the mask (V,) is true."""
        if chosen.all():
            return self
        index = np.flatnonzero(chosen)
        return type(self)(
            self.contig,
            self.position[index],
            tuple(self.ref[i] for i in index),
            tuple(self.alt[i] for i in index),
            tuple(self.variant_id[i] for i in index),
            self.calls[index],
            self.phased[index],
        )


def allele_fault(ref: str, alt: str) -> str | None:
    """Why this pair of alleles is no change of sequence; ``None`` where it is one.

    Examples
    --------
    >>> allele_fault("A", "<DEL>"), allele_fault("A", "*"), allele_fault("A", "AT")
    ('symbolic allele', 'spanning deletion (*)', None)
    """
    if alt == "*":
        return "spanning deletion (*)"
    if alt.startswith("<"):
        return "symbolic allele"
    if "[" in alt or "]" in alt or alt.startswith(".") or alt.endswith("."):
        return "breakend"
    if not (_DNA.issuperset(ref) and _DNA.issuperset(alt)):
        return "allele is not A, C, G, T or N"
    if ref == alt:
        return "ALT equals REF"
    return None


def without_leading_phase(line: str) -> str:
    r"""A line of a VCF without the phase before a call's first allele, which VCF 4.4 allows.

    cyvcf2's htslib cannot parse it. A diploid call is phased where the sign before its second allele says so.

    Examples
    --------
    >>> without_leading_phase("1\t9\t|a\tC\tT\t.\t.\t.\tGT:DP\t|0|1:9\t/0|1:8\t/1:7").split("\t", 8)[8]
    'GT:DP\t0|1:9\t0|1:8\t1:7'
    """
    *site, calls = line.split("\t", 9)
    return "\t".join(site) + _LEADING_PHASE.sub("", f"\t{calls}")


def reference_allele(record: Any, path: object) -> str:
    """REF of a cyvcf2 record, upper-case.

    A line that ends before REF is a record to htslib, and asking cyvcf2 for its REF would end the process.

    Raises
    ------
    InputError
        The record has none.
    """
    if not record.ALT and str(record).split("\t")[3:4] in ([], ["."]):
        raise InputError(
            "A line of the VCF is no whole record: it has no REF.",
            where=f"{path}, {record.CHROM[:80]}:{record.POS}",
            expected="CHROM, POS, ID, REF and ALT, separated by tabs; header lines before #CHROM only",
            fix=f"look at it with: bcftools view {path}",
        )
    return str(record.REF).upper()


@dataclass
class RecordReader:
    """Cuts one stretch's records into blocks of rows.

    Parameters
    ----------
    path
        Named in errors.
    interval
        Its contig names the rows; records whose REF does not overlap it are passed over.
    order
        (N,) column of the file's calls for each kept person.
    samples
        The N kept people, named in errors.
    snv_only
        Leave out, and count, what is no substitution of one base.
    duplicates
        What to do with a second row of the same position, REF and ALT.
    dropped
        Where what is left out is counted.
    """

    path: object
    interval: Interval
    order: NDArray[np.intp]
    samples: tuple[str, ...]
    snv_only: bool
    duplicates: Literal["error", "first"]
    dropped: Dropped
    _seen: set[tuple[str, str]] = field(default_factory=set)
    _last: int = -1

    def blocks(self, records: Iterable[Any]) -> Iterator[Rows]:
        """Rows of cyvcf2 records, in file order, a few thousand at a time."""
        stream = iter(records)
        while block := list(islice(stream, _BLOCK)):
            split = [(record, list(self._split(record))) for record in block]
            kept = [(record, rows) for record, rows in split if rows]
            if kept:
                yield self._rows(kept)

    def _split(self, record: Any) -> Iterator[tuple[int, int, str, str, str]]:
        """Each usable ALT of a record: its number, then position, REF, ALT and identifier."""
        position, ref = record.POS - 1, reference_allele(record, self.path)
        if position >= self.interval.end or position + len(ref) <= self.interval.start:
            return
        at = position, position + len(ref)
        if not record.ALT:
            self.dropped.add("variant", "no alternative allele", self._name(position, ref, "."), at=at)
        for number, letters in enumerate(record.ALT, start=1):
            alt = letters.upper()
            fault = self._fault(position, ref, alt)
            if fault is not None:
                self.dropped.add("variant", fault, self._name(position, ref, letters), at=at)
                continue
            name = record.ID or f"{self.interval.contig}_{position + 1}_{ref}_{alt}"
            yield number, position, ref, alt, name

    def _fault(self, position: int, ref: str, alt: str) -> str | None:
        fault = allele_fault(ref, alt)
        if fault is None and self.snv_only and not len(ref) == len(alt) == 1:
            fault = "not an SNV"
        if fault is None and self._is_duplicate(position, ref, alt):
            fault = "duplicate record"
        return fault

    def _is_duplicate(self, position: int, ref: str, alt: str) -> bool:
        if position != self._last:
            self._seen.clear()
            self._last = position
        if (ref, alt) not in self._seen:
            self._seen.add((ref, alt))
            return False
        if self.duplicates == "error":
            raise InputError(
                "A variant is in the file twice.",
                where=f"{self.path}, {self._name(position, ref, alt)}",
                fix="bcftools norm --rm-dup exact, or duplicates = 'first' to keep the first of them",
            )
        return True

    def _name(self, position: int, ref: str, alt: str) -> str:
        return f"{self.interval.contig}:{position + 1} {ref}>{alt}"

    def _rows(self, kept: list[tuple[Any, list[tuple[int, int, str, str, str]]]]) -> Rows:
        records = [record for record, _ in kept]
        calls = np.stack([self._calls(record) for record in records])  # (R, N, 3)
        first, second = calls[:, :, 0], calls[:, :, 1]
        second[(first == MISSING) & (second == ABSENT)] = MISSING  # "." for "./."
        self._require_alleles(calls, records)
        record_of_row = np.repeat(np.arange(len(kept)), [len(rows) for _, rows in kept])
        numbers, positions, refs, alts, names = zip(*chain.from_iterable(r for _, r in kept), strict=True)
        alleles = calls[record_of_row, :, :2]  # (V, N, 2)
        carried = (alleles == np.array(numbers)[:, None, None]).astype(np.int8)
        np.copyto(carried, alleles, casting="unsafe", where=alleles < 0)
        phased = calls[record_of_row, :, 2].astype(np.bool_)
        return Rows(self.interval.contig, np.array(positions, np.int64), refs, alts, names, carried, phased)

    def _calls(self, record: Any) -> NDArray[np.int16]:
        """Calls (N, 3) of a record: two allele numbers (or `MISSING`, `ABSENT`) and the phase."""
        try:
            genotype = record.genotype
        except Exception:  # cyvcf2 raises no narrower one
            genotype = None
        if genotype is None:
            raise InputError("A record has no genotypes (GT).", where=f"{self.path}, {self._at(record)}")
        calls: NDArray[np.int16] = genotype.array()[self.order]
        if calls.shape[1] != 3:
            calls = _two_alleles(calls)
        if calls.shape[1] != 3:
            raise self._not_diploid(record, calls)
        return calls

    def _require_alleles(self, calls: NDArray[np.int16], records: Sequence[Any]) -> None:
        """Refuse calls (R, N, 3) of alleles that their records do not have."""
        most = np.array([min(len(record.ALT), _MOST_ALTS) for record in records], np.int16)
        flat = calls.reshape(len(calls), -1)  # with the phase, which is below 2, as every record has an ALT
        wrong = (flat.max(axis=1) > most) | (flat.min(axis=1) < NO_HARD_CALL)
        if wrong.any():
            record = int(np.argmax(wrong))
            raise self._no_such_allele(records[record], calls[record])

    def _not_diploid(self, record: Any, calls: NDArray[np.int16]) -> InputError:
        ploidy = (calls[:, :-1] > ABSENT).sum(axis=1)
        person = int(np.argmax(ploidy))
        return InputError(
            "A call is not diploid.",
            where=f"{self.path}, {self._at(record)}, {self.samples[person]}",
            expected="two alleles, such as 0|1",
            got=f"{ploidy[person]} allele(s); {(ploidy > 2).sum()} of {len(ploidy)} people at this record",
            fix="bcftools +fixploidy makes calls diploid; or leave the contig out",
        )

    def _no_such_allele(self, record: Any, calls: NDArray[np.int16]) -> InputError:
        alts = len(record.ALT)
        wrong: NDArray[np.bool_] = np.any((calls > alts) | (calls < NO_HARD_CALL), axis=1)
        return InputError(
            "A call names an allele that its record does not have.",
            where=f"{self.path}, {self._at(record)}, {self.samples[int(np.argmax(wrong))]}",
            expected=f"allele numbers from 0 (REF) to {alts} (the last ALT)",
            got=f"another number; {wrong.sum()} of {len(wrong)} people at this record have such a call",
            fix="make the file again from its source: a program changed ALT and left the calls as they were",
        )

    def _at(self, record: Any) -> str:
        return f"{self.interval.contig}:{record.POS}"


def _two_alleles(calls: NDArray[np.int16]) -> NDArray[np.int16]:
    """Calls (N, P + 1) of a record of ploidy P as (N, 3), two alleles and the phase, where nobody has more.

    A record has the ploidy of its longest call, among people who are not asked for too; shorter calls are
    filled up with `ABSENT`, which stays in the second place of a haploid one.
    """
    if calls.shape[1] == 2:
        return np.insert(calls, 1, ABSENT, axis=1)
    return calls[:, [0, 1, -1]] if np.all(calls[:, 2:-1] == ABSENT) else calls
