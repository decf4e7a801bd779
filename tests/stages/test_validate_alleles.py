"""Allele-specific reads from end to end: reads that follow a toy model, in a cohort that hapsight reads."""

import json

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.models.registry import register
from hapsight.report.build import build_report
from hapsight.report.published import without_individuals
from hapsight.report.run_folder import read_run
from hapsight.report.validations import allele_driver_table, allele_rows, allele_sentences, allele_table
from hapsight.run.arms import haplotype_values, model_arms
from hapsight.tables import ALLELE_PEOPLE, ALLELES
from tests.cohort.files import Record, write_table, write_vcf
from tests.planted import copied_planted, load_toy, opened_with_models, require_columns

NAMES = ("up1", "down1", "null1")
BIAS = 0.55
"""REF's share of reads where both haplotypes are expressed alike."""


@pytest.fixture(scope="module")
def planted(finished, tmp_path_factory):
    made = copied_planted(finished[0], tmp_path_factory.mktemp("alleles") / "cohort")
    opened, models = opened_with_models(made.config)
    write_counts(made, opened, models[0])
    return made


def write_counts(made, opened, model):
    """A site near each gene has reads of both haplotypes, which differ as the gene's expression does."""
    rng, records, features = np.random.default_rng(2), [], []
    (arm,) = model_arms(opened, model)
    genes = [gene for gene in made.genes if gene.gene_id in NAMES]
    for gene, values in haplotype_values(opened, arm, genes):
        near, _ = opened.cohort.genotypes.read(gene.cis(400), opened.cohort.reference)
        heterozygous = (near.alleles.sum(axis=2) == 1).sum(axis=1)
        single = [len(r) == len(a) == 1 for r, a in zip(near.ref, near.alt, strict=True)]
        site = int(np.argmax(heterozygous * np.array(single)))
        alleles = near.alleles[site].astype(int)
        sign = {"up": 1, "do": -1}.get(gene.gene_id[:2], 0)
        odds = sign * 1.5 * (values[:, 0] - values[:, 1]) / values.std()
        lead = alleles[:, 1] - alleles[:, 0]
        p = 1 / (1 + np.exp(-odds - lead * np.log(BIAS / (1 - BIAS))))
        first = rng.binomial(200, p)
        calls = [
            f"{a}|{b}:{f},{200 - f}" if a != b else f"{a}|{b}:0,0"
            for (a, b), f in zip(alleles.tolist(), first.tolist(), strict=True)
        ]
        place = int(near.position[site])
        records.append(Record(place + 1, near.ref[site], near.alt[site], calls, tags=":AS"))
        features.append(["chr1", place - 20, place + 20, gene.gene_name])
    records.sort(key=lambda one: one.position)
    write_vcf(made.folder / "as.vcf.gz", records, opened.cohort.samples, contigs={"chr1": 100_000})
    write_table(made.folder / "features.bed", features)


def call(made, *options):
    files = ["--counts", str(made.folder / "as.vcf.gz"), "--features", str(made.folder / "features.bed")]
    with register("toy", load_toy):
        return CliRunner().invoke(
            app, ["validate", "alleles", str(made.config), *files, *map(str, options)], catch_exceptions=False
        )


@pytest.fixture(scope="module")
def found(planted):
    given = call(planted, "--reference-share", BIAS)
    assert given.exit_code == 0, given.output
    folder = planted.folder / "run" / "validate"
    return given.output, pl.read_parquet(folder / "alleles.parquet"), folder


def of(table, gene, model):
    return table.row(by_predicate=(pl.col("gene_id") == gene) & (pl.col("model") == model), named=True)


def test_a_model_that_knows_goes_the_way_of_the_reads(found):
    _, table, folder = found
    require_columns(folder, {"alleles": ALLELES, "alleles_people": ALLELE_PEOPLE})
    up, down, null = (of(table, name, "toy") for name in NAMES)
    assert up["haplotype_r"] > 0.9
    assert up["pval"] < 1e-6
    assert up["slope"] > 0 > down["slope"]
    assert down["haplotype_r"] < -0.9
    assert abs(null["slope"]) < 4 * null["slope_se"]
    assert up["sign_agrees"] > 0.85
    assert down["sign_agrees"] < 0.15
    for row in (up, down):
        assert row["driver_n"] > 1
        assert np.sign(row["driver_ratio"] * row["driver_effect"]) == np.sign(row["slope"])


def test_the_linear_baseline_is_judged_by_its_weights_on_the_difference(found):
    _, table, _ = found
    for gene in ("up1", "down1"):
        row = of(table, gene, "elastic_net")
        assert row["haplotype_r"] > 0.3  # it has seen which way expression goes
        assert row["pval"] < 1e-3
        assert row["slope"] > 0
        assert row["driver_n"] is None


def test_the_people_are_those_with_reads_in_the_runs_order(found, planted):
    _, table, folder = found
    people = pl.read_parquet(folder / "alleles_people.parquet").filter(
        pl.col("model") == "toy", pl.col("gene_id") == "up1"
    )
    assert people.height == of(table, "up1", "toy")["people"]
    assert set(people["reference_lead"]) == {-1.0, 1.0}
    files = (planted.folder / "run" / "predictions").rglob("*.values.parquet")
    values = pl.concat([pl.read_parquet(file) for file in files])
    wide = (
        values.filter(pl.col("gene_id") == "up1", pl.col("haplotype") > 0)
        .pivot("haplotype", index="sample_id", values="value")
        .join(people, on="sample_id")
    )
    np.testing.assert_allclose(wide["1"] - wide["2"], wide["predicted"], atol=1e-6)


def test_what_was_assumed_and_left_out_is_told(found):
    output, _, folder = found
    record = json.loads((folder / "alleles.json").read_text())
    assert record["options"]["reference_share_assumed"] == BIAS
    assert record["options"]["order"] == "haplotypes"
    summary = pl.read_parquet(folder / "alleles_summary.parquet")
    share = summary.row(by_predicate=pl.col("quantity") == "reference_share", named=True)
    assert share["value"] > 0.5
    assert "reference_share" in output
    (mean,) = summary.filter(pl.col("quantity") == "mean_haplotype_r", pl.col("model") == "toy").rows(
        named=True
    )
    assert mean["n"] == 3


def test_a_report_shows_rounded_numbers_of_enough_people(found, planted, light):
    run = planted.folder / "run"
    page = build_report(run).read_text()
    assert "One haplotype against the other" in page
    people = pl.read_parquet(run / "validate" / "alleles_people.parquet")
    assert not any(name in page for name in people["sample_id"].unique())
    published = pl.read_csv(run / "report" / "alleles.csv")
    enough = (pl.col("n") >= 5) & (pl.col("effective_people") >= 5)
    _, table, _ = found
    own = table.filter(pl.col("status") == "ok")
    assert published.height == own.filter(enough).height < own.height
    assert (published["n"] % 5 == 0).all()
    steps = (published["haplotype_r"] * 100).round(6)
    assert (steps % 10 == 0).all()  # five of at most sixty people are a twelfth: steps of a tenth or more
    asked = read_run(run)  # single people are asked for
    assert allele_table(asked)["haplotype_r"].to_list() == own["haplotype_r"].to_list()
    assert len(allele_rows(asked)) == own.height


def test_few_people_are_withheld(found, planted):
    run = planted.folder / "run"
    _, table, folder = found
    few = pl.when(pl.col("gene_id") == "up1").then(4)
    changed = table.with_columns(few.otherwise(name).cast(pl.Int64).alias(name) for name in ("n", "driver_n"))
    try:
        changed.write_parquet(folder / "alleles.parquet")
        ruled = without_individuals(read_run(run))
        for made in (allele_table(ruled), allele_driver_table(ruled)):
            assert "up1" not in made["gene_id"].to_list()
        assert "UP1" not in {row.gene for row in allele_rows(ruled)}
        told = dict(ruled.disclosure.report().select("table", "rows").iter_rows())
        assert told["alleles"] >= 4
        assert told["allele_drivers"] >= 1
    finally:
        table.write_parquet(folder / "alleles.parquet")


def test_a_haplotype_r_that_is_shown_as_0_is_not_counted_as_below(monkeypatch):
    table = pl.DataFrame({"model": "m", "read_out": "r", "haplotype_r": [0.2, 0.1, 0.0, -0.1, -0.2]})
    monkeypatch.setattr("hapsight.report.validations.allele_table", lambda _: table)
    said = "m (r): mean haplotype R 0.00 over 5 genes, above 0 in 40.0 % of them, shown as 0 in 20.0 %."
    assert list(allele_sentences(None)) == [said]


def test_too_few_reads_are_an_error_that_says_so(planted):
    with pytest.raises(Exception, match=r"enough allele-specific reads[\s\S]*fewer than 500 reads"):
        call(planted, "--min-reads", 500)
