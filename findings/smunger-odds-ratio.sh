#!/bin/sh
# Question: which BETA and SE does smunger's `munge` give for a case-control study that reports odds ratios?
#
# Guess, written before the run: the logarithm of the odds ratio, and its standard error.
#
# Versions: smunger 0.1.10, pandas 2.3.3, numpy 1.26.4.
#
# Seen: BETA is the odds ratio itself. A protective allele (0.8) has a positive effect, and one without any effect
# (1.0) a Z of 50 beside a P of 1. SE is divided by the odds ratio, as the logarithm's would be, and the columns of
# odds ratios are gone. No warning. `calculate_lambda` and `harmonize` take that BETA: swapped alleles have -1.25 for
# 0.8. The README says "convert OR/ORSE to BETA/SE".
#
# Output (Z is BETA / SE):
#   odds ratio 0.8 +- 0.016 (log -0.22 +- 0.02): BETA +0.80, SE 0.02, Z 40, P 7e-29
#   odds ratio 1.0 +- 0.02 (log +0.00 +- 0.02): BETA +1.00, SE 0.02, Z 50, P 1e+00
#   odds ratio 1.25 +- 0.025 (log +0.22 +- 0.02): BETA +1.25, SE 0.02, Z 62, P 7e-29
#   the same study with swapped alleles, harmonised: -1.25 -1.00 -0.80
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet smunger==0.1.10 pandas==2.3.3 numpy==1.26.4; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import numpy as np
import pandas as pd
from scipy.stats import norm
from smunger.smunger import harmonize, munge

ratio, error = np.array([0.8, 1.0, 1.25]), np.array([0.016, 0.02, 0.025])
z = np.log(ratio) / (error / ratio)
study = pd.DataFrame({
    "CHR": 1, "BP": [100, 200, 300], "EA": "A", "NEA": "G", "P": np.clip(2 * norm.sf(np.abs(z)), 0, 0.99),
    "OR": ratio, "ORSE": error,
})
found = munge(study)
for row, (_, out) in zip(study.itertuples(), found.iterrows()):
    print(f"odds ratio {row.OR} +- {row.ORSE} (log {np.log(row.OR):+.2f} +- {row.ORSE / row.OR:.2f}): "
          f"BETA {out.BETA:+.2f}, SE {out.SE:.2f}, Z {out.BETA / out.SE:.0f}, P {out.P:.0e}")
swapped = study.assign(EA="G", NEA="A", OR=1 / ratio, ORSE=error / ratio**2)
both = harmonize(found, munge(swapped))
print("the same study with swapped alleles, harmonised:", " ".join(f"{b:+.2f}" for b in both.BETA_2))
PY
OMP_NUM_THREADS=1 env/bin/python -W ignore run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
odds ratio 0.8 +- 0.016 (log -0.22 +- 0.02): BETA +0.80, SE 0.02, Z 40, P 7e-29
odds ratio 1.0 +- 0.02 (log +0.00 +- 0.02): BETA +1.00, SE 0.02, Z 50, P 1e+00
odds ratio 1.25 +- 0.025 (log +0.22 +- 0.02): BETA +1.25, SE 0.02, Z 62, P 7e-29
the same study with swapped alleles, harmonised: -1.25 -1.00 -0.80
TXT
diff expected seen
