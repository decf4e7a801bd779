"""What an arithmetic does to the differences between people: signs lost, people that become equal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene
from hapsight.engine.arithmetic import Precision, in_arithmetic
from hapsight.engine.engine import predict_genes
from hapsight.engine.outputs import GenePrediction
from hapsight.engine.views import Sequences

__all__ = ["FLOAT32_ROUNDING", "LEAST_R", "MOST_LOST", "TENTHS", "PrecisionLoss", "compare", "predicted_in"]

TENTHS = 10
"""Groups of differences by size, the smallest tenth first."""

LEAST_R, MOST_LOST = 0.999, 0.01
"""An arithmetic is refused where personal predictions of a gene correlate less than this with the exact ones,
or where more than this share of signs is lost."""

FLOAT32_ROUNDING = 2.0**-21
"""Error of a float32 value of a model, relative to the largest: 2e-7 to 4e-7 were measured."""


@dataclass(frozen=True, slots=True)
class PrecisionLoss:
    """What became of differences in one arithmetic, against a more exact one.

    Attributes
    ----------
    differences
        Distinct haplotypes (and tracks) whose exact value differs from the reference sequence's.
    largest_error
        Of a value, relative to the largest absolute value.
    signs_lost
        Share of the differences that have another sign, or none.
    equal
        Share of them that became exactly 0.
    lost_by_tenth
        `signs_lost` by size of the exact difference, the smallest tenth first.
    genes
        Genes whose exact personal predictions differ between people.
    constant
        Of these, genes where all people became equal.
    lowest_r, median_r
        Over the other genes: correlation of people's predictions with the exact ones; None without any.
    below
        Genes with r below `LEAST_R`, the constant ones included.
    """

    differences: int
    largest_error: float
    signs_lost: float
    equal: float
    lost_by_tenth: tuple[float, ...]
    genes: int
    constant: int
    lowest_r: float | None
    median_r: float | None
    below: int

    @property
    def acceptable(self) -> bool:
        """Whether a result in this arithmetic can be told from an exact one by nobody."""
        kept = self.constant == 0 and (self.lowest_r is None or self.lowest_r >= LEAST_R)
        return kept and self.signs_lost <= MOST_LOST


def predicted_in(
    precision: Precision | Literal["float64"],
    sequences: Sequences,
    genes: Sequence[Gene],
    *,
    batch_size: int,
    device: torch.device | str,
    budget: int | None = None,
    back_to: Precision = "float32",
    compiled: bool = False,
) -> list[GenePrediction]:
    """`predict_genes` in this arithmetic; afterwards the model is `in_arithmetic` `back_to` again."""
    in_arithmetic(sequences.model, device, precision)
    try:
        return predict_genes(sequences, genes, batch_size=batch_size, device=device, budget=budget)
    finally:
        in_arithmetic(sequences.model, device, back_to, compiled=compiled)


def compare(
    exact: Sequence[GenePrediction], other: Sequence[GenePrediction], floor: float = 0.0
) -> PrecisionLoss:
    """Compare the predictions of the same genes in two arithmetics, `exact` being the truth.

    Parameters
    ----------
    floor
        Differences up to this share of the largest absolute value of their gene count as none: what the
        exact arithmetic cannot tell from its own rounding. `FLOAT32_ROUNDING` where that is float32.
    """
    pairs = list(zip(exact, other, strict=True))
    wanted = np.concatenate([_differences(a, floor).ravel() for a, _ in pairs])
    found = np.concatenate([_differences(b).ravel() for _, b in pairs])
    error = max(float(np.abs(a.distinct - b.distinct).max(initial=0.0)) for a, b in pairs)
    largest = max(float(np.abs(a.distinct).max(initial=0.0)) for a, _ in pairs)
    real = wanted != 0
    lost = np.sign(found[real]) != np.sign(wanted[real])
    r = np.array([value for a, b in pairs for value in _person_r(a, b, floor)])
    known = r[~np.isnan(r)]
    return PrecisionLoss(
        differences=int(real.sum()),
        largest_error=error / largest if largest else 0.0,
        signs_lost=_mean(lost),
        equal=_mean(found[real] == 0),
        lost_by_tenth=_by_tenth(np.abs(wanted[real]), lost),
        genes=len(r),
        constant=int(np.isnan(r).sum()),
        lowest_r=float(known.min()) if len(known) else None,
        median_r=float(np.median(known)) if len(known) else None,
        below=int((~(r >= LEAST_R)).sum()),
    )


def _differences(found: GenePrediction, floor: float = 0.0) -> NDArray[np.float64]:
    """(D, T) distinct haplotypes less the reference; 0 where that is rounding."""
    made = found.distinct - found.reference
    return np.where(np.abs(made) > floor * _largest(found), made, 0.0)


def _largest(found: GenePrediction) -> float:
    return max(float(np.abs(part).max(initial=0.0)) for part in (found.distinct, found.reference))


def _mean(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else 0.0


def _by_tenth(size: NDArray[np.float64], lost: NDArray[np.bool_]) -> tuple[float, ...]:
    order = np.argsort(size, kind="stable")
    return tuple(_mean(lost[part]) for part in np.array_split(order, TENTHS))


def _person_r(exact: GenePrediction, other: GenePrediction, floor: float) -> list[float]:
    """Correlation over people, for each track whose exact predictions differ; NaN where the others do not."""
    wanted, found = exact.values.mean(axis=1), other.values.mean(axis=1)  # (N, T)
    differ = np.ptp(wanted, axis=0) > floor * _largest(exact)
    return [_r(wanted[:, t], found[:, t]) for t in np.flatnonzero(differ)]


def _r(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    if np.ptp(b) == 0:
        return float("nan")
    x, y = a - a.mean(), b - b.mean()
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))
