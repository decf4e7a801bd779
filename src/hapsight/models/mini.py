"""mini: hapsight's own small model; transcription and accessibility around a TSS in 256 bins of 32 bases.

Its convolutions to bins are local and shared between people; what comes behind reads 63 bins on either side.
Weights that were trained on human chr22 come with hapsight: ``docs/mini.md`` tells on what, and how good they
are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, replace
from typing import Final, Self

import torch

from hapsight.errors import ConfigError
from hapsight.models import loading, mini_net
from hapsight.models.forward import (
    evaluation,
    one_hot,
    require_positions,
    require_read_out,
    require_stretch,
    require_window,
)
from hapsight.models.mini_net import DILATIONS, REACH, STRIDE, MiniNet
from hapsight.models.protocol import Grid, ModelWindow, OutputBins, ReadOut, SharedModel, Track

__all__ = ["BINS", "Mini", "load", "mirrored_tracks", "read_outs_of"]

LENGTH: Final = 8_192
BINS: Final = LENGTH // STRIDE
TSS_BINS: Final = tuple(range(BINS // 2 - 16, BINS // 2 + 16))
"""The 512 bases on either side of the TSS."""

LOG1P_SUM: Final = "log1p_sum"
"""Bins are combined as log(1 + their sum): what was measured, on a log scale."""

MEAN_LINEAR: Final = "mean_linear"
"""Bins are combined as the mean of the head before its softplus: its gradient does not vanish where little is
transcribed, so that it can be trained on people."""

DTYPES: Final = {"float32": torch.float32, "float64": torch.float64}

CODE_VERSION: Final = 1
"""Part of the fingerprint; to be raised when a change of this or the network's file changes numbers."""


class Mini(SharedModel):
    """mini with one set of weights.

    It reads in the direction of transcription, so that a track of strand ``+`` is the gene's own strand.

    Parameters
    ----------
    name
        ``mini/<weights>``.
    network
        The network with its weights, float32 or float64.
    tracks
        What its outputs are.
    """

    window = ModelWindow(LENGTH // 2, LENGTH // 2, oriented=True)
    output_bins = OutputBins(0, STRIDE, BINS)
    default_read_out = "default"
    training_read_out = "linear"

    def __init__(self, name: str, network: MiniNet, tracks: tuple[Track, ...]) -> None:
        self.name = name
        self.network = network.eval()
        self.tracks = tracks
        self.read_outs = read_outs_of(tracks)
        self.grid = Grid(STRIDE, _whole_bins(REACH), _whole_bins(REACH), network.channels.width)
        positions = BINS * len(DILATIONS)
        self.flop_per_pass = (
            network.embed_flop(LENGTH)
            + network.residual_flop(positions)
            + network.output_flop(BINS, len(tracks))
        )
        self.fingerprint = _fingerprint(network, tracks)

    def to(self, device: torch.device) -> Self:
        """Move the parameters to `device`; returns the model."""
        self.network.to(device)
        return self

    def mirrored(self, read_out: ReadOut) -> ReadOut:
        """Bins counted from the other end, and strands exchanged."""
        partner = mirrored_tracks(self.tracks)
        return replace(
            read_out,
            bins=tuple(sorted(BINS - 1 - index for index in read_out.bins)),
            tracks=tuple(partner[index] for index in read_out.tracks),
        )

    def span(self, read_out: ReadOut) -> tuple[int, int]:
        """Embedding positions ``[first, last)`` that the bins depend on; 49 to 207 about the TSS."""
        return self._ranges(read_out)[0]

    def sees(self, read_out: ReadOut) -> tuple[int, int]:
        """Bases ``[first, last)`` of the window that one pass depends on, to the base."""
        first, last = self.span(read_out)
        return max(0, first * STRIDE - REACH), min(LENGTH, last * STRIDE + REACH)

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Read-out of (B, 8192) codes, as (B, T), by the plain forward pass; see `SequenceModel.predict`.

        Raises
        ------
        InputError
            Sequences of another length than the window's.
        ConfigError
            A read-out that this model does not have the bins or tracks for.
        """
        require_window(self, "mini", codes, LENGTH)
        self._check(read_out)
        with evaluation():
            return self._reduce(self.network.positions(one_hot(codes).to(self._dtype)), read_out, 0)

    def embed(self, codes: torch.Tensor) -> torch.Tensor:
        """Embedding (B, S / 32, channels) of (B, S) codes on the window's grid; see `SharedModel.embed`.

        Raises
        ------
        InputError
            S not a multiple of 32.
        """
        require_stretch(self, "mini", codes, STRIDE)
        with evaluation(), _one_thread():
            return self.network.embed(one_hot(codes).to(self._dtype)).transpose(1, 2)

    def read(self, embedding: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Read-out (B, T) of the positions of `span`, (B, last - first, channels); see `SharedModel.read`.

        Each dilated layer is computed on the positions that later layers need, and no others.

        Raises
        ------
        InputError
            Another shape.
        """
        ranges = self._ranges(read_out)
        shape = (ranges[0][1] - ranges[0][0], self.grid.channels)
        require_positions(self, "mini", embedding, read_out, shape)
        with evaluation(), _one_thread():
            x = embedding.transpose(1, 2)  # (B, channels, P)
            for layer, d, before, after in zip(
                self.network.residuals, DILATIONS, ranges[:-1], ranges[1:], strict=True
            ):
                x = layer(x, d - (after[0] - before[0]), d - (before[1] - after[1]))
            return self._reduce(x, read_out, ranges[-1][0])

    def embed_flop(self, bases: int) -> float:
        """Floating-point operations of `embed` for so many bases, the halo counted as the caller does."""
        return self.network.embed_flop(bases)

    def read_flop(self, read_out: ReadOut) -> float:
        """Floating-point operations of `read` for one sequence."""
        positions = sum(last - first for first, last in self._ranges(read_out)[1:])
        head = self.network.output_flop(len(read_out.bins), len(read_out.tracks))
        return self.network.residual_flop(positions) + head

    def _reduce(self, x: torch.Tensor, read_out: ReadOut, first: int) -> torch.Tensor:
        """Combine the asked bins of what the last layer reads, (B, C, P) from bin `first` on -> (B, T)."""
        asked = x[..., [index - first for index in read_out.bins]]
        if read_out.reduce == MEAN_LINEAR:
            return self.network.linear(asked, read_out.tracks).mean(dim=1)
        return torch.log1p(self.network.outputs(asked, read_out.tracks).sum(dim=1))

    @property
    def _dtype(self) -> torch.dtype:
        return self.network.head.weight.dtype

    def _ranges(self, read_out: ReadOut) -> list[tuple[int, int]]:
        """Positions ``[first, last)`` needed before each dilated layer, and behind the last one."""
        self._check(read_out)
        ranges = [(min(read_out.bins), max(read_out.bins) + 1)]
        for dilation in reversed(DILATIONS):
            first, last = ranges[0]
            ranges.insert(0, (max(0, first - dilation), min(BINS, last + dilation)))
        return ranges

    def _check(self, read_out: ReadOut) -> None:
        require_read_out(self, "mini", read_out, BINS, (LOG1P_SUM, MEAN_LINEAR))


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread on a CPU: stretches and read-outs are so small that several would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def read_outs_of(tracks: Sequence[Track]) -> dict[str, ReadOut]:
    """Two read-outs about the TSS for each track that is not of the other strand, as measured and linear.

    The first track's are also called ``default`` and ``linear``.
    """
    sense = [(index, track) for index, track in enumerate(tracks) if track.strand != "-"]
    if not sense:
        raise ConfigError("mini has no track that is not of the other strand.", got=len(tracks))
    measured = {track.name: _about_tss(index, track, LOG1P_SUM) for index, track in sense}
    linear = {f"{track.name}.linear": _about_tss(index, track, MEAN_LINEAR) for index, track in sense}
    first = sense[0][1].name
    return {**measured, **linear, "default": measured[first], "linear": linear[f"{first}.linear"]}


def _about_tss(index: int, track: Track, reduce: str) -> ReadOut:
    what = {LOG1P_SUM: "log(1 + sum)", MEAN_LINEAR: "mean before the softplus"}[reduce]
    return ReadOut(
        track.name if reduce == LOG1P_SUM else f"{track.name}.linear",
        (index,),
        TSS_BINS,
        reduce,
        description=f"{track.assay} of {track.cell_type}, {what} within 512 bp of the TSS",
    )


def mirrored_tracks(tracks: Sequence[Track]) -> tuple[int, ...]:
    """For each track, the one that it is when the sequence is read from the other strand.

    Raises
    ------
    ConfigError
        A stranded track without one partner of the same assay and cell type.
    """
    opposite = {"+": "-", "-": "+"}
    partners = []
    for track in tracks:
        wanted = (track.assay, track.cell_type, opposite.get(track.strand, track.strand))
        found = [
            i for i, other in enumerate(tracks) if (other.assay, other.cell_type, other.strand) == wanted
        ]
        if len(found) != 1:
            raise ConfigError(
                "A track has no single partner on the other strand.",
                where=track.name,
                expected=f"one track {' '.join(wanted)}",
                got=", ".join(tracks[i].name for i in found) or "none",
            )
        partners.append(found[0])
    return tuple(partners)


def load(
    weights: str = mini_net.PACKAGED,
    *,
    dtype: str = "float32",
    device: torch.device | str = "cpu",
) -> Mini:
    """Load mini.

    Parameters
    ----------
    weights
        ``chr22``, which comes with hapsight; the path of a .safetensors file that ``hapsight train
        export`` wrote; or ``random:<seed>``, which nobody trained.
    dtype
        ``float32`` or ``float64``.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another model.
    ConfigError
        An unknown name of weights or dtype.
    """
    if dtype not in DTYPES:
        raise ConfigError("mini's 'dtype' is unknown.", expected=", ".join(DTYPES), got=repr(dtype))
    found = mini_net.weights_of(weights)
    network = MiniNet(found.channels, len(found.tracks))
    loading.fill(network, found.state)
    network = network.to(dtype=DTYPES[dtype]).requires_grad_(False)
    return Mini(f"mini/{found.name}", network, found.tracks).to(torch.device(device))


def _whole_bins(bases: int) -> int:
    return -(-bases // STRIDE) * STRIDE


def _fingerprint(network: MiniNet, tracks: Sequence[Track]) -> str:
    """SHA-256 over every weight, track and option; the file's name does not matter."""
    options = ["mini", CODE_VERSION, astuple(network.channels), [astuple(track) for track in tracks]]
    digest = hashlib.sha256(json.dumps([*options, str(network.head.weight.dtype)]).encode())
    for name, tensor in sorted(mini_net.weights_in(network).items()):
        digest.update(name.encode() + tensor.astype("<f4").tobytes())
    return digest.hexdigest()
