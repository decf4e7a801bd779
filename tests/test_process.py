"""What a process settles: memory that it keeps, garbage, and the user's own settings."""

import os
import platform
import subprocess
import sys

import pytest

GLIBC = platform.libc_ver()[0] == "glibc"
FAULTS = """
import resource, sys
from hapsight.process import settle
if sys.argv[1] == "settled":
    settle()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def use():
    for _ in range(5):
        [b"x" * (12 << 20) for _ in range(4)]
use()
before = faults()
use()
print(faults() - before)
"""


def _faults(how: str, **variables: str) -> int:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", FAULTS, how]
    done = subprocess.run(
        command, env=environment | variables, capture_output=True, text=True, check=True, timeout=60
    )
    return int(done.stdout)


@pytest.mark.skipif(not GLIBC, reason="a setting of glibc")
def test_memory_of_arrays_is_kept_unless_the_user_has_said_otherwise():
    plain, settled = _faults("plain"), _faults("settled")
    assert settled < plain / 10
    assert _faults("settled", MALLOC_MMAP_THRESHOLD_="131072") > plain / 2


def _said(code: str, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment | variables, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_garbage_is_sought_less_often_and_not_in_the_end():
    code = (
        "import atexit, gc; from hapsight.process import settle\n"
        "atexit.register(lambda: print(gc.get_threshold()[0] > 700, gc.get_freeze_count() > 1000))\n"
        "settle()"
    )
    assert _said(code) == "True True"


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core")
def test_numpy_has_one_thread_unless_the_user_has_said_otherwise():
    code = (
        "from hapsight.process import settle; settle(); import numpy\n"
        "from threadpoolctl import threadpool_info\n"
        "print({one['num_threads'] for one in threadpool_info() if one['user_api'] == 'blas'})"
    )
    assert _said(code) == "{1}"
    assert _said(code, OPENBLAS_NUM_THREADS="2") == "{2}"
