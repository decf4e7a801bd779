"""The stage that maps eQTLs: blocks of genes, on several processes; then what needs all genes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.genotype_source import Genotypes
from hapsight.cohort.nouns import Gene
from hapsight.cohort.reference import Reference
from hapsight.config import EqtlConfig
from hapsight.evaluate.eqtl import CisDosage, nominal_scan
from hapsight.evaluate.eqtl_independent import independent_signals
from hapsight.evaluate.eqtl_permutations import draw_permutations, map_gene
from hapsight.evaluate.halves import half_scan, random_halves
from hapsight.evaluate.heritability import cis_heritability
from hapsight.evaluate.nulls import benjamini_hochberg
from hapsight.least_squares import Design
from hapsight.predict.store import StoredUnit, UnitStore, block_key
from hapsight.streams import stream
from hapsight.tables import CIS_INDEPENDENT, CIS_QTL, HALVES
from hapsight.workflow.blocks import KeyedBlock, in_gene_order, keyed_blocks, linear_blocks
from hapsight.workflow.crew import compute, crew_of
from hapsight.workflow.dropped import add_dropped
from hapsight.workflow.eqtl_tables import CisWindow, heritability_row, nominal_table, signal_table, top_table
from hapsight.workflow.opened import (
    LINEAR_KEYS,
    Opened,
    Progress,
    dropped_table,
    gene_keys,
    row_digests,
)
from hapsight.workflow.variants import VariantReader

__all__ = ["EqtlUnit", "eqtl", "eqtl_blocks", "eqtl_units"]

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class EqtlUnit(StoredUnit):
    """All that a process needs to map a block of genes: G genes, N people, C covariates.

    Attributes
    ----------
    expression
        (G, N), transformed.
    covariates
        (N, C), or ``None``.
    halves
        (N,) 1 or 2.
    seed
        Of the permutations, which are the same for every gene.
    threshold
        Largest `pval_beta` of a significant gene, where independent signals are looked for.
    """

    name: str
    key: str
    store: UnitStore
    genes: tuple[Gene, ...]
    genotypes: Genotypes
    reference: Reference
    expression: Float
    covariates: Float | None
    halves: NDArray[np.int64]
    seed: int
    options: EqtlConfig
    threshold: float | None = None

    def permutations(self) -> NDArray[np.int64]:
        """(P, N) orders of people."""
        rng = stream(self.seed, "eqtl permutations")
        return draw_permutations(len(self.halves), self.options.permutations, rng)

    def reader(self) -> VariantReader:
        """A reader of the variants near all these genes."""
        expected = [gene.cis(self.options.cis_window) for gene in self.genes]
        return VariantReader(self.genotypes, self.reference, expected)

    def windows(self, reader: VariantReader) -> Iterator[tuple[CisWindow, Float]]:
        """Each gene with the variants to test, and its (N,) expression."""
        reach = self.options.cis_window
        for gene, expression in zip(self.genes, self.expression, strict=True):
            near = reader(gene.cis(reach))
            dosage, frequent = near.linear_dosage, near.maf >= self.options.min_maf
            chosen = np.flatnonzero(frequent & (np.abs(near.position - gene.tss) <= reach))
            yield CisWindow(gene, near.take(chosen), dosage[chosen]), expression


def eqtl(opened: Opened, progress: Progress) -> None:
    """Map the eQTLs and the cis-heritability of every gene; finished units are not computed again."""
    with opened.folder.stage("eqtl") as stage:
        units, crew = eqtl_units(opened), crew_of(opened)
        computed = compute(crew, "eqtl", _map_unit, units, progress)
        store, order = opened.folder.eqtl(), opened.cohort.genes
        genes = _with_q(in_gene_order(store.read(units, "top"), order, "phenotype_id"))
        searched = _independent_units(opened, units, genes)
        computed += compute(crew, "eqtl, independent signals", _independent_unit, searched, progress)
        signals = [store.read(searched, "signals")] if searched else []
        opened.folder.write("eqtl/cis_qtl.parquet", genes)
        independent = pl.concat([pl.DataFrame(schema=CIS_INDEPENDENT), *signals])
        heritability = store.read(units, "heritability")
        for name, table in (("cis_independent", independent), ("heritability", heritability)):
            opened.folder.write(f"eqtl/{name}.parquet", in_gene_order(table, order, "phenotype_id"))
        people = {"sample_id": opened.cohort.samples, "half": _halves(opened)}
        opened.folder.write("eqtl/halves.parquet", pl.DataFrame(people, schema=HALVES))
        add_dropped(opened, store.read(units, "dropped"))
        stage["computed"] = computed
        stage["detail"] = f"{computed} units computed, {len(units) + len(searched) - computed} kept"


def eqtl_blocks(opened: Opened) -> list[KeyedBlock]:
    """Name, key and genes of the units of the mapping."""
    config = opened.config.eqtl
    blocks = linear_blocks(opened, config.cis_window, config.genes_per_unit)
    return keyed_blocks(opened.folder.eqtl(), blocks, _keys(opened))


def eqtl_units(opened: Opened) -> list[EqtlUnit]:
    """The units of the mapping, without the independent signals."""
    config, cohort = opened.config, opened.cohort
    halves = _halves(opened)
    return [
        EqtlUnit(
            name=block.name,
            key=block.key,
            store=opened.folder.eqtl(),
            genes=block.genes,
            genotypes=cohort.genotypes,
            reference=cohort.reference,
            expression=cohort.transformed[cohort.rows(block.genes)],
            covariates=None if cohort.covariates is None else cohort.covariates.values,
            halves=halves,
            seed=config.seed,
            options=config.eqtl,
        )
        for block in eqtl_blocks(opened)
    ]


def _halves(opened: Opened) -> NDArray[np.int64]:
    return random_halves(opened.cohort.populations, np.random.default_rng((opened.config.seed, 1)))


def _keys(opened: Opened, threshold: float | None = None) -> dict[str, str]:
    """By ``gene_id``: digest of all that the mapping of a gene depends on."""
    config, cohort = opened.config, opened.cohort
    return gene_keys(
        "eqtl",
        cohort.genes,
        {
            "options": config.eqtl.model_dump(mode="json", exclude={"run", "fdr", "genes_per_unit"}),
            "threshold": threshold,
            "policy": config.cohort.model_dump(mode="json", include=LINEAR_KEYS),
            "expression": config.expression.model_dump(mode="json"),
            "populations": list(cohort.populations),
            "seed": config.seed,
            **opened.key_parts("genotypes", "reference", "covariates"),
        },
        row_digests(cohort.genes, cohort.expression.values),
    )


def _with_q(genes: pl.DataFrame) -> pl.DataFrame:
    """Benjamini-Hochberg q-values over the genes that have a `pval_beta`."""
    pvalues = genes["pval_beta"].fill_null(np.nan).to_numpy()
    qval = np.full(len(genes), np.nan)
    known = np.isfinite(pvalues)
    qval[known] = benjamini_hochberg(pvalues[known])
    return genes.with_columns(pl.Series("qval", qval).fill_nan(None)).select(list(CIS_QTL))


def _independent_units(opened: Opened, units: Sequence[EqtlUnit], genes: pl.DataFrame) -> list[EqtlUnit]:
    """Units of the genes that are significant at the false discovery rate."""
    significant = genes.filter(pl.col("qval") <= opened.config.eqtl.fdr)
    if significant.is_empty():
        return []
    threshold, chosen = float(significant["pval_beta"].to_numpy().max()), set(significant["phenotype_id"])
    found, keys = [], _keys(opened, threshold)
    for unit in units:
        rows = [i for i, gene in enumerate(unit.genes) if gene.gene_id in chosen]
        if rows:
            kept = tuple(unit.genes[i] for i in rows)
            part = replace(unit, genes=kept, expression=unit.expression[rows], threshold=threshold)
            key = block_key(keys[gene.gene_id] for gene in kept)
            name = unit.store.name_for(unit.name.replace("block", "independent"), key)
            found.append(replace(part, name=name, key=key))
    return found


def _map_unit(unit: EqtlUnit) -> str:
    """Map a block of genes and store it; returns the unit's name."""
    reader = unit.reader()
    design, permutations = Design.of(len(unit.halves), unit.covariates), unit.permutations()
    top, nominal, heritability = [], [], []
    for window, expression in unit.windows(reader):
        outcome = design.residuals(expression)
        cis = CisDosage.of(window.dosage, design)
        halves = [
            half_scan(window.dosage, expression, unit.covariates, unit.halves == half) for half in (1, 2)
        ]
        nominal.append(nominal_table(window, nominal_scan(cis, outcome), halves))
        top.append(top_table(window.gene, nominal[-1], map_gene(cis, outcome, permutations)))
        found = cis_heritability(window.dosage, expression, design)
        heritability.append(heritability_row(window.gene, len(expression), found))
    tables = {"top": top, "nominal": nominal, "heritability": heritability}
    whole = {name: pl.concat(parts) for name, parts in tables.items()}
    unit.store.write(unit.name, unit.key, whole | {"dropped": dropped_table(reader.dropped)})
    return unit.name


def _independent_unit(unit: EqtlUnit) -> str:
    """Look for the independent signals of a block of significant genes and store them."""
    reader = unit.reader()
    design, permutations = Design.of(len(unit.halves), unit.covariates), unit.permutations()
    tables = [pl.DataFrame(schema=CIS_INDEPENDENT)]
    for window, expression in unit.windows(reader):
        outcome = design.residuals(expression)
        first = map_gene(CisDosage.of(window.dosage, design), outcome, permutations)
        if first is not None and unit.threshold is not None:
            signals = independent_signals(
                window.dosage, outcome, unit.covariates, permutations, first, unit.threshold
            )
            tables.append(signal_table(window, signals))
    unit.store.write(unit.name, unit.key, {"signals": pl.concat(tables)})
    return unit.name
