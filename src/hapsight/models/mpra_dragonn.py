"""MPRA-DragoNN (Movva et al. 2019), ConvModel: 145 bases to twelve activities in a reporter assay.

Trained on Sharpr-MPRA, on both strands; chr8 chose when to stop and chr18 was the test, so every other
chromosome was trained on. ReLU comes before the batch norm.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from hapsight.models import loading
from hapsight.models.catalogue import chosen_weights
from hapsight.models.forward import evaluation, one_hot, require_window
from hapsight.models.protocol import ModelWindow, ReadOut, SequenceModel, Track
from hapsight.models.weights import weights_digest

__all__ = ["LENGTH", "MpraDragonn", "MpraDragonnNet", "load", "read_weights"]

LENGTH: Final = 145
FILTERS: Final = 120
WIDTH: Final = 5
LAYERS: Final = 3
LEFT: Final = LENGTH - LAYERS * (WIDTH - 1)
"""Positions that are left behind the last convolution."""

HELD_OUT: Final = ("18",)
UNITS: Final = "z-score of log2((RNA + 1) / (DNA + 1))"
TASKS: Final = tuple(
    f"{cell}_{promoter}_{replicate}"
    for cell in ("K562", "HepG2")
    for promoter in ("minP", "SV40")
    for replicate in ("rep1", "rep2", "pooled")
)
DEFAULT: Final = "K562_minP_pooled"
CODE_VERSION: Final = 1
"""Part of the fingerprint; to be raised when a change of this file changes numbers."""


class MpraDragonnNet(nn.Module):
    """The network; one-hot (B, 4, 145) in, (B, 12) out."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (4, FILTERS, FILTERS)
        self.convolutions = nn.ModuleList(nn.Conv1d(before, FILTERS, WIDTH) for before in inputs)
        self.norms = nn.ModuleList(nn.BatchNorm1d(FILTERS, eps=1e-3) for _ in inputs)
        self.dense = nn.Linear(LEFT * FILTERS, len(TASKS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Each convolution takes four positions from the length."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = norm(F.relu(convolution(x)))
        return self.dense(x.transpose(1, 2).flatten(1))  # type: ignore[no-any-return]  # position-major


class MpraDragonn(SequenceModel):
    """MPRA-DragoNN with one set of weights: the TSS in the middle, 72 bases on either side, forward strand.

    Parameters
    ----------
    name
        ``mpra_dragonn/<weights>``.
    network
        The network with its weights.
    held_out
        Chromosomes that they were not trained on, where known.
    """

    window = ModelWindow(LENGTH // 2, LENGTH - LENGTH // 2, oriented=False)
    default_read_out = DEFAULT
    no_tss_control = "it predicts what 145 bases do in a reporter, not what the genome does where they are"
    flop_per_pass = 2.0 * (
        (LENGTH - 4) * 4 * WIDTH * FILTERS
        + (LENGTH - 8 + LEFT) * FILTERS * WIDTH * FILTERS
        + LEFT * FILTERS * len(TASKS)
    )
    tracks = tuple(
        Track(
            task, "Sharpr-MPRA, " + task.partition("_")[2].replace("_", ", "), task.split("_")[0], ".", UNITS
        )
        for task in TASKS
    )

    def __init__(
        self, name: str, network: MpraDragonnNet, *, held_out: tuple[str, ...] | None = None
    ) -> None:
        self.name = name
        self.network = network.eval()
        self.held_out = held_out
        forward = {task: ReadOut(task, (index,), description=UNITS) for index, task in enumerate(TASKS)}
        both = {
            f"{task}_both_strands": ReadOut(
                f"{task}_both_strands",
                (index,),
                reverse_complement=True,
                description=f"{UNITS}, mean of both strands",
            )
            for index, task in enumerate(TASKS)
        }
        self.read_outs = forward | both
        self.fingerprint = weights_digest("mpra_dragonn", network, {"code_version": CODE_VERSION})

    def to(self, device: torch.device) -> Self:
        """Move the parameters to `device`; returns the model."""
        self.network.to(device)
        return self

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Predicted activities of (B, 145) codes, as (B, T); see `SequenceModel.predict`.

        Raises
        ------
        InputError
            Sequences of another length than the window's.
        """
        require_window(self, "MPRA-DragoNN", codes, LENGTH)
        with evaluation():
            return self.network(one_hot(codes))[:, list(read_out.tracks)]  # type: ignore[no-any-return]


def load(weights: str = "conv", *, device: torch.device | str = "cpu") -> MpraDragonn:
    """Load MPRA-DragoNN.

    Parameters
    ----------
    weights
        ``conv``, the published ConvModel, whose file must have the published checksum; or the path of a Keras
        file of its layers.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another model.
    ConfigError
        An unknown name of weights.
    """
    path, called = chosen_weights("mpra_dragonn", "MPRA-DragoNN", weights)
    network = MpraDragonnNet()
    loading.fill(network, read_weights(path))
    held_out = HELD_OUT if weights == "conv" else None
    return MpraDragonn(f"mpra_dragonn/{called}", network, held_out=held_out).to(torch.device(device))


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """State dict of `MpraDragonnNet` from the published Keras file of weights.

    Raises
    ------
    WeightsError
        Another format, a missing or foreign layer, another shape, or numbers that are not finite.
    """
    loading.refuse_pickle(path)
    shapes = {"dense/kernel": (LEFT * FILTERS, len(TASKS)), "dense/bias": (len(TASKS),)}
    norm = {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    }
    names = {"dense.weight": "dense/kernel", "dense.bias": "dense/bias"}
    for layer in range(LAYERS):
        number = f"_{layer}" if layer else ""
        shapes[f"conv1d{number}/kernel"] = (WIDTH, FILTERS if layer else 4, FILTERS)
        shapes[f"conv1d{number}/bias"] = (FILTERS,)
        names[f"convolutions.{layer}.weight"] = f"conv1d{number}/kernel"
        names[f"convolutions.{layer}.bias"] = f"conv1d{number}/bias"
        for ours, theirs in norm.items():
            shapes[f"batch_normalization{number}/{theirs}"] = (FILTERS,)
            names[f"norms.{layer}.{ours}"] = f"batch_normalization{number}/{theirs}"
    arrays = loading.read_keras_in_order(path, shapes)
    return {ours: torch.from_numpy(np.ascontiguousarray(arrays[name].T)) for ours, name in names.items()}
