#!/bin/sh
# Question: which dosage does snputils' VCFReader give a woman's half-missing call (`.|1`), and which value stands for
# a missing one?
#
# Guess, written before the run: missing, on every chromosome, and -1 from every reader.
#
# Versions: snputils 1.1.1, pgenlib 0.95.1, numpy 2.4.6, plink2 2.00a3.5 (Debian 12).
#
# Seen: missing on autosomes; on chrX `.|1` is 2 and `.|0` is 0, as if the allele that was not seen were like the
# other: the rule that gives a man's haploid `1` the dosage 2 does not look at how many alleles a call has. So on chrX
# calls that plink2 refuses or sets to missing are homozygous, and heterozygous women are lost from the count. And the
# missing value is -1 from VCF, but -9 from PGEN, except on chrX, where it is -1 again: code that asks for == -1 takes
# -9 as a dosage in one format and not in the other. No warning.
#
# Output (a man's 1 as 1|1 on chr1, then .|1 .|0 .|. 0|1; genotype_mode="dosage"):
#   chr1 VCF: 2 -1 -1 -1 1
#   chr1 PGEN: 2 -9 -9 -9 1
#   chrX VCF: 2 2 0 -1 1
#   chrX PGEN: 2 -1 -1 -1 1
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

with open("sex.txt", "w") as out:
    out.write("#IID SEX\nm 1\nw1 2\nw2 2\nw3 2\nw4 2\n")
for chrom, man in (("1", "1|1"), ("X", "1")):
    with open(f"{chrom}.vcf", "w") as out:
        out.write(f"##fileformat=VCFv4.2\n##contig=<ID={chrom},length=150000000>\n")
        out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
        out.write("#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT m w1 w2 w3 w4\n".replace(" ", "\t"))
        calls = [man, ".|1", ".|0", ".|.", "0|1"]
        out.write("\t".join([chrom, "3000000", "s", "A", "G", ".", "PASS", ".", "GT", *calls]) + "\n")
    order = f"--vcf {chrom}.vcf --vcf-half-call missing --update-sex sex.txt --make-pgen --out {chrom}"
    subprocess.run(["plink2", *order.split()], check=True, capture_output=True)
    for kind, reader in (("VCF", VCFReader(f"{chrom}.vcf")), ("PGEN", PGENReader(chrom))):
        print(f"chr{chrom} {kind}:", *reader.read(genotype_mode="dosage").genotypes[0])
PY
env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
chr1 VCF: 2 -1 -1 -1 1
chr1 PGEN: 2 -9 -9 -9 1
chrX VCF: 2 2 0 -1 1
chrX PGEN: 2 -1 -1 -1 1
TXT
diff expected seen || { cat said >&2; exit 1; }
