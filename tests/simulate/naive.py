"""The grammar again, by regular expressions on letters."""

from __future__ import annotations

import math
import re

from hapsight.simulate.design import Grammar

CLASSES = {
    "A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
    "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip
OTHER = {"A": "T", "C": "G", "G": "C", "T": "A"}


def starts(sequence: str, consensus: str) -> list[int]:
    """Where an instance begins, on either strand; overlapping ones too, each place once."""
    forward = "".join(f"[{CLASSES[letter]}]" for letter in consensus)
    reverse = "".join(
        "[" + "".join(OTHER[base] for base in CLASSES[letter]) + "]" for letter in reversed(consensus)
    )
    return [hit.start() for hit in re.finditer(f"(?={forward}|{reverse})", sequence)]


def found(sequence: str, grammar: Grammar) -> list[tuple[str, float, float]]:
    """Name, distance of the middle from the sequence's middle, and contribution of each instance."""
    middle = (len(sequence) - 1) / 2
    instances = []
    for motif in grammar.motifs:
        for start in starts(sequence, motif.consensus):
            distance = start + (len(motif.consensus) - 1) / 2 - middle
            share = motif.effect * math.exp(-abs(distance) / grammar.decay)
            instances.append((motif.name, distance, share))
    return instances


def score(sequence: str, grammar: Grammar) -> float:
    instances = found(sequence, grammar)
    total = sum(share for _, _, share in instances)
    for i, (_, here, one) in enumerate(instances):
        for _, there, other in instances[:i]:
            if abs(here - there) <= grammar.pair_distance:
                total += grammar.pair_bonus * (one + other) / 2
    return total
