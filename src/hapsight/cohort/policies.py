"""What to do with rows of a VCF that cannot be used as they stand: refuse, drop and count, never guess."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Final, Literal, NamedTuple, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Interval
from hapsight.cohort.ploidy import OneCopy, Ploidy
from hapsight.cohort.records import ABSENT, MISSING, NO_HARD_CALL, Rows
from hapsight.cohort.reference import Reference, ref_fits
from hapsight.dna import N_CODE, encode, plain_contig
from hapsight.errors import ConfigError, InputError
from hapsight.least_squares import row_means

__all__ = ["HARD_CALLS", "PLOIDY_CONFLICT", "UNKNOWN_CALLS", "GenotypePolicy", "RowFilter", "ref_differs"]


HARD_CALLS: Final = (
    "plink2 --pfile NAME --hard-call-threshold 0.499999 --make-pgen --out NEW calls all dosages "
    "and keeps the phase; or missing = 'reference' or 'drop'"
)
"""PLINK 2 makes no hard call of a dosage that is more than 0.1 from a whole number, unless asked."""

PLOIDY_CONFLICT: Final = "does not fit the ploidy"
"""Why a genotype is missing, or a variant dropped."""


@dataclass(frozen=True)
class GenotypePolicy:
    """Which variants are used, and what happens to those that are not as they should be.

    Attributes
    ----------
    snv_only
        Use substitutions of one base only.
    min_maf
        Least frequency of the rarer allele among the kept people, in [0, 0.5]; 0 keeps all.
    missing
        A missing genotype: refuse the file, read it as the reference allele, or drop the variant.
    unphased
        An unphased heterozygote: refuse the file, or drop the variant.
    ref_mismatch
        A REF that is not what the FASTA has: refuse the file, or drop the variant.
    duplicates
        A position, REF and ALT that comes twice: refuse the file, or keep the first.
    ploidy_conflict
        A call that cannot be (two different alleles in a man on chrX outside the PARs; one allele in a woman
        there): refuse the file, read it as missing, or drop the variant.
    ploidy
        Whose copies are one; no choice, but what is known of the people.

    Raises
    ------
    ConfigError
        A value that is none of these.
    """

    snv_only: bool = False
    min_maf: float = 0.0
    missing: Literal["error", "reference", "drop"] = "error"
    unphased: Literal["error", "drop"] = "error"
    ref_mismatch: Literal["error", "drop"] = "error"
    duplicates: Literal["error", "first"] = "error"
    ploidy_conflict: Literal["error", "missing", "drop"] = "error"
    ploidy: Ploidy = field(default_factory=Ploidy)

    def __post_init__(self) -> None:
        if not 0 <= self.min_maf <= 0.5:
            raise ConfigError("min_maf is out of range.", expected="0 to 0.5", got=self.min_maf)
        hints = get_type_hints(type(self))
        for name in (one.name for one in fields(self)):
            choices = get_args(hints[name])
            if choices and getattr(self, name) not in choices:
                raise ConfigError(
                    f"{name} has no such choice.", expected=" or ".join(choices), got=getattr(self, name)
                )


class _Unknown(NamedTuple):
    """Why an allele is not known: in words for an error, a dropped variant, and a call read as REF."""

    value: int
    what: str
    fix: str
    reason: str
    as_reference: str


_UNKNOWN: Final = (
    _Unknown(
        NO_HARD_CALL,
        "A genotype has an imputed dosage, but no hard call.",
        HARD_CALLS,
        "imputed dosage without a hard call",
        "imputed dosage without a hard call, read as reference",
    ),
    _Unknown(
        MISSING,
        "A genotype is missing.",
        "missing = 'reference' or 'drop'",
        "missing genotype",
        "missing, read as reference",
    ),
)
UNKNOWN_CALLS: Final = tuple(reason for unknown in _UNKNOWN for reason in unknown[-2:])
"""Under which reasons genotypes that are not known are counted."""


@dataclass(frozen=True)
class RowFilter:
    """Applies a policy to rows; what it drops is counted in `dropped`."""

    path: object
    samples: tuple[str, ...]
    policy: GenotypePolicy
    reference: Reference | None
    dropped: Dropped

    def apply(self, rows: Rows) -> Rows:
        """REF against the FASTA, ploidy, missing genotypes, the MAF floor and phase, in this order.

        Raises
        ------
        InputError
            A row offends against a policy of ``"error"``; names the record and the person.
        """
        for step in (self._ref, self._ploidy, self._missing, self._maf, self._phase):
            if len(rows):
                rows = step(rows)
        return rows

    def _ref(self, rows: Rows) -> Rows:
        if self.reference is None:
            return rows
        bad = ref_differs(rows, self.reference)
        if bad.any() and self.policy.ref_mismatch == "error":
            raise self._wrong_ref(rows, bad, self.reference)
        return self._drop(rows, bad, "REF differs from the FASTA")

    def _ploidy(self, rows: Rows) -> Rows:
        """Everyone gets two alleles: who has one copy has it twice."""
        one, single = self._one_copy(rows), rows.calls[:, :, 1] == ABSENT
        if one is None and not single.any():
            return rows
        if plain_contig(rows.contig) == "MT":  # two alleles there are two kinds of mitochondria
            return replace(rows, calls=np.where(rows.calls == ABSENT, rows.calls[:, :, :1], rows.calls))
        expected = np.zeros_like(single) if one is None else one.mask()
        low, high = rows.calls.min(axis=2), rows.calls.max(axis=2)  # high: the one known, where there is one
        wrong = (expected & (low == 0) & (high == 1)) | (single & ~expected)
        if wrong.any():
            self._refuse_conflict(rows, wrong, single & ~expected)
        calls = np.where(expected[:, :, None], high[:, :, None], rows.calls)
        calls[wrong] = MISSING
        rows = replace(rows, calls=calls)
        if self.policy.ploidy_conflict == "drop":
            return self._drop(rows, wrong.any(axis=1), PLOIDY_CONFLICT)
        for row in np.flatnonzero(wrong.any(axis=1)).tolist():
            reason = f"{PLOIDY_CONFLICT}, read as missing"
            self.dropped.add("genotype", reason, rows.name(row), int(wrong[row].sum()), rows.at(row))
        return rows

    def _one_copy(self, rows: Rows) -> OneCopy | None:
        return self.policy.ploidy.one_copy(rows.contig, rows.position, self.samples)

    def _missing(self, rows: Rows) -> Rows:
        if rows.calls.min() >= 0:
            return rows
        for unknown in _UNKNOWN:
            rows = self._unknown(rows, unknown)
        return rows

    def _unknown(self, rows: Rows, unknown: _Unknown) -> Rows:
        found: NDArray[np.bool_] = rows.calls == unknown.value
        people: NDArray[np.bool_] = np.any(found, axis=2)  # (V, N)
        bad: NDArray[np.bool_] = np.any(people, axis=1)
        if self.policy.missing == "error" and bad.any():
            raise self._bad_call(unknown.what, rows, people, unknown.fix)
        if self.policy.missing == "drop":
            return self._drop(rows, bad, unknown.reason)
        for row in np.flatnonzero(bad).tolist():
            times = int(people[row].sum())
            self.dropped.add("genotype", unknown.as_reference, rows.name(row), times, rows.at(row))
        return replace(rows, calls=np.where(found, np.int8(0), rows.calls)) if bad.any() else rows

    def _maf(self, rows: Rows) -> Rows:
        if self.policy.min_maf == 0:
            return rows
        one, dosage = self._one_copy(rows), rows.dosage
        af = row_means(dosage) / 2 if one is None else one.af(one.coded(dosage))
        rare = np.minimum(af, 1 - af) < self.policy.min_maf
        return self._drop(rows, rare, f"MAF below {self.policy.min_maf:g}")

    def _phase(self, rows: Rows) -> Rows:
        unphased = (rows.calls[:, :, 0] != rows.calls[:, :, 1]) & ~rows.phased
        if self.policy.unphased == "error" and unphased.any():
            fix = "phase the file (for example with SHAPEIT or Beagle), or unphased = 'drop'"
            raise self._bad_call("A heterozygous genotype is not phased.", rows, unphased, fix)
        return self._drop(rows, unphased.any(axis=1), "unphased heterozygote")

    def _drop(self, rows: Rows, bad: NDArray[np.bool_], reason: str) -> Rows:
        for row in np.flatnonzero(bad).tolist():
            self.dropped.add("variant", reason, rows.name(row), at=rows.at(row))
        return rows.take(~bad)

    def _bad_call(self, what: str, rows: Rows, bad: NDArray[np.bool_], fix: str) -> InputError:
        row, person = (int(index) for index in np.argwhere(bad)[0])
        # Errors end up in logs: who has no call is named, who has which call is not.
        who = f", {self.samples[person]}" if (rows.calls[row, person] < 0).any() else ""
        return InputError(
            what,
            where=f"{self.path}, {rows.name(row)}{who}",
            expected="a phased genotype, such as 0|1",
            got=f"{bad[row].sum()} such of {len(self.samples)} people at this record",
            fix=fix,
        )

    def _refuse_conflict(self, rows: Rows, wrong: NDArray[np.bool_], single: NDArray[np.bool_]) -> None:
        """Refuse what no policy is for: one allele where everyone has two, or where that is not known.

        Parameters
        ----------
        wrong, single
            (V, N) calls that do not fit, and those of them that have one allele.
        """
        for row, person in np.argwhere(single).tolist():
            name, ploidy = self.samples[person], self.policy.ploidy
            need = ploidy.needed(rows.contig, name)
            if need is not None or not ploidy.depends_on_sex(rows.contig, int(rows.position[row])):
                raise self._not_diploid(rows, single, row, name, need)
        if self.policy.ploidy_conflict == "error":
            raise self._conflict(rows, wrong)

    def _not_diploid(
        self, rows: Rows, single: NDArray[np.bool_], row: int, name: str, need: str | None
    ) -> InputError:
        diploid = "bcftools +fixploidy makes haploid calls diploid; or leave the contig out"
        return InputError(
            "A call is not diploid.",
            where=f"{self.path}, {rows.name(row)}, {name}",
            expected="two alleles, such as 0|1",
            got=f"1 allele(s); {single[row].sum()} of {len(self.samples)} people at this record",
            fix=diploid if need is None else f"give {need}; or leave the genes of chr{rows.contig[-1]} out",
        )

    def _conflict(self, rows: Rows, wrong: NDArray[np.bool_]) -> InputError:
        row, person = (int(index) for index in np.argwhere(wrong)[0])
        one = bool(rows.calls[row, person, 1] == ABSENT)
        where = " outside the pseudo-autosomal regions" if plain_contig(rows.contig).upper() == "X" else ""
        man = f"a man has two different alleles on chr{plain_contig(rows.contig)}{where}"
        what = "a woman has one allele" if one else man
        return InputError(
            f"A call does not fit the ploidy: {what}.",
            where=f"{self.path}, {rows.name(row)}, {self.samples[person]}",
            expected="two alleles, such as 0|1" if one else "one allele, such as 1, or the same twice, 1|1",
            got=f"{wrong[row].sum()} such of {len(self.samples)} people at this record",
            fix="mend the person's sex, or par under [cohort]; or ploidy_conflict = 'missing' or 'drop'",
        )

    def _wrong_ref(self, rows: Rows, bad: NDArray[np.bool_], reference: Reference) -> InputError:
        row = int(np.argmax(bad))
        start = int(rows.position[row])
        there = reference.letters(Interval(rows.contig, start, start + len(rows.ref[row])))
        exchanged = ", which is this record's ALT" if there == rows.alt[row] else ""
        return InputError(
            "A variant's REF is not what the FASTA has there.",
            where=f"{self.path}, {rows.name(row)}",
            expected=f"{there} (in {reference.path}{exchanged})",
            got=f"REF {rows.ref[row]}; so do {bad.sum():,} of the {len(rows):,} variants read with it",
            fix=(
                "use a FASTA that is not hard-masked (soft-masked: dna_sm, lower-case); or "
                if there[:1] == "N"
                else ""
            )
            + "use the FASTA of the VCF's genome build; or drop such variants: ref_mismatch = 'drop'",
        )


def ref_differs(rows: Rows, reference: Reference) -> NDArray[np.bool_]:
    """Where (V,) a row's REF is not the FASTA's sequence, by the rules of `ref_fits`, case apart."""
    lengths = np.array([len(ref) for ref in rows.ref], dtype=np.int64)
    span = Interval(rows.contig, int(rows.position.min()), int((rows.position + lengths).max()))
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])  # where each REF starts among all letters
    offset = np.repeat(rows.position - span.start - first, lengths) + np.arange(lengths.sum())
    there = reference.fetch(span)[offset]
    differs = np.logical_or.reduceat(there != encode("".join(rows.ref)), first).astype(np.bool_)
    unknown = np.logical_or.reduceat(there == N_CODE, first)
    letters = reference.letters(span) if (differs & unknown).any() else ""
    for row in np.flatnonzero(differs & unknown).tolist():
        start = int(rows.position[row]) - span.start
        differs[row] = not ref_fits(rows.ref[row], letters[start : start + int(lengths[row])])
    return differs
