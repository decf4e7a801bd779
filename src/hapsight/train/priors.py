"""A sign prior as a term of the objective: variants should move the read-out the way that the prior says.

A prior of persons in training: what it explains of expression is taken out, and added to the prediction.

Nothing is learned from people who are not trained on, nor from genes that are not: one slope for all genes is
fitted to the seen genes of the training people, so it holds of unseen genes too.

`Targets` are expression as a loss wants it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from hapsight.cohort.nouns import Variants
from hapsight.dna import Codes
from hapsight.errors import InputError
from hapsight.least_squares import residualise
from hapsight.sequence.haplotypes import FetchReference, Window, personal_sequences
from hapsight.train.adapters import Adapter, GeneInput
from hapsight.train.losses import Scale, at_least_float32

__all__ = [
    "SCALE",
    "ReadToggled",
    "SignTerm",
    "Targets",
    "Toggled",
    "explained_by",
    "rows_of",
    "sign_loss",
    "toggle",
    "without",
]

Float = NDArray[np.float64]

_RESOLUTION = 1e-9
"""A gene whose training people differ by no more than this, relative to their mean, counts as constant."""

_SHOWN = 10


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """Expression of G genes in N people.

    Attributes
    ----------
    measured
        (G, N) as in the file.
    residual
        (G, N) transformed, less the training people's mean and what covariates explain among them: what
        predictions are judged by, of every person and gene.
    mean, spread
        (G,) mean of the transformed expression, and standard deviation (n - 1) of the residual, of the
        training people; a spread of 0 is a gene that does not vary among them.
    """

    gene_ids: tuple[str, ...]
    measured: Float
    residual: Float
    mean: Float
    spread: Float

    @classmethod
    def of(
        cls,
        gene_ids: Sequence[str],
        measured: Float,
        transformed: Float,
        covariates: Float | None,
        train: NDArray[np.bool_],
    ) -> Self:
        """Fit what is fitted, to the people of `train`.

        Parameters
        ----------
        measured, transformed
            (G, N).
        covariates
            (N, C) or None.
        train
            (N,) who is trained on.

        Raises
        ------
        InputError
            The covariates leave nothing of the training people.
        """
        c_train = None if covariates is None else covariates[train]
        residual = residualise(transformed[:, train], c_train, transformed, covariates)[1]
        mean, spread = transformed[:, train].mean(axis=1), residual[:, train].std(axis=1, ddof=1)
        spread[spread <= _RESOLUTION * np.maximum(np.abs(mean), 1.0)] = 0.0
        return cls(tuple(gene_ids), measured, residual, mean, spread)

    def on_scale(self, scale: Scale, seen: NDArray[np.intp]) -> Float:
        """(G, N) targets of a loss.

        ``z``
            Residual over the gene's spread; 0 for a gene that does not vary among the training people.
        ``level``
            Mean and residual, in standard deviations of the means of the genes `seen` from their mean: the
            scale of a model that was trained to tell genes apart, such as Xpresso.
        ``counts``
            As measured, with no covariates taken out.

        Raises
        ------
        InputError
            ``counts`` of values below zero, or ``level`` of genes that all have one mean.
        """
        if scale == "z":
            known = self.spread > 0
            return np.where(known[:, None], self.residual / np.where(known, self.spread, 1.0)[:, None], 0.0)
        if scale == "level":
            return self._levels(seen)
        if self.measured.size and self.measured.min() < 0:
            gene = self.gene_ids[int(np.argmin(self.measured.min(axis=1)))]
            raise InputError(
                "A loss on counts meets expression below zero.",
                where=f"gene {gene}",
                expected="counts, RPKM or TPM",
                got=f"minimum {self.measured.min():g}",
                fix="give expression that is not normalised, or use a loss on z-scores (pairwise_mse)",
            )
        return self.measured

    def _levels(self, seen: NDArray[np.intp]) -> Float:
        means = self.mean[seen]
        spread = float(means.std(ddof=1)) if len(means) > 1 else 0.0
        if not spread:
            raise InputError(
                "A loss on levels needs genes of different mean expression.",
                expected="at least 2 seen genes with different means",
                got=f"{len(means)} genes",
            )
        return np.asarray((self.mean[:, None] + self.residual - means.mean()) / spread, np.float64)


def rows_of(wanted: Sequence[str], gene_ids: Sequence[str], where: object = None) -> NDArray[np.intp]:
    """Rows of the genes `wanted` among `gene_ids`.

    Raises
    ------
    InputError
        Some are not there; they are named.
    """
    row = {name: index for index, name in enumerate(gene_ids)}
    missing = [name for name in wanted if name not in row]
    if missing:
        raise InputError(
            "The expression does not have all genes that are to be trained on or judged.",
            where=where,
            expected=f"all of {len(wanted)} genes",
            got=f"{len(missing)} are missing: {', '.join(missing[:_SHOWN])}"
            + (" ..." if len(missing) > _SHOWN else ""),
            fix="give an expression file with these genes, or leave them out (keep_genes)",
        )
    return np.array([row[name] for name in wanted], dtype=np.intp)


def explained_by(
    prior: Float,
    targets: Targets,
    covariates: Float | None,
    train: NDArray[np.bool_],
    seen: NDArray[np.intp],
) -> Float:
    """(G, N) what a prior explains of z-scores: its part that covariates do not, times one slope.

    Parameters
    ----------
    prior
        (G, N) a number of each gene in each person.
    covariates
        (N, C) or None; regressed out of the prior by the training people's fit, as out of the targets.
    train
        (N,) who is trained on.
    seen
        Rows of the genes that are.
    """
    own = None if covariates is None else covariates[train]
    left = residualise(prior[:, train], own, prior, covariates)[1]
    fitted, z = (values[np.ix_(seen, train)] for values in (left, targets.on_scale("z", seen)))
    square = float(np.sum(fitted**2))
    slope = float(np.sum(fitted * z)) / square if square > 0 else 0.0
    explained: Float = slope * left
    return explained


def without(targets: Targets, explained: Float) -> Targets:
    """The targets less what is explained, (G, N) on the scale of z-scores; that scale stays as it is."""
    return replace(targets, residual=targets.residual - targets.spread[:, None] * explained)


Index = NDArray[np.intp]

SCALE: Final = 0.1
"""Effect on a haplotype, in the read-out's units, beyond which a right sign is soon enough; trained on
z-scores, these are standard deviations of expression."""

DRAWN: Final = 16
"""Variants of a gene that enter one micro-batch."""


@dataclass(frozen=True, slots=True, eq=False)
class Toggled:
    """The reference with the ALT allele of one variant each: V variants, D distinct sequences.

    Attributes
    ----------
    codes
        (D, L) in the model's orientation, wide enough for the read-out's shifts.
    reference, rows
        Which of these is the reference, and (V,) which has each variant's ALT.
    score
        (V,) above 0 where ALT should raise expression; its size is the variant's weight.
    """

    codes: Codes
    reference: int
    rows: Index
    score: Float


ReadToggled = Callable[[str], Toggled | None]
"""Gives a gene's variants with a prior; None where it has none."""


def toggle(
    window: Window, variants: Variants, score: Float, fetch_reference: FetchReference
) -> Toggled | None:
    """Put each variant with a score other than 0 into the reference by itself.

    Sequences are those of people who carry one variant each on one haplotype, so that indels, the window's
    edges and the place of the TSS are as everywhere.
    """
    kept = np.flatnonzero(score)
    if not len(kept):
        return None
    alleles = np.zeros((len(kept), len(kept), 2), np.uint8)
    np.fill_diagonal(alleles[..., 0], 1)
    ref, alt, names = (tuple(x[v] for v in kept) for x in (variants.ref, variants.alt, variants.variant_id))
    carriers = tuple(map(str, range(len(kept))))
    alone = Variants(variants.contig, variants.position[kept], ref, alt, names, alleles, carriers)
    found = personal_sequences(window, lambda _: alone, fetch_reference)
    reference = int(found.index[0, 1])
    return Toggled(found.oriented(found.distinct), reference, found.index[:, 0], score[kept])


def sign_loss(effect: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
    """Mean over V variants of ``|score| * softplus(-sign(score) * effect / SCALE)``.

    Parameters
    ----------
    effect, score
        (V,); a score of 0 adds nothing.
    """
    return torch.mean(score.abs() * F.softplus(-torch.sign(score) * effect / SCALE))


@dataclass(eq=False)
class SignTerm:
    """The term, of genes as they are drawn; their sequences are kept while they fit into memory.

    Attributes
    ----------
    weight
        Of the term beside the loss.
    budget
        Bytes that may be kept.
    """

    adapter: Adapter
    read: ReadToggled
    weight: float
    budget: int
    _kept: dict[str, tuple[GeneInput, Toggled] | None] = field(default_factory=dict)
    _bytes: int = 0

    def __call__(self, gene_id: str, view: int, rng: np.random.Generator) -> torch.Tensor | None:
        """Weight times the loss of up to `DRAWN` variants in one view of the read-out; None without any.

        Parameters
        ----------
        view
            Number among the views of the read-out.
        """
        found = self._gene(gene_id)
        if found is None:
            return None
        made, toggled = found
        count = len(toggled.rows)
        drawn = np.sort(rng.choice(count, min(count, DRAWN), replace=False))
        rows, place = np.unique([toggled.reference, *toggled.rows[drawn]], return_inverse=True)
        given = at_least_float32(made.views[view].values(rows))
        values = given[torch.from_numpy(place).to(self.adapter.device)]
        score = torch.as_tensor(toggled.score[drawn], dtype=values.dtype, device=values.device)
        return self.weight * sign_loss(values[1:] - values[0], score)

    def _gene(self, gene_id: str) -> tuple[GeneInput, Toggled] | None:
        if gene_id in self._kept:
            return self._kept[gene_id]
        toggled = self.read(gene_id)
        if toggled is None:
            self._kept[gene_id] = None
            return None
        made = self.adapter.gene(toggled.codes, max(0, self.budget - self._bytes))
        if self.adapter.mode == "frozen" or self._bytes + made.nbytes <= self.budget:
            self._kept[gene_id] = made, toggled
            self._bytes += made.nbytes
        return made, toggled
