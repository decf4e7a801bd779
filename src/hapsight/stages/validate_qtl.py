"""Models and tables of effects beside signed QTLs of any quantity, each variant at its own place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.contigs import find_contig, plain_contig
from hapsight.cohort.genes import read_genes
from hapsight.cohort.nouns import Dropped, Interval, Variants
from hapsight.errors import ConfigError, InputError
from hapsight.run.blocks import VariantReader
from hapsight.run.effects import EffectsRun
from hapsight.run.opened import Opened, Progress
from hapsight.seeds import stream
from hapsight.stages.local_effects import SITE, LocalOptions, by_model, qtl_effects
from hapsight.stages.predict import ModelRun
from hapsight.stages.validation import Validated, estimate_row
from hapsight.stats.ranks import auroc, grouped_auroc, grouped_mean
from hapsight.validate.eqtl_signs import matched_controls
from hapsight.validate.qtl import (
    QTL_SET,
    STRETCH,
    distance_signs,
    gc_signs,
    qtl_benchmark,
    read_qtls,
    right_sign,
    stretch_of_each,
)

__all__ = [
    "QtlOptions",
    "TssByContig",
    "numbers_of",
    "tss_by_contig",
    "tss_distances",
    "validate_qtl",
]

Float = NDArray[np.float64]

_APART: Final = 1_000
"""Bases between a control and every QTL, at least."""

_NO_MODEL: Final = {"model": "no model", "read_out": "", "track": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class QtlOptions(LocalOptions):
    """What is compared.

    Attributes
    ----------
    table
        See `hapsight.validate.qtl.read_qtls`.
    controls
        Variants of the cohort that are drawn for each QTL; 0 for none.
    control
        Label of a model of a second cell type, whose share of right signs is taken off the others'.
    """

    table: Path
    controls: int = 0
    control: str | None = None


def validate_qtl(
    opened: Opened, runs: Sequence[ModelRun | EffectsRun], options: QtlOptions, progress: Progress
) -> Validated:
    """Compare the effects of QTLs with what models make of them where they lie.

    Raises
    ------
    InputError
        The table cannot be read, or has no peaks although the window is to be centred on them.
    ConfigError
        No model is called as `control` says.
    """
    _require_control(runs, options)
    qtls, dropped = read_qtls(options.table, opened.cohort.reference)
    _require_peaks(qtls, options)
    cases = _with_cohort(opened, qtls)
    starts = tss_by_contig(opened)
    controls, matched = _controls(opened, cases, starts, options, dropped)
    sites = pl.concat([cases, controls])
    sites = sites.with_columns(tss_distances(starts, sites))
    effects = qtl_effects(opened, runs, sites, options, dropped, progress)
    rows = [*_beside(sites.filter(pl.col("slope").is_not_null()), opened.config.seed)]
    for labels, part in by_model(effects):
        rows += _summary(labels, part, matched, opened.config.seed)
    if options.control is not None:
        rows += _less_control(effects, options.control, opened.config.seed)
    record = {name: str(value or "") for name, value in asdict(options).items()}
    return Validated.of(effects, rows, dropped, record)


def _require_control(runs: Sequence[ModelRun | EffectsRun], options: QtlOptions) -> None:
    labels = [run.label for run in runs]
    if options.control is not None and options.control not in labels:
        raise ConfigError(
            "No model is called as the control.", expected=f"one of {', '.join(labels)}", got=options.control
        )


def _require_peaks(qtls: pl.DataFrame, options: QtlOptions) -> None:
    if options.centre == "peak" and qtls["centre"].null_count():
        raise InputError(
            "The window is to be centred on peaks, and the table does not say where they are.",
            where=options.table,
            expected="columns peak_start and peak_end in every row",
            got=f"{qtls['centre'].null_count():,} of {len(qtls):,} rows without",
            fix="centre it on the variant: leave out --centre",
        )


def _with_cohort(opened: Opened, qtls: pl.DataFrame) -> pl.DataFrame:
    """The QTLs, with the cohort's frequency of sites of which the table gives none."""
    wanted = qtls.filter(pl.col("maf").is_null() & pl.col("sequence_ref").is_null())
    if wanted.is_empty():
        return qtls
    none = pl.DataFrame(schema={name: QTL_SET[name] for name in (*SITE, "maf")})
    own = pl.concat([none, *(_frequencies(variants) for variants in _cohort_near(opened, wanted))])
    turned = own.rename({"ref": "alt", "alt": "ref"}).select(own.columns)
    both = pl.concat([own, turned]).unique(SITE, keep="first", maintain_order=True)
    joined = qtls.join(both.rename({"maf": "own"}), on=SITE, how="left", maintain_order="left")
    return joined.with_columns(maf=pl.coalesce("maf", "own")).select(list(QTL_SET))


def _cohort_near(opened: Opened, qtls: pl.DataFrame) -> Iterator[Variants]:
    """The cohort's variants in the stretches of `STRETCH` bases that hold a QTL."""
    cohort = opened.cohort
    keys = qtls.select("contig", pl.col("position") // STRETCH).unique(maintain_order=True)
    for contig, number in keys.iter_rows():
        if find_contig(contig, tuple(cohort.genotypes.contigs)) is not None:
            start = number * STRETCH
            end = min(start + STRETCH, cohort.reference.contigs[contig])
            read = VariantReader(cohort.genotypes, cohort.reference)(Interval(contig, start, end))
            yield read.take((read.position >= start) & (read.maf > 0))


def _frequencies(variants: Variants) -> pl.DataFrame:
    columns = {"contig": [variants.contig] * len(variants), "position": variants.position}
    columns |= {"ref": variants.ref, "alt": variants.alt, "maf": variants.maf}
    kinds = {name: QTL_SET[name] for name in columns}
    return pl.DataFrame(columns, schema=kinds)


TssByContig = Mapping[str, NDArray[np.int64]]
"""The TSSs of the gene table, ascending, by a contig's plain name."""


def tss_by_contig(opened: Opened) -> TssByContig:
    """The TSSs of the whole gene table; without one, of the cohort's genes."""
    table = opened.config.cohort.genes
    genes = read_genes(table, repeats=True) if table else list(opened.cohort.genes)
    by_contig: dict[str, list[int]] = {}
    for gene in genes:
        by_contig.setdefault(plain_contig(gene.contig), []).append(gene.tss)
    return {contig: np.unique(found) for contig, found in by_contig.items()}


def tss_distances(starts: TssByContig, sites: pl.DataFrame) -> pl.Series:
    """`tss_distance`: bases from each site to the nearest TSS; null of pairs."""
    columns = sites.select("contig", "position", "sequence_ref").iter_rows()
    found = [None if pair else _nearest(starts.get(plain_contig(c)), p) for c, p, pair in columns]
    return pl.Series("tss_distance", found, pl.Int64)


def _nearest(starts: NDArray[np.int64] | None, position: int) -> int | None:
    if starts is None:
        return None
    right = int(np.searchsorted(starts, position))
    return min(abs(int(tss) - position) for tss in starts[max(0, right - 1) : right + 1])


def _controls(
    opened: Opened, cases: pl.DataFrame, starts: TssByContig, options: QtlOptions, dropped: Dropped
) -> tuple[pl.DataFrame, list[str]]:
    """Variants of the cohort that match QTLs in distance and frequency, and which QTLs; others are named."""
    none = pl.DataFrame(schema=QTL_SET)
    if not options.controls:
        return none, []
    placed = cases.filter(pl.col("sequence_ref").is_null())
    pool = pl.concat([none, *(_far_from(placed, found) for found in _cohort_near(opened, placed))])
    known = placed.filter(pl.col("maf").is_not_null())
    for name in cases.join(known, on="qtl_id", how="anti")["qtl_id"]:
        dropped.add("control", "the QTL's frequency, or its place, is not known", name)
    rng = stream(opened.config.seed, "controls of qtls")
    chosen = matched_controls(_features(starts, known), _features(starts, pool), options.controls, rng)
    served = pl.Series(chosen[:, 0] >= 0, dtype=pl.Boolean)
    for name in known.filter(~served)["qtl_id"]:
        dropped.add("control", "too few of that distance and frequency", name)
    return pool[chosen[chosen >= 0]], known.filter(served)["qtl_id"].to_list()


def _features(starts: TssByContig, table: pl.DataFrame) -> tuple[Float, Float]:
    distance = tss_distances(starts, table).cast(pl.Float64).fill_null(np.inf).to_numpy()
    return distance, table["maf"].to_numpy()


def _far_from(qtls: pl.DataFrame, variants: Variants) -> pl.DataFrame:
    places = np.sort(qtls.filter(pl.col("contig") == variants.contig)["position"].to_numpy())
    right = np.searchsorted(places, variants.position)
    padded = np.concatenate([[-STRETCH], places, [2**40]])
    near = np.minimum(variants.position - padded[right], padded[right + 1] - variants.position)
    far = variants.take(near >= _APART)
    table = _frequencies(far).with_columns(qtl_id=pl.Series(far.variant_id, dtype=pl.String))
    return table.with_columns(
        pl.lit(None, kind).alias(name) for name, kind in QTL_SET.items() if name not in table.columns
    ).select(list(QTL_SET))


def numbers_of(table: pl.DataFrame, name: str) -> Float:
    """(n,) numbers of a column; NaN where it is null."""
    return table[name].cast(pl.Float64).fill_null(np.nan).to_numpy()


def _groups(table: pl.DataFrame) -> NDArray[np.int64]:
    return stretch_of_each(table["contig"].to_list(), table["position"].to_list())


def _draws(seed: int, labels: Mapping[str, str], what: str) -> np.random.Generator:
    """Random numbers that depend on the model's names only, not on which other models there are."""
    return stream(seed, " ".join(["validate qtl", what, *labels.values()]))


def _beside(cases: pl.DataFrame, seed: int) -> Iterator[dict[str, Any]]:
    """What says the sign without a model."""
    slope, distance, group = numbers_of(cases, "slope"), numbers_of(cases, "tss_distance"), _groups(cases)
    said = {
        "distance": distance_signs(distance, slope, group),
        "gc": gc_signs(cases["ref"].to_list(), cases["alt"].to_list()),
    }
    for name, score in said.items():
        rng = _draws(seed, _NO_MODEL, name)
        known = np.isfinite(score)
        missing = "no distance to a TSS is known, or all lie in one stretch"
        if not known.any():
            yield estimate_row(
                _NO_MODEL, "qtls", name, "sign_agrees", grouped_mean(score, group, rng), "all", missing
            )
            continue
        for one in qtl_benchmark(score[known], slope[known], distance[known], group[known], rng):
            if one.stratum == "all":
                yield estimate_row(_NO_MODEL, "qtls", name, one.quantity, one.found)


def _summary(
    labels: Mapping[str, str], table: pl.DataFrame, matched: list[str], seed: int
) -> Iterator[dict[str, Any]]:
    cases, rng = table.filter(pl.col("qtl")), _draws(seed, labels, "signs")
    if not cases.is_empty():
        effect, slope, distance = (numbers_of(cases, name) for name in ("effect", "slope", "tss_distance"))
        for one in qtl_benchmark(effect, slope, distance, _groups(cases), rng):
            yield estimate_row(labels, "qtls", "model", one.quantity, one.found, one.stratum)
    table = table.filter(~pl.col("qtl") | pl.col("qtl_id").is_in(matched))
    if 0 < table["qtl"].sum() < len(table):
        positive, group = table["qtl"].to_numpy(), _groups(table)
        scores = {
            "model": np.abs(numbers_of(table, "effect")),
            "distance": -numbers_of(table, "tss_distance"),
        }
        scores["reference"] = numbers_of(table, "reference")
        for name, score in scores.items():
            if np.isfinite(score).all():
                found = auroc(score, positive)
                yield estimate_row(labels, "qtls and controls", name, "size_auroc", found)
                found = grouped_auroc(score, positive, group, rng)
                yield estimate_row(labels, "qtls and controls", name, "size_auroc.stretches", found)


def _less_control(effects: pl.DataFrame, control: str, seed: int) -> Iterator[dict[str, Any]]:
    """The share of right signs less that of the control, on the variants that both have a sign for."""
    cases = effects.filter(pl.col("qtl"))
    keys = ["qtl_id", *SITE]
    other = cases.filter(pl.col("model") == control).unique(keys, keep="first", maintain_order=True)
    other = other.select(*keys, pl.col("effect").alias("other"))
    for labels, part in by_model(cases):
        if labels["model"] == control:
            continue
        both = part.join(other, on=keys, how="inner", maintain_order="left", nulls_equal=True)
        slope = numbers_of(both, "slope")
        mine, theirs = (right_sign(numbers_of(both, name), slope) for name in ("effect", "other"))
        shared = np.isfinite(mine) & np.isfinite(theirs)
        mine, theirs = (np.where(shared, side, np.nan) for side in (mine, theirs))
        rng = _draws(seed, labels, f"less {control}")
        found = grouped_mean(mine, _groups(both), rng, less=theirs)
        yield estimate_row(labels, "qtls", f"less {control}", "sign_agrees.stretches", found)
