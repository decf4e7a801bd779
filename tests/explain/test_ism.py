"""In-silico mutagenesis equals writing out every pair of sequences and running each."""

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hapsight.cohort.nouns import Gene, Interval, Strand
from hapsight.dna import encode
from hapsight.engine.engine import Valuer
from hapsight.errors import ConfigError
from hapsight.explain.drivers import additivity, depends_on_background, ism_sum, spread
from hapsight.explain.ism import gene_ism, ism_window, saturation, saturation_stretch
from hapsight.explain.mutations import Backgrounds, read_near
from tests.engine.toy_shared import ToyCentre, ToyShared, ToyWindowed
from tests.explain.ism_naive import naive_backgrounds, plain, sequence_with
from tests.planted import ToyModel
from tests.sequence.naive import toy_reference, toy_variants

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTH = 700


def reference_sequence(seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), LENGTH))


def random_variants(seed: int, sequence: str, around: int, n: int = 6, people: int = 4, snvs: bool = False):
    """Variants of all kinds, some of which overlap, near a position."""
    rng = np.random.default_rng(seed)
    low, high = max(around - 95, 0), min(around + 95, LENGTH - 8)
    records = []
    for position in sorted(rng.choice(np.arange(low, high), n, replace=False).tolist()):
        base = sequence[position]
        other = str(rng.choice([b for b in "ACGT" if b != base]))
        kind = 0 if snvs else rng.integers(0, 4)
        if kind == 2:
            records.append((position, sequence[position : position + int(rng.integers(2, 7))], base))
        elif kind == 3:
            records.append((position, base, base + "".join(rng.choice(list("ACGT"), rng.integers(1, 5)))))
        else:
            records.append((position, base, other))
    return toy_variants(records, (rng.random((n, people, 2)) < 0.4).astype(np.uint8))


def valuer(model, read_out: str = "default") -> Valuer:
    return Valuer(model, model.read_out(read_out), "cpu", batch_size=5)


def run(gene, model, variants, sequence, read_out="default", backgrounds=None):
    fetch = toy_reference(sequence)
    return gene_ism(gene, valuer(model, read_out), variants.within, fetch, backgrounds)


@given(
    seed=st.integers(0, 10**6),
    tss=st.sampled_from([30, 350, LENGTH - 40]),  # the first and last reach over the contig's ends
    strand=st.sampled_from(list(Strand)),
    model=st.sampled_from([ToyShared, ToyCentre, ToyWindowed]),
    read_out=st.sampled_from(["default", "ensemble"]),
)
@settings(max_examples=8, deadline=None)
def test_equals_two_plain_passes_for_every_pair(seed, tss, strand, model, read_out):
    model, sequence = model(), reference_sequence(seed)
    variants = random_variants(seed, sequence, tss)
    gene, asked = Gene("g", "c", tss, strand), valuer(model, read_out)
    window = ism_window(gene, asked)
    found = run(gene, model, variants, sequence, read_out)

    @cache
    def value(codes: bytes) -> np.ndarray:
        return plain(asked, window, np.frombuffer(codes, np.uint8))

    baseline = value(sequence_with(sequence, variants, window, []).tobytes())
    np.testing.assert_allclose(found.reference, baseline, atol=1e-10)
    overlapping = [v for v in range(len(variants)) if variants.take(np.array([v])).within(window.interval)]
    assert found.variants.variant_id == tuple(variants.variant_id[v] for v in overlapping)
    for row, v in enumerate(overlapping):
        alone = value(sequence_with(sequence, variants, window, [v]).tobytes()) - baseline
        np.testing.assert_allclose(found.effect[row], alone, atol=1e-10)
        pairs = naive_backgrounds(sequence, variants, window, v)
        assert found.n_backgrounds[row] == len(pairs)
        if pairs:
            changes = np.array([value(present) - value(absent) for absent, present in pairs])
            np.testing.assert_allclose(found.effect_mean[row], changes.mean(axis=0), atol=1e-9)
            np.testing.assert_allclose(found.effect_sd[row], changes.std(axis=0), atol=1e-9)
            clear = np.abs(changes).min(axis=0) > 1e-8
            opposite = (changes * alone < 0).mean(axis=0)
            np.testing.assert_allclose(found.share_opposite[row][clear], opposite[clear])


def test_people_get_the_values_of_their_haplotypes():
    sequence, model = reference_sequence(3), ToyShared()
    variants, gene = random_variants(3, sequence, 350), Gene("g", "c", 350, Strand.MINUS)
    found, window = run(gene, model, variants, sequence), ism_window(gene, valuer(model))
    for person in range(4):
        for h in (0, 1):
            carried = np.flatnonzero(variants.alleles[:, person, h]).tolist()
            codes = sequence_with(sequence, variants, window, carried)
            value = plain(valuer(model), window, codes)
            np.testing.assert_allclose(found.predicted[person, h], value, atol=1e-10)


def test_a_float64_models_values_are_not_rounded():
    """A base that is worth 1e-9 beside a constant of 1: float32 would lose it."""
    sequence, model = reference_sequence(4), ExactToy()
    model.weights = torch.zeros_like(model.weights)
    gene = Gene("g", "c", 350, Strand.PLUS)
    place = 350 - ism_window(gene, valuer(model)).interval.start
    model.weights[place - 1, :4], model.weights[place, "ACGT".index("A")] = 1.0, 1e-9
    sequence = f"{sequence[:350]}C{sequence[351:]}"
    found = run(gene, model, toy_variants([(350, "C", "A")], np.ones((1, 1, 2))), sequence)
    assert found.reference[0] == 1.0
    assert found.effect[0, 0] == pytest.approx(1e-9, rel=1e-6)
    assert found.predicted[0, 0, 0] - 1.0 == pytest.approx(1e-9, rel=1e-6)


def test_nothing_is_computed_twice():
    sequence, seen = reference_sequence(5), []

    class Counting(ToyModel):
        def predict(self, codes, read_out):
            seen.extend(row.numpy().tobytes() for row in codes)
            return super().predict(codes, read_out)

    model = Counting()
    variants = random_variants(5, sequence, 350)
    gene = Gene("g", "c", 350, Strand.PLUS)
    found = gene_ism(
        gene, Valuer(model, model.read_out(), "cpu", batch_size=1), variants.within, toy_reference(sequence)
    )
    assert len(seen) == len(set(seen)) == found.distinct < found.asked
    assert found.flop == found.distinct * model.flop_per_pass


class ExactToy(ToyModel):
    """The linear toy in float64."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        rng = np.random.default_rng(seed)
        length = self.window.length
        self.weights = torch.from_numpy(np.column_stack([rng.standard_normal((length, 4)), np.zeros(length)]))


@given(seed=st.integers(0, 10**6), strand=st.sampled_from(list(Strand)))
@settings(max_examples=20, deadline=None)
def test_of_a_linear_model_the_effects_add_up_to_the_prediction(seed, strand):
    sequence = reference_sequence(seed)
    variants = random_variants(seed, sequence, 350, snvs=True)
    found = run(Gene("g", "c", 350, strand), ExactToy(seed), variants, sequence)
    people = found.predicted[..., 0].sum(axis=1) - 2 * found.reference[0]
    np.testing.assert_allclose(ism_sum(found.effect[:, 0], found.variants.dosage), people, rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        found.effect_mean, np.where(found.n_backgrounds, found.effect.T, np.nan).T, rtol=0, atol=1e-12
    )
    assert additivity(found.effect[:, 0], found.variants.dosage, people).pearson_r == pytest.approx(1)
    dependent = depends_on_background(
        found.effect[:, 0], found.effect_sd[:, 0], found.n_backgrounds, float(found.reference[0])
    )
    assert not dependent.any()


def test_the_commonest_backgrounds_come_first_and_may_be_limited():
    sequence = reference_sequence(1)
    variants = random_variants(1, sequence, 350, snvs=True)
    variants.alleles[:, :3] = variants.alleles[:, :1, :1]  # three people's haplotypes are equal
    gene, model = Gene("g", "c", 350, Strand.PLUS), ToyModel()
    window = ism_window(gene, valuer(model))
    carried = Backgrounds.of_people(window, read_near(window, variants.within))
    assert (carried.columns[:, 1] == variants.alleles[:, 0, 0]).all()
    assert carried.index[:3].tolist() == [[1, 1]] * 3
    assert set(run(gene, model, variants, sequence, backgrounds=1).n_backgrounds) == {1}
    none = run(gene, model, variants, sequence, backgrounds=0)
    assert set(none.n_backgrounds) == {0}
    assert np.isnan(none.effect_mean).all()
    np.testing.assert_array_equal(none.effect, run(gene, model, variants, sequence).effect)


def test_without_variants():
    found = run(
        Gene("g", "c", 350, Strand.PLUS),
        ToyModel(),
        toy_variants([], np.zeros((0, 3, 2))),
        reference_sequence(0),
    )
    assert found.effect.shape == (0, 1)
    assert found.predicted.shape == (3, 2, 1)
    assert found.distinct == 1


@pytest.mark.parametrize("strand", list(Strand))
@pytest.mark.parametrize("model", [ToyModel, ToyShared])
def test_saturation_equals_changing_every_base(strand, model):
    model, sequence = model(), reference_sequence(2)
    sequence = sequence[:352] + "N" + sequence[353:]
    gene, asked = Gene("g", "c", 350, strand), valuer(model)
    stretch = Interval("c", 346, 356)
    found, window = saturation(gene, stretch, asked, toy_reference(sequence)), ism_window(gene, asked)
    offset = window.interval.start
    baseline = plain(asked, window, encode(sequence[offset : window.interval.end]))
    for place, position in enumerate(range(346, 356)):
        for base, letter in enumerate("ACGT"):
            changed = sequence[:position] + letter + sequence[position + 1 :]
            effect = plain(asked, window, encode(changed[offset : window.interval.end])) - baseline
            expected = np.nan if position == 352 else effect
            np.testing.assert_allclose(found[place, base], expected, atol=2e-5)


def test_saturation_stays_inside_the_window():
    gene = Gene("g", "c", 350, Strand.PLUS)
    with pytest.raises(ConfigError, match="reaches out of the model's window") as caught:
        saturation(gene, Interval("c", 100, 800), valuer(ToyShared()), toy_reference(reference_sequence(0)))
    assert "c:271-430" in str(caught.value)


def test_stretches_follow_the_direction_of_transcription():
    assert saturation_stretch(Gene("g", "c", 100, Strand.PLUS), -2, 1) == Interval("c", 98, 101)
    assert saturation_stretch(Gene("g", "c", 100, Strand.MINUS), -2, 1) == Interval("c", 100, 103)


def test_spread_and_what_depends_on_the_background():
    effect, sd, n = (
        np.array([1.0, -1.0, 0.0, 2.0, 1e-9]),
        np.array([0.5, 0.4, 0.1, 9.0, 1e-8]),
        np.array([2, 3, 2, 1, 5]),
    )
    np.testing.assert_allclose(spread(effect, sd), [0.5, 0.4, np.nan, 4.5, 10])
    assert depends_on_background(effect, sd, n, 1.0).tolist() == [True, False, True, False, False]


def test_additivity_says_why_there_is_no_correlation():
    dosage = np.array([[0, 1, 2, 1]], np.uint8)
    assert additivity(np.array([0.0]), dosage, np.arange(4.0)).status == "constant_sum"
    assert additivity(np.array([1.0]), dosage, np.ones(4)).status == "constant_prediction"
