"""Which keys of the configuration are in no unit's key, and why; and by what two configurations differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from hapsight.config import Config, as_toml

__all__ = ["CHANGE_NOTHING", "TABLES_ONLY", "differing", "table_key"]

CHANGE_NOTHING: Final[Mapping[str, str]] = {
    "name": "title of the report",
    "output": "where, not what",
    "share_output": "who may read the folder",
    "workers": "who does the work",
    "predict.allow_imprecise": "whether a run begins",
    "predict.genes_per_unit": "how units are cut",
    "predict.workers": "who does the work",
    "baseline.genes_per_unit": "how units are cut",
    "eqtl.genes_per_unit": "how units are cut",
    "explain.genes_per_unit": "how units are cut",
    "cluster.scheduler": "who does the work",
    "cluster.resources": "who does the work",
    "cluster.unencrypted": "how work travels",
    "cluster.retries": "who does the work",
    "cluster.patience": "who does the work",
    "report.include_individuals": "what the report shows, which every run writes anew",
}
"""Keys that change no number, and what they are for."""

TABLES_ONLY: Final[Mapping[str, str]] = {
    "protocol": "columns and q-values; what it fixes of models and genotypes is in their own keys",
    "evaluate.null_draws": "evaluation",
    "evaluate.permutations": "evaluation",
    "baseline.run": "which units there are",
    "baseline.methods": "which units there are",
    "baseline.splits": "which units there are",
    "baseline.imported.label": "which units there are",
    "informed.splits": "which units there are",
    "eqtl.run": "which units there are",
    "eqtl.fdr": "which genes are searched; the threshold that follows is in their keys",
    "explain.run": "which units there are",
    "explain.genes": "which units there are",
    "explain.min_abs_r": "which units there are",
    "explain.saturation_around": "which arrays there are; the place is in their keys",
    "explain.gradients": "which arrays there are",
    "explain.motifs": "drivers",
    "explain.conservation": "drivers",
    "explain.sign_priors": "drivers",
    "priors.gene_covariates.label": "priors across genes",
    "priors.gene_covariates.path": "priors across genes",
    "priors.half_life": "priors across genes",
    "priors.effects.label": "signs of priors",
    "priors.effects.path": "signs of priors",
    "priors.motifs": "which scores there are, which are in keys themselves",
    "priors.motif_threshold": "scores, which are in keys themselves",
    "priors.max_p": "scores, which are in keys themselves",
    "priors.reach": "scores, which are in keys themselves",
    "priors.shuffles": "signs of priors",
    "train.model": "which model is trained, whose fingerprint is in keys",
    "train.seeds": "which units there are",
    "train.baselines": "which units there are",
    "train.people": "which units there are, each with its number in its key",
    "train.min_maf": "which units there are, each with its floor in its key",
}
"""Keys that decide which units there are, or tables that every run writes anew from units."""

_LATER: Final = {
    "evaluate": ("eqtl.", "explain.", "informed.", "priors.", "train."),
    "drivers": (
        "informed.",
        "priors.",
        "train.",
        "explain.saturation",
        "explain.gradients",
        "explain.tracks",
    ),
}
"""How keys begin of which a stage's tables know nothing."""


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Keys of two configurations, as TOML has them, that are in keys of units and differ.

    Genes, models and tables may come and go: who is in both has the units that it had.
    """
    before, now = (dict(_flat(config)) for config in (one, other))
    keys = sorted((before.keys() | now.keys()) - {"cohort.keep_genes"})
    listed = CHANGE_NOTHING.keys() | TABLES_ONLY.keys()
    return [key for key in keys if key not in listed and not _alike(before.get(key), now.get(key))]


def _alike(one: object, other: object) -> bool:
    """Whether two values are the same, or of two lists one has all of the other's entries."""
    if isinstance(one, list) and isinstance(other, list):
        return all(entry in other for entry in one) or all(entry in one for entry in other)
    return one == other


def _flat(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, Mapping) and f"{prefix}{key}" not in ("cluster.resources", "models.options"):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def table_key(config: Config, stage: str) -> str:
    """Digest of what the tables of a stage depend on beside its units."""
    kept = {key: value for key, value in _flat(as_toml(config)) if key not in CHANGE_NOTHING}
    kept = {key: value for key, value in kept.items() if not key.startswith(_LATER[stage])}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]
