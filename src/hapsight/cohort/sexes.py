"""The people's sexes joined from the files, and what follows for the genes of chrX and chrY."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from hapsight.cohort.contigs import plain_contig
from hapsight.cohort.genotype_source import Genotypes
from hapsight.cohort.nouns import Dropped, Gene, Interval
from hapsight.cohort.people import Covariates, SampleSheet
from hapsight.cohort.ploidy import Ploidy, Sex, build_of
from hapsight.cohort.reference import Reference
from hapsight.errors import InputError

__all__ = ["crosses_par", "is_on", "join_sexes", "lacks_sex", "without_chry"]

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
