"""Principal components of a cohort's genotypes, as covariates: of common, thinned variants, as PLINK 2 does.

Components are of all people, held-out ones among them, but of nobody's expression: they tell no fold what it
is to predict. A person who is not in the cohort has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.contigs import find_contig, plain_contig
from hapsight.cohort.genotype_source import Genotypes
from hapsight.cohort.genotype_store import lenient_policy
from hapsight.cohort.nouns import Interval, Variants
from hapsight.cohort.people import Covariates
from hapsight.cohort.policies import GenotypePolicy
from hapsight.cohort.reference import Reference
from hapsight.errors import InputError

__all__ = ["PCS_VERSION", "GenotypePCs", "components", "genotype_pcs", "standardised", "thinned"]

PCS_VERSION: Final = 3
"""Raised with any change after which the same genotypes would give other components."""

MIN_MAF: Final = 0.05
MAX_R2: Final = 0.2
"""Variants of which one predicts another as well as that, within `_LINKED` bases, are not both used."""

_LINKED: Final = 500_000
_SPACING: Final = 10_000
_STRETCH: Final = 2_000
_MOST: Final = 30_000
_FEWEST: Final = 100
_NOT_AUTOSOMES: Final = {"X", "Y", "M", "MT", "XY", "W", "Z"}


@dataclass(frozen=True, slots=True, eq=False)
class GenotypePCs:
    """Components of N people.

    Attributes
    ----------
    covariates
        ``genotype_PC1`` and so on, (N, k), each of unit length.
    eigenvalues
        (k,) of the matrix of relationships, descending.
    variants
        How many variants it is made from.
    """

    covariates: Covariates
    eigenvalues: NDArray[np.float64]
    variants: int

    def beside(self, covariates: Covariates | None) -> Covariates:
        """These people's other covariates, and the components after them."""
        if covariates is None:
            return self.covariates
        names = covariates.names + self.covariates.names
        return Covariates(names, covariates.samples, np.hstack([covariates.values, self.covariates.values]))

    def __str__(self) -> str:
        found = ", ".join(f"{value:.3g}" for value in self.eigenvalues[:10])
        return (
            f"{len(self.eigenvalues)} genotype PCs are covariates: of {self.variants:,} common, thinned "
            "variants and of all people, held-out ones too, who add their genotypes but no expression; "
            f"eigenvalues {found}"
        )


def genotype_pcs(
    genotypes: Genotypes, reference: Reference, samples: Sequence[str], count: int
) -> GenotypePCs:
    """The first `count` principal components of these people's genotypes.

    SNVs of the autosomes with a minor allele frequency of 5 % and more and no missing call; at most one of
    every 10 kb (of large genomes farther apart, 30,000 in all), and none that another within 500 kb predicts
    with r squared over 0.2.

    Raises
    ------
    InputError
        There are too few people, or fewer than 100 such variants (or not more than components).
    """
    source = genotypes.keeping(samples, _policy(genotypes.policy))
    chosen = [thinned(variants) for variants in _sparse(source, reference)]
    dosage = np.concatenate([np.empty((0, len(samples)), np.uint8), *(found.dosage for found in chosen)])
    fewest = max(_FEWEST, count + 1)
    if len(dosage) < fewest or len(samples) < count + 2:
        raise InputError(
            f"The genotypes do not give {count} principal components.",
            where="genotype_pcs under [cohort]",
            expected=f"{fewest} common variants, thinned, of autosomes; {count + 2} people",
            got=f"{len(dosage)} variants of {len(samples)} people",
            fix="leave genotype_pcs out, and give components made from whole genomes as covariates "
            "(plink2 --pca writes an .eigenvec, which hapsight reads)",
        )
    vectors, values = components(dosage, count)
    names = tuple(f"genotype_PC{n}" for n in range(1, count + 1))
    return GenotypePCs(Covariates(names, tuple(samples), vectors), values, len(dosage))


def _policy(policy: GenotypePolicy) -> GenotypePolicy:
    """Common SNVs; a fault of one, far from any gene, is no reason to stop."""
    return replace(lenient_policy(policy), snv_only=True, min_maf=MIN_MAF, missing="drop")


def _sparse(source: Genotypes, reference: Reference) -> Iterator[Variants]:
    """Of each autosome, the first common variant of each of many short stretches."""
    named = {name: find_contig(name, tuple(reference.contigs)) for name in source.contigs}
    lengths = {
        there: reference.contigs[there]
        for name, there in named.items()
        if there is not None and plain_contig(name).upper() not in _NOT_AUTOSOMES
    }
    spacing = max(_SPACING, sum(lengths.values()) // _MOST)
    for contig, length in lengths.items():
        first = [
            variants.take(np.array([0]))
            for start in range(0, length, spacing)
            if len(
                variants := source.read(Interval(contig, start, min(start + _STRETCH, length)), reference)[0]
            )
        ]
        if first:
            yield _joined(first)


def _joined(parts: Sequence[Variants]) -> Variants:
    return Variants(
        parts[0].contig,
        np.concatenate([part.position for part in parts]),
        tuple(part.ref[0] for part in parts),
        tuple(part.alt[0] for part in parts),
        tuple(part.variant_id[0] for part in parts),
        np.concatenate([part.alleles for part in parts]),
        parts[0].samples,
    )


def thinned(variants: Variants) -> Variants:
    """Of variants of one contig in order, each that none kept before it and near it predicts (`MAX_R2`).

    One of which all people are heterozygous, as where copies of a sequence are read as one, is left out.
    """
    variants = variants.take(np.ptp(variants.dosage, axis=1) > 0)
    rows = standardised(variants.dosage)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    kept: list[int] = []
    first = 0
    for row, position in enumerate(variants.position.tolist()):
        while first < len(kept) and variants.position[kept[first]] < position - _LINKED:
            first += 1
        near = kept[first:]
        if not near or float(np.max((rows[near] @ rows[row]) ** 2)) <= MAX_R2:
            kept.append(row)
    return variants.take(np.array(kept, np.intp))


def standardised(dosage: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(V, N) dosages as PLINK 2 has them for relationships: ``(g - 2 p) / sqrt(2 p (1 - p))``, p of ALT."""
    frequency = dosage.mean(axis=1, dtype=np.float64, keepdims=True) / 2
    scaled = (dosage - 2 * frequency) / np.sqrt(2 * frequency * (1 - frequency))
    return np.asarray(scaled, np.float32)


def components(dosage: NDArray[np.uint8], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Vectors (N, k) of unit length and eigenvalues (k,) of the people's relationships, as `plink2 --pca`.

    The relationships are ``Z.T @ Z / V`` of the standardised (V, N) dosages Z. They are never formed: the
    vectors are singular ones of Z (ARPACK), in single precision. A vector's largest entry is positive.
    """
    from scipy.sparse.linalg import svds

    rows = standardised(dosage)
    start = np.random.default_rng(0).standard_normal(min(rows.shape)).astype(np.float32)
    _, singular, right = svds(rows, k=count, v0=start, return_singular_vectors="vh")
    order = np.argsort(-singular)
    vectors = right[order].T.astype(np.float64)
    vectors *= np.sign(vectors[np.argmax(np.abs(vectors), axis=0), np.arange(count)])
    return vectors, singular[order].astype(np.float64) ** 2 / len(rows)
