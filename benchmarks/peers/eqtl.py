"""`hapsight eqtl` from the VCF against a tensorQTL script from ready dosages: commands, and their parts."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from benchmarks.peers.table import ROOT, NotRunError, Row, clock, environment, say, succeed
from numpy.typing import NDArray

from hapsight.cohort.expression import read_expression, transform
from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.nouns import Interval
from hapsight.cohort.people import read_covariates

HERE = Path(__file__).parent
RECIPE = ROOT / "tests" / "verify" / "tensorqtl_venv.sh"
PERMUTATIONS, SEED, FDR = 1000, 7, 0.05


def write_inputs(cohort: Path, folder: Path, count: int) -> list[str]:
    """The npz of tensorQTL's script and the configuration of ours, for the same genes; their identifiers."""
    folder.mkdir(parents=True)
    expression = read_expression(cohort / "expression.bed.gz")
    table, _ = read_covariates(cohort / "covariates.tsv", expression.samples)
    rows = np.linspace(0, len(expression.genes) - 1, count).round().astype(int)
    genes = [expression.genes[row] for row in rows]
    contig = genes[0].contig
    file = GenotypeFile(cohort / "genotypes.vcf.gz", expression.samples)
    variants, _ = file.read(Interval(contig, 0, 300_000_000))
    np.savez(
        folder / "cohort.npz",
        contig=contig,
        dosage=variants.dosage,
        position=variants.position,
        variants=np.array(variants.variant_id),
        expression=transform(expression.values[rows], "log10"),
        covariates=table.values[[table.samples.index(sample) for sample in expression.samples]],
        tss=np.array([gene.tss for gene in genes]),
        genes=np.array([gene.gene_id for gene in genes]),
        people=np.array(expression.samples),
    )
    write_config(cohort, folder, [gene.gene_id for gene in genes])
    return [gene.gene_id for gene in genes]


def write_config(cohort: Path, folder: Path, genes: list[str]) -> None:
    """A run of these genes, TSSs as in the phenotype BED."""
    reference = next(name for name in ("reference.fa.gz", "chr22.fa.gz") if (cohort / name).exists())
    files = {"genotypes": "genotypes.vcf.gz", "reference": reference, "expression": "expression.bed.gz"}
    files |= {"covariates": "covariates.tsv", "samples": "samples.tsv"}
    lines = [f'name = "peers"\noutput = "run"\nseed = {SEED}\n[cohort]']
    lines += [f"{key} = {json.dumps(str(cohort / name))}" for key, name in files.items()]
    (folder / "genes.txt").write_text("\n".join(genes) + "\n")
    lines.append('keep_genes = ["genes.txt"]')
    (folder / "run.toml").write_text("\n".join(lines) + "\n")


Cost = NDArray[np.float64]
"""Processor seconds and seconds on the clock."""


def ours(folder: Path) -> Cost:
    """`hapsight eqtl` of a new run, one process."""
    shutil.rmtree(folder / "run", ignore_errors=True)
    command = [sys.executable, "-m", "hapsight", "eqtl", "run.toml", "--workers", "1", "--quiet"]
    return cost(command, folder)


def theirs(python: Path, folder: Path) -> Cost:
    script = [str(HERE / "tensorqtl_side.py"), "cohort.npz", ".", str(PERMUTATIONS), str(SEED)]
    return cost([str(python), *script], folder)


def cost(command: list[str], folder: Path) -> Cost:
    """Of a command in a folder."""
    started = time.perf_counter()
    processor = clock(lambda: succeed(command, cwd=folder))
    return np.array([processor, time.perf_counter() - started])


class Parts:
    """Least seconds of every part over several turns."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def add(self, seconds: dict[str, float]) -> None:
        """One turn."""
        self.seconds = {name: min(value, self.seconds.get(name, np.inf)) for name, value in seconds.items()}


def our_seconds(folder: Path) -> dict[str, float]:
    """The parts of our command, in a process of their own, as it does them."""
    command = [sys.executable, "-m", "benchmarks.peers.eqtl_parts", str(folder / "run.toml")]
    return dict(json.loads(succeed(command, cwd=ROOT)))


def rows(cohort: Path, folder: Path, count: int, repeats: int) -> Iterator[Row]:
    """The commands, and their parts."""
    try:
        yield from measured(cohort, folder, count, repeats)
    except NotRunError as why:
        yield Row("eQTL mapping", "tensorQTL", agreement=f"not run: {why}")


def measured(cohort: Path, folder: Path, count: int, repeats: int) -> Iterator[Row]:
    python = environment("tensorqtl", RECIPE) / "bin" / "python"
    genes = write_inputs(cohort, folder, count)
    their_parts, our_parts, costs = Parts(), Parts(), []
    for turn in range(repeats + 1):  # the first compiles, and is not counted
        say(f"tensorQTL and hapsight eqtl, turn {turn} of {repeats}")
        costs.append((theirs(python, folder), ours(folder)))
        theirs_by_part, ours_by_part = json.loads((folder / "parts.json").read_text()), our_seconds(folder)
        if turn:
            their_parts.add(theirs_by_part["seconds"])
            our_parts.add(ours_by_part)
    (processor, wall) = np.min(costs[1:], axis=0).T
    peer = f"tensorQTL {theirs_by_part['version']}"
    what = f"eQTLs of {len(genes)} genes, both as a command: ours from the VCF, theirs from a ready npz"
    yield Row(what, peer, *processor, agreement(folder))
    yield Row("the same on the clock", peer, *wall)
    for part in sorted(
        our_parts.seconds.keys() | their_parts.seconds.keys(), key=list(our_parts.seconds).index
    ):
        yield Row(f"of it: {part}", peer, their_parts.seconds.get(part), our_parts.seconds.get(part))


def agreement(folder: Path) -> str:
    """Top variants, p-values and significant genes of both."""
    mine = pl.read_parquet(folder / "run" / "eqtl" / "cis_qtl.parquet").sort("phenotype_id")
    judge = pl.read_parquet(folder / "cis.parquet").sort("phenotype_id")
    same = (mine["variant_id"] == judge["variant_id"]).to_numpy()
    tied = np.isclose(mine["pval_nominal"], judge["pval_nominal"], rtol=1e-3)
    beta = (mine["pval_beta"].log10() - judge["pval_beta"].log10()).abs()
    significant = [set(table.filter(pl.col("qval") <= FDR)["phenotype_id"]) for table in (judge, mine)]
    signals = [
        pl.read_parquet(path).height
        for path in (folder / "independent.parquet", folder / "run" / "eqtl" / "cis_independent.parquet")
    ]
    both = len(significant[0] & significant[1])
    return (
        f"top variant the same or tied in {int((same | tied).sum())} of {len(mine)}; log10 pval_beta "
        f"{float(beta.median()):.2f} apart in the median, {float(beta.max()):.2f} at most (by chance); "
        f"eGenes {len(significant[0])} and {len(significant[1])}, {both} in both; "
        f"signals {signals[0]} and {signals[1]}"
    )
