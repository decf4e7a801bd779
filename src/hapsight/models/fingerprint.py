"""What tells a model from another: what its author says, and the parameters as they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from hapsight.errors import ModelError

if TYPE_CHECKING:
    import torch

    from hapsight.models.protocol import SequenceModel

__all__ = ["declared_fingerprint", "device_of", "fingerprint_of", "weights_digest"]


def declared_fingerprint(model: SequenceModel) -> str:
    """The fingerprint that a model's author gives it.

    Raises
    ------
    ModelError
        It has none.
    """
    said = getattr(model, "fingerprint", None)
    if isinstance(said, str) and said.strip():
        return said
    raise ModelError(
        "A model has no fingerprint, so its numbers could not be told from those of other weights.",
        where=f"model {getattr(model, 'name', type(model).__name__)}",
        expected="a text that is another for other weights, options or code",
        got=repr(said),
        fix="let the loader set `model.fingerprint`, such as the SHA-256 of the file of weights",
    )


def fingerprint_of(model: SequenceModel) -> str:
    """What a model's author says of it, and a digest of its parameters where these are at hand.

    Parameters are the tensors, arrays and `torch.nn.Module` among the model's attributes, and in lists,
    tuples and dictionaries of these. Without any, it is what the author says.

    Raises
    ------
    ModelError
        The author says nothing.
    """
    said = declared_fingerprint(model)
    found = dict(_parameters(model, "", set()))
    if not found:
        return said
    digest = hashlib.sha256(said.encode())
    for name, values in sorted(found.items()):
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(_bytes(values))
    return f"{said}+{digest.hexdigest()[:32]}"


def device_of(model: SequenceModel) -> torch.device:
    """Where a model's parameters are; the CPU for a model without any."""
    import torch

    found = (values.device for _, values in _parameters(model, "", set()) if isinstance(values, torch.Tensor))
    return next((device for device in found if device.type != "cpu"), torch.device("cpu"))


def weights_digest(model: str, network: torch.nn.Module, options: Mapping[str, object]) -> str:
    """SHA-256 over every weight and option; the file format of the weights does not matter."""
    digest = hashlib.sha256(json.dumps([model, options], sort_keys=True).encode())
    for name, tensor in sorted(network.state_dict().items()):
        if not name.endswith("num_batches_tracked"):
            digest.update(name.encode() + tensor.cpu().numpy().astype("<f4").tobytes())
    return digest.hexdigest()


def _parameters(thing: object, name: str, seen: set[int]) -> Iterator[tuple[str, torch.Tensor | np.ndarray]]:
    """Every tensor and array, by where it was found."""
    import torch

    if id(thing) in seen:
        return
    if isinstance(thing, torch.Tensor | np.ndarray):
        yield name, thing
        return
    inside: dict[str, object] = {}
    if isinstance(thing, torch.nn.Module):
        inside = dict(thing.state_dict())
    elif isinstance(thing, dict):
        inside = {str(key): value for key, value in thing.items()}
    elif isinstance(thing, list | tuple):
        inside = {str(index): value for index, value in enumerate(thing)}
    elif not name:
        slots = [slot for kind in type(thing).__mro__ for slot in getattr(kind, "__slots__", ())]
        inside = {slot: getattr(thing, slot, None) for slot in slots} | vars(thing)
    seen.add(id(thing))
    for key, value in inside.items():
        yield from _parameters(value, f"{name}.{key}", seen)


def _bytes(values: torch.Tensor | np.ndarray) -> bytes | memoryview:
    import torch

    if isinstance(values, np.ndarray):
        return values.tobytes() if values.dtype != object else repr(values.tolist()).encode()
    if values.layout is not torch.strided or values.is_quantized:
        values = values.dequantize() if values.is_quantized else values.to_dense()
    flat = values.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data
