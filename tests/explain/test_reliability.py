"""The reliability of a sign: scikit-learn judges the pieces, planted and empty features the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss

from hapsight.errors import InputError
from hapsight.explain.reliability import Genes, log_loss, out_of_fold, ridge_logistic, stretches, within_reach
from hapsight.explain.reliability_quality import abstention, average_precision, judge, kept_right


def planted(strength: float, n: int = 400, k: int = 6, seed: int = 0) -> Genes:
    """The first feature tells of the sign, the others of nothing; one in five values is not known."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((n, k))
    right = rng.random(n) < special.expit(0.2 + strength * features[:, 0])
    features[:, 1][rng.random(n) < 0.2] = np.nan
    features[:, 2] = np.nan
    contig = np.where(np.arange(n) < n // 2, "chr1", "chr2").tolist()
    return Genes(features, right, contig, rng.integers(0, 10**8, n))


@pytest.mark.parametrize("penalty", [0.5, 30.0])
def test_ridge_is_scikit_learns(penalty):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((120, 4))
    y = rng.random(120) < special.expit(x @ [1.0, -2.0, 0.0, 0.5])
    theirs = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=1000).fit(x, y)
    expected = [*theirs.intercept_, *theirs.coef_[0]]
    np.testing.assert_allclose(ridge_logistic(x, y, penalty), expected, atol=1e-5)


def test_ridge_stands_classes_that_are_apart():
    x = np.linspace(-1, 1, 20)[:, None]
    beta = ridge_logistic(np.hstack([x, x]), x[:, 0] > 0, 1e-3)
    assert np.isfinite(beta).all()
    assert beta[1] == pytest.approx(beta[2])
    assert log_loss(x[:, 0] * 50, x[:, 0] > 0) < 0.1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 60), st.integers(1, 10))
def test_average_precision_is_scikit_learns(seed, n, levels):
    rng = np.random.default_rng(seed)
    probability, right = rng.integers(0, levels, n) / levels, rng.random(n) < 0.5
    right[0] = True
    assert average_precision(probability, right) == pytest.approx(average_precision_score(right, probability))


def test_abstention_by_hand():
    curve = abstention(np.array([0.9, 0.2, 0.5, 0.5]), np.array([True, False, True, False]))
    assert curve.kept.tolist() == [0.25, 0.75, 1.0]
    np.testing.assert_allclose(curve.right, [1.0, 2 / 3, 0.5])


def test_stretches_are_runs_and_reach_is_kept():
    rng = np.random.default_rng(2)
    contig, position = rng.choice(["b", "a"], 101).tolist(), rng.integers(0, 1000, 101)
    fold = stretches(contig, position, 5)
    assert np.bincount(fold).max() - np.bincount(fold).min() <= 1
    order = sorted(range(101), key=lambda g: (contig[g], position[g]))
    assert (np.diff(fold[order]) >= 0).all()
    held = fold == 2
    slow = [
        any(contig[g] == contig[h] and abs(position[g] - position[h]) <= 30 for h in np.flatnonzero(held))
        for g in range(101)
    ]
    assert within_reach(contig, position, held, 30).tolist() == slow


def test_what_a_gene_is_itself_does_not_enter_its_probability():
    """Turning round the outcomes of a fold, and of all within reach, leaves that fold's numbers alone."""
    genes = planted(1.0)
    found = out_of_fold(genes)
    held = found.fold == 1
    near = within_reach(genes.contig, genes.position, held)
    turned = Genes(genes.features, genes.right ^ near, genes.contig, genes.position)
    np.testing.assert_array_equal(out_of_fold(turned).probability[held], found.probability[held])
    other = Genes(genes.features, genes.right ^ ~near, genes.contig, genes.position)
    assert not np.allclose(out_of_fold(other).probability[held], found.probability[held])


def test_planted_reliability_is_found_and_calibrated():
    genes = planted(1.5, n=800)
    found = out_of_fold(genes)
    quality = judge(found.probability, found.base_rate, genes.right, np.random.default_rng(0), draws=200)
    assert quality.beats_base_rate
    assert quality.ap_low > quality.share_right
    assert 0.7 < quality.calibration < 1.4
    assert quality.brier == pytest.approx(brier_score_loss(genes.right, found.probability))
    assert "are better than the base rate on these 800 genes" in quality.verdict
    kept = abstention(found.probability, genes.right)
    assert kept.right[np.searchsorted(kept.kept, 0.3)] > kept.right[-1] + 0.15


def test_features_that_know_nothing_do_not_beat_the_base_rate():
    rng = np.random.default_rng(9)
    beaten = 0
    for seed in range(12):
        genes = planted(0.0, n=250, seed=seed)
        found = out_of_fold(genes)
        quality = judge(found.probability, found.base_rate, genes.right, rng, draws=200)
        beaten += quality.beats_base_rate
        assert quality.brier < quality.brier_base + 0.02
    assert beaten <= 1
    assert "should not be used to choose genes" in quality.verdict or quality.beats_base_rate


def test_too_few_genes_say_nothing():
    assert out_of_fold(planted(1.0, n=40)) is None
    right = np.ones(10, bool)
    assert judge(np.full(10, 0.9), np.full(10, 0.9), right, np.random.default_rng(0)) is None


def test_parts_must_fit():
    with pytest.raises(InputError, match="do not fit each other") as error:
        Genes(np.zeros((3, 2)), np.zeros(4, bool), ["a"] * 4, np.zeros(4, np.int64))
    assert "features (3, 2)" in str(error.value)


def test_what_is_kept_is_right_as_often_as_counted_one_by_one():
    rng = np.random.default_rng(4)
    score, right, stretch = rng.random(40).round(1), rng.random(40) < 0.6, rng.integers(0, 6, 40)
    shares = (1.0, 0.5, 0.1, 0.001)
    found = kept_right(score, right, stretch, shares, np.random.default_rng(9), draws=50)
    ranked = sorted(range(40), key=lambda i: (-score[i], i))
    drawn = np.random.default_rng(9)
    numbers = [drawn.integers(6, size=6) for _ in range(50)]
    for one, share, n in zip(found, shares, (40, 20, 4, 1), strict=True):
        kept = ranked[:n]
        assert (one.share, one.n) == (share, n)
        assert one.right == pytest.approx(np.mean([right[i] for i in kept]))
        assert one.least == min(score[i] for i in kept)
        values, gains = [], []
        for draw in numbers:
            everything = [i for number in draw for i in ranked if stretch[i] == number]
            everything.sort(key=ranked.index)
            first = everything[: max(1, round(share * len(everything)))]
            values.append(np.mean([right[i] for i in first]))
            gains.append(values[-1] - np.mean([right[i] for i in everything]))
        np.testing.assert_allclose([one.ci_low, one.ci_high], np.quantile(values, [0.025, 0.975]))
        np.testing.assert_allclose([one.gain_low, one.gain_high], np.quantile(gains, [0.025, 0.975]))
