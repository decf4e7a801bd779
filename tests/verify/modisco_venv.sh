#!/bin/sh
# A folder with modisco-lite, and with what it imports beside hapsight's own packages: it runs inside of the
# tests' own Python. Usage: tests/verify/modisco_venv.sh .verify/modisco
set -eu
target=${1:?give the folder}
"${PYTHON:-.venv/bin/python}" -m pip install --quiet --upgrade --no-deps --target "$target" \
  modisco-lite==3.0.0 hdf5plugin==7.1.0 igraph==1.0.0 leidenalg==0.11.0 texttable==1.7.2 \
  logomaker==0.8.7 memelite==0.5.0 numba-progress==1.2.0 pandas==3.1.1 python-dateutil==4.0.0 tqdm==4.70.1 \
  matplotlib==3.11.2 contourpy==1.3.3 cycler==0.12.1 fonttools==4.68.0 kiwisolver==1.5.1 pillow==13.0.0 \
  pyfaidx==0.9.2.2 pyparsing==3.3.3
