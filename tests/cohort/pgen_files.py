"""PGEN files for tests, made from a VCF by pgenlib's writer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pysam
import pytest


def write_pgen(vcf: Path, path: Path) -> Path:
    """Write a VCF's sites, people and calls as ``.pgen``, ``.pvar`` and ``.psam``; skips without pgenlib."""
    pgenlib = pytest.importorskip("pgenlib", reason="the extra `pgen` is not installed")
    with pysam.VariantFile(str(vcf)) as file:
        people = list(file.header.samples)
        rows, calls = [], []
        for record in file:
            alts = record.alts or (".",)
            rows.append([record.contig, record.pos, record.id or ".", record.ref, ",".join(alts), "PASS"])
            calls.append((_alleles(record, people), _phase(record, people), len(alts) + 1))
    write_pvar(path.with_suffix(".pvar"), rows)
    lines = ["#IID\tSEX", *(f"{person}\tNA" for person in people)]
    path.with_suffix(".psam").write_text("\n".join(lines) + "\n")
    writer = pgenlib.PgenWriter(
        str(path).encode(),
        len(people),
        variant_ct=len(rows),
        nonref_flags=False,
        allele_ct_limit=max(2, *(count for *_, count in calls)),
        hardcall_phase_present=True,
    )
    for alleles, phased, count in calls:
        writer.append_partially_phased(alleles, phased, allele_ct=count)
    writer.close()
    return path


def write_pvar(path: Path, rows: list[list[object]]) -> None:
    header = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tFILTER"]
    path.write_text("\n".join([*header, *("\t".join(map(str, row)) for row in rows)]) + "\n")


def _alleles(record: pysam.VariantRecord, people: list[str]) -> np.ndarray:
    """(2N,) allele numbers, -9 where one of a call's is missing."""
    pairs = [record.samples[person]["GT"] for person in people]
    known = [(-9, -9) if None in pair else pair for pair in pairs]
    return np.array(known, dtype=np.int32).reshape(-1)


def _phase(record: pysam.VariantRecord, people: list[str]) -> np.ndarray:
    return np.array([record.samples[person].phased for person in people], dtype=np.uint8)
