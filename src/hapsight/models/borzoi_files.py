"""Borzoi and Flashzoi from their published checkpoints, or with random weights for checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from hapsight.errors import ConfigError, WeightsError
from hapsight.models import loading
from hapsight.models.borzoi import Borzoi
from hapsight.models.borzoi_blocks import WIDTH, BorzoiNet, BorzoiSizes
from hapsight.models.catalogue import how_to_get
from hapsight.models.tracks import published_targets, read_borzoi_targets
from hapsight.models.weights import cache_folder, verify_recorded

__all__ = ["load", "load_flashzoi", "random_weights", "read_weights", "save_safetensors"]

DTYPES: Final = MappingProxyType({"float32": torch.float32, "float64": torch.float64})
PUBLISHED: Final = tuple(f"replicate-{fold}" for fold in range(4))
"""Names of the published weights, of Borzoi and of Flashzoi; no checksums are published."""

UNUSED: Final = ("*.num_batches_tracked", "mouse_head.*")
"""Tensors of the published checkpoints that have no part in a human prediction."""

State = dict[str, torch.Tensor]


def load(
    weights: str = "replicate-0",
    *,
    tracks: int | str | Iterable[int | str] | None = None,
    bins: Sequence[int] | None = None,
    reduce: str = "mean",
    targets: str | None = None,
    width: int = WIDTH,
    dtype: str = "float32",
    device: torch.device | str = "cpu",
) -> Borzoi:
    """Load Borzoi.

    Parameters
    ----------
    weights
        ``replicate-0`` to ``replicate-3``; the path of a .safetensors or torch file of the published
        layers; or ``random:<seed>``, weights that nobody trained.
    tracks, bins, reduce
        See `Borzoi`; tracks are indices, or texts that each fit one track's name or description.
    targets
        Path of a list of tracks in the published format; None: the published one, if it is there.
    width
        Channels of the transformer; fewer than 1,536 for a narrow model of the same strides and layers.
    dtype
        ``float32`` or ``float64``.

    Raises
    ------
    WeightsError
        A file is missing, damaged, or of another model.
    ConfigError
        An unknown name of weights or an option out of range.
    """
    return _load("borzoi", weights, tracks, bins, reduce, targets, width, dtype, device)


def load_flashzoi(
    weights: str = "replicate-0",
    *,
    tracks: int | str | Iterable[int | str] | None = None,
    bins: Sequence[int] | None = None,
    reduce: str = "mean",
    targets: str | None = None,
    width: int = WIDTH,
    dtype: str = "float32",
    device: torch.device | str = "cpu",
) -> Borzoi:
    """Load Flashzoi, without flash-attn; options and errors as of `load`."""
    return _load("flashzoi", weights, tracks, bins, reduce, targets, width, dtype, device)


def _load(
    model: str,
    weights: str,
    tracks: int | str | Iterable[int | str] | None,
    bins: Sequence[int] | None,
    reduce: str,
    targets: str | None,
    width: int,
    dtype: str,
    device: torch.device | str,
) -> Borzoi:
    if dtype not in DTYPES:
        raise ConfigError("Borzoi's 'dtype' is unknown.", expected=", ".join(DTYPES), got=repr(dtype))
    sizes = BorzoiSizes.of_width(width, rotary=model == "flashzoi")
    label, network = _network(model, weights, sizes)
    listed = published_targets() if targets is None else read_borzoi_targets(Path(targets).expanduser())
    name = f"{model}/{label}" if width == WIDTH else f"{model}/{label}-width{width}"
    loaded = Borzoi(name, network.to(DTYPES[dtype]), listed, tracks=tracks, bins=bins, reduce=reduce)
    return loaded.to(torch.device(device))


def read_weights(path: Path, sizes: BorzoiSizes) -> State:
    """Weights from a published ``model.safetensors`` or ``pytorch_model.bin``, or a file of the same layers.

    Raises
    ------
    WeightsError
        Not such a file, or a layer that is missing, foreign or of another shape.
    """
    read = loading.read_safetensors if path.suffix == ".safetensors" else loading.read_torch
    return {name: torch.from_numpy(array) for name, array in read(path, _shapes(sizes), UNUSED).items()}


def random_weights(sizes: BorzoiSizes, seed: int) -> State:
    """Float32 numbers from a seed: matrices keep a signal's size, and no statistic is 0 or 1."""
    rng = np.random.default_rng(seed)
    return {name: torch.from_numpy(_draw(name, shape, rng)) for name, shape in _shapes(sizes).items()}


def save_safetensors(network: BorzoiNet, path: Path) -> None:
    """Write float32 weights, exactly, to a file that `read_weights` reads."""
    state = network.state_dict()
    loading.write_safetensors(path, {name: state[name].cpu().numpy() for name in _shapes(network.sizes)})


def _draw(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    fan_in = int(np.prod(shape[1:])) if len(shape) in (2, 3) else 16
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(1.2 / fan_in**0.5)


def _network(model: str, weights: str, sizes: BorzoiSizes) -> tuple[str, BorzoiNet]:
    """Short name of some weights, and the network with them."""
    kind, _, seed = weights.partition(":")
    if kind == "random" and seed.isdecimal():
        label, state = f"random-{seed}", random_weights(sizes, int(seed))
    elif weights in PUBLISHED:
        label, state = weights, read_weights(_published_file(model, weights), sizes)
    else:
        path = _own_file(model, weights)
        label, state = path.stem, read_weights(path, sizes)
    network = _blank(sizes)
    network.load_state_dict(_with_counters(state), assign=True)
    return label, network


def _published_file(model: str, weights: str) -> Path:
    path = cache_folder() / model / f"{weights}.safetensors"
    if not path.is_file():
        raise WeightsError(
            f"The weights {weights} of {model} are not on this machine.", where=path, fix=how_to_get(model)
        )
    verify_recorded(path)
    return path


def _own_file(model: str, weights: str) -> Path:
    path = Path(weights).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"There are no weights {weights!r} of {model}.",
            expected=f"{', '.join(PUBLISHED)}, random:<seed>, or the path of a .safetensors or torch file",
        )
    return path


def _blank(sizes: BorzoiSizes) -> BorzoiNet:
    """The network without numbers."""
    with torch.device("meta"):
        return BorzoiNet(sizes)


def _shapes(sizes: BorzoiSizes) -> dict[str, tuple[int, ...]]:
    state = _blank(sizes).state_dict()
    return {name: tuple(t.shape) for name, t in state.items() if not name.endswith("num_batches_tracked")}


def _with_counters(state: State) -> State:
    """Add the counters of batches that batch normalisation keeps and prediction does not use."""
    means = [name for name in state if name.endswith("running_mean")]
    return state | {name.replace("running_mean", "num_batches_tracked"): torch.tensor(0) for name in means}
