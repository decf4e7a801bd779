import numpy as np
import pytest
import torch

from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.reference import Reference
from hapsight.predict.engine import Sequences, predict_genes
from tests.planted import DOWNSTREAM, UPSTREAM, ToyModel, write_planted
from tests.sequence.naive import naive_window


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


def naive_value(sequence: str, window, variants, person: int, haplotype: int, reverse: bool) -> float:
    """Base by base, the toy model on the naive builder's haplotype."""
    bases = "".join(base for base, _ in naive_window(sequence, variants, window, person, haplotype))
    if reverse:
        bases = bases[::-1].translate(str.maketrans("ACGT", "TGCA"))
    weights = ToyModel().weights.numpy().astype(np.float64)
    return float(sum(weights[i, "ACGTN".index(base)] for i, base in enumerate(bases)))


def test_every_person_and_haplotype_equals_the_naive_pass(planted):
    from hapsight.cohort.nouns import Interval
    from hapsight.dna import decode
    from hapsight.sequence.window import Window

    found, genotypes, reference = predict(planted, batch_size=8)
    everything = Interval("chr1", 0, reference.contigs["chr1"])
    variants, sequence = genotypes.read(everything)[0], decode(reference.fetch(everything))
    for gene, prediction in zip(planted.genes, found, strict=True):
        window = Window.around(gene, UPSTREAM, DOWNSTREAM, oriented=True)
        assert prediction.values.shape == (12, 2, 1)
        for person in range(12):
            for haplotype in range(2):
                expected = naive_value(sequence, window, variants, person, haplotype, window.reverse)
                assert prediction.values[person, haplotype, 0] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("batch_size", [1, 5, 1000])
def test_batches_do_not_matter(planted, batch_size):
    one, other = predict(planted, 8)[0], predict(planted, batch_size)[0]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a.values, b.values, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(a.reference, b.reference, rtol=1e-5, atol=1e-4)


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
