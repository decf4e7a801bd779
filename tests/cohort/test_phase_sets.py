"""Phase sets: where people's haplotypes are known only piece by piece."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hapsight.cohort.check import scan_sites
from hapsight.cohort.genotype_source import people_across_sets
from hapsight.cohort.genotypes import GenotypeFile, GenotypePolicy
from hapsight.cohort.nouns import Gene, Interval, Variants
from hapsight.cohort.reference import Reference
from hapsight.cohort.split import SplitGenotypes
from hapsight.run.blocks import VariantReader
from hapsight.run.models import _note_phase_sets
from tests.cohort.files import CONTIG, PEOPLE, SEQUENCE, Record, write_bcf, write_fasta, write_vcf

ALL = Interval(CONTIG, 0, 200)
CALLS = {  # calls with their phase sets
    10: ["0|1:10", "0|1:10", "0|1:.", "1|1:10"],
    50: ["1|0:10", "0|1:50", "0|1:.", "0|1:50"],
    60: ["1|1:60", "0|0:60", "1|0:.", "0|1:50"],
    120: ["0|1:10", "1|0:10", "0|1:9", "0|0:99"],
}


def write(folder: Path, tag: str = "PS", kind: str = "Integer", form: str = "vcf", drop: int = 0) -> Path:
    records = [Record(p, SEQUENCE[p - 1], "GG", calls, tags=f":{tag}") for p, calls in CALLS.items()]
    if drop:
        bare = [call.split(":")[0] for call in CALLS[drop]]
        records = [r if r.position != drop else Record(drop, r.ref, r.alt, bare) for r in records]
    header = [f'##FORMAT=<ID={tag},Number=1,Type={kind},Description="Phase set">']
    path = write_vcf(folder / "g.vcf.gz", records, header=header)
    return path if form == "vcf" else write_bcf(folder / "g.bcf", path)


def naive(variants: Variants) -> int:
    """Person by person, the sets of heterozygous calls, from the text above."""
    count = 0
    for person in variants.samples:
        texts = [CALLS[p + 1][PEOPLE.index(person)].split(":") for p in variants.position.tolist()]
        count += len({name for call, name in texts if call[0] != call[2]}) > 1
    return count


@pytest.mark.parametrize("form", ["vcf", "bcf"])
@pytest.mark.parametrize(("tag", "kind"), [("PS", "Integer"), ("PS", "String"), ("PSL", "String")])
def test_people_of_two_sets_are_counted(tmp_path: Path, tag: str, kind: str, form: str) -> None:
    path = write(tmp_path, tag, kind, form)
    for people in (PEOPLE, ("dan", "bob"), ("cyd",)):
        file = GenotypeFile(path, people)
        assert file.has_phase_sets
        for start in range(0, 130, 15):
            for end in range(start + 30, 200, 30):
                variants = file.read(Interval(CONTIG, start, end))[0]
                assert people_across_sets(file, [variants]) == [naive(variants)]
    everyone = GenotypeFile(path)
    assert people_across_sets(everyone, [everyone.read(ALL)[0]]) == [2]  # bob and cyd


def test_calls_without_a_set_are_in_one(tmp_path: Path) -> None:
    file = GenotypeFile(write(tmp_path, drop=120))
    variants = file.read(ALL)[0]
    sets = file.phase_sets(variants)
    assert (sets[3] == sets[0, 2]).all()
    assert people_across_sets(file, [variants]) == [2]  # ann's last call and bob's; cyd's are all without


def test_a_leading_phase_is_no_hindrance(tmp_path: Path) -> None:
    calls = [["|0|1:7", "|1|0:7", "/0|1:7", "0|1"], ["|0|1:7", "|0|1:8", "|1|1:8", "1|0:7"]]
    records = [Record(10 + i, SEQUENCE[9 + i], "GG", row, tags=":PS") for i, row in enumerate(calls)]
    header = ['##FORMAT=<ID=PS,Number=1,Type=Integer,Description="Phase set">']
    for version in ("4.2", "4.5"):
        file = GenotypeFile(write_vcf(tmp_path / "g.vcf.gz", records, version=version, header=header))
        assert people_across_sets(file, [file.read(ALL)[0]]) == [2]  # bob, and dan whose first has none


def test_a_file_without_sets_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_vcf(tmp_path / "g.vcf.gz", [Record(10, "C", "T", ["0|1"] * 4)])
    file = GenotypeFile(path)
    assert not file.has_phase_sets
    assert not SplitGenotypes([file]).has_phase_sets
    reads = []
    monkeypatch.setattr(GenotypeFile, "phase_sets", lambda *_: reads.append(1))
    names = [r.name for r in scan_sites(file, Reference(write_fasta(tmp_path / "g.fa")), [ALL])]
    assert "phase sets" not in names
    assert not reads


def test_check_warns_of_windows(tmp_path: Path) -> None:
    file = GenotypeFile(write(tmp_path), policy=GenotypePolicy(ref_mismatch="drop"))
    reference = Reference(write_fasta(tmp_path / "g.fa"))
    windows = [Interval(CONTIG, 0, 30), Interval(CONTIG, 0, 70), Interval(CONTIG, 40, 150)]
    told = scan_sites(file, reference, windows)[-1]
    assert (told.name, told.status) == ("phase sets", "warn")
    assert told.message == "2 of 3 windows span two phase sets of a person"
    assert told.details[:2] == ("chr1:1-70: 1 person", "chr1:41-150: 2 people")
    good = scan_sites(file.keeping(("ann", "dan"), file.policy), reference, windows)[-1]
    assert (good.name, good.status) == ("phase sets", "pass")


def test_a_run_names_the_genes(tmp_path: Path) -> None:
    genotypes, reference = GenotypeFile(write(tmp_path)), Reference(write_fasta(tmp_path / "g.fa"))
    windows = [Interval(CONTIG, 0, 30), Interval(CONTIG, 0, 70)]
    unit = SimpleNamespace(genotypes=genotypes, genes=[Gene("one", CONTIG, 9), Gene("two", CONTIG, 49)])
    reader = VariantReader(genotypes.keeping(PEOPLE, GenotypePolicy(ref_mismatch="drop")), reference, windows)
    _note_phase_sets(unit, reader, windows)
    assert reader.dropped.names["genotype", "window spans two phase sets of a person"] == ["two: 1 people"]


def test_split_files_answer_for_their_contigs(tmp_path: Path) -> None:
    first = GenotypeFile(write(tmp_path))
    other = write_vcf(
        tmp_path / "h.vcf.gz", [Record(10, "C", "T", ["0|1"] * 4, contig="chr2")], contigs={"chr2": 99}
    )
    both = SplitGenotypes([first, GenotypeFile(other)])
    variants = both.read(ALL)[0]
    assert both.has_phase_sets
    assert (both.phase_sets(variants) == first.phase_sets(variants)).all()
    elsewhere = both.read(Interval("chr2", 0, 99))[0]
    assert np.unique(both.phase_sets(elsewhere)).size == 1
