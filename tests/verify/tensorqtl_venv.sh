#!/bin/sh
# Make an environment with the judge of the eQTL mapping: tensorQTL, with what a clean install lacks.
# Usage: tests/verify/tensorqtl_venv.sh .verify/tensorqtl
set -eu
target=${1:?give the folder of the environment}
[ -x "$target/bin/python" ] || "${PYTHON:-python3}" -m venv "$target"
"$target/bin/pip" install --quiet torch==2.13.0
"$target/bin/pip" install --quiet tensorqtl==1.0.10 pandas-plink 'numpy<2' 'pyarrow<20'
