#!/bin/sh
# Question: which variants does `GenotypeIndexer.get_genotype_window("chr1:20-40")` of the package qtl give?
#
# Guess: those from 20 to 40, both ends included. (Held, not written down, before the package's code was read; the
# code was read before the run.)
#
# Versions: qtl 0.1.10, numpy 2.4.6, pandas 2.3.3, scipy 1.17.1, statsmodels 0.15.0.
#
# Seen: those, unless the last variant of the chromosome is among them: it is left out. A gene at the end of a
# chromosome, or of a file that holds one region, loses the variant at the edge, and a chromosome of one variant gives
# none. No warning but pandas' own, of how the index is used.
#
# Output (variants at 10, 20, 30, 40 of chr1 and 10 of chr2):
#   chr1:10-30: 10 20 30
#   chr1:20-40: 20 30
#   chr1:1-1000: 10 20 30
#   chr2:1-1000: none
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet qtl==0.1.10 numpy==2.4.6 pandas==2.3.3 scipy==1.17.1 \
    statsmodels==0.15.0; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import numpy as np
import pandas as pd
from qtl.genotype import GenotypeIndexer

sites = pd.DataFrame({"chrom": ["chr1"] * 4 + ["chr2"], "pos": [10, 20, 30, 40, 10]}, index=list("abcde"))
calls = pd.DataFrame(np.ones((5, 2)), index=sites.index, columns=["P1", "P2"])
indexer = GenotypeIndexer(calls, sites)
for window in ("chr1:10-30", "chr1:20-40", "chr1:1-1000", "chr2:1-1000"):
    found = indexer.get_genotype_window(window).index
    print(f"{window}:", *sites.pos[found] if len(found) else ["none"])
PY
OMP_NUM_THREADS=1 env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
chr1:10-30: 10 20 30
chr1:20-40: 20 30
chr1:1-1000: 10 20 30
chr2:1-1000: none
TXT
diff expected seen || { cat said >&2; exit 1; }
