"""Units of work of the drivers stage: a block of explained genes, of all tracks of a model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hapsight.cohort.nouns import Gene
from hapsight.errors import InputError
from hapsight.explain.support import GivenEffects
from hapsight.explain.tables import DRIVER_VARIANTS, DRIVERS
from hapsight.least_squares import residuals
from hapsight.priors.sign_table import SignPriors
from hapsight.run.arm_units import ArmUnit, arm_blocks, arm_keys, arm_units, key_parts
from hapsight.run.arms import Arm
from hapsight.run.blocks import KeyedBlock, VariantReader, in_gene_order
from hapsight.run.crew import compute_each
from hapsight.run.models import ModelCard
from hapsight.run.opened import Opened, Progress
from hapsight.run.store import UnitKey, UnitStore
from hapsight.stages.driver_rows import KEY, GeneEffects, driver_rows, reach_of
from hapsight.stages.eqtl import eqtl_blocks
from hapsight.stages.explain import explain_blocks, explain_store
from hapsight.tables import HALVES

__all__ = [
    "NOTHING",
    "Beside",
    "DriversUnit",
    "FoundDrivers",
    "computed_drivers",
    "drivers_units",
    "half1_of",
]

Float = NDArray[np.float64]
Row = dict[str, Any]

_SLOPES = ("slope", "slope_half2")

NOTHING = pl.DataFrame(
    schema=dict.fromkeys(("position", "effect", "effect_sd", *_SLOPES), pl.Float64)
    | {"ref": pl.String, "alt": pl.String}
)
"""The effects of a gene without variants."""


@dataclass(frozen=True, slots=True, eq=False)
class Beside:
    """What drivers are set beside.

    Attributes
    ----------
    half1
        (N,) people of half 1, and (G, N1) their residual expression, fitted in them alone.
    """

    given: GivenEffects | None
    priors: SignPriors | None
    half1: tuple[NDArray[np.bool_], Float] | None

    def of(self, genes: Sequence[Gene], rows: NDArray[np.intp]) -> Beside:
        """For some genes, which have these rows."""
        half1 = None if self.half1 is None else (self.half1[0], self.half1[1][rows])
        return Beside(
            self.given and self.given.holding(genes), self.priors and self.priors.holding(genes), half1
        )

    def facts(self) -> dict[str, object]:
        """For keys; JSON."""
        return {
            "given": None if self.given is None else _digest(self.given.given.table),
            "priors": None if self.priors is None else _digest(self.priors.table.table),
            "half1": None if self.half1 is None else self.half1[0].tobytes().hex(),
        }


def _digest(table: pl.DataFrame) -> str:
    return hashlib.sha256(table.write_csv().encode()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class DriversUnit:
    """A block of explained genes of a model's arms, with their effects and what these are set beside.

    Attributes
    ----------
    effects
        The finished units of the model's effects that hold these genes.
    nominal
        Those of the eQTLs; None where no eQTLs are wanted.
    """

    base: ArmUnit
    effects: tuple[UnitStore, tuple[UnitKey, ...]]
    nominal: tuple[UnitStore, tuple[UnitKey, ...]] | None
    beside: Beside

    @property
    def name(self) -> str:
        """What errors call it."""
        return self.base.name

    def done(self) -> bool:
        """Whether its tables are there, whole and of its key."""
        return self.base.done()

    def tables(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Rows of both forms, and of each driver."""
        store, units = self.effects
        names = [gene.gene_id for gene in self.base.genes]
        found = store.read(units, "effects").filter(pl.col("gene_id").is_in(names))
        effects = _beside_eqtls(found, self.nominal)
        rows, each = list[Row](), list[Row]()
        for arm in self.base.arms():
            own = effects.filter(pl.col("track") == arm.track).partition_by("gene_id", as_dict=True)
            for known in self.genes(arm, {name: own.get((name,), NOTHING) for name in names}):
                for row in driver_rows(arm, known, self.beside.given, self.beside.priors):
                    rows.append({name: row.get(name) for name in _ROWS})
                    each += [
                        {name: (row | one)[name] for name in DRIVER_VARIANTS}
                        for one in row.get("drivers", ())
                    ]
        return pl.DataFrame(rows, schema=_ROWS), pl.DataFrame(each, schema=DRIVER_VARIANTS)

    def genes(self, arm: Arm, effects: Mapping[str, pl.DataFrame]) -> Iterator[GeneEffects]:
        """One arm's genes; R is not known here."""
        cohort = self.base.run.cohort
        reaches = [reach_of(rows, rows["contig"][0]) for rows in effects.values() if len(rows)]
        reader = VariantReader(cohort.genotypes, cohort.reference, reaches)
        for place, compared in enumerate(arm.comparisons(self.base.genes)):
            own, half1 = effects[compared.gene.gene_id], self.beside.half1
            half = None if half1 is None else (half1[0], half1[1][place])
            variants = reader(reach_of(own, compared.gene.contig))
            yield GeneEffects(compared, {"pearson_r": None, "qval": None}, own, variants, half)


_ROWS: Final[Any] = {**DRIVERS, "index": pl.List(pl.Int64)}
"""Columns of a unit's rows: those of ``drivers``, and the places of the drivers among the effects."""


def drivers_units(opened: Opened, card: ModelCard, arms: Sequence[Arm], beside: Beside) -> list[DriversUnit]:
    """The units of a model's arms, cut as those of its effects are."""
    explained = explain_blocks(opened, card)
    mapped = eqtl_blocks(opened) if opened.config.eqtl.run else []
    of_effects, of_eqtls = (
        {gene.gene_id: unit for unit in units for gene in unit.genes} for units in (explained, mapped)
    )
    own: dict[str, dict[str, object]] = {}
    for name, units in (("effects", explained), ("eqtl", mapped)):
        for unit in units:
            for gene_id, part in key_parts(unit).items():
                own.setdefault(gene_id, {})[name] = part
    name = explain_store(opened, card).folder.name
    store = UnitStore(opened.folder.path / "explain" / "drivers" / name, "drivers")
    keys = arm_keys(opened, "drivers", arms, beside.facts(), own)
    return [
        DriversUnit(
            base,
            (explain_store(opened, card), _holding(base.genes, of_effects)),
            (opened.folder.eqtl(), _holding(base.genes, of_eqtls)) if mapped else None,
            beside.of(base.genes, opened.cohort.rows(base.genes)),
        )
        for base in arm_units(opened, store, arm_blocks(store, explained, keys), arms)
    ]


def _holding(genes: Sequence[Gene], unit_of: Mapping[str, KeyedBlock]) -> tuple[UnitKey, ...]:
    """The units that hold these genes, each once."""
    return tuple(dict.fromkeys(UnitKey(unit.name, unit.key) for unit in (unit_of[g.gene_id] for g in genes)))


def _drivers_unit(unit: DriversUnit) -> str:
    """Find a block's drivers and store them; returns the unit's name."""
    with threadpool_limits(limits=1, user_api="blas"):  # the same sums whoever makes them
        rows, each = unit.tables()
    unit.base.store.write(unit.base.name, unit.base.key, {"rows": rows, "variants": each})
    return unit.name


class FoundDrivers(NamedTuple):
    """One arm's rows of ``drivers``, without R and what is beside drivers; and of ``driver_variants``."""

    rows: pl.DataFrame
    variants: pl.DataFrame


def computed_drivers(
    opened: Opened,
    by_card: Mapping[ModelCard, Sequence[Arm]],
    beside: Beside,
    stage: dict[str, Any],
    progress: Progress,
) -> dict[Arm, FoundDrivers]:
    """Have every model's units done; of each arm what they found, genes in the cohort's order."""
    units = {card: drivers_units(opened, card, arms, beside) for card, arms in by_card.items()}
    groups = [(f"drivers {card.label}", made) for card, made in units.items()]
    stage |= compute_each(opened, _drivers_unit, groups, progress)
    return {arm: _found(opened, arm, units[card]) for card, arms in by_card.items() for arm in arms}


def _found(opened: Opened, arm: Arm, units: Sequence[DriversUnit]) -> FoundDrivers:
    if not units:
        return FoundDrivers(pl.DataFrame(schema=_ROWS), pl.DataFrame(schema=DRIVER_VARIANTS))
    tables = (units[0].base.store.read([unit.base for unit in units], name) for name in ("rows", "variants"))
    named = (table.with_columns(protocol=pl.lit(arm.protocol, pl.String)) for table in tables)
    return FoundDrivers(*(in_gene_order(arm.rows(table), opened.cohort.genes) for table in named))


def _beside_eqtls(
    effects: pl.DataFrame, nominal: tuple[UnitStore, tuple[UnitKey, ...]] | None
) -> pl.DataFrame:
    """The effects with the slopes of the same variants on the same genes; null where not tested."""
    if nominal is None:
        return effects.with_columns(pl.lit(None, pl.Float64).alias(name) for name in _SLOPES)
    store, parts = nominal[0], []
    keys = effects.select("gene_id", *KEY).unique()
    for unit in nominal[1]:
        tested = store.read([unit], "nominal").select(*KEY, *_SLOPES, gene_id="phenotype_id")
        parts.append(tested.join(keys, on=["gene_id", *KEY], how="semi"))
    return effects.join(pl.concat(parts), on=["gene_id", *KEY], how="left", maintain_order="left")


def half1_of(opened: Opened) -> tuple[NDArray[np.bool_], Float] | None:
    """(N,) people of the eQTLs' half 1, and (G, N1) their residual expression, fitted in them alone."""
    path = opened.folder.path / "eqtl" / "halves.parquet"
    if not opened.config.eqtl.run or not path.exists():
        return None
    halves = dict(pl.read_parquet(path).select(list(HALVES)).iter_rows())
    people = np.array([halves.get(sample) == 1 for sample in opened.cohort.samples])
    covariates = opened.cohort.covariates
    try:
        own = None if covariates is None else covariates.values[people]
        return people, residuals(opened.cohort.transformed[:, people], own)
    except InputError:
        return None
