"""The stage of informed prediction: what evidence is worth, on the same people, beside its control.

Its units of work: learn priors from genes, then fit blocks of genes. Its tables: every gene with every set of
evidence, and what that is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.alleles import WeightRow
from hapsight.cohort.effect_fit import require_fit
from hapsight.cohort.nouns import Gene, Variants
from hapsight.errors import plural
from hapsight.linear.elastic_net import ElasticNetOptions
from hapsight.linear.informed import (
    LearningGene,
    Support,
    gene_support,
    informed_method,
    learn_prior,
    log_prior,
)
from hapsight.linear.nested import fit_by_fold
from hapsight.run.baselines import (
    BaselineRun,
    BaselineUnit,
    baseline_blocks,
    baseline_keys,
    baseline_units,
    baseline_words,
    gene_seed,
    net_options,
)
from hapsight.run.blocks import VariantReader, in_gene_order, largest_genes
from hapsight.run.crew import SetAside, compute, crew_of
from hapsight.run.opened import Opened, Progress, dropped_table, gene_keys
from hapsight.run.store import NamedUnit, UnitStore, content_key
from hapsight.stages.baseline import fit_baseline, unit_tables
from hapsight.stages.informed_evidence import (
    INFORMED_GENES,
    INFORMED_SUMMARY,
    EffectEvidence,
    Evidence,
    Feature,
    evidence_sets,
    open_features,
    require_evidence,
    shape_table,
)
from hapsight.stages.predictdb import Exported, export_units
from hapsight.stats.correlation import correlate
from hapsight.stats.direction import share_true
from hapsight.stats.nulls import benjamini_hochberg
from hapsight.stats.summary import Mean, fold_p, mean_fold_r, mean_interval

__all__ = [
    "Informed",
    "InformedUnit",
    "export_informed",
    "fit_unit",
    "fit_units",
    "gene_rows",
    "informed",
    "learn_unit",
    "learn_units",
    "plain_run",
    "summary_table",
]

Floats = NDArray[np.float64]

_JUDGED = ("ok", "no_model")
"""Statuses of genes that are compared; one without a model predicts nothing: R = 0."""

_SIGNIFICANT = 0.05


def gene_rows(
    genes: Sequence[Gene],
    store: UnitStore,
    units: Sequence[NamedUnit],
    evidence: str,
    shuffled: bool,
    split: str,
) -> tuple[pl.DataFrame, list[Floats]]:
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


def summary_table(found: Sequence[tuple[pl.DataFrame, list[Floats]]]) -> pl.DataFrame:
    """One row per set of evidence and split, from the results of `gene_rows`; see ``docs/formats.md``."""
    r_of = {_key(table): _judged(table) for table, _ in found}
    return pl.DataFrame([_row(table, fold_r, r_of) for table, fold_r in found], schema=INFORMED_SUMMARY)


def _key(table: pl.DataFrame) -> tuple[str, bool, str]:
    evidence, shuffled, split = table.select("evidence", "shuffled", "split").row(0)
    return evidence, shuffled, split


def _judged(table: pl.DataFrame) -> pl.DataFrame:
    kept = table.filter(pl.col("status").is_in(_JUDGED))
    return kept.select("gene_id", r=pl.col("pearson_r").fill_null(0.0))


def _row(
    table: pl.DataFrame, fold_r: list[Floats], r_of: dict[tuple[str, bool, str], pl.DataFrame]
) -> dict[str, Any]:
    key = evidence, shuffled, split = _key(table)
    mean, folds = mean_interval(r_of[key]["r"].to_numpy()), mean_fold_r(fold_r)
    significant = table.filter(pl.col("qval_folds") < _SIGNIFICANT)["pearson_r"].to_numpy()
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
    both = r_of[one].join(r_of[other], on="gene_id", how="inner")
    return mean_interval((both["r"] - both["r_right"]).to_numpy())


_Rows = tuple[pl.DataFrame, list[Floats]]


@dataclass(frozen=True, slots=True, eq=False)
class Informed:
    """What was found: tables as in `hapsight.stages.informed`, written to ``informed/``."""

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
    features = _features(opened)
    for feature in features.values():
        if isinstance(feature, EffectEvidence):
            require_fit(feature.path, "effects", _samples(opened, feature), opened.cohort.reference)
    wanted = evidence_sets(opened.config.informed)
    aside = SetAside()
    for split in opened.config.informed.splits:
        with aside.later():
            fit_baseline(opened, plain_run(opened, split), progress)
    with aside.later():
        shapes = _fit_all(opened, wanted, features, progress)
    aside.report()
    found = [_plain_rows(opened, split) for split in opened.config.informed.splits]
    found += [_evidence_rows(opened, one, features, shapes) for one in wanted]
    result = Informed(pl.concat([table for table, _ in found]), shapes, summary_table(found))
    for name in ("per_gene", "shapes", "summary"):
        opened.folder.write(f"informed/{name}.parquet", getattr(result, name))
    return result


def _features(opened: Opened) -> dict[str, Feature]:
    cohort = opened.cohort
    return open_features(opened.config.informed, cohort.genes, cohort.reference.contigs)


def _samples(opened: Opened, given: EffectEvidence) -> Iterator[tuple[Sequence[WeightRow], Variants]]:
    sizes, cis_window = given.read().sizes, opened.config.baseline.cis_window
    return largest_genes(
        opened, lambda gene: sizes.get(gene.gene_id, 0), given.rows, lambda gene: gene.cis(cis_window)
    )


def _fit_all(
    opened: Opened, wanted: Sequence[Evidence], features: dict[str, Feature], progress: Progress
) -> pl.DataFrame:
    """Learn what evidence is worth, and fit every set by that; returns the shapes that were learned."""
    learning = learn_units(opened, wanted, features)
    _run(opened, "informed shapes", learn_unit, learning, progress)
    shapes = _read_shapes(learning)
    units = [unit for one in wanted for unit in fit_units(opened, one, features, shapes)]
    _run(opened, "informed", fit_unit, units, progress)
    return shapes


def export_informed(
    opened: Opened, evidence: str, split: str, path: Path, build: str | None = None
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
    features = _features(opened)
    shapes = _read_shapes(learn_units(opened, evidence_sets(opened.config.informed), features))
    units = fit_units(opened, one, features, shapes)
    method, read_out = opened.config.informed.method, plain_run(opened, split).read_out
    run = BaselineRun(f"{method} informed by {evidence}", split, read_out, "")
    return export_units(
        opened, opened.folder.informed(*one.words), [unit.base for unit in units], run, path, build
    )


def _run(
    opened: Opened,
    label: str,
    work: Callable[[InformedUnit], str],
    units: Sequence[InformedUnit],
    progress: Progress,
) -> None:
    """Have done what is not yet done."""
    given = opened.config.informed
    files = [*(path for track in given.tracks for path in track.paths), *(one.path for one in given.effects)]
    with opened.folder.stage(label) as stage:
        crew = crew_of(opened, files=files)
        computed = compute(crew, label, work, units, progress)
        stage["computed"] = computed
        stage["detail"] = f"{plural(computed, 'unit')} computed, {len(units) - computed} kept, {crew}"


def _read_shapes(units: Sequence[InformedUnit]) -> pl.DataFrame:
    return pl.concat([unit.base.store.read([unit.base], "shapes") for unit in units])


def _plain_rows(opened: Opened, split: str) -> _Rows:
    run = plain_run(opened, split)
    store = opened.folder.baseline(run.folder)
    return gene_rows(opened.cohort.genes, store, baseline_blocks(opened, run), "plain", False, split)


def _evidence_rows(
    opened: Opened, one: Evidence, features: dict[str, Feature], shapes: pl.DataFrame
) -> _Rows:
    units = [unit.base for unit in fit_units(opened, one, features, shapes)]
    store = opened.folder.informed(*one.words)
    return gene_rows(opened.cohort.genes, store, units, one.name, one.shuffled, one.split)


def plain_run(opened: Opened, split: str) -> BaselineRun:
    """The baseline that evidence on this split is compared with: the elastic net on the same folds."""
    read_out, suffix = baseline_words(opened.config.baseline)[split]
    return BaselineRun("elastic_net", split, read_out, f"elastic_net{suffix}")


@dataclass(frozen=True, slots=True, eq=False)
class InformedUnit:
    """All that a process needs to learn a split's priors, or to fit one set of evidence to some genes.

    Attributes
    ----------
    base
        As the plain net's, under this unit's name and key; its genes are to be learned from, or fitted.
    sets
        To be learned, or the one to be fitted.
    features
        Of the sets.
    thetas
        (K + 1, F) log odds of each fold, and of all people; without rows before they are learned.
    method
        Of `INFORMED_METHODS`.
    """

    base: BaselineUnit
    sets: tuple[Evidence, ...]
    features: tuple[Feature, ...]
    thetas: Floats
    method: str
    options: ElasticNetOptions

    @property
    def name(self) -> str:
        """What errors call it: the evidence and the block, or that a split's are learned."""
        return self.base.name if len(self.sets) > 1 else f"{'.'.join(self.sets[0].words)} {self.base.name}"

    def done(self) -> bool:
        """Whether its tables are there, whole and of its key."""
        return self.base.done()


def learn_units(
    opened: Opened, sets: Sequence[Evidence], features: Mapping[str, Feature]
) -> list[InformedUnit]:
    """One unit for each split: the priors of its evidence, from genes evenly spread over the cohort's."""
    units = []
    for split in opened.config.informed.splits:
        run = plain_run(opened, split)
        whole = _joined(opened, baseline_units(opened, run))
        count = min(opened.config.informed.learning_genes, len(whole.genes))
        chosen = np.linspace(0, len(whole.genes) - 1, count).round().astype(int)
        genes = tuple(whole.genes[i] for i in chosen)
        mine = tuple(one for one in sets if one.split == split and one.features)
        facts = _facts(opened, mine, features, np.empty((0, 0)))
        own = {"plain": baseline_keys(opened, run), "genes": [gene.gene_id for gene in genes]}
        key, store = content_key("informed", facts | own), opened.folder.informed("shapes")
        name = store.name_for(f"shapes.{split}", key)
        base = replace(
            whole, name=name, key=key, store=store, genes=genes, expression=whole.expression[chosen]
        )
        units.append(_unit(opened, base, mine, features, np.empty((0, 0))))
    return units


def fit_units(
    opened: Opened, one: Evidence, features: Mapping[str, Feature], shapes: pl.DataFrame
) -> list[InformedUnit]:
    """The blocks of genes, given the shapes that were learned of all sets."""
    run, store = plain_run(opened, one.split), opened.folder.informed(*one.words)
    own = shapes.filter(evidence=one.name, shuffled=one.shuffled, split=one.split)
    by_fold = [fold["theta"].to_list() for fold in own.partition_by("fold", maintain_order=True)]
    thetas = np.array(by_fold) if one.features else np.empty((int(run.folds(opened).max()) + 2, 0))
    facts, plain = _facts(opened, (one,), features, thetas), baseline_keys(opened, run)
    keys = gene_keys("informed", opened.cohort.genes, facts, plain)
    return [
        _unit(opened, base, (one,), features, thetas) for base in baseline_units(opened, run, store, keys)
    ]


def _joined(opened: Opened, units: Sequence[BaselineUnit]) -> BaselineUnit:
    """All blocks as one, genes in the cohort's order."""
    row_of = {
        gene.gene_id: row for unit in units for gene, row in zip(unit.genes, unit.expression, strict=True)
    }
    genes = tuple(opened.cohort.genes)
    return replace(units[0], genes=genes, expression=np.array([row_of[gene.gene_id] for gene in genes]))


def _facts(
    opened: Opened, sets: tuple[Evidence, ...], features: Mapping[str, Feature], thetas: Floats
) -> dict[str, object]:
    """What the numbers of all genes depend on."""
    return {
        "method": opened.config.informed.method if len(thetas) else "none",
        "features": [dict(feature.facts()) for feature in _used(sets, features)],
        "arms": [[one.name, one.split, one.shuffled, *one.features] for one in sets],
        "thetas": thetas.tolist(),
    }


def _used(sets: tuple[Evidence, ...], features: Mapping[str, Feature]) -> tuple[Feature, ...]:
    return tuple(features[label] for label in features if any(label in one.features for one in sets))


def _unit(
    opened: Opened,
    base: BaselineUnit,
    sets: tuple[Evidence, ...],
    features: Mapping[str, Feature],
    thetas: Floats,
) -> InformedUnit:
    method = opened.config.informed.method if len(thetas) else "none"
    options = net_options(opened.config.baseline)
    return InformedUnit(base, sets, _used(sets, features), thetas, method, options)


def learn_unit(unit: InformedUnit) -> str:
    """Learn the priors of a split's sets of evidence and store them; returns the unit's name."""
    base = unit.base
    reader, folds = _reader(base), range(int(base.outer_folds.max()) + 2)
    supports: list[list[Support]] = [[] for _ in folds]
    evidence: list[list[Floats]] = [[] for _ in unit.sets]
    for gene, expression in zip(base.genes, base.expression, strict=True):
        near, columns = _near(unit, reader, gene)
        learning = LearningGene(near.linear_dosage, expression, base.covariates, near.one_copy)
        for fold in folds:
            supports[fold].append(gene_support(learning, base.outer_folds != fold, unit.options.min_maf))
        seed, distance = gene_seed(base.seed, gene.gene_id), near.position - gene.tss
        for index, one in enumerate(unit.sets):
            evidence[index].append(one.at(columns, distance, seed))
    tables = [
        shape_table(one, rows, [learn_prior(supports[fold], rows) for fold in folds])
        for one, rows in zip(unit.sets, evidence, strict=True)
    ]
    base.store.write(base.name, base.key, {"shapes": pl.concat(tables)})
    return base.name


def _near(unit: InformedUnit, reader: VariantReader, gene: Gene) -> tuple[Variants, dict[str, Floats]]:
    """A gene's variants, and each feature of them (V,)."""
    near = reader(gene.cis(unit.base.cis_window))
    return near, {feature.label: feature.at(gene, near) for feature in unit.features}


def _share_used(unit: InformedUnit, gene: Gene, near: Variants) -> float | None:
    """Share of a gene's effects that are laid on variants: of several models, the smallest."""
    given = [feature.laid(gene, near) for feature in unit.features if isinstance(feature, EffectEvidence)]
    return min((one.share_used for one in given if one.share_used is not None), default=None)


def fit_unit(unit: InformedUnit) -> str:
    """Fit a block of genes with the prior of each fold and store it; returns the unit's name."""
    base, (one,) = unit.base, unit.sets
    reader = _reader(base)
    fits, variants, shares = [], [], []
    for gene, expression in zip(base.genes, base.expression, strict=True):
        near, columns = _near(unit, reader, gene)
        shares.append(_share_used(unit, gene, near))
        seed = gene_seed(base.seed, gene.gene_id)
        evidence = one.at(columns, near.position - gene.tss, seed)
        methods = [
            informed_method(unit.method, log_prior(evidence, theta), unit.options) for theta in unit.thetas
        ]
        variants.append(near)
        dosage, once = near.linear_dosage, near.one_copy
        fits.append(fit_by_fold(dosage, expression, base.covariates, base.outer_folds, seed, methods, once))
    tables = unit_tables(base, variants, fits) | {"dropped": dropped_table(reader.dropped)}
    if any(isinstance(feature, EffectEvidence) for feature in unit.features):
        tables["genes"] = tables["genes"].with_columns(pl.Series("share_used", shares, dtype=pl.Float64))
    base.store.write(base.name, base.key, tables)
    return base.name


def _reader(base: BaselineUnit) -> VariantReader:
    return VariantReader(base.genotypes, base.reference, [gene.cis(base.cis_window) for gene in base.genes])
