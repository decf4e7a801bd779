"""Our reader of bigWigs against pyBigWig, and damaged files."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapsight.cohort.bigwig import BigWig, accessible_elements
from hapsight.errors import InputError

bigwig = pytest.importorskip("pyBigWig")

LENGTH = 60_000


def write(path: Path, kind: str, seed: int) -> Path:
    """Two contigs with values of one kind of block, several blocks of them."""
    rng = np.random.default_rng(seed)
    with bigwig.open(str(path), "w") as file:
        file.addHeader([("chr1", LENGTH), ("chr10", 9_000)])
        for contig, end in (("chr1", LENGTH), ("chr10", 9_000)):
            values = rng.normal(size=2_500).tolist()
            if kind == "fixed":
                file.addEntries(contig, 7, values=values, span=2, step=3)
                continue
            starts = np.sort(rng.choice(np.arange(0, end - 4, 3), 2_500, replace=False))
            if kind == "variable":
                file.addEntries(contig, starts.tolist(), values=values, span=2)
            else:
                ends = (starts + rng.integers(1, 4, len(starts))).tolist()
                file.addEntries([contig] * len(starts), starts.tolist(), ends=ends, values=values)
    return path


@pytest.fixture(scope="module", params=["fixed", "variable", "graph"])
def path(request, tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("bigwig") / "t.bw", request.param, 1)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["chr1", "chr10"]), st.integers(0, LENGTH), st.integers(1, 20_000))
def test_values_are_those_of_pybigwig(path, contig, start, count):
    with BigWig(path) as file, bigwig.open(str(path)) as judge:
        assert file.lengths == judge.chroms()
        length = file.lengths[contig]
        start = start % length
        end = min(start + count, length)
        np.testing.assert_array_equal(
            file.values(contig, start, end), judge.values(contig, start, end, numpy=True)
        )


def test_a_stretch_without_bases_and_one_without_values(path):
    with BigWig(path) as file:
        assert file.values("chr1", 50, 50).shape == (0,)
        assert np.isnan(file.values("chr1", 0, 1)).tolist() == [
            file.values("chr1", 0, 9)[0] != file.values("chr1", 0, 9)[0]
        ]


def spoilt(path: Path, folder: Path, offset: int, content: bytes) -> Path:
    data = bytearray(path.read_bytes())
    data[offset : offset + len(content)] = content
    out = folder / "spoilt.bw"
    out.write_bytes(data)
    return out


def read_all(path: Path) -> None:
    with BigWig(path) as file:
        file.values("chr1", 0, LENGTH)


def test_every_part_that_can_be_damaged_is_told(path, tmp_path):
    index = struct.unpack_from("<Q", path.read_bytes(), 24)[0]
    data = struct.unpack_from("<Q", path.read_bytes(), 16)[0]
    parts = {
        "another kind of file": (0, b"abcd"),
        "no list of contigs": (struct.unpack_from("<Q", path.read_bytes(), 8)[0], b"\0\0\0\0"),
        "no index of the data": (index, b"\0\0\0\0"),
        "index that ends at byte": (index + 50, b"\xff\xff"),
        "a block at byte": (data + 8, b"\0" * 16),
    }
    for message, (offset, content) in parts.items():
        with pytest.raises(InputError, match=rf"no bigWig, or a damaged[\s\S]*spoilt\.bw[\s\S]*{message}"):
            read_all(spoilt(path, tmp_path, offset, content))


def test_an_index_that_leads_in_circles(path, tmp_path):
    index = struct.unpack_from("<Q", path.read_bytes(), 24)[0]
    node = struct.pack("<BBHIIIIQ", 0, 0, 1, 0, 0, 9, 9, index + 48)
    with pytest.raises(InputError, match="leads in circles"):
        read_all(spoilt(path, tmp_path, index + 48, node))


def test_a_file_that_is_empty_or_not_there(tmp_path):
    (tmp_path / "e.bw").touch()
    with pytest.raises(InputError, match=r"damaged one[\s\S]*an empty file"):
        BigWig(tmp_path / "e.bw")
    with pytest.raises(InputError, match="bigWig file is not there"):
        BigWig(tmp_path / "none.bw")


def slow_elements(values: np.ndarray, width: int, times: float) -> list[int]:
    """One place at a time: the highest mean that is left, the first of several."""
    means = {i: values[i : i + width].mean() for i in range(len(values) - width + 1)}
    left, found = {i: m for i, m in means.items() if m >= times * values.mean()}, []
    while left:
        best = min(left, key=lambda i: (-left[i], i))
        found.append(best)
        left = {i: m for i, m in left.items() if abs(i - best) >= width}
    return sorted(found)


@pytest.mark.parametrize("stretch", [7_000_000, 100, 33])
def test_elements_are_those_found_one_at_a_time(tmp_path, monkeypatch, stretch):
    values = np.random.default_rng(3).integers(0, 9, 400).astype(float) ** 3
    values[150:220] = np.nan
    with bigwig.open(str(tmp_path / "t.bw"), "w") as file:
        file.addHeader([("chr1", 400), ("chr2", 50)])
        known = np.flatnonzero(np.isfinite(values))
        file.addEntries(["chr1"] * len(known), known.tolist(), (known + 1).tolist(), values[known].tolist())
    monkeypatch.setattr("hapsight.cohort.bigwig._STRETCH", stretch)
    found = list(accessible_elements(tmp_path / "t.bw", width=8, times=1.5))
    expected = slow_elements(np.nan_to_num(values), 8, 1.5)
    assert found == [("chr1", start, start + 8) for start in expected]
    assert len(expected) > 5
    with pytest.raises(InputError, match="no contig of that name"):
        list(accessible_elements(tmp_path / "t.bw", ["chr7"]))
