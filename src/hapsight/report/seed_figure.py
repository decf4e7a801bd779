"""The seed figure: R across people against the strength of the gene's top eQTL, in both styles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.report import direction_charts, words
from hapsight.report.figure import MOST_POINTS, Figure, Panel, gene_label, in_words, nothing, numbers
from hapsight.report.published import published
from hapsight.report.run_folder import Arm, RunFolder, read_table
from hapsight.stats.correlation import is_constant
from hapsight.stats.direction_factors import linear
from hapsight.tables import DIRECTION_GENES

__all__ = ["Line", "beside_eqtls", "lines_by_sign", "read_genes", "seed_figure"]

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Line:
    """Least squares of R on -log10 P over the genes of one sign; None where there is no line.

    Attributes
    ----------
    right
        Whether these are the genes with R > 0.
    n
        Genes.
    slope, ci_low, ci_high
        Change of R per unit of -log10 P, and its 95 % t interval (None with fewer than 3 genes).
    start, end
        (x, y) of the ends, at the smallest and the largest x of these genes.
    """

    right: bool
    n: int
    slope: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    start: tuple[float, float] | None = None
    end: tuple[float, float] | None = None


def lines_by_sign(neg_log10_p: Float, r: Float) -> tuple[Line, Line]:
    """The line of the genes with R > 0, and that of those with R < 0.

    Parts that are chosen by the sign of R slope away from 0 wherever the spread of R grows; what tells is
    how the two slopes differ in size, and how many genes each has.
    """
    return _line(neg_log10_p, r, True), _line(neg_log10_p, r, False)


def _line(x: Float, r: Float, right: bool) -> Line:
    chosen = r > 0 if right else r < 0
    x, r = x[chosen], r[chosen]
    n = len(x)
    if n < 2 or is_constant(x):
        return Line(right, n)
    from_mean = x - x.mean()
    slope = float(from_mean @ r) / float(from_mean @ from_mean)
    fit = linear(x[:, None], r)
    low, high = int(np.argmin(x)), int(np.argmax(x))
    start, end = ((float(x[at]), float(r.mean() + slope * from_mean[at])) for at in (low, high))
    if fit is None:
        return Line(right, n, slope, start=start, end=end)
    return Line(right, n, slope, float(fit.ci_low[0]), float(fit.ci_high[0]), start, end)


_MARK: Final = -math.log10(0.05)
_SMALLEST: Final = float(np.finfo(np.float64).tiny)
_TOOLTIP: Final = ("gene", "R", "P of eQTL", "predicted", "measured")
_READ: Final = (
    *("gene_id", "gene_name", "model", "read_out", "protocol", "n", "variant_id", "maf", "pval_nominal"),
    *("pearson_r", "predicted_reference", "mean_expression"),
)
_COLUMNS: Final = {
    "gene_id": pl.String,
    "gene": pl.String,
    "variant_id": pl.String,
    "pval_nominal": pl.Float64,
    "neg_log10_p": pl.Float64,
    "pearson_r": pl.Float64,
    "predicted_reference": pl.Float64,
    "mean_expression": pl.Float64,
}


def read_genes(run: RunFolder) -> pl.DataFrame:
    """What is shown of ``evaluation/direction_genes.parquet``; empty where the run has none."""
    table = read_table(run.folder / "evaluation/direction_genes.parquet", DIRECTION_GENES)
    return published(run, "seed_figure", table.select(_READ))


def beside_eqtls(run: RunFolder) -> tuple[Arm, ...]:
    """The arms that are shown beside eQTLs: the sequence models, then the baseline."""
    return run.models if run.baseline is None else (*run.models, run.baseline)


def seed_figure(run: RunFolder) -> Figure | None:
    """Two panels an arm: coloured by expression, and with a line for each sign; None without eQTLs."""
    genes = read_genes(run)
    if genes.is_empty():
        return None
    clouds = [(arm, _points(arm.of(genes))) for arm in beside_eqtls(run)]
    crowded = sum(points.height for _, points in clouds) > MOST_POINTS
    panels = [panel for arm, points in clouds for panel in _panels(arm, points, crowded)]
    return Figure(
        name="seed_figure",
        title="Where DNA matters most, does the model know the direction?",
        how_to_read=(
            "One point is one gene. To the right: its strongest eQTL is more certain, so DNA differences "
            "matter more to it. Up: the prediction follows expression over people (R > 0); down: it runs "
            "against it. A model that knew direction would rise to the right and leave the lower half empty.",
            "Coloured: by the prediction for the reference sequence, and for a baseline, which has none, by "
            "mean measured expression. The dashed line is P = 0.05 of the top eQTL alone, before any account "
            "of how many variants were tried. Lines: genes with R > 0 and with R < 0 fitted apart. Two lines "
            "that are mirror images say that the model finds the genes but not their sign.",
        ),
        panels=tuple(panels) or (nothing("No model and no baseline has R beside an eQTL."),),
        numbers=numbers(clouds, _COLUMNS),
    )


def _points(genes: pl.DataFrame) -> pl.DataFrame:
    known = genes.drop_nulls(["pearson_r", "pval_nominal"])
    strength = -pl.col("pval_nominal").clip(lower_bound=_SMALLEST).log10()
    return known.with_columns(gene_label(), neg_log10_p=strength)


def _panels(arm: Arm, points: pl.DataFrame, crowded: bool) -> tuple[Panel, ...]:
    if points.is_empty():
        return (Panel(arm.label, None, (f"No gene has both R of {arm.label} and an eQTL.",)),)
    x, r = points["neg_log10_p"].to_numpy(), points["pearson_r"].to_numpy()
    lines = lines_by_sign(x, r)
    shown = _printable(points, "mean_expression" if arm.is_baseline else "predicted_reference")
    said = (*map(_line_in_words, lines), *_zeros_in_words(r))
    spec = direction_charts.fitted(
        shown.select("x", "y") if crowded else shown,
        _segments(lines),
        mark=_MARK,
        crowded=crowded,
        tooltip=_TOOLTIP,
        alt_text=f"R of {arm.label} against the strength of the top eQTL, with two lines. {' '.join(said)}",
    )
    by_sign = Panel(f"{arm.label}: a line for each sign", spec, said)
    return (by_sign,) if crowded else (_coloured(arm, shown), by_sign)


def _coloured(arm: Arm, shown: pl.DataFrame) -> Panel:
    title = "mean measured expression" if arm.is_baseline else "prediction for the reference"
    weak = shown.filter(pl.col("x") < _MARK).height
    said = (
        f"{arm.label}, {arm.read_out}: {words.plural(shown.height, 'gene')}, "
        f"{words.count(shown.filter(pl.col('y') < 0).height)} with R < 0.",
        *_zeros_in_words(shown["y"].to_numpy()),
        f"{words.plural(weak, 'gene')} left of P = 0.05.",
    )
    caption = " ".join(said)
    spec = direction_charts.coloured(
        shown,
        colour=title,
        mark=_MARK,
        tooltip=_TOOLTIP,
        alt_text=f"R of {arm.label} against the strength of the top eQTL, coloured by {title}. {caption}",
    )
    return Panel(f"{arm.label}: by {title}", spec, (caption,))


def _line_in_words(line: Line) -> str:
    sign = "R > 0" if line.right else "R < 0"
    colour = "blue" if line.right else "pink"
    start = f"{sign} ({colour}): {words.plural(line.n, 'gene')}"
    if line.slope is None:
        return f"{start}, too few for a line."
    interval = (
        f" [{words.decimal(line.ci_low, 4)}, {words.decimal(line.ci_high, 4)}]"
        if line.ci_low is not None
        else ""
    )
    return f"{start}, slope {words.decimal(line.slope, 4)}{interval} in R per unit of −log₁₀ P."


def _zeros_in_words(r: Float) -> tuple[str, ...]:
    """How many genes have neither sign; nothing where all have one."""
    n = int((r == 0).sum())
    return (f"R shown as 0: {words.plural(n, 'gene')}, counted as neither.",) if n else ()


def _segments(lines: tuple[Line, ...]) -> pl.DataFrame:
    rows = [
        (*line.start, *line.end, line.right)
        for line in lines
        if line.start is not None and line.end is not None
    ]
    kinds = dict.fromkeys(("x", "y", "x_end", "y_end"), pl.Float64)
    return pl.DataFrame(rows, schema={**kinds, "right": pl.Boolean}, orient="row")


def _printable(points: pl.DataFrame, colour: str) -> pl.DataFrame:
    return points.select(
        "gene",
        in_words("pearson_r", words.decimal).alias("R"),
        in_words("pval_nominal", words.p_value).alias("P of eQTL"),
        in_words("predicted_reference", words.decimal).alias("predicted"),
        in_words("mean_expression", words.decimal).alias("measured"),
        x="neg_log10_p",
        y="pearson_r",
        colour=colour,
    )
