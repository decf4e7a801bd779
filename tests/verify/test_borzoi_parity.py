"""borzoi-pytorch, asked now, says what our port says; and what the stored golden file says.

Narrow networks read a whole window, and the networks of full width a short one: both in float64. With
``--golden`` as argument of `python -m tests.verify.test_borzoi_parity` the golden file is written anew.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from hapsight.models.borzoi import random_weights, save_safetensors
from hapsight.models.borzoi_net import WIDTH, BorzoiNet, BorzoiSizes
from hapsight.models.catalogue import BORZOI_TARGETS
from hapsight.models.forward import one_hot
from hapsight.models.tracks import find_tracks, published_targets
from tests.verify.borzoi_oracle import input_codes

ORACLE = Path(__file__).with_name("borzoi_oracle.py")
GOLDEN = Path(__file__).parents[1] / "models" / "data" / "borzoi_golden.json"
TRACKS = [0, 870, 871, 6112, 7610]
NARROW = {
    "width": 16,
    "seed": 1,
    "length": 524_288,
    "centre_bins": 6144,
    "bins": [0, 1, 1000, 3071, 3072, 6143],
}
WIDE = {"width": WIDTH, "seed": 2, "length": 16_384, "centre_bins": 384, "bins": list(range(0, 384, 7))}
SMALL = {"width": 48, "seed": 3, "length": 4_096, "centre_bins": 64, "bins": list(range(64))}


def network(case: dict[str, object], rotary: bool) -> BorzoiNet:
    net = BorzoiNet(BorzoiSizes.of_width(int(case["width"]), rotary=rotary))
    net.load_state_dict(random_weights(net.sizes, int(case["seed"])), strict=False)
    return net.eval()


def oracle_python() -> str:
    python = os.environ.get("HAPSIGHT_BORZOI_PYTHON")
    if not python:
        pytest.skip("HAPSIGHT_BORZOI_PYTHON is not set: see tests/verify/borzoi_venv.sh")
    return python


def ask_oracle(net: BorzoiNet, case: dict[str, object]) -> np.ndarray:
    python = oracle_python()
    with tempfile.TemporaryDirectory() as folder:
        request, weights, target = (Path(folder) / name for name in ("r.json", "w.safetensors", "o.npz"))
        request.write_text(json.dumps(case | {"sizes": asdict(net.sizes), "tracks": TRACKS}))
        save_safetensors(net, weights)
        command = [python, str(ORACLE), str(request), str(weights), str(target)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
        assert done.returncode == 0, done.stderr
        return np.load(target)["outputs"]


def ours(net: BorzoiNet, case: dict[str, object]) -> np.ndarray:
    """(tracks, bins) in float64."""
    net.double()
    codes = torch.from_numpy(input_codes(int(case["seed"]), int(case["length"])))
    with torch.no_grad():
        embedding = net.embed(one_hot(codes).double())
        positions = embedding.shape[1]
        decoded = net.decode(net.attend(embedding, 0, positions), embedding)
        edge = (4 * positions - int(case["centre_bins"])) // 2
        return net.head(decoded[..., [edge + index for index in case["bins"]]], TRACKS)[0].numpy()


@pytest.mark.verify
@pytest.mark.parametrize("rotary", [False, True], ids=["borzoi", "flashzoi"])
@pytest.mark.parametrize("case", [NARROW, WIDE, SMALL], ids=["narrow", "wide", "small"])
def test_equals_borzoi_pytorch(case: dict[str, object], rotary: bool) -> None:
    net = network(case, rotary)
    judge = ask_oracle(net, case)
    assert judge.std() > 0
    np.testing.assert_allclose(ours(net, case), judge, rtol=1e-9, atol=1e-12)


@pytest.mark.verify
@pytest.mark.parametrize("rotary", [False, True], ids=["borzoi", "flashzoi"])
def test_the_golden_file_is_what_borzoi_pytorch_says(rotary: bool) -> None:
    stored = json.loads(GOLDEN.read_text())["flashzoi" if rotary else "borzoi"]
    for case in stored:
        judge = ask_oracle(network(case["case"], rotary), case["case"])
        np.testing.assert_allclose(judge, case["outputs"], rtol=1e-9)


@pytest.mark.verify
def test_the_published_list_of_tracks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_package = (
        "import importlib.util as u; print(u.find_spec('borzoi_pytorch').submodule_search_locations[0])"
    )
    done = subprocess.run([oracle_python(), "-c", find_package], capture_output=True, text=True, check=True)
    monkeypatch.setenv("HAPSIGHT_WEIGHTS", str(tmp_path))
    without = published_targets()
    shutil.copy(Path(done.stdout.strip()) / "precomputed" / "targets.txt", tmp_path / BORZOI_TARGETS.filename)
    targets = published_targets()
    assert len(targets) == len(without) == 7611
    for index in (870, 871, *range(6112, 6118)):
        assert targets[index] == without[index]
    tracks = [target.track for target in targets]
    assert find_tracks(tracks, ["CNhs12332+", "encff776dpq"]) == (870, 2184)
    assert sum(target.pair == index for index, target in enumerate(targets)) == 5159


def write_golden() -> None:
    """Write what borzoi-pytorch says of random weights and sequences."""
    golden: dict[str, object] = {"made_by": "borzoi-pytorch 0.5.0, torch 2.13.0, float64", "tracks": TRACKS}
    for name, rotary in (("borzoi", False), ("flashzoi", True)):
        golden[name] = [
            {"case": case, "outputs": ask_oracle(network(case, rotary), case).tolist()}
            for case in (NARROW, SMALL)
        ]
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__" and "--golden" in sys.argv:
    write_golden()
