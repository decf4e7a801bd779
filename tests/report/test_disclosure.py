"""The disclosure rule: steps, floors, p's, and that every published table has a rule."""

from dataclasses import replace
from functools import partial

import numpy as np
import polars as pl
import pytest
from fake_direction import write_direction
from fake_gene_page import page, variants, view
from fake_run import Plan, write_run
from fake_run import _summary as made_up_summary
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hapsight.explain.driver_summary import driver_summary
from hapsight.explain.reliability_quality import judge
from hapsight.explain.tables import DRIVER_SUMMARY, DRIVERS, RELIABILITY, RELIABILITY_SUMMARY
from hapsight.report.build import build_report, check_disclosure
from hapsight.report.disclosure import HIDDEN, Disclosure, disclosed
from hapsight.report.disclosure_rules import FEWEST, KINDS, hidden_p, nearest_five, rounded, step
from hapsight.report.drivers import FORMS
from hapsight.report.gene_page import _rows
from hapsight.report.published import MADE_ANEW, without_individuals
from hapsight.report.run_folder import read_run
from hapsight.stages.predictdb import disclosed_covariance
from hapsight.stats.direction_factors import direction_tables
from hapsight.tables import (
    ACROSS_GENES,
    BASELINES,
    DIRECTION_FACTORS,
    DIRECTION_STRATA,
    PER_GENE,
    PRECISION,
    SUMMARY,
)

SPREAD = pl.DataFrame({"gene_id": ["g"], "sd_expression": [0.5]})


def plain_step(n: int, unit: float = 1.0) -> float:
    """The slow twin: the least of 1, 2, 5 times a power of ten that is five people's share."""
    wanted = max(FEWEST / n, 0.01) * unit
    nice = sorted(float(f"{lead}e{power}") for power in range(-12, 13) for lead in (1, 2, 5))
    return next(value for value in nice if value >= wanted * (1 - 1e-9))


@given(st.integers(1, 10**6), st.floats(1e-6, 1e6))
def test_a_step_is_five_peoples_share(n, unit):
    found = pl.select(step(pl.lit(float(n)), unit)).item()
    assert found == pytest.approx(plain_step(n, unit), rel=1e-6)


@given(st.integers(10, 1000), st.integers(0, 2**32 - 1))
def test_one_person_moves_a_frequency_by_one_step_at_most(n, seed):
    """And in four of five cases not at all; with all digits it would move in every case."""
    rng = np.random.default_rng(seed)
    dosage = rng.integers(0, 3, n)
    shown = [
        pl.select(rounded(pl.lit(part.mean() / 2), step(pl.lit(float(len(part)))))).item()
        for part in (dosage, dosage[1:])
    ]
    assert abs(shown[0] - shown[1]) <= 2.5 * plain_step(n - 1) + 1e-9


def test_few_frequencies_change_when_a_person_leaves():
    dosage = np.random.default_rng(3).binomial(2, 0.3, (400, 60))
    by = step(pl.lit(60.0))
    one, other = (pl.Series(part.mean(axis=1) / 2) for part in (dosage, dosage[:, 1:]))
    shown = pl.DataFrame({"a": one, "b": other}).select(rounded(pl.col("a"), by), rounded(pl.col("b"), by))
    assert (shown["a"] != shown["b"]).mean() < 0.2


def test_few_frequencies_change_when_a_person_is_exchanged_for_another():
    """With all digits, the difference of the two people's genotypes is known of every variant."""
    dosage = np.random.default_rng(4).binomial(2, 0.3, (400, 61)).astype(float)
    truth = dosage[:, 0] - dosage[:, 60]
    one, other = (pl.Series(part.mean(axis=1) / 2) for part in (dosage[:, :60], dosage[:, 1:]))
    assert ((one - other) * 120).to_numpy() == pytest.approx(truth)
    by = step(pl.lit(60.0))
    shown = pl.DataFrame({"a": one, "b": other}).select(rounded(pl.col("a"), by), rounded(pl.col("b"), by))
    guess = 120 * (shown["a"] - shown["b"]).to_numpy()
    assert (np.rint(guess) == truth).mean() <= (truth == 0).mean()
    assert (guess != 0).mean() < 0.2


@pytest.mark.parametrize(("count", "shown"), [(0, 0), (1, 5), (4, 5), (7, 5), (8, 10), (1234, 1235)])
def test_counts_are_to_the_nearest_five(count, shown):
    assert pl.select(nearest_five(pl.lit(count))).item() == shown


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(5, 100_000))
def test_no_p_is_moved_across_the_threshold_and_publishing_twice_changes_nothing(values, n):
    p, people = np.array(values), np.full(len(values), float(n))
    shown = hidden_p(p, people)
    assert ((shown < 0.05) == (p < 0.05)).all()
    assert hidden_p(shown, people) == pytest.approx(shown, rel=1e-9)


@given(st.floats(1e-100, 1), st.integers(20, 5000))
def test_a_p_is_moved_by_less_than_five_peoples_share_of_z(p, n):
    shown = hidden_p(np.array([p]), np.array([float(n)]))[0]
    width = max(FEWEST / np.sqrt(n), 0.05)
    assert abs(stats.norm.isf(shown / 2) - stats.norm.isf(p / 2)) <= width * (1 + 1e-6)


def test_a_column_without_a_rule_is_withheld_and_told():
    rule = Disclosure(100, SPREAD)
    table = pl.DataFrame({"gene_id": ["g"], "mean_expression": [1.23456], "secret": [7.0]})
    shown = rule.table("across_genes", table)
    assert shown.row(0) == ("g", 1.22, None) or shown["mean_expression"][0] == pytest.approx(1.25)
    assert shown["secret"].to_list() == [None]
    assert [row[0] for row in rule.report().rows()] == ["across_genes"]


@pytest.fixture
def run(tmp_path, light):
    return write_direction(write_run(tmp_path / "run", Plan()))


def test_every_published_column_keeps_its_values(run):
    """What a biologist reads is rounded; no column of the tables that a run has is lost."""
    build_report(run, True)
    whole = {
        path.name: pl.read_csv(path, infer_schema_length=None) for path in (run / "report").glob("*.csv")
    }
    build_report(run)
    for name, before in whole.items():
        if name == "within_person.csv":
            continue
        after = pl.read_csv(run / "report" / name, infer_schema_length=None)
        assert after.columns == before.columns, name
        lost = [c for c in before.columns if after[c].null_count() > before[c].null_count()]
        assert lost == [], name


def test_no_number_of_people_has_more_than_its_digits(run):
    build_report(run)
    genes = pl.read_csv(run / "report" / "genes.csv", infer_schema_length=None)
    steps = (genes["pearson_r"].drop_nulls() / plain_step(80)).to_numpy()
    assert steps == pytest.approx(np.rint(steps), abs=1e-9)
    for name in ("pval_nominal", "qval", "null_sd", "prediction_sd"):
        for value in genes[name].drop_nulls():
            assert float(f"{value:.2e}") == value, name


def test_check_disclosure_writes_nothing(run):
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    found = check_disclosure(run)
    assert found.columns == ["table", "rows", "reason"]
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_digests_of_peoples_files_are_not_published(run):
    text = build_report(run).read_text()
    assert "ab" * 32 not in text
    assert "cd" * 32 not in text
    assert "ab" * 32 in build_report(run, True).read_text()


def test_a_page_twice_disclosed_is_the_same():
    once, _ = disclosed(page())
    twice, withheld = disclosed(once)
    assert twice.views[0].variants.equals(once.views[0].variants)
    assert twice.views[0].result == once.views[0].result
    assert withheld.is_empty()


def test_how_many_variants_were_tested_is_to_the_nearest_five():
    """A variant of one carrier comes and goes with that person."""
    top = view().top_eqtl
    for tested in (298, 300, 302):
        shown = disclosed(page(view(top_eqtl=replace(top, tested=tested))))[0].views[0].top_eqtl
        assert shown is not None
        assert shown.tested == 300


@pytest.mark.parametrize("carriers", [0, 4, 56])
def test_a_variant_of_few_is_on_no_page(carriers):
    table = variants().with_columns(
        carriers=pl.when(pl.int_range(pl.len()) == 0).then(carriers).otherwise("carriers")
    )
    shown, withheld = disclosed(page(view(variants=table)))
    assert "rs0" not in shown.views[0].variants["variant_id"].to_list()
    assert shown.views[0].variants.height == table.height - 1
    assert withheld["rows"].to_list() == [1]


def test_a_marked_variant_of_few_is_not_named():
    given_ = view()
    rare = pl.int_range(pl.len()) == given_.marked
    table = given_.variants.with_columns(carriers=pl.when(rare).then(2).otherwise("carriers"))
    shown = disclosed(page(view(variants=table)))[0].views[0]
    assert shown.marked is None
    assert shown.driver_status == HIDDEN
    assert shown.people["genotype"].is_null().all()
    assert shown.variants["r2"].is_null().all()
    assert shown.logos is None


def test_every_column_that_a_run_writes_has_a_rule_or_is_withheld_on_purpose():
    tables = {
        "genes": PER_GENE,
        "across_genes": ACROSS_GENES,
        "baselines": BASELINES,
        "direction_strata": DIRECTION_STRATA,
        "direction_factors": DIRECTION_FACTORS,
        "drivers": DRIVERS,
        "reliability_summary": RELIABILITY_SUMMARY,
        "summary": SUMMARY,
    }
    without = {name: set(columns) - set(KINDS[name]) for name, columns in tables.items()}
    assert {name: left for name, left in without.items() if left} == {"drivers": {"control_id"}}


def write_two_signs(folder, r):
    """A run with two models, of which two genes' R hangs on two people and is `r` or so; all its tables."""
    write_run(folder, Plan(genes=30, models=("xpresso/GM12878", "mini/chr22")))
    place = pl.int_range(pl.len()).over("model", "read_out")
    few = place.is_in([3, 4])
    path = folder / "evaluation/per_gene.parquet"
    per_gene = pl.read_parquet(path).with_columns(
        effective_people=pl.when(few).then(2.0).otherwise("effective_people"),
        **{name: pl.when(few).then(r + place / 100).otherwise(name) for name in ("pearson_r", "spearman_r")},
        **{name: pl.when(few).then(0.001).otherwise(name) for name in ("qval", "qval_empirical")},
    )
    per_gene.write_parquet(path)
    beside = (pl.read_parquet(folder / f"evaluation/{n}.parquet") for n in ("across_genes", "per_person"))
    made_up_summary(per_gene, *beside).write_parquet(folder / "evaluation/summary.parquet")
    baseline_rows(per_gene).write_parquet(folder / "evaluation/baselines.parquet")
    write_precision(folder, per_gene)
    write_reliability(folder, per_gene)
    return write_direction(folder)


def baseline_rows(per_gene, difference=None):
    """Of ``baselines``, what is over all genes of the elastic net; and a lasso that is held against it."""
    own = per_gene.filter(model="elastic_net")
    ok = own.filter(status="ok")["pearson_r"]
    row = dict.fromkeys(BASELINES) | own.select("model", "read_out", "protocol").row(0, named=True)
    row |= {"split": "random", "genes": len(own), "genes_ok": len(ok), "mean_r": ok.mean()}
    lasso = row | {"model": "lasso", "mean_r": 0.1, "share_negative": 0.2, "against": "elastic_net"}
    lasso |= {"paired_genes": len(ok), "difference": difference}
    return pl.DataFrame([row | {"share_negative": (ok < 0).mean()}, lasso], schema=BASELINES)


def write_precision(folder, per_gene):
    """What R is in another arithmetic: the same, but for one sign."""
    counted = per_gene.filter(status="ok").with_columns(negative=(pl.col("pearson_r") < 0).cast(pl.Float64))
    rows = counted.group_by("model", "read_out", "protocol", maintain_order=True).agg(
        genes=pl.len().cast(pl.Int64),
        device=pl.lit("cpu"),
        precision=pl.lit("tf32"),
        lost_by_tenth=pl.lit([0.5, 0.0], pl.List(pl.Float64)),
        sign_of_r_changed=(pl.col("pearson_r").head(4) < 0).sum().cast(pl.Int64),
        **{name: pl.col("pearson_r").mean() for name in ("mean_r", "mean_r_exact")},
        **{f"negative{end}": pl.col("negative").mean() for end in ("", "_exact")},
    )
    (folder / "predictions").mkdir()
    table = pl.concat([pl.DataFrame(schema=PRECISION), rows], how="diagonal_relaxed").select(list(PRECISION))
    table.write_parquet(folder / "predictions/precision.parquet")


def write_reliability(folder, per_gene):
    """Probabilities that do not know the signs, what they are worth, and a driver a gene."""
    genes = per_gene.filter(status="ok").with_columns(sign_right=pl.col("pearson_r") > 0)
    genes = genes.with_columns(
        fold=pl.lit(0), base_rate=pl.lit(0.5), probability=pl.int_range(pl.len()) / pl.len() / 2
    )
    (folder / "explain").mkdir()
    table = pl.concat([pl.DataFrame(schema=RELIABILITY), genes], how="diagonal_relaxed")
    table = table.select(list(RELIABILITY))
    table.write_parquet(folder / "explain/reliability.parquet")
    drivers = genes.with_columns(n_drivers=pl.lit(1), distance=pl.lit(900))
    drivers = drivers.join(pl.DataFrame({"form": list(FORMS)}), how="cross")
    drivers = pl.concat([pl.DataFrame(schema=DRIVERS), drivers], how="diagonal_relaxed").select(list(DRIVERS))
    drivers.write_parquet(folder / "explain/drivers.parquet")
    judged, counted = [], []
    for labels, own in table.group_by("model", "read_out", "protocol", maintain_order=True):
        named = dict(zip(("model", "read_out", "protocol"), labels, strict=True))
        columns = (own[name].to_numpy() for name in ("probability", "base_rate", "sign_right"))
        verdict = judge(*columns, np.random.default_rng(1), draws=20).verdict
        judged.append(dict.fromkeys(RELIABILITY_SUMMARY) | named | {"genes": "all", "verdict": verdict})
        for form in FORMS:
            part = drivers.filter(model=named["model"], read_out=named["read_out"], form=form)
            counted += [named | {"form": form} | row for row in driver_summary(part)]
    for name, rows, schema in (
        ("reliability_summary", judged, RELIABILITY_SUMMARY),
        ("driver_summary", counted, DRIVER_SUMMARY),
    ):
        pl.DataFrame(rows, schema=schema).write_parquet(folder / f"explain/{name}.parquet")


@pytest.mark.usefixtures("light")
def test_no_published_number_depends_on_an_r_that_is_withheld(tmp_path, monkeypatch):
    """Runs that differ only in R's that hang on two people have one and the same report."""
    monkeypatch.setattr("hapsight.explain.reliability_quality.judge", partial(judge, draws=20))
    runs = [write_two_signs(tmp_path / name / "run", r) for name, r in (("right", 0.6), ("wrong", -0.5))]
    for run in runs:
        build_report(run)
    files = {path.relative_to(runs[0]) for path in [*runs[0].glob("report*/*.csv"), runs[0] / "report.html"]}
    assert {"summary.csv", "baselines.csv", "driver_summary.csv", "abstention.csv"} <= {p.name for p in files}
    one, other = ({file: (run / file).read_text().splitlines() for file in files} for run in runs)
    for file in files:
        differ = [pair for pair in zip(one[file], other[file], strict=True) if pair[0] != pair[1]]
        assert differ == [], file


def test_why_an_r_is_withheld_is_that_of_the_gene(tmp_path):
    """Few people, or a run that does not count them: each is told of its own genes only."""
    run = read_run(write_run(tmp_path, Plan(genes=20)))
    place = pl.int_range(pl.len()).over("model", "read_out")
    few = pl.when(place < 3).then(2.0).otherwise("effective_people")
    fewer = replace(run, per_gene=run.per_gene.with_columns(effective_people=few))
    unknown = pl.when(place == 5).then(None).otherwise(few)
    mixed = replace(run, per_gene=run.per_gene.with_columns(effective_people=unknown))
    expected = {"R rests on fewer than 5 people": fewer.per_gene.filter(place < 3)["pearson_r"].count()}
    assert reasons(fewer) == expected
    uncounted = mixed.per_gene.filter(place == 5)["pearson_r"].count()
    assert uncounted > 0
    again = "the run does not say on how many people R rests: evaluate it again"
    assert reasons(mixed) == {**expected, again: uncounted}


def reasons(run):
    """Of the table of genes: why rows are withheld, and how many."""
    rows = without_individuals(run).disclosure.report().filter(table="genes").rows()
    return {reason: n for _, n, reason in rows if not reason.startswith("column ")}


AS_IT_IS = {
    "genes": "one gene a row: what tells of a withheld R is taken out of the row",
    "seed_figure": "one gene a row, likewise",
    "drivers": "one gene a row, likewise",
    "gene page": "one gene's variants",
    "across_genes": "no R over people",
    "within_person": "R over genes, of people",
    "abstention": "its curve is drawn of the genes whose R is shown",
    "kept_right": "signs of associated variants, one a gene, and no R; of fewer than five genes nothing",
    "precision": "its numbers over R are not shown where one is withheld",
    "arithmetic": "differences between arithmetics: no R",
    "score backgrounds": "no R over people",
    "score summary": "no R over people",
    "qtl_signs": "a model on the reference beside a table of others: nobody of the cohort",
    "modality_gap": "shares over five variants or more, of signs of eQTLs with p below .001: no R",
    "alleles": "one gene a row, of its own people; no row where fewer than five make it",
    "allele_drivers": "one gene a row, likewise",
    "training": "R of training's own test people, of which the report shows no single one",
}
"""Published tables that are not made anew over the genes whose R is shown, and why."""


def test_every_published_table_is_made_anew_or_has_a_reason_not_to_be():
    assert MADE_ANEW.keys() | AS_IT_IS.keys() == KINDS.keys()
    assert not MADE_ANEW.keys() & AS_IT_IS.keys()


@pytest.mark.usefixtures("light")
def test_what_is_made_anew_is_made_once_a_report(tmp_path, monkeypatch):
    monkeypatch.setattr("hapsight.explain.reliability_quality.judge", partial(judge, draws=20))
    made = []
    for name, make in MADE_ANEW.items():
        again = partial(lambda name, make, *args: made.append(name) or make(*args), name, make)
        monkeypatch.setitem(MADE_ANEW, name, again)
    beside = []
    monkeypatch.setattr(
        "hapsight.report.published.direction_tables",
        lambda genes: beside.append(genes) or direction_tables(genes),
    )
    build_report(write_two_signs(tmp_path / "run", 0.6))
    assert sorted(made) == sorted(MADE_ANEW)
    assert len(beside) == 1


def test_a_quantity_of_r_that_cannot_be_made_anew_is_not_published(tmp_path):
    """Of a test that this version does not know, for instance; other quantities stay as they are."""
    run = read_run(write_two_signs(tmp_path / "run", 0.6))
    names = ("significant.later", "share_negative_later", "across_people_later_mean", "genes_later")
    labels = run.per_gene.select("model", "read_out", "protocol").row(0, named=True)
    later = [labels | {"quantity": name, "value": 0.123, "n": 7, "unit": "genes"} for name in names]
    run = replace(run, summary=pl.concat([run.summary, pl.DataFrame(later, schema=SUMMARY)]))
    found = without_individuals(run).summary.filter(pl.col("quantity").is_in(names))
    assert found["value"].to_list() == [None, None, None, 0.123]
    assert found["n"].to_list() == [None, None, None, 7]


def test_without_the_leading_test_nothing_over_r_stays_of_all_genes(tmp_path):
    """The summary of an arm whose leading test has no quantities of its own is made anew all the same."""
    run = read_run(write_two_signs(tmp_path / "run", 0.6))
    run = replace(run, summary=run.summary.filter(~pl.col("quantity").str.contains(".", literal=True)))
    found = without_individuals(run).summary.filter(quantity="share_negative")
    shown = without_individuals(run).counted.filter(status="ok")
    for row in found.iter_rows(named=True):
        own = shown.filter(model=row["model"], read_out=row["read_out"])["pearson_r"]
        assert (row["n"], row["value"]) == (len(own), pytest.approx((own < 0).mean(), abs=5e-4))


def test_an_r_that_is_withheld_does_not_follow_from_a_difference_to_its_method():
    """All R's of both methods are known but one, which is recovered to five standard errors at best."""
    known, errors = np.random.default_rng(2).uniform(-0.2, 0.5, (2, 29)), []
    names = {"model": "elastic_net", "read_out": "", "protocol": "huang2023", "status": "ok"}
    few = pl.DataFrame({"gene_id": ["g"], "model": ["elastic_net"], "read_out": [""]})
    for r in np.linspace(-0.95, 0.95, 77):
        own = np.append(known[0], r)
        lasso = np.append(known[1], 0.3)
        per_gene = pl.DataFrame({"pearson_r": own}).with_columns(pl.lit(v).alias(k) for k, v in names.items())
        rows = baseline_rows(per_gene, (lasso - own).mean())
        shown = Disclosure(80, SPREAD, few).table("baselines", rows)["difference"][1]
        errors.append(abs(lasso.sum() - known[0].sum() - 30 * shown - r))
    cell = FEWEST / np.sqrt(80)
    assert np.median(errors) > 0.2 * cell
    assert max(errors) > 0.4 * cell


def test_a_frequency_that_is_rounded_to_0_is_not_called_0():
    """Of 80 people, six carry the allele once; the step is 0.1."""
    rare = variants().with_columns(af=pl.lit(6 / 160), carriers=pl.lit(6))
    published, _ = disclosed(page(view(variants=rare)))
    assert published.views[0].variants["af"].unique().to_list() == [0.0]
    assert {row.cells[3] for row in _rows(published.views[0])} == {"≤ 0.05"}
    assert {row.cells[3] for row in _rows(view(variants=rare))} == {"0.037"}


def dosages_of(people, *frequencies, seed=0):
    """(V, N) copies of ALT, and the frequency of the rarer allele."""
    rng = np.random.default_rng(seed)
    base = rng.random((2, people)) + 0.05 * rng.standard_normal((len(frequencies), 2, people))
    dosage = (base < np.array(frequencies)[:, None, None]).sum(1).astype(float)
    af = dosage.mean(1) / 2
    return dosage, np.minimum(af, 1 - af)


def test_covariances_of_one_carrier_tell_this_persons_genotypes_and_are_not_published():
    """The attack: (N - 1) times the covariance with a singleton is its carrier's dosage less the mean."""
    dosage, _ = dosages_of(60, 0.3, 0.5, 0.4)
    single = np.eye(60)[17]
    whole = np.cov(np.vstack([dosage, single]))
    recovered = whole[3, :3] * 59 + dosage.mean(1)
    np.testing.assert_allclose(recovered, dosage[:, 17], atol=1e-12)
    maf = np.array([*np.minimum(dosage.mean(1) / 2, 1 - dosage.mean(1) / 2), 1 / 120])
    shown, _ = disclosed_covariance(np.vstack([dosage, single]), maf)
    assert shown.tolist() == [0, 1, 2]
    nobody, nothing = disclosed_covariance(single[None], maf[3:])
    assert (len(nobody), nothing.shape) == (0, (0, 0))


@given(st.lists(st.floats(0.1, 0.9), min_size=1, max_size=8), st.integers(30, 400), st.integers(0, 99))
def test_published_covariances_are_near_the_true_ones_and_no_variance_is_negative(frequencies, people, seed):
    dosage, maf = dosages_of(people, *frequencies, seed=seed)
    shown, found = disclosed_covariance(dosage, maf)
    assert shown.tolist() == [
        v for v in range(len(maf)) if maf[v] * people >= 5 - 1e-6 and people * (1 - maf[v]) ** 2 >= 5
    ]
    if not len(shown):
        return
    assert np.linalg.eigvalsh(found).min() > -1e-9
    by = plain_step(people)
    p = (1 - np.sqrt(np.maximum(1 - 2 * np.diag(found), 0))) / 2
    assert all(
        is_rounded(one, value, by) or (one == pytest.approx(by / 2) and value <= by / 2 + 1e-9)
        for one, value in zip(p, maf[shown], strict=True)
    )
    sd, true = np.sqrt(np.diag(found)), np.atleast_2d(np.corrcoef(dosage[shown]))
    r = found / np.outer(sd, sd)
    if np.linalg.eigvalsh(r).min() < 1e-6:  # the nearest matrix was taken
        return
    for i, j in zip(*np.triu_indices(len(shown), 1), strict=True):
        assert is_rounded(r[i, j], true[i, j], plain_step(people * min(maf[shown[i]], maf[shown[j]])))


def is_rounded(found, value, by):
    """A multiple of the step, no farther off than half of it: where two are as near, either."""
    return abs(found / by - round(found / by)) < 1e-5 and abs(found - value) <= by / 2 + 1e-6


def test_few_covariances_change_when_a_person_leaves():
    dosage, maf = dosages_of(358, *np.linspace(0.1, 0.9, 9))
    _, before = disclosed_covariance(dosage, maf)
    af = dosage[:, 1:].mean(1) / 2
    _, after = disclosed_covariance(dosage[:, 1:], np.minimum(af, 1 - af))
    assert np.mean(np.isclose(before, after)) > 0.5
