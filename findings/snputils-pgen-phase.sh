#!/bin/sh
# Question: what does snputils' PGENReader make of unphased calls in a PGEN whose other calls are phased?
#
# Guess (written down only after it was first seen by chance): what its documentation says of `genotype_mode="auto"`:
# phased calls where possible, dosages where calls are unphased, as its VCFReader does with the same calls.
#
# Versions: snputils 1.1.1, pgenlib 0.95.1, numpy 2.4.6, plink2 2.00a3.5 (Debian 12).
#
# Seen: one phased call anywhere in the file makes all of them phased: `0/1` comes as (0, 1), in "auto" and in
# "phased", and nothing tells it from a phased `0|1`. From the VCF, "auto" gives dosages and "phased" is an error. A
# PGEN without any phased call is treated as documented. So a cohort that was phased in part, or imputed and merged,
# has an invented phase for the rest: always the ALT on the second haplotype. No warning.
#
# Output (calls of three people; two alleles each, or dosages):
#   0/1 1|0 0/1 auto: VCF 1 1 1; PGEN 0|1 1|0 0|1
#   0/1 1|0 0/1 phased: VCF ValueError; PGEN 0|1 1|0 0|1
#   0/1 1/0 0/1 auto: VCF 1 1 1; PGEN 1 1 1
#   0/1 1/0 0/1 phased: VCF ValueError; PGEN ValueError
set -eu
plink2 --version | grep -q 'v2.00a3.5 ' || { echo 'needs plink2 2.00a3.5 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet snputils==1.1.1 pgenlib==0.95.1 numpy==2.4.6; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import subprocess

from snputils import PGENReader, VCFReader


def calls(reader, mode):
    try:
        found = reader.read(genotype_mode=mode).genotypes[0]
    except ValueError as error:
        return type(error).__name__
    return " ".join(str(x) if found.ndim == 1 else f"{x[0]}|{x[1]}" for x in found)


for number, made in enumerate(("0/1 1|0 0/1", "0/1 1/0 0/1")):
    name = f"calls{number}"
    with open(f"{name}.vcf", "w") as out:
        out.write("##fileformat=VCFv4.2\n##contig=<ID=1,length=100>\n")
        out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
        out.write("#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT a b c\n".replace(" ", "\t"))
        out.write("\t".join(["1", "10", "s", "A", "G", ".", "PASS", ".", "GT", *made.split()]) + "\n")
    plink = ["plink2", "--vcf", f"{name}.vcf", "--make-pgen", "--out", name]
    subprocess.run(plink, check=True, capture_output=True)
    for mode in ("auto", "phased"):
        print(f"{made} {mode}: VCF {calls(VCFReader(f'{name}.vcf'), mode)}; PGEN {calls(PGENReader(name), mode)}")
PY
env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
0/1 1|0 0/1 auto: VCF 1 1 1; PGEN 0|1 1|0 0|1
0/1 1|0 0/1 phased: VCF ValueError; PGEN 0|1 1|0 0|1
0/1 1/0 0/1 auto: VCF 1 1 1; PGEN 1 1 1
0/1 1/0 0/1 phased: VCF ValueError; PGEN ValueError
TXT
diff expected seen || { cat said >&2; exit 1; }
