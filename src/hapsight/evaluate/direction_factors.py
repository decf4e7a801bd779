"""How much of each factor explains magnitude, and how little of it direction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from hapsight.evaluate.correlation import is_constant
from hapsight.evaluate.regression import Fit, linear, logistic

__all__ = ["FactorEffect", "explain"]

Float = NDArray[np.float64]
Factors = Mapping[str, Float]
Outcome = Float | NDArray[np.bool_]

Status = Literal["ok", "constant", "missing", "too few genes", "one outcome only", "separated"]


@dataclass(frozen=True, slots=True)
class FactorEffect:
    """One factor in one regression of all factors; numbers are None unless `status` is ``"ok"``.

    Attributes
    ----------
    status
        Why the factor, or the whole regression, is left out.
    n, n_left_out
        Genes of the regression; genes that some factor is not known of.
    coefficient, ci_low, ci_high, pval
        Per standard deviation of the factor beside the others; log odds where the outcome is a sign.
    alone
        Share that this factor explains by itself.
    unique
        Share that is lost when it alone is dropped.
    whole
        Share that all factors explain together.
    by_chance
        What `whole` is expected to be where no factor matters.
    """

    factor: str
    status: Status
    n: int
    n_left_out: int
    coefficient: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    pval: float | None = None
    alone: float | None = None
    unique: float | None = None
    whole: float | None = None
    by_chance: float | None = None


_LOGARITHMIC: Final = {"distance": 1.0, "n_ld80": 1.0, "abs_slope": 0.0}
"""Factors that enter by their logarithm, and what is added before."""


def _scaled(name: str, values: Float) -> Float:
    if name not in _LOGARITHMIC:
        return values
    moved = values + _LOGARITHMIC[name]
    return np.log10(moved, out=np.full(len(values), np.nan), where=moved > 0)


def explain(outcome: Outcome, factors: Factors) -> Iterator[FactorEffect]:
    """Regress an outcome on all factors at once, and say what each of them explains.

    A share is R2 (linear), or McFadden's R2 (logistic, of the deviance; for weak effects about as large as
    R2). Factors that vary together share what they explain: it is counted in the `alone` of each of them,
    and in the `unique` of none. ``distance``, ``n_ld80`` (both + 1) and ``abs_slope`` enter by their
    logarithms.

    Parameters
    ----------
    outcome
        (G,) bool for a logistic regression, numbers for a linear one.
    factors
        (G,) each, NaN where not known. A factor that is known of no gene, or the same in all, is left out
        and named, and so is one that has no finite effect (it separates the outcomes, or follows from the
        others); a gene of which a remaining factor is not known is left out and counted.
    """
    scaled = {name: _scaled(name, values) for name, values in factors.items()}
    left_out = {name: status for name, values in scaled.items() if (status := _useless(values))}
    used = {name: values for name, values in scaled.items() if name not in left_out}
    known = np.ones(len(outcome), np.bool_)
    for values in used.values():
        known &= np.isfinite(values)
    used = {name: values[known] for name, values in used.items()}
    left_out |= {name: "constant" for name, values in used.items() if len(values) and is_constant(values)}
    used = {name: values for name, values in used.items() if name not in left_out}
    status = _unfit(outcome[known], used)
    if status is None:
        left_out |= dict.fromkeys(_in_the_way(outcome[known], used), "separated")
    else:
        left_out |= dict.fromkeys(used, status)
    used = {name: values for name, values in used.items() if name not in left_out}
    found = _regress(outcome[known], used) if used else {}
    n, n_left_out = int(known.sum()), int((~known).sum())
    for name in factors:
        yield FactorEffect(name, left_out.get(name, "ok"), n, n_left_out, **found.get(name, {}))


def _useless(values: Float) -> Status | None:
    known = values[np.isfinite(values)]
    if not len(known):
        return "missing"
    return "constant" if is_constant(known) else None


def _unfit(outcome: Outcome, factors: Factors) -> Status | None:
    """Why there can be no regression at all; None where there may be one."""
    if len(outcome) < 2 * (len(factors) + 2):
        return "too few genes"
    return "one outcome only" if is_constant(np.asarray(outcome, np.float64)) else None


def _in_the_way(outcome: Outcome, factors: Factors) -> list[str]:
    """Factors without which the regression has a solution: none, one, or all where one is not enough."""
    if not factors or _fit(outcome, _columns(factors)) is not None:
        return []
    for name in factors:
        rest = {other: values for other, values in factors.items() if other != name}
        if rest and _fit(outcome, _columns(rest)) is not None:
            return [name]
    return list(factors)


def _columns(factors: Factors) -> Float:
    """(n, K) standardised."""
    return np.column_stack([(values - values.mean()) / values.std() for values in factors.values()])


def _regress(outcome: Outcome, factors: Factors) -> dict[str, dict[str, float]]:
    """Numbers by factor of a regression that has a solution."""
    columns = _columns(factors)
    fit = _fit(outcome, columns)
    if fit is None:
        return {}
    k = len(factors)
    chance = k / fit.null_deviance if outcome.dtype == np.bool_ else k / (len(outcome) - 1)
    return {
        name: {
            "coefficient": float(fit.coefficient[i]),
            "ci_low": float(fit.ci_low[i]),
            "ci_high": float(fit.ci_high[i]),
            "pval": float(fit.pval[i]),
            "alone": _explained(outcome, columns[:, [i]]),
            "unique": fit.explained - _explained(outcome, np.delete(columns, i, axis=1)),
            "whole": fit.explained,
            "by_chance": chance,
        }
        for i, name in enumerate(factors)
    }


def _fit(outcome: Outcome, columns: Float) -> Fit | None:
    if outcome.dtype == np.bool_:
        return logistic(columns, np.asarray(outcome, np.bool_))
    return linear(columns, np.asarray(outcome, np.float64))


def _explained(outcome: Outcome, columns: Float) -> float:
    """Share explained by some columns of a regression that has a solution; NaN if theirs was not found."""
    fit = _fit(outcome, columns)
    return np.nan if fit is None else fit.explained
