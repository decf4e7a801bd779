"""The sharing engine against one plain forward pass per sequence."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.reference import Reference
from hapsight.dna import reverse_complement
from hapsight.engine import buffers
from hapsight.engine.buffers import Buffer, allocate
from hapsight.engine.engine import predict_genes
from hapsight.engine.shared import count_work, shared_values
from hapsight.engine.sharing import (
    cut_stretches,
    distinct_positions,
    distinct_rows,
    hash_stretches,
    number_positions,
)
from hapsight.engine.views import Sequences
from hapsight.errors import ConfigError
from hapsight.models.protocol import Grid
from tests.engine.toy_shared import LENGTH, ToyCentre, ToyShared, ToyWindowed
from tests.planted import write_planted

CPU = torch.device("cpu")


def haplotypes(seed: int, rows: int = 9) -> np.ndarray:
    """Sequences that share much: mutations and shifted tails of one, and runs of N at the ends."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 4, LENGTH + 20, dtype=np.uint8)
    base[:10] = 4
    made = np.stack([base[:LENGTH]] * rows)
    for row in made[1:]:
        if rng.random() < 0.5:
            at, shift = int(rng.integers(5, LENGTH - 5)), int(rng.integers(1, 7))
            row[at:] = base[at + shift : LENGTH + shift]
        for at in rng.integers(0, LENGTH, int(rng.integers(0, 4))):
            row[at] = rng.integers(0, 4)
    return made


def plain(model, codes: np.ndarray) -> np.ndarray:
    """One sequence at a time through the whole model."""
    with torch.inference_mode():
        return np.concatenate(
            [model.predict(torch.from_numpy(row[None]), model.read_out()).numpy() for row in codes]
        )


@pytest.mark.parametrize("model_class", [ToyShared, ToyCentre, ToyWindowed])
@pytest.mark.parametrize("longest", [1, 20, 24, 60, 160, 10_000])
def test_shared_equals_plain(model_class, longest):
    model, codes = model_class(), haplotypes(1)
    for batch_size in (1, 4, 64):
        values, _ = shared_values(
            model, model.read_out(), codes, device=CPU, batch_size=batch_size, longest=longest
        )
        np.testing.assert_allclose(values, plain(model, codes), rtol=0, atol=1e-10)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.sampled_from([ToyShared, ToyCentre, ToyWindowed]))
def test_shared_equals_plain_for_any_haplotypes(seed, rows, model_class):
    model, codes = model_class(), haplotypes(seed, rows)
    values, work = shared_values(model, model.read_out(), codes, device=CPU)
    np.testing.assert_allclose(values, plain(model, codes), rtol=0, atol=1e-10)
    assert work == count_work(model, model.read_out(), codes)
    assert 1 <= work.reads <= rows


def test_a_halo_too_short_is_noticed():
    """The twin can fail: with less halo than the layers need, values differ."""
    model, codes = ToyShared(), haplotypes(2)
    model.grid = Grid(stride=4, before=0, after=0, channels=6)
    values, _ = shared_values(model, model.read_out(), codes, device=CPU)
    assert np.abs(values - plain(model, codes)).max() > 1e-6


def test_embeddings_beyond_the_budget_lie_in_a_file():
    model, codes = ToyShared(), haplotypes(3)
    small, _ = shared_values(model, model.read_out(), codes, device=CPU, budget=100)
    large, _ = shared_values(model, model.read_out(), codes, device=CPU)
    np.testing.assert_allclose(small, large, rtol=0, atol=1e-12)
    tensor = allocate((3, 5), torch.float64, budget=1)
    tensor[:] = 2.0
    assert tensor.sum() == 30


@pytest.mark.parametrize("budget", [1, 2**20])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_what_is_dropped_from_memory_is_still_there(monkeypatch, budget, dtype):
    monkeypatch.setattr(buffers, "_BLOCK_BYTES", 40)
    buffer = Buffer.allocate((9, 5), dtype, budget)
    for first, last in buffer.blocks():
        buffer.tensor[first:last] = torch.arange(first, last)[:, None].to(dtype)
    assert buffer.tensor[:, 2].tolist() == list(range(9))
    assert (buffer.resident == 0) == (budget == 1)


def test_pages_that_were_dropped_are_not_in_memory():
    def resident() -> int:
        text = Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("RssFile"))

    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc here")
    buffer = Buffer.allocate((64, 2**20), torch.uint8, budget=1)
    buffer.tensor.fill_(7)
    before = resident()
    buffer.drop()
    assert before - resident() > 60_000  # of 65,536 kB
    assert int(buffer.tensor[63, -1]) == 7


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 6))
def test_distinct_rows_equal_their_naive_twin(seed, rows, width):
    matrix = np.random.default_rng(seed).integers(0, 3, (rows, width)).astype(np.int32)
    _, one, of = np.unique(matrix, axis=0, return_index=True, return_inverse=True)
    found = distinct_rows(Buffer.of(matrix))
    assert [part.tolist() for part in found] == [one.tolist(), of.reshape(-1).tolist()]


@pytest.mark.parametrize("model_class", [ToyShared, ToyWindowed])
def test_blocks_and_files_change_no_bit(monkeypatch, model_class):
    model, codes = model_class(), haplotypes(11, 40)
    whole, _ = shared_values(model, model.read_out(), codes, device=CPU, batch_size=4)
    allocate = Buffer.allocate
    monkeypatch.setattr(Buffer, "allocate", lambda shape, dtype, _: allocate(shape, dtype, 1))
    monkeypatch.setattr(buffers, "_BLOCK_BYTES", 1)
    in_file = Buffer.allocate(codes.shape, torch.uint8, 1)
    in_file.tensor[:] = torch.from_numpy(codes)
    parts, _ = shared_values(model, model.read_out(), in_file, device=CPU, batch_size=4)
    assert whole.tobytes() == parts.tobytes()


def test_equal_rows_are_computed_once():
    model, codes = ToyShared(), np.repeat(haplotypes(4, 1), 50, axis=0)
    work = count_work(model, model.read_out(), codes)
    assert work.reads == 1
    one = count_work(model, model.read_out(), codes[:1])
    assert work == one


def test_what_lies_outside_the_span_costs_nothing():
    model, codes = ToyCentre(), haplotypes(5, 1)
    changed = np.concatenate([codes, codes])
    changed[1, 0:20] = reverse_complement(changed[1, 0:20])
    assert count_work(model, model.read_out(), changed).reads == 1


GRID, SPAN = Grid(4, 8, 8, 1), (3, 30)


def context(codes: np.ndarray, row: int, position: int) -> tuple[int, int, bytes]:
    """What a position depends on: the void before and behind the window, and the bases between."""
    begin, end = position * 4 - 8, position * 4 + 12
    before, behind = max(0, -begin), max(0, end - codes.shape[1])
    return before, behind, codes[row, begin + before : end - behind].tobytes()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.sampled_from([SPAN, (0, 40), (0, 1), (38, 40)]))
def test_distinct_positions_equal_their_naive_twin(seed, rows, span):
    codes = haplotypes(seed, rows)
    found = distinct_positions(codes, GRID, span)
    seen: dict[tuple[int, int, bytes], int] = {}
    naive = [[seen.setdefault(context(codes, r, p), len(seen)) for p in range(*span)] for r in range(rows)]
    assert found.index.tolist() == naive
    for number in range(len(seen)):
        assert found.index[found.row[number], found.place[number]] == number


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([SPAN, (0, 40)]), st.sampled_from([1, 40, 64, 10_000]))
def test_every_distinct_position_lies_in_its_stretch_with_its_halo(seed, span, longest):
    codes = haplotypes(seed)
    distinct = distinct_positions(codes, GRID, span)
    stretches = cut_stretches(distinct, GRID, LENGTH, span, longest)
    assert stretches.first[-1] == len(distinct.row)
    for s in range(len(stretches)):
        start, end = stretches.start[s], stretches.start[s] + stretches.length[s]
        assert start % 4 == 0
        assert end <= LENGTH
        for number in range(stretches.first[s], stretches.first[s + 1]):
            assert distinct.row[number] == stretches.row[s]
            position = start // 4 + stretches.skip[number]
            assert position == span[0] + distinct.place[number]
            assert start <= max(0, position * 4 - 8)
            assert end >= min(LENGTH, position * 4 + 12)


def test_few_bases_are_computed_around_a_single_variant():
    codes = np.stack([haplotypes(9, 1)[0]] * 2)
    alone = count_work(ToyShared(), ToyShared().read_out(), codes)
    codes[1, 80] = (codes[1, 80] + 1) % 4
    both = count_work(ToyShared(), ToyShared().read_out(), codes)
    assert both.positions - alone.positions == 5  # 20 bases see it
    assert both.bases - alone.bases == 5 * 4 + 16


def test_window_must_fit_the_grid():
    with pytest.raises(ConfigError, match=r"multiple of the model's stride[\s\S]*got: 161"):
        distinct_positions(np.zeros((1, 161), np.uint8), GRID, (0, 40))


def test_a_hash_collision_is_noticed(monkeypatch):
    import hapsight.engine.sharing as module

    codes, start = haplotypes(8), np.arange(0, 150, 10)
    expected = module.distinct_stretches(codes, start, 10)
    calls = []

    def collides_first(*arguments):
        calls.append(arguments)
        found = hash_stretches(*arguments)
        return np.zeros_like(found) if len(calls) == 1 else found

    monkeypatch.setattr(module, "hash_stretches", collides_first)
    found = module.distinct_stretches(codes, start, 10)
    assert len(calls) == 2
    assert len(found.row) == len(expected.row) > 1


def test_a_collision_of_positions_is_noticed(monkeypatch):
    import hapsight.engine.sharing as module

    codes, calls = haplotypes(8), []
    expected = module.distinct_positions(codes, GRID, (0, 40))

    def collides_first(*arguments):
        calls.append(arguments)
        number_positions(*arguments)
        if len(calls) == 1:
            arguments[10][:] = 0  # all positions are called one

    monkeypatch.setattr(module, "number_positions", collides_first)
    found = module.distinct_positions(codes, GRID, (0, 40))
    assert len(calls) == 2
    assert len(found.row) == len(expected.row) > 1


@pytest.mark.parametrize("read_out", ["default", "ensemble"])
def test_people_get_the_mean_over_strands_and_shifts(tmp_path, read_out):
    planted = write_planted(tmp_path, people=5)
    genotypes, model = GenotypeFile(planted.folder / "genotypes.vcf.gz"), ToyShared()
    wanted = model.read_out(read_out)
    fetch = Reference(planted.folder / "genome.fa.gz").fetch
    sequences = Sequences(model, wanted, lambda interval: genotypes.read(interval)[0], fetch)
    found = predict_genes(sequences, planted.genes, batch_size=3, device=CPU)
    for gene, prediction in zip(planted.genes, found, strict=True):
        made, codes = sequences.of(gene)
        beyond = (codes.shape[1] - LENGTH) // 2
        seen = []
        for shift in wanted.shifts:
            moved = codes[:, beyond + shift : beyond + shift + LENGTH]
            seen += [moved, reverse_complement(moved)] if wanted.reverse_complement else [moved]
        expected = np.mean([plain(model, view) for view in seen], axis=0)
        np.testing.assert_allclose(prediction.reference, expected[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(prediction.values, expected[1:][made.index], rtol=1e-5, atol=1e-6)
        assert prediction.flop > 0
