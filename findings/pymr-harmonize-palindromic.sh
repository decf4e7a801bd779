#!/bin/sh
# Question: what does PyMR's `harmonize` (PyPI's pymr-genetics) do to an A/T or C/G variant that has the same effect
# allele, other allele and frequency in exposure and outcome?
#
# Guess, from its docstring, not written down before the code was read: nothing; or, near a frequency of a half, the
# variant is dropped.
#
# Versions: pymr-genetics 0.1.0, pandas 2.3.3, numpy 2.4.6.
#
# Seen: the outcome's effect changes its sign. Of a palindromic variant whose alleles agree it is also true that they
# are swapped on the other strand; that case flips the effect, whatever the frequencies say. A palindromic variant
# whose alleles are swapped is turned round rightly. So A/T and C/G variants, about one in seven, pull the estimate
# towards the opposite sign. `action` is not used at all: with 3, which is to remove all of them, they stay.
#
# Output (outcome effects are half the exposure's; effect allele, other allele, frequency in exposure | outcome):
#   A G 0.2 | A G 0.2: outcome effect +0.05 becomes +0.05
#   A G 0.2 | G A 0.8: outcome effect -0.05 becomes +0.05
#   A G 0.2 | T C 0.2: outcome effect +0.05 becomes +0.05
#   A T 0.2 | A T 0.2: outcome effect +0.05 becomes -0.05
#   C G 0.2 | C G 0.2: outcome effect +0.05 becomes -0.05
#   A T 0.2 | T A 0.8: outcome effect -0.05 becomes +0.05
#   action=1: 6 variants, inverse-variance weighted estimate 0.17 of a true 0.50
#   action=2: 6 variants, inverse-variance weighted estimate 0.17 of a true 0.50
#   action=3: 6 variants, inverse-variance weighted estimate 0.17 of a true 0.50
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet pymr-genetics==0.1.0 pandas==2.3.3 numpy==2.4.6; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import numpy as np
import pandas as pd
from pymr.harmonize import harmonize
from pymr.methods import ivw

kinds = {
    "A G 0.2 | A G 0.2": 0.05,
    "A G 0.2 | G A 0.8": -0.05,
    "A G 0.2 | T C 0.2": 0.05,
    "A T 0.2 | A T 0.2": 0.05,
    "C G 0.2 | C G 0.2": 0.05,
    "A T 0.2 | T A 0.8": -0.05,
}


def table(side, effects):
    rows = [kind.split(" | ")[side].split() for kind in kinds]
    frame = pd.DataFrame(rows, columns=["effect_allele", "other_allele", "eaf"]).astype({"eaf": float})
    return frame.assign(SNP=list(kinds), beta=effects, se=0.01)


exposure, outcome = table(0, [0.1] * len(kinds)), table(1, list(kinds.values()))
for action in (1, 2, 3):
    found = harmonize(exposure, outcome, action=action).set_index("SNP")
    if action == 1:
        for name, row in found.iterrows():
            print(f"{name}: outcome effect {kinds[name]:+.2f} becomes {row.beta_out:+.2f}")
    estimate = ivw(*(found[c].to_numpy() for c in ("beta_exp", "se_exp", "beta_out", "se_out")))["beta"]
    print(f"action={action}: {len(found)} variants, inverse-variance weighted estimate {estimate:.2f} of a true 0.50")
PY
OMP_NUM_THREADS=1 env/bin/python -W ignore run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
A G 0.2 | A G 0.2: outcome effect +0.05 becomes +0.05
A G 0.2 | G A 0.8: outcome effect -0.05 becomes +0.05
A G 0.2 | T C 0.2: outcome effect +0.05 becomes +0.05
A T 0.2 | A T 0.2: outcome effect +0.05 becomes -0.05
C G 0.2 | C G 0.2: outcome effect +0.05 becomes -0.05
A T 0.2 | T A 0.8: outcome effect -0.05 becomes +0.05
action=1: 6 variants, inverse-variance weighted estimate 0.17 of a true 0.50
action=2: 6 variants, inverse-variance weighted estimate 0.17 of a true 0.50
action=3: 6 variants, inverse-variance weighted estimate 0.17 of a true 0.50
TXT
diff expected seen
