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

from hapsight.engine.split import TOP

__all__ = ["PADDED", "WIDEST_VALUE", "attention", "halves", "padded_keys", "product"]

BLOCK_M, BLOCK_N, BLOCK_K = 128, 128, 64
"""Rows, columns and terms of what one program of the product computes at a time."""

_WARPS = _ATTENTION_WARPS = 8

_QUERIES, _KEYS = 128, 64
"""Queries of a program of the attention, and keys that it takes at a time."""

_MOST_STAGES = {"product": 3, "attention": 2}
"""Blocks that are loaded ahead; fewer where the card's shared memory is smaller. No number depends on it."""

PADDED = 64
"""Rows are padded to a multiple of this, so that no block of terms needs a mask."""

_MOST_ACROSS = 4096
"""Numbers that a program takes at once when it splits rows."""

_VALUES = 64
"""Numbers of a value that the attention sums at a time."""

WIDEST_VALUE = 3 * _VALUES
"""Numbers of a value that the attention has room for."""


@triton.jit
def _power_of_two(largest, TOP: tl.constexpr):
    """The power of two that brings a number to [2^TOP, 2^(TOP + 1)); 1 for 0."""
    bits = largest.to(tl.int32, bitcast=True)
    exponent = (bits >> 23) & 255
    scale = ((127 + TOP + 127 - exponent) << 23).to(tl.float32, bitcast=True)
    usable = (exponent > TOP) & (exponent < 255)
    return tl.where(usable, scale, tl.where(exponent == 255, largest, 1.0))


@triton.jit(do_not_specialize=["rows"])
def _halves(X, S, HIGH, LOW, rows, terms, padded, heads, batch_stride, head_stride, row_stride, term_stride,
            ONCE: tl.constexpr, ROWS: tl.constexpr, TERMS: tl.constexpr, TOP: tl.constexpr):  # fmt: skip
    """Scales of rows, and the scaled rows as two float16 numbers each, zeros behind them."""
    both = tl.program_id(1).to(tl.int64)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    term = tl.arange(0, TERMS)
    here = row < rows
    X += both // heads * batch_stride + both % heads * head_stride
    begin = X + row[:, None].to(tl.int64) * row_stride + term[None, :].to(tl.int64) * term_stride
    to = (both * rows + row[:, None].to(tl.int64)) * padded + term[None, :]
    x = tl.load(begin, mask=here[:, None] & (term[None, :] < terms), other=0.0)
    largest = tl.max(tl.abs(x), axis=1)
    if not ONCE:
        at = begin
        for first in range(TERMS, terms, TERMS):
            at += TERMS * term_stride
            inside = here[:, None] & (first + term[None, :] < terms)
            largest = tl.maximum(largest, tl.max(tl.abs(tl.load(at, mask=inside, other=0.0)), axis=1))
    scale = _power_of_two(largest, TOP)
    tl.store(S + both * rows + row, scale, mask=here)
    at = begin
    for first in range(0, padded, TERMS):
        if not ONCE:
            x = tl.load(at, mask=here[:, None] & (first + term[None, :] < terms), other=0.0)
            at += TERMS * term_stride
        scaled = x * scale[:, None]
        high = scaled.to(tl.float16)
        kept = here[:, None] & (first + term[None, :] < padded)
        tl.store(HIGH + to + first, high, mask=kept)
        tl.store(LOW + to + first, (scaled - high.to(tl.float32)).to(tl.float16), mask=kept)


@triton.jit(do_not_specialize=["rows", "made", "padding", "dilation"])
def _product(HIGH, LOW, S, W_HIGH, W_LOW, T, BIAS, Y, rows, columns, padded, weights,
             y_batch, y_row, y_column, taps, dilation, padding, made,
             HAS_BIAS: tl.constexpr, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):  # fmt: skip
    """One block of ``sum over taps of X[row + tap] @ W[tap].T / T + BIAS``: M rows, N columns."""
    batch = tl.program_id(1).to(tl.int64)
    across = tl.cdiv(columns, N)
    row = tl.program_id(0) // across * M + tl.arange(0, M)
    column = tl.program_id(0) % across * N + tl.arange(0, N)
    term = tl.arange(0, K)
    known = column < columns
    w_row = tl.where(known, column, 0)  # any row will do for what is not stored
    weight = batch % weights * taps * columns * padded
    total = tl.zeros((M, N), tl.float32)
    for tap in range(0, taps):
        source = row + tap * dilation - padding
        there = (source >= 0) & (source < rows) & (row < made)
        back = 1.0 / tl.load(S + batch * rows + source, mask=there, other=1.0)
        x_at = (batch * rows + source[:, None].to(tl.int64)) * padded + term[None, :]
        w_at = weight + tap * columns * padded + w_row[None, :].to(tl.int64) * padded + term[:, None]
        for first in range(0, padded, K):
            high = tl.load(HIGH + x_at + first, mask=there[:, None], other=0.0)
            low = tl.load(LOW + x_at + first, mask=there[:, None], other=0.0)
            w_high = tl.load(W_HIGH + w_at + first)
            w_low = tl.load(W_LOW + w_at + first)
            total += _three(low, high, w_low, w_high) * back[:, None]
    inside = row < made
    at = Y + batch * y_batch + row[:, None].to(tl.int64) * y_row
    total = total / tl.load(T + batch % weights * columns + column, mask=known, other=1.0)[None, :]
    if HAS_BIAS:
        total += tl.load(BIAS + column, mask=known, other=0.0)[None, :]
    tl.store(at + column[None, :].to(tl.int64) * y_column, total, mask=inside[:, None] & known[None, :])


@triton.jit
def _three(low, high, w_low, w_high):
    """The three products that matter, the small ones first."""
    return tl.dot(high, w_high, tl.dot(high, w_low, tl.dot(low, w_high)))


@triton.jit(do_not_specialize=["queries"])
def _attention(Q, KH, KL, KS, VH, VL, VS, B, OUT, queries, keys, heads, width, value, padded,
               q_batch, q_head, q_row, b_batch, b_head, b_row, o_batch, o_head, o_row,
               HAS_BIAS: tl.constexpr, PARTS: tl.constexpr, TOP: tl.constexpr,
               M: tl.constexpr, N: tl.constexpr, D: tl.constexpr, V: tl.constexpr):  # fmt: skip
    """Softmax of ``Q K.T + B`` times V for M queries of one head, keys taken N at a time."""
    both = tl.program_id(1).to(tl.int64)
    batch, head = both // heads, both % heads
    row, d = tl.program_id(0) * M + tl.arange(0, M), tl.arange(0, D)
    here = row < queries
    at = Q + batch * q_batch + head * q_head + row[:, None].to(tl.int64) * q_row + d[None, :]
    q = tl.load(at, mask=here[:, None] & (d[None, :] < width), other=0.0)
    scale = _power_of_two(tl.max(tl.abs(q), axis=1), TOP)
    q = q * scale[:, None]
    high = q.to(tl.float16)
    low = (q - high.to(tl.float32)).to(tl.float16)
    back = 1.0 / scale
    KH, KL, KS = KH + both * keys * D, KL + both * keys * D, KS + both * keys
    VH, VL, VS = VH + both * value * padded, VL + both * value * padded, VS + both * value
    v_at = _value_rows(value, padded, 0, V, N)
    one = tl.zeros((M, V), tl.float32)
    if PARTS > 1:
        v_at_two = _value_rows(value, padded, V, V, N)
        two = tl.zeros((M, V), tl.float32)
    if PARTS > 2:
        v_at_three = _value_rows(value, padded, 2 * V, V, N)
        three = tl.zeros((M, V), tl.float32)
    most = tl.full((M,), float("-inf"), tl.float32)
    total = tl.zeros((M,), tl.float32)
    for start in range(0, keys, N):
        key = start + tl.arange(0, N)
        there = key < keys
        k_at = tl.minimum(key, keys - 1)[None, :] * D + d[:, None]
        k_high, k_low = tl.load(KH + k_at), tl.load(KL + k_at)
        k_back = 1.0 / tl.load(KS + key, mask=there, other=1.0)
        s = _three(low, high, k_low, k_high) * back[:, None] * k_back[None, :]
        if HAS_BIAS:
            b_at = B + batch * b_batch + head * b_head + row[:, None].to(tl.int64) * b_row + key[None, :]
            s += tl.load(b_at, mask=here[:, None] & there[None, :], other=0.0)
        s = tl.where(there[None, :], s, float("-inf"))
        higher = tl.maximum(most, tl.max(s, axis=1))
        fade = tl.exp(most - higher)
        p = tl.exp(s - higher[:, None]) * (1 << TOP)
        most = higher
        total = total * fade + tl.sum(p, axis=1)
        p_high = p.to(tl.float16)
        p_low = (p - p_high.to(tl.float32)).to(tl.float16)
        v_high, v_low = tl.load(VH + v_at + start), tl.load(VL + v_at + start)
        one = one * fade[:, None] + _three(p_low, p_high, v_low, v_high)
        if PARTS > 1:
            v_high, v_low = tl.load(VH + v_at_two + start), tl.load(VL + v_at_two + start)
            two = two * fade[:, None] + _three(p_low, p_high, v_low, v_high)
        if PARTS > 2:
            v_high, v_low = tl.load(VH + v_at_three + start), tl.load(VL + v_at_three + start)
            three = three * fade[:, None] + _three(p_low, p_high, v_low, v_high)
    to = OUT + batch * o_batch + head * o_head + row[:, None].to(tl.int64) * o_row
    _put(to, VS, one / total[:, None], here, value, 0, V)
    if PARTS > 1:
        _put(to, VS, two / total[:, None], here, value, V, V)
    if PARTS > 2:
        _put(to, VS, three / total[:, None], here, value, 2 * V, V)


@triton.jit
def _value_rows(value, padded, FIRST: tl.constexpr, V: tl.constexpr, N: tl.constexpr):
    """Where the first N keys of V numbers of a value are; any will do for those that are not stored."""
    v = FIRST + tl.arange(0, V)
    return tl.where(v < value, v, 0)[None, :] * padded + tl.arange(0, N)[:, None]


@triton.jit
def _put(to, scales, part, here, value, FIRST: tl.constexpr, V: tl.constexpr):
    """Store V numbers of each query's value."""
    v = FIRST + tl.arange(0, V)
    scale = tl.load(scales + v, mask=v < value, other=1.0)
    tl.store(to + v[None, :], part / scale[None, :], mask=here[:, None] & (v[None, :] < value))


def halves(x: torch.Tensor, to: int = PADDED) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Both float16 parts of scaled rows, zeros behind them up to a multiple of `to`; and the scales.

    Parameters
    ----------
    x
        (B, R, K) or (B, H, R, K) float32, any strides.

    Returns
    -------
    (B H, R, padded), (B H, R, padded), (B H, R) powers of two that bring each row near the end of float16's
    range.
    """
    batch, heads = len(x), x.shape[1] if x.ndim == 4 else 1
    rows, terms = x.shape[-2:]
    padded = triton.cdiv(terms, to) * to
    high, low = (
        torch.empty((batch * heads, rows, padded), dtype=torch.float16, device=x.device) for _ in range(2)
    )
    scales = torch.empty((batch * heads, rows), dtype=torch.float32, device=x.device)
    across = min(triton.next_power_of_2(padded), _MOST_ACROSS)
    along = max(1, _MOST_ACROSS // across)
    if x.stride(-1) != 1:
        along, across = 64, 32
    _halves[(triton.cdiv(rows, along), batch * heads)](
        x, scales, high, low, rows, terms, padded, heads, x.stride(0), x.stride(1) if x.ndim == 4 else 0,
        *x.stride()[-2:], ONCE=across >= padded, ROWS=along, TERMS=across, TOP=TOP, num_warps=4,
    )  # fmt: skip
    return high, low, scales


def product(
    x: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
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
        `halves` of (B, R, K); rows beyond its ends are zero.
    weight
        Parts (W, taps, N, padded), float16, padded as those of `x`, and scales (W, N); batch b has the
        weights b modulo W.
    out
        (B, made, N) float32, any strides.
    """
    high, low, scales = weight
    batch, rows, padded = x[0].shape
    made, columns = out.shape[1:]
    blocks = triton.cdiv(made, BLOCK_M) * triton.cdiv(columns, BLOCK_N)
    _launch("product", lambda stages: _product[(blocks, batch)](
        *x, high, low, scales, bias if bias is not None else x[2], out,
        rows, columns, padded, len(high), *out.stride(), taps, dilation, padding, made,
        HAS_BIAS=bias is not None, M=BLOCK_M, N=BLOCK_N, K=BLOCK_K,
        num_warps=_WARPS, num_stages=stages,
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
        `halves` of the (B, H, N, K) keys, padded to `padded_keys` of K.
    values
        `halves` of the (B, H, V, N) values, V at most `WIDEST_VALUE`.
    bias
        (B, H, Q, N), the last axis dense.

    Returns
    -------
    (B, H, Q, V), the heads of a query beside each other in memory.
    """
    batch, heads, queries, width = q.shape
    count, (value, padded) = keys[0].shape[1], values[0].shape[1:]
    out = torch.empty((batch, queries, heads, value), dtype=torch.float32, device=q.device).transpose(1, 2)
    b = bias if bias is not None else q
    _launch("attention", lambda stages: _attention[(triton.cdiv(queries, _QUERIES), batch * heads)](
        q, *keys, *values, b, out, queries, count, heads, width, value, padded,
        *q.stride()[:3], *b.stride()[:3], *out.stride()[:3],
        HAS_BIAS=bias is not None, PARTS=triton.cdiv(value, _VALUES), TOP=TOP, M=_QUERIES, N=_KEYS,
        D=padded_keys(width), V=_VALUES, num_warps=_ATTENTION_WARPS, num_stages=stages,
    ))  # fmt: skip
    return out


def padded_keys(width: int) -> int:
    """Numbers of a key with the zeros that the attention wants behind it."""
    return max(16, int(triton.next_power_of_2(width)))
