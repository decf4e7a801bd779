"""Borzoi: RNA and other coverage along 524,288 bases in bins of 32 (Linder et al. 2025, Nat Genet 57, 949).

The convolutions, half of the work, are local and shared between people; a transformer over all of the
window and the U-Net's way back follow, the latter only for the bins that are read. Flashzoi (Hingerl
et al. 2025) is the same with rotary positions. The network is in `borzoi_blocks`, names of tracks
and their squashing in `borzoi_tracks`, the arithmetic in `borzoi_flop`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final, Self

import numpy as np
import torch

from hapsight.errors import ConfigError, InputError, WeightsError
from hapsight.models import checkpoint
from hapsight.models.borzoi_blocks import QUERY_BLOCK, STRIDE, BorzoiNet, BorzoiSizes
from hapsight.models.borzoi_flop import attend_flop, decode_flop, embed_flop, head_flop
from hapsight.models.borzoi_tracks import Target, published_targets, read_targets
from hapsight.models.onehot import one_hot
from hapsight.models.protocol import Grid, ModelWindow, ReadOut, SharedModel
from hapsight.models.targets import find_tracks

__all__ = ["BINS", "Borzoi", "load", "load_flashzoi", "random_state", "read_weights", "save_safetensors"]

LENGTH: Final = 524_288
POSITIONS: Final = LENGTH // STRIDE
BINS: Final = 6_144
BINS_PER_POSITION: Final = 4
FIRST_BIN: Final = (POSITIONS * BINS_PER_POSITION - BINS) // 2
"""Bins of 32 bases before the first that is predicted: 163,840 bases."""

HALO: Final = 384
"""Whole positions that cover the convolutions' reach of 259 bases to either side."""

EDGE: Final = 3
"""Bins at an end of a decoded stretch that lack a neighbour."""

CENTRE: Final = tuple(range(BINS // 2 - 20, BINS // 2 + 20))
"""The 40 bins (1,280 bases) around the TSS, which is the first base of bin 3,072."""

REDUCE: Final = ("mean", "sum", "sum_strands", "sum_unsquashed")
"""How bins are combined; `sum_strands` adds the track's other strand, `sum_unsquashed` undoes the squashing first."""

DTYPES: Final = {"float32": torch.float32, "float64": torch.float64}
UNUSED: Final = ("mouse_head.*", "*.num_batches_tracked")
"""Tensors of the published checkpoints that have no part in a human prediction."""

CODE_VERSION: Final = 1
"""Part of the fingerprint; to be raised when a change of these files changes numbers."""


class Borzoi(SharedModel):
    """Borzoi, or Flashzoi, with one set of weights.

    Read-outs are of one window; the engine averages over strands and shifts where a read-out says so.
    Always the genome's forward strand. A position of the embedding holds the U-Net's two vectors at 64
    bases and four at 32 bases, 8,192 numbers; the transformer's input is the greater of the first two.

    Parameters
    ----------
    name
        ``borzoi/<weights>`` or ``flashzoi/<weights>``.
    network
        The network with its weights, float32 or float64.
    targets
        What the head's outputs are.
    tracks
        Those of a read-out ``tracks``, which becomes the default; None: no such read-out.
    bins
        Output bins of the read-outs ``tracks`` (by default the 40 around the TSS) and ``rna_gm12878``.
    reduce
        How ``tracks`` combines them, one of `REDUCE`.

    Raises
    ------
    ConfigError
        Bins or tracks that there are not, or an unknown `reduce`.
    """

    window = ModelWindow(LENGTH // 2, LENGTH // 2, oriented=False)

    def __init__(
        self,
        name: str,
        network: BorzoiNet,
        targets: Sequence[Target],
        *,
        tracks: int | str | Iterable[int | str] | None = None,
        bins: Sequence[int] | None = None,
        reduce: str = "mean",
    ) -> None:
        self.name = name
        self.network = network.eval()
        self.targets = tuple(targets)
        self.tracks = tuple(target.track for target in targets)
        chosen = None if tracks is None else find_tracks(self.tracks, tracks)
        self.read_outs = {read_out.name: read_out for read_out in _read_outs(chosen, bins, reduce)}
        self.default_read_out = "cage_gm12878" if chosen is None else "tracks"
        self.grid = Grid(STRIDE, HALO, HALO, network.sizes.embedding)
        self.flop_per_pass = self.plain_flop()
        self.fingerprint = _fingerprint(network, self.targets)
        for read_out in self.read_outs.values():
            self._check(read_out)

    def to(self, device: torch.device) -> Self:
        """Move the parameters to `device`; returns the model."""
        self.network.to(device)
        return self

    @property
    def dtype(self) -> torch.dtype:
        """Number format of weights and results."""
        return self.network.human_head.weight.dtype

    def read_out(self, name: str | None = None) -> ReadOut:
        """Give the read-out of this name, or the default; ``rna_gm12878`` exists where `bins` are given."""
        if name == "rna_gm12878" and name not in self.read_outs:
            raise ConfigError(
                f"The read-out {name!r} of {self.name} needs the bins of the gene's exons.",
                expected=f"the option 'bins', each 0 to {BINS - 1}; the TSS is at the start of bin {BINS // 2}",
                got="no 'bins'",
            )
        return super().read_out(name)

    def mirrored(self, read_out: ReadOut) -> ReadOut:
        """Bins counted from the other end, and each track's other strand.

        Raises
        ------
        ConfigError
            The other strand of a track is unknown, because the list of tracks is not here.
        """
        tracks = tuple(self._pair(track, read_out) for track in read_out.tracks)
        return replace(read_out, tracks=tracks, bins=tuple(BINS - 1 - index for index in read_out.bins))

    def span(self, read_out: ReadOut) -> tuple[int, int]:
        """All 4,096 positions: the transformer relates each to every other."""
        return 0, POSITIONS

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Read-out of (B, 524288) codes, as (B, T), every bin computed; see `SequenceModel.predict`.

        Raises
        ------
        InputError
            Sequences of another length than the window's.
        ConfigError
            A read-out that this model does not have the bins or tracks for.
        """
        if codes.ndim != 2 or codes.shape[1] != LENGTH:
            raise InputError(
                "Borzoi reads sequences of one length only.",
                where=self.name,
                expected=f"(sequences, {LENGTH})",
                got=tuple(codes.shape),
            )
        self._check(read_out)
        net = self.network
        with _evaluation():
            embedding = net.embed(one_hot(codes).to(self.dtype))  # (B, 4096, 8192)
            decoded = net.decode(net.attend(embedding, 0, POSITIONS), embedding)  # (B, 1536, 16384)
            predicted = decoded[..., FIRST_BIN : FIRST_BIN + BINS]  # (B, 1536, 6144)
            return self._combine(
                lambda tracks: net.head(predicted, tracks)[..., list(read_out.bins)], read_out
            )

    def embed(self, codes: torch.Tensor) -> torch.Tensor:
        """Embedding of (B, S) codes that start on the window's grid, (B, S / 128, 8192); see `SharedModel.embed`.

        Raises
        ------
        InputError
            S not a multiple of 128.
        """
        if codes.ndim != 2 or codes.shape[1] % STRIDE or not codes.shape[1]:
            raise InputError(
                "Borzoi embeds stretches of whole positions only.",
                where=self.name,
                expected=f"(sequences, a multiple of {STRIDE})",
                got=tuple(codes.shape),
            )
        with _evaluation():
            return self.network.embed(one_hot(codes).to(self.dtype))

    def read(self, embedding: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Read-out (B, T) of a window's embedding (B, 4096, 8192); see `SharedModel.read`.

        The last layer of the transformer and all behind it are computed only for what the bins depend on.

        Raises
        ------
        InputError
            Another shape.
        """
        if embedding.ndim != 3 or embedding.shape[1:] != (POSITIONS, self.grid.channels):
            raise InputError(
                "An embedding does not have the positions that a read-out of Borzoi depends on.",
                where=f"{self.name}, read-out {read_out.name}",
                expected=("sequences", POSITIONS, self.grid.channels),
                got=tuple(embedding.shape),
            )
        self._check(read_out)
        net, (first, last) = self.network, _decoded(read_out)
        asked = [FIRST_BIN + index - BINS_PER_POSITION * first for index in read_out.bins]
        with _evaluation():
            decoded = net.decode(net.attend(embedding, first, last), embedding[:, first:last])
            chosen = decoded[..., asked]  # (B, 1536, K)
            return self._combine(lambda tracks: net.head(chosen, tracks), read_out)
