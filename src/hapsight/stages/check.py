"""The stage that opens everything and says what is well and what is not.

Whether people's expression and genotypes belong together, as far as strong eQTLs can tell.

What a stage of `hapsight run` would refuse of a cohort, found before any work is done.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.check import CheckResult, check_parts
from hapsight.cohort.contigs import plain_contig
from hapsight.cohort.effect_layouts import NEAREST, NEAREST_WITHIN
from hapsight.cohort.join import Cohort, CohortParts
from hapsight.cohort.matching import genes_of_cohort
from hapsight.cohort.nouns import Dropped, Gene, Interval, Strand
from hapsight.cohort.sexes import LEAST_R, find_mismatches, match_scores, strongest_variant
from hapsight.cohort.tables import require_file
from hapsight.engine.views import of_genes, require_fitting, window_of
from hapsight.errors import HapsightError, plural
from hapsight.files import write_atomically
from hapsight.least_squares import Design, residuals
from hapsight.linear.nested import require_people
from hapsight.models.protocol import SequenceModel
from hapsight.priors.signs import read_sign_priors
from hapsight.run.baselines import BaselineRun, baseline_runs, imported_runs, method_of, weights_by_gene
from hapsight.run.blocks import VariantReader
from hapsight.run.config import Config, ModelConfig
from hapsight.run.effects import check_effects
from hapsight.run.opened import Opened, as_compared, parts_of
from hapsight.run.run_folder import RunFolder
from hapsight.run.store import require_writable
from hapsight.stages.explain import SINGLE_BASES
from hapsight.stages.predict import require_apart, require_sequences
from hapsight.stages.read_outs import LoadedModel, given_checks, read_out_checks
from hapsight.stats.correlation import normal_scores

__all__ = ["check", "check_identity", "check_stages", "save_checks"]

Float = NDArray[np.float64]

_REACH = 100_000
_GENES_READ_TOGETHER = 32
_GENES_JUDGED_TOGETHER = 1000
_FEWEST_PEOPLE = 30


def check_identity(cohort: Cohort) -> CheckResult:
    """Look for people whose expression fits somebody else's genotypes better than their own.

    Every gene's strongest variant within 100 kb predicts expression; over all genes with abs(r) >= 0.3 these
    predictions tell people apart. Names that were exchanged between files show up here and nowhere else.
    """
    name = "people match"
    if len(cohort.samples) < _FEWEST_PEOPLE:
        return CheckResult(name, "warn", f"not tested: fewer than {_FEWEST_PEOPLE} people")
    scores, strong, eqtls = np.zeros((len(cohort.samples),) * 2), 0, _strong_eqtls(cohort)
    while some := list(islice(eqtls, _GENES_JUDGED_TOGETHER)):
        dosages, outcomes, strengths = map(np.array, zip(*some, strict=True))
        scores += match_scores(dosages, outcomes, strengths)
        strong += len(some)
    if not strong:
        return CheckResult(name, "warn", "not tested: no eQTL is strong enough to tell people apart")
    wrong = find_mismatches(scores)
    if not wrong:
        return CheckResult(name, "pass", f"expression fits the own genotypes, by {plural(strong, 'eQTL')}")
    details = tuple(
        f"{cohort.samples[m.expression_of]}: the expression fits the genotypes of {cohort.samples[m.fits]} "
        f"(log likelihood ratio {m.log_ratio:.0f})"
        for m in wrong
    )
    message = (
        f"the expression of {plural(len(wrong), 'people')} fits somebody else's genotypes, "
        f"by {plural(strong, 'eQTL')}"
    )
    if not any(m.exchanged for m in wrong):
        return CheckResult(name, "warn", f"{message}; but no names seem swapped", details)
    mend = "to mend: find out which file has the names swapped, or leave these people out"
    return CheckResult(name, "fail", message, (*details, mend))


def _strong_eqtls(cohort: Cohort) -> Iterator[tuple[Float, Float, float]]:
    """Of each gene with one: (N,) dosage of its strongest variant and expression, standardised; and r."""
    for first in range(0, len(cohort.genes), _GENES_READ_TOGETHER):
        rows = slice(first, first + _GENES_READ_TOGETHER)
        windows = [gene.cis(_REACH) for gene in cohort.genes[rows]]
        reader = VariantReader(cohort.genotypes, cohort.reference, windows)
        for window, outcome in zip(windows, normal_scores(cohort.residual[rows]), strict=True):
            found = strongest_variant(reader(window).linear_dosage, outcome)
            if found is not None and abs(found[1]) >= LEAST_R:
                yield found[0], (outcome - outcome.mean()) / outcome.std(), found[1]


Test = tuple[str, Callable[[], object]]


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
        yield f"exons of {one.label}", partial(of_genes, one.model, one.read_out, cohort.genes)
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
    """Whether genes and models can be explained, the stretch lies in the windows, and tables can be read."""
    from hapsight.models.elements import ElementSum

    config, genes = opened.config.explain, opened.cohort.genes
    for one in models:
        if isinstance(one.model, ElementSum) and (config.saturation is not None or config.gradients):
            one.model.refuse_sequences()
    tables = [one.label or str(one.table) for one in opened.config.models if one.table is not None]
    if len(tables) == len(opened.config.models) and (config.saturation is not None or config.gradients):
        require_sequences(tables, SINGLE_BASES)
    chosen = genes_of_cohort(genes, config.genes, "to explain") if config.genes else genes
    if config.saturation is not None and config.saturation_around == "tss":
        from hapsight.engine.views import margin
        from hapsight.explain.ism import saturation_stretch
        from hapsight.explain.mutations import require_within

        for one in models:
            for gene in chosen:
                window = window_of(gene, one.model.window, margin(one.read_out))
                require_within(window, saturation_stretch(gene, *config.saturation))
    if config.sign_priors is not None:
        read_sign_priors(config.sign_priors)
    if config.conservation is not None:
        require_file(config.conservation, "conservation")


def check(
    config: Config,
    parts: CohortParts | None = None,
    loaded: dict[int, SequenceModel] | None = None,
    tables: Sequence[Path] = (),
) -> list[CheckResult]:
    """Look at the cohort and at the configured models; every site in the windows that they read.

    Of a table of effects, these are the sites within `within` bases of a TSS; where it is not given, within
    100 kb by the nearest TSS, and else in the cis window. Sites that rows farther out name are not looked at.

    Parameters
    ----------
    parts
        Of the cohort, where they are used afterwards too.
    loaded
        Takes the models, by their place in the configuration.
    tables
        Of weights, effects or QTLs, whose alleles and signs are looked at beside those that are configured.
    """
    models, results = _check_models(config, {} if loaded is None else loaded)
    parts = parts_of(config) if parts is None else parts

    def widest(gene: Gene) -> Interval:
        linear = (config.baseline, config.eqtl)
        reach = max(section.cis_window if section.run else 0 for section in linear)
        reach = max([reach, *(_reach_of(one, config) for one in config.models if one.table is not None)])
        windows = [gene.cis(reach), *(_interval(gene, one.model) for one in models)]
        return Interval(gene.contig, min(w.start for w in windows), max(w.end for w in windows))

    of_cohort = check_parts(parts, widest)
    results = of_cohort + results
    if any(result.status == "fail" for result in of_cohort):
        return results
    cohort = as_compared(parts.joined[0], config.expression)
    results += check_stages(config, cohort, models)
    opened = Opened(config, cohort, Dropped(), (), RunFolder(config.output))
    effects = [wanted for wanted in config.models if wanted.table is not None]
    results += [row for wanted in effects for row in check_effects(opened, wanted)]
    results += [_check_held_out(one, cohort.genes) for one in models if one.model.held_out is not None]
    if all(result.status != "fail" for result in results):
        results += _check_read_outs(opened, models, tables)
        results.append(check_identity(cohort))
    return results


def _check_read_outs(
    opened: Opened, models: Sequence[LoadedModel], tables: Sequence[Path]
) -> Iterator[CheckResult]:
    """Whether models are read where they should be, and how tables lie on the FASTA."""
    twice = Counter(one.label for one in models)
    for one in models:
        label = f"{one.label}, {one.read_out.name}" if twice[one.label] > 1 else one.label
        yield from read_out_checks(opened.config, opened.cohort, replace(one, label=label))
    yield from given_checks(opened, tables)


def _reach_of(effects: ModelConfig, config: Config) -> int:
    """Bases from a TSS within which the sites of a table of effects are looked at."""
    if effects.within is not None:
        return effects.within
    return NEAREST_WITHIN if effects.gene == NEAREST else config.baseline.cis_window


def save_checks(config: Config, results: Sequence[CheckResult]) -> None:
    """Keep the table beside the run, for the report."""
    text = json.dumps([asdict(result) for result in results], indent=1)
    write_atomically(config.output / "check.json", text.encode())


def _check_models(
    config: Config, loaded: dict[int, SequenceModel]
) -> tuple[list[LoadedModel], list[CheckResult]]:
    from hapsight.models.registry import load_model

    models, results = list[LoadedModel](), list[CheckResult]()
    for place, wanted in enumerate(config.models):
        if wanted.table is not None:  # read with the cohort's genes
            continue
        try:
            model = loaded[place] = load_model(wanted.name, wanted.weights, "cpu", **wanted.options)
            read_out = model.read_out(wanted.read_out)
        except HapsightError as error:
            details = tuple(f"{name}: {value}" for name, value in error.details.items())
            results.append(CheckResult(f"model {wanted.name}", "fail", error.what, details))
            continue
        models.append(LoadedModel(wanted.label or model.name, model, read_out))
        message = f"{model.name}, read-out {read_out.name}, {model.window.length:,} bp"
        results.append(CheckResult(f"model {wanted.name}", "pass", message))
    return models, results


def _check_held_out(one: LoadedModel, genes: Sequence[Gene]) -> CheckResult:
    """Whether the genes lie on chromosomes that the weights were not trained on, where that is known."""
    held_out = one.model.held_out or ()
    contigs = list(dict.fromkeys(gene.contig for gene in genes))
    seen = [contig for contig in contigs if plain_contig(contig) not in held_out]
    name, known = f"training of {one.label}", ", ".join(held_out)
    if not seen:
        return CheckResult(name, "pass", f"all genes lie on chromosomes it was not trained on ({known})")
    message = (
        f"held out only {known}: its figures across genes of {', '.join(seen)} are of genes it may have seen"
    )
    return CheckResult(name, "warn", message)


def _interval(gene: Gene, model: SequenceModel) -> Interval:
    """What a model reads of a gene; a gene without strand is told of elsewhere and taken as plus here."""
    return window_of(gene if gene.strand else replace(gene, strand=Strand.PLUS), model.window).interval
