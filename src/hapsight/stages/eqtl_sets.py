"""The eQTLs that models are set beside, a user's or the cohort's own, and variants that are none.

The top eQTL of every gene with what surrounds it, from the finished units of the eQTL stage.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from hapsight.cohort.contigs import build_named, build_of, find_contig
from hapsight.cohort.matching import gene_index, genes_called
from hapsight.cohort.nouns import Dropped, Interval
from hapsight.cohort.reference import ref_fits
from hapsight.cohort.tables import read_table
from hapsight.errors import IncompleteError, InputError
from hapsight.least_squares import Design
from hapsight.run.blocks import KeyedBlock, in_gene_order, in_turn
from hapsight.run.opened import Opened, Progress
from hapsight.stages.eqtl import CisWindow, eqtl_blocks, eqtl_units
from hapsight.stages.eqtl import eqtl as map_eqtls
from hapsight.stats.eqtl import ld_with
from hapsight.tables import CIS_INDEPENDENT, CIS_QTL, HERITABILITY

__all__ = [
    "EQTL_SET",
    "NominalEffects",
    "candidate_controls",
    "nominal_effects",
    "own_eqtls",
    "read_eqtls",
    "top_dosage",
    "top_eqtls",
    "with_frequencies",
]

_CLOSE: Final = 0.8
"""r2 above which a variant can hardly be told from the top one."""


def top_eqtls(opened: Opened) -> dict[str, dict[str, Any]]:
    """What tables say of each gene's strongest variant, by ``gene_id``: columns of ``direction_genes``.

    A gene without variants to test has none.

    Raises
    ------
    IncompleteError
        The eQTL stage is not done, or its tables are older than its units.
    """
    genes = _current(opened, eqtl_blocks(opened))
    signals = _table(opened, "cis_independent", CIS_INDEPENDENT)["phenotype_id"].value_counts()
    n_signals = dict(signals.iter_rows())
    h2 = dict(_table(opened, "heritability", HERITABILITY).select("phenotype_id", "h2").iter_rows())
    kept = ("variant_id", "position", "ref", "alt", "slope", "slope_se", "pval_nominal", "tss_distance")
    return {
        (name := row["phenotype_id"]): {key: row[key] for key in kept}
        | {
            "eqtl_qval": row["qval"],
            "distance": abs(row["start_distance"]),
            "maf": min(row["af"], 1.0 - row["af"]),
            "n_signals": n_signals.get(name, 0),
            "h2": h2[name],
        }
        for row in genes.drop_nulls("variant_id").iter_rows(named=True)
    }


def top_dosage(window: CisWindow, row: Mapping[str, Any]) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """(N,) ALT alleles of the variant of a row of ``cis_qtl``, and ``dosage_sd`` and ``n_ld80``."""
    same = zip(window.variants.variant_id, window.variants.position, window.variants.alt, strict=True)
    place = list(same).index((row["variant_id"], row["position"], row["alt"]))
    dosage = window.dosage[place]
    close = int(np.sum(np.nan_to_num(ld_with(window.dosage, place)) ** 2 > _CLOSE)) - 1
    return dosage, {"dosage_sd": float(np.std(dosage, ddof=1)), "n_ld80": close}


def _current(opened: Opened, units: Sequence[KeyedBlock]) -> pl.DataFrame:
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


EQTL_SET: Final = {
    "gene_id": pl.String,
    "variant_id": pl.String,
    "contig": pl.String,
    "position": pl.Int64,
    "ref": pl.String,
    "alt": pl.String,
    "distance": pl.Int64,
    "maf": pl.Float64,
    "pip": pl.Float64,
    "slope": pl.Float64,
}
"""Variants with the gene each belongs to; `slope` is null of one that is no eQTL."""

_KEY: Final = ["gene_id", "contig", "position", "ref", "alt"]
_COLUMNS: Final = ("phenotype_id", "variant_id", "slope")
_VARIANT_ID: Final = re.compile(r"([^_:]+)[_:](\d+)[_:]([ACGT]+)[_:]([ACGT]+)(?:[_:](\w+))?", re.IGNORECASE)
_OTHER_REF: Final = "REF differs from the FASTA"
_NO_EQTL: Final = 0.05
"""Nominal p above which a variant counts as no eQTL of a gene."""


@dataclass(frozen=True, slots=True, eq=False)
class NominalEffects:
    """Every gene's cis variants with their effects in all people and in either half, block by block of genes.

    All of them together are hundreds of millions of rows in a cohort of whole genomes.
    """

    opened: Opened

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """Each block's variants with the columns of `EQTL_SET`, and those of the eQTL stage."""
        store = self.opened.folder.eqtl()
        contig = {gene.gene_id: gene.contig for gene in self.opened.cohort.genes}
        for unit, genes in in_turn(eqtl_blocks(self.opened), self.opened.cohort.genes):
            own = pl.col("phenotype_id").is_in([gene.gene_id for gene in genes])
            yield (
                store.read([unit], "nominal")
                .filter(own)
                .with_columns(
                    pl.col("phenotype_id").alias("gene_id"),
                    pl.col("phenotype_id").replace_strict(contig, return_dtype=pl.String).alias("contig"),
                    pl.col("start_distance").abs().alias("distance"),
                    pl.min_horizontal("af", 1.0 - pl.col("af")).alias("maf"),
                    pl.lit(None, pl.Float64).alias("pip"),
                )
            )


def nominal_effects(opened: Opened, progress: Progress) -> NominalEffects:
    """The cohort's own effects; mapped if need be."""
    map_eqtls(opened, progress)
    return NominalEffects(opened)


def own_eqtls(
    opened: Opened, nominal: Iterable[pl.DataFrame], max_p: float, dropped: Dropped
) -> pl.DataFrame:
    """Each gene's strongest variant in one half of the people, with its slope in the other half.

    Parameters
    ----------
    max_p
        Largest p of the chosen variant in the half that it was chosen in; t distribution, not corrected for
        the number of variants.
    """
    top = pl.concat([_strongest_in_half(block) for block in nominal])
    df = _half_freedom(opened)
    pvalues = 2 * scipy.special.stdtr(df, -top["t"].to_numpy())
    top = top.with_columns(pl.Series("p", pvalues))
    for name in top.filter(pl.col("p") > max_p)["gene_id"]:
        dropped.add("gene", f"no variant with p <= {max_p:g} in the first half", name)
    chosen = top.filter(pl.col("p") <= max_p).with_columns(pl.col("slope_half2").alias("slope"))
    return _in_order(chosen.sort("gene_id"))


def _strongest_in_half(block: pl.DataFrame) -> pl.DataFrame:
    """Each gene's variant with the largest ``t`` in the first half of the people."""
    t = (pl.col("slope_half1") / pl.col("slope_se_half1")).abs()
    known = block.filter(t.is_finite() & pl.col("slope_half2").is_finite()).with_columns(t.alias("t"))
    ordered = known.sort("t", descending=True, maintain_order=True)
    return ordered.unique("gene_id", keep="first", maintain_order=True)


def _half_freedom(opened: Opened) -> int:
    """Degrees of freedom of an effect in the first half of the people."""
    unit = eqtl_units(opened)[0]
    people = unit.halves == 1
    own = None if unit.covariates is None else unit.covariates[people]
    return Design.of(int(people.sum()), own).dof


def read_eqtls(path: Path, opened: Opened, dropped: Dropped) -> pl.DataFrame:
    """Read a user's eQTLs.

    Columns: ``phenotype_id, variant_id`` (``chr22_1000_A_G``, 1-based), ``slope`` per ALT allele, and where
    there are, ``pip`` and ``af``. Left out, and named: genes that the cohort has not, variants whose name
    gives no place and alleles, or whose REF is not the FASTA's, and the second row of a gene and variant.

    Raises
    ------
    InputError
        A column is missing, a number is none, no row is left, or most REFs are not the FASTA's.
    """
    table = read_table(path, "eQTL")
    missing = [name for name in _COLUMNS if name not in table.columns]
    if missing:
        raise InputError(
            "The eQTL table lacks columns.",
            where=path,
            expected=f"{', '.join(_COLUMNS)}, and where there are pip and af",
            got=f"without {', '.join(missing)}",
        )
    genes, index = opened.cohort.genes, gene_index(opened.cohort.genes)
    rows = []
    for number, row in enumerate(table.iter_rows(named=True), start=2):
        if row["phenotype_id"] is None or row["variant_id"] is None:
            raise InputError("An eQTL names no gene or no variant.", where=f"{path}, row {number}")
        place = _place(row["variant_id"], opened)
        same = genes_called(row["phenotype_id"], index)
        gene = genes[same[0]] if len(same) == 1 else None
        if gene is None:
            reason = "several of the cohort's" if same else "not one of the cohort's"
            dropped.add("gene", reason, row["phenotype_id"])
        elif isinstance(place, str):
            dropped.add("variant", place, row["variant_id"])
        elif place["contig"] != gene.contig:
            dropped.add("variant", "on another contig than its gene", row["variant_id"])
        else:
            values = {name: _number(row, name, path, number) for name in ("slope", "pip", "af")}
            rows.append(
                {"gene_id": gene.gene_id, "variant_id": row["variant_id"], **place}
                | {"distance": abs(place["position"] - gene.tss)}
                | {"maf": None if values["af"] is None else min(values["af"], 1 - values["af"])}
                | {"pip": values["pip"], "slope": values["slope"]}
            )
    if not rows:
        raise InputError(
            "The eQTL table has no variant that can be scored.",
            where=path,
            got="; ".join(f"{count:,}: {why}" for (_, why), count in dropped.counts.items()),
        )
    differing = dropped.counts.get(("variant", _OTHER_REF), 0)
    if differing > len(rows):
        raise InputError(
            "The eQTLs are of another genome build than the cohort.",
            where=path,
            expected=f"REFs of {opened.cohort.reference.path} at their places",
            got=f"{differing:,} REFs that differ, {len(rows):,} that do not",
            fix="lift the table over to the cohort's build",
        )
    return _once(pl.DataFrame(rows, schema=EQTL_SET), dropped)


def _once(table: pl.DataFrame, dropped: Dropped) -> pl.DataFrame:
    """The first row of every gene and variant."""
    again = ~table.select(pl.struct(_KEY).is_first_distinct()).to_series()
    for gene_id, variant_id in table.filter(again).select("gene_id", "variant_id").iter_rows():
        dropped.add("eqtl", "a second row of the gene and variant", f"{gene_id} {variant_id}")
    return table.filter(~again)


def with_frequencies(eqtls: pl.DataFrame, nominal: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Fill in the cohort's frequency of the variants of which the table gives none."""
    listed = (block.join(eqtls, on=_KEY, how="semi") for block in nominal)
    own = pl.concat([block.select(*_KEY, pl.col("maf").alias("own_maf")) for block in listed])
    joined = eqtls.join(own, on=_KEY, how="left", maintain_order="left")
    return _in_order(joined.with_columns(pl.coalesce("maf", "own_maf").alias("maf")))


def candidate_controls(
    nominal: Iterable[pl.DataFrame], eqtls: pl.DataFrame, wanted: Callable[[pl.DataFrame], pl.DataFrame]
) -> pl.DataFrame:
    """Variants of any gene that show no effect on it, without those that are listed as its eQTLs.

    Parameters
    ----------
    wanted
        What of a block's variants is kept at all, such as those in a model's window.
    """
    pools = [
        wanted(
            _in_order(
                block.filter(pl.col("pval_nominal") > _NO_EQTL)
                .join(eqtls, on=_KEY, how="anti")
                .with_columns(pl.lit(None, pl.Float64).alias("slope"))
            )
        )
        for block in nominal
    ]
    return pl.concat([pl.DataFrame(schema=EQTL_SET), *pools])


def _in_order(table: pl.DataFrame) -> pl.DataFrame:
    return table.select(pl.col(name).cast(kind) for name, kind in EQTL_SET.items())


def _place(variant_id: str, opened: Opened) -> dict[str, Any] | str:
    """Contig, 0-based position and alleles of a name; or why not."""
    found = _VARIANT_ID.fullmatch(variant_id)
    if found is None:
        return "its name gives no place and alleles"
    reference = opened.cohort.reference
    theirs, ours = build_named(found[5] or ""), build_of(reference.contigs)
    if theirs and ours and theirs != ours:
        return f"named for another build ({theirs})"
    contig = find_contig(found[1], tuple(reference.contigs))
    if contig is None:
        return "its contig is not in the FASTA"
    position, ref, alt = int(found[2]) - 1, found[3].upper(), found[4].upper()
    if not ref_fits(ref, reference.letters(Interval(contig, position, position + len(ref)))):
        return _OTHER_REF
    return {"contig": contig, "position": position, "ref": ref, "alt": alt}


def _number(row: dict[str, Any], name: str, path: Path, line: int) -> float | None:
    """A cell; a slope must be there, the others may be empty."""
    cell = row.get(name)
    if cell in (None, "", "NA") and name != "slope":
        return None
    value = pl.Series([cell]).cast(pl.Float64, strict=False)[0]
    if value is None or not np.isfinite(value):
        raise InputError(
            "A value of the eQTL table is not a finite number.",
            where=f"{path}, row {line}, column {name}",
            expected="a number",
            got=repr(cell),
        )
    return float(value)
