#!/bin/sh
# Question: `bcftools annotate -a phased.vcf.gz -c FORMAT/GT` copies calls from one file into another. What becomes of
# them where the two files have the alternate alleles of a site in another order, or one file has an allele more?
#
# Guess, written before the run: GT is renumbered to the alleles of the file that is written, as INFO fields of one
# value an allele are put in order, or such a record is refused.
#
# Versions: bcftools 1.16 (Debian 12) and the bcftools 1.24 inside pysam 0.24.1.
#
# Seen: the numbers are copied as they stand. INFO with one value an allele (Number=A) is put in the order of the file
# that is written, in the same command; GT is not. `1|1`, which is T and T where ALT is T,G, is G and G where ALT is
# G,T. And `2|2` of a site with two ALTs comes to a site with one, where no allele 2 is. No warning, exit status 0.
# Copying the phase back into the calls that were phased is the usual reason for the command.
#
# Output (site; what the person has in the source, bases and INFO's value of each ALT; the same in the copy):
#   1.16 10: T,G 1|1, T is 0.2, G is 0.1 > G,T 1|1, G is 0.1, T is 0.2
#   1.16 20: G,C 2|2, G is 0.3, C is 0.4 > G 2|2, G is 0.3
#   1.16 30: G 0|1, G is 0.5 > G 0|1, G is 0.5
#   1.24 10: T,G 1|1, T is 0.2, G is 0.1 > G,T 1|1, G is 0.1, T is 0.2
#   1.24 20: G,C 2|2, G is 0.3, C is 0.4 > G 2|2, G is 0.3
#   1.24 30: G 0|1, G is 0.5 > G 0|1, G is 0.5
set -eu
bcftools --version | head -n 1 | grep -qx 'bcftools 1.16' || { echo 'needs bcftools 1.16 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet pysam==0.24.1; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import subprocess

import pysam
import pysam.bcftools

SOURCE = ["10\t.\tA\tT,G\t.\tPASS\tS=0.2,0.1\tGT\t1|1", "20\t.\tA\tG,C\t.\tPASS\tS=0.3,0.4\tGT\t2|2"]
TARGET = ["10\t.\tA\tG,T\t.\tPASS\t.\tGT\t2/2", "20\t.\tA\tG\t.\tPASS\t.\tGT\t./."]
SOURCE.append("30\t.\tA\tG\t.\tPASS\tS=0.5\tGT\t0|1")
TARGET.append("30\t.\tA\tG\t.\tPASS\t.\tGT\t0/1")
for name, rows in (("source", SOURCE), ("target", TARGET)):
    with open(f"{name}.vcf", "w") as out:
        out.write("##fileformat=VCFv4.2\n##contig=<ID=1,length=100>\n")
        out.write('##INFO=<ID=S,Number=A,Type=Float,Description="Score">\n')
        out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
        out.write("#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT p\n".replace(" ", "\t"))
        out.writelines(f"1\t{row}\n" for row in rows)
    pysam.tabix_index(f"{name}.vcf", preset="vcf", force=True, keep_original=True)


def shown(row):
    site = row.split("\t")
    scores = zip(site[3].split(","), site[6].removeprefix("S=").split(","), strict=True)
    return f"{site[3]} {site[8]}, " + ", ".join(f"{base} is {score}" for base, score in scores)


for version in ("1.16", "1.24"):
    order = ["-a", "source.vcf.gz", "-c", "INFO/S,FORMAT/GT", "-o", "copy.vcf", "target.vcf.gz"]
    if version == "1.24":
        pysam.bcftools.annotate(*order, catch_stdout=False)
    else:
        subprocess.run(["bcftools", "annotate", *order], check=True)
    with open("copy.vcf") as lines:
        rows = [line.strip().split("\t", 1)[1] for line in lines if line[0] != "#"]
    for before, after in zip(SOURCE, rows, strict=True):
        print(f"{version} {before[:2]}: {shown(before)} > {shown(after)}")
PY
env/bin/python run.py | tee seen
cat > expected <<'TXT'
1.16 10: T,G 1|1, T is 0.2, G is 0.1 > G,T 1|1, G is 0.1, T is 0.2
1.16 20: G,C 2|2, G is 0.3, C is 0.4 > G 2|2, G is 0.3
1.16 30: G 0|1, G is 0.5 > G 0|1, G is 0.5
1.24 10: T,G 1|1, T is 0.2, G is 0.1 > G,T 1|1, G is 0.1, T is 0.2
1.24 20: G,C 2|2, G is 0.3, C is 0.4 > G 2|2, G is 0.3
1.24 30: G 0|1, G is 0.5 > G 0|1, G is 0.5
TXT
diff expected seen
