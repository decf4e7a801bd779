"""Informed prediction through the chain: arms, controls, files of evidence, resuming, and export."""

import gzip
import os
import sqlite3
from contextlib import closing

import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from hapsight.cli.linear import _add_informed
from hapsight.cohort.nouns import Gene, Variants
from hapsight.errors import ConfigError, InputError
from hapsight.run.config import (
    EvidenceEffectsConfig,
    EvidenceTrackConfig,
    load_config,
)
from hapsight.run.opened import Opened
from hapsight.run.sections import SignedEffectsConfig
from hapsight.stages.baseline import baseline
from hapsight.stages.informed import export_informed, informed
from hapsight.stages.informed_evidence import EffectEvidence, SignedEvidence, TrackEvidence
from hapsight.stages.informed_units import INFORMED_GENES, INFORMED_SHAPES, INFORMED_SUMMARY, _places
from tests.planted import quiet, write_planted

pyBigWig = pytest.importorskip("pyBigWig")  # noqa: N816

CONTIG, LENGTH = "chr1", 30_000
GENES = ("up1", "up2", "down1", "null1", "bare")
EVIDENCE = """
[informed]
splits = ["random", "population"]
learning_genes = 4
[[informed.tracks]]
label = "open"
paths = ["open.bw"]
reach = 100
[[informed.effects]]
label = "toy"
path = "effects.parquet"
"""


def write_bigwig(path, values):
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([(CONTIG, len(values))])
        file.addEntries(CONTIG, 0, values=values.astype(float).tolist(), span=1, step=1)
    return path


def write_effects(path, rows):
    names = ["gene_id", "track", "position", "ref", "alt", "effect"]
    pl.DataFrame(rows, schema=names, orient="row").write_parquet(path)
    return path


def near(*places):
    """Variants (V, 1 person) at these places, A to C."""
    n = len(places)
    alleles = np.zeros((n, 1, 2), np.uint8)
    return Variants(CONTIG, np.array(places), ("A",) * n, ("C",) * n, ("v",) * n, alleles, ("P",))


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    made = write_planted(tmp_path_factory.mktemp("informed"), people=80, names=GENES)
    signal = np.random.default_rng(1).exponential(size=LENGTH)
    write_bigwig(made.folder / "open.bw", signal)
    text = made.config.read_text().replace('[[models]]\nname = "toy"\n', "")
    text = text.replace("inner_folds = 3\ngenes_per_unit = 2", "inner_folds = 3\ngenes_per_unit = 3")
    made.config.write_text(text + EVIDENCE)
    opened = Opened.from_config(load_config(made.config))
    rows = []
    for gene in made.genes:
        variants, _ = opened.cohort.genotypes.read(gene.cis(1000))
        places = zip(variants.position.tolist(), variants.ref, variants.alt, strict=True)
        rows += [(gene.gene_id, "t", *place, 0.1 * (place[0] % 7)) for place in places]
    write_effects(made.folder / "effects.parquet", rows)
    return made


@pytest.fixture(scope="module")
def done(planted):
    opened = Opened.from_config(load_config(planted.config))
    opened.begin()
    return opened, informed(opened, quiet)


def test_every_arm_has_its_control_on_the_same_genes_and_people(done):
    opened, found = done
    arms = {
        (evidence, shuffled, split)
        for evidence in ("distance", "tracks", "toy", "distance+tracks", "distance+toy", "all")
        for shuffled in (False, True)
        for split in ("random", "population")
    } | {(name, False, split) for name in ("plain", "none") for split in ("random", "population")}
    assert set(found.summary.select("evidence", "shuffled", "split").rows()) == arms
    assert dict(found.summary.schema) == INFORMED_SUMMARY
    assert dict(found.per_gene.schema) == INFORMED_GENES
    assert dict(found.shapes.schema) == INFORMED_SHAPES
    assert len(found.per_gene) == len(arms) * len(GENES)
    for name in ("per_gene", "shapes", "summary"):
        assert (opened.folder.path / f"informed/{name}.parquet").exists()
    share = (
        found.per_gene.filter(pl.col("gene_id") != "bare")
        .group_by("evidence")
        .agg(pl.col("share_used").unique())
    )
    with_effects = {"toy", "distance+toy", "all"}
    assert {name: one[0] for name, one in share.rows()} == {
        name: 1.0 if name in with_effects else None for name, _, _ in arms
    }
    bare = found.per_gene.filter(pl.col("gene_id") == "bare")
    assert set(bare["status"]) == {"no_variants"}
    assert bare["pearson_r"].null_count() == len(bare)


def test_shapes_are_learned_for_each_fold_and_all_people(done):
    mine = done[1].shapes.filter(pl.col("evidence") == "all", ~pl.col("shuffled"))
    by_split = {split: set(t["fold"].to_list()) for (split,), t in mine.group_by("split")}
    assert by_split == {"random": {0, 1, 2, 3, 4, None}, "population": {0, 1, None}}
    assert set(mine["feature"]) == {"distance", "open", "toy"}
    assert (mine["gain"] >= 0.0).all()
    assert "none" not in set(done[1].shapes["evidence"])


def test_plain_is_the_baseline(done, planted, tmp_path):
    opened, _ = done
    text = planted.config.read_text().replace('output = "run"', f'output = "{tmp_path}/other"')
    path = planted.folder / "other.toml"
    path.write_text(text.replace("inner_folds = 3", 'inner_folds = 3\nmethods = ["elastic_net"]'))
    other = Opened.from_config(load_config(path))
    other.begin()
    baseline(other, quiet)
    one, two = (
        pl.concat(
            [
                pl.read_parquet(f)
                for f in sorted(o.folder.path.glob("baseline/elastic_net/*.predictions.parquet"))
            ]
        )
        for o in (opened, other)
    )
    assert one.equals(two)


def test_differences_are_those_of_the_genes(done):
    _, found = done
    r = {
        key: table.filter(pl.col("status").is_in(["ok", "no_model"]))["pearson_r"].fill_null(0.0).to_numpy()
        for key, table in found.per_gene.group_by("evidence", "shuffled", "split")
    }
    row = found.summary.row(
        by_predicate=(pl.col("evidence") == "toy") & ~pl.col("shuffled") & (pl.col("split") == "random"),
        named=True,
    )
    assert row["mean_r"] == pytest.approx(r["toy", False, "random"].mean())
    assert row["to_plain"] == pytest.approx((r["toy", False, "random"] - r["plain", False, "random"]).mean())
    assert row["to_shuffled"] == pytest.approx((r["toy", False, "random"] - r["toy", True, "random"]).mean())
    assert row["to_none"] == pytest.approx((r["toy", False, "random"] - r["none", False, "random"]).mean())
    assert row["to_distance_ci_low"] < row["to_distance"] < row["to_distance_ci_high"]


def test_finished_units_are_kept_and_an_unfinished_one_is_made_the_same(done):
    opened, found = done
    seal = opened.folder.path / "informed/all.random/block-00001.json"
    before = {path: path.stat().st_mtime_ns for path in opened.folder.path.glob("informed/*/*.parquet")}
    seal.unlink()
    again = informed(opened, quiet)
    after = {path: path.stat().st_mtime_ns for path in opened.folder.path.glob("informed/*/*.parquet")}
    changed = {path.name.split(".")[0] + path.parent.name for path in before if before[path] != after[path]}
    assert changed == {"block-00001all.random"}
    assert again.summary.equals(found.summary)


def test_weights_go_into_a_predictdb(done, tmp_path):
    opened, found = done
    written = export_informed(opened, "all", "random", tmp_path / "all.db", "b38")
    with closing(sqlite3.connect(tmp_path / "all.db")) as database:
        rows = database.execute("SELECT gene, COUNT(*) FROM weights GROUP BY gene").fetchall()
        method = database.execute("SELECT value FROM construction WHERE name = 'method'").fetchone()
    mine = found.per_gene.filter(
        pl.col("evidence") == "all",
        ~pl.col("shuffled"),
        pl.col("split") == "random",
        pl.col("status") == "ok",
    )
    nonzero = dict(mine.filter(pl.col("n_nonzero") > 0).select("gene_id", "n_nonzero").iter_rows())
    assert dict(rows) == nonzero
    assert written.genes == len(nonzero)
    assert method == ("susie_blup informed by all",)
    with pytest.raises(
        ConfigError, match=r"no such evidence[\s\S]*none, random; distance, random; [\s\S]*got: ear, random"
    ):
        export_informed(opened, "ear", "random", tmp_path / "none.db")


def test_the_command_shows_the_table(done, planted, tmp_path):
    app = typer.Typer()
    app.callback()(lambda: None)
    _add_informed(app)
    command, pairs = ["informed", str(planted.config)], str(tmp_path / "x.txt.gz")
    export = ["--export", str(tmp_path / "x.db"), "--evidence", "distance", "--min-r", "-1"]
    out = CliRunner().invoke(app, [*command, *export, "--covariance", pairs, "--snp-key", "varID"])
    assert out.exit_code == 0, out.output
    assert "all, shuffled" in out.output
    with closing(sqlite3.connect(tmp_path / "x.db")) as database:
        named = {name for (name,) in database.execute("SELECT varID FROM weights")}
    with gzip.open(tmp_path / "x.txt.gz", "rt") as text:
        rows = [line.split() for line in text][1:]
    assert {name for row in rows for name in row[1:3]} <= named
    assert f"{len(rows):,} covariances, rounded" in out.output
    alone = CliRunner().invoke(app, [*command, "--covariance", pairs])
    assert alone.exit_code == 2


def test_a_track_is_the_mean_around_a_variant_over_its_strands(tmp_path):
    values = np.arange(1_000.0)
    paths = (write_bigwig(tmp_path / "pl.bw", values), write_bigwig(tmp_path / "mn.bw", -2 * values))
    genes = [Gene("g", CONTIG, 100), Gene("h", CONTIG, 300)]
    track = TrackEvidence.opened(EvidenceTrackConfig(label="t", paths=paths, reach=2), genes)
    assert track.typical == pytest.approx(3 * 200)
    at_the_end = (996 + 997 + 998 + 999) / 5
    expected = np.log1p(3 * np.array([500, at_the_end]) / 600)
    np.testing.assert_allclose(track.at(genes[0], near(500, 998)), expected)
    assert track.at(genes[0], near()).shape == (0,)


def test_a_track_that_cannot_serve_is_refused(tmp_path):
    flat = write_bigwig(tmp_path / "flat.bw", np.zeros(1_000))
    config = EvidenceTrackConfig(label="t", paths=(flat,))
    with pytest.raises(InputError, match=r"no signal at any gene's TSS[\s\S]*none at 1 TSSs"):
        TrackEvidence.opened(config, [Gene("g", CONTIG, 100)])
    with pytest.raises(InputError, match=r"does not cover[\s\S]*more than 5000 bases[\s\S]*got: 1000 bases"):
        TrackEvidence.opened(config, [Gene("g", CONTIG, 5_000)])
    (tmp_path / "text.bw").write_text("no")
    with pytest.raises(InputError, match=r"track cannot be read[\s\S]*a bigWig"):
        TrackEvidence.opened(
            EvidenceTrackConfig(label="t", paths=(tmp_path / "text.bw",)), [Gene("g", CONTIG, 1)]
        )


def test_effects_are_the_largest_size_over_tracks(tmp_path):
    rows = [
        ("g", "a", 5, "A", "C", -2.0),
        ("g", "b", 5, "A", "C", 1.0),
        ("g", "a", 9, "A", "T", 4.0),
        ("h", "a", 5, "A", "C", 1.0),
    ]
    path = write_effects(tmp_path / "effects.parquet", rows)
    gene = Gene("g", CONTIG, 0)
    effects = EffectEvidence.opened(EvidenceEffectsConfig(label="m", path=path), [gene])
    assert effects.typical == 3.0
    np.testing.assert_allclose(effects.at(gene, near(5, 9, 20)), [np.log1p(2 / 3), 0.0, 0.0])


def test_another_file_of_the_same_size_and_time_is_read(tmp_path):
    """As `rsync -t` leaves one, in a process that has read the other."""
    path = tmp_path / "effects.parquet"
    config = EvidenceEffectsConfig(label="m", path=path)
    found, size = [], set()
    for effect in (2.0, 3.0):
        write_effects(tmp_path / "new", [("g", "a", 5, "A", "C", effect)])
        os.utime(tmp_path / "new", ns=(10**18, 10**18))
        os.replace(tmp_path / "new", path)
        size.add(path.stat().st_size)
        found.append(EffectEvidence.opened(config, [Gene("g", CONTIG, 0)]).typical)
    assert (found, len(size)) == ([2.0, 3.0], 1)


def test_effects_are_aligned_as_weights_are(tmp_path):
    """Exchanged alleles and the other strand are the same variant; a place that is not there is counted."""
    rows = [("g", "t", 5, "C", "A", -2.0), ("g", "t", 9, "T", "G", 4.0), ("g", "t", 30, "A", "C", 1.0)]
    path = write_effects(tmp_path / "effects.parquet", rows)
    gene = Gene("g", CONTIG, 0)
    effects = EffectEvidence.opened(EvidenceEffectsConfig(label="m", path=path), [gene])
    np.testing.assert_allclose(effects.at(gene, near(5, 9, 20)), np.log1p([1.0, 2.0, 0.0]))
    assert effects.laid(gene, near(5, 9, 20)).share_used == pytest.approx(2 / 3)


@pytest.mark.parametrize(("shift", "counted"), [(1, 1), (-1, 0)])
def test_effects_at_other_places_are_refused(planted, tmp_path, shift, counted):
    table = pl.read_parquet(planted.folder / "effects.parquet")
    table.with_columns(pl.col("position") + shift).write_parquet(tmp_path / "shifted.parquet")
    text = planted.config.read_text().replace(
        'path = "effects.parquet"', f'path = "{tmp_path}/shifted.parquet"'
    )
    path = planted.folder / "shifted.toml"
    path.write_text(text.replace('output = "run"', f'output = "{tmp_path}/run"'))
    opened = Opened.from_config(load_config(path))
    opened.begin()
    with pytest.raises(InputError, match=rf"positions of the effects are counted from {counted}"):
        informed(opened, quiet)


def test_effects_that_cannot_serve_are_refused(tmp_path):
    config = EvidenceEffectsConfig(label="m", path=tmp_path / "effects.parquet")
    with pytest.raises(InputError, match="effects file is not there"):
        EffectEvidence.opened(config, [Gene("g", CONTIG, 0)])
    pl.DataFrame({"gene_id": ["g"], "effect": [1.0]}).write_parquet(config.path)
    with pytest.raises(InputError, match=r"lacks columns[\s\S]*alleles ref, alt[\s\S]*position \(from 0\)"):
        EffectEvidence.opened(config, [Gene("g", CONTIG, 0)])
    write_effects(config.path, [("other", "a", 5, "A", "C", 1.0)])
    with pytest.raises(InputError, match=r"No gene of the cohort[\s\S]*such as g[\s\S]*got: other"):
        EffectEvidence.opened(config, [Gene("g", CONTIG, 0)])
    write_effects(config.path, [("g", "a", 5, "A", "C", 0.0)])
    with pytest.raises(InputError, match=r"no effect of a variant on any gene[\s\S]*1 rows"):
        EffectEvidence.opened(config, [Gene("g", CONTIG, 0)])


def test_labels_mean_one_thing(planted):
    path = planted.folder / "twice.toml"
    path.write_text(planted.config.read_text().replace('label = "toy"', 'label = "tracks"'))
    with pytest.raises(ConfigError, match="'tracks' comes twice among labels, or is the name of an arm"):
        load_config(path)
    path.write_text(planted.config.read_text().replace('label = "toy"', 'label = "a+b"'))
    with pytest.raises(ConfigError, match=r"label 'a\+b' has a '\+', which joins labels"):
        load_config(path)


def test_the_elastic_net_can_be_informed_too(planted, done, tmp_path):
    text = planted.config.read_text().replace('output = "run"', f'output = "{tmp_path}/net"')
    path = planted.folder / "net.toml"
    path.write_text(text.replace(EVIDENCE, '[informed]\nmethod = "elastic_net"\n'))
    opened = Opened.from_config(load_config(path))
    opened.begin()
    r = {
        name: t["pearson_r"]
        for (name, _), t in informed(opened, quiet).per_gene.group_by("evidence", "shuffled")
    }
    assert r["none"].equals(r["plain"])
    assert not r["distance"].equals(
        done[1].per_gene.filter(pl.col("evidence") == "distance")["pearson_r"][: len(GENES)]
    )


def informed_by_signs(planted, folder, turn):
    """With each variant's slope among all people as its signed evidence, or minus that; one split."""
    text = planted.config.read_text().split("\n[informed]")[0]
    path = planted.folder / f"signed{turn:g}.toml"
    path.write_text(
        text.replace('output = "run"', f'output = "{folder}/run"')
        + f'\n[informed]\n[[informed.signed]]\nlabel = "slope"\npath = "{folder}/signed.parquet"\n'
    )
    opened, rows = Opened.from_config(load_config(path)), []
    for gene, expression in zip(opened.cohort.genes, opened.cohort.expression.values, strict=True):
        variants, _ = opened.cohort.genotypes.read(gene.cis(1000))
        slopes = [turn * np.cov(dosage, expression)[0, 1] for dosage in variants.dosage]
        places = zip(variants.position.tolist(), variants.ref, variants.alt, slopes, strict=True)
        rows += [(gene.gene_id, "t", *place) for place in places]
    write_effects(folder / "signed.parquet", rows)
    opened.begin()
    return informed(opened, quiet)


def arm(table, evidence, shuffled=False):
    return table.filter(pl.col("evidence") == evidence, pl.col("shuffled") == shuffled)


@pytest.mark.parametrize(("turn", "helps"), [(1.0, True), (-1.0, False)])
def test_signed_evidence_enters_where_it_helps(planted, tmp_path, turn, helps):
    found = informed_by_signs(planted, tmp_path, turn)
    learned = arm(found.shapes, "signed").filter(pl.col("feature") == "slope")
    assert set(learned["fold"]) == {0, 1, 2, 3, 4, None}
    assert (learned["theta"] > 0).all() == helps
    assert ((learned["theta"] == 0) == (learned["gain"] <= 0)).all()
    signed, distance = (arm(found.per_gene, name)["pearson_r"] for name in ("signed", "distance"))
    assert signed.equals(distance) != helps
    assert arm(found.shapes, "unseen")["stretch"].unique().sort().to_list() == [0, 1, 2, 3, 4]
    assert (arm(found.shapes, "unseen")["genes"] == 0).all(), "no gene is a million bases away"
    assert set(arm(found.per_gene, "unseen")["status"]) == {"no_model", "no_variants"}
    assert len(arm(found.summary, "signed", True)) == len(arm(found.summary, "unseen", True)) == 1


def test_stretches_teach_genes_that_are_far_from_them():
    genes = [Gene(f"g{i}", CONTIG, 900_000 * i) for i in range(10)]
    places = _places(genes)
    assert [places[gene.gene_id].stretch for gene in genes] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert places["g2"].far == (2, 3, 4)
    assert places["g5"].far == (0, 1, 4)


def test_signed_effects_keep_their_signs_and_small_ones_count_as_0(tmp_path):
    rows = [("g", "t", 5, "A", "C", -2.0), ("g", "t", 9, "T", "A", 4.0), ("g", "t", 20, "A", "C", 0.5)]
    rows += [("g", "u", 20, "A", "C", -1.0), ("g", "t", 30, "A", "C", 0.0)]
    path, gene = write_effects(tmp_path / "effects.parquet", rows), Gene("g", CONTIG, 0)
    variants = near(5, 20, 30)
    whole = SignedEvidence.opened(SignedEffectsConfig(label="m", path=path), [gene])
    unit = np.sqrt((4 + 16 + 1) / 3)
    np.testing.assert_allclose(whole.at(gene, variants), np.array([-2.0, -1.0, 0.0]) / unit)
    half = SignedEvidence.opened(SignedEffectsConfig(label="m", path=path, largest=0.5), [gene])
    np.testing.assert_allclose(half.at(gene, variants), np.array([-2.0, 0.0, 0.0]) / unit)
