"""The task of training on people: batches, predictions of people, validation, and one real fit."""

import json

import numpy as np
import pytest
import torch

from hapsight.errors import ConfigError, TrainingError
from hapsight.models.forward import with_gradients
from hapsight.stats.correlation import correlate
from hapsight.train.adapters import adapt
from hapsight.train.loop import TrainArguments, fit
from hapsight.train.losses import loss_named
from hapsight.train.personal import GeneSource, Haplotypes, PersonalTask, predict_people
from tests.train.toy_personal import trainable

GENES, PEOPLE, LENGTH = ("a", "b", "c", "d"), 50, 500
TRAIN, VALID, TEST = np.arange(0, 34), np.arange(34, 40), np.arange(40, 50)


def cohort(seed: int = 4) -> tuple[dict[str, Haplotypes], dict[str, np.ndarray]]:
    """Genes of six SNVs each, and expression that is the sum of their effects and some noise."""
    rng = np.random.default_rng(seed)
    haplotypes, expression = {}, {}
    for gene in GENES:
        reference = rng.integers(0, 4, LENGTH, dtype=np.uint8)
        places = rng.choice(LENGTH, 6, replace=False)
        alleles = rng.random((2 * PEOPLE, 6)) < 0.4
        codes = np.tile(reference, (2 * PEOPLE, 1))
        codes[:, places] = np.where(alleles, (reference[places] + 1) % 4, reference[places])
        distinct, index = np.unique(codes, axis=0, return_inverse=True)
        haplotypes[gene] = Haplotypes(distinct, index.reshape(PEOPLE, 2))
        dosage = alleles.reshape(PEOPLE, 2, 6).sum(axis=1)
        signal = dosage @ rng.standard_normal(6)
        y = signal / signal.std() + 0.2 * rng.standard_normal(PEOPLE)
        expression[gene] = (y - y[TRAIN].mean()) / y[TRAIN].std(ddof=1)
    return haplotypes, expression


def task(
    mode="full", loss="pairwise_mse", *, expression=None, budget=2**30, people=16, seed=1
) -> PersonalTask:
    model = trainable()
    haplotypes, measured = cohort()
    measured = expression or measured
    adapter = adapt(model, model.read_out(), mode, device="cpu")
    return PersonalTask(
        adapter,
        loss_named(loss),
        GENES,
        GeneSource(adapter, haplotypes.__getitem__, TRAIN, budget),
        GeneSource(adapter, haplotypes.__getitem__, VALID, budget),
        {gene: y[TRAIN] for gene, y in measured.items()},
        {gene: y[VALID] for gene, y in measured.items()},
        people,
        seed,
    )


def person_by_person(made: PersonalTask, gene: str, people: np.ndarray) -> torch.Tensor:
    """Two whole passes a person, the plain way."""
    found = cohort()[0][gene]
    model = made.adapter.model
    values = []
    for person in people:
        both = torch.from_numpy(found.codes[found.index[person]])
        values.append(model.predict(both, model.read_out())[:, 0].mean())
    return torch.stack(values)


@pytest.mark.parametrize("mode", ["full", "frozen", "lora"])
def test_a_batch_is_what_it_would_be_person_by_person(mode):
    made = task(mode)
    gene, people = made.draw(step=3, number=5)
    plain = person_by_person(made, gene, TRAIN[people])
    target = torch.as_tensor(made.targets[gene][people], dtype=plain.dtype)
    expected = float(made.loss_function(plain, target))
    assert float(made.loss(3, 5, rank=0, world=1).detach()) == pytest.approx(expected, rel=1e-5)
    assert made.haplotypes < 2 * len(people)


def test_processes_draw_what_accumulation_would():
    made, again = task(), task()
    for number in range(6):
        alone = made.loss(2, number, rank=0, world=1)
        torch.testing.assert_close(
            again.loss(2, number // 3, rank=number % 3, world=3), alone, rtol=0, atol=0
        )
    assert not torch.equal(task(seed=2).loss(2, 0, 0, 1), made.loss(2, 0, 0, 1))


def test_a_batch_is_of_one_view_and_all_views_are_drawn():
    made = task()
    wide = {gene: np.pad(found.codes, ((0, 0), (1, 1))) for gene, found in cohort()[0].items()}
    made.adapter = adapt(made.adapter.model, made.adapter.model.read_out("ensemble"), "full", device="cpu")
    made.train = GeneSource(
        made.adapter, lambda gene: Haplotypes(wide[gene], cohort()[0][gene].index), TRAIN, 2**30
    )
    drawn = [made.draw_view(6, step, 0) for step in range(60)]
    assert set(drawn) == set(range(6))
    gene, people = made.draw(7, 0)
    view, (inputs, index) = drawn[7], made.train(gene)
    predicted = inputs.views[view].values(np.arange(index.max() + 1))[torch.from_numpy(index[people])].mean(1)
    expected = made.loss_function(predicted, torch.as_tensor(made.targets[gene][people], dtype=torch.float32))
    torch.testing.assert_close(made.loss(7, 0, 0, 1), expected)


def test_draws_reach_all_genes_and_people_and_only_training_people():
    made = task(people=8)
    drawn = [made.draw(step, 0) for step in range(200)]
    assert {gene for gene, _ in drawn} == set(GENES)
    assert set(np.concatenate([people for _, people in drawn])) == set(range(len(TRAIN)))
    assert all(len(set(people)) == 8 for _, people in drawn)


def test_people_who_are_not_trained_on_have_no_haplotype_in_the_batches():
    made = task()
    haplotypes, _ = cohort()
    for gene in GENES:
        own = {row.tobytes() for row in haplotypes[gene].codes[np.unique(haplotypes[gene].index[TRAIN])]}
        assert {row.tobytes() for row in made.train(gene)[0].views[0].codes} == own


@pytest.mark.parametrize("mode", ["full", "frozen"])
def test_memory_beyond_the_budget_changes_no_number(mode):
    small, large = task(mode, budget=0), task(mode)
    for step in range(3):
        torch.testing.assert_close(small.loss(step, 0, 0, 1), large.loss(step, 0, 0, 1), rtol=0, atol=0)


def test_validation_is_the_mean_over_genes():
    made = task()
    expected = []
    for gene in GENES:
        with with_gradients():
            predicted = person_by_person(made, gene, VALID).detach().double().numpy()
        expected.append(correlate(predicted, made.observed[gene]).pearson_r)
    found = made.validate()
    assert found["score"] == pytest.approx(np.mean(expected), rel=1e-4)
    assert found["genes_ok"] == 4
    with torch.no_grad():
        made.model.head.weight.zero_()
    assert made.validate() == {"score": 0.0, "genes_ok": 0.0}


def test_not_a_number_is_refused():
    expression = cohort()[1]
    expression = {gene: np.where(np.arange(PEOPLE) < 34, np.nan, y) for gene, y in expression.items()}
    with pytest.raises(
        TrainingError, match=r"not a finite number(.|\n)*step 1, gene [abcd](.|\n)*targets nan"
    ):
        task(expression=expression).loss(0, 0, 0, 1)


def test_too_few_validation_people():
    made = task()
    made.valid.people = VALID[:3]
    with pytest.raises(ConfigError, match=r"too few validation people(.|\n)*got: 3"):
        made.__post_init__()


@pytest.mark.parametrize(("mode", "rate"), [("full", 0.05), ("frozen", 0.3)])
def test_differences_between_people_are_learnt(mode, rate, tmp_path):
    made = task(mode)
    arguments = TrainArguments(50, rate, 0.0, 5, 5.0, 4, 25, 10, 1, 50)
    found = fit(made, arguments, tmp_path)
    lines = [json.loads(line) for line in found.metrics.read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:10])
    assert found.best_score > lines[0]["score"]
    haplotypes, expression = cohort()
    source = GeneSource(made.adapter, haplotypes.__getitem__, TEST, 0)
    r = [correlate(predict_people(*source(g)), expression[g][TEST]).pearson_r for g in GENES]
    assert np.mean(r) > 0.6


@pytest.mark.parametrize("mode", ["frozen", "lora"])
def test_a_training_that_was_stopped_ends_where_another_does(tmp_path, mode):
    arguments = TrainArguments(12, 0.3, 0.0, 2, 5.0, 2, 4, 10, 1, 4)
    whole = fit(task(mode), arguments, tmp_path / "whole")
    stopped = task(mode)

    def stop(_: str, step: int, steps: int) -> None:
        if step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(stopped, arguments, tmp_path / "stopped", progress=stop)
    again = task(mode)
    resumed = fit(again, arguments, tmp_path / "stopped")
    assert resumed.best.read_bytes() == whole.best.read_bytes()
    assert resumed.metrics.read_text().count('"loss"') == 12
