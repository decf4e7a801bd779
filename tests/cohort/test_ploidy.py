"""chrX: a man has one copy outside the PARs, however his calls are written; by hand and by other programs."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.nouns import Dropped, Gene, Interval, Variants
from hapsight.cohort.pgen import PgenFile
from hapsight.cohort.ploidy import BUILDS, OneCopy, Ploidy, Sex, build_of, parse_sex
from hapsight.cohort.policies import GenotypePolicy
from hapsight.cohort.reference import Reference
from hapsight.cohort.sexes import crosses_par, without_chry
from hapsight.dna import decode
from hapsight.errors import InputError
from hapsight.linear.fits import usable_variants
from hapsight.sequence.haplotypes import Window, personal_sequences
from hapsight.stats.eqtl import allele_counts
from tests.cohort.files import Record, write_fasta, write_vcf
from tests.cohort.pgen_files import write_pgen

LENGTH, PAR = 3_000, 1_000
PEOPLE = ("mike", "noah", "ruth", "vera", "nina")
PLOIDY = Ploidy(frozenset(PEOPLE[:2]), frozenset(PEOPLE[2:]), ((0, PAR),))
ALL = Interval("X", 0, LENGTH)


def read(folder: Path, *rows: tuple[int, list[str]], contig: str = "X", **policy: object):
    records = [Record(position, "A", "C", calls, contig=contig) for position, calls in rows]
    path = write_vcf(folder / "g.vcf.gz", records, PEOPLE, contigs={contig: LENGTH})
    chosen = replace(GenotypePolicy(ploidy=PLOIDY), **policy)  # type: ignore[arg-type]
    return GenotypeFile(path, policy=chosen).read(Interval(contig, 0, LENGTH))


@pytest.mark.parametrize(
    "men", [("1", "0"), ("1|1", "0|0"), ("1/1", "0/0"), ("1|.", ".|0"), (".|1", "0")], ids=str
)
def test_a_man_has_one_copy_however_it_is_written(tmp_path: Path, men: tuple[str, str]) -> None:
    found, dropped = read(tmp_path, (1_500, [*men, "0|1", "1|1", "0|0"]))
    assert found.alleles[0].tolist() == [[1, 1], [0, 0], [0, 1], [1, 1], [0, 0]]
    assert found.dosage.tolist() == found.linear_dosage.tolist() == [[2, 0, 1, 2, 0]]
    assert found.af.tolist() == [4 / 8]  # 1 of 2 copies in men, 3 of 6 in women
    assert not dropped.rows()


def test_dosage_0_1(tmp_path: Path) -> None:
    rows = (500, ["1|1", "0|1", "0|1", "1|1", "0|0"]), (1_500, ["1", "0", "0|1", "1|1", "0|0"])
    found, _ = read(tmp_path, *rows, ploidy=replace(PLOIDY, dosage=1))
    assert found.linear_dosage.tolist() == [[2, 1, 1, 2, 0], [1, 0, 1, 2, 0]]
    assert found.dosage.tolist() == [[2, 1, 1, 2, 0], [2, 0, 1, 2, 0]]
    assert found.af.tolist() == [6 / 10, 4 / 8]
    assert found.take(np.array([1])).af.tolist() == [4 / 8]


@pytest.mark.parametrize("dosage", [1, 2])
def test_counts_are_those_of_alleles_one_by_one(dosage: int) -> None:
    rng = np.random.default_rng(3)
    alleles = rng.integers(0, 2, (40, 30, 2)).astype(np.uint8)
    one = OneCopy(rng.random(40) < 0.5, rng.random(30) < 0.5, dosage)  # type: ignore[arg-type]
    alleles[one.mask(), 1] = alleles[one.mask(), 0]
    coded = one.coded(alleles.sum(axis=2, dtype=np.uint8))
    counts, usable = allele_counts(coded, one), usable_variants(coded, 0.44, one)
    for v in range(40):
        own = [a for n in range(30) for a in (alleles[v, n, :1] if one.mask()[v, n] else alleles[v, n])]
        alt, rarer = int(sum(own)), int(2 * sum(own) <= len(own))
        assert counts.af[v] == pytest.approx(alt / len(own))
        assert counts.ma_count[v] == min(alt, len(own) - alt)
        assert counts.ma_samples[v] == sum(rarer in alleles[v, n].tolist() for n in range(30))
        assert usable[v] == (min(alt, len(own) - alt) / len(own) >= 0.44)
    half = np.arange(30) < 15
    own = one.compress(half)
    assert np.array_equal(own.af(coded[:, half]), allele_counts(coded[:, half], own).af)


def test_missing_and_frequency_floor_count_a_man_once(tmp_path: Path) -> None:
    row = (1_500, ["1", ".", "0|0", "0|0", "0|0"])
    with pytest.raises(InputError, match=r"missing[\s\S]*noah"):
        read(tmp_path, row)
    found, dropped = read(tmp_path, row, missing="reference", min_maf=0.12)  # 1 of 8, not 2 of 10
    assert len(found) == 1
    assert dropped.counts["genotype", "missing, read as reference"] == 1
    assert not len(read(tmp_path, row, missing="reference", min_maf=0.13)[0])


@pytest.mark.parametrize(
    ("calls", "who", "words"),
    [
        (["0|1", "0", "0|1", "1|1", "0|0"], "mike", "a man has two different alleles on chrX"),
        (["1", "0", "0|1", "1", "0|0"], "vera", "a woman has one allele"),
    ],
)
def test_a_contradiction_is_named(tmp_path: Path, calls: list[str], who: str, words: str) -> None:
    row = (1_500, calls)
    with pytest.raises(InputError, match=rf"{words}[\s\S]*X:1500 A>C, {who}[\s\S]*ploidy_conflict"):
        read(tmp_path, row)
    found, dropped = read(tmp_path, row, ploidy_conflict="drop")
    assert not len(found)
    assert dropped.names["variant", "does not fit the ploidy"] == ["X:1500 A>C"]
    found, dropped = read(tmp_path, row, ploidy_conflict="missing", missing="reference")
    assert found.alleles[0, PEOPLE.index(who)].tolist() == [0, 0]
    assert dropped.counts["genotype", "does not fit the ploidy, read as missing"] == 1


def test_men_are_diploid_in_the_par(tmp_path: Path) -> None:
    found, _ = read(tmp_path, (PAR, ["0|1", "1|0", "0|1", "1|1", "0|0"]))  # its last base
    assert found.one_copy is None
    assert found.dosage.tolist() == [[1, 1, 1, 2, 0]]
    with pytest.raises(InputError, match=r"not diploid[\s\S]*X:1000 A>C, mike[\s\S]*fixploidy"):
        read(tmp_path, (PAR, ["1", "0", "0|1", "1|1", "0|0"]))


def test_one_allele_of_somebody_unknown_says_what_is_needed(tmp_path: Path) -> None:
    row = (1_500, ["1", "0", "0|1", "1|1", "0|0"])
    with pytest.raises(InputError, match=r"not diploid[\s\S]*mike[\s\S]*column sex of the sample sheet"):
        read(tmp_path, row, ploidy=Ploidy(par=((0, PAR),)))
    with pytest.raises(InputError, match=r"not diploid[\s\S]*par under \[cohort\]"):
        read(tmp_path, row, ploidy=replace(PLOIDY, par=None))
    written = (1_500, ["1|1", "0|1", "0|1", "1|1", "0|0"])
    assert read(tmp_path, written, ploidy=Ploidy())[0].dosage.tolist() == [[2, 1, 1, 2, 0]]


def test_one_allele_of_the_mitochondrion_is_everybodys(tmp_path: Path) -> None:
    found, _ = read(tmp_path, (1_500, ["1", "0", "1", "0|1", "0"]), contig="chrM", ploidy=Ploidy())
    assert found.dosage.tolist() == [[2, 0, 2, 1, 0]]
    with pytest.raises(InputError, match="missing"):
        read(tmp_path, (1_500, ["1", "0", ".", "0|1", "0"]), contig="chrM", ploidy=Ploidy())


def test_chry_needs_men_only() -> None:
    genes = {0: Gene("a", "chrY", 5), 1: Gene("b", "chr1", 5)}
    dropped = Dropped()
    assert list(without_chry(genes, PLOIDY, PEOPLE, dropped)) == [1]
    assert dropped.names["gene", "on chrY, of which not everybody is known to have a copy"] == ["a"]
    assert without_chry(genes, PLOIDY, PEOPLE[:2], dropped) == genes
    with pytest.raises(InputError, match="All genes lie on chrY"):
        without_chry({0: genes[0]}, PLOIDY, PEOPLE, dropped)


def test_words_for_a_sex() -> None:
    assert {parse_sex(word, "") for word in ("1", "M", "male", "Male", "XY")} == {Sex.MALE}
    assert {parse_sex(word, "") for word in ("2", "F", "female", "xx")} == {Sex.FEMALE}
    assert {parse_sex(word, "") for word in ("0", "NA", "", None, "unknown")} == {None}
    with pytest.raises(InputError, match=r"s.tsv[\s\S]*got: 3"):
        parse_sex("3", "s.tsv")


def test_builds_are_told_by_the_length_of_chrx() -> None:
    assert [build_of(length) and build_of(length).name for length in (156_040_895, 155_270_560, 5)] == [
        "GRCh38",
        "GRCh37",
        None,
    ]
    for build in BUILDS:
        assert all(0 <= start < end <= build.length for start, end in build.par)


def test_windows_across_a_border() -> None:
    assert crosses_par(Interval("chrX", PAR - 1, PAR + 1), PLOIDY)
    assert not any(
        crosses_par(Interval(contig, start, start + 100), PLOIDY)
        for contig, start in (("X", 0), ("X", PAR - 100), ("X", PAR), ("1", PAR - 50))
    )


def cohort(folder: Path, seed: int = 1) -> tuple[Path, Path, Path]:
    """A random chrX of six men and six women: VCFs with men's alleles once, and twice; its FASTA."""
    rng, people = np.random.default_rng(seed), tuple(f"S{i:02d}" for i in range(12))
    sequence = "".join(rng.choice(list("ACGT"), LENGTH))
    once, twice = [], []
    for at in range(20, LENGTH - 20, 25):
        ref = sequence[at : at + 3] if rng.random() < 0.25 else sequence[at]
        other = str(rng.choice([base for base in "ACGT" if base != ref[0]]))
        alt = ref[0] if len(ref) > 1 else ref + "GAT" if rng.random() < 0.3 else other
        calls = [(rng.random(2) < 0.4).astype(int) for _ in people]
        one = [n < 6 and at >= PAR for n in range(12)]
        pairs = [(a, a) if single else (a, b) for single, (a, b) in zip(one, calls, strict=True)]
        for records, short in ((once, True), (twice, False)):
            text = [f"{a}" if s and short else f"{a}|{b}" for s, (a, b) in zip(one, pairs, strict=True)]
            records.append(Record(at + 1, ref, alt, text, f"v{at + 1}", "X"))
    write_fasta(folder / "g.fa.gz", {"X": sequence})
    paths = [
        write_vcf(folder / f"{name}.vcf.gz", records, people, contigs={"X": LENGTH})
        for name, records in (("once", once), ("twice", twice))
    ]
    sexes = [f"{name}\t{1 + (n >= 6)}" for n, name in enumerate(people)]
    (folder / "sex.psam").write_text("\n".join(["#IID\tSEX", *sexes]) + "\n")
    return paths[0], paths[1], folder / "g.fa.gz"


def sexed(path: Path, genotypes: type[GenotypeFile] | type[PgenFile] = GenotypeFile) -> Variants:
    names = genotypes(path).samples
    ploidy = Ploidy(frozenset(names[:6]), frozenset(names[6:]), ((0, PAR),))
    return genotypes(path, policy=GenotypePolicy(ploidy=ploidy)).read(ALL)[0]


def assert_equal(found: Variants, expected: Variants) -> None:
    assert found.position.tolist() == expected.position.tolist()
    assert np.array_equal(found.alleles, expected.alleles)
    assert found.af.tolist() == expected.af.tolist()


def test_one_allele_the_same_twice_and_a_pgen_are_one_cohort(tmp_path: Path) -> None:
    once, twice, _ = cohort(tmp_path)
    expected = sexed(once)
    assert_equal(sexed(twice), expected)
    assert_equal(sexed(write_pgen(twice, tmp_path / "g.pgen"), PgenFile), expected)


def test_sexes_of_a_psam(tmp_path: Path) -> None:
    _, twice, _ = cohort(tmp_path)
    pgen = write_pgen(twice, tmp_path / "g.pgen")
    assert PgenFile(pgen).sexes == {}
    shutil.copy(tmp_path / "sex.psam", pgen.with_suffix(".psam"))
    assert PgenFile(pgen).sexes == {f"S{n:02d}": (Sex.MALE if n < 6 else Sex.FEMALE) for n in range(12)}


@pytest.mark.verify
@pytest.mark.parametrize("seed", range(5))
def test_equals_bcftools_consensus_by_haplotype(tmp_path: Path, seed: int) -> None:
    """Of a call with one allele bcftools makes haplotype 1; the second, which is not there, is REF."""
    if not shutil.which("bcftools"):
        pytest.skip("bcftools is not installed")
    once, twice, fasta = cohort(tmp_path, seed)
    variants, reference = sexed(once), Reference(fasta)
    for n, name in enumerate(variants.samples):
        for haplotype, vcf in ((1, once), (1, twice), (2, twice)):
            command = ["bcftools", "consensus", "-f", fasta, "-s", name, "-H", f"{haplotype}pIu", vcf]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            expected = "".join(done.stdout.splitlines()[1:]).upper()
            made = personal_sequences(Window("X", 0, 0, len(expected)), variants.within, reference.fetch)
            assert decode(made.distinct[made.index[n, haplotype - 1]]) == expected, (name, haplotype)


@pytest.mark.verify
@pytest.mark.parametrize("dosage", [1, 2])
def test_frequencies_and_effects_are_those_of_plink2(tmp_path: Path, dosage: int) -> None:
    """`plink2 --freq` and `--glm --xchr-model` on its own import of the VCF, which is the same cohort."""
    if not shutil.which("plink2"):
        pytest.skip("plink2 is not installed")
    once, _, _ = cohort(tmp_path)
    rng, found = np.random.default_rng(5), sexed(once)
    outcome = rng.standard_normal(12)
    lines = [f"{name}\t{value}" for name, value in zip(found.samples, outcome, strict=True)]
    (tmp_path / "y.txt").write_text("\n".join(["#IID\ty", *lines]) + "\n")
    given = ["--vcf", once, "--psam", tmp_path / "sex.psam", "--split-par", str(PAR), str(LENGTH)]
    asked = [
        "--make-pgen",
        "--freq",
        "--pheno",
        tmp_path / "y.txt",
        "--xchr-model",
        str(dosage),
        "--glm",
        "allow-no-covars",
    ]
    command = ["plink2", *given, *asked, "omit-ref", "--out", tmp_path / "o"]
    subprocess.run(command, capture_output=True, check=True)
    assert_equal(sexed(tmp_path / "o.pgen", PgenFile), found)
    rows = [line.split("\t") for line in (tmp_path / "o.afreq").read_text().splitlines()[1:]]
    assert [float(row[4]) for row in rows] == pytest.approx(found.af.tolist(), abs=1e-6)
    chosen = (
        found if found.one_copy is None else replace(found, one_copy=replace(found.one_copy, dosage=dosage))
    )
    slopes = {}
    for line in (tmp_path / "o.y.glm.linear").read_text().splitlines()[1:]:
        row = line.split("\t")
        if row[0] == "X" and row[6] == "ADD" and row[8] != "NA":
            slopes[row[2]] = float(row[8])
    sex = np.array([0.0] * 6 + [1.0] * 6)
    assert len(slopes) > 60
    for v, name in enumerate(found.variant_id):
        if name in slopes:
            columns = np.column_stack([np.ones(12), sex, chosen.linear_dosage[v]])
            own = np.linalg.lstsq(columns, outcome, rcond=None)[0][2]
            assert own == pytest.approx(slopes[name], rel=1e-4, abs=1e-5), name
