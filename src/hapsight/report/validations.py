"""What `hapsight validate` found, as the report shows it: signs of QTLs, modalities, alleles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from hapsight.report import words
from hapsight.report.disclosure_rules import FEWEST, nearest_five
from hapsight.report.published import published
from hapsight.report.run_folder import RunFolder, read_table
from hapsight.stats.correlation import fisher_interval
from hapsight.tables import ALLELES, LABELS, VALIDATION

__all__ = [
    "GAP_COLUMNS",
    "HOW_TO_READ_ALLELES",
    "HOW_TO_READ_SIGNS",
    "SIGN_COLUMNS",
    "AlleleRow",
    "ModalityRow",
    "allele_driver_table",
    "allele_rows",
    "allele_sentences",
    "allele_table",
    "gap_rows",
    "modality_tables",
    "sign_rows",
]

SIGN_COLUMNS: Final[Mapping[str, tuple[str, str]]] = {
    "Sign right": ("sign_agrees.stretches", "all"),
    "Largest quarter": ("sign_agrees.stretches", "effect top quarter"),
    "Largest twentieth": ("sign_agrees.stretches", "effect top twentieth"),
    "AUROC of the sign": ("sign_auroc.stretches", "all"),
    "Pearson of effects": ("pearson.stretches", "all"),
}
"""Heading -> quantity and stratum."""

GAP_COLUMNS: Final[Mapping[str, str]] = {
    "Right at accessibility": "accessibility_right",
    "Right at expression": "expression_right",
    "Difference": "gap",
    "Measured effects agree": "measured_carries",
    "Carries to expression": "mediation",
}

HOW_TO_READ_SIGNS: Final = (
    "Sign right: share of variants whose predicted effect at their own place has the measured sign; a coin "
    "gives 50 %. Most listed variants are not the causal ones but travel with them, which no model can know: "
    "variants with the largest predicted effects are the stronger test. 95 % intervals are bootstraps over "
    "stretches of 1 Mb, because neighbouring variants share sites and haplotypes.",
    "All columns of the second table are of the same variants: a QTL of accessibility that is an eQTL of a "
    "gene nearby, each variant once. Difference: right at accessibility less right at expression. Measured "
    "effects agree: how often the measured accessibility effect has the sign of the eQTL, which is what a "
    "model always right at accessibility would get at expression. Carries to expression: that share "
    "where the model’s accessibility sign is right, less where it is wrong; above 0, what it gets right is "
    "what matters to expression.",
)


@dataclass(frozen=True, slots=True)
class ModalityRow:
    """One model, or what stands beside the models; `cells` are number and what it is based on."""

    label: str
    read_out: str
    cells: tuple[tuple[str, str], ...]


def modality_tables(run: RunFolder) -> dict[str, pl.DataFrame]:
    """``qtl_signs`` and ``modality_gap``: the summaries of `hapsight validate`; only those that were made."""
    made = {"qtl_signs": "qtl_summary", "modality_gap": "modality_summary"}
    tables = {name: _summary(run, file) for name, file in made.items()}
    return {name: published(run, name, table) for name, table in tables.items() if not table.is_empty()}


def _summary(run: RunFolder, name: str) -> pl.DataFrame:
    table = read_table(run.folder / "validate" / f"{name}.parquet", VALIDATION)
    return table.filter(pl.col("n") >= FEWEST).drop("n_positive")


def sign_rows(run: RunFolder) -> tuple[ModalityRow, ...]:
    """One row per model, and per thing that stands beside them, over the QTLs."""
    table = modality_tables(run).get("qtl_signs")
    if table is None:
        return ()
    return _rows(table.filter(pl.col("what") == "qtls"), SIGN_COLUMNS.values())


def gap_rows(run: RunFolder) -> tuple[ModalityRow, ...]:
    """One row per model, over variants that are both kinds of QTL."""
    table = modality_tables(run).get("modality_gap")
    if table is None:
        return ()
    wanted = [(quantity, "all") for quantity in GAP_COLUMNS.values()]
    return _rows(table.filter(pl.col("what") == "one gene"), wanted)


def _rows(table: pl.DataFrame, columns: Any) -> tuple[ModalityRow, ...]:
    parts = table.partition_by(["model", "read_out", "track", "predictor"], as_dict=True, maintain_order=True)
    return tuple(_row(tuple(map(str, key)), part, columns) for key, part in parts.items())


def _row(key: tuple[str, ...], part: pl.DataFrame, columns: Any) -> ModalityRow:
    model, read_out, track, predictor = key
    named = {"model": model, "gc": "G or C, no model", "distance": "distance to the TSS, no model"}
    label = named.get(predictor, f"{model}, {predictor}")
    found = {(row["quantity"], row["stratum"]): row for row in part.iter_rows(named=True)}
    return ModalityRow(
        label, f"{read_out}: {track}" if track else "", tuple(_cell(found.get(c)) for c in columns)
    )


def _cell(row: dict[str, Any] | None) -> tuple[str, str]:
    if row is None or row["value"] is None:
        return words.ABSENT, ""
    interval = f"[{words.decimal(row['ci_low'])}, {words.decimal(row['ci_high'])}]"
    return words.decimal(
        row["value"]
    ), f"{interval if row['ci_low'] is not None else ''} n {words.count(row['n'])}"


HOW_TO_READ_ALLELES: Final = (
    "Within a person, the reads of one haplotype are set against those of the other, and beside them what is "
    "predicted of one less the other. Whatever acts on both haplotypes alike, such as trans effects, cell "
    "state, batches and library size, cannot make this difference, so it speaks of cis effects only.",
    "Haplotype R is a correlation through zero, since which haplotype is the first means nothing; p is of a "
    "beta-binomial regression. Most people of a gene share few haplotypes, so one gene is often one contrast "
    "told many times: its p says that the contrast is real, not that the model knows more than one variant.",
    "At the driver: of people who are heterozygous at the model’s main driver, how often the haplotype with "
    "ALT goes the way that the driver’s effect says.",
)
"""Paragraphs for who sees this table for the first time."""

_PATH: Final = "validate/alleles.parquet"
_NAMES: Final = ("gene_id", "gene_name", *LABELS)
_SHOWN: Final = 30
_FEW: Final = f"haplotypes of fewer than {FEWEST} people differ, or the correlation rests on fewer"
_FEW_DRIVERS: Final = f"fewer than {FEWEST} people are heterozygous at the driver"


@dataclass(frozen=True, slots=True)
class AlleleRow:
    """A gene and a model, in words."""

    gene: str
    model: str
    read_out: str
    people: str
    r: str
    interval: str
    p: str
    signs: str
    driver: str
    driver_people: str


def allele_table(run: RunFolder) -> pl.DataFrame:
    """Genes with a haplotype R that may be shown; empty where alleles were not looked at."""
    table = read_table(run.folder / _PATH, ALLELES).filter(pl.col("status") == "ok")
    shown = table.select(
        *_NAMES, "n", "effective_people", "haplotype_r", "ci_low", "ci_high", "pval", "sign_agrees"
    )
    if run.disclosure is None:
        return shown
    enough = (pl.col("n") >= FEWEST) & (pl.col("effective_people") >= FEWEST)
    run.disclosure.note("alleles", int(shown.select((~enough).sum()).item() or 0), _FEW)
    near = shown.filter(enough).with_columns(n=nearest_five(pl.col("n")))
    made = published(run, "alleles", near)
    ends = [_ends(r, n) for r, n in made.select("haplotype_r", "n").iter_rows()]
    return made.with_columns(
        ci_low=pl.Series([low for low, _ in ends], dtype=pl.Float64),
        ci_high=pl.Series([high for _, high in ends], dtype=pl.Float64),
    )


def allele_driver_table(run: RunFolder) -> pl.DataFrame:
    """The share of right signs at main drivers, of those that enough people are heterozygous at."""
    table = read_table(run.folder / _PATH, ALLELES).filter(pl.col("driver_n") > 0)
    shown = table.select(*_NAMES, n="driver_n", driver_agrees="driver_agrees")
    if run.disclosure is None:
        return shown
    enough = pl.col("n") >= FEWEST
    run.disclosure.note("allele_drivers", int(shown.select((~enough).sum()).item() or 0), _FEW_DRIVERS)
    return published(run, "allele_drivers", shown.filter(enough).with_columns(n=nearest_five(pl.col("n"))))


def _ends(r: float | None, n: int) -> tuple[float | None, float | None]:
    """The interval of a rounded R among rounded people, as `haplotype_correlation` has it; none at 1."""
    if r is None or n < 4 or abs(r) >= 1.0:
        return None, None
    low, high = fisher_interval(r, n + 1)
    return round(low, 3), round(high, 3)


def allele_rows(run: RunFolder) -> tuple[AlleleRow, ...]:
    """The genes of which most people's haplotypes differ, each with every model."""
    table = allele_table(run)
    if table.is_empty():
        return ()
    drivers = allele_driver_table(run)
    keys = "gene_id", "model", "read_out"
    at = {tuple(row[key] for key in keys): row for row in drivers.iter_rows(named=True)}
    most = table.group_by("gene_id", maintain_order=True).agg(pl.col("n").max()).sort("n", descending=True)
    first = most["gene_id"].head(_SHOWN).to_list()
    shown = table.filter(pl.col("gene_id").is_in(first))
    return tuple(
        _allele_row(row, at.get(tuple(row[key] for key in keys), {})) for row in shown.iter_rows(named=True)
    )


def _allele_row(row: Mapping[str, Any], driver: Mapping[str, Any]) -> AlleleRow:
    ends = words.decimal(row["ci_low"], 2), words.decimal(row["ci_high"], 2)
    return AlleleRow(
        row["gene_name"] or row["gene_id"],
        row["model"],
        row["read_out"],
        words.count(row["n"]),
        words.decimal(row["haplotype_r"], 2),
        "" if row["ci_low"] is None else f"[{ends[0]}, {ends[1]}]",
        words.p_value(row["pval"]),
        words.percent(row["sign_agrees"]),
        words.percent(driver.get("driver_agrees")),
        words.plural(driver["n"], "people") if driver else "",
    )


def allele_sentences(run: RunFolder) -> Iterator[str]:
    """Each model over the genes that are shown, where they are five or more."""
    table = allele_table(run)
    for (model, read_out), own in table.group_by("model", "read_out", maintain_order=True):
        if own.height >= FEWEST:
            r = own["haplotype_r"].to_numpy()
            mean, genes = words.decimal(float(r.mean()), 2), words.plural(own.height, "gene")
            above, zero = (words.percent(float(chosen.mean())) for chosen in (r > 0, r == 0))
            neither = f", shown as 0 in {zero}" if (r == 0).any() else ""
            yield (
                f"{model} ({read_out}): mean haplotype R {mean} over {genes}, "
                f"above 0 in {above} of them{neither}."
            )
