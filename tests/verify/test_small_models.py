"""EPInformer, MPRA-DragoNN and Framepool with real weights, against published and independent values."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from hapsight.cohort.nouns import Interval
from hapsight.cohort.reference import Reference
from hapsight.dna import encode
from hapsight.models import epinformer, framepool, mpra_dragonn

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
