#!/bin/sh
# Question: do Captum's DeepLift attributions of a convolutional sequence model add up to the difference of its two
# outputs, and is the user told where they cannot?
#
# Guess, written before the run: yes for layers on its list (ReLU, MaxPool1d), to rounding; for GELU, which is not on
# it, a warning or an error that there is no rule.
#
# Versions: captum 0.9.0, torch 2.13.0 (CPU), tangermeme 1.6.0; Captum in float64.
#
# Seen: MaxPool1d alone adds up and ReLU alone adds up; together, in either order, they do not: the worst sum is off by
# 0.87 of the largest output difference. MaxPool1d with overlapping windows (kernel 3, stride 1) is off alone, by 0.69.
# GELU and SiLU get the plain gradient (off by 0.25 and 0.16), and no warning names them: the ones printed are about
# hooks and gradients. Only return_convergence_delta=True shows any of this. On the same nets tangermeme 1.6.0's
# deep_lift_shap adds up to rounding in float32, GELU and overlapping pools too. (Pools have been reported to Captum
# before; advice there is to use no layer twice, and here each is used once.)
#
# Output (off: the worst sum of 4 sequences is wrong by more than 1e-12 of the largest difference, 1e-5 in float32):
#   ReLU: Captum adds up, tangermeme adds up
#   MaxPool 2: Captum adds up, tangermeme adds up
#   ReLU, MaxPool 2: Captum off, tangermeme adds up
#   MaxPool 2, ReLU: Captum off, tangermeme adds up
#   MaxPool 3 stride 1: Captum off, tangermeme adds up
#   GELU: Captum off, tangermeme adds up
#   SiLU: Captum off, tangermeme adds up
#   warnings that name a layer without a rule: 0
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet torch==2.13.0 captum==0.9.0 tangermeme==1.6.0; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import warnings

import torch
from captum.attr import DeepLift
from tangermeme.deep_lift_shap import deep_lift_shap
from torch import nn

LAYERS = {
    "ReLU": lambda: [nn.ReLU()],
    "MaxPool 2": lambda: [nn.MaxPool1d(2)],
    "ReLU, MaxPool 2": lambda: [nn.ReLU(), nn.MaxPool1d(2)],
    "MaxPool 2, ReLU": lambda: [nn.MaxPool1d(2), nn.ReLU()],
    "MaxPool 3 stride 1": lambda: [nn.MaxPool1d(3, 1)],
    "GELU": lambda: [nn.GELU()],
    "SiLU": lambda: [nn.SiLU()],
}


def one_hot(seed, dtype):
    bases = torch.randint(0, 4, (4, 40), generator=torch.Generator().manual_seed(seed))
    return torch.eye(4, dtype=dtype)[bases].permute(0, 2, 1).contiguous()  # (4, 4, 40)


def build(layers, dtype):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv1d(4, 16, 5), *layers, nn.Flatten(), nn.LazyLinear(1)).eval()
    net(one_hot(1, torch.float32))
    return net.to(dtype)


def share(net, attributions, x, reference):
    with torch.no_grad():
        difference = (net(x) - net(reference)).squeeze(1)
    return ((attributions.sum((1, 2)) - difference).abs().max() / difference.abs().max()).item()


named = 0
for name, layers in LAYERS.items():
    net, x, reference = build(layers(), torch.float64), one_hot(1, torch.float64), one_hot(2, torch.float64)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        error = share(net, DeepLift(net).attribute(x, reference), x, reference)
    named += sum("GELU" in str(w.message) or "SiLU" in str(w.message) for w in caught)
    net, x, reference = build(layers(), torch.float32), one_hot(1, torch.float32), one_hot(2, torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = deep_lift_shap(net, x, references=reference[:, None], device="cpu")
        small = share(net, theirs, x, reference)
    print(f"{name}: Captum {'adds up' if error < 1e-12 else 'off'}, tangermeme {'adds up' if small < 1e-5 else 'off'}")
print(f"warnings that name a layer without a rule: {named}")
PY
OMP_NUM_THREADS=1 env/bin/python run.py 2> /dev/null | tee seen
cat > expected <<'TXT'
ReLU: Captum adds up, tangermeme adds up
MaxPool 2: Captum adds up, tangermeme adds up
ReLU, MaxPool 2: Captum off, tangermeme adds up
MaxPool 2, ReLU: Captum off, tangermeme adds up
MaxPool 3 stride 1: Captum off, tangermeme adds up
GELU: Captum off, tangermeme adds up
SiLU: Captum off, tangermeme adds up
warnings that name a layer without a rule: 0
TXT
diff expected seen
