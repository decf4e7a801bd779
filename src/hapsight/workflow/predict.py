"""The stage that runs models, a block of genes a unit; an arithmetic that may decide signs is tried first."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hapsight.cohort.nouns import Gene
from hapsight.config import Config
from hapsight.errors import ConfigError
from hapsight.models.protocol import ReadOut, SequenceModel
from hapsight.predict.cost import predicted_flop
from hapsight.predict.pool import Here
from hapsight.predict.store import UnitStore, content_key
from hapsight.predict.windows import require_fitting, window_of
from hapsight.workflow.blocks import (
    Block,
    KeyedBlock,
    blocks_of_size,
    even_blocks,
    keyed_blocks,
    model_target,
)
from hapsight.workflow.crew import SetAside, compute, crew_of
from hapsight.workflow.model_units import ModelSource, PredictUnit, predict_elsewhere, predict_with
from hapsight.workflow.opened import POLICY_KEYS, Opened, Progress, gene_keys
from hapsight.workflow.variants import VariantReader

if TYPE_CHECKING:
    from hapsight.predict.arithmetic import Precision
    from hapsight.predict.engine import GenePrediction, Sequences

__all__ = [
    "ModelRun",
    "guard_precision",
    "load_models",
    "model_entry",
    "predict",
    "predicted",
    "require_apart",
    "spread_genes",
]

_GUARD_GENES = 20
"""Genes on which an arithmetic is tried before a run, at most."""

_GUARD_BLOCKS = 0.4
"""Work of the trial, at most, but for the first two genes, in blocks that a worker is given at once."""


@dataclass(frozen=True, slots=True, eq=False)
class ModelRun:
    """A loaded model and how it is read.

    Attributes
    ----------
    label
        What the model is called in tables: its name, or what the configuration calls it.
    device
        Where this process has it.
    source
        How other processes load it, and where these have it.
    fingerprint
        Of its weights as they were loaded, whatever the model says.
    """

    label: str
    model: SequenceModel
    read_out: ReadOut
    device: str
    source: ModelSource
    fingerprint: str

    def gene_keys(self, opened: Opened, genes: Sequence[Gene]) -> dict[str, str]:
        """By ``gene_id``: digest of all that the predictions of the gene depend on."""
        return gene_keys(
            "predict",
            genes,
            {
                "fingerprint": self.fingerprint,
                "read_out": asdict(self.read_out),
                "window": asdict(self.model.window),
                "device": self.source.device,
                "arithmetic": opened.config.predict.model_dump(
                    mode="json", include={"batch_size", "budget_gb", "precision", "compiled"}
                ),
                "policy": opened.config.cohort.model_dump(mode="json", include=POLICY_KEYS),
                **opened.key_parts("genotypes", "reference"),
            },
        )

    def units(self, opened: Opened) -> list[KeyedBlock]:
        """Name, key and genes of every unit."""
        keys = self.gene_keys(opened, opened.cohort.genes)
        return keyed_blocks(self.store(opened), self._blocks(opened), keys)

    def store(self, opened: Opened) -> UnitStore:
        """Where the units are."""
        return opened.folder.predictions(self.label, self.read_out.name)

    def _blocks(self, opened: Opened) -> list[Block]:
        """As many genes as are asked for, else of about equal predicted work."""
        cohort, size = opened.cohort, opened.config.predict.genes_per_unit
        if size is not None:
            return blocks_of_size(cohort.genes, size)

        def cost(gene: Gene) -> float:
            variants = cohort.genotypes.expected_records(window_of(gene, self.model).interval)
            return predicted_flop(self.model, self.read_out, variants, len(cohort.samples))

        return even_blocks(cohort.genes, cost, model_target(self.source.device))

    def work(self, opened: Opened) -> list[PredictUnit]:
        """The units, with all that a process needs to do them."""
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
            for unit in self.units(opened)
        ]


def load_models(opened: Opened, loaded: Mapping[int, SequenceModel] | None = None) -> list[ModelRun]:
    """Load the configured models, with their read-outs, onto the configured device.

    Parameters
    ----------
    loaded
        Models that are there already, by their place in the configuration.

    Raises
    ------
    ConfigError
        Two of them could not be told apart in the tables.
    """
    (here, there), config = _devices(opened.config), opened.config.predict
    runs = []
    for place, wanted in enumerate(opened.config.models):
        options = json.dumps(wanted.options, sort_keys=True)
        source = ModelSource(wanted.name, wanted.weights, options, there, config.precision, config.compiled)
        model, fingerprint = replace(source, device=here).load((loaded or {}).get(place))
        require_fitting(model, opened.cohort.genes, opened.cohort.reference.contigs)
        read_out = model.read_out(wanted.read_out)
        runs.append(ModelRun(wanted.label or model.name, model, read_out, here, source, fingerprint))
    require_apart([(run.label, run.read_out.name) for run in runs])
    return runs


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


def _devices(config: Config) -> tuple[str, str]:
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


def predict(opened: Opened, runs: Sequence[ModelRun], progress: Progress) -> None:
    """Run every model on every gene's distinct haplotypes; finished units are not run again.

    Raises
    ------
    IncompleteError
        Some units were set aside, after all others of all models were finished.
    """
    aside = SetAside()
    for run in runs:
        with aside.later():
            _predict(opened, run, progress)
    aside.report()


def _predict(opened: Opened, run: ModelRun, progress: Progress) -> None:
    label = f"predict {run.label}"
    with opened.folder.stage(f"{label} ({run.read_out.name})") as stage:
        units, crew = run.work(opened), crew_of(opened, models=True)
        guard_precision(opened, run)
        work = partial(predict_with, run.model) if isinstance(crew, Here) else predict_elsewhere
        computed = compute(crew, label, work, units, progress)
        entry = model_entry(opened, run)
        opened.folder.add_model(entry)
        stage["computed"] = computed
        stage["detail"] = (
            f"{entry['asked']:,} passes asked for, {entry['distinct']:,} distinct "
            f"({entry['asked'] / max(entry['distinct'], 1):.1f}x fewer); "
            f"{computed} units computed, {len(units) - computed} kept"
        )


def model_entry(opened: Opened, run: ModelRun) -> dict[str, Any]:
    """What the record says of a model whose units are done.

    Raises
    ------
    IncompleteError
        Some are not.
    """
    names = [(unit.name, unit.key) for unit in run.units(opened)]
    genes = run.store(opened).read(names, "genes")
    window = run.model.window
    return {
        "name": run.label,
        "model": run.model.name,
        "read_out": run.read_out.name,
        "fingerprint": run.fingerprint,
        "window": f"{window.upstream:,} bp before and {window.downstream:,} bp from the TSS on",
        "device": run.device,
        "asked": 2 * len(opened.cohort.samples) * len(genes),
        "distinct": int(genes["n_distinct"].sum()),
    }


def spread_genes(genes: Sequence[Gene], count: int) -> list[Gene]:
    """`count` genes evenly spread over a list, or all of a shorter one."""
    places = np.unique(np.linspace(0, len(genes) - 1, min(count, len(genes))).round().astype(int))
    return [genes[place] for place in places]


def guard_precision(opened: Opened, run: ModelRun) -> None:
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
    key = content_key("predict", {"units": [unit.key for unit in run.units(opened)]})
    known = opened.folder.trial(run.label, run.read_out.name)
    trial = known if known is not None and known.get("key") == key else _tried(opened, run) | {"key": key}
    if not (trial["acceptable"] or config.allow_imprecise):
        raise _loses(run, trial)
    opened.folder.record_trial(run.label, run.read_out.name, trial)


def _tried(opened: Opened, run: ModelRun) -> dict[str, Any]:
    """What an arithmetic loses on some genes, as the record keeps it."""
    from hapsight.predict.precision import FLOAT32_ROUNDING, LEAST_R, compare

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
    from hapsight.predict.precision import LEAST_R, MOST_LOST

    lowest = "none" if trial["lowest_r"] is None else f"{trial['lowest_r']:.3f}"
    return ConfigError(
        f"{trial['precision']} loses what {run.label} says of differences between people.",
        where=f"precision of [predict]; {trial['tried']} genes tried against float32",
        expected=f"at most {MOST_LOST:.0%} of signs lost, r of at least {LEAST_R} in every gene",
        got=f"{trial['signs_lost']:.1%} of {trial['differences']:,} differences between haplotypes and the "
        f"reference lost their sign; lowest r of a gene's predictions over people {lowest}; "
        f"{trial['constant']} of {trial['genes']} genes became constant",
        fix='set precision = "float32" (on a GPU "float16x3" is as exact), or allow_imprecise = true, which '
        "the report then says on top",
    )


def _affordable(opened: Opened, run: ModelRun) -> list[Gene]:
    """Evenly spread genes whose trial is quick, but two at least."""
    cohort, taken, flop = opened.cohort, list[Gene](), 0.0
    most = _GUARD_BLOCKS * model_target(run.device)
    for gene in spread_genes(cohort.genes, _GUARD_GENES):
        variants = cohort.genotypes.expected_records(window_of(gene, run.model).interval)
        flop += predicted_flop(run.model, run.read_out, variants, len(cohort.samples))
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
    from hapsight.predict.precision import predicted_in

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
    from hapsight.predict.engine import Sequences

    cohort = opened.cohort
    reader = VariantReader(
        cohort.genotypes, cohort.reference, [window_of(g, run.model).interval for g in genes]
    )
    return Sequences(run.model, run.read_out, reader, cohort.reference.fetch)
