"""Shuffled DNA in which every dinucleotide is as frequent as before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapsight.dna import Codes

__all__ = ["shuffled_dinucleotides"]

_LETTERS = 5


def shuffled_dinucleotides(codes: Codes, rng: np.random.Generator) -> Codes:
    """Shuffle a sequence (L,) so that the counts of all dinucleotides, and its ends, stay.

    A sequence is a walk over its letters along its dinucleotides; another walk along the same ones is drawn
    (Altschul and Erickson 1985, Mol Biol Evol 2, 526): the dinucleotide by which each letter is left for the
    last time is drawn until these lead from every letter to the end, and the others come in any order. N
    counts as a letter.
    """
    if len(codes) < 3:
        return codes.copy()
    leaves = [codes[1:][codes[:-1] == letter] for letter in range(_LETTERS)]
    last = _last_exits(leaves, int(codes[-1]), rng)
    queues = [_ordered(exits, last[letter], rng) for letter, exits in enumerate(leaves)]
    walk, used = np.empty_like(codes), [0] * _LETTERS
    at = int(codes[0])
    for place in range(len(codes)):
        walk[place] = at
        if place + 1 < len(codes):
            used[at] += 1
            at = int(queues[at][used[at] - 1])
    return walk


def _last_exits(leaves: list[Codes], end: int, rng: np.random.Generator) -> dict[int, int]:
    """Index of the exit that each letter is left by last: together they lead to `end` from everywhere."""
    letters = [letter for letter, exits in enumerate(leaves) if len(exits) and letter != end]
    while True:
        last = {letter: int(rng.integers(len(leaves[letter]))) for letter in letters}
        if all(_leads_to(end, letter, leaves, last) for letter in letters):
            return last | {letter: -1 for letter in range(_LETTERS) if letter not in last}


def _leads_to(end: int, letter: int, leaves: list[Codes], last: dict[int, int]) -> bool:
    for _ in range(_LETTERS):
        if letter == end:
            return True
        letter = int(leaves[letter][last[letter]])
    return letter == end


def _ordered(exits: Codes, last: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A letter's exits in any order, but for the last one (-1: none is fixed)."""
    if last < 0:
        return rng.permutation(exits)
    return np.append(rng.permutation(np.delete(exits, last)), exits[last])
