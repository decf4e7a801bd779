"""Effects in every background that people have: each person's haplotypes written out, one by one."""

from __future__ import annotations

import hashlib
import shutil
import stat
from collections import defaultdict
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.cohort.nouns import Variants
from hapsight.dna import decode
from hapsight.errors import ConfigError
from hapsight.explain.ism import ism_window
from hapsight.explain.tables import SCORE_BACKGROUNDS, SCORE_SUMMARY
from hapsight.models.protocol import ReadOut
from hapsight.models.registry import register
from hapsight.sequence.haplotypes import Window
from hapsight.stages.score_backgrounds import group_of, score_backgrounds, summary_path
from hapsight.stages.valued_units import valuer_of
from tests.cohort.pgen_files import write_pgen
from tests.explain.ism_naive import kept, plain, sequence_with
from tests.planted import ToyModel, opened_with_models, quiet
from tests.sequence.naive import toy_variants
from tests.stages.test_chrx import PAR, PEOPLE, is_man, write
from tests.stages.test_formats import text, with_genotypes, write_vcf_text

BEYOND = ("null1", "up2")
"""Genes of which a man has one haplotype."""


class Curved(ToyModel):
    """Variants act on one another."""

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        return torch.sin(super().predict(codes, read_out) / 4)


def load_curved(weights: str | None = None, *, device: object = "cpu") -> Curved:
    return Curved()


def sequence(folder: Path) -> str:
    return "".join(line for line in text(folder / "genome.fa.gz") if line[0] != ">")


def site(name: str, pos: int, ref: str) -> list[str]:
    """An SNV, or a deletion of all but the first base."""
    alt = ref[0] if len(ref) > 1 else "ACGT"["ACGT".index(ref) - 1]
    return ["chrX", str(pos), name, ref, alt]


def write_sites(config: Path, rows: list[list[str]]) -> None:
    lines = ["##fileformat=VCFv4.2", "##contig=<ID=chrX,length=25000>"]
    lines += ["\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"])]
    lines += ["\t".join([*row, ".", ".", "."]) for row in rows]
    config.with_name("sites.vcf").write_text("\n".join(lines) + "\n")


def write_genotypes(config: Path, rows: list[list[str]]) -> None:
    """As VCF, where a man's allele is written once, and as PGEN, where it is written twice."""
    header = [line for line in text(config.with_name("twice.vcf.gz")) if line[0] == "#"]
    once = [
        [*row[:9], *(c[0] if is_man(n) and int(row[1]) > PAR else c for n, c in enumerate(row[9:]))]
        for row in rows
    ]
    write_vcf_text(config.with_name("genotypes.vcf.gz"), header, once)
    write_vcf_text(config.with_name("twice.vcf.gz"), header, rows)
    write_pgen(config.with_name("twice.vcf.gz"), config.with_name("pgen.pgen"))
    shutil.copy(config.with_name("sex.psam"), config.with_name("pgen.psam"))


def genotypes(folder: Path) -> list[list[str]]:
    return [line.split("\t") for line in text(folder / "twice.vcf.gz") if line[0] != "#"]


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    """Everybody has two of six haplotypes, or of a few rare ones."""
    config = write(tmp_path_factory.mktemp("backgrounds"))
    rng = np.random.default_rng(3)
    of = rng.choice(11, (PEOPLE, 2), p=[*[0.95 / 6] * 6, *[0.01] * 5])
    rows = genotypes(config.parent)
    for row in rows:
        founders = [
            call[side] for call in (row[10], row[11], row[13], row[14], row[16], row[17]) for side in (0, 2)
        ]
        second = [0 if is_man(n) and int(row[1]) > PAR else 1 for n in range(PEOPLE)]
        row[9:] = [f"{founders[of[n, 0]]}|{founders[of[n, second[n]]]}" for n in range(PEOPLE)]
    write_genotypes(config, rows)
    letters = sequence(config.parent)
    new = [site("new", 3_003, letters[3_002]), site("gone", 12_990, letters[12_989:13_049])]
    write_sites(config, [*(row[:5] for row in rows), *new])
    return config


def found_of(config: Path, individuals: bool = True):
    opened, runs = opened_with_models(config, load_curved)
    vcf = config.with_name("sites.vcf")
    return score_backgrounds(opened, runs, vcf, opened.cohort.samples, quiet, individuals=individuals)


def digest(codes: np.ndarray) -> str:
    return hashlib.blake2b(codes.tobytes(), digest_size=16).hexdigest()[:16]


def slow(config: Path):
    """By gene, variant and background: who has it on which haplotype; and the value without and with."""
    opened, (run,) = opened_with_models(config, load_curved)
    cohort, valuer = opened.cohort, valuer_of(opened, run)
    lines = config.with_name("sites.vcf").read_text().splitlines()
    scored = [line.split("\t")[:5] for line in lines if line[0] != "#"]
    people: dict[tuple[str, ...], list[tuple[str, int]]] = defaultdict(list)
    values, asked = {}, 0
    for gene in cohort.genes:
        region, true = gene.cis(900), ism_window(gene, valuer).interval
        letters, window = (
            decode(cohort.reference.fetch(region)),
            replace(ism_window(gene, valuer), anchor=900),
        )
        near, _ = cohort.genotypes.read(region, cohort.reference)
        written = cache(lambda carried, letters=letters, window=window: spelled(letters, window, carried))
        inside = [
            (int(p) - 1 - region.start, ref, alt)
            for _, p, _, ref, alt in scored
            if int(p) - 1 < true.end and int(p) - 1 + len(ref) > true.start
        ]
        for n, name in enumerate(near.samples):
            for h in (0,) if is_man(n) and gene.gene_id in BEYOND else (0, 1):
                mine = carried_by(near, n, h, region.start)
                for one in inside:
                    asked += 2
                    present = tuple(sorted({*mine, one}, key=lambda r: r[0]))
                    if fitting(present) != list(present):
                        continue
                    pair = [written(tuple(r for r in present if r != one)), written(present)]
                    place = f"{one[0] + region.start}{one[1]}>{one[2]}"
                    key = (gene.gene_id, place, ".".join(map(digest, pair)))
                    people[key].append((name, h))
                    if key not in values:
                        values[key] = [float(plain(valuer, window, codes)[0]) for codes in pair]
    return people, values, asked


def fitting(records) -> list[tuple[int, str, str]]:
    """Those that one haplotype can have."""
    every = toy_variants(list(records), np.ones((len(records), 1, 2)))
    return [records[v] for v in kept(every, list(range(len(records))))]


def carried_by(near: Variants, person: int, haplotype: int, start: int) -> list[tuple[int, str, str]]:
    carried = np.flatnonzero(near.alleles[:, person, haplotype])
    return fitting([(int(near.position[v]) - start, near.ref[v], near.alt[v]) for v in carried])


def spelled(letters: str, window: Window, records: tuple[tuple[int, str, str], ...]) -> np.ndarray:
    every = toy_variants(list(records), np.ones((len(records), 1, 2)))
    return sequence_with(letters, every, window, list(range(len(records))))


def test_every_row_equals_writing_out_everybodys_haplotypes(config):
    found, (people, values, asked) = found_of(config), slow(config)
    rows = {
        (row["gene_id"], f"{row['position']}{row['ref']}>{row['alt']}", row["background"]): row
        for row in found.backgrounds.iter_rows(named=True)
    }
    assert dict(found.backgrounds.schema) == SCORE_BACKGROUNDS
    assert len(rows) == len(found.backgrounds) > 100
    assert rows.keys() == people.keys()
    for key, row in rows.items():
        assert row["haplotypes"] == len(people[key])
        assert row["people"] == len({name for name, _ in people[key]})
        without, present = values[key]
        assert row["without"] == pytest.approx(without, abs=1e-5)
        assert row["effect"] == pytest.approx(present - without, abs=1e-5)
    assert found.asked == asked
    assert found.computed < asked / 2
    assert found.withheld == 0
    once = found.backgrounds.filter(pl.col("gene_id").is_in(BEYOND))
    assert (
        once.group_by("gene_id", "variant_id").agg(pl.sum("haplotypes"))["haplotypes"].max() == PEOPLE * 5 / 3
    )


def test_pgen_gives_the_same_rows(config):
    found = found_of(with_genotypes(config, "pgen", '"pgen.pgen"'))
    assert found.backgrounds.equals(found_of(config).backgrounds)


def test_the_summary_is_of_the_rows_that_are_written(config):
    for individuals in (True, False):
        found = found_of(config, individuals)
        assert dict(found.summary.schema) == SCORE_SUMMARY
        assert found.summary["share_opposite"].max() > 0
        for row in found.summary.iter_rows(named=True):
            own = found.backgrounds.filter(
                (pl.col("gene_id") == row["gene_id"]) & (pl.col("variant_id") == row["variant_id"])
            )
            effect, weight = own["effect"].to_numpy(), own["haplotypes"].to_numpy()
            assert row["n_shown"] == len(own)
            if not len(own):
                assert row["effect_mean"] is row["share_opposite"] is None
                continue
            opposite = effect * row["effect"] < 0
            assert row["effect_mean"] == pytest.approx(np.average(effect, weights=weight))
            assert (row["effect_min"], row["effect_max"]) == (effect.min(), effect.max())
            assert row["share_opposite"] == pytest.approx(opposite.mean())
            assert row["share_opposite_haplotypes"] == pytest.approx(np.average(opposite, weights=weight))
            assert row["n_backgrounds"] == (len(own) if individuals else None)
    nothing = found.summary.filter(variant_id="gone")["effect"]
    assert nothing.is_not_null().all()


def test_without_asking_no_row_tells_of_fewer_than_five_people(config):
    exact, shown = found_of(config), found_of(config, individuals=False)
    known = exact.backgrounds.filter(pl.col("people") >= 5)
    key = ["gene_id", "variant_id", "background"]
    assert len(shown.backgrounds) + shown.withheld == len(exact.backgrounds)
    assert shown.withheld > 20
    both = shown.backgrounds.join(known, on=key, suffix="_exact")
    assert len(both) == len(shown.backgrounds) > 20
    for name, most in (("haplotypes", 48), ("people", 24)):
        near = (both[f"{name}_exact"].to_numpy() + 2) // 5 * 5
        given = both[name].to_numpy()
        all_ = {most, *([40] if name == "haplotypes" else [])}
        assert all(g == n or g in all_ for g, n in zip(given, near, strict=True))
        assert (np.abs(given - both[f"{name}_exact"].to_numpy()) < 5).all()


def test_counts_do_not_tell_that_somebody_carries_a_rare_variant(config, tmp_path):
    """A variant of one person has the same rows as one of nobody: who carries it is not counted."""
    folder = shutil.copytree(config.parent, tmp_path / "rare", ignore=shutil.ignore_patterns("*run*"))
    rows, letters = genotypes(folder), sequence(folder)
    taken = {int(row[1]) + n for row in rows for n in range(-4, 5)}
    free = [place for place in range(2_900, 3_100) if place not in taken]
    one, other = (
        site("singleton", free[0], letters[free[0] - 1]),
        site("nobodys", free[-1], letters[free[-1] - 1]),
    )
    rows.append([*one, *rows[0][5:9], *("0|1" if n == 1 else "0|0" for n in range(PEOPLE))])
    write_genotypes(folder / config.name, sorted(rows, key=lambda row: int(row[1])))
    write_sites(folder / config.name, [one, other])
    found = found_of(folder / config.name, individuals=False)
    both = {
        name: {
            row["background"].partition(".")[0]: (row["haplotypes"], row["people"])
            for row in found.backgrounds.filter(variant_id=name).iter_rows(named=True)
        }
        for name in ("singleton", "nobodys")
    }
    assert both["singleton"] == both["nobodys"] != {}
    shares = found.summary.filter(gene_id="up1")["share_shown"]
    assert len(shares) == 2
    assert shares[0] == shares[1]


def test_people_are_everybody_a_population_a_list_or_a_file(config, tmp_path):
    opened, _ = opened_with_models(config, load_curved)
    cohort = opened.cohort
    assert group_of(cohort, None) is group_of(cohort, "P003") is None
    assert group_of(cohort, "all") == cohort.samples
    assert group_of(cohort, "TSI") == cohort.samples[1::2]
    assert group_of(cohort, "P007,P002, P007") == ("P002", "P007")
    names = tmp_path / "people.txt"
    names.write_text("#IID\nP009\t1\n\nP001\n")
    assert group_of(cohort, str(names)) == ("P001", "P009")
    for wrong, message in (("nobody", "no person 'nobody'"), ("P001,P0x", "1 unknown of 2 names")):
        with pytest.raises(ConfigError, match=message):
            group_of(cohort, wrong)


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("s.tsv", "s.summary.tsv"),
        ("s.csv.gz", "s.summary.csv.gz"),
        ("a.b.parquet", "a.b.summary.parquet"),
        ("scores", "scores.summary"),
    ],
)
def test_the_summary_is_beside_the_table(name, beside):
    assert summary_path(Path("x") / name) == Path("x") / beside


def call(config: Path, *arguments: str):
    vcf = str(config.with_name("sites.vcf"))
    with register("toy", load_curved):
        return CliRunner().invoke(app, ["score", str(config), "--vcf", vcf, *arguments])


def test_from_the_command_line(config):
    out = config.with_name("s.parquet")
    found = call(config, "--sample", "all", "--out", str(out))
    assert found.exit_code == 0, found.output
    said = " ".join(found.output.split())
    assert "on 4 genes in 24 people" in said
    assert "two for each variant and haplotype would be" in said
    assert "rows, of haplotypes that fewer than five people have (--include-individuals shows them)" in said
    shown = pl.read_parquet(out)
    assert (shown["people"] >= 5).all()
    everything = config.with_name("e.tsv.gz")
    found = call(config, "--sample", "all", "--include-individuals", "--out", str(everything))
    assert found.exit_code == 0, found.output
    assert "not shown" not in found.output
    for path in (everything, summary_path(everything)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(pl.read_csv(everything, separator="\t")) > len(shown)


@pytest.mark.parametrize(
    ("sample", "out", "message"),
    [
        ("all", "s.vcf.gz", r"not written as a VCF[\s\S]*got: \.vcf\.gz"),
        ("P001,P002", "s.tsv", r"single people carry[\s\S]*5 people or more[\s\S]*--include-individuals"),
        ("XYZ", "s.tsv", "no person 'XYZ'"),
    ],
)
def test_what_is_refused(config, sample, out, message):
    found = call(config, "--sample", sample, "--out", str(config.with_name(out)))
    assert isinstance(found.exception, ConfigError)
    with pytest.raises(ConfigError, match=message):
        raise found.exception


def test_few_people_are_told_of_where_single_people_are_asked_for(config):
    out = config.with_name("few.tsv")
    found = call(config, "--sample", "P001,P002", "--include-individuals", "--out", str(out))
    assert found.exit_code == 0, found.output
    assert pl.read_csv(out, separator="\t")["people"].max() == 2
