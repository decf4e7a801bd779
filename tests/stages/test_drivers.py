"""The drivers stage on the planted cohort: the toy model is linear, so its truth is known."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import typer
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from hapsight.cli.explain import _add_drivers as register_command
from hapsight.errors import IncompleteError, MissingExtraError, StoreError
from hapsight.explain.drivers import FORMS
from hapsight.explain.motifs import Motif
from hapsight.explain.reliability_quality import TOO_FEW
from hapsight.explain.support import read_effects
from hapsight.explain.tables import DRIVER_SUMMARY, DRIVER_VARIANTS, DRIVERS, RELIABILITY, RELIABILITY_SUMMARY
from hapsight.models.registry import register
from hapsight.report.disclosure import Disclosure
from hapsight.report.published import MADE_ANEW
from hapsight.report.run_folder import read_run, read_table
from hapsight.run.arms import arms_of, model_arms
from hapsight.stages.baseline import baseline
from hapsight.stages.driver_units import GeneEffects, driver_rows, reach_of
from hapsight.stages.drivers import drivers
from hapsight.stages.eqtl import eqtl
from hapsight.stages.evaluate import evaluate
from hapsight.stages.explain import explain
from hapsight.stages.predict import predict
from tests.planted import load_toy, opened_with_models, put_back, quiet, require_columns, write_planted

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
_NOBODYS = pl.lit("no gene of the run").alias("gene_id")
SCHEMAS = {
    "drivers": DRIVERS,
    "driver_variants": DRIVER_VARIANTS,
    "driver_summary": DRIVER_SUMMARY,
    "reliability": RELIABILITY,
    "reliability_summary": RELIABILITY_SUMMARY,
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    planted = write_planted(tmp_path_factory.mktemp("drivers"), people=90)
    planted.config.write_text(planted.config.read_text() + SECTIONS)
    opened, runs = opened_with_models(planted.config)
    opened.begin()
    predict(opened, runs, quiet)
    baseline(opened, quiet)
    explain(opened, runs, quiet)
    eqtl(opened, quiet)
    with pytest.raises(IncompleteError, match="is not evaluated") as error:
        drivers(opened, arms_of(opened, runs), quiet, ())
    assert "7 genes of toy" in str(error.value)
    evaluate(opened, arms_of(opened, runs), quiet)
    effects = opened.folder.path / "explain/toy.default/effects.parquet"
    given = planted.folder / "given.tsv"
    rows = pl.read_parquet(effects).filter(pl.col("gene_id") == "down1")
    rows = rows.select("contig", pl.col("position") + 1, "alt", "ref", "effect")
    lines = ["\t".join(map(str, row)) for row in rows.iter_rows()]
    given.write_text("\n".join(["chrom\tpos\tref\talt\tbeta", *lines]))
    motif = Motif("M1", "any", np.array([[0.97, 0.01, 0.01, 0.01]] * 4).T[:, [0, 1, 2, 3]])
    drivers(opened, arms_of(opened, runs), quiet, [motif], read_effects(given))
    return opened, runs


@pytest.fixture
def changing(planted):
    """What a test does to the run is undone for the next."""
    with put_back(planted[0].folder.path):
        yield


def table(planted, name: str) -> pl.DataFrame:
    return pl.read_parquet(planted[0].folder.path / f"explain/{name}.parquet")


def test_tables_have_their_columns(planted):
    require_columns(planted[0].folder.path / "explain", SCHEMAS)


def test_every_gene_has_a_row_for_each_model_and_form(planted):
    found = table(planted, "drivers")
    assert found.select("gene_id", "model", "form").n_unique() == found.height == 7 * 2 * 2
    bare = found.filter(pl.col("gene_id") == "bare")
    assert set(bare["status"]) == {"no_variants"}
    assert bare["variant_id"].null_count() == 4


def test_every_driver_is_kept_and_the_main_one_rises_most(planted):
    found, each = table(planted, "drivers").filter(pl.col("n_drivers") > 0), table(planted, "driver_variants")
    columns = ["gene_id", "model", "read_out", "form"]
    counts = each.group_by(columns, maintain_order=True).len()
    assert counts.rows() == found.select(*columns, pl.col("n_drivers")).rows()
    best = each.sort("rise", descending=True, maintain_order=True).unique(columns, keep="first")
    both = found.join(best, on=[*columns, *DRIVER_VARIANTS.keys() - set(columns)], how="inner")
    assert both.height == found.height > 0
    sizes = each.group_by(columns).agg(pl.col("effect").abs().diff().max())["effect"]
    assert sizes.drop_nulls().max() <= 0


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
    assert (found["n_given"] > 0).all()
    assert found["n_given"].equals(found["n_given_used"], check_names=False)
    (note,) = [n for n in planted[0].folder.record()["notes"] if n.startswith("Measured effects (given.tsv)")]
    laid, near = re.findall(r"\d+", note)
    assert int(laid) == int(near) > 0


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


def test_a_report_makes_anew_the_numbers_that_the_stages_wrote(planted):
    """Where the R that is withheld is of a gene that the run does not have, nothing changes."""
    run = read_run(planted[0].folder.path)
    arms = run.per_gene.select("model", "read_out").unique()
    rule = Disclosure(
        90, run.across_genes.select("gene_id", "sd_expression"), arms.select(_NOBODYS, pl.all())
    )
    own = {
        "summary": run.summary,
        "baselines": read_table(run.folder / "evaluation/baselines.parquet"),
        "driver_summary": table(planted, "driver_summary"),
        "reliability_summary": table(planted, "reliability_summary"),
    }
    ruled = replace(run, disclosure=rule, unrounded=run.per_gene)
    for name, whole in own.items():
        made = MADE_ANEW[name](ruled, rule, whole)
        assert_frame_equal(made, whole, check_exact=True)


def test_few_genes_have_no_reliability_and_it_is_said(planted):
    summary = table(planted, "reliability_summary")
    assert set(summary["verdict"]) == {TOO_FEW}
    assert not summary["beats_base_rate"].any()
    genes = table(planted, "reliability").filter((pl.col("model") == "toy") & (pl.col("gene_id") == "up1"))
    assert genes["agreement_models"].null_count() == 1
    assert genes["agreement_replicates"].is_between(-1, 1).all()
    assert genes["log_activity"].null_count() == 1, "the toy has no elements"
    assert genes["probability"].null_count() == 1


def test_replicates_are_asked_for_the_same_variant(planted):
    """By hand, of whatever toys are replicates of the first one."""
    opened = planted[0]
    reliability, drivers = table(planted, "reliability"), table(planted, "drivers")
    main = drivers.filter(pl.col("form") == "sasse2023", pl.col("gene_id") == "up1")
    said = {
        model: pl.read_parquet(opened.folder.explain(model, read_out).folder / "effects.parquet")
        for model, read_out in main.select("model", "read_out").unique().rows()
        if model.startswith("toy")
    }
    for row in main.filter(pl.col("model").is_in(list(said))).iter_rows(named=True):
        same = [pl.col(key) == row[key] for key in ("gene_id", "position", "ref", "alt")]
        own = reliability.filter(pl.col("model") == row["model"], pl.col("gene_id") == "up1").row(
            0, named=True
        )
        others = [t.filter(*same)["effect"][0] for model, t in said.items() if model != row["model"]]
        if own["replicates_same_sign"] is None:
            continue
        assert own["replicates_same_sign"] == np.mean(np.sign(others) == np.sign(row["effect"]))
        every = np.array([*others, row["effect"]])
        assert own["log_replicates_z"] == pytest.approx(
            np.log10(abs(every.mean()) / every.std(ddof=1) + 1e-3)
        )
    assert reliability["replicates_same_sign"].null_count() < reliability.height


@pytest.mark.usefixtures("changing")
def test_the_command_writes_the_tables_and_says_the_verdict(planted):
    app = typer.Typer()
    register_command(app)
    app.callback()(lambda: None)
    config = planted[0].folder.path.parent / "planted.toml"
    tables = [table(planted, name) for name in SCHEMAS]
    with register("toy", load_toy):
        found = CliRunner().invoke(app, ["drivers", str(config), "--no-motifs"])
    assert found.exit_code == 0, found.output
    assert TOO_FEW in " ".join(found.output.split())
    again = table(planted, "drivers")
    assert again["motif"].null_count() == again.height
    assert again["driver_r"].equals(tables[0]["driver_r"])


@pytest.mark.usefixtures("changing")
def test_without_eqtls_nothing_is_supported_and_it_is_noted(planted):
    opened, runs = planted
    eqtl_off = opened.config.eqtl.model_copy(update={"run": False})
    config = opened.config.model_copy(update={"eqtl": eqtl_off})
    drivers(replace(opened, config=config), arms_of(opened, runs), quiet, ())
    found = table(planted, "drivers")
    for name in ("slope", "supported_cohort", "supported_half2", "supported_given", "r_half1"):
        assert found[name].null_count() == found.height, name
    notes = " ".join(opened.folder.record()["notes"])
    assert "no driver could be compared" in notes
    assert "Motifs of drivers were not looked for" in notes


def configured(opened, **options):
    explain = opened.config.explain.model_copy(update=options)
    return replace(opened, config=opened.config.model_copy(update={"explain": explain}))


@pytest.mark.usefixtures("changing")
def test_the_configuration_decides_about_motifs(planted, monkeypatch):
    opened, runs = planted
    motif = Motif("M1", "any", np.full((4, 3), 0.25))
    monkeypatch.setattr("hapsight.stages.driver_context.load_jaspar", lambda release: (motif,))
    for wanted, looked in ((False, False), (True, True), (None, True)):
        opened.begin()
        drivers(configured(opened, motifs=wanted), arms_of(opened, runs), quiet)
        found = table(planted, "drivers")["motif"]
        assert (found.null_count() < len(found)) is looked, wanted
        notes = " ".join(opened.folder.record()["notes"])
        assert ("Motifs of drivers were not looked for." in notes) is not looked


@pytest.mark.usefixtures("changing")
def test_without_the_extra_motifs_are_left_out_and_it_is_noted(planted, monkeypatch):
    opened, runs = planted
    monkeypatch.setattr("hapsight.stages.driver_context.find_spec", lambda name: None)
    monkeypatch.setattr("hapsight.explain.motifs.find_spec", lambda name: None)
    opened.begin()
    drivers(opened, arms_of(opened, runs), quiet)
    notes = " ".join(opened.folder.record()["notes"])
    assert "not looked for: the extra `motifs` is not installed" in notes
    with pytest.raises(MissingExtraError, match="pyjaspar"):
        drivers(configured(opened, motifs=True), arms_of(opened, runs), quiet)


@pytest.mark.usefixtures("changing")
def test_sign_priors_stand_beside_the_drivers(planted):
    """A prior that knows the planted sign: with the model in genes ``up``, against it in genes ``down``."""
    opened, runs = planted
    drivers(opened, arms_of(opened, runs), quiet, ())
    before = table(planted, "drivers")
    assert before["prior_score"].null_count() == before["prior_agrees"].null_count() == len(before)
    assert "prior_known" not in table(planted, "driver_summary")["quantity"].to_list()
    effects = pl.read_parquet(opened.folder.path / "explain/toy.default/effects.parquet")
    sign = pl.when(pl.col("gene_id").str.starts_with("down")).then(-1).otherwise(1)
    known = effects.filter(pl.col("gene_id").str.starts_with("null").not_())
    path = opened.folder.path.parent / "signs.parquet"
    known.with_columns(score=sign * pl.col("effect")).drop("effect").write_parquet(path)
    drivers(configured(opened, sign_priors=path), arms_of(opened, runs), quiet, ())
    found = table(planted, "drivers").filter((pl.col("model") == "toy") & (pl.col("form") == "sasse2023"))
    of = {row["gene_id"]: row for row in found.iter_rows(named=True)}
    for name in ("up1", "up2", "down1", "down2"):
        row = of[name]
        assert row["prior_agrees"] is name.startswith("up")
        assert abs(row["prior_score"]) == pytest.approx(abs(row["effect"]))
        assert row["prior_sign"] == np.sign(row["prior_score"]) == np.sign(row["slope"])
    assert of["null1"]["prior_score"] is of["null1"]["prior_sign"] is of["null1"]["prior_agrees"] is None
    summary = table(planted, "driver_summary").filter(
        (pl.col("model") == "toy") & (pl.col("form") == "sasse2023") & (pl.col("genes") == "strong_wrong")
    )
    shares = {row["quantity"]: (row["value"], row["n"]) for row in summary.iter_rows(named=True)}
    assert shares["sign_by_model"] == (0.0, 2)
    assert shares["sign_by_prior"] == (1.0, 2)


def test_effects_of_other_variants_are_refused(planted):
    opened, runs = planted
    effects = pl.read_parquet(opened.folder.path / "explain/toy.default/effects.parquet")
    effects = effects.filter(pl.col("gene_id") == "up1").with_columns(
        alt=pl.lit("ACGT"), slope=pl.lit(None, pl.Float64), slope_half2=pl.lit(None, pl.Float64)
    )
    (arm,) = model_arms(opened, runs[0])
    compared = next(arm.comparisons(opened.cohort.genes))
    variants, _ = opened.cohort.genotypes.read(reach_of(effects, "chr1"), opened.cohort.reference)
    gene = GeneEffects(compared, {"pearson_r": 0.1, "qval": 0.5}, effects, variants, None)
    with pytest.raises(StoreError, match="variants that the cohort does not have") as error:
        list(driver_rows(arm, gene, None, None))
    assert "gene up1" in str(error.value)
    assert "ACGT" in str(error.value)
