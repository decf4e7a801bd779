"""The stage that maps eQTLs: blocks of genes, on several processes; then what needs all genes.

Rows of the eQTL tables, with tensorQTL's names; see ``docs/formats.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.genotype_source import Genotypes
from hapsight.cohort.nouns import Gene, Variants
from hapsight.cohort.reference import Reference
from hapsight.least_squares import Design
from hapsight.run.blocks import KeyedBlock, VariantReader, in_gene_order, keyed_blocks, linear_blocks
from hapsight.run.config import EqtlConfig
from hapsight.run.crew import compute, crew_of, work_in_words
from hapsight.run.executor import pools_kept
from hapsight.run.opened import (
    LINEAR_KEYS,
    Opened,
    Progress,
    add_dropped,
    dropped_table,
    gene_keys,
    row_digests,
)
from hapsight.run.store import StoredUnit, UnitStore, block_key
from hapsight.seeds import stream
from hapsight.stats.eqtl import (
    CisDosage,
    NominalScan,
    allele_counts,
    half_scan,
    nominal_scan,
    random_halves,
    strongest,
)
from hapsight.stats.eqtl_permutations import (
    BetaApproximation,
    GeneTest,
    Signal,
    draw_permutations,
    independent_signals,
    map_gene,
)
from hapsight.stats.heritability import Heritability, cis_heritability
from hapsight.stats.nulls import benjamini_hochberg
from hapsight.tables import CIS_INDEPENDENT, CIS_NOMINAL, CIS_QTL, CIS_TOP, HALVES, HERITABILITY

__all__ = [
    "CisWindow",
    "EqtlUnit",
    "eqtl",
    "eqtl_blocks",
    "eqtl_units",
    "heritability_row",
    "nominal_table",
    "signal_table",
    "top_table",
]

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class CisWindow:
    """A gene and the variants that are tested with it.

    Attributes
    ----------
    dosage
        (V, N) ALT alleles of `variants`, as `Variants.linear_dosage`.
    """

    gene: Gene
    variants: Variants
    dosage: NDArray[np.uint8]

    def table(self) -> pl.DataFrame:
        """(V, ...) what is known of the variants without expression."""
        variants, gene = self.variants, self.gene
        distance = variants.position - gene.tss
        counts = allele_counts(self.dosage, variants.one_copy)
        return pl.DataFrame(
            {
                "phenotype_id": pl.repeat(gene.gene_id, len(variants), dtype=pl.String, eager=True),
                "variant_id": pl.Series(variants.variant_id, dtype=pl.String),
                "position": variants.position,
                "ref": pl.Series(variants.ref, dtype=pl.String),
                "alt": pl.Series(variants.alt, dtype=pl.String),
                "start_distance": distance,
                "end_distance": distance,
                "tss_distance": _along(gene, distance),
                "ma_samples": counts.ma_samples,
                "ma_count": counts.ma_count,
                "af": counts.af,
            }
        )


def _along(gene: Gene, distance: NDArray[np.int64]) -> pl.Series:
    """Distances in the direction of transcription; null where the gene has no strand."""
    if gene.direction is None:
        return pl.repeat(None, len(distance), dtype=pl.Int64, eager=True)
    return pl.Series(gene.direction * distance)


def nominal_table(window: CisWindow, scan: NominalScan, halves: Sequence[NominalScan | None]) -> pl.DataFrame:
    """One row per variant of the window: effects in everyone, and in each half of the people."""
    effects = {"pval_nominal": scan.pval_nominal, "slope": scan.slope, "slope_se": scan.slope_se}
    missing = np.full(len(window.variants), np.nan)
    for number, half in enumerate(halves, start=1):
        effects[f"slope_half{number}"] = missing if half is None else half.slope
        effects[f"slope_se_half{number}"] = missing if half is None else half.slope_se
    table = window.table().with_columns(pl.Series(name, values) for name, values in effects.items())
    return _in_order(table.with_columns(pl.col(pl.Float64).fill_nan(None)), CIS_NOMINAL)


def top_table(gene: Gene, nominal: pl.DataFrame, test: GeneTest | None) -> pl.DataFrame:
    """One row: the strongest variant of a gene; nulls where none could be tested."""
    row: Row = {"phenotype_id": gene.gene_id, "num_var": 0}
    if test is not None:
        row = nominal.row(test.variant, named=True) | _test_row(test)
    return pl.DataFrame([{**dict.fromkeys(CIS_TOP), **row}], schema=CIS_TOP)


def signal_table(window: CisWindow, signals: Sequence[Signal]) -> pl.DataFrame:
    """One row per independent signal of a gene; effects are those beside the other signals."""
    known = window.table()
    rows = [
        known.row(signal.test.variant, named=True) | _test_row(signal.test) | {"rank": signal.rank}
        for signal in signals
    ]
    return pl.DataFrame([{**dict.fromkeys(CIS_INDEPENDENT), **row} for row in rows], schema=CIS_INDEPENDENT)


def heritability_row(gene: Gene, people: int, found: Heritability | None) -> pl.DataFrame:
    """One row: a gene's heritability; nulls where no variant, or no expression, varies."""
    row: Row = {"phenotype_id": gene.gene_id, "n": people, "num_var": 0}
    if found is not None:
        row |= asdict(found)
    table = pl.DataFrame([{**dict.fromkeys(HERITABILITY), **row}], schema=HERITABILITY)
    return table.with_columns(pl.col(pl.Float64).fill_nan(None))


def _known_test(row: Row, variant: int) -> GeneTest:
    """The test of a gene that `top_table` made a row of; its strongest variant's index is not in the row."""
    beta = BetaApproximation(**{name.name: row[name.name] for name in fields(BetaApproximation)})
    known = {name.name: row[name.name] for name in fields(GeneTest) if name.name in row}
    return GeneTest(variant=variant, beta=beta, **known)


def _test_row(test: GeneTest) -> Row:
    row = asdict(test)
    row |= row.pop("beta") or {}
    del row["variant"]
    return row


def _in_order(table: pl.DataFrame, schema: dict[str, Any]) -> pl.DataFrame:
    return table.select(pl.col(name).cast(kind) for name, kind in schema.items())


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
    known
        (G,) rows of ``cis_qtl`` then.
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
    threshold: float = float("nan")
    known: tuple[Row, ...] = ()

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
        store, order = opened.folder.eqtl(), opened.cohort.genes
        with pools_kept():
            computed = compute(crew, "eqtl", _map_unit, units, progress)
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
        stage["detail"] = work_in_words(computed, len(units) + len(searched))


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
    threshold = float(significant["pval_beta"].to_numpy().max())
    chosen = {row["phenotype_id"]: row for row in significant.iter_rows(named=True)}
    found, keys = [], _keys(opened, threshold)
    for unit in units:
        rows = [i for i, gene in enumerate(unit.genes) if gene.gene_id in chosen]
        if rows:
            kept = tuple(unit.genes[i] for i in rows)
            known = tuple(chosen[gene.gene_id] for gene in kept)
            part = replace(
                unit, genes=kept, expression=unit.expression[rows], threshold=threshold, known=known
            )
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
            half_scan(window.dosage, expression, unit.covariates, unit.halves == half, cis.distinct)
            for half in (1, 2)
        ]
        nominal.append(nominal_table(window, nominal_scan(cis, outcome), halves))
        top.append(top_table(window.gene, nominal[-1], map_gene(cis, outcome, permutations)))
        found = cis_heritability(window.dosage, expression, design, cis.distinct)
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
    for (window, expression), known in zip(unit.windows(reader), unit.known, strict=True):
        outcome = design.residuals(expression)
        variant = strongest(nominal_scan(CisDosage.of(window.dosage, design), outcome))
        if variant is not None:
            first = _known_test(known, variant)
            signals = independent_signals(
                window.dosage, outcome, unit.covariates, permutations, first, unit.threshold
            )
            tables.append(signal_table(window, signals))
    unit.store.write(unit.name, unit.key, {"signals": pl.concat(tables)})
    return unit.name
