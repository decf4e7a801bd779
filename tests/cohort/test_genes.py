from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from hapsight.cohort.genes import gene_format, read_genes
from hapsight.cohort.nouns import Gene, Strand
from hapsight.errors import InputError
from tests.cohort.files import write_bed, write_table

PLUS, MINUS = Gene("g1", "chr1", 99, Strand.PLUS, "ONE"), Gene("g2", "chr1", 899, Strand.MINUS, "TWO")


def gtf_row(kind: str, start: int, end: int, strand: str, gene: str, name: str) -> list[object]:
    attributes = f'gene_id "{gene}"; gene_type "protein_coding"; gene_name "{name}"; level 2;'
    return ["chr1", "HAVANA", kind, start, end, ".", strand, ".", attributes]


GTF = [
    ["##description: test"],
    ["#!genome-build GRCh38"],
    gtf_row("gene", 100, 500, "+", "g1", "ONE"),
    gtf_row("transcript", 150, 500, "+", "g1", "ONE"),
    gtf_row("gene", 600, 900, "-", "g2", "TWO"),
    gtf_row("transcript", 600, 880, "-", "g2", "TWO"),
]


@pytest.mark.parametrize("name", ["a.gtf", "a.gtf.gz", "a.txt"])
def test_gtf(tmp_path: Path, name: str) -> None:
    path = write_table(tmp_path / name, GTF)
    assert gene_format(path) == "gtf"
    assert read_genes(path) == [PLUS, MINUS]


def test_gtf_without_gene_records_takes_the_outermost_transcripts(tmp_path: Path) -> None:
    rows = [
        gtf_row("transcript", 120, 300, "+", "g1", "ONE"),
        gtf_row("exon", 50, 70, "+", "g1", "ONE"),
        gtf_row("transcript", 700, 900, "-", "g2", "TWO"),
        gtf_row("transcript", 100, 200, "+", "g1", "ONE"),
        gtf_row("transcript", 600, 800, "-", "g2", "TWO"),
    ]
    assert read_genes(write_table(tmp_path / "a.gtf", rows)) == [PLUS, MINUS]


def test_gtf_of_genes_with_records_and_genes_of_transcripts_only(tmp_path: Path) -> None:
    rows = [
        ["# StringTie version 2"],
        gtf_row("transcript", 700, 900, "-", "g2", "TWO"),
        gtf_row("exon", 700, 950, "-", "g2", "TWO"),
        gtf_row("gene", 100, 500, "+", "g1", "ONE"),
        gtf_row("transcript", 50, 500, "+", "g1", "ONE"),
    ]
    assert read_genes(write_table(tmp_path / "a.gtf", rows)) == [PLUS, MINUS]


def test_gtf_of_refseq_and_of_stringtie_name_genes_in_their_own_way(tmp_path: Path) -> None:
    refseq = (
        'gene_id "ONE"; transcript_id ""; db_xref "GeneID:1"; gbkey "Gene"; gene "ONE"; gene_biotype "x";'
    )
    stringtie = 'gene_id "MSTRG.1"; transcript_id "T.1"; ref_gene_id "ENSG1"; ref_gene_name "ONE";'
    rows = [["chr1", "x", "transcript", 100, 500, ".", "+", ".", text] for text in (refseq, stringtie)]
    assert read_genes(write_table(tmp_path / "a.gtf", rows)) == [
        Gene("ONE", "chr1", 99, Strand.PLUS, "ONE"),
        Gene("MSTRG.1", "chr1", 99, Strand.PLUS),
    ]


def test_a_gene_twice_is_only_for_those_who_can_tell_which(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.gtf", [*GTF, gtf_row("gene", 700, 800, "+", "g1", "ONE")])
    with pytest.raises(InputError, match=r"gene is there twice[\s\S]*got: g1"):
        read_genes(path)
    assert [gene.tss for gene in read_genes(path, repeats=True)] == [99, 899, 699]


@pytest.mark.parametrize(
    "header", [[], [["#chrom", "start", "end", "name", "score", "strand"]], [["track name=x"]]]
)
def test_bed(tmp_path: Path, header: list[list[str]]) -> None:
    rows = [["chr1", 99, 500, "g1", 0, "+"], ["chr1", 599, 900, "g2", 0, "-"], ["chr2", 7, 8, "g3", 0, "."]]
    path = write_table(tmp_path / "a.bed", [*header, *rows])
    assert gene_format(path) == "bed"
    found = [(gene.gene_id, gene.contig, gene.tss, gene.strand) for gene in read_genes(path)]
    assert found == [("g1", "chr1", 99, "+"), ("g2", "chr1", 899, "-"), ("g3", "chr2", 7, None)]


def test_bed_of_one_base_is_the_tss_on_both_strands(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.bed", [["1", 9, 10, "a", 0, "+"], ["1", 9, 10, "b", 0, "-"]])
    assert [gene.tss for gene in read_genes(path)] == [9, 9]


def test_tsv(tmp_path: Path) -> None:
    rows = [["gene_id", "gene_name", "chrom", "tss", "strand"], ["g1", "ONE", "chr1", 100, "+"]]
    path = write_table(tmp_path / "a.tsv", [*rows, ["g2", "TWO", "chr1", 900, "-"]])
    assert gene_format(path) == "tsv"
    assert read_genes(path) == [PLUS, MINUS]
    bare = write_table(tmp_path / "b.tsv", [["chrom", "gene_id", "strand", "tss"], ["chr1", "g1", "+", 100]])
    assert read_genes(bare) == [Gene("g1", "chr1", 99, Strand.PLUS)]


def test_phenotype_bed_has_no_strand(tmp_path: Path) -> None:
    path = write_bed(tmp_path / "e.bed.gz", {"g1": ("chr1", 100, [1, 2, 3, 4])})
    assert gene_format(path) == "phenotype_bed"
    assert read_genes(path) == [Gene("g1", "chr1", 99)]


def test_phenotype_bed_of_gene_bodies_needs_their_strand(tmp_path: Path) -> None:
    rows = [["#chr", "start", "end", "pid", "gid", "strand", "ann"], ["chr1", 99, 500, "g1", "g1", "-", 2]]
    assert read_genes(write_table(tmp_path / "a.bed", rows)) == [Gene("g1", "chr1", 499, Strand.MINUS)]
    bare = write_table(tmp_path / "b.bed", [row[:4] + row[6:] for row in rows])
    with pytest.raises(InputError, match=r"1 of 1 genes have no TSS[\s\S]*gene g1[\s\S]*start 99, end 500"):
        read_genes(bare)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["hello", "world"]], r"no format that is known[\s\S]*hello"),
        ([["1", "H", "gene", "1", "9", ".", "+", ".", "ID=g1;Name=x"]], r"no format[\s\S]*GFF3 is not read"),
        ([["1", 9, 99, "a", 0, "."]], r"no strand, so its TSS is not known[\s\S]*gene a[\s\S]*\[9, 99\)"),
        ([["1", 9, 99, "a", 0, "x"]], r"neither \+ nor -[\s\S]*'x'"),
        ([["1", 9, 99, "a", 0, "+"], ["1", 9, 99, "a", 0, "+"]], r"gene is there twice[\s\S]*got: a"),
        (
            [["gene_id", "chrom", "tss", "strand"], ["g", "1", "1e6", "+"]],
            r"tss is not a whole number[\s\S]*1e6",
        ),
        ([["gene_id", "chrom", "tss", "strand"]], "no rows"),
        ([["1", 9, 99, "a", 0, "+"], ["1", 9, 99]], r"BED row is too short[\s\S]*4 columns"),
    ],
)
def test_gene_files_that_cannot_be_used(tmp_path: Path, rows: list[list[object]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_genes(write_table(tmp_path / "genes.txt", rows))


def test_gtf_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no genes"):
        read_genes(write_table(tmp_path / "a.gtf", [gtf_row("CDS", 1, 2, "+", "g", "G")]))
    with pytest.raises(InputError, match="not 9 columns"):
        read_genes(write_table(tmp_path / "a.gtf", [["chr1", "x", "gene"]]))
    with pytest.raises(InputError, match="no gene_id"):
        read_genes(write_table(tmp_path / "a.gtf", [["1", "x", "gene", 1, 2, ".", "+", ".", "ID=g"]]))
    (tmp_path / "b.gtf.gz").write_bytes(gzip.compress(b"x" * 1000)[:-9])
    with pytest.raises(InputError, match="damaged or no text"):
        read_genes(tmp_path / "b.gtf.gz")


def test_real_genes(shared_data: Path) -> None:
    folder = shared_data / "geuvadis_chr22"
    genes = read_genes(folder / "genes.tsv")
    assert len(genes) == 499
    assert genes[0] == Gene("ENSG00000182902.9", "chr22", 17_563_438, Strand.PLUS, "SLC25A18")
    measured = {gene.gene_id: gene.tss for gene in read_genes(folder / "expression.bed.gz")}
    assert {gene.gene_id: gene.tss for gene in genes} == measured
