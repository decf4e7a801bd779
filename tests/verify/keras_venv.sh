#!/bin/sh
# Make an environment with the judge of the Xpresso port: Keras on torch.
# Usage: tests/verify/keras_venv.sh .verify/keras
set -eu
target=${1:?give the folder of the environment}
[ -x "$target/bin/python" ] || "${PYTHON:-python3}" -m venv "$target"
"$target/bin/pip" install --quiet torch==2.13.0
"$target/bin/pip" install --quiet keras h5py
