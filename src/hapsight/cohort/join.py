"""The files of a cohort joined to one whole: the same people everywhere, and genes with a place.

Negative control: people's expression permuted at random, so that no genotype can have to do with it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.contigs import find_contig, one_naming
from hapsight.cohort.expression import (
    Expression,
    Phenotype,
    Transform,
    read_expression,
    require_tss,
    transform,
)
from hapsight.cohort.genes import read_genes
from hapsight.cohort.genotype_source import Genotypes
from hapsight.cohort.genotype_store import Decoder, StoredGenotypes
from hapsight.cohort.matching import (
    find_genes,
    genes_asked,
    genes_within,
    match_genes,
    near_genes,
    people_of,
)
from hapsight.cohort.nouns import Dropped, Gene
from hapsight.cohort.pcs import GenotypePCs, genotype_pcs
from hapsight.cohort.people import Covariates, SampleSheet, join_covariates, match_people, read_sample_sheet
from hapsight.cohort.policies import GenotypePolicy
from hapsight.cohort.reference import Reference
from hapsight.cohort.sexes import join_sexes, without_chry
from hapsight.cohort.split import open_genotypes
from hapsight.errors import ConfigError, InputError, plural
from hapsight.least_squares import residuals
from hapsight.seeds import stream

__all__ = [
    "Cohort",
    "CohortFiles",
    "CohortParts",
    "exchange_within",
    "join_genes",
    "join_people",
    "open_cohort",
    "permute_people",
]


def exchange_within(groups: Sequence[str | None], rng: np.random.Generator) -> NDArray[np.intp]:
    """A permutation (n,) that leaves everyone within their group; people without one are a group too."""
    order = np.arange(len(groups))
    for name in sorted(set(groups), key=str):
        members = np.array([i for i, group in enumerate(groups) if group == name], dtype=np.intp)
        order[members] = rng.permutation(members)
    return order


def permute_people(cohort: Cohort, seed: int) -> Cohort:
    """The cohort with each person's expression and covariates those of another of the same population.

    Expression and covariates move together: only their link to the genotypes is broken. Chance may leave a
    person in place, and does so with somebody who is alone in a population.
    """
    order = exchange_within(cohort.groups, stream(seed, "people exchanged"))
    expression, covariates = cohort.expression, cohort.covariates
    return replace(
        cohort,
        expression=replace(expression, values=expression.values[:, order]),
        covariates=None if covariates is None else replace(covariates, values=covariates.values[order]),
        notes=(
            *cohort.notes,
            "NEGATIVE CONTROL: expression and covariates were permuted at random among people of a "
            f"population (permuted = {seed}); whatever predicts them here is chance or a leak",
        ),
    )


@dataclass(frozen=True)
class CohortFiles:
    """Where the parts of a cohort lie.

    Attributes
    ----------
    genotypes
        VCF, BCF or PGEN: a file, several, or a pattern with ``{chrom}``.
    genes
        The gene table; without one, TSS (and no strand) are the expression file's.
    samples
        The sample sheet; where given, only its people are used.
    keep_genes
        Only these genes: identifiers, with or without version, or names.
    regions
        Only genes whose TSS lies in one of these: ``contig:first-last``, from 1, or a contig.
    populations
        Only people whom the sample sheet has in one of these.
    phenotype
        What the rows of the expression file are.
    genotype_pcs
        How many principal components of the genotypes are covariates beside the file's.
    """

    genotypes: Path | tuple[Path, ...]
    reference: Path
    expression: Path
    genes: Path | None = None
    covariates: Path | None = None
    samples: Path | None = None
    keep_genes: tuple[str, ...] | None = None
    regions: tuple[str, ...] = ()
    populations: tuple[str, ...] = ()
    phenotype: Phenotype = "genes"
    genotype_pcs: int = 0


class CohortParts:
    """What is in a cohort's files, each opened when it is first asked for, and once."""

    def __init__(self, files: CohortFiles, policy: GenotypePolicy) -> None:
        self.files, self.policy = files, policy
        self._stored: StoredGenotypes | None = None
        self._components: dict[tuple[str, ...], GenotypePCs] = {}

    @cached_property
    def genotypes(self) -> Decoder:
        """Of everybody in the file."""
        return open_genotypes(self.files.genotypes, self.policy)

    @cached_property
    def reference(self) -> Reference:
        """The FASTA."""
        return Reference(self.files.reference)

    @cached_property
    def measured(self) -> Expression:
        """The expression file."""
        return read_expression(self.files.expression, self.files.phenotype)

    @cached_property
    def sheet(self) -> SampleSheet | None:
        """The sample sheet, where there is one."""
        return read_sample_sheet(self.files.samples) if self.files.samples else None

    @cached_property
    def table(self) -> Sequence[Gene] | None:
        """The gene table, where there is one."""
        return read_genes(self.files.genes, repeats=True) if self.files.genes else None

    @cached_property
    def joined(self) -> tuple[Cohort, Dropped]:
        """See `open_cohort`."""
        return _joined(self)

    def genotype_pcs(self, samples: tuple[str, ...]) -> GenotypePCs:
        """Principal components of these people's genotypes, as many as `files` asks for."""
        if samples not in self._components:
            found = genotype_pcs(self.genotypes, self.reference, samples, self.files.genotype_pcs)
            self._components[samples] = found
        return self._components[samples]

    def kept(self, samples: Sequence[str], policy: GenotypePolicy) -> StoredGenotypes:
        """Genotypes of these people; what was decoded for the same people before is shared."""
        source = self.genotypes.keeping(samples, policy)
        known = self._stored
        self._stored = StoredGenotypes(source, self.reference) if known is None else known.sharing(source)
        return self._stored


@dataclass(frozen=True, eq=False, repr=False)
class Cohort:
    """People, their genotypes and their expression, each in one order.

    Attributes
    ----------
    samples, populations, super_populations
        N people in the expression file's order.
    genes
        G genes by contig (in the FASTA's order and names) and TSS.
    expression
        Of these genes and people, (G, N).
    covariates
        Of these people, (N, C).
    genotypes
        With `samples` set.
    notes
        What was resolved and should be known.
    transform, pseudocount
        How `observed` has the expression.
    dropped
        Who and what was left out by the join.
    """

    samples: tuple[str, ...]
    populations: tuple[str | None, ...]
    genes: tuple[Gene, ...]
    expression: Expression
    covariates: Covariates | None
    genotypes: Genotypes
    reference: Reference
    notes: tuple[str, ...]
    transform: Transform = "log10"
    pseudocount: float = 0.1
    dropped: Dropped = field(default_factory=Dropped)
    super_populations: tuple[str | None, ...] = ()

    def __repr__(self) -> str:
        covariates = 0 if self.covariates is None else len(self.covariates.names)
        return (
            f"Cohort({plural(len(self.samples), 'people')}, {plural(len(self.genes), 'gene')}, "
            f"{plural(covariates, 'covariate')})"
        )

    @property
    def groups(self) -> tuple[str | None, ...]:
        """(N,) within which people may be exchanged: the population, else the super-population."""
        above = self.super_populations or (None,) * len(self.samples)
        return tuple(own or wide for own, wide in zip(self.populations, above, strict=True))

    def gene(self, name: str | Gene) -> Gene:
        """The gene that is called so: by identifier, with or without version, or by name.

        Raises
        ------
        ConfigError
            No gene is called so (names near to it are listed), or several are.

        Examples
        --------
        >>> cohort.gene("PACSIN2") == cohort.gene("ENSG00000100266")  # doctest: +SKIP
        True
        """
        wanted = name.gene_id if isinstance(name, Gene) else name
        found, _ = find_genes([wanted], self.genes)
        if found:
            return found[0]
        near = near_genes(wanted, self.genes)
        raise ConfigError(
            f"The cohort has no gene {wanted!r}.",
            expected=f"an identifier, with or without version, or a name of {len(self.genes):,} genes",
            got=wanted,
            fix=f"did you mean {', '.join(near)}?" if near else "look at `cohort.genes` and `cohort.dropped`",
        )

    def of_genes(self, genes: Collection[Gene]) -> Cohort:
        """The cohort with these of its genes alone, in its own order."""
        rows = [row for row, gene in enumerate(self.genes) if gene in genes]
        chosen = tuple(self.genes[row] for row in rows)
        values = Expression(chosen, self.samples, self.expression.values[rows])
        return replace(self, genes=chosen, expression=values)

    def with_rows(
        self, genes: tuple[Gene, ...], values: NDArray[np.float64], residual: NDArray[np.float64]
    ) -> Cohort:
        """The same people with other genes, whose (G, N) `residual` is known already, to the last bit.

        Parameters
        ----------
        values
            (G, N) expression, not transformed.
        """
        made = replace(self, genes=genes, expression=Expression(genes, self.samples, values))
        made.__dict__["residual"] = residual  # where the cached property keeps it
        return made

    @cached_property
    def transformed(self) -> NDArray[np.float64]:
        """(G, N) expression, transformed; what is trained takes covariates out in its training people only.

        Raises
        ------
        InputError
            A logarithm is asked of values that have none.
        """
        return transform(self.expression.values, self.transform, self.pseudocount)

    @cached_property
    def residual(self) -> NDArray[np.float64]:
        """(G, N) the same, residual on all covariates and an intercept.

        Raises
        ------
        InputError
            As `transformed`; or the covariates leave nothing of these people.
        """
        covariates = None if self.covariates is None else self.covariates.values
        return residuals(self.transformed, covariates)

    @cached_property
    def _row(self) -> dict[str, int]:
        return {gene.gene_id: row for row, gene in enumerate(self.genes)}

    def rows(self, genes: Sequence[Gene]) -> NDArray[np.intp]:
        """Rows of `expression`, `transformed` and `residual` that are these genes'."""
        return np.array([self._row[gene.gene_id] for gene in genes], np.intp)

    def observed(self, gene: Gene | str) -> NDArray[np.float64]:
        """(N,) a gene's expression as predictions are compared with it: its row of `residual`.

        By default ``log10(x + 0.1)``, residual on all covariates.

        Raises
        ------
        ConfigError
            As `gene`.
        InputError
            As `residual`.
        """
        if isinstance(gene, str) or gene.gene_id not in self._row:
            gene = self.gene(gene)
        return np.asarray(self.residual[self._row[gene.gene_id]], np.float64)


def open_cohort(files: CohortFiles, policy: GenotypePolicy) -> tuple[Cohort, Dropped]:
    """Open a cohort's files and keep what all of them have; who and what was left out comes with it.

    Raises
    ------
    InputError
        A file is broken, nobody or no gene is left, a person has no covariates, or the files are of
        different genome builds.
    """
    return CohortParts(files, policy).joined


def _joined(parts: CohortParts) -> tuple[Cohort, Dropped]:
    files, policy, dropped = parts.files, parts.policy, Dropped()
    genotypes, reference, measured = parts.genotypes, parts.reference, parts.measured
    sheet, table = parts.sheet, parts.table
    samples = join_people(measured.samples, genotypes.samples_in_file, sheet, dropped, files.populations)
    covariates, notes = join_covariates(files.covariates, samples)
    if files.genotype_pcs:
        found = parts.genotype_pcs(samples)
        covariates, notes = found.beside(covariates), (*notes, str(found))
    genes, gene_notes = join_genes(files, measured, table, reference, genotypes.contigs, dropped)
    ploidy, ploidy_notes = join_sexes(sheet, genotypes, samples, genes.values(), reference, policy.ploidy)
    genes = without_chry(genes, ploidy, samples, dropped)
    population, above = (sheet.population_of(), sheet.super_population_of()) if sheet else ({}, {})
    cohort = Cohort(
        samples,
        tuple(population.get(person) for person in samples),
        tuple(genes.values()),
        _ordered(measured, genes, samples),
        covariates,
        parts.kept(samples, replace(policy, ploidy=ploidy)),
        reference,
        notes + gene_notes + ploidy_notes,
        dropped=dropped,
        super_populations=tuple(above.get(person) for person in samples),
    )
    return cohort, dropped


def join_people(
    measured: Sequence[str],
    genotyped: Sequence[str],
    sheet: SampleSheet | None,
    dropped: Dropped,
    populations: Sequence[str] = (),
) -> tuple[str, ...]:
    """People with expression and genotypes (and in the sample sheet), in the expression file's order.

    Others than those of `populations`, where given, were not asked for, and do not count as left out.
    """
    sides: dict[str, Sequence[str]] = {"expression": measured, "genotypes": genotyped}
    if sheet is not None:
        sides["sample sheet"] = sheet.samples
    if populations:
        wanted = frozenset(people_of(sheet, populations))
        sides = {side: [person for person in people if person in wanted] for side, people in sides.items()}
    return match_people(sides, dropped)


def join_genes(
    files: CohortFiles,
    measured: Expression,
    table: Sequence[Gene] | None,
    reference: Reference,
    genotyped: Sequence[str],
    dropped: Dropped,
) -> tuple[dict[int, Gene], tuple[str, ...]]:
    """Genes that can be used, by contig and TSS, keyed by their row in the expression file; and notes.

    Parameters
    ----------
    measured
        The expression file.
    table
        The gene table, where there is one.
    genotyped
        Contigs that have genotypes.
    dropped
        Counts genes without TSS, or on contigs that the FASTA or the genotypes lack.

    Raises
    ------
    InputError
        No gene is left, or one lies outside its contig or elsewhere in the two files.
    """
    found = dict(enumerate(measured.genes))
    notes: tuple[str, ...] = ()
    if table is not None:
        found, notes = match_genes(measured.genes, table, files.genes, dropped, measured.bodies)
    if files.keep_genes is not None:
        found = genes_asked(found, files.keep_genes, measured.genes, files.expression)
    if table is None:
        require_tss(found.values(), measured.bodies, files.expression)
        notes += measured.stretches_in_words(found.values())
    if files.phenotype == "peaks":
        notes += measured.peaks_in_words()
    placed = {i: gene for i, gene in found.items() if _has_contig(gene, reference, genotyped, dropped)}
    if not placed:
        raise InputError(
            "No gene lies on a contig that the FASTA and the genotypes have.",
            expected=f"contigs such as {', '.join(sorted({gene.contig for gene in found.values()})[:5])}",
            got=f"FASTA {', '.join(list(reference.contigs)[:5])}; genotypes {', '.join(genotyped[:5])}",
            fix=one_naming([*(gene.contig for gene in found.values()), *reference.contigs, *genotyped])
            or "use files of one genome, with the same contigs",
        )
    notes += _contig_notes(placed, reference, genotyped)
    named = {i: replace(gene, contig=reference.resolve(gene.contig)) for i, gene in placed.items()}
    if files.regions:
        named = genes_within(named, files.regions)
    _require_inside(named, reference)
    rank = {contig: i for i, contig in enumerate(reference.contigs)}
    ordered = sorted(named.items(), key=lambda item: (rank[item[1].contig], item[1].tss, item[1].gene_id))
    return dict(ordered), notes


def _has_contig(gene: Gene, reference: Reference, genotyped: Sequence[str], dropped: Dropped) -> bool:
    for side, contigs in (("FASTA", tuple(reference.contigs)), ("genotypes", tuple(genotyped))):
        if find_contig(gene.contig, contigs) is None:
            dropped.add("gene", f"its contig is not in the {side}", gene.gene_id)
            return False
    return True


def _contig_notes(
    genes: Mapping[int, Gene], reference: Reference, genotyped: Sequence[str]
) -> tuple[str, ...]:
    contigs = sorted({gene.contig for gene in genes.values()})
    notes = []
    for side, there in (("FASTA", tuple(reference.contigs)), ("genotypes", tuple(genotyped))):
        others = [(contig, find_contig(contig, there)) for contig in contigs if contig not in there]
        if others:
            ours, theirs = others[0]
            notes.append(
                f"{plural(len(others), 'contig')} named otherwise in the {side}: {ours} is {theirs} there"
            )
    return tuple(notes)


def _require_inside(genes: Mapping[int, Gene], reference: Reference) -> None:
    beyond = [gene for gene in genes.values() if not 0 <= gene.tss < reference.contigs[gene.contig]]
    if beyond:
        gene = beyond[0]
        raise InputError(
            f"{len(beyond)} of {len(genes)} genes lie beyond the end of their contig.",
            where=f"gene {gene.gene_id}, {gene.contig}:{gene.tss + 1}",
            expected=f"a TSS within {reference.contigs[gene.contig]:,} bases ({reference.path})",
            got=f"{gene.tss + 1:,}",
            fix="use the FASTA of the genes' genome build, whole contigs of it",
        )


def _ordered(measured: Expression, genes: Mapping[int, Gene], samples: Sequence[str]) -> Expression:
    column = {name: i for i, name in enumerate(measured.samples)}
    rows = np.array(list(genes), dtype=np.intp)
    values = measured.values[np.ix_(rows, np.array([column[person] for person in samples], dtype=np.intp))]
    return Expression(tuple(genes.values()), tuple(samples), values)
