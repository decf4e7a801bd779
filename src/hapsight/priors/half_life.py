"""Half-life features of genes into Xpresso, which has an input for them beside the sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene
from hapsight.dna import reverse_complement
from hapsight.predict.windows import window_of
from hapsight.sequence.haplotypes import FetchReference

if TYPE_CHECKING:
    from hapsight.models.xpresso import Xpresso

__all__ = ["half_life_predictions"]


def half_life_predictions(
    model: Xpresso, genes: Sequence[Gene], features: NDArray[np.float64], fetch_reference: FetchReference
) -> NDArray[np.float64]:
    """Xpresso on the reference sequence of each gene, with the gene's own features.

    Parameters
    ----------
    features
        (G, H, 6): of each of G genes, H sets of features to try, standardised as in Xpresso's training.

    Returns
    -------
    (G, H) predictions, float64.
    """
    import torch

    found = np.empty(features.shape[:2])
    for row, gene, sets in zip(found, genes, features, strict=True):
        window = window_of(gene, model)
        codes = fetch_reference(window.interval)
        codes = np.ascontiguousarray(reverse_complement(codes) if window.reverse else codes)
        given = torch.from_numpy(codes).to(model.half_life.device), torch.from_numpy(sets)
        row[:] = model.predict_with_half_lives(*given).cpu().numpy()
    return found
