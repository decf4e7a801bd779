"""Enformer from its published checkpoint, or with random weights for checks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from hapsight.errors import ConfigError, WeightsError
from hapsight.models import loading
from hapsight.models.catalogue import how_to_get
from hapsight.models.enformer import TRACKS, WIDTH, Enformer, EnformerNet, Geometry
from hapsight.models.tracks import find_tracks, human_tracks
from hapsight.models.weights import cache_folder, verify_recorded

__all__ = ["load", "random_weights", "read_weights", "save_safetensors"]

DTYPES: Final = MappingProxyType(
    {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}
)
SUFFIXES: Final = (".bin", ".pth", ".pt", ".safetensors")
PUBLISHED: Final = "pytorch_model.bin"
"""The weights ``official``, in the folder ``enformer`` of the weights folder; no checksum is published."""

UNUSED: Final = ("*.num_batches_tracked", "_trunk.*", "_heads.mouse.*")
"""Of the published checkpoint: counters, the trunk under its second name, the head of the mouse."""

State = dict[str, torch.Tensor]


def load(
    weights: str = "official",
    *,
    tracks: int | str | Sequence[int | str] | None = None,
    gamma: str = "official",
    width: int = WIDTH,
    dtype: str = "float32",
    device: torch.device | str = "cpu",
) -> Enformer:
    """Load Enformer.

    Parameters
    ----------
    weights
        ``official``, the path of a torch or .safetensors file of the same layers, or ``random:<seed>``
        for random weights, with which everything can be tried but the biology.
    tracks
        Tracks that the read-outs give instead of the studies' own: indices, or texts that each fit one
        track's name or description in the published list.
    gamma
        Form of the gamma features: ``official``, or ``port`` for the PyPI port's.
    width
        Channels; fewer than 1,536 for a narrow model of the same strides and layers, see `Geometry`.
    dtype
        ``float32``, ``float64`` or ``bfloat16``.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another model or width.
    ConfigError
        An unknown name of weights, track or option.
    """
    if dtype not in DTYPES:
        raise ConfigError("Enformer's 'dtype' is unknown.", expected=", ".join(DTYPES), got=repr(dtype))
    geometry = Geometry(width)
    label, state = _weights(weights, geometry)
    network = _blank(geometry)
    network.load_state_dict(state, assign=True)
    known = human_tracks(TRACKS)
    model = Enformer(
        f"enformer/{label}" if width == WIDTH else f"enformer/{label}-width{width}",
        network.to(DTYPES[dtype]),
        geometry=geometry,
        tracks=known,
        wanted=None if tracks is None else find_tracks(known, tracks),
        gamma=gamma,
    )
    return model.to(torch.device(device))


def read_weights(path: Path, geometry: Geometry | None = None) -> State:
    """State dict of `EnformerNet` from the published ``pytorch_model.bin``, or safetensors of its layers.

    Raises
    ------
    WeightsError
        Not such a file, or a layer that is missing, foreign or of another shape.
    """
    read = loading.read_safetensors if path.suffix == ".safetensors" else loading.read_torch
    arrays = read(path, _shapes(geometry or Geometry()), UNUSED)
    return _with_counters({name: torch.from_numpy(array) for name, array in arrays.items()})


def random_weights(geometry: Geometry, seed: int) -> State:
    """State dict of float32 numbers from a seed: signals stay alive, no statistic is 0 or 1."""
    rng = np.random.default_rng(seed)
    return _with_counters(
        {name: torch.from_numpy(_draw(name, shape, rng)) for name, shape in _shapes(geometry).items()}
    )


def save_safetensors(network: EnformerNet, path: Path) -> None:
    """Write float32 weights, exactly, to a file that `read_weights` reads."""
    state = network.state_dict()
    kept = [name for name in state if not name.endswith("num_batches_tracked")]
    loading.write_safetensors(path, {name: state[name].cpu().numpy() for name in kept})


def _draw(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 100
    variance = (2.0 if len(shape) == 3 else 1 / 16 if name.startswith("_heads") else 1.0) / fan_in
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(variance**0.5)


def _weights(weights: str, geometry: Geometry) -> tuple[str, State]:
    """Short name of some weights, and their state dict."""
    kind, _, seed = weights.partition(":")
    if kind == "random" and seed.isdecimal():
        return f"random-{seed}", random_weights(geometry, int(seed))
    if weights == "official":
        path = _present(cache_folder() / "enformer" / PUBLISHED, how_to_get("enformer"))
        verify_recorded(path)
        return weights, read_weights(path, geometry)
    path = Path(weights).expanduser()
    if path.suffix in SUFFIXES:
        return path.stem, read_weights(_present(path), geometry)
    raise ConfigError(
        f"Enformer has no weights {weights!r}.",
        expected=f"official, random:<seed>, or the path of a file ({', '.join(SUFFIXES)})",
    )


def _present(path: Path, fix: str | None = None) -> Path:
    if not path.is_file():
        raise WeightsError("There is no file of weights at this path.", where=path, fix=fix)
    return path


def _blank(geometry: Geometry) -> EnformerNet:
    """The network without numbers."""
    with torch.device("meta"):
        return EnformerNet(geometry)


def _shapes(geometry: Geometry) -> dict[str, tuple[int, ...]]:
    state = _blank(geometry).state_dict()
    return {name: tuple(t.shape) for name, t in state.items() if not name.endswith("num_batches_tracked")}


def _with_counters(state: State) -> State:
    """Add the counters of batches that batch normalisation keeps and prediction does not use."""
    means = [name for name in state if name.endswith("running_mean")]
    return state | {name.replace("running_mean", "num_batches_tracked"): torch.tensor(0) for name in means}
