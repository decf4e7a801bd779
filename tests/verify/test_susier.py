"""R susieR judges SuSiE and its restarts: the same model, with one prior variance of every effect."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from hapsight.linear import susie
from hapsight.linear.fits import Predictors
from tests.linear.test_susie import gene, proxy

pytestmark = pytest.mark.verify

Gene = tuple[np.ndarray, np.ndarray]
VARIANCE = 0.1
SCRIPT = """
suppressMessages(library(susieR))
folder <- commandArgs(trailingOnly = TRUE)[1]
x <- t(as.matrix(read.table(file.path(folder, "dosage.txt"))))
y <- scan(file.path(folder, "outcome.txt"), quiet = TRUE)
for (refine in c(FALSE, TRUE)) {
  fit <- susie(x, y, L = 5, estimate_prior_variance = FALSE, scaled_prior_variance = 0.1, refine = refine,
               tol = 1e-9, max_iter = 1000, intercept = TRUE, standardize = TRUE)
  cat(format(c(susie_get_objective(fit), fit$pip), digits = 15), "\\n")
}
"""


class Answer(NamedTuple):
    """What susieR says."""

    elbo: float
    inclusion: np.ndarray


def ask(folder: Path, dosage: np.ndarray, outcome: np.ndarray) -> list[Answer]:
    """Without restarts, and with them."""
    np.savetxt(folder / "dosage.txt", dosage)
    np.savetxt(folder / "outcome.txt", outcome, fmt="%.17g")
    (folder / "susie.R").write_text(SCRIPT)
    done = subprocess.run(
        ["Rscript", folder / "susie.R", folder], capture_output=True, check=True, text=True, timeout=120
    )
    numbers = [np.array(line.split(), float) for line in done.stdout.splitlines()]
    return [Answer(row[0], row[1:]) for row in numbers]


@pytest.fixture(scope="module", autouse=True)
def _susier() -> None:
    if shutil.which("Rscript") is None:
        pytest.skip("Rscript is not installed")
    if subprocess.run(["Rscript", "-e", "library(susieR)"], capture_output=True, check=False).returncode:
        pytest.skip("the R package susieR is not installed")


@pytest.mark.parametrize(
    ("example", "seed", "rises"),
    [(proxy, 12, True), (proxy, 10, False), (gene, 3, False)],
)
def test_the_elbo_and_inclusion(
    example: Callable[[int], Gene], seed: int, rises: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(susie, "_STILL", 1e-9)
    monkeypatch.setattr(susie, "_SWEEPS", 1000)
    monkeypatch.setattr(susie, "VARIANCES", np.array([VARIANCE]))
    monkeypatch.setattr(susie, "single_effect", susie.single_effect.py_func)  # compiled, it keeps its own
    dosage, outcome = example(seed)
    dosage = dosage[dosage.std(axis=1) > 0].astype(float)
    outcome = (outcome - outcome.mean()) / outcome.std()
    judge = ask(tmp_path, dosage, outcome)
    assert (judge[1].elbo > judge[0].elbo + 0.1) == rises
    predictors, flat = Predictors.of(dosage, 0.0), np.zeros(len(dosage))
    for refine, answer in zip((False, True), judge, strict=True):
        fit = susie.fit_susie(predictors, outcome, flat, refine=refine)
        assert fit.elbo == pytest.approx(answer.elbo, abs=1e-5)
        np.testing.assert_allclose(fit.inclusion, answer.inclusion, atol=1e-4)
