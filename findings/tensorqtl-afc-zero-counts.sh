#!/bin/sh
# Question: where does tensorQTL's `post.calculate_afc` put the people in whom a gene has no reads?
#
# Guess, taken from its docstring ("Zeros are imputed using log(counts + 1)") after another run had shown the code,
# and not written down before: at log(1) = 0, below everybody else.
#
# Versions: tensorqtl 1.0.10, torch 2.13.0 (CPU), numpy 1.26.4, pandas 2.3.3; least squares by numpy's lstsq.
#
# Seen: so it is without covariates. With covariates, of whatever meaning, the others' log counts are replaced by
# residuals with mean 0 while a zero stays 0: who has no reads at all is taken for a person of average expression. Of
# an allele that silences its gene almost nothing is left. This is the default (`count_threshold=0`);
# `imputation="half_min"` does not change it. A comment in the code, not the docstring, says that this may be
# problematic.
#
# Output (200 people; a variant whose homozygotes have no reads, carriers half of them; a covariate of noise):
#   mean count of people with 0, 1, 2 copies: [101, 48, 0]
#   least squares of log2(counts + 1), with the covariate: -7.7
#   calculate_afc, offset: without covariates -7.7 +- 0.2, with the covariate -0.5 +- 0.1
#   calculate_afc, half_min: without covariates -2.9 +- 0.0, with the covariate -0.5 +- 0.1
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet tensorqtl==1.0.10 torch==2.13.0 numpy==1.26.4 pandas==2.3.3 \
    pandas-plink 'pyarrow<20'; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import contextlib
import io
import warnings

import numpy as np
import pandas as pd

with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):  # it speaks of R where there is none
    warnings.simplefilter("ignore")
    from tensorqtl import post

rng = np.random.default_rng(1)
people = [f"P{i}" for i in range(200)]
copies = rng.binomial(2, 0.6, 200).astype(float)
dosage = pd.DataFrame([copies], index=["v"], columns=people)
sites = pd.DataFrame({"chrom": ["1"], "pos": [100]}, index=["v"])
counts = pd.DataFrame([rng.poisson(50 * (2 - copies)).astype(float)], index=["g"], columns=people)
pairs = pd.DataFrame({"gene_id": ["g"], "variant_id": ["v"]})
noise = pd.DataFrame({"ones": 1.0, "noise": rng.normal(size=200)}, index=people)


def by_tensorqtl(covariates, imputation):
    with contextlib.redirect_stdout(io.StringIO()):
        found = post.calculate_afc(pairs.copy(), counts, dosage, sites, covariates, imputation=imputation)
    return f"{found.afc[0]:.1f} +- {found.afc_se[0]:.1f}"


print(f"mean count of people with 0, 1, 2 copies: {[round(counts.loc['g', copies == k].mean()) for k in range(3)]}")
x = np.column_stack([copies / 2, noise])
judge = np.linalg.lstsq(x, np.log2(counts.to_numpy()[0] + 1), rcond=None)[0][0]
print(f"least squares of log2(counts + 1), with the covariate: {judge:.1f}")
for imputation in ("offset", "half_min"):
    print(f"calculate_afc, {imputation}: without covariates {by_tensorqtl(None, imputation)}, "
          f"with the covariate {by_tensorqtl(noise, imputation)}")
PY
OMP_NUM_THREADS=1 env/bin/python -W ignore run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
mean count of people with 0, 1, 2 copies: [101, 48, 0]
least squares of log2(counts + 1), with the covariate: -7.7
calculate_afc, offset: without covariates -7.7 +- 0.2, with the covariate -0.5 +- 0.1
calculate_afc, half_min: without covariates -2.9 +- 0.0, with the covariate -0.5 +- 0.1
TXT
diff expected seen
