#!/bin/sh
# Question: dosages of chromosome 2 are appended to the zarr of chromosome 1 (`to_zarr(append_dim="variant")`). What
# does xarray do where the people are the same, in another order, or others altogether?
#
# Guess, written before the run: the newest version refuses it. (That an older one, 2025.3.0, does not was seen in
# passing.)
#
# Versions: xarray 2026.9.0, zarr 3.1.6, numpy 2.4.6, pandas 3.1.1, dask 2026.8.0.
#
# Seen: neither refused nor put in order. The names in the store are replaced by those of what is appended, the
# dosages that were there stay where they are: chromosome 1 of A is now chromosome 1 of C. With other people of the
# same number, they have the first people's chromosome. mode="a-" keeps the first names, so that the appended part is
# wrong instead. (The description of the default mode "a" says that coordinates are overridden.) `xr.concat` matches
# people by name. No warning.
#
# Output (A, B and C have the dosages 0, 1, 2 on both chromosomes; C A B: appended in that order):
#   append C A B: C has 0 2, A has 1 0, B has 2 1
#   append D E F: D has 0 0, E has 1 1, F has 2 2
#   append C A B, mode a-: A has 0 2, B has 1 0, C has 2 1
#   concat C A B: A has 0 0, B has 1 1, C has 2 2
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

warnings.filterwarnings("ignore", category=FutureWarning)
warnings.filterwarnings("ignore", message=".*zarr v3.*|.*Zarr format 3.*")


def dosages(variant, people, values):
    coordinates = {"variant": [variant], "person": np.array(people, dtype=object)}
    return xr.Dataset({"dosage": (("variant", "person"), np.array([values]))}, coords=coordinates)


def told(data):
    rows = zip(data.person.values, data.dosage.values.T.tolist())
    return ", ".join(f"{person} has {' '.join(str(d) for d in row)}" for person, row in rows)


def appended(people, values, **options):
    dosages("1:10", ["A", "B", "C"], [0, 1, 2]).to_zarr("x.zarr", mode="w")
    dosages("2:10", people, values).to_zarr("x.zarr", append_dim="variant", **options)
    return told(xr.open_zarr("x.zarr").load())


print("append C A B: " + appended(["C", "A", "B"], [2, 0, 1]))
print("append D E F: " + appended(["D", "E", "F"], [0, 1, 2]))
print("append C A B, mode a-: " + appended(["C", "A", "B"], [2, 0, 1], mode="a-"))
parts = [dosages("1:10", ["A", "B", "C"], [0, 1, 2]), dosages("2:10", ["C", "A", "B"], [2, 0, 1])]
print("concat C A B: " + told(xr.concat(parts, "variant", join="outer").sortby("person")))
PY
env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
append C A B: C has 0 2, A has 1 0, B has 2 1
append D E F: D has 0 0, E has 1 1, F has 2 2
append C A B, mode a-: A has 0 2, B has 1 0, C has 2 1
concat C A B: A has 0 0, B has 1 1, C has 2 2
TXT
diff expected seen
