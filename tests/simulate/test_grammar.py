from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapsight.dna import decode, encode, reverse_complement
from hapsight.errors import ConfigError, InputError
from hapsight.simulate import design
from hapsight.simulate.design import DEFAULT_MOTIFS, Grammar, Motif, read_motifs
from tests.cohort.files import write_table
from tests.simulate import naive

SHORT = (Motif("up", "ACRT", 0.4), Motif("down", "GGNC", -0.2), Motif("same", "TTAA", 0.1))
sequences = st.lists(st.text("ACGTN", min_size=101, max_size=101), min_size=1, max_size=4)


@given(sequences, st.sampled_from([0.0, 0.7]), st.integers(0, 30))
def test_scores_equal_the_naive_twin(texts: list[str], bonus: float, distance: int) -> None:
    grammar = Grammar(SHORT, reach=50, decay=30.0, pair_bonus=bonus, pair_distance=distance)
    codes = np.stack([encode(text) for text in texts])
    wanted = [naive.score(text, grammar) for text in texts]
    np.testing.assert_allclose(grammar.scores(codes), wanted, rtol=1e-12, atol=1e-12)
    counts = [[sum(n == m.name for n, _, _ in naive.found(t, grammar)) for m in SHORT] for t in texts]
    assert grammar.counts(codes).tolist() == counts


@given(sequences)
def test_both_strands_say_the_same(texts: list[str]) -> None:
    grammar = Grammar(SHORT, reach=50, decay=30.0, pair_bonus=0.5)
    codes = np.stack([encode(text) for text in texts])
    np.testing.assert_allclose(grammar.scores(reverse_complement(codes)), grammar.scores(codes), atol=1e-12)


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = np.random.default_rng(1).integers(0, 4, (7, 201)).astype(np.uint8)
    grammar = Grammar(SHORT, reach=100)
    whole = grammar.scores(codes)
    monkeypatch.setattr(design, "_BLOCK_BASES", 402)
    np.testing.assert_array_equal(grammar.scores(codes), whole)


def test_distance_decays_and_sign_is_the_motif_s() -> None:
    grammar = Grammar((Motif("down", "CCATCTTGG", -0.3),), reach=100, decay=50.0)
    codes = np.full((2, 201), 4, dtype=np.uint8)
    codes[0, 96:105] = encode("CCATCTTGG")  # its middle is the TSS
    codes[1, 46:55] = encode("CCAAGATGG")  # the other strand, 50 bases before
    np.testing.assert_allclose(grammar.scores(codes), [-0.3, -0.3 / np.e], rtol=1e-12)


def test_default_motifs_are_rare_by_chance() -> None:
    codes = np.random.default_rng(2).integers(0, 4, (20, 8001)).astype(np.uint8)
    assert 0.5 < Grammar().counts(codes).sum(axis=1).mean() < 3
    assert decode(DEFAULT_MOTIFS[0].patterns[0] * 0) == "A" * 9


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Motif("m", "ACX", 1.0), r"consensus is not valid.*motif m.*'ACX'"),
        (lambda: Motif("m", "ACGT", float("nan")), r"effect is not finite.*nan"),
        (lambda: Grammar(()), r"needs motifs.*no motif"),
        (lambda: Grammar((SHORT[0], SHORT[0])), r"each of its own name.*up, up"),
        (lambda: Grammar(reach=5), r"reach is too small.*9 or more.*5"),
        (lambda: Grammar(decay=0), r"decay is too small.*1 or more.*0"),
    ],
)
def test_what_is_not_valid_is_refused(make: object, words: str) -> None:
    with pytest.raises(ConfigError, match="(?s)" + words):
        make()  # type: ignore[operator]


def test_motifs_from_a_file(tmp_path: Path) -> None:
    path = write_table(tmp_path / "m.tsv", [["name", "consensus", "effect"], ["a", "acgtr", "-0.5"]])
    assert read_motifs(path) == (Motif("a", "ACGTR", -0.5),)
    bad = write_table(tmp_path / "bad.tsv", [["name", "effect"], ["a", "1"]])
    with pytest.raises(ConfigError, match=r"(?s)lacks a column.*name, consensus, effect.*name, effect"):
        read_motifs(bad)
    with pytest.raises(InputError, match="motif is there twice"):
        read_motifs(
            write_table(
                tmp_path / "two.tsv", [["name", "consensus", "effect"], ["a", "ACGT", 1], ["a", "ACGT", 1]]
            )
        )
