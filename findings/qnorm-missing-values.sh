#!/bin/sh
# Question: what does `qnorm.quantile_normalize` do where one person's expression of one gene is missing?
#
# Guess, written before the run: an error, or the missing value stays missing and all others are normalised.
#
# Versions: qnorm 1.0.0, numpy 2.4.6, pandas 2.3.3; R's preprocessCore 1.60.2 (Debian 12) was run once, beside.
#
# Seen: the missing value stays missing, and the highest value of everybody else becomes missing, too: the target, the
# mean over people rank by rank, is NaN at the last rank as soon as one person has a value less. With k values missing
# in one person, everybody else loses the k most expressed genes. That person's own values get the lowest ranks'
# means, without being stretched over all of them. No warning, and nothing of it in the README. With a `target`
# nothing is lost.
#
# Output (1,000 genes, 6 people):
#   0 values of P0 missing: missing in the result [0, 0, 0, 0, 0, 0]; warnings 0
#   3 values of P0 missing: missing in the result [3, 3, 3, 3, 3, 3], those of the others all the highest; warnings 0
#   with a target: missing in the result [3, 0, 0, 0, 0, 0]; P0's highest value is the target's 4th highest
# preprocessCore's normalize.quantiles of the second table: 3 values are missing, and P0's highest value is the
# target's highest.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet qnorm==1.0.0 numpy==2.4.6 pandas==2.3.3; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import warnings

import numpy as np
import pandas as pd
import qnorm

rng = np.random.default_rng(1)
people = [f"P{i}" for i in range(6)]
whole = pd.DataFrame(rng.lognormal(2, 2, (1000, 6)), columns=people)
for missing in (0, 3):
    table = whole.copy()
    table.loc[range(missing), "P0"] = np.nan
    table.to_csv(f"{missing}.csv", index=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = qnorm.quantile_normalize(table)
    lost = found.isna() & table.notna()
    highest = all(lost[p].sum() == lost.loc[table[p].nlargest(missing).index, p].sum() for p in people)
    print(f"{missing} values of P0 missing: missing in the result {found.isna().sum().tolist()}"
          f"{', those of the others all the highest' if missing and highest else ''}; warnings {len(caught)}")
    if missing:
        target = np.sort(whole.to_numpy(), axis=0).mean(axis=1)
        kept = qnorm.quantile_normalize(table, target=target)
        place = 1000 - np.searchsorted(target, kept["P0"].max())
        print(f"with a target: missing in the result {kept.isna().sum().tolist()}; "
              f"P0's highest value is the target's {place}th highest")
PY
OMP_NUM_THREADS=1 env/bin/python -W ignore run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
0 values of P0 missing: missing in the result [0, 0, 0, 0, 0, 0]; warnings 0
3 values of P0 missing: missing in the result [3, 3, 3, 3, 3, 3], those of the others all the highest; warnings 0
with a target: missing in the result [3, 0, 0, 0, 0, 0]; P0's highest value is the target's 4th highest
TXT
diff expected seen
