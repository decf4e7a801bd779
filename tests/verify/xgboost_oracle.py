"""What xgboost 0.90, the last that writes and reads the old binary format, makes of a linear booster.

``xgboost_oracle.py train <golden.json>`` trains a small booster with ExPecto's parameters and stores its
file, some features and its predictions of them. ``xgboost_oracle.py predict <save> <features.npy>
<predictions.npy>`` reads a ``.save`` file and predicts.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import numpy as np
import xgboost

PARAMETERS = {
    "booster": "gblinear",
    "objective": "reg:linear",
    "base_score": 2,
    "alpha": 0,
    "lambda": 1,
    "eta": 0.05,
    "nthread": 1,
    "silent": 1,
}


def train(golden: Path) -> None:
    rng = np.random.default_rng(20_190_807)
    features = rng.standard_normal((60, 12)).astype(np.float32)
    target = features[:, :4].sum(axis=1) + rng.standard_normal(60)
    booster = xgboost.train(PARAMETERS, xgboost.DMatrix(features, target), 20)
    saved = golden.with_suffix(".save")
    booster.save_model(str(saved))
    content = {
        "made_by": f"xgboost {xgboost.__version__}",
        "save": base64.b64encode(saved.read_bytes()).decode(),
        "features": features[:8].tolist(),
        "predictions": booster.predict(xgboost.DMatrix(features[:8])).tolist(),
    }
    saved.unlink()
    golden.write_text(json.dumps(content, indent=1) + "\n")


def predict(save: Path, features: Path, predictions: Path) -> None:
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(str(save))
    np.save(predictions, booster.predict(xgboost.DMatrix(np.load(features))))


if __name__ == "__main__":
    {"train": train, "predict": predict}[sys.argv[1]](*map(Path, sys.argv[2:]))
