"""The stage of priors: each of them with and without, beside its shuffled control."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped
from hapsight.cohort.regulons import Regulons, read_regulons
from hapsight.errors import ConfigError
from hapsight.explain.motifs import Motif
from hapsight.priors.ablation import over_genes
from hapsight.priors.person_table import read_person_values
from hapsight.priors.signs import fit_by_stretch
from hapsight.priors_tables import (
    PRIOR_ABLATION,
    PRIOR_GENES,
    PRIOR_SCORES,
    PRIOR_SIGNS,
    SIGNS_LEARNED,
    SIGNS_OF_REGULONS,
)
from hapsight.streams import stream
from hapsight.workflow.driver_motifs import configured_motifs
from hapsight.workflow.eqtl_sets import nominal_effects
from hapsight.workflow.opened import Opened, Progress, dropped_table
from hapsight.workflow.prior_genes import gene_ablation
from hapsight.workflow.prior_linear import linear_ablation
from hapsight.workflow.prior_motifs import ScannedMotifs, scan_motifs
from hapsight.workflow.prior_signs import (
    CIS,
    regulon_bits,
    sign_ablation,
    sign_set,
    sign_sets,
)

__all__ = ["Priors", "priors"]

Row = dict[str, Any]

_SCORE_FILES = {SIGNS_LEARNED: "learned", SIGNS_OF_REGULONS: "regulons"}


@dataclass(frozen=True, slots=True, eq=False)
class Priors:
    """What was found: tables as in `hapsight.priors_tables`, written to ``priors/``."""

    ablation: pl.DataFrame
    per_gene: pl.DataFrame
    signs: pl.DataFrame


def priors(opened: Opened, progress: Progress) -> Priors:
    """Judge every configured prior; eQTLs are mapped first where they are needed and are not.

    Raises
    ------
    ConfigError
        No prior is configured.
    MissingExtraError
        Motifs are wanted, and pyjaspar or memelite is not installed.
    IncompleteError
        Covariates of genes are to be set beside models, and ``evaluate`` has not been run.
    InputError
        A table cannot be read, or no gene has an eQTL.
    """
    config, dropped = opened.config.priors, Dropped()
    motifs = configured_motifs(config.motifs)
    tables = config.regulons or config.gene_covariates or config.person_covariates or config.half_life
    if not (motifs or tables):
        raise ConfigError(
            "No prior is configured.",
            where="[priors]",
            expected="motifs, regulons, gene_covariates, person_covariates or half_life",
            got="none of them",
            fix="name a table under [priors], or install the extra `motifs`",
        )
    with opened.folder.stage("priors") as stage:
        regulons = None
        if config.regulons is not None:
            regulons, left_out = read_regulons(config.regulons, opened.cohort.genes)
            dropped.merge(left_out)
        rows = list(gene_ablation(opened, dropped))
        per_gene, signs = pl.DataFrame(schema=PRIOR_GENES), pl.DataFrame(schema=PRIOR_SIGNS)
        scores: dict[str, pl.DataFrame] = {}
        if motifs:
            sign_rows, signs, scores = _variant_priors(opened, motifs, regulons, dropped, progress)
            rows += sign_rows
        else:
            opened.folder.note("No sign prior was judged: motifs were not looked for.")
        persons = _person_values(opened, dropped)
        if scores or persons or regulons is not None:
            per_gene = linear_ablation(opened, scores, persons, regulons, progress)
            rows += _linear_rows(per_gene)
        found = Priors(pl.DataFrame(rows, schema=PRIOR_ABLATION), per_gene, signs)
        for name in ("ablation", "per_gene", "signs"):
            opened.folder.write(f"priors/{name}.parquet", getattr(found, name))
        for prior, table in scores.items():
            typed = (pl.col(name).cast(kind) for name, kind in PRIOR_SCORES.items())
            shown = table.with_columns(prior=pl.lit(prior)).select(typed)
            opened.folder.write(f"priors/scores.{_SCORE_FILES[prior]}.parquet", shown)
        opened.folder.write("priors/dropped.parquet", dropped_table(dropped))
        stage["detail"] = f"{found.ablation.height} rows of the ablation"
    return found


def _person_values(opened: Opened, dropped: Dropped) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Label -> gene -> (N,) of the configured tables of persons."""
    cohort, found = opened.cohort, {}
    genes = [gene.gene_id for gene in cohort.genes]
    for given in opened.config.priors.person_covariates:
        found[given.label], left_out = read_person_values(given.path, genes, cohort.samples)
        dropped.merge(left_out)
    return found


def _variant_priors(
    opened: Opened,
    motifs: tuple[Motif, ...],
    regulons: Regulons | None,
    dropped: Dropped,
    progress: Progress,
) -> tuple[list[Row], pl.DataFrame, dict[str, pl.DataFrame]]:
    """Rows of the ablation, the table of signs, and scores of the variants near each TSS."""
    nominal = nominal_effects(opened, progress)
    sets = sign_sets(opened, nominal, dropped)
    reach = opened.config.priors.reach
    near = pl.concat([block.filter(pl.col("distance") <= reach) for block in nominal])
    threshold = opened.config.priors.motif_threshold
    scanned = scan_motifs([*sets.values(), near], opened.cohort.reference, motifs, threshold, progress)
    rows: list[Row] = []
    tables = []
    for number, (label, table) in enumerate(sets.items()):
        progress("prior signs", number, len(sets))
        rng = stream(opened.config.seed, "prior signs", number)
        found, shown = sign_ablation(opened, label, table, scanned, regulons, rng)
        rows += found
        tables.append(shown)
    progress("prior signs", len(sets), len(sets))
    return rows, pl.concat(tables), _scores(opened, sets[CIS], near, scanned, regulons)


def _scores(
    opened: Opened,
    eqtls: pl.DataFrame,
    near: pl.DataFrame,
    scanned: ScannedMotifs,
    regulons: Regulons | None,
) -> dict[str, pl.DataFrame]:
    """What each variant near a TSS should do to its gene, by signs learned from genes far from it."""
    genes = opened.cohort.genes
    given = sign_set(opened, eqtls, scanned.bits[scanned.rows(eqtls)], beside_effect=False)
    stretch, fits = fit_by_stretch(given, [g.contig for g in genes], np.array([g.tss for g in genes]))
    motifs = np.array([fit.motifs for fit in fits])
    place = {gene.gene_id: index for index, gene in enumerate(genes)}
    fold = stretch[[place[name] for name in near["gene_id"]]]
    odds = np.einsum("vc,vc->v", scanned.bits[scanned.rows(near)], motifs[fold])
    scores = {SIGNS_LEARNED: near.with_columns(score=pl.Series(odds))}
    if regulons is not None:
        bits = regulon_bits(opened, near, scanned, regulons)
        scores[SIGNS_OF_REGULONS] = near.with_columns(score=pl.Series(bits))
    return scores


def _linear_rows(per_gene: pl.DataFrame) -> Iterator[Row]:
    """Mean R over the genes that a prior says something of; the others are predicted as without it."""
    for table in per_gene.partition_by("prior", "level", "beside", maintain_order=True):
        labels = table.select("prior", "level", "beside").row(0, named=True)
        known = table.filter(pl.col("has_prior"))
        found = over_genes(
            *(known[f"{name}_r"].to_numpy() for name in ("without", "with", "alone", "shuffled"))
        )
        yield labels | {"enters": "linear combination", "quantity": "mean_r"} | found.columns()
