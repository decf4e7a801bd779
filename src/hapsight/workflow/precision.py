"""What an arithmetic does to a run: measured on the user's own people, and refused where it decides signs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from hapsight.cohort.nouns import Gene
from hapsight.errors import ConfigError
from hapsight.predict.cost import predicted_flop
from hapsight.predict.windows import window_of
from hapsight.workflow.opened import Opened
from hapsight.workflow.variants import VariantReader

if TYPE_CHECKING:
    from hapsight.predict.arithmetic import Precision
    from hapsight.predict.engine import GenePrediction, Sequences
    from hapsight.predict.precision import PrecisionLoss
    from hapsight.workflow.predict import ModelRun

__all__ = ["guard_precision", "predicted", "spread_genes"]

_GUARD_GENES = 20
"""Genes on which an arithmetic is tried before a run, at most."""

_GUARD_FLOP = 2e14
"""Floating-point operations of the trial, at most, but for the first two genes: seconds on a GPU."""


def spread_genes(genes: Sequence[Gene], count: int) -> list[Gene]:
    """`count` genes evenly spread over a list, or all of a shorter one."""
    places = np.unique(np.linspace(0, len(genes) - 1, min(count, len(genes))).round().astype(int))
    return [genes[place] for place in places]


def guard_precision(opened: Opened, run: ModelRun) -> PrecisionLoss | None:
    """Try a run's arithmetic on some genes against float32, before all of them are computed.

    Returns
    -------
    What it loses; None for float32 itself.

    Raises
    ------
    ConfigError
        Too much, and the configuration does not allow it.
    """
    from hapsight.predict.precision import LEAST_R, MOST_LOST, compare

    config = opened.config.predict
    if config.precision == "float32":
        return None
    genes = _affordable(opened, run)
    exact, other = (predicted(opened, run, genes, p, config.precision) for p in ("float32", config.precision))
    loss = compare(exact, other)
    if loss.acceptable:
        return loss
    found = (
        f"{loss.signs_lost:.1%} of {loss.differences:,} differences between haplotypes and the reference lost their "
        f"sign; lowest r of a gene's predictions over people {loss.lowest_r:.3f}, {loss.constant} of {loss.genes} "
        "genes constant"
    )
    if not config.allow_imprecise:
        raise ConfigError(
            f"{config.precision} loses what {run.model.name} says of differences between people.",
            where=f"precision of [predict]; {len(genes)} genes tried against float32",
            expected=f"at most {MOST_LOST:.0%} of signs lost, r of at least {LEAST_R} in every gene",
            got=found,
            fix='set precision = "float32", or "float16x3" on a GPU; or allow_imprecise = true, which the report states',
        )
    opened.folder.note(
        f"{run.label} was run in {config.precision} although that loses differences between people: of "
        f"{len(genes)} genes tried against float32, {found}."
    )
    return loss


def _affordable(opened: Opened, run: ModelRun) -> list[Gene]:
    """Evenly spread genes whose trial is quick, but two at least."""
    cohort, taken, flop = opened.cohort, list[Gene](), 0.0
    for gene in spread_genes(cohort.genes, _GUARD_GENES):
        variants = cohort.genotypes.expected_records(window_of(gene, run.model).interval)
        flop += predicted_flop(run.model, run.read_out, variants, len(cohort.samples))
        if flop > _GUARD_FLOP and len(taken) >= 2:
            break
        taken.append(gene)
    return taken


def predicted(
    opened: Opened,
    run: ModelRun,
    genes: Sequence[Gene],
    precision: Precision | Literal["float64"],
    back_to: Precision,
) -> list[GenePrediction]:
    """Predictions of some genes in an arithmetic; the model then computes in `back_to`."""
    from hapsight.predict.precision import predicted_in

    config = opened.config.predict
    return predicted_in(
        precision,
        _sequences(opened, run, genes),
        genes,
        batch_size=config.batch_size,
        device=run.device,
        budget=config.budget,
        back_to=back_to,
    )


def _sequences(opened: Opened, run: ModelRun, genes: Sequence[Gene]) -> Sequences:
    from hapsight.predict.engine import Sequences

    cohort = opened.cohort
    reader = VariantReader(
        cohort.genotypes, cohort.reference, [window_of(g, run.model).interval for g in genes]
    )
    return Sequences(run.model, run.read_out, reader, cohort.reference.fetch)
