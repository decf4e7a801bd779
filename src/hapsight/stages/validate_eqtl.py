"""Models beside eQTLs: their signs, their sizes, and variants that are no eQTLs.

And at accessibility beside expression: variants that are a QTL and an eQTL of a gene of the cohort.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from hapsight.cohort.nouns import Dropped, Gene, Variants
from hapsight.errors import InputError
from hapsight.run.effects import EffectsRun
from hapsight.run.opened import Opened, Progress
from hapsight.seeds import stream
from hapsight.stages.eqtl_sets import (
    EQTL_SET,
    NominalEffects,
    candidate_controls,
    nominal_effects,
    own_eqtls,
    read_eqtls,
    with_frequencies,
)
from hapsight.stages.local_effects import SITE, LocalOptions, by_model, qtl_effects
from hapsight.stages.predict import ModelRun
from hapsight.stages.validate_qtl import numbers_of, tss_by_contig, tss_distances
from hapsight.stages.validation import EQTL_EFFECTS, MODALITY_EFFECTS, Validated, estimate_row, track_labels
from hapsight.stages.valued_units import valuer_of
from hapsight.stats.ranks import auroc
from hapsight.validate.eqtl_signs import matched_controls, sign_benchmark
from hapsight.validate.qtl import (
    gap_estimates,
    read_qtls,
    stretch_of_each,
)

__all__ = [
    "EqtlOptions",
    "ModalityOptions",
    "eqtl_effects",
    "inside_window",
    "validate_eqtl",
    "validate_modality",
]


@dataclass(frozen=True, slots=True)
class EqtlOptions:
    """What is compared.

    Attributes
    ----------
    table
        A user's eQTLs; without, each gene's strongest variant in one half of the cohort's people, with its
        effect in the other half.
    max_p
        Of the cohort's own: largest p in the half that the variant was chosen in.
    controls
        Variants without an effect that are drawn for each eQTL; 0 for none.
    """

    table: Path | None = None
    max_p: float = 1e-5
    controls: int = 1


def validate_eqtl(
    opened: Opened, runs: Sequence[ModelRun], options: EqtlOptions, progress: Progress
) -> Validated:
    """Compare the effects of eQTLs on the reference with what models make of them.

    Own eQTLs and controls need the cohort's mapping, which is done first where it is not: the caller holds
    the run folder.

    Raises
    ------
    InputError
        The table cannot be read, or no eQTL lies in the window of a model.
    """
    dropped = Dropped()
    eqtls, nominal = _sets(opened, options, progress, dropped)
    rng = stream(opened.config.seed, "controls of eqtls")
    effects: list[pl.DataFrame] = []
    rows: list[dict[str, Any]] = []
    for run in runs:
        cases = inside_window(opened, run, eqtls, dropped)
        pool = _pool(opened, run, eqtls, nominal)
        controls = _controls(run, cases, pool, options.controls, rng, dropped)
        table = eqtl_effects(opened, run, pl.concat([cases, controls]), progress)
        effects.append(table)
        for labels in track_labels(run):
            rows += _summary(labels, table.filter(pl.col("track") == labels["track"]))
    if not sum(map(len, effects)):
        raise InputError(
            "No eQTL lies in the window of a model.",
            where=options.table or "the cohort's own",
            got="; ".join(f"{count:,}: {why}" for (_, why), count in dropped.counts.items()) or "no eQTL",
        )
    record = {"table": str(options.table or ""), "max_p": options.max_p, "controls": options.controls}
    return Validated.of(pl.concat(effects), rows, dropped, record)


def _sets(
    opened: Opened, options: EqtlOptions, progress: Progress, dropped: Dropped
) -> tuple[pl.DataFrame, NominalEffects | None]:
    """The eQTLs, and where controls are wanted, the variants that they are drawn from."""
    if options.table is None:
        nominal = nominal_effects(opened, progress)
        eqtls = own_eqtls(opened, nominal, options.max_p, dropped)
    else:
        eqtls = read_eqtls(options.table, opened, dropped)
        if not options.controls:
            return eqtls, None
        nominal = nominal_effects(opened, progress)
        eqtls = with_frequencies(eqtls, nominal)
    return eqtls, nominal if options.controls else None


def _pool(
    opened: Opened, run: ModelRun, eqtls: pl.DataFrame, nominal: NominalEffects | None
) -> pl.DataFrame | None:
    """Variants without effect in the model's windows."""
    if nominal is None:
        return None
    return candidate_controls(nominal, eqtls, lambda block: inside_window(opened, run, block, None))


def inside_window(
    opened: Opened, run: ModelRun, table: pl.DataFrame, dropped: Dropped | None
) -> pl.DataFrame:
    """The variants that lie in the model's window of their gene; the others are counted."""
    from hapsight.explain.ism import ism_window

    valuer, genes = valuer_of(opened, run), _by_id(opened)
    windows = {name: ism_window(genes[name], valuer).interval for name in table["gene_id"].unique()}
    bounds = pl.DataFrame(
        [(name, window.start, window.end) for name, window in windows.items()],
        schema={"gene_id": pl.String, "first": pl.Int64, "last": pl.Int64},
        orient="row",
    )
    placed = table.join(bounds, on="gene_id", how="left", maintain_order="left")
    end = pl.col("position") + pl.col("ref").str.len_chars()
    fits = placed.select((pl.col("position") >= pl.col("first")) & (end <= pl.col("last"))).to_series()
    if dropped is not None:
        for gene_id, variant_id in table.filter(~fits).select("gene_id", "variant_id").iter_rows():
            dropped.add("eqtl", f"beyond the window of {run.label}", f"{gene_id} {variant_id}")
    return table.filter(fits)


def _by_id(opened: Opened) -> dict[str, Gene]:
    return {gene.gene_id: gene for gene in opened.cohort.genes}


def _controls(
    run: ModelRun,
    cases: pl.DataFrame,
    pool: pl.DataFrame | None,
    n: int,
    rng: np.random.Generator,
    dropped: Dropped,
) -> pl.DataFrame:
    """Variants of the model's windows that match the eQTLs; eQTLs without are counted."""
    if pool is None or cases.is_empty():
        return pl.DataFrame(schema=EQTL_SET)
    known = cases.filter(pl.col("maf").is_not_null())
    chosen = matched_controls(_features(known), _features(pool), n, rng)
    for gene_id in cases.filter(pl.col("maf").is_null())["gene_id"]:
        dropped.add("control", f"{run.label}: the eQTL's frequency is not known", gene_id)
    for gene_id in known.filter(pl.Series(chosen[:, 0] < 0))["gene_id"]:
        dropped.add("control", f"{run.label}: too few of that distance and frequency", gene_id)
    return pool[chosen[chosen >= 0]]


def _features(table: pl.DataFrame) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    return table["distance"].cast(pl.Float64).to_numpy(), table["maf"].to_numpy()


def eqtl_effects(opened: Opened, run: ModelRun, table: pl.DataFrame, progress: Progress) -> pl.DataFrame:
    """One row per track and variant, with what the model makes of it on the reference."""
    from hapsight.explain.elements import reference_effects

    valuer, genes = valuer_of(opened, run), _by_id(opened)
    groups = table.sort("position", maintain_order=True).partition_by("gene_id", maintain_order=True)
    parts = [pl.DataFrame(schema=EQTL_EFFECTS)]
    for done, group in enumerate(groups):
        progress(f"eqtl effects {run.label}", done, len(groups))
        gene = genes[group["gene_id"][0]]
        effect = reference_effects(gene, _variants(group), valuer, opened.cohort.reference.fetch)
        for t, labels in enumerate(track_labels(run)):
            own = group.with_columns(
                pl.Series("effect", effect[:, t]),
                pl.col("slope").is_not_null().alias("eqtl"),
                *(pl.lit(value).alias(name) for name, value in labels.items()),
            )
            parts.append(own.select(list(EQTL_EFFECTS)))
    progress(f"eqtl effects {run.label}", len(groups), len(groups))
    return pl.concat(parts)


def _variants(group: pl.DataFrame) -> Variants:
    """Variants of one gene, which are by position, carried by nobody."""
    return Variants(
        group["contig"][0],
        group["position"].to_numpy(),
        tuple(group["ref"]),
        tuple(group["alt"]),
        tuple(group["variant_id"]),
        np.empty((len(group), 0, 2), np.uint8),
        (),
    )


def _summary(labels: dict[str, str], table: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Signs and slopes of the eQTLs, and their effects' sizes beside those of the controls."""
    cases = table.filter(pl.col("eqtl"))
    if not cases.is_empty():
        effect, slope, pip = (cases[name].fill_null(np.nan).to_numpy() for name in ("effect", "slope", "pip"))
        distance = cases["distance"].cast(pl.Float64).to_numpy()
        for one in sign_benchmark(effect, slope, distance, pip):
            yield estimate_row(labels, "eqtls", "model", one.quantity, one.found, one.stratum)
    if len(cases) < len(table):
        found = auroc(np.abs(table["effect"].to_numpy()), table["eqtl"].to_numpy())
        yield estimate_row(labels, "eqtls and controls", "model", "size_auroc", found)
        distance = -table["distance"].cast(pl.Float64).to_numpy()
        found = auroc(distance, table["eqtl"].to_numpy())
        yield estimate_row(labels, "eqtls and controls", "distance", "size_auroc", found)


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
