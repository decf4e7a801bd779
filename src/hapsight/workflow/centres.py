"""What the stretches of saturation mutagenesis are counted from: a gene's TSS, or its main driver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import polars as pl

from hapsight.cohort.nouns import Gene
from hapsight.errors import IncompleteError
from hapsight.explain_tables import DRIVERS
from hapsight.files import file_name
from hapsight.workflow.arms import rows_with
from hapsight.workflow.cards import ModelCard
from hapsight.workflow.opened import Opened

__all__ = ["Centre", "centres", "main_drivers", "tss_centre"]

_FORM: Final = "sasse2023"
"""The published form of a driver that is meant where only one can be, as on gene pages."""


@dataclass(frozen=True, slots=True)
class Centre:
    """A place on a gene's contig, and the tracks that look at the bases around it.

    Attributes
    ----------
    position
        0-based; of a driver, the position of its record.
    variant
        A driver as ``(variant_id, ref, alt)``; None for the TSS.
    """

    around: Literal["tss", "driver"]
    position: int
    tracks: tuple[str, ...]
    variant: tuple[str, str, str] | None = None

    def words(self, gene: Gene) -> tuple[str, ...]:
        """What the array of a gene is called by: tracks share the TSS, each has its driver."""
        return (gene.gene_id,) if self.around == "tss" else (gene.gene_id, self.tracks[0], "driver")

    def track_stem(self, words: tuple[str, ...], track: str) -> str:
        """What a track for browsers is called, without suffix, beside an array that is called by `words`."""
        gene_id, *others = words
        return file_name(gene_id, *((track, *others) if self.around == "tss" else others))

    def labels(self) -> dict[str, Any]:
        """Attributes of the array."""
        found: dict[str, Any] = {"around": self.around, "centre": self.position}
        if self.variant is not None:
            found |= dict(zip(("variant_id", "ref", "alt"), self.variant, strict=True))
        return found


def tss_centre(run: ModelCard, gene: Gene) -> Centre:
    """A gene's TSS, one for all tracks."""
    return Centre("tss", gene.tss, run.track_names)


def centres(opened: Opened, run: ModelCard, track: str) -> dict[str, Centre]:
    """What is configured for each gene of the cohort, by ``gene_id``; genes without a driver are not there.

    Raises
    ------
    IncompleteError
        Drivers are wanted and were not looked for.
    """
    if opened.config.explain.saturation_around == "tss":
        return {gene.gene_id: tss_centre(run, gene) for gene in opened.cohort.genes}
    found = main_drivers(opened, run, track).drop_nulls("position")
    return {row["gene_id"]: _driver(row, track) for row in found.iter_rows(named=True)}


def main_drivers(opened: Opened, run: ModelCard, track: str) -> pl.DataFrame:
    """One row per explained gene with the main driver of a model and track; null where it has none.

    Raises
    ------
    IncompleteError
        Drivers were not looked for.
    """
    opened.require_current("drivers")
    path = opened.folder.path / "explain" / "drivers.parquet"
    labels = run.labels(opened.config.protocol, track) | {"form": _FORM}
    if path.exists():
        table = pl.read_parquet(path, columns=list(DRIVERS))
        own = rows_with(table, labels)
        if not own.is_empty():
            return own
    raise IncompleteError(
        "Saturation mutagenesis is wanted around drivers, which are not known yet.",
        where=path,
        expected=f"rows of {labels['model']}, read-out {labels['read_out']}",
        got="none" if path.exists() else "no such table",
        fix="run `hapsight drivers` with this configuration, then `hapsight explain` again: effects are kept",
    )


def _driver(row: dict[str, Any], track: str) -> Centre:
    return Centre("driver", row["position"], (track,), (row["variant_id"], row["ref"], row["alt"]))
