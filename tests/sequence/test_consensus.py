"""bcftools consensus judges the builder: a stored part of it here, the whole in ``make verify``."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pysam
import pytest

from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.reference import Reference
from hapsight.dna import decode
from hapsight.sequence.haplotypes import Window, personal_sequences
from tests.cohort.files import CONTIG, Record, write_fasta, write_vcf
from tests.verify.bcftools_oracle import Triple, consensus, random_triples

DATA = Path(__file__).parents[1] / "data"


def ours(triple: Triple, vcf: Path, fasta: Path) -> str:
    genotypes, reference = GenotypeFile(vcf, [triple.sample]), Reference(fasta)
    window = Window(triple.contig, triple.tss, triple.left, triple.right)
    made = personal_sequences(window, lambda interval: genotypes.read(interval)[0], reference.fetch)
    return decode(made.distinct[made.index[0, triple.haplotype - 1]])


def test_equals_the_stored_consensus_of_bcftools():
    rows = json.loads((DATA / "consensus.json").read_text())
    assert len(rows) == 60
    for row in rows:
        expected = row.pop("sha256")
        found = ours(Triple(**row), DATA / "indels.vcf.gz", DATA / "indels.fa.gz")
        assert hashlib.sha256(found.encode()).hexdigest() == expected, row


@pytest.mark.parametrize(
    ("whole", "atoms"),
    [
        (("TGCA", "TACA,T", "1|2"), [("TGCA", "T,*", "2|1"), ("G", "A,*", "1|2")]),
        (("TGCA", "T,TCA", "1|2"), [("TG", "T,*", "2|1"), ("TGCA", "T,*", "1|2")]),
        (("T", "A,TGG", "1|2"), [("T", "A,*", "1|2"), ("T", "TGG,*", "2|1")]),
    ],
)
def test_atoms_of_bcftools_norm_give_the_sequences_of_the_whole_record(tmp_path, whole, atoms):
    """`consensus` itself writes their `*` into the sequence: findings/bcftools-norm-atomize.sh."""
    fasta, found = write_fasta(tmp_path / "g.fa"), []
    for name, records in (("whole", [whole]), ("atoms", atoms)):
        rows = [Record(106 if ref == "G" else 105, ref, alt, [call]) for ref, alt, call in records]
        vcf = write_vcf(tmp_path / f"{name}.vcf.gz", rows, ["ann"])
        both = [Triple("ann", haplotype, CONTIG, 100, 50, 50) for haplotype in (1, 2)]
        found.append([ours(one, vcf, fasta) for one in both])
    assert found[0] == found[1]
    assert found[0][0] != found[0][1]


@pytest.mark.verify
@pytest.mark.parametrize(
    ("folder", "fasta", "contig", "start", "end", "count"),
    [
        ("indels_chr20", "chr20_first_5Mb.fa.gz", "20", 900_000, 2_300_000, 300),
        ("geuvadis_chr22", "chr22.fa.gz", "chr22", 17_000_000, 50_818_400, 200),
    ],
)
def test_equals_bcftools_consensus(shared_data, folder, fasta, contig, start, end, count):
    if not shutil.which("bcftools"):
        pytest.skip("bcftools is not installed")
    vcf, fasta = shared_data / folder / "genotypes.vcf.gz", shared_data / folder / fasta
    with pysam.VariantFile(str(vcf)) as file:
        samples = list(file.header.samples)
    with pysam.FastaFile(str(fasta)) as reference:
        triples = random_triples(np.random.default_rng(2), samples, contig, start, end, count)
        differing = [t for t in triples if ours(t, vcf, fasta) != consensus(t, vcf, reference)]
    assert not differing
