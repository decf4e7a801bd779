"""hapsight: find out whether a sequence-to-expression model knows which way a person's gene goes.

What a notebook needs are the ten names of ``__all__`` (`hapsight.api`), each imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
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


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'hapsight' has no attribute {name!r}")
    return getattr(import_module("hapsight.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
