"""Fixtures that every test may use."""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.planted import Planted

settings.register_profile("busy", deadline=None)  # how long an example takes is the machine's affair
settings.register_profile("same", deadline=None, derandomize=True)  # what CI judges by: `make test`
settings.load_profile("busy")

# Threads that wait for each other, where other work has the cores. Numba's parallel loops set the number of
# OpenMP's threads for the whole process: without the last one, a search for motifs gives torch all cores.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command sets it, which tests call

ROOT = Path(__file__).resolve().parents[1]
LONGEST = (
    *("test_kill.py", "test_one_folder.py", "test_docs.py", "test_every_model.py", "test_disclosure.py"),
    *("test_effects.py", "test_run.py", "test_readers.py", "test_direction.py", "test_loop.py"),
    *("test_gene_pages.py", "test_peaks.py", "test_covariates.py", "test_individuals.py"),
    *("test_precision.py", "test_cards.py", "test_chrx.py", "test_hostile_paths.py", "test_api.py"),
)
"""Files of some ten seconds each, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that no core waits for them in the end."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


def pytest_collection_finish() -> None:
    """What is imported and collected stays to the end: it is not searched for garbage again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def _no_wait_for_the_disk() -> Iterator[None]:
    """Every finished unit is flushed to the disk; no test pulls the plug."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)
        yield


_THEIRS = ("PYTEST_", "TORCH", "CUDA", "TRITON", "KMP_")
"""Variables that pytest and torch set as they like."""


def _process() -> dict[str, object]:
    """What one file of tests could leave to the next, where they share a process."""
    umask = os.umask(0o077)
    os.umask(umask)
    logger, models = logging.getLogger("hapsight"), sys.modules.get("hapsight.models.registry")
    found: dict[str, object] = {
        "folder": Path.cwd(),
        "umask": umask,
        "sys.path": list(sys.path),
        "handlers": list(logger.handlers),
        "level": logger.level,
        "models": list(models._registered) if models else [],
    }
    found |= {name: value for name, value in os.environ.items() if not name.startswith(_THEIRS)}
    if torch := sys.modules.get("torch"):
        found["torch"] = (
            *(torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()),
            torch.are_deterministic_algorithms_enabled(),
        )
    return found


@pytest.fixture(scope="module", autouse=True)
def _leaves_the_process_as_it_was(request: pytest.FixtureRequest) -> Iterator[None]:
    """Files of tests may run in any order."""
    before = _process()
    yield
    after = _process()
    if "torch" not in before:  # imported meanwhile
        after.pop("torch", None)
    if "verify" not in request.path.parts:
        assert not {name for name in before | after if before.get(name) != after.get(name)}


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("HAPSIGHT_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "geuvadis_chr22" / "genotypes.vcf.gz").exists():
        pytest.skip(f"the real cohort is not here ({folder}); set HAPSIGHT_DATA to its folder")
    return folder


def without_vega(patch: pytest.MonkeyPatch) -> None:
    """Reports and pages without the drawing library, which takes a second to bundle."""
    patch.setattr("hapsight.report.page.vega_bundle", lambda: "/* vega */")


def without_drawings(patch: pytest.MonkeyPatch) -> None:
    """Runs whose tables alone are looked at: their report is an empty file, their pages have numbers only."""

    def empty(run: Path) -> Path:
        (run / "report.html").touch()
        return run / "report.html"

    patch.setattr("hapsight.pipeline.build_report", empty)
    patch.setattr("hapsight.report.gene_page._html", lambda _: "")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Planted, str]:
    """The planted cohort with a finished run, and what the command said. Only read it; copy it to write.

    It is made once, by the first process that asks for it; the others wait.
    """
    own = tmp_path_factory.getbasetemp()
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    made = folder / "finished.pickle"
    with (folder / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            made.write_bytes(pickle.dumps(_finish(folder / "finished" / "cohort")))
    found: tuple[Planted, str] = pickle.loads(made.read_bytes())
    return found


def _finish(folder: Path) -> tuple[Planted, str]:
    from tests.planted import finish_planted

    with pytest.MonkeyPatch.context() as patch:
        without_vega(patch)
        return finish_planted(folder)


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports and pages of this test without the drawing library."""
    without_vega(monkeypatch)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of this test without drawings."""
    without_drawings(monkeypatch)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Many small operations: on a busy machine more threads than free cores wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
