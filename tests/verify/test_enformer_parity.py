"""enformer-pytorch, asked again now, says what the stored golden file says and what our port says."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from hapsight.models.enformer import Enformer, load, random_weights
from hapsight.models.enformer_net import Geometry
from tests.verify.enformer_oracle import random_codes

ORACLE = Path(__file__).with_name("enformer_oracle.py")
GOLDEN = json.loads((Path(__file__).parents[1] / "models" / "data" / "enformer_golden.json").read_text())
Answer = dict[str, list[list[float]]]


def ask(folder: Path, width: int, gamma: str, dtype: str) -> tuple[Answer, Path]:
    """The judge's answer for our random weights, and the file of them that it published."""
    python = os.environ.get("HAPSIGHT_ENFORMER_PYTHON")
    if not python:
        pytest.skip("HAPSIGHT_ENFORMER_PYTHON is not set: give a Python that has enformer-pytorch")
    weights, answers, published = (folder / name for name in ("ours.pt", "answers.json", "pytorch_model.bin"))
    torch.save(random_weights(Geometry(width), GOLDEN["weights_seed"]), weights)
    command = [python, str(ORACLE), str(weights), gamma, dtype, str(answers), str(published)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    weights.unlink()
    return json.loads(answers.read_text()), published


def outputs(model: Enformer, answer: Answer) -> np.ndarray:
    codes = torch.from_numpy(random_codes(answer["codes_seed"]))[None]  # type: ignore[arg-type]
    with torch.no_grad():
        x = model.network.transform(model.embed(codes), model.distances, 320, 1216)
        return model.network.outputs(x[:, answer["bins"]], answer["tracks"])[0].numpy()  # type: ignore[arg-type]


@pytest.mark.verify
@pytest.mark.parametrize(
    ("width", "gamma", "tolerance"), [(24, "port", 1e-9), (384, "port", 1e-9), (192, "official", 2e-6)]
)
def test_in_float64(tmp_path: Path, width: int, gamma: str, tolerance: float) -> None:
    """Widths of one head and of two; the official features are compared with their float32 table."""
    answer, published = ask(tmp_path, width, gamma, "float64")
    model = load(str(published), width=width, gamma=gamma, dtype="float64")
    np.testing.assert_allclose(outputs(model, answer), answer["outputs"], rtol=tolerance, atol=1e-12)
    stored = GOLDEN["answers"].get(f"{width}-{gamma}")
    if stored is not None:
        np.testing.assert_allclose(answer["outputs"], stored["outputs"], rtol=1e-8, atol=1e-12)


@pytest.mark.verify
def test_at_full_width_in_float32(tmp_path: Path) -> None:
    answer, published = ask(tmp_path, 1536, "official", "float32")
    model = load(str(published))
    np.testing.assert_allclose(outputs(model, answer), answer["outputs"], rtol=1e-5, atol=0)
