"""A run folder in, ``report.html`` and the plotted numbers out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from hapsight.cohort.tables import csv_text
from hapsight.errors import MissingExtraError
from hapsight.explain.tables import PAGES_WITHHELD, WITHHELD
from hapsight.files import file_name, write_atomically
from hapsight.report.published import (
    asked_for,
    pages_with_individuals,
    published,
    unruled_pages,
    without_individuals,
)
from hapsight.report.run_folder import RunFolder, read_run, read_table
from hapsight.stats.nulls import TESTS
from hapsight.stats.protocols import protocol_named
from hapsight.train.tables import CELLS

if TYPE_CHECKING:
    from hapsight.report.figure import Figure

__all__ = ["build_report", "check_disclosure", "require_extra"]

_NEEDED: Final = ("altair", "jinja2", "vl_convert")


def require_extra() -> None:
    """Refuse to go on without them.

    Raises
    ------
    MissingExtraError
        Names those that are missing.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            "The report needs packages that are not installed.",
            expected=", ".join(_NEEDED),
            got=f"missing: {', '.join(missing)}",
            fix="pip install 'hapsight[report]'",
        )


@dataclass(frozen=True, slots=True)
class _Report:
    """A report that is not written yet.

    Attributes
    ----------
    html
        The page.
    tables
        Name -> numbers beside it.
    run
        What it was made from, as it is published.
    """

    html: Callable[[], str]
    tables: dict[str, pl.DataFrame]
    run: RunFolder


def check_disclosure(run: Path) -> pl.DataFrame:
    """What a report of this run, and its gene pages, withhold; writes nothing.

    Returns
    -------
    ``table, rows, reason``; the table of a gene page is named by its gene and model.

    Raises
    ------
    StoreError
        As `build_report`.
    """
    require_extra()
    made = _report(read_run(run), False)
    own = made.run.disclosure.report() if made.run.disclosure else pl.DataFrame()
    return pl.concat([own, _withheld_of_pages(run)])


def _withheld_of_pages(run: Path) -> pl.DataFrame:
    """The same of the gene pages that were written, and the pages that are not safe to share."""
    table = read_table(run / PAGES_WITHHELD, WITHHELD)
    there = [path.name for path in (run / "report" / "genes").glob("*.html")]
    table = table.filter(pl.col("gene_id").map_elements(_page, return_dtype=pl.String).is_in(there))
    name = pl.format("{} of {}, {}", "table", "gene_id", "model")
    rows = [table.select(name.alias("table"), "rows", "reason")]
    old = "written before this rule: run `hapsight pages` again"
    rows += [_one(f"page {page}", old) for page in unruled_pages(run)]
    if pages_with_individuals(run):
        rows.append(_one("gene pages", "some show single people: run `hapsight pages` without individuals"))
    return pl.concat(rows)


def _page(gene_id: str) -> str:
    return file_name(gene_id, suffix=".html")


def _one(table: str, reason: str) -> pl.DataFrame:
    return pl.DataFrame({"table": [table], "rows": [0], "reason": [reason]})


def build_report(run: Path, individuals: bool | None = None) -> Path:
    """Write ``<run>/report.html``, which works offline, and the numbers behind it in ``<run>/report/*.csv``.

    Parameters
    ----------
    run
        A run folder (docs/formats.md). Tables that are missing or empty are named in the report.
    individuals
        Whether people are named, and their own numbers with them; None: as the run's configuration says.

    Returns
    -------
    The path of the report.

    Raises
    ------
    StoreError
        The folder is not a run, or a file of it is damaged.
    MissingExtraError
        altair, jinja2 or vl-convert-python is not installed.
    """
    require_extra()
    from hapsight.report.charts import unchecked

    with unchecked():
        made = _report(read_run(run), individuals)
    (run / "report").mkdir(exist_ok=True)
    for name, table in made.tables.items():
        write_atomically(run / "report" / f"{name}.csv", csv_text(table).encode())
    report = run / "report.html"
    write_atomically(report, made.html().encode())
    return report


def _report(found: RunFolder, individuals: bool | None) -> _Report:
    from hapsight.report.cards import baseline_table
    from hapsight.report.direction import agreement_table, arithmetic_table, factor_table
    from hapsight.report.drivers import driver_summary_table, driver_table
    from hapsight.report.page import render
    from hapsight.report.validations import allele_driver_table, allele_table, modality_tables

    if not (asked_for(found) if individuals is None else individuals):
        found = without_individuals(found)
    figures, pairs, reliability = _figures(found), _pair_figures(found), _reliability_figures(found)
    training, arithmetic = _training_figures(found), _arithmetic_figures(found)
    kept = _kept_figures(found)
    beside = *pairs, *reliability, *kept, *training, *arithmetic
    tables = {figure.name: figure.numbers for figure in (*figures, *beside)}
    context = _context(found, figures) | {
        "pair_figures": pairs,
        "reliability_figures": reliability,
        "kept_figures": kept,
        "training_figures": training,
        "arithmetic_figures": arithmetic,
    }
    tables |= {"genes": context.pop("gene_rows"), "summary": found.summary}
    others = {
        "baselines": baseline_table(found),
        "direction": agreement_table(found),
        "direction_factors": factor_table(found),
        "drivers": driver_table(found),
        "driver_summary": driver_summary_table(found),
        "precision": arithmetic_table(found),
        **modality_tables(found),
        "alleles": allele_table(found),
        "allele_drivers": allele_driver_table(found),
    }
    tables |= {name: table for name, table in others.items() if not table.is_empty()}
    return _Report(lambda: render(context | {"withheld": _withheld(found)}), tables, found)


def _withheld(run: RunFolder) -> list[dict[str, Any]]:
    """What the report itself withholds, as rows of a table."""
    return [] if run.disclosure is None else run.disclosure.report().rows(named=True)


def _figures(run: RunFolder) -> tuple[Figure, ...]:
    from hapsight.report.across import across_genes, across_people, model_v_baseline, within_person
    from hapsight.report.direction import direction_strata
    from hapsight.report.seed_figure import seed_figure

    always = across_people(run), model_v_baseline(run), across_genes(run), within_person(run)
    beside_eqtls = seed_figure(run), direction_strata(run)
    return *always, *(figure for figure in beside_eqtls if figure is not None)


def _pair_figures(run: RunFolder) -> tuple[Figure, ...]:
    from hapsight.report.across import between_models

    figure = between_models(run)
    return () if figure is None else (figure,)


def _reliability_figures(run: RunFolder) -> tuple[Figure, ...]:
    from hapsight.report.drivers import abstention_figure

    figure = abstention_figure(run)
    return () if figure is None else (figure,)


def _kept_figures(run: RunFolder) -> tuple[Figure, ...]:
    from hapsight.report.drivers import kept_figure

    figure = kept_figure(run)
    return () if figure is None else (figure,)


def _training_figures(run: RunFolder) -> tuple[Figure, ...]:
    from hapsight.report.training import training_figure

    figure = training_figure(run)
    return () if figure is None else (figure,)


def _arithmetic_figures(run: RunFolder) -> tuple[Figure, ...]:
    from hapsight.report.direction import arithmetic_figure

    figure = arithmetic_figure(run)
    return () if figure is None else (figure,)


def _context(run: RunFolder, figures: tuple[Figure, ...]) -> dict[str, Any]:
    from hapsight.report.across import pair_rows
    from hapsight.report.cards import (
        baseline_rows,
        cards,
        ceiling_sentence,
        gene_columns,
        gene_rows,
        judgements,
        summary_rows,
    )
    from hapsight.report.direction import agreement_rows, arithmetic_rows, factor_rows
    from hapsight.report.drivers import (
        HOW_TO_READ,
        driver_rows,
        neighbourhood_sentences,
        prior_sentences,
        reliability_sentences,
        stratum_rows,
    )
    from hapsight.report.first_page import answers, compared_with, in_words, lead
    from hapsight.report.training import HOW_TO_READ as TRAINING_HOW
    from hapsight.report.training import arm_rows, ceilings, four_cells, split_sentences
    from hapsight.report.validations import (
        GAP_COLUMNS,
        HOW_TO_READ_ALLELES,
        HOW_TO_READ_SIGNS,
        SIGN_COLUMNS,
        allele_rows,
        allele_sentences,
        gap_rows,
        sign_rows,
    )

    protocol = protocol_named(run.record.get("protocol"))
    first = lead(run)
    return {
        "run": run,
        "record": run.record,
        "peaks": run.record.get("cohort", {}).get("phenotype") == "peaks",
        "figures": figures,
        "lead": first,
        "cards": cards(run, first) if first else (),
        "answers": answers(run),
        "in_words": in_words(run),
        "summary_rows": summary_rows(run),
        "statistic": protocol.statistic,
        "test": TESTS[protocol.test],
        "test_held_out": TESTS["folds"],
        "tests": judgements(run),
        "agreement_rows": agreement_rows(run),
        "factor_rows": factor_rows(run),
        "pair_rows": pair_rows(run),
        "driver_rows": driver_rows(run),
        "stratum_rows": stratum_rows(run),
        "neighbourhoods": neighbourhood_sentences(run),
        "driver_priors": prior_sentences(run),
        "reliability": reliability_sentences(run),
        "drivers_how": HOW_TO_READ,
        "baseline_rows": baseline_rows(run),
        "ceiling": ceiling_sentence(run),
        "training_rows": arm_rows(published(run, "training", four_cells(run.folder)), ceilings(run.folder)),
        "training_splits": split_sentences(run.folder),
        "training_how": TRAINING_HOW,
        "training_cells": CELLS,
        "arithmetic_rows": arithmetic_rows(run),
        "modality_parts": (
            ("Signs of QTLs, at the variant’s own place", tuple(SIGN_COLUMNS), sign_rows(run)),
            ("The same variants at accessibility and at expression", tuple(GAP_COLUMNS), gap_rows(run)),
        ),
        "modality_how": HOW_TO_READ_SIGNS,
        "allele_rows": allele_rows(run),
        "allele_sentences": tuple(allele_sentences(run)),
        "alleles_how": HOW_TO_READ_ALLELES,
        "genes": gene_columns(run),
        "gene_rows": gene_rows(run),
        "observed": compared_with(run),
        "dropped": run.dropped.rows(named=True),
        "pages_with_individuals": pages_with_individuals(run.folder),
        "unruled_pages": len(unruled_pages(run.folder)),
    }
