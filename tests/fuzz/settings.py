"""Configuration, weights of models, and PredictDB."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np

from hapsight.cohort.predictdb import WEIGHTS, read_predictdb
from hapsight.run.config import load_config, to_toml
from tests.fuzz.harness import text
from tests.models.old_booster import old_booster
from tests.planted import CONFIG


def good_config() -> bytes:
    return CONFIG.encode()


def config(path: Path) -> None:
    found = load_config(path)
    again = path.with_name("again.toml")
    again.write_text(to_toml(found), encoding="utf-8")
    assert load_config(again) == found


FEATURES = 7


def good_booster() -> bytes:
    return old_booster(np.linspace(-1, 1, FEATURES, dtype=np.float32), 0.25)


def booster(path: Path) -> None:
    from hapsight.models.expecto_files import read_gblinear

    found = read_gblinear(path, FEATURES)
    assert found.weights.shape == (FEATURES,)
    assert np.isfinite([found.bias, found.base_score, *found.weights]).all()


SHAPES = {"a.weight": (2, 3), "a.bias": (2,)}


def _arrays() -> dict[str, np.ndarray]:
    return {
        name: np.arange(np.prod(shape), dtype=np.float32).reshape(shape) for name, shape in SHAPES.items()
    }


def _whole(found: dict[str, np.ndarray]) -> None:
    assert {name: array.shape for name, array in found.items()} == SHAPES
    assert all(np.isfinite(array).all() for array in found.values())


def good_safetensors() -> bytes:
    from safetensors.numpy import save

    return save(_arrays())


def safetensors_file(path: Path) -> None:
    from hapsight.models.loading import read_safetensors

    _whole(read_safetensors(path, SHAPES))


def good_torch() -> bytes:
    import io

    import torch

    buffer = io.BytesIO()
    torch.save({name: torch.from_numpy(array) for name, array in _arrays().items()}, buffer)
    return buffer.getvalue()


def torch_file(path: Path) -> None:
    from hapsight.models.loading import read_torch

    _whole(read_torch(path, SHAPES))


def good_keras() -> bytes:
    import io

    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for layer in ("conv1d", "dense"):
            for name, shape in (("kernel", (2, 3)), ("bias", (2,))):
                file[f"model_weights/{layer}/{layer}/{name}:0"] = np.ones(shape, np.float32)
            file[f"model_weights/{layer}"].attrs["weight_names"] = [f"{layer}/kernel:0", f"{layer}/bias:0"]
        file["model_weights"].attrs["layer_names"] = ["conv1d", "dense"]
    return buffer.getvalue()


KERAS = {
    f"{layer}/{name}": shape
    for layer in ("conv1d", "dense")
    for name, shape in (("kernel", (2, 3)), ("bias", (2,)))
}


def keras(path: Path) -> None:
    from hapsight.models.loading import read_keras, read_keras_in_order

    for read in (read_keras, read_keras_in_order):
        found = read(path, KERAS)
        assert {name: array.shape for name, array in found.items()} == KERAS


def good_mini() -> bytes:
    import tempfile

    from hapsight.models.mini_net import TRACKS, Channels, MiniNet, save_mini

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "w.safetensors"
        save_mini(MiniNet(Channels(2, 2, 2), 1), TRACKS[:1], path)
        return path.read_bytes()


def mini(path: Path) -> None:
    from hapsight.models.mini_net import read_mini

    read_mini(path, "fuzz")


def good_targets() -> bytes:
    header: list[object] = [
        "index",
        "genome",
        "identifier",
        "file",
        "clip",
        "scale",
        "sum_stat",
        "description",
    ]
    return text([header, *([i, 0, f"CNhs{i}", "x", 32, 2, "mean", f"CAGE:cell {i}"] for i in range(4))])


def targets_list(path: Path) -> None:
    from hapsight.models.tracks import read_targets

    tracks = read_targets(path)
    assert all(track.name for track in tracks)


def good_predictdb() -> bytes:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute(f"CREATE TABLE weights ({', '.join(WEIGHTS)})")
        database.execute("CREATE TABLE extra (gene, genename)")
        for i in range(5):
            row = (f"ENSG0{i % 2}.1", f"rs{i}", f"chr1_{10 + i}_A_C_b38", "A", "C", 0.5 * i - 1)
            database.execute("INSERT INTO weights VALUES (?, ?, ?, ?, ?, ?)", row)
        database.execute("INSERT INTO extra VALUES ('ENSG00.1', 'ONE')")
        database.commit()
        return database.serialize()


def predictdb(path: Path) -> None:
    found = read_predictdb(path)
    assert found.weights["weight"].is_finite().all()
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
        assert database.execute("SELECT count(*) FROM weights").fetchone()[0] == len(found.weights)
