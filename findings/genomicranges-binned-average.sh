#!/bin/sh
# Question: `binned_average` of the Python package genomicranges gives bins the mean of a score. Of what is it the mean?
#
# Guess, written before the run: it equals the slow way, the mean over the bases of the bin, as Bioconductor's
# `binnedAverage`, whose name it has.
#
# Versions: genomicranges 0.9.0, iranges 0.7.3, biocutils 0.5.0, biocframe 0.8.1, numpy 2.4.6.
#
# Seen: the mean over the ranges that reach into the bin, however little: one base of a peak counts as much as the 99
# others. A track whose ranges have several lengths, as every bedGraph or bigWig has, gives other numbers, and the same
# signal cut into other ranges gives other ones again. A range on the other strand is not seen. (A bin without a range
# raises an error.) The description says "average across all regions in the bins". No warning.
#
# Output (bases 1-99 have the score 1 and base 100 has 101; the same signal in two, three and a hundred ranges; the
# bin 1-100):
#   2 ranges: binned_average 51.00, mean over bases 2.00
#   3 ranges: binned_average 34.33, mean over bases 2.00
#   100 ranges: binned_average 2.00, mean over bases 2.00
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet --no-cache-dir genomicranges==0.9.0 iranges==0.7.3 \
    biocutils==0.5.0 biocframe==0.8.1 numpy==2.4.6; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
from biocframe import BiocFrame
from genomicranges import GenomicRanges
from iranges import IRanges


def ranges(spans, scores=None):
    starts = IRanges([first for first, _ in spans], [last - first + 1 for first, last in spans])
    columns = BiocFrame({"score": scores}) if scores else None
    return GenomicRanges(["chr1"] * len(spans), starts, strand=["*"] * len(spans), mcols=columns)


whole = ranges([(1, 100)])
for spans in (
    [(1, 99), (100, 100)],
    [(1, 50), (51, 99), (100, 100)],
    [(base, base) for base in range(1, 101)],
):
    scores = [1.0] * (len(spans) - 1) + [101.0]
    mean = ranges(spans, scores).binned_average("score", whole).get_mcols().column("binned_average")[0]
    bases = sum(score * (last - first + 1) for score, (first, last) in zip(scores, spans)) / 100
    print(f"{len(spans)} ranges: binned_average {mean:.2f}, mean over bases {bases:.2f}")
PY
env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
2 ranges: binned_average 51.00, mean over bases 2.00
3 ranges: binned_average 34.33, mean over bases 2.00
100 ranges: binned_average 2.00, mean over bases 2.00
TXT
diff expected seen
