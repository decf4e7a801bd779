"""PGEN and the tables beside it: one of the three spoilt, the other two good."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pysam

from hapsight.cohort.nouns import Interval
from hapsight.cohort.pgen import PgenFile
from tests.cohort.pgen_files import write_pgen
from tests.fuzz.genomes import LENIENT, good_vcf
from tests.fuzz.harness import rows_of

SUFFIXES = (".pgen", ".pvar", ".psam")


@cache
def good_files() -> dict[str, bytes]:
    """A good file for each suffix."""
    with tempfile.TemporaryDirectory() as folder:
        vcf = Path(folder) / "v.vcf"
        vcf.write_bytes(good_vcf())
        pysam.set_verbosity(0)
        path = write_pgen(vcf, Path(folder) / "v.pgen")
        return {suffix: path.with_suffix(suffix).read_bytes() for suffix in SUFFIXES}


_END = 2**62
"""Of what is read: a position behind it is in no window."""


def good(suffix: str) -> Callable[[], bytes]:
    return lambda: good_files()[suffix]


def plink(path: Path) -> None:
    """Every ALT of every row of the .pvar must be a row or counted, every person of the .psam be there."""
    for suffix in SUFFIXES:
        if suffix != path.suffix:
            path.with_suffix(suffix).write_bytes(good_files()[suffix])
    file = PgenFile(path.with_suffix(".pgen"), policy=LENIENT)
    assert len(file.samples) == len(rows_of(path.with_suffix(".psam"))) - 1
    seen = 0
    for contig in file.contigs:
        variants, dropped = file.read(Interval(contig, 0, _END))
        seen += len(variants)
        seen += sum(n for (kind, _), n in dropped.counts.items() if kind == "variant")
        assert set(np.unique(variants.alleles)) <= {0, 1}
        assert file.expected_records(Interval(contig, 0, _END)) >= 0
    places = [row.split() for row in rows(path.with_suffix(".pvar"))]
    assert seen == sum(row[4].count(b",") + 1 for row in places if 1 <= int(row[1]) <= _END)


def rows(path: Path) -> list[bytes]:
    """Lines behind the header line, which is the first without ``##``; a later one is a row like any."""
    lines = [line for line in path.read_bytes().split(b"\n") if line]
    comments = next((i for i, line in enumerate(lines) if not line.startswith(b"##")), len(lines))
    return lines[comments + 1 :]
