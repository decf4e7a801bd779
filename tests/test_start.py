"""A command, and a process that does units of work, load what they use and nothing more."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing import active_children
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import hapsight
from hapsight.files import compiled_by_one
from hapsight.linear import elastic_net, kernel
from hapsight.linear.elastic_net import ElasticNetOptions, fit_cross_validated
from hapsight.pipeline import compiling_meanwhile
from hapsight.run.config import Config, load_config
from hapsight.run.crew import compute
from hapsight.run.executor import Pool, pools_kept, run_units
from hapsight.run.opened import Opened
from hapsight.stages.baseline import baseline
from hapsight.stages.eqtl import eqtl
from tests.planted import quiet, write_planted
from tests.run.units import loaded_of

COHORT = {
    "name": "start",
    "output": "run",
    "cohort": {"genotypes": "a.vcf.gz", "reference": "a.fa", "expression": "a.bed", "genes": "a.gtf"},
}
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
    assert held <= {"numba", "scipy.optimize"}


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


MOVED = """
import sys
from typing import NamedTuple
from hapsight.files import compiled, compiled_by_one

class Pair(NamedTuple):
    a: int
    b: int

Pair.__module__ = sys.argv[1]
sys.modules[sys.argv[1]] = sys.modules["__main__"]

@compiled()
def kernel(pair):
    return pair.a + pair.b

with compiled_by_one(kernel):
    assert kernel(Pair(1, 2)) == 3
print(sum(kernel.stats.cache_misses.values()))
"""


def test_code_that_is_kept_of_a_class_that_has_moved_is_compiled_anew(tmp_path):
    """Numba raises there: findings/numba-kept-code-moved-type.sh."""
    (tmp_path / "kernel.py").write_text(MOVED)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    for module, compiles in (("first", "1"), ("first", "0"), ("second", "1"), ("second", "0")):
        command = [sys.executable, str(tmp_path / "kernel.py"), module]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, f"{compiles}\n"), done.stderr


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


def leave_a_mark() -> None:
    """What another process compiles, in its place."""
    (Path(os.environ["MARK"]) / str(os.getpid())).touch()


def test_the_nets_are_compiled_by_a_process_meanwhile_and_only_once(tmp_path, monkeypatch):
    kept = SimpleNamespace(stats=SimpleNamespace(cache_path=str(tmp_path)))
    monkeypatch.setattr(kernel, "follow", kept)
    monkeypatch.setattr(elastic_net, "_compile", leave_a_mark)
    monkeypatch.setenv("MARK", str(tmp_path / "mark"))
    (tmp_path / "mark").mkdir()
    net = Config.model_validate({**COHORT, "baseline": {"methods": ["blup", "lasso"]}})
    with compiling_meanwhile(net):
        while not (marks := list((tmp_path / "mark").iterdir())):
            time.sleep(0.01)
    assert [int(mark.name) != os.getpid() for mark in marks] == [True]
    assert not active_children()
    (tmp_path / "kernel.follow-12.py3.nbi").touch()
    for config in (net, Config.model_validate({**COHORT, "baseline": {"methods": ["blup"]}})):
        with compiling_meanwhile(config):
            assert not active_children()


def test_what_is_compiled_meanwhile_is_what_a_fit_needs():
    rng = np.random.default_rng(1)
    dosage, folds = rng.integers(0, 3, (5, 40)).astype(float), np.arange(40) % 4
    fit_cross_validated(dosage, rng.normal(size=40), folds, ElasticNetOptions(inner=4, alpha=1.0))
    elastic_net._compile()
    assert len(kernel.follow.signatures) == 1
