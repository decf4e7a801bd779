"""The direction stage on a cohort whose truth is known."""

import json

import numpy as np
import polars as pl
import pytest
from scipy import stats

from hapsight.cohort.genotypes import GenotypeFile
from hapsight.errors import IncompleteError
from hapsight.run.arms import arms_of
from hapsight.run.config import load_config
from hapsight.run.opened import Opened
from hapsight.stages.baseline import baseline
from hapsight.stages.direction import direction
from hapsight.stages.eqtl import eqtl
from hapsight.stages.evaluate import evaluate
from hapsight.stages.predict import predict
from hapsight.stats.direction_factors import CLASSES, direction_tables
from hapsight.tables import AGREEMENT, DIRECTION, DIRECTION_FACTORS, DIRECTION_GENES, DIRECTION_STRATA
from tests.planted import opened_with_models, put_back, quiet, require_columns, write_planted

SECTIONS = """
[[models]]
name = "toy"
label = "toy again"
options = {seed = 1}
[eqtl]
cis_window = 1000
min_maf = 0.05
permutations = 199
"""
SCHEMAS = {
    "direction_genes": DIRECTION_GENES,
    "direction": DIRECTION,
    "direction_strata": DIRECTION_STRATA,
    "direction_factors": DIRECTION_FACTORS,
    "agreement": AGREEMENT,
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    planted = write_planted(tmp_path_factory.mktemp("direction"), people=90)
    planted.config.write_text(planted.config.read_text() + SECTIONS)
    opened, runs = opened_with_models(planted.config)
    opened.begin()
    predict(opened, runs, quiet)
    baseline(opened, quiet)
    evaluate(opened, arms_of(opened, runs), quiet)
    with pytest.raises(IncompleteError, match="units of work are not done"):
        direction(opened, arms_of(opened, runs), quiet)
    eqtl(opened, quiet)
    direction(opened, arms_of(opened, runs), quiet)
    return planted, opened, runs


@pytest.fixture
def changing(planted):
    """What a test does to the run is undone for the next."""
    with put_back(planted[1].folder.path):
        yield


def table(planted, name: str) -> pl.DataFrame:
    return pl.read_parquet(planted[0].folder / "run/evaluation" / f"{name}.parquet")


def genes(planted, model: str) -> dict[str, dict]:
    rows = table(planted, "direction_genes").filter(pl.col("model") == model)
    return {row["gene_id"]: row for row in rows.iter_rows(named=True)}


def test_tables_have_their_columns(planted):
    require_columns(planted[0].folder / "run/evaluation", SCHEMAS)


def test_planted_signs_are_found(planted):
    found = genes(planted, "toy")
    assert len(found) == len(planted[0].genes)
    for name in ("up1", "up2"):
        assert (found[name]["sign_right"], found[name]["variant_sign_agrees"]) == (True, True)
    for name in ("down1", "down2"):
        assert (found[name]["sign_right"], found[name]["variant_sign_agrees"]) == (False, False)
        assert found[name]["n_signals"] >= 1
    assert found["null1"]["n_signals"] == 0
    bare = found["bare"]
    assert (bare["status"], bare["sign_right"], bare["variant_id"]) == ("no_variants", None, None)
    assert bare["mean_expression"] is not None


def test_columns_are_what_the_files_say(planted):
    folder, opened = planted[0].folder, planted[1]
    values = pl.concat(
        [pl.read_parquet(path) for path in sorted((folder / "run/predictions/toy.default").glob("*values*"))]
    )
    place = {gene.gene_id: gene for gene in planted[0].genes}
    tops = {
        row["phenotype_id"]: row
        for row in pl.read_parquet(folder / "run/eqtl/cis_qtl.parquet").iter_rows(named=True)
    }
    for name, row in genes(planted, "toy").items():
        if name == "bare":
            continue
        gene, top = place[name], tops[name]
        near, _ = GenotypeFile(folder / "genotypes.vcf.gz", opened.cohort.samples).read(gene.cis(1000))
        dosage = near.dosage.astype(float)
        chosen = dosage[near.variant_id.index(top["variant_id"])]
        own = values.filter((pl.col("gene_id") == name) & (pl.col("haplotype") > 0))
        people = own.group_by("sample_id", maintain_order=True).agg(pl.col("value").cast(pl.Float64).mean())
        slope = stats.linregress(chosen, people["value"].to_numpy()).slope
        assert row["model_slope"] == pytest.approx(slope, rel=1e-4)
        assert row["model_slope_sd"] == pytest.approx(slope / people["value"].std(), rel=1e-4)
        frequency = dosage.mean(axis=1) / 2
        tested = dosage[
            (np.minimum(frequency, 1 - frequency) >= 0.05) & (np.abs(near.position - gene.tss) <= 1000)
        ]
        r2 = [stats.pearsonr(chosen, other)[0] ** 2 for other in tested]
        assert row["n_ld80"] == sum(value > 0.8 for value in r2) - 1
        assert row["distance"] == abs(top["position"] - gene.tss)
        before, after = (300, 200) if gene.strand == "+" else (199, 301)
        assert row["in_window"] == (-before <= top["position"] - gene.tss < after)
        assert row["maf"] == pytest.approx(min(top["af"], 1 - top["af"]))


def test_effects_in_units_of_expression(planted):
    found = genes(planted, "toy")
    x, y = (np.array([row[n] for row in found.values()]) for n in ("predicted_reference", "mean_expression"))
    scale = stats.linregress(x, y).slope
    row = found["up1"]
    assert row["model_slope_expression"] == pytest.approx(row["model_slope"] * scale)
    own = genes(planted, "elastic_net")["up1"]
    assert own["model_slope_expression"] == own["model_slope"]
    assert own["predicted_reference"] is None


def test_strata_and_factors_are_of_the_same_genes(planted):
    counts = table(planted, "direction_strata").group_by("model", "factor").agg(pl.col("n").sum())
    assert set(counts.filter(pl.col("model") == "toy")["n"]) == {6}
    assert set(counts["factor"]) == set(CLASSES)
    status = table(planted, "direction_factors").filter(pl.col("model") == "toy")["status"]
    assert set(status) <= {"too few genes", "constant"}


def test_two_seeds_of_one_model_are_replicates(planted):
    pairs = {
        (row["model"], row["other_model"]): row for row in table(planted, "agreement").iter_rows(named=True)
    }
    assert len(pairs) == len(planted[1].config.baseline.methods) * 2 + 1 + 3
    pair = pairs["toy", "toy again"]
    assert pair["replicates"]
    assert not pairs["toy", "elastic_net"]["replicates"]
    one, other = genes(planted, "toy"), genes(planted, "toy again")
    r = [(one[n]["pearson_r"], other[n]["pearson_r"]) for n in one if one[n]["pearson_r"] is not None]
    assert pair["n"] == pair["prediction_genes"] == len(r) == 6
    assert pair["pearson_r"] == pytest.approx(stats.pearsonr(*zip(*r, strict=True))[0])
    assert pair["failing_both"] == sum(a < 0 and b < 0 for a, b in r)


def test_signs_of_a_coin_are_a_coin():
    rng = np.random.default_rng(0)
    pvalues = []
    for _ in range(200):
        r = rng.uniform(-0.3, 0.3, 60)
        made = pl.DataFrame(
            {
                **dict.fromkeys(("model", "read_out", "protocol"), "coin"),
                "pearson_r": r,
                "sign_right": r > 0,
                "slope": rng.standard_normal(60),
                "model_slope": rng.standard_normal(60),
                "dosage_sd": np.full(60, 0.5),
            }
        )
        genes = pl.concat([pl.DataFrame(schema=DIRECTION_GENES), made], how="diagonal")
        found = direction_tables(genes)["direction"]
        pvalues += found.filter(pl.col("quantity") == "variant_sign_agrees")["pval"].to_list()
    assert np.mean(np.array(pvalues) <= 0.05) < 0.1
    assert np.mean(np.array(pvalues) <= 0.5) > 0.3


@pytest.mark.usefixtures("changing")
def test_a_run_without_eqtls_says_so_and_still_compares_models(planted):
    config = load_config(planted[0].config)
    off = config.model_copy(update={"eqtl": config.eqtl.model_copy(update={"run": False})})
    opened, runs = Opened.from_config(off), planted[2]
    opened.begin()
    direction(opened, arms_of(opened, runs), quiet)
    record = json.loads((planted[0].folder / "run/run.json").read_text())
    assert any("No eQTLs were mapped" in note for note in record["notes"])
    assert all(table(planted, name).is_empty() for name in SCHEMAS if name != "agreement")
    assert not table(planted, "agreement").is_empty()


@pytest.mark.usefixtures("changing")
def test_old_tables_are_not_taken_for_new(planted):
    opened, runs = planted[1], planted[2]
    path = planted[0].folder / "run/eqtl/cis_qtl.parquet"
    pl.read_parquet(path).with_columns(pl.col("slope") * 2).write_parquet(path)
    with pytest.raises(IncompleteError, match=r"(?s)older than the mapping.*hapsight eqtl"):
        direction(opened, arms_of(opened, runs), quiet)
    path.unlink()
    with pytest.raises(IncompleteError, match=r"(?s)eQTL stage is not there.*cis_qtl"):
        direction(opened, arms_of(opened, runs), quiet)


@pytest.mark.usefixtures("changing")
def test_a_run_that_is_not_evaluated(planted):
    opened, runs = planted[1], planted[2]
    path = planted[0].folder / "run/evaluation/per_gene.parquet"
    pl.read_parquet(path).filter(pl.col("model") != "toy again").write_parquet(path)
    with pytest.raises(IncompleteError, match=r"(?s)7 genes of toy again.*hapsight evaluate"):
        direction(opened, arms_of(opened, runs), quiet)
