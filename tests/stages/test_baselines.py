"""Linear baselines through the chain: methods, splits, the negative control, weights out and in again."""

import gzip
import json
import re
import sqlite3
import stat
from contextlib import closing
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from hapsight.cli.linear import _add_predictdb as register_predictdb
from hapsight.cohort.predictdb import read_predictdb
from hapsight.errors import ConfigError, HapsightError, InputError
from hapsight.files import file_name
from hapsight.report.build import build_report
from hapsight.run.arms import arms_of, baseline_arm
from hapsight.run.baselines import ImportedRun, baseline_runs, imported_store, imported_units, weights_by_gene
from hapsight.run.blocks import VariantReader
from hapsight.run.config import load_config
from hapsight.run.crew import staffed
from hapsight.run.opened import Opened
from hapsight.run.store import UnitStore
from hapsight.stages.baseline import baseline
from hapsight.stages.evaluate import evaluate
from hapsight.stages.predictdb import CovarianceFile, apply_file, chosen_run, export_predictdb
from tests.planted import quiet, write_planted

LINEAR = """inner_folds = 3
methods = ["elastic_net", "lasso", "blup", "top_snp"]
splits = ["random", "population"]
"""
METHODS = {"elastic_net", "lasso", "blup", "top_snp"}


def configured(planted, name: str, *changes: tuple[str, str]):
    """A configuration of the planted cohort without the toy model."""
    text = planted.config.read_text().replace('[[models]]\nname = "toy"\n', "")
    for old, new in (("inner_folds = 3\n", LINEAR), ('output = "run"', f'output = "{name}"'), *changes):
        assert old in text
        text = text.replace(old, new)
    path = planted.folder / f"{name}.toml"
    path.write_text(text)
    return path


def ran(path) -> Opened:
    opened = Opened.from_config(load_config(path))
    opened.begin()
    baseline(opened, quiet)
    evaluate(opened, arms_of(opened, []), quiet)
    return opened


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return write_planted(tmp_path_factory.mktemp("linear"), people=80)


@pytest.fixture(scope="module")
def done(planted):
    return ran(configured(planted, "linear"))


def test_every_method_learns_both_directions_on_the_same_folds(done):
    table = pl.read_parquet(done.folder.path / "evaluation/per_gene.parquet")
    assert set(table["model"]) == METHODS
    assert set(table["read_out"]) == {
        "held out, 5 folds, cis 0.001 Mb",
        "held out by population, cis 0.001 Mb",
    }
    for (model, read_out), rows in table.group_by("model", "read_out"):
        planted = rows.filter(pl.col("gene_id").str.contains("^(up|down)"))
        assert planted["pearson_r"].min() > 0.1, (model, read_out)
        assert planted["pearson_r"].mean() > 0.5, (model, read_out)
    for split in ("", ".population"):
        folds, observed = [], []
        for method in METHODS:
            files = sorted((done.folder.path / f"baseline/{method}{split}").glob("*.predictions.parquet"))
            predictions = pl.concat([pl.read_parquet(file) for file in files])
            folds.append(predictions["fold"].to_list())
            observed.append(predictions["observed"].to_numpy())
        assert all(fold == folds[0] for fold in folds)
        assert all(np.array_equal(values, observed[0]) for values in observed)


def test_a_population_is_predicted_by_the_others(done):
    population = dict(zip(done.cohort.samples, done.cohort.populations, strict=True))
    file = done.folder.path / "baseline/blup.population/block-00000.predictions.parquet"
    table = pl.read_parquet(file)
    assert {(population[s], f) for s, f in table.select("sample_id", "fold").iter_rows()} == {
        ("CEU", 0),
        ("TSI", 1),
    }


def test_the_table_of_baselines(done):
    table = pl.read_parquet(done.folder.path / "evaluation/baselines.parquet")
    per_gene = pl.read_parquet(done.folder.path / "evaluation/per_gene.parquet")
    assert len(table) == 8
    assert table["against"].to_list() == [None, "elastic_net", "elastic_net", "elastic_net"] * 2
    row = table.row(2, named=True)
    assert (row["model"], row["split"]) == ("blup", "random")
    blup, net = (
        per_gene.filter(pl.col("model") == model, pl.col("read_out") == row["read_out"]).select(
            "gene_id", "status", "pearson_r"
        )
        for model in ("blup", "elastic_net")
    )
    r = [
        (one["pearson_r"] or 0.0) - (other["pearson_r"] or 0.0)
        for one, other in zip(blup.iter_rows(named=True), net.iter_rows(named=True), strict=True)
        if {one["status"], other["status"]} <= {"ok", "no_model"}
    ]
    assert row["difference"] == pytest.approx(np.mean(r))
    assert row["paired_genes"] == len(r)
    assert row["mean_r"] == pytest.approx(blup.filter(pl.col("status") == "ok")["pearson_r"].mean())
    record = json.loads((done.folder.path / "run.json").read_text())
    assert [(b["name"], b["split"]) for b in record["baselines"][:2]] == [
        ("elastic_net", "random"),
        ("lasso", "random"),
    ]


def test_the_report_shows_them(done):
    page = build_report(done.folder.path).read_text()
    assert "Linear baselines on the same folds" in page
    assert "counts as R = 0" in page
    (part,) = re.findall(r'<section id="baselines">.*?</section>', page, re.DOTALL)
    assert all(part.count(f'<th scope="row">{method}</th>') == 2 for method in METHODS)
    assert (done.folder.path / "report/baselines.csv").exists()


def test_another_list_of_methods_keeps_what_is_done(planted, done):
    before = {path: path.stat().st_mtime_ns for path in done.folder.path.rglob("baseline/*/block-*")}
    fewer = ('"elastic_net", "lasso", "blup", "top_snp"', '"top_snp", "blup"')
    again = configured(planted, "fewer", fewer, ('output = "fewer"', 'output = "linear"'))
    baseline(Opened.from_config(load_config(again)), quiet)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_without_populations_people_cannot_be_held_out_by_them(planted):
    path = configured(planted, "none", ('samples = "samples.tsv"\n', ""))
    with pytest.raises(ConfigError, match=r"held out by population[\s\S]*0 populations \(none\), 80 people"):
        ran(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"lasso", ', '"ridge", '), r"baseline\.methods\.1[\s\S]*got 'ridge'"),
        (('"lasso", ', '"blup", '), r"'blup' comes twice"),
        (('splits = ["random", "population"]', "splits = []"), r"baseline\.splits"),
        (('transform = "none"', 'transform = "none"\npermuted = -1'), r"expression\.permuted[\s\S]*got -1"),
    ],
)
def test_configurations_that_make_no_sense(planted, change, message):
    with pytest.raises(ConfigError, match=message):
        load_config(configured(planted, "wrong", change))


def test_the_negative_control_breaks_the_link_and_says_so(planted, done):
    """R of held-out folds falls to chance, where without the control each method finds the planted genes."""
    r: dict[str, list[float]] = {method: [] for method in METHODS}
    for seed in range(4):
        change = ('transform = "none"', f'transform = "none"\npermuted = {seed}')
        split = ('splits = ["random", "population"]', 'splits = ["random"]')
        opened = Opened.from_config(load_config(configured(planted, f"control{seed}", change, split)))
        opened.begin()
        baseline(opened, quiet)
        for run in baseline_runs(opened):
            for unit in sorted((opened.folder.path / "baseline" / run.folder).glob("*.genes.parquet")):
                folds = pl.read_parquet(unit)["fold_r"].explode().to_numpy().astype(float)
                r[run.method].extend(folds[np.isfinite(folds)])
    for method, values in r.items():
        assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values)), method
    evaluate(opened, arms_of(opened, []), quiet)
    table = pl.read_parquet(opened.folder.path / "evaluation/per_gene.parquet")
    assert all("NEGATIVE CONTROL: people permuted at random (seed 3)" in text for text in table["observed"])
    assert any("NEGATIVE CONTROL" in note for note in opened.folder.record()["notes"])
    assert "NEGATIVE CONTROL" in build_report(opened.folder.path).read_text()
    assert opened.cohort.expression.values.sum() == pytest.approx(done.cohort.expression.values.sum())


@pytest.fixture(scope="module")
def exported(planted, done):
    path = planted.folder / "blup.db"
    found = export_predictdb(done, chosen_run(done, "blup", "random"), path, "b38")
    return path, found


def test_export_leaves_out_genes_without_a_model_and_says_so(done, exported):
    path, found = exported
    weights = weights_by_gene(ImportedRun("again", path), done.cohort.genes)
    assert "bare" not in weights
    assert len(weights) == found.genes
    assert found.genes + sum(found.left_out.values()) == 7
    assert sum(map(len, weights.values())) == found.weights
    run = chosen_run(done, "blup", "random")
    r = {
        one.gene.gene_id: np.corrcoef(one.predicted, one.observed)[0, 1]
        for one in baseline_arm(done, run).comparisons(done.cohort.genes)
        if not one.status
    }
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute(
            'SELECT gene, "n.snps.in.model", "pred.perf.R2", "pred.perf.R" FROM extra'
        ).fetchall()
        facts = dict(database.execute("SELECT name, value FROM construction").fetchall())
    for gene, size, square, pearson in rows:
        assert size == len(weights[gene])
        assert square == pytest.approx(r[gene] ** 2)
        assert pearson == pytest.approx(r[gene])
    assert facts["method"] == "blup"


def test_what_is_exported_predicts_the_same_when_applied(planted, done, exported):
    imported = '[[baseline.imported]]\npath = "blup.db"\nlabel = "again"\n[evaluate]'
    opened = ran(
        configured(planted, "again", ("[evaluate]", imported), (LINEAR, LINEAR.replace(', "population"', "")))
    )
    run = ImportedRun("again", exported[0])
    units = imported_units(opened, run)
    found = imported_store(opened, run).read(units, "predictions")
    facts = imported_store(opened, run).read(units, "genes")
    assert set(facts.filter(pl.col("n_weights") > 0)["share_used"]) == {1.0}
    files = sorted((done.folder.path / "baseline/blup").glob("*.weights.parquet"))
    weights = pl.concat([pl.read_parquet(file) for file in files])
    for gene in done.cohort.genes:
        mine = found.filter(pl.col("gene_id") == gene.gene_id)["predicted"].to_numpy()
        variants, _ = done.cohort.genotypes.read(gene.cis(1000))
        place = {
            key: v for v, key in enumerate(zip(variants.position, variants.ref, variants.alt, strict=True))
        }
        own = weights.filter(pl.col("gene_id") == gene.gene_id)
        expected = np.zeros(80)
        for row in own.iter_rows(named=True):
            expected += row["weight"] * variants.dosage[place[row["position"], row["ref"], row["alt"]]]
        status = facts.filter(pl.col("gene_id") == gene.gene_id)["status"].item()
        np.testing.assert_allclose(mine, expected if status == "ok" else 0.0, atol=1e-9)
    table = pl.read_parquet(opened.folder.path / "evaluation/baselines.parquet").row(-1, named=True)
    assert (table["model"], table["read_out"], table["against"]) == (
        "again",
        "trained elsewhere",
        "elastic_net",
    )
    page = build_report(opened.folder.path).read_text()
    assert "trained elsewhere" in page


def matrix_as_metaxcan_reads_it(path):
    """Gene -> names and (K, K) covariances, with what MetaXcan's `MatrixManager` asks of the file."""
    with gzip.open(path, "rt") as file:
        header, *rows = (line.split() for line in file)
    assert header == ["GENE", "RSID1", "RSID2", "VALUE"]
    assert len({tuple(row) for row in rows}) == len(rows)
    found: dict[str, dict[tuple[str, str], float]] = {}
    for gene, first, second, value in rows:
        assert gene not in found or gene == next(reversed(found)), "genes are contiguous"
        found.setdefault(gene, {}).update({(first, second): float(value), (second, first): float(value)})
    names = {gene: list(dict.fromkeys(first for first, _ in pairs)) for gene, pairs in found.items()}
    return {
        gene: (own, np.array([[found[gene][one, other] for other in own] for one in own]))
        for gene, own in names.items()
    }


def dosages(opened, gene_id):
    """Of each variant near a gene, by its name: everybody's copies of ALT."""
    (gene,) = (gene for gene in opened.cohort.genes if gene.gene_id == gene_id)
    variants, _ = opened.cohort.genotypes.read(gene.cis(1000))
    return dict(zip(variants.variant_id, variants.dosage.astype(float), strict=True))


@pytest.mark.parametrize("method", ["elastic_net", "blup"])
def test_covariances_are_those_of_the_dosages(done, tmp_path, method):
    path = tmp_path / "m.txt.gz"
    wanted = CovarianceFile(path, individuals=True)
    run = chosen_run(done, method, "random")
    found = export_predictdb(done, run, tmp_path / "m.db", covariance=wanted)
    weights = read_predictdb(tmp_path / "m.db").weights
    matrices = matrix_as_metaxcan_reads_it(path)
    assert list(matrices) == list(dict.fromkeys(weights["gene"]))
    pairs = 0
    for gene, (names, matrix) in matrices.items():
        assert names == weights.filter(pl.col("gene") == gene)["rsid"].to_list()
        own = dosages(done, gene)
        for i, one in enumerate(names):
            for j, other in enumerate(names):
                expected = sum((own[one] - own[one].mean()) * (own[other] - own[other].mean())) / 79
                assert matrix[i, j] == pytest.approx(expected, abs=1e-14)
        pairs += len(names) * (len(names) + 1) // 2
    assert (found.pairs, found.withheld) == (pairs, 0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_summary_statistics_and_covariances_give_the_z_of_the_predicted_expression(done, tmp_path):
    """S-PrediXcan's formula, on a trait of the same people: R of predicted expression with it, exactly."""
    wanted = CovarianceFile(tmp_path / "m.txt.gz", individuals=True)
    export_predictdb(done, chosen_run(done, "elastic_net", "random"), tmp_path / "m.db", covariance=wanted)
    trait = np.random.default_rng(3).standard_normal(80)
    weights = read_predictdb(tmp_path / "m.db").weights
    for gene, (names, matrix) in matrix_as_metaxcan_reads_it(wanted.path).items():
        own = dosages(done, gene)
        w = weights.filter(pl.col("gene") == gene)["weight"].to_numpy()
        z = np.sqrt(80) * np.array([np.corrcoef(own[name], trait)[0, 1] for name in names])
        found = (w * np.sqrt(np.diag(matrix)) * z).sum() / np.sqrt(w @ matrix @ w)
        predicted = sum(weight * own[name] for weight, name in zip(w, names, strict=True))
        assert found == pytest.approx(np.sqrt(80) * np.corrcoef(predicted, trait)[0, 1])


def test_published_covariances_are_rounded_and_obey_the_floor(done, tmp_path):
    paths = [tmp_path / "whole.txt.gz", tmp_path / "shown.txt.gz"]
    run = chosen_run(done, "blup", "random")
    for path, individuals in zip(paths, (True, False), strict=True):
        found = export_predictdb(
            done, run, tmp_path / "m.db", covariance=CovarianceFile(path, individuals=individuals)
        )
    whole, shown = map(matrix_as_metaxcan_reads_it, paths)
    assert stat.S_IMODE(paths[1].stat().st_mode) & 0o044
    assert found.withheld == sum(len(names) for names, _ in whole.values()) - sum(
        len(names) for names, _ in shown.values()
    )
    for gene, (names, matrix) in shown.items():
        own = dosages(done, gene)
        rarer = {name: min(d.sum(), 160 - d.sum()) for name, d in own.items()}
        assert [name for name in whole[gene][0] if rarer[name] >= 10] == names
        frequencies = (1 - np.sqrt(1 - 2 * np.diag(matrix))) / 2
        np.testing.assert_allclose(frequencies / 0.1, np.round(frequencies / 0.1), atol=1e-9)
        assert np.linalg.eigvalsh(matrix).min() > -1e-12


def test_covariances_do_not_replace_the_weights(done, tmp_path):
    same = CovarianceFile(tmp_path / "m.gz")
    with pytest.raises(ConfigError, match="to be one file"):
        export_predictdb(done, chosen_run(done, "blup", "random"), tmp_path / "m.gz", covariance=same)
    assert list(tmp_path.iterdir()) == []


def test_genes_below_a_held_out_r_are_left_out_and_counted(done, exported, tmp_path):
    run = chosen_run(done, "blup", "random")
    with closing(sqlite3.connect(exported[0])) as database:
        r = dict(database.execute('SELECT gene, "pred.perf.R" FROM extra').fetchall())
    wanted = CovarianceFile(tmp_path / "m.txt.gz", snp_key="varID")
    found = export_predictdb(done, run, tmp_path / "m.db", "b38", min_r=0.5, covariance=wanted)
    kept = [gene for gene, value in r.items() if value >= 0.5]
    assert 0 < len(kept) < len(r)
    assert found.left_out["held-out R below 0.5"] == len(r) - len(kept)
    assert found.genes + sum(found.left_out.values()) == 7
    read = read_predictdb(tmp_path / "m.db")
    assert list(read.genes) == kept
    matrices = matrix_as_metaxcan_reads_it(wanted.path)
    assert list(matrices) == kept
    assert {name for names, _ in matrices.values() for name in names} <= set(read.weights["varID"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda name: "rs1", r"have one name[\s\S]*to mend: --snp-key varID"),
        (lambda name: f"{name} x", r"a space or a quotation mark[\s\S]*rsid '.* x'[\s\S]*--snp-key varID"),
    ],
)
def test_names_that_a_file_of_covariances_cannot_have(done, tmp_path, monkeypatch, change, message):
    run, read = chosen_run(done, "blup", "random"), UnitStore.read

    def renamed(store, units, table):
        found = read(store, units, table)
        if table != "weights":
            return found
        return found.with_columns(pl.col("variant_id").map_elements(change, pl.String))

    monkeypatch.setattr(UnitStore, "read", renamed)
    with pytest.raises(ConfigError, match=message):
        export_predictdb(done, run, tmp_path / "m.db", covariance=CovarianceFile(tmp_path / "m.txt.gz"))
    assert list(tmp_path.iterdir()) == []
    wanted = CovarianceFile(tmp_path / "m.txt.gz", snp_key="varID")
    assert export_predictdb(done, run, tmp_path / "m.db", covariance=wanted).pairs > 0


def test_the_commands(planted, done, tmp_path):
    app = typer.Typer()
    register_predictdb(app)
    config, out = str(planted.folder / "linear.toml"), tmp_path / "net.db"
    found = CliRunner().invoke(
        app, ["predictdb", "export", config, str(out), "--method", "top_snp"], catch_exceptions=False
    )
    assert "top_snp" in found.output
    assert "genes left out: " in found.output
    beside = ["--covariance", str(tmp_path / "net.txt.gz"), "--method", "blup", "--min-r", "0.5"]
    words = CliRunner().invoke(
        app, ["predictdb", "export", config, str(tmp_path / "high.db"), *beside], catch_exceptions=False
    )
    assert re.search(r"net\.txt\.gz: [\d,]+ covariances, rounded \(--include-individuals", words.output)
    assert re.search(r"[1-9] held-out R below 0.5", words.output)
    beside[1] = str(tmp_path / "net.txt")
    with pytest.raises(ConfigError, match=r"written gzipped[\s\S]*ends in \.gz[\s\S]*got: \.txt"):
        CliRunner().invoke(app, ["predictdb", "export", config, str(out), *beside], catch_exceptions=False)
    found = CliRunner().invoke(
        app, ["predictdb", "apply", config, str(out), "--label", "elsewhere"], catch_exceptions=False
    )
    assert found.exit_code == 0
    assert "mean R across people" in found.output
    assert "share of weights used, median gene" in found.output
    with pytest.raises(ConfigError, match=r"no such baseline[\s\S]*elastic_net, random[\s\S]*got: ridge"):
        CliRunner().invoke(
            app, ["predictdb", "export", config, str(out), "--method", "ridge"], catch_exceptions=False
        )


def test_weights_of_other_genes_are_refused(done, exported, tmp_path):
    other = [replace(gene, gene_id=f"ENSG{i}.1") for i, gene in enumerate(done.cohort.genes)]
    with pytest.raises(InputError, match=r"No gene of the cohort[\s\S]*ENSG0\.1") as error:
        weights_by_gene(ImportedRun("x", exported[0]), other)
    assert isinstance(error.value, HapsightError)


def test_versions_of_gene_names_may_differ(done, exported):
    versioned = [replace(gene, gene_id=f"{gene.gene_id}.7") for gene in done.cohort.genes]
    assert "up1.7" in weights_by_gene(ImportedRun("x", exported[0]), versioned)


def test_blocks_without_a_gene_of_the_file_are_read_beside_the_others(planted, done, exported):
    """Only one gene in the file; the label is no plain folder name."""
    path = planted.folder / "one.db"
    path.write_bytes(exported[0].read_bytes())
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DELETE FROM weights WHERE gene != 'up1'")
        database.execute("DELETE FROM extra WHERE gene != 'up1'")
    found = apply_file(done, path, "GTEx v8/blood", quiet)
    assert found.genes.height == 7
    assert found.genes["status"].to_list().count("no_model") == 6
    assert found.mean_r.n == 1
    assert found.folder.name == file_name("imported", "GTEx v8/blood")
    assert dict(found.lines())["genes of the cohort in the file"] == "1 of 7"


def altered(planted, exported, name: str, *changes: str):
    """The exported weights after these changes."""
    path = planted.folder / name
    path.write_bytes(exported[0].read_bytes())
    with closing(sqlite3.connect(path)) as database, database:
        for change in changes:
            database.execute(change)
    return path


def test_a_gene_with_too_few_usable_weights_has_no_r(planted, exported):
    """Three of four weights of up1 are of variants that are not here; the floor may be lowered."""
    far = "varID = 'chr9_' || rowid || '_A_C_b38', rsid = 'far' || rowid"
    change = f"UPDATE weights SET {far} WHERE gene = 'up1' AND rowid % 4 > 0"
    path = altered(planted, exported, "few.db", change)
    config = '[[baseline.imported]]\npath = "few.db"\nlabel = "few"\n[evaluate]'
    plain = (LINEAR, LINEAR.replace(', "population"', "").replace('"elastic_net", "lasso", ', ""))
    opened = ran(configured(planted, "few", ("[evaluate]", config), plain))
    table = pl.read_parquet(opened.folder.path / "evaluation/per_gene.parquet")
    assert table.filter(pl.col("model") != "few")["share_used"].null_count() == len(table) - 7
    mine = {row["gene_id"]: row for row in table.filter(pl.col("model") == "few").iter_rows(named=True)}
    assert mine["up1"]["status"] == "low_share"
    assert mine["up1"]["pearson_r"] is None
    assert 0 < mine["up1"]["share_used"] < 0.5
    assert (mine["up2"]["status"], mine["up2"]["share_used"], mine["up2"]["share_weight_used"]) == (
        "ok",
        1,
        1,
    )
    row = pl.read_parquet(opened.folder.path / "evaluation/baselines.parquet").row(-1, named=True)
    assert (row["genes_low_share"], row["share_used"]) == (1, 1.0)
    page = build_report(opened.folder.path).read_text()
    assert "1 gene below the floor" in page
    assert "too few of its weights could be used" in page
    lowered = apply_file(opened, path, "lowered", quiet, min_share=0.01)
    assert lowered.genes.filter(pl.col("gene_id") == "up1")["status"].item() == "ok"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("INSERT INTO weights SELECT * FROM weights WHERE rowid = 1", r"variant twice[\s\S]*2 such rows"),
        ("UPDATE weights SET ref_allele = 'TRUE' WHERE ref_allele = 'T'", r"not DNA[\s\S]*colClasses"),
        (
            "INSERT INTO weights SELECT gene, rsid, varID, eff_allele, ref_allele, weight FROM weights "
            "WHERE rowid = 1",
            r"Two weights fall on one variant[\s\S]*changed\.db, gene",
        ),
    ],
)
def test_weights_that_are_not_what_they_should_be(planted, done, exported, change, message):
    path = altered(planted, exported, "changed.db", change)
    with pytest.raises(InputError, match=message):
        apply_file(done, path, "changed", quiet)


def test_a_block_is_read_once_and_a_method_that_is_added_leaves_the_others_alone(planted, monkeypatch):
    """Of 7 genes in blocks of 2, by two splits: each gene's variants once, however many methods."""
    asked = []
    read = VariantReader.__call__
    monkeypatch.setattr(VariantReader, "__call__", lambda self, at: asked.append(at) or read(self, at))

    def fitted(methods):
        path = configured(
            planted, "grows", ('methods = ["elastic_net", "lasso", "blup", "top_snp"]', methods)
        )
        opened = Opened.from_config(staffed(load_config(path), workers=1))
        opened.begin()
        asked.clear()
        baseline(opened, quiet)
        seals = {str(p): p.stat().st_ino for p in opened.folder.path.glob("baseline/*/*.json")}
        return opened, seals, len(asked)

    _, before, reads = fitted('methods = ["blup"]')
    assert (len(before), reads) == (8, 7)
    opened, after, reads = fitted('methods = ["blup", "top_snp", "lasso"]')
    assert (len(after), reads) == (24, 7)
    assert {path: after[path] for path in before} == before
    stages = {stage["name"]: stage for stage in opened.folder.record()["stages"]}
    assert stages["baseline lasso"]["computed"] == stages["baseline top_snp.population"]["computed"] == 4
    (opened.folder.path / "baseline/lasso/block-00001.json").unlink()
    _, again, reads = fitted('methods = ["blup", "top_snp", "lasso"]')
    assert (len(again), reads) == (24, 2)
    assert len(again.items() - after.items()) == 1
    assert fitted('methods = ["blup"]')[2] == 0
