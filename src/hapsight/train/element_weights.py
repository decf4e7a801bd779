"""Activity by contact whose weights are learned on people, and judged on people and genes that were not seen.

A haplotype's value is ``log2(floor + sum_e exp(t_b(e)) law(e) activity_e ** p)``, b the class of distance of
an element, `law` the untrained weight; a person's is the mean of both haplotypes, times a scale above 0. At
t = 0 and p = 1 it is the untrained read-out. Eight numbers are learned by a loss on differences of people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from hapsight.engine.elements import PersonalElements
from hapsight.errors import ConfigError
from hapsight.explain.reliability import stretches, within_reach
from hapsight.least_squares import residualise
from hapsight.models.elements import ElementSum
from hapsight.train.losses import loss_named

__all__ = ["CLASSES", "ElementData", "LearnedWeights", "learn_weights", "personal_values", "unseen_values"]

Float = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

CLASSES: Final = (0, 1_000, 5_000, 20_000, 50_000)
"""Largest distance in bases of all classes but the last; the first is the TSS's own window."""

_RIDGE: Final = 1e-3
_STEPS: Final = 40
_SMALLEST: Final = 1e-6
"""Added to activities, which can be 0, before a power."""


@dataclass(frozen=True, slots=True, eq=False)
class LearnedWeights:
    """The eight numbers, and the loss that they reach.

    Attributes
    ----------
    log_weights
        (6,) of the classes of distance, the TSS first, beside the law's.
    exponent
        Of the activity.
    scale
        Of the values, to z-scores.
    """

    log_weights: Float
    exponent: float
    scale: float
    loss: float

    @classmethod
    def untrained(cls) -> LearnedWeights:
        """The read-out as it is."""
        return cls(np.zeros(len(CLASSES) + 1), 1.0, 1.0, float("nan"))


@dataclass(frozen=True, slots=True, eq=False)
class ElementData:
    """Elements of G genes in N people, ready to be summed.

    Of each gene, elements in which people differ stand for each of its D combinations; the others stand once.

    Attributes
    ----------
    log_activity, law, kind, row
        (M,) of each element of each combination: what it is, and into which of the R sums it goes.
    constant
        The same four of the elements in which nobody differs; these go into all sums of a gene, the last is
        its number.
    gene_of_row
        (R,) whose sum it is.
    index
        (G, N, 2) sum of each person's haplotypes.
    varies
        (G,) whether any two people differ.
    floor
        The model's, in the units of an activity.
    """

    log_activity: torch.Tensor
    law: torch.Tensor
    kind: torch.Tensor
    row: torch.Tensor
    constant: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
    gene_of_row: torch.Tensor
    index: torch.Tensor
    varies: Mask
    floor: float

    @classmethod
    def of(cls, model: ElementSum, found: Sequence[PersonalElements], read_out: str) -> ElementData:
        """From what `personal_elements` gives of each gene."""
        parts: list[list[tuple[Float, Float, Ints, Ints]]] = [[], []]
        indices, owners, first = [], [], 0
        for g, gene in enumerate(found):
            activity = np.log(model.activity(gene.values) + _SMALLEST)  # (D, E)
            differ = np.ptp(activity, axis=0) > 0.0
            law, kind = model.weights(gene.distances, read_out), _classes(gene.distances)
            rows = first + np.arange(len(activity))
            parts[0].append(_spread(activity[:, differ], law[differ], kind[differ], rows))
            parts[1].append(_spread(activity[:1, ~differ], law[~differ], kind[~differ], np.array([g])))
            indices.append(first + gene.index)
            owners += [g] * len(activity)
            first += len(activity)
        own, constant = (_joined(part) for part in parts)
        varies = np.array([len(np.unique(index)) > 1 for index in indices])
        index = torch.from_numpy(np.stack(indices))
        return cls(*own, constant, torch.tensor(owners), index, varies, model.floor)

    def values(self, log_weights: torch.Tensor, exponent: torch.Tensor) -> torch.Tensor:
        """(G, N) of people, the mean of their haplotypes."""
        constant, (row, owner) = self.constant, (self.row, self.constant[3])
        sums = torch.zeros(len(self.gene_of_row), dtype=torch.float64)
        sums = sums.index_add(0, row, _terms(self.log_activity, self.law, self.kind, log_weights, exponent))
        same = torch.zeros(len(self.index), dtype=torch.float64)
        same = same.index_add(0, owner, _terms(*constant[:3], log_weights, exponent))
        haplotypes = torch.log2(self.floor + sums + same[self.gene_of_row])
        return haplotypes[self.index].mean(dim=2)


def _spread(log_activity: Float, law: Float, kind: Ints, rows: Ints) -> tuple[Float, Float, Ints, Ints]:
    """(D, E) and what is known of E elements, end to end."""
    times = len(log_activity)
    return log_activity.ravel(), np.tile(law, times), np.tile(kind, times), np.repeat(rows, len(law))


def _joined(
    parts: Sequence[tuple[Float, Float, Ints, Ints]],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The parts of all genes, end to end."""
    log_activity, law, kind, row = (np.concatenate(part) for part in zip(*parts, strict=True))
    return torch.tensor(log_activity), torch.tensor(law), torch.tensor(kind), torch.tensor(row)


def _terms(
    log_activity: torch.Tensor,
    law: torch.Tensor,
    kind: torch.Tensor,
    log_weights: torch.Tensor,
    exponent: torch.Tensor,
) -> torch.Tensor:
    return law * torch.exp(log_weights[kind] + exponent * log_activity)


def _classes(distances: Ints) -> Ints:
    """(E,) class of distance."""
    return np.searchsorted(CLASSES, np.abs(distances), side="left").astype(np.int64)


def personal_values(data: ElementData, weights: LearnedWeights) -> Float:
    """(G, N) values of people under these weights."""
    with torch.no_grad():
        made = data.values(torch.from_numpy(weights.log_weights), torch.tensor(weights.exponent))
    return np.asarray(weights.scale * made.numpy(), np.float64)


def learn_weights(
    data: ElementData, z: Float, genes: Mask, people: Mask, loss: str = "pairwise_mse"
) -> LearnedWeights:
    """Least mean loss of some genes in some people, and a ridge towards the untrained weights.

    Parameters
    ----------
    z
        (G, N) expression, of mean 0 and variance 1 among these people.
    loss
        Of `hapsight.train.losses`, on z-scores.

    Raises
    ------
    ConfigError
        The loss is on another scale, or the prediction of none of these genes varies.
    """
    chosen = np.flatnonzero(genes & data.varies)
    found = loss_named(loss)
    if found.scale != "z" or not len(chosen):
        raise ConfigError(
            "Weights of elements cannot be learned.",
            expected="a loss on z-scores, and genes in which people differ",
            got=f"{loss}, {len(chosen)} genes",
        )
    wanted, seen = torch.from_numpy(z[np.ix_(chosen, people)]), torch.from_numpy(np.flatnonzero(people))
    free = torch.zeros(len(CLASSES) + 3, dtype=torch.float64)
    free[-1] = -1.0
    free.requires_grad_()

    def cost() -> torch.Tensor:
        values = data.values(free[:-2], 1.0 + free[-2])[torch.from_numpy(chosen)][:, seen]
        scaled = torch.exp(free[-1]) * values
        each = torch.stack([found(one, other) for one, other in zip(scaled, wanted, strict=True)])
        return each.mean() + _RIDGE * (free[:-1] ** 2).sum()

    value = _minimise(free, cost)
    made = free.detach().numpy()
    return LearnedWeights(made[:-2].copy(), float(1.0 + made[-2]), float(np.exp(made[-1])), value)


def _minimise(free: torch.Tensor, cost: Callable[[], torch.Tensor]) -> float:
    optimiser = torch.optim.LBFGS([free], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = cost()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        return float(cost())


def unseen_values(
    data: ElementData,
    expression: Float,
    covariates: Float | None,
    contig: Sequence[str],
    tss: Ints,
    folds: Ints,
    parts: int = 5,
    loss: str = "pairwise_mse",
) -> tuple[Float, Float, list[LearnedWeights]]:
    """Predict every gene in every person by weights that knew neither.

    Parameters
    ----------
    expression
        (G, N) on the scale that is to be predicted; covariates (N, C) are taken out by the training people.
    folds
        (N,) of people.
    parts
        Stretches of neighbouring genes; those within 1 Mb of a held-out one teach nothing of it.

    Returns
    -------
    (G, N) predictions, less their mean in training people; (G, N) what they are judged by; and the weights,
    by stretch and then fold.
    """
    of_gene = stretches(contig, tss, parts)
    predicted, observed, every = np.zeros(expression.shape), np.zeros(expression.shape), []
    outcomes = {fold: _outcomes(expression, covariates, folds == fold) for fold in np.unique(folds).tolist()}
    for stretch in range(parts):
        held_out = of_gene == stretch
        teaching = ~within_reach(contig, tss, held_out)
        for fold, (z, judged) in outcomes.items():
            test = folds == fold
            every.append(learn_weights(data, z, teaching, ~test, loss))
            place = np.ix_(held_out, test)
            said = personal_values(data, every[-1])
            predicted[place] = (said - said[:, ~test].mean(axis=1, keepdims=True))[place]
            observed[place] = judged[held_out]
    return predicted, observed, every


def _outcomes(expression: Float, covariates: Float | None, test: Mask) -> tuple[Float, Float]:
    """(G, N) z-scores of people who are not of `test`, 0 of the others; (G, M) what these are judged by."""
    c = (None, None) if covariates is None else (covariates[~test], covariates[test])
    outcome, judged = residualise(expression[:, ~test], c[0], expression[:, test], c[1])
    z, sd = np.zeros(expression.shape), outcome.std(axis=1, keepdims=True)
    z[:, ~test] = (outcome - outcome.mean(axis=1, keepdims=True)) / np.where(sd > 0, sd, 1.0)
    return z, judged
