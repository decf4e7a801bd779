from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.nouns import Interval
from hapsight.errors import ConfigError
from hapsight.recipes.demo import demo_cohort
from hapsight.simulate.mosaic import Mosaic, People, draw_mosaic, draw_people
from tests.sequence.naive import toy_variants

WHOLE = Interval("c", 100, 1_100)


def naive_source(mosaic: Mosaic, haplotype: int, position: int) -> int:
    """Walk along the segments."""
    first, last = mosaic.first[haplotype], mosaic.first[haplotype + 1]
    current = -1
    for segment in range(first, last):
        if mosaic.start[segment] <= position:
            current = int(mosaic.source[segment])
    return current


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.001, 0.05]), st.integers(1, 4))
def test_sources_equal_the_naive_twin(seed: int, rate: float, people: int) -> None:
    rng = np.random.default_rng(seed)
    population = ["A", "B", "A", None]
    drawn = draw_people(population, people, rng)
    mosaic = draw_mosaic(drawn, population, WHOLE, rate, rng)
    position = np.sort(rng.integers(100, 1_100, 20))
    found = mosaic.sources(position)
    wanted = [[naive_source(mosaic, h, int(p)) for h in range(2 * people)] for p in position]
    assert found.tolist() == wanted
    for h in range(2 * people):  # everyone copies their own population only
        assert {population[s // 2] for s in found[:, h]} == {drawn.population[h // 2]}


def test_copied_alleles_are_the_source_s() -> None:
    rng = np.random.default_rng(4)
    records = [(p, "A", "C") for p in range(100, 1_100, 50)]
    variants = toy_variants(records, rng.integers(0, 2, (len(records), 5, 2)))
    people = draw_people([None] * 5, 8, rng)
    mosaic = draw_mosaic(people, [None] * 5, WHOLE, 0.01, rng)
    copied = mosaic.copy(variants)
    assert copied.samples == people.samples
    for v, (position, _, _) in enumerate(records):
        for h in range(16):
            assert copied.haplotypes[v, h] == variants.haplotypes[v, naive_source(mosaic, h, position)]


def test_without_switches_haplotypes_are_copied_whole() -> None:
    rng = np.random.default_rng(5)
    mosaic = draw_mosaic(draw_people(["A"] * 3, 4, rng), ["A"] * 3, WHOLE, 0.0, rng)
    sources = mosaic.sources(np.arange(100, 1_100, 10))
    assert (sources == sources[0]).all()


def test_switches_come_at_the_rate_asked() -> None:
    rng = np.random.default_rng(6)
    whole = Interval("c", 0, 1_000_000)
    mosaic = draw_mosaic(draw_people([None] * 9, 50, rng), [None] * 9, whole, 1e-4, rng)
    assert len(mosaic.start) / 100 - 1 == pytest.approx(100, rel=0.05)


def test_linkage_and_frequencies_stay_real() -> None:
    config = demo_cohort().cohort
    source = GenotypeFile(config.genotypes)
    variants, _ = source.read(Interval("chr22", 41_500_000, 41_600_000))
    rng = np.random.default_rng(7)
    population = [None] * len(source.samples)
    whole = Interval("chr22", 41_500_000, 41_600_000)
    copied = draw_mosaic(draw_people(population, 1_000, rng), population, whole, 1e-5, rng).copy(variants)
    assert np.abs(copied.af - variants.af).max() < 0.06
    real, new = np.corrcoef(variants.haplotypes) ** 2, np.corrcoef(copied.haplotypes) ** 2
    apart = np.abs(variants.position[:, None] - variants.position)
    for low, high in ((1, 1_000), (1_000, 5_000), (5_000, 20_000), (20_000, 50_000)):
        pairs = (apart >= low) & (apart < high)
        # a switch to anywhere between the two breaks the pair: r2 falls by exp(-2 * rate * distance)
        kept = np.exp(-2e-5 * apart[pairs])
        assert new[pairs].mean() == pytest.approx((real[pairs] * kept).mean(), rel=0.08, abs=0.003)
        assert new[pairs].mean() > 0.3 * real[pairs].mean()


@pytest.mark.parametrize("rate", [-0.1, 0.5, float("nan")])
def test_rate_out_of_range(rate: float) -> None:
    with pytest.raises(ConfigError, match=r"(?s)switch rate is out of range.*0 to 0\.1 per base"):
        draw_mosaic(People(("a",), (None,)), [None], WHOLE, rate, np.random.default_rng(0))
