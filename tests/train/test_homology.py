"""Homologs: shared k-mers beside Python's sets, and beside a local alignment."""

import numpy as np
import pytest

from hapsight.cohort.nouns import Interval
from hapsight.dna import decode, encode, reverse_complement
from hapsight.errors import ConfigError
from hapsight.train import splits
from hapsight.train.splits import (
    Homologs,
    K,
    Split,
    across_split,
    canonical_kmers,
    find_homologs,
    leave_out_homologs,
)


def drawn(seed: int, length: int = 600) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, length).astype(np.uint8)


def changed(codes: np.ndarray, share: float, seed: int) -> np.ndarray:
    """A share of the bases exchanged for others."""
    rng, found = np.random.default_rng(seed), codes.copy()
    where = rng.random(len(codes)) < share
    found[where] = (found[where] + rng.integers(1, 4, where.sum())) % 4
    return found


def slowly(codes: np.ndarray, k: int = K) -> set[str]:
    """Canonical k-mers by strings; those with N, or of a unit of 1 to 6 bases, left out."""
    text, found = decode(codes), set()
    for place in range(len(text) - k + 1):
        one = text[place : place + k]
        periods = [p for p in range(1, 7) if all(a == b for a, b in zip(one, one[p:], strict=False))]
        if "N" not in one and not periods:
            found.add(min(one, decode(reverse_complement(encode(one)))))
    return found


def windows(*codes: np.ndarray, apart: int = 10_000):
    return [(f"g{n}", Interval("chr1", n * apart, n * apart + len(one)), one) for n, one in enumerate(codes)]


def found_in(*codes: np.ndarray, **given) -> list[Homologs]:
    return find_homologs(windows(*codes), sum(map(len, codes)), **given)


@pytest.mark.parametrize("k", [15, 21, 31])
def test_kmers_are_those_of_pythons_sets(k):
    codes = drawn(1, 400)
    codes[50:60] = 4
    codes[100:160] = np.tile([0, 1], 30)
    codes[200:260] = np.tile([2, 0, 3, 3, 1, 0], 10)
    numbers = canonical_kmers(codes, k).tolist()
    text = [decode(np.array([(one >> 2 * i) & 3 for i in range(k - 1, -1, -1)])) for one in numbers]
    assert len(text) == len(set(text))
    assert set(text) == slowly(codes, k)
    np.testing.assert_array_equal(canonical_kmers(codes, k), canonical_kmers(reverse_complement(codes), k))
    assert len(canonical_kmers(codes[: k - 1], k)) == 0


def test_pairs_are_those_of_pythons_sets():
    first = drawn(1)
    codes = [
        first,
        changed(first, 0.02, 2),
        np.ascontiguousarray(reverse_complement(changed(first, 0.05, 3))),
        np.concatenate([drawn(4, 400), first[:200]]),
        drawn(5),
    ]
    kmers = [slowly(one) for one in codes]
    expected = {}
    for i, one in enumerate(kmers):
        for j, other in enumerate(kmers[i + 1 :], start=i + 1):
            share = len(one & other) / min(len(one), len(other))
            if share >= 0.1:
                expected[f"g{i}", f"g{j}"] = (len(one & other), pytest.approx(share))
    found = found_in(*codes)
    assert len(expected) >= 4
    assert {pair[:2]: pair[2:] for pair in found} == expected
    assert [pair.contained for pair in found] == sorted((p.contained for p in found), reverse=True)


def test_containment_goes_with_the_identity_of_a_local_alignment():
    align = pytest.importorskip("Bio.Align")
    aligner = align.PairwiseAligner(mode="local", match_score=2, mismatch_score=-3)
    aligner.open_gap_score, aligner.extend_gap_score = -5, -2
    first = drawn(6)
    copies = [changed(first, share, seed) for seed, share in enumerate((0.01, 0.03, 0.06, 0.1))]
    others = [*copies, drawn(7)]
    scores = [aligner.score(decode(first), decode(one)) for one in others]
    contained = [max((p.contained for p in found_in(first, one, least=0.0)), default=0.0) for one in others]
    assert np.argsort(scores).tolist() == np.argsort(contained).tolist()
    assert contained[-1] == 0.0


@pytest.mark.parametrize("share", [0.01, 0.03, 0.06, 0.1])
def test_containment_is_the_share_of_kmers_without_a_change(share):
    first = drawn(6, 60_000)
    given = windows(first, changed(first, share, 1), apart=100_000)
    (pair,) = find_homologs(given, 120_000, least=0.0)
    assert pair.contained == pytest.approx((1 - share) ** K, abs=0.03)


def test_what_overlaps_or_repeats_is_no_homology():
    first = drawn(8, 800)
    overlapping = [
        ("a", Interval("chr1", 0, 600), first[:600]),
        ("b", Interval("chr1", 200, 800), first[200:]),
    ]
    assert find_homologs(overlapping, 1200) == []
    elsewhere = [overlapping[0], ("b", Interval("chr2", 200, 800), first[200:])]
    assert len(find_homologs(elsewhere, 1200)) == 1
    repeat = drawn(9, 300)
    many = [np.concatenate([drawn(100 + n, 300), repeat]) for n in range(25)]
    assert found_in(*many) == []  # 25 windows share it
    assert len(found_in(*many[:5])) == 10
    satellite = np.tile([0, 3, 2, 2, 0], 120).astype(np.uint8)
    assert found_in(satellite, satellite) == []
    assert found_in(first) == found_in() == []


def test_of_many_bases_an_even_sample_tells_the_same(monkeypatch):
    first = drawn(10, 6_000)
    codes = [first, changed(first, 0.02, 11), drawn(12, 6_000)]
    exact = found_in(*codes)
    monkeypatch.setattr(splits, "_MOST", 4_000)
    (sampled,) = found_in(*codes)
    assert sampled[:2] == exact[0][:2]
    assert sampled.shared < exact[0].shared / 2
    assert sampled.contained == pytest.approx(exact[0].contained, abs=0.06)


def test_pairs_across_a_split_are_named_and_may_be_left_out():
    split = Split(("a",), ("b",), ("c",), ("s1", "s2", "s3"), ("u1", "u2"), ("x",))
    pairs = [
        Homologs("u1", "s2", 9, 0.9),
        Homologs("s1", "s3", 8, 0.8),
        Homologs("u1", "u2", 7, 0.7),
        Homologs("x", "u1", 6, 0.6),
    ]
    assert across_split(pairs, split) == [Homologs("s2", "u1", 9, 0.9)]
    left = leave_out_homologs(pairs, split)
    assert (left.seen_genes, left.unseen_genes, left.guard_genes) == (("s1", "s3"), ("u1", "u2"), ("x", "s2"))
    assert across_split(pairs, left) == []
    only = Split(("a",), ("b",), ("c",), ("s2",), ("u1",))
    with pytest.raises(ConfigError, match="seen genes"):
        leave_out_homologs(pairs, only)
