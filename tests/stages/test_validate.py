"""Validations from end to end, on a cohort whose truth is the toy model."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from hapsight.cli.validate import register as register_commands
from hapsight.cohort.nouns import Interval
from hapsight.cohort.reference import Reference
from hapsight.dna import decode
from hapsight.errors import ConfigError, InputError
from hapsight.explain.elements import element_effects
from hapsight.explain.tables import EXPLAIN_EFFECTS, EXPLAIN_ELEMENTS
from hapsight.models.elements import ElementSum
from hapsight.models.registry import register
from hapsight.run.blocks import blocks_of_size
from hapsight.run.config import load_config
from hapsight.stages.explain import explain
from hapsight.stages.validate_abstention import ABSTENTION_GENES
from hapsight.stages.validation import (
    CRISPRI_EFFECTS,
    EQTL_EFFECTS,
    MODALITY_EFFECTS,
    MPRA_EFFECTS,
    QTL_EFFECTS,
)
from hapsight.stages.valued_units import valuer_of
from hapsight.tables import VALIDATION
from tests.cohort.files import write_table
from tests.engine.test_elements import Element
from tests.planted import (
    DOWNSTREAM,
    UPSTREAM,
    ToyModel,
    load_toy,
    opened_with_models,
    quiet,
    require_columns,
    write_planted,
)

MPRA_HEADER = ["Chrom", "Pos", "Ref", "Alt", "Barcodes", "Coefficient", "pValue", "Element", "Release"]


def call(*arguments: object):
    app = typer.Typer()
    register_commands(app)
    with register("toy", load_toy):
        return CliRunner().invoke(app, ["validate", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    planted = write_planted(tmp_path_factory.mktemp("validate"), names=("up1", "up2", "down1"))
    section = "\n[eqtl]\npermutations = 100\ncis_window = 600\n"
    planted.config.write_text(planted.config.read_text() + section)
    return planted


def base_at(planted, position: int) -> str:
    reference = Reference(planted.folder / "genome.fa.gz")
    return decode(reference.fetch(Interval("chr1", position, position + 1)))


def toy_effect(gene, position: int, ref: str, alt: str) -> float:
    """What the toy model makes of an exchanged base."""
    minus = gene.strand == "-"
    index = UPSTREAM + (gene.tss - position if minus else position - gene.tss)
    codes = ["ACGT".index(base) for base in (ref, alt)]
    one, other = (3 - code if minus else code for code in codes)
    weights = ToyModel().weights.numpy()
    return float(weights[index, other] - weights[index, one])


def mpra_table(planted, sign: int, out_of_reach: int = 0) -> Path:
    """All exchanges of 40 bases upstream of the second gene, whose coefficients are the toy's effects."""
    gene, rows = planted.genes[1], []
    for position in range(gene.tss + 100, gene.tss + 140):
        ref = base_at(planted, position)
        for alt in "ACGT".replace(ref, ""):
            effect = sign * toy_effect(gene, position, ref, alt)
            rows.append(["1", position + 1, ref, alt, 50, effect, 0.1, "E", "GRCh38"])
    for position in range(gene.tss + 400, gene.tss + 400 + out_of_reach):
        ref = base_at(planted, position)
        rows.append(["1", position + 1, ref, "-", 50, 1.0, 0.1, "E", "GRCh38"])
    return write_table(planted.folder / f"mpra{sign}.tsv", [MPRA_HEADER, *rows])


def tables(folder: Path, assay: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    effects, summary = (pl.read_parquet(folder / f"{name}.parquet") for name in (assay, f"{assay}_summary"))
    for name, table in ((assay, effects), (f"{assay}_summary", summary)):
        read = pl.read_csv(folder / f"{name}.tsv", separator="\t", infer_schema=False)
        assert read.columns == table.columns
        assert len(read) == len(table)
    assert dict(summary.schema) == VALIDATION
    return effects, summary


def value(summary: pl.DataFrame, predictor: str, quantity: str, stratum: str = "all") -> float:
    row = summary.filter(
        (pl.col("predictor") == predictor) & (pl.col("quantity") == quantity) & (pl.col("stratum") == stratum)
    )
    return row["value"].item()


@pytest.mark.parametrize("sign", [1, -1])
def test_mpra(planted, tmp_path, sign):
    found = call("mpra", planted.config, "--table", mpra_table(planted, sign, 2), "--out", tmp_path)
    assert found.exit_code == 0, found.output
    assert "left out, variant, beyond the window of toy: 2 (E chr1:" in found.output
    effects, summary = tables(tmp_path, "mpra")
    assert dict(effects.schema) == MPRA_EFFECTS
    assert effects["gene_id"].unique().to_list() == ["up2"]
    assert effects["tss_distance"].is_between(-139, -100).all()  # upstream of a gene on the minus strand
    np.testing.assert_allclose(effects["effect"], sign * effects["coefficient"], atol=1e-4)
    assert value(summary, "model", "pearson") == pytest.approx(sign, abs=1e-5)
    assert value(summary, "model", "sign_agrees") == (sign + 1) / 2
    assert value(summary, "model", "spearman_size") == pytest.approx(1, abs=1e-3)
    assert abs(value(summary, "distance", "pearson")) < 0.5
    assert len(summary.filter(pl.col("stratum").str.starts_with("effect decile"))) == 10
    record = json.loads((tmp_path / "mpra.json").read_text())
    assert record["options"]["anchor"] == "gene"
    assert record["summary"][0]["model"] == "toy"
    assert [row["count"] for row in record["dropped"]] == [2]


def test_mpra_with_the_window_on_the_element(planted, tmp_path):
    table = mpra_table(planted, 1)
    found = call("mpra", planted.config, "--table", table, "--anchor", "element", "--out", tmp_path)
    assert found.exit_code == 0, found.output
    effects, summary = tables(tmp_path, "mpra")
    gene = planted.genes[1]
    middle = gene.tss + 120
    moved = type(gene)(gene.gene_id, gene.contig, middle, gene.strand)
    for row in effects.sample(10, seed=1).iter_rows(named=True):
        expected = toy_effect(moved, row["position"], row["ref"], row["alt"])
        assert row["effect"] == pytest.approx(expected, abs=1e-4)
    assert abs(value(summary, "model", "pearson")) < 0.5


def test_mpra_of_a_gene_out_of_reach(planted, tmp_path):
    with pytest.raises(InputError, match="No element of the MPRA table lies in the window") as error:
        call("mpra", planted.config, "--table", mpra_table(planted, 1), "--gene", "UP1", "--out", tmp_path)
    assert "beyond the window of toy at up1: E" in error.value.details["got"]
    with pytest.raises(ConfigError, match="The cohort has no gene 'NONE'"):
        call("mpra", planted.config, "--table", mpra_table(planted, 1), "--gene", "NONE", "--out", tmp_path)


def crispri_table(planted) -> Path:
    header = ["chrom", "chromStart", "chromEnd", "name", "startTSS", "measuredGeneSymbol"]
    header += ["measuredGeneEnsemblId", "Regulated"]
    rows, rng = [], np.random.default_rng(3)
    opened, (run,) = opened_with_models(planted.config)
    valuer = valuer_of(opened, run)
    for number in range(24):
        gene = planted.genes[number % 3]
        start = gene.tss + int(rng.choice([-1, 1]) * rng.integers(40, 150))
        found = element_effects(
            gene, Interval("chr1", start, start + 20), valuer, opened.cohort.reference.fetch, rng
        )
        truth = "TRUE" if found.mask[0] < -2 else "FALSE"
        rows.append(["chr1", start, start + 20, f"p{number}", gene.tss, gene.gene_name, "x", truth])
    tss = planted.genes[0].tss
    rows.append(["chr1", tss + 900, tss + 950, "far", tss, "UP1", "x", "FALSE"])
    rows.append(["chr1", tss - 10, tss + 10, "on", tss, "UP1", "x", "FALSE"])
    rows.append(["chr1", tss + 50, tss + 60, "strandless", tss, "?", "x", "FALSE"])
    return write_table(planted.folder / "crispri.tsv", [header, *rows])


def test_crispri(planted, tmp_path):
    table = crispri_table(planted)
    found = call("crispri", planted.config, "--table", table, "--draws", 3, "--out", tmp_path)
    assert found.exit_code == 0, found.output
    effects, summary = tables(tmp_path, "crispri")
    assert dict(effects.schema) == CRISPRI_EFFECTS
    assert len(effects) == 24
    assert value(summary, "model", "share_fitting") == pytest.approx(24 / 27)
    assert value(summary, "mask", "auprc") == 1
    gain = value(summary, "mask", "auprc_gain")
    assert gain == pytest.approx(1 - value(summary, "distance", "auprc"))
    assert gain > 0
    record = json.loads((tmp_path / "crispri.json").read_text())
    assert {row["reason"]: row["names"] for row in record["dropped"]} == {
        "toy: beyond the model's window": ["far"],
        "toy: the element holds the TSS": ["on"],
        "toy: the gene's strand is not known": ["strandless"],
    }
    again = call("crispri", planted.config, "--table", table, "--draws", 3, "--out", tmp_path / "again")
    assert again.exit_code == 0
    assert effects.equals(pl.read_parquet(tmp_path / "again" / "crispri.parquet"))


def eqtl_table(planted) -> Path:
    """A user's: slopes that are the toy's effects in the first gene, and the opposite in the second."""
    rows = []
    for gene, sign in zip(planted.genes, (1, -1), strict=False):
        for step in range(-80, 80, 8):
            position = gene.tss + step + 1
            ref = base_at(planted, position)
            alt = "ACGT"[("ACGT".index(ref) + 1) % 4]
            slope = sign * toy_effect(gene, position, ref, alt)
            rows.append(
                [f"{gene.gene_id}", f"1_{position + 1}_{ref}_{alt}_b38", slope, (0.95, 0.2)[sign < 0]]
            )
    ref = base_at(planted, 99)
    rows.append(["up1", f"1_100_{ref}_{'CA'[ref == 'C']}", 1.0, 0.5])
    rows.append(["up1", f"1_100_{'CA'[ref == 'C']}_{ref}", 1.0, 0.5])
    rows += [["up9", "1_100_A_C", 1.0, 0.5], ["up1", "rs1", 1.0, ""], rows[0]]
    return write_table(planted.folder / "eqtl.tsv", [["phenotype_id", "variant_id", "slope", "pip"], *rows])


def test_eqtls_of_a_user(planted, tmp_path):
    found = call("eqtl", planted.config, "--table", eqtl_table(planted), "--controls", 0, "--out", tmp_path)
    assert found.exit_code == 0, found.output
    effects, summary = tables(tmp_path, "eqtl")
    assert dict(effects.schema) == EQTL_EFFECTS
    assert len(effects) == 40
    assert value(summary, "model", "sign_agrees") == 0.5
    assert value(summary, "model", "sign_agrees", "pip >= 0.9") == 1
    assert value(summary, "model", "spearman", "pip >= 0.9") == pytest.approx(1)
    assert value(summary, "model", "sign_auroc", "pip 0.1 to 0.5") == 0
    record = json.loads((tmp_path / "eqtl.json").read_text())
    assert {row["reason"]: row["count"] for row in record["dropped"]} == {
        "not one of the cohort's": 1,
        "its name gives no place and alleles": 1,
        "REF differs from the FASTA": 1,
        "a second row of the gene and variant": 1,
        "beyond the window of toy": 1,
    }


def test_own_eqtls_with_controls(planted, tmp_path):
    found = call("eqtl", planted.config, "--max-p", 0.01, "--controls", 1, "--out", tmp_path)
    assert found.exit_code == 0, found.output
    effects, summary = tables(tmp_path, "eqtl")
    cases, controls = (effects.filter(pl.col("eqtl") == which) for which in (True, False))
    units = pl.concat(
        map(pl.read_parquet, sorted((planted.folder / "run/eqtl").glob("block-*.nominal.parquet")))
    )
    assert len(cases) == 3
    assert len(controls) > 0
    for row in cases.iter_rows(named=True):
        mine = units.filter(pl.col("phenotype_id") == row["gene_id"])
        top = mine.sort((pl.col("slope_half1") / pl.col("slope_se_half1")).abs(), descending=True).row(
            0, named=True
        )
        assert row["variant_id"] == top["variant_id"]
        assert row["slope"] == top["slope_half2"]
    for row in controls.iter_rows(named=True):
        mine = units.filter(
            pl.col("phenotype_id") == row["gene_id"], pl.col("variant_id") == row["variant_id"]
        )
        assert mine["pval_nominal"].item() > 0.05
    up, down = (cases.filter(pl.col("gene_id").str.starts_with(name)) for name in ("up", "down"))
    assert (up["effect"] * up["slope"] > 0).all()
    assert (down["effect"] * down["slope"] < 0).all()
    assert value(summary, "model", "sign_agrees") == pytest.approx(len(up) / len(cases))


def test_eqtls_beyond_every_window(planted, tmp_path):
    position = planted.genes[0].tss + DOWNSTREAM + 50
    ref = base_at(planted, position)
    rows = [
        ["phenotype_id", "variant_id", "slope"],
        ["up1", f"1_{position + 1}_{ref}_{'CA'[ref == 'C']}", 1.0],
    ]
    table = write_table(tmp_path / "far.tsv", rows)
    with pytest.raises(InputError, match="No eQTL lies in the window of a model") as error:
        call("eqtl", planted.config, "--table", table, "--controls", 0, "--out", tmp_path)
    assert error.value.details["got"] == "1: beyond the window of toy"


def test_eqtls_of_another_build(planted, tmp_path, monkeypatch):
    """By their names, or where there is no build in these, by REFs most of which are not the FASTA's."""
    header, *rows = [line.split("\t") for line in eqtl_table(planted).read_text().splitlines()]
    kept = [[row[0], row[1].removesuffix("_b38"), *row[2:]] for row in rows[:7]]
    other = {"A": "C", "C": "G", "G": "T", "T": "A"}
    wrong = []
    for row in kept[:5]:
        contig, position, ref, _ = row[1].split("_")
        wrong.append([row[0], f"{contig}_{position}_{other[ref]}_{other[other[ref]]}", *row[2:]])
    table = write_table(tmp_path / "other.tsv", [header, *wrong, *kept[5:]])
    with pytest.raises(InputError, match="of another genome build") as error:
        call("eqtl", planted.config, "--table", table, "--controls", 0, "--out", tmp_path)
    assert error.value.details["got"] == "5 REFs that differ, 2 that do not"
    named = [[row[0], f"{row[1]}_b37", *row[2:]] for row in kept[:5]]
    table = write_table(tmp_path / "named.tsv", [header, *named, *kept[5:]])
    monkeypatch.setattr("hapsight.stages.eqtl_sets.build_of", lambda contigs: "GRCh38")
    found = call("eqtl", planted.config, "--table", table, "--controls", 0, "--out", tmp_path)
    assert "named for another build (GRCh37)" in found.output
    record = json.loads((tmp_path / "eqtl.json").read_text())
    assert {row["reason"]: row["count"] for row in record["dropped"]} == {
        "named for another build (GRCh37)": 5
    }


@pytest.mark.parametrize(
    ("rows", "message", "got"),
    [
        ([["phenotype_id", "slope"], ["up1", 1]], "lacks columns", "without variant_id"),
        ([["phenotype_id", "variant_id", "slope"], ["zz", "rs1", 1]], "no variant that", "1: not one of"),
        ([["phenotype_id", "variant_id", "slope"], ["up1", "@", "x"]], "not a finite number", "'x'"),
    ],
)
def test_broken_eqtl_tables(planted, tmp_path, rows, message, got):
    name = f"1_100_{base_at(planted, 99)}_{'CA'[base_at(planted, 99) == 'C']}"
    rows = [[name if cell == "@" else cell for cell in row] for row in rows]
    with pytest.raises(InputError, match=message) as error:
        call("eqtl", planted.config, "--table", write_table(tmp_path / "bad.tsv", rows), "--out", tmp_path)
    assert got in error.value.details["got"]


def test_a_users_eqtls_get_controls_by_the_cohorts_frequency(planted, tmp_path):
    """The table has no `af`: a variant of the cohort has its frequency there, another has none."""
    call("eqtl", planted.config, "--max-p", 0.01, "--out", tmp_path)
    own = pl.read_parquet(tmp_path / "eqtl.parquet").filter(pl.col("eqtl"))
    names = [f"1_{row['position'] + 1}_{row['ref']}_{row['alt']}" for row in own.iter_rows(named=True)]
    rows = [[g, name, s] for g, name, s in zip(own["gene_id"], names, own["slope"], strict=True)]
    start = planted.genes[0].tss + 20
    five = "".join(base_at(planted, start + k) for k in range(5))  # the cohort's deletions take two bases
    rows.append(["up1", f"1_{start + 1}_{five}_{five[0]}", 1.0])
    table = write_table(tmp_path / "own.tsv", [["phenotype_id", "variant_id", "slope"], *rows])
    found = call("eqtl", planted.config, "--table", table, "--out", tmp_path)
    assert found.exit_code == 0, found.output
    effects = pl.read_parquet(tmp_path / "eqtl.parquet")
    again = effects.filter(pl.col("eqtl") & pl.col("maf").is_not_null())
    assert again["maf"].to_list() == own["maf"].to_list()
    assert "toy: the eQTL's frequency is not known: 1 (up1)" in found.output


def test_no_model(planted, tmp_path):
    text = planted.config.read_text().replace('[[models]]\nname = "toy"\n', "")
    config = planted.config.with_name("bare.toml")
    config.write_text(text)
    with pytest.raises(ConfigError, match="names no model to validate"):
        call("mpra", config, "--table", mpra_table(planted, 1), "--out", tmp_path)


class FoldToy(ToyModel):
    """A toy that is trained on other chromosomes, by the name of its weights."""

    def __init__(self, weights: str) -> None:
        super().__init__({"fold1": 1, "fold2": 2}.get(weights, 0))
        self.held_out = {"fold1": ("1",), "fold2": ("2",)}.get(weights)


def load_fold(weights: str | None = None, *, device: object = "cpu") -> FoldToy:
    return FoldToy(weights or "")


def local_effect(weights: np.ndarray, ref: str, alt: str, strands: str = "both") -> float:
    """The slow twin: the weight of the base at the TSS's place, on one strand or both."""
    codes = ["ACGT".index(base) for base in (ref, alt)]
    found = [weights[UPSTREAM, codes[1]] - weights[UPSTREAM, codes[0]]]
    if strands == "both":
        found.append(weights[UPSTREAM, 3 - codes[1]] - weights[UPSTREAM, 3 - codes[0]])
    return float(np.mean(found))


def qtl_table(planted, folder: Path) -> Path:
    """Sites all over the chromosome whose betas have the signs of the toy's effects, but for two."""
    weights, rows = ToyModel().weights.numpy(), []
    for number, position in enumerate(range(1_000, 13_000, 400)):
        ref = base_at(planted, position)
        alt = {"A": "C", "C": "A", "G": "T", "T": "G"}[
            ref
        ]  # complements have no effect on the mean of strands
        beta = (1 + number / 10) * local_effect(weights, ref, alt) * (-1 if number < 2 else 1)
        rows.append(["chr1", position + 1, ref, alt, beta, f"q{number}", 0.3, position - 50, position + 90])
    header = ["chrom", "pos", "ref", "alt", "beta", "qtl_id", "af", "peak_start", "peak_end"]
    return write_table(folder / "sites.tsv", [header, *rows])


def test_qtls_at_their_own_places(planted, tmp_path):
    table = qtl_table(planted, tmp_path)
    found = call("qtl", table, "--config", planted.config, "--controls", 1, "--out", tmp_path)
    assert found.exit_code == 0, found.output
    effects, summary = tables(tmp_path, "qtl")
    assert dict(effects.schema) == QTL_EFFECTS
    cases, controls = (effects.filter(pl.col("qtl") == which) for which in (True, False))
    weights = ToyModel().weights.numpy()
    for row in cases.iter_rows(named=True):
        assert row["effect"] == pytest.approx(local_effect(weights, row["ref"], row["alt"]), abs=1e-5)
        nearest = min(abs(gene.tss - row["position"]) for gene in planted.genes)
        assert row["tss_distance"] == nearest
    assert value(summary, "model", "sign_agrees") == pytest.approx(28 / 30)
    assert value(summary, "gc", "sign_agrees") is not None
    assert value(summary, "distance", "sign_agrees") is None  # all lie in one stretch: none to learn from
    assert len(controls) > 0
    places = cases["position"].to_numpy()
    assert min(np.abs(places - one).min() for one in controls["position"]) >= 1_000
    assert controls["maf"].is_between(0.3, 0.4, closed="left").all()
    matched = summary.filter(pl.col("what") == "qtls and controls")
    assert matched["n"].unique().to_list() == [2 * len(controls)]


def test_one_strand_and_windows_on_peaks(planted, tmp_path):
    table = qtl_table(planted, tmp_path)
    options = ("--strands", "forward", "--centre", "peak", "--out", tmp_path)
    assert call("qtl", table, "--config", planted.config, *options).exit_code == 0
    effects, _ = tables(tmp_path, "qtl")
    weights = ToyModel().weights.numpy()
    for row in effects.head(5).iter_rows(named=True):
        codes = ["ACGT".index(row[side]) for side in ("ref", "alt")]
        there = weights[UPSTREAM - 20]  # the middle of the peak is 20 bases behind the variant
        assert row["effect"] == pytest.approx(float(there[codes[1]] - there[codes[0]]), abs=1e-5)
    bare = write_table(
        tmp_path / "bare.tsv", [line.split("\t")[:5] for line in table.read_text().splitlines()]
    )
    found = call(
        "qtl", table, "--config", planted.config, *options, "--controls", 1
    )  # controls have no peaks
    assert found.exit_code == 0, found.output
    with pytest.raises(InputError, match="does not say where they are"):
        call("qtl", bare, "--config", planted.config, "--centre", "peak", "--out", tmp_path)


def fold_config(planted, folder: Path) -> Path:
    models = "".join(
        f'[[models]]\nname = "toy"\nweights = "{name}"\nlabel = "{name}"\n'
        for name in ("fold1", "fold2", "other")
    )
    config = planted.config.with_name("folds.toml")
    config.write_text(planted.config.read_text().replace('[[models]]\nname = "toy"\n', models))
    return config


def test_folds_and_a_second_cell_type(planted, tmp_path):
    """Each variant by the fold that holds its chromosome out; sequences of an even length, padded with N."""
    flank = "ACGTTGCA" * 5
    rows = [["source_id", "chrom", "high", "low"]]
    for number in range(24):
        high, low = ("AC", "GA", "CT")[number % 3]
        contig = f"chr{1 + number % 2}"
        rows.append([f"{contig}.{number}000000", contig, flank + high + flank[1:], flank + low + flank[1:]])
    table = write_table(tmp_path / "pairs.tsv", rows)
    app = typer.Typer()
    register_commands(app)
    config = fold_config(planted, tmp_path)
    arguments = ["validate", "qtl", table, "--config", config, "--control", "other", "--out", tmp_path]
    with register("toy", load_fold):
        found = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    effects, summary = tables(tmp_path, "qtl")
    of = {
        model: dict(zip(part["qtl_id"], part["effect"], strict=True))
        for (model,), part in effects.group_by("model")
    }
    held_out, mean = of["toy none, held out"], of["toy none, mean of 2"]
    for contig, name, which in effects.select("contig", "qtl_id", "model").unique().rows():
        if which == "fold1":
            own = of["fold1" if contig == "chr1" else "fold2"]
            assert held_out[name] == own[name]
            assert mean[name] == pytest.approx((of["fold1"][name] + of["fold2"][name]) / 2)
    row = effects.filter(pl.col("model") == "other").row(0, named=True)
    ref, alt = (["ACGT".index(row[side])] for side in ("ref", "alt"))
    weights = ToyModel().weights.numpy()
    middle = [
        weights[UPSTREAM, base] - weights[UPSTREAM, other] for base, other in zip(alt, ref, strict=True)
    ]
    turned = [
        weights[UPSTREAM, 3 - base] - weights[UPSTREAM, 3 - other]
        for base, other in zip(alt, ref, strict=True)
    ]
    assert row["effect"] == pytest.approx(float(np.mean([middle, turned])), abs=1e-5)
    labels = dict(
        effects.select("model", "held_out").filter(pl.col("model").str.contains("none")).unique().rows()
    )
    assert labels == {"toy none, held out": "yes", "toy none, mean of 2": "no"}
    assert "less other" in summary["predictor"].to_list()
    again = [*arguments, "--folds", "held_out", "--controls", 1]  # pairs have none, and are named
    with register("toy", load_fold):
        CliRunner().invoke(app, [str(one) for one in again], catch_exceptions=False)
    fewer, _ = tables(tmp_path, "qtl")
    asked = dict(fewer.group_by("model").len().rows())
    assert asked == {"fold1": 12, "fold2": 12, "other": 24, "toy none, held out": 24}
    with pytest.raises(ConfigError, match="No model is called as the control"):
        call("qtl", table, "--config", planted.config, "--control", "nobody", "--out", tmp_path)


def test_a_table_of_effects_beside_qtls(planted, tmp_path):
    table = qtl_table(planted, tmp_path)
    _, *lines = [line.split("\t") for line in table.read_text().splitlines()]
    rows = [["gene_id", "chrom", "pos", "ref", "alt", "effect"]]
    for number, (contig, position, ref, alt, beta, *_) in enumerate(lines[:-1]):
        turned = number % 2
        sign, alleles = (-1, (alt, ref)) if turned else (1, (ref, alt))
        rows += [["up1", contig, position, *alleles, sign * float(beta)]]
    write_table(planted.folder / "given.tsv", rows)
    config = planted.config.with_name("given.toml")
    models = '[[models]]\nname = "effects"\ntable = "given.tsv"\n'
    config.write_text(planted.config.read_text().replace('[[models]]\nname = "toy"\n', models))
    found = call("qtl", table, "--config", config, "--out", tmp_path)
    assert found.exit_code == 0, found.output
    _, summary = tables(tmp_path, "qtl")
    assert value(summary, "model", "sign_agrees") == 1
    assert value(summary, "model", "pearson") == pytest.approx(1)
    assert "left out, qtl, not in the table of given: 1 (q29)" in found.output


def test_the_gap_of_a_cohort(planted, tmp_path):
    """QTLs are variants of the cohort, one of them with its alleles turned."""
    call("eqtl", planted.config, "--max-p", 0.01, "--controls", 0, "--out", tmp_path)
    units = sorted((planted.folder / "run/eqtl").glob("block-*.nominal.parquet"))
    nominal = pl.concat(map(pl.read_parquet, units)).filter(
        pl.col("pval_nominal") <= 1e-3, pl.col("ref").str.len_chars() == 1, pl.col("alt").str.len_chars() == 1
    )
    rows = [["chrom", "pos", "ref", "alt", "beta", "qtl_id"]]
    for number, row in enumerate(nominal.iter_rows(named=True)):
        sign = 1 if row["slope"] > 0 else -1
        alleles = (row["ref"], row["alt"])
        rows.append(["chr1", row["position"] + 1, *alleles, sign * 2.0, f"q{number}"])
    far = base_at(planted, 200)
    rows.append(["chr1", 201, far, "CA"[far == "C"], 1.0, "no eqtl"])
    table = write_table(tmp_path / "ds.tsv", rows)
    found = call("modality", table, "--config", planted.config, "--out", tmp_path)
    assert found.exit_code == 0, found.output
    effects, summary = tables(tmp_path, "modality")
    assert dict(effects.schema) == MODALITY_EFFECTS
    assert len(effects) == len(nominal)
    known = dict(zip(nominal["position"], nominal["slope"], strict=True))
    assert all(known[row["position"]] == row["slope"] for row in effects.iter_rows(named=True))
    assert (effects["accessibility"] * effects["slope"] > 0).all()
    weights = ToyModel().weights.numpy()
    for row in effects.iter_rows(named=True):
        assert row["effect"] == pytest.approx(local_effect(weights, row["ref"], row["alt"]), abs=1e-5)
    one = effects.filter(pl.col("gene_effect").is_not_null()).row(0, named=True)
    gene = next(gene for gene in planted.genes if gene.gene_id == one["gene_id"])
    assert one["gene_effect"] == pytest.approx(
        toy_effect(gene, one["position"], one["ref"], one["alt"]), abs=1e-4
    )
    one_gene = summary.filter(pl.col("what") == "one gene")
    assert value(one_gene, "model", "measured_carries") == 1
    assert value(one_gene, "model", "gap") == 0
    assert "left out, qtl, no eQTL of a gene within reach: 1 (no eqtl)" in found.output


def test_the_gap_with_a_users_eqtls(planted, tmp_path):
    gene, position = planted.genes[0], planted.genes[0].tss + 30
    ref = base_at(planted, position)
    alt = "CA"[ref == "C"]
    qtls = [["chrom", "pos", "ref", "alt", "beta"], ["chr1", position + 1, ref, alt, 1.5]]
    eqtls = [["phenotype_id", "variant_id", "slope"], [gene.gene_id, f"1_{position + 1}_{ref}_{alt}", -2]]
    paths = [write_table(tmp_path / name, rows) for name, rows in (("q.tsv", qtls), ("e.tsv", eqtls))]
    found = call("modality", paths[0], "--config", planted.config, "--eqtls", paths[1], "--out", tmp_path)
    assert found.exit_code == 0, found.output
    _, summary = tables(tmp_path, "modality")
    one_gene = summary.filter(pl.col("what") == "one gene")
    assert value(one_gene, "model", "measured_carries") == 0
    with pytest.raises(InputError, match="No QTL is an eQTL too"):
        call(
            "modality",
            paths[0],
            "--config",
            planted.config,
            "--eqtls",
            paths[1],
            "--reach",
            10,
            "--out",
            tmp_path,
        )
    pairs = write_table(tmp_path / "p.tsv", [["chrom", "high", "low"], ["1", "AAA", "ACA"]])
    with pytest.raises(InputError, match="have no place on the FASTA"):
        call("modality", pairs, "--config", planted.config, "--out", tmp_path)


def test_a_table_is_not_written_over(planted, tmp_path):
    table = qtl_table(planted, tmp_path).rename(tmp_path / "qtl.tsv")
    before = table.read_bytes()
    with pytest.raises(ConfigError, match="would be written over"):
        call("qtl", table, "--config", planted.config, "--out", tmp_path)
    mpra = mpra_table(planted, 1).rename(tmp_path / "mpra.tsv")
    with pytest.raises(ConfigError, match="would be written over"):
        call("mpra", planted.config, "--table", mpra, "--out", tmp_path)
    assert table.read_bytes() == before


def test_abstention_is_by_one_variant_of_each_gene(planted, tmp_path, monkeypatch):
    """The toy is right in genes up*, wrong in down*; the tables are made from effects as they are saved."""
    opened, runs = opened_with_models(load_config(planted.config), load_toy)
    opened.begin()
    explain(opened, runs, quiet)
    done = call("abstention", planted.config, "--reach", "600", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    genes = pl.read_parquet(tmp_path / "abstention.parquet")
    require_columns(tmp_path, {"abstention": ABSTENTION_GENES, "abstention_summary": VALIDATION})
    assert set(genes.select("gene_id", "sign_right").rows()) == {
        ("up1", True),
        ("up2", True),
        ("down1", False),
    }
    top = genes.filter(pl.col("chosen") == "top")
    assert top["gene_id"].is_unique().all()
    for row in top.iter_rows(named=True):
        gene = next(gene for gene in planted.genes if gene.gene_id == row["gene_id"])
        variants, _ = opened.cohort.genotypes.read(gene.cis(600))
        (expression,) = opened.cohort.transformed[opened.cohort.rows([gene])]
        design = np.column_stack([np.ones(len(expression)), opened.cohort.covariates.values])
        fits = [np.linalg.lstsq(np.column_stack([design, d]), expression)[0][-1] for d in variants.dosage]
        at = variants.position.tolist().index(row["position"])
        assert row["slope"] == pytest.approx(fits[at])
    summary = pl.read_parquet(tmp_path / "abstention_summary.parquet")
    every = summary.filter(
        pl.col("quantity") == "sign_right", pl.col("stratum") == "all", pl.col("what") == "top"
    )
    assert set(every["value"].round(6)) == {round(2 / 3, 6)}
    assert set(every["predictor"]) == {"effect", "nearness"}, "the toy has no elements"

    def one_by_one(opened, reach, size):
        return blocks_of_size(opened.cohort.genes, 1)

    monkeypatch.setattr("hapsight.stages.validate_abstention.linear_blocks", one_by_one)
    assert call("abstention", planted.config, "--reach", "600", "--out", tmp_path / "apart").exit_code == 0
    assert pl.read_parquet(tmp_path / "apart/abstention.parquet").equals(genes)


def load_elements(weights=None, *, device="cpu"):
    """A sum over elements every 60 bases of the planted contig."""
    return ElementSum(Element(), {"1": np.arange(100, 20_000, 60)}, 0.5, None, 0.1)


def test_a_sum_over_elements_is_explained_and_its_signs_are_judged(planted, tmp_path):
    config = planted.folder / "elements.toml"
    text = planted.config.read_text().replace('output = "run"', f'output = "{tmp_path}/run"')
    config.write_text(text.replace('name = "toy"\n', 'name = "toy"\nread_out = "abc"\n'))
    opened, runs = opened_with_models(load_config(config), load_elements)
    opened.begin()
    explain(opened, runs, quiet)
    (run,) = runs
    folder = opened.folder.explain(run.label, run.read_out.name).folder
    require_columns(folder, {"elements": EXPLAIN_ELEMENTS, "effects": EXPLAIN_EFFECTS})
    effects, elements = (pl.read_parquet(folder / f"{name}.parquet") for name in ("effects", "elements"))
    keys = ["gene_id", "position", "ref", "alt", "effect"]
    assert effects.select(keys).equals(elements.select(keys))
    assert (effects["n_backgrounds"] == 0).all()
    assert effects["effect"].abs().max() > 0
    with register("toy", load_elements):
        app = typer.Typer()
        register_commands(app)
        given = ["validate", "abstention", str(config), "--reach", "600"]
        done = CliRunner().invoke(app, given, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        with pytest.raises(ConfigError, match=r"cannot be learned[\s\S]*0 genes"):
            CliRunner().invoke(app, ["validate", "abc", str(config)], catch_exceptions=False)
    summary = pl.read_parquet(tmp_path / "run/validate/abstention_summary.parquet")
    assert set(summary["predictor"]) == {"effect", "element_effect", "nearness"}
