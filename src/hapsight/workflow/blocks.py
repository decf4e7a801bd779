"""Blocks of neighbouring genes, a unit of work each: of about equal predicted work, or of a size asked for.

The blocks depend on the genes, the genotypes' index and the configuration, never on who does the work, so
that a run goes on with other workers from where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from typing import Final

import numpy as np

from hapsight.cohort.nouns import Gene
from hapsight.workflow.opened import Opened

__all__ = ["Block", "blocks_of_size", "even_blocks", "linear_blocks", "model_target"]

Block = tuple[str, Sequence[Gene]]
"""Its name and genes."""

_MOST: Final = 32
"""Genes in a block, however little each takes: reading and writing take time too."""

_LINEAR: Final = 2e8
"""Variants times people in a linear block: about a minute of the elastic net, 0.57 s a gene at 1.6e6."""

_CPU: Final = 5e12
"""Floating-point operations in a block of a model: a minute at 83 GFLOP a second."""
_GPU: Final = 5e14
"""The same on a GPU."""


def blocks_of_size(genes: Sequence[Gene], size: int) -> list[Block]:
    """Blocks of `size` genes."""
    starts = range(0, len(genes), size)
    return [(_name(number), genes[first : first + size]) for number, first in enumerate(starts)]


def even_blocks(genes: Sequence[Gene], cost: Callable[[Gene], float], target: float) -> list[Block]:
    """Blocks of about `target` predicted cost, each of one contig and of about 32 genes at most.

    Along a contig costs are laid end to end and cut in lengths of `target`; a gene is in the length where its
    middle is. So a gene that costs more is alone in its block or nearly so, a block's cost is off by at most
    half of its first and half of its last gene, and genes that come behind leave all blocks but the last as
    they are.
    """
    blocks: list[Sequence[Gene]] = []
    first = 0
    for _, part in groupby(genes, key=lambda gene: gene.contig):
        costs = np.array([max(cost(gene), target / _MOST) for gene in part])
        length = np.floor((np.cumsum(costs) - costs / 2) / target)
        cuts = np.flatnonzero(np.diff(length)) + 1
        edges = [first, *(first + cuts).tolist(), first + len(costs)]
        blocks += [genes[start:end] for start, end in pairwise(edges)]
        first += len(costs)
    return [(_name(number), block) for number, block in enumerate(blocks)]


def linear_blocks(opened: Opened, cis_window: int, size: int | None) -> list[Block]:
    """All genes, for linear methods: the work grows with the variants of the cis window, and with people."""
    cohort = opened.cohort
    if size is not None:
        return blocks_of_size(cohort.genes, size)

    def cost(gene: Gene) -> float:
        return cohort.genotypes.expected_records(gene.cis(cis_window)) * len(cohort.samples)

    return even_blocks(cohort.genes, cost, _LINEAR)


def model_target(device: str) -> float:
    """Floating-point operations of a model's block on such a device."""
    return _CPU if device.startswith("cpu") else _GPU


def _name(number: int) -> str:
    return f"block-{number:05d}"
