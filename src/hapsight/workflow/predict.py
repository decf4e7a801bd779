"""The stage that runs models: one unit is a block of genes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from hapsight.cohort.nouns import Gene
from hapsight.errors import ConfigError
from hapsight.models.protocol import ReadOut, SequenceModel
from hapsight.predict.store import content_key
from hapsight.predict.windows import require_fitting, window_of
from hapsight.workflow.opened import POLICY_KEYS, Opened, Progress, dropped_table, gene_facts
from hapsight.workflow.variants import VariantReader

if TYPE_CHECKING:
    from hapsight.predict.engine import GenePrediction

__all__ = ["ModelRun", "load_models", "model_entry", "predict"]


@dataclass(frozen=True, slots=True, eq=False)
class ModelRun:
    """A loaded model and how it is read.

    Attributes
    ----------
    label
        What the model is called in tables: its name, or what the configuration calls it.
    """

    label: str
    model: SequenceModel
    read_out: ReadOut
    device: str

    def unit_key(self, opened: Opened, genes: Sequence[Gene]) -> str:
        """Digest of all that the predictions of these genes depend on."""
        return content_key(
            {
                "stage": "predict",
                "fingerprint": self.model.fingerprint,
                "read_out": asdict(self.read_out),
                "window": asdict(self.model.window),
                "device": self.device,
                "arithmetic": opened.config.predict.model_dump(
                    mode="json", include={"batch_size", "precision", "compiled"}
                ),
                "policy": opened.config.cohort.model_dump(mode="json", include=POLICY_KEYS),
                "genes": gene_facts(genes),
                **opened.key_parts("genotypes", "reference"),
            }
        )

    def units(self, opened: Opened) -> list[tuple[str, str, Sequence[Gene]]]:
        """Name, key and genes of every unit."""
        size = opened.config.predict.genes_per_unit
        return [(name, self.unit_key(opened, genes), genes) for name, genes in opened.units(size)]


def load_models(opened: Opened) -> list[ModelRun]:
    """Load the configured models, with their read-outs, onto the configured device.

    Raises
    ------
    ConfigError
        Two of them could not be told apart in the tables.
    """
    from hapsight.models.registry import load_model, resolve_device

    config = opened.config.predict
    device, runs = config.device, []
    for wanted in opened.config.models:
        model = load_model(wanted.name, wanted.weights, device, **wanted.options)
        require_fitting(model, opened.cohort.genes, opened.cohort.reference.contigs)
        read_out = model.read_out(wanted.read_out)
        runs.append(ModelRun(wanted.label or model.name, model, read_out, str(resolve_device(device))))
        if config.precision != "float32" or config.compiled:
            from hapsight.predict.accelerate import accelerate

            accelerate(model, runs[-1].device, config.precision, config.compiled)
    twice = [key for key, count in Counter((r.label, r.read_out.name) for r in runs).items() if count > 1]
    if twice:
        raise ConfigError(
            "Two models have one name and one read-out, so their numbers could not be told apart.",
            got=f"{twice[0][0]}, read-out {twice[0][1]}",
            fix="give each of them a `label` of its own under [[models]]",
        )
    return runs


def predict(opened: Opened, runs: Sequence[ModelRun], progress: Progress) -> None:
    """Run every model on every gene's distinct haplotypes; finished units are not run again."""
    for run in runs:
        label = f"predict {run.label}"
        with opened.folder.stage(f"{label} ({run.read_out.name})") as stage:
            store, units = opened.folder.predictions(run.label, run.read_out.name), run.units(opened)
            kept = 0
            for done, (name, key, genes) in enumerate(units):
                progress(label, done, len(units))
                if store.done(name, key):
                    kept += 1
                else:
                    store.write(name, key, _predict_unit(opened, run, genes))
            progress(label, len(units), len(units))
            entry = model_entry(opened, run)
            opened.folder.add_model(entry)
            stage["computed"] = len(units) - kept
            stage["detail"] = (
                f"{entry['asked']:,} passes asked for, {entry['distinct']:,} distinct "
                f"({entry['asked'] / max(entry['distinct'], 1):.1f}x fewer); "
                f"{len(units) - kept} units computed, {kept} kept"
            )


def _predict_unit(opened: Opened, run: ModelRun, genes: Sequence[Gene]) -> dict[str, pl.DataFrame]:
    from hapsight.predict.engine import Sequences, predict_genes

    cohort = opened.cohort
    windows = [window_of(gene, run.model).interval for gene in genes]
    reader = VariantReader(cohort.genotypes, cohort.reference, windows)
    found = predict_genes(
        Sequences(run.model, run.read_out, reader, cohort.reference.fetch),
        genes,
        batch_size=opened.config.predict.batch_size,
        device=run.device,
        budget=int(opened.config.predict.budget_gb * 2**30),
    )
    tracks = [run.model.tracks[index].name for index in run.read_out.tracks]
    for prediction in found:
        reader.dropped.merge(prediction.dropped)
    return {
        "values": pl.concat([_values(prediction, tracks) for prediction in found]),
        "genes": pl.DataFrame(
            {
                "gene_id": [p.gene_id for p in found],
                "n_variants": [p.n_variants for p in found],
                "n_distinct": [len(p.distinct) for p in found],
                "gflop": [p.flop / 1e9 for p in found],
            }
        ),
        "dropped": dropped_table(reader.dropped),
    }


def _values(found: GenePrediction, tracks: Sequence[str]) -> pl.DataFrame:
    """One row per track, person and haplotype; the reference first, with an empty ``sample_id``."""
    n = len(found.samples)
    distinct = np.concatenate([[-1], found.index.ravel()]).astype(np.int32)
    values = np.concatenate([found.reference[None], found.distinct[found.index.ravel()]])  # (1 + 2N, T)
    return pl.concat(
        [
            pl.DataFrame(
                {
                    "gene_id": [found.gene_id] * (1 + 2 * n),
                    "track": [track] * (1 + 2 * n),
                    "sample_id": ["", *np.repeat(found.samples, 2)],
                    "haplotype": np.concatenate([[0], np.tile([1, 2], n)]).astype(np.int8),
                    "distinct": distinct,
                    "value": values[:, t],
                }
            )
            for t, track in enumerate(tracks)
        ]
    )


def model_entry(opened: Opened, run: ModelRun) -> dict[str, Any]:
    """What the record says of a model whose units are done.

    Raises
    ------
    IncompleteError
        Some are not.
    """
    names = [(name, key) for name, key, _ in run.units(opened)]
    genes = opened.folder.predictions(run.label, run.read_out.name).read(names, "genes")
    window = run.model.window
    return {
        "name": run.label,
        "model": run.model.name,
        "read_out": run.read_out.name,
        "fingerprint": run.model.fingerprint,
        "window": f"{window.upstream:,} bp before and {window.downstream:,} bp from the TSS on",
        "device": run.device,
        "asked": 2 * len(opened.cohort.samples) * len(genes),
        "distinct": int(genes["n_distinct"].sum()),
    }
