"""Spoilt files: every reader refuses them with words of its own, or reads every row of them."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.harness import survives
from tests.fuzz.mutation import apply, drawn_edits, some_edits
from tests.fuzz.targets import TARGETS

IN_PROCESS = sorted(TARGETS)


@pytest.mark.parametrize("name", IN_PROCESS)
def test_the_good_file_is_read(name, tmp_path):
    assert survives(TARGETS[name], TARGETS[name].good(), tmp_path)


@pytest.mark.parametrize("name", IN_PROCESS)
def test_a_spoilt_file_is_read_wholly_or_refused(name, tmp_path):
    target = TARGETS[name]
    good = target.good()

    @settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(some_edits())
    def attempt(edits):
        survives(target, apply(good, edits), tmp_path)

    attempt()


@pytest.mark.parametrize("name", IN_PROCESS)
def test_a_file_cut_anywhere_is_no_crash(name, tmp_path):
    target = TARGETS[name]
    good = target.good()
    for size in np.linspace(0, len(good) - 1, 8, dtype=int):
        survives(target, good[:size], tmp_path)


def test_what_a_reader_drops_silently_is_found(tmp_path, monkeypatch):
    """The harness can fail: a reader that loses a row, and one that raises anything else."""
    from tests.fuzz import tables

    target, real = TARGETS["sample_sheet"], tables.read_sample_sheet

    def forgetful(path):
        found = real(path)
        return SimpleNamespace(samples=found.samples[1:])

    monkeypatch.setattr(tables, "read_sample_sheet", forgetful)
    with pytest.raises(AssertionError):
        survives(target, target.good(), tmp_path)
    monkeypatch.setattr(tables, "read_sample_sheet", lambda _: {}["x"])
    with pytest.raises(KeyError):
        survives(target, target.good(), tmp_path)


@pytest.mark.verify
@pytest.mark.parametrize("name", IN_PROCESS)
def test_many_spoilt_files(name, tmp_path):
    target, rng = TARGETS[name], np.random.default_rng(11)
    good = target.good()
    for _ in range(target.tries):
        survives(target, apply(good, drawn_edits(rng)), tmp_path)
