"""The stage that asks why a sign is wrong: drivers, their support and motifs, and reliability."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.alleles import WeightRow
from hapsight.cohort.effect_fit import SAMPLE, require_fit
from hapsight.cohort.nouns import Dropped, Gene, Variants
from hapsight.engine.views import margin, window_of
from hapsight.errors import IncompleteError, plural
from hapsight.explain.driver_summary import driver_summary
from hapsight.explain.motifs import Motif
from hapsight.explain.support import GivenEffects
from hapsight.explain.tables import (
    DRIVER_SUMMARY,
    DRIVER_VARIANTS,
    DRIVERS,
    EXPLAIN_ELEMENTS,
    RELIABILITY,
    RELIABILITY_SUMMARY,
)
from hapsight.priors.signs import read_sign_priors
from hapsight.run.arms import Arm, cards_in, results_of
from hapsight.run.blocks import VariantReader, in_turn
from hapsight.run.crew import SetAside
from hapsight.run.effects import EffectsRun
from hapsight.run.models import ModelCard
from hapsight.run.opened import Opened, Progress, add_dropped, dropped_table
from hapsight.seeds import stream
from hapsight.stages.driver_context import (
    add_conservation,
    add_motifs,
    configured_motifs,
    features,
    neighbourhood_columns,
    reliability,
    replicate_table,
    why_no_motifs,
)
from hapsight.stages.driver_units import NOTHING, Beside, computed_drivers, control_of, half1_of, reach_of
from hapsight.stages.eqtl import eqtl_blocks
from hapsight.stages.explain import chosen_genes, explain_blocks, explain_store
from hapsight.stages.predict import ModelRun, sequence_models
from hapsight.stages.saturation import (
    Centre,
    centres,
    has_saturation,
    main_drivers,
    saturation_unit,
    stored_around_tss,
    stretch_around,
)
from hapsight.stages.valued_units import compute_values

__all__ = ["drivers", "saturate_drivers"]

Float = NDArray[np.float64]
Row = dict[str, Any]

_NO_EQTL = "No eQTLs were mapped (eqtl.run = false), so no driver could be compared with one."


def drivers(
    opened: Opened,
    arms: Sequence[Arm],
    progress: Progress,
    motifs: Sequence[Motif] | None = None,
    given: GivenEffects | None = None,
) -> None:
    """Write ``explain/{drivers,driver_variants,driver_summary,reliability,reliability_summary}.parquet``.

    After ``explain``.

    Parameters
    ----------
    arms
        Those of models are looked at.
    motifs
        Matrices to look for at drivers; without any, motifs are not looked for, and a note says so. ``None``:
        as ``[explain] motifs`` has it.
    given
        Measured effects to compare drivers with.

    Raises
    ------
    IncompleteError
        A model is not evaluated or explained, or eQTLs are wanted and not mapped.
    InputError
        The table of sign priors cannot be read.
    MissingExtraError
        The configuration wants motifs, and pyjaspar or memelite is not installed.
    """
    if motifs is None:
        motifs = configured_motifs(opened.config.explain.motifs)
    path = opened.config.explain.sign_priors
    priors = None if path is None else read_sign_priors(path)
    own = opened.cohort.genes, opened.cohort.reference.contigs
    given, priors = given and given.for_genes(*own), priors and priors.for_genes(*own)
    with opened.folder.stage("drivers") as stage:
        by_card = cards_in(arms)
        results = results_of(opened, [arm for own in by_card.values() for arm in own])
        _require_units(opened, by_card)
        if given is not None:
            samples = _samples(opened, next(iter(by_card), None), given)
            require_fit(given.path, "effects", samples, opened.cohort.reference, given.given.elsewhere)
        found = computed_drivers(opened, by_card, Beside(given, priors, half1_of(opened)), stage, progress)
        rows, predicted = list[Row](), dict[Arm, NDArray[np.float32]]()
        for number, arm in enumerate(results):
            rng = stream(opened.config.seed, "controls of drivers", number)
            rows += _arm_rows(opened, arm, results[arm], found[arm].rows, rng)
            predicted[arm] = _predicted(opened, arm, progress)
        if opened.config.explain.conservation is not None:
            add_conservation(rows, opened.config.explain.conservation)
        if motifs:
            add_motifs(rows, opened.cohort.reference, motifs)
        plain = [{name: row.get(name) for name in DRIVERS} for row in rows]
        table = pl.DataFrame(plain, schema=DRIVERS)
        for note in _notes(opened, motifs, given, table):
            opened.folder.note(note)
        each = pl.concat([pl.DataFrame(schema=DRIVER_VARIANTS), *(found[arm].variants for arm in results)])
        opened.folder.write("explain/driver_variants.parquet", each)
        _write(opened, table, results, predicted)
        genes, judged = plural(table["gene_id"].n_unique(), "gene"), plural(len(results), "model")
        stage["detail"] = f"{genes}, {judged} and tracks; {stage['detail']}"


def _require_units(opened: Opened, cards: Iterable[ModelCard]) -> None:
    """Before any work: effects, and eQTLs that are wanted, are there."""
    for card in cards:
        if units := explain_blocks(opened, card):
            explain_store(opened, card).read(units, "additivity")
    if opened.config.eqtl.run:
        opened.folder.eqtl().read(eqtl_blocks(opened), "top")


def _samples(
    opened: Opened, card: ModelCard | None, given: GivenEffects
) -> Iterator[tuple[tuple[WeightRow, ...], Variants]]:
    """The first genes that have given effects among their variants."""
    cohort, left = opened.cohort, SAMPLE
    if card is None:
        return
    for unit in explain_blocks(opened, card):
        effects = explain_store(opened, card).read([unit], "effects")
        parts = {name: rows for (name,), rows in effects.partition_by("gene_id", as_dict=True).items()}
        reaches = {name: reach_of(rows, rows["contig"][0]) for name, rows in parts.items()}
        reader = VariantReader(cohort.genotypes, cohort.reference, list(reaches.values()))
        for name, reach in reaches.items():
            near = reader(reach)
            if rows := given.near(str(name), near):
                yield rows, near
                left -= 1
            if not left:
                return


def _notes(
    opened: Opened, motifs: Sequence[Motif], given: GivenEffects | None, table: pl.DataFrame
) -> Iterator[str]:
    if given is not None:
        yield _given_in_words(given, table)
    if not opened.config.eqtl.run:
        yield _NO_EQTL
    if not motifs:
        yield why_no_motifs()


def _given_in_words(given: GivenEffects, table: pl.DataFrame) -> str:
    """How many of the given effects could be used."""
    once = table.unique(["gene_id", "n_given", "n_given_used"], maintain_order=True)
    near, used = (int(once[name].sum() or 0) for name in ("n_given", "n_given_used"))
    return (
        f"Measured effects ({given.path.name}): {used:,} of the {near:,} that lie among the variants of "
        "explained genes are of one of these variants, and have its alleles."
    )


def _write(
    opened: Opened,
    table: pl.DataFrame,
    results: Mapping[Arm, pl.DataFrame],
    predicted: Mapping[Arm, NDArray[np.float32]],
) -> None:
    """The four tables."""
    summary: list[dict[str, Any]] = []
    genes, judged = [pl.DataFrame(schema=RELIABILITY)], [pl.DataFrame(schema=RELIABILITY_SUMMARY)]
    for number, arm in enumerate(predicted):
        own, labels = arm.rows(table), arm.labels()
        for (form,), part in own.group_by("form", maintain_order=True):
            summary += [labels | {"form": form} | row for row in driver_summary(part)]
        forward = own.filter(pl.col("form") == "sasse2023")
        replicates = replicate_table(forward, arm, _of_replicates(opened, arm, predicted))
        known = features(forward, results[arm], arm, predicted, replicates, _elements(opened, arm))
        rng = stream(opened.config.seed, "reliability", number)
        found = reliability(forward, results[arm], known, labels, rng)
        genes.append(found.genes)
        judged.append(found.summary)
    opened.folder.write("explain/drivers.parquet", table)
    opened.mark_current("drivers")
    opened.folder.write("explain/driver_summary.parquet", pl.DataFrame(summary, schema=DRIVER_SUMMARY))
    opened.folder.write("explain/reliability.parquet", pl.concat(genes))
    opened.folder.write("explain/reliability_summary.parquet", pl.concat(judged))


def _of_replicates(opened: Opened, arm: Arm, others: Iterable[Arm]) -> dict[Arm, dict[str, pl.DataFrame]]:
    """The effects on explained genes of the arms that are `arm` with other weights, by ``gene_id``."""
    alike = [other for other in others if other.is_replicate_of(arm) and other.track == arm.track]
    return {other: _effects_by_gene(opened, other) for other in alike}


def _effects_by_gene(opened: Opened, arm: Arm) -> dict[str, pl.DataFrame]:
    assert arm.card is not None
    genes = [gene for unit in explain_blocks(opened, arm.card) for gene in unit.genes]
    return {gene.gene_id: own for gene, own in _effects(opened, arm, genes)}


def _elements(opened: Opened, arm: Arm) -> pl.DataFrame:
    """The element of each variant, of a sum over elements; else nothing."""
    assert arm.card is not None, "only models are explained"
    store = explain_store(opened, arm.card)
    if not (store.folder / "elements.parquet").is_file():
        return pl.DataFrame(schema=EXPLAIN_ELEMENTS)
    table = store.read(explain_blocks(opened, arm.card), "elements")
    return table.filter(pl.col("track") == arm.track)


def _predicted(opened: Opened, arm: Arm, progress: Progress) -> NDArray[np.float32]:
    """(G, N) predictions of an arm."""
    genes, kept = opened.cohort.genes, list[NDArray[np.float32]]()
    for done, one in enumerate(arm.comparisons(genes), start=1):
        kept.append(one.predicted.astype(np.float32))
        progress(f"drivers {arm.model}, agreement", done, len(genes))
    return np.array(kept)


def _arm_rows(
    opened: Opened, arm: Arm, results: pl.DataFrame, rows: pl.DataFrame, rng: np.random.Generator
) -> Iterator[Row]:
    """One arm's rows with R, with controls, and with what the bases around their drivers matter."""
    assert arm.card is not None, "only models are explained"
    assert arm.track is not None
    result = {row["gene_id"]: row for row in results.iter_rows(named=True)}
    own = rows.partition_by("gene_id", as_dict=True)
    genes = [gene for gene in opened.cohort.genes if (gene.gene_id,) in own]
    for gene, effects in _effects(opened, arm, genes):
        stored = stored_around_tss(opened, arm.card, gene)
        r, qval = (result[gene.gene_id][name] for name in ("pearson_r", "qval"))
        for found in own[(gene.gene_id,)].iter_rows(named=True):
            row = found | {"pearson_r": r, "qval": qval, "sign_right": None if not r else r > 0}
            row |= control_of(row, effects, rng)
            around = (
                neighbourhood_columns(row, gene, stored, arm.track, opened.cohort.reference) if stored else {}
            )
            yield row | around


def _effects(opened: Opened, arm: Arm, genes: Sequence[Gene]) -> Iterator[tuple[Gene, pl.DataFrame]]:
    """Each of these genes with the effects on it, of the arm's model and track."""
    assert arm.card is not None
    store = explain_store(opened, arm.card)
    for unit, own in in_turn(explain_blocks(opened, arm.card), genes):
        effects = store.read([unit], "effects").filter(pl.col("track") == arm.track)
        parts = effects.partition_by("gene_id", as_dict=True)
        for gene in own:
            yield gene, parts.get((gene.gene_id,), NOTHING)


_SHOWN = 5


def saturate_drivers(
    opened: Opened, runs: Sequence[ModelRun | EffectsRun], progress: Progress, genes: Sequence[str] = ()
) -> None:
    """Saturation mutagenesis around main drivers, where the configuration wants it there.

    Arrays that are there are not computed again. Genes without a driver, or with one so near the window's
    edge that the stretch reaches out of it, have none; they are named in ``dropped.parquet``.

    Parameters
    ----------
    genes
        Identifiers; else those that the configuration chooses.

    Raises
    ------
    IncompleteError
        The drivers of a gene were not looked for; or some arrays could not be made, all others are.
    """
    options = opened.config.explain
    if options.saturation is None or options.saturation_around != "driver":
        return
    aside = SetAside()
    for run in sequence_models(runs, "Saturation around drivers"):
        with aside.later():
            _saturate(opened, run, chosen_genes(opened, run, genes), progress)
    aside.report()


def _saturate(opened: Opened, run: ModelRun, genes: Sequence[Gene], progress: Progress) -> None:
    label = f"saturate drivers {run.label}"
    with opened.folder.stage(f"{label} ({run.read_out.name})") as stage:
        dropped = Dropped()
        places = _placed(opened, run, genes, margin(run.read_out), dropped)
        missing = {
            (gene, at): [centre for centre in own if not has_saturation(opened, run, gene, centre)]
            for (gene, at), own in places.items()
        }
        units = [saturation_unit(opened, run, gene, own) for (gene, _), own in missing.items() if own]
        compute_values(opened, run, label, units, progress)
        add_dropped(opened, dropped_table(dropped))
        made = sum(len(unit.arrays) for unit in units)
        stage["detail"] = _in_words(made, sum(map(len, places.values())), dropped)


def _placed(
    opened: Opened, run: ModelRun, genes: Sequence[Gene], beyond: int, dropped: Dropped
) -> dict[tuple[Gene, int], list[Centre]]:
    """Each gene's drivers by their place, so that tracks with one driver share the work."""
    found: dict[tuple[Gene, int], list[Centre]] = {}
    for track in run.track_names:
        for gene, centre in _usable(opened, run, track, genes, beyond, dropped):
            found.setdefault((gene, centre.position), []).append(centre)
    return found


def _usable(
    opened: Opened, run: ModelRun, track: str, genes: Sequence[Gene], beyond: int, dropped: Dropped
) -> Iterator[tuple[Gene, Centre]]:
    """Genes with a driver that has room in the window; the others go to `dropped`."""
    _require_looked_for(opened, run, track, genes)
    known, where = centres(opened, run, track), f"for saturation by {run.label}, {run.read_out.name}:{track}"
    for gene in genes:
        centre = known.get(gene.gene_id)
        if centre is None:
            dropped.add("gene", f"{where}: no driver", gene.gene_id)
            continue
        stretch, window = stretch_around(opened, gene, centre), window_of(gene, run.window, beyond).interval
        if stretch.start < window.start or stretch.end > window.end:
            reason = f"{where}: the stretch around its driver reaches out of the window"
            dropped.add("gene", reason, gene.gene_id)
            continue
        yield gene, centre


def _require_looked_for(opened: Opened, run: ModelRun, track: str, genes: Sequence[Gene]) -> None:
    known = set(main_drivers(opened, run, track)["gene_id"])
    lost = [gene.gene_id for gene in genes if gene.gene_id not in known]
    if lost:
        raise IncompleteError(
            "Saturation mutagenesis is wanted around drivers of genes that were not explained.",
            where=explain_store(opened, run).folder.parent / "drivers.parquet",
            expected=f"{plural(len(genes), 'gene')} of {run.label}, {track}",
            got=f"{len(lost)} are not there, such as {', '.join(lost[:_SHOWN])}",
            fix="let [explain] choose these genes too, and run `hapsight explain` and `hapsight drivers`",
        )


def _in_words(made: int, wanted: int, dropped: Dropped) -> str:
    """Counts, and the first names of genes that were left out."""
    words = [f"{plural(made, 'array')} around drivers computed, {wanted - made} kept"]
    for (kind, reason), names in sorted(dropped.names.items()):
        shown = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
        words.append(f"left out {reason}: {dropped.counts[kind, reason]} ({shown})")
    return "; ".join(words)
