"""Effects of any variants in every distinct background that people have, and how many have it.

A background of a variant is a haplotype but for the variant itself. What is written obeys the disclosure rule
(docs/disclosure.md) unless single people are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.genotype_source import Genotypes
from hapsight.cohort.join import Cohort
from hapsight.cohort.nouns import Dropped, Gene, Interval, Variants
from hapsight.cohort.sites import read_sites
from hapsight.cohort.tables import read_lines
from hapsight.errors import ConfigError
from hapsight.explain.tables import SCORE_BACKGROUNDS, SCORE_SUMMARY, SCORED
from hapsight.report.disclosure import Disclosure
from hapsight.report.disclosure_rules import FEWEST, nearest_five
from hapsight.run.blocks import VariantReader
from hapsight.run.opened import Opened, Progress, policy_of
from hapsight.stages.explain import variant_rows
from hapsight.stages.predict import ModelRun
from hapsight.stages.score import MODES_OF_VCF, add_unreached, keys_of, longest_of, merged, of_people
from hapsight.stages.valued_units import valuer_of

if TYPE_CHECKING:
    from hapsight.explain.ism import BackgroundEffects
    from hapsight.explain.mutations import Backgrounds

__all__ = ["ScoredBackgrounds", "group_of", "score_backgrounds", "summary_path"]

_ALL: Final = "all"


@dataclass(slots=True, eq=False)
class ScoredBackgrounds:
    """The effects, and what has none.

    Attributes
    ----------
    dropped
        Variants that could not be read, or that reach no gene.
    computed, asked
        Sequences that were computed; those of two passes for each variant and each person's haplotype.
    withheld
        Rows that are not shown, by the disclosure rule.
    """

    dropped: Dropped
    computed: int = 0
    asked: int = 0
    withheld: int = 0
    _backgrounds: list[pl.DataFrame] = field(default_factory=list)
    _summary: list[pl.DataFrame] = field(default_factory=list)

    @property
    def backgrounds(self) -> pl.DataFrame:
        """Columns `hapsight.explain.tables.SCORE_BACKGROUNDS`."""
        return pl.concat([pl.DataFrame(schema=SCORE_BACKGROUNDS), *self._backgrounds])

    @property
    def summary(self) -> pl.DataFrame:
        """Columns `hapsight.explain.tables.SCORE_SUMMARY`."""
        return pl.concat([pl.DataFrame(schema=SCORE_SUMMARY), *self._summary])

    def add(self, part: _GeneBackgrounds, individuals: bool) -> None:
        """Take in the variants of a gene's window."""
        rows = part.rows()
        shown = rows if individuals else rows.filter(pl.col("people") >= FEWEST)
        table = shown if individuals else part.rule.table("score backgrounds", part.with_all(shown))
        summary = part.summary(table, shown)
        self._backgrounds.append(table.select(list(SCORE_BACKGROUNDS)))
        self._summary.append(summary if individuals else part.rule.table("score summary", summary))
        self.withheld += int(part.effects.n_backgrounds.sum()) * len(part.run.track_names) - len(shown)
        self.computed += part.effects.distinct
        self.asked += 2 * len(part.variants) * part.haplotypes


def summary_path(path: Path) -> Path:
    """Where the summary goes: ``scores.tsv.gz`` has ``scores.summary.tsv.gz`` beside it.

    Raises
    ------
    ConfigError
        The name asks for a VCF, which backgrounds have no place in.
    """
    if path.name.endswith(tuple(MODES_OF_VCF)):
        raise ConfigError(
            "Effects in the backgrounds of many people are not written as a VCF.",
            where=path,
            expected=".parquet, .tsv or .csv, perhaps with .gz",
            got="".join(path.suffixes),
        )
    ends = path.suffixes[-2:] if path.suffix == ".gz" else path.suffixes[-1:]
    end = "".join(ends)
    return path.with_name(f"{path.name.removesuffix(end)}.summary{end}")


def group_of(cohort: Cohort, asked: str | None) -> tuple[str, ...] | None:
    """The people that ``--sample`` means, in the cohort's order; ``None``: one person by name, or nobody.

    A person's name comes before ``all``, a population, names with commas between, and a file of names (the
    first column; lines that begin with ``#`` are left out).

    Raises
    ------
    ConfigError
        It is none of these.
    InputError
        The file cannot be read.
    """
    if asked is None or asked in cohort.samples:
        return None
    if asked == _ALL:
        return cohort.samples
    if asked in cohort.populations:
        pairs = zip(cohort.samples, cohort.populations, strict=True)
        return tuple(name for name, population in pairs if population == asked)
    names = _listed(asked)
    unknown = [name for name in names if name not in cohort.samples]
    if unknown or not names:
        raise ConfigError(
            f"The cohort has no person {(unknown or [asked])[0]!r}.",
            expected=f"a name such as {', '.join(cohort.samples[:3])}; all; a population; names with commas "
            "between; or a file with a name a line",
            got=f"{len(unknown)} unknown of {len(names)} names" if len(names) > 1 else asked,
        )
    return tuple(name for name in cohort.samples if name in set(names))


def _listed(asked: str) -> list[str]:
    """Names of a file, else those between commas."""
    if not Path(asked).is_file():
        return [name.strip() for name in asked.split(",") if name.strip()]
    lines = (line.strip() for line in read_lines(Path(asked), "list of people"))
    return [line.split("\t")[0].strip() for line in lines if line and not line.startswith("#")]


def score_backgrounds(
    opened: Opened,
    runs: Sequence[ModelRun],
    vcf: Path,
    people: Sequence[str],
    progress: Progress,
    *,
    individuals: bool = False,
) -> ScoredBackgrounds:
    """Score every variant of a VCF on every gene in reach, in each background that these people have.

    Parameters
    ----------
    individuals
        Tell of backgrounds that fewer than five people have too, in exact numbers.

    Raises
    ------
    ConfigError
        These people are too few for the disclosure rule.
    InputError
        The VCF cannot be read, or most REFs differ from the FASTA.
    """
    if not individuals and len(people) < FEWEST:
        raise ConfigError(
            "Backgrounds of so few people would name what single people carry.",
            expected=f"{FEWEST} people or more",
            got=len(people),
            fix="add --include-individuals, and keep what is written as you keep the genotypes",
        )
    cohort = opened.cohort
    contigs, dropped = read_sites(vcf, cohort.reference, policy_of(opened.config.cohort))
    by_contig = {variants.contig: variants for variants in contigs}
    found = ScoredBackgrounds(dropped=dropped)
    reached: set[Any] = set()
    for run in runs:
        for done, gene in enumerate(cohort.genes):
            progress(f"score {run.label}", done, len(cohort.genes))
            variants = by_contig.get(gene.contig)
            part = variants and _gene_backgrounds(opened, run, gene, variants, people, individuals)
            if part:
                reached.update(keys_of(part.variants))
                found.add(part, individuals)
        progress(f"score {run.label}", len(cohort.genes), len(cohort.genes))
    add_unreached(contigs, reached, dropped)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _GeneBackgrounds:
    """What a model makes of the variants of a gene's window, and how many people and haplotypes there are."""

    run: ModelRun
    gene: Gene
    variants: Variants
    effects: BackgroundEffects
    people: int
    haplotypes: int

    @property
    def rule(self) -> Disclosure:
        """Of the people who were asked."""
        return Disclosure(
            self.people, pl.DataFrame(schema={"gene_id": pl.String, "sd_expression": pl.Float64})
        )

    def rows(self) -> pl.DataFrame:
        """Every background, by variant, track and haplotypes; in full digits."""
        found = self.effects
        counts = pl.DataFrame(
            {"background": found.digest, "haplotypes": found.haplotypes, "people": found.people},
            schema={name: SCORE_BACKGROUNDS[name] for name in ("background", "haplotypes", "people")},
        )
        every = self._by_track(found.variant, without=found.without, effect=found.effect)
        copies = pl.concat([counts] * len(self.run.track_names))
        table = pl.concat([every, copies], how="horizontal").sort("_variant", "_track", maintain_order=True)
        return table.select(list(SCORE_BACKGROUNDS))

    def with_all(self, rows: pl.DataFrame) -> pl.DataFrame:
        """With how many haplotypes and people there are, as may be told: men have one chrX."""
        total = pl.lit(self.haplotypes)
        total = total if self.haplotypes == 2 * self.people else nearest_five(total)
        return rows.with_columns(_all_haplotypes=total, _all_people=self.people)

    def summary(self, table: pl.DataFrame, shown: pl.DataFrame) -> pl.DataFrame:
        """Over the rows of a table of backgrounds, as it is written; `shown` are the same in full digits."""
        found = self.effects
        every = self._by_track(np.arange(len(self.variants)), effect=found.reference)
        counts = pl.Series("n_backgrounds", np.tile(found.n_backgrounds, len(self.run.track_names)))
        weight, own = pl.col("haplotypes"), pl.col("_own")
        opposite = (own.sign() * pl.col("effect").sign()) < 0
        share = weight.sum() / self.haplotypes
        key = ["track", "position", "ref", "alt"]  # within a gene
        over = table.select(*key, "haplotypes", _own="effect").join(every.select(*key, "effect"), on=key)
        return (
            every.with_columns(counts)
            .join(
                over.group_by(key).agg(
                    effect_mean=(own * weight).sum() / weight.sum(),
                    effect_min=own.min(),
                    effect_max=own.max(),
                    share_opposite=opposite.mean(),
                    share_opposite_haplotypes=(opposite * weight).sum() / weight.sum(),
                    n_shown=pl.len().cast(pl.Int64),
                ),
                on=key,
                how="left",
            )
            .join(shown.group_by(key).agg(share_shown=share), on=key, how="left")
            .with_columns(pl.col("n_shown", "share_shown").fill_null(0))
            .sort("_variant", "_track")
            .select(list(SCORE_SUMMARY))
        )

    def _by_track(self, variant: NDArray[np.intp], **values: NDArray[np.float64]) -> pl.DataFrame:
        """Labels of variants (R,) and (R, T) values, a track after the other; with ``_variant, _track``."""
        labels = {"gene_id": self.gene.gene_id, "gene_name": self.gene.gene_name, "model": self.run.label}
        labels |= {"read_out": self.run.read_out.name}
        rows = [labels | row | {"pos": row["position"] + 1} for row in variant_rows(self.gene, self.variants)]
        schema = {name: kind for name, kind in SCORED.items() if name != "track"}
        named = pl.DataFrame(rows, schema=schema)[variant].with_columns(
            _variant=pl.Series(variant, dtype=pl.Int64)
        )
        parts = [
            named.with_columns(
                pl.lit(track).alias("track"),
                pl.lit(t).alias("_track"),
                *(pl.Series(name, value[:, t]) for name, value in values.items()),
            )
            for t, track in enumerate(self.run.track_names)
        ]
        return pl.concat(parts)


def _gene_backgrounds(
    opened: Opened, run: ModelRun, gene: Gene, variants: Variants, people: Sequence[str], individuals: bool
) -> _GeneBackgrounds | None:
    """Of the variants of the gene's window; ``None`` where it has none."""
    from hapsight.engine.outputs import at_gene
    from hapsight.explain.ism import background_effects, ism_window
    from hapsight.explain.mutations import Backgrounds, read_near

    cohort, valuer = opened.cohort, valuer_of(opened, run)
    window = ism_window(gene, valuer)
    scored = variants.within(window.interval)
    if not len(scored):
        return None
    near = read_near(window, VariantReader(cohort.genotypes, cohort.reference), longest_of(scored))
    everything, chosen = merged(of_people(near, people), scored)
    carried = Backgrounds.of_people(window, everything)
    copies = _copies(cohort.genotypes, window.interval, everything)
    counted = np.True_ if individuals else _counted(carried, chosen)
    with at_gene(gene.gene_id):
        effects = background_effects(carried, chosen, valuer, cohort.reference.fetch, copies, counted)
    return _GeneBackgrounds(run, gene, scored, effects, len(people), int(copies.sum()))


def _copies(genotypes: Genotypes, window: Interval, variants: Variants) -> NDArray[np.int64]:
    """(N,) haplotypes that each person has of the window: 1 of a man, where it is of his one chrX alone."""
    places = np.array([window.start, *variants.position, window.end - 1], np.int64)
    one = genotypes.policy.ploidy.one_copy(window.contig, places, variants.samples)
    alone = one is not None and bool(one.rows.all())
    return np.where(one.people, 1, 2) if one is not None and alone else np.full(len(variants.samples), 2)


def _counted(carried: Backgrounds, chosen: NDArray[np.intp]) -> NDArray[np.bool_]:
    """(V, 1 + D) backgrounds without those in which the variant has the allele of fewer than five people.

    Else the counts of a rare variant would tell that somebody carries it.
    """
    alt = carried.columns[chosen] == 1
    people = alt[:, carried.index]  # (V, N, 2)
    few_alt, few_ref = (who.any(axis=2).sum(axis=1) < FEWEST for who in (people, ~people))
    counted: NDArray[np.bool_] = ~np.where(alt, few_alt[:, None], few_ref[:, None])
    return counted
