"""The stage that fits the baselines: blocks of genes, on several processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from hapsight.cohort.nouns import Gene, Variants
from hapsight.linear.nested import GeneFit, fit_together
from hapsight.run.baselines import (
    BaselineRun,
    BaselineUnit,
    apply_imported,
    baseline_runs,
    baseline_units,
    gene_seed,
    imported_runs,
)
from hapsight.run.crew import SetAside, compute, crew_of, work_in_words
from hapsight.run.opened import Opened, Progress, dropped_table
from hapsight.run.store import UnitStore

__all__ = ["baseline", "fit_baselines", "unit_tables", "weights_table"]


def baseline(opened: Opened, progress: Progress) -> None:
    """Fit every configured method to every gene, held out, and apply weights trained elsewhere.

    Finished units are not computed again.

    Raises
    ------
    IncompleteError
        Some units were set aside, after all others of all methods were finished.
    """
    aside = SetAside()
    with aside.later():
        fit_baselines(opened, [(run, None) for run in baseline_runs(opened)], progress)
    for imported in imported_runs(opened):
        apply_imported(opened, imported, progress)
    aside.report()


def fit_baselines(
    opened: Opened, runs: Sequence[tuple[BaselineRun, UnitStore | None]], progress: Progress
) -> None:
    """Fit several methods and splits to every gene; finished units are not computed again.

    Each has units and seals of its own. What of a block of genes is missing is made together: its variants
    are read once, and methods of one split share folds, residuals and predictors.

    Parameters
    ----------
    runs
        Each with the store of another stage that has units of this kind; None: the baseline's own.
    """
    if not runs:
        return
    labels = [f"{store.made_by if store else 'baseline'} {run.folder}" for run, store in runs]
    with opened.folder.stages(labels) as stages:
        units, crew = [baseline_units(opened, run, store) for run, store in runs], crew_of(opened)
        missing = [[unit for unit in each if not unit.done()] for each in units]
        for stage, every, todo in zip(stages, units, missing, strict=True):
            stage["computed"] = len(todo)
            stage["detail"] = f"{work_in_words(len(todo), len(every))}, {crew}"
        left, seconds = [len(todo) for todo in missing], np.zeros(len(runs))

        def tell(run: int) -> None:
            progress(labels[run], len(units[run]) - left[run], len(units[run]))

        def finished(found: Sequence[tuple[int, float]]) -> None:
            for run, took in found:
                left[run] -= 1
                seconds[run] += took
                tell(run)

        for run in range(len(runs)):
            tell(run)
        compute(crew, "baseline", _fit_block, _blocks(missing), lambda *_: None, finished)
        for stage, took in zip(stages, seconds, strict=True):
            stage["share"] = float(took / seconds.sum()) if seconds.any() else 1.0 / len(stages)


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Units of the same genes that are missing, by several methods and splits: read once, fitted together.

    Attributes
    ----------
    units
        Each with the number of its run.
    """

    units: tuple[tuple[int, BaselineUnit], ...]

    @property
    def name(self) -> str:
        """Of its units, and of their folders."""
        names = dict.fromkeys(unit.name for _, unit in self.units)
        return f"{', '.join(unit.store.folder.name for _, unit in self.units)}, {', '.join(names)}"

    def done(self) -> bool:
        """Whether all of them are."""
        return all(unit.done() for _, unit in self.units)


def _blocks(missing: Sequence[Sequence[BaselineUnit]]) -> list[_Block]:
    """The missing units of each run, those of the same genes together."""
    found: dict[tuple[Gene, ...], list[tuple[int, BaselineUnit]]] = {}
    for run, units in enumerate(missing):
        for unit in units:
            found.setdefault(unit.genes, []).append((run, unit))
    return [_Block(tuple(units)) for units in found.values()]


def _fit_block(block: _Block) -> list[tuple[int, float]]:
    """Fit a block of genes and store it; returns numbers of runs, and the processor time of their fits."""
    units = [unit for _, unit in block.units]
    first, reader, variants = units[0], units[0].reader(), []
    fits: list[list[GeneFit]] = [[] for _ in units]
    for place, gene in enumerate(first.genes):
        variants.append(near := reader(gene.cis(first.cis_window)))
        for same in _of_one_split(units):
            found = _fit_gene([units[number] for number in same], place, near)
            for number, fit in zip(same, found, strict=True):
                fits[number].append(fit)
    dropped = dropped_table(reader.dropped)
    for unit, own in zip(units, fits, strict=True):
        unit.store.write(unit.name, unit.key, unit_tables(unit, variants, own) | {"dropped": dropped})
    return [(run, sum(fit.seconds for fit in own)) for (run, _), own in zip(block.units, fits, strict=True)]


def _of_one_split(units: Sequence[BaselineUnit]) -> Iterable[list[int]]:
    """Numbers of the units that hold out, and learn from, the same people."""
    found: dict[tuple[bytes, bytes | None], list[int]] = {}
    for number, unit in enumerate(units):
        learners = None if unit.learners is None else unit.learners.tobytes()
        found.setdefault((unit.outer_folds.tobytes(), learners), []).append(number)
    return found.values()


def _fit_gene(units: Sequence[BaselineUnit], place: int, near: Variants) -> list[GeneFit]:
    """One gene by the methods of units of one split."""
    one = units[0]
    fits_of_each = int(one.outer_folds.max()) + 2
    return fit_together(
        near.linear_dosage,
        one.expression[place],
        one.covariates,
        one.outer_folds,
        gene_seed(one.seed, one.genes[place].gene_id),
        [[unit.method] * fits_of_each for unit in units],
        near.one_copy,
        one.learners,
    )


def unit_tables(
    unit: BaselineUnit, variants: Sequence[Variants], fits: Sequence[GeneFit]
) -> dict[str, pl.DataFrame]:
    """The tables ``predictions``, ``genes`` and ``weights`` of a block of genes (see ``docs/formats.md``)."""
    samples = unit.genotypes.samples
    found = list(zip(unit.genes, variants, fits, strict=True))
    return {
        "predictions": pl.concat([_predictions(gene, samples, fit) for gene, _, fit in found]),
        "genes": pl.DataFrame([_gene_row(gene, near, fit) for gene, near, fit in found]),
        "weights": pl.concat([weights_table(gene, near, fit) for gene, near, fit in found]),
    }


def _predictions(gene: Gene, samples: Sequence[str], fit: GeneFit) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "gene_id": [gene.gene_id] * len(samples),
            "sample_id": samples,
            "fold": fit.fold,
            "observed": fit.observed,
            "predicted": fit.predicted,
        }
    )


def _gene_row(gene: Gene, variants: Variants, fit: GeneFit) -> dict[str, object]:
    return {
        "gene_id": gene.gene_id,
        "status": fit.status,
        "n": len(fit.observed),
        "n_variants": len(variants),
        "fold_r": fit.fold_r.tolist(),
        "fold_lambda": fit.fold_lambda.tolist(),
        "final_lambda": fit.final_lambda,
        "n_nonzero": fit.n_nonzero,
    }


def weights_table(gene: Gene, variants: Variants, fit: GeneFit) -> pl.DataFrame:
    """The final fit's non-zero effects per ALT allele, one row each."""
    chosen = np.flatnonzero(fit.weights)
    return pl.DataFrame(
        {
            "gene_id": [gene.gene_id] * len(chosen),
            "variant_id": [variants.variant_id[v] for v in chosen],
            "contig": [variants.contig] * len(chosen),
            "position": variants.position[chosen],
            "ref": [variants.ref[v] for v in chosen],
            "alt": [variants.alt[v] for v in chosen],
            "weight": fit.weights[chosen],
            "intercept": [fit.intercept] * len(chosen),
        },
        schema_overrides={
            "gene_id": pl.String,
            "variant_id": pl.String,
            "contig": pl.String,
            "ref": pl.String,
            "alt": pl.String,
            "intercept": pl.Float64,
        },
    )
