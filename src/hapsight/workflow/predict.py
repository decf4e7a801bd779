"""The stage that runs models: one unit is a block of genes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from hapsight.cohort.nouns import Gene
from hapsight.config import Config
from hapsight.errors import ConfigError
from hapsight.models.protocol import ReadOut, SequenceModel
from hapsight.predict.cost import predicted_flop
from hapsight.predict.pool import Here
from hapsight.predict.store import UnitStore
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
from hapsight.workflow.precision import guard_precision

__all__ = ["ModelRun", "load_models", "model_entry", "predict", "require_apart"]


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


def load_models(opened: Opened) -> list[ModelRun]:
    """Load the configured models, with their read-outs, onto the configured device.

    Raises
    ------
    ConfigError
        Two of them could not be told apart in the tables.
    """
    (here, there), config = _devices(opened.config), opened.config.predict
    runs = []
    for wanted in opened.config.models:
        options = json.dumps(wanted.options, sort_keys=True)
        source = ModelSource(wanted.name, wanted.weights, options, there, config.precision, config.compiled)
        model, fingerprint = replace(source, device=here).load()
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
