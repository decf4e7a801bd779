import numpy as np
import pytest
from scipy import stats

from hapsight.stages.reproduce import (
    HUANG2023,
    SASSE2023,
    Huang2023,
    Sasse2023,
    compare,
    huang2023_numbers,
    sasse2023_numbers,
)


@pytest.fixture(scope="module")
def sasse() -> Sasse2023:
    """Twelve genes of one kind each, and one without R."""
    rng = np.random.default_rng(1)
    r = np.array([0.8, 0.5, -0.6, 0.3, 0.19, -0.3, 0.05, -0.02, 0.01, -0.1, 0.12, 0.0, np.nan])
    predixcan = np.where(np.arange(13) < 4, np.array([0.4, 0.3, -0.1, 0.2] + [0.0] * 9), np.nan)
    return Sasse2023(
        gene_name=tuple(f"G{i}" for i in range(13)),
        r=r,
        null_mean=np.full(13, 0.05),
        null_sd=np.full(13, 0.04),
        observed_mean=rng.standard_normal(13),
        predicted_mean=rng.standard_normal(13),
        predixcan_r=predixcan,
    )


def test_every_number_of_sasse_is_computed(sasse):
    found = sasse2023_numbers(sasse)
    assert set(SASSE2023) <= set(found)
    assert found["genes with R"] == 12
    assert (found["highest R, gene"], found["highest R"]) == ("G0", 0.8)
    assert (found["second lowest R, gene"], found["second lowest R"]) == ("G5", -0.3)
    assert found["R < 0, % of genes"] == pytest.approx(100 * 4 / 12)
    assert found["PrediXcan: genes with a model"] == 4
    assert found["PrediXcan: R < 0, % of genes"] == 25
    assert found["Enformer on PrediXcan's genes: mean R"] == pytest.approx(0.25)
    assert found["Enformer on PrediXcan's genes: mean abs(R)"] == pytest.approx(0.55)


def test_significant_genes_of_each_test_one_by_one(sasse):
    """The slow way: p of each gene, then Benjamini-Hochberg by its definition."""
    r = sasse.r[:12]
    scores = (np.abs(r) - 0.05) / np.sqrt(0.04 / 50)
    wanted = {
        "published test": [stats.t.sf(t, 49) for t in scores],
        "z of the null": [stats.norm.sf((abs(x) - 0.05) / 0.04) for x in r],
        "plain p": [2 * stats.t.sf(abs(x) * np.sqrt(837 / (1 - x * x)), 837) for x in r],
    }
    found = sasse2023_numbers(sasse)
    for test, pvalues in wanted.items():
        ranked = sorted(pvalues)
        passed = [k for k, p in enumerate(ranked, start=1) if p * 12 / k < 0.05]
        chosen = r[np.array(pvalues) <= ranked[max(passed) - 1]]
        assert 0 < len(chosen) < 12
        assert found[f"{test}: significant"] == len(chosen)
        assert found[f"{test}: R > 0"] == np.sum(chosen > 0)
        assert found[f"{test}: R < 0"] == np.sum(chosen < 0)
        assert found[f"{test}: R < 0, %"] == pytest.approx(100 * np.mean(chosen < 0))


def test_every_number_of_huang_is_computed():
    rng = np.random.default_rng(3)
    reference = {name: rng.standard_normal(20) for name in ("Xpresso", "Enformer", "Basenji2", "ExPecto")}
    r = np.array([0.5, -0.4, np.nan, 0.3, -0.2])
    distance = np.array([-1000.0, 3000.0, np.nan, 2000.0, 4000.0])
    maf = np.array([0.1, 0.2, np.nan, np.nan, 0.4])
    found = huang2023_numbers(Huang2023(reference, r, distance, maf))
    assert set(found) == set(HUANG2023)
    rho = stats.spearmanr(reference["ExPecto"], reference["Basenji2"]).statistic
    assert found["Spearman ExPecto, Basenji2"] == rho
    assert found["genes with a top eQTL"] == 4
    assert found["top eQTL: r < 0, % of genes"] == 50
    assert found["top eQTL: median distance, kb"] == 2.5
    assert found["top eQTL: Spearman of abs(r) and distance"] == pytest.approx(-0.8)
    assert found["top eQTL: Spearman of abs(r) and MAF"] == pytest.approx(-1)


@pytest.mark.parametrize(
    ("published", "ours", "written", "equal"),
    [
        (".0107", 0.010748, "0.0107", True),
        (".0107", 0.01076, "0.0108", False),
        ("599", 599, "599", True),
        ("599", 600, "600", False),
        ("-.680", -0.6804, "-0.680", True),
        ("DDX11", "DDX11", "DDX11", True),
        ("DDX11", "KNSTRN", "KNSTRN", False),
        ("1.0", float("nan"), "nan", False),
    ],
)
def test_equal_means_to_the_digits_published(published, ours, written, equal):
    (found,) = compare({"x": published}, {"x": ours, "y": 1.0})
    assert (found.ours, found.equal) == (written, equal)
