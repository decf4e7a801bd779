from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from hapsight.dna import encode, reverse_complement
from hapsight.errors import ConfigError, WeightsError
from hapsight.models.expecto_files import BelugaNet, base_channels, random_weights, read_weights
from tests.models.published_beluga import narrow_judge, one_hot_2d, random_sequence

WIDTH = 4


def coded(*sequences: str) -> torch.Tensor:
    return torch.from_numpy(np.stack([encode(sequence) for sequence in sequences]))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("beluga") / "deepsea.beluga.pth"
    torch.save(narrow_judge(5).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def network(published: Path) -> BelugaNet:
    network = BelugaNet(WIDTH)
    network.load_state_dict(read_weights(published, WIDTH))
    return network.double().eval().requires_grad_(False)


class TestChannels:
    def test_are_a_g_c_t(self) -> None:
        expected = [[1, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 1, 0]]
        assert base_channels(coded("ACGTN"), torch.float64)[0].tolist() == expected

    def test_flipped_twice_are_the_reverse_complement(self) -> None:
        codes = encode(random_sequence(50, 1))
        flipped = base_channels(torch.from_numpy(codes[None]), torch.float32).flip(1, 2)
        turned = base_channels(torch.from_numpy(reverse_complement(codes[None])), torch.float32)
        assert torch.equal(flipped, turned)


class TestAgreement:
    def test_of_a_window_with_the_published_layers(self, network: BelugaNet) -> None:
        sequences = [random_sequence(2000, seed) for seed in (1, 2)]
        judged = narrow_judge(5).double()(torch.stack([one_hot_2d(s) for s in sequences])).detach()
        assert judged.std() > 0.05
        ours = network(base_channels(coded(*sequences), torch.float64))
        torch.testing.assert_close(ours, judged, rtol=0, atol=1e-12)

    @settings(max_examples=10, deadline=None)
    @given(st.integers(39, 60), st.integers(0, 2**32 - 1))
    def test_of_every_position_with_310_bases_alone(
        self, network: BelugaNet, eighths: int, seed: int
    ) -> None:
        sequence = random_sequence(8 * eighths, seed)
        judge = narrow_judge(5).double().model[0]
        positions = network.positions(base_channels(coded(sequence), torch.float64))[0]  # (8, S/8 - 38)
        starts = range(0, len(sequence) - 309, 8)
        alone = [judge(one_hot_2d(sequence[start : start + 310])[None])[0, :, 0, 0] for start in starts]
        assert positions.shape == (8, eighths - 38)
        torch.testing.assert_close(positions, torch.stack(alone, 1).detach(), rtol=0, atol=1e-12)

    def test_of_shared_with_plain_convolution_to_the_last_bit(self) -> None:
        network = BelugaNet(32)
        network.load_state_dict(random_weights(32, np.random.default_rng(3)))
        x = base_channels(coded(random_sequence(2400, 7)), torch.float32)
        with torch.no_grad():
            shared = network.positions(x)
            for start in range(0, 401, 200):
                window = shared[:, :, start // 8 : start // 8 + 212 : 2]
                assert torch.equal(network.features(window), network(x[:, :, start : start + 2000]))


class TestFlop:
    def test_of_a_window_is_the_documented_one(self) -> None:
        with torch.device("meta"):
            network = BelugaNet()
        assert round((network.convolution_flop(2000, 16) + network.dense_flop()) / 1e9, 1) == 7.8

    @pytest.mark.parametrize("bases", [312, 808, 2000])
    def test_is_what_torch_counts(self, network: BelugaNet, bases: int) -> None:
        x = torch.zeros(1, 4, bases, dtype=torch.float64)
        with FlopCounterMode(display=False) as counter:
            network.positions(x)
        assert counter.get_total_flops() == network.convolution_flop(bases, 8)

    def test_of_a_plain_window_is_what_torch_counts(self, network: BelugaNet) -> None:
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 4, 2000, dtype=torch.float64))
        assert counter.get_total_flops() == network.convolution_flop(2000, 16) + network.dense_flop()


class TestWeights:
    def test_in_torchs_old_and_new_formats_and_safetensors_are_one(
        self, published: Path, tmp_path: Path
    ) -> None:
        state = narrow_judge(5).state_dict()
        torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
        save_file(state, tmp_path / "beluga.safetensors")
        new = read_weights(published, WIDTH)
        for name in ("old.pth", "beluga.safetensors"):
            other = read_weights(tmp_path / name, WIDTH)
            assert new.keys() == other.keys()
            assert all(torch.equal(new[key], other[key]) for key in new)

    def test_of_another_width_name_both_shapes(self, published: Path) -> None:
        with pytest.raises(WeightsError, match="another shape") as caught:
            read_weights(published, 8)
        assert caught.value.details["expected"] == "(8, 4, 1, 8) float32"
        assert caught.value.details["got"] == "(4, 4, 1, 8) float32"
        assert caught.value.details["where"].endswith("model.0.0.weight")

    def test_of_another_model_name_the_layers(self, tmp_path: Path) -> None:
        state = narrow_judge(5).state_dict()
        state["model.2.weight"] = state.pop("model.1.4.1.weight")
        torch.save(state, tmp_path / "w.pth")
        with pytest.raises(WeightsError) as caught:
            read_weights(tmp_path / "w.pth", WIDTH)
        assert caught.value.details["got"] == "missing: model.1.4.1.weight; not of this model: model.2.weight"

    def test_that_would_run_code_are_refused_unrun(self, tmp_path: Path) -> None:
        path = tmp_path / "deepsea.beluga.pth"
        torch.save({"model.0.0.weight": Trap(tmp_path / "ran")}, path)
        with pytest.raises(WeightsError, match="cannot be read as torch tensors"):
            read_weights(path, WIDTH)
        path.write_bytes(pickle.dumps(Trap(tmp_path / "ran"), protocol=2))
        with pytest.raises(WeightsError, match="cannot be read as torch tensors"):
            read_weights(path, WIDTH)
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize("zipped", [True, False])
    @pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
    def test_cut_short_are_refused(self, tmp_path: Path, zipped: bool, share: float) -> None:
        whole = io.BytesIO()
        torch.save(narrow_judge(5).state_dict(), whole, _use_new_zipfile_serialization=zipped)
        content = whole.getvalue()
        (tmp_path / "w.pth").write_bytes(content[: int(share * len(content))])
        with pytest.raises(WeightsError, match="cannot be read as torch tensors"):
            read_weights(tmp_path / "w.pth", WIDTH)

    def test_that_are_not_named_tensors_are_refused(self, tmp_path: Path) -> None:
        torch.save([torch.zeros(2)], tmp_path / "w.pth")
        with pytest.raises(WeightsError, match="does not hold named tensors"):
            read_weights(tmp_path / "w.pth", WIDTH)

    def test_at_random_follow_the_seed(self) -> None:
        one, same, other = (random_weights(WIDTH, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert all(torch.equal(one[name], same[name]) for name in one)
        assert not any(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("width", [0, 3, 322, -2])
def test_a_width_that_cannot_be_is_refused(width: int) -> None:
    with pytest.raises(ConfigError, match="even number from 2 to 320") as caught:
        BelugaNet(width)
    assert caught.value.details["got"] == str(width)


class Trap:
    """Makes a file when a pickle of it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)
