"""Personal sequences: GenVarLoader and `bcftools consensus` against the builder, same people and windows.

Windows begin at their anchor, since the other programs start from there: an indel moves the right end.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pysam
from benchmarks.peers.table import (
    NotRunError,
    Row,
    Server,
    clock,
    environment,
    in_turn,
    require,
    say,
    succeed,
)

from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.nouns import Variants
from hapsight.cohort.pgen import PgenFile
from hapsight.cohort.reference import Reference
from hapsight.dna import decode
from hapsight.sequence.edits import Carriers, Edits, resolve_overlaps
from hapsight.sequence.haplotypes import FIRST_MARGIN, Window, personal_sequences
from hapsight.sequence.kernel import build

HERE = Path(__file__).parent
LENGTHS = {196_608: 8, 10_500: 32}
"""How many windows of each length."""
LETTERS = np.frombuffer(b"ACGTN", np.uint8)
CONSENSUS = 10
"""People whose haplotypes `bcftools consensus` makes: it is a process for each of them."""


@dataclass(frozen=True)
class Cohort:
    """Genotypes in three formats, and a stretch that has variants."""

    label: str
    reference: Path
    formats: dict[str, Path]
    contig: str
    first: int
    last: int

    def windows(self, length: int) -> list[Window]:
        """Evenly spaced, all within the stretch."""
        starts = np.linspace(self.first, self.last - length, LENGTHS[length]).astype(int)
        return [Window(self.contig, int(start), 0, length) for start in starts]

    def open(self, kind: str) -> GenotypeFile | PgenFile:
        return (PgenFile if kind == "PGEN" else GenotypeFile)(self.formats[kind])


def prepare(label: str, vcf: Path, fasta: Path, folder: Path) -> Cohort:
    """The cohort in a folder of its own: both programs write indices beside their inputs."""
    folder.mkdir(parents=True)
    formats = {"VCF": folder / "calls.vcf.gz"}
    shutil.copyfile(vcf, formats["VCF"])
    with gzip.open(fasta) as packed, open(folder / "reference.fa", "wb") as plain:
        shutil.copyfileobj(packed, plain)
    succeed(["bcftools", "index", "-t", str(formats["VCF"])])
    pysam.faidx(str(folder / "reference.fa"))
    formats["BCF"] = folder / "calls.bcf"
    succeed(["bcftools", "view", "-Ob", "-o", str(formats["BCF"]), str(vcf)])
    succeed(["bcftools", "index", str(formats["BCF"])])
    if shutil.which("plink2"):
        naming = ["--output-chr", "chrM"] if "chr" in label else []
        target = ["--make-pgen", "--out", str(folder / "calls")]
        succeed(["plink2", "--vcf", str(vcf), "--threads", "1", *naming, *target])
        formats["PGEN"] = folder / "calls.pgen"
    sites = succeed(["bcftools", "query", "-f", "%CHROM\t%POS\n", str(vcf)]).splitlines()
    (contig, first), (_, last) = sites[0].split("\t"), sites[-1].split("\t")
    return Cohort(label, folder / "reference.fa", formats, contig, int(first) - 1, int(last))


def every_haplotype(window: Window, variants: Variants, reference: Reference) -> np.ndarray:
    """(2N, L) codes of both haplotypes of all people."""
    edits, columns = Edits.of(variants), Carriers.of(variants.haplotypes)
    carriers, _ = resolve_overlaps(variants, columns, str)
    reach = carriers.most(np.maximum(edits.shortens_by, 0)) + int(edits.removed.max(initial=0))
    stretch = window.interval.widen(reach, reach)
    out = np.empty((variants.haplotypes.shape[1], window.length), np.uint8)
    build(
        out, window.length, window.left, reference.fetch(stretch), stretch.start, window.anchor,
        carriers.first, carriers.variant, edits.start, edits.removed, edits.inserted_first, edits.inserted,
        None,
    )  # fmt: skip
    return out


def read(genotypes: GenotypeFile | PgenFile, window: Window) -> Variants:
    """The variants of a window and a little more, into which deletions reach."""
    return genotypes.read(window.interval.widen(FIRST_MARGIN, FIRST_MARGIN))[0]


class Sides:
    """Both programs on one cohort and one length of windows."""

    def __init__(self, cohort: Cohort, length: int, server: Server) -> None:
        self.cohort, self.length, self.server = cohort, length, server
        self.windows, self.reference = cohort.windows(length), Reference(cohort.reference)

    def path(self, kind: str) -> str:
        return str(self.cohort.reference.parent / f"{kind}.{self.length}.gvl")

    def import_theirs(self, kind: str) -> float:
        """A dataset from the file."""
        windows = [
            [self.cohort.contig, window.anchor, window.anchor + self.length] for window in self.windows
        ]
        people = self.cohort.open(kind).samples_in_file
        task = {"write": str(self.cohort.formats[kind]), "path": self.path(kind)}
        return float(self.server.ask(**task, windows=windows, people=people)["seconds"])

    def open_theirs(self, kind: str) -> list[str]:
        """The people of the dataset, in its order."""
        task = {"load": self.path(kind), "reference": str(self.cohort.reference), "length": self.length}
        return list(self.server.ask(**task)["value"])

    def build_theirs(self) -> float:
        return float(self.server.ask(build=len(self.windows))["seconds"])

    def both_theirs(self, kind: str) -> float:
        seconds = self.import_theirs(kind)
        self.open_theirs(kind)
        return seconds + self.build_theirs()

    def both_ours(self, kind: str) -> float:
        """From the file to every haplotype."""

        def work() -> None:
            genotypes = self.cohort.open(kind)
            for window in self.windows:
                every_haplotype(window, read(genotypes, window), self.reference)

        return clock(work)

    def agreement(self, kind: str) -> str:
        """Haplotypes that are the same, base by base."""
        genotypes, order = self.cohort.open(kind), self.open_theirs(kind)
        theirs = np.array(self.server.ask(digests=len(self.windows))["value"])
        rows = [2 * genotypes.samples.index(name) + copy for name in order for copy in (0, 1)]
        ours = [
            [
                digest(bases)
                for bases in LETTERS[every_haplotype(window, read(genotypes, window), self.reference)[rows]]
            ]
            for window in self.windows
        ]
        same = int((theirs == np.array(ours)).sum())
        return f"{same:,} of {theirs.size:,} sequences the same"

    def rows(self) -> Iterator[Row]:
        """From the files, then from what is in memory."""
        peer, where = f"GenVarLoader {self.server.version}", f"{self.cohort.label}, {self.length:,} bp"
        for kind in ("VCF", "BCF", "PGEN"):
            what = f"{where}: from {kind} to every haplotype, {len(self.windows)} windows"
            if kind not in self.cohort.formats:
                yield Row(what, peer, agreement="not run: plink2 is not installed (Debian: plink2)")
                continue
            say(what)
            seconds = in_turn(2, partial(self.both_theirs, kind), partial(self.both_ours, kind))
            yield Row(what, peer, *seconds, self.agreement(kind))
        yield from self.rows_in_memory(peer, where)

    def rows_in_memory(self, peer: str, where: str) -> Iterator[Row]:
        genotypes = self.cohort.open("VCF")
        variants = [read(genotypes, window) for window in self.windows]

        def timed(each: Callable[[Window, Variants], object]) -> Callable[[], float]:
            return lambda: sum(clock(each, *both) for both in zip(self.windows, variants, strict=True))

        self.open_theirs("VCF")
        every = timed(lambda window, near: every_haplotype(window, near, self.reference))
        distinct = timed(lambda window, near: personal_sequences(window, near.within, self.reference.fetch))
        note = "as above; theirs from its dataset, ours from variants in memory"
        yield Row(f"{where}: again", peer, *in_turn(5, self.build_theirs, every), note)
        note = "as above; ours in full where distinct, and an index"
        yield Row(f"{where}: again, distinct ones", peer, *in_turn(5, self.build_theirs, distinct), note)


def digest(bases: np.ndarray) -> str:
    return hashlib.blake2b(bases.tobytes(), digest_size=8).hexdigest()


def consensus_row(cohort: Cohort) -> Row:
    """`bcftools consensus`, a process for each haplotype, against the builder; a window of 196,608 bp."""
    window = cohort.windows(196_608)[4]
    genotypes, reference = cohort.open("VCF"), Reference(cohort.reference)
    people = genotypes.samples_in_file[:CONSENSUS]
    region = f"{window.contig}:{window.anchor + 1}-{window.anchor + window.length}"
    part = cohort.reference.parent / "window.fa"
    part.write_text(f">{region}\n{decode(reference.fetch(window.interval))}\n")

    def theirs() -> list[str]:
        calls = str(cohort.formats["VCF"])
        wanted = [(name, str(copy)) for name in people for copy in (1, 2)]
        made = [consensus(part, calls, name, copy) for name, copy in wanted]
        return ["".join(text.split("\n")[1:]).upper() for text in made]

    def ours() -> list[str]:
        found = GenotypeFile(cohort.formats["VCF"], people)
        rows = every_haplotype(window, read(found, window), reference)
        return [decode(row) for row in rows]

    seconds = in_turn(1, lambda: clock(theirs), lambda: clock(ours))
    pairs = [(one[: window.length], other) for one, other in zip(theirs(), ours(), strict=True)]
    same = sum(other.startswith(one) for one, other in pairs)
    version = succeed(["bcftools", "--version"]).split()[1]
    what = f"{cohort.label}, 196,608 bp: from VCF to both haplotypes of {CONSENSUS} people, one window"
    return Row(
        what,
        f"bcftools consensus {version}",
        *seconds,
        f"{same} of {len(pairs)} the same, as far as it reaches",
    )


def consensus(part: Path, calls: str, name: str, copy: str) -> str:
    """A sequence as FASTA."""
    command = ["bcftools", "consensus", "-f", str(part), "-s", name, "-H", copy, calls]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def rows(demo: Path, data: Path | None, folder: Path) -> Iterator[Row]:
    """All comparisons of sequences."""
    require("bcftools", "bcftools")
    sources = {"SNVs of chr22": (demo / "genotypes.vcf.gz", demo / "reference.fa.gz")}
    if data is not None:
        real = data / "indels_chr20"
        sources["indels and rare SNVs of 20"] = (real / "genotypes.vcf.gz", real / "chr20_first_5Mb.fa.gz")
    cohorts = [
        prepare(label, *files, folder / str(number)) for number, (label, files) in enumerate(sources.items())
    ]
    yield from genvarloader_rows(cohorts)
    for cohort in cohorts:
        say(f"bcftools consensus, {cohort.label}")
        yield consensus_row(cohort)


def genvarloader_rows(cohorts: list[Cohort]) -> Iterator[Row]:
    try:
        python = environment("genvarloader", HERE / "genvarloader_venv.sh") / "bin" / "python"
        with Server([str(python), str(HERE / "genvarloader_side.py")]) as server:
            for cohort in cohorts:
                for length in LENGTHS:
                    yield from Sides(cohort, length, server).rows()
    except NotRunError as why:
        yield Row("personal sequences", "GenVarLoader", agreement=f"not run: {why}")
