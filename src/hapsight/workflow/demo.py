"""The cohort that comes with hapsight, ready to run."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from hapsight.config import Config, ModelConfig, load_config
from hapsight.errors import WeightsError

__all__ = ["demo_cohort", "demo_config"]

_TIMEOUT = 10.0
"""Seconds of silence after which fetching weights is given up."""


def demo_cohort() -> Config:
    """The demo's configuration as it lies in the package."""
    return load_config(Path(str(files("hapsight") / "demo" / "demo.toml")))


def demo_config(output: Path) -> tuple[Config, list[str]]:
    """The demo's configuration, writing to `output`; and what had to be left out, in words.

    `mini` comes with hapsight. Xpresso is run beside it where its weights are in the weights folder, or can
    be fetched into it.
    """
    config, kept, remarks = demo_cohort(), [], []
    for model in config.models:
        try:
            _fetch_weights(model)
            kept.append(model)
        except WeightsError as error:
            reason = error.details.get("got", error.what)
            remarks += [
                f"{model.name} was left out: its weights are not here and could not be fetched ({reason}).",
                error.details.get("to mend", ""),
            ]
    return config.model_copy(update={"output": output.resolve(), "models": tuple(kept)}), remarks


def _fetch_weights(model: ModelConfig) -> None:
    from hapsight.models.catalogue import WEIGHTS, published_weights
    from hapsight.models.weights import fetch

    if model.name in WEIGHTS:
        for file in published_weights(model.name, model.weights):
            fetch(file, timeout=_TIMEOUT)
