"""The stage that opens everything and says what is well and what is not."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from hapsight.cohort.check import CheckResult, check_cohort
from hapsight.cohort.join import open_cohort
from hapsight.cohort.nouns import Gene, Interval, Strand
from hapsight.config import Config
from hapsight.errors import HapsightError
from hapsight.models.protocol import SequenceModel
from hapsight.predict.store import write_atomically
from hapsight.predict.windows import window_of
from hapsight.workflow.identity import check_identity
from hapsight.workflow.opened import cohort_files, policy_of

__all__ = ["check", "save_checks"]


def check(config: Config) -> list[CheckResult]:
    """Look at the cohort and at the configured models; every site in the windows that they read."""
    models, results = _check_models(config)

    def widest(gene: Gene) -> Interval:
        reach = config.baseline.cis_window if config.baseline.run else 0
        windows = [gene.cis(reach), *(_interval(gene, model) for model in models)]
        return Interval(gene.contig, min(w.start for w in windows), max(w.end for w in windows))

    files, policy = cohort_files(config.cohort), policy_of(config.cohort)
    results = check_cohort(files, policy, widest) + results
    if all(result.status != "fail" for result in results):
        cohort, _ = open_cohort(files, policy)
        results.append(check_identity(cohort, config.expression.transform, config.expression.pseudocount))
    return results


def save_checks(config: Config, results: list[CheckResult]) -> None:
    """Keep the table beside the run, for the report."""
    text = json.dumps([asdict(result) for result in results], indent=1)
    write_atomically(config.output / "check.json", text.encode())


def _check_models(config: Config) -> tuple[list[SequenceModel], list[CheckResult]]:
    from hapsight.models.registry import load_model

    models, results = [], []
    for wanted in config.models:
        try:
            model = load_model(wanted.name, wanted.weights, "cpu", **wanted.options)
            read_out = model.read_out(wanted.read_out)
        except HapsightError as error:
            details = tuple(f"{name}: {value}" for name, value in error.details.items())
            results.append(CheckResult(f"model {wanted.name}", "fail", error.what, details))
            continue
        models.append(model)
        message = f"{model.name}, read-out {read_out.name}, {model.window.length:,} bp"
        results.append(CheckResult(f"model {wanted.name}", "pass", message))
    return models, results


def _interval(gene: Gene, model: SequenceModel) -> Interval:
    """What a model reads of a gene; a gene without strand is told of elsewhere and taken as plus here."""
    return window_of(gene if gene.strand else replace(gene, strand=Strand.PLUS), model).interval
