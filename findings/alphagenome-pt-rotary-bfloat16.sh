#!/bin/sh
# Question: are the rotary positions of alphagenome-pt's transformer exact under its default precision policy?
#
# Guess, written before the run: positions and angles stay float32, as in most programs with rotary embeddings; only
# products are bfloat16.
#
# Versions: alphagenome-pt 1.0.0, torch 2.13.0 (CPU).
#
# Seen: positions are counted in the type of the queries, which is bfloat16 by default. bfloat16 holds whole numbers up to 256
# only, so from position 256 on (32,768 bases, at 128 bases a position) neighbours share a rotation in pairs; of the 8,191
# pairs of neighbours of a window of 1 Mb only one in 9 differs. In float32 all differ. What the model's authors'
# own program does was not looked at.
#
# Output (1,024 positions are 131,072 bases, 8,192 are 1 Mb):
#   1024 positions: neighbours with the same rotation: float32 0, bfloat16 511
#   8192 positions: neighbours with the same rotation: float32 0, bfloat16 7295
#   the queries of the default policy are torch.bfloat16
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet alphagenome-pt==1.0.0 torch==2.13.0; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import torch
from alphagenome_pt import HeadName, attention, small_alphagenome, synthetic_metadata

torch.manual_seed(0)
query = torch.randn(128)


def same(positions, kind):
    rows = query.to(kind).expand(1, positions, 1, 128)
    turned = attention.apply_rope(rows, None, max_position=8192)[0, :, 0].float()
    return int((turned[1:] == turned[:-1]).all(1).sum())


for positions in (1024, 8192):
    found = {str(kind).split(".")[1]: same(positions, kind) for kind in (torch.float32, torch.bfloat16)}
    print(f"{positions} positions: neighbours with the same rotation: " + ", ".join(f"{k} {n}" for k, n in found.items()))

kinds, given = set(), attention.apply_rope
attention.apply_rope = lambda rows, *rest, **named: (kinds.add(str(rows.dtype)), given(rows, *rest, **named))[1]
model = small_alphagenome(synthetic_metadata(heads=[HeadName.CAGE], num_organisms=1), num_channels=24).eval()
model.predict(torch.nn.functional.one_hot(torch.randint(0, 4, (1, 2048)), 4).float(), 0)
print("the queries of the default policy are", ", ".join(sorted(kinds)))
PY
env/bin/python run.py 2> /dev/null | tee seen
cat > expected <<'TXT'
1024 positions: neighbours with the same rotation: float32 0, bfloat16 511
8192 positions: neighbours with the same rotation: float32 0, bfloat16 7295
the queries of the default policy are torch.bfloat16
TXT
diff expected seen
