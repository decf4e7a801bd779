"""Models beside eQTLs: their signs, their sizes, and variants that are no eQTLs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from hapsight.cohort.nouns import Dropped, Gene, Variants
from hapsight.errors import InputError
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
from hapsight.stages.predict import ModelRun
from hapsight.stages.validation import EQTL_EFFECTS, Validated, estimate_row, track_labels
from hapsight.stages.valued_units import valuer_of
from hapsight.stats.ranks import auroc
from hapsight.validate.eqtl_signs import matched_controls, sign_benchmark

__all__ = ["EqtlOptions", "eqtl_effects", "inside_window", "validate_eqtl"]


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
