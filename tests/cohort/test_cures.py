"""What an error about a cohort's files prints as the cure works: each is obeyed, and the error is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hapsight.cohort.effect_tables import read_effect_table
from hapsight.cohort.expression import read_expression
from hapsight.cohort.genes import read_genes
from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.join import open_cohort
from hapsight.cohort.matching import find_genes
from hapsight.cohort.nouns import Gene, Interval
from hapsight.cohort.ploidy import Ploidy
from hapsight.cohort.policies import GenotypePolicy
from hapsight.errors import HapsightError
from tests.cohort.files import CONTIG, PEOPLE, SEQUENCE, Record, write_cohort, write_table, write_vcf

EFFECTS = ("gene_id", "chrom", "pos", "ref", "alt", "beta")
BED = ("#chr", "start", "end", "phenotype_id")


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


def test_gff3(tmp_path):
    (tmp_path / "g.gff3").write_text(f"##gff-version 3\n{CONTIG}\tx\tgene\t40\t90\t.\t+\t.\tID=ENSG01\n")
    fails(lambda: read_genes(tmp_path / "g.gff3"), "use the GTF of the same release")
    (tmp_path / "g.gtf").write_text(f'{CONTIG}\tx\tgene\t40\t90\t.\t+\t.\tgene_id "ENSG01";\n')
    assert read_genes(tmp_path / "g.gtf")[0].tss == 39
