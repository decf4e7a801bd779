"""The adapter says what `alphagenome-pt` says: its own forward pass, random weights, narrow.

Skipped where the package is not installed: ``pip install 'hapsight[alphagenome]'``.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils.flop_counter import FlopCounterMode

from hapsight.cohort.nouns import Gene, Strand
from hapsight.dna import encode
from hapsight.engine.arithmetic import in_arithmetic
from hapsight.engine.engine import predict_genes
from hapsight.engine.shared import shared_values
from hapsight.engine.views import Sequences, window_of
from hapsight.errors import ConfigError, InputError, WeightsError
from hapsight.explain.gradients import _of_view
from hapsight.models import alphagenome, alphagenome_files
from hapsight.models.alphagenome_files import load
from hapsight.models.alphagenome_tracks import HEADS
from hapsight.models.forward import one_hot, with_gradients
from hapsight.train.adapters import adapt
from tests.sequence.naive import naive_window, toy_reference, toy_variants

package = pytest.importorskip("alphagenome_pt", reason="pip install 'hapsight[alphagenome]'")
pytestmark = pytest.mark.verify

LENGTH = 16_384
NARROW = {"window": LENGTH, "width": 24, "layers": 3}
EXONS = [[-8192, -8100], [-300, -100], [4000, 4100], [8000, 8192]]


@pytest.fixture(scope="module")
def model():
    return load("random:1", exons=EXONS, **NARROW)


@pytest.fixture(scope="module")
def exact():
    return load("random:1", exons=EXONS, dtype="float64", **NARROW)


def sequences(count, seed=0, letters=5):
    """(R, L) codes: a reference with some N, haplotypes with SNVs, with indels, with both ends changed."""
    rng = np.random.default_rng(seed)
    reference = rng.integers(0, letters, LENGTH, dtype=np.uint8)
    rows = [reference]
    for at in rng.integers(0, LENGTH, (count, 8)):
        row = reference.copy()
        row[at] = (row[at] + 1) % 4
        rows.append(row)
    new = rng.integers(0, 4, 7, dtype=np.uint8)
    rows += [np.concatenate([reference[:9000], reference[9007:], new])]
    rows += [np.concatenate([reference[7:7000], new, reference[7000:]])]
    rows.append(np.where(np.isin(np.arange(LENGTH), [0, 1, LENGTH - 1]), (reference + 1) % 4, reference))
    return np.stack(rows).astype(np.uint8)


def asked(model, codes, read_out):
    """(R, T) the package's own forward pass, combined base by base as the read-out says, in float64."""
    with torch.no_grad():
        given = model.network.predict(one_hot(torch.from_numpy(codes)).transpose(1, 2), model.organism)

    def track(index):
        target = model.targets[index]
        values = given[target.head]["predictions_1bp"]
        assert values.dtype == model.dtype
        values = values[:, list(read_out.bins), target.row].double()
        return values.mean(1) if read_out.reduce.startswith("mean") else values.sum(1)

    rows = []
    for index in read_out.tracks:
        rows.append(track(index))
        if read_out.reduce.endswith("strands") and model.targets[index].track.strand != ".":
            rows[-1] = rows[-1] + track(model.targets[index].pair)
    return torch.stack(rows, 1).numpy()


@pytest.mark.parametrize("name", ["cage", "procap", "dnase", "atac", "rna_seq"])
def test_float32_and_float64_are_the_packages(model, exact, name):
    codes = sequences(2)
    for one, tolerance in ((model, 1e-5), (exact, 1e-12)):
        read_out = one.read_out(name)
        expected = asked(one, codes, read_out)
        batch = torch.from_numpy(codes)
        np.testing.assert_allclose(one.predict(batch, read_out), expected, rtol=tolerance)
        np.testing.assert_allclose(one.read(one.embed(batch), read_out), expected, rtol=tolerance)


@pytest.mark.parametrize("name", ["cage", "rna_seq"])
def test_differences_between_shared_haplotypes_are_the_packages(exact, name):
    codes, read_out = sequences(6, seed=1), exact.read_out(name)
    found, work = shared_values(exact, read_out, codes, device="cpu")
    expected = asked(exact, codes, read_out)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.abs(expected[1:] - expected[0]).min() > 1e-7 * expected[0].max()
    np.testing.assert_allclose(found - found[0], expected - expected[0], rtol=1e-6)
    assert work.positions < 0.6 * len(codes) * exact.positions


def test_float32_loses_no_difference_and_the_packages_default_does(model, exact):
    codes, read_out = sequences(12, seed=2, letters=4)[:13], model.read_out("cage")
    truth = asked(exact, codes, read_out)
    found, _ = shared_values(model, read_out, codes, device="cpu")
    assert (np.sign(found[1:] - found[0]) == np.sign(truth[1:] - truth[0])).all()
    default = package.AlphaGenome(
        package.AlphaGenomeConfig(**model.network.cfg.to_dict() | {"dtype_policy": "deepmind"})
    )
    default.load_state_dict(model.network.state_dict())
    with torch.no_grad():
        given = default.eval().predict(one_hot(torch.from_numpy(codes)).transpose(1, 2), 0)
    rows = [model.targets[track].row for track in model._computed_tracks(read_out)]
    values = given["cage"]["predictions_1bp"]
    assert values.dtype == torch.bfloat16
    at_tss = values[:, LENGTH // 2, rows[0]].double()
    assert (at_tss[1:] == at_tss[0]).double().mean() > 0.2  # a base's prediction did not change at all


def test_a_stretch_with_its_halo_is_the_windows(exact):
    codes = torch.from_numpy(sequences(0, seed=3)[:1])
    whole = exact.embed(codes)
    for core in ((5, 20), (40, 41), (70, 123)):
        first, last = ((core[0] - 5) * 128, (core[1] + 5) * 128)
        part = exact.embed(codes[:, first:last])[:, 5:-5]
        torch.testing.assert_close(part, whole[:, slice(*core)], rtol=1e-11, atol=1e-11)
    ends = exact.embed(codes[:, : 20 * 128])[:, :15]
    torch.testing.assert_close(ends, whole[:, :15], rtol=1e-11, atol=1e-11)


def test_a_position_sees_513_bases_to_either_side(exact):
    codes = torch.from_numpy(sequences(6, seed=3, letters=4))
    with with_gradients() as inputs:
        encoded = exact.embed(codes)[:, 60, :48]
    (gradient,) = torch.autograd.grad(encoded.abs().sum(), inputs[0])
    seen = gradient.abs().sum((0, 1)).nonzero().flatten()
    assert (60 * 128 - int(seen[0]), int(seen[-1]) - (61 * 128 - 1)) == (513, 513)


@pytest.mark.parametrize(("decoded", "encoded"), [(5, 8), (6, 6)])
def test_less_around_a_read_out_would_be_wrong(exact, monkeypatch, decoded, encoded):
    codes = torch.from_numpy(sequences(0, seed=4)[:1])
    for base in (128 * 64, 128 * 65 - 1):  # the first and last base of a position
        read_out = replace(exact.read_out("cage"), bins=(base,))
        truth = exact.predict(codes, read_out)
        torch.testing.assert_close(exact.read(exact.embed(codes), read_out), truth, rtol=1e-12, atol=0)
        with monkeypatch.context() as patch:
            patch.setattr(alphagenome, "DECODED", decoded)
            patch.setattr(alphagenome, "ENCODED", encoded)
            alphagenome._regions.cache_clear()
            wrong = exact.read(exact.embed(codes), read_out)
        alphagenome._regions.cache_clear()
        assert (wrong / truth - 1).abs().max() > 1e-12


@pytest.mark.parametrize("name", ["cage", "rna_seq"])
def test_flop_are_what_torch_counts(model, name):
    codes, read_out = torch.from_numpy(sequences(0)[:1]), model.read_out(name)
    with FlopCounterMode(display=False) as counter:
        embedding = model.embed(codes)
    assert model.embed_flop(LENGTH) == counter.get_total_flops()
    with FlopCounterMode(display=False) as counter:
        model.read(embedding, read_out)
    assert model.read_flop(read_out) == counter.get_total_flops()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.network.embed(one_hot(codes).transpose(1, 2))
    assert model.plain_flop() == counter.get_total_flops()


def test_people_with_indels_over_the_exons_of_their_gene(tmp_path):
    rng = np.random.default_rng(5)
    text = "".join(rng.choice(list("ACGT"), 40_000))
    records = [
        (p, text[p], "ACGT"[("ACGT".index(text[p]) + 1) % 4]) for p in (15_000, 19_900, 20_010, 23_800)
    ]
    records += [(18_000, text[18_000:18_004], text[18_000]), (21_000, text[21_000], text[21_000] + "GAT")]
    records.sort()
    variants = toy_variants(records, rng.integers(0, 2, (len(records), 3, 2)))
    genes = [Gene("plus", "c", 20_000, Strand.PLUS), Gene("minus", "c", 20_500, Strand.MINUS)]
    spans = {"plus": [(20_000, 20_200), (23_700, 23_900)], "minus": [(12_000, 13_000), (20_300, 20_501)]}
    lines = [
        f'c\tx\texon\t{a + 1}\t{b}\t.\t{strand}\t.\tgene_id "{name}"; transcript_id "T{name}";'
        for (name, exons), strand in zip(spans.items(), "+-", strict=True)
        for a, b in exons
    ]
    gtf = tmp_path / "genes.gtf"
    gtf.write_text("\n".join(lines) + "\n")
    model = load("random:1", gtf=str(gtf), dtype="float64", **NARROW)
    read_out = model.read_out("rna_seq")
    fetch = toy_reference(text)
    found = predict_genes(
        Sequences(model, read_out, variants.within, fetch), genes, batch_size=4, device=torch.device("cpu")
    )
    for gene, made in zip(genes, found, strict=True):
        window = window_of(gene, model.window)
        inside = [b for a, e in spans[gene.gene_id] for b in range(a, e) if abs(b - gene.tss) <= LENGTH // 2]
        own = replace(read_out, bins=tuple(b - gene.tss + LENGTH // 2 for b in inside))
        for person in range(3):
            for haplotype in range(2):
                bases = naive_window(text, variants, window, person, haplotype)
                codes = encode("".join(base for base, _ in bases))[None]
                np.testing.assert_allclose(
                    made.values[person, haplotype], asked(model, codes, own)[0], rtol=1e-12
                )
    assert found[-1].dropped.names["exon", "beyond the model's window"] == ["minus: 308 of 1,201 bases"]


def test_a_read_out_over_exons_refuses_bare_sequences(tmp_path):
    (tmp_path / "genes.gtf").write_text("\n")
    model = load("random:1", gtf=str(tmp_path / "genes.gtf"), **NARROW)
    with pytest.raises(ConfigError, match="which sequences alone do not tell"):
        model.predict(torch.from_numpy(sequences(0)), model.read_out("rna_seq"))
    assert model.read_flop(model.read_out("rna_seq")) > model.read_flop(model.read_out("cage"))


def test_arithmetics_reach_the_packages_inner_products(model, exact):
    codes = torch.from_numpy(sequences(1, seed=6))
    read_out = model.read_out("cage")
    truth, plain = exact.predict(codes, read_out), model.predict(codes, read_out)
    try:
        doubled = in_arithmetic(model, "cpu", "float64").predict(codes, read_out)
        assert doubled.dtype == torch.float64
        torch.testing.assert_close(doubled, truth, rtol=3e-7, atol=0)  # means of tracks are float32
        differences = doubled[1:] - doubled[0]
        torch.testing.assert_close(differences, truth[1:] - truth[0], rtol=1e-5, atol=0)
        coarse = in_arithmetic(model, "cpu", "bfloat16").predict(codes, read_out)
        assert 1e-5 < (coarse / truth - 1).abs().max() < 0.1
    finally:
        in_arithmetic(model, "cpu", "float32")
    torch.testing.assert_close(model.predict(codes, read_out), plain, rtol=0, atol=0)


def test_gradients_are_those_of_small_steps_of_the_package(exact):
    read_out, codes = exact.read_out("cage"), sequences(0, seed=7, letters=4)[:1]
    found = _of_view(exact, read_out, codes, "cpu")  # (T, 4, L)
    x, net = one_hot(torch.from_numpy(codes)), exact.network
    rows = [exact.targets[track].row for track in exact._computed_tracks(read_out)]
    for channel, at in ((2, LENGTH // 2 + 3), (0, LENGTH // 2 - 400), (1, 700)):
        values = []
        for step in (1e-3, -1e-3):
            moved = x.clone()
            moved[0, channel, at] += step
            with torch.no_grad():
                given = net.predict(moved.transpose(1, 2), 0)["cage"]["predictions_1bp"]
            values.append(float(given[0, list(read_out.bins)][:, rows].sum()))
        assert found[0, channel, at] == pytest.approx((values[0] - values[1]) / 2e-3, rel=2e-2)


def test_a_frozen_trunk_keeps_the_encoder_that_skips_are_made_by():
    one = load("random:1", tracks=0, **NARROW)
    trained = adapt(one, one.read_out("tracks"), "frozen", device="cpu").network
    names = {name for name, parameter in trained.named_parameters() if parameter.requires_grad}
    assert not any(name.startswith("sequence_encoder") for name in names)
    assert any(name.startswith("sequence_decoder") for name in names)


class TestFiles:
    """Weights in the package's own layout, as its download leaves them, with all its heads."""

    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HAPSIGHT_WEIGHTS", str(tmp_path))

        def never(*_, **__):
            raise AssertionError("hapsight downloads nothing of AlphaGenome")

        monkeypatch.setattr("alphagenome_pt.checkpoint.hf_hub_download", never)
        folder = tmp_path / "alphagenome"
        folder.mkdir()
        torch.manual_seed(0)
        metadata = package.synthetic_metadata(list(package.HeadName), organisms=["human", "mouse"]).metadata
        metadata["heads"]["masked_language_modeling"] = {}
        for head in HEADS:  # the human has one track less, which is padding
            metadata["heads"][head]["track_mask"][0][-1] = False
        net = alphagenome_files._build(metadata, 24, 2, "float32")
        state = alphagenome_files._random_state(net, 3)
        net.load_state_dict(state)
        net.cfg.save(folder / "config.json", folder / "alphagenome_metadata.json")
        save_file(state, folder / "alphagenome_fold_1.safetensors")
        return folder, net.eval()

    def load(self, **options):
        return load("fold_1", **{"window": LENGTH, "width": 24, "layers": 2, "tracks": [0, 5, 14]} | options)

    def test_predict_as_the_package_does(self, folder):
        model, (_, net) = self.load(), folder
        assert len(model.tracks) == 15
        codes = torch.from_numpy(sequences(1, seed=8))
        with torch.no_grad():
            whole = net.predict(one_hot(codes).transpose(1, 2), 0)
        found = model.read(model.embed(codes), model.read_out())
        bins = list(model.read_out().bins)
        for column, (head, row) in enumerate((("atac", 0), ("dnase", 2), ("rna_seq", 2))):
            expected = whole[head]["predictions_1bp"][:, bins, row].sum(1)
            torch.testing.assert_close(found[:, column], expected, rtol=1e-5, atol=0)
        assert model.name == "alphagenome/fold_1-width24"
        assert model.fingerprint == self.load().fingerprint != self.load(window=2 * LENGTH).fingerprint

    def test_names_come_from_the_packages_own_table(self, folder):
        records = [
            {"name": f"x {cell}", "strand": ".", "biosample_name": cell, "ontology_curie": "EFO:1"}
            for cell in ("HepG2", "GM12878", "K562")
        ]
        padding = {"name": "padding", "strand": ".", "biosample_name": None}
        raw = {head: {"records": [*records, padding]} for head in HEADS}
        (folder[0] / "alphagenome_metadata_raw.json").write_text(json.dumps({"organisms": {"human": raw}}))
        model = self.load(tracks=None)
        assert model.default_read_out == "cage"
        assert [model.tracks[i].cell_type for i in model.read_out().tracks] == ["GM12878"]
        assert model.targets[model.read_out().tracks[0]].row == 1

    @pytest.mark.parametrize("weights", ["all_folds", "fold_1"])
    def test_what_is_missing_is_said_and_not_downloaded(self, folder, weights):
        (folder[0] / "alphagenome_metadata.json").unlink()
        with pytest.raises(WeightsError, match="alphagenome-pt download --local-dir"):
            load(weights, window=LENGTH, width=24, layers=2, tracks=0)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda state: state.pop("_heads.cage.residual_scales.1"), "does not have the layers"),
            (
                lambda state: state.update({"_heads.cage.residual_scales.1": torch.ones(2, 3)}),
                "does not have",
            ),
            (lambda state: state.update({"another.weight": torch.ones(2)}), "does not have the layers"),
            (lambda state: state["org_embedder.weight"].fill_(torch.nan), "not all finite"),
        ],
    )
    def test_other_layers_are_refused(self, folder, change, message):
        path = folder[0] / "alphagenome_fold_1.safetensors"
        state = load_file(path)
        change(state)
        save_file(state, path)
        with pytest.raises(WeightsError, match=message):
            load(str(path), window=LENGTH, width=24, layers=2, tracks=0)

    def test_a_damaged_file_is_refused(self, folder):
        path = folder[0] / "alphagenome_fold_1.safetensors"
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(WeightsError, match="cannot be loaded"):
            self.load()

    def test_another_width_is_refused(self, folder):
        with pytest.raises(WeightsError, match="check 'width'"):
            self.load(width=48)


def test_the_published_geometry():
    published = package.deepmind_config(package.synthetic_metadata(), dtype_policy="float32").to_dict()
    with torch.device("meta"):
        own = alphagenome_files._build(published["metadata"].metadata, 768, 9, "float32").cfg.to_dict()
    published.pop("metadata"), own.pop("metadata")
    assert own == published


def test_wrong_lengths(model):
    with pytest.raises(InputError, match="one length only"):
        model.predict(torch.zeros(1, 32_768, dtype=torch.uint8), model.read_out())
    with pytest.raises(ConfigError, match="one of 16384, 32768"):
        load("random:1", window=20_480, width=24, layers=1)


def test_the_other_strand_counts_from_the_other_end(model):
    read_out = model.read_out("rna_seq")
    mirrored = model.mirrored(read_out)
    assert sorted(mirrored.bins) == sorted(LENGTH - 1 - base for base in read_out.bins)
    assert [model.tracks[i].strand for i in mirrored.tracks] == ["-"]


def test_seeds_differ_and_repeat(model):
    assert load("random:1", exons=EXONS, **NARROW).fingerprint == model.fingerprint
    assert load("random:2", exons=EXONS, **NARROW).fingerprint != model.fingerprint
