"""Attack the reports of two cohorts: what is recovered of people with full digits, and what with the rule.

    python -m tools.disclosure_campaign

The cohorts are the demo's (358 people) and 60 people with planted singletons. Each is run twice, once without
one person; the attacks of tests/attacks.py are held against the truth, first with the reports as they are
published, then with those of ``--include-individuals``.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from tests import attacks
from tests.planted import load_toy

from hapsight.cli.main import app
from hapsight.cohort.expression import transform
from hapsight.models.registry import register
from hapsight.recipes.demo import demo_cohort
from hapsight.report.build import build_report
from hapsight.run.config import load_config, to_toml


@dataclass(frozen=True)
class Cohort:
    """Two finished runs, the second without a person, and what is true."""

    name: str
    configs: tuple[Path, Path]
    vcf: Path
    bed: Path
    missing: str

    @property
    def reports(self) -> tuple[Path, Path]:
        """Folders of the published tables."""
        whole, less = (load_config(config).output / "report" for config in self.configs)
        return whole, less

    @property
    def people(self) -> int:
        """With the person that the second run lacks."""
        return len(attacks.true_expression(self.bed)[0])


def planted(folder: Path) -> Cohort:
    """60 people, a variant in four carried by one of them."""
    whole, less, missing = attacks.write_cohorts(folder, 60)
    return Cohort(
        "60 people", (whole, less), folder / "genotypes.vcf.gz", folder / "expression.bed.gz", missing
    )


def demo(folder: Path) -> Cohort:
    """The packaged cohort with its small model, and without the baseline."""
    config = demo_cohort()
    bed = config.cohort.expression
    with gzip.open(bed, "rt") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    gone = 4 + (len(rows[0]) - 4) // 3
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "less.bed").write_text("".join("\t".join(r[:gone] + r[gone + 1 :]) + "\n" for r in rows))
    configs = []
    for name, expression in (("run", bed), ("less", folder / "less.bed")):
        changes = {
            "output": folder / name,
            "cohort": config.cohort.model_copy(update={"expression": expression}),
            "models": config.models[:1],
            "baseline": config.baseline.model_copy(update={"run": False}),
            "evaluate": config.evaluate.model_copy(update={"null_draws": 99, "permutations": 99}),
            "eqtl": config.eqtl.model_copy(update={"run": True, "permutations": 99}),
            "explain": config.explain.model_copy(update={"run": True, "motifs": False}),
        }
        configs.append(folder / f"{name}.toml")
        configs[-1].write_text(to_toml(config.model_copy(update=changes)))
    return Cohort("demo", (configs[0], configs[1]), config.cohort.genotypes, bed, rows[0][gone])


def genotypes(cohort: Cohort) -> str:
    """Of the person left out, by the frequencies of the gene pages."""
    people, dosages = attacks.true_dosages(cohort.vcf)
    found = attacks.genotypes_by_difference(*cohort.reports, cohort.people)
    found = found.unique(["position", "ref", "alt"], maintain_order=True)
    keys = found.select("position", "ref", "alt").iter_rows()
    truth = np.array([dosages[key][people.index(cohort.missing)] for key in keys])
    right = np.rint(found["guess"].to_numpy()).clip(0, 2) == truth
    usual = np.rint(2 * found["af"].to_numpy()) == truth
    return f"{right.sum()} of {len(truth)} right; by frequency alone {usual.sum()}"


def expression(cohort: Cohort) -> str:
    """Of the same person, by each gene's mean."""
    people, values = attacks.true_expression(cohort.bed)
    how = load_config(cohort.configs[0]).expression
    place, misses, usual = people.index(cohort.missing), [], []
    for gene_id, guess in attacks.expression_by_difference(*cohort.reports, cohort.people).iter_rows():
        own = transform(values[gene_id][None], how.transform, how.pseudocount)[0]
        misses.append(abs(guess - own[place]) / own.std())
        usual.append(abs(own.mean() - own[place]) / own.std())
    median, alone = np.median(misses), np.median(usual)
    return f"median error {median:.2g} SD over {len(misses)} genes; by mean alone {alone:.2g} SD"


def hidden_group(cohort: Cohort) -> str:
    """People of the genotype that a page does not show, by the total."""
    found = attacks.hidden_groups(cohort.reports[0], cohort.people)
    if found.is_empty():
        return "points of people are shown"
    hidden = found.filter(pl.col("people") > 2 * pl.col("groups"))
    return f"{hidden.height} groups that are not shown on {found.height} pictures"


def singletons(cohort: Cohort) -> str:
    """Genotype of a singleton's carrier at the marked variant, by r2 and the calls of that one."""
    rows = attacks.page_rows(cohort.reports[0])
    _, dosages = attacks.true_dosages(cohort.vcf)
    right, found = 0, attacks.carriers_by_r2(cohort.reports[0], cohort.people)
    for row in found.iter_rows(named=True):
        arm = rows.filter(gene_id=row["gene_id"], model=row["model"])
        marked, own = (
            dosages[r["position"], r["ref"], r["alt"]] for r in (arm.sort("r2").row(-1, named=True), row)
        )
        expected = [attacks.expected_r2(genotype, marked) for genotype in range(3)]
        right += int(np.argmin(np.abs(np.array(expected) - row["r2"])) == marked[own.argmax()])
    return f"{right} of {len(found)} rows right"


def lone(cohort: Cohort) -> str:
    """Expression of the only person whose prediction is another."""
    found = attacks.expression_by_lone_r(cohort.reports[0], cohort.people).filter(pl.col("gene_id") == "bare")
    truth = attacks.true_distance(cohort.vcf.parent, "bare", attacks.LONE)
    guesses = ", ".join(f"{guess:.3f}" for guess in found["guess"]) or "no R"
    return f"{guesses}; truth {truth:.3f} SD from the mean"


def own_values(cohort: Cohort) -> str:
    """People whose own correlation over genes is in the report."""
    run = cohort.reports[0].parent
    table = pl.read_parquet(run / "evaluation" / "per_person.parquet")
    return f"{attacks.own_values(cohort.reports[0], table)} of {table['spearman_r'].count()} people"


ATTACKS: dict[str, Callable[[Cohort], str]] = {
    "genotypes of the person left out": genotypes,
    "expression of the same person": expression,
    "mean of the group not shown": hidden_group,
    "r2 of a variant of one carrier": singletons,
    "own correlation over genes, 4 digits": own_values,
    "R that hangs on one person": lone,
}


def attacked(cohort: Cohort) -> Iterator[tuple[str, str]]:
    """Each attack and what it recovered."""
    elsewhere = own_values if cohort.people == 60 else lone  # a person's correlation needs four genes
    for name, attack in ATTACKS.items():
        if attack is not elsewhere:
            yield name, attack(cohort)


def main() -> int:
    """Run both cohorts and print a line for each attack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--only", choices=["demo", "planted"], default=None)
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="hapsight-disclosure-"))
    makers = {"planted": planted, "demo": demo}
    with register("toy", load_toy):
        for name in [asked.only] if asked.only else list(makers):
            cohort = makers[name](folder / name)
            for config in cohort.configs:
                app(["run", str(config)], standalone_mode=False)
            after = dict(attacked(cohort))
            for config in cohort.configs:
                app(["pages", str(config), "--include-individuals"], standalone_mode=False)
                build_report(load_config(config).output, True)
            for attack, before in attacked(cohort):
                print(f"{cohort.name:10} {attack:38} full digits: {before}")
                print(f"{'':10} {'':38} published:   {after[attack]}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
