#!/bin/sh
# Question: does alphagenome-pt's `AlphaGenome.predict()`, which its docstring calls inference, predict by the stored
# statistics on a model that was just built or loaded?
#
# Guess, written before the run: yes. A sequence's value does not depend on the others of its batch, calling it twice
# gives the same, and the model's tensors stay as they are.
#
# Versions: alphagenome-pt 1.0.0, torch 2.13.0 (CPU).
#
# Seen: no. `AlphaGenome(...)` and `AlphaGenome.load(...)` are in training mode, and `predict` does not change that: it
# normalises by the batch at hand and writes its moving averages. A sequence's values change when another one is in the batch (by
# up to half), and 51 of 376 tensors of the model change with one call. After `.eval()` neither happens. The README's
# example calls `eval()`; nothing warns where it is missing.
#
# Output (a narrow model with random weights, 2,048 bases):
#   after load: training mode True
#   predict as loaded: another sequence in the batch changes values: True; tensors changed by one call: 51 of 376
#   predict after eval(): another sequence in the batch changes values: False; tensors changed by one call: 0 of 376
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet alphagenome-pt==1.0.0 torch==2.13.0; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import torch
from alphagenome_pt import AlphaGenome, HeadName, small_alphagenome, synthetic_metadata

torch.manual_seed(0)
heads = synthetic_metadata(heads=[HeadName.CAGE, HeadName.DNASE], num_organisms=1)
small_alphagenome(heads, num_channels=24, dtype_policy="float32").save("saved")
model = AlphaGenome.load("saved")
print(f"after load: training mode {model.training}")
bases = torch.nn.functional.one_hot(torch.randint(0, 4, (2, 2048)), 4).float()


def cage(rows):
    return model.predict(rows, 0)["cage"]["predictions_1bp"][:1].clone()


for name in ("predict as loaded", "predict after eval()"):
    if name.endswith("eval()"):
        model.eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    alone = cage(bases[:1])
    changed = sum(not torch.equal(before[key], value) for key, value in model.state_dict().items())
    together = cage(bases)
    other = bool(((alone - together).abs() > 0.01 * alone.abs()).any())
    print(
        f"{name}: another sequence in the batch changes values: {other}; "
        f"tensors changed by one call: {changed} of {len(before)}"
    )
PY
env/bin/python run.py 2> /dev/null | tee seen
cat > expected <<'TXT'
after load: training mode True
predict as loaded: another sequence in the batch changes values: True; tensors changed by one call: 51 of 376
predict after eval(): another sequence in the batch changes values: False; tensors changed by one call: 0 of 376
TXT
diff expected seen
