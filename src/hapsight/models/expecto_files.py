"""ExPecto's published files: where they lie, which tissues there are, what comes out of the archive."""

from __future__ import annotations

import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from hapsight.errors import WeightsError
from hapsight.models.catalogue import BY_HAND
from hapsight.models.protocol import Track
from hapsight.models.weights import cache_folder

__all__ = ["find_beluga", "find_heads", "published_folder", "tissue_track", "unpack"]

ARCHIVE: Final = "resources_20190807.tar.gz"
BELUGA: Final = ("deepsea.beluga.pth", "deepsea.beluga.safetensors")
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
    if archive.is_file() and not any(folder.rglob(BELUGA[0])):
        unpack(archive, folder)
    return folder


def find_beluga(folder: Path) -> Path:
    """Path of Beluga's weights in a folder or in folders inside it.

    Raises
    ------
    WeightsError
        Not there; says how to get them.
    """
    for name in BELUGA:
        for path in sorted(folder.rglob(name)):
            return path
    raise WeightsError(
        "The weights of Beluga, ExPecto's network, are not on this machine.",
        where=folder,
        expected=f"{BELUGA[0]}, or {ARCHIVE} with it",
        fix=BY_HAND["expecto"],
    )


def find_heads(folder: Path) -> dict[str, Path]:
    """Tissue -> path of its ``.save`` file, in a folder or in folders inside it, sorted by tissue.

    Raises
    ------
    WeightsError
        None, or two of one tissue.
    """
    heads: dict[str, Path] = {}
    for path in folder.rglob("*.save"):
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
            fix=BY_HAND["expecto"],
        )
    return dict(sorted(heads.items()))


def tissue_track(tissue: str, path: Path) -> Track:
    """Describe what a head predicts; its file's name holds the pseudocount of the logarithm."""
    match = _PSEUDOCOUNT.fullmatch(path.stem)
    pseudocount = match[1] if match else "a pseudocount"
    return Track(tissue, "RNA-seq", tissue.replace("_", " "), ".", f"natural log of RPKM + {pseudocount}")


def unpack(archive: Path, folder: Path) -> list[Path]:
    """Take Beluga's weights and the heads, and nothing else, out of the published archive.

    Each lands in `folder` itself under its last name, written to a temporary name first.

    Raises
    ------
    WeightsError
        The archive is damaged, holds a name that leads out of it or a link, or two files of one name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done: list[Path] = []
    try:
        with tarfile.open(archive, "r:*") as tar:
            for member, name in _wanted(tar, archive):
                source = tar.extractfile(member)
                target = folder / name
                if source is None or target in done:
                    raise _refused(archive, member.name)
                part = target.with_name(f".{name}.{os.getpid()}.part")
                try:
                    with source, part.open("wb") as handle:
                        shutil.copyfileobj(source, handle)
                    part.replace(target)
                finally:
                    part.unlink(missing_ok=True)
                done.append(target)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise WeightsError(
            "ExPecto's archive cannot be read to its end.", where=archive, got=error, fix="download it again"
        ) from error
    return done


def _wanted(tar: tarfile.TarFile, archive: Path) -> Iterator[tuple[tarfile.TarInfo, str]]:
    """The members to take, with their last names; raises for a member that no honest archive has."""
    for member in tar:
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
