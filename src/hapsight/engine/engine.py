"""Run a model on what is distinct among people's haplotypes, and give every person their values."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from threading import Lock
from typing import ParamSpec, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Gene
from hapsight.dna import Codes
from hapsight.engine.buffers import Buffer
from hapsight.engine.elements import predict_elements
from hapsight.engine.outputs import GenePrediction, at_gene, whole_values
from hapsight.engine.shared import Started, plan_of, shared_values, start_shared
from hapsight.engine.sharing import Plan
from hapsight.engine.views import Sequences, View, margin, of_genes, views
from hapsight.errors import ConfigError, ModelError
from hapsight.models.elements import ElementSum
from hapsight.models.protocol import ReadOut, SequenceModel, SharedModel
from hapsight.sequence.haplotypes import Haplotypes

__all__ = ["SHARES", "Valuer", "gathered", "least_budget", "predict_genes", "share", "usual_budget"]

_P = ParamSpec("_P")
_R = TypeVar("_R")

AHEAD = 4
"""Genes whose distinct work is found by threads while a GPU computes others."""

_BLOCK_BYTES = 16 * 2**20
"""Bytes of haplotypes that are built at once."""

SHARES = 3
"""What the budget is divided among: a gene's sequences, its embeddings, a batch."""

_BYTES_PER_BASE = 16
"""Of a base in a batch: four float32."""


@dataclass(frozen=True, slots=True, eq=False)
class _People:
    """What is left of a gene's haplotypes once they were read: who has which."""

    samples: tuple[str, ...]
    index: NDArray[np.intp]
    n_distinct: int
    n_variants: int
    dropped: Dropped

    @classmethod
    def of(cls, found: Haplotypes) -> _People:
        return cls(found.samples, found.index, len(found), found.n_variants, found.dropped)


def usual_budget(device: torch.device | str) -> int:
    """Bytes that the engine takes unless told: 2 GiB; of a GPU the power of two below half its free memory.

    A power of two, so that what else is on the GPU does not change the size of a batch.
    """
    device = torch.device(device)
    if device.type != "cuda":
        return 2 * 2**30
    free, _ = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # torch's own, unused
    return max(2**30, 1 << ((free // 2).bit_length() - 1))


def share(budget: int | None, device: torch.device | str) -> int:
    """Bytes that each of the `SHARES` has of a budget; None: of the `usual_budget`."""
    return (usual_budget(device) if budget is None else budget) // SHARES


def least_budget(model: SequenceModel) -> int:
    """Bytes without which not even one sequence of a model can be run."""
    return SHARES * _BYTES_PER_BASE * model.window.length


def predict_genes(
    sequences: Sequences,
    genes: Sequence[Gene],
    *,
    batch_size: int,
    device: torch.device | str,
    budget: int | None = None,
) -> list[GenePrediction]:
    """Predict the reference and all distinct haplotypes of some genes.

    Batches have one shape (the last one is filled up), so that a sequence's value does not depend on how many
    there are.

    Parameters
    ----------
    batch_size
        Sequences in a batch, or as many as the budget has room for.
    budget
        Bytes for sequences, embeddings and a batch, a third for each; a gene's sequences or embeddings that
        do not fit lie in a temporary file. The model, its inner layers, and what is known of a gene's people
        (which of its sequences each has) come on top. None: see `usual_budget`.

    Raises
    ------
    ConfigError
        The budget has no room for one sequence.
    """
    model, read_out, device = sequences.model, sequences.read_out, torch.device(device)
    if not genes:
        return []
    room = share(budget, device)
    _require_room(model, SHARES * room)
    batch_size = min(batch_size, room // (_BYTES_PER_BASE * model.window.length))
    if isinstance(model, ElementSum):
        return predict_elements(sequences, model, genes, batch_size=batch_size, device=device)
    made: dict[str, _People] = {}
    means: dict[int, NDArray[np.float64]] = {}
    flop = np.zeros(len(genes))
    all_views = list(views(model, read_out))
    beyond = Dropped()
    own = of_genes(model, read_out, genes, beyond)
    for view in all_views:
        parts: Iterable[tuple[NDArray[np.float64], float]]
        if isinstance(model, SharedModel):
            parts = _shared(model, sequences, view, genes, own, made, batch_size, device, room)
        else:
            parts = _whole(model, sequences, view, genes, made, batch_size, device)
        for g, (values, took) in enumerate(parts):
            means[g] = means.get(g, np.zeros(1)) + values / len(all_views)
            flop[g] += took
    made[genes[-1].gene_id].dropped.merge(beyond)
    return [
        _prediction(gene, made[gene.gene_id], mean, float(took))
        for gene, mean, took in zip(genes, means.values(), flop, strict=True)
    ]


def _require_room(model: SequenceModel, budget: int) -> None:
    if budget < least_budget(model):
        raise ConfigError(
            "The memory budget has no room for one sequence of the model.",
            where=f"budget_gb of [predict]; model {model.name}, {model.window.length:,} bp",
            expected=f"at least {least_budget(model) / 2**30:.2g}",
            got=f"{budget / 2**30:.2g}",
            fix="raise budget_gb",
        )


def _prediction(gene: Gene, found: _People, values: NDArray[np.float64], flop: float) -> GenePrediction:
    return GenePrediction(
        gene.gene_id, found.samples, values[0], values[1:], found.index, found.n_variants, found.dropped, flop
    )


def _shared(
    model: SharedModel,
    sequences: Sequences,
    view: View,
    genes: Sequence[Gene],
    own: Mapping[str, ReadOut],
    made: dict[str, _People],
    batch_size: int,
    device: torch.device,
    room: int,
) -> Iterator[tuple[NDArray[np.float64], float]]:
    """(1 + D, T) values and FLOP of each gene by its own read-out, local work shared between haplotypes."""
    ahead: tuple[Gene, Started] | None = None  # a GPU is at work on one gene while the next is handed to it
    together = _threads(device)
    find = _Preparation(model, sequences, view, room // max(1, together))
    for gene, (people, seen, plan) in zip(genes, _in_order(find, genes, together), strict=True):
        made[gene.gene_id] = people
        with at_gene(gene.gene_id):
            started = start_shared(
                model,
                view.reading(model, own[gene.gene_id]),
                seen,
                device=device,
                batch_size=batch_size,
                budget=room,
                plan=plan,
            )
        if ahead is not None:
            yield _finished(*ahead)
        ahead = gene, started
    if ahead is not None:
        yield _finished(*ahead)


def _threads(device: torch.device) -> int:
    """Threads that prepare genes: none beside a CPU that computes them."""
    return AHEAD if device.type == "cuda" else 0


@dataclass(frozen=True, slots=True)
class _Preparation:
    """What a gene takes before a device is asked: its people, its sequences, its distinct work."""

    model: SharedModel
    sequences: Sequences
    view: View
    room: int

    def __call__(self, gene: Gene) -> tuple[_People, Buffer, Plan]:
        found = self.sequences.find(gene)
        seen = gathered(found, self.view, margin(self.sequences.read_out), self.room)
        with at_gene(gene.gene_id):
            return _People.of(found), seen, plan_of(self.model, self.view.read_out, seen, self.room)


def _in_order(
    find: _Preparation, genes: Sequence[Gene], together: int
) -> Iterator[tuple[_People, Buffer, Plan]]:
    """`find` of every gene; `together` at a time on threads, of which one at a time reads files."""
    if together < 2 or len(genes) < 2:
        yield from map(find, genes)
        return
    lock, given = Lock(), find.sequences
    find = replace(
        find,
        sequences=replace(
            given,
            read_variants=_alone(lock, given.read_variants),
            fetch_reference=_alone(lock, given.fetch_reference),
        ),
    )
    coming, waiting = iter(genes), deque[Future[tuple[_People, Buffer, Plan]]]()
    with ThreadPoolExecutor(together) as pool:
        try:
            for gene in islice(coming, together):
                waiting.append(pool.submit(find, gene))
            while waiting:
                found = waiting.popleft().result()
                waiting.extend(pool.submit(find, gene) for gene in islice(coming, 1))
                yield found
        finally:
            pool.shutdown(cancel_futures=True)


def _alone(lock: Lock, function: Callable[_P, _R]) -> Callable[_P, _R]:
    """A function that no two threads are in."""

    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with lock:
            return function(*args, **kwargs)

    return call


def _finished(gene: Gene, started: Started) -> tuple[NDArray[np.float64], float]:
    with at_gene(gene.gene_id):
        return started.values(), started.work.flop


def _whole(
    model: SequenceModel,
    sequences: Sequences,
    view: View,
    genes: Sequence[Gene],
    made: dict[str, _People],
    batch_size: int,
    device: torch.device,
) -> Iterator[tuple[NDArray[np.float64], float]]:
    """(1 + D, T) values and FLOP of each gene, whole windows, batches across genes."""

    def rows() -> Iterator[Codes]:
        for gene in genes:
            found = sequences.find(gene)
            made[gene.gene_id] = _People.of(found)
            for block in _blocks(found, view, margin(sequences.read_out)):
                yield from block

    try:
        values = whole_values(model, view.read_out, rows(), batch_size, device)
    except ModelError as error:
        ends = np.cumsum([1 + found.n_distinct for found in made.values()])
        gene_id = list(made)[int(np.searchsorted(ends, error.row or 0, side="right"))]
        raise error.at(f"gene {gene_id}") from error
    ends = np.cumsum([1 + made[gene.gene_id].n_distinct for gene in genes])
    for part in np.split(values, ends)[: len(genes)]:
        yield part, len(part) * model.flop_per_pass


def _blocks(found: Haplotypes, view: View, beyond: int) -> Iterator[Codes]:
    """(n, L) codes of the reference, then of the distinct haplotypes, as the view has them; a few at once."""
    yield view.of(found.oriented(found.reference[None]), beyond)
    size = max(1, _BLOCK_BYTES // found.window.length)
    for first in range(0, len(found), size):
        yield view.of(found.oriented(found.codes(first, min(first + size, len(found)))), beyond)


def gathered(found: Haplotypes, view: View, beyond: int, room: int) -> Buffer:
    """(1 + D, L) codes of all of `_blocks`; beyond `room` bytes they lie in a temporary file."""
    out = Buffer.allocate((1 + len(found), found.window.length - 2 * beyond), torch.uint8, room)
    codes, filled = out.tensor.numpy(), 0
    for block in _blocks(found, view, beyond):
        codes[filled : filled + len(block)] = block
        filled += len(block)
        out.drop()
    return out


@dataclass(frozen=True, slots=True)
class Valuer:
    """A model and read-out, with what it takes to run them.

    Attributes
    ----------
    budget
        Bytes for sequences, embeddings and a batch, a third for each; None: as the device usually has.
    """

    model: SequenceModel
    read_out: ReadOut
    device: str
    batch_size: int = 64
    budget: int | None = None

    @property
    def beyond(self) -> int:
        """Bases on either side of the model's window that the read-out needs for its shifts."""
        return margin(self.read_out)

    def __call__(self, codes: Codes) -> tuple[NDArray[np.float64], float]:
        """(R, T) values of (R, L + 2 * beyond) codes in the model's orientation, and the FLOP they took.

        Work is shared between the sequences where the model's first layers are local.
        """
        every = list(views(self.model, self.read_out))
        mean = np.zeros((len(codes), len(self.read_out.tracks)))
        flop = 0.0
        for view in every if len(codes) else []:
            seen = view.of(codes, self.beyond)
            values, took = self._of_view(view.read_out, seen)
            mean += values / len(every)
            flop += took
        return mean, flop

    def _of_view(self, read_out: ReadOut, seen: Codes) -> tuple[NDArray[np.float64], float]:
        if not isinstance(self.model, SharedModel):
            values = whole_values(self.model, read_out, seen, self.batch_size, self.device)
            return values, len(seen) * self.model.flop_per_pass
        values, work = shared_values(
            self.model,
            read_out,
            seen,
            device=self.device,
            batch_size=self.batch_size,
            budget=share(self.budget, self.device),
        )
        return values, work.flop
