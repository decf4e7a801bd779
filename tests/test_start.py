"""A command, and a process that does units of work, load what they use and nothing more."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

import hapsight
from hapsight.files import compiled_by_one
from hapsight.run.config import load_config
from hapsight.run.crew import compute
from hapsight.run.executor import Pool, pools_kept, run_units
from hapsight.run.opened import Opened
from hapsight.stages.baseline import baseline
from hapsight.stages.eqtl import eqtl
from tests.planted import quiet, write_planted
from tests.run.units import loaded_of

HEAVY = ("torch", "altair", "vl_convert", "jinja2", "h5py", "numba", "scipy.stats", "scipy.optimize")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A cohort without a model."""
    planted = write_planted(tmp_path_factory.mktemp("start"), people=40, names=("up1", "null1"))
    text = planted.config.read_text().replace('[[models]]\nname = "toy"\n', "")
    text = text.replace("[baseline]", '[baseline]\nmethods = ["elastic_net"]')
    text = text.replace("workers = 1", "workers = 2").replace("genes_per_unit = 2", "genes_per_unit = 1")
    planted.config.write_text(text + "[eqtl]\npermutations = 99\ngenes_per_unit = 1\n")
    return planted


def test_a_check_without_models_loads_nothing_heavy(cohort):
    code = (
        "import sys; from hapsight.cli.main import app; app(standalone_mode=False); "
        f"sys.exit(' '.join(sys.modules.keys() & set({HEAVY!r})) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "check", str(cohort.config)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "later stages" in done.stdout


def test_stages_are_imported_without_what_they_may_not_need():
    stages = ("check", "predict", "baseline", "eqtl", "evaluate", "direction")
    names = ", ".join(f"hapsight.stages.{stage}" for stage in stages)
    code = f"import sys, {names}; sys.exit(' '.join(sys.modules.keys() & set({HEAVY!r})) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_processes_of_linear_units_hold_no_torch(cohort):
    opened = Opened.from_config(load_config(cohort.config))
    opened.begin()
    with pools_kept():
        eqtl(opened, quiet)
        baseline(opened, quiet)
        held = set().union(*run_units(loaded_of, [HEAVY] * 4, workers=2))
    assert "numba" in held
    assert held <= {"numba", "scipy.stats", "scipy.optimize"}


def test_a_single_unit_starts_no_process():
    @dataclass
    class One:
        name: str = "one"

        def done(self) -> bool:
            return False

    found = []
    compute(Pool(2), "alone", lambda _: os.getpid(), [One()], quiet, found.append)
    assert found == [os.getpid()]


KERNEL = """
import sys
from hapsight.files import compiled, compiled_by_one

@compiled()
def kernel(x):
    return x + 1

with compiled_by_one(kernel):
    assert kernel(1) == 2
with compiled_by_one(kernel):  # compiled: there is nothing to wait for
    assert kernel(2) == 3
print(sum(kernel.stats.cache_misses.values()))
"""


def test_one_of_several_processes_compiles_and_the_others_load(tmp_path):
    (tmp_path / "kernel.py").write_text(KERNEL)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    command = [sys.executable, str(tmp_path / "kernel.py")]
    processes = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(3)]
    assert sorted(int(process.communicate()[0]) for process in processes) == [0, 0, 1]


def test_without_a_place_for_compiled_code_each_process_compiles():
    """As in a container that is read-only, whoever runs it: Numba itself raises there."""
    nowhere = "/proc/none"
    environment = {**os.environ, "HOME": nowhere, "XDG_CACHE_HOME": nowhere, "NUMBA_CACHE_DIR": ""}
    script = f"exec(compile({KERNEL!r}, '{nowhere}/kernel.py', 'exec'))"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_every_compiled_loop_may_be_where_no_code_can_be_kept():
    found = [path for path in Path(hapsight.__file__).parent.rglob("*.py") if "njit(" in path.read_text()]
    assert [path.name for path in found] == ["files.py"]


def test_without_a_place_for_a_lock_each_compiles_for_itself(tmp_path):
    (tmp_path / "file").touch()
    kernel = SimpleNamespace(signatures=[], stats=SimpleNamespace(cache_path=str(tmp_path / "file")))
    with compiled_by_one(kernel):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
