"""Linear fits: R glmnet's nested elastic net and susieR against ours, gene by gene in turn, on one thread."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numba
import numpy as np
from benchmarks.peers.table import NotRunError, Row, require, say, succeed
from tests.linear.cohort import RealGene, real_genes
from tests.verify import glmnet_oracle
from tests.verify.test_glmnet import OPTIONS, tasks

from hapsight.least_squares import Design
from hapsight.linear import susie
from hapsight.linear.fits import make_folds
from hapsight.linear.methods import ElasticNet
from hapsight.linear.nested import fit_held_out
from hapsight.linear.predictors import Predictors

HERE = Path(__file__).parent
FOLDS, SEED = 5, 1
FITS = FOLDS + 1  # outer folds and the fit on all people, which R is not asked for
FIXED = 0.1
"""Prior variance of an effect where both sides fit the same model, as a share of the outcome's."""


def require_r(package: str) -> str:
    """The version of an R package.

    Raises
    ------
    NotRunError
        It, or R, is not there.
    """
    require("Rscript", "r-base-core")
    try:
        return succeed(["Rscript", "-e", f'cat(as.character(packageVersion("{package}")))'])
    except NotRunError as error:
        raise NotRunError(f"the R package {package} is missing (Debian: r-cran-{package.lower()})") from error


def glmnet_row(cohort: Path, count: int) -> Row:
    """Nested cross-validation: five outer folds, ten inner ones, alpha .5, the same folds on both sides."""
    peer = f"R glmnet {require_r('glmnet')}"
    folds = make_folds(358, FOLDS, np.random.default_rng(SEED))
    seconds, r = np.zeros(2), []
    for number, gene in enumerate(real_genes(cohort, count)):
        say(f"glmnet, gene {number + 1} of {count}")
        if number == 0:
            held_out(gene, folds)  # compiles
        started = time.process_time()
        observed, mine = held_out(gene, folds)
        seconds[1] += (time.process_time() - started) * FOLDS / FITS
        answers = glmnet_oracle.ask(gene.dosage, *tasks(gene, folds, SEED))
        seconds[0] += sum(answer.seconds for answer in answers)
        theirs = np.array([answers[k].predicted[1, i] for i, k in enumerate(folds)])
        r.append([np.corrcoef(observed, one)[0, 1] for one in (theirs, mine)])
    difference = np.abs(np.diff(r, axis=1))
    says = f"held-out r {np.mean(r, axis=0)[0]:.3f} and {np.mean(r, axis=0)[1]:.3f} in the mean, "
    return Row(
        f"elastic net, {FOLDS} x 10 folds, a gene (mean of {count})",
        peer,
        *(seconds / count),
        says + f"at most {difference.max():.4f} apart",
    )


def held_out(gene: RealGene, folds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Observed and predicted outcome of everybody by the fit without them."""
    fit = fit_held_out(gene.dosage, gene.expression, gene.covariates, folds, SEED, ElasticNet(OPTIONS))
    return fit.observed, fit.predicted


@contextmanager
def fixed_variance() -> Iterator[None]:
    """The single effect compiled for one prior variance; afterwards the usual ones."""
    usual = susie.VARIANCES, susie.single_effect
    susie.VARIANCES = np.array([FIXED])
    susie.single_effect = numba.njit(nogil=True)(susie.single_effect.py_func)
    try:
        yield
    finally:
        susie.VARIANCES, susie.single_effect = usual


def ask_susie(dosage: np.ndarray, outcome: np.ndarray) -> dict[str, np.ndarray]:
    """Seconds, ELBO and inclusion probabilities of each of susieR's fits."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "shape.txt").write_text(f"{dosage.shape[1]} {len(dosage)}")
        dosage.astype(np.int8).tofile(folder / "dosage.bin")
        outcome.astype(float).tofile(folder / "outcome.bin")
        succeed(["Rscript", str(HERE / "susie.R"), name])
        return {
            file.stem: np.fromfile(file)
            for file in folder.glob("*.bin")
            if file.stem not in ("dosage", "outcome")
        }


def fit_susie(dosage: np.ndarray, outcome: np.ndarray, refine: bool) -> np.ndarray:
    """Our fit, in the same form."""
    started = time.process_time()
    fit = susie.fit_susie(Predictors.of(dosage, 0.0), outcome, np.zeros(len(dosage)), refine=refine)
    return np.concatenate([[time.process_time() - started, fit.elbo], fit.inclusion])


def susie_rows(cohort: Path, count: int) -> Iterator[Row]:
    """Five effects on residual expression: the same model on both sides, then each by its defaults."""
    peer = f"susieR {require_r('susieR')}"
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for number, gene in enumerate(real_genes(cohort, count)):
        say(f"susieR, gene {number + 1} of {count}")
        outcome = Design.of(len(gene.expression), gene.covariates).residuals(gene.expression)
        outcome = (outcome - outcome.mean()) / outcome.std()
        ours = our_fits(gene.dosage, outcome, warm=number == 0)
        theirs = ask_susie(gene.dosage, outcome)
        for name, fit in ours.items():
            found.setdefault(name, []).append((theirs[name], fit))
    described = {
        "fixed": "SuSiE, the same model (prior variance .1)",
        "refined": "the same with restarts (refine)",
        "default": "SuSiE, each program's defaults",
        "default_refined": "the same with restarts (refine)",
    }
    for name, what in described.items():
        yield susie_row(f"{what}, a gene (mean of {count})", peer, found[name], name in ("fixed", "refined"))


def our_fits(dosage: np.ndarray, outcome: np.ndarray, warm: bool) -> dict[str, np.ndarray]:
    """All four fits; where not yet compiled, each is made once before."""

    def fits(names: dict[str, bool]) -> dict[str, np.ndarray]:
        if warm:
            fit_susie(dosage[:50], outcome, refine=False)
        return {name: fit_susie(dosage, outcome, refine) for name, refine in names.items()}

    usual = fits({"default": False, "default_refined": True})
    with fixed_variance():
        fit_susie(dosage[:50], outcome, refine=False)  # compiled anew for each gene
        return usual | fits({"fixed": False, "refined": True})


def susie_row(what: str, peer: str, pairs: list[tuple[np.ndarray, np.ndarray]], one_model: bool) -> Row:
    """Seconds a gene, and how far the answers agree."""
    both = np.array([(theirs[:2], ours[:2]) for theirs, ours in pairs])
    apart = np.array([np.abs(theirs[2:] - ours[2:]).max() for theirs, ours in pairs])
    near = int((apart < 0.01).sum())
    says = f"inclusion within .01 in {near} of {len(pairs)} genes, at most {apart.max():.3f} apart"
    if one_model:
        rise = both[:, 1, 1] - both[:, 0, 1]
        higher, lower = int((rise >= 0.1).sum()), int((rise <= -0.1).sum())
        says += f"; ELBO the same to .1 in {len(rise) - higher - lower}, ours higher in {higher} (at most by "
        says += f"{max(rise.max(), 0):.1f}), lower in {lower} (at most by {max(-rise.min(), 0):.1f})"
    return Row(what, peer, *both[:, :, 0].mean(axis=0), says)


def rows(cohort: Path, glmnet_genes: int, susie_genes: int) -> Iterator[Row]:
    """The elastic net, then SuSiE; a peer that is missing does not stop the other."""
    parts: list[tuple[str, str, Callable[[], Iterator[Row]]]] = [
        ("elastic net", "R glmnet", lambda: iter([glmnet_row(cohort, glmnet_genes)])),
        ("SuSiE", "susieR", lambda: susie_rows(cohort, susie_genes)),
    ]
    for what, peer, made in parts:
        try:
            yield from made()
        except NotRunError as why:
            yield Row(what, peer, agreement=f"not run: {why}")
