import polars as pl
import pytest
from fake_run import Plan, write_run

from hapsight.report.cards import cards, gene_columns, gene_rows, outcome, summary_rows
from hapsight.report.run_folder import read_run


@pytest.fixture
def run(tmp_path):
    return read_run(write_run(tmp_path, Plan(genes=40, constant=3)))


@pytest.mark.parametrize(
    ("status", "r", "q", "permuted", "folds", "words"),
    [
        ("ok", 0.3, 0.01, 0.01, None, "significant, right sign"),
        ("ok", -0.3, 0.01, 0.01, None, "significant, wrong sign"),
        ("ok", 0.3, 0.05, 0.05, None, "not significant"),
        ("ok", 0.3, 0.05, None, None, "not significant"),
        ("ok", -0.82, 0.44, 1e-3, None, "no better than random weights"),
        ("ok", 0.3, 0.05, 1e-3, 0.05, "not significant"),  # held out: not held against random weights
        ("ok", None, None, None, None, "tested, no q"),
        ("constant_prediction", None, None, None, None, "same prediction for everybody"),
        ("no_model", None, None, None, None, "no model: every fold constant"),
        ("something_new", None, None, None, None, "something_new"),
        (None, None, None, None, None, "–"),
    ],
)
def test_outcome(status, r, q, permuted, folds, words) -> None:
    values = {"pearson_r": r, "qval": q, "qval_permutation": permuted, "qval_folds": folds}
    schema = {"status": pl.String, **dict.fromkeys(values, pl.Float64)}
    table = pl.DataFrame([{"status": status, **values}], schema=schema)
    assert table.select(outcome()).item() == words


def test_columns_equal_the_rows(run) -> None:
    """The compact columns, unrolled gene by gene, are the rows of the CSV."""
    table = gene_columns(run)
    rows = {(row["gene_id"], row["model"]): row for row in gene_rows(run).iter_rows(named=True)}
    for arm in table["arms"]:
        for i, gene_id in enumerate(table["genes"]["id"]):
            row = rows[gene_id, arm["label"]]
            assert table["genes"]["tss"][i] == row["tss"] + 1
            assert table["outcomes"][arm["columns"]["outcome"][i]] == row["outcome"]
            assert arm["columns"]["r"][i] == pytest.approx(row["pearson_r"], abs=5.1e-5)
            assert arm["columns"]["q"][i] == (
                None if row["qval"] is None else pytest.approx(row["qval"], rel=6e-3)
            )
            assert arm["columns"]["variants"][i] == row["n_variants"]
    assert len(rows) == 80


def test_a_gene_that_only_the_baseline_has(tmp_path) -> None:
    path = write_run(tmp_path) / "evaluation" / "per_gene.parquet"
    table = pl.read_parquet(path)
    table.filter((pl.col("model") == "elastic_net") | (pl.col("gene_name") != "GENE7")).write_parquet(path)
    columns = gene_columns(read_run(tmp_path))
    place = columns["genes"]["name"].index("GENE7")
    model, baseline = (arm["columns"] for arm in columns["arms"])
    assert model["r"][place] is None
    assert model["outcome"][place] is None
    assert baseline["r"][place] is not None


def test_the_baseline_stands_beside_each_row(run) -> None:
    rows = gene_rows(run)
    other = dict(rows.filter(pl.col("model") == "elastic_net").select("gene_id", "pearson_r").iter_rows())
    assert all(row["baseline_r"] == other[row["gene_id"]] for row in rows.iter_rows(named=True))


def test_cards_carry_their_n(run) -> None:
    made = cards(run, run.models[0])
    assert [card.colour for card in made] == ["model"] * 4 + ["baseline"]
    assert all("n = 37 genes" in card.basis for card in made[1:])
    assert made[0].basis == "n = 40 genes"
    assert "coin would give 50 %" in made[2].sentence


def test_cards_without_numbers_say_so(tmp_path) -> None:
    path = write_run(tmp_path) / "evaluation" / "summary.parquet"
    pl.read_parquet(path).filter(pl.col("quantity") == "genes_ok").write_parquet(path)
    run = read_run(tmp_path)
    for card in cards(run, run.models[0]):
        assert card.number == "–"
        assert "not in this run" in card.basis


@pytest.mark.parametrize(
    ("significant", "negative", "sentence"),
    [
        (
            0.0,
            0.0,
            "0 of 56 genes stand out from random weights on the same variants, but 5 from people permuted "
            "within populations (3 of them with R < 0): R can be large and p tiny where random weights reach",
        ),
        (1.0, 1.0, "1 of 56 genes stands out from random weights on the same variants (with R < 0), but 5"),
        (10.0, 4.0, "random weights on the same variants (4 of them with R < 0), and 5 from people permuted"),
        (10.0, 0.0, "random weights on the same variants (none of them with R < 0), and 5 from"),
    ],
)
def test_significant_card(tmp_path, significant, negative, sentence) -> None:
    """Both tests in one sentence, so that a large R with a small p that is not significant is understood."""
    path = write_run(tmp_path) / "evaluation" / "summary.parquet"
    values = {"significant": significant, "significant_negative": negative}
    values |= {"significant.permutation": 5.0, "significant_negative.permutation": 3.0}
    value = pl.col("quantity").replace_strict(values, default=0.5, return_dtype=pl.Float64)
    pl.read_parquet(path).with_columns(value=value).write_parquet(path)
    run = read_run(tmp_path)
    card = next(card for card in cards(run, run.models[0]) if card.title == "Significant genes")
    assert sentence in card.sentence


def test_one_summary_row_per_arm(tmp_path) -> None:
    run = read_run(write_run(tmp_path, Plan(models=("a", "b"))))
    rows = summary_rows(run)
    assert [row.label for row in rows] == ["a", "b", "elastic_net"]
    assert rows[2].cells[0] == ("–", "not in this run")
