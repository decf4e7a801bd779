"""The stage that compares predictions with expression and writes the tables of the run.

Rows of the per-gene table: a correlation, and how every test judges it.

The linear baselines side by side: each method's R over genes, and its difference to the first one's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hapsight.files import file_digest
from hapsight.run.arm_units import ArmUnit, arm_blocks, arm_keys, arm_units
from hapsight.run.arms import Arm, Comparison, cards_in
from hapsight.run.baselines import BaselineRun, ImportedRun
from hapsight.run.blocks import KeyedBlock, in_gene_order
from hapsight.run.crew import compute_each
from hapsight.run.effects import effects_in_words
from hapsight.run.opened import Opened, Progress, by_reason, dropped_table
from hapsight.run.store import UnitStore
from hapsight.seeds import stream
from hapsight.stages.eqtl import eqtl_blocks
from hapsight.stages.explain import explain_blocks, explain_store
from hapsight.stats.correlation import correlate, effective_people
from hapsight.stats.nulls import (
    TESTS,
    benjamini_hochberg,
    empirical_p,
    null_test,
    permutation_null,
    permutations,
    random_weights_null,
    weights_stream,
)
from hapsight.stats.protocols import protocol_named
from hapsight.stats.structure import Between, Groups
from hapsight.stats.summary import (
    SIGNIFICANT,
    Mean,
    Quantity,
    fold_p,
    judged_r,
    mean_difference,
    mean_fold_r,
    r_over_genes,
    summarise_across_genes,
    summarise_gene_rows,
    summarise_within_people,
)
from hapsight.tables import ACROSS_GENES, BASELINES, PER_GENE, PER_PERSON, STRUCTURE, SUMMARY

__all__ = [
    "Chance",
    "arms_alike",
    "baseline_entries",
    "baseline_table",
    "evaluate",
    "evaluate_units",
    "gene_row",
    "with_qvalues",
]

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Chance:
    """What the nulls of all genes of a run have in common.

    Attributes
    ----------
    draws
        Of random weights, for each gene from its own seed.
    orders
        (D, N) permutations of people within populations, the same for every gene and model.
    drawn
        Random-weights nulls by what they depend on: several methods meet the same genotypes and expression.
    """

    draws: int
    seed: int
    orders: NDArray[np.intp]
    drawn: dict[str, Float] = field(default_factory=dict)

    @classmethod
    def of(cls, opened: Opened) -> Self:
        """With the permutations of a run, from its seed."""
        config = opened.config
        orders = _orders(opened.cohort.groups, config.evaluate.permutations, config.seed)
        return cls(config.evaluate.null_draws, config.seed, orders)

    def random_weights(self, one: Comparison) -> Float:
        """(draws,) abs(r) of random weights on a gene's variants, drawn once for each outcome."""
        digest = hashlib.sha256(one.gene.gene_id.encode() + one.observed.tobytes() + one.dosage.tobytes())
        key = digest.hexdigest()
        if key not in self.drawn:
            rng = weights_stream(self.seed, one.gene.gene_id)
            self.drawn[key] = random_weights_null(one.dosage, one.observed, self.draws, rng)
        return self.drawn[key]


@lru_cache(maxsize=1)
def _orders(populations: tuple[str | None, ...], draws: int, seed: int) -> NDArray[np.intp]:
    """(draws, N) permutations of people, drawn once in a process."""
    return permutations(populations, draws, stream(seed, "permutations of people"))


def gene_row(arm: Arm, one: Comparison, chance: Chance) -> dict[str, Any]:
    """Make a row of ``per_gene``, its q-values still missing."""
    gene = one.gene
    row: dict[str, Any] = {
        **dict.fromkeys(PER_GENE),
        "gene_id": gene.gene_id,
        "gene_name": gene.gene_name,
        "contig": gene.contig,
        "tss": gene.tss,
        "strand": gene.strand.value if gene.strand else None,
        **arm.labels(),
        "observed": arm.observed,
        "n": len(one.observed),
        "n_variants": len(one.dosage),
        "n_distinct": one.n_distinct,
        "prediction_sd": float(np.std(one.predicted, ddof=1)),
        "share_used": one.share_used,
        "share_weight_used": one.share_weight_used,
    }
    if one.status is not None:
        return row | {"status": one.status}
    found = correlate(one.predicted, one.observed)
    row |= asdict(found)
    if found.pearson_r is None:
        bare = not len(one.dosage) and found.status == "constant_prediction"
        return row | {"status": "no_variants" if bare else found.status}
    if not np.any(one.dosage != one.dosage[:, :1]):  # only phase, or what an indel brings in, differs
        return row | dict.fromkeys(asdict(found)) | {"n": found.n, "status": "no_variable_variant"}
    row["effective_people"] = effective_people(one.predicted, one.observed)
    return row | _judged(found.pearson_r, one, chance)


def _judged(r: float, one: Comparison, chance: Chance) -> dict[str, Any]:
    """Columns of every test of `r` that needs a null."""
    exchanged = permutation_null(one.predicted, one.observed, chance.orders)
    row = asdict(null_test(r, chance.random_weights(one)))
    row["pval_permutation"] = empirical_p(abs(r), exchanged)
    if one.fold is not None:
        row["pval_folds"] = fold_p(one.predicted, one.observed, one.fold)
    return row


def with_qvalues(table: pl.DataFrame, test: str) -> pl.DataFrame:
    """Fill in ``qval_<test>`` of every test, over the ``ok`` rows, and ``qval``: that of `test`."""
    ok = (table["status"] == "ok").to_numpy()
    columns = {name: _qvalues(table[f"pval_{name}"].to_numpy(), ok) for name in TESTS}
    return table.with_columns(
        pl.Series("qval", columns[test]).fill_nan(None),
        *(pl.Series(f"qval_{name}", qval).fill_nan(None) for name, qval in columns.items()),
    )


def _qvalues(pvalues: Float, ok: NDArray[np.bool_]) -> Float:
    """(G,) q over the genes that are ok and have this p; NaN for the others."""
    judged = ok & np.isfinite(pvalues)
    qval = np.full(len(pvalues), np.nan)
    qval[judged] = benjamini_hochberg(pvalues[judged])
    return qval


def baseline_entries(arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """What the record says of the linear arms, in order; of a file also its path and digest."""
    return [_entry(arm, arm.made_by) for arm in arms if isinstance(arm.made_by, BaselineRun | ImportedRun)]


def _entry(arm: Arm, run: BaselineRun | ImportedRun) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": run.method, "read_out": run.read_out, "split": run.split}
    if isinstance(run, ImportedRun):
        return entry | {"path": str(run.path), "sha256": file_digest(run.path)}
    return entry | {"units": [unit.name for unit in arm.units]}


def baseline_table(opened: Opened, arms: Sequence[Arm], per_gene: pl.DataFrame) -> pl.DataFrame:
    """One row per linear arm; see ``docs/formats.md``.

    Each is compared with the elastic net of the same split (else with the first method), gene by gene;
    what was trained elsewhere, with the random split's.
    """
    rows = []
    for arm in arms:
        against, mine = _reference(arm, arms), arm.rows(per_gene)
        folds = _fold_means(opened, arm) if arm.held_out else Mean(None, 0, None, None)
        paired = _difference(per_gene, arm, against)
        rows.append(
            {
                **mine.select("model", "read_out", "protocol").row(0, named=True),
                "split": _split(arm),
                "genes": len(mine),
                **r_over_genes(mine),
                "share_used": mine["share_used"].median(),
                "share_weight_used": mine["share_weight_used"].median(),
                "genes_low_share": int((mine["status"] == "low_share").sum()),
                "mean_fold_r": folds.value,
                "fold_genes": folds.n,
                "fold_ci_low": folds.ci_low,
                "fold_ci_high": folds.ci_high,
                "against": against.model if against and against is not arm else None,
                "paired_genes": paired.n,
                "difference": paired.value,
                "difference_ci_low": paired.ci_low,
                "difference_ci_high": paired.ci_high,
            }
        )
    return pl.DataFrame(rows, schema=BASELINES)


def _split(arm: Arm) -> str:
    assert isinstance(arm.made_by, BaselineRun | ImportedRun)
    return arm.made_by.split


def _reference(arm: Arm, arms: Sequence[Arm]) -> Arm | None:
    """The arm that `arm` is compared with; None where nothing was trained here."""
    trained = [other for other in arms if other.held_out]
    same = [other for other in trained if _split(other) == _split(arm)] or trained
    return min(same, key=lambda other: other.model != "elastic_net", default=None)


def _fold_means(opened: Opened, arm: Arm) -> Mean:
    table = in_gene_order(arm.read("genes"), opened.cohort.genes)
    return mean_fold_r([np.array(r, dtype=np.float64) for r in table["fold_r"].to_list()])


def _difference(per_gene: pl.DataFrame, arm: Arm, against: Arm | None) -> Mean:
    if against is None or against is arm:
        return Mean(None, 0, None, None)
    return mean_difference(judged_r(arm.rows(per_gene)), judged_r(against.rows(per_gene)))


Row = dict[str, Any]


@dataclass
class _Rows:
    """Rows of the four tables, as they come."""

    per_gene: list[pl.DataFrame] = field(default_factory=list)
    per_person: list[Row] = field(default_factory=list)
    across_genes: list[Row] = field(default_factory=list)
    summary: list[Row] = field(default_factory=list)
    structure: list[pl.DataFrame] = field(default_factory=list)

    def add_summary(self, arm: Arm, quantities: Iterable[Quantity]) -> None:
        self.summary.extend(arm.labels() | asdict(quantity) for quantity in quantities)

    def tables(self) -> dict[str, pl.DataFrame]:
        return {
            "per_gene": pl.concat([pl.DataFrame(schema=PER_GENE), *self.per_gene]),
            "per_person": pl.DataFrame(self.per_person, schema=PER_PERSON),
            "across_genes": pl.DataFrame(self.across_genes, schema=ACROSS_GENES),
            "summary": pl.DataFrame(self.summary, schema=SUMMARY),
            "structure": pl.concat([pl.DataFrame(schema=STRUCTURE), *self.structure]),
        }


def evaluate(opened: Opened, arms: Sequence[Arm], progress: Progress) -> None:
    """Write ``evaluation/*.parquet`` and ``dropped.parquet`` from the finished units of the other stages.

    What chance gives of a gene is a unit of work, a block of genes for each group of arms; finished units are
    not computed again.

    Raises
    ------
    IncompleteError
        Some units of other stages are not done; or some of this one were set aside, all others are done.
    """
    with opened.folder.stage("evaluate") as stage:
        models = [card.entry(opened, own[0].units) for card, own in cards_in(arms).items()]
        opened.folder.record_models(models)
        for card, own in cards_in(arms).items():
            if card.of_effects:
                opened.folder.note(effects_in_words(card, own[0].read("laid")))
        found = _judged_genes(opened, arms, stage, progress)
        rows = _Rows()
        with threadpool_limits(limits=1, user_api="blas"):  # its threads only wait for each other here
            for arm in arms:
                _add(opened, arm, found[arm], rows, progress)
        tables = rows.tables()
        linear = [arm for arm in arms if arm.card is None]
        tables["baselines"] = baseline_table(opened, linear, tables["per_gene"])
        opened.folder.record_baselines(baseline_entries(linear))
        for name, table in tables.items():
            opened.folder.write(f"evaluation/{name}.parquet", table)
        opened.mark_current("evaluate")
        opened.folder.write("dropped.parquet", _dropped(opened, arms))


def _judged_genes(
    opened: Opened, arms: Sequence[Arm], stage: dict[str, Any], progress: Progress
) -> dict[Arm, pl.DataFrame]:
    """Each arm's rows of ``per_gene``, genes in the cohort's order, without q-values."""
    units = {own: evaluate_units(opened, own) for own in arms_alike(arms)}
    groups = [
        (f"evaluate {', '.join(dict.fromkeys(arm.model for arm in own))}", made)
        for own, made in units.items()
    ]
    stage |= compute_each(opened, _judge_unit, groups, progress)
    return {arm: rows for own, made in units.items() for arm, rows in _rows_of(opened, own, made)}


def _rows_of(
    opened: Opened, arms: Sequence[Arm], units: Sequence[ArmUnit]
) -> Iterator[tuple[Arm, pl.DataFrame]]:
    table = in_gene_order(units[0].store.read(units, "per_gene"), opened.cohort.genes)
    table = table.with_columns(protocol=pl.lit(opened.config.protocol, pl.String))
    for arm in arms:
        yield arm, arm.rows(table)


def arms_alike(arms: Sequence[Arm]) -> list[tuple[Arm, ...]]:
    """Arms that meet the same genotypes and expression in every gene, so that one null serves them all."""
    found: dict[object, list[Arm]] = {}
    for arm in arms:
        found.setdefault(_met(arm), []).append(arm)
    return [tuple(own) for own in found.values()]


def _met(arm: Arm) -> object:
    if isinstance(arm.made_by, BaselineRun):
        return arm.made_by.split
    if arm.card is None or arm.card.of_effects:
        return arm.made_by
    return arm.card.window, arm.card.seen


def evaluate_units(opened: Opened, arms: Sequence[Arm]) -> list[ArmUnit]:
    """The units of arms that one null serves, cut as the units of the first are."""
    config, (first, *_) = opened.config, arms
    place = first.store.folder.relative_to(opened.folder.path)
    store = UnitStore(opened.folder.path / "evaluation" / place, "evaluate")
    options = config.evaluate.model_dump(mode="json") | {"seed": config.seed}
    blocks = arm_blocks(store, first.units, arm_keys(opened, "evaluate", arms, options))
    return list(arm_units(opened, store, blocks, arms))


def _judge_unit(unit: ArmUnit) -> str:
    """Compare a block of genes with expression, beside what chance gives; returns the unit's name."""
    chance = Chance.of(unit.run)
    with threadpool_limits(limits=1, user_api="blas"):  # the same sums whoever makes them
        rows = [gene_row(arm, one, chance) for arm in unit.arms() for one in arm.comparisons(unit.genes)]
    unit.store.write(unit.name, unit.key, {"per_gene": pl.DataFrame(rows, schema=PER_GENE)})
    return unit.name


def _add(opened: Opened, arm: Arm, found: pl.DataFrame, rows: _Rows, progress: Progress) -> None:
    """The arm's rows of all tables; only models of levels predict across genes and within people."""
    _add_per_gene(opened, arm, found, rows)
    groups = Groups.of(opened.cohort.groups)
    levels = arm.card is not None and arm.card.levels
    if groups is None and not levels:
        return
    observed, predicted, reference = opened.cohort.transformed, [], []
    for done, one in enumerate(arm.comparisons(opened.cohort.genes), start=1):
        predicted.append(np.zeros_like(one.predicted) if one.status else one.predicted)  # else rounding
        reference.append(one.reference)
        progress(f"evaluate {arm.model}, over all genes", done, len(opened.cohort.genes))
    if groups is not None:
        _add_structure(opened, arm, predicted, groups, rows)
    if levels:
        _add_across_genes(opened, arm, np.array(reference, np.float64), observed, rows)
        _add_within_people(opened, arm, np.array(predicted), observed, rows)


def _add_per_gene(opened: Opened, arm: Arm, found: pl.DataFrame, rows: _Rows) -> None:
    """One row per gene, q-values over those that are ``ok``, and their summary."""
    test = protocol_named(opened.config.protocol).test_of(arm.held_out)
    table = with_qvalues(found, test)
    rows.per_gene.append(table)
    tests = [name for name in TESTS if arm.held_out or name != "folds"]
    rows.add_summary(arm, summarise_gene_rows(table, table["status"].to_list(), tests, test))


def _add_structure(opened: Opened, arm: Arm, predicted: Sequence[Float], groups: Groups, rows: _Rows) -> None:
    """What populations explain of predictions and of expression; a note where it is something of both."""
    cohort = opened.cohort
    covariates = None if cohort.covariates is None else cohort.covariates.values
    plain, beside = Between.of(groups), Between.of(groups, covariates)
    found = [
        {"gene_id": gene.gene_id, "gene_name": gene.gene_name}
        | arm.labels()
        | structure_row(own, expressed, residual, plain, beside)
        for gene, own, expressed, residual in zip(
            cohort.genes, predicted, cohort.transformed, cohort.residual, strict=True
        )
    ]
    table = pl.DataFrame(found, schema=STRUCTURE)
    tested = table["pval"].is_not_null().to_numpy()
    qval = pl.Series("qval", _qvalues(table["pval"].to_numpy().astype(np.float64), tested)).fill_nan(None)
    table = table.with_columns(qval)
    rows.structure.append(table)
    shared = int((table["qval"] < SIGNIFICANT).sum())
    if shared:
        opened.folder.note(
            f"{arm.model}, {arm.read_out}: in {shared} of {int(tested.sum())} genes both the prediction and "
            f"expression differ between populations (q < {SIGNIFICANT:g}; evaluation/structure.parquet). "
            "Part of R is between populations there, and the plain p of R and of folds, which take people as "
            "alike, are too small; permutations exchange people within populations. r_within is R without "
            "that part; covariates that tell populations apart take it out (docs/populations.md)."
        )


def structure_row(
    predicted: Float, expressed: Float, residual: Float, plain: Between, beside: Between
) -> dict[str, Any]:
    """A row of ``structure`` without its labels and q, from a gene's (N,) values; p is the larger of two.

    Parameters
    ----------
    plain, beside
        Populations without covariates, and beside those of expression.
    """
    groups, own, theirs = plain.groups, plain.explained(predicted), beside.explained(expressed)
    pvals = [found.pval for found in (own, theirs) if found.pval is not None]
    return {
        "n": len(groups.people),
        "populations": len(groups.names),
        "share_predicted": own.share,
        "pval_predicted": own.pval,
        "share_observed": theirs.share,
        "pval_observed": theirs.pval,
        "pval": max(pvals) if len(pvals) == 2 else None,
        "qval": None,
        "r_within": plain.within_r(predicted, residual),
    }


def _add_across_genes(opened: Opened, arm: Arm, reference: Float, observed: Float, rows: _Rows) -> None:
    for gene, value, expressed in zip(opened.cohort.genes, reference, observed, strict=True):
        names = {"gene_id": gene.gene_id, "gene_name": gene.gene_name}
        numbers = {"mean_expression": expressed.mean(), "sd_expression": expressed.std()}
        rows.across_genes.append(names | arm.labels() | {"predicted_reference": value} | numbers)
    rows.add_summary(arm, summarise_across_genes(reference, observed.mean(axis=1)))


def _add_within_people(opened: Opened, arm: Arm, predicted: Float, observed: Float, rows: _Rows) -> None:
    """Each person's correlation over genes: (G, N) predictions and expression."""
    spearman = []
    for sample, p, o in zip(opened.cohort.samples, predicted.T, observed.T, strict=True):
        found = correlate(p, o)
        numbers = {"n": found.n, "pearson_r": found.pearson_r, "spearman_r": found.spearman_r}
        rows.per_person.append({"sample_id": sample} | arm.labels() | numbers)
        if found.spearman_r is not None:
            spearman.append(found.spearman_r)
    rows.add_summary(arm, summarise_within_people(np.array(spearman)))


def _dropped(opened: Opened, arms: Sequence[Arm]) -> pl.DataFrame:
    """Everything that was left out, by the join or by any unit: ``kind, reason, count, names``."""
    tables = [dropped_table(opened.dropped)]
    tables += [arm.read("dropped") for arm in {arm.made_by: arm for arm in arms}.values()]
    if opened.config.eqtl.run:
        tables += _left_out(opened.folder.eqtl(), eqtl_blocks(opened))
    for card in cards_in(arms):
        store = explain_store(opened, card)
        if store.folder.exists():
            tables += _left_out(store, explain_blocks(opened, card))
    return by_reason(tables)


def _left_out(store: UnitStore, units: Iterable[KeyedBlock]) -> list[pl.DataFrame]:
    """Of units that are done: they may come after the evaluation, or not at all."""
    return [store.read([unit], "dropped") for unit in units if store.done(unit.name, unit.key)]
