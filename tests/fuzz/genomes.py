"""Genotypes and reference, spoilt as text, as compressed bytes, and beside a good index."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path

import numpy as np
import pysam

from hapsight.cohort.genotypes import GenotypeFile, GenotypePolicy
from hapsight.cohort.nouns import Interval
from hapsight.cohort.reference import Reference
from hapsight.cohort.sites import read_sites
from tests.cohort.files import CONTIG, PEOPLE, SEQUENCE, write_fasta
from tests.fuzz.harness import companion

LENIENT = GenotypePolicy(missing="drop", unphased="drop", ref_mismatch="drop", duplicates="first")


def good_vcf() -> bytes:
    lines = [
        "##fileformat=VCFv4.2",
        f"##contig=<ID={CONTIG},length={len(SEQUENCE)}>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *PEOPLE]),
    ]
    for place in (10, 20, 50, 120):
        ref = SEQUENCE[place - 1]
        alt = ",".join([b for b in "ACGT" if b != ref][: 1 + place % 4 // 2])
        fields = [
            CONTIG,
            str(place),
            f"rs{place}",
            ref,
            alt,
            ".",
            "PASS",
            ".",
            "GT",
            "0|1",
            "0|0",
            "1|1",
            "0|0",
        ]
        lines.append("\t".join(fields))
    return ("\n".join(lines) + "\n").encode()


def _read_everything(path: Path) -> None:
    """Both readers of variants; every ALT of every record must be a row or counted."""
    file = GenotypeFile(path, policy=LENIENT)
    for contig in file.contigs:
        variants, dropped = file.read(Interval(contig, 0, 2**28))
        lost = sum(n for (kind, _), n in dropped.counts.items() if kind == "variant")
        # A record at POS 0, the telomere, is in a window where its REF reaches the first base.
        assert _alleles_of(path, contig, 1) <= len(variants) + lost <= _alleles_of(path, contig)
        assert set(np.unique(variants.alleles)) <= {0, 1}
    found, dropped = read_sites(path, companion(path), LENIENT)
    # At least: a comment among the records is a record to htslib where it uses no index.
    assert sum(map(len, found)) + sum(dropped.counts.values()) >= _alleles_of(path, None)


def _alleles_of(path: Path, contig: str | None, least: int = 0) -> int:
    """ALTs of a VCF's records at POS of `least` or more, 1 for a record without, counted line by line."""
    lines = (line for line in gzip.decompress(path.read_bytes()).split(b"\n") if line and line[:1] != b"#")
    rows = [line.rstrip(b"\r").split(b"\t") for line in lines]
    if contig is not None:
        rows = [row for row in rows if row[0] == contig.encode() and (not least or row[1].strip(b"0"))]
    return sum(len(row[4].split(b",")) for row in rows)


def vcf_text(path: Path) -> None:
    """The text spoilt, then compressed and indexed as a user would."""
    packed = path.with_name("packed.vcf.gz")
    for old in path.parent.glob("packed.vcf.gz*"):
        old.unlink()
    pysam.tabix_compress(str(path), str(packed), force=True)
    with suppress(OSError, ValueError):  # without an index, a reader must say so
        pysam.tabix_index(str(packed), preset="vcf", force=True)
    _read_everything(packed)


def good_vcf_gz() -> bytes:
    return _packed(good_vcf())


def _packed(text: bytes) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        plain, packed = Path(folder) / "a", Path(folder) / "a.gz"
        plain.write_bytes(text)
        pysam.tabix_compress(str(plain), str(packed))
        return packed.read_bytes()


def vcf_gz(path: Path) -> None:
    """The compressed bytes spoilt, beside the index of the good file."""
    good = path.with_name("good.vcf.gz")
    if not good.exists():
        good.write_bytes(good_vcf_gz())
        pysam.tabix_index(str(good), preset="vcf", force=True)
    Path(f"{path}.tbi").write_bytes(Path(f"{good}.tbi").read_bytes())
    file = GenotypeFile(path, policy=LENIENT)
    for contig in file.contigs:
        file.read(Interval(contig, 0, 2**28))


def good_fai() -> bytes:
    return f"{CONTIG}\t{len(SEQUENCE)}\t6\t60\t61\n".encode()


def fai(path: Path) -> None:
    """The FASTA's index spoilt."""
    fasta = path.with_suffix("")
    if not fasta.exists():
        write_fasta(fasta.with_name("plain.fa"))
        fasta.write_bytes(fasta.with_name("plain.fa").read_bytes())
    reference = Reference(fasta)
    for contig in reference.contigs:
        codes = reference.fetch(Interval(contig, 0, 50))
        assert len(codes) == 50
