"""The stage that applies weights trained elsewhere, of a PredictDB or a table, on this cohort's genotypes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.alleles import OUTCOMES, Aligned, WeightRow, align_weights
from hapsight.cohort.contigs import plain_contig
from hapsight.cohort.effect_fit import require_fit
from hapsight.cohort.effect_tables import EffectTable, read_effect_table
from hapsight.cohort.nouns import Gene, Interval, Variants
from hapsight.files import file_digest
from hapsight.linear.fits import weighted_sum
from hapsight.run.baselines import ImportedRun
from hapsight.run.blocks import KeyedBlock, VariantReader, keyed_blocks, largest_genes, linear_blocks
from hapsight.run.crew import compute_here
from hapsight.run.opened import LINEAR_KEYS, Opened, Progress, dropped_table, gene_keys, table_digests
from hapsight.run.store import UnitStore

__all__ = [
    "Rows",
    "apply_imported",
    "cohort_weights",
    "imported_store",
    "imported_units",
    "reach",
    "used_dosage",
    "weights_by_gene",
]

Rows = tuple[WeightRow, ...]

_GENES: Final = {
    "gene_id": pl.String,
    "status": pl.String,
    "n_weights": pl.Int64,
    "n_used": pl.Int64,
    "share_used": pl.Float64,
    "share_weight_used": pl.Float64,
    **dict.fromkeys(OUTCOMES, pl.Int64),
}


def apply_imported(opened: Opened, run: ImportedRun, progress: Progress) -> None:
    """Predict every gene by the file's weights; finished units are not computed again.

    Raises
    ------
    InputError
        The file cannot be read, has no gene of the cohort, is of another build, or has two weights for a
        variant.
    """
    label = f"baseline {run.method}"
    with opened.folder.stage(f"{label} (trained elsewhere)") as stage:
        given = cohort_weights(opened, run)
        store, units = imported_store(opened, run), imported_units(opened, run, given)
        weights = given.by_gene()
        stage["computed"] = compute_here(
            store,
            units,
            partial(_apply_unit, opened, run, weights),
            label,
            progress,
            before=lambda: require_fit(
                run.path, "weights", _samples(opened, weights), opened.cohort.reference
            ),
        )
        stage["detail"] = f"{len(weights)} of {len(opened.cohort.genes)} genes are in the file"


def imported_store(opened: Opened, run: ImportedRun) -> UnitStore:
    """Where the predictions lie."""
    return opened.folder.baseline(f"imported.{run.method}")


def imported_units(opened: Opened, run: ImportedRun, given: EffectTable | None = None) -> list[KeyedBlock]:
    """The units of one file's weights.

    Parameters
    ----------
    given
        `cohort_weights` of it; read where it is not given.
    """
    given = cohort_weights(opened, run) if given is None else given
    digest, config = file_digest(run.path), opened.config
    blocks = linear_blocks(opened, config.baseline.cis_window, config.baseline.genes_per_unit)
    parts = {
        "weights": digest,
        "min_share": run.min_share,
        "cis_window": config.baseline.cis_window,
        "policy": config.cohort.model_dump(mode="json", include=LINEAR_KEYS),
        **opened.key_parts("genotypes", "reference"),
    }
    keys = gene_keys("imported weights", opened.cohort.genes, parts, table_digests(given.table))
    return keyed_blocks(imported_store(opened, run), blocks, keys)


def weights_by_gene(
    run: ImportedRun, genes: Sequence[Gene], contigs: Mapping[str, int] = MappingProxyType({})
) -> Mapping[str, Rows]:
    """The file's weights of each cohort gene that it has, by the cohort's ``gene_id``.

    Parameters
    ----------
    contigs
        Lengths of the FASTA's contigs, which tell its build.

    Raises
    ------
    InputError
        The file cannot be read, or has no gene of the cohort; see `hapsight.cohort.effect_tables`.
    """
    return _read(run, genes, contigs).by_gene()


def cohort_weights(opened: Opened, run: ImportedRun) -> EffectTable:
    """The file's weights of the cohort's genes; errors as of `weights_by_gene`."""
    return _read(run, opened.cohort.genes, opened.cohort.reference.contigs)


def _read(run: ImportedRun, genes: Sequence[Gene], contigs: Mapping[str, int]) -> EffectTable:
    return read_effect_table(run.path, "weights").for_genes(genes, contigs)


def _samples(opened: Opened, weights: Mapping[str, Rows]) -> Iterator[tuple[Rows, Variants]]:
    rows = {gene.gene_id: weights.get(gene.gene_id, ()) for gene in opened.cohort.genes}
    return largest_genes(
        opened,
        lambda gene: len(rows[gene.gene_id]),
        lambda gene: rows[gene.gene_id],
        lambda gene: reach(gene, rows[gene.gene_id], opened),
    )


def _apply_unit(
    opened: Opened, run: ImportedRun, weights: Mapping[str, Rows], unit: KeyedBlock
) -> dict[str, pl.DataFrame]:
    cohort = opened.cohort
    intervals = [reach(gene, weights.get(gene.gene_id, ()), opened) for gene in unit.genes]
    reader = VariantReader(cohort.genotypes, cohort.reference, intervals)
    predictions, facts = [], []
    for gene, interval in zip(unit.genes, intervals, strict=True):
        variants, rows = reader(interval), weights.get(gene.gene_id)
        aligned = align_weights(rows or (), variants)
        aligned.require_one_each("weights", f"{run.path}, gene {gene.gene_id}")
        predicted = aligned.intercept + weighted_sum(aligned.weights, variants.linear_dosage)
        facts.append(_facts(gene, rows, aligned, run.min_share))
        predictions.append(
            pl.DataFrame(
                {
                    "gene_id": [gene.gene_id] * len(cohort.samples),
                    "sample_id": cohort.samples,
                    "predicted": predicted,
                }
            )
        )
    return {
        "predictions": pl.concat(predictions),
        "genes": pl.DataFrame(facts, schema=_GENES),
        "dropped": dropped_table(reader.dropped),
    }


def reach(gene: Gene, rows: Rows, opened: Opened) -> Interval:
    """The cis window, widened to all places that the gene's weights name on its contig."""
    cis = gene.cis(opened.config.baseline.cis_window)
    contig = plain_contig(gene.contig)
    inside = [row.place.position for row in rows if row.place is not None and row.place.contig == contig]
    return Interval(gene.contig, min([cis.start, *inside]), max([cis.end, *(p + 1 for p in inside)]))


def _facts(gene: Gene, rows: Rows | None, aligned: Aligned, least: float) -> dict[str, object]:
    share = aligned.share_used
    if not rows or share is None:
        status = "no_model"
    elif not aligned.n_used:
        status = "no_variants"
    else:
        status = "ok" if min(share, aligned.used_weight) >= least else "low_share"
    return {
        "gene_id": gene.gene_id,
        "status": status,
        "n_weights": len(rows or ()),
        "n_used": aligned.n_used,
        "share_used": share,
        "share_weight_used": aligned.used_weight if rows else None,
        **aligned.counts,
    }


def used_dosage(reader: VariantReader, interval: Interval, rows: Rows) -> NDArray[np.uint8]:
    """(V, N) of the variants that weights are laid on."""
    variants = reader(interval)
    return variants.take(np.flatnonzero(align_weights(rows, variants).used)).linear_dosage
