"""What hapsight asks of a model, and all that it knows of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hapsight.errors import ConfigError

if TYPE_CHECKING:
    import torch

__all__ = ["ModelWindow", "ReadOut", "SequenceModel", "Track"]


@dataclass(frozen=True, slots=True)
class ModelWindow:
    """The stretch of DNA a model reads around a TSS.

    Attributes
    ----------
    upstream, downstream
        Bases before the TSS, and from the TSS (included) on; the TSS is at index `upstream`.
    oriented
        True: read in the direction of transcription (minus-strand genes reverse-complemented);
        false: always the genome's forward strand.
    """

    upstream: int
    downstream: int
    oriented: bool

    @property
    def length(self) -> int:
        """Bases in the window."""
        return self.upstream + self.downstream


@dataclass(frozen=True, slots=True)
class Track:
    """One thing a model predicts along the sequence."""

    name: str
    assay: str
    cell_type: str
    strand: str
    units: str


@dataclass(frozen=True, slots=True)
class ReadOut:
    """How a model's output becomes one number per haplotype and track.

    Attributes
    ----------
    tracks
        Indices into the model's tracks; T of them.
    bins
        Output bins that are combined by `reduce`; empty where the model has no bins.
    haplotypes
        How a person's two haplotypes are combined for a person's value.
    """

    name: str
    tracks: tuple[int, ...] = (0,)
    bins: tuple[int, ...] = ()
    reduce: str = "mean"
    haplotypes: str = "mean"
    description: str = ""


class SequenceModel(ABC):
    """A model: its declarations, and one method.

    Attributes
    ----------
    name
        Name with weights, such as ``"xpresso/GM12878"``; goes with every number.
    fingerprint
        Digest of weights, options and code version: two models with one fingerprint predict the same.
    flop_per_pass
        Floating-point operations of one forward pass of one sequence, 2 per multiply-add.
    """

    name: str
    window: ModelWindow
    tracks: tuple[Track, ...]
    read_outs: Mapping[str, ReadOut]
    default_read_out: str
    fingerprint: str
    flop_per_pass: float

    @abstractmethod
    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Read-out of a batch of sequences, without gradient bookkeeping of its own.

        Parameters
        ----------
        codes
            (B, L) uint8 codes (A, C, G, T, N = 0..4), in the orientation that `window` asks for,
            on the model's device; L is ``window.length``.

        Returns
        -------
        (B, T) float tensor on the same device, T the number of tracks of `read_out`.
        """

    @abstractmethod
    def to(self, device: torch.device) -> SequenceModel:
        """Move the parameters to `device`; returns the model."""

    def read_out(self, name: str | None = None) -> ReadOut:
        """Give the read-out of this name, or the default."""
        wanted = name or self.default_read_out
        if wanted not in self.read_outs:
            raise ConfigError(
                f"Model {self.name} has no read-out {wanted!r}.", expected=", ".join(sorted(self.read_outs))
            )
        return self.read_outs[wanted]
