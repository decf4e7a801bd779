#!/bin/sh
# Make an environment with the judge of the Enformer port: enformer-pytorch.
# Usage: tests/verify/enformer_venv.sh .verify/enformer
set -eu
target=${1:?give the folder of the environment}
"${PYTHON:-python3}" -m venv "$target"
"$target/bin/pip" install --quiet torch==2.13.0
"$target/bin/pip" install --quiet enformer-pytorch==0.8.12
