"""The inputs that a read-out averages over: both strands, small shifts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hapsight.dna import Codes, reverse_complement
from hapsight.models.protocol import ReadOut, SequenceModel

__all__ = ["View", "margin", "views"]


@dataclass(frozen=True, slots=True)
class View:
    """One way to present a window to a model, and the read-out that fits it.

    Attributes
    ----------
    shift
        Bases by which the window is moved, in the model's reading direction.
    flipped
        True for the reverse complement.
    """

    shift: int
    flipped: bool
    read_out: ReadOut

    def of(self, codes: Codes, beyond: int) -> Codes:
        """(R, L) codes of this view, from (R, L + 2 * beyond) ones in the model's orientation."""
        moved = codes[:, beyond + self.shift : codes.shape[1] - beyond + self.shift]
        return reverse_complement(moved) if self.flipped else moved


def views(model: SequenceModel, read_out: ReadOut) -> Iterator[View]:
    """All views whose mean is the read-out."""
    for shift in read_out.shifts:
        yield View(shift, False, read_out)
        if read_out.reverse_complement:
            yield View(shift, True, model.mirrored(read_out))


def margin(read_out: ReadOut) -> int:
    """Bases beyond the window that some view needs."""
    return max(abs(shift) for shift in read_out.shifts)
