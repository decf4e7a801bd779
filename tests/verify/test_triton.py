"""The GPU's kernels under Triton's interpreter: as near to float64 as torch's float32."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.verify

ORACLE = Path(__file__).with_name("triton_oracle.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def errors(tmp_path_factory) -> dict[str, list[float]]:
    folder = Path(os.environ.get("HAPSIGHT_TRITON_FOLDER", ROOT / ".verify" / "triton"))
    if not (folder / "triton").exists():
        pytest.skip("run tests/verify/triton_venv.sh .verify/triton, or set HAPSIGHT_TRITON_FOLDER")
    to = tmp_path_factory.mktemp("triton") / "errors.json"
    path = os.pathsep.join([str(folder.resolve()), str(ROOT / "src")])
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": path}
    command = [sys.executable, str(ORACLE), str(to)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(to.read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("kind", "count"), [("product", 3), ("convolution", 5), ("attention", 3), ("module", 8)]
)
def test_kernels_are_as_exact_as_float32(errors, kind, count):
    own = {name: pair for name, pair in errors.items() if name.startswith(kind)}
    assert len(own) == count
    for name, (split, float32) in own.items():
        assert split < max(4 * float32, 2e-7), (name, split, float32)
        assert split < 2e-6, (name, split, float32)
