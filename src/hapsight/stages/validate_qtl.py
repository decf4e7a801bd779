"""Models and tables of effects beside signed QTLs of any quantity, each variant at its own place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.contigs import find_contig, plain_contig
from hapsight.cohort.genes import read_genes
from hapsight.cohort.nouns import Dropped, Gene, Interval, Strand, Variants
from hapsight.dna import N_CODE, Codes, encode, reverse_complement
from hapsight.engine.outputs import at_gene
from hapsight.errors import ConfigError, InputError
from hapsight.run.blocks import VariantReader
from hapsight.run.effects import EffectsRun
from hapsight.run.opened import Opened, Progress
from hapsight.seeds import stream
from hapsight.stages.predict import ModelRun
from hapsight.stages.validation import QTL_EFFECTS, Validated, estimate_row, track_labels
from hapsight.stages.valued_units import valuer_of
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
    stretches,
)

if TYPE_CHECKING:
    from hapsight.engine.values import Valuer
    from hapsight.sequence.haplotypes import Window

__all__ = [
    "QtlOptions",
    "by_model",
    "local_effects",
    "numbers_of",
    "qtl_effects",
    "tss_distances",
    "validate_qtl",
    "with_cohort",
]

Float = NDArray[np.float64]

_TOGETHER: Final = 64
"""Variants whose sequences are run together."""

_APART: Final = 1_000
"""Bases between a control and every QTL, at least."""

_NO_MODEL: Final = {"model": "no model", "read_out": "", "track": ""}
_SITE: Final = ["contig", "position", "ref", "alt"]


@dataclass(frozen=True, slots=True)
class QtlOptions:
    """What is compared.

    Attributes
    ----------
    table
        See `hapsight.validate.qtl.read_qtls`.
    centre
        What the window is centred on.
    strands
        Whether a value is the mean of both strands.
    controls
        Variants of the cohort that are drawn for each QTL; 0 for none.
    control
        Label of a model of a second cell type, whose share of right signs is taken off the others'.
    folds
        Whether models that differ only in what they were trained on are asked about all variants, or only
        about those on chromosomes that they were not trained on.
    """

    table: Path
    centre: Literal["variant", "peak"] = "variant"
    strands: Literal["both", "forward"] = "both"
    controls: int = 0
    control: str | None = None
    folds: Literal["all", "held_out"] = "all"


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
    cases = with_cohort(opened, qtls)
    controls, matched = _controls(opened, cases, options, dropped)
    sites = pl.concat([cases, controls]).with_columns(tss_distances(opened, pl.concat([cases, controls])))
    effects = qtl_effects(opened, runs, sites, options, dropped, progress)
    rng = stream(opened.config.seed, "validate qtl")
    rows = [*_beside(sites.filter(pl.col("slope").is_not_null()), rng)]
    for (model, read_out, track), part in by_model(effects):
        labels = {"model": model, "read_out": read_out, "track": track}
        rows += _summary(labels, part, matched, rng)
    if options.control is not None:
        rows += _less_control(effects, options.control, rng)
    record = {name: str(getattr(options, name) or "") for name in QtlOptions.__slots__}
    return Validated.of(effects, rows, dropped, record)


def qtl_effects(
    opened: Opened,
    runs: Sequence[ModelRun | EffectsRun],
    sites: pl.DataFrame,
    options: QtlOptions,
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


def by_model(effects: pl.DataFrame) -> Iterator[tuple[tuple[str, ...], pl.DataFrame]]:
    """The rows of each model, read-out and track."""
    parts = effects.partition_by(["model", "read_out", "track"], as_dict=True, maintain_order=True)
    for key, part in parts.items():
        yield tuple(map(str, key)), part


def with_cohort(opened: Opened, qtls: pl.DataFrame) -> pl.DataFrame:
    """The QTLs, with the cohort's frequency of sites of which the table gives none."""
    wanted = qtls.filter(pl.col("maf").is_null() & pl.col("sequence_ref").is_null())
    if wanted.is_empty():
        return qtls
    none = pl.DataFrame(schema={name: QTL_SET[name] for name in (*_SITE, "maf")})
    own = pl.concat([none, *(_frequencies(variants) for variants in _cohort_near(opened, wanted))])
    turned = own.rename({"ref": "alt", "alt": "ref"}).select(own.columns)
    both = pl.concat([own, turned]).unique(_SITE, keep="first", maintain_order=True)
    joined = qtls.join(both.rename({"maf": "own"}), on=_SITE, how="left", maintain_order="left")
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


def tss_distances(opened: Opened, sites: pl.DataFrame) -> pl.Series:
    """`tss_distance`: bases from each site to the nearest TSS of the gene table; null of pairs."""
    table = opened.config.cohort.genes
    genes = read_genes(table, repeats=True) if table else list(opened.cohort.genes)
    by_contig: dict[str, list[int]] = {}
    for gene in genes:
        by_contig.setdefault(plain_contig(gene.contig), []).append(gene.tss)
    starts = {contig: np.unique(found) for contig, found in by_contig.items()}
    columns = sites.select("contig", "position", "sequence_ref").iter_rows()
    found = [None if pair else _nearest(starts.get(plain_contig(c)), p) for c, p, pair in columns]
    return pl.Series("tss_distance", found, pl.Int64)


def _nearest(starts: NDArray[np.int64] | None, position: int) -> int | None:
    if starts is None:
        return None
    right = int(np.searchsorted(starts, position))
    return min(abs(int(tss) - position) for tss in starts[max(0, right - 1) : right + 1])


def _controls(
    opened: Opened, cases: pl.DataFrame, options: QtlOptions, dropped: Dropped
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
    features = (_features(opened, table) for table in (known, pool))
    chosen = matched_controls(*features, options.controls, rng)
    served = pl.Series(chosen[:, 0] >= 0, dtype=pl.Boolean)
    for name in known.filter(~served)["qtl_id"]:
        dropped.add("control", "too few of that distance and frequency", name)
    return pool[chosen[chosen >= 0]], known.filter(served)["qtl_id"].to_list()


def _features(opened: Opened, table: pl.DataFrame) -> tuple[Float, Float]:
    distance = tss_distances(opened, table).cast(pl.Float64).fill_null(np.inf).to_numpy()
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


def _of_run(
    opened: Opened,
    run: ModelRun | EffectsRun,
    sites: pl.DataFrame,
    options: QtlOptions,
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
    both = both.unique(["track", *_SITE], keep="first", maintain_order=True)
    plain = sites.with_columns(
        own=pl.col("contig"), contig=pl.col("contig").map_elements(plain_contig, return_dtype=pl.String)
    )
    parts = []
    for name in run.track_names:
        mine = both.filter(pl.col("track") == name).drop("track")
        joined = plain.join(mine, on=_SITE, how="left", maintain_order="left")
        for missing in joined.filter(pl.col("effect").is_null())["qtl_id"]:
            dropped.add("qtl", f"not in the table of {run.label}", missing)
        joined = joined.filter(pl.col("effect").is_not_null()).with_columns(
            contig=pl.col("own"), held_out=pl.lit("unknown"), reference=pl.lit(None, pl.Float64)
        )
        labels = {"model": run.label, "read_out": run.read_out.name, "track": name}
        parts.append(_rows(joined, labels))
    return pl.concat(parts)


def local_effects(
    opened: Opened, run: ModelRun, sites: pl.DataFrame, options: QtlOptions, progress: Progress
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
    rows: Sequence[Mapping[str, Any]], valuer: Valuer, strand: Strand, options: QtlOptions, opened: Opened
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
    row: Mapping[str, Any], valuer: Valuer, strand: Strand, options: QtlOptions, opened: Opened
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
    if strand is Strand.MINUS:
        codes = reverse_complement(codes)
    window, beyond = valuer.model.window, valuer.beyond
    first = window.upstream + beyond - codes.shape[1] // 2
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
    families: Mapping[str, list[str]], effects: pl.DataFrame, options: QtlOptions
) -> Iterator[pl.DataFrame]:
    """Effects by the folds that were not trained on a variant's chromosome, and the mean of all folds."""
    for name, labels in families.items():
        mine = effects.filter(pl.col("model").is_in(labels))
        yield _mean(mine.filter(pl.col("held_out") == "yes"), f"{name}, held out")
        if options.folds == "all":
            yield _mean(mine, f"{name}, mean of {len(labels)}")


def _mean(effects: pl.DataFrame, called: str) -> pl.DataFrame:
    """One row per variant and track, of the means over models."""
    keys = ["read_out", "track", "qtl_id", *_SITE]
    same = [name for name in QTL_EFFECTS if name not in (*keys, "model", "held_out", "reference", "effect")]
    seen = pl.when((pl.col("held_out") == "yes").all()).then(pl.lit("yes")).otherwise(pl.lit("no"))
    joined = effects.group_by(keys, maintain_order=True).agg(
        pl.col(same).first(), seen.alias("held_out"), pl.col("reference", "effect").mean()
    )
    return joined.with_columns(model=pl.lit(called)).select(list(QTL_EFFECTS))


def numbers_of(table: pl.DataFrame, name: str) -> Float:
    """(n,) numbers of a column; NaN where it is null."""
    return table[name].cast(pl.Float64).fill_null(np.nan).to_numpy()


def _groups(table: pl.DataFrame) -> NDArray[np.int64]:
    return stretches(table["contig"].to_list(), table["position"].to_list())


def _beside(cases: pl.DataFrame, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """What says the sign without a model."""
    slope, distance, group = numbers_of(cases, "slope"), numbers_of(cases, "tss_distance"), _groups(cases)
    said = {
        "distance": distance_signs(distance, slope, group),
        "gc": gc_signs(cases["ref"].to_list(), cases["alt"].to_list()),
    }
    for name, score in said.items():
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
    labels: Mapping[str, str], table: pl.DataFrame, matched: list[str], rng: np.random.Generator
) -> Iterator[dict[str, Any]]:
    cases = table.filter(pl.col("qtl"))
    if not cases.is_empty():
        columns = (numbers_of(cases, name) for name in ("effect", "slope", "tss_distance"))
        for one in qtl_benchmark(*columns, _groups(cases), rng):
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


def _less_control(effects: pl.DataFrame, control: str, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """The share of right signs less that of the control, on the variants that both have a sign for."""
    cases = effects.filter(pl.col("qtl"))
    keys = ["qtl_id", *_SITE]
    other = cases.filter(pl.col("model") == control).unique(keys, keep="first", maintain_order=True)
    other = other.select(*keys, pl.col("effect").alias("other"))
    for (model, read_out, track), part in by_model(cases):
        if model == control:
            continue
        both = part.join(other, on=keys, how="inner", maintain_order="left", nulls_equal=True)
        slope = numbers_of(both, "slope")
        mine, theirs = (right_sign(numbers_of(both, name), slope) for name in ("effect", "other"))
        shared = np.isfinite(mine) & np.isfinite(theirs)
        mine, theirs = (np.where(shared, side, np.nan) for side in (mine, theirs))
        found = grouped_mean(mine, _groups(both), rng, less=theirs)
        labels = {"model": model, "read_out": read_out, "track": track}
        yield estimate_row(labels, "qtls", f"less {control}", "sign_agrees.stretches", found)
