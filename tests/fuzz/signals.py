"""bigWigs: measured tracks, and conservation."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hapsight.models.protocol import Track
from hapsight.stages.driver_context import add_conservation
from hapsight.train.tracks import TrackFile, read_signal

LENGTH = 2_000
TRACK = Track("t", "", "", ".", "")


@cache
def good_bigwig() -> bytes:
    """Two contigs, one with a value for every other base."""
    bigwig = pytest.importorskip("pyBigWig", reason="the extra `explain` is not installed")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.bw"
        with bigwig.open(str(path), "w") as file:
            file.addHeader([("chr1", LENGTH), ("chr2", 500)])
            starts = np.arange(0, LENGTH, 2)
            starts, values = starts.tolist(), (starts / 8.0).tolist()
            ends = [start + 1 for start in starts]
            file.addEntries(["chr1"] * len(starts), starts, ends=ends, values=values)
        return path.read_bytes()


def signal(path: Path) -> None:
    """All cells of a contig, finite and not negative; never from what another file left in the cache."""
    with tempfile.TemporaryDirectory() as cache_folder:
        found = read_signal([TrackFile(TRACK, path, "sum", 1e6)], "chr1", LENGTH, Path(cache_folder))
        assert found.cells.shape == (1, LENGTH // 8)
        assert np.isfinite(found.cells).all()
        assert (found.cells >= 0).all()


def conservation(path: Path) -> None:
    """Every row gets a number or None."""
    rows = [{"contig": "chr1", "position": place, "ref": "AC"} for place in (0, 700, LENGTH - 1, LENGTH + 5)]
    add_conservation(rows, path)
    for row in rows:
        assert row["conservation"] is None or np.isfinite(row["conservation"])
