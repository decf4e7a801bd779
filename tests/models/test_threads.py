from __future__ import annotations

import pytest
import torch

from hapsight.models.xpresso import map_on_threads


def test_results_come_in_the_order_of_the_items() -> None:
    items = torch.arange(50.0)
    assert torch.equal(torch.stack(map_on_threads(lambda item: 2 * item, items)), 2 * items)


def test_each_item_has_one_thread_and_the_caller_keeps_its_own() -> None:
    before = torch.get_num_threads()
    counts = map_on_threads(lambda _: torch.tensor(torch.get_num_threads()), torch.zeros(4))
    assert [int(count) for count in counts] == [1, 1, 1, 1]
    assert torch.get_num_threads() == before


def test_an_error_reaches_the_caller_and_threads_are_restored() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="the third"):
        map_on_threads(_fail_at_two, torch.arange(4))
    assert torch.get_num_threads() == before


def _fail_at_two(item: torch.Tensor) -> torch.Tensor:
    if item == 2:
        raise ValueError("the third")
    return item
