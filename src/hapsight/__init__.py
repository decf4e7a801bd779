"""hapsight: find out whether a sequence-to-expression model knows which way a person's gene goes.

What a notebook needs are the ten names of ``__all__`` (`hapsight.api`), each imported when it is first used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hapsight.api import (
        correlate,
        elastic_net,
        evaluate,
        haplotypes,
        load_model,
        open_cohort,
        predict,
        random_weights_null,
        read_run,
        variant_effects,
    )

__version__ = "0.1.0"

__all__ = [
    "correlate",
    "elastic_net",
    "evaluate",
    "haplotypes",
    "load_model",
    "open_cohort",
    "predict",
    "random_weights_null",
    "read_run",
    "variant_effects",
]


class _Verb(ModuleType):
    """A package that has the name of a function of `hapsight.api`, and is called as that function."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)

    @property
    def __wrapped__(self) -> Any:
        """The function; `inspect.signature` looks here."""
        return getattr(import_module("hapsight.api"), self.__name__.rpartition(".")[2])


class _Face(ModuleType):
    """The package itself: what is imported into it under a name of ``__all__`` stays callable."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in __all__ and isinstance(value, ModuleType):
            value.__class__ = _Verb
        super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'hapsight' has no attribute {name!r}")
    found = getattr(import_module("hapsight.api"), name)
    return globals().setdefault(name, found)  # a package of that name has come in meanwhile, or this


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


sys.modules[__name__].__class__ = _Face
