"""basenji2-pytorch and Keras, asked now, against our port and against the stored golden file."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hapsight.models.basenji2 import Basenji2, load
from hapsight.models.basenji2_net import Channels, random_state
from hapsight.models.protocol import ReadOut
from tests.models.test_basenji2 import GOLDEN, port_state
from tests.verify.basenji2_oracle import random_codes

ORACLE = Path(__file__).with_name("basenji2_oracle.py")
ROOT = Path(__file__).parents[2]


def ask(*arguments: object) -> dict[str, Any]:
    python = Path(
        os.environ.get("HAPSIGHT_BASENJI2_PYTHON", ROOT / ".verify" / "basenji2" / "bin" / "python")
    )
    if not python.exists():
        pytest.skip("run tests/verify/basenji2_venv.sh .verify/basenji2, or set HAPSIGHT_BASENJI2_PYTHON")
    command = [str(python), str(ORACLE), *map(str, arguments)]
    environment = os.environ | {"KERAS_BACKEND": "torch"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(Path(str(arguments[-1])).read_text())  # type: ignore[no-any-return]


def outputs_of(model: Basenji2, answers: dict[str, Any]) -> np.ndarray:
    """(bins, tracks), by the shared way."""
    embedding = model.embed(torch.from_numpy(random_codes(answers["codes_seed"]))[None])
    read_outs = [ReadOut("one", tuple(answers["tracks"]), (index,)) for index in answers["bins"]]
    return np.array([model.read(embedding[:, slice(*model.span(one))], one)[0].numpy() for one in read_outs])


def save_as_port(path: Path, width: int) -> Path:
    """Random weights of seed 1 in the port's own names."""
    torch.save(port_state(random_state(Channels.of_width(width), np.random.default_rng(1))), path)
    return path


@pytest.mark.verify
def test_the_golden_file_is_what_the_port_says(tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text())
    live = ask("port", save_as_port(tmp_path / "weights.pth", 24), tmp_path / "answers.json")
    assert live["outputs"].keys() == golden["outputs"].keys()
    for activation, values in live["outputs"].items():
        np.testing.assert_allclose(values, golden["outputs"][activation], rtol=1e-12)


@pytest.mark.verify
def test_the_port_at_full_width(tmp_path: Path) -> None:
    path = save_as_port(tmp_path / "weights.pth", 768)
    answers = ask("port", path, tmp_path / "answers.json")
    for dtype, tolerance in (("float64", 1e-10), ("float32", 1e-5)):
        ours = outputs_of(load(str(path), dtype=dtype), answers)
        np.testing.assert_allclose(ours, answers["outputs"]["sigmoid"], rtol=tolerance)


@pytest.mark.verify
@pytest.mark.parametrize("width", [24, 48])
def test_a_file_that_keras_wrote(tmp_path: Path, width: int) -> None:
    answers = ask("keras", width, tmp_path / "weights.h5", tmp_path / "answers.json")
    ours = outputs_of(load(str(tmp_path / "weights.h5"), width=width, dtype="float64"), answers)
    np.testing.assert_allclose(ours, answers["outputs"]["sigmoid"], rtol=1e-5)
