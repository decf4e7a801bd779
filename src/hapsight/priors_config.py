"""The section ``[priors]`` of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["GeneCovariatesConfig", "PersonCovariatesConfig", "PriorEffectsConfig", "PriorsConfig"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PriorEffectsConfig(_Section):
    """A sequence model whose effects of variants, with their signs, a sign prior is set beside."""

    label: str = Field(min_length=1, description="what tables call it")
    path: Path = Field(description="`effects.parquet` of `hapsight explain`, of this cohort's genes")


class GeneCovariatesConfig(_Section):
    """What is known of genes, such as half-life features of their transcripts."""

    label: str = Field(min_length=1, description="what tables call it")
    path: Path = Field(description="table: gene_id, and a column of numbers for each covariate")


class PersonCovariatesConfig(_Section):
    """What is known of each gene in each person, such as the half-life of the personal transcript."""

    label: str = Field(min_length=1, description="what tables call it")
    path: Path = Field(description="table: gene_id, sample_id, value")


class PriorsConfig(_Section):
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
