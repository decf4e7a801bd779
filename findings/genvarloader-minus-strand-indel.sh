#!/bin/sh
# Question: at which end does GenVarLoader fill up or cut a haplotype with an indel to a fixed length, where the region is
# on the minus strand?
#
# Guess, written before the run: at the 3' end of the strand that is read, as on the plus strand, so that the 5' end of every
# haplotype is the region's.
#
# Versions: genvarloader 0.43.1, genoray 6.0.2, pysam 0.24.1.
#
# Seen: always at the higher coordinate, and then the sequence is turned round. On the plus strand the 5' end stays and the 3'
# end moves; on the minus strand the 5' end moves: a deletion in the region puts bases from outside it in front, an
# insertion cuts the first bases off. For genes whose regions are laid by strand (promoters; so many bases upstream of
# the TSS) an indel downstream moves the whole promoter against the other haplotypes on one strand, and nothing on the other.
# Turning round is documented, the moved end is not.
#
# Output (region of 40 bases, fixed length 40; how far the first ten bases of the reference's strand moved to the right in the
# haplotype; minus is to the left, out of it):
#   plus strand: deletion of 4: 0, insertion of 4: 0
#   minus strand: deletion of 4: 4, insertion of 4: -4
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet genvarloader==0.43.1 genoray==6.0.2 pysam==0.24.1; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import genvarloader as gvl
import numpy as np
import polars as pl
import pysam

window = "GGATGATCAGTGGGTAAAGGTGGCGCGGGGTAACGCGCGC"
genome = "TTGACCAGTC" * 10 + window + "TAAGCTCATC" * 10
with open("genome.fa", "w") as out:
    out.write(f">chr1\n{genome}\n")
pysam.faidx("genome.fa")


def both(ref, alt, strand):
    """The haplotype with the variant, in the middle of the region, and the one without."""
    with open("calls.vcf", "w") as out:
        out.write("##fileformat=VCFv4.2\n##contig=<ID=chr1,length=240>\n")
        out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
        out.write("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tp\n")
        out.write(f"chr1\t120\t.\t{ref}\t{alt}\t.\tPASS\t.\tGT\t1|0\n")
    pysam.tabix_compress("calls.vcf", "calls.vcf.gz", force=True)
    pysam.tabix_index("calls.vcf.gz", preset="vcf", force=True)
    bed = pl.DataFrame({"chrom": ["chr1"], "chromStart": [100], "chromEnd": [140], "strand": [strand]})
    gvl.write(path="calls.gvl", bed=bed, variants="calls.vcf.gz", overwrite=True)
    data = gvl.Dataset.open("calls.gvl", reference="genome.fa").with_seqs("haplotypes").with_len(40)
    return [np.asarray(row).tobytes().decode() for row in data[0, 0]]


def moved(ref, alt, strand):
    carried, plain = both(ref, alt, strand)
    places = sorted(range(-6, 7), key=abs)
    return next(m for m in places if carried[max(m, 0) :].startswith(plain[max(-m, 0) : 10]))


for strand, name in (("+", "plus"), ("-", "minus")):
    deletion, insertion = moved(genome[119:124], genome[119], strand), moved(genome[119], genome[119] + "TTTT", strand)
    print(f"{name} strand: deletion of 4: {deletion}, insertion of 4: {insertion}")
PY
env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
plus strand: deletion of 4: 0, insertion of 4: 0
minus strand: deletion of 4: 4, insertion of 4: -4
TXT
diff expected seen
