"""The top eQTL of every gene with what surrounds it, from the finished units of the eQTL stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.errors import IncompleteError
from hapsight.evaluate.ld import ld_with
from hapsight.tables import CIS_INDEPENDENT, CIS_QTL, HERITABILITY
from hapsight.workflow.blocks import in_gene_order
from hapsight.workflow.eqtl import EqtlUnit, eqtl_units
from hapsight.workflow.eqtl_tables import CisWindow
from hapsight.workflow.opened import Opened, Progress

__all__ = ["TopEqtl", "top_eqtls"]

_CLOSE: Final = 0.8
"""r2 above which a variant can hardly be told from the top one."""


@dataclass(frozen=True, slots=True, eq=False)
class TopEqtl:
    """The strongest variant of a gene.

    Attributes
    ----------
    row
        Its columns in ``direction_genes``.
    dosage
        (N,) ALT alleles.
    """

    row: dict[str, Any]
    dosage: NDArray[np.uint8]

    @property
    def position(self) -> int:
        """Where it lies, 0-based."""
        return int(self.row["position"])


def top_eqtls(opened: Opened, progress: Progress) -> dict[str, TopEqtl]:
    """Top eQTLs by ``gene_id``; a gene without variants to test has none.

    Raises
    ------
    IncompleteError
        The eQTL stage is not done, or its tables are older than its units.
    """
    units = eqtl_units(opened)
    genes = _current(opened, units)
    signals = _table(opened, "cis_independent", CIS_INDEPENDENT)["phenotype_id"].value_counts()
    n_signals = dict(signals.iter_rows())
    h2 = dict(_table(opened, "heritability", HERITABILITY).select("phenotype_id", "h2").iter_rows())
    rows = {row["phenotype_id"]: row for row in genes.iter_rows(named=True) if row["variant_id"] is not None}
    found = {}
    for done, window in enumerate(_windows(units), start=1):
        name = window.gene.gene_id
        if name in rows:
            extra = {"n_signals": n_signals.get(name, 0), "h2": h2[name]}
            found[name] = _top(window, rows[name], extra)
        progress("direction, top eQTLs", done, len(opened.cohort.genes))
    return found


def _current(opened: Opened, units: list[EqtlUnit]) -> pl.DataFrame:
    """``cis_qtl``, if it was made of the units as they are now."""
    top = opened.folder.eqtl().read(units, "top")
    top = in_gene_order(top, opened.cohort.genes, "phenotype_id")
    genes = _table(opened, "cis_qtl", CIS_QTL)
    if not genes.drop("qval").equals(top):
        raise IncompleteError(
            "The eQTL tables are older than the mapping.",
            where=opened.folder.path / "eqtl",
            fix="run `hapsight eqtl` with this configuration: it was interrupted",
        )
    return genes


def _table(opened: Opened, name: str, schema: dict[str, Any]) -> pl.DataFrame:
    path = opened.folder.path / "eqtl" / f"{name}.parquet"
    if not path.exists():
        raise IncompleteError(
            "A table of the eQTL stage is not there.",
            where=path,
            fix="run `hapsight eqtl` with this configuration first",
        )
    return pl.read_parquet(path, columns=list(schema))


def _windows(units: list[EqtlUnit]) -> Iterator[CisWindow]:
    for unit in units:
        for window, _ in unit.windows(unit.reader()):
            yield window


def _top(window: CisWindow, row: dict[str, Any], extra: dict[str, Any]) -> TopEqtl:
    same = zip(window.variants.variant_id, window.variants.position, window.variants.alt, strict=True)
    place = list(same).index((row["variant_id"], row["position"], row["alt"]))
    dosage = window.dosage[place]
    close = int(np.sum(np.nan_to_num(ld_with(window.dosage, place)) ** 2 > _CLOSE)) - 1
    kept = ("variant_id", "position", "ref", "alt", "slope", "slope_se", "pval_nominal", "tss_distance")
    columns = {name: row[name] for name in kept} | {
        "eqtl_qval": row["qval"],
        "distance": abs(row["start_distance"]),
        "maf": min(row["af"], 1.0 - row["af"]),
        "dosage_sd": float(np.std(dosage, ddof=1)),
        "n_ld80": close,
    }
    return TopEqtl(columns | extra, dosage)
