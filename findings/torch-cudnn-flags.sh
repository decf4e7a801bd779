#!/bin/sh
# Question: does `with torch.backends.cudnn.flags(deterministic=True):` make cuDNN choose deterministic algorithms
# inside the block, and change nothing else?
#
# Guess, written before the run: yes; what is not named keeps its value.
#
# Versions: torch 2.13.0 (the CPU build shows it; the settings are the same object on a GPU).
#
# Seen: the context manager has a default for each setting, and those are not the values in force: `enabled` defaults to
# False. Inside, torch.backends.cudnn.enabled is False, so cuDNN is off and on a GPU convolutions take another path,
# with other rounding and another speed. `benchmark` goes back to False as well. Naming enabled=True, or setting
# torch.backends.cudnn.deterministic itself, does what was meant.
#
# Output (enabled, deterministic, benchmark; benchmark was set to True before):
#   outside: True False True
#   flags(deterministic=True): False True False
#   flags(enabled=True, deterministic=True): True True False
#   after: True False True
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet torch==2.13.0; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import torch

cudnn = torch.backends.cudnn


def show(label):
    print(f"{label}: {cudnn.enabled} {cudnn.deterministic} {cudnn.benchmark}")


cudnn.benchmark = True
show("outside")
with cudnn.flags(deterministic=True):
    show("flags(deterministic=True)")
with cudnn.flags(enabled=True, deterministic=True):
    show("flags(enabled=True, deterministic=True)")
show("after")
PY
env/bin/python run.py 2> /dev/null | tee seen
cat > expected <<'TXT'
outside: True False True
flags(deterministic=True): False True False
flags(enabled=True, deterministic=True): True True False
after: True False True
TXT
diff expected seen
