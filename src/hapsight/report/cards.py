"""The summary: cards for one model, one row per arm for a comparison.

The table of linear baselines, ready to print.

The significant genes of each arm under every test, side by side.

The table of genes: by column for the page, by row for the file beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from hapsight.files import file_name
from hapsight.report import words
from hapsight.report.gene_view import page_link
from hapsight.report.published import published
from hapsight.report.run_folder import Arm, RunFolder, read_table
from hapsight.stats.heritability import mean_ceiling
from hapsight.stats.nulls import TESTS
from hapsight.stats.protocols import Protocol, protocol_named
from hapsight.stats.summary import SIGNIFICANT
from hapsight.tables import BASELINES, HERITABILITY

__all__ = [
    "BaselineRow",
    "Card",
    "Judgement",
    "SummaryRow",
    "Value",
    "baseline_rows",
    "baseline_table",
    "both_tests",
    "cards",
    "ceiling_sentence",
    "gene_columns",
    "gene_rows",
    "judgements",
    "outcome",
    "summary_rows",
    "values_of",
]


@dataclass(frozen=True, slots=True)
class BaselineRow:
    """One baseline in words.

    Attributes
    ----------
    cells
        Number and what it is based on: mean R, share negative, mean R of a fold, difference, weights used.
    """

    method: str
    split: str
    read_out: str
    genes: str
    cells: tuple[tuple[str, str], ...]


def baseline_table(run: RunFolder) -> pl.DataFrame:
    """``evaluation/baselines.parquet``; empty where the run has none."""
    table = read_table(run.folder / "evaluation/baselines.parquet", BASELINES)
    return published(run, "baselines", table)


def baseline_rows(run: RunFolder) -> tuple[BaselineRow, ...]:
    """Rows in the order in which the baselines are configured."""
    return tuple(_row(row) for row in baseline_table(run).iter_rows(named=True))


def ceiling_sentence(run: RunFolder) -> str | None:
    """What cis-heritability leaves to any linear prediction; None where it was not estimated."""
    h2 = read_table(run.folder / "eqtl/heritability.parquet", HERITABILITY)["h2"].drop_nulls()
    if h2.is_empty():
        return None
    ceiling = mean_ceiling(h2.to_numpy()).value
    return (
        f"The ceiling: R of a gene is at most the root of its cis-heritability, {words.decimal(ceiling)} on "
        f"average over {words.plural(len(h2), 'gene')} (REML, which cannot go below 0 and so is high where "
        "there is little)."
    )


def _row(row: dict[str, Any]) -> BaselineRow:
    paired = f"to {row['against']}, {words.plural(row['paired_genes'], 'gene')}" if row["against"] else ""
    return BaselineRow(
        row["model"],
        row["split"],
        row["read_out"],
        f"{words.count(row['genes_ok'])} of {words.count(row['genes'])}",
        (
            _cell(row, "mean_r", "ci", ""),
            (words.percent(row["share_negative"]), ""),
            _cell(row, "mean_fold_r", "fold_ci", words.plural(row["fold_genes"], "gene")),
            _cell(row, "difference", "difference_ci", paired),
            _used(row),
        ),
    )


def _used(row: dict[str, Any]) -> tuple[str, str]:
    """Shares of weights that were trained elsewhere, and genes that have too few."""
    if row["share_used"] is None:
        return words.ABSENT, ""
    few = words.plural(row["genes_low_share"], "gene")
    return words.percent(row["share_used"]), (
        f"{words.percent(row['share_weight_used'])} of their absolute sum; {few} below the floor"
    )


def _cell(row: dict[str, Any], name: str, bounds: str, basis: str) -> tuple[str, str]:
    low, high = row[f"{bounds}_low"], row[f"{bounds}_high"]
    interval = f"[{words.decimal(low)}, {words.decimal(high)}]" if low is not None else ""
    return words.decimal(row[name]), " ".join(part for part in (interval, basis) if part)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one test says of one arm, in words.

    Attributes
    ----------
    leads
        Whether this is the test of the run's protocol, whose numbers stand in the rest of the report.
    interval
        95 % Wilson interval of `share`.
    """

    test: str
    leads: bool
    significant: str
    negative: str
    share: str
    interval: str


def judgements(run: RunFolder) -> tuple[tuple[Arm, tuple[Judgement, ...]], ...]:
    """Each arm with its tests, the one that leads first; an arm without tested genes is left out."""
    protocol = protocol_named(run.record.get("protocol"))
    found = ((arm, _quantities(run, arm)) for arm in run.arms)
    judged = ((arm, _rows(numbers, protocol)) for arm, numbers in found)
    return tuple((arm, rows) for arm, rows in judged if rows)


_Numbers = dict[str, tuple[float | None, int | None, float | None, float | None]]


def _quantities(run: RunFolder, arm: Arm) -> _Numbers:
    rows = arm.of(run.summary).select("quantity", "value", "n", "ci_low", "ci_high")
    return {quantity: (value, n, low, high) for quantity, value, n, low, high in rows.iter_rows()}


def _rows(numbers: _Numbers, protocol: Protocol) -> tuple[Judgement, ...]:
    leading = protocol.test_of("significant.folds" in numbers)
    made = [test for test in TESTS if f"significant.{test}" in numbers]
    return tuple(
        _test_row(numbers, test, test == leading) for test in sorted(made, key=lambda test: test != leading)
    )


def _test_row(numbers: _Numbers, test: str, leads: bool) -> Judgement:
    nothing = (None, None, None, None)
    significant, n, _, _ = numbers.get(f"significant.{test}", nothing)
    negative, _, _, _ = numbers.get(f"significant_negative.{test}", nothing)
    share, _, low, high = numbers.get(f"significant_negative_share.{test}", nothing)
    return Judgement(
        test=TESTS[test],
        leads=leads,
        significant=f"{words.count(significant)} of {words.count(n)}",
        negative=words.count(negative),
        share=words.percent(share),
        interval=words.ABSENT if low is None else f"{words.percent(low)} to {words.percent(high)}",
    )


_GENE: Final = ("gene_id", "gene_name", "contig", "tss", "strand")
_R_DIGITS: Final = 4
_P_DIGITS: Final = 3


def outcome() -> pl.Expr:
    """Column ``outcome``: what became of a gene, in words a reader can search for.

    "No better than random weights": the prediction goes with expression (people permuted), but random weights
    on the same variants do as well.
    """
    significant = pl.col("qval") < SIGNIFICANT
    related = (pl.col("qval_permutation") < SIGNIFICANT) & pl.col("qval_folds").is_null()
    tested = (
        pl.when(pl.col("pearson_r").is_null() | pl.col("qval").is_null())
        .then(pl.lit("tested, no q"))
        .when(significant & (pl.col("pearson_r") < 0))
        .then(pl.lit("significant, wrong sign"))
        .when(significant)
        .then(pl.lit("significant, right sign"))
        .when(related)
        .then(pl.lit("no better than random weights"))
        .otherwise(pl.lit("not significant"))
    )
    others = pl.col("status").map_elements(words.status, return_dtype=pl.String, skip_nulls=False)
    return pl.when(pl.col("status") == "ok").then(tested).otherwise(others).alias("outcome")


def gene_rows(run: RunFolder) -> pl.DataFrame:
    """Build ``report/genes.csv``: one row per gene and arm, the baseline's R beside each."""
    baseline = run.baseline
    table = run.per_gene.with_columns(outcome())
    if baseline is None:
        return table.with_columns(pl.lit(None, dtype=pl.Float64).alias("baseline_r"))
    other = baseline.of(run.per_gene).select("gene_id", baseline_r="pearson_r")
    return table.join(other, on="gene_id", how="left", maintain_order="left")


def gene_columns(run: RunFolder) -> dict[str, Any]:
    """Build the same table as columns, so that 20,000 genes stay small inside the page.

    Returns
    -------
    ``noun`` (what a row is), ``genes`` (columns shared by all arms; `tss` 1-based; ``page``: link to the
    gene's page, None without one), ``outcomes`` (words), ``baseline`` (place among the arms, or None) and
    ``arms``: for each its label
    and columns in the order of ``genes``; None where a gene has no number.
    """
    genes = run.per_gene.select(_GENE).unique("gene_id", keep="first", maintain_order=True)
    outcomes = run.per_gene.select(outcome()).get_column("outcome").unique().sort().to_list()
    return {
        "noun": "peak" if run.record.get("cohort", {}).get("phenotype") == "peaks" else "gene",
        "genes": {
            "id": genes["gene_id"].to_list(),
            "name": genes["gene_name"].to_list(),
            "contig": genes["contig"].to_list(),
            "tss": (genes["tss"] + 1).to_list(),
            "strand": genes["strand"].to_list(),
            "page": _pages(run, genes["gene_id"]),
        },
        "outcomes": outcomes,
        "baseline": next((place for place, arm in enumerate(run.arms) if arm == run.baseline), None),
        "arms": [_arm_columns(run, arm, genes, outcomes) for arm in run.arms],
    }


def _pages(run: RunFolder, gene_ids: Iterable[str]) -> list[str | None]:
    """Link to each gene's page, where the run has one."""
    there = {path.name for path in (run.folder / "report" / "genes").glob("*.html")}
    return [
        page_link(gene_id) if file_name(gene_id, suffix=".html") in there else None for gene_id in gene_ids
    ]


def _arm_columns(run: RunFolder, arm: Arm, genes: pl.DataFrame, outcomes: list[str]) -> dict[str, Any]:
    rows = arm.of(run.per_gene).with_columns(outcome())
    table = genes.select("gene_id").join(rows, on="gene_id", how="left", maintain_order="left")
    place = {text: index for index, text in enumerate(outcomes)}
    rounded = {
        "r": pl.col("pearson_r").round(_R_DIGITS),
        "low": pl.col("ci_low").round(_R_DIGITS),
        "high": pl.col("ci_high").round(_R_DIGITS),
        "p": pl.col("pval_nominal").round_sig_figs(_P_DIGITS),
        "p_null": pl.col("pval_empirical").round_sig_figs(_P_DIGITS),
        "q": pl.col("qval").round_sig_figs(_P_DIGITS),
        "n": pl.col("n"),
        "variants": pl.col("n_variants"),
        "distinct": pl.col("n_distinct"),
        "used": pl.col("share_used").round(_R_DIGITS),
        "weight_used": pl.col("share_weight_used").round(_R_DIGITS),
        "outcome": pl.col("outcome").replace_strict(place, default=None, return_dtype=pl.Int64),
    }
    columns = table.select(**rounded).to_dict(as_series=False)
    return {"label": arm.label, "baseline": arm.is_baseline, "columns": columns}


@dataclass(frozen=True, slots=True)
class Card:
    """One number, what it counts, and one honest sentence.

    Attributes
    ----------
    colour
        ``"model"`` or ``"baseline"``.
    """

    title: str
    number: str
    basis: str
    sentence: str
    colour: str = "model"


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """An arm and its numbers in words, each with its n: the columns of the comparison."""

    label: str
    read_out: str
    is_baseline: bool
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Value:
    """One quantity of the summary, as it is published."""

    value: float | None = None
    n: int | None = None
    unit: str = "genes"
    ci_low: float | None = None
    ci_high: float | None = None

    @property
    def basis(self) -> str:
        """``"n = 480 genes"``, with the interval where there is one."""
        return self._basis(words.decimal)

    @property
    def basis_of_share(self) -> str:
        """The same of a share, in per cent."""
        return self._basis(words.percent)

    def _basis(self, say: Callable[[float | None], str]) -> str:
        if self.value is None:
            return "not in this run"
        interval = f"95 % CI {say(self.ci_low)} to {say(self.ci_high)}; "
        known = self.ci_low is not None and self.ci_high is not None
        return f"{interval if known else ''}n = {words.plural(self.n, self.noun)}"

    @property
    def noun(self) -> str:
        """What was counted, singular where `hapsight.report.words.plural` makes the plural."""
        return "gene" if self.unit == "genes" else self.unit


def values_of(run: RunFolder, arm: Arm) -> dict[str, Value]:
    """Quantity -> its value, of one arm."""
    rows = arm.of(run.summary).select("quantity", "value", "n", "unit", "ci_low", "ci_high")
    return {row[0]: Value(row[1], row[2], row[3] or "genes", row[4], row[5]) for row in rows.iter_rows()}


def cards(run: RunFolder, arm: Arm) -> tuple[Card, ...]:
    """Cards of one arm, and of the baseline beside it where `arm` is a model.

    A number that the run does not have is a dash, and the card says so.
    """
    found = values_of(run, arm)
    kind = "baseline" if arm.is_baseline else "model"
    protocol = protocol_named(run.record.get("protocol"))
    across = () if arm.is_baseline else (_across_genes(found.get("across_genes_spearman", Value())),)
    other = None if arm.is_baseline else run.baseline
    beside = () if other is None else (_baseline(run, other, protocol),)
    return (*across, *_across_people(found, kind, protocol), *beside)


def _across_genes(rho: Value) -> Card:
    return Card(
        "Across genes, Spearman",
        words.decimal(rho.value, 2),
        rho.basis,
        "Reference prediction against mean expression: which genes are high. It says nothing of people.",
    )


def _across_people(found: dict[str, Value], kind: str, protocol: Protocol) -> tuple[Card, ...]:
    mean = found.get(f"across_people_{protocol.statistic}_mean", Value())
    middle = found.get(f"across_people_{protocol.statistic}_median", Value())
    share = found.get(protocol.share_negative, Value())
    significant = found.get("significant", Value())
    test = protocol.test_of("significant.folds" in found)
    return (
        Card(
            f"Across people, mean {protocol.correlation} per gene",
            words.decimal(mean.value),
            f"median {words.decimal(middle.value)}; {mean.basis}",
            "Does it know who expresses a gene more? 0 is no knowledge, 1 is perfect.",
            kind,
        ),
        Card(
            f"Genes with negative {protocol.correlation}",
            words.percent(share.value),
            share.basis_of_share,
            "In these, people predicted higher are measured lower. A coin would give 50 %.",
            kind,
        ),
        Card(
            "Significant genes",
            words.count(significant.value),
            f"q < 0.05, {TESTS[test]}; {significant.basis}",
            both_tests(found, test),
            kind,
        ),
    )


_AGAINST: Final = {
    "empirical": "random weights on the same variants",
    "z": "random weights on the same variants",
    "sasse2023": "random weights, as Sasse 2023 tested",
    "permutation": "people permuted within populations",
    "nominal": "no relation (plain p)",
    "folds": "no relation in held-out folds",
}
"""What chance is under each of `TESTS`, as the end of "stand out from"."""


def both_tests(found: Mapping[str, Value], test: str) -> str:
    """Genes that count under the leading test, and under the one of any relation, in one sentence.

    Parameters
    ----------
    found
        As `values_of` gives it.
    test
        The one that leads, of `hapsight.stats.nulls.TESTS`.
    """
    first = found.get("significant", Value())
    if first.value is None:
        return "No test of the genes is in this run."
    verb = "stands" if first.value == 1 else "stand"
    start = (
        f"{words.count(first.value)} of {words.plural(first.n, 'gene')} {verb} out from "
        f"{_AGAINST[test]}{_negative(first, found.get('significant_negative'))}"
    )
    other = next((name for name in ("permutation", "nominal") if f"significant.{name}" in found), None)
    if other is None or test in ("folds", other):
        return f"{start}."
    second = found[f"significant.{other}"]
    negative = _negative(second, found.get(f"significant_negative.{other}"))
    beside = f"{words.count(second.value)} from {_AGAINST[other]}{negative}"
    if (second.value or 0) <= first.value:
        return f"{start}, and {beside}."
    return f"{start}, but {beside}: R can be large and p tiny where random weights reach as large an R."


def _negative(significant: Value, negative: Value | None) -> str:
    if not significant.value or negative is None or negative.value is None:
        return ""
    if significant.value == 1:
        return f" (with R {'<' if negative.value else '>'} 0)"
    return f" ({words.count(negative.value) if negative.value else 'none'} of them with R < 0)"


def _baseline(run: RunFolder, arm: Arm, protocol: Protocol) -> Card:
    found = values_of(run, arm)
    mean = found.get(f"across_people_{protocol.statistic}_mean", Value())
    share = found.get(protocol.share_negative, Value())
    return Card(
        f"Baseline {arm.label}, mean {protocol.correlation}",
        words.decimal(mean.value),
        f"{words.percent(share.value)} negative; {mean.basis}",
        "Trained on this cohort and tested on people held out: what a linear model gets from the same DNA."
        if arm.read_out.startswith("held out")
        else f"A linear model beside it: {arm.read_out}.",
        "baseline",
    )


def summary_rows(run: RunFolder) -> tuple[SummaryRow, ...]:
    """One row per arm; each cell is a number and its basis."""
    protocol = protocol_named(run.record.get("protocol"))
    return tuple(
        SummaryRow(arm.model, arm.read_out, arm.is_baseline, _cells(values_of(run, arm), protocol))
        for arm in run.arms
    )


def _cells(found: dict[str, Value], protocol: Protocol) -> tuple[tuple[str, str], ...]:
    mean, median = (f"across_people_{protocol.statistic}_{kind}" for kind in ("mean", "median"))
    share = protocol.share_negative

    def cell(quantity: str, text: str) -> tuple[str, str]:
        return text, found.get(quantity, Value()).basis

    def of(quantity: str) -> float | None:
        return found.get(quantity, Value()).value

    return (
        cell("across_genes_spearman", words.decimal(of("across_genes_spearman"), 2)),
        cell("within_person_spearman_median", words.decimal(of("within_person_spearman_median"), 2)),
        cell(mean, words.decimal(of(mean))),
        cell(median, words.decimal(of(median))),
        (words.percent(of(share)), found.get(share, Value()).basis_of_share),
        cell("significant", words.count(of("significant"))),
        cell("significant_negative", words.count(of("significant_negative"))),
        cell("genes_constant", words.count(of("genes_constant"))),
        cell("genes_without_model", words.count(of("genes_without_model"))),
    )
