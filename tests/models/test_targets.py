from __future__ import annotations

from pathlib import Path

import pytest

from hapsight.errors import ConfigError, WeightsError
from hapsight.models.protocol import Track
from hapsight.models.tracks import UNITS, find_tracks, human_tracks, read_targets, unnamed_tracks

HEADER = "index\tgenome\tidentifier\tfile\tclip\tscale\tsum_stat\tdescription\n"
DESCRIPTIONS = [
    "DNASE:GM12878",
    "CHIP:CTCF:MCF-7",
    "CAGE:brain, adult,",
    "CAGE:brain, adult, pool1",
    "CAGE:leukemia cell line:THP-1",
    "DNASE:GM12878",
]


def write_list(path: Path, descriptions: list[str] = DESCRIPTIONS) -> Path:
    rows = [f"{i}\t0\tEXP{i}\t/a/file\t32\t2\tmean\t{text}\n" for i, text in enumerate(descriptions)]
    path.write_text(HEADER + "".join(rows))
    return path


@pytest.fixture
def tracks(tmp_path: Path) -> tuple[Track, ...]:
    return read_targets(write_list(tmp_path / "list.txt"))


class TestRead:
    def test_parts_of_the_description(self, tracks: tuple[Track, ...]) -> None:
        assert tracks[0] == Track("EXP0", "DNASE", "GM12878", ".", UNITS)
        assert (tracks[1].assay, tracks[1].cell_type) == ("CHIP:CTCF", "MCF-7")
        assert (tracks[4].assay, tracks[4].cell_type) == ("CAGE", "leukemia cell line:THP-1")

    def test_the_published_list(self, shared_data: Path) -> None:
        tracks = read_targets(shared_data / "published" / "enformer_basenji2_targets_human.tsv")
        assert len(tracks) == 5313
        assert (tracks[5110].name, tracks[4980].name) == ("CNhs12333", "CNhs11796")
        assert (tracks[5110].assay, tracks[4980].cell_type) == ("CAGE", "brain, adult,")
        assert find_tracks(tracks, ["cage:b lymphoblastoid cell line: gm12878", "CAGE:brain, adult,"]) == (
            5110,
            4980,
        )

    def test_lacking_columns(self, tmp_path: Path) -> None:
        (tmp_path / "list.txt").write_text("index\tname\n0\tx\n")
        message = (
            r"lacks columns.\n  where: .*list.txt\n.*index, identifier, description\n  got: index, name$"
        )
        with pytest.raises(WeightsError, match=message):
            read_targets(tmp_path / "list.txt")

    def test_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "list.txt").touch()
        with pytest.raises(WeightsError, match=r"lacks columns.\n(.*\n)*  got: an empty file"):
            read_targets(tmp_path / "list.txt")

    @pytest.mark.parametrize(
        "line", ["7\t0\tEXP1\tf\t1\t1\tsum\tCAGE:x\n", "1\t0\tEXP1\n", "1\t0\t\tf\t1\t1\ts\tx\n"]
    )
    def test_a_broken_line(self, tmp_path: Path, line: str) -> None:
        path = write_list(tmp_path / "list.txt", DESCRIPTIONS[:1])
        path.write_text(path.read_text() + line)
        with pytest.raises(WeightsError, match=r"count up from 0.*\n  where: .*line 3\n  expected: index 1"):
            read_targets(path)


class TestHuman:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HAPSIGHT_WEIGHTS", str(tmp_path))

    def test_named_where_the_list_is(self, tmp_path: Path) -> None:
        assert [track.name for track in human_tracks(2)] == ["track 0", "track 1"]
        write_list(tmp_path / "targets_human.txt")
        assert human_tracks(6)[5].name == "EXP5"

    def test_a_list_of_another_model(self, tmp_path: Path) -> None:
        write_list(tmp_path / "targets_human.txt")
        with pytest.raises(
            WeightsError, match=r"of another model.\n.*\n  expected: 5,313 tracks\n  got: 6\n"
        ):
            human_tracks(5313)


class TestFind:
    def test_by_index_name_and_description(self, tracks: tuple[Track, ...]) -> None:
        assert find_tracks(tracks, 3) == (3,)
        assert find_tracks(tracks, "exp5") == (5,)
        assert find_tracks(tracks, ["MCF-7", 0, "thp-1"]) == (1, 0, 4)

    def test_the_whole_description_beats_a_part(self, tracks: tuple[Track, ...]) -> None:
        assert find_tracks(tracks, "CAGE:brain, adult,") == (2,)

    def test_ambiguous_text_lists_candidates(self, tracks: tuple[Track, ...]) -> None:
        message = r"'CAGE:brain' fits 2 tracks.*\n.*\n  got: 2 \(EXP2, CAGE:brain, adult,\); 3 \(EXP3"
        with pytest.raises(ConfigError, match=message):
            find_tracks(tracks, "CAGE:brain")

    def test_two_tracks_of_one_description_are_ambiguous(self, tracks: tuple[Track, ...]) -> None:
        with pytest.raises(ConfigError, match=r"fits 2 tracks.*\n.*\n  got: 0 .*; 5 "):
            find_tracks(tracks, "DNASE:GM12878")

    def test_long_lists_are_cut(self) -> None:
        with pytest.raises(ConfigError, match=r"fits 30 tracks.*\n.*\n.*track 7, .*\); and 22 more\n"):
            find_tracks(unnamed_tracks(30), "track")

    def test_no_match(self, tracks: tuple[Track, ...]) -> None:
        with pytest.raises(ConfigError, match=r"'liver' fits no tracks.*\n  expected: an index 0 to 5"):
            find_tracks(tracks, "liver")
        with pytest.raises(ConfigError, match=r"'' fits no tracks"):
            find_tracks(tracks, " ".strip())

    def test_no_names(self) -> None:
        with pytest.raises(
            ConfigError,
            match=r"no names here; run `hapsight models fetch enformer`, or download .*targets_human.txt",
        ):
            find_tracks(unnamed_tracks(5), "GM12878")

    def test_out_of_range_and_doubled(self, tracks: tuple[Track, ...]) -> None:
        with pytest.raises(ConfigError, match=r"no track 6.\n  expected: 0 to 5\n  got: 6"):
            find_tracks(tracks, 6)
        with pytest.raises(ConfigError, match=r"none twice.\n  got: \['MCF-7', 1\], tracks \[1, 1\]"):
            find_tracks(tracks, ["MCF-7", 1])
        with pytest.raises(ConfigError, match="at least one"):
            find_tracks(tracks, [])
