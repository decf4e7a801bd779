"""One gene of a cohort, for notebooks: haplotypes, a model on them, chance, a linear fit, variants' effects.

Each calls what `hapsight run` calls, so that numbers are equal; nothing is kept on disk. Shapes: N people,
D distinct haplotypes, L bases, V variants, T tracks of a read-out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.join import Cohort
from hapsight.cohort.nouns import Dropped, Gene, Interval, Variants
from hapsight.dna import Codes
from hapsight.engine.views import Sequences, window_of
from hapsight.errors import ConfigError, InputError, MissingExtraError, plural, require_kind
from hapsight.explain.tables import EXPLAIN_EFFECTS
from hapsight.linear.fits import make_folds
from hapsight.linear.methods import MethodName, method_named
from hapsight.linear.nested import fit_held_out
from hapsight.models.protocol import MODEL, ModelWindow, SequenceModel
from hapsight.models.weights import device_of
from hapsight.run.baselines import gene_seed, net_options
from hapsight.run.blocks import VariantReader
from hapsight.run.config import BaselineConfig, ExplainConfig, config_part
from hapsight.sequence.haplotypes import Haplotypes, find_haplotypes
from hapsight.stages.baseline import weights_table
from hapsight.stages.explain import effect_rows
from hapsight.stats import nulls
from hapsight.stats.correlation import Correlation, correlate
from hapsight.stats.summary import fold_p

if TYPE_CHECKING:
    import xarray

    from hapsight.models.protocol import ReadOut

__all__ = [
    "GeneHaplotypes",
    "HeldOut",
    "Prediction",
    "RandomWeights",
    "elastic_net",
    "haplotypes",
    "predict",
    "random_weights_null",
    "variant_effects",
]

Float = NDArray[np.float64]

_MARGIN = 512
"""Bases beyond a window that are read with it: for shifts, and for what deletions pull in."""


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
        shape = (
            f"{plural(len(self.samples), 'people')}, {len(self.found)} distinct of "
            f"{self.window.length:,} bases"
        )
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
    require_kind(window, ModelWindow, "haplotypes, window", fix="model.window")
    gene = cohort.gene(gene)
    place = window_of(gene, window)
    reader = _reader(cohort, place.interval.widen(_MARGIN, _MARGIN))
    found = find_haplotypes(place, reader, cohort.reference.fetch)
    return GeneHaplotypes(cohort, gene, window, reader, found)


def _reader(cohort: Cohort, interval: Interval) -> VariantReader:
    """Reads the interval once, with the first that is asked for, and keeps it."""
    return VariantReader(cohort.genotypes, cohort.reference, [interval, interval])


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """A model's values of one gene: T tracks, D distinct haplotypes, N people.

    Attributes
    ----------
    reference
        (T,) value of the reference sequence, in the model's units.
    distinct
        (D, T) value of each distinct haplotype.
    index
        (N, 2) row of `distinct` for each person's two haplotypes.
    """

    gene: Gene
    model: str
    read_out: str
    tracks: tuple[str, ...]
    samples: tuple[str, ...]
    reference: Float
    distinct: Float
    index: NDArray[np.intp]

    def __repr__(self) -> str:
        shape = (
            f"{plural(len(self.samples), 'people')}, {len(self.distinct)} distinct haplotypes, "
            f"{plural(len(self.tracks), 'track')}"
        )
        return f"Prediction({self.gene.gene_id} by {self.model}: {shape})"

    @property
    def values(self) -> Float:
        """(N, 2, T) value of every person's two haplotypes."""
        return self.distinct[self.index]

    @property
    def person(self) -> Float:
        """(N, T) a person's value: the mean of both haplotypes (a man's on chrX: that of his one)."""
        return np.asarray(self.values.mean(axis=1), np.float64)

    def to_xarray(self) -> xarray.Dataset:
        """`value` (sample, haplotype, track) and `reference` (track), with their coordinates.

        Raises
        ------
        MissingExtraError
            xarray is not installed.
        """
        labels = {"gene_id": self.gene.gene_id, "model": self.model, "read_out": self.read_out}
        coords = {"sample": list(self.samples), "haplotype": [1, 2], "track": list(self.tracks)}
        arrays = {
            "value": (("sample", "haplotype", "track"), self.values),
            "reference": ("track", self.reference),
        }
        try:
            import xarray
        except ImportError:
            raise MissingExtraError(
                "xarray is not installed.", fix="pip install 'hapsight[notebook]'"
            ) from None
        return xarray.Dataset(arrays, coords, labels)


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
    from hapsight.engine.engine import predict_genes

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
    require_kind(model, SequenceModel, "predict, model", fix=MODEL)
    require_kind(haplotypes, GeneHaplotypes, "predict", fix="haplotypes(cohort, gene, model.window)")
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

    def __repr__(self) -> str:
        return f"RandomWeights({len(self.r):,} draws, mean abs(r) {self.r.mean():.3f})"

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
        return (
            f"HeldOut({self.gene.gene_id}: {self.status}, r {self.r}, {plural(len(self.weights), 'weight')})"
        )

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
    method: MethodName = "elastic_net",
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
    config = config_part(
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
    from hapsight.engine.engine import Valuer
    from hapsight.explain.ism import gene_ism

    gene = cohort.gene(gene)
    config_part(ExplainConfig, backgrounds=backgrounds)
    chosen = model.read_out(read_out)
    valuer = Valuer(model.local(), chosen, str(device_of(model)), batch_size)
    reader = _reader(cohort, window_of(gene, model.window, _MARGIN).interval)
    found = gene_ism(gene, valuer, reader, cohort.reference.fetch, backgrounds)
    tracks = enumerate(_tracks(model, chosen))
    rows = [row for t, track in tracks for row in effect_rows(gene, track, found, t)]
    return pl.DataFrame(rows, schema=EXPLAIN_EFFECTS)
