#!/bin/sh
# Question: does `subtract` of the Python package genomicranges take the ranges away that it is given, in whatever order
# they stand?
#
# Guess (the comparison was written down before, the guess was not): yes.
#
# Versions: genomicranges 0.9.0, iranges 0.7.3, biocutils 0.5.0, biocframe 0.8.1, numpy 2.4.6.
#
# Seen: only if they are sorted by sequence, strand and place and none overlaps or touches another. The overlaps are
# looked for in the reduced ranges, and their numbers then used for the ranges as they were given. So a peak loses
# nothing, because what is taken from it lies elsewhere, or it loses what another overlap was found for. Of regions of
# both strands, which are sorted by place in most files, and of regions that overlap (exons of transcripts, lists put
# together) this is the rule. `setdiff` is right. No warning.
#
# Output (a gene at 100-500 on the plus strand, and regions that are taken from it, with their strand where it is not
# plus for all; what is left):
#   150-160 350-360: subtract 100-149 161-349 361-500; setdiff 100-149 161-349 361-500
#   150-160 155-170 350-360: subtract 100-149 171-500; setdiff 100-149 171-349 361-500
#   700-800 150-160: subtract 100-500; setdiff 100-149 161-500
#   -150-160 +350-360: subtract 100-500; setdiff 100-349 361-500
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet --no-cache-dir genomicranges==0.9.0 iranges==0.7.3 \
    biocutils==0.5.0 biocframe==0.8.1 numpy==2.4.6; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
from genomicranges import GenomicRanges
from iranges import IRanges


def ranges(*spans, strands=None):
    starts = IRanges([first for first, _ in spans], [last - first + 1 for first, last in spans])
    return GenomicRanges(["chr1"] * len(spans), starts, strand=list(strands or "+" * len(spans)))


def shown(found):
    spans = zip(found.get_start(), found.get_width())
    return " ".join(f"{start}-{start + width - 1}" for start, width in spans) or "nothing"


gene = ranges((100, 500))
for name, regions in (
    ("150-160 350-360", ranges((150, 160), (350, 360))),
    ("150-160 155-170 350-360", ranges((150, 160), (155, 170), (350, 360))),
    ("700-800 150-160", ranges((700, 800), (150, 160))),
    ("-150-160 +350-360", ranges((150, 160), (350, 360), strands="-+")),
):
    taken, whole = gene.subtract(regions)[0], gene.setdiff(regions)
    print(f"{name}: subtract {shown(taken)}; setdiff {shown(whole)}")
PY
env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
150-160 350-360: subtract 100-149 161-349 361-500; setdiff 100-149 161-349 361-500
150-160 155-170 350-360: subtract 100-149 171-500; setdiff 100-149 171-349 361-500
700-800 150-160: subtract 100-500; setdiff 100-149 161-500
-150-160 +350-360: subtract 100-500; setdiff 100-349 361-500
TXT
diff expected seen
