"""Products of float32 numbers on a GPU's tensor cores, with float32's accuracy: Triton kernels.

Each operand is split into two float16 numbers; of the four products the three that matter are summed. Tensor
cores cut off digits when they add, so a sum runs over `BLOCK_K` terms there and is then added in float32.
Every result is summed in the same order, wherever in a batch it lies and however large the batch is.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

__all__ = ["halves", "product"]

BLOCK_M, BLOCK_N, BLOCK_K = 128, 128, 64
"""Rows, columns and terms of what one program of the product computes at a time."""

_WARPS, _STAGES = 8, 3
_TOP = 14
"""The largest number of a row is brought to 2 to the power of this, near the end of float16's range."""


@triton.jit
def _power_of_two(largest, TOP: tl.constexpr):  # type: ignore[no-untyped-def]
    """The power of two that brings a number to [2^TOP, 2^(TOP + 1)); 1 for 0."""
    bits = largest.to(tl.int32, bitcast=True)
    exponent = (bits >> 23) & 255
    scale = ((127 + TOP + 127 - exponent) << 23).to(tl.float32, bitcast=True)
    usable = (exponent > TOP) & (exponent < 255)
    return tl.where(usable, scale, tl.where(exponent == 255, largest, 1.0))


@triton.jit
def _scales(X, S, rows, terms, batch_stride, row_stride, term_stride, ROWS: tl.constexpr, TERMS: tl.constexpr, TOP: tl.constexpr):  # type: ignore[no-untyped-def]  # fmt: skip
    """(batch, rows) scale of every row of `terms` numbers."""
    batch = tl.program_id(1).to(tl.int64)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    largest = tl.zeros((ROWS,), tl.float32)
    for first in range(0, terms, TERMS):
        term = first + tl.arange(0, TERMS)
        inside = (row[:, None] < rows) & (term[None, :] < terms)
        at = batch * batch_stride + row[:, None].to(tl.int64) * row_stride + term[None, :] * term_stride
        largest = tl.maximum(largest, tl.max(tl.abs(tl.load(X + at, mask=inside, other=0.0)), axis=1))
    tl.store(S + batch * rows + row, _power_of_two(largest, TOP), mask=row < rows)


@triton.jit
def _product(X, S, HIGH, LOW, T, BIAS, Y, rows, columns, terms, weights,
             x_batch, x_row, x_term, y_batch, y_row, y_column,
             taps, dilation, padding, made,
             HAS_BIAS: tl.constexpr, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):  # type: ignore[no-untyped-def]  # fmt: skip
    """One (M, N) block of ``sum over taps of X[row + tap] @ (HIGH + LOW)[tap].T / T + BIAS``."""
    batch = tl.program_id(1).to(tl.int64)
    across = tl.cdiv(columns, N)
    row = tl.program_id(0) // across * M + tl.arange(0, M)
    column = tl.program_id(0) % across * N + tl.arange(0, N)
    term = tl.arange(0, K)
    weight = batch % weights * taps * columns * terms
    total = tl.zeros((M, N), tl.float32)
    for tap in range(0, taps):
        source = row + tap * dilation - padding
        there = (source >= 0) & (source < rows) & (row < made)
        scale = tl.load(S + batch * rows + source, mask=there, other=1.0)
        x_at = X + batch * x_batch + source[:, None].to(tl.int64) * x_row + term[None, :] * x_term
        w_at = weight + tap * columns * terms + column[None, :].to(tl.int64) * terms + term[:, None]
        back = 1.0 / scale
        for first in range(0, terms, K):
            left = terms - first
            x = tl.load(x_at, mask=there[:, None] & (term[None, :] < left), other=0.0) * scale[:, None]
            high = x.to(tl.float16)
            low = (x - high.to(tl.float32)).to(tl.float16)
            inside = (column[None, :] < columns) & (term[:, None] < left)
            w_high = tl.load(HIGH + w_at, mask=inside, other=0.0)
            w_low = tl.load(LOW + w_at, mask=inside, other=0.0)
            part = tl.dot(low, w_high)
            part = tl.dot(high, w_low, part)
            part = tl.dot(high, w_high, part)
            total += part * back[:, None]
            x_at += K * x_term
            w_at += K
    kept = column < columns
    total = total / tl.load(T + batch % weights * columns + column, mask=kept, other=1.0)[None, :]
    if HAS_BIAS:
        total += tl.load(BIAS + column, mask=kept, other=0.0)[None, :]
    at = Y + batch * y_batch + row[:, None].to(tl.int64) * y_row + column[None, :].to(tl.int64) * y_column
    tl.store(at, total, mask=(row[:, None] < made) & kept[None, :])


@triton.jit
def _halves(X, S, HIGH, LOW, rows, terms, batch_stride, row_stride, term_stride, ROWS: tl.constexpr, TERMS: tl.constexpr):  # type: ignore[no-untyped-def]  # fmt: skip
    """Scaled rows as two float16 numbers each."""
    batch = tl.program_id(1).to(tl.int64)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    scale = tl.load(S + batch * rows + row, mask=row < rows, other=1.0)
    for first in range(0, terms, TERMS):
        term = first + tl.arange(0, TERMS)
        inside = (row[:, None] < rows) & (term[None, :] < terms)
        at = batch * batch_stride + row[:, None].to(tl.int64) * row_stride + term[None, :] * term_stride
        x = tl.load(X + at, mask=inside, other=0.0) * scale[:, None]
        high = x.to(tl.float16)
        to = (batch * rows + row[:, None].to(tl.int64)) * terms + term[None, :]
        tl.store(HIGH + to, high, mask=inside)
        tl.store(LOW + to, (x - high.to(tl.float32)).to(tl.float16), mask=inside)


def row_scales(x: torch.Tensor) -> torch.Tensor:
    """(B, R) powers of two that bring each row of (B, R, K) near the end of float16's range."""
    batch, rows, terms = x.shape
    scales = torch.empty((batch, rows), dtype=torch.float32, device=x.device)
    _scales[(triton.cdiv(rows, 32), batch)](
        x, scales, rows, terms, *x.stride(), ROWS=32, TERMS=128, TOP=_TOP
    )
    return scales


def halves(w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Both float16 parts of (B, N, K) scaled rows, and their scales (B, N)."""
    scales = row_scales(w)
    high, low = (torch.empty(w.shape, dtype=torch.float16, device=w.device) for _ in range(2))
    batch, rows, terms = w.shape
    _halves[(triton.cdiv(rows, 32), batch)](
        w, scales, high, low, rows, terms, *w.stride(), ROWS=32, TERMS=128
    )
    return high, low, scales


def product(
    x: torch.Tensor,
    weight: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    bias: torch.Tensor | None,
    out: torch.Tensor,
    *,
    taps: int = 1,
    dilation: int = 1,
    padding: int = 0,
) -> torch.Tensor:
    """``out[b, r] = sum over taps t of x[b, r + t * dilation - padding] @ w[b % W, t].T + bias``.

    Parameters
    ----------
    x
        (B, R, K) float32, any strides; rows beyond its ends are zero.
    weight
        Parts (W, taps, N, K), float16, and scales (W, N); every batch has the weights b modulo W.
    out
        (B, made, N) float32, any strides.
    """
    high, low, scales = weight
    batch, rows, terms = x.shape
    made, columns = out.shape[1:]
    blocks = triton.cdiv(made, BLOCK_M) * triton.cdiv(columns, BLOCK_N)
    _product[(blocks, batch)](
        x, row_scales(x), high, low, scales, bias if bias is not None else x, out,
        rows, columns, terms, len(high), *x.stride(), *out.stride(), taps, dilation, padding, made,
        HAS_BIAS=bias is not None, M=BLOCK_M, N=BLOCK_N, K=BLOCK_K, num_warps=_WARPS, num_stages=_STAGES,
    )  # fmt: skip
    return out
