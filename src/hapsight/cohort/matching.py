"""Which people and genes are wanted, and which of the files are the same ones.

Wanted: lists of genes, regions, populations.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from hapsight.cohort.contigs import find_contig, one_naming, plain_contig
from hapsight.cohort.nouns import Dropped, Gene, Interval
from hapsight.cohort.people import SampleSheet
from hapsight.cohort.tables import read_lines
from hapsight.errors import ConfigError, InputError

__all__ = [
    "find_genes",
    "gene_index",
    "gene_names",
    "genes_asked",
    "genes_called",
    "genes_of_cohort",
    "genes_within",
    "match_genes",
    "near_genes",
    "parse_region",
    "people_of",
    "region_of",
    "without_version",
]

_VERSION: Final = re.compile(r"^(ENS[A-Z]*\d+)(?:\.\d+)?(?:_\d+(?=_|$))?(_PAR_Y)?(?:(?<=_PAR_Y)_\d+)?")
"""Identifier, version, number of a mapping to GRCh37 (before or behind ``_PAR_Y``)."""
_FAR: Final = 1_000_000
_SHOWN: Final = 5


def without_version(gene_id: str) -> str:
    """An Ensembl identifier without version, and number of a mapping to GRCh37; any other as it is.

    Examples
    --------
    >>> without_version("ENSG00000182902.9"), without_version("RP11-34P13.7")
    ('ENSG00000182902', 'RP11-34P13.7')
    >>> without_version("ENSG00000182902.9_2"), without_version("ENSG00000182378.14_PAR_Y")
    ('ENSG00000182902', 'ENSG00000182378_PAR_Y')
    """
    return _VERSION.sub(r"\1\2", gene_id)


def gene_index(genes: Sequence[Gene]) -> dict[str, list[int]]:
    """Genes by what they may be called: identifier, that without version, name.

    Returns
    -------
    Indices of all genes of that name. A name that is an identifier is the identifier's only, and one that is
    an identifier without version is no symbol.
    """
    index: dict[str, list[int]] = {}
    kinds: tuple[Callable[[Gene], str], ...] = (
        lambda gene: gene.gene_id,
        lambda gene: without_version(gene.gene_id),
        lambda gene: gene.gene_name,
    )
    for name_of in kinds:
        found = defaultdict(list)
        for place, gene in enumerate(genes):
            found[name_of(gene)].append(place)
        index |= {name: places for name, places in found.items() if name and name not in index}
    return index


def genes_called(name: str, index: Mapping[str, list[int]]) -> list[int]:
    """Indices in a `gene_index` of the genes of this name, or of an identifier's other versions."""
    return index.get(name) or index.get(without_version(name)) or []


def find_genes(names: Sequence[str], genes: Sequence[Gene]) -> tuple[list[Gene], list[str]]:
    """Genes that were asked for by identifier, with or without version, or by name.

    Returns
    -------
    The genes, each once, in the order of `names`; and the names that no gene has.

    Raises
    ------
    ConfigError
        Several genes have a name; their identifiers are listed.
    """
    index = gene_index(genes)
    places = {name: genes_called(name, index) for name in names}
    several = [name for name, found in places.items() if len(found) > 1]
    if several:
        raise ConfigError(
            f"{len(several)} of the genes asked for could be several genes.",
            where=", ".join(several[:_SHOWN]),
            expected="an identifier, or a name that one gene has",
            got="; ".join(
                f"{name}: {', '.join(genes[i].gene_id for i in places[name])}" for name in several[:_SHOWN]
            ),
            fix="give the identifier",
        )
    found = dict.fromkeys(place for name in names for place in places[name])
    return [genes[place] for place in found], [name for name in names if not places[name]]


def genes_of_cohort(genes: Sequence[Gene], names: Sequence[str], purpose: str) -> list[Gene]:
    """The genes that were asked for, by identifier or name, each once.

    Raises
    ------
    ConfigError
        A gene is not one of the cohort's, or a name is several genes'.
    """
    found, unknown = find_genes(names, genes)
    if unknown:
        verb = "is" if len(unknown) == 1 else "are"
        raise ConfigError(
            f"{len(unknown)} of the genes {purpose} {verb} not among the cohort's genes.",
            expected=f"identifiers or names, such as {', '.join(gene.gene_id for gene in genes[:3])}",
            got=", ".join(unknown[:5]),
        )
    return found


def near_genes(wanted: str, genes: Sequence[Gene]) -> list[str]:
    """Identifiers and names that look like one that no gene has."""
    known = {called.upper(): called for g in genes for called in (g.gene_id, g.gene_name) if called}
    return [known[close] for close in difflib.get_close_matches(wanted.upper(), known, 5)]


def match_genes(
    measured: Sequence[Gene],
    table: Sequence[Gene],
    where: object,
    dropped: Dropped,
    bodies: Mapping[str, Interval] | None = None,
) -> tuple[dict[int, Gene], tuple[str, ...]]:
    """Find each measured gene in the gene table: by identifier, else that without version, else name.

    Of several genes of the table, that on the measured gene's contig is meant, or at its very place.

    Parameters
    ----------
    measured
        Genes of the expression file.
    table
        Genes with the TSS and strand to use.
    where
        The gene table, named in errors.
    bodies
        Stretches of measured genes that are longer than a TSS.

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
        A gene is found twice, could be several, or lies elsewhere in the two files; or no gene is found.
    """
    index, found = gene_index(table), dict[int, Gene]()
    several: dict[str, list[Gene]] = {}
    for place, gene in enumerate(measured):
        candidates = _nearest(gene, [table[i] for i in genes_called(gene.gene_id, index)])
        if not candidates:
            dropped.add("gene", "not in the gene table", gene.gene_id)
        elif len(candidates) > 1:
            several[gene.gene_id] = candidates
        else:
            found[place] = candidates[0]
    _require_one(several, where)
    if not found:
        raise InputError(
            "No gene of the expression file is in the gene table.",
            where=where,
            expected=", ".join(gene.gene_id for gene in measured[:3]),
            got=", ".join(gene.gene_id for gene in table[:3]),
            fix=_other_identifiers(measured, table),
        )
    _require_once(measured, found, where)
    notes = _compare(measured, found, where, bodies or {})
    return {i: _renamed(gene, measured[i].gene_id) for i, gene in found.items()}, notes


def _other_identifiers(measured: Sequence[Gene], table: Sequence[Gene]) -> str:
    known = {without_version(gene.gene_id): gene.gene_id for gene in table}
    for gene in measured[:_SHOWN]:
        parts = (without_version(part) for part in re.split(r"[|_;:/ ]", gene.gene_id))
        if inside := next((known[part] for part in parts if part in known), None):
            return f"give identifiers alone: {gene.gene_id} of the expression file is {inside} there"
    return "name genes alike in both files: by identifier, or by the names of the table's gene_name"


def _nearest(gene: Gene, candidates: Sequence[Gene]) -> list[Gene]:
    """Those of its contig, and of these those of its TSS, as long as there are any; the same one once."""
    left = list(dict.fromkeys(candidates))
    tests: tuple[Callable[[Gene], bool], ...] = (
        lambda other: plain_contig(other.contig) == plain_contig(gene.contig),
        lambda other: other.tss == gene.tss,
    )
    for fits in tests:
        if len(left) > 1:
            left = [other for other in left if fits(other)] or left
    return left


def _require_one(several: Mapping[str, Sequence[Gene]], where: object) -> None:
    if several:
        listed = list(several.items())[:_SHOWN]
        more = f" (and {len(several) - len(listed)} more)" if len(several) > len(listed) else ""
        raise InputError(
            f"Gene {listed[0][0]} could be several genes of the gene table.",
            where=where,
            got="; ".join(f"{name}: {', '.join(gene.gene_id for gene in genes)}" for name, genes in listed)
            + more,
            fix="use the gene table of the same release; where genes have names, put identifiers in their "
            "place in the expression file, or leave their rows out",
        )


def _require_once(measured: Sequence[Gene], found: Mapping[int, Gene], where: object) -> None:
    users: dict[str, str] = {}
    for index, gene in found.items():
        other = users.setdefault(gene.gene_id, measured[index].gene_id)
        if other != measured[index].gene_id:
            raise InputError(
                f"Two genes of the expression file are {gene.gene_id} in the gene table.",
                where=where,
                got=f"{other} and {measured[index].gene_id}",
                fix="keep one of these rows in the expression file",
            )


def _compare(
    measured: Sequence[Gene], found: Mapping[int, Gene], where: object, bodies: Mapping[str, Interval]
) -> tuple[str, ...]:
    """Refuse genes that lie elsewhere in the two files; tell of smaller differences."""
    pairs = [(measured[index], gene) for index, gene in found.items()]
    gaps = [_gap(a, b, bodies) for a, b in pairs]
    apart = [plain_contig(a.contig) != plain_contig(b.contig) for a, b in pairs]
    far = [pair for pair, gap, other in zip(pairs, gaps, apart, strict=True) if other or gap > _FAR]
    if far:
        a, b = far[0]
        raise InputError(
            f"{len(far)} of {len(pairs)} genes lie elsewhere in the gene table.",
            where=f"{where}, gene {b.gene_id}",
            expected=f"{a.contig}:{a.tss + 1}, as in the expression file",
            got=f"{b.contig}:{b.tss + 1}",
            fix=one_naming([a.contig, b.contig]) or "use a gene table of the expression file's genome build",
        )
    return tuple(_differences(pairs, [gap for gap in gaps if gap], bodies))


def _differences(
    pairs: Sequence[tuple[Gene, Gene]], moved: Sequence[int], bodies: Mapping[str, Interval]
) -> Iterator[str]:
    """What is not the same in the two files, in words."""
    same = [without_version(a.gene_id) == without_version(b.gene_id) for a, b in pairs]
    versions = sum(a.gene_id != b.gene_id for (a, b), alike in zip(pairs, same, strict=True) if alike)
    long = sum(a.gene_id in bodies for a, _ in pairs)
    turned = sum(bool(a.strand and b.strand and a.strand != b.strand) for a, b in pairs)
    if versions:
        yield f"{versions} of {len(pairs)} genes found in the gene table only without their version"
    if not all(same):
        yield f"{len(pairs) - sum(same)} of {len(pairs)} genes found in the gene table by their name"
    if long:
        yield (
            f"{long} of {len(pairs)} genes are stretches longer than one base in the expression file; the "
            "gene table's TSS is used"
        )
    if moved:
        yield (
            f"{len(moved)} of {len(pairs)} genes have another TSS in the gene table than in the expression "
            f"file (by up to {max(moved):,} bases); the gene table's is used"
        )
    if turned:
        yield f"{turned} of {len(pairs)} genes have another strand in the gene table, which is used"


def _gap(a: Gene, b: Gene, bodies: Mapping[str, Interval]) -> int:
    """Bases from the TSS, or the stretch, of the expression file to the gene table's TSS."""
    body = bodies.get(a.gene_id, Interval(a.contig, a.tss, a.tss + 1))
    return max(body.start - b.tss, b.tss - (body.end - 1), 0)


def _renamed(gene: Gene, gene_id: str) -> Gene:
    return Gene(gene_id, gene.contig, gene.tss, gene.strand, gene.gene_name)


_LISTS: Final = (".txt", ".tsv", ".csv", ".list", ".gz")
"""How names of files end that are no names of genes."""
_HEADERS: Final = frozenset(
    {
        *("gene_id", "gene_name", "gene", "genes", "symbol", "phenotype_id", "id", "name"),
        *("gene_symbol", "hgnc_symbol", "ensembl_gene_id", "ensembl_id", "geneid"),
    }
)
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
