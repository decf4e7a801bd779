"""What is kept of decoded genotypes equals a plain read of the file, wherever it is cut."""

from __future__ import annotations

import itertools
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hapsight.cohort.genotype_store import PieceStore, StoredGenotypes, lenient_policy, store_key
from hapsight.cohort.genotypes import GenotypePolicy
from hapsight.cohort.nouns import Dropped, Interval, Variants
from hapsight.cohort.ploidy import Ploidy
from hapsight.cohort.reference import Reference
from hapsight.cohort.split import open_genotypes
from hapsight.errors import InputError
from tests.cohort.files import CONTIG, PEOPLE, SEQUENCE, Record, write_bcf, write_fasta, write_vcf
from tests.cohort.pgen_files import write_pgen

PHASED = ["0|1", "1|0", "1|1", "0|0"]
CLEAN = [
    Record(3, "GTTG", "G", PHASED),
    Record(5, "T", "C,G", ["1|2", "0|2", "0|0", "2|1"]),
    Record(11, "A", "ATT", PHASED),
    Record(11, "A", "C", ["0|0", "0|1", "0|0", "0|0"], name="rs1"),
    Record(40, SEQUENCE[39:60], SEQUENCE[39], PHASED),
    Record(52, "C", "<DEL>,G", ["1|2", "0|0", "0|2", "0|0"]),
    Record(55, "T", "*", PHASED),
    Record(58, "A", ".", ["0|0"] * 4),
    Record(71, "A", "G", PHASED),
    Record(120, "C", "T", PHASED),
    Record(121, "A", "T", ["1|1"] * 4),
]
FLAWED = sorted(
    [
        *CLEAN,
        Record(20, "C", "T", ["./.", "0|1", ".|.", "0|0"]),
        Record(21, "A", "T", ["0/1", "0|1", "0|0", "0|0"]),
        Record(33, "A", "C", PHASED),
        Record(63, "T", "A", PHASED),
        Record(63, "T", "A", PHASED),
        Record(90, "C", "A", ["0/0", "1/1", "0|0", "./."]),
    ],
    key=lambda record: record.position,
)
LENIENT = GenotypePolicy(missing="reference", unphased="drop", ref_mismatch="drop", duplicates="first")
POLICIES = [
    GenotypePolicy(),
    LENIENT,
    replace(LENIENT, missing="drop", snv_only=True),
    replace(LENIENT, min_maf=0.3),
    GenotypePolicy(missing="reference"),
    GenotypePolicy(missing="drop", unphased="drop"),
]
CUTS = (-5, 0, 2, 4, 10, 11, 20, 39, 45, 51, 60, 62, 63, 70, 89, 120, len(SEQUENCE) + 9)
STRETCHES = [Interval(CONTIG, a, b) for a, b in itertools.combinations_with_replacement(CUTS, 2)]


def outcome(read: object, interval: Interval, reference: Reference) -> tuple[object, ...]:
    """All that a read gives, or the words in which it refuses."""
    try:
        variants, dropped = read(interval, reference)  # type: ignore[operator]
    except InputError as error:
        return (str(error),)
    return *columns(variants), dropped.counts, dropped.names


def columns(v: Variants) -> tuple[object, ...]:
    one = None if v.one_copy is None else (v.one_copy.rows.tolist(), v.one_copy.people.tolist())
    return v.contig, v.position.tolist(), v.ref, v.alt, v.variant_id, v.alleles.tolist(), v.samples, one


def opened(path: Path, policy: GenotypePolicy, reference: Reference) -> StoredGenotypes:
    return StoredGenotypes(open_genotypes(path).keeping(("dan", "ann", "bob"), policy), reference)


def file_of(kind: str, folder: Path, records: list[Record]) -> Path:
    vcf = write_vcf(folder / "g.vcf.gz", records)
    make = {"vcf": lambda: vcf, "bcf": lambda: write_bcf(folder / "g.bcf", vcf)}
    return make.get(kind, lambda: write_pgen(vcf, folder / "g.pgen"))()


@pytest.fixture
def reference(tmp_path):
    return Reference(write_fasta(tmp_path / "r.fa"))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("records", [CLEAN, FLAWED], ids=["clean", "flawed"])
@pytest.mark.parametrize("kind", ["vcf", "bcf", "pgen"])
def test_every_stretch_is_as_a_plain_read_has_it(tmp_path, reference, kind, records, policy):
    stored = opened(file_of(kind, tmp_path, records), policy, reference)
    order = np.random.default_rng(1).permutation(len(STRETCHES))
    for stretch in (STRETCHES[i] for i in order):
        assert outcome(stored.read, stretch, reference) == outcome(stored.source.read, stretch, reference)
    again = pickle.loads(pickle.dumps(stored))
    assert outcome(again.read, STRETCHES[3], reference) == outcome(stored.read, STRETCHES[3], reference)


@pytest.mark.parametrize("conflict", ["error", "missing", "drop"])
def test_a_mans_chrx(tmp_path, conflict):
    reference = Reference(write_fasta(tmp_path / "r.fa", {"chrX": SEQUENCE}))
    records = [
        Record(11, "A", "C", ["0|1", "1|0", "1|1", "0|0"], contig="chrX"),
        Record(71, "A", "G", ["0|1", "1", "0|0", "1|1"], contig="chrX"),
        Record(75, "G", "T", ["0|1", "0|1", "0|0", "1|1"], contig="chrX"),
    ]
    path = write_vcf(tmp_path / "g.vcf.gz", records, contigs={"chrX": len(SEQUENCE)})
    ploidy = Ploidy(frozenset({"bob", "dan"}), frozenset({"ann", "cyd"}), ((0, 50),))
    policy = GenotypePolicy(ploidy_conflict=conflict, missing="reference", ploidy=ploidy)
    stored = opened(path, policy, reference)
    for stretch in (replace(one, contig="chrX") for one in STRETCHES):
        assert outcome(stored.read, stretch, reference) == outcome(stored.source.read, stretch, reference)


class Counting:
    """A source that remembers which intervals it decoded."""

    def __init__(self, source: object) -> None:
        self.source, self.read_intervals = source, list[Interval]()

    def __getattr__(self, name: str) -> object:
        return getattr(self.source, name)

    def keeping(self, samples: object, policy: object) -> Counting:
        other = Counting(self.source.keeping(samples, policy))  # type: ignore[attr-defined]
        other.read_intervals = self.read_intervals
        return other

    def read(self, interval: Interval, *more: object) -> tuple[Variants, Dropped]:
        self.read_intervals.append(interval)
        return self.source.read(interval, *more)  # type: ignore[attr-defined, no-any-return]


def counting(tmp_path: Path, records: list[Record] = CLEAN) -> Counting:
    return Counting(open_genotypes(write_vcf(tmp_path / "g.vcf.gz", records)))


def at(start: int, end: int) -> Interval:
    return Interval(CONTIG, start, end)


def test_a_base_is_decoded_once_whoever_asks(tmp_path, reference):
    source = counting(tmp_path)
    stored = StoredGenotypes(source, reference)
    for stretch in (at(20, 60), at(30, 50), at(0, 100), at(90, 150), at(-7, 150)):
        stored.read(stretch, reference)
    other = stored.keeping(PEOPLE, lenient_policy(stored.policy))
    other.read(at(0, 150), reference)
    assert source.read_intervals == [at(20, 60), at(0, 20), at(60, 100), at(100, 150)]


def test_other_people_policies_and_references_share_nothing(tmp_path, reference):
    source = counting(tmp_path)
    stored = StoredGenotypes(source, reference)
    stored.read(at(0, 90), reference)
    few = stored.keeping(("dan", "ann"), stored.policy)
    assert few.read(at(0, 90), reference)[0].samples == ("dan", "ann")
    rare = stored.keeping(PEOPLE, GenotypePolicy(min_maf=0.4))
    rare.read(at(0, 90), reference)
    stored.read(at(0, 90))
    assert source.read_intervals == [at(0, 90)] * 4
    keys = {store_key(one, ["a", "b"]) for one in (stored, few, rare)} | {store_key(stored, ["a", "c"])}
    assert len(keys) == 4
    assert store_key(stored.keeping(PEOPLE, lenient_policy(stored.policy)), ["a", "b"]) in keys
    os.utime(tmp_path / "g.vcf.gz.tbi", (1, 1))
    assert store_key(stored, ["a", "b"]) not in keys


def test_pieces_in_a_folder_serve_other_processes(tmp_path, reference):
    source, folder = counting(tmp_path), tmp_path / "decoded" / "key"
    stored = StoredGenotypes(source, reference)
    stored.read(at(0, 90), reference)
    (tmp_path / "decoded" / "old").mkdir(parents=True)
    stored.store.move_to(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["key"]
    assert {path.stat().st_mode & 0o077 for path in folder.parent.rglob("*")} == {0}
    other = StoredGenotypes(source, reference, PieceStore(folder))
    other.read(at(30, 120), reference)
    third = StoredGenotypes(source, reference, PieceStore(folder))
    assert outcome(third.read, at(5, 118), reference) == outcome(source.read, at(5, 118), reference)
    assert source.read_intervals == [at(0, 90), at(90, 120), at(5, 118)]


def test_a_spoilt_piece_is_decoded_anew(tmp_path, reference):
    source, folder = counting(tmp_path), tmp_path / "decoded" / "key"
    StoredGenotypes(source, reference, PieceStore(folder)).read(at(0, 90), reference)
    (piece,) = folder.rglob("*.npz")
    whole = piece.read_bytes()
    for spoilt in (b"", whole[: len(whole) // 2], whole.replace(CONTIG.encode(), b"chr9")):
        piece.write_bytes(spoilt)
        other = StoredGenotypes(source, reference, PieceStore(folder))
        assert outcome(other.read, at(3, 80), reference) == outcome(source.read, at(3, 80), reference)


def test_memory_is_bounded_and_what_was_let_go_is_decoded_again(tmp_path, reference):
    source = counting(tmp_path)
    stored = StoredGenotypes(source, reference, PieceStore(memory=3000))
    for _ in range(2):
        for stretch in (at(0, 30), at(30, 60), at(60, 90), at(90, 130)):
            assert outcome(stored.read, stretch, reference) == outcome(source.read, stretch, reference)
    assert stored.store._held <= 3000
    kept = StoredGenotypes(counting(tmp_path), reference, PieceStore(tmp_path / "decoded" / "key", 0))
    for _ in range(2):
        kept.read(at(0, 130), reference)
    assert kept.source.read_intervals == [at(0, 130)]


def test_a_folder_that_cannot_be_written_to_costs_nothing(tmp_path, reference):
    (tmp_path / "decoded").write_text("a file")
    stored = StoredGenotypes(counting(tmp_path), reference, PieceStore(tmp_path / "decoded" / "key"))
    for _ in range(2):
        assert len(stored.read(at(0, 130), reference)[0])
    assert stored.source.read_intervals == [at(0, 130)]


def test_files_that_are_written_over_meanwhile_are_refused(tmp_path, reference):
    """Else some stretches would be of the old file, and some of the new one."""
    path = write_vcf(tmp_path / "g.vcf.gz", CLEAN)
    stored = StoredGenotypes(open_genotypes(path), reference)
    before = outcome(stored.read, at(0, 60), reference)
    write_vcf(path, [replace(record, calls=record.calls[::-1]) for record in CLEAN])
    for read in (stored.read, stored.keeping(PEOPLE, lenient_policy(stored.policy)).read):
        for stretch in (at(0, 60), at(60, 150)):
            with pytest.raises(InputError, match=r"changed while[\s\S]*g\.vcf\.gz[\s\S]*the cohort again"):
                read(stretch, reference)
    again = StoredGenotypes(open_genotypes(path), reference)
    assert outcome(again.read, at(0, 60), reference) != before
    os.utime(reference.path, (1, 1))
    with pytest.raises(InputError, match=r"changed while[\s\S]*r\.fa"):
        again.read(at(60, 150), reference)


def test_a_process_of_this_host_knows_what_was_opened_and_another_host_looks_for_itself(tmp_path, reference):
    stored = StoredGenotypes(open_genotypes(write_vcf(tmp_path / "g.vcf.gz", CLEAN)), reference)
    here = pickle.dumps(stored)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("platform.node", lambda: "elsewhere")
        there = pickle.dumps(StoredGenotypes(stored.source, reference))
    for when, name in enumerate(("g.vcf.gz", "g.vcf.gz.tbi")):
        os.utime(tmp_path / name, (when, when))
    assert len(pickle.loads(there).read(at(0, 60), reference)[0])
    with pytest.raises(InputError, match="changed while"):
        pickle.loads(here).read(at(0, 60), reference)
