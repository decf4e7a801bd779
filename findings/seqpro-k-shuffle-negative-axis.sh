#!/bin/sh
# Question: does SeqPro's `k_shuffle` of one-hot sequences keep the k-mers of each sequence, as its docstring says, whichever way
# the axes are counted?
#
# Guess, written before the run: yes, counts of k-mers are kept (negative axes were not thought of as a case of their own).
#
# Versions: seqpro 0.23.0, numpy 2.4.6.
#
# Seen: not with axes counted from the end. The one-hot axis is taken away before `length_axis` is used, so -2 is then the
# axis of the sequences: at every position the bases are shuffled across the batch. Hardly a sequence keeps its k-mers; of three
# sequences, k = 2 gives back the very same three, so a "shuffled" background is the sequences themselves. Nothing is said, the shapes
# are right, and `reverse_complement`, for one, takes the same two axes as they are meant.
#
# Output (500 random sequences of 100 bases; sequences that keep their k-mers, and positions that hold the same base as before):
#   k=1, axes 1 and 2: 500 keep their k-mers, same base at 0.26
#   k=1, axes -2 and -1: 0 keep their k-mers, same base at 0.25
#   k=2, axes 1 and 2: 500 keep their k-mers, same base at 0.27
#   k=2, axes -2 and -1: 2 keep their k-mers, same base at 0.25
#   three sequences, k=2, axes -2 and -1: same base at 1.00
#   reverse_complement, both ways of counting: equal True
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet seqpro==0.23.0 numpy==2.4.6; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
from collections import Counter

import numpy as np
import seqpro as sp

text = np.random.default_rng(0).choice(list("ACGT"), (500, 100)).astype("S1")
hot = sp.ohe(text, sp.DNA)  # (500, 100, 4)


def counts(bases, k):
    word = bases.tobytes()
    return Counter(word[i : i + k] for i in range(len(word) - k + 1))


def shuffle(hot, k, axes):
    new = sp.k_shuffle(hot, k=k, alphabet=sp.DNA, length_axis=axes[0], ohe_axis=axes[1], seed=0)
    return sp.decode_ohe(new, axes[1], sp.DNA)


for k in (1, 2):
    for axes in ((1, 2), (-2, -1)):
        new = shuffle(hot, k, axes)
        kept = sum(counts(a, k) == counts(b, k) for a, b in zip(text, new))
        print(f"k={k}, axes {axes[0]} and {axes[1]}: {kept} keep their k-mers, same base at {(new == text).mean():.2f}")
new = shuffle(hot[:3], 2, (-2, -1))
print(f"three sequences, k=2, axes -2 and -1: same base at {(new == text[:3]).mean():.2f}")
turned = [sp.reverse_complement(hot, sp.DNA, length_axis=one, ohe_axis=other) for one, other in ((1, 2), (-2, -1))]
print(f"reverse_complement, both ways of counting: equal {np.array_equal(*turned)}")
PY
env/bin/python run.py | tee seen
cat > expected <<'TXT'
k=1, axes 1 and 2: 500 keep their k-mers, same base at 0.26
k=1, axes -2 and -1: 0 keep their k-mers, same base at 0.25
k=2, axes 1 and 2: 500 keep their k-mers, same base at 0.27
k=2, axes -2 and -1: 2 keep their k-mers, same base at 0.25
three sequences, k=2, axes -2 and -1: same base at 1.00
reverse_complement, both ways of counting: equal True
TXT
diff expected seen
