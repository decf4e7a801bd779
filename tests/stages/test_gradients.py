"""Gradients on disk: of a linear model they are its weights, on the forward strand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hapsight.cohort.nouns import Interval, Strand
from hapsight.errors import ConfigError
from hapsight.models.forward import one_hot
from hapsight.run.arrays import open_array
from hapsight.stages.explain import explain
from tests.planted import DOWNSTREAM, UPSTREAM, ToyModel, opened_with_models, quiet, write_planted

pytest.importorskip("zarr")

SECTION = """
[explain]
genes = ["up1", "up2"]
gradients = true
tracks = "bedgraph"
"""


class Differentiable(ToyModel):
    """The toy, whose bases go through `one_hot`."""

    def predict(self, codes: torch.Tensor, read_out: object) -> torch.Tensor:
        return (one_hot(codes) * self.weights[:, :4].T).sum(dim=(1, 2))[:, None]


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    planted = write_planted(tmp_path_factory.mktemp("gradients"), people=10)
    planted.config.write_text(planted.config.read_text() + SECTION)
    opened, runs = opened_with_models(planted.config, lambda *_, **__: Differentiable())
    opened.begin()
    explain(opened, runs, quiet)
    return planted, opened, runs


def test_the_array_is_the_models_weights_on_the_forward_strand(planted):
    cohort, opened, _ = planted
    weights = ToyModel().weights.numpy()[:, :4]
    for gene in cohort.genes[:2]:
        minus = gene.strand is Strand.MINUS
        folder = opened.folder.path / "explain/toy.default/gradients"
        array, labels = open_array(folder / f"{gene.gene_id}.zarr")
        assert array.shape == (UPSTREAM + DOWNSTREAM, 4, 1)
        assert array.dtype == np.float32
        start = gene.tss - (DOWNSTREAM - 1 if minus else UPSTREAM)
        expected = {"contig": "chr1", "start": start, "strand": gene.strand, "model": "toy", "bases": "ACGT"}
        assert expected.items() <= labels.items()
        np.testing.assert_array_equal(array[:][..., 0], weights[::-1, ::-1] if minus else weights)


def test_the_track_is_the_gradient_at_the_base_that_is_there(planted):
    cohort, opened, _ = planted
    for gene in cohort.genes[:2]:
        folder = opened.folder.path / "explain/toy.default/gradients"
        array, _ = open_array(folder / f"{gene.gene_id}.zarr")
        lines = (folder / f"{gene.gene_id}.expression.bedgraph").read_text().splitlines()
        assert len(lines) == UPSTREAM + DOWNSTREAM
        for line, row in zip(lines, array[:][..., 0], strict=True):
            contig, start, end, value = line.split("\t")
            base = opened.cohort.reference.fetch(Interval(contig, int(start), int(end)))[0]
            assert float(value) == pytest.approx(row[base], rel=1e-5)


def test_what_is_there_is_kept(planted):
    _, opened, runs = planted
    before = {path: path.stat().st_mtime_ns for path in opened.folder.path.rglob("gradients/*")}
    assert len(before) == 4
    explain(opened, runs, quiet)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_model_without_gradients_is_refused_and_its_effects_are_kept(tmp_path):
    cohort = write_planted(tmp_path, people=10)
    cohort.config.write_text(cohort.config.read_text() + SECTION)
    opened, runs = opened_with_models(cohort.config)
    opened.begin()
    with pytest.raises(ConfigError, match="gives no gradients"):
        explain(opened, runs, quiet)
    assert (opened.folder.path / "explain/toy.default/effects.parquet").exists()
