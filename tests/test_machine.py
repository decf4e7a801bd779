"""What a machine lacks is said in words, with the exit code of failures; faults of the program are not."""

import errno
import os
import resource
import subprocess
import sys

import pytest

from hapsight.cli import main as door
from hapsight.cli.console import in_words
from tests.report.fake_run import write_run


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/run/report.html"), "ENOSPC: No space left"),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE), "/run/a"), "limit of open files (ulimit -n 4096)"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/run/a"), "where: /run/a"),
        (MemoryError(), "memory of this process is used up"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "memory of this process"),
        (RuntimeError("can't start new thread"), "memory of this process"),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "memory of this process"),
    ],
)
def test_it_is_said(error, words, monkeypatch, capsys):
    def fail():
        raise error

    monkeypatch.setattr(door, "app", fail)
    with pytest.raises(SystemExit) as end:
        door.main()
    assert end.value.code == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [RuntimeError("a fault"), ImportError("no module"), BrokenPipeError(32, "x")]
)
def test_a_fault_of_the_program_is_not_hidden(error):
    assert in_words(error) is None


def test_output_that_is_closed():
    """As a scheduler may start a command."""
    command = f"{sys.executable} -m hapsight schema >&- 2>&- <&-"
    assert subprocess.run(command, shell=True, check=False).returncode == 0


def test_a_full_disk_in_the_report(tmp_path):
    pytest.importorskip("vl_convert")
    run = write_run(tmp_path)
    size = 4_000
    done = subprocess.run(
        [sys.executable, "-m", "hapsight", "report", str(run)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )
    assert done.returncode == 1, done.stderr
    assert "A file cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(run.rglob(".hapsight-*"))


@pytest.mark.parametrize("kilobytes", [200_000, 900_000, 2_000_000])
def test_a_limit_of_memory_that_is_too_low_is_told_before_anything_is_loaded(kilobytes, tmp_path):
    size = 1024 * kilobytes
    done = subprocess.run(
        [sys.executable, "-m", "hapsight", "eqtl", str(tmp_path / "none.toml")],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size)),
    )
    assert done.returncode == 1, done.stderr
    assert f"got: {kilobytes:,} kB (ulimit -v)" in done.stderr
    assert "Traceback" not in done.stderr
