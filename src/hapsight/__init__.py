"""hapsight: find out whether a sequence-to-expression model knows which way a person's gene goes.

What a notebook needs are the eleven names of ``__all__``, each imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hapsight.api import evaluate, open_cohort
    from hapsight.models.registry import load_model
    from hapsight.one_gene import elastic_net, haplotypes, predict, random_weights_null, variant_effects
    from hapsight.results import read_run
    from hapsight.stats.correlation import correlate
    from hapsight.validate.qtl import modality_gap

__version__ = "0.1.0"

__all__ = [
    "correlate",
    "elastic_net",
    "evaluate",
    "haplotypes",
    "load_model",
    "modality_gap",
    "open_cohort",
    "predict",
    "random_weights_null",
    "read_run",
    "variant_effects",
]

_HOMES = {
    "correlate": "hapsight.stats.correlation",
    "elastic_net": "hapsight.one_gene",
    "evaluate": "hapsight.api",
    "haplotypes": "hapsight.one_gene",
    "load_model": "hapsight.models.registry",
    "modality_gap": "hapsight.validate.qtl",
    "open_cohort": "hapsight.api",
    "predict": "hapsight.one_gene",
    "random_weights_null": "hapsight.one_gene",
    "read_run": "hapsight.results",
    "variant_effects": "hapsight.one_gene",
}
"""Where each is; imported when it is first used."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hapsight' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
