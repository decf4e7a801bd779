"""The curve of genes that get an answer, from made-up probabilities."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from tests.report.fake_run import write_run

from hapsight.explain.tables import RELIABILITY
from hapsight.report.run_folder import read_run

pytest.importorskip("altair", reason="the report's extra is not installed")

from hapsight.report.build import build_report
from hapsight.report.drivers import abstention_figure, kept_figure


def with_probabilities(folder, probability: np.ndarray, right: np.ndarray):
    """A run whose first model has these; its genes are in no order."""
    write_run(folder)
    arm = read_run(folder).models[0]
    order = np.random.default_rng(1).permutation(len(right))
    rows = {
        **{name: [None] * len(right) for name in RELIABILITY},
        "gene_id": [f"G{i}" for i in order],
        "model": [arm.model] * len(right),
        "read_out": [arm.read_out] * len(right),
        "probability": probability[order],
        "sign_right": right[order],
    }
    (folder / "explain").mkdir()
    pl.DataFrame(rows, schema=RELIABILITY).write_parquet(folder / "explain/reliability.parquet")
    return read_run(folder)


def test_points_by_hand(tmp_path):
    probability = np.array([0.9, 0.9, 0.8, 0.6, 0.5])
    right = np.array([True, False, True, True, False])
    figure = abstention_figure(with_probabilities(tmp_path / "run", probability, right))
    assert figure.numbers["kept"].to_list() == [0.4, 0.6, 0.8, 1.0]
    assert figure.numbers["n"].to_list() == [2, 3, 4, 5]
    assert figure.numbers["share_right"].to_list() == pytest.approx([1 / 2, 2 / 3, 3 / 4, 3 / 5])
    assert figure.numbers["base_rate"].to_list() == pytest.approx([0.6] * 4)
    assert (figure.numbers["ci_low"] < figure.numbers["share_right"]).all()
    assert (figure.numbers["ci_high"] > figure.numbers["share_right"]).all()
    (panel,) = figure.panels
    assert "of the 2 surest genes (40.0 %), 50.0 %" in panel.caption[0]
    assert "of all 5, 60.0 %" in panel.caption[0]
    rules = [layer for layer in panel.spec["layer"] if layer["mark"]["type"] == "rule"]
    assert [panel.spec["datasets"][rule["data"]["name"]] for rule in rules] == [[{"rate": 0.6}]]


def test_many_genes_are_thinned_and_keep_both_ends(tmp_path):
    probability = np.linspace(0.9, 0.1, 1000)
    right = np.arange(1000) < 500
    curve = abstention_figure(with_probabilities(tmp_path / "run", probability, right)).numbers
    assert curve.height == 200
    assert (curve["n"][0], curve["n"][-1]) == (1, 1000)
    assert curve["share_right"].to_list() == pytest.approx([min(1, 500 / n) for n in curve["n"]])


def test_without_probabilities_there_is_no_picture(tmp_path):
    assert abstention_figure(read_run(write_run(tmp_path / "bare"))) is None
    empty = with_probabilities(tmp_path / "run", np.full(4, np.nan), np.arange(4) < 2)
    assert abstention_figure(empty) is None


def test_signs_of_the_largest_effects(tmp_path):
    """As `hapsight validate abstention` writes them; a share of four genes is not shown."""
    folder = write_run(tmp_path / "run")
    assert kept_figure(read_run(folder)) is None
    shares = [("all", 0.6, 40), ("largest 0.25", 0.8, 10), ("largest 0.1", 1.0, 4)]
    rows = [
        {"model": "m", "read_out": "abc", "track": "t", "what": what, "predictor": score, "quantity": name}
        | {"stratum": stratum, "value": value, "n": n, "ci_low": value - 0.1, "ci_high": min(value + 0.1, 1)}
        for what in ("top", "susie")
        for score in ("effect", "nearness")
        for name in ("sign_right", "sign_right_gain")
        for stratum, value, n in shares
    ]
    (folder / "validate").mkdir()
    pl.DataFrame(rows).write_parquet(folder / "validate/abstention_summary.parquet")
    figure = kept_figure(read_run(folder))
    assert len(figure.panels) == 2
    assert len(figure.numbers) == 2 * 2 * 2
    (caption,) = figure.panels[0].caption
    assert "60.0 % [50.0 %, 70.0 %] of all 40 genes; 80.0 % [70.0 %, 90.0 %] of the top 10 genes." in caption
    page = build_report(folder).read_text()
    assert "Is the sign right where the effect is large?" in page
    assert (folder / "report/kept_right.csv").exists()
