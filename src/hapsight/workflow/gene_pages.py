"""The stage that writes a page for each of some genes: why its sign is right or wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from hapsight.cohort.nouns import Gene
from hapsight.errors import IncompleteError
from hapsight.explain_tables import DRIVERS, EXPLAIN_EFFECTS, PAGES_WITHHELD, WITHHELD
from hapsight.files import file_name
from hapsight.report.extra import require_extra
from hapsight.report.gene_view import GenePage, ModelView, Motif
from hapsight.report.run_folder import read_table
from hapsight.tables import CIS_NOMINAL, PER_GENE
from hapsight.workflow.comparisons import Source, model_comparisons, model_source
from hapsight.workflow.eqtl import eqtl_units
from hapsight.workflow.explain import explain, explain_store, explain_units, genes_of_cohort
from hapsight.workflow.gene_view import Known, gene_view
from hapsight.workflow.opened import Opened, Progress
from hapsight.workflow.predict import ModelRun
from hapsight.workflow.valued_units import valuer_of

__all__ = ["MOST", "gene_pages"]

MOST: Final = 6
"""Genes of each model and direction that have a page where none is asked for by name."""

_FORM: Final = "sasse2023"


@dataclass(frozen=True, slots=True, eq=False)
class _Tables:
    """Finished tables of a run.

    Attributes
    ----------
    results
        Columns `hapsight.tables.PER_GENE`.
    nominal
        Columns `hapsight.tables.CIS_NOMINAL`, of the chosen genes; None where the run maps no eQTLs.
    motifs
        Columns `hapsight.tables.DRIVERS`, of main drivers that motifs were looked for at.
    """

    results: pl.DataFrame
    nominal: pl.DataFrame | None
    motifs: pl.DataFrame

    def nominal_of(self, gene_id: str) -> pl.DataFrame | None:
        return None if self.nominal is None else self.nominal.filter(pl.col("phenotype_id") == gene_id)


def gene_pages(
    opened: Opened,
    runs: Sequence[ModelRun],
    progress: Progress,
    genes: Sequence[str] = (),
    most: int = MOST,
    individuals: bool = False,
) -> list[Path]:
    """Write ``report/genes/<gene_id>.html``; effects that are not there yet are computed.

    Parameters
    ----------
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

    results = _results(opened)
    named = genes_of_cohort(opened.cohort.genes, genes, "to show") if genes else None
    chosen = named or _strongest(opened, runs, results, most)
    effects = {id(run): _effects(opened, run, chosen, progress) for run in runs}
    with opened.folder.stage("gene pages") as stage:
        tables = _Tables(results, _nominal(opened, chosen), _motifs(opened))
        views: dict[str, list[ModelView]] = {gene.gene_id: [] for gene in chosen}
        for run in runs:
            for gene_id, view in _views(opened, run, set(views), effects[id(run)], tables, progress):
                views[gene_id].append(view)
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


def _results(opened: Opened) -> pl.DataFrame:
    opened.require_current("evaluate")
    path = opened.folder.path / "evaluation" / "per_gene.parquet"
    if not path.exists():
        raise IncompleteError(
            "Gene pages show R across people, which is not known yet.",
            where=path,
            fix="run `hapsight evaluate` with this configuration first",
        )
    return read_table(path, PER_GENE)


def _strongest(opened: Opened, runs: Sequence[ModelRun], results: pl.DataFrame, most: int) -> list[Gene]:
    """The genes of the largest abs(R) of each model and direction, in the cohort's order."""
    names: set[str] = set()
    for run in runs:
        for _, source in _sources(opened, run):
            own = _of(results, source).drop_nulls("pearson_r").sort("pearson_r")
            wrong = own.filter(pl.col("pearson_r") < 0).head(most)
            right = own.filter(pl.col("pearson_r") > 0).tail(most)
            names |= {*wrong["gene_id"], *right["gene_id"]}
    return [gene for gene in opened.cohort.genes if gene.gene_id in names]


def _sources(opened: Opened, run: ModelRun) -> Iterator[tuple[int, Source]]:
    """Each track's place in the read-out, and its labels."""
    for t, index in enumerate(run.read_out.tracks):
        yield t, model_source(opened, run, run.model.tracks[index].name)


def _of(table: pl.DataFrame, source: Source) -> pl.DataFrame:
    return table.filter(pl.all_horizontal(pl.col(k) == v for k, v in source.labels().items()))


def _effects(opened: Opened, run: ModelRun, chosen: Sequence[Gene], progress: Progress) -> pl.DataFrame:
    """Effects on the chosen genes, from whatever units have them; the others are computed."""
    store = explain_store(opened, run)
    wanted = {gene.gene_id for gene in chosen}
    own = explain_units(opened, run)
    units = [
        unit
        for unit in own
        if wanted & {gene.gene_id for gene in unit.genes} and store.done(unit.name, unit.key)
    ]
    missing = wanted - {gene.gene_id for unit in units for gene in unit.genes}
    if missing:
        names = sorted(missing)
        explain(opened, [run], progress, names)
        units += explain_units(opened, run, names)
    if not units:
        return pl.DataFrame(schema=EXPLAIN_EFFECTS)
    found = store.read([(unit.name, unit.key) for unit in units], "effects")
    return found.filter(pl.col("gene_id").is_in(list(wanted)))


def _nominal(opened: Opened, chosen: Sequence[Gene]) -> pl.DataFrame | None:
    """Every variant that was tested with the chosen genes; None where the run maps no eQTLs."""
    if not opened.config.eqtl.run:
        return None
    wanted, parts = {gene.gene_id for gene in chosen}, [pl.DataFrame(schema=CIS_NOMINAL)]
    store = opened.folder.eqtl()
    for unit in eqtl_units(opened):
        if wanted & {gene.gene_id for gene in unit.genes}:
            table = store.read([(unit.name, unit.key)], "nominal").select(list(CIS_NOMINAL))
            parts.append(table.filter(pl.col("phenotype_id").is_in(list(wanted))))
    return pl.concat(parts)


def _motifs(opened: Opened) -> pl.DataFrame:
    """Main drivers with their motifs; empty where the run has not looked for drivers."""
    path = opened.folder.path / "explain" / "drivers.parquet"
    table = pl.read_parquet(path, columns=list(DRIVERS)) if path.exists() else pl.DataFrame(schema=DRIVERS)
    return table.filter((pl.col("form") == _FORM) & pl.col("motif").is_not_null())


def _views(
    opened: Opened,
    run: ModelRun,
    wanted: Collection[str],
    effects: pl.DataFrame,
    tables: _Tables,
    progress: Progress,
) -> Iterator[tuple[str, ModelView]]:
    """One model's views of the wanted genes, track after track."""
    valuer = valuer_of(opened, run)
    for t, source in _sources(opened, run):
        track = run.model.tracks[run.read_out.tracks[t]].name
        results, motifs = _of(tables.results, source), _of(tables.motifs, source)
        for done, compared in enumerate(model_comparisons(opened, run, track), start=1):
            progress(f"gene pages {source.model}", done, len(opened.cohort.genes))
            gene_id = compared.gene.gene_id
            if gene_id not in wanted:
                continue
            known = Known(
                result=_result(opened, results, source, gene_id),
                effects=effects.filter((pl.col("gene_id") == gene_id) & (pl.col("track") == track)),
                nominal=tables.nominal_of(gene_id),
                motif=_motif(motifs, gene_id),
            )
            yield gene_id, gene_view(opened, run, valuer, t, source, compared, known)


def _result(opened: Opened, results: pl.DataFrame, source: Source, gene_id: str) -> dict[str, Any]:
    rows = results.filter(pl.col("gene_id") == gene_id)
    if rows.is_empty():
        raise IncompleteError(
            "A model of this run is not evaluated.",
            where=f"{opened.folder.path / 'evaluation' / 'per_gene.parquet'}, gene {gene_id}",
            expected=f"a row of {source.model}, read-out {source.read_out}",
            got="none",
            fix="run `hapsight evaluate` with this configuration first",
        )
    return rows.row(0, named=True)


def _motif(motifs: pl.DataFrame, gene_id: str) -> tuple[tuple[int, str, str], Motif] | None:
    """The variant that motifs were looked for at, and what it does to them."""
    rows = motifs.filter(pl.col("gene_id") == gene_id)
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
