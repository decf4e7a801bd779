"""The kernels of split products under Triton's interpreter, against float64.

    TRITON_INTERPRET=1 python triton_oracle.py errors.json

Errors are relative to the largest value; ``float32`` is what torch's own float32 makes of the same.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch.nn import functional

from hapsight.engine import arithmetic, split_kernels
from hapsight.engine.arithmetic import _by_tap, _one_tap
from hapsight.engine.split_kernels import attention, halves, padded_keys, product
from hapsight.models.enformer_net import attend_by_distance

PRODUCTS = [(1, 50, 40, 70, False), (2, 33, 65, 100, False), (3, 20, 17, 16, True)]
CONVOLUTIONS = [(5, 1, 2), (5, 3, 6), (3, 2, 0), (1, 1, 0), (4, 1, 7)]
ATTENTIONS = [(2, 3, 20, 70, 24, 150, True), (1, 2, 33, 64, 16, 64, False), (1, 1, 5, 7, 64, 192, True)]
"""Batch, heads, queries, keys, and the numbers of a key and of a value; whether there is a bias."""


def error(made: torch.Tensor, exact: torch.Tensor) -> float:
    return float((made.double() - exact).abs().max() / exact.abs().max())


def products() -> dict[str, list[float]]:
    found = {}
    for batch, rows, columns, terms, own in PRODUCTS:
        x = torch.randn(batch, rows, terms) * torch.exp(3 * torch.randn(batch, rows, 1))
        x[:, 0] = 0
        w, bias = torch.randn(*([batch] if own else []), columns, terms), torch.randn(columns)
        parts = _one_tap(w if own else w[None])
        made = product(halves(x), parts, bias, torch.empty(batch, rows, columns))
        size = x.double().abs() @ w.double().abs().mT + 1
        errors = [
            (y.double() - (x.double() @ w.double().mT + bias.double())).abs() / size
            for y in (made, x @ w.mT + bias)
        ]
        found[f"product {batch} {rows} {columns} {terms}"] = [float(e.max()) for e in errors]
    return found


def convolutions() -> dict[str, list[float]]:
    found = {}
    for taps, dilation, padding in CONVOLUTIONS:
        x, w, bias = torch.randn(2, 20, 60), torch.randn(24, 20, taps), torch.randn(24)
        options = {"padding": padding, "dilation": dilation}
        exact = functional.conv1d(x.double(), w.double(), bias.double(), **options)
        out = torch.empty(exact.shape)
        product(halves(x.mT), _by_tap(w), bias, out.mT, taps=taps, **options)
        plain = functional.conv1d(x, w, bias, **options)
        found[f"convolution {taps} {dilation} {padding}"] = [error(out, exact), error(plain, exact)]
    return found


def attentions() -> dict[str, list[float]]:
    found = {}
    for batch, heads, queries, keys, width, value, biased in ATTENTIONS:
        q, k, v = (
            torch.randn(batch, rows, heads, size).transpose(1, 2)
            for rows, size in ((queries, width), (keys, width), (keys, value))
        )
        bias = torch.randn(batch, heads, queries, keys + 3)[..., 1 : keys + 1] if biased else None
        made = attention(q, halves(k, padded_keys(width)), halves(v.mT), bias)
        wide = [x if x is None else x.double() for x in (q, k, v, bias)]
        exact, plain = (
            functional.scaled_dot_product_attention(*some[:3], attn_mask=some[3], scale=1.0)
            for some in (wide, [q, k, v, bias])
        )
        found[f"attention {queries} {keys} {width} {value}"] = [error(made, exact), error(plain, exact)]
    return found


def modules() -> dict[str, list[float]]:
    """Layers inside of the mode: parts are kept for the next product, and not where something changes."""
    arithmetic._has_kernels = lambda x: True  # type: ignore[assignment]
    k, v = (torch.randn(2, 40, 3, size).transpose(1, 2) for size in (24, 48))
    content, position = (torch.randn(2, 20, 3, 24).transpose(1, 2) for _ in range(2))
    r, x, w = torch.randn(1, 59, 3, 24).transpose(1, 2), torch.randn(2, 20, 40), torch.randn(30, 40)
    kernel = torch.randn(30, 20, 3)

    def compute(*some: torch.Tensor) -> list[torch.Tensor]:
        content, position, k, v, r, x, w, kernel = (one.clone() for one in some)
        made = [attend_by_distance(content, position, k, v, r), functional.linear(x, w), x[:, :] @ w.mT]
        x.mul_(2)
        made += [functional.linear(x, w), functional.conv1d(x, kernel, padding=1)]
        x[:, 0] = 1
        return [*made, functional.linear(x, w), torch.bmm(x, x.mT), torch.matmul(x[None], x[:, None].mT)]

    given = (content, position, k, v, r, x, w, kernel)
    exact, plain = compute(*(one.double() for one in given)), compute(*given)
    with arithmetic._Split(arithmetic._SplitWeights()), torch.inference_mode():
        made = compute(*given)
    return {
        f"module {i}": [error(a, e), error(b, e)]
        for i, (a, b, e) in enumerate(zip(made, plain, exact, strict=True))
    }


if __name__ == "__main__":
    torch.manual_seed(0)
    split_kernels.BLOCK_M = split_kernels.BLOCK_N = split_kernels.BLOCK_K = 32  # several blocks, quickly
    split_kernels._QUERIES, split_kernels._KEYS = 16, 32
    found = products() | convolutions() | attentions() | modules()
    Path(sys.argv[1]).write_text(json.dumps(found, indent=1))
