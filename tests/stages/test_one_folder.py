"""One run folder: genes, models and configurations that come and go; what is printed as a cure is obeyed."""

import errno
import json
import re
import shutil

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.errors import HapsightError, IncompleteError, StoreError
from hapsight.models.registry import register
from hapsight.pipeline import do_units
from hapsight.run.arms import arms_of
from hapsight.run.config import load_config
from hapsight.run.opened import Opened
from hapsight.stages.direction import direction
from hapsight.stages.drivers import drivers
from hapsight.stages.evaluate import evaluate
from hapsight.stages.explain import explain
from tests.conftest import without_vega
from tests.planted import load_toy, opened_with_models, quiet, write_planted

SECTIONS = """
[eqtl]
permutations = 99
cis_window = 1000
[explain]
run = true
motifs = false
"""
TABLES = (
    *("evaluation/per_gene", "evaluation/per_person", "evaluation/across_genes", "evaluation/summary"),
    *("evaluation/direction_genes", "eqtl/cis_qtl", "eqtl/heritability", "explain/drivers"),
    *("explain/toy.default/effects", "evaluation/baselines", "eqtl/cis_independent"),
)
ALL = ("up1", "down1", "up2", "null1", "bare", "down2")


def hapsight(*words):
    with register("toy", load_toy):
        found = CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def everything(path):
    """What `hapsight run` does, but for check, pages and report."""
    opened, runs = opened_with_models(path)
    opened.begin()
    do_units(opened, runs, quiet)
    arms = arms_of(opened, runs)
    for stage, given in ((evaluate, arms), (direction, arms), (explain, runs), (drivers, arms)):
        stage(opened, given, quiet)


def tables(folder):
    return {name: pl.read_parquet(folder / f"{name}.parquet") for name in TABLES}


def require_equal(one, other):
    for name in TABLES:
        assert_frame_equal(one[name], other[name], check_exact=True)


def seals(folder):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*.json")
            if path.parent != folder}  # fmt: skip


def computed(folder):
    """Units that each stage of the last run computed, and kept."""
    details = {s["name"]: s["detail"] for s in json.loads((folder / "run.json").read_text())["stages"]}
    found = {name: re.search(r"(\d+) units? computed, (\d+) kept", text) for name, text in details.items()}
    return {name: tuple(map(int, match.groups())) for name, match in found.items() if match}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    made = write_planted(tmp_path_factory.mktemp("folder"), people=24, names=ALL)
    text = made.config.read_text().replace("[baseline]\n", '[baseline]\nmethods = ["blup", "top_snp"]\n')
    made.config.write_text(text + SECTIONS)
    return made


def written(planted, output, *changes):
    """A configuration with its own folder."""
    text = planted.config.read_text().replace('output = "run"', f'output = "{output}"')
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = planted.folder / f"{output}{len(list(planted.folder.glob('*.toml')))}.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def whole(planted):
    """A run of all genes at once, its tables by name."""
    path = written(planted, "whole")
    everything(path)
    return path, tables(planted.folder / "whole")


@pytest.mark.parametrize(
    ("new", "size"), [("up1", ""), ("up2", "genes_per_unit = 2\n"), ("down2", "genes_per_unit = 2\n")]
)
def test_a_gene_that_is_added_is_all_that_is_computed(planted, whole, new, size):
    cut = ("genes_per_unit = 2\n", size)
    some = [gene for gene in ALL if gene != new]
    keep = ('samples = "samples.tsv"', f'samples = "samples.tsv"\nkeep_genes = {json.dumps(some)}')
    output = f"grown-{new}-{len(size)}"
    everything(written(planted, output, keep, cut))
    folder = planted.folder / output
    before = seals(folder)
    everything(written(planted, output, cut))
    after = seals(folder)
    assert {path: after[path] for path in before if "independent" not in path.name} == {
        path: seal for path, seal in before.items() if "independent" not in path.name
    }
    found = computed(folder)
    units = 3 if size else 1
    for stage in ("predict toy (default)", "baseline blup", "baseline top_snp"):
        assert found[stage] == (1, units), stage
    assert found["explain toy (default)"] == (1, 1)
    require_equal(tables(folder), whole[1])


def test_a_gene_that_is_added_to_the_expression_file(planted, whole, tmp_path):
    import gzip

    rows = gzip.decompress((planted.folder / "expression.bed.gz").read_bytes()).decode().splitlines()
    fewer = [row for row in rows if "\tup2\t" not in row]
    assert len(fewer) == len(rows) - 1
    path, source = planted.folder / "growing.bed.gz", planted.folder / "expression.bed.gz"
    path.write_bytes(gzip.compress(("\n".join(fewer) + "\n").encode()))
    config = written(planted, "growing", ('"expression.bed.gz"', '"growing.bed.gz"'))
    everything(config)
    shutil.copy(source, path)
    everything(config)
    assert computed(planted.folder / "growing")["baseline blup"] == (1, 3)
    require_equal(tables(planted.folder / "growing"), whole[1])


def test_a_gene_that_is_left_out_and_comes_back(planted, whole):
    path, expected = whole
    keep = ('samples = "samples.tsv"', 'samples = "samples.tsv"\nkeep_genes = ["up1", "down1", "null1"]')
    everything(written(planted, "whole", keep))
    before = seals(planted.folder / "whole")
    everything(path)
    assert seals(planted.folder / "whole") == before
    require_equal(tables(planted.folder / "whole"), expected)


def test_two_configurations_in_one_folder(planted, whole, caplog):
    path, expected = whole
    other = written(planted, "whole", ('samples = "samples.tsv"', 'samples = "samples.tsv"\nmin_maf = 0.2'))
    before = seals(planted.folder / "whole")
    everything(other)
    assert "differs in cohort.min_maf. The units of both are kept" in caplog.text
    notes = json.loads((planted.folder / "whole/run.json").read_text())["notes"]
    assert any("differs in cohort.min_maf." in note for note in notes)
    after = seals(planted.folder / "whole")
    assert {unit: after[unit] for unit in before} == before
    theirs = tables(planted.folder / "whole")
    assert not theirs["evaluation/per_gene"].equals(expected["evaluation/per_gene"])
    everything(path)
    assert seals(planted.folder / "whole") == after
    require_equal(tables(planted.folder / "whole"), expected)
    alone = written(planted, "alone", ('samples = "samples.tsv"', 'samples = "samples.tsv"\nmin_maf = 0.2'))
    everything(alone)
    require_equal(tables(planted.folder / "alone"), theirs)
    everything(path)


def test_a_model_or_a_method_that_is_added_changes_nothing_else(planted, whole):
    folder = shutil.copytree(planted.folder / "whole", planted.folder / "added")
    before = seals(folder)
    other = '\n[[models]]\nname = "toy"\nlabel = "my toy"\noptions = { seed = 3 }'
    more, methods = ('name = "toy"', f'name = "toy"{other}'), ('"top_snp"]', '"top_snp", "lasso"]')
    everything(written(planted, "added", more, methods))
    after = seals(folder)
    assert {unit: after[unit] for unit in before} == before
    new = {unit.relative_to(folder).parts[1].split("-")[0] for unit in after.keys() - before.keys()}
    judged_together = {"predictions", "baseline", "direction", "drivers"}
    assert new == {"my", "lasso"} | judged_together


def test_labels_that_look_alike_have_units_of_their_own(planted):
    labels = ("my model", "my-model", "My model", "my  model", "my_model")
    models = "".join(
        f'[[models]]\nname = "toy"\nlabel = "{label}"\noptions = {{ seed = {seed} }}\n'
        for seed, label in enumerate(labels)
    )
    hapsight("predict", written(planted, "alike", ('[[models]]\nname = "toy"\n', models)))
    folders = list((planted.folder / "alike/predictions").iterdir())
    assert len(folders) == len(labels)
    assert len({(folder / "block-00000.values.parquet").read_bytes() for folder in folders}) == len(labels)


def damaged(path, data=b"{"):
    path.write_bytes(data)


def without_column(path):
    pl.read_parquet(path).drop("pearson_r").write_parquet(path)


def of_another_type(path):
    pl.read_parquet(path).with_columns(n=pl.lit("many")).write_parquet(path)


CURES = {
    "record is not JSON": ("run.json", damaged, "run", "delete it", "run"),
    "record is no record": (
        *("run.json", lambda path: damaged(path, b'{"format": 1, "stages": 3}')),
        *("run", "delete the file and run again", "run"),
    ),
    "record for the report": ("run.json", damaged, "report", "delete the file and run again", "run"),
    "checks": ("check.json", damaged, "report", "delete the file and run again", "run"),
    "table": ("evaluation/summary.parquet", damaged, "report", "delete the file and run again", "run"),
    "type": (
        "evaluation/per_gene.parquet",
        of_another_type,
        "report",
        "delete the file and run again",
        "run",
    ),
    "column": ("evaluation/per_gene.parquet", without_column, "report", "evaluate the run again", "evaluate"),
}


@pytest.fixture(scope="module")
def small(planted):
    """A run without what takes long."""
    path = written(planted, "small", ("run = true", "run = false"))
    with pytest.MonkeyPatch.context() as patch:
        without_vega(patch)
        hapsight("run", path)
    return path, planted.folder / "small"


@pytest.mark.usefixtures("undrawn", "light")  # `hapsight report` draws
@pytest.mark.parametrize("case", CURES)
def test_a_damaged_file_is_cured_as_is_said(small, case):
    name, spoil, command, cure, then = CURES[case]
    config, folder = small
    expected = pl.read_parquet(folder / "evaluation/per_gene.parquet")
    spoil(folder / name)
    at = folder if command == "report" else config
    with pytest.raises(StoreError) as caught:
        hapsight(command, at)
    assert cure in caught.value.details["to mend"]
    assert str(folder / name) in caught.value.details["where"]
    if "delete" in cure:
        (folder / name).unlink()
    before = seals(folder)
    hapsight(then, config)
    assert seals(folder) == before  # finished units are kept
    hapsight(command, at)
    assert pl.read_parquet(folder / "evaluation/per_gene.parquet").equals(expected)


@pytest.mark.usefixtures("light")
def test_no_run_folder(small, tmp_path):
    with pytest.raises(StoreError, match="not a run") as caught:
        hapsight("report", tmp_path)
    assert "give the folder that `hapsight run` wrote" in caught.value.details["to mend"]
    hapsight("report", small[1])


def test_a_locked_folder(planted, small):
    config, _ = small
    with Opened.from_config(load_config(config)).folder.locked(), pytest.raises(StoreError) as caught:
        hapsight("evaluate", config)
    assert caught.value.details["to mend"] == "wait for it, or set another `output`"
    hapsight("evaluate", config)


def test_a_full_disk(planted, small, monkeypatch):
    config, folder = small
    (folder / "eqtl/block-00000.json").unlink()

    def is_full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", is_full)
    with pytest.raises(HapsightError) as caught:
        hapsight("eqtl", config)
    monkeypatch.undo()
    assert "run the same command again" in caught.value.details["to mend"]
    hapsight("eqtl", config)


FIRST = {
    "predictions": ("predictions/toy.default/block-00000.json", "evaluate", "predict"),
    "baselines": ("baseline/blup/block-00000.genes.parquet", "evaluate", "baseline"),
    "evaluation": ("evaluation/per_gene.parquet", "drivers", "evaluate"),
    "genes by R": ("evaluation/per_gene.parquet", "explain", "evaluate"),
    "pages": ("evaluation/per_gene.parquet", "pages", "evaluate"),
    "effects": ("explain/toy.default/block-00000.effects.parquet", "drivers", "explain"),
    "drivers": ("explain/drivers.parquet", "saturation", "drivers"),
}


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize("case", FIRST)
def test_a_stage_that_is_wanted_first_is_run_as_is_said(planted, whole, case):
    name, command, cure = FIRST[case]
    changes = {
        "explain": [("motifs = false", "motifs = false\nmin_abs_r = 0.1")],
        "saturation": [
            ("motifs = false", 'motifs = false\nsaturation = [-5, 5]\nsaturation_around = "driver"')
        ],
    }
    path, folder = written(planted, "whole", *changes.get(command, ())), planted.folder / "whole"
    everything(whole[0])
    (folder / name).unlink()
    command = "explain" if command == "saturation" else command
    with pytest.raises(IncompleteError) as caught:
        hapsight(command, path)
    assert f"`hapsight {cure} {path}`" in caught.value.details["to mend"]
    hapsight(cure, path)
    hapsight(command, path)


@pytest.mark.usefixtures("light")
def test_tables_of_another_configuration_are_not_read(planted, whole):
    path, expected = whole
    keep = ('samples = "samples.tsv"', 'samples = "samples.tsv"\nmin_maf = 0.3')
    chosen = ("motifs = false", "motifs = false\nmin_abs_r = 0.1")
    other = written(planted, "whole", keep, chosen)
    everything(path)
    for command in ("explain", "drivers", "pages"):
        with pytest.raises(IncompleteError, match=r"`hapsight evaluate` are those of another") as caught:
            hapsight(command, other)
        assert f"run `hapsight run {other}`, or only" in caught.value.details["to mend"]
    for command in ("predict", "baseline", "evaluate", "explain", "drivers"):
        hapsight(command, other)
    everything(path)
    require_equal(tables(planted.folder / "whole"), expected)


def test_what_a_stage_noted_stays_until_it_runs_again(planted):
    path = written(planted, "noting", ("[eqtl]\n", "[eqtl]\nrun = false\n"))
    folder = planted.folder / "noting"

    def noted():
        return [text[:20] for text in json.loads((folder / "run.json").read_text())["notes"]]

    opened, runs = opened_with_models(path)
    opened.begin()
    do_units(opened, runs, quiet)
    arms = arms_of(opened, runs)
    evaluate(opened, arms, quiet)
    direction(opened, arms, quiet)
    opened.folder.note("Of the whole run.")
    assert sorted(noted()) == ["No eQTLs were mapped", "Of the whole run."]
    hapsight("evaluate", path)  # evaluate and direction: noted once
    assert noted() == ["No eQTLs were mapped"]
    opened_with_models(path)[0].begin()  # of a command that does neither
    assert noted() == ["No eQTLs were mapped"]
    with opened.folder.stage("direction"):
        assert noted() == []
    direction(opened, arms, quiet)
    opened_with_models(written(planted, "noting", ("[eqtl]\n", "[eqtl]\nfdr = 0.2\nrun = false\n")))[
        0
    ].begin()
    assert noted() == []  # another configuration's
