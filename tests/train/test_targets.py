"""Targets: everything is fitted to training people, and the others change nothing."""

import numpy as np
import pytest

from hapsight.errors import InputError
from hapsight.train.priors import Targets, rows_of

RNG = np.random.default_rng(3)
COVARIATES = RNG.standard_normal((40, 3))
MEASURED = RNG.gamma(2.0, 5.0, (6, 40)) + COVARIATES[:, 0] ** 2
TRAIN = np.arange(40) % 4 != 0
GENES = tuple(f"g{i}" for i in range(6))


def targets(measured=MEASURED) -> Targets:
    return Targets.of(GENES, measured, np.log10(measured + 0.1), COVARIATES, TRAIN)


def test_z_scores_by_hand():
    design = np.column_stack([np.ones(40), COVARIATES])
    found = targets().on_scale("z", np.arange(6))
    for row, got in zip(np.log10(MEASURED + 0.1), found, strict=True):
        fitted = np.linalg.solve(design[TRAIN].T @ design[TRAIN], design[TRAIN].T @ row[TRAIN])
        residual = row - design @ fitted
        np.testing.assert_allclose(got, residual / np.std(residual[TRAIN], ddof=1), atol=1e-9)


@pytest.mark.parametrize("scale", ["z", "level"])
def test_other_people_change_nothing_of_the_training_targets(scale):
    other = MEASURED.copy()
    other[:, ~TRAIN] = 1000.0
    mine, theirs = (targets(m).on_scale(scale, np.arange(4)) for m in (MEASURED, other))
    np.testing.assert_array_equal(mine[:, TRAIN], theirs[:, TRAIN])
    assert not np.allclose(mine[:, ~TRAIN], theirs[:, ~TRAIN])


def test_levels_are_standard_between_the_seen_genes():
    seen = np.arange(4)
    level = targets().on_scale("level", seen)[:, TRAIN].mean(axis=1)
    assert level[seen].mean() == pytest.approx(0, abs=1e-12)
    assert level[seen].std(ddof=1) == pytest.approx(1)
    means = np.log10(MEASURED + 0.1)[:, TRAIN].mean(axis=1)
    assert np.corrcoef(level, means)[0, 1] == pytest.approx(1)


def test_a_gene_that_does_not_vary_in_training_people_is_zero():
    measured = MEASURED.copy()
    measured[2, TRAIN] = 7.0
    found = targets(measured)
    assert found.spread[2] == 0.0
    assert not found.on_scale("z", np.arange(6))[2].any()


def test_errors():
    normal = RNG.standard_normal((6, 40))
    found = Targets.of(GENES, normal, normal, None, TRAIN)
    with pytest.raises(InputError, match=r"below zero(.|\n)*gene g\d(.|\n)*minimum -"):
        found.on_scale("counts", np.arange(6))
    with pytest.raises(InputError, match="at least 2 seen genes"):
        found.on_scale("level", np.array([3]))
    assert rows_of(["g4", "g1"], GENES).tolist() == [4, 1]
    with pytest.raises(InputError, match=r"does not have all genes(.|\n)*expr.bed(.|\n)*1 are missing: nope"):
        rows_of(["g1", "nope"], GENES, "expr.bed")
