"""Whoever does the units, the tables are the same, byte for byte; a poisoned unit stops nothing else."""

from dataclasses import replace
from multiprocessing import active_children

import pytest
from typer.testing import CliRunner

from hapsight import pipeline
from hapsight.cli.main import app
from hapsight.cli.options import load_staffed
from hapsight.errors import ConfigError, IncompleteError, InputError, StoreError, WeightsError
from hapsight.files import temporary_name
from hapsight.pipeline import do_units
from hapsight.run import models as model_units
from hapsight.run.cluster import Cluster
from hapsight.run.config import ClusterConfig, Config, load_config
from hapsight.run.crew import SetAside, crew_of, staffed
from hapsight.run.executor import Here, Pool, run_units
from hapsight.run.opened import Opened
from hapsight.stages.predict import load_models
from tests.dask_processes import DaskProcesses, record_parcels, require_nobody
from tests.entry_point import offer_model
from tests.planted import quiet, write_planted
from tests.stages.run_bytes import bytes_after, bytes_in, into

GENES = ("up1", "null1")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A small cohort and the toy model, which processes on this path know."""
    folder = tmp_path_factory.mktemp("cohort")
    planted = write_planted(folder, people=24, names=GENES)
    text = planted.config.read_text().replace("genes_per_unit = 2", "genes_per_unit = 1")
    text += "[eqtl]\npermutations = 99\ngenes_per_unit = 1\n"
    planted.config.write_text(text.replace("[baseline]\n", '[baseline]\nmethods = ["elastic_net"]\n'))
    offer_model(folder, "toy", "tests.planted:load_toy")
    return planted


@pytest.fixture(autouse=True)
def _toy_is_installed(cohort, monkeypatch):
    monkeypatch.syspath_prepend(cohort.folder)


def tables_of(config: Config) -> dict[str, bytes]:
    """Do all units; every table and seal as bytes, by its path in the run folder."""
    return bytes_after(config, lambda opened: do_units(opened, load_models(opened), quiet))


@pytest.fixture
def config(cohort, tmp_path):
    return into(load_config(cohort.config), tmp_path / "run")


@pytest.fixture(scope="module")
def alone(cohort, tmp_path_factory):
    """The tables of one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(cohort.folder)
        return tables_of(into(load_config(cohort.config), tmp_path_factory.mktemp("alone")))


@pytest.mark.verify
def test_processes_write_the_same_bytes(config, alone):
    many = staffed(config, workers=2)
    assert isinstance(crew_of(Opened.from_config(many), models=True), Pool)
    assert tables_of(many) == alone
    assert len([name for name in alone if "block-" in name]) == 2 * (4 + 5 + 5)


@pytest.mark.filterwarnings("ignore")  # of Dask's own sockets and loops
def test_a_cluster_writes_the_same_bytes_and_no_person_passes_its_scheduler(
    config, alone, tmp_path, monkeypatch
):
    pytest.importorskip("distributed")
    parcels = record_parcels(monkeypatch)
    with DaskProcesses(tmp_path / "dask") as dask:
        offer_model(dask.folder, "toy", "tests.planted:load_toy")
        dask.scheduler()
        dask.worker("--no-nanny")
        dask.worker("--no-nanny")
        assert tables_of(staffed(config, scheduler=str(dask.file))) == alone
    require_nobody(parcels, config)
    assert not (config.output / "crew").exists()


def test_a_poisoned_unit_is_listed_and_everything_else_is_done(config, alone, monkeypatch):
    """Afterwards the run resumes, and ends as if nothing had been."""
    with monkeypatch.context() as patch:
        patch.setattr(model_units, "_values", _fails_for("up1", model_units._values))
        with pytest.raises(IncompleteError, match=r"1 of 2 units[\s\S]*toy, block-00000: ZeroDiv.*: up1"):
            tables_of(config)
    missing = alone.keys() - bytes_in(config.output).keys()
    assert missing == {name for name in alone if name.startswith("predictions/toy.default/block-00000")}
    assert tables_of(config) == alone


def _fails_for(gene_id, function):
    def fails(found, tracks):
        if found.gene_id == gene_id:
            raise ZeroDivisionError(gene_id)
        return function(found, tracks)

    return fails


def test_a_run_has_a_mark_of_its_own_and_sweeps_up_after_killed_ones(config):
    folder = Opened.from_config(config).folder
    marks = []
    for _ in range(2):
        with folder.locked():
            marks.append(folder.mark())
            assert not list(config.output.rglob(".hapsight-*"))
        temporary_name(config.output / "table.parquet").touch()
    (path, first), (same_path, second) = marks
    assert path == same_path
    assert len(first) == len(second) == 32
    assert first != second


def test_a_full_disk_is_told_before_anything_is_done(config, monkeypatch):
    def is_full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("hapsight.run.run_folder.os.truncate", is_full)
    folder = Opened.from_config(config).folder
    with (
        pytest.raises(StoreError, match=r"run folder cannot be written[\s\S]*No space left"),
        folder.locked(),
    ):
        pass


def test_what_several_stages_could_not_do_is_told_together():
    aside = SetAside()
    aside.report()
    for stage in ("predict", "baseline"):
        with aside.later():
            raise IncompleteError(f"1 of 2 units of {stage}.", got="block-00001")
    with pytest.raises(
        IncompleteError,
        match=r"Several stages[\s\S]*of predict[\s\S]*block-00001[\s\S]*of baseline",
    ):
        aside.report()
    with pytest.raises(InputError), aside.later():
        raise InputError("A gene is missing.")


def test_a_worker_with_other_weights_is_refused(config):
    opened = Opened.from_config(config)
    (run,) = load_models(opened)
    unit = replace(run.work(opened, run.units(opened))[0], fingerprint="toy-1")
    with pytest.raises(WeightsError, match=r"other weights[\s\S]*expected: toy-1[\s\S]*got: toy-0"):
        model_units.predict_elsewhere(unit)


def test_who_does_the_work(config):
    def crews(asked: Config) -> tuple:
        opened = Opened.from_config(asked)
        return crew_of(opened), crew_of(opened, models=True)

    assert crews(config) == (Here(2), Here(2))
    assert crews(staffed(config, workers=3)) == (Pool(3, 2), Pool(3, 2))
    cluster = ClusterConfig(scheduler="10.0.0.1:8786", resources={"GPU": 1}, retries=5, patience=9)
    linear, models = crews(config.model_copy(update={"cluster": cluster}))
    assert isinstance(linear, Cluster)
    assert isinstance(models, Cluster)
    assert (linear.resources, models.resources) == ({}, {"GPU": 1})
    assert (models.tries_again, models.patience, models.retries) == (5, 9, 0)
    assert {path.name for path, _ in models.guard.sizes} >= {"genotypes.vcf.gz", "genome.fa.gz"}


@pytest.mark.parametrize(
    ("device", "resources", "there"),
    [("auto", {}, "cpu"), ("auto", {"GPU": 1}, "cuda"), ("cuda", {}, "cuda"), ("cpu", {"GPU": 1}, "cpu")],
)
def test_a_host_without_gpus_may_send_work_to_hosts_with_them(config, device, resources, there):
    cluster = ClusterConfig(scheduler="10.0.0.1:8786", resources=resources)
    device_wanted = config.predict.model_copy(update={"device": device})
    opened = Opened.from_config(config.model_copy(update={"cluster": cluster, "predict": device_wanted}))
    (run,) = load_models(opened)
    assert run.source.device == there
    assert run.device in ("cpu", "cuda", "mps")


def test_a_scheduler_file_starts_at_the_configuration(cohort, tmp_path):
    text = cohort.config.read_text() + "[cluster]\nscheduler = {!r}\n"
    for given, expected in (("s.json", str(tmp_path / "s.json")), ("tcp://head:8786", "tcp://head:8786")):
        path = tmp_path / "run.toml"
        path.write_text(text.format(given))
        assert load_config(path).cluster.scheduler == expected


def test_the_command_line_says_who_does_the_work(cohort, tmp_path):
    path = str(cohort.config)
    with pytest.raises(ConfigError, match=r"--workers are[\s\S]*got: --workers 2 --scheduler head:1"):
        load_staffed(cohort.config, 2, "head:1")
    assert load_staffed(cohort.config, None, "head:1").cluster.scheduler == "head:1"
    assert load_staffed(cohort.config, 3, None).workers == 3
    found = CliRunner().invoke(app, ["eqtl", path, "--workers", "1"], catch_exceptions=False)
    assert found.exit_code == 0


def test_processes_that_hold_a_model_end_with_predict(config, monkeypatch):
    opened, there = Opened.from_config(config), dict[str, set[int]]()

    def two_processes(name):
        def stage(*_):
            assert len(list(run_units(abs, [1, 2], workers=2))) == 2
            there[name] = {child.pid for child in active_children()}

        return stage

    for name in ("predict", "baseline", "eqtl"):
        monkeypatch.setattr(pipeline, name, two_processes(name))
    do_units(opened, [], lambda *_: None)
    assert there["predict"].isdisjoint(there["baseline"])
    assert there["eqtl"] == there["baseline"]
