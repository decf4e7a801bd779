"""Effects of all genes are read block by block: memory does not grow with genes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from hapsight.cohort.nouns import Dropped, Gene
from hapsight.run.run_folder import peak_mb, reset_peak
from hapsight.stages import eqtl_sets
from hapsight.stages.eqtl_sets import NominalEffects, candidate_controls, own_eqtls, with_frequencies

ROWS = 400_000
"""Of a block: about 40 MB."""


def block(name: str) -> pl.DataFrame:
    """What the eQTL stage has of a gene with very many variants."""
    rng = np.random.default_rng(len(name))
    numbers = {
        column: rng.random(ROWS)
        for column in (
            "af",
            "pval_nominal",
            "slope",
            *(f"slope{s}_half{h}" for s in ("", "_se") for h in (1, 2)),
        )
    }
    place = np.arange(ROWS)
    words = {"variant_id": "v", "ref": "A", "alt": "C", "phenotype_id": name}
    return pl.DataFrame(numbers | {"position": place, "start_distance": place - ROWS // 2}).with_columns(
        **{column: pl.lit(word) for column, word in words.items()}
    )


def peak(genes: int, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Peak memory in MB beyond what was held before, and the rows that came out."""
    names = [f"g{number:03d}" for number in range(genes)]
    units = [
        SimpleNamespace(name=name, key="k", halves=np.array([1, 2] * 10), covariates=None) for name in names
    ]
    store = SimpleNamespace(read=lambda done, table: block(done[0].name))
    cohort = SimpleNamespace(genes=[Gene(name, "chr1", 5) for name in names])
    opened = SimpleNamespace(folder=SimpleNamespace(eqtl=lambda: store), cohort=cohort)
    monkeypatch.setattr(eqtl_sets, "eqtl_units", lambda opened: units)
    monkeypatch.setattr(eqtl_sets, "eqtl_blocks", lambda opened: units)
    turns = list(zip(units, ([gene] for gene in cohort.genes), strict=True))
    monkeypatch.setattr(eqtl_sets, "in_turn", lambda units, genes: iter(turns))
    nominal = NominalEffects(opened)
    reset_peak()
    before = peak_mb()[0]
    eqtls = own_eqtls(opened, nominal, 1.0, Dropped())
    pools = candidate_controls(nominal, eqtls, lambda rows: rows.head(3))
    found = with_frequencies(eqtls, nominal)
    return peak_mb()[0] - before, len(found) + len(pools)


def test_memory_does_not_grow_with_genes(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError as error:
        pytest.skip(f"the peak of this process cannot be counted anew, and would be 0 each time: {error}")
    peak(2, monkeypatch)  # what the allocator keeps
    few, rows = peak(2, monkeypatch)
    many, more = peak(10, monkeypatch)
    assert (rows, more) == (8, 40)
    assert many < few + 160  # eight blocks more hold 40 MB each
