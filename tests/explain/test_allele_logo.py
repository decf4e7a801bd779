"""What the bases around a variant are worth equals writing out every sequence and running each."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hapsight.cohort.nouns import Gene, Interval, Strand
from hapsight.dna import decode, encode, reverse_complement
from hapsight.engine.engine import Valuer
from hapsight.errors import ConfigError
from hapsight.explain.allele_logo import REACH, allele_logos
from hapsight.explain.gradients import gradient_times_input, input_gradient
from hapsight.explain.ism import ism_window, saturation
from tests.engine.toy_shared import ToyShared, ToyWindowed
from tests.explain.ism_naive import plain, sequence_with
from tests.sequence.naive import toy_reference, toy_variants

LENGTH, TSS = 700, 350
KINDS = {"snv": (1, 1), "deletion": (4, 1), "insertion": (1, 3), "replacement": (3, 2)}


def reference_sequence(seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), LENGTH))


def one_variant(sequence: str, offset: int, kind: str):
    """A variant of a kind, so many bases from the TSS."""
    n_ref, n_alt = KINDS[kind]
    position = TSS + offset
    ref = sequence[position : position + n_ref]
    other = "ACGT"[("ACGT".index(ref[0]) + 1) % 4]
    alt = {"snv": other, "deletion": ref[0], "insertion": f"{ref[0]}{other}T", "replacement": f"{other}A"}[
        kind
    ]
    assert len(alt) == n_alt
    return toy_variants([(position, ref, alt)], np.ones((1, 2, 2), np.uint8))


def naive_logo(sequence: str, variant, carried: list[int], valuer: Valuer, gene: Gene):
    """Letters and worths of one haplotype: found by its text, every base exchanged, plain passes."""
    window = ism_window(gene, valuer)
    haplotype = sequence_with(sequence, variant, window, carried)
    position = int(variant.position[0])
    allele = variant.alt[0] if carried else variant.ref[0]
    after = position + len(variant.ref[0])
    text = sequence[position - REACH : position] + allele + sequence[after : after + REACH]
    assert decode(haplotype).count(text) == 1
    start, worth = decode(haplotype).index(text), []
    for place in range(start, start + len(text)):
        values = []
        for base in range(4):
            changed = haplotype.copy()
            changed[place] = base
            values.append(plain(valuer, window, changed))
        worth.append(values[haplotype[place]] - np.mean(values, axis=0))
    if gene.strand is Strand.MINUS:
        return decode(reverse_complement(encode(text))), np.array(worth)[::-1], haplotype, start
    return text, np.array(worth), haplotype, start


@given(
    seed=st.integers(0, 10**6),
    offset=st.sampled_from([-40, -1, 0, 2, 37]),
    strand=st.sampled_from(list(Strand)),
    kind=st.sampled_from(list(KINDS)),
    model=st.sampled_from([ToyShared, ToyWindowed]),
    read_out=st.sampled_from(["default", "ensemble"]),
)
@settings(max_examples=8, deadline=None)
def test_saturation_equals_plain_passes(seed, offset, strand, kind, model, read_out):
    torch.set_num_threads(1)
    model, sequence = model(), reference_sequence(seed)
    gene = Gene("g", "c", TSS, strand)
    valuer = Valuer(model, model.read_out(read_out), "cpu", batch_size=64)
    variant = one_variant(sequence, offset, kind)
    found = allele_logos(gene, valuer, variant, toy_reference(sequence), "saturation")
    for logo, carried, allele in zip(found, ([], [0]), (variant.ref[0], variant.alt[0]), strict=True):
        letters, worth, _, _ = naive_logo(sequence, variant, carried, valuer, gene)
        assert logo.letters == letters
        np.testing.assert_allclose(logo.worth, worth, atol=2e-6)
        forward = decode(reverse_complement(encode(allele))) if strand is Strand.MINUS else allele
        assert logo.letters[logo.first : logo.last] == forward


@pytest.mark.parametrize("strand", list(Strand))
@pytest.mark.parametrize("kind", ["snv", "deletion"])
def test_gradient_is_of_the_same_bases(strand, kind):
    model, sequence = ToyShared(), reference_sequence(3)
    gene = Gene("g", "c", TSS, strand)
    valuer = Valuer(model, model.read_out("ensemble"), "cpu")
    variant = one_variant(sequence, -12, kind)
    found = allele_logos(gene, valuer, variant, toy_reference(sequence), "gradient")
    for logo, carried in zip(found, ([], [0]), strict=True):
        letters, _, haplotype, start = naive_logo(sequence, variant, carried, valuer, gene)
        assert logo.letters == letters
        minus = ism_window(gene, valuer).reverse
        oriented = reverse_complement(haplotype)[None] if minus else haplotype[None]
        worth = gradient_times_input(input_gradient(valuer, oriented), oriented)[0].T
        worth = worth[::-1] if minus else worth
        expected = worth[start : start + len(letters)]
        np.testing.assert_allclose(logo.worth, expected[::-1] if strand is Strand.MINUS else expected)


def test_the_reference_is_the_stored_saturation_centred():
    model, sequence = ToyShared(), reference_sequence(5)
    gene = Gene("g", "c", TSS, Strand.PLUS)
    valuer = Valuer(model, model.read_out("default"), "cpu")
    variant = one_variant(sequence, 7, "snv")
    ref, _ = allele_logos(gene, valuer, variant, toy_reference(sequence), "saturation")
    stretch = Interval("c", TSS + 7 - REACH, TSS + 8 + REACH)
    stored = saturation(gene, stretch, valuer, toy_reference(sequence))
    np.testing.assert_allclose(ref.worth, -stored.mean(axis=1), atol=1e-9)


def test_an_unknown_base_is_worth_nothing():
    sequence = reference_sequence(5)
    sequence = sequence[: TSS + 3] + "N" + sequence[TSS + 4 :]
    model, gene = ToyShared(), Gene("g", "c", TSS, Strand.PLUS)
    valuer = Valuer(model, model.read_out("default"), "cpu")
    for measure in ("saturation", "gradient"):
        ref, _ = allele_logos(gene, valuer, one_variant(sequence, 0, "snv"), toy_reference(sequence), measure)
        place = ref.letters.index("N")
        assert place == ref.last + 2
        assert (ref.worth[place] == 0).all()
        assert np.abs(ref.worth).max() > 0


def test_a_variant_at_the_windows_edge():
    model, sequence = ToyShared(), reference_sequence(1)
    gene = Gene("g", "c", TSS, Strand.PLUS)
    valuer = Valuer(model, model.read_out("default"), "cpu")
    start = ism_window(gene, valuer).interval.start
    with pytest.raises(ConfigError, match="no neighbours to show") as caught:
        allele_logos(
            gene, valuer, one_variant(sequence, start - TSS, "snv"), toy_reference(sequence), "saturation"
        )
    assert f"c:{start + 1}" in str(caught.value)
