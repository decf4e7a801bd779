from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from hapsight.cli.data import _add_simulate
from hapsight.cohort.join import Cohort
from hapsight.cohort.nouns import Interval, Variants
from hapsight.dna import decode
from hapsight.errors import ConfigError, HapsightError, InputError, StoreError
from hapsight.run.config import load_config
from hapsight.run.opened import Opened
from hapsight.sequence.haplotypes import Window
from hapsight.simulate import mosaic
from hapsight.simulate import truth as files
from hapsight.simulate.cohort import Simulated, choose_genes, simulate
from hapsight.simulate.design import DEFAULT_MOTIFS, Design, Grammar, Heritability, Motif
from hapsight.stages.check import check
from hapsight.tables import SIMULATED_GENES, SIMULATED_VARIANTS
from tests.planted import quiet
from tests.sequence.naive import naive_window
from tests.simulate import naive
from tests.simulate.source import LENGTHS, open_source, write_source

GRAMMAR = Grammar(reach=600, decay=400.0, pair_bonus=0.5, pair_distance=60)
DESIGN = Design(
    people=30,
    genes=5,
    heritability=Heritability(0.4),
    grammar=GRAMMAR,
    planted=2,
    switch_rate=3e-4,
    flank=600,
    confounders=2,
)
"""No genotypes beyond the reach, though deletions pull bases from there into it."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return open_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def done(source: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    return simulate(source, DESIGN, tmp_path_factory.mktemp("out") / "sim", quiet)


def opened(done: Simulated) -> Cohort:
    return Opened.from_config(load_config(done.config)).cohort


def truth(done: Simulated, name: str) -> pl.DataFrame:
    return pl.read_parquet(done.config.parent / "truth" / f"{name}.parquet")


def contig_text(cohort: Cohort, contig: str) -> str:
    return decode(cohort.reference.fetch(Interval(contig, 0, LENGTHS[contig])))


def test_the_folder_passes_the_check(done: Simulated) -> None:
    results = check(load_config(done.config))
    assert [found for found in results if found.status == "fail"] == []
    cohort = opened(done)
    assert (len(cohort.samples), len(cohort.genes)) == (30, 5) == (done.people, done.genes)
    assert set(cohort.populations) == {"CEU", "TSI"}
    assert (cohort.expression.values > 0).all()


def test_truth_of_people_equals_brute_force_on_the_written_files(done: Simulated) -> None:
    cohort, people = opened(done), truth(done, "people")
    assert people["gene_id"].to_list() == [gene.gene_id for gene in cohort.genes]
    for row, gene in enumerate(cohort.genes):
        whole = Interval(gene.contig, 0, LENGTHS[gene.contig])
        variants, _ = cohort.genotypes.read(whole, cohort.reference)
        sequence, window = contig_text(cohort, gene.contig), Window(gene.contig, gene.tss, 600, 601)
        for person in (0, 7, 29):
            texts = [
                "".join(base for base, _ in naive_window(sequence, variants, window, person, haplotype))
                for haplotype in (0, 1)
            ]
            wanted = np.mean([naive.score(text, GRAMMAR) for text in texts])
            assert people[row, cohort.samples[person]] == pytest.approx(wanted, abs=1e-12)


def test_truth_of_variants_equals_brute_force_on_the_written_files(done: Simulated) -> None:
    cohort, table = opened(done), truth(done, "variants")
    assert dict(table.schema) == {
        name: kind if isinstance(kind, pl.DataType) else kind() for name, kind in SIMULATED_VARIANTS.items()
    }
    checked = 0
    for gene in cohort.genes:
        window = Window(gene.contig, gene.tss, 600, 601)
        variants, _ = cohort.genotypes.read(window.interval, cohort.reference)
        sequence = contig_text(cohort, gene.contig)
        before = sequence[window.interval.start : window.interval.end]
        rows = {r["variant_id"]: r for r in table.filter(gene_id=gene.gene_id).iter_rows(named=True)}
        for v in range(len(variants)):
            after = _with_one(sequence, variants, v, window)
            effect = naive.score(after, GRAMMAR) - naive.score(before, GRAMMAR)
            old, new = ([name for name, _, _ in naive.found(text, GRAMMAR)] for text in (before, after))
            row = rows.pop(variants.variant_id[v], None)
            if row is None:
                assert effect == pytest.approx(0, abs=1e-12)
                assert sorted(old) == sorted(new)
                continue
            checked += bool(row["gained"] or row["lost"])
            assert row["effect"] == pytest.approx(effect, abs=1e-12)
            assert row["slope"] == row["effect"] / 2
            assert row["af"] == variants.af[v]
            assert sorted(new) == sorted([*old, *row["gained"]]) if not row["lost"] else True
            assert sorted(old) == sorted([*new, *row["lost"]]) if not row["gained"] else True
        assert not rows
    assert checked >= 10


def _with_one(sequence: str, variants: Variants, v: int, window: Window) -> str:
    """The window where one haplotype carries the v-th variant alone, from a cut of the contig."""
    start = window.interval.start - 20
    cut = sequence[start : window.interval.end + 20]
    alone = replace(
        variants.take(np.array([v])),
        position=variants.position[v : v + 1] - start,
        alleles=np.array([[[1, 0]]], dtype=np.uint8),
        samples=("x",),
    )
    moved = replace(window, anchor=window.anchor - start)
    return "".join(base for base, _ in naive_window(cut, alone, moved, 0, 0))


def test_every_gene_has_its_common_planted_variants(source: Cohort, done: Simulated) -> None:
    table = truth(done, "variants").filter("planted")
    assert done.planted == 10
    for gene in opened(done).genes:
        rows = table.filter(gene_id=gene.gene_id)
        acting = rows.filter((pl.col("gained").list.len() + pl.col("lost").list.len()) > 0)
        assert len(acting) >= 2
        known, _ = source.genotypes.read(gene.cis(600))
        maf = dict(zip(known.variant_id, known.maf, strict=True))
        assert all(maf[name] >= 0.05 for name in rows["variant_id"])


def test_planting_writes_little_and_leaves_all_variants_alone(source: Cohort, done: Simulated) -> None:
    cohort = opened(done)
    changed = 0
    for contig in {gene.contig for gene in cohort.genes}:
        whole = Interval(contig, 0, LENGTHS[contig])
        differs = source.reference.fetch(whole) != cohort.reference.fetch(whole)
        changed += differs.sum()
        variants, _ = source.genotypes.read(whole, source.reference)
        for start, end in zip(variants.position, variants.end, strict=True):
            assert not differs[start:end].any()
    assert 0 < changed <= 9 * 2 * done.planted  # a motif and perhaps a partner


def test_pairs_are_planted_for_the_grammar_to_act_on(done: Simulated) -> None:
    cohort = opened(done)
    near = 0
    for gene in cohort.genes:
        codes = cohort.reference.fetch(gene.cis(600))[None]
        plain = replace(GRAMMAR, pair_bonus=0.0)
        near += GRAMMAR.scores(codes)[0] != plain.scores(codes)[0]
    assert near >= 2


def test_genotypes_are_the_source_s_in_the_spans(source: Cohort, done: Simulated) -> None:
    cohort = opened(done)
    tss = {contig: [g.tss for g in cohort.genes if g.contig == contig] for contig in LENGTHS}
    written = 0
    for contig in {gene.contig for gene in cohort.genes}:
        whole = Interval(contig, 0, LENGTHS[contig])
        old, new = source.genotypes.read(whole)[0], cohort.genotypes.read(whole)[0]
        near = [i for i, p in enumerate(old.position) if any(abs(p - t) <= DESIGN.flank for t in tss[contig])]
        assert new.variant_id == tuple(old.variant_id[i] for i in near)
        assert (new.ref, new.alt) == (tuple(old.ref[i] for i in near), tuple(old.alt[i] for i in near))
        written += len(new)
    assert written == done.variants


def test_equal_seeds_give_equal_files(source: Cohort, done: Simulated, tmp_path: Path) -> None:
    again = simulate(source, DESIGN, tmp_path / "again", quiet)
    other = simulate(source, replace(DESIGN, seed=2), tmp_path / "other", quiet)
    first, second = done.config.parent, again.config.parent
    files = sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(second) for p in second.rglob("*") if p.is_file())
    for name in files:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    for name in ("expression.bed.gz", "genotypes.vcf.gz", "reference.fa.gz"):
        assert (first / name).read_bytes() != (other.config.parent / name).read_bytes()


def test_stretches_are_written_seamlessly(
    source: Cohort, done: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mosaic, "_STRETCH", 50)
    monkeypatch.setattr(files, "_STRETCH", 600)
    again = simulate(source, DESIGN, tmp_path / "again", quiet)
    for name in ("genotypes.vcf.gz", "reference.fa.gz"):
        texts = [gzip.decompress((one.config.parent / name).read_bytes()) for one in (done, again)]
        assert texts[0] == texts[1]


def test_heritability_is_as_asked_and_effects_are_found_by_regression(tmp_path: Path) -> None:
    source = open_source(tmp_path / "source", indels=0.0)
    design = replace(
        DESIGN, people=2_000, heritability=Heritability(0.5), grammar=replace(GRAMMAR, pair_bonus=0.0)
    )
    done = simulate(source, design, tmp_path / "sim", quiet)
    cohort, genes, variants = opened(done), truth(done, "genes"), truth(done, "variants")
    assert dict(genes.schema) == {name: kind() for name, kind in SIMULATED_GENES.items()}
    assert genes["h2"].to_numpy() == pytest.approx(0.5, abs=0.06)
    assert cohort.covariates is not None
    for row, gene in enumerate(cohort.genes):
        score = truth(done, "people").select(cohort.samples).to_numpy()[row]
        outcome = np.log10(cohort.expression.values[row])
        free = np.column_stack([np.ones(2_000), cohort.covariates.values])
        beside = outcome - free @ np.linalg.lstsq(free, outcome, rcond=None)[0]
        assert np.corrcoef(score, beside)[0, 1] == pytest.approx(np.sqrt(0.5), abs=0.05)
        assert np.var(beside) / np.var(outcome) == pytest.approx(0.8, abs=0.06)
        known = variants.filter(gene_id=gene.gene_id)
        read, _ = cohort.genotypes.read(gene.cis(600))
        index = {name: i for i, name in enumerate(read.variant_id)}
        dosage = read.dosage[[index[name] for name in known["variant_id"]]].astype(float)
        design_matrix = np.column_stack([free, dosage.T])
        slopes, *_ = np.linalg.lstsq(design_matrix, outcome, rcond=None)
        left = outcome - design_matrix @ slopes
        spread = np.sqrt(
            np.diag(np.linalg.pinv(design_matrix.T @ design_matrix)) * left.var() * 2_000 / 1_990
        )
        error = np.abs(slopes - np.r_[slopes[:3], known["slope"].to_numpy()])[3:]
        assert (error < 4.5 * spread[3:]).all()


def test_nothing_heritable_leaves_no_truth(source: Cohort, tmp_path: Path) -> None:
    design = replace(DESIGN, heritability=Heritability(0.0), people=400)
    done = simulate(source, design, tmp_path / "null", quiet)
    assert len(truth(done, "variants")) == 0
    values = truth(done, "people").drop("gene_id").to_numpy()
    assert (values == values[:, :1]).all()
    genes = truth(done, "genes")
    assert genes.select("h2_asked", "h2", "genetic_sd", "n_causal").to_numpy().max() == 0
    assert genes["noise_sd"].to_list() == [design.noise_sd] * 5
    cohort = opened(done)
    for gene, measured in zip(cohort.genes, cohort.expression.values, strict=True):
        dosage = cohort.genotypes.read(gene.cis(600))[0].dosage.astype(float)
        varies = dosage[dosage.std(axis=1) > 0]
        r = np.corrcoef(np.vstack([np.log10(measured), varies]))[0, 1:]
        assert np.abs(r).max() < 4.5 / np.sqrt(400)


def test_beta_heritability_and_no_planting(source: Cohort, tmp_path: Path) -> None:
    design = replace(DESIGN, heritability=Heritability.parse("beta:2,5"), planted=0, confounders=0)
    done = simulate(source, design, tmp_path / "beta", quiet)
    assert truth(done, "genes")["h2_asked"].n_unique() == 5
    assert not (done.config.parent / "covariates.tsv").exists()
    assert opened(done).covariates is None
    whole = Interval("chr1", 0, LENGTHS["chr1"])
    assert (opened(done).reference.fetch(whole) == source.reference.fetch(whole)).all()
    saved = json.loads((done.config.parent / "truth" / "design.json").read_text())
    assert saved["design"]["heritability"]["shape"] == [2.0, 5.0]


def test_a_motif_that_overlaps_its_own_reverse_is_planted_so_that_it_counts(
    source: Cohort, tmp_path: Path
) -> None:
    grammar = Grammar((Motif("own_reverse", "CACGTGAY", 0.3),), reach=600, decay=400.0)
    done = simulate(source, replace(DESIGN, grammar=grammar), tmp_path / "sim", quiet)
    rows = truth(done, "variants").filter("planted")
    assert (rows["gained"].list.len() + rows["lost"].list.len()).min() >= 1


def test_as_many_genes_as_will_do_where_no_number_is_asked_for(source: Cohort) -> None:
    design = Design(genes=50, planted=1)
    with pytest.raises(InputError, match="too few genes"):
        choose_genes(source, design)
    genes, _, dropped = choose_genes(source, replace(design, fewer=True))
    assert len(genes) + sum(dropped.counts.values()) == len(source.genes)
    assert genes


def test_too_few_genes(source: Cohort, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"(?s)too few genes.*50 genes with 2 .*got: \d of 6 genes.*fewer"):
        simulate(source, replace(DESIGN, genes=50), tmp_path / "sim", quiet)
    assert list(tmp_path.iterdir()) == []


def test_a_gene_without_room_is_passed_over_and_counted(source: Cohort) -> None:
    crowded = replace(DESIGN, genes=1, planted=10, min_maf=0.25)
    with pytest.raises(InputError) as caught:
        choose_genes(source, replace(crowded, genes=6))
    able = int(caught.value.details["got"].split()[0])
    assert 0 < able < 6
    genes, edits, dropped = choose_genes(source, replace(crowded, genes=able))
    names = dropped.names.get(("gene", "fewer than 10 variants to plant at"), [])
    assert not set(names) & {gene.gene_id for gene in genes}
    assert {edit.contig for edit in edits} == {gene.contig for gene in genes}
    assert sum(edit.variant is not None for edit in edits) == 10 * able


def test_a_folder_with_something_in_it_is_left_alone(source: Cohort, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(StoreError, match=r"(?s)is there already.*another folder"):
        simulate(source, DESIGN, tmp_path, quiet)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_what_fails_half_way_leaves_nothing(source: Cohort, tmp_path: Path) -> None:
    def fail(stage: str, done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(source, DESIGN, tmp_path / "sim", fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Heritability.parse("1"), r"heritability is out of range.*below 1.*1\.0"),
        (lambda: Heritability.parse("beta:0,1"), r"heritability is out of range.*\(0\.0, 1\.0\)"),
        (lambda: Heritability.parse("high"), r"cannot be read.*beta:2,5.*'high'"),
        (lambda: Design(people=1), r"people is out of range.*2 or more.*1"),
        (lambda: Design(confounder_share=1), r"confounder_share is out of range.*0 to 0\.99.*1"),
        (lambda: Design(flank=10), r"flank is out of range.*4000 or more.*10.*grammar's reach"),
    ],
)
def test_designs_that_make_no_sense(make: object, words: str) -> None:
    with pytest.raises(ConfigError, match="(?s)" + words):
        make()  # type: ignore[operator]


def command(*arguments: object) -> HapsightError | str:
    app = typer.Typer()
    app.callback()(lambda: None)
    _add_simulate(app)
    found = CliRunner().invoke(app, ["simulate", *map(str, arguments)])
    if isinstance(found.exception, HapsightError):
        return found.exception
    assert found.exit_code == 0, found.output
    return found.output


def test_command(tmp_path: Path) -> None:
    write_source(tmp_path / "source")
    config = tmp_path / "source" / "cohort.toml"
    config.write_text(
        'name = "s"\noutput = "run"\n[cohort]\ngenotypes = "genotypes.vcf.gz"\nreference = "genome.fa.gz"\n'
        'expression = "expression.bed.gz"\ngenes = "genes.tsv"\nsamples = "samples.tsv"\n'
    )
    motifs = tmp_path / "motifs.tsv"
    motifs.write_text("name\tconsensus\teffect\nmine\tACGGTT\t0.5\n")
    out = tmp_path / "sim"
    numbers = ("--people", 20, "--genes", 3, "--reach", 600, "--flank", 1_000, "--planted", 2)
    said = command(out, "--from", config, *numbers, "--motifs", motifs, "--h2", "0.2", "--seed", 5)
    assert "20 people, 3 genes" in str(said)
    assert "6 motifs planted" in str(said)
    assert len(pl.read_csv(out / "genes.tsv", separator="\t")) == 3
    names = pl.read_parquet(out / "truth" / "variants.parquet")
    assert set(names["gained"].explode().drop_nulls()) | set(names["lost"].explode().drop_nulls()) == {"mine"}


@pytest.mark.parametrize("options", [(), ("--builtin", "--from", "x.toml")])
def test_command_wants_one_source(tmp_path: Path, options: tuple[str, ...]) -> None:
    error = command(tmp_path / "sim", *options)
    assert isinstance(error, ConfigError)
    assert "either --from CONFIG or --builtin" in str(error)


def test_builtin_source(tmp_path: Path) -> None:
    said = command(tmp_path / "sim", "--builtin", "--people", 12, "--genes", 2, "--flank", 5_000)
    assert "12 people, 2 genes" in str(said)
    assert len(DEFAULT_MOTIFS) == 6
