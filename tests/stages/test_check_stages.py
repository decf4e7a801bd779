"""`check` says what a later stage would refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hapsight.models.registry import register
from hapsight.run.config import Config
from hapsight.stages.check import check
from tests.cohort.files import CONTIG, SEQUENCE, Record, write_bed, write_fasta, write_table, write_vcf
from tests.planted import load_toy

GENES = {"g1": 90, "g2": 120}


def config(folder: Path, people: int, **sections: Any) -> Config:
    """A cohort of so many people with default settings, but for those of `sections`; covariates by number."""
    names = [f"P{i:02}" for i in range(people)]
    length = {CONTIG: 5 * len(SEQUENCE)}
    calls = [f"{i % 2}|{i // 2 % 2}" for i in range(people)]
    values = {
        gene: (CONTIG, tss, [1.0 + (i * 7 + tss) % 11 for i in range(people)]) for gene, tss in GENES.items()
    }
    cohort = {
        "genotypes": write_vcf(
            folder / "g.vcf.gz", [Record(50, SEQUENCE[49], "G", calls)], names, contigs=length
        ),
        "reference": write_fasta(folder / "r.fa.gz", {CONTIG: SEQUENCE * 5}),
        "expression": write_bed(folder / "e.bed.gz", values, names),
    }
    if count := sections.pop("covariates", 0):
        numbers = np.random.default_rng(1).normal(size=(count, people)).tolist()
        rows = [["id", *names], *([f"C{k}", *row] for k, row in enumerate(numbers))]
        cohort["covariates"] = write_table(folder / "c.tsv", rows)
    if strands := sections.pop("strands", ""):
        rows = [["gene_id", "gene_name", "chrom", "tss", "strand"]]
        rows += [[g, g.upper(), CONTIG, tss, s] for (g, tss), s in zip(GENES.items(), strands, strict=True)]
        cohort["genes"] = write_table(folder / "t.tsv", rows)
    return Config.model_validate({"name": "x", "output": folder / "run", "cohort": cohort, **sections})


def failures(given: Config) -> dict[str, str]:
    with register("toy", load_toy):
        return {
            one.name: "\n".join((one.message, *one.details)) for one in check(given) if one.status == "fail"
        }


def test_24_people_are_too_few_for_the_default_folds(tmp_path: Path) -> None:
    found = failures(config(tmp_path, 24))
    assert set(found) == {"baseline elastic_net"}
    assert "at least 20 people" in found["baseline elastic_net"]
    assert "19 of 24" in found["baseline elastic_net"]
    assert failures(config(tmp_path, 24, baseline={"inner_folds": 9})) == {}
    assert failures(config(tmp_path, 25)) == {}
    assert failures(config(tmp_path, 24, baseline={"run": False})) == {}


@pytest.mark.parametrize(
    ("count", "refusing"),
    [
        (3, set()),
        (20, {"baseline elastic_net", "baseline blup", "baseline top_snp"}),
        (26, {"baseline elastic_net", "baseline blup", "baseline top_snp", "evaluation", "eQTLs"}),
    ],
)
def test_covariates_that_leave_nothing(tmp_path: Path, count: int, refusing: set[str]) -> None:
    settings: dict[str, Any] = {"baseline": {"inner_folds": 3}}
    assert set(failures(config(tmp_path, 25, covariates=count, **settings))) == refusing


def test_people_without_population_cannot_be_held_out_by_it(tmp_path: Path) -> None:
    found = failures(config(tmp_path, 25, baseline={"splits": ["population"], "methods": ["blup"]}))
    assert "sample sheet with a column population for each person" in found["baseline blup.population"]


def test_logs_that_do_not_exist(tmp_path: Path) -> None:
    given = config(tmp_path, 25, expression={"pseudocount": 0})
    names = [f"P{i:02}" for i in range(25)]
    write_bed(tmp_path / "e.bed.gz", {"g1": (CONTIG, 90, [*range(25)])}, names)
    assert 'transform = "none"' in failures(given)["expression, transformed"]


def test_models_that_could_not_be_run(tmp_path: Path) -> None:
    models = {"models": [{"name": "toy"}, {"name": "toy"}]}
    found = failures(config(tmp_path, 25, **models))
    assert "label" in found["models"]
    assert "strand" in found["window of toy"]
    assert failures(config(tmp_path, 25, strands="+-", models=[{"name": "toy"}])) == {}


@pytest.mark.parametrize(
    ("explain", "message"),
    [
        ({"genes": ["g1", "none"]}, "1 of the genes to explain is not among"),
        ({"run": True, "saturation": [-5000, 3]}, "reaches out of the model's window"),
        ({"run": True, "sign_priors": "none.tsv"}, "is not there"),
        ({"run": True, "conservation": "none.bw"}, "is not there"),
    ],
)
def test_what_explain_would_refuse(tmp_path: Path, explain: dict[str, Any], message: str) -> None:
    given = config(tmp_path, 25, strands="+-", models=[{"name": "toy"}], explain=explain)
    assert message in failures(given)["explain"]


def test_what_explain_would_take(tmp_path: Path) -> None:
    explain = {"genes": ["G1", "g2"], "saturation": [-4, 3]}
    assert failures(config(tmp_path, 25, strands="+-", models=[{"name": "toy"}], explain=explain)) == {}


def with_table(folder: Path, **keys: Any) -> dict[str, Any]:
    """A table of effects as the only model."""
    row = ["g1", CONTIG, 50, SEQUENCE[49], "G", 0.5]
    table = write_table(folder / "given.tsv", [["gene_id", "chrom", "pos", "ref", "alt", "effect"], row])
    return {"models": [{"name": "effects", "table": table, **keys}]}


@pytest.mark.parametrize("wanted", [{"saturation": [-4, 3]}, {"gradients": True}])
def test_single_bases_of_tables_alone(tmp_path: Path, wanted: dict[str, Any]) -> None:
    found = failures(config(tmp_path, 25, explain={"run": True, **wanted}, **with_table(tmp_path)))
    assert "What single bases are worth" in found["explain"]
    assert "given" in found["explain"]
    assert failures(config(tmp_path, 25, explain={"run": True}, **with_table(tmp_path))) == {}


@pytest.mark.parametrize(
    ("keys", "cis_window", "looked_at"),
    [
        ({"within": 500}, 100, False),
        ({"within": 800}, 100, True),
        ({"gene": "nearest TSS"}, 100, True),
        ({"gene": "nearest TSS", "within": 500}, 100, False),
        ({}, 500, False),
        ({}, 800, True),
    ],
)
def test_sites_as_far_as_a_table_counts(
    tmp_path: Path, keys: dict[str, Any], cis_window: int, looked_at: bool
) -> None:
    sections = {"baseline": {"run": False, "cis_window": cis_window}, "eqtl": {"run": False}}
    given = config(tmp_path, 25, **sections, **with_table(tmp_path, **keys))
    names, calls = [f"P{i:02}" for i in range(25)], [f"{i % 2}|0" for i in range(25)]
    records = [Record(50, SEQUENCE[49], "G", calls), Record(801, "T", "G", calls)]  # REF is A
    write_vcf(tmp_path / "g.vcf.gz", records, names, contigs={CONTIG: 5 * len(SEQUENCE)})
    found = failures(given)
    assert ("801" in "".join(found.values())) == looked_at, found
    assert bool(found) == looked_at


def test_a_run_that_could_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    assert set(failures(config(tmp_path, 25))) == {"output"}


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    imported = [{"path": tmp_path / "none.db", "label": "gtex"}]
    assert "none.db" in failures(config(tmp_path, 25, baseline={"imported": imported}))["weights gtex"]


@pytest.mark.parametrize(
    ("people", "why"),
    [
        (29, "not tested: fewer than 30 people"),
        (30, "not tested: no eQTL is strong enough to tell people apart"),
    ],
)
def test_people_who_cannot_be_told_apart_are_not_called_matched(
    tmp_path: Path, people: int, why: str
) -> None:
    with register("toy", load_toy):
        (found,) = [one for one in check(config(tmp_path, people)) if one.name == "people match"]
    assert (found.status, found.message) == ("warn", why)
