"""A table of variant effects as a model: beside sums made by hand, and beside the model that made it."""

import gzip
import json
import os
import re
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.cohort.effect_layouts import Wanted, read_given_effects
from hapsight.errors import ConfigError, HapsightError, InputError
from hapsight.models.catalogue import EffectsKeys
from hapsight.models.registry import available, load_model, register
from hapsight.run.arms import model_arms
from hapsight.run.baselines import ImportedRun, apply_imported, imported_store, imported_units
from hapsight.run.config import EvidenceEffectsConfig, load_config
from hapsight.run.effects import EffectsRun
from hapsight.run.finished import is_finished, made_from, mark_finished
from hapsight.run.opened import Opened
from hapsight.stages.informed_evidence import EffectEvidence
from hapsight.stages.predict import load_models, predict
from tests.conftest import ROOT
from tests.planted import GENES, Planted, load_toy, quiet, write_planted
from tests.stages.test_cards import WITHOUT_TORCH
from tests.stages.test_chrx import write as write_chrx
from tests.stages.test_formats import text as text_of

COMPLEMENT = str.maketrans("ACGT", "TGCA")
REACH = 400
SMALL = """
[eqtl]
permutations = 99
cis_window = 1000
[explain]
run = true
motifs = false
"""


def call(*words):
    with register("toy", load_toy):
        return CliRunner().invoke(app, [*map(str, words)])


def with_table(planted, name, table, keys="", toy=False):
    """A configuration whose model is the table; `toy` beside it."""
    text = planted.config.read_text()
    model = f'[[models]]\nname = "effects"\nlabel = "{name}"\ntable = "{table}"\n{keys}\n'
    text = text.replace('[[models]]\nname = "toy"\n', model + ('\n[[models]]\nname = "toy"\n' if toy else ""))
    text = text.replace('output = "run"', f'output = "{name}"').replace(
        "[baseline]", "[baseline]\nrun = false"
    )
    path = planted.folder / f"{name}.toml"
    path.write_text(text)
    return path


def predicted(config) -> tuple[Opened, EffectsRun]:
    opened = Opened.from_config(load_config(config))
    (run,) = load_models(opened)
    opened.begin()
    predict(opened, [run], quiet)
    return opened, run


def records(folder):
    """Position, alleles and (N, 2) calls of every record, by eye."""
    with gzip.open(folder / "genotypes.vcf.gz", "rt") as file:
        for line in file:
            if not line.startswith("#"):
                fields = line.rstrip("\n").split("\t")
                yield int(fields[1]), fields[3], fields[4], [call.split("|") for call in fields[9:]]


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return write_planted(tmp_path_factory.mktemp("effects"), people=24)


KINDS = ("same", "exchanged", "flipped", "both", "left out", "other alleles")


def made_up(planted):
    """Rows as somebody's table may have them, each with what it is; none is of the gene ``up2``."""
    rng = np.random.default_rng(5)
    for gene in planted.genes:
        for position, ref, alt, _ in records(planted.folder):
            if abs(position - 1 - gene.tss) > REACH or gene.gene_id == "up2":
                continue
            snv = len(ref) == len(alt) == 1
            palindrome = snv and ref == alt.translate(COMPLEMENT)
            several = gene.gene_id in ("up1", "null1")  # the tables of the others are all of one strand
            kinds = KINDS if several and snv and not palindrome else ("same", "exchanged", "left out")
            kind = rng.choice(kinds)
            theirs = (alt, ref) if kind in ("exchanged", "both") else (ref, alt)
            if kind in ("flipped", "both"):
                theirs = tuple(allele.translate(COMPLEMENT) for allele in theirs)
            if kind == "other alleles":
                theirs = (ref, "AAAAA")
            if kind != "left out":
                yield gene.gene_id, position, (ref, alt), theirs, kind, rng.normal(size=2).round(3).tolist()


def write_made_up(planted, path, reference=None):
    rows = list(made_up(planted))
    absent = ("up1", 3, (), ("A", "C"), "absent", [9.0, 9.0])
    with open(path, "w") as file:
        file.write(
            "gene_id\tchrom\tpos\tref\talt\ttrack\teffect" + "\treference_value" * bool(reference) + "\n"
        )
        for t, track in enumerate(("blood", "liver")):
            for gene, position, _, (ref, alt), _, effects in [*rows, absent]:
                level = f"\t{reference[gene] + t}" if reference else ""
                file.write(f"{gene}\t1\t{position}\t{ref}\t{alt}\t{track}\t{effects[t]}{level}\n")
    return rows


def by_hand(planted, rows, gene_id, t, level):
    """(N, 2): the reference's value, and the effects of the table's ALTs that each haplotype carries."""
    mine = [row for row in rows if row[0] == gene_id]
    flipped = any(kind in ("flipped", "both") for *_, kind, _ in mine)
    calls = {(position, ref, alt): called for position, ref, alt, called in records(planted.folder)}
    people = len(next(iter(calls.values())))
    values = [[level, level] for _ in range(people)]
    for _, position, (ref, alt), _, kind, effects in mine:
        if kind == "other alleles" or (flipped and ref == alt.translate(COMPLEMENT)):
            continue  # which strand A/T and C/G are of is not known, where others are of either
        counted = "0" if kind in ("exchanged", "both") else "1"
        for person, called in enumerate(calls[position, ref, alt]):
            for h, allele in enumerate(called):
                values[person][h] += effects[t] if allele == counted else 0.0
    return np.array(values)


@pytest.mark.parametrize("levels", [False, True])
def test_a_haplotype_is_the_sum_made_by_hand(planted, levels):
    reference = {gene.gene_id: 5.0 + i for i, gene in enumerate(planted.genes)} if levels else None
    rows = write_made_up(planted, planted.folder / f"made_up{levels}.tsv", reference)
    opened, run = predicted(with_table(planted, f"sums{levels}", f"made_up{levels}.tsv"))
    assert {kind for *_, kind, _ in rows} == set(KINDS) - {"left out"}
    values = run.store(opened).read(run.units(opened), "values")
    laid = run.store(opened).read(run.units(opened), "laid")
    for gene in planted.genes:
        for t, track in enumerate(("blood", "liver")):
            own = values.filter(pl.col("gene_id") == gene.gene_id, pl.col("track") == track)
            has = any(row[0] == gene.gene_id for row in rows)
            level = reference[gene.gene_id] + t if levels and has else 0.0
            expected = by_hand(planted, rows, gene.gene_id, t, level)
            np.testing.assert_allclose(own["value"][1:].to_numpy().reshape(-1, 2), expected, atol=1e-12)
            assert own["sample_id"][1:].to_list() == list(np.repeat(opened.cohort.samples, 2))
            facts = laid.filter(pl.col("gene_id") == gene.gene_id, pl.col("track") == track).row(
                0, named=True
            )
            check_counts(planted, rows, gene, t, facts, run)
    for arm, track in zip(model_arms(opened, run), ("blood", "liver"), strict=True):
        assert arm.read_out == f"effects:{track}"
        for one in arm.comparisons(opened.cohort.genes):
            has = any(row[0] == one.gene.gene_id for row in rows)
            assert one.status == (None if has else "no_model")
            assert (one.reference is not None) == levels
            assert len(one.dosage) == laid.filter(pl.col("gene_id") == one.gene.gene_id)["n_used"][0]


def check_counts(planted, rows, gene, t, facts, run):
    """What became of the rows, counted by hand."""
    mine = [row for row in rows if row[0] == gene.gene_id]
    flipped = any(kind in ("flipped", "both") for *_, kind, _ in mine)
    absent = gene.gene_id == "up1"
    used = [
        row
        for row in mine
        if row[4] != "other alleles" and not (flipped and row[2][0] == row[2][1].translate(COMPLEMENT))
    ]
    assert facts["n_rows"] == len(mine) + absent
    assert facts["n_used"] == len(used)
    assert (facts["flipped"], facts["flipped_swapped"]) == tuple(
        sum(row[4] == kind for row in mine) for kind in ("flipped", "both")
    )
    assert facts["other_alleles"] == sum(row[4] == "other alleles" for row in mine)
    assert facts["ambiguous"] == len(mine) - len(used) - facts["other_alleles"]
    assert facts["absent"] == absent
    near = [p for p, ref, _, _ in records(planted.folder) if overlaps(p - 1, ref, run.near(gene))]
    assert facts["n_without_row"] == len(near) - len(used)
    if mine:
        size = sum(abs(row[5][t]) for row in mine) + 9.0 * absent
        assert facts["share_weight_used"] == pytest.approx(sum(abs(row[5][t]) for row in used) / size)


def overlaps(position, ref, window):
    return position + len(ref) > window.start and position < window.end


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A run of the toy model, and one of the effects that it explained, substitutions only."""
    planted = write_planted(tmp_path_factory.mktemp("toy"), people=40)
    text = planted.config.read_text().replace("[cohort]", '[cohort]\nvariants = "snv"')
    planted.config.write_text(text.replace("[baseline]", "[baseline]\nrun = false") + SMALL)
    for stage in ("predict", "evaluate", "explain", "drivers"):
        done = call(stage, planted.config)
        assert done.exit_code == 0, done.output
    table = next((planted.folder / "run/explain").glob("toy*/effects.parquet"))
    text = planted.config.read_text().replace("[baseline]\nrun = false", "[baseline]")
    planted.config.write_text(text)
    config = with_table(planted, "summed", table)
    command = [sys.executable, "-c", WITHOUT_TORCH, "run", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    return planted


def test_a_linear_models_own_effects_give_its_predictions_without_torch(both):
    whole, summed = (
        pl.read_parquet(both.folder / run / "evaluation/per_gene.parquet") for run in ("run", "summed")
    )
    assert summed["share_used"].drop_nulls().unique().to_list() == [1.0]
    assert summed.filter(pl.col("gene_id") == "bare")["status"].to_list() == ["no_model"]
    rest = pl.col("gene_id") != "bare"
    np.testing.assert_allclose(
        summed.filter(rest)["pearson_r"].to_numpy(), whole.filter(rest)["pearson_r"].to_numpy(), atol=1e-4
    )
    for name in ("pval_empirical", "n_variants"):  # the null looks at the same variants
        np.testing.assert_allclose(
            summed.filter(rest)[name].to_numpy(), whole.filter(rest)[name].to_numpy(), atol=1e-12
        )


def test_drivers_are_the_effects(both):
    whole, summed = (
        pl.read_parquet(both.folder / run / "explain/drivers.parquet") for run in ("run", "summed")
    )
    assert summed["variant_id"].drop_nulls().len() > 4
    for name in ("gene_id", "form", "variant_id"):
        assert summed[name].to_list() == whole[name].to_list()
    np.testing.assert_allclose(
        summed["effect"].fill_null(0).to_numpy(), whole["effect"].fill_null(0).to_numpy(), atol=1e-12
    )
    assert summed["slope"].to_list() == whole["slope"].to_list()
    assert summed["supported_cohort"].to_list() == whole["supported_cohort"].to_list()
    assert summed["additivity"].drop_nulls().min() > 1 - 1e-9


def test_effects_come_with_pages_and_a_report(both):
    page = (both.folder / "summed/report.html").read_text()
    assert "summed is a table of effects (effects.parquet)" in page
    assert "100.0% of a gene" in page
    pages = list((both.folder / "summed/report/genes").glob("*.html"))
    assert pages
    assert all("is a table of effects" in one.read_text() for one in pages)
    summary = pl.read_parquet(both.folder / "summed/evaluation/summary.parquet")
    assert not summary["quantity"].str.starts_with("across_genes").any()
    direction = pl.read_parquet(both.folder / "summed/evaluation/direction_genes.parquet")
    assert direction["predicted_reference"].null_count() == len(direction)
    again = call("explain", both.folder / "summed.toml", "up1")
    assert again.exit_code == 0, again.output


def test_an_evaluation_of_its_own_says_what_of_the_table_is_used(both):
    config = both.folder / "summed.toml"
    for command in ("evaluate", "report"):
        done = call(command, config)
        assert done.exit_code == 0, done.output
    page = (both.folder / "summed/report.html").read_text()
    assert "summed is a table of effects (effects.parquet)" in page
    assert "100.0% of a gene" in page
    notes = json.loads((both.folder / "summed/run.json").read_text())["notes"]
    assert sum("summed is a table of effects" in note for note in notes) == 1


@pytest.mark.parametrize("name", ["scores.vcf.gz", "scores.tsv", "scores.parquet"])
def test_scores_are_effects(both, name):
    """What `hapsight score` writes, in its formats."""
    done = call("score", both.config, "--vcf", both.folder / "genotypes.vcf.gz", "--out", both.folder / name)
    assert done.exit_code == 0, done.output
    columns = ("gene_id", "position", "ref", "alt", "value")
    snv = pl.all_horizontal(pl.col("ref", "alt").str.len_chars() == 1)  # the run has these only
    found = read_given_effects(both.folder / name, Wanted()).table.filter(snv)
    found = found.select(columns).sort(columns[:-1])
    own = next((both.folder / "run/explain").glob("toy*/effects.parquet"))
    expected = read_given_effects(own, Wanted()).table.select(columns).sort(columns[:-1])
    assert found.select(columns[:-1]).equals(expected.select(columns[:-1]))
    np.testing.assert_allclose(found["value"].to_numpy(), expected["value"].to_numpy(), rtol=1e-5)


@pytest.mark.parametrize(
    "words",
    [
        ("score", "--vcf", "x.vcf"),
        ("validate", "eqtl"),
        ("bench", "precision"),
        ("train", "personal"),
        ("train", "grid"),
        ("modisco", "out"),
    ],
    ids=" ".join,
)
def test_what_needs_sequences_refuses_by_name(both, words):
    config = both.folder / "summed.toml"
    split = 2 if words[0] in ("validate", "bench", "train") else 1
    options = ("--config",) if words[0] == "bench" else ()
    done = call(*words[:split], *options, config, *words[split:])
    assert done.exit_code, done.output
    error = done.exception
    assert isinstance(error, ConfigError), (done.output, error)
    assert "needs a model that reads sequences" in error.what
    assert error.details["got"] == "summed"


def test_single_bases_need_sequences_too(both):
    config = both.folder / "summed.toml"
    text = config.read_text().replace('output = "summed"', 'output = "bases"')
    bases = both.folder / "bases.toml"
    bases.write_text(text.replace("[explain]", "[explain]\nsaturation = [-4, 3]"))
    error = call("explain", bases).exception
    assert isinstance(error, ConfigError)
    assert error.details["got"] == "summed"
    beside = text.replace(
        '[[models]]\nname = "effects"', '[[models]]\nname = "toy"\n[[models]]\nname = "effects"'
    )
    bases.write_text(beside.replace("[explain]", '[explain]\nsaturation = [-4, 3]\ngenes = ["up1"]'))
    done = call("explain", bases)
    assert done.exit_code == 0, done.output
    assert "what single bases are worth is not known" in (both.folder / "bases/run.json").read_text()


def test_units_follow_the_table(planted):
    write_made_up(planted, planted.folder / "kept.tsv")
    config = with_table(planted, "kept", "kept.tsv")
    opened, run = predicted(config)
    store, units = run.store(opened), run.units(opened)
    seals = {path: path.stat().st_mtime_ns for path in store.folder.glob("*.json")}
    (planted.folder / "kept.tsv").rename(planted.folder / "moved.tsv")
    config.write_text(config.read_text().replace("kept.tsv", "moved.tsv"))
    predicted(config)
    assert {path: path.stat().st_mtime_ns for path in store.folder.glob("*.json")} == seals
    text = (planted.folder / "moved.tsv").read_text()
    (planted.folder / "moved.tsv").write_text(text.replace("9.0", "8.0"))
    other, again = predicted(config)
    assert {unit.key for unit in units}.isdisjoint(unit.key for unit in again.units(other))


def test_rules_for_genes(planted):
    rows = [row for row in made_up(planted) if row[4] == "same"]
    lines = ["chrom,pos,ref,alt,effect", *(f"1,{p},{r},{a},{e[0]}" for _, p, (r, a), _, _, e in rows)]
    (planted.folder / "bare.csv").write_text("\n".join(dict.fromkeys(lines)) + "\n")
    with pytest.raises(InputError, match="Which gene an effect is of is not said"):
        predicted(with_table(planted, "none", "bare.csv"))
    found = {}
    for name, keys in {"nearest": 'gene = "nearest TSS"', "within": "within = 100"}.items():
        _, run = predicted(with_table(planted, name, "bare.csv", keys))
        found[name] = set(run.given.table.select("gene_id", "position").iter_rows())
    tss = {gene.gene_id: gene.tss for gene in planted.genes}
    assert found["nearest"] == {(gene, p - 1) for gene, p, *_ in rows}
    assert found["within"] == {(gene, p - 1) for gene, p, *_ in rows if abs(p - 1 - tss[gene]) <= 100}


def with_genes(config, output, left_out=None):
    """The same configuration with a folder of its own, or the same, and perhaps without a gene."""
    text = re.sub('output = ".*"', f'output = "{output}"', config.read_text())
    kept = [name for name in GENES if name != left_out]
    path = config.with_name(f"{output}-{left_out}.toml")
    path.write_text(text.replace("[cohort]", f"[cohort]\nkeep_genes = {json.dumps(kept)}", 1))
    return path


def units_of(opened, run):
    return {unit.key: unit for unit in run.units(opened)}


@pytest.mark.parametrize("left_out", ["down2", "up1"])
def test_rows_that_fall_to_a_gene_hang_on_the_other_genes(tmp_path, left_out):
    """By the nearest TSS; of the genes that keep their rows, the units are kept."""
    planted = write_planted(tmp_path, people=24)
    middles = [gene.tss + step for gene in planted.genes for step in (-100, 100, 200)]
    calls = {position: (ref, alt) for position, ref, alt, _ in records(tmp_path)}
    near = {min(calls, key=lambda position: abs(position - middle)) for middle in middles}
    lines = ["chrom,pos,ref,alt,effect", *(f"1,{p},{','.join(calls[p])},{p % 7 + 1}" for p in sorted(near))]
    lines += [f"1,{gene.tss + step},A,C,0.5" for gene in planted.genes for step in (-2_300, 2_300)]
    (tmp_path / "bare.csv").write_text("\n".join(lines) + "\n")
    config = with_table(planted, "bare", "bare.csv", 'gene = "nearest TSS"')
    config.write_text(config.read_text().replace("genes_per_unit = 2", "genes_per_unit = 1"))
    fewer = predicted(with_genes(config, "grown", left_out))
    grown, fresh = predicted(with_genes(config, "grown")), predicted(with_genes(config, "fresh"))
    for table in ("values", "laid", "used"):
        found, expected = (run.store(opened).read(run.units(opened), table) for opened, run in (grown, fresh))
        assert found.equals(expected)
    rows = fresh[1].given.sizes
    same = {name for name in rows if fewer[1].given.sizes.get(name) == rows[name]}
    assert 0 < len(same) < len(rows) - 1
    kept = units_of(*fewer).keys() & units_of(*grown).keys()
    assert {gene.gene_id for key in kept for gene in units_of(*grown)[key].genes} == same


def test_weights_that_fall_to_a_gene_hang_on_the_other_genes(tmp_path):
    """A name in the file that is one gene's, and then two genes'."""
    planted = write_planted(tmp_path, people=24)
    genes = tmp_path / "genes.tsv"
    genes.write_text(genes.read_text().replace("DOWN2", "DOWN1"))
    rows = [(p, ref, alt) for p, ref, alt, _ in records(tmp_path)]
    lines = [f"{gene}\t1\t{p}\t{ref}\t{alt}\t1" for gene in ("DOWN1", "UP1") for p, ref, alt in rows]
    (tmp_path / "theirs.tsv").write_text("\n".join(["gene_id\tchrom\tpos\tref\talt\tweight", *lines]))
    facts = []
    for output, left_out in (("grown", "down2"), ("grown", None), ("fresh", None)):
        opened = Opened.from_config(load_config(with_genes(planted.config, output, left_out)))
        run = ImportedRun("theirs", tmp_path / "theirs.tsv")
        opened.begin()
        apply_imported(opened, run, quiet)
        facts.append(imported_store(opened, run).read(imported_units(opened, run), "genes"))
    fewer, grown, fresh = (dict(table.select("gene_id", "n_weights").iter_rows()) for table in facts)
    assert fewer["down1"] == fewer["up1"] == len(rows)
    assert grown == fresh
    assert fresh["down1"] == 0


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        ('name = "effects"', "needs `table`"),
        ('name = "effects"\ntable = "t.tsv"\nweights = "w"', "has no weights"),
        ('name = "toy"\ntable = "t.tsv"', "`table` goes with name"),
        ('name = "toy"\nwithin = 10', "`within` goes with name"),
        ('name = "effects"\ntabel = "t.tsv"', "did you mean 'table'"),
    ],
)
def test_keys_of_the_configuration(planted, model, fault):
    path = planted.folder / "faulty.toml"
    path.write_text(planted.config.read_text().replace('name = "toy"', model))
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert fault in str(error.value)


def test_check_says_what_is_used_and_what_is_wrong(planted):
    write_made_up(planted, planted.folder / "checked.tsv")
    done = call("check", with_table(planted, "checked", "checked.tsv"))
    assert "model checked" in done.output
    assert "effects on 5 of 7 genes" in done.output
    (planted.folder / "checked.tsv").write_text("gene_id\tvariant_id\teffect\nnobody\tchr1_5_A_C\t1\n")
    done = call("check", planted.folder / "checked.toml")
    assert done.exit_code == 1
    assert "No gene of the cohort is in the effects" in done.output


def test_the_name_is_listed_and_kept():
    assert any(entry.name == "effects" and entry.source == "hapsight" for entry in available())
    with pytest.raises(HapsightError, match="no model that sequences can be given to"):
        load_model("effects")
    with pytest.raises(ConfigError, match="already"):
        register("effects", load_toy)


def test_a_mans_chrx_counts_once_for_each_of_his_rows(tmp_path):
    """Exchanged alleles too, whatever linear methods make of his dosage."""
    path = write_chrx(tmp_path)
    planted = Planted(tmp_path, path, ())
    rows = ["gene_id\tchrom\tpos\tref\talt\teffect"]
    calls = [line.split("\t") for line in text_of(tmp_path / "genotypes.vcf.gz") if line[0] != "#"]
    rng = np.random.default_rng(2)
    effects = {fields[1]: round(rng.normal(), 3) for fields in calls}
    for i, (_, pos, _, ref, alt) in enumerate(fields[:5] for fields in calls):
        theirs = (alt, ref) if i % 2 else (ref, alt)
        rows.append("\t".join(("null1", "X", pos, *theirs, str(effects[pos]))))
    (tmp_path / "x.tsv").write_text("\n".join(rows) + "\n")
    expected = np.zeros((len(calls[0]) - 9, 2))
    for i, fields in enumerate(calls):
        for person, call_ in enumerate(fields[9:]):
            pair = call_.split("|") * (1 if "|" in call_ else 2)
            expected[person] += [effects[fields[1]] if allele == "10"[i % 2] else 0.0 for allele in pair]
    for dosage in (1, 2):
        config = with_table(planted, f"x{dosage}", "x.tsv")
        config.write_text(
            config.read_text().replace("[expression]", f"chrx_dosage = {dosage}\n[expression]", 1)
        )
        opened, run = predicted(config)
        values = run.store(opened).read(run.units(opened), "values").filter(pl.col("gene_id") == "null1")
        np.testing.assert_allclose(values["value"][1:].to_numpy().reshape(-1, 2), expected, atol=1e-12)


def test_effects_inform_linear_prediction(both):
    """What a table becomes by `explain` is evidence, whatever layout it had."""
    opened = Opened.from_config(load_config(both.folder / "summed.toml"))
    own, given = (
        EffectEvidence.opened(
            EvidenceEffectsConfig(
                label="given", path=next((both.folder / run).glob("explain/*/effects.parquet"))
            ),
            opened.cohort.genes,
            opened.cohort.reference.contigs,
        )
        for run in ("run", "summed")
    )
    for gene in opened.cohort.genes[:3]:
        near, _ = opened.cohort.genotypes.read(gene.cis(REACH), opened.cohort.reference)
        np.testing.assert_allclose(given.at(gene, near), own.at(gene, near), atol=1e-12)
        assert given.at(gene, near).any()


def test_the_configuration_of_the_page_is_one(planted):
    page = (ROOT / "docs/effects.md").read_text()
    example = page.split("```toml\n")[1].split("```")[0]
    (planted.folder / "page.toml").write_text(
        planted.config.read_text().replace('[[models]]\nname = "toy"\n', example)
    )
    (model,) = load_config(planted.folder / "page.toml").models
    keys = [
        line.split("`")[1] for line in page.split("## Keys")[1].split("##")[0].splitlines() if "| `" in line
    ]
    assert set(keys) == {*EffectsKeys.model_fields, "label"}
    assert model.table == planted.folder / "variant_scores.csv"


def test_a_finished_run_follows_its_table(planted):
    write_made_up(planted, planted.folder / "done.tsv")
    config = with_table(planted, "done", "done.tsv")
    predicted(config)
    mark_finished(load_config(config), made_from(load_config(config), ()))
    assert is_finished(load_config(config), ())
    (planted.folder / "done.tsv").touch()
    assert not is_finished(load_config(config), ())
