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

    Xpresso is run where its weights are in the weights folder, or can be fetched into it.
    """
    config = demo_cohort()
    try:
        _fetch_weights(config.models)
        return config.model_copy(update={"output": output.resolve()}), []
    except WeightsError as error:
        remark = (
            "No sequence model was run: the weights of Xpresso are not here and could not be fetched "
            f"({error.details.get('got', error.what)}). The baseline needs none."
        )
        config = config.model_copy(update={"output": output.resolve(), "models": ()})
        return config, [remark, error.details.get("to mend", "")]


def _fetch_weights(models: tuple[ModelConfig, ...]) -> None:
    from hapsight.models.catalogue import published_weights
    from hapsight.models.weights import fetch

    for model in models:
        for file in published_weights(model.name, model.weights):
            fetch(file, timeout=_TIMEOUT)
