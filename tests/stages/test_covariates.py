"""Covariates of which some follow from others, through every stage: the numbers are those without them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from hapsight.models.registry import register
from hapsight.report.build import build_report
from hapsight.run.arms import arms_of
from hapsight.run.config import load_config
from hapsight.run.opened import Opened
from hapsight.stages.baseline import baseline
from hapsight.stages.check import check
from hapsight.stages.drivers import drivers
from hapsight.stages.eqtl import eqtl
from hapsight.stages.evaluate import evaluate
from hapsight.stages.explain import explain
from hapsight.stages.informed import informed
from hapsight.stages.personal import train_personal
from hapsight.stages.predict import load_models, predict
from tests.cohort.files import write_table
from tests.planted import Planted, quiet, write_planted
from tests.train.toy_personal import load_trainable

PEOPLE: Final = 72
NAMES: Final = ("up1", "up2", "down1", "null1")
SECTIONS: Final = """methods = ["elastic_net", "blup"]
[[baseline.imported]]
path = "weights.tsv"
label = "given"
min_share = 0.01
[eqtl]
cis_window = 1000
min_maf = 0.05
permutations = 99
[informed]
learning_genes = 4
[train]
seeds = 1
block = 5000
max_steps = 2
validate_every = 1
people_per_batch = 16
baselines = ["blup"]
arms = [{ mode = "frozen", loss = "pairwise_mse" }]
"""
NEW: Final = {
    "const": "one",
    "onehot": "batch1",
    "dup": "PC1 again",
    "sumto1": "not batch2",
    "fractions": "F3",
}
"""The covariate that each file has beside those of ``full``."""
OF_RUN: Final = (
    *("evaluation/per_gene", "evaluation/summary", "evaluation/across_genes", "evaluation/baselines"),
    *("eqtl/cis_qtl", "eqtl/heritability", "eqtl/block-00000.nominal"),
)
OF_OTHERS: Final = ("informed/per_gene", "informed/shapes", "explain/drivers", "explain/driver_summary")
TRAINED: Final = ("model", "cell", "gene_id", "n", "status", "pearson_r")
_FOLLOW: Final = "covariates that follow from those before them, and are not used: "
SAID: Final = {
    "const": "covariates with one value in all people: one",
    **{"onehot": f"{_FOLLOW}batch3", "dup": f"{_FOLLOW}PC1", "sumto1": f"{_FOLLOW}batch2"},
    "fractions": f"{_FOLLOW}F2",
}


def covariates(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Those of ``full``, and one more for each of `NEW`."""
    batch = rng.integers(0, 3, PEOPLE)
    fractions = rng.dirichlet(np.ones(3), PEOPLE).T.round(10)
    pc1 = rng.standard_normal(PEOPLE).round(6)
    full = {"PC1": pc1, "PC2": rng.standard_normal(PEOPLE).round(6)}
    full |= {f"batch{k + 1}": np.where(batch == k, 1.0, 0.0) for k in (1, 2)}
    full |= {"F1": fractions[0], "F2": fractions[1]}
    more = (np.ones(PEOPLE), 1.0 * (batch == 0), pc1, 1.0 - full["batch2"], fractions[2])
    return full | dict(zip(NEW.values(), more, strict=True))


def write_covariates(made: Planted) -> None:
    """A file and a configuration for ``full``, each of `NEW`, whose covariate comes first, and all."""
    given = covariates(np.random.default_rng(5))
    own = [name for name in given if name not in NEW.values()]
    people = [f"P{i:03d}" for i in range(PEOPLE)]
    text = made.config.read_text().replace("genes_per_unit = 2\n[evaluate]", f"{SECTIONS}[evaluate]")
    files = {"full": own, "together": [*NEW.values(), *own]}
    for file, names in (files | {file: [name, *own] for file, name in NEW.items()}).items():
        rows = [["id", *people], *([name, *given[name].tolist()] for name in names)]
        write_table(made.folder / f"{file}.tsv", rows)
        changed = text.replace("covariates.tsv", f"{file}.tsv").replace('"run"', f'"run_{file}"')
        (made.folder / f"{file}.toml").write_text(changed)


def write_weights(made: Planted, opened: Opened) -> None:
    """A weight for every fifth variant."""
    rows: list[list[object]] = [["gene_id", "chrom", "pos", "ref", "alt", "weight"]]
    for gene in made.genes:
        found = opened.cohort.genotypes.read(gene.cis(1000))[0]
        places = zip(found.position.tolist(), found.ref, found.alt, strict=True)
        rows += [
            [gene.gene_id, "1", place + 1, ref, alt, 0.1 * (1 + place % 7)]
            for place, ref, alt in list(places)[::5]
        ]
    write_table(made.folder / "weights.tsv", rows)


def ran(config: Path, whole: bool) -> Opened:
    """The stages of a run, or all that look at covariates."""
    opened = Opened.from_config(load_config(config))
    opened.begin()
    runs = load_models(opened)
    predict(opened, runs, quiet)
    baseline(opened, quiet)
    eqtl(opened, quiet)
    evaluate(opened, arms_of(opened, runs), quiet)
    if not whole:
        return opened
    explain(opened, runs, quiet)
    drivers(opened, arms_of(opened, runs), quiet, ())
    informed(opened, quiet)
    train_personal(opened, runs, opened.config.train.arms, quiet, "grid")
    return opened


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    made = write_planted(tmp_path_factory.mktemp("covariates"), people=PEOPLE, names=NAMES)
    write_covariates(made)
    (made.folder / "weights.tsv").touch()
    write_weights(made, Opened.from_config(load_config(made.folder / "full.toml")))
    with register("toy", load_trainable):
        yield made


@pytest.fixture(scope="module")
def full(made):
    return ran(made.folder / "full.toml", whole=True)


def numbers(opened: Opened, name: str) -> pl.DataFrame:
    """A table without what it says of the covariates in words."""
    return pl.read_parquet(opened.folder.path / f"{name}.parquet").drop("observed", strict=False)


def require_same(found: Opened, full: Opened, names: tuple[str, ...]) -> None:
    for name in names:
        table, expected = numbers(found, name), numbers(full, name)
        assert expected.height > 0, name
        assert_frame_equal(table, expected, rel_tol=1e-6, abs_tol=1e-6)


@pytest.mark.parametrize("file", NEW)
def test_a_run_gives_what_it_gives_without_them_and_its_report_names_them(made, full, file):
    found = ran(made.folder / f"{file}.toml", whole=False)
    require_same(found, full, OF_RUN)
    page, count = build_report(found.folder.path).read_text(), len(found.cohort.covariates.names)
    assert f"residual on {count - 1} of {count} covariates" in page
    assert SAID[file] in page


def test_every_other_stage_gives_what_it_gives_without_them(made, full):
    found = ran(made.folder / "together.toml", whole=True)
    require_same(found, full, OF_RUN + OF_OTHERS)
    trained, expected = (numbers(opened, "train/grid_per_gene") for opened in (found, full))
    assert expected["pearson_r"].count() > 0
    assert_frame_equal(trained.select(TRAINED), expected.select(TRAINED), abs_tol=1e-3)  # float32


@pytest.mark.parametrize("file", NEW)
def test_check_names_what_follows_and_judges_people_as_without_it(made, file):
    found, expected = (
        {one.name: one for one in check(load_config(made.folder / f"{name}.toml"))} for name in (file, "full")
    )
    assert found["people match"] == expected["people match"]
    assert found["people match"].message.startswith("expression fits the own genotypes")
    assert {one.name for one in found.values() if one.status == "fail"} == set()
    assert found["covariates"].details == (SAID[file],)
