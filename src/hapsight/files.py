"""Names of files and folders for whatever a gene, track, model or arm is called."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Final

__all__ = ["file_name"]

_PLAIN: Final = re.compile(r"[a-z0-9_][a-z0-9_=+-]*(?:\.\d+)*")
"""Lower case only: some file systems hold `A` and `a` to be one name."""

_LATER: Final = re.compile(r"(?!\d+(?:\.|$))")
"""No part but the first begins with a number alone: behind a dot that is the version of the part before."""

_GENE_ID: Final = re.compile(
    r"ENS[A-Z]*\d+(?:\.\d+)?(?:_PAR_Y)?|FBgn\d+|WBGene\d+|AT[1-5CM]G\d+|Y[A-P][LR]\d+[CW](?:-[A-Z])?"
)
"""Identifiers of Ensembl and GENCODE, FlyBase, WormBase, TAIR and SGD, which have capitals by rule."""

_ANY_CASE: Final = re.compile(_GENE_ID.pattern, re.IGNORECASE)
_RESERVED: Final = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?")
_LIKE_CHANGED: Final = re.compile(r".*-[0-9a-f]{16}")
_LONGEST: Final = 120
"""Bytes, which leaves as many for suffixes and what temporary names add."""


def file_name(*parts: str, suffix: str = "") -> str:
    """Safe name of a file or folder; different parts have different names, also where case is ignored.

    A plain name stays as it is: lower case, digits and ``_=+-``, dots before numbers alone; or a gene's
    identifier of a public annotation. In any other, what is not plain becomes a dash, and a digest of the
    parts as they were follows. So no name leaves its folder, hides its file, or meets another's.

    Parameters
    ----------
    parts
        Joined by dots.
    suffix
        Appended as it is, such as ``".html"``.

    Examples
    --------
    >>> file_name("ENSG00000100075.5", suffix=".html"), file_name("enformer", "default")
    ('ENSG00000100075.5.html', 'enformer.default')
    >>> file_name("my model"), file_name("my-model")
    ('my-model-7db48f1c5dcfc02a', 'my-model')
    """
    name = ".".join(parts)
    if len(name) <= _LONGEST and _stays(parts) and not _RESERVED.fullmatch(name):
        return name + suffix
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    readable = re.sub(r"[^A-Za-z0-9._=+-]+", "-", name)[: _LONGEST - 17].strip(".-") or "x"
    return f"{'_' if _RESERVED.fullmatch(readable.lower()) else ''}{readable}-{digest}{suffix}"


def _stays(parts: tuple[str, ...]) -> bool:
    """Whether the parts can be joined as they are, and taken apart again."""
    return all(map(_plain, parts)) and all(map(_LATER.match, parts[1:]))


def _plain(part: str) -> bool:
    if _ANY_CASE.fullmatch(part):
        return _GENE_ID.fullmatch(part) is not None
    return _PLAIN.fullmatch(part) is not None and not _LIKE_CHANGED.fullmatch(part)
