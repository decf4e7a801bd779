"""Faster arithmetic where a GPU has it: bfloat16, compiled layers. Written without a GPU, never measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch

from hapsight.models.protocol import SequenceModel, SharedModel, WindowedModel

__all__ = ["Precision", "accelerate"]

Precision = Literal["float32", "bfloat16"]


def accelerate(
    model: SequenceModel, device: torch.device | str, precision: Precision, compiled: bool
) -> SequenceModel:
    """Let a model's layers run in `precision`, compiled by ``torch.compile``; changes and returns the model.

    bfloat16 keeps weights in float32 and multiplies in bfloat16 (autocast); values lose about three digits.
    """
    steps = ["predict"]
    if isinstance(model, SharedModel):
        steps += ["embed", "read"]
    if isinstance(model, WindowedModel):
        steps += ["embed_window", "read_windows"]
    for step in steps:
        function = getattr(model, step)
        if compiled:
            function = torch.compile(function, dynamic=False)
        if precision == "bfloat16":
            function = _in_bfloat16(function, torch.device(device).type)
        setattr(model, step, function)
    return model


def _in_bfloat16(function: Callable[..., torch.Tensor], device: str) -> Callable[..., torch.Tensor]:
    def call(*arguments: object) -> torch.Tensor:
        with torch.autocast(device, dtype=torch.bfloat16):
            return function(*arguments).float()

    return call
