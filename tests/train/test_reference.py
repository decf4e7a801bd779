"""A contig of 200 kb whose tracks follow a planted word: read, trained on, exported, judged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pyBigWig
import pysam
import pytest
import torch
import typer
from scipy import stats
from typer.testing import CliRunner

from hapsight.cli.train import _add_train
from hapsight.dna import decode, encode, reverse_complement
from hapsight.errors import ConfigError, InputError, StoreError
from hapsight.models.mini import load
from hapsight.models.protocol import Track
from hapsight.train.losses import TOTAL_WEIGHT, poisson, poisson_multinomial
from hapsight.train.plan import ReferencePlan, load_plan
from hapsight.train.reference import ReferenceTask, open_data, predict_blocks, reference_task, train_reference
from hapsight.train.tracks import TrackFile, read_signal

LENGTH = 200_000
WORD = encode("TGACTCAGCAATT")


def words(codes: np.ndarray) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(codes, len(WORD))
    return np.flatnonzero((windows == WORD).all(axis=1))


def write_bigwig(path: Path, starts: np.ndarray, value: float, length: int = LENGTH) -> None:
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([("chr1", length)])
        file.addEntries(["chr1"] * len(starts), starts.tolist(), (starts + 1).tolist(), [value] * len(starts))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_training(tmp_path_factory.mktemp("reference"))


def write_training(made: Path) -> Path:
    """Reference, three tracks, genes, expression and a plan."""
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 4, LENGTH).astype(np.uint8)
    for start in rng.choice(LENGTH // 100 - 1, 700, replace=False) * 100:
        one = WORD if rng.random() < 0.5 else reverse_complement(WORD)
        codes[start + 40 : start + 40 + len(WORD)] = one
    (made / "r.fa").write_text(f">chr1\n{decode(codes)}\n")
    pysam.faidx(str(made / "r.fa"))
    plus, minus = words(codes), LENGTH - 1 - words(reverse_complement(codes))[::-1]
    write_bigwig(made / "plus.bw", plus, 5.0)
    write_bigwig(made / "minus.bw", minus, -5.0)
    write_bigwig(made / "both.bw", np.unique(np.concatenate([plus, minus])), 96.0)
    rows = ["gene_id\tgene_name\tchrom\ttss\tstrand"]
    expression = ["#chr\tstart\tend\tphenotype_id\tann\tbob"]
    for number, tss in enumerate(range(20_000, 190_000, 7_000)):
        rows.append(f"G{number}\tn\tchr1\t{tss + 1}\t{'+-'[number % 2]}")
        expression.append(f"chr1\t{tss}\t{tss + 1}\tG{number}\t{number % 3}\t{number % 5}")
    (made / "genes.tsv").write_text("\n".join(rows) + "\n")
    (made / "expression.bed").write_text("\n".join(expression) + "\n")
    tracks = [
        ("x_plus", "plus.bw", "transcription", "+", "sum", 4.0),
        ("x_minus", "minus.bw", "transcription", "-", "sum", 4.0),
        ("x_open", "both.bw", "accessibility", ".", "mean", 64.0),
    ]
    text = """reference = "r.fa"
region = "chr1:1-200,000"
test = ["chr1:150,001-190,000"]
validation = ["chr1:110,001-140,000"]
[model]
stem = 12
middle = 12
width = 16
dropout = 0.0
[windows]
bins = 64
crop = 8
active_bins = 0.02
[fit]
batch = 4
max_steps = 60
warmup_steps = 5
learning_rate = 0.01
validate_every = 30
"""
    for name, file, assay, strand, reduce, clip in tracks:
        text += f'[[tracks]]\nname = "{name}"\nfile = "{file}"\nassay = "{assay}"\ncell_type = "x"\n'
        text += f'strand = "{strand}"\nreduce = "{reduce}"\nclip = {clip}\n'
    (made / "plan.toml").write_text(text)
    return made


@pytest.fixture(scope="module")
def plan(folder: Path) -> ReferencePlan:
    return load_plan(folder / "plan.toml")


@pytest.fixture(scope="module")
def task(folder: Path, plan: ReferencePlan) -> ReferenceTask:
    return reference_task(plan, folder / "cache")


class TestLosses:
    def test_poisson_multinomial_of_weight_one_is_poisson(self) -> None:
        rng = np.random.default_rng(1)
        predicted, observed = (torch.from_numpy(rng.gamma(1.0, 2.0, (3, 20, 2))) for _ in range(2))
        torch.testing.assert_close(
            poisson_multinomial(predicted, observed, total_weight=1.0), poisson(predicted, observed)
        )

    def test_against_scipy(self) -> None:
        rng = np.random.default_rng(2)
        p, y = rng.gamma(2.0, 2.0, (2, 15)), rng.poisson(3.0, (2, 15))
        found = poisson_multinomial(torch.from_numpy(p)[..., None], torch.from_numpy(y)[..., None].double())
        height = -stats.poisson.logpmf(y.sum(1), p.sum(1)) - _log_factorial(y.sum(1))
        each = [stats.multinomial.logpmf(b, b.sum(), a / a.sum()) for a, b in zip(p, y, strict=True)]
        shape = -np.array(each) + _log_factorial(y.sum(1)) - _log_factorial(y).sum(1)
        expected = np.mean(TOTAL_WEIGHT * height + shape) / 15
        assert float(found) == pytest.approx(expected, rel=1e-5)


def _log_factorial(n: np.ndarray) -> np.ndarray:
    from scipy.special import gammaln

    return gammaln(n + 1.0)


class TestTracks:
    def test_bins_equal_the_bases(self, folder: Path, plan: ReferencePlan, task: ReferenceTask) -> None:
        for row, name in enumerate(("plus", "minus", "both")):
            with pyBigWig.open(str(folder / f"{name}.bw")) as file:
                bases = np.abs(np.nan_to_num(file.values("chr1", 4_008, 4_008 + 640)))
            expected = bases.reshape(20, 32).sum(axis=1) / (32 if name == "both" else 1)
            np.testing.assert_allclose(task.data.signal.raw(4_008, 20, 32)[:, row], expected)
            clip = plan.tracks[row].clip
            squeezed = [v if v <= clip else clip + np.sqrt(v - clip) for v in expected]
            np.testing.assert_allclose(task.data.signal.bins(4_008, 20, 32)[:, row], squeezed, rtol=1e-6)

    def test_read_once(self, folder: Path, plan: ReferencePlan, tmp_path: Path) -> None:
        first = open_data(plan, tmp_path).signal
        (path,) = tmp_path.iterdir()
        written = path.stat().st_mtime_ns
        np.testing.assert_array_equal(open_data(plan, tmp_path).signal.cells, first.cells)
        assert path.stat().st_mtime_ns == written

    def test_files_that_do_not_fit(self, tmp_path: Path) -> None:
        path = tmp_path / "t.bw"
        file = TrackFile(Track("t", "a", "c", ".", "u"), path, "sum", 9.0)
        with pytest.raises(InputError, match="no such file"):
            read_signal([file], "chr1", 999, tmp_path)
        path.write_bytes(b"nothing")
        with pytest.raises(InputError, match="A track cannot be read"):
            read_signal([file], "chr1", 999, tmp_path)
        write_bigwig(path, np.array([3]), 1.0, length=500)
        with pytest.raises(InputError, match="another build") as caught:
            read_signal([file], "1", 999, tmp_path)
        assert (caught.value.details["expected"], caught.value.details["got"]) == ("999 bp", "500 bp")
        with pyBigWig.open(str(path), "w") as both:
            both.addHeader([("chr1", 999)])
            both.addEntries(["chr1"] * 2, [3, 90], [4, 91], [1.0, -2.0])
        with pytest.raises(InputError, match="values of both signs") as caught:
            read_signal([file], "chr1", 999, tmp_path)
        assert caught.value.details["got"] == "-2 to 1, over 8 bp"
        assert list(tmp_path.iterdir()) == [path]


class TestTask:
    def test_batches_follow_from_the_seed(self, task: ReferenceTask) -> None:
        (a, x), (b, y) = (task.batch(np.random.default_rng([1, 2]), 6) for _ in range(2))
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(x, y)
        assert (a.shape, x.shape) == ((6, 64 * 32), (6, 48, 3))

    def test_a_flipped_window_exchanges_strands_and_bins(self, task: ReferenceTask) -> None:
        codes, observed = task._window(4_000, 0, False)
        flipped, exchanged = task._window(4_000, 0, True)
        np.testing.assert_array_equal(flipped, reverse_complement(codes))
        np.testing.assert_array_equal(exchanged, observed[::-1, [1, 0, 2]])
        assert not np.array_equal(observed[:, 0], observed[:, 1])

    def test_signal_lies_where_the_words_are_on_either_strand(self, task: ReferenceTask) -> None:
        codes, observed = task.batch(np.random.default_rng(5), 8)
        for one, seen in zip(codes, observed, strict=True):
            starts = words(one)  # read from either strand, the words of "+" are the first track
            bins = [b for b in (starts + len(WORD) // 2) // 32 - 8 if 0 <= b < 48]
            near = np.zeros(48, bool)
            for b in bins:
                near[max(0, b - 1) : b + 2] = True
            assert seen[~near, 0].sum() <= 0.05 * max(seen[:, 0].sum(), 1)

    def test_begins_at_the_tracks_means(self, plan: ReferencePlan, task: ReferenceTask) -> None:
        means = torch.nn.functional.softplus(task.model.head.bias)
        torch.testing.assert_close(means, 1 / task._weights, rtol=1e-3, atol=1e-5)

    def test_blocks_are_predicted_as_one_window_at_a_time(
        self, plan: ReferencePlan, task: ReferenceTask
    ) -> None:
        predicted, observed = predict_blocks(task.model, task.data, task.validation, task.frame)
        start = -(-110_000 // 32) * 32  # the first edge of a bin inside of the block
        np.testing.assert_allclose(observed[:48], task.data.signal.bins(start + 8 * 32, 48, 32))
        window = torch.from_numpy(task.data.codes[start : start + 64 * 32])
        hot = torch.nn.functional.one_hot(window.long(), 4).T[None].float()
        with torch.no_grad():
            expected = task.model(hot)[0, 8:56].numpy()
        np.testing.assert_allclose(predicted[:48], expected, rtol=1e-4, atol=1e-6)


class TestCommands:
    def run(self, *arguments: str) -> str:
        app = typer.Typer()
        _add_train(app)
        found = CliRunner().invoke(app, ["train", *arguments], catch_exceptions=False)
        assert found.exit_code == 0, found.output
        return found.output

    def test_train_export_evaluate(self, folder: Path, tmp_path: Path) -> None:
        plan, run, weights = folder / "plan.toml", tmp_path / "run", tmp_path / "w.safetensors"
        assert "best score" in self.run("reference", str(plan), str(run))
        self.run("export", str(plan), str(run), str(weights))
        model = load(str(weights))
        assert [track.name for track in model.tracks] == ["x_plus", "x_minus", "x_open"]
        genes, expression = str(folder / "genes.tsv"), str(folder / "expression.bed")
        out = tmp_path / "out"
        self.run("evaluate", str(plan), str(weights), str(out), "--genes", genes, "--expression", expression)
        found = json.loads((out / "evaluation.json").read_text())
        assert sum(found["genes"].values()) == 25
        assert min(found["genes"][name] for name in ("test", "validation", "train")) > 0
        tracks = pl.read_parquet(out / "tracks.parquet").filter(scale="log1p", blocks="test")
        assert tracks["value"].min() > 0.2  # it has learnt the word
        tss = pl.read_parquet(out / "tss.parquet")
        assert set(tss["model"]) == {"measured", "mini/w"}
        assert set(tss["blocks"]) == {"test", "validation", "train"}

    def test_another_plan_in_the_same_folder(self, plan: ReferencePlan, tmp_path: Path) -> None:
        (tmp_path / "training.json").write_text("{}")
        with pytest.raises(StoreError, match="training by another plan"):
            train_reference(plan, tmp_path)


class TestPlan:
    def test_changes(self, folder: Path) -> None:
        plan = load_plan(folder / "plan.toml", max_steps=3, seed=None)
        assert (plan.fit.max_steps, plan.fit.seed) == (3, 0)
        assert plan.tracks[0].file == folder / "plus.bw"
        assert "bw" not in json.dumps(plan.record())

    @pytest.mark.parametrize(
        ("text", "message"),
        [("x = ", "not TOML"), ("speed = 1", "speed: unknown key"), ("", "reference: Field required")],
    )
    def test_what_is_wrong(self, tmp_path: Path, text: str, message: str) -> None:
        path = tmp_path / "p.toml"
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            load_plan(path)

    def test_no_plan(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="no plan"):
            load_plan(tmp_path / "p.toml")
