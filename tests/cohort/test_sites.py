"""Variants to be scored, from files that genotypes come in too."""

from pathlib import Path

import pytest

from hapsight.cohort.policies import GenotypePolicy
from hapsight.cohort.reference import Reference
from hapsight.cohort.sites import read_sites
from hapsight.errors import InputError
from tests.cohort.files import CONTIG, SEQUENCE, Record, write_bcf, write_fasta, write_vcf


@pytest.mark.parametrize("form", ["vcf", "bcf"])
def test_calls_are_not_looked_at(tmp_path: Path, form: str) -> None:
    calls = ["|0|1", "/0|1", "1", "0|0|1"]
    records = [Record(10, SEQUENCE[9], "T", calls), Record(20, SEQUENCE[19], "T,GG", calls)]
    path = write_vcf(tmp_path / "g.vcf.gz", records, version="4.5")
    path = path if form == "vcf" else write_bcf(tmp_path / "g.bcf", path)
    (found,), dropped = read_sites(path, Reference(write_fasta(tmp_path / "g.fa")), GenotypePolicy())
    assert found.position.tolist() == [9, 19, 19]
    assert not dropped.counts


def test_ref_where_the_fasta_has_an_iupac_code(tmp_path: Path) -> None:
    letters = SEQUENCE[:9] + "R" + SEQUENCE[10:]
    reference = Reference(write_fasta(tmp_path / "g.fa", {CONTIG: letters}))
    for ref, fits in (("A", True), ("G", True), ("N", True), ("C", False)):
        path = write_vcf(tmp_path / "g.vcf.gz", [Record(10, ref, "T", ["0|1"] * 4)])
        if fits:
            assert len(read_sites(path, reference, GenotypePolicy())[0][0]) == 1
        else:
            with pytest.raises(InputError, match=r"REF is not[\s\S]*expected: R \(in"):
                read_sites(path, reference, GenotypePolicy())
