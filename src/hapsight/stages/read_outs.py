"""Whether models are read where they should be: what `hapsight check` and the report say of each.

A published benchmark turned around because the 41 kb that a model crops had been forgotten: its read-out lay
that far from the TSS. So each model is asked what it predicts at the cohort's own TSSs, and elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray

from hapsight.cohort.check import CheckResult, Status
from hapsight.cohort.effect_fit import LEANS, sign_check, table_checks
from hapsight.cohort.effect_layouts import Wanted, read_given_effects
from hapsight.cohort.effect_tables import EffectTable, read_effect_table
from hapsight.cohort.join import Cohort
from hapsight.cohort.nouns import Gene, Strand
from hapsight.cohort.reference import Reference
from hapsight.dna import N_CODE, Codes, reverse_complement
from hapsight.engine.views import about_tss, margin, read_bases, seen_bases, seen_interval, views, window_of
from hapsight.errors import ConfigError, HapsightError, InputError, quoted
from hapsight.models.elements import ElementSum
from hapsight.models.protocol import ReadOut, SequenceModel
from hapsight.priors.signs import read_sign_priors
from hapsight.run.baselines import cohort_weights, imported_runs
from hapsight.run.blocks import VariantReader
from hapsight.run.config import Config
from hapsight.run.opened import Opened
from hapsight.seeds import stream
from hapsight.stages.predict import devices_of, spread_genes
from hapsight.stats.direction import share_true
from hapsight.stats.ranks import Estimate, auroc

__all__ = ["LoadedModel", "given_checks", "place_in_words", "read_out_checks"]

Float = NDArray[np.float64]

FEWEST: Final = 40
"""Genes without which nothing is said: fewer do not tell a misplaced read-out from a sound one."""
MOST: Final = 150
"""Genes that are looked at."""
NEAR: Final = (20_000, 100_000)
"""Bases between a TSS and a place near it: of the same stretch of the genome, as rich in genes and GC."""
APART: Final = 5_000
"""Bases between any TSS of the cohort and a place that is none."""
TRIES: Final = 50
"""Draws of a place before a gene goes without."""
LEAST_AUROC: Final = 0.65
"""AUROC below which a read-out counts as misplaced; measured in docs/read_outs.md."""
EFFECTS: Final = 200
"""Variant effects whose signs are counted."""
EFFECTS_A_GENE: Final = 5
GENES_FOR_EFFECTS: Final = 2_000
"""Genes whose variants are looked for at most: short windows have none in most."""
_FLOP: Final = {"cpu": 4e11, "cuda": 5e14}
"""Floating-point operations that a model's control may take on a device: seconds."""
_USUAL_FLOP: Final = 5e12

_MISPLACED: Final = (
    "to look at: what the model crops before its first bin, the bins of the read-out, where its window has "
    "the TSS, the TSSs of the gene table, and whether FASTA and genes are of one build"
)
_TURNED: Final = (
    "to look at: whether the model reads in the direction of transcription (`oriented`), which strand its "
    "track is of, and the strands of the gene table"
)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A configured model: what tables call it, and how it is read."""

    label: str
    model: SequenceModel
    read_out: ReadOut


def place_in_words(model: SequenceModel, read_out: ReadOut) -> str:
    """Where a read-out lies about the TSS, by what the model declares.

    Examples
    --------
    ``"bins 447-449 of 896: -128 to +255 bp about the TSS (on the minus strand -255 to +128)"``
    """
    bases = read_bases(model, read_out)
    plus, minus = (about_tss(model.window, bases, minus_strand=strand) for strand in (False, True))
    other = "" if plus == minus else f" (on the minus strand {minus[0]:+,} to {minus[1]:+,})"
    where = f"{plus[0]:+,} to {plus[1]:+,} bp about the TSS{other}"
    if not read_out.bins:
        return f"one output of its whole window: {where}"
    first, last, n = min(read_out.bins), max(read_out.bins), len(read_out.bins)
    named = f"bins {first}-{last}" if n == last - first + 1 else f"{n} bins from {first} to {last}"
    if model.output_bins is None:
        return f"{named}, of which the model does not say where they lie in its window: {where}"
    return f"{named} of {model.output_bins.count:,}: {where}"


def read_out_checks(config: Config, cohort: Cohort, one: LoadedModel) -> list[CheckResult]:
    """Where a model is read, whether TSSs stand out, whether its strand does, and the signs of its effects.

    On the reference sequence, of a sample of genes; what costs too much for a check is not looked at.
    """
    from hapsight.models.registry import resolve_device

    rows = [_place(one)]
    try:
        device = devices_of(config)[0]
        one.model.to(resolve_device(device.partition(":")[0]))
        rows.extend(_Control(config, cohort, one, device).rows())  # what was found before an error stays
    except Exception as error:  # of a user's model; `hapsight predict` says more of it
        why = error.what if isinstance(error, HapsightError) else f"{type(error).__name__}: {quoted(error)}"
        asks = ("read-out", "positive control", "strand", "signs")[len(rows)]
        rows.append(CheckResult.about(one.label, asks, "warn", f"not tested: {why}"))
    return rows


def _place(one: LoadedModel) -> CheckResult:
    """Row ``read-out``."""
    said = place_in_words(one.model, one.read_out)
    if isinstance(one.model, ElementSum):
        return CheckResult.about(one.label, "read-out", "pass", f"{one.read_out.description}: {said}")
    first, last = about_tss(one.model.window, read_bases(one.model, one.read_out), minus_strand=False)
    if first <= 0 <= last:
        return CheckResult.about(one.label, "read-out", "pass", said)
    return CheckResult.about(
        one.label, "read-out", "warn", f"{said}: the TSS is not among them", (_MISPLACED,)
    )


@dataclass(frozen=True, eq=False)
class _Control:
    """A model with the genes that it is asked about."""

    config: Config
    cohort: Cohort
    one: LoadedModel
    device: str

    def rows(self) -> Iterator[CheckResult]:
        """Rows ``positive control``, ``strand`` and ``signs``."""
        model = self.one.model
        if isinstance(model, ElementSum):
            why = f"not applicable: {model.no_tss_control}"
            yield from (self._row(asks, "pass", why) for asks in ("positive control", "strand", "signs"))
            return
        genes = spread_genes(self.cohort.genes, min(MOST, self._affordable(4)))
        if model.no_tss_control or len(genes) < FEWEST:
            status: Status = "pass" if model.no_tss_control else "warn"
            why = f"not applicable: {model.no_tss_control}" if model.no_tss_control else self._too_few()
            yield from (self._row(asks, status, why) for asks in ("positive control", "strand"))
        else:
            at_tss = self._values([self._codes(gene) for gene in genes])
            yield self._tss_row(genes, at_tss)
            yield self._strand_row(genes, at_tss)
        yield self._signs_row()

    def _affordable(self, passes: int) -> int:
        """Genes of which so many sequences each can be run."""
        kind = self.device.partition(":")[0]
        a_gene = passes * self.one.model.flop_per_pass * len(list(views(self.one.model, self.one.read_out)))
        return int(_FLOP.get(kind, _USUAL_FLOP) / max(a_gene, 1.0))

    def _too_few(self) -> str:
        if len(self.cohort.genes) < FEWEST:
            return f"not tested: {len(self.cohort.genes)} genes, fewer than {FEWEST}"
        return self._too_costly()

    def _too_costly(self) -> str:
        gflop = self.one.model.flop_per_pass / 1e9
        return f"not tested: one pass takes {gflop:,.0f} GFLOP, too many for a check on this {self.device}"

    def _values(self, sequences: Sequence[Codes]) -> Float:
        """(n, T) values of sequences in the model's orientation."""
        from hapsight.engine.engine import Valuer

        size, budget = min(self.config.predict.batch_size, len(sequences)), self.config.predict.budget
        valuer = Valuer(self.one.model, self.one.read_out, self.device, size, budget)
        return valuer(np.stack(sequences))[0]

    def _codes(self, gene: Gene) -> Codes:
        """A gene's reference sequence as the model reads it."""
        window = window_of(gene, self.one.model.window, margin(self.one.read_out))
        codes = self.cohort.reference.fetch(window.interval)
        return reverse_complement(codes) if window.reverse else codes

    def _tss_row(self, genes: Sequence[Gene], at_tss: Float) -> CheckResult:
        """Row ``positive control``: predictions at TSSs against those at as many other places."""
        rng = stream(self.config.seed, "places that are no TSS", self.one.label)
        near = f"places {NEAR[0] // 1000} to {NEAR[1] // 1000} kb from these TSSs"
        found = []
        for where, bounds in (("places elsewhere on the contig", None), (near, NEAR)):
            places = [codes for gene in genes if (codes := self._elsewhere(gene, bounds, rng)) is not None]
            if len(places) >= FEWEST:
                found.append((where, len(places), self._lowest(at_tss, self._values(places))))
        sample = f"{len(genes):,} of {len(self.cohort.genes):,} genes"
        if not found:
            why = f"not tested: too few other places of this size without N on the contigs of {sample}"
            return self._row("positive control", "warn", why)
        said = ", ".join(f"{_auroc(area)} against {n} {where}{track}" for where, n, (area, track) in found)
        message = f"predictions at the TSSs of {sample}, on the reference sequence: AUROC {said}"
        if all(_stands_out(area) for _, _, (area, _) in found):
            return self._row("positive control", "pass", message)
        return self._row("positive control", "warn", f"TSSs do not stand out: {message}", (_MISPLACED,))

    def _elsewhere(
        self, gene: Gene, bounds: tuple[int, int] | None, rng: np.random.Generator
    ) -> Codes | None:
        """A window without N about a place that is no TSS: so near a gene's, or anywhere on its contig."""
        length = self.cohort.reference.contigs[self.cohort.reference.resolve(gene.contig)]
        for _ in range(TRIES):
            if bounds is None:
                tss = int(rng.integers(length))
            else:
                tss = gene.tss + int(rng.choice([-1, 1])) * int(rng.integers(bounds[0], bounds[1] + 1))
            place = replace(gene, tss=tss)
            window = window_of(place, self.one.model.window, margin(self.one.read_out)).interval
            if window.start < 0 or window.end > length or self._near_a_tss(place):
                continue
            codes = self._codes(place)
            if not (codes == N_CODE).any():
                return codes
        return None

    def _near_a_tss(self, place: Gene) -> bool:
        known = self._tss.get(place.contig, np.empty(0, np.int64))
        first, last = np.searchsorted(known, [place.tss - APART + 1, place.tss + APART])
        return bool(last > first)

    @cached_property
    def _tss(self) -> dict[str, NDArray[np.int64]]:
        """By contig: all TSSs of the cohort, ascending."""
        found: dict[str, list[int]] = {}
        for gene in self.cohort.genes:
            found.setdefault(gene.contig, []).append(gene.tss)
        return {contig: np.sort(np.array(every, np.int64)) for contig, every in found.items()}

    def _lowest(self, at_tss: Float, elsewhere: Float) -> tuple[Estimate, str]:
        """The AUROC of the track that has the lowest, and its name where there are several."""
        positive = np.repeat([True, False], [len(at_tss), len(elsewhere)])
        areas = [auroc(column, positive) for column in np.concatenate([at_tss, elsewhere]).T]
        t = min(range(len(areas)), key=lambda t: areas[t].value or 0.0)
        return areas[t], self._track(t)

    def _track(self, t: int) -> str:
        """Names one of several tracks."""
        model, tracks = self.one.model, self.one.read_out.tracks
        return f" (track {model.tracks[tracks[t]].name})" if len(tracks) > 1 else ""

    def _strand_row(self, genes: Sequence[Gene], at_tss: Float) -> CheckResult:
        """Row ``strand``: predictions of the genes' own strand less those of the other one, at one TSS.

        Of a model that reads the genome's forward strand, it is the same window from its other end.
        """
        oriented = self.one.model.window.oriented
        stranded = [place for place, gene in enumerate(genes) if gene.strand is not None]
        if self.one.read_out.reverse_complement:
            return self._row("strand", "pass", "not applicable: its value is the mean over both strands")
        if len(stranded) < FEWEST:
            few = f"not tested: the strand of {len(stranded)} genes is known, fewer than {FEWEST}"
            return self._row("strand", "warn", few)
        known = [genes[place] for place in stranded]
        try:
            other = self._other_strand(known)
        except ConfigError as error:
            return self._row("strand", "pass", f"not applicable: {error.what}")
        difference = at_tss[stranded] - other
        if not oriented:
            minus = np.array([gene.strand is Strand.MINUS for gene in known])
            difference[minus] *= -1
        spread = np.concatenate([at_tss[stranded], other]).std(axis=0)
        return self._said_of_strands(difference, spread, oriented)

    def _other_strand(self, genes: Sequence[Gene]) -> Float:
        """(n, T) values of the same TSSs, read on the strand on which the model does not read them."""
        turned = {Strand.PLUS: Strand.MINUS, Strand.MINUS: Strand.PLUS}
        if self.one.model.window.oriented:
            other = [replace(gene, strand=turned[gene.strand]) for gene in genes if gene.strand]
            return self._values([self._codes(gene) for gene in other])
        mirrored = replace(self, one=replace(self.one, read_out=self.one.model.mirrored(self.one.read_out)))
        return mirrored._values([reverse_complement(self._codes(gene)) for gene in genes])

    def _said_of_strands(self, difference: Float, spread: Float, oriented: bool) -> CheckResult:
        """Of (n, T) differences, those of the track on which the strands are least as they should be."""
        n = len(difference)
        found = difference / np.where(spread > 0, spread, 1.0)
        mean, error = found.mean(axis=0), found.std(axis=0, ddof=1) / np.sqrt(n)
        score = mean / np.where(error > 0, error, np.finfo(np.float32).eps)
        t = int(np.argmin(score) if oriented else np.argmax(np.abs(score)))
        half, sure = scipy.special.stdtrit(n - 1, [0.975, 0.995])
        low, high = mean[t] - half * error[t], mean[t] + half * error[t]
        share = share_true(found[found[:, t] != 0, t] > 0)
        said = (
            f"own strand less the other at {n} TSSs: {mean[t]:+.2f} [{low:+.2f}, {high:+.2f}] standard "
            f"deviations over genes, higher in {share.value or 0:.0%} of the {share.n} that differ"
            f"{self._track(t)}"
        )
        if oriented and score[t] < -sure:
            return self._row("strand", "warn", f"it predicts more on the other strand: {said}", (_TURNED,))
        if not oriented and score[t] > sure:
            return self._row("strand", "warn", f"it tells strands apart and reads none: {said}", (_TURNED,))
        same = abs(score[t]) <= half
        return self._row("strand", "pass", f"{said}{': it does not tell them apart' if same else ''}")

    def _signs_row(self) -> CheckResult:
        """Row ``signs``: of the effects of the cohort's variants on the reference, some of each gene."""
        most = min(MOST, self._affordable(1 + EFFECTS_A_GENE))
        rng = stream(self.config.seed, "genes whose variants are tried", self.one.label)
        found: list[Float] = []
        looked = 0
        for place in rng.permutation(len(self.cohort.genes))[:GENES_FOR_EFFECTS].tolist():
            if sum(map(len, found)) >= EFFECTS or len(found) >= most:
                break
            looked += 1
            effects = self._effects(self.cohort.genes[place])
            found += [effects] if len(effects) else []
        if not found:
            if most == 0:
                return self._row("signs", "warn", self._too_costly())
            return self._row("signs", "pass", f"not judged: no variant near {looked} genes")
        every = np.concatenate(found)
        names = [self.one.model.tracks[index].name for index in self.one.read_out.tracks]
        by_track = dict(zip(names, every.T, strict=True))
        what = f"effects of ALT on the reference ({len(found)} genes)"
        return sign_check(self.one.label, by_track, what, LEANS)

    def _effects(self, gene: Gene) -> Float:
        """(V, T) effects of at most five of a gene's variants, evenly spread over what the read-out sees."""
        from hapsight.engine.engine import Valuer
        from hapsight.explain.elements import reference_effects

        one, cohort = self.one, self.cohort
        seen = seen_interval(gene, one.model.window, seen_bases(one.model, one.read_out))
        window = window_of(gene, one.model.window, margin(one.read_out)).interval
        near = VariantReader(cohort.genotypes, cohort.reference)(seen)
        inside = np.flatnonzero((near.position >= window.start) & (near.end <= window.end))
        if not len(inside):
            return np.empty((0, len(one.read_out.tracks)))
        few = np.unique(np.linspace(0, len(inside) - 1, EFFECTS_A_GENE).round().astype(int))
        variants = near.take(inside[few])
        valuer = Valuer(one.model, one.read_out, self.device, 1 + len(variants), self.config.predict.budget)
        return reference_effects(gene, variants, valuer, cohort.reference.fetch)

    def _row(self, asks: str, status: Status, message: str, details: tuple[str, ...] = ()) -> CheckResult:
        return CheckResult.about(self.one.label, asks, status, message, details)


def _auroc(area: Estimate) -> str:
    return f"{area.value:.2f} [{area.ci_low:.2f}, {area.ci_high:.2f}]"


def _stands_out(area: Estimate) -> bool:
    return (area.value or 0.0) >= LEAST_AUROC and (area.ci_low or 0.0) > 0.5


def given_checks(opened: Opened, tables: Sequence[Path]) -> Iterator[CheckResult]:
    """Rows ``alleles`` and ``signs`` of configured tables other than models, and of others."""
    reference = opened.cohort.reference
    for label, read in _configured(opened):
        yield from _given(label, read, reference, "warn")
    for path in tables:
        yield from _given(path.name, partial(_any_table, path), reference, "fail")


def _given(
    label: str, read: Callable[[], EffectTable], reference: Reference, refused: Status
) -> list[CheckResult]:
    try:
        return table_checks(label, read(), reference)
    except HapsightError as error:
        details = tuple(f"{key}: {text}" for key, text in error.details.items())
        return [CheckResult.about(label, "alleles", refused, error.what, details)]


def _configured(opened: Opened) -> Iterator[tuple[str, Callable[[], EffectTable]]]:
    """Weights of others, and tables that come with the configuration; some are made by later commands."""
    config = opened.config
    for run in imported_runs(opened):
        yield run.method, partial(cohort_weights, opened, run)
    for kind, given in (
        ("evidence", config.informed.effects),
        ("effects beside priors", config.priors.effects),
    ):
        for one in given:
            if one.path.is_file():
                values = ("effect", "beta", "weight")
                yield f"{one.label} ({kind})", partial(read_effect_table, one.path, "effects", values)
    signs = {path for path in (config.explain.sign_priors, config.train.sign_priors) if path is not None}
    for path in sorted(signs):
        if path.is_file():
            yield f"sign priors {path.name}", partial(_sign_priors, path)


def _sign_priors(path: Path) -> EffectTable:
    return read_sign_priors(path).table


def _any_table(path: Path) -> EffectTable:
    """A table of any known layout, of eQTLs (column ``slope``) too."""
    try:
        return read_given_effects(path, Wanted())
    except InputError as error:
        try:
            return read_effect_table(path, "effects", ("slope",))
        except InputError:
            raise error from None
