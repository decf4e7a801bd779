"""Items side by side, one to a thread: for many small forward passes on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import torch

__all__ = ["map_on_threads"]


def map_on_threads(
    function: Callable[[torch.Tensor], torch.Tensor], items: Iterable[torch.Tensor]
) -> list[torch.Tensor]:
    """Apply `function` to every item; as many at a time as torch has threads, each on one thread.

    Threads that share every small operation wait for each other many times an item, which is ruinous
    on a busy machine; and sums split between them may depend on their number. Gradient mode is a
    thread's own, so `function` sets it itself.

    Returns
    -------
    The results in the order of the items.
    """
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(function, items))
    finally:
        torch.set_num_threads(threads)  # a worker's setting is also the default of later threads
