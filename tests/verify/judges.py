"""The interpreters of other programs, which judge ours."""

from __future__ import annotations

import os
import subprocess
from functools import cache

import pytest


def python_of(judge: str, *modules: str) -> str:
    """The interpreter that ``tests/verify/<judge>_venv.sh`` made; skips where it lacks something."""
    name = f"HAPSIGHT_{judge.upper()}_PYTHON"
    python = os.environ.get(name)
    if not python:
        pytest.skip(f"{name} is not set: see tests/verify/{judge}_venv.sh")
    missing = [module for module in modules if not _has(python, module)]
    if missing:
        pytest.skip(
            f"{python} has no {', '.join(missing)}: tests/verify/{judge}_venv.sh found no package index?"
        )
    return python


@cache
def _has(python: str, module: str) -> bool:
    find = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    try:
        return subprocess.run([python, "-c", find], check=False, timeout=60).returncode == 0
    except OSError:
        return False
