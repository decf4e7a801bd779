"""Reads of either haplotype: what a file's two numbers are of, and in whose order."""

import os
from pathlib import Path

import numpy as np
import pytest

from hapsight.cohort.allele_counts import find_order, in_phase, read_allele_counts, read_features
from hapsight.cohort.nouns import Dropped, Gene, Interval, Variants
from hapsight.errors import ConfigError, InputError
from tests.cohort.files import PEOPLE, Record, write_table, write_vcf

FEATURES = {"g": (Interval("chr1", 9, 20),)}
GENES = (Gene("g", "chr1", 9, gene_name="G"), Gene("h", "chr1", 99, gene_name="H"))


def counts_file(path: Path, calls, position=10, ref="A", alt="C", tags=":AS"):
    return write_vcf(path / "as.vcf.gz", [Record(position, ref, alt, calls, tags=tags)])


def read(path, order="haplotypes", samples=PEOPLE, **given):
    return read_allele_counts(path, samples, FEATURES, order, **given)


def variants(alleles, position=9, ref="A", alt="C"):
    made = np.array([alleles], np.uint8)
    return Variants("chr1", np.array([position]), (ref,), (alt,), ("v",), made, PEOPLE)


def test_two_numbers_are_of_the_haplotypes_or_of_ref_and_alt(tmp_path):
    path = counts_file(tmp_path, ["0|1:12,3", "1|0:12,3", "0|0:0,0", "1|1:0,0"])
    by_haplotype = {one.sample: one for one in read(path).reads}
    assert {name: one.counts for name, one in by_haplotype.items()} == {"ann": (12, 3), "bob": (12, 3)}
    assert by_haplotype["ann"].reference_lead == 1 == -by_haplotype["bob"].reference_lead
    by_allele = {one.sample: one.counts for one in read(path, "alleles").reads}
    assert by_allele == {"ann": (12, 3), "bob": (3, 12)}


@pytest.mark.parametrize("order", ["haplotypes", "alleles"])
def test_the_order_is_found_out_from_people_of_either_phase(tmp_path, order):
    rng, people = np.random.default_rng(1), [f"P{i}" for i in range(30)]
    calls = []
    for number in range(30):
        alt, ref = rng.poisson(90), rng.poisson(60)  # ALT has more reads on whichever haplotype it is
        first, second = (ref, alt) if order == "alleles" or number % 2 else (alt, ref)
        calls.append(f"{'0|1' if number % 2 else '1|0'}:{first},{second}")
    path = write_vcf(tmp_path / "as.vcf.gz", [Record(10, "A", "C", calls, tags=":AS")], people)
    found = read(path, None, people)
    assert (found.order, found.found_out) == (order, True)


def test_an_order_that_cannot_be_found_out_has_to_be_told(tmp_path):
    path = counts_file(tmp_path, ["0|1:12,3", "1|0:12,3", "0|1:5,5", "1|0:5,6"])
    with pytest.raises(ConfigError, match=r"haplotypes or of REF and ALT[\s\S]*--order haplotypes"):
        read(path, None)
    with pytest.raises(ConfigError, match="0 sites with reads"):
        find_order(())


def test_what_cannot_be_told_apart_is_left_out_and_named(tmp_path):
    records = [
        Record(10, "A", "C", ["0/1:4,4", "0|0:3,0", "0|1:.", "0|1:7,1"], tags=":AS"),
        Record(12, "G", "T,C", ["0|1:4,4"] * 4, tags=":AS"),
        Record(14, "G", "T", ["0|1:4,4"] * 4, tags=":XX"),
        *(Record(16, "G", alt, ["0|1:4,4"] * 4, tags=":AS") for alt in "AT"),  # 0 may be the other ALT
        Record(40, "G", "T", ["0|1:4,4"] * 4, tags=":AS"),  # in no feature
    ]
    found = read(write_vcf(tmp_path / "as.vcf.gz", records), samples=("ann", "bob", "cyd"))
    assert {one.sample: one.counts for one in found.reads} == {"cyd": (0, 0)}
    assert found.dropped.names == {
        ("sample", "has allele counts, and is not in the run"): ["dan"],
        ("genotype", "unphased, so its reads are of no haplotype"): ["ann chr1:10 A>C"],
        ("genotype", "reads of a homozygote"): ["bob chr1:10 A>C"],
        ("site", "several ALTs"): ["chr1:12 G>T,C"],
        ("site", "without GT or AS"): ["chr1:14 G>T"],
        ("site", "several records"): ["chr1:16"],
    }


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("0|1:4,4,4", "does not have two counts"),
        ("0|1:4", "does not have two counts"),
        ("0|1:4,-1", "no whole number"),
        ("0|1:4,1e9", "no whole number"),
        ("0|1:4,٣", "no whole number"),
    ],
)
def test_broken_counts_are_refused(tmp_path, call, said):
    path = counts_file(tmp_path, [call, "0|0:0,0", "0|0:0,0", "0|0:0,0"])
    with pytest.raises(InputError, match=said):
        read(path)


def test_a_file_without_the_people_or_of_another_kind_is_refused(tmp_path):
    path = counts_file(tmp_path, ["0|1:4,4"] * 4)
    with pytest.raises(InputError, match="none of the run's people"):
        read(path, samples=("eve",))
    with pytest.raises(InputError, match="not from a BCF"):
        read(tmp_path / "as.bcf")
    for text in ("chr1\t10\t.\tA\tC\t.\t.\t.\tGT:AS\t0|1:1,2\n", "##fileformat=VCFv4.2\n", ""):
        (tmp_path / "bare.vcf").write_text(text)
        with pytest.raises(InputError, match="no header line"):
            read(tmp_path / "bare.vcf")
    header = "#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT ann bob".replace(" ", "\t")
    for name, line, said in (
        ("short", "chr1\t10\t.\tA\tC\t.\t.\t.\tGT:AS\t0|1:1,2\n", "shorter than its header"),
        ("bare", "chr1\n", "no whole number"),
    ):
        (tmp_path / f"{name}.vcf").write_text(f"{header}\n{line}")
        with pytest.raises(InputError, match=said):
            read(tmp_path / f"{name}.vcf")
    cut = tmp_path / "cut.vcf.gz"
    cut.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError):
        read(cut)


def test_haplotypes_are_the_runs_own(tmp_path):
    path = counts_file(tmp_path, ["0|1:12,3", "1|0:10,2", "0|1:8,1", "0|1:6,5"])
    dropped = Dropped()
    own = variants([[0, 1], [0, 1], [0, 0], [1, 0]])
    found = {one.sample: one for one in in_phase(read(path).reads, own, dropped)}
    assert {name: one.counts for name, one in found.items()} == {
        "ann": (12, 3),
        "bob": (2, 10),
        "dan": (5, 6),
    }
    assert found["bob"].reference_lead == 1 == -found["dan"].reference_lead
    assert dropped.names == {
        ("reads", "heterozygous by the counts, not by the genotypes"): ["cyd chr1:10 A>C"]
    }


@pytest.mark.parametrize("joint", [True, False])
def test_a_site_that_the_genotypes_lack_counts_where_both_files_have_one_phase(tmp_path, joint):
    calls = ["0|1:12,3", "1|0:10,2", "0|1:8,1", "0|1:6,5"]
    records = [Record(p, "A", "C", calls, tags=":AS") for p in (10, 15)]
    reads = read(write_vcf(tmp_path / "as.vcf.gz", records)).reads
    own = variants([[0, 1], [1, 0], [0, 1], [0, 1] if joint else [1, 0]])
    dropped = Dropped()
    found = in_phase(reads, own, dropped)
    assert len(found) == (8 if joint else 4)
    assert sum(dropped.counts.values()) == 8 - len(found)


def phaser(folder, sample, rows):
    header = [
        "contig",
        "start",
        "stop",
        "variants",
        "variantCount",
        "haplotypeA",
        "haplotypeB",
        "aCount",
        "bCount",
        "totalCount",
    ]
    write_table(folder / f"{sample}.haplotypic_counts.txt", [header, *rows])


def test_phasers_haplotypes_are_named_by_their_alleles(tmp_path):
    both = "chr1_10_A_C,chr1_15_G_T"
    phaser(tmp_path, "ann", [["chr1", 10, 15, both, 2, "A,T", "C,G", 9, 4, 13]])  # cis is broken at 15
    phaser(tmp_path, "bob", [["chr1", 10, 10, "chr1_10_A_C", 1, "C", "A", 7, 2, 9]])
    phaser(tmp_path, "cyd", [["chr1", 10, 10, "chr1_10_A_C", 1, "C", "G", 7, 2, 9]])
    path = tmp_path / "{sample}.haplotypic_counts.txt"
    found = read(path)
    assert found.order is None
    assert found.dropped.names["sample", "without a file of haplotypic counts"] == ["dan"]
    assert ("block", "its alleles are not REF and ALT of its variants") in found.dropped.counts
    made = np.array([[[1, 0], [0, 1], [0, 1], [0, 1]], [[0, 1], [0, 1], [0, 1], [0, 1]]], np.uint8)
    own = Variants("chr1", np.array([9, 14]), ("A", "G"), ("C", "T"), ("v", "w"), made, PEOPLE)
    placed = {one.sample: one for one in in_phase(found.reads, own, Dropped())}
    assert placed["ann"].counts == (4, 9)
    assert placed["ann"].reference_lead == 0  # REF of one site, ALT of the other
    assert placed["bob"].counts == (2, 7)
    with pytest.raises(InputError, match="Nobody of the run"):
        read(tmp_path / "none" / "{sample}.txt")


def test_a_block_that_the_genotypes_phase_otherwise_is_left_out(tmp_path):
    both = "chr1_10_A_C,chr1_15_G_T"
    phaser(tmp_path, "ann", [["chr1", 10, 15, both, 2, "A,T", "C,G", 9, 4, 13]])
    reads = read(tmp_path / "{sample}.haplotypic_counts.txt").reads
    made = np.array([[[0, 1]] * 4, [[0, 1]] * 4], np.uint8)
    own = Variants("chr1", np.array([9, 14]), ("A", "G"), ("C", "T"), ("v", "w"), made, PEOPLE)
    dropped = Dropped()
    assert in_phase(reads, own, dropped) == []
    assert list(dropped.counts) == [("reads", "phase differs within the block")]


def test_features_are_a_bed_or_the_exons_of_a_gtf(tmp_path):
    bed = write_table(tmp_path / "f.bed", [["chr1", 9, 20, "G"], ["1", 30, 40, "g"], ["chr1", 1, 2, "Z"]])
    found, dropped = read_features(bed, GENES)
    assert found == {"g": (Interval("chr1", 9, 20), Interval("chr1", 30, 40))}
    assert dropped.names == {("feature", "of no gene of the cohort"): ["Z"]}
    rows = [["chr1", "x", kind, 10, 20, ".", "+", ".", 'gene_id "h";'] for kind in ("gene", "exon")]
    assert read_features(write_table(tmp_path / "f.gtf", rows), GENES)[0] == {"h": (Interval("chr1", 9, 20),)}
    with pytest.raises(InputError, match="No feature is of a gene"):
        read_features(write_table(tmp_path / "none.bed", [["chr1", 1, 2, "Z"]]), GENES)
    with pytest.raises(InputError, match="too short"):
        read_features(write_table(tmp_path / "short.bed", [["chr1", 1, 2]]), GENES)
    with pytest.raises(InputError, match="place is no whole number"):
        read_features(write_table(tmp_path / "word.bed", [["chr1", "x", 2, "g"]]), GENES)
    with pytest.raises(InputError, match=r"not 9 columns[\s\S]*cut.gtf, line 3"):
        read_features(write_table(tmp_path / "cut.gtf", [*rows, rows[1][:8]]), GENES)


def test_the_real_counts_follow_the_haplotypes():
    """86 people around TNFRSF13C; the source says first and second haplotype."""
    data = os.environ.get("HAPSIGHT_DATA")
    path = Path(data or "/none").parent / "ase" / "tnfrsf13c.vcf.gz"
    if not path.is_file():
        pytest.skip("HAPSIGHT_DATA names no folder beside the allele-specific counts")
    import gzip

    with gzip.open(path, "rt") as lines:
        people = next(line for line in lines if line.startswith("#CHROM")).rstrip("\n").split("\t")[9:]
    features = {"TNFRSF13C": (Interval("chr22", 41_925_040, 41_926_818),)}
    found = read_allele_counts(path, people, features)
    assert (found.order, found.found_out) == ("haplotypes", True)
    main = [one for one in found.reads if one.places[0][0] == 41_925_246]
    assert sum(any(one.counts) for one in main) == 35
    assert sum(sum(one.counts) for one in main) == 7_628
