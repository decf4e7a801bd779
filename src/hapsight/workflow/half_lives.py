"""Half-lives and ribosome loads of everyone's transcripts, as tables for ``[[priors.person_covariates]]``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped
from hapsight.cohort.transcripts import read_transcripts
from hapsight.priors.half_life_model import HalfLifeModel, half_lives
from hapsight.priors.person_table import PERSON_VALUES
from hapsight.priors.ribosome_load import RibosomeLoadModel, ribosome_loads
from hapsight.sequence.transcripts import PersonalTranscripts, personal_transcripts
from hapsight.workflow.opened import Opened, Progress
from hapsight.workflow.variants import VariantReader

__all__ = ["half_life_values", "ribosome_load_values"]


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
