"""Linkage disequilibrium: how far variants travel together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ld_with"]


def ld_with(dosage: NDArray[Any], variant: int) -> NDArray[np.float64]:
    """Pearson r of the dosage of one variant with that of each of the others, signed by ALT alleles.

    Parameters
    ----------
    dosage
        (V, N) ALT dosages.
    variant
        Index of the variant, such as a gene's strongest.

    Returns
    -------
    (V,) float64; 1 at `variant`, NaN where a variant (or `variant` itself) does not vary.
    """
    centred = dosage - dosage.mean(axis=1, keepdims=True, dtype=np.float64)
    norm = np.linalg.norm(centred, axis=1)
    size = norm * norm[variant]
    r = np.divide(centred @ centred[variant], size, out=np.full(len(dosage), np.nan), where=size > 0)
    return np.asarray(np.clip(r, -1.0, 1.0), dtype=np.float64)
