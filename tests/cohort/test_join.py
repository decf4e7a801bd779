from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapsight.cohort.genotypes import GenotypePolicy
from hapsight.cohort.join import Cohort, CohortFiles, open_cohort
from hapsight.cohort.matching import find_genes, match_genes, without_version
from hapsight.cohort.nouns import Dropped, Gene, Interval, Strand
from hapsight.cohort.people import match_people
from hapsight.errors import ConfigError, InputError
from tests.cohort.files import (
    CONTIG,
    PEOPLE,
    SEQUENCE,
    Record,
    write_bed,
    write_cohort,
    write_fasta,
    write_table,
    write_vcf,
)


def open_files(files: CohortFiles, **changes: object) -> tuple[Cohort, Dropped]:
    return open_cohort(replace(files, **changes), GenotypePolicy())  # type: ignore[arg-type]


@pytest.fixture
def files(tmp_path: Path) -> CohortFiles:
    return write_cohort(tmp_path)


def gene_table(path: Path, *rows: tuple[str, str, int, str]) -> Path:
    return write_table(path, [["gene_id", "chrom", "tss", "strand"], *rows])


def test_whole_cohort(files: CohortFiles) -> None:
    cohort, dropped = open_files(files)
    assert cohort.samples == cohort.expression.samples == cohort.genotypes.samples == PEOPLE
    assert cohort.populations == ("GBR",) * 4
    assert cohort.genes == cohort.expression.genes
    assert cohort.genes[1] == Gene("ENSG02.3", CONTIG, 129, Strand.MINUS, "TWO")
    assert cohort.covariates is not None
    assert cohort.covariates.values[:, 0].tolist() == [0.1, 0.2, -0.3, 0.4]
    assert cohort.notes == ()
    assert dropped.rows() == []
    assert len(cohort.genotypes.read(Interval(CONTIG, 0, 200), cohort.reference)[0]) == 3


def test_order_is_the_expression_file_s_and_values_follow(files: CohortFiles, tmp_path: Path) -> None:
    people = ["dan", "eve", "ann", "cyd"]
    values = {"ENSG02.3": (CONTIG, 130, [4, 0, 1, 3]), "ENSG01.1": (CONTIG, 40, [40, 0, 10, 30])}
    cohort, dropped = open_files(files, expression=write_bed(tmp_path / "e.bed", values, people))
    assert cohort.samples == ("dan", "ann", "cyd")
    assert [gene.gene_id for gene in cohort.genes] == ["ENSG01.1", "ENSG02.3"]
    assert cohort.expression.values.tolist() == [[40, 10, 30], [4, 1, 3]]
    assert cohort.covariates is not None
    assert cohort.covariates.values[:, 0].tolist() == [0.4, 0.1, -0.3]
    assert cohort.genotypes.read(Interval(CONTIG, 0, 20))[0].alleles[0].tolist() == [[0, 0], [0, 1], [1, 1]]
    assert dropped.names == {
        ("sample", "not in the genotypes and the sample sheet"): ["eve"],
        ("sample", "not in the expression"): ["bob"],
    }


@given(
    left=st.lists(st.sampled_from("abcdef"), unique=True),
    right=st.lists(st.sampled_from("abcdef"), unique=True),
)
def test_everyone_is_kept_or_counted(left: list[str], right: list[str]) -> None:
    dropped, both = Dropped(), [name for name in left if name in right]
    if not both:
        with pytest.raises(InputError, match="No person is in all of: expression, genotypes"):
            match_people({"expression": left, "genotypes": right}, dropped)
        return
    assert match_people({"expression": left, "genotypes": right}, dropped) == tuple(both)
    named = [name for names in dropped.names.values() for name in names]
    assert sorted([*both, *named]) == sorted({*left, *right})


def test_renamed_people_are_told(files: CohortFiles, tmp_path: Path) -> None:
    values = {"ENSG01.1": (CONTIG, 40, [1, 2])}
    other = write_bed(tmp_path / "e.bed", values, ["0_ann", "0_bob"])
    with pytest.raises(
        InputError, match=r"expression: 0_ann, 0_bob[\s\S]*genotypes: ann, bob, cyd[\s\S]*0_ann and ann look"
    ):
        open_files(files, expression=other)


def test_names_that_look_alike_are_of_files_that_differ() -> None:
    sides = {"expression": ["ann", "bob"], "genotypes": ["ann", "bob"], "sample sheet": ["0_bob", "eve"]}
    with pytest.raises(InputError, match=r"; bob and 0_bob look like one person$"):
        match_people(sides, Dropped())


def test_person_without_covariates_is_an_error(files: CohortFiles, tmp_path: Path) -> None:
    path = write_table(tmp_path / "c.tsv", [["id", "ann", "dan", "cyd"], ["PC1", 1, 2, 3]])
    with pytest.raises(InputError, match=r"1 of 4 people have no covariates: bob\.[\s\S]*sample sheet"):
        open_files(files, covariates=path)
    sheet = write_table(tmp_path / "s.tsv", [["sample_id"], ["ann"], ["cyd"], ["dan"]])
    cohort, dropped = open_files(files, covariates=path, samples=sheet)
    assert cohort.samples == ("ann", "cyd", "dan")
    assert dropped.names == {("sample", "not in the sample sheet"): ["bob"]}


def test_covariates_are_noted(files: CohortFiles, tmp_path: Path) -> None:
    rows = [["id", *PEOPLE], ["PC1", 1, 2, 3, 4], ["batch", 2, 2, 2, 2], ["PC1 again", 7, 9, 11, 13]]
    turned = write_table(tmp_path / "c.tsv", list(zip(*rows, strict=True)))
    cohort, _ = open_files(files, covariates=turned)
    assert cohort.notes == (
        "the covariates file is people x covariates: turned round",
        "covariates with one value in all people: batch",
        "covariates that follow from those before them, and are not used: PC1 again",
    )


def test_genes_without_a_place_are_named(files: CohortFiles, tmp_path: Path) -> None:
    table = gene_table(tmp_path / "g.tsv", ("ENSG01.1", CONTIG, 40, "+"))
    cohort, dropped = open_files(files, genes=table)
    assert [gene.gene_id for gene in cohort.genes] == ["ENSG01.1"]
    assert dropped.names == {("gene", "not in the gene table"): ["ENSG02.3"]}


def test_genes_without_version(files: CohortFiles, tmp_path: Path) -> None:
    table = gene_table(tmp_path / "g.tsv", ("ENSG01", CONTIG, 42, "+"), ("ENSG02.9", CONTIG, 130, "-"))
    cohort, dropped = open_files(files, genes=table)
    assert [gene.gene_id for gene in cohort.genes] == ["ENSG01.1", "ENSG02.3"]
    assert cohort.genes[0].tss == 41
    assert cohort.notes[0] == "2 of 2 genes found in the gene table only without their version"
    assert "1 of 2 genes have another TSS" in cohort.notes[1]
    assert "by up to 2 bases" in cohort.notes[1]
    assert not dropped.counts
    twice = gene_table(tmp_path / "t.tsv", ("ENSG01.7", CONTIG, 40, "+"), ("ENSG01.8", CONTIG, 40, "+"))
    with pytest.raises(InputError, match=r"ENSG01\.1 could be several[\s\S]*ENSG01\.7, ENSG01\.8"):
        open_files(files, genes=twice)


def test_versions_are_ensembl_s_only() -> None:
    assert without_version("ENSMUSG00000000001.4") == "ENSMUSG00000000001"
    assert without_version("ENSG00000182378.15_PAR_Y") == "ENSG00000182378_PAR_Y"
    assert without_version("RP11-34P13.7") == "RP11-34P13.7"
    measured = [Gene("ENSG1.1", "1", 5), Gene("ENSG1.2", "1", 5)]
    with pytest.raises(InputError, match=r"Two genes[\s\S]*ENSG1\.1 and ENSG1\.2"):
        match_genes(measured, [Gene("ENSG1", "1", 5)], "table", Dropped())


@pytest.mark.parametrize(
    ("theirs", "plain"),
    [
        ("ENSG00000100001.7_2", "ENSG00000100001"),
        ("ENSG00000100001_3", "ENSG00000100001"),
        ("ENSG00000182378.14_PAR_Y", "ENSG00000182378_PAR_Y"),
        ("ENSG00000182378.14_7_PAR_Y", "ENSG00000182378_PAR_Y"),
        ("ENSG00000182378.14_PAR_Y_7", "ENSG00000182378_PAR_Y"),
        ("ENSGR0000182378.10", "ENSGR0000182378"),
        ("ENSG00000182378.14_exon_7", "ENSG00000182378_exon_7"),
        ("RP11-34P13.7_2", "RP11-34P13.7_2"),
    ],
)
def test_a_mapping_to_grch37_is_no_other_gene(theirs: str, plain: str) -> None:
    assert without_version(theirs) == plain
    for measured in (theirs, plain):
        found, _ = match_genes([Gene(measured, "1", 5)], [Gene(theirs, "1", 5)], "table", Dropped())
        assert found[0].gene_id == measured


def test_genes_of_lift37_by_version_and_without_beside_par(tmp_path: Path) -> None:
    table = [
        Gene("ENSG00000100001.7_2", "chr1", 9, Strand.PLUS),
        Gene("ENSG00000100004.2", "chr1", 39, Strand.MINUS),
        Gene("ENSG00000182378.14_1", "chrX", 5),
        Gene("ENSG00000182378.14_1_PAR_Y", "chrY", 5),
    ]
    names = ("ENSG00000100001.7", "ENSG00000100004", "ENSG00000182378", "ENSG00000182378.14_PAR_Y", "other")
    measured = [
        Gene(name, gene.contig, gene.tss) for name, gene in zip(names, [*table, table[0]], strict=True)
    ]
    found, _ = match_genes(measured, table, "table", dropped := Dropped())
    assert [found[i].strand for i in range(4)] == ["+", "-", None, None]
    assert [found[i].contig for i in (2, 3)] == ["chrX", "chrY"]
    assert dropped.names == {("gene", "not in the gene table"): ["other"]}


def test_a_gene_that_is_twice_in_the_table_matters_where_it_was_measured(
    files: CohortFiles, tmp_path: Path
) -> None:
    rows = [("ENSG01.1", CONTIG, 40, "+"), ("ENSG02.3", CONTIG, 130, "-"), ("U6", CONTIG, 7, "+")]
    table = gene_table(
        tmp_path / "g.tsv", *rows, ("U6", CONTIG, 9, "-"), rows[0], ("ENSG02.3", "chr2", 8, "+")
    )
    cohort, _ = open_files(files, genes=table)
    assert [(gene.tss, gene.strand) for gene in cohort.genes] == [(39, "+"), (129, "-")]
    other = gene_table(
        tmp_path / "o.tsv", rows[1], ("ENSG01.1", CONTIG, 41, "+"), ("ENSG01.1", CONTIG, 42, "+")
    )
    with pytest.raises(InputError, match=r"ENSG01\.1 could be several genes[\s\S]*ENSG01\.1, ENSG01\.1"):
        open_files(files, genes=other)


def test_measured_genes_may_have_names(files: CohortFiles, tmp_path: Path) -> None:
    values = {"TWO": (CONTIG, 130, [5.0, 0.0, 2.5, 1.0]), "ENSG01": (CONTIG, 40, [1.0, 2.0, 3.0, 4.5])}
    bed = write_bed(tmp_path / "e.bed", values)
    cohort, _ = open_files(files, expression=bed)
    assert [(gene.gene_id, gene.strand) for gene in cohort.genes] == [("ENSG01", "+"), ("TWO", "-")]
    assert "1 of 2 genes found in the gene table by their name" in cohort.notes
    columns = ["gene_id", "gene_name", "chrom", "tss", "strand"]
    rows = [columns, *(["ENSG0" + n, "TWO", CONTIG, tss, "-"] for n, tss in (("2", 120), ("3", 140)))]
    with pytest.raises(InputError, match=r"Gene TWO could be several genes[\s\S]*TWO: ENSG02, ENSG03"):
        open_files(files, expression=bed, genes=write_table(tmp_path / "g.tsv", rows))
    rows[1][3] = 130
    assert (
        open_files(files, expression=bed, genes=write_table(tmp_path / "g.tsv", rows))[0].genes[0].tss == 129
    )


def test_genes_are_asked_for_by_identifier_or_name(files: CohortFiles) -> None:
    for name in ("ENSG02.3", "ENSG02", "ENSG02.9_2", "TWO"):
        assert [gene.gene_id for gene in open_files(files, keep_genes=(name,))[0].genes] == ["ENSG02.3"]
    genes = [Gene("ENSG1.2", "1", 5, None, "A"), Gene("ENSG2.1", "1", 5, None, "A"), Gene("A.1", "1", 5)]
    assert find_genes(["A.1", "ENSG2", "x", "ENSG2.1"], genes) == ([genes[2], genes[1]], ["x"])
    with pytest.raises(
        ConfigError, match=r"1 of the genes asked for could be several[\s\S]*A: ENSG1\.2, ENSG2\.1"
    ):
        find_genes(["A", "ENSG1"], genes)
    assert find_genes(["A"], [*genes, Gene("A", "2", 5)])[0][0].contig == "2"


@pytest.fixture
def bodies(tmp_path: Path) -> Path:
    """The genes of `write_cohort` as stretches from 3 bases before to 3 behind its TSS."""
    rows = [["#chr", "start", "end", "phenotype_id", *PEOPLE]]
    rows += [[CONTIG, 36, 43, "ENSG01.1", 1, 2, 3, 4.5], [CONTIG, 126, 133, "ENSG02.3", 5, 0, 2.5, 1]]
    return write_table(tmp_path / "bodies.bed", rows)


def test_gene_bodies_without_strand_are_refused(files: CohortFiles, bodies: Path) -> None:
    with pytest.raises(
        InputError, match=r"2 of 2 genes have no TSS[\s\S]*gene ENSG01\.1[\s\S]*start 36, end 43[\s\S]*genes"
    ):
        open_files(files, expression=bodies, genes=None)


def test_gene_bodies_beside_a_gene_table_have_its_tss(files: CohortFiles, bodies: Path) -> None:
    cohort, _ = open_files(files, expression=bodies)
    assert [gene.tss for gene in cohort.genes] == [39, 129]
    said = "2 of 2 genes are stretches longer than one base in the expression file; "
    assert cohort.notes == (f"{said}the gene table's TSS is used",)


def test_gene_bodies_with_strand_begin_at_the_right_end(files: CohortFiles, bodies: Path) -> None:
    text = bodies.read_text().splitlines()
    lines = [line.split("\t") for line in text]
    rows = [[*line[:4], x, *line[4:]] for line, x in zip(lines, ("strand", "+", "-"), strict=True)]
    cohort, _ = open_files(files, expression=write_table(bodies, rows), genes=None)
    assert [(gene.tss, gene.strand) for gene in cohort.genes] == [(36, "+"), (132, "-")]
    assert "2 of 2 genes are stretches longer" in cohort.notes[0]
    turned, _ = open_files(
        files, expression=bodies, genes=gene_table(bodies.parent / "t.tsv", ("ENSG01.1", CONTIG, 40, "-"))
    )
    assert turned.genes[0].strand == "-"
    assert "1 of 1 genes have another strand in the gene table, which is used" in turned.notes


def test_a_long_gene_is_not_of_another_build() -> None:
    measured, body = [Gene("DMD", "chrX", 31_119_221)], {"DMD": Interval("chrX", 31_119_221, 33_339_460)}
    found, _ = match_genes(measured, [Gene("DMD", "X", 33_339_459)], "table", Dropped(), body)
    assert found[0].tss == 33_339_459
    with pytest.raises(InputError, match="lie elsewhere"):
        match_genes(measured, [Gene("DMD", "X", 34_339_460)], "table", Dropped(), body)


@pytest.mark.parametrize(("contig", "tss"), [("2", 40), ("1", 1_000_041)])
def test_gene_of_another_build_is_an_error(contig: str, tss: int) -> None:
    with pytest.raises(
        InputError, match=rf"1 of 1 genes lie elsewhere[\s\S]*chr1:40[\s\S]*got: {contig}:{tss + 1}\b"
    ):
        match_genes([Gene("g", "chr1", 39)], [Gene("g", contig, tss)], "table", Dropped())


def test_no_gene_in_common(files: CohortFiles, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No gene of the expression file[\s\S]*ENSG01\.1[\s\S]*other"):
        open_files(files, genes=gene_table(tmp_path / "g.tsv", ("other", CONTIG, 40, "+")))


def test_keep_genes(files: CohortFiles) -> None:
    cohort, dropped = open_files(files, keep_genes=("ENSG02.3",))
    assert [gene.gene_id for gene in cohort.genes] == ["ENSG02.3"]
    assert cohort.expression.values.tolist() == [[5.0, 0.0, 2.5, 1.0]]
    assert not dropped.counts
    with pytest.raises(InputError, match=r"1 of the genes asked for[\s\S]*ENSG01\.1[\s\S]*nope"):
        open_files(files, keep_genes=("nope", "ENSG02.3"))


def test_contigs_are_named_as_in_the_fasta(files: CohortFiles, tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "o.fa", {"1": SEQUENCE})
    cohort, _ = open_files(files, reference=fasta)
    assert {gene.contig for gene in cohort.genes} == {"1"}
    assert cohort.notes == ("1 contig named otherwise in the FASTA: chr1 is 1 there",)
    assert cohort.genotypes.read(Interval("1", 0, 200), cohort.reference)[0].contig == "1"


def test_genes_on_contigs_that_are_not_there(files: CohortFiles, tmp_path: Path) -> None:
    values = {
        "a": (CONTIG, 40, [1, 2, 3, 4]),
        "b": ("chr7", 40, [1, 2, 3, 4]),
        "c": ("chr8", 9, [1, 2, 3, 4]),
    }
    fasta = write_fasta(tmp_path / "o.fa", {CONTIG: SEQUENCE, "chr8": SEQUENCE})
    bed = write_bed(tmp_path / "e.bed", values)
    cohort, dropped = open_files(files, expression=bed, genes=None, reference=fasta)
    assert cohort.genes == (Gene("a", CONTIG, 39),)
    assert dropped.names == {
        ("gene", "its contig is not in the FASTA"): ["b"],
        ("gene", "its contig is not in the genotypes"): ["c"],
    }
    with pytest.raises(
        InputError, match=r"No gene lies on a contig[\s\S]*chr1[\s\S]*FASTA chr9; genotypes chr1"
    ):
        open_files(files, reference=write_fasta(tmp_path / "p.fa", {"chr9": SEQUENCE}))


def test_gene_beyond_its_contig(files: CohortFiles, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"1 of 2 genes lie beyond[\s\S]*ENSG02\.3[\s\S]*100 bases[\s\S]*genome build"
    ):
        open_files(files, reference=write_fasta(tmp_path / "o.fa", {CONTIG: SEQUENCE[:100]}))


def test_wrong_build_shows_at_the_first_read(files: CohortFiles, tmp_path: Path) -> None:
    vcf = write_vcf(tmp_path / "o.vcf.gz", [Record(11, "G", "T", ["0|0"] * 4)])
    cohort, _ = open_files(files, genotypes=vcf)
    with pytest.raises(InputError, match="REF is not what the FASTA has"):
        cohort.genotypes.read(Interval(CONTIG, 0, 50), cohort.reference)


def test_real_cohort(shared_data: Path) -> None:
    d = shared_data / "geuvadis_chr22"
    files = CohortFiles(
        d / "genotypes.vcf.gz",
        d / "chr22.fa.gz",
        d / "expression.bed.gz",
        d / "genes.tsv",
        d / "covariates.tsv",
        d / "samples.tsv",
    )
    cohort, dropped = open_files(files)
    assert (len(cohort.genes), len(cohort.samples)) == (499, 358)
    assert cohort.notes == ()
    assert not dropped.counts
    assert [gene.tss for gene in cohort.genes] == sorted(gene.tss for gene in cohort.genes)
    assert np.isfinite(cohort.expression.values).all()
