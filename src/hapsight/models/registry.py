"""Models by name: those of hapsight, of installed packages, and of the running session.

A package offers a model as an entry point in the group ``hapsight.models``; its value is a loader,
``loader(weights=..., *, device, **options) -> SequenceModel``, where `weights` may be left out. A name
``file:PATH`` is a Python file with such a ``load`` (`hapsight.models.own`). Nothing here imports torch before
a model is loaded.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from hapsight.errors import ConfigError, MissingExtraError
from hapsight.models.catalogue import ALPHAGENOME, EFFECTS, PYTHON_ONLY, WEIGHTS, alphagenome_file, in_short
from hapsight.models.own import PREFIX, file_digest_of, loader_of_file
from hapsight.models.weights import declared_fingerprint, find, fingerprint_of

if TYPE_CHECKING:
    import torch

    from hapsight.models.protocol import SequenceModel

__all__ = [
    "ModelEntry",
    "Registration",
    "available",
    "is_registered",
    "load_model",
    "register",
    "resolve_device",
]

GROUP: Final = "hapsight.models"
DEVICES: Final = ("auto", "cpu", "cuda", "mps")
EXTRA: Final = frozenset({"torch", "h5py", "safetensors"})
"""What the ``models`` extra brings."""

Loader = Callable[..., "SequenceModel"]

_registered: dict[str, Loader] = {}


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model that can be asked for by name.

    Attributes
    ----------
    source
        The package that brings it, or ``"this session"``.
    weights
        Names of its published weights, the default first; empty where hapsight does not know them.
    present
        Those whose file is in the weights folder (its checksum is looked at when it is loaded).
    licence
        Of the weights; empty where unknown.
    how
        How to get the weights, in a few words; empty where hapsight does not know.
    """

    name: str
    source: str
    weights: tuple[str, ...]
    present: tuple[str, ...]
    licence: str
    how: str


class Registration:
    """A model registered in this process; leaving the ``with`` block, or `remove`, takes it out again."""

    def __init__(self, name: str) -> None:
        self.name = name

    def remove(self) -> None:
        """Take the model out of the registry; once is enough."""
        _registered.pop(self.name, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()


def register(name: str, loader: Loader) -> Registration:
    """Offer a model of your own in this process, such as a notebook.

    Other processes (a pool, a cluster) do not see it: a model for these needs an entry point. The loader is
    called whenever the model is needed; one that is to be trained is made anew each time, for training
    changes its weights in place.

    Raises
    ------
    ConfigError
        There is a model of this name already.
    """
    taken = {entry.name: entry.source for entry in available()}
    if name in taken:
        raise ConfigError(
            f"There is a model {name!r} already.", got=f"from {taken[name]}", fix="choose another name"
        )
    _registered[name] = loader
    return Registration(name)


def is_registered(name: str) -> bool:
    """Whether a model of this name is the running session's."""
    return name in _registered


def available() -> list[ModelEntry]:
    """Every model there is, by name, those for Python only as well; nothing is imported to find out.

    Raises
    ------
    ConfigError
        Two installed packages offer a model of one name.
    """
    sources = {name: _package(point) for name, point in _installed().items()} | dict.fromkeys(
        (EFFECTS, *PYTHON_ONLY), "hapsight"
    )
    sources |= dict.fromkeys(_registered, "this session")
    return [_entry(name, source) for name, source in sorted(sources.items())]


def load_model(
    name: str, weights: str | None = None, device: str = "auto", **options: object
) -> SequenceModel:
    """Load a model, ready to predict.

    Parameters
    ----------
    name
        As in ``hapsight models``, or ``"file:mymodel.py"``: a Python file with a ``load``, which is run.
    weights
        A name (``"GM12878"``) or the path of a file; None is the model's default.
    device
        ``"auto"`` (the first there is of cuda, mps, cpu), ``"cpu"``, ``"cuda"``, ``"mps"``.
    **options
        The model's own, such as ``tss_index`` of Xpresso.

    Raises
    ------
    ConfigError
        An unknown model, device or option, or a package or file whose model cannot be imported.
    MissingExtraError
        torch or a reader of weights is not installed.
    ModelError
        It has no fingerprint.
    WeightsError
        The weights are missing or damaged.

    Examples
    --------
    >>> model = load_model("xpresso", weights="GM12878")  # doctest: +SKIP
    >>> model.window, model.tracks, list(model.read_outs)  # doctest: +SKIP
    """
    loader = _loader(name)
    if weights is not None:
        options["weights"] = weights
    _check_options(name, loader, options)
    model = loader(device=resolve_device(device), **options)
    declared_fingerprint(model)
    return model


def fingerprint_as_loaded(name: str, model: SequenceModel) -> str:
    """What tells a loaded model from others: of hapsight's own what they say, else `fingerprint_of`.

    Hapsight's own loaders make it of the files of weights, whose bytes they have read anyway. Of a Python
    file it is its SHA-256 and a digest of the parameters.
    """
    if name.startswith(PREFIX):
        return f"{file_digest_of(model)}+{fingerprint_of(model)}"
    own = _loader(name).__module__.startswith("hapsight.models.")
    return declared_fingerprint(model) if own else fingerprint_of(model)


def resolve_device(device: str = "auto") -> torch.device:
    """Find the torch device of this name.

    Raises
    ------
    ConfigError
        An unknown name, or a device that this machine does not have.
    """
    if device not in DEVICES:
        raise ConfigError("The 'device' is unknown.", expected=", ".join(DEVICES), got=repr(device))
    try:
        import torch
    except ImportError as error:
        raise _missing_extra("torch", "every model") from error
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    chosen = next(name for name in present if present[name]) if device == "auto" else device
    if not present[chosen]:
        raise ConfigError(
            f"torch finds no {chosen} device here.",
            expected=", ".join(name for name in present if present[name]),
            got=repr(device),
            fix="use device 'auto' or 'cpu', or install a torch built for this hardware",
        )
    return torch.device(chosen)


def _installed() -> dict[str, EntryPoint]:
    points: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        other = points.setdefault(point.name, point)
        if other.value != point.value:
            raise ConfigError(
                f"Two installed packages offer a model {point.name!r}.",
                got=f"{_package(other)} ({other.value}) and {_package(point)} ({point.value})",
                fix="uninstall one of them",
            )
    return points


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module.partition(".")[0]


def _entry(name: str, source: str) -> ModelEntry:
    if name == "alphagenome":
        here = tuple(weights for weights in ALPHAGENOME if alphagenome_file(weights).is_file())
        terms = "its own, not for commercial use"
        return ModelEntry(name, source, ALPHAGENOME, here, terms, in_short(name))
    files = WEIGHTS.get(name, ())
    return ModelEntry(
        name,
        source,
        weights=tuple(file.name for file in files),
        present=tuple(file.name for file in files if find(file) is not None),
        licence=", ".join(sorted({file.licence for file in files})),
        how=in_short(name),
    )


def _loader(name: str) -> Loader:
    if name in _registered:
        return _registered[name]
    if name.startswith(PREFIX):
        return loader_of_file(name)
    if name == EFFECTS:
        raise ConfigError(
            "A table of effects is no model that sequences can be given to.",
            expected="a model that reads sequences",
            got=repr(name),
            fix="put it under [[models]] with its `table`, for the stages that predict people",
        )
    if name in PYTHON_ONLY:
        raise ConfigError(
            f"The model {name!r} reads no window about a TSS: no configuration can name it.",
            fix=f"load it in Python: {PYTHON_ONLY[name]} (docs/small_models.md)",
        )
    points = _installed()
    if name not in points:
        names = sorted({*points, *_registered, EFFECTS})
        close = difflib.get_close_matches(name, names, n=1)
        raise ConfigError(
            f"There is no model {name!r}.",
            expected=", ".join(names) or "none is installed: reinstall hapsight with pip",
            fix=f"did you mean {close[0]!r}?" if close else None,
        )
    return _import(points[name])


def _import(point: EntryPoint) -> Loader:
    try:
        loader: Loader = point.load()
    except ImportError as error:
        if error.name in EXTRA:
            raise _missing_extra(error.name, f"the model {point.name!r}") from error
        raise _broken(point, error) from error
    except Exception as error:
        raise _broken(point, error) from error
    return loader


def _broken(point: EntryPoint, error: Exception) -> ConfigError:
    return ConfigError(
        f"The model {point.name!r} of the package {_package(point)} cannot be imported.",
        where=point.value,
        got=f"{type(error).__name__}: {error}",
        fix=f"mend or uninstall {_package(point)}",
    )


def _check_options(name: str, loader: Loader, options: dict[str, object]) -> None:
    parameters = inspect.signature(loader).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    known = sorted(parameters.keys() - {"device"})
    unknown = sorted(options.keys() - set(known))
    if unknown:
        raise ConfigError(
            f"The model {name!r} has no such option.",
            expected=", ".join(known) or "no options",
            got=", ".join(unknown),
        )


def _missing_extra(module: str | None, wanted_by: str) -> MissingExtraError:
    return MissingExtraError(
        f"{module} is not installed, and {wanted_by} needs it.", fix="pip install 'hapsight[models]'"
    )
