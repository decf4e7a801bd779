"""What a run judges: each model with each of its tracks, linear methods, and weights trained elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Interval
from hapsight.errors import IncompleteError, plural
from hapsight.report.run_folder import read_table
from hapsight.run.baselines import (
    BaselineRun,
    ImportedRun,
    Rows,
    baseline_blocks,
    baseline_runs,
    cohort_weights,
    imported_runs,
    imported_store,
    imported_units,
    reach,
    used_dosage,
)
from hapsight.run.blocks import KeyedBlock, VariantReader, in_turn
from hapsight.run.effects import laid_by_gene
from hapsight.run.models import ModelCard
from hapsight.run.opened import Opened
from hapsight.run.store import UnitStore, run_first
from hapsight.tables import PER_GENE

__all__ = [
    "Arm",
    "Comparison",
    "ReadWeights",
    "arms_of",
    "baseline_arm",
    "cards_in",
    "haplotype_values",
    "imported_arm",
    "model_arms",
    "results_of",
    "rows_with",
    "track_arm",
    "weights_arm",
]

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Comparison:
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


Found = Iterator[Comparison]
Compare = Callable[[KeyedBlock, Sequence[Gene]], Found]
ReadWeights = Callable[[], Mapping[str, Rows]]


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """One thing that is judged, with where its numbers are.

    Attributes
    ----------
    model, read_out, protocol
        The labels of its numbers.
    observed
        In words: what its predictions are compared with.
    made_by
        The model, the method, or the weights.
    store, units
        Its predictions, of all genes.
    window
        What of the genome it sees of a gene.
    compare
        Reads a unit.
    track
        Of a model.
    weights
        By ``gene_id``, of what was trained elsewhere.
    """

    model: str
    read_out: str
    protocol: str
    observed: str
    made_by: ModelCard | BaselineRun | ImportedRun | None
    store: UnitStore
    units: Sequence[KeyedBlock]
    window: Callable[[Gene], Interval]
    compare: Compare
    track: str | None = None
    weights: ReadWeights | None = None

    @property
    def held_out(self) -> bool:
        """Whether people were held out, fold by fold."""
        return isinstance(self.made_by, BaselineRun)

    @property
    def card(self) -> ModelCard | None:
        """Of a model; None of a linear method."""
        return self.made_by if isinstance(self.made_by, ModelCard) else None

    def labels(self) -> dict[str, str]:
        """The labels that every table has."""
        return {"model": self.model, "read_out": self.read_out, "protocol": self.protocol}

    def rows(self, table: pl.DataFrame) -> pl.DataFrame:
        """Its own of a table with these labels."""
        return rows_with(table, self.labels())

    def read(self, table: str) -> pl.DataFrame:
        """One table of all units, end to end.

        Raises
        ------
        IncompleteError
            Some units are not done.
        """
        return self.store.read(self.units, table)

    def comparisons(self, genes: Sequence[Gene]) -> Iterator[Comparison]:
        """Each of these genes in turn; units that hold none of them are not read."""
        for unit, own in in_turn(self.units, genes):
            yield from self.compare(unit, own)

    def is_replicate_of(self, other: Arm) -> bool:
        """Whether both are the same model and read-out with different weights."""
        mine, theirs = self.card, other.card
        if mine is None or theirs is None:
            return False
        same = mine.name.split("/")[0] == theirs.name.split("/")[0] and self.read_out == other.read_out
        return same and mine.fingerprint != theirs.fingerprint


def rows_with(table: pl.DataFrame, labels: Mapping[str, str]) -> pl.DataFrame:
    """Rows whose columns say what the labels say."""
    return table.filter(pl.all_horizontal(pl.col(name) == label for name, label in labels.items()))


def arms_of(opened: Opened, models: Iterable[ModelCard]) -> list[Arm]:
    """All that ``evaluate`` judges, in its order."""
    found = [arm for card in models for arm in model_arms(opened, card)]
    found += [baseline_arm(opened, run) for run in baseline_runs(opened)]
    return found + [imported_arm(opened, run) for run in imported_runs(opened)]


def cards_in(arms: Iterable[Arm]) -> dict[ModelCard, list[Arm]]:
    """The models among the arms, each with its arms: one for a track."""
    found: dict[ModelCard, list[Arm]] = {}
    for arm in arms:
        if arm.card is not None:
            found.setdefault(arm.card, []).append(arm)
    return found


def results_of(opened: Opened, arms: Sequence[Arm]) -> dict[Arm, pl.DataFrame]:
    """Each arm's rows of ``per_gene``, genes in the cohort's order.

    Raises
    ------
    IncompleteError
        An arm is not evaluated, or not with this configuration.
    """
    opened.require_current("evaluate")
    path = opened.folder.path / "evaluation" / "per_gene.parquet"
    table = read_table(path, PER_GENE)
    found = {arm: arm.rows(table) for arm in arms}
    wanted = [gene.gene_id for gene in opened.cohort.genes]
    for arm, rows in found.items():
        if rows["gene_id"].to_list() != wanted:
            raise IncompleteError(
                "A model of this run is not evaluated.",
                where=path,
                expected=f"{plural(len(wanted), 'gene')} of {arm.model}, read-out {arm.read_out}",
                got=plural(rows.height, "gene") if path.exists() else "no such table",
                fix=run_first("evaluate"),
            )
    return found


def model_arms(opened: Opened, card: ModelCard) -> list[Arm]:
    """An arm for each track of a model's read-out."""
    units = card.units(opened)
    return [track_arm(opened, card, units, track) for track in card.track_names]


def track_arm(opened: Opened, card: ModelCard, units: Sequence[KeyedBlock], track: str) -> Arm:
    """Of a track, with the units that its predictions are in."""
    labels = card.labels(opened.config.protocol, track)
    return Arm(
        model=labels["model"],
        read_out=labels["read_out"],
        protocol=labels["protocol"],
        observed=_observed_in_words(opened),
        made_by=card,
        store=card.store(opened),
        units=units,
        window=card.sees,
        compare=partial(_of_model, opened, card, track),
        track=track,
    )


def baseline_arm(opened: Opened, run: BaselineRun, units: Sequence[KeyedBlock] | None = None) -> Arm:
    """Of a method that is trained on this cohort; `units` where they are known."""
    store, where = opened.folder.baseline(run.folder), " fitted in the training folds"
    units = baseline_blocks(opened, run) if units is None else units
    return _linear_arm(opened, run, store, units, partial(_of_baseline, opened, store), where)


def imported_arm(opened: Opened, run: ImportedRun) -> Arm:
    """Of weights trained elsewhere."""
    given = cohort_weights(opened, run)
    return weights_arm(opened, run, imported_units(opened, run, given), cache(given.by_gene))


def weights_arm(opened: Opened, run: ImportedRun, units: Sequence[KeyedBlock], weights: ReadWeights) -> Arm:
    """Of weights, with the units that their predictions are in."""
    store = imported_store(opened, run)
    arm = _linear_arm(opened, run, store, units, partial(_of_weights, opened, store, weights))
    return replace(arm, weights=weights)


def _linear_arm(
    opened: Opened,
    run: BaselineRun | ImportedRun,
    store: UnitStore,
    units: Sequence[KeyedBlock],
    compare: Compare,
    where: str = "",
) -> Arm:
    labels = run.method, run.read_out, opened.config.protocol, _observed_in_words(opened, where)
    return Arm(*labels, run, store, units, partial(_cis, opened), compare)


def _cis(opened: Opened, gene: Gene) -> Interval:
    return gene.cis(opened.config.baseline.cis_window)


def _of_model(opened: Opened, card: ModelCard, track: str, unit: KeyedBlock, genes: Sequence[Gene]) -> Found:
    """A person's value is the mean of the two haplotypes'."""
    cohort, store = opened.cohort, card.store(opened)
    values = store.read([unit], "values").filter(pl.col("track") == track)
    distinct = dict(store.read([unit], "genes").select("gene_id", "n_distinct").iter_rows())
    by_gene = values.partition_by("gene_id", as_dict=True, include_key=False)
    laid = laid_by_gene(store, unit, track) if card.of_effects else {}
    windows = [card.sees(gene) for gene in genes]
    reader = VariantReader(cohort.genotypes, cohort.reference, windows)
    for gene, window in zip(genes, windows, strict=True):
        reference, people = _split(by_gene[(gene.gene_id,)])
        one = laid.get(gene.gene_id)
        yield Comparison(
            gene,
            people.mean(axis=1),
            cohort.observed(gene),
            reference if card.levels else None,
            partial(_dosage if one is None else one.dosage, reader, window),
            distinct[gene.gene_id],
            **({} if one is None else one.facts),
        )


def haplotype_values(
    opened: Opened, arm: Arm, genes: Sequence[Gene]
) -> Iterator[tuple[Gene, NDArray[np.float64]]]:
    """Each of these genes with a model's (N, 2) predictions for the haplotypes, as the run has them.

    Raises
    ------
    IncompleteError
        Some units are not done.
    """
    assert arm.card is not None
    store = arm.card.store(opened)
    for unit, own in in_turn(arm.units, genes):
        values = store.read([unit], "values").filter(pl.col("track") == arm.track)
        by_gene = values.partition_by("gene_id", as_dict=True, include_key=False)
        for gene in own:
            yield gene, _split(by_gene[(gene.gene_id,)])[1]


def _dosage(reader: VariantReader, window: Interval) -> NDArray[np.uint8]:
    return reader(window).linear_dosage


def _split(values: pl.DataFrame) -> tuple[float, Float]:
    """The reference's value, and (N, 2) the haplotypes', from one gene's rows as they were written."""
    numbers = values["value"].to_numpy().astype(np.float64)
    return float(numbers[0]), numbers[1:].reshape(-1, 2)


def _of_baseline(opened: Opened, store: UnitStore, unit: KeyedBlock, genes: Sequence[Gene]) -> Found:
    """Held-out predictions beside held-out residuals."""
    cohort = opened.cohort
    status = dict(store.read([unit], "genes").select("gene_id", "status").iter_rows())
    tables = store.read([unit], "predictions").partition_by("gene_id", as_dict=True)
    windows = [_cis(opened, gene) for gene in genes]
    reader = VariantReader(cohort.genotypes, cohort.reference, windows)
    for gene, window in zip(genes, windows, strict=True):
        table, found = tables[(gene.gene_id,)], status[gene.gene_id]
        yield Comparison(
            gene,
            table["predicted"].to_numpy(),
            table["observed"].to_numpy(),
            None,
            partial(_dosage, reader, window),
            None,
            None if found == "ok" else found,
            table["fold"].to_numpy(),
        )


def _of_weights(
    opened: Opened,
    store: UnitStore,
    read_weights: ReadWeights,
    unit: KeyedBlock,
    genes: Sequence[Gene],
) -> Found:
    """Predictions by the file's weights beside the residuals of all people."""
    cohort, weights = opened.cohort, read_weights()
    facts = {fact["gene_id"]: fact for fact in store.read([unit], "genes").iter_rows(named=True)}
    tables = store.read([unit], "predictions").partition_by("gene_id", as_dict=True)
    rows = [weights.get(gene.gene_id, ()) for gene in genes]
    intervals = [reach(gene, own, opened) for gene, own in zip(genes, rows, strict=True)]
    reader = VariantReader(cohort.genotypes, cohort.reference, intervals)
    for gene, own, interval in zip(genes, rows, intervals, strict=True):
        fact = facts[gene.gene_id]
        yield Comparison(
            gene,
            tables[(gene.gene_id,)]["predicted"].to_numpy(),
            cohort.observed(gene),
            None,
            partial(used_dosage, reader, interval, own),
            None,
            None if fact["status"] == "ok" else fact["status"],
            share_used=fact["share_used"],
            share_weight_used=fact["share_weight_used"],
        )


def _observed_in_words(opened: Opened, where: str = "") -> str:
    """What expression the prediction is compared with; `where` says on whom covariates were fitted."""
    config, covariates = opened.config.expression, opened.cohort.covariates
    text = f"log10(x + {config.pseudocount:g})" if config.transform == "log10" else "expression as given"
    if covariates is not None:
        all_, left_out = len(covariates.names), len(covariates.redundant)
        some = f"{all_ - left_out} of {all_}" if left_out else all_
        text = f"{text}, residual on {some} covariate{'' if some == 1 else 's'}{where}"
    if config.permuted is None:
        return text
    return f"{text}; NEGATIVE CONTROL: people permuted at random (seed {config.permuted})"
