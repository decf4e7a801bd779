"""Real genotypes with exchanged expression: no method predicts people whom its training did not see."""

import numpy as np
import pytest
from scipy import stats

from hapsight.cohort.expression import read_expression
from hapsight.cohort.join import exchange_within
from hapsight.cohort.people import read_sample_sheet
from hapsight.linear.elastic_net import ElasticNetOptions
from hapsight.linear.fits import make_folds
from hapsight.linear.methods import method_named
from hapsight.linear.nested import fit_held_out
from hapsight.stats.summary import mean_fold_r
from tests.linear.cohort import real_genes
from tests.linear.test_methods import permutation_p


@pytest.mark.verify
@pytest.mark.parametrize(
    ("name", "genes"), [("top_snp", 60), ("blup", 60), ("lasso", 15), ("elastic_net", 15)]
)
def test_nothing_leaks(shared_data, name, genes):
    folder = shared_data / "geuvadis_chr22"
    population = read_sample_sheet(folder / "samples.tsv").population_of()
    people = [population[sample] for sample in read_expression(folder / "expression.bed.gz").samples]
    folds, method = (
        make_folds(len(people), 5, np.random.default_rng(1)),
        method_named(name, ElasticNetOptions()),
    )
    rng, fold_r, p = np.random.default_rng(2), [], []
    for seed, gene in enumerate(real_genes(folder, genes)):
        order = exchange_within(people, rng)  # another one for each gene, so that genes are independent
        fit = fit_held_out(gene.dosage, gene.expression[order], gene.covariates[order], folds, seed, method)
        fold_r.append(fit.fold_r)
        if np.isfinite(fit.fold_r[0]):
            p.append(permutation_p(fit.predicted[folds == 0], fit.observed[folds == 0], rng))
    found = mean_fold_r(fold_r)
    print(f"{name}: mean R of a fold {found.value:.3f} [{found.ci_low:.3f}, {found.ci_high:.3f}]")
    print(f"{name}: KS of {len(p)} p-values, {stats.kstest(p, 'uniform').pvalue:.3f}")
    assert abs(found.value) < found.ci_high - found.ci_low  # four standard errors
    assert stats.kstest(p, "uniform").pvalue > 0.001
