"""The section ``[train]`` of the configuration: training on people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["GRID", "TrainArmConfig", "TrainConfig"]

_ON_Z_SCORES: Final = ("mse", "pairwise_mse", "mse_plus_pairs")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TrainArmConfig(_Section):
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


class TrainConfig(_Section):
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
    population: str | None = Field(None, description="the population never looked at, instead of a share")
    valid_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="of the others, who decide when to stop"
    )
    unseen_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.2, description="least share of genes that are not trained on"
    )
    block: Annotated[int, Field(ge=1)] = Field(2_000_000, description="bases of the blocks that are held out")
    held_out: tuple[str, ...] = Field((), description="regions never trained on: contig:first-last, from 1")
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
