"""A gene as the sum of the elements near it: a model of short windows, read at places of the genome.

Every element is anchored at its own centre, so that an indel between it and the TSS does not move it. Each
different window of a block of genes is read once (`hapsight.engine.elements`).
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from hapsight.dna import plain_contig
from hapsight.errors import ConfigError, InputError
from hapsight.models.protocol import ModelWindow, ReadOut, SequenceModel

if TYPE_CHECKING:
    import torch

__all__ = ["ElementSum", "read_elements"]

Centres = Mapping[str, NDArray[np.int64]]
"""Contig, by its `plain_contig` name -> ascending centres of its elements, 0-based."""

NEAR: Final = 5_000
"""Bases within which contact is taken to be the same, as in the ABC model."""

CONTACT_POWER: Final = 1.02
"""By which contacts fall with distance, as in the ABC model (Fulco et al. 2019; Nasser et al. 2021)."""

LAST: Final = 2**31
"""No chromosome is longer."""

CODE_VERSION: Final = 1
"""Part of the fingerprint; to be raised when a change of this file, or of `hapsight.engine.elements`, changes
what is written."""

_SHOWN: Final = 12
"""Names of contigs in an error."""

GZIP: Final = b"\x1f\x8b"


class ElementSum(SequenceModel):
    """The log2 of a gene's summed activity: of the window about its TSS, and of elements within reach.

    With activities ``a = max(2 ** y - floor, 0)`` of the `element` model's values y, and weights w by
    distance, the value is ``log2(floor + sum(w * a))``: without elements within reach, that of the TSS alone.
    Elements whose window overlaps that of the TSS are not counted again.

    It is read for genes only (`hapsight run`, `predict`): `predict` refuses sequences, since these do not
    tell where they are from. `hapsight.explain.element_ism.elements_ism` toggles variants.

    Where `distance_power` is None, elements weigh alike in the read-out ``elements``; ``abc`` is activity by
    contact: contacts fall with distance to the power of `CONTACT_POWER`.

    Parameters
    ----------
    element
        Reads one element; its values are ``log2(activity + floor)``. It reads the forward strand.
    centres
        See `read_elements`.
    reach_kb
        Largest distance between TSS and centre.
    distance_power
        Weight of an element d bases away: ``(5000 / max(d, 5000)) ** distance_power``; None: as the read-out
        has it.

    Raises
    ------
    ConfigError
        An option out of range.
    """

    default_read_out = "elements"
    no_tss_control = "a gene is a sum over given elements, which other places do not have"

    def __init__(
        self,
        element: SequenceModel,
        centres: Centres,
        reach_kb: float,
        distance_power: float | None,
        floor: float,
    ) -> None:
        self.element, self.centres, self.floor = element, centres, floor
        self.reach = _bases(reach_kb)
        self.distance_power = _power(distance_power)
        self.name, self.tracks, self.held_out = element.name, element.tracks, element.held_out
        upstream, downstream = element.window.upstream, element.window.downstream
        self.window = ModelWindow(self.reach + upstream, self.reach + downstream, oriented=False)
        said = f"log2 of activity summed over the TSS and elements within {reach_kb:g} kb, weighed "
        self.read_outs = {
            name + suffix: replace(
                element.read_out(of_element),
                name=name + suffix,
                description=said + self._in_words(name) + strands,
            )
            for name in ("elements", "abc")
            for suffix, of_element, strands in (
                ("", "tss", ""),
                ("_both_strands", "both_strands", ", mean of both strands"),
            )
        }
        self.fingerprint = self._fingerprint()
        self.flop_per_pass = element.flop_per_pass * self._usual_elements()

    def to(self, device: torch.device) -> Self:
        """Move the parameters to `device`; returns the model."""
        self.element.to(device)
        return self

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """Refuse: bases do not tell where a gene's elements lie; see `refuse_sequences`."""
        self.refuse_sequences()

    def refuse_sequences(self) -> NoReturn:
        """Say that this model reads genes and no sequences.

        Raises
        ------
        ConfigError
            Always.
        """
        raise ConfigError(
            "A sum over elements is predicted for genes, and cannot be read from a sequence.",
            where=f"model {self.name}, option 'elements'",
            expected="a gene, as `hapsight predict` gives it",
            got="a sequence, as mutagenesis, scores of variants and training give it",
            fix="for these, leave out the option 'elements': the model then reads the TSS",
        )

    def require_elements(self, contigs: Iterable[str]) -> None:
        """Refuse genes on contigs none of which has an element: each would be its TSS alone.

        Raises
        ------
        ConfigError
            Names the contigs of both.
        """
        wanted = sorted(set(contigs))
        if wanted and not any(plain_contig(contig) in self.centres for contig in wanted):
            raise ConfigError(
                "No element is on a contig of the genes.",
                where=f"model {self.name}, option 'elements'",
                expected=f"elements on {_some(wanted)}",
                got=_some(sorted(self.centres)),
                fix="give a BED file with the FASTA's names of contigs (with or without chr)",
            )

    def places(self, contig: str, tss: int) -> NDArray[np.int64]:
        """Centres of what is read for a gene: the TSS itself, then the elements by position."""
        every = self.centres.get(plain_contig(contig), np.empty(0, np.int64))
        first, last = np.searchsorted(every, [tss - self.reach, tss + self.reach + 1])
        near = every[first:last]
        return np.concatenate([[tss], near[np.abs(near - tss) >= self.element.window.length]])

    def combine(
        self, values: NDArray[np.float64], distances: NDArray[np.int64], read_out: str = "elements"
    ) -> NDArray[np.float64]:
        """Values of genes, (R, T), from those of their elements, (R, E, T), at (E,) bases from the TSS."""
        summed = np.einsum("ret,e->rt", self.activity(values), self.weights(distances, read_out))
        return np.asarray(np.log2(self.floor + summed), np.float64)

    def activity(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Activities from the element's values, ``log2(activity + floor)``; at least 0."""
        return np.maximum(np.exp2(values) - self.floor, 0.0)

    def weights(self, distances: NDArray[np.int64], read_out: str = "elements") -> NDArray[np.float64]:
        """(E,) weight of elements by their distance from the TSS in bases."""
        near = NEAR / np.maximum(np.abs(distances), NEAR)
        return np.asarray(near ** self._power_of(read_out), np.float64)

    def _power_of(self, read_out: str) -> float:
        if self.distance_power is not None:
            return self.distance_power
        return CONTACT_POWER if read_out.startswith("abc") else 0.0

    def _in_words(self, read_out: str) -> str:
        power = self._power_of(read_out)
        return f"by distance to the power -{power:g}" if power or self.distance_power is not None else "alike"

    @property
    def covered(self) -> float:
        """About what share of its window elements cover, to plan by."""
        windows = self.flop_per_pass / self.element.flop_per_pass
        return min(1.0, windows * self.element.window.length / self.window.length)

    def _usual_elements(self) -> float:
        """About how many windows a gene has, to plan by: its TSS, and as many as an element has near it."""
        counts = [
            np.searchsorted(every, every + self.reach, "right") - np.searchsorted(every, every - self.reach)
            for every in self.centres.values()
        ]
        return 1.0 + (float(np.concatenate(counts).mean()) if counts else 0.0)

    def _fingerprint(self) -> str:
        options = f"{CODE_VERSION} {self.element.fingerprint} {self.reach} {self.distance_power} {self.floor}"
        digest = hashlib.sha256(options.encode())
        for contig, every in sorted(self.centres.items()):
            digest.update(contig.encode() + every.astype("<i8").tobytes())
        return digest.hexdigest()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def read_elements(path: Path) -> dict[str, NDArray[np.int64]]:
    """Centres of the elements of a BED file, plain or gzipped, by plain name of the contig; each once.

    Raises
    ------
    InputError
        There is no such file, a line is not BED, or there is no element.
    """
    found: dict[str, set[int]] = {}
    for number, line in enumerate(_lines(path), start=1):
        if line.strip() and not line.startswith(("#", "track", "browser")):
            contig, start, end = _element(path, number, line.split("\t"))
            found.setdefault(plain_contig(contig), set()).add((start + end) // 2)
    if not found:
        raise InputError("A BED file holds no element.", where=path)
    return {contig: np.array(sorted(centres), np.int64) for contig, centres in found.items()}


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as handle:
            packed = handle.read(2) == GZIP
        with gzip.open(path, "rt") if packed else path.open("rt") as text:
            yield from text
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise InputError("A BED file of elements cannot be read.", where=path, got=error) from error


def _element(path: Path, number: int, columns: list[str]) -> tuple[str, int, int]:
    try:
        contig, start, end = columns[0], int(columns[1]), int(columns[2])
    except (IndexError, ValueError):
        start, end = 0, 0
    if not 0 <= start < end <= LAST:
        raise InputError(
            "A line of a BED file is not an element.",
            where=f"{path}, line {number}",
            expected="chromosome, start and end, tab-separated, 0 <= start < end",
            got="\t".join(columns[:3]).rstrip("\n"),
        )
    return contig, start, end


def _bases(reach_kb: float) -> int:
    if not isinstance(reach_kb, int | float) or not 0 < reach_kb <= 5_000:
        raise ConfigError("'reach_kb' is out of range.", expected="above 0, at most 5000 (kb)", got=reach_kb)
    return round(1_000 * reach_kb)


def _power(power: float | None) -> float | None:
    if power is not None and (not isinstance(power, int | float) or not 0 <= power <= 10):
        raise ConfigError("'distance_power' is out of range.", expected="0 to 10, or none", got=power)
    return power
