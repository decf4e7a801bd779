"""Effects, drivers and a gene's page of a model other than Xpresso: Basenji2, narrow, of random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hapsight.explain.tables import BACKGROUND_DEPENDENT, DRIVERS, EXPLAIN_ADDITIVITY, EXPLAIN_EFFECTS
from hapsight.files import file_name
from hapsight.models.basenji2 import load
from hapsight.run.arms import arms_of
from hapsight.run.arrays import open_array
from hapsight.run.config import load_config
from hapsight.run.opened import Opened
from hapsight.stages.drivers import drivers, saturate_drivers
from hapsight.stages.evaluate import evaluate
from hapsight.stages.explain import explain
from hapsight.stages.gene_pages import gene_pages
from hapsight.stages.predict import load_models, predict
from tests.conftest import without_vega
from tests.planted import quiet
from tests.stages.test_every_model import write_config

pytest.importorskip("zarr")
pytest.importorskip("vl_convert")

EXPLAIN = """
[eqtl]
run = false
[explain]
backgrounds = 1
gradients = true
saturation = [-4, 4]
saturation_around = "driver"
"""
FOLDER = f"run/explain/{file_name('basenji2/random:1-width24', 'huang2023_single')}"


@pytest.fixture(scope="module")
def explained(tmp_path_factory) -> Path:
    """All stages up to the page, one after another."""
    folder = tmp_path_factory.mktemp("basenji2")
    config = write_config(folder, "basenji2", 'weights = "random:1"\noptions = {width = 24}', people=8)
    config.write_text(config.read_text() + EXPLAIN)
    opened = Opened.from_config(load_config(config))
    runs = load_models(opened)
    opened.begin()
    predict(opened, runs, quiet)
    arms = arms_of(opened, runs)
    evaluate(opened, arms, quiet)
    explain(opened, runs, quiet)
    drivers(opened, arms, quiet, ())
    saturate_drivers(opened, runs, quiet)
    with pytest.MonkeyPatch.context() as patch:
        without_vega(patch)
        gene_pages(opened, arms, quiet, [opened.cohort.genes[0].gene_id], individuals=True)
    return folder


def table(folder: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(folder / f"{name}.parquet")


def test_tables_are_whole(explained):
    schemas = {
        "effects": EXPLAIN_EFFECTS,
        "background_dependent": BACKGROUND_DEPENDENT,
        "additivity": EXPLAIN_ADDITIVITY,
    }
    for name, schema in schemas.items():
        assert dict(table(explained / FOLDER, name).schema) == schema, name
    effects = table(explained / FOLDER, "effects")
    assert len(effects) > 50
    assert np.isfinite(effects["effect"].to_numpy()).all()
    (additivity,) = table(explained / FOLDER, "additivity").iter_rows(named=True)
    assert additivity["n_variants"] == len(effects)
    assert additivity["distinct"] < additivity["asked"]


def test_only_variants_within_the_centre_bins_reach_have_an_effect(explained):
    model = load("random:1", width=24)
    first, last = model.bases(model.read_out())
    (path,) = (explained / FOLDER / "gradients").glob("*.zarr")
    place = pl.col("position") - open_array(path)[1]["start"]
    near = place.is_between(first, last - 1)
    effects = table(explained / FOLDER, "effects").filter(pl.col("ref").str.len_chars() == 1)
    assert 0 < len(effects.filter(near)) < len(effects)
    assert (effects.filter(~near)["effect"] == 0).all()
    assert (effects.filter(near)["effect"] != 0).mean() > 0.9


def test_the_driver_is_one_of_the_effects(explained):
    found = table(explained / "run/explain", "drivers")
    assert dict(found.schema) == DRIVERS
    assert found["form"].to_list() == ["sasse2023", "rastogi"]
    effects = table(explained / FOLDER, "effects")
    for row in found.iter_rows(named=True):
        assert row["model"] == "basenji2/random:1-width24"
        assert row["status"] == "ok"
        assert row["n_drivers"] > 0
        own = effects.row(by_predicate=pl.col("variant_id") == row["variant_id"], named=True)
        assert row["effect"] == own["effect"] != 0


def test_arrays_of_single_bases_are_there(explained):
    row = table(explained / "run/explain", "drivers").row(0, named=True)
    (path,) = [p for p in (explained / FOLDER / "saturation").glob("*.zarr") if "driver" in p.name]
    saturation, labels = open_array(path)
    assert saturation.shape == (8, 4, 1)
    assert labels["centre"] == row["position"]
    (path,) = (explained / FOLDER / "gradients").glob("*.zarr")
    gradients, _ = open_array(path)
    assert gradients.shape == (131_072, 4, 1)
    model = load("random:1", width=24)
    first, last = model.bases(model.read_out())
    size = np.abs(gradients[:][..., 0]).max(axis=1)
    assert not size[:first].any()
    assert not size[last:].any()
    assert (size[first:last] > 0).mean() > 0.5


def test_the_page_is_written(explained):
    row = table(explained / "run/explain", "drivers").row(0, named=True)
    (page,) = (explained / "run/report/genes").glob("*.html")
    text = page.read_text()
    assert page.stem == row["gene_id"]
    assert "basenji2/random:1-width24" in text
    assert row["variant_id"] in text
    shown = pl.read_csv(page.with_suffix(".csv"))
    assert shown.filter("driver")["variant_id"].to_list() != []
