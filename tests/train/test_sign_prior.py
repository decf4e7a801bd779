"""The sign prior in a loss: its value by hand, its sequences, and a model of the wrong sign that it mends."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hapsight.dna import decode, reverse_complement
from hapsight.models.forward import with_gradients
from hapsight.sequence.haplotypes import Window
from hapsight.train.adapters import adapt
from hapsight.train.loop import TrainArguments, fit
from hapsight.train.losses import loss_named
from hapsight.train.personal import GeneSource, Haplotypes, PersonalTask
from hapsight.train.priors import SCALE, SignTerm, Toggled, sign_loss, toggle
from tests.sequence.naive import naive_window, toy_reference, toy_variants
from tests.train.toy_personal import trainable

SEQUENCE = "".join(np.random.default_rng(1).choice(list("ACGT"), 80))


def test_the_loss_by_hand():
    effect = torch.tensor([0.2, -0.1, 0.3], requires_grad=True)
    score = torch.tensor([1.0, 2.0, 0.0])
    found = sign_loss(effect, score)
    wrong, right = math.log(1 + math.exp(-0.2 / SCALE)), 2 * math.log(1 + math.exp(0.1 / SCALE))
    assert float(found.detach()) == pytest.approx((wrong + right) / 3)
    found.backward()
    slope = -1 / SCALE / 3 * np.array([1 / (1 + math.exp(2)), 2 / (1 + math.exp(-1)), 0])
    np.testing.assert_allclose(effect.grad, slope, rtol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-3, 3)), min_size=1, max_size=5))
def test_exchanged_alleles_change_nothing(pairs):
    effect, score = (torch.tensor(x, dtype=torch.float64) for x in zip(*pairs, strict=True))
    torch.testing.assert_close(sign_loss(-effect, -score), sign_loss(effect, score))


@pytest.mark.parametrize("reverse", [False, True])
def test_each_variant_is_alone_in_the_reference(reverse):
    base = SEQUENCE[50]
    records = [
        (20, SEQUENCE[20], "A" if SEQUENCE[20] != "A" else "C"),
        (30, SEQUENCE[30:33], SEQUENCE[30]),
        (44, SEQUENCE[44], SEQUENCE[44] + "GT"),
        (50, base, "T" if base != "T" else "G"),
    ]
    variants = toy_variants(records, np.ones((4, 2, 2)))
    window = Window("c", 40, 25, 25, reverse=reverse)
    score = np.array([1.0, -2.0, 0.0, 0.5])
    found = toggle(window, variants, score, toy_reference(SEQUENCE))
    assert found.score.tolist() == [1.0, -2.0, 0.5]
    for row, v in zip([found.reference, *found.rows], [None, 0, 1, 3], strict=True):
        carried = np.zeros((4, 1, 2), np.uint8)
        if v is not None:
            carried[v, 0, 0] = 1
        one = toy_variants(records, carried)
        expected = "".join(letter for letter, _ in naive_window(SEQUENCE, one, window, 0, 0))
        codes = found.codes[row]
        assert decode(reverse_complement(codes) if reverse else codes) == expected


def test_a_gene_without_scores_has_no_term():
    variants = toy_variants([(20, SEQUENCE[20], "N")], np.zeros((1, 1, 2)))
    assert toggle(Window("c", 40, 25, 25), variants, np.zeros(1), toy_reference(SEQUENCE)) is None
    model = trainable()
    term = SignTerm(adapt(model, model.read_out(), "full", device="cpu"), lambda _: None, 1.0, 0)
    assert term("g", 0, np.random.default_rng(0)) is None


# A simulated gene set: six SNVs a gene act alike in all genes' expression, and a prior knows their signs.

GENES, PEOPLE, LENGTH, SITES = ("a", "b", "c"), 36, 500, 6
TRAIN, VALID = np.arange(0, 16), np.arange(16, 36)


def simulated():
    """Haplotypes, expression and toggled variants with right signs, of every gene."""
    rng = np.random.default_rng(5)
    haplotypes, expression, toggled = {}, {}, {}
    for gene in GENES:
        reference = rng.integers(0, 4, LENGTH, dtype=np.uint8)
        places = rng.choice(LENGTH, SITES, replace=False)
        changed = (reference[places] + 1) % 4
        alleles = rng.random((2 * PEOPLE, SITES)) < 0.4
        codes = np.tile(reference, (2 * PEOPLE, 1))
        codes[:, places] = np.where(alleles, changed, reference[places])
        distinct, index = np.unique(codes, axis=0, return_inverse=True)
        haplotypes[gene] = Haplotypes(distinct, index.reshape(PEOPLE, 2))
        effect = rng.choice([-1.0, 1.0], SITES)
        y = alleles.reshape(PEOPLE, 2, SITES).sum(axis=1) @ effect
        y = y / y.std() + 1.5 * rng.standard_normal(PEOPLE)
        expression[gene] = (y - y[TRAIN].mean()) / y[TRAIN].std(ddof=1)
        alone = np.tile(reference, (SITES + 1, 1))
        alone[np.arange(1, SITES + 1), places] = changed
        toggled[gene] = Toggled(alone, 0, np.arange(1, SITES + 1), effect)
    return haplotypes, expression, toggled


def effects(model, toggled) -> np.ndarray:
    """Effect of each gene's variants times their true sign: above 0 where the model is right."""
    found = []
    for one in toggled.values():
        with torch.no_grad():
            values = model.predict(torch.from_numpy(one.codes), model.read_out())[:, 0].numpy()
        found.append((values[one.rows] - values[one.reference]) * one.score)
    return np.concatenate(found)


def wrong_signed(toggled):
    """A model whose signs are mostly wrong: trained by the prior turned round."""
    model = trainable()
    turned = {gene: Toggled(t.codes, 0, t.rows, -t.score) for gene, t in toggled.items()}
    term = SignTerm(adapt(model, model.read_out(), "frozen", device="cpu"), turned.__getitem__, 1.0, 2**30)
    optimiser = torch.optim.Adam(model.network.head.parameters(), 0.01)
    for step in range(20):
        optimiser.zero_grad()
        with with_gradients():
            sum(term(gene, 0, np.random.default_rng(step)) for gene in GENES).backward()
        optimiser.step()
    return model


def ends_with(prior: str, folder) -> float:
    """Share of right signs after a short training."""
    haplotypes, expression, toggled = simulated()
    model = wrong_signed(toggled)
    assert np.mean(effects(model, toggled) > 0) < 0.3
    rng = np.random.default_rng(2)
    dealt = {g: Toggled(t.codes, 0, t.rows, rng.permutation(t.score)) for g, t in toggled.items()}
    read = {"right": toggled, "shuffled": dealt}.get(prior)
    adapter = adapt(model, model.read_out(), "frozen", device="cpu")
    task = PersonalTask(
        adapter,
        loss_named("pairwise_mse"),
        GENES,
        GeneSource(adapter, haplotypes.__getitem__, TRAIN, 2**30),
        GeneSource(adapter, haplotypes.__getitem__, VALID, 2**30),
        {gene: y[TRAIN] for gene, y in expression.items()},
        {gene: y[VALID] for gene, y in expression.items()},
        12,
        1,
        None if read is None else SignTerm(adapter, read.__getitem__, 0.5, 2**30),
    )
    fit(task, TrainArguments(15, 0.1, 0.0, 2, 5.0, 3, 15, 10, 1, 15), folder)
    return float(np.mean(effects(model, toggled) > 0))


def test_the_prior_mends_a_wrong_signed_model_and_its_control_does_not(tmp_path):
    found = {prior: ends_with(prior, tmp_path / prior) for prior in ("without", "right", "shuffled")}
    assert found["right"] >= 0.9, found
    assert found["right"] > found["without"] + 0.1, found
    assert found["right"] > found["shuffled"] + 0.1, found


def test_memory_beyond_the_budget_changes_no_number():
    _, _, toggled = simulated()
    model = trainable()
    adapter = adapt(model, model.read_out(), "full", device="cpu")
    small, large = (SignTerm(adapter, toggled.__getitem__, 1.0, budget) for budget in (0, 2**30))
    for gene in (*GENES, *GENES):
        one, other = (term(gene, 0, np.random.default_rng(1)) for term in (small, large))
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert set(large._kept) == set(GENES)
    assert not small._kept
