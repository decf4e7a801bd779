"""Every picture of these tests is one that Vega-Lite's schema knows: elsewhere they are drawn unchecked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from importlib.util import find_spec
from typing import Any

import pytest


@pytest.fixture(scope="module", autouse=True)
def checked() -> Iterator[Callable[..., Any] | None]:
    """Altair compares each part of a picture with the schema; gives what keeps it from that."""
    if find_spec("altair") is None:
        yield None
        return
    from altair.utils import schemapi

    kept = schemapi.debug_mode
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schemapi, "debug_mode", lambda _: nullcontext())
        yield kept
