"""The stage that trains on people: arms of a grid, each with several seeds, and linear baselines beside them.

One unit is one arm with one seed. A finished unit is kept by the digest of everything that its numbers depend
on, so a grid that was stopped goes on with what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.errors import ConfigError
from hapsight.files import file_name
from hapsight.run.config import USUAL_BUDGET, ModelConfig
from hapsight.run.crew import compute, crew_of, work_in_words
from hapsight.run.executor import Here
from hapsight.run.opened import LINEAR_KEYS, Opened, Progress, gene_facts
from hapsight.run.sections import TrainArmConfig
from hapsight.run.store import StoredUnit, UnitStore, content_key
from hapsight.stages.personal_data import (
    PersonalData,
    activity_explains,
    cell_rows,
    homologs,
    homologs_in_words,
    linear_predictions,
    personal_data,
    prior_key,
    summarise,
    toggled_variants,
)
from hapsight.stages.predict import ModelRun
from hapsight.train.tables import ARM, TRAIN_RUNS

if TYPE_CHECKING:
    from hapsight.models.protocol import ReadOut
    from hapsight.train.loop import TrainArguments
    from hapsight.train.personal import PersonalCohort, Trained

__all__ = ["TrainUnit", "Training", "homolog_rows", "train_personal", "train_units", "trainings"]

_NOT_IN_KEY: Final = {
    *("model", "arms", "seeds", "baselines", "people", "min_maf"),
    *("sign_priors", "sign_weight"),  # they are in the keys of the arms that use them
    "homologs",  # the split is in all keys
}
"""Of ``[train]``: what says which arms there are, and nothing about one of them."""

_NO_FIT: Final = {"run", "methods", "splits", "imported", "genes_per_unit"}
"""Of ``[baseline]``: what says which fits there are, and nothing about one of them."""

_LINEAR: Final = "linear"


@dataclass(frozen=True, slots=True)
class Training:
    """One training: a model and how it is trained, or a linear baseline.

    Attributes
    ----------
    mode
        One of ``[train] arms``, or ``"linear"``.
    seed
        None where nothing is drawn.
    """

    label: str
    mode: str
    loss: str
    init: str
    prior: str
    most_people: int | None
    min_maf: float | None
    seed: int | None

    @property
    def unit(self) -> str:
        """Its name among the finished units."""
        said = [self.label, self.mode, self.loss, self.init, self.prior]
        said += [f"people{self.most_people}"] if self.most_people is not None else []
        said += [f"maf{self.min_maf:g}"] if self.min_maf is not None else []
        said += [f"seed{self.seed}"] if self.seed is not None else []
        return file_name(*(word for word in said if word))


def trainings(opened: Opened, label: str, arms: Sequence[TrainArmConfig]) -> list[Training]:
    """Every arm with every number of people, frequency floor and seed; then the baselines."""
    config = opened.config.train
    sizes, floors = config.people or (None,), config.min_maf or (None,)
    found = [
        Training(label, one.mode, one.loss, one.init, one.prior, people, floor, seed)
        for one, people, floor in product(arms, sizes, floors)
        for seed in (range(1, config.seeds + 1) if one.mode != "untouched" else (None,))
    ]
    linear = product(config.baselines, sizes)
    return found + [Training(name, _LINEAR, "", "", "", people, None, None) for name, people in linear]


@dataclass(frozen=True, slots=True, eq=False)
class TrainUnit(StoredUnit):
    """One training, with all that any process needs to do it.

    Attributes
    ----------
    data
        Shared by the units of one number of people and one frequency floor; its model stays at home.
    """

    name: str
    key: str
    store: UnitStore
    training: Training
    data: PersonalData

    @property
    def folder(self) -> Path:
        """Of the training's weights and checkpoints."""
        return self.store.folder / f"{self.training.unit}.{self.key[:12]}"


def train_units(opened: Opened, runs: Sequence[ModelRun], arms: Sequence[TrainArmConfig]) -> list[TrainUnit]:
    """Every arm with every number of people, frequency floor and seed; then the baselines.

    Raises
    ------
    ConfigError
        There is no model to train, or people and genes cannot be split.
    """
    run = _chosen(opened, runs)
    store, found = UnitStore(opened.folder.path / "train"), list[TrainUnit]()
    data = dict[tuple[int | None, float | None], PersonalData]()
    for one in trainings(opened, run.label, arms):
        place = (one.most_people, one.min_maf)
        if place not in data:
            data[place] = personal_data(opened, run, *place)
        key = _key(data[place], one)
        found.append(TrainUnit(store.name_for(one.unit, key), key, store, one, data[place]))
    return found


def train_personal(
    opened: Opened, runs: Sequence[ModelRun], arms: Sequence[TrainArmConfig], progress: Progress, name: str
) -> Path:
    """Do every training that is not done, and write ``train/<name>_{per_gene,summary,runs}.parquet``.

    Trainings are units of work of the crew that runs models: ``[predict] workers`` processes, or a cluster's.
    One that was stopped goes on from its last checkpoint, whoever takes it up.

    Parameters
    ----------
    runs
        The configured models, of which one is trained; each training loads it anew.

    Returns
    -------
    The folder of the tables.

    Raises
    ------
    ConfigError
        There is no model to train, or people and genes cannot be split.
    IncompleteError
        Some trainings were set aside, after all others were finished.
    """
    label = f"train {name}"
    with opened.folder.stage(label) as stage:
        units, crew = train_units(opened, runs, arms), crew_of(opened, models=True)
        work = partial(_train_here, progress) if isinstance(crew, Here) else _train_elsewhere
        computed = compute(crew, label, work, units, progress)
        data, store = units[0].data, units[0].store
        opened.folder.note(homologs_in_words(opened, homologs(opened, data.run), data.split))
        per_gene = store.read(units, "per_gene")
        opened.folder.write(f"train/{name}_per_gene.parquet", per_gene)
        opened.folder.write(f"train/{name}_runs.parquet", store.read(units, "runs"))
        opened.folder.write(f"train/{name}_summary.parquet", summarise(per_gene))
        stage["computed"] = computed
        stage["detail"] = work_in_words(computed, len(units), "training")
    return store.folder


def _train_here(progress: Progress, unit: TrainUnit) -> str:
    unit.store.write(unit.name, unit.key, _compute(unit.data, unit.training, unit.folder, progress))
    return unit.name


def _train_elsewhere(unit: TrainUnit) -> str:
    """In a process that may not have the model yet."""
    return _train_here(lambda stage, done, of: None, replace(unit, data=unit.data.with_model()))


def homolog_rows(opened: Opened, runs: Sequence[ModelRun]) -> tuple[str, list[list[str]]]:
    """The sentence of `homologs_in_words`, and all pairs in words, with what is trained on of each."""
    run = _chosen(opened, runs)
    split, found = personal_data(opened, run, None, None).split, homologs(opened, run)
    seen, unseen = set(split.seen_genes), set(split.unseen_genes)
    names = {gene.gene_id: gene.gene_name or gene.gene_id for gene in opened.cohort.genes}
    rows = []
    for pair in found:
        sides = sum(name in seen for name in pair[:2]), sum(name in unseen for name in pair[:2])
        word = {(2, 0): "both", (0, 2): "neither", (1, 1): "ONE"}.get(sides, "left out")
        rows.append(
            [names[pair.first], names[pair.second], f"{pair.shared:,}", f"{pair.contained:.3f}", word]
        )
    return homologs_in_words(opened, found, split), rows


def _key(data: PersonalData, one: Training) -> str:
    opened = data.opened
    config, model = opened.config, data.run.model
    return content_key(
        "train on people",
        {
            "arm": asdict(one),
            "prior": prior_key(data, one.prior),
            "fingerprint": data.run.fingerprint,
            "read_out": asdict(data.run.read_out),
            "window": asdict(model.window),
            "device": data.run.device,
            "train": config.train.model_dump(mode="json", exclude=_NOT_IN_KEY) if one.seed else None,
            "baseline": (
                config.baseline.model_dump(mode="json", exclude=_NO_FIT) if one.mode == _LINEAR else None
            ),
            "split": asdict(data.split),
            "policy": config.cohort.model_dump(mode="json", include=LINEAR_KEYS),
            "expression": config.expression.model_dump(mode="json"),
            "seed": config.seed,
            "genes": gene_facts(opened.cohort.genes),
            **opened.key_parts("genotypes", "reference", "expression", "covariates", "samples"),
        },
    )


def _compute(data: PersonalData, one: Training, folder: Path, progress: Progress) -> dict[str, pl.DataFrame]:
    """The tables of one unit."""
    split = data.split
    labels = {
        "model": one.label,
        "read_out": data.run.read_out.name if one.mode != _LINEAR else "linear in dosages",
        "mode": one.mode,
        "loss": one.loss,
        "init": one.init,
        "prior": one.prior,
        "people": len(split.train_people),
        "min_maf": data.min_maf if one.mode != _LINEAR else data.opened.config.baseline.min_maf,
        "seed": one.seed,
    }
    if one.mode == _LINEAR:
        predicted, said = linear_predictions(data, one.label, progress), dict[str, Any]()
    else:
        predicted, said = _train(data, one, folder, progress)
    facts = {
        "valid_people": len(split.valid_people),
        "test_people": len(split.test_people),
        "seen_genes": len(split.seen_genes),
        "unseen_genes": len(split.unseen_genes),
        "guard_genes": list(split.guard_genes),
    }
    row = {**dict.fromkeys(TRAIN_RUNS), **{name: labels[name] for name in ARM}, **facts, **said}
    return {
        "per_gene": cell_rows(data, predicted, labels),
        "runs": pl.DataFrame([row], schema=TRAIN_RUNS),
    }


def _train(
    data: PersonalData, one: Training, folder: Path, progress: Progress
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Gene -> (N,) predictions of all people, and what is said of the run."""
    from hapsight.train.adapters import adapt
    from hapsight.train.personal import predict_genes, train_people

    opened, split = data.opened, data.split
    model, device = data.fresh_model(), data.run.device
    said, explained = dict[str, Any](), activity_explains(data, one.prior)
    if one.mode == "untouched":
        adapter = adapt(model, data.run.read_out, "full", device=device)
    else:
        adapter, trained = train_people(
            model,
            data.run.read_out,
            _cohort(data, one.prior, explained),
            mode=one.mode,  # type: ignore[arg-type]
            loss=one.loss,
            init_seed=one.seed if one.init == "random" else None,
            people_per_batch=opened.config.train.people_per_batch,
            arguments=_arguments(opened, one),
            folder=folder,
            device=device,
            progress=lambda _, step, steps: progress(one.unit, step, steps),
        )
        said = _said(trained, folder)
    genes = (*split.seen_genes, *split.unseen_genes)
    predicted = predict_genes(adapter, data.haplotypes, genes, data.people(opened.cohort.samples))
    if explained is not None:
        rows = dict(zip(data.targets.gene_ids, explained, strict=True))
        predicted = {gene: values + rows[gene] for gene, values in predicted.items()}
    return predicted, said


def _said(trained: Trained, folder: Path) -> dict[str, Any]:
    """Columns of ``runs`` that only a training has."""
    found = trained.fit
    return {
        "best_step": found.best_step,
        "best_score": found.best_score,
        "steps": found.steps,
        "stopped": found.stopped,
        "seconds": round(trained.seconds, 2),
        "haplotypes": trained.haplotypes,
        "weights": str(folder / "weights.safetensors"),
    }


def _cohort(data: PersonalData, prior: str, explained: NDArray[np.float64] | None) -> PersonalCohort:
    """What is learnt from, with the arm's prior: a term of the loss, or targets less what it explains."""
    from hapsight.train.personal import PersonalCohort
    from hapsight.train.priors import without

    split = data.split
    return PersonalCohort(
        data.haplotypes,
        data.targets if explained is None else without(data.targets, explained),
        split.seen_genes,
        data.people(split.train_people),
        data.people(split.valid_people),
        data.opened.config.predict.budget or USUAL_BUDGET,
        toggled_variants(data, prior),
        data.opened.config.train.sign_weight,
    )


def _arguments(opened: Opened, one: Training) -> TrainArguments:
    from hapsight.train.loop import TrainArguments

    config = opened.config.train
    assert one.seed is not None, "what is trained has a seed"
    return TrainArguments(
        max_steps=config.max_steps,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        warmup_steps=config.warmup_steps,
        clip_norm=config.clip_norm,
        accumulate=config.accumulate,
        validate_every=config.validate_every,
        patience=config.patience,
        seed=one.seed,
        checkpoint_every=config.validate_every,
    )


def _chosen(opened: Opened, runs: Sequence[ModelRun]) -> ModelRun:
    """The model to train, with the read-out to train it by: what ``[train] model`` names, or the first."""
    wanted = opened.config.train.model
    for run, source in zip(runs, opened.config.models, strict=True):
        if wanted is None or wanted == run.label:
            return run.reading(_read_out(opened, run, source))
    raise ConfigError(
        "There is no such model to train.",
        expected=", ".join(run.label for run in runs) or "a model under [[models]]",
        got=wanted or "no models",
    )


def _read_out(opened: Opened, run: ModelRun, source: ModelConfig) -> ReadOut:
    """The read-out that is trained and judged: the configured one or the model's, in ``[train]``'s views."""
    config = opened.config.train
    found = run.model.read_out(source.read_out or run.model.training_read_out)
    said = [found.name]
    if config.both_strands:
        found = replace(found, reverse_complement=True)
        said.append("both strands")
    if config.shifts:
        found = replace(found, shifts=config.shifts)
        said.append(f"shifts {', '.join(map(str, config.shifts))}")
    return replace(found, name="; ".join(said))
