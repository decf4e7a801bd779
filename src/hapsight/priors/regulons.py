"""Signed regulons, covariates of genes, values of people; and the activity of regulators in a person.

The activity of a regulator in a person is the t statistic of the slope of that person's expression
(z-scores) on the regulator's weights, over genes, targets or not: the univariate linear model of Badia-i-
Mompel et al. 2022 (Bioinformatics Advances 2, vbac016).

A gene's own expression, and that of genes which share its cis variants, would tell the answer: the target
is left out, with all genes whose TSS lies near it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.matching import gene_index, genes_called, without_version
from hapsight.cohort.nouns import Dropped, Gene
from hapsight.cohort.tables import numbers, read_table, require_columns, require_unique
from hapsight.errors import InputError
from hapsight.least_squares import residualise

__all__ = [
    "FEWEST_TARGETS",
    "PERSON_VALUES",
    "Regulons",
    "activities",
    "dealt_regulators",
    "far_from",
    "read_gene_covariates",
    "read_person_values",
    "read_regulons",
    "regulator_score",
    "z_scores",
]

_COLUMNS: Final = ("source", "target", "weight")


@dataclass(frozen=True, slots=True, eq=False)
class Regulons:
    """Which regulator raises (above 0) or lowers (below 0) which of G genes.

    Attributes
    ----------
    regulators
        R names, sorted.
    weight
        (R, G) float64; 0 where the regulator is not known to act on the gene.
    sign
        (R,) of the regulator as such: the sum of its weights over all targets of the table, whether they are
        among the genes or not, divided by the sum of their sizes; from -1 to 1.
    """

    regulators: tuple[str, ...]
    weight: NDArray[np.float64]
    sign: NDArray[np.float64]


def read_regulons(path: Path, genes: Sequence[Gene]) -> tuple[Regulons, Dropped]:
    """Read signed regulons in the layout of CollecTRI and DoRothEA: ``source, target, weight``.

    A target is one of `genes` by its name, or by its identifier without version. Targets that are none of
    them still count for a regulator's sign; a name that several genes have is left out of the weights.

    Raises
    ------
    InputError
        A column is missing, a weight is no finite number other than 0, a pair comes twice, or no target is
        one of the genes.
    """
    table = read_table(path, "regulon")
    _require_columns(table, path)
    pairs = list(zip(table["source"], table["target"], strict=True))
    require_unique([f"{source}, {target}" for source, target in pairs], "pair of source and target", path)
    weights = numbers(table.select("weight"), [f"{s} {t}" for s, t in pairs], path)[:, 0]
    if not weights.all():
        source, target = pairs[int(np.flatnonzero(weights == 0)[0])]
        raise InputError(
            "A regulator has a weight of 0, which has no sign.",
            where=f"{path}, {source} {target}",
            expected="a number above or below 0",
            got=0,
            fix="leave the row out",
        )
    place, dropped = _places(genes), Dropped()
    regulators = tuple(sorted(set(table["source"])))
    row = {name: index for index, name in enumerate(regulators)}
    weight, total, size = np.zeros((len(regulators), len(genes))), *np.zeros((2, len(regulators)))
    for (source, target), value in zip(pairs, weights, strict=True):
        total[row[source]] += value
        size[row[source]] += abs(value)
        column = place.get(without_version(target))
        if column is None:
            dropped.add("target", "not one gene of the cohort", target)
        else:
            weight[row[source], column] = value
    if not weight.any():
        raise InputError(
            "No target of the regulons is a gene of the cohort.",
            where=path,
            expected=", ".join(gene.gene_name or gene.gene_id for gene in genes[:5]),
            got=", ".join(table["target"].head(5)),
        )
    return Regulons(regulators, weight, total / size), dropped


def _require_columns(table: pl.DataFrame, path: Path) -> None:
    require_columns(table, _COLUMNS, "regulon table", path)
    for name in _COLUMNS[:2]:
        if table[name].null_count():
            raise InputError("A regulon names no source or no target.", where=f"{path}, column {name}")


def _places(genes: Sequence[Gene]) -> dict[str, int]:
    """Name or identifier -> index; names that several genes have are not in it."""
    return {name: found[0] for name, found in gene_index(genes).items() if len(found) == 1}


def _rows_of(genes: Sequence[Gene], ids: Sequence[str], path: Path) -> list[int]:
    """The row of each gene in a table of identifiers or names; -1 without one."""
    index, rows = gene_index(genes), [-1] * len(genes)
    for row, name in enumerate(ids):
        found = genes_called(name, index)
        if len(found) > 1 or any(rows[place] >= 0 for place in found):
            raise InputError(
                "It is not clear which gene a row of a table is of.",
                where=f"{path}, row {name}",
                expected="one row for each gene, by identifier or by a name that one gene has",
                got=", ".join(genes[place].gene_id for place in found),
            )
        for place in found:
            rows[place] = row
    return rows


def read_gene_covariates(path: Path, genes: Sequence[Gene]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Read a table with ``gene_id`` and numbers, such as half-life features.

    Returns
    -------
    Names of the F columns, and (G, F) values; the rows of genes that the table has not are NaN.

    Raises
    ------
    InputError
        There is no ``gene_id`` or no other column, a gene comes twice, a cell is no finite number, or none of
        the genes is in the table.
    """
    table = read_table(path, "gene covariate")
    names = tuple(name for name in table.columns if name != "gene_id")
    if "gene_id" not in table.columns or not names:
        raise InputError(
            "The table of gene covariates lacks columns.",
            where=path,
            expected="gene_id, and a column for each covariate",
            got=", ".join(table.columns),
        )
    ids = [without_version(name or "") for name in table["gene_id"]]
    require_unique(ids, "gene", path)
    values = numbers(table[list(names)], ids, path)  # select("*") would be all columns
    place = _rows_of(genes, [name or "" for name in table["gene_id"]], path)
    if max(place, default=-1) < 0:
        raise InputError(
            "No gene of the cohort is in the table of gene covariates.",
            where=path,
            expected=", ".join(gene.gene_id for gene in genes[:3]),
            got=", ".join(ids[:3]),
        )
    known = np.array(place) >= 0
    return names, np.where(known[:, None], values[place], np.nan)


PERSON_VALUES: Final = {"gene_id": pl.String, "sample_id": pl.String, "value": pl.Float64}
"""Columns of such a table."""


def read_person_values(
    path: Path, genes: Sequence[str], samples: Sequence[str]
) -> tuple[dict[str, NDArray[np.float64]], Dropped]:
    """Read ``gene_id, sample_id, value``.

    Returns
    -------
    Gene -> (N,) in the order of `samples`, of those of `genes` that the table has; and what it has of others.

    Raises
    ------
    InputError
        A column is missing, a value is no finite number, a pair comes twice, or a gene has some of the people
        only.
    """
    table = read_table(path, "person covariates")
    require_columns(table, PERSON_VALUES, "table of persons", path)
    pairs = [f"{gene}, {sample}" for gene, sample in table.select("gene_id", "sample_id").iter_rows()]
    require_unique(pairs, "gene and person", path)
    typed = table.with_columns(value=numbers(table.select("value"), pairs, path)[:, 0])
    dropped = Dropped()
    for kind, column, known in (("sample", "sample_id", samples), ("gene", "gene_id", genes)):
        for name in sorted(set(typed[column]) - set(known)):
            dropped.add(kind, f"in {path.name}, not in the cohort", name)
    own = typed.filter(pl.col("gene_id").is_in(list(genes)), pl.col("sample_id").is_in(list(samples)))
    groups = own.partition_by("gene_id", as_dict=True)
    return {str(gene): _of_gene(path, str(gene), rows, samples) for (gene,), rows in groups.items()}, dropped


def _of_gene(path: Path, gene: str, rows: pl.DataFrame, samples: Sequence[str]) -> NDArray[np.float64]:
    values = dict(rows.select("sample_id", "value").iter_rows())
    missing = [sample for sample in samples if sample not in values]
    if missing:
        raise InputError(
            "The table of persons does not have all people of a gene.",
            where=f"{path}, gene {gene}",
            expected=f"{len(samples)} people",
            got=f"without {', '.join(missing[:5])}" + (" ..." if len(missing) > 5 else ""),
            fix="give every person of the cohort a value, or leave the gene out",
        )
    return np.array([values[sample] for sample in samples], np.float64)


Floats = NDArray[np.float64]

FEWEST_TARGETS: Final = 3
"""Targets that must be left for a regulator to have an activity."""

_LARGEST_R: Final = 1.0 - 1e-12


def z_scores(expression: Floats, covariates: Floats | None, training: NDArray[np.bool_]) -> Floats:
    """Expression (G, N) less what covariates (N, C) explain, each gene on the scale of the training people.

    Coefficients, mean and spread are those of the people where `training` (N,) is true. A gene that does not
    vary among them is 0 in everybody.
    """
    own = None if covariates is None else covariates[training]
    left = residualise(expression[:, training], own, expression, covariates)
    spread = left[0].std(axis=1)
    varies = spread > 1e-9 * np.maximum(np.abs(expression).max(axis=1), 1e-300)
    scores: Floats = np.where(varies[:, None], left[1] / np.where(varies, spread, 1.0)[:, None], 0.0)
    return scores


def activities(scores: Floats, weight: Floats) -> Floats:
    """(R, N) t statistics of N people's z-scores (G, N) regressed on R regulators' weights (R, G).

    0 where a person's scores, or a regulator's weights, do not vary over the G genes.
    """
    x = weight - weight.mean(axis=1, keepdims=True)
    y = scores - scores.mean(axis=0)
    size = np.sqrt(np.outer((x**2).sum(axis=1), (y**2).sum(axis=0)))
    r = np.divide(x @ y, size, out=np.zeros(size.shape), where=size > 0).clip(-_LARGEST_R, _LARGEST_R)
    t: Floats = r * np.sqrt((scores.shape[0] - 2) / (1.0 - r**2))
    return t


def dealt_regulators(weight: Floats, rng: np.random.Generator) -> NDArray[np.intp]:
    """(G,) the control: genes with regulators (R, G) exchange them; gene g gets those of ``dealt[g]``."""
    dealt = np.arange(weight.shape[1])
    regulated = np.flatnonzero(weight.any(axis=0))
    dealt[regulated] = rng.permutation(regulated)
    return dealt


def far_from(genes: list[Gene], target: int, leave_out: int) -> NDArray[np.bool_]:
    """(G,) genes that may speak for `target`: another contig, or a TSS more than `leave_out` bases away."""
    own = genes[target]
    return np.array([gene.contig != own.contig or abs(gene.tss - own.tss) > leave_out for gene in genes])


def regulator_score(scores: Floats, weight: Floats, genes: list[Gene], target: int, leave_out: int) -> Floats:
    """(N,) what the regulators of a gene say of each person's expression of it.

    The mean of the activities of the gene's regulators, each times its weight on the gene over the sum of
    their sizes; 0 in everybody where no regulator of it has `FEWEST_TARGETS` targets among the other genes.

    Parameters
    ----------
    scores
        (G, N) as from `z_scores`.
    weight
        (R, G) as of `hapsight.priors.regulons.Regulons`.
    target
        Index of the gene.
    leave_out
        Genes whose TSS is within so many bases of the target's, and the target itself, are not looked at.
    """
    others = far_from(genes, target, leave_out)
    known = (weight[:, target] != 0) & ((weight[:, others] != 0).sum(axis=1) >= FEWEST_TARGETS)
    if not known.any():
        return np.zeros(scores.shape[1])
    own = weight[known, target]
    found: Floats = own @ activities(scores[others], weight[known][:, others]) / np.abs(own).sum()
    return found
