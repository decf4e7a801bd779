"""The stage that applies weights trained elsewhere: a PredictDB file on this cohort's genotypes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.alleles import OUTCOMES, Aligned, WeightRow, align_weights, place_of
from hapsight.cohort.digest import file_digest
from hapsight.cohort.nouns import Gene, Interval, Variants
from hapsight.cohort.predictdb import read_predictdb
from hapsight.errors import InputError
from hapsight.evaluate.expression import residuals
from hapsight.predict.store import UnitStore
from hapsight.workflow.baseline_runs import ImportedRun
from hapsight.workflow.blocks import KeyedBlock, in_turn, keyed_blocks, linear_blocks
from hapsight.workflow.comparisons import Compared, Source, expression, observed_in_words
from hapsight.workflow.opened import LINEAR_KEYS, Opened, Progress, dropped_table, gene_keys
from hapsight.workflow.variants import VariantReader

__all__ = [
    "apply_imported",
    "imported_comparisons",
    "imported_source",
    "imported_store",
    "imported_units",
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
        The file is no PredictDB, or has no gene of the cohort.
    """
    label = f"baseline {run.method}"
    with opened.folder.stage(f"{label} (trained elsewhere)") as stage:
        weights = weights_by_gene(run, opened.cohort.genes)
        store, units = imported_store(opened, run), imported_units(opened, run)
        todo = [unit for unit in units if not store.done(unit.name, unit.key)]
        for done, unit in enumerate(todo, start=len(units) - len(todo)):
            progress(label, done, len(units))
            store.write(unit.name, unit.key, _apply_unit(opened, unit, weights))
        progress(label, len(units), len(units))
        stage["computed"] = len(todo)
        stage["detail"] = f"{len(weights)} of {len(opened.cohort.genes)} genes are in the file"


def imported_store(opened: Opened, run: ImportedRun) -> UnitStore:
    """Where the predictions lie."""
    return opened.folder.baseline(f"imported.{run.method}")


def imported_units(opened: Opened, run: ImportedRun) -> list[KeyedBlock]:
    """The units of one file's weights."""
    digest, config = file_digest(run.path), opened.config
    blocks = linear_blocks(opened, config.baseline.cis_window, config.baseline.genes_per_unit)
    parts = {
        "weights": digest,
        "cis_window": config.baseline.cis_window,
        "policy": config.cohort.model_dump(mode="json", include=LINEAR_KEYS),
        **opened.key_parts("genotypes", "reference"),
    }
    keys = gene_keys("imported weights", opened.cohort.genes, parts)
    return keyed_blocks(imported_store(opened, run), blocks, keys)


def weights_by_gene(run: ImportedRun, genes: Sequence[Gene]) -> Mapping[str, Rows]:
    """The file's weights of each cohort gene that it has, by the cohort's ``gene_id``.

    A gene is found by its identifier, or by the identifier without its version (``.12``) where that names
    one gene on either side.

    Raises
    ------
    InputError
        No gene of the cohort is in the file.
    """
    database = read_predictdb(run.path)
    plain = _unique({name: name.split(".")[0] for name in database.genes})
    ours = _unique({gene.gene_id: gene.gene_id.split(".")[0] for gene in genes})
    known = set(database.genes)
    alias = {gene_id: plain[stem] for stem, gene_id in ours.items() if stem in plain}
    theirs = {g.gene_id: g.gene_id if g.gene_id in known else alias.get(g.gene_id) for g in genes}
    parts = database.weights.partition_by("gene", as_dict=True, include_key=False)
    found = {
        gene_id: tuple(WeightRow(*row) for row in parts[(name,)].iter_rows()) if (name,) in parts else ()
        for gene_id, name in theirs.items()
        if name is not None
    }
    if not found:
        raise InputError(
            "No gene of the cohort is in the PredictDB.",
            where=run.path,
            expected=f"genes such as {', '.join(gene.gene_id for gene in genes[:3])}",
            got=", ".join(database.genes[:3]) or "no gene",
        )
    return found


def _unique(stem_of: Mapping[str, str]) -> dict[str, str]:
    """Names by stem, where the stem belongs to one name."""
    times = Counter(stem_of.values())
    return {stem: name for name, stem in stem_of.items() if times[stem] == 1}


def _apply_unit(opened: Opened, unit: KeyedBlock, weights: Mapping[str, Rows]) -> dict[str, pl.DataFrame]:
    cohort = opened.cohort
    reach = [_reach(gene, weights.get(gene.gene_id, ()), opened) for gene in unit.genes]
    reader = VariantReader(cohort.genotypes, cohort.reference, reach)
    predictions, facts = [], []
    for gene, interval in zip(unit.genes, reach, strict=True):
        variants, rows = reader(interval), weights.get(gene.gene_id)
        aligned = align_weights(rows or (), variants)
        predicted = aligned.intercept + aligned.weights @ variants.linear_dosage
        facts.append(_facts(gene, rows, aligned))
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


def _reach(gene: Gene, rows: Rows, opened: Opened) -> Interval:
    """The cis window, widened to all places that the gene's weights name on its contig."""
    cis = gene.cis(opened.config.baseline.cis_window)
    places = [place for row in rows if (place := place_of(row.var_id)) is not None]
    inside = [p.position for p in places if p.contig == gene.contig.removeprefix("chr")]
    return Interval(gene.contig, min([cis.start, *inside]), max([cis.end, *(p + 1 for p in inside)]))


def _facts(gene: Gene, rows: Rows | None, aligned: Aligned) -> dict[str, object]:
    status = "no_model" if not rows else "ok" if aligned.n_used else "no_variants"
    return {
        "gene_id": gene.gene_id,
        "status": status,
        "n_weights": len(rows or ()),
        "n_used": aligned.n_used,
        "share_used": aligned.n_used / len(rows) if rows else None,
        "share_weight_used": aligned.used_weight if rows else None,
        **aligned.counts,
    }


def imported_source(opened: Opened, run: ImportedRun) -> Source:
    """The labels of the numbers."""
    return Source(run.method, run.read_out, opened.config.protocol, observed_in_words(opened))


def imported_comparisons(opened: Opened, run: ImportedRun) -> Iterator[Compared]:
    """Every gene: predictions by the file's weights beside the residuals of all people."""
    cohort, store = opened.cohort, imported_store(opened, run)
    covariates = None if cohort.covariates is None else cohort.covariates.values
    observed = residuals(expression(opened), covariates)
    row = {gene.gene_id: index for index, gene in enumerate(cohort.genes)}
    weights = weights_by_gene(run, cohort.genes)
    for unit, genes in in_turn(imported_units(opened, run), cohort.genes):
        done = [(unit.name, unit.key)]
        facts = store.read(done, "genes")
        status = dict(zip(facts["gene_id"], facts["status"], strict=True))
        tables = store.read(done, "predictions").partition_by("gene_id", as_dict=True)
        reach = [_reach(gene, weights.get(gene.gene_id, ()), opened) for gene in genes]
        reader = VariantReader(cohort.genotypes, cohort.reference, reach)
        for gene, interval in zip(genes, reach, strict=True):
            yield Compared(
                gene,
                tables[(gene.gene_id,)]["predicted"].to_numpy(),
                observed[row[gene.gene_id]],
                None,
                partial(_used_dosage, reader, interval, weights.get(gene.gene_id, ())),
                None,
                None if status[gene.gene_id] == "ok" else status[gene.gene_id],
            )


def _used_dosage(reader: VariantReader, interval: Interval, rows: Rows) -> NDArray[np.uint8]:
    return _used(reader(interval), rows).linear_dosage


def _used(variants: Variants, rows: Rows) -> Variants:
    return variants.take(np.flatnonzero(align_weights(rows, variants).used))
