"""Killed at any moment, a run resumes, repeats nothing that was finished, and gives the same tables."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from hapsight.cli.main import app, main
from hapsight.models.registry import register
from tests.conftest import without_drawings
from tests.planted import Planted, load_toy, write_planted

ROOT = Path(__file__).parents[2]


UNITS = 4 + 3 * 7
"""Units of predictions and baselines: pairs of genes for the model, single genes for three methods."""


def write(folder: Path) -> Planted:
    """The planted cohort, two workers, a baseline of many small units."""
    planted = write_planted(folder)
    text = planted.config.read_text().replace("workers = 1", "workers = 2")
    head, baseline = text.split("[baseline]")
    baseline = baseline.replace("genes_per_unit = 2", "genes_per_unit = 1").replace("1000", "2400")
    planted.config.write_text(f"{head}[baseline]{baseline}")
    return planted


def start(planted: Planted, delay: float = 0.0) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.stages.planted_command", "run", planted.config]
    environment = {**os.environ, "PLANTED_DELAY": str(delay)}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def interrupt(process: subprocess.Popen, how: int = signal.SIGINT) -> str:
    """What Ctrl-C on a terminal, or a batch system, does: every process of the group is told."""
    os.killpg(process.pid, how)
    _, errors = process.communicate(timeout=30)
    return errors.decode()


def finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()


def complete(planted: Planted) -> None:
    """Run, or resume, in this process: what is left of a killed run does not ask who goes on with it."""
    text = planted.config.read_text()
    planted.config.write_text(text.replace("workers = 2", "workers = 1"))
    do(planted, "run")


def do(planted: Planted, *words: str) -> None:
    """A command, in this process."""
    with register("toy", load_toy), pytest.MonkeyPatch.context() as patch:
        without_drawings(patch)
        found = CliRunner().invoke(app, [*words, str(planted.config)], catch_exceptions=False)
    assert found.exit_code == 0, found.output


def seals(planted: Planted, stage: str) -> dict[Path, int]:
    """Finished units of a stage, and when they were finished."""
    return {path: path.stat().st_mtime_ns for path in (planted.folder / "run" / stage).rglob("block-*.json")}


def wait_for(planted: Planted, process: subprocess.Popen, stage: str, units: int) -> None:
    """Until some units of a stage are finished."""
    deadline = time.monotonic() + 90
    while len(seals(planted, stage)) < units:
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def kill_after(planted: Planted, process: subprocess.Popen, stage: str, units: int) -> None:
    """Kill -9 the process (its workers are not told) once some units of a stage are finished."""
    wait_for(planted, process, stage, units)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()


def wait_for_workers(process: subprocess.Popen) -> None:
    """Until they have noticed that their parent is gone; a second, where nobody buries the dead."""
    deadline = time.monotonic() + 1.0
    with suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.01)


def tables(planted: Planted) -> dict[str, pl.DataFrame]:
    folder = planted.folder / "run"
    found = [
        *folder.glob("evaluation/*.parquet"),
        *folder.rglob("block-*.parquet"),
        folder / "dropped.parquet",
    ]
    return {str(path.relative_to(folder)): pl.read_parquet(path) for path in found}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    planted = write(tmp_path_factory.mktemp("whole"))
    complete(planted)
    assert len(seals(planted, "predictions") | seals(planted, "baseline")) == UNITS
    return tables(planted)


def require_resumed(planted: Planted, finished: dict[Path, int], whole: dict[str, pl.DataFrame]) -> None:
    """What was finished is kept, and all tables are those of a run that nobody killed."""
    after = seals(planted, "predictions") | seals(planted, "baseline")
    assert {path: after[path] for path in finished} == finished, "finished work was repeated"
    resumed = tables(planted)
    assert resumed.keys() == whole.keys()
    for name, table in whole.items():
        assert resumed[name].equals(table), name


@pytest.fixture
def killed(tmp_path, request):
    """A run that was killed, and the units that it had finished."""
    stage, units, delay = request.param
    planted = write(tmp_path / "cohort")
    if stage == "baseline":  # with predictions, or its processes load torch for them first
        do(planted, "predict", "--workers", "1")
    process = start(planted, delay)
    kill_after(planted, process, stage, units)
    wait_for_workers(process)
    finished = seals(planted, "predictions") | seals(planted, "baseline")
    assert len(finished) < UNITS
    return planted, finished


@pytest.mark.parametrize("killed", [("predictions", 1, 0.05), ("predictions", 3, 0.05)], indirect=True)
def test_killed_and_resumed(killed, whole):
    planted, finished = killed
    complete(planted)
    require_resumed(planted, finished, whole)


@pytest.mark.parametrize("killed", [("baseline", 1, 0.0)], indirect=True)
def test_killed_and_resumed_with_workers_while_a_second_run_is_refused(killed, whole, monkeypatch, capsys):
    planted, finished = killed
    resumed = start(planted)
    wait_for(planted, resumed, "baseline", 1 + sum("baseline" in path.parts for path in finished))
    monkeypatch.setattr(sys, "argv", ["hapsight", "run", str(planted.config)])
    os.kill(resumed.pid, signal.SIGSTOP)  # it cannot end meanwhile
    with register("toy", load_toy), pytest.raises(SystemExit) as left:
        main()
    os.kill(resumed.pid, signal.SIGCONT)
    assert left.value.code == 1
    assert "Another hapsight process works in this run folder" in capsys.readouterr().err
    finish(resumed)
    require_resumed(planted, finished, whole)


@pytest.mark.parametrize(("how", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_interrupted_it_says_what_is_kept_and_goes_on(tmp_path, whole, how, word):
    planted = write(tmp_path / "cohort")
    process = start(planted, delay=0.05)
    wait_for(planted, process, "predictions", 1)
    said = interrupt(process, how)
    assert process.returncode == 128 + how
    assert f"{word} at " in said
    assert f"in {planted.folder / 'run'}" in said
    assert "the same command again" in said
    assert "Traceback" not in said, said
    finished = seals(planted, "predictions")
    complete(planted)
    assert {path: seals(planted, "predictions")[path] for path in finished} == finished
    assert tables(planted).keys() == whole.keys()


def test_interrupted_with_workers_it_ends_at_once(tmp_path):
    planted = write(tmp_path / "cohort")
    planted.config.write_text(planted.config.read_text().replace('[[models]]\nname = "toy"\n', ""))
    process = start(planted)
    wait_for(planted, process, "baseline", 1)
    begun = time.monotonic()
    said = interrupt(process)
    assert process.returncode == 130, said
    assert "Traceback" not in said, said
    assert time.monotonic() - begun < 20
