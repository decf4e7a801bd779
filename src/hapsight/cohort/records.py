"""Records of a VCF become biallelic rows; alleles that are no DNA sequence are left out and counted.

What htslib says by itself: nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Self

import numpy as np
import pysam
from cyvcf2.cyvcf2 import set_htslib_log_level
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Interval
from hapsight.errors import InputError, in_shell

__all__ = [
    "ABSENT",
    "MISSING",
    "NO_HARD_CALL",
    "PlainRecord",
    "RecordReader",
    "Rows",
    "allele_fault",
    "hush_htslib",
    "plain_calls",
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

_REFERENCE_CALL: Final = np.frombuffer(b"0|0\t", "<u4")[0]
_ALLELE_BITS: Final = np.frombuffer(b"\x01\0\x01\0", "<u4")[0]
"""In which a plain call differs from the call of REF: the last of each allele's digit."""

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

    @property
    def dosage(self) -> NDArray[np.uint8]:
        """(V, N) alleles `alt` of a person, where all calls are known: the sum of the two columns."""
        both = self.calls.view(np.uint8)
        return both[:, :, 0] + both[:, :, 1]

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


class PlainRecord(NamedTuple):
    """A record with one ALT, in the form of cyvcf2's, where every call is 0|0, 0|1, 1|0 or 1|1.

    Attributes
    ----------
    calls
        (N, 2) int8 of the kept people, in their order.
    """

    POS: int
    ID: str | None
    REF: str
    ALT: Sequence[str]
    calls: NDArray[np.int8]


def plain_calls(columns: Sequence[str], people: int) -> tuple[NDArray[np.bool_], NDArray[np.int8]]:
    r"""Read calls that are all 0|0, 0|1, 1|0 or 1|1, in the one way that they can be written.

    Parameters
    ----------
    columns
        The last ``4 N - 1`` characters of each of R lines with N `people`, which may be anything.

    Returns
    -------
    plain
        (R,) where a line has such calls only.
    calls
        (R, N, 2) alleles of these; of other lines, nothing of meaning.

    Examples
    --------
    >>> plain, calls = plain_calls(["0|1\t1|1", "0|1\t0/0", "10|1\t.|"], 2)
    >>> plain.tolist(), calls[0].tolist()
    ([True, False, False], [[0, 1], [1, 1]])
    """
    text = "\t".join([*columns, ""]).encode("latin-1")
    differs = np.frombuffer(text, "<u4").reshape(len(columns), people) ^ _REFERENCE_CALL
    plain = (np.bitwise_or.reduce(differs, axis=1) & ~_ALLELE_BITS) == 0
    both = (differs | (differs >> np.uint32(8))).astype("<u2")
    return plain, both.view(np.int8).reshape(*both.shape, 2)


def allele_fault(ref: str, alt: str) -> str | None:
    """Why this pair of alleles is no change of sequence; ``None`` where it is one.

    Examples
    --------
    >>> allele_fault("A", "<DEL>"), allele_fault("A", "*"), allele_fault("A", "AT")
    ('symbolic allele', 'spanning deletion (*)', None)
    """
    if ref in _DNA and alt in _DNA and ref != alt:  # as most are
        return None
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
            fix=f"look at it with: bcftools view {in_shell(path)}",
        )
    return str(record.REF).upper()


_Alts = list[tuple[int, int, str, str, str]]
"""Usable ALTs of a record: number, position, REF, ALT and identifier of each."""


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
        (N,) column of a record's calls for each kept person; a `PlainRecord` has them in order.
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
        """Rows of cyvcf2 and plain records, in file order, a few hundred at a time."""
        stream = iter(records)
        while block := list(islice(stream, _BLOCK)):
            if kept := [(record, rows) for record in block if (rows := self._split(record))]:
                yield self._rows(kept)

    def _split(self, record: Any) -> _Alts:
        position, ref = record.POS - 1, reference_allele(record, self.path)
        if position >= self.interval.end or position + len(ref) <= self.interval.start:
            return []
        at, rows = (position, position + len(ref)), _Alts()
        if not record.ALT:
            self.dropped.add("variant", "no alternative allele", self._name(position, ref, "."), at=at)
        for number, letters in enumerate(record.ALT, start=1):
            alt = letters.upper()
            fault = self._fault(position, ref, alt)
            if fault is None:
                name = record.ID or f"{self.interval.contig}_{position + 1}_{ref}_{alt}"
                rows.append((number, position, ref, alt, name))
            else:
                self.dropped.add("variant", fault, self._name(position, ref, letters), at=at)
        return rows

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
                fix=_without_copies(Path(str(self.path))),
            )
        return True

    def _name(self, position: int, ref: str, alt: str) -> str:
        return f"{self.interval.contig}:{position + 1} {ref}>{alt}"

    def _rows(self, kept: Sequence[tuple[Any, _Alts]]) -> Rows:
        numbers, positions, refs, alts, names = zip(*chain.from_iterable(r for _, r in kept), strict=True)
        carried, phased = self._carried(kept, np.array(numbers))
        return Rows(self.interval.contig, np.array(positions, np.int64), refs, alts, names, carried, phased)

    def _carried(
        self, kept: Sequence[tuple[Any, _Alts]], numbers: NDArray[np.intp]
    ) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
        """Calls (V, N, 2) and phase (V, N) of records' rows, whose ALTs have these numbers."""
        plain = [record.calls for record, _ in kept if isinstance(record, PlainRecord)]
        if not plain:
            return self._of_cyvcf2(kept, numbers)
        here = np.array([isinstance(record, PlainRecord) for record, rows in kept for _ in rows])
        carried = np.empty((len(here), len(self.samples), 2), np.int8)
        phased = np.ones(carried.shape[:2], np.bool_)
        carried[here] = np.concatenate(plain).reshape(len(plain), -1, 2)  # one row each, as of one ALT
        if not here.all():
            others = [(record, rows) for record, rows in kept if not isinstance(record, PlainRecord)]
            carried[~here], phased[~here] = self._of_cyvcf2(others, numbers[~here])
        return carried, phased

    def _of_cyvcf2(
        self, kept: Sequence[tuple[Any, _Alts]], numbers: NDArray[np.intp]
    ) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
        records = [record for record, _ in kept]
        calls = np.stack([self._calls(record) for record in records])  # (R, N, 3)
        first, second = calls[:, :, 0], calls[:, :, 1]
        second[(first == MISSING) & (second == ABSENT)] = MISSING  # "." for "./."
        self._require_alleles(calls, records)
        calls = np.repeat(calls, [len(rows) for _, rows in kept], axis=0)  # (V, N, 3)
        alleles = calls[:, :, :2]
        carried = (alleles == numbers[:, None, None]).astype(np.int8)
        np.copyto(carried, alleles, casting="unsafe", where=alleles < 0)
        return carried, calls[:, :, 2].astype(np.bool_)

    def _calls(self, record: Any) -> NDArray[np.int16]:
        """Calls (N, 3) of a record: two allele numbers (or `MISSING`, `ABSENT`) and the phase."""
        if _has_calls_of_nobody(record):
            return np.full((len(self.order), 3), (MISSING, ABSENT, 1), np.int16)
        try:
            genotype = record.genotype
        except Exception:  # cyvcf2 raises no narrower one
            genotype = None
        if genotype is None:
            raise InputError(
                "A record has no genotypes (GT).",
                where=f"{self.path}, {self._at(record)}",
                expected="FORMAT with GT, such as GT:DS:HDS",
                got=f"FORMAT {':'.join(record.FORMAT or ()) or '(none)'}",
                fix="dosages and probabilities (DS, GP) are no haplotypes: let the imputation write GT too "
                "(Minimac4: --format GT,DS,HDS)",
            )
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


def _without_copies(path: Path) -> str:
    """How to leave out a variant that is twice; of a PGEN, in a VCF of it."""
    vcf, before = in_shell(path), ""
    if path.suffix == ".pgen":
        vcf = "COPY.vcf.gz"
        before = (
            f"plink2 --pfile {in_shell(path.with_suffix(''))} --export vcf bgz id-paste=iid --out COPY && "
        )
    return (
        f"{before}bcftools norm -m -any {vcf} | bcftools norm --rm-dup exact -Oz -o NEW.vcf.gz -, "
        "and index that; or duplicates = 'first' to keep the first of them"
    )


def _has_calls_of_nobody(record: Any) -> bool:
    """Whether a record's GT is left out for everybody: then cyvcf2 must not be asked for calls."""
    tags = list(record.FORMAT or ())
    if "GT" not in tags[1:]:
        return False
    return _is_left_out(str(record).rstrip("\n").split("\t")[9:], tags.index("GT"))


def _is_left_out(columns: Sequence[str], number: int) -> bool:
    """Whether no person's column has a value of the tag of this number.

    Examples
    --------
    >>> _is_left_out(["7:.", "8"], 1), _is_left_out(["7:0|1", "8:."], 1)
    (True, False)
    """
    values = (column.split(":") for column in columns)
    return all(number >= len(own) or own[number] == "." for own in values)


def _two_alleles(calls: NDArray[np.int16]) -> NDArray[np.int16]:
    """Calls (N, P + 1) of a record of ploidy P as (N, 3), two alleles and the phase, where nobody has more.

    A record has the ploidy of its longest call, among people who are not asked for too; shorter calls are
    filled up with `ABSENT`, which stays in the second place of a haploid one.
    """
    if calls.shape[1] == 2:
        return np.insert(calls, 1, ABSENT, axis=1)
    return calls[:, [0, 1, -1]] if np.all(calls[:, 2:-1] == ABSENT) else calls
