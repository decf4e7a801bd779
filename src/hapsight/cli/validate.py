"""The commands that set models beside measured effects: ``hapsight validate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hapsight.cli import console
from hapsight.cli.options import ConfigPath, at_work, load

if TYPE_CHECKING:
    import polars as pl

    from hapsight.run.effects import EffectsRun
    from hapsight.run.opened import Opened
    from hapsight.stages.predict import ModelRun
    from hapsight.stages.validation import Validated

__all__ = ["register"]

_SHOWN_PAIRS = 3

OutFolder = Annotated[
    Path | None, typer.Option(help="folder for the tables; else `validate` in the run's folder")
]
Centre = Annotated[Literal["variant", "peak"], typer.Option(help="what the window is centred on")]
Strands = Annotated[
    Literal["both", "forward"], typer.Option(help="mean of both strands, or the genome's forward strand")
]


def register(app: typer.Typer) -> None:
    """Add the command group ``validate`` to `app`."""
    group = typer.Typer(
        help="Compare the configured models with measured effects, and with baselines that use no model.",
        no_args_is_help=True,
    )
    group.command()(mpra)
    group.command()(crispri)
    group.command()(eqtl)
    group.command()(qtl)
    group.command()(modality)
    group.command()(alleles)
    group.command()(abstention)
    group.command()(abc)
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
    from hapsight.stages.validate_elements import MpraOptions, validate_mpra

    opened = _open(config, out, "mpra", table)
    options = MpraOptions(table, release, tuple(element or ()), gene, anchor, min_barcodes)
    with console.progress() as show:
        found = validate_mpra(opened, _sequence_models(opened), options, show)
    _finish(opened, found, "mpra", out)


def crispri(
    config: ConfigPath,
    table: Annotated[Path, typer.Option(help="enhancer-gene pairs, layout of the ENCODE benchmark")],
    genes: Annotated[Path | None, typer.Option(help="more genes with strands: GTF, BED6 or TSV")] = None,
    draws: Annotated[int, typer.Option(min=1, help="shuffled sequences of each element")] = 10,
    out: OutFolder = None,
) -> None:
    """Delete, shuffle and mask enhancers: average precision, beside that of the distance to the TSS."""
    from hapsight.stages.validate_elements import CrispriOptions, validate_crispri

    opened = _open(config, out, "crispri", table)
    with console.progress() as show:
        found = validate_crispri(opened, _sequence_models(opened), CrispriOptions(table, genes, draws), show)
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

    opened = _open(config, out, "eqtl", table)
    with at_work(opened) as show:
        found = validate_eqtl(opened, _sequence_models(opened), EqtlOptions(table, max_p, controls), show)
    _finish(opened, found, "eqtl", out)


def qtl(
    table: Annotated[
        Path,
        typer.Argument(metavar="TABLE", help="chrom, pos, ref, alt, beta; or chrom, high, low (sequences)"),
    ],
    config: Annotated[Path, typer.Option(help="the run's TOML configuration: models and FASTA")],
    centre: Centre = "variant",
    strands: Strands = "both",
    controls: Annotated[int, typer.Option(min=0, help="matched controls of each QTL; 0: none")] = 0,
    control: Annotated[
        str | None, typer.Option(help="label of a second cell type's model, to be compared with")
    ] = None,
    folds: Annotated[
        Literal["all", "held_out"],
        typer.Option(help="whether a fold is asked about variants on chromosomes that it was trained on"),
    ] = "all",
    out: OutFolder = None,
) -> None:
    """Signs of QTLs of any quantity, at the variant's own place; beside distance and composition."""
    from hapsight.stages.validate_qtl import QtlOptions, validate_qtl

    opened = _open(config, out, "qtl", table)
    options = QtlOptions(
        table=table, centre=centre, strands=strands, controls=controls, control=control, folds=folds
    )
    with console.progress() as show:
        found = validate_qtl(opened, _models(opened), options, show)
    _finish(opened, found, "qtl", out, brief=True)


def modality(
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="accessibility QTLs: chrom, pos, ref, alt, beta")
    ],
    config: Annotated[Path, typer.Option(help="the run's TOML configuration: cohort and models")],
    eqtls: Annotated[
        Path | None, typer.Option(help="eQTLs (phenotype_id, variant_id, slope); else the cohort's own")
    ] = None,
    reach: Annotated[int, typer.Option(min=0, help="bases between a variant and its gene's TSS")] = 100_000,
    max_p: Annotated[float, typer.Option(min=0, max=1, help="own eQTLs: largest nominal p")] = 1e-3,
    centre: Centre = "variant",
    strands: Strands = "both",
    out: OutFolder = None,
) -> None:
    """Direction at accessibility and at expression, of the same variants; maps the cohort's if need be."""
    from hapsight.stages.validate_eqtl import ModalityOptions, validate_modality

    opened = _open(config, out, "modality", table)
    options = ModalityOptions(
        table=table, eqtls=eqtls, reach=reach, max_p=max_p, centre=centre, strands=strands
    )
    with at_work(opened) as show:
        found = validate_modality(opened, _models(opened), options, show)
    _finish(opened, found, "modality", out)


_OF_PEOPLE = frozenset({"sample", "genotype", "reads", "block"})
"""What was left out by names of people, which are in ``alleles.json`` and not printed."""


def alleles(
    config: ConfigPath,
    counts: Annotated[
        Path, typer.Option(help="a phased VCF with two counts a call, or phASER's: {sample} in the name")
    ],
    features: Annotated[Path, typer.Option(help="where reads count: BED (contig, start, end, gene) or GTF")],
    order: Annotated[
        Literal["auto", "haplotypes", "alleles"],
        typer.Option(help="counts of a VCF: first and second haplotype, or REF and ALT; auto: by the phase"),
    ] = "auto",
    tag: Annotated[str, typer.Option(help="FORMAT field of the counts")] = "AS",
    min_reads: Annotated[int, typer.Option(min=1, help="reads that a person needs in a gene")] = 20,
    reference_share: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=0.99, help="REF's share of reads by mapping alone; else by 20 sites or more"
        ),
    ] = None,
    out: OutFolder = None,
) -> None:
    """Haplotype against haplotype within people, beside allele-specific reads; predictions are the run's."""
    from hapsight.cohort.tables import write_table
    from hapsight.run.arms import arms_of
    from hapsight.stages.predict import read_models
    from hapsight.stages.validate_alleles import AlleleOptions, validate_alleles

    opened, chosen = _open(config, out, "alleles", counts), None if order == "auto" else order
    options = AlleleOptions(counts, features, chosen, tag, min_reads, reference_share)
    with console.progress() as show:
        found = validate_alleles(opened, arms_of(opened, read_models(opened)), options, show)
    _finish(opened, found.validated, "alleles", out, unnamed=_OF_PEOPLE)
    write_table(_folder(opened, out) / "alleles_people.parquet", found.people)


def abstention(
    config: ConfigPath,
    reach: Annotated[int, typer.Option(min=1, help="bases on either side of the TSS")] = 200_000,
    max_p: Annotated[float, typer.Option(min=0, max=1, help="top: largest p x candidates")] = 0.05,
    min_pip: Annotated[float, typer.Option(min=0, max=1, help="susie: least inclusion probability")] = 0.1,
    out: OutFolder = None,
) -> None:
    """Is the sign right where the effect is large: one variant a gene, the largest effects first."""
    from hapsight.stages.validate_abstention import AbstentionOptions, validate_abstention

    opened = _open(config, out, "abstention", None)
    with console.progress() as show:
        options = AbstentionOptions(reach, max_p, min_pip)
        found = validate_abstention(opened, _models(opened), options, show)
    _finish(opened, found, "abstention", out)


def abc(config: ConfigPath, out: OutFolder = None) -> None:
    """Activity by contact as it is, and with weights learned on other people and other genes."""
    from hapsight.stages.validate_abc import validate_abc

    opened = _open(config, out, "abc", None)
    with console.progress() as show:
        found = validate_abc(opened, _sequence_models(opened), show)
    _finish(opened, found, "abc", out)


def _open(config: Path, out: Path | None, assay: str, table: Path | None) -> Opened:
    """The configuration opened; the folder can be written to, and `table` is not among what is written."""
    from hapsight.errors import ConfigError
    from hapsight.run.opened import Opened
    from hapsight.run.store import require_writable
    from hapsight.stages.validation import validation_files

    require_writable(out, folder=True)
    opened = Opened.from_config(load(config))
    folder = _folder(opened, out)
    if table is not None and table.resolve() in {path.resolve() for path in validation_files(folder, assay)}:
        raise ConfigError(
            "The table that is read would be written over.",
            where=table,
            fix="give another folder with --out, or the table another name",
        )
    return opened


def _sequence_models(opened: Opened) -> list[ModelRun]:
    """The configured models, of which each reads a sequence; a table of effects is refused."""
    from hapsight.stages.predict import load_sequence_models

    _require_models(opened)
    return load_sequence_models(opened, "`hapsight validate`")


def _models(opened: Opened) -> list[ModelRun | EffectsRun]:
    """The configured models, tables of effects among them."""
    from hapsight.stages.predict import load_models

    _require_models(opened)
    return load_models(opened)


def _folder(opened: Opened, out: Path | None) -> Path:
    return out or opened.folder.path / "validate"


def _require_models(opened: Opened) -> None:
    from hapsight.errors import ConfigError

    if not opened.config.models:
        raise ConfigError(
            "The configuration names no model to validate.",
            expected="[[models]]",
            fix="add a [[models]] section",
        )


def _finish(
    opened: Opened,
    found: Validated,
    assay: str,
    out: Path | None,
    *,
    brief: bool = False,
    unnamed: frozenset[str] = frozenset(),
) -> None:
    """Write the tables and print the summary, with what was left out.

    Parameters
    ----------
    brief
        Print the summary's main rows only.
    unnamed
        Kinds of what was left out whose names are not printed.
    """
    from hapsight.stages.validation import write_validation

    folder = _folder(opened, out)
    written = write_validation(opened, found, assay, folder)
    columns = ["model", "read-out", "what", "predictor", "quantity", "stratum", "value", "95 %", "n"]
    rows = (_main_rows(found.summary) if brief else found.summary).to_dicts()
    console.table(columns, [_row(row) for row in rows], name="summary", data=rows)
    for (kind, reason), names in sorted(found.dropped.names.items()):
        few = ", ".join(names[:_SHOWN_PAIRS]) + (" ..." if len(names) > _SHOWN_PAIRS else "")
        named = "" if kind in unnamed else f" ({few})"
        console.say(f"left out, {kind}, {reason}: {found.dropped.counts[kind, reason]:,}{named}")
    console.say(f"tables: {', '.join(path.name for path in written)} in {folder}")


def _main_rows(summary: pl.DataFrame) -> pl.DataFrame:
    """Shares of right signs over all and by size of effect, and other numbers over all; by stretches."""
    import polars as pl

    all_, by_size = pl.col("stratum") == "all", pl.col("stratum").str.starts_with("effect top")
    signs = pl.col("quantity").str.starts_with("sign_agrees")
    naive = (pl.col("quantity").is_in(["sign_auroc", "pearson", "spearman", "size_auroc"])) | (
        signs & by_size
    )
    naive &= ~pl.col("quantity").str.ends_with(".stretches")
    return summary.filter((all_ | (signs & by_size)) & ~naive)


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
