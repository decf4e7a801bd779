"""ExPecto's published files: where they lie, which tissues there are, what comes out of the archive."""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from hapsight.errors import WeightsError
from hapsight.models.catalogue import how_to_get
from hapsight.models.protocol import Track
from hapsight.models.weights import cache_folder, verify_recorded

__all__ = ["find_beluga", "find_heads", "published_folder", "tissue_track", "unpack"]

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
