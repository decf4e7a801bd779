from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from hapsight.cohort.nouns import Interval
from hapsight.dna import reverse_complement
from hapsight.engine.shared import plain_values, shared_values
from hapsight.errors import ConfigError, InputError, WeightsError
from hapsight.models.forward import with_gradients
from hapsight.models.mini import BINS, LENGTH, Mini, load, mirrored_tracks, read_outs_of
from hapsight.models.mini_net import CONTEXT_BINS, REACH, STRIDE, TRACKS, Channels, MiniNet, save_mini
from hapsight.models.protocol import ReadOut, Track
from hapsight.recipes.demo import demo_cohort
from hapsight.run.opened import Opened

SMALL = Channels(6, 5, 8)


def lively(seed: int = 1) -> MiniNet:
    """A small network none of whose layers is trivial."""
    torch.manual_seed(seed)
    network = MiniNet(SMALL, len(TRACKS))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        for name, buffer in network.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
            elif name.endswith("running_mean"):
                buffer.normal_(0, 0.2)
    return network.double().eval()


@pytest.fixture(scope="module")
def model() -> Mini:
    return Mini("mini/lively", lively(), TRACKS)


@pytest.fixture(scope="module")
def codes() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 5, (2, LENGTH)).astype(np.uint8)


class TestGeometry:
    def test_window_and_span(self, model: Mini) -> None:
        assert (model.window.length, model.window.upstream, model.window.oriented) == (8_192, 4_096, True)
        assert model.span(model.read_out()) == (112 - CONTEXT_BINS, 144 + CONTEXT_BINS) == (49, 207)
        assert (model.grid.stride, model.grid.before, model.grid.channels) == (32, 64, 8)

    def test_parameters_and_operations_of_the_full_size(self) -> None:
        network = MiniNet(Channels(), len(TRACKS))
        assert sum(parameter.numel() for parameter in network.parameters()) == 839_563
        full = Mini("full", network, TRACKS)
        assert full.flop_per_pass / LENGTH == pytest.approx(109e3, rel=0.01)

    @pytest.mark.parametrize(
        ("offset", "seen"), [(-REACH, True), (-REACH - 1, False), (31 + REACH, True), (32 + REACH, False)]
    )
    def test_a_bin_of_the_embedding_sees_its_reach(self, model: Mini, offset: int, seen: bool) -> None:
        codes = np.random.default_rng(6).integers(0, 4, (400, 320)).astype(np.uint8)
        changed = codes.copy()
        changed[:, 5 * STRIDE + offset] = (codes[:, 5 * STRIDE + offset] + 1) % 4
        before, after = (model.embed(torch.from_numpy(some))[:, 5] for some in (codes, changed))
        assert bool((before != after).any()) == seen

    def test_a_variant_out_of_reach_has_no_effect(self, model: Mini, codes: np.ndarray) -> None:
        first, last = model.span(model.read_out())
        changed = codes.copy()
        changed[:, : first * STRIDE - REACH] = 0
        changed[:, last * STRIDE + REACH :] = 3
        a, b = (plain_values(model, model.read_out(), some, "cpu") for some in (codes, changed))
        np.testing.assert_array_equal(a, b)
        changed[:, first * STRIDE] = (codes[:, first * STRIDE] + 1) % 4
        changed[:, 4_096] = (codes[:, 4_096] + 1) % 4
        assert (plain_values(model, model.read_out(), changed, "cpu") != a).all()


class TestPredict:
    @pytest.mark.parametrize("bins", [tuple(range(112, 144)), (0, 7), (255,), (3, 250)])
    def test_reading_the_embedding_equals_the_plain_pass(
        self, model: Mini, codes: np.ndarray, bins: tuple[int, ...]
    ) -> None:
        read_out = ReadOut("some", (0, 9), bins, "log1p_sum")
        batch = torch.from_numpy(codes)
        embedding = model.embed(batch)[:, slice(*model.span(read_out))]
        expected = model.predict(batch, read_out).numpy()
        np.testing.assert_allclose(model.read(embedding, read_out).numpy(), expected, rtol=1e-12)

    def test_equals_the_network_by_hand(self, model: Mini, codes: np.ndarray) -> None:
        hot = torch.zeros(2, 4, LENGTH, dtype=torch.float64)
        for row in range(2):
            for base in range(4):
                hot[row, base] = torch.from_numpy(codes[row] == base)
        with torch.no_grad():
            bins = model.network(hot).numpy()  # (2, 256, 11)
        expected = np.log(1 + bins[:, 112:144, 0].sum(axis=1))
        found = model.predict(torch.from_numpy(codes), model.read_out())
        np.testing.assert_allclose(found[:, 0], expected, rtol=1e-12)

    def test_linear_is_the_mean_before_the_softplus(self, model: Mini, codes: np.ndarray) -> None:
        measured, linear = model.read_out(), model.read_out(model.training_read_out)
        one_bin = [replace(read_out, bins=(5,)) for read_out in (measured, linear)]
        batch = torch.from_numpy(codes)
        y, x = (model.predict(batch, read_out) for read_out in one_bin)
        torch.testing.assert_close(y, torch.log1p(torch.nn.functional.softplus(x)))
        bins = [model.predict(batch, replace(linear, bins=(index,))) for index in linear.bins]
        torch.testing.assert_close(model.predict(batch, linear), torch.stack(bins).mean(dim=0))

    def test_linear_keeps_its_gradient_where_nothing_is_transcribed(self, codes: np.ndarray) -> None:
        silent = lively()
        with torch.no_grad():
            silent.head.bias.fill_(-60.0)
        model = Mini("mini/silent", silent, TRACKS)
        gradients = []
        for read_out in (model.read_out(), model.read_out(model.training_read_out)):
            with with_gradients():
                value = model.predict(torch.from_numpy(codes), read_out).sum()
                gradients.append(torch.autograd.grad(value, silent.last.weight)[0].abs().max().item())
        assert gradients[0] < 1e-12 < 1e-3 < gradients[1]

    @pytest.mark.parametrize("name", ["linear", "default"])
    def test_shared_equals_plain(self, model: Mini, codes: np.ndarray, name: str) -> None:
        people = np.repeat(codes[:1], 6, axis=0)
        people[np.arange(6), 1_000 + 600 * np.arange(6)] = 2
        found, work = shared_values(model, model.read_out(name), people, device="cpu")
        plain = plain_values(model, model.read_out(name), people, "cpu")
        np.testing.assert_allclose(found, plain, rtol=1e-12)
        assert work.flop < 6 * model.flop_per_pass

    def test_mirrored_read_outs(self, model: Mini) -> None:
        mirrored = model.mirrored(model.read_out("K562_transcription"))
        assert [model.tracks[index].name for index in mirrored.tracks] == ["K562_antisense"]
        assert mirrored.bins == tuple(range(112, 144))
        one_sided = ReadOut("one", (8,), (3,), "log1p_sum")
        assert model.mirrored(one_sided) == replace(one_sided, bins=(252,))
        assert model.mirrored(model.mirrored(one_sided)) == one_sided

    def test_the_other_strand_is_another_sequence(self, model: Mini, codes: np.ndarray) -> None:
        flipped = torch.from_numpy(reverse_complement(codes))
        assert not torch.equal(
            model.predict(flipped, model.read_out()), model.predict(torch.from_numpy(codes), model.read_out())
        )

    def test_another_length(self, model: Mini, codes: np.ndarray) -> None:
        with pytest.raises(InputError, match="one length only") as caught:
            model.predict(torch.from_numpy(codes[:, 1:]), model.read_out())
        assert caught.value.details["got"] == "(2, 8191)"
        with pytest.raises(InputError, match="whole positions only"):
            model.embed(torch.from_numpy(codes[:, :33]))
        with pytest.raises(InputError, match="positions that a read-out"):
            model.read(torch.zeros(1, 3, 8), model.read_out())

    @pytest.mark.parametrize(
        "wrong", [{"tracks": (11,)}, {"bins": (BINS,)}, {"bins": ()}, {"reduce": "mean"}]
    )
    def test_foreign_read_outs(self, model: Mini, codes: np.ndarray, wrong: dict[str, object]) -> None:
        with pytest.raises(ConfigError, match="mini does not have"):
            model.predict(torch.from_numpy(codes), replace(model.read_out(), **wrong))


class TestTracks:
    def test_partners(self) -> None:
        assert mirrored_tracks(TRACKS) == (1, 0, 3, 2, 5, 4, 7, 6, 8, 9, 10)

    def test_a_track_without_its_partner(self) -> None:
        with pytest.raises(ConfigError, match="no single partner") as caught:
            mirrored_tracks(TRACKS[:1])
        assert caught.value.details["where"] == "GM12878_transcription"

    def test_read_outs(self) -> None:
        read_outs = read_outs_of(TRACKS)
        assert read_outs["default"].tracks == (0,)
        assert read_outs["MCF7_accessibility"].tracks == (10,)
        assert not any("antisense" in name for name in read_outs)
        with pytest.raises(ConfigError, match="no track that is not of the other strand"):
            read_outs_of([Track("a", "b", "c", "-", "d")])


class TestFiles:
    def test_what_is_saved_is_loaded(self, tmp_path: Path, codes: np.ndarray) -> None:
        path, network = tmp_path / "mine.safetensors", lively().float()
        save_mini(network, TRACKS, path, {"steps": 7})
        loaded = load(str(path))
        assert (loaded.name, loaded.tracks) == ("mini/mine", TRACKS)
        assert loaded.fingerprint == Mini("x", network, TRACKS).fingerprint
        expected = Mini("x", network, TRACKS).predict(torch.from_numpy(codes), loaded.read_out())
        assert torch.equal(loaded.predict(torch.from_numpy(codes), loaded.read_out()), expected)
        with safe_open(path, "np") as file:
            assert json.loads(file.metadata()["training"]) == {"steps": 7}

    def test_random_weights(self) -> None:
        assert load("random:1").fingerprint == load("random:1").fingerprint != load("random:2").fingerprint
        assert load("random:1", dtype="float64").network.head.weight.dtype == torch.float64

    @pytest.mark.parametrize(
        ("weights", "message"),
        [("human", "no weights 'human'"), ("random:x", "need a seed")],
    )
    def test_unknown_names(self, weights: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            load(weights)

    def test_unknown_dtype(self) -> None:
        with pytest.raises(ConfigError, match="'dtype' is unknown"):
            load("random:1", dtype="float16")

    def test_broken_files(self, tmp_path: Path) -> None:
        path = tmp_path / "w.safetensors"
        with pytest.raises(WeightsError, match="no file of weights"):
            load(str(path))
        path.write_bytes(b"\x01")
        with pytest.raises(WeightsError, match="cannot be read as safetensors"):
            load(str(path))
        save_file({"a": np.zeros(1, np.float32)}, path)
        with pytest.raises(WeightsError, match="not one of mini's"):
            load(str(path))


class TestPackagedWeights:
    def test_they_say_what_they_were_trained_on(self) -> None:
        model = load()
        assert (model.name, model.tracks) == ("mini/chr22", TRACKS)
        with safe_open(files("hapsight") / "data" / "mini-chr22.safetensors", "np") as file:
            training = json.loads(file.metadata()["training"])["plan"]
        assert "chr22:36000001-40500000" in training["blocks"]["test"]

    def test_they_tell_a_promoter_from_other_sequence(self) -> None:
        """At the TSS of the demo's genes they predict more transcription than at places in between."""
        model, cohort = load(), Opened.from_config(demo_cohort()).cohort
        places = {"at": 0, "beside": 20_000}
        found = {name: [] for name in places}
        for gene in cohort.genes[::5]:
            for name, away in places.items():
                start = gene.tss + away - LENGTH // 2
                codes = cohort.reference.fetch(Interval(gene.contig, start, start + LENGTH))
                found[name].append(plain_values(model, model.read_out(), codes[None], "cpu").item())
        assert np.mean(found["at"]) > np.mean(found["beside"]) + 0.3
