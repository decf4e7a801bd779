"""What is made of stored saturation mutagenesis: bases around drivers, files for TF-MoDISco."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from hapsight.cli.explain import _add_modisco as register_command
from hapsight.cohort.nouns import Interval, Strand
from hapsight.dna import N_CODE
from hapsight.errors import IncompleteError, MissingExtraError
from hapsight.explain.tables import MODISCO_PATTERNS
from hapsight.models.registry import register
from hapsight.run.arms import arms_of
from hapsight.stages import driver_context
from hapsight.stages.driver_context import neighbourhood_columns
from hapsight.stages.drivers import drivers
from hapsight.stages.evaluate import evaluate
from hapsight.stages.explain import explain, explain_store, explain_units
from hapsight.stages.modisco import export_modisco
from hapsight.stages.predict import predict
from hapsight.stages.saturation import Saturation, stored_saturation
from tests.explain.test_modisco_run import add_pattern
from tests.planted import UPSTREAM, load_toy, opened_with_models, quiet, write_planted

FIRST, LAST = -150, 200
REACH = 100
SECTIONS = f"""
[eqtl]
run = false
[explain]
saturation = [{FIRST}, {LAST}]
genes_per_unit = 3
"""
SHARES = {"run_5": 0.05, "run_10": 0.1, "run_20": 0.2, "run_50": 0.5}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    pytest.importorskip("zarr")
    planted = write_planted(tmp_path_factory.mktemp("saturation"))
    text = planted.config.read_text().replace("[baseline]", "[baseline]\nrun = false")
    planted.config.write_text(text + SECTIONS)
    opened, runs = opened_with_models(planted.config)
    opened.begin()
    predict(opened, runs, quiet)
    evaluate(opened, arms_of(opened, runs), quiet)
    explain(opened, runs, quiet)
    return opened, runs


@pytest.fixture(scope="module")
def found(planted):
    """The drivers, measured against the bases near the TSS that the toy's short window has."""
    opened, runs = planted
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver_context, "TSS_REACH", REACH)
        drivers(opened, arms_of(opened, runs), quiet, ())
    folder = opened.folder.path / "explain"
    return pl.read_parquet(folder / "drivers.parquet"), pl.read_parquet(folder / "driver_summary.parquet")


def importances(opened, run, gene) -> dict[int, float]:
    """Position on the genome -> base's importance, from the linear model's own weights."""
    model, values = run.model, {}
    for place in range(gene.tss - 500, gene.tss + 500):
        offset = place - gene.tss if gene.strand is not Strand.MINUS else gene.tss - place
        if not FIRST <= offset < LAST:
            continue
        base = int(opened.cohort.reference.fetch(Interval(gene.contig, place, place + 1))[0])
        base = 3 - base if gene.strand is Strand.MINUS else base
        weights = model.weights[UPSTREAM + offset, :4].numpy().astype(float)
        values[place] = float(weights[base] - np.delete(weights, base).mean())
    return values


def run_length(values: dict[int, float], driver: int, least: float) -> int:
    sign = np.sign(values[driver])
    if sign * values[driver] < least:
        return 0
    first = last = driver
    while sign * values.get(first - 1, -np.inf * sign) >= least:
        first -= 1
    while sign * values.get(last + 1, -np.inf * sign) >= least:
        last += 1
    return last - first + 1


def test_drivers_have_the_share_and_runs_of_the_bases_around_them(planted, found):
    opened, (run,) = planted
    genes = {gene.gene_id: gene for gene in opened.cohort.genes}
    known = 0
    for row in found[0].iter_rows(named=True):
        gene = genes[row["gene_id"]]
        values = importances(opened, run, gene)
        place = row["position"]
        if place is not None and (len(row["ref"]) > 1 or len(row["alt"]) > 1):
            place += 1
        if place is None or not {place - 20, place + 20} <= set(values):
            assert row["share_of_tss_max"] is None
            assert row["run_5"] is None
            continue
        known += 1
        sign = -1 if gene.strand is Strand.MINUS else 1
        largest = max(abs(values[gene.tss + sign * k]) for k in range(-REACH, REACH))
        near = max(abs(values[p]) for p in range(place - 20, place + 21))
        assert row["share_of_tss_max"] == pytest.approx(near / largest, rel=1e-4)
        for name, share in SHARES.items():
            assert row[name] == run_length(values, place, share * largest), (row["gene_id"], name)
    assert known >= 4


def test_the_summary_counts_what_saturation_does_not_cover(found):
    table, summary = found
    for form in ("sasse2023", "rastogi"):
        own = table.filter((pl.col("form") == form) & pl.col("pearson_r").is_not_null())
        own = own.filter(pl.col("n_drivers") > 0)
        rows = summary.filter((pl.col("form") == form) & (pl.col("genes") == "all"))
        one = {row["quantity"]: row for row in rows.iter_rows(named=True)}
        covered = own["share_of_tss_max"].drop_nulls()
        assert one["with_saturation"]["n"] == len(own) > len(covered)
        assert one["with_saturation"]["value"] == pytest.approx(len(covered) / len(own))
        assert one["share_of_tss_max"]["n"] == len(covered)
        assert one["share_of_tss_max"]["value"] == pytest.approx(covered.median())


def test_a_stretch_that_does_not_hold_the_tss_gives_nothing(planted):
    """The toy's window has no 1 kb around the TSS."""
    opened, runs = planted
    drivers(opened, arms_of(opened, runs), quiet, ())
    table = pl.read_parquet(opened.folder.path / "explain/drivers.parquet")
    assert table["variant_id"].null_count() < table.height
    assert table["share_of_tss_max"].null_count() == table.height


def test_a_promoter_without_importance_gives_nothing(planted, monkeypatch):
    opened, _ = planted
    monkeypatch.setattr(driver_context, "TSS_REACH", REACH)
    gene = opened.cohort.genes[0]
    flat = Saturation(Interval(gene.contig, gene.tss - 150, gene.tss + 200), np.zeros((350, 4, 1)), ("t",))
    row = {"position": gene.tss, "ref": "A", "alt": "C"}
    assert neighbourhood_columns(row, gene, flat, "t", opened.cohort.reference) == {}


@pytest.mark.parametrize(("unknown", "empty"), [(None, False), (80, True), (130, True), (5, False)])
def test_an_n_near_the_driver_or_the_tss_gives_nothing(planted, monkeypatch, unknown, empty):
    """The TSS lies at 150 of the stretch and its reach at 130 to 170, the driver's at 60 to 100."""
    opened, _ = planted
    monkeypatch.setattr(driver_context, "TSS_REACH", 20)
    gene = replace(opened.cohort.genes[0], strand=Strand.PLUS)
    stretch = Interval(gene.contig, gene.tss - 150, gene.tss + 200)
    codes = np.zeros(350, np.uint8)
    if unknown is not None:
        codes[unknown] = N_CODE

    class Known:
        def fetch(self, interval):
            assert interval == stretch
            return codes

    own = Saturation(stretch, np.random.default_rng(1).standard_normal((350, 4, 1)), ("t",))
    row = {"position": gene.tss - 70, "ref": "A", "alt": "C"}
    assert (neighbourhood_columns(row, gene, own, "t", Known()) == {}) is empty


def test_modisco_gets_every_gene_in_the_direction_of_transcription(planted, tmp_path):
    opened, (run,) = planted
    (done,) = export_modisco(opened, [run], tmp_path)
    assert (done.genes, done.of, done.length, done.unknown) == (7, 7, LAST - FIRST, 0)
    assert done.folder == tmp_path / "toy.default" / "expression"
    sequences, attributions = (
        np.load(done.folder / f"{name}.npz")["arr_0"] for name in ("sequences", "attributions")
    )
    assert sequences.shape == attributions.shape == (7, 4, LAST - FIRST)
    weights = run.model.weights[UPSTREAM + FIRST : UPSTREAM + LAST, :4].numpy().T
    for k in range(7):
        np.testing.assert_allclose(attributions[k], weights - weights.mean(axis=0), atol=1e-4)
    bed = [line.split("\t") for line in (done.folder / "genes.bed").read_text().splitlines()]
    for one_hot, (contig, start, end, name, _, strand) in zip(sequences, bed, strict=True):
        codes = opened.cohort.reference.fetch(Interval(contig, int(start), int(end)))
        forward = (codes == np.arange(4)[:, None]).astype(np.int8)
        np.testing.assert_array_equal(one_hot, forward[::-1, ::-1] if strand == "-" else forward)
        assert name in {gene.gene_id for gene in opened.cohort.genes}


def test_unknown_bases_contribute_nothing(planted, tmp_path, monkeypatch):
    opened, runs = planted
    monkeypatch.setattr("hapsight.stages.modisco.stored_saturation", with_an_n)
    original = type(opened.cohort.reference).fetch
    gaps = {gene.tss for gene in opened.cohort.genes}

    def fetch(self, interval):
        codes = original(self, interval).copy()
        for gap in gaps:
            if interval.start <= gap < interval.end:
                codes[gap - interval.start] = 4
        return codes

    monkeypatch.setattr(type(opened.cohort.reference), "fetch", fetch)
    (done,) = export_modisco(opened, runs, tmp_path)
    assert done.unknown == 7
    attributions = np.load(done.folder / "attributions.npz")["arr_0"]
    assert (attributions[:, :, -FIRST] == 0).all()
    assert np.abs(attributions[:, :, -FIRST + 1]).min() > 0


def with_an_n(opened, run, gene, centre):
    stored = stored_saturation(opened, run, gene, centre)
    stored.effect[gene.tss - stored.stretch.start] = np.nan
    return stored


def test_without_saturation_modisco_gets_nothing(planted, tmp_path):
    opened, runs = planted
    none = opened.config.explain.model_copy(update={"saturation": None})
    bare = replace(opened, config=opened.config.model_copy(update={"explain": none}))
    with pytest.raises(IncompleteError, match="No gene has saturation mutagenesis by toy") as error:
        export_modisco(bare, runs, tmp_path)
    assert "hapsight explain" in str(error.value)


def test_the_modisco_command_says_what_it_wrote(planted, tmp_path):
    app = typer.Typer()
    register_command(app)
    app.callback()(lambda: None)
    config = planted[0].folder.path.parent / "planted.toml"
    with register("toy", load_toy):
        result = CliRunner().invoke(app, ["modisco", str(config), str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "7 of 7 genes, 350 bases each" in said
    assert "modisco motifs -s sequences.npz -a attributions.npz -w 350" in said


def test_the_modisco_command_finds_patterns_where_modisco_is(planted, tmp_path, monkeypatch):
    app = typer.Typer()
    register_command(app)
    app.callback()(lambda: None)
    asked = ["modisco", str(planted[0].folder.path.parent / "planted.toml"), str(tmp_path / "out"), "--run"]
    monkeypatch.setattr("hapsight.explain.modisco.find_spec", lambda name: None)
    result = CliRunner().invoke(app, asked)
    assert isinstance(result.exception, MissingExtraError)
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr("hapsight.explain.modisco.require_modisco", lambda: None)
    monkeypatch.setattr("hapsight.stages.modisco.run_modisco", one_pattern)
    with register("toy", load_toy):
        result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "1 motif" in said
    assert "GATA: 30 seqlets, positive" in said
    found = pl.read_parquet(tmp_path / "out/toy.default/expression/patterns.parquet")
    assert dict(found.schema) == MODISCO_PATTERNS
    assert found["consensus"].to_list() == ["GATA"]


def one_pattern(folder):
    """A file as TF-MoDISco writes it."""
    path = folder / "modisco.h5"
    with h5py.File(path, "w") as file:
        add_pattern(file, "pos_patterns/pattern_0", "GATA", 1.0, 30)
    return path


def test_what_explain_leaves_out_is_told_before_and_after_the_evaluation(planted):
    opened, (run,) = planted
    store, unit = explain_store(opened, run), explain_units(opened, run)[0]
    names = ("effects", "background_dependent", "additivity", "dropped")
    kept = {name: store.read([unit], name) for name in names}
    more = pl.DataFrame({"kind": ["variant"], "reason": ["beyond"], "name": ["v1"]})
    store.write(unit.name, unit.key, kept | {"dropped": more})
    try:
        arms = arms_of(opened, [run])
        for stage, given in ((explain, [run]), (evaluate, arms), (explain, [run])):
            stage(opened, given, quiet)
            table = pl.read_parquet(opened.folder.path / "dropped.parquet")
            (row,) = table.filter(pl.col("reason") == "beyond").rows()
            assert row == ("variant", "beyond", 1, ["v1"])
    finally:
        store.write(unit.name, unit.key, kept)
