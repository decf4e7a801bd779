#!/bin/sh
# Question: is `spearman_corr` of bpnet-lite, which its `calculate_performance_measures` reports of count profiles, Spearman's
# correlation where counts are tied?
#
# Guess, written before the run: yes, as scipy's; ties have the mean of their ranks.
#
# Versions: bpnet-lite 1.1.0, torch 2.13.0 (CPU), scipy 1.17.1, numpy 2.4.6.
#
# Seen: no. Tied values are ranked by where they stand, in both profiles alike. Where most positions are 0, that is nearly the
# whole ranking: two unrelated profiles with a count at every fiftieth position correlate at 0.91. It goes down where there
# are more counts, so deep data look worse than shallow data. Where only one side is tied, a real correlation becomes smaller, and
# turning both profiles round changes it. (Reported as issue 32, where it is said to follow the first BPNet.)
#
# Output (mean of 20 pairs of independent Poisson profiles of 1,000 positions; then of a prediction and counts drawn from it):
#   0.02 a position: bpnet-lite 0.91, scipy 0.01
#   0.1 a position: bpnet-lite 0.65, scipy -0.01
#   0.5 a position: bpnet-lite 0.08, scipy -0.01
#   2.0 a position: bpnet-lite -0.01, scipy -0.01
#   prediction and counts: bpnet-lite 0.24, scipy 0.36
#   both turned round: bpnet-lite 0.23, scipy 0.36
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet torch==2.13.0 bpnet-lite==1.1.0 scipy==1.17.1 numpy==2.4.6; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import torch
from bpnetlite.performance import spearman_corr
from scipy.stats import spearmanr

torch.manual_seed(0)


def compare(label, one, other):
    theirs = spearman_corr(one, other).mean().item()
    scipys = sum(spearmanr(a, b).statistic for a, b in zip(one.numpy(), other.numpy())) / len(one)
    print(f"{label}: bpnet-lite {theirs:.2f}, scipy {scipys:.2f}")


for rate in (0.02, 0.1, 0.5, 2.0):
    one, other = (torch.poisson(torch.full((20, 1000), rate)) for _ in range(2))
    compare(f"{rate} a position", one, other)
prediction = torch.randn(20, 1000) - 2
counts = torch.poisson(torch.exp(prediction))
compare("prediction and counts", prediction, counts)
compare("both turned round", prediction.flip(1), counts.flip(1))
PY
OMP_NUM_THREADS=1 env/bin/python run.py 2> /dev/null | tee seen
cat > expected <<'TXT'
0.02 a position: bpnet-lite 0.91, scipy 0.01
0.1 a position: bpnet-lite 0.65, scipy -0.01
0.5 a position: bpnet-lite 0.08, scipy -0.01
2.0 a position: bpnet-lite -0.01, scipy -0.01
prediction and counts: bpnet-lite 0.24, scipy 0.36
both turned round: bpnet-lite 0.23, scipy 0.36
TXT
diff expected seen
