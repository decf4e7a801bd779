"""Beluga as the checkpoint's names have it, two-dimensional convolutions and all: the judge of our port."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

LETTER_ROW = {"A": 0, "G": 1, "C": 2, "T": 3}
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


class Judge(nn.Module):
    """``model.0.0`` ... ``model.1.4.1``; channels and hidden units are free."""

    def __init__(self, low: int, middle: int, high: int, hidden: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, last in ((4, low, False), (low, middle, False), (middle, high, True)):
            layers += [nn.Conv2d(inputs, outputs, (1, 8)), nn.ReLU()]
            layers += [nn.Conv2d(outputs, outputs, (1, 8)), nn.ReLU()]
            layers += [] if last else [nn.Dropout(0.2), nn.MaxPool2d((1, 4), (1, 4))]
        dense = nn.Sequential(
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Sequential(nn.Identity(), nn.Linear(high * 106, hidden)),
            nn.ReLU(),
            nn.Sequential(nn.Identity(), nn.Linear(hidden, 2002)),
        )
        self.model = nn.Sequential(nn.Sequential(*layers), dense, nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x)  # type: ignore[no-any-return]


def narrow_judge(seed: int, low: int = 4, middle: int = 6, high: int = 8, hidden: int = 25) -> Judge:
    """A judge of `BelugaNet(width=4)` with random weights that keep the signal alive."""
    generator = torch.Generator().manual_seed(seed)
    judge = Judge(low, middle, high, hidden).eval()
    for parameter in judge.parameters():
        spread = (2.0 / parameter[0].numel()) ** 0.5 if parameter.ndim > 1 else 0.1
        parameter.data = torch.randn(parameter.shape, generator=generator) * spread
    return judge


def one_hot_2d(sequence: str) -> torch.Tensor:
    """(4, 1, L) in float64, letter by letter."""
    x = np.zeros((4, 1, len(sequence)))
    for index, letter in enumerate(sequence):
        if letter in LETTER_ROW:
            x[LETTER_ROW[letter], 0, index] = 1.0
    return torch.from_numpy(x)


def judge_features(judge: Judge, windows: list[str]) -> NDArray[np.float64]:
    """(W, 2002) of a float64 judge: mean over each window and its reverse complement, spelt out."""
    strands = [windows, [window.translate(COMPLEMENT)[::-1] for window in windows]]
    with torch.no_grad():
        values = [judge(torch.stack([one_hot_2d(w) for w in strand])).numpy() for strand in strands]
    return (values[0] + values[1]) / 2


def random_sequence(length: int, seed: int) -> str:
    return "".join(
        np.random.default_rng(seed).choice(list("ACGTN"), length, p=[0.24, 0.24, 0.24, 0.24, 0.04])
    )
