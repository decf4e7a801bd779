"""EPInformer's enhancer encoder (Lin et al. 2024): 256 bases to an element's activity, in GM12878 or K562.

Activity is the square root of H3K27ac times DNase, as the ABC model has it. A gene is read at its TSS, or at
the elements of a BED file within reach too (`hapsight.models.elements`). The network is not symmetric:
published predictions are of the genome's forward strand.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Final, Self

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from hapsight.models import loading
from hapsight.models.catalogue import EPINFORMER_TESTED, chosen_weights
from hapsight.models.elements import ElementSum, read_elements
from hapsight.models.forward import evaluation, one_hot, require_window
from hapsight.models.protocol import ModelWindow, ReadOut, SequenceModel, Track
from hapsight.models.weights import weights_digest

__all__ = ["LENGTH", "EPInformer", "EPInformerEncoder", "load", "read_weights"]

LENGTH: Final = 256
WIDTHS: Final = (256, 128, 64, 64, 128)
"""Channels of the first convolution, and of the four blocks behind it."""

HIDDEN: Final = 256
FLOOR: Final = 0.1
"""Added to the activity before its logarithm."""

UNITS: Final = "log2(activity + 0.1)"
N_SHARE: Final = 0.25
"""What each of the four channels holds at an N."""

CODE_VERSION: Final = 1
"""Part of the fingerprint; to be raised when a change of this file changes numbers."""


class _Tower(nn.Module):
    """The convolutions, (B, 4, 256) to (B, 128, 16)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem_conv = nn.Sequential(nn.Conv1d(4, WIDTHS[0], 8))
        self.conv_tower = nn.ModuleList()
        for before, after in pairwise(WIDTHS):
            wide = nn.Sequential(nn.Conv1d(before, after, 3, padding=1), nn.BatchNorm1d(after))
            self.conv_tower.extend([wide, nn.Sequential(nn.Conv1d(after, after, 1))])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Halve the length in each block of the tower."""
        x = F.elu(self.stem_conv(F.pad(x, (3, 4))))  # (B, 256, 256), an even kernel's "same" padding
        layers = list(self.conv_tower)
        for wide, narrow in zip(layers[::2], layers[1::2], strict=True):
            x = F.max_pool1d(F.elu(wide(x)), 2)
            x = x + F.elu(narrow(x))
        return x


class EPInformerEncoder(nn.Module):
    """The network; B one-hot sequences (B, 4, 256) in, (B, 1) out. Its layers are named as published."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _Tower()
        flat = WIDTHS[-1] * LENGTH // 2 ** (len(WIDTHS) - 1)
        self.embedToAct = nn.Sequential(
            nn.Flatten(),
            *_dense(flat),
            *_dense(HIDDEN),
            nn.Linear(HIDDEN, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Predict log2(activity + 0.1) from one-hot (B, 4, 256); returns (B, 1)."""
        return self.embedToAct(self.encoder(x))  # type: ignore[no-any-return]  # flattened channel-major


def _dense(width: int) -> tuple[nn.Module, ...]:
    return nn.Linear(width, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU(), nn.Dropout(0.1)


def _flop() -> float:
    """FLOP of the network on one window."""
    length, products = LENGTH, LENGTH * 8 * 4 * WIDTHS[0]
    for before, after in pairwise(WIDTHS):
        products += length * 3 * before * after + length // 2 * after * after
        length //= 2
    return 2.0 * (products + length * WIDTHS[-1] * HIDDEN + HIDDEN * HIDDEN + HIDDEN)


class EPInformer(SequenceModel):
    """The enhancer encoder with one set of weights, read at the TSS: 128 bases before it, 128 from it on.

    Parameters
    ----------
    name
        ``epinformer/<weights>``.
    network
        The network with its weights.
    cell_type
        What the weights were trained on.
    held_out
        Chromosomes that they were not trained on, where known.
    """

    window = ModelWindow(LENGTH // 2, LENGTH // 2, oriented=False)
    default_read_out = "tss"
    flop_per_pass = _flop()

    def __init__(
        self,
        name: str,
        network: EPInformerEncoder,
        *,
        cell_type: str,
        held_out: tuple[str, ...] | None = None,
    ) -> None:
        self.name = name
        self.network = network.eval()
        self.held_out = held_out
        self.tracks = (Track("activity", "sqrt(H3K27ac x DNase)", cell_type, ".", UNITS),)
        self.read_outs = {
            "tss": ReadOut("tss", description=f"{UNITS} of the 256 bases about the TSS, forward strand"),
            "both_strands": ReadOut(
                "both_strands",
                reverse_complement=True,
                description=f"{UNITS} of the 256 bases about the TSS, mean of both strands",
            ),
        }
        self.fingerprint = weights_digest("epinformer", network, {"code_version": CODE_VERSION})

    def to(self, device: torch.device) -> Self:
        """Move the parameters to `device`; returns the model."""
        self.network.to(device)
        return self

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Predicted log2(activity + 0.1) of (B, 256) codes, as (B, 1); see `SequenceModel.predict`.

        Raises
        ------
        InputError
            Sequences of another length than the window's.
        """
        require_window(self, "EPInformer", codes, LENGTH)
        with evaluation():
            unknown = (codes > 3).to(torch.float32)[:, None] * N_SHARE  # (B, 1, 256)
            return self.network(one_hot(codes) + unknown)  # type: ignore[no-any-return]


def load(
    weights: str = "GM12878_fold11",
    *,
    elements: str | None = None,
    reach_kb: float = 100.0,
    distance_power: float | None = None,
    device: torch.device | str = "cpu",
) -> EPInformer | ElementSum:
    """Load EPInformer's enhancer encoder.

    Parameters
    ----------
    weights
        A published name, ``GM12878_fold01`` to ``GM12878_fold12`` or ``K562_fold11``, whose file must have
        the published checksum; or the path of a checkpoint of that layout or a .safetensors file.
    elements
        A BED file of elements (chromosome, start, end; the centre of each is read). With it a gene is the
        log2 of 0.1 plus the activities of its TSS and of the elements within `reach_kb`, summed.
    reach_kb
        Largest distance between the TSS and an element's centre, in kb.
    distance_power
        With a number g, an element d bases from the TSS weighs ``(5000 / max(d, 5000)) ** g``, as contacts
        fall in the ABC model; None: all weigh 1 in the read-out ``elements``, and by g = 1.02 in ``abc``.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another model.
    ConfigError
        An unknown name of weights, or an option out of range.
    InputError
        The BED file cannot be read.
    """
    path, called = chosen_weights("epinformer", "EPInformer", weights)
    network = EPInformerEncoder()
    loading.fill(network, read_weights(path))
    cell, held_out = _trained_on(weights)
    model = EPInformer(f"epinformer/{called}", network, cell_type=cell, held_out=held_out)
    model.to(torch.device(device))
    if elements is None:
        return model
    return ElementSum(model, read_elements(Path(elements).expanduser()), reach_kb, distance_power, FLOOR)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """State dict of `EPInformerEncoder` from a published checkpoint, or the same as .safetensors.

    Published convolutions are two-dimensional, of height 1. Nothing that the file holds is run.

    Raises
    ------
    WeightsError
        Another format, a missing or foreign layer, another shape, or numbers that are not finite.
    """
    with torch.device("meta"):
        own = EPInformerEncoder().state_dict()
    own = {name: tensor for name, tensor in own.items() if not name.endswith("num_batches_tracked")}
    shapes = {name: _published_shape(tensor) for name, tensor in own.items()}
    counters = ["*.num_batches_tracked"]
    if path.suffix == ".safetensors":
        arrays = loading.read_safetensors(path, shapes, counters)
    else:
        arrays = loading.read_torch(path, shapes, counters, inside="model_state_dict")
    return {name: torch.from_numpy(arrays[name]).reshape(own[name].shape) for name in own}


def _published_shape(tensor: torch.Tensor) -> tuple[int, ...]:
    shape = tuple(tensor.shape)
    return (*shape[:2], 1, shape[2]) if len(shape) == 3 else shape


def _trained_on(weights: str) -> tuple[str, tuple[str, ...] | None]:
    """Cell type of published weights, and the chromosomes that their fold held out."""
    found = re.fullmatch(r"(GM12878|K562)_fold(\d\d)", weights)
    return ("unknown", None) if found is None else (found[1], EPINFORMER_TESTED[int(found[2])])
