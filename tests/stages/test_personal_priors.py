"""Priors in training on people, from a configuration: arms with, without and with the control."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
import typer
from typer.testing import CliRunner

from hapsight.cli.train import _add_train_personal
from hapsight.errors import ConfigError
from hapsight.models.registry import register as register_model
from hapsight.priors.signs import SIGNS_LEARNED
from hapsight.report.training import four_cells
from hapsight.run.config import load_config
from hapsight.run.opened import Opened
from hapsight.stages.personal_data import activity_explains, personal_data, prior_key, toggled_variants
from hapsight.stages.predict import load_models
from hapsight.train.priors import toggle
from hapsight.train.tables import CELLS, TRAIN_PER_GENE
from tests.planted import DOWNSTREAM, UPSTREAM, ToyModel, write_planted
from tests.train.toy_personal import load_trainable

NAMES = ("up1", "up2", "up3", "up4", "up5", "up6", "down1", "down2", "null1")
PRIORS = ("", "sign", "sign_shuffled", "activity", "activity_shuffled")
SECTION = """
[priors]
regulons = "regulons.tsv"
leave_out = 6000
[train]
seeds = 4
block = 5000
unseen_share = 0.2
people_per_batch = 8
accumulate = 3
max_steps = 6
learning_rate = 0.02
validate_every = 6
baselines = []
sign_priors = "signs.tsv"
sign_weight = 1.0
"""


def command(*words: str):
    app = typer.Typer()
    app.callback()(lambda: None)
    _add_train_personal(app)
    return CliRunner().invoke(app, list(words), catch_exceptions=True)


def write_signs(made) -> None:
    """Of every variant near a gene, its effect on expression: the toy model's, times the gene's sign."""
    from hapsight.sequence.haplotypes import Window

    opened, model, rows = Opened.from_config(load_config(made.config)), ToyModel(), []
    for gene in opened.cohort.genes:
        window = Window.around(gene, UPSTREAM, DOWNSTREAM, oriented=True)
        near, _ = opened.cohort.genotypes.read(window.interval)
        found = toggle(window, near, np.ones(len(near)), opened.cohort.reference.fetch)
        values = model.predict(torch.from_numpy(found.codes), model.read_out())[:, 0].numpy()
        effect = (values[found.rows] - values[found.reference]) * (-1 if gene.gene_id[0] == "d" else 1)
        places = zip(near.position.tolist(), near.ref, near.alt, effect.tolist(), strict=True)
        rows += [(gene.gene_id, gene.contig, *place) for place in places if gene.gene_id != "null1"]
    names = ["gene_id", "contig", "position", "ref", "alt", "score"]
    pl.DataFrame(rows, schema=names, orient="row").write_csv(made.folder / "signs.tsv", separator="\t")


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    made = write_planted(tmp_path_factory.mktemp("priors"), people=60, names=NAMES)
    arms = ", ".join(f'{{ mode = "frozen", loss = "pairwise_mse", prior = "{prior}" }}' for prior in PRIORS)
    made.config.write_text(made.config.read_text() + SECTION + f"arms = [{arms}]\n")
    pairs = [(f"R{i % 2}", name.upper()) for i, name in enumerate(NAMES)]
    lines = [f"{regulator}\t{gene}\t{1 if gene.startswith('UP') else -1}" for regulator, gene in pairs]
    (made.folder / "regulons.tsv").write_text("\n".join(["source\ttarget\tweight", *lines]))
    write_signs(made)
    with register_model("toy", load_trainable):
        found = command("grid", str(made.config))
        assert found.exit_code == 0, found.output
        yield made, found.output


def data_of(made, **section):
    opened = Opened.from_config(load_config(made.config))
    train = opened.config.train.model_copy(update=section)
    opened = replace(opened, config=opened.config.model_copy(update={"train": train}))
    return personal_data(opened, load_models(opened)[0], None, None)


def test_every_arm_is_in_the_table_with_its_prior(planted):
    made, output = planted
    genes = pl.read_parquet(made.folder / "run/train/grid_per_gene.parquet")
    assert dict(genes.schema) == TRAIN_PER_GENE
    assert tuple(genes["prior"].unique(maintain_order=True)) == PRIORS
    sizes = genes.group_by("prior").agg(pl.col("gene_id").n_unique(), pl.col("n").sum())
    assert sizes.select("gene_id", "n").n_unique() == 1  # the same split
    labels = set(four_cells(made.folder / "run")["label"])
    assert {"frozen, pairwise_mse", "frozen, pairwise_mse, shuffled sign prior"} <= labels
    assert "activity prior" in " ".join(output.split())


def test_a_prior_that_knows_the_signs_is_over_its_control(planted):
    """Means of four trainings. From first seeds 0 to 4, "sign" was .10 to .38 over its control."""
    made, _ = planted
    summary = pl.read_parquet(made.folder / "run/train/grid_summary.parquet").filter(
        pl.col("cell") == CELLS[1], pl.col("quantity") == "across_people_pearson_mean"
    )
    r = dict(summary.select("prior", "value").iter_rows())
    assert r["sign"] > r["sign_shuffled"] + 0.2, r
    assert r["sign"] > r[""], r


def test_the_control_has_the_same_variants_with_other_signs(planted):
    data = data_of(planted[0])
    own, control = (toggled_variants(data, prior) for prior in ("sign", "sign_shuffled"))
    differ = []
    for gene in ("up1", "up2", "down1"):
        one, other = own(gene), control(gene)
        np.testing.assert_array_equal(one.codes, other.codes)
        np.testing.assert_allclose(np.abs(one.score), np.abs(other.score))
        differ += list(one.score != other.score)
    assert 0.2 < np.mean(differ) < 0.8
    assert own("null1") is None
    assert toggled_variants(data, "") is toggled_variants(data, "activity") is None


def test_activities_are_of_seen_genes_and_judged_people_change_nothing(planted):
    made, _ = planted
    data = data_of(made)
    found = activity_explains(data, "activity")
    assert found.shape == data.targets.residual.shape
    assert found.any()
    assert activity_explains(data, "sign") is None
    assert not np.array_equal(found, activity_explains(data, "activity_shuffled"))
    other = data_of(made)
    unseen = [g.gene_id in other.split.unseen_genes for g in other.opened.cohort.genes]
    assert any(unseen)
    values = other.opened.cohort.expression.values
    values[:, ~other.trained_on] = values[:, ~other.trained_on][:, ::-1]  # people who are not trained on
    values[unseen] = 5.0 + np.random.default_rng(1).standard_normal(values[unseen].shape)
    again = activity_explains(other, "activity")
    np.testing.assert_allclose(again[:, other.trained_on], found[:, data.trained_on], atol=1e-12)


def test_the_key_of_an_arm_follows_its_prior(planted):
    made, _ = planted
    data = data_of(made)
    keys = [prior_key(data, prior) for prior in PRIORS]
    assert keys[0] is None
    assert keys[1] == keys[2] == prior_key(data, "sign")
    assert set(keys[3]) == {"regulons", "leave_out"}
    assert prior_key(data_of(made, sign_weight=0.5), "sign") != keys[1]
    assert prior_key(data_of(made, sign_weight=0.5), "activity") == keys[3]


def test_errors(planted):
    made, _ = planted
    learned = made.folder / "learned.parquet"
    table = pl.read_csv(made.folder / "signs.tsv", separator="\t").with_columns(prior=pl.lit(SIGNS_LEARNED))
    table.write_parquet(learned)
    with pytest.raises(ConfigError, match=r"learned from people and genes(.|\n)*motifs, signs learned"):
        toggled_variants(data_of(made, sign_priors=learned), "sign")
    text = made.config.read_text()
    made.config.write_text(text.replace('regulons = "regulons.tsv"', ""))
    try:
        with pytest.raises(ConfigError, match=r"needs regulons(.|\n)*\[priors\] regulons"):
            activity_explains(data_of(made), "activity")
    finally:
        made.config.write_text(text)
    wrong = command("personal", str(made.config), "--prior", "magic").exception
    assert isinstance(wrong, ConfigError)
    level = ("--prior", "activity", "--loss", "mean_plus_difference")
    assert "needs a loss on z-scores" in str(command("personal", str(made.config), *level).exception)
    nothing = ("--prior", "sign", "--mode", "untouched")
    assert "nothing is learnt" in str(command("personal", str(made.config), *nothing).exception)
    made.config.write_text(text.replace('sign_priors = "signs.tsv"', ""))
    try:
        with pytest.raises(ConfigError, match="prior 'sign', and sign_priors names no table"):
            load_config(made.config)
    finally:
        made.config.write_text(text)
