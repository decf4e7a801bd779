"""A table of variant effects as a model: a haplotype has the reference's value, and what its alleles add."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.alleles import OUTCOMES, Aligned, WeightRow, align_weights
from hapsight.cohort.check import CheckResult
from hapsight.cohort.effect_fit import require_fit, table_checks
from hapsight.cohort.effect_layouts import Wanted, given_effects
from hapsight.cohort.effect_tables import EffectTable, weight_rows
from hapsight.cohort.nouns import Gene, Interval, Variants
from hapsight.engine.cost import Cost
from hapsight.engine.views import window_of
from hapsight.errors import HapsightError, InputError, plural
from hapsight.files import file_digest
from hapsight.linear.fits import weighted_sum
from hapsight.models.protocol import ModelWindow, ReadOut, Track
from hapsight.run.blocks import KeyedBlock, VariantReader, largest_genes
from hapsight.run.config import ModelConfig
from hapsight.run.crew import compute_here
from hapsight.run.models import ModelCard, ModelSource, asked_of
from hapsight.run.opened import Opened, Progress, dropped_table, table_digests
from hapsight.run.store import UnitStore
from hapsight.sequence.edits import distinct_rows

__all__ = [
    "EffectsRun",
    "LaidGene",
    "check_effects",
    "effects_in_words",
    "laid_by_gene",
    "laid_effects",
    "predict_effects",
]

Float = NDArray[np.float64]
_Sample = tuple[tuple[WeightRow, ...], Variants]

_VERSION: Final = 2
"""Of what is made of a table; part of the fingerprint."""

_LEVEL: Final = "reference_value"
_FLOP: Final = 1e6
"""What a gene counts for where genes are cut into units."""

_LAID: Final[Any] = {
    "gene_id": pl.String,
    "track": pl.String,
    "status": pl.String,
    "n_rows": pl.Int64,
    "n_used": pl.Int64,
    "share_used": pl.Float64,
    "share_weight_used": pl.Float64,
    "n_without_row": pl.Int64,
    **dict.fromkeys(OUTCOMES, pl.Int64),
}
"""Columns of ``laid``: what became of a gene's rows, and how many variants near it have none."""

_USED: Final[Any] = {
    "gene_id": pl.String,
    "track": pl.String,
    "position": pl.Int64,
    "ref": pl.String,
    "alt": pl.String,
    "effect": pl.Float64,
}
"""Columns of ``used``: effects per ALT of the cohort's variants."""


@dataclass(frozen=True, eq=False)
class EffectsRun(ModelCard):
    """A table of effects, and which genes of the cohort its rows are of.

    Attributes
    ----------
    given
        Rows of the cohort's genes, under their identifiers.
    reaches
        By ``gene_id``, of genes that have rows: bases from the TSS to the farthest one. The window has room
        for all.
    """

    given: EffectTable
    reaches: dict[str, int]

    @classmethod
    def of(cls, opened: Opened, wanted: ModelConfig) -> EffectsRun:
        """Read the table of an entry of the configuration.

        Raises
        ------
        InputError
            The table cannot be read, has no gene of the cohort, or does not say which genes its rows are of.
        """
        assert wanted.table is not None, "the configuration is checked"
        given = given_effects(
            wanted.table,
            Wanted(wanted.value, wanted.gene, wanted.tracks, wanted.texts),
            wanted.within,
            opened.cohort.genes,
            opened.cohort.reference.contigs,
        )
        digest = _fingerprint(wanted)
        reaches = _reaches(given, opened.cohort.genes, opened.config.baseline.cis_window)
        reach = max(reaches.values())
        tracks = tuple(given.table["track"].unique(maintain_order=True))
        window, cost = ModelWindow(reach, reach + 1, oriented=False), Cost(1, _FLOP)
        return cls(
            label=wanted.label or wanted.table.stem,
            name=f"effects of {wanted.table.name} ({digest[:8]})",
            read_out=ReadOut("effects", tuple(range(len(tracks))), description="reference + sum of effects"),
            tracks=tuple(Track(name, "effects of variants", "", ".", "as in the table") for name in tracks),
            window=window,
            seen=(0, window.length),
            cost=cost,
            toggled=cost,
            fingerprint=digest,
            device="cpu",
            source=ModelSource(wanted.name, None, "{}", "cpu", "float32", False),
            asked=asked_of(opened.config, wanted),
            levels=_LEVEL in given.table.columns,
            own=_own(given, reaches, opened.cohort.genes),
            given=given,
            reaches=reaches,
        )

    def near(self, gene: Gene) -> Interval:
        """What lies no farther from a TSS than the farthest effect on this gene."""
        reach = self.reaches.get(gene.gene_id, 1)
        return window_of(gene, ModelWindow(reach, reach + 1, oriented=False)).interval

    def rows(self, gene: Gene, track: str) -> pl.DataFrame:
        """A gene's rows of a track."""
        return self._parts.get((gene.gene_id, track), self.given.table.clear())

    @cached_property
    def _parts(self) -> dict[tuple[object, ...], pl.DataFrame]:
        return self.given.table.partition_by("gene_id", "track", as_dict=True)

    def level(self, gene: Gene, track: str) -> float:
        """The value of the reference sequence; 0 where the table does not have it.

        Raises
        ------
        InputError
            The rows of the gene have several.
        """
        rows = self.rows(gene, track)
        if not self.levels or rows.is_empty():
            return 0.0
        values = rows[_LEVEL].unique().to_list()
        if len(values) > 1:
            raise InputError(
                "A gene has several values of the reference sequence.",
                where=f"{self.given.path}, column {_LEVEL}, gene {gene.gene_id}, track {track}",
                expected="one value in all rows of a gene and track",
                got=", ".join(map(str, values[:5])),
            )
        return float(values[0])


def _fingerprint(wanted: ModelConfig) -> str:
    """Of the table's bytes, and of what is taken of it."""
    assert wanted.table is not None
    keys = wanted.model_dump(mode="json", include={"gene", "within", "value", "tracks", "where"})
    text = json.dumps({"file": file_digest(wanted.table), "version": _VERSION, **keys}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _reaches(given: EffectTable, genes: Sequence[Gene], unplaced: int) -> dict[str, int]:
    """By ``gene_id``: bases to the farthest effect; at least `unplaced` where one has no place."""
    tss = {gene.gene_id: gene.tss for gene in genes}
    away = (pl.col("position") - pl.col("gene_id").replace_strict(tss, default=None)).abs()
    least = pl.when(pl.col("position").is_null().any()).then(unplaced).otherwise(1)
    found = given.table.group_by("gene_id").agg(reach=pl.max_horizontal(away.max(), least))
    return dict(found.iter_rows())


def _own(given: EffectTable, reaches: dict[str, int], genes: Sequence[Gene]) -> dict[str, str]:
    """By ``gene_id``: digest of the rows that fall to a gene, which may hang on the other genes."""
    rows, tracks = table_digests(given.table), sorted(given.table["track"].unique())
    names = [gene.gene_id for gene in genes]
    parts = {name: json.dumps([rows.get(name), reaches.get(name), tracks]) for name in names}
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in parts.items()}


@dataclass(frozen=True, slots=True, eq=False)
class LaidEffects:
    """A gene's effects on one track, laid on V variants of the cohort.

    Attributes
    ----------
    base
        What a haplotype has that carries no ALT: the reference's value, and that of exchanged alleles.
    """

    aligned: Aligned
    base: float

    def haplotypes(self, variants: Variants) -> Float:
        """(2N,) value of every person's two haplotypes."""
        return self.base + weighted_sum(self.aligned.weights, variants.haplotypes)


def laid_effects(run: EffectsRun, gene: Gene, track: str, variants: Variants) -> LaidEffects:
    """Lay the rows of a gene and track on its variants, alleles aligned as those of PredictDB weights are.

    Raises
    ------
    InputError
        Two rows fall on one variant.
    """
    both = replace(variants, one_copy=None)  # of haplotypes, a man's chrX has two that are alike
    aligned = align_weights(_rows(run, gene, track), both)
    aligned.require_one_each("effects", f"{run.given.path}, gene {gene.gene_id}, track {track}")
    return LaidEffects(aligned, run.level(gene, track) + float(aligned.intercept) / 2)


def _rows(run: EffectsRun, gene: Gene, track: str) -> tuple[WeightRow, ...]:
    return weight_rows(run.rows(gene, track))


def predict_effects(
    opened: Opened, run: EffectsRun, units: Sequence[KeyedBlock], label: str, progress: Progress
) -> int:
    """Make the units of a table of effects that are not there yet; returns how many these were.

    Raises
    ------
    InputError
        The table is of another build, or has two effects of a variant.
    """
    return compute_here(
        run.store(opened),
        units,
        partial(_unit_tables, opened, run),
        label,
        progress,
        before=lambda: _require_fit(opened, run, _samples(opened, run)),
    )


def _require_fit(opened: Opened, run: EffectsRun, samples: Iterable[_Sample]) -> None:
    require_fit(run.given.path, "effects", samples, opened.cohort.reference, run.given.elsewhere)


def check_effects(opened: Opened, wanted: ModelConfig) -> list[CheckResult]:
    """Whether a configured table can be read and is of this cohort, and what of it is used of a few genes.

    And how its alleles lie on the FASTA, and whether its effects have both signs.
    """
    assert wanted.table is not None, "a table of effects"
    name = f"model {wanted.label or wanted.table.stem}"
    try:
        run = EffectsRun.of(opened, wanted)
        samples = list(_samples(opened, run))
        _require_fit(opened, run, samples)
        used = [align_weights(rows, near) for rows, near in samples]
    except HapsightError as error:
        details = tuple(f"{key}: {text}" for key, text in error.details.items())
        return [CheckResult(name, "fail", error.what, details)]
    genes, rows = run.given.table["gene_id"].n_unique(), sum(sum(one.counts.values()) for one in used)
    message = (
        f"{plural(len(run.given.table), 'effect')} on {genes:,} of {len(opened.cohort.genes):,} genes, up to "
        f"{run.window.upstream:,} bp from a TSS; of the {rows:,} of {len(used)} genes, "
        f"{sum(one.n_used for one in used):,} are matched to variants"
    )
    unread = "not applicable: a table of effects reads no sequence"
    asked = [CheckResult.about(run.label, asks, "pass", unread) for asks in ("read-out", "positive control")]
    fit = table_checks(run.label, run.given, opened.cohort.reference)
    return [CheckResult(name, "pass", message), *asked, *fit]


def _samples(opened: Opened, run: EffectsRun) -> Iterator[_Sample]:
    track = run.track_names[0]
    size, rows = (lambda gene: len(run.rows(gene, track))), (lambda gene: _rows(run, gene, track))
    return largest_genes(opened, size, rows, run.near)


def _unit_tables(opened: Opened, run: EffectsRun, unit: KeyedBlock) -> dict[str, pl.DataFrame]:
    cohort = opened.cohort
    windows = [run.near(gene) for gene in unit.genes]
    reader = VariantReader(cohort.genotypes, cohort.reference, windows)
    values, genes, laid, used = [], [], [], [pl.DataFrame(schema=_USED)]
    for gene, window in zip(unit.genes, windows, strict=True):
        variants = reader(window)
        own = {track: laid_effects(run, gene, track, variants) for track in run.track_names}
        carried = np.any([one.aligned.used for one in own.values()], axis=0)
        index, distinct = _distinct(variants.take(np.flatnonzero(carried)))
        genes.append(
            {"gene_id": gene.gene_id, "n_variants": int(carried.sum()), "n_distinct": distinct, "gflop": 0.0}
        )
        for track, one in own.items():
            values.append(_values(gene, track, one, variants, index))
            laid.append(_facts(gene, track, one.aligned, len(variants)))
            used.append(_used(gene, track, one.aligned, variants))
    return {
        "values": pl.concat(values),
        "genes": pl.DataFrame(genes),
        "dropped": dropped_table(reader.dropped),
        "laid": pl.DataFrame(laid, schema=_LAID),
        "used": pl.concat(used),
    }


def _distinct(carried: Variants) -> tuple[NDArray[np.int32], int]:
    """(2N,) which of the distinct haplotypes each is, by these variants; and how many there are."""
    one, of = distinct_rows(np.packbits(carried.haplotypes, axis=0).T)
    return of.astype(np.int32), len(one)


def _values(
    gene: Gene, track: str, one: LaidEffects, variants: Variants, index: NDArray[np.int32]
) -> pl.DataFrame:
    """A row for the reference, and for each haplotype, as predictions of models have them."""
    n = len(variants.samples)
    return pl.DataFrame(
        {
            "gene_id": [gene.gene_id] * (1 + 2 * n),
            "track": [track] * (1 + 2 * n),
            "sample_id": ["", *np.repeat(variants.samples, 2)],
            "haplotype": np.concatenate([[0], np.tile([1, 2], n)]).astype(np.int8),
            "distinct": np.concatenate([np.array([-1], np.int32), index]),
            "value": np.concatenate([[one.base], one.haplotypes(variants)]),
        }
    )


def _facts(gene: Gene, track: str, aligned: Aligned, n_variants: int) -> dict[str, object]:
    rows = sum(aligned.counts.values())
    return {
        "gene_id": gene.gene_id,
        "track": track,
        "status": "no_model" if not rows else "ok" if aligned.n_used else "no_variants",
        "n_rows": rows,
        "n_used": aligned.n_used,
        "share_used": aligned.share_used,
        "share_weight_used": aligned.used_weight if rows else None,
        "n_without_row": n_variants - int(aligned.used.sum()),
        **aligned.counts,
    }


def _used(gene: Gene, track: str, aligned: Aligned, variants: Variants) -> pl.DataFrame:
    place = np.flatnonzero(aligned.used)
    own = variants.take(place)
    return pl.DataFrame(
        {
            "gene_id": [gene.gene_id] * len(place),
            "track": [track] * len(place),
            "position": own.position,
            "ref": own.ref,
            "alt": own.alt,
            "effect": aligned.weights[place],
        },
        schema=_USED,
    )


@dataclass(frozen=True, slots=True, eq=False)
class LaidGene:
    """What a unit keeps of one gene's effects on a track.

    Attributes
    ----------
    facts
        ``status`` (why there is no prediction; None where there is one), and the shares that are used.
    used
        The gene's rows of ``used``.
    """

    facts: dict[str, Any]
    used: pl.DataFrame

    def dosage(self, reader: VariantReader, window: Interval) -> NDArray[np.uint8]:
        """(V, N) of the variants that have an effect."""
        near = reader(window)
        return near.take(used_rows(self.used, near)).linear_dosage


def laid_by_gene(store: UnitStore, unit: KeyedBlock, track: str) -> dict[str, LaidGene]:
    """By ``gene_id``: what became of the effects of a unit's genes.

    Raises
    ------
    IncompleteError
        The unit is not done.
    """
    used = store.read([unit], "used").filter(pl.col("track") == track)
    parts = used.partition_by("gene_id", as_dict=True)
    laid = store.read([unit], "laid").filter(pl.col("track") == track)
    return {
        row["gene_id"]: LaidGene(
            {name: row[name] for name in ("share_used", "share_weight_used")}
            | {"status": None if row["status"] == "ok" else row["status"]},
            parts.get((row["gene_id"],), used.clear()),
        )
        for row in laid.iter_rows(named=True)
    }


def used_rows(table: pl.DataFrame, variants: Variants) -> NDArray[np.intp]:
    """Places among variants of the rows of ``used``."""
    here = zip(variants.position.tolist(), variants.ref, variants.alt, strict=True)
    place = {key: v for v, key in enumerate(here)}
    return np.array([place[key] for key in table.select("position", "ref", "alt").iter_rows()], np.intp)


def effects_in_words(card: ModelCard, laid: pl.DataFrame) -> str:
    """What of a table was used, for the report."""
    total = {name: int(laid[name].sum()) for name in ("n_rows", "n_used", "n_without_row", *OUTCOMES)}
    kinds = {
        "swapped": "exchanged",
        "flipped": "of the other strand",
        "flipped_swapped": "of the other strand and swapped",
        "ambiguous": "ambiguous",
        "other_alleles": "with other alleles",
        "other_build": "of another build",
        "absent": "of variants that the cohort does not have",
    }
    some = [f"{total[name]:,} {words}" for name, words in kinds.items() if total[name]]
    mean = laid["share_weight_used"].mean()
    share = f", on average {mean:.1%} of a gene's absolute effect" if isinstance(mean, float) else ""
    file = Path(card.asked["model"]["table"]).name
    return (
        f"{card.label} is a table of effects ({file}): {total['n_used']:,} of "
        f"{plural(total['n_rows'], 'row')} of the cohort's genes are matched to variants{share}"
        f"{'; ' + ', '.join(some) if some else ''}; {plural(total['n_without_row'], 'variant')} no "
        "farther from a TSS than its farthest effect have no row and count as without effect."
    )
