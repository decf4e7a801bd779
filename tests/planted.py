"""A small cohort whose truth is known, and a toy model that knows it.

The toy model is linear in the sequence. Expression follows its prediction in genes ``up*``, runs against it
in genes ``down*``, and has nothing to do with it in genes ``null*``; gene ``bare`` has no variant near it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import torch

from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.nouns import Gene, Strand
from hapsight.cohort.reference import Reference
from hapsight.models.protocol import ModelWindow, ReadOut, SequenceModel, Track
from hapsight.models.registry import register
from hapsight.run.config import Config, load_config
from hapsight.run.effects import EffectsRun
from hapsight.run.opened import Opened
from hapsight.sequence.haplotypes import Window, personal_sequences
from hapsight.stages.predict import ModelRun, load_models
from tests.cohort.files import Record, write_bed, write_fasta, write_table, write_vcf

UPSTREAM, DOWNSTREAM = 300, 200
GENES = ("up1", "up2", "down1", "down2", "null1", "null2", "bare")
BARE_CLEARANCE = 2_000


class ToyModel(SequenceModel):
    """A weight per position and base, summed."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        length = UPSTREAM + DOWNSTREAM
        weights = np.column_stack([rng.standard_normal((length, 4)), np.zeros(length)])
        self.weights = torch.from_numpy(weights.astype(np.float32))
        self.name = "toy"
        self.window = ModelWindow(UPSTREAM, DOWNSTREAM, oriented=True)
        self.tracks = (Track("expression", "none", "none", ".", "arbitrary"),)
        self.read_outs = {"default": ReadOut("default")}
        self.default_read_out = "default"
        self.fingerprint = f"toy-{seed}"
        self.flop_per_pass = 2.0 * (UPSTREAM + DOWNSTREAM)

    def predict(self, codes: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
        position = torch.arange(codes.shape[1])
        return self.weights[position, codes.long()].sum(dim=1, keepdim=True)

    def to(self, device: torch.device) -> ToyModel:
        self.weights = self.weights.to(device)
        return self


def load_toy(weights: str | None = None, *, device: object = "cpu", seed: int = 0) -> ToyModel:
    """A loader, as the registry wants it."""
    return ToyModel(seed)


@dataclass(frozen=True)
class Planted:
    """Paths of a written cohort, and its genes."""

    folder: Path
    config: Path
    genes: tuple[Gene, ...]


def write_planted(
    folder: Path,
    people: int = 60,
    seed: int = 7,
    names: tuple[str, ...] = GENES,
    person: str = "P",
    populations: tuple[str, str] = ("CEU", "TSI"),
    strands: tuple[Strand, Strand] = (Strand.PLUS, Strand.MINUS),
) -> Planted:
    """Write the cohort and a configuration that runs the toy model and the baseline on it."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    sequence = "".join(rng.choice(list("ACGT"), 5_000 * (len(names) + 1)))
    genes = tuple(
        Gene(name, "chr1", 3_000 + 5_000 * i, strands[i % 2], name.upper()) for i, name in enumerate(names)
    )
    samples = [f"{person}{i:03d}" for i in range(people)]
    write_fasta(folder / "genome.fa.gz", {"chr1": sequence})
    records = _records(rng, sequence, genes, people)
    write_vcf(folder / "genotypes.vcf.gz", records, samples, contigs={"chr1": len(sequence)})
    values = _expression(folder, rng, genes)
    rows = {g.gene_id: ("chr1", g.tss + 1, values[g.gene_id]) for g in genes}
    write_bed(folder / "expression.bed.gz", rows, samples)
    header = ["gene_id", "gene_name", "chrom", "tss", "strand"]
    write_table(
        folder / "genes.tsv",
        [header, *([g.gene_id, g.gene_name, g.contig, g.tss + 1, g.strand] for g in genes)],
    )
    write_table(folder / "covariates.tsv", [["id", *samples], ["PC1", *rng.standard_normal(people).round(4)]])
    people_rows = [[s, populations[i % 2], "female"] for i, s in enumerate(samples)]
    write_table(folder / "samples.tsv", [["sample_id", "population", "sex"], *people_rows])
    config = folder / "planted.toml"
    config.write_text(CONFIG)
    return Planted(folder, config, genes)


CONFIG = """
name = "planted"
output = "run"
workers = 1
[cohort]
genotypes = "genotypes.vcf.gz"
reference = "genome.fa.gz"
expression = "expression.bed.gz"
genes = "genes.tsv"
covariates = "covariates.tsv"
samples = "samples.tsv"
[expression]
transform = "none"
[[models]]
name = "toy"
[predict]
genes_per_unit = 2
batch_size = 8
[baseline]
cis_window = 1000
inner_folds = 3
genes_per_unit = 2
[evaluate]
null_draws = 499
"""


FINISHED = """
[eqtl]
permutations = 99
[explain]
run = true
motifs = false
saturation = [-4, 3]
"""
"""What the finished run has beside `CONFIG`."""


def finish_planted(folder: Path) -> tuple[Planted, str]:
    """Write the cohort, and run all stages on it as the command does; gives what the command says too."""
    from typer.testing import CliRunner

    from hapsight.cli.main import app

    planted = write_planted(folder)
    planted.config.write_text(planted.config.read_text() + FINISHED)
    with register("toy", load_toy):
        found = CliRunner().invoke(app, ["run", str(planted.config)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return planted, found.output


def copied_planted(planted: Planted, folder: Path) -> Planted:
    """A cohort, and what was run on it, to be written to."""
    shutil.copytree(planted.folder, folder)
    return replace(planted, folder=folder, config=folder / planted.config.name)


def quiet(*_: object) -> None:
    """Progress that nobody watches."""


def opened_with_models(
    config: Config | Path, loader: Callable[..., SequenceModel] = load_toy
) -> tuple[Opened, list[ModelRun | EffectsRun]]:
    """A configuration, or the one in a file, opened, and its models; ``toy`` comes from the loader."""
    opened = Opened.from_config(load_config(config) if isinstance(config, Path) else config)
    with register("toy", loader):
        return opened, load_models(opened)


def require_columns(folder: Path, schemas: Mapping[str, Mapping[str, Any]]) -> None:
    """The tables of a folder, by their names, have these columns and types."""
    for name, schema in schemas.items():
        assert dict(pl.read_parquet(folder / f"{name}.parquet").schema) == schema, name


@contextmanager
def put_back(folder: Path) -> Iterator[None]:
    """Whatever is done in the folder meanwhile, it is afterwards as it was before."""
    with TemporaryDirectory() as elsewhere:
        kept = shutil.copytree(folder, Path(elsewhere) / "kept")
        try:
            yield
        finally:
            shutil.rmtree(folder)
            shutil.move(kept, folder)


def _records(rng: np.random.Generator, sequence: str, genes: tuple[Gene, ...], people: int) -> list[Record]:
    """A variant every 60 bp or so, one in six an indel; none near the gene ``bare``."""
    records, position = [], 500
    while position < len(sequence) - 100:
        position += int(rng.integers(20, 100))
        if any(g.gene_id == "bare" and abs(position - g.tss) < BARE_CLEARANCE for g in genes):
            continue
        ref, alt = _alleles(rng, sequence, position)
        frequency = rng.uniform(0.1, 0.5)
        calls = [f"{a}|{b}" for a, b in (rng.random((people, 2)) < frequency).astype(int)]
        records.append(Record(position + 1, ref, alt, calls, f"v{position + 1}"))
    return records


def _alleles(rng: np.random.Generator, sequence: str, position: int) -> tuple[str, str]:
    base = sequence[position]
    kind = rng.integers(0, 12)
    if kind == 0:
        return sequence[position : position + 3], base
    if kind == 1:
        return base, base + "".join(rng.choice(list("ACGT"), 2))
    return base, rng.choice([b for b in "ACGT" if b != base])


def _expression(folder: Path, rng: np.random.Generator, genes: tuple[Gene, ...]) -> dict[str, np.ndarray]:
    """Prediction times the gene's sign, and noise."""
    model, genotypes = ToyModel(), GenotypeFile(folder / "genotypes.vcf.gz")
    fetch = Reference(folder / "genome.fa.gz").fetch
    values = {}
    for gene in genes:
        window = Window.around(gene, UPSTREAM, DOWNSTREAM, oriented=True)
        made = personal_sequences(window, lambda interval: genotypes.read(interval)[0], fetch)
        codes = torch.from_numpy(made.oriented(made.distinct))
        predicted = model.predict(codes, model.read_out()).numpy()[:, 0][made.index].mean(axis=1)
        sign = {"up": 1, "do": -1}.get(gene.gene_id[:2], 0)
        spread = predicted.std() or 1.0
        noise = rng.standard_normal(len(predicted))
        values[gene.gene_id] = np.round(10 + sign * (predicted - predicted.mean()) / spread + 0.3 * noise, 5)
    return values
