"""A sign prior as a term of the objective: variants should move the read-out the way that the prior says.

A prior of persons in training: what it explains of expression is taken out, and added to the prediction.

Nothing is learned from people who are not trained on, nor from genes that are not: one slope for all genes is
fitted to the seen genes of the training people, so it holds of unseen genes too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from hapsight.cohort.nouns import Variants
from hapsight.dna import Codes
from hapsight.least_squares import residualise
from hapsight.sequence.haplotypes import FetchReference, Window, personal_sequences
from hapsight.train.adapters import Adapter
from hapsight.train.inputs import GeneInput
from hapsight.train.losses import at_least_float32
from hapsight.train.targets import Targets

__all__ = ["SCALE", "ReadToggled", "SignTerm", "Toggled", "explained_by", "sign_loss", "toggle", "without"]

Float = NDArray[np.float64]


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
