#!/bin/sh
# Question: what does kipoiseq's one_hot_dna make of a soft-masked (lower-case) sequence, as UCSC's genomes have it?
#
# Guess, written before the run: the same as of upper case; the letter is the same base.
#
# Versions: kipoiseq 0.7.1, pyfaidx 0.9.2.2.
#
# Seen: zeros, as for a letter outside the alphabet, while N gets 0.25 each. Nothing is raised. Its FastaStringExtractor
# hands lower case on unless force_upper=True, so with the defaults a model is blind in every repeat, about half of
# a human genome, and its predictions and its variants' effects there are those of a gap.
#
# Output (sums over the four channels):
#   ACGTN: 1 1 1 1 1
#   acgtn: 0 0 0 0 0
#   FastaStringExtractor: acgtACGT; with force_upper=True ACGTACGT
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet kipoiseq==0.7.1 pyfaidx==0.9.2.2 six==1.17.0; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
from kipoiseq.dataclasses import Interval
from kipoiseq.extractors import FastaStringExtractor
from kipoiseq.transforms.functional import one_hot_dna

for bases in ("ACGTN", "acgtn"):
    print(f"{bases}: " + " ".join(f"{x:g}" for x in one_hot_dna(bases).sum(1)))
with open("genome.fa", "w") as out:
    out.write(">1\nacgtACGT\n")
got = [FastaStringExtractor("genome.fa", force_upper=up).extract(Interval("1", 0, 8)) for up in (False, True)]
default = FastaStringExtractor("genome.fa").extract(Interval("1", 0, 8))
assert default == got[0]
print(f"FastaStringExtractor: {got[0]}; with force_upper=True {got[1]}")
PY
env/bin/python run.py 2> /dev/null | tee seen
cat > expected <<'TXT'
ACGTN: 1 1 1 1 1
acgtn: 0 0 0 0 0
FastaStringExtractor: acgtACGT; with force_upper=True ACGTACGT
TXT
diff expected seen
