"""Files made to do harm: archives that unpack without end, names that lead elsewhere, pickles, links."""

import gzip
import io
import pickle
import sqlite3
import tarfile
import zipfile
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from hapsight.cohort import pvar, tables
from hapsight.cohort.expression import read_expression
from hapsight.cohort.predictdb import read_predictdb
from hapsight.cohort.tables import read_table
from hapsight.errors import InputError, WeightsError
from hapsight.models import expecto_files
from hapsight.models.loading import read_keras, read_keras_in_order, read_torch, refuse_pickle
from tests.fuzz.settings import good_torch

SHAPES = {"a.weight": (2, 3), "a.bias": (2,)}


@pytest.fixture
def small_limit(monkeypatch) -> int:
    monkeypatch.setattr(tables, "_SMALL", 1 << 20)
    return 1 << 20


@pytest.mark.usefixtures("small_limit")
@pytest.mark.parametrize("content", [b"\n" * 9_000_000, b"x" * 9_000_000], ids=["lines", "one line"])
def test_a_gzip_bomb_is_not_unpacked(tmp_path, content):
    path = tmp_path / "bomb.bed.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(InputError, match=r"unpacks to far more[\s\S]*up to 200 times[\s\S]*unpack it"):
        read_expression(path)


@pytest.mark.usefixtures("small_limit")
def test_a_large_table_that_packs_well_is_read(tmp_path):
    path = tmp_path / "zeros.tsv.gz"
    path.write_bytes(gzip.compress(b"a\tb\n" + b"0\t0\n" * 200_000))
    assert len(read_table(path, "covariates")) == 200_000


def test_a_zstd_bomb_is_not_unpacked(tmp_path, monkeypatch):
    zstandard = pytest.importorskip("zstandard", reason="the extra `pgen` is not installed")
    monkeypatch.setattr(pvar, "_SMALL", 1 << 20)
    path = tmp_path / "bomb.pvar.zst"
    path.write_bytes(zstandard.compress(b"##" + b"x" * 9_000_000))
    with pytest.raises(InputError, match=r"unpacks to far more[\s\S]*up to 200 times[\s\S]*zst-decompress"):
        pvar.read_pvar(path)


def test_a_compressed_torch_file_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(io.BytesIO(good_torch())) as good, zipfile.ZipFile(path, "w") as bomb:
        for member in good.infolist():
            bomb.writestr(member.filename, good.read(member), compress_type=zipfile.ZIP_DEFLATED)
    with pytest.raises(WeightsError, match=r"compressed, which torch\.save never does"):
        read_torch(path, SHAPES)


class Harm:
    """What a pickle can do when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("how", ["pickle", "torch"])
def test_no_code_of_a_pickle_is_run(tmp_path, how):
    path, harmed = tmp_path / "weights.pth", tmp_path / "harmed"
    if how == "pickle":
        path.write_bytes(pickle.dumps({"a.weight": Harm(harmed)}, protocol=2))
    else:
        torch.save({"a.weight": Harm(harmed)}, path)
    with pytest.raises(WeightsError, match="torch tensors"):
        read_torch(path, SHAPES)
    with pytest.raises(WeightsError, match="pickle"):
        refuse_pickle(path)
    assert not harmed.exists()


def test_numpy_reads_no_pickle(tmp_path):
    from hapsight.explain.modisco import _loaded

    path = tmp_path / "sequences.npz"
    np.savez(path, np.array([Harm(tmp_path / "harmed")], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        _loaded(path)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("read", [read_keras, read_keras_in_order])
def test_a_huge_layer_of_an_hdf5_file_is_not_unpacked(tmp_path, read):
    path = keras(tmp_path)
    with h5py.File(path, "a") as file:
        del file["model_weights/dense/dense/kernel:0"]
        file["model_weights/dense/dense"].create_dataset(
            "kernel:0", (1 << 20, 1 << 20), np.float32, chunks=(256, 256), compression="gzip", fillvalue=1
        )
    with pytest.raises(WeightsError, match=r"another shape[\s\S]*\(1048576, 1048576\) float32"):
        read(path, {"dense/kernel": (2, 3)})


@pytest.mark.parametrize("read", [read_keras, read_keras_in_order])
@pytest.mark.parametrize("how", ["external link", "external storage", "virtual"])
def test_an_hdf5_file_leads_to_no_other_file(tmp_path, read, how):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = np.ones((2, 3), np.float32)
    path = keras(tmp_path)
    with h5py.File(path, "a") as file:
        group = file["model_weights/dense/dense"]
        del group["kernel:0"]
        if how == "external link":
            group["kernel:0"] = h5py.ExternalLink(str(secret), "x")
        elif how == "external storage":
            group.create_dataset("kernel:0", (2, 3), np.float32, external=[(str(secret), 0, 24)])
        else:
            layout = h5py.VirtualLayout((2, 3), np.float32)
            layout[...] = h5py.VirtualSource(str(secret), "x", (2, 3))
            group.create_virtual_dataset("kernel:0", layout)
    with pytest.raises(WeightsError, match="points to another file"):
        read(path, {"dense/kernel": (2, 3)})


def keras(folder: Path) -> Path:
    path = folder / "weights.h5"
    with h5py.File(path, "w") as file:
        file["model_weights/dense/dense/kernel:0"] = np.ones((2, 3), np.float32)
        file["model_weights/dense"].attrs["weight_names"] = ["dense/kernel:0"]
        file["model_weights"].attrs["layer_names"] = ["dense"]
    return path


def test_an_archive_that_unpacks_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(expecto_files, "MOST_UNPACKED", 1 << 20)
    archive = tmp_path / "resources.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("a.save", "deepsea.beluga.pth"):
            member = tarfile.TarInfo(name)
            member.size = 700_000
            tar.addfile(member, io.BytesIO(bytes(700_000)))
    with pytest.raises(WeightsError, match=r"unpacks to more[\s\S]*1,400,000 bytes with 'deepsea"):
        expecto_files.unpack(archive, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["resources.tar.gz"]


@pytest.mark.parametrize("name", ["../evil.save", "/tmp/evil.save", "a/../../evil.save"])
def test_an_archive_writes_nowhere_else(tmp_path, name):
    archive = tmp_path / "in" / "resources.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(WeightsError, match="leads out of it"):
        expecto_files.unpack(archive, tmp_path / "in" / "out")
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "resources.tar.gz"]


def test_a_view_of_a_predictdb_computes_nothing(tmp_path):
    path = tmp_path / "endless.db"
    endless = "WITH RECURSIVE n(gene) AS (SELECT 1 UNION ALL SELECT gene + 1 FROM n) SELECT gene FROM n"
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"CREATE VIEW weights AS {endless}")
        database.execute("CREATE TABLE extra (gene)")
        database.commit()
    with pytest.raises(InputError, match="no table weights"):
        read_predictdb(path)
