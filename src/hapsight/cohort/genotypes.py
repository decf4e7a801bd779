"""Phased genotypes from an indexed VCF or BCF."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import cyvcf2
import numpy as np
import pysam
from numpy.typing import NDArray

from hapsight.cohort.contigs import find_contig, resolve_contig
from hapsight.cohort.density import (
    Density,
    index_densities,
    index_of,
    require_indexed,
    require_own_index,
    unreadable_index,
)
from hapsight.cohort.genotype_source import (
    PhaseSets,
    calls_of_lines,
    calls_of_records,
    keep_few_open,
    phase_set_tag,
    phase_sets_of,
    require_no_more_calls,
    require_people_once,
)
from hapsight.cohort.nouns import Dropped, Interval, Variants
from hapsight.cohort.ploidy import Ploidy, Sex
from hapsight.cohort.policies import GenotypePolicy, RowFilter
from hapsight.cohort.records import (
    PlainRecord,
    RecordReader,
    Rows,
    hush_htslib,
    plain_calls,
    without_leading_phase,
)
from hapsight.cohort.reference import Reference
from hapsight.errors import InputError, in_shell, plural

__all__ = ["GenotypeFile", "GenotypePolicy", "require_samples", "variants_of"]

_BYTES: Final = "latin-1"
"""Encoding of the text that pysam gives: a character for each byte, so that none is refused."""

_AT_ONCE: Final = 2 * 2**20
"""Bytes of lines whose calls are read at once."""

_MOST_LINES: Final = 512
"""That are read at once."""

_SITE: Final = 8
"""Columns of a line before FORMAT."""

_ONLY_GT: Final = "\tGT\t"
_GT: Final = "##FORMAT=<ID=GT,Number=1,Type=String,"


class GenotypeFile:
    """An indexed VCF or BCF and the people wanted from it; may be pickled, forked and shared by processes.

    Parameters
    ----------
    path
        A bgzipped VCF or a BCF, with its ``.tbi`` or ``.csi`` beside it.
    samples
        The people to keep, in this order; all of the file's by default.
    policy
        Which variants to use, and what to do with bad ones.

    Attributes
    ----------
    samples_in_file
        All people of the file, in its order.
    samples
        The kept people, in the order asked.
    contigs
        Contigs that have records.

    Raises
    ------
    InputError
        The file or its index is missing, is no VCF or BCF, is cut off, do not fit each other, or the file
        lacks a person asked for.
    """

    def __init__(
        self,
        path: Path | str,
        samples: Sequence[str] | None = None,
        policy: GenotypePolicy = GenotypePolicy(),
    ) -> None:
        self.path = Path(path)
        self.policy = policy
        require_indexed(self.path)
        self._is_bcf = _is_bcf(self.path)
        self.samples_in_file, self.contigs, self._phase_set_tag = _header(self.path, self._is_bcf)
        require_own_index(self.path)
        self.samples = self.samples_in_file if samples is None else tuple(samples)
        require_samples(self.path, self.samples, self.samples_in_file)
        self._open: tuple[int, Any, Any] | None = None
        self._densities: dict[str, Density] | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_open": None, "_densities": None}

    def __repr__(self) -> str:
        return f"GenotypeFile({str(self.path)!r}, {plural(len(self.samples), 'people')})"

    @property
    def sexes(self) -> dict[str, Sex]:
        """Sex of people, where the files say it: a VCF does not."""
        return {}

    @property
    def paths(self) -> tuple[Path, ...]:
        """The file."""
        return (self.path,)

    def keeping(self, samples: Sequence[str], policy: GenotypePolicy) -> GenotypeFile:
        """The same file, read for these people and by this policy.

        Raises
        ------
        InputError
            A person is not there, or is asked for twice.
        """
        return GenotypeFile(self.path, samples, policy)

    def resolve(self, contig: str) -> str:
        """The file's own name of a contig; an error that lists its contigs where it has none."""
        return resolve_contig(contig, self.contigs, self.path)

    def read(
        self, interval: Interval, reference: Reference | None = None, dropped: Dropped | None = None
    ) -> tuple[Variants, Dropped]:
        """Read the variants whose REF overlaps `interval`, and what was left out of them.

        A record with several ALTs becomes one row for each; a haplotype with an ALT that is left out
        (symbolic, ``*``) counts as reference there. FILTER is not looked at. A record without an
        identifier is named ``contig_position_ref_alt``.

        Parameters
        ----------
        interval
            Where; its contig may be named as ``22`` or ``chr22``, and names the result.
        reference
            Where given, every REF is compared with it.
        dropped
            Where what is left out is counted; by default anew.

        Returns
        -------
        Variants
            With people in the order of `samples`.
        Dropped
            Variants left out, by reason; and genotypes that were missing and read as reference.

        Raises
        ------
        InputError
            A record offends against a policy of ``"error"``, a call is not diploid, or the file is damaged.
        """
        contig = self.resolve(interval.contig)
        dropped = Dropped() if dropped is None else dropped
        cutter = RecordReader(
            self.path,
            interval,
            self._order(),
            self.samples,
            self.policy.snv_only,
            self.policy.duplicates,
            dropped,
        )
        keep = RowFilter(self.path, self.samples, self.policy, reference, dropped)
        records = self._records(Interval(contig, max(interval.start, 0), max(interval.end, 0)))
        parts = [keep.apply(rows) for rows in cutter.blocks(records)]
        return variants_of(interval.contig, parts, self.samples, self.policy.ploidy), dropped

    @property
    def has_phase_sets(self) -> bool:
        """Whether phased calls come in sets (FORMAT PS or PSL)."""
        return self._phase_set_tag is not None

    def phase_sets(self, variants: Variants) -> PhaseSets:
        """(V, N) phase set of each heterozygous call of variants (at least one) that were read here.

        Raises
        ------
        InputError
            The file is damaged.
        """
        if self._phase_set_tag is None:
            return np.zeros((len(variants), len(self.samples)), np.int64)
        first, last = int(variants.position[0]), int(variants.position[-1])
        interval = Interval(self.resolve(variants.contig), first, last + 1)
        found = self._handles()[2].fetch(interval.contig, interval.start, interval.end)
        try:
            if self._is_bcf:
                return phase_sets_of(variants, calls_of_records(found, self._phase_set_tag))
            lines = calls_of_lines(found, self._phase_set_tag, self.samples_in_file)
            return phase_sets_of(variants, lines)
        except (OSError, ValueError, LookupError) as error:
            self.close()
            raise self._damaged(interval, "records up to its end", error) from error

    def expected_records(self, interval: Interval) -> float:
        """About how many records lie in `interval`, from the index alone; 0 where it does not say.

        Raises
        ------
        InputError
            The index cannot be read.
        """
        if self._densities is None:
            header = pysam.VariantFile(str(self.path)).header if self._is_bcf else None
            names = [str(name) for name in header.contigs] if header is not None else []
            self._densities = index_densities(self.path, names)
        contig = find_contig(interval.contig, self._densities)
        return self._densities[contig].within(interval) if contig is not None else 0.0

    def _records(self, interval: Interval) -> Iterator[Any]:
        """Every record of the stretch, or an error."""
        if interval.end <= interval.start:
            return
        try:
            yield from self._binary(interval) if self._is_bcf else self._lines(interval)
        except InputError:
            self.close()
            raise
        except Exception as error:  # cyvcf2 raises no narrower one
            self.close()
            raise self._damaged(interval, "records up to its end", error) from error

    def _lines(self, interval: Interval) -> Iterator[Any]:
        """Records of a VCF: pysam finds the lines, cyvcf2 parses them.

        cyvcf2's own query ends at a damaged block as if it were complete, and does not know leading phase.
        """
        _, parser, index = self._handles()
        if not interval.contig:  # to pysam, any
            raise self._damaged(interval, "records with a contig", "records without")
        found = index.fetch(interval.contig, interval.start, interval.end)
        for lines in _in_blocks(found, parser.at_once):
            for line, record in zip(lines, parser.plain(lines), strict=True):
                try:
                    yield parser.parsed(line) if record is None else record
                except Exception:  # cyvcf2 raises no narrower one; its message holds the calls
                    require_no_more_calls(self.path, line, len(self.samples_in_file))
                    site = " ".join(line.split("\t", 5)[:5])
                    raise self._damaged(interval, "a record of VCF", f"{site[:60]} ...") from None

    def _binary(self, interval: Interval) -> Iterator[Any]:
        """Records of a BCF, counted by pysam: cyvcf2 ends at a damaged block as if it were complete."""
        _, vcf, index = self._handles()
        expected = sum(1 for _ in index.fetch(interval.contig, interval.start, interval.end))
        found = 0
        for record in vcf(str(interval)):
            found += 1
            yield record
        if found != expected:
            raise self._damaged(interval, f"{expected:,} records", f"{found:,}")

    def _damaged(self, interval: Interval, expected: str, got: object) -> InputError:
        return InputError(
            "The genotypes are damaged: a block or a record cannot be read.",
            where=f"{self.path}, {interval}",
            expected=expected,
            got=got,
            fix=f"copy the file again; find the place with: bcftools view {in_shell(self.path)} > /dev/null",
        )

    def close(self) -> None:
        """Let go of open files, which are opened again when they are read: so after an error, and of many."""
        if self._open is not None and self._open[0] == os.getpid():
            with suppress(OSError):
                self._open[2].close()
        self._open = None

    def _order(self) -> NDArray[np.intp]:
        """(N,) column, among those that cyvcf2 gives, of each kept person."""
        wanted = set(self.samples)
        column = {name: i for i, name in enumerate(n for n in self.samples_in_file if n in wanted)}
        return np.array([column[name] for name in self.samples], dtype=np.intp)

    def _handles(self) -> tuple[int, Any, Any]:
        """Open files of the running process: handles that came through a fork share their position."""
        if self._open is None or self._open[0] != os.getpid():
            hush_htslib()
            index = _indexed(self.path, self._is_bcf)
            header = None if self._is_bcf else _header_text(index)
            reader = cyvcf2.VCF(str(self.path)) if header is None else _line_parser(header)
            everybody = len(self.samples) == len(self.samples_in_file)
            reader.set_samples(None if everybody else list(self.samples))
            if header is not None:
                reader = _Lines(header, reader, self.samples_in_file, self.samples)
            self._open = (os.getpid(), reader, index)
        keep_few_open(self)
        return self._open


def _in_blocks(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    """So many lines at a time; those before an error come before it."""
    block = list[str]()
    try:
        for line in lines:
            block.append(line)
            if len(block) == size:
                yield block
                block = []
    except Exception:
        yield block
        raise
    yield block


class _Lines:
    """Makes records of a VCF's lines.

    A line whose FORMAT is GT and whose calls are all plain is parsed without its calls, which `plain_calls`
    reads: cyvcf2, which would read them too, sees all of any other line.

    Parameters
    ----------
    header
        Of the VCF.
    parser
        Of whole lines.
    samples_in_file, samples
        All people, and those kept.
    """

    def __init__(
        self, header: str, parser: Any, samples_in_file: Sequence[str], samples: Sequence[str]
    ) -> None:
        *lines, columns = header.rstrip("\n").split("\n")
        self._whole, self._people = parser, len(samples_in_file)
        self.at_once = min(max(_AT_ONCE // (4 * self._people), 1), _MOST_LINES)
        column = {name: number for number, name in enumerate(samples_in_file)}
        self._columns = np.array([column[name] for name in samples], np.intp)
        self._everybody = tuple(samples) == tuple(samples_in_file)
        declared = [line for line in lines if line.startswith("##FORMAT=<ID=GT,")]
        self._usual = len(declared) == 1 and declared[0].startswith(_GT)
        self._sites = _line_parser("\n".join([*lines, "\t".join(columns.split("\t")[:_SITE]), ""]))

    def plain(self, lines: Sequence[str]) -> Sequence[PlainRecord | None]:
        """A record for each line, where it has one ALT and everybody's calls are plain."""
        records: list[PlainRecord | None] = [None] * len(lines)
        begin = 1 - 4 * self._people  # of the calls, from the end
        fits = [i for i, line in enumerate(lines) if self._usual and _has_only_gt(line[:begin])]
        if not fits:
            return records
        plain, calls = plain_calls([lines[i][begin:] for i in fits], self._people)
        if not self._everybody:
            calls = calls.view(np.int16)[:, self._columns].view(np.int8)
        for i, is_plain, of_line in zip(fits, plain.tolist(), calls, strict=True):
            if is_plain:
                records[i] = self._record(lines[i][: begin - len(_ONLY_GT)], of_line)
        return records

    def parsed(self, line: str) -> Any:
        """The record of any line; looking for leading phase first would slow down every other file.

        Raises
        ------
        Exception
            Of whatever kind: it is damaged. cyvcf2 misses no columns behind those of the kept people, nor
            the names of columns that are too many.
        """
        calls = line.count("\t") - _SITE
        if -1 < calls < self._people or line.rstrip("\t\r").count("\t") - _SITE > self._people:
            raise ValueError("other columns than the header's")
        try:
            return self._whole.variant_from_string(_ascii(line))
        except Exception:  # cyvcf2 raises no narrower one
            return self._whole.variant_from_string(_ascii(without_leading_phase(line)))

    def _record(self, columns: str, calls: NDArray[np.int8]) -> PlainRecord | None:
        try:
            site = self._sites.variant_from_string(_ascii(columns))
        except Exception:  # cyvcf2 raises no narrower one
            return None
        alts = site.ALT
        return PlainRecord(site.POS, site.ID, site.REF, alts, calls) if len(alts) == 1 else None


def _has_only_gt(columns: str) -> bool:
    """Whether these are a line's columns up to a FORMAT that is GT, and nothing is empty."""
    usual = columns.endswith(_ONLY_GT) and columns.count("\t") == _SITE + 1
    return usual and "\t\t" not in columns and "\0" not in columns


def _header_text(index: pysam.TabixFile) -> str:
    header = "".join(f"{line}\n" for line in index.header)
    return header.encode(_BYTES).decode("utf-8", "replace")


def _line_parser(header: str) -> cyvcf2.Writer:
    """What parses lines of a VCF, which only a Writer does.

    Made from the header's text: one made from a `cyvcf2.VCF` ends the process where a contig's name is bad.
    """
    return cyvcf2.Writer.from_string(os.devnull, header)


def _ascii(line: str) -> str:
    """A line with ``?`` for other bytes (in names and notes): cyvcf2 cuts a line with them short."""
    return line if line.isascii() else line.encode("ascii", "replace").decode()


def variants_of(contig: str, parts: list[Rows], samples: tuple[str, ...], ploidy: Ploidy) -> Variants:
    """One table of rows whose calls are all known."""
    position = np.concatenate([np.empty(0, np.int64), *(rows.position for rows in parts)])
    return Variants(
        contig,
        position,
        tuple(ref for rows in parts for ref in rows.ref),
        tuple(alt for rows in parts for alt in rows.alt),
        tuple(name for rows in parts for name in rows.variant_id),
        np.concatenate([np.empty((0, len(samples), 2), np.uint8), *(r.calls.view(np.uint8) for r in parts)]),
        samples,
        ploidy.one_copy(contig, position, samples),
    )


def _indexed(path: Path, is_bcf: bool) -> Any:
    if not is_bcf:
        try:
            return pysam.TabixFile(str(path), index=str(index_of(path)), encoding=_BYTES)
        except OSError as error:
            raise unreadable_index(path, error) from error
    opened = pysam.VariantFile(str(path))
    if opened.index is None:
        raise unreadable_index(path, "htslib can make nothing of it")
    return opened


def _is_bcf(path: Path) -> bool:
    try:
        with gzip.open(path) as file:
            return file.read(3) == b"BCF"
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _unreadable(path, error) from error


def _header(path: Path, is_bcf: bool) -> tuple[tuple[str, ...], tuple[str, ...], str | None]:
    """People of the file, contigs that have records, and the tag of phase sets."""
    hush_htslib()
    try:
        vcf = cyvcf2.VCF(str(path))
        samples, tag = tuple(vcf.samples), phase_set_tag(vcf.raw_header)
        index = _indexed(path, is_bcf)
        if not is_bcf:
            return samples, tuple(index.contigs), tag
        # A BCF's index lists every contig of the header, with records or without.
        contigs = tuple(name for name in index.index if next(index.fetch(name), None) is not None)
        return samples, contigs, tag
    except InputError:
        raise
    except Exception as error:  # cyvcf2 raises no narrower one
        require_people_once(path)
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError("The genotype file is no VCF or BCF that can be read.", where=path, got=error)


def require_samples(path: Path, wanted: tuple[str, ...], there: tuple[str, ...]) -> None:
    """Refuse people who are not `there` in a file, are wanted twice, or nobody.

    Raises
    ------
    InputError
        Names some of them.
    """
    absent = sorted(set(wanted) - set(there))
    if absent:
        raise InputError(
            f"{len(absent)} of {len(wanted)} people are not in the genotypes.",
            where=path,
            expected=", ".join(absent[:5]),
            got=f"{plural(len(there), 'people')}: {', '.join(there[:5])} ...",
        )
    if len(set(wanted)) < len(wanted):
        twice = sorted({name for name in wanted if wanted.count(name) > 1})
        raise InputError("People are asked for twice.", where=path, got=", ".join(twice[:5]))
    if not wanted:
        raise InputError("The genotype file has no people, or none are asked for.", where=path)
