"""The plan of a reference training: a TOML file of tracks, blocks, model and arguments.

Parts of a chromosome to train on, to validate on, and to test on.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hapsight.cohort.contigs import plain_contig
from hapsight.cohort.nouns import Interval
from hapsight.errors import AS_TOML, ConfigError, at_line
from hapsight.models.mini_net import CONTEXT_BINS, REACH, STRIDE, Channels
from hapsight.models.protocol import Track
from hapsight.train.loop import TrainArguments
from hapsight.train.tracks import Frame, TrackFile

__all__ = [
    "ALWAYS_TEST",
    "Blocks",
    "FitPlan",
    "ModelPlan",
    "ReferencePlan",
    "TrackPlan",
    "WindowPlan",
    "is_inside",
    "load_plan",
    "parse_interval",
    "split_blocks",
]

ALWAYS_TEST: Final = Interval("chr22", 36_000_000, 40_500_000)
"""What nothing of hapsight is ever trained on; GRCh38."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks of one contig that do not touch each other; sorted.

    Attributes
    ----------
    train
        What is left of the region, a guard away from every other block.
    """

    train: tuple[Interval, ...]
    validation: tuple[Interval, ...]
    test: tuple[Interval, ...]


def split_blocks(
    region: Interval, *, validation: Iterable[Interval], test: Iterable[Interval], guard: int
) -> Blocks:
    """Cut a region into blocks; `ALWAYS_TEST` is a test block without being asked for.

    Parameters
    ----------
    guard
        Bases between a block and what is trained on: the reach of the model.

    Raises
    ------
    ConfigError
        Blocks that overlap, lie outside of the region, or leave nothing to train on.
    """
    always = _common(ALWAYS_TEST, region)
    tested = _merged([*test, *always])
    validated = tuple(sorted(validation, key=_start))
    held_out = sorted([*tested, *validated], key=_start)
    for block in held_out:
        if not is_inside(block, region):
            raise ConfigError(
                "A block that is held out lies outside of the region.", expected=f"within {region}", got=block
            )
    for first, second in pairwise(held_out):
        if first.end > second.start:
            raise ConfigError(
                "Blocks that are held out overlap.",
                expected="test and validation blocks apart from each other",
                got=f"{first} and {second}",
            )
    train = _between(region, held_out, guard)
    if not train:
        raise ConfigError(
            "Nothing is left to train on.", where=region, got=f"{len(held_out)} blocks held out"
        )
    return Blocks(train, validated, tested)


def is_inside(inner: Interval, outer: Interval) -> bool:
    """Whether an interval lies wholly in another one."""
    return _same_contig(inner, outer) and outer.start <= inner.start and inner.end <= outer.end


def parse_interval(text: str) -> Interval:
    """Read ``chr22:36,000,001-40,500,000``, 1-based and closed as in a genome browser.

    Raises
    ------
    ConfigError
        Another form.
    """
    contig, _, span = text.partition(":")
    first, _, last = span.replace(",", "").partition("-")
    if not (contig and first.isdecimal() and last.isdecimal() and 0 < int(first) <= int(last)):
        raise ConfigError(
            "A stretch of a chromosome cannot be read.",
            expected="chr22:36,000,001-40,500,000",
            got=repr(text),
        )
    return Interval(contig, int(first) - 1, int(last))


def _merged(blocks: Sequence[Interval]) -> tuple[Interval, ...]:
    """Test blocks as they are, those that overlap or touch as one."""
    merged: list[Interval] = []
    for block in sorted(blocks, key=_start):
        last = merged[-1] if merged else None
        if last is not None and _same_contig(block, last) and block.start <= last.end:
            merged[-1] = Interval(last.contig, last.start, max(last.end, block.end))
        else:
            merged.append(block)
    return tuple(merged)


def _between(region: Interval, held_out: Sequence[Interval], guard: int) -> tuple[Interval, ...]:
    starts = [region.start, *(block.end + guard for block in held_out)]
    ends = [*(block.start - guard for block in held_out), region.end]
    spans = zip(starts, ends, strict=True)
    return tuple(Interval(region.contig, start, end) for start, end in spans if start < end)


def _common(a: Interval, b: Interval) -> list[Interval]:
    """What two intervals share, if anything."""
    start, end = max(a.start, b.start), min(a.end, b.end)
    return [Interval(b.contig, start, end)] if _same_contig(a, b) and start < end else []


def _same_contig(a: Interval, b: Interval) -> bool:
    return plain_contig(a.contig) == plain_contig(b.contig)


def _start(block: Interval) -> int:
    return block.start


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TrackPlan(_Section):
    """A track: what it is, and the bigWig it was measured in."""

    name: str = Field(description="unique")
    file: Path = Field(description="bigWig; a relative path starts at the plan")
    assay: str = Field(description="such as accessibility")
    cell_type: str = Field(description="such as GM12878")
    strand: Literal["+", "-", "."] = Field(".", description="a stranded track needs its partner")
    units: str = Field("reads", description="of a bin")
    reduce: Literal["sum", "mean"] = Field("sum", description="how a bin's bases are combined")
    clip: Annotated[float, Field(gt=0)] = Field(64.0, description="above it only the square root counts")

    def track_file(self) -> TrackFile:
        """The same for the reader of tracks."""
        track = Track(self.name, self.assay, self.cell_type, self.strand, self.units)
        return TrackFile(track, self.file, self.reduce, self.clip)


class ModelPlan(_Section):
    """Size of the network."""

    stem: Annotated[int, Field(ge=1)] = Field(128, description="channels of the first convolution")
    middle: Annotated[int, Field(ge=1)] = Field(128, description="of the second")
    width: Annotated[int, Field(ge=1)] = Field(160, description="of bins, from the third on")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.2, description="in residual layers")

    def channels(self) -> Channels:
        """The same for the network."""
        return Channels(self.stem, self.middle, self.width)


class WindowPlan(_Section):
    """Windows that are trained on."""

    bins: Annotated[int, Field(ge=8)] = Field(256, description="bins of 32 bases in a window")
    crop: Annotated[int, Field(ge=0)] = Field(32, description="bins at either end that are context only")
    shift: Annotated[int, Field(ge=0, le=16)] = Field(3, description="sequence moves by up to so many bases")
    active_share: Annotated[float, Field(ge=0, le=1)] = Field(0.6, description="windows about a signal")
    active_bins: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.002, description="share of each track's bins that counts as signal: its highest"
    )

    def frame(self) -> Frame:
        """The same as geometry."""
        return Frame(self.bins, STRIDE, self.crop)


class FitPlan(_Section):
    """Arguments of the training loop, and the size of a micro-batch; see `TrainArguments`."""

    batch: Annotated[int, Field(ge=1)] = Field(8, description="windows in a micro-batch")
    max_steps: int = 12_000
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup_steps: int = 300
    clip_norm: float = 1.0
    accumulate: int = 1
    validate_every: int = 500
    patience: int = 12
    seed: int = 0
    checkpoint_every: int = 250

    def arguments(self) -> TrainArguments:
        """The same for the loop."""
        return TrainArguments(**self.model_dump(exclude={"batch"}))


class ReferencePlan(_Section):
    """Everything that a reference training depends on."""

    reference: Path = Field(description="FASTA, indexed")
    region: str = Field(description="the contig, or what of it is looked at: chr22:16,000,001-50,800,000")
    validation: tuple[str, ...] = Field(description="blocks by which the best weights are chosen")
    test: tuple[str, ...] = Field((), description="more blocks that are never trained on")
    tracks: tuple[TrackPlan, ...] = Field(min_length=1, description="in the order of the model's outputs")
    loss: Literal["poisson", "poisson_multinomial"] = Field("poisson_multinomial", description="by name")
    model: ModelPlan = ModelPlan()
    windows: WindowPlan = WindowPlan()
    fit: FitPlan = FitPlan()

    def where(self) -> Interval:
        """The region."""
        return parse_interval(self.region)

    def blocks(self) -> Blocks:
        """The region cut into blocks; what is trained on stays a bin's reach away from the others."""
        return split_blocks(
            self.where(),
            validation=[parse_interval(text) for text in self.validation],
            test=[parse_interval(text) for text in self.test],
            guard=CONTEXT_BINS * STRIDE + REACH,
        )

    def record(self) -> dict[str, object]:
        """What the weights say of their training: everything but paths."""
        plain = self.model_dump(mode="json", exclude={"reference": True, "tracks": {"__all__": {"file"}}})
        return {**plain, "blocks": _spelled(self.blocks())}


def load_plan(path: Path, **changes: object) -> ReferencePlan:
    """Read a plan; `changes` replace keys of ``[fit]``, where they are not ``None``.

    Raises
    ------
    ConfigError
        The file is missing, is not TOML, or a key is unknown, missing or out of range.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        found = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError("There is no plan of a training at this path.", where=path) from None
    except UnicodeDecodeError as error:
        fix = "save the file as text in UTF-8"
        raise ConfigError(
            "A plan of a training is no text in UTF-8.", where=path, got=error, fix=fix
        ) from None
    except tomllib.TOMLDecodeError as error:
        said = at_line(error, text)
        raise ConfigError("A plan of a training is not TOML.", where=path, got=said, fix=AS_TOML) from None
    fit: dict[str, Any] = found.setdefault("fit", {})
    fit |= {name: value for name, value in changes.items() if value is not None}
    try:
        plan = ReferencePlan.model_validate(found)
    except ValidationError as error:
        raise ConfigError(_complaints(error), where=path) from None
    return _absolute(plan, path.resolve().parent)


def _absolute(plan: ReferencePlan, folder: Path) -> ReferencePlan:
    tracks = tuple(track.model_copy(update={"file": folder / track.file}) for track in plan.tracks)
    return plan.model_copy(update={"reference": folder / plan.reference, "tracks": tracks})


def _complaints(error: ValidationError) -> str:
    lines = [
        f"  {'.'.join(map(str, found['loc']))}: "
        + ("unknown key" if found["type"] == "extra_forbidden" else found["msg"])
        for found in error.errors(include_url=False)
    ]
    return "\n".join(["A plan of a training is not valid.", *lines])


def _spelled(blocks: Blocks) -> dict[str, list[str]]:
    return {name: [str(Interval(**block)) for block in found] for name, found in asdict(blocks).items()}
