#!/bin/sh
# A folder with Triton, whose interpreter runs the GPU's kernels on a CPU, and with a numpy that it works with.
# It is imported by the tests' own Python, which has torch. Usage: tests/verify/triton_venv.sh .verify/triton
set -eu
target=${1:?give the folder}
"${PYTHON:-.venv/bin/python}" -m pip install --quiet --upgrade --no-deps --target "$target" triton==3.6.0 numpy==2.2.6
