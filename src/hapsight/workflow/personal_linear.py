"""Linear baselines on the split of a training on people: the same training people, the same test people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapsight.baseline.elastic_net import ElasticNetOptions
from hapsight.baseline.methods import method_named
from hapsight.errors import ConfigError
from hapsight.streams import stream
from hapsight.workflow.opened import Progress
from hapsight.workflow.personal_data import PersonalData
from hapsight.workflow.variants import VariantReader

__all__ = ["linear_predictions"]

Float = NDArray[np.float64]

_TOGETHER = 8
"""Genes whose overlapping windows are read at once."""


def linear_predictions(data: PersonalData, name: str, progress: Progress) -> dict[str, Float]:
    """Seen gene -> (N,) prediction of all people, learnt from the training people of the split.

    A linear model is one gene's own: it has nothing to say of genes that it was not trained on. Validation
    people are not learnt from, as nothing else learns from them.

    Raises
    ------
    ConfigError
        There are too few training people for the method.
    """
    opened, config = data.opened, data.opened.config.baseline
    options = ElasticNetOptions(alpha=config.alpha, inner=config.inner_folds, min_maf=config.min_maf)
    method = method_named(name, options)
    train = data.people(data.split.train_people)
    if len(train) < method.least_people:
        raise ConfigError(
            f"There are too few training people for {name}.",
            expected=f"at least {method.least_people}",
            got=len(train),
            fix="use fewer inner_folds under [baseline], or more people",
        )
    seen, targets = set(data.split.seen_genes), data.targets
    genes = [gene for gene in opened.cohort.genes if gene.gene_id in seen]
    row = {gene_id: index for index, gene_id in enumerate(targets.gene_ids)}
    found = dict[str, Float]()
    for first in range(0, len(genes), _TOGETHER):
        progress(f"train {name}", first, len(genes))
        block = genes[first : first + _TOGETHER]
        cis = [gene.cis(config.cis_window) for gene in block]
        reader = VariantReader(opened.cohort.genotypes, opened.cohort.reference, cis)
        for gene, interval in zip(block, cis, strict=True):
            near = reader(interval)
            dosage = near.linear_dosage.astype(np.float64)
            once = None if near.one_copy is None else near.one_copy.compress(data.trained_on)
            outcome = targets.residual[row[gene.gene_id], train]
            rng = stream(opened.config.seed, "linear on a split", gene.gene_id)
            found[gene.gene_id] = method.fit(dosage[:, train], outcome, rng, once).predict(dosage)
    progress(f"train {name}", len(genes), len(genes))
    return found
