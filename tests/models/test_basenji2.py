from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hapsight.errors import ConfigError, InputError, WeightsError
from hapsight.models import basenji2_net
from hapsight.models.basenji2 import BINS, HALO, LENGTH, POSITIONS, REACH, STRIDE, Basenji2, load
from hapsight.models.basenji2_net import Basenji2Net, Channels
from hapsight.models.protocol import ReadOut
from tests.models.basenji2_slowly import predict_slowly, write_keras
from tests.verify.basenji2_oracle import random_codes

WIDTH = 16
GOLDEN = Path(__file__).parent / "data" / "basenji2_golden.json"
SOME = ReadOut("some", tracks=(5110, 3), bins=(10, 2, 700))


@pytest.fixture(scope="module")
def model() -> Basenji2:
    return load("random:1", width=WIDTH, dtype="float64")


@pytest.fixture(scope="module")
def codes() -> torch.Tensor:
    return torch.from_numpy(np.stack([random_codes(1), random_codes(2)]))


@pytest.fixture(scope="module")
def embedding(model: Basenji2, codes: torch.Tensor) -> torch.Tensor:
    return model.embed(codes)


@pytest.fixture(scope="module")
def outputs(model: Basenji2, codes: torch.Tensor) -> np.ndarray:
    return predict_slowly(model.network.state_dict(), codes[0].numpy(), "sigmoid")


class TestGeometry:
    def test_channels_as_published(self) -> None:
        assert Channels.of_width() == Channels(288, (339, 399, 470, 554, 652, 768), 384, 1536)

    def test_parameters(self) -> None:
        with torch.device("meta"):
            network = Basenji2Net(Channels.of_width())
        assert sum(parameter.numel() for parameter in network.parameters()) == 30_088_228

    def test_flop_as_in_the_facts(self, model: Basenji2) -> None:
        full = Basenji2("full", model.network, channels=Channels.of_width(), tracks=model.tracks)
        read_out = full.read_out("huang2023")
        assert full.flop_per_pass == full.plain_flop() == pytest.approx(233.25e9, rel=1e-4)
        assert full.embed_flop(LENGTH) == pytest.approx(189.94e9, rel=1e-4)
        assert full.embed_flop(440 * STRIDE) == pytest.approx(81.62e9, rel=1e-4)
        assert full.read_flop(read_out) == pytest.approx(8.437e9, rel=1e-4)
        dilated, last, head = 26.575e9, 2.114e9, 14.624e9
        assert full.plain_flop() - full.embed_flop(LENGTH) == pytest.approx(dilated + last + head, rel=1e-4)
        assert full.embed_flop(440 * STRIDE) + dilated * 434 / POSITIONS == pytest.approx(92.9e9, rel=1e-3)

    def test_window(self, model: Basenji2) -> None:
        assert (model.window.length, model.window.upstream, model.window.oriented) == (LENGTH, 65_536, False)
        assert model.window.upstream == (64 + 448) * STRIDE

    def test_what_the_centre_depends_on(self, model: Basenji2) -> None:
        single, ensemble = model.read_out("huang2023_single"), model.read_out("huang2023")
        first, last = model.span(single)
        assert (first, last) == (295, 729)
        assert (last - first) * STRIDE + 2 * HALO == 56_320
        assert model.bases(single) == (65_536 - 28_035, 65_536 + 28_035)
        assert model.bases(ensemble) == (65_536 - 28_036, 65_536 + 28_036)

    def test_both_strands_see_both_sides(self, model: Basenji2) -> None:
        one_sided = ReadOut("one", bins=(300,))
        start, end = model.bases(one_sided)
        assert model.bases(replace(one_sided, reverse_complement=True)) == (start, LENGTH - start)
        assert model.bases(ReadOut("all", bins=(0, 895), shifts=(-5, 5))) == (0, LENGTH)
        assert end < LENGTH - start

    def test_read_outs_of_the_studies(self, model: Basenji2) -> None:
        assert model.read_out().name == "huang2023_single"
        huang, sasse = model.read_out("huang2023"), model.read_out("sasse2023")
        assert (huang.tracks, huang.bins, huang.reduce) == ((5110,), tuple(range(443, 453)), "mean")
        assert (huang.reverse_complement, huang.shifts) == (True, (1, 0, -1))
        assert (sasse.tracks, sasse.bins, sasse.reduce) == ((4980,), (447, 448, 449), "sum")

    def test_mirrored(self, model: Basenji2) -> None:
        huang, sasse = model.read_out("huang2023"), model.read_out("sasse2023")
        assert model.mirrored(huang).bins == huang.bins
        assert model.mirrored(sasse).bins == (446, 447, 448)
        assert model.mirrored(model.mirrored(SOME)).bins == tuple(sorted(SOME.bins))


class TestPredict:
    def test_equals_the_slow_twin(self, model: Basenji2, codes: torch.Tensor, outputs: np.ndarray) -> None:
        predicted = model.predict(codes[:1], SOME).numpy()[0]
        expected = outputs[list(SOME.bins)][:, list(SOME.tracks)].mean(axis=0)
        np.testing.assert_allclose(predicted, expected, rtol=1e-10)

    def test_sums_where_asked(self, model: Basenji2, codes: torch.Tensor, outputs: np.ndarray) -> None:
        predicted = model.predict(codes[:1], model.read_out("sasse2023")).item()
        assert predicted == pytest.approx(outputs[447:450, 4980].sum(), rel=1e-10)

    @pytest.mark.parametrize("activation", ["sigmoid", "erf", "tanh"])
    def test_equals_the_golden_file(self, activation: str) -> None:
        golden = json.loads(GOLDEN.read_text())
        model = load("random:1", width=24, activation=activation, dtype="float64")
        codes = torch.from_numpy(random_codes(golden["codes_seed"]))[None]
        embedding = model.embed(codes)
        read_outs = [ReadOut("one", tuple(golden["tracks"]), (index,)) for index in golden["bins"]]
        predicted = [model.read(embedding[:, slice(*model.span(one))], one)[0].tolist() for one in read_outs]
        np.testing.assert_allclose(predicted, golden["outputs"][activation], rtol=1e-10)

    def test_another_length(self, model: Basenji2) -> None:
        message = r"one length only.\n  where: basenji2/random:1-width16\n.*131072\)\n  got: \(1, 1280\)"
        with pytest.raises(InputError, match=message):
            model.predict(torch.zeros((1, 1280), dtype=torch.uint8), SOME)

    def test_bins_tracks_and_reduce_that_are_not_there(self, model: Basenji2, codes: torch.Tensor) -> None:
        with pytest.raises(
            ConfigError, match=r"asks for bins .*\n.*read-out some\n.*0 to 895\n  got: \(896,\)"
        ):
            model.predict(codes, replace(SOME, bins=(896,)))
        with pytest.raises(ConfigError, match=r"asks for bins .*\n.*\n.*at least one.*\n  got: \(\)"):
            model.span(replace(SOME, bins=()))
        with pytest.raises(ConfigError, match=r"asks for tracks .*\n.*\n.*0 to 5312\n  got: \(5313,\)"):
            model.span(replace(SOME, tracks=(5313,)))
        with pytest.raises(ConfigError, match=r"unknown way.\n.*\n  expected: mean, sum\n  got: 'max'"):
            model.span(replace(SOME, reduce="max"))


class TestSharing:
    @settings(max_examples=12, deadline=None)
    @given(st.lists(st.integers(0, BINS - 1), min_size=1, max_size=6, unique=True))
    def test_read_equals_the_slow_twin(
        self, model: Basenji2, embedding: torch.Tensor, outputs: np.ndarray, bins: list[int]
    ) -> None:
        read_out = ReadOut("any", (4980, 0, 5312), tuple(bins))
        first, last = model.span(read_out)
        read = model.read(embedding[:1, first:last], read_out).numpy()[0]
        np.testing.assert_allclose(read, outputs[bins][:, list(read_out.tracks)].mean(axis=0), rtol=1e-10)

    @pytest.mark.parametrize("name", ["huang2023", "sasse2023", "default"])
    def test_read_of_embed_is_predict(
        self, model: Basenji2, codes: torch.Tensor, embedding: torch.Tensor, name: str
    ) -> None:
        read_out = model.read_out(name)
        first, last = model.span(read_out)
        read = model.read(embedding[:, first:last], read_out)
        torch.testing.assert_close(read, model.predict(codes, read_out), rtol=1e-10, atol=1e-12)

    def test_and_in_float32(self, codes: torch.Tensor) -> None:
        model = load("random:1", width=WIDTH)
        read_out = model.read_out()
        first, last = model.span(read_out)
        read = model.read(model.embed(codes)[:, first:last], read_out)
        assert read.dtype == torch.float32
        torch.testing.assert_close(read, model.predict(codes, read_out), rtol=1e-5, atol=0)

    @settings(max_examples=12, deadline=None)
    @given(st.integers(0, POSITIONS - 1), st.integers(1, 40))
    def test_embedding_of_a_chunk_with_its_halo(
        self, model: Basenji2, codes: torch.Tensor, embedding: torch.Tensor, first: int, count: int
    ) -> None:
        last, halo = min(first + count, POSITIONS), HALO // STRIDE
        start, end = max(0, first - halo), min(POSITIONS, last + halo)
        chunk = model.embed(codes[:, start * STRIDE : end * STRIDE])[:, first - start : last - start]
        torch.testing.assert_close(chunk, embedding[:, first:last], rtol=1e-10, atol=1e-12)

    def test_a_smaller_halo_is_wrong(
        self, model: Basenji2, codes: torch.Tensor, embedding: torch.Tensor
    ) -> None:
        chunk = model.embed(codes[:, 98 * STRIDE : 112 * STRIDE])
        assert float((chunk[:, 2:-2] - embedding[:, 100:110]).abs().max()) > 1e-9

    def test_nothing_else_has_an_effect(self, model: Basenji2, codes: torch.Tensor) -> None:
        read_out = model.read_out()
        first, last = model.bases(read_out)
        plain = model.predict(codes[:1], read_out)
        outside = codes[:1].clone()
        outside[:, :first] = outside[:, last:] = 2
        assert torch.equal(model.predict(outside, read_out), plain)
        assert not model.has_effect(first - 1, read_out)
        assert not model.has_effect(last, read_out)

    @pytest.mark.parametrize(("inner", "outer"), [(-REACH, -REACH - 1), (127 + REACH, 128 + REACH)])
    def test_reach_of_an_embedded_position(self, model: Basenji2, inner: int, outer: int) -> None:
        codes = torch.from_numpy(np.random.default_rng(3).integers(0, 4, (40, 9 * STRIDE)).astype(np.uint8))
        plain = model.embed(codes)[:, 4]
        for offset, expected in ((inner, True), (outer, False)):
            changed = codes.clone()
            changed[:, 4 * STRIDE + offset] ^= 1
            assert bool((model.embed(changed)[:, 4] != plain).any()) is expected

    @pytest.mark.parametrize("end", [0, -1])
    def test_the_outermost_positions_count(self, model: Basenji2, embedding: torch.Tensor, end: int) -> None:
        read_out = model.read_out()
        first, last = model.span(read_out)
        changed = embedding[:, first:last].clone()
        changed[:, end] += 1.0
        assert not torch.equal(model.read(changed, read_out), model.read(embedding[:, first:last], read_out))

    def test_wrong_shapes(self, model: Basenji2, embedding: torch.Tensor) -> None:
        refused = r"whole positions only.\n.*\n.*multiple of 128\)\n  got: \(1, 130\)"
        with pytest.raises(InputError, match=refused):
            model.embed(torch.zeros((1, 130), dtype=torch.uint8))
        with pytest.raises(
            InputError, match=r"positions .*\n.*read-out huang2023_single\n.*434, 16\)\n.*1024"
        ):
            model.read(embedding, model.read_out())


class TestOptions:
    def test_tracks_replace_those_of_the_read_outs(self, model: Basenji2, codes: torch.Tensor) -> None:
        other = load("random:1", width=WIDTH, dtype="float64", tracks=[7, 4980])
        sasse = other.read_out("sasse2023")
        assert (sasse.name, sasse.tracks) == ("sasse2023, tracks 7 4980", (7, 4980))
        assert sasse.description == "tracks 7 4980, sum of bins 447-449"
        assert other.predict(codes, sasse)[:, 1:].equal(model.predict(codes, model.read_out("sasse2023")))
        assert load("random:1", width=WIDTH, tracks=5110).read_out("huang2023").name == "huang2023"

    def test_without_the_list_tracks_have_numbers(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("HAPSIGHT_WEIGHTS", str(tmp_path))
        assert load("random:1", width=8).tracks[5110].name == "track 5110"
        with pytest.raises(ConfigError, match=r"'GM12878' fits no tracks"):
            load("random:1", width=8, tracks="GM12878")

    def test_fingerprint_knows_what_changes_numbers(self) -> None:
        prints = {
            load("random:1", width=8, **options).fingerprint
            for options in ({}, {"activation": "erf"}, {"dtype": "float64"})
        }
        prints |= {load("random:2", width=8).fingerprint, load("random:1", width=9).fingerprint}
        assert len(prints) == 5
        assert load("random:1", width=8).fingerprint in prints

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"width": 7}, r"'width' is out of range.\n  expected: 8 to 768\n  got: 7"),
            (
                {"activation": "relu"},
                r"'activation' is unknown.\n  expected: sigmoid, erf, tanh\n  got: 'relu'",
            ),
            ({"dtype": "bf16"}, r"'dtype' is unknown.\n  expected: float32, float64\n  got: 'bf16'"),
            ({"weights": "random:x"}, r"need a seed.\n.*whole number>\n  got: 'random:x'"),
            ({"weights": "humans"}, r"no weights 'humans'.\n  expected: human, zenodo, .*\n.*mean 'human'"),
        ],
    )
    def test_wrong_options(self, options: dict[str, object], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            load(**options)  # type: ignore[arg-type]


class TestFiles:
    @pytest.fixture
    def state(self) -> dict[str, torch.Tensor]:
        return basenji2_net.random_state(Channels.of_width(8), np.random.default_rng(5))

    def assert_same(self, path: Path, state: dict[str, torch.Tensor]) -> None:
        read = basenji2_net.read_weights(path, Channels.of_width(8))
        assert read.keys() == state.keys()
        assert all(torch.equal(read[name], state[name]) for name in state)

    @pytest.mark.parametrize(("first", "whole"), [(0, True), (31, True), (0, False)])
    def test_keras(self, tmp_path: Path, state: dict[str, torch.Tensor], first: int, whole: bool) -> None:
        write_keras(tmp_path / "w.h5", state, first, whole=whole)
        self.assert_same(tmp_path / "w.h5", state)

    def test_the_ports_names(self, tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
        theirs = port_state(state)
        torch.save(
            theirs | {"model.trunk.4.block.2.num_batches_tracked": torch.tensor(3)}, tmp_path / "w.pth"
        )
        self.assert_same(tmp_path / "w.pth", state)

    def test_safetensors(self, tmp_path: Path) -> None:
        model = load("random:5", width=8)
        basenji2_net.save_safetensors(model.network, tmp_path / "mine.safetensors")
        again = load(str(tmp_path / "mine.safetensors"), width=8)
        assert (again.name, again.fingerprint) == ("basenji2/mine-width8", model.fingerprint)

    def test_another_width(self, tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
        write_keras(tmp_path / "w.h5", state)
        message = r"another shape .*\n.*w.h5, conv1d/kernel\n.*\(15, 4, 288\) float32\n  got: \(15, 4, 3\)"
        with pytest.raises(WeightsError, match=message):
            load(str(tmp_path / "w.h5"))

    def test_a_missing_layer(self, tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
        theirs = port_state(state)
        del theirs["model.head.final.block.1.bias"]
        torch.save(theirs, tmp_path / "w.pth")
        with pytest.raises(
            WeightsError, match=r"missing: model.head.final.block.1.bias; not of this model: none"
        ):
            load(str(tmp_path / "w.pth"), width=8)

    def test_not_a_number(self, tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
        state["tower.3.norm.bias"][1] = float("nan")
        write_keras(tmp_path / "w.h5", state)
        with pytest.raises(WeightsError, match=r"batch_normalization_4/beta\n  got: 1 of \d+ infinite"):
            load(str(tmp_path / "w.h5"), width=8)

    def test_neither_hdf5_nor_keras(self, tmp_path: Path) -> None:
        (tmp_path / "w.h5").write_bytes(b"not HDF5")
        with pytest.raises(WeightsError, match="cannot be read as HDF5"):
            load(str(tmp_path / "w.h5"), width=8)

    def test_a_pickle_is_not_run(self, tmp_path: Path) -> None:
        torch.save({"x": Path("/")}, tmp_path / "w.pth")
        with pytest.raises(WeightsError, match="cannot be read as torch tensors"):
            load(str(tmp_path / "w.pth"), width=8)

    def test_files_that_are_not_here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HAPSIGHT_WEIGHTS", str(tmp_path))
        message = r"no file .*\n  where: .*basenji2/model_human.h5\n.*`hapsight models fetch basenji2`"
        with pytest.raises(WeightsError, match=message):
            load()
        with pytest.raises(WeightsError, match=r"no file .*\n  where: .*nowhere.h5$"):
            load(str(tmp_path / "nowhere.h5"))

    def test_wrong_checksum(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HAPSIGHT_WEIGHTS", str(tmp_path))
        (tmp_path / "basenji2").mkdir()
        (tmp_path / "basenji2" / "basenji2.pth").write_bytes(b"other")
        found = hashlib.md5(b"other").hexdigest()
        message = rf"checksum differs.\n.*\n  expected: md5 1f46acc933.*\n  got: md5 {found} \(5 bytes\)"
        with pytest.raises(WeightsError, match=message):
            load("zenodo")

    def test_the_official_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: dict[str, torch.Tensor]
    ) -> None:
        monkeypatch.setenv("HAPSIGHT_WEIGHTS", str(tmp_path))
        (tmp_path / "basenji2").mkdir()
        write_keras(tmp_path / "basenji2" / "model_human.h5", state)
        assert load(width=8).name == "basenji2/human-width8"


def port_state(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The port's names, written out once more; real files of the port are read in tests/verify."""
    places = {"stem": "trunk.0", "last": "trunk.4"} | {f"tower.{i}": f"trunk.1.tower.{i}" for i in range(6)}
    for i in range(11):
        places |= {
            f"dilated.{i}.{p}": f"trunk.2.block.{i}.module.{j}" for j, p in enumerate(("wide", "back"))
        }
    theirs = {f"model.head.final.block.1.{kind}": state[f"head.{kind}"] for kind in ("weight", "bias")}
    for ours, place in places.items():
        theirs[f"model.{place}.block.1.weight"] = state[f"{ours}.conv.weight"]
        for kind in ("weight", "bias", "running_mean", "running_var"):
            theirs[f"model.{place}.block.2.{kind}"] = state[f"{ours}.norm.{kind}"]
    return theirs
