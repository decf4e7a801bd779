"""Products of float32 numbers on a GPU's tensor cores, with float32's accuracy: Triton kernels.

Each operand is split into two float16 numbers; of the four products the three that matter are summed. Tensor
cores cut off digits when they add, so a sum runs over `BLOCK_K` terms there and is then added in float32.
Every result is summed in the same order, wherever in a batch it lies and however large the batch is.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import triton
import triton.language as tl

__all__ = ["WIDEST_VALUE", "attention", "halves", "product", "row_scales"]

BLOCK_M, BLOCK_N, BLOCK_K = 128, 128, 64
"""Rows, columns and terms of what one program of the product computes at a time."""

_WARPS = 8
_TOP = 14
"""The largest number of a row is brought to 2 to the power of this, near the end of float16's range."""

_QUERIES, _KEYS = 64, 64
"""Queries of a program of the attention, and keys that it takes at a time."""

_MOST_STAGES = {"product": 3, "attention": 2}
"""Blocks that are loaded ahead; fewer where the card's shared memory is smaller. No number depends on it."""

WIDEST_VALUE = 192
"""Numbers of a value that the attention has room for: 128, and 64 more."""


@triton.jit
def _power_of_two(largest, TOP: tl.constexpr):
    """The power of two that brings a number to [2^TOP, 2^(TOP + 1)); 1 for 0."""
    bits = largest.to(tl.int32, bitcast=True)
    exponent = (bits >> 23) & 255
    scale = ((127 + TOP + 127 - exponent) << 23).to(tl.float32, bitcast=True)
    usable = (exponent > TOP) & (exponent < 255)
    return tl.where(usable, scale, tl.where(exponent == 255, largest, 1.0))


@triton.jit
def _scales(X, S, rows, terms, batch_stride, row_stride, term_stride,
            ROWS: tl.constexpr, TERMS: tl.constexpr, TOP: tl.constexpr):  # fmt: skip
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
             HAS_BIAS: tl.constexpr, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):  # fmt: skip
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
def _halves(X, S, HIGH, LOW, rows, terms, batch_stride, row_stride, term_stride,
            ROWS: tl.constexpr, TERMS: tl.constexpr):  # fmt: skip
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


@triton.jit
def _three(low, high, w_low, w_high):
    """The three products that matter, the small ones first."""
    return tl.dot(high, w_high, tl.dot(high, w_low, tl.dot(low, w_high)))


@triton.jit
def _attention(Q, QS, KH, KL, KS, VH, VL, VS, B, OUT, queries, keys, heads, width, value,
               q_batch, q_head, q_row, b_batch, b_head, b_row, o_batch, o_head, o_row,
               HAS_BIAS: tl.constexpr, TWO: tl.constexpr,
               M: tl.constexpr, N: tl.constexpr, D: tl.constexpr):  # fmt: skip
    """Softmax of ``Q K.T + B`` times V for M queries of one head, keys taken N at a time."""
    both = tl.program_id(1).to(tl.int64)
    batch, head = both // heads, both % heads
    row, d = tl.program_id(0) * M + tl.arange(0, M), tl.arange(0, D)
    one, two = tl.arange(0, 128), 128 + tl.arange(0, 64)
    here = row < queries
    at = Q + batch * q_batch + head * q_head + row[:, None].to(tl.int64) * q_row + d[None, :]
    scale = tl.load(QS + both * queries + row, mask=here, other=1.0)
    q = tl.load(at, mask=here[:, None] & (d[None, :] < width), other=0.0) * scale[:, None]
    high = q.to(tl.float16)
    low = (q - high.to(tl.float32)).to(tl.float16)
    back = 1.0 / scale
    most = tl.full((M,), float("-inf"), tl.float32)
    total = tl.zeros((M,), tl.float32)
    first_part = tl.zeros((M, 128), tl.float32)
    second_part = tl.zeros((M, 64), tl.float32)
    for start in range(0, keys, N):
        key = start + tl.arange(0, N)
        there = key < keys
        k_at = (both * keys + key[None, :]) * width + d[:, None]
        k_in = there[None, :] & (d[:, None] < width)
        k_high = tl.load(KH + k_at, mask=k_in, other=0.0)
        k_low = tl.load(KL + k_at, mask=k_in, other=0.0)
        k_back = 1.0 / tl.load(KS + both * keys + key, mask=there, other=1.0)
        s = _three(low, high, k_low, k_high) * back[:, None] * k_back[None, :]
        if HAS_BIAS:
            b_at = B + batch * b_batch + head * b_head + row[:, None].to(tl.int64) * b_row + key[None, :]
            s += tl.load(b_at, mask=here[:, None] & there[None, :], other=0.0)
        s = tl.where(there[None, :], s, float("-inf"))
        higher = tl.maximum(most, tl.max(s, axis=1))
        fade = tl.exp(most - higher)
        p = tl.exp(s - higher[:, None]) * 16384.0
        most = higher
        total = total * fade + tl.sum(p, axis=1)
        p_high = p.to(tl.float16)
        p_low = (p - p_high.to(tl.float32)).to(tl.float16)
        v_at = (both * value + one[None, :]) * keys + key[:, None]
        v_in = there[:, None] & (one[None, :] < value)
        v_high, v_low = tl.load(VH + v_at, mask=v_in, other=0.0), tl.load(VL + v_at, mask=v_in, other=0.0)
        first_part = first_part * fade[:, None] + _three(p_low, p_high, v_low, v_high)
        if TWO:
            v_at = (both * value + two[None, :]) * keys + key[:, None]
            v_in = there[:, None] & (two[None, :] < value)
            v_high, v_low = tl.load(VH + v_at, mask=v_in, other=0.0), tl.load(VL + v_at, mask=v_in, other=0.0)
            second_part = second_part * fade[:, None] + _three(p_low, p_high, v_low, v_high)
    to = OUT + batch * o_batch + head * o_head + row[:, None].to(tl.int64) * o_row
    v_scale = tl.load(VS + both * value + one, mask=one < value, other=1.0)
    made = first_part / total[:, None] / v_scale[None, :]
    tl.store(to + one[None, :], made, mask=here[:, None] & (one[None, :] < value))
    if TWO:
        v_scale = tl.load(VS + both * value + two, mask=two < value, other=1.0)
        made = second_part / total[:, None] / v_scale[None, :]
        tl.store(to + two[None, :], made, mask=here[:, None] & (two[None, :] < value))


def row_scales(x: torch.Tensor) -> torch.Tensor:
    """(B, R) powers of two that bring each row of (B, R, K) near the end of float16's range."""
    batch, rows, terms = x.shape
    scales = torch.empty((batch, rows), dtype=torch.float32, device=x.device)
    along, across = (4, 512) if x.stride(2) == 1 else (64, 32)
    _scales[(triton.cdiv(rows, along), batch)](
        x, scales, rows, terms, *x.stride(), ROWS=along, TERMS=across, TOP=_TOP
    )
    return scales


def halves(w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Both float16 parts of (B, N, K) scaled rows, and their scales (B, N)."""
    scales = row_scales(w)
    high, low = (torch.empty(w.shape, dtype=torch.float16, device=w.device) for _ in range(2))
    batch, rows, terms = w.shape
    _halves[(triton.cdiv(rows, 16), batch)](
        w, scales, high, low, rows, terms, *w.stride(), ROWS=16, TERMS=128
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
    x_scales = row_scales(x)
    _launch("product", lambda stages: _product[(blocks, batch)](
        x, x_scales, high, low, scales, bias if bias is not None else x, out,
        rows, columns, terms, len(high), *x.stride(), *out.stride(), taps, dilation, padding, made,
        HAS_BIAS=bias is not None, M=BLOCK_M, N=BLOCK_N, K=BLOCK_K, num_warps=_WARPS, num_stages=stages,
    ))  # fmt: skip
    return out


def _launch(name: str, kernel: Callable[[int], object]) -> None:
    """Run a kernel with as many stages as the card has shared memory for."""
    while True:
        try:
            kernel(_MOST_STAGES[name])
        except triton.runtime.errors.OutOfResources:
            if _MOST_STAGES[name] == 1:
                raise
            _MOST_STAGES[name] -= 1
        else:
            return


def attention(
    q: torch.Tensor,
    keys: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    values: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    bias: torch.Tensor | None,
) -> torch.Tensor:
    """``softmax(q @ k.T + bias) @ v``, without writing the softmax down.

    Parameters
    ----------
    q
        (B, H, Q, K) scaled queries, float32, the last axis dense.
    keys
        `halves` of (B H, N, K) keys.
    values
        `halves` of (B H, V, N) values, V at most `WIDEST_VALUE`.
    bias
        (B, H, Q, N), the last axis dense.

    Returns
    -------
    (B, H, Q, V), the heads of a query beside each other in memory.
    """
    batch, heads, queries, width = q.shape
    count, value = keys[0].shape[1], values[0].shape[1]
    out = torch.empty((batch, queries, heads, value), dtype=torch.float32, device=q.device).transpose(1, 2)
    scales = row_scales(q.flatten(0, 1))
    b = bias if bias is not None else q
    _launch("attention", lambda stages: _attention[(triton.cdiv(queries, _QUERIES), batch * heads)](
        q, scales, *keys, *values, b, out, queries, count, heads, width, value,
        *q.stride()[:3], *b.stride()[:3], *out.stride()[:3],
        HAS_BIAS=bias is not None, TWO=value > 128, M=_QUERIES, N=_KEYS,
        D=max(16, triton.next_power_of_2(width)), num_warps=_WARPS, num_stages=stages,
    ))  # fmt: skip
    return out
