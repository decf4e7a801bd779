"""What a plan makes of its trials."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapsight.cohort.nouns import Gene
from hapsight.plan import _bases, extrapolated, trial_genes

AMOUNT = st.floats(0.5, 1e4)
SECONDS = st.floats(0, 1e5)


@given(AMOUNT, AMOUNT, SECONDS, SECONDS, AMOUNT)
def test_a_straight_line_is_found_again(few, more, fixed, rate, whole):
    few, more = sorted((few, more + 1e4))
    whole += more
    found = extrapolated([(few, fixed + rate * few), (more, fixed + rate * more)], whole)
    assert found == pytest.approx(fixed + rate * whole, rel=1e-6)


@given(AMOUNT, AMOUNT, SECONDS, SECONDS, AMOUNT)
def test_noise_makes_no_part_negative(few, more, short, long, whole):
    few, more = sorted((few, more + 1e4))
    whole += more
    found = extrapolated([(few, short), (more, long)], whole)
    most = max(long * whole / more, short + long * whole / more)
    assert max(short, long) <= found <= most * (1 + 1e-9), "at least what was seen"


def test_one_trial_is_in_proportion():
    assert extrapolated([(4, 8.0)], 7) == 14.0
    assert extrapolated([(0, 8.0)], 7) == 8.0


@given(st.integers(1, 300), st.integers(1, 8).map(lambda n: 2 * n))
def test_trials_take_pairs_of_neighbours_once_each(size, count):
    genes = [Gene(f"g{i}", "chr1", i) for i in range(size)]
    found = [gene.tss for gene in trial_genes(genes, count)]
    assert len(set(found)) == len(found) <= min(size, count)
    if size > 3 * count:
        assert len(found) == count
        assert all(second == first + 1 for first, second in zip(found[::2], found[1::2], strict=True))


@given(st.lists(st.tuples(st.sampled_from(["1", "2"]), st.integers(0, 300)), min_size=1), st.integers(1, 60))
def test_bases_are_counted_once(places, reach):
    genes = [Gene(f"g{i}", contig, tss) for i, (contig, tss) in enumerate(places)]
    slowly = {(g.contig, base) for g in genes for base in range(max(0, g.tss - reach), g.tss + reach)}
    assert _bases(genes, reach) == len(slowly)


def test_a_stand_in_declares_what_the_model_does_and_tells_sequences_apart():
    torch = pytest.importorskip("torch")
    from hapsight.engine.cost import StandIn
    from tests.planted import ToyModel

    model = ToyModel()
    other = StandIn(model)
    assert (other.window, other.tracks, other.read_outs) == (model.window, model.tracks, model.read_outs)
    codes = torch.from_numpy(np.random.default_rng(0).integers(0, 4, (5, model.window.length), np.uint8))
    values = other.predict(codes, other.read_out())
    assert values.shape == model.predict(codes, model.read_out()).shape
    assert len(values[:, 0].unique()) == 5
    assert other.to("cpu") is other
