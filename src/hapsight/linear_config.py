"""The sections ``[baseline]``, ``[informed]`` and ``[eqtl]`` of the configuration: linear methods, eQTLs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "MIN_SHARE",
    "BaselineConfig",
    "EqtlConfig",
    "EvidenceEffectsConfig",
    "EvidenceTrackConfig",
    "ImportedConfig",
    "InformedConfig",
]


MIN_SHARE: Final = 0.5
"""Share of a gene's weights that must be usable, unless the configuration says otherwise."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ImportedConfig(_Section):
    """Weights that were trained elsewhere, applied to this cohort."""

    path: Path = Field(
        description="a PredictDB file (SQLite), as PrediXcan reads it, or a table with weights"
    )
    label: str = Field(min_length=1, description="what tables call it")
    min_share: Annotated[float, Field(gt=0, le=1)] = Field(
        MIN_SHARE,
        description="genes of which less of the weights, or of their absolute sum, can be used have no R",
    )


class BaselineConfig(_Section):
    """Linear models of the cis variants, PrediXcan's elastic net first."""

    run: bool = Field(True, description="whether to fit them")
    methods: tuple[Literal["elastic_net", "lasso", "blup", "top_snp"], ...] = Field(
        ("elastic_net", "blup", "top_snp"), min_length=1, description="what to fit, on identical folds"
    )
    splits: tuple[Literal["random", "population"], ...] = Field(
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


class EvidenceTrackConfig(_Section):
    """A functional track whose signal at a variant is evidence that it matters."""

    label: str = Field(min_length=1, description="what tables call it")
    paths: tuple[Path, ...] = Field(min_length=1, description="bigWigs, such as the two strands; added up")
    reach: Annotated[int, Field(ge=0)] = Field(250, description="bases on either side of a variant")


class EvidenceEffectsConfig(_Section):
    """A sequence model whose effects of variants are evidence that they matter; their signs are not used."""

    label: str = Field(min_length=1, description="what tables call it")
    path: Path = Field(description="`effects.parquet` of `hapsight explain`, of this cohort's genes")


class InformedConfig(_Section):
    """Linear prediction with prior evidence; window, folds and alpha are [baseline]'s."""

    method: Literal["susie_blup", "elastic_net"] = Field(
        "susie_blup", description="what evidence informs: the mean of SuSiE and BLUP, or the elastic net"
    )
    splits: tuple[Literal["random", "population"], ...] = Field(
        ("random",), min_length=1, description="whom to hold out: random folds, or each population in turn"
    )
    tracks: tuple[EvidenceTrackConfig, ...] = Field((), description="functional tracks, used together")
    effects: tuple[EvidenceEffectsConfig, ...] = Field((), description="models, each judged by itself")
    learning_genes: Annotated[int, Field(ge=2)] = Field(
        500, description="at most so many genes, evenly spread, say what evidence is worth"
    )

    @model_validator(mode="after")
    def _distinct(self) -> InformedConfig:
        """Every label means one thing."""
        given = [track.label for track in self.tracks] + [effects.label for effects in self.effects]
        if joined := [label for label in given if "+" in label]:
            raise ValueError(f"the label {joined[0]!r} has a '+', which joins labels")
        labels = ["plain", "none", "distance", "tracks", "all", *given]
        twice = [label for label in labels if labels.count(label) > 1]
        if twice:
            raise ValueError(f"{twice[0]!r} comes twice among labels, or is the name of an arm")
        return self


class EqtlConfig(_Section):
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
