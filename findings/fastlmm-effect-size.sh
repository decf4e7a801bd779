#!/bin/sh
# Question: is `EffectSize` of FaST-LMM's `single_snp`, documented as a measure of the fraction of variance explained,
# the R2 of least squares where people are unrelated?
#
# Guess: yes. (From the documentation; not written down before the first table was seen.)
#
# Versions: fastlmm 0.6.13, pysnptools 0.5.15, numpy 2.4.6, pandas 3.1.1, six 1.17.0; least squares by statsmodels
# 0.15.0.
#
# Seen: it is R2 times the variance of the dosage. The formula, which the documentation gives, multiplies the squared
# effect of the standardised variant by the variance of the one that is not standardised, so that the variance of the
# dosage comes in once too often. A common variant's share of the variance is halved, one of frequency 5% has a ninth
# of it, and rarer ones less. `SnpWeight` is the effect per standard deviation, as documented, and p-values are right.
#
# Output (300 people, kinship the identity, three variants of the same effect; shares of the variance of the
# phenotype):
#   frequency 0.05: least squares 0.0031, EffectSize 0.0004, ratio 0.12, variance of the dosage 0.12
#   frequency 0.20: least squares 0.1176, EffectSize 0.0365, ratio 0.31, variance of the dosage 0.31
#   frequency 0.50: least squares 0.2315, EffectSize 0.1196, ratio 0.52, variance of the dosage 0.52
#   p-values as by least squares: True
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet fastlmm==0.6.13 pysnptools==0.5.15 numpy==2.4.6 pandas==3.1.1 \
    six==1.17.0 statsmodels==0.15.0; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import logging

import numpy as np
import statsmodels.api as sm
from fastlmm.association import single_snp
from pysnptools.kernelreader import Identity
from pysnptools.snpreader import SnpData

logging.disable(logging.CRITICAL)
rng = np.random.default_rng(0)
frequencies = (0.05, 0.2, 0.5)
dosages = np.column_stack([rng.binomial(2, f, 300) for f in frequencies]).astype(float)
phenotype = 0.8 * dosages.sum(axis=1) + rng.normal(size=300)
people = [["F", f"P{i}"] for i in range(300)]
snps = SnpData(iid=people, sid=["a", "b", "c"], val=dosages, pos=[[1, 0, i] for i in range(3)])
trait = SnpData(iid=people, sid=["y"], val=phenotype[:, None])
table = single_snp(snps, trait, K0=Identity(people), count_A1=True, leave_out_one_chrom=False).set_index("SNP")
same = []
for name, frequency, dosage in zip("abc", frequencies, dosages.T):
    judge = sm.OLS(phenotype, sm.add_constant(dosage)).fit()
    found = table.loc[name]
    print(f"frequency {frequency:.2f}: least squares {judge.rsquared:.4f}, EffectSize {found.EffectSize:.4f}, "
          f"ratio {found.EffectSize / judge.rsquared:.2f}, variance of the dosage {dosage.var():.2f}")
    same.append(np.isclose(found.PValue, judge.pvalues[1], rtol=1e-4))
print(f"p-values as by least squares: {all(same)}")
PY
OMP_NUM_THREADS=1 env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
frequency 0.05: least squares 0.0031, EffectSize 0.0004, ratio 0.12, variance of the dosage 0.12
frequency 0.20: least squares 0.1176, EffectSize 0.0365, ratio 0.31, variance of the dosage 0.31
frequency 0.50: least squares 0.2315, EffectSize 0.1196, ratio 0.52, variance of the dosage 0.52
p-values as by least squares: True
TXT
diff expected seen || { cat said >&2; exit 1; }
