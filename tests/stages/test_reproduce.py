"""The published tables, where they are; and tables made up in their form."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hapsight.cli.data import _add_reproduce
from hapsight.errors import InputError
from hapsight.stages.reproduce import reproduce_huang2023, reproduce_sasse2023

SASSE_HEADER = "\t".join(
    [
        *("# gene_name", "MeanObs", "PearsonRCAGE,adult,brain", "MeanCAGE,adult,brain"),
        *("RmeanRandom", "Rstdrandom", "PrediXcanR"),
    ]
)
SASSE_ROWS = [
    "A\t1.0\t0.5\t2.0\t0.1\t0.05\t0.3",
    "B\t2.0\t-0.4\t1.0\t0.1\t0.05\tNaN",
    "C\t3.0\t0.01\t4.0\t0.009\t0.0\t0.1",
    "D\t4.0\tnan\t2.5\t0.0\t0.0\tNaN",
]
PREDICTIONS = "gene,Xpresso,Enformer,Basenji2,ExPecto\na,1,2,3,4\nb,2,1,4,3\nc,3,4,5,6\n"
EQTLS = ",distance,minor_allele_freq,rvalue\n0,100,0.1,-0.5\n1,,,\n2,3000,,0.2\n3,50,0.3,0.4\n"


@pytest.fixture
def files(tmp_path) -> dict[str, Path]:
    texts = {"table": "\n".join([SASSE_HEADER, *SASSE_ROWS]), "predictions": PREDICTIONS, "eqtls": EQTLS}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return {name: tmp_path / name for name in texts}


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    _add_reproduce(app)
    return app


def test_published_tables_give_every_number(shared_data, app, tmp_path):
    folder = shared_data / "published"
    arguments = {
        "sasse2023": ["--table", folder / "sasse2023_table1_genes.tsv"],
        "huang2023": [
            *("--predictions", folder / "huang2023_reference_predictions.csv"),
            *("--eqtls", folder / "huang2023_top_eqtls.csv"),
        ],
    }
    for (study, options), count in zip(arguments.items(), (34, 12), strict=True):
        written = tmp_path / f"{study}.json"
        command = ["reproduce", study, *map(str, options), "--json", str(written)]
        result = CliRunner().invoke(app, command, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert f"{count} of {count} equal" in result.output
        found = json.loads(written.read_text())
        assert len(found) == count
        assert all(row["equal"] for row in found)


def test_another_table_differs_and_says_so(files, app):
    result = CliRunner().invoke(app, ["reproduce", "sasse2023", "--table", str(files["table"])])
    assert result.exit_code == 1
    lines = {line.split("  ")[0]: line.split() for line in result.output.splitlines()}
    assert lines["genes with R"][-4:] == ["6808", "3", "-6.8e+03", "NO"]
    assert lines["highest R"][-4:] == ["0.846", "0.500", "-0.35", "NO"]
    assert lines["highest R, gene"][-3:] == ["DDX11", "A", "NO"]
    assert "of 34 equal" in result.output


def test_absent_numbers_are_left_out(files):
    found = {row.quantity: row for row in reproduce_sasse2023(files["table"])}
    assert found["genes with R"].ours == "3"
    assert found["PrediXcan: genes with a model"].ours == "2"
    found = {row.quantity: row for row in reproduce_huang2023(files["predictions"], files["eqtls"])}
    assert found["genes with a top eQTL"].ours == "3"
    assert found["top eQTL: Spearman of abs(r) and MAF"].ours == "-1.000"


def test_a_table_without_a_column(files):
    files["table"].write_text(files["table"].read_text().replace("RmeanRandom", "Rmean"))
    with pytest.raises(
        InputError, match=r"(?s)lacks columns: RmeanRandom\..*where: .*table.*got: gene_name, "
    ):
        reproduce_sasse2023(files["table"])
    with pytest.raises(InputError, match=r"lacks columns: Xpresso, Enformer, Basenji2, ExPecto\."):
        reproduce_huang2023(files["eqtls"], files["eqtls"])


def test_text_where_a_number_belongs(files):
    files["eqtls"].write_text(EQTLS.replace("3000", "3 kb"))
    with pytest.raises(
        InputError, match=r"(?s)column distance .*must hold numbers.*got: '3 kb', in 1 of 4 rows"
    ):
        reproduce_huang2023(files["predictions"], files["eqtls"])


def test_no_file_and_no_rows(files, tmp_path):
    with pytest.raises(InputError, match=r"(?s)cannot be read.*where: .*none\.tsv"):
        reproduce_sasse2023(tmp_path / "none.tsv")
    files["table"].write_text(SASSE_HEADER + "\n")
    with pytest.raises(InputError, match="has no rows"):
        reproduce_sasse2023(files["table"])
