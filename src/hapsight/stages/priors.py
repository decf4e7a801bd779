"""The stage of priors: each of them with and without, beside its shuffled control.

Half-lives and ribosome loads of everyone's transcripts, as tables for ``[[priors.person_covariates]]``.

Priors on genes, across genes: beside a model's prediction, or as an input of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Gene
from hapsight.errors import ConfigError, IncompleteError, InputError, plural
from hapsight.explain.motifs import Motif
from hapsight.priors.ablation import (
    PRIOR_ABLATION,
    PRIOR_GENES,
    ablation_across_genes,
    gene_covariate_ablation,
    over_genes,
)
from hapsight.priors.half_life import HalfLifeModel, RibosomeLoadModel, half_lives, ribosome_loads
from hapsight.priors.regulons import (
    PERSON_VALUES,
    Regulons,
    read_gene_covariates,
    read_person_values,
    read_regulons,
)
from hapsight.priors.signs import (
    PRIOR_SCORES,
    PRIOR_SIGNS,
    SIGNS_LEARNED,
    SIGNS_OF_REGULONS,
    fit_by_stretch,
)
from hapsight.run.blocks import VariantReader
from hapsight.run.opened import Opened, Progress, dropped_table
from hapsight.run.store import run_first
from hapsight.seeds import stream
from hapsight.sequence.transcripts import PersonalTranscripts, personal_transcripts, read_transcripts
from hapsight.stages.driver_context import configured_motifs
from hapsight.stages.eqtl_sets import nominal_effects
from hapsight.stages.prior_ablations import (
    CIS,
    ScannedMotifs,
    linear_ablation,
    regulon_bits,
    scan_motifs,
    sign_ablation,
    sign_set,
    sign_sets,
)

__all__ = ["Priors", "gene_ablation", "half_life_values", "priors", "ribosome_load_values"]


def half_life_values(
    opened: Opened, gtf: Path, model: HalfLifeModel, progress: Progress
) -> tuple[pl.DataFrame, Dropped]:
    """Predict the half-life of each gene's transcript in each person.

    Parameters
    ----------
    gtf
        Of the build of the cohort's reference; see `hapsight.sequence.transcripts.read_transcripts`.

    Returns
    -------
    ``gene_id, sample_id, value`` of the genes that have a coding transcript; and the other genes, and the
    variants and alleles that were not applied.
    """
    return _values(opened, gtf, lambda made: half_lives(model, made), "half-lives", progress)


def ribosome_load_values(
    opened: Opened, gtf: Path, model: RibosomeLoadModel, progress: Progress
) -> tuple[pl.DataFrame, Dropped]:
    """Predict the mean ribosome load of each gene's 5' UTR in each person; as `half_life_values` otherwise.

    Genes without a 5' UTR of 3 bases in everybody, or without an annotated start codon, are named among what
    was left out.
    """
    return _values(opened, gtf, lambda made: ribosome_loads(model, made), "ribosome loads", progress)


def _values(
    opened: Opened,
    gtf: Path,
    values_of: Callable[[PersonalTranscripts], NDArray[np.float64] | None],
    what: str,
    progress: Progress,
) -> tuple[pl.DataFrame, Dropped]:
    cohort = opened.cohort
    transcripts, dropped = read_transcripts(gtf, cohort.genes)
    reader = VariantReader(cohort.genotypes, cohort.reference)
    tables = [pl.DataFrame(schema=PERSON_VALUES)]
    for done, (gene_id, transcript) in enumerate(transcripts.items()):
        progress(what, done, len(transcripts))
        made = personal_transcripts(transcript, reader, cohort.reference.fetch)
        dropped.merge(made.dropped)
        values = values_of(made)
        if values is None:
            dropped.add("gene", "no whole 5' UTR in everybody", gene_id)
            continue
        rows = {"gene_id": gene_id, "sample_id": made.samples, "value": values}
        tables.append(pl.DataFrame(rows, schema=PERSON_VALUES))
    dropped.merge(reader.dropped)
    progress(what, len(transcripts), len(transcripts))
    return pl.concat(tables), dropped


Row = dict[str, Any]
Values = Mapping[str, NDArray[np.float64]]

_HALF_LIFE_FEATURES = 6


def gene_ablation(opened: Opened, dropped: Dropped) -> Iterator[Row]:
    """Rows of the ablation: each table of covariates beside each model, and half-lives into each Xpresso.

    Genes that a table has not are left out of its rows, and named.

    Raises
    ------
    IncompleteError
        ``evaluate`` has not been run.
    ConfigError
        There are half-life features, and no Xpresso to take them.
    InputError
        A table cannot be read.
    """
    config = opened.config.priors
    if not (config.gene_covariates or config.half_life):
        return
    opened.require_current("evaluate")
    path = opened.folder.path / "evaluation" / "across_genes.parquet"
    if not path.exists():
        raise IncompleteError(
            "No prediction across genes to set priors on genes beside.",
            where=path,
            fix=run_first("evaluate"),
        )
    table = pl.read_parquet(path)
    for given in config.gene_covariates:
        known = _known(opened, given.path, given.label, dropped)
        for number, own in enumerate(table.partition_by("model", "read_out", maintain_order=True)):
            rng = stream(opened.config.seed, "priors of genes", number)
            yield {"prior": given.label} | _beside(opened, own, known, rng)
    if config.half_life is not None:
        known = _known(opened, config.half_life, "half-life", dropped)
        yield from _into_xpresso(opened, table, known, config.half_life)


def _known(opened: Opened, path: Path, label: str, dropped: Dropped) -> Values:
    """gene_id -> (F,) values of the genes that the table has."""
    genes = opened.cohort.genes
    _, values = read_gene_covariates(path, genes)
    known = {g.gene_id: row for g, row in zip(genes, values, strict=True) if np.isfinite(row).all()}
    for gene in genes:
        if gene.gene_id not in known:
            dropped.add("gene", f"not in {label}", gene.gene_id)
    return known


def _beside(opened: Opened, table: pl.DataFrame, known: Values, rng: np.random.Generator) -> Row:
    """One model: least squares on its prediction, with and without the covariates."""
    table = table.filter(pl.col("gene_id").is_in(list(known)))
    genes = _genes(opened, table)
    found = gene_covariate_ablation(
        table["predicted_reference"].to_numpy(),
        np.array([known[gene.gene_id] for gene in genes]),
        table["mean_expression"].to_numpy(),
        [gene.contig for gene in genes],
        np.array([gene.tss for gene in genes]),
        opened.config.priors.shuffles,
        rng,
    )
    beside = f"{table['model'][0]}, {table['read_out'][0]}"
    labels = {"level": "gene", "enters": "across genes", "beside": beside, "quantity": "pearson_r"}
    return labels | found.columns()


def _genes(opened: Opened, table: pl.DataFrame) -> list[Gene]:
    by_id = {gene.gene_id: gene for gene in opened.cohort.genes}
    return [by_id[name] for name in table["gene_id"]]


def _into_xpresso(opened: Opened, table: pl.DataFrame, known: Values, path: Path) -> Iterator[Row]:
    """Every Xpresso of the run with zeros, with each gene's own features, and with another gene's."""
    from hapsight.models.xpresso import Xpresso
    from hapsight.priors.half_life import half_life_predictions
    from hapsight.stages.predict import ModelRun, load_models

    _require_features(known, path)
    runs = [(run.label, run.model) for run in load_models(opened) if isinstance(run, ModelRun)]
    models = [(label, model) for label, model in runs if isinstance(model, Xpresso)]
    if not models:
        raise ConfigError(
            "Half-life features need a model that takes them.",
            where="half_life under [priors]",
            expected="an xpresso under [[models]]",
            got=", ".join(label for label, _ in runs) or "no model",
        )
    for number, (label, model) in enumerate(models):
        own = table.filter(pl.col("gene_id").is_in(list(known)), pl.col("model") == label)
        genes, rng = _genes(opened, own), stream(opened.config.seed, "half-lives", number)
        features = np.array([known[gene.gene_id] for gene in genes])
        dealt = [features[rng.permutation(len(features))] for _ in range(opened.config.priors.shuffles)]
        sets = np.stack([np.zeros_like(features), features, *dealt], axis=1)
        predicted = half_life_predictions(model, genes, sets, opened.cohort.reference.fetch).T
        expression = own["mean_expression"].to_numpy()
        found = ablation_across_genes(predicted[0], predicted[1], predicted[2:], expression, rng)
        labels = {"prior": "half-life", "level": "gene", "enters": "input of the model"}
        yield labels | {"beside": label, "quantity": "pearson_r"} | found.columns()


def _require_features(known: Values, path: Path) -> None:
    found = len(next(iter(known.values())))
    if found != _HALF_LIFE_FEATURES:
        raise InputError(
            "Xpresso takes six half-life features.",
            where=path,
            expected=f"gene_id and {_HALF_LIFE_FEATURES} columns",
            got=f"{found} columns",
        )


_SCORE_FILES = {SIGNS_LEARNED: "learned", SIGNS_OF_REGULONS: "regulons"}


@dataclass(frozen=True, slots=True, eq=False)
class Priors:
    """What was found: tables as in `hapsight.priors.signs`, written to ``priors/``."""

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
        stage["detail"] = f"{plural(found.ablation.height, 'row')} of the ablation"
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
