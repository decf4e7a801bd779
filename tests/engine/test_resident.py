"""What stays on the device, forced on the CPU, against what goes through the CPU's memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hapsight.engine.engine import usual_budget
from hapsight.engine.shared import _least_filled, bytes_on_device, shared_values, start_shared
from hapsight.models.registry import load_model
from tests.engine.test_shared import haplotypes
from tests.engine.toy_shared import ToyCentre, ToyShared, ToyWindowed


def resident(model, codes: np.ndarray, batch_size: int = 4, budget: int = 2**31) -> np.ndarray:
    return start_shared(
        model, model.read_out(), codes, device="cpu", batch_size=batch_size, budget=budget, resident=True
    ).values()


@pytest.mark.parametrize("model_class", [ToyShared, ToyCentre, ToyWindowed])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_path_through_memory(model_class, seed):
    model, codes = model_class(), haplotypes(seed, rows=11)
    plain, work = shared_values(model, model.read_out(), codes, device="cpu")
    for batch_size in (1, 4, 64):
        np.testing.assert_allclose(resident(model, codes, batch_size), plain, rtol=0, atol=1e-12)
    np.testing.assert_allclose(resident(model, codes, budget=1), plain, rtol=0, atol=1e-12)
    started = start_shared(model, model.read_out(), codes, device="cpu", resident=True)
    assert started.work == work


@pytest.mark.parametrize(
    ("name", "width"), [("mini", None), ("enformer", 24), ("basenji2", 24), ("expecto", 8)]
)
def test_equals_it_for_real_models(name, width):
    options = {} if width is None else {"width": width}
    model = load_model(name, "chr22" if width is None else "random:0", "cpu", **options)
    rng = np.random.default_rng(0)
    base = rng.integers(0, 4, model.window.length, dtype=np.uint8)
    codes = np.stack([base] * 3)
    for row in codes[1:]:
        row[model.window.length // 2 + rng.integers(-400, 400, 3)] = 2
    plain, _ = shared_values(model, model.read_out(), codes, device="cpu")
    made = resident(model, codes)
    np.testing.assert_allclose(made, plain, rtol=0, atol=3e-6 * np.abs(plain).max())
    assert len(np.unique(made, axis=0)) == 3


def test_bytes_are_those_of_what_stays():
    model, codes = ToyShared(), haplotypes(0)
    from hapsight.engine import shared

    plan = shared.plan_of(model, model.read_out(), shared._in_buffer(codes), 2**31, 10**6)
    rows, positions = plan.distinct.index.shape
    wanted = codes.nbytes + 8 * rows * positions + 4 * len(plan.distinct.row) * model.grid.channels
    assert bytes_on_device(model, plan, torch.from_numpy(codes)) == wanted


@pytest.mark.parametrize(
    ("rows", "most", "size"),
    [(284, 64, 48), (320, 64, 64), (374, 64, 64), (1, 1, 1), (3, 4, 4), (33, 64, 40), (1000, 8, 8)],
)
def test_batches_have_one_size_that_fills_up_little(rows, most, size):
    assert _least_filled(rows, most) == size


@pytest.mark.parametrize(
    ("free", "wanted"),
    [(80 * 2**30, 32 * 2**30), (79 * 2**30, 32 * 2**30), (64 * 2**30, 32 * 2**30), (2**29, 2**30)],
)
def test_a_gpu_gives_a_power_of_two_below_half_of_what_is_free(monkeypatch, free, wanted):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 80 * 2**30))
    assert usual_budget("cuda") == usual_budget(torch.device("cuda", 0)) == wanted
    assert usual_budget("cpu") == 2 * 2**30


@pytest.mark.parametrize("name", ["basenji2", "mini"])
def test_equal_sequences_have_equal_values_whatever_stands_beside_them(name):
    """In float32, to the last bit, in any order and in batches of any size: each is computed once.

    Between orders and sizes values are the same to float32's rounding only.
    """
    mini = name == "mini"
    model = load_model(name, "chr22" if mini else "random:0", "cpu", **({} if mini else {"width": 24}))
    rng = np.random.default_rng(1)
    codes = np.stack([rng.integers(0, 4, model.window.length, dtype=np.uint8)] * 6)
    middle = model.window.length // 2
    codes[2:, middle] = (codes[2:, middle] + 1) % 4
    codes[4:, middle + 40] = (codes[4:, middle + 40] + 2) % 4
    first: np.ndarray | None = None
    for order in ([0, 1, 2, 3, 4, 5], [5, 0, 2, 3, 1, 4]):
        for batch_size in (1, 2, 5):
            made, _ = shared_values(
                model, model.read_out(), codes[order], device="cpu", batch_size=batch_size
            )
            values = made[np.argsort(order)]
            assert np.array_equal(values[::2], values[1::2])
            assert len(np.unique(values, axis=0)) == 3
            first = values if first is None else first
            np.testing.assert_allclose(values, first, rtol=1e-6)
