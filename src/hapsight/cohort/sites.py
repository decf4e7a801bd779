"""Variants of a VCF without its people: what is to be scored, wherever it was found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cyvcf2
import numpy as np

from hapsight.cohort.contigs import find_contig
from hapsight.cohort.htslib import hush_htslib
from hapsight.cohort.nouns import Dropped, Interval, Variants
from hapsight.cohort.policies import GenotypePolicy
from hapsight.cohort.records import allele_fault, reference_allele
from hapsight.cohort.reference import Reference, ref_fits
from hapsight.cohort.wholeness import require_file
from hapsight.errors import InputError

__all__ = ["read_sites"]

_Site = tuple[int, str, str, str]


def read_sites(path: Path, reference: Reference, policy: GenotypePolicy) -> tuple[list[Variants], Dropped]:
    """Read every variant of a VCF or BCF, indexed or not; genotypes and FILTER are not looked at.

    Alleles that are no DNA sequence, contigs that the FASTA lacks, and a variant's second record are left out
    and counted. A record without an identifier is named ``contig_position_ref_alt``.

    Returns
    -------
    One `Variants` per contig (under the FASTA's name, by position, without people); and what was left out.

    Raises
    ------
    InputError
        The file cannot be read, holds no variant, or a REF differs from the FASTA and ``ref_mismatch`` is
        ``"error"``.
    """
    require_file(path, "VCF")
    dropped, found = Dropped(), dict[str, dict[tuple[int, str, str], _Site]]()
    for number, record in enumerate(_records(path), start=1):
        try:
            contig = find_contig(record.CHROM, tuple(reference.contigs))
            for alt in record.ALT or ["."]:
                _add(record, alt.upper(), contig, path, reference, policy, found, dropped)
        except UnicodeDecodeError as error:
            raise InputError(
                "A record of the VCF is no text.", where=f"{path}, record {number}", got=error
            ) from None
    if not found:
        raise InputError(
            "The file has no variant that could be scored.",
            where=path,
            expected="records on contigs of the FASTA, with DNA alleles",
            got="; ".join(f"{count} left out: {why}" for (_, why), count in dropped.counts.items()) or "none",
        )
    return [_variants(contig, sorted(sites.values())) for contig, sites in found.items()], dropped


def _records(path: Path) -> Iterator[Any]:
    hush_htslib()
    try:
        yield from cyvcf2.VCF(str(path), samples=[])
    except Exception as error:  # cyvcf2 raises no narrower one
        raise InputError(
            "The file of variants is no VCF or BCF that can be read.", where=path, got=error
        ) from error


def _add(
    record: Any,
    alt: str,
    contig: str | None,
    path: Path,
    reference: Reference,
    policy: GenotypePolicy,
    found: dict[str, dict[tuple[int, str, str], _Site]],
    dropped: Dropped,
) -> None:
    """One ALT of a record, or why not."""
    position, ref = record.POS - 1, reference_allele(record, path)
    name = f"{record.CHROM}:{record.POS} {ref}>{alt}"
    fault = "its contig is not in the FASTA" if contig is None else allele_fault(ref, alt)
    if contig is None or fault is not None:
        dropped.add("variant", fault or "", name)
        return
    there = reference.letters(Interval(contig, position, position + len(ref)))
    if not ref_fits(ref, there):
        if policy.ref_mismatch == "error":
            raise InputError(
                "A variant's REF is not what the FASTA has there.",
                where=f"{path}, {name}",
                expected=f"{there} (in {reference.path})",
                got=f"REF {ref}",
                fix="use a VCF of the FASTA's genome build; or drop such variants: ref_mismatch = 'drop'",
            )
        dropped.add("variant", "REF differs from the FASTA", name)
        return
    sites = found.setdefault(contig, {})
    if (position, ref, alt) in sites:
        dropped.add("variant", "duplicate record", name)
        return
    sites[position, ref, alt] = (position, ref, alt, record.ID or f"{contig}_{position + 1}_{ref}_{alt}")


def _variants(contig: str, sites: list[_Site]) -> Variants:
    position, ref, alt, name = zip(*sites, strict=True)
    nobody = np.empty((len(sites), 0, 2), np.uint8)
    return Variants(contig, np.array(position, np.int64), ref, alt, name, nobody, ())
