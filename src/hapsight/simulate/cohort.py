"""A simulated cohort: a real one's haplotypes, sequence and genes, and expression by a known grammar."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import hapsight
from hapsight.cohort.join import Cohort
from hapsight.cohort.nouns import Dropped, Gene, Interval
from hapsight.dna import Codes
from hapsight.errors import InputError, StoreError
from hapsight.simulate.design import Design
from hapsight.simulate.expression import draw_confounders, draw_expression
from hapsight.simulate.files import CohortWriter, write_config, write_covariates, write_people
from hapsight.simulate.genotypes import SimulatedGenotypes, spans_of
from hapsight.simulate.mosaic import People, draw_mosaic, draw_people
from hapsight.simulate.planting import Edit, Planter, patched
from hapsight.simulate.truth import score_people, score_variants
from hapsight.simulate.truth_tables import TruthTables
from hapsight.streams import stream

__all__ = ["Simulated", "choose_genes", "simulate"]

Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Simulated:
    """What was written.

    Attributes
    ----------
    config
        The configuration for ``hapsight run``.
    variants, planted
        Variants in the genotypes; motifs planted at variants.
    dropped
        Variants that the source's policy left out, alleles that overlap others, and genes that have too few
        variants to plant at.
    """

    config: Path
    people: int
    genes: int
    planted: int
    variants: int = 0
    dropped: Dropped = field(default_factory=Dropped)


def simulate(source: Cohort, design: Design, out: Path, progress: Progress) -> Simulated:
    """Write a cohort and its truth into the folder `out`, which comes into being whole or not at all.

    Equal sources, designs and seeds give equal files. Memory holds one contig's mosaic, the genotypes of
    100 kb at a time, and the genetic values.

    Raises
    ------
    InputError
        The source has too few genes with enough variants to plant at; or one of its files is damaged.
    StoreError
        `out` is there already, and not empty.
    """
    _require_free(out)
    genes, edits, dropped = choose_genes(source, design)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    part.mkdir()
    try:
        done = _write(source, design, genes, edits, part, progress)
        part.replace(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    done.dropped.merge(dropped)
    done.config = out / done.config.name
    return done


def choose_genes(source: Cohort, design: Design) -> tuple[list[Gene], list[Edit], Dropped]:
    """Genes at random, in the source's order; the edits that plant their variants; genes passed over.

    Raises
    ------
    InputError
        There are not enough.
    """
    read = source.genotypes.read
    planter = Planter(
        design.grammar,
        lambda interval: read(interval, source.reference)[0],
        source.reference.fetch,
        design.min_maf,
        partners=design.grammar.pair_bonus != 0,
    )
    order = stream(design.seed, "genes").permutation(len(source.genes)).tolist()
    chosen: dict[int, list[Edit]] = {}
    dropped = Dropped()
    for index in order:
        if len(chosen) == design.genes:
            break
        gene = source.genes[index]
        edits = planter.plant(gene, design.planted, stream(design.seed, "planted", gene.gene_id))
        if edits is None:
            dropped.add("gene", f"fewer than {design.planted} variants to plant at", gene.gene_id)
        else:
            chosen[index] = edits
    if len(chosen) < design.genes:
        raise InputError(
            "The source has too few genes for the simulation.",
            expected=f"{design.genes} genes with {design.planted} variants to plant at, MAF "
            f"{design.min_maf:g} or more, within {design.grammar.reach:,} bases of the TSS",
            got=f"{len(chosen)} of {len(source.genes)} genes",
            fix="ask for fewer genes or planted variants, a wider reach, or rarer variants",
        )
    ordered = sorted(chosen)
    return [source.genes[i] for i in ordered], [edit for i in ordered for edit in chosen[i]], dropped


def _write(
    source: Cohort, design: Design, genes: list[Gene], edits: list[Edit], folder: Path, progress: Progress
) -> Simulated:
    people = draw_people(source.populations, design.people, stream(design.seed, "people"))
    confounders = draw_confounders(design, stream(design.seed, "confounders"))
    planted = sum(edit.variant is not None for edit in edits)
    done = Simulated(folder / "simulated.toml", design.people, len(genes), planted)
    truth = TruthTables(design.grammar, people.samples)
    contigs = {gene.contig: source.reference.contigs[gene.contig] for gene in genes}
    with CohortWriter(folder, people.samples, contigs) as writer:
        for contig in contigs:
            part = _Contig.draw(source, design, people, contig, genes, edits)
            part.write_genotypes(writer, done)
            part.write_genes(writer, confounders, truth, done, progress)
            done.dropped.merge(part.genotypes.dropped)
    write_people(folder / "samples.tsv", people)
    if design.confounders:
        write_covariates(folder / "covariates.tsv", people.samples, confounders)
    name = f"simulated, {design.people:,} people, {len(genes):,} genes"
    write_config(done.config, name, design.seed, design.flank, design.confounders > 0)
    _write_truth(folder / "truth", truth, design)
    return done


@dataclass(frozen=True, slots=True, eq=False)
class _Contig:
    """One contig's part of the cohort."""

    design: Design
    genes: Sequence[Gene]
    edits: Sequence[Edit]
    genotypes: SimulatedGenotypes

    @classmethod
    def draw(
        cls,
        source: Cohort,
        design: Design,
        people: People,
        contig: str,
        genes: Sequence[Gene],
        edits: Sequence[Edit],
    ) -> _Contig:
        here = [gene for gene in genes if gene.contig == contig]
        spans = spans_of(here, design.flank)
        whole = Interval(contig, spans[0].start, spans[-1].end)
        rng = stream(design.seed, "mosaic", contig)
        mosaic = draw_mosaic(people, source.populations, whole, design.switch_rate, rng)
        genotypes = SimulatedGenotypes(source.genotypes, source.reference, mosaic, spans)
        return cls(design, here, [edit for edit in edits if edit.contig == contig], genotypes)

    def fetch(self, interval: Interval) -> Codes:
        """Codes of the reference with what was planted."""
        return patched(self.genotypes.reference.fetch(interval), interval.start, self.edits)

    def write_genotypes(self, writer: CohortWriter, done: Simulated) -> None:
        """Write the contig's sequence and variants."""
        contig = self.genes[0].contig
        length = self.genotypes.reference.contigs[contig]
        writer.sequence(contig, length, self.fetch)
        for variants in self.genotypes.stretches():
            writer.variants(variants)
            done.variants += len(variants)

    def write_genes(
        self,
        writer: CohortWriter,
        confounders: NDArray[np.float64],
        truth: TruthTables,
        done: Simulated,
        progress: Progress,
    ) -> None:
        """Draw and write the expression of the contig's genes."""
        planted = {edit.variant for edit in self.edits if edit.variant is not None}
        grammar, seed = self.design.grammar, self.design.seed
        for gene in self.genes:
            scores = score_people(gene, grammar, self.genotypes, self.fetch)
            rng = stream(seed, "expression", gene.gene_id)
            drawn = draw_expression(scores.person, scores.reference, confounders, self.design, rng)
            effects = score_variants(gene, grammar, self.genotypes, self.fetch)
            truth.add(gene, scores, effects, drawn, planted)
            writer.gene(gene, drawn.values)
            done.dropped.merge(scores.dropped)
            progress("simulate", len(truth), done.genes)


def _write_truth(folder: Path, truth: TruthTables, design: Design) -> None:
    folder.mkdir()
    truth.variants().write_parquet(folder / "variants.parquet")
    truth.genes().write_parquet(folder / "genes.parquet")
    truth.people().write_parquet(folder / "people.parquet")
    made: Mapping[str, object] = {"hapsight": hapsight.__version__, "design": asdict(design)}
    (folder / "design.json").write_text(json.dumps(made, indent=1) + "\n")


def _require_free(out: Path) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise StoreError(
            "The folder for the simulated cohort is there already.",
            where=out,
            fix="name another folder, or remove this one",
        )
