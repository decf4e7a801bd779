"""Losses against their definitions, pair by pair."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hapsight.errors import ConfigError
from hapsight.train.losses import LOSSES, loss_named

numbers = st.floats(-5, 5).map(lambda x: round(x, 4))
pairs_of_numbers = st.lists(st.tuples(numbers, numbers), min_size=2, max_size=9)


def naive(name: str, p: list[float], y: list[float]) -> float:
    """The definitions of docs, one person or one pair after the other."""
    n, pairs = len(p), list(combinations(range(len(p)), 2))
    single = sum((a - b) ** 2 for a, b in zip(p, y, strict=True)) / n
    pairwise = sum(((p[i] - p[j]) - (y[i] - y[j])) ** 2 for i, j in pairs) / len(pairs)
    if name == "mse":
        return single
    if name == "pairwise_mse":
        return pairwise
    if name == "mse_plus_pairs":
        return 0.5 * single + 0.5 * pairwise
    if name == "mean_plus_difference":
        mp, my = sum(p) / n, sum(y) / n
        apart = sum(((a - mp) - (b - my)) ** 2 for a, b in zip(p, y, strict=True)) / n
        return (mp - my) ** 2 + 10 * apart
    total = 0.0
    for i, j in pairs:
        d = 2 * math.sqrt(y[i] + 3 / 8) - 2 * math.sqrt(y[j] + 3 / 8)
        wanted, got = stats.norm.cdf(d / math.sqrt(2)), 1 / (1 + math.exp(p[j] - p[i]))
        total -= wanted * math.log(got) + (1 - wanted) * math.log(1 - got)
    return total / len(pairs)


@pytest.mark.parametrize("name", LOSSES)
@given(drawn=pairs_of_numbers)
def test_a_loss_is_its_definition(name, drawn):
    p, y = [a for a, _ in drawn], [abs(b) if name == "pairwise_bce" else b for _, b in drawn]
    found = loss_named(name)(torch.tensor(p, dtype=torch.float64), torch.tensor(y, dtype=torch.float64))
    assert float(found) == pytest.approx(naive(name, p, y), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", ["pairwise_mse", "pairwise_bce"])
def test_losses_of_pairs_do_not_see_a_constant(name):
    p, y = torch.rand(12, dtype=torch.float64), torch.rand(12, dtype=torch.float64)
    assert float(loss_named(name)(p + 3, y)) == pytest.approx(float(loss_named(name)(p, y)))


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_point_to_the_observed_order(name):
    """A person who has more and is predicted the same as everyone is pushed up against the others."""
    y = torch.tensor([0.0, 0.0, 4.0, 0.0], dtype=torch.float64)
    p = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    loss_named(name)(p, y).backward()
    assert int(np.argmin(p.grad.numpy())) == 2


def test_errors_of_losses():
    with pytest.raises(ConfigError, match="no such loss"):
        loss_named("huber")
    with pytest.raises(ConfigError, match="at least 2 people"):
        loss_named("pairwise_mse")(torch.zeros(1), torch.zeros(1))
    with pytest.raises(ConfigError, match=r"observations \(2,\)"):
        loss_named("mse")(torch.zeros(3), torch.zeros(2))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_people_are_compared_in_float32_whatever_autocast_does(name, kind):
    rng = np.random.default_rng(3)
    given = torch.tensor(5 + rng.random(8), dtype=torch.float32).to(kind).requires_grad_()
    observed = torch.tensor(5 + rng.random(8), dtype=torch.float32)
    wanted = LOSSES[name](given.detach().float(), observed)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = LOSSES[name](given, observed)
    assert found.dtype == torch.float32
    assert found == wanted
    found.backward()
    assert given.grad is not None
    double = LOSSES[name](given.detach().double(), observed.double())
    assert double.dtype == torch.float64
