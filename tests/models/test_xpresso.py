from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F  # noqa: N812

from hapsight.errors import ConfigError, InputError, WeightsError
from hapsight.models.catalogue import PROTOCOL_OPTIONS, WEIGHTS
from hapsight.models.forward import POOL, one_hot, pooled_by_trimers, trimer_table
from hapsight.models.xpresso import LENGTH, Xpresso, load, read_weights, save_safetensors
from tests.models.synthetic import predict_slowly, synthetic_h5
from tests.verify.keras_oracle import synthetic_codes, synthetic_weights

GOLDEN = json.loads((Path(__file__).parent / "data" / "keras_golden.json").read_text())


@pytest.fixture(scope="module")
def h5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_h5(tmp_path_factory.mktemp("weights") / "random.h5")


@pytest.fixture(scope="module")
def model(h5: Path) -> Xpresso:
    return load(str(h5))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("HAPSIGHT_WEIGHTS", str(tmp_path))
    return tmp_path


def random_codes(n: int, seed: int = 3) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 5, (n, LENGTH)).astype(np.uint8))


def predict(model: Xpresso, codes: torch.Tensor | NDArray[np.uint8]) -> NDArray[np.float32]:
    return model.predict(torch.as_tensor(codes), model.read_out()).numpy()


class TestAgreement:
    @pytest.mark.parametrize("seed", [1, 2])
    def test_with_keras_on_synthetic_weights(self, tmp_path: Path, seed: int) -> None:
        path = synthetic_h5(tmp_path / "w.h5", seed)
        for case in GOLDEN["weights"][f"synthetic {seed}"]:
            model = load(str(path), half_life=case["half_life"])
            predicted = predict(model, synthetic_codes(GOLDEN["input_seed"]))
            np.testing.assert_allclose(predicted[:, 0], case["outputs"], rtol=0, atol=1e-5)

    @pytest.mark.parametrize("name", ["GM12878", "humanMedian"])
    def test_with_keras_on_published_weights(
        self, shared_data: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setenv("HAPSIGHT_WEIGHTS", str(shared_data / "xpresso"))
        filename = next(file.filename for file in WEIGHTS["xpresso"] if file.name == name)
        for case in GOLDEN["weights"][filename]:
            model = load(name, half_life=case["half_life"])
            predicted = predict(model, synthetic_codes(GOLDEN["input_seed"]))
            np.testing.assert_allclose(predicted[:, 0], case["outputs"], rtol=0, atol=1e-5)

    def test_with_loops_in_float64(self, h5: Path) -> None:
        half_life = [0.5, -1.0, 0.0, 2.0, 0.1, -0.3]
        codes = synthetic_codes(11)
        slow = [predict_slowly(synthetic_weights(1), sequence, half_life) for sequence in codes]
        predicted = predict(load(str(h5), half_life=half_life), codes)
        np.testing.assert_allclose(predicted[:, 0], slow, rtol=0, atol=2e-6)

    def test_of_the_fast_path_with_the_plain_forward(self, model: Xpresso) -> None:
        codes = torch.cat([random_codes(3), torch.from_numpy(synthetic_codes(5))])
        with torch.no_grad():
            plain = model.network(one_hot(codes), model.half_life)
        np.testing.assert_allclose(predict(model, codes), plain.numpy(), rtol=0, atol=1e-6)

    def test_of_the_other_devices_path_with_the_fast_one(self, model: Xpresso) -> None:
        codes = random_codes(3)
        with torch.no_grad():
            together = model._predict_together(codes)
        np.testing.assert_allclose(predict(model, codes), together.numpy(), rtol=0, atol=1e-6)


class TestTrimers:
    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.integers(1, 90), st.integers(1, 5), st.integers(0, 2**32 - 1))
    def test_equal_the_convolution(self, pools: int, channels: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        codes = torch.from_numpy(rng.integers(0, 5, pools * POOL).astype(np.uint8))
        conv = nn.Conv1d(4, channels, 6)
        for parameter in conv.parameters():
            parameter.data = torch.from_numpy(rng.standard_normal(parameter.shape).astype(np.float32))
        with torch.no_grad():
            plain = F.max_pool1d(F.relu(conv(F.pad(one_hot(codes[None]), (2, 3)))), POOL)[0]
            fast = pooled_by_trimers(codes, trimer_table(conv), conv)
        np.testing.assert_allclose(fast.numpy(), plain.numpy(), rtol=0, atol=2e-6)

    def test_codes_beyond_n_count_as_n(self, model: Xpresso) -> None:
        codes = random_codes(1)
        odd = torch.where(codes == 4, 200, codes).to(torch.uint8)
        np.testing.assert_array_equal(predict(model, odd), predict(model, codes))


class TestBatches:
    def test_a_sequence_has_one_value_whatever_its_batch(self, model: Xpresso) -> None:
        codes = random_codes(9)
        together = predict(model, codes)
        for size in (1, 2, 4, 7):
            parts = [predict(model, part) for part in torch.split(codes, size)]
            np.testing.assert_array_equal(np.concatenate(parts), together)

    def test_the_number_of_threads_does_not_matter(self, model: Xpresso) -> None:
        codes, threads = random_codes(5), torch.get_num_threads()
        values = []
        try:
            for count in (1, 2, 3):
                torch.set_num_threads(count)
                values.append(predict(model, codes))
                assert torch.get_num_threads() == count
        finally:
            torch.set_num_threads(threads)
        np.testing.assert_array_equal(values[1], values[0])
        np.testing.assert_array_equal(values[2], values[0])

    def test_order_permutes_the_output(self, model: Xpresso) -> None:
        codes = random_codes(4)
        np.testing.assert_array_equal(predict(model, codes.flip(0)), predict(model, codes)[::-1])

    def test_no_sequences_give_no_values(self, model: Xpresso) -> None:
        assert predict(model, random_codes(0)).shape == (0, 1)

    def test_no_gradients_are_kept(self, model: Xpresso) -> None:
        assert not model.predict(random_codes(1), model.read_out()).requires_grad

    def test_another_length_is_refused(self, model: Xpresso) -> None:
        with pytest.raises(InputError, match=r"expected: \(sequences, 10500\)\n  got: \(2, 10499\)"):
            model.predict(random_codes(2)[:, 1:], model.read_out())


class TestDeclarations:
    def test_window_holds_the_tss_at_its_index(self, h5: Path) -> None:
        window = load(str(h5), tss_index=6999).window
        assert (window.upstream, window.downstream, window.length, window.oriented) == (
            6999,
            3501,
            10500,
            True,
        )

    def test_huang_protocol(self) -> None:
        options = {"weights": "GM12878", "tss_index": 6999, "half_life": None}
        assert PROTOCOL_OPTIONS["xpresso"]["huang2023"] == options

    def test_name_and_units(self, model: Xpresso) -> None:
        assert model.name == "xpresso/random"
        assert model.tracks[0].units == "z-score of log10(RPKM + 0.1)"
        assert model.read_out().haplotypes == "mean"

    def test_flop_are_counted_layer_by_layer(self, model: Xpresso) -> None:
        assert model.flop_per_pass == 64_512_000 + 25_804_800 + 144_128 + 256 + 4

    def test_fingerprint_follows_weights_and_options(self, h5: Path, tmp_path: Path) -> None:
        other = synthetic_h5(tmp_path / "other.h5", seed=2)
        models = [
            load(str(h5)),
            load(str(h5), tss_index=6999),
            load(str(h5), half_life=[1, 0, 0, 0, 0, 0]),
            load(str(other)),
        ]
        assert len({model.fingerprint for model in models}) == 4
        assert load(str(h5), half_life=[0] * 6).fingerprint == models[0].fingerprint

    @pytest.mark.parametrize("index", [-1, 10_500])
    def test_tss_outside_the_window_is_refused(self, h5: Path, index: int) -> None:
        with pytest.raises(ConfigError, match=rf"'tss_index' lies outside.*\n.*0 to 10499\n  got: {index}"):
            load(str(h5), tss_index=index)

    @pytest.mark.parametrize("half_life", [[0.0] * 5, [0.0] * 5 + [float("nan")]])
    def test_half_life_is_six_finite_numbers(self, h5: Path, half_life: list[float]) -> None:
        with pytest.raises(ConfigError, match="six finite numbers"):
            load(str(h5), half_life=half_life)


class TestSafetensors:
    def test_round_trip_is_exact(self, model: Xpresso, h5: Path, tmp_path: Path) -> None:
        path = tmp_path / "ours.safetensors"
        save_safetensors(model, path)
        again = load(str(path))
        for name, tensor in read_weights(h5).items():
            assert torch.equal(again.network.state_dict()[name], tensor)
        assert again.fingerprint == model.fingerprint
        assert [file.name for file in tmp_path.iterdir()] == ["ours.safetensors"]

    def test_cut_short_is_refused(self, model: Xpresso, tmp_path: Path) -> None:
        path = tmp_path / "ours.safetensors"
        save_safetensors(model, path)
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(WeightsError, match=r"cannot be read as safetensors.\n  where: .*ours"):
            load(str(path))


class TestBrokenWeights:
    def broken(self, h5: Path, tmp_path: Path) -> tuple[Path, h5py.File]:
        path = tmp_path / "broken.h5"
        path.write_bytes(h5.read_bytes())
        return path, h5py.File(path, "r+")

    def test_another_shape(self, h5: Path, tmp_path: Path) -> None:
        path, file = self.broken(h5, tmp_path)
        with file:
            layer = file["model_weights/conv1d_2/conv1d_2"]
            del layer["kernel:0"]
            layer["kernel:0"] = np.zeros((7, 128, 32), np.float32)
        message = (
            r"another shape .*\n.*conv1d_2/kernel\n  expected: \(9, 128, 32\) float32\n  got: \(7, 128, 32\)"
        )
        with pytest.raises(WeightsError, match=message):
            load(str(path))

    def test_a_missing_layer(self, h5: Path, tmp_path: Path) -> None:
        path, file = self.broken(h5, tmp_path)
        with file:
            del file["model_weights/dense_2"]
        with pytest.raises(
            WeightsError, match=r"missing: dense_2/bias, dense_2/kernel; not of this model: none"
        ):
            load(str(path))

    def test_a_foreign_layer(self, h5: Path, tmp_path: Path) -> None:
        path, file = self.broken(h5, tmp_path)
        with file:
            file["model_weights/conv1d_3/conv1d_3/bias:0"] = np.zeros(3, np.float32)
        with pytest.raises(WeightsError, match=r"not of this model: conv1d_3/bias"):
            load(str(path))

    def test_numbers_that_are_not_finite(self, h5: Path, tmp_path: Path) -> None:
        path, file = self.broken(h5, tmp_path)
        with file:
            file["model_weights/dense_3/dense_3/bias:0"][0] = np.nan
        with pytest.raises(WeightsError, match=r"not all finite.*\n.*dense_3/bias\n  got: 1 of 1 "):
            load(str(path))

    def test_hdf5_without_a_model(self, tmp_path: Path) -> None:
        path = tmp_path / "other.h5"
        with h5py.File(path, "w") as file:
            file["counts"] = np.zeros(3)
        with pytest.raises(WeightsError, match=r"no Keras model.\n.*\n.*'model_weights'\n  got: counts"):
            load(str(path))

    @pytest.mark.parametrize("content", [b"<html>not found</html>", b""])
    def test_not_hdf5(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "page.h5"
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"cannot be read as HDF5.\n  where: .*page.h5"):
            load(str(path))

    def test_hdf5_cut_short(self, h5: Path, tmp_path: Path) -> None:
        path = tmp_path / "short.h5"
        path.write_bytes(h5.read_bytes()[:50_000])
        with pytest.raises(WeightsError, match="cannot be read as HDF5"):
            load(str(path))

    @pytest.mark.parametrize("kind", ["pickle", "torch"])
    def test_pickles_are_never_read(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "model.h5"
        if kind == "pickle":
            path.write_bytes(pickle.dumps({"weights": 1}))
        else:
            torch.save({"weights": torch.zeros(1)}, path)
        with pytest.raises(WeightsError, match=r"is a pickle.*\n.*model.h5\n.*\n  to mend: convert"):
            load(str(path))

    def test_no_file_at_the_path(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match=r"no file of weights at this path.\n  where: .*gone.h5"):
            load(str(tmp_path / "gone.h5"))

    def test_an_unknown_name(self) -> None:
        with pytest.raises(ConfigError, match=r"no weights 'GM12787'.\n.*mESC.*\n.*did you mean 'GM12878'"):
            load("GM12787")

    def test_a_published_name_with_another_file(self, h5: Path, cache: Path) -> None:
        (cache / "GM12878.h5").write_bytes(h5.read_bytes())
        with pytest.raises(
            WeightsError, match=r"checksum differs.\n  where: .*GM12878.h5\n  expected: sha256 3e44d2"
        ):
            load()
