from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hapsight.errors import ConfigError, MissingExtraError, WeightsError
from hapsight.models.protocol import ModelWindow, ReadOut, SequenceModel
from hapsight.models.registry import available, load_model, register, resolve_device
from tests.models.synthetic import synthetic_h5

ROOT = Path(__file__).parents[2]
POINTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["hapsight.models"]


class CountA(SequenceModel):
    """Counts the A's: a toy whose answers are known."""

    name = "count_a/none"
    window = ModelWindow(5, 5, oriented=True)
    tracks = ()
    fingerprint = "toy"
    flop_per_pass = 10.0
    default_read_out = "count"

    def __init__(self, device: torch.device, weight: float) -> None:
        self.device, self.weight = device, weight
        self.read_outs = {"count": ReadOut("count")}

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        return self.weight * (codes == 0).sum(1, keepdim=True).float()

    def to(self, device: torch.device) -> SequenceModel:
        self.device = device
        return self


def load_count_a(weights: str = "one", *, device: torch.device, weight: float = 1.0) -> CountA:
    return CountA(device, weight if weights == "one" else 2.0)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install a distribution with entry points, and a module of it, on a path of this test's own."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(distribution: str, points: dict[str, str], **modules: str) -> None:
        info = tmp_path / f"{distribution}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in points.items()]
        (info / "entry_points.txt").write_text("\n".join(["[hapsight.models]", *lines]) + "\n")
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(text)

    return install


@pytest.fixture(autouse=True)
def own_entry_points(install: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hapsight as pyproject.toml declares it, whether or not it is installed here."""
    install("hapsight", POINTS)
    monkeypatch.setenv("HAPSIGHT_WEIGHTS", str(tmp_path / "weights"))


class TestAvailable:
    def test_lists_xpresso_and_what_is_present(self, tmp_path: Path) -> None:
        (tmp_path / "weights").mkdir()
        (tmp_path / "weights" / "K562.h5").touch()
        entry = next(entry for entry in available() if entry.name == "xpresso")
        assert entry.weights == ("GM12878", "K562", "humanMedian", "mESC", "mouseMedian")
        assert entry.present == ("K562",)
        assert (entry.licence, entry.source) == ("MIT", "hapsight")

    def test_lists_models_of_other_packages(self, install: Callable[..., None]) -> None:
        install("their-models", {"theirs": "their_models:load"})
        entry = next(entry for entry in available() if entry.name == "theirs")
        assert (entry.source, entry.weights, entry.present, entry.licence) == ("their-models", (), (), "")

    def test_imports_neither_torch_nor_h5py(self) -> None:
        code = (
            "import sys; from hapsight.models.registry import available; available();"
            "sys.exit(' '.join({'torch', 'h5py', 'safetensors', 'polars'} & sys.modules.keys()) or 0)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            env={"PYTHONPATH": str(ROOT / "src")},
        )
        assert (done.returncode, done.stderr.strip()) == (0, "")

    def test_two_packages_with_one_name(self, install: Callable[..., None]) -> None:
        install("their-models", {"xpresso": "their_models:load"})
        with pytest.raises(
            ConfigError, match=r"Two installed packages offer a model 'xpresso'.\n.*their-models"
        ):
            available()


class TestRegister:
    def test_lasts_as_long_as_the_block(self) -> None:
        with register("count_a", load_count_a):
            assert "count_a" in {entry.name for entry in available()}
            model = load_model("count_a", device="cpu")
            codes = torch.tensor([[0, 0, 1], [4, 2, 3]], dtype=torch.uint8)
            assert model.predict(codes, model.read_out()).tolist() == [[2.0], [0.0]]
        assert "count_a" not in {entry.name for entry in available()}

    def test_can_be_removed_by_hand(self) -> None:
        registration = register("count_a", load_count_a)
        registration.remove()
        registration.remove()
        assert "count_a" not in {entry.name for entry in available()}

    def test_takes_no_name_twice(self) -> None:
        with pytest.raises(ConfigError, match=r"a model 'xpresso' already.\n  got: from hapsight"):
            register("xpresso", load_count_a)


class TestLoadModel:
    def test_passes_weights_options_and_device(self) -> None:
        with register("count_a", load_count_a):
            model = load_model("count_a", device="cpu", weight=3.0)
            assert isinstance(model, CountA)
            assert (model.weight, model.device) == (3.0, torch.device("cpu"))
            assert load_model("count_a", "two", "cpu").weight == 2.0  # type: ignore[attr-defined]

    def test_loads_xpresso_from_a_path(self, tmp_path: Path) -> None:
        model = load_model("xpresso", str(synthetic_h5(tmp_path / "mine.h5")), "cpu", tss_index=6999)
        assert (model.name, model.window.upstream) == ("xpresso/mine", 6999)

    def test_default_weights_that_are_not_here(self) -> None:
        with pytest.raises(WeightsError, match="The weights GM12878 of xpresso are not on this machine"):
            load_model("xpresso", device="cpu")

    def test_loads_a_model_of_another_package(self, install: Callable[..., None]) -> None:
        text = "from tests.models.test_registry import load_count_a as load\n"
        install("their-models", {"theirs": "their_models_ok:load"}, their_models_ok=text)
        assert load_model("theirs", device="cpu").name == "count_a/none"

    def test_unknown_model_lists_what_there_is(self) -> None:
        with pytest.raises(
            ConfigError, match=r"no model 'expresso'.\n  expected: .*xpresso\n.*did you mean 'xpresso'"
        ):
            load_model("expresso")

    def test_unknown_option_lists_the_models_own(self) -> None:
        message = r"'xpresso' has no such option.\n  expected: half_life, tss_index, weights\n  got: tss_indx"
        with pytest.raises(ConfigError, match=message):
            load_model("xpresso", tss_indx=6999)

    def test_a_package_that_cannot_be_imported(self, install: Callable[..., None]) -> None:
        install("bad-models", {"bad": "bad_models:load"}, bad_models="1 / 0\n")
        message = (
            r"'bad' of the package bad-models cannot be imported.\n.*bad_models:load\n  got: ZeroDivision"
        )
        with pytest.raises(ConfigError, match=message):
            load_model("bad")

    def test_a_package_without_the_loader(self, install: Callable[..., None]) -> None:
        install("empty-models", {"empty": "empty_models:load"}, empty_models="")
        with pytest.raises(
            ConfigError, match=r"the package empty-models cannot be imported.\n.*\n  got: Attribute"
        ):
            load_model("empty")

    def test_a_package_whose_needs_are_missing(self, install: Callable[..., None]) -> None:
        install("poor-models", {"poor": "poor_models:load"}, poor_models="import no_such_module\n")
        with pytest.raises(ConfigError, match=r"poor-models cannot be imported.*\n.*\n.*no_such_module"):
            load_model("poor")

    def test_the_models_extra_is_missing(
        self, install: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "h5py", None)
        install("h5-models", {"h5": "h5_models:load"}, h5_models="import h5py\n")
        with pytest.raises(
            MissingExtraError, match=r"h5py is not installed.*\n.*pip install 'hapsight\[models\]'"
        ):
            load_model("h5")


class TestDevice:
    def test_cpu_and_auto(self) -> None:
        assert resolve_device("cpu") == torch.device("cpu")
        assert resolve_device("auto").type in {"cuda", "mps", "cpu"}

    def test_auto_takes_the_best_there_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
        assert resolve_device("auto") == torch.device("mps")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        assert resolve_device("auto") == torch.device("cuda")

    def test_unknown(self) -> None:
        with pytest.raises(
            ConfigError, match=r"'device' is unknown.\n  expected: auto, cpu, cuda, mps\n  got: 'gpu'"
        ):
            resolve_device("gpu")

    def test_absent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(
            ConfigError, match=r"torch finds no cuda device here.\n  expected: .*cpu\n  got: 'cuda'"
        ):
            resolve_device("cuda")

    def test_without_torch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "torch", None)
        with pytest.raises(MissingExtraError, match="torch is not installed, and every model needs it"):
            resolve_device()
