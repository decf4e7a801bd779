"""Arms of the informed elastic net, and their units of work: learn shapes, then fit blocks of genes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.baseline.elastic_net import ElasticNetOptions
from hapsight.baseline.informed import InformedNet, penalty_factors, shuffled_evidence
from hapsight.baseline.nested import fit_by_fold
from hapsight.baseline.shape import LearningGene, LearningOptions, Shape, learn_shapes
from hapsight.cohort.nouns import Gene, Variants
from hapsight.config import InformedConfig
from hapsight.informed_tables import INFORMED_SHAPES
from hapsight.predict.store import UnitStore, content_key
from hapsight.workflow.baseline import unit_tables
from hapsight.workflow.baseline_runs import BaselineRun, baseline_words
from hapsight.workflow.baseline_units import BaselineUnit, baseline_units, gene_seed, net_options
from hapsight.workflow.informed_evidence import Feature
from hapsight.workflow.opened import Opened, dropped_table
from hapsight.workflow.variants import VariantReader

__all__ = ["Arm", "InformedUnit", "arms", "fit_unit", "fit_units", "learn_unit", "learn_units", "plain_run"]

Floats = NDArray[np.float64]

_STREAM = 2
"""Keeps the draws of the shuffled control apart from those of folds."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One set of evidence, or its control, judged on one split of people.

    Attributes
    ----------
    name
        What tables call the evidence.
    features
        Labels of what it is made of.
    shuffled
        Evidence other than distance is dealt anew among variants about as far from the TSS; where there is
        nothing but distance, that is dealt freely.
    """

    name: str
    features: tuple[str, ...]
    split: str
    shuffled: bool = False

    @property
    def folder(self) -> str:
        """Its folder of units in ``informed/``."""
        return ".".join([self.name, *(["shuffled"] if self.shuffled else []), self.split])

    def evidence(self, features: Sequence[Feature], gene: Gene, variants: Variants, seed: int) -> Floats:
        """(V, F) of a gene's variants; the gene's `seed` decides the shuffle, the same in all arms."""
        evidence = np.column_stack([feature.at(gene, variants) for feature in features])
        if not self.shuffled:
            return evidence
        distance = variants.position - gene.tss
        dealt = [label != "distance" for label in self.features]
        if not any(dealt):
            distance, dealt = np.zeros_like(distance), [True]
        rng = np.random.default_rng((seed, _STREAM))
        evidence[:, dealt] = shuffled_evidence(evidence[:, dealt], distance, rng)
        return evidence


def arms(config: InformedConfig) -> list[Arm]:
    """Each source of evidence by itself, tracks as one, and all together, each with its control."""
    tracks = tuple(track.label for track in config.tracks)
    effects = tuple(given.label for given in config.effects)
    sets: dict[str, tuple[str, ...]] = {"distance": ("distance",)}
    if tracks:
        sets["tracks"] = tracks
    sets |= {label: (label,) for label in effects}
    if tracks or effects:
        sets["all"] = ("distance", *tracks, *effects)
    return [
        Arm(name, features, split, shuffled)
        for split in config.splits
        for name, features in sets.items()
        for shuffled in (False, True)
    ]


def plain_run(opened: Opened, split: str) -> BaselineRun:
    """The baseline that an arm of this split is compared with: the elastic net on the same folds."""
    read_out, suffix = baseline_words(opened.config.baseline)[split]
    return BaselineRun("elastic_net", split, read_out, f"elastic_net{suffix}")


@dataclass(frozen=True, slots=True, eq=False)
class InformedUnit:
    """All that a process needs to learn an arm's shapes, or to fit it to a block of genes.

    Attributes
    ----------
    base
        As the plain net's, under this unit's name and key; its genes are to be learned from, or fitted.
    features
        Of the arm, F of them.
    thetas
        (K + 1, F) exponents of each fold, and of all people; without rows before they are learned.
    """

    base: BaselineUnit
    arm: Arm
    features: tuple[Feature, ...]
    thetas: Floats
    options: ElasticNetOptions


def learn_units(opened: Opened, arms: Sequence[Arm], features: dict[str, Feature]) -> list[InformedUnit]:
    """One unit for each arm: its shapes, from genes evenly spread over all of the cohort's."""
    units = []
    plain = {split: baseline_units(opened, plain_run(opened, split)) for split in {arm.split for arm in arms}}
    for arm in arms:
        whole = _joined(plain[arm.split])
        count = min(opened.config.informed.learning_genes, len(whole.genes))
        chosen = np.linspace(0, len(whole.genes) - 1, count).round().astype(int)
        genes = tuple(whole.genes[i] for i in chosen)
        base = replace(whole, genes=genes, expression=whole.expression[chosen])
        units.append(_unit(opened, base, arm, features, np.empty((0, len(arm.features))), "shapes"))
    return units


def fit_units(
    opened: Opened, arm: Arm, features: dict[str, Feature], shapes: pl.DataFrame
) -> list[InformedUnit]:
    """The arm's blocks of genes, given its table of shapes."""
    by_fold = shapes.partition_by("fold", maintain_order=True)
    thetas = np.array([fold["theta"].to_list() for fold in by_fold])
    plain = baseline_units(opened, plain_run(opened, arm.split))
    return [_unit(opened, base, arm, features, thetas, base.name) for base in plain]


def _joined(units: Sequence[BaselineUnit]) -> BaselineUnit:
    """All blocks as one; its key is of all their keys."""
    genes = tuple(gene for unit in units for gene in unit.genes)
    key = content_key({"units": [unit.key for unit in units]})
    return replace(units[0], genes=genes, expression=np.vstack([u.expression for u in units]), key=key)


def _unit(
    opened: Opened, base: BaselineUnit, arm: Arm, features: dict[str, Feature], thetas: Floats, name: str
) -> InformedUnit:
    mine = tuple(features[label] for label in arm.features)
    key = content_key(
        {
            "stage": f"informed {arm.folder} {name}",
            "plain": base.key,
            "genes": [gene.gene_id for gene in base.genes],
            "features": [dict(feature.facts()) for feature in mine],
            "shuffled": arm.shuffled,
            "thetas": thetas.tolist(),
        }
    )
    store: UnitStore = opened.folder.informed(arm.folder)
    return InformedUnit(
        replace(base, name=name, key=key, store=store), arm, mine, thetas, net_options(opened.config.baseline)
    )


def learn_unit(unit: InformedUnit) -> str:
    """Learn an arm's shapes and store them; returns the arm's folder."""
    base = unit.base
    reader = _reader(base)
    genes = []
    for gene, expression in zip(base.genes, base.expression, strict=True):
        near, seed = reader(gene.cis(base.cis_window)), gene_seed(base.seed, gene.gene_id)
        evidence = unit.arm.evidence(unit.features, gene, near, seed)
        genes.append(LearningGene(near.dosage, expression, base.covariates, evidence, seed))
    shapes = learn_shapes(genes, base.outer_folds, LearningOptions.like(unit.options))
    base.store.write(base.name, base.key, {"shapes": _shape_table(unit.arm, genes, shapes)})
    return unit.arm.folder


def _shape_table(arm: Arm, genes: Sequence[LearningGene], shapes: Sequence[Shape]) -> pl.DataFrame:
    """One row per fold (null: all people) and feature."""
    rows = [
        {
            "evidence": arm.name,
            "shuffled": arm.shuffled,
            "split": arm.split,
            "fold": fold if fold < len(shapes) - 1 else None,
            "feature": label,
            "theta": float(shape.theta[index]),
            "plain_error": shape.plain_error,
            "error": shape.error,
            "genes": shape.genes,
            "genes_with_evidence": sum(bool(gene.evidence[:, index].any()) for gene in genes),
        }
        for fold, shape in enumerate(shapes)
        for index, label in enumerate(arm.features)
    ]
    return pl.DataFrame(rows, schema=INFORMED_SHAPES)


def fit_unit(unit: InformedUnit) -> str:
    """Fit a block of genes with the shapes of each fold and store it; returns the unit's name."""
    base = unit.base
    reader = _reader(base)
    fits, variants = [], []
    for gene, expression in zip(base.genes, base.expression, strict=True):
        near, seed = reader(gene.cis(base.cis_window)), gene_seed(base.seed, gene.gene_id)
        evidence = unit.arm.evidence(unit.features, gene, near, seed)
        methods = [InformedNet(penalty_factors(evidence, theta), unit.options) for theta in unit.thetas]
        variants.append(near)
        fits.append(fit_by_fold(near.dosage, expression, base.covariates, base.outer_folds, seed, methods))
    tables = unit_tables(base, variants, fits) | {"dropped": dropped_table(reader.dropped)}
    base.store.write(base.name, base.key, tables)
    return base.name


def _reader(base: BaselineUnit) -> VariantReader:
    return VariantReader(base.genotypes, base.reference, [gene.cis(base.cis_window) for gene in base.genes])
