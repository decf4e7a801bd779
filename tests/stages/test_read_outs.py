"""Models that are read where they should be, and models with a planted fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.cohort.check import CheckResult
from hapsight.cohort.nouns import Interval
from hapsight.cohort.reference import Reference
from hapsight.engine.views import about_tss, read_bases, seen_bases
from hapsight.models.basenji2 import READ_OUTS as BASENJI2
from hapsight.models.basenji2 import Basenji2
from hapsight.models.borzoi import CENTRE, Borzoi
from hapsight.models.elements import ElementSum
from hapsight.models.enformer import READ_OUTS as ENFORMER
from hapsight.models.enformer import Enformer
from hapsight.models.expecto import ExPecto
from hapsight.models.forward import one_hot
from hapsight.models.mini import TSS_BINS, Mini
from hapsight.models.mpra_dragonn import MpraDragonn
from hapsight.models.protocol import ModelWindow, OutputBins, ReadOut, SequenceModel, Track
from hapsight.models.registry import register
from hapsight.run.config import load_config
from hapsight.run.opened import Opened
from hapsight.stages.check import check
from hapsight.stages.explain import _note_signs
from hapsight.stages.read_outs import LoadedModel, place_in_words, read_out_checks
from tests.cohort.files import Record, write_bed, write_fasta, write_table, write_vcf

MOTIF = "TATAAGGCCGCAT"
COMPLEMENT = str.maketrans("ACGT", "TGCA")
BIN, CROP, LENGTH = 32, 6, 1024
BINS = LENGTH // BIN - 2 * CROP
CENTRE_BINS = (BINS // 2 - 1, BINS // 2)
FORGOTTEN = tuple(index + CROP for index in CENTRE_BINS)
"""What the bins about the TSS are taken for where the crop is forgotten: 192 bases behind it."""


class Motif(SequenceModel):
    """The best match of the motif in a bin; 6 of 32 bins are cropped at either end."""

    def __init__(
        self,
        bins: tuple[int, ...] = CENTRE_BINS,
        *,
        first: int = CROP * BIN,
        oriented: bool = True,
        both: bool = False,
        **attributes: Any,
    ) -> None:
        kernel = one_hot(torch.tensor([["ACGT".index(base) for base in MOTIF]], dtype=torch.uint8))
        self.kernels = torch.cat([kernel, kernel.flip(1, 2)]) if both else kernel
        self.window = ModelWindow(LENGTH // 2, LENGTH // 2, oriented=oriented)
        self.output_bins = OutputBins(first, BIN, BINS)
        self.name, self.fingerprint, self.flop_per_pass = "motif", "motif", 1.0
        self.tracks = tuple(Track(name, "", "", ".", "") for name in ("motif", "nothing", "leans"))
        self.read_outs = {"default": ReadOut("default", (0,), bins)}
        self.default_read_out = "default"
        for name, value in attributes.items():
            setattr(self, name, value)

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        found = torch.nn.functional.conv1d(one_hot(codes), self.kernels, padding="same").amax(1)
        binned = found.unfold(1, BIN, BIN).amax(2)[:, CROP:-CROP]  # (B, 20)
        best = binned[:, list(read_out.bins)].amax(1)
        centre = codes[:, LENGTH // 2 - 200 : LENGTH // 2 + 200].float()
        every = torch.stack([best, torch.zeros_like(best), (centre == 3).sum(1).float()], dim=1)
        return every[:, list(read_out.tracks)]

    def mirrored(self, read_out: ReadOut) -> ReadOut:
        return replace(read_out, bins=tuple(sorted(BINS - 1 - index for index in read_out.bins)))

    def to(self, device: torch.device) -> Motif:
        return self


def write(folder: Path, count: int = 60, alt: str | None = None) -> Path:
    """A cohort of 25 people and genes every 16 kb with the motif at their TSS, and what `check` is given.

    Parameters
    ----------
    alt
        The alternative allele of all variants; else any base.
    """
    rng = np.random.default_rng(3)
    length = 16_000 * (count + 1)
    bases = rng.choice(list("ACGT"), length)
    strands, places = "+-" * count, [8_000 + 16_000 * g for g in range(count)]
    for tss, strand in zip(places, strands, strict=False):
        own = MOTIF if strand == "+" else MOTIF[::-1].translate(COMPLEMENT)
        bases[tss - 6 : tss + 7] = list(own)
    names, people = [f"g{g}" for g in range(count)], [f"P{i:02}" for i in range(25)]
    records = []
    for tss in places:
        for position in (tss - 130, tss - 70, tss + 60, tss + 120):
            other = [base for base in (alt or "ACGT") if base != bases[position]]
            if other:
                calls = [f"{a}|{b}" for a, b in rng.integers(0, 2, (25, 2))]
                records.append(Record(position + 1, bases[position], str(rng.choice(other)), calls))
    write_fasta(folder / "r.fa.gz", {"chr1": "".join(bases)})
    write_vcf(folder / "g.vcf.gz", records, people, contigs={"chr1": length})
    values = rng.lognormal(size=(count, 25)).round(3).tolist()
    write_bed(
        folder / "e.bed.gz",
        {name: ("chr1", tss, row) for name, tss, row in zip(names, places, values, strict=True)},
        people,
    )
    rows = [[name, name, "chr1", tss + 1, s] for name, tss, s in zip(names, places, strands, strict=False)]
    write_table(folder / "t.tsv", [["gene_id", "gene_name", "chrom", "tss", "strand"], *rows])
    config = folder / "c.toml"
    config.write_text(
        'name = "x"\noutput = "run"\n[cohort]\ngenotypes = "g.vcf.gz"\nreference = "r.fa.gz"\n'
        'expression = "e.bed.gz"\ngenes = "t.tsv"\n[baseline]\nrun = false\n[eqtl]\nrun = false\n'
    )
    return config


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return Opened.from_config(load_config(write(tmp_path_factory.mktemp("read_outs"))))


def asked(opened: Opened, model: SequenceModel, genes: Any = None) -> dict[str, CheckResult]:
    cohort = opened.cohort if genes is None else replace(opened.cohort, genes=tuple(genes))
    rows = read_out_checks(opened.config, cohort, LoadedModel("m", model, model.read_out()))
    assert not [row.message for row in rows if "Error" in row.message and row.message[-2:] != "no"]
    assert all(row.name == f"{row.asks} of m" and row.model == "m" for row in rows)
    return {row.asks: row for row in rows}


def statuses(found: dict[str, CheckResult]) -> dict[str, str]:
    return {asks: row.status for asks, row in found.items() if row.status != "pass"}


def test_a_sound_model_has_nothing_alarming(opened: Opened) -> None:
    found = asked(opened, Motif())
    assert list(found) == ["read-out", "positive control", "strand", "signs"]
    assert statuses(found) == {}
    assert found["read-out"].message == "bins 9-10 of 20: -32 to +31 bp about the TSS"
    control = found["positive control"].message
    assert "60 of 60 genes" in control
    assert "AUROC 1.00 [1.00, 1.00] against 60 places elsewhere on the contig" in control
    assert "against 60 places 20 to 100 kb from these TSSs" in control
    assert "own strand less the other at 60 TSSs: +" in found["strand"].message
    assert "higher in 100% of the 60" in found["strand"].message


def test_a_forgotten_crop_is_seen_though_the_declared_place_is_fine(opened: Opened) -> None:
    """As in the benchmark that turned around: bins are counted from the window's first base."""
    found = asked(opened, Motif(FORGOTTEN, first=0))
    assert found["read-out"].message == "bins 15-16 of 20: -32 to +31 bp about the TSS"
    assert statuses(found) == {"positive control": "warn"}
    assert found["positive control"].message.startswith("TSSs do not stand out")
    assert "crops before its first bin" in found["positive control"].details[0]


def test_a_declared_place_beside_the_tss_is_seen(opened: Opened) -> None:
    found = asked(opened, Motif(FORGOTTEN))
    assert found["read-out"].status == "warn"
    assert "+160 to +223 bp about the TSS: the TSS is not among them" in found["read-out"].message


def test_the_wrong_strand_is_seen(opened: Opened) -> None:
    turned = {"+": "-", "-": "+"}
    genes = [replace(gene, strand=type(gene.strand)(turned[gene.strand])) for gene in opened.cohort.genes]
    found = asked(opened, Motif(), genes)
    assert found["strand"].status == "warn"
    assert found["strand"].message.startswith("it predicts more on the other strand")


def test_a_model_of_one_strand_that_reads_the_forward_one(opened: Opened) -> None:
    found = asked(opened, Motif(oriented=False))
    assert found["read-out"].message.endswith("-32 to +31 bp about the TSS (on the minus strand -31 to +32)")
    assert found["strand"].status == "warn"
    assert found["strand"].message.startswith("it tells strands apart and reads none")
    assert statuses(asked(opened, Motif(oriented=False, both=True))) == {}


def test_the_mean_of_both_strands_has_no_other_strand(opened: Opened) -> None:
    read_outs = {"default": ReadOut("default", (0,), CENTRE_BINS, reverse_complement=True)}
    found = asked(opened, Motif(read_outs=read_outs))
    assert found["strand"].message == "not applicable: its value is the mean over both strands"
    assert statuses(found) == {}


def test_of_several_tracks_the_lowest_is_told(opened: Opened) -> None:
    found = asked(opened, Motif(read_outs={"default": ReadOut("default", (0, 1), CENTRE_BINS)}))
    assert found["positive control"].status == "warn"
    assert "AUROC 0.50" in found["positive control"].message
    assert "(track nothing)" in found["positive control"].message


def test_what_is_not_looked_at_says_why(opened: Opened) -> None:
    found = asked(opened, Motif(no_tss_control="it predicts a colour"))
    assert {found[asks].message for asks in ("positive control", "strand")} == {
        "not applicable: it predicts a colour"
    }
    assert "of 120 effects" in found["signs"].message or "effects of ALT" in found["signs"].message
    few = asked(opened, Motif(), opened.cohort.genes[:39])
    assert few["positive control"].message == "not tested: 39 genes, fewer than 40"
    costly = asked(opened, Motif(flop_per_pass=1e13))
    assert {costly[asks].message for asks in ("positive control", "strand", "signs")} == {
        "not tested: one pass takes 10,000 GFLOP, too many for a check on this cpu"
    }
    assert statuses(found) == {}
    assert statuses(few) == dict.fromkeys(("positive control", "strand"), "warn")  # not tested is not passed
    assert statuses(costly) == dict.fromkeys(("positive control", "strand", "signs"), "warn")


def test_sums_over_elements_and_reporters(opened: Opened) -> None:
    model = ElementSum(
        Motif(read_outs={"tss": ReadOut("tss"), "both_strands": ReadOut("b")}), {}, 10, None, 0.1
    )
    found = asked(opened, model)
    assert {found[asks].message for asks in ("positive control", "strand", "signs")} == {
        "not applicable: a gene is a sum over given elements, which other places do not have"
    }
    assert statuses(found) == {}
    assert "reporter" in MpraDragonn.no_tss_control


def test_a_model_that_fails_does_not_end_the_check(opened: Opened) -> None:
    class Broken(Motif):
        def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
            raise RuntimeError("no")

    found = asked(opened, Broken())
    assert found["positive control"].status == "warn"
    assert found["positive control"].message == "not tested: RuntimeError: no"


def test_effects_of_one_sign_are_seen(tmp_path: Path) -> None:
    """All ALTs are T, and the model counts T."""
    opened = Opened.from_config(load_config(write(tmp_path, alt="T")))
    read_outs = {"default": ReadOut("default", (2,), CENTRE_BINS)}
    found = asked(opened, Motif(oriented=False, read_outs=read_outs, no_tss_control="none"))
    assert found["signs"].status == "warn"
    assert found["signs"].message.startswith("100% of ")
    assert "exactly 0" in found["signs"].message


def test_places_are_drawn_by_the_seed_and_are_no_tss(opened: Opened) -> None:
    one, again = (asked(opened, Motif())["positive control"].message for _ in range(2))
    assert one == again
    other = replace(opened, config=opened.config.model_copy(update={"seed": 2}))
    read_outs = {"default": ReadOut("default", (2,), CENTRE_BINS)}
    seeds = {asked(each, Motif(read_outs=read_outs))["positive control"].message for each in (opened, other)}
    assert len(seeds) == 2


@pytest.mark.parametrize(
    ("model", "read_out", "said"),
    [
        (Enformer, ENFORMER["sasse2023"], "bins 447-449 of 896: -128 to +255 bp about the TSS (on the minus"),
        (Enformer, ENFORMER["huang2023"], "bins 443-452 of 896: -640 to +639 bp about the TSS"),
        (Basenji2, BASENJI2["huang2023"], "bins 443-452 of 896: -641 to +640 bp about the TSS"),
        (Borzoi, ReadOut("x", (0,), CENTRE), "bins 3052-3091 of 6,144: -640 to +639 bp about the TSS"),
        (Mini, ReadOut("x", (0,), TSS_BINS), "bins 112-143 of 256: -512 to +511 bp about the TSS"),
        (
            ExPecto,
            ReadOut("x"),
            "one output of its whole window: -20,999 to +20,800 bp about the TSS (on the minus strand "
            "-21,000 to +20,799)",
        ),
    ],
)
def test_published_read_outs(model: type[SequenceModel], read_out: ReadOut, said: str) -> None:
    assert place_in_words(object.__new__(model), read_out).startswith(said)


@pytest.mark.parametrize(
    ("model", "bins"), [(Basenji2, tuple(range(443, 453))), (Mini, TSS_BINS), (Mini, (9,))]
)
def test_declared_places_are_where_the_layers_look(model: type[SequenceModel], bins: tuple[int, ...]) -> None:
    """The bases that the layers need, which are found from the bin backwards, have the same middle."""
    bare = object.__new__(model)
    bare.tracks = (Track("x", "", "", ".", ""),) * 5_313  # type: ignore[misc]
    read_out = ReadOut("x", (0,), bins, "mean" if model is Basenji2 else "log1p_sum")
    if bins != (9,):  # there the window's edge cuts off what is needed
        assert sum(read_bases(bare, read_out)) == sum(seen_bases(bare, read_out))
    first, last = read_bases(bare, read_out)
    assert seen_bases(bare, read_out)[0] <= first < last <= seen_bases(bare, read_out)[1]


def test_bases_about_the_tss_by_hand() -> None:
    """Ten bases, the TSS at index 4; a minus-strand gene that is read forwards has upstream on the right."""
    oriented, forward = ModelWindow(4, 6, oriented=True), ModelWindow(4, 6, oriented=False)
    assert about_tss(oriented, (3, 6), minus_strand=False) == (-1, 1)
    assert about_tss(oriented, (3, 6), minus_strand=True) == (-1, 1)
    assert about_tss(forward, (3, 7), minus_strand=False) == (-1, 2)
    assert about_tss(forward, (3, 7), minus_strand=True) == (-2, 1)
    assert about_tss(ModelWindow(4, 6, oriented=True, minus_shift=1), (3, 6), minus_strand=True) == (-2, 0)


def test_bins_whose_place_is_not_declared() -> None:
    model = SimpleNamespace(window=ModelWindow(4, 6, oriented=True), output_bins=None)
    said = place_in_words(model, ReadOut("x", (0,), (1, 3)))  # type: ignore[arg-type]
    assert said == (
        "2 bins from 1 to 3, of which the model does not say where they lie in its window: "
        "-4 to +5 bp about the TSS"
    )


def test_check_prints_and_keeps_them(tmp_path: Path) -> None:
    config = write(tmp_path)
    config.write_text(
        config.read_text()
        + '[[models]]\nname = "motif"\n[[models]]\nname = "lost"\n[explain]\nsign_priors = "unsigned.tsv"\n'
        + '[[informed.effects]]\nlabel = "theirs"\npath = "unsigned.tsv"\n'
        + '[[priors.effects]]\nlabel = "later"\npath = "made_by_explain.parquet"\n'
    )
    table = tmp_path / "unsigned.tsv"
    reference = Reference(tmp_path / "r.fa.gz")
    rows = []
    for start in range(8_100, 976_000, 16_000):
        ref = reference.letters(Interval("chr1", start, start + 1))
        alt, score = "ACGTA"["ACGT".index(ref) + 1], (-1) ** len(rows)
        rows.append(f"chr1\t{start + 1}\t{ref}\t{alt}\t{0.1 + start}\t{score}")
    table.write_text("chrom\tpos\tref\talt\tslope\tscore\n" + "\n".join(rows) + "\n")

    def motif(*, device: object) -> Motif:
        return Motif()

    def lost(*, device: object) -> Motif:
        return Motif(FORGOTTEN, first=0, name="lost")

    with register("motif", motif), register("lost", lost):
        found = {row.name: row for row in check(load_config(config), tables=[table])}
        done = CliRunner().invoke(app, ["check", str(config), "--table", str(tmp_path / "none.tsv")])
    assert found["positive control of motif"].status == "pass"
    assert found["positive control of lost"].status == "warn"
    assert found["alleles of unsigned.tsv"].message.startswith("of 61 of 61 variants, 61 have their REF")
    assert found["signs of unsigned.tsv"].status == "warn"
    assert found["signs of unsigned.tsv"].message.startswith("100% of 61 effects")
    assert found["signs of sign priors unsigned.tsv"].status == "pass"
    assert found["alleles of theirs (evidence)"].status == "warn"  # `hapsight informed` would refuse it
    assert found["alleles of theirs (evidence)"].message == "The table of effects lacks columns."
    assert not any("later (" in name for name in found)
    assert done.exit_code == 1
    assert "fail alleles of none.tsv" in " ".join(done.output.split())


def test_explain_notes_effects_of_one_sign() -> None:
    """A track that leans, and one that does not; the note of the report says which."""
    notes: list[str] = []
    opened: Any = SimpleNamespace(folder=SimpleNamespace(note=notes.append))
    run: Any = SimpleNamespace(label="toy", track_names=("a", "b"))
    effects = pl.LazyFrame({"track": ["a", "b"] * 40, "effect": [1.0, 1.0, 1.0, -1.0] * 20})
    of_one: Any = SimpleNamespace(scan={"effects": effects.filter(pl.col("track") == "b")}.get)
    _note_signs(opened, run, of_one)
    assert notes == []
    of_both: Any = SimpleNamespace(scan={"effects": effects}.get)
    _note_signs(opened, run, of_both)
    (note,) = notes
    assert note.startswith("toy: 100% of 40 effects of ALT on the reference are positive")
    assert "(track a, of 2 the one that leans most)" in note
