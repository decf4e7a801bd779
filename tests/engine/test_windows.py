from dataclasses import replace

import numpy as np
import pytest

from hapsight.cohort.nouns import Gene, Strand
from hapsight.dna import reverse_complement
from hapsight.engine.engine import Valuer, predict_genes
from hapsight.engine.shared import plain_values
from hapsight.engine.views import (
    Sequences,
    of_genes,
    require_fitting,
    seen_bases,
    seen_interval,
    views,
    window_of,
)
from hapsight.errors import ConfigError
from hapsight.models.protocol import ModelWindow
from tests.engine.toy_shared import ToyCentre, ToyExons, ToyShared
from tests.planted import ToyModel
from tests.sequence.naive import toy_reference, toy_variants


def test_a_contig_shorter_than_the_window_is_refused():
    genes = [Gene("fits", "long", 10, Strand.PLUS), Gene("does not", "short", 10, Strand.PLUS)]
    with pytest.raises(
        ConfigError, match=r"longer than the contig[\s\S]*does not on short[\s\S]*500 bp[\s\S]*499 bp"
    ):
        require_fitting(ToyModel(), genes, {"long": 500, "short": 499})


def test_a_gene_without_strand_is_refused_by_a_model_that_needs_one():
    with pytest.raises(ConfigError, match=r"needs the gene's strand[\s\S]*gene g"):
        require_fitting(ToyModel(), [Gene("g", "c", 10)], {"c": 1000})


def test_windows_of_both_strands_and_margins():
    model = ToyModel()
    plus = window_of(Gene("g", "c", 1000, Strand.PLUS), model.window, beyond=2)
    assert (plus.left, plus.right, plus.reverse) == (302, 202, False)
    minus = window_of(Gene("g", "c", 1000, Strand.MINUS), model.window)
    assert (minus.left, minus.right, minus.reverse) == (199, 301, True)
    model.window = ModelWindow(300, 200, oriented=True, minus_shift=1)
    shifted = window_of(Gene("g", "c", 1000, Strand.MINUS), model.window)
    assert (shifted.left, shifted.right) == (198, 302)


@pytest.mark.parametrize(("strand", "first"), [(Strand.PLUS, 920), (Strand.MINUS, 921)])
@pytest.mark.parametrize("read_out", ["default", "ensemble"])
def test_what_a_read_out_sees_is_what_can_change_it(strand, first, read_out):
    """Every base of a window and its margin is changed in turn; the strand, the shifts count."""
    model, gene = ToyCentre(), Gene("g", "c", 1000, strand)
    valuer = Valuer(model, model.read_out(read_out), "cpu")
    window = window_of(gene, model.window, valuer.beyond)
    codes = np.random.default_rng(0).integers(0, 4, (1, window.length)).astype(np.uint8)
    changed = np.repeat(codes, window.length, axis=0)
    changed[np.arange(window.length), np.arange(window.length)] = (codes[0] + 1) % 4
    both = np.concatenate([codes, changed])
    values, _ = valuer(reverse_complement(both) if window.reverse else both)
    moved = np.flatnonzero((values[1:] != values[0]).any(axis=1)) + window.interval.start
    seen = seen_interval(gene, model.window, seen_bases(model, model.read_out(read_out)))
    assert seen.start <= moved.min()
    assert moved.max() < seen.end
    assert len(seen) - (moved.max() + 1 - moved.min()) <= 2 * model.grid.before
    assert window_of(gene, model.window).interval.start == first


def test_shifts_reach_beyond_the_window_of_a_model_that_sees_all_of_it():
    model, gene = ToyShared(), Gene("g", "c", 1000, Strand.PLUS)
    for name, beyond in (("default", 0), ("ensemble", 1)):
        seen = seen_interval(gene, model.window, seen_bases(model, model.read_out(name)))
        assert (seen.start, seen.end) == (920 - beyond, 1080 + beyond)
    whole = ToyModel()
    seen = seen_interval(gene, whole.window, seen_bases(whole, whole.read_out()))
    assert seen == window_of(gene, whole.window).interval


EXON_GENES = (Gene("a", "c", 300, Strand.PLUS), Gene("b", "c", 340, Strand.MINUS))
EXONS = {"a": ((290, 296), (330, 390)), "b": ((250, 261), (339, 341))}


def write_gtf(path):
    rows = [
        f'c\tx\texon\t{start + 1}\t{end}\t.\t{strand}\t.\tgene_id "{name}"; transcript_id "t{name}";\n'
        for (name, exons), strand in zip(EXONS.items(), "+-", strict=True)
        for start, end in exons
    ]
    path.write_text("".join(rows))
    return path


@pytest.mark.parametrize("name", ["default", "both"])
def test_each_gene_is_read_over_its_own_exons(tmp_path, name):
    rng = np.random.default_rng(0)
    text = "".join(rng.choice(list("ACGT"), 700))
    records = [(p, text[p], "ACGT"[("ACGT".index(text[p]) + 1) % 4]) for p in range(210, 430, 9)]
    records[3] = (records[3][0], records[3][1], records[3][1] + "GA")
    variants = toy_variants(records, rng.integers(0, 2, (len(records), 3, 2)))
    model = ToyExons(write_gtf(tmp_path / "genes.gtf"))
    sequences = Sequences(model, model.read_out(name), variants.within, toy_reference(text))
    found = predict_genes(sequences, EXON_GENES, batch_size=4, device="cpu")
    for gene, made in zip(EXON_GENES, found, strict=True):
        inside = {base - gene.tss + 80 for start, end in EXONS[gene.gene_id] for base in range(start, end)}
        own = replace(sequences.read_out, bins=tuple(sorted(base for base in inside if 0 <= base < 160)))
        people, codes = sequences.of(gene)
        every = [plain_values(model, view.read_out, view.of(codes, 0), "cpu") for view in views(model, own)]
        assert len(every) == (2 if name == "both" else 1)
        np.testing.assert_allclose(made.reference, np.mean(every, axis=0)[0], rtol=1e-12)
        own_values = np.mean(every, axis=0)[1:][people.index]
        assert made.values.shape == (3, 2, len(own.tracks))
        np.testing.assert_allclose(made.values, own_values, rtol=1e-12)
    assert found[-1].dropped.names["exon", "beyond the model's window"] == [
        "a: 10 of 66 bases",
        "b: 10 of 13 bases",
    ]


def test_genes_without_an_exon_in_the_window_are_named(tmp_path):
    genes = [*EXON_GENES, Gene("far", "c", 600, Strand.PLUS)]
    model = ToyExons(write_gtf(tmp_path / "genes.gtf"))
    with pytest.raises(ConfigError, match=r"no exon in the model's window[\s\S]*got: far[\s\S]*keep_genes"):
        of_genes(model, model.read_out(), genes)
    assert of_genes(ToyShared(), model.read_out(), genes) == dict.fromkeys(
        ("a", "b", "far"), model.read_out()
    )
