"""A configuration with its cohort opened and its inputs digested: what every stage starts from.

Which keys of the configuration are in no unit's key, and why; and by what two configurations differ.

The table of all that was left out of a run.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

import hapsight
from hapsight.cohort.genotype_store import StoredGenotypes, store_key
from hapsight.cohort.join import Cohort, CohortFiles, CohortParts, permute_people
from hapsight.cohort.nouns import Dropped, Gene
from hapsight.cohort.pcs import PCS_VERSION
from hapsight.cohort.ploidy import Ploidy
from hapsight.cohort.policies import GenotypePolicy
from hapsight.errors import IncompleteError
from hapsight.files import KnownDigest, digest_of_input
from hapsight.run.config import CohortConfig, Config, ExpressionConfig, as_toml
from hapsight.run.finished import named_files
from hapsight.run.run_folder import RunFolder
from hapsight.run.store import content_key, run_first

__all__ = [
    "CHANGE_NOTHING",
    "LINEAR_KEYS",
    "POLICY_KEYS",
    "TABLES_ONLY",
    "Opened",
    "Progress",
    "add_dropped",
    "as_compared",
    "by_reason",
    "cohort_files",
    "differing",
    "dropped_table",
    "gene_facts",
    "gene_keys",
    "parts_of",
    "policy_of",
    "row_digests",
    "table_digests",
    "table_key",
]

CHANGE_NOTHING: Final[Mapping[str, str]] = {
    "name": "title of the report",
    "output": "where, not what",
    "share_output": "who may read the folder",
    "workers": "who does the work",
    "predict.allow_imprecise": "whether a run begins",
    "predict.genes_per_unit": "how units are cut",
    "predict.workers": "who does the work",
    "baseline.genes_per_unit": "how units are cut",
    "eqtl.genes_per_unit": "how units are cut",
    "explain.genes_per_unit": "how units are cut",
    "cluster.scheduler": "who does the work",
    "cluster.resources": "who does the work",
    "cluster.unencrypted": "how work travels",
    "cluster.retries": "who does the work",
    "cluster.patience": "who does the work",
    "report.include_individuals": "what the report shows, which every run writes anew",
}
"""Keys that change no number, and what they are for."""

TABLES_ONLY: Final[Mapping[str, str]] = {
    "cohort.phenotype": "where rows of the phenotype BED are read; the places are in their keys",
    "protocol": "columns and q-values; what it fixes of models and genotypes is in their own keys",
    "baseline.run": "which units there are",
    "baseline.methods": "which units there are",
    "baseline.splits": "which units there are",
    "baseline.imported.label": "which units there are",
    "informed.splits": "which units there are",
    "eqtl.run": "which units there are",
    "eqtl.fdr": "which genes are searched; the threshold that follows is in their keys",
    "explain.run": "which units there are",
    "explain.genes": "which units there are",
    "explain.min_abs_r": "which units there are",
    "explain.saturation_around": "which arrays there are; the place is in their keys",
    "explain.gradients": "which arrays there are",
    "explain.motifs": "drivers",
    "explain.conservation": "drivers",
    "explain.sign_priors": "drivers",
    "priors.gene_covariates.label": "priors across genes",
    "priors.gene_covariates.path": "priors across genes",
    "priors.half_life": "priors across genes",
    "priors.effects.label": "signs of priors",
    "priors.effects.path": "signs of priors",
    "priors.motifs": "which scores there are, which are in keys themselves",
    "priors.motif_threshold": "scores, which are in keys themselves",
    "priors.max_p": "scores, which are in keys themselves",
    "priors.reach": "scores, which are in keys themselves",
    "priors.shuffles": "signs of priors",
    "train.model": "which model is trained, whose fingerprint is in keys",
    "train.seeds": "which units there are",
    "train.baselines": "which units there are",
    "train.people": "which units there are, each with its number in its key",
    "train.min_maf": "which units there are, each with its floor in its key",
    "train.homologs": "which genes are trained on; the split is in keys",
}
"""Keys that decide which units there are, or tables that every run writes anew from units."""

_LATER: Final = {
    "evaluate": ("eqtl.", "explain.", "informed.", "priors.", "train."),
    "drivers": (
        "informed.",
        "priors.",
        "train.",
        "explain.saturation",
        "explain.gradients",
        "explain.tracks",
    ),
}
"""How keys begin of which a stage's tables know nothing."""


Contents = Mapping[str, str]
"""How a configuration names a file -> digest of what is in it."""


def differing(
    one: Mapping[str, Any], other: Mapping[str, Any], contents: tuple[Contents, Contents] = ({}, {})
) -> list[str]:
    """Keys of two configurations, as TOML has them, that are in keys of units and differ.

    Genes, models and tables may come and go: who is in both has the units that it had. Files of equal
    `contents` are equal, wherever they lie.
    """
    before, now = _deciding(one, contents[0]), _deciding(other, contents[1])
    keys = sorted((before.keys() | now.keys()) - {"cohort.keep_genes", "cohort.regions"})
    return [key for key in keys if key not in TABLES_ONLY and not _alike(before.get(key), now.get(key))]


def _alike(one: object, other: object) -> bool:
    """Whether two values are the same, or of two lists one has all of the other's entries."""
    if isinstance(one, list) and isinstance(other, list):
        return all(entry in other for entry in one) or all(entry in one for entry in other)
    return one == other


def _flat(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, Mapping) and f"{prefix}{key}" not in ("cluster.resources", "models.options"):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _deciding(config: Mapping[str, Any], contents: Contents) -> dict[str, Any]:
    """Keys of a configuration, as TOML has them, that decide numbers or which there are."""
    return {key: _in_place(value, contents) for key, value in _flat(config) if key not in CHANGE_NOTHING}


def _in_place(value: Any, contents: Contents) -> Any:
    """The value with what is in files, in place of where they lie."""
    if isinstance(value, Mapping):
        return {key: _in_place(one, contents) for key, one in value.items()}
    if isinstance(value, list):
        return [_in_place(one, contents) for one in value]
    return contents.get(value, value) if isinstance(value, str) else value


def table_key(config: Config, stage: str, contents: Contents) -> str:
    """Digest of what the tables of a stage depend on beside its units."""
    found = _deciding(as_toml(config), contents)
    kept = {key: value for key, value in found.items() if not key.startswith(_LATER[stage])}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


POLICY_KEYS = {
    "variants",
    "min_maf",
    "missing",
    "unphased",
    "ref_mismatch",
    "duplicates",
    "ploidy_conflict",
    "par",
}
"""Keys of the cohort section that decide which variants there are, and who carries them."""

LINEAR_KEYS = POLICY_KEYS | {"chrx_dosage"}
"""Keys of the cohort section that decide the dosages of linear methods."""

_OTHERS: Final = (
    "The run folder was last used with a configuration that differs in {}. The units of both are kept; "
    "tables and report become those of the present one."
)

Progress = Callable[[str, int, int], None]
"""Called with a stage's name, how many units are done, and how many there are."""

DROPPED_SCHEMA = {"kind": pl.String, "reason": pl.String, "name": pl.String}


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A run that is ready to work.

    Attributes
    ----------
    inputs
        One entry per input file: ``role, path, bytes, sha256``.
    """

    config: Config
    cohort: Cohort
    dropped: Dropped
    inputs: tuple[dict[str, Any], ...]
    folder: RunFolder
    _named: dict[str, KnownDigest] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def from_config(cls, config: Config, parts: CohortParts | None = None) -> Opened:
        """Open and join the cohort; nothing is written yet.

        Parameters
        ----------
        parts
            Of the cohort, where they were opened before.
        """
        parts = parts_of(config) if parts is None else parts
        cohort, dropped = parts.joined
        cohort = as_compared(cohort, config.expression)
        if config.expression.permuted is not None:
            cohort = permute_people(cohort, config.expression.permuted)
        folder = RunFolder(config.output, config.share_output)
        inputs = tuple(_inputs(parts.files, cohort.genotypes.paths, folder.known_digests()))
        return cls(config, cohort, dropped, inputs, folder)

    def begin(self) -> None:
        """Write the configuration and the record into the run folder."""
        populations = Counter(p or "not given" for p in self.cohort.populations)
        facts = {
            "people": len(self.cohort.samples),
            "genes": len(self.cohort.genes),
            "populations": dict(sorted(populations.items())),
            "phenotype": self.config.cohort.phenotype,
        }
        before = self.folder.configuration()
        known, own = self.folder.contents(), self._contents()
        contents = (known, own) if known else ({}, {})  # a record of an earlier version has none
        others = differing(before, as_toml(self.config), contents) if before else []
        same = self._same_as(before, contents)
        self.folder.begin(self.config, list(self.inputs), facts, same, self._named)
        self._share_genotypes()
        notes = list(self.cohort.notes)
        if others:
            notes.append(_OTHERS.format(", ".join(others)))
            logging.getLogger("hapsight").warning("%s: %s", self.folder.path, notes[-1])
        for note in notes:
            self.folder.note(note)

    def _contents(self) -> Contents:
        """Digest of each file that the configuration names and that numbers may depend on."""
        if not self._named:
            known, read = self.folder.known_digests(), {one["path"]: one["sha256"] for one in self.inputs}
            deciding = _deciding(as_toml(self.config), {})
            for text, paths in named_files(deciding):
                found = [
                    KnownDigest(read[p], None) if p in read else digest_of_input(Path(p), known)
                    for p in paths
                ]
                whole = hashlib.sha256("\n".join(one.sha256 for one in found).encode()).hexdigest()
                self._named[text] = found[0] if len(found) == 1 else KnownDigest(whole, None)
        return {text: found.sha256 for text, found in self._named.items()}

    def _same_as(self, before: Mapping[str, Any], contents: tuple[Contents, Contents]) -> bool:
        """Whether configuration and inputs are those that the folder was last used with."""
        was = {(entry.get("role"), entry.get("sha256")) for entry in self.folder.record().get("inputs", [])}
        now = {(entry["role"], entry["sha256"]) for entry in self.inputs}
        return was == now and _deciding(before, contents[0]) == _deciding(as_toml(self.config), contents[1])

    def _share_genotypes(self) -> None:
        """Keep in the run folder, unless it is shared, what is decoded of the genotypes: for all workers."""
        genotypes = self.cohort.genotypes
        if isinstance(genotypes, StoredGenotypes) and not self.folder.shared:
            digests = [str(self.digest_of(role)) for role in ("genotypes", "reference")]
            genotypes.store.move_to(self.folder.decoded / store_key(genotypes, digests))

    def mark_current(self, stage: str) -> None:
        """Record that the tables of a stage are this configuration's."""
        self.folder.record_tables(stage, table_key(self.config, stage, self._contents()))

    def require_current(self, stage: str) -> None:
        """Refuse the tables of a stage that another configuration wrote into this folder.

        Raises
        ------
        IncompleteError
            They are another's: the stage has to be run again.
        """
        wanted = table_key(self.config, stage, self._contents())
        if self.folder.record().get("tables", {}).get(stage, wanted) != wanted:
            raise IncompleteError(
                f"The tables of `hapsight {stage}` are those of another configuration.",
                where=self.folder.path,
                expected="tables of this configuration, whose units may all be there",
                got=f"{stage} run with other values; config.toml there says what was run last",
                fix=run_first(stage),
            )

    def key_parts(self, *roles: str) -> dict[str, object]:
        """What numbers made from these inputs depend on, whatever the stage; JSON."""
        people = hashlib.sha256("\n".join(self.cohort.samples).encode()).hexdigest()
        return {
            "hapsight": hapsight.__version__,
            "inputs": {role: digest for role in roles if (digest := self.digest_of(role)) is not None},
            "samples": people,
            **self._sexes(),
            **self._pcs(roles),
        }

    def _sexes(self) -> dict[str, object]:
        """Whose copies are one, where a gene lies on chrX or chrY."""
        ploidy = self.cohort.genotypes.policy.ploidy
        known = {"men": sorted(ploidy.men), "women": sorted(ploidy.women), "par": ploidy.par}
        return {"sexes": known} if ploidy.men or ploidy.women else {}

    def _pcs(self, roles: Sequence[str]) -> dict[str, object]:
        """Components that are covariates; they follow from the genotypes, the people and the code."""
        count = self.config.cohort.genotype_pcs
        return {"genotype_pcs": [count, PCS_VERSION]} if count and "covariates" in roles else {}

    def digest_of(self, role: str) -> str | None:
        """SHA-256 of a role's file; of several files, of their digests in order; None without one."""
        found = [str(entry["sha256"]) for entry in self.inputs if entry["role"] == role]
        if len(found) > 1:
            return hashlib.sha256("\n".join(found).encode()).hexdigest()
        return found[0] if found else None


def gene_facts(genes: Sequence[Gene]) -> list[list[object]]:
    """What of genes enters a key."""
    return [
        [g.gene_id, g.contig, g.tss, g.strand.value if g.strand else ("peak" if g.is_peak else None)]
        for g in genes
    ]


def gene_keys(
    stage: str, genes: Sequence[Gene], common: Mapping[str, object], own: Mapping[str, object] | None = None
) -> dict[str, str]:
    """By ``gene_id``: digest of what the numbers of each gene depend on.

    Parameters
    ----------
    common
        What all genes have in common; JSON.
    own
        By ``gene_id``: what beside its place is a gene's own; JSON.
    """
    shared = content_key(stage, common)
    facts = zip(genes, gene_facts(genes), strict=True)
    own = own or {}
    return {
        gene.gene_id: content_key(stage, {"common": shared, "gene": fact, "own": own.get(gene.gene_id)})
        for gene, fact in facts
    }


def row_digests(genes: Sequence[Gene], values: NDArray[np.float64]) -> dict[str, str]:
    """By ``gene_id``: digest of a gene's row of (G, N) values."""
    rows = zip(genes, np.ascontiguousarray(values), strict=True)
    return {gene.gene_id: hashlib.sha256(row.tobytes()).hexdigest() for gene, row in rows}


def table_digests(table: pl.DataFrame) -> dict[str, str]:
    """By ``gene_id``: digest of a gene's rows of a table."""
    parts = table.partition_by("gene_id", as_dict=True)
    return {str(key[0]): hashlib.sha256(part.write_csv().encode()).hexdigest() for key, part in parts.items()}


def parts_of(config: Config) -> CohortParts:
    """The parts of a configured cohort, not opened yet."""
    return CohortParts(cohort_files(config.cohort), policy_of(config.cohort))


def as_compared(cohort: Cohort, config: ExpressionConfig) -> Cohort:
    """The cohort with its expression transformed as configured."""
    return replace(cohort, transform=config.transform, pseudocount=config.pseudocount)


def cohort_files(config: CohortConfig) -> CohortFiles:
    """The files of a cohort."""
    return CohortFiles(
        genotypes=config.genotypes,
        reference=config.reference,
        expression=config.expression,
        genes=config.genes,
        covariates=config.covariates,
        samples=config.samples,
        keep_genes=config.keep_genes or None,
        regions=config.regions,
        populations=config.populations,
        phenotype=config.phenotype,
        genotype_pcs=config.genotype_pcs,
    )


def policy_of(config: CohortConfig) -> GenotypePolicy:
    """What to do with the flaws of the genotypes."""
    return GenotypePolicy(
        snv_only=config.variants == "snv",
        min_maf=config.min_maf,
        missing=config.missing,
        unphased=config.unphased,
        ref_mismatch=config.ref_mismatch,
        duplicates=config.duplicates,
        ploidy_conflict=config.ploidy_conflict,
        ploidy=Ploidy(
            par=None if config.par is None else tuple((first - 1, last) for first, last in config.par),
            dosage=config.chrx_dosage,
        ),
    )


def _inputs(
    files: CohortFiles, genotypes: Sequence[Path], known: Mapping[str, KnownDigest]
) -> Iterator[dict[str, Any]]:
    given = [("genotypes", path) for path in genotypes]
    others = ("reference", "expression", "genes", "covariates", "samples")
    for role, path in given + [(role, getattr(files, role)) for role in others]:
        if path is not None:
            found = digest_of_input(path, known)
            yield {
                "role": role,
                "path": str(path),
                "bytes": found.state[0] if found.state else path.stat().st_size,
                "sha256": found.sha256,
                "state": found.state,
            }


def dropped_table(dropped: Dropped) -> pl.DataFrame:
    """One row per name that was left out: ``kind, reason, name``."""
    rows = [(kind, reason, name) for (kind, reason), names in dropped.names.items() for name in names]
    return pl.DataFrame(rows, schema=DROPPED_SCHEMA, orient="row").unique(maintain_order=True)


def by_reason(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """``kind, reason, count, names`` of tables ``kind, reason, name``; what is in several counts once."""
    return (
        pl.concat(tables)
        .unique(maintain_order=True)
        .group_by("kind", "reason", maintain_order=True)
        .agg(count=pl.len(), names=pl.col("name"))
        .sort("kind", "reason")
    )


def add_dropped(opened: Opened, table: pl.DataFrame) -> None:
    """Add ``kind, reason, name`` of a later stage to ``dropped.parquet``; not before there is one."""
    path = opened.folder.path / "dropped.parquet"
    if path.exists():
        known = pl.read_parquet(path).explode("names").select("kind", "reason", name="names")
        opened.folder.write("dropped.parquet", by_reason([known, table]))
