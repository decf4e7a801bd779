#!/bin/sh
# Question: a PGEN holds a site with phased calls, then a multi-allelic site whose calls are all unphased. Does
# `plink2 --export vcf` (or bcf) write the second site unphased, as it was read?
#
# Guess, written before the run: yes; PGEN stores phase for each call, and import kept the `/`.
#
# Versions: plink2 2.00a3.5 (Debian 12), pgenlib 0.95.1 to look into the PGEN, bcftools 1.16 to read BCF.
#
# Seen: the PGEN is right (no phase at the sites 200 and 500), both exports are wrong. The unphased multi-allelic site
# gets bars, and the phase of the last phased site before it: people who were `1|0` there are turned (`0/2` to `2|0`).
# A biallelic unphased site in between stays unphased, as does a multi-allelic one that is phased in part. No warning,
# exit status 0. A cohort gets an invented phase on a round trip. Later plink2 versions were not tried.
#
# Output (vcf and bcf the same):
#   100 0|1 1|0 0|1 1|0
#   200 0|1 2|0 1|2 0|0  (went in as 0/1 0/2 1/2 0/0)
#   300 0/1 0/1 0/1 0/1
#   400 0|1 0/2 1/2 2|1
#   500 0|1 0/2 1/2 1|0  (went in as 0/1 0/2 1/2 0/1)
#   phase present in the PGEN: 100 True, 200 False, 300 False, 400 True, 500 False
set -eu
plink2 --version | grep -q 'v2.00a3.5 ' || { echo 'needs plink2 2.00a3.5 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet pgenlib==0.95.1; } ||
    { echo 'could not install' >&2; exit 2; }

cat > make.py <<'PY'
print("##fileformat=VCFv4.2\n##contig=<ID=1,length=20000>")
print('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">')
print("\t".join("#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT a b c d".split()))
for pos, alt, calls in [
    (100, "C", "0|1 1|0 0|1 1|0"),
    (200, "C,G", "0/1 0/2 1/2 0/0"),
    (300, "C", "0/1 0/1 0/1 0/1"),
    (400, "C,G", "0|1 0/2 1/2 2|1"),
    (500, "C,G", "0/1 0/2 1/2 0/1"),
]:
    print("\t".join(["1", str(pos), f"v{pos}", "A", alt, ".", "PASS", ".", "GT", *calls.split()]))
PY
cat > phase.py <<'PY'
import numpy as np
import pgenlib

with pgenlib.PgenReader(b"calls.pgen", allele_idx_offsets=np.array([0, 2, 5, 7, 10, 13], np.uintp)) as reader:
    found = []
    for index, pos in enumerate((100, 200, 300, 400, 500)):
        alleles, phased = np.empty(8, np.int32), np.empty(4, np.bool_)
        reader.read_alleles_and_phasepresent(index, alleles, phased)
        calls = alleles.reshape(-1, 2)
        found.append(f"{pos} {bool(phased[calls[:, 0] != calls[:, 1]].any())}")
print("phase present in the PGEN: " + ", ".join(found))
PY
env/bin/python make.py > calls.vcf
{
    plink2 --vcf calls.vcf --make-pgen --out calls
    plink2 --pfile calls --export vcf --out v
    plink2 --pfile calls --export bcf --out b
} > plink.log 2>&1
grep -v '^#' v.vcf | cut -f 2,10- | tr '\t' ' ' > seen.vcf
bcftools query -f '%POS[ %GT]\n' b.bcf > seen.bcf
env/bin/python phase.py > seen.pgen
cat seen.vcf seen.pgen
cat > expected <<'TXT'
100 0|1 1|0 0|1 1|0
200 0|1 2|0 1|2 0|0
300 0/1 0/1 0/1 0/1
400 0|1 0/2 1/2 2|1
500 0|1 0/2 1/2 1|0
TXT
diff expected seen.vcf
diff expected seen.bcf
echo 'phase present in the PGEN: 100 True, 200 False, 300 False, 400 True, 500 False' | diff - seen.pgen
! grep -i warning plink.log
