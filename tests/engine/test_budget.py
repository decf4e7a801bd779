"""The memory budget: obeyed, refused where it is absurd, and of no account to the numbers."""

import numpy as np
import pytest
import torch

from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.reference import Reference
from hapsight.engine import buffers, engine
from hapsight.engine.buffers import Buffer
from hapsight.engine.engine import Valuer, least_budget, predict_genes
from hapsight.engine.views import Sequences
from hapsight.errors import ConfigError
from hapsight.sequence import haplotypes
from tests.engine.toy_shared import ToyShared, ToyWindowed
from tests.planted import ToyModel, write_planted


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return write_planted(tmp_path_factory.mktemp("planted"), people=12, names=("up1", "down1", "bare"))


def predict(planted, model, budget: int, read_out: str | None = None):
    genotypes = GenotypeFile(planted.folder / "genotypes.vcf.gz")
    fetch = Reference(planted.folder / "genome.fa.gz").fetch
    sequences = Sequences(
        model, model.read_out(read_out), lambda interval: genotypes.read(interval)[0], fetch
    )
    return predict_genes(sequences, planted.genes, batch_size=8, device="cpu", budget=budget)


@pytest.mark.parametrize(
    ("model", "read_out"), [(ToyModel, None), (ToyShared, None), (ToyShared, "ensemble"), (ToyWindowed, None)]
)
def test_the_smallest_budget_gives_the_same_numbers(planted, monkeypatch, model, read_out):
    expected = predict(planted, model(), 2**30, read_out)
    asked = []

    def allocate(shape, dtype, room):
        asked.append(room)
        return Buffer(torch.empty(shape, dtype=dtype))

    monkeypatch.setattr(Buffer, "allocate", allocate)
    monkeypatch.setattr(engine, "_BLOCK_BYTES", 1)
    monkeypatch.setattr(haplotypes, "_BLOCK_BYTES", 1)
    monkeypatch.setattr(buffers, "_BLOCK_BYTES", 1)
    least = least_budget(model())
    found = predict(planted, model(), least, read_out)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.values, b.values, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(a.reference, b.reference, rtol=1e-6, atol=1e-6)
        assert a.index.tolist() == b.index.tolist()
        assert a.flop == b.flop
    assert max(asked, default=0) <= least // 3


def test_sequences_beyond_the_budget_lie_in_a_file(planted):
    model = ToyShared()
    small, large = (predict(planted, model, budget) for budget in (least_budget(model), 2**30))
    for a, b in zip(small, large, strict=True):
        np.testing.assert_allclose(a.values, b.values, rtol=1e-6, atol=1e-6)


def test_a_budget_without_room_for_a_sequence_is_refused(planted):
    model = ToyModel()
    with pytest.raises(ConfigError, match="no room for one sequence") as error:
        predict(planted, model, least_budget(model) - 1)
    assert "budget_gb of [predict]; model toy, 500 bp" in str(error.value)
    assert "expected: at least 2.2e-05" in str(error.value)


def test_no_more_sequences_in_a_batch_than_there_is_room_for(planted):
    sizes = []

    class Watched(ToyModel):
        def predict(self, codes, read_out):
            sizes.append(len(codes))
            return super().predict(codes, read_out)

    predict(planted, Watched(), 3 * least_budget(ToyModel()))
    assert set(sizes) == {3}


@pytest.mark.parametrize("budget", [None, 3 * 2**20])
def test_sequences_of_no_person_have_a_third_of_the_budget_too(monkeypatch, budget):
    given, real = [], engine.shared_values

    def watched(*args, **options):
        given.append(options["budget"])
        return real(*args, **options)

    monkeypatch.setattr(engine, "shared_values", watched)
    model = ToyShared()
    Valuer(model, model.read_out(), "cpu", budget=budget)(np.zeros((2, model.window.length), np.uint8))
    assert given == [2**20 if budget else 2 * 2**30 // 3]
