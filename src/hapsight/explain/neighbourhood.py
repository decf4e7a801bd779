"""How much the bases around a driver matter, beside those around the TSS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hapsight.dna import Codes
from hapsight.errors import InputError

__all__ = ["SHARES", "Neighbourhood", "importance", "neighbourhood"]

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
