"""Is the sign of a predicted effect right at expression where the effect is large? One variant a gene.

Effects are those of `hapsight explain`, or of a table. Slopes are of all people, covariates projected out.
The variant is chosen by association alone, among those that the model gives an effect, and never by the
effect's size or sign: ``top``, the strongest, in genes where its p, times the number of such variants, is
small; ``susie``, the one of the largest posterior inclusion probability, where that is not small.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Gene, Variants
from hapsight.explain.reliability import stretches
from hapsight.explain.reliability_quality import kept_right
from hapsight.explain.tables import EXPLAIN_EFFECTS, EXPLAIN_ELEMENTS
from hapsight.least_squares import Design, residualise
from hapsight.linear.fits import Predictors
from hapsight.linear.susie import fit_susie
from hapsight.run.blocks import VariantReader, in_gene_order, linear_blocks
from hapsight.run.effects import EffectsRun
from hapsight.run.opened import Opened, Progress
from hapsight.seeds import stream
from hapsight.stages.explain import explain_blocks, explain_store
from hapsight.stages.predict import ModelRun
from hapsight.stages.validation import Validated, estimate_row, track_labels
from hapsight.stats.eqtl import CisDosage, nominal_scan
from hapsight.stats.ranks import Estimate

__all__ = ["ABSTENTION_GENES", "SCORES", "AbstentionOptions", "validate_abstention"]

_KEY: Final = ("position", "ref", "alt")

ABSTENTION_GENES: Final = {
    "gene_id": pl.String,
    "chosen": pl.String,
    "model": pl.String,
    "read_out": pl.String,
    "track": pl.String,
    "variant_id": pl.String,
    "contig": pl.String,
    "position": pl.Int64,
    "ref": pl.String,
    "alt": pl.String,
    "distance": pl.Int64,
    "candidates": pl.Int64,
    "slope": pl.Float64,
    "pval_nominal": pl.Float64,
    "pip": pl.Float64,
    "effect": pl.Float64,
    "element_effect": pl.Float64,
    "sign_right": pl.Boolean,
    "stretch": pl.Int64,
}
"""``abstention.parquet``: one row per model, track, gene and way to choose its variant."""

SCORES: Final = ("effect", "element_effect", "nearness")
"""What genes are sorted by."""


@dataclass(frozen=True, slots=True)
class AbstentionOptions:
    """What is asked.

    Attributes
    ----------
    reach
        Bases from the TSS within which variants are looked at.
    max_p
        Largest p x candidates of the strongest variant.
    min_pip
        Least posterior inclusion probability.
    shares
        Of the genes that are kept, the largest scores first.
    stretches
        Of the genome, which are drawn with replacement for intervals.
    """

    reach: int = 200_000
    max_p: float = 0.05
    min_pip: float = 0.1
    shares: tuple[float, ...] = (1.0, 0.75, 0.5, 0.25, 0.1, 0.05)
    stretches: int = 20


def validate_abstention(
    opened: Opened, runs: Sequence[ModelRun | EffectsRun], options: AbstentionOptions, progress: Progress
) -> Validated:
    """Signs of one variant a gene, and how many are right where effects are largest.

    Raises
    ------
    IncompleteError
        A model is not explained.
    """
    dropped, parts, rows = Dropped(), list[pl.DataFrame](), list[dict[str, Any]]()
    associated = _Associations(opened, options, progress)
    for run in runs:
        effects = _effects(opened, run)
        for labels in track_labels(run):
            own = effects.filter(pl.col("track") == labels["track"])
            table = _chosen(opened, labels, own, associated, options, dropped)
            parts.append(table)
            rows += list(_summary(labels, table, options, opened.config.seed))
    return Validated.of(pl.concat(parts), rows, dropped, asdict(options))


def _effects(opened: Opened, run: ModelRun | EffectsRun) -> pl.DataFrame:
    """The model's effects that are not 0; with those on elements, where it has elements."""
    store, units = explain_store(opened, run), explain_blocks(opened, run)
    table = in_gene_order(store.read(units, "effects"), opened.cohort.genes)
    known = table.select(*EXPLAIN_EFFECTS).filter(pl.col("effect") != 0)
    if not (store.folder / "elements.parquet").is_file():
        return known.with_columns(element_effect=pl.lit(None, pl.Float64))
    elements = store.read(units, "elements").select(*EXPLAIN_ELEMENTS)
    keys = ["gene_id", "track", *_KEY]
    return known.join(elements.select(*keys, "element_effect"), on=keys, how="left", maintain_order="left")


class _Associations:
    """What people say of a gene's variants; of each gene once, whatever the number of models."""

    def __init__(self, opened: Opened, options: AbstentionOptions, progress: Progress) -> None:
        cohort = opened.cohort
        self._opened, self._options, self._progress = opened, options, progress
        blocks = linear_blocks(opened, options.reach, None)
        self._block_of = {gene.gene_id: genes for _, genes in blocks for gene in genes}
        self._block: Sequence[Gene] = ()
        self._reader = VariantReader(cohort.genotypes, cohort.reference)
        self._covariates = None if cohort.covariates is None else cohort.covariates.values
        self._design = Design.of(len(cohort.samples), self._covariates)
        self._known: dict[str, pl.DataFrame] = {}

    def of(self, gene: Gene) -> pl.DataFrame:
        """One row per variant: `_KEY`, slope, pval_nominal, pip."""
        if gene.gene_id not in self._known:
            self._progress("abstention, genes", len(self._known), len(self._opened.cohort.genes))
            self._known[gene.gene_id] = self._table(gene)
        return self._known[gene.gene_id]

    def _table(self, gene: Gene) -> pl.DataFrame:
        cohort, near = self._opened.cohort, self._near(gene)
        (expression,) = cohort.transformed[cohort.rows([gene])]
        dosage, options = near.linear_dosage, self._opened.config.baseline
        scan = nominal_scan(CisDosage.of(dosage, self._design), expression)
        nobody = None if self._covariates is None else self._covariates[:0]
        outcome, _ = residualise(expression, self._covariates, expression[:0], nobody)
        predictors = Predictors.of(dosage, options.min_maf, near.one_copy)
        fit = fit_susie(predictors, outcome, np.zeros(len(near)))
        return pl.DataFrame(
            {
                "position": near.position,
                "ref": list(near.ref),
                "alt": list(near.alt),
                "slope": scan.slope,
                "pval_nominal": scan.pval_nominal,
                "pip": fit.inclusion,
            },
            schema_overrides={"ref": pl.String, "alt": pl.String},
        ).filter(
            pl.col("slope").is_finite() & (pl.col("slope") != 0) & pl.Series(near.maf >= options.min_maf)
        )

    def _near(self, gene: Gene) -> Variants:
        """A gene's variants: those of its block are read together, and forgotten with the next block."""
        cohort, reach = self._opened.cohort, self._options.reach
        if (block := self._block_of[gene.gene_id]) is not self._block:
            windows = [one.cis(reach) for one in block]
            self._block, self._reader = block, VariantReader(cohort.genotypes, cohort.reference, windows)
        return self._reader(gene.cis(reach))


def _chosen(
    opened: Opened,
    labels: dict[str, str],
    effects: pl.DataFrame,
    associated: _Associations,
    options: AbstentionOptions,
    dropped: Dropped,
) -> pl.DataFrame:
    """Rows of `ABSTENTION_GENES` of one track."""
    of_gene = effects.partition_by("gene_id", as_dict=True)
    rows: list[dict[str, Any]] = []
    for gene in opened.cohort.genes:
        own = of_gene.get((gene.gene_id,))
        if own is None:
            dropped.add("gene", f"{labels['model']}: no variant has an effect", gene.gene_id)
            continue
        both = own.join(associated.of(gene), on=_KEY, how="inner", maintain_order="left")
        found = list(_of_gene(gene, labels, both, options))
        if not found:
            dropped.add("gene", f"{labels['model']}: no variant with an effect is an eQTL", gene.gene_id)
        rows += found
    table = pl.DataFrame(rows, schema=ABSTENTION_GENES)
    return pl.concat([table.clear(), *(_in_stretches(opened, one, options) for one in _ways(table))])


def _ways(table: pl.DataFrame) -> list[pl.DataFrame]:
    return table.partition_by("chosen", maintain_order=True)


def _of_gene(
    gene: Gene, labels: dict[str, str], both: pl.DataFrame, options: AbstentionOptions
) -> Iterator[dict[str, Any]]:
    """The gene's variant, chosen either way; none where it is not associated."""
    ways = {
        "top": both.filter(pl.col("pval_nominal") * len(both) < options.max_p).sort(
            "pval_nominal", maintain_order=True
        ),
        "susie": both.filter(pl.col("pip") >= options.min_pip).sort(
            "pip", descending=True, maintain_order=True
        ),
    }
    for way, table in ways.items():
        for row in table.head(1).iter_rows(named=True):
            kept = {name: row[name] for name in ABSTENTION_GENES if name in row}
            yield (
                kept
                | labels
                | {
                    "chosen": way,
                    "distance": abs(row["position"] - gene.tss),
                    "candidates": len(both),
                    "sign_right": (row["effect"] > 0) == (row["slope"] > 0),
                    "stretch": None,
                }
            )


def _in_stretches(opened: Opened, table: pl.DataFrame, options: AbstentionOptions) -> pl.DataFrame:
    """With the stretch of each gene, by its TSS."""
    tss = {gene.gene_id: gene.tss for gene in opened.cohort.genes}
    places = np.array([tss[name] for name in table["gene_id"]], np.int64)
    found = stretches(table["contig"].to_list(), places, options.stretches)
    return table.with_columns(pl.Series("stretch", found, pl.Int64))


def _summary(
    labels: dict[str, str], table: pl.DataFrame, options: AbstentionOptions, seed: int
) -> Iterator[dict[str, Any]]:
    """Share of right signs among those kept, by each score; and what is gained on all."""
    for genes in _ways(table):
        right, stretch = genes["sign_right"].to_numpy(), genes["stretch"].to_numpy()
        for name in SCORES:
            score = _score(genes, name)
            if np.isnan(score).any():
                continue
            rng = stream(seed, "abstention")
            for kept in kept_right(score, right, stretch, options.shares, rng):
                stratum = "all" if kept.share == 1 else f"largest {kept.share:g}"
                of_all = Estimate(kept.n, kept.right, kept.ci_low, kept.ci_high, round(kept.right * kept.n))
                gained = Estimate(kept.n, kept.gain, kept.gain_low, kept.gain_high)
                yield estimate_row(labels, genes["chosen"][0], name, "sign_right", of_all, stratum)
                if kept.share < 1:
                    yield estimate_row(labels, genes["chosen"][0], name, "sign_right_gain", gained, stratum)


def _score(genes: pl.DataFrame, name: str) -> NDArray[np.float64]:
    if name == "nearness":
        return -genes["distance"].cast(pl.Float64).to_numpy()
    return np.asarray(np.abs(genes[name].fill_null(np.nan).to_numpy()), np.float64)
