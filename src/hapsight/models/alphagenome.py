"""AlphaGenome (Avsec et al. 2025) as `alphagenome-pt` has it: tracks at single bases of up to 1,048,576.

The network, its weights and its arithmetic are that package's. Here its parts are run apart: the encoder is
local and shared between people, the transformer relates all of the window, and the decoder runs only where a
read-out looks. A position of the embedding holds what the transformer reads and the position's own bases: the
decoder's skip connections are made again from these around the read-out, since those of a whole window are
225,792 numbers a position. Weights are in `alphagenome_files`,
names of tracks and read-outs in `alphagenome_tracks`.

FLOP are counted from the geometry: 2 operations per multiply-add. Normalisations, activations and poolings
are left out; they are below one per cent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import torch

from hapsight.errors import ConfigError
from hapsight.models.alphagenome_tracks import HEADS, HOW_TO_HAVE, HeadTrack, window_bases
from hapsight.models.forward import (
    evaluation,
    index_on,
    one_hot,
    require_positions,
    require_read_out,
    require_stretch,
    require_window,
)
from hapsight.models.protocol import Grid, ModelWindow, OutputBins, ReadOut, SharedModel
from hapsight.models.weights import sha256_of

__all__ = [
    "LENGTHS",
    "REDUCE",
    "AlphaGenome",
    "attend_flop",
    "decode_flop",
    "embed_flop",
]

STRIDE: Final = 128
"""Bases per position of the transformer."""

PAIRED: Final = 16
"""Positions in one row of the transformer's pairs."""

LENGTHS: Final = tuple(2**power for power in range(14, 21))
"""Bases of a window: 16,384 to 1,048,576."""

HALO: Final = 640
"""Whole positions that cover the encoder's reach of 513 bases to either side."""

DECODED: Final = 6
"""Positions that cover the decoder's reach of 762 bases to either side."""

ENCODED: Final = DECODED + 2
"""Positions from which all skip connections within the decoder's reach are right: 506 + 513 bases."""

REDUCE: Final = ("mean", "sum", "mean_strands", "sum_strands")
"""How bases are combined; with `_strands` the other strand's track is added."""

BASES: Final = 4 * STRIDE
"""Numbers of a position that are its own bases, one-hot."""

CODE_VERSION: Final = 1
"""Part of the fingerprint; to be raised when a change of these files changes numbers."""

MULTIPLY_ADD: Final = 2.0


def embed_flop(network: Any, bases: int) -> float:
    """The encoder, on a stretch of this many bases."""
    channels, width = network.channel_sizes[1:], network.block_width
    first = network.first_conv_width * 4 * channels[0] + width * channels[0] ** 2
    behind = [
        width * (into * out + out**2) / 2**halvings
        for halvings, (into, out) in enumerate(pairwise(channels), start=1)
    ]
    return float(MULTIPLY_ADD * bases * (first + sum(behind)))


def attend_flop(network: Any, positions: int) -> float:
    """The transformer on a window of this many positions, its pairs included."""
    net, blocks = network, network.transformer_layers
    rows, pair, heads = positions // PAIRED, network.pair_channels, network.num_q_heads
    dim, keys, values = net.channel_sizes[-1], net.qk_head_dim, net.v_head_dim
    project = dim * (heads * (keys + values) + net.num_kv_heads * (keys + values))
    block = positions * (project + 2 * dim**2 * net.transformer_mlp_ratio)
    block += positions**2 * heads * (keys + values) + rows**2 * pair * heads
    wide = net.pair_heads * pair
    update = 2 * rows * (dim * (wide + pair) + net.pos_channels * wide) + 5 * rows**2 * wide
    update += rows**2 * net.pair_heads * pair + rows**2 * pair**2 * (3 + 2 * net.transformer_mlp_ratio)
    update += 2 * rows**3 * pair
    return float(MULTIPLY_ADD * (blocks * block + -(-blocks // 2) * update))


def decode_flop(network: Any, positions: int, inner: int) -> float:
    """The decoder on so many positions, and the embedding of every base in `inner` of them."""
    net = network
    channels, width, ratio = net.channel_sizes[:0:-1], net.block_width, net.embedder_mlp_ratio
    per_position = 0.0
    for level, (into, out) in enumerate(pairwise((channels[0], *channels))):
        values = 2 ** (level + 1)  # of a position, at the finer of the two resolutions
        per_position += values * (width * into * out / 2 + (width + 1) * out**2)
    coarse, fine = ratio * channels[0], ratio * channels[-1]
    embedder = channels[0] * coarse + coarse * fine + STRIDE * channels[-1] * fine
    return float(MULTIPLY_ADD * (positions * per_position + inner * embedder))


class _Region(NamedTuple):
    """What is decoded at once: positions ``[first, last)`` of which ``[start, end)`` hold `bins`."""

    first: int
    last: int
    start: int
    end: int
    bins: tuple[int, ...]

    @property
    def inner(self) -> tuple[int, ...]:
        """The bins, counted from `start`."""
        return tuple(index - STRIDE * self.start for index in self.bins)


class AlphaGenome(SharedModel):
    """AlphaGenome with one set of weights and one length of window.

    Read-outs are of one window; the engine averages over strands and shifts where a read-out says so. Always
    the genome's forward strand; the TSS is in the middle.

    Parameters
    ----------
    name
        ``alphagenome/<weights>``.
    network
        An ``alphagenome_pt.AlphaGenome`` whose policy is float32 or float64.
    organism
        Index of the organism whose tracks are read.
    targets
        The tracks of its heads.
    read_outs
        The default first. One without bins is over the exons that the engine finds in `gtf`.
    length
        Bases of the window: a power of two, 16,384 to 1,048,576.
    gtf, transcripts
        See `SharedModel`.

    Raises
    ------
    ConfigError
        Another length, or a read-out of bases or tracks that there are not.
    """

    def __init__(
        self,
        name: str,
        network: Any,
        organism: int,
        targets: Sequence[HeadTrack],
        read_outs: Sequence[ReadOut],
        *,
        length: int,
        gtf: Path | None = None,
        transcripts: Sequence[str] = (),
    ) -> None:
        if length not in LENGTHS:
            raise ConfigError(
                "AlphaGenome's 'window' is out of range.",
                expected=f"bases, one of {', '.join(map(str, LENGTHS))}",
                got=length,
            )
        self.name, self.organism = name, organism
        self.network = network.eval()  # the package leaves it in training, where batches decide statistics
        self.window = ModelWindow(length // 2, length // 2, oriented=False)
        self.output_bins = OutputBins(0, 1, length)
        self.targets = tuple(targets)
        self.tracks = tuple(target.track for target in targets)
        self.read_outs = {read_out.name: read_out for read_out in read_outs}
        self.default_read_out = read_outs[0].name
        self.grid = Grid(STRIDE, HALO, HALO, network.channel_sizes[-1] + BASES)
        self.gtf, self.transcripts = gtf, tuple(transcripts)
        self.flop_per_pass = self.plain_flop()
        self.fingerprint = self._fingerprint()
        for read_out in read_outs:
            self._check(self._usual(read_out))

    def to(self, device: torch.device) -> Self:
        """Move the parameters to `device`; returns the model."""
        self.network.to(device)
        return self

    @property
    def positions(self) -> int:
        """Positions of the transformer in the window."""
        return self.window.length // STRIDE

    @property
    def dtype(self) -> torch.dtype:
        """Number format of weights and results."""
        return self.network.dtype_policy.parameter_dtype  # type: ignore[no-any-return]

    def read_out(self, name: str | None = None) -> ReadOut:
        """Give the read-out of this name, or the default.

        Raises
        ------
        ConfigError
            There is none: says which option makes it.
        """
        if name is not None and name in HOW_TO_HAVE and name not in self.read_outs:
            raise ConfigError(
                f"Model {self.name} has no read-out {name!r} here.",
                expected=", ".join(self.read_outs),
                fix=HOW_TO_HAVE[name],
            )
        return super().read_out(name)

    def mirrored(self, read_out: ReadOut) -> ReadOut:
        """Bases counted from the other end, and each track's other strand.

        Raises
        ------
        ConfigError
            The other strand of a track is unknown.
        """
        tracks = tuple(self._pair(track, read_out) for track in read_out.tracks)
        bins = tuple(self.window.length - 1 - index for index in read_out.bins)
        return replace(read_out, tracks=tracks, bins=bins)

    def span(self, read_out: ReadOut) -> tuple[int, int]:
        """All positions: the transformer relates each to every other."""
        return 0, self.positions

    def over_exons(self, read_out: ReadOut, exons: Sequence[tuple[int, int]]) -> ReadOut:
        """The bases of the exons that are in the window, each once; see `SharedModel.over_exons`."""
        return replace(read_out, bins=window_bases(exons, self.window.length))

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Read-out of (B, L) codes, as (B, T), every base decoded; see `SequenceModel.predict`.

        Raises
        ------
        InputError
            Sequences of another length than the window's.
        ConfigError
            A read-out that this model does not have the bases or tracks for.
        """
        require_window(self, "AlphaGenome", codes, self.window.length)
        self._check(read_out)
        whole = _Region(0, self.positions, 0, self.positions, read_out.bins)
        with self._computing(codes.device):
            x = one_hot(codes).to(self.dtype)  # (B, 4, L)
            encoded, skips = self.network.sequence_encoder(x)  # (B, C, P)
            attended = self._attended(encoded.transpose(1, 2))  # (B, P, C)
            return self._combined(self._summed(attended, _embeddings(skips), whole, read_out), read_out)

    def embed(self, codes: torch.Tensor) -> torch.Tensor:
        """Embedding of (B, S) codes that start on the window's grid, (B, S / 128, C + 512).

        Raises
        ------
        InputError
            S not a multiple of 128.
        """
        require_stretch(self, "AlphaGenome", codes, STRIDE)
        with self._computing(codes.device):
            x = one_hot(codes).to(self.dtype)  # (B, 4, S)
            encoded, _ = self.network.sequence_encoder(x)  # (B, C, S / 128)
            bases = x.reshape(len(x), 4, -1, STRIDE).transpose(1, 2).flatten(2)  # (B, S / 128, 512)
            return torch.cat([encoded.transpose(1, 2), bases], dim=2)

    def read(self, embedding: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Read-out (B, T) of a window's embedding (B, P, C + 512); see `SharedModel.read`.

        Raises
        ------
        InputError
            Another shape.
        """
        require_positions(self, "AlphaGenome", embedding, read_out, (self.positions, self.grid.channels))
        self._check(read_out)
        with self._computing(embedding.device):
            attended = self._attended(embedding[..., :-BASES])
            parts = [
                self._summed(attended, self._skips(embedding, region), region, read_out)
                for region in _regions(read_out.bins, self.positions)
            ]
            return self._combined(torch.stack(parts).sum(0), read_out)

    def embed_flop(self, bases: int) -> float:
        """Floating-point operations of `embed` for so many bases, the halo counted as the caller does."""
        return embed_flop(self.network, bases)

    def read_flop(self, read_out: ReadOut) -> float:
        """Floating-point operations of `read` for one sequence, those of the heads on its bases included.

        Of a read-out whose exons are not known here, about as many as ten exons of 250 bases take.
        """
        read_out = self._usual(read_out)
        self._check(read_out)
        total = attend_flop(self.network, self.positions)
        for region in _regions(read_out.bins, self.positions):
            first, last = _encoded(region, self.positions)
            total += embed_flop(self.network, STRIDE * (last - first))
            total += decode_flop(self.network, region.last - region.first, region.end - region.start)
        rows = sum(int(self.network.metadata.get_num_tracks(head)) for head in self._heads(read_out))
        wide = int(self.network.channels.channels_1bp)
        return total + MULTIPLY_ADD * len(read_out.bins) * wide * rows

    def plain_flop(self) -> float:
        """Floating-point operations of a whole pass down to the embedding of every base, without heads."""
        net, n = self.network, self.positions
        return embed_flop(net, self.window.length) + attend_flop(net, n) + decode_flop(net, n, n)

    def _usual(self, read_out: ReadOut) -> ReadOut:
        """The same with bins to plan by, where it has none because its exons are a gene's own."""
        if read_out.bins or self.gtf is None:
            return read_out
        step = self.window.length // 20
        return self.over_exons(read_out, [(step * i, step * i + 250) for i in range(10)])

    @contextmanager
    def _computing(self, device: torch.device) -> Iterator[None]:
        """Evaluation, in the arithmetic of the weights or that of `hapsight.engine.arithmetic` around it.

        The package takes the format of its inner products from a context and nowhere else, and would
        compute in bfloat16 without it.
        """
        from alphagenome_pt.precision import dtype_policy_context, get_dtype_policy

        policy = get_dtype_policy(_policy(self.dtype, device))
        with evaluation(), dtype_policy_context(policy, device.type):
            yield

    def _organisms(self, x: torch.Tensor) -> torch.Tensor:
        return torch.full((len(x),), self.organism, dtype=torch.long, device=x.device)

    def _attended(self, encoded: torch.Tensor) -> torch.Tensor:
        """The transformer: (B, P, C) to (B, P, C)."""
        organism = self.network.org_embedder(self._organisms(encoded))[:, None]  # (B, 1, C)
        return self.network.transformer_tower(encoded + organism)[0]  # type: ignore[no-any-return]

    def _skips(self, embedding: torch.Tensor, region: _Region) -> dict[int, torch.Tensor]:
        """Skip connections of a region's positions, by bases per value; made anew from the region's bases.

        The encoder is the trunk's: where the embedding has no gradient, as of a frozen trunk, it has none.
        """
        first, last = _encoded(region, self.positions)
        bases = embedding[:, first:last, -BASES:].reshape(len(embedding), -1, 4, STRIDE)
        x = bases.transpose(1, 2).flatten(2)  # (B, 4, bases)
        with torch.set_grad_enabled(torch.is_grad_enabled() and embedding.requires_grad):
            _, made = self.network.sequence_encoder(x)
        start, end = STRIDE * (region.first - first), STRIDE * (region.last - first)
        return {size: skip[..., start // size : end // size] for size, skip in _embeddings(made).items()}

    def _summed(
        self,
        attended: torch.Tensor,
        skips: Mapping[int, torch.Tensor],
        region: _Region,
        read_out: ReadOut,
    ) -> torch.Tensor:
        """(B, T) sums over a region's bins, or (B, 2T) with the other strands of the tracks behind them."""
        net, organism = self.network, self._organisms(attended)
        decoded = net.sequence_decoder(
            attended[:, region.first : region.last].transpose(1, 2),
            {f"bin_size_{size}": {"embeddings": skip} for size, skip in skips.items()},
        )  # (B, C, bases)
        start, end = region.start - region.first, region.end - region.first
        inner = decoded[..., STRIDE * start : STRIDE * end].transpose(1, 2)  # (B, bases, C)
        coarse = net.output_t(attended[:, region.start : region.end], organism)  # (B, P, C')
        x = net.output_x(inner, organism, skip_x=coarse)  # (B, bases, C')
        return self._of_heads(x[:, index_on(region.inner, x.device)], organism, read_out).sum(1)

    def _of_heads(self, x: torch.Tensor, organism: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Experimental scale of the computed tracks: embedding of bases (B, K, C') to (B, K, T or 2T)."""
        from alphagenome_pt import Embeddings

        made = {}
        for name in self._heads(read_out):
            head = self.network._heads[name]
            scaled = head._forward(Embeddings(embeddings_1bp=x), organism, 1)
            made[name] = head.unscale(scaled, organism, 1)  # (B, K, tracks of the head)
        wanted = [self.targets[track] for track in self._computed_tracks(read_out)]
        return torch.stack([made[target.head][..., target.row] for target in wanted], dim=2)

    def _heads(self, read_out: ReadOut) -> tuple[str, ...]:
        """Heads that a read-out's tracks are of."""
        return tuple(sorted({self.targets[track].head for track in self._computed_tracks(read_out)}))

    def _computed_tracks(self, read_out: ReadOut) -> tuple[int, ...]:
        """The tracks that are computed: those of a read-out, then (`_strands`) their other strands."""
        if not read_out.reduce.endswith("_strands"):
            return read_out.tracks
        return (*read_out.tracks, *(self._pair(track, read_out) for track in read_out.tracks))

    def _combined(self, sums: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Sums over bases of the computed tracks, (B, T or 2T), to (B, T)."""
        if read_out.reduce.endswith("_strands"):
            own, other = sums.chunk(2, dim=1)
            stranded = [self._pair(track, read_out) != track for track in read_out.tracks]
            sums = own + other * index_on(stranded, sums.device)
        return sums / len(read_out.bins) if read_out.reduce.startswith("mean") else sums

    def _pair(self, track: int, read_out: ReadOut) -> int:
        pair = self.targets[track].pair
        if pair is None:
            raise ConfigError(
                f"The other strand of track {track} is unknown.",
                where=f"{self.name}, read-out {read_out.name}, track {self.tracks[track].name}",
                fix="give AlphaGenome's table of tracks as 'targets', or a 'reduce' without strands",
            )
        return pair

    def _check(self, read_out: ReadOut) -> None:
        if self.gtf is not None and not read_out.bins:
            raise ConfigError(
                "A read-out is over the exons of a gene, which sequences alone do not tell.",
                where=f"{self.name}, read-out {read_out.name}",
                expected="a gene, as `hapsight predict` gives it",
                got="a sequence, as mutagenesis, scores of variants and training give it",
                fix="for these, give one gene's exons as 'exons' in place of 'gtf'",
            )
        require_read_out(self, "AlphaGenome", read_out, self.window.length, REDUCE, unit="bases")

    def _fingerprint(self) -> str:
        """SHA-256 over geometry, organism, tracks and their means, and every weight."""
        net = self.network
        sizes = {name: value for name, value in net.cfg.to_dict().items() if name != "metadata"}
        means = {
            head: [[float(mean) for mean in row] for row in net.metadata.get_means(head)] for head in HEADS
        }
        known = [[target.head, target.row, target.pair] for target in self.targets]
        gtf = None if self.gtf is None else sha256_of(self.gtf)
        facts = ["alphagenome", CODE_VERSION, sizes, self.organism, self.window.length, means, known]
        facts += [gtf, self.transcripts]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for name, tensor in sorted(net.state_dict().items()):
            digest.update(f"{name} {tensor.dtype}".encode())
            digest.update(tensor.cpu().contiguous().numpy())
        return digest.hexdigest()


def _policy(dtype: torch.dtype, device: torch.device) -> str:
    """Name of the package's policy: the weights', or the bfloat16 or float64 that is asked for around it."""
    if torch.is_autocast_enabled(device.type):
        return "deepmind"
    given = torch.ones((), dtype=dtype) * 1.0  # float64 in an arithmetic that doubles
    return "float64" if given.dtype == torch.float64 else "float32"


@lru_cache(maxsize=64)
def _regions(bins: tuple[int, ...], positions: int) -> tuple[_Region, ...]:
    """What to decode for some bases of a window; regions whose surroundings touch are one."""
    held = sorted({index // STRIDE for index in bins})
    starts = [place for i, place in enumerate(held) if not i or place - held[i - 1] > 2 * ENCODED]
    ends = [
        place + 1 for i, place in enumerate(held) if place == held[-1] or held[i + 1] - place > 2 * ENCODED
    ]
    return tuple(
        _Region(
            max(0, start - DECODED),
            min(positions, end + DECODED),
            start,
            end,
            tuple(index for index in bins if start <= index // STRIDE < end),
        )
        for start, end in zip(starts, ends, strict=True)
    )


def _encoded(region: _Region, positions: int) -> tuple[int, int]:
    """Positions ``[first, last)`` whose bases a region's skip connections are made of."""
    beyond = ENCODED - DECODED
    return max(0, region.first - beyond), min(positions, region.last + beyond)


def _embeddings(skips: Mapping[str, Mapping[str, Any]]) -> dict[int, torch.Tensor]:
    """Skip connections as the package gives them, by bases per value."""
    return {int(name.rpartition("_")[2]): skip["embeddings"] for name, skip in skips.items()}
