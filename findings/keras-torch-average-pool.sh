#!/bin/sh
# Question: does Keras 3's `AveragePooling1D(padding="same")` give the same on its torch backend as on its jax backend?
#
# Guess, written before the run: yes; padding is left out of the mean.
#
# Versions: keras 3.15.1, torch 2.13.0 (CPU), jax 0.10.2, numpy 2.4.6.
#
# Seen: only where the padding is as long on both sides. Where it is not (a length that the stride does not divide, an even width
# with stride 1), torch's backend repeats the edge and counts it: the last window, which holds 9 and 1, is the mean of 9, 1 and 1.
# jax's takes the mean of what is there. So a model that was trained on one backend has other values in its first and last bins
# on the other. MaxPooling1D and all convolutions agreed in the same comparison.
#
# Output (pooling of 9 0 3 6 0 3 9 1):
#   torch: width 3, stride 3: 4, 3, 3.67
#   torch: width 3, stride 1: 4.5, 4, 3, 3, 3, 4, 4.33, 5
#   torch: width 4, stride 1: 5.25, 4.5, 2.25, 3, 4.5, 3.25, 3.5, 3
#   jax: width 3, stride 3: 4, 3, 5
#   jax: width 3, stride 1: 4.5, 4, 3, 3, 3, 4, 4.33, 5
#   jax: width 4, stride 1: 4, 4.5, 2.25, 3, 4.5, 3.25, 4.33, 5
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet keras==3.15.1 torch==2.13.0 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import os
import sys

os.environ["KERAS_BACKEND"] = sys.argv[1]
import keras
import numpy as np

signal = np.array([9, 0, 3, 6, 0, 3, 9, 1], "f4")[None, :, None]
for width, stride in ((3, 3), (3, 1), (4, 1)):
    pooled = keras.layers.AveragePooling1D(width, stride, "same")(signal)
    shown = ", ".join(f"{value:.3g}" for value in keras.ops.convert_to_numpy(pooled).ravel())
    print(f"{sys.argv[1]}: width {width}, stride {stride}: {shown}")
PY
for backend in torch jax; do OMP_NUM_THREADS=1 env/bin/python run.py $backend; done 2> /dev/null | tee seen
cat > expected <<'TXT'
torch: width 3, stride 3: 4, 3, 3.67
torch: width 3, stride 1: 4.5, 4, 3, 3, 3, 4, 4.33, 5
torch: width 4, stride 1: 5.25, 4.5, 2.25, 3, 4.5, 3.25, 3.5, 3
jax: width 3, stride 3: 4, 3, 5
jax: width 3, stride 1: 4.5, 4, 3, 3, 3, 4, 4.33, 5
jax: width 4, stride 1: 4, 4.5, 2.25, 3, 4.5, 3.25, 4.33, 5
TXT
diff expected seen
