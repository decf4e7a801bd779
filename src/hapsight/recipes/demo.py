"""The cohort that comes with hapsight, ready to run."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from hapsight.errors import WeightsError
from hapsight.run.config import Config, ModelConfig, load_config

__all__ = ["demo_cohort", "demo_config"]

_TIMEOUT = 10.0
"""Seconds of silence after which fetching weights is given up."""


def demo_cohort() -> Config:
    """The demo's configuration as it lies in the package."""
    return load_config(Path(str(files("hapsight") / "demo" / "demo.toml")))


def demo_config(output: Path, fetch: bool = False) -> tuple[Config, list[str]]:
    """The demo's configuration, writing to `output`; and what had to be left out, in words.

    `mini` comes with hapsight. Xpresso is run beside it where its weights are in the weights folder, or, if
    the network is to be used, can be fetched into it.
    """
    config, kept, remarks = demo_cohort(), [], []
    for model in config.models:
        try:
            _require_weights(model, fetch)
            kept.append(model)
        except WeightsError as error:
            reason = error.details.get("got", error.what)
            why = f"its weights are not here and could not be fetched ({reason})" if fetch else error.what
            remedy = error.details.get("to mend", "") if fetch else "`hapsight demo --fetch` downloads them."
            why = f"{why[0].lower()}{why[1:]}".rstrip(".")
            remarks.append(f"{model.name} was left out: {why}. {remedy}".rstrip())
    return config.model_copy(update={"output": output.resolve(), "models": tuple(kept)}), remarks


def _require_weights(model: ModelConfig, fetch: bool) -> None:
    from hapsight.models import weights
    from hapsight.models.catalogue import WEIGHTS, published_weights

    if model.name in WEIGHTS:
        for file in published_weights(model.name, model.weights):
            if fetch:
                weights.fetch(file, timeout=_TIMEOUT)
            else:
                weights.locate(file)
