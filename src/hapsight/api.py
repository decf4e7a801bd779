"""The functions of ``import hapsight as hs``: the pieces of a run, for notebooks (``docs/python.md``).

Each calls what `hapsight run` calls, so that numbers are equal; nothing is kept on disk. Shapes: N people,
D distinct haplotypes, L bases, V variants, T tracks of a read-out.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from hapsight.cohort import join
from hapsight.cohort.expression import Transform
from hapsight.cohort.join import Cohort
from hapsight.cohort.nouns import Dropped, Gene, Interval, Variants
from hapsight.dna import Codes
from hapsight.engine.views import placed, window_of
from hapsight.errors import ConfigError, HapsightWarning, InputError
from hapsight.explain.tables import EXPLAIN_EFFECTS
from hapsight.linear.methods import method_named
from hapsight.linear.nested import fit_held_out, make_folds
from hapsight.models.protocol import ModelWindow, SequenceModel
from hapsight.models.registry import load_model
from hapsight.models.weights import device_of
from hapsight.results import Prediction, Run, read_run
from hapsight.run.arms import arms_of
from hapsight.run.baselines import net_options
from hapsight.run.blocks import VariantReader
from hapsight.run.config import BaselineConfig, CohortConfig, Config, ExplainConfig, first_complaints
from hapsight.run.models import ModelSource
from hapsight.run.opened import Opened, Progress, cohort_files, policy_of
from hapsight.run.run_folder import RunFolder
from hapsight.sequence.haplotypes import Haplotypes, find_haplotypes
from hapsight.stages.baseline import baseline, gene_seed, weights_table
from hapsight.stages.evaluate import evaluate as evaluate_stage
from hapsight.stages.explain import effect_rows
from hapsight.stages.predict import ModelRun
from hapsight.stages.predict import predict as predict_stage
from hapsight.stats import nulls
from hapsight.stats.correlation import Correlation, correlate
from hapsight.stats.summary import fold_p

if TYPE_CHECKING:
    from hapsight.models.protocol import ReadOut

__all__ = [
    "Cohort",
    "Correlation",
    "GeneHaplotypes",
    "HeldOut",
    "Prediction",
    "RandomWeights",
    "Run",
    "correlate",
    "elastic_net",
    "evaluate",
    "haplotypes",
    "load_model",
    "open_cohort",
    "predict",
    "random_weights_null",
    "read_run",
    "variant_effects",
]

Float = NDArray[np.float64]
File = str | os.PathLike[str]
Method = Literal["elastic_net", "lasso", "blup", "top_snp"]
Section = TypeVar("Section", bound=BaseModel)

_MARGIN = 512
"""Bases beyond a window that are read with it: for shifts, and for what deletions pull in."""


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
    covariates: File | None = None,
    samples: File | None = None,
    keep_genes: Sequence[str] = (),
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
    covariates
        Covariates x people, or people x covariates.
    samples
        Sample sheet: sample_id, population, sex; only its people are used.
    keep_genes
        Only these genes, by identifier or name.
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
    config = _section(CohortConfig, genotypes=called, **paths, keep_genes=tuple(keep_genes), **policy)
    cohort, dropped = join.open_cohort(cohort_files(config), policy_of(config))
    left_out = "; ".join(f"{n} {kind} ({reason})" for (kind, reason), n in sorted(dropped.counts.items()))
    if left_out:
        warnings.warn(f"Left out: {left_out}. `cohort.dropped` has the names.", HapsightWarning, stacklevel=2)
    return replace(cohort, transform=transform, pseudocount=pseudocount)


@dataclass(frozen=True, eq=False, repr=False)
class GeneHaplotypes:
    """Both haplotypes of everybody in one window of a gene, as a model's window reads it.

    Attributes
    ----------
    window
        Bases before the TSS, and from it on; where it is oriented, sequences are in the gene's direction.
    """

    cohort: Cohort
    gene: Gene
    window: ModelWindow
    reader: VariantReader
    found: Haplotypes

    def __repr__(self) -> str:
        shape = f"{len(self.samples)} people, {len(self.found)} distinct of {self.window.length:,} bases"
        return f"GeneHaplotypes({self.gene.gene_id}: {shape})"

    @property
    def samples(self) -> tuple[str, ...]:
        """N people."""
        return self.found.samples

    @property
    def index(self) -> NDArray[np.intp]:
        """(N, 2) row of `distinct` for each person's two haplotypes (a man's one on chrX: twice the same)."""
        return self.found.index

    @property
    def reference(self) -> Codes:
        """(L,) uint8 codes (A, C, G, T, N = 0..4) of the reference sequence."""
        return self.found.oriented(self.found.reference)

    @cached_property
    def distinct(self) -> Codes:
        """(D, L) uint8 codes (A, C, G, T, N = 0..4) of the distinct haplotypes; no two rows are equal."""
        return self.found.oriented(self.found.codes(0, len(self.found)))

    @cached_property
    def variants(self) -> Variants:
        """The V variants whose reference allele overlaps the window; positions are 0-based."""
        return self.reader(self.found.window.interval)

    @property
    def dosage(self) -> NDArray[np.uint8]:
        """(V, N) alternative alleles, 0 to 2, as linear methods see them (a man's on chrX: 0 or 2)."""
        return self.variants.linear_dosage

    @property
    def dropped(self) -> Dropped:
        """Variants and alleles that could not be used."""
        all_ = Dropped()
        all_.merge(self.reader.dropped)
        all_.merge(self.found.dropped)
        return all_


def haplotypes(cohort: Cohort, gene: Gene | str, window: ModelWindow) -> GeneHaplotypes:
    """Both haplotypes of everybody around a gene's TSS, with SNVs and indels, each distinct one once.

    Parameters
    ----------
    window
        Of a model (``model.window``), or one of your own: ``ModelWindow(upstream, downstream, oriented)``.

    Raises
    ------
    ConfigError
        No such gene; or its strand is needed and not known.
    InputError
        Genotypes are damaged, or offend against the cohort's policy.

    Examples
    --------
    >>> found = hs.haplotypes(cohort, "PACSIN2", model.window)  # doctest: +SKIP
    >>> found.distinct[found.index].shape  # (N, 2, L)  # doctest: +SKIP
    """
    gene = cohort.gene(gene)
    place = placed(gene, window)
    reader = _reader(cohort, place.interval.widen(_MARGIN, _MARGIN))
    found = find_haplotypes(place, reader, cohort.reference.fetch)
    return GeneHaplotypes(cohort, gene, window, reader, found)


def _reader(cohort: Cohort, interval: Interval) -> VariantReader:
    """Reads the interval once, with the first that is asked for, and keeps it."""
    return VariantReader(cohort.genotypes, cohort.reference, [interval, interval])


def predict(
    model: SequenceModel,
    haplotypes: GeneHaplotypes,
    *,
    read_out: str | None = None,
    batch_size: int = 64,
    budget_gb: float | None = None,
) -> Prediction:
    """Run a model on every distinct haplotype once; local layers are shared between people where they can be.

    Parameters
    ----------
    model
        Of `load_model`, or your own (``docs/python.md``); it runs where its parameters are.
    haplotypes
        Of the model's window.
    read_out
        One of ``model.read_outs``; else the model's default.
    batch_size
        Sequences in a batch.
    budget_gb
        GiB for sequences, embeddings and a batch; None: 2, on a GPU up to half of what is free.

    Raises
    ------
    ConfigError
        The haplotypes are of another window, no such read-out, or no room for one sequence.
    ModelError
        The model gives something else than finite (sequences, tracks).

    Examples
    --------
    >>> predicted = hs.predict(model, haplotypes)  # doctest: +SKIP
    >>> predicted.person[:, 0]  # (N,), the mean of both haplotypes, first track  # doctest: +SKIP
    """
    from hapsight.engine.engine import Sequences, predict_genes

    _require_window(model, haplotypes)
    cohort, gene = haplotypes.cohort, haplotypes.gene
    chosen = model.read_out(read_out)
    (found,) = predict_genes(
        Sequences(model, chosen, haplotypes.reader, cohort.reference.fetch),
        [gene],
        batch_size=batch_size,
        device=device_of(model),
        budget=None if budget_gb is None else int(budget_gb * 2**30),
    )
    return Prediction(
        gene,
        model.name,
        chosen.name,
        _tracks(model, chosen),
        found.samples,
        found.reference,
        found.distinct,
        found.index,
    )


def _require_window(model: SequenceModel, haplotypes: GeneHaplotypes) -> None:
    if haplotypes.window != model.window:
        raise ConfigError(
            "The haplotypes are of another window than the model's.",
            where=f"model {model.name}, gene {haplotypes.gene.gene_id}",
            expected=model.window,
            got=haplotypes.window,
            fix="haplotypes(cohort, gene, model.window)",
        )


def _tracks(model: SequenceModel, read_out: ReadOut) -> tuple[str, ...]:
    return tuple(model.tracks[index].name for index in read_out.tracks)


@dataclass(frozen=True, slots=True, eq=False)
class RandomWeights:
    """What abs(r) is by chance: that of random weights on the same variants.

    Attributes
    ----------
    r
        (draws,) abs(r) of random linear predictions with the expression.
    """

    r: Float

    def test(self, r: float | Correlation) -> nulls.NullTest:
        """How abs(r) stands against the draws: ``pval_empirical``, ``z``, ``pval_z``, ``null_mean``.

        Raises
        ------
        InputError
            There is no r: the prediction or the expression is constant.
        """
        value = r.r if isinstance(r, Correlation) else r
        if value is None:
            raise InputError("There is no correlation to test.", got=getattr(r, "status", r))
        return nulls.null_test(value, self.r)


def random_weights_null(
    dosage: NDArray[np.uint8], observed: Float, draws: int = 1000, seed: int = 1, gene: Gene | None = None
) -> RandomWeights:
    """abs(r) of random linear predictions from the window's variants: chance, given genotypes (Sasse 2023).

    Parameters
    ----------
    dosage
        (V, N) alternative alleles.
    observed
        (N,) expression.
    gene
        Given, the draws are those of a run with this seed, gene by gene.

    Raises
    ------
    InputError
        No variant varies, or the expression does not.

    Examples
    --------
    >>> null = hs.random_weights_null(haplotypes.dosage, cohort.observed(gene))  # doctest: +SKIP
    >>> null.test(found).pval_empirical  # doctest: +SKIP
    """
    own = () if gene is None else (gene.gene_id,)
    rng = nulls.weights_stream(seed, *own)
    return RandomWeights(nulls.random_weights_null(dosage, observed, draws, rng))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class HeldOut:
    """A linear prediction of everybody by models that have not seen them.

    Attributes
    ----------
    status
        ``ok``, or why there is no prediction (`hapsight.linear.nested.GeneStatus`).
    predicted, observed
        (N,) held-out prediction, and expression less what covariates explain by the other folds' people.
    fold
        (N,) in which each person was held out.
    fold_r
        (K,) Pearson r within each fold; NaN where either is constant.
    weights
        The non-zero effects per alternative allele of the fit on all people: one row per variant.
    """

    gene: Gene
    samples: tuple[str, ...]
    status: str
    predicted: Float
    observed: Float
    fold: NDArray[np.int64]
    fold_r: Float
    weights: pl.DataFrame

    def __repr__(self) -> str:
        return f"HeldOut({self.gene.gene_id}: {self.status}, r {self.r}, {len(self.weights)} weights)"

    @property
    def r(self) -> float | None:
        """Pearson r of prediction and expression over all people; None unless `status` is ``ok``."""
        return correlate(self.predicted, self.observed).r if self.status == "ok" else None

    @property
    def p(self) -> float | None:
        """P of each fold's r, combined (R over all folds has no sound p); None unless `status` is ``ok``."""
        return fold_p(self.predicted, self.observed, self.fold) if self.status == "ok" else None


def elastic_net(
    cohort: Cohort,
    gene: Gene | str,
    cis_window: int = 1_000_000,
    *,
    method: Method = "elastic_net",
    seed: int = 1,
    alpha: float = 0.5,
    min_maf: float = 0.01,
    outer_folds: int = 5,
    inner_folds: int = 10,
) -> HeldOut:
    """PrediXcan's elastic net of a gene's cis variants, nested: nobody is predicted by a model that saw them.

    Parameters
    ----------
    cis_window
        Bases on either side of the TSS.
    method
        ``"lasso"``, ``"blup"`` and ``"top_snp"`` see the same folds and variants.
    seed
        Of the folds; equal seeds give the numbers of a run's baseline.
    alpha
        glmnet's; 1 is the LASSO.
    min_maf
        Frequency floor, in training people.
    outer_folds, inner_folds
        Folds that are predicted, and folds that choose lambda.

    Raises
    ------
    ConfigError
        No such gene, key or value.
    InputError
        Genotypes are damaged, or the cohort has too few people.

    Examples
    --------
    >>> net = hs.elastic_net(cohort, "PACSIN2")  # doctest: +SKIP
    >>> net.r, net.p, net.weights  # doctest: +SKIP
    """
    gene = cohort.gene(gene)
    folds = {"outer_folds": outer_folds, "inner_folds": inner_folds}
    config = _section(
        BaselineConfig, cis_window=cis_window, methods=(method,), alpha=alpha, min_maf=min_maf, **folds
    )
    near = _reader(cohort, gene.cis(cis_window))(gene.cis(cis_window))
    samples, (row,) = cohort.samples, cohort.rows([gene])
    fit = fit_held_out(
        near.linear_dosage,
        cohort.transformed[row],
        None if cohort.covariates is None else cohort.covariates.values,
        make_folds(len(samples), config.outer_folds, np.random.default_rng(seed)),
        gene_seed(seed, gene.gene_id),
        method_named(method, net_options(config)),
        near.one_copy,
    )
    weights = weights_table(gene, near, fit)
    return HeldOut(gene, samples, str(fit.status), fit.predicted, fit.observed, fit.fold, fit.fold_r, weights)


def variant_effects(
    model: SequenceModel,
    cohort: Cohort,
    gene: Gene | str,
    *,
    read_out: str | None = None,
    backgrounds: int | None = None,
    batch_size: int = 64,
) -> pl.DataFrame:
    """What each variant of the window does to a prediction, on the reference and in people's haplotypes.

    Parameters
    ----------
    backgrounds
        Distinct haplotypes in which variants are toggled, the commonest first; all where ``None``.

    Returns
    -------
    One row per track and variant: the columns of ``effects.parquet`` (``docs/formats.md``), among them
    `effect` (on the reference), `effect_mean` and `effect_sd` (over people's distinct haplotypes).

    Raises
    ------
    ConfigError, ModelError, InputError
        As `haplotypes` and `predict`.

    Examples
    --------
    >>> effects = hs.variant_effects(model, cohort, "PACSIN2")  # doctest: +SKIP
    >>> effects.sort(pl.col("effect").abs(), descending=True).head()  # doctest: +SKIP
    """
    from hapsight.engine.values import Valuer
    from hapsight.explain.ism import gene_ism

    gene = cohort.gene(gene)
    _section(ExplainConfig, backgrounds=backgrounds)
    chosen = model.read_out(read_out)
    valuer = Valuer(model.local(), chosen, str(device_of(model)), batch_size)
    reader = _reader(cohort, window_of(gene, model, _MARGIN).interval)
    found = gene_ism(gene, valuer, reader, cohort.reference.fetch, backgrounds)
    tracks = enumerate(_tracks(model, chosen))
    rows = [row for t, track in tracks for row in effect_rows(gene, track, found, t)]
    return pl.DataFrame(rows, schema=EXPLAIN_EFFECTS)


def evaluate(
    cohort: Cohort,
    models: Sequence[SequenceModel | Method],
    genes: Sequence[Gene | str] | None = None,
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
        Sequence models, and linear methods by name, such as ``[model, "elastic_net"]``.
    genes
        Of the cohort, also by name or identifier; all where not given. q-values are over these.
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
    networks = [model for model in models if not isinstance(model, str)]
    methods = tuple(model for model in models if isinstance(model, str))
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


def _require_read_outs(models: Sequence[SequenceModel], read_outs: Sequence[str | None]) -> None:
    """Refuse what could not be told apart in the table."""
    if len(read_outs) != len(models):
        got = f"{len(read_outs)} for {len(models)} models"
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
        config = _section(Config, name="python", output=folder, eqtl={"run": False}, **sections)
        opened = Opened(config, cohort, cohort.dropped, (), RunFolder(Path(folder)))
        opened.begin()
        yield opened


def _run(model: SequenceModel, read_out: str | None) -> ModelRun:
    """A model as a run has it; only this process does."""
    device = str(device_of(model))
    source = ModelSource(model.name, None, "{}", device, "float32", compiled=False)
    return ModelRun.loaded(model, model.read_out(read_out), "python", source, device)


def _section(kind: Callable[..., Section], **values: Any) -> Section:
    """A part of the configuration.

    Raises
    ------
    ConfigError
        An unknown key or value, in the words of the configuration.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        raise ConfigError(*first_complaints(error)) from None
