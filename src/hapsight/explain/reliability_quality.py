"""Are probabilities of a right sign worth anything: against the base rate, with intervals over genes.

How well scores put the positives first: average precision, beside a baseline, with intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.explain.reliability import FEWEST, ridge_logistic
from hapsight.stats.ranks import Estimate
from hapsight.stats.summary import SIGNIFICANT

__all__ = [
    "CHOICES",
    "TOO_FEW",
    "Abstention",
    "Kept",
    "Quality",
    "abstention",
    "average_precision",
    "judge",
    "judged_genes",
    "kept_right",
    "ranked",
]

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

TOO_FEW = f"Too few genes with a right or a wrong sign to estimate a reliability: it takes {FEWEST} of each."


@dataclass(frozen=True, slots=True)
class Quality:
    """Out-of-fold probabilities of n genes, judged; 95 % intervals of a bootstrap over genes.

    Attributes
    ----------
    share_right
        The base rate, and the average precision of a ranking at random.
    ap
        Average precision: mean over right genes of the share right among all ranked as high.
    brier, brier_base
        Mean squared error of the probabilities, and of the base rate of the same training genes.
    brier_gain
        What the probabilities take away from the base rate's error.
    calibration
        Slope of the logistic regression of the outcome on the logit: 1 for calibrated probabilities, below
        for too bold ones; None where all genes have the same probability.
    beats_base_rate
        Whether both intervals, of ``ap - share_right`` and of `brier_gain`, lie above 0.
    """

    n: int
    share_right: float
    ap: float
    ap_low: float
    ap_high: float
    ap_gain_low: float
    ap_gain_high: float
    brier: float
    brier_base: float
    brier_gain: float
    brier_gain_low: float
    brier_gain_high: float
    calibration: float | None
    beats_base_rate: bool

    @property
    def verdict(self) -> str:
        """One sentence."""
        numbers = (
            f"average precision {self.ap:.3f} [{self.ap_low:.3f}, {self.ap_high:.3f}] against a base rate of "
            f"{self.share_right:.3f}; squared error {self.brier:.4f} against {self.brier_base:.4f}"
        )
        if self.beats_base_rate:
            return f"The probabilities are better than the base rate on these {self.n} genes: {numbers}."
        return (
            f"The probabilities are not shown to be better than the base rate on these {self.n} genes, "
            f"so they should not be used to choose genes: {numbers}."
        )


@dataclass(frozen=True, slots=True, eq=False)
class Abstention:
    """What is gained where the least sure genes get no answer.

    Attributes
    ----------
    kept
        (P,) share of genes with at least some probability, rising to 1.
    right
        (P,) share of these whose sign is right.
    """

    kept: Float
    right: Float


def average_precision(probability: Float, right: Mask) -> float:
    """Mean over right genes of the share right among all with at least its probability; ties go together."""
    curve = abstention(probability, right)
    hits = np.round(curve.kept * curve.right * len(right))
    return float(np.sum(np.diff(hits, prepend=0.0) * curve.right) / max(hits[-1], 1.0))


def abstention(probability: Float, right: Mask) -> Abstention:
    """Share of genes kept v share right, one point per distinct probability; G >= 1."""
    order = np.argsort(-probability, kind="stable")
    last = np.append(np.diff(probability[order]) != 0, True)
    n = np.arange(1, len(order) + 1)
    return Abstention((n / len(order))[last], (np.cumsum(right[order]) / n)[last])


@dataclass(frozen=True, slots=True)
class Kept:
    """The n things of the largest scores: how many of their signs are right; 95 % intervals over stretches.

    Attributes
    ----------
    share
        Of all things, as asked for.
    least
        Smallest score among them.
    right
        Share of right signs.
    gain
        That share less the share of all things.
    """

    share: float
    n: int
    least: float
    right: float
    ci_low: float
    ci_high: float
    gain: float
    gain_low: float
    gain_high: float


def kept_right(
    score: Float,
    right: Mask,
    stretch: NDArray[np.int64],
    shares: Sequence[float],
    rng: np.random.Generator,
    draws: int = 1000,
) -> list[Kept]:
    """How many signs are right where scores are largest, of G > 0 things.

    Of equal scores the first come first. Intervals are of a bootstrap over stretches of the genome, whole
    ones being drawn: neighbours share variants and haplotypes. The things that are kept are chosen anew in
    every draw.

    Parameters
    ----------
    score, right, stretch
        (G,) of each thing.
    shares
        Above 0, at most 1; at least one thing is kept.
    """
    order = np.argsort(-score, kind="stable")
    members = [np.flatnonzero(stretch[order] == one) for one in np.unique(stretch)]
    ordered, own = right[order], _shares_right(right[order], shares)
    drawn = np.empty((draws, len(shares) + 1))
    for draw in drawn:
        chosen = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        draw[:-1], draw[-1] = _shares_right(ordered[np.sort(chosen)], shares), ordered[chosen].mean()
    low, high = np.quantile(drawn[:, :-1], (0.025, 0.975), axis=0)
    gain_low, gain_high = np.quantile(drawn[:, :-1] - drawn[:, -1:], (0.025, 0.975), axis=0)
    every = float(right.mean())
    found = []
    for place, share in enumerate(shares):
        n = _kept(len(right), share)
        interval = (float(low[place]), float(high[place]))
        gained = (float(gain_low[place]), float(gain_high[place]))
        value = float(own[place])
        found.append(Kept(share, n, float(score[order[n - 1]]), value, *interval, value - every, *gained))
    return found


def _kept(n: int, share: float) -> int:
    return max(1, round(share * n))


def _shares_right(ordered: Mask, shares: Sequence[float]) -> Float:
    """(S,) share of right signs among the first of (G,) ordered things."""
    return np.array([ordered[: _kept(len(ordered), share)].mean() for share in shares])


def judge(
    probability: Float, base_rate: Float, right: Mask, rng: np.random.Generator, draws: int = 1000
) -> Quality | None:
    """Judge (G,) out-of-fold probabilities against (G,) base rates of the same training genes.

    Returns
    -------
    None where all outcomes are the same.
    """
    if right.all() or not right.any():
        return None
    error = (probability - right) ** 2
    gain = (base_rate - right) ** 2 - error
    found = np.array([_resampled(probability, gain, right, rng) for _ in range(draws)])
    (ap_low, gap_low, gain_low), (ap_high, gap_high, gain_high) = np.quantile(found, (0.025, 0.975), axis=0)
    return Quality(
        n=len(right),
        share_right=float(right.mean()),
        ap=average_precision(probability, right),
        ap_low=float(ap_low),
        ap_high=float(ap_high),
        ap_gain_low=float(gap_low),
        ap_gain_high=float(gap_high),
        brier=float(error.mean()),
        brier_base=float((error + gain).mean()),
        brier_gain=float(gain.mean()),
        brier_gain_low=float(gain_low),
        brier_gain_high=float(gain_high),
        calibration=_slope(probability, right),
        beats_base_rate=bool(gap_low > 0 and gain_low > 0),
    )


CHOICES: Final = ("all", "significant")
"""Of the genes that are judged: all, and those with a significant R."""


def judged_genes(table: pl.DataFrame, choice: str, rng: np.random.Generator) -> dict[str, Any]:
    """A row of ``explain/reliability_summary`` without its labels, from rows of ``explain/reliability``.

    Parameters
    ----------
    choice
        One of `CHOICES`; the probabilities are the same.
    """
    genes = table.filter(pl.col("qval") < SIGNIFICANT) if choice == "significant" else table
    row: dict[str, Any] = {"genes": choice, "n": genes.height, "beats_base_rate": False, "verdict": TOO_FEW}
    if not genes.height or genes["probability"].null_count():
        return row
    said, base, right = (genes[name].to_numpy() for name in ("probability", "base_rate", "sign_right"))
    quality = judge(said, base, right, rng)
    return row if quality is None else row | asdict(quality) | {"verdict": quality.verdict}


def _resampled(
    probability: Float, gain: Float, right: Mask, rng: np.random.Generator
) -> tuple[float, float, float]:
    chosen = rng.integers(len(right), size=len(right))
    ap = average_precision(probability[chosen], right[chosen])
    return ap, ap - float(right[chosen].mean()), float(gain[chosen].mean())


def _slope(probability: Float, right: Mask) -> float | None:
    clipped = probability.clip(1e-6, 1 - 1e-6)
    logit = np.log(clipped / (1 - clipped))
    if np.ptp(logit) < 1e-9:
        return None
    return float(ridge_logistic(logit[:, None], right, 1e-6)[1])


_FEWEST: Final = 0.5
"""Share of the draws that must hold both classes for an interval to be given."""


def ranked(
    scores: Mapping[str, Float],
    baseline: str,
    positive: NDArray[np.bool_],
    rng: np.random.Generator,
    draws: int = 1000,
) -> dict[tuple[str, str], Estimate]:
    """Average precision of each score (n,), and what it has over that of the `baseline`.

    95 % intervals are of a bootstrap over the n things, the same draws for all scores; draws without both
    classes are drawn in vain. An interval is not given where half of the draws are.

    Returns
    -------
    Estimates by ``(score, "auprc")`` and ``(score, "auprc_gain")``; no values where all are of one class.
    """
    n, ones = len(positive), int(np.count_nonzero(positive))
    if ones in (0, n):
        return {(name, "auprc"): Estimate(n, n_positive=ones) for name in scores}
    chosen = rng.integers(n, size=(draws, n))
    chosen = chosen[positive[chosen].any(axis=1) & ~positive[chosen].all(axis=1)]
    drawn = {
        name: np.array([average_precision(score[c], positive[c]) for c in chosen])
        for name, score in scores.items()
    }
    own = {name: average_precision(score, positive) for name, score in scores.items()}
    known = len(chosen) >= _FEWEST * draws
    found = {}
    for name in scores:
        found[name, "auprc"] = _estimate(n, ones, own[name], drawn[name], known)
        if name != baseline:
            gain = drawn[name] - drawn[baseline]
            found[name, "auprc_gain"] = _estimate(n, ones, own[name] - own[baseline], gain, known)
    return found


def _estimate(n: int, ones: int, value: float, drawn: Float, known: bool) -> Estimate:
    if not known:
        return Estimate(n, value, n_positive=ones)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Estimate(n, value, float(low), float(high), ones)
