"""Genotypes that are decoded once: what was read of a stretch is kept, in memory and in the run folder.

A *piece* holds all that a reader gave of one interval: its variants, alleles packed as bits, and what was
left out, each with its place. Any interval within pieces is cut out of them, and equals what a reader gives
of it. Pieces are read by the lenient form of the policy, which counts where the policy refuses; where
something was counted that the policy refuses, the reader is asked, and refuses it in its own words.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.genotype_source import Genotypes
from hapsight.cohort.nouns import Dropped, Interval, Variants
from hapsight.cohort.ploidy import Sex
from hapsight.cohort.policies import PLOIDY_CONFLICT, UNKNOWN_CALLS, GenotypePolicy
from hapsight.cohort.reference import Reference
from hapsight.errors import InputError
from hapsight.files import FileStates, file_name, size_and_time, temporary_name

__all__ = ["CODE_VERSION", "PieceStore", "StoredGenotypes", "lenient_policy", "store_key"]

CODE_VERSION: Final = 1
"""Raised with any change after which a reader would give other variants of the same files."""

_MEMORY: Final = 64 * 2**20
"""Bytes of packed pieces that a process holds: of 1,000 people, some 130,000 variants."""

_LETTERS: Final = 250
"""Bytes that a variant's names take in memory, about."""

_SUFFIX: Final = ".npz"


def lenient_policy(policy: GenotypePolicy) -> GenotypePolicy:
    """The policy with every refusal turned into a count."""
    return replace(
        policy,
        missing="drop" if policy.missing == "error" else policy.missing,
        unphased="drop",
        ref_mismatch="drop",
        duplicates="first",
        ploidy_conflict="drop",
    )


def _otherwise(policy: GenotypePolicy) -> frozenset[str]:
    """Reasons by which the lenient form drops a variant and the policy does something else."""
    found = {
        PLOIDY_CONFLICT: policy.ploidy_conflict != "drop",
        "unphased heterozygote": policy.unphased != "drop",
        "REF differs from the FASTA": policy.ref_mismatch != "drop",
        "duplicate record": policy.duplicates != "first",
        **dict.fromkeys(UNKNOWN_CALLS, policy.missing == "error"),
    }
    return frozenset(reason for reason, other in found.items() if other)


class Decoder(Genotypes, Protocol):
    """Genotypes that are read from their files, and tell somebody else of what they leave out."""

    def read(
        self, interval: Interval, reference: Reference | None = None, dropped: Dropped | None = None
    ) -> tuple[Variants, Dropped]:
        """See `GenotypeFile.read`."""

    def keeping(self, samples: Sequence[str], policy: GenotypePolicy) -> Decoder:
        """See `Genotypes.keeping`."""


@dataclass(frozen=True, slots=True)
class _Left:
    """Something left out: from where to where its REF reaches, and what `Dropped.add` was told."""

    start: int
    end: int
    kind: str
    reason: str
    name: str
    times: int


@dataclass(slots=True)
class _Placed(Dropped):
    """Remembers everything that was left out, each with its place."""

    left: list[_Left] = field(default_factory=list)

    def add(
        self, kind: str, reason: str, name: str, times: int = 1, at: tuple[int, int] | None = None
    ) -> None:
        """See `Dropped.add`."""
        if at is None:
            raise ValueError(f"no place of what was left out: {name}")
        self.left.append(_Left(*at, kind, reason, name, times))


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """What was read of ``[start, end)``: V variants of N people.

    Attributes
    ----------
    variants
        Without people.
    ends
        (V,) position after the last base of each REF.
    bits
        (V, ceil(2N / 8)) alleles, a person's two beside each other.
    """

    start: int
    end: int
    variants: Variants
    ends: NDArray[np.int64]
    bits: NDArray[np.uint8]
    left: tuple[_Left, ...]

    @classmethod
    def of(cls, interval: Interval, variants: Variants, left: Sequence[_Left]) -> Self:
        bits = np.packbits(variants.haplotypes, axis=1)
        nobody = np.empty((len(variants), 0, 2), np.uint8)
        bare = replace(variants, alleles=nobody, samples=(), one_copy=None)
        return cls(interval.start, interval.end, bare, variants.end, bits, tuple(left))

    @property
    def nbytes(self) -> int:
        """Memory that it takes, about."""
        return self.bits.nbytes + _LETTERS * (len(self.variants) + len(self.left))

    def rows(self, since: int, interval: Interval, first: bool) -> NDArray[np.intp]:
        """Rows of the interval that start at `since` or later; of the `first` piece, those that reach in."""
        position = self.variants.position
        stop = int(np.searchsorted(position, min(interval.end, self.end)))
        start = int(np.searchsorted(position, since))
        reaching = np.flatnonzero(self.ends[:start] > interval.start) if first else np.empty(0, np.intp)
        return np.concatenate([reaching, np.arange(start, max(start, stop))])

    def left_out(self, since: int, interval: Interval, first: bool) -> Iterator[_Left]:
        """What was left out, by the same rule."""
        for one in self.left:
            reaches = one.end > interval.start if first else one.start >= since
            if reaches and one.start < min(interval.end, self.end):
                yield one

    def dumped(self) -> bytes:
        """The piece as a file."""
        text = {
            "contig": self.variants.contig,
            "place": [self.start, self.end],
            "names": [self.variants.ref, self.variants.alt, self.variants.variant_id],
            "left": [[o.start, o.end, o.kind, o.reason, o.name, o.times] for o in self.left],
        }
        buffer = io.BytesIO()
        letters = np.frombuffer(json.dumps(text).encode(), np.uint8)
        np.savez(buffer, position=self.variants.position, bits=self.bits, text=letters)
        return buffer.getvalue()

    @classmethod
    def loaded(cls, path: Path) -> Self:
        """The piece of a file, whose parts have checksums.

        Raises
        ------
        Exception
            Of whatever kind: it is not as it was written.
        """
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as found:
            position, bits, text = found["position"], found["bits"], json.loads(found["text"].tobytes())
        ref, alt, names = (tuple(part) for part in text["names"])
        nobody = np.empty((len(ref), 0, 2), np.uint8)
        variants = Variants(text["contig"], position, ref, alt, names, nobody, ())
        left = tuple(_Left(*one) for one in text["left"])
        start, end = text["place"]
        return cls(start, end, variants, variants.end, bits, left)


@dataclass(slots=True, eq=False)
class _Known:
    """A piece that is there: in memory, in a file, or both."""

    start: int
    end: int
    piece: _Piece | None
    path: Path | None


class PieceStore:
    """Pieces of some files' genotypes, by contig; a process's own, and those of the folder that it shares.

    Parameters
    ----------
    folder
        Where pieces are written and looked for; ``None``: they are kept in memory only.
    memory
        Bytes of pieces in memory; the ones used longest ago make room.
    """

    def __init__(self, folder: Path | None = None, memory: int = _MEMORY) -> None:
        self.folder, self._memory = folder, memory
        self._known: dict[str, list[_Known]] = {}
        self._used: dict[int, _Known] = {}
        self._held = 0

    def __reduce__(self) -> tuple[object, ...]:
        return _store_of, (self.folder, self._memory)

    def move_to(self, folder: Path) -> None:
        """Write what is in memory to a folder, and share that from now on; what other keys left is removed.

        Parameters
        ----------
        folder
            Named by its `store_key`; the folder that it lies in holds nothing else.
        """
        self.folder = folder
        for other in folder.parent.glob("*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        for contig, all_known in self._known.items():
            for known in all_known:
                if known.path is None and known.piece is not None:
                    known.path = self._written(contig, known.piece)

    def add(self, contig: str, piece: _Piece) -> None:
        """Keep a piece."""
        known = _Known(piece.start, piece.end, None, self._written(contig, piece))
        self._known.setdefault(contig, []).append(known)
        self._hold(known, piece)

    def at(self, contig: str, place: int) -> _Piece | None:
        """The piece that reaches farthest from a place on; ``None`` where none has it."""
        while (known := self._farthest(contig, place)) is not None:
            try:
                piece = known.piece or _Piece.loaded(known.path or Path())
            except Exception:  # cut off, or changed: as if it were not there
                self._known[contig].remove(known)
                continue
            self._hold(known, piece)
            return piece
        return None

    def next_start(self, contig: str, place: int) -> int | None:
        """Where behind a place the next piece begins."""
        return min((k.start for k in self._known.get(contig, ()) if k.start > place), default=None)

    def refresh(self, contig: str) -> None:
        """Look for pieces that other processes have written."""
        if self.folder is None:
            return
        known = self._known.setdefault(contig, [])
        have = {one.path for one in known}
        with suppress(OSError):
            for path in sorted((self.folder / file_name(contig)).glob(f"*{_SUFFIX}")):
                if path not in have:
                    with suppress(ValueError):
                        start, end = (int(part) for part in path.name.removesuffix(_SUFFIX).split("-"))
                        known.append(_Known(start, end, None, path))

    def _farthest(self, contig: str, place: int) -> _Known | None:
        having = [known for known in self._known.get(contig, ()) if known.start <= place < known.end]
        return max(having, key=lambda known: known.end, default=None)

    def _hold(self, known: _Known, piece: _Piece) -> None:
        """Keep in memory what was used last."""
        if self._used.pop(id(known), None) is None:
            self._held += piece.nbytes
        known.piece = piece
        self._used[id(known)] = known
        while self._held > self._memory and self._used:
            self._let_go(self._used.pop(next(iter(self._used))))

    def _let_go(self, known: _Known) -> None:
        if known.piece is not None:
            self._held -= known.piece.nbytes
        known.piece = None
        if known.path is None:
            for all_known in self._known.values():
                if known in all_known:
                    all_known.remove(known)

    def _written(self, contig: str, piece: _Piece) -> Path | None:
        """The piece's file; ``None`` where there is no folder, or it cannot be written to."""
        if self.folder is None:
            return None
        path = self.folder / file_name(contig) / f"{piece.start}-{piece.end}{_SUFFIX}"
        try:
            for folder in (self.folder.parent, self.folder, path.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
            temporary = temporary_name(path)
            try:
                with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(piece.dumped())
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError:
            return None
        return path


@lru_cache(maxsize=1)
def _shared_store(folder: Path, memory: int) -> PieceStore:
    """The store that this process used last: one unit of work after the other has it."""
    return PieceStore(folder, memory)


def _store_of(folder: Path | None, memory: int) -> PieceStore:
    return PieceStore(None, memory) if folder is None else _shared_store(folder, memory)


class StoredGenotypes:
    """Genotypes of which every stretch is decoded once; else as the source.

    Parameters
    ----------
    source
        What reads the files.
    reference
        With which every REF is compared; what is read without it, or with another, is not kept.
    """

    def __init__(self, source: Decoder, reference: Reference, store: PieceStore | None = None) -> None:
        self.source, self.reference = source, reference
        self.store = PieceStore() if store is None else store
        self._lenient = source.keeping(source.samples, lenient_policy(source.policy))
        self._otherwise = _otherwise(source.policy)
        self._files = FileStates.of((*source.paths, reference.path))

    def __repr__(self) -> str:
        return f"StoredGenotypes({self.source!r})"

    @property
    def samples_in_file(self) -> tuple[str, ...]:
        """All people, in the file's order."""
        return self.source.samples_in_file

    @property
    def samples(self) -> tuple[str, ...]:
        """The kept people, in the order asked."""
        return self.source.samples

    @property
    def contigs(self) -> tuple[str, ...]:
        """Contigs that have records."""
        return self.source.contigs

    @property
    def policy(self) -> GenotypePolicy:
        """Which variants are used, and what to do with bad ones."""
        return self.source.policy

    @property
    def sexes(self) -> dict[str, Sex]:
        """Sex of people, where the files say it."""
        return self.source.sexes

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file that the genotypes depend on, indexes apart."""
        return self.source.paths

    @property
    def has_phase_sets(self) -> bool:
        """Whether phased calls come in sets (FORMAT PS or PSL)."""
        return self.source.has_phase_sets

    def phase_sets(self, variants: Variants) -> NDArray[np.int64]:
        """See `Genotypes.phase_sets`."""
        return self.source.phase_sets(variants)

    def expected_records(self, interval: Interval) -> float:
        """See `Genotypes.expected_records`."""
        return self.source.expected_records(interval)

    def keeping(self, samples: Sequence[str], policy: GenotypePolicy) -> StoredGenotypes:
        """See `Genotypes.keeping`; the same people by a policy of the same lenient form share it."""
        return self.sharing(self.source.keeping(samples, policy))

    def sharing(self, source: Decoder) -> StoredGenotypes:
        """The same files read otherwise, with what is kept of them where that is the same."""
        alike = source.samples == self.samples
        alike = alike and lenient_policy(source.policy) == lenient_policy(self.policy)
        made = StoredGenotypes(source, self.reference, self.store if alike else None)
        made._files = self._files
        return made

    def read(self, interval: Interval, reference: Reference | None = None) -> tuple[Variants, Dropped]:
        """As the source reads it.

        Raises
        ------
        InputError
            As the source; or a file is not as it was when it was opened.
        """
        self._files.require()
        inside = Interval(interval.contig, max(interval.start, 0), max(interval.end, 0))
        if reference is None or reference.path != self.reference.path or not len(inside):
            return self.source.read(interval, reference)
        try:
            parts = list(self._pieces(inside))
        except InputError:  # in words that tell of another interval, or by another policy
            self._files.require()
            return self.source.read(interval, reference)
        left = [one for piece, since in parts for one in piece.left_out(since, inside, since == inside.start)]
        if any(one.kind == "variant" and one.reason in self._otherwise for one in left):
            return self.source.read(interval, reference)
        dropped = Dropped()
        for one in left:
            dropped.add(one.kind, one.reason, one.name, one.times)
        return self._joined(inside, parts), dropped

    def _pieces(self, interval: Interval) -> Iterator[tuple[_Piece, int]]:
        """Pieces that hold an interval, each with the place from which on its variants count."""
        place, fresh = interval.start, False
        while place < interval.end:
            piece = self.store.at(interval.contig, place)
            if piece is None and not fresh:
                self.store.refresh(interval.contig)
                fresh = True
                continue
            if piece is None:
                end = min(self.store.next_start(interval.contig, place) or interval.end, interval.end)
                piece = self._read(Interval(interval.contig, place, end))
            yield piece, place
            place = piece.end

    def _read(self, interval: Interval) -> _Piece:
        left = _Placed()
        variants, _ = self._lenient.read(interval, self.reference, left)
        self._files.require()
        piece = _Piece.of(interval, variants, left.left)
        self.store.add(interval.contig, piece)
        return piece

    def _joined(self, interval: Interval, parts: Sequence[tuple[_Piece, int]]) -> Variants:
        """The interval's variants, from the pieces that hold it."""
        first = interval.start
        chosen = [(piece, piece.rows(since, interval, since == first)) for piece, since in parts]
        rows = [piece.variants.take(index) for piece, index in chosen]
        people = len(self.samples)
        bits = np.concatenate([piece.bits[index] for piece, index in chosen])
        alleles = np.unpackbits(bits, axis=1, count=2 * people).reshape(-1, people, 2)
        position = np.concatenate([part.position for part in rows])
        return Variants(
            interval.contig,
            position,
            tuple(ref for part in rows for ref in part.ref),
            tuple(alt for part in rows for alt in part.alt),
            tuple(name for part in rows for name in part.variant_id),
            alleles,
            self.samples,
            self.policy.ploidy.one_copy(interval.contig, position, self.samples),
        )


def store_key(genotypes: Genotypes, digests: Sequence[str]) -> str:
    """Digest of all that pieces depend on: the files, their indexes, the people, the policy, and the code.

    Parameters
    ----------
    digests
        Of the genotype files and the reference.
    """
    policy = lenient_policy(genotypes.policy)
    ploidy = policy.ploidy
    parts = [
        CODE_VERSION,
        list(digests),
        [size_and_time(Path(f"{path}{suffix}")) for path in genotypes.paths for suffix in (".tbi", ".csi")],
        list(genotypes.samples),
        [policy.snv_only, policy.min_maf, policy.missing],
        [sorted(ploidy.men), sorted(ploidy.women), ploidy.par],
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
