"""Models beside enhancers that were silenced by CRISPRi."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from hapsight.cohort.genes import read_genes
from hapsight.cohort.nouns import Dropped
from hapsight.run.opened import Opened, Progress
from hapsight.seeds import stream
from hapsight.stages.predict import ModelRun
from hapsight.stages.validation import CRISPRI_EFFECTS, Validated, estimate_row, track_labels
from hapsight.stages.valued_units import valuer_of
from hapsight.stats.ranks import Estimate
from hapsight.validate.crispri import CrispriPair, read_crispri

if TYPE_CHECKING:
    from hapsight.explain.elements import ElementEffects

__all__ = ["CrispriOptions", "validate_crispri"]

_METHODS: Final = ("deletion", "shuffle", "mask")
_BASELINE: Final = "distance"


@dataclass(frozen=True, slots=True)
class CrispriOptions:
    """What is compared.

    Attributes
    ----------
    genes
        A gene table with the strands of the table's genes, beside the configuration's own.
    draws
        Shuffled sequences of each element.
    """

    table: Path
    genes: Path | None = None
    draws: int = 10


def validate_crispri(
    opened: Opened, runs: Sequence[ModelRun], options: CrispriOptions, progress: Progress
) -> Validated:
    """Take every element that fits out of its gene's window, and rank the pairs by what expression loses.

    Raises
    ------
    InputError
        The table cannot be read, or has no pair on a contig of the FASTA.
    """
    genes = [*opened.cohort.genes, *(read_genes(options.genes) if options.genes else ())]
    pairs, dropped = read_crispri(options.table, opened.cohort.reference, genes)
    rng = stream(opened.config.seed, "crispri")
    effects: list[pl.DataFrame] = []
    rows: list[dict[str, Any]] = []
    for run in runs:
        table = _effects(opened, run, pairs, options.draws, rng, dropped, progress)
        effects.append(table)
        for labels in track_labels(run):
            mine = table.filter(pl.col("track") == labels["track"])
            rows += [_coverage(labels, pairs, mine), *_ranking(labels, mine, rng)]
    record = {
        "table": str(options.table),
        "genes": str(options.genes) if options.genes else None,
        "draws": options.draws,
    }
    return Validated.of(pl.concat(effects), rows, dropped, record)


def _effects(
    opened: Opened,
    run: ModelRun,
    pairs: Sequence[CrispriPair],
    draws: int,
    rng: np.random.Generator,
    dropped: Dropped,
    progress: Progress,
) -> pl.DataFrame:
    """One row per pair that fits, and track; the others are counted by why they do not."""
    from hapsight.explain.elements import element_effects, misfit

    valuer = valuer_of(opened, run)
    rows: list[dict[str, Any]] = []
    for done, pair in enumerate(pairs):
        progress(f"crispri {run.label}", done, len(pairs))
        fault = misfit(pair.gene, pair.element, valuer)
        if fault is not None:
            dropped.add("pair", f"{run.label}: {fault}", pair.name)
            continue
        found = element_effects(pair.gene, pair.element, valuer, opened.cohort.reference.fetch, rng, draws)
        rows += _rows(run, pair, found)
    progress(f"crispri {run.label}", len(pairs), len(pairs))
    return pl.DataFrame(rows, schema=CRISPRI_EFFECTS)


def _rows(run: ModelRun, pair: CrispriPair, found: ElementEffects) -> Iterator[dict[str, Any]]:
    for t, labels in enumerate(track_labels(run)):
        yield {
            "pair": pair.name,
            "gene_id": pair.gene.gene_id,
            "gene_name": pair.gene.gene_name,
            **labels,
            "contig": pair.element.contig,
            "start": pair.element.start,
            "end": pair.element.end,
            "distance": pair.distance,
            "regulated": pair.regulated,
            "reference": float(found.reference[t]),
            "deletion": float(found.deletion[t]),
            "shuffle": float(found.shuffle[t]),
            "shuffle_sd": float(found.shuffle_sd[t]),
            "mask": float(found.mask[t]),
        }


def _coverage(labels: dict[str, str], pairs: Sequence[CrispriPair], fit: pl.DataFrame) -> dict[str, Any]:
    """The share of the pairs on the FASTA's contigs that the model can be asked about."""
    share = Estimate(len(pairs), len(fit) / len(pairs), n_positive=sum(pair.regulated for pair in pairs))
    return estimate_row(labels, "pairs", "model", "share_fitting", share)


def _ranking(labels: dict[str, str], fit: pl.DataFrame, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Average precision of each way to take an element out, beside the distance."""
    from hapsight.explain.reliability_quality import ranked

    scores = {name: -fit[name].to_numpy() for name in _METHODS}
    scores[_BASELINE] = 1.0 / (1.0 + fit["distance"].to_numpy())
    found = ranked(scores, _BASELINE, fit["regulated"].to_numpy(), rng)
    for (name, quantity), estimate in found.items():
        missing = "no pair fits" if fit.is_empty() else "all pairs that fit are of one class"
        yield estimate_row(labels, "pairs", name, quantity, estimate, missing=missing)
