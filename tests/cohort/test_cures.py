"""What an error about a cohort's files prints as the cure works: each is obeyed, and the error is gone."""

from __future__ import annotations

import gzip
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pysam
import pytest

from hapsight.cohort.effect_tables import read_effect_table
from hapsight.cohort.expression import read_expression
from hapsight.cohort.genes import read_genes
from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.join import CohortFiles, open_cohort
from hapsight.cohort.matching import find_genes, match_genes
from hapsight.cohort.nouns import Dropped, Gene, Interval, Strand
from hapsight.cohort.people import read_covariates
from hapsight.cohort.ploidy import Ploidy
from hapsight.cohort.policies import GenotypePolicy
from hapsight.cohort.split import open_genotypes
from hapsight.errors import HapsightError
from tests.cohort.files import (
    CONTIG,
    PEOPLE,
    SEQUENCE,
    Record,
    write_bcf,
    write_cohort,
    write_table,
    write_vcf,
)

EFFECTS = ("gene_id", "chrom", "pos", "ref", "alt", "beta")
BED = ("#chr", "start", "end", "phenotype_id")
AWKWARD = "Ann's $data; (new)"
"""A folder whose name a shell takes apart."""


def fails(call: Callable[[], Any], cure: str) -> None:
    with pytest.raises(HapsightError) as error:
        call()
    assert cure in error.value.details["to mend"]


def effects(path: Path, rows: list[tuple[object, ...]], header: tuple[str, ...] = EFFECTS) -> int:
    return read_effect_table(write_table(path, [header, *rows]), "effects").table.height


def bed(
    path: Path, start: int, end: int, extra: dict[str, object] | None = None, behind: bool = False
) -> Path:
    names, cells = list((extra or {}).keys()), list((extra or {}).values())
    people, values = list(PEOPLE), [1.0, 2.0, 3.0, 4.5]
    head = [*people, *names] if behind else [*names, *people]
    body = [*values, *cells] if behind else [*cells, *values]
    return write_table(path, [[*BED, *head], [CONTIG, start, end, "ENSG01.1", *body]])


@pytest.mark.parametrize(
    ("wrong", "cure", "right", "rows"),
    [
        ([("g", "1", 5, "A", "C", 1)] * 2, "keep one row per variant", [("g", "1", 5, "A", "C", 1)], 1),
        ([("g", "1", 5, "TRUE", "C", 1)], "colClasses = 'character'", [("g", "1", 5, "T", "C", 1)], 1),
        ([("g", "1", 5, "-", "C", 1)], "give the letters of both alleles", [("g", "1", 5, "A", "AC", 1)], 1),
    ],
)
def test_rows_of_effects(tmp_path, wrong, cure, right, rows):
    fails(lambda: effects(tmp_path / "t.tsv", wrong), cure)
    assert effects(tmp_path / "t.tsv", right) == rows


def test_positions_from_0(tmp_path):
    rows = [("g", "1", 0, "A", "C", 1)]
    fails(lambda: effects(tmp_path / "t.tsv", rows), "go into the columns contig, position")
    assert effects(tmp_path / "t.tsv", rows, ("gene_id", "contig", "position", "ref", "alt", "beta")) == 1


def test_rows_of_a_phenotype_bed(tmp_path):
    path = tmp_path / "e.bed"
    fails(lambda: read_expression(bed(path, 40, 40)), "starts that count from 0, and ends that count from 1")
    assert read_expression(bed(path, 39, 40)).genes[0].tss == 39
    extra = {"gid": "G", "strand": "+"}
    fails(lambda: read_expression(bed(path, 39, 40, extra, behind=True)), "between the gene and the people")
    assert read_expression(bed(path, 39, 40, extra)).samples == PEOPLE
    assert read_expression(bed(path, 39, 40)).samples == PEOPLE


def test_gene_bodies_without_strand(tmp_path):
    files = write_cohort(tmp_path)
    bodies = replace(files, expression=bed(tmp_path / "e.bed", 20, 60), genes=None)
    fails(lambda: open_cohort(bodies, GenotypePolicy()), "give a gene table")
    assert open_cohort(replace(bodies, genes=files.genes), GenotypePolicy())[0].genes[0].tss == 39


def test_a_name_of_two_genes(tmp_path):
    genes = [Gene("ENSG1", CONTIG, 5, None, "A"), Gene("ENSG2", CONTIG, 9, None, "A")]
    fails(lambda: find_genes(["A"], genes), "give the identifier")
    assert find_genes(["ENSG2"], genes) == ([genes[1]], [])


def chrx(folder: Path, calls: list[str], policy: GenotypePolicy) -> int:
    """Variants of a chrX without PARs that are read."""
    record = Record(50, SEQUENCE[49], "G", calls, contig="chrX")
    path = write_vcf(folder / "x.vcf.gz", [record], contigs={"chrX": len(SEQUENCE)})
    return len(GenotypeFile(path, None, policy).read(Interval("chrX", 0, 200))[0])


def test_sexes_that_do_not_fit_calls(tmp_path):
    men, women = frozenset({"ann", "bob"}), frozenset({"cyd", "dan"})
    calls = ["0|1", "1", "0|1", "0|0"]
    policy = GenotypePolicy(missing="reference", ploidy=Ploidy(men, women, par=()))
    fails(lambda: chrx(tmp_path, calls, policy), "mend the person's sex")
    right = Ploidy(men - {"ann"}, women | {"ann"}, par=())
    assert chrx(tmp_path, calls, replace(policy, ploidy=right)) == 1
    both = ["0|1", "1|0", "0|1", "0|0"]
    fails(lambda: chrx(tmp_path, both, policy), "or par under [cohort]")
    assert chrx(tmp_path, both, replace(policy, ploidy=Ploidy(men, women, par=((0, 100),)))) == 1
    assert chrx(tmp_path, calls, replace(policy, ploidy_conflict="missing")) == 1
    assert chrx(tmp_path, calls, replace(policy, ploidy_conflict="drop")) == 0
    unknown = GenotypePolicy(ploidy=Ploidy(frozenset(), women, par=()))
    fails(lambda: chrx(tmp_path, ["0|0", *calls[1:]], unknown), "give the person's sex")
    assert chrx(tmp_path, ["0|0", *calls[1:]], GenotypePolicy(ploidy=Ploidy(men, women, par=()))) == 1
    without = GenotypePolicy(ploidy=Ploidy(men, women, par=None))
    fails(lambda: chrx(tmp_path, ["0|0", *calls[1:]], without), "give the pseudo-autosomal regions")
    assert chrx(tmp_path, ["0|0", *calls[1:]], replace(without, ploidy=Ploidy(men, women, par=()))) == 1


@pytest.mark.parametrize("name", ["g.vcf", "g.vcf.gz", "g.gz", "g", "Ann's $new.vcf"])
def test_a_vcf_that_is_not_bgzipped_is_left_as_it_is(tmp_path, monkeypatch, name):
    """The command printed for a gzipped one wrote to the file that it read."""
    text = gzip.decompress(write_vcf(tmp_path / "a.vcf.gz", [Record(10, "C", "T", ["0|1"] * 4)]).read_bytes())
    path = tmp_path / name
    path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    before = path.read_bytes()
    with pytest.raises(HapsightError, match="not bgzipped") as error:
        GenotypeFile(path)
    monkeypatch.chdir(tmp_path)
    command = error.value.details["to mend"].partition("; then")[0]
    subprocess.run(command, shell=True, check=True, capture_output=True)
    assert path.read_bytes() == before
    assert GenotypeFile(next(tmp_path.glob("*.bgzipped.vcf.gz"))).samples == PEOPLE


@pytest.mark.parametrize("folder", [".", AWKWARD])
def test_files_with_people_in_other_orders(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    (tmp_path / folder).mkdir(exist_ok=True)
    rows = [[Record(10, "C", "T", ["0|1", "0|0", "0|0", "0|0"], contig=name)] for name in ("chr1", "chr2")]
    lengths = {"chr1": 200, "chr2": 200}
    one = write_vcf(tmp_path / folder / "1.vcf.gz", rows[0], contigs=lengths)
    two = write_vcf(tmp_path / folder / "2.vcf.gz", rows[1], PEOPLE[::-1], contigs=lengths)
    with pytest.raises(HapsightError) as error:
        open_genotypes([one, two])
    command = error.value.details["to mend"].partition("; then")[0]
    subprocess.run(command, shell=True, check=True, capture_output=True)
    found = open_genotypes([one, tmp_path / "NEW.vcf.gz"]).read(Interval("chr2", 0, 50))[0]
    assert (found.samples, found.alleles[0].sum(axis=1).tolist()) == (PEOPLE, [0, 0, 0, 1])


def test_a_person_twice_in_a_vcf(tmp_path):
    path = write_vcf(tmp_path / "g.vcf.gz", [Record(10, "C", "T", ["0|1"] * 4)], index=False)
    text = gzip.decompress(path.read_bytes()).replace(b"bob", b"ann")
    (tmp_path / "g.vcf").write_bytes(text)
    pysam.tabix_compress(str(tmp_path / "g.vcf"), str(path), force=True)
    pysam.tabix_index(str(path), preset="vcf", force=True)
    fails(lambda: GenotypeFile(path), f"bcftools reheader -s names.txt -o NEW.vcf.gz {path}")
    (tmp_path / "names.txt").write_text("ann\nann.2\ncyd\ndan\n")
    new = tmp_path / "NEW.vcf.gz"
    subprocess.run(["bcftools", "reheader", "-s", tmp_path / "names.txt", "-o", new, path], check=True)
    pysam.tabix_index(str(new), preset="vcf", force=True)
    assert GenotypeFile(new).samples == ("ann", "ann.2", "cyd", "dan")


def test_a_variant_twice_of_which_one_is_joined_with_another(tmp_path):
    calls = ["0|1", "0|0", "0|1", "0|0"]
    rows = [Record(10, "C", "T,G", ["0|1", "0|2", "0|1", "0|0"]), Record(10, "C", "T", calls)]
    path, new = write_vcf(tmp_path / "g.vcf.gz", rows), tmp_path / "NEW.vcf.gz"
    read = Interval(CONTIG, 0, 200)
    cure = f"bcftools norm -m -any {path} | bcftools norm --rm-dup exact -Oz -o NEW.vcf.gz -"
    fails(lambda: GenotypeFile(path).read(read), cure)
    command = cure.replace("NEW.vcf.gz", str(new))
    subprocess.run(command, shell=True, check=True, capture_output=True)
    pysam.tabix_index(str(new), preset="vcf", force=True)
    kept = GenotypeFile(path, policy=GenotypePolicy(duplicates="first")).read(read)[0]
    for found in (kept, GenotypeFile(new).read(read)[0]):
        assert (found.alt, found.alleles.sum(axis=(1, 2)).tolist()) == (("T", "G"), [2, 1])


def test_the_header_of_r_without_the_name_of_row_names(tmp_path):
    path, rows = tmp_path / "c.tsv", [["PC1", 0.1, 0.2, -0.3, 0.4], ["PC2", 1, 0, 1, 1]]
    fails(lambda: read_covariates(write_table(path, [PEOPLE, *rows]), PEOPLE), "col.names = NA")
    assert read_covariates(write_table(path, [["", *PEOPLE], *rows]), PEOPLE)[0].names == ("PC1", "PC2")


def test_names_that_come_twice(tmp_path):
    path, row = tmp_path / "c.tsv", ["PC1", 0.1, 0.2, -0.3, 0.4]
    fails(lambda: read_covariates(write_table(path, [["id", *PEOPLE], row, row]), PEOPLE), "one row of each")
    twice = [["id", "ann", *PEOPLE], [*row, 1]]
    fails(lambda: read_covariates(write_table(path, twice), PEOPLE), "keep one column of each name")


def test_text_that_is_not_utf8(tmp_path):
    """As Excel's "Unicode Text" is."""
    path = write_table(tmp_path / "c.tsv", [["id", *PEOPLE], ["PC1", 0.1, 0.2, -0.3, 0.4]])
    text = path.read_text()
    path.write_bytes(text.encode("utf-16"))
    fails(lambda: read_covariates(path, PEOPLE), "save it as text in UTF-8")
    path.write_bytes(text.encode("utf-8-sig"))
    assert read_covariates(path, PEOPLE)[0].names == ("PC1",)


def test_lines_that_end_in_a_tab(tmp_path):
    path = bed(tmp_path / "e.bed", 39, 40)
    path.write_text(path.read_text().replace("\n", "\t\n"))
    assert read_expression(path).samples == PEOPLE
    path.write_text(path.read_text().replace("4.5\t", "4.5\t1.0"))
    assert len(read_expression(path).samples) == len(PEOPLE) + 1  # a column with values stays


def test_two_versions_of_a_gene(tmp_path):
    genes = [Gene("ENSG1.1", CONTIG, 5, None), Gene("ENSG1.2", CONTIG, 5, None)]
    table = [Gene("ENSG1.2", CONTIG, 5, Strand.PLUS)]
    fails(lambda: match_genes(genes, table, "genes.tsv", Dropped()), "keep one of these rows")


def test_gff3(tmp_path):
    (tmp_path / "g.gff3").write_text(f"##gff-version 3\n{CONTIG}\tx\tgene\t40\t90\t.\t+\t.\tID=ENSG01\n")
    fails(lambda: read_genes(tmp_path / "g.gff3"), "use the GTF of the same release")
    (tmp_path / "g.gtf").write_text(f'{CONTIG}\tx\tgene\t40\t90\t.\t+\t.\tgene_id "ENSG01";\n')
    assert read_genes(tmp_path / "g.gtf")[0].tss == 39


def _without_index(files: CohortFiles) -> None:
    Path(f"{files.genotypes}.csi").unlink(missing_ok=True)
    Path(f"{files.genotypes}.tbi").unlink(missing_ok=True)


def _with_an_old_index(files: CohortFiles) -> None:
    calls = ["0|1", "0|0", "0|1", "0|0"]
    assert isinstance(files.genotypes, Path)
    write_vcf(files.genotypes, [Record(10, SEQUENCE[9], "T", calls)] * 2000, index=False)


def _gzipped(files: CohortFiles) -> None:
    files.reference.write_bytes(gzip.compress(gzip.decompress(files.reference.read_bytes())))


def test_an_index_of_bcf_that_is_none(tmp_path):
    path = write_bcf(tmp_path / "g.bcf", write_cohort(tmp_path).genotypes)
    Path(f"{path}.csi").write_bytes(b"no index")
    fails(lambda: GenotypeFile(path), f"delete it and make it again: bcftools index {path}")


@pytest.mark.parametrize(
    ("breaks", "cure"),
    [
        (_without_index, r"(bcftools index .*) \(or"),
        (_without_index, r"\(or (tabix .*)\)"),
        (lambda files: Path(f"{files.genotypes}.tbi").write_bytes(b"no index"), r"make it again: (.*)"),
        (_with_an_old_index, r"make the index again: (.*);"),
        (lambda files: Path(f"{files.reference}.fai").unlink(), "(.*)"),
        (lambda files: Path(f"{files.reference}.gzi").unlink(), "(.*)"),
        (lambda files: Path(f"{files.reference}.fai").write_text("1\tx\n"), "(.*)"),
        (_gzipped, "(.*)"),
    ],
)
def test_commands_hold_in_a_folder_that_a_shell_takes_apart(tmp_path, breaks, cure):
    (tmp_path / AWKWARD).mkdir()
    files = write_cohort(tmp_path / AWKWARD)
    breaks(files)
    with pytest.raises(HapsightError) as error:
        _opened(files)
    command = re.search(cure, error.value.details["to mend"])[1]
    if "make it again" in error.value.details["to mend"]:
        _without_index(files)
    subprocess.run(command, shell=True, check=True, capture_output=True, cwd=tmp_path)
    assert _opened(files) == PEOPLE


def _opened(files: CohortFiles) -> tuple[str, ...]:
    cohort, _ = open_cohort(files, GenotypePolicy(duplicates="first"))
    cohort.genotypes.read(Interval(CONTIG, 0, 200))
    return cohort.samples
