"""The stage that writes a page for each of some genes: why its sign is right or wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from hapsight.cohort.nouns import Gene
from hapsight.errors import WeightsError
from hapsight.explain_tables import DRIVERS, EXPLAIN_EFFECTS, PAGES_WITHHELD, WITHHELD
from hapsight.files import file_name
from hapsight.report.extra import require_extra
from hapsight.report.gene_view import GenePage, ModelView, Motif
from hapsight.tables import CIS_NOMINAL
from hapsight.workflow.arms import Arm, Comparison, cards_in, results_of
from hapsight.workflow.cards import ModelCard
from hapsight.workflow.effects import EffectsRun
from hapsight.workflow.eqtl import eqtl_blocks
from hapsight.workflow.explain import explain, explain_blocks, explain_store, genes_of_cohort
from hapsight.workflow.gene_view import Known, gene_view
from hapsight.workflow.opened import Opened, Progress
from hapsight.workflow.predict import require_model
from hapsight.workflow.valued_units import valuer_of

if TYPE_CHECKING:
    from hapsight.predict.values import Valuer

__all__ = ["MOST", "gene_pages"]

MOST: Final = 6
"""Genes of each model and direction that have a page where none is asked for by name."""

_FORM: Final = "sasse2023"


def gene_pages(
    opened: Opened,
    arms: Sequence[Arm],
    progress: Progress,
    genes: Sequence[str] = (),
    most: int = MOST,
    individuals: bool = False,
) -> list[Path]:
    """Write ``report/genes/<gene_id>.html``; effects that are not there yet are computed.

    Parameters
    ----------
    arms
        Those of models have pages.
    genes
        Identifiers; other pages stay. Without them the `most` genes of the largest abs(R) of each model, of
        R > 0 and of R < 0, and pages of other genes are taken away, since they may be of older numbers.
    individuals
        Show a point per person even where ``[report] include_individuals`` does not ask for it.

    Raises
    ------
    ConfigError
        A gene is not one of the cohort's.
    IncompleteError
        A model is not evaluated, or eQTLs are wanted and not mapped.
    MissingExtraError
        The packages of the report are not installed.
    """
    require_extra()
    from hapsight.report.gene_page import write_gene_page

    models = cards_in(arms)
    results = results_of(opened, [arm for own in models.values() for arm in own])
    named = genes_of_cohort(opened.cohort.genes, genes, "to show") if genes else None
    chosen = named or _strongest(opened, results, most)
    effects = {card: _effects(opened, card, chosen, progress) for card in models}
    with opened.folder.stage("gene pages") as stage:
        views = _views(opened, effects, results, chosen, progress)
        folder = opened.folder.path / "report" / "genes"
        shown = individuals or opened.config.report.include_individuals
        pages = (replace(_page(opened, gene, views[gene.gene_id]), individuals=shown) for gene in chosen)
        written = [write_gene_page(page, folder) for page in pages]
        _record_withheld(opened, list(views), [withheld for _, withheld in written], keep=bool(genes))
        if not genes:
            _remove_others(folder, views)
        stage["detail"] = f"{len(written):,} pages"
    return [path for path, _ in written]


def _record_withheld(
    opened: Opened, written: Collection[str], withheld: Sequence[pl.DataFrame], keep: bool
) -> None:
    """Keep what the pages do not show beside what other pages do not, for ``report --check-disclosure``."""
    path = opened.folder.path / PAGES_WITHHELD
    old = (
        pl.read_parquet(path, columns=list(WITHHELD))
        if keep and path.exists()
        else pl.DataFrame(schema=WITHHELD)
    )
    others = old.filter(~pl.col("gene_id").is_in(list(written)))
    opened.folder.write(PAGES_WITHHELD, pl.concat([others, *withheld]))


def _strongest(opened: Opened, results: Mapping[Arm, pl.DataFrame], most: int) -> list[Gene]:
    """The genes of the largest abs(R) of each model and direction, in the cohort's order."""
    names: set[str] = set()
    for rows in results.values():
        own = rows.drop_nulls("pearson_r").sort("pearson_r")
        wrong = own.filter(pl.col("pearson_r") < 0).head(most)
        right = own.filter(pl.col("pearson_r") > 0).tail(most)
        names |= {*wrong["gene_id"], *right["gene_id"]}
    return [gene for gene in opened.cohort.genes if gene.gene_id in names]


def _effects(opened: Opened, card: ModelCard, chosen: Sequence[Gene], progress: Progress) -> pl.DataFrame:
    """Effects on the chosen genes, from whatever units have them; the others are computed."""
    store = explain_store(opened, card)
    wanted = {gene.gene_id for gene in chosen}
    units = [
        unit
        for unit in explain_blocks(opened, card)
        if wanted & {gene.gene_id for gene in unit.genes} and store.done(unit.name, unit.key)
    ]
    missing = wanted - {gene.gene_id for unit in units for gene in unit.genes}
    if missing:
        names = sorted(missing)
        purpose = f"Computing the effects of variants on {len(names)} genes that are not explained yet"
        run = card if isinstance(card, EffectsRun) else require_model(opened, card, purpose)
        explain(opened, [run], progress, names)
        units += explain_blocks(opened, card, names)
    if not units:
        return pl.DataFrame(schema=EXPLAIN_EFFECTS)
    return store.read(units, "effects").filter(pl.col("gene_id").is_in(list(wanted)))


def _nominal(opened: Opened, chosen: Sequence[Gene]) -> pl.DataFrame | None:
    """Every variant that was tested with the chosen genes; None where the run maps no eQTLs."""
    if not opened.config.eqtl.run:
        return None
    wanted, parts = {gene.gene_id for gene in chosen}, [pl.DataFrame(schema=CIS_NOMINAL)]
    store = opened.folder.eqtl()
    for unit in eqtl_blocks(opened):
        if wanted & {gene.gene_id for gene in unit.genes}:
            table = store.read([unit], "nominal").select(list(CIS_NOMINAL))
            parts.append(table.filter(pl.col("phenotype_id").is_in(list(wanted))))
    return pl.concat(parts)


def _motifs(opened: Opened) -> pl.DataFrame:
    """Main drivers with their motifs; empty where the run has not looked for drivers."""
    path = opened.folder.path / "explain" / "drivers.parquet"
    table = pl.read_parquet(path, columns=list(DRIVERS)) if path.exists() else pl.DataFrame(schema=DRIVERS)
    return table.filter((pl.col("form") == _FORM) & pl.col("motif").is_not_null())


def _views(
    opened: Opened,
    effects: Mapping[ModelCard, pl.DataFrame],
    results: Mapping[Arm, pl.DataFrame],
    chosen: Sequence[Gene],
    progress: Progress,
) -> dict[str, list[ModelView]]:
    """Each chosen gene's views: model after model, track after track."""
    nominal, motifs = _nominal(opened, chosen), _motifs(opened)
    views: dict[str, list[ModelView]] = {gene.gene_id: [] for gene in chosen}
    for card, own in cards_in(results).items():
        valuer = _valuer(opened, card)
        for t, arm in enumerate(own):
            rows = results[arm], effects[card].filter(pl.col("track") == arm.track), arm.rows(motifs)
            for gene_id, known, compared in _known(arm, chosen, rows, nominal, progress):
                views[gene_id].append(gene_view(opened, card, valuer, t, arm, compared, known))
    return views


def _known(
    arm: Arm,
    chosen: Sequence[Gene],
    rows: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame],
    nominal: pl.DataFrame | None,
    progress: Progress,
) -> Iterator[tuple[str, Known, Comparison]]:
    """What is known of each chosen gene, from the arm's results, effects and motifs, and from the eQTLs."""
    results, effects, motifs = rows
    for done, compared in enumerate(arm.comparisons(chosen), start=1):
        gene_id = compared.gene.gene_id
        own = pl.col("gene_id") == gene_id
        known = Known(
            result=results.row(by_predicate=own, named=True),
            effects=effects.filter(own),
            nominal=None if nominal is None else nominal.filter(pl.col("phenotype_id") == gene_id),
            motif=_motif(motifs.filter(own)),
        )
        yield gene_id, known, compared
        progress(f"gene pages {arm.model}", done, len(chosen))


def _valuer(opened: Opened, card: ModelCard) -> Valuer | str:
    """What draws the letters around variants; or why they cannot be drawn here."""
    try:
        return valuer_of(opened, require_model(opened, card, "Drawing the letters around a variant"))
    except WeightsError as error:
        mend = error.details.get("to mend")
        why = f"{error.what.rstrip('.')}: {error.details.get('got', '').rstrip('.')}"
        return f"{why}. {mend[0].upper()}{mend[1:]}." if mend else f"{why}."


def _motif(rows: pl.DataFrame) -> tuple[tuple[int, str, str], Motif] | None:
    """The variant that motifs were looked for at, and what it does to them."""
    if rows.is_empty():
        return None
    row = rows.row(0, named=True)
    found = Motif(
        row["motif"], row["motif_id"], row["motif_name"], row["motif_ref_score"], row["motif_alt_score"]
    )
    return (row["position"], row["ref"], row["alt"]), found


def _page(opened: Opened, gene: Gene, views: Sequence[ModelView]) -> GenePage:
    return GenePage(
        cohort=opened.config.name,
        gene_id=gene.gene_id,
        gene_name=gene.gene_name,
        contig=gene.contig,
        tss=gene.tss,
        strand=gene.strand.value if gene.strand else None,
        views=tuple(views),
    )


def _remove_others(folder: Path, kept: Collection[str]) -> None:
    names = {file_name(gene_id, suffix=suffix) for gene_id in kept for suffix in (".html", ".csv")}
    for path in folder.glob("*"):
        if path.suffix in (".html", ".csv") and path.name not in names:
            path.unlink()
