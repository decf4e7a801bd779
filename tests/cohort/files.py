"""Small cohort files for tests, written as the field's tools write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pysam

from hapsight.cohort.join import CohortFiles

CONTIG = "chr1"
SEQUENCE = "ACGTTGCAAC" * 20
PEOPLE = ("ann", "bob", "cyd", "dan")


@dataclass(frozen=True)
class Record:
    """One line of a VCF; `position` 1-based, one call for each person; `tags` what FORMAT has behind GT."""

    position: int
    ref: str
    alt: str
    calls: Sequence[str]
    name: str = "."
    contig: str = CONTIG
    info: str = "."
    tags: str = ""


def write_vcf(
    path: Path,
    records: Sequence[Record],
    people: Sequence[str] = PEOPLE,
    *,
    contigs: Mapping[str, int] | None = None,
    index: bool = True,
    version: str = "4.2",
    header: Sequence[str] = (),
) -> Path:
    """Write a bgzipped VCF (``.vcf.gz``) with a tabix index."""
    lengths = contigs or {CONTIG: len(SEQUENCE)}
    lines = [f"##fileformat=VCFv{version}"]
    lines += [f"##contig=<ID={name},length={length}>" for name, length in lengths.items()]
    lines += ['##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">']
    lines += [
        '##INFO=<ID=END,Number=1,Type=Integer,Description="End">',
        '##INFO=<ID=SVLEN,Number=A,Type=Integer,Description="Length">',
        '##ALT=<ID=DEL,Description="Deletion">',
        *header,
    ]
    lines += ["\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *people])]
    for r in records:
        fields = [
            r.contig,
            str(r.position),
            r.name,
            r.ref,
            r.alt,
            ".",
            "PASS",
            r.info,
            f"GT{r.tags}",
            *r.calls,
        ]
        lines.append("\t".join(fields))
    plain = path.with_suffix(".tmp")
    plain.write_text("\n".join(lines) + "\n")
    pysam.tabix_compress(str(plain), str(path), force=True)
    plain.unlink()
    if index:
        pysam.tabix_index(str(path), preset="vcf", force=True)
    return path


def write_bcf(path: Path, source: Path) -> Path:
    """Write a VCF as a BCF with its index, by pysam."""
    with pysam.VariantFile(str(source)) as old, pysam.VariantFile(str(path), "wb", header=old.header) as new:
        for record in old:
            new.write(record)
    pysam.tabix_index(str(path), preset="bcf", force=True)
    return path


def write_fasta(path: Path, contigs: Mapping[str, str] | None = None) -> Path:
    """Write an indexed FASTA; bgzipped where the name ends in ``.gz``."""
    text = "".join(f">{name}\n{_wrap(seq)}\n" for name, seq in (contigs or {CONTIG: SEQUENCE}).items())
    if path.suffix == ".gz":
        plain = path.with_suffix(".tmp")
        plain.write_text(text)
        pysam.tabix_compress(str(plain), str(path), force=True)
        plain.unlink()
    else:
        path.write_text(text)
    pysam.faidx(str(path))
    return path


def _wrap(sequence: str, width: int = 60) -> str:
    return "\n".join(sequence[i : i + width] for i in range(0, len(sequence), width))


def write_table(path: Path, rows: Sequence[Sequence[object]], separator: str = "\t") -> Path:
    """Write rows of fields as text; bgzipped where the name ends in ``.gz``."""
    text = "".join(separator.join(str(field) for field in row) + "\n" for row in rows)
    if path.suffix != ".gz":
        path.write_text(text)
        return path
    plain = path.with_suffix(".tmp")
    plain.write_text(text)
    pysam.tabix_compress(str(plain), str(path), force=True)
    plain.unlink()
    return path


def write_bed(
    path: Path,
    genes: Mapping[str, tuple[str, int, Sequence[object]]],
    people: Sequence[str] = PEOPLE,
) -> Path:
    """Write a phenotype BED from ``gene_id: (contig, 1-based TSS, values)``."""
    rows: list[list[object]] = [["#chr", "start", "end", "phenotype_id", *people]]
    rows += [[contig, tss - 1, tss, gene, *values] for gene, (contig, tss, values) in genes.items()]
    return write_table(path, rows)


def write_cohort(folder: Path) -> CohortFiles:
    """Write a whole cohort of four people, two genes and three variants, with nothing wrong in it."""
    genotypes = write_vcf(
        folder / "genotypes.vcf.gz",
        [
            Record(10, SEQUENCE[9], "T", ["0|1", "0|0", "1|1", "0|0"], "rs1"),
            Record(50, SEQUENCE[49], "T", ["0|0", "1|0", "0|1", "0|0"], "rs2"),
            Record(120, SEQUENCE[119:122], SEQUENCE[119], ["0|0", "0|0", "1|0", "1|1"], "rs3"),
        ],
    )
    values = {"ENSG01.1": (CONTIG, 40, [1.0, 2.0, 3.0, 4.5]), "ENSG02.3": (CONTIG, 130, [5.0, 0.0, 2.5, 1.0])}
    genes = [["gene_id", "gene_name", "chrom", "tss", "strand"]]
    genes += [["ENSG01.1", "ONE", CONTIG, "40", "+"], ["ENSG02.3", "TWO", CONTIG, "130", "-"]]
    return CohortFiles(
        genotypes=genotypes,
        reference=write_fasta(folder / "genome.fa.gz"),
        expression=write_bed(folder / "expression.bed.gz", values),
        genes=write_table(folder / "genes.tsv", genes),
        covariates=write_table(
            folder / "covariates.tsv", [["id", *PEOPLE], ["PC1", 0.1, 0.2, -0.3, 0.4], ["sex", 1, 0, 1, 1]]
        ),
        samples=write_table(
            folder / "samples.tsv",
            [["sample_id", "population", "sex"], *([person, "GBR", "male"] for person in PEOPLE)],
        ),
    )
