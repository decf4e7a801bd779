"""One reader for every table of weights and effects, in the forms in which they come."""

import gzip
import sqlite3
from contextlib import closing

import numpy as np
import polars as pl
import pytest

from hapsight.cohort.alleles import Place, align_weights
from hapsight.cohort.contigs import build_named, build_of
from hapsight.cohort.effect_tables import read_effect_table
from hapsight.cohort.nouns import Gene, Variants
from hapsight.cohort.predictdb import EXTRA, WEIGHTS, write_predictdb
from hapsight.errors import InputError
from tests.cohort.files import write_table

GENES = [
    Gene("ENSG00000000001.5", "chr22", 100, None, "ONE"),
    Gene("ENSG00000000002.5", "chr22", 200, None, "TWO"),
]
ROWS = [
    ("ENSG00000000001.5", 19268333, "T", "C", 0.5),
    ("ENSG00000000001.5", 19268340, "A", "AT", -2.0),
    ("ENSG00000000002.5", 19000000, "G", "T", 3.0),
]
BARE = ("gene_id", "position", "ref", "alt", "beta")
GRCH38, GRCH37 = {"chr22": 50818468}, {"22": 51304566}


def lines(header, rows, separator="\t") -> str:
    return "\n".join(separator.join(map(str, row)) for row in (header, *rows)) + "\n"


def forms() -> dict[str, bytes]:
    """Texts that say the same."""
    places = ("gene_id", "chrom", "pos", "ref", "alt", "beta")
    names = ("gene", "varID", "ref_allele", "eff_allele", "weight")
    found = {
        "places.tsv": lines(places, [(g, "22", p, r, a, w) for g, p, r, a, w in ROWS]),
        "floats.tsv": lines(places, [(g, "chr22", f"{p}.0", r, a, w) for g, p, r, a, w in ROWS]),
        "scientific.tsv": lines(places, [(g, "22", f"{p / 1e7}e7", r, a, w) for g, p, r, a, w in ROWS]),
        "R.tsv": lines(places, [(g, "22", f"{p / 1e7}e+07", r.lower(), a, w) for g, p, r, a, w in ROWS]),
        "quoted.csv": lines(
            [f'"{n}"' for n in places],
            [(f'"{g}"', "22", p, f'"{r}"', f'"{a}"', w) for g, p, r, a, w in ROWS],
            ",",
        ),
        "own.tsv": lines(
            ("gene_id", "position", "ref", "alt", "effect"), [(g, p - 1, r, a, w) for g, p, r, a, w in ROWS]
        ),
        "contig.csv": lines(
            ("gene_id", "contig", "position", "ref", "alt", "effect"),
            [(g, "chr22", p - 1, r, a, w) for g, p, r, a, w in ROWS],
            ",",
        ),
    }
    for name, form in {
        "b38": "chr22_{}_{}_{}_b38",
        "colons": "chr22:{}:{}:{}",
        "plain": "22_{}_{}_{}",
        "gnomad": "22-{}-{}-{}",
        "slash": "22:{}_{}/{}",
        "float": "22_{}.0_{}_{}_b38",
    }.items():
        rows = [(g, form.format(p, r, a), r, a, w) for g, p, r, a, w in ROWS]
        found[f"{name}.tsv"] = lines(names, rows)
        found[f"{name}_only.tsv"] = lines(names[:2] + names[-1:], [(g, v, w) for g, v, _, _, w in rows])
    return {name: text.encode() for name, text in found.items()}


def wanted() -> dict[str, list[tuple]]:
    one = [(Place("22", p - 1), r, a, w) for _, p, r, a, w in ROWS]
    return {GENES[0].gene_id: one[:2], GENES[1].gene_id: one[2:]}


def read(path, genes=GENES, contigs=GRCH38):
    by_gene = read_effect_table(path, "effects").for_genes(genes, contigs).by_gene()
    return {
        name: [(row.place, row.ref_allele, row.eff_allele, row.weight) for row in rows]
        for name, rows in by_gene.items()
    }


@pytest.mark.parametrize("name", forms())
def test_every_form_says_the_same(tmp_path, name):
    (tmp_path / name).write_bytes(forms()[name])
    assert read(tmp_path / name) == wanted()


def test_parquet_gzip_and_predictdb_say_the_same(tmp_path):
    table = pl.DataFrame(ROWS, schema=["gene", "pos", "ref", "alt", "beta"], orient="row")
    table = table.with_columns(chrom=pl.lit(22), pos=pl.col("pos").cast(pl.Float64))
    table.write_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.tsv.gz").write_bytes(gzip.compress(forms()["places.tsv"]))
    rows = [(g, "", f"chr22_{p}_{r}_{a}_b38", r, a, w) for g, p, r, a, w in ROWS]
    weights = pl.DataFrame(rows, schema=WEIGHTS, orient="row")
    write_predictdb(tmp_path / "t.db", weights, pl.DataFrame(schema=EXTRA), 2, {})
    for name in ("t.parquet", "t.tsv.gz", "t.db"):
        assert read(tmp_path / name) == wanted()


@pytest.mark.parametrize(
    "named", [lambda g: g.gene_id.split(".")[0], lambda g: f"{g.gene_id}9", lambda g: g.gene_name]
)
def test_genes_are_found_without_version_and_by_name(tmp_path, named):
    new = {gene.gene_id: named(gene) for gene in GENES}
    text = lines(BARE, [(new[g], p - 1, *x) for g, p, *x in ROWS])
    (tmp_path / "t.tsv").write_text(text)
    assert read(tmp_path / "t.tsv") == wanted()


@pytest.mark.parametrize("name", ["ENSG00000000001.9_2", "ENSG00000000001_2", "ENSG00000000001"])
def test_genes_of_a_lifted_release_and_of_chry(tmp_path, name):
    """The copy on Y of a gene of the PAR is another gene, whatever the versions are."""
    rows = [(name, 5, "A", "C", 1), ("ENSG00000000001.9_PAR_Y", 6, "A", "C", 2)]
    (tmp_path / "t.tsv").write_text(lines(BARE, rows))
    assert [row[-1] for row in read(tmp_path / "t.tsv")[GENES[0].gene_id]] == [1.0]


def test_a_name_of_two_genes_is_neither(tmp_path):
    text = lines(
        BARE,
        [(name, 5, "A", "C", 1) for name in ("A.1", "A.2", "B")],
    )
    (tmp_path / "t.tsv").write_text(text)
    genes = [Gene("A.9", "chr22", 5), Gene("B", "chr22", 5), Gene("x", "chr22", 5, None, "B")]
    assert list(read(tmp_path / "t.tsv", genes)) == ["B"]


@pytest.mark.parametrize("genes", [("", ""), ("ENSG00000000001.5", "NA")])
def test_weights_without_a_gene(tmp_path, genes):
    rows = [(gene, "1", p, "A", "C", 1) for p, gene in enumerate(genes, start=5)]
    (tmp_path / "t.tsv").write_text(lines(("gene_id", "chrom", "pos", "ref", "alt", "weight"), rows))
    with pytest.raises(InputError, match=r"names no gene[\s\S]*rows without, of 2"):
        read(tmp_path / "t.tsv")


def test_no_gene_of_the_cohort(tmp_path):
    (tmp_path / "t.tsv").write_text(lines(BARE, [("z", 5, "A", "C", 1)]))
    with pytest.raises(InputError, match=r"No gene of the cohort[\s\S]*ENSG00000000001\.5[\s\S]*got: z"):
        read(tmp_path / "t.tsv")


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("ref", "TRUE", r"not DNA[\s\S]*row 2, column ref[\s\S]*'TRUE'; 1 such of 3 rows[\s\S]*colClasses"),
        ("alt", "F", r"not DNA[\s\S]*column alt[\s\S]*'F'[\s\S]*R takes"),
        ("alt", "0", r"not DNA[\s\S]*'0'[\s\S]*leave the row out"),
        ("alt", "I", "not DNA"),
        ("ref", "-", "not DNA"),
        ("alt", "A,C", "not DNA"),
        ("ref", "NA", "which alleles"),
        ("ref", ".", "which alleles"),
        ("alt", "", "which alleles"),
        (
            "pos",
            "0",
            r"has no place[\s\S]*row 2, column pos[\s\S]*from 1[\s\S]*'0', in 1 of 3[\s\S]*contig, position",
        ),
        ("pos", "19,268", r"has no place[\s\S]*'19,268', in 1 of 3 rows$"),
        ("pos", "1.5", "has no place"),
        ("pos", "x", "has no place"),
        ("pos", "NA", "has no place"),
        ("pos", "1e300", "has no place"),
        ("beta", "NA", r"not a finite number[\s\S]*row 2, column beta"),
        ("beta", "inf", "not a finite number"),
    ],
)
def test_a_cell_that_is_not_what_it_should_be(tmp_path, column, cell, message):
    header = ["gene_id", "chrom", "pos", "ref", "alt", "beta"]
    rows = [[g, "22", p, r, a, w] for g, p, r, a, w in ROWS]
    rows[1][header.index(column)] = cell
    (tmp_path / "t.tsv").write_text(lines(header, rows))
    with pytest.raises(InputError, match=message):
        read(tmp_path / "t.tsv")


def test_logical_alleles_in_parquet_and_sqlite(tmp_path):
    table = {"gene_id": ["g"], "position": [5], "ref": [True], "alt": ["C"], "beta": [1.0]}
    pl.DataFrame(table).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"not DNA[\s\S]*'TRUE'[\s\S]*colClasses"):
        read(tmp_path / "t.parquet")
    with closing(sqlite3.connect(tmp_path / "t.db")) as database, database:
        database.execute(f"CREATE TABLE weights ({', '.join(WEIGHTS)})")
        database.execute("CREATE TABLE extra (gene)")
        database.execute("INSERT INTO weights VALUES ('g', 'rs1', '', 1, 'C', 0.5)")
    with pytest.raises(InputError, match=r"not whole[\s\S]*row 1[\s\S]*TRUE, which is 1 in SQLite"):
        read(tmp_path / "t.db")


def test_symbolic_alleles_are_read_and_found_nowhere(tmp_path):
    rows = [("g", 5, "A", "<DEL>", 1), ("g", 6, "*", "A", 1), ("g", 7, "A", "C", 1)]
    (tmp_path / "t.tsv").write_text(lines(BARE, rows))
    gene = Gene("g", "chr22", 5)
    (found,) = read_effect_table(tmp_path / "t.tsv", "effects").for_genes([gene], {}).by_gene().values()
    nobody = np.zeros((3, 1, 2), np.uint8)
    variants = Variants("22", np.array([5, 6, 7]), ("A",) * 3, ("C",) * 3, ("",) * 3, nobody, ("a",))
    assert align_weights(found, variants).counts["other_alleles"] == 2


@pytest.mark.parametrize("again", [("g", "chr1_5_A_C_b38"), ("g", "1:5:A:C")])
def test_a_variant_twice(tmp_path, again):
    rows = [("g", "chr1_5_A_C_b38", 1), (*again, 2), ("h", "chr1_5_A_C_b38", 1), ("g", "chr1_5_A_G_b38", 1)]
    (tmp_path / "t.tsv").write_text(lines(("gene_id", "variant_id", "beta"), rows))
    with pytest.raises(InputError, match=r"variant twice[\s\S]*2 such rows, such as 1_5_A_C of gene g"):
        read_effect_table(tmp_path / "t.tsv", "effects")


def test_tracks_may_have_the_same_variant(tmp_path):
    rows = [("g", "a", 5, "A", "C", 1), ("g", "b", 5, "A", "C", 2)]
    (tmp_path / "t.tsv").write_text(lines(("gene_id", "track", "position", "ref", "alt", "beta"), rows))
    assert read_effect_table(tmp_path / "t.tsv", "effects").table["track"].to_list() == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gene_id\tposition\tref\talt\tbeta\n", "no rows"),
        ("gene_id\tposition\tref\talt\n g\t5\tA\tC\n", r"lacks columns[\s\S]*weight or beta or effect"),
        ("position\tref\talt\tbeta\n5\tA\tC\t1\n", "lacks columns"),
        ("chrom\tpos\tbeta\n1\t5\t1\n", "lacks columns"),
        ("rsid\tbeta\nrs1\t1\n", "which alleles"),
        ("variant_id\tref\talt\tbeta\n\tA\tC\t1\n", "which alleles"),
    ],
)
def test_tables_that_say_too_little(tmp_path, text, message):
    (tmp_path / "t.tsv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_effect_table(tmp_path / "t.tsv", "effects")


def test_an_empty_parquet(tmp_path):
    pl.DataFrame(schema=dict.fromkeys(BARE, pl.String)).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="no rows"):
        read_effect_table(tmp_path / "t.parquet", "effects")


@pytest.mark.parametrize(("contigs", "elsewhere"), [(GRCH38, 1), (GRCH37, 2), ({"chr22": 1000}, 0)])
def test_a_place_of_another_build_is_no_place(tmp_path, contigs, elsewhere):
    named = [
        f"chr22_{place}_A_C_{build}" for place, build in enumerate(("b37", "b38", "hg38", "v8"), start=5)
    ]
    rows = [("g", name, 1) for name in named]
    (tmp_path / "t.tsv").write_text(lines(("gene_id", "variant_id", "beta"), rows))
    gene = Gene("g", "chr22", 5)
    found = read_effect_table(tmp_path / "t.tsv", "effects").for_genes([gene], contigs)
    assert found.elsewhere == elsewhere
    nobody = np.zeros((4, 1, 2), np.uint8)
    names = ("chr22_5_A_C_b37", "x", "x", "x")
    variants = Variants("22", np.arange(4, 8), ("A",) * 4, ("C",) * 4, names, nobody, ("a",))
    aligned = align_weights(found.by_gene()["g"], variants)
    by_name = 1 if elsewhere == 1 else 0  # the first is found by what it is called
    assert aligned.counts["other_build"] == elsewhere - by_name
    assert aligned.n_used == 4 - elsewhere + by_name


def test_builds():
    assert [build_named(t) for t in ("b37", "hg19", "GRCh37", "GRCH38", "38", "hg38", "chm13", "v8")] == [
        *["GRCh37"] * 3, *["GRCh38"] * 3, None, None
    ]  # fmt: skip
    assert (build_of(GRCH37), build_of(GRCH38), build_of({"chr22": 51324926})) == ("GRCh37", "GRCh38", None)


@pytest.mark.parametrize("column", ["A1", "effect_allele", "tested_allele", "eff_allele"])
def test_values_are_of_the_allele_that_the_table_names(tmp_path, column):
    """PLINK 2's ``--glm`` gives BETA of A1, which is REF where ALT is the commoner allele."""
    header = ["#CHROM", "POS", "ID", "REF", "ALT", column, "BETA"]
    rows = [["1", 10, "rs1", "A", "G", "G", 0.5], ["1", 20, "rs2", "C", "T", "c", 0.25]]
    found = read_effect_table(write_table(tmp_path / "e.tsv", [header, *rows]), "effects").table
    assert found.select("ref", "alt", "value").rows() == [("A", "G", 0.5), ("C", "T", -0.25)]
    for cell in ("T", "", "NA"):
        rows[0][5] = cell
        with pytest.raises(InputError, match=rf"row 1, column {column.lower()}[\s\S]*expected: A or G"):
            read_effect_table(write_table(tmp_path / "e.tsv", [header, *rows]), "effects")
