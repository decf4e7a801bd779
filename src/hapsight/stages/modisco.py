"""Saturation mutagenesis of many genes as TF-MoDISco reads it, and what it makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Interval, Strand
from hapsight.cohort.tables import write_table
from hapsight.dna import N_CODE, Codes, reverse_complement
from hapsight.errors import IncompleteError
from hapsight.explain.modisco import hypothetical, read_patterns, run_modisco, write_modisco
from hapsight.files import file_name, write_atomically
from hapsight.run.models import ModelCard
from hapsight.run.opened import Opened
from hapsight.stages.explain import explain_store
from hapsight.stages.predict import require_sequences
from hapsight.stages.saturation import Saturation, centres, stored_saturation

__all__ = ["ModiscoExport", "export_modisco", "find_patterns"]

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


def export_modisco(opened: Opened, runs: Sequence[ModelCard], out: Path) -> list[ModiscoExport]:
    """Write ``<out>/<model>.<read-out>/<track>/{sequences,attributions}.npz``, and which genes they are of.

    ``genes.bed`` has the genes in the order of the arrays. Sequences are read in the direction of
    transcription. What a base would contribute is its effect less the mean over all four at its place.

    Raises
    ------
    ConfigError
        A model is a table of effects.
    IncompleteError
        A model has no gene with saturation of the present configuration, or drivers, which it is to be
        around, were not looked for.
    MissingExtraError
        zarr is not installed.
    """
    require_sequences([run.label for run in runs if run.of_effects], "TF-MoDISco")
    return [
        _export(opened, run, track, out / explain_store(opened, run).folder.name / file_name(track))
        for run in runs
        for track in run.track_names
    ]


def find_patterns(exported: ModiscoExport) -> pl.DataFrame:
    """Run TF-MoDISco on what was written; beside it come ``modisco.h5`` and ``patterns.parquet``.

    Returns
    -------
    The patterns, columns `hapsight.explain.tables.MODISCO_PATTERNS`.

    Raises
    ------
    MissingExtraError
        modisco-lite is not installed.
    """
    patterns = read_patterns(run_modisco(exported.folder))
    write_table(exported.folder / "patterns.parquet", patterns)
    return patterns


def _export(opened: Opened, run: ModelCard, track: str, folder: Path) -> ModiscoExport:
    found = list(_stored(opened, run, track))
    if not found:
        raise IncompleteError(
            f"No gene has saturation mutagenesis by {run.label}.",
            where=explain_store(opened, run).folder / "saturation",
            expected="an array for at least one gene, made with this configuration",
            got=f"[explain] saturation = {opened.config.explain.saturation}",
            fix="set it, such as [-1000, 1000], and run `hapsight explain`",
        )
    sequences = np.stack([_sequence(opened, gene, kept) for gene, kept in found])
    effects = np.stack([_effects(gene, kept, track) for gene, kept in found])
    write_modisco(folder, sequences, _contributions(sequences, effects))
    lines = [_bed_line(gene, kept.stretch) for gene, kept in found]
    write_atomically(folder / "genes.bed", "".join(lines).encode())
    unknown = int((sequences == N_CODE).sum())
    return ModiscoExport(folder, len(found), len(opened.cohort.genes), sequences.shape[1], unknown)


def _stored(opened: Opened, run: ModelCard, track: str) -> Iterator[tuple[Gene, Saturation]]:
    """Genes that have saturation, in the cohort's order."""
    around = centres(opened, run, track)
    for gene in opened.cohort.genes:
        centre = around.get(gene.gene_id)
        kept = None if centre is None else stored_saturation(opened, run, gene, centre)
        if kept is not None:
            yield gene, kept


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
