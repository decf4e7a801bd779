#!/bin/sh
# Question: which of the covariates that tensorQTL's `post.calculate_afc` is given are taken out of the counts before
# the allelic fold change is estimated?
#
# Guess, written before the run (of a question on the covariates' order): all that matter, as in `map_cis`.
#
# Versions: tensorqtl 1.0.10, torch 2.13.0 (CPU), numpy 1.26.4, pandas 2.3.3; least squares by numpy's lstsq.
#
# Seen: all but the first. The function behind it, `mixqtl.trc`, wants a column of ones in the first place and leaves
# it out when it takes the residuals; `calculate_afc`, whose docstring asks for the covariates alone ("genotype PCs,
# PEER factors"), does not put one there. So the table that `map_cis` takes loses its first covariate, in most studies
# the first genotype PC or PEER factor, without a word: the aFC is as noisy, and as confounded, as without it. Moving
# the column to another place changes the result.
#
# Output (200 people, a true log2 aFC of 0; a covariate that goes with genotype and expression, and one of noise):
#   least squares: with PC1 and noise -0.01 | with noise alone 0.91
#   calculate_afc, without covariates: 0.91 +- 0.12
#   calculate_afc, PC1, noise: 0.90 +- 0.12
#   calculate_afc, noise, PC1: -0.01 +- 0.03
#   calculate_afc, PC1 alone: 0.91 +- 0.12
#   calculate_afc, ones, PC1, noise: -0.01 +- 0.03
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
ancestry = rng.normal(size=200)
dosage = pd.DataFrame(
    [rng.binomial(2, 1 / (1 + np.exp(1 - ancestry))).astype(float)], index=["v"], columns=people
)
sites = pd.DataFrame({"chrom": ["1"], "pos": [100]}, index=["v"])
counts = pd.DataFrame([np.round(np.exp(6 + 0.5 * ancestry + 0.1 * rng.normal(size=200)))], index=["g"], columns=people)
pairs = pd.DataFrame({"gene_id": ["g"], "variant_id": ["v"]})
table = pd.DataFrame({"PC1": ancestry, "noise": rng.normal(size=200)}, index=people)


def by_tensorqtl(covariates):
    with contextlib.redirect_stdout(io.StringIO()):
        found = post.calculate_afc(pairs.copy(), counts, dosage, sites, covariates, select_covariates=False)
    return f"{found.afc[0]:.2f} +- {found.afc_se[0]:.2f}"


def by_least_squares(covariates):
    x = np.column_stack([dosage.to_numpy()[0] / 2, np.ones(200), covariates])
    return f"{np.linalg.lstsq(x, np.log2(counts.to_numpy()[0] + 1), rcond=None)[0][0]:.2f}"


print("least squares: with PC1 and noise", by_least_squares(table), "| with noise alone", by_least_squares(table[["noise"]]))
for name, covariates in {
    "without covariates": None,
    "PC1, noise": table,
    "noise, PC1": table[["noise", "PC1"]],
    "PC1 alone": table[["PC1"]],
    "ones, PC1, noise": pd.DataFrame({"ones": 1.0}, index=people).join(table),
}.items():
    print(f"calculate_afc, {name}: {by_tensorqtl(covariates)}")
PY
OMP_NUM_THREADS=1 env/bin/python -W ignore run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
least squares: with PC1 and noise -0.01 | with noise alone 0.91
calculate_afc, without covariates: 0.91 +- 0.12
calculate_afc, PC1, noise: 0.90 +- 0.12
calculate_afc, noise, PC1: -0.01 +- 0.03
calculate_afc, PC1 alone: 0.91 +- 0.12
calculate_afc, ones, PC1, noise: -0.01 +- 0.03
TXT
diff expected seen
