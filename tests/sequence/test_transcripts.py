"""Personal spliced transcripts equal strings that are cut and joined; bcftools judges the exons."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.nouns import Strand
from hapsight.cohort.reference import Reference
from hapsight.dna import decode, encode, reverse_complement
from hapsight.sequence.transcripts import Transcript, personal_transcripts
from tests.sequence.naive import naive_contig, toy_reference, toy_variants

EXONS = ((10, 30), (40, 55), (60, 61), (70, 95))
SEQUENCE = "".join(np.random.default_rng(3).choice(list("ACGT"), 110))
PLUS = Transcript("T1", "G1", "c", Strand.PLUS, EXONS, (15, 80))
MINUS = Transcript("T2", "G1", "c", Strand.MINUS, EXONS, (15, 80), phase=1)


def records(rng: np.random.Generator) -> list[tuple[int, str, str]]:
    """A variant every few bases, never overlapping."""
    found, position = [], int(rng.integers(2, 6))
    while position < 100:
        length = int(rng.choice([1, 1, 1, 2, 4]))
        ref = SEQUENCE[position : position + length]
        alt = str(rng.choice([b for b in "ACGT" if b != ref[0]])) if length == 1 else ref[0]
        if length == 1 and rng.random() < 0.3:
            alt = ref + "".join(rng.choice(list("ACGT"), int(rng.integers(1, 4))))
        found.append((position, ref, alt))
        position += length + int(rng.integers(1, 9))
    return found


def over_a_border(record: tuple[int, str, str]) -> bool:
    """Whether some of the bases that a record takes away, or the two beside an insertion, are in an exon."""
    position, ref, alt = record
    if len(ref) == 1 and len(alt) > 1:
        touched = {position, position + 1}
    else:
        touched = set(range(position + (len(ref) > 1), position + len(ref)))
    return any(0 < len(touched & set(range(*exon))) < len(touched) for exon in EXONS)


def slowly(transcript: Transcript, variants, person: int, haplotype: int):
    """Cut the exons out of the haplotype and join them: sequence, codon starts, last bases of exons."""
    bases, exons = naive_contig(SEQUENCE, variants, person, haplotype), []
    for start, end in transcript.exons:
        exon, inside = [], False
        for letter, position in bases:
            inside = inside if position is None else start <= position < end
            if inside:
                exon.append((letter, position))
        exons.append(exon)
    if transcript.strand is Strand.MINUS:
        turn = dict(zip("ACGTN", "TGCAN", strict=True))
        exons = [[(turn[letter], p) for letter, p in exon[::-1]] for exon in exons[::-1]]
    mrna = [base for exon in exons for base in exon]
    coding = [i for i, (_, p) in enumerate(mrna) if p is not None and 15 <= p < 80]
    ends, at = [], 0
    for exon in exons[:-1]:
        at += len(exon)
        ends.append(at - 1)
    starts = list(range(coding[0] + transcript.phase, coding[-1] + 1, 3))
    return "".join(letter for letter, _ in mrna), starts, sorted({end for end in ends if end >= 0})


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
@pytest.mark.parametrize("transcript", [PLUS, MINUS])
def test_equals_cut_and_joined_strings(transcript, seed):
    rng = np.random.default_rng(seed)
    every = records(rng)
    alleles = (rng.random((len(every), 3, 2)) < 0.5).astype(np.uint8)
    made = personal_transcripts(transcript, lambda _: toy_variants(every, alleles), toy_reference(SEQUENCE))
    kept = [v for v, record in enumerate(every) if not over_a_border(record)]
    applied = toy_variants([every[v] for v in kept], alleles[kept])
    for person in range(3):
        for haplotype in range(2):
            found = made.distinct[made.index[person, haplotype]]
            sequence, starts, ends = slowly(transcript, applied, person, haplotype)
            assert decode(found.codes) == sequence
            assert found.codon_starts.tolist() == starts
            assert found.splice_sites.tolist() == ends
    carried = alleles.any(axis=(1, 2))
    over = [v for v in range(len(every)) if carried[v] and v not in kept]
    assert made.dropped.counts["variant", "reaches over an exon's border"] == len(over)


def none(_):
    return toy_variants([], np.zeros((0, 2, 2)))


def test_without_variants_all_have_the_reference():
    for transcript in (PLUS, MINUS):
        made = personal_transcripts(transcript, none, toy_reference(SEQUENCE))
        whole = encode("".join(SEQUENCE[start:end] for start, end in EXONS))
        expected = reverse_complement(whole) if transcript.strand is Strand.MINUS else whole
        np.testing.assert_array_equal(made.reference.codes, expected)
        assert len(made.distinct) == 1
        assert made.index.tolist() == [[0, 0], [0, 0]]
    assert made.reference.splice_sites.tolist() == [24, 25, 40]


def test_a_variant_of_an_intron_changes_nothing_and_equal_haplotypes_are_one():
    base = SEQUENCE[35]
    variants = [
        (20, SEQUENCE[20], "A" if SEQUENCE[20] != "A" else "C"),
        (35, base, "A" if base != "A" else "C"),
    ]
    alleles = np.array([[[1, 0], [1, 0]], [[1, 1], [0, 0]]])
    made = personal_transcripts(PLUS, lambda _: toy_variants(variants, alleles), toy_reference(SEQUENCE))
    assert len(made.distinct) == 2
    assert made.index[0].tolist() == made.index[1].tolist()


def test_an_exon_that_is_gone_leaves_no_mark():
    variants = toy_variants([(59, SEQUENCE[59:61], SEQUENCE[59])], np.ones((1, 1, 2)))
    made = personal_transcripts(PLUS, lambda _: variants, toy_reference(SEQUENCE))
    assert made.distinct[0].splice_sites.tolist() == [19, 34]
    assert len(made.distinct[0].codes) == PLUS.length - 1


@pytest.mark.verify
def test_exons_equal_bcftools_consensus(shared_data):
    if not shutil.which("bcftools"):
        pytest.skip("bcftools is not installed")
    folder = shared_data / "indels_chr20"
    vcf, fasta = folder / "genotypes.vcf.gz", folder / "chr20_first_5Mb.fa.gz"
    genotypes, reference = GenotypeFile(vcf), Reference(fasta)
    exons = tuple((start, start + 3_000) for start in range(1_100_000, 1_150_000, 10_000))
    transcript = Transcript("T", "G", "20", Strand.PLUS, exons, (exons[0][0] + 5, exons[-1][1] - 5))
    made = personal_transcripts(transcript, lambda i: genotypes.read(i, reference)[0], reference.fetch)
    assert not any(kind == "variant" for kind, _ in made.dropped.counts)
    assert len({len(one.codes) for one in made.distinct}) > 1
    for person in range(0, len(made.samples), 60):
        for haplotype in (1, 2):
            parts = [_consensus(vcf, reference, made.samples[person], haplotype, exon) for exon in exons]
            found = made.distinct[made.index[person, haplotype - 1]]
            assert decode(found.codes) == "".join(parts)


def _consensus(vcf, reference, sample: str, haplotype: int, exon: tuple[int, int]) -> str:
    from hapsight.cohort.nouns import Interval

    letters = decode(reference.fetch(Interval("20", *exon)))
    command = ["bcftools", "consensus", "-s", sample, "-H", f"{haplotype}pIu", str(vcf)]
    text = f">20:{exon[0] + 1}-{exon[1]}\n{letters}\n"
    out = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    return "".join(out.split("\n")[1:]).upper()
