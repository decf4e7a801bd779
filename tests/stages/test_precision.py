"""The guard of a run's arithmetic, and the command that measures arithmetics."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from html import unescape
from importlib.resources import files
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch.nn import functional
from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.engine.arithmetic import PRECISIONS
from hapsight.errors import ConfigError
from hapsight.models.forward import one_hot
from hapsight.models.protocol import ReadOut
from hapsight.models.registry import register
from hapsight.run.config import ModelConfig, load_config
from hapsight.run.opened import Opened
from hapsight.stages.predict import guard_precision, load_models, spread_genes
from hapsight.tables import PRECISION
from tests.planted import DOWNSTREAM, UPSTREAM, ToyModel, write_planted


class Linear(ToyModel):
    """0.7 times (G and C less A and T) of the middle 200 bases; beside a large `offset`, that is small."""

    def __init__(self, offset: float) -> None:
        super().__init__()
        weights = np.zeros((4, UPSTREAM + DOWNSTREAM))
        weights[:, 150:350] = np.array([-0.7, 0.7, 0.7, -0.7])[:, None]
        self.product = torch.from_numpy(weights.astype(np.float32).reshape(1, -1))
        self.offset = torch.tensor([float(offset)])
        self.fingerprint = f"linear {offset}"

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        return functional.linear(one_hot(codes).flatten(1), self.product, self.offset)


def load_linear(weights: str | None = None, *, device: object = "cpu", offset: float = 0.0) -> Linear:
    return Linear(offset)


@pytest.fixture
def planted(tmp_path):
    """The planted cohort with the linear model in bfloat16; its configuration."""
    config = write_planted(tmp_path, people=40, names=("up1", "down1", "null1")).config
    without = config.read_text().replace("[baseline]", "[baseline]\nrun = false")
    config.write_text(without + "[explain]\nrun = false\n")
    with register("toy", load_linear):
        yield config


def change(config: Path, offset: float, predict: str) -> Path:
    lines = [line for line in config.read_text().splitlines() if not line.startswith(("options", *KEYS))]
    text = "\n".join(lines).replace('name = "toy"', f'name = "toy"\noptions = {{offset = {offset}}}')
    config.write_text(text.replace("[predict]", f"[predict]\n{predict}") + "\n")
    return config


KEYS = ("precision", "allow_imprecise")


def hapsight(*arguments: object) -> tuple[int, str]:
    found = CliRunner().invoke(app, [str(a) for a in arguments])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        return 1, str(found.exception)
    return found.exit_code, found.output


def record(config: Path) -> dict:
    return json.loads((config.parent / "run/run.json").read_text())


def values(config: Path) -> np.ndarray:
    tables = sorted((config.parent / "run/predictions").rglob("*.values.parquet"))
    return pl.concat(map(pl.read_parquet, tables))["value"].to_numpy()


def test_a_model_with_large_differences_is_accepted_in_bfloat16(planted):
    code, output = hapsight("predict", change(planted, 0, 'precision = "float32"'))
    assert code == 0, output
    exact = values(planted)
    assert "trials" not in record(planted)
    shutil.rmtree(planted.parent / "run")
    code, output = hapsight("predict", change(planted, 0, 'precision = "bfloat16"'))
    assert code == 0, output
    assert 0 < np.abs(values(planted) - exact).max() < 0.01 * np.abs(exact).max()
    (trial,) = record(planted)["trials"]
    assert trial["acceptable"]
    assert trial["precision"] == "bfloat16"


def test_small_differences_are_refused_and_the_cures_are_obeyed(planted):
    code, output = hapsight("predict", change(planted, 1000, 'precision = "bfloat16"'))
    assert code == 1
    assert "bfloat16 loses what toy says of differences between people" in output
    assert "3 genes tried against float32" in output
    assert "lost their sign" in output
    assert 'set precision = "float32"' in output
    assert not list((planted.parent / "run/predictions").rglob("*.values.parquet"))
    for precision in ("float32", "float16x3"):
        assert hapsight("predict", change(planted, 1000, f'precision = "{precision}"'))[0] == 0
    assert record(planted)["trials"][0]["acceptable"]


@pytest.mark.usefixtures("undrawn", "light")  # `hapsight report` draws
def test_what_was_allowed_is_said_until_it_is_mended(planted):
    allowed = change(planted, 1000, 'precision = "bfloat16"\nallow_imprecise = true')
    assert hapsight("run", allowed)[0] == 0
    said = record(planted)["trials"][0]["said"]
    assert said.startswith("toy (default) was run in bfloat16, which loses differences between people: of 3")
    assert hapsight("predict", allowed)[0] == 0  # nothing is left to compute
    assert hapsight("report", planted.parent / "run")[0] == 0
    assert f"Signs were lost. {said}" in top_of_the_report(planted)
    assert hapsight("predict", change(planted, 1000, 'precision = "bfloat16"'))[0] == 1
    assert hapsight("explain", planted)[0] == 1
    assert hapsight("predict", change(planted, 1000, 'precision = "float32"'))[0] == 0
    assert hapsight("report", planted.parent / "run")[0] == 0
    assert "Signs were lost." not in top_of_the_report(planted)


def top_of_the_report(config: Path) -> str:
    page = (config.parent / "run/report.html").read_text().partition("<main>")[0]
    return unescape(page.replace("<strong>", "").replace("</strong>", ""))


def demo_guarded(folder: Path, model: ModelConfig, precision: str, genes: int) -> None:
    """The guard on some genes of the cohort that comes with hapsight."""
    loaded = load_config(Path(str(files("hapsight") / "demo" / "demo.toml")))
    ids = tuple(gene.gene_id for gene in spread_genes(Opened.from_config(loaded).cohort.genes, genes))
    loaded = loaded.model_copy(
        update={
            "output": folder / "run",
            "models": (model,),
            "cohort": loaded.cohort.model_copy(update={"keep_genes": ids}),
            "predict": loaded.predict.model_copy(update={"precision": precision, "device": "cpu"}),
        }
    )
    opened = Opened.from_config(loaded)
    (run,) = load_models(opened)
    with opened.folder.locked():
        guard_precision(opened, run)


def test_mini_is_refused_in_bfloat16_and_not_in_float16x3(tmp_path):
    mini = ModelConfig(name="mini", weights="chr22")
    demo_guarded(tmp_path, mini, "float32", 2)
    demo_guarded(tmp_path, mini, "float16x3", 2)
    with pytest.raises(ConfigError, match="bfloat16 loses what mini/chr22 says"):
        demo_guarded(tmp_path, mini, "bfloat16", 2)


def test_xpresso_is_refused_in_bfloat16_and_not_in_float16x3(tmp_path, shared_data):
    weights = shared_data / "xpresso" / "GM12878_trainepoch.06-0.5062.h5"
    xpresso = ModelConfig(name="xpresso", weights=str(weights))
    demo_guarded(tmp_path, xpresso, "float32", 2)
    demo_guarded(tmp_path, xpresso, "float16x3", 2)
    with pytest.raises(ConfigError, match="bfloat16 loses what xpresso"):
        demo_guarded(tmp_path, xpresso, "bfloat16", 2)


@pytest.mark.usefixtures("undrawn", "light")  # `hapsight report` draws
def test_the_bench_end_to_end(planted):
    change(planted, 1000, 'precision = "float32"')
    assert hapsight("run", planted)[0] == 0
    table = planted.parent / "table.json"
    code, output = hapsight("bench", "precision", "--config", planted, "--device", "cpu", "--table", table)
    assert code == 0, output
    assert "toy, read-out default, on cpu: 3 genes, 40 people" in output
    kept = pl.read_parquet(planted.parent / "run/predictions/precision.parquet")
    assert kept.schema == pl.Schema(PRECISION)
    assert kept["precision"].to_list() == list(PRECISIONS)
    rows = {row["precision"]: row for row in kept.iter_rows(named=True)}
    assert rows["float32"]["signs_lost"] == rows["float16x3"]["signs_lost"] == 0
    assert rows["bfloat16"]["signs_lost"] > 0.1 > rows["tf32"]["signs_lost"]
    assert rows["bfloat16"]["lowest_r"] < 0.99 < rows["float16x3"]["lowest_r"]
    assert rows["float32"]["mean_r"] == pytest.approx(rows["float32"]["mean_r_exact"], abs=1e-4)
    assert len(rows["tf32"]["lost_by_tenth"]) == 10
    assert [row["precision"] for row in json.loads(table.read_text())] == list(PRECISIONS)

    some = ("--arithmetic", "bfloat16", "--arithmetic", "float32", "--genes", 2)
    assert hapsight("bench", "precision", "--config", planted, *some, "--device", "cpu")[0] == 0
    kept = pl.read_parquet(planted.parent / "run/predictions/precision.parquet")
    assert dict(kept.select("precision", "genes_tried").iter_rows()) == {
        "float16x3": 3, "tf32": 3, "float32": 2, "bfloat16": 2}  # fmt: skip

    assert hapsight("report", planted.parent / "run")[0] == 0
    report = (planted.parent / "run/report.html").read_text()
    assert "<h2>Arithmetic</h2>" in report
    assert "Which differences keep their sign?" in report
    shown = pl.read_csv(planted.parent / "run/report/arithmetic.csv")
    assert shown.height == 40
    assert shown.columns == ["model", "read_out", "device", "precision", "tenth", "lost"]
    beside = pl.read_csv(planted.parent / "run/report/precision.csv")
    assert beside["signs_lost"].to_list() == pytest.approx(kept["signs_lost"].to_list(), abs=5e-4)


def test_an_unknown_arithmetic_is_refused():
    code, output = hapsight("bench", "precision", "--arithmetic", "float8")
    assert code == 1
    assert "float32, float16x3, tf32, bfloat16" in output


def test_a_trial_is_made_once(planted, monkeypatch):
    opened = Opened.from_config(load_config(change(planted, 0, 'precision = "tf32"')))
    (run,) = load_models(opened)
    with opened.folder.locked():
        opened.begin()
        guard_precision(opened, run)
        monkeypatch.setattr("hapsight.stages.predict._tried", None)
        guard_precision(opened, run)
        other = replace(run, source=replace(run.source, device="cuda"))
        with pytest.raises(TypeError):
            guard_precision(opened, other)
