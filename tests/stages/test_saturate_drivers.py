"""Saturation mutagenesis around main drivers: the toy model is linear, so each base's effect is known."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from hapsight.cli.explain import _add_explain as register_commands
from hapsight.cohort.nouns import Interval, Strand
from hapsight.errors import ConfigError, IncompleteError
from hapsight.explain.ism import saturation_stretch
from hapsight.models.protocol import ReadOut, Track
from hapsight.models.registry import register
from hapsight.run.arms import arms_of
from hapsight.run.arrays import open_array
from hapsight.run.config import load_config
from hapsight.stages.drivers import drivers, saturate_drivers
from hapsight.stages.evaluate import evaluate
from hapsight.stages.explain import explain
from hapsight.stages.modisco import export_modisco
from hapsight.stages.predict import predict
from hapsight.stages.saturation import centres, has_saturation, stored_around_tss, tss_centre
from tests.planted import (
    DOWNSTREAM,
    UPSTREAM,
    ToyModel,
    load_toy,
    opened_with_models,
    put_back,
    quiet,
    write_planted,
)

pytest.importorskip("zarr")

FIRST, LAST = -4, 3
SECTIONS = f"""
[eqtl]
run = false
[explain]
saturation = [{FIRST}, {LAST}]
saturation_around = "driver"
tracks = "bedgraph"
"""
FOLDER = "explain/toy.default/saturation"


class TwoTracks(ToyModel):
    """The toy, and the same again with another sign: both tracks have one driver."""

    def __init__(self) -> None:
        super().__init__()
        self.tracks = (*self.tracks, Track("turned", "none", "none", ".", "arbitrary"))
        self.read_outs = {"default": ReadOut("default", tracks=(0, 1))}
        self.passes = 0

    def predict(self, codes, read_out):
        self.passes += len(codes)
        one = super().predict(codes, read_out)
        return one * one.new_tensor([1.0, -1.0])


def configured(opened, **options):
    section = opened.config.explain.model_copy(update=options)
    return replace(opened, config=opened.config.model_copy(update={"explain": section}))


def call(config) -> str:
    app = typer.Typer()
    register_commands(app)
    with register("toy", load_toy):
        found = CliRunner().invoke(app, ["explain", str(config)])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return " ".join(found.output.split())


def write(folder, people=60):
    planted = write_planted(folder, people=people)
    text = planted.config.read_text().replace("[baseline]", "[baseline]\nrun = false")
    planted.config.write_text(text + SECTIONS)
    return planted


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """One configuration all the way: the command says what it waits for, and goes on when it is there."""
    planted = write(tmp_path_factory.mktemp("around"))
    opened, runs = opened_with_models(planted.config)
    opened.begin()
    predict(opened, runs, quiet)
    evaluate(opened, arms_of(opened, runs), quiet)
    with pytest.raises(IncompleteError, match="around drivers, which are not known yet") as caught:
        call(planted.config)
    assert "rows of toy, read-out default" in str(caught.value)
    assert "hapsight drivers" in str(caught.value)
    drivers(opened, arms_of(opened, runs), quiet, ())
    said = call(planted.config)
    return planted, opened, runs, said


@pytest.fixture
def changing(planted):
    """What a test does to the run is undone for the next."""
    with put_back(planted[1].folder.path):
        yield


def main_drivers(opened) -> dict[str, dict]:
    table = pl.read_parquet(opened.folder.path / "explain/drivers.parquet")
    own = table.filter((pl.col("form") == "sasse2023") & pl.col("position").is_not_null())
    return {row["gene_id"]: row for row in own.iter_rows(named=True)}


def test_effects_around_the_driver_are_the_models_weights(planted):
    cohort, opened, _, _ = planted
    weights, found = ToyModel().weights.numpy(), main_drivers(opened)
    genes = [gene for gene in cohort.genes if gene.gene_id in found]
    assert {gene.strand for gene in genes} == set(Strand)
    compared = 0
    for gene in genes:
        driver, minus = found[gene.gene_id], gene.strand is Strand.MINUS
        path = opened.folder.path / FOLDER / f"{gene.gene_id}.expression.driver.zarr"
        if not path.exists():  # near the edge, see below
            continue
        compared += 1
        array, labels = open_array(path)
        assert array.shape == (LAST - FIRST, 4, 1)
        start = driver["position"] + (-(LAST - 1) if minus else FIRST)
        expected = {"around": "driver", "centre": driver["position"], "start": start}
        expected |= {name: driver[name] for name in ("variant_id", "ref", "alt")}
        assert expected.items() <= labels.items()
        codes = opened.cohort.reference.fetch(Interval("chr1", start, start + LAST - FIRST))
        for place, code in enumerate(codes):
            offset = gene.tss - start - place if minus else start + place - gene.tss
            row = weights[UPSTREAM + offset, :4]
            row = row[::-1] if minus else row
            np.testing.assert_allclose(array[place, :, 0], row - row[code], atol=2e-5)
        lines = path.with_suffix(".bedgraph").read_text().splitlines()
        assert [int(line.split("\t")[1]) for line in lines] == list(range(start, start + LAST - FIRST))
    assert compared >= 4


def test_a_gene_without_a_driver_is_named(planted):
    cohort, opened, _, said = planted
    without = {gene.gene_id for gene in cohort.genes} - set(main_drivers(opened))
    assert "bare" in without
    table = pl.read_parquet(opened.folder.path / "dropped.parquet")
    row = table.row(by_predicate=pl.col("reason").str.ends_with("no driver"), named=True)
    assert (row["kind"], row["count"], set(row["names"])) == ("gene", len(without), without)
    assert row["reason"] == "for saturation by toy, default:expression: no driver"
    assert f"no driver: {len(without)} (bare" in said
    assert "arrays around drivers computed, 0 kept" in said


@pytest.mark.usefixtures("changing")
def test_a_driver_at_the_windows_edge_is_named(planted):
    """The longest stretch of the window fits around no driver."""
    _, opened, runs, _ = planted
    wide = configured(opened, saturation=(-UPSTREAM, DOWNSTREAM))
    saturate_drivers(wide, runs, quiet)
    table = pl.read_parquet(opened.folder.path / "dropped.parquet")
    reaching = pl.col("reason").str.contains("reaches out of the window")
    edge = table.row(by_predicate=reaching, named=True)
    away = {name for name, row in main_drivers(opened).items() if row["distance"]}
    assert set(edge["names"]) == away


@pytest.mark.usefixtures("changing")
def test_arrays_are_kept_until_the_driver_is_another(planted):
    _, opened, runs, _ = planted
    stamps = {p: p.stat().st_mtime_ns for p in (opened.folder.path / FOLDER).rglob("*.zarr/zarr.json")}
    saturate_drivers(opened, runs, quiet)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    path = opened.folder.path / "explain/drivers.parquet"
    table = pl.read_parquet(path)
    moved = pl.when(pl.col("gene_id") == "up1").then(pl.col("position") + 1).otherwise("position")
    table.with_columns(moved.alias("position")).write_parquet(path)
    saturate_drivers(opened, runs, quiet)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    after = {p.parent.name for p in (opened.folder.path / FOLDER).rglob("*.zarr/zarr.json")}
    (new,) = after - {p.parent.name for p in stamps}
    assert re.fullmatch(r"up1\.expression\.driver\.[0-9a-f]{12}\S*\.zarr", new)


@pytest.mark.usefixtures("changing")
def test_both_kinds_are_told_apart_and_effects_are_kept(planted):
    cohort, opened, (run,), _ = planted
    gene = cohort.genes[0]
    around_driver = centres(opened, run, "expression")[gene.gene_id]
    assert has_saturation(opened, run, gene, around_driver)
    assert not has_saturation(opened, run, gene, tss_centre(run, gene))
    assert not has_saturation(opened, run, gene, replace(around_driver, position=gene.tss))
    around_tss = configured(opened, saturation_around="tss")
    effects = opened.folder.path / "explain/toy.default/block-00000.effects.parquet"
    stamp = effects.stat().st_mtime_ns
    explain(around_tss, [run], quiet)
    assert effects.stat().st_mtime_ns == stamp
    assert has_saturation(opened, run, gene, around_driver)
    assert has_saturation(around_tss, run, gene, tss_centre(run, gene))
    assert stored_around_tss(around_tss, run, gene).stretch == saturation_stretch(gene, FIRST, LAST)
    assert stored_around_tss(opened, run, gene) is None
    path = opened.folder.path / FOLDER
    labels = json.loads((path / f"{gene.gene_id}.zarr/zarr.json").read_bytes())["attributes"]
    assert (labels["around"], labels["centre"]) == ("tss", gene.tss)
    saturate_drivers(around_tss, [run], quiet)  # nothing to do


def test_modisco_gets_the_bases_around_drivers(planted, tmp_path):
    cohort, opened, (run,), _ = planted
    (done,) = export_modisco(opened, [run], tmp_path)
    arrays = list((opened.folder.path / FOLDER).glob("*.driver.zarr"))
    assert (done.genes, done.of, done.length) == (len(arrays), len(cohort.genes), LAST - FIRST)
    found = main_drivers(opened)
    for line in (done.folder / "genes.bed").read_text().splitlines():
        _, start, end, name, *_ = line.split("\t")
        assert int(start) <= found[name]["position"] < int(end)


@pytest.mark.usefixtures("changing")
def test_genes_that_were_not_looked_at_are_refused(planted):
    _, opened, runs, _ = planted
    path = opened.folder.path / "explain/drivers.parquet"
    table = pl.read_parquet(path)
    table.filter(pl.col("gene_id") != "up2").write_parquet(path)
    with pytest.raises(IncompleteError, match="genes that were not explained") as caught:
        saturate_drivers(opened, runs, quiet)
    assert "1 are not there, such as up2" in str(caught.value)
    saturate_drivers(opened, runs, quiet, ["up1"])


def test_a_driver_needs_a_stretch(planted):
    text = planted[0].config.read_text()
    bad = planted[0].folder / "bad.toml"
    bad.write_text(text.replace(f"saturation = [{FIRST}, {LAST}]\n", ""))
    with pytest.raises(ConfigError, match="says where the saturation is, which is not set"):
        load_config(bad)


def test_tracks_with_one_driver_share_the_work(tmp_path):
    planted = write(tmp_path, people=30)
    opened, (run,) = opened_with_models(planted.config, lambda *_, **__: TwoTracks())
    opened.begin()
    predict(opened, [run], quiet)
    evaluate(opened, arms_of(opened, [run]), quiet)
    explain(opened, [run], quiet)
    drivers(opened, arms_of(opened, [run]), quiet, ())
    run.model.passes = 0
    saturate_drivers(opened, [run], quiet, ["up1"])
    one, other = (centres(opened, run, track)["up1"] for track in ("expression", "turned"))
    assert one.position == other.position
    mutants = 3 * (LAST - FIRST)
    assert run.model.passes == 8 * (1 + -(-mutants // 8))  # batches of 8: the reference, and these once
    effects = [
        open_array(opened.folder.path / FOLDER / f"up1.{track}.driver.zarr")[0][:]
        for track in ("expression", "turned")
    ]
    assert np.abs(effects[0]).max() > 0
    np.testing.assert_array_equal(effects[0], -effects[1])
