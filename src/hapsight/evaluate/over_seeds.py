"""R of one training repeated with several seeds, in a few numbers: genes and seeds are both samples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hapsight.evaluate.paired import Mean, mean_interval
from hapsight.evaluate.summary import SIGNIFICANT, Quantity

__all__ = ["mean_over_seeds", "summarise_over_seeds"]

Float = NDArray[np.float64]


def summarise_over_seeds(pearson: Float, qval: Float) -> Iterator[Quantity]:
    """Does a training rank people, whatever its seed: (G, S) R of genes with seeds, and their q.

    Genes that lack an R (NaN) with a seed count in ``genes_ok`` only. A seed with which no gene has an R is a
    training that ended with one prediction for everybody: it is counted in ``constant_seeds``, and its R are
    0 beside those of other seeds. ``significant`` and ``significant_negative`` are means over seeds.
    ``significant_negative_share`` is of all significant genes of all seeds; its `n` are the genes that are
    significant with at least one.
    """
    constant = np.isnan(pearson).all(axis=0).reshape(-1)  # (S,)
    if not constant.all():
        pearson, qval = np.where(constant, 0.0, pearson), np.where(constant, 1.0, qval)
    known = np.isfinite(pearson).all(axis=1)
    r = pearson[known]
    significant = qval[known] < SIGNIFICANT
    negative = significant & (r < 0)
    mean = mean_over_seeds(r)
    yield Quantity("constant_seeds", int(constant.sum()), len(constant), "seeds")
    yield Quantity("genes_ok", len(r), len(pearson), "genes")
    yield Quantity("across_people_pearson_mean", mean.value, mean.n, "genes", mean.ci_low, mean.ci_high)
    yield Quantity("significant", _mean_count(significant), len(r), "genes")
    yield Quantity("significant_negative", _mean_count(negative), len(r), "genes")
    yield _share("significant_negative_share", negative.sum(axis=1), significant.sum(axis=1))


def mean_over_seeds(values: Float) -> Mean:
    """Mean of (G, S) numbers with a 95 % interval for other genes and other seeds.

    Genes and seeds are crossed random effects without repetition: the variance of the mean is
    ``(M_genes + M_seeds - M_rest) / (G S)`` of mean squares M, with the degrees of freedom of Satterthwaite
    (1946, Biometrics Bulletin 2, 110), but no fewer than the smaller side has. Where seeds differ by no more
    than the rest does, they add nothing, and the interval is that of genes, each by its mean over seeds;
    where genes do not, M_genes counts as M_rest.
    """
    n, seeds = values.shape
    by_gene = mean_interval(values.mean(axis=1))
    if n < 2 or seeds < 2:
        return by_gene
    centre = values.mean()
    gene, seed = values.mean(axis=1) - centre, values.mean(axis=0) - centre
    rest = values - centre - gene[:, None] - seed[None, :]
    free = np.array([n - 1, seeds - 1, (n - 1) * (seeds - 1)])
    squares = np.array([seeds * gene @ gene, n * seed @ seed, np.sum(rest * rest)]) / free
    if squares[1] <= squares[2]:
        return by_gene
    total = max(squares[0], squares[2]) + squares[1] - squares[2]
    degrees = max(total**2 / np.sum(squares**2 / free), min(free))
    half = stats.t.ppf(0.975, degrees) * np.sqrt(total / (n * seeds))
    return Mean(float(centre), n, float(centre - half), float(centre + half))


def _mean_count(true: NDArray[np.bool_]) -> float:
    return float(true.sum(axis=0).mean())


def _share(name: str, true: NDArray[np.int64], counted: NDArray[np.int64]) -> Quantity:
    """A share of what (G,) genes were counted for, with its Wilson interval.

    The seeds of a gene are taken to say the same, so the interval is that of Kish's effective number of
    genes, ``sum(counted)^2 / sum(counted^2)`` (1965, Survey Sampling).
    """
    n = int(np.count_nonzero(counted))
    if not n:
        return Quantity(name, None, 0, "genes")
    share = float(true.sum() / counted.sum())
    size, z = float(counted.sum() ** 2 / np.sum(counted**2)), float(stats.norm.ppf(0.975))
    middle = (share + z * z / (2 * size)) / (1 + z * z / size)
    half = z * np.sqrt(share * (1 - share) / size + z * z / (4 * size * size)) / (1 + z * z / size)
    return Quantity(name, share, n, "genes", max(0.0, float(middle - half)), min(1.0, float(middle + half)))
