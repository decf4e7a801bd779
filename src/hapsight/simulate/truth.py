"""What the grammar says of people, and of each variant, by their sequences.

The truth as tables; their columns are in ``hapsight.tables``.

The files of a cohort, written as they come: FASTA, VCF, phenotype BED and small tables.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import polars as pl
import pysam
import tomli_w
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Gene, Interval, Strand, Variants
from hapsight.dna import ALPHABET, Codes
from hapsight.sequence.haplotypes import Window, personal_sequences
from hapsight.simulate.design import Grammar, SimulatedExpression
from hapsight.simulate.mosaic import People
from hapsight.tables import SIMULATED_GENES, SIMULATED_VARIANTS

__all__ = [
    "CohortWriter",
    "PeopleScores",
    "TruthTables",
    "VariantEffects",
    "fasta_lines",
    "score_people",
    "score_variants",
    "vcf_lines",
    "write_config",
    "write_covariates",
    "write_people",
]

Float = NDArray[np.float64]
ReadVariants = Callable[[Interval], Variants]
FetchReference = Callable[[Interval], Codes]


@dataclass(frozen=True, slots=True, eq=False)
class PeopleScores:
    """One gene's scores.

    Attributes
    ----------
    haplotype
        (N, 2) score of each person's haplotypes, log10 of expression.
    reference
        Score of the reference sequence.
    dropped
        Alleles that could not be applied since they overlap others of the same haplotype.
    """

    haplotype: Float
    reference: float
    dropped: Dropped

    @property
    def person(self) -> Float:
        """(N,) mean of the two haplotypes."""
        return np.asarray(self.haplotype.mean(axis=1), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class VariantEffects:
    """Effects of the V variants within reach of one gene.

    Attributes
    ----------
    effect
        (V,) score of the reference sequence with ALT less that without, log10 of expression.
    change
        (V, M) how many instances of each motif ALT adds to the reference sequence (negative: takes away).
    """

    variants: Variants
    effect: Float
    change: NDArray[np.int64]


def score_people(gene: Gene, grammar: Grammar, read: ReadVariants, fetch: FetchReference) -> PeopleScores:
    """Score both haplotypes of everyone, by their sequences around the TSS."""
    made = personal_sequences(_window(gene, grammar), read, fetch)
    score = grammar.scores(np.vstack([made.reference[None], made.distinct]))
    return PeopleScores(score[1:][made.index], float(score[0]), made.dropped)


def score_variants(gene: Gene, grammar: Grammar, read: ReadVariants, fetch: FetchReference) -> VariantEffects:
    """Score each variant alone, on the reference sequence."""
    window = _window(gene, grammar)
    variants = read(window.interval).within(window.interval)
    singles = _one_by_one(variants)
    made = personal_sequences(window, singles.within, fetch)
    codes = np.vstack([made.reference[None], made.distinct])
    score, count = grammar.scores(codes), grammar.counts(codes)
    row = 1 + made.index.reshape(-1)[: len(variants)]
    return VariantEffects(variants, score[row] - score[0], count[row] - count[0])


def _window(gene: Gene, grammar: Grammar) -> Window:
    return Window(gene.contig, gene.tss, grammar.reach, grammar.reach + 1)


def _one_by_one(variants: Variants) -> Variants:
    """The variants in made-up people: the v-th haplotype carries the v-th variant and no other."""
    people = (len(variants) + 1) // 2
    alleles = np.eye(len(variants), 2 * people, dtype=np.uint8).reshape(len(variants), people, 2)
    return Variants(
        variants.contig,
        variants.position,
        variants.ref,
        variants.alt,
        variants.variant_id,
        alleles,
        tuple(str(i) for i in range(people)),
    )


class TruthTables:
    """Rows of the truth, gene by gene."""

    def __init__(self, grammar: Grammar, samples: Sequence[str]) -> None:
        self._grammar, self._samples = grammar, samples
        self._variants: list[dict[str, object]] = []
        self._genes: list[dict[str, object]] = []
        self._people: list[NDArray[np.float64]] = []

    def __len__(self) -> int:
        return len(self._genes)

    def add(
        self,
        gene: Gene,
        scores: PeopleScores,
        effects: VariantEffects,
        expression: SimulatedExpression,
        planted: Collection[int],
    ) -> None:
        """Add a gene; `planted` are the positions of variants that a motif was planted at."""
        heritable = expression.h2_asked > 0
        rows = self._variant_rows(gene, effects, planted) if heritable else []
        self._variants += rows
        self._people.append(expression.genetic)
        self._genes.append(
            {
                "gene_id": gene.gene_id,
                "gene_name": gene.gene_name,
                "contig": gene.contig,
                "tss": gene.tss,
                "strand": gene.strand.value if gene.strand else None,
                "n_variants": len(effects.variants),
                "n_causal": sum(bool(row["gained"] or row["lost"]) for row in rows),
                "n_planted": sum(bool(row["planted"]) for row in rows),
                "reference": scores.reference,
                "h2_asked": expression.h2_asked,
                "h2": expression.h2,
                "genetic_sd": float(np.std(expression.genetic)) if expression.h2 > 0 else 0.0,
                "noise_sd": expression.noise_sd,
                "additive_r2": _additive_r2(effects, expression) if expression.h2 > 0 else None,
            }
        )

    def variants(self) -> pl.DataFrame:
        """One row per gene and variant with an effect."""
        return pl.DataFrame(self._variants, schema=SIMULATED_VARIANTS)

    def genes(self) -> pl.DataFrame:
        """One row per gene."""
        return pl.DataFrame(self._genes, schema=SIMULATED_GENES)

    def people(self) -> pl.DataFrame:
        """One row per gene, a column of genetic values for each person."""
        values = pl.DataFrame(np.vstack(self._people), schema=list(self._samples))
        return self.genes().select("gene_id").hstack(values)

    def _variant_rows(
        self, gene: Gene, effects: VariantEffects, planted: Collection[int]
    ) -> list[dict[str, object]]:
        variants, af = effects.variants, effects.variants.af.tolist()
        acting = np.flatnonzero((effects.effect != 0) | effects.change.any(axis=1))
        return [
            {
                "gene_id": gene.gene_id,
                **_site(variants, v),
                "af": af[v],
                "tss_distance": _tss_distance(gene, int(variants.position[v])),
                "planted": int(variants.position[v]) in planted,
                "gained": self._named(effects.change[v]),
                "lost": self._named(-effects.change[v]),
                "effect": float(effects.effect[v]),
                "slope": float(effects.effect[v]) / 2,
            }
            for v in acting.tolist()
        ]

    def _named(self, change: NDArray[np.int64]) -> list[str]:
        """Motifs whose count rises, as often as it does."""
        pairs = zip(self._grammar.motifs, change.tolist(), strict=True)
        return [motif.name for motif, count in pairs for _ in range(count)]


def _site(variants: Variants, v: int) -> dict[str, object]:
    return {
        "variant_id": variants.variant_id[v],
        "contig": variants.contig,
        "position": int(variants.position[v]),
        "ref": variants.ref[v],
        "alt": variants.alt[v],
    }


def _tss_distance(gene: Gene, position: int) -> int | None:
    if gene.strand is None:
        return None
    return position - gene.tss if gene.strand is Strand.PLUS else gene.tss - position


def _additive_r2(effects: VariantEffects, expression: SimulatedExpression) -> float | None:
    """Squared correlation of genetic values with the sum of the variants' effects times dosage."""
    additive = effects.effect @ effects.variants.dosage
    if np.ptp(additive) == 0:
        return None
    return float(np.corrcoef(additive, expression.genetic)[0, 1] ** 2)


_LINE: Final = 60
_STRETCH: Final = 100_000 * _LINE
_LETTERS: Final = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)


class CohortWriter:
    """Sequence, genotypes and expression of a cohort, appended piece by piece and indexed at the end.

    Parameters
    ----------
    folder
        Gets ``reference.fa.gz``, ``genotypes.vcf.gz`` and ``expression.bed.gz`` with their indexes, and
        ``genes.tsv``.
    contigs
        Length of each contig that will come, in order.
    """

    def __init__(self, folder: Path, samples: Sequence[str], contigs: Mapping[str, int]) -> None:
        self._fasta, self._vcf, self._bed = (
            folder / name for name in ("reference.fa.gz", "genotypes.vcf.gz", "expression.bed.gz")
        )
        self._open: dict[Path, Any] = {
            path: pysam.BGZFile(str(path), "wb", None) for path in (self._fasta, self._vcf, self._bed)
        }
        self._genes = folder / "genes.tsv"
        self._genes.write_text("gene_id\tgene_name\tchrom\ttss\tstrand\n")
        self._open[self._vcf].write(_vcf_header(samples, contigs).encode())
        self._open[self._bed].write(_row("#chr", "start", "end", "phenotype_id", *samples).encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._open.values():
            file.close()
        if error is None:
            pysam.faidx(str(self._fasta))
            pysam.tabix_index(str(self._vcf), preset="vcf", force=True)
            pysam.tabix_index(str(self._bed), preset="bed", force=True)

    def sequence(self, contig: str, length: int, fetch: Callable[[Interval], Codes]) -> None:
        """Append a contig's sequence, fetched a stretch at a time."""
        self._open[self._fasta].write(f">{contig}\n".encode())
        for start in range(0, length, _STRETCH):
            codes = fetch(Interval(contig, start, min(start + _STRETCH, length)))
            self._open[self._fasta].write(fasta_lines(codes))

    def variants(self, variants: Variants) -> None:
        """Append variants; contigs and positions in order."""
        self._open[self._vcf].write(b"".join(vcf_lines(variants)))

    def gene(self, gene: Gene, values: Float) -> None:
        """Append a gene and its expression (N,), to six digits; contigs and TSS in order."""
        strand = gene.strand.value if gene.strand else "."
        with self._genes.open("a") as file:
            file.write(_row(gene.gene_id, gene.gene_name, gene.contig, gene.tss + 1, strand))
        texts = (f"{value:.6g}" for value in values.tolist())
        self._open[self._bed].write(_row(gene.contig, gene.tss, gene.tss + 1, gene.gene_id, *texts).encode())


def fasta_lines(codes: Codes) -> bytes:
    """A sequence (L,), 60 bases a line."""
    letters, whole = _LETTERS[codes], len(codes) // _LINE * _LINE
    lines = np.full((whole // _LINE, _LINE + 1), ord("\n"), dtype=np.uint8)
    lines[:, :-1] = letters[:whole].reshape(-1, _LINE)
    rest = letters[whole:].tobytes()
    return lines.tobytes() + (rest + b"\n" if rest else b"")


def vcf_lines(variants: Variants) -> Iterator[bytes]:
    """A VCF record for each variant, genotypes phased."""
    calls = np.empty((len(variants), len(variants.samples), 4), dtype=np.uint8)  # "0|1" and a tab
    calls[:, :, ::2] = variants.alleles + ord("0")
    calls[:, :, 1], calls[:, :, 3] = ord("|"), ord("\t")
    calls[:, -1, 3] = ord("\n")
    for v, position in enumerate(variants.position.tolist()):
        site = (variants.contig, position + 1, variants.variant_id[v], variants.ref[v], variants.alt[v])
        yield "\t".join(map(str, (*site, ".", "PASS", ".", "GT", ""))).encode() + calls[v].tobytes()


def write_people(path: Path, people: People) -> None:
    """Write the sample sheet."""
    rows = zip(people.samples, people.population, strict=True)
    text = "".join(_row(sample, population or "") for sample, population in rows)
    path.write_text(_row("sample_id", "population") + text)


def write_covariates(path: Path, samples: Sequence[str], values: Float) -> None:
    """Write (N, C) covariates as covariates x people."""
    rows = (
        _row(f"confounder{number}", *(f"{value:.6g}" for value in column))
        for number, column in enumerate(values.T.tolist(), 1)
    )
    path.write_text(_row("id", *samples) + "".join(rows))


def write_config(path: Path, name: str, seed: int, flank: int, covariates: bool) -> None:
    """Write a configuration by which ``hapsight run`` reads the folder."""
    cohort = {
        "genotypes": "genotypes.vcf.gz",
        "reference": "reference.fa.gz",
        "expression": "expression.bed.gz",
        "genes": "genes.tsv",
        "samples": "samples.tsv",
    } | ({"covariates": "covariates.tsv"} if covariates else {})
    config = {
        "name": name,
        "output": "run",
        "seed": seed,
        "cohort": cohort,
        "expression": {"transform": "log10", "pseudocount": 0.0},
        "baseline": {"cis_window": flank},
        "eqtl": {"cis_window": flank},
    }
    path.write_text(tomli_w.dumps(config))


def _vcf_header(samples: Sequence[str], contigs: Mapping[str, int]) -> str:
    lines = ["##fileformat=VCFv4.2", '##FILTER=<ID=PASS,Description="All filters passed">']
    lines += [f"##contig=<ID={contig},length={length}>" for contig, length in contigs.items()]
    lines += ['##FORMAT=<ID=GT,Number=1,Type=String,Description="Phased genotype">', ""]
    columns = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT")
    return "\n".join(lines) + _row(*columns, *samples)


def _row(*fields: object) -> str:
    return "\t".join(map(str, fields)) + "\n"
