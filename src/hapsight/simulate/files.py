"""The files of a cohort, written as they come: FASTA, VCF, phenotype BED and small tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import pysam
import tomli_w
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Interval, Variants
from hapsight.dna import ALPHABET, Codes
from hapsight.simulate.mosaic import People

__all__ = ["CohortWriter", "fasta_lines", "vcf_lines", "write_config", "write_covariates", "write_people"]

Float = NDArray[np.float64]

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
