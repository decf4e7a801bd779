from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapsight.cohort.check import CheckResult, check_cohort
from hapsight.cohort.genotypes import GenotypePolicy
from hapsight.cohort.join import CohortFiles
from hapsight.cohort.nouns import Gene, Interval, Variants, count_overlaps, merge_intervals
from hapsight.errors import InputError
from tests.cohort.files import (
    CONTIG,
    PEOPLE,
    SEQUENCE,
    Record,
    write_bed,
    write_cohort,
    write_fasta,
    write_table,
    write_vcf,
)

OK = ["0|0", "0|1", "1|0", "1|1"]


@pytest.fixture
def files(tmp_path: Path) -> CohortFiles:
    return write_cohort(tmp_path)


def check(files: CohortFiles, policy: GenotypePolicy | None = None) -> dict[str, CheckResult]:
    results = check_cohort(files, policy or GenotypePolicy(), lambda gene: gene.cis(60))
    assert len({result.name for result in results}) == len(results)
    return {result.name: result for result in results}


def bad(results: dict[str, CheckResult]) -> dict[str, str]:
    return {name: result.status for name, result in results.items() if result.status != "pass"}


def test_good_cohort_passes(files: CohortFiles) -> None:
    results = check(files)
    assert bad(results) == {}
    assert list(results) == [
        "genotypes", "reference", "expression", "expression order", "constant genes", "expression scale",
        "contig names", "people", "covariates", "genes", "variants", "REF", "phase", "missing genotypes",
        "duplicates", "alleles", "overlapping variants",
    ]  # fmt: skip
    assert results["variants"].message == "3 usable variants in the windows"


def test_every_site_concern_at_once(files: CohortFiles, tmp_path: Path) -> None:
    records = [
        Record(10, "C", "T", ["0/1", "0|0", "1|0", "0|0"]),
        Record(20, "C", "T", ["0|0", ".|.", "1|0", "0|0"]),
        Record(30, "C", "T", OK),
        Record(30, "C", "T", OK),
        Record(35, "A", "T", OK),
        Record(50, "C", "<DEL>,*", OK),
        Record(60, SEQUENCE[59:64], SEQUENCE[59], OK),
        Record(62, SEQUENCE[61], "G", OK),
    ]
    results = check(replace(files, genotypes=write_vcf(tmp_path / "o.vcf.gz", records)))
    assert bad(results) == {
        "phase": "fail", "missing genotypes": "fail", "duplicates": "fail", "REF": "fail",
        "alleles": "warn", "overlapping variants": "warn",
    }  # fmt: skip
    assert results["phase"].details == ("chr1:10 C>T",)
    assert results["missing genotypes"].details == ("chr1:20 C>T",)
    assert results["REF"].details == ("chr1:35 A>T",)
    assert results["alleles"].message == "1 variant: spanning deletion (*); 1 variant: symbolic allele"
    assert results["overlapping variants"].message == "1 pair of variants overlapping on 4 haplotypes"
    policy = GenotypePolicy(missing="reference", unphased="drop", ref_mismatch="drop", duplicates="first")
    lenient = bad(check(replace(files, genotypes=tmp_path / "o.vcf.gz"), policy))
    assert lenient == dict.fromkeys(bad(results), "warn")


def test_goes_on_after_files_that_cannot_be_opened(files: CohortFiles, tmp_path: Path) -> None:
    missing = replace(files, genotypes=tmp_path / "none.vcf.gz")
    results = check(missing)
    assert bad(results) == {
        "genotypes": "fail", "contig names": "warn", "people": "warn", "covariates": "warn", "genes": "warn",
        "variants": "warn",
    }  # fmt: skip
    assert results["people"].message == "not checked: needs genotypes and expression"
    assert results["reference"].status == results["expression"].status == "pass"


def test_person_without_covariates_fails_only_there(files: CohortFiles, tmp_path: Path) -> None:
    path = write_table(tmp_path / "c.tsv", [["id", *PEOPLE[:3]], ["PC1", 1, 2, 3]])
    results = check(replace(files, covariates=path))
    assert bad(results) == {"covariates": "fail"}
    assert "dan" in results["covariates"].message
    far = write_table(tmp_path / "f.tsv", [["id", *PEOPLE], ["PC1", 1, 2, 1, 90]])
    assert (
        "of 4 people, 1 person with a leverage above 0.5"
        in check(replace(files, covariates=far))["covariates"].message
    )
    turned = write_table(
        tmp_path / "t.tsv", [["id", "PC1"], *([person, i] for i, person in enumerate(PEOPLE))]
    )
    assert check(replace(files, covariates=turned))["covariates"].status == "warn"


def test_people_contigs_and_genes(files: CohortFiles, tmp_path: Path) -> None:
    values = {
        "ENSG02.9": (CONTIG, 130, [1, 2, 3]),
        "ENSG01": (CONTIG, 40, [1, 1, 1]),
        "x": (CONTIG, 9, [-1, 2, 3]),
    }
    expression = write_bed(tmp_path / "e.bed", values, ["ann", "bob", "eve"])
    fasta = write_fasta(tmp_path / "o.fa", {"1": SEQUENCE})
    results = check(replace(files, expression=expression, reference=fasta))
    assert bad(results) == dict.fromkeys(
        ["expression order", "constant genes", "expression scale", "contig names", "people", "genes"], "warn"
    )
    assert results["contig names"].details == ("chr1 is 1 in the FASTA",)
    assert results["constant genes"].details == ("ENSG01",)
    assert results["expression order"].details == ("from ENSG02.9 on",)
    assert any("not in the gene table: x" in line for line in results["genes"].details)
    assert any("without their version" in line for line in results["genes"].details)
    assert any("not in the expression: cyd, dan" in line for line in results["people"].details)


def test_window_that_refuses_a_gene_and_no_variants(files: CohortFiles) -> None:
    def refuse(gene: Gene) -> Interval:
        raise InputError(f"{gene.gene_id} has no strand.")

    results = {r.name: r for r in check_cohort(files, GenotypePolicy(), refuse)}
    assert results["variants"].message == "ENSG01.1 has no strand."
    far = {r.name: r for r in check_cohort(files, GenotypePolicy(), lambda gene: Interval(CONTIG, 60, 70))}
    assert far["variants"].status == "fail"


def test_stale_index_is_told(files: CohortFiles) -> None:
    os.utime(f"{files.genotypes}.tbi", (0, 0))
    assert check(files)["genotypes"].details == ("the index is older than the file: index it again",)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40), st.integers(0, 9)), max_size=12))
def test_merged_intervals_cover_the_same_bases_once(spans: list[tuple[str, int, int]]) -> None:
    intervals = [Interval(contig, start, start + length) for contig, start, length in spans]
    bases = Counter((i.contig, p) for i in merge_intervals(intervals) for p in range(i.start, i.end))
    assert set(bases) == {(i.contig, p) for i in intervals for p in range(i.start, i.end)}
    assert set(bases.values()) <= {1}


@given(rows=st.lists(st.tuples(st.integers(0, 12), st.integers(1, 6)), max_size=8), seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_overlaps_equal_the_naive_count(rows: list[tuple[int, int]], seed: int) -> None:
    rows.sort()
    alleles = np.random.default_rng(seed).integers(0, 2, (len(rows), 3, 2)).astype(np.uint8)
    refs = tuple("A" * length for _, length in rows)
    names = tuple(f"v{i}" for i in range(len(rows)))
    alts = tuple("T" * (i + 1) for i in range(len(rows)))  # so that each row has a name of its own
    starts = np.array([start for start, _ in rows], dtype=np.int64)
    variants = Variants("c", starts, refs, alts, names, alleles, ("p", "q", "r"))
    naive = [
        int((alleles[i] & alleles[j]).sum())
        for i in range(len(rows))
        for j in range(i + 1, len(rows))
        if starts[j] < starts[i] + len(refs[i])
    ]
    assert sorted(count_overlaps(variants).values()) == sorted(count for count in naive if count)


@pytest.mark.verify
def test_real_cohort(shared_data: Path) -> None:
    d = shared_data / "geuvadis_chr22"
    files = CohortFiles(
        d / "genotypes.vcf.gz",
        d / "chr22.fa.gz",
        d / "expression.bed.gz",
        d / "genes.tsv",
        d / "covariates.tsv",
        d / "samples.tsv",
    )
    results = check_cohort(files, GenotypePolicy(), lambda gene: gene.cis(100_000))
    assert {result.status for result in results} == {"pass"}
    assert "50,664 usable variants" in next(r.message for r in results if r.name == "variants")
