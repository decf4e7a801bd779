#!/bin/sh
# Question: what is the reverse complement of soft-masked (lower-case) bases in seqpro?
#
# Guess: as of upper-case bases, in either case of letter. (Only its neighbour was written down before the run: that
# `ohe` gives zeros for them, which it does.)
#
# Versions: seqpro 0.23.0, numpy 2.4.6.
#
# Seen: lower-case bases are reversed but not complemented; upper-case ones beside them are complemented. So a gene on the
# minus strand that reaches into a soft-masked repeat gets a sequence that is on neither strand, without a word. One
# function after the other gives another answer: reverse complement and then upper case is not upper case and then
# reverse complement. The docstring speaks of bytes and names no case.
#
# Output:
#   reverse complement: NccaaGGTT       (of AACCaaccN)
#   upper case first: NGGTTGGTT
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet seqpro==0.23.0 numpy==2.4.6; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import numpy as np
import seqpro as sp


def turned(bases):
    row = np.frombuffer(bases, "S1")[None]
    return sp.DNA.reverse_complement(row, length_axis=-1)[0].tobytes().decode()


print("reverse complement:", turned(b"AACCaaccN"))
print("upper case first:", turned(b"AACCaaccN".upper()))
PY
env/bin/python run.py 2> /dev/null | tee seen
cat > expected <<'TXT'
reverse complement: NccaaGGTT
upper case first: NGGTTGGTT
TXT
diff expected seen
