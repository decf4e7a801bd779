"""Half-lives of everyone's transcripts by a model, as a table for ``[[priors.person_covariates]]``."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from hapsight.cohort.nouns import Dropped
from hapsight.cohort.transcripts import read_transcripts
from hapsight.priors.half_life_model import HalfLifeModel, half_lives
from hapsight.priors.person_table import PERSON_VALUES
from hapsight.sequence.transcripts import personal_transcripts
from hapsight.workflow.opened import Opened, Progress
from hapsight.workflow.variants import VariantReader

__all__ = ["half_life_values"]


def half_life_values(
    opened: Opened, gtf: Path, model: HalfLifeModel, progress: Progress
) -> tuple[pl.DataFrame, Dropped]:
    """Predict the half-life of each gene's transcript in each person.

    Parameters
    ----------
    gtf
        Of the build of the cohort's reference; see `hapsight.cohort.transcripts.read_transcripts`.

    Returns
    -------
    ``gene_id, sample_id, value`` of the genes that have a coding transcript; and the other genes, and the
    variants and alleles that were not applied.
    """
    cohort = opened.cohort
    transcripts, dropped = read_transcripts(gtf, cohort.genes)
    reader = VariantReader(cohort.genotypes, cohort.reference)
    tables = [pl.DataFrame(schema=PERSON_VALUES)]
    for done, (gene_id, transcript) in enumerate(transcripts.items()):
        progress("half-lives", done, len(transcripts))
        made = personal_transcripts(transcript, reader, cohort.reference.fetch)
        dropped.merge(made.dropped)
        rows = {"gene_id": gene_id, "sample_id": made.samples, "value": half_lives(model, made)}
        tables.append(pl.DataFrame(rows, schema=PERSON_VALUES))
    dropped.merge(reader.dropped)
    progress("half-lives", len(transcripts), len(transcripts))
    return pl.concat(tables), dropped
