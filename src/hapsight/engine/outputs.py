"""What a model gave, if it is what a model has to give; else an error that names the model, and the gene.

Plain passes over any sequences, and the values of a gene's people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from itertools import islice
from typing import Concatenate, Final, ParamSpec, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Gene
from hapsight.dna import Codes
from hapsight.errors import ModelError
from hapsight.models.protocol import ReadOut, SequenceModel

__all__ = [
    "GenePrediction",
    "at_gene",
    "finite",
    "finite_values",
    "names_its_gene",
    "of_shape",
    "whole_values",
]

_BASES = 2**20
"""Of the sequences of a batch, at most: the embeddings of 64 wide windows do not fit into memory."""

_P = ParamSpec("_P")
_R = TypeVar("_R")

_SHAPES: Final = (
    "let `predict` give (sequences, tracks), and layers what hapsight.models.protocol asks of them"
)
_FINITE: Final = "look for a division by 0, a logarithm of 0 or an overflow in the model or its weights"


def of_shape(model: SequenceModel, given: object, *shape: int) -> torch.Tensor:
    """What a model gave, if it is a float tensor of this shape; nothing is copied or waited for.

    Raises
    ------
    ModelError
        It is something else.
    """
    if isinstance(given, torch.Tensor) and given.is_floating_point() and tuple(given.shape) == shape:
        return given
    got = f"{given.dtype} {tuple(given.shape)}" if isinstance(given, torch.Tensor) else type(given).__name__
    raise ModelError(
        "A model gives something else than it should.",
        where=f"model {model.name}",
        expected=f"a float tensor of shape {shape}",
        got=got,
        fix=_SHAPES,
    )


def finite_values(model: SequenceModel, read_out: ReadOut, given: object, rows: int) -> NDArray[np.float64]:
    """(rows, T) a batch's read-out, on the CPU.

    Raises
    ------
    ModelError
        It is no float tensor (rows, T), or holds a value that is no finite float32; `ModelError.row` says
        in which row.
    """
    values = of_shape(model, given, rows, len(read_out.tracks)).double().cpu().numpy()
    return finite(model, values, "value")


def finite(model: SequenceModel, values: NDArray[np.float64], what: str) -> NDArray[np.float64]:
    """(R, ...) numbers of a model, if each is finite as float32; `what` they are, in a word.

    Raises
    ------
    ModelError
        Some are not; `ModelError.row` is the first row with one.
    """
    wrong = ~(np.abs(values) <= np.finfo(np.float32).max)
    if not wrong.any():
        return values
    rows = np.flatnonzero(wrong.reshape(len(values), -1).any(axis=1))
    raise ModelError(
        f"A model gives a {what} that is not a finite number.",
        where=f"model {model.name}",
        expected="finite numbers, as float32 has them",
        got=f"{float(values[wrong][0])} for {len(rows)} of {len(values)} sequences",
        fix=_FINITE,
        row=int(rows[0]),
    )


@contextmanager
def at_gene(gene_id: str) -> Iterator[None]:
    """Name a gene in what is wrong with a model inside of the block."""
    try:
        yield
    except ModelError as error:
        raise error.at(f"gene {gene_id}") from error


def names_its_gene(function: Callable[Concatenate[Gene, _P], _R]) -> Callable[Concatenate[Gene, _P], _R]:
    """Let a function name its first argument, a gene, in what is wrong with a model."""

    @wraps(function)
    def named(gene: Gene, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        with at_gene(gene.gene_id):
            return function(gene, *args, **kwargs)

    return named


@dataclass(frozen=True, slots=True, eq=False)
class GenePrediction:
    """One gene's raw values, as the device gave them: T tracks, D distinct haplotypes, N people.

    Attributes
    ----------
    reference
        (T,) value of the reference sequence.
    distinct
        (D, T) value of each distinct haplotype.
    index
        (N, 2) row of `distinct` for each person's two haplotypes.
    flop
        Floating-point operations that the model took.
    """

    gene_id: str
    samples: tuple[str, ...]
    reference: NDArray[np.float64]
    distinct: NDArray[np.float64]
    index: NDArray[np.intp]
    n_variants: int
    dropped: Dropped
    flop: float

    @property
    def values(self) -> NDArray[np.float64]:
        """(N, 2, T) raw value of every person's two haplotypes."""
        return self.distinct[self.index]


def whole_values(
    model: SequenceModel,
    read_out: ReadOut,
    rows: Iterable[Codes],
    batch_size: int,
    device: torch.device | str,
) -> NDArray[np.float64]:
    """(R, T) read-out of R sequences, in batches of one shape; of fewer sequences where windows are wide.

    Raises
    ------
    ModelError
        It is not finite, or no read-out; `row` says of which sequence.
    """
    source, parts, done = iter(rows), list[torch.Tensor](), 0
    batch_size = max(1, min(batch_size, _BASES // model.window.length))
    with torch.inference_mode():
        while batch := list(islice(source, batch_size)):
            filled = batch + [batch[-1]] * (batch_size - len(batch))
            codes = torch.from_numpy(np.stack(filled)).to(device, non_blocking=True)
            try:
                made = of_shape(model, model.predict(codes, read_out), len(filled), len(read_out.tracks))
            except ModelError as error:
                error.row = done
                raise
            parts.append(made[: len(batch)].double())
            done += len(batch)
        return finite(model, torch.cat(parts).cpu().numpy(), "value")
