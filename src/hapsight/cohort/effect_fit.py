"""Whether a table of effects is of this genome at all: told before its numbers are used.

How its alleles lie on the FASTA, and whether its effects have both signs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.alleles import WeightRow, align_weights
from hapsight.cohort.check import CheckResult
from hapsight.cohort.contigs import build_of, find_contig, plain_contig
from hapsight.cohort.nouns import Interval, Variants
from hapsight.cohort.reference import Reference, ref_fits
from hapsight.errors import InputError

if TYPE_CHECKING:
    from hapsight.cohort.effect_tables import EffectTable

__all__ = ["LEANS", "SAMPLE", "AlleleFit", "alleles_on_fasta", "require_fit", "sign_check", "table_checks"]

SAMPLE: Final = 5
"""Genes that are looked at."""
_ROWS: Final = 500
"""Rows of a gene whose alleles are compared with the FASTA."""
_FEW: Final = 0.5
"""Share of rows that are matched to variants from which on nothing is asked."""
_AGREES: Final = 0.8
"""Share of places with one of both alleles in the FASTA below which they are not of this FASTA: of another
build it is about a half."""
_SHIFTED: Final = 0.95
"""Share that agrees a base further from which on positions are counted from the wrong number."""
_SURE: Final = 20
"""Places that say so much even where some rows found a variant."""


def require_fit(
    path: Path,
    what: str,
    samples: Iterable[tuple[Sequence[WeightRow], Variants]],
    reference: Reference,
    unplaced: int = 0,
) -> None:
    """Refuse a table most of whose rows find no variant because its places are not those of the FASTA.

    Parameters
    ----------
    samples
        Rows of some genes, and the cohort's variants around these.
    unplaced
        Rows of another build that are in no sample, since they have no place.

    Raises
    ------
    InputError
        Few rows find a variant, and most are on other contigs than their genes; or the names of the variants
        are of another build, or the alleles are not in the FASTA at their places: these are of another build,
        or counted from 0 where 1 is expected, or from 1 where 0 is.
    """
    found = _Found()
    for rows, variants in samples:
        found.add(rows, variants, reference)
    if not found.used and unplaced:
        found.total, found.elsewhere = found.total + unplaced, found.elsewhere + unplaced
    if not found.total or found.used >= _FEW * found.total:
        return
    if len(found.astray) > _FEW * found.total:
        raise _other_contigs(path, what, found)
    if found.elsewhere > _FEW * found.total:
        named = f"{found.elsewhere:,} of {found.total:,} variants are named for another build"
        raise _other_build(path, what, reference, named)
    agree, places = found.agree, found.places
    if places < (_SURE if found.used else 1) or agree[0] >= _AGREES * places:
        return
    for shift, counted in ((1, 0), (-1, 1)):
        if agree[shift] >= (_SHIFTED if places >= _SURE else 1.0) * places:
            raise _shifted(path, what, reference, counted, found.words())
    if places >= _SURE:
        raise _other_build(path, what, reference, found.words())


@dataclass
class _Found:
    """What became of rows that were looked at.

    Attributes
    ----------
    astray
        Contigs of rows that are not on their gene's, and the genes' contigs.
    agree
        Of `places`, those with one of both alleles in the FASTA there, a base before, and a base behind.
    """

    used: int = 0
    total: int = 0
    elsewhere: int = 0
    astray: list[tuple[str, str]] = field(default_factory=list)
    places: int = 0
    agree: dict[int, int] = field(default_factory=lambda: dict.fromkeys((0, -1, 1), 0))

    def add(self, rows: Sequence[WeightRow], variants: Variants, reference: Reference) -> None:
        """Take up the rows of a gene."""
        aligned = align_weights(rows, variants)
        self.used, self.total = self.used + aligned.n_used, self.total + len(rows)
        self.elsewhere += aligned.counts["other_build"]
        own = plain_contig(variants.contig)
        here = [row for row in rows if row.place and row.place.contig == own]
        self.astray += [(row.place.contig, own) for row in rows if row.place and row.place.contig != own]
        self.places += len(here[:_ROWS])
        for shift in self.agree:
            self.agree[shift] += sum(_agrees(row, variants.contig, shift, reference) for row in here[:_ROWS])

    def words(self) -> str:
        """What an error says."""
        return (
            f"neither allele at {self.places - self.agree[0]:,} of {self.places:,} places; "
            f"{self.used:,} of {self.total:,} rows find a variant"
        )


def _agrees(row: WeightRow, contig: str, shift: int, reference: Reference) -> bool:
    """Whether the FASTA has one of both alleles at the place of a row, or some bases from there."""
    assert row.place is not None
    return _lies(reference, contig, row.place.position + shift, row.ref_allele, row.eff_allele) in _THERE


def _other_contigs(path: Path, what: str, found: _Found) -> InputError:
    theirs, own = (", ".join(sorted(set(names))[:3]) for names in zip(*found.astray, strict=True))
    return InputError(
        f"The places of the {what} are on other contigs than their genes.",
        where=path,
        expected=f"contigs such as {own}, with or without chr",
        got=f"{theirs}, in {len(found.astray):,} of {found.total:,} rows",
        fix="name the contigs as the cohort does",
    )


def _other_build(path: Path, what: str, reference: Reference, got: str) -> InputError:
    return InputError(
        f"The {what} are of another genome build than the cohort.",
        where=path,
        expected=f"places and alleles of {reference.path}",
        got=got,
        fix="lift the table over to the cohort's build, or give rsIDs that the genotypes have",
    )


def _shifted(path: Path, what: str, reference: Reference, counted: int, got: str) -> InputError:
    return InputError(
        f"The positions of the {what} are counted from {counted}, where they are read as from {1 - counted}.",
        where=path,
        expected=f"alleles of {reference.path} at their places: columns chrom, pos and variant_id from 1, "
        "contig, position from 0",
        got=got,
        fix=f"{'subtract 1 from' if counted else 'add 1 to'} the positions",
    )


LEANS: Final = (
    "a read-out that saturates or has no sign, or REF and ALT swapped for most variants of the genotypes"
)
"""What to look at where most effects of a model have one sign."""
_LOOKED_AT: Final = 5_000
"""Variants of a table whose alleles are compared with the FASTA, evenly spread."""
_KINDS: Final = {
    "fits": "have their REF in the FASTA",
    "exchanged": "their ALT (swapped)",
    "flipped": "their REF on the other strand",
    "flipped_exchanged": "their ALT on the other strand",
    "neither": "neither",
}
_THERE: Final = ("fits", "exchanged")
_TOO_MANY: Final = 0.05
"""Share of variants of the other strand, or with neither allele, from which on it is no accident."""
_ONE_SIGN: Final = 0.75
"""Share of effects with one sign, and of variants with exchanged alleles, above which it is no accident."""
_COMPLEMENT: Final = {"A": "T", "T": "A", "C": "G", "G": "C"}


@dataclass(frozen=True, slots=True, eq=False)
class AlleleFit:
    """How the alleles of a table lie on the FASTA.

    Attributes
    ----------
    total
        Different variants of the table.
    unplaced
        Of these, those without a place in this build and on this FASTA, or without bases as alleles.
    counts
        Of those that were looked at: by the keys of `_KINDS`.
    shifted
        Share with one of both alleles in the FASTA a base before and behind; where few have at their place.
    palindromic
        Of these, A/T and C/G, of which the FASTA cannot tell an exchange from the other strand.
    effects
        By track: its effects on these variants, per copy of the allele that the FASTA has not; without those
        of which neither allele is in the FASTA.
    """

    total: int
    unplaced: int
    counts: Counter[str]
    shifted: dict[int, float]
    palindromic: int
    effects: dict[str, NDArray[np.float64]]

    @property
    def looked_at(self) -> int:
        """Variants that were compared with the FASTA."""
        return self.counts.total()

    def words(self) -> str:
        """One sentence."""
        found = ", ".join(f"{self.counts[kind]:,} {words}" for kind, words in _KINDS.items())
        unplaced = f"; {self.unplaced:,} have no place on this FASTA" if self.unplaced else ""
        return (
            f"of {self.looked_at:,} of {self.total:,} variants, {found}; "
            f"{self.palindromic:,} are A/T or C/G{unplaced}"
        )


def alleles_on_fasta(given: EffectTable, reference: Reference) -> AlleleFit:
    """Compare the alleles of a table with the FASTA at their places, of at most 5,000 variants."""
    key = ["contig", "position", "ref", "alt"]
    table = given.table.with_columns(pl.col("contig").cast(pl.String))
    named = [name for name in table["contig"].drop_nulls().unique() if find_contig(name, reference.contigs)]
    bases = pl.all_horizontal(pl.col(name).str.contains("^[ACGTN]+$") for name in ("ref", "alt"))
    elsewhere = (pl.col("build") != pl.lit(build_of(reference.contigs))).fill_null(False)
    variants = table.select(*key, "build", "rsid").unique(maintain_order=True)
    here = pl.col("contig").is_in(named) & pl.col("position").is_not_null() & bases & ~elsewhere
    here = here.fill_null(False)
    placed, unplaced = variants.filter(here).unique(key, maintain_order=True), variants.filter(~here)
    chosen = np.unique(np.linspace(0, len(placed) - 1, min(_LOOKED_AT, len(placed))).round().astype(int))
    looked = placed.select(key)[chosen]
    kinds = _lie(looked, reference)
    counts = Counter(kinds)
    others = () if _agreement(kinds) >= _AGREES else (-1, 1)
    palindromic = (looked["ref"] == looked["alt"].replace(_COMPLEMENT)).sum() if len(looked) else 0
    turned = looked.with_columns(kind=pl.Series(kinds, dtype=pl.String)).filter(pl.col("kind") != "neither")
    rows = table.join(turned, on=key, how="inner")
    sign = pl.when(pl.col("kind").str.ends_with("exchanged")).then(-1.0).otherwise(1.0)
    track = pl.col("track") if "track" in rows.columns else pl.lit("")
    rows = rows.select(track=track, value=pl.col("value") * sign)
    return AlleleFit(
        total=len(placed) + len(unplaced),
        unplaced=len(unplaced),
        counts=counts,
        shifted={shift: _agreement(_lie(looked, reference, shift)) for shift in others},
        palindromic=int(palindromic),
        effects={
            str(name): part["value"].to_numpy()
            for (name,), part in rows.group_by("track", maintain_order=True)
        },
    )


def _lie(variants: pl.DataFrame, reference: Reference, shift: int = 0) -> list[str]:
    """Which of `_KINDS` each variant is, at its place or some bases from there."""
    names = {name: find_contig(name, reference.contigs) or name for name in variants["contig"].unique()}
    rows = variants.select("contig", "position", "ref", "alt").iter_rows()
    return [_lies(reference, names[contig], start + shift, ref, alt) for contig, start, ref, alt in rows]


def _agreement(kinds: Sequence[str]) -> float:
    """Share of variants with one of both alleles in the FASTA, on its strand."""
    return sum(kind in _THERE for kind in kinds) / max(len(kinds), 1)


def _lies(reference: Reference, contig: str, start: int, ref: str, alt: str) -> str:
    """Which of `_KINDS` a variant is.

    An SNV that is neither A/T nor C/G is always of the first four: places that are wrong make each a quarter.
    """
    there = reference.letters(Interval(contig, start, start + max(len(ref), len(alt))))
    if ref_fits(ref, there[: len(ref)]):
        return "fits"
    if ref_fits(alt, there[: len(alt)]):
        return "exchanged"
    if len(ref) == len(alt) == 1:
        if _COMPLEMENT.get(ref) == there:
            return "flipped"
        if _COMPLEMENT.get(alt) == there:
            return "flipped_exchanged"
    return "neither"


def table_checks(label: str, given: EffectTable, reference: Reference) -> list[CheckResult]:
    """Rows ``alleles`` and ``signs`` of a table of weights, effects or QTLs."""
    fit = alleles_on_fasta(given, reference)
    if not fit.looked_at:
        nothing = f"not tested: none of {fit.total:,} variants has a place on this FASTA"
        return [CheckResult.about(label, asks, "warn", nothing) for asks in ("alleles", "signs")]
    doubts = tuple(_doubts(fit))
    alleles = CheckResult.about(label, "alleles", "warn" if doubts else "pass", fit.words(), doubts)
    said = "effects, per copy of the allele that the FASTA has not,"
    mend = "a score without a sign (a size, a p, a maximum) is no effect: choose another column or dataset"
    return [alleles, sign_check(label, fit.effects, said, mend)]


def _doubts(fit: AlleleFit) -> Iterator[str]:
    """What to look at."""
    flipped = fit.counts["flipped"] + fit.counts["flipped_exchanged"]
    agree = fit.counts["fits"] + fit.counts["exchanged"]
    if fit.looked_at < _SURE:
        return
    if agree < _AGREES * fit.looked_at and flipped < _AGREES * fit.looked_at:
        counted = next(
            (counted for shift, counted in ((1, 0), (-1, 1)) if fit.shifted[shift] >= _SHIFTED), None
        )
        yield (
            "places of another build, or alleles of both strands: look at the build"
            if counted is None
            else f"positions are counted from {counted}, where they are read as from {1 - counted}"
        )
    elif flipped > _TOO_MANY * fit.looked_at:
        yield "alleles of the other strand: A/T and C/G cannot be told from swapped ones, and are not used"
    elif fit.counts["neither"] > _TOO_MANY * fit.looked_at:
        yield "neither allele at its place: look at the build"
    if fit.counts["exchanged"] > _ONE_SIGN * fit.looked_at:
        yield "nearly all swapped: check whether the value is per copy of the allele that is read as ALT"


def sign_check(
    label: str, effects: dict[str, NDArray[np.float64]], what: str, to_look_at: str
) -> CheckResult:
    """Row ``signs``: warns where more than 75 % of the effects other than 0 have one sign.

    Parameters
    ----------
    effects
        By track; the one that leans most is told of.
    what
        The effects in words, between their number and what they are.
    """
    found = [(name, int((x > 0).sum()), int((x != 0).sum()), len(x)) for name, x in effects.items()]
    known = [one for one in found if one[2] >= _SURE]
    if not known:
        most = max((one[2] for one in found), default=0)
        few = f"not judged: {most} {what} are not 0, fewer than {_SURE}"
        return CheckResult.about(label, "signs", "pass", few)
    track, positive, n, total = max(known, key=lambda one: abs(one[1] / one[2] - 0.5))
    of = f" (track {track}, of {len(found)} the one that leans most)" if len(found) > 1 else ""
    message = f"{positive / n:.0%} of {n:,} {what} are positive; {total - n:,} more are exactly 0{of}"
    if max(positive, n - positive) <= _ONE_SIGN * n:
        return CheckResult.about(label, "signs", "pass", message)
    return CheckResult.about(label, "signs", "warn", message, (f"to look at: {to_look_at}",))
