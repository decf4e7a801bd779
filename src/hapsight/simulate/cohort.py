"""A simulated cohort: a real one's haplotypes, sequence and genes, and expression by a known grammar.

Planting: motifs written into a copy of the reference, so that one allele of a real variant completes them.

The base under the variant stays, so REF goes on to equal the (new) reference; bases that belong to any other
variant are left alone.
"""

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
from hapsight.cohort.nouns import Dropped, Gene, Interval, Variants
from hapsight.dna import N_CODE, Codes, encode, reverse_complement
from hapsight.errors import InputError, StoreError, plural
from hapsight.seeds import stream
from hapsight.simulate.design import Design, Grammar, Motif, draw_confounders, draw_expression
from hapsight.simulate.mosaic import People, SimulatedGenotypes, draw_mosaic, draw_people, spans_of
from hapsight.simulate.truth import (
    CohortWriter,
    TruthTables,
    score_people,
    score_variants,
    write_config,
    write_covariates,
    write_people,
)

__all__ = ["Edit", "Planter", "Simulated", "choose_genes", "patched", "simulate"]


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """Bases written over the reference from `start` on.

    Attributes
    ----------
    variant
        Position of the variant whose alleles differ by the motif; ``None`` for a constant motif.
    """

    contig: str
    start: int
    codes: Codes
    variant: int | None = None

    @property
    def end(self) -> int:
        """Position after the last base."""
        return self.start + len(self.codes)


@dataclass(slots=True)
class Planter:
    """Plants variants gene by gene; remembers what is written.

    Attributes
    ----------
    read
        The source's variants of an interval.
    fetch
        Codes of the unchanged reference.
    min_maf
        Least frequency, in the source, of a variant that is planted at.
    partners
        Write a constant motif beside every second planted one, for the grammar's pairs to act on.
    """

    grammar: Grammar
    read: Callable[[Interval], Variants]
    fetch: Callable[[Interval], Codes]
    min_maf: float
    partners: bool = False
    edits: dict[str, list[Edit]] = field(default_factory=dict)

    def plant(self, gene: Gene, count: int, rng: np.random.Generator) -> list[Edit] | None:
        """Edits that plant `count` variants of a gene; ``None`` (and nothing kept) where it has too few."""
        window = gene.cis(self.grammar.reach)
        before = self.edits.setdefault(gene.contig, [])
        site = _Surroundings.of(window, self.read(window), self.fetch(window), before, self.grammar)
        edits: list[Edit] = []
        planted = 0
        for row in rng.permutation(site.common(self.min_maf)).tolist():
            if planted == count:
                break
            edit = site.plant_at(row, rng)
            if edit is not None:
                edits.append(edit)
                if self.partners and planted % 2 == 0:
                    edits += site.partner_of(edit, rng)
                planted += 1
        if planted < count:
            return None
        before += edits
        return edits


@dataclass(slots=True, eq=False)
class _Surroundings:
    """The reach of one gene: what is there, and where nothing may be written.

    Attributes
    ----------
    codes, blocked
        (L,) bases from `start` on, and how often each is spoken for: by a variant, by the neighbourhood of a
        planted motif, or as N.
    """

    contig: str
    start: int
    codes: Codes
    blocked: NDArray[np.int64]
    variants: Variants
    grammar: Grammar

    @classmethod
    def of(
        cls, window: Interval, variants: Variants, codes: Codes, before: Sequence[Edit], grammar: Grammar
    ) -> _Surroundings:
        bases = patched(codes, window.start, before)
        blocked = (bases == N_CODE).astype(np.int64)
        site = cls(window.contig, window.start, bases, blocked, variants, grammar)
        for first, last in zip(variants.position.tolist(), variants.end.tolist(), strict=True):
            site._block(first - window.start, last - window.start)
        for edit in before:
            site._block_around(edit.start - window.start, edit.end - window.start)
        return site

    def common(self, min_maf: float) -> NDArray[np.intp]:
        """Rows of the substitutions that are frequent enough."""
        return np.flatnonzero(self.variants.is_snv & (self.variants.maf >= min_maf))

    def plant_at(self, row: int, rng: np.random.Generator) -> Edit | None:
        """Write a motif that one allele of a variant completes; ``None`` where there is no room."""
        at = int(self.variants.position[row]) - self.start
        for number in rng.permutation(len(self.grammar.motifs)).tolist():
            written = _written(self.grammar.motifs[number], rng)
            for offset in rng.permutation(len(written)).tolist():
                first = at - offset
                last = first + len(written)
                if self._has_room(first, last, 1) and self._differ(row, first, at, written, number):
                    codes = written.copy()
                    codes[at - first] = self.codes[at]
                    return self._write(first, codes, self.start + at)
        return None

    def partner_of(self, edit: Edit, rng: np.random.Generator) -> list[Edit]:
        """Write a whole motif some bases on, where there is room."""
        written = _written(self.grammar.motifs[int(rng.integers(len(self.grammar.motifs)))], rng)
        first = edit.end - self.start + self.grammar.widest - 1
        return [self._write(first, written)] if self._has_room(first, first + len(written), 0) else []

    def _has_room(self, first: int, last: int, variants: int) -> bool:
        """Whether the stretch is inside, and free but for so many variants of one base."""
        inside = first >= 0 and last <= len(self.codes)
        return inside and int(self.blocked[first:last].sum()) == variants

    def _differ(self, row: int, first: int, at: int, written: Codes, motif: int) -> bool:
        """Whether the alleles differ in how many instances there are, if `written` were there.

        More than the one placement counts: where a motif overlaps its own reverse complement, one allele
        may take the motif from one strand and give it to the other.
        """
        margin = self.grammar.widest - 1
        low, high = max(first - margin, 0), first + len(written) + margin
        codes = np.stack([self.codes[low:high]] * 2)
        codes[:, first - low : first - low + len(written)] = written
        alleles = encode(self.variants.ref[row] + self.variants.alt[row])
        codes[:, at - low] = alleles
        counts = self.grammar.counts(codes)[:, motif]
        return bool(counts[0] != counts[1])

    def _write(self, first: int, codes: Codes, variant: int | None = None) -> Edit:
        self.codes[first : first + len(codes)] = codes
        self._block_around(first, first + len(codes))
        return Edit(self.contig, self.start + first, codes, variant)

    def _block_around(self, first: int, last: int) -> None:
        """Keep others away, so that no motif over the planted variant reaches what is written later."""
        self._block(first - self.grammar.widest + 1, last + self.grammar.widest - 1)

    def _block(self, first: int, last: int) -> None:
        self.blocked[max(first, 0) : max(last, 0)] += 1


def patched(codes: Codes, start: int, edits: Sequence[Edit]) -> Codes:
    """A copy of a stretch (L,) that begins at `start`, edits written over it where they overlap it."""
    out = codes.copy()
    for edit in edits:
        first, last = max(edit.start, start), min(edit.end, start + len(codes))
        if first < last:
            out[first - start : last - start] = edit.codes[first - edit.start : last - edit.start]
    return out


def _written(motif: Motif, rng: np.random.Generator) -> Codes:
    """A motif's bases on a random strand; of an ambiguous letter's, any."""
    letters = [[base for base in range(4) if bits >> base & 1] for bits in motif.pattern.tolist()]
    codes = np.array([rng.choice(bases) for bases in letters], dtype=np.uint8)
    return reverse_complement(codes) if rng.integers(2) else codes


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
    if len(chosen) < (1 if design.fewer else design.genes):
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
    name = f"simulated, {design.people:,} people, {plural(len(genes), 'gene')}"
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
