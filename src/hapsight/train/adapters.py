"""Any registered model as something to train: which of its parameters, on what, and how it is read out.

A model with local layers is a trunk (these layers) and a head (what reads them); any other is all head.
Networks stay in evaluation mode, so that batch statistics and dropout play no part and the value that is
trained is the value that the engine predicts.

A gene's distinct haplotypes are taken as the engine takes them: the local layers run on distinct stretches
(`hapsight.engine.sharing`), and their gradients flow back through the same stretches. Where the local
layers are frozen, their outputs are computed once and kept.

Low-rank additions to the weights of a network's layers (LoRA, Hu et al. 2022) are parametrisations of the
weight itself (`torch.nn.utils.parametrize`). So they are exact for every linear layer and convolution,
whatever its stride, dilation, padding mode or groups, and for code that reads a layer's weight past the
layer, such as some rows of a head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils import parametrize

from hapsight.dna import Codes
from hapsight.engine.buffers import allocate
from hapsight.engine.outputs import of_shape
from hapsight.engine.sharing import DistinctPositions, Stretches, cut_stretches, distinct_positions
from hapsight.engine.views import margin, views
from hapsight.errors import ConfigError
from hapsight.models.forward import with_gradients
from hapsight.models.protocol import ReadOut, SequenceModel, SharedModel
from hapsight.train.checkpoints import write_tensors

__all__ = [
    "Adapter",
    "CachedView",
    "GeneInput",
    "LowRank",
    "Mode",
    "SharedView",
    "View",
    "WholeView",
    "adapt",
    "add_lora",
    "cached",
    "merged_state",
    "network_of",
    "randomise",
]

Index = NDArray[np.intp]

_EMBED_BASES: Final = 32_768
"""Bases that are embedded in one batch."""

_READ_TOGETHER: Final = 64
"""Haplotypes that are read in one batch where no gradient is wanted."""


class View(Protocol):
    """One way to present D haplotypes of a gene to a model (a strand, a shift)."""

    def values(self, rows: Index) -> torch.Tensor:
        """(B,) read-out of these haplotypes, with a graph inside of `with_gradients`."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it holds."""


@dataclass(frozen=True, slots=True, eq=False)
class GeneInput:
    """A gene's haplotypes, in every view whose mean is the read-out."""

    views: Sequence[View]

    def values(self, rows: Index) -> torch.Tensor:
        """(B,) read-out of the distinct haplotypes `rows`; differentiable inside of `with_gradients`."""
        return torch.stack([view.values(rows) for view in self.views]).mean(dim=0)

    def predict(self, rows: Index) -> NDArray[np.float64]:
        """(B,) the same numbers, without gradients."""
        parts = [np.empty(0)]
        with with_gradients(), torch.no_grad():  # the same arithmetic as in training, and no graph
            for first in range(0, len(rows), _READ_TOGETHER):
                values = self.values(rows[first : first + _READ_TOGETHER])
                parts.append(values.double().cpu().numpy())
        return np.concatenate(parts)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it holds."""
        return sum(view.nbytes for view in self.views)


@dataclass(frozen=True, slots=True, eq=False)
class WholeView:
    """Haplotypes of a model that has no local layers: (D, L) codes."""

    model: SequenceModel
    read_out: ReadOut
    codes: Codes
    device: torch.device

    def values(self, rows: Index) -> torch.Tensor:
        """(B,) read-out, one whole pass each."""
        codes = torch.from_numpy(np.ascontiguousarray(self.codes[rows])).to(self.device)
        given = self.model.predict(codes, self.read_out)
        return of_shape(self.model, given, len(rows), len(self.read_out.tracks))[:, 0]

    @property
    def nbytes(self) -> int:
        """Bytes of the codes."""
        return self.codes.nbytes


class SharedView:
    """Haplotypes (D, L) of a model with local layers, in terms of their distinct positions."""

    def __init__(self, model: SharedModel, read_out: ReadOut, codes: Codes, device: torch.device) -> None:
        self.model, self.read_out, self.device = model, read_out, device
        self.codes = np.ascontiguousarray(codes)
        span = model.span(read_out)
        self.distinct: DistinctPositions = distinct_positions(self.codes, model.grid, span)
        self.stretches: Stretches = cut_stretches(self.distinct, model.grid, codes.shape[1], span)
        counts = np.diff(self.stretches.first)
        self._stretch_of = np.repeat(np.arange(len(self.stretches)), counts)  # (positions,)

    def values(self, rows: Index) -> torch.Tensor:
        """(B,) read-out; each distinct position that the haplotypes have is computed once."""
        index = self.distinct.index[rows]  # (B, P)
        needed, place = np.unique(index, return_inverse=True)
        with parametrize.cached():  # low-rank additions are added once, not for every batch of stretches
            table = self.positions(needed)  # (K, C)
            embedding = table[torch.from_numpy(place.reshape(index.shape)).to(self.device)]  # (B, P, C)
            given = self.model.read(embedding, self.read_out)
        return of_shape(self.model, given, len(rows), len(self.read_out.tracks))[:, 0]

    def positions(self, needed: Index) -> torch.Tensor:
        """(K, C) embedding of these distinct positions, on the device."""
        stretches, of = self.stretches, self._stretch_of[needed]
        found, order = [], []
        for members in self._batches(np.unique(of)):
            codes = self._codes_of(members)
            positions, channels = codes.shape[1] // self.model.grid.stride, self.model.grid.channels
            embedded = of_shape(self.model, self.model.embed(codes), len(codes), positions, channels)
            asked = np.flatnonzero(np.isin(of, members))
            row = np.searchsorted(members, of[asked])
            skip = stretches.skip[needed[asked]]
            found.append(embedded[torch.from_numpy(row), torch.from_numpy(skip)])
            order.append(asked)
        back = np.argsort(np.concatenate(order))
        return torch.cat(found)[torch.from_numpy(back).to(self.device)]

    def _batches(self, stretches: Index) -> Sequence[Index]:
        """Stretches of one length together, in ascending order within a batch, not too many at once."""
        batches: list[Index] = []
        lengths = self.stretches.length[stretches]
        for length in np.unique(lengths):
            members = stretches[lengths == length]
            size = max(1, _EMBED_BASES // int(length))
            batches += [members[first : first + size] for first in range(0, len(members), size)]
        return batches

    def _codes_of(self, members: Index) -> torch.Tensor:
        at, length = self.stretches.start, self.stretches.length
        rows = [self.codes[self.stretches.row[s], at[s] : at[s] + length[s]] for s in members]
        return torch.from_numpy(np.stack(rows)).to(self.device)

    @property
    def nbytes(self) -> int:
        """Bytes of codes and index."""
        return self.codes.nbytes + self.distinct.index.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class CachedView:
    """Haplotypes whose embedding is known: a (positions, C) table on the CPU, and each one's (D, P) rows."""

    model: SharedModel
    read_out: ReadOut
    table: torch.Tensor
    index: Index
    device: torch.device

    def values(self, rows: Index) -> torch.Tensor:
        """(B,) read-out; only the layers behind the embedding run."""
        embedding = self.table[torch.from_numpy(self.index[rows])].to(self.device)  # (B, P, C)
        given = self.model.read(embedding, self.read_out)
        return of_shape(self.model, given, len(rows), len(self.read_out.tracks))[:, 0]

    @property
    def nbytes(self) -> int:
        """Bytes of table and index, in memory or in a file."""
        return self.table.nbytes + self.index.nbytes


def cached(view: SharedView, budget: int) -> CachedView:
    """Compute all of a view's positions once; beyond `budget` bytes they go to a temporary file."""
    count, table = len(view.distinct.row), None
    step = max(1, _EMBED_BASES // view.model.grid.stride)
    with torch.no_grad():
        for first in range(0, count, step):
            made = view.positions(np.arange(first, min(first + step, count))).cpu()
            if table is None:
                table = allocate((count, made.shape[1]), made.dtype, budget)
            table[first : first + len(made)] = made
    assert table is not None, "a window has at least one position"
    return CachedView(view.model, view.read_out, table, view.distinct.index, view.device)


_LAYERS: Final = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_SCALE: Final = 2.0
"""What the product of the matrices is multiplied by (LoRA's alpha over its rank)."""

_PLACE: Final = "parametrizations.weight.0"
"""What torch calls an addition within its layer."""


class LowRank(nn.Module):
    """``weight + 2 * up @ down``: a weight (out, ...) is seen as a matrix (out, product of the rest).

    Attributes
    ----------
    down
        (rank, product of the rest), at first as torch draws the weights of layers.
    up
        (out, rank), at first 0.
    """

    def __init__(self, weight: torch.Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        outputs, inputs = weight.shape[0], weight[0].numel()
        rank, bound = min(rank, outputs, inputs), inputs**-0.5
        down = torch.empty(rank, inputs).uniform_(-bound, bound, generator=generator)
        self.down = nn.Parameter(down.to(weight))
        self.up = nn.Parameter(weight.new_zeros(outputs, rank))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight with the addition, of the same shape."""
        return weight + _SCALE * (self.up @ self.down).view_as(weight)


def add_lora(network: nn.Module, rank: int, seed: int) -> None:
    """Add trainable low-rank matrices to all linear layers and convolutions of a network; freeze the rest.

    The network's outputs stay as they are until something is learnt. The weights that were there are called
    ``<layer>.parametrizations.weight.original`` in its state dict, the additions
    ``<layer>.parametrizations.weight.0.down`` and ``.up``.

    Parameters
    ----------
    rank
        Rank of the additions; of a smaller layer, its smaller dimension.

    Raises
    ------
    ConfigError
        There is no such layer.
    """
    layers = [m for m in network.modules() if isinstance(m, _LAYERS) and not parametrize.is_parametrized(m)]
    if not layers:
        raise ConfigError(
            "The network has no layer for low-rank additions.",
            expected=", ".join(f"torch.nn.{layer.__name__}" for layer in _LAYERS),
            fix="use the mode full",
        )
    network.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)  # of the CPU: the same numbers on every device
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, rank, generator))


def merged_state(network: nn.Module) -> dict[str, torch.Tensor]:
    """State dict under the network's own names, low-rank additions added to the weights they go with.

    The weights are to the bit those that the network computes with.
    """
    merged = network.state_dict()
    for name, module in network.named_modules():
        if isinstance(module, LowRank):
            prefix = name.removesuffix(_PLACE)
            layer = network.get_submodule(prefix.rstrip("."))
            assert isinstance(layer, _LAYERS)
            merged = {own: t for own, t in merged.items() if not own.startswith(f"{prefix}parametrizations.")}
            merged[f"{prefix}weight"] = layer.weight.detach()
    return merged


Mode = Literal["full", "frozen", "lora"]

LORA_RANK: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """A model that is ready to be trained.

    Attributes
    ----------
    model
        In its local form, if it has one.
    network
        Its parameters; those with ``requires_grad`` are trained.
    mode
        ``full``: all parameters; ``frozen``: those of the head; ``lora``: low-rank additions to all
        linear layers and convolutions.
    """

    model: SequenceModel
    read_out: ReadOut
    network: nn.Module
    mode: Mode
    device: torch.device

    @property
    def beyond(self) -> int:
        """Bases on either side of the model's window that the read-out needs for its shifts."""
        return margin(self.read_out)

    def gene(self, codes: Codes, budget: int) -> GeneInput:
        """Take up (D, L + 2 * beyond) distinct haplotypes in the model's orientation.

        Parameters
        ----------
        budget
            Bytes that the outputs of a frozen trunk may take in memory; more go to a temporary file.
        """
        return GeneInput(list(self._views(codes, budget)))

    def _views(self, codes: Codes, budget: int) -> Iterator[View]:
        for view in views(self.model, self.read_out):
            seen = view.of(codes, self.beyond)
            if not isinstance(self.model, SharedModel):
                yield WholeView(self.model, view.read_out, np.ascontiguousarray(seen), self.device)
                continue
            shared = SharedView(self.model, view.read_out, seen, self.device)
            yield cached(shared, budget) if self.mode == "frozen" else shared

    def save(self, path: Path) -> None:
        """Write the weights, low-rank additions added in, as a file that the model's loader reads."""
        state = merged_state(self.network)
        write_tensors(path, {name: t for name, t in state.items() if t.is_floating_point()})


def adapt(
    model: SequenceModel, read_out: ReadOut, mode: Mode, *, device: torch.device | str, seed: int = 0
) -> Adapter:
    """Prepare a model for training; its parameters change in place.

    Parameters
    ----------
    seed
        Of the low-rank additions' first values.

    Raises
    ------
    ConfigError
        An unknown mode, a read-out of several tracks, a model without parameters, a frozen trunk asked of a
        model that has none, or low-rank additions asked of one without a linear layer or convolution.
    """
    if mode not in get_args(Mode):
        known = ", ".join(get_args(Mode))
        raise ConfigError("There is no such mode of training.", expected=known, got=repr(mode))
    if len(read_out.tracks) != 1:
        raise ConfigError(
            "Only a read-out of one track can be trained on one number per person.",
            where=f"{model.name}, read-out {read_out.name}",
            expected="1 track",
            got=f"{len(read_out.tracks)} tracks",
            fix="choose another `read_out`, or the model's option that picks a track",
        )
    network, local = network_of(model), model.local()
    where = torch.device(device)
    network.requires_grad_(True)
    if mode == "frozen":
        _freeze_trunk(local, read_out, network, where)
    elif mode == "lora":
        add_lora(network, LORA_RANK, seed)
    return Adapter(local, read_out, network, mode, where)


def network_of(model: SequenceModel) -> nn.Module:
    """The torch module with a model's parameters.

    Raises
    ------
    ConfigError
        It has none.
    """
    own = {name: value for name, value in vars(model).items() if isinstance(value, nn.Module)}
    if not any(True for module in own.values() for _ in module.parameters()):
        raise ConfigError(
            f"Model {model.name} has no parameters that torch can train.",
            expected="an attribute that is a torch.nn.Module, such as `network`",
            got=", ".join(sorted(vars(model))),
        )
    return next(iter(own.values())) if len(own) == 1 else nn.ModuleDict(own)


def randomise(network: nn.Module, seed: int) -> None:
    """Give a network the weights it had before anything was learnt, as its layers draw them.

    Raises
    ------
    ConfigError
        A layer does not know how its weights are drawn.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for name, module in network.named_modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
            elif any(True for _ in module.parameters(recurse=False)):
                raise ConfigError(
                    "A layer cannot be given random weights: it does not know how they are drawn.",
                    where=f"{name or 'the network'} ({type(module).__name__})",
                    expected="a method reset_parameters",
                    fix='run the model with `weights = "random:<seed>"` instead, where it has that',
                )


def _freeze_trunk(model: SequenceModel, read_out: ReadOut, network: nn.Module, device: torch.device) -> None:
    """Leave only those parameters to be trained that the read-out reaches behind the embedding."""
    if not isinstance(model, SharedModel):
        raise ConfigError(
            f"Model {model.name} has no local layers that could be frozen: it is all head.",
            expected="full or lora",
            got="frozen",
        )
    first, last = model.span(read_out)
    parameters = list(network.parameters())
    codes = torch.zeros((1, model.window.length), dtype=torch.uint8, device=device)
    with with_gradients():
        embedding = model.embed(codes)[:, first:last].detach()
        found = torch.autograd.grad(model.read(embedding, read_out).sum(), parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, found, strict=True):
        parameter.requires_grad_(gradient is not None)
