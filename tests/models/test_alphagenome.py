"""What of AlphaGenome needs no package: options, tables, tracks, read-outs; the rest is in tests/verify."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapsight.errors import ConfigError, MissingExtraError, WeightsError
from hapsight.models.alphagenome import DECODED, STRIDE, _encoded, _regions
from hapsight.models.alphagenome_files import load
from hapsight.models.alphagenome_tracks import (
    EXAMPLE,
    HEADS,
    TrackRow,
    exon_bases,
    listed_tracks,
    read_outs_of,
    read_track_table,
    window_bases,
)

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
WINDOW = 16_384
ROWS = [
    ("OutputType.DNASE", "EFO:1 DNase-seq", ".", "GM12878", "EFO:0002784"),
    ("CHIP_TF", "EFO:1 CTCF", ".", "GM12878", "EFO:0002784"),
    ("cage", "hCAGE EFO:1", "+", "GM12878", "EFO:0002784"),
    ("cage", "hCAGE EFO:1", "-", "GM12878", "EFO:0002784"),
    ("cage", "hCAGE CL:2", "+", "B cell", "CL:2"),
    ("cage", "hCAGE CL:2", "-", "B cell", "CL:2"),
    ("cage", "Padding", "", "", ""),
]
MASKS = {"dnase": [True], "cage": [True, True, False, True, True]}


def write_table(path: Path, rows=ROWS, delimiter="\t") -> Path:
    header = ("output_type", "name", "strand", "biosample_name", "ontology_curie")
    path.write_text("".join(delimiter.join(row) + "\n" for row in (header, *rows)))
    return path


def rows(tmp_path: Path) -> tuple[TrackRow, ...]:
    return read_track_table(write_table(tmp_path / "tracks.tsv"))


def test_it_is_offered_by_name_and_its_extra_brings_the_package():
    assert (
        PROJECT["entry-points"]["hapsight.models"]["alphagenome"] == "hapsight.models.alphagenome_files:load"
    )
    assert any(need.startswith("alphagenome-pt") for need in PROJECT["optional-dependencies"]["alphagenome"])


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "alphagenome_pt", None)
    with pytest.raises(MissingExtraError) as raised:
        load("random:0", width=24)
    extra = re.search(r"pip install 'hapsight\[(\w+)\]'", str(raised.value))[1]
    assert extra in PROJECT["optional-dependencies"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 32}, "a multiple of 24, up to 768"),
        ({"layers": 0}, "1 to 9"),
        ({"dtype": "bfloat16"}, "float32, float64"),
        ({"transcripts": ["T1"]}, "names in a GTF"),
        ({"gtf": "none.gtf"}, "no such GTF"),
        ({"gtf": __file__, "exons": [[0, 1]]}, "given twice"),
    ],
)
def test_wrong_options_are_told_before_anything_is_loaded(options, message):
    with pytest.raises(ConfigError, match=message):
        load("random:0", **options)


def test_the_table_is_read_in_each_form(tmp_path):
    found = rows(tmp_path)
    assert found[0] == TrackRow("dnase", "EFO:1 DNase-seq", ".", ("GM12878", "EFO:0002784"))
    assert [row.padding for row in found] == [False] * 5 + [True]  # and the ChIP track is another head's
    assert read_track_table(write_table(tmp_path / "tracks.csv", delimiter=",")) == found
    heads = {head: {"records": []} for head in HEADS}
    for head, name, strand, cell, curie in ROWS:
        record = {"name": name, "strand": strand or None, "biosample_name": cell or None}
        record |= {"ontology_curie": curie or None}
        heads.setdefault(head.rpartition(".")[2].casefold(), {"records": []})["records"].append(record)
    raw = tmp_path / "alphagenome_metadata_raw.json"
    raw.write_text(json.dumps({"organisms": {"human": heads, "mouse": {}}}))
    assert read_track_table(raw) == found


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.tsv", "name\tstrand\n", "lacks columns"),
        ("t.tsv", "", "an empty file"),
        ("t.tsv", "output_type\tname\tstrand\tbiosample_name\ncage\tx\t?\tGM12878\n", "line 2"),
        ("t.tsv", "output_type\tname\tstrand\tbiosample_name\ncage\n", "a name, and a strand"),
        ("t.json", "[]", "cannot be read"),
        ("t.json", "{", "cannot be read"),
        ("t.json", "[" * 100_000, "cannot be read"),
        ("t.json", '{"organisms": {"mouse": {}}}', "no human ones"),
        ("t.json", '{"organisms": {"human": {"cage": 3}}}', "is broken"),
        ("t.json", '{"organisms": {"human": {"cage": {"records": [3]}}}}', "is broken"),
    ],
)
def test_a_broken_table_is_an_error(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(WeightsError, match=message):
        read_track_table(tmp_path / name)


def test_tracks_know_their_output_and_other_strand(tmp_path):
    found = listed_tracks(MASKS, rows(tmp_path))
    assert [(one.head, one.row, one.pair) for one in found] == [
        ("dnase", 0, 0),
        ("cage", 0, 2),
        ("cage", 1, 1),
        ("cage", 3, 4),
        ("cage", 4, 3),
    ]


def test_a_table_of_other_weights_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="2 tracks of cage"):
        listed_tracks({"dnase": [True], "cage": [True, True]}, rows(tmp_path))


def test_without_a_table_tracks_have_numbers_and_no_strand():
    found = listed_tracks(MASKS, None)
    assert [one.track.name for one in found] == ["dnase 0", "cage 0", "cage 1", "cage 3", "cage 4"]
    assert {one.pair for one in found} == {None}
    with pytest.raises(ConfigError, match="have no names here"):
        read_outs_of(found, WINDOW, "GM12878", None, None, "sum")
    (only,) = read_outs_of(found, WINDOW, "GM12878", None, [4, 0], "sum")
    assert (only.name, only.tracks, len(only.bins)) == ("tracks", (4, 0), 501)


def test_tracks_of_one_name_are_told_apart_and_paired():
    row = TrackRow("rna_seq", "x", "+", ("A",))
    twice = [row, TrackRow("rna_seq", "x", "-", ("A",))] * 2
    found = listed_tracks({"rna_seq": [True] * 4}, twice)
    assert [one.track.name for one in found] == ["x +", "x -", "x + (2)", "x - (2)"]
    assert [one.pair for one in found] == [1, 0, 3, 2]


@pytest.mark.parametrize("cell", ["GM12878", "gm12878 ", "EFO:0002784"])
def test_read_outs_have_the_cells_tracks(tmp_path, cell):
    every = read_outs_of(listed_tracks(MASKS, rows(tmp_path)), WINDOW, cell, None, None, "sum")
    found = {one.name: one for one in every}
    assert list(found) == ["cage", "dnase"]
    assert found["cage"].tracks == (1,)  # both strands are summed
    assert found["cage"].bins == tuple(range(WINDOW // 2 - 250, WINDOW // 2 + 251))
    assert found["cage"].reduce == "sum_strands"


def test_another_cell_is_told_which_there_are(tmp_path):
    with pytest.raises(ConfigError, match="B cell, GM12878"):
        read_outs_of(listed_tracks(MASKS, rows(tmp_path)), WINDOW, "HeLa", None, None, "sum")


def test_the_example_has_every_read_out():
    masks = {head: [True] * sum(row.head == head for row in EXAMPLE) for head in HEADS}
    found = read_outs_of(listed_tracks(masks, EXAMPLE), WINDOW, "K562", (5, 6), "CAGE K562 -", "mean")
    assert [one.name for one in found] == ["tracks", "cage", "procap", "dnase", "atac", "rna_seq"]
    assert found[0].bins == found[-1].bins == (5, 6)


def test_exons_are_bases_of_the_window():
    assert exon_bases([[-2, 1], [0, 3]], WINDOW) == tuple(range(WINDOW // 2 - 2, WINDOW // 2 + 3))
    assert window_bases([(-WINDOW, 2 - WINDOW // 2), (WINDOW // 2 - 1, WINDOW)], WINDOW) == (0, 1, WINDOW - 1)
    for wrong in ([[3, 3]], [[0, WINDOW]], [[-WINDOW, 0]], [[1]], [[0.0, 5.0]], []):
        with pytest.raises(ConfigError, match="'exons'"):
            exon_bases(wrong, WINDOW)


@given(st.sets(st.integers(0, WINDOW - 1), min_size=1, max_size=30))
def test_regions_hold_every_base_once_and_what_its_decoding_needs(bases):
    positions = WINDOW // STRIDE
    regions = _regions(tuple(sorted(bases)), positions)
    assert sorted(base for region in regions for base in region.bins) == sorted(bases)
    for region in regions:
        first, last = _encoded(region, positions)
        for base in region.bins:
            assert region.start <= base // STRIDE < region.end
            assert region.first * STRIDE <= max(0, base - 762)
            assert region.last * STRIDE >= min(WINDOW, base + 763)
            assert first * STRIDE <= max(0, base - 1019)
            assert last * STRIDE >= min(WINDOW, base + 1020)
    assert all(a.last <= b.first + 2 * DECODED for a, b in pairwise(regions))
