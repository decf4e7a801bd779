"""Attacks on published reports: what somebody who has only the files that are published tries.

Each takes folders of reports (``report/`` of a run, with ``report.html`` beside it) and gives guesses,
which a test holds against the truth.
"""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pysam
from numpy.typing import NDArray

from hapsight.explain.tables import PAGE_VARIANTS
from hapsight.least_squares import residuals
from tests.planted import write_planted

Float = NDArray[np.float64]
LONE = 11
"""Place of the only person whose prediction of gene ``bare`` is another."""
KEY = ("gene_id", "model", "position", "ref", "alt")


def page_rows(report: Path) -> pl.DataFrame:
    """Rows of all gene pages' CSVs."""
    files = sorted((report / "genes").glob("*.csv"))
    types = {"gene_id": pl.String, "model": pl.String, "read_out": pl.String, "protocol": pl.String}
    return pl.concat([pl.read_csv(file, schema_overrides=types | PAGE_VARIANTS) for file in files])


def charts(page: Path) -> list[dict[str, Any]]:
    """Specifications of a page's pictures, with the data inside."""
    found = re.findall(r'(?s)class="spec">(.*?)</script>', page.read_text())
    return [json.loads(text) for text in found]


def rows_with(spec: dict[str, Any], *columns: str) -> list[dict[str, Any]]:
    """Rows of the first data inside a specification that have these columns."""
    tables = [*spec.get("datasets", {}).values(), spec.get("data", {}).get("values", [])]
    for rows in tables:
        if rows and set(columns) <= set(rows[0]):
            return list(rows)
    return next((rows for layer in spec.get("layer", []) if (rows := rows_with(layer, *columns))), [])


def genotypes_by_difference(all_: Path, less: Path, n: int) -> pl.DataFrame:
    """Alternative alleles of the person who is in one report only: ``2 n af - 2 (n - 1) af'``.

    Returns
    -------
    `KEY`, ``guess`` (no whole number, where digits lack) and ``changed``, whether the frequency did.
    """
    both = page_rows(all_).join(page_rows(less), on=list(KEY), suffix="_less")
    guess = 2 * n * pl.col("af") - 2 * (n - 1) * pl.col("af_less")
    return both.select(*KEY, "af", guess=guess, changed=pl.col("af") != pl.col("af_less"))


def expression_by_difference(all_: Path, less: Path, n: int) -> pl.DataFrame:
    """Expression of the same person: ``n mean - (n - 1) mean'``; ``gene_id, guess``."""
    tables = [pl.read_csv(report / "across_genes.csv") for report in (all_, less)]
    both = tables[0].join(tables[1], on=["gene_id", "model"], suffix="_less")
    guess = n * pl.col("mean_expression") - (n - 1) * pl.col("mean_expression_less")
    return both.select("gene_id", guess=guess).drop_nulls()


def hidden_groups(report: Path, n: int) -> pl.DataFrame:
    """Mean of the genotype group that a page does not show: the total of all groups less the shown ones.

    Returns
    -------
    ``gene_id, people`` (in the hidden group, as they follow from the counts), ``guess`` (their mean) and
    ``groups`` (that are shown; of each, rounding moves the count by two at most).
    """
    rows = []
    for page in sorted((report / "genes").glob("*.html")):
        specs = charts(page)
        totals = rows_with(specs[0], "predicted", "value", "n")
        for spec in specs:
            shown = rows_with(spec, "alleles", "value", "n")
            if not shown or not totals or "Observed" not in spec["description"]:
                continue
            everybody = sum(row["value"] * row["n"] for row in totals)
            people = n - sum(row["n"] for row in shown)
            rest = everybody - sum(row["value"] * row["n"] for row in shown)
            guess = rest / people if people > 0 else None
            rows.append((page.name.removesuffix(".html"), people, guess, len(shown)))
    schema = {"gene_id": pl.String, "people": pl.Int64, "guess": pl.Float64, "groups": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def carriers_by_r2(report: Path, n: int) -> pl.DataFrame:
    """Rows whose variant one person carries once: r2 to the marked variant tells this person's genotype."""
    one = (pl.col("af") * 2 * n).round() == 1
    return page_rows(report).filter(one & pl.col("r2").is_not_null()).select(*KEY, "af", "r2")


def expected_r2(genotype: int, marked: Float) -> float:
    """r2 between a variant that one person carries once, and the marked one, which has `genotype` there."""
    n = len(marked)
    covariance = (genotype - marked.mean()) / n
    return float(covariance**2 / (marked.var() * (1 / n - 1 / n**2)))


def products_by_difference(all_: Path, less: Path, n: int) -> pl.DataFrame:
    """Standardised prediction times standardised expression of one person, about ``n (R - R')``."""
    tables = [pl.read_csv(report / "genes.csv", infer_schema_length=None) for report in (all_, less)]
    both = tables[0].join(tables[1], on=["gene_id", "model", "read_out"], suffix="_less")
    guess = n * (pl.col("pearson_r") - pl.col("pearson_r_less"))
    return both.select("gene_id", "model", guess=guess).drop_nulls()


def expression_by_lone_r(report: Path, n: int) -> pl.DataFrame:
    """What one person expresses, where the prediction is another in that person only: ``abs(R) sqrt(n - 1)``.

    Returns
    -------
    ``gene_id, model, guess`` of the rows with R: absolute values, in standard deviations from the mean.
    """
    table = pl.read_csv(
        report / "genes.csv", infer_schema_length=None, schema_overrides={"pearson_r": pl.Float64}
    )
    guess = pl.col("pearson_r").abs() * (n - 1) ** 0.5
    return table.select("gene_id", "model", guess=guess).drop_nulls()


def own_values(report: Path, people: pl.DataFrame, digits: int = 4) -> int:
    """People whose own correlation over genes stands somewhere in the report, to so many digits."""
    files = [*report.rglob("*.csv"), report.parent / "report.html"]
    text = "\n".join(file.read_text() for file in files if file.exists())
    seen = {round(float(number), digits) for number in re.findall(rf"\d\.\d{{{digits},}}", text)}
    return sum(round(value, digits) in seen for value in people["spearman_r"].drop_nulls().abs().to_list())


def write_cohorts(folder: Path, people: int = 60, seed: int = 7) -> tuple[Path, Path, str]:
    """A planted cohort with a variant in four carried by one person once, and the same without a person.

    Near gene ``bare`` there is one variant, which one person carries.

    Returns
    -------
    Configurations of both, whose runs go to ``run`` and ``less``, and who is missing in the second.
    """
    planted = write_planted(folder, people=people, seed=seed, names=("up1", "down1", "bare"))
    _plant_singletons(folder, np.random.default_rng(seed), planted.genes[-1].tss)
    with gzip.open(folder / "expression.bed.gz", "rt") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    column, missing = 4 + people // 3, rows[0][4 + people // 3]
    less = ["\t".join(cell for i, cell in enumerate(row) if i != column) for row in rows]
    (folder / "less.bed").write_text("\n".join(less) + "\n")
    text = planted.config.read_text().replace("null_draws = 499", "null_draws = 99\npermutations = 99")
    text = (
        text.replace("[baseline]", "[baseline]\nrun = false")
        + "[eqtl]\ncis_window = 1000\npermutations = 99\n"
    )
    planted.config.write_text(text + "[explain]\nrun = true\nmotifs = false\n")
    other = planted.config.read_text().replace("expression.bed.gz", "less.bed").replace('"run"', '"less"')
    (folder / "less.toml").write_text(other)
    return planted.config, folder / "less.toml", missing


def _plant_singletons(folder: Path, rng: np.random.Generator, lone: int) -> None:
    """A record in four is carried by one person once, and there is one more such record at `lone`."""
    path = folder / "genotypes.vcf.gz"
    with gzip.open(path, "rt") as file:
        lines = file.read().splitlines()
    for number in range(1, len(lines), 4):
        fields = lines[number].split("\t")
        if not lines[number].startswith("#"):
            calls = ["0|0"] * (len(fields) - 9)
            calls[int(rng.integers(len(calls)))] = "0|1"
            lines[number] = "\t".join([*fields[:9], *calls])
    with pysam.FastaFile(str(folder / "genome.fa.gz")) as fasta:
        ref = fasta.fetch("chr1", lone, lone + 1)
    calls = ["0|0"] * LONE + ["0|1"] + ["0|0"] * (len(lines[-1].split("\t")) - 10 - LONE)
    alt = "A" if ref != "A" else "C"
    own = "\t".join(["chr1", str(lone + 1), "lone", ref, alt, ".", "PASS", ".", "GT", *calls])
    after = (i for i, line in enumerate(lines) if line[0] != "#" and int(line.split("\t")[1]) > lone + 1)
    lines.insert(next(after, len(lines)), own)
    plain = path.with_suffix(".tmp")
    plain.write_text("\n".join(lines) + "\n")
    pysam.tabix_compress(str(plain), str(path), force=True)
    pysam.tabix_index(str(path), preset="vcf", force=True)


def true_dosages(vcf: Path) -> tuple[list[str], dict[tuple[int, str, str], Float]]:
    """People, and each variant's alternative alleles in them, by 0-based position and alleles."""
    with gzip.open(vcf, "rt") as file:
        rows = [line.rstrip("\n").split("\t") for line in file if not line.startswith("##")]
    found = {}
    for row in rows[1:]:
        calls = [call.split(":")[0].count("1") for call in row[9:]]
        found[int(row[1]) - 1, row[3], row[4]] = np.array(calls, np.float64)
    return rows[0][9:], found


def true_expression(bed: Path) -> tuple[list[str], dict[str, Float]]:
    """People, and each gene's expression in them."""
    with gzip.open(bed, "rt") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    return rows[0][4:], {row[3]: np.array(row[4:], np.float64) for row in rows[1:]}


def true_distance(folder: Path, gene_id: str, person: int) -> float:
    """How far a person's expression is from the mean, in standard deviations, beside covariates."""
    values = true_expression(folder / "expression.bed.gz")[1][gene_id]
    rows = [line.split("\t")[1:] for line in (folder / "covariates.tsv").read_text().splitlines()[1:]]
    left = residuals(values, np.array(rows, np.float64).T)
    return float(abs(left[person] - left.mean()) / left.std())
