"""Units of work on what a run judges: some arms, a block of genes, and all that any process needs of both."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Gene
from hapsight.run.arms import Arm, baseline_arm, track_arm, weights_arm
from hapsight.run.baselines import BaselineRun, ImportedRun, Rows
from hapsight.run.blocks import Block, KeyedBlock, keyed_blocks
from hapsight.run.models import ModelCard
from hapsight.run.opened import LINEAR_KEYS, Opened, gene_keys, row_digests
from hapsight.run.store import StoredUnit, UnitStore

__all__ = ["ArmPart", "ArmUnit", "KeyOf", "arm_blocks", "arm_keys", "arm_units", "key_parts"]

Float = NDArray[np.float64]
KeyOf = Mapping[str, Mapping[str, object]]


class _Block(Protocol):
    @property
    def key(self) -> str:
        """Of as many parts as there are genes."""

    @property
    def genes(self) -> Sequence[Gene]:
        """Of the block."""


@dataclass(frozen=True, slots=True, eq=False)
class ArmPart:
    """What of an arm travels: no network, no table of effects, and of its units those of some genes.

    Attributes
    ----------
    weights
        By ``gene_id``, of what was trained elsewhere.
    """

    made_by: ModelCard | BaselineRun | ImportedRun
    track: str | None
    units: tuple[KeyedBlock, ...]
    weights: dict[str, Rows]

    def arm(self, opened: Opened) -> Arm:
        """The arm in a run that has these genes."""
        if isinstance(self.made_by, ModelCard):
            assert self.track is not None
            return track_arm(opened, self.made_by, self.units, self.track)
        if isinstance(self.made_by, BaselineRun):
            return baseline_arm(opened, self.made_by, self.units)
        return weights_arm(opened, self.made_by, self.units, lambda: self.weights)


@dataclass(frozen=True, slots=True, eq=False)
class ArmUnit(StoredUnit):
    """A block of genes of some arms.

    Attributes
    ----------
    genes
        G of the run.
    run
        The run, without genes; the same for every unit.
    values, residual
        (G, N) expression as it was read, and as predictions are compared with it.
    """

    name: str
    key: str
    store: UnitStore
    genes: tuple[Gene, ...]
    run: Opened
    values: Float
    residual: Float
    parts: tuple[ArmPart, ...]

    def arms(self) -> list[Arm]:
        """The arms, which know these genes alone."""
        cohort = self.run.cohort.with_rows(self.genes, self.values, self.residual)
        opened = replace(self.run, cohort=cohort)
        return [part.arm(opened) for part in self.parts]


class _Known(NamedTuple):
    """An arm, and which of its units holds a gene, by ``gene_id``."""

    arm: Arm
    made_by: ModelCard | BaselineRun | ImportedRun
    unit_of: dict[str, KeyedBlock]
    weights: Mapping[str, Rows]

    @classmethod
    def of(cls, arm: Arm, made_by: ModelCard | BaselineRun | ImportedRun) -> _Known:
        unit_of = {gene.gene_id: unit for unit in arm.units for gene in unit.genes}
        return cls(arm, made_by, unit_of, {} if arm.weights is None else arm.weights())

    def part(self, genes: Sequence[Gene]) -> ArmPart:
        units = tuple(dict.fromkeys(self.unit_of[gene.gene_id] for gene in genes))
        names = [gene.gene_id for gene in genes]
        rows = {name: self.weights[name] for name in names if name in self.weights}
        return ArmPart(self.made_by, self.arm.track, units, rows)


def _known(arms: Iterable[Arm]) -> list[_Known]:
    """The arms without what is loaded of their models; those of one model share its card."""
    cards: dict[ModelCard, ModelCard] = {}
    for arm in arms:
        if arm.card is not None and arm.card not in cards:
            cards[arm.card] = arm.card.card()
    return [_Known.of(arm, cards[arm.card] if arm.card is not None else _linear(arm)) for arm in arms]


def _linear(arm: Arm) -> BaselineRun | ImportedRun:
    assert isinstance(arm.made_by, BaselineRun | ImportedRun)
    return arm.made_by


def arm_keys(
    opened: Opened, stage: str, arms: Sequence[Arm], options: Mapping[str, Any], own: KeyOf | None = None
) -> dict[str, str]:
    """By ``gene_id``: digest of what the arms make of a gene, of its expression, and of how they are judged.

    Parameters
    ----------
    options
        What else all genes have in common; JSON.
    own
        By ``gene_id``: what else is a gene's own; JSON.
    """
    config, cohort = opened.config, opened.cohort
    values = row_digests(cohort.genes, cohort.expression.values)
    made = [{name: part for unit in arm.units for name, part in key_parts(unit).items()} for arm in arms]
    facts = {
        gene.gene_id: {
            "name": gene.gene_name,
            "expression": values[gene.gene_id],
            "arms": [part[gene.gene_id] for part in made],
            "windows": [[(seen := arm.window(gene)).start, seen.end] for arm in arms],
        }
        | dict((own or {}).get(gene.gene_id, {}))
        for gene in cohort.genes
    }
    common = {
        "arms": [[arm.model, arm.read_out, arm.observed] for arm in arms],
        "policy": config.cohort.model_dump(mode="json", include=LINEAR_KEYS),
        "expression": config.expression.model_dump(mode="json"),
        "populations": list(cohort.groups),
        **opened.key_parts("genotypes", "reference", "covariates"),
    }
    return gene_keys(stage, cohort.genes, common | {"options": dict(options)}, facts)


def key_parts(unit: _Block) -> dict[str, str]:
    """By ``gene_id``: the part of a unit's key that is the gene's."""
    return {gene.gene_id: part for gene, part in zip(unit.genes, unit.key.split("."), strict=True)}


def arm_blocks(store: UnitStore, units: Sequence[KeyedBlock], keys: Mapping[str, str]) -> list[KeyedBlock]:
    """Name, key and genes of units that are cut as the `units` of an earlier stage are."""
    blocks: list[Block] = [(unit.name, unit.genes) for unit in units]
    return keyed_blocks(store, blocks, keys)


def arm_units(
    opened: Opened, store: UnitStore, blocks: Iterable[KeyedBlock], arms: Sequence[Arm]
) -> Iterator[ArmUnit]:
    """The blocks with all that a process needs to do them."""
    cohort, known, run = opened.cohort, _known(arms), _without_genes(opened)
    for block in blocks:
        rows = cohort.rows(block.genes)
        yield ArmUnit(
            name=block.name,
            key=block.key,
            store=store,
            genes=block.genes,
            run=run,
            values=cohort.expression.values[rows],
            residual=cohort.residual[rows],
            parts=tuple(one.part(block.genes) for one in known),
        )


def _without_genes(opened: Opened) -> Opened:
    """The run with nothing of single genes, and nobody's name outside its cohort."""
    nobody: Collection[Gene] = ()
    cohort = replace(opened.cohort.of_genes(nobody), dropped=Dropped())
    return replace(opened, cohort=cohort, dropped=Dropped())
