from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hapsight.cohort.expression import read_expression
from hapsight.cohort.nouns import Gene
from hapsight.cohort.people import SampleSheet, read_covariates, read_sample_sheet
from hapsight.cohort.tables import read_table
from hapsight.errors import InputError
from hapsight.files import file_digest
from tests.cohort.files import write_bed, write_table

GENES = {"g2": ("chr2", 50, [1.5, 2, 3, 4]), "g1": ("chr1", 40, [0, -1, 1e3, 0.25])}


@pytest.mark.parametrize("form", ["plain", "bgzip", "gzip", "parquet"])
def test_expression_in_every_form(tmp_path: Path, form: str) -> None:
    path = write_bed(tmp_path / ("e.bed.gz" if form == "bgzip" else "e.bed"), GENES)
    if form == "gzip":
        path = tmp_path / "z.bed.gz"
        path.write_bytes(gzip.compress((tmp_path / "e.bed").read_bytes()))
    if form == "parquet":
        pl.read_csv(path, separator="\t").write_parquet(path := tmp_path / "e.parquet")
    found = read_expression(path)
    assert found.genes == (Gene("g2", "chr2", 49), Gene("g1", "chr1", 39))
    assert found.samples == ("ann", "bob", "cyd", "dan")
    assert found.values.tolist() == [[1.5, 2, 3, 4], [0, -1, 1e3, 0.25]]
    assert found.values.dtype == np.float64
    part = found.take(np.array([1]), np.array([3, 0]))
    assert (part.genes[0].gene_id, part.samples, part.values.tolist()) == ("g1", ("dan", "ann"), [[0.25, 0]])


def test_whole_gene_spans_keep_their_start(tmp_path: Path) -> None:
    path = write_table(
        tmp_path / "e.bed", [["#Chr", "start", "end", "gene_id", "ann"], ["1", 5, 900, "g", 2]]
    )
    assert read_expression(path).genes == (Gene("g", "1", 5),)


@pytest.mark.parametrize("extra", [["gid", "strand"], ["score", "strand"], ["strand"], ["Strand", "gid"]])
def test_the_strand_says_which_end_of_a_stretch_is_the_tss(tmp_path: Path, extra: list[str]) -> None:
    rows = [["#chr", "start", "end", "pid", *extra, "ann", "bob"]]
    for gene, start, end, strand in (
        ("a", 9, 50, "+"),
        ("b", 9, 50, "-"),
        ("c", 9, 50, "."),
        ("d", 9, 10, "-"),
    ):
        rows.append(
            ["1", start, end, gene, *(strand if name.lower() == "strand" else "x" for name in extra), 1, 2]
        )
    found = read_expression(write_table(tmp_path / "e.bed", rows))
    assert [(gene.tss, gene.strand) for gene in found.genes] == [(9, "+"), (49, "-"), (9, None), (9, "-")]
    assert found.samples == ("ann", "bob")
    assert found.values.tolist() == [[1, 2]] * 4
    assert list(found.bodies) == ["a", "b", "c"]


@pytest.mark.parametrize("value", ["NA", "", "nan", "inf", "1,5"])
def test_value_that_is_no_number(tmp_path: Path, value: str) -> None:
    path = write_bed(tmp_path / "e.bed", {**GENES, "bad": ("chr1", 3, [1, 2, value, 4])})
    with pytest.raises(InputError, match=r"not a finite number[\s\S]*row bad, column cyd[\s\S]*1 such of 12"):
        read_expression(path)


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("#chr start end phenotype_id ann ann", "1 4 5 g 1 2", r"column is there twice[\s\S]*ann"),
        ("#chr start end phenotype_id", "1 4 5 g", "no people"),
        ("gene ann bob", "g 1 2", r"not a phenotype BED[\s\S]*#chr, start, end[\s\S]*gene, ann, bob"),
        ("#chr start end pid ann gid strand", "1 4 5 g 2 g +", r"not people[\s\S]*gid, strand"),
        ("#chr start end pid gid strand ann", "1 4 5 g g x 2", r"neither \+ nor -[\s\S]*row g[\s\S]*'x'"),
        ("#chr start end phenotype_id ann bob", "1 4 5 g 1", r"row 2 \(1\)[\s\S]*6 fields[\s\S]*5 fields"),
        ("#chr start end phenotype_id ann", "1 x 5 g 1", r"row g, column start[\s\S]*'x'"),
        ("#chr start end phenotype_id ann", "1 4 x g 1", r"row g, column end[\s\S]*'x'"),
        ("#chr start end phenotype_id ann", "1 4 5.5 g 1", r"row g, column end[\s\S]*whole number[\s\S]*5.5"),
        (
            "#chr start end phenotype_id ann",
            "1 5 5 g 1",
            r"row g[\s\S]*end = TSS[\s\S]*start 5, end 5; 1 such",
        ),
        ("#chr start end phenotype_id ann", "1 9 5 g 1", "does not end behind its start"),
    ],
)
def test_expression_of_another_form(tmp_path: Path, header: str, row: str, message: str) -> None:
    path = write_table(tmp_path / "e.bed", [header.split(), row.split()])
    with pytest.raises(InputError, match=message):
        read_expression(path)


def test_gene_twice_and_missing_empty_and_cut_files(tmp_path: Path) -> None:
    rows = [["#chr", "start", "end", "phenotype_id", "ann"], ["1", 4, 5, "g", 1], ["1", 8, 9, "g", 1]]
    with pytest.raises(InputError, match=r"gene is there twice[\s\S]*got: g"):
        read_expression(write_table(tmp_path / "e.bed", rows))
    with pytest.raises(InputError, match="The expression file is not there"):
        read_expression(tmp_path / "none.bed")
    with pytest.raises(InputError, match="no rows"):
        read_expression(write_table(tmp_path / "e.bed", rows[:1]))
    packed = gzip.compress(b"\n".join(b"#chr start end phenotype_id ann".split() * 50))
    (tmp_path / "cut.bed.gz").write_bytes(packed[:-12])
    with pytest.raises(InputError, match="damaged or no text"):
        read_expression(tmp_path / "cut.bed.gz")
    path = write_bed(tmp_path / "blocks.bed.gz", GENES)
    path.write_bytes(path.read_bytes()[:-28])
    with pytest.raises(InputError, match="cut off"):
        read_expression(path)
    (tmp_path / "no.parquet").write_text("text")
    with pytest.raises(InputError, match="no Parquet"):
        read_expression(tmp_path / "no.parquet")


COVARIATES = [["id", "ann", "bob", "cyd"], ["PC1", 1, 2, 3], ["sex", 0, 0, 0]]


def test_covariates_either_way_round(tmp_path: Path) -> None:
    straight, flag = read_covariates(write_table(tmp_path / "c.tsv", COVARIATES), ["bob", "cyd", "eve"])
    turned, turned_flag = read_covariates(
        write_table(tmp_path / "t.csv", list(zip(*COVARIATES, strict=True)), ","), ["bob", "cyd", "eve"]
    )
    assert (flag, turned_flag) == (False, True)
    for found in (straight, turned):
        assert (found.names, found.samples) == (("PC1", "sex"), ("ann", "bob", "cyd"))
        assert found.values.tolist() == [[1, 0], [2, 0], [3, 0]]
        assert found.constant == ("sex",)
    assert straight.take(np.array([2, 0])).values.tolist() == [[3, 0], [1, 0]]


@pytest.mark.parametrize(
    "text",
    [
        "#FID\tIID\tPC1\tPC2\nf\tann\t1\t0\nf\tbob\t2\t-1e-3\nf\tcyd\t3\t0.5\n",
        "#IID\tPC1\tPC2\nann\t1\t0\nbob\t2\t-1e-3\ncyd\t3\t0.5\n",
        "#IID\tSID\tPC1\tPC2\nann\t0\t1\t0\nbob\t0\t2\t-1e-3\ncyd\t0\t3\t0.5\n",
        "FID IID PC1 PC2\n0 ann 1 0\n0 bob 2 -1e-3\n0 cyd 3 0.5\n",
        "  FID  IID  PC1  PC2\nann ann   1   0\nbob  bob 2  -1e-3 \ncyd cyd 3 0.5\n",
        "ann ann 1 0\nbob bob 2 -1e-3\ncyd cyd 3 0.5\n",
        "0 ann 1 0\n0 bob 2 -1e-3\n0 cyd 3 0.5\n",
        "0\tann\t1\t0\n0\tbob\t2\t-1e-3\n0\tcyd\t3\t0.5\n",
        "ann 1 0\nbob 2 -1e-3\ncyd 3 0.5\n",
        "id PC1 PC2\nann 1 0\nbob 2 -1e-3\ncyd 3 0.5\n",
    ],
)
def test_covariates_as_plink_and_gcta_write_them(tmp_path: Path, text: str) -> None:
    (tmp_path / "pca.eigenvec").write_text(text)
    found, transposed = read_covariates(tmp_path / "pca.eigenvec", ["cyd", "bob", "ann"])
    assert transposed
    assert (found.names, found.samples) == (("PC1", "PC2"), ("ann", "bob", "cyd"))
    assert found.values.tolist() == [[1, 0], [2, -1e-3], [3, 0.5]]


def test_people_whose_names_are_numbers(tmp_path: Path) -> None:
    people, more = ["101", "102", "1"], ["0", "103", "0.5", "1"]
    headless = write_table(tmp_path / "a", [more, *(["0", p, i, 2] for i, p in enumerate(people))], " ")
    found, _ = read_covariates(headless, people)
    assert found.samples == ("103", "101", "102", "1")
    assert found.values.tolist() == [[0.5, 1], [0, 2], [1, 2], [2, 2]]
    for separator in "\t ":
        straight = write_table(
            tmp_path / "b", [["id", *people], ["1", 1, 2, 1], ["PC2", 1, 102, 1]], separator
        )
        found, transposed = read_covariates(straight, people)
        assert (found.names, found.samples, transposed) == (("1", "PC2"), tuple(people), False)


def test_covariates_that_cannot_be_used(tmp_path: Path) -> None:
    path = write_table(tmp_path / "c.tsv", COVARIATES)
    with pytest.raises(
        InputError, match=r"no person of the cohort[\s\S]*such as eve[\s\S]*header ann, bob, cyd"
    ):
        read_covariates(path, ["eve"])
    words = write_table(tmp_path / "w.tsv", [*COVARIATES, ["site", "x", "y", "x"]])
    with pytest.raises(InputError, match=r"row site, column ann[\s\S]*'x'; 3 such of 9"):
        read_covariates(words, ["ann"])
    square = write_table(tmp_path / "s.tsv", [["id", "ann", "PC1"], ["ann", 1, 2], ["PC2", 1, 2]])
    with pytest.raises(InputError, match="not clear where"):
        read_covariates(square, ["ann"])
    twice = write_table(tmp_path / "d.tsv", [*COVARIATES, COVARIATES[1]])
    with pytest.raises(InputError, match=r"row is there twice[\s\S]*PC1"):
        read_covariates(twice, ["ann"])


def test_sample_sheet(tmp_path: Path) -> None:
    rows = [["sample_id", "sex", "population"], ["ann", "female", "GBR"], ["bob", "", ""]]
    expected = SampleSheet(("ann", "bob"), ("GBR", None), ("female", None))
    assert read_sample_sheet(write_table(tmp_path / "s.tsv", rows)) == expected
    assert read_sample_sheet(write_table(tmp_path / "s.csv", rows, ",")) == expected
    bare = read_sample_sheet(write_table(tmp_path / "b.tsv", [["sample_id"], ["ann"]]))
    assert (bare.samples, bare.population) == (("ann",), (None,))


@pytest.mark.parametrize("word", ["NA", "na", "nan", "None", ".", "-9", " NA "])
def test_a_population_that_is_not_known_is_no_population_of_that_name(tmp_path: Path, word: str) -> None:
    rows = [["sample_id", "population", "super_population"], ["ann", "GBR", word], ["bob", word, "EUR"]]
    found = read_sample_sheet(write_table(tmp_path / "s.tsv", rows))
    assert (found.population, found.super_population) == (("GBR", None), (None, "EUR"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["name", "sex"], ["ann", "f"]], r"no column sample_id[\s\S]*name, sex"),
        ([["sample_id", "sex"], ["ann", "f"], ["ann", "f"]], "sample_id is there twice"),
        ([["sample_id", "sex"], ["ann", "f"], ["", "f"]], r"empty[\s\S]*row 3"),
    ],
)
def test_sample_sheet_that_cannot_be_used(tmp_path: Path, rows: list[list[str]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_sample_sheet(write_table(tmp_path / "s.tsv", rows))


def test_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"hapsight" * 100_000)
    assert file_digest(tmp_path / "a") == hashlib.sha256(b"hapsight" * 100_000).hexdigest()
    with pytest.raises(InputError, match="no such file"):
        file_digest(tmp_path / "b")


def test_real_tables(shared_data: Path) -> None:
    folder = shared_data / "geuvadis_chr22"
    expression = read_expression(folder / "expression.bed.gz")
    assert expression.values.shape == (499, 358)
    assert expression.genes[0] == Gene("ENSG00000182902.9", "chr22", 17_563_438)
    covariates, transposed = read_covariates(folder / "covariates.tsv", expression.samples)
    assert covariates.values.shape == (358, 53)
    assert not transposed
    assert set(read_sample_sheet(folder / "samples.tsv").population) == {"CEU", "FIN", "GBR", "TSI"}


@pytest.mark.parametrize("row", ['y\tGP"1BB', '"y\tz"\t1', 'y\t1\t"2"\t3'])
def test_a_row_with_quotes_has_as_many_cells_as_the_header(tmp_path, row):
    path = tmp_path / "t.tsv"
    path.write_text(f"a\tb\tc\nx\t1\t2\n{row}\n")
    with pytest.raises(InputError, match="longer or shorter"):
        read_table(path, "test")


def test_a_separator_within_quotes_is_none(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text('a\tb\tc\n"x\ty"\t1\tGP"1BB\n')
    assert read_table(path, "test").rows() == [("x\ty", "1", 'GP"1BB')]
