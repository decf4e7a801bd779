"""Training of `mini` on the reference genome: the task for the loop, and how its files are made ready.

A reference training from its plan to weights that `hapsight.models.mini` loads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from hapsight.cohort.nouns import Interval
from hapsight.cohort.reference import Reference
from hapsight.dna import Codes, reverse_complement
from hapsight.errors import StoreError
from hapsight.models.forward import one_hot
from hapsight.models.mini import mirrored_tracks
from hapsight.models.mini_net import MiniNet, save_mini
from hapsight.seeds import stream
from hapsight.stats.correlation import correlate
from hapsight.train.checkpoints import RunFiles, load_state
from hapsight.train.loop import FitResult, Report, fit
from hapsight.train.losses import TRACK_LOSSES
from hapsight.train.plan import ReferencePlan
from hapsight.train.tracks import Frame, Signal, WindowSampler, read_signal, tiles

__all__ = [
    "ReferenceData",
    "ReferenceTask",
    "best_network",
    "export",
    "open_data",
    "predict_blocks",
    "reference_task",
    "track_r",
    "train_reference",
]

_TILES_TOGETHER = 8
"""Windows that are predicted at a time."""

Float = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceData:
    """A contig's sequence, (L,) codes, and what was measured along it."""

    codes: Codes
    signal: Signal


class ReferenceTask:
    """Predict tracks from sequence; see `hapsight.train.loop.Task`.

    A window's sequence is moved by a few bases, and every other one read from the other strand, with bins
    in reverse and stranded tracks exchanged. The loss of a track is in units of its mean over the blocks
    to train on, so that tracks count alike. The score is the mean over tracks of Pearson's r between
    log(1 + predicted) and log(1 + measured) over the bins of the validation blocks.
    """

    def __init__(self, data: ReferenceData, plan: ReferencePlan) -> None:
        torch.manual_seed(plan.fit.seed)
        blocks, frame = plan.blocks(), plan.windows.frame()
        self.data, self.plan, self.frame, self.validation = data, plan, frame, blocks.validation
        self.partner = np.array(mirrored_tracks([file.track for file in data.signal.files]))
        means, active = _seen(data.signal, blocks.train, frame, plan.windows.active_bins)
        self._weights = torch.from_numpy(1.0 / means)
        self._sampler = WindowSampler(
            data.codes,
            blocks.train,
            frame,
            active,
            active_share=plan.windows.active_share,
            shift=plan.windows.shift,
        )
        self.model = MiniNet(plan.model.channels(), len(means), plan.model.dropout)
        with torch.no_grad():  # begin with every track at its mean: the inverse of softplus
            self.model.head.bias.copy_(torch.from_numpy(np.log(np.expm1(means))))
        self._loss = TRACK_LOSSES[plan.loss]

    def loss(self, step: int, micro: int, rank: int, world: int) -> torch.Tensor:
        """Mean loss over tracks of the windows that the seed and these numbers choose."""
        rng = stream(self.plan.fit.seed, "windows of a batch", step, micro * world + rank)
        codes, observed = self.batch(rng, self.plan.fit.batch)
        device = self.model.head.weight.device
        self.model.train()
        predicted = self.model(one_hot(torch.from_numpy(codes).to(device)))
        kept = predicted[:, self.frame.crop : self.frame.bins - self.frame.crop]
        losses = self._loss(kept, torch.from_numpy(observed).to(device))  # (T,)
        return (losses * self._weights.to(device)).mean()

    def batch(self, rng: np.random.Generator, count: int) -> tuple[Codes, Float]:
        """Draw windows: (count, length) codes and (count, kept, T) measurements."""
        starts = self._sampler.draw(rng, count)
        shifts = rng.integers(-self.plan.windows.shift, self.plan.windows.shift + 1, count)
        flips = rng.random(count) < 0.5
        drawn = [self._window(int(a), int(s), bool(f)) for a, s, f in zip(starts, shifts, flips, strict=True)]
        return np.stack([codes for codes, _ in drawn]), np.stack([observed for _, observed in drawn])

    def validate(self) -> dict[str, float]:
        """The score, each track's r, and the same without logarithms."""
        predicted, observed = predict_blocks(self.model, self.data, self.validation, self.frame)
        logged = track_r(np.log1p(predicted), np.log1p(observed))
        plain = track_r(predicted, observed)
        names = [file.track.name for file in self.data.signal.files]
        each = {f"r_{name}": r for name, r in zip(names, logged, strict=True)}
        return {"score": float(np.mean(logged)), "r_without_log": float(np.mean(plain)), **each}

    def _window(self, start: int, shift: int, flipped: bool) -> tuple[Codes, Float]:
        frame = self.frame
        codes = self.data.codes[start + shift : start + shift + frame.length]
        observed = self.data.signal.bins(start + frame.crop * frame.width, frame.kept, frame.width)
        if flipped:
            return reverse_complement(codes), np.ascontiguousarray(observed[::-1, self.partner])
        return codes, observed


def reference_task(plan: ReferencePlan, cache: Path) -> ReferenceTask:
    """Open a plan's files, read its tracks (or what `cache` has of them), and make the task."""
    return ReferenceTask(open_data(plan, cache), plan)


def open_data(plan: ReferencePlan, cache: Path) -> ReferenceData:
    """Read the contig and the tracks that a plan names.

    Raises
    ------
    InputError
        A file is missing or damaged, or does not fit the others.
    """
    reference = Reference(plan.reference)
    contig = reference.resolve(plan.where().contig)
    length = reference.contigs[contig]
    signal = read_signal([track.track_file() for track in plan.tracks], contig, length, cache)
    return ReferenceData(reference.fetch(Interval(contig, 0, length)), signal)


def predict_blocks(
    network: MiniNet, data: ReferenceData, blocks: Sequence[Interval], frame: Frame
) -> tuple[Float, Float]:
    """Predicted and measured (clipped) tracks of all bins of blocks that have their context, (bins, T) each.

    The mean over both strands of the sequence is not taken; the network is put into evaluation mode.
    """
    starts = list(tiles(blocks, frame))
    first = frame.crop * frame.width
    observed = [data.signal.bins(start + first, frame.kept, frame.width) for start in starts]
    return np.concatenate(list(_predicted(network, data.codes, starts, frame))), np.concatenate(observed)


def _predicted(network: MiniNet, codes: Codes, starts: list[int], frame: Frame) -> Iterator[Float]:
    device = network.head.weight.device
    network.eval()
    for begin in range(0, len(starts), _TILES_TOGETHER):
        some = starts[begin : begin + _TILES_TOGETHER]
        batch = torch.from_numpy(np.stack([codes[start : start + frame.length] for start in some]))
        with torch.no_grad():
            made = network(one_hot(batch.to(device)))[:, frame.crop : frame.bins - frame.crop]
        yield made.flatten(0, 1).float().cpu().numpy()


def track_r(predicted: Float, observed: Float) -> list[float]:
    """Pearson's r of each of T tracks over (bins, T); 0 where the prediction or the track does not vary."""
    pairs = zip(predicted.T, observed.T, strict=True)
    found = [correlate(p.astype(np.float64), y.astype(np.float64)) for p, y in pairs]
    return [one.pearson_r or 0.0 for one in found]


def _seen(
    signal: Signal, blocks: Sequence[Interval], frame: Frame, share: float
) -> tuple[Float, NDArray[np.intp]]:
    """Each track's mean over the bins of blocks, and the bins that are among some track's highest."""
    values, places = [], []
    for block in blocks:
        first, last = -(-block.start // frame.width), block.end // frame.width
        values.append(signal.bins(first * frame.width, last - first, frame.width))
        places.append(np.arange(first, last))
    seen, place = np.concatenate(values), np.concatenate(places)
    floor = np.quantile(seen, 1.0 - share, axis=0)
    active = ((seen > 0) & (seen >= floor)).any(axis=1)
    return seen.mean(axis=0, dtype=np.float64).astype(np.float32), place[active]


RECORD: Final = "training.json"
"""The plan without paths, so that weights know what they were trained on."""

CACHE: Final = "cache"


def train_reference(
    plan: ReferencePlan,
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    resume: bool = True,
    progress: Report | None = None,
) -> FitResult:
    """Train, or go on training, in `folder`.

    Raises
    ------
    StoreError
        The folder holds a run of another plan.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _keep_record(plan, folder / RECORD, resume)
    task = reference_task(plan, folder / CACHE)
    return fit(task, plan.fit.arguments(), folder, device=device, resume=resume, progress=progress)


def best_network(plan: ReferencePlan, folder: Path) -> MiniNet:
    """The network with the best weights of a run.

    Raises
    ------
    StoreError
        There are none, or they are of another plan's network.
    """
    path = RunFiles(folder).best
    if not path.is_file():
        raise StoreError("A training has no weights yet.", where=path, fix="run `hapsight train reference`")
    network = MiniNet(plan.model.channels(), len(plan.tracks))
    load_state(network, load_file(path), path)
    return network


def export(plan: ReferencePlan, folder: Path, path: Path, told: Mapping[str, object] | None = None) -> None:
    """Write a run's best weights, with their tracks and the record of their training, for `mini` to load.

    Parameters
    ----------
    told
        What else the file shall say of the training.
    """
    training = {"plan": plan.record(), **_outcome(folder), **(told or {})}
    tracks = [track.track_file().track for track in plan.tracks]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_mini(best_network(plan, folder), tracks, path, training)


def _outcome(folder: Path) -> dict[str, Any]:
    """Step and score of the best validation, and how many steps there were."""
    lines = [json.loads(line) for line in RunFiles(folder).metrics.read_text(encoding="utf-8").splitlines()]
    best = max((line for line in lines if "score" in line), key=lambda line: line["score"])
    return {"best_step": best["step"], "best_score": best["score"], "steps": lines[-1]["step"]}


def _keep_record(plan: ReferencePlan, path: Path, resume: bool) -> None:
    text = json.dumps(plan.record(), indent=1)
    if resume and path.is_file() and path.read_text(encoding="utf-8") != text:
        raise StoreError(
            "This folder holds a training by another plan.",
            where=path,
            fix="train into another folder, or start again (--no-resume)",
        )
    path.write_text(text, encoding="utf-8")
