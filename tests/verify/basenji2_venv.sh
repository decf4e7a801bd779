#!/bin/sh
# Make an environment with the judges of the Basenji2 port: basenji2-pytorch, and Keras on torch.
# Usage: tests/verify/basenji2_venv.sh .verify/basenji2
set -eu
target=${1:?give the folder of the environment}
"${PYTHON:-python3}" -m venv "$target"
"$target/bin/pip" install --quiet torch==2.13.0
"$target/bin/pip" install --quiet basenji2-pytorch==0.1.2 'setuptools<81' keras h5py
