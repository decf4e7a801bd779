"""Direction at accessibility and at expression, of the same variants; whether one carries to the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.errors import InputError
from hapsight.stats.ranks import Estimate, grouped_mean
from hapsight.validate.qtl import right_sign

__all__ = ["GAP", "gap_estimates", "modality_gap"]

Float = NDArray[np.float64]

GAP: Final = {
    "quantity": pl.String,
    "value": pl.Float64,
    "n": pl.Int64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
}
"""Columns of `modality_gap`."""


class GapEstimate(NamedTuple):
    """One number of the gap."""

    quantity: str
    found: Estimate


def modality_gap(
    effect: Float,
    accessibility: Float,
    expression: Float,
    stretch: NDArray[np.int64],
    *,
    gene_effect: Float | None = None,
    seed: int = 1,
    draws: int = 1000,
) -> pl.DataFrame:
    """Set a model's direction at accessibility beside its direction at expression, on the same variants.

    Intervals are bootstraps over stretches of a chromosome, in which variants share sites and haplotypes.
    An effect or slope that is 0 or NaN has no sign, and its variant is not counted where that is asked for.

    Parameters
    ----------
    effect
        (n,) a model's effects of ALT at each variant's own place.
    accessibility, expression
        (n,) measured slopes per the same ALT: of an accessibility QTL, and of an eQTL.
    stretch
        (n,) stretch of each variant, any whole numbers.
    gene_effect
        (n,) the model's effects in the window of the eQTL's gene; NaN beyond it.

    Returns
    -------
    One row per quantity (``docs/modality.md``): `accessibility_right`, `expression_right`, their difference
    `gap`, `measured_carries`, `carries_if_right`, `carries_if_wrong`, `carries_difference`,
    `measured_carries_if_wrong`, `mediation`; with `gene_effect` also `expression_right.gene`, `gap.gene`.
    Without variants a value is null; of fewer than five stretches its interval.

    Raises
    ------
    InputError
        Shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.array([1.0, 2.0, -1.0, 1.0])
    >>> rows = modality_gap(one, np.ones(4), -np.ones(4), np.arange(4))
    >>> dict(zip(rows["quantity"], rows["value"]))["gap"]
    0.5
    """
    given = [effect, accessibility, expression, *([] if gene_effect is None else [gene_effect])]
    if {np.shape(side) for side in (*given, stretch)} != {(len(stretch),)}:
        raise InputError(
            "The gap needs one effect, two slopes and a stretch of every variant.",
            expected=(len(stretch),),
            got=", ".join(str(np.shape(side)) for side in (*given, stretch)),
        )
    first, second, third = (np.asarray(side, np.float64) for side in (effect, accessibility, expression))
    rng = np.random.default_rng(seed)
    found = gap_estimates(first, second, third, stretch, rng, gene_effect=gene_effect, draws=draws)
    rows = [(q, e.value, e.n, e.ci_low, e.ci_high) for q, e in found]
    return pl.DataFrame(rows, schema=GAP, orient="row")


def gap_estimates(
    effect: Float,
    accessibility: Float,
    expression: Float,
    stretch: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    gene_effect: Float | None = None,
    draws: int = 1000,
) -> Iterator[GapEstimate]:
    """The numbers of `modality_gap`, with the caller's random numbers."""
    signs = _signs(effect, accessibility, expression, gene_effect)
    for quantity, (values, less) in _quantities(signs).items():
        yield GapEstimate(quantity, grouped_mean(values, stretch, rng, less=less, draws=draws))


def _signs(
    effect: Float, accessibility: Float, expression: Float, gene_effect: Float | None
) -> dict[str, Float]:
    """(n,) whether signs are equal, by what is compared; `at` and `ex` on the variants that have both."""
    at, ex = right_sign(effect, accessibility), right_sign(effect, expression)
    found = {"at": at, "ex": ex, "measured": right_sign(accessibility, expression)}
    known = np.isfinite(at) & np.isfinite(ex)
    found |= {name: np.where(known, found[name], np.nan) for name in ("at", "ex")}
    if gene_effect is not None:
        gene = right_sign(np.asarray(gene_effect, np.float64), expression)
        found["gene"] = gene
        found["at_gene"], found["gene_at"] = (
            np.where(np.isfinite(gene) & np.isfinite(at), side, np.nan) for side in (at, gene)
        )
    return found


def _quantities(signs: Mapping[str, Float]) -> dict[str, tuple[Float, Float | None]]:
    """What each number is the mean of, and the mean of what is taken off."""
    at, ex = signs["at"], signs["ex"]
    if_right, if_wrong = (np.where(at == side, ex, np.nan) for side in (1.0, 0.0))
    measured = signs["measured"]
    measured_if_right, measured_if_wrong = (np.where(at == side, measured, np.nan) for side in (1.0, 0.0))
    found: dict[str, tuple[Float, Float | None]] = {
        "accessibility_right": (at, None),
        "expression_right": (ex, None),
        "gap": (at, ex),
        "measured_carries": (measured, None),
        "carries_if_right": (if_right, None),
        "carries_if_wrong": (if_wrong, None),
        "carries_difference": (if_right, if_wrong),
        "measured_carries_if_wrong": (measured_if_wrong, None),
        "mediation": (measured_if_right, measured_if_wrong),
    }
    if "gene" in signs:
        found["expression_right.gene"] = signs["gene"], None
        found["gap.gene"] = signs["at_gene"], signs["gene_at"]
    return found
