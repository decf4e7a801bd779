#!/bin/sh
# A folder with the judge of the gradients, captum, and with what it imports beside torch: it judges inside of
# the tests' own Python, so it needs no torch of its own. Usage: tests/verify/captum_venv.sh .verify/captum
set -eu
target=${1:?give the folder}
"${PYTHON:-.venv/bin/python}" -m pip install --quiet --upgrade --no-deps --target "$target" \
  captum==0.9.0 matplotlib==3.11.2 contourpy==1.3.3 cycler==0.12.1 fonttools==4.68.0 kiwisolver==1.5.1 \
  pillow==13.0.0 pyparsing==3.3.3
