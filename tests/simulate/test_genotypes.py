from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hapsight.cohort.join import Cohort
from hapsight.cohort.nouns import Gene, Interval
from hapsight.simulate import mosaic as genotypes
from hapsight.simulate.mosaic import SimulatedGenotypes, draw_mosaic, draw_people, spans_of
from tests.simulate.source import open_source

WHOLE = Interval("chr1", 0, 15_000)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return open_source(tmp_path_factory.mktemp("source"))


def simulated(source: Cohort, *spans: Interval) -> SimulatedGenotypes:
    rng = np.random.default_rng(1)
    people = draw_people(source.populations, 5, rng)
    mosaic = draw_mosaic(people, source.populations, WHOLE, 1e-3, rng)
    return SimulatedGenotypes(source.genotypes, source.reference, mosaic, spans)


def deletions(source: Cohort) -> list[int]:
    variants, _ = source.genotypes.read(WHOLE)
    found = [int(p) for p, e in zip(variants.position, variants.end, strict=True) if e - p == 3]
    assert len(found) > 3
    return found


def test_spans_join_where_they_touch_and_stay_on_the_contig() -> None:
    genes = [Gene(str(tss), "c", tss) for tss in (500, 50, 231)]
    assert spans_of(genes, 90) == (Interval("c", 0, 322), Interval("c", 410, 591))


def test_only_variants_that_begin_in_a_span_are_there(source: Cohort) -> None:
    first, second, *_ = deletions(source)
    spans = (Interval("chr1", first + 1, first + 900), Interval("chr1", second, second + 300))
    read = simulated(source, *spans)
    position = read(WHOLE).position.tolist()
    known = source.genotypes.read(WHOLE)[0].position.tolist()
    assert position == [p for p in known if any(s.start <= p < s.end for s in spans)]
    assert second in position
    written = [p for part in read.stretches() for p in part.position.tolist()]
    assert written == [p for s in spans for p in known if s.start <= p < s.end]


def test_stretches_that_cut_a_deletion_give_it_once(source: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = deletions(source)[1]
    span = Interval("chr1", cut - 400, cut + 400)
    read = simulated(source, span)
    monkeypatch.setattr(genotypes, "_STRETCH", 401)  # the second stretch begins inside the deletion
    parts = list(read.stretches())
    whole = read(span)
    assert len(parts) == 2
    np.testing.assert_array_equal(np.concatenate([p.position for p in parts]), whole.position)
    np.testing.assert_array_equal(np.concatenate([p.alleles for p in parts]), whole.alleles)


def test_overlapping_spans_are_one(source: Cohort, tmp_path: Path) -> None:
    (span,) = spans_of([gene for gene in source.genes if gene.gene_id in ("g2", "g3")], 600)
    assert (span.start, span.end) == (4_399, 6_400)
