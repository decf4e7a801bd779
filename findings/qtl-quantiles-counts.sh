#!/bin/sh
# Question: does `qtl.norm.normalize_quantiles`, which "replicates behavior of R function normalize.quantiles from
# library("preprocessCore")", give preprocessCore's values of a table of counts?
#
# Guess, written before the run: yes.
#
# Versions: qtl 0.1.10, numpy 1.26.4, pandas 2.3.3. R's preprocessCore 1.60.2 (Debian 12), run once on another table
# of counts, gave exactly what qtl gives of the same table as floats.
#
# Seen: only of a table of floats. One of integers is filled in place, so that every value of the target is cut to its
# whole part: means fall by a tenth, and weakly expressed genes fall to 0, where they tie. No warning.
#
# Output (500 genes, 12 people, counts):
#   types: float64, int64
#   counts: mean 2.55, zeros 2575
#   floats: mean 2.51, zeros 2575
#   integers: mean 2.23, zeros 3186
#   floats minus integers: 0.00 to 1.17
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet qtl==0.1.10 numpy==1.26.4 pandas==2.3.3; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import numpy as np
import pandas as pd
from qtl.norm import normalize_quantiles

rng = np.random.default_rng(1)
counts = pd.DataFrame(rng.poisson(rng.gamma(0.5, 4, (500, 1)) * rng.uniform(0.5, 2, (1, 12))))
floats, integers = normalize_quantiles(counts.astype(float)), normalize_quantiles(counts)
print(f"types: {floats.dtypes.unique()[0]}, {integers.dtypes.unique()[0]}")
for name, table in ("counts", counts), ("floats", floats), ("integers", integers):
    print(f"{name}: mean {table.to_numpy().mean():.2f}, zeros {(table == 0).to_numpy().sum()}")
lower = (floats - integers).to_numpy()
print(f"floats minus integers: {lower.min():.2f} to {lower.max():.2f}")
PY
OMP_NUM_THREADS=1 env/bin/python -W ignore run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
types: float64, int64
counts: mean 2.55, zeros 2575
floats: mean 2.51, zeros 2575
integers: mean 2.23, zeros 3186
floats minus integers: 0.00 to 1.17
TXT
diff expected seen
