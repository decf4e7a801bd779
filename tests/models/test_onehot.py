from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from hapsight.models.forward import one_hot


def one_hot_by_letter(codes: np.ndarray) -> np.ndarray:
    encoded = np.zeros((codes.shape[0], 4, codes.shape[1]), dtype=np.float32)
    for b, row in enumerate(codes):
        for position, code in enumerate(row):
            if code < 4:
                encoded[b, code, position] = 1.0
    return encoded


@given(st.integers(0, 4), st.integers(0, 30), st.integers(0, 2**32 - 1))
def test_equals_the_slow_twin(n: int, length: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 5, (n, length)).astype(np.uint8)
    encoded = one_hot(torch.from_numpy(codes))
    assert encoded.dtype == torch.float32
    assert encoded.is_contiguous()
    np.testing.assert_array_equal(encoded.numpy(), one_hot_by_letter(codes))


def test_n_is_zero_in_every_channel() -> None:
    assert one_hot(torch.full((1, 3), 4, dtype=torch.uint8)).sum() == 0
