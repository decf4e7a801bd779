#!/bin/sh
# An environment of its own for Snakemake, which runs examples/snakemake: $1 is its folder.
set -eu
[ -x "$1/bin/python" ] || python3 -m venv "$1"
"$1/bin/pip" install --quiet 'snakemake>=9'
