"""Genotypes of any format, in one file or in one for each chromosome."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.contigs import find_contig, plain_contig, plink_contigs, resolve_contig
from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.nouns import Dropped, Interval, Variants
from hapsight.cohort.pgen import PgenFile
from hapsight.cohort.ploidy import Sex
from hapsight.cohort.policies import GenotypePolicy
from hapsight.cohort.reference import Reference
from hapsight.errors import InputError, in_shell, plural

__all__ = ["SplitGenotypes", "open_genotypes"]

_CHROM: Final = "{chrom}"
_SHOWN: Final = 5


def open_genotypes(
    given: Path | Sequence[Path], policy: GenotypePolicy = GenotypePolicy()
) -> GenotypeFile | PgenFile | SplitGenotypes:
    """Open genotypes: VCF, BCF or PGEN; one file, several, or a pattern such as ``chr{chrom}.vcf.gz``.

    Raises
    ------
    InputError
        A file is missing or broken (all that are missing are named), a pattern fits nothing, or the files
        do not fit each other.
    """
    expected = dict(found for path in _listed(given) for found in _expanded(path))
    absent = [path for path in expected if not os.path.isfile(path)]
    if absent and len(expected) > 1:
        raise InputError(
            f"{len(absent)} of {len(expected)} genotype files are not there.",
            where=_named(absent),
            fix="check the paths in the configuration",
        )
    parts = {path: _open_one(path, policy) for path in expected}
    for path, chromosome in expected.items():
        if chromosome is not None:
            _require_chromosome(chromosome, path, parts[path].contigs)
    return next(iter(parts.values())) if len(parts) == 1 else SplitGenotypes(tuple(parts.values()))


class SplitGenotypes:
    """Files of the same people, each with contigs of its own; else as `GenotypeFile`.

    Raises
    ------
    InputError
        Two files have records of one contig (parts of X in PGENs apart), or other people, or the same in
        another order.
    """

    def __init__(self, parts: Sequence[GenotypeFile | PgenFile]) -> None:
        self._parts = tuple(parts)
        _require_same_people(self._parts)
        self._parts_of = _by_contig(self._parts)

    def __repr__(self) -> str:
        return f"SplitGenotypes({plural(len(self._parts), 'file')}, {plural(len(self.samples), 'people')})"

    @property
    def samples_in_file(self) -> tuple[str, ...]:
        """All people, in the files' order."""
        return self._parts[0].samples_in_file

    @property
    def samples(self) -> tuple[str, ...]:
        """The kept people, in the order asked."""
        return self._parts[0].samples

    @property
    def contigs(self) -> tuple[str, ...]:
        """Contigs that have records, file by file."""
        return tuple(self._parts_of)

    @property
    def policy(self) -> GenotypePolicy:
        """Which variants are used, and what to do with bad ones."""
        return self._parts[0].policy

    @property
    def sexes(self) -> dict[str, Sex]:
        """Sex of people, where a file says it."""
        return {name: sex for part in self._parts for name, sex in part.sexes.items()}

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        return tuple(path for part in self._parts for path in part.paths)

    def resolve(self, contig: str) -> str:
        """The files' own name of a contig; an error that lists their contigs where there is none."""
        return resolve_contig(contig, self.contigs, _named([part.path for part in self._parts]))

    def keeping(self, samples: Sequence[str], policy: GenotypePolicy) -> SplitGenotypes:
        """The same files, read for these people and by this policy.

        Raises
        ------
        InputError
            A person is not there, or is asked for twice.
        """
        return SplitGenotypes([part.keeping(samples, policy) for part in self._parts])

    @property
    def has_phase_sets(self) -> bool:
        """Whether phased calls come in sets (FORMAT PS or PSL)."""
        return any(part.has_phase_sets for part in self._parts)

    def phase_sets(self, variants: Variants) -> NDArray[np.int64]:
        """As `GenotypeFile.phase_sets`, from the file that has the contig; of PGENs, none has any."""
        return self._parts_of[self.resolve(variants.contig)][0].phase_sets(variants)

    def expected_records(self, interval: Interval) -> float:
        """About how many records lie in `interval`, from indexes alone; 0 where these do not say.

        Raises
        ------
        InputError
            An index cannot be read.
        """
        contig = find_contig(interval.contig, self.contigs)
        parts = self._parts_of[contig] if contig is not None else ()
        return sum(part.expected_records(interval) for part in parts)

    def read(
        self, interval: Interval, reference: Reference | None = None, dropped: Dropped | None = None
    ) -> tuple[Variants, Dropped]:
        """As `GenotypeFile.read`, from the file that has the contig, or all that have a part of it.

        Raises
        ------
        InputError
            As there, or no file has the contig.
        """
        dropped = Dropped() if dropped is None else dropped
        parts = self._parts_of[self.resolve(interval.contig)]
        found = [part.read(interval, reference, dropped)[0] for part in parts]
        return (found[0] if len(found) == 1 else _in_order(found, self.policy)), dropped


def _listed(given: Path | Sequence[Path]) -> Sequence[Path]:
    return (given,) if isinstance(given, Path) else given


def _expanded(path: Path) -> list[tuple[Path, str | None]]:
    """The files of a pattern by their chromosomes, numbers first; of a path without one, itself."""
    if _CHROM not in str(path):
        return [(path, None)]
    before, *rest = (re.escape(part) for part in str(path).split(_CHROM))
    form = re.compile(before + r"(?P<chrom>[\w-]+)" + "(?P=chrom)".join(rest))
    names = glob.glob("*".join(glob.escape(part) for part in str(path).split(_CHROM)))
    found = [(fit[1], Path(name)) for name in names if (fit := form.fullmatch(name))]
    if not found:
        raise InputError(
            "No genotype file has a name of this pattern.",
            where=path,
            expected=f"{_CHROM} standing for a chromosome, such as {str(path).replace(_CHROM, '22')}",
            got=f"{plural(len(names), 'file')}, none with letters, digits, _ and - only in its place",
            fix="check the pattern in the configuration",
        )
    ordered = sorted(found, key=lambda one: (not one[0].isdecimal(), one[0].zfill(9)))
    return [(path, chromosome) for chromosome, path in ordered]


def _open_one(path: Path, policy: GenotypePolicy) -> GenotypeFile | PgenFile:
    if path.suffix in {".pvar", ".psam", ".zst"}:
        fix = "give the .pgen; the .pvar and .psam beside it are found by its name"
        raise InputError("This is not the file with the genotypes.", where=path, expected=".pgen", fix=fix)
    if path.suffix == ".bed":
        fix = "use the phased VCF that it was made from, or a PGEN of it"
        raise InputError("A PLINK 1 .bed has no phase.", where=path, expected="VCF, BCF or PGEN", fix=fix)
    return PgenFile(path, policy=policy) if path.suffix == ".pgen" else GenotypeFile(path, policy=policy)


def _require_chromosome(chromosome: str, path: Path, contigs: Sequence[str]) -> None:
    names = (chromosome, *plink_contigs([chromosome]))  # PAR1 is of X
    if not any(find_contig(name, contigs) for name in names):
        raise InputError(
            f"The genotype file named for chromosome {chromosome} has no records of it.",
            where=path,
            expected=f"contig {chromosome}, with or without 'chr'",
            got=f"contigs {', '.join(contigs[:_SHOWN]) or '(none)'}",
            fix="name the file for what it holds, or take it out of the folder",
        )


def _require_same_people(parts: Sequence[GenotypeFile | PgenFile]) -> None:
    first = parts[0]
    for part in parts[1:]:
        if part.samples_in_file == first.samples_in_file:
            continue
        pairs = enumerate(zip(first.samples_in_file, part.samples_in_file, strict=False))
        shorter = min(len(first.samples_in_file), len(part.samples_in_file))
        place = next((i for i, (a, b) in pairs if a != b), shorter)
        raise InputError(
            "Two genotype files do not have the same people in the same order.",
            where=f"{part.path}, sample {place + 1}",
            expected=f"{_at(first.samples_in_file, place)}, as in {first.path}",
            got=f"{_at(part.samples_in_file, place)}; {plural(len(part.samples_in_file), 'people')} "
            f"where that has {len(first.samples_in_file):,}",
            fix=_one_order(first.path, part.path),
        )


def _one_order(first: Path, other: Path) -> str:
    if other.suffix == ".pgen":
        return "plink2 --keep and --indiv-sort file put the people of all files into one order"
    return (
        f"bcftools query -l {in_shell(first)} > people.txt && bcftools view -S people.txt -Oz -o NEW.vcf.gz "
        f"{in_shell(other)} && bcftools index -t NEW.vcf.gz; then give NEW.vcf.gz "
        "(where people differ: take those whom all files "
        "have into people.txt, and make all files anew)"
    )


def _at(people: Sequence[str], place: int) -> str:
    return people[place] if place < len(people) else "nobody"


_Part = GenotypeFile | PgenFile


def _by_contig(parts: Sequence[_Part]) -> dict[str, tuple[_Part, ...]]:
    """The file of each contig; several where they are PGENs, each with other parts of X."""
    having: dict[str, list[tuple[str, _Part]]] = {}
    for part in parts:
        for contig in part.contigs:
            having.setdefault(plain_contig(contig), []).append((contig, part))
    for same in having.values():
        _require_apart(same)
    # chrX before X, as which PAR1 alone is known
    return {max((name for name, _ in same), key=len): _each_once(same) for same in having.values()}


def _each_once(same: Sequence[tuple[str, _Part]]) -> tuple[_Part, ...]:
    return tuple(dict.fromkeys(part for _, part in same))


def _require_apart(same: Sequence[tuple[str, _Part]]) -> None:
    """Refuse two files of one contig, unless PLINK 2 cut it into them."""
    contig, parts = same[0][0], _each_once(same)
    names = [part.names_in_file(name) for name, part in same if isinstance(part, PgenFile)]
    apart = len(names) == len(same) and len(set(chain(*names))) == sum(map(len, names))
    if len(parts) > 1 and not apart:
        paths = [part.path for part in parts]
        raise InputError(
            f"Two genotype files have records of contig {contig}.",
            where=_named(paths),
            expected="each contig in one file",
            fix=_one_file(paths),
        )


def _one_file(paths: Sequence[Path]) -> str:
    if any(path.suffix == ".pgen" for path in paths):
        return "leave one out; or make one PGEN of both (plink2 --pmerge-list), and give that"
    return (
        f"leave one out; or, if each has another part of it: bcftools concat -a -Oz -o NEW.vcf.gz "
        f"{in_shell(*paths)} && bcftools index -t NEW.vcf.gz, and give NEW.vcf.gz"
    )


def _in_order(found: Sequence[Variants], policy: GenotypePolicy) -> Variants:
    """Variants of parts of one contig, by position.

    Raises
    ------
    InputError
        Two parts have the same variant.
    """
    position = np.concatenate([one.position for one in found])
    order = np.argsort(position, kind="stable")
    ref, alt, names = (
        [text for one in found for text in getattr(one, of)] for of in ("ref", "alt", "variant_id")
    )
    sites = Counter(zip(position.tolist(), ref, alt, strict=True))
    if len(sites) < len(position):
        (place, *alleles), _ = sites.most_common(1)[0]
        raise InputError(
            "Two genotype files have the same variant.",
            where=f"{found[0].contig}:{place + 1} {'>'.join(alleles)}",
            expected="pseudo-autosomal variants in the file of PAR1 or PAR2, not in that of X too",
            fix="leave one file out, or make the file of X again from what plink2 --split-par writes",
        )
    return Variants(
        found[0].contig,
        position[order],
        tuple(ref[i] for i in order),
        tuple(alt[i] for i in order),
        tuple(names[i] for i in order),
        np.concatenate([one.alleles for one in found])[order],
        found[0].samples,
        policy.ploidy.one_copy(found[0].contig, position[order], found[0].samples),
    )


def _named(paths: Iterable[Path]) -> str:
    names = [str(path) for path in paths]
    return ", ".join(names[:_SHOWN]) + (f" ... ({len(names)})" if len(names) > _SHOWN else "")
