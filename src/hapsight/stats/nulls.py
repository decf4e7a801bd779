"""What correlation chance gives, by every test that the field uses: draws of the nulls, and p-values.

The tests, by the name that ends their columns (``pval_<test>``, ``qval_<test>``), are in `TESTS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray

from hapsight.errors import InputError
from hapsight.seeds import stream

__all__ = [
    "SASSE_DRAWS",
    "TESTS",
    "NullTest",
    "benjamini_hochberg",
    "empirical_p",
    "null_test",
    "permutation_null",
    "permutations",
    "random_weights_null",
    "sasse2023_p",
    "weights_stream",
    "z_scores",
]

Float = NDArray[np.float64]

TESTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "empirical": "random weights, empirical",
        "z": "random weights, normal",
        "sasse2023": "random weights, t as Sasse 2023 published it",
        "permutation": "people permuted within populations",
        "nominal": "plain p of R",
        "folds": "plain p of each held-out fold, combined",
    }
)
"""The tests of abs(r) of one gene, hapsight's own first: name, and what chance is under it.

``folds`` is for what was predicted fold by fold (`hapsight.stats.summary`); the others for any prediction.
"""

SASSE_DRAWS: Final = 50
"""Random predictions a gene in Sasse 2023."""

_TIE: Final = 1e-9
"""Correlations that differ by less differ by rounding: under a single variant every prediction ties."""


@dataclass(frozen=True, slots=True)
class NullTest:
    """An observed abs(r) against `null_draws` values of abs(r) under random weights.

    Attributes
    ----------
    null_mean, null_sd
        Mean and spread (n - 1) of the null.
    z
        ``(abs(r) - null_mean) / null_sd``; 0 where every draw gives the same.
    pval_empirical
        ``(1 + #null >= abs(r)) / (null_draws + 1)``.
    pval_z
        One-sided p of `z` under a normal null.
    pval_sasse2023
        `sasse2023_p` on the first `SASSE_DRAWS` draws.
    """

    null_draws: int
    null_mean: float
    null_sd: float
    z: float
    pval_empirical: float
    pval_z: float
    pval_sasse2023: float


def weights_stream(seed: int, *gene: str) -> np.random.Generator:
    """What random weights are drawn from; of a gene by its ``gene_id``."""
    return stream(seed, "random weights", *gene)


def random_weights_null(
    dosage: NDArray[np.uint8], observed: Float, draws: int, rng: np.random.Generator
) -> Float:
    """abs(r) of random linear predictions with the observed expression.

    A draw is ``P_i = sum_s w_s g_is`` with w ~ N(0, 1) and g the dosages of the window's variants: what a
    model gets that knows nothing but the genotypes (Sasse 2023). Where there are fewer people than variants,
    P is drawn as such: it is normal, with the products of people's dosages as its covariance.

    Parameters
    ----------
    dosage
        (V, N) dosages; variants that do not vary count for nothing.
    observed
        (N,) expression.

    Returns
    -------
    (draws,) float64

    Raises
    ------
    InputError
        No variant varies, or the expression does not: then there is no such null.
    """
    genotype = dosage[np.any(dosage != dosage[:, :1], axis=1)]
    centred = observed - observed.mean()
    if not len(genotype) or not np.any(centred):
        raise InputError("The random-weights null needs variants and expression that vary.")
    if len(centred) <= min(len(genotype), draws):
        return _null_of_people(genotype, centred, draws, rng)
    weights = rng.standard_normal((draws, len(genotype)))
    covariance = weights @ (genotype @ centred)
    spread = _prediction_norms(weights, genotype) * np.linalg.norm(centred)
    return np.asarray(np.minimum(np.abs(covariance) / spread, 1.0), dtype=np.float64)


def _null_of_people(
    genotype: NDArray[np.uint8], centred: Float, draws: int, rng: np.random.Generator
) -> Float:
    """`random_weights_null` of (V, N) dosages, N numbers drawn for each prediction instead of V."""
    root, order = _root(genotype)
    rank = root.shape[1]
    drawn = rng.standard_normal((draws, rank)).T
    above = scipy.linalg.blas.dtrmm(1.0, root[:rank], drawn, lower=1)  # half of the products
    predicted = np.vstack([above, root[rank:] @ drawn])  # (N, draws)
    spread = np.sqrt(np.einsum("nd,nd->d", predicted, predicted)) * np.linalg.norm(centred)
    return np.asarray(np.minimum(np.abs(centred[order] @ predicted) / spread, 1.0), np.float64)


def _root(genotype: NDArray[np.uint8]) -> tuple[Float, NDArray[np.intp]]:
    """Root (N, rank) of the products of people's centred dosages, its rows in another order; and the order.

    Products of dosages are whole numbers: see `_prediction_norms`.
    """
    n, whole = genotype.shape[1], genotype.astype(np.float32)
    products = (whole.T @ whole).astype(np.float64)
    total = products.sum(axis=0)
    products += total.sum() / n**2 - (total[:, None] + total) / n
    factor, pivots, rank, _ = scipy.linalg.lapack.dpstrf(products, lower=1)
    return np.tril(factor)[:, :rank], pivots.astype(np.intp) - 1


def _prediction_norms(weights: Float, genotype: NDArray[np.uint8]) -> Float:
    """(D,) norms of the centred predictions ``weights @ genotype``: (D, V) and (V, N).

    With fewer variants than people, ``sqrt(w K w)`` with K the variants' (V, V) products takes fewer
    operations than the predictions themselves. Products of dosages are whole numbers, so that single
    precision gives them exactly (up to four million people).
    """
    n = genotype.shape[1]
    total = genotype.sum(axis=1, dtype=np.float64)
    if len(genotype) < n:
        whole = genotype.astype(np.float32)
        products = (whole @ whole.T).astype(np.float64) - np.outer(total, total / n)
        return np.asarray(np.sqrt(np.einsum("dv,dv->d", weights @ products, weights)))
    predicted = weights @ (genotype - (total / n)[:, None])
    return np.asarray(np.sqrt(np.einsum("dn,dn->d", predicted, predicted)))


def permutations(populations: Sequence[str | None], draws: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """(draws, N) orders of N people in which everybody stays within their population.

    People without a population are permuted among themselves. One set serves all genes of a run.
    """
    order = np.tile(np.arange(len(populations), dtype=np.intp), (draws, 1))
    labels = np.array([name or "" for name in populations])
    for name in dict.fromkeys(labels.tolist()):
        members = np.flatnonzero(labels == name)
        order[:, members] = rng.permuted(order[:, members], axis=1)
    return order


def permutation_null(predicted: Float, observed: Float, orders: NDArray[np.intp]) -> Float:
    """(draws,) abs(r) of (N,) predictions, handed to other people by (draws, N) orders, with (N,) expression.

    Raises
    ------
    InputError
        The prediction or the expression does not vary.
    """
    given, wanted = predicted - predicted.mean(), observed - observed.mean()
    scale = np.linalg.norm(given) * np.linalg.norm(wanted)
    if not scale:
        raise InputError("The permutation null needs a prediction and expression that vary.")
    return np.asarray(np.abs(given[orders] @ wanted) / scale, dtype=np.float64)


def empirical_p(observed: float, null: Float) -> float:
    """(1 + how many of the null reach the observed, up to rounding) / (draws + 1); never zero."""
    return float((1 + np.sum(null >= observed - _TIE)) / (len(null) + 1))


def null_test(r: float, null: Float) -> NullTest:
    """Test abs(r) against (draws,) values of the random-weights null, in three ways."""
    mean, spread = float(null.mean()), float(null.std(ddof=1))
    z = float(z_scores(np.array([r]), np.array([mean]), np.array([spread]))[0])
    few = null[:SASSE_DRAWS]
    published = sasse2023_p(np.array([r]), np.array([few.mean()]), np.array([few.std()]))
    return NullTest(
        null_draws=len(null),
        null_mean=mean,
        null_sd=spread,
        z=z,
        pval_empirical=empirical_p(abs(r), null),
        pval_z=float(scipy.special.ndtr(-z)),
        pval_sasse2023=float(published[0]),
    )


def z_scores(r: Float, null_mean: Float, null_sd: Float) -> Float:
    """(G,) ``(abs(r) - null_mean) / null_sd``; 0 where every draw of the null gives the same."""
    same = null_sd <= _TIE
    z = (np.abs(r) - null_mean) / np.where(same, 1.0, null_sd)
    return np.asarray(np.where(same, 0.0, z), dtype=np.float64)


def sasse2023_p(r: Float, null_mean: Float, null_sd: Float) -> Float:
    """P of (G,) correlations as Sasse 2023 published it: for reproduction only.

    ``t = (abs(r) - mean) / sqrt(sd / 50)``, one-sided, 49 degrees of freedom. A variance belongs where the
    standard deviation stands; and even then t would ask whether abs(r) is above the *mean* of the null,
    which half of the null's own draws are. Where every draw gives the same, t is 0 (the study has no number).

    Parameters
    ----------
    null_mean, null_sd
        (G,) mean and standard deviation of 50 draws of abs(r).
    """
    same = null_sd <= _TIE
    t = (np.abs(r) - null_mean) / np.sqrt(np.where(same, 1.0, null_sd) / SASSE_DRAWS)
    return np.asarray(scipy.special.stdtr(SASSE_DRAWS - 1, -np.where(same, 0.0, t)), dtype=np.float64)


def benjamini_hochberg(pvalues: Float) -> Float:
    """(n,) adjusted p-values (q) of (n,) p-values, false discovery rate over all of them.

    As `scipy.stats.false_discovery_control` has them, without the half second that its import takes.
    """
    order = np.argsort(pvalues)
    raised = np.asarray(pvalues, np.float64)[order] * (len(order) / np.arange(1, len(order) + 1))
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    return adjusted
