"""A cohort from its files, and models judged on it, for notebooks (``docs/python.md``).

Each calls what `hapsight run` calls, so that numbers are equal; nothing is kept on disk. Shapes: N people,
D distinct haplotypes, L bases, V variants, T tracks of a read-out.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, get_args

import polars as pl

from hapsight.cohort import join
from hapsight.cohort.expression import Phenotype, Transform
from hapsight.cohort.join import Cohort
from hapsight.cohort.matching import gene_names
from hapsight.cohort.nouns import Gene
from hapsight.errors import ConfigError, HapsightWarning, plural, require_kind
from hapsight.linear.methods import MethodName
from hapsight.models.protocol import MODEL, SequenceModel
from hapsight.models.weights import device_of
from hapsight.run.arms import arms_of
from hapsight.run.config import CohortConfig, Config, ExpressionConfig, config_part
from hapsight.run.models import ModelSource
from hapsight.run.opened import Opened, Progress, as_compared, cohort_files, policy_of
from hapsight.run.run_folder import RunFolder
from hapsight.stages.baseline import baseline
from hapsight.stages.evaluate import evaluate as evaluate_stage
from hapsight.stages.predict import ModelRun
from hapsight.stages.predict import predict as predict_stage

__all__ = ["Cohort", "evaluate", "open_cohort"]

File = str | os.PathLike[str]


class Policy(TypedDict, total=False):
    """What to do with flaws of genotypes: keys of ``[cohort]``, see ``hapsight schema``."""

    variants: Literal["all", "snv"]
    min_maf: float
    missing: Literal["error", "reference", "drop"]
    unphased: Literal["error", "drop"]
    ref_mismatch: Literal["error", "drop"]
    duplicates: Literal["error", "first"]
    ploidy_conflict: Literal["error", "missing", "drop"]
    chrx_dosage: Literal[1, 2]
    par: Sequence[tuple[int, int]]


def open_cohort(
    genotypes: File | Sequence[File],
    reference: File,
    expression: File,
    *,
    genes: File | None = None,
    phenotype: Phenotype = "genes",
    covariates: File | None = None,
    samples: File | None = None,
    keep_genes: Sequence[str] = (),
    regions: Sequence[str] = (),
    populations: Sequence[str] = (),
    transform: Transform = "log10",
    pseudocount: float = 0.1,
    **policy: Unpack[Policy],
) -> Cohort:
    """Open a cohort's files, as ``[cohort]`` and ``[expression]`` of a configuration name them.

    Parameters
    ----------
    genotypes
        Phased VCF or BCF, indexed, or PGEN: a file, several, or a name with ``{chrom}`` in it.
    reference
        FASTA of the same build, indexed.
    expression
        tensorQTL's phenotype BED.
    genes
        TSS and strand: GTF, BED6 or TSV.
    phenotype
        What the rows of `expression` are: ``"peaks"`` have no strand and are read at their centre.
    covariates
        Covariates x people, or people x covariates.
    samples
        Sample sheet: sample_id, population, sex; only its people are used.
    keep_genes
        Only these genes, by identifier or name; or files of such.
    regions
        Only genes whose TSS lies in one of these: ``"chr22:41000000-42000000"``, from 1, or ``"chr22"``.
    populations
        Only people of these, as the sample sheet has them.
    transform, pseudocount
        How expression is compared: ``log10(x + pseudocount)``, or ``"none"``: as it is.
    **policy
        What to do with flaws of genotypes, such as ``variants="snv"``, ``missing="drop"``, ``min_maf=0.01``.

    Warns
    -----
    HapsightWarning
        Somebody or something was left out; `Cohort.dropped` has the names.

    Raises
    ------
    ConfigError
        An unknown key or value.
    InputError
        A file is broken, or nobody or no gene is left.

    Examples
    --------
    >>> cohort = hs.open_cohort("genotypes.vcf.gz", "GRCh38.fa.gz", "expression.bed.gz")  # doctest: +SKIP
    >>> cohort.gene("PACSIN2"), cohort.genes[:50], cohort.samples  # doctest: +SKIP
    """
    files = {"reference": reference, "expression": expression, "genes": genes, "covariates": covariates}
    files["samples"] = samples
    paths = {role: Path(path).expanduser() for role, path in files.items() if path is not None}
    several = [genotypes] if isinstance(genotypes, str | os.PathLike) else genotypes
    calls = [Path(path).expanduser() for path in several]
    called = calls[0] if len(calls) == 1 else tuple(calls)
    expressed = config_part(ExpressionConfig, transform=transform, pseudocount=pseudocount)
    chosen = {"keep_genes": gene_names(keep_genes, Path()), "regions": regions, "populations": populations}
    config = config_part(CohortConfig, genotypes=called, **paths, phenotype=phenotype, **chosen, **policy)
    cohort, dropped = join.open_cohort(cohort_files(config), policy_of(config))
    left_out = "; ".join(f"{n} {kind} ({reason})" for (kind, reason), n in sorted(dropped.counts.items()))
    if left_out:
        warnings.warn(f"Left out: {left_out}. `cohort.dropped` has the names.", HapsightWarning, stacklevel=2)
    return as_compared(cohort, expressed)


def evaluate(
    cohort: Cohort,
    models: SequenceModel | MethodName | Sequence[SequenceModel | MethodName],
    genes: Gene | str | Sequence[Gene | str] | None = None,
    *,
    read_outs: Sequence[str | None] = (),
    cis_window: int = 1_000_000,
    seed: int = 1,
    null_draws: int = 1000,
    permutations: int = 1000,
    batch_size: int = 64,
    workers: int = 1,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Judge models on genes: the rows of a run's ``per_gene``, with every test.

    Parameters
    ----------
    models
        Sequence models, and linear methods by name, such as ``[model, "elastic_net"]``; or one of them.
    genes
        Of the cohort, also by name or identifier, or one of them; all where not given. q-values are over
        these.
    read_outs
        Of each sequence model in turn; their defaults where not given.
    cis_window
        Of linear methods: bases on either side of the TSS.
    seed
        Of folds and nulls; equal seeds give the numbers of a run.
    null_draws, permutations
        Draws of random weights, and permutations of people within populations.
    batch_size
        Sequences in a batch.
    workers
        Processes for linear methods.
    progress
        Called with a stage's name, how many units are done, and how many there are.

    Returns
    -------
    One row per gene, model and track, genes in the cohort's order (``docs/formats.md``, per_gene): `status`,
    `pearson_r`, `ci_low`, `ci_high`, `pval_empirical`, `qval` ...

    Raises
    ------
    ConfigError
        No such gene or method; or two models of one name and read-out.
    ModelError, InputError
        As `predict`.

    Examples
    --------
    >>> hs.evaluate(cohort, [model, "elastic_net"], genes=cohort.genes[:50])  # doctest: +SKIP
    """
    show: Progress = progress or (lambda label, done, of: None)
    models = (models,) if isinstance(models, SequenceModel | str) else models
    genes = (genes,) if isinstance(genes, Gene | str) else genes
    networks = [model for model in models if not isinstance(model, str)]
    methods = tuple(model for model in models if isinstance(model, str))
    _require_models(networks, methods)
    wanted = read_outs or [None] * len(networks)
    _require_read_outs(networks, wanted)
    some = cohort if genes is None else cohort.of_genes([cohort.gene(gene) for gene in genes])
    sections = {
        "evaluate": {"null_draws": null_draws, "permutations": permutations},
        "predict": {"batch_size": batch_size},
        "baseline": {"run": bool(methods), "cis_window": cis_window}
        | ({"methods": methods} if methods else {}),
    }
    with _opened(some, seed=seed, workers=workers, **sections) as opened:
        runs = [_run(model, name) for model, name in zip(networks, wanted, strict=True)]
        predict_stage(opened, runs, show)
        baseline(opened, show)
        evaluate_stage(opened, arms_of(opened, runs), show)
        return pl.read_parquet(opened.folder.path / "evaluation" / "per_gene.parquet")


def _require_models(networks: Sequence[SequenceModel], methods: Sequence[str]) -> None:
    for model in networks:
        require_kind(model, SequenceModel, "evaluate, models", fix=MODEL)
    known = get_args(MethodName)
    for name in methods:
        if name not in known:
            fix = f"a sequence model is given loaded: {MODEL}"
            raise ConfigError(f"There is no linear method {name!r}.", expected=", ".join(known), fix=fix)


def _require_read_outs(models: Sequence[SequenceModel], read_outs: Sequence[str | None]) -> None:
    """Refuse what could not be told apart in the table."""
    if len(read_outs) != len(models):
        got = f"{len(read_outs)} for {plural(len(models), 'model')}"
        raise ConfigError("Each sequence model needs a read-out, or None.", where="read_outs", got=got)
    names = [(model.name, model.read_out(name).name) for model, name in zip(models, read_outs, strict=True)]
    if len(set(names)) < len(names):
        raise ConfigError(
            "Two models have one name and one read-out, so their rows could not be told apart.",
            got=", ".join(name for name, _ in names),
            fix="set `name` of one of them",
        )


@contextmanager
def _opened(cohort: Cohort, **sections: Any) -> Iterator[Opened]:
    """A run of a cohort that is open already, in a folder that goes away."""
    files = {"genotypes": cohort.genotypes.paths, "reference": cohort.reference.path}
    variants = "snv" if cohort.genotypes.policy.snv_only else "all"
    sections["cohort"] = files | {"expression": "open already", "variants": variants}
    sections["expression"] = {"transform": cohort.transform, "pseudocount": cohort.pseudocount}
    with tempfile.TemporaryDirectory(prefix="hapsight-") as folder:
        config = config_part(Config, name="python", output=folder, eqtl={"run": False}, **sections)
        opened = Opened(config, cohort, cohort.dropped, (), RunFolder(Path(folder)))
        opened.begin()
        yield opened


def _run(model: SequenceModel, read_out: str | None) -> ModelRun:
    """A model as a run has it; only this process does."""
    device = str(device_of(model))
    source = ModelSource(model.name, None, "{}", device, "float32", compiled=False)
    return ModelRun.loaded(model, model.read_out(read_out), "python", source, device)
