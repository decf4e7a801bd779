#!/bin/sh
# Question: what does pyfaidx's FastaVariant, "consensus sequence from FASTA and VCF", give for a person with an indel, a
# phased heterozygous call, or two different ALTs?
#
# Guess, written before the run: heterozygous SNVs are taken with `het=True`; indels change the length, or are refused.
#
# Versions: pyfaidx 0.9.2.2, PyVCF3 1.0.4.
#
# Seen: indels are left out without a word, homozygous ones too, so the sequence always has the reference's length. For a
# person of two different ALTs (`1|2`) the first is taken with `het=True`, and the reference with `het=False`, which the
# person does not carry at all. A heterozygous call is the ALT or the reference by the option, never one haplotype by its
# phase: with `het=True`, ALTs of both haplotypes stand side by side in one sequence.
#
# Output (the person of two haplotypes has the ALT of the one, then of the other):
#   homozygous insertion: length 60 of 62
#   1|2, het=True: A; het=False: C
#   0|1 then 1|0 (two haplotypes), het=True: AG
#   homozygous deletion: length 60 of 58
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet pyfaidx==0.9.2.2 PyVCF3==1.0.4 pysam==0.24.1; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import pysam
from pyfaidx import FastaVariant

genome = "ACGTTGCAACCGGTTAGACT" * 3
records = [
    (10, "A,G", ["0|0", "1|2", "0|1", "0|0"]),
    (20, "G", ["0|0", "0|0", "1|0", "0|0"]),
    (23, "GTT", ["1|1", "0|0", "0|0", "0|0"]),
    (35, "T", ["0|0", "0|0", "0|0", "1|1"]),
]
with open("genome.fa", "w") as out:
    out.write(f">chr1\n{genome}\n")
pysam.faidx("genome.fa")
with open("calls.vcf", "w") as out:
    out.write("##fileformat=VCFv4.2\n##contig=<ID=chr1,length=60>\n")
    out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
    out.write("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tinsertion\ttwo\tphased\tdeletion\n")
    for place, alts, calls in records:
        ref = genome[place - 1 : place + 2] if alts == "T" else genome[place - 1]
        out.write("\t".join(["chr1", str(place), ".", ref, alts, ".", "PASS", ".", "GT", *calls]) + "\n")
pysam.tabix_compress("calls.vcf", "calls.vcf.gz", force=True)
pysam.tabix_index("calls.vcf.gz", preset="vcf", force=True)


def consensus(person, het):
    return str(FastaVariant("genome.fa", "calls.vcf.gz", sample=person, het=het, hom=True)["chr1"][0:60])


print(f"homozygous insertion: length {len(consensus('insertion', True))} of 62")
print(f"1|2, het=True: {consensus('two', True)[9]}; het=False: {consensus('two', False)[9]}")
both = consensus("phased", True)
print(f"0|1 then 1|0 (two haplotypes), het=True: {both[9]}{both[19]}")
print(f"homozygous deletion: length {len(consensus('deletion', True))} of 58")
PY
env/bin/python run.py 2> /dev/null | tee seen
cat > expected <<'TXT'
homozygous insertion: length 60 of 62
1|2, het=True: A; het=False: C
0|1 then 1|0 (two haplotypes), het=True: AG
homozygous deletion: length 60 of 58
TXT
diff expected seen
