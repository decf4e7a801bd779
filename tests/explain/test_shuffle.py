"""Shuffles keep every dinucleotide, and are shuffles."""

from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hapsight.dna import decode, encode
from hapsight.explain.elements import shuffled_dinucleotides


@given(st.text("ACGTN", max_size=60), st.integers(0, 2**32))
def test_dinucleotides_and_ends_stay(sequence, seed):
    codes = encode(sequence)
    found = decode(shuffled_dinucleotides(codes, np.random.default_rng(seed)))
    assert Counter(pairwise(found)) == Counter(pairwise(sequence))
    assert found[:1] == sequence[:1]
    assert found[-1:] == sequence[-1:]


def test_every_walk_is_as_likely_as_another():
    """AACATA has the walks that order AA, AC, AT freely, the way back to A after each."""
    rng = np.random.default_rng(1)
    codes = encode("AACATA")
    seen = Counter(decode(shuffled_dinucleotides(codes, rng)) for _ in range(3000))
    walks = {"AACATA", "AATACA", "ACAATA", "ATAACA", "ACATAA", "ATACAA"}
    assert set(seen) == walks
    assert min(seen.values()) > 400  # 500 expected, standard deviation 20


def test_the_input_stays_as_it_is():
    codes = encode("ACGTACGGTTACA")
    before = codes.copy()
    shuffled_dinucleotides(codes, np.random.default_rng(0))
    np.testing.assert_array_equal(codes, before)
