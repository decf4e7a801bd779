"""How distinct work grows with people: counts it for each model, as `hapsight plan` does, and fits a law.

    python tools/scale_growth.py COHORT.toml OUT.json --people 100 500 2500 --genes 3 --models mini xpresso:weights=GM12878

COHORT.toml is a simulated cohort with rare variants and indels (tools/simulate_wgs.py); its first people and
genes are taken, and its models are not looked at. A model is `name:option=value,option=value`. Nothing but
sequences is computed. Growth is a power law, work = c people^k, fitted to each gene by least squares of the
logarithms; k is the mean over genes, with the 95 % t interval of genes. Results are written after every model.
"""  # noqa: E501

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from scipy import stats

from hapsight.cohort.nouns import Gene
from hapsight.engine.cost import plan_gene
from hapsight.engine.views import Sequences, views
from hapsight.models.protocol import SequenceModel
from hapsight.models.registry import load_model
from hapsight.run.blocks import VariantReader
from hapsight.run.config import load_config
from hapsight.run.opened import Opened

QUANTITIES = ("reads", "tflop")


def power_law(people: list[int], work: np.ndarray) -> dict[str, float]:
    """Exponent k of (G, P) work over genes, and the ends of its 95 % interval."""
    x = np.log(people)
    slopes = np.array([np.polyfit(x, np.log(gene), 1)[0] for gene in work])
    half = np.nan
    if len(slopes) > 1:
        half = stats.t.ppf(0.975, len(slopes) - 1) * slopes.std(ddof=1) / np.sqrt(len(slopes))
    return {"k": slopes.mean(), "low": slopes.mean() - half, "high": slopes.mean() + half}


def count(opened: Opened, model: SequenceModel, genes: list[Gene], people: int) -> np.ndarray:
    """(G, 2) distinct passes and TFLOP of each gene, for the first `people`."""
    cohort = opened.cohort
    genotypes = cohort.genotypes.keeping(cohort.samples[:people], cohort.genotypes.policy)
    reader = VariantReader(genotypes, cohort.reference)
    sequences = Sequences(model, model.read_out(), reader, cohort.reference.fetch)
    found = [plan_gene(sequences, gene) for gene in genes]
    return np.array([(reads, flop / 1e12) for reads, flop in found], dtype=np.float64)


def grow(opened: Opened, model: SequenceModel, genes: list[Gene], people: list[int]) -> dict[str, object]:
    """Work of one model at every number of people, per gene, and how it grows."""
    start = time.perf_counter()
    work = np.stack([count(opened, model, genes, n) for n in people], axis=1)  # (G, P, 2)
    passes = len(list(views(model, model.read_out())))
    asked = [2 * n * passes for n in people]
    found: dict[str, object] = {
        "genes": [gene.gene_id for gene in genes],
        "people": people,
        "window": model.window.length,
        "asked": asked,
        "asked_tflop": [n * model.flop_per_pass / 1e12 for n in asked],
        "seconds_of_counting": time.perf_counter() - start,
    }
    for i, name in enumerate(QUANTITIES):
        found[name] = work[:, :, i].mean(axis=0).tolist()
        found[f"{name}_growth"] = power_law(people, work[:, :, i])
    return found


def parsed(text: str) -> tuple[str, dict[str, object]]:
    """Name and options of a model; numbers as numbers."""
    name, _, rest = text.partition(":")
    pairs = (part.split("=", 1) for part in rest.split(",") if part)
    return name, {key: int(value) if value.isdecimal() else value for key, value in pairs}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("cohort", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--people", type=int, nargs="+", default=[100, 500, 2500])
    parser.add_argument("--genes", type=int, default=3)
    parser.add_argument("--models", nargs="+", required=True)
    options = parser.parse_args()
    opened = Opened.from_config(load_config(options.cohort))
    step = max(1, len(opened.cohort.genes) // options.genes)
    genes = list(opened.cohort.genes[::step][: options.genes])
    found = json.loads(options.out.read_text()) if options.out.exists() else {}
    for text in options.models:
        name, given = parsed(text)
        weights = given.pop("weights", None)
        model = load_model(name, None if weights is None else str(weights), "cpu", **given)
        found[name] = grow(opened, model, genes, options.people)
        options.out.write_text(json.dumps(found, indent=1))
        print(name, json.dumps(found[name]))


if __name__ == "__main__":
    main()
