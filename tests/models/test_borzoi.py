from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch.nn import functional as F  # noqa: N812

from hapsight.errors import ConfigError, InputError, WeightsError
from hapsight.models.borzoi import (
    BINS,
    CENTRE,
    FIRST_BIN,
    LENGTH,
    POSITIONS,
    Borzoi,
    load,
    load_flashzoi,
    random_weights,
    read_weights,
    save_safetensors,
)
from hapsight.models.borzoi_net import (
    BorzoiNet,
    BorzoiSizes,
    RelativeAttention,
    RotaryAttention,
    attend_flop,
    decode_flop,
    embed_flop,
    head_flop,
    relative_features,
)
from hapsight.models.catalogue import BORZOI_TARGETS
from hapsight.models.forward import one_hot
from hapsight.models.protocol import ReadOut
from hapsight.models.tracks import Squash, published_targets, read_borzoi_targets
from tests.verify.borzoi_oracle import input_codes

pytestmark = pytest.mark.usefixtures("one_thread")

GOLDEN = json.loads((Path(__file__).parent / "data" / "borzoi_golden.json").read_text())
WIDTH = 16
EXON_BINS = (3070, 3071, 3095)


@pytest.fixture(autouse=True)
def weights_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder of weights: no test sees the user's."""
    monkeypatch.setenv("HAPSIGHT_WEIGHTS", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def model() -> Borzoi:
    return load("random:1", width=WIDTH, bins=EXON_BINS, tracks=[0, 870, 871, 6112, 7610], dtype="float64")


@pytest.fixture(scope="module")
def codes() -> torch.Tensor:
    return torch.from_numpy(input_codes(GOLDEN["borzoi"][0]["case"]["seed"], LENGTH))


@pytest.fixture(scope="module")
def embedding(model: Borzoi, codes: torch.Tensor) -> torch.Tensor:
    return model.embed(codes)


@pytest.fixture(scope="module")
def attended() -> torch.Tensor:
    """Something that a transformer may say of all positions."""
    return torch.from_numpy(np.random.default_rng(9).standard_normal((1, POSITIONS, WIDTH)))


@pytest.fixture(scope="module")
def decoded(model: Borzoi, embedding: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
    """All bins before the head, as in `predict`."""
    with torch.no_grad():
        return model.network.decode(attended, embedding)


def bins_of(model: Borzoi, decoded: torch.Tensor, bins: list[int], tracks: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model.network.head(decoded[..., [FIRST_BIN + index for index in bins]], tracks)


def small_net() -> BorzoiNet:
    sizes = BorzoiSizes(5, (6, 7, 9, 11, 13), dim=12, heads=4, key=3, value=5, layers=2, final=7, tracks=9)
    net = BorzoiNet(sizes)
    net.load_state_dict(random_weights(sizes, seed=3), strict=False)
    return net.double().eval()


class TestAgreement:
    def test_of_a_whole_window_with_borzoi_pytorch(self, codes: torch.Tensor) -> None:
        """In float32, of `predict` with the judge, and of `read` with `predict`."""
        golden, model = GOLDEN["borzoi"][0], load("random:1", width=WIDTH)
        read_out = ReadOut("test", tuple(GOLDEN["tracks"]), tuple(golden["case"]["bins"][2:-1]), "sum")
        judge = np.array(golden["outputs"])[:, 2:-1].sum(axis=1)
        plain = model.predict(codes, read_out).numpy()
        np.testing.assert_allclose(plain[0], judge, rtol=1e-4)
        np.testing.assert_allclose(model.read(model.embed(codes), read_out).numpy(), plain, rtol=1e-5)

    @pytest.mark.parametrize("name", ["borzoi", "flashzoi"])
    def test_of_a_short_window_with_borzoi_pytorch(self, name: str) -> None:
        case = GOLDEN[name][1]["case"]
        net = BorzoiNet(BorzoiSizes.of_width(case["width"], rotary=name == "flashzoi"))
        net.load_state_dict(random_weights(net.sizes, case["seed"]), strict=False)
        net.double().eval()
        with torch.no_grad():
            x = net.embed(one_hot(torch.from_numpy(input_codes(case["seed"], case["length"]))).double())
            y = net.decode(net.attend(x, 0, x.shape[1]), x)[..., 32:96]
            found = net.head(y, GOLDEN["tracks"])[0].numpy()
        np.testing.assert_allclose(found, GOLDEN[name][1]["outputs"], rtol=1e-9)


class TestReadIsPredict:
    @pytest.mark.parametrize("bins", [(0,), (1,), (2, 3), (BINS - 1,), (BINS - 1, 0), CENTRE])
    def test_on_any_bins(
        self,
        model: Borzoi,
        embedding: torch.Tensor,
        attended: torch.Tensor,
        decoded: torch.Tensor,
        bins: tuple[int, ...],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Of all behind the transformer, whose last layer has its own tests below."""
        monkeypatch.setattr(model.network, "attend", lambda _, first, last: attended[:, first:last])
        plain = bins_of(model, decoded, list(bins), [870, 3]).sum(2)
        read = model.read(embedding, ReadOut("test", (870, 3), bins, "sum"))
        np.testing.assert_allclose(read.numpy(), plain.numpy(), rtol=1e-10)

    def test_of_flashzoi_in_float64(self, codes: torch.Tensor) -> None:
        flashzoi = load_flashzoi("random:4", width=WIDTH, bins=EXON_BINS, dtype="float64")
        read_out = flashzoi.read_out("rna_gm12878")
        plain = flashzoi.predict(codes, read_out)
        assert plain.shape == (1, 6)
        read = flashzoi.read(flashzoi.embed(codes), read_out)
        np.testing.assert_allclose(read.numpy(), plain.numpy(), rtol=1e-10)

    @pytest.mark.verify
    def test_of_borzoi_in_float64(self, model: Borzoi, codes: torch.Tensor, embedding: torch.Tensor) -> None:
        for name in model.read_outs:
            plain = model.predict(codes, model.read_out(name))
            read = model.read(embedding, model.read_out(name))
            np.testing.assert_allclose(read.numpy(), plain.numpy(), rtol=1e-10)


class TestEmbed:
    @pytest.mark.parametrize("core", [(0, 5), (17, 30), (55, 64)])
    def test_a_chunk_with_its_halo_is_the_windows(self, core: tuple[int, int]) -> None:
        net, halo = small_net(), 3
        sequence = one_hot(torch.from_numpy(input_codes(5, 64 * 128))).double()
        first, last = max(0, core[0] - halo), min(64, core[1] + halo)
        with torch.no_grad():
            whole = net.embed(sequence)
            chunk = net.embed(sequence[..., first * 128 : last * 128])
        part = chunk[:, core[0] - first : core[1] - first]
        torch.testing.assert_close(part, whole[:, core[0] : core[1]], rtol=0, atol=1e-12)

    def test_two_positions_of_halo_are_too_few(self) -> None:
        net = small_net()
        sequence = one_hot(torch.from_numpy(input_codes(5, 64 * 128))).double()
        with torch.no_grad():
            whole = net.embed(sequence)[:, 20:24]
            chunk = net.embed(sequence[..., 18 * 128 : 26 * 128])[:, 2:6]
        assert (whole - chunk).abs().max() > 1e-12

    def test_through_the_model(self, model: Borzoi, codes: torch.Tensor, embedding: torch.Tensor) -> None:
        assert embedding.shape == (1, POSITIONS, model.grid.channels)
        stretch = model.embed(codes[:, : 128 * 40])[:, :37]
        torch.testing.assert_close(stretch, embedding[:, :37], rtol=0, atol=1e-12)
        stretch = model.embed(codes[:, -128 * 40 :])[:, 3:]
        torch.testing.assert_close(stretch, embedding[:, -37:], rtol=0, atol=1e-12)

    def test_published_channels(self) -> None:
        assert BorzoiSizes.of_width().embedding == 2 * 1536 + 4 * 1280 == 8192


class TestAttention:
    def test_relative_features_by_hand(self) -> None:
        features = relative_features(torch.tensor([0, -1, 4095]))
        assert features.shape == (3, 32)
        assert features[0].tolist() == [1.0] * 16 + [0.0] * 16
        # 4097**(1/16) - 1 = 0.68 and 4097**(2/16) - 1 = 1.83: a distance of 1 lies outside of the first only
        assert features[1].tolist() == [0.0] + [1.0] * 15 + [0.0] + [-1.0] * 15
        assert features[2].tolist() == ([0.0] * 15 + [1.0]) * 2

    def test_the_last_layer_on_some_positions(self) -> None:
        net = small_net()
        x = torch.from_numpy(np.random.default_rng(1).standard_normal((2, 40, net.sizes.embedding)))
        with torch.no_grad():
            whole = net.attend(x, 0, 40)
            for first, last in ((0, 1), (7, 12), (39, 40)):
                part = net.attend(x, first, last)
                torch.testing.assert_close(part, whole[:, first:last], rtol=0, atol=1e-12)

    @settings(max_examples=10, deadline=None)
    @given(st.sampled_from([1, 2, 30, 255, 256, 257, 400]), st.data())
    def test_relative_is_the_obvious_sum(self, n: int, data: st.DataObject) -> None:
        sizes = BorzoiSizes(dim=6, heads=3, key=2, value=4)
        attention = _random(RelativeAttention(sizes), seed=n)
        first = data.draw(st.integers(0, n - 1))
        last = data.draw(st.integers(first + 1, n))
        x = torch.from_numpy(np.random.default_rng(n).standard_normal((1, n, 6)))
        with torch.no_grad():
            found = attention(x, first, last)
            torch.testing.assert_close(
                found, relative_slowly(attention, x)[:, first:last], rtol=0, atol=1e-12
            )

    @settings(max_examples=15, deadline=None)
    @given(st.integers(1, 60), st.data())
    def test_rotary_is_the_obvious_rotation(self, n: int, data: st.DataObject) -> None:
        sizes = BorzoiSizes(dim=24, heads=4, key=6, value=6, rotary=4)
        attention = _random(RotaryAttention(sizes), seed=n)
        first = data.draw(st.integers(0, n - 1))
        last = data.draw(st.integers(first + 1, n))
        x = torch.from_numpy(np.random.default_rng(n).standard_normal((1, n, 24)))
        with torch.no_grad():
            found = attention(x, first, last)
            torch.testing.assert_close(found, rotary_slowly(attention, x)[:, first:last], rtol=0, atol=1e-12)


def _random(attention: torch.nn.Module, seed: int) -> torch.nn.Module:
    rng = np.random.default_rng(seed)
    attention.double()
    for parameter in attention.parameters():
        parameter.data = torch.from_numpy(rng.standard_normal(parameter.shape))
    return attention


def relative_slowly(a: RelativeAttention, x: torch.Tensor) -> torch.Tensor:
    """All queries, head by head, the position scores gathered entry by entry."""
    n, key, value = x.shape[1], a.sizes.key, a.sizes.value
    q, k, v = a.to_q(x[0]) / math.sqrt(key), a.to_k(x[0]), a.to_v(x[0])
    index = torch.arange(n)
    distance = index[None, :] - index[:, None]  # key minus query
    rel_k = a.to_rel_k(relative_features(distance.flatten())).reshape(n, n, -1)
    heads = []
    for h in range(a.sizes.heads):
        part, mine = slice(h * key, (h + 1) * key), q[:, h * key : (h + 1) * key]
        content = (mine + a.rel_content_bias[0, h]) @ k[:, part].T
        position = torch.einsum("ik,ijk->ij", mine + a.rel_pos_bias[0, h], rel_k[:, :, part])
        heads.append((content + position).softmax(1) @ v[:, h * value : (h + 1) * value])
    return a.to_out(torch.cat(heads, 1))[None]


def rotary_slowly(a: RotaryAttention, x: torch.Tensor) -> torch.Tensor:
    """Pairs of numbers as complex ones, turned by ``position / 20000 ** (2 i / rotary)``."""
    n, size, half = x.shape[1], a.sizes.key, a.sizes.rotary // 2

    def turned(head: torch.Tensor) -> torch.Tensor:
        pairs = torch.complex(head[:, :half], head[:, half : 2 * half])
        speed = torch.tensor([20_000.0 ** (-i / half) for i in range(half)], dtype=torch.float64)
        pairs = pairs * torch.polar(torch.ones(n, half).double(), torch.arange(n).double()[:, None] * speed)
        return torch.cat([pairs.real, pairs.imag, head[:, 2 * half :]], 1)

    parts = a.mha.Wqkv(x[0]).split(size, dim=1)  # 4 queries, 2 keys, 2 values
    heads = [
        (turned(parts[h]) @ turned(parts[4 + h // 2]).T / math.sqrt(size)).softmax(1) @ parts[6 + h // 2]
        for h in range(4)
    ]
    return a.mha.out_proj(torch.cat(heads, 1))[None]


class TestDecoder:
    def test_a_stretch_lacks_three_bins_at_each_end(self) -> None:
        net = small_net()
        with torch.no_grad():
            embedding = torch.from_numpy(
                np.random.default_rng(1).standard_normal((1, 20, net.sizes.embedding))
            )
            attended = net.attend(embedding, 0, 20)
            whole = net.decode(attended, embedding)
            part = net.decode(attended[:, 4:9], embedding[:, 4:9])
        torch.testing.assert_close(part[..., 3:-3], whole[..., 19:33], rtol=0, atol=1e-12)
        assert (part[..., 2] - whole[..., 18]).abs().max() > 1e-9
        assert (part[..., -3] - whole[..., 33]).abs().max() > 1e-9


class TestReductions:
    X = torch.tensor([[[1.0, 2.0], [30.0, 50.0]]])  # two tracks, two bins

    def combine(self, model: Borzoi, reduce: str, tracks: tuple[int, ...]) -> list[float]:
        return model._combine(self.X, ReadOut("test", tracks, (0, 1), reduce))[0].tolist()

    def test_by_hand(self, model: Borzoi) -> None:
        assert self.combine(model, "mean", (0, 1)) == [1.5, 40.0]
        assert self.combine(model, "sum", (0, 1)) == [3.0, 80.0]
        assert self.combine(model, "sum_strands", (870,)) == [83.0]

    def test_the_strands_are_computed_together(self, model: Borzoi) -> None:
        assert model._computed_tracks(model.read_out("cage_gm12878")) == (870, 871)
        assert model._computed_tracks(model.read_out("tracks")) == (0, 870, 871, 6112, 7610)

    def test_a_track_without_strand_counts_once(self, weights_folder: Path) -> None:
        write_targets(weights_folder / "two.txt", [("A", 0, "sum", "CAGE:x")])
        model = object.__new__(Borzoi)
        model.targets = read_borzoi_targets(weights_folder / "two.txt", 1)
        assert self.combine(model, "sum_strands", (0,)) == [3.0]

    def test_squashing_is_undone_by_hand(self) -> None:
        rna = Squash(exponent=0.75, clip_soft=384.0, scale=0.3)
        # below the clip: 16 -> 16**.75 = 8 -> 2.4; above: 10,000 -> 1,000 -> 384 + sqrt(616) = 408.8
        squashed = torch.tensor([0.0, 2.4, 0.3 * (384 + math.sqrt(616))], dtype=torch.float64)
        np.testing.assert_allclose(rna.undo(squashed).numpy(), [0.0, 16.0, 10_000.0], rtol=1e-12)
        atac = Squash(exponent=1.0, clip_soft=96.0, scale=0.01)
        np.testing.assert_allclose(
            atac.undo(torch.tensor([0.5, 0.96, 1.06])).numpy(), [50, 96, 196], rtol=1e-5
        )

    @settings(max_examples=50, deadline=None)
    @given(st.floats(0, 1e6), st.sampled_from([0.75, 1.0]), st.sampled_from([32.0, 384.0]))
    def test_squashing_is_undone(self, coverage: float, exponent: float, clip: float) -> None:
        powered = coverage**exponent
        soft = powered if powered <= clip else clip + math.sqrt(powered - clip)
        squash = Squash(exponent, clip, 0.3)
        found = squash.undo(torch.tensor([0.3 * soft], dtype=torch.float64)).item()
        assert found == pytest.approx(coverage, rel=1e-6, abs=1e-6)

    def test_exon_bins_are_summed_after_it(self, model: Borzoi) -> None:
        squash = model.targets[6112].squash
        assert squash == Squash(0.75, 384.0, 0.3)
        found = self.combine(model, "sum_unsquashed", (6112, 6113))
        expected = [[(value / 0.3) ** (4 / 3) for value in bins] for bins in self.X[0].tolist()]
        np.testing.assert_allclose(found, np.sum(expected, axis=1), rtol=1e-5)


class TestMirrored:
    def test_bins_and_strands_change_ends(self, model: Borzoi) -> None:
        rna = model.mirrored(model.read_out("rna_gm12878"))
        assert rna.tracks == (6113, 6112, 6115, 6114, 6117, 6116)
        assert rna.bins == (6143 - 3070, 6143 - 3071, 6143 - 3095)
        assert model.mirrored(rna) == model.read_out("rna_gm12878")

    def test_an_unknown_strand_is_an_error(self, model: Borzoi) -> None:
        with pytest.raises(ConfigError) as caught:
            model.mirrored(model.read_out("tracks"))
        message = str(caught.value)
        assert "The other strand of track 0 is unknown" in message
        assert "borzoi_targets_human.txt" in message
        assert BORZOI_TARGETS.url in message


class TestFlop:
    def test_is_that_of_the_published_model(self) -> None:
        sizes = BorzoiSizes.of_width()
        assert round(embed_flop(sizes, LENGTH) / 1e9) == 2560  # 2,559.5
        assert round(attend_flop(sizes, POSITIONS, POSITIONS, POSITIONS) / 1e9) == 1858
        rest = decode_flop(sizes, POSITIONS) + head_flop(sizes, BINS, 7611)
        assert round(rest / 1e9) == 493

    def test_through_a_model_of_that_size(self) -> None:
        with torch.device("meta"):
            net = BorzoiNet(BorzoiSizes.of_width())
        model = object.__new__(Borzoi)
        model.network, model.tracks, model.targets = net, (), published_targets()
        model.tracks = tuple(target.track for target in model.targets)
        assert round(model.plain_flop() / 1e9) == 4910
        assert model.embed_flop(LENGTH // 4) == pytest.approx(embed_flop(net.sizes, LENGTH) / 4)
        cage = ReadOut("cage", (870,), CENTRE, "sum_strands")
        assert model.read_flop(cage) < 0.33 * model.plain_flop()

    def test_counts_what_torch_counts(self) -> None:
        from torch.utils.flop_counter import FlopCounterMode

        net = small_net()
        embedding = torch.zeros(1, 300, net.sizes.embedding, dtype=torch.float64)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            attended = net.attend(embedding, 20, 30)
            net.head(net.decode(attended, embedding[:, 20:30]), [1, 2])
            net.embed(torch.zeros(1, 4, 640, dtype=torch.float64))
        s = net.sizes
        ours = attend_flop(s, 300, 10, 256) + decode_flop(s, 10) + head_flop(s, 40, 2) + embed_flop(s, 640)
        assert ours == pytest.approx(counter.get_total_flops(), rel=0.02)


class TestWeights:
    def test_come_back_from_a_file(self, tmp_path: Path) -> None:
        model = load("random:7", width=WIDTH)
        save_safetensors(model.network, tmp_path / "own.safetensors")
        again = load(str(tmp_path / "own.safetensors"), width=WIDTH)
        assert again.fingerprint == model.fingerprint
        assert again.name == "borzoi/own-width16"

    def test_of_the_published_layout_with_its_extras(self, tmp_path: Path) -> None:
        net = load("random:7", width=WIDTH).network
        extras = {"mouse_head.weight": torch.zeros(2, 3, 1), "mouse_head.bias": torch.zeros(2)}
        state = {name: tensor.clone() for name, tensor in net.state_dict().items()} | extras
        folder = tmp_path / "borzoi"
        folder.mkdir()
        save_file(state, folder / "replicate-2.safetensors")
        torch.save(state, tmp_path / "pytorch_model.bin")
        for weights in ("replicate-2", str(tmp_path / "pytorch_model.bin")):
            found = load(weights, width=WIDTH)
            assert torch.equal(found.network.unet1[1].conv_layer.weight, net.unet1[1].conv_layer.weight)

    def test_names_are_the_published_ones(self) -> None:
        names = random_weights(BorzoiSizes.of_width(16), 1).keys()
        rotary = random_weights(BorzoiSizes.of_width(16, rotary=True), 1).keys()
        assert {
            "conv_dna.conv_layer.weight",
            "res_tower.8.norm.running_var",
            "transformer.7.0.fn.1.rel_content_bias",
            "transformer.0.1.fn.4.weight",
            "separable0.conv_layer.1.bias",
            "final_joined_convs.0.conv_layer.weight",
        } <= names
        assert {"transformer.0.0.fn.1.mha.Wqkv.weight", "transformer.0.0.fn.1.mha.out_proj.bias"} <= rotary

    def test_published_shapes(self) -> None:
        with torch.device("meta"):
            state = BorzoiNet(BorzoiSizes.of_width()).state_dict()
            flash = BorzoiNet(BorzoiSizes.of_width(rotary=True)).state_dict()
        assert tuple(state["human_head.weight"].shape) == (7611, 1920, 1)
        assert tuple(state["transformer.0.0.fn.1.to_rel_k.weight"].shape) == (512, 32)
        assert tuple(state["res_tower.8.conv_layer.weight"].shape) == (1280, 1056, 5)
        assert tuple(flash["transformer.0.0.fn.1.mha.Wqkv.weight"].shape) == (3072, 1536)

    def test_of_the_other_model_are_refused(self, tmp_path: Path) -> None:
        save_safetensors(load_flashzoi("random:1", width=WIDTH).network, tmp_path / "f.safetensors")
        with pytest.raises(WeightsError, match=r"missing: .*to_q\.weight.*not of this model: .*mha\.Wqkv"):
            load(str(tmp_path / "f.safetensors"), width=WIDTH)

    def test_of_another_width_are_refused(self, tmp_path: Path) -> None:
        save_safetensors(load("random:1", width=WIDTH).network, tmp_path / "w.safetensors")
        with pytest.raises(
            WeightsError, match=r"(?s)another shape.*expected: \(10, 4, 15\).*got: \(5, 4, 15\)"
        ):
            read_weights(tmp_path / "w.safetensors", BorzoiSizes.of_width(32))

    def test_that_are_missing_say_where_to_get_them(self, weights_folder: Path) -> None:
        with pytest.raises(WeightsError) as caught:
            load("replicate-1")
        assert str(weights_folder / "borzoi" / "replicate-1.safetensors") in str(caught.value)
        assert "huggingface.co/johahi/borzoi-replicate-0" in str(caught.value)

    def test_of_an_unknown_name(self) -> None:
        with pytest.raises(ConfigError, match=r"no weights 'random:x'(?s:.*)replicate-3, random:<seed>"):
            load("random:x")

    def test_seeds_differ_and_repeat(self) -> None:
        one, two, again = (load(f"random:{seed}", width=WIDTH) for seed in (1, 2, 1))
        assert one.fingerprint == again.fingerprint != two.fingerprint


def write_targets(path: Path, rows: list[tuple[str, int, str, str]]) -> None:
    lines = ["\tidentifier\tfile\tclip\tclip_soft\tscale\tsum_stat\tstrand_pair\tdescription"]
    lines += [f"{i}\t{n}\tf.w5\t768\t384\t0.3\t{s}\t{p}\t{d}" for i, (n, p, s, d) in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n")


class TestTargets:
    ROWS = (
        ("CNhs1+", 1, "sum", "CAGE:brain"),
        ("CNhs1-", 0, "sum", "CAGE:brain"),
        ("ENC2", 2, "mean", "CHIP:CTCF:MCF-7"),
    )

    def test_are_read(self, tmp_path: Path) -> None:
        write_targets(tmp_path / "t.txt", list(self.ROWS))
        targets = read_borzoi_targets(tmp_path / "t.txt", 3)
        assert [target.pair for target in targets] == [1, 0, 2]
        assert [target.track.strand for target in targets] == ["+", "-", "."]
        assert (targets[2].track.assay, targets[2].track.cell_type) == ("CHIP:CTCF", "MCF-7")
        assert targets[0].squash == Squash(1.0, 384.0, 0.3)

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ((("a+", 1, "sum", "x"), ("a-", 1, "sum", "x")), "track 0 points at 1"),
            ((("a", 0, "median", "x"),), "line 2(?s:.*)a statistic of mean, sum, sum_sqrt(?s:.*)'median'"),
            ((("a", 0, "sum", ""),), "index 0, 'a', ''"),
        ],
    )
    def test_that_are_broken(
        self, tmp_path: Path, rows: tuple[tuple[str, int, str, str], ...], message: str
    ) -> None:
        write_targets(tmp_path / "t.txt", list(rows))
        with pytest.raises(WeightsError, match=message):
            read_borzoi_targets(tmp_path / "t.txt", len(rows))

    def test_of_another_number_or_kind(self, tmp_path: Path) -> None:
        write_targets(tmp_path / "t.txt", list(self.ROWS))
        with pytest.raises(WeightsError, match=r"expected: 7611 tracks\n  got: 3 tracks"):
            load("random:1", width=WIDTH, targets=str(tmp_path / "t.txt"))
        (tmp_path / "t.txt").write_text("index\tdescription\n")
        with pytest.raises(WeightsError, match="lacks columns"):
            read_borzoi_targets(tmp_path / "t.txt")

    def test_a_wrong_published_file(self, weights_folder: Path) -> None:
        write_targets(weights_folder / BORZOI_TARGETS.filename, list(self.ROWS))
        with pytest.raises(WeightsError, match="checksum differs"):
            published_targets()

    def test_without_the_list_tracks_have_numbers(self) -> None:
        targets = published_targets()
        assert len(targets) == 7611
        assert targets[5110].track.name == "track 5110"
        assert [targets[i].track.name for i in (870, 871)] == ["CNhs12332+", "CNhs12332-"]
        assert [targets[i].pair for i in (870, 871, 6116, 6117)] == [871, 870, 6117, 6116]
        assert targets[6114].track.name == "ENCFF617ZDV+"

    def test_a_text_of_two_tracks_lists_them(self) -> None:
        with pytest.raises(ConfigError, match=r"870 \(CNhs12332\+, .*871 \(CNhs12332-"):
            load("random:1", width=WIDTH, tracks="B lymphoblastoid")
        model = load("random:1", width=WIDTH, tracks="CNhs12332-")
        assert model.read_out().tracks == (871,)


class TestDeclarations:
    def test_the_window_is_centred_on_the_tss(self, model: Borzoi) -> None:
        assert (model.window.upstream, model.window.length, model.window.oriented) == (262_144, LENGTH, False)
        assert model.window.upstream == (FIRST_BIN + 3072) * 32
        assert (CENTRE[0], CENTRE[-1], len(CENTRE)) == (3052, 3091, 40)

    def test_the_default_is_cage(self) -> None:
        model = load("random:1", width=WIDTH)
        assert model.read_out().name == "cage_gm12878"
        assert model.name == "borzoi/random-1-width16"
        assert load_flashzoi("random:1", width=WIDTH).name == "flashzoi/random-1-width16"

    def test_rna_needs_bins(self) -> None:
        with pytest.raises(ConfigError, match="needs the bins of the gene's exons"):
            load("random:1", width=WIDTH).read_out("rna_gm12878")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"bins": [6144]}, r"asks for bins(?s:.*)each 0 to 6143\n  got: \(6144,\)"),
            ({"tracks": [7611]}, "no track 7611"),
            ({"tracks": [1], "reduce": "median"}, "mean, sum, sum_strands, sum_unsquashed"),
            ({"width": 17}, "'width' is out of range"),
            ({"dtype": "int8"}, "'dtype' is unknown"),
        ],
    )
    def test_wrong_options(self, options: dict[str, object], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            load("random:1", **({"width": WIDTH} | options))

    def test_wrong_lengths(self, model: Borzoi, codes: torch.Tensor) -> None:
        with pytest.raises(InputError, match=r"expected: \(sequences, 524288\)\n  got: \(1, 524287\)"):
            model.predict(codes[:, 1:], model.read_out())
        with pytest.raises(InputError, match=r"a multiple of 128\)\n  got: \(1, 524287\)"):
            model.embed(codes[:, 1:])
        with pytest.raises(InputError, match=r"expected: \(sequences, 4096, 84\)"):
            model.read(torch.zeros(1, 4095, 84, dtype=torch.float64), model.read_out())


def test_softplus_heads_are_sliced() -> None:
    net = small_net()
    x = torch.from_numpy(np.random.default_rng(2).standard_normal((2, 12, 5)))
    with torch.no_grad():
        hidden = F.gelu(net.final_joined_convs(x), approximate="tanh")
        every = F.softplus(net.human_head(hidden))
        torch.testing.assert_close(net.head(x, [8, 0]), every[:, [8, 0]], rtol=0, atol=1e-14)
