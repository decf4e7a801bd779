#!/bin/sh
# Question: gReLU's BigWigSeqDataset pairs the sequence of an interval with a bigWig's values. Where the interval is
# on the minus strand, does it turn both round?
#
# Guess, written before the run: yes; the sequence is the reverse complement, and the values are reversed along with
# it, as `rc=True` (augmentation) does.
#
# Versions: gReLU 1.1.0, torch 2.13.0 (CPU), pyBigWig 0.3.29, pyfaidx 0.9.2.2, numpy 2.4.6, pandas 2.3.3.
#
# Seen: the sequence is turned round, the values are not: a peak over the first bases of the interval stands over its
# last ones. A profile model that is trained on genes or peaks with a strand column learns half of its examples
# mirror-inverted, and shapes and sums look right. With `rc=True` the augmented pair is turned as a whole, so the same
# class does both. The docstring does not hold the word strand. (What is summed over the whole interval is not
# touched.)
#
# Output (the bases under the values that are not 0):
#   the bigWig's peak is on TAAT, or ATTA on the other strand
#   strand +: TAAT
#   strand -: TGGG
#   strand +, augmented: TAAT ATTA
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet gReLU==1.1.0 torch==2.13.0 pyBigWig==0.3.29 pyfaidx==0.9.2.2 \
    numpy==2.4.6 pandas==2.3.3; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import pandas as pd
import pyBigWig
from grelu.data.dataset import BigWigSeqDataset

genome = "GATTACCAGTCAGGTTCTCATGCATGCCTGTAATAGACCCCAAACTTAGCATACGGTT"
with open("genome.fa", "w") as out:
    out.write(f">chr1\n{genome}\n")
with open("genome.fa.sizes", "w") as out:
    out.write(f"chr1\t{len(genome)}\n")
track = pyBigWig.open("track.bw", "w")
track.addHeader([("chr1", len(genome))])
track.addEntries(["chr1"], [30], ends=[34], values=[5.0])
track.close()
print(f"the bigWig's peak is on {genome[30:34]}, or ATTA on the other strand")


def under_peak(strand, **options):
    place = pd.DataFrame({"chrom": ["chr1"], "start": [28], "end": [44], "strand": [strand]})
    data = BigWigSeqDataset(place, ["track.bw"], genome="genome.fa", seq_len=16, label_len=16, bin_size=1, **options)
    pairs = [data[i] for i in range(len(data))]
    return ["".join("ACGT"[base] for base, value in zip(x.argmax(0), y[0], strict=True) if value > 0) for x, y in pairs]


for strand in "+-":
    print(f"strand {strand}:", *under_peak(strand))
print("strand +, augmented:", *under_peak("+", rc=True))
PY
env/bin/python run.py 2> said | tee seen
cat > expected <<'TXT'
the bigWig's peak is on TAAT, or ATTA on the other strand
strand +: TAAT
strand -: TGGG
strand +, augmented: TAAT ATTA
TXT
diff expected seen || { cat said >&2; exit 1; }
