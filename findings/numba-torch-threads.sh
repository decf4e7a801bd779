#!/bin/sh
# Question: OMP_NUM_THREADS=1 is in the environment, as it should be where several processes share a machine. How many
# threads does torch use after something beside it has asked numba how many threads it has?
#
# Guess, written before the run: one. torch read OMP_NUM_THREADS when it was imported, and nobody calls
# torch.set_num_threads; numba keeps its own count.
#
# Versions: torch 2.13.0 (CPU), numba 0.68.1, numpy 2.4.6; Linux, two cores or more.
#
# Seen: all cores. numba.get_num_threads(), as any parallel=True function (memelite's fimo is one), starts numba's
# threading layer; its OpenMP layer sets OpenMP's number of threads to NUMBA_NUM_THREADS, by default all cores whatever
# OMP_NUM_THREADS says, and torch's threads are of the same OpenMP. Two processes on two cores then wait for each
# other at every product. NUMBA_NUM_THREADS=1 beside OMP_NUM_THREADS=1 keeps torch at one.
#
# Output:
#   OMP_NUM_THREADS=1: torch 1 before, all cores after
#   and NUMBA_NUM_THREADS=1: torch 1 before, 1 after
set -eu
[ "$(nproc)" -ge 2 ] || { echo 'needs two cores' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet torch==2.13.0 numba==0.68.1 numpy==2.4.6; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import os
import sys

import numba
import torch

before = torch.get_num_threads()
numba.get_num_threads()
after = torch.get_num_threads()
cores = len(os.sched_getaffinity(0))
print(f"{sys.argv[1]}: torch {before} before, {'all cores' if after == cores else after} after")
PY
OMP_NUM_THREADS=1 env/bin/python run.py 'OMP_NUM_THREADS=1' > seen
OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 env/bin/python run.py 'and NUMBA_NUM_THREADS=1' >> seen
cat seen
cat > expected <<'TXT'
OMP_NUM_THREADS=1: torch 1 before, all cores after
and NUMBA_NUM_THREADS=1: torch 1 before, 1 after
TXT
diff expected seen
