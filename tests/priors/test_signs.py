"""Sign priors: planted regulators are found, alleles may be exchanged, held-out genes are not looked at."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from hapsight.errors import InputError
from hapsight.priors.signs import (
    PENALTIES,
    SignSet,
    choose_penalty,
    fit_by_stretch,
    fit_signs,
    held_out_odds,
    right_signs,
    signed_sizes,
)


def planted(n=300, strength=0.6, seed=1, free=0.0):
    """Class 0 raises, class 1 lowers, class 2 does nothing; genes 3 Mb apart."""
    rng = np.random.default_rng(seed)
    motifs = rng.normal(0, 5, (n, 3)) * (rng.random((n, 3)) < 0.5)
    effect = rng.standard_normal((n, 1))
    odds = strength * (motifs[:, 0] - motifs[:, 1]) + free * effect[:, 0]
    raises = rng.random(n) < 1 / (1 + np.exp(-odds))
    return SignSet(raises, motifs, effect, ("chr1",) * n, 3_000_000 * np.arange(n))


def exchanged(given, which):
    sign = np.where(which, -1.0, 1.0)[:, None]
    return SignSet(given.raises ^ which, given.motifs * sign, given.free * sign, given.contig, given.position)


def test_planted_regulators_are_found_in_held_out_genes():
    given_set = planted()
    odds, stretch = held_out_odds(given_set)
    assert right_signs(odds, given_set.raises).mean() > 0.7
    assert sorted(set(stretch)) == [0, 1, 2, 3, 4]
    coefficients = fit_signs(given_set, 1.0).motifs
    assert coefficients[0] > 0.2 > -0.2 > coefficients[1]
    assert abs(coefficients[2]) < 0.1


def test_signs_that_nothing_explains_are_a_coin():
    right = [
        right_signs(held_out_odds(g)[0], g.raises).mean() for g in (planted(150, 0.0, s) for s in range(8))
    ]
    assert abs(np.mean(right) - 0.5) < 0.06


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_which_allele_is_alt_does_not_matter(seed):
    one = planted(60, seed=3)
    which = np.random.default_rng(seed).random(60) < 0.5
    other = exchanged(one, which)
    fits = fit_signs(one, 10.0), fit_signs(other, 10.0)
    np.testing.assert_allclose(fits[0].motifs, fits[1].motifs, atol=1e-6)
    odds = held_out_odds(one)[0], held_out_odds(other)[0]
    np.testing.assert_allclose(odds[0] * np.where(which, -1, 1), odds[1], atol=1e-5)


def test_the_fit_is_that_of_a_plain_minimiser():
    one = planted(80)
    scale = np.sqrt(np.mean(one.motifs[one.motifs != 0] ** 2))
    columns = np.column_stack([one.motifs.sum(axis=1), one.motifs]) / scale

    def loss(beta):
        eta = columns @ beta[:4] + one.free[:, 0] * beta[4]
        return np.logaddexp(0, -eta * np.where(one.raises, 1, -1)).sum() + 5.0 * beta[:4] @ beta[:4]

    beta = optimize.minimize(loss, np.zeros(5), tol=1e-12).x
    found = fit_signs(one, 10.0)
    np.testing.assert_allclose(found.motifs, (beta[0] + beta[1:4]) / scale, atol=1e-4)
    np.testing.assert_allclose(found.free, beta[4:], atol=1e-4)


def test_other_columns_are_not_penalised():
    one = planted(400, strength=0.0, free=1.5)
    assert fit_signs(one, 1e6).free[0] > 1.0
    assert np.abs(fit_signs(one, 1e6).motifs).max() < 1e-3


def test_useless_motifs_get_the_largest_penalty_and_good_ones_do_not():
    assert choose_penalty(planted()) < PENALTIES[-1]
    silent = planted(100)
    nothing = SignSet(silent.raises, 0 * silent.motifs, silent.free, silent.contig, silent.position)
    assert choose_penalty(nothing) == PENALTIES[-1]


def test_held_out_genes_and_their_neighbours_are_not_learned_from():
    one = planted(100)
    near = SignSet(one.raises, one.motifs, one.free, one.contig, one.position // 3)
    flipped = near.raises.copy()
    flipped[:20] ^= True
    flipped[20] ^= True  # 1 Mb from the first stretch
    other = SignSet(flipped, near.motifs, near.free, near.contig, near.position)
    fits = [fit_by_stretch(g, near.contig, near.position)[1] for g in (near, other)]
    np.testing.assert_array_equal(fits[0][0].motifs, fits[1][0].motifs)
    assert not np.array_equal(fits[0][1].motifs, fits[1][1].motifs)


def test_where_no_gene_is_far_enough_nothing_is_known():
    one = planted(20)
    together = SignSet(one.raises, one.motifs, one.free, one.contig, one.position // 1000)
    assert (held_out_odds(together)[0] == 0).all()
    np.testing.assert_array_equal(right_signs(np.zeros(2), np.array([True, False])), [0.5, 0.5])


def test_sizes_keep_their_sign_and_their_order():
    effect = np.array([-8.0, 0.0, 1.0, 2.0, 1e6])
    found = signed_sizes(effect)
    np.testing.assert_array_equal(np.sign(found), np.sign(effect))
    assert (np.diff(found) > 0).all()
    assert found[-1] < 20
    assert (signed_sizes(np.zeros(3)) == 0).all()


def test_parts_that_do_not_fit_are_refused():
    one = planted(10)
    with pytest.raises(InputError, match=r"do not fit each other[\s\S]*10 variants in every part"):
        SignSet(one.raises, one.motifs[:4], one.free, one.contig, one.position)
