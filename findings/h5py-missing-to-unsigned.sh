#!/bin/sh
# Question: what becomes of missing genotypes (-1, -9, NaN) that are written to, or read as, an unsigned type with h5py?
#
# Guess, written before the run: an error, or they wrap as NumPy's `astype` has it (255), so that they can be told from calls.
#
# Versions: h5py 3.16.0, numpy 2.4.6.
#
# Seen: they are 0, the homozygous reference. HDF5 converts by cutting to the range of the type: everything below 0 is 0, NaN too.
# It happens on writing, in `create_dataset(data, dtype)`, on reading through `astype` and in `read_direct`, without an error
# or a warning (Python ran with all warnings as errors). zarr, given the same, wraps like NumPy. Values that are too large become
# the largest, so a depth of 300 is 255. h5py's pages on datasets and `astype` speak of HDF5's conversion, not of this.
#
# Output (calls 0, 1, 2, -1, -9, 1):
#   numpy: [0, 1, 2, 255, 247, 1]
#   written to uint8: [0, 1, 2, 0, 0, 1]
#   create_dataset(data, dtype): [0, 1, 2, 0, 0, 1]
#   read with astype: [0, 1, 2, 0, 0, 1]
#   read_direct: [0, 1, 2, 0, 0, 1]
#   dosages with NaN written to uint8: [0, 1, 2, 0, 0, 1]
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet h5py==3.16.0 numpy==2.4.6; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import h5py
import numpy as np

calls = np.array([0, 1, 2, -1, -9, 1], "i4")  # two of them missing
dosages = np.array([0, 1, 2, np.nan, np.nan, 1.9])
print(f"numpy: {calls.astype('u1').tolist()}")
with h5py.File("calls.h5", "w") as file:
    whole = file.create_dataset("whole", data=calls)
    small = file.create_dataset("small", calls.shape, "u1")
    small[...] = calls
    print(f"written to uint8: {small[...].tolist()}")
    made = file.create_dataset("made", data=calls, dtype="u1")
    print(f"create_dataset(data, dtype): {made[...].tolist()}")
    print(f"read with astype: {whole.astype('u1')[...].tolist()}")
    room = np.zeros(calls.shape, "u1")
    whole.read_direct(room)
    print(f"read_direct: {room.tolist()}")
    small[...] = dosages
    print(f"dosages with NaN written to uint8: {small[...].tolist()}")
PY
env/bin/python -W error run.py | tee seen
cat > expected <<'TXT'
numpy: [0, 1, 2, 255, 247, 1]
written to uint8: [0, 1, 2, 0, 0, 1]
create_dataset(data, dtype): [0, 1, 2, 0, 0, 1]
read with astype: [0, 1, 2, 0, 0, 1]
read_direct: [0, 1, 2, 0, 0, 1]
dosages with NaN written to uint8: [0, 1, 2, 0, 0, 1]
TXT
diff expected seen
