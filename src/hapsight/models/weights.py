"""Published weights on disk: where they lie, whether they are whole, and how to get them.

What tells a model from another: what its author says, and the parameters as they are.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import platformdirs

from hapsight.download import DownloadError, Progress, begun, download
from hapsight.errors import ModelError, WeightsError
from hapsight.files import temporary_name

if TYPE_CHECKING:
    import torch

    from hapsight.models.protocol import SequenceModel

__all__ = [
    "WeightsFile",
    "cache_folder",
    "declared_fingerprint",
    "device_of",
    "fetch",
    "find",
    "fingerprint_of",
    "locate",
    "sha256_of",
    "verify",
    "verify_recorded",
    "weights_digest",
]


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A published file of weights, or one that goes with them.

    Attributes
    ----------
    model, name
        The model, and the short name under which its weights are asked for (``"GM12878"``).
    filename
        Its path in the weights folder.
    sha256, md5
        Hexadecimal digests of the whole file, where published. Where neither is, `fetch` records what came,
        and `verify_recorded` holds the file to it.
    size
        Bytes, where published.
    terms
        What a user must accept before it is fetched.
    """

    model: str
    name: str
    filename: str
    url: str
    sha256: str | None
    size: int | None
    licence: str
    md5: str | None = None
    terms: str | None = None

    @property
    def command(self) -> str:
        """What fetches all published weights of the model."""
        return f"hapsight models fetch {self.model}{' --accept-licence' if self.terms else ''}"

    @property
    def short_filename(self) -> str:
        """The other name under which the file is looked for, such as ``GM12878.h5``."""
        return self.name + Path(self.filename).suffix

    @property
    def facts(self) -> str:
        """What is known of the whole file, in words."""
        size = f"{self.size:,} bytes" if self.size is not None else "a whole file"
        digests = [f"{kind} {value}" for kind, value in (("sha256", self.sha256), ("md5", self.md5)) if value]
        return ", ".join([size, *(digests or ["no published checksum"])])


def cache_folder() -> Path:
    """Find the folder of weights: ``HAPSIGHT_WEIGHTS``, or ``hapsight/weights`` in the user's cache."""
    chosen = os.environ.get("HAPSIGHT_WEIGHTS")
    if chosen:
        return Path(chosen).expanduser()
    return platformdirs.user_cache_path("hapsight", appauthor=False) / "weights"


def find(file: WeightsFile) -> Path | None:
    """Path of the file in the cache, by its published and then by its short name, or None."""
    candidates = (cache_folder() / name for name in (file.filename, file.short_filename))
    return next((path for path in candidates if path.is_file()), None)


def locate(file: WeightsFile) -> Path:
    """Path of the file in the cache; its contents are not read (see `verify`).

    Raises
    ------
    WeightsError
        The file is not there; says where to put it and how to fetch it.
    """
    path = find(file)
    if path is None:
        raise WeightsError(
            f"The weights {file.name} of {file.model} are not on this machine.",
            where=cache_folder() / file.filename,
            expected=file.facts,
            fix=f"run `{file.command}`, or {_by_hand(file)}",
        )
    return path


def verify(path: Path, sha256: str) -> None:
    """Check a file against its published digest.

    Raises
    ------
    WeightsError
        The digests differ.
    """
    found = sha256_of(path)
    if found != sha256:
        raise _differs("the published one", path, sha256, found)


def verify_recorded(path: Path) -> None:
    """Check a file without a published digest against the one recorded when it was fetched, or first used.

    One that was put there by hand is recorded now, where its folder can be written to.

    Raises
    ------
    WeightsError
        The digests differ.
    """
    found, recorded = sha256_of(path), _recorded(path)
    if recorded is None:
        with suppress(OSError):
            _write_record(path, found)
    elif found != recorded:
        raise _differs("the one that was fetched", path, recorded, found)


def _recorded(path: Path) -> str | None:
    """The digest that was recorded of a file, if any was; of a damaged record, one that no file has."""
    record = _record(path)
    return next(iter(record.read_text(errors="replace").split()), "none") if record.is_file() else None


def _write_record(path: Path, digest: str) -> None:
    part = temporary_name(path)
    part.write_text(f"{digest}  {path.name}\n", encoding="ascii")
    part.replace(_record(path))


def _differs(which: str, path: Path, expected: str, found: str) -> WeightsError:
    return WeightsError(
        f"A file of weights is not {which}: its checksum differs.",
        where=path,
        expected=f"sha256 {expected}",
        got=f"sha256 {found} ({path.stat().st_size:,} bytes)",
        fix="delete the file and fetch it again; weights of your own are given by path, not by name"
        + (
            f"; if you put another there on purpose, delete {_record(path)}"
            if _record(path).is_file()
            else ""
        ),
    )


def _record(path: Path) -> Path:
    """Where the digest of a fetched file is kept, as ``sha256sum`` writes it."""
    return path.with_name(path.name + ".sha256")


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    return _digest(path, "sha256")


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def fetch(file: WeightsFile, *, timeout: float = 30.0, progress: Progress | None = None) -> Path:
    """Bring a file of weights into the cache, unless it is there and whole already.

    A file of the published name is a whole file: it gets its name when its checksum is right, and a broken
    download goes on where it was. Where no SHA-256 is published, that of what came is written beside it, and
    what comes later must be the same.

    Parameters
    ----------
    timeout
        Seconds of silence after which the download is given up.

    Raises
    ------
    WeightsError
        No connection, a refusal, or an answer that is not the file, or another than the first time; says
        where to put it by hand.
    """
    present = find(file)
    if present is not None and _is_whole(present, file):
        return present
    target = cache_folder() / file.filename
    check = partial(_require_published, file, target)
    try:
        download(file.url, target, check, size=file.size, timeout=timeout, progress=progress)
    except DownloadError as error:
        raise _failed(file, str(error), begun(target)) from error
    if file.sha256 is None:
        _write_record(target, sha256_of(target))
    return target


def _require_published(file: WeightsFile, target: Path, part: Path) -> None:
    """Refuse what has another checksum than the published one, or than what came the first time."""
    for kind, wanted in (("sha256", file.sha256), ("md5", file.md5)):
        if wanted is not None and (found := _digest(part, kind)) != wanted:
            raise _failed(file, f"{part.stat().st_size:,} bytes with {kind} {found}")
    if file.sha256 is None:
        _require_first(file, target, sha256_of(part))


def _require_first(file: WeightsFile, target: Path, digest: str) -> None:
    """Refuse what differs from what came the first time, where nobody has published what it should be."""
    first = _recorded(target)
    if file.md5 is None and first not in (None, digest):
        raise WeightsError(
            f"The weights {file.name} of {file.model} are not those that were fetched before.",
            where=file.url,
            expected=f"sha256 {first}",
            got=f"sha256 {digest}",
            fix=f"ask its publisher; if the new file is the one you want, delete {_record(target)}",
        )


def _is_whole(path: Path, file: WeightsFile) -> bool:
    """Whether a file is what is published, as far as that is known, or what was fetched once."""
    if file.sha256 is not None:
        return sha256_of(path) == file.sha256
    if file.md5 is not None:
        return _digest(path, "md5") == file.md5
    return _recorded(path) in (None, sha256_of(path))


def _failed(file: WeightsFile, got: str, kept: int = 0) -> WeightsError:
    return WeightsError(
        f"The weights {file.name} of {file.model} could not be downloaded.",
        where=file.url,
        expected=file.facts,
        got=got,
        fix=f"try again{f' ({kept:,} bytes are kept, and it goes on from there)' if kept else ''}, "
        f"or {_by_hand(file)}",
    )


def _by_hand(file: WeightsFile) -> str:
    place = cache_folder() / file.filename
    return f"download {file.url} by hand and put it at {place}, or give the path of your copy as `weights`"


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
