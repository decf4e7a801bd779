"""Files as pipelines really write them: read as their tidy twins are, or refused with a cure that works."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pysam
import pytest

from hapsight.cohort.check import check_cohort
from hapsight.cohort.expression import read_expression
from hapsight.cohort.genes import read_genes
from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.join import CohortFiles, open_cohort
from hapsight.cohort.matching import gene_names, match_genes
from hapsight.cohort.nouns import Dropped, Gene, Interval, Strand
from hapsight.cohort.people import join_covariates, match_people, read_covariates, read_sample_sheet
from hapsight.cohort.ploidy import Ploidy, Sex
from hapsight.cohort.policies import GenotypePolicy
from hapsight.cohort.reference import Reference
from hapsight.cohort.split import open_genotypes
from hapsight.cohort.tables import read_table
from hapsight.errors import InputError
from hapsight.least_squares import residuals
from tests.cohort.files import (
    CONTIG,
    PEOPLE,
    SEQUENCE,
    Record,
    write_cohort,
    write_fasta,
    write_table,
    write_vcf,
)
from tests.cohort.pgen_files import write_pgen, write_pvar

VALUES = [1.0, 2.0, 3.0, 4.5]
BED = [["#chr", "start", "end", "phenotype_id", *PEOPLE], [CONTIG, 39, 40, "ENSG01.1", *VALUES]]
COVARIATES = [["id", *PEOPLE], ["PC1", 0.1, 0.2, -0.3, 0.4], ["PC2", 1, 0, 1, 1]]


def as_text(rows: list[list[object]], separator: str = "\t") -> str:
    return "".join(separator.join(map(str, row)) + "\n" for row in rows)


@pytest.mark.parametrize(
    "head",
    [
        "# made by a colleague\n",
        "# Program:featureCounts v2; Command:x\n",
        "## two\n# lines\n",
        "#1.2\n1\t4\n",
    ],
)
def test_lines_before_the_header_are_passed_over(tmp_path, head):
    path = tmp_path / "e.bed"
    path.write_text(head + as_text(BED))
    assert read_expression(path).values.tolist() == [VALUES]
    path.write_text(head + as_text(COVARIATES))
    assert read_covariates(path, PEOPLE)[0].names == ("PC1", "PC2")


def test_a_header_of_one_cell_is_no_comment(tmp_path):
    (tmp_path / "s.tsv").write_text("#IID\nann\nbob\n")
    assert read_sample_sheet(tmp_path / "s.tsv").samples == ("ann", "bob")


@pytest.mark.parametrize(
    ("name", "separator", "cure"),
    [("e.bed", ",", "call it .csv"), ("e.csv", "\t", "call it .tsv"), ("e.csv", ";", "save it with tabs")],
)
def test_other_separators_are_told(tmp_path, name, separator, cure):
    path = write_table(tmp_path / name, BED, separator)
    with pytest.raises(InputError, match="are not separated by") as error:
        read_expression(path)
    assert cure in error.value.details["to mend"]
    renamed = {",": ".csv", "\t": ".tsv"}.get(separator)
    if renamed:
        assert read_expression(path.rename(path.with_suffix(renamed))).values.tolist() == [VALUES]


def test_spaces_are_made_tabs_by_the_command_that_is_printed(tmp_path):
    path = write_table(tmp_path / "my e.bed", BED, " ")
    with pytest.raises(InputError, match="with spaces, and without tabs") as error:
        read_expression(path)
    command = error.value.details["to mend"].removesuffix(", and give that")
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    assert read_expression(tmp_path / "NEW.tsv").values.tolist() == [VALUES]


@pytest.mark.parametrize(
    ("head", "kind", "cure"),
    [
        (b"\x28\xb5\x2f\xfd\x04", "zstd", "zstd -d "),
        (b"BZh91AY&SY", "bzip2", "bunzip2 -k "),
        (b"\xfd7zXZ\x00\x00", "xz", "unxz -k "),
        (b"PK\x03\x04", "xlsx", "Text (Tab delimited)"),
        (b"PAR1\x15\x04", "Parquet", "mv "),
        (b"\x89HDF\r\n\x1a\n", "HDF5", "as text with tabs"),
    ],
)
def test_files_that_are_no_text_are_called_what_they_are(tmp_path, head, kind, cure):
    (tmp_path / "e").write_bytes(head + bytes(range(256)))
    with pytest.raises(InputError, match=f"is no text: it is .*{kind}") as error:
        read_expression(tmp_path / "e")
    assert cure in error.value.details["to mend"]


def test_parquet_by_another_name(tmp_path):
    pl.DataFrame(BED[1:], schema=BED[0], orient="row").write_parquet(tmp_path / "e.bed")
    with pytest.raises(InputError, match="it is Parquet"):
        read_expression(tmp_path / "e.bed")
    assert read_expression((tmp_path / "e.bed").rename(tmp_path / "e.parquet")).values.tolist() == [VALUES]


@pytest.mark.parametrize("name", ["TargetID", "molecular_trait_id", "ID"])
def test_fastqtl_and_the_eqtl_catalogue_call_genes_otherwise(tmp_path, name):
    rows = [["#Chr", "start", "end", name, *PEOPLE], BED[1]]
    assert read_expression(write_table(tmp_path / "e.bed", rows)).samples == PEOPLE


def test_a_matrix_is_told_where_to_look(tmp_path):
    rows = [["Name", "Description", *PEOPLE], ["ENSG01.1", "ONE", *VALUES]]
    (tmp_path / "e.gct").write_text("#1.2\n1\t4\n" + as_text(rows))
    with pytest.raises(InputError, match=r"not a phenotype BED[\s\S]*got: Name, Description, ann"):
        read_expression(tmp_path / "e.gct")


def matrix_of_docs() -> str:
    text = (Path(__file__).parents[2] / "docs/formats.md").read_text()
    return text.split("```python\n# a phenotype BED of a matrix\n")[1].split("```")[0]


@pytest.mark.parametrize("form", ["gct", "salmon", "featureCounts"])
def test_the_lines_of_the_docs_make_a_bed_of_a_matrix(tmp_path, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    code = matrix_of_docs()
    columns = {"gct": ["Name", "Description"], "salmon": ["gene_id", "gene_name"]}.get(
        form, ["Geneid", "Chr", "Start", "End", "Strand", "Length"]
    )
    rows = [[*columns, *PEOPLE], ["ENSG01.1", *"x" * (len(columns) - 1), *VALUES]]
    head = {"gct": "#1.2\n1\t4\n", "featureCounts": "# Program:featureCounts\n"}.get(form, "")
    (tmp_path / "matrix.tsv").write_text(head + as_text(rows))
    gtf = f'{CONTIG}\tx\tgene\t20\t40\t.\t-\t.\tgene_id "ENSG01.1";\n'
    (tmp_path / "genes.gtf").write_text(gtf)
    exec(code, {})
    found = read_expression(tmp_path / "expression.bed")
    assert (found.samples, found.values.tolist()) == (PEOPLE, [VALUES])
    assert [(g.gene_id, g.contig, g.tss) for g in found.genes] == [("ENSG01.1", CONTIG, 39)]


@pytest.mark.parametrize(
    ("header", "row", "extra"),
    [
        ("sample\tpop\tsuper_pop\tgender\t\t", "{}\tGBR\tEUR\tmale", ""),
        ("Sample name\tSex\tBiosample ID\tPopulation code\tSuperpopulation code", "{}\tM\tx\tGBR\tEUR", ""),
        ("#IID\tSEX\tSuperPop\tPopulation", "{}\t1\tEUR\tGBR", ""),
        ("FID\tIID\tPAT\tMAT\tSEX\tPopulation\tsuper_population", "f\t{}\t0\t0\t1.0\tGBR\tEUR", ""),
        ("Sample_ID\tPOPULATION\tSuper_Population\tSex", "{}\tGBR\tEUR\tmale", ""),
    ],
    ids=["panel", "IGSR", "psam", "ped", "capitals"],
)
def test_sample_sheets_by_the_names_that_others_give(tmp_path, header, row, extra):
    (tmp_path / "s.tsv").write_text("\n".join([header, *(row.format(one) for one in PEOPLE)]) + "\n")
    found = read_sample_sheet(tmp_path / "s.tsv")
    assert (found.samples, set(found.population), set(found.super_population)) == (PEOPLE, {"GBR"}, {"EUR"})
    assert set(found.sexes().values()) == {Sex.MALE}


def test_our_own_names_come_first_and_two_others_are_refused(tmp_path):
    rows = [["sample_id", "IID", "pop", "population"], ["ann", "x", "y", "GBR"]]
    found = read_sample_sheet(write_table(tmp_path / "s.tsv", rows))
    assert (found.samples, found.population) == (("ann",), ("GBR",))
    twice = write_table(tmp_path / "t.tsv", [["IID", "sample"], ["ann", "x"]])
    with pytest.raises(InputError, match=r"Two columns[\s\S]*IID, sample[\s\S]*call one of them sample_id"):
        read_sample_sheet(twice)


def test_a_header_that_ends_in_tabs_is_no_longer_than_its_rows(tmp_path):
    path = tmp_path / "s.tsv"
    path.write_text("a\tb\t\t\n1\t2\n3\t4\n")
    assert read_table(path, "table").rows() == [("1", "2"), ("3", "4")]
    path.write_text("a\tb\t\t\n1\t2\n3\t4\t5\n")
    with pytest.raises(InputError, match="longer or shorter"):
        read_table(path, "table")


def test_covariates_of_eigensoft(tmp_path):
    lines = ["           #eigvals:     5.1     3.2"]
    lines += [f"         {one}     0.{n}    -1e-3           Case" for n, one in enumerate(PEOPLE)]
    (tmp_path / "pca.evec").write_text("\n".join(lines) + "\n")
    found, transposed = read_covariates(tmp_path / "pca.evec", PEOPLE)
    assert transposed
    assert (found.samples, found.values[:, 0].tolist()) == (PEOPLE, [0.0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize("words", [["b1", "b2", "b2", "b3"], ["TRUE", "FALSE", "TRUE", "TRUE"], list("MFMM")])
def test_covariates_of_words_are_told_how_to_become_numbers(tmp_path, words):
    path = write_table(tmp_path / "c.tsv", [*COVARIATES, ["batch", *words]])
    with pytest.raises(InputError, match="row batch, column ann") as error:
        read_covariates(path, PEOPLE)
    assert "a covariate of 0 and 1 for each of its words but one" in error.value.details["to mend"]
    numbers = [[f"batch {word}", *(int(word == one) for one in words)] for word in sorted(set(words))[1:]]
    found = read_covariates(write_table(path, [COVARIATES[0], *numbers]), PEOPLE)[0]
    assert not found.redundant


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (["GTEX.ann", "GTEX.bob"], ["GTEX-ann", "GTEX-bob"]),
        (["X07", "X12"], ["07", "12"]),
        (["HG_1", "HG_2"], ["hg-1", "hg-2"]),
        (["7", "12"], ["007", "012"]),
    ],
)
def test_people_whom_r_renamed(tmp_path, theirs, ours):
    covariates = write_table(tmp_path / "c.tsv", [["id", *theirs], ["PC1", 1, 2]])
    with pytest.raises(InputError, match=f"{ours[0]} and {theirs[0]} look like one person"):
        join_covariates(covariates, ours)
    some = write_table(tmp_path / "s.tsv", [["id", theirs[0], ours[1]], ["PC1", 1, 2]])
    with pytest.raises(InputError, match=f"1 of 2 people have no[\\s\\S]*{ours[0]} and {theirs[0]} look"):
        join_covariates(some, ours)
    with pytest.raises(InputError, match=f"{theirs[0]} and {ours[0]} look like one person"):
        match_people({"expression": theirs, "genotypes": ours}, Dropped())


def test_some_people_whom_r_renamed_are_told_by_the_check(tmp_path):
    files = write_cohort(tmp_path)
    people = ["ann", "bob", "cyd", "d-an"]
    files = CohortFiles(
        write_vcf(tmp_path / "g.vcf.gz", [Record(10, SEQUENCE[9], "T", ["0|1"] * 4)], people),
        files.reference,
        write_table(tmp_path / "e.bed", [[*BED[0][:-1], "d.an"], BED[1]]),
    )
    found = check_cohort(files, GenotypePolicy(), lambda gene: gene.cis(20))
    told = next(result for result in found if result.name == "people")
    assert told.details[-1] == "d.an and d-an look like one person"


TSV = [["gene_id", "gene_name", "chrom", "tss", "strand"], ["ENSG01", "ONE", CONTIG, 40, "-"]]
GENE = Gene("ENSG01", CONTIG, 39, Strand.MINUS, "ONE")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("g.csv", as_text(TSV, ",")),
        ("g.tsv", "\n".join("\t".join(f'"{cell}"' for cell in row) for row in TSV) + "\n"),
        ("g.tsv", as_text([TSV[0], ["ENSG01", "ONE", CONTIG, "40.0", "-1"]])),
        ("g.bed", f"{CONTIG}\t9\t40\tENSG01\t0\t-1\n"),
        (
            "g.gtf",
            f'{CONTIG}\tx\tgene\t10\t40\t.\t-\t.\ttag "a"; tag "b"; gene_name "ONE"; gene_id "ENSG01";\n',
        ),
    ],
    ids=["csv", "quotes", "pandas and BioMart", "BED of BioMart's strand", "GTF with tags"],
)
def test_gene_tables_as_other_programs_write_them(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    found = read_genes(tmp_path / name)
    assert [(g.gene_id, g.contig, g.tss, g.strand) for g in found] == [
        (GENE.gene_id, GENE.contig, GENE.tss, GENE.strand)
    ]


@pytest.mark.parametrize(
    ("text", "what", "cure"),
    [
        (f'{CONTIG}\tx\tgene\t40\t10\t.\t+\t.\tgene_id "a";\n', "ends before it starts", None),
        (f"{CONTIG}\tx\tgene\t10\t40\t.\t+\t.\tID=a;gene_id=a\n", "no gene_id", "use the GTF of the same"),
        (f'{CONTIG}\tx\tCDS\t10\t40\t.\t+\t.\tgene_id "a";\n', "has no genes", "GENCODE's, or Ensembl's"),
    ],
)
def test_gtfs_that_cannot_be_used(tmp_path, text, what, cure):
    (tmp_path / "g.gtf").write_text(text)
    with pytest.raises(InputError, match=what) as error:
        read_genes(tmp_path / "g.gtf")
    assert cure is None or cure in error.value.details["to mend"]


def test_a_gene_of_a_bed_that_ends_before_it_starts(tmp_path):
    path = write_table(tmp_path / "g.bed", [[CONTIG, 40, 10, "a", 0, "+"]])
    with pytest.raises(InputError, match=r"does not end behind its start[\s\S]*start 40, end 10"):
        read_genes(path)


def test_a_table_of_biomart_is_told_the_names_of_columns(tmp_path):
    rows = [["Gene stable ID", "Chromosome/scaffold name", "TSS", "Strand"], ["ENSG01", "1", 40, -1]]
    with pytest.raises(InputError, match="no format") as error:
        read_genes(write_table(tmp_path / "g.txt", rows))
    assert "gene_id, chrom, tss (from 1) and strand" in error.value.details["to mend"]
    names = ["gene_id", "chrom", "tss", "strand"]
    assert read_genes(write_table(tmp_path / "g.txt", [names, *rows[1:]]))[0].tss == 39


@pytest.mark.parametrize("name", ["ENSG00000100001.7|ONE", "ENSG00000100001_ONE", "ONE;ENSG00000100001.3"])
def test_identifiers_with_names_are_told(name):
    measured, table = Gene(name, CONTIG, 39), Gene("ENSG00000100001.7", CONTIG, 39, Strand.PLUS)
    with pytest.raises(InputError, match="No gene of the expression file") as error:
        match_genes([measured], [table], "genes.gtf", Dropped())
    assert error.value.details["to mend"].endswith(f"{name} of the expression file is {table.gene_id} there")
    again = Gene("ENSG00000100001", CONTIG, 39)
    assert match_genes([again], [table], "genes.gtf", Dropped())[0][0].tss == 39


def test_contigs_by_accession_are_told():
    measured = Gene("ONE", CONTIG, 39)
    table = Gene("ONE", "NC_000001.11", 39, Strand.PLUS)
    with pytest.raises(InputError, match="by accession"):
        match_genes([measured], [table], "genes.gtf", Dropped())


def test_a_fasta_by_accession_is_told(tmp_path):
    files = write_cohort(tmp_path)
    fasta = write_fasta(tmp_path / "nc.fa", {"NC_000001.11": SEQUENCE})
    with pytest.raises(InputError, match=r"No gene lies on a contig[\s\S]*by accession"):
        open_cohort(CohortFiles(files.genotypes, fasta, files.expression), GenotypePolicy())


def test_contigs_that_plink_numbers_are_renamed_by_the_command_that_is_printed(tmp_path):
    vcf = write_vcf(
        tmp_path / "g.vcf.gz",
        [Record(10, SEQUENCE[9], "GG", ["0|1"] * 4, contig="23")],
        contigs={"22": 200, "23": 200},
    )
    fasta = write_fasta(tmp_path / "x.fa", {"chrX": SEQUENCE})
    bed = write_table(tmp_path / "e.bed", [BED[0], ["chrX", *BED[1][1:]]])
    with pytest.raises(InputError, match="PLINK numbers X") as error:
        open_cohort(CohortFiles(vcf, fasta, bed), GenotypePolicy())
    command = error.value.details["to mend"].split("26: ")[1].removesuffix(", and index that")
    command = f"{command.replace('FILE', vcf.name)} && bcftools index NEW.vcf.gz"
    subprocess.run(command, shell=True, check=True, capture_output=True, cwd=tmp_path)
    cohort, _ = open_cohort(CohortFiles(tmp_path / "NEW.vcf.gz", fasta, bed), GenotypePolicy())
    assert len(cohort.genotypes.read(Interval("chrX", 0, 200))[0]) == 1


def test_a_hard_masked_fasta_is_told(tmp_path):
    files = write_cohort(tmp_path)
    fasta = write_fasta(tmp_path / "rm.fa", {CONTIG: "N" * 20 + SEQUENCE[20:]})
    cohort, _ = open_cohort(CohortFiles(files.genotypes, fasta, files.expression), GenotypePolicy())
    with pytest.raises(InputError, match="hard-masked"):
        cohort.genotypes.read(Interval(CONTIG, 0, 200), cohort.reference)


def test_dosages_without_calls_are_told(tmp_path):
    path = write_vcf(
        tmp_path / "g.vcf.gz",
        [Record(10, SEQUENCE[9], "T", ["0.1"] * 4)],
        header=['##FORMAT=<ID=DS,Number=1,Type=Float,Description="Dosage">'],
    )
    text = gzip.decompress(path.read_bytes()).decode().replace("\tGT\t", "\tDS\t")
    path = tmp_path / "ds.vcf.gz"
    _bgzip(path, text)
    with pytest.raises(InputError, match=r"no genotypes \(GT\)[\s\S]*got: FORMAT DS[\s\S]*write GT too"):
        GenotypeFile(path).read(Interval(CONTIG, 0, 200))


def _bgzip(path: Path, text: str) -> None:
    plain = path.with_suffix("")
    plain.write_text(text)
    pysam.tabix_compress(str(plain), str(path), force=True)
    pysam.tabix_index(str(path), preset="vcf", force=True)


def test_an_unsorted_vcf_is_sorted_by_the_command_that_is_printed(tmp_path):
    records = [Record(p, SEQUENCE[p - 1], "GG", ["0|1"] * 4) for p in (50, 10)]
    path = write_vcf(tmp_path / "g.vcf.gz", records, index=False)
    with pytest.raises(InputError, match="has no index") as error:
        GenotypeFile(path)
    sort = (
        error.value.details["to mend"].split("what this writes: ")[1].split(";")[0].replace("FILE", path.name)
    )
    command = f"{sort} && bcftools index NEW.vcf.gz"
    subprocess.run(command, shell=True, check=True, capture_output=True, cwd=tmp_path)
    found, _ = GenotypeFile(tmp_path / "NEW.vcf.gz").read(Interval(CONTIG, 0, 200))
    assert found.position.tolist() == [9, 49]


PLACES = (10, 50, 60, 70)


def _x() -> list[Record]:
    return [Record(p, SEQUENCE[p - 1], "GG", ["0|1", "1|0", "0|0", "1|1"], contig="chrX") for p in PLACES]


def _x_in_parts(folder: Path, names: list[str], write: Callable[[Path, list[Record]], Path]) -> list[Path]:
    parts: dict[str, list[Record]] = {}
    for name, record in zip(names, _x(), strict=True):
        parts.setdefault(name, []).append(record)
    return [write(folder / f"chr{name}", records) for name, records in parts.items()]


def _write_part(path: Path, records: list[Record]) -> Path:
    """A PGEN whose contig is called as its file: ``PAR1`` in ``chrPAR1.pgen``."""
    vcf = write_vcf(path.with_suffix(".vcf.gz"), records, contigs={"chrX": 200})
    pgen = write_pgen(vcf, path.with_suffix(".pgen"))
    name = path.name.removeprefix("chr")
    write_pvar(pgen.with_suffix(".pvar"), [[name, r.position, ".", r.ref, r.alt, "PASS"] for r in records])
    return pgen


@pytest.mark.parametrize(
    "names", [["PAR1", "X", "X", "PAR2"], ["PAR1", "chrX", "chrX", "chrX"], ["XY", "23", "23", "XY"]]
)
@pytest.mark.parametrize("pattern", [False, True])
def test_pgens_of_the_parts_of_x_are_one_contig(tmp_path, names, pattern):
    """As ``plink2 --split-par`` and then ``--chr`` leave them."""
    whole = write_vcf(tmp_path / "whole.vcf.gz", _x(), contigs={"chrX": 200})
    expected, _ = GenotypeFile(whole).read(Interval("chrX", 0, 200))
    paths = _x_in_parts(tmp_path, names, _write_part)
    found = open_genotypes(tmp_path / "chr{chrom}.pgen" if pattern else paths)
    assert len(found.contigs) == 1
    for contig in ("X", "chrX"):
        mine, _ = found.read(Interval(contig, 0, 200))
        assert mine.position.tolist() == expected.position.tolist()
        assert np.array_equal(mine.alleles, expected.alleles)
        assert found.expected_records(Interval(contig, 0, 200)) == pytest.approx(len(PLACES))
        assert not found.phase_sets(mine).any()
    assert found.read(Interval("X", 45, 65))[0].position.tolist() == [49, 59]


def test_pgens_of_which_x_still_has_its_ends_are_refused(tmp_path):
    paths = [_write_part(tmp_path / "chrPAR1", _x()[:1]), _write_part(tmp_path / "chrX", _x())]
    with pytest.raises(InputError, match=r"have the same variant[\s\S]*chrX:10 C>GG"):
        open_genotypes(paths).read(Interval("chrX", 0, 200))
    vcf = write_vcf(tmp_path / "x.vcf.gz", _x()[1:], contigs={"chrX": 200})
    with pytest.raises(InputError, match="Two genotype files have records of contig X"):
        open_genotypes([paths[0], vcf])


def test_vcfs_of_the_parts_of_x_are_joined_by_the_command_that_is_printed(tmp_path):
    """As imputation servers give them; their contig has one name, so nothing says that they are parts."""

    def write(path: Path, records: list[Record]) -> Path:
        return write_vcf(path.with_suffix(".vcf.gz"), records, contigs={"chrX": 200})

    paths = _x_in_parts(tmp_path, ["PAR1", "nonPAR", "nonPAR", "PAR1"], write)
    with pytest.raises(InputError, match="Two genotype files have records of contig chrX") as error:
        open_genotypes(paths)
    command = error.value.details["to mend"].split("part of it: ")[1].removesuffix(", and give NEW.vcf.gz")
    subprocess.run(command, shell=True, check=True, capture_output=True, cwd=tmp_path)
    found, _ = open_genotypes(tmp_path / "NEW.vcf.gz").read(Interval("chrX", 0, 200))
    assert found.position.tolist() == [p - 1 for p in PLACES]


def _with_columns(folder: Path, change: Callable[[str], str]) -> GenotypeFile:
    """A VCF of which a function changes each line of calls."""
    path = write_vcf(folder / "g.vcf.gz", [Record(10, SEQUENCE[9], "GG", ["0|1", "0|0", "0|0", "1|1"])])
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    _bgzip(path, "\n".join(change(line) if line[0] != "#" else line for line in lines) + "\n")
    return GenotypeFile(path)


@pytest.mark.parametrize("more", ["\t0|1", "\t.", "\t0|1\t0|1\t"])
def test_more_columns_than_the_header_has_people_are_refused(tmp_path, more):
    """bcftools takes the first ones for everybody's, whoever it was that the header has lost."""
    found = _with_columns(tmp_path, lambda line: line + more)
    with pytest.raises(InputError, match=r"more calls than[\s\S]*expected: 4 calls[\s\S]*got: [56]"):
        found.read(Interval(CONTIG, 0, 200))


@pytest.mark.parametrize("end", ["\t", "\r", "\t\t\r"])
def test_what_stands_at_the_end_of_lines_is_no_call(tmp_path, end):
    found, _ = _with_columns(tmp_path, lambda line: line + end).read(Interval(CONTIG, 0, 200))
    assert found.alleles.tolist() == [[[0, 1], [0, 0], [0, 0], [1, 1]]]


@pytest.mark.parametrize("text", [">chr1\nACGT\n", "1\trs1\t0\t10\tA\tC\n", "bgen"])
def test_genotypes_that_are_none_are_not_told_to_be_indexed(tmp_path, text):
    for name, content in (("g", text.encode()), ("g.gz", gzip.compress(text.encode()))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="is no VCF or BCF"):
            GenotypeFile(tmp_path / name)


def test_a_reference_that_is_none_is_not_told_to_be_indexed(tmp_path):
    for path in (write_cohort(tmp_path).genotypes, tmp_path / "a.2bit"):
        if not path.exists():
            path.write_bytes(b"\x43\x27\x41\x1a" + bytes(12))
        with pytest.raises(InputError, match="The reference is no FASTA"):
            Reference(path)


@pytest.mark.parametrize("digits", [3, 6])
def test_shares_that_sum_to_1_but_for_rounding_are_told(tmp_path, digits):
    rng = np.random.default_rng(1)
    people = [f"P{n}" for n in range(30)]
    shares = rng.dirichlet([4, 3, 2], 30).T
    rows = [["id", *people], *([f"cell{n}", *one.round(digits)] for n, one in enumerate(shares))]
    rows += [
        ["year", *(1980 + rng.integers(0, 30, 30))],
        ["date", *(20_230_000 + rng.integers(100, 1300, 30))],
    ]
    covariates, notes = join_covariates(write_table(tmp_path / "c.tsv", rows), people)
    assert covariates.nearly_redundant == ("cell2",)
    assert not covariates.redundant
    assert len(notes) == 1
    assert "but for rounding: cell2;" in notes[0]
    assert join_covariates(write_table(tmp_path / "c.tsv", [*rows[:3], *rows[4:]]), people)[1] == ()


@pytest.mark.parametrize("header", ["hgnc_symbol", "Ensembl_gene_id", "Gene name"])
def test_headers_of_lists_of_genes(tmp_path, header):
    (tmp_path / "genes.txt").write_text(f"{header}\nONE\n")
    assert gene_names(["genes.txt"], tmp_path) == ("ONE",)


def test_cells_that_r_has_padded(tmp_path):
    """As ``write.table(format(x), sep = "\\t")`` writes them."""
    padded = [[f" {cell}  " for cell in row] for row in BED]
    found = read_expression(write_table(tmp_path / "e.bed", padded))
    plain = read_expression(write_table(tmp_path / "p.bed", BED))
    assert (found.genes, found.samples, found.values.tolist()) == (plain.genes, PEOPLE, [VALUES])
    rows = [[f"{cell} " for cell in row] for row in COVARIATES]
    covariates, _ = read_covariates(write_table(tmp_path / "c.tsv", rows), PEOPLE)
    assert (covariates.names, covariates.values.T.tolist()) == (
        ("PC1", "PC2"),
        [row[1:] for row in COVARIATES[1:]],
    )


def _gtf(path: Path, kind: str, rows: list[tuple[str, str, str, int, int, str]]) -> Path:
    lines = (
        [contig, "x", kind, start, end, ".", strand, ".", f'gene_id "{gene}"; transcript_id "{transcript}";']
        for gene, transcript, contig, start, end, strand in rows
    )
    path.write_text(as_text(list(lines)))
    return path


@pytest.mark.parametrize("kind", ["exon", "transcript"])
def test_genes_of_which_a_gtf_has_no_record(tmp_path, kind):
    """Ensembl's up to release 74 and the UCSC Table Browser's have exons alone."""
    rows = [
        ("plus", "t1", "chr1", 500, 600, "+"),
        ("plus", "t1", "chr1", 100, 200, "+"),
        ("plus", "t2", "chr1", 150, 900, "+"),
        ("minus", "t3", "chr1", 100, 200, "-"),
        ("minus", "t4", "chr1", 500, 600, "-"),
        ("par", "t5", "chrX", 100, 200, "+"),
        ("par", "t5", "chrY", 300, 400, "+"),
        ("both", "t6", "chr1", 100, 200, "+"),
        ("both", "t6", "chr1", 100, 200, "-"),
    ]
    found = [(g.gene_id, g.contig, g.tss) for g in read_genes(_gtf(tmp_path / "g.gtf", kind, rows), True)]
    assert found == [
        ("plus", "chr1", 99),
        ("minus", "chr1", 599),
        ("par", "chrX", 99),
        ("par", "chrY", 299),
        ("both", "chr1", 99),
        ("both", "chr1", 199),
    ]


def test_an_intron_is_no_border_between_genes_and_copies_of_a_gene_are_told(tmp_path):
    rows = [
        ("long", "t1", "chr1", 100, 200, "+"),
        ("long", "t1", "chr1", 900_000, 900_100, "+"),
        ("copies", "t2", "chr1", 100, 200, "-"),
        ("copies", "t3", "chr1", 900_000, 900_100, "-"),
        ("alike", "t4", "chr1", 100, 200, "-"),
        ("alike", "t4", "chr1", 9_000_000, 9_000_100, "-"),
        ("NM_1", "NM_1", "chr1", 100, 200, "-"),
        ("NM_1", "NM_1_dup1", "chr1", 300, 400, "-"),
    ]
    table = read_genes(_gtf(tmp_path / "g.gtf", "exon", rows), repeats=True)
    assert [(g.gene_id, g.tss) for g in table] == [
        ("long", 99),
        ("copies", 199),
        ("copies", 900_099),
        ("alike", 199),
        ("alike", 9_000_099),
        ("NM_1", 199),
        ("NM_1", 399),
    ]
    measured = [Gene("copies", "chr1", 900_099), Gene("alike", "chr1", 199)]
    matched, _ = match_genes(measured, table, "g.gtf", Dropped())
    assert [gene.tss for gene in matched.values()] == [900_099, 199]
    with pytest.raises(InputError, match="Gene copies could be several genes"):
        match_genes([Gene("copies", "chr1", 5)], table, "g.gtf", Dropped())


def test_a_bcf_that_cannot_be_indexed_becomes_a_vcf_by_the_command_that_is_printed(tmp_path):
    records = [
        Record(10, SEQUENCE[9], "GG", ["0|1"] * 4),
        Record(20, SEQUENCE[19], "<DEL>", ["0|1"] * 4, info="END=900000000"),
    ]
    vcf = write_vcf(tmp_path / "g.vcf.gz", records, index=False)
    path = tmp_path / "g.bcf"
    with pysam.VariantFile(str(vcf)) as old, pysam.VariantFile(str(path), "wb", header=old.header) as new:
        for record in old:
            new.write(record)
    assert subprocess.run(["bcftools", "index", path], check=False, capture_output=True).returncode
    with pytest.raises(InputError, match="has no index") as error:
        GenotypeFile(path)
    command = error.value.details["to mend"].split("cannot be indexed: ")[1].replace("FILE", path.name)
    command = command.removesuffix(", and give NEW.vcf.gz")
    subprocess.run(command, shell=True, check=True, capture_output=True, cwd=tmp_path)
    found, _ = GenotypeFile(tmp_path / "NEW.vcf.gz").read(Interval(CONTIG, 0, 200))
    assert found.position.tolist() == [9]


@pytest.mark.parametrize("parts", ["all", "X alone"])
def test_genes_of_a_par_whose_file_was_not_given_are_told(tmp_path, parts):
    """As from the PGEN that ``plink2 --chr X`` makes after ``--split-par``."""
    places = [10, 20, 30, *range(60, 200, 2)]
    records = [Record(p, SEQUENCE[p - 1], "GG", ["0|1", "1|0", "0|0", "1|1"], contig="chrX") for p in places]
    paths = [_write_part(tmp_path / "chrPAR1", records[:3]), _write_part(tmp_path / "chrX", records[3:])]
    rows = [BED[0], ["chrX", 24, 25, "PAR", *VALUES], ["chrX", 120, 121, "X", *VALUES]]
    sheet = [["sample_id", "sex"], *([one, "M" if one == "cyd" else "F"] for one in PEOPLE)]
    files = CohortFiles(
        tuple(paths) if parts == "all" else paths[1],
        write_fasta(tmp_path / "x.fa", {"chrX": SEQUENCE}),
        write_table(tmp_path / "e.bed", rows),
        samples=write_table(tmp_path / "s.tsv", sheet),
    )
    policy = GenotypePolicy(
        ploidy=Ploidy(par=((0, 50),)),
    )
    for reach in (20, 100):
        told = {r.name: r for r in check_cohort(files, policy, lambda gene, reach=reach: gene.cis(reach))}
        found = told["variants"]
        if parts == "all":
            assert (found.status, found.details) == ("pass", ())
        else:
            assert found.status == "warn"
            assert "plink2 --split-par" in found.details[0]
            assert ("none in 1 of 2: chrX:5-45" in found.message) is (reach == 20)

    unknown = check_cohort(files, GenotypePolicy(), lambda gene: gene.cis(20))
    told = next(one for one in unknown if one.name == "variants").details
    assert any("regions are not known: plink2 --split-par" in note for note in told) is (parts != "all")


@pytest.mark.parametrize("values", [[1, 2, -9, 1], [30.5, -9, 0, -9], [-999, 1, 0, 0]])
def test_codes_of_what_is_not_known_among_covariates(tmp_path, values):
    path = write_table(tmp_path / "c.tsv", [*COVARIATES, ["age", *values]])
    with pytest.raises(InputError, match=r"PLINK says that one is not known[\s\S]*covariate age") as error:
        join_covariates(path, PEOPLE)
    code = min(values)
    assert f"add {-code} to every value" in error.value.details["to mend"]
    write_table(path, [*COVARIATES, ["age", *(value - code for value in values)]])
    found, notes = join_covariates(path, PEOPLE)
    assert (found.values[:, 2] + code).tolist() == values
    assert not notes


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([0.5, -9, -0.25, 1], True),
        ([-10, -9, -8, 1], False),
        ([-9, -8.5, -8, 1], False),
        ([-9.5, -9, 3, 2], False),
        ([-9, -9, -9, -9], False),
    ],
)
def test_a_minus_9_that_may_be_a_number(tmp_path, values, told):
    path = write_table(tmp_path / "c.tsv", [*COVARIATES, ["score", *values]])
    found, notes = join_covariates(path, PEOPLE)
    assert found.values[:, 2].tolist() == values
    assert any("score: -9 of 1 person, taken as a number" in note for note in notes) is told


def test_batches_by_number_are_told(tmp_path):
    people = [f"P{n}" for n in range(12)]
    levels = [n % 4 for n in range(12)]
    names = {"seqBatch": levels, "site": levels, "age": levels, "composite": levels, "plate": range(12)}
    names |= {"centered_age": levels, "batch": [n % 2 for n in range(12)], "lab": [n / 2 for n in levels]}
    rows = [["id", *people], *([name, *values] for name, values in names.items())]
    _, notes = join_covariates(write_table(tmp_path / "c.tsv", rows), people)
    assert [note.split(":")[0] for note in notes if "whole numbers are taken" in note] == ["seqBatch", "site"]


def test_covariates_far_from_zero_count(tmp_path):
    """R's ``lm`` takes seconds since 1970 for constant, where people differ by a few."""
    rng = np.random.default_rng(0)
    people = [f"P{n}" for n in range(20)]
    seconds, pc = rng.integers(0, 7, 20), rng.normal(size=20).round(3)
    values = rng.normal(size=20) + seconds

    def residual(name: str, row: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
        path = write_table(tmp_path / name, [["id", *people], ["PC1", *pc], ["time", *row]])
        found, notes = join_covariates(path, people)
        return residuals(values, found.values), notes

    plain, nothing = residual("a.tsv", seconds)
    moved, notes = residual("b.tsv", 1_600_000_000 + seconds)
    x = np.column_stack([np.ones(20), pc, seconds])
    expected = values - x @ np.linalg.lstsq(x, values, rcond=None)[0]
    np.testing.assert_allclose(moved, expected, atol=1e-12)
    np.testing.assert_allclose(moved, plain, atol=1e-12)
    assert not nothing
    assert len(notes) == 1
    assert "least value was subtracted" in notes[0]
    for row in (1980 + seconds, 0.3333333 + seconds / 1e10):  # as they were: years, and what rounding leaves
        path = write_table(tmp_path / "c.tsv", [["id", *people], ["time", *row]])
        assert join_covariates(path, people)[0].values[:, 0].tolist() == row.tolist()


COMMENT = ["# made by me{}today", "#made by me{}today{}at{}noon{}a{}b{}c{}d{}e{}f{}g{}h", "# a\n## b{}c\n#"]


@pytest.mark.parametrize("comment", COMMENT)
@pytest.mark.parametrize(("ending", "separator"), [(".csv", ","), (".tsv", "\t")])
def test_comments_that_hold_the_separator(tmp_path, comment, ending, separator):
    head = comment.replace("{}", separator) + "\n"
    (tmp_path / f"c{ending}").write_text(head + as_text(COVARIATES, separator))
    assert read_covariates(tmp_path / f"c{ending}", PEOPLE)[0].names == ("PC1", "PC2")
    for first in ("#chr", "chr"):
        (tmp_path / f"e{ending}").write_text(head + as_text([[first, *BED[0][1:]], BED[1]], separator))
        assert read_expression(tmp_path / f"e{ending}").values.tolist() == [VALUES]
    for first in ("#IID", "sample_id"):
        sheet = as_text([[first, "sex", "pop"], ["ann", "F", "GBR"]], separator)
        (tmp_path / f"s{ending}").write_text(head + sheet)
        assert read_sample_sheet(tmp_path / f"s{ending}").population == ("GBR",)
    (tmp_path / f"g{ending}").write_text(COMMENT[0].replace("{}", separator) + "\n" + as_text(TSV, separator))
    assert read_genes(tmp_path / f"g{ending}") == [GENE]


@pytest.mark.parametrize("comment", ["# note", "#note\tof\ttwo", "#!x", "#chrom\tchromStart\tchromEnd\tname"])
def test_comments_in_a_bed_of_genes(tmp_path, comment):
    (tmp_path / "g.bed").write_text(f"{comment}\n{CONTIG}\t9\t40\tENSG01\t0\t-\n## end\n")
    assert [(g.gene_id, g.tss) for g in read_genes(tmp_path / "g.bed")] == [("ENSG01", 39)]


def test_a_row_that_is_short_under_a_header_with_a_hash_is_not_taken_for_the_header(tmp_path):
    (tmp_path / "s.tsv").write_text("#IID\tsex\tpop\nann\tF\nbob\tF\tGBR\n")
    with pytest.raises(InputError, match="longer or shorter"):
        read_sample_sheet(tmp_path / "s.tsv")


def _of_r(rows: list[list[object]], names: bool, separator: str) -> str:
    """As R's ``write.table`` writes a data frame, with its row names or without, but for the separator."""
    quoted = [[f'"{cell}"' if isinstance(cell, str) else str(cell) for cell in row] for row in rows]
    numbered = [[f'"{n}"', *row] if names and n else row for n, row in enumerate(quoted)]
    return as_text(numbered, separator)


@pytest.mark.parametrize("separator", [" ", "\t"])
@pytest.mark.parametrize(
    ("read", "rows"),
    [
        (read_expression, BED),
        (read_sample_sheet, [["sample_id", "sex"], ["ann", "F"], ["bob", "M"]]),
        (read_sample_sheet, [["sample_id", "population"], ["ann", "people of two words"]]),
        (read_genes, TSV),
    ],
)
def test_tables_of_r_by_default(tmp_path, read, rows, separator):
    path = tmp_path / "x.txt"
    for names in (True, False):
        path.write_text(_of_r(rows, names, separator))
        if not names and separator == "\t":
            read(path)
            continue
        with pytest.raises(InputError) as error:
            read(path)
        assert 'write.table(x, "NEW.tsv", sep = "\\t", quote = FALSE, row.names = FALSE)' in str(error.value)
    read(write_table(tmp_path / "NEW.tsv", rows))


@pytest.mark.parametrize("separator", [" ", "\t"])
def test_matrices_of_r_by_default(tmp_path, separator):
    rows = [[f'"{cell}"' if isinstance(cell, str) else cell for cell in row] for row in COVARIATES]
    rows[1][0] = '"PC 1"'
    path = write_table(tmp_path / "c.txt", [rows[0][1:], *rows[1:]], separator)
    with pytest.raises(InputError, match=r"quote = FALSE, col\.names = NA"):
        read_covariates(path, PEOPLE)
    found, _ = read_covariates(write_table(path, [['""', *rows[0][1:]], *rows[1:]], separator), PEOPLE)
    assert (found.names, found.samples) == (("PC 1", "PC2"), PEOPLE)


@pytest.mark.parametrize(("text", "value"), [("1,5", 1.5), ("\u22121", -1), ("1,500.5", 1500.5), ("5%", 5)])
def test_numbers_as_people_write_them(tmp_path, text, value):
    path = write_table(tmp_path / "c.tsv", [COVARIATES[0], ["PC1", text, 2, 3, 4]])
    with pytest.raises(InputError, match="a point, with - for minus, and without commas or %"):
        read_covariates(path, PEOPLE)
    write_table(path, [COVARIATES[0], ["PC1", value, 2, 3, 4]])
    assert read_covariates(path, PEOPLE)[0].values[0, 0] == value


def test_a_variant_that_is_twice_in_a_pgen_is_left_out_by_the_commands_that_are_printed(tmp_path):
    if not shutil.which("plink2"):
        pytest.skip("plink2 is not installed")
    calls = (["0|1", "1|0", "0|0", "1|1"], ["0|1", "1|2", "0|1", "1|1"])
    records = [
        Record(50, "C", "G", calls[0]),
        Record(50, "C", "G", calls[0]),
        Record(60, "C", "G,T", calls[1]),
    ]
    pgen = write_pgen(write_vcf(tmp_path / "g.vcf.gz", records), tmp_path / "g.pgen")
    whole = Interval(CONTIG, 0, 200)
    with pytest.raises(InputError, match="A variant is in the file twice") as error:
        open_genotypes(pgen).read(whole)
    command = error.value.details["to mend"].split(", and index that")[0] + " && bcftools index NEW.vcf.gz"
    subprocess.run(command, shell=True, check=True, capture_output=True, cwd=tmp_path)
    mended, _ = GenotypeFile(tmp_path / "NEW.vcf.gz").read(whole)
    first, _ = open_genotypes(pgen, GenotypePolicy(duplicates="first")).read(whole)
    assert (mended.position.tolist(), mended.alt) == ([49, 59, 59], ("G", "G", "T"))
    assert np.array_equal(mended.alleles, first.alleles)


@pytest.mark.parametrize("packed", [False, True])
def test_a_pgen_is_sorted_by_the_command_that_is_printed(tmp_path, packed):
    if not shutil.which("plink2"):
        pytest.skip("plink2 is not installed")
    vcf = write_vcf(tmp_path / "g.vcf.gz", _x(), contigs={"chrX": 200})
    pgen = write_pgen(vcf, tmp_path / "my g.pgen")
    parts = zip(["X", "XY", "XY", "X"], _x(), strict=True)
    pvar = pgen.with_suffix(".pvar")
    write_pvar(pvar, [[name, r.position, ".", r.ref, r.alt, "PASS"] for name, r in parts])
    if packed:
        zstandard = pytest.importorskip("zstandard")
        Path(f"{pvar}.zst").write_bytes(zstandard.ZstdCompressor().compress(pvar.read_bytes()))
        pvar.unlink()
    with pytest.raises(InputError, match="not sorted") as error:
        open_genotypes(pgen)
    command = error.value.details["to mend"].split(", and give")[0]
    subprocess.run(command, shell=True, check=True, capture_output=True, cwd=tmp_path)
    found, _ = open_genotypes(tmp_path / "NEW.pgen").read(Interval("chrX", 0, 200))
    assert found.position.tolist() == [p - 1 for p in PLACES]
    assert np.array_equal(found.alleles, GenotypeFile(vcf).read(Interval("chrX", 0, 200))[0].alleles)
