"""A cohort as training on people wants it: the split, the targets, the haplotypes of each gene.

Linear baselines on the split of a training on people: the same training people, the same test people.

Priors in training on people: signs of variants in the loss, activities of regulators out of the target.

The tables of training on people: correlations in the four cells, and what they come to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.contigs import resolve_contig
from hapsight.cohort.genotype_source import Genotypes
from hapsight.cohort.matching import parse_region
from hapsight.cohort.nouns import Dropped, Gene, Interval
from hapsight.engine.views import Sequences, margin, require_fitting, window_of
from hapsight.errors import ConfigError, WeightsError
from hapsight.files import file_digest
from hapsight.linear.elastic_net import ElasticNetOptions
from hapsight.linear.fits import Predictors
from hapsight.linear.methods import method_named
from hapsight.models.protocol import SequenceModel
from hapsight.priors.regulons import dealt_regulators, read_regulons, regulator_score, z_scores
from hapsight.priors.signs import SIGNS_LEARNED, SignPriors, read_sign_priors
from hapsight.run.blocks import VariantReader
from hapsight.run.config import USUAL_BUDGET
from hapsight.run.opened import Opened, Progress
from hapsight.run.store import UnitKey, UnitStore, content_key
from hapsight.seeds import stream
from hapsight.stages.predict import ModelRun
from hapsight.stats.correlation import correlate
from hapsight.stats.nulls import benjamini_hochberg
from hapsight.stats.summary import summarise_across_people, summarise_over_seeds
from hapsight.train.tables import ARM, CELLS, TRAIN_PER_GENE, TRAIN_SUMMARY

if TYPE_CHECKING:
    from hapsight.train.personal import Haplotypes
    from hapsight.train.priors import ReadToggled, Targets, Toggled
    from hapsight.train.splits import Homologs, Split

__all__ = [
    "PersonalData",
    "activity_explains",
    "cell_rows",
    "homologs",
    "homologs_in_words",
    "linear_predictions",
    "personal_data",
    "prior_key",
    "summarise",
    "toggled_variants",
]

Index = NDArray[np.intp]

_SHOWN = 10
"""Pairs of homologs that are named in a sentence."""


@dataclass(eq=False)
class PersonalData:
    """All that a training on people reads.

    Attributes
    ----------
    run
        The model.
    min_maf
        Frequency floor of the variants in sequences.
    """

    opened: Opened
    run: ModelRun
    split: Split
    min_maf: float
    _kept: dict[str, Haplotypes] = field(default_factory=dict)
    _bytes: int = 0

    def __getstate__(self) -> dict[str, Any]:
        """What travels: no network, nothing that follows, no names of people but in cohort and split."""
        kept = {one.name: getattr(self, one.name) for one in fields(self)}
        opened = replace(self.opened, dropped=Dropped())
        return kept | {"opened": opened, "run": self.run.card(), "_kept": {}, "_bytes": 0}

    def with_model(self) -> PersonalData:
        """The same in a process that has had no model so far.

        Raises
        ------
        WeightsError
            What is loaded here is another model.
        """
        return replace(self, run=ModelRun.at_work(self.run))

    def people(self, names: Sequence[str]) -> Index:
        """Numbers of these people in the cohort."""
        row = {name: index for index, name in enumerate(self.opened.cohort.samples)}
        return np.array([row[name] for name in names], dtype=np.intp)

    def cell(self, name: str) -> tuple[tuple[str, ...], Index]:
        """Genes and people of a cell."""
        split = self.split
        genes = split.seen_genes if name.startswith("seen genes") else split.unseen_genes
        people = split.train_people if name.endswith(" seen people") else split.test_people
        return genes, self.people(people)

    @cached_property
    def trained_on(self) -> NDArray[np.bool_]:
        """(N,) people of the cohort that weights are fitted to."""
        everyone = np.arange(len(self.opened.cohort.samples))
        return np.isin(everyone, self.people(self.split.train_people))

    @cached_property
    def targets(self) -> Targets:
        """Expression, with everything that is fitted to it from the training people."""
        from hapsight.train.priors import Targets

        cohort = self.opened.cohort
        return Targets.of(
            [gene.gene_id for gene in cohort.genes],
            cohort.expression.values,
            cohort.transformed,
            None if cohort.covariates is None else cohort.covariates.values,
            self.trained_on,
        )

    def fresh_model(self) -> SequenceModel:
        """The model, loaded anew: training changes its weights in place.

        Raises
        ------
        WeightsError
            It is not the model of the run.
        """
        source = replace(self.run.source, device=self.run.device, precision="float32", compiled=False)
        model, found = source.load()
        if found != self.run.fingerprint:
            raise WeightsError(
                "A model that is to be trained is not as it was when the run began.",
                where=f"model {self.run.label}",
                expected=self.run.fingerprint,
                got=found,
                fix="leave its weights as they are until the run has ended; a loader of your own makes a new "
                "model each time, for training changes weights in place",
            )
        return model

    @cached_property
    def _genotypes(self) -> Genotypes:
        cohort = self.opened.cohort
        policy = replace(cohort.genotypes.policy, min_maf=self.min_maf)
        return cohort.genotypes.keeping(cohort.samples, policy)

    def gene(self, gene_id: str) -> Gene:
        """One of the cohort's genes."""
        return next(gene for gene in self.opened.cohort.genes if gene.gene_id == gene_id)

    def reader(self) -> VariantReader:
        """Reads the variants that go into sequences."""
        return VariantReader(self._genotypes, self.opened.cohort.reference)

    def haplotypes(self, gene_id: str) -> Haplotypes:
        """A gene's haplotypes, of all people; kept while they fit into the memory for embeddings."""
        from hapsight.train.personal import Haplotypes

        if gene_id in self._kept:
            return self._kept[gene_id]
        cohort = self.opened.cohort
        sequences = Sequences(self.run.model, self.run.read_out, self.reader(), cohort.reference.fetch)
        found, codes = sequences.of(self.gene(gene_id))
        made = Haplotypes(codes[1:], found.index)  # without the reference
        if self._bytes + codes.nbytes <= (self.opened.config.predict.budget or USUAL_BUDGET):
            self._kept[gene_id] = made
            self._bytes += codes.nbytes
        return made


def personal_data(
    opened: Opened, run: ModelRun, most_people: int | None, min_maf: float | None
) -> PersonalData:
    """Split people and genes as ``[train]`` has it; the same for every arm and seed of a run.

    Parameters
    ----------
    most_people
        Train on so many people only.
    min_maf
        Frequency floor of sequences; None: the cohort's.
    """
    from hapsight.train.splits import GeneRule, PeopleRule, leave_out_homologs, make_split

    config, cohort = opened.config.train, opened.cohort
    require_fitting(run.model, cohort.genes, cohort.reference.contigs)
    split = make_split(
        cohort.samples,
        cohort.super_populations if config.population in cohort.super_populations else cohort.populations,
        cohort.genes,
        _windows(opened, run),
        PeopleRule(config.test_share, config.valid_share, config.population, most_people),
        GeneRule(config.unseen_share, config.block, _held_out(opened)),
        opened.config.seed,
    )
    if config.homologs == "leave_out":
        split = leave_out_homologs(homologs(opened, run), split)
    floor = opened.config.cohort.min_maf if min_maf is None else min_maf
    return PersonalData(opened, run, split, floor)


def _windows(opened: Opened, run: ModelRun) -> dict[str, Interval]:
    """Gene -> what the model reads of it."""
    reach = margin(run.read_out)
    return {gene.gene_id: window_of(gene, run.model.window, reach).interval for gene in opened.cohort.genes}


def homologs(opened: Opened, run: ModelRun) -> list[Homologs]:
    """Pairs of the cohort's genes of which the model reads alike sequence; found once, and kept."""
    from hapsight.train.splits import CONTAINED, HOMOLOGS, Homologs, K, find_homologs

    windows, fetch = _windows(opened, run), opened.cohort.reference.fetch
    store = UnitStore(opened.folder.path / "train")
    parts = {name: (one.contig, one.start, one.end) for name, one in windows.items()}
    options = {"windows": parts, "k": K, "contained": CONTAINED}
    key = content_key("homologs", options | opened.key_parts("reference"))
    unit = store.name_for("homologs", key)
    if not store.done(unit, key):
        bases = sum(map(len, windows.values()))
        found = find_homologs(((name, one, fetch(one)) for name, one in windows.items()), bases)
        store.write(unit, key, {"pairs": pl.DataFrame(found, schema=HOMOLOGS, orient="row")})
    return [Homologs(*row) for row in store.read([UnitKey(unit, key)], "pairs").iter_rows()]


def homologs_in_words(opened: Opened, found: Sequence[Homologs], split: Split) -> str:
    """How many pairs lie across the split, and the first of them; a sentence for the report."""
    from hapsight.train.splits import across_split

    pairs, config = across_split(found, split), opened.config.train
    names = {gene.gene_id: gene.gene_name or gene.gene_id for gene in opened.cohort.genes}
    listed = "; ".join(
        f"{names[pair.first]} and {names[pair.second]} ({pair.contained:.2f})" for pair in pairs[:_SHOWN]
    )
    where = f": {listed}{' ...' if len(pairs) > _SHOWN else ''}" if pairs else ""
    left = " (homologs of unseen genes are not trained on)" if config.homologs == "leave_out" else ""
    return (
        f"Homologs: {len(pairs)} of {len(found)} pairs of genes whose windows share sequence have one gene "
        f"that is trained on and one that is not{left}{where}."
    )


def _held_out(opened: Opened) -> tuple[Interval, ...]:
    """The regions that nothing is trained on, by the contig names of the reference."""
    contigs = opened.cohort.reference.contigs
    regions = map(parse_region, opened.config.train.held_out)
    return tuple(
        replace(region, contig=resolve_contig(region.contig, contigs, "held_out under [train]"))
        for region in regions
    )


Float = NDArray[np.float64]

_TOGETHER = 8
"""Genes whose overlapping windows are read at once."""


def linear_predictions(data: PersonalData, name: str, progress: Progress) -> dict[str, Float]:
    """Seen gene -> (N,) prediction of all people, learnt from the training people of the split.

    A linear model is one gene's own: it has nothing to say of genes that it was not trained on. Validation
    people are not learnt from, as nothing else learns from them.

    Raises
    ------
    ConfigError
        There are too few training people for the method.
    """
    opened, config = data.opened, data.opened.config.baseline
    options = ElasticNetOptions(alpha=config.alpha, inner=config.inner_folds, min_maf=config.min_maf)
    method = method_named(name, options)
    train = data.people(data.split.train_people)
    if len(train) < method.least_people:
        raise ConfigError(
            f"There are too few training people for {name}.",
            expected=f"at least {method.least_people}",
            got=len(train),
            fix="use fewer inner_folds under [baseline], or more people",
        )
    seen, targets = set(data.split.seen_genes), data.targets
    genes = [gene for gene in opened.cohort.genes if gene.gene_id in seen]
    row = {gene_id: index for index, gene_id in enumerate(targets.gene_ids)}
    found = dict[str, Float]()
    for first in range(0, len(genes), _TOGETHER):
        progress(f"train {name}", first, len(genes))
        block = genes[first : first + _TOGETHER]
        cis = [gene.cis(config.cis_window) for gene in block]
        reader = VariantReader(opened.cohort.genotypes, opened.cohort.reference, cis)
        for gene, interval in zip(block, cis, strict=True):
            near = reader(interval)
            dosage = near.linear_dosage.astype(np.float64)
            once = None if near.one_copy is None else near.one_copy.compress(data.trained_on)
            outcome = targets.residual[row[gene.gene_id], train]
            rng = stream(opened.config.seed, "linear on a split", gene.gene_id)
            predictors = Predictors.of(dosage[:, train], method.min_maf, once)
            found[gene.gene_id] = method.fit(predictors, outcome, rng).predict(dosage)
    progress(f"train {name}", len(genes), len(genes))
    return found


def prior_key(data: PersonalData, prior: str) -> dict[str, Any] | None:
    """What the numbers of an arm with this prior depend on, beside the rest of the arm."""
    config = data.opened.config
    if prior.startswith("sign") and config.train.sign_priors is not None:
        return {"table": file_digest(config.train.sign_priors), "weight": config.train.sign_weight}
    if prior.startswith("activity") and config.priors.regulons is not None:
        return {"regulons": file_digest(config.priors.regulons), "leave_out": config.priors.leave_out}
    return None


def toggled_variants(data: PersonalData, prior: str) -> ReadToggled | None:
    """Reads a gene's variants with their sign priors, or with shuffled signs; None for another prior.

    Scores are in units of the table's median size.

    Raises
    ------
    ConfigError
        The signs were learned from eQTLs of this cohort, also of people and genes that are not trained on.
    InputError
        The table cannot be read.
    """
    path = data.opened.config.train.sign_priors
    if not prior.startswith("sign") or path is None:
        return None
    given = read_sign_priors(path)
    if SIGNS_LEARNED in given.names:
        raise ConfigError(
            "These signs were learned from people and genes that are not to be trained on.",
            where=path,
            expected="signs that know nothing of this cohort's expression, such as those of regulons",
            got=f"prior = {SIGNS_LEARNED!r}",
            fix="give `sign_priors` under [train] the scores of regulons, or signs from another cohort",
        )
    if prior == "sign_shuffled":
        given = given.shuffled(stream(data.opened.config.seed, "sign priors of training"))
    reader, scale = data.reader(), given.typical
    given = given.for_genes(data.opened.cohort.genes, data.opened.cohort.reference.contigs)
    return lambda gene_id: _toggled(data, gene_id, reader, given, scale)


def _toggled(
    data: PersonalData, gene_id: str, reader: VariantReader, given: SignPriors, scale: float
) -> Toggled | None:
    from hapsight.train.priors import toggle

    window = window_of(data.gene(gene_id), data.run.model.window, margin(data.run.read_out))
    variants = reader(window.interval)
    score = given.on(gene_id, variants) / scale
    return toggle(window, variants, score, data.opened.cohort.reference.fetch)


def activity_explains(data: PersonalData, prior: str) -> Float | None:
    """(G, N) what the activity of each gene's regulators explains of its z-scores; None for another prior.

    Activities are of the seen genes' expression only, less what is near the gene and the gene itself. With
    ``activity_shuffled``, genes exchange their regulators.

    Raises
    ------
    ConfigError
        The configuration names no regulons.
    """
    if not prior.startswith("activity"):
        return None
    from hapsight.train.priors import explained_by

    cohort, leave_out = data.opened.cohort, data.opened.config.priors.leave_out
    covariates = None if cohort.covariates is None else cohort.covariates.values
    weight, whose = _regulators(data, shuffled=prior == "activity_shuffled")
    scores = z_scores(cohort.transformed, covariates, data.trained_on)
    seen_genes = set(data.split.seen_genes)
    is_seen = np.array([gene.gene_id in seen_genes for gene in cohort.genes])
    found = np.empty(scores.shape)
    for target in range(len(cohort.genes)):
        speaking = np.union1d(np.flatnonzero(is_seen), target)
        place = int(np.searchsorted(speaking, target))
        own = weight[:, speaking]
        own[:, place] = weight[:, whose[target]]
        genes = [cohort.genes[index] for index in speaking]
        found[target] = regulator_score(scores[speaking], own, genes, place, leave_out)
    return explained_by(found, data.targets, covariates, data.trained_on, np.flatnonzero(is_seen))


def _regulators(data: PersonalData, *, shuffled: bool) -> tuple[Float, NDArray[np.intp]]:
    """Weights (R, G), and (G,) the gene whose regulators each gene gets: its own, or another's."""
    path, genes = data.opened.config.priors.regulons, data.opened.cohort.genes
    if path is None:
        raise ConfigError(
            "The activity of regulators needs regulons.",
            where="[priors] regulons",
            expected="a table of source, target, weight",
            got="none",
            fix="name one under [priors], or leave out the arms with prior 'activity'",
        )
    weight = read_regulons(path, genes)[0].weight
    if not shuffled:
        return weight, np.arange(len(genes))
    return weight, dealt_regulators(weight, stream(data.opened.config.seed, "regulators of training"))


def cell_rows(data: PersonalData, predicted: Mapping[str, Float], arm: Mapping[str, object]) -> pl.DataFrame:
    """R of every gene in every cell, judged by the plain p of Pearson's r; q-values within the cell.

    Parameters
    ----------
    predicted
        Gene -> (N,) of all people of the cohort; a gene that is not there has no model.
    arm
        Values of `ARM`.
    """
    names = {gene.gene_id: gene.gene_name for gene in data.opened.cohort.genes}
    row_of = {name: row for row, name in enumerate(data.targets.gene_ids)}
    tables = []
    for cell in CELLS:
        genes, people = data.cell(cell)
        rows = []
        for gene in genes:
            row = {**dict.fromkeys(TRAIN_PER_GENE), **arm, "cell": cell, "gene_id": gene}
            row |= {"gene_name": names[gene], "n": len(people), "status": "no_model"}
            if gene in predicted:
                found = correlate(predicted[gene][people], data.targets.residual[row_of[gene], people])
                row |= {name: value for name, value in asdict(found).items() if name in TRAIN_PER_GENE}
            rows.append(row)
        tables.append(_with_q(pl.DataFrame(rows, schema=TRAIN_PER_GENE)))
    return pl.concat(tables)


def _with_q(table: pl.DataFrame) -> pl.DataFrame:
    ok = (table["status"] == "ok").to_numpy()
    q = np.full(len(table), np.nan)
    q[ok] = benjamini_hochberg(table["pval_nominal"].to_numpy()[ok])
    return table.with_columns(pl.Series("qval_nominal", q).fill_nan(None))


def summarise(per_gene: pl.DataFrame) -> pl.DataFrame:
    """Mean R with its interval over genes, significant genes and their wrong signs, of every cell.

    Rows without a seed, of arms that have several, are of all their seeds together.
    """
    rows: list[dict[str, Any]] = []
    groups = per_gene.group_by(*ARM, "cell", maintain_order=True)
    for key, table in groups:
        rows += _quantities(dict(zip((*ARM, "cell"), key, strict=True)), table)
    rows += _over_seeds(per_gene)
    return pl.DataFrame(rows, schema=TRAIN_SUMMARY)


def _quantities(labels: dict[str, Any], table: pl.DataFrame) -> Iterator[dict[str, Any]]:
    ok = table.filter(pl.col("status") == "ok")
    pearson, spearman, q = (ok[name].to_numpy() for name in ("pearson_r", "spearman_r", "qval_nominal"))
    found = summarise_across_people(table["status"].to_list(), pearson, spearman, {"nominal": q}, "nominal")
    for quantity in found:
        if not quantity.quantity.endswith(".nominal"):
            yield labels | asdict(quantity)


def _over_seeds(per_gene: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """What the seeds of an arm come to, where it has several."""
    arm = [name for name in ARM if name != "seed"]
    several = per_gene.filter(pl.col("seed").n_unique().over(*arm) > 1)
    for key, table in several.group_by(*arm, "cell", maintain_order=True):
        labels = dict(zip((*arm, "cell"), key, strict=True)) | {"seed": None}
        by_seed = (
            table.pivot("seed", index="gene_id", values=column).drop("gene_id").to_numpy()  # (G, S)
            for column in ("pearson_r", "qval_nominal")
        )
        for quantity in summarise_over_seeds(*by_seed):
            yield labels | asdict(quantity)
