"""ExPecto's published files: where they lie, which tissues there are, what comes out of the archive.

Linear boosters as xgboost wrote them up to version 0.9: binary ``.save`` files, which it no longer reads.

Little-endian, in this order: optionally the four letters ``binf``; a block of 136 bytes that begins with
``base_score`` (float32), ``num_feature`` (uint32), ``num_class`` (int32); the names of the objective and of
the booster, each behind its length (uint64); a second block of 136 bytes; the number of weights
(uint64); the weights (float32), the last of which is the bias.

Beluga: 2,002 chromatin features of 2,000 bases (Zhou et al. 2018), the network beneath ExPecto.

Six convolutions without padding and two poolings leave 106 positions of 640 channels, each of which sees
310 bases and lies 16 bases behind the one before it. Windows that start a multiple of 8 bases apart share
these positions: `BelugaNet.positions` computes one per 8 bases, of which a window takes every other one.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from hapsight.errors import ConfigError, WeightsError
from hapsight.models import loading
from hapsight.models.catalogue import how_to_get
from hapsight.models.forward import one_hot
from hapsight.models.protocol import Track
from hapsight.models.weights import cache_folder, verify_recorded

__all__ = [
    "BelugaNet",
    "LinearBooster",
    "base_channels",
    "find_beluga",
    "find_heads",
    "published_folder",
    "random_weights",
    "read_gblinear",
    "read_weights",
    "tissue_track",
    "unpack",
]

PREFIX: Final = b"binf"
BLOCK: Final = 136
"""Bytes of each of the two parameter blocks."""

OBJECTIVE: Final = "reg:linear"
BOOSTER: Final = "gblinear"
LONGEST_NAME: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class LinearBooster:
    """A linear regression: ``features @ weights + bias + base_score``.

    Attributes
    ----------
    weights
        (num_feature,) float32.
    """

    weights: NDArray[np.float32]
    bias: float
    base_score: float


def read_gblinear(path: Path, num_feature: int) -> LinearBooster:
    """Read a linear booster of `num_feature` features, every byte of the file accounted for.

    Raises
    ------
    WeightsError
        Cut short, too long, another kind of file or booster, another number of features, or numbers that
        are not finite.
    """
    reader = _Reader(path)
    if reader.data.startswith(PREFIX):
        reader.take(len(PREFIX), "prefix")
    base_score, features = struct.unpack_from("<fI", reader.take(BLOCK, "parameters"))
    for expected, what in ((OBJECTIVE, "objective"), (BOOSTER, "booster")):
        _expect(path, f"the {what}", expected, reader.name(what))
    reader.take(BLOCK, "parameters of the booster")
    _expect(path, "the number of features", num_feature, features)
    _expect(path, "the number of weights, the bias included", num_feature + 1, reader.count("weights"))
    numbers = np.frombuffer(reader.take(4 * (num_feature + 1), "weights"), dtype="<f4").astype(np.float32)
    _expect(path, "the number of bytes behind the weights", 0, len(reader.data) - reader.position)
    if not np.isfinite(numbers).all() or not np.isfinite(base_score):
        raise WeightsError("The weights of a linear booster are not all finite numbers.", where=path)
    return LinearBooster(numbers[:-1], float(numbers[-1]), float(base_score))


class _Reader:
    """The bytes of a file, taken from front to back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path.read_bytes()
        self.position = 0

    def take(self, size: int, what: str) -> bytes:
        """The next `size` bytes."""
        left = len(self.data) - self.position
        if size > left:
            raise WeightsError(
                f"A file of a linear booster is cut short in its {what}.",
                where=f"{self.path}, byte {self.position:,}",
                expected=f"{size:,} more bytes",
                got=f"{left:,}",
            )
        start, self.position = self.position, self.position + size
        return self.data[start : self.position]

    def count(self, what: str) -> int:
        """The next uint64."""
        number: int = struct.unpack("<Q", self.take(8, what))[0]
        return number

    def name(self, what: str) -> str:
        """The next text, behind its length."""
        length = self.count(what)
        if length > LONGEST_NAME:
            raise _not_a_booster(
                self.path, f"the name of the {what}", f"{LONGEST_NAME} letters at most", length
            )
        return self.take(length, what).decode("latin-1")


def _expect(path: Path, what: str, expected: object, got: object) -> None:
    if got != expected:
        raise _not_a_booster(path, what, expected, got)


def _not_a_booster(path: Path, what: str, expected: object, got: object) -> WeightsError:
    return WeightsError(
        f"A file is not the linear booster that is wanted: {what} differs.",
        where=path,
        expected=expected,
        got=got,
        fix="give a .save file of ExPecto, as published in 2018 (a binary of xgboost's gblinear)",
    )


LENGTH: Final = 2_000
FEATURES: Final = 2_002
KERNEL: Final = 8
POOL: Final = 4
STRIDE: Final = 8
"""Bases between the positions of `BelugaNet.positions`."""

AFTER: Final = 304
"""Bases behind its own 8 that such a position sees: 302, rounded up to the stride."""

WINDOW_POSITIONS: Final = 106
WIDTH: Final = 320
"""Channels of the first convolution as published."""

HIDDEN: Final = 2_003
PUBLISHED_NAMES: Final = {
    "conv1": "model.0.0",
    "conv2": "model.0.2",
    "conv3": "model.0.6",
    "conv4": "model.0.8",
    "conv5": "model.0.12",
    "conv6": "model.0.14",
    "dense1": "model.1.2.1",
    "dense2": "model.1.4.1",
}
"""Our layer -> its name in the published checkpoint; convolutions are two-dimensional there, (1, 8)."""


class BelugaNet(nn.Module):
    """The network; B one-hot sequences in, 2,002 probabilities each out.

    Parameters
    ----------
    width
        Channels of the first convolution: 320 as published, or a smaller even number for a narrow network of
        the same geometry (1, 1.5 and 2 times `width` channels; the hidden layer in proportion).

    Raises
    ------
    ConfigError
        A `width` that is not an even number from 2 to 320.
    """

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        if width not in range(2, WIDTH + 1, 2):
            raise ConfigError("Beluga's 'width' must be an even number from 2 to 320.", got=width)
        low, middle, high = width, 3 * width // 2, 2 * width
        hidden = HIDDEN * width // WIDTH
        self.channels = high
        self.conv1 = nn.Conv1d(4, low, KERNEL)
        self.conv2 = nn.Conv1d(low, low, KERNEL)
        self.conv3 = nn.Conv1d(low, middle, KERNEL)
        self.conv4 = nn.Conv1d(middle, middle, KERNEL)
        self.conv5 = nn.Conv1d(middle, high, KERNEL)
        self.conv6 = nn.Conv1d(high, high, KERNEL)
        self.dense1 = nn.Linear(high * WINDOW_POSITIONS, hidden)
        self.dense2 = nn.Linear(hidden, FEATURES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Predict from one window, (B, 4, 2000) of `base_channels`, to (B, 2002)."""
        x = F.max_pool1d(self._before_second_pool(x), POOL)  # (B, 480, 120)
        x = F.relu(self.conv5(x))  # (B, 640, 113)
        x = F.relu(self.conv6(x))  # (B, 640, 106)
        return self.features(x)

    def positions(self, x: torch.Tensor) -> torch.Tensor:
        """Run the convolutions once for all windows that start on a grid of 8 bases.

        The second pooling starts at every other element, which gives the windows that begin at 0 and those
        that begin at 8 modulo 16 beside each other; the last two convolutions step over the neighbours.

        Parameters
        ----------
        x
            (B, 4, S), S a multiple of 8 and at least 312.

        Returns
        -------
        (B, 640, (S - 304) / 8); position j sees bases ``[8 j, 8 j + 310)``.
        """
        x = F.max_pool1d(self._before_second_pool(x), POOL, stride=2)  # (B, 480, S/8 - 10)
        x = F.relu(F.conv1d(x, self.conv5.weight, self.conv5.bias, dilation=2))  # (B, 640, S/8 - 24)
        return F.relu(F.conv1d(x, self.conv6.weight, self.conv6.bias, dilation=2))  # (B, 640, S/8 - 38)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Run the dense layers on a window's positions, (B, 640, 106) to (B, 2002)."""
        x = F.relu(self.dense1(x.flatten(1)))  # (B, 2003), flattened channel-major
        return torch.sigmoid(self.dense2(x))  # (B, 2002)

    def _before_second_pool(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.conv1(x))  # (B, 320, S - 7)
        x = F.relu(self.conv2(x))  # (B, 320, S - 14)
        x = F.max_pool1d(x, POOL)  # (B, 320, (S - 14) / 4)
        x = F.relu(self.conv3(x))  # (B, 480, (S - 14) / 4 - 7)
        return F.relu(self.conv4(x))  # (B, 480, (S - 14) / 4 - 14)

    def convolution_flop(self, bases: int, spacing: int) -> float:
        """FLOP of the convolutions on one strand of a stretch, with a position per `spacing` (8, 16) bases.

        16 is a window of its own, 8 is `positions`.
        """
        pooled = (bases - 14) // POOL
        again = (pooled - 14 - POOL) * 4 // spacing + 1
        step = 16 // spacing  # how far apart the last two convolutions' inputs lie
        lengths = {
            self.conv1: bases - 7,
            self.conv2: bases - 14,
            self.conv3: pooled - 7,
            self.conv4: pooled - 14,
            self.conv5: again - 7 * step,
            self.conv6: again - 14 * step,
        }
        return sum(2.0 * length * layer.weight.numel() for layer, length in lengths.items())

    def dense_flop(self) -> float:
        """FLOP of the dense layers on one strand of one window."""
        return 2.0 * (self.dense1.weight.numel() + self.dense2.weight.numel())


def base_channels(codes: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """One-hot encode in Beluga's order, **A, G, C, T**: (B, L) codes to (B, 4, L); N is zero in all four.

    In this order the reverse complement is ``flip(1, 2)``.
    """
    return one_hot(codes)[:, [0, 2, 1, 3]].to(dtype)


def read_weights(path: Path, width: int = WIDTH) -> dict[str, torch.Tensor]:
    """State dict of `BelugaNet` from the published ``deepsea.beluga.pth``, or the same as .safetensors.

    Nothing that the file holds is run: tensors are read, anything else is refused.

    Raises
    ------
    WeightsError
        Another format, a missing or foreign layer, another shape, or numbers that are not finite.
    """
    with torch.device("meta"):
        own = BelugaNet(width).state_dict()
    shapes = {_published(name): _published_shape(tensor) for name, tensor in own.items()}
    read = loading.read_safetensors if path.suffix == ".safetensors" else loading.read_torch
    arrays = read(path, shapes)
    return {name: torch.from_numpy(arrays[_published(name)]).reshape(own[name].shape) for name in own}


def random_weights(width: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
    """State dict of a `BelugaNet` that nobody trained, of a size that keeps signals alive in all layers."""
    with torch.device("meta"):
        own = BelugaNet(width).state_dict()
    return {name: _random(tensor.shape, rng) for name, tensor in own.items()}


def _random(shape: torch.Size, rng: np.random.Generator) -> torch.Tensor:
    spread = np.sqrt(2.0 / np.prod(shape[1:])) if len(shape) > 1 else 0.1
    return torch.from_numpy(rng.standard_normal(tuple(shape), dtype=np.float32) * np.float32(spread))


def _published(name: str) -> str:
    layer, kind = name.split(".")
    return f"{PUBLISHED_NAMES[layer]}.{kind}"


def _published_shape(tensor: torch.Tensor) -> tuple[int, ...]:
    shape = tuple(tensor.shape)
    return (*shape[:2], 1, shape[2]) if len(shape) == 3 else shape


ARCHIVE: Final = "resources_20190807.tar.gz"
BELUGA: Final = ("deepsea.beluga.pth", "deepsea.beluga.safetensors")
MOST_UNPACKED: Final = 8 << 30
"""Bytes that the archive may unpack to, many times those of the published one (Beluga has about 600 MB)."""

_TISSUE: Final = re.compile(r".*\.basescore2\.(.+)")
_PSEUDOCOUNT: Final = re.compile(r".*\.pseudocount([0-9.]+)\..*")


def published_folder() -> Path:
    """Find the folder of ExPecto's files in the weights folder; unpacks the archive that may lie there.

    Raises
    ------
    WeightsError
        The archive is damaged or dangerous (see `unpack`).
    """
    folder = cache_folder() / "expecto"
    archive = folder / ARCHIVE
    if archive.is_file() and not _files(folder, BELUGA[0]):
        verify_recorded(archive)
        unpack(archive, folder / ARCHIVE.removesuffix(".tar.gz"))
    return folder


def find_beluga(folder: Path) -> Path:
    """Path of Beluga's weights in a folder or in folders inside it.

    Raises
    ------
    WeightsError
        Not there; says how to get them.
    """
    for name in BELUGA:
        if found := _files(folder, name):
            return found[0]
    raise WeightsError(
        "The weights of Beluga, ExPecto's network, are not on this machine.",
        where=folder,
        expected=f"{BELUGA[0]}, or {ARCHIVE} with it",
        fix=how_to_get("expecto"),
    )


def find_heads(folder: Path) -> dict[str, Path]:
    """Tissue -> path of its ``.save`` file, in a folder or in folders inside it, sorted by tissue.

    Raises
    ------
    WeightsError
        None, or two of one tissue.
    """
    heads: dict[str, Path] = {}
    for path in _files(folder, "*.save"):
        other = heads.setdefault(_tissue(path), path)
        if other != path:
            raise WeightsError(
                "There are two heads of one tissue.",
                where=folder,
                got=f"{other.relative_to(folder)} and {path.relative_to(folder)}",
                fix="remove one of them",
            )
    if not heads:
        raise WeightsError(
            "ExPecto's heads, one .save file a tissue, are not on this machine.",
            where=folder,
            expected="*.save",
            fix=f"{how_to_get('expecto')}; if that brings none, put those of https://github.com/FunctionLab/"
            "ExPecto (folder 'models') beside it",
        )
    return dict(sorted(heads.items()))


def tissue_track(tissue: str, path: Path) -> Track:
    """Describe what a head predicts; its file's name holds the pseudocount of the logarithm."""
    match = _PSEUDOCOUNT.fullmatch(path.stem)
    pseudocount = match[1] if match else "a pseudocount"
    return Track(tissue, "RNA-seq", tissue.replace("_", " "), ".", f"natural log of RPKM + {pseudocount}")


def unpack(archive: Path, folder: Path) -> None:
    """Take Beluga's weights and the heads, and nothing else, out of the published archive.

    They land in `folder` itself under their last names; it appears when all are there.

    Raises
    ------
    WeightsError
        The archive is damaged, holds a name that leads out of it or a link, or two files of one name.
    """
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        part.mkdir(parents=True)
        with tarfile.open(archive, "r:gz") as tar:
            for member, name in _wanted(tar, archive):
                source = tar.extractfile(member)
                if source is None or (part / name).exists():
                    raise _refused(archive, member.name)
                with source, (part / name).open("xb") as handle:
                    shutil.copyfileobj(source, handle)
        if not folder.exists():
            part.rename(folder)
    except (tarfile.TarError, zlib.error, OSError, EOFError) as error:
        raise WeightsError(
            "ExPecto's archive cannot be unpacked.", where=archive, got=error, fix="download it again"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _files(folder: Path, pattern: str) -> list[Path]:
    """Files of this name in a folder or in folders inside it, but for hidden ones."""
    found = (path for path in folder.rglob(pattern) if path.is_file())
    return sorted(p for p in found if not any(n.startswith(".") for n in p.relative_to(folder).parts))


def _wanted(tar: tarfile.TarFile, archive: Path) -> Iterator[tuple[tarfile.TarInfo, str]]:
    """The members to take, with their last names; raises for a member that no honest archive has."""
    size = 0
    for member in tar:
        size += member.size
        if size > MOST_UNPACKED:
            raise WeightsError(
                "This archive is not ExPecto's: it unpacks to more than that.",
                where=archive,
                expected=f"up to {MOST_UNPACKED:,} bytes",
                got=f"{size:,} bytes with {member.name!r}",
            )
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            raise _refused(archive, member.name)
        if path.name == BELUGA[0] or path.suffix == ".save":
            if not member.isreg():
                raise _refused(archive, member.name)
            yield member, path.name


def _refused(archive: Path, name: str) -> WeightsError:
    return WeightsError(
        "This archive is not ExPecto's: it holds a name that leads out of it, a link, or one file twice.",
        where=archive,
        got=repr(name),
        fix="download it again from the official place",
    )


def _tissue(path: Path) -> str:
    """``GM12878.1`` of ``allhistones2000...basescore2.GM12878.1.save``; else the name without its ending."""
    match = _TISSUE.fullmatch(path.stem)
    return match[1] if match else path.stem
