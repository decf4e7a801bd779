"""Elements taken out of a window, against sequences written out as strings."""

import numpy as np
import pytest

from hapsight.cohort.nouns import Gene, Interval, Strand
from hapsight.dna import encode
from hapsight.engine.engine import Valuer
from hapsight.explain.elements import element_effects, misfit, reference_effects, shuffled_dinucleotides
from hapsight.explain.ism import ism_window
from hapsight.models.protocol import ModelWindow
from tests.explain.ism_naive import plain
from tests.planted import ToyModel
from tests.sequence.naive import toy_reference, toy_variants

SEQUENCE = "".join(np.random.default_rng(5).choice(list("ACGT"), 2000))
MODEL = ToyModel()
VALUER = Valuer(MODEL, MODEL.read_out(), "cpu")
FETCH = toy_reference(SEQUENCE)


def gene(strand: str) -> Gene:
    return Gene("g", "c", 1000, Strand(strand))


def value(of: Gene, text: str) -> np.ndarray:
    return plain(VALUER, ism_window(of, VALUER), encode(text))


@pytest.mark.parametrize("strand", "+-")
@pytest.mark.parametrize("span", [(900, 930), (1050, 1061), (989, 1000), (1001, 1100)])
def test_each_way_is_what_it_says(strand, span):
    one, (start, end) = gene(strand), span
    window = ism_window(one, VALUER).interval
    found = element_effects(one, Interval("c", start, end), VALUER, FETCH, np.random.default_rng(2), draws=3)
    plain_text = SEQUENCE[window.start : window.end]
    reference = value(one, plain_text)
    np.testing.assert_allclose(found.reference, reference, atol=1e-4)
    n = end - start
    if end <= one.tss:  # the window is refilled from the left, else from the right
        text = SEQUENCE[window.start - n : start] + SEQUENCE[end : window.end]
    else:
        text = SEQUENCE[window.start : start] + SEQUENCE[end : window.end + n]
    np.testing.assert_allclose(found.deletion, value(one, text) - reference, atol=1e-4)
    masked = SEQUENCE[window.start : start] + "N" * n + SEQUENCE[end : window.end]
    np.testing.assert_allclose(found.mask, value(one, masked) - reference, atol=1e-4)
    rng, changes = np.random.default_rng(2), []
    for _ in range(3):
        codes = encode(plain_text)
        inside = slice(start - window.start, end - window.start)
        codes[inside] = shuffled_dinucleotides(codes[inside], rng)
        changes.append(plain(VALUER, ism_window(one, VALUER), codes) - reference)
    np.testing.assert_allclose(found.shuffle, np.mean(changes, axis=0), atol=1e-4)
    np.testing.assert_allclose(found.shuffle_sd, np.std(changes, axis=0), atol=1e-4)


@pytest.mark.parametrize("strand", "+-")
def test_variants_alone_on_the_reference(strand):
    one = gene(strand)
    window = ism_window(one, VALUER).interval
    sites = [(930, 1), (930, 2), (1010, 1), (1010, 2), (1011, 1)]
    records = []
    for position, length in sites:
        ref = SEQUENCE[position : position + length]
        alt = ref[0] if length == 2 else "ACGT"[("ACGT".index(ref) + 1) % 4]
        records.append((position, ref, alt))
    variants = toy_variants(records, np.empty((5, 0, 2)))
    effect = reference_effects(one, variants, VALUER, FETCH)
    reference = value(one, SEQUENCE[window.start : window.end])
    for v, (position, ref, alt) in enumerate(records):
        lost = len(ref) - len(alt)
        left = window.start - (lost if position < one.tss else 0)
        right = window.end + (lost if position >= one.tss else 0)
        text = SEQUENCE[left:position] + alt + SEQUENCE[position + len(ref) : right]
        np.testing.assert_allclose(effect[v], value(one, text) - reference, atol=1e-4)


@pytest.mark.parametrize(
    ("strand", "span", "why"),
    [
        ("+", (701, 720), None),
        ("+", (700, 720), "reaches out of the model's window"),
        ("+", (1190, 1201), "reaches out of the model's window"),
        ("+", (1200, 1210), "beyond the model's window"),
        ("-", (1200, 1210), None),
        ("+", (990, 1001), "the element holds the TSS"),
        ("+", (1001, 1010), None),
        (None, (1201, 1210), "the gene's strand is not known"),
        (None, (1001, 1010), "the gene's strand is not known"),
        (None, (1500, 1510), "beyond the model's window"),
        (None, (990, 1001), "the element holds the TSS"),
    ],
)
def test_misfits_say_why(strand, span, why):
    one = Gene("g", "c", 1000, Strand(strand) if strand else None)
    assert misfit(one, Interval("c", *span), VALUER) == why


def test_a_model_of_the_forward_strand_needs_no_strand():
    model = ToyModel()
    model.window = ModelWindow(300, 200, oriented=False)
    valuer = Valuer(model, model.read_out(), "cpu")
    assert misfit(Gene("g", "c", 1000), Interval("c", 900, 910), valuer) is None
