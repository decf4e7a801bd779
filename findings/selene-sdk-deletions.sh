#!/bin/sh
# Question: which sequence does Selene's `variant_effect_prediction` (of AnalyzeSequences) give the model for the alternate allele?
#
# Guess, written before the run: the carrier's, in a window centred as the reference's is, for SNVs, insertions and deletions.
#
# Versions: selene-sdk 0.6.0, torch 2.13.0 (CPU), numpy 2.4.6, pyfaidx 0.9.2.2.
#
# Seen: for SNVs and insertions yes; no deletion is the carrier's. What is left out begins two bases too far to the right, and
# the ALT allele is put in before it: of GT>G the sequence keeps GT, gets another G, and loses the two bases after. So a deletion
# of one base is scored as a change of its neighbours. The number of bases left out is right, so the window has its width;
# `ref_match` is True and nothing is said. The two windows are also cut differently, each is centred on its own
# allele. Sei's script for variants is a run of this function.
#
# Output (a window of 12 bases; the genome around the site is TGCGTTTAGC GTAGAATCTAAG, the site its eleventh base):
#   SNV: G>A: reference TTAGCGTAGAAT, alternate TTAGCATAGAAT, of the carrier: True
#   insertion: G>GA: reference TTAGCGTAGAAT, alternate TTAGCGATAGAA, of the carrier: True
#   deletion of 1: GT>G: reference TAGCGTAGAATC, alternate TTAGCGTGAATC, of the carrier: False
#   deletion of 2: GTA>G: reference TAGCGTAGAATC, alternate TTAGCGTGATCT, of the carrier: False
#   deletion of 4: GTAGA>G: reference AGCGTAGAATCT, alternate TTAGCGTGCTAA, of the carrier: False
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
# The package asks for torch 2.3.1 at most; what it does here needs no old one.
{ python3 -m venv env && env/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 pyfaidx==0.9.2.2 cython pandas h5py scipy scikit-learn \
    matplotlib seaborn plotly statsmodels pytabix pyyaml ruamel.yaml click six 'setuptools<81' &&
    env/bin/pip install --quiet --no-deps selene-sdk==0.6.0; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import os
import random
import warnings

import torch
from selene_sdk.predict import AnalyzeSequences
from selene_sdk.sequences import Genome

warnings.simplefilter("ignore")
random.seed(0)
chromosome = "".join(random.choices("ACGT", k=200))
with open("genome.fa", "w") as out:
    out.write(f">chr1\n{chromosome}\n")
WIDTH, SITE = 12, 100  # SITE counts from 0


class Listen(torch.nn.Module):
    """Keeps the sequences it is asked about."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.heard = []

    def forward(self, x):
        self.heard += ["".join("ACGT"[i] for i in one.argmax(0)) for one in x]
        return x.sum((1, 2), keepdim=True)[:, 0] * self.weight


model = Listen()
torch.save(model.state_dict(), "weights.pth")
judge = AnalyzeSequences(model, "weights.pth", WIDTH, ["track"], reference_sequence=Genome("genome.fa"))
first = chromosome[SITE]
other = "ACGT".replace(first, "")[0]
VARIANTS = {
    "SNV": (first, other),
    "insertion": (first, first + other),
    "deletion of 1": (chromosome[SITE : SITE + 2], first),
    "deletion of 2": (chromosome[SITE : SITE + 3], first),
    "deletion of 4": (chromosome[SITE : SITE + 5], first),
}
print(f"genome around the site: {chromosome[SITE-10:SITE]} {chromosome[SITE:SITE+12]}")
for name, (ref, alt) in VARIANTS.items():
    with open("one.vcf", "w") as out:
        out.write(f"#CHROM\tPOS\tID\tREF\tALT\nchr1\t{SITE + 1}\t{name}\t{ref}\t{alt}\n")
    model.heard.clear()
    judge.variant_effect_prediction("one.vcf", ["diffs"], output_dir="out")
    carrier = chromosome[:SITE] + alt + chromosome[SITE + len(ref) :]
    seen, read = model.heard
    print(f"{name}: {ref}>{alt}: reference {seen}, alternate {read}, of the carrier: {read in carrier}")
PY
OMP_NUM_THREADS=1 env/bin/python run.py 2> /dev/null | tee seen
cat > expected <<'TXT'
genome around the site: TGCGTTTAGC GTAGAATCTAAG
SNV: G>A: reference TTAGCGTAGAAT, alternate TTAGCATAGAAT, of the carrier: True
insertion: G>GA: reference TTAGCGTAGAAT, alternate TTAGCGATAGAA, of the carrier: True
deletion of 1: GT>G: reference TAGCGTAGAATC, alternate TTAGCGTGAATC, of the carrier: False
deletion of 2: GTA>G: reference TAGCGTAGAATC, alternate TTAGCGTGATCT, of the carrier: False
deletion of 4: GTAGA>G: reference AGCGTAGAATCT, alternate TTAGCGTGCTAA, of the carrier: False
TXT
diff expected seen
