#!/bin/sh
# Make an environment with GenVarLoader, the newest that PyPI has.
# Usage: benchmarks/peers/genvarloader_venv.sh .peers/genvarloader
set -eu
target=${1:?give the folder of the environment}
[ -x "$target/bin/python" ] || "${PYTHON:-python3}" -m venv "$target"
"$target/bin/pip" install --quiet --upgrade genvarloader
