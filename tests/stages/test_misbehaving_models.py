"""Models that give what is no prediction: an error at once that names model and gene; nothing is kept."""

import json
import re

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.cohort.nouns import Interval
from hapsight.dna import decode
from hapsight.engine.views import Sequences
from hapsight.errors import ModelError, WeightsError
from hapsight.models.forward import one_hot
from hapsight.models.registry import register
from hapsight.models.weights import fingerprint_of
from hapsight.run.blocks import VariantReader
from hapsight.run.config import load_config
from hapsight.run.models import ModelSource, _kept, model_here
from hapsight.run.opened import Opened
from hapsight.stages.plan import bench_sharing
from tests.cohort.files import write_table
from tests.engine.toy_shared import ToyShared, ToyWindowed
from tests.planted import ToyModel, load_toy, opened_with_models, write_planted
from tests.train.toy_personal import Net, Trainable

FAULTS = {
    "nan": (lambda y: y * torch.nan, "not a finite number", "nan"),
    "inf": (lambda y: y + torch.inf, "not a finite number", "inf"),
    "beyond float32": (lambda y: y.double() * 0 - 1e39, "not a finite number", r"-1e\+39"),
    "no tracks": (lambda y: y[:, 0], "something else", r"float\d\d \(\d+,\)"),
    "a track more": (lambda y: torch.cat([y, y[:, :1]], 1), "something else", r"float\d\d \(\d+, \d\)"),
    "a sequence less": (lambda y: y[:-1], "something else", r"float\d\d \(\d+, \d.*\)"),
    "integers": (lambda y: y.long(), "something else", "torch.int64"),
    "numpy": (lambda y: y.detach().numpy(), "something else", "ndarray"),
}


SECTIONS = """
[explain]
gradients = true
[train]
max_steps = 2
valid_share = 0.3
block = 5000
seeds = 1
baselines = []
arms = [{ mode = "full", loss = "mse" }]
"""


def sick(kind, method, fault):
    """A class of models whose `method` spoils what it gives."""
    spoil = FAULTS[fault][0]
    healthy = getattr(kind, method)
    return type("Sick", (kind,), {method: lambda self, *given: spoil(healthy(self, *given))})


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    made = write_planted(tmp_path_factory.mktemp("sick"), people=40, names=("up1", "down1", "up2"))
    made.config.write_text(made.config.read_text() + SECTIONS)
    return made


@pytest.fixture
def alone(planted, tmp_path):
    """The cohort's configuration with a run folder of its own, ``run`` in the test's folder."""
    text = planted.config.read_text().replace('output = "run"', f'output = "{tmp_path / "run"}"')
    path = planted.folder / f"{tmp_path.name}.toml"
    path.write_text(text)
    return path


def refused(model, *words):
    with register("toy", lambda *, device="cpu": model), pytest.raises(ModelError) as caught:
        CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)
    return str(caught.value)


def says(text, fault, model, gene):
    _, what, got = FAULTS[fault]
    return what in text and f"model {model}, gene {gene}" in text and re.search(f"got: .*{got}", text)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("kind", "method"), [(ToyModel, "predict"), (ToyShared, "read"), (ToyWindowed, "read_windows")]
)
def test_prediction(alone, tmp_path, kind, method, fault):
    text = refused(sick(kind, method, fault)(), "predict", alone)
    assert says(text, fault, kind().name, "up1"), text
    assert (tmp_path / "run").is_dir()
    assert not list((tmp_path / "run/predictions").rglob("*.json"))


@pytest.mark.parametrize("method", ["embed", "embed_window"])
def test_layers_of_another_shape(planted, method):
    text = refused(sick(ToyWindowed, method, "a sequence less")(), "predict", planted.config)
    assert says(text, "a sequence less", "toy-shared", "up1"), text


def test_the_gene_is_found_in_a_batch_of_several(planted):
    """Only the reference of the second gene of the batch is spoilt."""
    opened, (run,) = opened_with_models(planted.config)
    reader = VariantReader(opened.cohort.genotypes, opened.cohort.reference)
    for gene in opened.cohort.genes:
        _, codes = Sequences(run.model, run.read_out, reader, opened.cohort.reference.fetch).of(gene)
        last = torch.from_numpy(codes[-1])

        class Sick(ToyModel):
            def predict(self, codes, read_out, last=last):
                hit = (codes == last).all(dim=1, keepdim=True)
                return super().predict(codes, read_out).masked_fill(hit, torch.nan)

        text = refused(Sick(), "predict", planted.config)
        assert says(text, "nan", "toy", gene.gene_id), text


class Trainer(Trainable):
    """In whole windows too, and with gradients."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(Net(), "toy/sick")


def eqtls(planted):
    """A table of one eQTL, 20 bases behind a TSS."""
    tss = planted.genes[0].tss
    with register("toy", load_toy):
        fetch = Opened.from_config(load_config(planted.config)).cohort.reference.fetch
    ref = decode(fetch(Interval("chr1", tss + 20, tss + 21)))
    row = ["up1", f"chr1_{tss + 21}_{ref}_{'A' if ref != 'A' else 'C'}", 1.0]
    return write_table(planted.folder / "eqtls.tsv", [["phenotype_id", "variant_id", "slope"], row])


@pytest.mark.parametrize("fault", ["nan", "a track more", "no tracks"])
@pytest.mark.parametrize("command", ["explain", "score", "validate", "train", "bench"])
def test_every_other_way_to_a_models_numbers(planted, tmp_path, command, fault):
    model = sick(Trainer, "read", fault)()
    words = {
        "explain": ("explain", planted.config),
        "score": (
            "score",
            planted.config,
            "--vcf",
            planted.folder / "genotypes.vcf.gz",
            "--out",
            tmp_path / "s.tsv",
        ),
        "validate": ("validate", "eqtl", planted.config, "--table", eqtls(planted), "--out", tmp_path),
        "train": ("train", "grid", planted.config),
    }
    if command == "bench":
        opened, (run,) = opened_with_models(planted.config, lambda *, device="cpu": model)
        with pytest.raises(ModelError) as caught:
            bench_sharing(opened, run, opened.cohort.genes[0], 8)
        text = str(caught.value)
    else:
        text = refused(model, *words[command])
    assert any(says(text, fault, "toy/sick", gene) for gene in ("up1", "down1", "up2")), text


class Rooted(ToyModel):
    """Its values are finite, and its gradient where two roots meet is not."""

    def predict(self, codes, read_out):
        return (one_hot(codes).sum((1, 2), keepdim=True)[:, :, 0] * 0).sqrt() + super().predict(
            codes, read_out
        )


def test_a_gradient_that_is_not_finite(alone, tmp_path):
    text = refused(Rooted(), "explain", alone)
    assert "a gradient that is not a finite number" in text
    assert "model toy, gene up1" in text
    assert (tmp_path / "run").is_dir()
    assert not list((tmp_path / "run").rglob("gradients/*.zarr"))


@pytest.mark.parametrize("said", [None, "", "  ", 7])
def test_no_fingerprint(planted, said):
    model = ToyModel()
    model.fingerprint = said
    text = refused(model, "predict", planted.config)
    assert "no fingerprint" in text
    assert "model toy" in text
    assert f"got: {said!r}" in text
    del model.fingerprint
    assert "got: None" in refused(model, "predict", planted.config)


def run_predict(config, model):
    with register("toy", lambda *, device="cpu": model):
        CliRunner().invoke(app, ["predict", str(config)], catch_exceptions=False)
    record = json.loads((config.parent / "run/run.json").read_text())
    return record["models"][0]["fingerprint"], next(
        s["detail"] for s in record["stages"] if s["name"].startswith("predict")
    )


def test_other_weights_under_the_same_fingerprint_are_another_model(tmp_path):
    made = write_planted(tmp_path, people=20, names=("up1", "down1"))
    one, other = ToyModel(seed=0), ToyModel(seed=1)
    other.fingerprint = one.fingerprint = "my model"
    first, said = run_predict(made.config, one)
    assert first.startswith("my model+")
    assert "1 unit computed, 0 kept" in said
    assert run_predict(made.config, ToyModel(seed=0))[0] != first  # the author's words count too
    second, said = run_predict(made.config, other)
    assert second != first
    assert "1 unit computed, 0 kept" in said
    assert run_predict(made.config, one) == (first, run_predict(made.config, one)[1])


def test_parameters_are_found_wherever_a_model_has_them():
    class Model:
        __slots__ = ("__dict__", "slot")
        name, fingerprint = "m", "f"

    def made(**attributes):
        model = Model()
        for name, value in attributes.items():
            setattr(model, name, value)
        return fingerprint_of(model)

    def net(bias):
        layer = torch.nn.Linear(2, 1)
        layer.weight.data.fill_(0.5)
        layer.bias.data.fill_(bias)
        return torch.nn.Sequential(layer, torch.nn.BatchNorm1d(1))

    assert made() == "f"
    assert made(n=3, text="x") == "f"
    for wrap in (lambda x: x, lambda x: [x], lambda x: {"a": (x,)}):
        for one, same, other in (
            (net(0.0), net(0.0), net(1.0)),
            (torch.zeros(2), torch.zeros(2), torch.ones(2)),
            (torch.zeros(2), torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
            (np.zeros(2), np.zeros(2), np.zeros((2, 1))),
            (torch.zeros(2).bfloat16(), torch.zeros(2).bfloat16(), torch.ones(()).bfloat16()),
        ):
            assert made(x=wrap(one)) == made(x=wrap(same)) != made(x=wrap(other))
            assert made(slot=wrap(one)) == made(slot=wrap(same)) != made(slot=wrap(other)) != "f"


def test_a_worker_with_other_weights_is_refused_whatever_these_say():
    source = ModelSource("toy", None, "{}", "cpu", "float32", False)
    model = ToyModel(seed=0)
    with register("toy", lambda *, device="cpu": model):
        _kept.cache_clear()
        right = fingerprint_of(model)
        assert model_here(source, right) is model
        model.weights += 1
        _kept.cache_clear()
        with pytest.raises(WeightsError, match="other weights"):
            model_here(source, right)
    _kept.cache_clear()


def test_a_model_whose_weights_changed_since_this_process_had_it_is_loaded_anew():
    source = ModelSource("toy", None, "{}", "cpu", "float32", False)
    with register("toy", lambda *, device="cpu": load_toy(seed=0)):
        _kept.cache_clear()
        before = model_here(source, fingerprint_of(ToyModel(seed=0)))
    with register("toy", lambda *, device="cpu": load_toy(seed=1)):
        right = fingerprint_of(ToyModel(seed=1))
        after = model_here(source, right)
        assert after is not before
        assert fingerprint_of(after) == right
        assert model_here(source, right) is after
    _kept.cache_clear()
