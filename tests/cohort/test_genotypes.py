from __future__ import annotations

import gzip
import os
import pickle
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hapsight.cohort import genotypes
from hapsight.cohort.genotypes import GenotypeFile, GenotypePolicy
from hapsight.cohort.nouns import Dropped, Interval, Variants
from hapsight.cohort.reference import Reference
from hapsight.errors import ConfigError, InputError
from tests.cohort.files import CONTIG, PEOPLE, SEQUENCE, Record, write_bcf, write_fasta, write_vcf

ALL = Interval(CONTIG, 0, len(SEQUENCE))
OK = ["0|0", "0|1", "1|0", "1|1"]


def read(
    folder: Path, records: list[Record], interval: Interval = ALL, **policy: object
) -> tuple[Variants, Dropped]:
    path = write_vcf(folder / "g.vcf.gz", records)
    return GenotypeFile(path, policy=GenotypePolicy(**policy)).read(interval)  # type: ignore[arg-type]


def naive(
    records: list[Record], interval: Interval, people: list[str]
) -> list[tuple[int, str, str, list[list[int]]]]:
    """The obvious reader: every record, every ALT, every call, letter by letter."""
    rows = []
    for record in records:
        start = record.position - 1
        if start + len(record.ref) <= interval.start or start >= interval.end:
            continue
        for number, alt in enumerate(record.alt.split(","), start=1):
            if set(alt) - set("ACGTN"):
                continue
            calls = [record.calls[PEOPLE.index(person)].split("|") for person in people]
            rows.append((start, record.ref, alt, [[int(a == str(number)) for a in call] for call in calls]))
    return rows


def as_rows(variants: Variants) -> list[tuple[int, str, str, list[list[int]]]]:
    calls = variants.alleles.tolist()
    return list(zip(variants.position.tolist(), variants.ref, variants.alt, calls, strict=True))


@st.composite
def vcf_records(draw: st.DrawFn) -> list[Record]:
    records = []
    for position in sorted(draw(st.sets(st.integers(1, 190), max_size=12))):
        ref = SEQUENCE[position - 1 : position - 1 + draw(st.sampled_from([1, 1, 1, 2, 6]))]
        options = [a for a in ("A", "C", "GATT", ref + "T", ref[0], "*", "<DEL>") if a != ref]
        alts = draw(st.lists(st.sampled_from(options), min_size=1, max_size=3, unique=True))
        allele = st.integers(0, len(alts))
        calls = [f"{draw(allele)}|{draw(allele)}" for _ in PEOPLE]
        records.append(Record(position, ref, ",".join(alts), calls))
    return records


@given(
    records=vcf_records(),
    span=st.tuples(st.integers(-10, 210), st.integers(-10, 210)),
    people=st.permutations(PEOPLE),
    count=st.integers(1, 4),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_equals_the_naive_reader(
    tmp_path: Path, records: list[Record], span: tuple[int, int], people: list[str], count: int
) -> None:
    anchor = Record(200, "C", "T", OK)
    path = write_vcf(tmp_path / "g.vcf.gz", [*records, anchor])
    interval, kept = Interval("1", min(span), max(span)), people[:count]
    variants, _ = GenotypeFile(path, kept).read(interval)
    assert as_rows(variants) == naive(
        [*records, anchor], Interval("1", max(min(span), 0), max(*span, 0)), kept
    )
    assert (variants.contig, variants.samples) == ("1", tuple(kept))


NOT_PLAIN = ("0/1", "0/0", ".|.", "./.", ".", "1", "0|2", "0|1|1", "|0|1", "1|.", "01|1", "0|1:3", "0|1 ", "")
"""Calls that no line of plain ones has."""


@st.composite
def lines_of_a_vcf(draw: st.DrawFn) -> list[str]:
    """Lines of which most are plain, and some are not in one place, or damaged in one."""
    lines = []
    for position in sorted(draw(st.sets(st.integers(1, 190), min_size=1, max_size=8))):
        calls = [draw(st.sampled_from(OK)) for _ in PEOPLE]
        fields = [CONTIG, str(position), f"r{position}", "C", "T", ".", "PASS", ".", "GT", *calls]
        odd = {2: (".", "ö"), 3: ("c", "CGT", "R", ""), 4: ("A,T", "*", "<DEL>", "C", ".", "CT", "G,*")}
        odd |= {1: (f"0{position}", f"{position}x"), 6: ("low", ""), 7: ("END=3", "AC=x", ";", "")}
        odd |= {8: ("GT:DS", "DS", "gt"), **dict.fromkeys(range(9, 9 + len(PEOPLE)), NOT_PLAIN)}
        for column in draw(st.sets(st.sampled_from(sorted(odd)), max_size=1)):
            fields[column] = draw(st.sampled_from(odd[column]))
        line = "\t".join(fields)
        if draw(st.integers(0, 9)) == 0:
            place = draw(st.integers(0, len(line)))
            line = line[:place] + draw(st.sampled_from("\t\0\r |/01.:")) + line[place + draw(st.booleans()) :]
        lines.append(line)
    return lines


def outcome(file: GenotypeFile, plainly: bool) -> object:
    """What a file holds, or what is wrong with it; by the general way alone unless `plainly`."""
    file.close()
    file._handles()[1]._usual = plainly
    try:
        variants, dropped = file.read(ALL)
    except InputError as error:
        return str(error)
    return as_rows(variants), variants.variant_id, dropped.rows()


@given(
    lines=lines_of_a_vcf(),
    people=st.none() | st.permutations(PEOPLE).map(lambda people: people[:3]),
    refuses=st.booleans(),
    snv_only=st.booleans(),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_plain_lines_are_read_as_the_general_way_reads_them(
    tmp_path: Path, lines: list[str], people: list[str] | None, refuses: bool, snv_only: bool
) -> None:
    path = write_vcf(tmp_path / "g.vcf.gz", [], index=False)
    header = gzip.decompress(path.read_bytes()).splitlines()
    try:
        rewritten(path, [*header, *(line.encode() for line in lines)])
    except OSError:  # tabix finds no place in a line
        assume(False)
    kept = GenotypePolicy(missing="reference", unphased="drop", duplicates="first", snv_only=snv_only)
    file = GenotypeFile(path, people, GenotypePolicy(snv_only=snv_only) if refuses else kept)
    assert outcome(file, plainly=True) == outcome(file, plainly=False)


def test_plain_lines_are_not_parsed_with_their_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list[str]()
    parsed = genotypes._Lines.parsed
    monkeypatch.setattr(genotypes._Lines, "parsed", lambda p, line: whole.append(line) or parsed(p, line))
    records = [Record(10 + i, "C", "T", OK) for i in range(20)]
    records[7:9] = [Record(17, "C", "T,G", ["0|2", *OK[1:]]), Record(18, "C", "T", ["0/0", *OK[1:]])]
    variants, _ = read(tmp_path, records)
    assert [line.split("\t")[1] for line in whole] == ["17", "18"]
    assert as_rows(variants) == naive(
        [replace(r, calls=[c.replace("/", "|") for c in r.calls]) for r in records], ALL, list(PEOPLE)
    )
    some = GenotypeFile(tmp_path / "g.vcf.gz", ["dan", "bob"]).read(ALL)[0]
    assert (some.alleles == variants.alleles[:, [3, 1]]).all()


@pytest.mark.parametrize("end", [b"", b"\0|1"])
def test_a_line_without_its_last_column_is_damaged_whoever_is_asked_for(tmp_path: Path, end: bytes) -> None:
    path = write_vcf(tmp_path / "g.vcf.gz", [Record(10, "C", "T", OK)], index=False)
    *lines, last = gzip.decompress(path.read_bytes()).splitlines()
    path = rewritten(path, [*lines, last.rpartition(b"\t")[0] + end])
    for people in (None, ["ann"], ["dan"]):
        with pytest.raises(InputError, match=r"damaged[\s\S]*got: chr1 10 \. C T"):
            GenotypeFile(path, people).read(ALL)


@pytest.mark.parametrize("form", ["vcf", "bcf"])
def test_calls_behind_another_tag(tmp_path: Path, form: str) -> None:
    header = ['##FORMAT=<ID=DS,Number=1,Type=Float,Description="Dosage">']
    path = write_vcf(
        tmp_path / "g.vcf.gz", [Record(10, "C", "T", ["1:0|1", "1:."] * 2)], header=header, index=False
    )
    *lines, last = gzip.decompress(path.read_bytes()).splitlines()
    path = rewritten(path, [*lines, last.replace(b"\tGT\t", b"\tDS:GT\t")])
    path = path if form == "vcf" else write_bcf(tmp_path / "g.bcf", path)
    with pytest.raises(InputError, match=r"genotype is missing[\s\S]*chr1:10 C>T, bob[\s\S]*2 such of 4"):
        GenotypeFile(path).read(ALL)
    variants, _ = GenotypeFile(path, policy=GenotypePolicy(missing="reference")).read(ALL)
    assert variants.dosage.tolist() == [[1, 0, 1, 0]]


def test_plain_facts(tmp_path: Path) -> None:
    variants, dropped = read(tmp_path, [Record(10, "c", "t", OK, "rs9"), Record(12, "CG", "C", OK)])
    assert variants.position.tolist() == [9, 11]
    assert variants.ref == ("C", "CG")
    assert variants.alt == ("T", "C")
    assert variants.variant_id == ("rs9", "chr1_12_CG_C")
    assert variants.alleles[0].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert variants.alleles.dtype == np.uint8
    assert not dropped.counts


def test_long_deletion_from_the_left_is_read(tmp_path: Path) -> None:
    records = [Record(10, SEQUENCE[9:40], SEQUENCE[9], OK), Record(20, SEQUENCE[19], "T", OK)]
    inside, _ = read(tmp_path, records, Interval(CONTIG, 30, 35))
    assert inside.position.tolist() == [9]
    after, _ = read(tmp_path, records, Interval(CONTIG, 40, 60))
    assert len(after) == 0
    assert after.alleles.shape == (0, 4, 2)


def test_symbolic_end_does_not_make_a_record_overlap(tmp_path: Path) -> None:
    records = [Record(10, SEQUENCE[9], "<DEL>,T", OK, info="END=90"), Record(95, SEQUENCE[94], "G", OK)]
    for start in (10, 50):
        variants, dropped = read(tmp_path, records, Interval(CONTIG, start, 100))
        assert variants.position.tolist() == [94]
        assert not dropped.counts


@pytest.mark.parametrize(
    ("alt", "reason"),
    [
        ("<DEL>", "symbolic allele"),
        ("*", "spanning deletion (*)"),
        ("C[chr1:90[", "breakend"),
        ("C.", "breakend"),
        ("CRT", "allele is not A, C, G, T or N"),
        (".", "no alternative allele"),
        ("C", "ALT equals REF"),
    ],
)
def test_alleles_that_are_no_sequence(tmp_path: Path, alt: str, reason: str) -> None:
    calls = ["0|0"] * 4 if alt == "." else OK
    variants, dropped = read(tmp_path, [Record(10, "C", alt, calls), Record(50, "C", "T", OK)])
    assert variants.position.tolist() == [49]
    assert dropped.counts == {("variant", reason): 1}
    assert dropped.names[("variant", reason)] == [f"chr1:10 C>{alt}"]


def test_star_beside_a_good_allele_counts_as_reference(tmp_path: Path) -> None:
    variants, dropped = read(tmp_path, [Record(10, "C", "*,T", ["1|2", "0|2", "1|1", "2|0"])])
    assert variants.alt == ("T",)
    assert variants.alleles[0].tolist() == [[0, 1], [0, 1], [0, 0], [1, 0]]
    assert dropped.counts == {("variant", "spanning deletion (*)"): 1}


def test_monomorphic_is_kept_and_maf_floor_counts(tmp_path: Path) -> None:
    records = [
        Record(10, "C", "T", ["0|0"] * 4),
        Record(20, "C", "T", ["0|1", *["0|0"] * 3]),
        Record(30, "C", "T", OK),
    ]
    assert len(read(tmp_path, records)[0]) == 3
    variants, dropped = read(tmp_path, records, min_maf=0.125)
    assert variants.position.tolist() == [19, 29]
    assert dropped.counts == {("variant", "MAF below 0.125"): 1}
    path = tmp_path / "g.vcf.gz"
    others = GenotypeFile(path, PEOPLE[1:], GenotypePolicy(min_maf=0.125)).read(ALL)[0]
    assert others.position.tolist() == [29]


def test_snv_only(tmp_path: Path) -> None:
    variants, dropped = read(
        tmp_path, [Record(10, "C", "T,CA", OK), Record(20, "CA", "C", OK)], snv_only=True
    )
    assert variants.alt == ("T",)
    assert dropped.counts == {("variant", "not an SNV"): 2}


def test_missing(tmp_path: Path) -> None:
    records = [Record(10, "C", "T", ["0|1", ".|.", "1|.", "0|0"]), Record(20, "C", "T", OK)]
    with pytest.raises(
        InputError, match=r"genotype is missing[\s\S]*chr1:10 C>T, bob[\s\S]*got: 2 such of 4"
    ):
        read(tmp_path, records)
    variants, dropped = read(tmp_path, records, missing="drop")
    assert variants.position.tolist() == [19]
    assert dropped.counts == {("variant", "missing genotype"): 1}
    variants, dropped = read(tmp_path, records, missing="reference")
    assert variants.alleles[0].tolist() == [[0, 1], [0, 0], [1, 0], [0, 0]]
    assert dropped.counts == {("genotype", "missing, read as reference"): 2}


@pytest.mark.parametrize("call", ["./.", "."])
def test_wholly_missing_call_needs_no_phase(tmp_path: Path, call: str) -> None:
    for others in (["0|1", "0|0", "1|1"], [call] * 3):
        variants, dropped = read(tmp_path, [Record(10, "C", "T", [*others, call])], missing="reference")
        assert variants.dosage[0].tolist() == ([1, 0, 2, 0] if others[0] != call else [0] * 4)
        assert dropped.counts.total() == 1 + 3 * (others[0] == call)


def test_unphased(tmp_path: Path) -> None:
    records = [
        Record(10, "C", "T", ["0/0", "1/1", "1|0", "0/1"]),
        Record(20, "C", "T", ["0/0", "1/1", "0|1", "0|0"]),
    ]
    with pytest.raises(InputError, match=r"not phased[\s\S]*chr1:10 C>T\n[\s\S]*SHAPEIT"):
        read(tmp_path, records)
    variants, dropped = read(tmp_path, records, unphased="drop")
    assert variants.position.tolist() == [19]
    assert dropped.counts == {("variant", "unphased heterozygote"): 1}


def test_bad_calls_of_people_not_asked_for_do_not_matter(tmp_path: Path) -> None:
    path = write_vcf(tmp_path / "g.vcf.gz", [Record(10, "C", "T", ["0/1", "1|0", "./.", "0|0"])])
    variants, dropped = GenotypeFile(path, ["dan", "bob"]).read(ALL)
    assert variants.alleles[0].tolist() == [[0, 0], [1, 0]]
    assert not dropped.counts


@pytest.mark.parametrize(
    ("calls", "got"),
    [(["0|0", "1", "0|1", "0|0"], 1), (["0", "1", "0", "0"], 1), (["0|0", "0|0|1", "0|0", "0|0"], 3)],
)
def test_other_ploidy_is_an_error(tmp_path: Path, calls: list[str], got: int) -> None:
    with pytest.raises(
        InputError, match=rf"not diploid[\s\S]*chr1:10[\s\S]*got: {got} allele[\s\S]*fixploidy"
    ):
        read(tmp_path, [Record(10, "C", "T", calls)], missing="reference")


@pytest.mark.parametrize("form", ["vcf", "bcf"])
def test_ploidy_of_people_not_asked_for_does_not_matter(tmp_path: Path, form: str) -> None:
    calls = [["0|1", "0/0", ".", "0|1|1"], ["1|0", "1/1", "./.", "0/1/1/1"], ["0|1", "0|0", "1|.", "0"]]
    records = [Record(10 + i, "C", "T", row) for i, row in enumerate(calls)]
    path = write_vcf(tmp_path / "g.vcf.gz", records)
    policy = GenotypePolicy(missing="reference")
    file = GenotypeFile(path if form == "vcf" else write_bcf(tmp_path / "g.bcf", path), PEOPLE[:3], policy)
    assert file.read(ALL)[0].alleles.tolist() == [
        [[0, 1], [0, 0], [0, 0]],
        [[1, 0], [1, 1], [0, 0]],
        [[0, 1], [0, 0], [1, 0]],
    ]
    with pytest.raises(InputError, match=r"not diploid[\s\S]*chr1:10, dan[\s\S]*3 allele[\s\S]*1 of 4"):
        file.keeping(PEOPLE, policy).read(ALL)


@pytest.mark.parametrize("form", ["vcf", "bcf"])
def test_padded_calls_keep_their_phase(tmp_path: Path, form: str) -> None:
    path = write_vcf(tmp_path / "g.vcf.gz", [Record(10, "C", "T", ["0|1", "0/1", "1|1", "0|1|1"])])
    path = path if form == "vcf" else write_bcf(tmp_path / "g.bcf", path)
    with pytest.raises(InputError, match=r"not phased[\s\S]*1 such of 3 people"):
        GenotypeFile(path, PEOPLE[:3]).read(ALL)
    assert GenotypeFile(path, ["cyd", "ann"]).read(ALL)[0].alleles.tolist() == [[[1, 1], [0, 1]]]


@pytest.mark.parametrize("form", ["vcf", "bcf"])
@pytest.mark.parametrize("call", ["0|2", "9|0", "0/40000"])
def test_an_allele_that_the_record_does_not_have(tmp_path: Path, form: str, call: str) -> None:
    records = [Record(9, "C", "T,G", ["0|2"] * 4), Record(10, "C", "T", ["0|1", "0|0", call, "1|1"])]
    path = write_vcf(tmp_path / "g.vcf.gz", records)
    path = path if form == "vcf" else write_bcf(tmp_path / "g.bcf", path)
    what = (
        r"allele that its record does not have[\s\S]*chr1:10, cyd[\s\S]*from 0 .* to 1 [\s\S]*1 of 4 people"
    )
    with pytest.raises(InputError, match=what):
        GenotypeFile(path, policy=GenotypePolicy(missing="reference")).read(ALL)
    assert len(GenotypeFile(path, ["ann", "dan"]).read(ALL)[0]) == 3


def test_ref_against_the_fasta(tmp_path: Path) -> None:
    reference = Reference(write_fasta(tmp_path / "g.fa", {"1": SEQUENCE.lower()}))
    good = [Record(10, "C", "T", OK), Record(11, SEQUENCE[10:15], "A", OK)]
    path = write_vcf(tmp_path / "g.vcf.gz", [*good, Record(21, "ACT", "A", OK), Record(30, "T", "C", OK)])
    with pytest.raises(InputError, match=r"REF is not[\s\S]*chr1:21 ACT>A[\s\S]*ACG \(in[\s\S]*genome build"):
        GenotypeFile(path).read(ALL, reference)
    exchanged = GenotypeFile(path)
    with pytest.raises(InputError, match=r"chr1:30 T>C[\s\S]*which is this record's ALT"):
        exchanged.read(Interval(CONTIG, 25, 40), reference)
    variants, dropped = GenotypeFile(path, policy=GenotypePolicy(ref_mismatch="drop")).read(ALL, reference)
    assert variants.position.tolist() == [9, 10]
    assert dropped.counts == {("variant", "REF differs from the FASTA"): 2}
    assert len(GenotypeFile(path).read(ALL)[0]) == 4


def test_ref_where_the_fasta_has_an_iupac_code(tmp_path: Path) -> None:
    letters = list(SEQUENCE)
    letters[9], letters[19], letters[29], letters[41] = "R", "m", "Y", "N"
    reference = Reference(write_fasta(tmp_path / "g.fa", {CONTIG: "".join(letters)}))
    fits = [
        Record(10, "A", "C", OK),
        Record(10, "N", "T", OK),
        Record(19, SEQUENCE[18] + "A", SEQUENCE[18], OK),
        Record(29, SEQUENCE[28] + "T" + SEQUENCE[30], "T", OK),
    ]
    path = write_vcf(tmp_path / "g.vcf.gz", fits)
    assert len(GenotypeFile(path).read(ALL, reference)[0]) == 4
    for other in (Record(30, "G", "A", OK), Record(42, "C", "A", OK), Record(50, "G", "A", OK)):
        path = write_vcf(tmp_path / "g.vcf.gz", [*fits, other])
        there = letters[other.position - 1]
        with pytest.raises(InputError, match=rf"REF is not[\s\S]*expected: {there} \(in[\s\S]*1 of the 5"):
            GenotypeFile(path).read(ALL, reference)


def test_ref_beyond_the_contig_differs(tmp_path: Path) -> None:
    reference = Reference(write_fasta(tmp_path / "g.fa", {CONTIG: SEQUENCE[:50]}))
    path = write_vcf(tmp_path / "g.vcf.gz", [Record(60, "C", "T", OK)])
    with pytest.raises(InputError, match="REF is not"):
        GenotypeFile(path).read(ALL, reference)


def test_duplicates(tmp_path: Path) -> None:
    records = [
        Record(10, "C", "T", OK, "a"),
        Record(10, "C", "G", OK),
        Record(10, "C", "A,T", ["0|0"] * 4, "b"),
    ]
    with pytest.raises(InputError, match=r"twice[\s\S]*chr1:10 C>T[\s\S]*rm-dup"):
        read(tmp_path, records)
    variants, dropped = read(tmp_path, records, duplicates="first")
    assert list(zip(variants.alt, variants.variant_id, strict=True)) == [
        ("T", "a"),
        ("G", "chr1_10_C_G"),
        ("A", "b"),
    ]
    assert dropped.names == {("variant", "duplicate record"): ["chr1:10 C>T"]}


def test_contig_that_is_not_there(tmp_path: Path) -> None:
    path = write_vcf(tmp_path / "g.vcf.gz", [Record(10, "C", "T", OK)], contigs={CONTIG: 200, "chr2": 99})
    file = GenotypeFile(path)
    assert file.contigs == (CONTIG,)
    with pytest.raises(InputError, match=r"no contig 'chr2'[\s\S]*one of chr1"):
        file.read(Interval("chr2", 0, 9))


def test_people_asked_for(tmp_path: Path) -> None:
    path = write_vcf(tmp_path / "g.vcf.gz", [Record(10, "C", "T", OK)])
    assert GenotypeFile(path).samples == GenotypeFile(path, ["bob"]).samples_in_file == PEOPLE
    with pytest.raises(InputError, match=r"1 of 2 people are not in the genotypes[\s\S]*eve[\s\S]*ann, bob"):
        GenotypeFile(path, ["eve", "bob"])
    with pytest.raises(InputError, match=r"asked for twice[\s\S]*bob"):
        GenotypeFile(path, ["bob", "bob"])
    with pytest.raises(InputError, match="no people"):
        GenotypeFile(path, [])


def test_policy_values_are_checked() -> None:
    with pytest.raises(
        ConfigError, match=r"missing has no such choice[\s\S]*error or reference or drop[\s\S]*skip"
    ):
        GenotypePolicy(missing="skip")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"min_maf is out of range[\s\S]*got: 0\.6"):
        GenotypePolicy(min_maf=0.6)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="The genotype file is not there"):
        GenotypeFile(tmp_path / "none.vcf.gz")
    path = write_vcf(tmp_path / "g.vcf.gz", [Record(10, "C", "T", OK)], index=False)
    with pytest.raises(InputError, match=rf"no index[\s\S]*bcftools index {path}"):
        GenotypeFile(path)
    plain = tmp_path / "g.vcf"
    plain.write_text("##fileformat=VCFv4.2\n")
    with pytest.raises(InputError, match=r"not bgzipped[\s\S]*bcftools view -Oz"):
        GenotypeFile(plain)
    text = tmp_path / "text"
    text.write_text("this is no VCF\t1\t2\n")
    pysam.tabix_compress(str(text), str(tmp_path / "t.vcf.gz"))
    Path(tmp_path / "t.vcf.gz.tbi").touch()
    with pytest.raises(InputError, match="no VCF or BCF"):
        GenotypeFile(tmp_path / "t.vcf.gz")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of many blocks: 3,000 records of 100 people with calls that compress badly."""
    rng = np.random.default_rng(7)
    people = [f"p{i}" for i in range(100)]
    calls = rng.integers(0, 2, (3000, 100, 2))
    records = [Record(100 + i, "C", "T", [f"{a}|{b}" for a, b in row]) for i, row in enumerate(calls)]
    return write_vcf(tmp_path_factory.mktemp("large") / "g.vcf.gz", records, people)


def damaged_copy(path: Path, folder: Path, data: bytes) -> Path:
    copy = folder / path.name
    copy.write_bytes(data)
    shutil.copy(f"{path}.tbi", f"{copy}.tbi")
    return copy


def test_file_cut_in_the_middle_is_never_read_short(large: Path, tmp_path: Path) -> None:
    data = large.read_bytes()
    copy = damaged_copy(large, tmp_path, data[: len(data) // 2])
    with pytest.raises(InputError, match=r"cut off[\s\S]*end-of-file block[\s\S]*index after it"):
        GenotypeFile(copy)


def test_a_file_cut_before_a_good_end_is_not_opened(large: Path, tmp_path: Path) -> None:
    """Of windows behind the cut htslib says that they have no records."""
    data = large.read_bytes()
    copy = damaged_copy(large, tmp_path, data[: len(data) // 2] + data[-28:])
    with pytest.raises(InputError, match=r"index is not of this file[\s\S]*cut off or damaged"):
        GenotypeFile(copy)


def test_damage_before_a_good_end_is_never_read_short(large: Path, tmp_path: Path) -> None:
    data = large.read_bytes()
    half = len(data) // 2
    file = GenotypeFile(damaged_copy(large, tmp_path, data[:half] + bytes(20) + data[half + 20 :]))
    with pytest.raises(InputError, match=r"damaged[\s\S]*bcftools view"):
        file.read(Interval(CONTIG, 0, 10_000))
    assert len(file.read(Interval(CONTIG, 0, 200))[0]) == len(
        GenotypeFile(large).read(Interval(CONTIG, 0, 200))[0]
    )


@pytest.mark.parametrize("form", ["vcf", "bcf"])
def test_reader_that_stops_early_is_an_error(large: Path, tmp_path: Path, form: str) -> None:
    file = GenotypeFile(large if form == "vcf" else write_bcf(tmp_path / "g.bcf", large))
    pid, reader, index = file._handles()
    if form == "vcf":
        file._open = (pid, reader, Breaks(index, after=50))
    else:
        file._open = (pid, lambda region: iter(()), index)
    got = "block 7" if form == "vcf" else "0"
    with pytest.raises(InputError, match=rf"damaged[\s\S]*expected: [\s\S]*records[\s\S]*got: {got}"):
        file.read(Interval(CONTIG, 0, 200))
    assert len(file.read(Interval(CONTIG, 0, 200))[0]) == 101


@dataclass
class Breaks:
    """An index of which a block cannot be read, as pysam tells it."""

    index: pysam.TabixFile
    after: int

    def fetch(self, *region: object) -> Iterator[str]:
        yield from islice(self.index.fetch(*region), self.after)
        raise OSError("block 7")

    def close(self) -> None:
        self.index.close()


LEADING = [
    ["|0|1", "/0|1", "0|1", "|1|1"],
    ["0|0", "/1|1", "|1|0", "1/1"],
    ["|.|.", "/.|1", "|.", "./."],
]


@pytest.mark.parametrize("version", ["4.1", "4.2", "4.3", "4.4", "4.5"])
def test_phase_before_the_first_allele(tmp_path: Path, version: str) -> None:
    records = [Record(10 + i, "C", "T", calls) for i, calls in enumerate(LEADING)]
    plain = [replace(r, calls=[call.lstrip("|/") for call in r.calls]) for r in records]
    policy = GenotypePolicy(missing="reference")
    path = write_vcf(tmp_path / "g.vcf.gz", records, version=version)
    expected = GenotypeFile(write_vcf(tmp_path / "plain.vcf.gz", plain), policy=policy).read(ALL)[0]
    assert expected.alleles[0].tolist() == [[0, 1], [0, 1], [0, 1], [1, 1]]
    for people in (PEOPLE, ("dan", "bob")):
        kept = GenotypeFile(path, people, policy)
        assert (kept.read(ALL)[0].alleles == expected.alleles[:, [PEOPLE.index(p) for p in people]]).all()
    if version >= "4.4":  # pysam refuses it in earlier ones
        bcf = GenotypeFile(write_bcf(tmp_path / "g.bcf", path), policy=policy)
        assert (bcf.read(ALL)[0].alleles == expected.alleles).all()


@pytest.mark.parametrize("call", ["|0/1", "/0/1", "0/1"])
def test_a_leading_phase_does_not_phase_the_call(tmp_path: Path, call: str) -> None:
    path = write_vcf(
        tmp_path / "g.vcf.gz", [Record(10, "C", "T", ["0|1", call, "1|1", "0|0"])], version="4.5"
    )
    for file in (path, write_bcf(tmp_path / "g.bcf", path)):
        with pytest.raises(InputError, match=r"not phased[\s\S]*1 such of 4 people"):
            GenotypeFile(file).read(ALL)


@pytest.mark.parametrize("version", ["4.2", "4.4", "4.5"])
@pytest.mark.parametrize("form", ["vcf", "bcf"])
def test_a_symbolic_allele_with_a_length_and_no_end(tmp_path: Path, version: str, form: str) -> None:
    records = [
        Record(10, SEQUENCE[9], "<DEL>", OK, info="SVLEN=150"),
        Record(20, SEQUENCE[19], "<DEL>", OK, info="SVLEN=-150"),
        Record(30, SEQUENCE[29], "<DEL>,T", OK, info="END=190;SVLEN=160,."),
        Record(120, SEQUENCE[119], "T", OK),
    ]
    path = write_vcf(tmp_path / "g.vcf.gz", records, version=version)
    file = GenotypeFile(path if form == "vcf" else write_bcf(tmp_path / "g.bcf", path))
    for start in (0, 15, 60, 110):
        variants, dropped = file.read(Interval(CONTIG, start, 150))
        assert variants.position.tolist() == [p for p in (29, 119) if p >= start]
        assert dropped.counts.total() == sum(start <= p for p in (9, 19, 29))


def test_interval_before_the_contig_is_empty(large: Path) -> None:
    assert len(GenotypeFile(large).read(Interval(CONTIG, -9, -3))[0]) == 0


@pytest.mark.parametrize("line", ["chr1\t20\t.\tC", "chr1\t20\t.\tC\tT\t.\t.\t.\tGT\t0|x\t0|0\t0|0\t0|0"])
def test_record_that_cannot_be_parsed_is_an_error(tmp_path: Path, line: str) -> None:
    path = write_vcf(tmp_path / "g.vcf.gz", [Record(10, "C", "T", OK), Record(30, "C", "T", OK)], index=False)
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    (tmp_path / "plain").write_text("\n".join([*lines[:-1], line, lines[-1]]) + "\n")
    pysam.tabix_compress(str(tmp_path / "plain"), str(path), force=True)
    pysam.tabix_index(str(path), preset="vcf", force=True)
    with pytest.raises(InputError, match="damaged"):
        GenotypeFile(path).read(ALL)


def rewritten(path: Path, lines: list[bytes]) -> Path:
    """A VCF of these lines, indexed."""
    (path.parent / "plain").write_bytes(b"\n".join(lines) + b"\n")
    pysam.tabix_compress(str(path.parent / "plain"), str(path), force=True)
    pysam.tabix_index(str(path), preset="vcf", force=True)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_notes_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    path = write_vcf(
        tmp_path / "g.vcf.gz", [Record(10, "C", "T", OK, "Größe", info="NOTE=Größe")], index=False
    )
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    lines.insert(1, "##source=Größe")
    if encoding == "utf-8":  # cyvcf2 reads no other names
        lines = [line.replace("ann", "Jürgen") for line in lines]
    file = GenotypeFile(rewritten(path, [line.encode(encoding) for line in lines]))
    variants = file.read(ALL)[0]
    assert variants.dosage.tolist() == [[0, 1, 1, 2]]
    some = (file.samples[3], file.samples[0], file.samples[1])
    assert file.keeping(some, file.policy).read(ALL)[0].dosage.tolist() == [[2, 0, 1]]
    assert variants.variant_id == ("Gr" + "?" * len("öß".encode(encoding)) + "e",)


def test_a_record_without_a_contig(tmp_path: Path) -> None:
    """To pysam, no name is every contig."""
    path = write_vcf(tmp_path / "g.vcf.gz", [Record(10, "C", "T", OK), Record(30, "C", "T", OK)], index=False)
    lines = gzip.decompress(path.read_bytes()).splitlines()
    lines[-1] = lines[-1].replace(CONTIG.encode(), b"")
    file = GenotypeFile(rewritten(path, lines))
    assert file.read(ALL)[0].position.tolist() == [9]
    with pytest.raises(InputError, match="damaged"):
        file.read(Interval("", 0, 200))


@pytest.mark.parametrize("form", ["bcf", "csi"])
def test_bcf_and_csi_read_the_same(large: Path, tmp_path: Path, form: str) -> None:
    if form == "bcf":
        copy = write_bcf(tmp_path / "g.bcf", large)
    else:
        copy = tmp_path / "g.vcf.gz"
        shutil.copy(large, copy)
        pysam.tabix_index(str(copy), preset="vcf", csi=True, force=True)
    interval = Interval("1", 500, 1500)
    there, here = GenotypeFile(copy).read(interval)[0], GenotypeFile(large).read(interval)[0]
    assert GenotypeFile(copy).contigs == (CONTIG,)
    assert len(here) == 1000
    assert (there.alleles == here.alleles).all()


def test_bcf_names_only_contigs_with_records(tmp_path: Path) -> None:
    contigs = {"chr0": 9, CONTIG: 200, "chr2": 99}
    path = write_vcf(tmp_path / "g.vcf.gz", [Record(10, "C", "T", OK)], contigs=contigs)
    assert GenotypeFile(write_bcf(tmp_path / "g.bcf", path)).contigs == (CONTIG,)


def test_damaged_bcf_is_never_read_short(large: Path, tmp_path: Path) -> None:
    copy = write_bcf(tmp_path / "g.bcf", large)
    data = copy.read_bytes()
    copy.write_bytes(data[: len(data) // 2] + bytes(20) + data[len(data) // 2 + 20 :])
    with pytest.raises(InputError, match="damaged"):
        GenotypeFile(copy).read(Interval(CONTIG, 0, 10_000))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_goes_to_other_processes(large: Path, method: str) -> None:
    file = GenotypeFile(large, ["p7", "p3"])
    here = file.read(Interval(CONTIG, 0, 200))[0]
    with ProcessPoolExecutor(1, mp_context=get_context(method)) as pool:
        there = pool.submit(file.read, Interval(CONTIG, 0, 200)).result()[0]
    assert (there.alleles == here.alleles).all()
    assert pickle.loads(pickle.dumps(file)).samples == ("p7", "p3")


def test_a_forked_process_opens_its_own_files(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = GenotypeFile(large)
    before = file._handles()
    assert file._handles() is before
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert not set(map(id, before)) & set(map(id, file._handles()))


def test_real_cohort(shared_data: Path) -> None:
    folder = shared_data / "geuvadis_chr22"
    file = GenotypeFile(folder / "genotypes.vcf.gz")
    variants, dropped = file.read(Interval("22", 17_000_000, 18_000_000), Reference(folder / "chr22.fa.gz"))
    assert variants.alleles.shape[1:] == (358, 2)
    assert variants.is_snv.all()
    assert variants.maf.min() > 0.05
    assert not dropped.counts


@pytest.mark.verify
def test_whole_real_cohort(shared_data: Path) -> None:
    folder = shared_data / "geuvadis_chr22"
    file = GenotypeFile(folder / "genotypes.vcf.gz")
    variants, dropped = file.read(Interval("22", 0, 50_818_468), Reference(folder / "chr22.fa.gz"))
    assert (len(variants), len(variants.samples)) == (82_203, 358)
    assert not dropped.counts
    file._handles()[1]._usual = False  # every line by the general way
    general, _ = file.read(Interval("22", 0, 50_818_468))
    assert np.array_equal(variants.alleles, general.alleles)
    assert (variants.ref, variants.alt, variants.variant_id) == (general.ref, general.alt, general.variant_id)


def test_real_indels(shared_data: Path) -> None:
    folder = shared_data / "indels_chr20"
    reference = Reference(folder / "chr20_first_5Mb.fa.gz")
    variants, dropped = GenotypeFile(folder / "genotypes.vcf.gz").read(
        Interval("chr20", 0, 3_000_000), reference
    )
    assert (len(variants), int(variants.is_snv.sum()), len(variants.samples)) == (9406, 8996, 300)
    assert not dropped.counts
