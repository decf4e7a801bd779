"""The same cohort written otherwise: what must not change does not, what changes does so as is said here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from hapsight.cohort.nouns import Interval
from hapsight.cohort.reference import Reference
from hapsight.dna import decode
from hapsight.pipeline import do_units
from hapsight.run.arms import arms_of
from hapsight.stages.direction import direction
from hapsight.stages.evaluate import evaluate
from tests.cohort.files import write_fasta, write_table
from tests.planted import opened_with_models, quiet, write_planted
from tests.stages.test_formats import text, write_vcf_text

PEOPLE = 24
PREDICTIONS = "predictions/toy.default/"
HERITABILITY = "eqtl/.heritability.parquet"
NEAR = {"check_exact": False, "rel_tol": 1e-6, "abs_tol": 1e-6}
Rows = list[list[str]]
Tables = dict[str, pl.DataFrame]


@dataclass(frozen=True)
class Texts:
    """A cohort's files as rows of fields, each with its header; the genotypes without their ``##`` lines."""

    sequence: dict[str, str]
    genotypes: Rows
    expression: Rows
    genes: Rows
    covariates: Rows
    samples: Rows
    config: str

    @classmethod
    def of(cls, folder: Path, config: str) -> Texts:
        reference = Reference(folder / "genome.fa.gz")
        sequence = {
            name: decode(reference.fetch(Interval(name, 0, length)))
            for name, length in reference.contigs.items()
        }
        names = ("genotypes.vcf.gz", "expression.bed.gz", "genes.tsv", "covariates.tsv", "samples.tsv")
        return cls(sequence, *(_fields(folder / name) for name in names), config)

    def write(self, folder: Path) -> Path:
        folder.mkdir()
        write_fasta(folder / "genome.fa.gz", self.sequence)
        head = ["##fileformat=VCFv4.2", '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">']
        head += [f"##contig=<ID={name},length={len(bases)}>" for name, bases in self.sequence.items()]
        write_vcf_text(folder / "genotypes.vcf.gz", [*head, "\t".join(self.genotypes[0])], self.genotypes[1:])
        write_table(folder / "expression.bed.gz", self.expression)
        for name in ("genes", "covariates", "samples"):
            write_table(folder / f"{name}.tsv", getattr(self, name))
        (folder / "planted.toml").write_text(self.config)
        return folder / "planted.toml"


def _fields(path: Path) -> Rows:
    lines = text(path) if path.suffix == ".gz" else path.read_text().splitlines()
    return [line.split("\t") for line in lines if not line.startswith("##")]


def tables(config: Path) -> Tables:
    """What predict, baseline, eqtl, evaluate and direction write, units of a table end to end."""
    opened, models = opened_with_models(config)
    with opened.folder.locked():
        opened.begin()
        do_units(opened, models, quiet)
        arms = arms_of(opened, models)
        evaluate(opened, arms, quiet)
        direction(opened, arms, quiet)
    found = dict[str, list[pl.DataFrame]]()
    for path in sorted(opened.folder.path.rglob("*.parquet")):
        name = path.relative_to(opened.folder.path).as_posix().replace("block-", "")
        found.setdefault("".join(c for c in name if not c.isdigit()), []).append(pl.read_parquet(path))
    return {name: pl.concat(parts) for name, parts in found.items()}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Texts:
    planted = write_planted(
        tmp_path_factory.mktemp("planted"), PEOPLE, names=("up1", "down1", "null1", "bare")
    )
    config = planted.config.read_text().replace("null_draws = 999", "null_draws = 99\npermutations = 99")
    config += "[eqtl]\npermutations = 99\ncis_window = 1000\n"
    return Texts.of(planted.folder, config)


@pytest.fixture(scope="module")
def expected(cohort: Texts, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return tables(cohort.write(tmp_path_factory.mktemp("as_it_was") / "cohort"))


def assert_alike(found: Tables, expected: Tables, but: dict[str, tuple[str, ...]] | None = None) -> None:
    """Equal tables up to rounding; `but`: columns that are not looked at, by how tables' names begin."""
    assert found.keys() == expected.keys()
    for name, table in expected.items():
        left_out = [c for start, own in (but or {}).items() if name.startswith(start) for c in own]
        own, other = (t.drop(left_out, strict=False) for t in (found[name], table))
        assert_frame_equal(own, other, **NEAR)


def rearranged(rows: Rows, fixed: int, order: Sequence[int]) -> Rows:
    """People's columns, behind the fixed ones, in another order."""
    return [[*row[:fixed], *(row[fixed + i] for i in order)] for row in rows]


def each(rows: Rows, change: Callable[[list[str]], list[str]]) -> Rows:
    """Every row but the header, changed."""
    return [rows[0], *map(change, rows[1:])]


def renamed(rows: Rows, column: int, name: str) -> Rows:
    return each(rows, lambda row: [*row[:column], name, *row[column + 1 :]])


def people_and_genes_elsewhere(cohort: Texts) -> Texts:
    """In another order in every file but for people in the expression file, whose order is the cohort's."""
    one, other = (np.random.default_rng(seed).permutation(PEOPLE).tolist() for seed in (1, 2))
    return replace(
        cohort,
        genotypes=rearranged(cohort.genotypes, 9, one),
        covariates=rearranged(cohort.covariates, 1, other),
        samples=[cohort.samples[0], *(cohort.samples[1 + i] for i in other)],
        genes=[cohort.genes[0], *cohort.genes[:0:-1]],
        expression=[cohort.expression[0], *cohort.expression[:0:-1]],
    )


def other_spelling(cohort: Texts) -> Texts:
    """Contigs without ``chr`` in the VCF; a FASTA in lower case, with more contigs."""
    sequence = {"chr0": "ACGT" * 50, "chr1": cohort.sequence["chr1"].lower(), "chrUn": "ACGT"}
    return replace(cohort, sequence=sequence, genotypes=renamed(cohort.genotypes, 0, "1"))


@pytest.mark.parametrize("change", [people_and_genes_elsewhere, other_spelling])
def test_the_order_of_files_and_their_spelling_change_nothing(cohort, expected, tmp_path, change):
    found = tables(change(cohort).write(tmp_path / "cohort"))
    assert found.keys() == expected.keys()
    assert [name for name, table in expected.items() if not found[name].equals(table)] == []


def test_people_in_another_order_in_the_expression_file(cohort, expected, tmp_path):
    """Folds, halves and permutations are drawn by that order; the rest is the same, person by person."""
    order = np.random.default_rng(1).permutation(PEOPLE).tolist()
    found = tables(
        replace(cohort, expression=rearranged(cohort.expression, 4, order)).write(tmp_path / "cohort")
    )
    keys = ["gene_id", "sample_id", "haplotype"]
    values = [of[f"{PREDICTIONS}.values.parquet"].sort(keys).drop("distinct") for of in (found, expected)]
    assert values[0].equals(values[1])
    drawn = {"pval_permutation", "slope_half1", "slope_se_half1", "slope_half2", "slope_se_half2"}
    for name in (f"evaluation/{PREDICTIONS}.per_gene.parquet", "eqtl/.nominal.parquet"):
        own, other = (of[name].drop(drawn, strict=False) for of in (found, expected))
        assert_frame_equal(own, other, **NEAR)
    assert_alike({HERITABILITY: found[HERITABILITY]}, {HERITABILITY: expected[HERITABILITY]})


def test_contigs_with_another_name_in_all_files(cohort, expected, tmp_path):
    made = replace(
        cohort,
        sequence={"22": cohort.sequence["chr1"]},
        genotypes=renamed(cohort.genotypes, 0, "22"),
        expression=renamed(cohort.expression, 0, "22"),
        genes=renamed(cohort.genes, 2, "22"),
    )
    assert_alike(tables(made.write(tmp_path / "cohort")), expected, {"": ("contig",)})


def test_somebody_without_expression_is_named_and_changes_nothing(cohort, expected, tmp_path):
    made = replace(
        cohort,
        genotypes=[[*row[:9], "NEW" if row[0] == "#CHROM" else "1|1", *row[9:]] for row in cohort.genotypes],
        covariates=[[*cohort.covariates[0], "NEW"], *([*row, "9"] for row in cohort.covariates[1:])],
        samples=[*cohort.samples, ["NEW", "FIN", "male"]],
    )
    found = tables(made.write(tmp_path / "cohort"))
    dropped, without = (
        found.pop("dropped.parquet"),
        {k: v for k, v in expected.items() if k != "dropped.parquet"},
    )
    assert dropped["names"].to_list() == [["NEW"]]
    assert [name for name, table in without.items() if not found[name].equals(table)] == []


def test_everybodys_haplotypes_exchanged(cohort, expected, tmp_path):
    """Haplotype 1 has the values of 2, and nothing else is another."""
    turned = each(cohort.genotypes, lambda row: [*row[:9], *(call[::-1] for call in row[9:])])
    found = tables(replace(cohort, genotypes=turned).write(tmp_path / "cohort"))
    name = f"{PREDICTIONS}.values.parquet"
    values, before = (of.drop("distinct") for of in (found[name], expected[name]))
    haplotype = pl.col("haplotype").replace({1: 2, 2: 1})
    keys = ["gene_id", "sample_id", "haplotype"]
    assert values.with_columns(haplotype).sort(keys).equals(before.sort(keys))
    assert_alike(found, expected, {"predictions": ("distinct", "value")})


def test_a_site_where_nobody_varies(cohort, expected, tmp_path):
    """It is counted among the variants, and that is all."""
    at, taken = 2_950, {row[1] for row in cohort.genotypes}
    while str(at) in taken:
        at += 1
    ref = cohort.sequence["chr1"][at - 1]
    site = [
        "chr1",
        str(at),
        "same",
        ref,
        "CGTA"["ACGT".index(ref)],
        ".",
        "PASS",
        ".",
        "GT",
        *["0|0"] * PEOPLE,
    ]
    rows = sorted([*cohort.genotypes[1:], site], key=lambda row: int(row[1]))
    found = tables(replace(cohort, genotypes=[cohort.genotypes[0], *rows]).write(tmp_path / "cohort"))
    assert_alike(found, expected, {"": ("n_variants",)})
    name = f"{PREDICTIONS}.genes.parquet"
    more = (found[name]["n_variants"] - expected[name]["n_variants"]).to_list()
    assert sorted(more) == [0, 0, 0, 1]


DRAWN = (
    *("pval_empirical", "qval_empirical", "pval_z", "qval_z", "pval_sasse2023", "qval_sasse2023"),
    *("qval", "null_mean", "null_sd", "z"),
)
"""Of random weights on dosages: of an allele and of its other one they are two draws."""


def exchanged(cohort: Texts) -> Texts:
    """Every SNV in no other variant with REF and ALT exchanged, in the FASTA too: people are the same."""
    sequence, rows = list(cohort.sequence["chr1"]), cohort.genotypes[1:]
    covered = [p for row in rows for p in range(int(row[1]), int(row[1]) + len(row[3]))]

    def turn(row: list[str]) -> list[str]:
        if len(row[3]) > 1 or len(row[4]) > 1 or covered.count(int(row[1])) > 1:
            return row
        sequence[int(row[1]) - 1] = row[4]
        calls = (call.translate(str.maketrans("01", "10")) for call in row[9:])
        return [*row[:3], row[4], row[3], *row[5:9], *calls]

    turned = each(cohort.genotypes, turn)
    return replace(cohort, sequence={"chr1": "".join(sequence)}, genotypes=turned)


def test_ref_and_alt_exchanged_in_genotypes_and_fasta(cohort, expected, tmp_path):
    """Effects of ALT change sign and frequencies turn round; people's values and every R are the same."""
    found = tables(exchanged(cohort).write(tmp_path / "cohort"))
    people = pl.col("haplotype") > 0
    name = f"{PREDICTIONS}.values.parquet"
    assert_frame_equal(found[name].filter(people), expected[name].filter(people))
    for name in [n for n in expected if n.endswith((".predictions.parquet", "per_gene.parquet"))]:
        assert_alike(
            {name: found[name].drop(DRAWN, strict=False)}, {name: expected[name].drop(DRAWN, strict=False)}
        )
    nominal, before = found["eqtl/.nominal.parquet"], expected["eqtl/.nominal.parquet"]
    turned = (nominal["ref"] == before["alt"]) & (before["ref"].str.len_chars() == 1)
    assert turned.mean() > 0.7
    sign = np.where(turned, -1, 1)
    np.testing.assert_allclose(nominal["slope"], sign * before["slope"].to_numpy(), rtol=1e-6)
    np.testing.assert_allclose(nominal["pval_nominal"], before["pval_nominal"], rtol=1e-6)
    np.testing.assert_allclose(nominal["af"], np.where(turned, 1 - before["af"], before["af"]))


def test_expression_in_other_units(cohort, tmp_path):
    """Ten times the expression and ten times the pseudocount: what is logged is the same but for 1."""
    logged = replace(cohort, config=cohort.config.replace('"none"', '"log10"\npseudocount = 0.1'))
    ten = each(cohort.expression, lambda row: [*row[:4], *(repr(10 * float(x)) for x in row[4:])])
    more = replace(logged, expression=ten, config=logged.config.replace("0.1\n", "1.0\n"))
    one, other = (tables(texts.write(tmp_path / str(n))) for n, texts in enumerate((logged, more)))
    moved = {"evaluation/": ("observed", "mean_expression"), "evaluation/direction_strata": ("low", "high")}
    assert_alike(other, one, moved)


def test_populations_explain_nothing_of_what_is_not_predicted(expected):
    """A fold's mean of residuals is rounding, and no prediction."""
    structure, per_gene = (expected[f"evaluation/{name}.parquet"] for name in ("structure", "per_gene"))
    without = structure.filter(~per_gene["status"].is_in(["ok"]))
    assert set(without["model"]) == {"toy", "elastic_net", "blup", "top_snp"}
    for column in ("share_predicted", "pval_predicted", "pval", "qval", "r_within"):
        assert without[column].null_count() == len(without), column
