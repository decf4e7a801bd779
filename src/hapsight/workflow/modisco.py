"""Saturation mutagenesis of many genes as TF-MoDISco reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Interval, Strand
from hapsight.dna import N_CODE, Codes, reverse_complement
from hapsight.errors import IncompleteError
from hapsight.explain.modisco import hypothetical, write_modisco
from hapsight.predict.store import write_atomically
from hapsight.workflow.explain import explain_store, stored_saturation
from hapsight.workflow.opened import Opened
from hapsight.workflow.predict import ModelRun
from hapsight.workflow.saturation import Saturation, plain_track

__all__ = ["ModiscoExport", "export_modisco"]

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ModiscoExport:
    """What was written for one model and track.

    Attributes
    ----------
    genes, of
        Genes with saturation, of those of the cohort.
    length
        Bases of each.
    unknown
        Bases that are N, all genes together: they contribute nothing.
    """

    folder: Path
    genes: int
    of: int
    length: int
    unknown: int


def export_modisco(opened: Opened, runs: Sequence[ModelRun], out: Path) -> list[ModiscoExport]:
    """Write ``<out>/<model>.<read-out>/<track>/{sequences,attributions}.npz``, and which genes they are of.

    ``genes.bed`` has the genes in the order of the arrays. Sequences are read in the direction of
    transcription. What a base would contribute is its effect less the mean over all four at its place.

    Raises
    ------
    IncompleteError
        A model has no gene with saturation of the present configuration.
    MissingExtraError
        zarr is not installed.
    """
    return [
        done
        for run in runs
        for done in _export_run(opened, run, out / explain_store(opened, run).folder.name)
    ]


def _export_run(opened: Opened, run: ModelRun, folder: Path) -> Iterator[ModiscoExport]:
    genes = opened.cohort.genes
    found = [(gene, kept) for gene in genes if (kept := stored_saturation(opened, run, gene)) is not None]
    if not found:
        raise IncompleteError(
            f"No gene has saturation mutagenesis by {run.label}.",
            where=explain_store(opened, run).folder / "saturation",
            expected="an array for at least one gene, made with this configuration",
            got=f"[explain] saturation = {opened.config.explain.saturation}",
            fix="set it, such as [-1000, 1000], and run `hapsight explain`",
        )
    sequences = np.stack([_sequence(opened, gene, kept) for gene, kept in found])
    lines = [_bed_line(gene, kept.stretch) for gene, kept in found]
    for track in found[0][1].tracks:
        place = folder / plain_track(track)
        effects = np.stack([_effects(gene, kept, track) for gene, kept in found])
        write_modisco(place, sequences, _contributions(sequences, effects))
        write_atomically(place / "genes.bed", "".join(lines).encode())
        unknown = int((sequences == N_CODE).sum())
        yield ModiscoExport(place, len(found), len(genes), sequences.shape[1], unknown)


def _sequence(opened: Opened, gene: Gene, kept: Saturation) -> Codes:
    """(n,) the reference as it is transcribed."""
    codes = opened.cohort.reference.fetch(kept.stretch)
    return reverse_complement(codes) if gene.strand is Strand.MINUS else codes


def _effects(gene: Gene, kept: Saturation, track: str) -> Float:
    """(n, 4) of the same: of the minus strand, places and bases (A, C, G, T) in reverse."""
    effect = kept.of(track)
    return effect[::-1, ::-1] if gene.strand is Strand.MINUS else effect


def _contributions(sequences: Codes, effects: Float) -> Float:
    """(G, n, 4); 0 where the base is not known."""
    return np.where((sequences == N_CODE)[..., None], 0.0, hypothetical(effects))


def _bed_line(gene: Gene, stretch: Interval) -> str:
    strand = gene.strand.value if gene.strand else "."
    return f"{stretch.contig}\t{stretch.start}\t{stretch.end}\t{gene.gene_id}\t0\t{strand}\n"
