#!/bin/sh
# Question: what does FaST-LMM do with the people whose phenotype is -9, PLINK's mark for missing, in the "PLINK
# phenotype-formatted file" that its functions take by name?
#
# Guess, written before the run, of the reader: -9 is missing, so that these people are left out, as the documentation
# says of individuals without a value.
#
# Versions: fastlmm 0.6.13, pysnptools 0.5.15, numpy 2.4.6, pandas 3.1.1, six 1.17.0; least squares by statsmodels
# 0.15.0.
#
# Seen: -9 goes into the regression as a phenotype. The reader, pysnptools' `Pheno`, whose documentation refers to
# PLINK's page on the format, has an argument `missing` without a value by default, so that only NaN is missing; the
# functions of fastlmm have no argument to pass on. Ten such people of two hundred turn a p-value of 5e-6 into one of
# 8e-4. No warning. With `Pheno(file, missing="-9")` they are left out, but for -9.0, which is compared as text.
# Covariates are read in the same way.
#
# Output (200 people, 10 of them without a phenotype, one variant of effect 0.8; p-values of it):
#   least squares without the ten: 4.6e-06
#   least squares with -9 as their phenotype: 0.00075
#   single_snp_linreg, file by name: 0.00075
#   single_snp_linreg, Pheno(file, missing="-9"): 4.6e-06
#   the same, -9.0 in the file: 0.00075
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
from fastlmm.association import single_snp_linreg
from pysnptools.snpreader import Pheno, SnpData

logging.disable(logging.CRITICAL)
rng = np.random.default_rng(0)
dosages = rng.binomial(2, 0.2, (200, 6)).astype(float)
phenotype = 0.8 * dosages[:, 0] + rng.normal(size=200)
phenotype[:10] = -9
people = [["F", f"P{i}"] for i in range(200)]
snps = SnpData(iid=people, sid=list("abcdef"), val=dosages, pos=[[1, 0, i] for i in range(6)])
for name, missing in (("x.phe", "-9"), ("y.phe", "-9.0")):
    with open(name, "w") as out:
        print("FID", "IID", "y", file=out)
        for (family, person), value in zip(people, phenotype):
            print(family, person, missing if value == -9 else value, file=out)


def p_value(chosen):
    return sm.OLS(phenotype[chosen], sm.add_constant(dosages[chosen, 0])).fit().pvalues[1]


def by_fastlmm(given):
    table = single_snp_linreg(snps, given, count_A1=True)
    return table.PValue[table.SNP == "a"].item()


print(f"least squares without the ten: {p_value(phenotype != -9):.2g}")
print(f"least squares with -9 as their phenotype: {p_value(slice(None)):.2g}")
print(f"single_snp_linreg, file by name: {by_fastlmm('x.phe'):.2g}")
print(f'single_snp_linreg, Pheno(file, missing="-9"): {by_fastlmm(Pheno("x.phe", missing="-9")):.2g}')
print(f"the same, -9.0 in the file: {by_fastlmm(Pheno('y.phe', missing='-9')):.2g}")
PY
OMP_NUM_THREADS=1 env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
least squares without the ten: 4.6e-06
least squares with -9 as their phenotype: 0.00075
single_snp_linreg, file by name: 0.00075
single_snp_linreg, Pheno(file, missing="-9"): 4.6e-06
the same, -9.0 in the file: 0.00075
TXT
diff expected seen || { cat said >&2; exit 1; }
