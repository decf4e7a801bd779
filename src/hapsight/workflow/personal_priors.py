"""Priors in training on people: signs of variants in the loss, activities of regulators out of the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.digest import file_digest
from hapsight.cohort.regulons import read_regulons
from hapsight.errors import ConfigError
from hapsight.priors.activity import dealt_regulators, regulator_score, z_scores
from hapsight.priors.sign_table import SignPriors, read_sign_priors
from hapsight.priors_tables import SIGNS_LEARNED
from hapsight.streams import stream
from hapsight.workflow.personal_data import PersonalData
from hapsight.workflow.variants import VariantReader

if TYPE_CHECKING:
    from hapsight.train.sign_prior import ReadToggled, Toggled

__all__ = ["activity_explains", "prior_key", "toggled_variants"]

Float = NDArray[np.float64]


def prior_key(data: PersonalData, prior: str) -> dict[str, Any] | None:
    """What the numbers of an arm with this prior depend on, beside the rest of the arm."""
    config = data.opened.config
    if prior.startswith("sign") and config.train.sign_priors is not None:
        return {"table": file_digest(config.train.sign_priors), "weight": config.train.sign_weight}
    if prior.startswith("activity") and config.priors.regulons is not None:
        return {"regulons": file_digest(config.priors.regulons), "leave_out": config.priors.leave_out}
    return None


def toggled_variants(data: PersonalData, prior: str) -> ReadToggled | None:
    """Reads a gene's variants with their sign priors, or with signs dealt anew; None for another prior.

    Scores are in units of the table's median size.

    Raises
    ------
    ConfigError
        The signs were learned from eQTLs of this cohort, also of people and genes that are not trained on.
    InputError
        The table cannot be read.
    """
    path = data.opened.config.train.sign_priors
    if not prior.startswith("sign") or path is None:
        return None
    given = read_sign_priors(path)
    if SIGNS_LEARNED in given.names:
        raise ConfigError(
            "These signs were learned from people and genes that are not to be trained on.",
            where=path,
            expected="signs that know nothing of this cohort's expression, such as those of regulons",
            got=f"prior = {SIGNS_LEARNED!r}",
            fix="give `sign_priors` under [train] the scores of regulons, or signs from another cohort",
        )
    if prior == "sign_shuffled":
        given = given.shuffled(stream(data.opened.config.seed, "sign priors of training"))
    reader, scale = data.reader(), given.typical
    given = given.for_genes(data.opened.cohort.genes, data.opened.cohort.reference.contigs)
    return lambda gene_id: _toggled(data, gene_id, reader, given, scale)


def _toggled(
    data: PersonalData, gene_id: str, reader: VariantReader, given: SignPriors, scale: float
) -> Toggled | None:
    from hapsight.predict.views import margin
    from hapsight.predict.windows import window_of
    from hapsight.train.sign_prior import toggle

    window = window_of(data.gene(gene_id), data.run.model, margin(data.run.read_out))
    variants = reader(window.interval)
    score = given.on(gene_id, variants) / scale
    return toggle(window, variants, score, data.opened.cohort.reference.fetch)


def activity_explains(data: PersonalData, prior: str) -> Float | None:
    """(G, N) what the activity of each gene's regulators explains of its z-scores; None for another prior.

    Activities are of the seen genes' expression only, less what is near the gene and the gene itself. With
    ``activity_shuffled``, genes exchange their regulators.

    Raises
    ------
    ConfigError
        The configuration names no regulons.
    """
    if not prior.startswith("activity"):
        return None
    from hapsight.train.person_prior import explained_by

    cohort, leave_out = data.opened.cohort, data.opened.config.priors.leave_out
    covariates = None if cohort.covariates is None else cohort.covariates.values
    weight, whose = _regulators(data, shuffled=prior == "activity_shuffled")
    scores = z_scores(cohort.transformed, covariates, data.trained_on)
    seen_genes = set(data.split.seen_genes)
    is_seen = np.array([gene.gene_id in seen_genes for gene in cohort.genes])
    found = np.empty(scores.shape)
    for target in range(len(cohort.genes)):
        speaking = np.union1d(np.flatnonzero(is_seen), target)
        place = int(np.searchsorted(speaking, target))
        own = weight[:, speaking]
        own[:, place] = weight[:, whose[target]]
        genes = [cohort.genes[index] for index in speaking]
        found[target] = regulator_score(scores[speaking], own, genes, place, leave_out)
    return explained_by(found, data.targets, covariates, data.trained_on, np.flatnonzero(is_seen))


def _regulators(data: PersonalData, *, shuffled: bool) -> tuple[Float, NDArray[np.intp]]:
    """Weights (R, G), and (G,) the gene whose regulators each gene gets: its own, or another's."""
    path, genes = data.opened.config.priors.regulons, data.opened.cohort.genes
    if path is None:
        raise ConfigError(
            "The activity of regulators needs regulons.",
            where="[priors] regulons",
            expected="a table of source, target, weight",
            got="none",
            fix="name one under [priors], or leave out the arms with prior 'activity'",
        )
    weight = read_regulons(path, genes)[0].weight
    if not shuffled:
        return weight, np.arange(len(genes))
    return weight, dealt_regulators(weight, stream(data.opened.config.seed, "regulators of training"))
