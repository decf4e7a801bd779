"""Each model runs as Xpresso does, on the cohort that comes with hapsight: narrow, random weights."""

from __future__ import annotations

import re
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hapsight.cli.main import main
from tests.planted import write_planted

DEMO = Path(str(files("hapsight") / "demo"))
MODELS = [("basenji2", 24), ("enformer", 24), ("expecto", 8), ("borzoi", 16), ("flashzoi", 16)]


def run(monkeypatch, config: Path) -> int:
    monkeypatch.setattr(sys, "argv", ["hapsight", "run", str(config)])
    try:
        main()
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def write_config(folder: Path, model: str, options: str, people: int = 4) -> Path:
    """One gene and few people: a pass of these models takes a second or more."""
    genes = pl.read_csv(DEMO / "genes.tsv", separator="\t")["gene_id"]
    samples = pl.read_csv(DEMO / "samples.tsv", separator="\t").head(people)
    samples.write_csv(folder / "samples.tsv", separator="\t")
    config = folder / "cohort.toml"
    config.write_text(
        f"""
name = "few people"
output = "run"
workers = 1
[cohort]
genotypes = "{DEMO / "genotypes.vcf.gz"}"
reference = "{DEMO / "reference.fa.gz"}"
expression = "{DEMO / "expression.bed.gz"}"
genes = "{DEMO / "genes.tsv"}"
samples = "samples.tsv"
keep_genes = ["{genes[20]}"]
[[models]]
name = "{model}"
{options}
[predict]
batch_size = 4
[baseline]
run = false
[evaluate]
null_draws = 99
"""
    )
    return config


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize(("model", "width"), MODELS)
def test_runs_evaluates_and_reports(tmp_path, monkeypatch, model, width):
    config = write_config(tmp_path, model, f'weights = "random:0"\noptions = {{width = {width}}}')
    assert run(monkeypatch, config) == 0
    (row,) = pl.read_parquet(tmp_path / "run/evaluation/per_gene.parquet").iter_rows(named=True)
    assert row["model"].startswith(model)
    assert row["n"] == 4
    assert row["status"] in ("ok", "constant_prediction")
    values = pl.concat(map(pl.read_parquet, (tmp_path / "run/predictions").rglob("*.values.parquet")))
    assert len(values) == 1 + 2 * 4
    assert np.isfinite(values["value"].to_numpy()).all()
    assert (tmp_path / "run/report.html").exists()


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("basenji2", 'weights = "random:0"\nread_out = "huang"', "no read-out 'huang'"),
        (
            "basenji2",
            'weights = "random:0"\noptions = {width = 24, tracks = "no such track"}',
            "no such track",
        ),
        ("enformer", 'weights = "random:0"\noptions = {widht = 24}', "no such option"),
        ("enformer", 'weights = "official"', "not on this machine|is not here|weights"),
    ],
)
def test_errors_are_clear(tmp_path, monkeypatch, capsys, model, options, message):
    monkeypatch.setenv("HAPSIGHT_WEIGHTS", str(tmp_path))
    assert run(monkeypatch, write_config(tmp_path, model, options)) in (1, 2)
    printed = capsys.readouterr()
    assert re.search(message, printed.out + printed.err), printed.out + printed.err
    assert not (tmp_path / "run").exists()


def test_a_window_longer_than_the_contig(tmp_path, monkeypatch, capsys):
    planted = write_planted(tmp_path, people=8)
    text = planted.config.read_text()
    planted.config.write_text(
        text.replace('name = "toy"', 'name = "basenji2"\nweights = "random:0"\noptions = {width = 24}')
    )
    assert run(monkeypatch, planted.config) == 1  # `check` says it, with whatever else is wrong
    assert "window is longer than the contig" in capsys.readouterr().out
    assert not list(tmp_path.rglob("*.parquet"))
