#!/bin/sh
# Question: does tangermeme's `pairwise_annotations` count two sites of one motif in a sequence, as its docstring says ("an example
# with 3 instances" of a motif adds "a single" pair of the motif with itself, where `unique=True`, the default)?
#
# Guess, written before the run: yes.
#
# Versions: tangermeme 1.6.0, torch 2.13.0 (CPU).
#
# Seen: no. By default the diagonal is 0 whatever the data: hits are made unique first, and then nothing is left to pair a motif
# with. A factor that binds in clusters of its own sites, the commonest pair there is, never occurs with itself. With
# `unique=False` the pairs are there, three for three sites.
#
# Output (100 sequences, each with three sites of motif 0; 40 of them with one of motif 1):
#   default: [[0, 40], [40, 0]]
#   unique=False: [[300, 120], [120, 0]]
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet tangermeme==1.6.0 torch==2.13.0; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import torch
from tangermeme.annotate import pairwise_annotations

hits = [(example, 0) for example in range(100) for _ in range(3)] + [(example, 1) for example in range(40)]
hits = torch.tensor(hits)
print(f"default: {pairwise_annotations(hits).tolist()}")
print(f"unique=False: {pairwise_annotations(hits, unique=False).tolist()}")
PY
OMP_NUM_THREADS=1 env/bin/python run.py 2> /dev/null | tee seen
cat > expected <<'TXT'
default: [[0, 40], [40, 0]]
unique=False: [[300, 120], [120, 0]]
TXT
diff expected seen
