import numpy as np
import pytest
from scipy import stats

from hapsight.report.seed_figure import lines_by_sign


def test_each_sign_has_its_own_line():
    rng = np.random.default_rng(0)
    x, r = rng.uniform(0, 20, 100), rng.uniform(-0.5, 0.5, 100)
    right, wrong = lines_by_sign(x, r)
    for line, chosen in ((right, r > 0), (wrong, r < 0)):
        twin = stats.linregress(x[chosen], r[chosen])
        assert line.n == chosen.sum()
        assert line.slope == pytest.approx(twin.slope)
        assert line.ci_high - line.slope == pytest.approx(stats.t.ppf(0.975, chosen.sum() - 2) * twin.stderr)
        assert line.start == pytest.approx((x[chosen].min(), twin.intercept + twin.slope * x[chosen].min()))
        assert line.end == pytest.approx((x[chosen].max(), twin.intercept + twin.slope * x[chosen].max()))


def test_an_r_of_zero_belongs_to_neither():
    right, wrong = lines_by_sign(np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.1, -0.1]))
    assert (right.n, wrong.n, right.slope) == (1, 1, None)


def test_two_genes_have_a_line_without_an_interval():
    right, _ = lines_by_sign(np.array([1.0, 2.0]), np.array([0.1, 0.3]))
    assert right.slope == pytest.approx(0.2)
    assert right.ci_low is None
