#!/bin/sh
# Question: what does alphagenome-pt do where the model has more tracks of an output than the file of weights?
#
# Guess, not written down before the run: an error that names the shapes, or at least a warning.
#
# Versions: alphagenome-pt 1.0.0, torch 2.13.0 (CPU), safetensors 0.8.0.
#
# Seen: no error and no warning. The tracks of the file fill the first places, the others keep the random numbers they were
# built with, and the answer says that no key is missing or unexpected. So a list of tracks that does not belong to the
# weights gives numbers for every track; the last ones mean nothing.
#
# Output (narrow models; a file of 4 CAGE tracks, a model of 6):
#   missing 0, unexpected 0, warnings 0
#   CAGE weights as in the file: tracks 1 to 4 of 6
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet alphagenome-pt==1.0.0 torch==2.13.0 safetensors==0.8.0; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import pathlib
import warnings

import torch
from alphagenome_pt import HeadName, load_deepmind_state, small_alphagenome, synthetic_metadata
from safetensors.torch import save_file


def model(tracks):
    torch.manual_seed(tracks)
    heads = synthetic_metadata(heads=[HeadName.CAGE], num_organisms=2, num_tracks=tracks)
    return small_alphagenome(heads, num_channels=24)


four, six = model(4), model(6)
folder = pathlib.Path("weights")
folder.mkdir()
save_file({key: value.contiguous() for key, value in four.state_dict().items()}, folder / "four.safetensors")
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    found = load_deepmind_state(six, local_dir=folder, local_filename="four.safetensors")
print(f"missing {len(found.missing_keys)}, unexpected {len(found.unexpected_keys)}, warnings {len(said)}")
ours, theirs = six.state_dict(), four.state_dict()
same = set(range(6))
for key, value in theirs.items():
    if ours[key].shape != value.shape:
        axis = next(i for i, (a, b) in enumerate(zip(ours[key].shape, value.shape)) if a != b)
        pairs = zip(ours[key].unbind(axis), value.unbind(axis))
        same &= {place for place, (a, b) in enumerate(pairs) if torch.equal(a, b)}
print(f"CAGE weights as in the file: tracks {min(same) + 1} to {max(same) + 1} of 6")
PY
env/bin/python run.py 2> /dev/null | tee seen
cat > expected <<'TXT'
missing 0, unexpected 0, warnings 0
CAGE weights as in the file: tracks 1 to 4 of 6
TXT
diff expected seen
