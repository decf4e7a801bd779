"""Framepool (Karollus et al. 2021): mean ribosome load of an mRNA from its 5' UTR, 3 bases or longer.

Its published file is a whole Keras model with Python bytecode in Lambda layers; only its arrays are read.
The stored graph divides the sum of each frame by the known bases of the whole UTR, as here; its present
source by those of the frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from hapsight.dna import Codes
from hapsight.errors import ConfigError, InputError
from hapsight.models import loading
from hapsight.models.catalogue import chosen_weights
from hapsight.models.forward import evaluation, one_hot
from hapsight.models.weights import weights_digest

__all__ = ["LIBRARIES", "SHORTEST", "Framepool", "FramepoolNet", "load", "read_weights"]

FILTERS: Final = 128
WIDTH: Final = 7
HIDDEN: Final = 64
FRAMES: Final = 3
SHORTEST: Final = 3
"""Bases: one for each frame."""

LIBRARIES: Final = ("egfp_50nt", "random_length")
"""Reporter libraries that the output can be scaled to; the source predicts with the second."""

CODE_VERSION: Final = 2
"""Part of the fingerprint; to be raised when a change of this file changes numbers."""

KERAS_LAYERS: Final = {
    "convolution": ("convolutions.0", (WIDTH, 4, FILTERS)),
    "convolution_1": ("convolutions.1", (WIDTH, FILTERS, FILTERS)),
    "convolution_2": ("convolutions.2", (WIDTH, FILTERS, FILTERS)),
    "fully_connected": ("dense", (2 * FRAMES * FILTERS, HIDDEN)),
    "mrl_output_unscaled": ("output", (HIDDEN, 1)),
    "scaling_regression": ("scaling", (4, 1)),
}
"""Published layer, as `loading.read_keras_in_order` numbers it -> our module, shape of the kernel."""


class FramepoolNet(nn.Module):
    """The network; 5' UTRs of one length, one-hot (B, 4, L), in, (B, 1) out, not yet scaled to a library.

    A shorter UTR in a batch would need zeros on its left and a mask behind every layer; a batch of one length
    needs neither.
    """

    def __init__(self) -> None:
        super().__init__()
        inputs = (4, FILTERS, FILTERS)
        self.convolutions = nn.ModuleList(nn.Conv1d(n, FILTERS, WIDTH, padding=WIDTH // 2) for n in inputs)
        self.dense = nn.Linear(2 * FRAMES * FILTERS, HIDDEN)
        self.output = nn.Linear(HIDDEN, 1)
        self.scaling = nn.Linear(4, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pool each frame, counted from the start codon, by maximum and by sum over the UTR's known bases."""
        known = x.sum(1, keepdim=True)  # 0 where a base is not known, as the source's mask
        first, *residual = self.convolutions
        x = F.relu(first(x)) * known
        for convolution in residual:
            x = x + F.relu(convolution(x)) * known
        frames = [x.flip(2)[:, :, frame::FRAMES] for frame in range(FRAMES)]
        bases = known.sum(2).clamp(min=1)
        pooled = [one.amax(2) for one in frames] + [one.sum(2) / bases for one in frames]
        return self.output(F.relu(self.dense(torch.cat(pooled, 1))))  # type: ignore[no-any-return]


class Framepool:
    """Framepool with one set of weights.

    Parameters
    ----------
    name
        ``framepool/<weights>``.
    network
        The network with its weights.
    library
        One of `LIBRARIES`.
    """

    def __init__(self, name: str, network: FramepoolNet, *, library: str = LIBRARIES[1]) -> None:
        if library not in LIBRARIES:
            raise ConfigError(
                "Framepool's 'library' is unknown.", expected=", ".join(LIBRARIES), got=repr(library)
            )
        self.name, self.trained_on = name, library
        self.network = network.eval()
        options = {"code_version": CODE_VERSION, "library": library}
        self.fingerprint = weights_digest("framepool", network, options)

    def predict(self, utrs: Sequence[Codes]) -> NDArray[np.float64]:
        """(U,) mean ribosome load (ribosomes an mRNA) of U 5' UTRs, each alone.

        Parameters
        ----------
        utrs
            Codes (A, C, G, T, N = 0..4) of each, 5' to 3', the last base next to the start codon.

        Raises
        ------
        InputError
            One is shorter than 3 bases.
        """
        short = [len(utr) for utr in utrs if len(utr) < SHORTEST]
        if short:
            raise InputError(
                "Framepool cannot read a 5' UTR this short.",
                where=self.name,
                expected=f"at least {SHORTEST} bases",
                got=short[0],
            )
        with evaluation():
            return np.array([self._load(utr) for utr in utrs], np.float64)

    def _load(self, utr: Codes) -> float:
        codes = torch.from_numpy(np.ascontiguousarray(utr))[None]
        unscaled = float(self.network(one_hot(codes)))
        which = LIBRARIES.index(self.trained_on)
        slopes, constants = self.network.scaling.weight[0].view(2, 2).tolist()
        return unscaled * float(slopes[which]) + float(constants[which])


def load(weights: str = "combined_residual", *, library: str = LIBRARIES[1]) -> Framepool:
    """Load Framepool.

    Parameters
    ----------
    weights
        ``combined_residual``, whose file must have the published checksum, or the path of a Keras file of its
        layers.
    library
        Scale of the output: ``random_length``, as the source predicts, or ``egfp_50nt``.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another model.
    ConfigError
        An unknown name of weights or library.
    """
    path, called = chosen_weights("framepool", "Framepool", weights)
    network = FramepoolNet()
    network.load_state_dict(read_weights(path))
    return Framepool(f"framepool/{called}", network, library=library)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """State dict of `FramepoolNet` from the published Keras file; its bytecode is not looked at.

    Raises
    ------
    WeightsError
        Another format, a missing or foreign layer, another shape, or numbers that are not finite.
    """
    loading.refuse_pickle(path)
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (_, shape) in KERAS_LAYERS.items():
        shapes[f"{layer}/kernel"] = shape
        if layer != "scaling_regression":
            shapes[f"{layer}/bias"] = shape[-1:]
    arrays = loading.read_keras_in_order(path, shapes)
    state = {}
    for name, array in arrays.items():
        layer, _, kind = name.partition("/")
        ours = f"{KERAS_LAYERS[layer][0]}.{'weight' if kind == 'kernel' else 'bias'}"
        state[ours] = torch.from_numpy(np.ascontiguousarray(array.T))  # (width, in, out) -> (out, in, width)
    return state
