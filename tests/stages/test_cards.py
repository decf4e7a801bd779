"""What a run keeps of its models: readers of its numbers need neither weights nor torch."""

import json
import os
import subprocess
import sys

import pytest
import torch
from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.errors import HapsightError, IncompleteError, WeightsError
from hapsight.models.mini import load
from hapsight.models.mini_net import Channels, MiniNet, save_mini
from hapsight.run.arms import model_arms
from hapsight.run.config import load_config
from hapsight.run.models import asked_of, read_card
from hapsight.run.opened import Opened
from hapsight.stages.predict import load_models, read_models
from tests.conftest import without_vega
from tests.planted import write_planted

SECTIONS = """
[eqtl]
permutations = 99
cis_window = 1000
[explain]
run = true
genes = ["up1"]
backgrounds = 1
motifs = false
"""
WITHOUT_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("no torch here", name="torch")

sys.meta_path.insert(0, NoTorch())
from hapsight.cli.main import app
from hapsight.report import page
page.vega_bundle = lambda: "/* vega */"
for words in " ".join(sys.argv[1:]).split(" then "):
    app(words.split(), standalone_mode=False)
"""


def write_weights(path, seed):
    torch.manual_seed(seed)
    save_mini(MiniNet(Channels(6, 5, 8), 1), load("random:1").tracks[:1], path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A configuration whose run is finished, and whose model's weights are then moved away."""
    planted = write_planted(tmp_path_factory.mktemp("cards"), people=24, names=("up1", "down1"))
    text = planted.config.read_text().replace('name = "toy"', 'name = "mini"\nweights = "w.safetensors"')
    text = text.replace("[baseline]", '[baseline]\nmethods = ["top_snp"]')
    planted.config.write_text(text + SECTIONS)
    write_weights(planted.folder / "w.safetensors", 1)
    with pytest.MonkeyPatch.context() as patch:
        without_vega(patch)
        assert call("run", planted.config).exit_code == 0
    (planted.folder / "w.safetensors").rename(planted.folder / "elsewhere")
    return planted


def call(*words):
    return CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)


def call_without_torch(*words):
    """Commands, with `then` between them, in one process that cannot import torch."""
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)


def tables(folder):
    """What the stages wrote, but for the records of when."""
    found = [*folder.glob("evaluation/*"), *folder.glob("explain/*.parquet"), *folder.glob("report/*.csv")]
    found = [
        path for path in found if path.is_file() and path.name != "pages_withheld.parquet"
    ]  # of the pages there are
    return {path: path.read_bytes() for path in [*found, folder / "dropped.parquet"]}


def test_readers_need_neither_torch_nor_weights(finished):
    folder = finished.folder / "run"
    pages = list((folder / "report/genes").iterdir())
    before = tables(folder)
    for path in [*before, *pages, folder / "report.html"]:
        path.unlink()
    config = finished.config
    done = call_without_torch(
        *("evaluate", config, "then", "drivers", config, "then"),
        *("pages", config, "up1", "then", "report", folder),
    )
    assert done.returncode == 0, done.stderr
    assert "mini/w is not loaded" in done.stderr
    assert "what the run keeps of it is used" in done.stderr
    assert all(path.is_file() for path in pages if path.name.startswith("up1"))
    page = (folder / "report/genes/up1.html").read_text()
    assert "Drawing the letters around a variant needs the model mini/w itself" in page
    assert tables(folder) == before


def test_what_needs_the_model_says_so(finished):
    with pytest.raises(WeightsError, match=r"on 1 gene\b[\s\S]*needs the model mini/w itself") as caught:
        call("pages", finished.config, "down1")
    assert "no file of weights at this path" in str(caught.value)
    for command in ("predict", "explain"):
        with pytest.raises(WeightsError, match="no file of weights"):
            call(command, finished.config)


def test_a_card_is_the_loaded_model_in_all_that_readers_ask(finished):
    opened = Opened.from_config(load_config(finished.config))
    (card,) = read_models(opened)
    (finished.folder / "elsewhere").rename(finished.folder / "w.safetensors")
    try:
        (run,) = load_models(opened)
    finally:
        (finished.folder / "w.safetensors").rename(finished.folder / "elsewhere")
    for name in ("label", "name", "read_out", "tracks", "window", "seen", "cost", "toggled"):
        assert getattr(card, name) == getattr(run, name), name
    assert (card.source, card.asked, card.fingerprint) == (run.source, run.asked, run.fingerprint)
    assert card.units(opened) == run.units(opened)
    for gene in opened.cohort.genes:
        assert (card.reads(gene), card.sees(gene)) == (run.reads(gene), run.sees(gene))
    for one, other in zip(model_arms(opened, card), model_arms(opened, run), strict=True):
        assert one.labels() == other.labels()


def test_other_weights_and_other_options_are_noticed(finished):
    path = finished.folder / "w.safetensors"
    write_weights(path, 2)
    with pytest.raises(IncompleteError, match="hapsight predict"):
        call("evaluate", finished.config)
    path.unlink()
    other = finished.folder / "other.toml"
    for old, new in (("w.safetensors", "none.safetensors"), ("[predict]", '[predict]\nprecision = "tf32"')):
        other.write_text(finished.config.read_text().replace(old, new))
        with pytest.raises(HapsightError, match="no file of weights"):
            call("evaluate", other)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"label": 3}', b"\xff", b"[" * 100_000])
def test_a_damaged_card_is_none(finished, content):
    config = load_config(finished.config)
    opened = Opened.from_config(config)
    (path,) = (finished.folder / "run/models").iterdir()
    whole = path.read_bytes()
    assert json.loads(whole)["asked"] == asked_of(config, config.models[0])
    path.write_bytes(content)
    try:
        assert read_card(opened, config.models[0]) is None
        with pytest.raises(WeightsError, match="no file of weights"):
            read_models(opened)
    finally:
        path.write_bytes(whole)
