#!/bin/sh
# Question: which peaks do `precede`, `follow` and `nearest` of genomicranges (BiocPy) give for genes on both strands?
#
# Guess, written before the run: those of Bioconductor's GenomicRanges, which it follows: downstream and upstream by the gene's
# strand, among the peaks of that strand.
#
# Versions: genomicranges 0.9.0 (IRanges 0.7.3, biocframe 0.8.1, biocutils 0.5.0), numpy 2.4.6.
#
# Seen: neither. On the minus strand `precede` gives the peak with higher coordinates, which is upstream, and `follow` the one that
# is downstream, as on the plus strand. And a peak of the other strand hides those behind it: with one on either side, nearer than
# the gene's own, all three verbs find nothing. In a list of peaks or genes of both strands most answers are then lost, without
# a warning. (`resize`, `promoters`, `flank` and `find_overlaps` do mind the strand.)
#
# Output (a gene at 101-200, peaks at 10 and 300 on its strand; then two more on the other strand, at 20 and 290):
#   gene +, peaks of its strand: precede 300, follow 10, nearest 10
#   gene +, and of the other: precede none, follow none, nearest none
#   gene -, peaks of its strand: precede 300, follow 10, nearest 10
#   gene -, and of the other: precede none, follow none, nearest none
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet genomicranges==0.9.0 IRanges==0.7.3 biocframe==0.8.1 \
    biocutils==0.5.0 numpy==2.4.6; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
from genomicranges import GenomicRanges
from iranges import IRanges


def ranges(starts, width, strands):
    return GenomicRanges(["chr1"] * len(starts), IRanges(starts, [width] * len(starts)), list(strands))


def found(strand, starts, strands):
    gene, peaks = ranges([101], 100, strand), ranges(starts, 10, strands)
    hits = {verb: getattr(peaks, verb)(gene)[0] for verb in ("precede", "follow", "nearest")}
    return ", ".join(f"{verb} {'none' if hit is None else starts[hit]}" for verb, hit in hits.items())


for strand, other in ("+-", "-+"):
    print(f"gene {strand}, peaks of its strand: {found(strand, [10, 300], strand * 2)}")
    print(f"gene {strand}, and of the other: {found(strand, [10, 300, 20, 290], strand * 2 + other * 2)}")
PY
env/bin/python run.py | tee seen
cat > expected <<'TXT'
gene +, peaks of its strand: precede 300, follow 10, nearest 10
gene +, and of the other: precede none, follow none, nearest none
gene -, peaks of its strand: precede 300, follow 10, nearest 10
gene -, and of the other: precede none, follow none, nearest none
TXT
diff expected seen
