"""The planted check: driver, sign, motif and reliability are found; where nothing is planted, nothing is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hapsight.explain.drivers import FORMS
from hapsight.explain.motifs import motif_changes
from hapsight.explain.reliability import Genes, out_of_fold
from hapsight.explain.reliability_quality import judge
from hapsight.explain.support import supported
from hapsight.stats.agreement import prediction_r
from tests.explain.planted import MotifModel, motif, plant

MODEL = MotifModel()
GENES = [plant(MODEL, seed) for seed in range(120)]
NULL = [plant(MODEL, seed, null=True) for seed in range(300)]


def _slope(gene) -> float:
    return float(stats.linregress(gene.dosage[gene.causal], gene.expression).slope)


@pytest.mark.parametrize("form", FORMS)
def test_the_causal_variant_is_the_main_driver(form):
    found = [FORMS[form](g.effects(MODEL), g.dosage, g.predicted) for g in GENES]
    assert all(one.main is not None for one in found)
    right = [one.index[one.main] == g.causal for one, g in zip(found, GENES, strict=True)]
    assert np.mean(right) > 0.95
    assert np.median([one.additivity for one in found]) > 0.95


def test_its_sign_is_the_planted_one():
    for gene in GENES:
        effect = gene.effects(MODEL)[gene.causal]
        assert (effect > 0) == (gene.kind == "gain")
        assert supported(effect, _slope(gene)) == (gene.sign > 0)


def test_its_motif_change_is_the_planted_one():
    changes = motif_changes([g.window(g.causal) for g in GENES], [motif()])
    assert [change.kind for change in changes] == [g.kind for g in GENES]
    others = [g.window((g.causal + 1) % 10) for g in GENES]
    kinds = [change.kind for change in motif_changes(others, [motif()])]
    assert np.mean([kind != "none" for kind in kinds]) < 0.1


@pytest.mark.parametrize("form", FORMS)
def test_the_null_cohort_has_no_more_drivers_than_its_error_rate(form):
    found = [FORMS[form](g.effects(MODEL), g.dosage, g.predicted) for g in NULL]
    with_driver = sum(one.main is not None for one in found)
    assert stats.binomtest(with_driver, len(NULL), 0.01, alternative="greater").pvalue > 0.01


def test_a_null_cohort_supports_half_of_its_drivers():
    outcomes = [supported(g.effects(MODEL)[g.causal], _slope(g)) for g in NULL]
    assert stats.binomtest(sum(outcomes), len(NULL), 0.5).pvalue > 0.01


def _reliability(informative: bool):
    """Genes whose sign is right where a second model agrees with the first, or regardless of it."""
    rng = np.random.default_rng(5)
    n = 300
    truth = rng.standard_normal((n, 80))
    trusted = rng.random(n) < 0.5
    noise = rng.standard_normal((2, n, 80))
    weight = np.where(trusted, 3.0, 0.1)[:, None]
    first, second = weight * truth + noise[0], weight * truth + noise[1]
    chance = np.where(trusted, 0.9, 0.5) if informative else np.full(n, 0.7)
    right = rng.random(n) < chance
    features = np.column_stack([prediction_r(first, second), rng.standard_normal((n, 3))])
    genes = Genes(features, right, ["chr1"] * n, rng.integers(0, 2 * 10**8, n))
    found = out_of_fold(genes)
    return judge(found.probability, found.base_rate, right, rng, draws=300)


def test_reliability_is_found_where_it_is_planted():
    quality = _reliability(informative=True)
    assert quality.beats_base_rate
    assert quality.ap > quality.share_right + 0.08


def test_reliability_is_not_found_where_there_is_none():
    quality = _reliability(informative=False)
    assert not quality.beats_base_rate
    assert "not shown to be better" in quality.verdict
