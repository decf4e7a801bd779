"""What a prior adds: a quantity with it, without it, and with its shuffled control, on the same folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapsight.evaluate.paired import Mean, mean_interval

__all__ = ["Ablation", "over_genes"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ablation:
    """One quantity over `n` genes.

    Attributes
    ----------
    without, with_prior, alone, shuffled
        The quantity without the prior, with it, with nothing but it, and with its control in its place.
    gain
        With less without, and its 95 % interval.
    over_shuffled
        With less the control, likewise.
    """

    n: int
    without: float | None
    with_prior: float | None
    alone: float | None
    shuffled: float | None
    gain: Mean
    over_shuffled: Mean

    def columns(self) -> dict[str, float | int | None]:
        """As columns of `hapsight.priors_tables.PRIOR_ABLATION`."""
        return {
            "n": self.n,
            "without": self.without,
            "with_prior": self.with_prior,
            "alone": self.alone,
            "shuffled": self.shuffled,
            **{
                name: value
                for label, mean in (("gain", self.gain), ("over_shuffled", self.over_shuffled))
                for name, value in (
                    (label, mean.value),
                    (f"{label}_ci_low", mean.ci_low),
                    (f"{label}_ci_high", mean.ci_high),
                )
            },
        }


def over_genes(without: Floats, with_prior: Floats, alone: Floats, shuffled: Floats) -> Ablation:
    """Means over G genes and paired differences, with t intervals that take genes as independent.

    Parameters
    ----------
    without, with_prior, alone, shuffled
        (G,) of each gene; of several draws of the control, their mean.
    """
    return Ablation(
        len(without),
        mean_interval(without).value,
        mean_interval(with_prior).value,
        mean_interval(alone).value,
        mean_interval(shuffled).value,
        mean_interval(with_prior - without),
        mean_interval(with_prior - shuffled),
    )
