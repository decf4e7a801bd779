#!/bin/sh
# Question: a pandera schema with `drop_invalid_rows=True` checks p-values of a table that was put together from one
# table a chromosome. Which rows does it drop?
#
# Guess, written before the run: those that fail, also where the index of the table has repeated labels.
#
# Versions: pandera 0.35.0, pandas 3.1.1, numpy 2.4.6, polars 2.1.0.
#
# Seen: with pandas, all rows that share an index label with one that fails. `pd.concat` leaves each table's labels as
# they are, so that one bad variant takes the variants of the same row number on every chromosome with it; a table
# that is indexed by gene loses a gene's good variants with a bad one. All that is left is valid, so that nothing
# looks wrong. With polars only the rows that fail go. No warning.
#
# Output (two chromosomes of three variants; chromosome 1's second variant has p = 7; indexed by gene, A A B B C C):
#   pd.concat: kept 1:10 1:30 2:10 2:30
#   pd.concat, ignore_index: kept 1:10 1:30 2:10 2:20 2:30
#   indexed by gene: kept 1:30 2:10 2:20 2:30
#   polars: kept 1:10 1:30 2:10 2:20 2:30
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet --no-cache-dir pandera==0.35.0 pandas==3.1.1 numpy==2.4.6 \
    polars==2.1.0; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import pandas as pd
import pandera.pandas as for_pandas
import pandera.polars as for_polars
import polars as pl

tables = [
    pd.DataFrame({"chrom": chromosome, "pos": [10, 20, 30], "p": p_values})
    for chromosome, p_values in (("1", [0.5, 7.0, 0.1]), ("2", [0.2, 0.3, 0.4]))
]
schema = for_pandas.DataFrameSchema(
    {"p": for_pandas.Column(float, for_pandas.Check.in_range(0, 1))}, drop_invalid_rows=True
)
whole = pd.concat(tables, ignore_index=True)
for name, table in (
    ("pd.concat", pd.concat(tables)),
    ("pd.concat, ignore_index", whole),
    ("indexed by gene", whole.set_index(pd.Index(list("AABBCC")))),
):
    kept = schema.validate(table, lazy=True)
    print(f"{name}: kept {' '.join(f'{row.chrom}:{row.pos}' for row in kept.itertuples())}")
columns = {name: whole[name].to_list() for name in whole}
schema = for_polars.DataFrameSchema(
    {"p": for_polars.Column(float, for_polars.Check.in_range(0, 1))}, drop_invalid_rows=True
)
kept = schema.validate(pl.DataFrame(columns), lazy=True)
print(f"polars: kept {' '.join(f'{chrom}:{pos}' for chrom, pos in kept.select('chrom', 'pos').iter_rows())}")
PY
env/bin/python run.py | tee seen
cat > expected <<'TXT'
pd.concat: kept 1:10 1:30 2:10 2:30
pd.concat, ignore_index: kept 1:10 1:30 2:10 2:20 2:30
indexed by gene: kept 1:30 2:10 2:20 2:30
polars: kept 1:10 1:30 2:10 2:20 2:30
TXT
diff expected seen
