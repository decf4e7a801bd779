#!/bin/sh
# Question: are the standard errors of glimix-core's fast scanner, the engine of limix, those of least squares where
# the kinship is the identity?
#
# Guess, written before the run: the effect is that of least squares. (Of its error nothing was written; the same was
# expected, but for the degrees of freedom, as maximum likelihood divides by n.)
#
# Versions: glimix-core 3.1.14, numpy-sugar 1.5.5, numpy 2.4.6, scipy 1.17.1, statsmodels 0.15.0.
#
# Seen: with one covariate, the intercept, yes. With two or more the residual variance of the tested model is left out
# of the standard error, which then is that of the model without the variant. It is too large by the square root of
# the share of variance that the variant leaves: an eQTL that explains two thirds of a gene has 1.65 times its
# standard error, and whatever is made of effect and error (z, fine-mapping, colocalisation, meta-analysis) shrinks
# with it. Effects and likelihoods, hence p-values, are right. `scan`, which tests a set of variants, is right for the
# same variant and the same covariates. The documentation calls both the effects' standard errors, and public eQTL
# pipelines report the fast one.
#
# Output (200 people, kinship the identity, a variant that explains two thirds; errors divided by those of maximum
# likelihood):
#   intercept: fast_scan 1.00, scan 1.00
#   intercept and one covariate: fast_scan 1.65, scan 1.00
#   intercept and five covariates: fast_scan 1.65, scan 1.00
#   effects as by least squares: True
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet glimix-core==3.1.14 numpy-sugar==1.5.5 numpy==2.4.6 scipy==1.17.1 \
    statsmodels==0.15.0; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import numpy as np
import statsmodels.api as sm
from glimix_core.lmm import LMM
from numpy_sugar.linalg import economic_qs

rng = np.random.default_rng(0)
people = 200
dosage = rng.binomial(2, 0.4, people).astype(float)
expression = 2 * dosage + rng.normal(size=people)
covariates = rng.normal(size=(people, 5))
same = []
for name, n in (("intercept", 0), ("intercept and one covariate", 1), ("intercept and five covariates", 5)):
    design = np.column_stack([np.ones(people), covariates[:, :n]])
    judge = sm.OLS(expression, np.column_stack([design, dosage])).fit()
    error = judge.bse[-1] * np.sqrt(judge.df_resid / people)
    model = LMM(expression, design, economic_qs(np.eye(people)), restricted=False)
    model.fit(verbose=False)
    scanner = model.get_fast_scanner()
    fast = scanner.fast_scan(dosage[:, None], verbose=False)
    slow = scanner.scan(dosage[:, None])
    print(f"{name}: fast_scan {fast['effsizes1_se'][0] / error:.2f}, scan {slow['effsizes1_se'][0] / error:.2f}")
    same.append(np.allclose([fast["effsizes1"][0], slow["effsizes1"][0]], judge.params[-1]))
print(f"effects as by least squares: {all(same)}")
PY
OMP_NUM_THREADS=1 env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
intercept: fast_scan 1.00, scan 1.00
intercept and one covariate: fast_scan 1.65, scan 1.00
intercept and five covariates: fast_scan 1.65, scan 1.00
effects as by least squares: True
TXT
diff expected seen || { cat said >&2; exit 1; }
