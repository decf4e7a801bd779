"""The stage that compares each model's direction with the top eQTLs, and the models with one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hapsight.cohort.nouns import Gene, Interval
from hapsight.run.arm_units import ArmUnit, arm_blocks, arm_keys, arm_units, key_parts
from hapsight.run.arms import Arm, Comparison, results_of
from hapsight.run.blocks import KeyedBlock
from hapsight.run.crew import compute, crew_of, work_in_words
from hapsight.run.opened import Opened, Progress
from hapsight.run.store import UnitKey, UnitStore
from hapsight.stages.eqtl import EqtlUnit, eqtl_units
from hapsight.stages.eqtl_sets import top_dosage, top_eqtls
from hapsight.stats.agreement import prediction_r, predictions_alike, r_beside_r
from hapsight.stats.correlation import is_constant
from hapsight.stats.direction import variant_effect
from hapsight.stats.direction_factors import direction_tables
from hapsight.tables import AGREEMENT, DIRECTION_GENES

__all__ = ["DirectionUnit", "agreement_table", "direction", "direction_units"]

Float = NDArray[np.float64]
Row = dict[str, Any]

_NO_EQTL = "No eQTLs were mapped (eqtl.run = false), so directions were not compared with them."


def direction(opened: Opened, arms: Sequence[Arm], progress: Progress) -> None:
    """Write ``evaluation/direction*.parquet`` and ``evaluation/agreement.parquet``; after ``evaluate``.

    What people's genotypes and predictions are read for, a block of genes of all arms, is a unit of work;
    finished units are not computed again.

    Raises
    ------
    IncompleteError
        The run is not evaluated, or its eQTLs are not mapped though they are wanted; or some units were set
        aside, all others are done.
    """
    with opened.folder.stage("direction") as stage:
        results = results_of(opened, arms)
        if not opened.config.eqtl.run:
            opened.folder.note(_NO_EQTL)
        tops = top_eqtls(opened) if opened.config.eqtl.run else {}
        units = direction_units(opened, arms)
        computed = compute(crew_of(opened), "direction", _direction_unit, units, progress)
        stage |= {"computed": computed, "detail": work_in_words(computed, len(units))}
        read = _read(units)
        tops = {name: row | read.tops[name] for name, row in tops.items()}
        table = pl.concat(
            [
                pl.DataFrame(schema=DIRECTION_GENES),
                *(
                    direction_genes(opened, arm, results[arm], read.of_arm(number), tops)
                    for number, arm in enumerate(arms)
                ),
            ]
        )
        beside = table if tops else table.clear()
        for name, found in (direction_tables(beside) | {"direction_genes": beside}).items():
            opened.folder.write(f"evaluation/{name}.parquet", found)
        alike = read.alike([gene.gene_id for gene in opened.cohort.genes], arms)
        opened.folder.write("evaluation/agreement.parquet", agreement_table(alike, results))


@dataclass(frozen=True, slots=True, eq=False)
class DirectionUnit:
    """A block of genes of all arms, and how their eQTLs were mapped.

    Attributes
    ----------
    eqtl
        Of these genes; None where no eQTLs are wanted.
    mapped
        The finished units of the mapping that hold these genes.
    """

    base: ArmUnit
    eqtl: EqtlUnit | None
    mapped: tuple[UnitKey, ...]

    @property
    def name(self) -> str:
        """What errors call it."""
        return self.base.name

    def done(self) -> bool:
        """Whether its tables are there, whole and of its key."""
        return self.base.done()

    def tops(self) -> Iterator[tuple[str, NDArray[np.uint8], Row]]:
        """``gene_id`` of each gene that has a top eQTL, its (N,) dosage, and columns made of dosages."""
        if self.eqtl is None:
            return
        table = self.eqtl.store.read(self.mapped, "top").drop_nulls("variant_id")
        rows = {row["phenotype_id"]: row for row in table.iter_rows(named=True)}
        for window, _ in self.eqtl.windows(self.eqtl.reader()):
            name = window.gene.gene_id
            if name in rows:
                yield name, *top_dosage(window, rows[name])


def direction_units(opened: Opened, arms: Sequence[Arm]) -> list[DirectionUnit]:
    """The units of all arms, cut as those of the eQTLs are; without eQTLs, as the first arm's."""
    if not arms:
        return []
    mapped = eqtl_units(opened) if opened.config.eqtl.run else []
    of_gene = {gene.gene_id: unit for unit in mapped for gene in unit.genes}
    own = {name: {"eqtl": part} for unit in mapped for name, part in key_parts(unit).items()}
    store = UnitStore(opened.folder.path / "evaluation" / "direction", "evaluate")
    cut = [KeyedBlock(unit.name, unit.key, unit.genes) for unit in mapped] or arms[0].units
    blocks = arm_blocks(store, cut, arm_keys(opened, "direction", arms, {}, own))
    found = []
    for base in arm_units(opened, store, blocks, arms):
        beside = list(dict.fromkeys(of_gene[gene.gene_id] for gene in base.genes)) if mapped else []
        expression = opened.cohort.transformed[opened.cohort.rows(base.genes)]
        eqtl = replace(beside[0], genes=base.genes, expression=expression) if beside else None
        found.append(DirectionUnit(base, eqtl, tuple(UnitKey(unit.name, unit.key) for unit in beside)))
    return found


_SLOPES: Final[Any] = {
    "gene_id": pl.String,
    "arm": pl.Int64,
    "predicted_reference": pl.Float64,
    "model_slope": pl.Float64,
    "model_slope_sd": pl.Float64,
}
_TOPS: Final[Any] = {"gene_id": pl.String, "dosage_sd": pl.Float64, "n_ld80": pl.Int64}
_ALIKE: Final[Any] = {"gene_id": pl.String, "r": pl.List(pl.Float64)}


def _direction_unit(unit: DirectionUnit) -> str:
    """What arms make of top eQTLs, and how alike their predictions are; returns the unit's name."""
    slopes, tops, alike = list[Row](), list[Row](), list[Row]()
    with threadpool_limits(limits=1, user_api="blas"):  # the same sums whoever makes them
        dosages = dict[str, NDArray[np.uint8]]()
        for name, dosage, row in unit.tops():
            dosages[name] = dosage
            tops.append({"gene_id": name} | row)
        arms = unit.base.arms()
        for beside in zip(*(arm.comparisons(unit.base.genes) for arm in arms), strict=True):
            name = beside[0].gene.gene_id
            slopes += [_slope_row(n, one, dosages.get(name)) for n, one in enumerate(beside)]
            alike.append({"gene_id": name, "r": _pairwise(beside)})
    tables = {"slopes": (slopes, _SLOPES), "tops": (tops, _TOPS), "alike": (alike, _ALIKE)}
    made = {name: pl.DataFrame(rows, schema=schema) for name, (rows, schema) in tables.items()}
    unit.base.store.write(unit.base.name, unit.base.key, made)
    return unit.name


def _slope_row(arm: int, one: Comparison, dosage: NDArray[np.uint8] | None) -> Row:
    effect = None if one.status or dosage is None else variant_effect(one.predicted, dosage)
    row: Row = {"gene_id": one.gene.gene_id, "arm": arm, "predicted_reference": one.reference}
    return row if effect is None else row | {"model_slope": effect.slope, "model_slope_sd": effect.slope_sd}


def _pairwise(beside: Sequence[Comparison]) -> list[float]:
    """R over people of every pair of predictions; NaN where a gene has none."""
    people = [
        (np.full_like(one.predicted, np.nan) if one.status else one.predicted).astype(np.float32)[None]
        for one in beside
    ]
    return [float(prediction_r(one, other)[0]) for one, other in combinations(people, 2)]


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """What all units have found.

    Attributes
    ----------
    tops
        By ``gene_id``.
    """

    slopes: pl.DataFrame
    tops: dict[str, Row]
    pairs: pl.DataFrame

    def of_arm(self, number: int) -> dict[str, Row]:
        """One arm's rows by ``gene_id``."""
        own = self.slopes.filter(pl.col("arm") == number).drop("arm")
        return {row["gene_id"]: row for row in own.iter_rows(named=True)}

    def alike(self, genes: Sequence[str], arms: Sequence[Arm]) -> dict[tuple[Arm, Arm], Float]:
        """(G,) r over people of the predictions of every pair of arms."""
        pairs = list(combinations(arms, 2))
        rows = dict(self.pairs.iter_rows())
        table = np.array([rows[name] for name in genes], np.float64) if pairs else np.empty((len(genes), 0))
        return dict(zip(pairs, table.T, strict=True))


def _read(units: Sequence[DirectionUnit]) -> _Read:
    base = [unit.base for unit in units]
    slopes, tops, pairs = (
        base[0].store.read(base, name) if base else pl.DataFrame(schema=schema)
        for name, schema in (("slopes", _SLOPES), ("tops", _TOPS), ("alike", _ALIKE))
    )
    by_gene = {row.pop("gene_id"): row for row in tops.iter_rows(named=True)}
    return _Read(slopes, by_gene, pairs)


def direction_genes(
    opened: Opened, arm: Arm, results: pl.DataFrame, slopes: Mapping[str, Row], tops: Mapping[str, Row]
) -> pl.DataFrame:
    """One row per gene.

    A linear arm predicts expression in the units it is measured in. Predictions of a model are brought to
    these units by the line of mean expression on reference prediction.

    Parameters
    ----------
    results
        The arm's rows of ``per_gene``, genes in the cohort's order.
    slopes, tops
        By ``gene_id``: what the arm makes of the top eQTL, and what is known of that.
    """
    cohort = opened.cohort
    rows = [
        _row(arm, gene, result, values, slopes[gene.gene_id], tops.get(gene.gene_id))
        for gene, result, values in zip(
            cohort.genes, results.iter_rows(named=True), cohort.transformed, strict=True
        )
    ]
    table = pl.DataFrame(rows, schema=DIRECTION_GENES)
    scale = 1.0 if arm.card is None else _scale(table)
    return table.with_columns(model_slope_expression=pl.col("model_slope") * scale)


def _row(arm: Arm, gene: Gene, result: Row, values: Float, slopes: Row, top: Row | None) -> Row:
    r = result["pearson_r"]
    row: Row = {
        **dict.fromkeys(DIRECTION_GENES),
        "gene_id": gene.gene_id,
        "gene_name": gene.gene_name,
        **arm.labels(),
        "status": result["status"],
        "n": result["n"],
        "pearson_r": r,
        "model_qval": result["qval"],
        "mean_expression": float(values.mean()),
        "sd_expression": float(values.std()),
        "sign_right": None if not r else r > 0,
    }
    return row | slopes if top is None else row | slopes | top | _beside(arm.window(gene), slopes, top)


def _beside(window: Interval, slopes: Row, top: Row) -> Row:
    """What the model makes of the top variant."""
    slope = slopes["model_slope"]
    agrees = (slope > 0) == (top["slope"] > 0) if slope and top["slope"] else None
    return {"in_window": window.start <= top["position"] < window.end, "variant_sign_agrees": agrees}


def _scale(genes: pl.DataFrame) -> float | None:
    """Slope of mean expression on reference prediction over genes; None where there is no line."""
    known = genes.drop_nulls(["predicted_reference", "mean_expression"])
    x, y = (known[name].to_numpy() for name in ("predicted_reference", "mean_expression"))
    if len(known) < 3 or is_constant(x):
        return None
    return float(np.polyfit(x - x.mean(), y, 1)[0])


def agreement_table(
    alike: Mapping[tuple[Arm, Arm], Float], per_gene: Mapping[Arm, pl.DataFrame]
) -> pl.DataFrame:
    """Rows of ``agreement``: every pair of the run's arms.

    Parameters
    ----------
    alike
        (G,) r over people of both predictions; NaN where a gene has none.
    per_gene
        ``gene_id, pearson_r, qval``.
    """
    return pl.DataFrame(list(_pairs(alike, per_gene)), schema=AGREEMENT)


def _pairs(pairs: Mapping[tuple[Arm, Arm], Float], per_gene: Mapping[Arm, pl.DataFrame]) -> Iterator[Row]:
    for (one, other), r in pairs.items():
        alike = predictions_alike(r)
        yield {
            **one.labels(),
            "other_model": other.model,
            "other_read_out": other.read_out,
            "replicates": one.is_replicate_of(other),
            **r_beside_r(per_gene[one], per_gene[other]),
            "prediction_genes": alike.genes,
            "prediction_r_lower": alike.lower,
            "prediction_r_median": alike.median,
            "prediction_r_upper": alike.upper,
        }
