"""The whole chain on a cohort whose truth is known."""

import json
import re
import shutil
from dataclasses import replace

import polars as pl
import pytest
from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.errors import ConfigError, IncompleteError
from hapsight.files import file_name
from hapsight.models.registry import register
from hapsight.run.config import load_config
from tests.planted import copied_planted, load_toy, write_planted

pytestmark = pytest.mark.usefixtures("light")


@pytest.fixture
def copied(finished, tmp_path):
    """The finished run, to go on with."""
    return copied_planted(finished[0], tmp_path / "cohort")


def per_gene(planted, model: str) -> dict[str, dict]:
    table = pl.read_parquet(planted.folder / "run/evaluation/per_gene.parquet")
    return {row["gene_id"]: row for row in table.filter(pl.col("model") == model).iter_rows(named=True)}


def test_planted_directions_are_found(finished):
    genes = per_gene(finished[0], "toy")
    for gene_id, row in genes.items():
        if gene_id.startswith("up"):
            assert row["pearson_r"] > 0.8
            assert row["spearman_r"] > 0.7
            assert row["ci_low"] < row["pearson_r"] < row["ci_high"]
            assert row["qval"] < 0.05
        if gene_id.startswith("down"):
            assert row["pearson_r"] < -0.8
            assert row["qval"] < 0.05
        if gene_id.startswith("null"):
            assert abs(row["pearson_r"]) < 0.45
    assert genes["bare"]["status"] == "no_variants"
    assert genes["bare"]["pearson_r"] is None
    assert genes["bare"]["qval"] is None
    assert all(row["n"] == 60 for row in genes.values())
    assert {row["observed"] for row in genes.values()} == {"expression as given, residual on 1 covariate"}


def test_the_baseline_learns_both_directions(finished):
    genes = per_gene(finished[0], "elastic_net")
    for gene_id in ("up1", "up2", "down1", "down2"):
        assert genes[gene_id]["pearson_r"] > 0.4, gene_id
    assert genes["bare"]["status"] in ("no_variants", "no_model")
    assert "fitted in the training folds" in genes["up1"]["observed"]


def test_a_run_ends_with_its_numbers_and_where_they_are(finished):
    planted, said = finished
    folder = str(planted.folder / "run")
    assert said.splitlines()[-1] == f"report: {folder}/report.html"
    assert f"hapsight pages {folder}/config.toml GENE" in said
    assert load_config(planted.folder / "run/config.toml") == load_config(planted.config)
    lines = [line for line in said.splitlines() if "genes with q < 0.05" in line]
    tests = {"toy": "(random weights, empirical)", "elastic_net": "(plain p of each held-out fold, combined)"}
    assert len(lines) == len({line.split()[0] for line in lines})
    for model, test in tests.items():
        assert any(line.startswith(model) and test in line for line in lines)


def test_summary_counts_what_the_table_holds(finished):
    folder = finished[0].folder / "run/evaluation"
    summary = pl.read_parquet(folder / "summary.parquet").filter(pl.col("model") == "toy")
    values = {row["quantity"]: row for row in summary.iter_rows(named=True)}
    table = pl.read_parquet(folder / "per_gene.parquet").filter(pl.col("model") == "toy")
    ok = table.filter(pl.col("status") == "ok")
    assert values["genes_ok"]["value"] == len(ok) == 6
    assert values["genes_constant"]["value"] == 1
    assert values["across_people_pearson_mean"]["value"] == pytest.approx(ok["pearson_r"].mean())
    assert values["share_negative"]["value"] == pytest.approx((ok["pearson_r"] < 0).mean())
    people = pl.read_parquet(folder / "per_person.parquet")
    assert len(people) == 60
    assert people["n"].unique().to_list() == [7]
    across = pl.read_parquet(folder / "across_genes.parquet")
    assert len(across) == 7


def test_raw_values_of_every_haplotype_are_kept(finished):
    files = sorted((finished[0].folder / "run/predictions/toy.default").glob("*.values.parquet"))
    values = pl.concat([pl.read_parquet(file) for file in files])
    assert len(values) == 7 * (1 + 2 * 60)
    assert values.filter(pl.col("haplotype") == 0)["sample_id"].unique().to_list() == [""]
    per_sequence = (
        values.filter(pl.col("haplotype") > 0).group_by("gene_id", "distinct").agg(pl.col("value").n_unique())
    )
    assert per_sequence["value"].unique().to_list() == [1]


def test_provenance(finished):
    record = json.loads((finished[0].folder / "run/run.json").read_text())
    assert record["format"] == 1
    assert {entry["role"] for entry in record["inputs"]} == {
        "genotypes", "reference", "expression", "genes", "covariates", "samples"
    }  # fmt: skip
    assert all(len(entry["sha256"]) == 64 for entry in record["inputs"])
    assert record["cohort"] == {
        "people": 60,
        "genes": 7,
        "populations": {"CEU": 30, "TSI": 30},
        "phenotype": "genes",
    }
    (model,) = record["models"]
    assert model["asked"] == 7 * 120
    assert 7 <= model["distinct"] < model["asked"]
    stages = [stage["name"] for stage in record["stages"]]
    assert stages == [
        "check", "predict toy (default)", "baseline elastic_net", "baseline blup", "baseline top_snp", "eqtl",
        "evaluate", "direction", "explain toy (default)", "drivers", "gene pages", "report",
    ]  # fmt: skip
    assert all(stage["seconds"] >= 0 and stage["peak_mb"] > 0 for stage in record["stages"])
    assert all(stage["processor_seconds"] >= 0 for stage in record["stages"])


def test_report_and_console(finished):
    folder, output = finished[0].folder / "run", finished[1]
    page = (folder / "report.html").read_text()
    assert "planted" in page
    assert "across people, mean R over genes" in output
    assert "6 genes" in output
    checks = json.loads((folder / "check.json").read_text())
    assert {check["status"] for check in checks} <= {"pass", "warn"}


def test_a_log_tells_what_was_done_when(finished):
    lines = (finished[0].folder / "run/run.log").read_text().splitlines()
    assert all(re.match(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d,\d+ [A-Z]+ \S", line) for line in lines)
    text = "\n".join(lines)
    for stage in ("predict toy (default)", "baseline blup", "evaluate", "report"):
        assert f"{stage}: begins" in text
        assert re.search(rf"{re.escape(stage)}: \d+\.\d s", text)


@pytest.mark.usefixtures("undrawn")
def test_a_resumed_run_says_so_and_shows_its_own_times(finished, copied):
    assert "goes on in" not in finished[1]
    shutil.rmtree(copied.folder / "run/evaluation")
    with register("toy", load_toy):
        found = CliRunner().invoke(app, ["run", str(copied.config), "--json", "-"])
        again = CliRunner().invoke(app, ["run", str(copied.config)]).output
    assert found.exit_code == 0, found.output
    assert "goes on in" in found.stderr
    stages = {row["name"]: row for row in json.loads(found.stdout)["stages"]}
    assert "found_done_seconds" in stages["baseline blup"]
    assert "found_done_seconds" not in stages["evaluate"]
    assert re.search(r"baseline blup +\d\.\d s +- .*done by an earlier run in \d+\.\d s", again)


def test_genes_regions_and_people_are_chosen_on_the_command_line(finished, tmp_path):
    config, few = str(finished[0].config), tmp_path / "few.txt"
    few.write_text("gene\nup1\nDOWN1\n")

    def checked(*options):
        found = CliRunner().invoke(app, ["check", config, "--json", "-", *options])
        return {row["name"]: row for row in json.loads(found.stdout)["checks"]}

    with register("toy", load_toy):
        assert checked("--genes", str(few))["genes"]["message"].startswith("2 genes ")
        first = finished[0].genes[0]
        place = f"1:{first.tss + 1}-{first.tss + 1}"
        assert checked("--region", place)["genes"]["message"].startswith("1 gene ")
        assert checked("--population", "CEU")["people"]["message"] == "30 people"
        assert checked("--population", "FIN")["people"]["status"] == "fail"


@pytest.mark.usefixtures("undrawn")
def test_a_second_run_keeps_everything(copied):
    folder = copied.folder / "run"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("block-*")}
    with register("toy", load_toy):
        assert CliRunner().invoke(app, ["run", str(copied.config)]).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("block-*")} == before


@pytest.mark.usefixtures("undrawn")
def test_another_seed_computes_the_baseline_anew_and_the_predictions_not(copied):
    folder = copied.folder
    before = {path: path.read_bytes() for path in folder.rglob("block-*.json")}
    changed = folder / "changed.toml"
    changed.write_text("seed = 2\n" + copied.config.read_text())
    with register("toy", load_toy):
        assert CliRunner().invoke(app, ["run", str(changed)]).exit_code == 0
    after = {path: path.read_bytes() for path in folder.rglob("block-*.json")}
    assert {path: after[path] for path in before} == before
    new = {path.relative_to(folder / "run").parts[0] for path in after.keys() - before.keys()}
    assert new == {"baseline", "eqtl", "evaluation", "explain"}


@pytest.mark.usefixtures("undrawn")
def test_plan_has_what_run_ran(finished, tmp_path):
    out, before = tmp_path / "plan.json", sorted(finished[0].folder.rglob("*"))
    with register("toy", load_toy):
        found = CliRunner().invoke(app, ["plan", str(finished[0].config), "--json", str(out)])
    assert found.exit_code == 0, found.output
    assert sorted(finished[0].folder.rglob("*")) == before, "a plan keeps nothing"
    record = json.loads((finished[0].folder / "run/run.json").read_text())
    passes = record["models"][0]["distinct"] + 7  # and each gene's reference
    assert f"{passes:,} passes of 840 asked for" in found.output
    assert "60 people, 7 genes" in found.output
    rows = json.loads(out.read_text())["plan"]
    assert [row["stage"] for row in rows] == [stage["name"] for stage in record["stages"]]
    assert all(row["took"]["processor"] >= 0 for row in rows)


@pytest.mark.usefixtures("undrawn")
def test_models_that_could_not_be_told_apart_are_refused(tmp_path):
    planted = write_planted(tmp_path, people=20)
    two = planted.config.read_text().replace(
        'name = "toy"', 'name = "toy"\n[[models]]\nname = "toy"\noptions = {seed = 1}'
    )
    planted.config.write_text(two)
    with (
        register("toy", load_toy),
        pytest.raises(ConfigError, match=r"told apart[\s\S]*toy, read-out default[\s\S]*label"),
    ):
        CliRunner().invoke(app, ["predict", str(planted.config)], catch_exceptions=False)
    planted.config.write_text(
        two.replace("options = {seed = 1}", 'options = {seed = 1}\nlabel = "other toy"')
    )
    with register("toy", load_toy):
        assert CliRunner().invoke(app, ["run", str(planted.config)]).exit_code == 0
    table = pl.read_parquet(tmp_path / "run/evaluation/per_gene.parquet")
    assert set(table["model"]) == {"toy", "other toy", "elastic_net", "blup", "top_snp"}
    assert (tmp_path / "run/predictions" / file_name("other toy", "default")).is_dir()


class TestMoved:
    """A folder that was moved, with the inputs it was made from, is the run that it was."""

    @pytest.fixture
    def moved(self, copied, tmp_path):
        """A project that was run, used, and moved as a whole; and its seals."""
        for name in ("weights", "other"):
            (copied.folder / name).mkdir()
            (copied.folder / name / "w.bin").write_text(name)
        (copied.folder / "option.txt").write_text("an option")
        text = copied.config.read_text().replace(
            'name = "toy"', 'name = "toy"\nweights = "./weights"\noptions = { path = "option.txt" }'
        )
        copied.config.write_text(text)
        hapsight("run", copied.config)
        seals = sealed(copied.folder / "run")
        new = tmp_path / "elsewhere"
        copied.folder.rename(new)
        return replace(copied, folder=new, config=new / copied.config.name), seals

    def test_nothing_is_computed_again(self, moved):
        planted, seals = moved
        tables = {path: path.read_bytes() for path in (planted.folder / "run").rglob("*.parquet")}
        hapsight("pages", planted.config, "up1")  # the tables are this configuration's
        said = hapsight("run", planted.config)
        assert sealed(planted.folder / "run") == seals
        assert {path: path.read_bytes() for path in tables} == tables
        assert "differs in" not in said
        assert not [
            n for n in json.loads((planted.folder / "run/run.json").read_text())["notes"] if "differs" in n
        ]

    def test_other_inputs_are_noticed(self, moved):
        planted, _ = moved
        for name in ("option.txt", "weights/w.bin"):
            path = planted.folder / name
            before = path.read_text()
            path.write_text("another")
            with pytest.raises(IncompleteError, match="those of another configuration"):
                hapsight("pages", planted.config, "up1")
            path.write_text(before)
            hapsight("pages", planted.config, "up1")

    def test_a_record_of_an_earlier_version_is_of_the_same_configuration(self, copied):
        path = copied.folder / "run/run.json"
        hapsight("eqtl", copied.config)  # where it was copied to
        record = json.loads(path.read_text())
        del record["named"]
        path.write_text(json.dumps(record))
        hapsight("eqtl", copied.config)
        assert "differs in" not in path.read_text()

    def test_its_own_configuration_is_of_the_folder_where_it_lies(self, moved, tmp_path):
        """Inputs stay where they are."""
        planted, seals = moved
        hapsight("run", planted.config)
        run = (planted.folder / "run").rename(tmp_path / "kept")
        assert load_config(run / "config.toml").output == run
        assert f"page: {run}/report" in hapsight("pages", run / "config.toml", "up1")
        hapsight("run", run / "config.toml")
        assert sealed(run) == seals
        assert not (planted.folder / "run").exists()


def hapsight(*words):
    def load(weights=None, *, device="cpu", path=None):
        return load_toy()

    with register("toy", load):
        found = CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def sealed(run):
    """When each unit's seal was written."""
    return {
        str(path.relative_to(run)): path.stat().st_mtime_ns
        for path in run.rglob("*.json")
        if path.parent != run and path.parent.name != "models"
    }
