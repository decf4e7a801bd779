"""The commands that say what variants do: ``hapsight explain`` and ``hapsight score``.

The command that asks why signs are wrong.

The command that hands attributions to TF-MoDISco.

The command that writes gene pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hapsight.cli.options import ConfigPath, SchedulerOption, WorkersOption, at_work, load, load_staffed
from hapsight.errors import in_shell, plural

if TYPE_CHECKING:
    from hapsight.cohort.nouns import Dropped
    from hapsight.run.opened import Opened

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
        say(f"no pages of the genes: hapsight run {in_shell(config)} comes first")


def score(
    config: ConfigPath,
    vcf: Annotated[Path, typer.Option(help="the variants, VCF or BCF; genotypes are ignored")],
    out: Annotated[
        Path, typer.Option(help="file to write: .parquet, .vcf[.gz], .bcf, .csv[.gz]; else tab-separated")
    ] = Path("scores.tsv"),
    sample: Annotated[
        str | None,
        typer.Option(
            help="a person: variants are mutated in both haplotypes. all, a population, names with commas "
            "between, or a file of names: in each of their distinct haplotypes. Else in the reference"
        ),
    ] = None,
    include_individuals: Annotated[
        bool,
        typer.Option("--include-individuals", help="also show haplotypes that fewer than five people have"),
    ] = False,
) -> None:
    """Score the variants of any VCF on all genes whose window they lie in; says which lie in none."""
    from hapsight.cli.console import progress, say
    from hapsight.run.opened import Opened
    from hapsight.stages.predict import load_sequence_models
    from hapsight.stages.score import require_score_file, write_scores
    from hapsight.stages.score import score as compute
    from hapsight.stages.score_backgrounds import group_of

    require_score_file(out)
    opened = Opened.from_config(load(config))
    people = group_of(opened.cohort, sample)
    if people is not None:
        shown = include_individuals or opened.config.report.include_individuals
        return _score_people(opened, vcf, out, people, shown)
    runs = load_sequence_models(opened, "`hapsight score`")
    with progress() as show:
        found = compute(opened, runs, vcf, sample, show)
    write_scores(out, found.table, opened.cohort.reference.contigs, private=sample is not None)
    variants = found.table.n_unique(["contig", "position", "ref", "alt"])
    genes = found.table["gene_id"].n_unique()
    say(f"{out}: {plural(variants, 'variant')} on {plural(genes, 'gene')}, {plural(len(found.table), 'row')}")
    _say_dropped(found.dropped)


def _score_people(opened: Opened, vcf: Path, out: Path, people: Sequence[str], individuals: bool) -> None:
    """In every distinct haplotype that many people have."""
    from hapsight.cli.console import progress, say
    from hapsight.stages.predict import load_sequence_models
    from hapsight.stages.score import require_score_file, write_scores
    from hapsight.stages.score_backgrounds import score_backgrounds, summary_path

    beside = summary_path(out)
    require_score_file(beside)
    runs = load_sequence_models(opened, "`hapsight score`")
    with progress() as show:
        found = score_backgrounds(opened, runs, vcf, people, show, individuals=individuals)
    for path, table in ((out, found.backgrounds), (beside, found.summary)):
        write_scores(path, table, opened.cohort.reference.contigs, private=individuals)
    variants = found.summary.n_unique(["contig", "position", "ref", "alt"])
    genes = found.summary["gene_id"].n_unique()
    say(f"{out}: {plural(variants, 'variant')} on {plural(genes, 'gene')} in {plural(len(people), 'people')}")
    say(f"{beside}: the same, summed up over backgrounds")
    say(f"{found.computed:,} sequences computed; two for each variant and haplotype would be {found.asked:,}")
    if found.withheld:
        say(
            f"not shown: {found.withheld:,} of {found.withheld + len(found.backgrounds):,} rows, of "
            "haplotypes that fewer than five people have (--include-individuals shows them)"
        )
    _say_dropped(found.dropped)


def _say_dropped(dropped: Dropped) -> None:
    """What was left out, with some names."""
    from hapsight.cli.console import say

    for (_, reason), names in sorted(dropped.names.items()):
        more = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
        say(f"left out, {reason}: {dropped.counts['variant', reason]} ({more})")


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
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
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
    loaded = load_staffed(config, workers, scheduler)
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
        else:
            files = "-s sequences.npz -a attributions.npz"
            motifs = f"modisco motifs {files} -w {done.length} -n 2000 -o modisco.h5"
            say(f"  next: (cd {in_shell(done.folder)} && {motifs}), or --run")


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
    say(f"hapsight report {in_shell(config)} links them from its table of genes")


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `app`."""
    for add in (_add_explain, _add_drivers, _add_pages, _add_modisco):
        add(app)
