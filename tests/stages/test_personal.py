"""Training on people from a configuration: the four cells, the baselines, the weights, the resumed grid."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from hapsight.cli.train import _add_train_personal
from hapsight.errors import ConfigError, InputError, WeightsError
from hapsight.models.registry import register as register_model
from hapsight.run.config import load_config
from hapsight.run.crew import staffed
from hapsight.run.guard import Guard, Spool, do_parcel, parcel
from hapsight.run.opened import Opened
from hapsight.stages import personal_data as personal_data_module
from hapsight.stages.personal import _train_elsewhere, train_personal, train_units
from hapsight.stages.personal_data import homologs_in_words, personal_data
from hapsight.stages.predict import load_models, predict
from hapsight.train.splits import Homologs
from hapsight.train.tables import CELLS, TRAIN_PER_GENE, TRAIN_RUNS, TRAIN_SUMMARY
from tests.dask_processes import require_nobody
from tests.entry_point import offer_model
from tests.planted import put_back, quiet, require_columns, write_planted
from tests.train.toy_personal import load_trainable, trainable

NAMES = ("up1", "up2", "up3", "up4", "up5", "up6", "down1", "down2", "null1")
SECTION = """
[train]
seeds = 2
block = 5000
unseen_share = 0.2
people_per_batch = 32
accumulate = 4
max_steps = 60
learning_rate = 0.02
validate_every = 15
baselines = ["blup"]
arms = [
  { mode = "untouched" },
  { mode = "frozen", loss = "pairwise_mse" },
  { mode = "full", loss = "mean_plus_difference", init = "random" },
]
"""


def run(*words: str) -> str:
    app = typer.Typer()
    app.callback()(lambda: None)
    _add_train_personal(app)
    found = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    made = write_planted(tmp_path_factory.mktemp("personal"), people=100, names=NAMES)
    made.config.write_text(made.config.read_text() + SECTION)
    with register_model("toy", load_trainable):
        yield made, run("grid", str(made.config))


@pytest.fixture
def changing(planted):
    """What a test does to the run is undone for the next."""
    with put_back(planted[0].folder / "run"):
        yield


def table(planted, name: str) -> pl.DataFrame:
    return pl.read_parquet(planted[0].folder / "run/train" / f"{name}.parquet")


def test_tables_have_their_columns(planted):
    schemas = {"grid_per_gene": TRAIN_PER_GENE, "grid_summary": TRAIN_SUMMARY, "grid_runs": TRAIN_RUNS}
    require_columns(planted[0].folder / "run/train", schemas)


def test_every_arm_is_judged_in_all_cells(planted):
    runs, genes = table(planted, "grid_runs"), table(planted, "grid_per_gene")
    arms = [(row["mode"], row["loss"], row["seed"]) for row in runs.iter_rows(named=True)]
    assert arms == [
        ("untouched", "", None),
        *(("frozen", "pairwise_mse", seed) for seed in (1, 2)),
        *(("full", "mean_plus_difference", seed) for seed in (1, 2)),
        ("linear", "", None),
    ]
    row = runs.row(1, named=True)
    for cell in CELLS:
        here = genes.filter(pl.col("cell") == cell, pl.col("mode") == "frozen", pl.col("seed") == 1)
        seen = cell.startswith("seen genes")
        assert len(here) == row["seen_genes" if seen else "unseen_genes"] > 0
        assert set(here["n"]) == {row["people" if cell.endswith(" seen people") else "test_people"]}
    assert row["people"] + row["valid_people"] + row["test_people"] == 100
    by_cell = genes.filter(pl.col("mode") == "frozen").partition_by("cell", as_dict=True)
    assert not set(by_cell[(CELLS[0],)]["gene_id"]) & set(by_cell[(CELLS[2],)]["gene_id"])


def test_training_reaches_people_that_it_never_saw(planted):
    summary = table(planted, "grid_summary").filter(
        pl.col("cell") == CELLS[1], pl.col("quantity") == "across_people_pearson_mean"
    )
    frozen = summary.filter(pl.col("mode") == "frozen")
    assert frozen["seed"].to_list() == [1, 2, None]
    mean = dict(zip(frozen["seed"], frozen["value"], strict=True))
    untouched = summary.filter(pl.col("mode") == "untouched")["value"].item()
    assert mean[None] > untouched + 0.3
    genes = table(planted, "grid_per_gene").filter(pl.col("mode") == "frozen", pl.col("cell") == CELLS[1])
    assert mean[None] == pytest.approx(genes["pearson_r"].mean())
    assert summary.filter(pl.col("model") == "blup")["value"].item() > 0.3


def test_linear_baselines_say_nothing_of_unseen_genes(planted):
    genes = table(planted, "grid_per_gene").filter(pl.col("model") == "blup")
    unseen = genes.filter(pl.col("cell").is_in(CELLS[2:]))
    assert set(unseen["status"]) == {"no_model"}
    assert unseen["pearson_r"].is_null().all()
    assert set(genes.filter(pl.col("cell") == CELLS[1])["status"]) <= {"ok", "constant_prediction"}


def test_the_weights_predict_what_was_judged(planted):
    """``hapsight run`` with the written weights gives the R of the table."""
    made, _ = planted
    row = table(planted, "grid_runs").filter(pl.col("mode") == "frozen").row(0, named=True)
    config = load_config(made.config)
    models = (config.models[0].model_copy(update={"weights": row["weights"], "label": "mine"}),)
    opened = Opened.from_config(config.model_copy(update={"models": models, "output": made.folder / "again"}))
    opened.begin()
    runs = load_models(opened)
    predict(opened, runs, quiet)
    store = opened.folder.predictions("mine", "default")
    values = store.read(runs[0].units(opened), "values")
    judged = table(planted, "grid_per_gene").filter(
        pl.col("mode") == "frozen", pl.col("seed") == 1, pl.col("status") == "ok"
    )
    data = personal_data(opened, runs[0], None, None)
    for one in judged.iter_rows(named=True):
        mine = values.filter(pl.col("gene_id") == one["gene_id"], pl.col("sample_id") != "")
        predicted = mine["value"].to_numpy().reshape(-1, 2).astype(np.float64).mean(axis=1)
        _, people = data.cell(one["cell"])
        observed = data.targets.residual[data.targets.gene_ids.index(one["gene_id"])]
        r = np.corrcoef(predicted[people], observed[people])[0, 1]
        assert r == pytest.approx(one["pearson_r"], abs=1e-4)


@pytest.mark.usefixtures("changing")
def test_finished_arms_are_kept(planted):
    made, output = planted
    assert "unseen genes, unseen people" in output
    before = {p: p.stat().st_mtime_ns for p in (made.folder / "run/train").glob("toy*/weights.safetensors")}
    assert len(before) == 4
    run("grid", str(made.config), "--seeds", "1")
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert set(table(planted, "grid_runs")["seed"]) == {1, None}
    stage = next(
        s
        for s in json.loads((made.folder / "run/run.json").read_text())["stages"]
        if s["name"] == "train grid"
    )
    assert stage["detail"].startswith("6 trainings computed")
    run("grid", str(made.config))


@pytest.mark.usefixtures("changing")
def test_one_arm_with_fewer_people_and_common_variants(planted):
    made, _ = planted
    words = ("--mode", "full", "--loss", "mse_plus_pairs", "--seeds", "1", "--people", "20", "--people", "40")
    run("personal", str(made.config), *words, "--maf", "0.2")
    runs = table(planted, "personal_runs").filter(pl.col("mode") == "full")
    assert runs["people"].to_list() == [20, 40]
    assert set(runs["min_maf"]) == {0.2}
    assert runs["test_people"].to_list() == [20, 20]


def test_a_region_is_held_out_whichever_way_its_contig_is_written(planted):
    opened = Opened.from_config(load_config(planted[0].config))
    gene = opened.cohort.genes[3]
    region = f"1:{gene.tss - 1000:,}-{gene.tss + 1000:,}"
    train = opened.config.train.model_copy(update={"held_out": (region,), "unseen_share": 0.0})
    opened = replace(opened, config=opened.config.model_copy(update={"train": train}))
    run = load_models(opened)[0]
    assert personal_data(opened, run, None, None).split.unseen_genes == (gene.gene_id,)
    elsewhere = train.model_copy(update={"held_out": ("chr9:1-5",)})
    opened = replace(opened, config=opened.config.model_copy(update={"train": elsewhere}))
    with pytest.raises(InputError, match=r"no contig 'chr9'(.|\n)*held_out under"):
        personal_data(opened, run, None, None)


@pytest.mark.usefixtures("changing")
def test_strands_and_shifts_are_said_with_the_read_out(planted):
    made, _ = planted
    text = made.config.read_text()
    made.config.write_text(text.replace("[train]", "[train]\nboth_strands = true\nshifts = [0, 3]"))
    try:
        run("personal", str(made.config), "--mode", "untouched")
    finally:
        made.config.write_text(text)
    genes = table(planted, "personal_per_gene").filter(pl.col("mode") == "untouched")
    assert set(genes["read_out"]) == {"default; both strands; shifts 0, 3"}
    plain = table(planted, "grid_per_gene").filter(pl.col("mode") == "untouched")
    both = genes.join(plain, on=("gene_id", "cell"))
    assert (both["pearson_r"] - both["pearson_r_right"]).abs().max() > 1e-3


def test_errors(planted):
    made, _ = planted
    app = typer.Typer()
    app.callback()(lambda: None)
    _add_train_personal(app)

    def refused(*words: str) -> Exception:
        return CliRunner().invoke(app, ["personal", str(made.config), *words]).exception

    assert "options of training are not valid" in str(refused("--mode", "half"))
    assert isinstance(refused("--mode", "half"), ConfigError)
    assert "no such model to train" in str(refused("--model", "other"))
    assert "fewer people to train on" in str(refused("--people", "99"))
    assert "'untouched' does not go with init 'random'" in str(
        refused("--mode", "untouched", "--init", "random")
    )
    made.config.write_text(
        made.config.read_text().replace("[cohort]", '[cohort]\nkeep_genes = ["up1", "gone"]')
    )
    try:
        error = refused()
        assert isinstance(error, InputError)
        assert "gone" in str(error)
    finally:
        made.config.write_text(
            made.config.read_text().replace('[cohort]\nkeep_genes = ["up1", "gone"]', "[cohort]")
        )


def trained(planted) -> tuple[dict[str, bytes], pl.DataFrame]:
    """Weights and correlations as bytes, by file; and the rows of the trainings but for their seconds."""
    folder = planted[0].folder / "run/train"
    found = [*folder.glob("*/weights.safetensors"), *folder.glob("*.per_gene.parquet")]
    every = {str(path.relative_to(folder)): path.read_bytes() for path in found}
    return every, table(planted, "grid_runs").drop("seconds")


def test_a_unit_that_travelled_trains_the_same_weights(planted, changing, tmp_path):
    made, _ = planted
    before, _ = trained(planted)
    opened = Opened.from_config(load_config(made.config))
    units = train_units(opened, load_models(opened), opened.config.train.arms)
    assert all(unit.done() for unit in units)
    for unit in (units[0], units[1], units[-1]):  # untouched, a seed of frozen, linear
        shutil.rmtree(unit.folder, ignore_errors=True)
        (unit.store.folder / f"{unit.name}.json").unlink()
        packed = parcel(_train_elsewhere, unit, Guard(opened.folder.mark()), Spool(tmp_path))
        require_nobody([packed], opened.config)
        assert b"toy_personal" not in packed, "a network travels"
        assert do_parcel(packed) == unit.name
        assert unit.done()
    assert trained(planted)[0] == before


@pytest.mark.verify
def test_two_processes_train_what_one_does(planted, changing, monkeypatch):
    made, _ = planted
    offer_model(made.folder, "toy", "tests.train.toy_personal:load_trainable")
    monkeypatch.syspath_prepend(made.folder)
    before = trained(planted)
    shutil.rmtree(made.folder / "run/train")
    with opened_with(made.config, workers=2) as opened:
        train_personal(opened, load_models(opened), opened.config.train.arms, quiet, "grid")
    after = trained(planted)
    assert after[0] == before[0]
    assert after[1].equals(before[1])


@contextmanager
def opened_with(path: Path, workers: int) -> Iterator[Opened]:
    """The run, to be worked on by so many processes."""
    opened = Opened.from_config(staffed(load_config(path), workers=workers))
    with opened.folder.locked():
        opened.begin()
        yield opened


def test_homologs_across_the_split_are_named_and_may_be_left_out(planted, changing, monkeypatch):
    made, _ = planted
    note = "Homologs: 0 of 0 pairs of genes"
    run("grid", str(made.config))  # kept; a command begins the notes anew
    record = json.loads((made.folder / "run/run.json").read_text())
    assert sum(text.startswith(note) for text in record["notes"]) == 1
    assert note in run("homologs", str(made.config))
    opened = Opened.from_config(load_config(made.config))
    (model,) = load_models(opened)
    split = personal_data(opened, model, None, None).split
    seen, unseen = split.seen_genes[0], split.unseen_genes[0]
    pairs = [Homologs(unseen, seen, 50, 0.5), Homologs(seen, split.seen_genes[1], 40, 0.4)]
    monkeypatch.setattr(personal_data_module, "homologs", lambda *_: pairs)
    said = homologs_in_words(opened, pairs, split)
    assert said.startswith("Homologs: 1 of 2 pairs")
    assert said.endswith(f"{seen.upper()} and {unseen.upper()} (0.50).")
    train = opened.config.train.model_copy(update={"homologs": "leave_out"})
    left = replace(opened, config=opened.config.model_copy(update={"train": train}))
    other = personal_data(left, model, None, None).split
    assert other.unseen_genes == split.unseen_genes
    assert set(split.seen_genes) - set(other.seen_genes) == {seen} <= set(other.guard_genes)
    assert "Homologs: 0 of 2 pairs" in homologs_in_words(left, pairs, other)


def test_a_loader_that_gives_one_object_again_does_not_go_on_from_what_was_trained(planted):
    config, one = load_config(planted[0].config), trainable()
    models = (config.models[0].model_copy(update={"name": "same"}),)
    with register_model("same", lambda *, device="cpu": one):
        opened = Opened.from_config(config.model_copy(update={"models": models}))
        data = personal_data(opened, load_models(opened)[0], None, None)
        assert data.fresh_model() is one
        next(one.network.parameters()).data += 1
        with pytest.raises(WeightsError, match=r"not as it was(.|\n)*a new model each time"):
            data.fresh_model()
