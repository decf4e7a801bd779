"""The evaluation of a reference-trained model from its files to two tables and a JSON.

How good a reference-trained model is, on blocks that it was not trained on and, apart, on those it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.expression import read_expression
from hapsight.cohort.genes import read_genes
from hapsight.cohort.nouns import Gene, Interval, Strand
from hapsight.cohort.tables import write_table
from hapsight.dna import Codes, plain_contig, reverse_complement
from hapsight.engine.outputs import whole_values
from hapsight.engine.views import window_of
from hapsight.errors import ConfigError, ModelError
from hapsight.files import write_atomically
from hapsight.models.mini import Mini, mirrored_tracks
from hapsight.models.mini import load as load_mini
from hapsight.models.protocol import ReadOut, SequenceModel
from hapsight.models.registry import load_model
from hapsight.stats.ranks import Estimate, auroc, spearman, track_correlation
from hapsight.tables import TRACK_EVALUATION, TSS_EVALUATION
from hapsight.train.plan import Blocks, ReferencePlan, is_inside
from hapsight.train.reference import ReferenceData, open_data, predict_blocks
from hapsight.train.tracks import CELL, Frame, tiles

__all__ = [
    "ACTIVE_READS",
    "EXPRESSED",
    "TSS_REACH",
    "GeneSet",
    "ReferenceEvaluation",
    "evaluate_reference",
    "gene_sets",
    "measure_genes",
    "measure_tracks",
]

TSS_REACH: Final = 512
"""Bases on either side of a TSS whose measured transcription counts."""

ACTIVE_READS: Final = 10
"""Reads there from which on a TSS is active."""

EXPRESSED: Final = 1.0
"""Mean expression, in the expression file's units, from which on a gene is expressed."""

STRETCH: Final = 100_000
"""Bases that the bootstrap of track correlations keeps together."""

_BATCH: Final = 8

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class GeneSet:
    """Genes of one kind of block, with their mean expression, (genes,)."""

    name: str
    genes: tuple[Gene, ...]
    expression: Float


def gene_sets(
    genes: Sequence[Gene], expression: Mapping[str, float], blocks: Blocks, model: SequenceModel
) -> tuple[list[GeneSet], list[str]]:
    """Genes whose whole window lies in a test, a validation or a training block; and those in none of them.

    Returns
    -------
    Sets named ``test``, ``validation`` and ``train``, never mixed; and gene_ids left out: windows over a
    border, or no expression.
    """
    kinds = {"test": blocks.test, "validation": blocks.validation, "train": blocks.train}
    found: dict[str, list[Gene]] = {name: [] for name in kinds}
    left_out = []
    for gene in genes:
        interval = window_of(gene, model.window).interval
        kind = next((k for k, some in kinds.items() if any(is_inside(interval, b) for b in some)), None)
        if kind is None or gene.gene_id not in expression:
            left_out.append(gene.gene_id)
        else:
            found[kind].append(gene)
    sets = [
        GeneSet(kind, tuple(some), np.array([expression[gene.gene_id] for gene in some]))
        for kind, some in found.items()
    ]
    return sets, left_out


def measure_tracks(
    model: Mini, data: ReferenceData, blocks: Blocks, frame: Frame, rng: np.random.Generator
) -> pl.DataFrame:
    """Pearson's r of each track over the bins of test and of validation blocks; columns `TRACK_EVALUATION`.

    ``scale`` is ``raw`` (counts as measured) or ``log1p`` (of both sides).
    """
    rows = []
    for kind, some in (("test", blocks.test), ("validation", blocks.validation)):
        predicted, _ = predict_blocks(model.network, data, some, frame)
        observed = _measured_bins(data, some, frame)
        for index, track in enumerate(model.tracks):
            p, y = predicted[:, index].astype(np.float64), observed[:, index].astype(np.float64)
            for scale, (a, b) in {"raw": (p, y), "log1p": (np.log1p(p), np.log1p(y))}.items():
                estimate = track_correlation(a, b, STRETCH // frame.width, rng)
                rows.append({"track": track.name, "blocks": kind, "scale": scale, **_named_tracks(estimate)})
    return pl.DataFrame(rows, schema=TRACK_EVALUATION)


def measure_genes(
    models: Sequence[SequenceModel], sets: Sequence[GeneSet], data: ReferenceData
) -> pl.DataFrame:
    """Predictions at TSSs against mean expression and measured transcription; columns `TSS_EVALUATION`.

    The measured transcription of the first model's default track, for `TSS_REACH` bases on either side, is
    a row of its own (``model = "measured"``): what a perfect prediction of it would reach.
    """
    first = models[0]
    track = first.read_out().tracks[0]
    rows: list[dict[str, object]] = []
    for some in sets:
        reads = _reads(data, some.genes, track)
        rows += _judged("measured", first.tracks[track].name, some, reads, reads)
        for model in models:
            names, wanted = _read_outs(model)
            values = _at_tss(model, wanted, data.codes, some.genes)
            for name, column in zip(names, values.T, strict=True):
                rows += _judged(model.name, name, some, column, reads)
    return pl.DataFrame(rows, schema=TSS_EVALUATION)


def _read_outs(model: SequenceModel) -> tuple[list[str], ReadOut]:
    """All read-outs of mini as one, as they differ by their track only; of other models the default."""
    if not isinstance(model, Mini):
        return ["default"], replace(model.read_out(), tracks=model.read_out().tracks[:1])
    names = [name for name in model.read_outs if name != "default"]
    tracks = tuple(model.read_outs[name].tracks[0] for name in names)
    return names, replace(model.read_out(), tracks=tracks)


def _judged(
    model: str, read_out: str, some: GeneSet, values: Float, reads: Float
) -> Iterator[dict[str, object]]:
    estimates = {
        "spearman_expression": spearman(values, some.expression),
        "spearman_transcription": spearman(values, reads),
        "auroc_expressed": auroc(values, some.expression >= EXPRESSED),
        "auroc_active": auroc(values, reads >= ACTIVE_READS),
    }
    for quantity, estimate in estimates.items():
        if model != "measured" or quantity.endswith(("expression", "expressed")):
            yield {
                "model": model,
                "read_out": read_out,
                "blocks": some.name,
                "quantity": quantity,
                **_named_tracks(estimate),
                "n_positive": estimate.n_positive,
            }


def _named_tracks(estimate: Estimate) -> dict[str, object]:
    found = asdict(estimate)
    return {name: found[name] for name in ("n", "value", "ci_low", "ci_high")}


def _at_tss(model: SequenceModel, read_out: ReadOut, codes: Codes, genes: Sequence[Gene]) -> Float:
    """(genes, T) read-out of the reference sequence."""
    if not genes:
        return np.zeros((0, len(read_out.tracks)))
    rows = (_oriented(codes, window_of(gene, model.window).interval, _flipped(model, gene)) for gene in genes)
    try:
        return whole_values(model, read_out, rows, _BATCH, "cpu")
    except ModelError as error:
        raise error.at(f"gene {genes[error.row or 0].gene_id}") from error


def _flipped(model: SequenceModel, gene: Gene) -> bool:
    return model.window.oriented and gene.strand is Strand.MINUS


def _oriented(codes: Codes, interval: Interval, flipped: bool) -> Codes:
    part = codes[interval.start : interval.end]
    return reverse_complement(part) if flipped else part


def _reads(data: ReferenceData, genes: Sequence[Gene], track: int) -> Float:
    """(genes,) measured sum of a ``+`` track, or its partner for genes on the other strand, about the TSS."""
    partner = mirrored_tracks([file.track for file in data.signal.files])
    found = []
    for gene in genes:
        row = data.signal.cells[partner[track] if gene.strand is Strand.MINUS else track]
        first, last = (gene.tss - TSS_REACH) // CELL, (gene.tss + TSS_REACH) // CELL
        found.append(row[first:last].sum(dtype=np.float64))
    return np.array(found, np.float64)


def _measured_bins(data: ReferenceData, blocks: Sequence[Interval], frame: Frame) -> NDArray[np.float32]:
    """Unclipped tracks of the same bins as `predict_blocks`, (bins, T)."""
    first = frame.crop * frame.width
    return np.concatenate(
        [data.signal.raw(start + first, frame.kept, frame.width) for start in tiles(blocks, frame)]
    )


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
