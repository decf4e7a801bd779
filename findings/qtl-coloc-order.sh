#!/bin/sh
# Question: does `qtl.coloc.abf` need the two tables of variants in the same order, as coloc.abf of R, given
# identifiers, does not?
#
# Guess: no; variants are paired by their identifiers. (Held, not written down, before the package's code was read;
# the code was read before the run.)
#
# Versions: qtl 0.1.10, numpy 2.4.6, pandas 2.3.3, scipy 1.17.1, statsmodels 0.15.0.
#
# Seen: yes. The column of identifiers is not looked at: variants are paired by the tables' indexes, so that of two
# tables with the default index the first row goes with the first one. One shared causal variant becomes two different
# ones (H3 for H4) when the second table has another order, or lacks variants above it. With identifiers as the index
# the five posteriors are right, but the table beside them, which says of each variant how probable it is as the
# shared one, is still paired by row. No error, no warning. The docstring names columns of effects and says nothing of
# order or identifiers.
#
# Output (50 variants, v10 causal for both traits; posteriors of H3, two variants, and H4, one, and the variant of the
# highest posterior in the table):
#   same order: H3 0.00, H4 1.00
#   second table sorted the other way: H3 1.00, H4 0.00
#   second table lacks v3 and v4: H3 1.00, H4 0.00
#   identifiers as index: H3 0.00, H4 1.00; best row pairs z 8.6 with z 7.1
#   identifiers as index, sorted the other way: H3 0.00, H4 1.00; best row pairs z 8.6 with z 1.2
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet qtl==0.1.10 numpy==2.4.6 pandas==2.3.3 scipy==1.17.1 \
    statsmodels==0.15.0; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import numpy as np
import pandas as pd
from qtl import coloc

rng = np.random.default_rng(0)


def trait(effect):
    beta = rng.normal(0, 0.05, 50)
    beta[10] = effect
    return pd.DataFrame({"variant_id": [f"v{i}" for i in range(50)], "beta": beta, "beta_se": 0.07, "maf": 0.3})


def found(one, two):
    posteriors, table = coloc.abf(one, two, N=300, sdy=1.0)
    best = table.loc[table.snp_pp_h4.idxmax()]
    return (f"H3 {posteriors.pp_h3_abf:.2f}, H4 {posteriors.pp_h4_abf:.2f}",
            f"; best row pairs z {best.z_1:.1f} with z {best.z_2:.1f}")


first, second = trait(0.6), trait(0.5)
print("same order:", found(first, second)[0])
print("second table sorted the other way:", found(first, second[::-1].reset_index(drop=True))[0])
print("second table lacks v3 and v4:", found(first, second.drop(index=[3, 4]).reset_index(drop=True))[0])
first, second = first.set_index("variant_id"), second.set_index("variant_id")
print("identifiers as index: " + "".join(found(first, second)))
print("identifiers as index, sorted the other way: " + "".join(found(first, second[::-1])))
PY
OMP_NUM_THREADS=1 env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
same order: H3 0.00, H4 1.00
second table sorted the other way: H3 1.00, H4 0.00
second table lacks v3 and v4: H3 1.00, H4 0.00
identifiers as index: H3 0.00, H4 1.00; best row pairs z 8.6 with z 7.1
identifiers as index, sorted the other way: H3 0.00, H4 1.00; best row pairs z 8.6 with z 1.2
TXT
diff expected seen || { cat said >&2; exit 1; }
