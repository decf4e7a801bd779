#!/bin/sh
# Question: is a fresh LoRA adapter of peft on a convolution the layer that it was put on, and does merge_and_unload
# keep the adapted outputs, where the convolution is dilated, circular, grouped?
#
# Guess, written before the run: yes; LoRA is an update of the weight, so what the layer does with its weight should not
# matter. At worst peft refuses a layer that it cannot serve.
#
# Versions: peft 0.21.2, torch 2.13.0 (CPU).
#
# Seen: the adapter's own convolution copies kernel, stride and padding of the layer, but neither its dilation nor its
# padding mode. With an explicit padding the first forward pass dies of a shape mismatch. With padding="same", or with
# another padding mode, shapes agree: it trains another network without a word, and merge_and_unload gives weights
# whose outputs differ from the adapted ones by one to three standard deviations of the output. (The fresh adapter is
# the layer, as lora_B is zero: that half of the guess was right.) Grouped convolutions train and then cannot be
# merged. The dilated towers of Basenji2 and its like are the case in the third line.
#
# Output (moved by the merge: largest change, in standard deviations of the adapted output):
#   plain: fresh is the layer, merge keeps the outputs
#   dilation 2, padding 2: RuntimeError
#   dilation 2, padding same: fresh is the layer, merge moves the outputs by more than 1 sd
#   circular: fresh is the layer, merge moves the outputs by more than 0.5 sd
#   groups 8: NotImplementedError
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet torch==2.13.0 peft==0.21.2; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import peft
import torch
from torch import nn

CASES = {
    "plain": dict(padding=1),
    "dilation 2, padding 2": dict(padding=2, dilation=2),
    "dilation 2, padding same": dict(padding="same", dilation=2),
    "circular": dict(padding=1, padding_mode="circular"),
    "groups 8": dict(padding=1, groups=8),
}


def word(moved):
    if moved < 1e-5:
        return "merge keeps the outputs"
    return f"merge moves the outputs by more than {1 if moved > 1 else 0.5 if moved > 0.5 else 0} sd"


def adapt(options):
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Conv1d(8, 8, 3, **options)), torch.randn(2, 8, 40)
    before = net(x).detach()
    adapted = peft.get_peft_model(net, peft.LoraConfig(r=8, lora_alpha=16, target_modules=["0"]))
    fresh = (adapted(x) - before).abs().max().item()
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
        trained = adapted(x)
        merged = adapted.merge_and_unload()(x)
    moved = ((merged - trained).abs().max() / trained.std()).item()
    return f"fresh is {'the layer' if fresh < 1e-6 else 'another layer'}, {word(moved)}"


for name, options in CASES.items():
    try:
        print(f"{name}: {adapt(options)}")
    except Exception as error:
        print(f"{name}: {type(error).__name__}")
PY
OMP_NUM_THREADS=1 env/bin/python run.py 2> /dev/null | tee seen
cat > expected <<'TXT'
plain: fresh is the layer, merge keeps the outputs
dilation 2, padding 2: RuntimeError
dilation 2, padding same: fresh is the layer, merge moves the outputs by more than 1 sd
circular: fresh is the layer, merge moves the outputs by more than 0.5 sd
groups 8: NotImplementedError
TXT
diff expected seen
