"""``hapsight init``: files are told apart by what is in them, and what it writes is a configuration."""

import gzip
import shutil
import struct
from importlib.resources import files
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.cohort.join import open_cohort
from hapsight.errors import ConfigError, HapsightError, IncompleteError, InputError, StoreError
from hapsight.recipes.cohort_files import sort_files
from hapsight.run.config import load_config
from hapsight.run.opened import cohort_files, policy_of
from tests.planted import write_planted


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return write_planted(tmp_path_factory.mktemp("own"), people=20)


def command(*arguments):
    return CliRunner().invoke(app, ["init", *map(str, arguments)])


def renamed(planted, folder):
    """The cohort's files under names that tell nothing."""
    config = load_config(planted.config).cohort
    names = {}
    for number, role in enumerate(("samples", "covariates", "genes", "expression", "reference", "genotypes")):
        path = getattr(config, role)
        if path is None:
            continue
        gz = ".gz" if path.suffix == ".gz" else ""
        names[role] = Path(shutil.copy(path, folder / f"file{number}{gz}"))
        for suffix in (".tbi", ".csi", ".fai", ".gzi"):
            if (beside := Path(f"{path}{suffix}")).exists():
                shutil.copy(beside, f"{names[role]}{suffix}")
    return names


def test_files_are_known_by_what_is_in_them(planted, tmp_path):
    names = renamed(planted, tmp_path)
    found = sort_files(names.values())
    assert {role: paths[0] for role, paths in found.paths.items()} == names


def test_a_sheet_of_others_is_one_and_covariates_with_a_sex_are_not(planted, tmp_path):
    names = renamed(planted, tmp_path)
    header, rows = names["samples"].read_text().split("\n", 1)
    names["samples"].write_text(
        header.replace("sample_id\tpopulation", "Sample name\tPopulation code") + f"\n{rows}"
    )
    people = [row.split("\t")[0] for row in rows.splitlines()]
    names["covariates"] = tmp_path / "pca"
    names["covariates"].write_text(
        "\n".join(["#FID\tIID\tSEX\tPC1", *(f"0\t{one}\t{n % 2}\t{n}" for n, one in enumerate(people))])
        + "\n"
    )
    found = sort_files(names.values())
    assert {role: paths[0] for role, paths in found.paths.items()} == names


def test_what_is_written_opens_the_same_cohort(planted, tmp_path):
    renamed(planted, tmp_path)
    (tmp_path / "README.md").write_text("# not of the cohort\n")
    (tmp_path / "notes.txt").write_text("some words\n")
    said = command(tmp_path, "-o", tmp_path / "own.toml")
    assert said.exit_code == 0, said.output + repr(said.exception)
    assert "notes.txt" in said.output
    assert "left aside" in said.output
    ours, theirs = (load_config(path).cohort for path in (tmp_path / "own.toml", planted.config))
    one, other = (open_cohort(cohort_files(c), policy_of(c))[0] for c in (ours, theirs))
    assert one.samples == other.samples
    assert one.genes == other.genes
    text = (tmp_path / "own.toml").read_text()
    assert str(tmp_path) not in text, "paths below the configuration start there"
    assert "# keep_genes" in text
    assert command(tmp_path, "-o", tmp_path / "own.toml").exception.what.startswith(
        "There is a configuration"
    )


def test_commented_lines_are_valid_once_uncommented(planted, tmp_path):
    renamed(planted, tmp_path)
    command(tmp_path, "-o", tmp_path / "own.toml")
    lines = (tmp_path / "own.toml").read_text().splitlines()
    keys = ("keep_genes", "regions", "populations", "min_maf", "missing", "unphased", "methods", "run")
    bare = [line.removeprefix("# ") if line[2:].split(" ")[0] in keys else line for line in lines]
    assert sum(a != b for a, b in zip(bare, lines, strict=True)) == len(keys)
    (tmp_path / "my_genes.txt").write_text("A\n")
    (tmp_path / "all.toml").write_text("\n".join(bare))
    assert load_config(tmp_path / "all.toml").cohort.keep_genes == ("PACSIN2", "A")


def test_check_on_the_demos_files(tmp_path):
    pytest.importorskip("torch")
    demo = Path(str(files("hapsight") / "demo"))
    said = command(demo, "--output", tmp_path / "hapsight.toml")
    assert said.exit_code == 0, said.output
    checked = CliRunner().invoke(app, ["check", str(tmp_path / "hapsight.toml"), "--genes", "EP300"])
    assert checked.exit_code == 0, checked.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("leave", "error", "words"),
    [
        ("reference", IncompleteError, "no reference"),
        ("genotypes", IncompleteError, "no genotypes"),
        ("expression", HapsightError, "none that a cohort consists of"),  # nobody knows whose covariates
    ],
)
def test_what_is_missing_is_named(planted, tmp_path, leave, error, words):
    names = renamed(planted, tmp_path)
    (tmp_path / "cov.tsv").write_text("id\tS000\nage\t1\n")
    given = [path for role, path in names.items() if role != leave]
    given += [tmp_path / "cov.tsv"] if leave == "expression" else []
    said = command(*given, "-o", tmp_path / "own.toml")
    assert isinstance(said.exception, error)
    assert words in str(said.exception)
    assert not (tmp_path / "own.toml").exists()


def test_two_files_for_one_part_are_refused_and_several_genotypes_are_not(planted, tmp_path):
    names = renamed(planted, tmp_path)
    twice = Path(shutil.copy(names["reference"], tmp_path / "again"))
    with pytest.raises(ConfigError, match=r"Several files could be the reference[\s\S]*again"):
        sort_files([*names.values(), twice])
    more = Path(shutil.copy(names["genotypes"], tmp_path / "more.gz"))
    assert sort_files([*names.values(), more]).paths["genotypes"] == [names["genotypes"], more]


def test_files_without_a_part(tmp_path):
    bed = tmp_path / "old.bed"
    bed.write_bytes(b"\x6c\x1b\x01")
    with pytest.raises(ConfigError, match="PLINK 1 have no phase"):
        sort_files([bed])
    picture = tmp_path / "x.bw"
    picture.write_bytes(struct.pack("<I", 0x888FFC26) * 100)
    with pytest.raises(InputError, match="none that a cohort consists of"):
        sort_files([picture])
    with pytest.raises(InputError, match="no such file"):
        sort_files([tmp_path / "nowhere"])


def test_a_file_that_cannot_be_used_is_told_and_nothing_is_written(planted, tmp_path):
    names = renamed(planted, tmp_path)
    for index in tmp_path.glob("*.?[bs]i"):
        index.unlink()
    said = command(*names.values(), "-o", tmp_path / "own.toml")
    assert said.exit_code == 1
    assert "nothing was written" in said.output
    assert not (tmp_path / "own.toml").exists()


def test_normalised_expression_is_not_logged(planted, tmp_path):
    names = renamed(planted, tmp_path)
    opened = gzip.open if names["expression"].suffix == ".gz" else open
    with opened(names["expression"], "rt") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    rows[1][-1] = "-0.5"
    (tmp_path / "normal.bed").write_text("".join("\t".join(row) + "\n" for row in rows))
    given = [path for role, path in names.items() if role != "expression"]
    assert command(*given, tmp_path / "normal.bed", "-o", tmp_path / "own.toml").exit_code == 0
    assert load_config(tmp_path / "own.toml").expression.transform == "none"


def test_an_output_is_not_overwritten(planted, tmp_path):
    names = renamed(planted, tmp_path)
    (tmp_path / "own.toml").write_text("mine")
    said = command(*names.values(), "-o", tmp_path / "own.toml")
    assert isinstance(said.exception, StoreError)
    assert (tmp_path / "own.toml").read_text() == "mine"
