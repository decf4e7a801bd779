#!/bin/sh
# Question: are the probabilities of a motif in MEME's minimal format the same after Biopython has read it?
#
# Guess, written before the run: yes. Counts are probability times nsites, as fractions or rounded, but `pwm` holds what the file
# says, with nsites of 1 too.
#
# Versions: biopython 1.88, numpy 2.4.6.
#
# Seen: counts are rounded to whole sites and the probabilities are not kept, so `pwm` and `pssm` depend on nsites, which the
# format makes optional (20 if it is left out). With 20, a base of 0.02 is never seen and its score is minus infinity: words with it
# are lost at every threshold, where the file's own score is -3.64. With 10, 0.05 and less is nothing. With 1, the motif is its
# consensus (and a column without a base above a half raises when it is used). Motifs from attributions and many databases come as
# probabilities with a nominal nsites. Neither the module's documentation nor a warning tells.
#
# Output (the column 0.90 0.05 0.03 0.02 after reading; score of its last base; hits of TGC in AAATGCAAA above 0):
#   nsites 1000: 0.9 0.05 0.03 0.02, score -3.64, hits 1
#   nsites 100: 0.9 0.05 0.03 0.02, score -3.64, hits 1
#   nsites 20: 0.9 0.05 0.05 0.0, score -inf, hits 0
#   no nsites: 0.9 0.05 0.05 0.0, score -inf, hits 0
#   nsites 10: 1.0 0.0 0.0 0.0, score -inf, hits 0
#   nsites 1: 1.0 0.0 0.0 0.0, score -inf, hits 0
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet biopython==1.88 numpy==2.4.6; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import io

from Bio import motifs

MEME = """MEME version 4

ALPHABET= ACGT

Background letter frequencies
A 0.25 C 0.25 G 0.25 T 0.25

MOTIF one
letter-probability matrix: alength= 4 w= 3{}
 0.90 0.05 0.03 0.02
 0.01 0.01 0.97 0.01
 0.01 0.97 0.01 0.01

"""

for nsites in (1000, 100, 20, None, 10, 1):
    motif = motifs.read(io.StringIO(MEME.format(f" nsites= {nsites} E= 0" if nsites else "")), "minimal")
    column = " ".join(f"{round(float(motif.pwm[base][0]), 3)}" for base in "ACGT")
    hits = list(motif.pssm.search("AAATGCAAA", threshold=0.0, both=False))
    label = f"nsites {nsites}" if nsites else "no nsites"
    print(f"{label}: {column}, score {float(motif.pssm['T'][0]):.2f}, hits {len(hits)}")
PY
env/bin/python -W ignore run.py | tee seen
cat > expected <<'TXT'
nsites 1000: 0.9 0.05 0.03 0.02, score -3.64, hits 1
nsites 100: 0.9 0.05 0.03 0.02, score -3.64, hits 1
nsites 20: 0.9 0.05 0.05 0.0, score -inf, hits 0
no nsites: 0.9 0.05 0.05 0.0, score -inf, hits 0
nsites 10: 1.0 0.0 0.0 0.0, score -inf, hits 0
nsites 1: 1.0 0.0 0.0 0.0, score -inf, hits 0
TXT
diff expected seen
