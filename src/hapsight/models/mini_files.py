"""Weights of `mini`: the file that comes with hapsight, files of one's own, or random ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import numpy as np
import safetensors
import torch
from numpy.typing import NDArray

from hapsight.errors import ConfigError, WeightsError
from hapsight.models import checkpoint
from hapsight.models.mini_net import Channels, MiniNet
from hapsight.models.protocol import Track

__all__ = ["PACKAGED", "TRACKS", "MiniWeights", "read_mini", "save_mini", "weights_in", "weights_of"]

PACKAGED: Final = "chr22"
"""Name of the weights that come with hapsight."""

_COUNTERS: Final = "num_batches_tracked"


def _both_strands(cell_type: str, assay: str) -> tuple[Track, Track]:
    short = "bulk" if cell_type == "bulk" else cell_type
    return (
        Track(f"{short}_transcription", assay, cell_type, "+", "reads"),
        Track(f"{short}_antisense", assay, cell_type, "-", "reads"),
    )


TRACKS: Final = (
    *_both_strands("GM12878", "nascent transcription"),
    *_both_strands("K562", "nascent transcription"),
    *_both_strands("MCF7", "nascent transcription"),
    *_both_strands("bulk", "nascent transcription"),
    *(
        Track(f"{cell}_accessibility", "accessibility", cell, ".", "mean coverage")
        for cell in ("GM12878", "K562", "MCF7")
    ),
)
"""Tracks of the weights that come with hapsight, and of random ones."""


@dataclass(frozen=True, slots=True, eq=False)
class MiniWeights:
    """A set of weights with what it says of itself."""

    name: str
    channels: Channels
    tracks: tuple[Track, ...]
    state: dict[str, torch.Tensor]


def weights_of(weights: str) -> MiniWeights:
    """The `weights` that a user asks `load` for.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another model.
    ConfigError
        An unknown name, or a seed that is not a number.
    """
    if weights.startswith("random:"):
        return _random(weights)
    if weights == PACKAGED:
        with as_file(files("hapsight") / "data" / "mini-chr22.safetensors") as path:
            return read_mini(path, weights)
    path = Path(weights).expanduser()
    if path.suffix != ".safetensors":
        raise ConfigError(
            f"mini has no weights {weights!r}.",
            expected=f"{PACKAGED}, random:<seed>, or the path of a .safetensors file",
        )
    return read_mini(path, path.stem)


def read_mini(path: Path, name: str) -> MiniWeights:
    """Read a file that `save_mini` wrote.

    Raises
    ------
    WeightsError
        It is missing, damaged, says nothing of its tracks, or has other layers or shapes.
    """
    if not path.is_file():
        raise WeightsError("There is no file of weights at this path.", where=path)
    try:
        with safetensors.safe_open(path, framework="np") as file:
            note = file.metadata() or {}
            found = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsError("A file cannot be read as safetensors.", where=path, got=error) from error
    if "tracks" not in note or "convolutions.0.weight" not in found:
        raise WeightsError(
            "A file of weights is not one of mini's.",
            where=path,
            expected="layers of mini and a list of tracks, as `hapsight train export` writes them",
            got=f"{', '.join(sorted(found)[:3])} ...; notes: {', '.join(sorted(note)) or 'none'}",
        )
    try:
        tracks = tuple(Track(**track) for track in json.loads(note["tracks"]))
        channels = Channels.of_shapes(found)
        if not tracks:
            raise ValueError("no tracks")
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise WeightsError(
            "A file of weights does not say what mini needs to know: its tracks and layers.",
            where=path,
            got=f"{type(error).__name__}: {error}",
        ) from error
    arrays = checkpoint.read_safetensors(path, _shapes(channels, len(tracks)))
    return MiniWeights(name, channels, tracks, {key: torch.from_numpy(a) for key, a in arrays.items()})


def save_mini(
    network: MiniNet, tracks: Sequence[Track], path: Path, training: Mapping[str, object] | None = None
) -> None:
    """Write weights exactly, with their tracks and what is told of their training, to a file `load` reads."""
    note = {
        "tracks": json.dumps([asdict(track) for track in tracks]),
        "training": json.dumps(training or {}),
    }
    checkpoint.write_safetensors(path, weights_in(network), note)


def weights_in(network: MiniNet) -> dict[str, NDArray[np.float32]]:
    """Name -> array of every weight, without counters of batches."""
    state = network.state_dict()
    return {
        name: tensor.detach().cpu().numpy() for name, tensor in state.items() if not name.endswith(_COUNTERS)
    }


def _shapes(channels: Channels, tracks: int) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        state = MiniNet(channels, tracks).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items() if not name.endswith(_COUNTERS)}


def _random(weights: str) -> MiniWeights:
    seed = weights.removeprefix("random:")
    if not seed.isdecimal():
        raise ConfigError(
            "Random weights need a seed.", expected="random:<a whole number>", got=repr(weights)
        )
    rng, channels = np.random.default_rng(int(seed)), Channels()
    state = {
        name: torch.from_numpy(_random_array(name, shape, rng))
        for name, shape in _shapes(channels, len(TRACKS)).items()
    }
    return MiniWeights(weights, channels, TRACKS, state)


def _random_array(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    if name.endswith("running_var") or ("norm" in name and name.endswith("weight")):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    spread = np.sqrt(1.0 / np.prod(shape[1:])) if len(shape) > 1 else 0.3
    return (rng.standard_normal(shape) * spread).astype(np.float32)
