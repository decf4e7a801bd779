"""Models of your own: a torch module as it is, and a Python file that is named where a model is.

``name = "file:mymodel.py"`` runs the code in that file: give only files that you would run yourself.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import partial, wraps
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from hapsight.errors import ConfigError, HapsightError
from hapsight.models.protocol import ModelWindow, ReadOut, SequenceModel, Track

if TYPE_CHECKING:
    import torch

__all__ = ["PREFIX", "TorchModel", "file_digest_of", "loader_of_file", "require_one_state"]

PREFIX: Final = "file:"
"""What a model's name begins with where it is a Python file."""

Loader = Callable[..., SequenceModel]
Read = Callable[[Any, "torch.Tensor"], "torch.Tensor"]

_EXPECTED: Final = "def load(weights=None, *, device=None, **options), which returns a hapsight SequenceModel"


class TorchModel(SequenceModel):
    """Any torch module as a model: it gets one-hot DNA around a TSS and gives a number for each track.

    Parameters
    ----------
    network
        Takes (B, 4, L) float32 (A, C, G, T; N is zero in all four), gives (B,) or (B, T). It is put into
        evaluation mode.
    name
        Goes with every number.
    upstream, downstream
        Bases before the TSS, and from the TSS (included) on; L is their sum.
    oriented
        Whether it reads in the direction of transcription; else the genome's forward strand.
    tracks
        Names of the T numbers.
    read
        ``read(network, one_hot)`` where the module wants other axes, or gives more than is wanted. Its code
        is in the fingerprint, as Python compiled it: all hosts of one run need one release of Python.

    Attributes
    ----------
    fingerprint
        Digest of name, window, tracks, the module's layers and the code of `read`. What else changes
        numbers (the code of the module's ``forward``, what `read` takes from around it, as a closure does)
        is yours to tell: set `fingerprint` to another text.

    Raises
    ------
    ConfigError
        It gives another shape than (1, T) for one sequence.

    Examples
    --------
    >>> model = TorchModel(network, "my-cnn", upstream=1000, downstream=1000)  # doctest: +SKIP
    >>> enformer = TorchModel(  # doctest: +SKIP
    ...     network, "enformer", upstream=98_304, downstream=98_304, oriented=False,
    ...     read=lambda net, x: net(x.transpose(1, 2))["human"][:, 447:450, 5110].sum(1),
    ... )
    """

    default_read_out = "default"

    def __init__(
        self,
        network: torch.nn.Module,
        name: str,
        *,
        upstream: int,
        downstream: int,
        oriented: bool = True,
        tracks: Sequence[str] = ("expression",),
        read: Read | None = None,
    ) -> None:
        self.network, self.name, self._read = network.eval(), name, read or _call
        self.window = ModelWindow(upstream, downstream, oriented)
        self.tracks = tuple(Track(track, "not given", "not given", ".", "not given") for track in tracks)
        self.read_outs = {"default": ReadOut("default", tuple(range(len(self.tracks))))}
        words = f"{name} {self.window} {self.tracks} {network!r} {_told(self._read)}"
        self.fingerprint = hashlib.sha256(words.encode()).hexdigest()
        self._require_shape()

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        """(B, T) what the module gives for (B, L) codes."""
        from hapsight.models.forward import one_hot

        given = self._read(self.network, one_hot(codes))
        given = given[:, None] if given.ndim == 1 else given
        return given if len(read_out.tracks) == len(self.tracks) else given[:, list(read_out.tracks)]

    def to(self, device: torch.device) -> TorchModel:
        """Move the parameters to `device`; returns the model."""
        self.network.to(device)
        return self

    def _require_shape(self) -> None:
        """Try one sequence, and count the floating-point operations that it takes."""
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            given = self._one()
        self.flop_per_pass = float(max(counter.get_total_flops(), 1))
        if tuple(given.shape) != (1, len(self.tracks)):
            raise ConfigError(
                "A module gives another shape than one number for each track.",
                where=f"model {self.name}, one sequence of {self.window.length:,} bases",
                expected=(1, len(self.tracks)),
                got=tuple(given.shape),
                fix="name all `tracks`, or take what is wanted with `read`",
            )

    def _one(self) -> torch.Tensor:
        """What it gives for one sequence."""
        import torch

        device = next((values.device for values in self.network.parameters()), torch.device("cpu"))
        codes = torch.zeros((1, self.window.length), dtype=torch.uint8, device=device)
        with torch.no_grad():
            return self.predict(codes, self.read_out())


def _call(network: Any, one_hot: torch.Tensor) -> torch.Tensor:
    given: torch.Tensor = network(one_hot)
    return given


def _told(value: object) -> str:
    """What a function does, as a text that is the same in every process of one release of Python.

    Objects other than constants and functions are told by their type only.
    """
    told = f"{type(value).__module__}.{type(value).__qualname__}"
    if value is None or isinstance(value, str | bytes | int | float | complex):
        return f"{told} {value!r}"
    if isinstance(value, tuple | frozenset):
        parts = [_told(part) for part in value]
        return f"{told} [{', '.join(parts if isinstance(value, tuple) else sorted(parts))}]"
    if isinstance(value, CodeType):  # its own text has an address and a path
        return f"{told} {_told((value.co_code, value.co_names, value.co_consts))}"
    if isinstance(value, partial):
        return f"{told} {_told((value.func, value.args, *value.keywords.items()))}"
    if inspect.isroutine(value):
        code, defaults = getattr(value, "__code__", value.__qualname__), getattr(value, "__defaults__", None)
        return f"{told} {_told((code, defaults, *(getattr(value, '__kwdefaults__', None) or {}).items()))}"
    call = getattr(type(value), "__call__", None)  # noqa: B004 - the function itself
    return f"{told} {_told(call)}" if inspect.isfunction(call) else told


def loader_of_file(name: str) -> Loader:
    """The loader in a Python file, ``file:PATH``; the file is run as it is now.

    Its ``load`` is a function or class like that of an entry point; ``device`` may be left out of it. What it
    returns is moved to the device; without a fingerprint of its own it has the file's SHA-256.

    Raises
    ------
    ConfigError
        The file is not there, cannot be run, or has no ``load``; and when it is called, that fails or returns
        something else than a `SequenceModel`.
    """
    path = _path(name)
    module, digest = _module(path)
    load = getattr(module, "load", None)
    if not callable(load):
        raise ConfigError(
            "The file of a model has no `load`.", where=path, expected=_EXPECTED, got=repr(load)
        )
    takes = inspect.signature(load).parameters
    with_device = "device" in takes or any(one.kind is one.VAR_KEYWORD for one in takes.values())

    @wraps(load)
    def loader(*, device: torch.device, **options: object) -> SequenceModel:
        try:
            model = load(**({"device": device} if with_device else {}), **options)
        except HapsightError:
            raise
        except (Exception, SystemExit) as error:
            raise _fails(path, "`load` of the file of a model fails.", error) from error
        if not isinstance(model, SequenceModel):
            got = type(model).__name__
            raise ConfigError("`load` returns no model.", where=path, expected=_EXPECTED, got=got)
        if getattr(model, "fingerprint", None) is None:
            model.fingerprint = digest
        object.__setattr__(model, "file_digest", digest)  # of a frozen dataclass too
        return model.to(device)

    return loader


def _path(name: str) -> Path:
    return Path(name.removeprefix(PREFIX)).expanduser().resolve()


def file_digest_of(model: SequenceModel) -> str:
    """SHA-256 of the file that a model is of, ``file:PATH``, as it was when this model was loaded."""
    digest: str = model.file_digest  # type: ignore[attr-defined]
    return digest


def require_one_state(loaded: Iterable[tuple[str, str]]) -> None:
    """Refuse a Python file that was changed after one model was loaded from it, and before another was.

    Parameters
    ----------
    loaded
        Of each model of a run: its name, and its fingerprint, which begins with the digest of the file.

    Raises
    ------
    ConfigError
        There is such a file.
    """
    digests: dict[Path, str] = {}
    for name, fingerprint in loaded:
        digest = fingerprint.partition("+")[0]
        if name.startswith(PREFIX) and digests.setdefault(path := _path(name), digest) != digest:
            raise ConfigError(
                "The file of two models was changed while they were being loaded.",
                where=path,
                expected=f"sha256 {digests[path]}, as for the first of them",
                got=f"sha256 {digest}",
                fix="run the same command again",
            )


def _module(path: Path) -> tuple[ModuleType, str]:
    """The module that a file is, run anew, since what it reads may have changed; and the file's SHA-256."""
    try:
        source = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            "The file of a model cannot be read.", where=path, expected="a Python file", got=error.strerror
        ) from None
    digest = hashlib.sha256(source).hexdigest()
    name = f"hapsight_file_{digest[:16]}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses and pickles look for it there
    try:
        exec(compile(source, path, "exec"), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _fails(path, "The file of a model cannot be run.", error) from error
    return module, digest


def _fails(path: Path, what: str, error: BaseException) -> ConfigError:
    """Where in the file it went wrong, and how."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
    ]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    where = path if line is None else f"{path}, line {line}"
    fix = "install what it imports; files beside it are not found" if isinstance(error, ImportError) else None
    return ConfigError(what, where=where, got=f"{type(error).__name__}: {error}", fix=fix)
