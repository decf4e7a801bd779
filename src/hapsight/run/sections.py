"""Sections of the configuration. ``[train]``: training on people.

Where a scheduler is: its address, or a file that says so.

The sections ``[baseline]``, ``[informed]`` and ``[eqtl]`` of the configuration: linear methods, eQTLs.

The sections ``[priors]``, ``[cluster]`` and ``[report]`` of the configuration.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from hapsight.errors import IncompleteError

__all__ = [
    "GRID",
    "MIN_SHARE",
    "BaselineConfig",
    "ClusterConfig",
    "EqtlConfig",
    "EvaluateConfig",
    "EvidenceEffectsConfig",
    "EvidenceTrackConfig",
    "ExpressionConfig",
    "GeneCovariatesConfig",
    "ImportedConfig",
    "InformedConfig",
    "PersonCovariatesConfig",
    "PriorEffectsConfig",
    "PriorsConfig",
    "ReportConfig",
    "Section",
    "SignedEffectsConfig",
    "Split",
    "TrainArmConfig",
    "TrainConfig",
    "find_address",
    "is_address",
    "section_at",
]

Split = Literal["random", "population", "super_population"]
"""Who is held out: a random fold, a population, or a super-population."""

_ADDRESS: Final = re.compile(r"[a-z]+://.+|[^/]+:\d+")
_PAUSE: Final = 0.5


def is_address(scheduler: str) -> bool:
    """Whether this is ``tcp://host:port`` or ``host:port``; anything else is a file."""
    return _ADDRESS.fullmatch(scheduler) is not None


def find_address(scheduler: str, deadline: float) -> str:
    """The address itself, or what the scheduler file says; waits for a file that is not there yet.

    Parameters
    ----------
    deadline
        On the clock of `time.monotonic`.

    Raises
    ------
    IncompleteError
        By then there is no file that names an address.
    """
    if is_address(scheduler):
        return scheduler
    while True:
        try:
            return str(json.loads(Path(scheduler).read_text())["address"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            if time.monotonic() >= deadline:
                raise IncompleteError(
                    "There is no scheduler file that names an address.",
                    where=scheduler,
                    got=error,
                    fix="start the scheduler with `dask scheduler --scheduler-file FILE`",
                ) from None
            time.sleep(_PAUSE)


MIN_SHARE: Final = 0.5
"""Share of a gene's weights that must be usable, unless the configuration says otherwise."""


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, and nothing is changed in place."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def from_home(cls, value: Any) -> Any:
        """``~/`` of a path, or of paths in a list, is the home folder, as to a shell."""
        if isinstance(value, list):
            return [cls.from_home(one) for one in value]
        return os.path.expanduser(value) if isinstance(value, str) and value.startswith("~/") else value


class ExpressionConfig(Section):
    """How expression is treated before it is compared or learned from."""

    transform: Literal["log10", "none"] = Field("log10", description="log10(x + pseudocount), or as it is")
    pseudocount: Annotated[float, Field(ge=0)] = Field(0.1, description="added before the logarithm")
    permuted: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="negative control: a seed by which expression and covariates are permuted among people",
    )


class ImportedConfig(Section):
    """Weights that were trained elsewhere, applied to this cohort."""

    path: Path = Field(
        description="a PredictDB file (SQLite), as PrediXcan reads it, or a table with weights"
    )
    label: str = Field(min_length=1, description="what tables call it")
    min_share: Annotated[float, Field(gt=0, le=1)] = Field(
        MIN_SHARE,
        description="genes of which less of the weights, or of their absolute sum, can be used have no R",
    )


class BaselineConfig(Section):
    """Linear models of the cis variants, PrediXcan's elastic net first."""

    run: bool = Field(True, description="whether to fit them")
    methods: tuple[Literal["elastic_net", "lasso", "blup", "top_snp"], ...] = Field(
        ("elastic_net", "blup", "top_snp"), min_length=1, description="what to fit, on identical folds"
    )
    splits: tuple[Split, ...] = Field(
        ("random",), min_length=1, description="whom to hold out: random folds, or each population in turn"
    )
    imported: tuple[ImportedConfig, ...] = Field((), description="weights that were trained elsewhere")
    cis_window: Annotated[int, Field(ge=1)] = Field(1_000_000, description="bases on either side of the TSS")
    alpha: Annotated[float, Field(gt=0, le=1)] = Field(0.5, description="glmnet's alpha of the elastic net")
    min_maf: Annotated[float, Field(ge=0, lt=0.5)] = Field(
        0.01, description="frequency floor, in training people"
    )
    outer_folds: Annotated[int, Field(ge=2)] = Field(5, description="random folds that are predicted")
    inner_folds: Annotated[int, Field(ge=3)] = Field(10, description="folds that choose lambda")
    genes_per_unit: Annotated[int, Field(ge=1)] | None = Field(
        None, description="genes that are saved together; else as many as make units of about equal work"
    )

    @model_validator(mode="after")
    def _distinct(self) -> BaselineConfig:
        """Nothing is fitted twice, and every label means one thing."""
        labels = [*self.methods, *(imported.label for imported in self.imported)]
        for given in (labels, [str(split) for split in self.splits]):
            twice = [name for name in given if given.count(name) > 1]
            if twice:
                raise ValueError(f"{twice[0]!r} comes twice among methods, labels and splits")
        return self


class EvidenceTrackConfig(Section):
    """A functional track whose signal at a variant is evidence that it matters."""

    label: str = Field(min_length=1, description="what tables call it")
    paths: tuple[Path, ...] = Field(min_length=1, description="bigWigs, such as the two strands; added up")
    reach: Annotated[int, Field(ge=0)] = Field(250, description="bases on either side of a variant")


class EvidenceEffectsConfig(Section):
    """A sequence model whose effects of variants are evidence that they matter; their signs are not used."""

    label: str = Field(min_length=1, description="what tables call it")
    path: Path = Field(description="`effects.parquet` of `hapsight explain`, of this cohort's genes")


class SignedEffectsConfig(Section):
    """A model whose effects, times a learned coefficient, are the prior means of variants' effects."""

    label: str = Field(min_length=1, description="what tables call it")
    path: Path = Field(description="`effects.parquet` of `hapsight explain`, of this cohort's genes")
    largest: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="only this share of the effects that are not 0, the largest; others count as 0"
    )


class InformedConfig(Section):
    """Linear prediction with prior evidence; window, folds and alpha are [baseline]'s."""

    method: Literal["susie_blup", "elastic_net"] = Field(
        "susie_blup", description="what evidence informs: the mean of SuSiE and BLUP, or the elastic net"
    )
    refine: bool = Field(
        False, description="whether SuSiE restarts without each credible set, while its ELBO rises"
    )
    splits: tuple[Split, ...] = Field(
        ("random",), min_length=1, description="whom to hold out: random folds, or each population in turn"
    )
    tracks: tuple[EvidenceTrackConfig, ...] = Field((), description="functional tracks, used together")
    effects: tuple[EvidenceEffectsConfig, ...] = Field((), description="models, each judged by itself")
    signed: tuple[SignedEffectsConfig, ...] = Field(
        (), description="models whose signs are used, together: in seen genes beside distance, and in unseen"
    )
    learning_genes: Annotated[int, Field(ge=2)] = Field(
        500, description="at most so many genes, evenly spread, say what evidence is worth"
    )

    @model_validator(mode="after")
    def _distinct(self) -> InformedConfig:
        """Every label means one thing."""
        given = [one.label for part in (self.tracks, self.effects, self.signed) for one in part]
        if joined := [label for label in given if "+" in label]:
            raise ValueError(f"the label {joined[0]!r} has a '+', which joins labels")
        labels = ["plain", "none", "distance", "tracks", "all", "signed", "unseen", *given]
        twice = [label for label in labels if labels.count(label) > 1]
        if twice:
            raise ValueError(f"{twice[0]!r} comes twice among labels, or is the name of an arm")
        return self


class EqtlConfig(Section):
    """eQTL mapping and cis-heritability."""

    run: bool = Field(True, description="whether to map")
    cis_window: Annotated[int, Field(ge=1)] = Field(1_000_000, description="bases on either side of the TSS")
    min_maf: Annotated[float, Field(ge=0, lt=0.5)] = Field(0.01, description="frequency floor")
    permutations: Annotated[int, Field(ge=99)] = Field(1000, description="orders of people, for a gene's p")
    fdr: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.05, description="q-value of genes that are searched for independent signals"
    )
    genes_per_unit: Annotated[int, Field(ge=1)] | None = Field(
        None, description="genes that are saved together; else as many as make units of about equal work"
    )


class EvaluateConfig(Section):
    """The statistics."""

    null_draws: Annotated[int, Field(ge=99)] = Field(1000, description="draws of the random-weights null")
    permutations: Annotated[int, Field(ge=99)] = Field(
        1000, description="permutations of people within populations"
    )


class PriorEffectsConfig(Section):
    """A sequence model whose effects of variants, with their signs, a sign prior is set beside."""

    label: str = Field(min_length=1, description="what tables call it")
    path: Path = Field(description="`effects.parquet` of `hapsight explain`, of this cohort's genes")


class GeneCovariatesConfig(Section):
    """What is known of genes, such as half-life features of their transcripts."""

    label: str = Field(min_length=1, description="what tables call it")
    path: Path = Field(description="table: gene_id, and a column of numbers for each covariate")


class PersonCovariatesConfig(Section):
    """What is known of each gene in each person, such as the half-life of the personal transcript."""

    label: str = Field(min_length=1, description="what tables call it")
    path: Path = Field(description="table: gene_id, sample_id, value")


class PriorsConfig(Section):
    """Priors on genes, people and variants, each with and without, beside its shuffled control."""

    gene_covariates: tuple[GeneCovariatesConfig, ...] = Field((), description="tables, each used by itself")
    person_covariates: tuple[PersonCovariatesConfig, ...] = Field(
        (), description="tables, each used by itself in the linear combination"
    )
    half_life: Path | None = Field(
        None, description="table: gene_id, and Xpresso's six half-life features, standardised"
    )
    regulons: Path | None = Field(
        None, description="signed regulons, the layout of CollecTRI: source, target, weight"
    )
    effects: tuple[PriorEffectsConfig, ...] = Field((), description="models, each beside sign priors")
    motifs: bool | None = Field(
        None, description="motif changes times regulators' signs; else where the extra `motifs` is installed"
    )
    motif_threshold: Annotated[float, Field(gt=0, lt=1)] = Field(1e-5, description="p of a motif's hit")
    max_p: Annotated[float, Field(gt=0, le=1)] = Field(
        1e-3, description="largest p of an eQTL, in the half of the people that it is chosen in"
    )
    reach: Annotated[int, Field(ge=0)] = Field(
        5_000, description="variants this near the TSS enter the linear combination by their motifs"
    )
    leave_out: Annotated[int, Field(ge=0)] = Field(
        2_000_000, description="genes this near the target do not speak for its regulators"
    )
    method: Literal["elastic_net", "lasso", "blup", "top_snp"] = Field(
        "elastic_net", description="of the variants, in the linear combination; the rest is [baseline]'s"
    )
    shuffles: Annotated[int, Field(ge=1)] = Field(10, description="draws of controls; 1 in the combination")

    @model_validator(mode="after")
    def _distinct(self) -> PriorsConfig:
        """Every label means one thing."""
        for given in (
            [*(gene.label for gene in self.gene_covariates), *(one.label for one in self.person_covariates)],
            [one.label for one in self.effects],
        ):
            twice = [label for label in given if given.count(label) > 1]
            if twice:
                raise ValueError(f"{twice[0]!r} comes twice among labels")
        return self

    def from_folder(self, folder: Path) -> Self:
        """The same with absolute paths: relative ones start at `folder`."""
        given: dict[str, object] = {
            name: tuple(one.model_copy(update={"path": folder / one.path}) for one in getattr(self, name))
            for name in ("gene_covariates", "person_covariates", "effects")
        }
        files = {name: getattr(self, name) for name in ("half_life", "regulons")}
        given |= {name: path if path is None else folder / path for name, path in files.items()}
        return self.model_copy(update=given)


_ON_Z_SCORES: Final = ("mse", "pairwise_mse", "mse_plus_pairs")


class TrainArmConfig(Section):
    """One way to train a model on people."""

    mode: Literal["untouched", "full", "frozen", "lora"] = Field(
        description="not at all; all parameters; those behind the local layers; low-rank additions"
    )
    loss: Literal["", "mse", "pairwise_mse", "pairwise_bce", "mse_plus_pairs", "mean_plus_difference"] = (
        Field("", description="what is learnt; none where untouched")
    )
    init: Literal["trained", "random"] = Field("trained", description="the weights that training begins with")

    prior: Literal["", "sign", "sign_shuffled", "activity", "activity_shuffled"] = Field(
        "",
        description="sign: a term of the loss, variants should act as sign_priors says; activity: what "
        "regulators ([priors] regulons) explain is not learnt; shuffled: the control of either",
    )

    @model_validator(mode="after")
    def _sensible(self) -> TrainArmConfig:
        """Something is learnt, or nothing is."""
        if (self.mode == "untouched") != (self.loss == ""):
            raise ValueError(f"mode {self.mode!r} does not go with loss {self.loss!r}")
        if self.mode == "untouched" and self.init == "random":
            raise ValueError(
                "mode 'untouched' does not go with init 'random': nothing would be learnt at all"
            )
        if self.mode == "untouched" and self.prior:
            raise ValueError(f"mode 'untouched' does not go with prior {self.prior!r}: nothing is learnt")
        if self.prior.startswith("activity") and self.loss not in _ON_Z_SCORES:
            raise ValueError(
                f"prior {self.prior!r} needs a loss on z-scores, one of {', '.join(_ON_Z_SCORES)}; "
                f"not {self.loss!r}"
            )
        return self


GRID = (
    TrainArmConfig(mode="untouched"),
    TrainArmConfig(mode="full", loss="pairwise_mse"),
    TrainArmConfig(mode="frozen", loss="pairwise_mse"),
    TrainArmConfig(mode="full", loss="mse_plus_pairs"),
    TrainArmConfig(mode="full", loss="mean_plus_difference"),
    TrainArmConfig(mode="full", loss="mse"),
    TrainArmConfig(mode="full", loss="pairwise_mse", init="random"),
)
"""The grid of the field's studies."""


class TrainConfig(Section):
    """Training on people: whom and what is learnt from, and how."""

    model: str | None = Field(None, description="label or name of one of the models; else the first")
    arms: tuple[TrainArmConfig, ...] = Field(
        GRID, min_length=1, description="what `hapsight train grid` runs"
    )
    seeds: Annotated[int, Field(ge=1)] = Field(3, description="runs of each arm, with seeds of their own")
    baselines: tuple[Literal["elastic_net", "lasso", "blup", "top_snp"], ...] = Field(
        ("elastic_net", "blup"), description="linear models on the identical split"
    )
    people: tuple[Annotated[int, Field(ge=4)], ...] = Field(
        (), description="numbers of training people to try; all where empty"
    )
    min_maf: tuple[Annotated[float, Field(ge=0, lt=0.5)], ...] = Field(
        (), description="frequency floors to try for sequences; the cohort's where empty"
    )
    test_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="people that are never looked at"
    )
    population: str | None = Field(
        None, description="the population, or super-population, never looked at, instead of a share"
    )
    valid_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="of the others, who decide when to stop"
    )
    unseen_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.2, description="least share of genes that are not trained on"
    )
    block: Annotated[int, Field(ge=1)] = Field(2_000_000, description="bases of the blocks that are held out")
    held_out: tuple[str, ...] = Field((), description="regions never trained on: contig:first-last, from 1")
    homologs: Literal["name", "leave_out"] = Field(
        "name",
        description="seen genes whose windows share sequence with an unseen gene's: named, or not trained on",
    )
    both_strands: bool = Field(
        False, description="a batch is of either strand, and predictions are the mean of both"
    )
    shifts: tuple[int, ...] = Field(
        (), description="a batch is moved by one of these bases, and predictions are the mean over all"
    )
    people_per_batch: Annotated[int, Field(ge=2)] = Field(64, description="people of one gene in a batch")
    accumulate: Annotated[int, Field(ge=1)] = Field(8, description="genes in a step")
    max_steps: Annotated[int, Field(ge=1)] = Field(
        800, description="steps; the learning rate ends at 0 there"
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(3e-3, description="the highest")
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.01, description="of AdamW")
    warmup_steps: Annotated[int, Field(ge=0)] = Field(20, description="steps in which the rate rises")
    clip_norm: Annotated[float, Field(gt=0)] = Field(1.0, description="largest norm of a gradient")
    validate_every: Annotated[int, Field(ge=1)] = Field(50, description="steps between validations")
    patience: Annotated[int, Field(ge=1)] = Field(
        6, description="validations without a better one before it stops"
    )
    sign_priors: Path | None = Field(
        None, description="table of variants and scores, above 0 where ALT should raise a gene's expression"
    )
    sign_weight: Annotated[float, Field(gt=0)] = Field(
        0.1, description="of the sign prior's term beside the loss"
    )

    @model_validator(mode="after")
    def _has_priors(self) -> TrainConfig:
        """An arm's sign prior is given."""
        wanting = [arm.prior for arm in self.arms if arm.prior.startswith("sign")]
        if wanting and self.sign_priors is None:
            raise ValueError(f"an arm has prior {wanting[0]!r}, and sign_priors names no table")
        return self

    def from_folder(self, folder: Path) -> Self:
        """The same with an absolute path: a relative one starts at `folder`."""
        if self.sign_priors is None:
            return self
        return self.model_copy(update={"sign_priors": folder / self.sign_priors})


class ClusterConfig(Section):
    """Where units of work are done beyond this machine, and what happens to those that fail."""

    scheduler: str | None = Field(
        None, description="a Dask scheduler: its address, or its scheduler file; else this machine alone"
    )
    resources: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="what a worker must offer to run models, such as { GPU = 1 }"
    )
    retries: Annotated[int, Field(ge=0)] = Field(
        2, description="how often a unit that fails is tried again before it is set aside, here too"
    )
    patience: Annotated[float, Field(gt=0)] = Field(
        120.0, description="seconds without the scheduler, or without a worker, before a run gives up"
    )
    unencrypted: bool = Field(
        False, description="allow a scheduler on another host that does not encrypt what travels"
    )


class ReportConfig(Section):
    """What a report shows of single people."""

    include_individuals: bool = Field(
        False, description="names of people, and pages with a point per person, expression and genotype"
    )


def section_at(whole: object, place: Sequence[int | str]) -> type[BaseModel] | None:
    """The section at a place of a configuration, or of another `whole`; None where there is none."""
    kinds = [whole, *get_args(whole)]
    found = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
    if not place:
        return found
    if isinstance(place[0], int):
        return section_at(whole, place[1:])
    field = None if found is None else found.model_fields.get(place[0])
    return None if field is None else section_at(field.annotation, place[1:])
