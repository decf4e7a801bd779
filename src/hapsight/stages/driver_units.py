"""Drivers of a block of genes, of all tracks of a model: units of work, and rows of ``explain/drivers``.

A row is a gene's main driver, and what speaks for its sign.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hapsight.cohort.alleles import Aligned
from hapsight.cohort.nouns import Gene, Interval, Variants
from hapsight.errors import InputError, StoreError
from hapsight.explain.drivers import FORMS, Drivers, spread
from hapsight.explain.support import GivenEffects, supported
from hapsight.explain.tables import DRIVER_VARIANTS, DRIVERS
from hapsight.least_squares import residuals
from hapsight.priors.signs import SignPriors
from hapsight.run.arm_units import ArmUnit, arm_blocks, arm_keys, arm_units, key_parts
from hapsight.run.arms import Arm, Comparison
from hapsight.run.blocks import KeyedBlock, VariantReader, in_gene_order
from hapsight.run.crew import compute_each
from hapsight.run.models import ModelCard
from hapsight.run.opened import Opened, Progress
from hapsight.run.store import UnitKey, UnitStore
from hapsight.stages.eqtl import eqtl_blocks
from hapsight.stages.explain import explain_blocks, explain_store
from hapsight.stats.correlation import correlate
from hapsight.tables import HALVES

__all__ = [
    "KEY",
    "NOTHING",
    "Beside",
    "DriversUnit",
    "FoundDrivers",
    "GeneEffects",
    "computed_drivers",
    "control_of",
    "driver_rows",
    "drivers_units",
    "half1_of",
    "reach_of",
    "stored_drivers",
]

KEY: Final = ("position", "ref", "alt")
"""Columns that tell a variant from others of its contig."""


@dataclass(frozen=True, slots=True, eq=False)
class GeneEffects:
    """All that a gene's drivers are found from.

    Attributes
    ----------
    result
        The gene's row of ``per_gene``.
    effects
        The gene's rows of the model's effects beside ``slope`` and ``slope_half2`` of its eQTLs (null where
        there are none).
    variants
        The cohort's variants around these.
    half1
        (N,) people of half 1, and their residual expression, covariates fitted in them alone; None where
        there are no halves.
    """

    compared: Comparison
    result: Row
    effects: pl.DataFrame
    variants: Variants
    half1: tuple[NDArray[np.bool_], Float] | None


def reach_of(effects: pl.DataFrame, contig: str) -> Interval:
    """The stretch that holds the variants of one gene's effects."""
    if effects.is_empty():
        return Interval(contig, 0, 0)
    position = effects["position"].to_numpy()
    return Interval(contig, int(position.min()), int(position.max()) + 1)


def driver_rows(
    arm: Arm,
    gene: GeneEffects,
    given: GivenEffects | None,
    priors: SignPriors | None,
) -> Iterator[Row]:
    """One row per published form; ``index`` are the places of its drivers among the effects.

    Raises
    ------
    StoreError
        A variant of the effects is not among the cohort's variants.
    """
    place = _places(gene)
    laid = given and given.laid(gene.compared.gene.gene_id, gene.variants)
    own = gene.effects.with_columns(
        maf=gene.variants.maf[place],
        given_beta=_given(laid)[place] if laid else pl.lit(None),
        prior_score=_scores(gene, priors)[place] if priors else pl.lit(None),
    )
    dosage, predicted = gene.variants.dosage[place], gene.compared.predicted
    for form, find in FORMS.items():
        row = _gene_row(arm, gene) | {"form": form}
        row |= {"n_given": sum(laid.counts.values()), "n_given_used": laid.n_used} if laid else {}
        if not gene.compared.status and len(own):
            found = find(own["effect"].to_numpy(), dosage, predicted)
            row |= {"status": found.status, "additivity": found.additivity, "n_drivers": len(found.index)}
            row |= _main_row(gene, own, found)
            row |= {"index": found.index.tolist(), "drivers": list(_each(own, found))}
        yield row


def stored_drivers(
    main: pl.DataFrame, drivers: pl.DataFrame, effects: pl.DataFrame, r: float | None
) -> Drivers | None:
    """A gene's drivers among `effects`, from its rows of a form; None where they were found in others.

    Parameters
    ----------
    main, drivers
        Rows of ``drivers`` and ``driver_variants``.
    r
        What the gene's R is now.
    """
    row = main.row(0, named=True) if len(main) else {}
    if [row.get(name) for name in ("status", "pearson_r", "n_variants")] != ["ok", r, len(effects)]:
        return None
    place = effects.select(*KEY, "effect", place=pl.int_range(pl.len()))
    found = drivers.join(place, on=[*KEY, "effect"], how="inner", maintain_order="left")
    if not len(found) == len(drivers) == row["n_drivers"]:
        return None
    index, rise, own_r, pval = (found[n].to_numpy() for n in ("place", "rise", "driver_r", "driver_pval"))
    return Drivers(index.astype(np.intp), rise, own_r, pval, row["additivity"])


def _places(gene: GeneEffects) -> NDArray[np.intp]:
    """(V,) which of the cohort's variants each effect is of."""
    variants = gene.variants
    here = zip(variants.position.tolist(), variants.ref, variants.alt, strict=True)
    index = {key: v for v, key in enumerate(here)}
    keys = list(gene.effects.select(KEY).iter_rows())
    lost = [key for key in keys if key not in index]
    if lost:
        raise StoreError(
            "Effects are of variants that the cohort does not have.",
            where=f"gene {gene.compared.gene.gene_id}",
            expected=f"{len(keys)} variants of {variants.contig}",
            got=f"{len(lost)} others, such as {lost[0]}",
            fix="run `hapsight explain` again with this configuration",
        )
    return np.array([index[key] for key in keys], np.intp)


def _given(laid: Aligned) -> pl.Series:
    return pl.Series("given_beta", np.where(laid.used, laid.weights, np.nan), dtype=pl.Float64).fill_nan(None)


def _scores(gene: GeneEffects, priors: SignPriors) -> pl.Series:
    """What a prior says of each of the cohort's variants; null where it says nothing."""
    score = priors.on(gene.compared.gene.gene_id, gene.variants)
    return pl.Series("prior_score", np.where(score == 0, np.nan, score), dtype=pl.Float64).fill_nan(None)


def _gene_row(arm: Arm, gene: GeneEffects) -> Row:
    compared, r = gene.compared, gene.result["pearson_r"]
    return {
        "gene_id": compared.gene.gene_id,
        "gene_name": compared.gene.gene_name,
        **arm.labels(),
        "status": compared.status or "no_variants",
        "n": len(compared.predicted),
        "n_variants": len(gene.effects),
        "n_drivers": 0,
        "pearson_r": r,
        "qval": gene.result["qval"],
        "sign_right": None if not r else r > 0,
        "r_half1": _half_r(gene),
    }


def _half_r(gene: GeneEffects) -> float | None:
    """R among the people of half 1."""
    if gene.half1 is None or gene.compared.status:
        return None
    people, observed = gene.half1
    return correlate(gene.compared.predicted[people], observed).pearson_r


def _each(own: pl.DataFrame, found: Drivers) -> Iterator[Row]:
    """Columns of `DRIVER_VARIANTS` that differ from driver to driver."""
    table = own[found.index.tolist()].select("variant_id", "contig", *KEY, "tss_distance", "effect")
    for row, *numbers in zip(table.iter_rows(named=True), found.rise, found.r, found.pval, strict=True):
        yield row | dict(zip(("rise", "driver_r", "driver_pval"), map(float, numbers), strict=True))


def _main_row(gene: GeneEffects, own: pl.DataFrame, found: Drivers) -> Row:
    """The main driver."""
    if found.main is None:
        return {}
    main = int(found.index[found.main])
    row = own.row(main, named=True)
    size, sd = np.array([row["effect"]]), np.array([row["effect_sd"]], np.float64)
    relative = float(spread(size, sd)[0])
    kept = ("variant_id", "contig", "tss_distance", *KEY, "effect", "effect_sd", "n_backgrounds")
    score = row["prior_score"]
    return {name: row[name] for name in (*kept, "slope", "slope_half2", "given_beta", "prior_score")} | {
        "distance": abs(row["position"] - gene.compared.gene.tss),
        "maf": row["maf"],
        "spread": None if np.isnan(relative) else relative,
        "rise": float(found.rise[found.main]),
        "driver_r": float(found.r[found.main]),
        "driver_pval": float(found.pval[found.main]),
        "supported_cohort": supported(row["effect"], row["slope"]),
        "supported_half2": supported(row["effect"], row["slope_half2"]),
        "supported_given": supported(row["effect"], row["given_beta"]),
        "prior_sign": None if score is None else int(np.sign(score)),
        "prior_agrees": supported(row["effect"], score),
    }


def control_of(row: Row, effects: pl.DataFrame, rng: np.random.Generator) -> Row:
    """Beside a main driver, another variant of the gene that does not drive, at random.

    Parameters
    ----------
    effects
        The gene's rows, of the model and track of the `row`.
    """
    others = np.setdiff1d(np.arange(len(effects)), row["index"]) if row["position"] is not None else ()
    if not len(others):
        return {}
    control = effects.row(int(rng.choice(others)), named=True)
    return {"control_id": control["variant_id"], "control": tuple(control[name] for name in KEY)}


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
