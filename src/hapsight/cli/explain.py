"""The commands that say what variants do: ``hapsight explain`` and ``hapsight score``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hapsight.cli.crew import SchedulerOption, WorkersOption, load_staffed

__all__ = ["register"]

_SHOWN = 5

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="the run's TOML configuration")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(explain)
    app.command()(score)


def explain(
    config: ConfigPath,
    genes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[GENE]...", help="gene_ids or names; else those of [explain]"),
    ] = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
) -> None:
    """Toggle every variant of the models' windows, on the reference and in people's haplotypes.

    With `saturation` or `gradients` under [explain], also what single bases are worth.
    """
    from hapsight.cli.console import progress, say
    from hapsight.workflow.arms import arms_of
    from hapsight.workflow.explain import explain as stage
    from hapsight.workflow.explain import explain_store
    from hapsight.workflow.gene_pages import gene_pages
    from hapsight.workflow.opened import Opened
    from hapsight.workflow.predict import load_models
    from hapsight.workflow.saturate_drivers import saturate_drivers

    opened = Opened.from_config(load_staffed(config, workers, scheduler))
    runs = load_models(opened)
    with opened.folder.locked(), progress() as show:
        opened.begin()
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
        str | None, typer.Option(help="a person: toggle in both haplotypes; the reference where not given")
    ] = None,
) -> None:
    """Score any variants on all genes in a model's reach; says which reach none."""
    from hapsight.cli.console import progress, say
    from hapsight.config import load_config
    from hapsight.workflow.opened import Opened
    from hapsight.workflow.predict import load_sequence_models
    from hapsight.workflow.score import score as compute
    from hapsight.workflow.score_files import require_score_file, write_scores

    require_score_file(out)
    opened = Opened.from_config(load_config(config))
    runs = load_sequence_models(opened, "`hapsight score`")
    with progress() as show:
        found = compute(opened, runs, vcf, sample, show)
    write_scores(out, found.table, opened.cohort.reference.contigs, private=sample is not None)
    variants = found.table.n_unique(["contig", "position", "ref", "alt"])
    genes = found.table["gene_id"].n_unique()
    say(f"{out}: {variants:,} variants on {genes:,} genes, {len(found.table):,} rows")
    for (_, reason), names in sorted(found.dropped.names.items()):
        shown = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
        say(f"left out, {reason}: {found.dropped.counts['variant', reason]} ({shown})")
