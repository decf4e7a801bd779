"""The section of training on people: what it shows of made-up tables, and that it is absent without them."""

from __future__ import annotations

import re
from importlib.util import find_spec

import numpy as np
import polars as pl
import pytest
from fake_run import write_run
from fake_training import ARMS, SEEN, write_heritability, write_training

from hapsight.cli.train import _show_cells
from hapsight.errors import StoreError
from hapsight.report.build import build_report
from hapsight.report.run_folder import read_run
from hapsight.report.training import CEILING, arm_rows, ceilings, four_cells, split_sentences
from hapsight.stages.personal_data import summarise
from hapsight.train.tables import CELLS

needs_extra = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("altair", "jinja2", "vl_convert")),
    reason="the report's extra is not installed",
)
LABELS = [
    "untouched",
    "full, pairwise_mse",
    "frozen, pairwise_mse",
    "full, mse",
    "full, pairwise_mse, random init",
    "elastic_net",
    "blup",
]


def rows_of(run):
    return {row.label: row for row in arm_rows(four_cells(run), ceilings(run))}


def test_arms_are_in_their_order_with_all_seeds_together(tmp_path) -> None:
    genes = write_training(tmp_path)
    cells = four_cells(tmp_path)
    assert cells["label"].unique(maintain_order=True).to_list() == LABELS
    assert cells.height == len(LABELS) * len(CELLS)
    one = cells.row(by_predicate=(pl.col("label") == LABELS[2]) & (pl.col("cell") == CELLS[1]), named=True)
    mine = genes.filter(pl.col("mode") == "frozen", pl.col("cell") == CELLS[1])
    found = mine.filter(pl.col("qval_nominal") < 0.05)
    assert one["mean_r"] == pytest.approx(mine["pearson_r"].mean())
    assert one["mean_r_all"] == pytest.approx(one["mean_r"])
    assert one["significant"] == pytest.approx(found.height / 3)
    assert one["wrong"] == pytest.approx((found["pearson_r"] < 0).mean())
    assert (one["seeds"], one["genes"], one["genes_ok"]) == (3, SEEN, SEEN)


def test_one_seed_stands_by_itself(tmp_path) -> None:
    write_training(tmp_path, seeds=1)
    assert set(four_cells(tmp_path)["seeds"]) == {0, 1}
    assert rows_of(tmp_path)["full, mse"].seeds == "1"
    assert " a seed" not in rows_of(tmp_path)["full, mse"].cells[0].significant


def test_a_baseline_counts_the_genes_it_says_nothing_of(tmp_path) -> None:
    genes = write_training(tmp_path).filter(pl.col("model") == "elastic_net", pl.col("cell") == CELLS[1])
    row = rows_of(tmp_path)["elastic_net"]
    assert (row.kind, row.seeds, row.model) == ("linear", "–", "linear in dosages")
    assert row.cells[1].genes == "51 of 60 genes"
    assert row.cells[1].r_all == f"{genes['pearson_r'].sum() / SEEN:.3f} over all"
    assert [(cell.r, cell.genes) for cell in row.cells[2:]] == [("–", "no model")] * 2


def test_the_ceiling_is_of_the_genes_of_the_cell(tmp_path) -> None:
    write_training(tmp_path)
    assert CEILING not in rows_of(tmp_path)
    h2 = write_heritability(tmp_path)
    seen = np.sqrt([value for gene, value in h2.items() if gene.startswith("SEEN")])
    assert ceilings(tmp_path) == {
        CELLS[1]: (pytest.approx(seen.mean()), SEEN - 1),
        CELLS[2]: (pytest.approx(0.3), 20),
        CELLS[3]: (pytest.approx(0.3), 20),
    }
    last = arm_rows(four_cells(tmp_path), ceilings(tmp_path))[-1]
    assert (last.label, last.kind) == (CEILING, "ceiling")
    assert [cell.r for cell in last.cells] == ["–", f"{seen.mean():.3f}", "0.300", "0.300"]


def test_what_was_varied_is_named(tmp_path) -> None:
    write_training(tmp_path, seeds=1, people=(100, 200), min_maf=(0.0, 0.05), baselines=("blup",))
    found = rows_of(tmp_path)
    assert len(found) == 2 * (2 * len(ARMS) + 1)
    assert {"untouched, 100 people, MAF ≥ 0.05", "blup, 200 people"} <= set(found)
    assert found["full, mse, 100 people, MAF ≥ 0.0"].people == "100"
    assert len(split_sentences(tmp_path)) == 2


def test_a_split_is_told_in_a_sentence(tmp_path) -> None:
    write_training(tmp_path)
    assert split_sentences(tmp_path) == (
        "Seen: 200 people and 60 genes, to which weights are fitted. Unseen: 50 people and 20 genes. In no "
        "cell: 20 people by whom it is decided when to stop, and 1 gene too near to an unseen one.",
    )


def test_without_unseen_genes_their_cells_are_empty(tmp_path) -> None:
    write_training(tmp_path, unseen=0)
    assert {(cell.r, cell.genes) for row in rows_of(tmp_path).values() for cell in row.cells[2:]} == {
        ("–", "no genes")
    }


def test_a_table_of_another_version_is_refused(tmp_path) -> None:
    write_training(tmp_path)
    path = tmp_path / "train/grid_summary.parquet"
    pl.read_parquet(path).drop("loss").write_parquet(path)
    with pytest.raises(StoreError, match=r"lacks columns: loss(.|\n)*grid_summary"):
        four_cells(tmp_path)


def test_the_command_prints_the_numbers_of_the_report(tmp_path, capsys) -> None:
    write_training(tmp_path)
    write_heritability(tmp_path)
    _show_cells(tmp_path, "grid")
    printed = " ".join(capsys.readouterr().out.split())
    for row in rows_of(tmp_path).values():
        for cell in row.cells:
            assert f"{cell.r} {cell.r_interval}".strip() in printed
            assert f"{cell.wrong} {cell.wrong_interval}".strip() in printed
    assert all(cell in printed for cell in CELLS)


@needs_extra
def test_pictures_share_a_scale_and_say_what_is_not_there(tmp_path) -> None:
    from hapsight.report.training import training_figure

    write_training(write_run(tmp_path))
    write_heritability(tmp_path)
    figure = training_figure(read_run(tmp_path))
    assert [panel.title.lower() for panel in figure.panels] == list(CELLS)
    specs = [panel.spec for panel in figure.panels]
    scales = [
        layer["encoding"]["x"]["scale"]["domain"]
        for spec in specs
        for layer in spec["layer"]
        if "scale" in layer["encoding"].get("x", {})
    ]
    assert len(scales) == 8
    assert all(scale == scales[0] for scale in scales)
    low, high = scales[0]
    drawn = figure.numbers.select("mean_r", "ci_low", "ci_high", "ceiling").unpivot().drop_nulls()["value"]
    assert (low, high) == (min(0.0, drawn.min()), drawn.max())
    unseen = [row for rows in specs[3]["datasets"].values() for row in rows if row.get("label") == "blup"]
    assert [row["mean R"] for row in unseen] == ["no number"]
    assert "blup: no number" in specs[3]["description"]
    assert figure.panels[0].caption == ("60 genes.",)
    assert figure.panels[3].caption == ("20 genes. Dashed: the ceiling, 0.300 over 20 genes.",)


@needs_extra
@pytest.mark.usefixtures("light")
def test_the_report_has_the_section_where_there_is_a_grid(tmp_path) -> None:
    assert "Training on people" not in build_report(write_run(tmp_path)).read_text()
    write_training(tmp_path)
    write_heritability(tmp_path)
    page = build_report(tmp_path).read_text()
    section = re.search(r'(?s)<section id="training_on_people">(.*?)<section id="tests">', page).group(1)
    text = " ".join(re.sub(r"(?s)<script.*?</script>|<[^>]*>", " ", section).split())
    assert not re.search(r"\b(NaN|nan|None|null|undefined|inf)\b", text)
    for row in rows_of(tmp_path).values():
        assert row.label in text
        assert all(cell.r in text for cell in row.cells)
    assert text.count("How to read this") == 2
    numbers = pl.read_csv(tmp_path / "report/training.csv")
    assert numbers.height == len(LABELS) * len(CELLS)
    assert numbers.filter(pl.col("cell") == CELLS[0])["ceiling"].is_null().all()


def test_a_training_that_ended_constant_is_called_so(tmp_path) -> None:
    genes = write_training(tmp_path)
    dead = (pl.col("init") == "random") & (pl.col("seed") == 2)
    blank = [
        pl.when(dead).then(None).otherwise(pl.col(name)).alias(name)
        for name in ("pearson_r", "spearman_r", "pval_nominal", "qval_nominal")
    ]
    status = pl.when(dead).then(pl.lit("constant_prediction")).otherwise("status").alias("status")
    summarise(genes.with_columns(*blank, status)).write_parquet(tmp_path / "train/grid_summary.parquet")
    cells = four_cells(tmp_path)
    arm = next(row for row in arm_rows(cells, {}) if row.label == "full, pairwise_mse, random init")
    assert arm.seeds == "3, 1 constant"
    assert 0.08 < float(arm.cells[1].r) < 0.18  # two thirds of 0.2
    one = cells.filter(pl.col("label") == arm.label, pl.col("cell") == CELLS[1]).row(0, named=True)
    said = arm_rows(cells.with_columns(mean_r=None), {})
    assert {row.cells[1].genes for row in said if row.kind == "trained"} == {"constant predictions"}
    assert one["constant_seeds"] == 1
