#!/bin/sh
# Question: is CREsted's `SpearmanCorrelationPerClass`, the metric of its Keras models, Spearman's correlation across the regions?
#
# Guess, written before the run: yes, over all batches, as its PearsonCorrelation is.
#
# Versions: crested 1.11.0, keras 3.15.1, torch 2.13.0 (CPU), numpy 2.4.6.
#
# Seen: no, it is the mean of the batches' correlations, whatever their sizes. A last batch of one region counts as a
# correlation of 0 and weighs as much as a full one: a perfect prediction of 257 regions has 0.5 with batches of 256, 0.8 with
# batches of 64. A checkpoint that is chosen by it depends on the number of validation regions. The class's docstring says
# "Spearman correlation metric for multiclass models". PearsonCorrelation beside it gathers sums and is right.
#
# Output (the truth as its own prediction):
#   256 regions in batches of 64: Spearman 1.00, Pearson 1.00
#   256 regions in batches of 256: Spearman 1.00, Pearson 1.00
#   257 regions in batches of 64: Spearman 0.80, Pearson 1.00
#   257 regions in batches of 256: Spearman 0.50, Pearson 1.00
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
import numpy as np

truth = np.random.default_rng(0).gamma(1, 1, (257, 5)).astype("f4")  # regions by cell types
regions = keras.ops.convert_to_tensor(truth)


def read(metric, last, size):
    for start in range(0, last, size):
        batch = regions[start : min(start + size, last)]
        metric.update_state(batch, batch)
    return float(metric.result())


for last in (256, 257):
    for size in (64, 256):
        spearman = read(crested.tl.metrics.SpearmanCorrelationPerClass(5), last, size)
        pearson = read(crested.tl.metrics.PearsonCorrelation(), last, size)
        print(f"{last} regions in batches of {size}: Spearman {spearman:.2f}, Pearson {pearson:.2f}")
PY
OMP_NUM_THREADS=1 env/bin/python run.py 2> /dev/null | grep -v -e ' INFO ' -e WARNING | tee seen
cat > expected <<'TXT'
256 regions in batches of 64: Spearman 1.00, Pearson 1.00
256 regions in batches of 256: Spearman 1.00, Pearson 1.00
257 regions in batches of 64: Spearman 0.80, Pearson 1.00
257 regions in batches of 256: Spearman 0.50, Pearson 1.00
TXT
diff expected seen
