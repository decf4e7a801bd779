"""Xpresso on the reference genome against the predictions published by Huang et al. 2023."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pysam
import pytest
import torch

from hapsight.dna import encode, reverse_complement
from hapsight.models.catalogue import PROTOCOL_OPTIONS
from hapsight.models.protocol import ModelWindow
from hapsight.models.registry import resolve_device
from hapsight.models.xpresso import load

REACH = 10_500
GENES = 14


def window_codes(fasta: pysam.FastaFile, tss: int, strand: str, window: ModelWindow) -> np.ndarray:
    """Codes of the window, read in the direction of transcription; `tss` is 0-based.

    On the minus strand the TSS is at the same index once the sequence is reverse-complemented, so
    the window spans ``[tss - downstream + 1, tss + upstream + 1)``.
    """
    start = tss - window.upstream if strand == "+" else tss - window.downstream + 1
    codes = encode(fasta.fetch("22", start, start + window.length))
    return codes if strand == "+" else reverse_complement(codes)


def genes_and_predictions(folder: Path, end: int) -> list[tuple[int, str, float]]:
    """0-based TSS, strand and published prediction of chr22's genes before `end`.

    The gene list's TSS are 1-based. Predictions are listed under the lower-case gene name, or the
    lower-case gene_id where a gene has no name.
    """
    with (folder / "huang2023_reference_predictions.csv").open() as lines:
        published = {row["gene"]: float(row["Xpresso"]) for row in csv.DictReader(lines)}
    with (folder / "huang2023_genes_hg19.csv").open() as lines:
        genes = [row for row in csv.reader(lines) if row[1] == "22" and int(row[2]) < end - REACH]
    return [(int(tss) - 1, strand, published[(name or gene).lower()]) for gene, _, tss, name, strand in genes]


def differences(shared_data: Path, tss_index: int) -> np.ndarray:
    options = dict(PROTOCOL_OPTIONS["xpresso"]["huang2023"]) | {"tss_index": tss_index}
    model = load(**options, device=resolve_device("cpu"))
    with pysam.FastaFile(str(shared_data / "hg19_chr22_part" / "chr22_first_22Mb.fa.gz")) as fasta:
        genes = genes_and_predictions(shared_data / "published", fasta.get_reference_length("22"))
        codes = np.stack([window_codes(fasta, tss, strand, model.window) for tss, strand, _ in genes])
    predicted = model.predict(torch.from_numpy(codes), model.read_out())[:, 0].numpy()
    assert len(predicted) == GENES
    return np.abs(predicted - np.array([published for _, _, published in genes]))


@pytest.fixture(autouse=True)
def published_weights(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAPSIGHT_WEIGHTS", str(shared_data / "xpresso"))


def test_protocol_huang2023_gives_the_published_predictions(shared_data: Path) -> None:
    assert differences(shared_data, tss_index=6999).max() < 1e-6


def test_the_training_offset_does_not(shared_data: Path) -> None:
    assert 0.01 < differences(shared_data, tss_index=7000).max() < 0.1
