"""Patterns of TF-MoDISco: read from its files, and found where a motif was planted."""

import os
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from hapsight.errors import MissingExtraError
from hapsight.explain.modisco import consensus, hypothetical, read_patterns, run_modisco, write_modisco
from hapsight.explain.tables import MODISCO_PATTERNS

MOTIF = "GATAAGCGTC"


def add_pattern(file: h5py.File, name: str, letters: str, worth: float, seqlets: int) -> None:
    frequency = np.eye(4)[["ACGT".index(letter) for letter in letters]]
    file[f"{name}/sequence"], file[f"{name}/contrib_scores"] = frequency, worth * frequency
    file[f"{name}/seqlets/n_seqlets"] = np.array([seqlets])


def test_patterns_are_read_in_the_files_order(tmp_path):
    path = tmp_path / "modisco.h5"
    with h5py.File(path, "w") as file:
        for number in range(11):  # names sort otherwise than numbers
            add_pattern(file, f"pos_patterns/pattern_{number}", "ACGT", 1.0, 50 - number)
        add_pattern(file, "neg_patterns/pattern_0", "TTT", -0.5, 20)
    found = read_patterns(path)
    assert dict(found.schema) == MODISCO_PATTERNS
    assert found["n_seqlets"].to_list() == [*range(50, 39, -1), 20]
    assert found.row(11, named=True) == {
        "sign": "negative",
        "pattern": 0,
        "n_seqlets": 20,
        "length": 3,
        "consensus": "TTT",
        "contribution": -1.5,
    }


@pytest.mark.parametrize("groups", [[], ["pos_patterns"]])
def test_a_file_without_patterns_gives_an_empty_table(tmp_path, groups):
    with h5py.File(tmp_path / "modisco.h5", "w") as file:
        for group in groups:
            file.create_group(group)
    found = read_patterns(tmp_path / "modisco.h5")
    assert (len(found), dict(found.schema)) == (0, MODISCO_PATTERNS)


def test_the_consensus_is_trimmed_and_has_an_n_where_bases_differ():
    frequency = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0.4, 0.3, 0.3, 0], [0, 0, 0.5, 0.5], [0, 1, 0, 0]])
    contribution = np.array([0.29, 1.0, 0.0, -0.3, 0.1])[:, None] * np.array([1, 0, 0, 0])
    assert consensus(frequency, contribution) == "GNG"
    assert consensus(frequency, np.zeros((5, 4))) == "AGNGC"


def test_a_missing_package_is_named_with_its_licences(tmp_path, monkeypatch):
    monkeypatch.setattr("hapsight.explain.modisco.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="run by modisco-lite") as caught:
        run_modisco(tmp_path)
    assert "pip install 'hapsight[modisco]'" in str(caught.value)
    assert "GPL" in str(caught.value)


def planted_attributions(folder: Path, n: int = 300, length: int = 120) -> None:
    """A motif in random sequences, on either strand; each of its bases is worth 1, all else is noise."""
    rng = np.random.default_rng(0)
    sequences = rng.integers(0, 4, (n, length)).astype(np.uint8)
    effects = rng.normal(0, 0.05, (n, length, 4))
    forward = np.array(["ACGT".index(letter) for letter in MOTIF], np.uint8)
    for row, effect in zip(sequences, effects, strict=True):
        motif = forward if rng.random() < 0.5 else 3 - forward[::-1]
        first = int(rng.integers(20, length - 20 - len(motif)))
        row[first : first + len(motif)] = motif
        effect[first + np.arange(len(motif)), motif] += 1.0
    write_modisco(folder, sequences, hypothetical(effects))


@pytest.mark.verify
@pytest.mark.filterwarnings("default")
def test_a_planted_motif_is_found(tmp_path, monkeypatch):
    if folder := os.environ.get("HAPSIGHT_MODISCO_FOLDER"):
        monkeypatch.setattr(sys, "path", [*sys.path, folder])
    pytest.importorskip(
        "modiscolite", reason="HAPSIGHT_MODISCO_FOLDER is not set: a folder with modisco-lite"
    )
    planted_attributions(tmp_path)
    (row,) = read_patterns(run_modisco(tmp_path)).iter_rows(named=True)
    turned = MOTIF.translate(str.maketrans("ACGT", "TGCA"))[::-1]
    assert row["sign"] == "positive"
    assert row["consensus"] in (MOTIF, turned)
    assert row["n_seqlets"] > 100
    assert row["contribution"] == pytest.approx(0.75 * len(MOTIF), rel=0.05)
