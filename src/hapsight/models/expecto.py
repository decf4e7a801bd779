"""ExPecto: a tissue's expression from 40 kb around the TSS (Zhou et al. 2018).

Beluga reads 200 windows of 2 kb, 200 bases apart; ten exponentially weighted sums of its 2,002 features
over the windows, five over those upstream and five over those downstream, enter a linear model per tissue.
Behind Beluga all is linear, so a tissue is one (200, 2002) matrix and a constant.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray

from hapsight.errors import ConfigError, InputError
from hapsight.models import expecto_files
from hapsight.models.expecto_files import (
    BelugaNet,
    LinearBooster,
    base_channels,
    find_beluga,
    find_heads,
    published_folder,
    read_gblinear,
    tissue_track,
)
from hapsight.models.forward import evaluation
from hapsight.models.protocol import Grid, ModelWindow, ReadOut, Track, WindowedModel
from hapsight.models.tracks import find_tracks

__all__ = ["ExPecto", "decays", "load"]

PUBLISHED: Final = "20190807"
SHIFTS: Final = np.arange(-20_000, 20_000, 200)
"""Of the windows along the direction of transcription; window s is bases s - 999 to s + 1000 of the TSS."""

RATES: Final = (0.01, 0.02, 0.05, 0.1, 0.2)
STEP: Final = 200
BLOCKS: Final = 2 * len(RATES)
BLOCK: Final = expecto_files.FEATURES + 1
"""Weights of a head for one weighted sum; the first one belongs to a feature that is always zero."""

LCL: Final = "Cells_EBV-transformed_lymphocytes"
PLAIN_WINDOWS: Final = 8
"""Windows that `ExPecto.predict` runs at a time, which bounds its memory."""

DTYPES: Final = {"float32": torch.float32, "float64": torch.float64}
CODE_VERSION: Final = 1
"""Part of the fingerprint; to be raised when a change of this file changes numbers."""


def decays() -> NDArray[np.float64]:
    """(10, 200) weight of every window in each of the ten sums: upstream ones first, the TSS in both."""
    decay = np.exp(-np.outer(RATES, np.abs(SHIFTS) / STEP))  # (5, 200)
    return np.concatenate([decay * (SHIFTS <= 0), decay * (SHIFTS >= 0)])


class ExPecto(WindowedModel):
    """ExPecto with one set of weights and the heads of some tissues.

    Both strands of every window are read and averaged, so a gene on the minus strand is read on its own
    strand like any other. The published windows are centred in the genome's coordinates, on the gap behind
    the TSS; seen along a minus-strand gene that is the gap *before* the TSS, hence `minus_shift`.

    The embedding has a position every 8 bases, of both strands (640 channels each): Beluga's position that
    begins at these 8 bases, and that of the other strand which ends 312 bases on.

    Parameters
    ----------
    name
        ``expecto/<weights>``.
    network
        Beluga with its weights.
    heads
        One linear booster of 20,030 weights for each of `tracks`.
    """

    window = ModelWindow(upstream=20_999, downstream=20_801, oriented=True, minus_shift=1)
    window_step = STEP // expecto_files.STRIDE
    window_length = (expecto_files.LENGTH - expecto_files.AFTER) // expecto_files.STRIDE
    window_features = expecto_files.FEATURES

    def __init__(
        self, name: str, network: BelugaNet, tracks: Sequence[Track], heads: Sequence[LinearBooster]
    ) -> None:
        self.name = name
        self.network = network.eval().requires_grad_(False)
        self.grid = Grid(
            expecto_files.STRIDE, before=0, after=expecto_files.AFTER, channels=2 * network.channels
        )
        self.tracks = tuple(tracks)
        self.read_outs = _read_outs(self.tracks)
        self.default_read_out = "huang2023" if "huang2023" in self.read_outs else self.tracks[0].name
        dtype = network.dense2.weight.dtype
        weights = np.stack([head.weights.reshape(BLOCKS, BLOCK)[:, 1:] for head in heads])
        self.weights = torch.from_numpy(weights).to(dtype)  # (tissues, 10, 2002)
        self.constants = torch.tensor([head.bias + head.base_score for head in heads], dtype=dtype)
        self.decays = torch.from_numpy(decays()).to(dtype)  # (10, 200)
        self.flop_per_pass = self.plain_flop()
        self.fingerprint = _fingerprint(self)

    def to(self, device: torch.device) -> Self:
        """Move the parameters to `device`; returns the model."""
        self.network.to(device)
        self.weights = self.weights.to(device)
        self.constants = self.constants.to(device)
        self.decays = self.decays.to(device)
        return self

    def mirrored(self, read_out: ReadOut) -> ReadOut:
        """Refuse: both strands of every window are in the value already.

        Raises
        ------
        ConfigError
            Always.
        """
        raise ConfigError(
            "ExPecto reads both strands of its windows already; it has no other strand to average with.",
            where=f"{self.name}, read-out {read_out.name}",
            fix="leave reverse-complement ensembling off for this model",
        )

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Every window alone through Beluga, both strands: (B, 41800) codes to (B, T).

        Raises
        ------
        InputError
            Sequences of another length than the window's.
        """
        _check_shape(self, codes, codes.shape[-1] == self.window.length, f"(sequences, {self.window.length})")
        windows = codes.unfold(1, expecto_files.LENGTH, STEP)  # (B, 200, 2000)
        parts = torch.split(windows.flatten(0, 1), PLAIN_WINDOWS)
        features = torch.cat([self._features(part) for part in parts])  # (B * 200, 2002)
        return self.read_windows(features.reshape(len(codes), len(SHIFTS), -1), read_out)

    def span(self, read_out: ReadOut) -> tuple[int, int]:
        """Embedding positions that the 200 windows take: all that exist."""
        return 0, (len(SHIFTS) - 1) * self.window_step + self.window_length

    def embed(self, codes: torch.Tensor) -> torch.Tensor:
        """Beluga's convolutions on both strands: (B, S) codes to (B, S / 8, 1280); the last 38 are zero.

        Raises
        ------
        InputError
            S is not a multiple of 8, or below 312.
        """
        bases = codes.shape[-1]
        fits = bases % expecto_files.STRIDE == 0 and bases >= expecto_files.AFTER + expecto_files.STRIDE
        _check_shape(self, codes, fits, f"(sequences, a multiple of {expecto_files.STRIDE} from 312 on)")
        x = base_channels(codes, self.decays.dtype)  # (B, 4, S)
        with evaluation():
            both = self.network.positions(torch.cat([x, x.flip(1, 2)]))  # (2B, 640, S/8 - 38)
        forward, reverse = both.transpose(1, 2).chunk(2)
        positions = torch.cat([forward, reverse.flip(1)], dim=2)  # (B, S/8 - 38, 1280)
        return torch.nn.functional.pad(positions, (0, 0, 0, expecto_files.AFTER // expecto_files.STRIDE))

    def embed_window(self, embedding: torch.Tensor) -> torch.Tensor:
        """Beluga's features of a window, mean of both strands: (B, 212, 1280) to (B, 2002).

        Its strands take positions by turns: one begins at the window's first base, the other at its last.
        """
        half = self.network.channels
        forward = embedding[:, 0::2, :half]  # (B, 106, 640)
        reverse = embedding[:, 1::2, half:].flip(1)
        with evaluation():
            features = self.network.features(torch.cat([forward, reverse]).transpose(1, 2))  # (2B, 2002)
        return _mean_of_strands(features)

    def read_windows(self, features: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Log expression in the asked tissues from Beluga's features, (B, 200, 2002) to (B, T)."""
        tracks = list(read_out.tracks)
        matrices = self.matrices(tracks)  # (T, 200, 2002)
        return features.flatten(1) @ matrices.flatten(1).T + self.constants[tracks]

    def matrices(self, tracks: Sequence[int]) -> torch.Tensor:
        """(T, 200, 2002) weight of every feature of every window in the log expression of these tissues."""
        every = [torch.einsum("kw,kf->wf", self.decays, self.weights[track]) for track in tracks]
        return torch.stack(every)  # one by one, so that a track's do not depend on what else is asked for

    def embed_flop(self, bases: int) -> float:
        """FLOP of `embed` on one stretch of so many bases, what lies beyond its core included."""
        return 2 * self.network.convolution_flop(bases, spacing=expecto_files.STRIDE)

    def window_flop(self) -> float:
        """FLOP of `embed_window` on one window."""
        return 2 * self.network.dense_flop()

    def read_flop(self, read_out: ReadOut) -> float:
        """FLOP of `read_windows` on one haplotype."""
        return 2.0 * len(read_out.tracks) * len(SHIFTS) * expecto_files.FEATURES * (BLOCKS + 1)

    def plain_flop(self) -> float:
        """FLOP of Beluga on both strands of all 200 windows of one haplotype, as published."""
        window = self.network.convolution_flop(expecto_files.LENGTH, spacing=16) + self.network.dense_flop()
        return 2 * len(SHIFTS) * window

    def _features(self, windows: torch.Tensor) -> torch.Tensor:
        """Beluga as published: (W, 2000) codes to (W, 2002), mean of both strands."""
        x = base_channels(windows, self.decays.dtype)
        with evaluation():
            return _mean_of_strands(self.network(torch.cat([x, x.flip(1, 2)])))


def load(
    weights: str = PUBLISHED,
    *,
    tracks: int | str | Iterable[int | str] | None = None,
    width: int = expecto_files.WIDTH,
    dtype: str = "float32",
    device: torch.device | str = "cpu",
) -> ExPecto:
    """Load ExPecto.

    Parameters
    ----------
    weights
        ``20190807``, the published files in the folder ``expecto`` of the weights folder; the path of a
        folder with ``deepsea.beluga.pth`` and one ``.save`` file a tissue; or ``random:<seed>``,
        weights that nobody trained.
    tracks
        The tissues: names, parts of names or indices (sorted by name); all that there are by default.
    width
        Channels of Beluga's first convolution: 320 as published.
    dtype
        ``float32`` or ``float64``.

    Raises
    ------
    WeightsError
        A file is missing, damaged, or of another model.
    ConfigError
        An unknown tissue or one that several fit, or an option out of range.
    """
    if dtype not in DTYPES:
        raise ConfigError("ExPecto's 'dtype' is unknown.", expected=", ".join(DTYPES), got=repr(dtype))
    with torch.device("meta"):
        network = BelugaNet(width)
    read = _random if weights.startswith("random:") else _read
    state, every, heads = read(weights, width)
    network.load_state_dict(state, assign=True)
    chosen = range(len(every)) if tracks is None else find_tracks(every, tracks)
    model = ExPecto(
        f"expecto/{Path(weights).name}",
        network.to(DTYPES[dtype]),
        [every[index] for index in chosen],
        [heads[index] for index in chosen],
    )
    return model.to(torch.device(device))


_Parts = tuple[dict[str, torch.Tensor], list[Track], list[LinearBooster]]
"""Beluga's state dict, and the tissues with their heads."""


def _read(weights: str, width: int) -> _Parts:
    folder = published_folder() if weights == PUBLISHED else Path(weights).expanduser()
    paths = find_heads(folder)
    tracks = [tissue_track(tissue, path) for tissue, path in paths.items()]
    heads = [read_gblinear(path, BLOCKS * BLOCK) for path in paths.values()]
    return expecto_files.read_weights(find_beluga(folder), width), tracks, heads


def _random(weights: str, width: int) -> _Parts:
    seed = weights.removeprefix("random:")
    if not seed.isdecimal():
        raise ConfigError(
            "Random weights need a seed.", expected="random:<seed>, such as random:1", got=weights
        )
    rng = np.random.default_rng(int(seed))
    tracks = [tissue_track(tissue, Path(tissue)) for tissue in (LCL, "Liver", "Whole_Blood")]
    return expecto_files.random_weights(width, rng), tracks, [_random_head(rng) for _ in tracks]


def _read_outs(tracks: tuple[Track, ...]) -> Mapping[str, ReadOut]:
    made = {
        track.name: ReadOut(track.name, tracks=(index,), description=f"{track.cell_type}, {track.units}")
        for index, track in enumerate(tracks)
    }
    if LCL in made:
        made["huang2023"] = ReadOut("huang2023", made[LCL].tracks, description=made[LCL].description)
    return made


def _random_head(rng: np.random.Generator) -> LinearBooster:
    weights = rng.standard_normal(BLOCKS * BLOCK, dtype=np.float32) * np.float32(1e-3)
    return LinearBooster(weights, bias=float(rng.standard_normal()), base_score=2.0)


def _mean_of_strands(features: torch.Tensor) -> torch.Tensor:
    forward, reverse = features.chunk(2)
    return (forward + reverse) / 2


def _check_shape(model: ExPecto, codes: torch.Tensor, fits: bool, expected: str) -> None:
    if codes.ndim != 2 or not fits:
        raise InputError(
            "ExPecto cannot read sequences of this length.",
            where=model.name,
            expected=expected,
            got=tuple(codes.shape),
        )


def _fingerprint(model: ExPecto) -> str:
    """SHA-256 over every weight; the file format of the weights does not matter."""
    options = {"code_version": CODE_VERSION, "dtype": str(model.decays.dtype)}
    digest = hashlib.sha256(json.dumps(["expecto", options], sort_keys=True).encode())
    for name, tensor in sorted(model.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.float().contiguous().numpy().data)
    for track, weights, constant in zip(model.tracks, model.weights, model.constants, strict=True):
        digest.update(track.name.encode() + weights.float().numpy().tobytes() + str(float(constant)).encode())
    return digest.hexdigest()
