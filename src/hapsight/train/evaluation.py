"""The evaluation of a reference-trained model from its files to two tables and a JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from hapsight.cohort.contigs import plain_contig
from hapsight.cohort.expression import read_expression
from hapsight.cohort.genes import read_genes
from hapsight.cohort.nouns import Gene
from hapsight.cohort.parquet import write_table
from hapsight.disk import write_atomically
from hapsight.errors import ConfigError
from hapsight.models.mini import Mini
from hapsight.models.mini import load as load_mini
from hapsight.models.registry import load_model
from hapsight.train.measure import (
    ACTIVE_READS,
    EXPRESSED,
    TSS_REACH,
    gene_sets,
    measure_genes,
    measure_tracks,
)
from hapsight.train.plan import ReferencePlan
from hapsight.train.reference import open_data

__all__ = ["ReferenceEvaluation", "evaluate_reference"]

_SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceEvaluation:
    """What `hapsight train evaluate` found.

    Attributes
    ----------
    genes
        How many genes each set has; ``left_out``: those whose window crosses a border of a block, lies
        outside of the region, or that have no expression.
    tracks, tss
        See `measure_tracks` and `measure_genes`.
    """

    model: str
    fingerprint: str
    parameters: int
    genes: dict[str, int]
    tracks: pl.DataFrame
    tss: pl.DataFrame
    seconds: float

    def write(self, folder: Path) -> None:
        """Write ``evaluation.json``, ``tracks.parquet`` and ``tss.parquet``."""
        for name, table in (("tracks", self.tracks), ("tss", self.tss)):
            write_table(folder / f"{name}.parquet", table)
        write_atomically(folder / "evaluation.json", json.dumps(self._plain(), indent=1).encode())

    def _plain(self) -> dict[str, Any]:
        definitions = {
            "active": f"at least {ACTIVE_READS} reads of the default track within {TSS_REACH} bp of the TSS",
            "expressed": f"mean expression of at least {EXPRESSED:g}",
        }
        return {
            "model": self.model,
            "fingerprint": self.fingerprint,
            "parameters": self.parameters,
            "genes": self.genes,
            "definitions": definitions,
            "tracks": self.tracks.to_dicts(),
            "tss": self.tss.to_dicts(),
        }


def evaluate_reference(
    plan: ReferencePlan,
    weights: str,
    *,
    genes: Path,
    expression: Path,
    cache: Path,
    beside: Sequence[str] = (),
) -> ReferenceEvaluation:
    """Judge weights of mini by the blocks of the plan that they were trained by.

    Parameters
    ----------
    beside
        Other models, ``name`` or ``name:weights``, whose default read-out is shown for the same genes.

    Raises
    ------
    ConfigError
        The weights' tracks are not those of the plan.
    """
    started = time.monotonic()
    model = load_mini(weights)
    _require_tracks(model, plan)
    data, blocks = open_data(plan, cache), plan.blocks()
    measured = read_expression(expression)
    means = zip(measured.genes, measured.values.mean(axis=1), strict=True)
    sets, left_out = gene_sets(
        _on_contig(genes, plan), {gene.gene_id: float(mean) for gene, mean in means}, blocks, model
    )
    others = [load_model(*_named(name), device="cpu") for name in beside]
    tracks = measure_tracks(model, data, blocks, plan.windows.frame(), np.random.default_rng(_SEED))
    tss = measure_genes([model, *others], sets, data)
    counts = {some.name: len(some.genes) for some in sets} | {"left_out": len(left_out)}
    parameters = sum(one.numel() for one in model.network.parameters())
    seconds = time.monotonic() - started
    return ReferenceEvaluation(model.name, model.fingerprint, parameters, counts, tracks, tss, seconds)


def _on_contig(path: Path, plan: ReferencePlan) -> list[Gene]:
    contig = plain_contig(plan.where().contig)
    return [gene for gene in read_genes(path) if plain_contig(gene.contig) == contig]


def _named(text: str) -> tuple[str, str | None]:
    name, _, weights = text.partition(":")
    return name, weights or None


def _require_tracks(model: Mini, plan: ReferencePlan) -> None:
    planned = tuple(track.track_file().track for track in plan.tracks)
    if model.tracks != planned:
        raise ConfigError(
            "The weights are of other tracks than the plan's.",
            where=model.name,
            expected=", ".join(track.name for track in planned),
            got=", ".join(track.name for track in model.tracks),
            fix="give the plan by which these weights were trained",
        )
