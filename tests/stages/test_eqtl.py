"""The eQTL stage on a cohort whose truth is known."""

import json

import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from hapsight.cli.linear import _add_eqtl
from hapsight.cohort.genotypes import GenotypeFile
from hapsight.run.config import load_config
from hapsight.run.opened import Opened
from hapsight.stages.eqtl import eqtl
from hapsight.tables import CIS_INDEPENDENT, CIS_NOMINAL, CIS_QTL, CIS_TOP, HALVES, HERITABILITY
from tests.planted import require_columns, write_planted
from tests.stats.eqtl_naive import regression

SECTION = """
[eqtl]
cis_window = 1000
min_maf = 0.05
permutations = 199
genes_per_unit = 3
"""


def run(config) -> str:
    app = typer.Typer()
    app.callback()(lambda: None)
    _add_eqtl(app)
    found = CliRunner().invoke(app, ["eqtl", str(config)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    planted = write_planted(tmp_path_factory.mktemp("eqtl"), people=90)
    planted.config.write_text(planted.config.read_text() + SECTION)
    return planted, run(planted.config)


def table(planted, name: str) -> pl.DataFrame:
    return pl.read_parquet(planted.folder / "run/eqtl" / f"{name}.parquet")


def nominal(planted) -> pl.DataFrame:
    files = sorted((planted.folder / "run/eqtl").glob("block-*.nominal.parquet"))
    assert len(files) == 3
    return pl.concat([pl.read_parquet(file) for file in files])


def test_tables_have_their_columns(planted):
    schemas = {
        "cis_qtl": CIS_QTL,
        "cis_independent": CIS_INDEPENDENT,
        "heritability": HERITABILITY,
        "halves": HALVES,
        "block-00000.top": CIS_TOP,
        "block-00000.nominal": CIS_NOMINAL,
    }
    require_columns(planted[0].folder / "run/eqtl", schemas)


def test_no_gene_is_missing_and_one_without_variants_has_nulls(planted):
    genes = table(planted[0], "cis_qtl")
    assert genes["phenotype_id"].to_list() == [gene.gene_id for gene in planted[0].genes]
    bare = genes.row(by_predicate=pl.col("phenotype_id") == "bare", named=True)
    assert bare.pop("num_var") == 0
    assert bare.pop("phenotype_id") == "bare"
    assert set(bare.values()) == {None}
    h2 = table(planted[0], "heritability").row(by_predicate=pl.col("phenotype_id") == "bare", named=True)
    assert (h2["h2"], h2["num_var"], h2["n"]) == (None, 0, 90)


def test_planted_genes_have_eqtls_and_others_have_none(planted):
    genes = {row["phenotype_id"]: row for row in table(planted[0], "cis_qtl").iter_rows(named=True)}
    h2 = dict(table(planted[0], "heritability").select("phenotype_id", "h2").iter_rows())
    for name in ("up1", "up2", "down1", "down2"):
        assert genes[name]["qval"] < 0.05, name
        assert h2[name] > 0.4
    for name in ("null1", "null2"):
        assert genes[name]["qval"] > 0.05, name
        assert h2[name] < 0.4
    signals = table(planted[0], "cis_independent")
    assert set(signals["phenotype_id"]) == {"up1", "up2", "down1", "down2"}
    assert signals.filter(pl.col("phenotype_id") == "up1")["rank"].min() == 1


def test_nominal_rows_are_least_squares_on_what_the_files_hold(planted):
    folder = planted[0].folder
    opened = Opened.from_config(load_config(planted[0].config))
    expression = dict(
        zip((g.gene_id for g in opened.cohort.genes), opened.cohort.expression.values, strict=True)
    )
    half = table(planted[0], "halves")
    assert half["sample_id"].to_list() == list(opened.cohort.samples)
    genes = {gene.gene_id: gene for gene in planted[0].genes}
    rows = nominal(planted[0])
    assert rows["phenotype_id"].unique().sort().to_list() == sorted(set(genes) - {"bare"})
    assert rows["af"].is_between(0.05, 0.95).all()
    covariates = opened.cohort.covariates.values
    for row in rows.sample(12, seed=1).iter_rows(named=True):
        gene = genes[row["phenotype_id"]]
        near, _ = GenotypeFile(folder / "genotypes.vcf.gz", opened.cohort.samples).read(gene.cis(1000))
        dosage = near.dosage[near.variant_id.index(row["variant_id"])]
        twin = regression(dosage, expression[gene.gene_id], covariates)
        for name in ("slope", "slope_se", "pval_nominal"):
            assert row[name] == pytest.approx(twin[name], rel=1e-6)
        for number in (1, 2):
            people = half["half"].to_numpy() == number
            twin = regression(dosage[people], expression[gene.gene_id][people], covariates[people])
            assert row[f"slope_half{number}"] == pytest.approx(twin["slope"], rel=1e-6)
            assert row[f"slope_se_half{number}"] == pytest.approx(twin["slope_se"], rel=1e-6)
        assert row["start_distance"] == row["end_distance"] == row["position"] - gene.tss
        assert row["tss_distance"] == row["start_distance"] * (1 if gene.strand == "+" else -1)
        assert abs(row["start_distance"]) <= 1000


def test_the_top_row_is_the_strongest_of_the_nominal_rows(planted):
    rows = nominal(planted[0])
    for top in table(planted[0], "cis_qtl").drop_nulls("variant_id").iter_rows(named=True):
        own = rows.filter(pl.col("phenotype_id") == top["phenotype_id"])
        assert len(own) == top["num_var"]
        best = own.row(int(np.argmin(own["pval_nominal"].to_numpy())), named=True)
        assert best["pval_nominal"] == top["pval_nominal"]
        assert {name: top[name] for name in best} == best


def test_halves_are_even_within_populations(planted):
    half = table(planted[0], "halves").with_row_index()
    counts = half.group_by(pl.col("index") % 2, "half").len()["len"].to_list()
    assert sorted(counts) in ([22, 22, 23, 23],)


def test_the_command_says_what_came_of_it(planted):
    output = planted[1]
    assert "6 of 7" in output
    assert "with an eQTL, q <= 0.05 (Benjamini-Hochberg)" in output
    stages = json.loads((planted[0].folder / "run/run.json").read_text())["stages"]
    assert [stage["name"] for stage in stages] == ["eqtl"]


def stamps(planted) -> dict:
    return {path: path.stat().st_mtime_ns for path in (planted.folder / "run/eqtl").glob("*-0*")}


def test_a_second_run_keeps_every_unit(planted):
    before = stamps(planted[0])
    assert any("independent" in path.name for path in before)
    run(planted[0].config)
    assert stamps(planted[0]) == before


def test_what_numbers_depend_on_is_computed_anew(planted, tmp_path):
    one = write_planted(tmp_path, people=40, names=("up1", "bare"))
    text = one.config.read_text() + SECTION
    one.config.write_text(text)
    opened = Opened.from_config(load_config(one.config))
    opened.begin()
    calls = []
    eqtl(opened, lambda *call: calls.append(call))
    first = stamps(one)
    one.config.write_text(text.replace("permutations = 199", "permutations = 299"))
    run(one.config)
    after = stamps(one)
    assert {path: after.pop(path) for path in first} == first
    assert len(after) == len(first)
    assert calls[0] == ("eqtl", 0, 1)
    assert ("eqtl", 1, 1) in calls


def test_another_false_discovery_rate_keeps_the_mapping(planted, tmp_path):
    one = write_planted(tmp_path, people=60, names=("up1", "down1", "null1", "bare"))
    text = one.config.read_text() + SECTION
    one.config.write_text(text)
    run(one.config)
    before = stamps(one)
    one.config.write_text(text + "fdr = 0.999999\n")
    run(one.config)
    after = stamps(one)
    assert all(after[path] == stamp for path, stamp in before.items() if "block" in path.name)
    assert set(table(one, "cis_independent")["phenotype_id"]) == {"up1", "down1", "null1"}
