"""A run folder as docs/formats.md describes it, with made-up numbers that look like real ones."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from hapsight.stats.nulls import TESTS
from hapsight.stats.summary import summarise_across_people
from hapsight.tables import SUMMARY

BASELINE = "elastic_net"
PROTOCOL = "default"
OTHER_TESTS = ("z", "sasse2023", "permutation", "folds")


@dataclass(frozen=True)
class Plan:
    """What the made-up run holds."""

    people: int = 80
    genes: int = 60
    models: tuple[str, ...] = ("xpresso/GM12878",)
    baseline: bool = True
    constant: int = 4
    first_gene_name: str = "GENE0"
    name: str = "Geuvadis, chr22 (made up)"
    notes: tuple[str, ...] = ()
    seed: int = 1


def write_run(folder: Path, plan: Plan | None = None) -> Path:
    """Write the whole folder and return it."""
    plan = plan or Plan()
    rng = np.random.default_rng(plan.seed)
    (folder / "evaluation").mkdir(parents=True, exist_ok=True)
    arms = [(name, "expression", False) for name in plan.models]
    arms += [(BASELINE, "dosage", True)] if plan.baseline else []
    per_gene = pl.concat([_per_gene(plan, rng, *arm) for arm in arms]) if arms else _empty_per_gene(plan, rng)
    across = _across_genes(plan, rng)
    per_person = _per_person(plan, rng)
    per_gene.write_parquet(folder / "evaluation" / "per_gene.parquet")
    across.write_parquet(folder / "evaluation" / "across_genes.parquet")
    per_person.write_parquet(folder / "evaluation" / "per_person.parquet")
    _summary(per_gene, across, per_person).write_parquet(folder / "evaluation" / "summary.parquet")
    _dropped().write_parquet(folder / "dropped.parquet")
    (folder / "check.json").write_text(json.dumps(_checks()))
    (folder / "config.toml").write_text('name = "made up"\n[model]\nname = "xpresso/GM12878"\n')
    (folder / "run.json").write_text(json.dumps(_record(plan)))
    return folder


def _empty_per_gene(plan: Plan, rng: np.random.Generator) -> pl.DataFrame:
    return _per_gene(plan, rng, "nothing", "", False).clear()


def _genes(plan: Plan) -> dict[str, Any]:
    names = [f"GENE{i}" for i in range(plan.genes)]
    names[0] = plan.first_gene_name
    return {
        "gene_id": [f"ENSG{i:011d}.{i % 9}" for i in range(plan.genes)],
        "gene_name": names,
        "contig": ["chr22"] * plan.genes,
        "tss": [17_000_000 + 71_311 * i % 33_000_000 for i in range(plan.genes)],
        "strand": ["+-"[i % 2] for i in range(plan.genes)],
    }


def _per_gene(
    plan: Plan, rng: np.random.Generator, model: str, read_out: str, baseline: bool
) -> pl.DataFrame:
    r = np.clip(
        rng.normal(0.16, 0.17, plan.genes) if baseline else rng.normal(0.01, 0.11, plan.genes), -0.9, 0.9
    )
    width = 1.96 / np.sqrt(plan.people - 3)
    p = 2 * stats.norm.sf(np.abs(np.arctanh(r)) * np.sqrt(plan.people - 3))
    frame = pl.DataFrame(
        {
            **_genes(plan),
            "model": model,
            "read_out": read_out,
            "protocol": PROTOCOL,
            "observed": "log expression, residual of 53 covariates",
            "n": plan.people,
            "status": "ok",
            "pearson_r": r,
            "spearman_r": r * 0.95,
            "ci_low": np.tanh(np.arctanh(r) - width),
            "ci_high": np.tanh(np.arctanh(r) + width),
            "pval_nominal": p,
            "pval_empirical": np.clip(np.ceil(p * 1000) / 1001, 1 / 1001, 1),
            "null_draws": 1000,
            "null_mean": 0.08,
            "null_sd": 0.05,
            "z": (np.abs(r) - 0.08) / 0.05,
            **{f"pval_{test}": p for test in OTHER_TESTS},
            **dict.fromkeys(["qval", *(f"qval_{test}" for test in TESTS)], stats.false_discovery_control(p)),
            "n_variants": rng.integers(5, 90, plan.genes),
            "n_distinct": rng.integers(2, 60, plan.genes),
            "prediction_sd": np.abs(r) / 10,
            "effective_people": plan.people / 3,
            "share_used": None,
            "share_weight_used": None,
        }
    )
    failing = pl.int_range(pl.len()) >= plan.genes - plan.constant
    numbers = ["pearson_r", "spearman_r", "ci_low", "ci_high", "z", "qval"]
    numbers += [f"{kind}_{test}" for kind in ("pval", "qval") for test in TESTS]
    return frame.with_columns(
        pl.when(failing)
        .then(pl.lit("no_model" if baseline else "constant_prediction"))
        .otherwise("status")
        .alias("status"),
        *(pl.when(failing).then(None).otherwise(name).alias(name) for name in numbers),
    )


def _across_genes(plan: Plan, rng: np.random.Generator) -> pl.DataFrame:
    genes = _genes(plan)
    expression = rng.normal(0, 1.6, plan.genes)
    return pl.concat(
        [
            pl.DataFrame(
                {
                    "gene_id": genes["gene_id"],
                    "gene_name": genes["gene_name"],
                    "model": model,
                    "read_out": "expression",
                    "protocol": PROTOCOL,
                    "predicted_reference": 0.15 * expression + rng.normal(0, 0.6, plan.genes),
                    "mean_expression": np.exp(expression),
                    "sd_expression": 0.3,
                }
            )
            for model in plan.models or ("nothing",)
        ]
    ).filter(pl.col("model") != "nothing")


def _per_person(plan: Plan, rng: np.random.Generator) -> pl.DataFrame:
    return pl.concat(
        [
            pl.DataFrame(
                {
                    "sample_id": [f"HG{i:05d}" for i in range(plan.people)],
                    "model": model,
                    "read_out": "expression",
                    "protocol": PROTOCOL,
                    "n": plan.genes,
                    "pearson_r": rng.normal(0.28, 0.01, plan.people),
                    "spearman_r": rng.normal(0.33, 0.01, plan.people),
                }
            )
            for model in plan.models or ("nothing",)
        ]
    ).filter(pl.col("model") != "nothing")


def _summary(per_gene: pl.DataFrame, across: pl.DataFrame, per_person: pl.DataFrame) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for (model, read_out), table in per_gene.group_by("model", "read_out", maintain_order=True):
        ok = table.filter(pl.col("status") == "ok")
        r = ok["pearson_r"].to_numpy()
        genes = across.filter(pl.col("model") == model)
        persons = per_person.filter(pl.col("model") == model)["spearman_r"]
        held_out = "xpresso" not in str(model)
        qval = {test: ok[f"qval_{test}"].to_numpy() for test in TESTS if held_out or test != "folds"}
        rho = ok["spearman_r"].to_numpy()
        test = "folds" if held_out else "empirical"
        found = summarise_across_people(table["status"].to_list(), r, rho, qval, test)
        values = [(q.quantity, q.value, q.n, q.unit, q.ci_low, q.ci_high) for q in found]
        if genes.height:
            rho = stats.spearmanr(genes["predicted_reference"], genes["mean_expression"]).statistic
            values.append(("across_genes_spearman", rho, genes.height, "genes", None, None))
        if len(persons):
            values.append(
                ("within_person_spearman_median", persons.median(), len(persons), "people", None, None)  # type: ignore[arg-type]
            )
        rows += [
            {
                "model": model,
                "read_out": read_out,
                "protocol": PROTOCOL,
                "quantity": quantity,
                "value": None if value is None else float(value),
                "n": n,
                "unit": unit,
                "ci_low": None if low_ is None else float(low_),
                "ci_high": None if high is None else float(high),
            }
            for quantity, value, n, unit, low_, high in values
        ]
    return pl.DataFrame(rows, schema=SUMMARY)


def _dropped() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "kind": ["sample", "gene", "variant", "allele"],
            "reason": ["no expression", "no strand, and the model is oriented", "symbolic allele", "overlap"],
            "count": [3, 1, 1200, 1],
            "names": [
                ["NA1", "NA2", "NA3"],
                ["ENSG9"],
                [f"sv{i}" for i in range(1000)],
                ["chr22:100 T>G NA4 haplotype 1"],
            ],
        }
    )


def _checks() -> list[dict[str, Any]]:
    return [
        {"name": "samples", "status": "pass", "message": "358 people in all files", "details": []},
        {
            "name": "contig names",
            "status": "warn",
            "message": "expression says 22, the FASTA chr22: taken as the same",
            "details": ["22 -> chr22"],
        },
    ]


def _record(plan: Plan) -> dict[str, Any]:
    return {
        "format": 1,
        "name": plan.name,
        "hapsight": "0.1.0",
        "created": "2026-11-22T16:22:45+00:00",
        "protocol": PROTOCOL,
        "seed": plan.seed,
        "versions": {"python": "3.11.7", "numpy": "2.3.0", "torch": "2.13.0"},
        "inputs": [
            {"role": "genotypes", "path": "data/genotypes.vcf.gz", "bytes": 41_200_000, "sha256": "ab" * 32},
            {"role": "expression", "path": "data/expression.bed.gz", "bytes": 1_200_000, "sha256": "cd" * 32},
        ],
        "cohort": {
            "people": plan.people,
            "genes": plan.genes,
            "populations": {"CEU": plan.people // 2, "FIN": plan.people - plan.people // 2},
        },
        "models": [
            {
                "name": name,
                "read_out": "expression",
                "fingerprint": "3e44d222897c",
                "window": "7,000 bp upstream, 3,500 bp downstream",
                "asked": plan.genes * plan.people * 2,
                "distinct": plan.genes * 38,
            }
            for name in plan.models
        ],
        "stages": [
            {"name": "check", "seconds": 2.4, "peak_mb": 310.0, "detail": ""},
            {"name": "predict", "seconds": 92.0, "peak_mb": 905.5, "detail": "18,962 sequences"},
            {"name": "baseline", "seconds": 1204.0, "peak_mb": 1210.0, "detail": "5 x 10 folds"},
        ],
        "notes": list(plan.notes),
    }
