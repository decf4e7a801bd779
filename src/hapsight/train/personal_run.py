"""One training on people from beginning to end: fit, take the best weights, write them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file

from hapsight.models.protocol import ReadOut, SequenceModel
from hapsight.predict.outputs import at_gene, finite
from hapsight.streams import torch_seed
from hapsight.train.adapters import Adapter, Mode, adapt, network_of, randomise
from hapsight.train.checkpoints import load_state
from hapsight.train.loop import FitResult, Report, TrainArguments, fit
from hapsight.train.losses import loss_named
from hapsight.train.personal import GeneSource, PersonalTask, ReadHaplotypes, predict_people
from hapsight.train.sign_prior import ReadToggled, SignTerm
from hapsight.train.targets import Targets, rows_of

__all__ = ["PersonalCohort", "Trained", "predict_genes", "train_people"]

Index = NDArray[np.intp]
Float = NDArray[np.float64]

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
    adapter: Adapter,
    read: ReadHaplotypes,
    genes: Sequence[str],
    people: Index,
    progress: Report | None = None,
) -> dict[str, Float]:
    """Gene -> (P,) predictions of these people."""
    source, found = GeneSource(adapter, read, people, budget=_ONE_GENE), {}
    for done, gene in enumerate(genes, start=1):
        with at_gene(gene):
            found[gene] = finite(adapter.model, predict_people(*source.make(gene)), "value")
        if progress is not None:
            progress("predict", done, len(genes))
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
