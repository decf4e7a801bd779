"""Principal components of genotypes: against the matrix of relationships written out, and plink2 --pca."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hapsight.cohort import pcs
from hapsight.cohort.check import check_parts
from hapsight.cohort.genotypes import GenotypeFile, GenotypePolicy
from hapsight.cohort.join import CohortFiles, CohortParts, open_cohort
from hapsight.cohort.nouns import Variants
from hapsight.cohort.pcs import MAX_R2, components, genotype_pcs, standardised, thinned
from hapsight.cohort.reference import Reference
from hapsight.errors import InputError
from tests.cohort.files import Record, write_bed, write_fasta, write_table, write_vcf

PEOPLE = tuple(f"P{i}" for i in range(80))
SITES, APART = 150, 20_000


def drawn(rng: np.random.Generator, sites: int, difference: float) -> np.ndarray:
    """(V, N, 2) alleles of two populations of equal size whose frequencies differ."""
    first = rng.uniform(0.25, 0.75, sites)
    frequency = np.stack([first, np.clip(first + rng.normal(0, difference, sites), 0.15, 0.85)], axis=1)
    return (rng.random((sites, len(PEOPLE), 2)) < np.repeat(frequency, 40, axis=1)[:, :, None]).astype(
        np.uint8
    )


def written(folder: Path, sites: int = SITES, contig: str = "1") -> tuple[Path, Path]:
    """A VCF and a FASTA; one variant at the start of every other stretch of 10 kb."""
    alleles = drawn(np.random.default_rng(3), sites, 0.25)
    records = [
        Record(APART * v + 1, "A", "C", [f"{a}|{b}" for a, b in alleles[v]], f"v{v}", contig)
        for v in range(sites)
    ]
    length = APART * sites + 1
    vcf = write_vcf(folder / "g.vcf.gz", records, PEOPLE, contigs={contig: length})
    return vcf, write_fasta(folder / "g.fa.gz", {contig: "A" * length})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return written(tmp_path_factory.mktemp("pcs"))


def test_components_are_those_of_the_relationships_written_out() -> None:
    dosage = drawn(np.random.default_rng(1), 120, 0.2).sum(axis=2, dtype=np.uint8)
    frequency = dosage.mean(axis=1) / 2
    rows = [
        (row - 2 * p) / np.sqrt(2 * p * (1 - p))
        for row, p in zip(dosage.astype(float), frequency, strict=True)
    ]
    relationships = sum(np.outer(row, row) for row in rows) / len(rows)
    values, vectors = np.linalg.eigh(relationships)
    found, eigenvalues = components(dosage, 4)
    np.testing.assert_allclose(eigenvalues, values[::-1][:4], rtol=1e-5)
    for n in range(4):
        assert abs(found[:, n] @ vectors[:, -1 - n]) > 1 - 1e-6
    assert np.array_equal(found, components(dosage, 4)[0])
    assert (found[np.argmax(abs(found), axis=0), range(4)] > 0).all()


def test_linked_variants_are_thinned_as_by_the_slow_rule() -> None:
    rng = np.random.default_rng(2)
    own = drawn(rng, 60, 0.2)
    alleles = np.repeat(own, 2, axis=0)
    alleles[1::2] ^= rng.random(alleles[1::2].shape) < 0.15  # linked with the one before
    position = np.arange(0, 120) * 90_000
    variants = Variants("1", position, ("A",) * 120, ("C",) * 120, (".",) * 120, alleles, PEOPLE)
    kept: list[int] = []
    for row in range(120):
        near = [other for other in kept if position[row] - position[other] <= 500_000]
        r2 = [np.corrcoef(variants.dosage[row], variants.dosage[other])[0, 1] ** 2 for other in near]
        if all(value <= MAX_R2 for value in r2):
            kept.append(row)
    assert 30 < len(kept) < 90
    assert thinned(variants).position.tolist() == position[kept].tolist()


def test_a_variant_of_which_all_are_heterozygous_takes_no_others_place() -> None:
    """Its r with others is not defined; it is common (MAF 0.5), as where duplications are collapsed."""
    alleles = drawn(np.random.default_rng(5), 20, 0.2)
    alleles[[0, 9]] = [0, 1]
    position = np.arange(20) * 20_000
    variants = Variants("1", position, ("A",) * 20, ("C",) * 20, (".",) * 20, alleles, PEOPLE)
    others = variants.take(np.delete(np.arange(20), [0, 9]))
    assert len(thinned(others)) > 1
    assert thinned(variants).position.tolist() == thinned(others).position.tolist()
    assert len(thinned(variants.take(np.array([0, 9])))) == 0


def test_the_first_component_tells_populations_apart(files: tuple[Path, Path]) -> None:
    vcf, fasta = files
    found = genotype_pcs(GenotypeFile(vcf), Reference(fasta), PEOPLE, 2)
    first = found.covariates.values[:, 0]
    assert abs(np.corrcoef(first, np.arange(80) < 40)[0, 1]) > 0.95
    assert found.covariates.names == ("genotype_PC1", "genotype_PC2")
    assert "held-out ones too" in str(found)


@pytest.mark.parametrize(("sites", "contig"), [(20, "1"), (SITES, "X"), (SITES, "chrx")])
def test_too_few_variants_of_autosomes_are_refused(tmp_path: Path, sites: int, contig: str) -> None:
    vcf, fasta = written(tmp_path, sites, contig)
    with pytest.raises(InputError, match="do not give 2 principal components") as error:
        genotype_pcs(GenotypeFile(vcf), Reference(fasta), PEOPLE, 2)
    assert "plink2 --pca" in str(error.value)


def test_as_many_components_as_variants_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vcf, fasta = written(tmp_path, 20)
    monkeypatch.setattr(pcs, "_FEWEST", 10)
    used = genotype_pcs(GenotypeFile(vcf), Reference(fasta), PEOPLE, 2).variants
    assert len(genotype_pcs(GenotypeFile(vcf), Reference(fasta), PEOPLE, used - 1).eigenvalues) == used - 1
    with pytest.raises(InputError, match=rf"{used + 1} common variants[\s\S]*got: {used} variants"):
        genotype_pcs(GenotypeFile(vcf), Reference(fasta), PEOPLE, used)


def opened(folder: Path, files: tuple[Path, Path], count: int, *, covariates: bool = False) -> CohortFiles:
    rng = np.random.default_rng(4)
    bed = write_bed(folder / "e.bed.gz", {"gene": ("1", 1000, rng.uniform(1, 2, 80).round(3))}, PEOPLE)
    table = write_table(folder / "c.tsv", [["id", *PEOPLE], ["batch", *rng.standard_normal(80).round(3)]])
    genes = write_table(
        folder / "genes.tsv",
        [["gene_id", "gene_name", "chrom", "tss", "strand"], ["gene", "G", "1", 1000, "+"]],
    )
    return CohortFiles(files[0], files[1], bed, genes, table if covariates else None, genotype_pcs=count)


def test_components_join_the_covariates(tmp_path: Path, files: tuple[Path, Path]) -> None:
    cohort, _ = open_cohort(opened(tmp_path, files, 2, covariates=True), GenotypePolicy())
    assert cohort.covariates is not None
    assert cohort.covariates.names == ("batch", "genotype_PC1", "genotype_PC2")
    assert any("2 genotype PCs are covariates: of 1" in note for note in cohort.notes)
    alone, _ = open_cohort(opened(tmp_path, files, 2), GenotypePolicy())
    assert alone.covariates is not None
    assert np.array_equal(alone.covariates.values, cohort.covariates.values[:, 1:])
    none, _ = open_cohort(opened(tmp_path, files, 0), GenotypePolicy())
    assert none.covariates is None


def test_check_says_that_components_cannot_be_made(tmp_path: Path) -> None:
    files = opened(tmp_path, written(tmp_path, 20), 2)
    results = check_parts(CohortParts(files, GenotypePolicy()), lambda gene: gene.cis(1000))
    (failed,) = [one for one in results if one.name == "genotype PCs"]
    assert failed.status == "fail"
    assert "principal components" in failed.message


@pytest.mark.verify
def test_components_are_those_of_plink2(tmp_path: Path, files: tuple[Path, Path]) -> None:
    """`plink2 --pca` on exactly the variants that are used."""
    if not shutil.which("plink2"):
        pytest.skip("plink2 is not installed")
    found = genotype_pcs(GenotypeFile(files[0]), Reference(files[1]), PEOPLE, 4)
    variants, _ = GenotypeFile(files[0]).read(_whole(), None)
    used = thinned(variants)
    assert len(used) == found.variants
    np.testing.assert_allclose(standardised(used.dosage).mean(axis=1), 0, atol=1e-6)
    (tmp_path / "keep.txt").write_text("\n".join(used.variant_id) + "\n")
    command = [
        "plink2",
        "--vcf",
        files[0],
        "--extract",
        tmp_path / "keep.txt",
        "--pca",
        "4",
        "--out",
        tmp_path / "o",
    ]
    subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split() for line in (tmp_path / "o.eigenvec").read_text().splitlines()[1:]]
    assert [row[0] for row in rows] == list(PEOPLE)
    theirs = np.array([[float(value) for value in row[1:]] for row in rows])
    values = np.loadtxt(tmp_path / "o.eigenval")
    np.testing.assert_allclose(found.eigenvalues, values, rtol=1e-4)
    same = np.sign((theirs * found.covariates.values).sum(axis=0))
    np.testing.assert_allclose(theirs * same, found.covariates.values, atol=1e-4)


def _whole():
    from hapsight.cohort.nouns import Interval

    return Interval("1", 0, APART * SITES + 1)
