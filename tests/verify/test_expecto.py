"""ExPecto at full width against the published layers, and its heads against xgboost 0.90."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from hapsight.models.expecto import load
from hapsight.models.expecto_files import read_gblinear
from tests.models.old_booster import old_booster
from tests.models.published_beluga import Judge, judge_features, random_sequence

ORACLE = Path(__file__).with_name("xgboost_oracle.py")
GOLDEN = Path(__file__).parents[1] / "models" / "data" / "xgboost_golden.json"


def ask_xgboost(*arguments: str | Path) -> None:
    python = os.environ.get("HAPSIGHT_XGBOOST_PYTHON")
    if not python:
        pytest.skip("HAPSIGHT_XGBOOST_PYTHON is not set: give a Python that has xgboost 0.90")
    command = [python, str(ORACLE), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.verify
def test_xgboost_writes_what_is_stored(tmp_path: Path) -> None:
    ask_xgboost("train", tmp_path / "golden.json")
    assert json.loads((tmp_path / "golden.json").read_text()) == json.loads(GOLDEN.read_text())


@pytest.mark.verify
@pytest.mark.parametrize("prefix", [b"", b"binf"])
def test_xgboost_reads_a_head_of_the_tests_as_we_do(tmp_path: Path, prefix: bytes) -> None:
    rng = np.random.default_rng(1)
    numbers = (rng.standard_normal(20_031) * 1e-3).astype(np.float32)
    features = rng.random((5, 20_030)).astype(np.float32)
    (tmp_path / "head.save").write_bytes(old_booster(numbers[:-1], float(numbers[-1]), prefix=prefix))
    np.save(tmp_path / "features.npy", features)
    ask_xgboost("predict", tmp_path / "head.save", tmp_path / "features.npy", tmp_path / "predictions.npy")
    head = read_gblinear(tmp_path / "head.save", 20_030)
    # xgboost adds 20,030 numbers one by one in float32
    ours = features.astype(float) @ head.weights.astype(float) + head.bias + head.base_score
    np.testing.assert_allclose(np.load(tmp_path / "predictions.npy"), ours, rtol=0, atol=5e-5)


@pytest.mark.verify
def test_full_width_equals_the_published_layers(tmp_path: Path) -> None:
    torch.manual_seed(4)
    judge = Judge(320, 480, 640, 2003).eval()
    torch.save(judge.state_dict(), tmp_path / "deepsea.beluga.pth", _use_new_zipfile_serialization=False)
    weights = np.zeros(20_030, np.float32)
    (tmp_path / "Liver.save").write_bytes(old_booster(weights, 0.0))
    model = load(str(tmp_path))
    sequence = random_sequence(2200, 9)
    codes = torch.from_numpy(np.frombuffer(sequence.encode().translate(CODES), np.uint8).copy())
    judged = judge_features(judge.double(), [sequence[:2000], sequence[200:]])
    with torch.inference_mode():
        embedding = model.embed(codes[None])[0]
        shared = torch.cat([model.embed_window(embedding[None, start : start + 212]) for start in (0, 25)])
        plain = torch.cat([model._features(codes[None, start : start + 2000]) for start in (0, 200)])
    np.testing.assert_allclose(shared.numpy(), judged, rtol=1e-5, atol=0)
    np.testing.assert_allclose(shared.numpy(), plain.numpy(), rtol=1e-6, atol=0)


CODES = bytes.maketrans(b"ACGTN", bytes(range(5)))
