"""One file for each chromosome is one cohort."""

import os
import pickle
from pathlib import Path

import pytest

from hapsight.cohort import genotype_source
from hapsight.cohort.genotypes import GenotypeFile, GenotypePolicy
from hapsight.cohort.nouns import Interval
from hapsight.cohort.split import SplitGenotypes, open_genotypes
from hapsight.errors import InputError
from tests.cohort.files import PEOPLE, SEQUENCE, Record, write_vcf
from tests.cohort.pgen_files import write_pgen

LENGTHS = {"chr2": 200, "chr10": 200, "chrX": 200}
CALLS = ["0|1", "0|0", "1|1", "1|0"]


def write(folder: Path, name: str, contig: str, position: int = 10, people=PEOPLE) -> Path:
    records = [Record(position, SEQUENCE[position - 1], "T", CALLS[: len(people)], contig=contig)]
    return write_vcf(folder / name, records, people, contigs=LENGTHS)


@pytest.fixture
def folder(tmp_path) -> Path:
    for number, contig in enumerate(LENGTHS):
        write(tmp_path, f"{contig}.vcf.gz", contig, 10 + 10 * number)
    return tmp_path


def test_a_pattern_finds_every_chromosome_in_order(folder):
    write(folder, "chr2.old.vcf.gz", "chr2")  # not of the pattern: a dot is no part of a chromosome's name
    found = open_genotypes(folder / "chr{chrom}.vcf.gz")
    assert found.contigs == ("chr2", "chr10", "chrX")
    assert found.paths == tuple(folder / f"{name}.vcf.gz" for name in ("chr2", "chr10", "chrX"))
    assert found.samples == found.samples_in_file == PEOPLE


def test_a_pattern_may_name_the_chromosome_twice(tmp_path):
    for inside, name in (("2", "2"), ("10", "10"), ("2", "10")):
        (tmp_path / inside).mkdir(exist_ok=True)
        write(tmp_path / inside, f"chr{name}.vcf.gz", f"chr{name}")
    found = open_genotypes(tmp_path / "{chrom}" / "chr{chrom}.vcf.gz")
    assert found.paths == (tmp_path / "2/chr2.vcf.gz", tmp_path / "10/chr10.vcf.gz")


@pytest.mark.parametrize("form", ["vcf", "pgen"])
def test_many_files_are_not_all_open_at_once(tmp_path, monkeypatch, form):
    """As one for each scaffold: a process may have 256 open files, beyond which VCFs seemed damaged."""
    monkeypatch.setattr(genotype_source, "_MOST_OPEN", 3)
    names = [f"s{number}" for number in range(9)]
    paths = []
    for name in names:
        records = [Record(10, "C", "T", ["0|1"] * 4, contig=name)]
        paths.append(write_vcf(tmp_path / f"{name}.vcf.gz", records, contigs={name: 200}))
    if form == "pgen":
        paths = [write_pgen(path, tmp_path / path.name.replace("vcf.gz", "pgen")) for path in paths]
    files = open_genotypes(paths)
    others = files.keeping(PEOPLE[:2], GenotypePolicy())
    before = len(os.listdir("/proc/self/fd"))
    for name in [*names, *names[::-1]]:
        assert len(files.read(Interval(name, 0, 200))[0]) == 1
        assert len(others.read(Interval(name, 0, 200))[0]) == 1
        assert sum(part._open is not None for part in (*files._parts, *others._parts)) <= 3
    assert len(os.listdir("/proc/self/fd")) <= before + 9
    assert len(pickle.loads(pickle.dumps(files)).read(Interval("s8", 0, 200))[0]) == 1


def test_each_contig_is_read_from_its_file(folder):
    found = open_genotypes([folder / f"{name}.vcf.gz" for name in LENGTHS])
    assert isinstance(found, SplitGenotypes)
    for name in LENGTHS:
        whole = GenotypeFile(folder / f"{name}.vcf.gz")
        for contig in (name, name.removeprefix("chr")):
            mine, theirs = (one.read(Interval(contig, 0, 100))[0] for one in (found, whole))
            assert mine.contig == contig
            assert mine.position.tolist() == theirs.position.tolist()
            assert mine.alleles.tolist() == theirs.alleles.tolist()


def test_people_and_policy_hold_in_every_file(folder):
    kept = open_genotypes(folder / "chr{chrom}.vcf.gz").keeping(("dan", "ann"), GenotypePolicy(min_maf=0.4))
    again = pickle.loads(pickle.dumps(kept))
    for name in LENGTHS:
        variants, dropped = again.read(Interval(name, 0, 100))
        assert variants.samples == ("dan", "ann")
        assert variants.alleles.tolist() == [[[1, 0], [0, 1]]]
        assert not dropped.counts


def test_one_file_is_opened_as_it_is(folder):
    assert isinstance(open_genotypes([folder / "chr2.vcf.gz"]), GenotypeFile)


def test_an_unknown_contig_lists_those_of_all_files(folder):
    with pytest.raises(InputError, match="no contig 'chr7'") as error:
        open_genotypes(folder / "chr{chrom}.vcf.gz").read(Interval("chr7", 0, 10))
    assert "chr2, chr10, chrX" in str(error.value)


def test_missing_files_are_all_named(folder):
    with pytest.raises(InputError, match="2 of 3 genotype files are not there") as error:
        open_genotypes([folder / "chr2.vcf.gz", folder / "chr3.vcf.gz", folder / "chr4.vcf.gz"])
    assert "chr3.vcf.gz, " in str(error.value)
    assert "chr4.vcf.gz" in str(error.value)


def test_a_pattern_that_fits_nothing_is_an_error(folder):
    with pytest.raises(InputError, match="No genotype file has a name of this pattern"):
        open_genotypes(folder / "c{chrom}.bcf")


@pytest.mark.parametrize(
    ("people", "expected", "got"),
    [
        (("ann", "cyd", "bob", "dan"), "bob, as in", "cyd; 4 people"),
        (("ann", "bob", "cyd"), "dan, as in", "nobody; 3 people"),
    ],
)
def test_other_people_are_named_at_the_first_difference(folder, people, expected, got):
    write(folder, "chr10.vcf.gz", "chr10", people=people)
    with pytest.raises(InputError, match="do not have the same people") as error:
        open_genotypes(folder / "chr{chrom}.vcf.gz")
    assert expected in str(error.value)
    assert got in str(error.value)
    assert "chr10.vcf.gz, sample" in str(error.value)


def test_a_contig_in_two_files_is_an_error(folder):
    other = write(folder, "more.vcf.gz", "chr2")
    with pytest.raises(InputError, match="Two genotype files have records of contig chr2") as error:
        open_genotypes([folder / "chr2.vcf.gz", other])
    assert "more.vcf.gz" in str(error.value)


def test_a_file_named_for_another_chromosome_is_an_error(folder):
    write(folder, "chr11.vcf.gz", "chr10")
    with pytest.raises(InputError, match="named for chromosome 11 has no records of it"):
        open_genotypes(folder / "chr{chrom}.vcf.gz")
