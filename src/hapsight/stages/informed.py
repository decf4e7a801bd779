"""The stage of informed prediction: what evidence is worth, on the same people, beside its control.

The tables of informed prediction: every gene with every set of evidence, and what that is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.alleles import WeightRow
from hapsight.cohort.effect_fit import require_fit
from hapsight.cohort.nouns import Gene, Variants
from hapsight.run.baselines import BaselineRun, baseline_blocks
from hapsight.run.blocks import in_gene_order, largest_genes
from hapsight.run.crew import SetAside, compute, crew_of, work_in_words
from hapsight.run.opened import Opened, Progress
from hapsight.run.store import NamedUnit, UnitStore
from hapsight.stages.baseline import fit_baselines
from hapsight.stages.informed_evidence import (
    EffectEvidence,
    Evidence,
    Feature,
    SignedEvidence,
    evidence_sets,
    open_features,
    open_signed,
    require_evidence,
)
from hapsight.stages.informed_units import (
    INFORMED_GENES,
    INFORMED_SUMMARY,
    InformedUnit,
    fit_unit,
    fit_units,
    learn_unit,
    learn_units,
    plain_run,
)
from hapsight.stages.predictdb import CovarianceFile, Exported, export_units
from hapsight.stats.correlation import correlate
from hapsight.stats.direction import share_true
from hapsight.stats.nulls import benjamini_hochberg
from hapsight.stats.summary import (
    SIGNIFICANT,
    Mean,
    fold_p,
    judged_r,
    mean_difference,
    mean_fold_r,
    mean_interval,
)

__all__ = ["Informed", "export_informed", "gene_rows", "informed", "summary_table"]

_Rows = tuple[pl.DataFrame, list[NDArray[np.float64]]]
"""One row per gene of a set of evidence, and each gene's R in each held-out fold."""


def gene_rows(
    genes: Sequence[Gene],
    store: UnitStore,
    units: Sequence[NamedUnit],
    evidence: str,
    shuffled: bool,
    split: str,
) -> _Rows:
    """One row per gene of a set of evidence, and each gene's R in each held-out fold."""
    facts = in_gene_order(store.read(units, "genes"), genes)
    by_gene = store.read(units, "predictions").partition_by("gene_id", as_dict=True)
    name = {gene.gene_id: gene.gene_name for gene in genes}
    rows = []
    for fact in facts.iter_rows(named=True):
        gene_id, fold_r = fact["gene_id"], np.array(fact["fold_r"], dtype=np.float64)
        finite = fold_r[np.isfinite(fold_r)]
        rows.append(
            {
                "gene_id": gene_id,
                "gene_name": name[gene_id],
                "evidence": evidence,
                "shuffled": shuffled,
                "split": split,
                **{key: fact[key] for key in ("status", "n", "n_variants", "n_nonzero")},
                "share_used": fact.get("share_used"),
                **_held_out(by_gene[(gene_id,)], fact["status"]),
                "mean_fold_r": float(finite.mean()) if len(finite) else None,
                "qval_folds": None,
            }
        )
    tested = [row for row in rows if row["pval_folds"] is not None]
    for row, q in zip(tested, benjamini_hochberg(np.array([r["pval_folds"] for r in tested])), strict=True):
        row["qval_folds"] = float(q)
    of_folds = [np.array(r, dtype=np.float64) for r in facts["fold_r"].to_list()]
    return pl.DataFrame(rows, schema=INFORMED_GENES), of_folds


def _held_out(table: pl.DataFrame, status: str) -> dict[str, float | None]:
    """R over all held-out people, and the p of the folds, of a gene that has a model."""
    if status != "ok":
        return {"pearson_r": None, "pval_folds": None}
    predicted, observed = table["predicted"].to_numpy(), table["observed"].to_numpy()
    return {
        "pearson_r": correlate(predicted, observed).pearson_r,
        "pval_folds": fold_p(predicted, observed, table["fold"].to_numpy()),
    }


def summary_table(found: Sequence[_Rows]) -> pl.DataFrame:
    """One row per set of evidence and split, from the results of `gene_rows`; see ``docs/formats.md``."""
    r_of = {_key(table): judged_r(table) for table, _ in found}
    return pl.DataFrame([_row(table, fold_r, r_of) for table, fold_r in found], schema=INFORMED_SUMMARY)


def _key(table: pl.DataFrame) -> tuple[str, bool, str]:
    evidence, shuffled, split = table.select("evidence", "shuffled", "split").row(0)
    return evidence, shuffled, split


def _row(
    table: pl.DataFrame, fold_r: list[NDArray[np.float64]], r_of: dict[tuple[str, bool, str], pl.DataFrame]
) -> dict[str, Any]:
    key = evidence, shuffled, split = _key(table)
    mean, folds = mean_interval(r_of[key]["r"].to_numpy()), mean_fold_r(fold_r)
    significant = table.filter(pl.col("qval_folds") < SIGNIFICANT)["pearson_r"].to_numpy()
    wrong = share_true(significant < 0.0)
    others = {
        "plain": ("plain", False, split),
        "none": ("none", False, split),
        "distance": ("distance", False, split),
        "shuffled": (evidence, True, split),
    }
    return {
        "evidence": evidence,
        "shuffled": shuffled,
        "split": split,
        "genes": mean.n,
        "genes_ok": int((table["status"] == "ok").sum()),
        **_named("", mean, "mean_r"),
        **_named("fold_", folds, "mean_fold_r"),
        "significant": len(significant),
        "significant_negative": int((significant < 0.0).sum()),
        "significant_negative_share": wrong.value,
        "share_ci_low": wrong.ci_low,
        "share_ci_high": wrong.ci_high,
        **{
            name: value
            for to, other in others.items()
            for name, value in _named(f"to_{to}_", _difference(r_of, key, other), f"to_{to}").items()
        },
    }


def _named(prefix: str, mean: Mean, name: str) -> dict[str, float | None]:
    return {name: mean.value, f"{prefix}ci_low": mean.ci_low, f"{prefix}ci_high": mean.ci_high}


def _difference(
    r_of: dict[tuple[str, bool, str], pl.DataFrame], one: tuple[str, bool, str], other: tuple[str, bool, str]
) -> Mean:
    """Mean over genes of R less the R with other evidence; none to itself, or to what was not run."""
    if one == other or other not in r_of:
        return Mean(None, 0, None, None)
    return mean_difference(r_of[one], r_of[other])


@dataclass(frozen=True, slots=True, eq=False)
class Informed:
    """What was found: tables as in `hapsight.stages.informed_units`, written to ``informed/``."""

    per_gene: pl.DataFrame
    shapes: pl.DataFrame
    summary: pl.DataFrame


def informed(opened: Opened, progress: Progress) -> Informed:
    """Fit the plain elastic net and all evidence on the same folds, and compare; finished units are kept.

    Raises
    ------
    ConfigError, InputError
        Evidence cannot be read, or there is too little to learn from.
    IncompleteError
        Some units were set aside, after all others were finished that do not need them.
    """
    features, signed = _features(opened), _signed(opened)
    given = [feature for feature in features.values() if isinstance(feature, EffectEvidence)]
    for one in (*given, *(found.effects for found in signed)):
        require_fit(one.path, "effects", _samples(opened, one), opened.cohort.reference)
    wanted = evidence_sets(opened.config.informed)
    aside = SetAside()
    with aside.later():
        plain = [plain_run(opened, split) for split in opened.config.informed.splits]
        fit_baselines(opened, [(run, None) for run in plain], progress)
    with aside.later():
        shapes = _fit_all(opened, wanted, features, signed, progress)
    aside.report()
    found = [_plain_rows(opened, split) for split in opened.config.informed.splits]
    found += [_evidence_rows(opened, one, features, signed, shapes) for one in wanted]
    result = Informed(pl.concat([table for table, _ in found]), shapes, summary_table(found))
    for name in ("per_gene", "shapes", "summary"):
        opened.folder.write(f"informed/{name}.parquet", getattr(result, name))
    return result


def _features(opened: Opened) -> dict[str, Feature]:
    cohort = opened.cohort
    return open_features(opened.config.informed, cohort.genes, cohort.reference.contigs)


def _signed(opened: Opened) -> tuple[SignedEvidence, ...]:
    cohort = opened.cohort
    return open_signed(opened.config.informed, cohort.genes, cohort.reference.contigs)


def _samples(opened: Opened, given: EffectEvidence) -> Iterator[tuple[Sequence[WeightRow], Variants]]:
    sizes, cis_window = given.read().sizes, opened.config.baseline.cis_window
    return largest_genes(
        opened, lambda gene: sizes.get(gene.gene_id, 0), given.rows, lambda gene: gene.cis(cis_window)
    )


def _fit_all(
    opened: Opened,
    wanted: Sequence[Evidence],
    features: dict[str, Feature],
    signed: tuple[SignedEvidence, ...],
    progress: Progress,
) -> pl.DataFrame:
    """Learn what evidence is worth, and fit every set by that; returns the shapes that were learned."""
    learning = learn_units(opened, wanted, features, signed)
    _run(opened, "informed shapes", learn_unit, learning, progress)
    shapes = _read_shapes(learning)
    units = [unit for one in wanted for unit in _fit_units(opened, one, features, signed, shapes)]
    _run(opened, "informed", fit_unit, units, progress)
    return shapes


def export_informed(
    opened: Opened,
    evidence: str,
    split: str,
    path: Path,
    build: str | None = None,
    *,
    min_r: float | None = None,
    covariance: CovarianceFile | None = None,
) -> Exported:
    """Write the final weights by some evidence as a PredictDB file, as `export_predictdb` does.

    Raises
    ------
    ConfigError
        There is no such evidence.
    IncompleteError
        It has not been fitted.
    """
    one = require_evidence(opened.config.informed, evidence, split)
    features, signed = _features(opened), _signed(opened)
    shapes = _read_shapes(learn_units(opened, evidence_sets(opened.config.informed), features, signed))
    units = _fit_units(opened, one, features, signed, shapes)
    run = BaselineRun(
        f"{opened.config.informed.method} informed by {evidence}",
        split,
        plain_run(opened, split).read_out,
        "",
    )
    store, bases = opened.folder.informed(*one.words), [unit.base for unit in units]
    return export_units(opened, store, bases, run, path, build, min_r=min_r, covariance=covariance)


def _run(
    opened: Opened,
    label: str,
    work: Callable[[InformedUnit], str],
    units: Sequence[InformedUnit],
    progress: Progress,
) -> None:
    """Have done what is not yet done."""
    given = opened.config.informed
    files = [path for track in given.tracks for path in track.paths]
    files += [*(effects.path for effects in given.effects), *(signed.path for signed in given.signed)]
    with opened.folder.stage(label) as stage:
        crew = crew_of(opened, files=files)
        computed = compute(crew, label, work, units, progress)
        stage["computed"] = computed
        stage["detail"] = f"{work_in_words(computed, len(units))}, {crew}"


def _read_shapes(units: Sequence[InformedUnit]) -> pl.DataFrame:
    return pl.concat([unit.base.store.read([unit.base], "shapes") for unit in units])


def _fit_units(
    opened: Opened,
    one: Evidence,
    features: dict[str, Feature],
    signed: tuple[SignedEvidence, ...],
    shapes: pl.DataFrame,
) -> list[InformedUnit]:
    mine = shapes.filter(
        pl.col("evidence") == one.name, pl.col("shuffled") == one.shuffled, pl.col("split") == one.split
    )
    return fit_units(opened, one, features, signed, mine)


def _plain_rows(opened: Opened, split: str) -> _Rows:
    run = plain_run(opened, split)
    store = opened.folder.baseline(run.folder)
    return gene_rows(opened.cohort.genes, store, baseline_blocks(opened, run), "plain", False, split)


def _evidence_rows(
    opened: Opened,
    one: Evidence,
    features: dict[str, Feature],
    signed: tuple[SignedEvidence, ...],
    shapes: pl.DataFrame,
) -> _Rows:
    units = [unit.base for unit in _fit_units(opened, one, features, signed, shapes)]
    store = opened.folder.informed(*one.words)
    return gene_rows(opened.cohort.genes, store, units, one.name, one.shuffled, one.split)
