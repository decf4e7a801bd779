#!/bin/sh
# An environment of its own for xgboost 0.90, which reads and writes ExPecto's old .save format: $1 is its folder.
set -eu
[ -x "$1/bin/python" ] || python3 -m venv "$1"
"$1/bin/pip" install --quiet 'xgboost==0.90' 'numpy<2' scipy
