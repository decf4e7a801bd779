#!/bin/sh
# Question: what is torchmetrics' `SpearmanCorrCoef` of a prediction that is the same for everyone?
#
# Guess, written before the run: nan, as scipy's Spearman and its own Pearson.
#
# Versions: torchmetrics 1.9.0, torch 2.13.0 (CPU), scipy 1.17.1, numpy 2.4.6.
#
# Seen: 0, without a warning. A gene whose prediction does not differ between people, or that is not expressed, counts as one
# that was predicted no better than chance, and pulls a mean over genes to 0; Pearson of the same gene is nan. But Pearson is 0 as
# well where the constant is 0.1: its mean is off in the last place, so the variance is not quite 0. The documentation of
# neither speaks of constants.
#
# Output (three genes, the prediction of the middle one a constant; number of warnings):
#   spearman_corrcoef, 0.0: 0.46 0.00 0.70, warnings 0
#   pearson_corrcoef, 0.0: 0.54 nan 0.76, warnings 0
#   spearman_corrcoef, 1.0: 0.46 0.00 0.70, warnings 0
#   pearson_corrcoef, 1.0: 0.54 nan 0.76, warnings 0
#   spearman_corrcoef, 0.1: 0.46 0.00 0.70, warnings 0
#   pearson_corrcoef, 0.1: 0.54 0.00 0.76, warnings 0
#   scipy's Spearman: 0.46 nan 0.70
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet torch==2.13.0 torchmetrics==1.9.0 scipy==1.17.1 numpy==2.4.6; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import warnings

import torch
from scipy.stats import spearmanr
from torchmetrics.functional import pearson_corrcoef, spearman_corrcoef

torch.manual_seed(0)
target = torch.randn(50, 3)
prediction = target + torch.randn(50, 3)


def words(values):
    return " ".join(f"{float(value) + 0:.2f}".replace("-0.00", "0.00") for value in values)


for constant in (0.0, 1.0, 0.1):
    prediction[:, 1] = constant
    for function in (spearman_corrcoef, pearson_corrcoef):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = function(prediction, target)
        print(f"{function.__name__}, {constant}: {words(found)}, warnings {len(caught)}")
scipys = [spearmanr(prediction[:, i], target[:, i]).statistic for i in range(3)]
print(f"scipy's Spearman: {words(scipys)}")
PY
OMP_NUM_THREADS=1 env/bin/python -W ignore run.py | tee seen
cat > expected <<'TXT'
spearman_corrcoef, 0.0: 0.46 0.00 0.70, warnings 0
pearson_corrcoef, 0.0: 0.54 nan 0.76, warnings 0
spearman_corrcoef, 1.0: 0.46 0.00 0.70, warnings 0
pearson_corrcoef, 1.0: 0.54 nan 0.76, warnings 0
spearman_corrcoef, 0.1: 0.46 0.00 0.70, warnings 0
pearson_corrcoef, 0.1: 0.54 0.00 0.76, warnings 0
scipy's Spearman: 0.46 nan 0.70
TXT
diff expected seen
