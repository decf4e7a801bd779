"""What priors are worth, each beside its shuffled control, on the same folds and variants.

Signs beside ISM: whether motif changes, each variant scanned once, times regulators' signs know which way an
eQTL goes. The linear combination: blocks of genes, with and without each prior.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.effect_tables import read_effect_table
from hapsight.cohort.nouns import Dropped, Gene, Variants
from hapsight.cohort.reference import Reference
from hapsight.errors import InputError
from hapsight.explain.motifs import Motif, flank, motif_differences
from hapsight.linear.fits import weighted_sum
from hapsight.linear.informed import shuffled_evidence
from hapsight.priors.ablation import PRIOR_GENES, Ablation, Combined, combine, held_out_r, over_genes
from hapsight.priors.regulons import Regulons, dealt_regulators, regulator_score, z_scores
from hapsight.priors.signs import (
    PRIOR_SIGNS,
    SIGNS_LEARNED,
    SIGNS_OF_REGULONS,
    SignSet,
    class_columns,
    held_out_odds,
    motif_signs,
    right_signs,
    signed_bits,
    signed_sizes,
)
from hapsight.run.baselines import BaselineRun, BaselineUnit, baseline_keys, baseline_units, gene_seed
from hapsight.run.blocks import in_gene_order
from hapsight.run.crew import compute, crew_of
from hapsight.run.opened import Opened, Progress, gene_keys
from hapsight.run.sections import PriorEffectsConfig
from hapsight.run.store import UnitStore
from hapsight.seeds import stream
from hapsight.stages.driver_context import Variant, allele_window
from hapsight.stages.eqtl_sets import own_eqtls

__all__ = [
    "ACTIVITY",
    "CIS",
    "ScannedMotifs",
    "linear_ablation",
    "regulon_bits",
    "scan_motifs",
    "sign_ablation",
    "sign_set",
    "sign_sets",
]

_VARIANT = ("contig", "position", "ref", "alt")
_TOGETHER = 1000
"""Variants in a scan; bounds memory, and says how far it is."""


@dataclass(frozen=True, slots=True, eq=False)
class ScannedMotifs:
    """Motif changes of n variants.

    Attributes
    ----------
    differences
        Of each variant, see `hapsight.explain.motifs.motif_differences`.
    classes
        C names.
    bits
        (n, C) see `hapsight.priors.signs.class_columns`.
    """

    motifs: tuple[Motif, ...]
    differences: tuple[dict[int, float], ...]
    classes: tuple[str, ...]
    bits: NDArray[np.float64]
    place: dict[Variant, int]

    def rows(self, table: pl.DataFrame) -> NDArray[np.intp]:
        """Where the variants of a table are among the n."""
        return np.array([self.place[v] for v in table.select(_VARIANT).iter_rows()], dtype=np.intp)


def scan_motifs(
    tables: Sequence[pl.DataFrame],
    reference: Reference,
    motifs: Sequence[Motif],
    threshold: float,
    progress: Progress,
) -> ScannedMotifs:
    """Scan all variants of tables with ``contig, position, ref, alt``, once each."""
    distinct = pl.concat([table.select(_VARIANT) for table in tables]).unique(maintain_order=True)
    variants = list(distinct.iter_rows())
    differences: list[dict[int, float]] = []
    for first in range(0, len(variants), _TOGETHER):
        progress("prior motifs", first, len(variants))
        windows = [allele_window(v, reference, flank(motifs)) for v in variants[first : first + _TOGETHER]]
        differences += motif_differences(windows, motifs, threshold)
    progress("prior motifs", len(variants), len(variants))
    classes, bits = class_columns(differences, [motif.tf_class for motif in motifs])
    place = {variant: index for index, variant in enumerate(variants)}
    return ScannedMotifs(tuple(motifs), tuple(differences), classes, bits, place)


Floats = NDArray[np.float64]
Row = dict[str, Any]

CIS = "cis"
"""Name of the set whose variants may lie anywhere in the cis window."""

_KEY = ["gene_id", "position", "ref", "alt"]


def sign_sets(opened: Opened, nominal: Iterable[pl.DataFrame], dropped: Dropped) -> dict[str, pl.DataFrame]:
    """Each gene's strongest variant in half of the people, with its slope in the other half.

    Returns
    -------
    `CIS` and the label of each model -> the columns of `hapsight.stages.eqtl_sets.EQTL_SET`, and ``effect``
    of the model. The sets of models hold the strongest of the variants that the model has an effect of.
    """
    config = opened.config.priors
    effects = {given.label: _effects(opened, given) for given in config.effects}
    sets = {}
    for label in (CIS, *effects):
        left_out = Dropped()
        chosen = own_eqtls(opened, _with_effect(nominal, effects.get(label)), config.max_p, left_out)
        for (kind, reason), names in left_out.names.items():
            for name in names:
                dropped.add(kind, f"{label}: {reason}", name)
        sets[label] = (
            chosen.join(effects[label], on=_KEY, how="left", maintain_order="left")
            if label in effects
            else chosen.with_columns(effect=pl.lit(None, pl.Float64))
        )
        if chosen.is_empty():
            raise InputError(
                "No gene has an eQTL to learn or judge signs by.",
                where=label,
                expected=f"a variant with p <= {config.max_p:g} in the first half of the people",
                got=f"{len(opened.cohort.genes)} genes without",
                fix="raise `max_p` under [priors]",
            )
    return sets


def _with_effect(nominal: Iterable[pl.DataFrame], effects: pl.DataFrame | None) -> Iterator[pl.DataFrame]:
    """The variants of each block that a model has an effect of; without a model, all."""
    for block in nominal:
        yield block if effects is None else block.join(effects, on=_KEY, how="semi", maintain_order="left")


def _effects(opened: Opened, given: PriorEffectsConfig) -> pl.DataFrame:
    """A model's effect of each gene's variants on the reference; of several tracks, their mean."""
    table = read_effect_table(given.path, "effects", ("effect", "beta", "weight"))
    own = table.for_genes(opened.cohort.genes, opened.cohort.reference.contigs).table
    return own.group_by(_KEY, maintain_order=True).agg(effect=pl.col("value").mean())


def sign_set(opened: Opened, table: pl.DataFrame, motifs: Floats, *, beside_effect: bool) -> SignSet:
    """A set of eQTLs with (n, C) motif columns, and with or without the model's effects."""
    tss = {gene.gene_id: gene.tss for gene in opened.cohort.genes}
    effect = signed_sizes(table["effect"].to_numpy())[:, None] if beside_effect else np.empty((len(table), 0))
    position = np.array([tss[name] for name in table["gene_id"]], dtype=np.int64)
    return SignSet(table["slope"].to_numpy() > 0, motifs, effect, tuple(table["contig"]), position)


def regulon_bits(opened: Opened, table: pl.DataFrame, scanned: ScannedMotifs, regulons: Regulons) -> Floats:
    """(n,) what the signs of a table of regulons make of each variant's motif changes, for its gene."""
    place = {gene.gene_id: index for index, gene in enumerate(opened.cohort.genes)}
    names = [motif.name for motif in scanned.motifs]
    signs = {name: motif_signs(names, regulons, place[name]) for name in table["gene_id"].unique()}
    pairs = zip(table["gene_id"], scanned.rows(table), strict=True)
    return np.array([signed_bits(scanned.differences[row], signs[gene_id]) for gene_id, row in pairs])


def sign_ablation(
    opened: Opened,
    label: str,
    table: pl.DataFrame,
    scanned: ScannedMotifs,
    regulons: Regulons | None,
    rng: np.random.Generator,
) -> tuple[list[Row], pl.DataFrame]:
    """Judge sign priors on one set of eQTLs: rows of the ablation, and of ``signs``."""
    rows = scanned.rows(table)
    columns = {SIGNS_LEARNED: scanned.bits[rows]}
    if regulons is not None:
        columns[SIGNS_OF_REGULONS] = regulon_bits(opened, table, scanned, regulons)[:, None]
    shuffles, beside = opened.config.priors.shuffles, label != CIS
    ablation = []
    for prior, motifs in columns.items():
        deals = [rng.permutation(len(motifs)) for _ in range(shuffles)]
        found = _judge(opened, table, motifs, deals, beside_effect=beside)
        labels = {"prior": prior, "level": "variant", "enters": "sign of an eQTL"}
        labels |= {"beside": f"ISM of {label}" if beside else "a coin", "quantity": "signs_right"}
        ablation.append(labels | found.columns())
    return ablation, _sign_rows(opened, label, table, scanned, columns)


def _judge(
    opened: Opened,
    table: pl.DataFrame,
    motifs: Floats,
    deals: list[NDArray[np.int64]],
    *,
    beside_effect: bool,
) -> Ablation:
    """Share of right signs; without the prior: the sign of the model's effect, or a coin."""
    raises = table["slope"].to_numpy() > 0

    def right(columns: Floats, beside: bool) -> Floats:
        return right_signs(held_out_odds(sign_set(opened, table, columns, beside_effect=beside))[0], raises)

    without = right_signs(table["effect"].fill_null(0.0).to_numpy(), raises)
    shuffled = np.mean([right(motifs[deal], beside_effect) for deal in deals], axis=0)
    return over_genes(without, right(motifs, beside_effect), right(motifs, False), shuffled)


def _sign_rows(
    opened: Opened, label: str, table: pl.DataFrame, scanned: ScannedMotifs, columns: dict[str, Floats]
) -> pl.DataFrame:
    """The explanation: one row per variant, what the prior says beside what the model says."""
    names = {gene.gene_id: gene.gene_name for gene in opened.cohort.genes}
    bits = columns[SIGNS_LEARNED]
    odds, stretch = held_out_odds(sign_set(opened, table, bits, beside_effect=False))
    both = None
    if label != CIS:
        both = held_out_odds(sign_set(opened, table, bits, beside_effect=True))[0]
    of_regulons = columns.get(SIGNS_OF_REGULONS)
    strongest = pl.DataFrame(list(_strongest(table, scanned)), infer_schema_length=None)
    shown = table.with_columns(
        strongest.get_columns(),
        variants=pl.lit(label),
        gene_name=pl.col("gene_id").replace_strict(names),
        stretch=pl.Series(stretch),
        prior_odds=pl.Series(odds),
        prior_and_effect_odds=pl.lit(None) if both is None else pl.Series(both),
        regulon_bits=pl.lit(None) if of_regulons is None else pl.Series(of_regulons[:, 0]),
    )
    return shown.select(pl.col(name).cast(kind) for name, kind in PRIOR_SIGNS.items())


def _strongest(table: pl.DataFrame, scanned: ScannedMotifs) -> Iterator[Row]:
    """Of each variant, the motif that changes most."""
    for row in scanned.rows(table):
        found = scanned.differences[row]
        index = max(found, key=lambda one: abs(found[one])) if found else None
        motif = None if index is None else scanned.motifs[index]
        yield {
            "motif_name": None if motif is None else motif.name,
            "motif_class": None if motif is None else motif.tf_class,
            "motif_bits": None if index is None else found[index],
            "n_motifs": len(found),
        }


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
    Columns `hapsight.priors.ablation.PRIOR_GENES`; one row per gene and prior.

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
    base, reader, scores = unit.base, unit.base.reader(), _scores_of_folds(unit)
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
    """The numbers of each person, alike in all folds (K, N), and shuffled among people; else zeros."""
    found = {}
    folds, rng = int(unit.base.outer_folds.max()) + 1, stream(seed, "priors of people")
    for prior, by_gene in unit.persons.items():
        values = by_gene.get(gene.gene_id, np.zeros(len(unit.base.outer_folds)))
        own, control = (np.tile(one, (folds, 1)) for one in (values, rng.permutation(values)))
        found[prior] = (own, control)
    return found


def _sign_priors(unit: _Unit, gene: Gene, near: Variants, seed: int) -> dict[str, tuple[Floats, Floats]]:
    """Sum over variants of dosage times score, alike in all folds (K, N), and of shuffled scores."""
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
