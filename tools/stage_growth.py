"""How each stage of `hapsight run` grows with genes and with people, and what a whole genome takes: measured.

    python tools/stage_growth.py OUT --cohort DATA/geuvadis_chr22 --xpresso DATA/xpresso/GM12878_trainepoch.06-0.5062.h5

Prints Markdown tables of every part, and keeps each run's figures in OUT/results.json: what is there is not
run again. Parts (`--parts`, all by default):

genes
    The real cohort, evenly spread genes of it (`--genes`); Xpresso, mini, the baselines (`--methods`), eQTLs
    and explanations.
people
    `--people-genes` genes of two simulated chromosomes (tools/simulate_genome.py), for each of `--people`.
genome
    1,000 people, `--sample` genes in blocks of neighbours on 22 simulated chromosomes, 150 kb a gene; the
    elastic net and BLUP on the first `--fits` chromosomes. Seconds of each unit of work are scaled
    to 20,000 genes, with the 95 % bootstrap interval of chromosomes; what no unit does is the serial part.
tall
    20,000 genes x 1,000 people with 8 kb a gene and a small network: what grows with the number of genes
    alone. Peak memory of each stage, files, and the size of the report.

All in one process, with `OMP_NUM_THREADS=1`: seconds are processor time, k is the exponent between the two
largest sizes. A guess can be set beside each table in the docs, not here.
"""  # noqa: E501

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

HERE = Path(__file__).resolve()
WHOLE, CORES, PEOPLE = 20_000, 16, 1000
Figures = dict[str, Any]

SMALL_NETWORK = '''"""A small network, for runs whose model is not what is measured."""
import torch
from hapsight.models.own import TorchModel


def load(weights=None):
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv1d(4, 4, 9, stride=4), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool1d(8), torch.nn.Flatten(), torch.nn.Linear(32, 1),
    )
    return TorchModel(network, "small", upstream=1000, downstream=1000)
'''


@dataclass(frozen=True)
class Case:
    """A run: its cohort's section, what else its configuration says, and its size on the axis of its part."""

    name: str
    size: int
    cohort: Path
    body: str
    genes: tuple[str, ...] = ()

    def configuration(self, run: Path) -> str:
        files = {
            "genotypes": self.cohort / "genotypes.vcf.gz",
            "reference": shortest(self.cohort, "*.fa*"),
            "expression": shortest(self.cohort, "expression.bed*"),
            "genes": self.cohort / "genes.tsv",
            "covariates": self.cohort / "covariates.tsv",
        }
        cohort = "".join(f"{key} = {json.dumps(str(path.resolve()))}\n" for key, path in files.items())
        kept = f"keep_genes = {json.dumps(list(self.genes))}\n" if self.genes else ""
        head = f"name = {json.dumps(self.name)}\noutput = {json.dumps(str(run))}\nworkers = 1\n"
        return f"{head}[cohort]\n{cohort}{kept}{self.body}"


def shortest(folder: Path, pattern: str) -> Path:
    """The file of a pattern that is no index of another."""
    return min(folder.glob(pattern), key=lambda path: len(path.name))


def figures(case: Case, out: Path) -> Figures:
    """Run a case in a process of its own: its stages, its units and the whole command."""
    folder = out / case.name.replace(" ", "-").replace(",", "")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config, told = folder / "run.toml", folder / "units.json"
    config.write_text(case.configuration(folder / "run"))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    start = time.perf_counter()
    with (folder / "log").open("w") as log:
        command = [sys.executable, str(HERE), "--child", str(config), str(told)]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{case.name} failed: see {folder / 'log'}")
    written = [path for path in (folder / "run").rglob("*") if path.is_file()]
    return {
        "size": case.size,
        "stages": json.loads((folder / "run" / "run.json").read_text())["stages"],
        "units": json.loads(told.read_text()),
        "processor": usage.ru_utime + usage.ru_stime,
        "wall": time.perf_counter() - start,
        "peak_mb": usage.ru_maxrss // 1024,  # since the last stage began: each resets it
        "files": len(written),
        "mb": sum(path.stat().st_size for path in written) / 1e6,
        "report_mb": (folder / "run" / "report.html").stat().st_size / 1e6,
    }


def child(config: str, told: str) -> None:
    """`hapsight run` in this process, with the processor time of each unit of work."""
    from hapsight.cli.main import main as hapsight
    from hapsight.run import executor
    from hapsight.run.run_folder import RunFolder

    spent: list[Figures] = []
    under: list[list[str]] = []
    submit, stages = executor._Inline.submit, RunFolder.stages

    def timed(self: Any, work: Any, /, unit: Any) -> Any:
        start = time.process_time()
        future = submit(self, work, unit)
        seconds = time.process_time() - start
        genes = [gene.gene_id for gene in genes_of(unit)]
        spent.append({"stages": under[-1], "unit": unit.name, "genes": genes, "seconds": seconds})
        return future

    @contextmanager
    def named(self: RunFolder, names: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
        under.append(list(names))
        with stages(self, names) as entries:
            yield entries
        under.pop()

    executor._Inline.submit = timed  # type: ignore[method-assign,assignment]
    RunFolder.stages = named  # type: ignore[method-assign,assignment]
    sys.argv = ["hapsight", "run", config]
    try:
        hapsight()
    except SystemExit as end:
        if end.code:
            raise
    Path(told).write_text(json.dumps(spent))


def genes_of(unit: Any) -> Sequence[Any]:
    """Of a unit of work: a block of genes, several units of one block, or a gene."""
    unit = unit.units[0][1] if hasattr(unit, "units") else getattr(unit, "base", unit)
    return unit.genes if hasattr(unit, "genes") else [unit.gene]


def units_of(one: Figures, stage: str) -> list[Figures]:
    """The units of a stage; of those that several stages share, its share of their seconds."""
    took = {entry["name"]: entry["processor_seconds"] for entry in one["stages"]}
    found = []
    for unit in one["units"]:
        if stage in unit["stages"]:
            whole = sum(took[name] for name in unit["stages"])
            found.append(unit | {"seconds": unit["seconds"] * (took[stage] / whole if whole else 0.0)})
    return found


class Results:
    """Figures of cases that are done, kept in a file."""

    def __init__(self, out: Path) -> None:
        self.out, self.path = out, out / "results.json"
        self.found: dict[str, Figures] = json.loads(self.path.read_text()) if self.path.exists() else {}

    def of(self, case: Case) -> Figures:
        if case.name not in self.found:
            print(f"{time.strftime('%H:%M:%S')} {case.name}", file=sys.stderr, flush=True)
            self.found[case.name] = figures(case, self.out)
            self.path.write_text(json.dumps(self.found, indent=1))
        return self.found[case.name]


def simulated(out: Path, source: Path, name: str, *words: object) -> Path:
    """A cohort of tools/simulate_genome.py, made if it is not there."""
    folder = out / name
    if not (folder / "cohort.toml").exists():
        program = HERE.with_name("simulate_genome.py")
        subprocess.run([sys.executable, str(program), str(source), str(folder), *map(str, words)], check=True)
    return folder


def model(name: str, **more: str) -> str:
    """A section of the configuration."""
    return f"[[models]]\nname = {json.dumps(name)}\n" + "".join(
        f"{k} = {json.dumps(v)}\n" for k, v in more.items()
    )


def spread(cohort: Path, count: int) -> tuple[str, ...]:
    """Evenly spread genes of a cohort."""
    table = pl.read_csv(cohort / "genes.tsv", separator="\t").sort("chrom", "tss")
    names = table["gene_id"].to_list()
    places = np.unique(np.linspace(0, len(names) - 1, min(count, len(names))).round().astype(int))
    return tuple(names[place] for place in places)


def growth_cases(options: argparse.Namespace) -> tuple[list[Case], list[Case]]:
    """Of the parts `genes` and `people`."""
    xpresso = model("xpresso", weights=str(options.xpresso.resolve()), label="Xpresso")
    methods = f"[baseline]\nmethods = {json.dumps(options.methods)}\n"
    body = f"{xpresso}{model('mini', weights='chr22')}{methods}[explain]\nrun = true\n"
    genes = [
        Case(f"{count} genes", count, options.cohort, body, spread(options.cohort, count))
        for count in options.genes
    ]
    people = []
    for count in options.people if "people" in options.parts else ():
        few = "--genes", options.people_genes, "--chromosomes", 2, "--people", count
        cohort = simulated(options.out, options.cohort, f"cohort-{count}", *few)
        people.append(Case(f"{count} people", count, cohort, body))
    return genes, people


def growth_table(found: Sequence[Figures], what: str) -> Iterator[str]:
    """Processor seconds and peak of each stage by size, and exponents."""
    sizes = [one["size"] for one in found]
    columns = " | ".join(f"{size:,} {what}" for size in sizes)
    yield f"| stage, processor s | {columns} | k | k of all sizes | peak MB |"
    yield "|---" * (len(sizes) + 4) + "|"
    rows: dict[str, list[float]] = {}
    peaks: dict[str, list[int]] = {}
    for name in stage_names(found):
        every = [next((s for s in one["stages"] if s["name"] == name), {}) for one in found]
        rows[name] = [entry.get("processor_seconds", np.nan) for entry in every]
        peaks[name] = [entry.get("peak_mb", 0) for entry in every]
    rows["whole command"] = [one["processor"] for one in found]
    peaks["whole command"] = [max([one["peak_mb"], *(s["peak_mb"] for s in one["stages"])]) for one in found]
    for name, seconds in rows.items():
        ks = f"{exponent(sizes[-2:], seconds[-2:])} | {exponent(sizes, seconds)}"
        peak = " to ".join(f"{mb:,}" for mb in (peaks[name][0], peaks[name][-1]))
        yield f"| {name} | {' | '.join(f'{s:.2f}' for s in seconds)} | {ks} | {peak} |"


def stage_names(found: Sequence[Figures]) -> list[str]:
    return list(dict.fromkeys(stage["name"] for one in found for stage in one["stages"]))


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> str:
    """Of seconds = c size^k, by least squares of the logarithms."""
    if len(sizes) < 2 or not np.all(np.asarray(seconds) > 0):
        return ""
    return f"{np.polyfit(np.log(sizes), np.log(seconds), 1)[0]:.2f}"


def genome_cases(options: argparse.Namespace) -> tuple[list[Case], Case]:
    """What is cheap on every fourth chromosome and on all; and the fits on some."""
    words = "--genes", options.sample, "--people", PEOPLE
    cohort = simulated(options.out, options.cohort, f"genome-{options.sample}", *words)
    xpresso = model("xpresso", weights=str(options.xpresso.resolve()), label="Xpresso")
    table = pl.read_csv(cohort / "genes.tsv", separator="\t")
    contigs = table["chrom"].unique(maintain_order=True).to_list()

    def of(chosen: Sequence[str]) -> tuple[str, ...]:
        return tuple(table.filter(pl.col("chrom").is_in(chosen))["gene_id"])

    cheap = f'{xpresso}[baseline]\nmethods = ["top_snp"]\n[explain]\nrun = true\n'
    fits = '[baseline]\nmethods = ["elastic_net", "blup"]\n[eqtl]\nrun = false\n'
    part, few = of(contigs[::4]), of(contigs[:: max(1, len(contigs) // options.fits)][: options.fits])
    whole = options.sample
    return [
        Case(f"genome {whole}, {len(part)} genes", len(part), cohort, cheap, part),
        Case(f"genome {whole}, all genes", whole, cohort, cheap),
    ], Case(f"genome {whole}, fits of {len(few)} genes", len(few), cohort, fits, few)


def genome_table(part: Figures, whole: Figures, fits: Figures, rng: np.random.Generator) -> Iterator[str]:
    """Each stage scaled to the whole genome: its units on all cores, the rest on one.

    The rest is on the line through both sizes. Of the run with the fits, `evaluate` counts as well: other
    arms; `check`, `direction` and `report` are those of the other run.
    """
    of_all = f"of {WHOLE:,}, h"
    yield f"| stage | genes | units, s a gene | {of_all} | no unit, s | {of_all} | h on {CORES} cores |"
    yield "|---" * 7 + "|"
    draws, point = np.zeros(2000), 0.0
    rows = [(whole, stage, rest_of(part, stage["name"])) for stage in whole["stages"]]
    rows += [(fits, one, None) for one in fits["stages"] if one["name"].startswith(("baseline", "evaluate"))]
    for one, stage, before in rows:
        name = stage["name"]
        made = units_of(one, name)
        a_gene, drawn = per_gene(made, one["size"], rng, len(draws))
        rest = rest_of(one, name)
        slope = 0.0 if before is None else (rest - before) / (one["size"] - part["size"])
        alone = (rest + max(0.0, slope) * (WHOLE - one["size"])) / 3600
        hours = a_gene * WHOLE / 3600
        low, high = np.quantile(drawn, [0.025, 0.975]) * WHOLE / 3600
        draws += drawn * WHOLE / 3600 / CORES + alone
        point += hours / CORES + alone
        of_units = f"{hours:.2f} ({low:.2f} to {high:.2f})"
        cells = name, one["size"], f"{a_gene:.3f}", of_units, f"{rest:.1f}", f"{alone:.2f}"
        yield f"| {' | '.join(map(str, cells))} | {hours / CORES + alone:.2f} |"
    low, high = np.quantile(draws, [0.025, 0.975])
    yield f"| all | | | | | | **{point:.2f} ({low:.2f} to {high:.2f})** |"


def rest_of(one: Figures, name: str) -> float:
    """Processor seconds of a stage that no unit of work took."""
    seconds = sum(stage["processor_seconds"] for stage in one["stages"] if stage["name"] == name)
    return max(0.0, seconds - sum(unit["seconds"] for unit in units_of(one, name)))


def per_gene(
    units: Sequence[Figures], genes: int, rng: np.random.Generator, draws: int
) -> tuple[float, np.ndarray]:
    """Seconds a gene of all units, and the same of chromosomes drawn with replacement."""
    seconds: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    for unit in units:
        for name in unit["genes"]:
            contig = name.split("_")[0]
            seconds[contig] += unit["seconds"] / len(unit["genes"])
            counts[contig] += 1
    if not seconds:
        return 0.0, np.zeros(draws)
    total = np.array([seconds[name] for name in seconds])
    share = np.array([counts[name] for name in seconds]) / sum(counts.values())
    chosen = rng.integers(0, len(total), (draws, len(total)))
    return total.sum() / genes, total[chosen].sum(axis=1) / (share[chosen].sum(axis=1) * genes)


def tall_cases(options: argparse.Namespace) -> list[Case]:
    """The first genes of a cohort of many genes, a small window each."""
    words = "--genes", options.tall[-1], "--people", PEOPLE, "--spacing", 8000, "--flank", 4000
    cohort = simulated(options.out, options.cohort, f"tall-{options.tall[-1]}", *words)
    names = pl.read_csv(cohort / "genes.tsv", separator="\t")["gene_id"].to_list()
    network = options.out / "small_network.py"
    network.write_text(SMALL_NETWORK)
    body = (
        f"{model(f'file:{network.resolve()}', label='small')}"
        '[baseline]\nmethods = ["top_snp"]\ncis_window = 4000\n[eqtl]\ncis_window = 4000\npermutations = 99\n'
        "[evaluate]\npermutations = 99\nnull_draws = 99\n"
    )
    return [Case(f"tall, {count} genes", count, cohort, body, tuple(names[:count])) for count in options.tall]


def tall_table(found: Sequence[Figures]) -> Iterator[str]:
    """Growth with the number of genes alone, what no unit does, and what is written."""
    yield from growth_table(found, "genes")
    last = found[-1]
    yield ""
    yield f"| stage, {last['size']:,} genes | processor s | of which in no unit | wall s | peak MB |"
    yield "|---" * 5 + "|"
    for stage in last["stages"]:
        seconds, rest = stage["processor_seconds"], rest_of(last, stage["name"])
        cells = f"{seconds:.1f} | {rest:.1f} | {stage['seconds']:.1f} | {stage['peak_mb']:,}"
        yield f"| {stage['name']} | {cells} |"
    for one in found:
        yield ""
        written = f"{one['files']:,} files, {one['mb']:,.0f} MB; report.html {one['report_mb']:.1f} MB"
        yield f"{one['size']:,} genes: {written}."


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3])
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--cohort", type=Path, required=True, help="the real cohort's folder")
    parser.add_argument("--xpresso", type=Path, required=True, help="weights of Xpresso")
    parser.add_argument("--parts", nargs="+", default=["genes", "people", "genome", "tall"])
    parser.add_argument("--genes", type=int, nargs="+", default=[10, 50, 200, 499])
    parser.add_argument("--people", type=int, nargs="+", default=[358, 1000, 2504])
    parser.add_argument("--people-genes", type=int, default=8)
    parser.add_argument("--methods", nargs="+", default=["elastic_net", "blup", "top_snp"])
    parser.add_argument("--sample", type=int, default=506, help="genes of the genome that are run")
    parser.add_argument("--fits", type=int, default=4, help="chromosomes on which the elastic net is fitted")
    parser.add_argument("--tall", type=int, nargs="+", default=[WHOLE // 16, WHOLE // 4, WHOLE])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    results = Results(options.out)
    genes, people = growth_cases(options)
    for part, cases, what in (("genes", genes, "genes"), ("people", people, "people")):
        if part in options.parts:
            print("\n".join(["", *growth_table([results.of(case) for case in cases], what)]), flush=True)
    if "genome" in options.parts:
        cheap, fits = genome_cases(options)
        found = [results.of(case) for case in (*cheap, fits)]
        print("\n".join(["", *genome_table(*found, np.random.default_rng(1))]), flush=True)
    if "tall" in options.parts:
        print("\n".join(["", *tall_table([results.of(case) for case in tall_cases(options)])]), flush=True)


if __name__ == "__main__":
    main()
