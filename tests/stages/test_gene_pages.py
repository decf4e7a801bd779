"""Gene pages of a cohort whose truth is known: the toy model is linear."""

import json
import re
import shutil

import numpy as np
import polars as pl
import pytest
import typer
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from hapsight.cli.explain import _add_pages as register_command
from hapsight.cohort.genotypes import GenotypeFile
from hapsight.errors import ConfigError, IncompleteError
from hapsight.explain.drivers import sasse2023_drivers
from hapsight.models.registry import register
from hapsight.report.gene_view import PEOPLE, Logo
from hapsight.run.arms import arms_of
from hapsight.run.opened import Opened
from hapsight.stages import gene_pages as stage
from hapsight.stages.drivers import drivers
from hapsight.stages.eqtl import eqtl
from hapsight.stages.evaluate import evaluate
from hapsight.stages.explain import explain
from hapsight.stages.gene_pages import gene_pages
from hapsight.stages.predict import predict
from tests.conftest import without_vega
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

pytest.importorskip("vl_convert")

pytestmark = pytest.mark.usefixtures("light")

SECTIONS = """
[eqtl]
cis_window = 1000
min_maf = 0.05
permutations = 99
[explain]
saturation = [-2, 2]
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    planted = write_planted(tmp_path_factory.mktemp("pages"), people=90)
    text = planted.config.read_text().replace("[baseline]", "[baseline]\nrun = false")
    planted.config.write_text(text + SECTIONS)
    opened, runs = opened_with_models(planted.config)
    opened.begin()
    predict(opened, runs, quiet)
    eqtl(opened, quiet)
    with pytest.raises(IncompleteError, match="is not evaluated") as caught:
        gene_pages(opened, arms_of(opened, runs), quiet)
    assert "hapsight evaluate" in str(caught.value)
    evaluate(opened, arms_of(opened, runs), quiet)
    return planted, opened, runs


@pytest.fixture
def changing(planted):
    """What a test does to the run is undone for the next."""
    with put_back(planted[1].folder.path):
        yield


@pytest.fixture(scope="module")
def pages(planted):
    """The pages' contents, by gene, as they go to be drawn; and the paths."""
    _, opened, runs = planted
    kept = {}
    with pytest.MonkeyPatch.context() as patch:
        without_vega(patch)
        real = stage._page
        patch.setattr(stage, "_page", lambda o, g, v: kept.setdefault(g.gene_id, real(o, g, v)))
        paths = gene_pages(opened, arms_of(opened, runs), quiet, most=2)
    return kept, paths


def test_the_strongest_genes_of_each_direction_are_chosen(planted, pages):
    per_gene = pl.read_parquet(planted[1].folder.path / "evaluation/per_gene.parquet")
    ordered = per_gene.drop_nulls("pearson_r").sort("pearson_r")["gene_id"].to_list()
    assert set(pages[0]) == {*ordered[:2], *ordered[-2:]} == {"up1", "up2", "down1", "down2"}
    assert [path.stem for path in pages[1]] == list(pages[0])
    assert all(path.exists() for path in pages[1])


def test_the_driver_and_the_outcome_are_those_planted(pages):
    for gene_id, page in pages[0].items():
        (view,) = page.views
        assert view.has_driver
        row = view.variant
        assert row["driver"]
        assert row["r2"] == pytest.approx(1.0)
        right = gene_id.startswith("up")
        assert (view.result["pearson_r"] > 0) is right
        assert row["supported"] is right


def test_view_equals_the_tables_and_genotypes(planted, pages):
    """Effects, slopes, LD, drivers, dosages: each from its own source, by hand."""
    cohort, opened, _ = planted
    genotypes = GenotypeFile(cohort.folder / "genotypes.vcf.gz")
    effects = pl.read_parquet(opened.folder.path / "explain/toy.default/gene-down1.effects.parquet")
    nominal = pl.concat(
        pl.read_parquet(path) for path in (opened.folder.path / "eqtl").glob("block-*.nominal.parquet")
    ).filter(pl.col("phenotype_id") == "down1")
    (view,) = pages[0]["down1"].views
    gene = next(g for g in cohort.genes if g.gene_id == "down1")
    near, _ = genotypes.read(gene.cis(1500))
    row_of = {key: v for v, key in enumerate(zip(near.position.tolist(), near.ref, near.alt, strict=True))}
    key = ("position", "ref", "alt")
    inside = view.variants.filter("in_window")
    assert inside.select(*key, "effect").rows() == effects.sort("position").select(*key, "effect").rows()
    slopes = {row[:3]: row[3] for row in nominal.select(*key, "slope").iter_rows()}
    marked = near.dosage[row_of[tuple(view.variant[k] for k in key)]]
    for row in view.variants.iter_rows(named=True):
        name = tuple(row[k] for k in key)
        assert row["slope"] == slopes.get(name)
        r = np.corrcoef(near.dosage[row_of[name]], marked)[0, 1]
        assert row["r2"] == pytest.approx(r**2)
        assert row["tss_distance"] == row["position"] - gene.tss  # plus strand
    dosage = near.dosage[[row_of[name] for name in inside.select(key).iter_rows()]]
    values = pl.read_parquet(opened.folder.path / "predictions/toy.default/block-00001.values.parquet")
    values = values.filter((pl.col("gene_id") == "down1") & (pl.col("haplotype") > 0))["value"].to_numpy()
    predicted = values.astype(np.float64).reshape(-1, 2).mean(axis=1)
    found = sasse2023_drivers(inside["effect"].to_numpy(), dosage, predicted)
    assert inside["driver"].arg_true().to_list() == sorted(found.index.tolist())
    assert view.variant == inside.row(int(found.index[found.main]), named=True)
    np.testing.assert_allclose(np.sort(view.people["predicted"]), np.sort(predicted), rtol=1e-5)
    assert sorted(view.people["genotype"]) == sorted(marked.tolist())


def test_people_are_sorted_and_their_pairs_are_kept(planted, pages):
    (view,) = pages[0]["up1"].views
    assert view.people.equals(view.people.sort(list(PEOPLE)))
    r = np.corrcoef(view.people["predicted"], view.people["observed"])[0, 1]
    assert r == pytest.approx(view.result["pearson_r"], abs=1e-4)


def test_distances_and_windows_follow_the_strand(planted, pages):
    for gene in planted[0].genes:
        if gene.gene_id in pages[0]:
            (view,) = pages[0][gene.gene_id].views
            assert view.window == (-UPSTREAM, DOWNSTREAM - 1)
            length = UPSTREAM + DOWNSTREAM
            assert view.shown == (-UPSTREAM - length // 2, DOWNSTREAM - 1 + length // 2)
            inside = view.variants.filter("in_window")["tss_distance"]
            assert inside.min() >= -UPSTREAM - 5
            assert inside.max() < DOWNSTREAM


def test_letters_are_worth_the_models_weights(pages):
    """Of a linear model, a base is worth its weight less the mean of its place's, whatever the allele."""
    weights = ToyModel().weights.numpy().astype(np.float64)[:, :4]
    (view,) = pages[0]["down1"].views
    ref = view.logos[0]
    assert isinstance(ref, Logo)
    start = UPSTREAM + view.variant["tss_distance"] - ref.first
    codes = ["ACGT".index(letter) for letter in ref.letters]
    rows = weights[start : start + len(codes)]
    expected = rows[np.arange(len(codes)), codes] - rows.mean(axis=1)
    np.testing.assert_allclose(ref.worth, expected, atol=2e-5)
    assert ref.letters[ref.first : ref.last] == view.variant["ref"]
    assert "saturation mutagenesis" in view.logo_note


def test_no_sample_is_named_on_a_page(planted, pages):
    for path in pages[1]:
        text = path.read_text()
        assert not re.search(r"\bP0\d\d\b", text)
    assert planted[1].cohort.samples[0] == "P000"


@pytest.mark.usefixtures("changing")
def test_bases_that_an_ended_command_left_out_are_made(planted, pages):
    """It was ended after the effects of all genes were there, and before the numbers of single bases were."""
    _, opened, runs = planted
    gone = opened.folder.path / "explain/toy.default/saturation/up1.zarr"
    before = {path.relative_to(gone): path.read_bytes() for path in gone.rglob("*") if path.is_file()}
    shutil.rmtree(gone)
    gene_pages(opened, arms_of(opened, runs), quiet, ["up1"])
    assert {path.relative_to(gone): path.read_bytes() for path in gone.rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("changing")
def test_a_model_without_gradients_says_so(planted):
    _, opened, runs = planted
    plain = opened.config.explain.model_copy(update={"saturation": None})
    other = Opened.from_config(opened.config.model_copy(update={"explain": plain}))
    (path,) = gene_pages(other, arms_of(other, runs), quiet, ["up2"])
    assert "gives no gradients" in path.read_text()


@pytest.mark.usefixtures("changing")
def test_genes_by_name_leave_the_others_and_a_gene_without_variants_has_a_page(planted, pages):
    _, opened, runs = planted
    folder = opened.folder.path / "report/genes"
    before = {path.name for path in folder.iterdir()}
    (path,) = gene_pages(opened, arms_of(opened, runs), quiet, ["bare"])
    assert {path.name for path in folder.iterdir()} == before | {"bare.html", "bare.csv"}
    assert "No variant lies in the window" in path.read_text()
    gene_pages(opened, arms_of(opened, runs), quiet, most=1)
    assert "bare.html" not in {path.name for path in folder.iterdir()}
    with pytest.raises(ConfigError, match="1 of the genes to show") as caught:
        gene_pages(opened, arms_of(opened, runs), quiet, ["nobody"])
    assert "got: nobody" in str(caught.value)


@pytest.mark.usefixtures("changing")
def test_pages_are_of_the_genes_that_the_configuration_explains(planted, pages):
    _, opened, runs = planted
    explain = opened.config.explain.model_copy(update={"genes": ("UP2", "bare")})
    other = Opened.from_config(opened.config.model_copy(update={"explain": explain}))
    found = gene_pages(other, arms_of(other, runs), quiet)
    assert [path.stem for path in found] == ["up2", "bare"]
    assert {path.stem for path in found[0].parent.glob("*.html")} == {"up2", "bare"}


@pytest.mark.usefixtures("changing")
def test_stored_effects_are_not_computed_again(planted, monkeypatch):
    _, opened, runs = planted
    explain(opened, runs, quiet)
    monkeypatch.setattr(stage, "explain", lambda *_: pytest.fail("computed again"))
    assert len(gene_pages(opened, arms_of(opened, runs), quiet, most=1)) == 2


@pytest.mark.usefixtures("changing")
def test_stored_drivers_are_not_found_again(planted, pages, monkeypatch):
    """Unless they are those of another R: then they are looked for in what there is."""
    _, opened, runs = planted
    explain(opened, runs, quiet)
    drivers(opened, arms_of(opened, runs), quiet, ())
    kept, real, find, found = {}, stage._page, stage.sasse2023_drivers, []
    monkeypatch.setattr(stage, "_page", lambda o, g, v: kept.setdefault(g.gene_id, real(o, g, v)))
    monkeypatch.setattr(stage, "sasse2023_drivers", lambda *given: found.append(1) or find(*given))
    gene_pages(opened, arms_of(opened, runs), quiet, most=2)
    assert not found
    assert kept.keys() == pages[0].keys()
    for gene_id, page in kept.items():
        (own,), (twin,) = page.views, pages[0][gene_id].views
        assert_frame_equal(own.variants, twin.variants)
        for name in ("marked", "driver_status", "n_drivers", "additivity"):
            assert getattr(own, name) == getattr(twin, name)
    path = opened.folder.path / "explain/drivers.parquet"
    table = pl.read_parquet(path)
    table.with_columns(pl.col("pearson_r") / 2).write_parquet(path)
    gene_pages(opened, arms_of(opened, runs), quiet, ["up1"])
    assert found == [1]


@pytest.mark.usefixtures("changing")
def test_motifs_come_from_the_drivers_table(planted):
    from hapsight.explain.motifs import Motif

    _, opened, runs = planted
    explain(opened, runs, quiet)
    (path,) = gene_pages(opened, arms_of(opened, runs), quiet, ["up1"])
    assert "were not looked for" in path.read_text()
    motif = Motif("M1", "planted motif", np.full((4, 4), 0.01) + 0.96 * np.eye(4))
    drivers(opened, arms_of(opened, runs), quiet, [motif])
    (path,) = gene_pages(opened, arms_of(opened, runs), quiet, ["up1"])
    assert "were not looked for" not in path.read_text()
    assert "JASPAR motif" in path.read_text()


@pytest.mark.usefixtures("changing")
def test_no_gene_with_an_r_gives_no_page(planted):
    _, opened, runs = planted
    path = opened.folder.path / "evaluation/per_gene.parquet"
    table = pl.read_parquet(path)
    table.with_columns(pearson_r=pl.lit(None, pl.Float64)).write_parquet(path)
    assert gene_pages(opened, arms_of(opened, runs), quiet) == []
    table.filter(pl.col("gene_id") != "up1").write_parquet(path)
    with pytest.raises(IncompleteError, match="is not evaluated") as caught:
        gene_pages(opened, arms_of(opened, runs), quiet, ["up1"])
    assert "7 genes of toy, read-out default" in str(caught.value)
    table.write_parquet(path)


@pytest.mark.usefixtures("changing")
def test_the_command(planted):
    cohort, opened, _ = planted
    app = typer.Typer()
    register_command(app)
    app.callback()(lambda: None)
    with register("toy", load_toy):
        found = CliRunner().invoke(app, ["pages", str(cohort.config), "up1"], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    assert "up1.html" in found.output.replace("\n", "")
    stages = json.loads((opened.folder.path / "run.json").read_text())["stages"]
    assert next(s for s in stages if s["name"] == "gene pages")["detail"] == "1 page"
