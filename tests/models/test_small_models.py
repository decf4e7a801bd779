from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from hapsight.errors import ConfigError, InputError, WeightsError
from hapsight.models import epinformer, framepool, mpra_dragonn
from hapsight.models.catalogue import EPINFORMER_TESTED, WEIGHTS, chosen_weights
from hapsight.models.loading import fill
from tests.models.small_models import (
    dragonn_arrays,
    dragonn_slowly,
    encode_slowly,
    encoder_arrays,
    framepool_arrays,
    framepool_slowly,
    keras_file,
    write_checkpoint,
)


def random_codes(count: int, length: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 5, (count, length)).astype(np.uint8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("epinformer") / "fold.pt", encoder_arrays())


class TestEPInformer:
    def test_equals_the_network_in_numpy(self, checkpoint: Path) -> None:
        model, codes = epinformer.load(str(checkpoint)), random_codes(3, 256)
        predicted = model.predict(torch.from_numpy(codes), model.read_out())
        slowly = [encode_slowly(encoder_arrays(), one) for one in codes]
        assert np.ptp(slowly) > 0.01
        np.testing.assert_allclose(predicted[:, 0].numpy(), slowly, rtol=0, atol=1e-4)

    def test_the_window_is_the_tss_and_127_bases_behind_on_the_forward_strand(self, checkpoint: Path) -> None:
        model = epinformer.load(str(checkpoint))
        assert (model.window.upstream, model.window.downstream) == (128, 128)
        assert not model.window.oriented
        assert model.name == "epinformer/fold"
        assert model.held_out is None
        assert model.read_outs["both_strands"].reverse_complement

    def test_options_and_weights_make_another_fingerprint(self, checkpoint: Path, tmp_path: Path) -> None:
        other = write_checkpoint(tmp_path / "other.pt", encoder_arrays(2))
        (tmp_path / "e.bed").write_text("chr1\t100\t400\n")
        loaded = [
            epinformer.load(str(checkpoint)),
            epinformer.load(str(other)),
            epinformer.load(str(checkpoint), elements=str(tmp_path / "e.bed")),
            epinformer.load(str(checkpoint), elements=str(tmp_path / "e.bed"), reach_kb=50),
            epinformer.load(str(checkpoint), elements=str(tmp_path / "e.bed"), distance_power=1.0),
        ]
        assert len({model.fingerprint for model in loaded}) == len(loaded)

    @pytest.mark.parametrize("loss", [np.float64(-0.5), np.float32(0.5), -0.5, 3, None])
    def test_what_the_loss_is_does_not_matter(self, tmp_path: Path, loss: object) -> None:
        path = write_checkpoint(tmp_path / "w.pt", encoder_arrays(), loss)
        assert epinformer.read_weights(path).keys() == encoder_arrays().keys()

    def test_code_in_a_checkpoint_is_not_run(self, tmp_path: Path) -> None:
        class Evil:
            def __reduce__(self) -> tuple[object, tuple[str]]:
                return os.mkdir, (str(tmp_path / "ran"),)

        path = write_checkpoint(tmp_path / "w.pt", encoder_arrays(), Evil())
        with pytest.raises(WeightsError, match="cannot be read as torch tensors"):
            epinformer.read_weights(path)
        assert not (tmp_path / "ran").exists()

    def test_another_shape_or_layer_is_refused(self, tmp_path: Path) -> None:
        arrays = encoder_arrays()
        cut = arrays | {"embedToAct.9.weight": np.zeros((2, 256), np.float32)}
        with pytest.raises(WeightsError, match="another shape"):
            epinformer.read_weights(write_checkpoint(tmp_path / "a.pt", cut))
        less = {name: array for name, array in arrays.items() if name != "embedToAct.9.bias"}
        with pytest.raises(WeightsError, match=r"missing: embedToAct\.9\.bias"):
            epinformer.read_weights(write_checkpoint(tmp_path / "b.pt", less))

    def test_a_bare_state_dict_is_refused(self, tmp_path: Path) -> None:
        torch.save({"x": torch.zeros(1)}, tmp_path / "w.pt")
        with pytest.raises(WeightsError, match="does not hold named tensors"):
            epinformer.read_weights(tmp_path / "w.pt")

    def test_another_length_is_refused(self, checkpoint: Path) -> None:
        model = epinformer.load(str(checkpoint))
        with pytest.raises(InputError, match=r"expected: \(sequences, 256\)"):
            model.predict(torch.from_numpy(random_codes(1, 255)), model.read_out())

    def test_only_fold_11_holds_chr22_out(self) -> None:
        assert [fold for fold, tested in EPINFORMER_TESTED.items() if "22" in tested] == [11]
        assert WEIGHTS["epinformer"][0].name == "GM12878_fold11"
        assert {file.name for file in WEIGHTS["epinformer"]} == {
            *(f"GM12878_fold{fold:02d}" for fold in range(1, 13)),
            "K562_fold11",
        }

    def test_a_wrong_name_is_guessed(self) -> None:
        with pytest.raises(ConfigError, match=r"did you mean 'GM12878_fold11'|GM12878_fold1"):
            chosen_weights("epinformer", "EPInformer", "GM12878_fold111")


class TestMpraDragonn:
    def test_equals_the_network_in_numpy(self, tmp_path: Path) -> None:
        model = mpra_dragonn.load(str(keras_file(tmp_path / "w.hdf5", dragonn_arrays())))
        codes = random_codes(2, 145)
        slowly = np.array([dragonn_slowly(dragonn_arrays(), one) for one in codes])
        for index, task in enumerate(mpra_dragonn.TASKS):
            predicted = model.predict(torch.from_numpy(codes), model.read_out(task))
            assert model.tracks[index].name == task
            np.testing.assert_allclose(predicted[:, 0].numpy(), slowly[:, index], rtol=1e-4, atol=1e-4)

    def test_a_file_of_other_layers_is_refused(self, tmp_path: Path) -> None:
        arrays = {name: array for name, array in dragonn_arrays().items() if "conv1d_3" not in name}
        with pytest.raises(WeightsError, match="does not have the layers"):
            mpra_dragonn.read_weights(keras_file(tmp_path / "w.hdf5", arrays))

    def test_a_layer_without_weights_is_an_error(self, tmp_path: Path) -> None:
        state = mpra_dragonn.read_weights(keras_file(tmp_path / "w.hdf5", dragonn_arrays()))
        fill(mpra_dragonn.MpraDragonnNet(), state)
        bias = state.pop("norms.1.bias")
        with pytest.raises(AssertionError, match=r"without weights: \['norms.1.bias'\]"):
            fill(mpra_dragonn.MpraDragonnNet(), state)
        with pytest.raises(AssertionError, match=r"without a place: \['norms.9.bias'\]"):
            fill(mpra_dragonn.MpraDragonnNet(), state | {"norms.1.bias": bias, "norms.9.bias": bias})


class TestFramepool:
    @pytest.mark.parametrize("length", [3, 4, 5, 50, 101])
    def test_equals_the_network_in_numpy(self, tmp_path: Path, length: int) -> None:
        path = keras_file(tmp_path / "w.h5", framepool_arrays(), "_2", whole=True)
        codes = random_codes(2, length)
        for number, library in enumerate(framepool.LIBRARIES):
            predicted = framepool.load(str(path), library=library).predict(list(codes))
            slowly = [framepool_slowly(framepool_arrays(), one, number) for one in codes]
            np.testing.assert_allclose(predicted, slowly, rtol=1e-4, atol=1e-4)

    def test_too_short_a_utr_and_an_unknown_library_are_refused(self, tmp_path: Path) -> None:
        path = str(keras_file(tmp_path / "w.h5", framepool_arrays(), "_2", whole=True))
        with pytest.raises(InputError, match=r"expected: at least 3 bases\n  got: 2"):
            framepool.load(path).predict([np.zeros(2, np.uint8)])
        with pytest.raises(ConfigError, match="expected: egfp_50nt, random_length"):
            framepool.load(path, library="human")
