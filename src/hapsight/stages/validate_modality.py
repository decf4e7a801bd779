"""Models at accessibility and at expression: variants that are a QTL and an eQTL of a gene of the cohort."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from hapsight.cohort.nouns import Dropped
from hapsight.errors import InputError
from hapsight.run.effects import EffectsRun
from hapsight.run.opened import Opened, Progress
from hapsight.seeds import stream
from hapsight.stages.eqtl_sets import EQTL_SET, nominal_effects, read_eqtls
from hapsight.stages.local_effects import SITE, LocalOptions, by_model, qtl_effects
from hapsight.stages.predict import ModelRun
from hapsight.stages.validate_eqtl import eqtl_effects, inside_window
from hapsight.stages.validate_qtl import numbers_of, tss_by_contig, tss_distances
from hapsight.stages.validation import MODALITY_EFFECTS, Validated, estimate_row
from hapsight.validate.modality import gap_estimates
from hapsight.validate.qtl import read_qtls, stretch_of_each

__all__ = ["ModalityOptions", "validate_modality"]

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
        rows += _summary(labels, part, rng)
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


def _summary(
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
