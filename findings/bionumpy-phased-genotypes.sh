#!/bin/sh
# Question: what does bionumpy's PhasedVCFMatrixBuffer make of calls that are not phased and diploid with one ALT: a
# man's haploid call, an unphased call, a missing allele, and the second ALT of a record?
#
# Guess, written before the run: an error for the unphased call at least.
#
# Versions: bionumpy 1.0.14, npstructures 0.2.19, numpy 2.4.6.
#
# Seen: no error and no warning. Every call is read as one of four phased ones: a haploid `1` becomes `1|0`, `0/1` becomes
# `0|1`, `./1` becomes `0|1`, and `1|2`, which has no reference allele, becomes `1|0`. The class has no docstring.
#
# Output:
#   phased: 1 -> 1|0; 0/1 -> 0|1; ./1 -> 0|1; 1|2 -> 1|0; 1|0 -> 1|0
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet bionumpy==1.0.14 npstructures==0.2.19 numpy==2.4.6; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import bionumpy as bnp
from bionumpy.io.vcf_buffers import PhasedVCFMatrixBuffer

calls = ["1", "0/1", "./1", "1|2", "1|0"]
with open("calls.vcf", "w") as out:
    out.write("##fileformat=VCFv4.2\n##contig=<ID=chrX,length=100>\n")
    out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
    out.write("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts\tt\n")
    for place, call in enumerate(calls, start=10):
        # The record of a haploid call holds another person's diploid call, as on chrX.
        out.write(f"chrX\t{place}\t.\tC\tA,G\t.\tPASS\t.\tGT\t{call}\t0|1\n")
read = str(bnp.open("calls.vcf", buffer_type=PhasedVCFMatrixBuffer).read().genotypes).splitlines()
print("phased: " + "; ".join(f"{call} -> {row.split(chr(9))[0]}" for call, row in zip(calls, read)))
PY
env/bin/python run.py | tee seen
cat > expected <<'TXT'
phased: 1 -> 1|0; 0/1 -> 0|1; ./1 -> 0|1; 1|2 -> 1|0; 1|0 -> 1|0
TXT
diff expected seen
