"""A user's own files: what each is, whether it can be read, and a configuration that names them.

A file's part in a cohort is found by looking into it: its first bytes, or the header and people of a table.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import tomli_w

from hapsight.cohort.check import CheckResult
from hapsight.cohort.expression import phenotype_columns, read_expression
from hapsight.cohort.genes import gene_format, read_genes
from hapsight.cohort.people import read_covariates, read_sample_sheet, sheet_columns
from hapsight.cohort.reference import Reference
from hapsight.cohort.split import open_genotypes
from hapsight.cohort.tables import read_lines
from hapsight.errors import ConfigError, HapsightError, IncompleteError, InputError, StoreError, plural
from hapsight.files import write_atomically
from hapsight.run.config import load_config

__all__ = ["NEEDED", "ROLES", "Sorted", "check_role", "quoted_path", "sort_files", "write_first_config"]

ROLES: Final = ("genotypes", "reference", "expression", "genes", "covariates", "samples")
NEEDED: Final = ("genotypes", "reference", "expression")
_BESIDE: Final = (".tbi", ".csi", ".fai", ".gzi", ".pvar", ".psam", ".zst", ".log", ".md", ".toml", ".json")
"""How files end that lie beside a cohort's and are named by no one."""
_HEAD: Final = 1 << 16
_EXPECTED: Final = (
    "VCF, BCF or PGEN; FASTA; phenotype BED; genes (GTF, BED6, or TSV with gene_id, chrom, tss, strand); "
    "covariates of the people in the expression file; or a sample sheet (sample_id, population, sex)"
)

_CONFIG: Final = """\
# Written by `hapsight init`. All keys, with what they mean: `hapsight schema`.
# Paths start at this file. `hapsight check`, `plan` and `run` take this file; all of them also take
# --genes, --region and --population.
name = {name}
output = "run"             # folder of all results; made by `hapsight run`

[cohort]
{cohort}
# keep_genes = ["PACSIN2", "my_genes.txt"]    # only these: ids, symbols, or files of them
# regions = ["chr22:41000000-42000000"]       # only genes whose TSS lies there
# populations = ["CEU"]                       # only people of these, by the sample sheet
# min_maf = 0.01                              # leave rarer variants out of people's sequences
# missing = "reference"    # "error" (what holds without this line), "reference" or "drop"
# unphased = "drop"        # "error" (what holds without this line) or "drop"

[expression]
{expression}

[[models]]
name = "mini"              # comes with hapsight; `hapsight models` lists the others
# [[models]]
# name = "enformer"        # `hapsight models fetch enformer` brings its weights

[baseline]
# methods = ["elastic_net"]    # linear baselines, trained on these people
# run = false                  # without them
"""


@dataclass
class Sorted:
    """Files by their part in a cohort.

    Attributes
    ----------
    paths
        By role; genotypes may be several.
    aside
        Files that have no part, and why.
    """

    paths: dict[str, list[Path]] = field(default_factory=dict)
    aside: dict[Path, str] = field(default_factory=dict)

    def add(self, role: str, path: Path) -> None:
        """Give a file its part."""
        self.paths.setdefault(role, []).append(path)


def sort_files(given: Iterable[Path]) -> Sorted:
    """Find out which part of a cohort each file is; of a folder, its files.

    Raises
    ------
    InputError
        A file is not there; or one that was named itself has no part in a cohort.
    ConfigError
        Several files have one part; or the genotypes have no phase.
    """
    given = list(given)
    files = [file for path in given for file in (_of_folder(path) if path.is_dir() else [path])]
    found, tables = Sorted(), list[Path]()
    for path in dict.fromkeys(files):
        role = _by_first_bytes(path) or _by_header(path)
        if role is None:
            tables.append(path)
        else:
            found.add(role, path)
    people = _people(found)
    for path in tables:
        _add_table(found, path, people, named=path in given)
    _require_one_each(found)
    return found


def _of_folder(folder: Path) -> list[Path]:
    hidden = (path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))
    return [path for path in hidden if path.suffix not in _BESIDE]


def _by_first_bytes(path: Path) -> str | None:
    head = _unpacked_head(path)
    if head[:2] == b"\x6c\x1b":
        if head[2:3] == b"\x01":
            raise ConfigError(
                "Genotypes of PLINK 1 have no phase: which variants lie on one haplotype is not in them.",
                where=path,
                expected="phased VCF, BCF or PGEN",
                fix="phase them (SHAPEIT, Eagle or Beagle), or take the phased file they were made from",
            )
        return "genotypes"
    if head.startswith((b"##fileformat=VCF", b"BCF")):
        return "genotypes"
    return "reference" if head.startswith(b">") else None


def _unpacked_head(path: Path) -> bytes:
    try:
        with open(path, "rb") as raw:
            head = raw.read(_HEAD)
    except OSError as error:
        raise InputError("There is no such file.", where=path, got=error.strerror) from None
    if not head.startswith(b"\x1f\x8b"):
        return head
    try:
        with gzip.open(path) as file:
            return file.read(64)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError("A gzipped file is damaged.", where=path, got=error) from None


def _by_header(path: Path) -> str | None:
    """What the header tells, where it does: expression, genes or samples."""
    if path.suffix == ".parquet":
        return "expression"
    header = _first_line(path)
    fields = header.split("," if path.suffixes[-2:-1] == [".csv"] or path.suffix == ".csv" else "\t")
    if phenotype_columns(fields) and [name.lower() for name in fields[4:6]] != ["score", "strand"]:
        return "expression"
    if "sample_id" in fields and ({"population", "sex"} & set(fields) or len(fields) == 1):
        return "samples"
    try:
        if {"sample_id", "population"} <= set(sheet_columns(fields, path).values()):
            return "samples"
        return "genes" if gene_format(path) != "phenotype_bed" else "expression"
    except HapsightError:
        return None


def _first_line(path: Path) -> str:
    try:
        return next((line for line in read_lines(path, "given") if line and not line.startswith("##")), "")
    except InputError:
        return ""


def _people(found: Sorted) -> Sequence[str]:
    """Of the expression file, by whom covariates are known."""
    paths = found.paths.get("expression", [])
    return read_expression(paths[0]).samples if len(paths) == 1 else ()


def _add_table(found: Sorted, path: Path, people: Sequence[str], named: bool) -> None:
    """Covariates are a table with the people of the expression file; anything else has no part."""
    try:
        read_covariates(path, people)
    except HapsightError as error:
        if named:
            raise InputError(
                "A file is none that a cohort consists of.",
                where=path,
                expected=_EXPECTED,
                got=_first_line(path)[:80] or "no text",
                fix="leave it out, or see docs/formats.md for how it should look",
            ) from None
        found.aside[path] = error.what
    else:
        found.add("covariates", path)


def _require_one_each(found: Sorted) -> None:
    for role, paths in found.paths.items():
        if role != "genotypes" and len(paths) > 1:
            folder = Path(os.path.commonpath([path.absolute().parent for path in paths]))
            raise ConfigError(
                f"Several files could be the {role}.",
                where=folder,
                expected="one",
                got=", ".join(str(path.absolute().relative_to(folder)) for path in paths[:5]),
                fix="name the files that you mean, without the others",
            )


def check_role(role: str, path: Path | Sequence[Path], opened: dict[str, Any]) -> CheckResult:
    """Open a file as its part of a cohort; what was read goes into `opened`, by role."""
    if role == "covariates" and "expression" not in opened:
        return CheckResult(role, "warn", "not checked: needs the people of the expression file")
    try:
        opened[role] = _READERS[role](path, opened)
    except HapsightError as error:
        details = tuple(f"{name}: {value}" for name, value in error.details.items())
        return CheckResult(role, "fail", error.what, details)
    return CheckResult(role, "pass", _SAID[role](opened[role]))


def write_first_config(found: Sorted, opened: Mapping[str, Any], out: Path) -> Path:
    """Write a commented configuration; call it when no file has failed.

    Parameters
    ----------
    opened
        By role, what `check_role` has read.

    Raises
    ------
    IncompleteError
        A part that every cohort needs is not among the files.
    StoreError
        There is a file of that name already.
    """
    if missing := [role for role in NEEDED if role not in found.paths]:
        raise IncompleteError(
            "The files are not all that a cohort needs.",
            expected="genotypes (VCF, BCF, PGEN), reference (FASTA), expression (phenotype BED)",
            got=f"no {', no '.join(missing)}",
            fix="name the missing files too",
        )
    if out.exists():
        raise StoreError(
            "There is a configuration already; it is not overwritten.", where=out, fix="give another --output"
        )
    text = _CONFIG.format(
        name=_toml(out.resolve().parent.name or "cohort"),
        cohort="\n".join(_lines(found, opened, out.resolve().parent)),
        expression=_expression(opened["expression"]),
    )
    write_atomically(out, text.encode())
    load_config(out)
    return out


def _lines(found: Sorted, opened: Mapping[str, Any], folder: Path) -> list[str]:
    lines = []
    for role in ROLES:
        paths = [_from(folder, path) for path in found.paths.get(role, [])]
        if paths:
            named = paths[0] if len(paths) == 1 else paths
            said = "".join(c if c.isprintable() else "?" for c in _SAID[role](opened[role]))
            lines.append(f"{role} = {_toml(named)}    # {said}")
    return lines


def _from(folder: Path, path: Path) -> str:
    """A path from the configuration's folder where it lies below, else from the root."""
    whole = path.absolute()
    return str(whole.relative_to(folder)) if whole.is_relative_to(folder) else str(whole)


def _expression(measured: Any) -> str:
    if float(measured.values.min()) < 0:
        return 'transform = "none"         # values below 0: normalised or logged already'
    return (
        'transform = "log10"        # log10(x + pseudocount), for TPM or RPKM; "none" if logged already\n'
        "pseudocount = 0.1"
    )


def _toml(value: str | list[str]) -> str:
    """A value as TOML, on one line."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return tomli_w.dumps({"x": value}).removeprefix("x = ").rstrip("\n")


def quoted_path(path: Path) -> str:
    """A path as a TOML string."""
    return _toml(str(path))


_READERS: Final[Mapping[str, Callable[[Any, Mapping[str, Any]], Any]]] = {
    "genotypes": lambda path, _: open_genotypes(path),
    "reference": lambda path, _: Reference(path),
    "expression": lambda path, _: read_expression(path),
    "genes": lambda path, _: read_genes(path, repeats=True),
    "covariates": lambda path, opened: read_covariates(path, opened["expression"].samples)[0],
    "samples": lambda path, _: read_sample_sheet(path),
}
_SAID: Final[Mapping[str, Callable[[Any], str]]] = {
    "genotypes": lambda file: f"{plural(len(file.samples), 'people')}; {_contigs(file.contigs)}",
    "reference": lambda file: _contigs(file.contigs),
    "expression": lambda one: f"{plural(len(one.genes), 'gene')} of {plural(len(one.samples), 'people')}",
    "genes": lambda genes: (
        f"{plural(len(genes), 'gene')}, {sum(g.strand is not None for g in genes):,} with a strand"
    ),
    "covariates": lambda one: (
        f"{plural(len(one.names), 'covariate')} of {plural(len(one.samples), 'people')}"
    ),
    "samples": lambda sheet: plural(len(sheet.samples), "people"),
}


def _contigs(names: Iterable[str]) -> str:
    listed = list(names)
    return f"{plural(len(listed), 'contig')}: {', '.join(listed[:3])}{' ...' if len(listed) > 3 else ''}"
