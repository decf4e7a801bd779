"""The stage that exchanges every base around each gene's main driver; after the one that finds drivers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hapsight.cohort.nouns import Dropped, Gene
from hapsight.engine.views import margin, window_of
from hapsight.errors import IncompleteError
from hapsight.run.crew import SetAside
from hapsight.run.effects import EffectsRun
from hapsight.run.opened import Opened, Progress, add_dropped, dropped_table
from hapsight.stages.explain import chosen_genes, explain_store
from hapsight.stages.predict import ModelRun, sequence_models
from hapsight.stages.saturation import (
    Centre,
    centres,
    has_saturation,
    main_drivers,
    saturation_unit,
    stretch_around,
)
from hapsight.stages.valued_units import compute_values

__all__ = ["saturate_drivers"]

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
            "Saturation mutagenesis is wanted around drivers of genes that were not looked at.",
            where=explain_store(opened, run).folder.parent / "drivers.parquet",
            expected=f"{len(genes)} genes of {run.label}, {track}",
            got=f"{len(lost)} are not there, such as {', '.join(lost[:_SHOWN])}",
            fix="let [explain] choose these genes too, and run `hapsight explain` and `hapsight drivers`",
        )


def _in_words(made: int, wanted: int, dropped: Dropped) -> str:
    """Counts, and the first names of genes that were left out."""
    words = [f"{made} arrays around drivers computed, {wanted - made} kept"]
    for (kind, reason), names in sorted(dropped.names.items()):
        shown = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
        words.append(f"left out {reason}: {dropped.counts[kind, reason]} ({shown})")
    return "; ".join(words)
