"""Crowded, overlapping, multi-base records of one haplotype: the same choices as ``bcftools consensus``."""

import shutil
import subprocess

import numpy as np
import pytest

from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.reference import Reference
from hapsight.dna import decode
from hapsight.sequence.haplotypes import Window, personal_sequences
from tests.cohort.files import Record, write_fasta, write_vcf

LENGTH = 400


def random_records(rng: np.random.Generator, sequence: str) -> list[Record]:
    """Substitutions and indels so dense that many overlap; anchored as in a normalised VCF."""
    records = {}
    for position in np.sort(rng.integers(20, LENGTH - 20, 60)):
        base = sequence[position]
        kind = rng.integers(0, 4)
        if kind == 0:
            ref, alt = sequence[position : position + int(rng.integers(2, 6))], base
        elif kind == 1:
            ref, alt = base, base + "".join(rng.choice(list("ACGT"), int(rng.integers(1, 5))))
        else:
            ref, alt = base, str(rng.choice([b for b in "ACGT" if b != base]))
        calls = [f"{a}|{b}" for a, b in rng.integers(0, 2, (3, 2))]
        records[int(position), ref, alt] = Record(int(position) + 1, ref, alt, calls)
    return sorted(records.values(), key=lambda record: record.position)


@pytest.mark.verify
@pytest.mark.parametrize("seed", range(25))
def test_overlaps_are_resolved_as_bcftools_does(tmp_path, seed):
    if not shutil.which("bcftools"):
        pytest.skip("bcftools is not installed")
    rng = np.random.default_rng(seed)
    sequence = "".join(rng.choice(list("ACGT"), LENGTH))
    fasta = write_fasta(tmp_path / "genome.fa.gz", {"chr1": sequence})
    people = ("ann", "bob", "cyd")
    vcf = write_vcf(tmp_path / "g.vcf.gz", random_records(rng, sequence), people, contigs={"chr1": LENGTH})
    genotypes, reference = GenotypeFile(vcf), Reference(fasta)
    for p, person in enumerate(people):
        for haplotype in (1, 2):
            command = ["bcftools", "consensus", "-f", fasta, "-s", person, "-H", f"{haplotype}pIu", vcf]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            expected = "".join(done.stdout.splitlines()[1:]).upper()
            # The first bases carry no variant, so a window that starts at 0 is the whole contig.
            window = Window("chr1", 0, 0, len(expected))
            made = personal_sequences(window, lambda i: genotypes.read(i)[0], reference.fetch)
            assert decode(made.distinct[made.index[p, haplotype - 1]]) == expected, (person, haplotype)
