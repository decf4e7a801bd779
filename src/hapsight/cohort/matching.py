"""Which people and genes of the files are the same ones."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from hapsight.cohort.contigs import plain_contig
from hapsight.cohort.nouns import Dropped, Gene
from hapsight.errors import InputError

__all__ = ["match_genes", "match_people", "without_version"]

_VERSION: Final = re.compile(r"^(ENS[A-Z]*\d+)\.\d+")
_FAR: Final = 1_000_000


def match_people(sides: Mapping[str, Sequence[str]], dropped: Dropped) -> tuple[str, ...]:
    """People who are on every side, in the first side's order; the others are counted in `dropped`.

    Parameters
    ----------
    sides
        People of each file, by the file's part in the cohort, such as ``"expression"``.

    Raises
    ------
    InputError
        Nobody is on every side; shows the first names of each.
    """
    sets = {side: set(people) for side, people in sides.items()}
    everyone = dict.fromkeys(person for people in sides.values() for person in people)
    kept = []
    for person in everyone:
        absent = [side for side, people in sets.items() if person not in people]
        if absent:
            dropped.add("sample", "not in the " + " and the ".join(absent), person)
        else:
            kept.append(person)
    if not kept:
        raise _nobody(sides)
    return tuple(kept)


def _nobody(sides: Mapping[str, Sequence[str]]) -> InputError:
    names = list(sides.values())
    alike = next(
        ((a, b) for a in names[0][:50] for other in names[1:] for b in other if a in b or b in a), None
    )
    return InputError(
        f"No person is in all of: {', '.join(sides)}.",
        expected="the same sample names in these files",
        got="; ".join(f"{side}: {', '.join(people[:3])} ..." for side, people in sides.items()),
        fix="rename the samples on one side (bcftools reheader --samples)"
        + (f"; {alike[0]} and {alike[1]} look like one person" if alike else ""),
    )


def without_version(gene_id: str) -> str:
    """An Ensembl identifier without its version; any other identifier as it is.

    Examples
    --------
    >>> without_version("ENSG00000182902.9"), without_version("RP11-34P13.7")
    ('ENSG00000182902', 'RP11-34P13.7')
    """
    return _VERSION.sub(r"\1", gene_id)


def match_genes(
    measured: Sequence[Gene], table: Sequence[Gene], where: object, dropped: Dropped
) -> tuple[dict[int, Gene], tuple[str, ...]]:
    """Find each measured gene in the gene table: by its identifier, else by that without version.

    Parameters
    ----------
    measured
        Genes of the expression file.
    table
        Genes with the TSS and strand to use.
    where
        The gene table, named in errors.

    Returns
    -------
    dict
        For each index into `measured` that was found: the gene, with the expression file's identifier
        and the table's contig, TSS, strand and name.
    tuple of str
        What a reader of the results should know.

    Raises
    ------
    InputError
        A gene is found twice, or lies elsewhere in the two files; or no gene is found.
    """
    exact = {gene.gene_id: gene for gene in table}
    loose: dict[str, list[Gene]] = defaultdict(list)
    for gene in table:
        loose[without_version(gene.gene_id)].append(gene)
    found: dict[int, Gene] = {}
    for index, gene in enumerate(measured):
        match = exact.get(gene.gene_id) or _one_of(gene, loose[without_version(gene.gene_id)], where)
        if match is None:
            dropped.add("gene", "not in the gene table", gene.gene_id)
        else:
            found[index] = match
    if not found:
        raise InputError(
            "No gene of the expression file is in the gene table.",
            where=where,
            expected=", ".join(gene.gene_id for gene in measured[:3]),
            got=", ".join(gene.gene_id for gene in table[:3]),
        )
    _require_once(measured, found, where)
    notes = _compare(measured, found, where)
    return {i: _renamed(gene, measured[i].gene_id) for i, gene in found.items()}, notes


def _one_of(gene: Gene, candidates: Sequence[Gene], where: object) -> Gene | None:
    if len(candidates) > 1:
        raise InputError(
            f"Gene {gene.gene_id} could be several genes of the gene table.",
            where=where,
            got=", ".join(candidate.gene_id for candidate in candidates),
            fix="use the gene table of the same release",
        )
    return candidates[0] if candidates else None


def _require_once(measured: Sequence[Gene], found: Mapping[int, Gene], where: object) -> None:
    users: dict[str, str] = {}
    for index, gene in found.items():
        other = users.setdefault(gene.gene_id, measured[index].gene_id)
        if other != measured[index].gene_id:
            raise InputError(
                f"Two genes of the expression file are {gene.gene_id} in the gene table.",
                where=where,
                got=f"{other} and {measured[index].gene_id}",
            )


def _compare(measured: Sequence[Gene], found: Mapping[int, Gene], where: object) -> tuple[str, ...]:
    """Refuse genes that lie elsewhere in the two files; tell of smaller differences."""
    pairs = [(measured[index], gene) for index, gene in found.items()]
    far = [(a, b) for a, b in pairs if plain_contig(a.contig) != plain_contig(b.contig) or _gap(a, b) > _FAR]
    if far:
        a, b = far[0]
        raise InputError(
            f"{len(far)} of {len(pairs)} genes lie elsewhere in the gene table.",
            where=f"{where}, gene {b.gene_id}",
            expected=f"{a.contig}:{a.tss + 1}, as in the expression file",
            got=f"{b.contig}:{b.tss + 1}",
            fix="use a gene table of the expression file's genome build",
        )
    notes = []
    versions = sum(a.gene_id != b.gene_id for a, b in pairs)
    if versions:
        notes.append(f"{versions} of {len(pairs)} genes found in the gene table only without their version")
    moved = [_gap(a, b) for a, b in pairs if _gap(a, b)]
    if moved:
        notes.append(
            f"{len(moved)} of {len(pairs)} genes have another TSS in the gene table than in the expression "
            f"file (by up to {max(moved):,} bases); the gene table's is used"
        )
    return tuple(notes)


def _gap(a: Gene, b: Gene) -> int:
    return abs(a.tss - b.tss)


def _renamed(gene: Gene, gene_id: str) -> Gene:
    return Gene(gene_id, gene.contig, gene.tss, gene.strand, gene.gene_name)
