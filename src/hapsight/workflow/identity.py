"""Whether people's expression and genotypes belong together, as far as strong eQTLs can tell."""

from __future__ import annotations

import numpy as np
from scipy import stats

from hapsight.cohort.check import CheckResult
from hapsight.cohort.join import Cohort
from hapsight.evaluate.expression import normal_scores
from hapsight.evaluate.identity import LEAST_R, find_mismatches, match_scores, strongest_variant
from hapsight.workflow.variants import VariantReader

__all__ = ["check_identity"]

_REACH = 100_000
_GENES_READ_TOGETHER = 32
_FEWEST_PEOPLE = 30


def check_identity(cohort: Cohort) -> CheckResult:
    """Look for people whose expression fits somebody else's genotypes better than their own.

    Every gene's strongest variant within 100 kb predicts expression; over all genes with abs(r) >= 0.3 these
    predictions tell people apart. Names that were exchanged between files show up here and nowhere else.
    """
    name = "people match"
    if len(cohort.samples) < _FEWEST_PEOPLE:
        return CheckResult(name, "pass", f"not looked at: fewer than {_FEWEST_PEOPLE} people")
    expression = normal_scores(cohort.residual)
    dosages, outcomes, strengths = [], [], []
    for first in range(0, len(cohort.genes), _GENES_READ_TOGETHER):
        rows = range(first, min(first + _GENES_READ_TOGETHER, len(cohort.genes)))
        windows = [cohort.genes[row].cis(_REACH) for row in rows]
        reader = VariantReader(cohort.genotypes, cohort.reference, windows)
        for row, window in zip(rows, windows, strict=True):
            found = strongest_variant(reader(window).linear_dosage, expression[row])
            if found is not None and abs(found[1]) >= LEAST_R:
                dosages.append(found[0])
                outcomes.append(stats.zscore(expression[row]))
                strengths.append(found[1])
    if not dosages:
        return CheckResult(name, "pass", "no eQTL is strong enough to tell people apart")
    wrong = find_mismatches(match_scores(np.array(dosages), np.array(outcomes), np.array(strengths)))
    if not wrong:
        return CheckResult(name, "pass", f"expression fits the own genotypes, by {len(dosages)} eQTLs")
    details = tuple(
        f"{cohort.samples[m.expression_of]}: the expression fits the genotypes of {cohort.samples[m.fits]} "
        f"(log likelihood ratio {m.log_ratio:.0f})"
        for m in wrong
    )
    message = f"the expression of {len(wrong)} people fits somebody else's genotypes, by {len(dosages)} eQTLs"
    if not any(m.exchanged for m in wrong):
        return CheckResult(name, "warn", f"{message}; but no names seem exchanged", details)
    mend = "to mend: find out which file has the names exchanged, or leave these people out"
    return CheckResult(name, "fail", message, (*details, mend))
