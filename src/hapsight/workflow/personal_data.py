"""A cohort as training on people wants it: the split, the targets, the haplotypes of each gene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.contigs import resolve_contig
from hapsight.cohort.genotype_source import Genotypes
from hapsight.cohort.nouns import Gene, Interval
from hapsight.config import USUAL_BUDGET, ModelConfig
from hapsight.models.protocol import SequenceModel
from hapsight.predict.windows import require_fitting, window_of
from hapsight.workflow.opened import Opened
from hapsight.workflow.predict import ModelRun
from hapsight.workflow.variants import VariantReader

if TYPE_CHECKING:
    from hapsight.train.personal import Haplotypes
    from hapsight.train.splits import Split
    from hapsight.train.targets import Targets

__all__ = ["PersonalData", "personal_data"]

Index = NDArray[np.intp]


@dataclass(eq=False)
class PersonalData:
    """All that a training on people reads.

    Attributes
    ----------
    run, source
        The model, and what the configuration says of it.
    min_maf
        Frequency floor of the variants in sequences.
    """

    opened: Opened
    run: ModelRun
    source: ModelConfig
    split: Split
    min_maf: float
    _kept: dict[str, Haplotypes] = field(default_factory=dict)
    _bytes: int = 0

    def people(self, names: Sequence[str]) -> Index:
        """Numbers of these people in the cohort."""
        row = {name: index for index, name in enumerate(self.opened.cohort.samples)}
        return np.array([row[name] for name in names], dtype=np.intp)

    def cell(self, name: str) -> tuple[tuple[str, ...], Index]:
        """Genes and people of a cell."""
        split = self.split
        genes = split.seen_genes if name.startswith("seen genes") else split.unseen_genes
        people = split.train_people if name.endswith(" seen people") else split.test_people
        return genes, self.people(people)

    @cached_property
    def trained_on(self) -> NDArray[np.bool_]:
        """(N,) people of the cohort that weights are fitted to."""
        everyone = np.arange(len(self.opened.cohort.samples))
        return np.isin(everyone, self.people(self.split.train_people))

    @cached_property
    def targets(self) -> Targets:
        """Expression, with everything that is fitted to it from the training people."""
        from hapsight.train.targets import Targets

        cohort = self.opened.cohort
        return Targets.of(
            [gene.gene_id for gene in cohort.genes],
            cohort.expression.values,
            cohort.transformed,
            None if cohort.covariates is None else cohort.covariates.values,
            self.trained_on,
        )

    def fresh_model(self) -> SequenceModel:
        """The model, loaded anew: training changes its weights in place."""
        from hapsight.models.registry import load_model

        source = self.source
        return load_model(source.name, source.weights, self.opened.config.predict.device, **source.options)

    @cached_property
    def _genotypes(self) -> Genotypes:
        cohort = self.opened.cohort
        policy = replace(cohort.genotypes.policy, min_maf=self.min_maf)
        return cohort.genotypes.keeping(cohort.samples, policy)

    def gene(self, gene_id: str) -> Gene:
        """One of the cohort's genes."""
        return next(gene for gene in self.opened.cohort.genes if gene.gene_id == gene_id)

    def reader(self) -> VariantReader:
        """Reads the variants that go into sequences."""
        return VariantReader(self._genotypes, self.opened.cohort.reference)

    def haplotypes(self, gene_id: str) -> Haplotypes:
        """A gene's haplotypes, of all people; kept while they fit into the memory for embeddings."""
        from hapsight.predict.engine import Sequences
        from hapsight.train.personal import Haplotypes

        if gene_id in self._kept:
            return self._kept[gene_id]
        cohort = self.opened.cohort
        sequences = Sequences(self.run.model, self.run.read_out, self.reader(), cohort.reference.fetch)
        found, codes = sequences.of(self.gene(gene_id))
        made = Haplotypes(codes[1:], found.index)  # without the reference
        if self._bytes + codes.nbytes <= (self.opened.config.predict.budget or USUAL_BUDGET):
            self._kept[gene_id] = made
            self._bytes += codes.nbytes
        return made


def personal_data(
    opened: Opened, run: ModelRun, source: ModelConfig, most_people: int | None, min_maf: float | None
) -> PersonalData:
    """Deal people and genes as ``[train]`` has it; the same for every arm and seed of a run.

    Parameters
    ----------
    most_people
        Train on so many people only.
    min_maf
        Frequency floor of sequences; None: the cohort's.
    """
    from hapsight.predict.views import margin
    from hapsight.train.splits import GeneRule, PeopleRule, make_split

    config, cohort = opened.config.train, opened.cohort
    require_fitting(run.model, cohort.genes, cohort.reference.contigs)
    split = make_split(
        cohort.samples,
        cohort.populations,
        cohort.genes,
        {gene.gene_id: window_of(gene, run.model, margin(run.read_out)).interval for gene in cohort.genes},
        PeopleRule(config.test_share, config.valid_share, config.population, most_people),
        GeneRule(config.unseen_share, config.block, _held_out(opened)),
        opened.config.seed,
    )
    floor = opened.config.cohort.min_maf if min_maf is None else min_maf
    return PersonalData(opened, run, source, split, floor)


def _held_out(opened: Opened) -> tuple[Interval, ...]:
    """The regions that nothing is trained on, by the contig names of the reference."""
    from hapsight.train.splits import parse_region

    contigs = opened.cohort.reference.contigs
    regions = map(parse_region, opened.config.train.held_out)
    return tuple(
        replace(region, contig=resolve_contig(region.contig, contigs, "held_out under [train]"))
        for region in regions
    )
