import threading

import numpy as np
import pytest
import torch

from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.reference import Reference
from hapsight.engine import engine
from hapsight.engine.engine import predict_genes
from hapsight.engine.outputs import whole_values
from hapsight.engine.views import Sequences
from hapsight.errors import ModelError
from hapsight.models.protocol import ModelWindow
from tests.engine.toy_shared import ToyShared
from tests.planted import DOWNSTREAM, UPSTREAM, ToyModel, write_planted
from tests.sequence.naive import Base, naive_contig, window_of


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return write_planted(tmp_path_factory.mktemp("planted"), people=12)


def predict(planted, batch_size: int):
    genotypes = GenotypeFile(planted.folder / "genotypes.vcf.gz")
    reference = Reference(planted.folder / "genome.fa.gz")
    model = ToyModel()
    found = predict_genes(
        Sequences(model, model.read_out(), lambda interval: genotypes.read(interval)[0], reference.fetch),
        planted.genes,
        batch_size=batch_size,
        device=torch.device("cpu"),
    )
    return found, genotypes, reference


def naive_value(contig: list[Base], window, weights: np.ndarray) -> float:
    """Base by base, the toy model on the naive builder's haplotype."""
    bases = "".join(base for base, _ in window_of(contig, window))
    if window.reverse:
        bases = bases[::-1].translate(str.maketrans("ACGT", "TGCA"))
    return float(sum(weights[i, "ACGTN".index(base)] for i, base in enumerate(bases)))


def test_every_person_and_haplotype_equals_the_naive_pass(planted):
    from hapsight.cohort.nouns import Interval
    from hapsight.dna import decode
    from hapsight.sequence.haplotypes import Window

    found, genotypes, reference = predict(planted, batch_size=8)
    everything = Interval("chr1", 0, reference.contigs["chr1"])
    variants, sequence = genotypes.read(everything)[0], decode(reference.fetch(everything))
    weights = ToyModel().weights.numpy().astype(np.float64)
    assert [prediction.values.shape for prediction in found] == [(12, 2, 1)] * len(planted.genes)
    for person, haplotype in np.ndindex(12, 2):
        contig = naive_contig(sequence, variants, person, haplotype)
        for gene, prediction in zip(planted.genes, found, strict=True):
            window = Window.around(gene, UPSTREAM, DOWNSTREAM, oriented=True)
            expected = naive_value(contig, window, weights)
            assert prediction.values[person, haplotype, 0] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("batch_size", [1, 5, 1000])
def test_batches_do_not_matter(planted, batch_size):
    one, other = predict(planted, 8)[0], predict(planted, batch_size)[0]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a.values, b.values, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(a.reference, b.reference, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("length", "rows"), [(500, 64), (16_384, 64), (196_608, 5), (2_000_000, 1)])
def test_batches_of_wide_windows_hold_fewer_sequences(length, rows):
    """Embeddings of 64 windows of Enformer's width took more than 7 GB in a network a sixteenth as wide."""
    model, seen = ToyModel(), []
    model.window = ModelWindow(length - 1, 1, oriented=True)
    model.predict = lambda codes, _: seen.append(tuple(codes.shape)) or codes[:, :1].float()
    values = whole_values(model, model.read_out(), np.zeros((2, length), np.uint8), 64, "cpu")
    assert (values == 0).all()
    assert set(seen) == {(rows, length)}


def test_a_gene_without_variants_has_one_distinct_sequence(planted):
    bare = predict(planted, 8)[0][-1]
    assert bare.gene_id == "bare"
    assert bare.n_variants == 0
    assert bare.distinct.shape == (1, 1)
    assert bare.distinct[0] == bare.reference


def test_no_genes(planted):
    genotypes = GenotypeFile(planted.folder / "genotypes.vcf.gz")
    fetch, model = Reference(planted.folder / "genome.fa.gz").fetch, ToyModel()
    sequences = Sequences(model, model.read_out(), lambda interval: genotypes.read(interval)[0], fetch)
    assert predict_genes(sequences, [], batch_size=4, device=torch.device("cpu")) == []


def shared_values_of(planted, monkeypatch, together: int, fail: str | None = None):
    """Predictions of a shared model whose genes are prepared by so many threads."""
    genotypes, inside = GenotypeFile(planted.folder / "genotypes.vcf.gz"), []

    def read(interval):
        inside.append(interval)
        assert len(inside) == 1, "files are read by one thread at a time"
        try:
            return genotypes.read(interval)[0]
        finally:
            inside.pop()

    class Failing(ToyShared):
        def span(self, read_out):
            if threading.current_thread() is not threading.main_thread() and fail:
                raise ModelError("No span.", where="toy", expected="a span", got=fail)
            return super().span(read_out)

    monkeypatch.setattr(engine, "_threads", lambda device: together)
    model = Failing()
    sequences = Sequences(model, model.read_out(), read, Reference(planted.folder / "genome.fa.gz").fetch)
    return predict_genes(sequences, planted.genes, batch_size=8, device="cpu")


@pytest.mark.parametrize("together", [2, 5, 100])
def test_genes_prepared_by_threads_are_the_same_in_the_same_order(planted, monkeypatch, together):
    one, other = (shared_values_of(planted, monkeypatch, count) for count in (0, together))
    assert [found.gene_id for found in other] == [gene.gene_id for gene in planted.genes]
    for a, b in zip(one, other, strict=True):
        assert (a.samples, a.flop, a.n_variants) == (b.samples, b.flop, b.n_variants)
        np.testing.assert_array_equal(a.distinct, b.distinct)
        np.testing.assert_array_equal(a.index, b.index)


def test_what_fails_in_a_thread_names_its_gene(planted, monkeypatch):
    with pytest.raises(ModelError, match=f"gene {planted.genes[0].gene_id}"):
        shared_values_of(planted, monkeypatch, 3, fail="none")
