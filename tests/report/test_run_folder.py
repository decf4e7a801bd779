import copy
import json

import polars as pl
import pytest
from fake_run import Plan, write_run

from hapsight.errors import StoreError
from hapsight.report.run_folder import TABLES, read_run


def test_reads_what_was_written(tmp_path) -> None:
    run = read_run(write_run(tmp_path, Plan(genes=30)))
    assert run.per_gene.height == 60
    assert [arm.label for arm in run.models] == ["xpresso/GM12878"]
    assert run.baseline is not None
    assert run.baseline.model == "elastic_net"
    assert run.missing == ()


def test_models_keep_the_order_of_the_record_and_baselines_come_last(tmp_path) -> None:
    run = read_run(write_run(tmp_path, Plan(models=("zeta", "alpha"))))
    assert [arm.model for arm in run.arms] == ["zeta", "alpha", "elastic_net"]


def test_two_read_outs_of_one_model_are_two_arms(tmp_path) -> None:
    write_run(tmp_path)
    path = tmp_path / "evaluation" / "per_gene.parquet"
    table = pl.read_parquet(path)
    other = table.filter(pl.col("model") != "elastic_net").with_columns(read_out=pl.lit("log"))
    pl.concat([table, other]).write_parquet(path)
    labels = [arm.label for arm in read_run(tmp_path).models]
    assert labels == ["xpresso/GM12878 (expression)", "xpresso/GM12878 (log)"]


def test_a_model_without_results_is_named(tmp_path) -> None:
    path = write_run(tmp_path, Plan(models=("a", "b"))) / "evaluation"
    for table in path.glob("*.parquet"):
        pl.read_parquet(table).filter(pl.col("model") != "b").write_parquet(table)
    assert read_run(tmp_path).silent == ("b",)


def test_nan_becomes_null(tmp_path) -> None:
    write_run(tmp_path)
    path = tmp_path / "evaluation" / "per_gene.parquet"
    pl.read_parquet(path).with_columns(pearson_r=pl.lit(float("nan"))).write_parquet(path)
    assert read_run(tmp_path).per_gene["pearson_r"].null_count() == 120


def test_missing_tables_are_named_and_empty(tmp_path) -> None:
    write_run(tmp_path)
    for name in TABLES:
        (tmp_path / name).unlink()
    run = read_run(tmp_path)
    assert run.missing == tuple(TABLES)
    assert run.per_gene.is_empty()
    assert run.arms == ()


def test_a_folder_that_is_no_run(tmp_path) -> None:
    with pytest.raises(
        StoreError, match=r"(?s)no run\.json.*where.*to mend: give the folder that `hapsight run`"
    ):
        read_run(tmp_path)


def test_another_format(tmp_path) -> None:
    write_run(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"format": 7}))
    with pytest.raises(StoreError, match=r'(?s)does not know.*expected: "format": 1.*got: "format": 7'):
        read_run(tmp_path)


def test_a_record_that_is_cut_off(tmp_path) -> None:
    write_run(tmp_path)
    (tmp_path / "run.json").write_text('{"format": 1, "na')
    with pytest.raises(StoreError, match=r"(?s)not JSON.*run\.json"):
        read_run(tmp_path)


def test_a_table_that_is_cut_off(tmp_path) -> None:
    path = write_run(tmp_path) / "dropped.parquet"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(StoreError, match=r"(?s)cannot be read.*dropped\.parquet.*to mend"):
        read_run(tmp_path)


def test_a_table_without_a_column(tmp_path) -> None:
    path = write_run(tmp_path) / "evaluation" / "per_gene.parquet"
    pl.read_parquet(path).drop("qval", "n").write_parquet(path)
    with pytest.raises(StoreError, match=r"(?s)lacks columns: n, qval\..*per_gene\.parquet"):
        read_run(tmp_path)


def _values(record, place=()):
    yield place
    if isinstance(record, dict):
        for key, value in record.items():
            yield from _values(value, (*place, key))
    if isinstance(record, list) and record:
        yield from _values(record[0], (*place, 0))


def test_a_record_of_wrong_types_is_refused_wherever_they_are(tmp_path) -> None:
    """Every value of a run.json, replaced by every kind of JSON; what is taken is of its kind, or null."""
    record = json.loads((write_run(tmp_path, Plan(genes=2, constant=0, people=4)) / "run.json").read_text())
    path, refused = tmp_path / "run.json", 0
    for place in [*_values(record)][1:]:
        for wrong in (None, -1, 10**30, 1e308, "x", [1], {"a": [1]}, True):
            changed = copy.deepcopy(record)
            inner = changed
            for key in place[:-1]:
                inner = inner[key]
            kind, inner[place[-1]] = type(inner[place[-1]]), wrong
            path.write_text(json.dumps(changed))
            if wrong is None or isinstance(wrong, kind):
                continue
            with pytest.raises(StoreError, match=str(path)):
                read_run(tmp_path)
            refused += 1
    assert refused > 200
