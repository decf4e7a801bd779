"""A PGEN and the VCF that it was made from are one cohort."""

import builtins
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hapsight.cohort import pvar
from hapsight.cohort.check import scan_sites
from hapsight.cohort.genotypes import GenotypeFile, GenotypePolicy
from hapsight.cohort.nouns import Interval
from hapsight.cohort.pgen import PgenFile
from hapsight.cohort.pvar import read_pvar
from hapsight.cohort.reference import Reference
from hapsight.cohort.split import open_genotypes
from hapsight.errors import InputError, MissingExtraError
from tests.cohort.files import CONTIG, PEOPLE, SEQUENCE, Record, write_fasta, write_vcf
from tests.cohort.pgen_files import write_pgen, write_pvar

pytest.importorskip("pgenlib", reason="the extra `pgen` is not installed")

ALL = Interval(CONTIG, 0, len(SEQUENCE))
RECORDS = [
    Record(10, SEQUENCE[9], "T", ["0|1", "0|0", "1|1", "1|0"], "rs1"),
    Record(50, SEQUENCE[49], "T,AC", ["0|2", "1|0", "2|1", "0|0"]),
    Record(60, SEQUENCE[59], "<DEL>,*", ["0|2", "1|0", "0|0", "0|0"]),
    Record(70, SEQUENCE[69], ".", ["0|0", "0|0", "0|0", "0|0"]),
    Record(120, SEQUENCE[119:131], SEQUENCE[119], ["0|0", "0|0", "1|0", "1|1"], "rs3"),
]
LENIENT = GenotypePolicy(missing="reference", unphased="drop", duplicates="first")


def both(folder: Path, records: list[Record], policy: GenotypePolicy = GenotypePolicy(), samples=None):
    path = write_vcf(folder / "g.vcf.gz", records)
    return (
        GenotypeFile(path, samples, policy),
        PgenFile(write_pgen(path, folder / "g.pgen"), samples, policy),
    )


def as_rows(read) -> tuple:
    """All that a reader gives, in plain types."""
    variants, dropped = read
    return (
        variants.contig,
        variants.samples,
        variants.position.tolist(),
        variants.ref,
        variants.alt,
        variants.variant_id,
        variants.alleles.tolist(),
        dropped.rows(),
    )


@st.composite
def records(draw) -> list[Record]:
    found = []
    for position in sorted(draw(st.lists(st.integers(1, 180), min_size=1, max_size=12))):
        ref = SEQUENCE[position - 1 : position - 1 + draw(st.sampled_from([1, 1, 2, 15]))]
        choices = [a for a in ("A", "C", "GT", "ACCA", "*", "<DEL>") if a != ref]
        alts = draw(st.lists(st.sampled_from(choices), min_size=1, max_size=3, unique=True))
        allele = st.integers(0, len(alts))
        call = st.one_of(st.just("./."), st.builds("{}{}{}".format, allele, st.sampled_from("||/"), allele))
        found.append(Record(position, ref, ",".join(alts), [draw(call) for _ in PEOPLE]))
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    records(),
    st.integers(0, 190),
    st.integers(1, 60),
    st.permutations(PEOPLE),
    st.integers(1, 4),
    st.sampled_from(["reference", "drop"]),
)
def test_reads_what_the_vcf_reads(tmp_path, found, start, length, order, keep, missing):
    policy = GenotypePolicy(missing=missing, unphased="drop", duplicates="first")
    vcf, pgen = both(tmp_path, found, policy, order[:keep])
    assert pgen.samples_in_file == vcf.samples_in_file
    assert pgen.contigs == vcf.contigs
    for interval in (ALL, Interval(CONTIG, start, start + length), Interval("1", start, start + length)):
        assert as_rows(pgen.read(interval)) == as_rows(vcf.read(interval))


def test_blocks_of_sites_hold_every_site_once(tmp_path, monkeypatch):
    whole = both(tmp_path, RECORDS)[0]
    monkeypatch.setattr(pvar, "_BLOCK", 2)
    pgen = PgenFile(tmp_path / "g.pgen")
    for start in range(0, 200, 7):
        interval = Interval(CONTIG, start, start + 9)
        assert as_rows(pgen.read(interval)) == as_rows(whole.read(interval))


def test_keeping_is_opening_for_these_people(tmp_path):
    _, pgen = both(tmp_path, RECORDS)
    fresh = PgenFile(pgen.path, ("dan", "ann"), GenotypePolicy(snv_only=True))
    kept = pgen.keeping(("dan", "ann"), GenotypePolicy(snv_only=True))
    assert as_rows(kept.read(ALL)) == as_rows(fresh.read(ALL))
    assert as_rows(pgen.read(ALL)) == as_rows(PgenFile(pgen.path).read(ALL))  # and the first is as it was


def test_other_processes_read_the_same(tmp_path):
    _, pgen = both(tmp_path, RECORDS)
    expected = as_rows(pgen.read(ALL))
    assert as_rows(pickle.loads(pickle.dumps(pgen)).read(ALL)) == expected
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        for found in pool.map(pgen.read, [ALL] * 4):
            assert as_rows(found) == expected


@pytest.mark.parametrize(
    ("call", "policy", "what"),
    [("0/1", {}, "A heterozygous genotype is not phased"), ("./.", {}, "A genotype is missing")],
)
def test_a_bad_call_is_the_same_error(tmp_path, call, policy, what):
    messages = []
    for file in both(tmp_path, [Record(10, SEQUENCE[9], "T", ["0|1", call, "1|1", "0|0"])]):
        with pytest.raises(InputError, match=what) as error:
            file.read(ALL)
        messages.append(str(error.value).replace(str(file.path), "FILE"))
    assert messages[0] == messages[1]


def test_without_phase_only_homozygotes_are_left(tmp_path):
    calls = [["0/1", "0/0", "1/1", "0/0"], ["0/0", "0/0", "1/1", "0/0"]]
    found = [Record(10 + i, SEQUENCE[9 + i], "GG", call) for i, call in enumerate(calls)]
    vcf, pgen = both(tmp_path, found, LENIENT)
    assert as_rows(pgen.read(ALL)) == as_rows(vcf.read(ALL))
    assert pgen.read(ALL)[0].position.tolist() == [10]


@pytest.mark.parametrize("suffix", [".pvar", ".psam"])
def test_a_missing_file_is_named(tmp_path, suffix):
    _, pgen = both(tmp_path, RECORDS)
    pgen.path.with_suffix(suffix).unlink()
    with pytest.raises(InputError, match=f"has no \\{suffix} beside it") as error:
        PgenFile(pgen.path)
    assert str(tmp_path / f"g{suffix}") in str(error.value)


def test_people_of_another_file_are_refused(tmp_path):
    _, pgen = both(tmp_path, RECORDS)
    pgen.path.with_suffix(".psam").write_text("#IID\nann\nbob\ncyd\n")
    with pytest.raises(InputError, match="does not belong to") as error:
        PgenFile(pgen.path)
    assert "3 people (g.psam)" in str(error.value)
    assert "4 samples" in str(error.value)


def test_sites_of_another_file_are_refused(tmp_path):
    _, pgen = both(tmp_path, RECORDS)
    write_pvar(pgen.path.with_suffix(".pvar"), [[CONTIG, 10, "rs1", "C", "T", "PASS"]])
    with pytest.raises(InputError, match="does not belong to"):
        PgenFile(pgen.path)


def test_a_file_that_is_no_pgen_is_refused(tmp_path):
    _, pgen = both(tmp_path, RECORDS)
    pgen.path.write_bytes(b"no such thing")
    with pytest.raises(InputError, match="The PGEN cannot be read"):
        PgenFile(pgen.path)


def test_a_damaged_pgen_is_refused(tmp_path):
    people = [f"p{i}" for i in range(500)]
    rng = np.random.default_rng(0)
    calls = [[f"{a}|{b}" for a, b in rng.integers(0, 2, (500, 2))] for _ in range(20)]
    found = [Record(10 + i, SEQUENCE[9 + i], "GG", call) for i, call in enumerate(calls)]
    path = write_pgen(write_vcf(tmp_path / "g.vcf.gz", found, people), tmp_path / "g.pgen")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="PGEN"):
        PgenFile(path).read(ALL)


def test_people_who_are_not_there_are_named(tmp_path):
    _, pgen = both(tmp_path, RECORDS)
    with pytest.raises(InputError, match="1 of 2 people are not in the genotypes"):
        pgen.keeping(("ann", "eve"), GenotypePolicy())


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([["1", 20, ".", "A", "C", "."], ["1", 10, ".", "A", "C", "."]], "not sorted"),
        ([[contig, 20, ".", "A", "C", "."] for contig in "121"], "not sorted"),
        ([["1", "x", ".", "A", "C", "."]], "A row of the .pvar is broken"),
        ([["1", 10]], "A row of the .pvar is broken"),
        ([["1", 10, ".", "A", "C,", "."]], "A row of the .pvar is broken"),
        ([], "no sites"),
    ],
)  # fmt: skip
def test_a_broken_pvar_is_refused(tmp_path, rows, what):
    write_pvar(tmp_path / "g.pvar", rows)
    with pytest.raises(InputError, match=what):
        read_pvar(tmp_path / "g.pvar")


@pytest.mark.parametrize("suffix", [".pvar", ".psam"])
def test_tables_without_a_header_are_refused(tmp_path, suffix):
    _, pgen = both(tmp_path, RECORDS)
    path = pgen.path.with_suffix(suffix)
    path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.startswith("#")))
    with pytest.raises(InputError, match=f"The {suffix} has no header line"):
        PgenFile(pgen.path)


PSAM = {
    "fam": "".join(f"{p}\t{p}\t0\t0\t0\t-9\n" for p in PEOPLE),
    "fam without phenotype": "".join(f"family {p} 0 0 1\n" for p in PEOPLE),
    "FID": "##more\n#FID\tIID\n" + "".join(f"0\t{p}\n" for p in PEOPLE),
    "IID": "#IID\n" + "".join(f"{p}\n" for p in PEOPLE),
    "IID SID": "#IID\tSID\tSEX\n" + "".join(f"{p}\ts\tNA\n" for p in PEOPLE),
    "sex first": "#FID\tSEX\tIID\r\n" + "".join(f"0\t2\t{p}\r\n" for p in PEOPLE),
}


@pytest.mark.parametrize("form", PSAM)
def test_people_as_plink_2_lists_them(tmp_path, form):
    vcf, pgen = both(tmp_path, RECORDS)
    pgen.path.with_suffix(".psam").write_text(PSAM[form])
    again = PgenFile(pgen.path, ("dan", "bob"))
    assert again.samples_in_file == PEOPLE
    assert as_rows(again.read(ALL)) == as_rows(vcf.keeping(("dan", "bob"), vcf.policy).read(ALL))


@pytest.mark.parametrize("text", ["", "#SEX\n1\n", "F ann 0 0\nF bob 0 0\n", "FID IID\nF ann\n"])
def test_people_without_a_name_are_refused(tmp_path, text):
    _, pgen = both(tmp_path, RECORDS)
    pgen.path.with_suffix(".psam").write_text(text)
    with pytest.raises(InputError, match=r"The .psam has no header line[\s\S]*columns of a .fam"):
        PgenFile(pgen.path)


def renamed(pgen: PgenFile, names: list[str], *header: str) -> PgenFile:
    """The same PGEN with another contig for each site."""
    path = pgen.path.with_suffix(".pvar")
    rows = [line.split("\t") for line in path.read_text().splitlines() if not line.startswith("#")]
    write_pvar(path, [[name, *row[1:]] for name, row in zip(names, rows, strict=True)])
    path.write_text("\n".join([*header, path.read_text()]))
    return PgenFile(pgen.path)


X = [("10", "0|1"), ("50", "1|0"), ("60", "1|1"), ("70", "0|1")]


@pytest.mark.parametrize(
    ("names", "contig"),
    [
        (["PAR1", "X", "X", "PAR2"], "X"),
        (["PAR1", "chrX", "chrX", "PAR2"], "chrX"),
        (["25", "23", "23", "23"], "X"),
        (["chrXY", "chrX", "chrX", "chrX"], "chrX"),
        (["PAR1", "0X", "0X", "PAR2"], "X"),
        (["PAR1"] * 4, "X"),
        (["24"] * 4, "Y"),
        (["chrY"] * 4, "chrY"),
        (["26"] * 4, "MT"),
        (["chrM"] * 4, "chrM"),
        (["0M"] * 4, "MT"),
        (["07"] * 4, "7"),
        (["chr7"] * 4, "chr7"),
    ],
)
def test_plink_2_names_of_contigs(tmp_path, names, contig):
    records = [Record(int(place), SEQUENCE[int(place) - 1], "GG", [call] * 4) for place, call in X]
    vcf, pgen = both(tmp_path, records)
    expected = as_rows(vcf.read(ALL))[2:]
    found = renamed(pgen, names)
    assert found.contigs == (contig,)
    bare = contig.removeprefix("chr")
    for asked in (bare, f"chr{bare}"):
        read = as_rows(found.read(Interval(asked, 0, 200)))[2:]
        assert (*read[:3], *read[4:]) == (*expected[:3], *expected[4:])  # names have the asked contig
        assert found.expected_records(Interval(asked, 0, 200)) == pytest.approx(4)


def test_both_ends_of_x_in_one_contig_are_read_in_order(tmp_path):
    """PLINK 1's XY and 25 hold both pseudo-autosomal stretches, one on either side of X."""
    places = [10, 180, 50, 60]
    records = [Record(place, SEQUENCE[place - 1], "GG", ["0|1"] * 4) for place in sorted(places)]
    _, pgen = both(tmp_path, records)
    write_pvar(
        pgen.path.with_suffix(".pvar"),
        [[c, p, ".", SEQUENCE[p - 1], "GG", "PASS"] for c, p in zip("2233", places, strict=True)],
    )
    text = pgen.path.with_suffix(".pvar").read_text().replace("\n2\t", "\nXY\t").replace("\n3\t", "\nX\t")
    pgen.path.with_suffix(".pvar").write_text(text)
    found = PgenFile(pgen.path)
    assert found.read(Interval("chrX", 0, 200))[0].position.tolist() == [9, 49, 59, 179]
    assert found.read(Interval("chrX", 40, 100))[0].position.tolist() == [49, 59]


@pytest.mark.parametrize(
    ("pairs", "contigs"), [(29, ("23", "25")), (22, ("X",))], ids=["other species", "people"]
)
def test_numbers_are_autosomes_in_another_species(tmp_path, pairs, contigs):
    _, pgen = both(tmp_path, RECORDS[:2])
    header = f"##chrSet=<ID=1,autosomePairCt={pairs},X,Y,M>"
    assert renamed(pgen, ["23", "25"], header).contigs == contigs


def test_a_dosage_without_a_hard_call_is_told(tmp_path):
    pgenlib = pytest.importorskip("pgenlib")
    _, pgen = both(tmp_path, [Record(10 + i, SEQUENCE[9 + i], "GG", ["0|1"] * 4) for i in range(3)])
    writer = pgenlib.PgenWriter(
        str(pgen.path).encode(), 4, variant_ct=3, nonref_flags=False, dosage_present=True
    )
    for dosages in ([0, 0.7, 1.3, 2], [0, 2, -9, 1.2], [0, 2, 0.05, 1.95]):
        writer.append_dosages(np.array(dosages, np.float32))
    writer.close()
    with pytest.raises(InputError, match=r"imputed dosage, but no hard call[\s\S]*chr1:10[\s\S]*2 such of 4"):
        PgenFile(pgen.path).read(ALL)
    with pytest.raises(InputError, match=r"A genotype is missing[\s\S]*chr1:11 A>GG, cyd"):
        PgenFile(pgen.path, ("cyd", "ann")).read(Interval(CONTIG, 10, 20))
    counts = {}
    for policy in ("drop", "reference"):
        found = PgenFile(pgen.path, policy=GenotypePolicy(missing=policy))
        variants, dropped = found.read(ALL)
        counts[policy] = {reason: count for (_, reason), count in dropped.counts.items()}
        assert variants.dosage.tolist()[-1] == [0, 2, 0, 2]
    assert counts["drop"] == {"imputed dosage without a hard call": 2}
    assert counts["reference"] == {
        "imputed dosage without a hard call, read as reference": 3,
        "missing, read as reference": 1,
    }
    result = scan_sites(PgenFile(pgen.path), write_reference(tmp_path), [ALL])
    told = next(one for one in result if one.name == "missing genotypes")
    assert (told.status, told.message) == ("fail", "2 variants: imputed dosage without a hard call")
    assert "plink2 --pfile NAME --hard-call-threshold" in told.details[-1]


def write_reference(folder: Path) -> Reference:
    return Reference(write_fasta(folder / "g.fa"))


def test_a_compressed_pvar_reads_as_a_plain_one(tmp_path):
    zstandard = pytest.importorskip("zstandard")
    _, pgen = both(tmp_path, RECORDS)
    expected = as_rows(pgen.read(ALL))
    plain = tmp_path / "g.pvar"
    packed = zstandard.ZstdCompressor().compress(plain.read_bytes())
    plain.unlink()
    (tmp_path / "g.pvar.zst").write_bytes(packed)
    assert as_rows(PgenFile(pgen.path).read(ALL)) == expected
    for damaged, what in ((packed[:-20], "no header line|does not belong"), (b"x" * 40, "no zstd file")):
        (tmp_path / "g.pvar.zst").write_bytes(damaged)
        with pytest.raises(InputError, match=what):
            PgenFile(pgen.path)


@pytest.mark.parametrize("package", ["pgenlib", "zstandard"])
def test_a_missing_package_says_how_to_install_it(tmp_path, monkeypatch, package):
    _, pgen = both(tmp_path, RECORDS)
    if package == "zstandard":
        (tmp_path / "g.pvar").rename(tmp_path / "g.pvar.zst")
    real = builtins.__import__

    def without(name, *rest, **options):
        if name == package:
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'hapsight\[pgen\]'"):
        PgenFile(pgen.path)


@pytest.mark.parametrize(
    ("name", "what"), [("g.pvar", "not the file with the genotypes"), ("g.bed", "has no phase")]
)
def test_a_wrong_file_is_told(tmp_path, name, what):
    (tmp_path / name).write_text("")
    with pytest.raises(InputError, match=what):
        open_genotypes(tmp_path / name)
