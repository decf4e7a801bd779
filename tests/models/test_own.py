"""Models of a user's own: a torch module, and a Python file."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from hapsight.errors import ConfigError, HapsightError, WeightsError
from hapsight.models.own import TorchModel
from hapsight.models.registry import fingerprint_as_loaded, load_model
from hapsight.run.config import ModelConfig, load_config
from hapsight.run.models import predict_elsewhere
from hapsight.run.opened import Opened
from hapsight.stages.predict import load_models, read_models
from tests.planted import write_planted

FILE = """
import torch
from hapsight.models.own import TorchModel

class Net(torch.nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(float(scale)))
    def forward(self, x):  # (B, 4, L)
        return self.scale * x[:, 0].sum(1)

def load(weights=None, scale=1):
    return TorchModel(Net(scale), "mine", upstream=300, downstream=200)
"""


def file_of(folder: Path, text: str = FILE, name: str = "mymodel.py") -> str:
    (folder / name).write_text(text)
    return f"file:{folder / name}"


class TestTorchModel:
    def test_gives_what_the_module_gives(self):
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4 * 12, 2))
        model = TorchModel(network, "two", upstream=8, downstream=4, tracks=("a", "b"))
        codes = torch.randint(0, 5, (3, 12), dtype=torch.uint8)
        one_hot = torch.eye(5)[codes.long()][..., :4].transpose(1, 2)
        torch.testing.assert_close(model.predict(codes, model.read_out()), network(one_hot))
        assert not network.training
        assert (model.window.upstream, model.window.length, [t.name for t in model.tracks]) == (
            8,
            12,
            ["a", "b"],
        )
        assert model.flop_per_pass == 2 * 48 * 2

    def test_other_axes_and_tracks_are_taken_by_a_function(self):
        network = torch.nn.Linear(4, 3)
        model = TorchModel(
            network, "m", upstream=2, downstream=3, read=lambda net, x: net(x.transpose(1, 2))[:, -1, 1]
        )
        codes = torch.tensor([[0, 1, 2, 3, 4]], dtype=torch.uint8)
        torch.testing.assert_close(model.predict(codes, model.read_out()), network.bias[None, 1:2])

    def test_another_shape_is_refused(self):
        with pytest.raises(ConfigError, match=r"expected: \(1, 1\)\n  got: \(1, 5, 3\)"):
            TorchModel(torch.nn.Linear(4, 3), "m", upstream=2, downstream=3, read=lambda net, x: net(x.mT))

    def test_structure_and_window_are_in_the_fingerprint(self):
        def made(width, upstream, name="m"):
            layers = torch.nn.Conv1d(4, 1, width), torch.nn.AdaptiveAvgPool1d(1), torch.nn.Flatten()
            return TorchModel(torch.nn.Sequential(*layers), name, upstream=upstream, downstream=9).fingerprint

        assert made(3, 9) == made(3, 9)
        assert len({made(3, 9), made(5, 9), made(3, 8), made(3, 9, "n")}) == 4

    def test_what_the_reader_does_is_in_the_fingerprint(self):
        def made(read):
            layers = torch.nn.Flatten(), torch.nn.Linear(4 * 5, 2)
            return TorchModel(
                torch.nn.Sequential(*layers), "m", upstream=2, downstream=3, read=read
            ).fingerprint

        class Column:
            def __call__(self, network, x):
                return network(x)[:, 0]

        def column(network, x, *, which=0):
            return network(x)[:, which]

        def maker():
            return lambda net, x: net(x)[:, 0]

        readers = (
            maker(),
            lambda net, x: net(x)[:, 1],
            lambda net, x: net(x)[:, 0].exp(),
            lambda net, x: net(x)[:, 0].log(),
            lambda net, x: sum(net(x)[:, i] for i in (0,)),
            lambda net, x: sum(net(x)[:, i + 1 - 1] for i in (0,)),
            lambda net, x: sum(net(x)[:, i - 1 + 1] for i in (0,)),
            lambda net, x, which=0: net(x)[:, which],
            lambda net, x, which=1: net(x)[:, which],
            column,
            partial(column, which=0),
            partial(column, which=1),
            Column(),
        )
        assert len(set(map(made, readers))) == len(readers)
        assert made(maker()) == made(maker())
        assert made(Column()) == made(Column())

    def test_the_text_of_a_reader_is_the_same_in_every_process(self):
        text = (
            "from hapsight.models.own import _told\n"
            "print(_told(lambda net, x: [y for y in x if y in {'a', 'b', 'c', 'd', 1, None}]))"
        )
        said = {
            subprocess.check_output(
                [sys.executable, "-c", "\n" * int(seed) + text], env=os.environ | {"PYTHONHASHSEED": seed}
            )
            for seed in ("1", "2", "3")
        }
        assert len(said) == 1
        assert b"0x" not in said.pop()


class TestFile:
    def test_is_loaded_with_its_options(self, tmp_path):
        model = load_model(file_of(tmp_path), device="cpu", scale=3)
        codes = torch.zeros((1, 500), dtype=torch.uint8)
        assert model.predict(codes, model.read_out()).item() == 1500

    def test_its_bytes_and_the_parameters_are_its_fingerprint(self, tmp_path):
        name = file_of(tmp_path)
        one, again, other = (load_model(name, device="cpu", scale=scale) for scale in (1, 1, 2))
        first, second, third = (fingerprint_as_loaded(name, model) for model in (one, again, other))
        assert first == second != third
        assert first.startswith(hashlib.sha256(FILE.encode()).hexdigest())
        file_of(tmp_path, FILE.replace("self.scale * x", "x"))  # same parameters, other code
        edited = load_model(name, device="cpu")
        assert edited.predict(torch.zeros((1, 500), dtype=torch.uint8), edited.read_out()).item() == 500
        assert fingerprint_as_loaded(name, edited) != first

    def test_an_edit_after_it_was_loaded_is_not_its(self, tmp_path):
        one = load_model(name := file_of(tmp_path), device="cpu")
        edited = load_model(file_of(tmp_path, FILE + "# edited\n"), device="cpu")
        assert fingerprint_as_loaded(name, one).startswith(hashlib.sha256(FILE.encode()).hexdigest())
        assert fingerprint_as_loaded(name, edited) != fingerprint_as_loaded(name, one)

    def test_what_it_reads_beside_itself_is_read_again(self, tmp_path):
        """Weights that were fitted anew, in one process: a notebook, or a worker that lives for days."""
        text = (
            f"from pathlib import Path\nSCALE = int(Path({str(tmp_path / 'scale')!r}).read_text())\n" + FILE
        )
        name = file_of(tmp_path, text.replace("Net(scale)", "Net(SCALE)"))
        found = []
        for scale in (2, 3):
            (tmp_path / "scale").write_text(str(scale))
            model = load_model(name, device="cpu")
            found.append(model.predict(torch.zeros((1, 500), dtype=torch.uint8), model.read_out()).item())
        assert found == [1000, 1500]

    def test_a_class_will_do_and_device_reaches_who_wants_it(self, tmp_path):
        text = FILE.replace("def load(weights=None, scale=1):", "def made(device):") + (
            "\nclass load(TorchModel):\n"
            "    def __init__(self, *, device):\n"
            "        super().__init__(Net(2), str(device), upstream=3, downstream=2)\n"
        )
        assert load_model(file_of(tmp_path, text), device="cpu").name == "cpu"

    def test_one_without_a_fingerprint_has_that_of_the_file(self, tmp_path):
        text = FILE + "    made.fingerprint = None\n    return made\n"
        text = text.replace("return TorchModel(Net(scale)", "made = TorchModel(Net(scale)")
        name = file_of(tmp_path, text)
        assert load_model(name, device="cpu").fingerprint == hashlib.sha256(text.encode()).hexdigest()

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", r"has no `load`(.|\n)*expected: def load\(weights=None"),
            ("load = 3", "has no `load`(.|\n)*got: 3"),
            ("x = 1\ndef load(:", "cannot be run(.|\n)*mymodel.py, line 2(.|\n)*SyntaxError"),
            ("import nowhere_at_all", "cannot be run(.|\n)*line 1(.|\n)*files beside it are not found"),
            ("def load():\n    return 1 / 0", "fails(.|\n)*mymodel.py, line 2(.|\n)*ZeroDivisionError"),
            ("def load(needed):\n    pass", "fails(.|\n)*TypeError: load.. missing 1 required"),
            ("def load():\n    return 'model'", "returns no model(.|\n)*got: str"),
            ("raise SystemExit(0)", "cannot be run(.|\n)*SystemExit"),
            ("\x00", "cannot be run"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_said(self, tmp_path, text, said):
        with pytest.raises(ConfigError, match=said):
            load_model(file_of(tmp_path, text), device="cpu")

    def test_a_file_that_is_not_there_and_an_option_that_is_not(self, tmp_path):
        for missing in (f"file:{tmp_path}/nothing.py", f"file:{tmp_path}", "file:"):
            with pytest.raises(ConfigError, match="file of a model cannot be read"):
                load_model(missing, device="cpu")
        with pytest.raises(
            ConfigError, match=r"has no such option(.|\n)*expected: scale, weights(.|\n)*got: scal$"
        ):
            load_model(file_of(tmp_path), device="cpu", scal=1)

    def test_hapsights_own_errors_are_left_as_they_are(self, tmp_path):
        text = "from hapsight.errors import WeightsError\ndef load():\n    raise WeightsError('none here')"
        with pytest.raises(HapsightError, match=r"^none here$"):
            load_model(file_of(tmp_path, text), device="cpu")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    planted = write_planted(tmp_path_factory.mktemp("planted"), people=16, names=("up1", "down1"))
    file_of(planted.folder)
    text = planted.config.read_text().replace(
        'name = "toy"', 'name = "file:mymodel.py"\noptions = { scale = 2 }'
    )
    planted.config.write_text(text)
    return planted.config


class TestConfiguration:
    def test_the_path_starts_at_the_configuration(self, config):
        loaded = load_config(config)
        assert loaded.models[0].name == f"file:{config.parent / 'mymodel.py'}"
        opened = Opened.from_config(loaded)
        (run,) = load_models(opened)
        assert (run.label, run.model.network.scale.item()) == ("mine", 2.0)

    @pytest.mark.parametrize("load", [load_models, read_models])
    def test_a_file_of_two_models_is_one_state(self, config, tmp_path, load):
        """It is edited between their loads."""
        edits = "from pathlib import Path\nPath(__file__).write_text(Path(__file__).read_text() + '#\\n')\n"
        named = [
            ModelConfig(name=file_of(tmp_path, FILE), label=label, options={"scale": scale})
            for label, scale in (("one", 1), ("two", 2))
        ]
        opened = Opened.from_config(load_config(config).model_copy(update={"models": tuple(named)}))
        assert [run.label for run in load(opened)] == ["one", "two"]
        file_of(tmp_path, edits + FILE)
        with pytest.raises(ConfigError, match=r"changed while(.|\n)*mymodel.py(.|\n)*run the same command"):
            load(opened)
        file_of(tmp_path, FILE)
        assert len(load(opened)) == 2

    def test_other_processes_load_it_too(self, config):
        opened = Opened.from_config(load_config(config))
        (run,) = load_models(opened)
        sent = pickle.loads(pickle.dumps(run.work(opened, run.units(opened))))
        assert [predict_elsewhere(unit) for unit in sent] == ["block-00000"]
        assert sent[0].done()
        file_of(config.parent, FILE + "# edited\n")
        changed = replace(sent[0].source, compiled=False, options='{"scale": 3}')
        with pytest.raises(WeightsError, match="other weights, or another version"):
            predict_elsewhere(replace(sent[0], source=changed))
