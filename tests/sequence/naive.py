"""The slow, obvious builder: one haplotype, one base at a time; and the toy inputs to test with."""

from __future__ import annotations

import numpy as np

from hapsight.cohort.nouns import Interval, Variants
from hapsight.dna import Codes, encode
from hapsight.sequence.haplotypes import Window

Base = tuple[str, int | None]
"""A base and the reference position it stands at (None: inserted)."""


def toy_variants(
    records: list[tuple[int, str, str]], alleles: np.ndarray, contig: str = "c", samples: tuple[str, ...] = ()
) -> Variants:
    """Variants from (position, ref, alt) and alleles (V, N, 2)."""
    alleles = np.asarray(alleles, dtype=np.uint8)
    people = samples or tuple(f"P{i}" for i in range(alleles.shape[1]))
    position, ref, alt = ([r[k] for r in records] for k in range(3))
    names = tuple(f"{contig}_{p}_{r}_{a}" for p, r, a in records)
    return Variants(
        contig, np.array(position, dtype=np.int64), tuple(ref), tuple(alt), names, alleles, people
    )


def toy_reference(sequence: str, contig: str = "c"):
    """A `fetch_reference` of one contig."""

    def fetch(interval: Interval) -> Codes:
        assert interval.contig == contig
        return encode(
            "".join(
                sequence[p] if 0 <= p < len(sequence) else "N" for p in range(interval.start, interval.end)
            )
        )

    return fetch


def naive_contig(sequence: str, variants: Variants, person: int, haplotype: int) -> list[Base]:
    """A whole contig of one haplotype, record by record in file order."""
    pieces: dict[int, list[Base]] = {p: [(base, p)] for p, base in enumerate(sequence)}
    frozen, inserting = -1, False
    for v in range(len(variants)):
        if not variants.alleles[v, person, haplotype]:
            continue
        position, ref, alt = int(variants.position[v]), variants.ref[v], variants.alt[v]
        anchored_indel = ref[0] == alt[0] and len(ref) != len(alt)
        if position < frozen or (position == frozen and (not anchored_indel or inserting)):
            continue
        frozen, inserting = position + len(ref) - 1, len(alt) > len(ref)
        shared = 0
        while shared < min(len(ref), len(alt)) and ref[shared] == alt[shared]:
            shared += 1
        old, new = ref[shared:], alt[shared:]
        while old and new and old[-1] == new[-1]:
            old, new = old[:-1], new[:-1]
        start = position + shared
        for i in range(len(old)):
            pieces[start + i] = [(new[i], start + i)] if i < len(new) else []
        extra: list[Base] = [(base, None) for base in new[len(old) :]]
        if extra:
            before = start + len(old) - 1
            if before >= 0:
                pieces[before] = pieces[before] + extra
            else:
                pieces[-1] = extra
    return [base for p in sorted(pieces) for base in pieces[p]]


def naive_window(
    sequence: str, variants: Variants, window: Window, person: int, haplotype: int
) -> list[Base]:
    """The window of one haplotype, its anchor at index ``window.left``."""
    return window_of(naive_contig(sequence, variants, person, haplotype), window)


def window_of(bases: list[Base], window: Window) -> list[Base]:
    """The window of a haplotype whose whole contig is there."""
    at = next((i for i, (_, p) in enumerate(bases) if p is not None and p >= window.anchor), len(bases))
    first = at - window.left
    return [bases[i] if 0 <= i < len(bases) else ("N", None) for i in range(first, first + window.length)]
