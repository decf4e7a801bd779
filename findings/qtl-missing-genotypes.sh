#!/bin/sh
# Question: what does `qtl.map.calculate_association(..., impute=True)` do with the missing calls of a genotype that
# `qtl.genotype.get_genotype`, of the same package, read from a VCF?
#
# Guess: they are set to the mean of the others, as the argument says, and as tensorQTL and FastQTL, of the same
# author, do. (Held, not written down, before the package's code was read; the code was read before the run.)
#
# Versions: qtl 0.1.10, numpy 2.4.6, pandas 2.3.3, scipy 1.17.1, statsmodels 0.15.0, with tabix of htslib 1.16 (Debian
# 12).
#
# Seen: the reader gives -9 for a missing call, and the imputation looks for NaN alone: -9 goes into the regression as
# a dosage. Five missing calls of sixty divide the slope by three, and make it look more precise; frequency and counts
# of the minor allele are wrong with it. No warning. `impute_mean` takes the code of a missing call as an argument
# that `calculate_association` does not pass on.
#
# Output (60 people, 5 of them without a call; true slope 0.5):
#   as read: slope 0.148 +- 0.038, maf 0.025
#   missing calls as NaN: slope 0.507 +- 0.176, maf 0.436
#   least squares, missing calls at the mean: slope 0.507 +- 0.176
set -eu
command -v tabix > /dev/null && command -v bgzip > /dev/null || { echo 'needs tabix and bgzip' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet qtl==0.1.10 numpy==2.4.6 pandas==2.3.3 scipy==1.17.1 \
    statsmodels==0.15.0; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import subprocess

import numpy as np
import pandas as pd
from qtl.genotype import get_genotype
from qtl.map import calculate_association
from scipy.stats import linregress

rng = np.random.default_rng(1)
dosage = rng.binomial(2, 0.4, 60)
people = [f"P{i}" for i in range(60)]
expression = pd.Series(0.5 * dosage + rng.normal(size=60), people)
calls = ["./." if i % 12 == 0 else ("0/0", "0/1", "1/1")[d] for i, d in enumerate(dosage)]
with open("x.vcf", "w") as out:
    print("##fileformat=VCFv4.2\n##contig=<ID=chr1>", file=out)
    print('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">', file=out)
    print(*"#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT".split(), *people, sep="\t", file=out)
    print(*"chr1 100 chr1_100_A_G_b38 A G . PASS . GT".split(), *calls, sep="\t", file=out)
subprocess.run("bgzip x.vcf && tabix x.vcf.gz", shell=True, check=True)


def shown(genotype):
    found = calculate_association(genotype, expression, impute=True).iloc[0]
    return f"slope {found.slope:.3f} +- {found.slope_se:.3f}, maf {found.maf:.3f}"


genotype = get_genotype("chr1_100_A_G_b38", "x.vcf.gz")
known = genotype.where(genotype != -9)
print("as read:", shown(genotype.copy()))
print("missing calls as NaN:", shown(known.copy()))
judge = linregress(known.fillna(known.mean()), expression)
print(f"least squares, missing calls at the mean: slope {judge.slope:.3f} +- {judge.stderr:.3f}")
PY
OMP_NUM_THREADS=1 env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
as read: slope 0.148 +- 0.038, maf 0.025
missing calls as NaN: slope 0.507 +- 0.176, maf 0.436
least squares, missing calls at the mean: slope 0.507 +- 0.176
TXT
diff expected seen || { cat said >&2; exit 1; }
