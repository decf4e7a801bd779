"""What hapsight asks of a model, and all that it knows of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hapsight.errors import ConfigError, plural

if TYPE_CHECKING:
    import torch

__all__ = [
    "Grid",
    "ModelWindow",
    "OutputBins",
    "Precision",
    "ReadOut",
    "SequenceModel",
    "SharedModel",
    "Track",
    "WindowedModel",
]

Precision = Literal["float32", "float16x3", "tf32", "bfloat16"]
"""The arithmetic that a model computes in; see `hapsight.engine.arithmetic`."""

MODEL = 'load_model("xpresso"), or TorchModel(network, name, upstream=..., downstream=...)'
"""Where a model comes from, for those who gave something else."""

WINDOWS_TOGETHER = 16
"""Windows of a haplotype that `WindowedModel.read` runs at a time: a batch for speed, a bound for memory."""


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
    minus_shift
        Bases that the window of a gene on the minus strand lies further upstream: 1 for a model that was
        trained on windows of an even length centred in the genome's coordinates.
    """

    upstream: int
    downstream: int
    oriented: bool
    minus_shift: int = 0

    @property
    def length(self) -> int:
        """Bases in the window."""
        return self.upstream + self.downstream

    def reach(self, *, minus_strand: bool) -> tuple[int, int]:
        """Bases upstream, and from the TSS on, of the window of a gene on that strand."""
        shift = self.minus_shift if minus_strand else 0
        return self.upstream + shift, self.downstream - shift


@dataclass(frozen=True, slots=True)
class OutputBins:
    """Where a model's output bins lie in its window.

    Attributes
    ----------
    first
        Index of the first base of bin 0: what the model crops before it.
    size
        Bases of a bin.
    count
        Bins that the model gives.
    """

    first: int
    size: int
    count: int

    def bases(self, bins: tuple[int, ...]) -> tuple[int, int]:
        """Bases ``[first, last)`` of the window from the first to the last of some bins."""
        return self.first + min(bins) * self.size, self.first + (max(bins) + 1) * self.size


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
    reverse_complement
        Whether the value is the mean over both strands of the input.
    shifts
        The value is the mean over the window moved by these many bases.
    """

    name: str
    tracks: tuple[int, ...] = (0,)
    bins: tuple[int, ...] = ()
    reduce: str = "mean"
    haplotypes: str = "mean"
    reverse_complement: bool = False
    shifts: tuple[int, ...] = (0,)
    description: str = ""


class SequenceModel(ABC):
    """A model: its declarations, and one method.

    Attributes
    ----------
    name
        Name with weights, such as ``"xpresso/GM12878"``; goes with every number.
    fingerprint
        Digest of weights, options and code version: two models with one fingerprint predict the same.
    training_read_out
        The read-out that training on people uses where none is configured; None: the default. A model whose
        default saturates, so that its gradient vanishes, has another.
    held_out
        Chromosomes, without ``chr``, that the weights were not trained on; None: not known.
    flop_per_pass
        Floating-point operations of one forward pass of one sequence, 2 per multiply-add.
    output_bins
        Where the bins of its read-outs lie; None of a model that has none.
    no_tss_control
        Why its predictions need not be higher at TSSs than elsewhere; empty where they should be, which
        `hapsight check` then looks at.
    """

    name: str
    window: ModelWindow
    tracks: tuple[Track, ...]
    read_outs: Mapping[str, ReadOut]
    default_read_out: str
    training_read_out: str | None = None
    held_out: tuple[str, ...] | None = None
    output_bins: OutputBins | None = None
    no_tss_control: str = ""
    fingerprint: str
    flop_per_pass: float

    def __repr__(self) -> str:
        size = f"{self.window.length:,} bases, {plural(len(self.tracks), 'track')}"
        return f"{type(self).__name__}({self.name}: {size})"

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

    def local(self) -> SequenceModel:
        """The form of this model that is quickest on many sequences which differ at few places.

        Its values are the model's but for rounding. A model that has only one form is that form.
        """
        return self

    def mirrored(self, read_out: ReadOut) -> ReadOut:
        """The read-out that gives the same quantity when the window is read from the other strand.

        Models with bins or stranded tracks override it: bins count from the other end, strands change places.
        """
        return read_out

    def sees(self, read_out: ReadOut) -> tuple[int, int]:
        """Bases ``[first, last)`` of the window that one pass of a read-out depends on.

        A variant elsewhere has exactly no effect in that pass. Shifts and the other strand are passes of
        their own: `hapsight.engine.views.seen_bases` has them all.
        """
        return 0, self.window.length


@dataclass(frozen=True, slots=True)
class Grid:
    """The embedding that a model's local layers make of sequence: one position per `stride` bases.

    Position j covers bases ``[j * stride, (j + 1) * stride)`` and depends on no base further than `before`
    bases before, or `after` bases behind, these.

    Attributes
    ----------
    stride, before, after
        Bases; `before` and `after` are multiples of `stride`.
    channels
        Numbers per position.
    """

    stride: int
    before: int
    after: int
    channels: int


class SharedModel(SequenceModel):
    """A model whose first layers are local, so that they can be computed once for what people share.

    ``read(embed(codes)[:, first:last], read_out)`` with ``first, last = span(read_out)`` equals
    ``predict(codes, read_out)``.

    Attributes
    ----------
    gtf, transcripts
        Where the engine finds the exons of each gene for `over_exons`, and names of transcripts that it takes
        before all others; None of a model that has no read-out over exons.
    """

    grid: Grid
    gtf: Path | None = None
    transcripts: tuple[str, ...] = ()

    @abstractmethod
    def span(self, read_out: ReadOut) -> tuple[int, int]:
        """Embedding positions ``[first, last)`` of the window that a read-out depends on."""

    def sees(self, read_out: ReadOut) -> tuple[int, int]:
        """Bases of the positions of `span`, and what the grid has around them."""
        (first, last), grid = self.span(read_out), self.grid
        start, end = first * grid.stride - grid.before, last * grid.stride + grid.after
        return max(0, start), min(self.window.length, end)

    def over_exons(self, read_out: ReadOut, exons: Sequence[tuple[int, int]]) -> ReadOut:
        """Give a read-out without bins those of a gene's exons that are in the window.

        Parameters
        ----------
        exons
            ``[start, end)``, bases from the TSS along the genome's forward strand.
        """
        return read_out

    @abstractmethod
    def embed(self, codes: torch.Tensor) -> torch.Tensor:
        """The local layers on stretches that start on the window's grid.

        Parameters
        ----------
        codes
            (B, S) uint8, S a multiple of the stride.

        Returns
        -------
        (B, S / stride, channels). Positions nearer to an end of the stretch than the grid's `before` or
        `after` are those of the window only where that end is the window's own.
        """

    @abstractmethod
    def read(self, embedding: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Everything behind the local layers: (B, last - first, channels) to (B, T)."""

    @abstractmethod
    def embed_flop(self, bases: int) -> float:
        """Floating-point operations of `embed` on one stretch of so many bases."""

    @abstractmethod
    def read_flop(self, read_out: ReadOut) -> float:
        """Floating-point operations of what comes behind, for one haplotype (windows not counted)."""


class WindowedModel(SharedModel):
    """A shared model that reads its embedding in short overlapping windows, each computed once for all.

    Window w is the embedding positions ``[w * window_step, w * window_step + window_length)`` of the span;
    what it becomes depends on `window_bases` bases and on nothing else.

    Attributes
    ----------
    window_step, window_length
        Embedding positions.
    window_features
        Numbers that a window becomes.
    """

    window_step: int
    window_length: int
    window_features: int

    @property
    def window_bases(self) -> int:
        """Bases that a window depends on, from `grid.before` bases before its first position on."""
        return self.grid.before + self.window_length * self.grid.stride + self.grid.after

    @abstractmethod
    def embed_window(self, embedding: torch.Tensor) -> torch.Tensor:
        """Each row's window: (B, window_length, channels) to (B, window_features)."""

    @abstractmethod
    def window_flop(self) -> float:
        """Floating-point operations of `embed_window` on one window."""

    @abstractmethod
    def read_windows(self, features: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Everything behind the windows: (B, windows, window_features) to (B, T)."""

    def read(self, embedding: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Everything behind the local layers: (B, last - first, channels) to (B, T)."""
        import torch

        windows = embedding.unfold(1, self.window_length, self.window_step).transpose(2, 3)
        features = [
            self.embed_window(part.flatten(0, 1)).reshape(*part.shape[:2], -1)  # (B, some, window_features)
            for part in torch.split(windows, WINDOWS_TOGETHER, dim=1)
        ]
        return self.read_windows(torch.cat(features, dim=1), read_out)
