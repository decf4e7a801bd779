"""The stage that runs models, a block of genes a unit; an arithmetic that may decide signs is tried first."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hapsight.cohort.nouns import Gene
from hapsight.engine.cost import Cost
from hapsight.engine.views import Sequences, of_genes, require_fitting, seen_bases
from hapsight.errors import ConfigError, HapsightError, WeightsError, plural
from hapsight.models.catalogue import EFFECTS
from hapsight.models.own import require_one_state
from hapsight.models.protocol import Precision, ReadOut, SequenceModel
from hapsight.run.blocks import KeyedBlock, VariantReader, model_target
from hapsight.run.config import Config, ModelConfig
from hapsight.run.crew import SetAside, compute, crew_of, work_in_words
from hapsight.run.effects import EffectsRun, predict_effects
from hapsight.run.executor import Here
from hapsight.run.models import (
    ModelCard,
    ModelSource,
    PredictUnit,
    asked_of,
    model_here,
    predict_elsewhere,
    predict_with,
    read_card,
    write_card,
)
from hapsight.run.opened import Opened, Progress
from hapsight.run.store import content_key

if TYPE_CHECKING:
    from hapsight.engine.outputs import GenePrediction
__all__ = [
    "ModelRun",
    "devices_of",
    "guard_precision",
    "load_models",
    "load_sequence_models",
    "predict",
    "predicted",
    "read_models",
    "require_apart",
    "require_model",
    "require_sequences",
    "sequence_models",
    "spread_genes",
]

_GUARD_GENES = 20
"""Genes on which an arithmetic is tried before a run, at most."""

_GUARD_BLOCKS = 0.4
"""Work of the trial, at most, but for the first two genes, in blocks that a worker is given at once."""


_NOT_HERE = (HapsightError, ImportError, OSError)
"""What loading a model ends with where its weights, torch or its package are missing."""


@dataclass(frozen=True, eq=False)
class ModelRun(ModelCard):
    """A model that is loaded."""

    model: SequenceModel

    @classmethod
    def of(cls, opened: Opened, wanted: ModelConfig, there_already: SequenceModel | None = None) -> ModelRun:
        """Load the model of an entry of the configuration onto the configured device.

        Parameters
        ----------
        there_already
            The model on another device, as it was loaded.

        Raises
        ------
        HapsightError
            It cannot be loaded, or it cannot be run on some gene.
        """
        (here, there), config = devices_of(opened.config), opened.config.predict
        options = json.dumps(wanted.options, sort_keys=True)
        source = ModelSource(wanted.name, wanted.weights, options, there, config.precision, config.compiled)
        model, fingerprint = replace(source, device=here).load(there_already)
        require_fitting(model, opened.cohort.genes, opened.cohort.reference.contigs)
        read_out, asked = model.read_out(wanted.read_out), asked_of(opened.config, wanted)
        of_genes(model, read_out, opened.cohort.genes)
        return cls.loaded(model, read_out, fingerprint, source, here, wanted.label, asked)

    @classmethod
    def loaded(
        cls,
        model: SequenceModel,
        read_out: ReadOut,
        fingerprint: str,
        source: ModelSource,
        device: str,
        label: str | None = None,
        asked: dict[str, Any] | None = None,
    ) -> ModelRun:
        """A model that is there already, on a device."""
        return cls(
            label=label or model.name,
            name=model.name,
            window=model.window,
            fingerprint=fingerprint,
            device=device,
            source=source,
            asked=asked or {},
            model=model,
            **_read_by(model, read_out),
        )

    @classmethod
    def at_work(cls, card: ModelCard) -> ModelRun:
        """A card's model in a process that works for the run, loaded if it is not there yet.

        Raises
        ------
        WeightsError
            What is loaded here is another model.
        """
        facts = {one.name: getattr(card, one.name) for one in fields(ModelCard)}
        model = model_here(card.source, card.fingerprint)
        return cls(**facts | {"device": card.source.device}, model=model)

    def reading(self, read_out: ReadOut) -> ModelRun:
        """The same model, read in another way."""
        return replace(self, **_read_by(self.model, read_out))

    def work(self, opened: Opened, units: Sequence[KeyedBlock]) -> list[PredictUnit]:
        """These units, with all that a process needs to do them."""
        config = opened.config.predict
        return [
            PredictUnit(
                name=unit.name,
                key=unit.key,
                fingerprint=self.fingerprint,
                store=self.store(opened),
                genes=unit.genes,
                genotypes=opened.cohort.genotypes,
                reference=opened.cohort.reference,
                source=self.source,
                read_out=self.read_out,
                batch_size=config.batch_size,
                budget=config.budget,
            )
            for unit in units
        ]


def _read_by(model: SequenceModel, read_out: ReadOut) -> dict[str, Any]:
    """What of a card follows from the read-out."""
    return {
        "read_out": read_out,
        "tracks": tuple(model.tracks[index] for index in read_out.tracks),
        "seen": seen_bases(model, read_out),
        "cost": Cost.of(model, read_out),
        "toggled": Cost.of(model.local(), read_out),
    }


def load_models(
    opened: Opened, loaded: Mapping[int, SequenceModel] | None = None
) -> list[ModelRun | EffectsRun]:
    """Load the configured models, with their read-outs, onto the configured device; and tables of effects.

    Parameters
    ----------
    loaded
        Models that are there already, by their place in the configuration.

    Raises
    ------
    ConfigError
        Two of them could not be told apart in the tables, or a Python file of two was changed meanwhile.
    """
    there = loaded or {}
    runs = [_load(opened, one, there.get(place)) for place, one in enumerate(opened.config.models)]
    _require_sense(runs)
    return runs


def load_sequence_models(opened: Opened, purpose: str) -> list[ModelRun]:
    """Load the configured models for what needs values of any sequence.

    Raises
    ------
    ConfigError
        One is a table of effects; says what needs sequences. Or as `load_models`.
    """
    require_sequences([one.label or str(one.table) for one in opened.config.models if one.table], purpose)
    return [run for run in load_models(opened) if isinstance(run, ModelRun)]


def require_sequences(tables: Sequence[str], purpose: str) -> None:
    """Refuse tables of effects, by name, where sequences are needed.

    Raises
    ------
    ConfigError
        There are such.
    """
    if tables:
        raise ConfigError(
            f"{purpose} needs a model that reads sequences, and a table of effects does not.",
            where="[[models]]",
            got=", ".join(tables),
            fix='leave name = "effects" out of the configuration for this',
        )


def sequence_models(runs: Iterable[ModelRun | EffectsRun], purpose: str) -> list[ModelRun]:
    """Those that read sequences, for what the others cannot do.

    Raises
    ------
    ConfigError
        There is none; says what needs one.
    """
    runs = list(runs)
    found = [run for run in runs if isinstance(run, ModelRun)]
    require_sequences([] if found else [run.label for run in runs], purpose)
    return found


def _load(opened: Opened, wanted: ModelConfig, model: SequenceModel | None = None) -> ModelRun | EffectsRun:
    return EffectsRun.of(opened, wanted) if wanted.name == EFFECTS else ModelRun.of(opened, wanted, model)


def read_models(opened: Opened) -> list[ModelCard]:
    """The configured models, for stages that read what was predicted: of one that is not here, its card.

    Where a model is here it is loaded, so that other weights than those of the run are noticed.

    Raises
    ------
    HapsightError
        As `load_models`, of a model of which the run folder has no card either.
    """
    cards = [_loaded_or_card(opened, wanted) for wanted in opened.config.models]
    _require_sense(cards)
    return cards


def _require_sense(cards: Sequence[ModelCard]) -> None:
    require_apart([(card.label, card.read_out.name) for card in cards])
    require_one_state((card.source.name, card.fingerprint) for card in cards)


def _loaded_or_card(opened: Opened, wanted: ModelConfig) -> ModelCard:
    try:
        return _load(opened, wanted)
    except _NOT_HERE as error:
        card = read_card(opened, wanted)
        if card is None:
            raise
        log, why = logging.getLogger("hapsight"), _why(error).rstrip(".")
        log.warning("%s is not loaded (%s); what the run keeps of it is used", card.label, why)
        return card


def _why(error: Exception) -> str:
    return error.what if isinstance(error, HapsightError) else str(error)


def require_model(opened: Opened, card: ModelCard, purpose: str) -> ModelRun:
    """The model of a card, loaded if it is not yet.

    Raises
    ------
    WeightsError
        It cannot be; says what needs it, and what it needs.
    """
    if isinstance(card, ModelRun):
        return card
    if card.of_effects:
        raise WeightsError(
            f"{purpose} needs a model that reads sequences.", got=f"{card.label} is a table of effects"
        )
    wanted = next(one for one in opened.config.models if asked_of(opened.config, one) == card.asked)
    try:
        return ModelRun.of(opened, wanted)
    except _NOT_HERE as error:
        details = error.details if isinstance(error, HapsightError) else {}
        raise WeightsError(
            f"{purpose} needs the model {card.label} itself, which cannot be loaded here.",
            where=details.get("where"),
            got=_why(error),
            fix=details.get("to mend"),
        ) from error


def require_apart(names: Sequence[tuple[str, str]]) -> None:
    """Refuse models of one label and read-out.

    Raises
    ------
    ConfigError
        Two could not be told apart in the tables.
    """
    twice = [key for key, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError(
            "Two models have one name and one read-out, so their numbers could not be told apart.",
            got=f"{twice[0][0]}, read-out {twice[0][1]}",
            fix="give each of them a `label` of its own under [[models]]",
        )


def devices_of(config: Config) -> tuple[str, str]:
    """Where this process has models, and where the workers do: of a cluster as configured, found or not."""
    from hapsight.models.registry import resolve_device

    if config.cluster.scheduler is None:
        here = str(resolve_device(config.predict.device))
        return here, here
    there = config.predict.device
    if there == "auto":
        there = "cuda" if "GPU" in config.cluster.resources else "cpu"
    try:
        return str(resolve_device(there)), there
    except ConfigError:  # a host without GPUs may send work to hosts that have them
        return str(resolve_device("auto")), there


def predict(opened: Opened, runs: Sequence[ModelRun | EffectsRun], progress: Progress) -> None:
    """Run every model on every gene's distinct haplotypes; finished units are not run again.

    Of a table of effects, these are added up.

    Raises
    ------
    IncompleteError
        Some units were set aside, after all others of all models were finished.
    """
    aside = SetAside()
    for run in runs:
        with aside.later():
            if isinstance(run, EffectsRun):
                _add_up(opened, run, progress)
            else:
                _predict(opened, run, progress)
    aside.report()


def _add_up(opened: Opened, run: EffectsRun, progress: Progress) -> None:
    label = f"predict {run.label}"
    with opened.folder.stage(f"{label} ({run.read_out.name})") as stage:
        units = run.units(opened)
        write_card(opened, run)
        computed = predict_effects(opened, run, units, label, progress)
        opened.folder.add_model(run.entry(opened, units))
        stage["computed"] = computed
        stage["detail"] = (
            f"{plural(len(run.given.table), 'effect')} added up; {work_in_words(computed, len(units))}"
        )


def _predict(opened: Opened, run: ModelRun, progress: Progress) -> None:
    label = f"predict {run.label}"
    with opened.folder.stage(f"{label} ({run.read_out.name})") as stage:
        units, crew = run.units(opened), crew_of(opened, models=True)
        guard_precision(opened, run, units)
        write_card(opened, run)
        work = partial(predict_with, run.model) if isinstance(crew, Here) else predict_elsewhere
        computed = compute(crew, label, work, run.work(opened, units), progress)
        entry = run.entry(opened, units)
        opened.folder.add_model(entry)
        stage["computed"] = computed
        stage["detail"] = (
            f"{plural(entry['asked'], 'pass')} asked for, {entry['distinct']:,} distinct "
            f"({entry['asked'] / max(entry['distinct'], 1):.1f}x fewer); "
            f"{work_in_words(computed, len(units))}"
        )


def spread_genes(genes: Sequence[Gene], count: int) -> list[Gene]:
    """`count` genes evenly spread over a list, or all of a shorter one."""
    places = np.unique(np.linspace(0, len(genes) - 1, min(count, len(genes))).round().astype(int))
    return [genes[place] for place in places]


def guard_precision(opened: Opened, run: ModelRun, units: Sequence[KeyedBlock] | None = None) -> None:
    """Try a run's arithmetic on some genes against float32, once, before anything is computed in it.

    What it loses is kept in the record of the run; the report says it where that was allowed.

    Raises
    ------
    ConfigError
        Too much, and the configuration does not allow it.
    """
    config = opened.config.predict
    if config.precision == "float32":
        opened.folder.record_trial(run.label, run.read_out.name, None)
        return
    units = run.units(opened) if units is None else units
    key = content_key("predict", {"units": [unit.key for unit in units]})
    known = opened.folder.trial(run.label, run.read_out.name)
    trial = known if known is not None and known.get("key") == key else _tried(opened, run) | {"key": key}
    if not (trial["acceptable"] or config.allow_imprecise):
        raise _loses(run, trial)
    opened.folder.record_trial(run.label, run.read_out.name, trial)


def _tried(opened: Opened, run: ModelRun) -> dict[str, Any]:
    """What an arithmetic loses on some genes, as the record keeps it."""
    from hapsight.engine.precision import FLOAT32_ROUNDING, LEAST_R, compare

    precision, genes = opened.config.predict.precision, _affordable(opened, run)
    exact, other = (predicted(opened, run, genes, name) for name in ("float32", precision))
    loss = compare(exact, other, FLOAT32_ROUNDING)
    said = (
        f"{run.label} ({run.read_out.name}) was run in {precision}, which loses differences between people: "
        f"of {len(genes)} genes tried against float32, {loss.below} have predictions over people with "
        f"r < {LEAST_R}, {loss.constant} of them one prediction for everybody; {loss.signs_lost:.1%} of the "
        "differences between haplotypes and the reference lost their sign."
    )
    return {
        "precision": precision,
        "tried": len(genes),
        **asdict(loss),
        "acceptable": loss.acceptable,
        "said": "" if loss.acceptable else said,
    }


def _loses(run: ModelRun, trial: dict[str, Any]) -> ConfigError:
    from hapsight.engine.precision import LEAST_R, MOST_LOST

    lowest = "none" if trial["lowest_r"] is None else f"{trial['lowest_r']:.3f}"
    return ConfigError(
        f"{trial['precision']} loses what {run.label} says of differences between people.",
        where=f"precision of [predict]; {plural(trial['tried'], 'gene')} tried against float32",
        expected=f"at most {MOST_LOST:.0%} of signs lost, r of at least {LEAST_R} in every gene",
        got=f"{trial['signs_lost']:.1%} of {trial['differences']:,} differences between haplotypes and the "
        f"reference lost their sign; lowest r of a gene's predictions over people {lowest}; "
        f"{trial['constant']} of {trial['genes']} genes became constant",
        fix='set precision = "float32" (on a GPU "float16x3" is as exact), or allow_imprecise = true, which '
        "the report then says on top",
    )


def _affordable(opened: Opened, run: ModelRun) -> list[Gene]:
    """Evenly spread genes whose trial is quick, but two at least."""
    taken, flop = list[Gene](), 0.0
    most = _GUARD_BLOCKS * model_target(run.device)
    for gene in spread_genes(opened.cohort.genes, _GUARD_GENES):
        flop += run.predicted_flop(opened, gene)
        if flop > most and len(taken) >= 2:
            break
        taken.append(gene)
    return taken


def predicted(
    opened: Opened,
    run: ModelRun,
    genes: Sequence[Gene],
    precision: Precision | Literal["float64"],
) -> list[GenePrediction]:
    """Predictions of some genes in an arithmetic; the model then computes as configured again."""
    from hapsight.engine.precision import predicted_in

    config = opened.config.predict
    return predicted_in(
        precision,
        _sequences(opened, run, genes),
        genes,
        batch_size=config.batch_size,
        device=run.device,
        budget=config.budget,
        back_to=config.precision,
        compiled=config.compiled,
    )


def _sequences(opened: Opened, run: ModelRun, genes: Sequence[Gene]) -> Sequences:
    cohort = opened.cohort
    reader = VariantReader(cohort.genotypes, cohort.reference, [run.reads(gene) for gene in genes])
    return Sequences(run.model, run.read_out, reader, cohort.reference.fetch)
