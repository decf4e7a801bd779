"""What is compared with what: each gene's prediction beside the expression that it should follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Interval
from hapsight.predict.windows import seen_interval
from hapsight.workflow.baseline_runs import BaselineRun
from hapsight.workflow.baseline_units import baseline_units
from hapsight.workflow.blocks import in_turn
from hapsight.workflow.opened import Opened
from hapsight.workflow.predict import ModelRun
from hapsight.workflow.variants import VariantReader

__all__ = [
    "Compared",
    "Source",
    "baseline_comparisons",
    "baseline_source",
    "model_comparisons",
    "model_source",
    "observed_in_words",
]

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Source:
    """What goes with every number: model, read-out, protocol, and what it was compared with."""

    model: str
    read_out: str
    protocol: str
    observed: str
    held_out: bool = False

    def labels(self) -> dict[str, str]:
        """The labels that every table has."""
        return {"model": self.model, "read_out": self.read_out, "protocol": self.protocol}


@dataclass(frozen=True, eq=False)
class Compared:
    """One gene's prediction and what it is compared with; N people.

    Attributes
    ----------
    predicted, observed
        (N,) per person.
    reference
        The prediction for the reference sequence; ``None`` for a method that has none.
    read_dosage
        Reads `dosage`, when it is asked for.
    status
        Why there is nothing to compare; ``None`` where there may be.
    fold
        (N,) in which each person was held out; ``None`` where nobody was.
    share_used, share_weight_used
        Of what was trained elsewhere: share of the gene's weights, and of their absolute sum, that is laid on
        variants; else None.
    """

    gene: Gene
    predicted: Float
    observed: Float
    reference: float | None
    read_dosage: Callable[[], NDArray[np.uint8]]
    n_distinct: int | None
    status: str | None = None
    fold: NDArray[np.int64] | None = None
    share_used: float | None = None
    share_weight_used: float | None = None

    @cached_property
    def dosage(self) -> NDArray[np.uint8]:
        """(V, N) variants that the prediction could use."""
        return self.read_dosage()


def model_source(opened: Opened, run: ModelRun, track: str) -> Source:
    """The labels of a model's numbers; a read-out of several tracks has a label for each."""
    read_out = run.read_out.name if len(run.read_out.tracks) == 1 else f"{run.read_out.name}:{track}"
    return Source(run.label, read_out, opened.config.protocol, observed_in_words(opened))


def baseline_source(opened: Opened, run: BaselineRun) -> Source:
    """The labels of a baseline's numbers."""
    observed = observed_in_words(opened, " fitted in the training folds")
    return Source(run.method, run.read_out, opened.config.protocol, observed, held_out=True)


def observed_in_words(opened: Opened, where: str = "") -> str:
    """What expression the prediction is compared with; `where` says on whom covariates were fitted."""
    config, covariates = opened.config.expression, opened.cohort.covariates
    text = f"log10(x + {config.pseudocount:g})" if config.transform == "log10" else "expression as given"
    if covariates is not None:
        all_, left_out = len(covariates.names), len(covariates.redundant)
        some = f"{all_ - left_out} of {all_}" if left_out else all_
        text = f"{text}, residual on {some} covariates{where}"
    if config.permuted is None:
        return text
    return f"{text}; NEGATIVE CONTROL: people exchanged at random (seed {config.permuted})"


def model_comparisons(opened: Opened, run: ModelRun, track: str) -> Iterator[Compared]:
    """Every gene of a model's predictions; a person's value is the mean of the two haplotypes'."""
    cohort = opened.cohort
    store = run.store(opened)
    for unit, genes in in_turn(run.units(opened), cohort.genes):
        done = [(unit.name, unit.key)]
        values = store.read(done, "values").filter(pl.col("track") == track)
        facts = store.read(done, "genes")
        distinct = dict(zip(facts["gene_id"], facts["n_distinct"], strict=True))
        by_gene = values.partition_by("gene_id", as_dict=True, include_key=False)
        windows = [seen_interval(gene, run.model, run.read_out) for gene in genes]
        reader = VariantReader(cohort.genotypes, cohort.reference, windows)
        for gene, window in zip(genes, windows, strict=True):
            reference, people = _split(by_gene[(gene.gene_id,)])
            yield Compared(
                gene,
                people.mean(axis=1),
                cohort.observed(gene),
                reference,
                partial(_dosage, reader, window),
                distinct[gene.gene_id],
            )


def _dosage(reader: VariantReader, window: Interval) -> NDArray[np.uint8]:
    return reader(window).linear_dosage


def _split(values: pl.DataFrame) -> tuple[float, Float]:
    """The reference's value, and (N, 2) the haplotypes', from one gene's rows as they were written."""
    numbers = values["value"].to_numpy().astype(np.float64)
    return float(numbers[0]), numbers[1:].reshape(-1, 2)


def baseline_comparisons(opened: Opened, run: BaselineRun) -> Iterator[Compared]:
    """Every gene of a baseline: held-out predictions beside held-out residuals."""
    for unit, genes in in_turn(baseline_units(opened, run), opened.cohort.genes):
        done = [(unit.name, unit.key)]
        facts = unit.store.read(done, "genes")
        status = dict(zip(facts["gene_id"], facts["status"], strict=True))
        tables = unit.store.read(done, "predictions").partition_by("gene_id", as_dict=True)
        windows = [gene.cis(unit.cis_window) for gene in genes]
        reader = VariantReader(unit.genotypes, unit.reference, windows)
        for gene, window in zip(genes, windows, strict=True):
            table, found = tables[(gene.gene_id,)], status[gene.gene_id]
            yield Compared(
                gene,
                table["predicted"].to_numpy(),
                table["observed"].to_numpy(),
                None,
                partial(_dosage, reader, window),
                None,
                None if found == "ok" else found,
                table["fold"].to_numpy(),
            )
