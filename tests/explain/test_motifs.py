"""Motifs that variants make and break, beside a scan written out by hand."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from hapsight.dna import N_CODE, decode, encode, reverse_complement
from hapsight.errors import ConfigError, InputError, MissingExtraError
from hapsight.explain.motifs import (
    AlleleWindow,
    Motif,
    MotifChange,
    flank,
    load_jaspar,
    motif_changes,
    motif_differences,
    scores,
)

SITE = "TGACGTCATT"


def sharp(name: str, site: str, strength: float = 0.97) -> Motif:
    """A motif that wants every base of `site`."""
    other = (1.0 - strength) / 3
    table = np.full((4, len(site)), other)
    table[encode(site), np.arange(len(site))] = strength
    return Motif(name, name, table)


MOTIFS = (sharp("MA1.1", SITE), sharp("MA2.1", "GGGCGGGGCC"))


def window(left: str, ref: str, alt: str, right: str) -> AlleleWindow:
    return AlleleWindow(encode(left), encode(ref), encode(alt), encode(right))


def around(site: str, place: int, alt: str) -> AlleleWindow:
    pad = "ATATATATAT"
    return window(pad + site[:place], site[place], alt, site[place + 1 :] + pad)


def test_scores_are_the_slow_ones():
    rng = np.random.default_rng(3)
    motif = Motif("x", "x", rng.dirichlet(np.ones(4), 7).T)
    sequence = rng.integers(0, 5, 40).astype(np.uint8)
    found = scores(sequence, motif, 12, 15)
    slow = []
    for strand in (1, -1):
        row = []
        for start in range(12 - 6, 15):
            piece = sequence[start : start + 7]
            piece = piece if strand == 1 else reverse_complement(piece)
            bits = [
                np.log2(motif.probability[c, i] + 1e-4) + 2 if c < 4 else -np.inf for i, c in enumerate(piece)
            ]
            row.append(sum(bits))
        slow.append(row)
    np.testing.assert_allclose(found, slow, atol=1e-12)


@pytest.mark.parametrize("turned", [False, True])
def test_gain_and_loss(turned):
    one = around(SITE, 4, "A")
    if turned:
        one = AlleleWindow(*(reverse_complement(p) for p in (one.right, one.ref, one.alt, one.left)))
    other = AlleleWindow(one.left, one.alt, one.ref, one.right)
    loss, gain = motif_changes([one, other], MOTIFS)
    assert (loss.kind, loss.matrix_id, loss.n_lost, loss.n_gained) == ("loss", "MA1.1", 1, 0)
    assert (gain.kind, gain.matrix_id, gain.n_lost, gain.n_gained) == ("gain", "MA1.1", 0, 1)
    assert loss.ref_score == pytest.approx(10 * (np.log2(0.97 + 1e-4) + 2))
    assert (gain.ref_score, gain.alt_score) == (loss.alt_score, loss.ref_score)


def test_a_site_beside_the_variant_does_not_count():
    far = window("ATATATATAT" + SITE, "A", "C", "ATATATATATA")
    assert motif_changes([far], MOTIFS)[0].kind == "none"


def test_both_alleles_hit():
    weak = (Motif("MA3.1", "w", np.column_stack([sharp("", SITE).probability, [0.7, 0.1, 0.1, 0.1]])),)
    change = motif_changes([window("ATATATATATA" + SITE, "A", "C", "ATATATATATA")], weak)[0]
    assert change.kind == "change"
    assert change.ref_score > change.alt_score


def test_a_deletion_and_an_insertion_are_each_others_opposite():
    cut = window("ATATATATAT" + SITE[:4], SITE[4:8], SITE[4], SITE[8:] + "ATATATATAT")
    grown = AlleleWindow(cut.left, cut.alt, cut.ref, cut.right)
    kinds = [change.kind for change in motif_changes([cut, grown], MOTIFS)]
    assert kinds == ["loss", "gain"]


@pytest.mark.parametrize("known", [0, 3, 9])
@pytest.mark.parametrize("side", ["left", "right", "both"])
def test_a_placement_over_an_n_is_not_scored(known, side):
    """The slow twin asks of each motif for itself, with the flanks cut off where N begins."""
    rng = np.random.default_rng(known)
    narrow = Motif("MA9.1", "short", rng.dirichlet(np.ones(4) * 0.3, 4).T)
    motifs, windows, cut = (*MOTIFS, narrow), [], []
    for alt in "CGT" * 20:
        left, right = (rng.integers(0, 4, 9).astype(np.uint8) for _ in range(2))
        far, near = (9 if side == "right" else known), (9 if side == "left" else known)
        left[: 9 - far], right[near:] = N_CODE, N_CODE
        windows.append(AlleleWindow(left, encode("A"), encode(alt), right))
        cut.append((left[9 - far :], right[:near]))
    found = motif_differences(windows, motifs, threshold=0.05)
    for one, (left, right), differences in zip(windows, cut, found, strict=True):
        for index, motif in enumerate(motifs):
            width = motif.probability.shape[1]
            pieces = [np.concatenate([left, allele, right]) for allele in (one.ref, one.alt)]
            if len(pieces[0]) < width:
                assert index not in differences
                continue
            best = [scores(piece, motif, len(left), len(left) + 1).max() for piece in pieces]
            assert differences.get(index, 0.0) in (0.0, pytest.approx(best[1] - best[0]))
    assert (sum(map(len, found)) > 0) == (known > 0 or side != "both")


def test_a_snv_between_n_changes_nothing():
    unknown = "N" * 9
    for one in (window(unknown, "A", "C", unknown), window(unknown, "TG", "T", "ACG" + unknown)):
        assert motif_changes([one], MOTIFS)[0] == MotifChange("none")


def test_equal_alleles_change_nothing_and_no_variant_is_fine():
    same = around(SITE, 4, SITE[4])
    assert motif_changes([same], MOTIFS)[0].kind == "none"
    assert motif_changes([], MOTIFS) == []


def test_hits_have_the_threshold_that_was_asked():
    """Hits of random windows agree with p from enumerating every sequence of the motif's width."""
    rng = np.random.default_rng(5)
    motif = Motif("x", "x", rng.dirichlet(np.ones(4) * 0.5, 6).T)
    words = np.indices((4,) * 6).reshape(6, -1).T.astype(np.uint8)
    all_scores = np.sort(motif.log_odds[words, np.arange(6)].sum(axis=1))
    windows = [
        AlleleWindow(*(rng.integers(0, 4, n).astype(np.uint8) for n in (5, 1, 1, 5))) for _ in range(300)
    ]
    changes = motif_changes(windows, [motif], threshold=0.01)
    for one, change in zip(windows, changes, strict=True):
        best = [scores(one.sequence(a), motif, 5, 6).max() for a in (one.ref, one.alt)]
        p = [1 - np.searchsorted(all_scores, b - 0.05) / len(words) for b in best]
        if change.n_gained:
            assert p[1] < 0.011
        if change.n_lost:
            assert p[0] < 0.011
    assert sum(change.n_gained + change.n_lost for change in changes) > 20


@pytest.mark.parametrize("strength", [0.82, 0.86, 0.91, 0.94])
def test_p_is_that_of_the_score_or_a_higher_one(strength):
    """Of 8 columns that want one base each: 4^-8 the best word, 25 times that a word with one mismatch."""
    one, motif = around(SITE[:8], 4, "A"), sharp("MA3.1", SITE[:8], strength)
    kinds = [motif_changes([one], [motif], threshold=p)[0].kind for p in (1.5e-5, 1.6e-5, 3.8e-4, 3.9e-4)]
    assert kinds == ["none", "loss", "loss", "change"]


def test_neighbours_must_reach():
    with pytest.raises(InputError, match="shorter than the motifs reach") as error:
        motif_changes([window("ACGT", "A", "C", "ACGTACGTACGT")], MOTIFS)
    assert "9 bases" in str(error.value)
    assert flank(MOTIFS) == 9


def test_jaspar_is_read_whole():
    motifs = load_jaspar()
    assert len(motifs) > 800
    ctcf = next(m for m in motifs if m.name == "CTCF" and m.matrix_id.startswith("MA0139"))
    np.testing.assert_allclose(ctcf.probability.sum(axis=0), 1.0)
    best = decode(ctcf.probability.argmax(axis=0).astype(np.uint8))
    assert "CCACCAGGGGG" in best or "CCAGCAGGGGG" in best
    with pytest.raises(ConfigError, match="no such release") as error:
        load_jaspar("JASPAR1999")
    assert "JASPAR2024" in str(error.value)
    with pytest.raises(ConfigError, match="no matrix of this group"):
        load_jaspar(tax_group="unicorns")


def test_the_extra_is_asked_for(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        sys.modules["hapsight.explain.motifs"], "find_spec", lambda n: None if n == "pyjaspar" else real(n)
    )
    with pytest.raises(MissingExtraError, match="Motifs need packages") as error:
        load_jaspar()
    assert "missing: pyjaspar" in str(error.value)
    assert "hapsight[motifs]" in str(error.value)
