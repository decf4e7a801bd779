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


def test_garbage_is_searched_for_less_often():
    code = "import gc; from hapsight.process import settle; settle(); print(*gc.get_threshold())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[0]) > 700
