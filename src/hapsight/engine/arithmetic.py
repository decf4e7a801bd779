"""The arithmetic in which a model's products and convolutions are computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 - as everybody writes it
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from hapsight.engine.split import split_product, tf32_product, unfolded
from hapsight.errors import ConfigError
from hapsight.models.elements import ElementSum
from hapsight.models.forward import with_layers
from hapsight.models.protocol import Precision, SequenceModel, SharedModel, WindowedModel

__all__ = ["PRECISIONS", "Precision", "in_arithmetic", "precisions_named"]

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
"""From the most exact to the least; `hapsight bench precision` measures what each loses."""


def precisions_named(names: Sequence[str] | None) -> tuple[Precision, ...]:
    """The arithmetics of these names, or all.

    Raises
    ------
    ConfigError
        One is unknown.
    """
    for name in names or ():
        if name not in PRECISIONS:
            raise ConfigError("Unknown arithmetic.", expected=", ".join(PRECISIONS), got=repr(name))
    return tuple(p for p in PRECISIONS if not names or p in names)


Parts = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

_FEWEST_TERMS = 16
"""Products of fewer terms than this stay in float32: they cost little; tensor cores take 16 at a time."""


def in_arithmetic(
    model: SequenceModel,
    device: torch.device | str,
    precision: Precision | Literal["float64"],
    *,
    compiled: bool = False,
) -> SequenceModel:
    """Let a model's layers compute in `precision`, whatever they did before; changes and returns the model.

    Parameters
    ----------
    precision
        ``"float32"``: as the model is. ``"float16x3"``: products of operands in two float16 parts each,
        summed in float32, on a GPU's tensor cores: float32's accuracy. ``"tf32"``: operands with 10 bits of
        mantissa. ``"bfloat16"``: torch's autocast, 7 bits; weights stay in float32. ``"float64"``: to judge
        the others by. A CPU computes all of them, slowly, with the same rounding of operands.
    compiled
        ``torch.compile`` what reads an embedding, which has one shape; stretches have many.

    Raises
    ------
    ConfigError
        float16x3 is to be compiled: its kernels are.
    """
    if compiled and precision in ("float16x3", "float64"):
        raise ConfigError(
            f"{precision} has its own kernels, which torch.compile cannot take apart.",
            where="compiled of [predict]",
            fix="set compiled = false, or another precision",
        )
    if isinstance(model, ElementSum):
        in_arithmetic(model.element, device, precision, compiled=compiled)
        return model
    _put_back(model)
    mode, kept = _mode(precision, torch.device(device)), dict[str, object]()
    for step in _steps(model) if compiled or mode is not None else ():
        function = getattr(model, step)
        if compiled and step in _COMPILED:
            function = torch.compile(function, dynamic=False)
        if mode is not None:
            function = _within(function, mode)
        kept[step] = vars(model).get(step)
        setattr(model, step, function)
    if kept:
        vars(model)[_KEPT] = kept
    return model


_COMPILED = ("read", "embed_window", "read_windows")
_KEPT = "_before_in_arithmetic"


def _put_back(model: SequenceModel) -> None:
    """Give a model its own steps again: an object's where it had one, else the class's."""
    for step, own in vars(model).pop(_KEPT, {}).items():
        del vars(model)[step]
        if own is not None:
            setattr(model, step, own)


def _steps(model: SequenceModel) -> list[str]:
    steps = ["predict"]
    if isinstance(model, SharedModel):
        steps += ["embed", "read"]
    if isinstance(model, WindowedModel):
        steps += ["embed_window", "read_windows"]
    return steps


def _mode(
    precision: Precision | Literal["float64"], device: torch.device
) -> Callable[[], AbstractContextManager[object]] | None:
    if precision == "float32":
        return None
    if precision == "bfloat16":
        return lambda: torch.autocast(device.type, dtype=torch.bfloat16)
    if precision == "tf32":
        return _Tf32
    if precision == "float64":
        return _Float64
    kept = _SplitWeights()
    return lambda: _Split(kept)


def _within(
    function: Callable[..., torch.Tensor], mode: Callable[[], AbstractContextManager[object]]
) -> Callable[..., torch.Tensor]:
    def call(*arguments: object) -> torch.Tensor:
        with with_layers(), mode():
            made = function(*arguments)
        return made if made.dtype == torch.float64 else made.float()

    return call


class _Float64(TorchFunctionMode):
    """Every float32 tensor that a function of torch is given, as float64."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if getattr(func, "__name__", "") in ("__get__", "__set__", "requires_grad_"):
            return func(*args, **(kwargs or {}))
        args, kwargs = tree_map_only(torch.Tensor, _doubled, (args, kwargs or {}))
        return func(*args, **kwargs)


def _doubled(x: torch.Tensor) -> torch.Tensor:
    return x.double() if x.dtype == torch.float32 else x


class _Products(TorchFunctionMode):
    """Sends float32 products and one-dimensional convolutions inside of it to `product` and `convolve`."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        done = _HANDLED.get(func)
        if done is not None:
            made = done(self, *args, **{_NAMES.get(name, name): value for name, value in kwargs.items()})
            if made is not None:
                return made
        return func(*args, **kwargs)

    def product(self, x: torch.Tensor, w: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """``x @ w.mT + bias``: (..., M, K) and (..., N, K) to (..., M, N)."""
        raise NotImplementedError

    def convolve(
        self, x: torch.Tensor, w: torch.Tensor, bias: torch.Tensor | None, padding: int, dilation: int
    ) -> torch.Tensor | None:
        """(B, C, L) and (O, C, taps) to (B, O, made); None leaves it to torch."""
        made = self.product(unfolded(x, w.shape[2], padding, dilation), w.flatten(1), bias)
        return made.mT

    def attend(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor | None:
        """``softmax(q @ k.mT + bias) @ v``: (B, H, Q, K), (B, H, N, K), (B, H, N, V); None: as torch does."""
        if q.is_cuda:
            return None
        logits = self.product(q, k) if bias is None else self.product(q, k) + bias
        return self.product(logits.softmax(-1), v.mT)


class _Tf32(_Products):
    """Operands with 10 bits of mantissa: a GPU's own, or rounded so."""

    def product(self, x: torch.Tensor, w: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        if not x.is_cuda:
            made = tf32_product(x, w)
            return made if bias is None else made + bias
        with _tf32_of_cublas():
            return torch.matmul(x, w.mT) if bias is None else F.linear(x, w, bias)

    def convolve(
        self, x: torch.Tensor, w: torch.Tensor, bias: torch.Tensor | None, padding: int, dilation: int
    ) -> torch.Tensor | None:
        if not x.is_cuda:
            return super().convolve(x, w, bias, padding, dilation)
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=True):
            return F.conv1d(x, w, bias, padding=padding, dilation=dilation)


class _tf32_of_cublas:  # noqa: N801 - used as a context manager
    """Lets cuBLAS use TF32 inside."""

    def __enter__(self) -> None:
        self.before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = True

    def __exit__(self, *error: object) -> None:
        torch.backends.cuda.matmul.allow_tf32 = self.before


class _Split(_Products):
    """Operands in two float16 parts: by Triton kernels on a GPU, in plain torch elsewhere."""

    def __init__(self, weights: _SplitWeights) -> None:
        super().__init__()
        self.weights = weights
        self.attended: tuple[torch.Tensor, torch.Tensor, Parts, Parts] | None = None  # of this step alone
        self.multiplied: tuple[torch.Tensor, Parts] | None = None  # the last operand, until something changes

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if _writes(func, kwargs):
            self._forget((kwargs or {}).get("out", args[0] if args else None))
        return super().__torch_function__(func, types, args, kwargs)

    def _forget(self, written: object) -> None:
        """Parts of what has changed since."""
        if self.attended is not None and _shares(written, *self.attended[:2]):
            self.attended = None
        if self.multiplied is not None and _shares(written, self.multiplied[0]):
            self.multiplied = None

    def product(self, x: torch.Tensor, w: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        if not _has_kernels(x):
            made = split_product(x, w)
            return made if bias is None else made + bias
        from hapsight.engine.split_kernels import product

        lead = np.broadcast_shapes(x.shape[:-2], w.shape[:-2])
        shape = (*lead, x.shape[-2], w.shape[-2])
        if w.ndim > 2:
            x, w = x.expand(*shape[:-1], x.shape[-1]), _repeated(w, lead)
        parts = self._parts(x, together=w.ndim == 2)
        out = torch.empty((*parts[0].shape[:2], w.shape[-2]), dtype=torch.float32, device=x.device)
        return product(parts, self.weights.of_rows(w), bias, out).reshape(shape)

    def _parts(self, x: torch.Tensor, *, together: bool) -> Parts:
        """Of (..., M, K); `together`: all rows as those of one matrix. Kept for the next product of `x`."""
        from hapsight.engine.split_kernels import halves

        if not together:
            return halves(x if x.ndim in (3, 4) else x.reshape(-1, *x.shape[-2:]))
        if self.multiplied is None or not _same(self.multiplied[0], x):
            self.multiplied = x, halves(x.reshape(1, -1, x.shape[-1]))
        return self.multiplied[1]

    def convolve(
        self, x: torch.Tensor, w: torch.Tensor, bias: torch.Tensor | None, padding: int, dilation: int
    ) -> torch.Tensor | None:
        if not _has_kernels(x):
            return super().convolve(x, w, bias, padding, dilation)
        if w.shape[1] < _FEWEST_TERMS:
            return None
        from hapsight.engine.split_kernels import halves, product

        taps = w.shape[2]
        made = x.shape[2] + 2 * padding - dilation * (taps - 1)
        out = torch.empty((len(x), w.shape[0], made), dtype=torch.float32, device=x.device)
        parts = self.weights.of_kernel(w)
        product(halves(x.mT), parts, bias, out.mT, taps=taps, dilation=dilation, padding=padding)
        return out

    def attend(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor | None:
        if not _has_kernels(q):
            return super().attend(q, k, v, bias)
        from hapsight.engine.split_kernels import WIDEST_VALUE, attention, halves, padded_keys

        if v.shape[-1] > WIDEST_VALUE or q.shape[-1] > WIDEST_VALUE:
            return None
        known = self.attended
        if known is None or known[0] is not k or known[1] is not v:  # else of another block of queries
            known = self.attended = (k, v, halves(k, padded_keys(k.shape[-1])), halves(v.mT))
        return attention(q, known[2], known[3], bias)


def _has_kernels(x: torch.Tensor) -> bool:
    return x.is_cuda


def _same(kept: torch.Tensor, x: torch.Tensor) -> bool:
    """Whether both are the same view of the same memory."""
    return kept.data_ptr() == x.data_ptr() and (kept.shape, kept.stride()) == (x.shape, x.stride())


def _shares(written: object, *kept: torch.Tensor) -> bool:
    """Whether what was written to may be part of a kept tensor."""
    if not isinstance(written, torch.Tensor):
        return True
    return written.untyped_storage().data_ptr() in [one.untyped_storage().data_ptr() for one in kept]


def _writes(func: Callable[..., Any], kwargs: dict[str, Any] | None) -> bool:
    """Whether a function of torch writes to a tensor that was there before, by its name or to ``out``."""
    name = getattr(func, "__name__", "")
    in_place = name.endswith("_") and not name.endswith("__")
    kwargs = kwargs or {}
    return in_place or name in _WRITE or "out" in kwargs or bool(kwargs.get("inplace"))


def _repeated(w: torch.Tensor, lead: torch.Size | tuple[int, ...]) -> torch.Tensor:
    """(W, N, K) weights of which flat batch b of `lead` has the b-th, modulo W."""
    own = list(w.shape[:-2])
    while own and own[0] == 1:
        own.pop(0)
    if own == list(lead)[len(lead) - len(own) :]:
        return w.reshape(-1, *w.shape[-2:])
    return w.expand(*lead, *w.shape[-2:]).reshape(-1, *w.shape[-2:])


class _SplitWeights:
    """Both parts of a model's parameters, made once; a parameter that changed is split anew."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[torch.Tensor, int, Parts]] = {}

    def of_rows(self, w: torch.Tensor) -> Parts:
        """Of (N, K) or (W, N, K) rows: (W, 1, N, K), (W, 1, N, K), (W, N)."""
        return self._kept(w, lambda: _one_tap(w if w.ndim == 3 else w[None]))

    def of_kernel(self, w: torch.Tensor) -> Parts:
        """Of a convolution's (O, C, taps): (1, taps, O, C), (1, taps, O, C), (1, O)."""
        return self._kept(w, lambda: _by_tap(w))

    def _kept(self, w: torch.Tensor, make: Callable[[], Parts]) -> Parts:
        if not isinstance(w, torch.nn.Parameter):
            return make()
        known = self._made.get(id(w))
        if known is None or known[0] is not w or known[1] != w._version:
            known = self._made[id(w)] = (w, w._version, make())
        return known[2]


def _one_tap(w: torch.Tensor) -> Parts:
    from hapsight.engine.split_kernels import halves

    high, low, scale = halves(w)
    return high[:, None], low[:, None], scale


def _by_tap(w: torch.Tensor) -> Parts:
    """One scale for all taps of an output."""
    from hapsight.engine.split_kernels import PADDED, halves

    high, low, scale = halves(w.permute(0, 2, 1).reshape(1, len(w), -1), 1)

    def by_tap(part: torch.Tensor) -> torch.Tensor:
        apart = F.pad(part.view(len(w), w.shape[2], -1), (0, -w.shape[1] % PADDED))
        return apart.transpose(0, 1).contiguous()[None]

    return by_tap(high), by_tap(low), scale


def _fits(x: torch.Tensor, w: torch.Tensor) -> bool:
    """Whether a product is of float32 matrices and long enough to be worth it."""
    float32 = x.dtype == w.dtype == torch.float32
    return float32 and x.ndim >= 2 and w.ndim >= 2 and w.shape[-1] >= _FEWEST_TERMS


def _linear(
    mode: _Products, x: torch.Tensor, w: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor | None:
    return mode.product(x, w, bias) if _fits(x, w) else None


def _matmul(mode: _Products, x: torch.Tensor, b: torch.Tensor, **other: object) -> torch.Tensor | None:
    return mode.product(x, b.mT) if not other and b.ndim >= 2 and _fits(x, b.mT) else None


def _baddbmm(
    mode: _Products, x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, **other: object
) -> torch.Tensor | None:
    return mode.product(a, b.mT).add_(x) if not other and _fits(a, b.mT) else None


def _conv1d(
    mode: _Products,
    x: torch.Tensor,
    w: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: int | tuple[int] = 1,
    padding: int | tuple[int] | str = 0,
    dilation: int | tuple[int] = 1,
    groups: int = 1,
) -> torch.Tensor | None:
    step, apart = _single(stride), _single(dilation)
    reach = apart * (w.shape[2] - 1)
    if isinstance(padding, str):
        padding = {"valid": 0, "same": reach / 2}[padding]
    zeros = _single(padding)
    plain = (
        step == 1 and groups == 1 and zeros == int(zeros) and x.ndim == 3 and x.shape[2] + 2 * zeros > reach
    )
    if not plain or not _fits(x, w.flatten(1)):
        return None
    return mode.convolve(x, w, bias, int(zeros), apart)


def _attention(
    mode: _Products,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    **other: object,
) -> torch.Tensor | None:
    if other or dropout_p or is_causal or q.dtype != torch.float32 or q.ndim != 4:
        return None
    if k.shape[:2] != q.shape[:2]:
        return None
    if attn_mask is not None:
        if attn_mask.dtype != torch.float32 or attn_mask.shape[-1] != k.shape[2]:
            return None
        attn_mask = attn_mask.expand(*q.shape[:3], k.shape[2])  # a size of 1 becomes a stride of 0
        if attn_mask.stride(-1) != 1:
            return None
    if scale != 1:
        q = q * (q.shape[-1] ** -0.5 if scale is None else scale)
    return mode.attend(q, k, v, attn_mask)


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value


_WRITE = ("__setitem__", "__iadd__", "__isub__", "__imul__", "__itruediv__", "__set__", "copy_")
"""Functions that write to their first argument, besides those whose name ends in one underscore."""

_NAMES = {"input": "x", "weight": "w", "other": "b", "mat2": "b", "batch1": "a", "batch2": "b"}
_NAMES |= {"query": "q", "key": "k", "value": "v"}
"""Names of torch's arguments, in the handlers."""

_HANDLED: dict[Callable[..., Any], Callable[..., torch.Tensor | None]] = {
    F.linear: _linear,
    F.conv1d: _conv1d,
    torch.matmul: _matmul,
    torch.Tensor.matmul: _matmul,
    torch.Tensor.__matmul__: _matmul,
    torch.bmm: _matmul,
    torch.Tensor.bmm: _matmul,
    torch.mm: _matmul,
    torch.baddbmm: _baddbmm,
    F.scaled_dot_product_attention: _attention,
}
"""What a mode takes over, as ``handler(mode, *arguments)``; a handler that gives None leaves it to torch."""
