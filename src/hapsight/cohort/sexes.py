"""The people's sexes joined from the files, and what follows for the genes of chrX and chrY.

Whose genotypes are whose: people's expression against everybody's genotypes, at the strongest eQTLs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.contigs import plain_contig
from hapsight.cohort.genotype_source import Genotypes
from hapsight.cohort.nouns import Dropped, Gene, Interval, merge_intervals
from hapsight.cohort.people import Covariates, SampleSheet
from hapsight.cohort.ploidy import Ploidy, Sex, build_of
from hapsight.cohort.reference import Reference
from hapsight.errors import InputError

__all__ = [
    "LEAST_R",
    "MARGIN",
    "Mismatch",
    "crosses_par",
    "find_mismatches",
    "is_on",
    "join_sexes",
    "lacks_sex",
    "match_scores",
    "strongest_variant",
    "without_chry",
    "without_par",
]

_EXPLAINED = 0.99
"""Share of the variance of sex that covariates explain where sex, or a copy of it, is one of them."""


def is_on(contig: str, plain: str) -> bool:
    """Whether a contig, by whatever name, is ``X`` or ``Y``."""
    return plain_contig(contig).upper() == plain


def join_sexes(
    sheet: SampleSheet | None,
    genotypes: Genotypes,
    samples: Sequence[str],
    genes: Collection[Gene],
    reference: Reference,
    given: Ploidy,
) -> tuple[Ploidy, tuple[str, ...]]:
    """Who has one copy of what, by the sample sheet and the genotypes' own files; and notes on chrX.

    Where no gene lies on chrX or chrY, nobody's sex is looked at.

    Parameters
    ----------
    given
        What the configuration says.

    Raises
    ------
    InputError
        A sex is no word that is known, or the sample sheet and the genotypes contradict each other.
    """
    x = next((gene.contig for gene in genes if is_on(gene.contig, "X")), None)
    if x is None and not any(is_on(gene.contig, "Y") for gene in genes):
        return given, ()
    length = None if x is None else reference.contigs[x]
    ploidy = given.of(_one_sex_each(sheet, genotypes, samples), samples, length)
    return ploidy, () if length is None else _chrx_notes(ploidy, samples, length)


def _one_sex_each(
    sheet: SampleSheet | None, genotypes: Genotypes, samples: Sequence[str]
) -> Mapping[str, Sex]:
    theirs, ours = genotypes.sexes, {} if sheet is None else sheet.sexes()
    other = [name for name in samples if theirs.get(name, ours.get(name)) != ours.get(name, theirs.get(name))]
    if other and sheet is not None:
        raise InputError(
            f"The sex of {len(other)} people is not the same in the sample sheet and in the genotypes.",
            where=f"{sheet.path}, {', '.join(other[:5])}",
            expected=f"{other[0]} {theirs[other[0]]}, as in {genotypes.paths[-1]}",
            got=ours[other[0]],
            fix="mend the one that is wrong; in the sample sheet it may be empty",
        )
    return {**theirs, **ours}


def _chrx_notes(ploidy: Ploidy, samples: Sequence[str], length: int) -> tuple[str, ...]:
    build, men, notes = build_of(length), len(ploidy.men), []
    if men and ploidy.par is None:
        notes.append(
            f"chrX of the FASTA has {length:,} bases, so its pseudo-autosomal regions are not known, and par "
            "under [cohort] does not give them: calls are taken as they are written"
        )
    elif men:
        of = f" of {build.name}" if build is not None and build.par == ploidy.par else ""
        notes.append(
            f"chrX outside the pseudo-autosomal regions{of}: each of {men} men has one haplotype, and its "
            f"value; his ALT counts once in frequencies, and is a dosage of {ploidy.dosage} in linear methods"
        )
    unknown = len(samples) - men - len(ploidy.women)
    if unknown:
        notes.append(
            f"chrX: the sex of {unknown} of {len(samples)} people is not known (column sex of the sample "
            "sheet), so their calls are taken as they are written"
        )
    return tuple(notes)


def without_chry(
    genes: dict[int, Gene], ploidy: Ploidy, samples: Sequence[str], dropped: Dropped
) -> dict[int, Gene]:
    """The genes without those of chrY, where not everybody is known to be a man.

    Raises
    ------
    InputError
        No gene is left.
    """
    if ploidy.men.issuperset(samples):
        return genes
    kept = {i: gene for i, gene in genes.items() if not is_on(gene.contig, "Y")}
    for i in genes.keys() - kept.keys():
        dropped.add("gene", "on chrY, of which not everybody is known to have a copy", genes[i].gene_id)
    if not kept:
        raise InputError(
            "All genes lie on chrY, of which not everybody is known to have a copy.",
            expected="men only, by the column sex of the sample sheet",
            got=f"{len(ploidy.men)} of {len(samples)} people are known to be men",
            fix="use a sample sheet of the men, or genes of other chromosomes",
        )
    return kept


def crosses_par(window: Interval, ploidy: Ploidy) -> bool:
    """Whether men have two copies of one part of a window, and one of another.

    Examples
    --------
    >>> crosses_par(Interval("chrX", 50, 150), Ploidy(par=((0, 100),)))
    True
    """
    if not is_on(window.contig, "X"):
        return False
    return any(window.start < edge < window.end for region in ploidy.par or () for edge in region if edge)


def without_par(
    places: Mapping[str, NDArray[np.int64]], windows: Sequence[Interval], ploidy: Ploidy
) -> Iterator[str]:
    """What may be missing where the windows have no variant of a pseudo-autosomal region.

    Parameters
    ----------
    places
        Where variants of the windows begin, ascending, by contig.
    """
    on_x = [window for window in windows if is_on(window.contig, "X")]
    found = np.concatenate([np.empty(0, np.int64), *(v for name, v in places.items() if is_on(name, "X"))])
    for start, end in _bare_pars(found, merge_intervals(on_x), ploidy):
        yield f"none of the pseudo-autosomal chrX:{start + 1:,}-{end:,}: {_OWN_FILES}"
    if ploidy.par is None and any(not _any(found, window.start, window.end) for window in on_x):
        yield f"windows of chrX have none, and its pseudo-autosomal regions are not known: {_OWN_FILES}"


_OWN_FILES: Final = (
    "plink2 --split-par and imputation servers put these regions into files of their own (PAR1, PAR2, XY); "
    "give all as genotypes"
)


def _bare_pars(
    found: NDArray[np.int64], windows: Sequence[Interval], ploidy: Ploidy
) -> Iterator[tuple[int, int]]:
    """Regions without a variant where, by the rest of chrX, many are to be expected in the windows."""
    regions = ploidy.par or ()
    inside = [sum(max(min(w.end, e) - max(w.start, s), 0) for w in windows) for s, e in regions]
    elsewhere = sum(len(window) for window in windows) - sum(inside)
    outside = int(ploidy.is_outside_par(found).sum())
    for region, bases in zip(regions, inside, strict=True):
        if bases and not _any(found, *region) and outside * bases >= _SURELY * elsewhere:
            yield region


def _any(found: NDArray[np.int64], start: int, end: int) -> bool:
    return bool(np.searchsorted(found, start) < np.searchsorted(found, end))


_SURELY: Final = 10
"""Variants expected where there is none: by chance in e**-10 of cases."""


def lacks_sex(covariates: Covariates | None, ploidy: Ploidy, samples: Sequence[str]) -> bool:
    """Whether there are men and women, and the covariates do not tell them apart."""
    known = np.array([name in ploidy.men or name in ploidy.women for name in samples])
    male = np.array([name in ploidy.men for name in samples], np.float64)[known]
    if not len(male) or np.ptp(male) == 0:
        return False
    columns = np.ones((len(male), 1))
    if covariates is not None:
        columns = np.hstack([columns, covariates.values[known]])
    left = male - columns @ np.linalg.lstsq(columns, male, rcond=None)[0]
    return bool(left.var() > (1 - _EXPLAINED) * male.var())


Float = NDArray[np.float64]

LEAST_R = 0.3
"""Weaker eQTLs are left out: their correlation is mostly the luck of the best of many variants."""

MARGIN = 15.0
"""Log likelihood ratio, other person against the own one, from which on a match is called wrong."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Expression that fits another person's genotypes: that of `expression_of` fits those of `fits`.

    Attributes
    ----------
    exchanged
        True where the other person's expression does not fit their own genotypes either, as when names
        were exchanged; else the expression may be of poor quality, or mixed.
    """

    expression_of: int
    fits: int
    log_ratio: float
    exchanged: bool


def strongest_variant(dosage: NDArray[np.uint8], expression: Float) -> tuple[Float, float] | None:
    """The variant most correlated with expression: (N,) its standardised dosage, and r.

    Returns ``None`` where neither varies.
    """
    if not np.ptp(expression):
        return None
    copies, people = dosage.astype(np.float64), dosage.shape[1]
    total = copies.sum(axis=1)
    spread = np.sqrt(people * np.einsum("vn,vn->v", copies, copies) - total**2) / people  # of whole numbers
    if not np.any(spread):
        return None
    outcome = (expression - expression.mean()) / expression.std()
    r = (copies @ outcome - total * outcome.mean()) / (people * np.where(spread > 0, spread, np.inf))
    best = int(np.argmax(np.abs(r)))
    return (copies[best] - total[best] / people) / spread[best], float(r[best])


def match_scores(dosage: Float, expression: Float, r: Float) -> Float:
    """Log likelihood ratio of every pairing of people, against expression that knows no genotype.

    Gene by gene, expression given dosage is normal with mean ``r * dosage`` and variance ``1 - r^2``; genes
    are taken as independent, so the ratios of several groups of genes add up.

    Parameters
    ----------
    dosage, expression
        (G, N), both standardised: of the gene's strongest variant, and of the gene.
    r
        (G,) their correlation.

    Returns
    -------
    (N, N): row i for the genotypes of person i, column j for the expression of person j.
    """
    noise = 1.0 - r**2
    cross = (dosage * (r / noise)[:, None]).T @ expression
    own = (r**2 / (2 * noise)) @ dosage**2
    others = (r**2 / (2 * noise)) @ expression**2
    return np.asarray(cross - own[:, None] - others[None, :] - 0.5 * np.log(noise).sum(), dtype=np.float64)


def find_mismatches(scores: Float, margin: float = MARGIN) -> list[Mismatch]:
    """People whose expression fits somebody else's genotypes better by more than `margin`."""
    best = np.argmax(scores, axis=0)
    ratio = scores[best, np.arange(len(best))] - np.diagonal(scores)
    wrong = ratio > margin
    return [
        Mismatch(int(j), int(best[j]), float(ratio[j]), bool(wrong[best[j]])) for j in np.flatnonzero(wrong)
    ]
