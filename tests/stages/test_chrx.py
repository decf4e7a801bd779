"""Men and women on chrX, from the command line: each way of writing the men gives the same tables."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pysam
import pytest
from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.errors import InputError
from hapsight.models.registry import register
from hapsight.run.config import load_config
from hapsight.run.opened import Opened
from tests.cohort.files import write_table
from tests.cohort.pgen_files import write_pgen
from tests.planted import load_toy, write_planted
from tests.stages.test_formats import assert_same, tables, text, with_genotypes, write_vcf_text

PAR = 8_100
"""Last base of the PAR, 1-based: in the window of the second gene, before that of the third."""

PEOPLE = 24


def is_man(person: int) -> bool:
    return person % 3 == 0


def write(folder: Path) -> Path:
    """The planted cohort on chrX, as ``genotypes.vcf.gz`` (a man's allele once) and ``twice.vcf.gz``."""
    config = write_planted(folder, PEOPLE, names=("up1", "down1", "null1", "up2")).config
    header, rows = [], {"genotypes": [], "twice": []}
    for line in text(folder / "genotypes.vcf.gz"):
        if line.startswith("#"):
            header.append(line.replace("chr1", "chrX"))
            continue
        fields = line.replace("chr1", "chrX", 1).split("\t")
        for name, form in (("genotypes", "{0}"), ("twice", "{0}|{0}")):
            calls = [
                form.format(call[0]) if is_man(n) and int(fields[1]) > PAR else call
                for n, call in enumerate(fields[9:])
            ]
            rows[name].append([*fields[:9], *calls])
    for name, found in rows.items():
        write_vcf_text(folder / f"{name}.vcf.gz", header, found)
    for name in ("genome.fa.gz", "genes.tsv", "expression.bed.gz"):
        lines = text(folder / name) if name.endswith("gz") else (folder / name).read_text().splitlines()
        write_table(folder / name, [[line.replace("chr1", "chrX")] for line in lines])
    pysam.faidx(str(folder / "genome.fa.gz"))
    sheet = [line.split("\t")[:2] for line in (folder / "samples.tsv").read_text().splitlines()]
    sexes = ["sex", *(("F", "M")[is_man(n)] for n in range(PEOPLE))]
    write_table(folder / "samples.tsv", [[*row, sex] for row, sex in zip(sheet, sexes, strict=True)])
    psam = [["#IID", "SEX"], *([f"P{n:03d}", 2 - is_man(n)] for n in range(PEOPLE))]
    write_table(folder / "sex.psam", psam)
    config.write_text(
        config.read_text().replace("[expression]", f"par = [[1, {PAR}]]\n[expression]")
        + "[eqtl]\npermutations = 99\n[explain]\nrun = true\nmotifs = false\n"
    )
    return config


def table(config: Path, name: str) -> list[list[str]]:
    path = config.with_name(name)
    lines = text(path) if path.suffix == ".gz" else path.read_text().splitlines()
    return [line.split("\t") for line in lines]


def with_line(config: Path, name: str, old: str, new: str) -> Path:
    made = with_genotypes(config, name, '"genotypes.vcf.gz"')
    assert old in made.read_text()
    made.write_text(made.read_text().replace(old, new))
    return made


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("chrx"))


@pytest.fixture(scope="module")
def expected(config) -> dict[str, pl.DataFrame]:
    return tables(with_genotypes(config, "once", '"genotypes.vcf.gz"'), drawn=True)


def values_of(found: dict[str, pl.DataFrame]) -> pl.DataFrame:
    parts = [table for name, table in found.items() if name.startswith("predictions/") and ".values" in name]
    return pl.concat(parts)


def dosages(config: Path) -> dict[str, list[int]]:
    """By hand, from the text: a man's ALT beyond the PAR is 2."""
    rows = [row for row in table(config, "genotypes.vcf.gz") if row[0][0] != "#"]
    return {row[2]: [2 * int(c) if len(c) == 1 else int(c[0]) + int(c[2]) for c in row[9:]] for row in rows}


def test_both_ways_of_writing_a_man_give_the_same_tables(config, expected):
    assert_same(tables(with_genotypes(config, "twice", '"twice.vcf.gz"')), expected)


def test_pgen_gives_the_same_tables(config, expected):
    write_pgen(config.with_name("twice.vcf.gz"), config.with_name("pgen.pgen"))
    shutil.copy(config.with_name("sex.psam"), config.with_name("pgen.psam"))
    assert_same(tables(with_genotypes(config, "p", '"pgen.pgen"')), expected)


def test_a_man_has_the_value_of_his_haplotype(config, expected):
    values = values_of(expected).filter(pl.col("haplotype") > 0)
    sides = values.pivot("haplotype", index=["gene_id", "sample_id"], values="value")
    man = pl.col("sample_id").is_in([f"P{n:03d}" for n in range(PEOPLE) if is_man(n)])
    beyond = sides.filter(man & pl.col("gene_id").is_in(["null1", "up2"]))
    assert len(beyond) == 2 * PEOPLE / 3
    assert (beyond["1"] == beyond["2"]).all()
    for gene in ("up1", "down1"):  # in the PAR, and across its border
        assert not (lambda t: (t["1"] == t["2"]).all())(sides.filter(man & (pl.col("gene_id") == gene)))
    # Without sexes, calls that are written twice make the same sequences.
    sheet = config.with_name("nobody.tsv")
    write_table(sheet, [row[:2] for row in table(config, "samples.tsv")])
    plain = with_line(config, "plain", '"samples.tsv"', '"nobody.tsv"')
    plain.write_text(plain.read_text().replace('"genotypes.vcf.gz"', '"twice.vcf.gz"'))
    assert values_of(tables(plain)).equals(values_of(expected))


def test_eqtls_are_those_of_hand_made_dosages(config, expected):
    nominal = pl.concat(t for name, t in expected.items() if name.endswith("nominal.parquet"))
    measured = {row[3]: np.array(row[4:], float) for row in table(config, "expression.bed.gz")[1:]}
    covariate = np.array(table(config, "covariates.tsv")[1][1:], float)
    given, men = dosages(config), np.array([is_man(n) for n in range(PEOPLE)])
    for row in nominal.iter_rows(named=True):
        dosage = np.array(given[row["variant_id"]], float)
        once = men & (row["position"] >= PAR)
        alleles = np.where(once, dosage / 2, dosage)
        assert row["af"] == pytest.approx(alleles.sum() / np.where(once, 1, 2).sum())
        columns = np.column_stack([np.ones(PEOPLE), covariate, dosage])
        slope = np.linalg.lstsq(columns, measured[row["phenotype_id"]], rcond=None)[0][2]
        assert row["slope"] == pytest.approx(slope, rel=1e-6)


def test_dosage_0_1_changes_linear_methods_only(config, expected):
    found = tables(with_line(config, "one", "par = ", "chrx_dosage = 1\npar = "))
    assert values_of(found).equals(values_of(expected))
    explained = [name for name in expected if ".effects." in name or ".additivity." in name]
    assert len(explained) == 2
    for name in explained:
        assert found[name].equals(expected[name]), name
    facts = ["gene_id", "form", "effect", "maf", "additivity", "driver_r"]
    drivers = [of["explain/drivers.parquet"].select(facts) for of in (found, expected)]
    assert drivers[0].equals(drivers[1])
    own, theirs = (
        pl.concat(t for name, t in of.items() if name.endswith("nominal.parquet")).filter(
            pl.col("phenotype_id") == "up2"
        )
        for of in (found, expected)
    )
    assert own["af"].to_list() == pytest.approx(theirs["af"].to_list())
    assert own["slope"].to_list() != theirs["slope"].to_list()


def test_the_check_says_what_is_done_with_chrx(config):
    checked = check(with_genotypes(config, "checked", '"genotypes.vcf.gz"'))
    assert "16 women, 8 men" in checked
    assert "each of 8 men has one haplotype" in checked
    assert "the windows of" in checked
    assert "no covariate tells men from women" in checked
    assert "ploidy" in checked
    rows = table(config, "covariates.tsv")
    rows.append(["sex", *(int(is_man(n)) for n in range(PEOPLE))])
    write_table(config.with_name("with_sex.tsv"), rows)
    assert "no covariate tells" not in check(with_line(config, "sexed", '"covariates.tsv"', '"with_sex.tsv"'))


def check(config: Path) -> str:
    with register("toy", load_toy):
        found = CliRunner().invoke(app, ["check", str(config)], catch_exceptions=False)
    return " ".join(found.output.split())


def test_what_is_needed_is_said(config):
    plain = with_line(config, "unsexed", 'samples = "samples.tsv"\n', "")
    assert "column sex of the sample sheet" in check(plain)
    write_pgen(config.with_name("twice.vcf.gz"), config.with_name("other.pgen"))
    wrong = config.with_name("sex.psam").read_text().replace("P004\t2", "P004\t1")
    config.with_name("other.psam").write_text(wrong)
    with pytest.raises(InputError, match=r"not the same[\s\S]*P004[\s\S]*got: female"):
        Opened.from_config(load_config(with_genotypes(config, "other", '"other.pgen"')))
