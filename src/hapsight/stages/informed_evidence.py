"""Prior evidence at variants: distance to the TSS, functional tracks, and a sequence model's effects.

All in logarithmic units, and 0 where a source has nothing to say: ``log(1 + x / typical)``, hence log 2 at a
typical value. What is typical comes from files and genes alone, never from people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.alleles import Aligned, WeightRow, align_weights
from hapsight.cohort.bigwig import BigWig
from hapsight.cohort.contigs import find_contig
from hapsight.cohort.effect_tables import ROWS, EffectTable, read_effect_table
from hapsight.cohort.nouns import Gene, Variants
from hapsight.errors import ConfigError, InputError
from hapsight.files import file_digest, file_state
from hapsight.linear.informed import distance_evidence, shuffled_evidence
from hapsight.run.sections import (
    EvidenceEffectsConfig,
    EvidenceTrackConfig,
    InformedConfig,
    SignedEffectsConfig,
)
from hapsight.seeds import stream

__all__ = [
    "DistanceEvidence",
    "EffectEvidence",
    "Feature",
    "SignedEvidence",
    "TrackEvidence",
    "open_features",
    "open_signed",
    "require_evidence",
]

Floats = NDArray[np.float64]

NO_CONTIGS: Final[Mapping[str, int]] = MappingProxyType({})


class Feature(Protocol):
    """One kind of evidence; travels to other processes."""

    @property
    def label(self) -> str:
        """What tables call it."""

    def at(self, gene: Gene, variants: Variants) -> Floats:
        """(V,) evidence that a gene's variants matter."""

    def facts(self) -> Mapping[str, object]:
        """What the numbers depend on; JSON."""


@dataclass(frozen=True, slots=True)
class DistanceEvidence:
    """Nearness to the TSS."""

    label: str = "distance"

    def at(self, gene: Gene, variants: Variants) -> Floats:
        """(V,) see `distance_evidence`."""
        return distance_evidence(variants.position - gene.tss)

    def facts(self) -> Mapping[str, object]:
        """Nothing but its name."""
        return {"label": self.label}


@dataclass(frozen=True, slots=True)
class TrackEvidence:
    """Mean signal around a variant, summed over files (strands), whatever its sign.

    Attributes
    ----------
    reach
        Bases on either side of the variant's position.
    typical
        Median signal at the TSSs of the cohort that have any.
    """

    label: str
    paths: tuple[Path, ...]
    reach: int
    typical: float

    @classmethod
    def opened(cls, config: EvidenceTrackConfig, genes: Sequence[Gene]) -> TrackEvidence:
        """Look up what is typical.

        Raises
        ------
        InputError
            A file is not there, is no bigWig, has none of the genes' contigs, or no signal at any TSS.
        """
        at_tss = np.concatenate(
            [_signal(config.paths, config.reach, gene.contig, np.array([gene.tss])) for gene in genes]
        )
        found = at_tss[at_tss > 0.0]
        if not len(found):
            raise InputError(
                "The track has no signal at any gene's TSS.",
                where=", ".join(map(str, config.paths)),
                expected="signal on " + ", ".join(sorted({gene.contig for gene in genes})),
                got=f"none at {len(genes)} TSSs",
                fix=f"leave {config.label!r} out of [[informed.tracks]], or give a file of the same build",
            )
        return cls(config.label, config.paths, config.reach, float(np.median(found)))

    def at(self, gene: Gene, variants: Variants) -> Floats:
        """(V,) ``log(1 + signal / typical)``."""
        found: Floats = np.log1p(
            _signal(self.paths, self.reach, gene.contig, variants.position) / self.typical
        )
        return found

    def facts(self) -> Mapping[str, object]:
        """Files by content."""
        digests = [file_digest(path) for path in self.paths]
        return {"label": self.label, "files": digests, "reach": self.reach, "typical": self.typical}


def _signal(paths: Sequence[Path], reach: int, contig: str, position: NDArray[np.int64]) -> Floats:
    """(V,) mean over ``[position - reach, position + reach]`` of the absolute signals, summed over files."""
    total = np.zeros(len(position))
    if len(position):
        for path in paths:
            with BigWig(path) as file:
                total += _window_means(file, path, contig, position, reach)
    return total


def _window_means(file: BigWig, path: Path, contig: str, position: NDArray[np.int64], reach: int) -> Floats:
    lengths = file.lengths
    name = find_contig(contig, lengths)
    if name is None or int(position.max()) >= lengths[name]:
        raise InputError(
            "The track does not cover the place of a variant or gene.",
            where=path,
            expected=f"{contig}, with or without 'chr', of more than {int(position.max())} bases",
            got=f"{lengths[name]} bases" if name else ", ".join(sorted(lengths)[:5]),
            fix="give a file of the same build",
        )
    first, last = max(int(position.min()) - reach, 0), min(int(position.max()) + reach + 1, lengths[name])
    values = np.abs(np.nan_to_num(file.values(name, first, last).astype(np.float64)))
    running = np.append(0.0, np.cumsum(values))
    start, end = np.maximum(position - reach, first) - first, np.minimum(position + reach + 1, last) - first
    means: Floats = (running[end] - running[start]) / (2 * reach + 1)
    return np.maximum(means, 0.0)


@dataclass(frozen=True, slots=True)
class EffectEvidence:
    """Size of a sequence model's effect on this gene: the largest over tracks, on the reference sequence.

    Attributes
    ----------
    genes, contigs
        Of the cohort; the FASTA's contigs with their lengths.
    typical
        Median size over genes and variants with an effect. A variant without a row, such as one outside of
        the model's window, has no evidence.
    """

    label: str
    path: Path
    genes: tuple[Gene, ...] = field(repr=False)
    contigs: tuple[tuple[str, int], ...] = field(repr=False)
    typical: float = 1.0

    @classmethod
    def opened(
        cls, config: EvidenceEffectsConfig, genes: Sequence[Gene], contigs: Mapping[str, int] = NO_CONTIGS
    ) -> EffectEvidence:
        """Look up what is typical.

        Raises
        ------
        InputError
            The file is not there, cannot be read (see `hapsight.cohort.effect_tables`), or has no effect on
            any of the genes.
        """
        bare = cls(config.label, config.path, tuple(genes), tuple(contigs.items()))
        return replace(bare, typical=float(np.median(bare.sizes())))

    def sizes(self) -> Floats:
        """(E,) of all effects that are not 0.

        Raises
        ------
        InputError
            There is none.
        """
        sizes = np.abs(self.read().table["value"].to_numpy())
        found: Floats = sizes[sizes > 0.0]
        if not len(found):
            raise InputError(
                "The file has no effect of a variant on any gene of the cohort.",
                where=self.path,
                expected="effects other than 0",
                got=f"{len(sizes)} rows of these genes",
                fix="give `effects.parquet` of `hapsight explain` on this cohort",
            )
        return found

    def read(self) -> EffectTable:
        """The rows of the cohort's genes, one for each variant; read once by a process."""
        return _largest_sizes(self.path, file_state(self.path), self.genes, self.contigs)

    def rows(self, gene: Gene) -> tuple[WeightRow, ...]:
        """Those of a gene."""
        return self.read().rows_of(gene.gene_id)

    def at(self, gene: Gene, variants: Variants) -> Floats:
        """(V,) ``log(1 + size / typical)``; alleles are aligned as those of weights are."""
        found: Floats = np.log1p(np.abs(self.laid(gene, variants).weights) / self.typical)
        return found

    def laid(self, gene: Gene, variants: Variants) -> Aligned:
        """What becomes of a gene's effects on its variants.

        Raises
        ------
        InputError
            Two effects fall on one variant.
        """
        aligned = align_weights(self.rows(gene), variants)
        aligned.require_one_each("effects", f"{self.path}, gene {gene.gene_id}")
        return aligned

    def facts(self) -> Mapping[str, object]:
        """The file by content."""
        return {"label": self.label, "file": file_digest(self.path), "typical": self.typical}


@dataclass(frozen=True, slots=True)
class SignedEvidence:
    """A sequence model's effects with their signs, in units of their root mean square.

    Attributes
    ----------
    least
        Size below which an effect counts as 0.
    """

    effects: EffectEvidence
    least: float = 0.0

    @classmethod
    def opened(
        cls, config: SignedEffectsConfig, genes: Sequence[Gene], contigs: Mapping[str, int] = NO_CONTIGS
    ) -> SignedEvidence:
        """Look up what is typical, and which effects are large.

        Raises
        ------
        InputError
            As of `EffectEvidence.opened`.
        """
        bare = EffectEvidence(config.label, config.path, tuple(genes), tuple(contigs.items()))
        sizes = bare.sizes()
        least = float(np.quantile(sizes, 1.0 - config.largest)) if config.largest < 1.0 else 0.0
        return cls(replace(bare, typical=float(np.sqrt(np.mean(sizes**2)))), least)

    @property
    def label(self) -> str:
        """What tables call it."""
        return self.effects.label

    def at(self, gene: Gene, variants: Variants) -> Floats:
        """(V,) signed effects per copy of ALT; 0 where there is none, or a small one."""
        found = self.effects.laid(gene, variants).weights
        return np.where(np.abs(found) >= self.least, found / self.effects.typical, 0.0)

    def facts(self) -> Mapping[str, object]:
        """The file by content."""
        return {**self.effects.facts(), "least": self.least, "signed": True}


@lru_cache(maxsize=4)
def _largest_sizes(
    path: Path, stamp: object, genes: tuple[Gene, ...], contigs: tuple[tuple[str, int], ...]
) -> EffectTable:
    """The genes' rows of a file as it is (`stamp`), the value being that of the largest size over tracks."""
    own = read_effect_table(path, "effects", ("effect", "beta", "weight")).for_genes(genes, dict(contigs))
    keys = [name for name in ROWS if name != "value"]
    largest = own.table.group_by(keys, maintain_order=True).agg(
        pl.col("value").get(pl.col("value").abs().arg_max())
    )
    return replace(own, table=largest)


def open_features(
    config: InformedConfig, genes: Sequence[Gene], contigs: Mapping[str, int]
) -> dict[str, Feature]:
    """All configured evidence by label, distance first; `contigs` are the FASTA's, with lengths."""
    features: list[Feature] = [DistanceEvidence()]
    features += [TrackEvidence.opened(track, genes) for track in config.tracks]
    features += [EffectEvidence.opened(given, genes, contigs) for given in config.effects]
    return {feature.label: feature for feature in features}


def open_signed(
    config: InformedConfig, genes: Sequence[Gene], contigs: Mapping[str, int]
) -> tuple[SignedEvidence, ...]:
    """All configured signed evidence; errors as of `SignedEvidence.opened`."""
    return tuple(SignedEvidence.opened(given, genes, contigs) for given in config.signed)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One set of evidence, or its control, judged on one split of people.

    Attributes
    ----------
    name
        What tables call the evidence.
    features
        Labels of what it is made of; without any, all variants are equal.
    shuffled
        Evidence other than distance is shuffled among variants about as far from the TSS; where there is
        nothing but distance, that is shuffled freely. With `signed`: only signs are drawn.
    signed
        Labels of signed evidence, a prior mean of effects.
    seen
        False: genes are predicted by their signed evidence alone, learned on genes elsewhere.
    """

    name: str
    features: tuple[str, ...]
    split: str
    shuffled: bool = False
    signed: tuple[str, ...] = ()
    seen: bool = True

    @property
    def words(self) -> tuple[str, ...]:
        """What its folder of units in ``informed/`` is called by."""
        return (self.name, *(("shuffled",) if self.shuffled else ()), self.split)

    def at(self, columns: Mapping[str, Floats], distance: NDArray[np.int64], seed: int) -> Floats:
        """(V, F) of a gene's variants; the gene's `seed` decides the shuffle, the same in all sets.

        Parameters
        ----------
        columns
            (V,) of each feature, and perhaps of others.
        distance
            (V,) from the TSS in bases.
        """
        evidence = np.empty((len(distance), len(self.features)))
        for index, label in enumerate(self.features):
            evidence[:, index] = columns[label]
        if not self.shuffled or self.signed:
            return evidence
        dealt = [label != "distance" for label in self.features]
        if not any(dealt):
            distance, dealt = np.zeros_like(distance), [True]
        rng = stream(seed, "evidence dealt anew")
        evidence[:, dealt] = shuffled_evidence(evidence[:, dealt], distance, rng)
        return evidence

    def means(self, columns: Mapping[str, Floats], size: int, seed: int) -> Floats:
        """(V, F) signed evidence of a gene's `size` variants; where shuffled, signs are drawn at random."""
        means = np.empty((size, len(self.signed)))
        for index, label in enumerate(self.signed):
            means[:, index] = columns[label]
        if self.shuffled and self.signed:
            means *= stream(seed, "signs dealt at random").choice([-1.0, 1.0], size)[:, None]
        return means

    @property
    def strata(self) -> tuple[int | None, ...]:
        """The stretches of the genome that are left out in turn to learn signed evidence; None: no one."""
        return (None,) if self.seen else tuple(range(STRETCHES))


STRETCHES: Final = 5
"""Of neighbouring genes: held out as unseen, and to tell whether signed evidence helps."""


def evidence_sets(config: InformedConfig) -> list[Evidence]:
    """No evidence; each source by itself, tracks as one; each beside distance; all; and their controls.

    Signed evidence beside distance, and by itself in unseen genes.
    """
    tracks = tuple(track.label for track in config.tracks)
    sources = {"tracks": tracks} if tracks else {}
    sources |= {given.label: (given.label,) for given in config.effects}
    sets = {"none": (), "distance": ("distance",), **sources}
    if len(sources) > 1:
        sets |= {f"distance+{name}": ("distance", *labels) for name, labels in sources.items()}
    if sources:
        sets["all"] = ("distance", *(label for labels in sources.values() for label in labels))
    found = [
        Evidence(name, features, split, shuffled)
        for split in config.splits
        for shuffled in (False, True)
        for name, features in sets.items()
        if features or not shuffled
    ]
    signed = tuple(given.label for given in config.signed)
    for split in config.splits if signed else ():
        for shuffled in (False, True):
            found.append(Evidence("signed", ("distance",), split, shuffled, signed))
            found.append(Evidence("unseen", (), split, shuffled, signed, seen=False))
    return found


def require_evidence(config: InformedConfig, evidence: str, split: str) -> Evidence:
    """The evidence of this name and split.

    Raises
    ------
    ConfigError
        There is no such evidence.
    """
    known = [one for one in evidence_sets(config) if not one.shuffled]
    one = next((one for one in known if (one.name, one.split) == (evidence, split)), None)
    if one is None:
        raise ConfigError(
            "The configuration has no such evidence.",
            where="[informed]",
            expected="; ".join(f"{one.name}, {one.split}" for one in known),
            got=f"{evidence}, {split}",
            fix=f"name one of these, such as --evidence {known[-1].name} --split {known[-1].split}",
        )
    return one
