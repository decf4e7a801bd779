"""The command ``hapsight informed``: linear prediction with prior evidence, beside the plain elastic net.

The command that maps eQTLs.

The commands that exchange weights with PrediXcan: ``hapsight predictdb export`` and ``apply``.

The command ``hapsight priors``: what is known of genes, people and variants, with and without.

The command ``hapsight portability``: prediction carried from one population to another.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hapsight.cli.options import ConfigPath, SchedulerOption, WorkersOption, at_work, load, load_staffed
from hapsight.errors import plural

if TYPE_CHECKING:
    import polars as pl

    from hapsight.run.run_folder import RunFolder
    from hapsight.stages.predictdb import CovarianceFile, Exported

__all__ = ["register"]


def _add_eqtl(app: typer.Typer) -> None:
    """Add ``hapsight eqtl`` to the commands."""
    app.command()(eqtl)


def eqtl(
    config: ConfigPath,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
) -> None:
    """Map eQTLs (nominal, top, independent signals) and estimate cis-heritability."""
    from hapsight.cli.console import table
    from hapsight.run.opened import Opened
    from hapsight.stages.eqtl import eqtl as stage

    opened = Opened.from_config(load_staffed(config, workers, scheduler))
    with at_work(opened) as report:
        stage(opened, report)
    table(["quantity", "value"], _summary(opened.folder, opened.config.eqtl.fdr), name="eqtl")


def _summary(folder: RunFolder, fdr: float) -> list[list[str]]:
    """What came of the mapping, a row each."""
    import polars as pl

    genes = pl.read_parquet(folder.path / "eqtl/cis_qtl.parquet")
    signals = pl.read_parquet(folder.path / "eqtl/cis_independent.parquet")
    h2 = pl.read_parquet(folder.path / "eqtl/heritability.parquet")["h2"].drop_nulls()
    tested = genes.filter(pl.col("variant_id").is_not_null())
    found = tested.filter(pl.col("qval") <= fdr)
    (seconds,) = (entry["seconds"] for entry in folder.record()["stages"] if entry["name"] == "eqtl")
    return [
        ["genes tested", f"{len(tested):,} of {len(genes):,}"],
        [f"with an eQTL, q <= {fdr:g} (Benjamini-Hochberg)", f"{len(found):,}"],
        ["independent signals of these", f"{len(signals):,}"],
        ["median distance of their top variant to the TSS", _shown(found["start_distance"].abs(), " bp", 0)],
        ["median cis-heritability, all genes tested", _shown(h2, "", 3)],
        ["took", f"{seconds:.1f} s, {seconds / max(len(genes), 1):.2f} s a gene"],
    ]


def _shown(values: pl.Series, unit: str, digits: int) -> str:
    """The median, or that there is none."""
    return f"{float(statistics.median(values)):,.{digits}f}{unit}" if len(values) else "-"


MinROption = Annotated[
    float | None,
    typer.Option("--min-r", min=-1.0, max=1.0, help="of weights: leave out genes with a lower held-out R"),
]
CovarianceOption = Annotated[
    Path | None,
    typer.Option(metavar="OUT.txt.gz", help="beside weights: write covariances of dosages for S-PrediXcan"),
]
SnpKeyOption = Annotated[
    Literal["rsid", "varID"], typer.Option(help="what names variants among the covariances")
]
InFullOption = Annotated[
    bool, typer.Option("--include-individuals", help="covariances in full digits, of rare variants too")
]


def _add_informed(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(informed)


def informed(
    config: ConfigPath,
    export: Annotated[
        Path | None, typer.Option(metavar="OUT.db", help="write weights as a PredictDB file")
    ] = None,
    evidence: Annotated[
        str, typer.Option(help="of --export: a set of evidence, as the table names it")
    ] = "all",
    split: Annotated[
        Literal["random", "population", "super_population"],
        typer.Option(help="of --export: the split whose held-out R goes with the weights"),
    ] = "random",
    build: Annotated[
        str | None, typer.Option(help="of --export: genome build in the varIDs, such as b38")
    ] = None,
    min_r: MinROption = None,
    covariance: CovarianceOption = None,
    snp_key: SnpKeyOption = "rsid",
    include_individuals: InFullOption = False,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
) -> None:
    """Fit linear models that use prior evidence, beside the plain elastic net and shuffled controls."""
    from hapsight.cli.console import say, table
    from hapsight.run.opened import Opened
    from hapsight.stages.informed import export_informed
    from hapsight.stages.informed import informed as run
    from hapsight.stages.informed_evidence import require_evidence

    if export is None and (covariance is not None or min_r is not None):
        raise typer.BadParameter("--covariance and --min-r are of weights: give --export OUT.db as well")
    beside = _covariances(covariance, snp_key, include_individuals, export)
    loaded = load_staffed(config, workers, scheduler)
    if export is not None:
        require_evidence(loaded.informed, evidence, split)
    opened = Opened.from_config(loaded)
    with at_work(opened) as show:
        found = run(opened, show)
    columns = [
        "evidence",
        "people held out",
        "genes",
        "mean R (95 %)",
        "to plain",
        "to none",
        "to distance",
        "to shuffled",
    ]
    table(
        [*columns, "significant with wrong sign"],
        [_informed_row(row) for row in found.summary.iter_rows(named=True)],
        name="informed",
        data=found.summary.iter_rows(named=True),
    )
    say(f"tables: {opened.folder.path / 'informed'}/{{per_gene,summary,shapes}}.parquet")
    if export is not None:
        written = export_informed(opened, evidence, split, export, build, min_r=min_r, covariance=beside)
        _say_exported(export, evidence, written, beside)


def _informed_row(row: dict[str, Any]) -> list[str]:
    share = row["significant_negative_share"]
    return [
        row["evidence"] + (", shuffled" if row["shuffled"] else ""),
        row["split"],
        str(row["genes"]),
        _interval(row["mean_r"], row["ci_low"], row["ci_high"], ""),
        *(
            _interval(row[f"to_{to}"], row[f"to_{to}_ci_low"], row[f"to_{to}_ci_high"], "+")
            for to in ("plain", "none", "distance", "shuffled")
        ),
        "-" if share is None else f"{row['significant_negative']} of {row['significant']}",
    ]


def _interval(value: float | None, low: float | None, high: float | None, sign: str) -> str:
    if value is None:
        return "-"
    return f"{value:{sign}.4f}" + ("" if low is None else f" ({low:{sign}.4f} to {high:{sign}.4f})")


predictdb_app = typer.Typer(help="Exchange weights with PrediXcan and MetaXcan.", no_args_is_help=True)


def _add_predictdb(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(predictdb_app, name="predictdb")


@predictdb_app.command()
def export(
    config: ConfigPath,
    out: Annotated[Path, typer.Argument(metavar="OUT.db", help="the file to write")],
    method: Annotated[str | None, typer.Option(help="a method of [baseline]; else the first")] = None,
    split: Annotated[
        str | None, typer.Option(help="the split whose held-out R goes with it; else the first")
    ] = None,
    build: Annotated[str | None, typer.Option(help="genome build in the varIDs, such as b38")] = None,
    min_r: MinROption = None,
    covariance: CovarianceOption = None,
    snp_key: SnpKeyOption = "rsid",
    include_individuals: InFullOption = False,
) -> None:
    """Write a fitted baseline's weights as a PredictDB file."""
    from hapsight.run.opened import Opened
    from hapsight.stages.predictdb import chosen_run, export_predictdb

    beside = _covariances(covariance, snp_key, include_individuals, out)
    opened = Opened.from_config(load(config))
    run = chosen_run(opened, method, split)
    found = export_predictdb(opened, run, out, build, min_r=min_r, covariance=beside)
    _say_exported(out, run.method, found, beside)


def _covariances(
    path: Path | None, snp_key: Literal["rsid", "varID"], in_full: bool, weights: Path | None
) -> CovarianceFile | None:
    """The file that is wanted beside the weights, where both can be written."""
    from hapsight.run.store import require_writable
    from hapsight.stages.predictdb import CovarianceFile

    require_writable(weights)
    require_writable(path)
    return None if path is None else CovarianceFile(path, snp_key, in_full)


def _say_exported(out: Path, what: str, found: Exported, covariance: CovarianceFile | None) -> None:
    from hapsight.cli.console import say

    left_out = ", ".join(f"{count:,} {reason}" for reason, count in found.left_out.items()) or "none"
    say(
        f"{out}: {what}, {plural(found.genes, 'gene')}, {plural(found.weights, 'weight')}; "
        f"genes left out: {left_out}"
    )
    if covariance is not None:
        full = covariance.individuals
        how = "in full digits" if full else "rounded (--include-individuals: in full digits)"
        say(f"{covariance.path}: {plural(found.pairs, 'covariance')}, {how}")
    if found.withheld:
        weights = plural(found.withheld, "weight")
        say(f"without covariances: {weights} of variants that fewer than five people carry, or lack")


@predictdb_app.command()
def apply(
    config: ConfigPath,
    weights: Annotated[
        Path, typer.Argument(metavar="IN.db", help="a PredictDB file, or a table with weights")
    ],
    label: Annotated[str | None, typer.Option(help="what tables call it; else the file's name")] = None,
    min_share: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="least share of a gene's weights that must be usable for it to have an R"
        ),
    ] = 0.5,
) -> None:
    """Predict this cohort by weights trained elsewhere; say how many could be used, and mean R."""
    from hapsight.cli.console import say, table
    from hapsight.run.opened import Opened
    from hapsight.stages.predictdb import apply_file

    opened = Opened.from_config(load(config))
    with at_work(opened) as report:
        found = apply_file(opened, weights, label or weights.stem, report, min_share)
    table(["what", "value"], [[name, value] for name, value in found.lines()], name="applied")
    say(f"per gene: {found.folder}; to evaluate it in `run`, name the file under [[baseline.imported]]")


def _add_priors(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(priors)


def priors(
    config: ConfigPath,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
) -> None:
    """Measure what each prior on genes, people or variants adds, beside its shuffled control."""
    from hapsight.cli.console import say, table
    from hapsight.run.opened import Opened
    from hapsight.stages.priors import priors as run

    opened = Opened.from_config(load_staffed(config, workers, scheduler))
    with at_work(opened) as show:
        found = run(opened, show)
    columns = ["prior", "enters", "beside", "genes", "without", "with", "alone", "shuffled"]
    columns += ["gain (95 %)", "over shuffled (95 %)"]
    rows = found.ablation.to_dicts()
    table(columns, [_prior_row(row) for row in rows], name="priors", data=rows)
    say(f"tables: {opened.folder.path / 'priors'}/{{ablation,per_gene,signs,dropped}}.parquet")


def _prior_row(row: dict[str, Any]) -> list[str]:
    numbers = [_number(row[name]) for name in ("without", "with_prior", "alone", "shuffled")]
    gains = []
    for name in ("gain", "over_shuffled"):
        value, low, high = (_number(row[f"{name}{end}"], "+") for end in ("", "_ci_low", "_ci_high"))
        gains.append(f"{value} ({low} to {high})")
    return [row["prior"], row["enters"], row["beside"], str(row["n"]), *numbers, *gains]


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.4f}"


def _add_portability(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(portability)


def portability(
    config: ConfigPath,
    split: Annotated[
        Literal["population", "super_population"], typer.Option(help="the sample sheet's column to go by")
    ] = "population",
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
) -> None:
    """Train linear methods in one population, judge them in every other; sequence models in each."""
    from hapsight.cli.console import say, table
    from hapsight.run.arms import arms_of
    from hapsight.run.opened import Opened
    from hapsight.stages.portability import FEWEST_PEOPLE
    from hapsight.stages.portability import portability as run
    from hapsight.stages.predict import read_models

    opened = Opened.from_config(load_staffed(config, workers, scheduler))
    models = read_models(opened)
    with at_work(opened) as show:
        found = run(opened, arms_of(opened, models), split, show)
    columns = ["model", "trained in", "people", "judged in", "people", "genes", "mean R (95 %)", "to its own"]
    rows = found.summary.to_dicts()
    table(columns, [_portability_row(row) for row in rows], name="portability", data=rows)
    if found.left_out:
        few = ", ".join(f"{name} ({size})" for name, size in found.left_out.items())
        say(f"left out, fewer than {FEWEST_PEOPLE} people: {few}")
    say(f"tables: {opened.folder.path / 'evaluation'}/{{portability,portability_genes}}.parquet")


def _portability_row(row: dict[str, Any]) -> list[str]:
    return [
        row["model"],
        row["trained_in"] or "-",
        str(row["n_trained"] or "-"),
        row["judged_in"],
        str(row["n"]),
        str(row["genes"]),
        _interval(row["mean_r"], row["ci_low"], row["ci_high"], ""),
        _interval(row["to_own"], row["to_own_ci_low"], row["to_own_ci_high"], "+"),
    ]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `app`."""
    for add in (_add_eqtl, _add_informed, _add_priors, _add_predictdb, _add_portability):
        add(app)
