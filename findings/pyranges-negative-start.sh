#!/bin/sh
# Question: a window around a TSS near a chromosome's beginning starts below 0. Which intervals does it overlap in pyranges?
#
# Guess, written before the run: those that it would with its start cut off at 0.
#
# Versions: pyranges 0.1.7 (ncls 0.0.71), pandas 2.3.3, numpy 2.4.6.
#
# Seen: it finds too many and too few. In the index below (ncls) a negative start counts as another orientation: a window from
# -100 to 10 overlaps 50-120, and one from -500 to 2000, which covers all, does not overlap 1000-1100. `intersect` then gives an
# interval from 50 to 10. Nothing is said. pyranges' own `extend` cuts off at 0 (and the author of ncls has written in issue 14
# that it is not meant for negative positions); a window that was made in pandas is taken as it is. Models with inputs of half a
# million bases have such windows for the first genes of every chromosome.
#
# Output (the window, the intervals among 0-30, 50-120, 200-300 and 1000-1100 that it overlaps):
#   -100 to 10: join 0-30 50-120; cut off at 0: 0-30
#   -500 to 2000: join 0-30 50-120 200-300; cut off at 0: 0-30 50-120 200-300 1000-1100
#   -500 to 40: join 0-30 50-120 200-300; cut off at 0: 0-30
#   intersect with -100 to 10: 0-10 50-10
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet pyranges==0.1.7 sorted_nearest==0.0.42 ncls==0.0.71 \
    pandas==2.3.3 numpy==2.4.6; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import pandas as pd
import pyranges as pr


def ranges(pairs):
    starts, ends = zip(*pairs)
    return pr.PyRanges(pd.DataFrame({"Chromosome": "1", "Start": starts, "End": ends}))


def words(starts, ends):
    return " ".join(f"{start}-{end}" for start, end in sorted(zip(starts, ends)))


def joined(start, end):
    found = ranges([(start, end)]).join(elements).df
    return words(found.Start_b, found.End_b)


elements = ranges([(0, 30), (50, 120), (200, 300), (1000, 1100)])
for start, end in ((-100, 10), (-500, 2000), (-500, 40)):
    print(f"{start} to {end}: join {joined(start, end)}; cut off at 0: {joined(0, end)}")
common = elements.intersect(ranges([(-100, 10)])).df
print("intersect with -100 to 10:", words(common.Start, common.End))
PY
env/bin/python run.py | tee seen
cat > expected <<'TXT'
-100 to 10: join 0-30 50-120; cut off at 0: 0-30
-500 to 2000: join 0-30 50-120 200-300; cut off at 0: 0-30 50-120 200-300 1000-1100
-500 to 40: join 0-30 50-120 200-300; cut off at 0: 0-30
intersect with -100 to 10: 0-10 50-10
TXT
diff expected seen
