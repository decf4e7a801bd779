"""Which genes and people of a cohort are wanted: lists of genes, regions, populations."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from hapsight.cohort.contigs import find_contig
from hapsight.cohort.matching import find_genes, near_genes
from hapsight.cohort.nouns import Gene, Interval
from hapsight.cohort.people import SampleSheet
from hapsight.cohort.tables import read_lines
from hapsight.errors import ConfigError, InputError

__all__ = ["gene_names", "genes_asked", "genes_within", "parse_region", "people_of", "region_of"]

_LISTS: Final = (".txt", ".tsv", ".csv", ".list", ".gz")
"""How names of files end that are no names of genes."""
_HEADERS: Final = frozenset({"gene_id", "gene_name", "gene", "genes", "symbol", "phenotype_id", "id", "name"})
_BEYOND: Final = 2**31 - 1
"""Longer than any contig that BAM or tabix can name."""


def gene_names(wanted: Iterable[str], folder: Path) -> tuple[str, ...]:
    """Names of genes, each once, those of files read: the first column, a header and ``#`` lines passed over.

    Parameters
    ----------
    wanted
        Identifiers, with or without version, names, or files of such; several in one text by commas.
    folder
        Where relative paths start.

    Raises
    ------
    ConfigError
        A file is not there, or has no gene in it.
    InputError
        A file is no text.
    """
    found: dict[str, None] = {}
    for entry in (part.strip() for text in wanted for part in text.split(",")):
        path = folder / Path(entry).expanduser()
        if entry and path.is_file():
            found |= dict.fromkeys(_listed(path))
        elif "/" in entry or Path(entry).suffix in _LISTS:
            raise ConfigError("There is no such list of genes.", where=path, fix="check the path")
        elif entry:
            found[entry] = None
    return tuple(found)


def _listed(path: Path) -> list[str]:
    lines = (line for line in read_lines(path, "gene list") if line.strip() and not line.startswith("#"))
    names = [re.split(r"[\t, ]", line.strip(), maxsplit=1)[0].strip('"') for line in lines]
    if names and names[0].lower() in _HEADERS:
        names = names[1:]
    if not names:
        raise ConfigError("A list of genes has none in it.", where=path, expected="a gene in each line")
    return names


def genes_asked(
    genes: Mapping[int, Gene], wanted: Sequence[str], measured: Sequence[Gene], where: Path
) -> dict[int, Gene]:
    """Genes that were asked for by identifier or name (`gene_names`).

    Parameters
    ----------
    genes
        Those that can be used, by their row in the expression file.
    measured
        All of the expression file: one that was left out before is asked for in vain, but is there.
    where
        The expression file, named in errors.

    Raises
    ------
    InputError
        The expression file lacks a gene; names near to it are listed.
    ConfigError
        Several genes have a name.
    """
    kept, unknown = find_genes(wanted, [genes.get(row, gene) for row, gene in enumerate(measured)])
    if unknown:
        near, are = near_genes(min(unknown), list(genes.values())), "is" if len(unknown) == 1 else "are"
        raise InputError(
            f"{len(unknown)} of the genes asked for {are} not in the expression file.",
            where=where,
            expected=f"identifiers such as {', '.join(gene.gene_id for gene in measured[:3])}",
            got=", ".join(sorted(unknown)[:5]),
            fix=f"did you mean {', '.join(near)}?" if near else "leave them out",
        )
    names = {gene.gene_id for gene in kept}
    return {row: gene for row, gene in genes.items() if gene.gene_id in names}


def parse_region(text: str) -> Interval:
    """``"chr22:36,000,000-40,500,000"``, first and last base counted from 1.

    Raises
    ------
    ConfigError
        Another form.
    """
    found = re.fullmatch(r"(?P<contig>[^:\s]+):(?P<first>[\d,]+)-(?P<last>[\d,]+)", text.strip())
    if found is None:
        raise ConfigError("A region is not understood.", expected="contig:first-last", got=repr(text))
    first, last = (int(found[name].replace(",", "") or 0) for name in ("first", "last"))
    if not 1 <= first <= last:
        raise ConfigError("A region ends before it begins.", expected="1 <= first <= last", got=repr(text))
    return Interval(found["contig"], first - 1, last)


def region_of(text: str) -> Interval:
    """A region as `parse_region` reads it, or a whole contig by its name alone.

    Raises
    ------
    ConfigError
        Another form.
    """
    whole = re.fullmatch(r"[^:,\s]+", text.strip())
    return Interval(whole[0], 0, _BEYOND) if whole else parse_region(text)


def genes_within(genes: Mapping[int, Gene], regions: Sequence[str]) -> dict[int, Gene]:
    """Genes whose TSS lies in one of the regions, whichever way the contig is spelled.

    Raises
    ------
    InputError
        None does.
    """
    places = [region_of(text) for text in regions]
    kept = {key: gene for key, gene in genes.items() if any(_holds(place, gene) for place in places)}
    if not kept:
        contigs = list(dict.fromkeys(gene.contig for gene in genes.values()))
        raise InputError(
            "No gene has its TSS in the regions asked for.",
            expected=f"TSSs, on {', '.join(contigs[:5])}",
            got=", ".join(regions),
            fix="give other regions, as contig:first-last with both counted from 1, or leave them out",
        )
    return kept


def _holds(region: Interval, gene: Gene) -> bool:
    return region.start <= gene.tss < region.end and find_contig(region.contig, (gene.contig,)) is not None


def people_of(sheet: SampleSheet | None, wanted: Sequence[str]) -> tuple[str, ...]:
    """People of these populations, or super-populations, in the sheet's order.

    Raises
    ------
    ConfigError
        There is no sample sheet, or a population that nobody in it has.
    """
    sides = (sheet.population, sheet.super_population) if sheet is not None else ()
    known = Counter(name for side in sides for name in side if name)
    if unknown := [name for name in wanted if name not in known]:
        listed = ", ".join(f"{name} ({count})" for name, count in sorted(known.items()))
        raise ConfigError(
            f"Nobody is known to be of the population {unknown[0]!r}.",
            where="no sample sheet" if sheet is None else sheet.path,
            expected=listed or "a sample sheet with a column population",
            got=", ".join(wanted),
            fix="name populations of the sample sheet" if listed else "give `samples` under [cohort]",
        )
    people = zip(sheet.samples, *sides, strict=True) if sheet is not None else ()
    return tuple(person for person, *names in people if not set(names).isdisjoint(wanted))
