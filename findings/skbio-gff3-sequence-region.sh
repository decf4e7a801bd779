#!/bin/sh
# Question: does scikit-bio read the genes of a GFF3 file onto the sequences that they belong to, where the file has the
# `##sequence-region` lines that Ensembl and NCBI write?
#
# Guess (not written down; it came up while the input of another question was made): yes, by the name in the first column.
#
# Versions: scikit-bio 0.7.4, numpy 2.4.6.
#
# Seen: no. Read as DNA, records are taken by their order, and each `##sequence-region` line counts as one. With one such line
# the first sequence has no genes and the second has the first one's, at places that belong to another chromosome; with a line
# for each of two, both have none. Without those lines, or read as IntervalMetadata by `seq_id`, all is right. No error, no
# warning; the format's documentation does not hold the word sequence-region.
#
# Output (genes g at 2-8 of chr1 and h at 1-5 of chr2):
#   no such line: chr1 g 2-8; chr2 h 1-5
#   one, of chr1: chr1 nothing; chr2 g 2-8
#   one of each: chr1 nothing; chr2 nothing
#   one of each, by seq_id: chr1 g 2-8; chr2 h 1-5
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet scikit-bio==0.7.4 numpy==2.4.6; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import io

import skbio
from skbio.metadata import IntervalMetadata

GENES = "chr1\t.\tgene\t3\t8\t.\t+\t.\tID=g\nchr2\t.\tgene\t2\t5\t.\t+\t.\tID=h\n"
BASES = "##FASTA\n>chr1\nCCATGAAATTTCCCGGG\n>chr2\nACGTACGTA\n"
FIRST, SECOND = "##sequence-region chr1 1 17\n", "##sequence-region chr2 1 9\n"


def genes(metadata):
    return [f"{gene.metadata['ID']} {gene.bounds[0][0]}-{gene.bounds[0][1]}" for gene in metadata.query()]


def read(regions, number):
    text = io.StringIO("##gff-version 3\n" + regions + GENES + BASES)
    sequence = skbio.io.read(text, format="gff3", into=skbio.DNA, seq_num=number)
    return sequence.metadata["id"], genes(sequence.interval_metadata)


def by_name(regions, number):
    text = io.StringIO("##gff-version 3\n" + regions + GENES + BASES)
    return f"chr{number}", genes(skbio.io.read(text, format="gff3", into=IntervalMetadata, seq_id=f"chr{number}"))


def show(label, how, regions):
    parts = [how(regions, number) for number in (1, 2)]
    print(f"{label}: " + "; ".join(f"{name} {', '.join(found) or 'nothing'}" for name, found in parts))


show("no such line", read, "")
show("one, of chr1", read, FIRST)
show("one of each", read, FIRST + SECOND)
show("one of each, by seq_id", by_name, FIRST + SECOND)
PY
env/bin/python run.py | tee seen
cat > expected <<'TXT'
no such line: chr1 g 2-8; chr2 h 1-5
one, of chr1: chr1 nothing; chr2 g 2-8
one of each: chr1 nothing; chr2 nothing
one of each, by seq_id: chr1 g 2-8; chr2 h 1-5
TXT
diff expected seen
