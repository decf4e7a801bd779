"""Genes and their transcription starts, from GTF, BED, a TSV or the phenotype BED."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

from hapsight.cohort.expression import phenotype_columns, read_expression, require_tss
from hapsight.cohort.nouns import Gene, Strand
from hapsight.cohort.tables import read_lines, read_table, require_unique
from hapsight.errors import InputError

__all__ = ["GeneFormat", "gene_format", "gtf_rows", "read_genes"]

GeneFormat = Literal["gtf", "bed", "tsv", "phenotype_bed"]

_TSV_COLUMNS: Final = ("gene_id", "chrom", "tss", "strand")
_WHOLE: Final = re.compile(r"([0-9]{1,10})(?:\.0+)?")
"""A place; as pandas writes it where others of its column are not known."""
_NO_GFF3: Final = "GFF3 is not read: use the GTF of the same release"
_TABLE: Final = "name the columns gene_id, chrom, tss (from 1) and strand (+ or -), with tabs between them"
_ATTRIBUTE: Final = re.compile(r'(?<!\w)(gene_id|gene_name|gene) "([^"]*)"')
"""`gene` is RefSeq's name of a gene."""
_TRANSCRIPT: Final = re.compile(r'(?<!\w)transcript_id "([^"]+)"')
_FIRST: Final = re.compile(r'gene_id "([^"]+)"')


def gene_format(path: Path | str) -> GeneFormat:
    """Which of the formats a gene file is: by its extension for GTF and Parquet, else by its first line.

    Raises
    ------
    InputError
        None of them.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        return "phenotype_bed"
    if ".gtf" in path.suffixes[-2:]:
        return "gtf"
    first = next(_rows(path), [])
    if set(_TSV_COLUMNS) <= set(_cells(first, path)):
        return "tsv"
    if phenotype_columns(first) and [name.lower() for name in first[4:6]] != ["score", "strand"]:
        return "phenotype_bed"
    if len(first) == 9 and 'gene_id "' in first[8]:
        return "gtf"
    if len(first) >= 4 and (_is_span(first) or _is_bed_header(first)):
        return "bed"
    raise InputError(
        "The gene file is in no format that is known.",
        where=path,
        expected="GTF; BED6; a TSV with gene_id, chrom, tss, strand; or a phenotype BED",
        got="\t".join(first[:6]) or "no rows",
        fix=_NO_GFF3 if len(first) == 9 else _TABLE,
    )


def _cells(first: list[str], path: Path) -> list[str]:
    """Names of columns in a header as `read_table` reads it."""
    cells = "\t".join(first).split(",") if ".csv" in path.suffixes else first
    if len(cells) == 1:  # of another separator, which is told when it is read
        cells = re.split("[ ,;]", cells[0])
    return [cell.strip().strip('"').strip() for cell in cells]


def read_genes(path: Path | str, repeats: bool = False) -> list[Gene]:
    """Read genes in the file's order; the format is found by `gene_format`.

    TSS: a GTF's start on ``+`` and end on ``-`` (of a gene's record, or else its outermost transcripts);
    a BED's start on ``+`` and ``end - 1`` on ``-``; a TSV's column ``tss``, 1-based; a phenotype BED's
    as `read_expression` has it.

    Parameters
    ----------
    repeats
        Whether a gene may be there twice, as one of two contigs is in RefSeq's.

    Raises
    ------
    InputError
        Unknown format, a row without what is needed, or a gene twice.
    """
    path = Path(path)
    readers = {"gtf": _read_gtf, "bed": _read_bed, "tsv": _read_tsv, "phenotype_bed": _read_phenotypes}
    genes = readers[gene_format(path)](path)
    if not genes:
        raise InputError(
            "The gene file has no genes.",
            where=path,
            expected="rows of genes; in a GTF, of transcripts or exons at least",
            fix="use a GTF that has them: GENCODE's, or Ensembl's",
        )
    _require_places(genes, path)
    if not repeats:
        require_unique((gene.gene_id for gene in genes), "gene", path)
    return genes


def _require_places(genes: Iterable[Gene], path: Path) -> None:
    for gene in genes:
        if not gene.gene_id or not gene.contig or gene.tss < 0:
            raise InputError(
                "A gene has no name or no place.",
                where=f"{path}, gene {gene.gene_id or '?'}",
                expected="an identifier, a contig, and a TSS on it",
                got=f"contig {gene.contig or '?'}, TSS {gene.tss + 1}",
            )


def _rows(path: Path) -> Iterator[list[str]]:
    """Fields of each line; comments (``##``, ``#!``), track lines and empty lines passed over.

    Before the first row also any line of ``#`` that is too short for a row or a header.
    """
    begun = False
    for line in read_lines(path, "gene"):
        row = line.split("\t")
        comment = line.startswith(("##", "#!")) or (not begun and line.startswith("#") and len(row) < 4)
        if line and not comment and not line.startswith(("track", "browser")):
            begun = True
            yield row


def _read_phenotypes(path: Path) -> list[Gene]:
    measured = read_expression(path)
    require_tss(measured.genes, measured.bodies, path)
    return list(measured.genes)


def _read_tsv(path: Path) -> list[Gene]:
    table = read_table(path, "gene")
    lacking = [name for name in _TSV_COLUMNS if name not in table.columns]
    if lacking:
        raise InputError(
            "The first line of the gene table is not its header.",
            where=path,
            expected=", ".join(_TSV_COLUMNS),
            got=", ".join(table.columns[:6]),
        )
    genes = []
    for row in table.iter_rows(named=True):
        where = f"{path}, gene {row['gene_id']}"
        tss = _integer(row["tss"], "tss", where) - 1
        genes.append(
            Gene(
                row["gene_id"],
                row["chrom"],
                tss,
                Strand.parse(row["strand"], where),
                row.get("gene_name") or "",
            )
        )
    return genes


def _read_bed(path: Path) -> list[Gene]:
    rows = (row for row in _rows(path) if not _is_bed_header(row))
    return [_bed_gene(row, f"{path}, gene {row[3] if len(row) > 3 else '?'}") for row in rows]


def _bed_gene(row: list[str], where: str) -> Gene:
    if len(row) < 4:
        raise InputError(
            "A BED row is too short.", where=where, expected="4 columns or more", got="\t".join(row)
        )
    start, end = _integer(row[1], "start", where), _integer(row[2], "end", where)
    if end <= start:
        raise InputError(
            "A gene does not end behind its start.",
            where=where,
            expected="a start that counts from 0, before the end, on both strands",
            got=f"start {start}, end {end}",
        )
    strand = Strand.parse(row[5] if len(row) > 5 else None, where)
    if strand is None and end != start + 1:
        raise InputError(
            "A gene of a BED has no strand, so its TSS is not known.",
            where=where,
            expected="+ or - in column 6, or a stretch of one base",
            got=f"[{start}, {end})",
        )
    return Gene(row[3], row[0], end - 1 if strand is Strand.MINUS else start, strand)


def gtf_rows(path: Path, what: str, kinds: Collection[str]) -> Iterator[tuple[str, list[str]]]:
    """Where each row of a GTF is, and its 9 fields, of these kinds of feature, such as ``exon``.

    Raises
    ------
    InputError
        The file cannot be read; `what` names its part. Or a row, of any kind, has not 9 columns.
    """
    for number, line in enumerate(read_lines(path, what), start=1):
        if not line or line.startswith(("#", "track", "browser")):
            continue
        if line.count("\t") != 8:
            raise InputError(
                "A GTF row has not 9 columns.",
                where=f"{path}, line {number}",
                expected="tabs between",
                got=line[:80],
            )
        if line.split("\t", 3)[2] in kinds:
            yield f"{path}, line {number}", line.split("\t")


def _read_gtf(path: Path) -> list[Gene]:
    """Genes with a record of their own, then of transcripts only; where a file has neither, of exons."""
    found: dict[str, list[list[str]]] = {"gene": [], "transcript": []}
    for _, row in gtf_rows(path, "gene", found):
        found[row[2]].append(row)
    genes = [_gtf_gene(path, row) for row in found["gene"]]
    recorded = {gene.gene_id for gene in genes}
    rows = found["transcript"] or ([] if genes else [row for _, row in gtf_rows(path, "gene", ("exon",))])
    unrecorded = _by_gene(path, rows, recorded)
    return genes + [_gtf_gene(path, one[0], place) for one in unrecorded for place in _places(path, one)]


def _by_gene(path: Path, rows: Iterable[list[str]], recorded: Collection[str]) -> Iterable[list[list[str]]]:
    """Rows of each gene that is not `recorded`, on one contig and strand."""
    groups: dict[tuple[str, str, str], list[list[str]]] = {}
    for row in rows:
        first = _FIRST.match(row[8])
        gene_id = first[1] if first else _attributes(path, row)["gene_id"]
        if gene_id not in recorded:
            groups.setdefault((gene_id, row[0], row[6]), []).append(row)
    return groups.values()


_Span = tuple[int, int]
_COPY: Final = re.compile(r"_dup\d+$")
"""How UCSC's tables call a transcript that they have already at another place."""
_LONGEST_INTRON: Final = 2_000_000
_APART: Final = 100_000
"""Bases between transcripts of one name that are not of one gene (copies of it, in UCSC's tables)."""


def _places(path: Path, rows: Sequence[list[str]]) -> list[_Span]:
    """Where transcripts, or exons, of one name, contig and strand lie: a gene, or copies of one."""
    transcripts: dict[str, list[_Span]] = {}
    for row in rows:
        found = _TRANSCRIPT.search(row[8])
        span = _span(row[3], row[4], f"{path}, {row[0]}:{row[3]}")
        transcripts.setdefault(found[1] if found else "", []).append(span)
    whole = (span for spans in transcripts.values() for span in _joined(spans, _LONGEST_INTRON))
    copied = any(_COPY.search(transcript) for transcript in transcripts)
    return _joined(whole, 0 if copied else _APART)


def _joined(spans: Iterable[_Span], most: int) -> list[_Span]:
    """Spans, those in one between which `most` bases lie or fewer."""
    joined: list[_Span] = []
    for start, end in sorted(spans):
        if joined and start - joined[-1][1] <= most:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined


def _gtf_gene(path: Path, row: list[str], span: _Span | None = None) -> Gene:
    """The gene of a row, from its first base to its last one; those of the row, unless given."""
    attributes = _attributes(path, row)
    gene_id = attributes["gene_id"]
    where = f"{path}, gene {gene_id}"
    strand = Strand.parse(row[6], where)
    if strand is None:
        raise InputError("A gene of a GTF has no strand.", where=where, expected="+ or -", got=row[6])
    first, last = span or _span(row[3], row[4], where)
    tss = (first if strand is Strand.PLUS else last) - 1
    return Gene(gene_id, row[0], tss, strand, attributes.get("gene_name") or attributes.get("gene", ""))


def _attributes(path: Path, row: list[str]) -> dict[str, str]:
    attributes = dict(_ATTRIBUTE.findall(row[8]))
    if not attributes.get("gene_id"):
        raise InputError(
            "A GTF row has no gene_id.",
            where=f"{path}, {row[0]}:{row[3]}",
            expected='gene_id "..."; among its attributes',
            got=row[8][:80],
            fix=_NO_GFF3 if "=" in row[8] and '"' not in row[8] else None,
        )
    return attributes


def _is_span(row: list[str]) -> bool:
    return row[1].isdecimal() and row[2].isdecimal()


def _is_bed_header(row: list[str]) -> bool:
    return [name.lower() for name in row[1:3]] in (["start", "end"], ["chromstart", "chromend"])


def _span(start: str, end: str, where: str) -> _Span:
    """First and last base of a GTF's row, from 1."""
    first, last = _integer(start, "start", where), _integer(end, "end", where)
    if last < first:
        raise InputError(
            "A gene ends before it starts.",
            where=where,
            expected="start before end, on both strands",
            got=f"start {first}, end {last}",
        )
    return first, last


def _integer(text: str | None, what: str, where: str) -> int:
    found = _WHOLE.fullmatch((text or "").strip())  # of more kinds of spaces than int() takes
    if found is None:
        raise InputError(f"A gene's {what} is not a whole number.", where=where, got=repr(text)[:80])
    return int(found[1])
