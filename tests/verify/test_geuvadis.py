"""The whole real cohort through the command line: what is expected of Xpresso and of the elastic net."""

import json
import os
import subprocess
import sys

import polars as pl
import pytest

CONFIG = """
name = "Geuvadis chr22"
output = "run"
[cohort]
genotypes = "{data}/genotypes.vcf.gz"
reference = "{data}/chr22.fa.gz"
expression = "{data}/expression.bed.gz"
genes = "{data}/genes.tsv"
covariates = "{data}/covariates.tsv"
samples = "{data}/samples.tsv"
[[models]]
name = "xpresso"
weights = "GM12878"
"""


@pytest.mark.verify
def test_the_whole_cohort(shared_data, tmp_path):
    config = tmp_path / "geuvadis.toml"
    config.write_text(CONFIG.format(data=shared_data / "geuvadis_chr22"))
    environment = {**os.environ, "HAPSIGHT_WEIGHTS": str(shared_data / "xpresso")}
    subprocess.run([sys.executable, "-m", "hapsight", "run", config], check=True, env=environment)
    summary = pl.read_parquet(tmp_path / "run/evaluation/summary.parquet")
    found = {(row["model"], row["quantity"]): row for row in summary.iter_rows(named=True)}
    model, baseline = "xpresso/GM12878", "elastic_net"
    assert found[model, "across_genes_spearman"]["n"] == 499
    assert found[model, "across_genes_spearman"]["value"] == pytest.approx(0.346, abs=0.002)
    assert found[model, "across_people_pearson_mean"]["value"] == pytest.approx(0.00795, abs=0.0006)
    assert found[model, "share_negative"]["value"] == pytest.approx(0.502, abs=0.001)
    assert found[model, "genes_constant"]["value"] == 3
    assert found[baseline, "across_people_pearson_mean"]["value"] == pytest.approx(0.14685, abs=0.001)
    assert found[baseline, "across_people_pearson_mean"]["n"] == pytest.approx(482, abs=2)
    assert found[baseline, "share_negative"]["value"] == pytest.approx(0.241, abs=0.005)  # two genes
    assert found[baseline, "significant_negative_share"]["value"] == 0
    stages = {stage["name"]: stage for stage in json.loads((tmp_path / "run/run.json").read_text())["stages"]}
    assert stages["predict xpresso/GM12878 (default)"]["seconds"] < 120
    assert stages["baseline elastic_net"]["seconds"] < 25 * 60
    assert all(s["peak_mb"] + 2 * s["largest_worker_mb"] < 4096 for s in stages.values())
