from __future__ import annotations

import gzip
import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapsight.cohort.nouns import Interval
from hapsight.cohort.reference import Reference, ref_fits
from hapsight.dna import decode, encode
from hapsight.errors import InputError
from tests.cohort.files import SEQUENCE, write_fasta


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("reference")
    return Reference(write_fasta(folder / "g.fa.gz", {"chr1": SEQUENCE, "chrM": "acgtnR"}))


@given(start=st.integers(-30, 240), length=st.integers(0, 300))
@settings(max_examples=150, deadline=None)
def test_fetch_equals_a_padded_slice(reference: Reference, start: int, length: int) -> None:
    padded = "N" * 500 + SEQUENCE + "N" * 500
    expected = padded[start + 500 : start + 500 + length]
    assert decode(reference.fetch(Interval("chr1", start, start + length))) == expected


def test_n_is_on_the_side_that_is_missing(reference: Reference) -> None:
    assert decode(reference.fetch(Interval("chr1", -3, 2))) == "NNNAC"
    end = len(SEQUENCE)
    assert decode(reference.fetch(Interval("chr1", end - 2, end + 3))) == "ACNNN"
    assert decode(reference.fetch(Interval("chr1", -9, -5))) == "NNNN"


@given(start=st.integers(-30, 240), length=st.integers(0, 300))
@settings(max_examples=50, deadline=None)
def test_letters_are_the_file_s_own(reference: Reference, start: int, length: int) -> None:
    interval = Interval("chr1", start, start + length)
    assert reference.letters(interval) == decode(reference.fetch(interval))
    assert reference.letters(Interval("chrM", -1, 8)) == "NACGTNRNN"


def test_an_iupac_code_stands_for_its_bases() -> None:
    complement = dict(zip("ACGTMRWSYKVHDBN", "TGCAKYWSRMBDHVN", strict=True))
    for code in complement:
        for base in "ACGTN":
            assert ref_fits(base, code) == ref_fits(complement[base], complement[code])
    fits = {code: "".join(base for base in "ACGTN" if ref_fits(base, code)) for code in complement}
    assert fits | {"Y": "CTN", "M": "ACN", "H": "ACTN", "B": "CGTN", "A": "A", "N": "N"} == fits
    assert ref_fits("AACN", "ARYN")
    assert not ref_fits("A", "AR")


def test_contigs_have_two_names(reference: Reference) -> None:
    assert reference.contigs == {"chr1": 200, "chrM": 6}
    assert [reference.resolve(name) for name in ("1", "chr1", "MT", "M")] == ["chr1", "chr1", "chrM", "chrM"]
    assert decode(reference.fetch(Interval("MT", 0, 6))) == "ACGTNN"
    with pytest.raises(InputError, match=r"no contig '7'[\s\S]*one of chr1, chrM"):
        reference.resolve("7")


def test_plain_and_bgzipped_agree(tmp_path: Path) -> None:
    plain, packed = Reference(write_fasta(tmp_path / "a.fa")), Reference(write_fasta(tmp_path / "b.fa.gz"))
    window = Interval("chr1", -5, 205)
    assert (plain.fetch(window) == packed.fetch(window)).all()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_goes_to_other_processes(reference: Reference, method: str) -> None:
    reference.fetch(Interval("chr1", 0, 5))
    with ProcessPoolExecutor(1, mp_context=get_context(method)) as pool:
        there = pool.submit(reference.fetch, Interval("chr1", 3, 9)).result()
    assert (there == encode(SEQUENCE[3:9])).all()
    assert pickle.loads(pickle.dumps(reference)).contigs == reference.contigs


def test_a_forked_process_opens_its_own_file(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    before = reference._handle()
    assert reference._handle() is before
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert reference._handle() is not before


@pytest.mark.parametrize("suffix", [".fai", ".gzi"])
def test_missing_index(tmp_path: Path, suffix: str) -> None:
    path = write_fasta(tmp_path / "g.fa.gz")
    Path(f"{path}{suffix}").unlink()
    with pytest.raises(InputError, match=rf"no {suffix} index[\s\S]*to mend: samtools faidx {path}"):
        Reference(path)
    assert not Path(f"{path}{suffix}").exists()


def test_missing_gzipped_and_cut_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="The reference FASTA file is not there"):
        Reference(tmp_path / "none.fa")
    path = write_fasta(tmp_path / "g.fa.gz")
    path.write_bytes(path.read_bytes()[:-28])
    with pytest.raises(InputError, match=r"cut off[\s\S]*28-byte"):
        Reference(path)
    path.write_bytes(gzip.compress(b">chr1\nACGT\n"))
    with pytest.raises(InputError, match=r"not in blocks[\s\S]*bgzip"):
        Reference(path)


def test_less_sequence_than_the_index_says(tmp_path: Path) -> None:
    path = write_fasta(tmp_path / "g.fa")
    path.write_text(path.read_text()[:100])
    with pytest.raises(InputError, match=r"does not hold what its index says[\s\S]*expected: 200 bases"):
        Reference(path).fetch(Interval("chr1", 0, 200))


@pytest.mark.parametrize("name", ["g.fa", "g.fa.gz"])
@pytest.mark.parametrize(
    "changed",
    [
        {"chr1 of another release": "ACGT" * 50, "chr2": "GGA" * 40},
        {"chr2": "GGA" * 40, "chr1": "ACGT" * 50},
        {"chr1": "ACGT" * 51, "chr2": "GGA" * 40},
        {"chr1": "ACGT" * 50, "chr2": "GGA" * 41},
        {"1": "ACGT" * 50, "chr2": "GGA" * 40},
    ],
)
def test_an_index_made_before_the_fasta_was_changed_is_refused(tmp_path, name, changed):
    """Else bases are read from beside their place: samtools and pysam say nothing."""
    path = write_fasta(tmp_path / name, {"chr1": "ACGT" * 50, "chr2": "GGA" * 40})
    indices = {suffix: Path(f"{path}{suffix}").read_bytes() for suffix in (".fai", ".gzi")[: name.count(".")]}
    write_fasta(path, changed)
    for suffix, old in indices.items():
        Path(f"{path}{suffix}").write_bytes(old)
    with pytest.raises(InputError, match=rf"index is not of the file[\s\S]*to mend: .*samtools faidx {path}"):
        Reference(path)
    pysam.faidx(str(path))
    assert decode(Reference(path).fetch(Interval("chr2", 0, 6))) == "GGAGGA"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("width", [7, 60, 1000])
def test_indices_of_fastas_of_all_forms_are_taken(tmp_path, end, width):
    """Descriptions, lines of any length and end, soft masks, an empty line; an index of some contigs."""
    path = tmp_path / "g.fa"
    contigs = {"chr1  a  long > description": "acGT" * 35, "2": "G", "HLA-A*01:01:01:01 HLA00001": "ACG" * 20}
    lines = [f">{name}{end}" + "".join(f"{s[i : i + width]}{end}" for i in range(0, len(s), width))
             for name, s in contigs.items()]  # fmt: skip
    for text in ("".join(lines), "".join(lines).rstrip(), "".join(lines) + end):
        path.write_bytes(text.encode())
        pysam.faidx(str(path))
        assert decode(Reference(path).fetch(Interval("chr1", 0, 4))) == "ACGT"
    some = Path(f"{path}.fai").read_text().splitlines(keepends=True)
    Path(f"{path}.fai").write_text("".join(some[1:]))
    assert list(Reference(path).contigs) == ["2", "HLA-A*01:01:01:01"]


def test_real_contig(shared_data: Path) -> None:
    reference = Reference(shared_data / "geuvadis_chr22" / "chr22.fa.gz")
    assert reference.contigs == {"chr22": 50_818_468}
    assert decode(reference.fetch(Interval("22", 50_808_466, 50_808_470))) != "NNNN"
