"""The drivers stage on the planted cohort: the toy model is linear, so its truth is known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hapsight.config import load_config
from hapsight.errors import IncompleteError
from hapsight.explain.drivers import FORMS
from hapsight.explain.motifs import Motif
from hapsight.explain.support import read_effects
from hapsight.models.registry import register
from hapsight.tables import DRIVER_SUMMARY, DRIVERS, RELIABILITY, RELIABILITY_SUMMARY
from hapsight.workflow.baseline import baseline
from hapsight.workflow.drivers import drivers
from hapsight.workflow.eqtl import eqtl
from hapsight.workflow.evaluate import evaluate
from hapsight.workflow.explain import explain
from hapsight.workflow.opened import Opened
from hapsight.workflow.predict import load_models, predict
from hapsight.workflow.reliability import TOO_FEW
from tests.planted import load_toy, write_planted

SECTIONS = """
[[models]]
name = "toy"
label = "toy again"
options = {seed = 1}
[eqtl]
cis_window = 1000
min_maf = 0.05
permutations = 99
"""
SCHEMAS = {
    "drivers": DRIVERS,
    "driver_summary": DRIVER_SUMMARY,
    "reliability": RELIABILITY,
    "reliability_summary": RELIABILITY_SUMMARY,
}


def quiet(*_: object) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    planted = write_planted(tmp_path_factory.mktemp("drivers"), people=90)
    planted.config.write_text(planted.config.read_text() + SECTIONS)
    with register("toy", load_toy):
        opened = Opened.from_config(load_config(planted.config))
        runs = load_models(opened)
    opened.begin()
    predict(opened, runs, quiet)
    baseline(opened, quiet)
    explain(opened, runs, quiet)
    eqtl(opened, quiet)
    with pytest.raises(IncompleteError, match="is not evaluated") as error:
        drivers(opened, runs, quiet)
    assert "7 genes of toy" in str(error.value)
    evaluate(opened, runs, quiet)
    effects = opened.folder.path / "explain/toy.default/effects.parquet"
    given = planted.folder / "given.tsv"
    rows = pl.read_parquet(effects).filter(pl.col("gene_id") == "down1")
    rows = rows.select("contig", pl.col("position") + 1, "alt", "ref", "effect")
    lines = ["\t".join(map(str, row)) for row in rows.iter_rows()]
    given.write_text("\n".join(["chrom\tpos\tref\talt\tbeta", *lines]))
    motif = Motif("M1", "any", np.array([[0.97, 0.01, 0.01, 0.01]] * 4).T[:, [0, 1, 2, 3]])
    drivers(opened, runs, quiet, [motif], read_effects(given))
    return opened, runs


def table(planted, name: str) -> pl.DataFrame:
    return pl.read_parquet(planted[0].folder.path / f"explain/{name}.parquet")


def test_tables_have_their_columns(planted):
    for name, schema in SCHEMAS.items():
        assert dict(table(planted, name).schema) == schema, name


def test_every_gene_has_a_row_for_each_model_and_form(planted):
    found = table(planted, "drivers")
    assert found.select("gene_id", "model", "form").n_unique() == found.height == 7 * 2 * 2
    bare = found.filter(pl.col("gene_id") == "bare")
    assert set(bare["status"]) == {"no_variants"}
    assert bare["variant_id"].null_count() == 4


def test_a_linear_model_is_additive_and_its_main_driver_explains_the_most(planted):
    found = table(planted, "drivers").filter((pl.col("gene_id") != "bare") & (pl.col("model") == "toy"))
    assert found["additivity"].min() > 0.9
    assert (found["n_drivers"] > 0).all()
    assert (found["driver_r"] > 0).all()


@pytest.mark.parametrize("form", FORMS)
def test_support_follows_the_planted_sign(planted, form):
    rows = table(planted, "drivers").filter((pl.col("model") == "toy") & (pl.col("form") == form))
    found = {row["gene_id"]: row for row in rows.iter_rows(named=True)}
    for name in ("up1", "up2", "down1", "down2"):
        right = name.startswith("up")
        row = found[name]
        assert (row["sign_right"], row["supported_cohort"], row["supported_half2"]) == (right,) * 3, name
        assert (row["r_half1"] > 0) is right


def test_given_effects_are_aligned(planted):
    """The table gives the model's own effects, for REF: every one is against the driver."""
    found = table(planted, "drivers").filter((pl.col("gene_id") == "down1") & (pl.col("model") == "toy"))
    assert found["supported_given"].to_list() == [False, False]
    np.testing.assert_allclose(found["given_beta"], -found["effect"])
    assert table(planted, "drivers").filter(pl.col("gene_id") == "up1")["given_beta"].null_count() == 4


def test_controls_do_not_drive(planted):
    found = table(planted, "drivers").filter(pl.col("control_id").is_not_null())
    assert len(found)
    assert (found["control_id"] != found["variant_id"]).all()
    assert set(found["motif"]) <= {"gain", "loss", "change", "none"}


def test_summary_counts_what_the_table_holds(planted):
    rows = table(planted, "driver_summary").filter((pl.col("model") == "toy") & (pl.col("form") == "rastogi"))
    one = {(r["quantity"], r["genes"]): r for r in rows.filter(pl.col("factor").is_null()).to_dicts()}
    strong = table(planted, "drivers").filter(
        (pl.col("model") == "toy") & (pl.col("form") == "rastogi") & (pl.col("pearson_r").abs() > 0.2)
    )
    assert one["genes", "strong"]["value"] == len(strong)
    assert one["genes", "strong"]["value"] == sum(
        one["genes", g]["value"] for g in ("strong_right", "strong_wrong")
    )
    assert one["supported_cohort", "strong_right"]["value"] == 1.0
    assert one["supported_cohort", "strong_wrong"]["value"] == 0.0
    assert one["additivity", "strong"]["published"] == 0.95
    strata = rows.filter((pl.col("factor") == "distance") & (pl.col("genes") == "all"))
    assert strata["n"].sum() == one["genes", "all"]["value"]
    assert "below 1 kb" in strata["level"].to_list()


def test_few_genes_have_no_reliability_and_it_is_said(planted):
    summary = table(planted, "reliability_summary")
    assert set(summary["verdict"]) == {TOO_FEW}
    assert not summary["beats_base_rate"].any()
    genes = table(planted, "reliability").filter((pl.col("model") == "toy") & (pl.col("gene_id") == "up1"))
    assert genes["agreement_models"].null_count() == 1
    assert genes["agreement_replicates"].is_between(-1, 1).all()
    assert genes["probability"].null_count() == 1
