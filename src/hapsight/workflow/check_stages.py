"""What a stage of `hapsight run` would refuse of a cohort, found before any work is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from hapsight.baseline.nested import require_people
from hapsight.cohort.check import CheckResult
from hapsight.cohort.join import Cohort
from hapsight.cohort.nouns import Dropped
from hapsight.cohort.wholeness import require_file
from hapsight.config import Config
from hapsight.errors import HapsightError
from hapsight.least_squares import Design, residuals
from hapsight.models.protocol import ReadOut, SequenceModel
from hapsight.predict.store import require_writable
from hapsight.predict.windows import require_fitting, window_of
from hapsight.priors.sign_table import read_sign_priors
from hapsight.workflow.baseline_runs import BaselineRun, baseline_runs, imported_runs
from hapsight.workflow.baseline_units import method_of
from hapsight.workflow.explain import genes_of_cohort
from hapsight.workflow.imported import weights_by_gene
from hapsight.workflow.opened import Opened
from hapsight.workflow.predict import require_apart
from hapsight.workflow.run_folder import RunFolder

__all__ = ["LoadedModel", "check_stages"]

Test = tuple[str, Callable[[], object]]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A configured model: what tables call it, and how it is read."""

    label: str
    model: SequenceModel
    read_out: ReadOut


def check_stages(config: Config, cohort: Cohort, models: Sequence[LoadedModel]) -> list[CheckResult]:
    """Ask each stage of `hapsight run` for what it refuses of people, covariates, genes and tables.

    Returns
    -------
    list of CheckResult
        A failure for each stage that would refuse, in its own words; else one that says that none does.
    """
    opened = Opened(config, cohort, Dropped(), (), RunFolder(config.output))
    failed = [result for name, test in _tests(opened, models) if (result := _failure(name, test))]
    return failed or [CheckResult("later stages", "pass", "none refuses these people, covariates and genes")]


def _failure(name: str, test: Callable[[], object]) -> CheckResult | None:
    try:
        test()
    except HapsightError as error:
        details = tuple(f"{key}: {text}" for key, text in error.details.items())
        return CheckResult(name, "fail", error.what, details)
    return None


def _tests(opened: Opened, models: Sequence[LoadedModel]) -> Iterator[Test]:
    """What to try, by the name of the stage."""
    config, cohort = opened.config, opened.cohort
    covariates = None if cohort.covariates is None else cohort.covariates.values
    yield "output", partial(require_writable, config.output, folder=True)
    yield "expression, transformed", lambda: cohort.transformed
    yield "evaluation", partial(residuals, cohort.expression.values[:1], covariates)
    if config.eqtl.run:
        yield "eQTLs", partial(Design.of, len(cohort.samples), covariates)
    for run in baseline_runs(opened):
        yield f"baseline {run.folder}", partial(_fit, opened, run)
    for weights in imported_runs(opened):
        yield f"weights {weights.method}", partial(weights_by_gene, weights, cohort.genes)
    yield "models", partial(require_apart, [(one.label, one.read_out.name) for one in models])
    for one in models:
        contigs = cohort.reference.contigs
        yield f"window of {one.label}", partial(require_fitting, one.model, cohort.genes, contigs)
    if config.explain.genes or config.explain.run:
        yield "explain", partial(_explain, opened, models)


def _fit(opened: Opened, run: BaselineRun) -> None:
    """Whether every fold leaves people enough, for the method and for the covariates."""
    folds, method = run.folds(opened), method_of(opened, run)
    require_people(folds, method)
    cohort = opened.cohort
    if cohort.covariates is None:
        return
    for fold in range(int(folds.max()) + 1):
        train = folds != fold
        Design.of(int(train.sum()), cohort.covariates.values[train])


def _explain(opened: Opened, models: Sequence[LoadedModel]) -> None:
    """Whether the genes to explain are there, the stretch lies in the windows, and tables can be read."""
    from hapsight.models.elements import ElementSum

    for one in models:
        if isinstance(one.model, ElementSum):
            one.model.refuse_sequences()
    config, genes = opened.config.explain, opened.cohort.genes
    chosen = genes_of_cohort(genes, config.genes, "to explain") if config.genes else genes
    if config.saturation is not None and config.saturation_around == "tss":
        from hapsight.explain.ism import saturation_stretch
        from hapsight.explain.mutations import require_within
        from hapsight.predict.views import margin

        for one in models:
            for gene in chosen:
                window = window_of(gene, one.model, margin(one.read_out))
                require_within(window, saturation_stretch(gene, *config.saturation))
    if config.sign_priors is not None:
        read_sign_priors(config.sign_priors)
    if config.conservation is not None:
        require_file(config.conservation, "conservation")
