"""A table of genes in a few numbers, each with n and an interval.

Means of R over genes: of held-out folds, and of the difference between two methods on the same genes.

Is a held-out correlation real? Each fold judged apart, and the folds combined with their signs.

R of one training repeated with several seeds, in a few numbers: genes and seeds are both samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from hapsight.stats.correlation import correlate, fisher_interval
from hapsight.stats.direction import share_true, wilson_interval

__all__ = [
    "SIGNIFICANT",
    "Mean",
    "Quantity",
    "fold_p",
    "judged_r",
    "mean_difference",
    "mean_fold_r",
    "mean_interval",
    "mean_over_seeds",
    "r_over_genes",
    "signed_combination",
    "summarise_across_genes",
    "summarise_across_people",
    "summarise_gene_rows",
    "summarise_over_seeds",
    "summarise_within_people",
]


class Mean(NamedTuple):
    """A mean over `n` genes with its 95 % t interval; None where there are too few."""

    value: float | None
    n: int
    ci_low: float | None
    ci_high: float | None


def mean_interval(values: NDArray[np.float64]) -> Mean:
    """Mean of (G,) numbers, genes taken as independent."""
    if not len(values):
        return Mean(None, 0, None, None)
    centre = float(values.mean())
    return _mean_of_pairs(centre, values - centre)


_JUDGED: Final = ("ok", "no_model")
"""Statuses of the genes that are compared in pairs; a gene without a model predicts nothing: R = 0."""


def judged_r(genes: pl.DataFrame) -> pl.DataFrame:
    """``gene_id`` and ``r`` of the genes that are compared in pairs, of rows with ``status, pearson_r``."""
    kept = genes.filter(pl.col("status").is_in(_JUDGED))
    return kept.select("gene_id", r=pl.col("pearson_r").fill_null(0.0))


def mean_difference(one: pl.DataFrame, other: pl.DataFrame) -> Mean:
    """Mean of R less the other's R, over the genes of both; columns ``gene_id, r``."""
    both = one.join(other.select("gene_id", "r"), on="gene_id", how="inner")
    return mean_interval((both["r"] - both["r_right"]).to_numpy())


def mean_fold_r(fold_r: Sequence[NDArray[np.float64]]) -> Mean:
    """Mean R of all held-out folds of all genes that have one; a fold without R is NaN.

    Every fold counts the same, so without effect the mean is 0: what was learned outside a fold knows
    nothing of it. (R of a gene over all its folds leans to the negative, because methods that may find
    nothing find something where the rest of the people disagrees.) The interval takes genes as the
    independent units (a ratio of sums; Cochran 1977, Sampling Techniques, section 6).
    """
    found = [r[np.isfinite(r)] for r in (np.asarray(r, dtype=np.float64) for r in fold_r)]
    found = [r for r in found if len(r)]
    if not found:
        return Mean(None, 0, None, None)
    sizes = np.array([len(r) for r in found], dtype=np.float64)
    mean = float(np.concatenate(found).mean())
    return _mean_of_pairs(mean, np.array([(r - mean).sum() for r in found]) / sizes.mean())


def _mean_of_pairs(mean: float, deviations: NDArray[np.float64]) -> Mean:
    n = len(deviations)
    if n < 2:
        return Mean(mean, n, None, None)
    half = float(scipy.special.stdtrit(n - 1, 0.975) * np.sqrt(deviations @ deviations / (n - 1) / n))
    return Mean(mean, n, mean - half, mean + half)


Float = NDArray[np.float64]

_SMALLEST: Final = 1e-300
"""P-values below count as this, so that their z is finite."""


def fold_p(predicted: Float, observed: Float, fold: NDArray[np.int64]) -> float | None:
    """P of (N,) held-out predictions of (N,) outcomes: the plain p of each fold's R, combined.

    R over all folds has no plain p. A pair of people in two folds counts in both, once as the one who is
    learned from and once as the one who is predicted, so that its spread under chance is wider than that of
    N independent people. A single fold knows nothing of this, and `signed_combination` reckons with it.

    Parameters
    ----------
    fold
        (N,) in which each person was held out. A fold with a constant prediction counts as R = 0: whether a
        learner finds something depends on the other folds, so that to leave such folds out would choose
        among the rest, and those lean to the negative.

    Returns
    -------
    None where no fold has an R.
    """
    found = [correlate(predicted[fold == k], observed[fold == k]) for k in np.unique(fold)]
    if all(one.pearson_r is None for one in found):
        return None
    r = np.array([one.pearson_r or 0.0 for one in found])
    pval = np.array([1.0 if one.pval_nominal is None else one.pval_nominal for one in found])
    return signed_combination(r, pval, np.array([one.n for one in found]))


def signed_combination(r: Float, pval: Float, n: NDArray[np.int64]) -> float:
    """Two-sided p of (K,) held-out R of folds: Stouffer's z with the signs of R, weighted by ``sqrt(n)``.

    Folds that disagree in sign speak against each other. Folds depend on each other: what fold j is predicted
    by was learned, among others, from fold k, and the other way round. For a linear learner, and without
    effect, their z correlate by ``sqrt(n_j n_k / ((N - n_j) (N - n_k)))``, the shares that they have in each
    other's training: 1 of two folds, which are one and the same sum over pairs of people; 1/4 of five. The
    variance of the weighted sum is that of z so correlated, up to twice that of independent folds. Learners
    that may find nothing have R = 0 in some folds, for which this p is on the safe side.

    Parameters
    ----------
    pval
        (K,) two-sided.
    n
        (K,) people in each fold, N in all.
    """
    z = -np.sign(r) * scipy.special.ndtri(np.maximum(pval, _SMALLEST) / 2)
    share = np.sqrt(n / np.maximum(n.sum() - n, 1))
    correlation = np.outer(share, share)
    np.fill_diagonal(correlation, 1.0)
    weight = np.sqrt(n)
    return float(2 * scipy.special.ndtr(-abs(weight @ z) / np.sqrt(weight @ correlation @ weight)))


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
    yield _share_of_seeds("significant_negative_share", negative.sum(axis=1), significant.sum(axis=1))


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
    half = scipy.special.stdtrit(degrees, 0.975) * np.sqrt(total / (n * seeds))
    return Mean(float(centre), n, float(centre - half), float(centre + half))


def _mean_count(true: NDArray[np.bool_]) -> float:
    return float(true.sum(axis=0).mean())


def _share_of_seeds(name: str, true: NDArray[np.int64], counted: NDArray[np.int64]) -> Quantity:
    """A share of what (G,) genes were counted for, with its Wilson interval.

    The seeds of a gene are taken to say the same, so the interval is that of Kish's effective number of
    genes, ``sum(counted)^2 / sum(counted^2)`` (1965, Survey Sampling).
    """
    n = int(np.count_nonzero(counted))
    if not n:
        return Quantity(name, None, 0, "genes")
    share = float(true.sum() / counted.sum())
    size = float(counted.sum() ** 2 / np.sum(counted**2))
    return Quantity(name, share, n, "genes", *wilson_interval(share, size))


SIGNIFICANT: Final = 0.05
"""q below which a gene counts as significant."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number: what, how much, over how many of what, and its 95 % interval where it has one."""

    quantity: str
    value: float | None
    n: int
    unit: Literal["genes", "people", "seeds"]
    ci_low: float | None = None
    ci_high: float | None = None


def summarise_across_genes(predicted: Float, expression: Float) -> Iterator[Quantity]:
    """Does the model rank genes: (G,) predictions on the reference against (G,) mean expression."""
    found = correlate(predicted, expression)
    yield Quantity("across_genes_pearson", found.pearson_r, found.n, "genes", found.ci_low, found.ci_high)
    rho = found.spearman_r
    low, high = (None, None) if rho is None else fisher_interval(rho, found.n)
    yield Quantity("across_genes_spearman", rho, found.n, "genes", low, high)


def summarise_within_people(spearman: Float) -> Iterator[Quantity]:
    """Each person's ranking of genes: the median of (N,) Spearman correlations."""
    value = float(np.median(spearman)) if len(spearman) else None
    yield Quantity("within_person_spearman_median", value, len(spearman), "people")


def summarise_across_people(
    status: list[str], pearson: Float, spearman: Float, qval: Mapping[str, Float], test: str
) -> Iterator[Quantity]:
    """Does the model rank people: G statuses, and the numbers of those genes that are ``ok``.

    Parameters
    ----------
    qval
        Test -> q of the ``ok`` genes. Each test has its own quantities, which end with its name, such as
        ``significant.permutation``.
    test
        The one whose quantities stand without a name as well.
    """
    n = len(pearson)
    yield Quantity("genes_ok", n, len(status), "genes")
    constant = sum(s in ("constant_prediction", "no_variants") for s in status)
    yield Quantity("genes_constant", constant, len(status), "genes")
    yield Quantity("genes_without_model", sum(s == "no_model" for s in status), len(status), "genes")
    for name, r in (("pearson", pearson), ("spearman", spearman)):
        yield _mean(f"across_people_{name}_mean", r)
        yield Quantity(f"across_people_{name}_median", float(np.median(r)) if n else None, n, "genes")
    yield _mean("across_people_pearson_mean_abs", np.abs(pearson))
    yield _share("share_negative", pearson < 0)
    yield _share("share_negative_spearman", spearman < 0)
    yield from _significance(pearson, qval[test], "")
    for name, q in qval.items():
        yield from _significance(pearson, q, f".{name}")


def summarise_gene_rows(
    genes: pl.DataFrame, status: list[str], tests: Iterable[str], test: str
) -> Iterator[Quantity]:
    """`summarise_across_people` of rows of ``per_gene``.

    Parameters
    ----------
    genes
        Rows of one arm; those that are ``ok`` count.
    status
        Of all genes of the arm, also of those that are not among the rows.
    tests, test
        Those that have quantities of their own, and the one whose quantities stand without a name as well.
    """
    ok = genes.filter(pl.col("status") == "ok")
    pearson, spearman = (ok[name].to_numpy() for name in ("pearson_r", "spearman_r"))
    qval = {name: ok[f"qval_{name}"].to_numpy() for name in tests}
    return summarise_across_people(status, pearson, spearman, qval, test)


def r_over_genes(genes: pl.DataFrame) -> dict[str, Any]:
    """Columns of ``baselines`` that are over the ``ok`` rows of ``per_gene`` of one arm."""
    ok = genes.filter(pl.col("status") == "ok")["pearson_r"].to_numpy()
    mean = mean_interval(ok)
    return {
        "genes_ok": len(ok),
        "mean_r": mean.value,
        "ci_low": mean.ci_low,
        "ci_high": mean.ci_high,
        "share_negative": float((ok < 0).mean()) if len(ok) else None,
    }


def _significance(pearson: Float, qval: Float, suffix: str) -> Iterator[Quantity]:
    """How many of the tested genes are significant, and how many of these have the wrong sign."""
    n, significant = len(pearson), qval < SIGNIFICANT
    yield Quantity(f"significant{suffix}", int(significant.sum()), n, "genes")
    yield Quantity(f"significant_negative{suffix}", int((significant & (pearson < 0)).sum()), n, "genes")
    yield _share(f"significant_negative_share{suffix}", pearson[significant] < 0)


def _mean(name: str, values: Float) -> Quantity:
    """Mean over genes with its t interval (genes taken as independent)."""
    mean = mean_interval(values)
    return Quantity(name, mean.value, mean.n, "genes", mean.ci_low, mean.ci_high)


def _share(name: str, true: NDArray[np.bool_]) -> Quantity:
    """A share with its Wilson interval."""
    found = share_true(true)
    return Quantity(name, found.value, found.n, "genes", found.ci_low, found.ci_high)
