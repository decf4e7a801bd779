"""In-silico mutagenesis the slow, obvious way: every pair of sequences written out, two plain passes each."""

from __future__ import annotations

import numpy as np
import torch

from hapsight.cohort.nouns import Variants
from hapsight.dna import Codes, encode, reverse_complement
from hapsight.engine.engine import Valuer
from hapsight.sequence.haplotypes import Window
from tests.sequence.naive import naive_window, toy_variants


def kept(variants: Variants, carried: list[int]) -> list[int]:
    """Which of the carried variants a haplotype can have: none that begins inside an earlier one."""
    taken: list[int] = []
    frozen, inserting = -1, False
    for v in carried:
        position, ref, alt = int(variants.position[v]), variants.ref[v], variants.alt[v]
        indel = ref[0] == alt[0] and len(ref) != len(alt)
        if position < frozen or (position == frozen and (not indel or inserting)):
            continue
        taken.append(v)
        frozen, inserting = position + len(ref) - 1, len(alt) > len(ref)
    return taken


def sequence_with(reference: str, variants: Variants, window: Window, carried: list[int]) -> Codes:
    """The window of a haplotype that carries these."""
    records = [(int(variants.position[v]), variants.ref[v], variants.alt[v]) for v in carried]
    only = toy_variants(records, np.ones((len(records), 1, 2)))
    return encode("".join(base for base, _ in naive_window(reference, only, window, 0, 0)))


def plain(valuer: Valuer, window: Window, codes: Codes) -> np.ndarray:
    """(T,) the read-out of one sequence on the forward strand: every view by hand, averaged."""
    codes = reverse_complement(codes) if window.reverse else codes
    model, read_out, beyond = valuer.model, valuer.read_out, valuer.beyond
    values = []
    for shift in read_out.shifts:
        seen = codes[beyond + shift : len(codes) - beyond + shift]
        values.append(model.predict(torch.from_numpy(seen.copy())[None], read_out)[0])
        if read_out.reverse_complement:
            turned = torch.from_numpy(reverse_complement(seen))[None]
            values.append(model.predict(turned, model.mirrored(read_out))[0])
    return torch.stack(values).detach().double().numpy().mean(axis=0)


def naive_backgrounds(
    reference: str, variants: Variants, window: Window, v: int
) -> dict[tuple[bytes, bytes], list[int]]:
    """Distinct pairs of sequences without and with variant v, over everybody's haplotypes."""
    pairs = {}
    for person in range(len(variants.samples)):
        for h in (0, 1):
            carried = kept(variants, np.flatnonzero(variants.alleles[:, person, h]).tolist())
            without = [u for u in carried if u != v]
            present = sorted([*without, v])
            if kept(variants, present) != present:
                continue
            one, other = (sequence_with(reference, variants, window, c) for c in (without, present))
            pairs[one.tobytes(), other.tobytes()] = without
    return pairs
