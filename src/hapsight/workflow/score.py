"""Effects of any variants on all genes in a model's reach, on the reference or on a person's haplotypes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Gene, Variants
from hapsight.cohort.sites import read_sites
from hapsight.errors import ConfigError
from hapsight.explain_tables import SCORES
from hapsight.sequence.edits import Edits
from hapsight.workflow.explain import variant_rows
from hapsight.workflow.opened import Opened, Progress, policy_of
from hapsight.workflow.predict import ModelRun
from hapsight.workflow.valued_units import valuer_of
from hapsight.workflow.variants import VariantReader

if TYPE_CHECKING:
    from hapsight.explain.mutations import Backgrounds
    from hapsight.sequence.window import Window

__all__ = ["Scored", "score"]


_Key = tuple[str, int, str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """The effects, and what has none.

    Attributes
    ----------
    table
        As `hapsight.tables.SCORES`.
    dropped
        Variants that could not be read, that reach no gene, or that a haplotype has no room for.
    """

    table: pl.DataFrame
    dropped: Dropped


def score(
    opened: Opened, runs: Sequence[ModelRun], vcf: Path, sample: str | None, progress: Progress
) -> Scored:
    """Score every variant of a VCF on every gene of the cohort whose window it overlaps.

    Parameters
    ----------
    sample
        A person of the cohort, on both of whose haplotypes each variant is toggled; else the reference.

    Raises
    ------
    ConfigError
        The cohort has no such person.
    InputError
        The VCF cannot be read, or most REFs differ from the FASTA.
    """
    _require_person(opened, sample)
    contigs, dropped = read_sites(vcf, opened.cohort.reference, policy_of(opened.config.cohort))
    rows: list[dict[str, Any]] = []
    reached: set[_Key] = set()
    by_contig = {variants.contig: variants for variants in contigs}
    for run in runs:
        for done, gene in enumerate(opened.cohort.genes):
            progress(f"score {run.label}", done, len(opened.cohort.genes))
            if gene.contig in by_contig:
                rows += _gene_rows(opened, run, gene, by_contig[gene.contig], sample, reached, dropped)
        progress(f"score {run.label}", len(opened.cohort.genes), len(opened.cohort.genes))
    for variants in contigs:
        for key in _keys(variants):
            if key not in reached:
                dropped.add("variant", "reaches no gene", _in_words(key))
    return Scored(pl.DataFrame(rows, schema=SCORES), dropped)


def _require_person(opened: Opened, sample: str | None) -> None:
    if sample is not None and sample not in opened.cohort.samples:
        raise ConfigError(
            f"The cohort has no person {sample!r}.",
            expected=f"one of {', '.join(opened.cohort.samples[:5])} ...",
            got=sample,
        )


def _gene_rows(
    opened: Opened,
    run: ModelRun,
    gene: Gene,
    variants: Variants,
    sample: str | None,
    reached: set[_Key],
    dropped: Dropped,
) -> Iterator[dict[str, Any]]:
    """One row per background, variant of the gene's window, and track."""
    from hapsight.explain.ism import ism_window, pair_effects
    from hapsight.predict.outputs import at_gene

    valuer = valuer_of(opened, run)
    window = ism_window(gene, valuer)
    scored = variants.within(window.interval)
    if not len(scored):
        return
    keys = list(_keys(scored))
    reached.update(keys)
    backgrounds, chosen, haplotypes = _backgrounds(opened, window, scored, sample)
    labels = {"gene_id": gene.gene_id, "gene_name": gene.gene_name, "model": run.label}
    labels |= {"read_out": run.read_out.name, "sample_id": sample or ""}
    for haplotype, background in haplotypes.items():
        pairs = backgrounds.pairs(chosen, np.array([background]))
        with at_gene(gene.gene_id):
            without, effect = pair_effects(backgrounds, pairs, valuer, opened.cohort.reference.fetch)
        place = {v: p for p, v in enumerate(pairs.variant.tolist())}
        for key, v, row in zip(keys, chosen.tolist(), variant_rows(gene, scored), strict=True):
            if v not in place:
                where = f"{_in_words(key)} {sample} haplotype {haplotype}"
                dropped.add("variant", "overlaps another that the haplotype carries", where)
                continue
            for t, name in enumerate(run.track_names):
                numbers = {"without": float(without[place[v], t]), "effect": float(effect[place[v], t])}
                track = {"track": name, "haplotype": haplotype}
                yield labels | track | row | {"pos": row["position"] + 1} | numbers


def _backgrounds(
    opened: Opened, window: Window, scored: Variants, sample: str | None
) -> tuple[Backgrounds, NDArray[np.intp], dict[int, int]]:
    """What to toggle in, where the scored variants are, and the backgrounds by haplotype (0: reference)."""
    from hapsight.explain.mutations import REFERENCE, Backgrounds, read_near

    cohort = opened.cohort
    if sample is None:
        merged, chosen = _merged(scored, np.zeros((len(scored), 2), np.uint8), scored)
        return Backgrounds.of_people(window, merged), chosen, {0: REFERENCE}
    longest = int(Edits.of(scored).shortens_by.max(initial=0))
    near = read_near(window, VariantReader(cohort.genotypes, cohort.reference), longest)
    merged, chosen = _merged(near, near.alleles[:, near.samples.index(sample)], scored)
    backgrounds = Backgrounds.of_people(window, merged)
    return backgrounds, chosen, {h + 1: int(backgrounds.index[0, h]) for h in (0, 1)}


def _merged(
    carried: Variants, person: NDArray[np.uint8], scored: Variants
) -> tuple[Variants, NDArray[np.intp]]:
    """Both kinds of variants in order, as one person carries them; and where the scored ones are.

    A variant that is in both is one: the person may carry it.
    """
    alleles = dict(zip(_keys(carried), person, strict=True))
    names = dict(zip(_keys(carried), carried.variant_id, strict=True))
    names |= dict(zip(_keys(scored), scored.variant_id, strict=True))
    keys = sorted(names, key=lambda key: key[1])
    none = np.zeros(2, np.uint8)
    merged = Variants(
        scored.contig,
        np.array([position for _, position, _, _ in keys], np.int64),
        tuple(ref for _, _, ref, _ in keys),
        tuple(alt for _, _, _, alt in keys),
        tuple(names[key] for key in keys),
        np.array([alleles.get(key, none) for key in keys], np.uint8)[:, None],
        ("person",),
    )
    place = {key: index for index, key in enumerate(keys)}
    return merged, np.array([place[key] for key in _keys(scored)], np.intp)


def _keys(variants: Variants) -> Iterator[_Key]:
    """What makes a variant the same as another."""
    for position, ref, alt in zip(variants.position.tolist(), variants.ref, variants.alt, strict=True):
        yield variants.contig, position, ref, alt


def _in_words(key: _Key) -> str:
    contig, position, ref, alt = key
    return f"{contig}:{position + 1} {ref}>{alt}"
