"""Units on a Dask cluster: a scheduler and two workers on loopback, as processes of their own."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hapsight import __version__
from hapsight.errors import IncompleteError, InputError, StoreError
from hapsight.run.executor import run_units
from hapsight.run.guard import Guard
from hapsight.run.sections import is_address
from tests.dask_processes import DaskProcesses
from tests.run.units import die_at_two, double, fail_at_two

pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of Dask's own sockets and loops

from hapsight.run.cluster import Cluster  # noqa: E402


def refuse(unit: int) -> int:
    raise InputError("A genotype is missing.", got=f"unit {unit}")


def slowly(unit: str) -> int:
    """Says which process is at work, and takes its time."""
    Path(unit).write_text(str(os.getpid()))
    time.sleep(0.4)
    return os.getpid()


def with_threads(unit: int) -> int:
    """Loads OpenMP, as a model does."""
    import torch

    return unit + int(torch.ones(1).sum())


def guard_of(folder: Path) -> Guard:
    mark = folder / ".lock"
    mark.write_text("this run")
    return Guard((mark, "this run"))


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    settings = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    with DaskProcesses(tmp_path_factory.mktemp("dask"), **settings) as processes:
        processes.scheduler()
        processes.worker("--resources", "CARD=1")
        processes.worker("--resources", "GPU=1 CARD=1")
        yield processes


@pytest.fixture
def cluster(dask, tmp_path):
    return Cluster(str(dask.file), guard_of(tmp_path), patience=60)


def test_all_units_are_done(cluster):
    assert sorted(run_units(double, list(range(20)), crew=cluster)) == list(range(0, 40, 2))
    assert list(run_units(double, [], crew=cluster)) == []


def test_a_unit_that_fails_is_set_aside_and_the_rest_is_done(cluster):
    done = []
    with pytest.raises(
        IncompleteError, match=r"1 of 4 units[\s\S]*b: ValueError: unit 2 has no name \(units"
    ):
        done.extend(run_units(fail_at_two, [1, 2, 3, 4], crew=cluster, names="abcd"))
    assert sorted(done) == [1, 3, 4]


def test_a_unit_that_kills_its_workers_is_set_aside_and_the_rest_is_done(cluster):
    done = []
    with pytest.raises(IncompleteError, match=r"1 of 5 units[\s\S]*unit 2 of 5: its worker process died"):
        done.extend(run_units(die_at_two, [1, 2, 3, 4, 5], crew=cluster))
    assert sorted(done) == [1, 3, 4, 5]


def test_a_worker_that_is_killed_costs_nothing(cluster, tmp_path):
    units = [str(tmp_path / f"unit-{n}") for n in range(6)]
    results = run_units(slowly, units, crew=cluster)
    done = [next(results)]
    os.kill(done[0], signal.SIGKILL)
    done += list(results)
    assert len(done) == len(units)
    assert len(set(done)) > 1


def test_what_the_user_can_mend_comes_through_at_once(cluster):
    with pytest.raises(InputError, match=r"genotype is missing[\s\S]*unit 7"):
        list(run_units(refuse, [7], crew=cluster))


def test_units_go_to_workers_that_offer_what_they_ask_for(cluster, tmp_path):
    units = [str(tmp_path / f"unit-{n}") for n in range(3)]
    asking = replace(cluster, resources={"GPU": 1})
    assert len(set(run_units(slowly, units, crew=asking))) == 1


def test_every_worker_that_offers_a_card_has_one_unit_at_a_time(cluster, tmp_path):
    """As several GPUs of a host: a worker each, by resources."""
    units = [str(tmp_path / f"unit-{n}") for n in range(6)]
    asking = replace(cluster, resources={"CARD": 1})
    assert len(set(run_units(slowly, units, crew=asking))) == 2


def test_without_a_worker_that_offers_it_the_run_gives_up(cluster, monkeypatch):
    monkeypatch.setattr("hapsight.run.executor._ASK", 0.2)
    asking = replace(cluster, resources={"TPU": 1}, patience=1.5)
    with pytest.raises(
        IncompleteError, match=r"no worker for 1\.5 s[\s\S]*workers that offer TPU=1[\s\S]*got: 2 workers: "
    ):
        list(run_units(double, [1], crew=asking))


def test_without_a_scheduler_the_run_gives_up(cluster):
    away = replace(cluster, scheduler="127.0.0.1:1", patience=1.0)
    with pytest.raises(IncompleteError, match=r"scheduler cannot be reached[\s\S]*127\.0\.0\.1:1"):
        list(run_units(double, [1], crew=away))


def test_without_a_scheduler_file_the_run_gives_up(cluster, tmp_path):
    away = replace(cluster, scheduler=str(tmp_path / "none.json"), patience=0.1)
    with pytest.raises(IncompleteError, match=r"no scheduler file[\s\S]*none\.json"):
        list(run_units(double, [1], crew=away))


def test_a_worker_that_sees_another_folder_is_refused(cluster, tmp_path):
    (tmp_path / ".lock").write_text("another run")
    with pytest.raises(StoreError, match=r"does not see the run folder"):
        list(run_units(double, [1], crew=cluster))


def test_a_guard_compares_inputs_and_versions(tmp_path):
    guard = guard_of(tmp_path)
    guard.check()
    there, absent = tmp_path / "genotypes.vcf.gz", tmp_path / "absent"
    there.write_bytes(b"12345")
    replace(guard, sizes=((there, 5),)).check()
    with pytest.raises(StoreError, match=r"same input file[\s\S]*expected: 6 bytes[\s\S]*got: 5 bytes"):
        replace(guard, sizes=((there, 6),)).check()
    with pytest.raises(StoreError, match=r"absent[\s\S]*got: no such file"):
        replace(guard, sizes=((absent, 1),)).check()
    with pytest.raises(StoreError, match=rf"another version[\s\S]*expected: 9\.9[\s\S]*{__version__}"):
        replace(guard, versions={"hapsight": "9.9"}).check()
    assert guard.versions.keys() == {"hapsight", "numpy", "torch"}
    with pytest.raises(StoreError, match=rf"version of numpy[\s\S]*1\.0[\s\S]*{np.__version__}"):
        replace(guard, versions={**guard.versions, "numpy": "1.0"}).check()
    replace(guard, versions={"numpy": np.__version__}).check()  # without torch here, any there will do


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tcp://10.0.0.1:8786", True),
        ("tls://head:8786", True),
        ("head:8786", True),
        ("scheduler.json", False),
        ("/home/me/scheduler.json", False),
    ],
)
def test_addresses_are_told_from_files(text, expected):
    assert is_address(text) is expected


@pytest.mark.verify
def test_a_scheduler_that_comes_back_is_given_the_rest(tmp_path, monkeypatch):
    """Killed in the middle and started anew, at another address, with the same file."""
    monkeypatch.setattr("hapsight.run.executor._ASK", 0.5)
    with DaskProcesses(tmp_path / "dask") as dask:
        first = dask.scheduler()
        worker = dask.worker()
        units = [str(tmp_path / f"unit-{n}") for n in range(5)]
        crew = Cluster(str(dask.file), guard_of(tmp_path), patience=60)
        results = run_units(slowly, units, crew=crew)
        done = [next(results)]
        dask.kill(first)
        dask.kill(worker)
        dask.scheduler()
        dask.worker()
        done += list(results)
    assert len(done) == len(units)


def test_threads_of_models_do_not_wait_busily_on_workers_started_by_hand(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    with DaskProcesses(tmp_path / "dask", OMP_DISPLAY_ENV="verbose") as processes:
        processes.scheduler()
        processes.worker("--no-nanny")
        crew = Cluster(str(processes.file), guard_of(tmp_path), patience=60)
        assert list(run_units(with_threads, [1], crew=crew)) == [2]
        assert "GOMP_SPINCOUNT = '0'" in (tmp_path / "dask" / "dask_worker.log").read_text()
