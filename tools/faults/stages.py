"""Every stage by its own command, ended by a signal at random moments, and run again: the same tables."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Final

import polars as pl
from tools.faults.cohort import Cohort, Run, in_fork
from tools.faults.kills import lost

RUN: Final = "stages.toml"
GENES: Final = ("up1", "up2", "up3", "down1", "null1", "null2")

STAGES: Final[dict[str, tuple[str, ...]]] = {
    "run": ("run", RUN),
    "predict": ("predict", RUN),
    "baseline": ("baseline", RUN),
    "eqtl": ("eqtl", RUN),
    "evaluate": ("evaluate", RUN),
    "direction": ("evaluate", RUN),
    "explain": ("explain", RUN),
    "drivers": ("drivers", RUN),
    "pages": ("pages", RUN),
    "report": ("report", RUN),
    "informed": ("informed", RUN),
    "priors": ("priors", RUN),
    "train personal": ("train", "personal", RUN),
    "train reference": ("train", "reference", "reference/plan.toml", "reference/run"),
}
"""Commands; all but ``run`` find what `run` leaves behind, without what they make themselves."""

KILLED: Final = ("evaluate", "direction", "drivers")
"""Stages that are ended by SIGKILL too."""

OWN: Final[dict[str, tuple[str, ...]]] = {
    "run": ("run",),
    "predict": ("run/predictions",),
    "baseline": ("run/baseline",),
    "eqtl": ("run/eqtl",),
    "evaluate": ("run/evaluation", "run/eqtl"),
    "direction": (
        "run/evaluation/direction",
        "run/evaluation/direction_genes.parquet",
        "run/evaluation/agreement.parquet",
    ),
    "explain": ("run/explain",),
    "drivers": ("run/explain/drivers.parquet", "run/explain/driver_summary.parquet", "run/explain/drivers"),
    "pages": ("run/report/genes", "run/explain"),
    "report": ("run/report", "run/report.html"),
    "informed": ("run/informed",),
    "priors": ("run/priors",),
    "train personal": ("run/train",),
    "train reference": ("reference/run",),
}
"""What is taken away before each try."""

KEPT: Final = (".parquet", ".csv", ".json", ".bedgraph")
"""Suffixes of tables and of what describes arrays."""

SETTINGS: Final = """
[explain]
run = true
motifs = false
genes_per_unit = 1
saturation = [-2, 2]
gradients = true
tracks = "bedgraph"
[eqtl]
permutations = 99
genes_per_unit = 1
[informed]
learning_genes = 2
[priors]
regulons = "regulons.tsv"
motifs = false
leave_out = 100
method = "top_snp"
[train]
seeds = 2
block = 5000
unseen_share = 0.2
max_steps = 20
validate_every = 5
baselines = ["top_snp"]
"""


def end_stage(
    cohort: Cohort, name: str, ends: int, rng: random.Random, by: signal.Signals = signal.SIGTERM
) -> dict[str, int]:
    """End a stage at random moments; run it again, and compare with what it leaves undisturbed."""
    found = {"ended": 0, "was done before": 0, "resumed, equal": 0, "lost": 0}
    folder = cohort.folder / "stages"
    whole = _written(folder)
    _begin(folder, whole, name)
    seconds = _timed(folder, name, found)
    wanted = _tables(folder)
    while found["ended"] < ends and found["lost"] < ends:
        _begin(folder, whole, name)
        run = _command(folder, name)
        if run.wait(rng.uniform(0.0, seconds)):
            found["was done before"] += 1
        else:
            os.kill(run.pid, by)
            run.wait(30)
            found["ended"] += 1
        again = _command(folder, name)
        if again.finish() != 0:
            lost(f"{name}: exit {again.code}: {again.said()}", found)
            continue
        got = _tables(folder)
        differ = sorted(path for path in got.keys() | wanted.keys() if got.get(path) != wanted.get(path))
        differ += [str(path) for path in folder.rglob(".hapsight-*")]
        if differ:
            lost(f"{name}: differ: {', '.join(differ[:8])}", found)
        else:
            found["resumed, equal"] += 1
    return found


def _timed(folder: Path, name: str, found: dict[str, int]) -> float:
    start = time.monotonic()
    run = _command(folder, name)
    if run.finish() != 0:
        lost(f"{name}, undisturbed: {run.said()}", found)
    return time.monotonic() - start


def _written(folder: Path) -> Path:
    """The cohort, and beside it a copy of the run folder after every stage."""
    whole = folder / "whole"
    if not whole.exists():
        folder.mkdir(exist_ok=True)
        sys.path.insert(0, str(folder))
        assert in_fork(lambda: _write(folder), folder / "write.log").finish() == 0
        for name in STAGES:
            run = _command(folder, name)
            assert run.finish() == 0, run.said()
        shutil.copytree(folder / "run", whole / "run")
        (whole / "reference").mkdir()
    return whole


def _begin(folder: Path, whole: Path, name: str) -> None:
    """All as it was after every stage, less what this one makes."""
    shutil.rmtree(folder / "run", ignore_errors=True)
    shutil.copytree(whole / "run", folder / "run")
    for own in OWN[name]:
        path = folder / own
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _command(folder: Path, name: str) -> Run:
    def work() -> None:
        import hapsight.report.page
        from hapsight.cli.main import main

        hapsight.report.page.vega_bundle = lambda: "/* left out: it takes most of the time */"
        os.chdir(folder)
        sys.argv = ["hapsight", *STAGES[name]]
        main()

    return in_fork(work, folder / "stage.log")


def _tables(folder: Path) -> dict[str, str]:
    """Digest of every table, list and array; a fork reads them, for polars starts threads."""
    said = folder / "tables.json"
    assert in_fork(lambda: said.write_text(json.dumps(_digests(folder))), folder / "tables.log").finish() == 0
    found: dict[str, str] = json.loads(said.read_text())
    return found


def _digests(folder: Path) -> dict[str, str]:
    """Of trainings without the place, the time and the passes, which are since they were last resumed."""
    found = {}
    for top in ("run", "reference/run"):
        for path in (folder / top).rglob("*"):
            kept = path.suffix in KEPT or path.name == "best.safetensors"
            timed = path.name == "run.json" or ("train" in path.parts and path.suffix == ".json")
            if path.is_file() and kept and not timed:
                found[str(path.relative_to(folder))] = _digest(path)
    return found


def _digest(path: Path) -> str:
    data = path.read_bytes()
    if path.suffix == ".parquet" and "train" in path.parts:
        data = repr(
            pl.read_parquet(path).drop("seconds", "haplotypes", "weights", strict=False).rows()
        ).encode()
    return hashlib.sha256(data).hexdigest()


def _write(folder: Path) -> None:
    from tests.entry_point import offer_model
    from tests.planted import write_planted
    from tests.train.test_reference import write_training

    text = write_planted(folder, people=60, names=GENES).config.read_text()
    text = text.replace("genes_per_unit = 2", "genes_per_unit = 1").replace(
        "null_draws = 499", "null_draws = 99"
    )
    text = text.replace("[baseline]\n", '[baseline]\nmethods = ["top_snp", "blup"]\n').replace(
        '"toy"', '"trained"'
    )
    (folder / RUN).write_text(text + SETTINGS)
    lines = ["source\ttarget\tweight", *(f"UP1\t{gene.upper()}\t1" for gene in GENES)]
    (folder / "regulons.tsv").write_text("\n".join(lines))
    offer_model(folder, "trained", "tests.train.toy_personal:load_trainable")
    (folder / "reference").mkdir()
    write_training(folder / "reference")
