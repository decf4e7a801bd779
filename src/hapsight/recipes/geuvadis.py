"""Geuvadis as Huang 2023 used it: 421 people's genotypes and LCL expression, hg19."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from hapsight.cohort.tables import read_lines
from hapsight.errors import InputError
from hapsight.files import write_atomically
from hapsight.recipes.remote import RemoteFile
from hapsight.run.config import load_config

__all__ = ["CONFIG", "FILES", "UNPACKED", "prepare"]

_ZENODO: Final = "https://zenodo.org/records/15596289/files/"
_HUANG: Final = (
    "https://raw.githubusercontent.com/ni-lab/personalized-expression-benchmark/"
    "65772e3819a56f740e6221041e3021bbab9a7051/"
)
_EXPRESSION: Final = "GD462.GeneQuantRPKM.50FN.samplename.resk10.txt.gz"

FILES: Final = (
    RemoteFile(
        "geuvadis.pgen", f"{_ZENODO}geuvadis.pgen", "phased genotypes", "2815f8e20f8a0acbdead2b0c0d6a00dc"
    ),
    RemoteFile(
        "geuvadis.psam", f"{_ZENODO}geuvadis.psam", "their people", "3c33d631dceccb43222341485b8658f8"
    ),
    RemoteFile(
        "geuvadis.pvar.zst",
        f"{_ZENODO}geuvadis.pvar.zst",
        "their variants",
        "51aad81267254695191d6284352b0523",
    ),
    RemoteFile(
        _EXPRESSION,
        _ZENODO + _EXPRESSION,
        "expression: RPKM, 10 PEER factors out",
        "500bffeed8e0f770c157e0189e9e50ae",
    ),
    RemoteFile(
        "gene_list.csv",
        f"{_HUANG}data/gene_list.csv",
        "the study's genes",
        "ed1b207b14313dbddef520413cbf9e40",
    ),
    RemoteFile(
        "samples.txt",
        f"{_HUANG}consensus/samples.txt",
        "the study's people",
        "0ba048e6dbb39dc6a6a9835e4528621f",
    ),
    RemoteFile(
        "hg19.fa.gz",
        "https://hgdownload.soe.ucsc.edu/goldenPath/hg19/bigZips/hg19.fa.gz",
        "hg19 sequence; no published checksum",
    ),
)
"""What is downloaded, by the name it gets."""

UNPACKED: Final = 2.0
"""Room that the made files take, as a multiple of what is downloaded."""

CONFIG: Final = """\
# Geuvadis as in Huang 2023: 421 people, LCL expression, hg19.
# More models, once `hapsight models fetch NAME` has brought their weights:
#   [[models]]
#   name = "enformer"      # or basenji2, expecto
name = "Geuvadis (Huang 2023)"
output = "run"
protocol = "huang2023"

[cohort]
genotypes = "geuvadis.pgen"
reference = "hg19.bgzip.fa.gz"
expression = "expression.bed"
genes = "genes.tsv"
samples = "samples.tsv"

[expression]
transform = "none"     # PEER factors are out of the values already

[[models]]
name = "xpresso"
"""

_HEADER: Final = ("TargetID", "Gene_Symbol", "Chr", "Coord")
_GENES: Final = ("gene_id", "chrom", "tss", "gene_name", "strand")
_CHUNK: Final = 1 << 22

Step = Callable[[str], None]
"""Called with what is made next."""


def prepare(folder: Path, say: Step) -> Path:
    """Make the cohort's files from what was downloaded, and the configuration last; what is made is kept.

    Parameters
    ----------
    folder
        Where `FILES` lie.

    Returns
    -------
    The path of ``geuvadis.toml``; one that is there already is the user's and stays as it is.

    Raises
    ------
    InputError
        A file is not laid out as the published one.
    """
    people = _people(folder / "samples.txt")
    steps: Sequence[tuple[str, Callable[[Path], None]]] = (
        ("samples.tsv", lambda path: _write(path, ["sample_id", *people])),
        ("genes.tsv", lambda path: _write_genes(folder / "gene_list.csv", path)),
        ("expression.bed", lambda path: _write_expression(folder / _EXPRESSION, people, path)),
        ("hg19.bgzip.fa.gz", lambda path: _write_reference(folder / "hg19.fa.gz", path)),
    )
    for name, make in steps:
        if not (folder / name).exists():
            say(name)
            make(folder / name)
    config = folder / "geuvadis.toml"
    if not config.exists():
        write_atomically(config, CONFIG.encode())
    load_config(config)
    return config


def _people(path: Path) -> list[str]:
    people = [line.strip() for line in read_lines(path, "sample list") if line.strip()]
    if not people or any(len(name.split()) > 1 for name in people) or len(set(people)) < len(people):
        raise _other_layout(path, "one person a line, none twice", f"{len(people)} lines")
    return people


def _write_genes(path: Path, out: Path) -> None:
    """The study's list, ``gene_id,chrom,tss,name,strand`` without a header, under hapsight's columns."""
    rows = [line.split(",") for line in read_lines(path, "gene list") if line]
    bad = next((row for row in rows if len(row) != len(_GENES) or row[4] not in ("+", "-")), None)
    if bad is not None or not rows:
        raise _other_layout(path, "lines of gene,contig,TSS,name,strand", ",".join(bad or []) or "nothing")
    _write(out, ["\t".join(_GENES), *("\t".join(row) for row in rows)])


def _write_expression(path: Path, people: Sequence[str], out: Path) -> None:
    """The study's people as a phenotype BED, sorted by place."""
    lines = list(read_lines(path, "expression"))
    header = lines[0].split("\t") if lines else []
    missing = [person for person in people if person not in header]
    if tuple(header[:4]) != _HEADER or missing:
        wanted = f"columns {', '.join(_HEADER)}, then people with {', '.join(missing[:3]) or people[0]}"
        raise _other_layout(path, wanted, ", ".join(header[:6]) or "an empty file")
    rows = [line.split("\t") for line in lines[1:]]
    uneven = next((row for row in rows if len(row) != len(header) or not row[3].isdecimal()), None)
    if uneven is not None:
        raise _other_layout(
            path, f"{len(header)} fields, the fourth a place", f"{uneven[0]}: {len(uneven)} fields"
        )
    chosen = [header.index(person) for person in people]
    rows.sort(key=lambda row: (row[2], int(row[3])))
    made = (
        "\t".join([row[2], str(int(row[3]) - 1), row[3], row[0], *(row[i] for i in chosen)]) for row in rows
    )
    _write(out, ["\t".join(["#chr", "start", "end", "phenotype_id", *people]), *made])


def _write_reference(path: Path, out: Path) -> None:
    """The same sequence in blocks, which can be indexed, and its index."""
    import pysam
    from pysam.utils import SamtoolsError

    part = out.with_name(f".{out.name}.{os.getpid()}.part.gz")
    indexes = [Path(f"{part}{suffix}") for suffix in (".fai", ".gzi")]
    try:
        with pysam.BGZFile(str(part), "w", None) as file:
            for block in _unpacked(path):
                file.write(block)
        pysam.faidx(str(part))
        for index, suffix in zip(indexes, (".fai", ".gzi"), strict=True):
            index.replace(f"{out}{suffix}")
        part.replace(out)
    except (OSError, SamtoolsError) as error:
        raise InputError("The reference cannot be compressed in blocks.", where=path, got=error) from error
    finally:
        for left in (part, *indexes):
            left.unlink(missing_ok=True)


def _unpacked(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path) as file:
            yield from _blocks(file)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            "The reference is damaged.", where=path, got=error, fix="delete it and run the recipe again"
        ) from error


def _blocks(file: gzip.GzipFile) -> Iterator[bytes]:
    while block := file.read(_CHUNK):
        yield block


def _write(path: Path, lines: Sequence[str]) -> None:
    write_atomically(path, ("\n".join(lines) + "\n").encode())


def _other_layout(path: Path, expected: str, got: str) -> InputError:
    return InputError("A file is not laid out as the published one.", where=path, expected=expected, got=got)
