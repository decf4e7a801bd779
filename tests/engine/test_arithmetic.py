"""Arithmetics against exact sums, against float64, and against each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from hapsight.engine.arithmetic import PRECISIONS, in_arithmetic, precisions_named
from hapsight.engine.shared import plain_values, shared_values
from hapsight.engine.split import rounded_to_tf32, split_product, tf32_product, unfolded
from hapsight.errors import ConfigError
from hapsight.models.forward import one_hot
from hapsight.models.protocol import SequenceModel
from hapsight.models.registry import load_model, register
from hapsight.run.models import ModelSource
from tests.engine.test_shared import haplotypes
from tests.engine.toy_shared import ToyShared, ToyWindowed

NARROW = [("mini", {}), ("basenji2", {"width": 24}), ("enformer", {"width": 24}), ("expecto", {"width": 8}),
          ("borzoi", {"width": 16}), ("flashzoi", {"width": 16})]  # fmt: skip
MOST = {"float32": 5e-6, "float16x3": 5e-6, "tf32": 5e-3, "bfloat16": 0.1}
"""Error of a value, relative to the largest."""


class Single(ToyShared):
    """The toy in float32, which other arithmetics act on, with enough channels for tensor cores."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv1d(4, 6, 5, padding=2), nn.Conv1d(6, 6, 5, padding=2)
        self.mix.float()

    def embed(self, codes: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool1d(self.conv1(one_hot(codes)), 2)
        return functional.max_pool1d(self.conv2(torch.sigmoid(x)), 2).transpose(1, 2)


def uneven(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    """Rows of very different sizes, some of them zero."""
    rows = np.exp2(rng.integers(-30, 30, (*shape[:-1], 1))) * (rng.random((*shape[:-1], 1)) > 0.1)
    return torch.from_numpy((rng.standard_normal(shape) * rows).astype(np.float32))


def exactly(x: np.ndarray, w: np.ndarray) -> Fraction:
    """The sum of products without any rounding."""
    return sum((Fraction(float(a)) * Fraction(float(b)) for a, b in zip(x, w, strict=True)), Fraction(0))


def halves(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, Fraction]:
    """A row in two float16 parts, and the power of two that it was scaled by: the definition."""
    top = np.abs(x).max()
    scale = Fraction(2) ** (14 - int(np.floor(np.log2(top)))) if top > 0 else Fraction(1)
    scaled = x.astype(np.float64) * float(scale)
    high = scaled.astype(np.float16).astype(np.float64)
    return high, (scaled - high).astype(np.float16).astype(np.float64), scale


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 4), st.integers(1, 40))
def test_split_products_are_the_three_products_of_the_parts(seed, rows, columns, terms):
    rng = np.random.default_rng(seed)
    x, w = uneven(rng, rows, terms), uneven(rng, columns, terms)
    made = split_product(x, w).numpy()
    for i, j in np.ndindex(rows, columns):
        (xh, xl, xs), (wh, wl, ws) = halves(x[i].numpy()), halves(w[j].numpy())
        wanted = (exactly(xh, wh) + exactly(xh, wl) + exactly(xl, wh)) / xs / ws
        size = float((x[i].double() * w[j].double()).abs().sum())
        assert abs(made[i, j] - float(wanted)) <= terms * 2**-23 * size
        assert abs(made[i, j] - float(exactly(x[i].numpy(), w[j].numpy()))) <= (terms + 4) * 2**-22 * size


def test_a_tiny_row_is_a_number():
    made = split_product(torch.full((1, 16), 1e-36), torch.ones(1, 16))
    assert made.item() == pytest.approx(1.6e-35, rel=1e-2)


def test_split_products_are_as_exact_as_float32():
    x, w = uneven(np.random.default_rng(0), 2, 50, 300), uneven(np.random.default_rng(1), 40, 300)
    exact = x.double() @ w.double().mT
    size = x.double().abs() @ w.double().abs().mT + 1e-300

    def error(made: torch.Tensor) -> float:
        return float(((made.double() - exact).abs() / size).max())

    assert error(split_product(x, w)) <= 2 * error(x @ w.mT) < 1e-6
    assert 1e-5 < error(tf32_product(x, w)) < 1e-3


@given(st.floats(width=32, min_value=-(2.0**120), max_value=2.0**120))
def test_tf32_keeps_eleven_digits(value):
    mantissa, exponent = np.frexp(np.float64(value))
    wanted = np.sign(mantissa) * np.floor(np.abs(mantissa) * 2**11 + 0.5) / 2**11 * np.exp2(exponent)
    if abs(value) >= 2.0**-126:
        assert rounded_to_tf32(torch.tensor([value])).item() == wanted


@pytest.mark.parametrize(("padding", "dilation"), [(0, 1), (2, 1), (3, 3), (0, 4)])
def test_an_unfolded_product_is_the_convolution(padding, dilation):
    rng = np.random.default_rng(2)
    x, w = torch.from_numpy(rng.standard_normal((2, 5, 30))), torch.from_numpy(rng.standard_normal((7, 5, 4)))
    made = (unfolded(x, 4, padding, dilation) @ w.flatten(1).mT).mT
    wanted = functional.conv1d(x, w, padding=padding, dilation=dilation)
    torch.testing.assert_close(made, wanted, rtol=1e-12, atol=1e-12)


def narrow(name: str, options: dict[str, int]) -> SequenceModel:
    return load_model(name, "chr22" if name == "mini" else "random:0", "cpu", **options)


def computed(model: SequenceModel) -> Callable[[], torch.Tensor]:
    """The whole model where that is quick; else its local layers, on some kilobases."""
    length = model.window.length if model.name.startswith("mini") else 4096
    codes = torch.randint(0, 4, (2, length), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)

    def compute() -> torch.Tensor:
        with torch.inference_mode():
            if model.name.startswith("mini"):
                return model.predict(codes, model.read_out())
            return model.embed(codes)

    return compute


@pytest.mark.parametrize(("name", "options"), NARROW)
def test_every_model_in_every_arithmetic(name, options):
    model = narrow(name, options)
    before = dict(model.__dict__)
    compute = computed(model)
    plain = compute()
    in_arithmetic(model, "cpu", "float64")
    exact = compute()
    assert exact.dtype == torch.float64
    error = {}
    for precision in PRECISIONS:
        in_arithmetic(model, "cpu", precision)
        made = compute()
        assert made.dtype == torch.float32
        error[precision] = float((made - exact).abs().max() / exact.abs().max())
        assert error[precision] <= MOST[precision]
    assert error["float16x3"] < error["tf32"] / 10 < error["bfloat16"] / 10
    in_arithmetic(model, "cpu", "float32")
    assert torch.equal(compute(), plain)
    assert model.__dict__ == before


def test_attention_in_every_arithmetic():
    """Enformer's transformer and head, on random embeddings."""
    model = narrow("enformer", {"width": 24})
    first, last = model.span(model.read_out())
    shape = (1, last - first, model.grid.channels)
    embedding = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    found = {}
    for precision in ("float64", "float32", "float16x3"):
        in_arithmetic(model, "cpu", precision)
        with torch.inference_mode():
            found[precision] = model.read(embedding, model.read_out())
    largest = found["float64"].abs().max()
    for precision in ("float32", "float16x3"):
        assert float((found[precision] - found["float64"]).abs().max() / largest) < 1e-5


X, W, V = (
    torch.randn(shape, generator=torch.Generator().manual_seed(i))
    for i, shape in enumerate([(2, 3, 30, 20), (2, 3, 25, 20), (2, 3, 25, 8)])
)
BIAS = torch.randn(2, 3, 30, 25, generator=torch.Generator().manual_seed(3))
KERNEL = torch.randn(20, 30, 3, generator=torch.Generator().manual_seed(4))
OPERATIONS = {
    "linear": lambda: functional.linear(X, W[0, 0], BIAS[0, 0, 0]),
    "matmul": lambda: torch.matmul(X, W.mT),
    "matmul, weights for each head": lambda: X @ W[0].mT,
    "matmul, one for all": lambda: X @ W[:1, :1].mT,
    "bmm": lambda: torch.bmm(X[0], W[0].mT),
    "mm": lambda: torch.mm(X[0, 0], W[0, 0].mT),
    "baddbmm": lambda: torch.baddbmm(BIAS[0], X[0], W[0].mT),
    "conv": lambda: functional.conv1d(X[0], KERNEL, padding=2),
    "conv, dilated, same": lambda: functional.conv1d(
        X[0], KERNEL, BIAS[0, 0, 0, :20], padding="same", dilation=4
    ),
    "conv, strided": lambda: functional.conv1d(X[0], KERNEL, stride=2),
    "attention": lambda: functional.scaled_dot_product_attention(X, W, V),
    "linear, by name": lambda: functional.linear(X, weight=W[0, 0], bias=BIAS[0, 0, 0]),
    "matmul, by name": lambda: torch.matmul(X, other=W.mT),
    "conv, by name": lambda: functional.conv1d(X[0], weight=KERNEL, padding=2),
    "attention, by name": lambda: functional.scaled_dot_product_attention(query=X, key=W, value=V),
    "attention, bias for all": lambda: functional.scaled_dot_product_attention(X, W, V, attn_mask=BIAS[0, 0]),
    "attention, masked": lambda: functional.scaled_dot_product_attention(X, W, V, attn_mask=BIAS > 0),
    "attention, bias and scale": lambda: functional.scaled_dot_product_attention(
        X, W, V, attn_mask=BIAS, scale=1.0
    ),
}


class Operation(Single):
    """One operation in place of a model."""

    def __init__(self, operation: Callable[[], torch.Tensor]) -> None:
        super().__init__()
        self.operation = operation

    def predict(self, codes: torch.Tensor, read_out: object) -> torch.Tensor:
        return self.operation()


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_that_is_taken_over(name):
    model, found = Operation(OPERATIONS[name]), {}
    for precision in ("float64", *PRECISIONS):
        found[precision] = in_arithmetic(model, "cpu", precision).predict(None, None)
    exact = found["float64"]
    error = {p: float((found[p] - exact).abs().max() / exact.abs().max()) for p in PRECISIONS}
    assert max(error["float32"], error["float16x3"]) < 2e-6
    if name not in ("conv, strided", "attention, masked"):  # left to torch
        assert not torch.equal(found["float16x3"], found["float32"])
        assert 1e-5 < error["tf32"] < 5e-3


def test_bfloat16_is_near_float32_and_not_it():
    codes = haplotypes(1)
    plain = plain_values(Single(), Single().read_out(), codes, "cpu")
    model = in_arithmetic(Single(), "cpu", "bfloat16")
    values, _ = shared_values(model, model.read_out(), codes, device="cpu")
    assert 0 < np.abs(values - plain).max() < 0.05 * np.abs(plain).max()


def test_one_object_that_is_loaded_again_computes_as_it_is_asked_now():
    """A loader of a notebook may give the same model every time."""
    one, codes = Single(), torch.from_numpy(haplotypes(1))
    plain, source = (
        one.predict(codes, one.read_out()),
        ModelSource("one", None, "{}", "cpu", "float32", False),
    )
    one.predict = own = partial(Single.predict, one)  # of the object, not of its class
    with register("one", lambda *, device="cpu": one):
        for precision in ("bfloat16", "float32"):
            model, _ = replace(source, precision=precision).load()
            assert torch.equal(model.predict(codes, one.read_out()), plain) == (precision == "float32")
    assert one.predict is own


@pytest.mark.parametrize(
    ("model_class", "steps"),
    [(ToyShared, ["read"]), (ToyWindowed, ["read", "embed_window", "read_windows"])],
)
def test_what_reads_an_embedding_is_compiled(monkeypatch, model_class, steps):
    compiled = []

    def compile_nothing(function, **options):
        compiled.append(function.__name__)
        return function

    monkeypatch.setattr(torch, "compile", compile_nothing)
    codes = haplotypes(2)
    model = in_arithmetic(model_class(), "cpu", "float32", compiled=True)
    assert compiled == steps
    np.testing.assert_allclose(
        shared_values(model, model.read_out(), codes, device="cpu")[0],
        plain_values(model_class(), model.read_out(), codes, "cpu"),
        atol=1e-10,
    )


def test_float16x3_is_not_compiled_and_the_cure_helps(monkeypatch):
    with pytest.raises(ConfigError, match="set compiled = false, or another precision"):
        in_arithmetic(Single(), "cpu", "float16x3", compiled=True)
    in_arithmetic(Single(), "cpu", "float16x3", compiled=False)
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    in_arithmetic(Single(), "cpu", "tf32", compiled=True)


def test_arithmetics_by_name():
    assert precisions_named(None) == PRECISIONS
    assert precisions_named(["bfloat16", "float32"]) == ("float32", "bfloat16")
    with pytest.raises(ConfigError, match="float32, float16x3, tf32, bfloat16"):
        precisions_named(["float8"])
