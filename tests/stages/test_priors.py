"""Priors through the chain: each with and without, beside its control, in all three places it can enter."""

import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from hapsight.cli.linear import _add_priors
from hapsight.dna import encode
from hapsight.errors import ConfigError, IncompleteError, InputError
from hapsight.explain.motifs import Motif
from hapsight.priors.ablation import PRIOR_ABLATION, PRIOR_GENES
from hapsight.priors.signs import (
    PRIOR_SCORES,
    PRIOR_SIGNS,
    SIGNS_LEARNED,
    SIGNS_OF_REGULONS,
    read_sign_priors,
)
from hapsight.run.config import load_config
from hapsight.run.opened import Opened
from hapsight.stages import priors as stage
from hapsight.stages.priors import priors
from tests.planted import GENES, quiet, write_planted

pytest.importorskip("memelite")

SECTION = """
[priors]
regulons = "regulons.tsv"
max_p = 1.0
leave_out = 3000
motif_threshold = 0.02
method = "top_snp"
shuffles = 2
[[priors.effects]]
label = "toy"
path = "effects.parquet"
[[priors.gene_covariates]]
label = "half-life"
path = "half_life.tsv"
[[priors.person_covariates]]
label = "personal half-life"
path = "persons.tsv"
[eqtl]
permutations = 99
cis_window = 1000
"""


def motif(name, site, tf_class):
    probability = np.full((4, len(site)), 0.01)
    probability[encode(site), np.arange(len(site))] = 0.97
    return Motif(name, name, probability, tf_class)


MOTIFS = (motif("ONE", "ACGT", "a"), motif("TWO", "GGCA", "b"), motif("ONE::TWO", "TTTA", "b"))


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    made = write_planted(tmp_path_factory.mktemp("priors"), people=60)
    text = made.config.read_text().replace('[[models]]\nname = "toy"\n', "")
    made.config.write_text(text.replace("cis_window = 1000", "cis_window = 500", 1) + SECTION)
    opened = Opened.from_config(load_config(made.config))
    rng, effects = np.random.default_rng(3), []
    for gene in made.genes:
        near, _ = opened.cohort.genotypes.read(gene.cis(400))
        for position, ref, alt in zip(near.position.tolist(), near.ref, near.alt, strict=True):
            effects.append((gene.gene_id, position, ref, alt, float(rng.standard_normal())))
    names = ["gene_id", "position", "ref", "alt", "effect"]
    pl.DataFrame(effects, schema=names, orient="row").write_parquet(made.folder / "effects.parquet")
    targets = [(r, gene.upper()) for r in ("ONE", "TWO") for gene in GENES[:6]]
    lines = [f"{regulator}\t{gene}\t{1 if regulator == 'ONE' else -1}" for regulator, gene in targets]
    (made.folder / "regulons.tsv").write_text(
        "\n".join(["source\ttarget\tweight", *lines, "ONE\tELSEWHERE\t1"])
    )
    lines = [f"{gene}\t{i * i}" for i, gene in enumerate(GENES[:6])]
    (made.folder / "half_life.tsv").write_text("\n".join(["gene_id\tutr", *lines]))
    values = dict(zip(GENES, opened.cohort.expression.values, strict=True))
    rows = [
        (gene, sample, float(value))
        for gene in ("up1", "null1")
        for sample, value in zip(
            opened.cohort.samples,
            values[gene] + 0.5 * values[gene].std() * rng.standard_normal(60),
            strict=True,
        )
    ]
    names = ["gene_id", "sample_id", "value"]
    pl.DataFrame(rows, schema=names, orient="row").write_csv(made.folder / "persons.tsv", separator="\t")
    rows = [(gene, "toy", "default", float(i), float(i % 3)) for i, gene in enumerate(GENES)]
    columns = ["gene_id", "model", "read_out", "predicted_reference", "mean_expression"]
    evaluated = opened.folder.path / "evaluation"
    evaluated.mkdir(parents=True)
    pl.DataFrame(rows, schema=columns, orient="row").write_parquet(evaluated / "across_genes.parquet")
    return made


@pytest.fixture(scope="module")
def done(planted):
    patch = pytest.MonkeyPatch()
    patch.setattr(stage, "configured_motifs", lambda wanted: MOTIFS if wanted is None else ())
    opened = Opened.from_config(load_config(planted.config))
    opened.begin()
    yield opened, priors(opened, quiet)
    patch.undo()


def test_every_prior_is_beside_its_control_where_it_enters(done):
    opened, found = done
    where = set(found.ablation.select("prior", "level", "enters", "beside").rows())
    learned, given = "motifs, signs learned", "motifs, signs of regulons"
    assert where == {
        ("half-life", "gene", "across genes", "toy, default"),
        *(
            (prior, "variant", "sign of an eQTL", beside)
            for prior in (learned, given)
            for beside in ("a coin", "ISM of toy")
        ),
        *((prior, "variant", "linear combination", "top_snp") for prior in (learned, given)),
        ("activity of regulators", "person", "linear combination", "top_snp"),
        ("personal half-life", "person", "linear combination", "top_snp"),
    }
    assert dict(found.ablation.schema) == PRIOR_ABLATION
    assert dict(found.per_gene.schema) == PRIOR_GENES
    assert dict(found.signs.schema) == PRIOR_SIGNS
    for name in ("ablation", "per_gene", "signs", "dropped"):
        assert (opened.folder.path / f"priors/{name}.parquet").exists()


def test_the_ablation_is_the_mean_of_the_genes_that_have_the_prior(done):
    _, found = done
    for row in found.ablation.filter(pl.col("enters") == "linear combination").iter_rows(named=True):
        mine = found.per_gene.filter(pl.col("prior") == row["prior"], pl.col("has_prior"))
        assert row["n"] == len(mine)
        if len(mine):
            assert row["gain"] == pytest.approx((mine["with_r"] - mine["without_r"]).mean())
            assert row["over_shuffled"] == pytest.approx((mine["with_r"] - mine["shuffled_r"]).mean())
    silent = found.per_gene.filter(~pl.col("has_prior"))
    assert (silent["with_r"] == silent["without_r"]).all()
    assert "bare" in silent["gene_id"].to_list()


def test_signs_stand_beside_the_effects_of_the_model(done):
    _, found = done
    toy = found.signs.filter(pl.col("variants") == "toy")
    ism = found.ablation.row(
        by_predicate=(pl.col("beside") == "ISM of toy") & (pl.col("prior") == "motifs, signs learned"),
        named=True,
    )
    agree = (toy["effect"].sign() == toy["slope"].sign()).mean()
    assert ism["without"] == pytest.approx(agree)
    assert ism["n"] == len(toy)
    cis = found.signs.filter(pl.col("variants") == "cis")
    assert cis["effect"].null_count() == len(cis)
    changed = found.signs.filter(pl.col("n_motifs") > 0)
    assert len(changed)
    assert changed["motif_name"].null_count() == 0
    one = changed.filter(pl.col("n_motifs") == 1, pl.col("motif_name") == "ONE")
    np.testing.assert_allclose(one["regulon_bits"], one["motif_bits"])
    two = changed.filter(pl.col("n_motifs") == 1, pl.col("motif_name") == "TWO")
    np.testing.assert_allclose(two["regulon_bits"], -two["motif_bits"])
    assert len(one) + len(two)


def test_numbers_of_persons_help_where_they_know_something(done):
    _, found = done
    rows = found.per_gene.filter(pl.col("prior") == "personal half-life")
    assert rows.filter("has_prior")["gene_id"].to_list() == ["up1", "null1"]
    null = rows.row(by_predicate=pl.col("gene_id") == "null1", named=True)
    assert null["with_r"] > max(null["without_r"], null["shuffled_r"]) + 0.1
    silent = rows.filter(~pl.col("has_prior"))
    assert (silent["with_r"] == silent["without_r"]).all()


def test_scores_of_variants_are_written_as_others_read_them(done):
    opened, _ = done
    for name, prior in (("learned", SIGNS_LEARNED), ("regulons", SIGNS_OF_REGULONS)):
        path = opened.folder.path / f"priors/scores.{name}.parquet"
        table = pl.read_parquet(path)
        assert dict(table.schema) == PRIOR_SCORES
        assert table.select("gene_id", "variant_id").n_unique() == len(table) > 0
        found = read_sign_priors(path)
        assert found.names == (prior,)
        gene = opened.cohort.genes[0]
        near, _ = opened.cohort.genotypes.read(gene.cis(200))
        own = table.filter(pl.col("gene_id") == gene.gene_id)
        scores = {row[:3]: row[3] for row in own.select("position", "ref", "alt", "score").iter_rows()}
        keys = zip(near.position.tolist(), near.ref, near.alt, strict=True)
        np.testing.assert_array_equal(found.on(gene.gene_id, near), [scores.get(key, 0.0) for key in keys])


def test_what_was_left_out_is_named(done):
    opened, found = done
    dropped = pl.read_parquet(opened.folder.path / "priors/dropped.parquet")
    assert "ELSEWHERE" in dropped.filter(pl.col("kind") == "target")["name"].to_list()
    assert dropped.filter(pl.col("reason") == "not in half-life")["name"].to_list() == ["bare"]
    assert found.ablation.filter(pl.col("prior") == "half-life")["n"].to_list() == [6]


def test_finished_units_are_kept_and_the_command_shows_the_table(done, planted):
    opened, found = done
    blocks = sorted(opened.folder.path.glob("priors/linear/*.parquet"))
    before = [path.stat().st_mtime_ns for path in blocks]
    app = typer.Typer()
    app.callback()(lambda: None)
    _add_priors(app)
    out = CliRunner().invoke(app, ["priors", str(planted.config)])
    assert out.exit_code == 0, out.output
    assert "activity of regulators" in out.output
    assert "over shuffled" in out.output
    assert [path.stat().st_mtime_ns for path in blocks] == before
    assert pl.read_parquet(opened.folder.path / "priors/ablation.parquet").equals(found.ablation)


def changed(planted, name, *replacements):
    text = planted.config.read_text()
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    path = planted.folder / f"{name}.toml"
    path.write_text(text)
    return Opened.from_config(load_config(path))


def test_a_run_without_priors_is_refused(planted):
    path = planted.folder / "none.toml"
    path.write_text(planted.config.read_text().split("[priors]")[0] + "[priors]\nmotifs = false\n")
    with pytest.raises(ConfigError, match=r"No prior is configured[\s\S]*person_covariates or half_life"):
        priors(Opened.from_config(load_config(path)), quiet)


def test_covariates_of_genes_need_an_evaluation(planted, tmp_path):
    opened = changed(planted, "new", ('output = "run"', f'output = "{tmp_path}/new"'))
    with pytest.raises(IncompleteError, match=r"No prediction across genes[\s\S]*hapsight evaluate"):
        priors(opened, quiet)


def test_no_eqtl_is_said_with_the_way_to_mend_it(done, planted):
    opened = changed(planted, "strict", ("max_p = 1.0", "max_p = 1e-300"))
    with pytest.raises(InputError, match=r"No gene has an eQTL[\s\S]*p <= 1e-300[\s\S]*raise `max_p`"):
        priors(opened, quiet)


def test_effects_without_their_columns_are_refused(done, planted):
    pl.DataFrame({"gene_id": ["up1"], "effect": [1.0]}).write_parquet(planted.folder / "bad.parquet")
    opened = changed(planted, "bad", ("effects.parquet", "bad.parquet"))
    with pytest.raises(InputError, match=r"lacks columns[\s\S]*alleles ref, alt[\s\S]*got: gene_id, effect"):
        priors(opened, quiet)


def test_labels_mean_one_thing(planted):
    with pytest.raises(ConfigError, match="'toy' comes twice among labels"):
        changed(
            planted,
            "twice",
            ("[[priors.gene", '[[priors.effects]]\nlabel = "toy"\npath = "x"\n[[priors.gene'),
        )


def six_features(planted):
    """A table of six features for every gene."""
    names = "\t".join(f"f{i}" for i in range(6))
    rows = [f"{gene}\t" + "\t".join(str(i * k % 5) for k in range(6)) for i, gene in enumerate(GENES)]
    (planted.folder / "six.tsv").write_text("\n".join([f"gene_id\t{names}", *rows]))
    return ("[priors]\n", '[priors]\nhalf_life = "six.tsv"\n')


def test_half_lives_need_six_features_and_a_model_that_takes_them(done, planted):
    given = ("[priors]\n", '[priors]\nhalf_life = "half_life.tsv"\n')
    with pytest.raises(InputError, match=r"six half-life features[\s\S]*and 6 columns[\s\S]*got: 1 columns"):
        priors(changed(planted, "one", given), quiet)
    given = six_features(planted)
    with pytest.raises(ConfigError, match=r"need a model that takes[\s\S]*an xpresso[\s\S]*got: no model"):
        priors(changed(planted, "six", given), quiet)


def test_half_lives_go_into_xpresso(done, planted, tmp_path):
    from hapsight.models.xpresso import Xpresso, XpressoNet, save_safetensors

    save_safetensors(Xpresso("x", XpressoNet(), cell_type="none"), planted.folder / "random.safetensors")
    path = done[0].folder.path / "evaluation/across_genes.parquet"
    table = pl.read_parquet(path).filter(pl.col("model") == "toy")
    (tmp_path / "evaluation").mkdir()
    both = table.vstack(table.with_columns(model=pl.lit("xpresso/random")))
    both.write_parquet(tmp_path / "evaluation/across_genes.parquet")
    model = '[[models]]\nname = "xpresso"\nweights = "random.safetensors"\n[eqtl]'
    own = ('output = "run"', f'output = "{tmp_path}"')
    opened = changed(planted, "xpresso", six_features(planted), ("[eqtl]", model), own)
    opened.begin()
    found = priors(opened, quiet).ablation.filter(pl.col("enters") == "input of the model")
    assert found.select("prior", "beside", "n").rows() == [("half-life", "xpresso/random", 7)]
    assert found["alone"].null_count() == 1
    assert -1 <= found["with_prior"][0] <= 1
    assert found["over_shuffled"][0] == pytest.approx(found["with_prior"][0] - found["shuffled"][0])
