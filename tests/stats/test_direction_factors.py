import numpy as np
import pytest

from hapsight.stats.direction_factors import explain, linear, logistic


def by_factor(outcome, factors):
    return {found.factor: found for found in explain(outcome, factors)}


@pytest.fixture
def factors():
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(400) for name in ("maf", "h2", "mean_expression")}


def test_magnitude_is_explained_and_direction_is_not(factors):
    rng = np.random.default_rng(1)
    magnitude = 2.0 * factors["h2"] + rng.standard_normal(400)
    size, sign = by_factor(magnitude, factors), by_factor(rng.random(400) < 0.5, factors)
    assert size["h2"].unique > 0.7
    assert size["maf"].unique < 0.02
    assert sign["h2"].whole < 0.03
    assert sign["h2"].by_chance == pytest.approx(3 / (400 * 2 * np.log(2)), rel=0.01)
    assert size["h2"].by_chance == pytest.approx(3 / 399)


@pytest.mark.parametrize("kind", ["sign", "size"])
def test_shares_the_slow_way(factors, kind):
    rng = np.random.default_rng(2)
    value = factors["h2"] - 0.5 * factors["maf"] + rng.standard_normal(400)
    outcome, fit = (value > 0, logistic) if kind == "sign" else (value, linear)
    scaled = {name: (x - x.mean()) / x.std() for name, x in factors.items()}
    whole = fit(np.column_stack(list(scaled.values())), outcome)
    for place, (name, found) in enumerate(by_factor(outcome, factors).items()):
        rest = np.column_stack([x for other, x in scaled.items() if other != name])
        assert found.coefficient == pytest.approx(whole.coefficient[place])
        assert found.whole == pytest.approx(whole.explained)
        assert found.alone == pytest.approx(fit(scaled[name][:, None], outcome).explained)
        assert found.unique == pytest.approx(whole.explained - fit(rest, outcome).explained)
        assert found.unique >= -1e-9


def test_expected_by_chance_is_what_chance_gives(factors):
    rng = np.random.default_rng(3)
    for draw in (lambda: rng.random(400) < 0.5, lambda: rng.standard_normal(400)):
        found = [by_factor(draw(), factors)["maf"] for _ in range(150)]
        assert np.mean([f.whole for f in found]) == pytest.approx(found[0].by_chance, rel=0.3)


def test_what_is_left_out_is_named(factors):
    rng = np.random.default_rng(4)
    factors |= {"n_signals": np.full(400, 1.0), "distance": np.full(400, np.nan)}
    factors["maf"] = np.where(np.arange(400) < 25, np.nan, factors["maf"])
    found = by_factor(rng.standard_normal(400), factors)
    assert {name: f.status for name, f in found.items()} == {
        "maf": "ok",
        "h2": "ok",
        "mean_expression": "ok",
        "n_signals": "constant",
        "distance": "missing",
    }
    assert {(f.n, f.n_left_out) for f in found.values()} == {(375, 25)}
    assert found["distance"].coefficient is None


def test_a_factor_that_is_constant_where_the_others_are_known_is_left_out(factors):
    factors["n_ld80"] = np.where(np.arange(400) < 25, 3.0, 1.0)
    factors["maf"] = np.where(np.arange(400) < 25, np.nan, factors["maf"])
    assert by_factor(np.random.default_rng(5).standard_normal(400), factors)["n_ld80"].status == "constant"


def test_one_factor_that_separates_does_not_take_the_others_along(factors):
    rng = np.random.default_rng(6)
    sign = rng.random(400) < 0.5
    factors["in_window"] = (np.flatnonzero(sign)[:4, None] == np.arange(400)).any(axis=0).astype(float)
    found = by_factor(sign, factors)
    assert found["in_window"].status == "separated"
    assert {found[name].status for name in ("maf", "h2", "mean_expression")} == {"ok"}


def test_no_regression_with_few_genes_or_one_outcome(factors):
    few = {name: x[:8] for name, x in factors.items()}
    assert {f.status for f in explain(np.arange(8.0), few)} == {"too few genes"}
    assert {f.status for f in explain(np.ones(400, bool), factors)} == {"one outcome only"}


def test_distance_enters_by_its_logarithm():
    rng = np.random.default_rng(7)
    distance = 10 ** rng.uniform(0, 6, 300)
    (found,) = explain(np.log10(distance + 1), {"distance": distance})
    assert found.whole == pytest.approx(1.0)
