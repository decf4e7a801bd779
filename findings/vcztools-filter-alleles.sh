#!/bin/sh
# Question: does `vcztools query -i` keep the records that `bcftools query -i` keeps, of the same VCF, where the
# expression asks for REF, ALT or missing calls?
#
# Guess, written before the run: yes, or vcztools refuses what it cannot do. (It does refuse much: GT, TYPE="indel",
# MAF, regular expressions.)
#
# Versions: vcztools 0.2.0, bio2zarr 0.2.1, cyvcf2 0.35.0, zarr 3.1.6, numpy 2.4.6, bcftools 1.16 (Debian 12).
#
# Seen: no. REF and ALT both stand for all alleles of the record: `REF="C"` keeps a T>C site as well, `ALT="G"` one
# whose REF is G, `ALT!="T"` keeps every site, as some other allele is always not T, and `REF="C" & ALT="T"` keeps
# nothing, as no allele is both. And a call with one allele missing (`.|1`) counts as called, where bcftools counts it
# as missing, so that N_MISSING and F_MISSING keep other sites (a docstring inside vcztools says so, the command does
# not). AC, AN, N_ALT, POS, ID and FILTER agree. No warning, exit status 0.
#
# Output (10 C>T, 20 T>C, 30 A>G, 40 G>A; one of four calls is `.|1` at 20 and `.|.` at 40):
#   REF="C": bcftools 10, vcztools 10 20
#   ALT="G": bcftools 30, vcztools 30 40
#   ALT!="T": bcftools 20 30 40, vcztools 10 20 30 40
#   REF="C" & ALT="T": bcftools 10, vcztools none
#   N_MISSING=1: bcftools 20 40, vcztools 40
#   F_MISSING>0.2: bcftools 20 40, vcztools 40
#   AC>1: bcftools 10 30, vcztools 10 30
set -eu
bcftools --version | head -n 1 | grep -qx 'bcftools 1.16' || { echo 'needs bcftools 1.16 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet vcztools==0.2.0 bio2zarr==0.2.1 cyvcf2==0.35.0 zarr==3.1.6 \
    numpy==2.4.6 pysam==0.24.1; } || { echo 'could not install' >&2; exit 2; }

cat > make.py <<'PY'
import pysam

sites = [(10, "C T 0|1 0|1 0|0 0|0"), (20, "T C 0|0 .|1 0|0 0|0"), (30, "A G 1|1 1|0 0|0 0|0"), (40, "G A .|. 0|1 0|0 0|0")]
with open("calls.vcf", "w") as out:
    out.write("##fileformat=VCFv4.2\n##contig=<ID=1,length=100>\n")
    out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
    out.write("#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT a b c d\n".replace(" ", "\t"))
    for pos, site in sites:
        ref, alt, *calls = site.split()
        out.write("\t".join(["1", str(pos), ".", ref, alt, ".", "PASS", ".", "GT", *calls]) + "\n")
pysam.tabix_index("calls.vcf", preset="vcf", force=True)
PY
env/bin/python make.py
env/bin/vcf2zarr explode calls.vcf.gz calls.icf > said 2>&1 || { cat said >&2; exit 1; }
env/bin/vcf2zarr encode calls.icf calls.vcz > said 2>&1 || { cat said >&2; exit 1; }

for asked in 'REF="C"' 'ALT="G"' 'ALT!="T"' 'REF="C" & ALT="T"' 'N_MISSING=1' 'F_MISSING>0.2' 'AC>1'; do
    bcftools query -i "$asked" -f '%POS\n' calls.vcf.gz > bcftools.txt
    env/bin/vcztools query -i "$asked" -f '%POS\n' calls.vcz > vcztools.txt
    found=$(paste -sd ' ' vcztools.txt)
    printf '%s: bcftools %s, vcztools %s\n' "$asked" "$(paste -sd ' ' bcftools.txt)" "${found:-none}" >> seen
done
cat seen
cat > expected <<'TXT'
REF="C": bcftools 10, vcztools 10 20
ALT="G": bcftools 30, vcztools 30 40
ALT!="T": bcftools 20 30 40, vcztools 10 20 30 40
REF="C" & ALT="T": bcftools 10, vcztools none
N_MISSING=1: bcftools 20 40, vcztools 40
F_MISSING>0.2: bcftools 20 40, vcztools 40
AC>1: bcftools 10 30, vcztools 10 30
TXT
diff expected seen
