"""The face: the numbers of a run, piece by piece; and what a notebook's user gets wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

import hapsight as hs
from hapsight.cohort.join import Cohort
from hapsight.dna import decode
from hapsight.errors import ConfigError, HapsightWarning, InputError, ModelError
from hapsight.models.own import TorchModel
from hapsight.models.protocol import ModelWindow, ReadOut
from hapsight.run.config import load_config
from tests.planted import DOWNSTREAM, UPSTREAM, ToyModel
from tests.stages import test_chrx as chrx

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def planted(finished):
    return finished[0]


@pytest.fixture(scope="module")
def run(planted):
    return planted.folder / "run"


@pytest.fixture(scope="module")
def cohort(planted):
    return open_planted(planted.folder)


def open_planted(folder: Path, **options) -> Cohort:
    names = {"genes": "genes.tsv", "covariates": "covariates.tsv", "samples": "samples.tsv"}
    files = {role: folder / name for role, name in names.items()}
    paths = [str(folder / name) for name in ("genotypes.vcf.gz", "genome.fa.gz", "expression.bed.gz")]
    given = files | {"transform": "none"} | options
    return hs.open_cohort(*paths, **{name: value for name, value in given.items() if value is not None})


class TestImport:
    def test_is_light_and_lists_the_eleven_names(self):
        code = (
            "import sys, hapsight as hs; assert set(hs.__all__) <= set(dir(hs)) and len(hs.__all__) == 11;"
            "sys.exit(' '.join({'numpy', 'torch', 'polars'} & sys.modules.keys()) or 0)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            env={"PYTHONPATH": str(ROOT / "src")},
        )
        assert (done.returncode, done.stderr.strip()) == (0, "")

    def test_opening_a_cohort_and_a_run_needs_no_torch(self, planted, run):
        code = (
            "import sys, hapsight as hs; folder, run = sys.argv[1:];"
            "names = ('genotypes.vcf.gz', 'genome.fa.gz', 'expression.bed.gz');"
            "hs.open_cohort(*(f'{folder}/{name}' for name in names), genes=f'{folder}/genes.tsv');"
            "hs.read_run(run).per_gene; sys.exit('torch' in sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(planted.folder), str(run)],
            capture_output=True,
            text=True,
            check=False,
            env={"PYTHONPATH": str(ROOT / "src")},
        )
        assert (done.returncode, done.stderr.strip()) == (0, "")

    def test_packages_of_a_functions_name_are_called_as_it(self):
        import inspect

        import hapsight.api
        import hapsight.one_gene
        import hapsight.run.store as store
        import hapsight.stats.correlation as correlation

        assert (correlation.__name__, store.__name__) == (
            "hapsight.stats.correlation",
            "hapsight.run.store",
        )
        assert inspect.signature(hs.predict) == inspect.signature(hapsight.one_gene.predict)
        assert inspect.signature(hs.evaluate) == inspect.signature(hapsight.api.evaluate)
        with pytest.raises(AttributeError, match="no attribute 'predictions'"):
            hs.predictions  # noqa: B018


class TestCohort:
    def test_genes_by_what_they_are_called(self, cohort):
        up1 = cohort.gene("UP1")
        assert up1 == cohort.gene("up1") == cohort.gene(up1) == cohort.genes[0]
        with pytest.raises(ConfigError, match=r"did you mean UP2\?"):
            cohort.gene("UP22")
        with pytest.raises(ConfigError, match=r"look at `cohort.genes`"):
            cohort.observed("PACSIN2")

    def test_is_shown_in_few_words_and_without_names(self, cohort, run):
        model = ToyModel()
        found = hs.haplotypes(cohort, "up1", model.window)
        shown = [repr(one) for one in (cohort, found, hs.predict(model, found), hs.read_run(run))]
        assert shown[0] == "Cohort(60 people, 7 genes, 1 covariate)"
        null = hs.random_weights_null(found.dosage, cohort.observed("up1"), draws=99)
        shown += [repr(model), repr(null)]
        assert shown[-1].startswith("RandomWeights(99 draws, mean abs(r) 0.")
        assert all(len(text) < 150 and "P00" not in text for text in shown)
        assert "P00" not in repr(hs.elastic_net(cohort, "up1", 1_000, inner_folds=3))

    def test_unknown_values_are_told_as_the_configuration_tells_them(self, planted):
        with pytest.raises(
            ConfigError, match="missing: Input should be 'error', 'reference' or 'drop', got 'x'"
        ):
            open_planted(planted.folder, missing="x")
        with pytest.raises(ConfigError, match="mising: unknown key; did you mean 'missing'"):
            open_planted(planted.folder, mising="drop")

    def test_how_expression_is_compared_is_checked_before_files_are_opened(self, tmp_path):
        with pytest.raises(ConfigError, match="transform: Input should be 'log10' or 'none', got 'log2'"):
            open_planted(tmp_path / "nothing", transform="log2")
        with pytest.raises(ConfigError, match="pseudocount: Input should be greater than or equal to 0"):
            open_planted(tmp_path / "nothing", transform="log10", pseudocount=-1.0)

    def test_who_is_left_out_is_told(self, planted, tmp_path):
        lines = (planted.folder / "samples.tsv").read_text().splitlines()
        (tmp_path / "samples.tsv").write_text("\n".join(lines[:-2]))
        with pytest.warns(HapsightWarning, match=r"Left out: 2 sample \(not in the sample sheet\)"):
            fewer = open_planted(planted.folder, samples=tmp_path / "samples.tsv")
        (row,) = fewer.dropped.rows()
        assert row["names"] == ["P058", "P059"]
        assert len(fewer.samples) == 58


class TestPieces:
    def test_haplotypes_are_those_that_the_model_reads(self, cohort, planted):
        model = ToyModel()
        for name in ("up1", "up2"):  # on either strand
            found = hs.haplotypes(cohort, name, model.window)
            d, n = len(found.distinct), len(cohort.samples)
            assert found.distinct.shape == (d, UPSTREAM + DOWNSTREAM)
            assert found.index.shape == (n, 2)
            assert set(found.index.ravel()) == set(range(d))
            assert len({row.tobytes() for row in found.distinct}) == d
            assert found.dosage.shape == (len(found.variants), n)
            window = cohort.reference.fetch(found.found.window.interval)
            assert decode(found.reference) == decode(found.found.oriented(window))

    def test_predict_gives_what_the_run_keeps(self, cohort, run):
        model, kept = ToyModel(), hs.read_run(run).predictions()
        for gene in cohort.genes[:3]:
            predicted = hs.predict(model, hs.haplotypes(cohort, gene, model.window))
            rows = kept.filter(pl.col("gene_id") == gene.gene_id)["value"].to_numpy()
            np.testing.assert_array_equal(predicted.values.astype(np.float32).ravel(), rows[1:])
            np.testing.assert_array_equal(predicted.reference.astype(np.float32), rows[:1])
            np.testing.assert_allclose(predicted.person, predicted.values.mean(axis=1))

    def test_shifts_and_strands_need_no_wider_haplotypes(self, cohort):
        model = ToyModel()
        model.read_outs["mean"] = ReadOut("mean", reverse_complement=True, shifts=(-3, 0, 900))
        found = hs.haplotypes(cohort, "up1", model.window)
        predicted = hs.predict(model, found, read_out="mean")
        wide = hs.haplotypes(cohort, "up1", ModelWindow(UPSTREAM + 900, DOWNSTREAM + 900, oriented=True))
        codes = torch.from_numpy(
            np.concatenate([wide.reference[None], wide.distinct])[wide.index.ravel() + 1]
        )
        parts = [codes[:, 900 + s : 900 + s + UPSTREAM + DOWNSTREAM] for s in (-3, 0, 900)]
        turned = [torch.where(part < 4, 3 - part, part).flip(1) for part in parts]
        slowly = torch.stack([model.predict(part, model.read_out()) for part in parts + turned]).mean(0)
        np.testing.assert_allclose(predicted.values.reshape(-1, 1), slowly.numpy(), rtol=1e-5, atol=1e-4)

    def test_a_mans_chrx_is_one_haplotype(self, tmp_path):
        config = load_config(chrx.write(tmp_path))
        cohort = open_planted(tmp_path, covariates=None, par=config.cohort.par)
        men, model = [chrx.is_man(n) for n in range(chrx.PEOPLE)], ToyModel()
        by_hand = chrx.dosages(tmp_path / "planted.toml")
        for gene in cohort.genes[2:]:  # beyond the PAR
            found = hs.haplotypes(cohort, gene, model.window)
            predicted = hs.predict(model, found)
            first, second = predicted.values[men, :, 0].T
            np.testing.assert_array_equal(first, second)
            np.testing.assert_array_equal(predicted.person[men, 0], first)
            assert len(set(first)) > 1
            assert found.dosage.tolist() == [by_hand[name] for name in found.variants.variant_id]

    def test_another_window_is_refused(self, cohort):
        found = hs.haplotypes(cohort, "up1", ModelWindow(10, 10, oriented=True))
        with pytest.raises(ConfigError, match=r"haplotypes\(cohort, gene, model.window\)"):
            hs.predict(ToyModel(), found)

    def test_correlation_and_null_are_those_of_per_gene(self, cohort, run):
        model, table = ToyModel(), pl.read_parquet(run / "evaluation/per_gene.parquet")
        for gene in cohort.genes[:3]:
            haplotypes = hs.haplotypes(cohort, gene, model.window)
            person = hs.predict(model, haplotypes).person[:, 0]
            observed = cohort.observed(gene)
            found = hs.correlate(person, observed)
            (row,) = table.filter(pl.col("gene_id") == gene.gene_id, pl.col("model") == "toy").to_dicts()
            assert found.r == pytest.approx(row["pearson_r"], abs=1e-6)
            assert found.interval == pytest.approx((row["ci_low"], row["ci_high"]), abs=1e-6)
            assert (found.n, found.status, found.p) == (
                60,
                "ok",
                pytest.approx(row["pval_nominal"], rel=1e-4),
            )
            null = hs.random_weights_null(haplotypes.dosage, observed, draws=499, seed=1, gene=gene)
            assert null.test(found).pval_empirical == row["pval_empirical"]
            other = hs.random_weights_null(haplotypes.dosage, observed, draws=499, seed=1)
            assert other.r.shape == (499,)
            assert not np.array_equal(other.r, null.r)

    def test_no_correlation_has_no_test(self, cohort):
        null = hs.random_weights_null(np.eye(3, 60, dtype=np.uint8), cohort.observed("up1"), draws=99)
        constant = hs.correlate(np.ones(60), cohort.observed("up1"))
        assert (constant.r, constant.interval, constant.p) == (None, None, None)
        with pytest.raises(InputError, match="constant_prediction"):
            null.test(constant)

    def test_the_elastic_net_is_the_runs(self, cohort, run):
        kept, table = hs.read_run(run), pl.read_parquet(run / "evaluation/per_gene.parquet")
        for name in ("up1", "down2", "bare"):
            net = hs.elastic_net(cohort, name, 1_000, inner_folds=3)
            rows = kept.held_out().filter(pl.col("gene_id") == name)
            for column in ("predicted", "observed", "fold"):
                np.testing.assert_array_equal(getattr(net, column), rows[column].to_numpy())
            (row,) = table.filter(pl.col("gene_id") == name, pl.col("model") == "elastic_net").to_dicts()
            assert (net.r, net.p, net.status) == (row["pearson_r"], row["pval_folds"], row["status"])
        with pytest.raises(ConfigError, match="alpha: Input should be less than or equal to 1, got 2"):
            hs.elastic_net(cohort, "up1", alpha=2.0)

    def test_other_linear_methods_take_the_same_folds(self, cohort):
        nets = [
            hs.elastic_net(cohort, "up1", 1_000, inner_folds=3, method=m) for m in ("elastic_net", "blup")
        ]
        np.testing.assert_array_equal(nets[0].fold, nets[1].fold)
        assert not np.array_equal(nets[0].predicted, nets[1].predicted)

    def test_effects_are_the_runs(self, cohort, run):
        kept = hs.read_run(run).effects()
        for name in ("up1", "up2", "bare"):
            found = hs.variant_effects(ToyModel(), cohort, name)
            assert_frame_equal(found, kept.filter(pl.col("gene_id") == name), abs_tol=1e-5)
        some = hs.variant_effects(ToyModel(), cohort, "up1", backgrounds=2)
        assert some["n_backgrounds"].max() <= 2


class TestEvaluate:
    def test_rows_are_those_of_the_run(self, cohort, run):
        # the planted run fits with three inner folds, so only its models are compared here
        table = pl.read_parquet(run / "evaluation/per_gene.parquet").filter(pl.col("model") == "toy")
        assert_frame_equal(hs.evaluate(cohort, [ToyModel()], null_draws=499, batch_size=8), table)

    def test_of_some_genes_with_a_linear_method(self, cohort):
        seen: list[tuple[str, int, int]] = []
        found = hs.evaluate(
            cohort, [ToyModel(), "top_snp"], ["up2", cohort.genes[0]], cis_window=1_000, null_draws=99,
            permutations=99, progress=lambda *step: seen.append(step),
        )  # fmt: skip
        assert found.select("gene_id", "model").rows() == [
            ("up1", "toy"), ("up2", "toy"), ("up1", "top_snp"), ("up2", "top_snp")
        ]  # fmt: skip
        assert found["null_draws"].unique().to_list() == [99]
        assert {label for label, _, _ in seen} >= {"predict toy", "baseline top_snp"}

    def test_what_could_not_be_told_apart_is_refused(self, cohort):
        with pytest.raises(ConfigError, match="set `name` of one of them"):
            hs.evaluate(cohort, [ToyModel(), ToyModel(seed=1)])
        with pytest.raises(ConfigError, match="1 for 2 models"):
            hs.evaluate(cohort, [ToyModel(), ToyModel(seed=1)], read_outs=["default"])
        with pytest.raises(ConfigError, match=r"no linear method 'ridge'\.\s+expected: elastic_net, lasso"):
            hs.evaluate(cohort, ["ridge"])

    def test_one_model_and_one_gene_need_no_list(self, cohort):
        found = hs.evaluate(cohort, ToyModel(), "up1", null_draws=99, permutations=99)
        assert_frame_equal(found, hs.evaluate(cohort, [ToyModel()], ["up1"], null_draws=99, permutations=99))

    def test_another_kind_of_thing_is_told_with_what_to_give(self, cohort):
        network, window = torch.nn.Linear(80, 1), ToyModel().window
        for call, expected, fix in (
            (lambda: hs.evaluate(cohort, [network]), "expected: SequenceModel", "TorchModel"),
            (lambda: hs.evaluate(cohort, ["toy"]), "expected: elastic_net", "load_model"),
            (
                lambda: hs.predict(network, hs.haplotypes(cohort, "up1", window)),
                "SequenceModel",
                "TorchModel",
            ),
            (lambda: hs.predict(ToyModel(), "up1"), "got: up1", r"haplotypes\(cohort"),
            (lambda: hs.haplotypes(cohort, "up1", 20), "expected: ModelWindow", "model.window"),
        ):
            with pytest.raises(ConfigError, match=rf"(?s){expected}.*to mend: .*{fix}"):
                call()

    def test_a_models_fault_names_it_and_the_gene(self, cohort):
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 1))
        model = TorchModel(network, "wild", upstream=10, downstream=10)
        with torch.no_grad():
            network[1].bias.fill_(torch.nan)
        with pytest.raises(ModelError, match=r"model wild, gene up1"):
            hs.predict(model, hs.haplotypes(cohort, "up1", model.window))
