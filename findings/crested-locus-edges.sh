#!/bin/sh
# Question: what does CREsted's `score_gene_locus` say of the ends of the region, where fewer windows than elsewhere meet?
#
# Guess: not written down; seen while its strands were asked about (a score would have been taken for the mean of the windows that
# cover it, as a comment in the function also says, and a position that no window covers for nan or left out).
#
# Versions: crested 1.11.0, keras 3.15.1, torch 2.13.0 (CPU), numpy 2.4.6.
#
# Seen: the sum of the windows is divided by the same number everywhere. A model that predicts 1 whatever it is shown has scores
# that rise from 0.05 to 1 and fall again over 950 bases (1,000 in the middle of each window count, a window begins every 50), and
# 0 in the outermost 557 bases of a model of 2,114, which no window scores. With a few thousand bases upstream and downstream,
# as one takes them for a promoter, much of the flank is an edge, and activity seems to gather at the gene.
#
# Output (a gene of 2,000 bases, 2,500 upstream, 1,500 downstream; scores at a distance from either end):
#   6500 to 12500, TSS 9000, a prediction of 1 for every window
#   0 bases in: 0.00 upstream, 0.00 downstream
#   500 bases in: 0.00 upstream, 0.00 downstream
#   600 bases in: 0.05 upstream, 0.05 downstream
#   1000 bases in: 0.45 upstream, 0.45 downstream
#   1400 bases in: 0.85 upstream, 0.85 downstream
#   1600 bases in: 1.00 upstream, 1.00 downstream
#   2500 bases in: 1.00 upstream, 1.00 downstream
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet crested==1.11.0 keras==3.15.1 torch==2.13.0 numpy==2.4.6; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import os

os.environ["KERAS_BACKEND"] = "torch"
import crested
import keras

with open("genome.fa", "w") as fasta, open("sizes", "w") as sizes:
    fasta.write(">chr1\n" + "ACGT" * 5000 + "\n")
    sizes.write("chr1\t20000\n")

bases = keras.Input((2114, 4))
one = keras.layers.Dense(1, kernel_initializer="zeros", bias_initializer="ones")
model = keras.Model(bases, one(keras.layers.Flatten()(bases)))
scores, _, start, end, tss = crested.tl.score_gene_locus(
    "chr1", 9000, 11000, 0, model, crested.Genome("genome.fa", "sizes"), upstream=2500, downstream=1500, verbose=0
)
print(f"{start} to {end}, TSS {tss}, a prediction of 1 for every window")
for distance in (0, 500, 600, 1000, 1400, 1600, 2500):
    print(f"{distance} bases in: {scores[distance]:.2f} upstream, {scores[-1 - distance]:.2f} downstream")
PY
OMP_NUM_THREADS=1 env/bin/python run.py 2> /dev/null | grep -v -e ' INFO ' -e WARNING | tee seen
cat > expected <<'TXT'
6500 to 12500, TSS 9000, a prediction of 1 for every window
0 bases in: 0.00 upstream, 0.00 downstream
500 bases in: 0.00 upstream, 0.00 downstream
600 bases in: 0.05 upstream, 0.05 downstream
1000 bases in: 0.45 upstream, 0.45 downstream
1400 bases in: 0.85 upstream, 0.85 downstream
1600 bases in: 1.00 upstream, 1.00 downstream
2500 bases in: 1.00 upstream, 1.00 downstream
TXT
diff expected seen
