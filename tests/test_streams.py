"""Streams that are meant to be apart are: every purpose has words of its own, and nothing else draws."""

import ast
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import hapsight
from hapsight.seeds import stream, torch_seed

SOURCE = Path(hapsight.__file__).parent

# What draws without words: the three older streams, and what has a seed that nothing else has.
PLAIN = {
    "one_gene.py": "outer folds, as a run has them",
    "run/baselines.py": "outer folds: the bare seed",
    "stages/eqtl.py": "halves of people: the seed and 1",
    "linear/nested.py": "a gene's seed and the fold",
    "priors/ablation.py": "the same, on purpose",
    "seeds.py": "",
    "train/evaluation.py": "a constant seed",
    "engine/sharing.py": "hashing",
    "cohort/pcs.py": "a constant seed: where the decomposition starts",
    "validate/qtl.py": "the caller's seed; a run gives a stream of its own",
    "engine/cost.py": "sequences to time",
    "models/alphagenome_files.py": "random:<seed>; the seed and 1 for means of tracks",
    "models/basenji2_net.py": "random:<seed>",
    "models/borzoi.py": "random:<seed>",
    "models/enformer.py": "random:<seed>",
    "models/expecto.py": "random:<seed>",
    "models/mini_net.py": "random:<seed>",
}


def calls(path, *names):
    """Calls of these functions in a file, whatever stands before the dot."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            if name in names:
                yield node


def test_nothing_draws_without_a_purpose():
    found = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if any(calls(path, "default_rng", "SeedSequence"))
    }
    assert found == set(PLAIN)


def test_no_two_places_have_one_purpose():
    words = Counter(
        ast.unparse(call.args[1])
        for path in SOURCE.rglob("*.py")
        for call in calls(path, "stream", "torch_seed")
        if len(call.args) > 1 and path.name != "seeds.py"
    )
    assert len(words) > 15
    assert [word for word, times in words.items() if times > 1] == []


def test_words_keep_apart_what_numbers_do_not():
    first = [np.random.default_rng(seed).random() for seed in (1, (1, 0), (1, 0, 0))]
    assert len(set(first)) == 1
    words = [(), ("a",), ("a", 0), ("a", 0, 0), ("b",)]
    named = {stream(seed, *purpose).random() for seed in (1, 2) for purpose in words}
    assert len(named | set(first)) == 11
    assert stream(1, "a", 2).random() == stream(1, "a", 2).random()
    assert torch_seed(1, "a") == torch_seed(1, "a") != torch_seed(1, "b")


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_the_null_of_a_gene_is_not_the_stream_of_its_inner_folds(seed):
    from hapsight.run.baselines import gene_seed

    alone, first_fold = gene_seed(seed, "g"), (gene_seed(seed, "g"), 0)
    inner = {np.random.default_rng(one).random() for one in (alone, first_fold)}
    assert len(inner | {stream(seed, "random weights", "g").random()}) == 2
