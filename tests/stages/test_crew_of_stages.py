"""`explain`, `informed` and `priors` by any crew: the same bytes; a poisoned unit stops nothing else."""

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.cohort.nouns import Gene, Interval
from hapsight.errors import IncompleteError
from hapsight.files import temporary_name
from hapsight.run.arrays import array_labels, open_array, save_array
from hapsight.run.config import Config, load_config
from hapsight.run.crew import crew_of, staffed
from hapsight.run.opened import Opened
from hapsight.stages import explain as explain_module
from hapsight.stages import informed_units as informed_module
from hapsight.stages import prior_ablations
from hapsight.stages.explain import explain
from hapsight.stages.informed import informed
from hapsight.stages.predict import load_models
from hapsight.stages.priors import priors
from hapsight.stages.saturation import SaturationUnit
from tests.dask_processes import DaskProcesses, record_parcels, require_nobody
from tests.entry_point import offer_model
from tests.planted import quiet, write_planted
from tests.stages.run_bytes import bytes_after, bytes_in, into

pytest.importorskip("zarr")

GENES = ("up1", "down1")
SECTIONS = """
[explain]
genes_per_unit = 1
saturation = [-2, 2]
tracks = "bedgraph"
[informed]
learning_genes = 2
[[informed.effects]]
label = "ism"
path = "effects.parquet"
[priors]
regulons = "regulons.tsv"
motifs = false
leave_out = 100
method = "top_snp"
"""


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A small cohort, effects as evidence, and the toy model, which processes on this path know."""
    folder = tmp_path_factory.mktemp("cohort")
    planted = write_planted(folder, people=24, names=GENES)
    text = planted.config.read_text().replace("genes_per_unit = 2", "genes_per_unit = 1")
    planted.config.write_text(text + SECTIONS)
    lines = ["source\ttarget\tweight", *(f"UP1\t{gene.upper()}\t1" for gene in GENES)]
    (folder / "regulons.tsv").write_text("\n".join(lines))
    opened, rows = Opened.from_config(load_config(planted.config)), []
    for gene in planted.genes:
        near, _ = opened.cohort.genotypes.read(gene.cis(1000))
        places = zip(near.position.tolist(), near.ref, near.alt, strict=True)
        rows += [(gene.gene_id, *place, 0.1 * (place[0] % 7)) for place in places]
    columns = ["gene_id", "position", "ref", "alt", "effect"]
    pl.DataFrame(rows, schema=columns, orient="row").write_parquet(folder / "effects.parquet")
    offer_model(folder, "toy", "tests.planted:load_toy")
    return planted


@pytest.fixture(autouse=True)
def _toy_is_installed(cohort, monkeypatch):
    monkeypatch.syspath_prepend(cohort.folder)


STAGES = {
    "explain": lambda opened: explain(opened, load_models(opened), quiet),
    "informed": lambda opened: informed(opened, quiet),
    "priors": lambda opened: priors(opened, quiet),
}


def done_by(config: Config, *stages: str) -> dict[str, bytes]:
    """Do the stages; every file that they leave behind as bytes, by its path in the run folder."""
    return bytes_after(config, lambda opened: [STAGES[stage](opened) for stage in stages])


@pytest.fixture
def config(cohort, tmp_path):
    return into(load_config(cohort.config), tmp_path / "run")


@pytest.fixture(scope="module")
def alone(cohort, tmp_path_factory):
    """What one process leaves behind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(cohort.folder)
        one = staffed(load_config(cohort.config), workers=1)
        return done_by(into(one, tmp_path_factory.mktemp("alone")), *STAGES)


@pytest.mark.verify
def test_processes_write_the_same_bytes(config, alone):
    assert done_by(staffed(config, workers=2), *STAGES) == alone
    for name in ("explain/toy.default/saturation/up1.zarr/zarr.json", "informed/summary.parquet"):
        assert name in alone
    assert [name for name in alone if name.startswith("priors/linear/block-00001")]


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
        assert done_by(staffed(config, scheduler=str(dask.file)), *STAGES) == alone
    require_nobody(parcels, config)
    assert not (config.output / "crew").exists()


def test_workers_are_asked_for_the_evidence_too(config, cohort):
    opened = Opened.from_config(staffed(config, scheduler="10.0.0.1:8786"))
    evidence = cohort.folder / "effects.parquet"
    sizes = dict(crew_of(opened, files=[evidence]).guard.sizes)
    assert sizes[evidence] == evidence.stat().st_size


def _fails(function, wrong):
    """`function`, but for what is `wrong`, of which it is the first argument."""

    def failing(first, *others):
        if wrong(first):
            raise ZeroDivisionError("poison")
        return function(first, *others)

    return failing


def _first_block(unit) -> bool:
    return unit.name == "block-00000"


POISON = {
    "explain": (
        (explain_module, "_unit_tables", _first_block),
        "1 of 2 units[\\s\\S]*explain toy, block-00000: ZeroDivisionError: poison",
        ("block-00000.", "effects.", "additivity.", "background", "dropped"),
    ),
    "saturation": (
        (SaturationUnit, "save", lambda unit: unit.gene.gene_id == "down1"),
        "1 of 2 units[\\s\\S]*bases toy, saturation of down1: ZeroDivisionError: poison",
        ("saturation/down1",),
    ),
    "informed": (
        (
            informed_module,
            "unit_tables",
            lambda base: _first_block(base) and base.store.folder.name == "ism.random",
        ),
        "1 of 14 units[\\s\\S]*informed, ism.random block-00000: ZeroDivisionError: poison",
        ("ism.random/block-00000.", "per_gene.", "shapes.parquet", "summary."),
    ),
    "priors": (
        (prior_ablations, "_scores_of_folds", lambda unit: unit.name == "block-00001"),
        "1 of 2 units[\\s\\S]*priors linear, block-00001: ZeroDivisionError: poison",
        ("linear/block-00001", "ablation.", "per_gene.", "signs.", "priors/dropped."),
    ),
}


@pytest.mark.parametrize("poisoned", POISON)
def test_a_poisoned_unit_is_listed_and_everything_else_is_done(poisoned, config, alone, monkeypatch):
    """Afterwards the stage resumes, and ends as if nothing had been."""
    (owner, name, wrong), complaint, parts = POISON[poisoned]
    stage = "explain" if poisoned == "saturation" else poisoned
    folders = {"informed": ("informed/", "baseline/"), "priors": ("priors/",)}.get(
        stage, ("explain/", "dropped")
    )
    expected = {file: data for file, data in alone.items() if file.startswith(folders)}
    one = staffed(config, workers=1)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, _fails(getattr(owner, name), wrong))
        with pytest.raises(IncompleteError, match=complaint):
            done_by(one, stage)
    missing = expected.keys() - bytes_in(config.output).keys()
    assert missing
    assert all(any(part in file for part in parts) for file in missing), missing
    found = done_by(one, stage)
    assert expected.items() <= found.items()


def test_the_commands_say_who_does_the_work(cohort, config):
    for command in ("explain", "informed", "priors"):
        assert CliRunner().invoke(app, [command]).exit_code == 2
        found = CliRunner().invoke(
            app, [command, str(cohort.config), "--workers", "2", "--scheduler", "head:1"]
        )
        assert "give one of the two" in str(found.exception), command


def test_a_killed_process_leaves_half_an_array_and_the_next_run_sweeps_it_up(config):
    folder = Opened.from_config(config).folder
    left = temporary_name(config.output / "explain/toy.default/saturation/up1.zarr")
    (left / "c").mkdir(parents=True)
    (left / "c/0").touch()
    with folder.locked():
        assert not left.exists()


def test_an_array_takes_the_place_of_another_as_a_whole(tmp_path):
    path = tmp_path / "up1.zarr"
    gene = Gene("up1", "chr1", 100)
    for value in (1.0, 2.0):
        labels = array_labels(gene, Interval("chr1", 99, 102), "toy", "default", ["expression"], str(value))
        save_array(path, "effect", np.full((3, 4, 1), value), labels)
        assert open_array(path)[0][:].max() == value
        assert [p.name for p in tmp_path.iterdir()] == ["up1.zarr"]
