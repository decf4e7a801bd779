#!/bin/sh
# Question: an Altair chart shows the variants with p < 0.05 (`transform_filter`), or makes -log10 of p
# (`transform_calculate`). What of variants without a p-value (null, or NaN in pandas)?
#
# Guess (not written down): they are left out of the filter, and null in what is calculated, as in pandas, polars, R
# and SQL, and as Vega-Lite itself leaves them out of a mean.
#
# Versions: altair 6.3.0, vl-convert-python 1.9.0.post1, pandas 3.1.1, numpy 2.4.6.
#
# Seen: null counts as 0. A missing p passes `p < 0.05`, as text, as `alt.datum` and as `FieldLTPredicate`, also a
# range that holds 0, and its -log10 is Infinity; a missing effect, doubled, is an effect of 0 that lowers the mean.
# The mean of the column as it was leaves it out. So untested variants are drawn and counted among the significant
# ones. JavaScript compares so; `isValid` beside the comparison mends it. No warning.
#
# Output (p: 0.01, 0.04, 0.5 and two missing; effects 1 2 3 and two missing):
#   pandas: 2 of p < 0.05
#   filter as text: 4, as alt.datum: 4, as FieldLTPredicate: 4, in a range 0 to 0.05: 4
#   -log10 of p: 2 1.398 0.301 Infinity Infinity
#   mean of the effect 2, of twice the effect 2.4
#   filter with isValid: 2
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet --no-cache-dir altair==6.3.0 vl-convert-python==1.9.0.post1 \
    pandas==3.1.1 numpy==2.4.6; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import re

import altair as alt
import pandas as pd
import vl_convert

table = pd.DataFrame({"p": [0.01, 0.04, 0.5, None, None], "effect": [1.0, 2.0, 3.0, None, None]})


def drawn(chart, text):
    labels = chart.transform_calculate(label=f"'>' + {text}").mark_text().encode(text="label:N")
    svg = vl_convert.vegalite_to_svg(labels.to_json())
    return re.findall(r"<text[^>]*>(?:&gt;|>)([^<]*)</text>", svg)


def number(filtered):
    return len(drawn(filtered, "datum.p"))


chart = alt.Chart(table)
print(f"pandas: {(table.p < 0.05).sum()} of p < 0.05")
print(
    f"filter as text: {number(chart.transform_filter('datum.p < 0.05'))}, "
    f"as alt.datum: {number(chart.transform_filter(alt.datum.p < 0.05))}, "
    f"as FieldLTPredicate: {number(chart.transform_filter(alt.FieldLTPredicate('p', lt=0.05)))}, "
    f"in a range 0 to 0.05: {number(chart.transform_filter(alt.FieldRangePredicate('p', range=[0, 0.05])))}"
)
print(f"-log10 of p: {' '.join(drawn(chart, 'round(-1000 * log(datum.p) / LN10) / 1000'))}")
doubled = chart.transform_calculate(twice="2 * datum.effect")
means = doubled.transform_aggregate(once="mean(effect)", twice="mean(twice)")
print(f"mean of the effect {drawn(means, 'datum.once')[0]}, of twice the effect {drawn(means, 'datum.twice')[0]}")
print(f"filter with isValid: {number(chart.transform_filter('isValid(datum.p) && datum.p < 0.05'))}")
PY
env/bin/python run.py | tee seen
cat > expected <<'TXT'
pandas: 2 of p < 0.05
filter as text: 4, as alt.datum: 4, as FieldLTPredicate: 4, in a range 0 to 0.05: 4
-log10 of p: 2 1.398 0.301 Infinity Infinity
mean of the effect 2, of twice the effect 2.4
filter with isValid: 2
TXT
diff expected seen
