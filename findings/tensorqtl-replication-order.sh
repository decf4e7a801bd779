#!/bin/sh
# Question: what does tensorQTL's `post.calculate_replication` do where covariates or the interaction term list the
# people in another order than the expression table?
#
# Guess, written before the run: an error, or a match by name, as genotypes are matched; `map_nominal` and `map_trans`
# stop where the names differ.
#
# Versions: tensorqtl 1.0.10, torch 2.13.0 (CPU), numpy 1.26.4, pandas 2.3.3.
#
# Seen: genotypes are matched to the expression table by name; covariates and interaction are taken as they stand.
# With the rows sorted another way, everybody is adjusted by somebody else's covariates: a strong eQTL does not
# replicate, and an interaction is gone, without an error or a warning. Replication takes the second cohort's own
# files, which nobody has sorted like the first one's.
#
# Output (100 people, one eQTL with an interaction; least squares by numpy's lstsq):
#   least squares: slope 0.30
#   all in one order: slope 0.30, p 5e-04
#   genotypes in another order: slope 0.30, p 5e-04
#   covariates in another order: slope 0.30, p 3e-01
#   all in one order: interaction 0.40, p 5e-05
#   interaction in another order: interaction 0.10, p 3e-01
#   map_nominal with covariates in another order: an error
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
    from tensorqtl import cis, post

rng = np.random.default_rng(1)
people = [f"P{i:02}" for i in range(100)]
dosage = pd.DataFrame([rng.binomial(2, 0.3, 100).astype(float)], index=["v"], columns=people)
sites = pd.DataFrame({"chrom": ["1"], "pos": [100]}, index=["v"])
tss = pd.DataFrame({"chr": ["1"], "pos": [100]}, index=["g"])
covariates = pd.DataFrame(rng.normal(size=(100, 2)), index=people, columns=["PC1", "PC2"])
state = pd.Series(rng.normal(size=100), index=people)
expression = pd.DataFrame(
    [0.4 * dosage.loc["v"] * (1 + state) + 2 * covariates.PC1 + 0.5 * rng.normal(size=100)], index=["g"]
)[people]
found_before = pd.DataFrame({"variant_id": ["v"]}, index=["g"])
other = rng.permutation(people)


def replicated(covariates, state=None, dosage=dosage):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        row = post.calculate_replication(found_before, dosage, expression, covariates, interaction_s=state).iloc[0]
    assert not any(word in str(w.message) for w in caught for word in ("order", "match", "index"))
    if state is None:
        return f"slope {row.slope:.2f}, p {row.pval_nominal:.0e}"
    return f"interaction {row.b_gi:.2f}, p {row.pval_gi:.0e}"


x = np.column_stack([dosage.loc["v"], np.ones(100), covariates])
print(f"least squares: slope {np.linalg.lstsq(x, expression.loc['g'], rcond=None)[0][0]:.2f}")
print("all in one order:", replicated(covariates))
print("genotypes in another order:", replicated(covariates, dosage=dosage[other]))
print("covariates in another order:", replicated(covariates.loc[other]))
print("all in one order:", replicated(covariates, state))
print("interaction in another order:", replicated(covariates, state[other]))
try:
    with contextlib.redirect_stdout(io.StringIO()):
        cis.map_nominal(dosage, sites, expression, tss, "out", covariates.loc[other], output_dir=".", verbose=False)
    print("map_nominal with covariates in another order: no error")
except AssertionError:
    print("map_nominal with covariates in another order: an error")
PY
OMP_NUM_THREADS=1 env/bin/python -W ignore run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
least squares: slope 0.30
all in one order: slope 0.30, p 5e-04
genotypes in another order: slope 0.30, p 5e-04
covariates in another order: slope 0.30, p 3e-01
all in one order: interaction 0.40, p 5e-05
interaction in another order: interaction 0.10, p 3e-01
map_nominal with covariates in another order: an error
TXT
diff expected seen
