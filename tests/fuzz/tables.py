"""Tables of people, genes, expression and measured effects."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from hapsight.cohort.expression import read_expression
from hapsight.cohort.genes import read_genes
from hapsight.cohort.nouns import Dropped, Gene, Strand
from hapsight.cohort.people import read_covariates, read_sample_sheet
from hapsight.explain.support import read_effects
from hapsight.validate.elements import read_crispri, read_mpra
from tests.cohort.files import CONTIG, PEOPLE, SEQUENCE
from tests.fuzz.harness import companion, rows_of, text


def good_expression() -> bytes:
    return text(
        [
            ["#chr", "start", "end", "phenotype_id", *PEOPLE],
            *([CONTIG, 10 * i, 10 * i + 1, f"ENSG0{i}.1", 1.5, i, "-0.25", "1e-3"] for i in range(6)),
        ]
    )


def expression(path: Path) -> None:
    found, rows = read_expression(path), rows_of(path)
    assert len(found.genes) == len(rows) - 1
    assert len(found.samples) == rows[0].count("\t") - 3
    assert np.isfinite(found.values).all()


def good_covariates() -> bytes:
    return text([["id", *PEOPLE], *([f"PC{i}", 0.1, i, -2, 3e2] for i in range(4))])


def covariates(path: Path) -> None:
    (found, transposed), rows = read_covariates(path, PEOPLE), rows_of(path)
    across, down = (found.names, found.samples) if transposed else (found.samples, found.names)
    first = rows[0].split("\t")
    bare = transposed and down[0] == first[1]  # an .eigenvec without a header: FID, IID, numbers
    told = (len(rows), len(first) - 2) if bare else (len(rows) - 1, len(first) - 1)
    assert (len(down), len(across)) == told
    assert np.isfinite(found.values).all()


def good_sheet() -> bytes:
    return text([["sample_id", "population", "sex"], *([p, "GBR", "male"] for p in PEOPLE)])


def sheet(path: Path) -> None:
    assert len(read_sample_sheet(path).samples) == len(rows_of(path)) - 1


def good_gtf() -> bytes:
    rows: list[list[object]] = []
    for i, strand in enumerate("+-+-"):
        about = f'gene_id "ENSG0{i}.1"; gene_name "G{i}";'
        rows.append([CONTIG, "x", "gene", 10 * i + 1, 10 * i + 9, ".", strand, ".", about])
        rows.append([CONTIG, "x", "transcript", 10 * i + 1, 10 * i + 9, ".", strand, ".", about])
    return b"#!genome-build x\n" + text(rows)


def gtf(path: Path) -> None:
    found = read_genes(path)
    rows = [row.split("\t") for row in rows_of(path) if not row.startswith(("#", "track", "browser"))]
    kinds: dict[str, set[str]] = {"gene": set(), "transcript": set()}
    for row in rows:
        if len(row) == 9 and row[2] in kinds:
            kinds[row[2]].add(row[8].partition('gene_id "')[2].partition('"')[0])
    assert {gene.gene_id for gene in found} == kinds["gene"] | kinds["transcript"]
    _sensible(found)


def _sensible(genes: list[Gene]) -> None:
    assert all(gene.gene_id and gene.contig and 0 <= gene.tss < 2**31 for gene in genes), genes


def good_bed() -> bytes:
    return text([[CONTIG, 10 * i, 10 * i + 5, f"ENSG0{i}.1", 0, "+-"[i % 2]] for i in range(4)])


def bed(path: Path) -> None:
    found = read_genes(path)
    rows = [row for row in rows_of(path) if not row.startswith(("#!", "track", "browser"))]
    names = [name.lower() for name in rows[0].split("\t")[1:3]]
    header = names in (["start", "end"], ["chromstart", "chromend"])
    assert len(found) == len(rows) - header
    _sensible(found)


def good_tsv() -> bytes:
    header: list[object] = ["gene_id", "gene_name", "chrom", "tss", "strand"]
    return text([header, *([f"ENSG0{i}.1", f"G{i}", CONTIG, 10 * i + 1, "+-"[i % 2]] for i in range(4))])


def genes_tsv(path: Path) -> None:
    found = read_genes(path)
    assert len(found) >= len(rows_of(path)) - 1
    _sensible(found)


def good_mpra() -> bytes:
    header = ["Chrom", "Pos", "Ref", "Alt", "Barcodes", "Coefficient", "pValue", "Element", "Release"]
    rows: list[list[object]] = [list(header)]
    for place in range(20, 32):
        ref = SEQUENCE[place - 1]
        alt = "-" if place % 4 == 0 else next(b for b in "ACGT" if b != ref)
        rows.append([CONTIG, place, ref, alt, 20, 0.5, 0.01, "GP1BB", "GRCh38"])
    return text(rows)


def mpra(path: Path) -> None:
    elements, dropped = read_mpra(path, companion(path), "GRCh38")
    rows = [row.split("\t") for row in rows_of(path)]
    column = [name.strip() for name in rows[0]].index("Release")
    asked = sum(row[column].strip('"') == "GRCh38" for row in rows[1:])
    assert sum(len(e.place) for e in elements) + sum(dropped.counts.values()) == asked


def good_crispri() -> bytes:
    header: list[object] = ["chrom", "chromStart", "chromEnd", "name", "startTSS"]
    header += ["measuredGeneSymbol", "measuredGeneEnsemblId", "Regulated"]
    rows = [
        [CONTIG, 10 * i, 10 * i + 8, f"p{i}", 90, "ONE", "ENSG01", ("TRUE", "FALSE")[i % 2]] for i in range(5)
    ]
    return text([header, *rows])


def crispri(path: Path) -> None:
    pairs, dropped = read_crispri(path, companion(path), [Gene("ENSG01.1", CONTIG, 90, Strand.PLUS, "ONE")])
    assert len(pairs) + sum(dropped.counts.values()) == len(rows_of(path)) - 1


def good_eqtl() -> bytes:
    header: list[object] = ["phenotype_id", "variant_id", "slope", "pip", "af"]
    rows = [
        ["ENSG01.1", f"{CONTIG}_{p}_{SEQUENCE[p - 1]}_{SEQUENCE[p - 1]}G", 0.5, 0.9, 0.2]
        for p in range(20, 26)
    ]
    return text([header, *rows])


def eqtl(path: Path) -> None:
    from hapsight.stages.eqtl_sets import read_eqtls

    genes = (Gene("ENSG01.1", CONTIG, 90, Strand.PLUS, "ONE"),)
    opened: Any = SimpleNamespace(cohort=SimpleNamespace(reference=companion(path), genes=genes))
    dropped = Dropped()
    found = read_eqtls(path, opened, dropped)
    assert len(found) + sum(dropped.counts.values()) == len(rows_of(path)) - 1


def good_effects() -> bytes:
    header: list[object] = ["chrom", "pos", "ref", "alt", "beta", "gene_id"]
    return text([header, *([CONTIG, p, "A", "C", -0.5, "ENSG01"] for p in range(20, 26))])


def effects(path: Path) -> None:
    found = read_effects(path)
    assert len(found.given.table) == len(rows_of(path)) - 1
    assert found.given.table["value"].is_finite().all()
