"""Cut the cohort that comes with hapsight out of the whole one.

    python tools/make_demo.py DATA/geuvadis_chr22 src/hapsight/demo

Keeps the genes with a TSS in chr22:41.0-42.2 Mb, the variants and the sequence within 1 Mb of them (N
elsewhere, so that coordinates stay), all people, all covariates.
"""

from __future__ import annotations

import gzip
import shutil
import sys
from pathlib import Path

import polars as pl
import pysam

CONTIG, FIRST, LAST, REACH = "chr22", 41_000_000, 42_200_000, 1_000_000


def cut_sequence(source: Path, target: Path) -> None:
    with pysam.FastaFile(str(source)) as fasta:
        length = fasta.get_reference_length(CONTIG)
        start, end = FIRST - REACH - 100_000, LAST + REACH + 100_000
        kept = fasta.fetch(CONTIG, start, end).upper()
    sequence = "N" * start + kept + "N" * (length - end)
    plain = target.with_suffix("")
    with plain.open("w") as out:
        out.write(f">{CONTIG}\n")
        out.writelines(sequence[i : i + 60] + "\n" for i in range(0, length, 60))
    pysam.tabix_compress(str(plain), str(target), force=True)
    plain.unlink()
    pysam.faidx(str(target))


def cut_genotypes(source: Path, target: Path) -> None:
    with (
        pysam.VariantFile(str(source)) as file,
        pysam.VariantFile(str(target), "wz", header=file.header) as out,
    ):
        for record in file.fetch(CONTIG, FIRST - REACH - 1, LAST + REACH + 1):
            out.write(record)
    pysam.tabix_index(str(target), preset="vcf", force=True)


def cut_tables(source: Path, target: Path) -> None:
    genes = pl.read_csv(source / "genes.tsv", separator="\t")
    genes = genes.filter(pl.col("tss").is_between(FIRST, LAST))
    genes.write_csv(target / "genes.tsv", separator="\t")
    with gzip.open(source / "expression.bed.gz", "rt") as file:
        lines = file.readlines()
    wanted = set(genes["gene_id"])
    kept = [lines[0], *(line for line in lines[1:] if line.split("\t", 4)[3] in wanted)]
    (target / "expression.bed").write_text("".join(kept))
    pysam.tabix_compress(str(target / "expression.bed"), str(target / "expression.bed.gz"), force=True)
    (target / "expression.bed").unlink()
    for name in ("covariates.tsv", "samples.tsv"):
        shutil.copyfile(source / name, target / name)


if __name__ == "__main__":
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    cut_sequence(source / "chr22.fa.gz", target / "reference.fa.gz")
    cut_genotypes(source / "genotypes.vcf.gz", target / "genotypes.vcf.gz")
    cut_tables(source, target)
