"""Sums over elements: the engine against a slow builder, one person, haplotype and element at a time."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.nouns import Gene, Interval
from hapsight.cohort.reference import Reference
from hapsight.dna import decode
from hapsight.engine.cost import plan_gene
from hapsight.engine.engine import Valuer, predict_genes
from hapsight.engine.views import Sequences, require_fitting
from hapsight.errors import ConfigError, InputError, ModelError
from hapsight.explain.element_ism import elements_ism
from hapsight.models import elements
from hapsight.models.elements import ElementSum, read_elements
from hapsight.models.protocol import ModelWindow, ReadOut, SequenceModel, Track
from tests.planted import Planted, write_planted
from tests.sequence.naive import Base, naive_contig, toy_reference, toy_variants

LENGTH = 24


class Element(SequenceModel):
    """A weight per position and base, summed: log2(activity + .1) of 24 bases. It counts what it is asked."""

    name = "element/toy"
    window = ModelWindow(LENGTH // 2, LENGTH // 2, oriented=False)
    tracks = (Track("activity", "none", "none", ".", "log2"),)
    default_read_out = "tss"
    fingerprint = "element"
    flop_per_pass = 100.0

    def __init__(self) -> None:
        weights = np.random.default_rng(5).standard_normal((LENGTH, 5)) * 0.5
        self.weights = torch.from_numpy(weights)
        self.read_outs = {
            "tss": ReadOut("tss"),
            "both_strands": ReadOut("both_strands", reverse_complement=True),
        }
        self.asked: list[bytes] = []
        self.broken = False

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        self.asked += [row.tobytes() for row in codes.numpy()]
        values = self.weights[torch.arange(LENGTH), codes.long()].sum(dim=1, keepdim=True)
        return values * np.nan if self.broken else values

    def to(self, device: torch.device) -> Element:
        return self

    def slowly(self, bases: str) -> float:
        weights = self.weights.numpy()
        return float(sum(weights[i, "ACGTN".index(base)] for i, base in enumerate(bases)))


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return write_planted(tmp_path_factory.mktemp("planted"), people=3)


def summed(planted: Planted, power: float | None = None, reach_kb: float = 2.0) -> ElementSum:
    """Elements every 150 bases, and one whose window overlaps each TSS's."""
    length = 5_000 * (len(planted.genes) + 1)
    centres = {*range(100, length, 450), *(gene.tss + LENGTH - 1 for gene in planted.genes)}
    return ElementSum(Element(), {"1": np.array(sorted(centres))}, reach_kb, power, 0.1)


def sequences_of(planted: Planted, model: ElementSum, read_out: str = "elements") -> Sequences:
    genotypes = GenotypeFile(planted.folder / "genotypes.vcf.gz")
    reference = Reference(planted.folder / "genome.fa.gz")
    return Sequences(model, model.read_out(read_out), lambda i: genotypes.read(i)[0], reference.fetch)


def predict(planted: Planted, model: ElementSum, read_out: str = "elements", batch_size: int = 16):  # type: ignore[no-untyped-def]
    return predict_genes(
        sequences_of(planted, model, read_out), planted.genes, batch_size=batch_size, device="cpu"
    )


def naive(planted: Planted, model: ElementSum, both: bool, power: float) -> Iterator[np.ndarray]:
    """(N, 2) of each gene, from bases that the naive builder makes about each element."""
    sequences = sequences_of(planted, model)
    everything = Interval("chr1", 0, 5_000 * (len(planted.genes) + 1))
    variants, sequence = sequences.read_variants(everything), decode(sequences.fetch_reference(everything))
    people = len(variants.samples)
    whole = {(p, h): naive_contig(sequence, variants, p, h) for p in range(people) for h in range(2)}
    for gene in planted.genes:
        found = np.empty((people, 2))
        for key in np.ndindex(*found.shape):
            found[key] = slowly(model, gene, whole[key], both, power)
        yield found


def slowly(model: ElementSum, gene: Gene, contig: list[Base], both: bool, power: float) -> float:
    """A gene's value from the bases of a haplotype, and where each lies in the reference."""
    element = model.element
    assert isinstance(element, Element)
    places = [-1 if at is None else at for _, at in contig]
    total = 0.0
    for centre in [gene.tss, *(c for c in model.centres["1"] if LENGTH <= abs(c - gene.tss) <= model.reach)]:
        at = next(i for i, place in enumerate(places) if place >= centre)
        bases = "".join(b for b, _ in contig[at - LENGTH // 2 : at + LENGTH // 2])
        value = element.slowly(bases)
        if both:
            turned = bases[::-1].translate(str.maketrans("ACGT", "TGCA"))
            value = (value + element.slowly(turned)) / 2
        weight = (5_000 / max(abs(centre - gene.tss), 5_000)) ** power
        total += weight * max(2**value - 0.1, 0.0)
    return float(np.log2(0.1 + total))


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize(("power", "reach_kb"), [(None, 1.0), (1.02, 7.0)])
def test_every_haplotype_equals_the_slow_sum(
    planted: Planted, both: bool, power: float | None, reach_kb: float
) -> None:
    model = summed(planted, power, reach_kb)
    found = predict(planted, model, "elements_both_strands" if both else "elements")
    for prediction, expected in zip(found, naive(planted, model, both, power or 0.0), strict=True):
        assert np.ptp(expected) > 0 or prediction.n_variants == 0
        np.testing.assert_allclose(prediction.values[..., 0], expected, rtol=0, atol=1e-9)
        assert len(np.unique(prediction.index)) == len(prediction.distinct)


def test_abc_falls_with_distance_where_no_power_is_given(planted: Planted) -> None:
    model = summed(planted, None, 7.0)
    found = predict(planted, model, "abc")
    np.testing.assert_allclose(
        found[0].values[..., 0], next(naive(planted, model, False, 1.02)), rtol=0, atol=1e-9
    )
    assert "power -1.02" in model.read_out("abc").description
    assert model.read_out("elements").description.endswith("alike")


def test_effects_are_those_of_each_variant_alone(planted: Planted) -> None:
    """Elements that overlap, and deletions between them, are among these."""
    model = summed(planted, None, 7.0)
    model.centres["1"] = np.sort(np.append(model.centres["1"], [5_610, 8_310]))
    sequences, genes = sequences_of(planted, model, "abc"), planted.genes[:1]
    valuer = Valuer(model, model.read_out("abc"), "cpu")
    reference = decode(sequences.fetch_reference(Interval("chr1", 0, 5_000 * (len(planted.genes) + 1))))
    predicted = predict_genes(sequences, genes, batch_size=4, device="cpu")
    every = elements_ism(genes, valuer, sequences.read_variants, sequences.fetch_reference)
    n_effects = 0
    for gene, found, expected in zip(genes, every, predicted, strict=True):
        np.testing.assert_allclose(found.ism.predicted, expected.values, rtol=0, atol=1e-9)
        np.testing.assert_allclose(found.ism.reference, expected.reference, rtol=0, atol=1e-9)
        assert found.ism.variants.position.tolist() == sorted(found.ism.variants.position.tolist())
        assert len(found.ism.variants) == expected.n_variants
        for v in range(0, len(found.ism.variants), 3):
            alone = found.ism.variants.take(np.array([v]))
            carried = replace(alone, alleles=np.ones_like(alone.alleles))
            changed = naive_contig(reference, carried, 0, 0)
            before = naive_contig(reference, replace(alone, alleles=0 * alone.alleles), 0, 0)
            effect = slowly(model, gene, changed, False, 1.02) - slowly(model, gene, before, False, 1.02)
            assert found.ism.effect[v, 0] == pytest.approx(effect, abs=1e-9)
            n_effects += effect != 0
            at = found.centre[v]
            lone = ElementSum(model.element, {"1": np.array([10**9])}, 7.0, None, 0.1)
            own = [slowly(lone, Gene("e", "chr1", int(at)), one, False, 0.0) for one in (changed, before)]
            assert found.activity[v, 0] == pytest.approx(2 ** own[1] - 0.1, abs=1e-9)
            kept = slowly_element(model, changed, at) - slowly_element(model, before, at)
            assert found.effect[v, 0] == pytest.approx(kept, abs=1e-9)
    assert n_effects > 2


def slowly_element(model: ElementSum, contig: list[Base], centre: int) -> float:
    at = next(i for i, (_, place) in enumerate(contig) if place is not None and place >= centre)
    assert isinstance(model.element, Element)
    return model.element.slowly("".join(b for b, _ in contig[at - LENGTH // 2 : at + LENGTH // 2]))


def test_each_different_window_of_a_block_is_read_once(planted: Planted) -> None:
    model = summed(planted)
    predict(planted, model, batch_size=1)
    assert isinstance(model.element, Element)
    assert len(set(model.element.asked)) == len(model.element.asked) > 0


def test_batches_do_not_matter_and_the_plan_counts_what_is_run(planted: Planted) -> None:
    model = summed(planted, reach_kb=1.0)
    one, other = predict(planted, model, batch_size=3), predict(planted, model, batch_size=500)
    sequences = sequences_of(planted, model)
    for gene, a, b in zip(planted.genes, one, other, strict=True):
        np.testing.assert_array_equal(a.values, b.values)
        assert plan_gene(sequences, gene)[1] == a.flop


def test_without_elements_within_reach_it_is_the_tss(planted: Planted) -> None:
    alone = ElementSum(Element(), {"7": np.array([5])}, 2.0, None, 0.1)
    everything = predict(planted, alone)
    for prediction, expected in zip(everything, naive_tss(planted, alone), strict=True):
        np.testing.assert_allclose(prediction.values[..., 0], expected, rtol=0, atol=1e-9)


def naive_tss(planted: Planted, model: ElementSum) -> Iterator[np.ndarray]:
    tss = ElementSum(model.element, {"1": np.array([10**9])}, 2.0, None, 0.1)
    return naive(planted, tss, False, 0.0)


def test_a_value_that_is_not_finite_names_the_gene(planted: Planted) -> None:
    model = summed(planted)
    assert isinstance(model.element, Element)
    model.element.broken = True
    with pytest.raises(ModelError, match=planted.genes[0].gene_id):
        predict(planted, model)


def test_sequences_are_refused(planted: Planted) -> None:
    model = summed(planted)
    with pytest.raises(ConfigError, match=r"leave out the option 'elements'"):
        model.predict(torch.zeros((1, model.window.length), dtype=torch.uint8), model.read_out())


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 5_000)), min_size=1, max_size=20))
def test_centres_are_those_of_the_bed(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.mktemp("bed") / "e.bed"
    path.write_text("track x\n# y\n\n" + "".join(f"chr3\t{s}\t{s + n}\tname\n" for s, n in rows))
    packed = path.with_suffix(".bed.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    expected = sorted({(s + s + n) // 2 for s, n in rows})
    for one in (path, packed):
        assert list(read_elements(one)) == ["3"]
        assert read_elements(one)["3"].tolist() == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no element"),
        ("chr1\t5\n", r"line 1\n.*got: chr1\t5"),
        ("chr1\t1\t9\nchr1\t9\t9\n", "line 2"),
        ("chr1\t-1\t9\n", "line 1"),
        ("chr1\tx\t9\n", "line 1"),
        ("chr1\t1\t99999999999999999999\n", "line 1"),
    ],
)
def test_what_is_no_bed_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "e.bed").write_text(text)
    with pytest.raises(InputError, match=rf"(?s){message}"):
        read_elements(tmp_path / "e.bed")


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"\x1f\x8b\x08garbage", gzip.compress(b"chr1\t1\t9\n", mtime=0)[:-4]]
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "e.bed").write_bytes(content)
    with pytest.raises(InputError):
        read_elements(tmp_path / "e.bed")
    with pytest.raises(InputError, match="cannot be read"):
        read_elements(tmp_path / "nowhere.bed")


@pytest.mark.parametrize(
    ("reach_kb", "power", "message"),
    [
        (0, None, "'reach_kb'"),
        (9_999, None, "'reach_kb'"),
        (1, -1.0, "'distance_power'"),
        ("far", None, "'reach_kb'"),
    ],
)
def test_options_out_of_range(reach_kb: float, power: float | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ElementSum(Element(), {}, reach_kb, power, 0.1)


@pytest.mark.parametrize("centres", [[1], [1_030], [1_030, 1_060], [970, 1_030, 1_060, 1_090, 1_900]])
def test_what_is_left_out_counts_once_however_many_elements_are_near(centres: list[int]) -> None:
    records = [(1_005, "ACG", "A"), (1_006, "C", "T"), (1_500, "AT", "A"), (1_501, "T", "G")]
    alleles = np.array([[[1, 1], [1, 0]]] * 2 + [[[1, 0], [0, 0]]] * 2)
    variants = toy_variants(records, alleles)
    model = ElementSum(Element(), {"c": np.array(centres, np.int64)}, 1.0, None, 0.1)
    sequences = Sequences(model, model.read_out(), variants.within, toy_reference("ACGT" * 600))
    (found,) = predict_genes(sequences, [Gene("g", "c", 1_000)], batch_size=4, device="cpu")
    ((kind, count),) = found.dropped.counts.items()
    assert (kind[0], count, found.n_variants) == ("allele", 1, 2)
    (names,) = found.dropped.names.values()
    assert names == ["c:1007 C>T P0 haplotype 1"]


def test_the_version_of_the_code_is_in_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    def made() -> str:
        return ElementSum(Element(), {"1": np.array([5])}, 2.0, None, 0.1).fingerprint

    before = made()
    assert made() == before
    monkeypatch.setattr(elements, "CODE_VERSION", 0)
    assert made() != before


@pytest.mark.parametrize(("gene", "bed"), [("MT", "chrM"), ("chrM", "MT"), ("chr2", "2")])
def test_elements_are_found_by_either_name_of_the_contig(tmp_path: Path, gene: str, bed: str) -> None:
    (tmp_path / "e.bed").write_text(f"{bed}\t1090\t1110\n")
    model = ElementSum(Element(), read_elements(tmp_path / "e.bed"), 2.0, None, 0.1)
    assert model.places(gene, 1_000).tolist() == [1_000, 1_100]


def test_elements_on_contigs_of_other_names_are_refused() -> None:
    model = ElementSum(Element(), {"NC_000001.11": np.array([1_100])}, 2.0, None, 0.1)
    said = r"No element is on a contig of the genes(.|\n)*expected:.*chr1, chr2(.|\n)*got: NC_000001\.11"
    with pytest.raises(ConfigError, match=said):
        require_fitting(model, [Gene("a", "chr2", 9), Gene("b", "chr1", 9)], {"chr1": 9_999, "chr2": 9_999})
    some = ElementSum(Element(), {"2": np.array([1_100])}, 2.0, None, 0.1)
    require_fitting(some, iter([Gene("a", "chr2", 9), Gene("b", "chr1", 9)]), {"chr1": 9_999, "chr2": 9_999})


def test_a_contig_has_to_hold_an_elements_window_not_all_within_reach() -> None:
    model = ElementSum(Element(), {"2": np.array([100])}, 2.0, None, 0.1)
    require_fitting(model, [Gene("a", "chr2", 9)], {"chr2": LENGTH})
    with pytest.raises(ConfigError, match=r"longer than the contig(.|\n)*at least 24 bp(.|\n)*got: 23 bp"):
        require_fitting(model, [Gene("a", "chr2", 9)], {"chr2": LENGTH - 1})
