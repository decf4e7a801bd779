"""A cohort whose phenotypes are peaks, from end to end."""

import re

import polars as pl
import pysam
import pytest
from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.cohort.expression import read_expression
from hapsight.cohort.nouns import Strand
from hapsight.errors import ConfigError, InputError
from hapsight.models.protocol import ModelWindow
from hapsight.models.registry import register
from hapsight.report.words import of_peaks, page_of_peaks, spec_of_peaks
from hapsight.run.config import load_config
from hapsight.run.opened import Opened
from tests.conftest import without_vega
from tests.planted import DOWNSTREAM, UPSTREAM, ToyModel, load_toy, write_planted

PEAKS = ("up1", "up2", "down1", "null1", "bare")


class ForwardToy(ToyModel):
    """The toy, which reads the genome's forward strand."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.window = ModelWindow(UPSTREAM, DOWNSTREAM, oriented=False)
        self.fingerprint = f"forward-{seed}"


def load_forward(weights=None, *, device="cpu", seed=0):
    return ForwardToy(seed)


def as_peaks(folder, config, strand="."):
    """The rows of the phenotype BED as peaks of 200 bases, or 201 of the second, about their places."""
    with pysam.BGZFile(str(folder / "expression.bed.gz")) as file:
        header, *rows = [line.decode().split("\t") for line in file]
    made = [[*header[:4], "strand", *header[4:]]]
    for number, (contig, start, _, name, *values) in enumerate(rows):
        first = int(start) - 100
        made.append([contig, str(first), str(first + 200 + (number == 1)), name, strand, *values])
    path = folder / "peaks.bed"
    path.write_text("".join("\t".join(row) + "\n" for row in made))
    text = config.read_text().replace('genes = "genes.tsv"\n', "")
    text = text.replace('"expression.bed.gz"', '"peaks.bed"\nphenotype = "peaks"')
    text = text.replace("null_draws = 499", "null_draws = 99\npermutations = 99")
    text += "\n[eqtl]\npermutations = 100\ncis_window = 600\n[explain]\nrun = true\nmotifs = false\n"
    made_config = config.with_name("peaks.toml")
    made_config.write_text(text)
    return made_config


def call(*arguments):
    with register("toy", load_forward), pytest.MonkeyPatch.context() as patch:
        without_vega(patch)
        return CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("peaks")
    planted = write_planted(folder, names=PEAKS, strands=(Strand.PLUS, Strand.PLUS))
    config = as_peaks(folder, planted.config)
    found = call("run", config)
    assert found.exit_code == 0, found.output
    return planted, config, found.output


def test_peaks_are_read_at_their_centres(planted):
    table = pl.read_parquet(planted[0].folder / "run/evaluation/per_gene.parquet")
    toy = {row["gene_id"]: row for row in table.filter(pl.col("model") == "toy").iter_rows(named=True)}
    assert {name: row["tss"] for name, row in toy.items()} == {g.gene_id: g.tss for g in planted[0].genes}
    assert {row["strand"] for row in toy.values()} == {None}
    assert toy["up1"]["pearson_r"] > 0.8
    assert toy["up2"]["pearson_r"] > 0.8
    assert toy["down1"]["pearson_r"] < -0.8
    assert toy["bare"]["status"] == "no_variants"


def test_every_stage_runs_on_peaks(planted):
    run = planted[0].folder / "run"
    top = pl.read_parquet(run / "eqtl/cis_qtl.parquet")
    assert set(top["phenotype_id"]) == set(PEAKS)
    assert pl.read_parquet(run / "evaluation/direction.parquet").height
    net = pl.read_parquet(run / "evaluation/per_gene.parquet").filter(pl.col("model") == "elastic_net")
    assert net.filter(pl.col("gene_id") == "up1")["pearson_r"].item() > 0.4
    found = call("drivers", planted[1])
    assert found.exit_code == 0, found.output
    drivers = pl.read_parquet(run / "explain/drivers.parquet")
    assert "up1" in drivers["gene_id"].to_list()
    found = call("pages", planted[1], "up1")
    assert found.exit_code == 0, found.output
    page = read_text(run / "report/genes/up1.html")
    assert "centre" in page
    assert not re.search(r"\b(genes?|TSS|expression)\b", page)
    assert call("report", run).exit_code == 0


def read_text(path):
    """What a reader can see."""
    html = re.sub(r"(?s)<(script|style|code).*?</\1>", " ", path.read_text())
    return re.sub(r"\S*genes\.csv", "", re.sub(r"<[^>]*>", " ", html))


def test_the_reports_words_follow(planted):
    text = read_text(planted[0].folder / "run/report.html")
    assert "does the model know whether the peak goes up or down" in text
    left = re.findall(r".{30}\b(?:genes?|Genes?|TSS|expression)\b.{30}", re.sub(r"\s+", " ", text))
    assert [line for line in left if "keep_genes" not in line] == []
    html = (planted[0].folder / "run/report.html").read_text()
    assert '"noun":"peak"' in html
    assert 'href="report/genes.csv"' in html


def test_a_report_of_genes_says_genes(finished):
    cohort, _ = finished
    assert "does the model know whether the gene goes up or down" in read_text(
        cohort.folder / "run/report.html"
    )
    assert '"noun":"gene"' in (cohort.folder / "run/report.html").read_text()


def test_strands_of_peaks_are_not_used_and_that_is_said(planted, tmp_path):
    copy = write_planted(tmp_path, names=PEAKS, strands=(Strand.PLUS, Strand.PLUS))
    config = as_peaks(tmp_path, copy.config, strand="+")
    cohort = Opened.from_config(load_config(config)).cohort
    assert {gene.strand for gene in cohort.genes} == {None}
    assert "5 of 5 peaks have a strand, which is not used" in cohort.notes
    again = Opened.from_config(load_config(planted[1])).cohort
    assert [gene.tss for gene in cohort.genes] == [gene.tss for gene in again.genes]


def test_without_the_key_the_error_names_it(planted):
    text = planted[1].read_text().replace('phenotype = "peaks"\n', "")
    config = planted[1].with_name("unsaid.toml")
    config.write_text(text)
    with pytest.raises(InputError, match="genes have no TSS") as error:
        Opened.from_config(load_config(config))
    assert 'phenotype = "peaks"' in error.value.details["to mend"]


def test_a_model_with_a_direction_refuses_peaks(planted):
    with register("toy", load_toy), pytest.raises(ConfigError, match="needs the gene's strand") as error:
        CliRunner().invoke(app, ["predict", str(planted[1])], catch_exceptions=False)
    assert "peaks have no strand" in error.value.details["to mend"]


def test_peaks_and_a_gene_table_contradict_each_other(planted):
    config = planted[1].with_name("both.toml")
    config.write_text(planted[1].read_text().replace("[cohort]", '[cohort]\ngenes = "genes.tsv"'))
    with pytest.raises(ConfigError, match="leave one of both out"):
        load_config(config)


def test_centres_of_peaks(tmp_path):
    """Of an even length the base behind the middle, 0-based half-open."""
    path = tmp_path / "p.bed"
    path.write_text(
        "#chr\tstart\tend\tphenotype_id\tA\nchr1\t100\t200\ta\t1\nchr1\t100\t201\tb\t1\nchr1\t7\t8\tc\t1\n"
    )
    assert [gene.tss for gene in read_expression(path, "peaks").genes] == [150, 150, 7]


def test_words_change_and_names_do_not():
    assert of_peaks("A gene’s expression at its TSS; keep_genes, report/genes.csv, gene_id") == (
        "A peak’s signal at its centre; keep_genes, report/genes.csv, gene_id"
    )
    html = '<a href="x/genes.html" title="All genes">Genes</a><script>gene</script><code>gene</code>'
    assert page_of_peaks(html) == (
        '<a href="x/genes.html" title="All peaks">Peaks</a><script>gene</script><code>gene</code>'
    )
    spec = {"title": ["genes", "TSS"], "field": "gene", "data": {"values": [{"gene": "gene"}]}}
    assert spec_of_peaks(spec) == {
        "title": ["peaks", "centre"],
        "field": "gene",
        "data": {"values": [{"gene": "gene"}]},
    }
