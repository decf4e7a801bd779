"""Evidence of informed prediction, and its units of work: learn priors, then fit blocks of genes.

Columns of the tables of ``hapsight informed``; their meaning is in ``docs/formats.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Variants
from hapsight.linear.elastic_net import ElasticNetOptions
from hapsight.linear.informed import (
    LearnedPrior,
    LearningGene,
    Support,
    gene_support,
    informed_method,
    learn_prior,
    log_prior,
    shuffled_evidence,
)
from hapsight.linear.nested import fit_by_fold
from hapsight.run.baselines import (
    BaselineRun,
    BaselineUnit,
    baseline_keys,
    baseline_units,
    baseline_words,
    gene_seed,
    net_options,
)
from hapsight.run.blocks import VariantReader
from hapsight.run.config import InformedConfig
from hapsight.run.opened import Opened, dropped_table, gene_keys
from hapsight.run.store import content_key
from hapsight.seeds import stream
from hapsight.stages.baseline import unit_tables
from hapsight.stages.informed_evidence import EffectEvidence, Feature
from hapsight.tables import GENE

__all__ = [
    "INFORMED_GENES",
    "INFORMED_SHAPES",
    "INFORMED_SUMMARY",
    "Evidence",
    "InformedUnit",
    "evidence_sets",
    "fit_unit",
    "fit_units",
    "learn_unit",
    "learn_units",
    "plain_run",
]

_ARM: Final = {"evidence": pl.String, "shuffled": pl.Boolean, "split": pl.String}
_DIFFERENCE: Final = ("", "_ci_low", "_ci_high")

INFORMED_GENES: Final = {
    **GENE,
    **_ARM,
    "status": pl.String,
    "n": pl.Int64,
    "n_variants": pl.Int64,
    "n_nonzero": pl.Int64,
    "share_used": pl.Float64,
    "pearson_r": pl.Float64,
    "mean_fold_r": pl.Float64,
    "pval_folds": pl.Float64,
    "qval_folds": pl.Float64,
}
"""``informed/per_gene.parquet``: one row per gene and set of evidence."""

INFORMED_SHAPES: Final = {
    **_ARM,
    "fold": pl.Int64,
    "feature": pl.String,
    "theta": pl.Float64,
    "gain": pl.Float64,
    "genes": pl.Int64,
    "genes_with_evidence": pl.Int64,
}
"""``informed/shapes.parquet``: one row per set of evidence, outer fold (null: all people) and feature."""

INFORMED_SUMMARY: Final = {
    **_ARM,
    "genes": pl.Int64,
    "genes_ok": pl.Int64,
    "mean_r": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "mean_fold_r": pl.Float64,
    "fold_ci_low": pl.Float64,
    "fold_ci_high": pl.Float64,
    "significant": pl.Int64,
    "significant_negative": pl.Int64,
    "significant_negative_share": pl.Float64,
    "share_ci_low": pl.Float64,
    "share_ci_high": pl.Float64,
    **{
        f"to_{other}{end}": pl.Float64
        for other in ("plain", "none", "distance", "shuffled")
        for end in _DIFFERENCE
    },
}
"""``informed/summary.parquet``: one row per set of evidence and split."""


Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One set of evidence, or its control, judged on one split of people.

    Attributes
    ----------
    name
        What tables call the evidence.
    features
        Labels of what it is made of; without any, all variants are equal.
    shuffled
        Evidence other than distance is dealt anew among variants about as far from the TSS; where there is
        nothing but distance, that is dealt freely.
    """

    name: str
    features: tuple[str, ...]
    split: str
    shuffled: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """What its folder of units in ``informed/`` is called by."""
        return (self.name, *(("shuffled",) if self.shuffled else ()), self.split)

    def at(self, columns: Mapping[str, Floats], distance: NDArray[np.int64], seed: int) -> Floats:
        """(V, F) of a gene's variants; the gene's `seed` decides the shuffle, the same in all sets.

        Parameters
        ----------
        columns
            (V,) of each feature, and perhaps of others.
        distance
            (V,) from the TSS in bases.
        """
        evidence = np.empty((len(distance), len(self.features)))
        for index, label in enumerate(self.features):
            evidence[:, index] = columns[label]
        if not self.shuffled:
            return evidence
        dealt = [label != "distance" for label in self.features]
        if not any(dealt):
            distance, dealt = np.zeros_like(distance), [True]
        rng = stream(seed, "evidence dealt anew")
        evidence[:, dealt] = shuffled_evidence(evidence[:, dealt], distance, rng)
        return evidence


def evidence_sets(config: InformedConfig) -> list[Evidence]:
    """No evidence; each source by itself, tracks as one; each beside distance; all; and their controls."""
    tracks = tuple(track.label for track in config.tracks)
    sources = {"tracks": tracks} if tracks else {}
    sources |= {given.label: (given.label,) for given in config.effects}
    sets = {"none": (), "distance": ("distance",), **sources}
    if len(sources) > 1:
        sets |= {f"distance+{name}": ("distance", *labels) for name, labels in sources.items()}
    if sources:
        sets["all"] = ("distance", *(label for labels in sources.values() for label in labels))
    return [
        Evidence(name, features, split, shuffled)
        for split in config.splits
        for shuffled in (False, True)
        for name, features in sets.items()
        if features or not shuffled
    ]


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
    """The blocks of genes, given its table of shapes."""
    run, store = plain_run(opened, one.split), opened.folder.informed(*one.words)
    by_fold = [fold["theta"].to_list() for fold in shapes.partition_by("fold", maintain_order=True)]
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
        _shape_table(one, rows, [learn_prior(supports[fold], rows) for fold in folds])
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


def _shape_table(one: Evidence, evidence: Sequence[Floats], priors: Sequence[LearnedPrior]) -> pl.DataFrame:
    """One row per fold (null: all people) and feature."""
    rows = [
        {
            "evidence": one.name,
            "shuffled": one.shuffled,
            "split": one.split,
            "fold": fold if fold < len(priors) - 1 else None,
            "feature": label,
            "theta": float(prior.theta[index]),
            "gain": prior.gain,
            "genes": prior.genes,
            "genes_with_evidence": sum(bool(of_gene[:, index].any()) for of_gene in evidence),
        }
        for fold, prior in enumerate(priors)
        for index, label in enumerate(one.features)
    ]
    return pl.DataFrame(rows, schema=INFORMED_SHAPES)


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
