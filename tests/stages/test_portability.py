"""Prediction carried from one population to another, and what populations explain, on the planted cohort."""

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.errors import ConfigError, IncompleteError, InputError
from hapsight.least_squares import Design, residualise
from hapsight.linear.fits import Predictors
from hapsight.run.arms import arms_of
from hapsight.run.baselines import baseline_runs, gene_seed, method_of
from hapsight.run.config import load_config
from hapsight.run.opened import Opened
from hapsight.stages.evaluate import evaluate
from hapsight.stages.portability import portability, portability_runs
from hapsight.stages.predict import predict
from hapsight.tables import PORTABILITY, PORTABILITY_GENES, STRUCTURE
from tests.planted import load_toy, opened_with_models, quiet, register, require_columns, write_planted

METHODS = 'methods = ["elastic_net"]\nouter_folds = 4\ninner_folds = 3\n'


def configured(planted, name, sheet="samples.tsv"):
    text = planted.config.read_text().replace("inner_folds = 3\n", METHODS)
    path = planted.folder / f"{name}.toml"
    path.write_text(text.replace('"run"', f'"{name}"').replace("samples.tsv", sheet))
    return path


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    made = write_planted(tmp_path_factory.mktemp("portability"), people=90, names=("up1", "down1", "bare"))
    rows = [line.split("\t") for line in (made.folder / "samples.tsv").read_text().splitlines()[1:]]
    with_above = ["sample_id\tpopulation\tsuper_population"]
    with_above += [f"{row[0]}\t{row[1]}{i % 4}\t{row[1]}" for i, row in enumerate(rows)]
    (made.folder / "above.tsv").write_text("\n".join(with_above) + "\n")
    return made


@pytest.fixture(scope="module")
def carried(planted):
    opened, models = opened_with_models(configured(planted, "carried"))
    opened.begin()
    predict(opened, models, quiet)
    return opened, portability(opened, arms_of(opened, models), "population", quiet)


def rows(table, gene, trained, judged):
    own = table.filter(gene_id=gene, judged_in=judged)
    return own.filter(pl.col("trained_in").eq_missing(pl.lit(trained))).row(0, named=True)


def test_r_elsewhere_is_that_of_weights_learned_in_one_population(carried):
    opened, found = carried
    cohort, run = opened.cohort, portability_runs(opened, "population")[0]
    assert run.trained_in == "CEU"
    where = np.array(cohort.populations)
    here, there = where == "CEU", where == "TSI"
    covariates, method = cohort.covariates.values, method_of(opened, run)
    for gene in cohort.genes[:2]:
        dosage = cohort.genotypes.read(gene.cis(1000), cohort.reference)[0].linear_dosage
        expressed = cohort.transformed[cohort.rows([gene])[0]]
        outcome, _ = residualise(expressed[here], covariates[here], expressed[there], covariates[there])
        seed = gene_seed(opened.config.seed, gene.gene_id), 4
        shown = Predictors.of(dosage[:, here], method.min_maf)
        predicted = method.fit(shown, outcome, np.random.default_rng(seed)).predict(dosage[:, there])
        observed = Design.of(int(there.sum()), covariates[there]).residuals(expressed[there])
        row = rows(found.per_gene, gene.gene_id, "CEU", "TSI")
        assert row["n"] == row["n_trained"] == 45
        assert row["pearson_r"] == pytest.approx(np.corrcoef(predicted, observed)[0, 1])
        assert row["ci_low"] < row["pearson_r"] < row["ci_high"]


def test_planted_effects_carry_over_and_models_are_judged_in_each_population(carried):
    opened, found = carried
    require_columns(
        opened.folder.path / "evaluation",
        {"portability": PORTABILITY, "portability_genes": PORTABILITY_GENES},
    )
    table = found.summary
    pairs = set(table.filter(model="elastic_net").select("trained_in", "judged_in").iter_rows())
    assert pairs == {(a, b) for a in ("CEU", "TSI") for b in ("CEU", "TSI")}
    assert set(table.filter(pl.col("trained_in").is_null())["judged_in"]) == {"CEU", "TSI"}
    for trained, judged in pairs:
        assert rows(found.per_gene, "up1", trained, judged)["pearson_r"] > 0.3
        assert rows(found.per_gene, "bare", trained, judged)["pearson_r"] is None
    assert rows(found.per_gene, "down1", None, "TSI")["pearson_r"] < -0.5
    carried_over = table.filter(model="elastic_net", trained_in="CEU", judged_in="TSI").row(0, named=True)
    assert carried_over["genes"] == 3
    assert carried_over["genes_constant"] == 1
    own, other = (
        {row["gene_id"]: row["pearson_r"] or 0 for row in of.iter_rows(named=True)}
        for name in ("TSI", "CEU")
        for of in [found.per_gene.filter(model="elastic_net", trained_in=name, judged_in="TSI")]
    )
    assert carried_over["to_own"] == pytest.approx(np.mean([other[gene] - own[gene] for gene in own]))


def test_finished_units_are_kept(carried):
    opened, found = carried
    units = sorted((opened.folder.path / "portability").rglob("*.parquet"))
    before = [path.stat().st_mtime_ns for path in units]
    again = portability(opened, [], "population", quiet)
    assert len(units) == 2 * 2 * 4
    assert [path.stat().st_mtime_ns for path in units] == before
    assert again.summary.equals(found.summary.filter(pl.col("trained_in").is_not_null()))


def test_predictions_that_are_missing_are_told_before_anything_is_trained(planted):
    path = configured(planted, "unpredicted")
    opened, models = opened_with_models(path)
    opened.begin()
    with pytest.raises(IncompleteError, match=r"2 of 2 units[\s\S]*or only `hapsight predict`"):
        portability(opened, arms_of(opened, models), "population", quiet)
    assert not (planted.folder / "unpredicted/portability").exists()


def test_the_command_goes_by_super_population(planted):
    path = configured(planted, "above", "above.tsv")
    path.write_text(path.read_text().replace('[[models]]\nname = "toy"\n', ""))
    with register("toy", load_toy):
        said = CliRunner().invoke(
            app, ["portability", str(path), "--split", "super_population"], catch_exceptions=False
        )
    assert said.exit_code == 0, said.output
    assert "portability_genes" in said.output
    assert set(pl.read_parquet(planted.folder / "above/evaluation/portability.parquet")["trained_in"]) == {
        "CEU",
        "TSI",
    }


def test_folds_by_super_population_hold_out_one_each(planted):
    path = configured(planted, "folds", "above.tsv")
    path.write_text(
        path.read_text().replace("outer_folds", 'splits = ["super_population", "population"]\nouter_folds')
    )
    opened = Opened.from_config(load_config(path))
    above, below = baseline_runs(opened)
    assert np.array_equal(above.folds(opened) == 1, np.array(opened.cohort.super_populations) == "TSI")
    assert below.folds(opened).max() == len(set(opened.cohort.populations)) - 1
    assert above.folder == "elastic_net.super_population"
    assert "super-population" in above.read_out


def test_sheets_without_super_populations_are_refused(planted):
    opened = Opened.from_config(load_config(configured(planted, "none")))
    with pytest.raises(ConfigError, match="held out by super-population") as error:
        portability_runs(opened, "super_population")
    assert "a column super_population" in str(error.value)


def test_covariates_that_leave_too_little_of_a_population_are_refused_before_the_work(planted):
    path = configured(planted, "wide")
    samples = (planted.folder / "covariates.tsv").read_text().splitlines()[0].split("\t")[1:]
    values = np.random.default_rng(1).standard_normal((40, len(samples))).round(3)
    lines = [
        "\t".join(["id", *samples]),
        *("\t".join([f"c{i}", *map(str, row)]) for i, row in enumerate(values)),
    ]
    (planted.folder / "wide.tsv").write_text("\n".join(lines) + "\n")
    path.write_text(path.read_text().replace('"covariates.tsv"', '"wide.tsv"'))
    with pytest.raises(InputError, match="covariates leave nothing"):
        portability_runs(Opened.from_config(load_config(path)), "population")


@pytest.mark.parametrize("structured", [False, True])
def test_a_run_warns_where_populations_explain_prediction_and_expression(planted, structured):
    """Populations as they were drawn; and by a gene's expression, which its prediction follows."""
    sheet, name = "samples.tsv", f"structure{structured}"
    if structured:
        opened = Opened.from_config(load_config(configured(planted, "before")))
        up = opened.cohort.observed("up1")
        sheet = "split.tsv"
        lines = [
            f"{one}\t{'HIGH' if value > np.median(up) else 'LOW'}"
            for one, value in zip(opened.cohort.samples, up, strict=True)
        ]
        (planted.folder / sheet).write_text("sample_id\tpopulation\n" + "\n".join(lines) + "\n")
    path = configured(planted, name, sheet)
    path.write_text(path.read_text().replace("[baseline]", "[baseline]\nrun = false"))
    opened, models = opened_with_models(path)
    opened.begin()
    predict(opened, models, quiet)
    evaluate(opened, arms_of(opened, models), quiet)
    require_columns(opened.folder.path / "evaluation", {"structure": STRUCTURE})
    table = pl.read_parquet(opened.folder.path / "evaluation/structure.parquet")
    notes = [note for note in opened.folder.record()["notes"] if "differ between populations" in note]
    assert table.height == 3
    assert (len(notes) == 1) is structured
    up1 = table.filter(gene_id="up1").row(0, named=True)
    assert (up1["qval"] < 0.05) is structured
    assert table.filter(gene_id="bare")["pval"].to_list() == [None]
    assert (up1["share_predicted"] > 0.3) is structured
