#!/bin/sh
# Question: are genotypes that pandas-plink read with `ref="a0"` (count the first allele of the .bim, as plink2 counts
# ALT) the same after `write_plink1_bin` and a second reading?
#
# Guess, written before the run: yes; what pandas-plink read it writes as it was.
#
# Versions: pandas-plink 2.3.2, bed-reader 1.1.0, numpy 1.26.4, pandas 2.3.3.
#
# Seen: only with the default, `ref="a1"`. What was read with "a0" is written as if it counted a1: every homozygous
# call of the .bed is turned round, and the .bim has its alleles in the old order. So a subset of a cohort, read by
# ALT and written again, has every allele frequency f as 1 - f. The array does not say which allele it counts, the
# writer has no argument for it, and its documentation does not name one. No warning.
#
# Output (a0 is G and a1 is A; copies of G in the .bed as bed-reader counts them):
#   before: 2 1 0 nan 0
#   written after ref="a1": 2 1 0 nan 0; alleles G A
#   written after ref="a0": 0 1 2 nan 2; alleles G A
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet pandas-plink==2.3.2 bed-reader==1.1.0 numpy==1.26.4 pandas==2.3.3; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import numpy as np
from bed_reader import open_bed, to_bed
from pandas_plink import read_plink1_bin, write_plink1_bin


def calls(name):
    with open_bed(f"{name}.bed") as bed:
        return " ".join(f"{x:g}" for x in bed.read()[:, 0])


people = list("abcde")
names = {"iid": people, "fid": people, "sid": ["s"], "chromosome": ["1"], "bp_position": [10]}
to_bed("first.bed", np.array([[2], [1], [0], [np.nan], [0]]), properties={**names, "allele_1": ["G"], "allele_2": ["A"]})
print("before:", calls("first"))
for ref in ("a1", "a0"):
    write_plink1_bin(read_plink1_bin("first.bed", ref=ref, verbose=False), f"{ref}.bed", verbose=False)
    with open(f"{ref}.bim") as lines:
        alleles = lines.read().split()[-2:]
    print(f'written after ref="{ref}": {calls(ref)}; alleles', *alleles)
PY
env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
before: 2 1 0 nan 0
written after ref="a1": 2 1 0 nan 0; alleles G A
written after ref="a0": 0 1 2 nan 2; alleles G A
TXT
diff expected seen || { cat said >&2; exit 1; }
