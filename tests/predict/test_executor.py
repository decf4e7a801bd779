import os
import signal

import pytest

from hapsight.errors import IncompleteError
from hapsight.predict.executor import run_units


def double(unit: int) -> int:
    return 2 * unit


def die(unit: int) -> int:
    if unit == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return unit


def fail(unit: int) -> int:
    raise ValueError(f"unit {unit}")


@pytest.mark.parametrize("workers", [1, 2])
def test_all_units_are_done(workers):
    assert sorted(run_units(double, [1, 2, 3], workers)) == [2, 4, 6]
    assert list(run_units(double, [], workers)) == []


def test_a_killed_worker_is_reported():
    with pytest.raises(IncompleteError, match=r"worker process died[\s\S]*finished units are kept"):
        list(run_units(die, [1, 2, 3, 4], 2))


def test_an_error_in_a_worker_comes_through():
    with pytest.raises(ValueError, match="unit"):
        list(run_units(fail, [1, 2], 2))


def _threads(_: int) -> str | None:
    return os.environ.get("OPENBLAS_NUM_THREADS")


def test_processes_share_the_cores(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert set(run_units(_threads, [1, 2, 3], workers=2)) == {"3"}
    assert "OPENBLAS_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "5")
    assert set(run_units(_threads, [1, 2], workers=2)) == {"5"}
