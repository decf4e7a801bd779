#!/bin/sh
# Question: what does tensorQTL do with a covariate that adds nothing: a column of ones, one given twice, or the sum
# of two others?
#
# Guess, written before the run: an error, or the same slopes with one degree of freedom less.
#
# Versions: tensorqtl 1.0.10, torch 2.13.0 (CPU), numpy 1.26.4, pandas 2.3.3; least squares by numpy's lstsq.
#
# Seen: neither. Covariates are made orthogonal by a QR of their centred columns, whose rank is not looked at; a column
# of which nothing is left becomes rounding blown up to length 1, and that arbitrary direction of people is projected out
# of genotypes and expression. Slopes of the same data move by up to a third of a standard error, and p-values with them; what comes out depends
# on which column is too many and where it stands. No warning. Ones come from design matrices with an
# intercept, or from sex in a study of women; sums from dummies of every batch.
#
# Output (60 people, 5 variants, two covariates and one too many; largest change of a slope, in standard errors):
#   least squares: the same slopes in all five designs
#   ones last: moved by more than 0.1
#   ones first: moved by more than 0.05
#   one twice: moved by more than 0.1
#   sum of both: moved by more than 0.1
#   ones first and ones last: another answer
#   warnings: 0
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
    from tensorqtl import cis

rng = np.random.default_rng(1)
people = [f"P{i}" for i in range(60)]
variants = [f"v{i}" for i in range(5)]
dosage = pd.DataFrame(rng.binomial(2, 0.3, (5, 60)).astype(float), index=variants, columns=people)
sites = pd.DataFrame({"chrom": "1", "pos": np.arange(100, 600, 100)}, index=variants)
expression = pd.DataFrame([0.8 * dosage.loc["v2"] + rng.normal(size=60)], index=["g"])
expression.columns = people
tss = pd.DataFrame({"chr": ["1"], "pos": [300]}, index=["g"])
plain = pd.DataFrame(rng.normal(size=(60, 2)), index=people, columns=["a", "b"])
designs = {
    "plain": plain,
    "ones last": plain.assign(c=1.0),
    "ones first": pd.DataFrame({"c": 1.0}, index=people).join(plain),
    "one twice": plain.assign(c=plain.a),
    "sum of both": plain.assign(c=plain.a + plain.b),
}


def by_tensorqtl(covariates):
    with contextlib.redirect_stdout(io.StringIO()):
        cis.map_nominal(dosage, sites, expression, tss, "out", covariates, output_dir=".", verbose=False)
    table = pd.read_parquet("out.cis_qtl_pairs.1.parquet")
    return table["slope"].to_numpy(float), table["slope_se"].to_numpy(float)


def by_least_squares(covariates):
    columns = np.column_stack([np.ones(60), covariates])
    y = expression.to_numpy()[0]
    return np.array(
        [np.linalg.lstsq(np.column_stack([g, columns]), y, rcond=None)[0][0] for g in dosage.to_numpy()]
    )


judge = {name: by_least_squares(design) for name, design in designs.items()}
same = all(np.allclose(slopes, judge["plain"]) for slopes in judge.values())
print(f"least squares: {'the same slopes in all five designs' if same else 'other slopes'}")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    found = {name: by_tensorqtl(design) for name, design in designs.items()}
assert np.allclose(found["plain"][0], judge["plain"], atol=1e-5)
for name, least in (("ones last", 0.1), ("ones first", 0.05), ("one twice", 0.1), ("sum of both", 0.1)):
    moved = np.abs((found[name][0] - found["plain"][0]) / found["plain"][1]).max()
    print(f"{name}: " + (f"moved by more than {least}" if moved > least else f"moved by {moved:.3g}"))
other = np.abs(found["ones first"][0] - found["ones last"][0]).max() > 1e-3
print(f"ones first and ones last: {'another answer' if other else 'the same answer'}")
print(f"warnings: {sum('rank' in str(w.message) or 'singular' in str(w.message) for w in caught)}")
PY
OMP_NUM_THREADS=1 env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
least squares: the same slopes in all five designs
ones last: moved by more than 0.1
ones first: moved by more than 0.05
one twice: moved by more than 0.1
sum of both: moved by more than 0.1
ones first and ones last: another answer
warnings: 0
TXT
diff expected seen
