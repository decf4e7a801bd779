#!/bin/sh
# Question: `WeightMatrix.log_odds(background=...)` of lightmotif makes a scoring matrix against the frequencies of the
# genome at hand. Which scores has a motif of A and T in a genome that is rich in A and T?
#
# Guess (not written down; the comparison was planned): log2(p / background), so lower than against equal frequencies.
#
# Versions: lightmotif 0.10.1.
#
# Seen: the background is not used: the scores are those against 1/4 each. Every
# threshold, hit and p-value that follows from them is one for another genome: here an A scores 1.81 where it should
# score 1.13, a C -1.24 where it should score 0.08. Frequencies that do not add up to 1 raise an error, so they are
# read. The description says that the matrix is rescaled by them. No warning.
#
# Output (A T A T G, log2; without background, with it, and log2(p / background) by hand; scores of the first base A C
# G T, then of the words ATATG and GCGCG):
#   none: 1.81 -1.24 -4.70 -4.70; ATATG 9.04, GCGCG -10.08
#   A and T 0.4: 1.81 -1.24 -4.70 -4.70; ATATG 9.04, GCGCG -10.08
#   by hand: 1.13 0.08 -3.38 -5.38; ATATG 7.65, GCGCG -3.47
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet --no-cache-dir lightmotif==0.10.1; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import math

import lightmotif

SITES, PSEUDOCOUNT = ["ATATG"] * 9 + ["CCCCC"], 0.1
COLUMNS = "ACTG"  # lightmotif's order
BACKGROUND = {"A": 0.4, "C": 0.1, "G": 0.1, "T": 0.4}
counts = {base: [sum(site[i] == base for site in SITES) for i in range(5)] for base in "ACGT"}
weights = lightmotif.CountMatrix(counts).normalize(PSEUDOCOUNT)


def told(name, rows):
    def score(word):
        return sum(row[base] for row, base in zip(rows, word))

    first = " ".join(f"{rows[0][base]:.2f}" for base in "ACGT")
    print(f"{name}: {first}; ATATG {score('ATATG'):.2f}, GCGCG {score('GCGCG'):.2f}")


for name, background in (("none", None), ("A and T 0.4", BACKGROUND)):
    told(name, [dict(zip(COLUMNS, row)) for row in weights.log_odds(background=background)])
total = len(SITES) + 4 * PSEUDOCOUNT
told(
    "by hand",
    [
        {base: math.log2((counts[base][i] + PSEUDOCOUNT) / total / BACKGROUND[base]) for base in "ACGT"}
        for i in range(5)
    ],
)
PY
env/bin/python run.py | tee seen
cat > expected <<'TXT'
none: 1.81 -1.24 -4.70 -4.70; ATATG 9.04, GCGCG -10.08
A and T 0.4: 1.81 -1.24 -4.70 -4.70; ATATG 9.04, GCGCG -10.08
by hand: 1.13 0.08 -3.38 -5.38; ATATG 7.65, GCGCG -3.47
TXT
diff expected seen
