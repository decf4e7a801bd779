"""On real genotypes and real expression that is dealt to other people, p-values must be uniform."""

import numpy as np
import pytest
from scipy import stats

from hapsight.cohort.expression import transform
from hapsight.cohort.genotypes import GenotypePolicy
from hapsight.cohort.join import CohortFiles, open_cohort
from hapsight.least_squares import residuals
from hapsight.stats.nulls import empirical_p, null_test, permutation_null, permutations, random_weights_null

pytestmark = pytest.mark.verify

REACH = 5_000


@pytest.fixture(scope="module")
def without_effect(shared_data) -> dict[str, np.ndarray]:
    """Test -> p of a random linear prediction of each gene of the real cohort, expression permuted."""
    folder = shared_data / "geuvadis_chr22"
    names = {
        "genotypes": "genotypes.vcf.gz",
        "reference": "chr22.fa.gz",
        "expression": "expression.bed.gz",
        "genes": "genes.tsv",
        "covariates": "covariates.tsv",
        "samples": "samples.tsv",
    }
    files = CohortFiles(**{role: folder / name for role, name in names.items()})
    cohort, _ = open_cohort(files, GenotypePolicy())
    observed = residuals(transform(cohort.expression.values, "log10"), cohort.covariates.values)
    rng = np.random.default_rng(2)
    orders = permutations(cohort.populations, 499, rng)
    shuffled = permutations(cohort.populations, len(cohort.genes), rng)
    found: dict[str, list[float]] = {"empirical": [], "permutation": [], "nominal": []}
    for gene, expression, order in zip(cohort.genes, observed, shuffled, strict=True):
        dosage = cohort.genotypes.read(gene.cis(REACH))[0].dosage
        if len(dosage) < 2:
            continue
        predicted = rng.standard_normal(len(dosage)) @ dosage
        given = expression[order]
        r, nominal = stats.pearsonr(predicted, given)
        null = random_weights_null(dosage, given, 499, rng)
        found["empirical"].append(null_test(r, null).pval_empirical)
        found["permutation"].append(empirical_p(abs(r), permutation_null(predicted, given, orders)))
        found["nominal"].append(nominal)
    return {test: np.array(pvalues) for test, pvalues in found.items()}


@pytest.mark.parametrize("test", ["empirical", "permutation", "nominal"])
def test_p_is_uniform_when_expression_is_dealt_to_others(without_effect, test):
    pvalues = without_effect[test]
    assert len(pvalues) > 400
    assert stats.kstest(pvalues, "uniform").pvalue > 0.01
