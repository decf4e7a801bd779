"""How much of each factor explains magnitude, and how little of it direction.

Logistic and linear regression without penalty, with intervals: all that one table of factors needs.

Where is the sign right? Genes in strata of one factor at a time.

Tables of R beside eQTLs, from the rows of genes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from hapsight.stats.correlation import is_constant
from hapsight.stats.direction import Effects, direction_and_magnitude, share_true
from hapsight.stats.summary import SIGNIFICANT, mean_interval
from hapsight.tables import DIRECTION, DIRECTION_FACTORS, DIRECTION_STRATA

__all__ = [
    "CLASSES",
    "FactorEffect",
    "Fit",
    "Stratum",
    "cut",
    "direction_tables",
    "explain",
    "factors_of",
    "linear",
    "logistic",
    "strata",
]

Float = NDArray[np.float64]

_STEPS = 50
_TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A regression of n outcomes on an intercept and K columns.

    Attributes
    ----------
    coefficient, ci_low, ci_high, pval
        (K,) of each column, without the intercept; 95 % interval, two-sided p. Wald's with the observed
        information for a logistic fit, t for a linear one.
    deviance, null_deviance
        What is left with the columns, and with the intercept alone: -2 log likelihood of a logistic fit,
        the sum of squared residuals of a linear one.
    """

    coefficient: Float
    ci_low: Float
    ci_high: Float
    pval: Float
    deviance: float
    null_deviance: float

    @property
    def explained(self) -> float:
        """Share of the null deviance: McFadden's R2 of a logistic fit, R2 of a linear one."""
        return 1.0 - self.deviance / self.null_deviance


def logistic(columns: Float, outcome: NDArray[np.bool_]) -> Fit | None:
    """Maximum likelihood by Newton's method, steps halved where the likelihood would fall.

    Parameters
    ----------
    columns
        (n, K) standardised, K >= 0.
    outcome
        (n,), both values present.

    Returns
    -------
    None where there is no maximum: the columns separate the classes, or are not independent.
    """
    design = np.column_stack([np.ones(len(outcome)), columns])
    y = outcome.astype(np.float64)
    beta = np.zeros(design.shape[1])
    deviance = _deviance(design, y, beta)
    for _ in range(_STEPS):
        information, score = _derivatives(design, y, beta)
        if np.linalg.cond(information) > 1e12:
            return None
        step = np.linalg.solve(information, score)
        while (new := _deviance(design, y, beta + step)) > deviance + _TOLERANCE:
            step /= 2.0
        beta, improved, deviance = beta + step, deviance - new, new
        if improved < _TOLERANCE * deviance and np.abs(step).max() < 1e-6:
            break
    else:
        return None
    se = np.sqrt(np.diagonal(np.linalg.inv(_derivatives(design, y, beta)[0])))[1:]
    mean = y.mean()
    null = -2.0 * len(y) * (scipy.special.xlogy(mean, mean) + scipy.special.xlogy(1 - mean, 1 - mean))
    return _fit(beta[1:], se, scipy.special.ndtri, scipy.special.ndtr, deviance, float(null))


def linear(columns: Float, outcome: Float) -> Fit | None:
    """Ordinary least squares.

    Parameters
    ----------
    columns
        (n, K), K >= 0.
    outcome
        (n,), not constant.

    Returns
    -------
    None where the columns are not independent, or leave no degree of freedom.
    """
    design = np.column_stack([np.ones(len(outcome)), columns])
    dof = len(outcome) - design.shape[1]
    if dof < 1 or np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    beta, *_ = np.linalg.lstsq(design, outcome)
    left = outcome - design @ beta
    variance = left @ left / dof
    se = np.sqrt(variance * np.diagonal(np.linalg.inv(design.T @ design)))[1:]
    centred = outcome - outcome.mean()
    kept = np.asarray(beta[1:], np.float64)
    quantile, below = partial(scipy.special.stdtrit, dof), partial(scipy.special.stdtr, dof)
    return _fit(kept, se, quantile, below, float(left @ left), float(centred @ centred))


def _deviance(design: Float, y: Float, beta: Float) -> float:
    eta = design @ beta
    return float(2.0 * np.sum(np.logaddexp(0.0, eta) - y * eta))


def _derivatives(design: Float, y: Float, beta: Float) -> tuple[Float, Float]:
    """Information (K + 1, K + 1) and score (K + 1,) at `beta`."""
    p = scipy.special.expit(design @ beta)
    return design.T @ (design * (p * (1 - p))[:, None]), design.T @ (y - p)


def _fit(
    beta: Float,
    se: Float,
    quantile: Callable[[float], float],
    below: Callable[[Float], Float],
    deviance: float,
    null: float,
) -> Fit:
    """With the quantiles of the law of ``beta / se``, symmetric about 0, and the probability below."""
    half = quantile(0.975) * se
    pval = np.asarray(2.0 * below(-np.abs(beta) / np.where(se > 0, se, np.nan)), np.float64)
    return Fit(beta, beta - half, beta + half, pval, deviance, null)


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
    if not factors or _fit_factor(outcome, _columns(factors)) is not None:
        return []
    for name in factors:
        rest = {other: values for other, values in factors.items() if other != name}
        if rest and _fit_factor(outcome, _columns(rest)) is not None:
            return [name]
    return list(factors)


def _columns(factors: Factors) -> Float:
    """(n, K) standardised."""
    return np.column_stack([(values - values.mean()) / values.std() for values in factors.values()])


def _regress(outcome: Outcome, factors: Factors) -> dict[str, dict[str, float]]:
    """Numbers by factor of a regression that has a solution."""
    columns = _columns(factors)
    fit = _fit_factor(outcome, columns)
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


def _fit_factor(outcome: Outcome, columns: Float) -> Fit | None:
    if outcome.dtype == np.bool_:
        return logistic(columns, np.asarray(outcome, np.bool_))
    return linear(columns, np.asarray(outcome, np.float64))


def _explained(outcome: Outcome, columns: Float) -> float:
    """Share explained by some columns of a regression that has a solution; NaN if theirs was not found."""
    fit = _fit_factor(outcome, columns)
    return np.nan if fit is None else fit.explained


_TERCILES: Final = (1 / 3, 2 / 3)

CLASSES: Final = MappingProxyType(
    {
        "distance": (1e3, 1e4, 1e5),
        "abs_slope": None,
        "maf": (0.05, 0.2),
        "mean_expression": None,
        "n_ld80": (1.0, 5.0, 20.0),
        "n_signals": (1.0, 2.0),
        "neg_log10_p": (4.0, 8.0),
        "in_window": (1.0,),
        "h2": None,
    }
)
"""Factor -> edges of its strata, each the first value of the upper one; None: terciles of the genes."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """The genes of one stratum of one factor.

    Attributes
    ----------
    rank
        0 is the lowest; the last may be the genes whose factor is not known.
    low, high
        Its smallest value, and the first value that is beyond it; None where it is open, or not known.
    known
        Whether the factor is known of these genes.
    n
        Genes.
    share_right, ci_low, ci_high
        Share with R > 0 and its 95 % Wilson interval.
    mean_r, mean_r_ci_low, mean_r_ci_high
        With the 95 % t interval; None where there are too few genes.
    """

    factor: str
    rank: int
    low: float | None
    high: float | None
    known: bool
    n: int
    share_right: float | None
    ci_low: float | None
    ci_high: float | None
    mean_r: float | None
    mean_r_ci_low: float | None
    mean_r_ci_high: float | None


def cut(factor: str, values: Float) -> tuple[float, ...]:
    """Edges of the strata of a factor: fixed ones, or terciles of the (n,) values (NaN where not known).

    Edges that part nothing (all values on one side) are left out, so a factor that is the same in all
    genes has one stratum.
    """
    fixed, values = CLASSES[factor], values[np.isfinite(values)]
    edges = np.quantile(values, _TERCILES) if fixed is None and len(values) else np.array(fixed or ())
    return tuple(float(edge) for edge in np.unique(edges) if (values < edge).any() and (values >= edge).any())


def strata(factor: str, values: Float, r: Float, edges: Sequence[float]) -> Iterator[Stratum]:
    """Every stratum of a factor that has genes; together they hold each gene once.

    Parameters
    ----------
    values
        (G,) the factor; NaN where it is not known.
    r
        (G,) correlation over people; not 0.
    edges
        Increasing, of `cut`; those of all models' genes, so that models have the same strata.
    """
    known = np.isfinite(values)
    bounds = (None, *edges, None)
    place = np.where(known, np.searchsorted(edges, values, side="right"), -1)
    for rank in range(len(edges) + 1):
        if (place == rank).any():
            yield _stratum(factor, rank, bounds[rank : rank + 2], True, r[place == rank])
    if not known.all():
        yield _stratum(factor, len(edges) + 1, (None, None), False, r[~known])


def _stratum(factor: str, rank: int, bounds: tuple[float | None, ...], known: bool, r: Float) -> Stratum:
    right, mean = share_true(r > 0), mean_interval(r)
    return Stratum(
        factor=factor,
        rank=rank,
        low=bounds[0],
        high=bounds[1],
        known=known,
        n=len(r),
        share_right=right.value,
        ci_low=right.ci_low,
        ci_high=right.ci_high,
        mean_r=mean.value,
        mean_r_ci_low=mean.ci_low,
        mean_r_ci_high=mean.ci_high,
    )


Row = dict[str, Any]


def factors_of(genes: pl.DataFrame) -> dict[str, Float]:
    """(G,) each: the factors of `CLASSES`; NaN where not known."""
    smallest = float(np.finfo(np.float64).tiny)
    columns = genes.select(
        "distance",
        "maf",
        "mean_expression",
        "n_ld80",
        "n_signals",
        "in_window",
        "h2",
        abs_slope=pl.col("slope").abs(),
        neg_log10_p=-pl.col("pval_nominal").clip(lower_bound=smallest).log10(),
    )
    return {c.name: c.cast(pl.Float64).fill_null(np.nan).to_numpy() for c in columns.iter_columns()}


def direction_tables(genes: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """``direction``, ``direction_strata`` and ``direction_factors`` of a table ``direction_genes``.

    Genes count that have both R (other than 0) and a top eQTL.
    """
    agreement: list[Row] = []
    strata_rows: list[Row] = []
    factor_rows: list[Row] = []
    labels = ["model", "read_out", "protocol"]
    counted = genes.filter(pl.col("sign_right").is_not_null() & pl.col("slope").is_not_null())
    edges = {factor: cut(factor, values) for factor, values in factors_of(counted).items()}
    for key, table in counted.group_by(labels, maintain_order=True):
        names = dict(zip(labels, key, strict=True))
        agreement += [names | found._asdict() for found in direction_and_magnitude(_effects(table))]
        factors, r = factors_of(table), table["pearson_r"].to_numpy()
        for factor, values in factors.items():
            strata_rows += [names | asdict(stratum) for stratum in strata(factor, values, r, edges[factor])]
        factor_rows += [names | row for row in _factor_rows(table, factors)]
    return {
        "direction": pl.DataFrame(agreement, schema=DIRECTION),
        "direction_strata": pl.DataFrame(strata_rows, schema=DIRECTION_STRATA),
        "direction_factors": pl.DataFrame(factor_rows, schema=DIRECTION_FACTORS),
    }


def _effects(table: pl.DataFrame) -> Effects:
    known = table.drop_nulls("model_slope")
    return Effects(
        r=known["pearson_r"].to_numpy(),
        model_slope=known["model_slope"].to_numpy(),
        eqtl_slope=known["slope"].to_numpy(),
        dosage_sd=known["dosage_sd"].to_numpy(),
        significant=(known["eqtl_qval"] < SIGNIFICANT).fill_null(False).to_numpy(),
    )


def _factor_rows(table: pl.DataFrame, factors: dict[str, Float]) -> Iterator[Row]:
    """Direction, and two measures of magnitude, on the same factors."""
    r = table["pearson_r"].to_numpy()
    slope = table["model_slope_sd"].fill_null(np.nan).to_numpy()
    moves = np.isfinite(slope) & (slope != 0)
    outcomes = {
        "sign_right": (r > 0, np.ones(len(r), np.bool_)),
        "abs_r": (np.abs(r), np.ones(len(r), np.bool_)),
        "log_abs_effect": (np.log10(np.abs(slope[moves])), moves),
    }
    for outcome, (values, kept) in outcomes.items():
        for found in explain(values, {name: column[kept] for name, column in factors.items()}):
            yield {"outcome": outcome} | asdict(found)
