"""A configuration with its cohort opened and its inputs digested: what every stage starts from."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

import hapsight
from hapsight.cohort.digest import KnownDigest, digest_of_input
from hapsight.cohort.genotype_store import StoredGenotypes, store_key
from hapsight.cohort.genotypes import GenotypePolicy
from hapsight.cohort.join import Cohort, CohortFiles, CohortParts
from hapsight.cohort.nouns import Dropped, Gene
from hapsight.cohort.permute import permute_people
from hapsight.cohort.ploidy import Ploidy
from hapsight.config import CohortConfig, Config, ExpressionConfig, as_toml
from hapsight.errors import IncompleteError
from hapsight.predict.store import content_key
from hapsight.workflow.config_keys import differing, table_key
from hapsight.workflow.run_folder import RunFolder

__all__ = [
    "LINEAR_KEYS",
    "POLICY_KEYS",
    "Opened",
    "Progress",
    "as_compared",
    "cohort_files",
    "dropped_table",
    "gene_facts",
    "gene_keys",
    "parts_of",
    "policy_of",
    "row_digests",
]

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
        }
        before = self.folder.configuration()
        others = differing(before, as_toml(self.config)) if before else []
        self.folder.begin(self.config, list(self.inputs), facts)
        self._share_genotypes()
        notes = list(self.cohort.notes)
        if others:
            notes.append(_OTHERS.format(", ".join(others)))
            logging.getLogger("hapsight").warning("%s: %s", self.folder.path, notes[-1])
        for note in notes:
            self.folder.note(note)

    def _share_genotypes(self) -> None:
        """Keep in the run folder, unless it is shared, what is decoded of the genotypes: for all workers."""
        genotypes = self.cohort.genotypes
        if isinstance(genotypes, StoredGenotypes) and not self.folder.shared:
            digests = [str(self.digest_of(role)) for role in ("genotypes", "reference")]
            genotypes.store.move_to(self.folder.decoded / store_key(genotypes, digests))

    def mark_current(self, stage: str) -> None:
        """Record that the tables of a stage are this configuration's."""
        self.folder.record_tables(stage, table_key(self.config, stage))

    def require_current(self, stage: str) -> None:
        """Refuse the tables of a stage that another configuration wrote into this folder.

        Raises
        ------
        IncompleteError
            They are another's: the stage has to be run again.
        """
        wanted = table_key(self.config, stage)
        if self.folder.record().get("tables", {}).get(stage, wanted) != wanted:
            raise IncompleteError(
                f"The tables of `hapsight {stage}` are those of another configuration.",
                where=self.folder.path,
                expected="tables of this configuration, whose units may all be there",
                got=f"{stage} run with other values; config.toml there says what was run last",
                fix=f"run `hapsight {stage}` with this configuration first",
            )

    def key_parts(self, *roles: str) -> dict[str, object]:
        """What numbers made from these inputs depend on, whatever the stage; JSON."""
        people = hashlib.sha256("\n".join(self.cohort.samples).encode()).hexdigest()
        return {
            "hapsight": hapsight.__version__,
            "inputs": {role: digest for role in roles if (digest := self.digest_of(role)) is not None},
            "samples": people,
            **self._sexes(),
        }

    def _sexes(self) -> dict[str, object]:
        """Whose copies are one, where a gene lies on chrX or chrY."""
        ploidy = self.cohort.genotypes.policy.ploidy
        known = {"men": sorted(ploidy.men), "women": sorted(ploidy.women), "par": ploidy.par}
        return {"sexes": known} if ploidy.men or ploidy.women else {}

    def digest_of(self, role: str) -> str | None:
        """SHA-256 of a role's file; of several files, of their digests in order; None without one."""
        found = [str(entry["sha256"]) for entry in self.inputs if entry["role"] == role]
        if len(found) > 1:
            return hashlib.sha256("\n".join(found).encode()).hexdigest()
        return found[0] if found else None


def gene_facts(genes: Sequence[Gene]) -> list[list[object]]:
    """What of genes enters a key."""
    return [[g.gene_id, g.contig, g.tss, g.strand.value if g.strand else None] for g in genes]


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
