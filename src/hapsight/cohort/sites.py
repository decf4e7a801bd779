"""Variants of a VCF without its people: what is to be scored, wherever it was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cyvcf2
import numpy as np

from hapsight.cohort.contigs import find_contig
from hapsight.cohort.nouns import Dropped, Interval, Variants
from hapsight.cohort.policies import GenotypePolicy
from hapsight.cohort.records import allele_fault, hush_htslib, reference_allele
from hapsight.cohort.reference import Reference, ref_fits
from hapsight.cohort.tables import require_file
from hapsight.errors import InputError

__all__ = ["read_sites"]

_Site = tuple[int, str, str, str]
_OTHER_REF: Final = "REF differs from the FASTA"


def read_sites(path: Path, reference: Reference, policy: GenotypePolicy) -> tuple[list[Variants], Dropped]:
    """Read every variant of a VCF or BCF, indexed or not; genotypes and FILTER are not looked at.

    Alleles that are no DNA sequence, a REF that differs from the FASTA, contigs that the FASTA lacks, and a
    variant's second record are left out and counted. A record without an identifier is named
    ``contig_position_ref_alt``.

    Returns
    -------
    One `Variants` per contig (under the FASTA's name, by position, without people); and what was left out.

    Raises
    ------
    InputError
        The file cannot be read, holds no variant, or more than half of the REFs differ from the FASTA and
        ``ref_mismatch`` is ``"error"``: it is of another build.
    """
    require_file(path, "VCF")
    sites = _Sites(path, reference)
    for number, record in enumerate(_records(path), start=1):
        try:
            for alt in record.ALT or ["."]:
                sites.add(record, alt.upper())
        except UnicodeDecodeError as error:
            raise InputError(
                "A record of the VCF is no text.", where=f"{path}, record {number}", got=error
            ) from None
    if policy.ref_mismatch == "error":
        sites.require_build()
    if not sites.found:
        raise InputError(
            "The file has no variant that could be scored.",
            where=path,
            expected="records on contigs of the FASTA, with DNA alleles",
            got="; ".join(f"{n} left out: {why}" for (_, why), n in sites.dropped.counts.items()) or "none",
        )
    return [_variants(contig, sorted(found.values())) for contig, found in sites.found.items()], sites.dropped


def _records(path: Path) -> Iterator[Any]:
    hush_htslib()
    try:
        yield from cyvcf2.VCF(str(path), samples=[])
    except Exception as error:  # cyvcf2 raises no narrower one
        raise InputError(
            "The file of variants is no VCF or BCF that can be read.", where=path, got=error
        ) from error


@dataclass(slots=True)
class _Sites:
    """What is found of a file, record by record."""

    path: Path
    reference: Reference
    found: dict[str, dict[tuple[int, str, str], _Site]] = field(default_factory=dict)
    dropped: Dropped = field(default_factory=Dropped)
    agreeing: int = 0
    other_refs: list[tuple[str, str]] = field(default_factory=list)

    def add(self, record: Any, alt: str) -> None:
        """One ALT of a record, or why not."""
        position, ref = record.POS - 1, reference_allele(record, self.path)
        contig = find_contig(record.CHROM, tuple(self.reference.contigs))
        name = f"{record.CHROM}:{record.POS} {ref}>{alt}"
        fault = "its contig is not in the FASTA" if contig is None else allele_fault(ref, alt)
        if contig is None or fault is not None:
            self.dropped.add("variant", fault or "", name)
            return
        there = self.reference.letters(Interval(contig, position, position + len(ref)))
        if not ref_fits(ref, there):
            self.other_refs.append((name, there))
            self.dropped.add("variant", _OTHER_REF, name)
            return
        self.agreeing += 1
        same = self.found.setdefault(contig, {})
        if (position, ref, alt) in same:
            self.dropped.add("variant", "duplicate record", name)
            return
        same[position, ref, alt] = (position, ref, alt, record.ID or f"{contig}_{position + 1}_{ref}_{alt}")

    def require_build(self) -> None:
        """Refuse a file most of whose REFs are not the FASTA's."""
        if len(self.other_refs) > self.agreeing:
            name, there = self.other_refs[0]
            raise InputError(
                "A variant's REF is not what the FASTA has there, and so it is with most.",
                where=f"{self.path}, {name}",
                expected=f"{there} (in {self.reference.path})",
                got=f"{len(self.other_refs):,} of {len(self.other_refs) + self.agreeing:,} REFs differ",
                fix="use a VCF of the FASTA's genome build; or drop such variants: ref_mismatch = 'drop'",
            )


def _variants(contig: str, sites: list[_Site]) -> Variants:
    position, ref, alt, name = zip(*sites, strict=True)
    nobody = np.empty((len(sites), 0, 2), np.uint8)
    return Variants(contig, np.array(position, np.int64), ref, alt, name, nobody, ())
