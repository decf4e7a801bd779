"""In-silico mutagenesis of a sum over elements: what each variant does to its element, and that to the gene.

Every different window of a block of genes is read once, all in one go.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Gene, Variants
from hapsight.dna import Codes
from hapsight.engine.engine import Valuer
from hapsight.errors import ModelError
from hapsight.explain.ism import Distinct, GeneIsm, Toggled, ism_window
from hapsight.explain.mutations import read_near
from hapsight.models.elements import ElementSum
from hapsight.sequence.haplotypes import FetchReference, ReadVariants

__all__ = ["ElementIsm", "elements_ism"]

Float = NDArray[np.float64]


@dataclass(slots=True, eq=False)
class _ReadLater(Distinct):
    """Distinct sequences of many windows on the forward strand, which are all read at once.

    Attributes
    ----------
    owners
        Whose each is, for errors.
    """

    owners: list[str] = field(default_factory=list)
    _codes: list[Codes] = field(default_factory=list)

    def rows(self, codes: Codes) -> NDArray[np.intp]:
        """(R,) which distinct one each of (R, L) sequences is; nothing is computed."""
        return np.array([self._row.setdefault(self._kept(row), len(self._row)) for row in codes], np.intp)

    def _kept(self, row: Codes) -> bytes:
        digest = hashlib.blake2b(row.tobytes(), digest_size=16).digest()
        if digest not in self._row:
            self._codes.append(row)
        return digest

    @property
    def values(self) -> Float:
        """(S, T) of all of them.

        Raises
        ------
        ModelError
            A value is not finite; says in which gene.
        """
        try:
            values, self.flop = self.valuer(np.stack(self._codes))
        except ModelError as error:
            raise error.at(f"gene {self.owners[error.row or 0]}") from error
        return values


@dataclass(frozen=True, slots=True, eq=False)
class ElementIsm:
    """Effects of the V variants in a gene's elements, on the gene and on the elements.

    Attributes
    ----------
    ism
        On the gene, each variant alone on the reference; no background is looked at.
    centre
        (V,) of the element that a variant lies in; of several, the nearest to the TSS.
    effect
        (V, T) on that element's own value, such as log2 of its activity.
    activity
        (V, T) of that element on the reference.
    """

    ism: GeneIsm
    centre: NDArray[np.int64]
    effect: Float
    activity: Float

    def row(self, gene: Gene, v: int, t: int) -> dict[str, float]:
        """What `EXPLAIN_ELEMENTS` has of the v-th variant and the t-th track, beside the variant itself."""
        return {
            "centre": int(self.centre[v]),
            "element_distance": abs(int(self.centre[v]) - gene.tss),
            "element_effect": float(self.effect[v, t]),
            "activity": float(self.activity[v, t]),
            "effect": float(self.ism.effect[v, t]),
        }


def elements_ism(
    genes: Sequence[Gene], valuer: Valuer, read_variants: ReadVariants, fetch_reference: FetchReference
) -> Iterator[ElementIsm]:
    """Toggle every variant of the elements of some genes, `valuer.model` being a sum over elements.

    Every different window of these genes is read once, and counts for the first that has it.
    """
    model = valuer.model
    assert isinstance(model, ElementSum)
    inner = replace(valuer, model=model.element)
    distinct = _ReadLater(inner, ism_window(genes[0], inner))
    toggled, new = dict[tuple[str, int], Toggled](), list[int]()
    for gene in genes:
        before = len(distinct)
        for place in model.places(gene.contig, gene.tss).tolist():
            if (gene.contig, place) not in toggled:
                at = Gene(gene.gene_id, gene.contig, place)
                made = Toggled.of(at, distinct, read_variants, fetch_reference, 0)
                toggled[gene.contig, place] = made
        distinct.owners += [gene.gene_id] * (len(distinct) - before)
        new.append(len(distinct) - before)
    values = distinct.values
    each = distinct.flop / max(len(distinct), 1)
    for gene, count in zip(genes, new, strict=True):
        places = model.places(gene.contig, gene.tss)
        found = [toggled[gene.contig, place].effects(values, 0, 0.0) for place in places.tolist()]
        near = read_near(ism_window(gene, valuer), read_variants)
        yield _combined(gene, valuer, near, found, places, count, count * each)


def _combined(
    gene: Gene,
    valuer: Valuer,
    near: Variants,
    found: Sequence[GeneIsm],
    places: NDArray[np.int64],
    distinct: int,
    flop: float,
) -> ElementIsm:
    """Sums over E elements from what is known of each."""
    model, read_out, distances = valuer.model, valuer.read_out.name, places - gene.tss
    assert isinstance(model, ElementSum)
    reference = np.stack([one.reference for one in found])  # (E, T)
    inside, owner, row = _within_elements(near, found)
    changed = np.repeat(reference[None], len(inside), axis=0)  # (V, E, T)
    for v, e, r in zip(owner, row[:, 0], row[:, 1], strict=True):
        changed[v, e] += found[e].effect[r]
    alone = model.combine(reference[None], distances, read_out)[0]
    effect = model.combine(changed, distances, read_out) - alone if len(inside) else np.empty((0, len(alone)))
    people = np.stack([one.predicted.reshape(-1, len(alone)) for one in found], axis=1)  # (2N, E, T)
    nearest = _nearest(len(inside), owner, row[:, 0], np.abs(distances))
    nothing = np.full_like(effect, np.nan)
    ism = GeneIsm(
        gene_id=gene.gene_id,
        variants=near.take(inside),
        reference=alone,
        effect=effect,
        effect_mean=nothing,
        effect_sd=nothing,
        share_opposite=nothing,
        n_backgrounds=np.zeros(len(inside), np.int64),
        predicted=model.combine(people, distances, read_out).reshape(-1, 2, len(alone)),
        asked=sum(one.asked for one in found),
        distinct=distinct,
        flop=flop,
    )
    own = changed[np.arange(len(inside)), nearest] - reference[nearest]
    return ElementIsm(ism, places[nearest], own, model.activity(reference)[nearest])


def _within_elements(
    near: Variants, found: Sequence[GeneIsm]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """(V,) which variants lie in elements; and of P such places (P,) which of V, (P, 2) element and row."""
    at = {key: v for v, key in enumerate(zip(near.position.tolist(), near.ref, near.alt, strict=True))}
    which, rows = list[int](), list[tuple[int, int]]()
    for e, one in enumerate(found):
        keys = zip(one.variants.position.tolist(), one.variants.ref, one.variants.alt, strict=True)
        for r, key in enumerate(keys):
            which.append(at[key])
            rows.append((e, r))
    inside, owner = np.unique(np.array(which, np.intp), return_inverse=True)
    return inside, owner, np.array(rows, np.intp).reshape(-1, 2)


def _nearest(
    n: int, owner: NDArray[np.intp], element: NDArray[np.intp], distance: NDArray[np.int64]
) -> NDArray[np.intp]:
    """(n,) of the elements of each variant the one at the smallest of (E,) distances."""
    chosen = np.empty(n, np.intp)
    order = np.argsort(-distance[element], kind="stable")
    chosen[owner[order]] = element[order]
    return chosen
