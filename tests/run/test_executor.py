import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from hapsight.errors import IncompleteError, InputError
from hapsight.run.executor import Here, Pool, pools_kept, run_units
from hapsight.run.run_folder import peak_mb
from tests.run.units import (
    blocked,
    die_always,
    die_at_two,
    die_once,
    double,
    fail_at_two,
    meet,
    pid_of,
    refuse_at_two,
    threads,
)


def fail_twice(unit: list[int]) -> int:
    unit.append(1)
    if len(unit) < 3:
        raise OSError("not now")
    return len(unit)


def all_of(results, into: list) -> None:
    into.extend(results)


@pytest.mark.parametrize("workers", [1, 2])
def test_all_units_are_done(workers):
    assert sorted(run_units(double, [1, 2, 3], workers)) == [2, 4, 6]
    assert list(run_units(double, [], workers)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_unit_that_fails_is_set_aside_and_the_rest_is_done(workers):
    done = []
    with pytest.raises(
        IncompleteError, match=r"1 of 4 units[\s\S]*b: ValueError: unit 2 has no name \(units"
    ):
        all_of(run_units(fail_at_two, [1, 2, 3, 4], workers, names="abcd"), done)
    assert sorted(done) == [1, 3, 4]


def test_a_unit_that_kills_its_process_is_set_aside_and_the_rest_is_done():
    done = []
    with pytest.raises(IncompleteError, match=r"1 of 4 units[\s\S]*unit 2 of 4: its worker process died"):
        all_of(run_units(die_at_two, [1, 2, 3, 4], crew=Pool(2, retries=0)), done)
    assert sorted(done) == [1, 3, 4]


def test_a_process_that_dies_once_costs_nothing(tmp_path):
    assert list(run_units(die_once, [str(tmp_path)], crew=Pool(1, retries=0))) == [str(tmp_path)]


def test_processes_that_all_die_are_not_started_for_ever(monkeypatch):
    monkeypatch.setattr("hapsight.run.executor._BARREN", 2)
    with pytest.raises(IncompleteError, match=r"die before they finish anything[\s\S]*0 of 9 units"):
        list(run_units(die_always, list(range(9)), 2))


def test_what_fails_is_tried_again():
    assert list(run_units(fail_twice, [[]], crew=Here(retries=2))) == [3]
    with pytest.raises(IncompleteError, match="OSError: not now"):
        list(run_units(fail_twice, [[]], crew=Here(retries=1)))


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_user_can_mend_comes_through_at_once(workers):
    with pytest.raises(InputError, match=r"genotype is missing[\s\S]*unit 2"):
        list(run_units(refuse_at_two, [1, 2, 3], workers))


def test_many_failures_are_counted_and_some_are_shown():
    with pytest.raises(IncompleteError, match=r"25 of 25 units[\s\S]*and 5 more") as caught:
        list(run_units(fail_at_two, [2] * 25, crew=Here(retries=0)))
    assert str(caught.value).count("ValueError") == 20


def test_a_reader_that_stops_early_leaves_no_process():
    results = run_units(double, list(range(100)), 2)
    next(results)
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 10


def test_processes_share_the_cores(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert set(run_units(threads, [1, 2, 3], workers=2)) == {("3", "1")}
    assert "OPENBLAS_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "5")
    assert set(run_units(threads, [1, 2], workers=2)) == {("3", "5")}


def _blas_threads(_: int) -> set[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_one_process_gives_linear_algebra_one_thread_and_back():
    with threadpool_limits(limits=2, user_api="blas"):
        assert list(run_units(_blas_threads, [1], workers=1)) == [{1}]
        assert _blas_threads(0) == {2}


def test_kept_processes_serve_the_next_stage_and_end_with_the_block(tmp_path):
    stages = [str(tmp_path / name) for name in ("one", "two")]
    with pools_kept():
        for stage in stages:
            os.mkdir(stage)
        first, second = (set(run_units(meet, [stage, stage], workers=2)) for stage in stages)
        assert first == second
        assert len(first) == 2
        assert peak_mb()[1] > 0
    assert not [pid for pid in first if Path(f"/proc/{pid}").exists()]


def test_kept_processes_serve_a_stage_with_fewer_units():
    with pools_kept():
        first = set(run_units(pid_of, range(9), workers=3))
        fewer = set(run_units(pid_of, [1, 2], workers=3))
        assert fewer <= first | set(run_units(pid_of, range(9), workers=3))


def test_kept_processes_that_died_are_replaced():
    with pools_kept():
        with pytest.raises(IncompleteError, match="its worker process died"):
            list(run_units(die_at_two, [1, 2, 3, 4], crew=Pool(2, retries=0)))
        for pid in set(run_units(pid_of, [1, 2, 3], workers=2)):
            os.kill(pid, signal.SIGKILL)
        assert len(list(run_units(pid_of, [1, 2, 3], workers=2))) == 3


def test_ctrl_c_is_for_the_parent_alone(monkeypatch):
    """A process that is starting would end with a traceback."""
    monkeypatch.setenv("PYTHONWARNINGS", "ignore:hapsight")
    assert list(run_units(blocked, [1, 2], crew=Pool(2))) == [True, True]
    assert not blocked(0)
    assert os.environ["PYTHONWARNINGS"] == "ignore:hapsight"
