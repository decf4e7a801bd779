"""`evaluate`, `direction` and `drivers` by any crew: the same bytes, nothing done twice, little held."""

import gc
import json
import pickle
import shutil
import weakref

import pytest
from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.errors import IncompleteError
from hapsight.pipeline import compare, do_units
from hapsight.run.arms import arms_of, cards_in
from hapsight.run.config import Config, load_config
from hapsight.run.crew import staffed
from hapsight.run.opened import Opened
from hapsight.run.store import UnitStore
from hapsight.stages import evaluate as evaluate_module
from hapsight.stages.direction import direction_units
from hapsight.stages.driver_units import Beside, drivers_units, half1_of
from hapsight.stages.drivers import drivers
from hapsight.stages.evaluate import arms_alike, evaluate, evaluate_units
from hapsight.stages.explain import explain
from hapsight.stages.predict import load_models
from tests.dask_processes import DaskProcesses, record_parcels, require_nobody
from tests.entry_point import offer_model
from tests.planted import quiet, write_planted
from tests.stages.run_bytes import bytes_after, into

GENES = ("up1", "down1", "null1")
SECTIONS = """
[[models]]
name = "toy"
label = "toy again"
options = {seed = 1}
[[baseline.imported]]
label = "theirs"
path = "theirs.tsv"
[eqtl]
cis_window = 1000
permutations = 99
genes_per_unit = 1
[explain]
genes_per_unit = 1
"""


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A small cohort, two toy models, weights trained elsewhere, and all units that are to be judged."""
    folder = tmp_path_factory.mktemp("cohort")
    planted = write_planted(folder, people=24, names=GENES)
    text = planted.config.read_text().replace("genes_per_unit = 2", "genes_per_unit = 1")
    text = text.replace("[baseline]\n", '[baseline]\nmethods = ["elastic_net", "top_snp"]\n')
    planted.config.write_text(
        text.replace("null_draws = 499", "null_draws = 99\npermutations = 99") + SECTIONS
    )
    offer_model(folder, "toy", "tests.planted:load_toy")
    opened = Opened.from_config(load_config(planted.config))
    near, _ = opened.cohort.genotypes.read(planted.genes[0].cis(1000))
    place = f"chr1\t{near.position[0] + 1}\t{near.ref[0]}\t{near.alt[0]}"
    header = "gene_id\tchrom\tpos\tref\talt\tweight"
    (folder / "theirs.tsv").write_text(f"{header}\nup1\t{place}\t0.5\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        with opened.folder.locked():
            opened.begin()
            models = load_models(opened)
            do_units(opened, models, quiet)
            explain(opened, models, quiet)
    return planted


@pytest.fixture(autouse=True)
def _toy_is_installed(cohort, monkeypatch):
    monkeypatch.syspath_prepend(cohort.folder)


def compared(config: Config) -> dict[str, bytes]:
    """Do the stages, as the commands do; every file of the run as bytes, by its path in the run folder."""
    return bytes_after(config, _compare)


def _compare(opened: Opened) -> None:
    arms = arms_of(opened, load_models(opened))
    compare(opened, arms, quiet)
    drivers(opened, arms, quiet, ())


@pytest.fixture
def config(cohort, tmp_path):
    """Of a run of which all units are there, and nothing is judged."""
    shutil.copytree(cohort.folder / "run", tmp_path / "run")
    return into(load_config(cohort.config), tmp_path / "run")


@pytest.fixture(scope="module")
def alone(cohort, tmp_path_factory):
    """What one process leaves behind."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    shutil.copytree(cohort.folder / "run", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(cohort.folder)
        return compared(into(load_config(cohort.config), folder))


def seals(config: Config) -> dict[str, int]:
    """Units of these stages, and when they were finished."""
    found = [*config.output.glob("evaluation/**/*.json"), *config.output.glob("explain/drivers/**/*.json")]
    return {str(path.relative_to(config.output)): path.stat().st_mtime_ns for path in found}


@pytest.mark.verify
def test_processes_write_the_same_bytes(config, alone):
    assert compared(staffed(config, workers=2)) == alone


@pytest.mark.filterwarnings("ignore")  # of Dask's own sockets and loops
def test_a_cluster_writes_the_same_bytes_and_no_person_passes_its_scheduler(
    config, alone, tmp_path, monkeypatch
):
    pytest.importorskip("distributed")
    parcels = record_parcels(monkeypatch)
    with DaskProcesses(tmp_path / "dask") as dask:
        dask.scheduler()
        dask.worker("--no-nanny")
        dask.worker("--no-nanny")
        assert compared(staffed(config, scheduler=str(dask.file))) == alone
    require_nobody(parcels, config)
    assert not (config.output / "crew").exists()


def test_arms_that_meet_the_same_chance_are_judged_together(config):
    opened = Opened.from_config(config)
    arms = arms_of(opened, load_models(opened))
    assert [[arm.model for arm in own] for own in arms_alike(arms)] == [
        ["toy", "toy again"],
        ["elastic_net", "top_snp"],
        ["theirs"],
    ]


def test_what_is_finished_is_kept_and_what_is_damaged_is_done_again(config, alone):
    assert compared(config) == alone
    before = seals(config)
    assert len(before) == len(GENES) * 6
    unsealed = config.output / "evaluation/baseline/elastic_net/block-00001.json"
    damaged = config.output / "evaluation/direction/block-00002.slopes.parquet"
    unsealed.unlink()
    (config.output / "explain/drivers/toy.default/block-00000.rows.parquet").unlink()
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert compared(config) == alone
    after = seals(config)
    again = {"evaluation/baseline/elastic_net/block-00001.json", "evaluation/direction/block-00002.json"}
    again.add("explain/drivers/toy.default/block-00000.json")
    assert {name for name, when in after.items() if before[name] != when} == again
    stages = json.loads((config.output / "run.json").read_text())["stages"]
    details = {entry["name"]: entry["detail"] for entry in stages}
    assert details["evaluate"] == "1 unit computed, 8 kept"
    assert details["direction"] == "1 unit computed, 2 kept"
    assert details["drivers"] == "3 genes, 2 models and tracks; 1 unit computed, 5 kept"


def test_a_poisoned_unit_is_listed_and_everything_else_is_done(config, alone, monkeypatch):
    """Afterwards the stage resumes, and ends as if nothing had been."""
    row = evaluate_module.gene_row

    def failing(arm, one, chance):
        if (arm.model, one.gene.gene_id) == ("top_snp", "down1"):
            raise ZeroDivisionError("poison")
        return row(arm, one, chance)

    with monkeypatch.context() as patch:
        patch.setattr(evaluate_module, "gene_row", failing)
        complaint = (
            r"1 of 3 units[\s\S]*evaluate elastic_net, top_snp, block-00001: ZeroDivisionError: poison"
        )
        with pytest.raises(IncompleteError, match=complaint):
            compared(config)
    assert len(seals(config)) == 8
    assert compared(config) == alone


def test_a_gene_that_is_added_computes_its_own_units_only(cohort, config, alone):
    def with_genes(*names: str) -> Config:
        return config.model_copy(update={"cohort": config.cohort.model_copy(update={"keep_genes": names})})

    few, whole = with_genes("up1", "null1"), with_genes(*GENES)
    bytes_after(few, lambda opened: explain(opened, load_models(opened), quiet))
    compared(few)
    before = seals(config)
    bytes_after(whole, lambda opened: explain(opened, load_models(opened), quiet))
    found = compared(whole)
    after = seals(config)
    assert {name: after[name] for name in before} == before
    assert len(after) - len(before) == 6
    tables = [name for name in alone if name.startswith("evaluation/") and name.count("/") == 1]
    tables += [f"explain/{name}.parquet" for name in ("drivers", "driver_variants", "reliability")]
    assert len(tables) == 11 + 3
    assert {name: found[name] for name in tables} == {name: alone[name] for name in tables}


def test_a_unit_holds_its_own_genes_alone(config):
    opened = Opened.from_config(config)
    arms = arms_of(opened, load_models(opened))
    units = [unit for own in arms_alike(arms) for unit in evaluate_units(opened, own)]
    wholes = [*direction_units(opened, arms)]
    beside = Beside(None, None, half1_of(opened))
    wholes += [u for card, own in cards_in(arms).items() for u in drivers_units(opened, card, own, beside)]
    for unit in (*units, *(whole.base for whole in wholes)):
        assert not unit.run.cohort.genes
        assert unit.values.shape == unit.residual.shape == (1, 24)
        text = pickle.dumps(unit)
        assert b"ToyModel" not in text
        others = {gene.encode() for gene in GENES} - {unit.genes[0].gene_id.encode()}
        assert not [gene for gene in others if gene in text]
    assert {len(pickle.dumps(whole)) < 20_000 for whole in wholes} == {True}


def test_nulls_of_one_unit_are_held_at_a_time(config, monkeypatch):
    draws, write = evaluate_module.random_weights_null, UnitStore.write
    drawn, most = list[weakref.ref](), list[int]()

    def null(*given):
        made = draws(*given)
        drawn.append(weakref.ref(made))
        return made

    def written(*given):
        most.append(sum(ref() is not None for ref in drawn))
        write(*given)

    monkeypatch.setattr(evaluate_module, "random_weights_null", null)
    monkeypatch.setattr(UnitStore, "write", written)
    opened = Opened.from_config(config)
    evaluate(opened, arms_of(opened, load_models(opened)), quiet)
    gc.collect()
    assert len(drawn) == 7
    assert most == [1] * 7 + [0, 0]
    assert not [ref for ref in drawn if ref() is not None]


def test_the_commands_say_who_does_the_work(cohort):
    for command in ("evaluate", "drivers"):
        found = CliRunner().invoke(
            app, [command, str(cohort.config), "--workers", "2", "--scheduler", "head:1"]
        )
        assert "give one of the two" in str(found.exception), command
