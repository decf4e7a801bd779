from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapsight.cohort.nouns import Interval
from hapsight.errors import ConfigError
from hapsight.train.plan import ALWAYS_TEST, parse_interval, split_blocks
from hapsight.train.tracks import Frame, WindowSampler, tiles

REGION = Interval("chr22", 16_000_000, 50_000_000)
FRAME = Frame(bins=16, width=32, crop=3)


def block(start: int, end: int, contig: str = "chr22") -> Interval:
    return Interval(contig, start, end)


class TestSplit:
    def test_the_test_block_is_held_out_unasked(self) -> None:
        found = split_blocks(REGION, validation=[block(20_000_000, 21_000_000)], test=[], guard=100)
        assert found.test == (ALWAYS_TEST,)
        assert found.train == (
            block(16_000_000, 19_999_900),
            block(21_000_100, 35_999_900),
            block(40_500_100, 50_000_000),
        )

    def test_of_any_spelling_and_cut_to_the_region(self) -> None:
        found = split_blocks(block(39_000_000, 45_000_000, "22"), validation=[], test=[], guard=0)
        assert found.test == (block(39_000_000, 40_500_000, "22"),)
        assert split_blocks(block(0, 10, "chr1"), validation=[], test=[], guard=0).test == ()

    def test_test_blocks_that_touch_are_one(self) -> None:
        found = split_blocks(REGION, validation=[], test=[block(40_000_000, 42_000_000)], guard=0)
        assert found.test == (block(36_000_000, 42_000_000),)

    @pytest.mark.parametrize(
        "validation", [[block(40_400_000, 41_000_000)], [block(20, 30), block(17_000_000, 18_000_000)]]
    )
    def test_overlap_and_outside_are_errors(self, validation: list[Interval]) -> None:
        with pytest.raises(ConfigError, match=r"overlap|outside") as caught:
            split_blocks(REGION, validation=validation, test=[], guard=0)
        assert "chr22:" in caught.value.details["got"]

    def test_nothing_left(self) -> None:
        with pytest.raises(ConfigError, match="Nothing is left to train on"):
            split_blocks(block(37_000_000, 38_000_000), validation=[], test=[], guard=0)

    @given(st.lists(st.integers(0, 99), min_size=4, max_size=4, unique=True).map(sorted), st.integers(0, 30))
    def test_trained_on_is_a_guard_away(self, edges: list[int], guard: int) -> None:
        region, (a, b, c, d) = block(0, 100, "chr1"), edges
        held = [block(a, b, "chr1"), block(c, d, "chr1")]
        try:
            found = split_blocks(region, validation=held[:1], test=held[1:], guard=guard)
        except ConfigError as error:
            assert "Nothing is left" in error.what  # noqa: PT017
            return
        trained = {place for one in found.train for place in range(one.start, one.end)}
        near = {place for one in held for place in range(one.start - guard, one.end + guard)}
        assert trained == set(range(100)) - near


class TestParse:
    def test_as_in_a_browser(self) -> None:
        assert parse_interval("chr22:36,000,001-40,500,000") == ALWAYS_TEST

    @pytest.mark.parametrize("text", ["chr22", "chr22:5-4", "chr22:0-4", "22:a-b", ""])
    def test_other_forms(self, text: str) -> None:
        with pytest.raises(ConfigError, match="cannot be read") as caught:
            parse_interval(text)
        assert caught.value.details["got"] == repr(text)


class TestWindows:
    def sampler(self, share: float, blocks: list[Interval], shift: int = 3) -> WindowSampler:
        codes = np.zeros(20_000, np.uint8)
        codes[:2_000] = 4
        active = np.array([5, 150, 151, 400])
        return WindowSampler(codes, blocks, FRAME, active, active_share=share, shift=shift)

    @pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
    def test_windows_never_cross_a_border(self, share: float) -> None:
        blocks = [block(0, 7_001), block(7_100, 13_333)]
        starts = self.sampler(share, blocks).draw(np.random.default_rng(1), 300)
        assert (starts % 8 == 0).all()
        assert (starts >= 2_000 - 0.05 * FRAME.length - 32).all()  # before that nothing is known
        for start in starts:
            assert any(b.start <= start - 3 and start + FRAME.length + 3 <= b.end for b in blocks)

    def test_active_windows_hold_an_active_bin(self) -> None:
        starts = self.sampler(1.0, [block(0, 20_000)]).draw(np.random.default_rng(1), 200)
        first = starts // 32 + FRAME.crop
        assert all(any(a <= bin_ < a + FRAME.kept for bin_ in (150, 151, 400)) for a in first)

    def test_the_same_seed_draws_the_same(self) -> None:
        sampler = self.sampler(0.5, [block(0, 20_000)])
        a, b = (sampler.draw(np.random.default_rng([3, 4]), 20) for _ in range(2))
        np.testing.assert_array_equal(a, b)

    def test_nothing_fits(self) -> None:
        with pytest.raises(ConfigError, match="No window to train on"):
            self.sampler(0.5, [block(5_000, 5_100)])
        with pytest.raises(ConfigError, match="No bin with signal"):
            self.sampler(0.5, [block(14_000, 20_000)])

    def test_tiles_lie_side_by_side(self) -> None:
        blocks = [block(10, 5_000), block(8_000, 9_000)]
        kept = [
            place
            for start in tiles(blocks, FRAME)
            for place in range(start + 3 * 32, start + FRAME.length - 3 * 32)
        ]
        assert len(kept) == len(set(kept))
        for one in blocks:
            inside = sorted(place for place in kept if one.start <= place < one.end)
            assert inside == list(range(inside[0], inside[-1] + 1))
            assert inside[0] - one.start <= 4 * 32
            assert one.end - inside[-1] <= FRAME.length
