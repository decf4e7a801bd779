#!/bin/sh
# Question: with rnanorm's upper-quartile and TMM normalisation fitted on training people, do the values of a new
# person depend on who else is transformed in the same call?
#
# Guess, written before the run (after a look at the code): they should not; these are scikit-learn transformers, and
# what `fit` has learned is all that `transform` may use.
#
# Versions: rnanorm 2.2.0, scikit-learn 1.9.1, numpy 2.4.6, pandas 2.3.3.
#
# Seen: they do. Genes without a read in anybody are dropped, as in edgeR, but in `transform` it is anybody of the
# people at hand, not of those fitted. UQ takes the 75th percentile over whatever is left: one person alone loses all
# genes of count 0, and the factor nearly doubles in the example. TMM pairs what is left with the genes that `fit` had
# left: where their numbers differ it stops with numpy's "could not be broadcast"; where they happen to agree, each
# gene is compared with another gene's reference, and the factors are wrong without a word. So with CUF and CTF. In a
# pipeline with cross-validation the folds' test people get such factors.
#
# Output (1,000 genes, 8 training people, 4 new ones):
#   UQ: four together 1.19 0.83 1.11 0.94
#   UQ: one by one    2.03 1.48 2.16 1.73
#   TMM: four together 0.96 0.82 1.10 0.95
#   TMM: one by one    ValueError: operands could not be broadcast together
#   TMM, one gene off in either group: 1.00 0.95 1.28 1.01; without these two genes 0.96 0.82 1.10 0.95
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet rnanorm==2.2.0 scikit-learn==1.9.1 numpy==2.4.6 pandas==2.3.3; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import numpy as np
from rnanorm import TMM, UQ

rng = np.random.default_rng(1)
mean = np.exp(rng.normal(2, 2, 1000)) * rng.uniform(0.5, 2, (12, 1))
counts = rng.poisson(rng.gamma(4, 0.25, (12, 1000)) * mean) + 1
counts[rng.random((12, 1000)) < 0.3] = 0  # three genes of ten are off in a person
for group in (counts[:8], counts[8:]):
    group[0, group.sum(axis=0) == 0] = 1  # and none in everybody


def factors(method, train, new):
    return method().fit(train).get_norm_factors(new)


def shown(values):
    return " ".join(f"{v:.2f}" for v in values)


train, new = counts[:8], counts[8:]
for method in (UQ, TMM):
    print(f"{method.__name__}: four together {shown(factors(method, train, new))}")
    try:
        alone = [factors(method, train, new[[i]])[0] for i in range(4)]
        print(f"{method.__name__}: one by one    {shown(alone)}")
    except ValueError as error:
        print(f"{method.__name__}: one by one    ValueError: {str(error).split(' with')[0]}")

train[:, 0] = 0  # the first gene is off in all training people
new[:, -1] = 0  # the last one in all new people
right = factors(TMM, train[:, 1:-1], new[:, 1:-1])
print(f"TMM, one gene off in either group: {shown(factors(TMM, train, new))}; without these two genes {shown(right)}")
PY
OMP_NUM_THREADS=1 env/bin/python -W ignore run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
UQ: four together 1.19 0.83 1.11 0.94
UQ: one by one    2.03 1.48 2.16 1.73
TMM: four together 0.96 0.82 1.10 0.95
TMM: one by one    ValueError: operands could not be broadcast together
TMM, one gene off in either group: 1.00 0.95 1.28 1.01; without these two genes 0.96 0.82 1.10 0.95
TXT
diff expected seen
