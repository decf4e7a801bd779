"""Which transcript of a gene is read from a GTF, and what is said of the others."""

from __future__ import annotations

import pytest

from hapsight.cohort.nouns import Gene, Strand
from hapsight.errors import InputError
from hapsight.sequence.transcripts import Transcript, read_exons, read_transcripts

GENES = (
    Gene("ENSG1.3", "chr1", 99, Strand.PLUS),
    Gene("G2", "chr1", 999, Strand.MINUS),
    Gene("G3", "chr1", 99, None),
    Gene("G4", "chr1", 99, Strand.PLUS),
    Gene("G5", "chr1", 99, Strand.PLUS),
)


def row(gene, transcript, feature, start, end, strand="+", frame=".", tags=(), contig="1"):
    attributes = f'gene_id "{gene}"; transcript_id "{transcript}";' + "".join(f' tag "{t}";' for t in tags)
    return "\t".join([contig, "x", feature, str(start), str(end), ".", strand, frame, attributes])


ROWS = [
    "#!genome-build x",
    row("ENSG1", "T1", "exon", 101, 400),
    row("ENSG1", "T1", "CDS", 101, 397, frame="0"),
    row("ENSG1", "T2", "exon", 101, 200, tags=("basic", "Ensembl_canonical")),
    row("ENSG1", "T2", "exon", 301, 400, tags=("basic", "Ensembl_canonical")),
    row("ENSG1", "T2", "CDS", 151, 200, frame="0"),
    row("ENSG1", "T2", "CDS", 301, 330, frame="1"),
    row("ENSG1", "T3", "exon", 101, 200, tags=("MANE Select",)),
    row("ENSG1", "T3", "CDS", 120, 179, frame="0", tags=("MANE Select",)),
    row("ENSG1", "T3", "start_codon", 120, 122),
    row("G2", "T4", "exon", 901, 1000, "-"),
    row("G2", "T4", "CDS", 901, 960, "-", "2"),
    row("G2", "T4", "exon", 501, 600, "-"),
    row("G2", "T4", "CDS", 551, 600, "-", "0"),
    row("G2", "T5", "exon", 901, 1000, "-"),
    row("G2", "T5", "CDS", 901, 930, "-", "0"),
    row("G3", "T6", "exon", 101, 200, contig="2"),
    row("G3", "T6", "CDS", 101, 130, contig="2"),
    row("G4", "T7", "exon", 101, 200),
    row("ELSE", "T8", "exon", 1, 2),
]


def write(tmp_path, rows):
    path = tmp_path / "genes.gtf"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_mane_then_canonical_then_the_longest_coding_part(tmp_path):
    found, dropped = read_transcripts(write(tmp_path, ROWS), GENES)
    assert found["ENSG1.3"] == Transcript("T3", "ENSG1.3", "chr1", Strand.PLUS, ((100, 200),), (119, 179))
    assert found["G2"] == Transcript(
        "T4", "G2", "chr1", Strand.MINUS, ((500, 600), (900, 1000)), (550, 960), phase=2
    )
    assert found["G2"].length == 200
    assert dropped.names == {
        ("gene", "no coding transcript on its contig and strand"): ["G3", "G4"],
        ("gene", "not in the GTF"): ["G5"],
    }
    without = [line for line in ROWS if "MANE" not in line]
    assert read_transcripts(write(tmp_path, without), GENES)[0]["ENSG1.3"].transcript_id == "T2"
    plain = [line for line in without if "canonical" not in line]
    assert read_transcripts(write(tmp_path, plain), GENES)[0]["ENSG1.3"].transcript_id == "T1"


def test_errors(tmp_path):
    with pytest.raises(InputError, match=r"not a whole number(.|\n)*line 1"):
        read_transcripts(write(tmp_path, [row("ENSG1", "T1", "exon", "x", 10)]), GENES)
    with pytest.raises(InputError, match=r"not 9 columns(.|\n)*line 2"):
        read_transcripts(write(tmp_path, [ROWS[0], ROWS[1].rpartition("\t")[0]]), GENES)
    overlapping = [*ROWS[6:9], row("ENSG1", "T3", "exon", 150, 300)]
    with pytest.raises(InputError, match=r"exons of a transcript overlap(.|\n)*T3 of gene ENSG1.3"):
        read_transcripts(write(tmp_path, overlapping), GENES)
    with pytest.raises(InputError, match="do not hold its coding part"):
        Transcript("T", "G", "1", Strand.PLUS, ((0, 10),), (5, 12))


@pytest.mark.parametrize(("named", "gtf"), [("MT", "chrM"), ("chrM", "MT"), ("chr1", "1"), ("1", "chr1")])
def test_a_contig_goes_by_both_its_names(tmp_path, named, gtf):
    path = tmp_path / "t.gtf"
    rows = [row("G1", "T1", kind, 101, 130, contig=gtf) for kind in ("exon", "CDS")]
    path.write_text("\n".join(rows) + "\n")
    chosen, dropped = read_transcripts(path, [Gene("G1", named, 100, Strand.PLUS)])
    assert (chosen["G1"].contig, dropped.rows()) == (named, [])


def test_exons_are_of_the_same_transcript_and_need_no_coding_part(tmp_path):
    found, dropped = read_exons(write(tmp_path, ROWS), GENES)
    assert found == {
        "ENSG1.3": ((100, 200),),
        "G2": ((500, 600), (900, 1000)),
        "G4": ((100, 200),),
    }
    assert dropped.names == {("gene", "no exon in the GTF on its contig and strand"): ["G3", "G5"]}


@pytest.mark.parametrize(("there", "named"), [("T2", "T2"), ("ENST9.2", "ENST9.3"), ("ENST9.2", "ENST9")])
def test_a_transcript_that_is_asked_for_comes_first(tmp_path, there, named):
    rows = [line.replace('"T2"', f'"{there}"') for line in ROWS]
    found, _ = read_exons(write(tmp_path, rows), GENES, [named, "no such"])
    assert found["ENSG1.3"] == ((100, 200), (300, 400))
    assert found["G2"] == ((500, 600), (900, 1000))


def named(line, gene_name, key="gene_name"):
    return f'{line} {key} "{gene_name}"; ref_gene_id "OTHER"; orig_transcript_id "gnl|x";'


@pytest.mark.parametrize("key", ["gene_name", "gene"])
def test_genes_that_are_measured_by_name(tmp_path, key):
    rows = [
        named(line, {"ENSG1": "ONE", "G2": "TWO"}.get(line.split('"')[1], "ELSE"), key) for line in ROWS[1:]
    ]
    genes = [Gene("ONE", "chr1", 99, Strand.PLUS), Gene("TWO", "chr1", 999, Strand.MINUS)]
    by_name, dropped = read_transcripts(write(tmp_path, rows), genes)
    by_id, _ = read_transcripts(write(tmp_path, rows), GENES[:2])
    for name, gene_id in (("ONE", "ENSG1.3"), ("TWO", "G2")):
        one, other = by_name[name], by_id[gene_id]
        assert (one.transcript_id, one.exons, one.cds) == (other.transcript_id, other.exons, other.cds)
    assert not dropped.counts
    assert list(read_exons(write(tmp_path, rows), genes)[0]) == ["ONE", "TWO"]


def test_a_name_of_two_genes_of_a_strand_is_neither(tmp_path):
    again = (row("G9", "T9", "exon", 501, 600), row("G9", "T9", "CDS", 501, 560))
    rows = [named(line, "ONE") for line in (*ROWS[1:3], *again)]
    for read in (read_transcripts, read_exons):
        found, dropped = read(write(tmp_path, rows), [Gene("ONE", "chr1", 99, Strand.PLUS)])
        assert not found
        assert dropped.names == {("gene", "several genes of the GTF have its name"): ["ONE"]}
    other_strand = [*rows[:2], named(row("G9", "T9", "exon", 501, 600, "-"), "ONE")]
    found, _ = read_exons(write(tmp_path, other_strand), [Gene("ONE", "chr1", 99, Strand.PLUS)])
    assert found == {"ONE": ((100, 400),)}
