#!/bin/sh
# Question: which score does gseapy's `ssgsea` give a gene set that a sample does not express at all, among other genes
# that it does not express either?
#
# Guess, written before the run: the order of the genes in the table does not matter; (not written:) tied genes share a
# rank, so the scores are those of a set spread over the unexpressed genes.
#
# Versions: gseapy 1.3.1, pandas 2.3.3, numpy 2.4.6, scipy 1.17.1.
#
# Seen: the ranks are shared, but the walk down the list takes tied genes one by one, in the reverse of their order in
# the table. The set at the top of the table comes last and the set at its bottom first, so that of two sets of zeros
# one has a clearly negative and one a positive score, and turning the table round swaps them: what differs is where
# the genes stand in the annotation. Of counts and TPM about half are zeros, and genes of a family (HOX, olfactory
# receptors) stand together. `prerank` warns of tied values, `ssgsea` does not.
#
# Output (400 genes, 250 of them 0; sets of 20 unexpressed genes at the top, in the middle and at the bottom of these;
# at last the mean over 200 tables with a tiny noise on the zeros):
#   as it is: top -200.0, middle -78.9, bottom 42.1
#   turned round: top 42.1, middle -78.9, bottom -200.0
#   zeros in random order: top -68, middle -65, bottom -65
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet --no-cache-dir gseapy==1.3.1 pandas==2.3.3 numpy==2.4.6 \
    scipy==1.17.1; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import gseapy
import numpy as np
import pandas as pd

UNEXPRESSED, EXPRESSED = 250, 150
genes = [f"g{i}" for i in range(UNEXPRESSED + EXPRESSED)]
zeros = genes[:UNEXPRESSED]
sets = {"top": zeros[:20], "middle": zeros[115:135], "bottom": zeros[-20:]}
values = np.concatenate([np.zeros(UNEXPRESSED), np.arange(1.0, EXPRESSED + 1)])
table = pd.DataFrame({"sample": values}, index=genes)


def told(name, data):
    found = gseapy.ssgsea(data=data, gene_sets=sets, outdir=None, min_size=5, seed=1).res2d.set_index("Term").ES
    print(f"{name}: " + ", ".join(f"{term} {found[term]:.1f}" for term in sets))


told("as it is", table)
told("turned round", table.iloc[::-1])
rng = np.random.default_rng(1)
drawn = []
for _ in range(200):
    noisy = table + 1e-6 * rng.random(table.shape)
    drawn.append(gseapy.ssgsea(data=noisy, gene_sets=sets, outdir=None, min_size=5).res2d.set_index("Term").ES)
drawn = pd.DataFrame(drawn).astype(float)
print("zeros in random order: " + ", ".join(f"{term} {drawn[term].mean():.0f}" for term in sets))
PY
env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
as it is: top -200.0, middle -78.9, bottom 42.1
turned round: top 42.1, middle -78.9, bottom -200.0
zeros in random order: top -68, middle -65, bottom -65
TXT
diff expected seen
