from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from hapsight.cohort.nouns import Gene, Strand
from hapsight.dna import encode, reverse_complement
from hapsight.errors import ConfigError, InputError, WeightsError
from hapsight.models.expecto import ExPecto, decays, load
from hapsight.models.expecto_files import BelugaNet
from hapsight.models.protocol import ReadOut
from hapsight.sequence.haplotypes import Window
from tests.models.old_booster import write_head
from tests.models.published_beluga import judge_features, narrow_judge, random_sequence

WIDTH = 4
SEED = 5
LCL = "Cells_EBV-transformed_lymphocytes"
CONTIG = random_sequence(44_000, 11)
TSS = 22_000
GOLDEN = Path(__file__).parent / "data" / "expecto_golden.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("expecto")
    torch.save(narrow_judge(SEED).state_dict(), folder / "deepsea.beluga.pth")
    (folder / "models").mkdir()
    for seed, tissue in enumerate((LCL, "GM12878", "GM12878.1", "Liver")):
        write_head(folder / "models", tissue, seed, "0.0001" if seed in (0, 3) else "0.01")
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> ExPecto:
    return load(str(folder), width=WIDTH, dtype="float64")


@pytest.fixture(scope="module")
def codes(model: ExPecto) -> torch.Tensor:
    return torch.from_numpy(np.stack([oriented(model, Strand.PLUS), oriented(model, Strand.MINUS)]))


@pytest.fixture(scope="module")
def whole(model: ExPecto, codes: torch.Tensor) -> torch.Tensor:
    return model.embed(codes)


def oriented(model: ExPecto, strand: Strand, shift: int = 0) -> NDArray[np.uint8]:
    """Codes of the model's window around the TSS, as the engine cuts and turns them."""
    upstream, downstream = model.window.reach(minus_strand=strand is Strand.MINUS)
    window = Window.around(Gene("G", "c", TSS, strand), upstream + shift, downstream - shift, True)
    codes = encode(CONTIG[window.interval.start : window.interval.end])
    return reverse_complement(codes) if window.reverse else codes


def read_out_of(*tracks: int) -> ReadOut:
    return ReadOut("some", tracks=tracks)


def log_expression(numbers: NDArray[np.float32], strand: int) -> float:
    """Chromatin of every window of the genome's strand, ten weighted sums, a dot product: the long way."""
    shifts = range(-20_000, 20_000, 200)
    windows = [CONTIG[TSS + s * strand - 999 : TSS + s * strand + 1001] for s in shifts]
    chromatin = judge_features(narrow_judge(SEED).double(), windows)  # (200, 2002)
    features = []
    for side in (-1, 1):
        for rate in (0.01, 0.02, 0.05, 0.1, 0.2):
            total = np.zeros(2002)
            for shift, values in zip(shifts, chromatin, strict=True):
                if shift * side >= 0:
                    total += np.exp(-rate * abs(shift) / 200) * values
            features += [0.0, *total]
    return float(np.dot(features, numbers[:-1].astype(float)) + float(numbers[-1]) + 2.0)


@pytest.mark.parametrize("strand", [Strand.PLUS, Strand.MINUS])
def test_equals_the_published_computation_window_by_window(
    model: ExPecto, tmp_path: Path, strand: Strand
) -> None:
    expected = log_expression(write_head(tmp_path, LCL, 0), 1 if strand is Strand.PLUS else -1)
    for shift, same in ((0, True), (1, False), (-1, False)):
        one = torch.from_numpy(oriented(model, strand, shift)[None])
        value = float(model.predict(one, model.read_out("huang2023")))
        assert (abs(value - expected) < 1e-10) is same


class TestSharing:
    def test_equals_plain_in_float64(self, model: ExPecto, codes: torch.Tensor) -> None:
        read_out = read_out_of(3, 0)
        first, last = model.span(read_out)
        shared = model.read(model.embed(codes)[:, first:last], read_out)
        torch.testing.assert_close(shared, model.predict(codes, read_out), rtol=0, atol=1e-10)

    def test_equals_plain_in_float32(self, folder: Path, codes: torch.Tensor) -> None:
        model = load(str(folder), width=WIDTH)
        read_out = read_out_of(0, 1)
        first, last = model.span(read_out)
        shared = model.read(model.embed(codes)[:, first:last], read_out)
        torch.testing.assert_close(shared, model.predict(codes, read_out), rtol=1e-5, atol=0)

    @settings(max_examples=12, deadline=None)
    @given(st.integers(0, 5225 - 39), st.integers(1, 300))
    def test_of_a_chunk_with_its_halo(
        self, model: ExPecto, codes: torch.Tensor, whole: torch.Tensor, start: int, positions: int
    ) -> None:
        halo = model.grid.after // model.grid.stride
        end = min(start + positions + halo, 5225)
        chunk = model.embed(codes[:, 8 * start : 8 * end])
        kept = end - start - (0 if end == 5225 else halo)
        torch.testing.assert_close(chunk[:, :kept], whole[:, start : start + kept], rtol=0, atol=1e-12)

    @pytest.mark.parametrize("window", [0, 1, 117, 199])
    def test_a_window_needs_its_own_bases_only(
        self, model: ExPecto, codes: torch.Tensor, whole: torch.Tensor, window: int
    ) -> None:
        assert model.window_bases == 2000
        start = window * model.window_step
        gathered = whole[:, start : start + model.window_length]
        base = start * model.grid.stride
        alone = model.embed(codes[:, base : base + model.window_bases])[:, : model.window_length]
        torch.testing.assert_close(
            model.embed_window(alone), model.embed_window(gathered), rtol=0, atol=1e-12
        )

    def test_the_windows_fill_the_span_and_the_window(self, model: ExPecto) -> None:
        first, last = model.span(model.read_out())
        assert (last - first - model.window_length) / model.window_step + 1 == 200
        assert last * model.grid.stride + model.grid.after == model.window.length


class TestHeads:
    def test_decays_are_the_published_ones(self) -> None:
        weights = decays()
        assert weights.shape == (10, 200)
        assert weights[2, 99] == pytest.approx(np.exp(-0.05))  # 200 bases upstream
        np.testing.assert_array_equal(weights[:, 100], np.ones(10))  # the TSS is on both sides
        assert weights[4, 0] == pytest.approx(np.exp(-20))
        assert not weights[:5, 101:].any()
        assert not weights[5:, :100].any()

    def test_matrices_equal_the_long_way(self, model: ExPecto, tmp_path: Path) -> None:
        rng = np.random.default_rng(2)
        chromatin = rng.random((3, 200, 2002))
        numbers = write_head(tmp_path, "Liver", 3).astype(float)
        sums = np.einsum("kw,bwf->bkf", decays(), chromatin)  # (3, 10, 2002)
        features = np.concatenate([np.zeros((3, 10, 1)), sums], axis=2).reshape(3, 20_030)
        expected = features @ numbers[:-1] + numbers[-1] + 2.0
        found = model.read_windows(torch.from_numpy(chromatin), read_out_of(3))
        assert model.tracks[3].name == "Liver"
        np.testing.assert_allclose(found[:, 0].numpy(), expected, rtol=0, atol=1e-10)

    def test_asked_tracks_come_in_the_order_asked(self, model: ExPecto) -> None:
        chromatin = torch.rand(2, 200, 2002, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        every = model.read_windows(chromatin, read_out_of(0, 1, 2, 3))
        assert torch.equal(model.matrices([2]), model.matrices([0, 1, 2, 3])[2:3])
        some = model.read_windows(chromatin, read_out_of(3, 1))
        torch.testing.assert_close(some, every[:, [3, 1]], rtol=0, atol=1e-12)


class TestTracks:
    def test_are_tissues_with_units_of_their_files(self, model: ExPecto) -> None:
        assert [track.name for track in model.tracks] == [LCL, "GM12878", "GM12878.1", "Liver"]
        assert model.tracks[0].units == "natural log of RPKM + 0.0001"
        assert model.tracks[1].units == "natural log of RPKM + 0.01"

    def test_every_tissue_is_a_read_out_and_lcl_is_huangs(self, model: ExPecto) -> None:
        assert model.read_out().name == "huang2023"
        assert model.read_out("huang2023").tracks == model.read_out(LCL).tracks == (0,)
        assert model.read_out("Liver").tracks == (3,)

    def test_can_be_chosen_by_name(self, folder: Path, model: ExPecto, codes: torch.Tensor) -> None:
        only = load(str(folder), width=WIDTH, dtype="float64", tracks="Liver")
        assert (only.default_read_out, list(only.read_outs)) == ("Liver", ["Liver"])
        both = [one.predict(codes[:1], one.read_out("Liver")) for one in (only, model)]
        assert torch.equal(*both)

    def test_an_unknown_read_out_names_those_there_are(self, model: ExPecto) -> None:
        with pytest.raises(ConfigError, match="has no read-out 'Brain'") as caught:
            model.read_out("Brain")
        assert "Liver" in caught.value.details["expected"]

    def test_a_text_that_fits_several_names_them(self, folder: Path) -> None:
        with pytest.raises(ConfigError, match="fits 2 tracks") as caught:
            load(str(folder), width=WIDTH, tracks="gm1287")
        assert "GM12878.1" in caught.value.details["got"]


class TestFlop:
    def test_is_the_documented_one(self) -> None:
        with torch.device("meta"):
            full = ExPecto.__new__(ExPecto)
            full.network = BelugaNet()
        assert round(full.plain_flop() / 1e9) == 3121
        assert round(full.plain_flop() / (full.embed_flop(41_800) + 200 * full.window_flop()), 1) == 6.3

    def test_is_what_torch_counts(self, model: ExPecto, codes: torch.Tensor) -> None:
        read_out = read_out_of(0, 2)
        with FlopCounterMode(display=False) as counter:
            embedding = model.embed(codes[:1, :2000])
        assert counter.get_total_flops() == model.embed_flop(2000)
        with FlopCounterMode(display=False) as counter:
            features = model.embed_window(embedding[:, : model.window_length])
        assert counter.get_total_flops() == model.window_flop()
        with FlopCounterMode(display=False) as counter:
            model.read_windows(features[:, None].expand(1, 200, 2002), read_out)
        assert counter.get_total_flops() == model.read_flop(read_out)
        assert model.flop_per_pass == model.plain_flop()


class TestErrors:
    def test_a_window_of_another_length(self, model: ExPecto) -> None:
        with pytest.raises(InputError, match="cannot read sequences of this length") as caught:
            model.predict(torch.zeros(2, 41_801, dtype=torch.uint8), model.read_out())
        assert caught.value.details["expected"] == "(sequences, 41800)"
        assert caught.value.details["got"] == "(2, 41801)"

    @pytest.mark.parametrize("bases", [304, 313])
    def test_a_stretch_off_the_grid(self, model: ExPecto, bases: int) -> None:
        with pytest.raises(InputError, match="this length") as caught:
            model.embed(torch.zeros(1, bases, dtype=torch.uint8))
        assert "a multiple of 8 from 312 on" in caught.value.details["expected"]

    def test_the_other_strand_is_in_already(self, model: ExPecto) -> None:
        with pytest.raises(ConfigError, match="reads both strands of its windows already"):
            model.mirrored(model.read_out())

    def test_a_dtype_or_seed_that_is_none(self) -> None:
        with pytest.raises(ConfigError, match="'dtype' is unknown"):
            load("random:1", width=WIDTH, dtype="float16")
        with pytest.raises(ConfigError, match="need a seed") as caught:
            load("random:x", width=WIDTH)
        assert caught.value.details["got"] == "random:x"

    def test_the_full_network_does_not_take_a_narrow_file(self, folder: Path) -> None:
        with pytest.raises(WeightsError, match="another shape"):
            load(str(folder))


class TestFingerprint:
    def test_follows_weights_heads_and_dtype(self, folder: Path, model: ExPecto) -> None:
        assert load(str(folder), width=WIDTH, dtype="float64").fingerprint == model.fingerprint
        others = [
            load(str(folder), width=WIDTH),
            load(str(folder), width=WIDTH, dtype="float64", tracks=[LCL]),
            load("random:1", width=WIDTH, dtype="float64"),
            load("random:2", width=WIDTH, dtype="float64"),
        ]
        assert len({model.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_random_weights_need_no_file() -> None:
    model = load("random:3", width=WIDTH)
    assert model.name == "expecto/random:3"
    values = model.predict(torch.from_numpy(oriented(model, Strand.PLUS)[None]), model.read_out())
    assert values.shape == (1, 1)
    assert values.isfinite().all()


def test_golden_values(model: ExPecto, codes: torch.Tensor) -> None:
    golden = json.loads(GOLDEN.read_text())
    values = model.predict(codes, replace(model.read_out(), tracks=(0, 1, 2, 3)))
    np.testing.assert_allclose(values.numpy(), golden["log_expression"], rtol=0, atol=1e-10)
