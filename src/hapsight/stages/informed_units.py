"""Evidence of informed prediction, and its units of work: learn priors, then fit blocks of genes.

Columns of the tables of ``hapsight informed``; their meaning is in ``docs/formats.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Variants
from hapsight.explain.reliability import stretches, within_reach
from hapsight.least_squares import Design
from hapsight.linear.elastic_net import ElasticNetOptions
from hapsight.linear.informed import (
    LearningGene,
    Support,
    gene_support,
    informed_method,
    learn_prior,
    log_prior,
)
from hapsight.linear.methods import Method
from hapsight.linear.nested import fit_together
from hapsight.linear.signed import (
    OnlyMean,
    SignedStatistics,
    WithMean,
    learn_signed,
    signed_statistics,
)
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
from hapsight.run.opened import Opened, dropped_table, gene_keys
from hapsight.run.store import content_key
from hapsight.stages.baseline import unit_tables
from hapsight.stages.informed_evidence import STRETCHES, EffectEvidence, Evidence, Feature, SignedEvidence
from hapsight.tables import GENE

__all__ = [
    "INFORMED_GENES",
    "INFORMED_SHAPES",
    "INFORMED_SUMMARY",
    "InformedUnit",
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
    "stretch": pl.Int64,
    "feature": pl.String,
    "theta": pl.Float64,
    "gain": pl.Float64,
    "genes": pl.Int64,
    "genes_with_evidence": pl.Int64,
}
"""``informed/shapes.parquet``: one row per set of evidence, outer fold (null: all people) and feature; of
unseen genes one for each stretch that was left out."""

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


def plain_run(opened: Opened, split: str) -> BaselineRun:
    """The baseline that evidence on this split is compared with: the elastic net on the same folds."""
    read_out, suffix = baseline_words(opened.config.baseline)[split]
    return BaselineRun("elastic_net", split, read_out, f"elastic_net{suffix}")


@dataclass(frozen=True, slots=True)
class _Place:
    """The stretch that a gene lies in, and those that it is far enough from to say something of."""

    stretch: int
    far: tuple[int, ...]


def _places(genes: Sequence[Gene]) -> dict[str, _Place]:
    contig, tss = [gene.contig for gene in genes], np.array([gene.tss for gene in genes], np.int64)
    of_gene = stretches(contig, tss, STRETCHES)
    near = np.array([within_reach(contig, tss, of_gene == one) for one in range(STRETCHES)])
    return {
        gene.gene_id: _Place(int(of_gene[g]), tuple(np.flatnonzero(~near[:, g]).tolist()))
        for g, gene in enumerate(genes)
    }


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Of one set of evidence, as its rows of the shapes have them.

    Attributes
    ----------
    thetas
        (K + 1, F) log odds of each fold, and of all people; without rows before they are learned.
    signed
        (S, K + 1, F') of the signed evidence, for each of the set's strata.
    """

    thetas: Floats
    signed: Floats

    @classmethod
    def of(cls, one: Evidence, shapes: pl.DataFrame, folds: int) -> Coefficients:
        """From the set's rows; `folds` with that of all people."""

        def matrix(labels: tuple[str, ...], stretch: int | None) -> Floats:
            rows = shapes.filter(pl.col("feature").is_in(labels), pl.col("stretch").eq_missing(stretch))
            parts = rows.partition_by("fold", maintain_order=True)
            by_fold = [part["theta"].to_list() for part in parts]
            return np.array(by_fold) if labels else np.empty((folds, 0))

        signed = np.array([matrix(one.signed, stretch) for stretch in one.strata])
        return cls(matrix(one.features, None), signed)


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
    learned
        Of the set to be fitted.
    method
        Of `INFORMED_METHODS`.
    signed
        Of the sets.
    places
        By ``gene_id`` of the cohort.
    refine
        SuSiE's.
    """

    base: BaselineUnit
    sets: tuple[Evidence, ...]
    features: tuple[Feature, ...]
    learned: Coefficients
    method: str
    options: ElasticNetOptions
    signed: tuple[SignedEvidence, ...]
    places: Mapping[str, _Place]
    refine: bool

    @property
    def name(self) -> str:
        """What errors call it: the evidence and the block, or that a split's are learned."""
        return self.base.name if len(self.sets) > 1 else f"{'.'.join(self.sets[0].words)} {self.base.name}"

    def done(self) -> bool:
        """Whether its tables are there, whole and of its key."""
        return self.base.done()


def learn_units(
    opened: Opened,
    sets: Sequence[Evidence],
    features: Mapping[str, Feature],
    signed: tuple[SignedEvidence, ...],
) -> list[InformedUnit]:
    """One unit for each split: the priors of its evidence, from genes evenly spread over the cohort's."""
    units = []
    for split in opened.config.informed.splits:
        run = plain_run(opened, split)
        whole = _joined(opened, baseline_units(opened, run))
        count = min(opened.config.informed.learning_genes, len(whole.genes))
        chosen = np.linspace(0, len(whole.genes) - 1, count).round().astype(int)
        genes = tuple(whole.genes[i] for i in chosen)
        mine = tuple(one for one in sets if one.split == split and (one.features or one.signed))
        facts = _facts(opened, mine, features, signed, _UNKNOWN)
        own = {"plain": baseline_keys(opened, run), "genes": [gene.gene_id for gene in genes]}
        key, store = content_key("informed", facts | own), opened.folder.informed("shapes")
        name = store.name_for(f"shapes.{split}", key)
        base = replace(
            whole, name=name, key=key, store=store, genes=genes, expression=whole.expression[chosen]
        )
        units.append(_unit(opened, base, mine, features, signed, _UNKNOWN))
    return units


def fit_units(
    opened: Opened,
    one: Evidence,
    features: Mapping[str, Feature],
    signed: tuple[SignedEvidence, ...],
    shapes: pl.DataFrame,
) -> list[InformedUnit]:
    """The blocks of genes, given its table of shapes."""
    run, store = plain_run(opened, one.split), opened.folder.informed(*one.words)
    learned = Coefficients.of(one, shapes, int(run.folds(opened).max()) + 2)
    facts, plain = _facts(opened, (one,), features, signed, learned), baseline_keys(opened, run)
    keys = gene_keys("informed", opened.cohort.genes, facts, plain)
    return [
        _unit(opened, base, (one,), features, signed, learned)
        for base in baseline_units(opened, run, store, keys)
    ]


_UNKNOWN: Final = Coefficients(np.empty((0, 0)), np.empty((0, 0, 0)))
"""Before they are learned."""


def _joined(opened: Opened, units: Sequence[BaselineUnit]) -> BaselineUnit:
    """All blocks as one, genes in the cohort's order."""
    row_of = {
        gene.gene_id: row for unit in units for gene, row in zip(unit.genes, unit.expression, strict=True)
    }
    genes = tuple(opened.cohort.genes)
    return replace(units[0], genes=genes, expression=np.array([row_of[gene.gene_id] for gene in genes]))


def _facts(
    opened: Opened,
    sets: tuple[Evidence, ...],
    features: Mapping[str, Feature],
    signed: tuple[SignedEvidence, ...],
    learned: Coefficients,
) -> dict[str, object]:
    """What the numbers of all genes depend on."""
    facts: dict[str, object] = {
        "method": _method(opened, learned),
        "features": [dict(feature.facts()) for feature in _used(sets, features)],
        "arms": [[one.name, one.split, one.shuffled, *one.features] for one in sets],
        "thetas": learned.thetas.tolist(),
    }
    if opened.config.informed.refine:
        facts["refine"] = True
    if any(one.signed for one in sets):
        places = _places(opened.cohort.genes)
        facts["signed"] = [dict(one.facts()) for one in signed]
        facts["coefficients"] = learned.signed.tolist()
        facts["places"] = [[name, place.stretch, *place.far] for name, place in places.items()]
    return facts


def _method(opened: Opened, learned: Coefficients) -> str:
    return opened.config.informed.method if len(learned.thetas) else "none"


def _used(sets: tuple[Evidence, ...], features: Mapping[str, Feature]) -> tuple[Feature, ...]:
    return tuple(features[label] for label in features if any(label in one.features for one in sets))


def _unit(
    opened: Opened,
    base: BaselineUnit,
    sets: tuple[Evidence, ...],
    features: Mapping[str, Feature],
    signed: tuple[SignedEvidence, ...],
    learned: Coefficients,
) -> InformedUnit:
    given = any(one.signed for one in sets)
    return InformedUnit(
        base,
        sets,
        _used(sets, features),
        learned,
        _method(opened, learned),
        net_options(opened.config.baseline),
        signed if given else (),
        _places(opened.cohort.genes) if given else {},
        opened.config.informed.refine,
    )


def learn_unit(unit: InformedUnit) -> str:
    """Learn the priors of a split's sets of evidence and store them; returns the unit's name."""
    base, reader = unit.base, unit.base.reader()
    learned = [_Learning(one, int(base.outer_folds.max()) + 2) for one in unit.sets]
    supports: list[list[Support]] = [[] for _ in range(int(base.outer_folds.max()) + 2)]
    people = [base.outer_folds != fold for fold in range(len(supports))]
    given = base.covariates
    designs = [None if given is None else Design.of(int(train.sum()), given[train]) for train in people]
    for gene, expression in zip(base.genes, base.expression, strict=True):
        near, columns = _near(unit, reader, gene)
        learning = LearningGene(near.linear_dosage, expression, base.covariates, near.one_copy)
        for known, train, design in zip(supports, people, designs, strict=True):
            known.append(gene_support(learning, train, unit.options.min_maf, design))
        seed, distance = gene_seed(base.seed, gene.gene_id), near.position - gene.tss
        for one in learned:
            one.add(learning, columns, distance, seed, people, designs)
    places = [unit.places[gene.gene_id] for gene in base.genes] if unit.places else []
    tables = [table for one in learned for table in one.tables(supports, places)]
    base.store.write(base.name, base.key, {"shapes": pl.concat(tables)})
    return base.name


class _Learning:
    """One set's evidence of all genes, and what training people say of its signs."""

    def __init__(self, one: Evidence, folds: int) -> None:
        self.one, self.evidence = one, list[Floats]()
        self.signs: list[list[SignedStatistics]] = [[] for _ in range(folds if one.signed else 0)]

    def add(
        self,
        gene: LearningGene,
        columns: Mapping[str, Floats],
        distance: NDArray[np.int64],
        seed: int,
        people: Sequence[NDArray[np.bool_]],
        designs: Sequence[Design | None],
    ) -> None:
        self.evidence.append(self.one.at(columns, distance, seed))
        means = self.one.means(columns, len(distance), seed)
        for known, train, design in zip(self.signs, people, designs, strict=bool(self.signs)):
            known.append(signed_statistics(gene, train, means, design))

    def tables(self, supports: Sequence[Sequence[Support]], places: Sequence[_Place]) -> list[pl.DataFrame]:
        one, found = self.one, list[pl.DataFrame]()
        if one.features:
            counts = [sum(bool(v[:, f].any()) for v in self.evidence) for f in range(len(one.features))]
            priors = [learn_prior(known, self.evidence) for known in supports]
            rows = [_OfFold(prior.theta, prior.gain, prior.genes, counts) for prior in priors]
            found.append(_shape_table(one, one.features, None, rows))
        for stretch in one.strata if one.signed else ():
            rows = [self._signs_of(known, stretch, places) for known in self.signs]
            found.append(_shape_table(one, one.signed, stretch, rows))
        return found

    def _signs_of(
        self, known: Sequence[SignedStatistics], stretch: int | None, places: Sequence[_Place]
    ) -> _OfFold:
        """Of the genes that are far enough from a stretch; nothing where there are none."""
        width = len(self.one.signed)
        kept = [g for g, place in enumerate(places) if stretch is None or stretch in place.far]
        if not kept:
            return _OfFold(np.zeros(width), 0.0, 0, [0] * width)
        block = np.array([places[g].stretch for g in kept], np.int64)
        signs = learn_signed([known[g] for g in kept], block)
        return _OfFold(signs.coefficients, signs.gain, signs.genes, [signs.genes] * width)


def _near(unit: InformedUnit, reader: VariantReader, gene: Gene) -> tuple[Variants, dict[str, Floats]]:
    """A gene's variants, and each feature of them (V,)."""
    near = reader(gene.cis(unit.base.cis_window))
    return near, {feature.label: feature.at(gene, near) for feature in (*unit.features, *unit.signed)}


def _share_used(unit: InformedUnit, gene: Gene, near: Variants) -> float | None:
    """Share of a gene's effects that are matched to variants: of several models, the smallest."""
    effects = [feature for feature in unit.features if isinstance(feature, EffectEvidence)]
    given = [one.laid(gene, near) for one in (*effects, *(signed.effects for signed in unit.signed))]
    return min((one.share_used for one in given if one.share_used is not None), default=None)


class _OfFold(NamedTuple):
    """What was learned without a fold: a number of each feature, and how many genes have that feature."""

    theta: Floats
    gain: float
    genes: int
    with_evidence: Sequence[int]


def _shape_table(
    one: Evidence, features: Sequence[str], stretch: int | None, learned: Sequence[_OfFold]
) -> pl.DataFrame:
    """One row per fold (null: all people) and feature."""
    rows = [
        {
            "evidence": one.name,
            "shuffled": one.shuffled,
            "split": one.split,
            "fold": fold if fold < len(learned) - 1 else None,
            "stretch": stretch,
            "feature": label,
            "theta": float(found.theta[index]),
            "gain": found.gain,
            "genes": found.genes,
            "genes_with_evidence": found.with_evidence[index],
        }
        for fold, found in enumerate(learned)
        for index, label in enumerate(features)
    ]
    return pl.DataFrame(rows, schema=INFORMED_SHAPES)


def fit_unit(unit: InformedUnit) -> str:
    """Fit a block of genes with the prior of each fold and store it; returns the unit's name."""
    base, reader, (one,) = unit.base, unit.base.reader(), unit.sets
    fits, variants, shares = [], [], []
    for gene, expression in zip(base.genes, base.expression, strict=True):
        near, columns = _near(unit, reader, gene)
        shares.append(_share_used(unit, gene, near))
        seed = gene_seed(base.seed, gene.gene_id)
        evidence = one.at(columns, near.position - gene.tss, seed)
        means = one.means(columns, len(near), seed)
        methods = _methods(unit, one, evidence, means, gene)
        variants.append(near)
        dosage, once = near.linear_dosage, near.one_copy
        fits += fit_together(dosage, expression, base.covariates, base.outer_folds, seed, [methods], once)
    tables = unit_tables(base, variants, fits) | {"dropped": dropped_table(reader.dropped)}
    if unit.signed or any(isinstance(feature, EffectEvidence) for feature in unit.features):
        tables["genes"] = tables["genes"].with_columns(pl.Series("share_used", shares, dtype=pl.Float64))
    base.store.write(base.name, base.key, tables)
    return base.name


def _methods(unit: InformedUnit, one: Evidence, evidence: Floats, means: Floats, gene: Gene) -> list[Method]:
    """Of each fold, and of the fit on all people."""
    if not one.seen:
        stretch = unit.places[gene.gene_id].stretch
        return [OnlyMean(means @ found, unit.options.min_maf) for found in unit.learned.signed[stretch]]
    fitted = [
        informed_method(unit.method, log_prior(evidence, theta), unit.options, refine=unit.refine)
        for theta in unit.learned.thetas
    ]
    if not one.signed:
        return fitted
    return [
        WithMean(method, means @ found) for method, found in zip(fitted, unit.learned.signed[0], strict=True)
    ]
