#!/bin/sh
# Question: what does statsmodels' `combine_effects` give as the random-effects mean of studies that agree better than
# their standard errors say, by DerSimonian and Laird's method (`method_re="chi2"`)?
#
# Guess, written before the run: what R's metafor gives, that is, a tau2 of 0 and the fixed-effect result.
#
# Versions: statsmodels 0.15.0, numpy 2.4.6, scipy 1.17.1, pandas 2.3.3.
#
# Seen: tau2 is not cut off at 0, as DerSimonian and Laird have it. A negative tau2 is taken off the variance of every
# study: the random-effects interval is narrower than the fixed-effect one, and its p-value 10,000 times smaller in
# the example, without a warning. Where tau2 outweighs the variance of a precise study, that study has a negative
# weight and the standard error may be nan. The other method, `"iterated"` (the default), cuts at 0. About half of all
# sets of studies without heterogeneity have such a tau2.
#
# Output (an eQTL's effect in 4 and in 5 cohorts):
#   4 cohorts, chi2: fixed 0.300 +- 0.050 (p 2e-09), random 0.300 +- 0.041 (p 2e-13), tau2 -0.0034
#   4 cohorts, iterated: fixed 0.300 +- 0.050 (p 2e-09), random 0.300 +- 0.050 (p 2e-09), tau2 0.0000
#   5 cohorts, chi2: fixed 0.303 +- 0.021 (p 2e-47), random 0.326 +- nan (p nan), tau2 -0.0023; a warning
#   5 cohorts, iterated: fixed 0.303 +- 0.021 (p 2e-47), random 0.303 +- 0.021 (p 2e-47), tau2 0.0000
#   of 1,000 sets of 4 homogeneous cohorts, the random-effects interval is the narrower one in more than half
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet statsmodels==0.15.0 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import warnings

import numpy as np
from scipy.stats import norm
from statsmodels.stats.meta_analysis import combine_effects

cohorts = {
    4: ([0.40, 0.25, 0.33, 0.22], [0.01, 0.01, 0.01, 0.01]),
    5: ([0.30, 0.31, 0.29, 0.32, 0.30], [0.001, 0.002, 0.003, 0.004, 0.005]),
}
for count, (effects, variances) in cohorts.items():
    for method in ("chi2", "iterated"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = combine_effects(np.array(effects), np.array(variances), method_re=method)
        pair = ("fixed", found.mean_effect_fe, found.sd_eff_w_fe), ("random", found.mean_effect_re, found.sd_eff_w_re)
        shown = ", ".join(f"{name} {mean:.3f} +- {sd:.3f} (p {2 * norm.sf(mean / sd):.0e})" for name, mean, sd in pair)
        said = "; a warning" if caught else ""
        print(f"{count} cohorts, {method}: {shown}, tau2 {found.tau2:.4f}{said}")

rng = np.random.default_rng(1)
narrower = 0
for _ in range(1000):
    found = combine_effects(rng.normal(0.3, 0.1, 4), np.full(4, 0.01), method_re="chi2")
    narrower += found.tau2 < 0 and found.sd_eff_w_re < found.sd_eff_w_fe
share = "more than half" if narrower > 500 else narrower
print(f"of 1,000 sets of 4 homogeneous cohorts, the random-effects interval is the narrower one in {share}")
PY
OMP_NUM_THREADS=1 env/bin/python -W ignore run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
4 cohorts, chi2: fixed 0.300 +- 0.050 (p 2e-09), random 0.300 +- 0.041 (p 2e-13), tau2 -0.0034
4 cohorts, iterated: fixed 0.300 +- 0.050 (p 2e-09), random 0.300 +- 0.050 (p 2e-09), tau2 0.0000
5 cohorts, chi2: fixed 0.303 +- 0.021 (p 2e-47), random 0.326 +- nan (p nan), tau2 -0.0023; a warning
5 cohorts, iterated: fixed 0.303 +- 0.021 (p 2e-47), random 0.303 +- 0.021 (p 2e-47), tau2 0.0000
of 1,000 sets of 4 homogeneous cohorts, the random-effects interval is the narrower one in more than half
TXT
diff expected seen
