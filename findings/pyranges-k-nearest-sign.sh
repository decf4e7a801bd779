#!/bin/sh
# Question: which sign does pyranges' `k_nearest` give the distance to an interval that touches (is book-ended with)
# the one that is asked about?
#
# Guess, written before the run: as for all others, negative upstream and positive downstream of the interval, by its
# strand; 0 where they overlap.
#
# Versions: pyranges 0.1.7 (sorted_nearest 0.0.42, ncls 0.0.71), pandas 2.3.3, numpy 2.4.6.
#
# Seen: a touching interval has the sign of the other side where it lies to the left: 1 on the plus strand, where it
# is upstream, and -1 on the minus strand, where it is downstream. Asked with how="upstream", it is found, with a
# positive distance. One base of space between them, and the sign is right. Tiles of a genome touch, so the tile
# before every gene on the plus strand counts as behind it. No warning.
#
# Output (a gene at 100-200; distance if it is on the plus strand, on the minus strand, then upstream only):
#   at 80-90: plus -11, minus 11; upstream of plus -11
#   at 80-99: plus -2, minus 2; upstream of plus -2
#   at 80-100: plus 1, minus -1; upstream of plus 1
#   at 150-160: plus 0, minus 0; upstream of plus 0
#   at 200-210: plus 1, minus -1; upstream of minus -1
#   at 201-210: plus 2, minus -2; upstream of minus -2
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet pyranges==0.1.7 sorted_nearest==0.0.42 ncls==0.0.71 \
    pandas==2.3.3 numpy==2.4.6; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import pandas as pd
import pyranges as pr

genes = pr.PyRanges(pd.DataFrame({
    "Chromosome": "1", "Start": [100, 100], "End": [200, 200], "Strand": ["+", "-"], "Name": ["plus", "minus"]}))
for start, end in ((80, 90), (80, 99), (80, 100), (150, 160), (200, 210), (201, 210)):
    other = pr.PyRanges(pd.DataFrame({"Chromosome": "1", "Start": [start], "End": [end], "Strand": "+"}))
    found = [genes.k_nearest(other, k=1, how=how).df for how in (None, "upstream")]
    either, upstream = (dict(zip(table.Name, table.Distance)) for table in found)
    first = next(iter(upstream))
    print(f"at {start}-{end}: plus {either['plus']}, minus {either['minus']}; upstream of {first} {upstream[first]}")
PY
env/bin/python run.py | tee seen
cat > expected <<'TXT'
at 80-90: plus -11, minus 11; upstream of plus -11
at 80-99: plus -2, minus 2; upstream of plus -2
at 80-100: plus 1, minus -1; upstream of plus 1
at 150-160: plus 0, minus 0; upstream of plus 0
at 200-210: plus 1, minus -1; upstream of minus -1
at 201-210: plus 2, minus -2; upstream of minus -2
TXT
diff expected seen
