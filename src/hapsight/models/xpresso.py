"""Xpresso: expression from a promoter (Agarwal and Shendure 2020), 10,500 bases, one number.

Two convolutions, two poolings, three dense layers. Architecture and weights as published with
Keras; padding as Keras pads.

Items side by side, one to a thread: for many small forward passes on a CPU.

Xpresso with its convolutions apart from the rest, so that they are computed once for what sequences share.

Worth it where sequences differ at few places, as in mutagenesis: one base touches one or two of
the 35 positions that the convolutions end in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from hapsight.errors import ConfigError
from hapsight.models import loading
from hapsight.models.catalogue import WEIGHTS, chosen_weights
from hapsight.models.forward import (
    POOL,
    evaluation,
    layers_wanted,
    one_hot,
    pooled_by_trimers,
    require_window,
    trimer_table,
    without_gradients,
)
from hapsight.models.protocol import Grid, ModelWindow, ReadOut, SequenceModel, SharedModel, Track
from hapsight.models.weights import weights_digest

__all__ = [
    "LocalXpresso",
    "Xpresso",
    "XpressoNet",
    "load",
    "map_on_threads",
    "read_weights",
    "save_safetensors",
]


def map_on_threads(
    function: Callable[[torch.Tensor], torch.Tensor], items: Iterable[torch.Tensor]
) -> list[torch.Tensor]:
    """Apply `function` to every item; as many at a time as torch has threads, each on one thread.

    Threads that share every small operation wait for each other many times an item, which is ruinous
    on a busy machine; and sums split between them may depend on their number. Gradient mode is a
    thread's own, so `function` sets it itself.

    Returns
    -------
    The results in the order of the items.
    """
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(function, items))
    finally:
        torch.set_num_threads(threads)  # a worker's setting is also the default of later threads


LENGTH: Final = 10_500
TRAINING_TSS_INDEX: Final = 7_000
HALF_LIFE_FEATURES: Final = 6
CODE_VERSION: Final = 1
"""Part of the fingerprint; to be raised when a change of this file changes numbers."""

UNITS: Final = "z-score of log10(RPKM + 0.1)"

KERAS_LAYERS: Final = {
    "conv1d_1": ("conv1", (6, 4, 128)),
    "conv1d_2": ("conv2", (9, 128, 32)),
    "dense_1": ("dense1", (1126, 64)),
    "dense_2": ("dense2", (64, 2)),
    "dense_3": ("dense3", (2, 1)),
}
"""Published layer -> our module, shape of the Keras kernel; the bias has the kernel's last length."""


class XpressoNet(nn.Module):
    """The network; B sequences in, B numbers out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(4, 128, 6)
        self.conv2 = nn.Conv1d(128, 32, 9, padding=4)
        self.dense1 = nn.Linear(35 * 32 + HALF_LIFE_FEATURES, 64)
        self.dense2 = nn.Linear(64, 2)
        self.dense3 = nn.Linear(2, 1)

    def forward(self, sequence: torch.Tensor, half_life: torch.Tensor) -> torch.Tensor:
        """Predict from one-hot `sequence` (B, 4, 10500) and `half_life` (6,); returns (B, 1)."""
        x = F.pad(sequence, (2, 3))  # (B, 4, 10505), as Keras pads an even kernel
        x = F.relu(self.conv1(x))  # (B, 128, 10500)
        return self.from_pooled(F.max_pool1d(x, 30), half_life)

    def from_pooled(self, x: torch.Tensor, half_life: torch.Tensor) -> torch.Tensor:
        """Run the layers after the first pooling, (B, 128, 350) -> (B, 1)."""
        return self.from_positions(self.positions(x), half_life)

    def positions(self, x: torch.Tensor) -> torch.Tensor:
        """Run the second convolution and pooling, (B, 128, 10 P) -> (B, P, 32)."""
        x = F.relu(self.conv2(x))  # (B, 32, 10 P)
        return F.max_pool1d(x, 10).transpose(1, 2)  # (B, P, 32)

    def from_positions(self, x: torch.Tensor, half_life: torch.Tensor) -> torch.Tensor:
        """Run the dense layers, (B, 35, 32) -> (B, 1)."""
        x = x.flatten(1)  # (B, 1120), position-major
        x = torch.cat([x, half_life.expand(len(x), -1)], dim=1)  # (B, 1126)
        x = F.relu(self.dense1(x))  # (B, 64)
        x = F.relu(self.dense2(x))  # (B, 2)
        return self.dense3(x)  # type: ignore[no-any-return]  # (B, 1)


class Xpresso(SequenceModel):
    """Xpresso with one set of weights.

    On a CPU every sequence goes through alone, on one thread, so its value is the same to the last
    bit whatever batch it came in and however many threads torch has. On other devices the batch goes
    through together, and values may differ by float rounding (some 3e-7) between batch sizes.

    Parameters
    ----------
    name
        ``xpresso/<weights>``.
    network
        The network with its weights.
    cell_type
        What the weights were trained on.
    tss_index
        0-based index of the TSS in the window: 7000 as in training, 6999 in Huang et al. 2023.
    half_life
        Six standardised mRNA half-life features, by default zeros (the mean), as published
        predictions have them.

    Raises
    ------
    ConfigError
        `tss_index` outside the window, or `half_life` not six finite numbers.
    """

    flop_per_pass = 2.0 * (10_500 * 6 * 4 * 128 + 350 * 9 * 128 * 32 + 1126 * 64 + 64 * 2 + 2)

    def __init__(
        self,
        name: str,
        network: XpressoNet,
        *,
        cell_type: str,
        tss_index: int = TRAINING_TSS_INDEX,
        half_life: Sequence[float] | None = None,
    ) -> None:
        features = _half_life(half_life)
        self.name = name
        self.network = network.eval()
        self.half_life = torch.tensor(features, dtype=torch.float32)
        self.window = _window(tss_index)
        self.tracks = (Track("expression", "RNA-seq", cell_type, ".", UNITS),)
        self.read_outs = {"default": ReadOut("default", description=f"the model's output, {UNITS}")}
        self.default_read_out = "default"
        options = {"tss_index": tss_index, "half_life": features, "code_version": CODE_VERSION}
        self.fingerprint = weights_digest("xpresso", network, options)

    def to(self, device: torch.device) -> Self:
        """Move the parameters to `device`; returns the model."""
        self.network.to(device)
        self.half_life = self.half_life.to(device)
        return self

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Predicted expression of (B, 10500) codes, as (B, 1); see `SequenceModel.predict`.

        Raises
        ------
        InputError
            Sequences of another length than the window's.
        """
        require_window(self, "Xpresso", codes, LENGTH)
        with without_gradients():
            if codes.device.type != "cpu" or layers_wanted():
                return self._predict_together(codes)
            return self._predict_one_by_one(codes)

    def predict_with_half_lives(self, codes: torch.Tensor, half_lives: torch.Tensor) -> torch.Tensor:
        """Predicted expression of one sequence (10500,) with each of H sets of features (H, 6), as (H,).

        The convolutions see the sequence once. With the model's own `half_life` it is `predict`, up to float
        rounding.

        Raises
        ------
        InputError
            A sequence of another length than the window's.
        """
        require_window(self, "Xpresso", codes[None], LENGTH)
        with without_gradients():
            x = F.pad(one_hot(codes[None]), (2, 3))  # (1, 4, 10505)
            x = F.relu(self.network.conv1(x))  # (1, 128, 10500)
            positions = self.network.positions(F.max_pool1d(x, 30))  # (1, 35, 32)
            repeated = positions.expand(len(half_lives), -1, -1)
            return self.network.from_positions(repeated, half_lives.to(self.half_life))[:, 0]

    def local(self) -> SequenceModel:
        """The same model with its convolutions computed once for what sequences share."""
        return LocalXpresso(self)

    def _predict_together(self, codes: torch.Tensor) -> torch.Tensor:
        """Run the plain forward pass, in full float32 (no TF32)."""
        with evaluation():
            return self.network(one_hot(codes), self.half_life)  # type: ignore[no-any-return]

    def _predict_one_by_one(self, codes: torch.Tensor) -> torch.Tensor:
        """Run the same with the first layer by trimers, each sequence alone on a thread."""
        conv1 = self.network.conv1
        table = trimer_table(conv1)

        @torch.no_grad()
        def predict_one(sequence: torch.Tensor) -> torch.Tensor:
            pooled = pooled_by_trimers(sequence, table, conv1)  # (128, 350)
            return self.network.from_pooled(pooled[None], self.half_life)  # (1, 1)

        return torch.cat([codes.new_empty((0, 1), dtype=torch.float32), *map_on_threads(predict_one, codes)])


def load(
    weights: str = "GM12878",
    *,
    tss_index: int = TRAINING_TSS_INDEX,
    half_life: Sequence[float] | None = None,
    device: torch.device | str = "cpu",
) -> Xpresso:
    """Load Xpresso.

    Parameters
    ----------
    weights
        A published name (``GM12878``, ``K562``, ``humanMedian``, ``mESC``, ``mouseMedian``), whose
        file must have the published checksum, or the path of a Keras .h5 or a .safetensors file.
    tss_index, half_life
        See `Xpresso`.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another model.
    ConfigError
        An unknown name of weights, or an option out of range.
    """
    path, name = chosen_weights("xpresso", "Xpresso", weights)
    published = {file.name for file in WEIGHTS["xpresso"]}
    network = XpressoNet()
    network.load_state_dict(read_weights(path))
    model = Xpresso(
        f"xpresso/{name}",
        network,
        cell_type=weights if weights in published else "unknown",
        tss_index=tss_index,
        half_life=half_life,
    )
    return model.to(torch.device(device))


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """State dict of `XpressoNet` from a published Keras .h5 or one of `save_safetensors`.

    Raises
    ------
    WeightsError
        A pickle, neither format, a missing or foreign layer, or another shape.
    """
    loading.refuse_pickle(path)
    if path.suffix == ".safetensors":
        shapes = {name: tuple(tensor.shape) for name, tensor in XpressoNet().state_dict().items()}
        return {n: torch.from_numpy(a) for n, a in loading.read_safetensors(path, shapes).items()}
    kernels = {f"{layer}/kernel": shape for layer, (_, shape) in KERAS_LAYERS.items()}
    biases = {f"{layer}/bias": shape[-1:] for layer, (_, shape) in KERAS_LAYERS.items()}
    arrays = loading.read_keras(path, kernels | biases)
    state = {}
    for layer, (module, _) in KERAS_LAYERS.items():
        kernel = np.ascontiguousarray(arrays[f"{layer}/kernel"].T)  # (width, in, out) -> (out, in, width)
        state[f"{module}.weight"] = torch.from_numpy(kernel)
        state[f"{module}.bias"] = torch.from_numpy(arrays[f"{layer}/bias"])
    return state


def save_safetensors(model: Xpresso, path: Path) -> None:
    """Write the model's weights, exactly, to a file that `load` reads."""
    state = model.network.state_dict()
    loading.write_safetensors(path, {name: tensor.cpu().numpy() for name, tensor in state.items()})


def _half_life(features: Sequence[float] | None) -> list[float]:
    values = [0.0] * HALF_LIFE_FEATURES if features is None else [float(value) for value in features]
    if len(values) != HALF_LIFE_FEATURES or not np.isfinite(values).all():
        raise ConfigError(
            "Xpresso's 'half_life' must be six finite numbers.", expected="six numbers", got=features
        )
    return values


def _window(tss_index: int) -> ModelWindow:
    if not 0 <= tss_index < LENGTH:
        raise ConfigError(
            "Xpresso's 'tss_index' lies outside its window.", expected=f"0 to {LENGTH - 1}", got=tss_index
        )
    return ModelWindow(upstream=tss_index, downstream=LENGTH - tss_index, oriented=True)


STRIDE: Final = 300
"""Bases of a position: poolings by 30 and by 10. The halo, 122 bases before and 123 behind, is one more."""

CHANNELS: Final = 32


class LocalXpresso(SharedModel):
    """The same model as `whole`, with its name, weights and read-outs; values differ by rounding (some 3e-7).

    Parameters
    ----------
    whole
        The model as it is.
    """

    def __init__(self, whole: Xpresso) -> None:
        self.whole = whole
        self.name, self.fingerprint = whole.name, whole.fingerprint
        self.window, self.tracks = whole.window, whole.tracks
        self.read_outs, self.default_read_out = whole.read_outs, whole.default_read_out
        self.flop_per_pass = whole.flop_per_pass
        self.grid = Grid(STRIDE, STRIDE, STRIDE, CHANNELS)

    def to(self, device: torch.device) -> Self:
        """Move the parameters to `device`; returns the model."""
        self.whole.to(device)
        return self

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Predicted expression of (B, 10500) codes, as (B, 1), by the whole model."""
        return self.whole.predict(codes, read_out)

    def span(self, read_out: ReadOut) -> tuple[int, int]:
        """All positions: the dense layers see the whole window."""
        return 0, self.window.length // STRIDE

    def embed(self, codes: torch.Tensor) -> torch.Tensor:
        """Both convolutions with their poolings, (B, S) codes to (B, S / 300, 32)."""
        network = self.whole.network
        with without_gradients():
            if codes.device.type != "cpu" or layers_wanted():
                with evaluation():
                    x = F.relu(network.conv1(F.pad(one_hot(codes), (2, 3))))  # (B, 128, S)
                    return network.positions(F.max_pool1d(x, POOL))
            table = trimer_table(network.conv1)

            @torch.no_grad()
            def embed_one(sequence: torch.Tensor) -> torch.Tensor:
                return network.positions(pooled_by_trimers(sequence, table, network.conv1)[None])[0]

            return torch.stack(map_on_threads(embed_one, codes))

    def read(self, embedding: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Run the dense layers, (B, 35, 32) to (B, 1)."""
        with without_gradients():
            return self.whole.network.from_positions(embedding, self.whole.half_life)

    def embed_flop(self, bases: int) -> float:
        """FLOP of both convolutions on one stretch of so many bases."""
        network = self.whole.network
        return 2.0 * (bases * network.conv1.weight.numel() + bases // POOL * network.conv2.weight.numel())

    def read_flop(self, read_out: ReadOut) -> float:
        """FLOP of the dense layers on one sequence."""
        network = self.whole.network
        return 2.0 * sum(layer.weight.numel() for layer in (network.dense1, network.dense2, network.dense3))
