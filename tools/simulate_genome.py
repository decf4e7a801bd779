"""Simulate a genome of many genes and people, as mosaics of a real cohort: for measurements of growth.

    python tools/simulate_genome.py COHORT OUT --genes 506 --people 1000 --spacing 150000 --flank 1000000

COHORT is a folder with one contig's `genotypes.vcf.gz`, `*.fa.gz` and `genes.tsv`. Every chromosome of the
genome is a stretch of that contig, its sequence and all its variants, with a mosaic of its own: each
haplotype copies one of the real ones and changes to another at `--switch` per base, so linkage and
frequencies are real. Genes are real TSSs of the stretch, thinned to one in `--spacing` bases on average
(random places where there are too few). A third of the genes have no eQTL; two thirds have one or two causal
variants, which explain a tenth of the expression on average. OUT gets one VCF, FASTA, a phenotype BED, 30
covariates and `cohort.toml`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pysam
from numpy.typing import NDArray

from hapsight.cohort.genotypes import GenotypeFile, GenotypePolicy
from hapsight.cohort.nouns import Interval, Variants
from hapsight.cohort.reference import Reference
from hapsight.seeds import stream
from hapsight.simulate.mosaic import draw_mosaic, draw_people

COVARIATES, STRETCH = 30, 200_000
_CALLS = np.frombuffer(b"\t0|0\t0|1\t1|0\t1|1", np.uint8).reshape(4, 4)


@dataclass(frozen=True)
class Source:
    """The real cohort, and the stretch of its contig that has variants."""

    genotypes: GenotypeFile
    reference: Reference
    contig: str
    tss: NDArray[np.int64]
    strand: tuple[str, ...]
    span: Interval

    @classmethod
    def of(cls, folder: Path) -> Source:
        genotypes = GenotypeFile(folder / "genotypes.vcf.gz", policy=GenotypePolicy())
        table = pl.read_csv(folder / "genes.tsv", separator="\t").sort("tss")
        contig = str(table["chrom"][0])
        reference = Reference(next(iter(folder.glob("*.fa.gz"))))
        span = Interval(contig, int(table["tss"].min()) - 500_000, int(table["tss"].max()))
        return cls(genotypes, reference, contig, table["tss"].to_numpy() - 1, tuple(table["strand"]), span)


@dataclass(frozen=True)
class Chromosome:
    """A stretch of the source: which it is, and where its genes are in it, from 0."""

    name: str
    start: int
    length: int
    tss: NDArray[np.int64]
    strand: tuple[str, ...]


def chromosomes(source: Source, options: argparse.Namespace) -> Iterator[Chromosome]:
    """Stretches that begin evenly over the source, each with its share of the genes."""
    counts = np.diff(np.linspace(0, options.genes, options.chromosomes + 1).round().astype(int))
    for number, count in enumerate(counts.tolist(), start=1):
        rng = stream(options.seed, "genes", str(number))
        length = int(count * options.spacing) + 2 * options.flank
        room = len(source.span) - length
        if room < 0:
            raise SystemExit(f"{length:,} bases a chromosome, and the source has {len(source.span):,}")
        start = source.span.start + room * (number - 1) // max(1, options.chromosomes - 1)
        inside = source.tss >= start + options.flank, source.tss < start + length - options.flank
        real = np.flatnonzero(np.logical_and(*inside))
        chosen = np.sort(rng.permutation(real)[:count])
        tss, strand = source.tss[chosen] - start, [source.strand[i] for i in chosen]
        more = count - len(chosen)
        places = rng.choice(np.arange(options.flank, length - options.flank), more, replace=False)
        tss, strand = np.concatenate([tss, places]), [*strand, *rng.choice(["+", "-"], more)]
        order = np.argsort(tss)
        yield Chromosome(f"chr{number}", start, length, tss[order], tuple(str(strand[i]) for i in order))


def lines(variants: Variants, chromosome: Chromosome) -> bytes:
    """VCF records: a call is four bytes."""
    pairs = variants.alleles.astype(np.intp)
    calls = _CALLS[2 * pairs[:, :, 0] + pairs[:, :, 1]].reshape(len(variants), -1)
    found = bytearray()
    for row in range(len(variants)):
        at = int(variants.position[row]) - chromosome.start + 1
        name = f"{chromosome.name}_{at}"
        head = f"{chromosome.name}\t{at}\t{name}\t{variants.ref[row]}\t{variants.alt[row]}\t.\tPASS\t.\tGT"
        found += head.encode() + calls[row].tobytes() + b"\n"
    return bytes(found)


def effects(chromosome: Chromosome, flank: int, seed: int) -> list[NDArray[np.int64]]:
    """Of each gene: places near which its causal variants are to be."""
    found = []
    for number in range(len(chromosome.tss)):
        rng = stream(seed, "causal", chromosome.name, str(number))
        count = int(rng.integers(0, 3))
        reach = min(flank, 200_000)
        found.append(chromosome.tss[number] + rng.integers(-reach, reach, count))
    return found


class Expression:
    """Genetic values of a chromosome's genes, as its variants go by."""

    def __init__(self, chromosome: Chromosome, people: int, flank: int, seed: int) -> None:
        self.places = effects(chromosome, flank, seed)
        self.genetic = np.zeros((len(self.places), people))
        self._start = chromosome.start

    def add(self, variants: Variants, start: int, end: int) -> None:
        """Variants of [start, end) of the source: the first one behind each place is causal."""
        dosage = variants.dosage.astype(np.float64)
        position = variants.position
        for gene, places in enumerate(self.places):
            for number, place in enumerate(places.tolist()):
                if start <= place + self._start < end and len(variants):
                    row = min(int(np.searchsorted(position, place + self._start)), len(variants) - 1)
                    own = dosage[row] - dosage[row].mean()
                    sign = 1 if (gene + number) % 2 else -1
                    self.genetic[gene] += sign * own / max(own.std(), 1e-9)

    def values(self, covariates: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """(G, N) expression, above 0: a tenth of the variance genetic, three tenths the covariates'."""
        genes, people = self.genetic.shape
        weights = rng.standard_normal((genes, COVARIATES)) / np.sqrt(COVARIATES)
        share = rng.gamma(1.0, 0.1, (genes, 1)).clip(0, 0.6)
        noise = rng.standard_normal((genes, people))
        z = np.sqrt(share / 1.5) * self.genetic + 0.55 * weights @ covariates + 0.8 * noise
        return 10 ** (rng.normal(0.8, 0.6, (genes, 1)) + 0.15 * z)


def write_chromosome(
    source: Source, chromosome: Chromosome, options: argparse.Namespace, vcf, fasta
) -> Expression:
    """Write sequence and genotypes, and take in what causal variants make of expression."""
    whole = Interval(source.contig, chromosome.start, chromosome.start + chromosome.length)
    letters = np.frombuffer(b"ACGTN", np.uint8)[np.minimum(source.reference.fetch(whole), 4)]
    fasta.write(f">{chromosome.name}\n".encode())
    for first in range(0, len(letters), 60):
        fasta.write(letters[first : first + 60].tobytes() + b"\n")
    rng = stream(options.seed, "mosaic", chromosome.name)
    names = [None] * len(source.genotypes.samples)
    people = draw_people(names, options.people, rng)
    mosaic = draw_mosaic(people, names, whole, options.switch, rng)
    expression = Expression(chromosome, options.people, options.flank, options.seed)
    for start in range(whole.start, whole.end, STRETCH):
        part = Interval(source.contig, start, min(start + STRETCH, whole.end))
        variants, _ = source.genotypes.read(part, source.reference)
        variants = variants.take((variants.position >= start) & (variants.end <= whole.end))
        if len(variants):
            copied = mosaic.copy(variants)
            vcf.write(lines(copied, chromosome))
            expression.add(copied, part.start, part.end)
    return expression


def simulate(source: Source, options: argparse.Namespace) -> None:
    """Write all files."""
    every = list(chromosomes(source, options))
    people = [f"SIM{n:05d}" for n in range(1, options.people + 1)]
    covariates = stream(options.seed, "covariates").standard_normal((COVARIATES, options.people))
    head = ["##fileformat=VCFv4.2", '##FORMAT=<ID=GT,Number=1,Type=String,Description="Phased genotype">']
    head += [f"##contig=<ID={one.name},length={one.length}>" for one in every]
    head += ["\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *people])]
    out, tables = options.out, []
    with (
        pysam.BGZFile(str(out / "genotypes.vcf.gz"), "wb") as vcf,
        (out / "reference.fa").open("wb") as fasta,
    ):
        vcf.write(("\n".join(head) + "\n").encode())
        for one in every:
            found = write_chromosome(source, one, options, vcf, fasta)
            values = found.values(covariates, stream(options.seed, "expression", one.name))
            names = [f"G{one.name[3:]}_{number:05d}" for number in range(len(one.tss))]
            table = pl.DataFrame({"#chr": [one.name] * len(names), "start": one.tss, "end": one.tss + 1})
            table = table.with_columns(phenotype_id=pl.Series(names), strand=pl.Series(one.strand))
            tables.append(table.hstack(pl.DataFrame(values.round(5), schema=people)))
            print(one.name, f"{one.length:,} bases, {len(names)} genes", flush=True)
    bed = pl.concat(tables)
    genes = bed.select("phenotype_id", chrom="#chr", tss=pl.col("end"), strand="strand")
    genes.rename({"phenotype_id": "gene_id"}).write_csv(out / "genes.tsv", separator="\t")
    bed.drop("strand").write_csv(out / "expression.bed", separator="\t")
    names = pl.DataFrame({"id": [f"c{n}" for n in range(COVARIATES)]})
    names.hstack(pl.DataFrame(covariates, schema=people)).write_csv(out / "covariates.tsv", separator="\t")
    pysam.tabix_index(str(out / "genotypes.vcf.gz"), preset="vcf", force=True)
    pysam.faidx(str(out / "reference.fa"))
    (out / "cohort.toml").write_text(
        f'name = "simulated, {options.people} people, {options.genes} genes"\noutput = "run"\n[cohort]\n'
        'genotypes = "genotypes.vcf.gz"\nreference = "reference.fa"\nexpression = "expression.bed"\n'
        'genes = "genes.tsv"\ncovariates = "covariates.tsv"\n'
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cohort", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--genes", type=int, default=506)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--chromosomes", type=int, default=22)
    parser.add_argument("--spacing", type=int, default=150_000, help="bases a gene")
    parser.add_argument("--flank", type=int, default=1_000_000, help="bases beyond the first and last gene")
    parser.add_argument("--switch", type=float, default=1e-6, help="changes of the copied haplotype per base")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    simulate(Source.of(options.cohort), options)


if __name__ == "__main__":
    main()
