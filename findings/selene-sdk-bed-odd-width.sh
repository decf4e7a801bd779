#!/bin/sh
# Question: which bases does Selene's `get_predictions` read for an interval of a BED file? Its documentation: the sequence centred
# at the interval's midpoint.
#
# Guess, written before the run: those; an interval as wide as the model is read as it stands.
#
# Versions: selene-sdk 0.6.0, torch 2.13.0 (CPU), numpy 2.4.6, pyfaidx 0.9.2.2.
#
# Seen: for a model of even width yes. For an odd width every sequence begins one base too far to the left: the interval of 13
# bases at 100 is read from 99. And at either width a single base stands one place further to the right than where
# `variant_effect_prediction` of the same object puts a variant: a table of predictions and one of variant effects do not speak
# of the same windows.
#
# Output (windows that the model was given, from 0):
#   width 12: 100-112 reads 100-112, base 103 reads 97-109, a variant there 98-110
#   width 13: 100-113 reads 99-112, base 103 reads 96-109, a variant there 97-110
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 pyfaidx==0.9.2.2 cython pandas h5py scipy scikit-learn \
    matplotlib seaborn plotly statsmodels pytabix pyyaml ruamel.yaml click six 'setuptools<81' &&
    env/bin/pip install --quiet --no-deps selene-sdk==0.6.0; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import os
import random

import torch
from selene_sdk.predict import AnalyzeSequences
from selene_sdk.sequences import Genome

random.seed(0)
chromosome = "".join(random.choices("ACGT", k=300))
with open("genome.fa", "w") as out:
    out.write(f">chr1\n{chromosome}\n")
os.mkdir("out")


class Listen(torch.nn.Module):
    """Keeps where the sequences that it is asked about come from."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.heard = []

    def forward(self, x):
        for one in x:
            start = chromosome.find("".join("ACGT"[i] for i in one.argmax(0)))
            self.heard.append(f"{start}-{start + len(one[0])}")
        return x.sum((1, 2), keepdim=True)[:, 0] * self.weight


for width in (12, 13):
    model = Listen()
    torch.save(model.state_dict(), "weights.pth")
    judge = AnalyzeSequences(model, "weights.pth", width, ["track"], reference_sequence=Genome("genome.fa"))
    with open("regions.bed", "w") as out:
        out.write(f"chr1\t100\t{100 + width}\nchr1\t103\t104\n")
    judge.get_predictions("regions.bed", output_dir="out")
    with open("one.vcf", "w") as out:
        other = "ACGT".replace(chromosome[103], "")[0]
        out.write(f"#CHROM\tPOS\tID\tREF\tALT\nchr1\t104\t.\t{chromosome[103]}\t{other}\n")
    judge.variant_effect_prediction("one.vcf", ["diffs"], output_dir="out")
    interval, base, variant = model.heard[:3]
    print(f"width {width}: 100-{100 + width} reads {interval}, base 103 reads {base}, a variant there {variant}")
PY
OMP_NUM_THREADS=1 env/bin/python run.py 2> /dev/null | tee seen
cat > expected <<'TXT'
width 12: 100-112 reads 100-112, base 103 reads 97-109, a variant there 98-110
width 13: 100-113 reads 99-112, base 103 reads 96-109, a variant there 97-110
TXT
diff expected seen
