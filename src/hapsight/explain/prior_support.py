"""How often the sign of a driver is right by the model, by a prior, and by the prior where there is one.

The control of a prior is the same scores dealt anew among the same drivers. Of all ways to deal
them, the number of agreeing signs has a hypergeometric distribution: mean, range and p are exact, and nothing
is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hapsight.errors import InputError
from hapsight.evaluate.direction import Share, same_sign, share_true

__all__ = ["prior_shares", "shuffled_share"]

Float = NDArray[np.float64]


def prior_shares(effect: Float, score: Float, slope: Float) -> Iterator[tuple[str, Share]]:
    """Shares of n drivers whose sign is that of a measured slope.

    Parameters
    ----------
    effect, slope
        (n,) of the model and as measured, per ALT allele; not 0.
    score
        (n,) of the prior; 0 where it says nothing.

    Yields
    ------
    ``prior_known``
        Drivers that have a prior; without p.
    ``prior_agrees``
        Of these, where model and prior have one sign.
    ``sign_by_model``, ``sign_by_prior``
        Of these, where the model, and the prior, has the sign of the slope. The p of the prior is against its
        control (Fisher, two-sided).
    ``sign_by_prior_shuffled``
        The control: mean over all ways to deal the scores, and the range of 95 % of them; without p.
    ``sign_by_either``, ``sign_by_either_shuffled``
        Of all drivers, by the prior where there is one and else by the model; p against the model alone
        (McNemar, exact).

    Raises
    ------
    InputError
        An effect or a slope is 0 or not finite.
    """
    for name, values in (("effect", effect), ("slope", slope)):
        if not (np.isfinite(values) & (values != 0)).all():
            raise InputError(
                f"A driver's {name} has no sign.", expected="numbers other than 0", got=values.min()
            )
    known = score != 0
    by_model, by_prior = same_sign(effect, slope), same_sign(score, slope)
    yield "prior_known", share_true(known)._replace(pval=None)
    yield "prior_agrees", share_true(same_sign(effect, score)[known])
    yield "sign_by_model", share_true(by_model[known])
    p = _fisher(score[known], slope[known])
    yield "sign_by_prior", share_true(by_prior[known])._replace(pval=p)
    yield "sign_by_prior_shuffled", shuffled_share(score[known], slope[known])
    either = np.where(known, by_prior, by_model)
    yield "sign_by_either", share_true(either)._replace(pval=_mcnemar(either, by_model))
    rest = int(by_model[~known].sum())
    yield "sign_by_either_shuffled", shuffled_share(score[known], slope[known], rest, int((~known).sum()))


def shuffled_share(score: Float, slope: Float, more_right: int = 0, more: int = 0) -> Share:
    """Share of right signs where n scores are dealt anew: the mean, and the range of 95 % of all deals.

    Parameters
    ----------
    more_right, more
        Drivers beside these n whose sign is not dealt: how many are right, of how many.
    """
    n, total = len(score), len(score) + more
    if not total:
        return Share(None, 0, None, None, None)
    up, raises = int((score > 0).sum()), int((slope > 0).sum())
    both = stats.hypergeom(n, raises, up)  # deals that give so many scores above 0 to slopes above 0

    def share(count: float) -> float:
        return float((n - up - raises + 2.0 * count + more_right) / total)

    mean = raises * up / n if n else 0.0
    low, high = (float(both.ppf(q)) for q in (0.025, 0.975)) if n else (0.0, 0.0)
    return Share(share(mean), total, share(low), share(high), None)


def _fisher(score: Float, slope: Float) -> float | None:
    if not len(score):
        return None
    up, raises = score > 0, slope > 0
    table = [[int((a & b).sum()) for a in (up, ~up)] for b in (raises, ~raises)]
    return float(stats.fisher_exact(table).pvalue)


def _mcnemar(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float | None:
    """Exact p of two judgements of the same drivers; None where they never differ."""
    differ = int((one != other).sum())
    return float(stats.binomtest(int((one & ~other).sum()), differ).pvalue) if differ else None
