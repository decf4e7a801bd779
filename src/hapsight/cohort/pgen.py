"""Phased genotypes from PLINK 2's PGEN; pgenlib (LGPL-3) is an optional package, imported when asked for."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.contigs import find_contig, plink_contigs, resolve_contig
from hapsight.cohort.genotype_source import keep_few_open
from hapsight.cohort.genotypes import require_samples, variants_of
from hapsight.cohort.nouns import Dropped, Interval, Variants
from hapsight.cohort.ploidy import Sex, parse_sexes
from hapsight.cohort.policies import GenotypePolicy, RowFilter
from hapsight.cohort.pvar import Pvar, Site, map_text, read_pvar
from hapsight.cohort.records import MISSING, NO_HARD_CALL, RecordReader
from hapsight.cohort.reference import Reference
from hapsight.cohort.tables import read_lines, require_file, require_unique
from hapsight.errors import InputError, MissingExtraError, in_shell, plural

__all__ = ["PgenFile"]

_FAM_COLUMNS: Final = 5
"""The least that PLINK 2 takes for a ``.psam`` without a header line."""

_MISSING: Final = -9
"""How pgenlib writes an allele that is not known."""


class PgenFile:
    """A ``.pgen`` with its ``.pvar`` (or ``.pvar.zst``) and ``.psam``; else as `GenotypeFile`.

    Contigs are a human's chromosomes: PAR1, PAR2, XY and 25 are parts of X; 23, 24 and 26 are X, Y and MT.
    Hard calls are read, and what PLINK 2 keeps of them: haploid calls come as homozygous ones, and a call of
    which one allele is missing is missing. Memory holds the kept people's calls of a window, and about ten
    bytes for each site of the file, whoever and however many its people are.

    Raises
    ------
    MissingExtraError
        pgenlib is not installed.
    InputError
        One of the three files is missing or broken, they do not belong together, or a person asked for is
        not there.
    """

    def __init__(
        self,
        path: Path | str,
        samples: Sequence[str] | None = None,
        policy: GenotypePolicy = GenotypePolicy(),
    ) -> None:
        self.path = Path(path)
        require_file(self.path, "genotype")
        self._psam = _beside(self.path, ".psam")
        self._pvar = read_pvar(_beside(self.path, ".pvar", ".pvar.zst"))
        self.samples_in_file = _read_people(self._psam)
        names = tuple(self._pvar.blocks)
        self._parts = plink_contigs(names) if self._pvar.human else {name: (name,) for name in names}
        self.contigs = tuple(self._parts)
        self._open: tuple[int, Any, mmap.mmap] | None = None
        self._keep(self.samples_in_file if samples is None else samples, policy)
        self._handles()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_open": None}

    def __repr__(self) -> str:
        return f"PgenFile({str(self.path)!r}, {plural(len(self.samples), 'people')})"

    @cached_property
    def sexes(self) -> dict[str, Sex]:
        """Sex of people, where the ``.psam`` says it.

        Raises
        ------
        InputError
            It says neither 1 nor 2 (nor a word for these), nor that it is not known.
        """
        return _read_sexes(self._psam, self.samples_in_file)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The three files."""
        return self.path, self._pvar.path, self._psam

    def resolve(self, contig: str) -> str:
        """The file's own name of a contig; an error that lists its contigs where it has none."""
        return resolve_contig(contig, self.contigs, self._pvar.path)

    def names_in_file(self, contig: str) -> tuple[str, ...]:
        """PLINK 2's contigs that one of `contigs` consists of, such as PAR1 and X."""
        return self._parts[contig]

    def keeping(self, samples: Sequence[str], policy: GenotypePolicy) -> PgenFile:
        """The same file, read for these people and by this policy; its sites are not gone through again.

        Raises
        ------
        InputError
            A person is not there, or is asked for twice.
        """
        other = PgenFile.__new__(PgenFile)
        other.__dict__.update(self.__getstate__())
        other._keep(samples, policy)
        return other

    def read(
        self, interval: Interval, reference: Reference | None = None, dropped: Dropped | None = None
    ) -> tuple[Variants, Dropped]:
        """As `GenotypeFile.read`, by the same rules.

        Raises
        ------
        InputError
            A record offends against a policy of ``"error"``, or the file is damaged.
        """
        contig = self.resolve(interval.contig)
        dropped, policy = Dropped() if dropped is None else dropped, self.policy
        order = np.argsort(np.argsort(self._columns)).astype(np.intp)
        cutter = RecordReader(
            self.path, interval, order, self.samples, policy.snv_only, policy.duplicates, dropped
        )
        keep = RowFilter(self.path, self.samples, policy, reference, dropped)
        records = self._records(Interval(contig, max(interval.start, 0), max(interval.end, 0)))
        parts = [keep.apply(rows) for rows in cutter.blocks(records)]
        return variants_of(interval.contig, parts, self.samples, policy.ploidy), dropped

    @property
    def has_phase_sets(self) -> bool:
        """PLINK 2 keeps no phase sets: it takes all phased calls of a chromosome for one."""
        return False

    def phase_sets(self, variants: Variants) -> NDArray[np.int64]:
        """(V, N) zeros: one set."""
        return np.zeros((len(variants), len(self.samples)), np.int64)

    def expected_records(self, interval: Interval) -> float:
        """About how many records lie in `interval`, from the index of the sites."""
        contig = find_contig(interval.contig, self.contigs)
        parts = self._parts[contig] if contig is not None else ()
        return sum(self._pvar.density(part).within(interval) for part in parts)

    def close(self) -> None:
        """Let go of open files, which are opened again when they are read."""
        self._open = None

    def _keep(self, samples: Sequence[str], policy: GenotypePolicy) -> None:
        self.samples, self.policy = tuple(samples), policy
        require_samples(self.path, self.samples, self.samples_in_file)
        column = {name: i for i, name in enumerate(self.samples_in_file)}
        self._columns = np.array([column[name] for name in self.samples], dtype=np.uint32)

    def _records(self, interval: Interval) -> Iterator[_Record]:
        _, reader, text = self._handles()
        for site in self._sites(interval, text):
            calls = _Calls(self.path, reader, site.number, len(self.samples))
            yield _Record.of(interval.contig, site, calls)

    def _sites(self, interval: Interval, text: mmap.mmap) -> Iterable[Site]:
        """Rows of a contig by position, from all its parts."""
        parts = (replace(interval, contig=part) for part in self._parts[interval.contig])
        found = chain.from_iterable(self._pvar.sites(part, text) for part in parts)
        return found if len(self._parts[interval.contig]) == 1 else sorted(found, key=_position)

    def _handles(self) -> tuple[int, Any, mmap.mmap]:
        """Open files of the running process: handles that came through a fork share their position."""
        if self._open is None or self._open[0] != os.getpid():
            reader = _open_pgen(self.path, self._pvar, len(self.samples_in_file), np.sort(self._columns))
            self._open = (os.getpid(), reader, map_text(self._pvar.path))
        keep_few_open(self)
        return self._open


@dataclass(frozen=True, slots=True)
class _Calls:
    """The calls of one site, read when they are wanted."""

    path: Path
    reader: Any
    number: int
    people: int

    def array(self) -> NDArray[np.int16]:
        """(N, 3) two allele numbers (or `MISSING`, `NO_HARD_CALL`) and the phase, as cyvcf2 has them."""
        alleles = np.empty(2 * self.people, np.int32)
        phased = np.empty(self.people, np.uint8)
        try:
            self.reader.read_alleles_and_phasepresent(self.number, alleles, phased)
        except RuntimeError as error:
            raise InputError(
                "The PGEN is damaged: a site's genotypes cannot be read.",
                where=f"{self.path}, site {self.number + 1}",
                got=error,
                fix="copy the file again; look at it with: plink2 --validate",
            ) from error
        missing = alleles == _MISSING
        if missing.any():
            alleles[missing] = np.where(np.repeat(self._has_dosage(), 2), NO_HARD_CALL, MISSING)[missing]
        return np.column_stack([alleles.reshape(-1, 2), phased]).astype(np.int16)

    def _has_dosage(self) -> NDArray[np.bool_]:
        """(N,) who has a dosage at this site."""
        dosage = np.empty(self.people, np.float32)
        try:
            self.reader.read_dosages(self.number, dosage)
        except RuntimeError:  # a damaged site, of which the calls could be read
            return np.zeros(self.people, np.bool_)
        return np.asarray(dosage >= 0)


@dataclass(frozen=True, slots=True)
class _Record:
    """A site in the form of cyvcf2's records, so that both formats go through the same rules."""

    CHROM: str
    POS: int
    ID: str | None
    REF: str
    ALT: tuple[str, ...]
    genotype: _Calls
    FORMAT: tuple[str, ...] = ("GT",)

    @classmethod
    def of(cls, contig: str, site: Site, calls: _Calls) -> _Record:
        return cls(contig, site.position + 1, site.name, site.ref, site.alts, calls)

    def __str__(self) -> str:
        return "\t".join([self.CHROM, str(self.POS), self.ID or ".", self.REF, ",".join(self.ALT) or "."])


def _position(site: Site) -> int:
    return site.position


def _open_pgen(path: Path, pvar: Pvar, people: int, columns: NDArray[np.uint32]) -> Any:
    """The reader of these people; pgenlib refuses a file with other numbers of people or sites."""
    options: dict[str, Any] = {"allele_idx_offsets": pvar.allele_offsets(), "sample_subset": columns}
    try:
        return _pgenlib(path).PgenReader(os.fsencode(path), people, pvar.count, **options)
    except RuntimeError as error:
        raise InputError(
            "The PGEN cannot be read, or does not belong to the .pvar and .psam beside it.",
            where=path,
            expected=f"{plural(people, 'people')} ({path.with_suffix('.psam').name}), "
            f"{pvar.count:,} sites ({pvar.path.name})",
            got=_words(error),
            fix="give the three files of one plink2 --make-pgen",
        ) from error


def _words(error: RuntimeError) -> str:
    """What pgenlib says, which is bytes at times."""
    said = error.args[0] if error.args else error
    return (said.decode(errors="replace") if isinstance(said, bytes) else str(said)).strip()


def _pgenlib(path: Path) -> ModuleType:
    try:
        import pgenlib
    except ImportError:
        raise MissingExtraError(
            "PGEN is read with pgenlib.",
            where=path,
            got="no package pgenlib",
            fix="pip install 'hapsight[pgen]', or give the phased VCF that it was made from (plink2 2.00a3.5 "
            "exports unphased calls at multi-allelic sites as phased)",
        ) from None
    module: ModuleType = pgenlib
    return module


def _beside(path: Path, *suffixes: str) -> Path:
    for suffix in suffixes:
        if path.with_suffix(suffix).is_file():
            return path.with_suffix(suffix)
    raise InputError(
        f"The PGEN has no {suffixes[0]} beside it.",
        where=path,
        expected=" or ".join(str(path.with_suffix(suffix)) for suffix in suffixes),
        fix="put the three files of one plink2 --make-pgen into one folder, under one name (with .bim and "
        f".fam: plink2 --bpfile {in_shell(path.with_suffix(''))} --make-pgen --out NEW)",
    )


def _read_people(path: Path) -> tuple[str, ...]:
    """Identifiers (IID) of a ``.psam``, in its order; without a header line its columns are a ``.fam``'s."""
    lines = [line for line in read_lines(path, ".psam") if line and not line.startswith("##")]
    names = lines[0].split() if lines else []
    if names and names[0].startswith("#") and "IID" in (bare := [name.lstrip("#") for name in names]):
        column, lines = bare.index("IID"), lines[1:]
    elif len(names) >= _FAM_COLUMNS and not names[0].startswith("#"):
        column = 1
    else:
        raise InputError(
            "The .psam has no header line.",
            where=path,
            expected="#FID IID ... or #IID ...; or, without it, the columns of a .fam: FID IID PAT MAT SEX",
            got=lines[0][:60] if lines else "an empty file",
            fix="write it again with: plink2 --make-pgen",
        )
    people = tuple(_identifier(line, column, path) for line in lines)
    require_unique(people, "person", path)
    return people


def _identifier(line: str, column: int, path: Path) -> str:
    fields = line.split()
    if len(fields) <= column:
        raise InputError("A row of the .psam is broken.", where=path, got=line[:60])
    return fields[column]


def _read_sexes(path: Path, people: Sequence[str]) -> dict[str, Sex]:
    """Sex of the people of a ``.psam``, in its order; nobody's where it has no column for it."""
    lines = [line for line in read_lines(path, ".psam") if line and not line.startswith("##")]
    header = [name.lstrip("#").upper() for name in lines[0].split()]
    if not lines[0].startswith("#"):  # as a .fam: FID, IID, father, mother, sex
        header, lines = ["FID", "IID", "PAT", "MAT", "SEX"], ["", *lines]
    if "SEX" not in header:
        return {}
    column = header.index("SEX")
    rows = (line.split() for line in lines[1:])
    cells = (row[column] if len(row) > column else None for row in rows)
    return parse_sexes(zip(people, cells, strict=True), path)
