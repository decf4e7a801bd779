#!/bin/sh
# Question: does GenVarLoader apply both records where one haplotype carries an SNV and an indel of the same POS? Both
# are biallelic, left-aligned and atomized, as its manual asks; the SNV changes the base that the indel is anchored on.
#
# Guess, written before the run: what does not overlap is applied; of overlapping records, such as an SNV
# in a deletion, the first. And a record of several bases that was not atomized is refused, as
# multi-allelic and symbolic ones are.
#
# Versions: genvarloader 0.43.1, genoray 6.0.2, pysam 0.24.1, bcftools 1.16 (Debian 12).
#
# Seen: only the record that comes first is applied. An indel behind an SNV is lost, and the sequence has the reference's
# length; where the indel comes first, it stays and the SNV is lost. `bcftools consensus` applies both when the SNV comes first. No
# warning. The guess on atomizing was wrong as well: an MNP is taken, its three bases are put in the place of one, and
# all that follows is moved by two. The manual does ask for atomized records, but other offences are refused.
#
# Output (bases 9 to 16 of haplotype 1, where the reference reads AGTGGGTA; SNV G>T; length):
#   SNV, then deletion of TG: GenVarLoader ATTGGGTA 40, bcftools ATGGTAAA 38
#   SNV, then insertion of AA: GenVarLoader ATTGGGTA 40, bcftools ATAATGGG 42
#   deletion of TG, then SNV: GenVarLoader AGGGTAAA 38, bcftools AGGGTAAA 38
#   MNP GTG>TAT, not atomized: GenVarLoader ATATTGGG 40, bcftools ATATGGTA 40
set -eu
bcftools --version | grep -q '^bcftools 1.16$' || { echo 'needs bcftools 1.16 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet genvarloader==0.43.1 genoray==6.0.2 pysam==0.24.1; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import subprocess

import genvarloader as gvl
import numpy as np
import polars as pl
import pysam

window = "GGATGATCAGTGGGTAAAGGTGGCGCGGGGTAACGCGCGC"
genome = "TTGACCAGTC" * 10 + window + "TAAGCTCATC" * 10
with open("genome.fa", "w") as out:
    out.write(f">chr1\n{genome}\n")
pysam.faidx("genome.fa")
with open("window.fa", "w") as out:
    out.write(f">chr1:101-140\n{window}\n")
snv, deletion, insertion = ("G", "T"), ("GTG", "G"), ("G", "GAA")
cases = {
    "SNV, then deletion of TG": [snv, deletion],
    "SNV, then insertion of AA": [snv, insertion],
    "deletion of TG, then SNV": [deletion, snv],
    "MNP GTG>TAT, not atomized": [("GTG", "TAT")],
}


def write(records):
    with open("calls.vcf", "w") as out:
        out.write("##fileformat=VCFv4.2\n##contig=<ID=chr1,length=240>\n")
        out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
        out.write("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tp\n")
        for ref, alt in records:
            out.write(f"chr1\t110\t.\t{ref}\t{alt}\t.\tPASS\t.\tGT\t1|0\n")
    pysam.tabix_compress("calls.vcf", "calls.vcf.gz", force=True)
    pysam.tabix_index("calls.vcf.gz", preset="vcf", force=True)


def by_genvarloader():
    bed = pl.DataFrame({"chrom": ["chr1"], "chromStart": [100], "chromEnd": [140]})
    gvl.write(path="calls.gvl", bed=bed, variants="calls.vcf.gz", overwrite=True)
    data = gvl.Dataset.open("calls.gvl", reference="genome.fa").with_seqs("haplotypes").with_len("ragged")
    return np.asarray(data[0, 0][0]).tobytes().decode()


def by_bcftools():
    command = ["bcftools", "consensus", "-f", "window.fa", "-H", "1", "calls.vcf.gz"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return "".join(text.split("\n")[1:])


for name, records in cases.items():
    write(records)
    one, other = by_genvarloader(), by_bcftools()
    print(f"{name}: GenVarLoader {one[8:16]} {len(one)}, bcftools {other[8:16]} {len(other)}")
PY
env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
SNV, then deletion of TG: GenVarLoader ATTGGGTA 40, bcftools ATGGTAAA 38
SNV, then insertion of AA: GenVarLoader ATTGGGTA 40, bcftools ATAATGGG 42
deletion of TG, then SNV: GenVarLoader AGGGTAAA 38, bcftools AGGGTAAA 38
MNP GTG>TAT, not atomized: GenVarLoader ATATTGGG 40, bcftools ATATGGTA 40
TXT
diff expected seen
