#!/bin/sh
# Question: what does one N, or one soft-masked base, among a hundred binding sites do to Logomaker's information content?
#
# Guess, written before the run: nothing that one would see; lower case is read as upper case, and N is left out or shared.
#
# Versions: logomaker 0.8.7, numpy 2.4.6, pandas 2.3.3, matplotlib 3.11.2.
#
# Seen: every character but `.` and `-` becomes a letter of the alphabet, and the background is uniform over the letters seen. So
# one such base in one site raises the information of every position, of those too where all sites agree: to 2.32 bits,
# 2.58 with both, up to 3 where lower case has all four, for DNA whose most is 2. Heights of two logos do not compare, and
# thresholds in bits are passed by noise. `a` and `A` count as different letters. The documentation of `characters_to_ignore` speaks
# of gaps; no warning.
#
# Output (99 sites TGACTCA and one more):
#   all alike: letters ACGT, bits 2.00 2.00 2.00 2.00 2.00 2.00 2.00
#   an N: letters ACGNT, bits 2.24 2.32 2.32 2.32 2.32 2.32 2.32
#   a soft-masked base: letters ACGTa, bits 2.32 2.32 2.32 2.32 2.32 2.32 2.24
#   both: letters ACGNTa, bits 2.50 2.58 2.58 2.58 2.58 2.58 2.50
#   soft-masked: letters ACGTacgt, bits 2.92 2.92 2.92 2.92 2.92 2.92 2.92
#   a gap: letters ACGT, bits 2.00 2.00 2.00 2.00 2.00 2.00 2.00
#   an N, ignored: letters ACGT, bits 2.00 2.00 2.00 2.00 2.00 2.00 2.00
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet logomaker==0.8.7 numpy==2.4.6 pandas==2.3.3 matplotlib==3.11.2; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import logomaker


def bits(sequences, **options):
    counts = logomaker.alignment_to_matrix(sequences, to_type="counts", **options)
    information = logomaker.transform_matrix(counts, from_type="counts", to_type="information", pseudocount=0)
    return "".join(counts.columns), " ".join(f"{height:.2f}" for height in information.sum(axis=1))


SITES = ["TGACTCA"] * 99
for label, last in (
    ("all alike", "TGACTCA"),
    ("an N", "NGACTCA"),
    ("a soft-masked base", "TGACTCa"),
    ("both", "NGACTCa"),
    ("soft-masked", "tgactca"),
    ("a gap", "-GACTCA"),
):
    print(f"{label}: letters {bits([*SITES, last])[0]}, bits {bits([*SITES, last])[1]}")
print("an N, ignored: letters {}, bits {}".format(*bits([*SITES, "NGACTCA"], characters_to_ignore=".-N")))
PY
env/bin/python -W ignore run.py | tee seen
cat > expected <<'TXT'
all alike: letters ACGT, bits 2.00 2.00 2.00 2.00 2.00 2.00 2.00
an N: letters ACGNT, bits 2.24 2.32 2.32 2.32 2.32 2.32 2.32
a soft-masked base: letters ACGTa, bits 2.32 2.32 2.32 2.32 2.32 2.32 2.24
both: letters ACGNTa, bits 2.50 2.58 2.58 2.58 2.58 2.58 2.50
soft-masked: letters ACGTacgt, bits 2.92 2.92 2.92 2.92 2.92 2.92 2.92
a gap: letters ACGT, bits 2.00 2.00 2.00 2.00 2.00 2.00 2.00
an N, ignored: letters ACGT, bits 2.00 2.00 2.00 2.00 2.00 2.00 2.00
TXT
diff expected seen
