"""Training on people: one gene a batch, some people of it, and a loss that compares them.

One training on people from beginning to end: fit, take the best weights, write them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from hapsight.dna import Codes
from hapsight.engine.outputs import at_gene, finite
from hapsight.errors import ConfigError, TrainingError
from hapsight.models.forward import with_gradients
from hapsight.models.protocol import ReadOut, SequenceModel
from hapsight.seeds import stream, torch_seed
from hapsight.stats.correlation import correlate
from hapsight.train.adapters import Adapter, GeneInput, Mode, adapt, network_of, randomise
from hapsight.train.checkpoints import load_state
from hapsight.train.loop import FitResult, Report, TrainArguments, fit
from hapsight.train.losses import Loss, at_least_float32, loss_named
from hapsight.train.priors import ReadToggled, SignTerm, Targets, rows_of

__all__ = [
    "GeneSource",
    "Haplotypes",
    "PersonalCohort",
    "PersonalTask",
    "Trained",
    "predict_genes",
    "predict_people",
    "train_people",
]

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


_ONE_GENE = 2**30
"""Bytes that one gene's outputs of a frozen trunk may take in memory while it is predicted."""


@dataclass(frozen=True, slots=True, eq=False)
class PersonalCohort:
    """What is learnt from: N people of a cohort.

    Attributes
    ----------
    read
        Gives a gene's haplotypes, of all people.
    genes
        That are trained on.
    train, valid
        Numbers of the training and of the validation people.
    budget
        Bytes that sequences and outputs of a frozen trunk may take in memory.
    toggled, sign_weight
        Gives a gene's variants with a sign prior, and the weight of that term of the loss; else None.
    """

    read: ReadHaplotypes
    targets: Targets
    genes: Sequence[str]
    train: Index
    valid: Index
    budget: int
    toggled: ReadToggled | None = None
    sign_weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a training.

    Attributes
    ----------
    haplotypes
        Distinct haplotypes that went through the model, summed over batches (since it was last resumed).
    """

    fit: FitResult
    seconds: float
    haplotypes: int


def train_people(
    model: SequenceModel,
    read_out: ReadOut,
    cohort: PersonalCohort,
    *,
    mode: Mode,
    loss: str,
    init_seed: int | None,
    people_per_batch: int,
    arguments: TrainArguments,
    folder: Path,
    device: str,
    progress: Report | None = None,
) -> tuple[Adapter, Trained]:
    """Train a model, which is changed; it ends with the weights that were best on validation people.

    Parameters
    ----------
    init_seed
        Begin with random weights of this seed; None: with the model's own.
    folder
        Of this training: ``weights.safetensors`` for the model's loader, and the loop's files in ``fit``.
    """
    if init_seed is not None:
        randomise(network_of(model), init_seed)
    adapter = adapt(model, read_out, mode, device=device, seed=torch_seed(arguments.seed, "adapter"))
    task = _task(adapter, cohort, loss, people_per_batch, arguments.seed)
    started = time.monotonic()
    found = fit(task, arguments, folder / "fit", device=device, progress=progress)
    seconds = time.monotonic() - started
    load_state(adapter.network, load_file(found.best), found.best)
    adapter.save(folder / "weights.safetensors")
    return adapter, Trained(found, seconds, task.haplotypes)


def predict_genes(
    adapter: Adapter, read: ReadHaplotypes, genes: Sequence[str], people: Index
) -> dict[str, Float]:
    """Gene -> (P,) predictions of these people."""
    source, found = GeneSource(adapter, read, people, budget=_ONE_GENE), {}
    for gene in genes:
        with at_gene(gene):
            found[gene] = finite(adapter.model, predict_people(*source.make(gene)), "value")
    return found


def _task(
    adapter: Adapter, cohort: PersonalCohort, loss: str, people_per_batch: int, seed: int
) -> PersonalTask:
    function, targets = loss_named(loss), cohort.targets
    rows = rows_of(cohort.genes, targets.gene_ids)
    scaled = targets.on_scale(function.scale, rows)
    prior = None
    if cohort.toggled is not None:
        prior = SignTerm(adapter, cohort.toggled, cohort.sign_weight, cohort.budget // 4)
    return PersonalTask(
        adapter,
        function,
        cohort.genes,
        GeneSource(adapter, cohort.read, cohort.train, cohort.budget),
        GeneSource(adapter, cohort.read, cohort.valid, cohort.budget // 4),
        {gene: scaled[row, cohort.train] for gene, row in zip(cohort.genes, rows, strict=True)},
        {gene: targets.residual[row, cohort.valid] for gene, row in zip(cohort.genes, rows, strict=True)},
        people_per_batch,
        seed,
        prior,
    )
