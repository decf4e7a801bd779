"""Splits: nothing on two sides, ever."""

import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hapsight.cohort.matching import parse_region
from hapsight.cohort.nouns import Gene, Interval
from hapsight.errors import ConfigError
from hapsight.train.splits import GeneRule, PeopleRule, Split, make_split, require_windows_apart

SAMPLES = tuple(f"P{i:03d}" for i in range(60))
POPULATIONS = tuple(("CEU", "FIN", "TSI")[i % 3] for i in range(60))


def genes_at(positions) -> tuple[Gene, ...]:
    return tuple(Gene(f"g{i}", "chr1", int(tss)) for i, tss in enumerate(sorted(positions)))


def windows_of(genes, reach: int = 50) -> dict[str, Interval]:
    return {gene.gene_id: Interval(gene.contig, gene.tss - reach, gene.tss + reach) for gene in genes}


def split_of(genes, people=None, rule=None, seed=1, reach=50) -> Split:
    people, rule = people or PeopleRule(), rule or GeneRule(block=1000)
    return make_split(SAMPLES, POPULATIONS, genes, windows_of(genes, reach), people, rule, seed)


GENES = genes_at(range(500, 40_500, 400))


@settings(max_examples=60, deadline=None)
@given(
    positions=st.sets(st.integers(1000, 60_000), min_size=12, max_size=60),
    seed=st.integers(0, 1000),
    reach=st.integers(1, 900),
)
def test_no_base_of_a_seen_gene_is_in_an_unseen_ones_window(positions, seed, reach):
    genes = genes_at(positions)
    held_out = (Interval("chr1", 20_000, 22_000),)
    try:
        split = split_of(genes, rule=GeneRule(0.3, 5000, held_out), seed=seed, reach=reach)
    except ConfigError:
        assume(False)  # nothing is left to train on
    windows = windows_of(genes, reach)
    for seen in split.seen_genes:
        for other in [windows[name] for name in split.unseen_genes] + list(held_out):
            assert windows[seen].end <= other.start or other.end <= windows[seen].start
    assert sorted(split.seen_genes + split.unseen_genes + split.guard_genes) == sorted(windows)
    assert len(split.unseen_genes) >= 0.3 * len(genes)
    blocks = {g.gene_id: g.tss // 5000 for g in genes if not 20_000 <= g.tss < 22_000}
    unseen_blocks = {blocks[name] for name in split.unseen_genes if name in blocks}
    for name in split.seen_genes:
        assert blocks[name] not in unseen_blocks


def test_people_are_dealt_once_each():
    split = split_of(GENES)
    sides = (split.train_people, split.valid_people, split.test_people)
    assert [len(side) for side in sides] == [43, 5, 12]
    assert sorted(sum(sides, ())) == sorted(SAMPLES)
    assert split == split_of(GENES)
    assert split.test_people != split_of(GENES, seed=2).test_people


def test_a_population_is_held_out_whole():
    split = split_of(GENES, PeopleRule(population="FIN"))
    population = dict(zip(SAMPLES, POPULATIONS, strict=True))
    assert {population[name] for name in split.test_people} == {"FIN"}
    assert len(split.test_people) == 20
    assert "FIN" not in {population[name] for name in split.train_people + split.valid_people}


def test_fewer_training_people_are_among_more():
    few, many = (split_of(GENES, PeopleRule(most=n)) for n in (10, 30))
    assert len(few.train_people) == 10
    assert set(few.train_people) < set(many.train_people)
    assert (few.valid_people, few.test_people) == (many.valid_people, many.test_people)


def test_leaks_are_named():
    people = ("a", "b"), ("c",), ("d",)
    with pytest.raises(ConfigError, match=r"same people on two sides(.|\n)*training and test(.|\n)*1: b"):
        Split(*people[:2], ("d", "b"), ("g1",), ("g2",))
    with pytest.raises(ConfigError, match=r"same genes on two sides(.|\n)*seen and unseen(.|\n)*1: g2"):
        Split(*people, ("g1", "g2"), ("g2",))
    with pytest.raises(ConfigError, match="on the side: validation"):
        Split(("a",), (), ("d",), ("g1",), ("g2",))
    near = genes_at([1000, 1080, 9000])
    split = Split(*people, ("g0", "g2"), ("g1",))
    with pytest.raises(ConfigError, match=r"Windows of genes(.|\n)*1 gene: g0"):
        require_windows_apart(split, windows_of(near))


def test_refused_rules():
    with pytest.raises(ConfigError, match=r"no such population(.|\n)*CEU, FIN, TSI(.|\n)*YRI"):
        split_of(GENES, PeopleRule(population="YRI"))
    with pytest.raises(ConfigError, match=r"fewer people(.|\n)*at most 43"):
        split_of(GENES, PeopleRule(most=44))


def test_regions():
    assert parse_region("chr22:36,000,001-40,500,000") == Interval("chr22", 36_000_000, 40_500_000)
    assert str(parse_region("22:5-9")) == "22:5-9"
    for wrong, words in (("chr22", "not understood"), ("chr1:9-5", "before it begins")):
        with pytest.raises(ConfigError, match=words):
            parse_region(wrong)


def test_blocks_depend_on_the_seed_only():
    order = np.random.default_rng(0).permutation(len(GENES))
    shuffled = tuple(GENES[i] for i in order)
    assert set(split_of(GENES).unseen_genes) == set(split_of(shuffled).unseen_genes)


def test_blocks_that_leave_nothing_to_train_on_are_named_with_one_that_does():
    genes = [Gene(f"g{n}", "chr22", 40_100_000 + 90_000 * n) for n in range(20)]
    windows = {gene.gene_id: Interval("chr22", gene.tss - 4000, gene.tss + 4000) for gene in genes}

    def split(block):
        return make_split(SAMPLES, POPULATIONS, genes, windows, PeopleRule(), GeneRule(0.25, block), 1)

    with pytest.raises(ConfigError, match=r"block under \[train\][\s\S]*blocks of 2,000,000") as caught:
        split(2_000_000)
    block = int(re.search(r"set block = (\d+) under", str(caught.value))[1])
    assert split(block).seen_genes
    wide = {name: Interval("chr22", 0, 50_000_000) for name in windows}
    with pytest.raises(ConfigError, match="a longer stretch, or a model that reads less"):
        make_split(SAMPLES, POPULATIONS, genes, wide, PeopleRule(), GeneRule(0.25, 2_000_000), 1)
