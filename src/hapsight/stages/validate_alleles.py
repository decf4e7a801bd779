"""Models and linear methods beside allele-specific reads: haplotype against haplotype, within people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.allele_counts import (
    AlleleCounts,
    Order,
    Reads,
    in_phase,
    read_allele_counts,
    read_features,
)
from hapsight.cohort.nouns import Dropped, Gene, Interval
from hapsight.errors import InputError
from hapsight.explain.tables import DRIVERS
from hapsight.linear.nested import haplotype_differences
from hapsight.report.run_folder import read_table
from hapsight.run.arms import Arm, haplotype_values
from hapsight.run.baselines import BaselineRun, ImportedRun, gene_seed, method_of
from hapsight.run.blocks import VariantReader
from hapsight.run.opened import Opened, Progress
from hapsight.stages.validation import Validated, estimate_row
from hapsight.stats.alleles import (
    allelic_regression,
    effective_differences,
    haplotype_correlation,
    log_ratio,
    ratio_weight,
    reference_share,
    share_offset,
)
from hapsight.stats.direction import Share, same_sign, share_true
from hapsight.stats.ranks import Estimate, share_estimate
from hapsight.stats.summary import mean_interval
from hapsight.tables import ALLELE_PEOPLE, ALLELES

__all__ = ["AlleleOptions", "AllelesFound", "validate_alleles"]

Float = NDArray[np.float64]
Row = dict[str, Any]

_FEWEST_SITES: Final = 20
"""Counted sites from which on their REF share is taken for the advantage of REF in mapping."""
_FORM: Final = "sasse2023"
_LN2: Final = float(np.log(2.0))


@dataclass(frozen=True, slots=True)
class AlleleOptions:
    """What is compared, and how.

    Attributes
    ----------
    counts, features
        As of `hapsight.cohort.allele_counts`.
    min_reads
        Reads that a person needs in a gene.
    reference_share
        REF's share of reads where both haplotypes are expressed alike; None: that of the counted sites where
        they are 20 or more, else .5.
    """

    counts: Path
    features: Path
    order: Order | None = None
    tag: str = "AS"
    min_reads: int = 20
    reference_share: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class AllelesFound:
    """The comparison, and the table of single people, columns `hapsight.tables.ALLELE_PEOPLE`."""

    validated: Validated
    people: pl.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class _Gene:
    """Reads of a gene's people, n of them.

    Attributes
    ----------
    rows
        (n,) their numbers in the cohort.
    first, second
        (n,) reads of haplotype 1 and 2.
    lead
        (n,) -1 to 1: what haplotype 1 carries of REF at the counted sites less what haplotype 2 does.
    share
        REF's share of the gene's own reads.
    """

    gene: Gene
    rows: NDArray[np.intp]
    first: Float
    second: Float
    lead: Float
    share: float | None


@dataclass(frozen=True, slots=True, eq=False)
class _Driver:
    """The main driver of a gene: its effect, and who of the cohort carries ALT on which haplotype."""

    variant_id: str
    effect: float
    difference: NDArray[np.int8]


def validate_alleles(
    opened: Opened, arms: Sequence[Arm], options: AlleleOptions, progress: Progress
) -> AllelesFound:
    """Compare haplotypes of everybody who has allele-specific reads; predictions are the run's.

    Weights that were trained elsewhere are not judged.

    Raises
    ------
    IncompleteError
        A model's predictions are not done.
    InputError
        The counts or features cannot be read, or nobody has enough reads of a gene.
    ConfigError
        The order of the counts cannot be found out.
    """
    features, dropped = read_features(options.features, opened.cohort.genes)
    samples = opened.cohort.samples
    counts = read_allele_counts(options.counts, samples, features, options.order, options.tag)
    dropped.merge(counts.dropped)
    placed = _by_gene(opened, counts, features, dropped)
    share, dispersion, sites = _reference(placed)
    assumed = _assumed(options, share, sites)
    genes = list(_with_reads(opened, placed, options.min_reads, dropped))
    if not genes:
        raise InputError(
            "Nobody has enough allele-specific reads of a gene.",
            where=options.counts,
            expected=f"{options.min_reads} reads of a person at heterozygous sites in the features",
            got="; ".join(f"{n:,}: {why}" for (_, why), n in dropped.counts.items()) or "fewer reads",
            fix="lower --min-reads, or look at the features",
        )
    arms = [arm for arm in arms if not isinstance(arm.made_by, ImportedRun)]
    rows, people = [], [pl.DataFrame(schema=ALLELE_PEOPLE)]
    for arm in arms:
        drivers = _drivers(opened, arm, genes)
        for number, (one, predicted) in enumerate(_differences(opened, arm, genes)):
            progress(f"alleles {arm.model}", number, len(genes))
            rows.append(_row(arm, one, predicted[one.rows], assumed, drivers.get(one.gene.gene_id)))
            people.append(_people(arm, one, predicted[one.rows], samples))
        progress(f"alleles {arm.model}", len(genes), len(genes))
    table = pl.DataFrame(rows, schema=ALLELES)
    summary = [*_of_counts(genes, share, dispersion, sites), *_over_genes(arms, table)]
    record = _record(options, counts, assumed)
    return AllelesFound(Validated.of(table, summary, dropped, record), pl.concat(people))


def _record(options: AlleleOptions, counts: AlleleCounts, assumed: float) -> Row:
    return {
        "counts": str(options.counts),
        "features": str(options.features),
        "order": counts.order,
        "order_found_out": counts.found_out,
        "tag": options.tag,
        "min_reads": options.min_reads,
        "reference_share_assumed": assumed,
    }


def _by_gene(
    opened: Opened, counts: AlleleCounts, features: Mapping[str, Sequence[Interval]], dropped: Dropped
) -> dict[str, list[Reads]]:
    """Reads with sites in one gene's features, by the run's own haplotypes."""
    own = _genes_of(counts.reads, features, dropped)
    reader = VariantReader(opened.cohort.genotypes, opened.cohort.reference)
    placed = {}
    for gene_id, reads in own.items():
        positions = [place[0] for one in reads for place in one.places]
        span = Interval(features[gene_id][0].contig, min(positions), max(positions) + 1)
        placed[gene_id] = in_phase(reads, reader(span), dropped)
    return placed


def _genes_of(
    reads: Sequence[Reads], features: Mapping[str, Sequence[Interval]], dropped: Dropped
) -> dict[str, list[Reads]]:
    """Gene -> reads with a site in its features; what several genes claim is left out."""
    places = {(one.contig, one.places) for one in reads}
    owners = {key: _owners(key[1], features) for key in places}
    own: dict[str, list[Reads]] = {}
    for one in reads:
        found = owners[one.contig, one.places]
        if len(found) == 1:
            own.setdefault(found[0], []).append(one)
        elif any(one.counts):
            dropped.add("reads", "in features of several genes", one.name)
    return own


def _owners(places: Sequence[tuple[int, str, str]], features: Mapping[str, Sequence[Interval]]) -> list[str]:
    return [
        gene_id
        for gene_id, intervals in features.items()
        if any(one.start <= place[0] < one.end for one in intervals for place in places)
    ]


def _reference(placed: Mapping[str, Sequence[Reads]]) -> tuple[Estimate, float | None, int]:
    """REF's share of the reads of single sites, the overdispersion of it, and how many sites there are."""
    single = [one for reads in placed.values() for one in reads if len(one.places) == 1 and any(one.counts)]
    ref = np.array([one.counts[1 - one.alt_on[0]] for one in single], np.float64)
    alt = np.array([one.counts[one.alt_on[0]] for one in single], np.float64)
    share, dispersion = reference_share(ref, alt)
    return share, dispersion, len({(one.contig, one.places) for one in single})


def _assumed(options: AlleleOptions, share: Estimate, sites: int) -> float:
    if options.reference_share is not None:
        return options.reference_share
    return share.value if share.value is not None and sites >= _FEWEST_SITES else 0.5


def _with_reads(
    opened: Opened, placed: Mapping[str, Sequence[Reads]], least: int, dropped: Dropped
) -> Iterator[_Gene]:
    """Each gene of which somebody has enough reads, in the cohort's order."""
    number = {name: row for row, name in enumerate(opened.cohort.samples)}
    for gene in opened.cohort.genes:
        by_person: dict[str, list[Reads]] = {}
        for one in placed.get(gene.gene_id, ()):
            by_person.setdefault(one.sample, []).append(one)
        kept = {name: own for name, own in by_person.items() if _total(own) >= max(least, 1)}
        few = sum(0 < _total(own) < least for own in by_person.values())
        if few:
            dropped.add("person", f"fewer than {least} reads of a gene", gene.gene_id, few)
        if kept:
            yield _gene(gene, number, kept)


def _total(reads: Sequence[Reads]) -> int:
    return sum(sum(one.counts) for one in reads)


def _gene(gene: Gene, number: Mapping[str, int], kept: Mapping[str, Sequence[Reads]]) -> _Gene:
    counts = np.array([np.sum([one.counts for one in own], axis=0) for own in kept.values()], np.float64)
    lead = [sum(one.reference_lead * sum(one.counts) for one in own) / _total(own) for own in kept.values()]
    rows = np.array([number[name] for name in kept], np.intp)
    single = [one for own in kept.values() for one in own if len(one.places) == 1]
    ref = np.array([one.counts[1 - one.alt_on[0]] for one in single], np.float64)
    alt = np.array([one.counts[one.alt_on[0]] for one in single], np.float64)
    share = reference_share(ref, alt)[0].value if len(single) > 1 else None
    return _Gene(gene, rows, counts[:, 0], counts[:, 1], np.array(lead), share)


def _differences(opened: Opened, arm: Arm, genes: Sequence[_Gene]) -> Iterator[tuple[_Gene, Float]]:
    """Each gene with what the arm predicts of haplotype 1 less haplotype 2, (N,) over the cohort."""
    if arm.card is not None:
        values = haplotype_values(opened, arm, [one.gene for one in genes])
        yield from ((one, value[:, 0] - value[:, 1]) for one, (_, value) in zip(genes, values, strict=True))
    else:
        assert isinstance(arm.made_by, BaselineRun)
        yield from ((one, _linear(opened, arm.made_by, one.gene)) for one in genes)


def _linear(opened: Opened, run: BaselineRun, gene: Gene) -> Float:
    cohort = opened.cohort
    near = VariantReader(cohort.genotypes, cohort.reference)(gene.cis(opened.config.baseline.cis_window))
    return haplotype_differences(
        near.linear_dosage,
        near.alleles,
        cohort.transformed[cohort.rows([gene])[0]],
        None if cohort.covariates is None else cohort.covariates.values,
        run.folds(opened),
        gene_seed(opened.config.seed, gene.gene_id),
        method_of(opened, run),
        near.one_copy,
    )


def _drivers(opened: Opened, arm: Arm, genes: Sequence[_Gene]) -> dict[str, _Driver]:
    """Main drivers of a model's genes, where ``hapsight drivers`` has found them."""
    table = read_table(opened.folder.path / "explain" / "drivers.parquet", DRIVERS)
    chosen = arm.rows(table).filter(pl.col("form") == _FORM, pl.col("variant_id").is_not_null())
    wanted = {one.gene.gene_id for one in genes}
    reader = VariantReader(opened.cohort.genotypes, opened.cohort.reference)
    found = {}
    for row in chosen.filter(pl.col("gene_id").is_in(list(wanted))).iter_rows(named=True):
        near = reader(Interval(row["contig"], row["position"], row["position"] + len(row["ref"])))
        place = [*zip(near.position.tolist(), near.ref, near.alt, strict=True)].index(
            (row["position"], row["ref"], row["alt"])
        )
        own = near.alleles[place].astype(np.int8)
        found[row["gene_id"]] = _Driver(row["variant_id"], row["effect"], own[:, 0] - own[:, 1])
    return found


def _row(arm: Arm, one: _Gene, predicted: Float, share: float, driver: _Driver | None) -> Row:
    offset = share_offset(share, one.lead)
    row: Row = {
        "gene_id": one.gene.gene_id,
        "gene_name": one.gene.gene_name,
        **arm.labels(),
        "people": len(one.rows),
        "reads": int(one.first.sum() + one.second.sum()),
        "reference_share": one.share,
        "n": int(np.count_nonzero(predicted)),
    }
    fit = allelic_regression(one.first, one.second, predicted, offset)
    ratio = log_ratio(one.first, one.second)[0] - offset / _LN2
    if fit.slope is not None:
        weight = ratio_weight(one.first + one.second, fit.dispersion or 0.0)
        r = haplotype_correlation(predicted, ratio, weight)
        signs = _signs(predicted, ratio)
        row |= {
            "effective_people": effective_differences(predicted, ratio),
            "haplotype_r": r.value,
            "ci_low": r.ci_low,
            "ci_high": r.ci_high,
            "slope": fit.slope,
            "slope_se": fit.slope_se,
            "pval": fit.pval,
            "dispersion": fit.dispersion,
            **_share(signs, "signs", "sign_agrees", "sign_ci"),
        }
    status = "ok" if fit.slope is not None else "too_few" if len(one.rows) < 2 else "no_difference"
    if driver is not None:
        row |= _at_driver(one, driver, ratio, offset)
    return row | {"status": status}


def _signs(predicted: Float, ratio: Float) -> Share:
    known = (predicted != 0) & (ratio != 0)
    return share_true(same_sign(predicted[known], ratio[known]))


def _share(found: Share, n: str, value: str, interval: str) -> Row:
    return {
        n: found.n,
        value: found.value,
        f"{interval}_low": found.ci_low,
        f"{interval}_high": found.ci_high,
    }


def _at_driver(one: _Gene, driver: _Driver, ratio: Float, offset: Float) -> Row:
    """Heterozygotes at the driver: its haplotype with ALT against the other."""
    alt = driver.difference[one.rows].astype(np.float64)
    het = alt != 0
    fit = allelic_regression(one.first[het], one.second[het], alt[het], offset[het])
    return {
        "variant_id": driver.variant_id,
        "driver_effect": driver.effect,
        **_share(_signs(alt * driver.effect, ratio), "driver_n", "driver_agrees", "driver_ci"),
        "driver_ratio": fit.slope,
        "driver_ratio_se": fit.slope_se,
    }


def _people(arm: Arm, one: _Gene, predicted: Float, samples: Sequence[str]) -> pl.DataFrame:
    ratio, error = log_ratio(one.first, one.second)
    columns = {
        "sample_id": [samples[row] for row in one.rows],
        "first": one.first,
        "second": one.second,
        "log2_ratio": ratio,
        "log2_ratio_se": error,
        "reference_lead": one.lead,
        "predicted": predicted,
    }
    table = pl.DataFrame(columns).with_columns(
        gene_id=pl.lit(one.gene.gene_id), model=pl.lit(arm.model), read_out=pl.lit(arm.read_out)
    )
    return table.select(pl.col(name).cast(kind) for name, kind in ALLELE_PEOPLE.items())


def _of_counts(
    genes: Sequence[_Gene], share: Estimate, dispersion: float | None, sites: int
) -> Iterator[Row]:
    labels = {"model": "counts", "read_out": "", "track": ""}
    yield estimate_row(labels, "sites", "none", "reference_share", share, f"{sites} sites")
    yield estimate_row(labels, "sites", "none", "dispersion", Estimate(share.n, dispersion), f"{sites} sites")
    people = sum(len(one.rows) for one in genes)
    yield estimate_row(labels, "genes", "none", "people_of_a_gene", Estimate(len(genes), people / len(genes)))


def _over_genes(arms: Sequence[Arm], table: pl.DataFrame) -> Iterator[Row]:
    """Each arm over the genes that have a slope."""
    for arm in arms:
        labels = {"model": arm.model, "read_out": arm.read_out, "track": arm.track or ""}
        kind = "linear" if arm.card is None else "model"
        own = arm.rows(table).filter(pl.col("status") == "ok")
        for quantity in ("haplotype_r", "sign_agrees", "driver_agrees"):
            mean = mean_interval(own[quantity].drop_nulls().to_numpy())
            found = Estimate(mean.n, mean.value, mean.ci_low, mean.ci_high)
            yield estimate_row(labels, "genes", kind, f"mean_{quantity}", found)
        low = own.filter(pl.col("pval") < 0.05)
        for stratum, chosen in (("all", own), ("p < 0.05", low)):
            right = share_true((chosen["slope"] > 0).to_numpy())
            yield estimate_row(labels, "genes", kind, "slope_positive", share_estimate(right), stratum)
