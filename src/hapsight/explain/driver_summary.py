"""Drivers of many genes in a few numbers: how many, where, how often supported, and who goes wrong.

How much the bases around a driver matter, beside those around the TSS.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from hapsight.dna import Codes
from hapsight.errors import InputError
from hapsight.explain.support import prior_shares
from hapsight.stats.direction import Share, share_true

__all__ = [
    "CHANGED",
    "GROUPS",
    "PUBLISHED",
    "RUNS",
    "SHARES",
    "STRONG",
    "Neighbourhood",
    "driver_summary",
    "importance",
    "median_interval",
    "neighbourhood",
]

Float = NDArray[np.float64]

SHARES: Final = (0.05, 0.1, 0.2, 0.5)
"""Shares of the largest importance near the TSS at which runs are measured."""


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """The bases around a driver.

    Attributes
    ----------
    share_of_max
        Largest abs(importance) within reach of the driver, over that within reach of the TSS.
    runs
        For each of `SHARES`: bases in one run with the driver, itself included, whose importance has the
        driver's sign and is at least that share of the TSS's largest; 0 where the driver's own is not.
    """

    share_of_max: float
    runs: tuple[int, ...]


def importance(saturation: Float, sequence: Codes) -> Float:
    """What each base contributes: less the mean effect of the three that could stand in its place.

    Parameters
    ----------
    saturation
        (L, 4) effect of putting A, C, G, T in place of the base; that of the base itself is not looked at.
    sequence
        (L,) codes; an N has importance 0.

    Returns
    -------
    (L,) positive where the base raises the prediction.
    """
    other = np.arange(4) != sequence[:, None]
    mean = np.where(other, saturation, 0.0).sum(axis=1) / 3.0
    return np.where(sequence < 4, -mean, 0.0)


def neighbourhood(around_driver: Float, driver: int, around_tss: Float, reach: int = 20) -> Neighbourhood:
    """Compare the importance of bases near a driver with the largest near the TSS (Sasse et al. 2023).

    Parameters
    ----------
    around_driver
        (M,) `importance` of the bases around the driver, at least `reach` on either side unless the window
        ends.
    driver
        Its place in `around_driver`.
    around_tss
        (K,) importance of the bases around the TSS, in the paper 1 kb on either side.

    Raises
    ------
    InputError
        Nothing near the TSS has any importance, or the driver lies outside.
    """
    largest = float(np.abs(around_tss).max(initial=0.0))
    if largest == 0 or not 0 <= driver < len(around_driver):
        raise InputError(
            "A driver's neighbourhood cannot be measured.",
            expected=f"importance other than 0 near the TSS, and a driver among {len(around_driver)} bases",
            got=f"largest importance near the TSS {largest:g}, driver at {driver}",
        )
    near = around_driver[max(0, driver - reach) : driver + reach + 1]
    signed = around_driver * np.sign(around_driver[driver])
    runs = tuple(_run(signed >= share * largest, driver) for share in SHARES)
    return Neighbourhood(float(np.abs(near).max()) / largest, runs)


def _run(above: NDArray[np.bool_], place: int) -> int:
    """Length of the run of true values through `place`; 0 where it is false."""
    if not above[place]:
        return 0
    stops = np.flatnonzero(~above)
    before = stops[stops < place]
    after = stops[stops > place]
    first = before[-1] + 1 if len(before) else 0
    end = after[0] if len(after) else len(above)
    return int(end - first)


Row = dict[str, Any]

STRONG: Final = 0.2
"""abs(R) above which Sasse et al. 2023 explain a gene."""

PUBLISHED: Final[Mapping[str, float]] = MappingProxyType({"additivity": 0.95})
"""Numbers of Sasse et al. 2023 (Enformer, ROSMAP cortex, 839 people) for genes with abs(R) > 0.2."""

GROUPS: Final[Mapping[str, pl.Expr]] = MappingProxyType(
    {
        "all": pl.lit(True),
        "strong": pl.col("pearson_r").abs() > STRONG,
        "strong_right": pl.col("pearson_r") > STRONG,
        "strong_wrong": pl.col("pearson_r") < -STRONG,
        "half1_strong": pl.col("r_half1").abs() > STRONG,
        "half1_right": pl.col("r_half1") > STRONG,
        "half1_wrong": pl.col("r_half1") < -STRONG,
    }
)
"""Choices of genes: by R among all people, or by R among half 1 alone."""

CHANGED: Final = ("gain", "loss", "change")
"""Kinds of motif change other than none."""

RUNS: Final = tuple(f"run_{share:.0%}".rstrip("%") for share in SHARES)
"""Columns of run lengths around the main driver, one for each of the shares."""

_STRATA: Final[Mapping[str, tuple[float, ...]]] = MappingProxyType(
    {
        "distance": (1e3, 1e4, 1e5),
        "maf": (0.05, 0.2),
        "n_drivers": (2, 3),
        "spread": (0.1, 0.5),
        "additivity": (0.5, 0.9),
    }
)


def driver_summary(drivers: pl.DataFrame) -> Iterator[Row]:
    """Summarise the rows of one model and one form.

    Parameters
    ----------
    drivers
        Columns ``hapsight.explain.tables.DRIVERS``.

    Yields
    ------
    Columns of ``hapsight.explain.tables.DRIVER_SUMMARY`` without the labels and ``form``. Shares have Wilson
    intervals and two-sided binomial p against 1/2, medians intervals from order statistics (both 95 %);
    ``driver_motif`` has McNemar's exact p against the controls of the same genes. Where drivers have a sign
    prior: `hapsight.explain.support.prior_shares`, by the slopes of half 2 for ``half1_*``.
    """
    known = drivers.filter(pl.col("pearson_r").is_not_null())
    for name, chosen in GROUPS.items():
        genes = known.filter(chosen)
        if name.startswith("half1"):
            yield _share("supported_half2", name, genes["supported_half2"])
            yield from _priors(name, genes, "slope_half2")
            continue
        yield _row("genes", name, value=float(genes.height), n=genes.height)
        yield from _described(name, genes)
        yield _share("supported_cohort", name, genes["supported_cohort"])
        yield _share("supported_given", name, genes["supported_given"])
        yield from _priors(name, genes, "slope")
        yield from _motifs(name, genes)
    for name in ("all", "strong"):
        yield from _strata(name, known.filter(GROUPS[name] & pl.col("sign_right").is_not_null()))


def median_interval(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """95 % interval of the median of (n,) values by order statistics; None for fewer than 6."""
    n = len(values)
    if n < 6:
        return None
    low = int(scipy.stats.binom.ppf(0.025, n, 0.5)) - 1
    ordered = np.sort(values)
    return float(ordered[low]), float(ordered[n - 1 - low])


def _described(group: str, genes: pl.DataFrame) -> Iterator[Row]:
    """Whether there are drivers, how many, and where they lie."""
    additive = genes["additivity"].drop_nulls()
    yield _median("additivity", group, additive, PUBLISHED["additivity"] if group == "strong" else None)
    able = genes.filter(pl.col("additivity").is_not_null())
    yield _share("with_driver", group, able["n_drivers"] > 0) | {"pval": None}
    found = able.filter(pl.col("n_drivers") > 0)
    for quantity in ("n_drivers", "distance", "maf", "spread"):
        yield _median(quantity, group, found[quantity].drop_nulls())
    yield _share("with_saturation", group, found["share_of_tss_max"].is_not_null()) | {"pval": None}
    for quantity in ("share_of_tss_max", *RUNS):
        yield _median(quantity, group, found[quantity].drop_nulls())


def _motifs(group: str, genes: pl.DataFrame) -> Iterator[Row]:
    """How often drivers change a motif, and how often other variants of the same genes do."""
    pairs = genes.filter(pl.col("motif").is_not_null() & pl.col("control_motif").is_not_null())
    driver, control = (pairs[name].is_in(CHANGED) for name in ("motif", "control_motif"))
    alone, differ = int((driver & ~control).sum()), int((driver != control).sum())
    p = float(scipy.stats.binomtest(alone, differ).pvalue) if differ else None
    yield _share("driver_motif", group, driver) | {"pval": p}
    yield _share("control_motif", group, control) | {"pval": None}


def _priors(group: str, genes: pl.DataFrame, slope: str) -> Iterator[Row]:
    """How often signs are right by the model and by a sign prior; nothing where no driver has a prior."""
    if genes["prior_score"].is_null().all():
        return
    judged = genes.filter(pl.col("effect").fill_null(0) != 0, pl.col(slope).is_finite(), pl.col(slope) != 0)
    numbers = (judged[name].fill_null(0.0).to_numpy() for name in ("effect", "prior_score", slope))
    for quantity, share in prior_shares(*numbers):
        yield _row(quantity, group, **share._asdict())


def _strata(group: str, genes: pl.DataFrame) -> Iterator[Row]:
    """How often the sign is right by one property of the main driver at a time."""
    for factor, edges in _STRATA.items():
        values = genes[factor].cast(pl.Float64).fill_null(np.nan).to_numpy()
        place = np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="right"))
        levels = [(rank, _between(factor, edges, rank)) for rank in range(len(edges) + 1)]
        yield from _levels(group, factor, genes, place, [*levels, (-1, "not known")])
    kinds = [*CHANGED, "none"]
    codes = np.array([kinds.index(kind) if kind in kinds else -1 for kind in genes["motif"]], np.int64)
    yield from _levels(group, "motif", genes, codes, [*enumerate(kinds), (-1, "not known")])


def _levels(
    group: str,
    factor: str,
    genes: pl.DataFrame,
    place: NDArray[np.int64],
    levels: Sequence[tuple[int, str]],
) -> Iterator[Row]:
    for rank, level in levels:
        chosen = genes["sign_right"].filter(pl.Series(place == rank))
        if len(chosen):
            shown = len(levels) if rank < 0 else rank
            yield _share("sign_right", group, chosen) | {"factor": factor, "rank": shown, "level": level}


def _between(factor: str, edges: Sequence[float], rank: int) -> str:
    scale, unit = (1000, " kb") if factor == "distance" else (1, "")
    low = None if rank == 0 else f"{edges[rank - 1] / scale:g}"
    high = None if rank == len(edges) else f"{edges[rank] / scale:g}"
    if factor == "n_drivers":
        return ("0 or 1", "2", "3 or more")[rank]
    if low is None:
        return f"below {high}{unit}"
    return f"{low}{unit} or more" if high is None else f"{low} to {high}{unit}"


def _row(quantity: str, group: str, **numbers: float | int | str | None) -> Row:
    return {"quantity": quantity, "genes": group, **numbers}


def _share(quantity: str, group: str, outcomes: pl.Series) -> Row:
    found: Share = share_true(outcomes.drop_nulls().cast(pl.Boolean).to_numpy())
    return _row(quantity, group, **found._asdict())


def _median(quantity: str, group: str, values: pl.Series, published: float | None = None) -> Row:
    numbers = values.cast(pl.Float64).to_numpy()
    low, high = median_interval(numbers) or (None, None)
    value = float(np.median(numbers)) if len(numbers) else None
    return _row(quantity, group, value=value, n=len(numbers), ci_low=low, ci_high=high, published=published)
