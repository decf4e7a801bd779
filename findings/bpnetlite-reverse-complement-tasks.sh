#!/bin/sh
# Question: bpnet-lite turns half of the training examples round. With tracks of three factors, which are not strands, are the
# tracks turned round too, each in its own place?
#
# Guess, written before the run: yes; each track is reversed along the sequence, and the tracks keep their order.
#
# Versions: bpnet-lite 1.1.0, torch 2.13.0 (CPU), numpy 2.4.6.
#
# Seen: the order of the tracks is reversed as well. That is right for one pair of strands. With two or more factors, half of the
# examples teach the first factor's head the last one's track, at the right place of the right sequence, and losses look
# healthy. Neither generator asks what the tracks are. (The docstrings speak of two tracks for strands and one
# otherwise as usual, not of more; issue 29 reports it and is open.)
#
# Output (tracks of three factors with peaks of height 1 on a C, 2 on a G, 3 on an A):
#   DataGenerator: as given 1 on C, 2 on G, 3 on A; turned round 3 on T, 2 on C, 1 on G
#   PeakNegativeSampler: as given 1 on C, 2 on G, 3 on A; turned round 3 on T, 2 on C, 1 on G
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet torch==2.13.0 bpnet-lite==1.1.0 numpy==2.4.6; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import torch
from bpnetlite.io import DataGenerator, PeakNegativeSampler

BASES = "ACGTAACAGAAATA"  # 14 wide, as jitter takes one base from either side of 12
sequences = torch.eye(4)[torch.tensor(["ACGT".index(base) for base in BASES])].T[None].repeat(16, 1, 1)
signals = torch.zeros(16, 3, 14)
for task, (place, height) in enumerate(((6, 1.0), (8, 2.0), (4, 3.0))):
    signals[:, task, place] = height
options = {"in_window": 12, "out_window": 12, "max_jitter": 1, "reverse_complement": True, "random_state": 0}


def show(label, data):
    seen = {}
    for i in range(16):
        bases, values = data[i][:2]
        turned = "TTCTG" in "".join("ACGT"[base] for base in bases.argmax(0))
        seen[turned] = ", ".join(f"{row.max():.0f} on {'ACGT'[bases[:, row.argmax()].argmax()]}" for row in values)
    print(f"{label}: as given {seen[False]}; turned round {seen[True]}")


show("DataGenerator", DataGenerator(sequences, signals, **options))
show("PeakNegativeSampler", PeakNegativeSampler(sequences, signals, sequences, signals, **options))
PY
OMP_NUM_THREADS=1 env/bin/python run.py 2> /dev/null | tee seen
cat > expected <<'TXT'
DataGenerator: as given 1 on C, 2 on G, 3 on A; turned round 3 on T, 2 on C, 1 on G
PeakNegativeSampler: as given 1 on C, 2 on G, 3 on A; turned round 3 on T, 2 on C, 1 on G
TXT
diff expected seen
