"""Where records lie, told from an index, against counting them."""

import gzip
import subprocess
from pathlib import Path

import numpy as np
import pysam
import pytest

from hapsight.cohort.density import index_densities
from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.nouns import Interval
from hapsight.cohort.pgen import PgenFile
from hapsight.cohort.split import SplitGenotypes, open_genotypes
from hapsight.errors import InputError
from tests.cohort.files import Record, write_vcf
from tests.cohort.pgen_files import write_pgen

LENGTH = 4_000_000


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two contigs, a tenth of the records in the first half of one; VCF by .tbi and .csi, BCF, PGEN."""
    folder, rng = tmp_path_factory.mktemp("density"), np.random.default_rng(2)
    position = np.sort(
        np.concatenate([rng.integers(0, LENGTH // 2, 300), rng.integers(LENGTH // 2, LENGTH, 2700)])
    )
    people = [f"P{i}" for i in range(40)]
    calls = ["0|1"] * len(people)
    rows = [Record(int(place) + 1, "A", "C", calls, contig="chr1") for place in position]
    rows += [Record(int(place) + 1, "A", "C", calls, contig="chr2") for place in (500, 90_000)]
    tbi = write_vcf(folder / "tbi.vcf.gz", rows, people, contigs={"chr1": LENGTH, "chr2": LENGTH})
    csi, bcf = folder / "csi.vcf.gz", folder / "a.bcf"
    csi.write_bytes(tbi.read_bytes())
    subprocess.run(["bcftools", "index", "--csi", csi], check=True)
    subprocess.run(["bcftools", "view", "-Ob", "-o", bcf, tbi], check=True, capture_output=True)
    subprocess.run(["bcftools", "index", bcf], check=True)
    return position, {"tbi": tbi, "csi": csi, "bcf": bcf}


@pytest.mark.parametrize("kind", ["tbi", "csi", "bcf"])
def test_it_is_about_what_counting_gives(files, kind):
    position, paths = files
    genotypes = GenotypeFile(paths[kind])
    whole = genotypes.expected_records(Interval("chr1", -10, 2 * LENGTH))
    assert whole == pytest.approx(len(position))
    for start in range(0, LENGTH, LENGTH // 8):
        interval = Interval("1", start, start + LENGTH // 8)
        counted = np.sum((position >= interval.start) & (position < interval.end))
        assert genotypes.expected_records(interval) == pytest.approx(counted, rel=0.3, abs=40)
    assert genotypes.expected_records(Interval("chr2", 0, LENGTH)) == pytest.approx(2)
    assert genotypes.expected_records(Interval("chr9", 0, LENGTH)) == 0.0


def test_several_files_and_pgen_are_asked_alike(files, tmp_path):
    position, paths = files
    pgen = PgenFile(write_pgen(paths["tbi"], tmp_path / "a.pgen"))
    part = Interval("1", 3 * LENGTH // 4, LENGTH)  # a block of sites is the least that the index tells apart
    assert pgen.expected_records(part) == pytest.approx(np.sum(position >= part.start), rel=0.2)
    assert pgen.expected_records(Interval("chr9", 0, 10)) == 0.0
    split = SplitGenotypes([pgen])
    assert split.expected_records(part) == pgen.expected_records(part)
    assert split.expected_records(Interval("chr9", 0, 10)) == 0.0
    assert open_genotypes(paths["tbi"]).expected_records(part) > 0


def test_a_copy_that_travels_is_not_heavier(files):
    import pickle

    genotypes = GenotypeFile(files[1]["tbi"])
    before = len(pickle.dumps(genotypes))
    genotypes.expected_records(Interval("chr1", 0, 10))
    assert len(pickle.dumps(genotypes)) == before


def test_an_index_that_counts_nothing_says_nothing(files, tmp_path):
    """Indexes of programs other than htslib's have no counts."""
    path = tmp_path / "a.vcf.gz"
    path.write_bytes(files[1]["tbi"].read_bytes())
    data = bytearray(gzip.decompress(Path(f"{files[1]['tbi']}.tbi").read_bytes()))
    pseudo = (37450).to_bytes(4, "little")
    while (place := data.find(pseudo)) >= 0:
        data[place : place + 4] = (37451).to_bytes(4, "little")
    Path(f"{path}.tbi").write_bytes(gzip.compress(data))
    assert index_densities(path, []) == {}


def test_a_broken_index_is_told(files, tmp_path):
    path = tmp_path / "a.vcf.gz"
    for name, data in (
        ("tbi", gzip.decompress(Path(f"{files[1]['tbi']}.tbi").read_bytes())),
        ("csi", gzip.decompress(Path(f"{files[1]['csi']}.csi").read_bytes())),
    ):
        index = Path(f"{path}.{name}")
        for broken in (data[: len(data) // 2], data[:4] + b"\x7f" * 60, data[:-400] + b"\xff" * 400):
            index.write_bytes(gzip.compress(broken))
            with pytest.raises(
                InputError, match=r"index of the genotypes cannot be read[\s\S]*bcftools index"
            ):
                index_densities(path, [])
        index.write_bytes(b"not packed")
        with pytest.raises(InputError, match="cannot be read"):
            index_densities(path, [])
        index.unlink()


def test_the_real_cohort(shared_data):
    path = shared_data / "geuvadis_chr22" / "genotypes.vcf.gz"
    genotypes = GenotypeFile(path)
    contig = genotypes.contigs[0]
    for start in (20_000_000, 30_000_000, 45_000_000):
        interval = Interval(contig, start, start + 2_000_000)
        with pysam.TabixFile(str(path)) as file:
            counted = sum(1 for _ in file.fetch(contig, interval.start, interval.end))
        assert genotypes.expected_records(interval) == pytest.approx(counted, rel=0.15)


@pytest.mark.parametrize("kind", ["tbi", "csi", "bcf"])
@pytest.mark.parametrize("change", [slice(0, -200), slice(0, None, 2)])
@pytest.mark.parametrize("grows", [True, False])
def test_an_index_of_another_version_of_the_file_is_refused(tmp_path, kind, change, grows):
    """As where a VCF is written anew and its index is not: htslib warns, and reads what it finds."""
    every = [Record(place, "A", "C", [f"{place % 2}|1"] * 40) for place in range(1, 4001)]
    old, new = (every[change], every) if grows else (every, every[change])
    path = tmp_path / ("a.bcf" if kind == "bcf" else "a.vcf.gz")
    for records in (old, new):
        made = write_vcf(
            tmp_path / "made.vcf.gz", records, [f"P{i}" for i in range(40)], contigs={"chr1": 9000}
        )
        if kind == "bcf":
            subprocess.run(["bcftools", "view", "-Ob", "-o", path, made], check=True, capture_output=True)
        else:
            path.write_bytes(made.read_bytes())
        if records is old:
            subprocess.run(["bcftools", "index", f"--{kind if kind == 'tbi' else 'csi'}", path], check=True)
            assert len(GenotypeFile(path).read(Interval("chr1", 0, 9000))[0]) == len(old)
    with pytest.raises(InputError, match="not of this file as it is now") as error:
        GenotypeFile(path)
    subprocess.run(error.value.details["to mend"].partition(": ")[2].partition(";")[0].split(), check=True)
    assert len(GenotypeFile(path).read(Interval("chr1", 0, 9000))[0]) == len(new)


def test_what_is_no_record_may_follow_the_last_one(tmp_path):
    path = tmp_path / "a.vcf.gz"
    plain = gzip.decompress(write_vcf(path, [Record(9, "A", "C", ["0|1"] * 4)]).read_bytes())
    (tmp_path / "a.vcf").write_bytes(plain + b"# made by hand\n")
    pysam.tabix_compress(str(tmp_path / "a.vcf"), str(path), force=True)
    pysam.tabix_index(str(path), preset="vcf", force=True)
    assert len(GenotypeFile(path).read(Interval("chr1", 0, 50))[0]) == 1
    empty = write_vcf(tmp_path / "empty.vcf.gz", [])
    assert GenotypeFile(empty).contigs == ()
