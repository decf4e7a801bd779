"""The command that writes a cohort whose truth is known: ``hapsight simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hapsight.config import Config

__all__ = ["register"]


def register(app: typer.Typer) -> None:
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
    people: Annotated[int, typer.Option(help="people")] = 500,
    genes: Annotated[int, typer.Option(help="genes, chosen at random")] = 200,
    h2: Annotated[str, typer.Option(help="heritability of expression: a number, or beta:2,5")] = "0.3",
    planted: Annotated[int, typer.Option(help="variants of each gene at which a motif is planted")] = 3,
    min_maf: Annotated[float, typer.Option(help="least frequency of these")] = 0.05,
    reach: Annotated[int, typer.Option(help="bases on either side of the TSS where motifs act")] = 4_000,
    decay: Annotated[float, typer.Option(help="bases over which a motif's effect falls to 1/e")] = 2_000,
    pair_bonus: Annotated[
        float, typer.Option(help="what two motifs near each other add, of the mean of their effects")
    ] = 0.0,
    pair_distance: Annotated[int, typer.Option(help="bases that count as near")] = 60,
    motifs: Annotated[
        Path | None, typer.Option(help="a table of motifs: name, consensus (IUPAC), effect (log10)")
    ] = None,
    confounders: Annotated[int, typer.Option(help="covariates that act on expression")] = 5,
    confounder_share: Annotated[float, typer.Option(help="their share of the variance")] = 0.2,
    switch_rate: Annotated[float, typer.Option(help="changes of the copied real haplotype, per base")] = 1e-5,
    flank: Annotated[int, typer.Option(help="genotypes are written this far from a TSS")] = 100_000,
    seed: Annotated[int, typer.Option(help="equal seeds give equal files")] = 1,
) -> None:
    """Write a cohort with planted regulatory motifs, real haplotypes and known truth; `run` reads it."""
    from hapsight.cli.console import progress, say
    from hapsight.cohort.join import open_cohort
    from hapsight.simulate.cohort import simulate as write
    from hapsight.simulate.design import Design, Heritability
    from hapsight.simulate.grammar import DEFAULT_MOTIFS, Grammar, read_motifs
    from hapsight.workflow.opened import cohort_files, policy_of

    section = _source(config, builtin).cohort
    grammar = Grammar(
        read_motifs(motifs) if motifs else DEFAULT_MOTIFS, reach, decay, pair_bonus, pair_distance
    )
    design = Design(
        people=people,
        genes=genes,
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
        f"{done.config}: {done.people:,} people, {done.genes:,} genes, {done.variants:,} variants, "
        f"{done.planted:,} motifs planted; the truth is in {out / 'truth'}"
    )


def _source(config: Path | None, builtin: bool) -> Config:
    """The configuration of the cohort to start from: exactly one is named."""
    from hapsight.config import load_config
    from hapsight.errors import ConfigError
    from hapsight.workflow.demo import demo_cohort

    if (config is None) != builtin:
        raise ConfigError(
            "It is not clear which cohort to start from.",
            expected="either --from CONFIG or --builtin",
            got="both" if builtin else "neither",
        )
    return demo_cohort() if config is None else load_config(config)
