"""Priors in the linear combination: blocks of genes, with and without each prior, on the same folds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Variants
from hapsight.linear.fits import weighted_sum
from hapsight.linear.informed import shuffled_evidence
from hapsight.priors.activity import dealt_regulators, regulator_score, z_scores
from hapsight.priors.combine import Combined, combine, held_out_r
from hapsight.priors.regulons import Regulons
from hapsight.priors.tables import PRIOR_GENES
from hapsight.run.baselines import BaselineRun, BaselineUnit, baseline_keys, baseline_units, gene_seed
from hapsight.run.blocks import VariantReader, in_gene_order
from hapsight.run.crew import compute, crew_of
from hapsight.run.opened import Opened, Progress, gene_keys
from hapsight.run.store import UnitStore
from hapsight.seeds import stream

__all__ = ["ACTIVITY", "linear_ablation"]

Floats = NDArray[np.float64]

PersonValues = Mapping[str, Mapping[str, Floats]]
"""Prior -> gene_id -> (N,) a number of each person."""

ACTIVITY = "activity of regulators"

_SCORED = ("gene_id", "position", "ref", "alt", "score")


@dataclass(frozen=True, slots=True, eq=False)
class _Unit:
    """A block of genes with what priors say.

    Attributes
    ----------
    signs
        Prior -> gene_id -> variant (position, REF, ALT) -> number that is above 0 where ALT should raise
        expression.
    persons
        Numbers of each person; of a gene without any, the prior says nothing.
    cohort_genes, values
        All G genes and their transformed expression (G, N), for the activities of regulators.
    dealt
        (G,) the control: gene g gets the regulators of gene ``dealt[g]``.
    """

    base: BaselineUnit
    method: str
    signs: Mapping[str, Mapping[str, Mapping[tuple[int, str, str], float]]]
    persons: PersonValues
    cohort_genes: tuple[Gene, ...]
    values: Floats
    regulons: Regulons | None
    dealt: NDArray[np.intp]
    leave_out: int

    @property
    def name(self) -> str:
        """Of the block."""
        return self.base.name

    def done(self) -> bool:
        """Whether its table is there, whole and of its key."""
        return self.base.done()


def linear_ablation(
    opened: Opened,
    signs: Mapping[str, pl.DataFrame],
    persons: PersonValues,
    regulons: Regulons | None,
    progress: Progress,
) -> pl.DataFrame:
    """Predict every gene with and without each prior, and with its control; finished units are kept.

    Parameters
    ----------
    signs
        Prior -> ``gene_id, position, ref, alt, score`` of variants near the TSS.
    persons
        Prior -> gene -> (N,) as from `hapsight.priors.regulons`.

    Returns
    -------
    Columns `hapsight.priors.tables.PRIOR_GENES`; one row per gene and prior.

    Raises
    ------
    IncompleteError
        Some units were set aside, after all others were finished.
    """
    units = _units(opened, signs, persons, regulons)
    compute(crew_of(opened), "priors linear", _fit_unit, units, progress)
    store = units[0].base.store
    return in_gene_order(store.read([unit.base for unit in units], "per_gene"), opened.cohort.genes)


def _units(
    opened: Opened, signs: Mapping[str, pl.DataFrame], persons: PersonValues, regulons: Regulons | None
) -> list[_Unit]:
    config, cohort = opened.config, opened.cohort
    run = BaselineRun(config.priors.method, "random", "", "priors")
    rng = stream(config.seed, "regulators of genes")
    store = UnitStore(opened.folder.path / "priors" / "linear")
    bases = baseline_units(opened, run, store, _keys(opened, run, signs, persons, regulons))
    shared = _Unit(
        base=bases[0],
        method=config.priors.method,
        signs={},
        persons=persons,
        cohort_genes=tuple(cohort.genes),
        values=cohort.transformed,
        regulons=regulons,
        dealt=np.empty(0, np.intp) if regulons is None else dealt_regulators(regulons.weight, rng),
        leave_out=config.priors.leave_out,
    )
    return [_of_block(shared, base, signs) for base in bases]


def _keys(
    opened: Opened,
    run: BaselineRun,
    signs: Mapping[str, pl.DataFrame],
    persons: PersonValues,
    regulons: Regulons | None,
) -> dict[str, str]:
    """By ``gene_id``: digest of all that a gene's row depends on; of all genes, where regulators speak."""
    genes, plain = opened.cohort.genes, baseline_keys(opened, run)
    scored = {
        prior: table.select(_SCORED).rows_by_key("gene_id", named=False) for prior, table in signs.items()
    }
    weight = b"" if regulons is None else regulons.weight.tobytes()
    own = {
        gene.gene_id: {
            "plain": plain[gene.gene_id],
            "signs": {prior: rows.get(gene.gene_id, []) for prior, rows in scored.items()},
            "persons": {p: of[gene.gene_id].tolist() for p, of in persons.items() if gene.gene_id in of},
        }
        for gene in genes
    }
    common = {
        "priors": [list(signs), list(persons)],
        "regulons": hashlib.sha256(weight).hexdigest(),
        "speaking": plain if weight else {},
        "leave_out": opened.config.priors.leave_out,
    }
    return gene_keys("priors linear", genes, common, own)


def _of_block(shared: _Unit, base: BaselineUnit, signs: Mapping[str, pl.DataFrame]) -> _Unit:
    own = [gene.gene_id for gene in base.genes]
    mine = {prior: table.filter(pl.col("gene_id").is_in(own)) for prior, table in signs.items()}
    persons = {
        prior: {name: values[name] for name in own if name in values}
        for prior, values in shared.persons.items()
    }
    by_gene = {prior: _by_gene(table) for prior, table in mine.items()}
    return replace(shared, base=base, signs=by_gene, persons=persons)


def _by_gene(table: pl.DataFrame) -> dict[str, dict[tuple[int, str, str], float]]:
    found: dict[str, dict[tuple[int, str, str], float]] = {}
    for gene_id, position, ref, alt, score in table.select(_SCORED).iter_rows():
        found.setdefault(gene_id, {})[position, ref, alt] = score
    return found


def _fit_unit(unit: _Unit) -> str:
    """Fit a block of genes and store it; returns the unit's name."""
    base = unit.base
    reader = VariantReader(base.genotypes, base.reference, [gene.cis(base.cis_window) for gene in base.genes])
    scores = _scores_of_folds(unit)
    rows: list[dict[str, Any]] = []
    for gene, expression in zip(base.genes, base.expression, strict=True):
        near, seed = reader(gene.cis(base.cis_window)), gene_seed(base.seed, gene.gene_id)
        priors = _person_priors(unit, gene, scores) | _given_priors(unit, gene, seed)
        priors |= _sign_priors(unit, gene, near, seed)
        given = {name: own for name, (own, _) in priors.items()}
        given |= {_control(name): control for name, (_, control) in priors.items()}
        dosage, once = near.linear_dosage.astype(np.float64), near.one_copy
        found = combine(dosage, expression, base.covariates, given, base.outer_folds, seed, base.method, once)
        facts = {"gene_id": gene.gene_id, "gene_name": gene.gene_name, "beside": unit.method}
        for name, (prior, _) in priors.items():
            level = "variant" if name in unit.signs else "person"
            rows.append(facts | {"level": level} | _row(name, prior, found))
    base.store.write(base.name, base.key, {"per_gene": pl.DataFrame(rows, schema=PRIOR_GENES)})
    return base.name


def _control(prior: str) -> str:
    return f"{prior}, shuffled"


def _row(name: str, prior: Floats, found: Combined) -> dict[str, Any]:
    """R of one gene with and without one prior."""
    return {
        "prior": name,
        "n": len(found.observed),
        "has_prior": bool(np.ptp(prior, axis=1).any()),
        "without_r": held_out_r(found.without, found.observed),
        "with_r": held_out_r(found.with_prior[name], found.observed),
        "alone_r": held_out_r(found.prior_alone[name], found.observed),
        "shuffled_r": held_out_r(found.with_prior[_control(name)], found.observed),
    }


def _scores_of_folds(unit: _Unit) -> list[Floats] | None:
    """All genes' z-scores (G, N) as they are known when each fold is held out; none without regulons."""
    if unit.regulons is None:
        return None
    folds = unit.base.outer_folds
    return [z_scores(unit.values, unit.base.covariates, folds != k) for k in range(int(folds.max()) + 1)]


def _person_priors(unit: _Unit, gene: Gene, scores: list[Floats] | None) -> dict[str, tuple[Floats, Floats]]:
    """What other genes say of the gene's regulators in each fold (K, N), and of another gene's."""
    if scores is None or unit.regulons is None:
        return {}
    genes = list(unit.cohort_genes)
    target = next(index for index, other in enumerate(genes) if other.gene_id == gene.gene_id)
    weight = unit.regulons.weight
    swapped = weight.copy()
    swapped[:, target] = weight[:, unit.dealt[target]]
    own, control = (
        np.array([regulator_score(z, table, genes, target, unit.leave_out) for z in scores])
        for table in (weight, swapped)
    )
    return {ACTIVITY: (own, control)}


def _given_priors(unit: _Unit, gene: Gene, seed: int) -> dict[str, tuple[Floats, Floats]]:
    """The numbers of each person, alike in all folds (K, N), and dealt anew among people; else zeros."""
    found = {}
    folds, rng = int(unit.base.outer_folds.max()) + 1, stream(seed, "priors of people")
    for prior, by_gene in unit.persons.items():
        values = by_gene.get(gene.gene_id, np.zeros(len(unit.base.outer_folds)))
        own, control = (np.tile(one, (folds, 1)) for one in (values, rng.permutation(values)))
        found[prior] = (own, control)
    return found


def _sign_priors(unit: _Unit, gene: Gene, near: Variants, seed: int) -> dict[str, tuple[Floats, Floats]]:
    """Sum over variants of dosage times score, alike in all folds (K, N), and of scores dealt anew."""
    found = {}
    folds = int(unit.base.outer_folds.max()) + 1
    variants = list(zip(near.position.tolist(), near.ref, near.alt, strict=True))
    for prior, by_gene in unit.signs.items():
        scores = by_gene.get(gene.gene_id, {})
        index = np.array([i for i, variant in enumerate(variants) if variant in scores], dtype=np.intp)
        score = np.array([scores[variants[i]] for i in index])
        rng = stream(seed, "priors of variants")
        dealt = shuffled_evidence(score[:, None], near.position[index] - gene.tss, rng)[:, 0]
        dosage = near.linear_dosage[index]
        own, control = (np.tile(weighted_sum(values, dosage), (folds, 1)) for values in (score, dealt))
        found[prior] = (own, control)
    return found
