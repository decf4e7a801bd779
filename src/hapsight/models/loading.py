"""Arrays of weights in and out of files: Keras HDF5, safetensors, torch tensors; no pickled code is run."""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from hapsight.errors import Listed, WeightsError
from hapsight.files import temporary_name

if TYPE_CHECKING:
    import torch

__all__ = [
    "Arrays",
    "fill",
    "read_keras",
    "read_keras_in_order",
    "read_safetensors",
    "read_torch",
    "refuse_pickle",
    "write_safetensors",
]

Arrays = dict[str, NDArray[np.float32]]
Shapes = Mapping[str, tuple[int, ...]]

_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"


def fill(network: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Give a network its weights: all that it has but counters of batches, which are not kept."""
    missing, unknown = network.load_state_dict(state, strict=False)
    left = [name for name in missing if not name.endswith("num_batches_tracked")]
    assert not left, f"without weights: {left}"
    assert not unknown, f"without a place: {unknown}"


def refuse_pickle(path: Path) -> None:
    """Raise WeightsError for a pickle, alone or in a torch archive: reading one can run anybody's code."""
    with path.open("rb") as handle:
        start = handle.read(4)
    if path.suffix != ".safetensors" and (start == _ZIP or start[:1] == _PICKLE):
        raise WeightsError(
            "This file of weights is a pickle, which can run code when it is read; hapsight never reads one.",
            where=path,
            expected="a Keras .h5 or a .safetensors file",
            fix="convert it where you trust it, with safetensors.torch.save_file",
        )


def read_keras(path: Path, shapes: Shapes) -> Arrays:
    """Weights of a Keras 2 model saved whole: ``model_weights/<layer>/<layer>/<weight>:0``.

    Parameters
    ----------
    shapes
        ``"<layer>/<weight>"`` -> shape, all of them: another set of layers is another model.

    Raises
    ------
    WeightsError
        Not HDF5, cut short, or not these layers with these shapes and finite numbers.
    """
    with _hdf5(path) as file:
        found = dict(_keras_weights(file, shapes, path))
    return _checked(found, shapes, path)


@contextmanager
def _hdf5(path: Path) -> Iterator[h5py.File]:
    """An open HDF5 file; where it is damaged, h5py raises errors of many kinds."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(
            "A file of weights cannot be read as HDF5.", where=path, expected="a Keras .h5 file", got=error
        ) from error


def _array(dataset: h5py.Dataset, shape: tuple[int, ...] | None, path: Path) -> NDArray[np.float32]:
    """The numbers where they have the wanted shape; else nothing is unpacked, and zeros stand for them."""
    if Path(dataset.file.filename) != path or dataset.external or dataset.is_virtual:
        raise WeightsError(
            "A file of weights points to another file; it is not followed.", where=f"{path}, {dataset.name}"
        )
    if dataset.shape == shape and dataset.dtype == np.float32:
        return np.asarray(dataset[()], dtype=np.float32)
    return np.broadcast_to(np.zeros((), dataset.dtype), dataset.shape)


def _keras_weights(file: h5py.File, shapes: Shapes, path: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    if "model_weights" not in file:
        raise WeightsError(
            "An HDF5 file holds no Keras model.",
            where=path,
            expected="a group 'model_weights'",
            got=", ".join(sorted(file)) or "an empty file",
        )
    for layer, group in file["model_weights"].items():
        for name, dataset in group.get(layer, {}).items():
            key = f"{layer}/{name.removesuffix(':0')}"
            yield key, _array(dataset, shapes.get(key), path)


def read_keras_in_order(path: Path, shapes: Shapes) -> Arrays:
    """Weights of a Keras 2 model, layers told by kind and order: Keras numbers them through a session.

    Parameters
    ----------
    shapes
        ``"<layer>/<weight>"`` -> shape, each kind of layer numbered from the input on as Keras does it in
        a new session: ``conv1d``, ``conv1d_1``, ``conv1d_2``.

    Raises
    ------
    WeightsError
        As of `read_keras`.
    """
    with _hdf5(path) as file:
        found = dict(_renumbered(file.get("model_weights", file), shapes, path))
    return _checked(found, shapes, path)


def _renumbered(group: h5py.Group, shapes: Shapes, path: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    if "layer_names" not in group.attrs:
        raise WeightsError(
            "An HDF5 file holds no Keras model.",
            where=path,
            expected="an attribute 'layer_names'",
            got=", ".join(sorted(group)) or "an empty file",
        )
    seen: Counter[str] = Counter()
    for layer in map(_text, group.attrs["layer_names"]):
        kind = re.sub(r"_\d+$", "", layer)
        name = f"{kind}_{seen[kind]}" if seen[kind] else kind
        weights = [_text(weight) for weight in group[layer].attrs.get("weight_names", ())]
        seen[kind] += bool(weights)
        for weight in weights:
            key = f"{name}/{weight.rpartition('/')[2].removesuffix(':0')}"
            yield key, _array(group[layer][weight], shapes.get(key), path)


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def read_safetensors(path: Path, shapes: Shapes, unused: Sequence[str] = ()) -> Arrays:
    """Arrays of a safetensors file.

    Parameters
    ----------
    unused
        Patterns (``*.num_batches_tracked``) of names that may be in the file and are left out.

    Raises
    ------
    WeightsError
        Not safetensors, cut short, or not these names with these shapes and finite numbers.
    """
    try:
        found = load_file(path)
    except (safetensors.SafetensorError, OSError, TypeError) as error:
        raise WeightsError("A file cannot be read as safetensors.", where=path, got=error) from error
    return _checked(_without(found, unused), shapes, path)


class _Ignored:
    """Stands for a NumPy scalar beside the tensors; what the file says of it is thrown away unread."""

    def __init__(self, *said: object) -> None:
        pass

    def __setstate__(self, said: object) -> None:
        pass


_IGNORED: list[Callable[..., object] | tuple[Callable[..., object], str]] = [
    (_Ignored, f"numpy{name}")
    for name in (".core.multiarray.scalar", "._core.multiarray.scalar", ".dtype", ".dtypes.Float64DType")
]


def read_torch(
    path: Path, shapes: Shapes, unused: Sequence[str] = (), *, inside: str | None = None
) -> Arrays:
    """Arrays of a torch file of tensors (.pth, .bin, of any age), read with ``weights_only``: no code is run.

    Parameters
    ----------
    unused
        As of `read_safetensors`.
    inside
        The entry that holds the tensors where the file is a checkpoint of a training, with numbers of torch
        or NumPy beside them, which are not looked at.

    Raises
    ------
    WeightsError
        Not a torch file of named tensors and nothing else, cut short, or not these names with these
        shapes and finite numbers.
    """
    import torch

    _refuse_packed(path)
    try:
        with torch.serialization.safe_globals([] if inside is None else _IGNORED):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged pickle leads the unpickler to
        raise WeightsError(
            "A file cannot be read as torch tensors.",
            where=path,
            expected="named tensors and nothing else, as torch.save writes a state dict",
            got=str(error).partition("\n")[0],
        ) from error
    if inside is not None and isinstance(found, dict):
        found = found.get(inside)
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise WeightsError("A torch file does not hold named tensors.", where=path, got=type(found).__name__)
    arrays = {name: tensor.detach().numpy() for name, tensor in found.items()}
    return _checked(_without(arrays, unused), shapes, path)


def _refuse_packed(path: Path) -> None:
    """Raise WeightsError for an archive with compressed members, which may unpack to any size."""
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [found for found in archive.infolist() if found.compress_type != zipfile.ZIP_STORED]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # an older torch file, or none: reading it tells
    if packed:
        raise WeightsError(
            "A torch file is compressed, which torch.save never does; it is not unpacked.",
            where=f"{path}, {packed[0].filename}",
            expected=f"{packed[0].file_size:,} bytes as they are",
            got=f"{packed[0].compress_size:,} compressed",
        )


def write_safetensors(path: Path, arrays: Arrays, note: Mapping[str, str] | None = None) -> None:
    """Write arrays exactly, and a note beside them; to a temporary name first, then renamed."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    part = temporary_name(path)
    try:
        save_file(contiguous, part, metadata={"format": "pt", **(note or {})})
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _without(found: Arrays, unused: Sequence[str]) -> Arrays:
    """The arrays whose names fit none of the patterns."""
    return {
        name: array
        for name, array in found.items()
        if not any(fnmatchcase(name, pattern) for pattern in unused)
    }


def _checked(found: Arrays, shapes: Shapes, path: Path) -> Arrays:
    """Give the arrays back if they are exactly the expected ones."""
    if found.keys() != shapes.keys():
        lacking, extra = sorted(shapes.keys() - found.keys()), sorted(found.keys() - shapes.keys())
        raise WeightsError(
            "A file of weights does not have the layers of this model.",
            where=path,
            expected=", ".join(shapes),
            got=Listed(
                f"missing: {', '.join(lacking) or 'none'}; not of this model: {', '.join(extra) or 'none'}"
            ),
        )
    for name, shape in shapes.items():
        _check_array(name, found[name], shape, path)
    return found


def _check_array(name: str, array: NDArray[np.float32], shape: tuple[int, ...], path: Path) -> None:
    where = f"{path}, {name}"
    if array.shape != shape or array.dtype != np.float32:
        raise WeightsError(
            "A layer's weights have another shape or number format than this model's.",
            where=where,
            expected=f"{shape} float32",
            got=f"{array.shape} {array.dtype}",
        )
    if not np.isfinite(array).all():
        raise WeightsError(
            "A layer's weights are not all finite numbers.",
            where=where,
            got=f"{int(np.count_nonzero(~np.isfinite(array)))} of {array.size} infinite or not a number",
        )
