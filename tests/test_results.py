"""A run folder as an object, and what anndata and xarray make of it."""

from __future__ import annotations

import json
import os
import shutil
import sys

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import hapsight as hs
from hapsight.errors import ConfigError, IncompleteError, MissingExtraError, StoreError
from hapsight.results import Run
from hapsight.tables import PER_GENE
from tests.planted import ToyModel


@pytest.fixture(scope="module")
def planted(finished):
    return finished[0]


@pytest.fixture(scope="module")
def run(planted):
    return hs.read_run(planted.folder / "run")


@pytest.fixture
def copied(planted, tmp_path):
    """A run folder to break."""
    return shutil.copytree(planted.folder / "run", tmp_path / "run")


class TestTables:
    def test_are_attributes_by_name(self, planted, run):
        assert {"per_gene", "across_genes", "direction", "direction_genes", "dropped", "cis_qtl"} <= set(
            run.tables
        )
        for name in run.tables:
            (path,) = (planted.folder / "run").rglob(f"{name}.parquet")
            assert len(getattr(run, name)) == len(pl.read_parquet(path)), name
            file = str(path.relative_to(planted.folder / "run")).removesuffix(".parquet")
            assert_frame_equal(run.table(file), getattr(run, name), check_dtypes=False)
        assert run.per_gene.schema == pl.Schema(PER_GENE)
        assert run.per_gene is run.per_gene

    def test_are_read_again_where_the_run_has_gone_on(self, copied):
        run = hs.read_run(copied)
        before, record, path = run.per_gene, run.record, copied / "evaluation/per_gene.parquet"
        table = before.with_columns(pearson_r=-pl.col("pearson_r"))
        table.write_parquet(path.with_name("new"))
        os.replace(path.with_name("new"), path)
        (copied / "run.json").write_text(json.dumps(record | {"models": []}))
        assert_frame_equal(run.per_gene, table)
        assert run.per_gene is run.per_gene
        assert not run.record["models"]
        with pytest.raises(ConfigError, match="no such model"):
            run.predictions()

    def test_say_what_they_are(self):
        assert Run.per_gene.__doc__.startswith(
            "R and its tests, by gene and model (``evaluation/per_gene.parquet``"
        )

    def test_become_those_of_pandas(self, run):
        """What the extra `notebook` has pyarrow for."""
        pandas = pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        found = run.per_gene.to_pandas()
        read = pandas.read_parquet(run.folder / "evaluation/per_gene.parquet")
        assert len(found) == len(read) == len(run.per_gene)
        assert found["pearson_r"].dropna().to_list() == run.per_gene["pearson_r"].drop_nulls().to_list()
        assert list(found.columns) == list(read.columns)

    def test_one_that_is_not_there_says_what_makes_it(self, copied):
        (copied / "eqtl/cis_qtl.parquet").unlink()
        broken = hs.read_run(copied)
        assert "cis_qtl" not in broken.tables
        with pytest.raises(StoreError, match=r"run `hapsight eqtl .*config\.toml` first"):
            broken.cis_qtl  # noqa: B018
        for file in ("informed/per_gene", "../planted"):
            with pytest.raises(StoreError, match="no such table"):
                broken.table(file)

    @pytest.mark.parametrize("length", [0, 7, 200])
    def test_one_that_is_damaged_is_told_however_it_is_asked_for(self, copied, length):
        path = copied / "evaluation/per_gene.parquet"
        path.write_bytes(path.read_bytes()[:length])
        for asked in (lambda run: run.per_gene, lambda run: run.table("evaluation/per_gene")):
            with pytest.raises(StoreError, match=r"cannot be read[\s\S]*per_gene\.parquet"):
                asked(hs.read_run(copied))

    def test_a_folder_that_is_no_run(self, tmp_path):
        with pytest.raises(StoreError, match=r"no run.json"):
            hs.read_run(tmp_path)


class TestPredictions:
    def test_are_those_of_the_last_configuration(self, planted, run, copied):
        values = run.predictions("toy")
        assert len(values) == 7 * (1 + 2 * 60)
        store = copied / "predictions/toy.default"
        for path in store.glob("block-00000.*"):  # what another configuration left beside it
            shutil.copy(path, path.with_name(path.name.replace("block-00000", "block-00000-3f9a2c1b4d5e")))
        assert_frame_equal(hs.read_run(copied).predictions(), values)

    def test_a_damaged_unit_is_not_read(self, copied):
        path = next((copied / "predictions/toy.default").glob("*.values.parquet"))
        pl.read_parquet(path).with_columns(value=pl.lit(0.0, pl.Float32)).write_parquet(path)
        with pytest.raises(IncompleteError, match="1 of 4 units"):
            hs.read_run(copied).predictions()

    def test_of_several_one_must_be_named(self, copied):
        record = json.loads((copied / "run.json").read_text())
        record["models"].append(record["models"][0] | {"name": "other"})
        (copied / "run.json").write_text(json.dumps(record))
        broken = hs.read_run(copied)
        assert len(broken.predictions("toy")) == 7 * (1 + 2 * 60)
        for name in (None, "tony"):
            with pytest.raises(ConfigError, match=r"one of: toy \(read_out 'default'\); other"):
                broken.predictions(name)

    def test_a_record_without_units_is_an_older_ones(self, copied):
        record = json.loads((copied / "run.json").read_text())
        del record["models"][0]["units"]
        (copied / "run.json").write_text(json.dumps(record))
        with pytest.raises(StoreError, match="evaluate the run again"):
            hs.read_run(copied).predictions()


class TestAnndata:
    def test_people_by_genes_a_layer_for_each_model(self, planted, run):
        pytest.importorskip("anndata")
        found = run.to_anndata()
        samples = [f"P{i:03d}" for i in range(60)]
        assert (list(found.obs_names), list(found.var_names)) == (samples, [g.gene_id for g in planted.genes])
        assert set(found.obs["population"]) == {"CEU", "TSI"}
        assert found.var.loc["up2", ["gene_name", "tss", "strand"]].to_list() == ["UP2", 8_000, "-"]
        assert list(found.layers) == ["toy", "elastic_net", "blup", "top_snp"]
        rows = run.predictions().filter(pl.col("gene_id") == "up2", pl.col("sample_id") == "P007")["value"]
        assert found[samples[7], "up2"].X.item() == pytest.approx(rows.mean())
        held = run.held_out("blup").filter(pl.col("gene_id") == "up1")["predicted"].to_numpy()
        np.testing.assert_array_equal(found[:, "up1"].layers["blup"].ravel(), held)

    def test_populations_are_missing_where_the_sheet_is(self, copied):
        pytest.importorskip("anndata")
        config = copied / "config.toml"
        config.write_text(config.read_text().replace("samples.tsv", "gone.tsv"))
        assert hs.read_run(copied).to_anndata().obs["population"].isna().all()

    def test_can_be_written(self, run, tmp_path):
        anndata = pytest.importorskip("anndata")
        run.to_anndata().write_h5ad(tmp_path / "a.h5ad")
        assert anndata.read_h5ad(tmp_path / "a.h5ad").shape == (60, 7)


class TestXarray:
    def test_values_by_gene_person_haplotype_and_track(self, run):
        pytest.importorskip("xarray")
        found = run.to_xarray()
        assert dict(found.sizes) == {"gene": 7, "sample": 60, "haplotype": 2, "track": 1}
        (row,) = run.predictions().filter(gene_id="down1", sample_id="P011", haplotype=2).to_dicts()
        assert (
            found.value.sel(gene="down1", sample="P011", haplotype=2, track="expression").item()
            == row["value"]
        )
        (row,) = run.predictions().filter(gene_id="down1", haplotype=0).to_dicts()
        assert found.reference.sel(gene="down1").item() == row["value"]

    def test_one_genes_prediction(self, planted, run):
        pytest.importorskip("xarray")
        files = [planted.folder / name for name in ("genotypes.vcf.gz", "genome.fa.gz", "expression.bed.gz")]
        cohort, model = hs.open_cohort(*files, genes=planted.folder / "genes.tsv"), ToyModel()
        found = hs.predict(model, hs.haplotypes(cohort, "up1", model.window)).to_xarray()
        assert found.value.dims == ("sample", "haplotype", "track")
        kept = run.to_xarray().value.sel(gene="up1")
        np.testing.assert_array_equal(found.value.astype(np.float32), kept)

    def test_opens_the_arrays_of_explain(self, planted, run):
        xarray = pytest.importorskip("xarray")
        for gene in planted.genes[:2]:
            found = xarray.open_zarr(run.folder / f"explain/toy.default/saturation/{gene.gene_id}.zarr")
            assert found.effect.dims == ("position", "base", "track")
            assert dict(found.sizes) == {"position": 7, "base": 4, "track": 1}
            assert "".join(found.base.values) == "ACGT"
            assert list(found.track.values) == ["expression"]
            assert found.attrs["gene_id"] == gene.gene_id
            up = 4 if gene.strand == "+" else 2
            assert found.position.values.tolist() == list(range(gene.tss - up, gene.tss - up + 7))


@pytest.mark.parametrize(("package", "method"), [("xarray", "to_xarray"), ("anndata", "to_anndata")])
def test_without_the_extra_its_name_is_said(run, monkeypatch, package, method):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"{package} is not installed(.|\n)*hapsight\[notebook\]"):
        getattr(run, method)()
