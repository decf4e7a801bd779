"""The PredictDB file: what is written is read, and broken files are refused."""

import sqlite3
from contextlib import closing

import polars as pl
import pytest

from hapsight.cohort.predictdb import EXTRA, WEIGHTS, read_predictdb, write_predictdb
from hapsight.errors import InputError

ROWS = [
    ("g1", "rs1", "chr1_10_A_G_b38", "A", "G", 0.25),
    ("g1", "rs2", "chr1_20_AT_A_b38", "AT", "A", -1e-9),
    ("g2", "rs3", "chr1_30_C_T_b38", "C", "T", 3.5),
]
TABLE = pl.DataFrame(ROWS, schema=WEIGHTS, orient="row")
GENES = pl.DataFrame(
    [("g1", "ONE", 2, 0.1, 0.01, 0.02), ("g2", "TWO", 1, 0.2, None, None)], schema=EXTRA, orient="row"
)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.db"
    write_predictdb(path, TABLE, GENES, 358, {"hapsight": "1"})
    return path


def test_what_is_written_is_read(path):
    found = read_predictdb(path)
    assert found.weights.equals(TABLE)
    assert found.genes == ("g1", "g2")
    assert list(path.parent.iterdir()) == [path]


def test_the_queries_of_its_readers_work(path):
    with closing(sqlite3.connect(path)) as database:
        query = "SELECT rsid, gene, weight, ref_allele, eff_allele FROM weights WHERE gene = 'g2'"
        assert database.execute(query).fetchall() == [("rs3", "g2", 3.5, "C", "T")]
        query = 'SELECT gene, genename, "pred.perf.R2", "pred.perf.pval", "n.snps.in.model" FROM extra'
        assert database.execute(query).fetchall()[0] == ("g1", "ONE", 0.1, 0.01, 2)
        assert database.execute("SELECT n_samples FROM sample_info").fetchall() == [(358,)]
        assert ("hapsight", "1") in database.execute("SELECT name, value FROM construction").fetchall()


def test_an_older_file_is_replaced(path):
    write_predictdb(path, TABLE[:1], GENES[:1], 2, {})
    assert len(read_predictdb(path).weights) == 1


def test_lower_case_alleles_and_missing_names_are_read(path):
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE weights SET ref_allele = 'a', varID = NULL WHERE rsid = 'rs1'")
    assert read_predictdb(path).weights.row(0) == ("g1", "rs1", "", "A", "G", 0.25)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("DROP TABLE weights", r"no table weights[\s\S]*got: extra, construction, sample_info"),
        ("DROP TABLE extra", r"no table extra"),
        ("ALTER TABLE weights DROP COLUMN eff_allele", r"weights[\s\S]*lacks columns: eff_allele"),
        ("UPDATE weights SET weight = 'much' WHERE rsid = 'rs2'", r"not whole[\s\S]*row 2[\s\S]*much"),
        ("UPDATE weights SET weight = 9e999 WHERE rsid = 'rs2'", r"not whole[\s\S]*finite weight[\s\S]*inf"),
        ("UPDATE weights SET rsid = NULL, varID = '' WHERE gene = 'g2'", r"not whole[\s\S]*row 3"),
        ("UPDATE weights SET ref_allele = NULL", r"not whole[\s\S]*both alleles"),
    ],
)
def test_broken_files_are_refused(path, change, message):
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(change)
    with pytest.raises(InputError, match=message) as error:
        read_predictdb(path)
    assert "model.db" in str(error.value)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such PredictDB"):
        read_predictdb(tmp_path / "none.db")
    (tmp_path / "text.db").write_text("gene\tweight\n" * 100)
    with pytest.raises(
        InputError, match=r"not a PredictDB[\s\S]*tables weights and extra[\s\S]*not a database"
    ):
        read_predictdb(tmp_path / "text.db")
    (tmp_path / "empty.db").touch()
    with pytest.raises(InputError, match=r"no table weights[\s\S]*got: no table"):
        read_predictdb(tmp_path / "empty.db")


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        write_predictdb(tmp_path / "none" / "model.db", TABLE, GENES, 2, {})
