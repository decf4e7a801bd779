#!/bin/sh
# Question: is a bin of CREsted's `read_bigwig_region(bin_size=...)`, documented as "mean-binned", the mean of the per-base values that
# the same function gives without `bin_size`?
#
# Guess, written before the run: yes, with `missing`'s 0 for the bases that the bigWig does not hold.
#
# Versions: crested 1.11.0, keras 3.15.1, pybigtools 0.3.0, pyBigWig 0.3.29, torch 2.13.0 (CPU), numpy 2.4.6.
#
# Seen: no. A base without data is 0 when it is read alone and left out of its bin's mean; only an empty bin is 0. One cut site in
# 32 bases makes a bin of 32, not 1. Where the zeros of a track are written out, the bins are as guessed: two files of one
# signal differ. `import_bigwigs(target="mean")`, which makes the labels, counts the zeros, so a label and its own track
# disagree.
#
# Output (192 bases; one base of 32, and 40 bases of 4 and 8):
#   sparse: means of the bases [1.0, 0.0, 0.0, 3.0, 3.0, 0.0], bins [32.0, 0.0, 0.0, 4.0, 6.0, 0.0]
#   zeros written: means of the bases [1.0, 0.0, 0.0, 3.0, 3.0, 0.0], bins [1.0, 0.0, 0.0, 3.0, 3.0, 0.0]
#   import_bigwigs of sparse: [1.0, 0.0, 0.0, 3.0, 3.0, 0.0]
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet crested==1.11.0 keras==3.15.1 pybigtools==0.3.0 pyBigWig==0.3.29 \
    torch==2.13.0 numpy==2.4.6; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import os

os.environ["KERAS_BACKEND"] = "torch"
import crested
import numpy as np
import pyBigWig

sparse = [(100, 101, 32.0), (200, 232, 4.0), (240, 248, 8.0)]
zeros = [(0, 100, 0.0), (101, 200, 0.0), (232, 240, 0.0), (248, 1000, 0.0)]
os.mkdir("tracks")
for name, runs in (("sparse", sparse), ("zeros written", sorted(sparse + zeros))):
    with pyBigWig.open(f"tracks/{name}.bw", "w") as out:
        out.addHeader([("chr1", 1000)])
        starts, ends, values = map(list, zip(*runs))
        out.addEntries(["chr1"] * len(runs), starts, ends=ends, values=values)
    where = f"tracks/{name}.bw", ("chr1", 96, 288)
    bases, bins = crested.utils.read_bigwig_region(*where)[0], crested.utils.read_bigwig_region(*where, bin_size=32)[0]
    print(f"{name}: means of the bases {bases.reshape(-1, 32).mean(1).tolist()}, bins {np.asarray(bins).tolist()}")
with open("regions.bed", "w") as bed, open("sizes", "w") as sizes:
    bed.write("".join(f"chr1\t{start}\t{start + 32}\n" for start in range(96, 288, 32)))
    sizes.write("chr1\t1000\n")
labels = crested.import_bigwigs("tracks", "regions.bed", chromsizes_file="sizes", target="mean")
print(f"import_bigwigs of sparse: {np.asarray(labels['sparse'].X)[0].tolist()}")
PY
OMP_NUM_THREADS=1 env/bin/python run.py 2> /dev/null | grep -v -e ' INFO ' -e WARNING | tee seen
cat > expected <<'TXT'
sparse: means of the bases [1.0, 0.0, 0.0, 3.0, 3.0, 0.0], bins [32.0, 0.0, 0.0, 4.0, 6.0, 0.0]
zeros written: means of the bases [1.0, 0.0, 0.0, 3.0, 3.0, 0.0], bins [1.0, 0.0, 0.0, 3.0, 3.0, 0.0]
import_bigwigs of sparse: [1.0, 0.0, 0.0, 3.0, 3.0, 0.0]
TXT
diff expected seen
