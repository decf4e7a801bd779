"""Units of about equal predicted work: what is in them, and that they are nobody's but the run's."""

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from hapsight.cohort.nouns import Gene
from hapsight.cohort.tables import stream_table
from hapsight.engine.cost import Cost
from hapsight.errors import IncompleteError
from hapsight.models.protocol import ReadOut
from hapsight.run import blocks
from hapsight.run.baselines import baseline_runs, baseline_units
from hapsight.run.blocks import (
    KeyedBlock,
    blocks_of_size,
    even_blocks,
    in_gene_order,
    linear_blocks,
    model_target,
    scan_in_gene_order,
)
from hapsight.run.config import load_config
from hapsight.run.crew import staffed
from hapsight.run.opened import Opened
from hapsight.run.store import UnitStore
from hapsight.stages.baseline import fit_baselines
from hapsight.stages.eqtl import eqtl_units
from hapsight.stages.predict import load_models
from tests.engine.toy_shared import ToyShared
from tests.planted import ToyModel, quiet, write_planted

TARGET = 100.0


def genes_of(costs, contigs=None):
    """Genes g0, g1, ..., and what each costs."""
    names = contigs or ["chr1"] * len(costs)
    genes = [Gene(f"g{i}", contig, 1000 * i) for i, contig in enumerate(names)]
    return genes, dict(zip((gene.gene_id for gene in genes), costs, strict=True))


def cut(genes, cost, target=TARGET):
    return even_blocks(genes, lambda gene: cost[gene.gene_id], target)


@given(st.lists(st.tuples(st.floats(0, 500), st.integers(0, 2)), max_size=120))
def test_all_genes_once_in_order_within_contigs_and_limits(given_genes):
    ordered = sorted(given_genes, key=lambda one: one[1])
    genes, cost = genes_of([c for c, _ in ordered], [f"chr{n}" for _, n in ordered])
    found = cut(genes, cost)
    assert [gene for _, block in found for gene in block] == genes
    assert [name for name, _ in found] == [f"block-{n:05d}" for n in range(len(found))]
    assert found == cut(genes, cost)
    for _, block in found:
        costs = [cost[gene.gene_id] for gene in block]
        assert len(block) <= 33
        assert len({gene.contig for gene in block}) == 1
        least = [max(one, TARGET / 32) for one in costs]
        assert sum(least) <= TARGET + (least[0] + least[-1]) / 2 + 1e-6


def test_genes_that_come_behind_leave_the_blocks_before_as_they_are():
    genes, cost = genes_of(np.random.default_rng(1).gamma(0.5, 30, 200))
    fewer, all_of_them = cut(genes[:150], cost), cut(genes, cost)
    assert len(fewer) > 10
    assert fewer[:-1] == all_of_them[: len(fewer) - 1]


def test_units_are_more_even_than_by_counting_genes():
    """A tenth of the genes has a hundred times the work of the others, and all lie together."""
    genes, cost = genes_of([1.0] * 450 + [100.0] * 50 + [1.0] * 450)

    def unevenness(found):
        sums = np.array([sum(cost[gene.gene_id] for gene in block) for _, block in found])
        return sums.max() / np.median(sums)

    assert unevenness(cut(genes, cost)) < 0.2 * unevenness(blocks_of_size(genes, 16))


def test_a_model_reads_more_where_more_varies():
    plain, shared = ToyModel(), ToyShared()
    for model in (plain, shared):
        read_out = model.read_out()
        costs = [Cost.of(model, read_out).predicted(variants, 100) for variants in (0, 10, 40)]
        assert costs[0] == model.flop_per_pass
        assert costs[0] < costs[1] < costs[2]
        assert Cost.of(model, read_out).predicted(1e6, 100) <= 201 * model.flop_per_pass + 200 * 1000.0
        none, three, every = (Cost.of(model, read_out).toggled(10, 100, most) for most in (0, 3, None))
        assert costs[1] < none < three < every
    assert Cost.of(plain, plain.read_out()).predicted(1e6, 100) == 201 * plain.flop_per_pass
    both = replace(ReadOut("both"), reverse_complement=True)
    assert Cost.of(plain, both).predicted(10, 9) == 2 * Cost.of(plain, plain.read_out()).predicted(10, 9)


def test_a_gpu_is_given_larger_units():
    assert model_target("cpu") * 10 < model_target("cuda:1") == model_target("mps")


@pytest.fixture
def by_cost(tmp_path, monkeypatch):
    """A cohort without `genes_per_unit`, a gene of which has no variants, in small units."""
    planted = write_planted(tmp_path, people=20)
    text = planted.config.read_text().replace('[[models]]\nname = "toy"\n', "")
    text = text.replace("genes_per_unit = 2\n", "")
    planted.config.write_text(text.replace("[baseline]\n", '[baseline]\nmethods = ["top_snp"]\n'))
    opened = Opened.from_config(load_config(planted.config))
    monkeypatch.setattr(
        blocks, "_LINEAR", 2.2 * 20 * opened.cohort.genotypes.expected_records(planted.genes[0].cis(1000))
    )
    return opened


def test_the_index_says_what_linear_units_cost(by_cost):
    found = linear_blocks(by_cost, 1000, None)
    assert Counter(len(block) for _, block in found).keys() <= {1, 2, 3}
    assert 2 < len(found) < 7
    assert [u.genes for u in baseline_units(by_cost, baseline_runs(by_cost)[0])] == [
        tuple(b) for _, b in found
    ]
    assert linear_blocks(by_cost, 1000, 3) == blocks_of_size(by_cost.cohort.genes, 3)
    assert len(eqtl_units(by_cost)) >= 1


def fitted(opened):
    """Fit the baseline; its numbers by gene, and when each unit's seal was written."""
    run = baseline_runs(opened)[0]
    opened.begin()
    fit_baselines(opened, [(run, None)], quiet)
    store = opened.folder.baseline(run.folder)
    return store.read(baseline_units(opened, run), "predictions"), {
        p.name: p.stat().st_ino for p in store.folder.glob("*.json")
    }


def test_other_workers_find_all_of_it_done(by_cost):
    _, seals = fitted(Opened.from_config(staffed(by_cost.config, workers=1)))
    assert len(seals) > 2
    assert fitted(Opened.from_config(staffed(by_cost.config, workers=2)))[1] == seals


def test_units_of_another_size_do_no_harm(by_cost):
    baseline = by_cost.config.baseline.model_copy(update={"genes_per_unit": 1})
    ones = Opened.from_config(staffed(by_cost.config.model_copy(update={"baseline": baseline}), workers=1))
    expected, seals = fitted(ones)
    assert len(seals) == 7
    found, _ = fitted(Opened.from_config(staffed(by_cost.config, workers=1)))
    assert found.equals(expected)
    assert isinstance(found, pl.DataFrame)


def test_a_models_units_have_the_size_asked_for_or_even_work(tmp_path, monkeypatch):
    from hapsight.models.registry import register
    from tests.planted import load_toy

    planted = write_planted(tmp_path, people=20)
    with register("toy", load_toy):
        opened = Opened.from_config(load_config(planted.config))
        (run,) = load_models(opened)
        assert [len(unit.genes) for unit in run.units(opened)] == [2, 2, 2, 1]
        planted.config.write_text(planted.config.read_text().replace("genes_per_unit = 2\n", ""))
        opened = Opened.from_config(load_config(planted.config))
        assert [len(unit.genes) for unit in run.units(opened)] == [7]
        monkeypatch.setattr(blocks, "_CPU", 1000 * 30.0)
        sizes = [len(unit.genes) for unit in run.units(opened)]
        assert sum(sizes) == 7
        assert len(sizes) > 2


@given(st.data())
def test_a_table_that_is_streamed_is_the_table(tmp_path_factory, data):
    """Whatever genes each unit holds, and in whatever order."""
    genes, _ = genes_of([1.0] * 7)
    order = data.draw(st.permutations(genes))
    cuts = sorted(data.draw(st.sets(st.integers(1, 6))))
    held = [order[a:b] for a, b in itertools.pairwise([0, *cuts, 7])]
    units = [KeyedBlock(f"unit-{n}", "key", tuple(own)) for n, own in enumerate(held)]
    units = units[: data.draw(st.integers(1, len(units)))]
    store = UnitStore(tmp_path_factory.mktemp("streamed"))
    for unit in units:
        rows = [(gene.gene_id, number) for gene in unit.genes for number in range(3)]
        table = pl.DataFrame(rows, schema=["gene_id", "row"], orient="row")
        store.write(unit.name, unit.key, {"effects": table})
    expected = in_gene_order(store.read(units, "effects"), genes)
    stream_table(store.folder / "effects.parquet", scan_in_gene_order(store, units, "effects", genes))
    assert_frame_equal(pl.read_parquet(store.folder / "effects.parquet"), expected)
    (store.folder / f"{units[0].name}.effects.parquet").write_bytes(b"not as it was sealed")
    with pytest.raises(IncompleteError, match="not done"):
        scan_in_gene_order(store, units, "effects", genes)
