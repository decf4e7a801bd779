"""Rows of ``explain/drivers``: a gene's main driver, and what speaks for its sign."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.alleles import Aligned
from hapsight.cohort.nouns import Interval, Variants
from hapsight.errors import StoreError
from hapsight.explain.drivers import FORMS, Drivers, spread
from hapsight.explain.support import GivenEffects, supported
from hapsight.priors.sign_table import SignPriors
from hapsight.run.arms import Arm, Comparison
from hapsight.stats.correlation import correlate

__all__ = ["KEY", "GeneEffects", "control_of", "driver_rows", "reach_of", "stored_drivers"]

Float = NDArray[np.float64]
Row = dict[str, Any]

KEY: Final = ("position", "ref", "alt")
"""Columns that tell a variant from others of its contig."""


@dataclass(frozen=True, slots=True, eq=False)
class GeneEffects:
    """All that a gene's drivers are found from.

    Attributes
    ----------
    result
        The gene's row of ``per_gene``.
    effects
        The gene's rows of the model's effects beside ``slope`` and ``slope_half2`` of its eQTLs (null where
        there are none).
    variants
        The cohort's variants around these.
    half1
        (N,) people of half 1, and their residual expression, covariates fitted in them alone; None where
        there are no halves.
    """

    compared: Comparison
    result: Row
    effects: pl.DataFrame
    variants: Variants
    half1: tuple[NDArray[np.bool_], Float] | None


def reach_of(effects: pl.DataFrame, contig: str) -> Interval:
    """The stretch that holds the variants of one gene's effects."""
    if effects.is_empty():
        return Interval(contig, 0, 0)
    position = effects["position"].to_numpy()
    return Interval(contig, int(position.min()), int(position.max()) + 1)


def driver_rows(
    arm: Arm,
    gene: GeneEffects,
    given: GivenEffects | None,
    priors: SignPriors | None,
) -> Iterator[Row]:
    """One row per published form; ``index`` are the places of its drivers among the effects.

    Raises
    ------
    StoreError
        A variant of the effects is not among the cohort's variants.
    """
    place = _places(gene)
    laid = given and given.laid(gene.compared.gene.gene_id, gene.variants)
    own = gene.effects.with_columns(
        maf=gene.variants.maf[place],
        given_beta=_given(laid)[place] if laid else pl.lit(None),
        prior_score=_scores(gene, priors)[place] if priors else pl.lit(None),
    )
    dosage, predicted = gene.variants.dosage[place], gene.compared.predicted
    for form, find in FORMS.items():
        row = _gene_row(arm, gene) | {"form": form}
        row |= {"n_given": sum(laid.counts.values()), "n_given_used": laid.n_used} if laid else {}
        if not gene.compared.status and len(own):
            found = find(own["effect"].to_numpy(), dosage, predicted)
            row |= {"status": found.status, "additivity": found.additivity, "n_drivers": len(found.index)}
            row |= _main_row(gene, own, found)
            row |= {"index": found.index.tolist(), "drivers": list(_each(own, found))}
        yield row


def stored_drivers(
    main: pl.DataFrame, drivers: pl.DataFrame, effects: pl.DataFrame, r: float | None
) -> Drivers | None:
    """A gene's drivers among `effects`, from its rows of a form; None where they were found in others.

    Parameters
    ----------
    main, drivers
        Rows of ``drivers`` and ``driver_variants``.
    r
        What the gene's R is now.
    """
    row = main.row(0, named=True) if len(main) else {}
    if [row.get(name) for name in ("status", "pearson_r", "n_variants")] != ["ok", r, len(effects)]:
        return None
    place = effects.select(*KEY, "effect", place=pl.int_range(pl.len()))
    found = drivers.join(place, on=[*KEY, "effect"], how="inner", maintain_order="left")
    if not len(found) == len(drivers) == row["n_drivers"]:
        return None
    index, rise, own_r, pval = (found[n].to_numpy() for n in ("place", "rise", "driver_r", "driver_pval"))
    return Drivers(index.astype(np.intp), rise, own_r, pval, row["additivity"])


def _places(gene: GeneEffects) -> NDArray[np.intp]:
    """(V,) which of the cohort's variants each effect is of."""
    variants = gene.variants
    here = zip(variants.position.tolist(), variants.ref, variants.alt, strict=True)
    index = {key: v for v, key in enumerate(here)}
    keys = list(gene.effects.select(KEY).iter_rows())
    lost = [key for key in keys if key not in index]
    if lost:
        raise StoreError(
            "Effects are of variants that the cohort does not have.",
            where=f"gene {gene.compared.gene.gene_id}",
            expected=f"{len(keys)} variants of {variants.contig}",
            got=f"{len(lost)} others, such as {lost[0]}",
            fix="run `hapsight explain` again with this configuration",
        )
    return np.array([index[key] for key in keys], np.intp)


def _given(laid: Aligned) -> pl.Series:
    return pl.Series("given_beta", np.where(laid.used, laid.weights, np.nan), dtype=pl.Float64).fill_nan(None)


def _scores(gene: GeneEffects, priors: SignPriors) -> pl.Series:
    """What a prior says of each of the cohort's variants; null where it says nothing."""
    score = priors.on(gene.compared.gene.gene_id, gene.variants)
    return pl.Series("prior_score", np.where(score == 0, np.nan, score), dtype=pl.Float64).fill_nan(None)


def _gene_row(arm: Arm, gene: GeneEffects) -> Row:
    compared, r = gene.compared, gene.result["pearson_r"]
    return {
        "gene_id": compared.gene.gene_id,
        "gene_name": compared.gene.gene_name,
        **arm.labels(),
        "status": compared.status or "no_variants",
        "n": len(compared.predicted),
        "n_variants": len(gene.effects),
        "n_drivers": 0,
        "pearson_r": r,
        "qval": gene.result["qval"],
        "sign_right": None if not r else r > 0,
        "r_half1": _half_r(gene),
    }


def _half_r(gene: GeneEffects) -> float | None:
    """R among the people of half 1."""
    if gene.half1 is None or gene.compared.status:
        return None
    people, observed = gene.half1
    return correlate(gene.compared.predicted[people], observed).pearson_r


def _each(own: pl.DataFrame, found: Drivers) -> Iterator[Row]:
    """Columns of `DRIVER_VARIANTS` that differ from driver to driver."""
    table = own[found.index.tolist()].select("variant_id", "contig", *KEY, "tss_distance", "effect")
    for row, *numbers in zip(table.iter_rows(named=True), found.rise, found.r, found.pval, strict=True):
        yield row | dict(zip(("rise", "driver_r", "driver_pval"), map(float, numbers), strict=True))


def _main_row(gene: GeneEffects, own: pl.DataFrame, found: Drivers) -> Row:
    """The main driver."""
    if found.main is None:
        return {}
    main = int(found.index[found.main])
    row = own.row(main, named=True)
    size, sd = np.array([row["effect"]]), np.array([row["effect_sd"]], np.float64)
    relative = float(spread(size, sd)[0])
    kept = ("variant_id", "contig", "tss_distance", *KEY, "effect", "effect_sd", "n_backgrounds")
    score = row["prior_score"]
    return {name: row[name] for name in (*kept, "slope", "slope_half2", "given_beta", "prior_score")} | {
        "distance": abs(row["position"] - gene.compared.gene.tss),
        "maf": row["maf"],
        "spread": None if np.isnan(relative) else relative,
        "rise": float(found.rise[found.main]),
        "driver_r": float(found.r[found.main]),
        "driver_pval": float(found.pval[found.main]),
        "supported_cohort": supported(row["effect"], row["slope"]),
        "supported_half2": supported(row["effect"], row["slope_half2"]),
        "supported_given": supported(row["effect"], row["given_beta"]),
        "prior_sign": None if score is None else int(np.sign(score)),
        "prior_agrees": supported(row["effect"], score),
    }


def control_of(row: Row, effects: pl.DataFrame, rng: np.random.Generator) -> Row:
    """Beside a main driver, another variant of the gene that does not drive, at random.

    Parameters
    ----------
    effects
        The gene's rows, of the model and track of the `row`.
    """
    others = np.setdiff1d(np.arange(len(effects)), row["index"]) if row["position"] is not None else ()
    if not len(others):
        return {}
    control = effects.row(int(rng.choice(others)), named=True)
    return {"control_id": control["variant_id"], "control": tuple(control[name] for name in KEY)}
