"""Nothing is done twice: records decoded, inputs hashed, models loaded, finished runs run."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from hapsight import files, pipeline
from hapsight.cli.console import say_results
from hapsight.cli.main import app
from hapsight.cohort.genotypes import GenotypeFile
from hapsight.files import KnownDigest, digest_of_input, file_digest
from hapsight.models.registry import register
from hapsight.run.config import load_config
from hapsight.run.finished import is_finished, made_from, mark_finished
from hapsight.run.opened import Opened
from tests.planted import load_toy, write_planted


def run(config: Path) -> str:
    found = CliRunner().invoke(app, ["run", str(config)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


@pytest.mark.usefixtures("undrawn")
def test_a_run_decodes_every_record_once_and_loads_every_model_once(tmp_path, monkeypatch):
    decoded, loaded = list[int](), list[str]()
    records = GenotypeFile._lines

    def counted(file, interval):
        for record in records(file, interval):
            decoded.append(record.POS)
            yield record

    def load(weights=None, *, device="cpu", seed=0):
        loaded.append("toy")
        return load_toy(weights, device=device, seed=seed)

    planted = write_planted(tmp_path, names=("up1", "null1", "bare"))
    planted.config.write_text(planted.config.read_text() + "[explain]\nrun = true\nmotifs = false\n")
    monkeypatch.setattr(GenotypeFile, "_lines", counted)
    with register("toy", load):
        found = run(planted.config)
        variants = int(re.search(r"([\d,]+) usable variants", found)[1].replace(",", ""))
        assert len(decoded) == len(set(decoded)) == variants
        run(planted.config)
    assert len(decoded) == 2 * variants  # the check at the beginning reads the files themselves
    assert loaded == ["toy", "toy"]


@pytest.mark.usefixtures("undrawn")
def test_a_finished_run_is_not_run_again_unless_something_changed(tmp_path, monkeypatch):
    planted = write_planted(tmp_path, names=("up1", "null1"))
    text = planted.config.read_text().replace('[[models]]\nname = "toy"\n', "")
    planted.config.write_text(text)
    opened = list[int]()
    from_config = Opened.from_config
    monkeypatch.setattr(Opened, "from_config", lambda *a: opened.append(1) or from_config(*a))
    run(planted.config)
    assert "nothing has changed since" in (again := run(planted.config))
    assert "the report's numbers are without" not in again
    assert len(opened) == 1
    report = tmp_path / "run/report.html"
    table = next((tmp_path / "run/baseline").rglob("*.predictions.parquet"))
    changes = [
        report.unlink,
        lambda: table.write_bytes(table.read_bytes()[:-1]),
        lambda: os.utime(tmp_path / "covariates.tsv"),
        lambda: planted.config.write_text(text + "permutations = 177\n"),
    ]
    for number, change in enumerate(changes, start=2):
        change()
        assert "nothing has changed since" not in run(planted.config)
        assert len(opened) == number
        assert "nothing has changed since" in run(planted.config)


def test_it_is_said_that_the_report_leaves_genes_out(tmp_path, capsys):
    planted = write_planted(tmp_path, names=("up1", "null1"))
    planted.config.write_text(planted.config.read_text().replace('[[models]]\nname = "toy"\n', ""))
    run(planted.config)
    path, config = tmp_path / "run/evaluation/per_gene.parquet", load_config(planted.config)
    few = pl.when(pl.col("gene_id") == "up1").then(4.9).otherwise(9.0)
    pl.read_parquet(path).with_columns(effective_people=few, pearson_r=0.5).write_parquet(path)
    capsys.readouterr()
    say_results(config)
    said = capsys.readouterr().out
    assert "differ from those above: elastic_net 1 gene, blup 1 gene, top_snp 1 gene (" in said
    shown = config.report.model_copy(update={"include_individuals": True})
    say_results(config.model_copy(update={"report": shown}))
    assert "fewer than 5 people" not in capsys.readouterr().out


def without_models(folder):
    planted = write_planted(folder, names=("up1",))
    planted.config.write_text(planted.config.read_text().replace('[[models]]\nname = "toy"\n', ""))
    return planted.config, folder / "covariates.tsv"


def rewrite(table):
    table.write_text(table.read_text().replace("PC1", "PC2"))


def test_an_input_that_changes_between_reading_and_the_beginning_is_not_taken_for_what_was_read(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(files, "_SETTLED", 0)
    path, table = without_models(tmp_path)
    opened = Opened.from_config(load_config(path))
    rewrite(table)
    opened.begin()
    mark_finished(opened.config, made_from(opened.config, (), opened.inputs))
    assert not is_finished(opened.config, ())


def test_an_input_that_changes_during_a_run_is_not_taken_for_what_was_used(tmp_path, monkeypatch):
    path, table = without_models(tmp_path)
    do_units = pipeline.do_units
    with monkeypatch.context() as during:
        during.setattr(pipeline, "do_units", lambda *given: rewrite(table) or do_units(*given))
        run(path)
    assert not is_finished(load_config(path), ())


@pytest.fixture
def old_file(tmp_path):
    path = tmp_path / "input.tsv"
    path.write_text("first")
    an_hour_ago = time.time() - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))
    return path


def known(path: Path, found: KnownDigest) -> dict[str, KnownDigest]:
    return {os.path.abspath(path): found}


def test_an_input_is_hashed_again_only_where_it_changed(old_file, monkeypatch):
    monkeypatch.setattr(files, "_SETTLED", 0)
    first = digest_of_input(old_file, {})
    monkeypatch.setattr(files, "file_digest", lambda _: "hashed")
    assert digest_of_input(old_file, known(old_file, first)) == first
    assert digest_of_input(old_file, {}).sha256 == "hashed"
    before = old_file.stat()
    old_file.write_text("other")  # as long, and then as old by its time of modification
    os.utime(old_file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digest_of_input(old_file, known(old_file, first)).sha256 == "hashed"
    for place in range(4):
        state = tuple(np.add(first.state, np.eye(4, dtype=int)[place]).tolist())
        assert digest_of_input(old_file, known(old_file, KnownDigest("x", state))).sha256 == "hashed"


def test_a_file_that_changed_just_now_is_not_known_by_its_time(tmp_path):
    path = tmp_path / "input.tsv"
    path.write_text("first")
    found = digest_of_input(path, {})
    assert found == KnownDigest(file_digest(path), None)
    assert digest_of_input(path, known(path, KnownDigest("x", None))).sha256 == file_digest(path)


def test_a_run_takes_digests_from_its_record(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_SETTLED", 0)
    planted = write_planted(tmp_path, names=("up1",))
    config = load_config(planted.config)
    opened = Opened.from_config(config)
    with opened.folder.locked():
        opened.begin()
    hashed = list[Path]()
    monkeypatch.setattr(files, "file_digest", lambda path: hashed.append(path) or file_digest(path))
    assert Opened.from_config(config).inputs == opened.inputs
    assert not hashed
    os.utime(tmp_path / "covariates.tsv")
    Opened.from_config(config)
    assert [path.name for path in hashed] == ["covariates.tsv"]
