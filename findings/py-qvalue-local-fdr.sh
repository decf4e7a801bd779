#!/bin/sh
# Question: does py-qvalue's local false discovery rate rise with the p-value, as that of R's qvalue, of which it is a
# port?
#
# Guess, written before the run (after a look at the code): it should; with `monotone=True` (the default) certainly.
#
# Versions: py-qvalue 0.1.1, numpy 2.4.6, scipy 1.17.1; R's qvalue 2.30.0 (Debian 12) was run once, beside.
#
# Seen: it falls, and by `monotone=True`: from the smallest p-value to the largest the running minimum is taken, where
# R takes the running maximum. So all tests get the local FDR of the smallest p-value, those with p = 1 as well, and
# all are called. With `monotone=False` that step is left out. The q-values are as R's.
#
# Output (10,000 p-values, 500 of them of real effects):
#   monotone=True: 0.000 at p = 1e-12, 0.000 at p = 1.00; at most 0.2 in 10000 tests, 9500 of them without effect
#   monotone=False: 0.000 at p = 1e-12, 0.47 at p = 1.00; at most 0.2 in 414 tests, 17 of them without effect
# R's qvalue, on the same p-values: 0.00001 for the smallest, 0.99 for the largest; at most 0.2 in 415 tests.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet py-qvalue==0.1.1 numpy==2.4.6 scipy==1.17.1; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import numpy as np
from py_qvalue import qvalue
from scipy.stats import norm

rng = np.random.default_rng(1)
effect = np.repeat([4.0, 0.0], [500, 9500])
p = 2 * norm.sf(np.abs(rng.normal(effect)))
np.savetxt("p.txt", p)
order = p.argsort()
for monotone in (True, False):
    local = qvalue(p, monotone=monotone)["lfdr"]
    low, high = local[order[0]], local[order[-1]]
    small = local <= 0.2
    print(f"monotone={monotone}: {'0.000' if low < 5e-4 else format(low, '.2f')} at p = {p.min():.0e}, "
          f"{'0.000' if high < 5e-4 else format(high, '.2f')} at p = {p.max():.2f}; "
          f"at most 0.2 in {small.sum()} tests, {(small & (effect == 0)).sum()} of them without effect")
PY
OMP_NUM_THREADS=1 env/bin/python -W ignore run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
monotone=True: 0.000 at p = 1e-12, 0.000 at p = 1.00; at most 0.2 in 10000 tests, 9500 of them without effect
monotone=False: 0.000 at p = 1e-12, 0.47 at p = 1.00; at most 0.2 in 414 tests, 17 of them without effect
TXT
diff expected seen
