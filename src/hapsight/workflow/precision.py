"""What an arithmetic does to a run: measured on the user's own people, and refused where it decides signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hapsight.cohort.nouns import Gene
from hapsight.errors import ConfigError
from hapsight.predict.cost import predicted_flop
from hapsight.predict.store import content_key
from hapsight.predict.windows import window_of
from hapsight.workflow.blocks import model_target
from hapsight.workflow.opened import Opened
from hapsight.workflow.variants import VariantReader

if TYPE_CHECKING:
    from hapsight.predict.arithmetic import Precision
    from hapsight.predict.engine import GenePrediction, Sequences
    from hapsight.workflow.predict import ModelRun

__all__ = ["guard_precision", "predicted", "spread_genes"]

_GUARD_GENES = 20
"""Genes on which an arithmetic is tried before a run, at most."""

_GUARD_BLOCKS = 0.4
"""Work of the trial, at most, but for the first two genes, in blocks that a worker is given at once."""


def spread_genes(genes: Sequence[Gene], count: int) -> list[Gene]:
    """`count` genes evenly spread over a list, or all of a shorter one."""
    places = np.unique(np.linspace(0, len(genes) - 1, min(count, len(genes))).round().astype(int))
    return [genes[place] for place in places]


def guard_precision(opened: Opened, run: ModelRun) -> None:
    """Try a run's arithmetic on some genes against float32, once, before anything is computed in it.

    What it loses is kept in the record of the run; the report says it where that was allowed.

    Raises
    ------
    ConfigError
        Too much, and the configuration does not allow it.
    """
    config = opened.config.predict
    if config.precision == "float32":
        opened.folder.record_trial(run.label, run.read_out.name, None)
        return
    key = content_key("predict", {"units": [unit.key for unit in run.units(opened)]})
    known = opened.folder.trial(run.label, run.read_out.name)
    trial = known if known is not None and known.get("key") == key else _tried(opened, run) | {"key": key}
    if not (trial["acceptable"] or config.allow_imprecise):
        raise _loses(run, trial)
    opened.folder.record_trial(run.label, run.read_out.name, trial)


def _tried(opened: Opened, run: ModelRun) -> dict[str, Any]:
    """What an arithmetic loses on some genes, as the record keeps it."""
    from hapsight.predict.precision import FLOAT32_ROUNDING, LEAST_R, compare

    precision, genes = opened.config.predict.precision, _affordable(opened, run)
    exact, other = (predicted(opened, run, genes, name) for name in ("float32", precision))
    loss = compare(exact, other, FLOAT32_ROUNDING)
    said = (
        f"{run.label} ({run.read_out.name}) was run in {precision}, which loses differences between people: "
        f"of {len(genes)} genes tried against float32, {loss.below} have predictions over people with "
        f"r < {LEAST_R}, {loss.constant} of them one prediction for everybody; {loss.signs_lost:.1%} of the "
        "differences between haplotypes and the reference lost their sign."
    )
    return {
        "precision": precision,
        "tried": len(genes),
        **asdict(loss),
        "acceptable": loss.acceptable,
        "said": "" if loss.acceptable else said,
    }


def _loses(run: ModelRun, trial: dict[str, Any]) -> ConfigError:
    from hapsight.predict.precision import LEAST_R, MOST_LOST

    lowest = "none" if trial["lowest_r"] is None else f"{trial['lowest_r']:.3f}"
    return ConfigError(
        f"{trial['precision']} loses what {run.label} says of differences between people.",
        where=f"precision of [predict]; {trial['tried']} genes tried against float32",
        expected=f"at most {MOST_LOST:.0%} of signs lost, r of at least {LEAST_R} in every gene",
        got=f"{trial['signs_lost']:.1%} of {trial['differences']:,} differences between haplotypes and the "
        f"reference lost their sign; lowest r of a gene's predictions over people {lowest}; "
        f"{trial['constant']} of {trial['genes']} genes became constant",
        fix='set precision = "float32" (on a GPU "float16x3" is as exact), or allow_imprecise = true, which '
        "the report then says on top",
    )


def _affordable(opened: Opened, run: ModelRun) -> list[Gene]:
    """Evenly spread genes whose trial is quick, but two at least."""
    cohort, taken, flop = opened.cohort, list[Gene](), 0.0
    most = _GUARD_BLOCKS * model_target(run.device)
    for gene in spread_genes(cohort.genes, _GUARD_GENES):
        variants = cohort.genotypes.expected_records(window_of(gene, run.model).interval)
        flop += predicted_flop(run.model, run.read_out, variants, len(cohort.samples))
        if flop > most and len(taken) >= 2:
            break
        taken.append(gene)
    return taken


def predicted(
    opened: Opened,
    run: ModelRun,
    genes: Sequence[Gene],
    precision: Precision | Literal["float64"],
) -> list[GenePrediction]:
    """Predictions of some genes in an arithmetic; the model then computes as configured again."""
    from hapsight.predict.precision import predicted_in

    config = opened.config.predict
    return predicted_in(
        precision,
        _sequences(opened, run, genes),
        genes,
        batch_size=config.batch_size,
        device=run.device,
        budget=config.budget,
        back_to=config.precision,
        compiled=config.compiled,
    )


def _sequences(opened: Opened, run: ModelRun, genes: Sequence[Gene]) -> Sequences:
    from hapsight.predict.engine import Sequences

    cohort = opened.cohort
    reader = VariantReader(
        cohort.genotypes, cohort.reference, [window_of(g, run.model).interval for g in genes]
    )
    return Sequences(run.model, run.read_out, reader, cohort.reference.fetch)
