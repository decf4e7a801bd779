"""EPInformer, MPRA-DragoNN and Framepool with real weights, against published and independent values."""

from __future__ import annotations

import csv
import gzip
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from hapsight.cohort.nouns import Interval
from hapsight.cohort.reference import Reference
from hapsight.dna import encode
from hapsight.models import epinformer, framepool, mpra_dragonn
from tests.models.small_models import dragonn_arrays, framepool_arrays, keras_file
from tests.verify.judges import python_of

pytestmark = pytest.mark.verify


def read_rows(path: Path) -> list[dict[str, str]]:
    content = path.read_bytes()
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    return list(csv.DictReader(text.decode().splitlines(), delimiter="\t"))


def windows(shared_data: Path, rows: list[dict[str, str]]) -> torch.Tensor:
    reference = Reference(shared_data / "geuvadis_chr22" / "chr22.fa.gz")
    places = [Interval(row["chrom"], int(row["start"]), int(row["end"])) for row in rows]
    return torch.from_numpy(np.stack([reference.fetch(place) for place in places]))


@pytest.fixture
def epinformer_data(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HAPSIGHT_WEIGHTS", str(shared_data / "epinformer"))
    return shared_data / "epinformer"


@pytest.mark.parametrize(
    ("table", "weights", "r"),
    [
        ("parity_fold11_chr22.tsv.gz", "GM12878_fold11", 0.574),
        ("parity_K562_fold11_chr22.tsv.gz", "K562_fold11", 0.647),
    ],
)
def test_epinformer_equals_the_published_predictions(
    shared_data: Path, epinformer_data: Path, table: str, weights: str, r: float
) -> None:
    rows = read_rows(epinformer_data / table)
    model = epinformer.load(weights)
    predicted = model.predict(windows(shared_data, rows), model.read_out())[:, 0].numpy()
    published = np.array([float(row["published_prediction"]) for row in rows])
    measured = np.array([float(row["measured_activity"]) for row in rows])
    assert len(rows) == 400
    np.testing.assert_allclose(predicted, published, rtol=0, atol=1e-3)
    assert np.corrcoef(predicted, measured)[0, 1] == pytest.approx(r, abs=1e-3)
    assert model.held_out == ("22", "X")


def test_all_folds_of_epinformer_equal_an_independent_forward_pass(
    shared_data: Path, epinformer_data: Path
) -> None:
    rows = read_rows(epinformer_data / "expected_all_checkpoints.tsv")
    codes = windows(shared_data, rows)
    names = [name for name in rows[0] if "fold" in name]
    assert len(names) == 13
    for name in names:
        model = epinformer.load(name)
        predicted = model.predict(codes, model.read_out())[:, 0].numpy()
        np.testing.assert_allclose(predicted, [float(row[name]) for row in rows], rtol=0, atol=5e-6)


def test_mpra_dragonn_equals_an_independent_forward_pass(shared_data: Path) -> None:
    folder = shared_data / "mpra_models"
    rows = read_rows(folder / "expected_mpra_dragonn.tsv")
    codes = windows(shared_data, rows)
    model = mpra_dragonn.load(str(folder / "mpra_dragonn_conv.hdf5"))
    for task, column in zip(mpra_dragonn.TASKS, list(rows[0])[3:], strict=True):
        assert task.lower().replace("sv40", "sv40p") == column
        predicted = model.predict(codes, model.read_out(task))[:, 0].numpy()
        np.testing.assert_allclose(predicted, [float(row[column]) for row in rows], rtol=0, atol=1e-5)


def test_framepool_equals_an_independent_forward_pass(shared_data: Path) -> None:
    folder = shared_data / "mpra_models"
    rows = read_rows(folder / "expected_framepool.tsv")
    utrs = [encode(row["utr"]) for row in rows]
    columns = ("load_egfp_50nt_scale", "load_random_length_scale")
    for library, column in zip(framepool.LIBRARIES, columns, strict=True):
        model = framepool.load(str(folder / "framepool_combined_residual.h5"), library=library)
        expected = [float(row[column]) for row in rows]
        np.testing.assert_allclose(model.predict(utrs), expected, rtol=0, atol=1e-5)


ORACLE = Path(__file__).with_name("keras_small_oracle.py")


def ask_keras(folder: Path, model: str, weights: Path, **inputs: np.ndarray) -> np.ndarray:
    python = python_of("keras", "keras", "h5py")
    np.savez(folder / "inputs.npz", **inputs)
    command = [python, str(ORACLE), model, str(weights), str(folder / "inputs.npz"), str(folder / "o.npz")]
    environment = os.environ | {"KERAS_BACKEND": os.environ.get("KERAS_BACKEND", "torch")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found: np.ndarray = np.load(folder / "o.npz")["outputs"]
    return found


@pytest.mark.parametrize("weights", ["published", "random"])
def test_mpra_dragonn_equals_keras(weights: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Random sequences, a fifth of the bases N."""
    if weights == "published":
        path = request.getfixturevalue("shared_data") / "mpra_models" / "mpra_dragonn_conv.hdf5"
    else:
        path = keras_file(tmp_path / "w.h5", dragonn_arrays())
    codes = np.random.default_rng(5).integers(0, 5, (50, 145)).astype(np.uint8)
    judge = ask_keras(tmp_path, "mpra_dragonn", path, codes=codes)
    model = mpra_dragonn.load(str(path))
    for task, column in zip(mpra_dragonn.TASKS, judge.T, strict=True):
        predicted = model.predict(torch.from_numpy(codes), model.read_out(task))[:, 0].numpy()
        np.testing.assert_allclose(predicted, column, rtol=0, atol=1e-5)
    assert judge.std(axis=0).min() > 0.05


@pytest.mark.parametrize("weights", ["published", "random"])
def test_framepool_equals_keras(weights: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """UTRs of 3 to 120 bases in one batch, padded on the left there; every third has Ns."""
    if weights == "published":
        path = request.getfixturevalue("shared_data") / "mpra_models" / "framepool_combined_residual.h5"
    else:
        path = keras_file(tmp_path / "w.h5", framepool_arrays(), "_2", whole=True)
    rng = np.random.default_rng(6)
    utrs = [
        rng.integers(0, 4 + (k % 3 == 0), length).astype(np.uint8)
        for k, length in enumerate(range(3, 121, 3))
    ]
    padded = np.stack([np.pad(utr, (120 - len(utr), 0), constant_values=5) for utr in utrs])
    for number, library in enumerate(framepool.LIBRARIES):
        chosen = np.tile(np.eye(2, dtype=np.float32)[number], (len(utrs), 1))
        judge = ask_keras(tmp_path, "framepool", path, codes=padded, library=chosen)[:, 0]
        predicted = framepool.load(str(path), library=library).predict(utrs)
        np.testing.assert_allclose(predicted, judge, rtol=1e-5, atol=1e-5)
        assert judge.std() > 0.05
