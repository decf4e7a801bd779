"""The commands that say what variants do: ``hapsight explain`` and ``hapsight score``.

The command that asks why signs are wrong.

The command that hands attributions to TF-MoDISco.

The command that writes gene pages.

The commands that set models beside measured effects: ``hapsight validate mpra|crispri|eqtl``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hapsight.cli.options import ConfigPath, SchedulerOption, WorkersOption, at_work, load, load_staffed
from hapsight.errors import plural

if TYPE_CHECKING:
    from hapsight.run.opened import Opened
    from hapsight.stages.predict import ModelRun
    from hapsight.stages.validation import Validated

__all__ = ["register"]

_SHOWN = 5


def _add_explain(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(explain)
    app.command()(score)


def explain(
    config: ConfigPath,
    genes: Annotated[
        list[str] | None,
        typer.Argument(metavar="GENE", help="ids or symbols; else those of [explain] genes"),
    ] = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
) -> None:
    """Mutate each variant in the models' windows in silico, on the reference and in people's haplotypes.

    With `saturation` or `gradients` under [explain], single bases too.
    """
    from hapsight.cli.console import say
    from hapsight.run.arms import arms_of
    from hapsight.run.opened import Opened
    from hapsight.stages.drivers import saturate_drivers
    from hapsight.stages.explain import explain as stage
    from hapsight.stages.explain import explain_store
    from hapsight.stages.gene_pages import gene_pages
    from hapsight.stages.predict import load_models

    opened = Opened.from_config(load_staffed(config, workers, scheduler))
    runs = load_models(opened)
    with at_work(opened) as show:
        stage(opened, runs, show, genes or ())
        saturate_drivers(opened, runs, show, genes or ())
        evaluated = (opened.folder.path / "evaluation" / "per_gene.parquet").is_file()
        arms = arms_of(opened, runs) if genes and evaluated else []
        pages = gene_pages(opened, arms, show, genes or ()) if arms else []
    details = {entry["name"]: entry["detail"] for entry in opened.folder.record()["stages"]}
    for run in runs:
        named = f"{run.label} ({run.read_out.name})"
        say(f"{run.label}: {details[f'explain {named}']}")
        if f"saturate drivers {named}" in details and opened.config.explain.saturation_around == "driver":
            say(f"{run.label}: {details[f'saturate drivers {named}']}")
        say(f"tables: {explain_store(opened, run).folder}")
    for page in pages:
        say(f"page: {page}")
    if genes and not evaluated:
        say("no pages of the genes: `hapsight evaluate` comes first")


def score(
    config: ConfigPath,
    vcf: Annotated[Path, typer.Option(help="the variants, VCF or BCF; genotypes are not looked at")],
    out: Annotated[
        Path, typer.Option(help="file to write: .parquet, .vcf[.gz], .bcf, .csv[.gz]; else tab-separated")
    ] = Path("scores.tsv"),
    sample: Annotated[
        str | None,
        typer.Option(help="a person: variants are mutated in both haplotypes; else in the reference"),
    ] = None,
) -> None:
    """Score the variants of any VCF on all genes whose window they lie in; says which lie in none."""
    from hapsight.cli.console import progress, say
    from hapsight.run.opened import Opened
    from hapsight.stages.predict import load_sequence_models
    from hapsight.stages.score import require_score_file, write_scores
    from hapsight.stages.score import score as compute

    require_score_file(out)
    opened = Opened.from_config(load(config))
    runs = load_sequence_models(opened, "`hapsight score`")
    with progress() as show:
        found = compute(opened, runs, vcf, sample, show)
    write_scores(out, found.table, opened.cohort.reference.contigs, private=sample is not None)
    variants = found.table.n_unique(["contig", "position", "ref", "alt"])
    genes = found.table["gene_id"].n_unique()
    say(f"{out}: {plural(variants, 'variant')} on {plural(genes, 'gene')}, {plural(len(found.table), 'row')}")
    for (_, reason), names in sorted(found.dropped.names.items()):
        shown = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
        say(f"left out, {reason}: {found.dropped.counts['variant', reason]} ({shown})")


def _add_drivers(app: typer.Typer) -> None:
    """Add ``hapsight drivers`` to the commands."""
    app.command()(drivers)


def drivers(
    config: ConfigPath,
    effects: Annotated[
        Path | None, typer.Option(help="measured effects: beta, and chrom, pos, ref, alt or variant_id")
    ] = None,
    motifs: Annotated[
        bool | None, typer.Option(help="look for JASPAR's motifs at drivers; else as [explain] motifs has it")
    ] = None,
    jaspar: Annotated[str, typer.Option(help="release of JASPAR")] = "JASPAR2024",
) -> None:
    """Find each gene's driver variants, their support and motifs, and how reliable its sign is."""
    from hapsight.cli.console import say
    from hapsight.explain.support import read_effects
    from hapsight.run.arms import arms_of
    from hapsight.run.opened import Opened
    from hapsight.stages.driver_context import configured_motifs
    from hapsight.stages.drivers import drivers as stage
    from hapsight.stages.predict import read_models

    given = None if effects is None else read_effects(effects)
    loaded = load(config)
    matrices = configured_motifs(loaded.explain.motifs if motifs is None else motifs, jaspar)
    opened = Opened.from_config(loaded)
    models = read_models(opened)
    with at_work(opened) as show:
        stage(opened, arms_of(opened, models), show, matrices, given)
    for note in opened.folder.record()["notes"]:
        if note.startswith("Measured effects"):
            say(note)
    for line in _verdicts(opened.folder.path / "explain"):
        say(line)
    say(f"tables: {opened.folder.path / 'explain'}")


def _verdicts(folder: Path) -> list[str]:
    """What the probabilities of a right sign are worth, a line per model and choice of genes."""
    import polars as pl

    rows = pl.read_parquet(folder / "reliability_summary.parquet").iter_rows(named=True)
    return [f"{row['model']}, {row['genes']} genes: {row['verdict']}" for row in rows]


def _add_modisco(app: typer.Typer) -> None:
    """Add ``hapsight modisco`` to the commands."""
    app.command()(modisco)


def modisco(
    config: ConfigPath,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="folder to write, one of its own per model")],
    run: Annotated[bool, typer.Option("--run", help="find the motifs too; needs modisco-lite")] = False,
) -> None:
    """Write saturation mutagenesis for TF-MoDISco (modisco-lite), of all genes that have it."""
    from hapsight.cli.console import say
    from hapsight.explain.modisco import require_modisco
    from hapsight.run.opened import Opened
    from hapsight.run.store import require_writable
    from hapsight.stages.modisco import export_modisco, find_patterns
    from hapsight.stages.predict import read_models

    require_writable(out, folder=True)
    if run:
        require_modisco()
    opened = Opened.from_config(load(config))
    for done in export_modisco(opened, read_models(opened), out):
        unknown = f", {done.unknown:,} of them N" if done.unknown else ""
        say(f"{done.folder}: {done.genes:,} of {done.of:,} genes, {done.length:,} bases each{unknown}")
        if run:
            found = find_patterns(done)
            say(f"{done.folder / 'patterns.parquet'}: {plural(len(found), 'motif')}")
            for row in found.iter_rows(named=True):
                say(f"  {row['consensus']}: {plural(row['n_seqlets'], 'seqlet')}, {row['sign']}")
    if not run:
        files = "-s sequences.npz -a attributions.npz"
        say(f"next: modisco motifs {files} -w {done.length} -n 2000 -o modisco.h5, or --run")


def _add_pages(app: typer.Typer) -> None:
    """Add ``hapsight pages`` to the commands."""
    app.command()(pages)


def pages(
    config: ConfigPath,
    genes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="GENE", help="ids or symbols; else those of [explain] genes, else of largest |R|"
        ),
    ] = None,
    most: Annotated[
        int, typer.Option(min=1, help="of largest |R|: how many of each model and direction")
    ] = 6,
    include_individuals: Annotated[
        bool, typer.Option("--include-individuals", help="a point per person, with expression and genotype")
    ] = False,
) -> None:
    """Write a page per gene: its variants, their eQTLs, the driver and the bases around it."""
    from hapsight.cli.console import say
    from hapsight.run.arms import arms_of
    from hapsight.run.opened import Opened
    from hapsight.stages.gene_pages import gene_pages
    from hapsight.stages.predict import read_models

    opened = Opened.from_config(load(config))
    models = read_models(opened)
    with at_work(opened) as show:
        paths = gene_pages(opened, arms_of(opened, models), show, genes or (), most, include_individuals)
    for path in paths:
        say(f"page: {path}")
    say("`hapsight report` links them from its table of genes")


_SHOWN_PAIRS = 3

OutFolder = Annotated[
    Path | None, typer.Option(help="folder for the tables; else `validate` in the run's folder")
]


def _add_validate(app: typer.Typer) -> None:
    """Add the command group ``validate`` to `app`."""
    group = typer.Typer(
        help="Set the configured models beside measured effects, and beside baselines without a model.",
        no_args_is_help=True,
    )
    group.command()(mpra)
    group.command()(crispri)
    group.command()(eqtl)
    app.add_typer(group, name="validate")


def mpra(
    config: ConfigPath,
    table: Annotated[Path, typer.Option(help="saturation mutagenesis, Kircher 2019 layout")],
    element: Annotated[list[str] | None, typer.Option(help="only this element; may be repeated")] = None,
    release: Annotated[str, typer.Option(help="genome build, as the table names it")] = "GRCh38",
    gene: Annotated[str | None, typer.Option(help="gene to read; else the nearest TSS")] = None,
    anchor: Annotated[
        Literal["gene", "element"], typer.Option(help="the window's TSS: the gene's, or mid-element")
    ] = "gene",
    min_barcodes: Annotated[int, typer.Option(min=0, help="leave out variants with fewer")] = 10,
    out: OutFolder = None,
) -> None:
    """Compare with measured effects of single bases: correlation and sign, by distance and composition."""
    from hapsight.cli.console import progress
    from hapsight.stages.validate_mpra import MpraOptions, validate_mpra

    opened = _open(config, out)
    options = MpraOptions(table, release, tuple(element or ()), gene, anchor, min_barcodes)
    with progress() as show:
        found = validate_mpra(opened, _models(opened), options, show)
    _finish(opened, found, "mpra", out)


def crispri(
    config: ConfigPath,
    table: Annotated[Path, typer.Option(help="enhancer-gene pairs, layout of the ENCODE benchmark")],
    genes: Annotated[Path | None, typer.Option(help="more genes with strands: GTF, BED6 or TSV")] = None,
    draws: Annotated[int, typer.Option(min=1, help="shuffled sequences of each element")] = 10,
    out: OutFolder = None,
) -> None:
    """Delete, shuffle and mask enhancers: average precision, beside that of the distance to the TSS."""
    from hapsight.cli.console import progress
    from hapsight.stages.validate_crispri import CrispriOptions, validate_crispri

    opened = _open(config, out)
    with progress() as show:
        found = validate_crispri(opened, _models(opened), CrispriOptions(table, genes, draws), show)
    _finish(opened, found, "crispri", out)


def eqtl(
    config: ConfigPath,
    table: Annotated[
        Path | None, typer.Option(help="eQTLs (phenotype_id, variant_id, slope, pip); else the cohort's own")
    ] = None,
    max_p: Annotated[float, typer.Option(min=0, max=1, help="own eQTLs: largest p in the first half")] = 1e-5,
    controls: Annotated[int, typer.Option(min=0, help="matched controls of each eQTL; 0: none")] = 1,
    out: OutFolder = None,
) -> None:
    """Compare with signs and sizes of eQTLs; the cohort's own are mapped first where needed."""
    from hapsight.stages.validate_eqtl import EqtlOptions, validate_eqtl

    opened = _open(config, out)
    with at_work(opened) as show:
        found = validate_eqtl(opened, _models(opened), EqtlOptions(table, max_p, controls), show)
    _finish(opened, found, "eqtl", out)


def _open(config: Path, out: Path | None) -> Opened:
    from hapsight.run.opened import Opened
    from hapsight.run.store import require_writable

    require_writable(out, folder=True)
    return Opened.from_config(load(config))


def _models(opened: Opened) -> list[ModelRun]:
    from hapsight.errors import ConfigError
    from hapsight.stages.predict import load_sequence_models

    if not opened.config.models:
        raise ConfigError(
            "The configuration names no model to validate.",
            expected="[[models]]",
            fix="add a [[models]] section",
        )
    return load_sequence_models(opened, "`hapsight validate`")


def _finish(opened: Opened, found: Validated, assay: str, out: Path | None) -> None:
    """Write the tables and print the summary, with what was left out."""
    from hapsight.cli.console import say, table
    from hapsight.stages.validation import write_validation

    folder = out or opened.folder.path / "validate"
    written = write_validation(opened, found, assay, folder)
    rows = found.summary.to_dicts()
    columns = ["model", "read-out", "what", "predictor", "quantity", "stratum", "value", "95 %", "n"]
    table(columns, [_row(row) for row in rows], name="summary", data=rows)
    for (kind, reason), names in sorted(found.dropped.names.items()):
        shown = ", ".join(names[:_SHOWN_PAIRS]) + (" ..." if len(names) > _SHOWN_PAIRS else "")
        say(f"left out, {kind}, {reason}: {found.dropped.counts[kind, reason]:,} ({shown})")
    say(f"tables: {', '.join(path.name for path in written)} in {folder}")


def _row(row: dict[str, object]) -> list[str]:
    value, low, high = row["value"], row["ci_low"], row["ci_high"]
    n = f"{row['n']:,}" + ("" if row["n_positive"] is None else f" ({row['n_positive']:,} positive)")
    return [
        str(row["model"]),
        f"{row['read_out']}: {row['track']}",
        *(str(row[name]) for name in ("what", "predictor", "quantity", "stratum")),
        str(row["status"]) if value is None else f"{value:.3f}",
        "" if low is None else f"[{low:.3f}, {high:.3f}]",
        n,
    ]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `app`."""
    for add in (_add_explain, _add_drivers, _add_pages, _add_modisco, _add_validate):
        add(app)
