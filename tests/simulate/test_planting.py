from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from hapsight.cohort.join import Cohort
from hapsight.cohort.nouns import Interval
from hapsight.dna import decode, encode
from hapsight.simulate.cohort import Edit, Planter, patched
from hapsight.simulate.design import Grammar, Motif
from tests.simulate.source import open_source

GRAMMAR = Grammar(reach=600)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return open_source(tmp_path_factory.mktemp("source"))


def planter(source: Cohort, grammar: Grammar = GRAMMAR, partners: bool = False) -> Planter:
    return Planter(grammar, lambda i: source.genotypes.read(i)[0], source.reference.fetch, 0.1, partners)


def test_patched_overlaps_on_either_side() -> None:
    edits = [Edit("c", 8, encode("GGGG")), Edit("c", 18, encode("TTTT")), Edit("c", 40, encode("C"))]
    assert decode(patched(encode("A" * 10), 10, edits)) == "GGAAAAAATT"


@pytest.mark.parametrize("seed", range(5))
def test_motifs_over_planted_variants_reach_nothing_else_that_is_planted(source: Cohort, seed: int) -> None:
    plant, rng = planter(source, partners=True), np.random.default_rng(seed)
    edits = [edit for gene in source.genes for edit in plant.plant(gene, 4, rng) or []]
    assert sum(edit.variant is None for edit in edits) > 2
    for one, other in combinations(edits, 2):
        if one.contig == other.contig:
            first, second = sorted((one, other), key=lambda edit: edit.start)
            assert second.start - first.end >= GRAMMAR.widest - 1


def test_the_alleles_of_a_planted_variant_differ_by_a_motif(source: Cohort) -> None:
    grammar = Grammar((Motif("own_reverse", "CACGTGAY", 0.3),), reach=600)
    plant = planter(source, grammar)
    for gene in source.genes:
        window = gene.cis(600)
        edits = plant.plant(gene, 2, np.random.default_rng(3))
        assert edits is not None
        codes = patched(source.reference.fetch(window), window.start, plant.edits[gene.contig])
        for edit in edits:
            variants, _ = source.genotypes.read(Interval(gene.contig, edit.start, edit.end))
            assert variants.position.tolist() == [edit.variant]
            ref, alt = codes.copy(), codes.copy()
            at = int(variants.position[0]) - window.start
            assert decode(codes[at : at + 1]) == variants.ref[0]
            alt[at] = encode(variants.alt[0])[0]
            with_ref, with_alt = grammar.counts(np.stack([ref, alt]))[:, 0]
            assert with_ref != with_alt


def test_a_gene_that_has_too_few_leaves_no_trace(source: Cohort) -> None:
    plant = planter(source)
    assert plant.plant(source.genes[0], 1_000, np.random.default_rng(1)) is None
    assert plant.edits == {source.genes[0].contig: []}
