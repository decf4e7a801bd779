#!/bin/sh
# Question: how many alleles does `bcftools merge` give a person for whom a file has no record at a chrX site, where
# men have one allele and women two in the other records of the same files?
#
# Guess, written before the run: `./.` for everybody, and with `-0` (missing to reference) `0/0`, for men too.
#
# Versions: bcftools 1.16 (Debian 12) and the bcftools 1.24 inside pysam 0.24.1.
#
# Seen: as many as the widest call of the other files at that site. Where only the man's file has the record, the
# woman gets a haploid `.`, and with `-0` a haploid `0`: she has one X at this site and two at the next. Where only
# hers has it, he gets `./.` and `0/0`. Files of single people are merged this way, and hardly any of their sites are
# shared, so that a person's number of alleles changes from record to record with what the others carry. What reads
# two haplotypes of her sees a second one that is missing, and what tells men by their haploid calls sees her as one.
# `-0` warns of nothing.
#
# Output (site 10 is in both files, 20 in the man's alone, 30 in the woman's alone; calls of the man, then the woman):
#   1.16 merge: 10 1 0|1, 20 1 ., 30 ./. 0|1
#   1.16 merge -0: 10 1 0|1, 20 1 0, 30 0/0 0|1
#   1.24 merge: 10 1 0|1, 20 1 ., 30 ./. 0|1
#   1.24 merge -0: 10 1 0|1, 20 1 0, 30 0/0 0|1
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

for person, calls in (("man", {10: "1", 20: "1"}), ("woman", {10: "0|1", 30: "0|1"})):
    with open(f"{person}.vcf", "w") as out:
        out.write("##fileformat=VCFv4.2\n##contig=<ID=chrX,length=100>\n")
        out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
        out.write("\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", person]) + "\n")
        for pos, call in calls.items():
            out.write(f"chrX\t{pos}\t.\tA\tG\t.\tPASS\t.\tGT\t{call}\n")
    pysam.tabix_index(f"{person}.vcf", preset="vcf", force=True)

for version in ("1.16", "1.24"):
    for options in ([], ["-0"]):
        order = [*options, "-o", "merged.vcf", "man.vcf.gz", "woman.vcf.gz"]
        if version == "1.24":
            pysam.bcftools.merge(*order, catch_stdout=False)
        else:
            subprocess.run(["bcftools", "merge", *order], check=True)
        with open("merged.vcf") as lines:
            rows = [line.split() for line in lines if not line.startswith("#")]
        print(f"{version} " + " ".join(["merge", *options]) + ": " + ", ".join(f"{r[1]} {r[9]} {r[10]}" for r in rows))
PY
env/bin/python run.py | tee seen
cat > expected <<'TXT'
1.16 merge: 10 1 0|1, 20 1 ., 30 ./. 0|1
1.16 merge -0: 10 1 0|1, 20 1 0, 30 0/0 0|1
1.24 merge: 10 1 0|1, 20 1 ., 30 ./. 0|1
1.24 merge -0: 10 1 0|1, 20 1 0, 30 0/0 0|1
TXT
diff expected seen
