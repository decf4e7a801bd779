"""What models, and tables of effects, make of variants where they lie: the window centred on each of them.

Models that differ only in what they were trained on are also joined, by what each held out and as a mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Gene, Strand, Variants
from hapsight.dna import N_CODE, Codes, encode, plain_contig, reverse_complement
from hapsight.engine.outputs import at_gene
from hapsight.run.effects import EffectsRun
from hapsight.run.opened import Opened, Progress
from hapsight.stages.predict import ModelRun
from hapsight.stages.validation import QTL_EFFECTS, track_labels
from hapsight.stages.valued_units import valuer_of

if TYPE_CHECKING:
    from hapsight.engine.engine import Valuer
    from hapsight.sequence.haplotypes import Window

__all__ = ["SITE", "LocalOptions", "by_model", "local_effects", "qtl_effects"]

Float = NDArray[np.float64]

SITE: Final = ["contig", "position", "ref", "alt"]
"""What makes a variant the same as another."""

_TOGETHER: Final = 64
"""Variants whose sequences are run together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOptions:
    """How a variant is read where it lies.

    Attributes
    ----------
    centre
        What the window is centred on; a variant without a peak is its own centre.
    strands
        Whether a value is the mean of both strands.
    folds
        Whether models that differ only in what they were trained on are asked about all variants, or only
        about those on chromosomes that they were not trained on.
    """

    centre: Literal["variant", "peak"] = "variant"
    strands: Literal["both", "forward"] = "both"
    folds: Literal["all", "held_out"] = "all"


def qtl_effects(
    opened: Opened,
    runs: Sequence[ModelRun | EffectsRun],
    sites: pl.DataFrame,
    options: LocalOptions,
    dropped: Dropped,
    progress: Progress,
) -> pl.DataFrame:
    """What each model makes of each variant where it lies, and what folds make of it together.

    Parameters
    ----------
    sites
        Columns of `hapsight.validate.qtl.QTL_SET`, and ``tss_distance``.

    Returns
    -------
    Columns of `hapsight.stages.validation.QTL_EFFECTS`.
    """
    families = _families(runs)
    folds = {label for labels in families.values() for label in labels} if options.folds == "held_out" else ()
    parts = []
    for run in runs:
        mine = sites
        if isinstance(run, ModelRun) and run.label in folds:
            held_out = [_held_out(run, contig) == "yes" for contig in sites["contig"]]
            mine = sites.filter(pl.Series(held_out, dtype=pl.Boolean))
        parts.append(_of_run(opened, run, mine, options, dropped, progress))
    effects = pl.concat(parts)
    return pl.concat([effects, *_joined(families, effects, options)]).select(list(QTL_EFFECTS))


def _of_run(
    opened: Opened,
    run: ModelRun | EffectsRun,
    sites: pl.DataFrame,
    options: LocalOptions,
    dropped: Dropped,
    progress: Progress,
) -> pl.DataFrame:
    """One row per track and variant that the model can be asked about."""
    if isinstance(run, EffectsRun):
        return _of_table(opened, run, sites, dropped)
    values = local_effects(opened, run, sites, options, progress)
    known = np.isfinite(values[:, 1]).all(axis=1)
    for name in sites.filter(pl.Series(~known))["qtl_id"]:
        dropped.add("qtl", f"beyond the window of {run.label}", name)
    held_out = [_held_out(run, contig) for contig in sites["contig"]]
    parts = []
    for t, labels in enumerate(track_labels(run)):
        columns = [pl.Series("reference", values[:, 0, t]), pl.Series("effect", values[:, 1, t])]
        parts.append(_rows(sites.with_columns(*columns, pl.Series("held_out", held_out)), labels))
    return pl.concat(parts).filter(pl.col("effect").is_finite())


def _held_out(run: ModelRun, contig: str) -> str:
    if run.model.held_out is None:
        return "unknown"
    return "yes" if plain_contig(contig) in run.model.held_out else "no"


def _rows(table: pl.DataFrame, labels: Mapping[str, str]) -> pl.DataFrame:
    own = table.with_columns(
        pl.col("slope").is_not_null().alias("qtl"),
        *(pl.lit(value).alias(name) for name, value in labels.items()),
    )
    return own.select(pl.col(name).cast(kind) for name, kind in QTL_EFFECTS.items())


def _of_table(opened: Opened, run: EffectsRun, sites: pl.DataFrame, dropped: Dropped) -> pl.DataFrame:
    """Effects of a table, of the nearest gene where it has several of a variant; either allele may be ALT."""
    tss = {gene.gene_id: gene.tss for gene in opened.cohort.genes}
    away = (pl.col("position") - pl.col("gene_id").replace_strict(tss, return_dtype=pl.Int64)).abs()
    placed = run.given.table.filter(pl.col("position").is_not_null())
    rows = placed.sort(away, maintain_order=True)
    rows = rows.select("contig", "position", "ref", "alt", "track", effect=pl.col("value"))
    turned = rows.rename({"ref": "alt", "alt": "ref"}).with_columns(effect=-pl.col("effect"))
    both = pl.concat([rows, turned.select(rows.columns)])
    both = both.unique(["track", *SITE], keep="first", maintain_order=True)
    plain = sites.with_columns(
        own=pl.col("contig"), contig=pl.col("contig").map_elements(plain_contig, return_dtype=pl.String)
    )
    parts = []
    for name in run.track_names:
        mine = both.filter(pl.col("track") == name).drop("track")
        joined = plain.join(mine, on=SITE, how="left", maintain_order="left")
        for missing in joined.filter(pl.col("effect").is_null())["qtl_id"]:
            dropped.add("qtl", f"not in the table of {run.label}", missing)
        joined = joined.filter(pl.col("effect").is_not_null()).with_columns(
            contig=pl.col("own"), held_out=pl.lit("unknown"), reference=pl.lit(None, pl.Float64)
        )
        labels = {"model": run.label, "read_out": run.read_out.name, "track": name}
        parts.append(_rows(joined, labels))
    return pl.concat(parts)


def local_effects(
    opened: Opened, run: ModelRun, sites: pl.DataFrame, options: LocalOptions, progress: Progress
) -> Float:
    """(n, 2, T) value of the reference, and effect of each variant at its own place; NaN beyond the window.

    Parameters
    ----------
    sites
        Columns of `hapsight.validate.qtl.QTL_SET`.
    """
    valuer = valuer_of(opened, run)
    window, read_out = valuer.model.window, valuer.read_out
    strands = [Strand.PLUS]
    if options.strands == "both" and window.oriented:
        strands.append(Strand.MINUS)
    elif options.strands == "both":
        valuer = replace(valuer, read_out=replace(read_out, reverse_complement=True))
    found = np.full((len(sites), 2, len(read_out.tracks)), np.nan)
    for first in range(0, len(sites), _TOGETHER):
        progress(f"qtl effects {run.label}", first, len(sites))
        rows = sites[first : first + _TOGETHER].rows(named=True)
        each = [_values(rows, valuer, strand, options, opened) for strand in strands]
        found[first : first + len(rows)] = np.mean(each, axis=0)
    progress(f"qtl effects {run.label}", len(sites), len(sites))
    found[:, 1] -= found[:, 0]
    return found


def _values(
    rows: Sequence[Mapping[str, Any]], valuer: Valuer, strand: Strand, options: LocalOptions, opened: Opened
) -> Float:
    """(n, 2, T) of the sequences without and with each variant."""
    made = [_sequences(row, valuer, strand, options, opened) for row in rows]
    there = [place for place, codes in enumerate(made) if codes is not None]
    found = np.full((len(rows), 2, len(valuer.read_out.tracks)), np.nan)
    if there:
        codes = np.concatenate([one for one in made if one is not None])
        with at_gene(str(rows[there[0]]["qtl_id"])):
            values, _ = valuer(codes)
        found[there] = values.reshape(len(there), 2, -1)
    return found


def _sequences(
    row: Mapping[str, Any], valuer: Valuer, strand: Strand, options: LocalOptions, opened: Opened
) -> Codes | None:
    """(2, L) without and with the variant, as the model reads; None where it lies beyond the window."""
    from hapsight.explain.elements import carried_by_nobody
    from hapsight.explain.ism import ism_window
    from hapsight.explain.mutations import REFERENCE, pair_sequences

    if row["sequence_ref"] is not None:
        return _padded([row["sequence_ref"], row["sequence_alt"]], valuer, strand)
    on_peak = options.centre == "peak" and row["centre"] is not None  # a control has no peak
    anchor = row["centre"] if on_peak else row["position"]
    window = ism_window(Gene(row["qtl_id"], row["contig"], anchor, strand), valuer)
    if not _inside(row, window):
        return None
    carried = carried_by_nobody(window, _one_variant(row))
    pairs = carried.pairs(np.array([0]), np.array([REFERENCE]))
    made = pair_sequences(carried, pairs, opened.cohort.reference.fetch)
    codes = np.asarray(made.distinct[made.index[0]])
    return reverse_complement(codes) if window.reverse else codes


def _inside(row: Mapping[str, Any], window: Window) -> bool:
    start, end = row["position"], row["position"] + len(row["ref"])
    return bool(window.interval.start <= start and end <= window.interval.end)


def _one_variant(row: Mapping[str, Any]) -> Variants:
    nobody = np.empty((1, 0, 2), np.uint8)
    place = np.array([row["position"]], np.int64)
    return Variants(row["contig"], place, (row["ref"],), (row["alt"],), (row["qtl_id"],), nobody, ())


def _padded(sequences: Sequence[str], valuer: Valuer, strand: Strand) -> Codes | None:
    """(2, L) codes of two sequences with their middle at the TSS's place, N around them.

    None where what they differ in is beyond the window.
    """
    codes = np.stack([encode(text.encode()) for text in sequences])
    middle = codes.shape[1] // 2
    if strand is Strand.MINUS:
        codes, middle = reverse_complement(codes), codes.shape[1] - 1 - middle
    window, beyond = valuer.model.window, valuer.beyond
    first = window.upstream + beyond - middle
    made = np.full((2, window.length + 2 * beyond), N_CODE, np.uint8)
    start, end = max(first, 0), min(first + codes.shape[1], made.shape[1])
    made[:, start:end] = codes[:, start - first : end - first]
    return made if np.any(made[0] != made[1]) else None


def _families(runs: Sequence[ModelRun | EffectsRun]) -> dict[str, list[str]]:
    """Labels of models that differ only in what they were trained on, by what they have in common."""
    found: dict[str, dict[str, list[str]]] = {}
    for run in runs:
        if isinstance(run, ModelRun) and run.model.held_out is not None:
            cells = sorted({track.cell_type for track in run.tracks})
            name = " ".join([run.name.split("/")[0], *cells])
            found.setdefault(name, {}).setdefault(run.read_out.name, []).append(run.label)
    apart = {
        name if len(by_read_out) == 1 else f"{name} {read_out}": labels
        for name, by_read_out in found.items()
        for read_out, labels in by_read_out.items()
    }
    return {name: labels for name, labels in apart.items() if len(labels) > 1}


def _joined(
    families: Mapping[str, list[str]], effects: pl.DataFrame, options: LocalOptions
) -> Iterator[pl.DataFrame]:
    """Effects by the folds that were not trained on a variant's chromosome, and the mean of all folds."""
    for name, labels in families.items():
        mine = effects.filter(pl.col("model").is_in(labels))
        yield _mean(mine.filter(pl.col("held_out") == "yes"), f"{name}, held out")
        if options.folds == "all":
            yield _mean(mine, f"{name}, mean of {len(labels)}")


def _mean(effects: pl.DataFrame, called: str) -> pl.DataFrame:
    """One row per variant and track, of the means over models."""
    keys = ["read_out", "track", "qtl_id", *SITE]
    same = [name for name in QTL_EFFECTS if name not in (*keys, "model", "held_out", "reference", "effect")]
    seen = pl.when((pl.col("held_out") == "yes").all()).then(pl.lit("yes")).otherwise(pl.lit("no"))
    joined = effects.group_by(keys, maintain_order=True).agg(
        pl.col(same).first(), seen.alias("held_out"), pl.col("reference", "effect").mean()
    )
    return joined.with_columns(model=pl.lit(called)).select(list(QTL_EFFECTS))


def by_model(effects: pl.DataFrame) -> Iterator[tuple[dict[str, str], pl.DataFrame]]:
    """The rows of each model, read-out and track, with what these are called."""
    names = ["model", "read_out", "track"]
    for key, part in effects.partition_by(names, as_dict=True, maintain_order=True).items():
        yield dict(zip(names, map(str, key), strict=True)), part
