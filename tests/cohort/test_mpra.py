"""Saturation mutagenesis as it is read: what is used, and what is left out by name."""

import numpy as np
import pytest

from hapsight.cohort.reference import Reference
from hapsight.errors import ConfigError, InputError
from hapsight.validate.elements import read_mpra
from tests.cohort.files import CONTIG, SEQUENCE, write_fasta, write_table

HEADER = [
    "Chrom",
    "Pos",
    "Ref",
    "Alt",
    "Barcodes",
    "DNA",
    "RNA",
    "Coefficient",
    "pValue",
    "Element",
    "Release",
]


def row(pos, alt, *, ref=None, chrom=CONTIG, barcodes=20, coefficient=0.5, element="E1", release="GRCh38"):
    ref = ref or SEQUENCE[pos - 1]
    return [chrom, pos, ref, alt, barcodes, 1, 1, coefficient, 0.01, element, release]


def other(pos: int) -> str:
    return "ACGT"[("ACGT".index(SEQUENCE[pos - 1]) + 1) % 4]


@pytest.fixture
def reference(tmp_path):
    return Reference(write_fasta(tmp_path / "genome.fa.gz"))


def read(tmp_path, reference, rows, *args, **options):
    return read_mpra(
        write_table(tmp_path / "mpra.tsv", [HEADER, *rows]), reference, "GRCh38", *args, **options
    )


def test_exchanges_and_deletions(tmp_path, reference):
    rows = [row(31, "-", coefficient=-2), row(30, other(30)), row(30, "-"), row(12, other(12), element="E2")]
    (one, two), dropped = read(tmp_path, reference, rows)
    assert (one.name, two.name) == ("E1", "E2")
    assert not dropped.counts
    assert one.place.tolist() == [29, 29, 30]
    assert one.goes == (SEQUENCE[29], SEQUENCE[29], SEQUENCE[30])
    assert one.comes == ("-", other(30), "-")
    assert one.variants.position.tolist() == [28, 29, 29]
    assert one.variants.ref == (SEQUENCE[28:30], SEQUENCE[29], SEQUENCE[29:31])
    assert one.variants.alt == (SEQUENCE[28], other(30), SEQUENCE[29])
    np.testing.assert_array_equal(one.coefficient, [0.5, 0.5, -2])
    assert (one.interval.start, one.interval.end) == (29, 31)


def test_what_is_left_out_is_named(tmp_path, reference):
    rows = [
        row(10, other(10)),
        row(10, other(10)),
        row(11, other(11)),
        row(12, other(12), barcodes=9),
        row(13, other(13), ref=other(13)),
        row(14, SEQUENCE[13], ref=other(14)),
        ["NA", "NA", "A", "C", 50, 1, 1, 0.1, 0.5, "E1", "GRCh38"],
        row(15, other(15), chrom="99"),
        row(16, other(16), release="GRCh37"),
        row(17, other(17), element="E2"),
    ]
    (only,), dropped = read(tmp_path, reference, rows, ["E1"])
    assert len(only.variants) == 2
    shown = {reason: names for (_, reason), names in dropped.names.items()}
    assert shown == {
        "a second row of the variant": [f"E1 {CONTIG}:10 {SEQUENCE[9]}>{other(10)}"],
        "fewer than 10 barcodes": [f"E1 {CONTIG}:12 {SEQUENCE[11]}>{other(12)}"],
        "neither a substitution nor a deletion of one base": [f"E1 {CONTIG}:13 {other(13)}>{other(13)}"],
        "Ref differs from the FASTA": [f"E1 {CONTIG}:14 {other(14)}>{SEQUENCE[13]}"],
        "no place in this release": ["E1 NA:None A>C"],
        "its contig is not in the FASTA": [f"E1 99:15 {SEQUENCE[14]}>{other(15)}"],
    }


def test_fewer_barcodes_may_be_wanted(tmp_path, reference):
    (only,), _ = read(tmp_path, reference, [row(12, other(12), barcodes=9)], min_barcodes=9)
    assert only.barcodes.tolist() == [9]


@pytest.mark.parametrize(("args", "named"), [((["E9"],), "E9"), (([],), "GRCh38")])
def test_what_the_table_has_not(tmp_path, reference, args, named):
    release = "GRCh38" if args[0] else "GRCh37"
    with pytest.raises(ConfigError, match="The MPRA table has no such") as error:
        read(tmp_path, reference, [row(10, other(10), release=release)], *args)
    assert error.value.details["got"] == named


def test_another_build_is_told(tmp_path, reference):
    rows = [row(p, SEQUENCE[p - 1], ref=other(p)) for p in (10, 11)] + [row(12, other(12))]
    with pytest.raises(InputError, match="Most Ref alleles") as error:
        read(tmp_path, reference, rows)
    assert error.value.details["got"] == "2 differ, 1 agree"
    assert "another release" in error.value.details["to mend"]


def test_nothing_left(tmp_path, reference):
    with pytest.raises(InputError, match="no variant that can be used") as error:
        read(tmp_path, reference, [row(10, other(10), barcodes=1)])
    assert error.value.details["got"] == "1: fewer than 10 barcodes"


def test_broken_tables(tmp_path, reference):
    bad = write_table(tmp_path / "mpra.tsv", [HEADER[:-1], row(10, "-")[:-1]])
    with pytest.raises(InputError, match="lacks columns") as error:
        read_mpra(bad, reference, "GRCh38")
    assert error.value.details["got"] == "without Release"
    with pytest.raises(InputError, match="not a finite number") as error:
        read(tmp_path, reference, [row(10, "-"), row(11, "-", coefficient="NaN")])
    assert "row 3, column Coefficient" in error.value.details["where"]
