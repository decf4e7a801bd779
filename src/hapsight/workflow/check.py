"""The stage that opens everything and says what is well and what is not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace

from hapsight.cohort.check import CheckResult, check_parts
from hapsight.cohort.contigs import plain_contig
from hapsight.cohort.join import CohortParts
from hapsight.cohort.nouns import Dropped, Gene, Interval, Strand
from hapsight.config import Config
from hapsight.disk import write_atomically
from hapsight.errors import HapsightError
from hapsight.models.protocol import SequenceModel
from hapsight.predict.windows import window_of
from hapsight.workflow.check_stages import LoadedModel, check_stages
from hapsight.workflow.effects import check_effects
from hapsight.workflow.identity import check_identity
from hapsight.workflow.opened import Opened, as_compared, parts_of
from hapsight.workflow.run_folder import RunFolder

__all__ = ["check", "save_checks"]


def check(
    config: Config, parts: CohortParts | None = None, loaded: dict[int, SequenceModel] | None = None
) -> list[CheckResult]:
    """Look at the cohort and at the configured models; every site in the windows that they read.

    Parameters
    ----------
    parts
        Of the cohort, where they are used afterwards too.
    loaded
        Takes the models, by their place in the configuration.
    """
    models, results = _check_models(config, {} if loaded is None else loaded)
    parts = parts_of(config) if parts is None else parts

    def widest(gene: Gene) -> Interval:
        linear = (config.baseline, config.eqtl)
        reach = max(section.cis_window if section.run else 0 for section in linear)
        windows = [gene.cis(reach), *(_interval(gene, one.model) for one in models)]
        return Interval(gene.contig, min(w.start for w in windows), max(w.end for w in windows))

    of_cohort = check_parts(parts, widest)
    results = of_cohort + results
    if any(result.status == "fail" for result in of_cohort):
        return results
    cohort = as_compared(parts.joined[0], config.expression)
    results += check_stages(config, cohort, models)
    opened = Opened(config, cohort, Dropped(), (), RunFolder(config.output))
    results += [check_effects(opened, wanted) for wanted in config.models if wanted.table is not None]
    results += [_check_held_out(one, cohort.genes) for one in models if one.model.held_out is not None]
    if all(result.status != "fail" for result in results):
        results.append(check_identity(cohort))
    return results


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
    return window_of(gene if gene.strand else replace(gene, strand=Strand.PLUS), model).interval
