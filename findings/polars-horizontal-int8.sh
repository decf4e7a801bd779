#!/bin/sh
# Question: what are the sum and the mean of int8 dosages across people's columns in polars?
#
# Guess, written before the run: as down a column, where small integers are made 64 bits wide before they are summed,
# as the documentation of `sum` says.
#
# Versions: polars 2.1.0.
#
# Seen: `sum_horizontal` keeps 8 bits and wraps (an open issue of polars), and so does `mean_horizontal`, whose answer
# is a float that shows nothing of it: among 100 people who all have two copies of an allele its mean dosage is -0.56,
# and so it is among 200 people. From the 64th person on a frequency can be wrong, and the more common the allele, the
# more so. No warning; the documentation of both is silent. A missing call (null) does not change it. `concat_list` of
# the columns and `.list.mean()` is right.
#
# Output (everybody has two copies of the allele):
#   down a column: sum 400, mean 2.0
#   63 people across columns: sum 126, mean 2.0
#   100 people across columns: sum -56, mean -0.56
#   200 people across columns: sum -112, mean -0.56
#   200 people across columns, by concat_list: sum 400, mean 2.0
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet polars==2.1.0; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import polars as pl


def site(people):
    return pl.DataFrame({f"P{i}": [2] for i in range(people)}, schema={f"P{i}": pl.Int8 for i in range(people)})


column = pl.Series([2] * 200, dtype=pl.Int8)
print(f"down a column: sum {column.sum()}, mean {column.mean()}")
for people in (63, 100, 200):
    found = site(people).select(sum=pl.sum_horizontal(pl.all()), mean=pl.mean_horizontal(pl.all())).row(0)
    print("{} people across columns: sum {}, mean {}".format(people, *found))
listed = pl.concat_list(pl.all()).list
print("200 people across columns, by concat_list: sum {}, mean {}".format(
    *site(200).select(sum=listed.sum(), mean=listed.mean()).row(0)))
PY
env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
down a column: sum 400, mean 2.0
63 people across columns: sum 126, mean 2.0
100 people across columns: sum -56, mean -0.56
200 people across columns: sum -112, mean -0.56
200 people across columns, by concat_list: sum 400, mean 2.0
TXT
diff expected seen || { cat said >&2; exit 1; }
