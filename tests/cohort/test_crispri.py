"""Enhancer-gene pairs as they are read."""

import pytest

from hapsight.cohort.nouns import Gene, Strand
from hapsight.cohort.reference import Reference
from hapsight.errors import InputError
from hapsight.validate.elements import read_crispri
from tests.cohort.files import CONTIG, write_fasta, write_table

HEADER = [
    "chrom",
    "chromStart",
    "chromEnd",
    "name",
    "startTSS",
    "measuredGeneSymbol",
    "measuredGeneEnsemblId",
    "Regulated",
]
GENES = [
    Gene("ENSG00000000001.7", CONTIG, 5, Strand.MINUS, "ONE"),
    Gene("elsewhere", CONTIG, 5, Strand.PLUS, "TWO"),
]


def row(name, chrom=CONTIG, start=10, end=20, tss=50, symbol="ONE", gene="ENSG00000000001", regulated="TRUE"):
    return [chrom, start, end, name, tss, symbol, gene, regulated]


def read(tmp_path, *rows, header=HEADER):
    reference = Reference(write_fasta(tmp_path / "genome.fa.gz"))
    return read_crispri(write_table(tmp_path / "pairs.tsv", [header, *rows]), reference, GENES)


def test_places_and_strands(tmp_path):
    rows = [
        row("a"),
        row("b", symbol="TWO", gene="ENSG00000000002", regulated="FALSE"),
        row("c", symbol="THREE", gene="ENSG00000000003"),
        row("d", chrom="chr99"),
        row("e", tss="NA"),
    ]
    pairs, dropped = read(tmp_path, *rows)
    assert [pair.name for pair in pairs] == ["a", "b", "c"]
    assert [pair.gene.strand for pair in pairs] == [Strand.MINUS, Strand.PLUS, None]
    assert [pair.regulated for pair in pairs] == [True, False, True]
    assert (pairs[0].gene.tss, pairs[0].distance) == (50, 35)  # the table's TSS, not that of the gene table
    assert dropped.names == {
        ("pair", "its contig is not in the FASTA"): ["d"],
        ("pair", "the table has no TSS"): ["e"],
    }


@pytest.mark.parametrize(
    ("bad", "message", "got"),
    [
        (row("a", regulated="maybe"), "Whether a pair is regulated", "maybe"),
        (row("a", start="x"), "no whole number|not a whole number", "'x'"),
        (row("a", chrom="chr99"), "no pair on a contig", "chr99"),
    ],
)
def test_broken_rows(tmp_path, bad, message, got):
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path, bad)
    assert error.value.details["got"] == got


def test_missing_columns(tmp_path):
    with pytest.raises(InputError, match="lacks columns") as error:
        read(tmp_path, row("a")[:-1], header=HEADER[:-1])
    assert error.value.details["got"] == "without Regulated"
