"""The first page of a report in words: one paragraph that can be cited, made from the published numbers."""

from __future__ import annotations

from typing import Final

from hapsight.report import words
from hapsight.report.cards import Value, both_tests, values_of
from hapsight.report.run_folder import Arm, RunFolder
from hapsight.stats.protocols import Protocol, protocol_named

__all__ = ["answers", "arithmetic", "in_words", "lead"]

_MOST_MODELS: Final = 3
"""Models that the answers and the paragraph tell of; the table has all."""


def lead(run: RunFolder) -> Arm | None:
    """The arm of the first page: the first model, else the baseline; None where nothing has results."""
    return run.models[0] if run.models else run.baseline


def answers(run: RunFolder) -> list[tuple[str, str]]:
    """The question of the first page, answered: model or baseline, and how often its direction is wrong."""
    protocol = protocol_named(run.record.get("protocol"))
    arms = (*run.models[:_MOST_MODELS], *((run.baseline,) if run.baseline else ()))
    shares = [(arm.label, values_of(run, arm).get(protocol.share_negative, Value())) for arm in arms]
    return [(label, _answer(share, protocol)) for label, share in shares if share.ci_low is not None]


def _answer(share: Value, protocol: Protocol) -> str:
    """A share of genes with the wrong sign beside that of a coin."""
    low, high = share.ci_low or 0.0, 1.0 if share.ci_high is None else share.ci_high
    beside = "worse than" if low > 0.5 else "better than" if high < 0.5 else "consistent with"
    return (
        f"wrong direction ({protocol.correlation} < 0) in {words.percent(share.value)} of genes, "
        f"{beside} a coin’s 50 % ({share.basis_of_share})."
    )


def in_words(run: RunFolder) -> tuple[str, ...]:
    """The paragraph, sentence by sentence; empty where nothing has results."""
    if lead(run) is None:
        return ()
    protocol = protocol_named(run.record.get("protocol"))
    models = [sentence for arm in run.models[:_MOST_MODELS] for sentence in _of_model(run, arm, protocol)]
    more = len(run.models) - _MOST_MODELS
    if more > 0:
        models.append(f"{words.plural(more, 'further model')} {'is' if more == 1 else 'are'} in the table.")
    beside = () if run.baseline is None else (_of_baseline(run, run.baseline, protocol),)
    return (_what(run), *models, *beside, _how(run))


def arithmetic(run: RunFolder, arm: Arm) -> str:
    """In which arithmetic a model was run: float32, unless the record says that another one was tried."""
    trials = run.record.get("trials") or []
    mine = (t for t in trials if (t["model"], t["read_out"]) == (arm.model, arm.read_out))
    return str(next((t["precision"] for t in mine if "precision" in t), "float32"))


def _what(run: RunFolder) -> str:
    """Who was compared with what."""
    cohort = run.record.get("cohort", {})
    size = " and ".join(
        words.plural(cohort[name], noun)
        for name, noun in (("people", "people"), ("genes", "gene"))
        if cohort.get(name) is not None
    )
    name = run.record.get("name") or "This cohort"
    measured = "; ".join(_observed(run, run.models[:1] or run.arms[:1]))
    expression = f"measured expression ({measured})" if measured else "measured expression"
    predicted = "predictions" if not run.models else "predictions from both haplotypes of each person"
    return f"{name}: {f'in {size}, ' if size else ''}{predicted} were compared with {expression}."


def compared_with(run: RunFolder) -> list[str]:
    """What predictions were compared with, in words; with the models' names where they differ in it."""
    models: dict[str, list[str]] = {}
    for arm in run.arms:
        for text in _observed(run, (arm,)):
            models.setdefault(text, []).append(arm.label)
    if len(models) < 2:
        return list(models)
    return [f"{', '.join(labels)}: {text}" for text, labels in models.items()]


def _observed(run: RunFolder, arms: tuple[Arm, ...]) -> list[str]:
    return [text for arm in arms for text in arm.of(run.per_gene)["observed"].drop_nulls().unique().sort()]


def _of_model(run: RunFolder, arm: Arm, protocol: Protocol) -> tuple[str, ...]:
    found = values_of(run, arm)
    named = f"{arm.model} (read-out {arm.read_out or 'not named'}; {arithmetic(run, arm)})"
    rho = found.get("across_genes_spearman", Value())
    across = (
        ()
        if rho.value is None
        else (
            f"Over genes, the Spearman correlation of its prediction for the reference sequence with mean "
            f"expression was {words.decimal(rho.value, 2)} {_basis(rho, 2)}.",
        )
    )
    return (_of_people(found, named, protocol), *across)


def _of_people(found: dict[str, Value], named: str, protocol: Protocol) -> str:
    """R over people: mean, share of negative, and what the tests say."""
    mean = found.get(f"across_people_{protocol.statistic}_mean", Value())
    share = found.get(protocol.share_negative, Value())
    if mean.value is None:
        return f"{named} has no correlation over people in this report."
    test = protocol.test_of("significant.folds" in found)
    return (
        f"{named}: over people, the mean {_statistic(protocol)} of a gene was {words.decimal(mean.value)} "
        f"{_basis(mean)}, and it was below 0 in {words.percent(share.value)} of the genes{_range(share)}. "
        f"{both_tests(found, test)}"
    )


def _of_baseline(run: RunFolder, arm: Arm, protocol: Protocol) -> str:
    mean = values_of(run, arm).get(f"across_people_{protocol.statistic}_mean", Value())
    if mean.value is None:
        return f"The linear baseline {arm.label} has no correlation over people in this report."
    alone = "" if run.models else f" {both_tests(values_of(run, arm), protocol.test_of(True))}"
    return (
        f"The mean {_statistic(protocol)} of the linear baseline {arm.model} ({arm.read_out}) was "
        f"{words.decimal(mean.value)} {_basis(mean)}.{alone}"
    )


def _how(run: RunFolder) -> str:
    """What belongs to every number: protocol, version, date, seed."""
    record = run.record
    parts = [f"Protocol {record.get('protocol') or 'not named'}"]
    parts += [f"hapsight {record['hapsight']}"] if record.get("hapsight") else []
    parts += [str(record["created"])[:10]] if record.get("created") else []
    parts += [f"seed {record['seed']}"] if record.get("seed") is not None else []
    return (
        f"{', '.join(parts)}. Significant: q < 0.05, Benjamini-Hochberg; intervals take genes as independent."
    )


def _statistic(protocol: Protocol) -> str:
    return "Spearman correlation" if protocol.statistic == "spearman" else "R (Pearson)"


def _range(share: Value) -> str:
    if share.ci_low is None or share.ci_high is None:
        return ""
    return f" (95 % CI {words.percent(share.ci_low)} to {words.percent(share.ci_high)})"


def _basis(value: Value, digits: int = 3) -> str:
    n = words.plural(value.n, value.noun)
    if value.ci_low is None or value.ci_high is None:
        return f"({n})"
    return f"(95 % CI {words.decimal(value.ci_low, digits)} to {words.decimal(value.ci_high, digits)}; {n})"
