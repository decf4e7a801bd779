"""What a gene page shows: plain numbers, put together by whoever has the run, drawn by `report.gene_page`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.files import file_name

__all__ = ["PEOPLE", "GenePage", "Logo", "ModelView", "Motif", "TopEqtl", "page_link"]

Float = NDArray[np.float64]

PEOPLE: Final = {"predicted": pl.Float64, "observed": pl.Float64, "genotype": pl.Int64}
"""Columns of the people behind a picture; no names, and in no order that tells them."""


@dataclass(frozen=True, slots=True, eq=False)
class Logo:
    """Bases around a variant with one allele, in the direction of transcription.

    Attributes
    ----------
    letters, worth
        n letters, and (n,) what each is worth to the prediction.
    first, last
        The allele is ``letters[first:last]``.
    """

    letters: str
    worth: Float
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Motif:
    """What a variant does to the motif whose score changes most; scores in bits.

    Attributes
    ----------
    kind
        ``gain``, ``loss``, ``change`` or ``none``.
    """

    kind: str
    matrix_id: str | None = None
    name: str | None = None
    ref_score: float | None = None
    alt_score: float | None = None


@dataclass(frozen=True, slots=True)
class TopEqtl:
    """The gene's strongest eQTL variant.

    Attributes
    ----------
    variant
        Its row of the variants' table; ``r2`` to the marked variant, wherever it lies.
    tested
        Variants that were tested with the gene.
    """

    variant: dict[str, Any]
    tested: int


@dataclass(frozen=True, slots=True, eq=False)
class ModelView:
    """One model and read-out on one gene.

    Attributes
    ----------
    result
        The gene's row of ``evaluation/per_gene``.
    units
        Of the prediction.
    window
        First and last base that the model reads, from the TSS, downstream positive.
    shown
        The stretch of the pictures, which holds `window`.
    people
        Columns `PEOPLE`; `genotype` is the dosage of the marked variant, null where there is none.
    variants
        Columns `hapsight.explain.tables.VIEW_VARIANTS`, sorted by position.
    marked
        Row of `variants` that the page is about: the main driver, else the variant that contributes most;
        None where no variant has an effect.
    driver_status
        Of `hapsight.explain.drivers.Drivers`, or ``no_variants``.
    additivity
        r of the sum of all variants' effects with the prediction.
    motif
        Of the marked variant; None where motifs were not looked for.
    logos
        REF and ALT; None where there are none, and then `logo_note` says why.
    logo_note
        In words, what the height of a letter is.
    withheld
        Whether variants of few people were left out.
    af_step
        What frequencies were rounded to; None where they have all digits.
    """

    model: str
    read_out: str
    protocol: str
    observed: str
    units: str
    result: dict[str, Any]
    window: tuple[int, int]
    shown: tuple[int, int]
    people: pl.DataFrame
    variants: pl.DataFrame
    marked: int | None
    driver_status: str
    additivity: float | None
    n_drivers: int
    motif: Motif | None
    top_eqtl: TopEqtl | None
    eqtl_mapped: bool
    logos: tuple[Logo, Logo] | None
    logo_note: str
    withheld: bool = False
    af_step: float | None = None

    @property
    def variant(self) -> dict[str, Any] | None:
        """The marked variant's row."""
        return None if self.marked is None else self.variants.row(self.marked, named=True)

    @property
    def has_driver(self) -> bool:
        """Whether the marked variant is a driver, and not only the one that contributes most."""
        return self.n_drivers > 0


@dataclass(frozen=True, slots=True, eq=False)
class GenePage:
    """A gene, and a view of each model.

    Attributes
    ----------
    cohort
        Its name.
    tss
        0-based.
    individuals
        Whether the page shows a point per person, with expression and genotype; else means over groups.
    peaks
        Whether it is a peak, read at its centre (`tss`), and no gene.
    """

    cohort: str
    gene_id: str
    gene_name: str
    contig: str
    tss: int
    strand: str | None
    views: tuple[ModelView, ...]
    individuals: bool = False
    peaks: bool = False

    @property
    def name(self) -> str:
        """The gene's name, or its identifier where it has none."""
        return self.gene_name or self.gene_id


def page_link(gene_id: str) -> str:
    """Where the report finds a gene's page."""
    return f"report/genes/{quote(file_name(gene_id, suffix='.html'))}"
