"""Keras, asked again now, says what the stored golden file says; our port is tested against that file."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

ORACLE = Path(__file__).with_name("keras_oracle.py")
GOLDEN = Path(__file__).parents[1] / "models" / "data" / "keras_golden.json"


def ask_keras(target: Path, folder: Path | None) -> dict[str, list[dict[str, list[float]]]]:
    python = os.environ.get("HAPSIGHT_KERAS_PYTHON")
    if not python:
        pytest.skip("HAPSIGHT_KERAS_PYTHON is not set: give a Python that has keras, torch and h5py")
    command = [python, str(ORACLE), str(target), *([str(folder)] if folder else [])]
    environment = os.environ | {"KERAS_BACKEND": os.environ.get("KERAS_BACKEND", "torch")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(target.read_text())["weights"]


def assert_same(live: list[dict[str, list[float]]], stored: list[dict[str, list[float]]]) -> None:
    for now, then in zip(live, stored, strict=True):
        assert now["half_life"] == then["half_life"]
        np.testing.assert_allclose(now["outputs"], then["outputs"], rtol=0, atol=2e-6)


@pytest.mark.verify
def test_on_synthetic_weights(tmp_path: Path) -> None:
    stored = json.loads(GOLDEN.read_text())["weights"]
    live = ask_keras(tmp_path / "golden.json", None)
    assert live.keys() == {name for name in stored if name.startswith("synthetic")}
    for name, cases in live.items():
        assert_same(cases, stored[name])


@pytest.mark.verify
def test_on_published_weights(tmp_path: Path, shared_data: Path) -> None:
    stored = json.loads(GOLDEN.read_text())["weights"]
    live = ask_keras(tmp_path / "golden.json", shared_data / "xpresso")
    assert live.keys() == stored.keys()
    for name, cases in live.items():
        assert_same(cases, stored[name])
