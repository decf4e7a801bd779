"""Low-rank additions to a network's layers (Hu et al. 2022, LoRA), by peft."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from hapsight.errors import ConfigError, MissingExtraError

__all__ = ["add_lora", "merged_state"]

_BASE = ".base_layer."
_ADAPTER = ".lora_"


def add_lora(network: nn.Module, run: Callable[[], None], rank: int, seed: int) -> None:
    """Add trainable low-rank matrices to linear layers and convolutions that `run` calls; freeze the rest.

    The network's outputs stay as they are until something is learnt.

    Parameters
    ----------
    run
        Runs the network once.
    rank
        Rank of the additions; they are scaled by 2.

    Raises
    ------
    MissingExtraError
        peft is not installed.
    ConfigError
        `run` calls no such layer.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise MissingExtraError(
            "peft is not installed, and training in the mode lora needs it.",
            fix="pip install 'hapsight[lora]'",
        ) from error
    called = _called_layers(network, run)
    if not called:
        raise ConfigError(
            "The network has no layer for low-rank additions.",
            expected="a torch.nn.Linear or torch.nn.Conv1d that is called",
            fix="use the mode full or frozen",
        )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=called), network)


def merged_state(network: nn.Module) -> dict[str, torch.Tensor]:
    """State dict under the network's own names; low-rank additions are added to the weights they go with."""
    state = network.state_dict()
    merged = {name.replace(_BASE, "."): t for name, t in state.items() if _ADAPTER not in name}
    for name, module in network.named_modules():
        if hasattr(module, "get_delta_weight"):
            for adapter in module.active_adapters:
                weight = f"{name}.weight"
                merged[weight] = merged[weight] + module.get_delta_weight(adapter).detach()
    return merged


def _called_layers(network: nn.Module, run: Callable[[], None]) -> list[str]:
    """Names of the layers that `run` calls: one whose weights are read past it would not see an addition."""
    called: list[str] = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: called.append(name))
        for name, module in network.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv1d))
    ]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return sorted(set(called))
