"""Do replicates of a model, and its elements, say whether a sign at expression is right?

``python -m benchmarks.replicates CONFIG FOLD.pt ...`` prints the tables of docs/signed_evidence.md. CONFIG
is a run whose first model is ``epinformer`` with the read-out ``abc``, after ``hapsight explain`` and
``hapsight validate abstention``; the other arguments are its replicates, the model's own weights among them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from hapsight.cohort.nouns import Interval
from hapsight.explain.reliability import Genes, out_of_fold
from hapsight.explain.reliability_quality import judge
from hapsight.least_squares import Design
from hapsight.models import epinformer
from hapsight.run.arms import arms_of
from hapsight.run.blocks import VariantReader
from hapsight.run.config import load_config
from hapsight.run.opened import Opened
from hapsight.stages.predict import load_models
from hapsight.stats.correlation import correlate

HALF, REACH, LEAST = 128, 101_000, 1e-6
KEY = ("gene_id", "position", "ref", "alt")
REPLICATES, ELEMENT = ("same_sign", "log_z"), ("log_element_effect", "log_activity")
OF_GENES = ("additivity", "driver_r", "log_effect", "log_distance", "log_n_variants", "log_prediction_sd")
OF_VARIANTS = ("log_effect", "log_distance", "log_candidates")


def said_by(rows: pl.DataFrame, reference: Any, weights: Sequence[str]) -> NDArray[np.float64]:
    """(replicates, variants): effect of each SNV on its element, by every replicate."""
    windows = []
    for row in rows.iter_rows(named=True):
        start = row["centre"] - HALF
        bases = reference.fetch(Interval(row["contig"], start, row["centre"] + HALF))
        changed = bases.copy()
        changed[row["position"] - start] = "ACGT".index(row["alt"])
        windows += [bases, changed]
    pairs = torch.from_numpy(np.stack(windows))
    found = []
    for path in weights:
        model = epinformer.load(path)
        with torch.no_grad():
            parts = [model.predict(part, model.read_out()) for part in pairs.split(64)]
        values = torch.cat(parts)[:, 0].double().numpy()
        found.append(values[1::2] - values[0::2])
    return np.array(found)


def with_replicates(rows: pl.DataFrame, said: NDArray[np.float64]) -> pl.DataFrame:
    """`rows` with `REPLICATES` and `ELEMENT`; the model's own effect must be among what is said."""
    own = rows["element_effect"].to_numpy()
    mine = int(np.abs(said - own).max(axis=1).argmin())
    if np.abs(said[mine] - own).max() > LEAST:
        raise SystemExit("the model's own weights are not among the replicates")
    others = np.delete(said, mine, axis=0)
    z = np.abs(said.mean(axis=0)) / said.std(axis=0, ddof=1)
    return rows.with_columns(
        pl.Series("same_sign", (np.sign(others) == np.sign(own)).mean(axis=0)),
        pl.Series("log_z", np.log10(z + 1e-3)),
        log_element_effect=(pl.col("element_effect").abs() + LEAST).log10(),
        log_activity=(pl.col("activity") + 1e-3).log10(),
    )


def main_drivers(opened: Opened, effects: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Of each gene whose prediction differs: what adds most to its variance, and the sign of R."""
    cohort = opened.cohort
    arm = arms_of(opened, load_models(opened))[0]
    expression = cohort.transformed[cohort.rows(cohort.genes)]
    design = Design.of(expression.shape[1], cohort.covariates.values)
    regions = [gene.cis(REACH) for gene in cohort.genes]
    read = VariantReader(cohort.genotypes, cohort.reference, regions)
    of_gene = effects.filter(pl.col("effect") != 0).partition_by("gene_id", as_dict=True)
    judged = zip(cohort.genes, regions, arm.comparisons(cohort.genes), expression, strict=True)
    for gene, region, compared, observed in judged:
        predicted = np.asarray(compared.predicted, float)
        rows = of_gene.get((gene.gene_id,))
        r = correlate(predicted, design.residuals(observed)).pearson_r
        if np.ptp(predicted) < 1e-9 or rows is None or not r:
            continue
        near = read(region)
        at = {key: i for i, key in enumerate(zip(near.position.tolist(), near.ref, near.alt, strict=True))}
        dosage = near.linear_dosage[[at[key] for key in rows.select(KEY[1:]).rows()]].astype(float)
        parts = rows["effect"].to_numpy()[:, None] * (dosage - dosage.mean(axis=1, keepdims=True))
        most = int(np.argmax(parts @ (predicted - predicted.mean())))
        row = rows.row(most, named=True)
        yield {
            **{name: row[name] for name in KEY},
            "contig": gene.contig,
            "tss": gene.tss,
            "right": r > 0,
            "additivity": float(np.corrcoef(parts.sum(axis=0), predicted)[0, 1]),
            "driver_r": float(np.corrcoef(dosage[most], predicted)[0, 1] ** 2),
            "log_effect": float(np.log10(abs(row["effect"]) + 1e-12)),
            "log_distance": float(np.log10(abs(row["position"] - gene.tss) + 1)),
            "log_n_variants": float(np.log10(len(rows) + 1)),
            "log_prediction_sd": float(np.log10(predicted.std() + 1e-12)),
        }


def report(name: str, rows: pl.DataFrame, sets: Mapping[str, Sequence[str]]) -> None:
    """Average precision and squared error of each set of features, out of fold, beside the base rate."""
    right = rows["right"].to_numpy()
    print(f"{name}: {len(rows)}, base rate {right.mean():.3f}")
    for words, columns in sets.items():
        known = rows.select(columns).to_numpy().astype(float)
        found = out_of_fold(Genes(known, right, rows["contig"].to_list(), rows["tss"].to_numpy()))
        if found is None:
            print(f"  {words}: too few")
            continue
        print(
            f"  {words}: {judge(found.probability, found.base_rate, right, np.random.default_rng(1)).verdict}"
        )
    agree = rows["same_sign"].to_numpy() >= 10 / 11 - 1e-9
    for words, chosen in (("10 of 11 or more agree", agree), ("fewer", ~agree)):
        print(f"  {words}: {right[chosen].mean():.3f} right of {chosen.sum()}")


def main(config: str, weights: Sequence[str]) -> None:
    """Both tables: of the sign of R by genes, and of the sign at each gene's top variant."""
    torch.set_num_threads(1)
    opened = Opened.from_config(load_config(Path(config)))
    folder, reference = opened.folder.path, opened.cohort.reference
    label = opened.config.models[0].label
    explained = next((folder / "explain").glob(f"{label}.*"))
    elements = pl.read_parquet(explained / "elements.parquet").select(
        *KEY, "centre", "activity", "element_effect"
    )

    def extended(base: Sequence[str]) -> dict[str, list[str]]:
        added = {
            "these": (),
            "and replicates": REPLICATES,
            "and elements": ELEMENT,
            "and both": REPLICATES + ELEMENT,
        }
        return {words: [*base, *more] for words, more in added.items()}

    drivers = pl.DataFrame(main_drivers(opened, pl.read_parquet(explained / "effects.parquet")))
    drivers = drivers.join(elements, on=KEY, how="left", maintain_order="left")
    drivers = with_replicates(drivers, said_by(drivers, reference, weights))
    report("sign of R, main drivers", drivers, extended(OF_GENES))

    chosen = pl.read_parquet(folder / "validate" / "abstention.parquet").filter(pl.col("chosen") == "top")
    places = pl.DataFrame(
        {"gene_id": [g.gene_id for g in opened.cohort.genes], "tss": [g.tss for g in opened.cohort.genes]}
    )
    chosen = chosen.drop("tss", "centre", "activity", strict=False)
    chosen = chosen.join(places, on="gene_id").join(elements.drop("element_effect"), on=KEY, how="left")
    chosen = chosen.sort("gene_id").with_columns(
        right=pl.col("sign_right"),
        log_effect=pl.col("effect").abs().log10(),
        log_distance=(pl.col("distance") + 1).log10(),
        log_candidates=(pl.col("candidates") + 1).log10(),
    )
    chosen = with_replicates(chosen, said_by(chosen, reference, weights))
    report("sign at the top variant", chosen, extended(OF_VARIANTS) | {"size alone": ["log_effect"]})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
