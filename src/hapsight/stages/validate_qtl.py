"""Models and tables of effects beside signed QTLs of any quantity, each variant at its own place.

At accessibility beside expression: variants that are a QTL and an eQTL of a gene of the cohort.
"""

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
from hapsight.stages.eqtl_sets import EQTL_SET, nominal_effects, read_eqtls
from hapsight.stages.local_effects import SITE, LocalOptions, by_model, qtl_effects
from hapsight.stages.predict import ModelRun
from hapsight.stages.validate_eqtl import eqtl_effects, inside_window
from hapsight.stages.validation import MODALITY_EFFECTS, Validated, estimate_row
from hapsight.stats.ranks import auroc, grouped_auroc, grouped_mean
from hapsight.validate.eqtl_signs import matched_controls
from hapsight.validate.qtl import (
    QTL_SET,
    STRETCH,
    distance_signs,
    gap_estimates,
    gc_signs,
    qtl_benchmark,
    read_qtls,
    right_sign,
    stretch_of_each,
)

__all__ = [
    "ModalityOptions",
    "QtlOptions",
    "TssByContig",
    "numbers_of",
    "tss_by_contig",
    "tss_distances",
    "validate_modality",
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


_PAIR: Final = ["qtl_id", "gene_id", *SITE]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalityOptions(LocalOptions):
    """What is compared.

    Attributes
    ----------
    table
        Accessibility QTLs, as sites: see `hapsight.validate.qtl.read_qtls`.
    eqtls
        A user's eQTLs (`hapsight.stages.eqtl_sets.read_eqtls`), taken as they are; without, the cohort's own.
    reach
        Bases between a variant and the TSS of its gene, at most.
    max_p
        Of the cohort's own: largest nominal p of the variant, of genes whose eQTL is significant.
    """

    table: Path
    eqtls: Path | None = None
    reach: int = 100_000
    max_p: float = 1e-3


def validate_modality(
    opened: Opened, runs: Sequence[ModelRun | EffectsRun], options: ModalityOptions, progress: Progress
) -> Validated:
    """Set each model's direction at accessibility beside that at expression, on the same variants.

    The cohort's own eQTLs are mapped first where they are not: the caller holds the run folder.

    Raises
    ------
    InputError
        A table cannot be read, the QTLs are pairs of sequences, or no variant is in both.
    """
    qtls, dropped = read_qtls(options.table, opened.cohort.reference)
    _require_sites(qtls, options.table)
    pairs = _pairs(opened, qtls, options, dropped, progress)
    sites = pairs.unique(["qtl_id", *SITE], keep="first", maintain_order=True)
    sites = sites.with_columns(pl.col("accessibility").alias("slope")).select(qtls.columns)
    sites = sites.with_columns(tss_distances(tss_by_contig(opened), sites))
    local = qtl_effects(opened, runs, sites, options, dropped, progress)
    local = local.select("qtl_id", *SITE, "model", "read_out", "track", "held_out", "effect")
    table = pairs.join(local, on=["qtl_id", *SITE], how="inner", maintain_order="left")
    table = table.join(
        _at_genes(opened, runs, pairs, dropped, progress),
        on=[*_PAIR, "model", "read_out", "track"],
        how="left",
        maintain_order="left",
    )
    effects = table.select(pl.col(name).cast(kind) for name, kind in MODALITY_EFFECTS.items())
    rows: list[dict[str, Any]] = []
    for labels, part in by_model(effects):
        rng = stream(opened.config.seed, " ".join(["validate modality", *labels.values()]))
        rows += _modality_summary(labels, part, rng)
    record = {name: str(value or "") for name, value in asdict(options).items()}
    return Validated.of(effects, rows, dropped, record)


def _require_sites(qtls: pl.DataFrame, table: Path) -> None:
    if qtls["sequence_ref"].null_count() < len(qtls):
        raise InputError(
            "Pairs of sequences have no place on the FASTA, so no eQTL can be found at theirs.",
            where=table,
            expected="columns chrom, pos, ref, alt and beta",
            got="columns chrom, high and low",
        )


def _pairs(
    opened: Opened, qtls: pl.DataFrame, options: ModalityOptions, dropped: Dropped, progress: Progress
) -> pl.DataFrame:
    """QTLs with each gene whose eQTL they are; `first`: the gene of smallest p, else the nearest."""
    if options.eqtls is None:
        eqtls = _own(opened, qtls, options, progress)
    else:
        eqtls = read_eqtls(options.eqtls, opened, dropped).with_columns(pval_nominal=pl.lit(None, pl.Float64))
    near = eqtls.filter(pl.col("distance") <= options.reach)
    renamed = qtls.rename({"slope": "accessibility"})
    both = near.select("gene_id", *SITE, "distance", "slope", "pval_nominal")
    turned = both.rename({"ref": "alt", "alt": "ref"}).with_columns(slope=-pl.col("slope"))
    either = pl.concat([both, turned.select(both.columns)])
    found = renamed.join(either, on=SITE, how="inner", maintain_order="left")
    for name in qtls.join(found, on="qtl_id", how="anti")["qtl_id"]:
        dropped.add("qtl", "no eQTL of a gene within reach", name)
    if found.is_empty():
        raise InputError(
            "No QTL is an eQTL too.",
            where=options.table,
            expected=f"a variant within {options.reach:,} bases of the TSS of a gene whose eQTL it is",
            got=f"{len(qtls):,} QTLs, {len(near):,} pairs of eQTL and gene within reach",
            fix="widen --reach or --max-p, or look whether both tables have the same alleles",
        )
    ordered = found.sort("pval_nominal", "distance", "gene_id", nulls_last=True, maintain_order=True)
    first = ordered.select(pl.struct("qtl_id", *SITE).is_first_distinct().alias("first"))
    return pl.concat([ordered, first], how="horizontal").sort("contig", "position", "gene_id")


def _own(opened: Opened, qtls: pl.DataFrame, options: ModalityOptions, progress: Progress) -> pl.DataFrame:
    """The cohort's eQTLs at the places of the QTLs, of genes whose top eQTL is significant."""
    places = qtls.select("contig", "position").unique()
    found = nominal_effects(opened, progress)
    genes = pl.read_parquet(opened.folder.path / "eqtl" / "cis_qtl.parquet", columns=["phenotype_id", "qval"])
    significant = genes.filter(pl.col("qval") <= opened.config.eqtl.fdr)["phenotype_id"]
    kept = [
        block.filter(
            pl.col("gene_id").is_in(significant.implode()),
            pl.col("pval_nominal") <= options.max_p,
            pl.col("slope").is_not_null(),
        ).join(places, on=["contig", "position"], how="semi")
        for block in found
    ]
    return pl.concat(kept)


def _at_genes(
    opened: Opened,
    runs: Sequence[ModelRun | EffectsRun],
    pairs: pl.DataFrame,
    dropped: Dropped,
    progress: Progress,
) -> pl.DataFrame:
    """`gene_effect` of the pairs whose variant lies in the model's window of the gene."""
    keys = dict.fromkeys(("model", "read_out", "track"), pl.String)
    parts = [
        pl.DataFrame(
            schema={**{name: pairs.schema[name] for name in _PAIR}, **keys, "gene_effect": pl.Float64}
        )
    ]
    given = pairs.with_columns(variant_id=pl.col("qtl_id"), pip=pl.lit(None, pl.Float64))
    given = given.select(pl.col(name).cast(kind) for name, kind in EQTL_SET.items())
    for run in runs:
        if isinstance(run, ModelRun):
            inside = inside_window(opened, run, given, dropped)
            found = eqtl_effects(opened, run, inside, progress)
            found = found.rename({"variant_id": "qtl_id", "effect": "gene_effect"})
            parts.append(found.select(parts[0].columns))
    return pl.concat(parts)


def _modality_summary(
    labels: Mapping[str, str], table: pl.DataFrame, rng: np.random.Generator
) -> Iterator[dict[str, Any]]:
    one = table.filter(pl.col("first"))
    size = one["effect"].abs()
    half = one.filter(size.rank("ordinal", descending=True) <= (len(one) + 1) // 2)
    for what, stratum, part in (
        ("one gene", "all", one),
        ("one gene", "effect top half", half),
        ("all pairs", "all", table),
    ):
        names = ("effect", "accessibility", "slope", "gene_effect")
        effect, accessibility, slope, gene_effect = (numbers_of(part, name) for name in names)
        where = stretch_of_each(part["contig"].to_list(), part["position"].to_list())
        found = gap_estimates(effect, accessibility, slope, where, rng, gene_effect=gene_effect)
        for quantity, estimate in found:
            missing = "no variant with both signs"
            yield estimate_row(labels, what, "model", quantity, estimate, stratum, missing)
