#!/bin/sh
# Question: what does xarray's `to_zarr(append_dim=...)` do where the numbers that are appended are of another type than
# those in the store, dosages behind hard calls for instance?
#
# Guess, written before the run: the newest version refuses it, as names that are longer than the stored ones are
# refused. (That an older one, 2025.3.0, turns numbers into the stored type was seen in passing.)
#
# Versions: xarray 2026.9.0, zarr 3.1.6, numpy 2.4.6, pandas 3.1.1, dask 2026.8.0.
#
# Seen: names are refused, numbers are turned into the stored type. Dosages behind int8 calls are rounded (with a
# SerializationWarning, of a missing _FillValue). Integers that do not fit are wrapped without a word: -1 for a missing
# call is 255 behind uint8, 300 reads behind int8 are 44. `to_zarr(region=...)` does the same.
#
# Output (stored type, appended type and values: what is read):
#   int8, float32 0.2 0.6 1.9: int8 0 1 2, SerializationWarning
#   uint8, int8 0 1 -1: uint8 0 1 255, no warning
#   int8, int16 1 2 300: int8 1 2 44, no warning
#   <U2, <U4 P100: ValueError
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet xarray==2026.9.0 zarr==3.1.6 numpy==2.4.6 pandas==3.1.1 \
    dask==2026.8.0; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import warnings

import numpy as np
import xarray as xr


def appended(values, dtype, first):
    parts = [xr.Dataset({"x": (("variant", "person"), np.array([v], t))}) for v, t in (first, (values, dtype))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of metadata, and of texts
        parts[0].to_zarr("x.zarr", mode="w", consolidated=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            parts[1].to_zarr("x.zarr", append_dim="variant", consolidated=False)
        except ValueError:
            return "ValueError"
    said = {w.category.__name__ for w in caught} & {"SerializationWarning", "RuntimeWarning"}
    read = xr.open_zarr("x.zarr", consolidated=False).x
    return f"{read.dtype} {' '.join(str(v) for v in read.values[1])}, {' '.join(sorted(said)) or 'no warning'}"


for first, dtype, values in (
    ("int8", "float32", [0.2, 0.6, 1.9]), ("uint8", "int8", [0, 1, -1]), ("int8", "int16", [1, 2, 300])):
    print(f"{first}, {dtype} {' '.join(str(v) for v in values)}: {appended(values, dtype, ([0, 1, 2], first))}")
print(f"<U2, <U4 P100: {appended(['P100'], '<U4', (['P1'], '<U2'))}")
PY
env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
int8, float32 0.2 0.6 1.9: int8 0 1 2, SerializationWarning
uint8, int8 0 1 -1: uint8 0 1 255, no warning
int8, int16 1 2 300: int8 1 2 44, no warning
<U2, <U4 P100: ValueError
TXT
diff expected seen
