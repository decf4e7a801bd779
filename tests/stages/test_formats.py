"""One cohort as VCF, as PGEN, and in a file for each chromosome: the same tables."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pysam
import pytest
from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.cohort.nouns import Interval
from hapsight.cohort.reference import Reference
from hapsight.dna import decode
from hapsight.errors import InputError
from hapsight.models.registry import register
from hapsight.run.config import load_config, to_toml
from hapsight.run.opened import Opened
from tests.cohort.files import write_bed, write_fasta, write_table
from tests.cohort.pgen_files import write_pgen
from tests.conftest import without_drawings, without_vega
from tests.planted import load_toy, write_planted

CUT = 10_500
"""Where the planted chromosome becomes two: between genes, far from both."""

CHROMOSOMES = ("chr1", "chr2")


def write(folder: Path) -> Path:
    """The planted cohort on two chromosomes; returns its configuration."""
    planted = write_planted(folder, people=24, names=("up1", "down1", "null1", "up2"))
    reference = Reference(folder / "genome.fa.gz")
    whole = decode(reference.fetch(Interval("chr1", 0, reference.contigs["chr1"])))
    write_fasta(folder / "genome.fa.gz", {"chr1": whole[:CUT], "chr2": whole[CUT:]})
    lines = text(folder / "genotypes.vcf.gz")
    header = [line for line in lines if line.startswith("#") and not line.startswith("##contig")]
    header[1:1] = [f"##contig=<ID=chr1,length={CUT}>", f"##contig=<ID=chr2,length={len(whole) - CUT}>"]
    rows = [placed(line.split("\t"), 0, 1) for line in lines if not line.startswith("#")]
    write_vcf_text(folder / "genotypes.vcf.gz", header, rows)
    for name in CHROMOSOMES:
        write_vcf_text(folder / f"{name}.vcf.gz", header, [row for row in rows if row[0] == name])
    for name, at in (("genes.tsv", 3), ("expression.bed.gz", 1)):
        move(folder / name, at)
    planted.config.write_text(planted.config.read_text() + "[eqtl]\npermutations = 99\n")
    return planted.config


def text(path: Path) -> list[str]:
    with gzip.open(path, "rt") as file:
        return file.read().splitlines()


def placed(row: list[str], contig: int, position: int) -> list[str]:
    """A row of chr1 on the chromosome that its position comes to lie on."""
    if int(row[position]) > CUT:
        row[contig], row[position] = "chr2", str(int(row[position]) - CUT)
    return row


def move(path: Path, position: int) -> None:
    """Put the genes of a table onto the two chromosomes."""
    lines = text(path) if path.suffix == ".gz" else path.read_text().splitlines()
    header, rows = lines[0].split("\t"), [line.split("\t") for line in lines[1:]]
    if position == 3:
        write_table(path, [header, *(placed(row, 2, 3) for row in rows)])
        return
    moved = [placed(row, 0, 2) for row in rows]
    write_bed(path, {row[3]: (row[0], int(row[2]), row[4:]) for row in moved}, header[4:])


def write_vcf_text(path: Path, header: list[str], rows: list[list[str]]) -> None:
    plain = path.with_suffix(".txt")
    plain.write_text("\n".join([*header, *("\t".join(row) for row in rows)]) + "\n")
    pysam.tabix_compress(str(plain), str(path), force=True)
    pysam.tabix_index(str(path), preset="vcf", force=True)


def with_genotypes(config: Path, name: str, genotypes: str) -> Path:
    """The same configuration with other genotypes and an output of its own."""
    made = config.with_name(f"{name}.toml")
    changed = config.read_text().replace('genotypes = "genotypes.vcf.gz"', f"genotypes = {genotypes}")
    made.write_text(changed.replace('output = "run"', f'output = "{name}"'))
    return made


def tables(config: Path, drawn: bool = False) -> dict[str, pl.DataFrame]:
    """Run predictions, baseline, eQTL mapping and evaluation; every table of the run folder."""
    with register("toy", load_toy), pytest.MonkeyPatch.context() as patch:
        (without_vega if drawn else without_drawings)(patch)
        found = CliRunner().invoke(app, ["run", str(config)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    folder = config.with_suffix("")
    return {str(p.relative_to(folder)): pl.read_parquet(p) for p in sorted(folder.rglob("*.parquet"))}


def assert_same(found: dict[str, pl.DataFrame], expected: dict[str, pl.DataFrame]) -> None:
    assert found.keys() == expected.keys()
    for name, table in expected.items():
        assert found[name].equals(table), name


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def expected(config) -> dict[str, pl.DataFrame]:
    found = tables(with_genotypes(config, "whole", '"genotypes.vcf.gz"'), drawn=True)
    for stage in ("predictions/", "baseline/", "eqtl/", "evaluation/"):
        assert any(name.startswith(stage) and len(table) for name, table in found.items()), stage
    assert set(found["evaluation/per_gene.parquet"]["contig"]) == set(CHROMOSOMES)
    return found


def test_a_file_for_each_chromosome_gives_the_same_tables(config, expected):
    assert_same(tables(with_genotypes(config, "split", '"chr{chrom}.vcf.gz"')), expected)


def test_pgen_gives_the_same_tables(config, expected):
    write_pgen(config.with_name("genotypes.vcf.gz"), config.with_name("genotypes.pgen"))
    assert_same(tables(with_genotypes(config, "pgen", '"genotypes.pgen"')), expected)


def test_every_file_is_an_input_and_part_of_the_key(config):
    listed = Opened.from_config(load_config(with_genotypes(config, "l", '["chr1.vcf.gz", "chr2.vcf.gz"]')))
    names = [Path(entry["path"]).name for entry in listed.inputs if entry["role"] == "genotypes"]
    assert names == ["chr1.vcf.gz", "chr2.vcf.gz"]
    turned = Opened.from_config(load_config(with_genotypes(config, "t", '["chr2.vcf.gz", "chr1.vcf.gz"]')))
    assert listed.digest_of("genotypes") != turned.digest_of("genotypes")
    assert listed.key_parts("genotypes")["inputs"] == {"genotypes": listed.digest_of("genotypes")}


@pytest.mark.parametrize("genotypes", ['["chr1.vcf.gz", "chr2.vcf.gz"]', '"chr{chrom}.vcf.gz"'])
def test_the_resolved_configuration_is_read_again(config, genotypes):
    read = load_config(with_genotypes(config, "again", genotypes))
    copy = config.with_name("copy.toml")
    copy.write_text(to_toml(read))
    assert load_config(copy) == read


def test_genes_of_a_chromosome_without_a_file_are_named(config):
    opened = Opened.from_config(load_config(with_genotypes(config, "one", '["chr1.vcf.gz"]')))
    left = [gene.gene_id for gene in opened.cohort.genes]
    gone = opened.dropped.names["gene", "its contig is not in the genotypes"]
    assert left
    assert gone
    assert sorted([*left, *gone]) == ["down1", "null1", "up1", "up2"]


def test_no_gene_on_any_chromosome_is_an_error(config):
    rows = text(config.with_name("chr2.vcf.gz"))
    header = [line for line in rows if line.startswith("#")]
    moved = [["chr9", *line.split("\t")[1:]] for line in rows if not line.startswith("#")]
    write_vcf_text(config.with_name("nine.vcf.gz"), [header[0], "##contig=<ID=chr9>", *header[1:]], moved)
    with pytest.raises(InputError, match="No gene lies on a contig that the FASTA and the genotypes have"):
        Opened.from_config(load_config(with_genotypes(config, "none", '["nine.vcf.gz"]')))
