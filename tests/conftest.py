"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("busy", deadline=None)  # how long an example takes is the machine's affair
settings.load_profile("busy")

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # threads that wait for each other, where other work has the cores

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("HAPSIGHT_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "geuvadis_chr22" / "genotypes.vcf.gz").exists():
        pytest.skip(f"the real cohort is not here ({folder}); set HAPSIGHT_DATA to its folder")
    return folder
