"""Models beside elements that were changed: saturation mutagenesis, and enhancers silenced by CRISPRi."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.genes import read_genes
from hapsight.cohort.matching import find_genes
from hapsight.cohort.nouns import Dropped, Gene, Strand
from hapsight.errors import ConfigError, InputError
from hapsight.run.opened import Opened, Progress
from hapsight.seeds import stream
from hapsight.stages.predict import ModelRun
from hapsight.stages.validation import CRISPRI_EFFECTS, MPRA_EFFECTS, Validated, estimate_row, track_labels
from hapsight.stages.valued_units import valuer_of
from hapsight.stats.direction import same_sign, share_true
from hapsight.stats.ranks import Estimate, grouped_correlation
from hapsight.validate.elements import (
    CrispriPair,
    MpraElement,
    Predictor,
    mpra_baselines,
    read_crispri,
    read_mpra,
    sign_by_decile,
)

if TYPE_CHECKING:
    from hapsight.explain.elements import ElementEffects

__all__ = ["CrispriOptions", "MpraOptions", "validate_crispri", "validate_mpra"]

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MpraOptions:
    """What is compared.

    Attributes
    ----------
    release
        Genome build as the table names it.
    elements
        Names of elements; all that lie on contigs of the FASTA where empty.
    gene
        Identifier or name of the gene that is read; else the one whose TSS is nearest.
    anchor
        ``gene``: the element in the gene's own window. ``element``: a window whose TSS is put in the middle
        of the element, with the strand of the gene.
    """

    table: Path
    release: str = "GRCh38"
    elements: tuple[str, ...] = ()
    gene: str | None = None
    anchor: Literal["gene", "element"] = "gene"
    min_barcodes: int = 10


def validate_mpra(
    opened: Opened, runs: Sequence[ModelRun], options: MpraOptions, progress: Progress
) -> Validated:
    """Compare the effects of all measured variants with what models make of them.

    Raises
    ------
    ConfigError
        An option names what there is not.
    InputError
        The table cannot be read, or no element lies in the window of a model.
    """
    cohort = opened.cohort
    elements, dropped = read_mpra(
        options.table, cohort.reference, options.release, options.elements, options.min_barcodes
    )
    placed = list(_with_genes(opened, elements, options, dropped))
    rng = stream(opened.config.seed, "mpra")
    effects: list[pl.DataFrame] = []
    rows: list[dict[str, Any]] = []
    for run in runs:
        for done, (element, gene) in enumerate(placed):
            progress(f"mpra {run.label}", done, len(placed))
            found = _mpra_effects(opened, run, element, gene, options.anchor, dropped)
            if found is not None:
                effects.append(found)
                rows += _summary(run, found, rng)
        progress(f"mpra {run.label}", len(placed), len(placed))
    if not effects:
        raise InputError(
            "No element of the MPRA table lies in the window of a model.",
            where=options.table,
            got="; ".join(
                f"{why}: {', '.join(names)}"
                for (kind, why), names in dropped.names.items()
                if kind == "element"
            ),
            fix="put the window on the element (anchor 'element'), or name a gene nearby",
        )
    return Validated.of(pl.concat(effects), rows, dropped, _as_json(options))


def _as_json(options: MpraOptions) -> dict[str, Any]:
    return {
        "table": str(options.table),
        "release": options.release,
        "elements": list(options.elements),
        "gene": options.gene,
        "anchor": options.anchor,
        "min_barcodes": options.min_barcodes,
    }


def _mpra_effects(
    opened: Opened, run: ModelRun, element: MpraElement, gene: Gene, anchor: str, dropped: Dropped
) -> pl.DataFrame | None:
    """One row per track and variant of an element that the window holds; None where it holds none."""
    from hapsight.explain.elements import reference_effects
    from hapsight.explain.ism import ism_window

    valuer = valuer_of(opened, run)
    read = _centred(gene, element) if anchor == "element" else gene
    window = ism_window(read, valuer).interval
    inside = (element.variants.position >= window.start) & (element.variants.end <= window.end)
    for name in np.array(element.variants.variant_id)[~inside]:
        dropped.add("variant", f"beyond the window of {run.label}", f"{element.name} {name}")
    if not inside.any():
        dropped.add("element", f"beyond the window of {run.label} at {gene.gene_id}", element.name)
        return None
    effect = reference_effects(read, element.variants.take(inside), valuer, opened.cohort.reference.fetch)
    return _table(run, element, gene, anchor, np.flatnonzero(inside), effect)


def _with_genes(
    opened: Opened, elements: Sequence[MpraElement], options: MpraOptions, dropped: Dropped
) -> Iterator[tuple[MpraElement, Gene]]:
    """Each element with the gene that is asked for, or else the one whose TSS is nearest to its middle."""
    genes = _asked(opened, options.gene)
    for element in elements:
        near = [gene for gene in genes if gene.contig == element.interval.contig]
        if near:
            away = [abs(gene.tss - _middle(element)) for gene in near]
            yield element, near[int(np.argmin(away))]
        else:
            dropped.add("element", "no gene on its contig", element.name)


def _asked(opened: Opened, name: str | None) -> Sequence[Gene]:
    """The gene of this identifier or name; all without one."""
    if name is None:
        return opened.cohort.genes
    named, _ = find_genes([name], opened.cohort.genes)
    if not named:
        raise ConfigError(
            f"The cohort has no gene {name!r}.",
            expected="a gene_id or gene_name of the configuration's genes",
            got=name,
        )
    return named


def _middle(element: MpraElement) -> int:
    return (element.interval.start + element.interval.end) // 2


def _centred(gene: Gene, element: MpraElement) -> Gene:
    return Gene(gene.gene_id, gene.contig, _middle(element), gene.strand, gene.gene_name)


def _table(
    run: ModelRun,
    element: MpraElement,
    gene: Gene,
    anchor: str,
    inside: NDArray[np.intp],
    effect: Float,
) -> pl.DataFrame:
    place = element.place[inside]
    columns = {
        "position": place,
        "ref": np.array(element.goes)[inside],
        "alt": np.array(element.comes)[inside],
        "tss_distance": (place - gene.tss) * (-1 if gene.strand is Strand.MINUS else 1),
        "barcodes": element.barcodes[inside],
        "coefficient": element.coefficient[inside],
        "pval": element.pval[inside],
    }
    same = {"element": element.name, "gene_id": gene.gene_id, "anchor": anchor, "contig": gene.contig}
    parts = [
        pl.DataFrame(columns | {"effect": effect[:, t]}).with_columns(
            pl.lit(value).alias(name) for name, value in (same | labels).items()
        )
        for t, labels in enumerate(track_labels(run))
    ]
    return pl.concat(parts).select(pl.col(name).cast(kind) for name, kind in MPRA_EFFECTS.items())


def _summary(run: ModelRun, table: pl.DataFrame, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Agreement of the model and of the baselines with one element, and of the model's sign by tenths."""
    for labels in track_labels(run):
        mine = table.filter(pl.col("track") == labels["track"])
        place, measured, effect = (mine[name].to_numpy() for name in ("position", "coefficient", "effect"))
        element = mine["element"][0]
        distance = mine["tss_distance"].to_numpy()
        baselines = mpra_baselines(place, distance, tuple(mine["ref"]), tuple(mine["alt"]), measured)
        for one in (Predictor("model", effect, np.abs(effect)), *baselines):
            for quantity, found in _agreement(one, measured, place, rng):
                yield estimate_row(labels, element, one.name, quantity, found)
        yield from _signs(labels, element, effect, measured)


def _agreement(
    one: Predictor, measured: Float, place: NDArray[np.int64], rng: np.random.Generator
) -> Iterator[tuple[str, Estimate]]:
    """Of sign and size together, and of size alone; intervals over positions."""
    size = np.abs(measured)
    yield "pearson", grouped_correlation(one.signed, measured, place, rng)
    yield "spearman", grouped_correlation(one.signed, measured, place, rng, ranks=True)
    yield "spearman_size", grouped_correlation(one.size, size, place, rng, ranks=True)


def _signs(labels: dict[str, str], element: str, effect: Float, measured: Float) -> Iterator[dict[str, Any]]:
    """How often the model's sign is the measured one: in all, and by tenths of either size."""
    signed = (effect != 0) & (measured != 0)
    shares = {"all": share_true(same_sign(effect[signed], measured[signed]))}
    for by, sizes in (("effect", effect), ("measured", measured)):
        deciles = sign_by_decile(effect, measured, sizes)
        shares |= {f"{by} decile {rank}": share for rank, share in enumerate(deciles, start=1)}
    for stratum, share in shares.items():
        yield estimate_row(labels, element, "model", "sign_agrees", Estimate.of(share), stratum)


_METHODS: Final = ("deletion", "shuffle", "mask")
_BASELINE: Final = "distance"


@dataclass(frozen=True, slots=True)
class CrispriOptions:
    """What is compared.

    Attributes
    ----------
    genes
        A gene table with the strands of the table's genes, beside the configuration's own.
    draws
        Shuffled sequences of each element.
    """

    table: Path
    genes: Path | None = None
    draws: int = 10


def validate_crispri(
    opened: Opened, runs: Sequence[ModelRun], options: CrispriOptions, progress: Progress
) -> Validated:
    """Take every element that fits out of its gene's window, and rank the pairs by what expression loses.

    Raises
    ------
    InputError
        The table cannot be read, or has no pair on a contig of the FASTA.
    """
    genes = [*opened.cohort.genes, *(read_genes(options.genes) if options.genes else ())]
    pairs, dropped = read_crispri(options.table, opened.cohort.reference, genes)
    rng = stream(opened.config.seed, "crispri")
    effects: list[pl.DataFrame] = []
    rows: list[dict[str, Any]] = []
    for run in runs:
        table = _crispri_effects(opened, run, pairs, options.draws, rng, dropped, progress)
        effects.append(table)
        for labels in track_labels(run):
            mine = table.filter(pl.col("track") == labels["track"])
            rows += [_coverage(labels, pairs, mine), *_ranking(labels, mine, rng)]
    record = {
        "table": str(options.table),
        "genes": str(options.genes) if options.genes else None,
        "draws": options.draws,
    }
    return Validated.of(pl.concat(effects), rows, dropped, record)


def _crispri_effects(
    opened: Opened,
    run: ModelRun,
    pairs: Sequence[CrispriPair],
    draws: int,
    rng: np.random.Generator,
    dropped: Dropped,
    progress: Progress,
) -> pl.DataFrame:
    """One row per pair that fits, and track; the others are counted by why they do not."""
    from hapsight.explain.elements import element_effects, misfit

    valuer = valuer_of(opened, run)
    rows: list[dict[str, Any]] = []
    for done, pair in enumerate(pairs):
        progress(f"crispri {run.label}", done, len(pairs))
        fault = misfit(pair.gene, pair.element, valuer)
        if fault is not None:
            dropped.add("pair", f"{run.label}: {fault}", pair.name)
            continue
        found = element_effects(pair.gene, pair.element, valuer, opened.cohort.reference.fetch, rng, draws)
        rows += _pair_rows(run, pair, found)
    progress(f"crispri {run.label}", len(pairs), len(pairs))
    return pl.DataFrame(rows, schema=CRISPRI_EFFECTS)


def _pair_rows(run: ModelRun, pair: CrispriPair, found: ElementEffects) -> Iterator[dict[str, Any]]:
    for t, labels in enumerate(track_labels(run)):
        yield {
            "pair": pair.name,
            "gene_id": pair.gene.gene_id,
            "gene_name": pair.gene.gene_name,
            **labels,
            "contig": pair.element.contig,
            "start": pair.element.start,
            "end": pair.element.end,
            "distance": pair.distance,
            "regulated": pair.regulated,
            "reference": float(found.reference[t]),
            "deletion": float(found.deletion[t]),
            "shuffle": float(found.shuffle[t]),
            "shuffle_sd": float(found.shuffle_sd[t]),
            "mask": float(found.mask[t]),
        }


def _coverage(labels: dict[str, str], pairs: Sequence[CrispriPair], fit: pl.DataFrame) -> dict[str, Any]:
    """The share of the pairs on the FASTA's contigs that the model can be asked about."""
    share = Estimate(len(pairs), len(fit) / len(pairs), n_positive=sum(pair.regulated for pair in pairs))
    return estimate_row(labels, "pairs", "model", "share_fitting", share)


def _ranking(labels: dict[str, str], fit: pl.DataFrame, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Average precision of each way to take an element out, beside the distance."""
    from hapsight.explain.reliability_quality import ranked

    scores = {name: -fit[name].to_numpy() for name in _METHODS}
    scores[_BASELINE] = 1.0 / (1.0 + fit["distance"].to_numpy())
    found = ranked(scores, _BASELINE, fit["regulated"].to_numpy(), rng)
    for (name, quantity), estimate in found.items():
        missing = "no pair fits" if fit.is_empty() else "all pairs that fit are of one class"
        yield estimate_row(labels, "pairs", name, quantity, estimate, missing=missing)
