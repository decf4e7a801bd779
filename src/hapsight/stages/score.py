"""Effects of any variants on all genes in a model's reach, on the reference or on a person's haplotypes.

Scores of variants as a file: Parquet, text, or VCF, by the name that is asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
import pysam
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Gene, Variants
from hapsight.cohort.records import hush_htslib
from hapsight.cohort.sites import read_sites
from hapsight.cohort.tables import csv_text
from hapsight.errors import ConfigError
from hapsight.explain.tables import SCORES
from hapsight.files import temporary_name
from hapsight.run.blocks import VariantReader
from hapsight.run.opened import Opened, Progress, policy_of
from hapsight.run.store import require_writable
from hapsight.sequence.edits import Edits
from hapsight.stages.explain import variant_rows
from hapsight.stages.predict import ModelRun
from hapsight.stages.valued_units import valuer_of

if TYPE_CHECKING:
    from hapsight.explain.mutations import Backgrounds
    from hapsight.sequence.haplotypes import Window

__all__ = [
    "MODES_OF_VCF",
    "Scored",
    "add_unreached",
    "keys_of",
    "longest_of",
    "merged",
    "of_people",
    "require_score_file",
    "score",
    "write_scores",
]

MODES_OF_VCF: Final = {".vcf": "w", ".vcf.gz": "wz", ".bcf": "wb"}
"""Names that ask for a VCF, and how pysam opens it."""

_TEXT: Final = {".tsv": "\t", ".txt": "\t", ".csv": ","}
_PACKED: Final = (".zst", ".bz2", ".xz", ".zip", ".bgz", ".Z")
_CONTIG: Final = re.compile(r"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]*")
"""Names of contigs that a VCF can have."""
_PARTS: Final = ("gene_id", "gene_name", "track", "haplotype", "without", "effect")
_DIRECTION: Final = "Consequence"
"""A last part of each entry, which `bcftools +split-vep` asks for: the effect's sign as a word."""
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
            expected=f".parquet, {', '.join(MODES_OF_VCF)}, or text by any other name; .gz is bgzipped",
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
        As `hapsight.explain.tables.SCORES`.
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
    kind = next((suffix for suffix in MODES_OF_VCF if named.name.endswith(suffix)), None)
    if kind is not None:
        _write_vcf(to, MODES_OF_VCF[kind], table, contigs)
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
        entries = f"Effects of ALT by {what}. Format: {'|'.join((*_PARTS, _DIRECTION))}"
        largest = f"Effect of ALT by {what}: the largest in size over genes, tracks and haplotypes"
        header.add_line(f'##INFO=<ID={key},Number=.,Type=String,Description="{entries}">')
        header.add_line(f'##INFO=<ID={key}_max,Number=A,Type=Float,Description="{largest}">')
    return header


def _info(rows: pl.DataFrame, names: Mapping[tuple[str, str], str]) -> Iterator[tuple[str, list[Any]]]:
    """INFO of one variant."""
    for run, own in rows.partition_by(["model", "read_out"], as_dict=True, maintain_order=True).items():
        key = names[run[0], run[1]]
        yield key, ["|".join(map(_shown, (*row, _word(row[-1])))) for row in own.select(_PARTS).iter_rows()]
        yield f"{key}_max", [max(own["effect"].to_list(), key=abs)]


def _word(effect: float) -> str:
    return "up" if effect > 0 else "down" if effect < 0 else "none"


def _shown(value: object) -> str:
    return f"{value:.7g}" if isinstance(value, float) else str(value).translate(_ESCAPED)


_Key = tuple[str, int, str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """The effects, and what has none.

    Attributes
    ----------
    table
        As `hapsight.explain.tables.SCORES`.
    dropped
        Variants that could not be read, that reach no gene, or that a haplotype has no room for.
    """

    table: pl.DataFrame
    dropped: Dropped


def score(
    opened: Opened, runs: Sequence[ModelRun], vcf: Path, sample: str | None, progress: Progress
) -> Scored:
    """Score every variant of a VCF on every gene of the cohort whose window it overlaps.

    Parameters
    ----------
    sample
        A person of the cohort, on both of whose haplotypes each variant is toggled; else the reference.

    Raises
    ------
    ConfigError
        The cohort has no such person.
    InputError
        The VCF cannot be read, or most REFs differ from the FASTA.
    """
    _require_person(opened, sample)
    contigs, dropped = read_sites(vcf, opened.cohort.reference, policy_of(opened.config.cohort))
    rows: list[dict[str, Any]] = []
    reached: set[_Key] = set()
    by_contig = {variants.contig: variants for variants in contigs}
    for run in runs:
        for done, gene in enumerate(opened.cohort.genes):
            progress(f"score {run.label}", done, len(opened.cohort.genes))
            if gene.contig in by_contig:
                rows += _gene_rows(opened, run, gene, by_contig[gene.contig], sample, reached, dropped)
        progress(f"score {run.label}", len(opened.cohort.genes), len(opened.cohort.genes))
    add_unreached(contigs, reached, dropped)
    return Scored(pl.DataFrame(rows, schema=SCORES), dropped)


def add_unreached(contigs: Sequence[Variants], reached: Set[_Key], dropped: Dropped) -> None:
    """Note the variants that are in no gene's window."""
    for variants in contigs:
        for key in keys_of(variants):
            if key not in reached:
                dropped.add("variant", "reaches no gene", _in_words(key))


def _require_person(opened: Opened, sample: str | None) -> None:
    if sample is not None and sample not in opened.cohort.samples:
        raise ConfigError(
            f"The cohort has no person {sample!r}.",
            expected=f"one of {', '.join(opened.cohort.samples[:5])} ...",
            got=sample,
        )


def _gene_rows(
    opened: Opened,
    run: ModelRun,
    gene: Gene,
    variants: Variants,
    sample: str | None,
    reached: set[_Key],
    dropped: Dropped,
) -> Iterator[dict[str, Any]]:
    """One row per background, variant of the gene's window, and track."""
    from hapsight.engine.outputs import at_gene
    from hapsight.explain.ism import ism_window, pair_effects

    valuer = valuer_of(opened, run)
    window = ism_window(gene, valuer)
    scored = variants.within(window.interval)
    if not len(scored):
        return
    keys = list(keys_of(scored))
    reached.update(keys)
    backgrounds, chosen, haplotypes = _backgrounds(opened, window, scored, sample)
    labels = {"gene_id": gene.gene_id, "gene_name": gene.gene_name, "model": run.label}
    labels |= {"read_out": run.read_out.name, "sample_id": sample or ""}
    for haplotype, background in haplotypes.items():
        pairs = backgrounds.pairs(chosen, np.array([background]))
        with at_gene(gene.gene_id):
            without, effect = pair_effects(backgrounds, pairs, valuer, opened.cohort.reference.fetch)
        place = {v: p for p, v in enumerate(pairs.variant.tolist())}
        for key, v, row in zip(keys, chosen.tolist(), variant_rows(gene, scored), strict=True):
            if v not in place:
                where = f"{_in_words(key)} {sample} haplotype {haplotype}"
                dropped.add("variant", "overlaps another that the haplotype carries", where)
                continue
            for t, name in enumerate(run.track_names):
                numbers = {"without": float(without[place[v], t]), "effect": float(effect[place[v], t])}
                track = {"track": name, "haplotype": haplotype}
                yield labels | track | row | {"pos": row["position"] + 1} | numbers


def _backgrounds(
    opened: Opened, window: Window, scored: Variants, sample: str | None
) -> tuple[Backgrounds, NDArray[np.intp], dict[int, int]]:
    """What to toggle in, where the scored variants are, and the backgrounds by haplotype (0: reference)."""
    from hapsight.explain.mutations import REFERENCE, Backgrounds, read_near

    cohort = opened.cohort
    if sample is None:
        nobody = replace(scored, alleles=np.zeros((len(scored), 1, 2), np.uint8), samples=("nobody",))
        everything, chosen = merged(nobody, scored)
        return Backgrounds.of_people(window, everything), chosen, {0: REFERENCE}
    near = read_near(window, VariantReader(cohort.genotypes, cohort.reference), longest_of(scored))
    everything, chosen = merged(of_people(near, [sample]), scored)
    backgrounds = Backgrounds.of_people(window, everything)
    return backgrounds, chosen, {h + 1: int(backgrounds.index[0, h]) for h in (0, 1)}


def longest_of(variants: Variants) -> int:
    """Bases that one of the variants takes away at most."""
    return int(Edits.of(variants).shortens_by.max(initial=0))


def of_people(variants: Variants, people: Sequence[str]) -> Variants:
    """The same variants in some of the people."""
    place = {name: index for index, name in enumerate(variants.samples)}
    alleles = variants.alleles[:, [place[name] for name in people]]
    return replace(variants, alleles=alleles, samples=tuple(people), one_copy=None)


def merged(carried: Variants, scored: Variants) -> tuple[Variants, NDArray[np.intp]]:
    """Both kinds of variants in order, in the people of the first; and where the scored ones are.

    A variant that is in both is one: people may carry it.
    """
    alleles = dict(zip(keys_of(carried), carried.alleles, strict=True))
    names = dict(zip(keys_of(carried), carried.variant_id, strict=True))
    names |= dict(zip(keys_of(scored), scored.variant_id, strict=True))
    keys = sorted(names, key=lambda key: key[1])
    none = np.zeros((len(carried.samples), 2), np.uint8)
    everything = Variants(
        scored.contig,
        np.array([position for _, position, _, _ in keys], np.int64),
        tuple(ref for _, _, ref, _ in keys),
        tuple(alt for _, _, _, alt in keys),
        tuple(names[key] for key in keys),
        np.array([alleles.get(key, none) for key in keys], np.uint8),
        carried.samples,
    )
    place = {key: index for index, key in enumerate(keys)}
    return everything, np.array([place[key] for key in keys_of(scored)], np.intp)


def keys_of(variants: Variants) -> Iterator[_Key]:
    """What makes a variant the same as another."""
    for position, ref, alt in zip(variants.position.tolist(), variants.ref, variants.alt, strict=True):
        yield variants.contig, position, ref, alt


def _in_words(key: _Key) -> str:
    contig, position, ref, alt = key
    return f"{contig}:{position + 1} {ref}>{alt}"
