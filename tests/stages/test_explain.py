"""Variant effects of a cohort whose truth is known, and scores of variants from elsewhere."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pysam
import pytest
import torch
import typer
from typer.testing import CliRunner

from hapsight.cli.explain import _add_explain as register_commands
from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.nouns import Interval
from hapsight.cohort.reference import Reference
from hapsight.dna import decode
from hapsight.errors import ConfigError, IncompleteError, InputError, MissingExtraError
from hapsight.explain.ism import ism_window
from hapsight.explain.tables import BACKGROUND_DEPENDENT, EXPLAIN_ADDITIVITY, EXPLAIN_EFFECTS, SCORES
from hapsight.models.registry import register
from hapsight.run.arrays import open_array, write_track
from hapsight.run.config import load_config
from hapsight.run.opened import Opened
from hapsight.stages.explain import _in_words as in_words
from hapsight.stages.explain import explain, explain_store, explain_units
from hapsight.stages.saturation import strongest
from hapsight.stages.score import score
from hapsight.stages.valued_units import valuer_of
from tests.cohort.files import Record
from tests.explain.ism_naive import kept, plain, sequence_with
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
from tests.sequence.naive import toy_variants

SECTION = """
[explain]
saturation = [-4, 3]
tracks = "bedgraph"
genes_per_unit = 3
"""
NEAR_AN_INDEL = 1
"""A gene on the minus strand."""

FOLDER = "run/explain/toy.default"


def opened_with(planted, loader=load_toy, **options):
    config = load_config(planted.config)
    config = config.model_copy(update={"explain": config.explain.model_copy(update=options)})
    return opened_with_models(config, loader)


def call(*arguments: str):
    app = typer.Typer()
    register_commands(app)
    with register("toy", load_toy):
        return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    planted = write_planted(tmp_path_factory.mktemp("explain"))
    planted.config.write_text(planted.config.read_text() + SECTION)
    found = call("explain", str(planted.config))
    assert found.exit_code == 0, found.output
    assert "7 genes" in found.output
    return planted


def table(planted, name: str) -> pl.DataFrame:
    return pl.read_parquet(planted.folder / FOLDER / f"{name}.parquet")


def test_tables_have_their_columns(planted):
    schemas = {
        "effects": EXPLAIN_EFFECTS,
        "background_dependent": BACKGROUND_DEPENDENT,
        "additivity": EXPLAIN_ADDITIVITY,
    }
    for before in ("", "block-00000."):
        require_columns(planted.folder / FOLDER, {before + name: schemas[name] for name in schemas})


def test_effects_of_snvs_are_the_models_weights(planted):
    weights = ToyModel().weights.numpy().astype(np.float64)
    genes = {gene.gene_id: gene for gene in planted.genes}
    snvs = table(planted, "effects").filter(
        (pl.col("ref").str.len_chars() == 1) & (pl.col("alt").str.len_chars() == 1)
    )
    assert len(snvs) > 20
    for row in snvs.iter_rows(named=True):
        gene = genes[row["gene_id"]]
        minus = gene.strand == "-"
        distance = gene.tss - row["position"] if minus else row["position"] - gene.tss
        assert row["tss_distance"] == distance
        codes = ["ACGT".index(row[allele]) for allele in ("ref", "alt")]
        ref, alt = (3 - code if minus else code for code in codes)
        expected = weights[UPSTREAM + distance, alt] - weights[UPSTREAM + distance, ref]
        assert row["effect"] == pytest.approx(expected, abs=2e-5)


def test_every_variant_of_every_window_is_there(planted):
    genotypes = GenotypeFile(planted.folder / "genotypes.vcf.gz")
    effects = table(planted, "effects")
    for gene in planted.genes:
        left, right = (UPSTREAM, DOWNSTREAM) if gene.strand == "+" else (DOWNSTREAM - 1, UPSTREAM + 1)
        variants, _ = genotypes.read(Interval("chr1", gene.tss - left, gene.tss + right))
        mine = effects.filter(pl.col("gene_id") == gene.gene_id)
        assert mine["variant_id"].to_list() == list(variants.variant_id)
        np.testing.assert_allclose(mine["af"], variants.af)


def test_additivity_and_a_gene_without_variants(planted):
    genes = table(planted, "additivity")
    assert genes["gene_id"].to_list() == [gene.gene_id for gene in planted.genes]
    bare = genes.row(by_predicate=pl.col("gene_id") == "bare", named=True)
    assert (bare["status"], bare["pearson_r"], bare["n_variants"]) == ("no_variants", None, 0)
    others = genes.filter(pl.col("gene_id") != "bare")
    assert set(others["status"]) == {"ok"}
    assert (others["distinct"] < others["asked"]).all()


def test_the_causal_variant_has_the_largest_effect(planted):
    """Of a model that looks at one base only, the variant at that base is found."""
    causal = table(planted, "effects").filter(
        (pl.col("gene_id") == "down1") & (pl.col("ref").str.len_chars() == pl.col("alt").str.len_chars())
    )
    causal = causal.row(len(causal) // 2, named=True)

    def load_one(weights=None, *, device="cpu"):
        model, place = ToyModel(), UPSTREAM + causal["tss_distance"]
        kept = torch.zeros_like(model.weights)
        kept[place] = model.weights[place]
        model.weights, model.fingerprint = kept, "one base"
        return model

    opened, (run,) = opened_with(planted, load_one, saturation=None, tracks="none")
    explain(opened, [run], quiet, ["down1"])
    store, (unit,) = explain_store(opened, run), explain_units(opened, run, ["down1"])
    effects = store.read([unit], "effects")
    best = effects.sort(pl.col("effect").abs(), descending=True).row(0, named=True)
    assert best["variant_id"] == causal["variant_id"]
    assert best["effect"] == pytest.approx(causal["effect"], abs=1e-5)


def test_saturation_is_saved_with_its_place_and_shown(planted):
    pytest.importorskip("zarr")
    gene = planted.genes[1]  # minus strand
    folder = planted.folder / FOLDER / "saturation"
    array, labels = open_array(folder / f"{gene.gene_id}.zarr")
    assert array.shape == (7, 4, 1)
    expected = {"contig": "chr1", "start": gene.tss - 2, "strand": "-", "model": "toy", "read_out": "default"}
    assert expected.items() <= labels.items()
    weights, effect = ToyModel().weights.numpy(), array[:][..., 0]
    fetch = Reference(planted.folder / "genome.fa.gz").fetch
    codes = fetch(Interval("chr1", gene.tss - 2, gene.tss + 5))
    for place, code in enumerate(codes):
        row = weights[UPSTREAM + 2 - place, :4][::-1]
        np.testing.assert_allclose(effect[place], row - row[code], atol=2e-5)
    lines = (folder / f"{gene.gene_id}.expression.bedgraph").read_text().splitlines()
    assert len(lines) == 7
    contig, start, end, value = lines[0].split("\t")
    assert (contig, int(start), int(end)) == ("chr1", gene.tss - 2, gene.tss - 1)
    assert float(value) == pytest.approx(strongest(effect)[0], rel=1e-5)


def test_finished_units_are_kept_and_others_are_not(planted):
    before = {p: p.stat().st_mtime_ns for p in (planted.folder / FOLDER).rglob("*") if p.is_file()}
    whole = [path for path in before if path.name.startswith("block-") or "saturation" in path.parts]
    (planted.folder / FOLDER / "block-00001.json").unlink()
    assert call("explain", str(planted.config)).exit_code == 0
    again = {path for path in whole if path.stat().st_mtime_ns != before[path]}
    assert {path.name.split(".")[0] for path in again if path.name.startswith("block-")} == {"block-00001"}
    stages = json.loads((planted.folder / "run/run.json").read_text())["stages"]
    assert "1 unit computed, 2 kept" in stages[-1]["detail"]


def test_genes_by_name_leave_the_tables_of_the_stage_as_they_are(planted):
    before = table(planted, "effects")
    assert call("explain", str(planted.config), "up2").exit_code == 0
    assert table(planted, "effects").equals(before)
    one = table(planted, "gene-up2.effects")
    assert one.equals(before.filter(pl.col("gene_id") == "up2"))


def test_genes_are_chosen_by_r(planted, tmp_path):
    config = load_config(planted.config)
    chosen = config.explain.model_copy(update={"min_abs_r": 0.5})
    config = config.model_copy(update={"explain": chosen, "output": tmp_path / "run"})
    opened, (run,) = opened_with_models(config)
    with pytest.raises(IncompleteError, match="not known yet") as caught:
        explain_units(opened, run)
    assert "hapsight evaluate" in str(caught.value)
    rows: dict[str, list] = {
        "gene_id": ["up1", "up2", "down1", "null1"],
        "model": ["toy", "toy", "toy", "other"],
    }
    rows |= {
        "read_out": ["default", "default", "default:expression", "default"],
        "pearson_r": [0.9, 0.2, -0.8, 1.0],
    }
    opened.folder.write("evaluation/per_gene.parquet", pl.DataFrame(rows))
    (unit,) = explain_units(opened, run)
    assert [gene.gene_id for gene in unit.genes] == ["up1", "down1"]


def test_an_unknown_gene_is_refused(planted):
    opened, (run,) = opened_with(planted, genes=("up1", "upp"))
    with pytest.raises(ConfigError, match="1 of the genes to explain is not among") as caught:
        explain_units(opened, run)
    assert "upp" in str(caught.value)


def test_options_that_make_no_sense(planted):
    text = planted.config.read_text()
    for given, said in (("[3, 3]", "first < last"), ("[-4, 3]\nbackgrounds = -1", "backgrounds")):
        bad = planted.folder / "bad.toml"
        bad.write_text(text.replace("[-4, 3]", given))
        with pytest.raises(ConfigError, match=said):
            load_config(bad)
    bad.write_text(text.replace("saturation = [-4, 3]\n", ""))
    with pytest.raises(ConfigError, match="saturation, which is not set"):
        load_config(bad)


def test_bigwig_equals_bedgraph(tmp_path):
    pybigwig = pytest.importorskip("pyBigWig")
    values = np.array([9.0, 0.5, np.nan, -1.25, 9.0])
    write_track(tmp_path / "a.bw", Interval("c", -1, 4), values, 3)
    write_track(tmp_path / "a.bedgraph", Interval("c", -1, 4), values, 3)
    assert (tmp_path / "a.bedgraph").read_text() == "c\t0\t1\t0.5\nc\t2\t3\t-1.25\n"
    with pybigwig.open(str(tmp_path / "a.bw")) as file:
        assert file.intervals("c") == ((0, 1, 0.5), (2, 3, -1.25))


def test_a_missing_extra_is_named(tmp_path, planted, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyBigWig", None)
    with pytest.raises(MissingExtraError, match="need pyBigWig") as caught:
        write_track(tmp_path / "a.bw", Interval("c", 0, 1), np.zeros(1), 3)
    assert "hapsight[explain]" in str(caught.value)
    monkeypatch.setitem(sys.modules, "zarr", None)
    opened, runs = opened_with(planted, saturation=(0, 1), tracks="none")
    with pytest.raises(MissingExtraError, match="saved with zarr"):
        explain(opened, runs, quiet, ["up1"])


def sites(planted, name: str, records: list[Record]) -> Path:
    """A plain VCF without people or index."""
    lines = ["##fileformat=VCFv4.2", "##contig=<ID=chr1,length=40000>", "##contig=<ID=chrZ,length=10>"]
    lines += ["\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"])]
    lines += [f"{r.contig}\t{r.position}\t.\t{r.ref}\t{r.alt}\t.\t.\t." for r in records]
    path = planted.folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def scored_records(planted) -> list[Record]:
    """A variant of the cohort, a new one, one far from genes, one on another contig, one without sequence."""
    fetch = Reference(planted.folder / "genome.fa.gz").fetch
    known = table(planted, "effects").filter(pl.col("gene_id") == "up1").row(1, named=True)
    tss = planted.genes[0].tss
    new, far = ("ACGT"[int(fetch(Interval("chr1", p, p + 1))[0])] for p in (tss, 50))
    return [
        Record(51, far, "T" if far != "T" else "A", []),
        Record(known["position"] + 1, known["ref"], known["alt"], []),
        Record(tss + 1, new, "T" if new != "T" else "A", []),
        Record(tss + 1, new, "<DEL>", []),
        Record(5, "A", "C", [], contig="chrZ"),
    ]


def test_scores_on_the_reference_equal_the_effects(planted):
    vcf = sites(planted, "sites.vcf", scored_records(planted))
    out = planted.folder / "scores.parquet"
    found = call("score", str(planted.config), "--vcf", str(vcf), "--out", str(out))
    assert found.exit_code == 0, found.output
    assert "2 variants on 1 gene," in found.output
    assert "reaches no gene: 1 (chr1:51" in found.output
    assert "symbolic allele: 1" in found.output
    assert "its contig is not in the FASTA: 1 (chrZ:5 A>C)" in found.output
    scores = pl.read_parquet(out)
    assert dict(scores.schema) == SCORES
    known = table(planted, "effects").filter(pl.col("gene_id") == "up1").row(1, named=True)
    mine = scores.row(by_predicate=pl.col("position") == known["position"], named=True)
    assert mine["effect"] == pytest.approx(known["effect"], abs=1e-6)
    assert (mine["sample_id"], mine["haplotype"]) == ("", 0)


def test_scores_as_a_vcf_of_a_file_with_one_wrong_ref(planted):
    good = scored_records(planted)[1:3]
    wrong = Record(good[1].position, good[1].alt, good[1].ref, [])
    vcf, out = sites(planted, "one_wrong.vcf", [*good, wrong]), planted.folder / "scores.vcf.gz"
    found = call("score", str(planted.config), "--vcf", str(vcf), "--out", str(out))
    assert found.exit_code == 0, found.output
    assert "2 variants on 1 gene," in found.output
    name = f"chr1:{wrong.position} {wrong.ref}>{wrong.alt}"
    assert f"REF differs from the FASTA: 1 ({name})" in found.output
    plain = call(
        "score", str(planted.config), "--vcf", str(vcf), "--out", str(planted.folder / "scores.tsv.gz")
    )
    assert plain.exit_code == 0, plain.output
    table = pl.read_csv(planted.folder / "scores.tsv.gz", separator="\t")
    assert (table["pos"] - table["position"]).unique().to_list() == [1]
    with pysam.VariantFile(str(out)) as file:
        values = {(one.pos, *one.alleles): one.info["hapsight_toy_max"][0] for one in file}
    expected = {(row["pos"], row["ref"], row["alt"]): row["effect"] for row in table.iter_rows(named=True)}
    assert values == pytest.approx(expected, rel=1e-5)  # htslib writes six digits
    assert set(values) == {(one.position, one.ref, one.alt) for one in good}


def test_where_scores_cannot_be_written_no_model_is_opened(planted, monkeypatch):
    monkeypatch.setattr("hapsight.stages.predict.load_models", lambda _: pytest.fail("the work has begun"))
    out = planted.folder / "none" / "scores.tsv"
    with pytest.raises(ConfigError, match="nothing was computed"):
        call("score", str(planted.config), "--vcf", "x.vcf", "--out", str(out))


def test_scores_on_a_person_toggle_both_haplotypes(planted):
    vcf = sites(planted, "sites.vcf", scored_records(planted))
    opened, runs = opened_with(planted)
    on_reference = score(opened, runs, vcf, None, quiet).table
    person = score(opened, runs, vcf, "P003", quiet)
    assert person.table["haplotype"].to_list() == [1, 1, 2, 2]
    for row in person.table.iter_rows(named=True):
        alone = on_reference.row(by_predicate=pl.col("position") == row["position"], named=True)
        assert row["without"] != alone["without"]  # the person's own variants
        if row["tss_distance"] == 0:  # no indel moves the TSS
            assert row["effect"] == pytest.approx(alone["effect"], abs=2e-5)


def test_scores_on_a_person_equal_writing_out_the_haplotypes(planted):
    gene, sample = planted.genes[NEAR_AN_INDEL], "P005"
    reference = Reference(planted.folder / "genome.fa.gz")
    region = gene.cis(900)
    sequence = decode(reference.fetch(region))
    near, _ = GenotypeFile(planted.folder / "genotypes.vcf.gz").read(region)
    inside = (np.abs(near.position - gene.tss) < 150) & ~near.is_snv
    position = near.position - region.start  # the naive twin works in coordinates of the region
    known = [(int(position[v]), near.ref[v], near.alt[v]) for v in np.flatnonzero(inside)]
    assert known, "the cohort has an indel near this gene"
    place = 900 - 40
    new = [(place, sequence[place : place + 151], sequence[place]), (place + 9, sequence[place + 9], "TTTTT")]
    records = [Record(region.start + p + 1, ref, alt, []) for p, ref, alt in (*known, *new)]
    vcf = sites(planted, "person.vcf", records)
    opened, (run,) = opened_with(planted)
    found = score(opened, [run], vcf, sample, quiet)
    valuer = valuer_of(opened, run)
    window = replace(ism_window(gene, valuer), anchor=900)
    person, rows, no_room = near.samples.index(sample), 0, 0
    for haplotype in (1, 2):
        carried = {
            (int(position[v]), near.ref[v], near.alt[v])
            for v in np.flatnonzero(near.alleles[:, person, haplotype - 1])
        }
        for one in (*known, *new):
            records = sorted({*carried, one})
            both = toy_variants(records, np.ones((len(records), 1, 2)), "chr1")
            if kept(both, list(range(len(both)))) != list(range(len(both))):
                no_room += 1
                continue
            without = [v for v, record in enumerate(records) if record != one]
            codes = [sequence_with(sequence, both, window, c) for c in (without, list(range(len(both))))]
            absent, present = (plain(valuer, window, c)[0] for c in codes)
            row = found.table.row(
                by_predicate=(pl.col("haplotype") == haplotype)
                & (pl.col("position") == region.start + one[0])
                & (pl.col("ref") == one[1])
                & (pl.col("alt") == one[2]),
                named=True,
            )
            assert row["without"] == pytest.approx(absent, abs=1e-4)
            assert row["effect"] == pytest.approx(present - absent, abs=1e-4)
            rows += 1
    assert len(found.table) == rows
    assert found.dropped.counts["variant", "overlaps another that the haplotype carries"] == no_room


def test_scoring_a_vcf_that_does_not_fit(planted):
    opened, runs = opened_with(planted)
    good = scored_records(planted)[2]
    wrong = sites(planted, "wrong.vcf", [Record(good.position, good.alt, good.ref, [])])
    with pytest.raises(InputError, match="REF is not what the FASTA has"):
        score(opened, runs, wrong, None, quiet)
    dropping = opened.config.cohort.model_copy(update={"ref_mismatch": "drop"})
    lenient = Opened.from_config(opened.config.model_copy(update={"cohort": dropping}))
    with pytest.raises(InputError, match="no variant that could be scored") as caught:
        score(lenient, runs, wrong, None, quiet)
    assert "1 left out: REF differs from the FASTA" in str(caught.value)
    with pytest.raises(ConfigError, match="no person 'nobody'"):
        score(opened, runs, wrong, "nobody", quiet)
    broken = planted.folder / "broken.vcf"
    broken.write_text("not a VCF\n")
    with pytest.raises(InputError, match="no VCF or BCF"):
        score(opened, runs, broken, None, quiet)


@pytest.mark.parametrize(("asked", "said"), [(40, "2.0x fewer"), (8, "with people's own haplotypes")])
def test_a_saving_is_said_where_there_is_one(asked, said):
    additivity = pl.DataFrame({"gene_id": ["a"], "asked": [asked], "distinct": [20], "pearson_r": [0.5]})
    assert f"{asked} sequences, 20 distinct ({said})" in in_words(2, additivity, 1, 0, 0)
