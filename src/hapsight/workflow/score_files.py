"""Scores of variants as a file: Parquet, text, or VCF, by the name that is asked for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl
import pysam

from hapsight.cohort.htslib import hush_htslib
from hapsight.disk import temporary_name
from hapsight.errors import ConfigError
from hapsight.predict.store import require_writable
from hapsight.spreadsheets import csv_text

__all__ = ["require_score_file", "write_scores"]

_VCF_MODES: Final = {".vcf": "w", ".vcf.gz": "wz", ".bcf": "wb"}
_TEXT: Final = {".tsv": "\t", ".txt": "\t", ".csv": ","}
_PACKED: Final = (".zst", ".bz2", ".xz", ".zip", ".bgz", ".Z")
_CONTIG: Final = re.compile(r"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]*")
"""Names of contigs that a VCF can have."""
_PARTS: Final = ("gene_id", "gene_name", "track", "haplotype", "without", "effect")
_ESCAPED: Final = str.maketrans({char: f"%{ord(char):02X}" for char in '%,;=|&\t\r\n "'})


def require_score_file(path: Path) -> None:
    """Refuse a file that `write_scores` could not write.

    Raises
    ------
    ConfigError
        Its name asks for a compression that is not written, or its folder cannot be written to.
    """
    if path.suffix in _PACKED:
        raise ConfigError(
            "Scores are not written in this compression.",
            where=path,
            expected=f".parquet, {', '.join(_VCF_MODES)}, or text by any other name; .gz is bgzipped",
            got=path.suffix,
        )
    require_writable(path)


def write_scores(
    path: Path, table: pl.DataFrame, contigs: Mapping[str, int], *, private: bool = False
) -> None:
    """Write scores, whole or not at all; an older file of that name is replaced.

    ``.parquet``; ``.vcf``, ``.vcf.gz`` (bgzipped) and ``.bcf``; else text, with commas in ``.csv`` and tabs
    elsewhere, bgzipped where the name ends in ``.gz``.

    Parameters
    ----------
    table
        As `hapsight.explain_tables.SCORES`.
    contigs
        Lengths of the FASTA's contigs, in their order.
    private
        The effects are on one person's haplotypes: nobody but the owner may read the file.
    """
    if path.exists() and not path.is_file():  # /dev/stdout, a pipe
        return _write(path, path, table, contigs)
    temporary = temporary_name(path)
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666))
        _write(temporary, path, table, contigs)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write(to: Path, named: Path, table: pl.DataFrame, contigs: Mapping[str, int]) -> None:
    kind = next((suffix for suffix in _VCF_MODES if named.name.endswith(suffix)), None)
    if kind is not None:
        _write_vcf(to, _VCF_MODES[kind], table, contigs)
    elif named.suffix == ".parquet":
        table.write_parquet(to)
    else:
        bare = named.with_suffix("") if named.suffix == ".gz" else named
        text = csv_text(table, _TEXT.get(bare.suffix, "\t")).encode()
        with pysam.BGZFile(str(to), "wb", None) if bare != named else to.open("wb") as file:
            file.write(text)


def _write_vcf(to: Path, mode: str, table: pl.DataFrame, contigs: Mapping[str, int]) -> None:
    """One record per variant, by place; what each model makes of it in INFO."""
    hush_htslib()
    rank = {contig: place for place, contig in enumerate(contigs)}
    parts = table.partition_by(["contig", "position", "ref", "alt"], as_dict=True, maintain_order=True)
    names = _info_names(table)
    header = _header(names, contigs, sorted(set(table["sample_id"]) - {""}))
    with pysam.VariantFile(str(to), mode, header=header) as file:
        for contig, position, ref, alt in sorted(parts, key=lambda key: (rank[key[0]], *key[1:])):
            rows = parts[contig, position, ref, alt]
            record = header.new_record(contig, position, alleles=(ref, alt), id=rows["variant_id"][0])
            for key, value in _info(rows, names):
                record.info[key] = value
            file.write(record)


def _info_names(table: pl.DataFrame) -> dict[tuple[str, str], str]:
    """INFO key of each model and read-out: the model's label, with what else tells them apart."""
    names: dict[tuple[str, str], str] = {}
    runs = table.select("model", "read_out").unique(maintain_order=True).rows()
    labels = [model for model, _ in runs]
    for model, read_out in runs:
        wanted = f"hapsight_{model}" + (f"_{read_out}" if labels.count(model) > 1 else "")
        key = plain = re.sub(r"\W", "_", wanted, flags=re.ASCII)
        number = 1
        while {key, f"{key}_max"} & {taken for name in names.values() for taken in (name, f"{name}_max")}:
            key = f"{plain}_{(number := number + 1)}"
        names[model, read_out] = key
    return names


def _header(
    names: Mapping[tuple[str, str], str], contigs: Mapping[str, int], people: list[str]
) -> pysam.VariantHeader:
    header = pysam.VariantHeader()
    for contig, length in contigs.items():
        if _CONTIG.fullmatch(contig):
            header.add_line(f"##contig=<ID={contig},length={length}>")
    on = f"haplotypes 1 and 2 of {people[0]}" if people else "the reference (haplotype 0)"
    for (model, read_out), key in names.items():
        what = f"{model}, {read_out}, on {on}".replace("\\", "").replace('"', "'")
        entries = f"Effects of ALT by {what}. Format: {'|'.join(_PARTS)}"
        largest = f"Effect of ALT by {what}: the largest in size over genes, tracks and haplotypes"
        header.add_line(f'##INFO=<ID={key},Number=.,Type=String,Description="{entries}">')
        header.add_line(f'##INFO=<ID={key}_max,Number=A,Type=Float,Description="{largest}">')
    return header


def _info(rows: pl.DataFrame, names: Mapping[tuple[str, str], str]) -> Iterator[tuple[str, list[Any]]]:
    """INFO of one variant."""
    for run, own in rows.partition_by(["model", "read_out"], as_dict=True, maintain_order=True).items():
        key = names[run[0], run[1]]
        yield key, ["|".join(map(_shown, row)) for row in own.select(_PARTS).iter_rows()]
        yield f"{key}_max", [max(own["effect"].to_list(), key=abs)]


def _shown(value: object) -> str:
    return f"{value:.7g}" if isinstance(value, float) else str(value).translate(_ESCAPED)
