"""Personal sequences as ``bcftools consensus`` makes them, anchored by its own chain file.

Writes the fixture of `make test`, and the cut of the indel cohort that it is about:

    python -m tests.verify.bcftools_oracle DATA/indels_chr20 tests/data
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pysam

FLANK = 20_000


@dataclass(frozen=True)
class Triple:
    """One haplotype (1 or 2) of one person in one window."""

    sample: str
    haplotype: int
    contig: str
    tss: int
    left: int
    right: int


def random_triples(
    rng: np.random.Generator, samples: list[str], contig: str, start: int, end: int, count: int
) -> Iterator[Triple]:
    """Windows from a few hundred bases to Enformer's, anywhere between two positions."""
    for _ in range(count):
        left, right = (int(10 ** rng.uniform(1, 5)) for _ in range(2))
        sample, haplotype = str(rng.choice(samples)), int(rng.integers(1, 3))
        yield Triple(sample, haplotype, contig, int(rng.integers(start, end)), left, right)


def consensus(triple: Triple, vcf: Path, fasta: pysam.FastaFile) -> str:
    """The window's sequence; N beyond the contig's ends."""
    length = fasta.get_reference_length(triple.contig)
    start = max(0, triple.tss - triple.left - FLANK)
    end = min(length, triple.tss + triple.right + FLANK)
    header = f">{triple.contig}:{start + 1}-{end}\n"
    with tempfile.TemporaryDirectory() as folder:
        source, chain = Path(folder) / "ref.fa", Path(folder) / "chain"
        source.write_text(header + fasta.fetch(triple.contig, start, end) + "\n")
        command = ["bcftools", "consensus", "-f", source, "-s", triple.sample, "-H", f"{triple.haplotype}pIu"]
        command += ["-c", chain, vcf]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        sequence = "".join(done.stdout.splitlines()[1:]).upper()
        anchor = map_position(chain.read_text(), triple.tss - start if start else triple.tss, start)
    first, last = anchor - triple.left, anchor + triple.right
    return "N" * max(0, -first) + sequence[max(0, first) : last] + "N" * max(0, last - len(sequence))


def map_position(chain: str, offset: int, start: int) -> int:
    """Index in the consensus of the reference base at `offset`, or of the next one that is kept."""
    lines = chain.split("\n")
    first_reference = int(lines[0].split()[5])
    reference, found = first_reference - (start if first_reference >= start else 0), int(lines[0].split()[10])
    found -= start if found >= start else 0
    for line in lines[1:]:
        size, *gaps = map(int, line.split())
        if offset < reference + size:
            return found + max(0, offset - reference)
        reference, found = reference + size, found + size
        if gaps:
            reference, found = reference + gaps[0], found + gaps[1]
    raise AssertionError("the chain ends before the position")


def cut_indels(source: Path, target: Path) -> None:
    """hg19 chr20:1.0-1.25 Mb: the variants of all 300 people, the sequence with N elsewhere."""
    with pysam.FastaFile(str(source / "chr20_first_5Mb.fa.gz")) as fasta:
        kept = fasta.fetch("20", 990_000, 1_260_000).upper()
    plain = target / "indels.fa"
    sequence = "N" * 990_000 + kept
    lines = (sequence[i : i + 60] for i in range(0, len(sequence), 60))
    plain.write_text(">20\n" + "\n".join(lines) + "\n")
    pysam.tabix_compress(str(plain), str(target / "indels.fa.gz"), force=True)
    plain.unlink()
    pysam.faidx(str(target / "indels.fa.gz"))
    with (
        pysam.VariantFile(str(source / "genotypes.vcf.gz")) as file,
        pysam.VariantFile(str(target / "indels.vcf.gz"), "wz", header=file.header) as out,
    ):
        for record in file.fetch("20", 1_000_000, 1_250_000):
            out.write(record)
    pysam.tabix_index(str(target / "indels.vcf.gz"), preset="vcf", force=True)


if __name__ == "__main__":
    origin, folder = Path(sys.argv[1]), Path(sys.argv[2])
    cut_indels(origin, folder)
    with pysam.VariantFile(str(folder / "indels.vcf.gz")) as vcf:
        people = list(vcf.header.samples)
    with pysam.FastaFile(str(folder / "indels.fa.gz")) as reference:
        rows = [
            asdict(triple) | {"sha256": hashlib.sha256(sequence.encode()).hexdigest()}
            for triple in random_triples(np.random.default_rng(1), people, "20", 1_010_000, 1_240_000, 60)
            for sequence in [consensus(triple, folder / "indels.vcf.gz", reference)]
        ]
    (folder / "consensus.json").write_text(json.dumps(rows, indent=0))
