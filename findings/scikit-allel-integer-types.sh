#!/bin/sh
# Question: which genotype qualities and depths does scikit-allel's `read_vcf` give for a call of quality 160 and
# depth 40000?
#
# Guess, written before the run: those of the file, or, where its types are too small for them, an error or a warning.
#
# Versions: scikit-allel 1.3.13, numpy 2.4.6, cyvcf2 0.35.0 beside it.
#
# Seen: GQ is read into 8 bits and DP and AD into 16, and what does not fit is wrapped without a word: a quality of
# 160 is -96, 300 is 44, a depth of 40000 is -25536. A filter `GQ >= 20` then takes the best calls out, and -1, the
# mark of a missing value, is what 255 becomes. Integers of fields that it does not know get 8 bits where a call has
# two or more of them. INFO's DP has 32 bits. With `types={"calldata/GQ": "i4"}` the values are right. Qualities above
# 127 are valid, as the format has no highest one.
#
# Output (three calls; GQ and DP in the file 160 40000, 300 70000, 255 65535):
#   cyvcf2: GQ 160 300 255, DP 40000 70000 65535
#   read_vcf: GQ -96 44 -1, DP -25536 4464 -1
#   read_vcf, types given: GQ 160 300 255, DP 40000 70000 65535
#   calls with GQ >= 20: 1 of 3
#   warnings: 0
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet scikit-allel==1.3.13 numpy==2.4.6 cyvcf2==0.35.0; } ||
    { echo 'could not install' >&2; exit 2; }

{
    printf '##fileformat=VCFv4.2\n##contig=<ID=1,length=1000>\n'
    printf '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    printf '##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Quality of the genotype">\n'
    printf '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">\n'
    printf '%s\n' '#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT P1 P2 P3' \
        '1 10 . A G . PASS . GT:GQ:DP 0|1:160:40000 1|1:300:70000 0|0:255:65535' | tr ' ' '\t'
} > x.vcf

cat > run.py <<'PY'
import warnings

import allel
import numpy as np
from cyvcf2 import VCF


def shown(name, gq, dp):
    print(f"{name}: GQ", *np.ravel(gq), end=", DP ")
    print(*np.ravel(dp))


record = next(iter(VCF("x.vcf")))
shown("cyvcf2", record.format("GQ"), record.format("DP"))
fields = ["calldata/GQ", "calldata/DP"]
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    read = allel.read_vcf("x.vcf", fields=fields)
shown("read_vcf", *(read[name] for name in fields))
wide = allel.read_vcf("x.vcf", fields=fields, types=dict.fromkeys(fields, "i4"))
shown("read_vcf, types given", *(wide[name] for name in fields))
print(f"calls with GQ >= 20: {(read['calldata/GQ'] >= 20).sum()} of 3")
print(f"warnings: {len(caught)}")
PY
OMP_NUM_THREADS=1 env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
cyvcf2: GQ 160 300 255, DP 40000 70000 65535
read_vcf: GQ -96 44 -1, DP -25536 4464 -1
read_vcf, types given: GQ 160 300 255, DP 40000 70000 65535
calls with GQ >= 20: 1 of 3
warnings: 0
TXT
diff expected seen || { cat said >&2; exit 1; }
