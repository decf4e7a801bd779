"""Every key of the configuration is in some unit's key, or on the list of those that need not be."""

import typing
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl
import pydantic
import pytest

from hapsight.cohort.nouns import Dropped
from hapsight.models.registry import register
from hapsight.priors.regulons import read_regulons
from hapsight.run.arms import arms_of, cards_in
from hapsight.run.baselines import BaselineRun, baseline_runs, baseline_units, imported_runs, imported_units
from hapsight.run.config import Config, ModelConfig, load_config
from hapsight.run.opened import CHANGE_NOTHING, TABLES_ONLY, Opened, differing
from hapsight.stages.direction import direction_units
from hapsight.stages.driver_units import Beside, drivers_units
from hapsight.stages.eqtl import _keys as eqtl_keys
from hapsight.stages.evaluate import arms_alike, evaluate_units
from hapsight.stages.explain import _keys as explain_keys
from hapsight.stages.informed_evidence import evidence_sets, open_features, open_signed
from hapsight.stages.informed_units import fit_units, learn_units
from hapsight.stages.personal import _chosen, _key, trainings
from hapsight.stages.personal_data import personal_data
from hapsight.stages.predict import load_models
from hapsight.stages.prior_ablations import _keys as prior_keys
from hapsight.stages.priors import _person_values
from hapsight.stages.saturation import _key as saturation_key
from hapsight.stages.saturation import tss_centre
from hapsight.stages.valued_units import _gradient_key as gradient_key
from tests.planted import write_planted
from tests.train.toy_personal import load_trainable

pyBigWig = pytest.importorskip("pyBigWig")  # noqa: N816

SECTIONS = """
[[baseline.imported]]
label = "theirs"
path = "theirs.db"
[[informed.tracks]]
label = "open"
paths = ["open.bw"]
[[informed.effects]]
label = "effects"
path = "effects.parquet"
[[informed.signed]]
label = "signs"
path = "effects.parquet"
[[priors.person_covariates]]
label = "persons"
path = "persons.tsv"
[priors]
regulons = "regulons.tsv"
[explain]
saturation = [-20, 20]
gradients = true
[train]
block = 5000
sign_priors = "signs.tsv"
arms = [{ mode = "full", loss = "mse", prior = "sign" }, { mode = "full", loss = "mse", prior = "activity" }]
"""


GENES = ("up1", "up2", "down1", "null1")


def leaves(model, prefix=""):
    """Dotted name and type of every key, of lists of sections those of the section."""
    for name, field in model.model_fields.items():
        kinds = [field.annotation, *typing.get_args(field.annotation)]
        kinds += chain.from_iterable(typing.get_args(kind) for kind in list(kinds))
        sections = [k for k in kinds if isinstance(k, type) and issubclass(k, pydantic.BaseModel)]
        if sections:
            yield from leaves(sections[0], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


KEYS = tuple(leaves(Config))

BY_HAND = {
    "cohort.keep_genes": ("up1", "up2", "down1"),
    "cohort.regions": ("chr1:1-30,000",),
    "cohort.populations": ("CEU",),
    "cohort.variants": "snv",
    "cohort.missing": "drop",
    "cohort.unphased": "drop",
    "cohort.ref_mismatch": "drop",
    "cohort.duplicates": "first",
    "cohort.ploidy_conflict": "missing",
    "cohort.par": ((10_001, 2_781_479), (155_701_383, 156_030_895)),
    "cohort.chrx_dosage": 1,
    "expression.transform": "log10",
    "expression.permuted": 3,
    "models.weights": "other.safetensors",
    "models.label": "other",
    "models.read_out": "ensemble",
    "models.options": {"seed": 1},
    "models.name": "toy2",
    "predict.device": "cuda",
    "predict.precision": "bfloat16",
    "informed.method": "elastic_net",
    "informed.learning_genes": 3,
    "cluster.resources": {"GPU": 1.0},
    "priors.method": "lasso",
    "eqtl.permutations": 500,
    "explain.backgrounds": 2,
    "explain.saturation": (-10, 10),
    "explain.tracks": "bedgraph",
    "train.arms.mode": "frozen",
    "train.arms.loss": "pairwise_mse",
    "train.arms.init": "random",
    "train.arms.prior": "",
    "train.population": "CEU",
    "train.held_out": ("chr1:1-8000",),
    "train.block": 8000,
    "train.shifts": (0, 1),
    "train.test_share": 0.3,
    "train.unseen_share": 0.5,
}
"""Other values that the rule below would not find."""


OF_EFFECTS = {
    "table": "other.tsv",
    "gene": "other_gene",
    "within": 100,
    "value": "z",
    "tracks": ("liver",),
    "where": {"kind": "mine"},
}
"""Other values of keys that only a table of effects has."""


def another(value):
    """A value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 0.75 or 0.125
    return {None: 3, "": "other"}.get(value, f"{value}x")


def changed(config, key, files):
    """The configuration with another value of one key; of lists of sections, in the first."""
    *sections, last = key.split(".")
    parts = [config]
    for name in sections:
        part = getattr(parts[-1], name)
        parts.append(part[0] if isinstance(part, tuple) else part)
    value = getattr(parts[-1], last)
    if key in BY_HAND:
        value = BY_HAND[key]
    elif isinstance(value, Path):
        value = files / value.name
    elif isinstance(value, tuple) and value and isinstance(value[0], Path):
        value = tuple(files / path.name for path in value)
    else:
        value = another(value)
    if key == "models.weights":
        value = str(files / value)
    found = parts[-1].model_copy(update={last: value})
    for part, name in zip(reversed(parts[:-1]), reversed(sections), strict=True):
        old = getattr(part, name)
        found = part.model_copy(update={name: (found, *old[1:]) if isinstance(old, tuple) else found})
    return found


def of_models(opened, runs):
    genes = opened.cohort.genes
    for run in runs:
        yield from run.gene_keys(opened, genes).values()
        yield from explain_keys(opened, run, genes).values()
        yield saturation_key(opened, run, genes[0], tss_centre(run, genes[0]))
        yield gradient_key(opened, run, genes[0])


def of_effects(opened, files, **keys):
    """Of a table of effects, which lies beside the other cohort's files."""
    model = ModelConfig(name="effects", table=files / keys.pop("table", "given.tsv"), **keys)
    own = replace(opened, config=opened.config.model_copy(update={"models": (model,)}))
    (run,) = load_models(own)
    for key in (run.gene_keys(own, own.cohort.genes), explain_keys(own, run, own.cohort.genes)):
        yield from key.values()


def of_linear(opened, runs):
    for baseline in baseline_runs(opened):
        yield from (unit.key for unit in baseline_units(opened, baseline))
    for imported in imported_runs(opened):
        yield from (unit.key for unit in imported_units(opened, imported))
    yield from eqtl_keys(opened).values()


def of_informed(opened, runs):
    every, asked = evidence_sets(opened.config.informed), (opened.config.informed, opened.cohort.genes)
    features, signed = (
        find(*asked, opened.cohort.reference.contigs) for find in (open_features, open_signed)
    )
    yield from (unit.base.key for unit in learn_units(opened, every, features, signed))
    full = next(arm for arm in every if arm.name == "all")
    shapes = pl.DataFrame(
        {"fold": 0, "stretch": None, "feature": list(full.features), "theta": 1.0},
        schema_overrides={"stretch": pl.Int64},
    )
    yield from (unit.base.key for unit in fit_units(opened, full, features, signed, shapes))


def of_priors(opened, runs):
    config = opened.config.priors
    run = BaselineRun(config.method, "random", "", "priors")
    regulons, _ = read_regulons(config.regulons, opened.cohort.genes)
    yield from prior_keys(opened, run, {}, _person_values(opened, Dropped()), regulons).values()


def of_evaluation(opened, runs):
    arms = arms_of(opened, runs)
    for own in arms_alike(arms):
        yield from (unit.key for unit in evaluate_units(opened, own))
    yield from (unit.base.key for unit in direction_units(opened, arms))
    beside = Beside(None, None, None)
    for card, own in cards_in(arms).items():
        yield from (unit.base.key for unit in drivers_units(opened, card, own, beside))


def of_training(opened, runs):
    model = _chosen(opened, runs)
    data = personal_data(opened, model, None, None)
    yield from (_key(data, arm) for arm in trainings(opened, model.label, opened.config.train.arms))


STAGES = {
    "evaluate": of_evaluation,
    "informed": of_informed,
    "priors": of_priors,
    "train": of_training,
    "": of_models,
    "baseline": of_linear,
}


def unit_keys(opened, runs, section=""):
    """The keys of the parts of all units that there could be, those of a section first."""
    first = STAGES.get(section, of_models)
    for stage in (first, *(stage for stage in STAGES.values() if stage is not first)):
        for key in stage(opened, runs):
            yield from key.split(".")


def write_files(folder, seed):
    """What the configuration names beside the cohort's files."""
    rng = np.random.default_rng(seed)
    with pyBigWig.open(str(folder / "open.bw"), "w") as file:
        file.addHeader([("chr1", 60_000)])
        file.addEntries("chr1", 0, values=rng.exponential(size=60_000).tolist(), span=1, step=1)
    effects = [("up1", 3_000 + seed, "A", "C", 0.5)]
    names = ["gene_id", "position", "ref", "alt", "effect"]
    pl.DataFrame(effects, schema=names, orient="row").write_parquet(folder / "effects.parquet")
    rows = [("up1", f"S{i:03d}", float(rng.standard_normal())) for i in range(40)]
    samples = [line.split("\t")[0] for line in (folder / "samples.tsv").read_text().splitlines()[1:]]
    rows = [("up1", sample, value) for sample, (_, _, value) in zip(samples, rows, strict=True)]
    pl.DataFrame(rows, schema=["gene_id", "sample_id", "value"], orient="row").write_csv(
        folder / "persons.tsv", separator="\t"
    )
    weight = -1 if seed else 1
    (folder / "regulons.tsv").write_text(f"source\ttarget\tweight\nONE\tUP1\t{weight}\nTWO\tUP2\t1\n")
    (folder / "theirs.db").write_text(f"gene_id\tvariant_id\tweight\nup1\tchr1_3010_A_C\t{seed + 1}\n")
    (folder / "signs.tsv").write_text(f"gene_id\tscore\t{seed}\n")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    made = write_planted(tmp_path_factory.mktemp("keys"), people=40, seed=1, names=GENES)
    other = write_planted(tmp_path_factory.mktemp("other"), people=40, seed=2, names=GENES)
    write_files(made.folder, 0)
    write_files(other.folder, 1)
    lines = (other.folder / "samples.tsv").read_text().splitlines()
    (other.folder / "samples.tsv").write_text("\n".join(lines[:-1]) + "\n")
    lines = [line.split("\t") for line in (other.folder / "genes.tsv").read_text().splitlines()]
    moved = [lines[0], *([*row[:3], str(int(row[3]) + 1), row[4]] for row in lines[1:])]
    (other.folder / "genes.tsv").write_text("".join("\t".join(row) + "\n" for row in moved))
    from safetensors.torch import save_file

    header = "gene_id\tother_gene\tvariant_id\ttrack\tkind\teffect\tz\n"
    for name, effect in (("given", 1), ("other", 2)):
        row = f"up1\tup2\tchr1_3010_A_C\tliver\tmine\t{effect}\t1\n"
        (other.folder / f"{name}.tsv").write_text(header + row)
    state = load_trainable(seed=5).network.state_dict()
    save_file(state, other.folder / "other.safetensors")
    made.config.write_text(made.config.read_text() + SECTIONS)
    with register("toy", load_trainable), register("toy2", lambda **given: load_trainable(seed=2, **given)):
        opened = Opened.from_config(load_config(made.config))
        runs = load_models(opened)
        known = {*unit_keys(opened, runs), *of_effects(opened, other.folder)}
        yield opened, runs, frozenset(known), other.folder


def keys_with(base, key):
    """With another value of this key; one after the other."""
    opened, runs, _, files = base
    section, _, name = key.rpartition(".")
    if section == "models" and name in OF_EFFECTS:
        return of_effects(opened, files, **{name: OF_EFFECTS[name]})
    config = changed(opened.config, key, files)
    reopened = (
        key.startswith("cohort.") and key != "cohort.genotype_pcs"
    )  # these genotypes have too few variants
    if reopened or key == "expression.permuted":
        opened = Opened.from_config(config)
    opened = replace(opened, config=config)
    if key.startswith("models."):
        runs = load_models(opened)
    elif key == "predict.device":
        runs = [replace(run, source=replace(run.source, device="cuda")) for run in runs]
    return unit_keys(opened, runs, key.split(".")[0])


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_in_a_units_key_or_on_the_list(base, key):
    listed = [key in CHANGE_NOTHING, key in TABLES_ONLY]
    assert sum(listed) <= 1
    if not any(listed):
        new = any(one not in base[2] for one in keys_with(base, key))
        fewer = key in ("cohort.keep_genes", "cohort.regions")
        assert new or fewer, f"{key} is in no unit's key, and not on the list"
    if key in CHANGE_NOTHING and key != "output":
        assert {*keys_with(base, key), *of_effects(base[0], base[3])} == base[2], (
            f"{key} changes nothing, and is in a unit's key"
        )


def test_the_lists_name_keys_that_there_are():
    assert {*CHANGE_NOTHING, *TABLES_ONLY} <= set(KEYS)


def test_differences_are_named():
    one = {"seed": 1, "workers": 1, "cohort": {"min_maf": 0.0}, "models": [{"name": "a"}]}
    two = {"seed": 1, "workers": 2, "cohort": {"min_maf": 0.1}, "models": [{"name": "a"}, {"name": "b"}]}
    assert differing(one, two) == differing(two, one) == ["cohort.min_maf"]
    assert differing(one, two | {"models": [{"name": "b"}], "seed": 2}) == [
        "cohort.min_maf",
        "models",
        "seed",
    ]
    assert differing(one, one | {"cohort": {"min_maf": 0.0, "keep_genes": ["up1"]}}) == []
    assert differing(one, one | {"protocol": "huang2023", "eqtl": {"fdr": 0.1}}) == []
