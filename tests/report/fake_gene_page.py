"""A gene page with made-up numbers that look like real ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from hapsight.explain.tables import VIEW_VARIANTS
from hapsight.report.gene_view import PEOPLE, GenePage, Logo, ModelView, Motif, TopEqtl
from hapsight.tables import PER_GENE

EVIL = "<img src=x onerror=\"document.documentElement.dataset.hacked='yes'\">"


def variants(seed: int = 0, n: int = 40, name: str = "rs") -> pl.DataFrame:
    """`n` variants, those in the middle within the window."""
    rng = np.random.default_rng(seed)
    distance = np.sort(rng.choice(np.arange(-15_000, 8_000), n, replace=False))
    inside = (distance >= -7000) & (distance < 3500)
    rows = []
    for k, (place, within) in enumerate(zip(distance.tolist(), inside.tolist(), strict=True)):
        effect = float(rng.normal(0, 0.01)) if within else None
        slope = float(rng.normal(0, 0.1))
        rows.append(
            dict.fromkeys(VIEW_VARIANTS)
            | {
                "variant_id": f"{name}{k}",
                "contig": "chr22",
                "position": 17_000_000 + place,
                "ref": "C",
                "alt": "T",
                "tss_distance": place,
                "af": float(rng.uniform(0.05, 0.5)),
                "in_window": within,
                "carriers": 24,
                "effect": effect,
                "effect_mean": effect,
                "effect_sd": None if effect is None else abs(effect) / 10,
                "n_backgrounds": 12 if within else None,
                "slope": slope,
                "slope_se": 0.02,
                "pval_nominal": 1e-4,
                "r2": float(rng.uniform()),
                "driver": False,
                "supported": None if effect is None else (effect > 0) == (slope > 0),
            }
        )
    return pl.DataFrame(rows, schema=VIEW_VARIANTS)


def view(n: int = 60, **changes: Any) -> ModelView:
    """A view whose driver raises the prediction and lowers expression."""
    rng = np.random.default_rng(1)
    table = changes.pop("variants", None)
    table = variants() if table is None else table
    marked = int((table["in_window"].cast(pl.Int64) * table["position"]).arg_max() or 0)
    driver = {"driver": True, "effect": 0.02, "effect_sd": 0.001, "slope": -0.21, "pval_nominal": 2e-9}
    place = pl.int_range(pl.len()) == marked
    table = table.with_columns(
        pl.when(place).then(pl.lit(value)).otherwise(name).alias(name) for name, value in driver.items()
    )
    genotype = rng.integers(0, 3, n)
    people = {
        "predicted": 0.5 + 0.02 * genotype + rng.normal(0, 0.005, n),
        "observed": -0.2 * genotype + rng.normal(0, 0.3, n),
        "genotype": genotype,
    }
    far = variants().row(0, named=True) | {"r2": 0.03, "slope": 0.4, "pval_nominal": 1e-20}
    given = {
        "model": "xpresso/GM12878",
        "read_out": "default",
        "protocol": "default",
        "observed": "log10(x + 0.1), residual on 53 covariates",
        "units": "z-score of log10(RPKM + 0.1)",
        "result": dict.fromkeys(PER_GENE)
        | {"status": "ok", "n": n, "pearson_r": -0.45, "ci_low": -0.6, "ci_high": -0.25, "qval": 0.01}
        | {"effective_people": n / 3},
        "window": (-7000, 3499),
        "shown": (-12_250, 8_749),
        "people": pl.DataFrame(people, schema=PEOPLE).sort(list(PEOPLE)),
        "variants": table,
        "marked": marked,
        "driver_status": "ok",
        "additivity": 0.98,
        "n_drivers": 1,
        "motif": Motif("loss", "MA1", "KLF5", 12.3, 4.1),
        "top_eqtl": TopEqtl(far, 300),
        "eqtl_mapped": True,
        "logos": (logo("C", 1), logo("T", 2)),
        "logo_note": "Height of a letter: what it is worth.",
    }
    given |= changes
    if given["marked"] is None:
        given["people"] = given["people"].with_columns(genotype=pl.lit(None, pl.Int64))
    return ModelView(**given)


def logo(allele: str, seed: int, reach: int = 20) -> Logo:
    """Random bases around an allele."""
    rng = np.random.default_rng(seed)
    sides = ["".join(rng.choice(list("ACGT"), reach)) for _ in range(2)]
    letters = sides[0] + allele + sides[1]
    return Logo(letters, rng.normal(0, 0.01, len(letters)), reach, reach + len(allele))


def page(
    *views: ModelView, name: str = "GENE1", gene_id: str = "ENSG00000000001.1", individuals: bool = False
) -> GenePage:
    """One gene."""
    shown = views or (view(),)
    return GenePage("Geuvadis (made up)", gene_id, name, "chr22", 17_000_000, "+", shown, individuals)
