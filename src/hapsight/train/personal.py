"""Training on people: one gene a batch, some people of it, and a loss that compares them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from hapsight.dna import Codes
from hapsight.errors import ConfigError, TrainingError
from hapsight.evaluate.correlation import correlate
from hapsight.models.onehot import with_gradients
from hapsight.predict.outputs import at_gene, finite
from hapsight.streams import stream
from hapsight.train.adapters import Adapter
from hapsight.train.inputs import GeneInput
from hapsight.train.losses import Loss, at_least_float32
from hapsight.train.sign_prior import SignTerm

__all__ = ["GeneSource", "Haplotypes", "PersonalTask", "predict_people"]

Index = NDArray[np.intp]
Float = NDArray[np.float64]

FEWEST_VALIDATED = 4
"""Validation people below which no gene has a correlation."""


@dataclass(frozen=True, slots=True, eq=False)
class Haplotypes:
    """A gene's haplotypes: D distinct ones, N people.

    Attributes
    ----------
    codes
        (D, L) in the model's orientation, wide enough for the read-out's shifts.
    index
        (N, 2) row of `codes` for each person's two haplotypes.
    """

    codes: Codes
    index: Index

    def of(self, people: Index) -> Haplotypes:
        """The same of these people only; what nobody of them has is left out."""
        kept, index = np.unique(self.index[people], return_inverse=True)
        return Haplotypes(self.codes[kept], index.reshape(-1, 2).astype(np.intp))


ReadHaplotypes = Callable[[str], Haplotypes]
"""Gives a gene's haplotypes, all people of the cohort in its order."""


@dataclass(eq=False)
class GeneSource:
    """Genes as the model takes them; kept while they fit into memory, else made when they are asked for.

    Attributes
    ----------
    people
        Whose haplotypes; row p of what comes out is ``people[p]`` of the cohort.
    budget
        Bytes that may be kept.
    """

    adapter: Adapter
    read: ReadHaplotypes
    people: Index
    budget: int
    _kept: dict[str, tuple[GeneInput, Index]] = field(default_factory=dict)
    _bytes: int = 0

    def __call__(self, gene_id: str) -> tuple[GeneInput, Index]:
        """The gene's distinct haplotypes, and (P, 2) which of them each person has."""
        if gene_id in self._kept:
            return self._kept[gene_id]
        made = self.make(gene_id)
        if self.adapter.mode == "frozen" or self._bytes + made[0].nbytes <= self.budget:
            self._kept[gene_id] = made  # a frozen trunk's outputs beyond the budget lie in a file
            self._bytes += made[0].nbytes
        return made

    def make(self, gene_id: str) -> tuple[GeneInput, Index]:
        """The same, made anew and not kept."""
        found = self.read(gene_id).of(self.people)
        return self.adapter.gene(found.codes, max(0, self.budget - self._bytes)), found.index


@dataclass(eq=False)
class PersonalTask:
    """What `hapsight.train.loop.fit` is given: draws batches, and validates on people that it never draws.

    A batch is a function of seed, step, micro-batch, rank and number of processes, and of nothing else. It
    is of one gene, in one view: where the read-out is a mean over strands or shifts, these are augmentation.

    Attributes
    ----------
    genes
        That are trained on, and validated.
    train, valid
        Haplotypes of the training and the validation people, in the order of `targets` and `observed`.
    targets
        Gene -> (P,) of the training people, on the loss's scale.
    observed
        Gene -> (V,) of the validation people, on any scale.
    people_per_batch
        Of those that there are.
    prior
        A term that is added to the loss, of the same gene in the same view.
    haplotypes
        How many distinct haplotypes have gone through the model in training, summed over batches.
    """

    adapter: Adapter
    loss_function: Loss
    genes: Sequence[str]
    train: GeneSource
    valid: GeneSource
    targets: Mapping[str, Float]
    observed: Mapping[str, Float]
    people_per_batch: int
    seed: int
    prior: SignTerm | None = None
    haplotypes: int = 0

    def __post_init__(self) -> None:
        if len(self.valid.people) < FEWEST_VALIDATED:
            raise ConfigError(
                "There are too few validation people for a correlation.",
                expected=f"at least {FEWEST_VALIDATED}",
                got=len(self.valid.people),
                fix="raise valid_share under [train]",
            )

    @property
    def model(self) -> torch.nn.Module:
        """The parameters."""
        return self.adapter.network

    def loss(self, step: int, micro: int, rank: int, world: int) -> torch.Tensor:
        """Loss of one gene in some training people.

        Raises
        ------
        TrainingError
            It is not a finite number.
        ModelError
            So it is before the first step, by the model's own prediction.
        """
        number = micro * world + rank
        gene, people = self.draw(step, number)
        made, index = self.train(gene)
        view = self.draw_view(len(made.views), step, number)
        rows, place = np.unique(index[people], return_inverse=True)
        self.haplotypes += len(rows)
        with with_gradients():
            with at_gene(gene):
                values = at_least_float32(made.views[view].values(rows))  # (H,)
            predicted = values[torch.from_numpy(place.reshape(-1, 2)).to(values.device)].mean(dim=1)
            target = torch.as_tensor(self.targets[gene][people], dtype=values.dtype, device=values.device)
            loss = self.loss_function(predicted, target)
            term = self._term(gene, view, step, number)
            loss = loss if term is None else loss + term
        if not math.isfinite(float(loss.detach())):
            if step == 0:  # nothing has been learnt yet: where predictions are at fault, the model is
                with at_gene(gene):
                    finite(self.adapter.model, values.detach().double().cpu().numpy(), "value")
            where = f"step {step + 1}, gene {gene}, {len(people)} people, loss {self.loss_function.name}"
            raise _not_finite(where, loss, predicted, target)
        return loss

    def _term(self, gene: str, view: int, step: int, number: int) -> torch.Tensor | None:
        """What the prior adds to the loss of a micro-batch."""
        if self.prior is None:
            return None
        return self.prior(gene, view, stream(self.seed, "prior of a batch", step, number))

    def draw(self, step: int, number: int) -> tuple[str, Index]:
        """The gene and the training people of micro-batch `number` of a step."""
        rng = stream(self.seed, "genes and people of a batch", step, number)
        gene = self.genes[int(rng.integers(len(self.genes)))]
        count = len(self.train.people)
        return gene, np.sort(rng.choice(count, min(count, self.people_per_batch), replace=False))

    def draw_view(self, count: int, step: int, number: int) -> int:
        """Which of the read-out's views a micro-batch takes: where there are several, any of them."""
        return 0 if count == 1 else int(stream(self.seed, "view of a batch", step, number).integers(count))

    def validate(self) -> dict[str, float]:
        """Mean over genes of Pearson's r over validation people; a gene without an r counts as 0.

        Returns
        -------
        ``score``; and ``genes_ok``, how many genes have an r: neither prediction nor expression is constant.
        """
        found = [correlate(self._predict(gene), self.observed[gene]).pearson_r for gene in self.genes]
        known = [r for r in found if r is not None]
        return {"score": sum(known) / len(found), "genes_ok": float(len(known))}

    def _predict(self, gene: str) -> Float:
        made, index = self.valid(gene)
        with at_gene(gene):
            return finite(self.adapter.model, predict_people(made, index), "value")


def predict_people(made: GeneInput, index: Index) -> Float:
    """(P,) predictions: the mean of the read-out over a person's two haplotypes, on the model's own scale.

    Parameters
    ----------
    index
        (P, 2) distinct haplotypes.
    """
    rows, place = np.unique(index, return_inverse=True)
    return np.asarray(made.predict(rows)[place.reshape(-1, 2)].mean(axis=1), np.float64)


def _not_finite(
    where: str, loss: torch.Tensor, predicted: torch.Tensor, target: torch.Tensor
) -> TrainingError:
    spans = [f"{float(x.detach().min()):g} to {float(x.detach().max()):g}" for x in (predicted, target)]
    return TrainingError(
        "A loss is not a finite number.",
        where=where,
        expected="a finite number",
        got=f"loss {float(loss.detach())}, predictions {spans[0]}, targets {spans[1]}",
        fix="lower learning_rate, and look for values that are not finite in the expression",
    )
