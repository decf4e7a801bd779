"""A run folder in, ``report.html`` and the plotted numbers out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from hapsight.evaluate.nulls import TESTS
from hapsight.evaluate.protocols import protocol_named
from hapsight.predict.store import write_atomically
from hapsight.report.extra import require_extra
from hapsight.report.individuals import asked_for, pages_with_individuals, without_individuals
from hapsight.report.run_folder import RunFolder, read_run
from hapsight.train_tables import CELLS

if TYPE_CHECKING:
    from hapsight.report.figure import Figure

__all__ = ["build_report"]


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
    from hapsight.report.direction_tables import agreement_table, factor_table
    from hapsight.report.drivers import driver_summary_table, driver_table
    from hapsight.report.linear_baselines import baseline_table
    from hapsight.report.page import render

    found = read_run(run)
    if not (asked_for(found) if individuals is None else individuals):
        found = without_individuals(found)
    figures, pairs, reliability = _figures(found), _pair_figures(found), _reliability_figures(found)
    training = _training_figures(found)
    for figure in (*figures, *pairs, *reliability, *training):
        _write_csv(run / "report" / f"{figure.name}.csv", figure.numbers)
    context = _context(found, figures) | {
        "pair_figures": pairs,
        "reliability_figures": reliability,
        "training_figures": training,
    }
    _write_csv(run / "report" / "genes.csv", context.pop("gene_rows"))
    _write_csv(run / "report" / "summary.csv", found.summary)
    tables = {
        "baselines": baseline_table(found),
        "direction": agreement_table(found),
        "direction_factors": factor_table(found),
        "drivers": driver_table(found),
        "driver_summary": driver_summary_table(found),
    }
    for name, table in tables.items():
        if not table.is_empty():
            _write_csv(run / "report" / f"{name}.csv", table)
    report = run / "report.html"
    write_atomically(report, render(context).encode())
    return report


def _figures(run: RunFolder) -> tuple[Figure, ...]:
    from hapsight.report.across_genes import across_genes
    from hapsight.report.across_people import across_people
    from hapsight.report.direction import direction_strata
    from hapsight.report.model_v_baseline import model_v_baseline
    from hapsight.report.seed_figure import seed_figure
    from hapsight.report.within_person import within_person

    always = across_people(run), model_v_baseline(run), across_genes(run), within_person(run)
    beside_eqtls = seed_figure(run), direction_strata(run)
    return *always, *(figure for figure in beside_eqtls if figure is not None)


def _pair_figures(run: RunFolder) -> tuple[Figure, ...]:
    from hapsight.report.between_models import between_models

    figure = between_models(run)
    return () if figure is None else (figure,)


def _reliability_figures(run: RunFolder) -> tuple[Figure, ...]:
    from hapsight.report.abstention import abstention_figure

    figure = abstention_figure(run)
    return () if figure is None else (figure,)


def _training_figures(run: RunFolder) -> tuple[Figure, ...]:
    from hapsight.report.training import training_figure

    figure = training_figure(run)
    return () if figure is None else (figure,)


def _context(run: RunFolder, figures: tuple[Figure, ...]) -> dict[str, Any]:
    from hapsight.report.between_models import pair_rows
    from hapsight.report.cards import cards, summary_rows
    from hapsight.report.direction_tables import agreement_rows, factor_rows
    from hapsight.report.drivers import (
        HOW_TO_READ,
        driver_rows,
        neighbourhood_sentences,
        prior_sentences,
        reliability_sentences,
        stratum_rows,
    )
    from hapsight.report.linear_baselines import baseline_rows, ceiling_sentence
    from hapsight.report.tables import gene_columns, gene_rows
    from hapsight.report.training import HOW_TO_READ as TRAINING_HOW
    from hapsight.report.training_table import arm_rows, ceilings, four_cells, split_sentences
    from hapsight.report.which_test import judgements

    protocol = protocol_named(run.record.get("protocol"))
    single = run.models[0] if len(run.models) == 1 else run.baseline if not run.models else None
    return {
        "run": run,
        "record": run.record,
        "figures": figures,
        "cards": cards(run, single) if single else (),
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
        "training_rows": arm_rows(four_cells(run.folder), ceilings(run.folder)),
        "training_splits": split_sentences(run.folder),
        "training_how": TRAINING_HOW,
        "training_cells": CELLS,
        "genes": gene_columns(run),
        "gene_rows": gene_rows(run),
        "observed": run.per_gene.get_column("observed").drop_nulls().unique().sort().to_list(),
        "dropped": run.dropped.rows(named=True),
        "pages_with_individuals": pages_with_individuals(run.folder),
    }


def _write_csv(path: Path, table: pl.DataFrame) -> None:
    write_atomically(path, table.write_csv().encode())
