"""Bad cohorts through the command line: one clear error, exit code not 0, nothing written."""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pysam
import pytest

from hapsight.cli.main import main
from hapsight.models.registry import register
from tests.cohort.files import write_fasta
from tests.planted import load_toy, write_planted


def rewrite(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Change the lines of a bgzipped file; a VCF is indexed anew."""
    with gzip.open(path, "rt") as file:
        lines = change(file.read().splitlines())
    plain = path.with_suffix(".txt")
    plain.write_text("\n".join(lines) + "\n")
    pysam.tabix_compress(str(plain), str(path), force=True)
    if path.name.endswith(".vcf.gz"):
        pysam.tabix_index(str(path), preset="vcf", force=True)


def truncated_vcf(folder: Path) -> None:
    path = folder / "genotypes.vcf.gz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def fasta_of_another_build(folder: Path) -> None:
    rng = np.random.default_rng(99)
    write_fasta(folder / "genome.fa.gz", {"chr1": "".join(rng.choice(list("ACGT"), 40_000))})


def unphased_vcf(folder: Path) -> None:
    rewrite(folder / "genotypes.vcf.gz", lambda lines: [line.replace("|", "/") for line in lines])


def renamed_people(folder: Path) -> None:
    rewrite(
        folder / "genotypes.vcf.gz",
        lambda lines: [line.replace("\tP0", "\tQ0") if line.startswith("#CHROM") else line for line in lines],
    )


def two_people_exchanged(folder: Path) -> None:
    rewrite(
        folder / "genotypes.vcf.gz",
        lambda lines: [
            line.replace("P003", "PXXX").replace("P004", "P003").replace("PXXX", "P004")
            if line.startswith("#CHROM")
            else line
            for line in lines
        ],
    )


def covariates_without_one_person(folder: Path) -> None:
    path = folder / "covariates.tsv"
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    path.write_text("".join("\t".join(row[:8] + row[9:]) + "\n" for row in rows))


def missing_file(folder: Path) -> None:
    (folder / "expression.bed.gz").unlink()


CASES = [
    (truncated_vcf, "genotypes.vcf.gz", "cut off|truncated"),
    (fasta_of_another_build, "REF", "is not what the FASTA has|differ"),
    (unphased_vcf, "phase", "phased"),
    (renamed_people, "Q000", "no person|not a person|in common"),
    (covariates_without_one_person, "P007", "covariates"),
    (missing_file, "expression.bed.gz", "no such file|not there|does not exist|missing"),
]


def test_exchanged_names_are_found_by_the_check(tmp_path, monkeypatch, capsys):
    planted = write_planted(tmp_path, names=tuple(f"up{i}" for i in range(40)))
    two_people_exchanged(tmp_path)
    monkeypatch.setattr(sys, "argv", ["hapsight", "run", str(planted.config)])
    with register("toy", load_toy), pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    told = capsys.readouterr().out
    assert "the expression of 2 people fits somebody else's genotypes" in told
    assert "P003: the expression fits the genotypes of P004" in told
    assert "P004: the expression fits the genotypes of P003" in told
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["run", "predict"])
@pytest.mark.parametrize(("spoil", "name", "message"), CASES, ids=[case[0].__name__ for case in CASES])
def test_one_clear_error_and_nothing_written(tmp_path, monkeypatch, capsys, command, spoil, name, message):
    planted = write_planted(tmp_path, people=20)
    spoil(tmp_path)
    monkeypatch.setattr(sys, "argv", ["hapsight", command, str(planted.config)])
    with register("toy", load_toy), pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    printed = capsys.readouterr()
    told = printed.out + printed.err
    assert name in told, told
    assert re.search(message, told, re.IGNORECASE), told
    assert "Traceback" not in told
    assert not list(tmp_path.rglob("*.parquet"))
    assert not (tmp_path / "run" / "run.json").exists() or command == "predict"


def test_evaluating_what_is_not_predicted_yet_is_incomplete(tmp_path, monkeypatch, capsys):
    planted = write_planted(tmp_path, people=20)
    monkeypatch.setattr(sys, "argv", ["hapsight", "evaluate", str(planted.config)])
    with register("toy", load_toy), pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 3
    told = capsys.readouterr().err
    assert "units of work are not done" in told
    assert "block-00000" in told
    assert not list(tmp_path.rglob("*.parquet"))
