#!/bin/sh
# An environment of its own for the judge of Borzoi: borzoi-pytorch needs a transformers that others cannot have.
set -eu
target=${1:-.verify/borzoi}
[ -x "$target/bin/python" ] || python3 -m venv "$target"
"$target/bin/pip" install --quiet torch==2.13.0
"$target/bin/pip" install --quiet borzoi-pytorch==0.5.0
