"""The command that makes a configuration of a user's own files: ``hapsight init``.

The command that writes a cohort whose truth is known: ``hapsight simulate``.

The commands that make a public cohort ready to run.

The commands that compute a study's numbers from its published tables.

The command that finds elements in a track of accessibility.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hapsight.errors import in_shell, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hapsight.cohort.check import CheckResult
    from hapsight.recipes.geuvadis import Pending
    from hapsight.run.config import Config
    from hapsight.stages.reproduce import Reproduced

__all__ = ["register"]

_MB = 1_000_000
_MB_PER_SECOND = 10
"""For the time that is told beforehand."""

MaybeFile = Annotated[Path | None, typer.Option(metavar="FILE")]


def _add_recipe(app: typer.Typer) -> None:
    """Add ``hapsight init`` and the command group ``recipe`` to `app`."""
    app.command()(init)
    group = typer.Typer(
        help="Make a public cohort ready: files, checks, configuration.", no_args_is_help=True
    )
    group.command()(geuvadis)
    group.command()(rosmap)
    app.add_typer(group, name="recipe")


def geuvadis(
    folder: Annotated[Path, typer.Option(help="where the files go")] = Path("geuvadis"),
    yes: Annotated[bool, typer.Option("--yes", help="begin without asking")] = False,
) -> None:
    """Download Geuvadis (Huang 2023: 421 people, hg19), check it, write its configuration; can be resumed."""
    from hapsight.cli.console import keeps, progress, say
    from hapsight.recipes.geuvadis import FILES, UNPACKED, fetch, pending, prepare, require_space

    todo = pending(FILES, folder)
    _announce(todo, len(FILES), folder)
    require_space(round(sum(p.left for p in todo) * (1 + UNPACKED)), folder)
    if todo and not yes and not typer.confirm("Begin?"):
        say("nothing was downloaded")
        raise typer.Exit(1)
    keeps(folder)
    with progress() as show:
        for wanted in todo:
            fetch(wanted, folder, partial(show, wanted.file.name))
            if wanted.file.md5 is None:
                name = wanted.file.name
                say(f"{name}: no published checksum; that of what came is in {name}.sha256")
    config = prepare(folder, lambda name: say(f"making {name}"))
    say(f"ready: {_steps(config)}")


def rosmap(
    genotypes: MaybeFile = None,
    reference: MaybeFile = None,
    expression: MaybeFile = None,
    genes: MaybeFile = None,
    covariates: MaybeFile = None,
    samples: MaybeFile = None,
    config: Annotated[Path, typer.Option(help="the configuration to write")] = Path("rosmap.toml"),
) -> None:
    """Say what to apply for, look at your files one by one, and write the configuration (Sasse 2023)."""
    from hapsight.cli.console import say
    from hapsight.recipes.rosmap import APPLY, RosmapFiles, check_files, write_config

    files = RosmapFiles(genotypes, reference, expression, genes, covariates, samples)
    if not files.given:
        say(APPLY)
    results = check_files(files)
    _show_recipe(results)
    if files.given and any(r.status == "fail" and r.message != "not given" for r in results):
        say("nothing was written")
        raise typer.Exit(1)
    path = write_config(files, config)
    say(f"ready: {_steps(path)}")


def init(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="the cohort's files, in any order, or their folder"),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="the configuration to write")] = Path(
        "cohort.toml"
    ),
) -> None:
    """Look into your files, say what each is, and write a commented configuration that names them.

    Required: genotypes (phased VCF, BCF or PGEN), the reference (FASTA) and expression (phenotype BED).
    Optional: genes (GTF, BED6, TSV), covariates and a sample sheet (sample_id, population, sex).
    """
    from hapsight.cli.console import say, say_failure, table
    from hapsight.recipes.cohort_files import ROLES, check_role, sort_files, write_first_config
    from hapsight.run.store import require_writable

    require_writable(output)
    found, opened = sort_files(files), dict[str, Any]()
    given = [(role, found.paths[role]) for role in ROLES if role in found.paths]
    results = [check_role(role, paths if len(paths) > 1 else paths[0], opened) for role, paths in given]
    names = [", ".join(path.name for path in paths) for _, paths in given]
    rows = [[name, one.name, one.message, one.status] for name, one in zip(names, results, strict=True)]
    rows += [["", "", f"  {detail}", ""] for one in results for detail in one.details]
    rows += [[path.name, "-", "left aside: no part of a cohort", ""] for path in found.aside]
    table(["file", "is", "with", ""], rows, name="files")
    if failed := [f"  {one.name}: {one.message}" for one in results if one.status == "fail"]:
        say_failure("nothing was written", failed)
        raise typer.Exit(1)
    path = write_first_config(found, opened, output)
    say(f"{path}: look at it, then: {_steps(path)}")


def _steps(config: Path) -> str:
    """The commands that come next, for a shell."""
    return "; ".join(f"hapsight {step} {in_shell(config)}" for step in ("check", "plan", "run"))


def _announce(todo: Sequence[Pending], files: int, folder: Path) -> None:
    """Sizes and time, before anything is downloaded."""
    from hapsight.cli.console import say, table

    if not todo:
        say(f"all {files} files are in {folder}, whole")
        return
    rows = [
        [p.file.name, p.file.what, f"{p.size / _MB:,.1f} MB", f"{p.begun / _MB:,.1f} MB" if p.begun else "-"]
        for p in todo
    ]
    data = [{"file": p.file.name, "what": p.file.what, "bytes": p.size, "bytes_here": p.begun} for p in todo]
    table(["file", "what", "size", "here already"], rows, name="files", data=data)
    left = sum(p.left for p in todo) / _MB
    minutes = left / _MB_PER_SECOND / 60
    say(f"{left:,.1f} MB to download into {folder}; about {minutes:,.0f} min at {_MB_PER_SECOND} MB/s")


def _show_recipe(results: Sequence[CheckResult]) -> None:
    from dataclasses import asdict

    from hapsight.cli.console import table

    rows: list[list[str]] = []
    for found in results:
        rows.append([found.status, found.name, found.message])
        rows += [["", "", f"  {detail}"] for detail in found.details]
    table(["", "file", "result"], rows, name="files", data=map(asdict, results))


def _add_simulate(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(simulate)


def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="the folder to write; must not exist")],
    config: Annotated[
        Path | None, typer.Option("--from", metavar="CONFIG", help="a configuration of a real cohort")
    ] = None,
    builtin: Annotated[
        bool, typer.Option("--builtin", help="start from the cohort that comes with hapsight")
    ] = False,
    people: Annotated[int, typer.Option(help="how many people")] = 500,
    genes: Annotated[
        int | None, typer.Option(help="genes, chosen at random; else 200, or as many as will do")
    ] = None,
    h2: Annotated[str, typer.Option(help="heritability of expression: a number, or beta:2,5")] = "0.3",
    planted: Annotated[int, typer.Option(help="variants of each gene at which a motif is planted")] = 3,
    min_maf: Annotated[float, typer.Option(help="lowest allele frequency of planted variants")] = 0.05,
    reach: Annotated[int, typer.Option(help="bases on either side of the TSS where motifs act")] = 4_000,
    decay: Annotated[float, typer.Option(help="bases over which a motif's effect falls to 1/e")] = 2_000,
    pair_bonus: Annotated[
        float, typer.Option(help="what two motifs near each other add, as a share of their mean effect")
    ] = 0.0,
    pair_distance: Annotated[int, typer.Option(help="bases that count as near")] = 60,
    motifs: Annotated[
        Path | None, typer.Option(help="a table of motifs: name, consensus (IUPAC), effect (log10)")
    ] = None,
    confounders: Annotated[int, typer.Option(help="covariates that act on expression")] = 5,
    confounder_share: Annotated[float, typer.Option(help="their share of the variance")] = 0.2,
    switch_rate: Annotated[
        float, typer.Option(help="changes per base of the real haplotype that is copied")
    ] = 1e-5,
    flank: Annotated[
        int, typer.Option(help="bases on either side of a TSS in which genotypes are written")
    ] = 100_000,
    seed: Annotated[int, typer.Option(help="equal seeds give equal files")] = 1,
) -> None:
    """Write a cohort with planted regulatory motifs, real haplotypes and known truth; `run` reads it."""
    from hapsight.cli.console import progress, say
    from hapsight.cohort.join import open_cohort
    from hapsight.run.opened import cohort_files, policy_of
    from hapsight.simulate.cohort import simulate as write
    from hapsight.simulate.design import DEFAULT_MOTIFS, Design, Grammar, Heritability, read_motifs

    section = _source(config, builtin).cohort
    grammar = Grammar(
        read_motifs(motifs) if motifs else DEFAULT_MOTIFS, reach, decay, pair_bonus, pair_distance
    )
    design = Design(
        people=people,
        genes=200 if genes is None else genes,
        fewer=genes is None,
        heritability=Heritability.parse(h2),
        grammar=grammar,
        planted=planted,
        min_maf=min_maf,
        switch_rate=switch_rate,
        flank=flank,
        confounders=confounders,
        confounder_share=confounder_share,
        seed=seed,
    )
    cohort, _ = open_cohort(cohort_files(section), policy_of(section))
    with progress() as report:
        done = write(cohort, design, out, report)
    for row in done.dropped.rows():
        say(f"left out: {row['count']:,} x {row['kind']}, {row['reason']}")
    say(
        f"{done.config}: {plural(done.people, 'people')}, {plural(done.genes, 'gene')}, "
        f"{plural(done.variants, 'variant')}, "
        f"{plural(done.planted, 'motif')} planted; the truth is in {out / 'truth'}"
    )


def _source(config: Path | None, builtin: bool) -> Config:
    """The configuration of the cohort to start from: exactly one is named."""
    from hapsight.errors import ConfigError
    from hapsight.recipes.demo import demo_cohort
    from hapsight.run.config import load_config

    if (config is None) != builtin:
        raise ConfigError(
            "It is not clear which cohort to start from.",
            expected="either --from CONFIG or --builtin",
            got="both" if builtin else "neither",
        )
    return demo_cohort() if config is None else load_config(config)


JsonPath = Annotated[Path | None, typer.Option("--json", help="write the numbers there as well")]


def _add_reproduce(app: typer.Typer) -> None:
    """Add the command group ``reproduce`` to `app`."""
    group = typer.Typer(
        help="Compute a study's numbers from its published tables; exit code 1 where one differs.",
        no_args_is_help=True,
    )
    group.command()(sasse2023)
    group.command()(huang2023)
    app.add_typer(group, name="reproduce")


def sasse2023(
    table: Annotated[Path, typer.Option(help="supplementary table 1, tab-separated")],
    json_to: JsonPath = None,
) -> None:
    """Sasse et al. 2023: R across people of Enformer, its nulls, and PrediXcan beside it."""
    from hapsight.run.store import require_writable
    from hapsight.stages.reproduce import reproduce_sasse2023

    require_writable(json_to)
    _show_reproduced(reproduce_sasse2023(table), json_to)


def huang2023(
    predictions: Annotated[Path, typer.Option(help="reference predictions of four models, CSV")],
    eqtls: Annotated[Path, typer.Option(help="top eQTL of each gene, CSV")],
    json_to: JsonPath = None,
) -> None:
    """Huang et al. 2023: agreement of four models over genes, and the top eQTLs."""
    from hapsight.run.store import require_writable
    from hapsight.stages.reproduce import reproduce_huang2023

    require_writable(json_to)
    _show_reproduced(reproduce_huang2023(predictions, eqtls), json_to)


def _show_reproduced(found: Sequence[Reproduced], json_to: Path | None) -> None:
    """Print theirs beside ours; leaves with exit code 1 where they differ."""
    from dataclasses import asdict

    from hapsight.cli.console import say, table

    rows = [
        [
            one.quantity,
            one.published,
            one.ours,
            "" if one.difference is None else f"{one.difference:+.2g}",
            "yes" if one.equal else "NO",
        ]
        for one in found
    ]
    table(
        ["quantity", "published", "ours", "difference", "equal"],
        rows,
        ["" if o.equal else "red" for o in found],
        name="reproduced",
        data=map(asdict, found),
    )
    if json_to is not None:
        json_to.write_text(json.dumps([asdict(one) for one in found], indent=1))
    differ = sum(not one.equal for one in found)
    say(f"{len(found) - differ} of {len(found)} equal to the digits published")
    if differ:
        raise typer.Exit(1)


def _add_elements(app: typer.Typer) -> None:
    """Add the command ``elements`` to `app`."""
    app.command()(elements)


def elements(
    track: Annotated[Path, typer.Argument(help="bigWig of accessibility (DNase, ATAC)")],
    bed: Annotated[Path, typer.Argument(help="the BED file to write")],
    contig: Annotated[list[str] | None, typer.Option(help="of the bigWig; all where not given")] = None,
    width: Annotated[int, typer.Option(min=1, help="bases of an element")] = 256,
    times: Annotated[
        float, typer.Option(min=1, help="least mean signal of an element, in means of its contig")
    ] = 5.0,
) -> None:
    """Write the accessible elements of a track as BED, for `options.elements` of EPInformer."""
    from hapsight.cli.console import say
    from hapsight.cohort.bigwig import accessible_elements
    from hapsight.errors import InputError
    from hapsight.files import write_atomically

    lines = [
        f"{name}\t{start}\t{end}\n"
        for name, start, end in accessible_elements(track, contig or (), width, times)
    ]
    if not lines:
        raise InputError("The track has no element.", where=track, expected=f"{times:g} times its mean")
    write_atomically(bed, "".join(lines).encode())
    say(f"{len(lines):,} elements in {bed}")


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `app`."""
    for add in (_add_recipe, _add_simulate, _add_reproduce, _add_elements):
        add(app)
