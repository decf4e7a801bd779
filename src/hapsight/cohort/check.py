"""Open everything that a cohort consists of and say, concern by concern, what is well and what is not."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.contigs import find_contig
from hapsight.cohort.expression import Expression
from hapsight.cohort.genes import gene_format
from hapsight.cohort.genotype_source import ACROSS_SETS, Genotypes, people_across_sets
from hapsight.cohort.genotype_store import lenient_policy
from hapsight.cohort.join import CohortFiles, CohortParts, join_genes, join_people
from hapsight.cohort.nouns import Dropped, Gene, Interval, count_overlaps, merge_intervals
from hapsight.cohort.people import Covariates, join_covariates, leverage_in_words, respelled
from hapsight.cohort.ploidy import Ploidy
from hapsight.cohort.policies import HARD_CALLS, PLOIDY_CONFLICT, UNKNOWN_CALLS, GenotypePolicy
from hapsight.cohort.reference import Reference
from hapsight.cohort.sexes import crosses_par, is_on, join_sexes, lacks_sex, without_chry, without_par
from hapsight.errors import HapsightError, plural

__all__ = [
    "CheckResult",
    "Status",
    "check_cohort",
    "check_parts",
    "scan_sites",
]

Status = Literal["pass", "warn", "fail"]

_STRETCH: Final = 2_000_000
_SHOWN: Final = 20
_MOST_OF_LOGS: Final = 25
"""Logarithms of counts and TPM are smaller."""
_IF_LOGS: Final = '; if they are logs already: transform = "none" under [expression]'
_OTHER_REF: Final = ("REF differs from the FASTA",)
_NO_DNA: Final = (
    "symbolic allele",
    "spanning deletion (*)",
    "breakend",
    "allele is not A, C, G, T or N",
    "ALT equals REF",
    "no alternative allele",
)


@dataclass(frozen=True)
class CheckResult:
    """How one concern fared: its name, the verdict, one sentence, and the first instances.

    Attributes
    ----------
    model, asks
        Of a row about how a model or a table is read: what tables call it, and what is asked
        (``"read-out"``, ``"positive control"``, ``"strand"``, ``"signs"``, ``"alleles"``). Else empty.
    """

    name: str
    status: Status
    message: str
    details: tuple[str, ...] = ()
    model: str = ""
    asks: str = ""

    @classmethod
    def about(
        cls, model: str, asks: str, status: Status, message: str, details: tuple[str, ...] = ()
    ) -> CheckResult:
        """A row about how a model or a table is read."""
        return cls(f"{asks} of {model}", status, message, details, model, asks)


def scan_sites(genotypes: Genotypes, reference: Reference, windows: Sequence[Interval]) -> list[CheckResult]:
    """Read every variant of the windows once, without stopping at bad ones, and say what was found.

    Raises
    ------
    InputError
        The file is damaged, or a call is not diploid.
    """
    lenient = genotypes.keeping(genotypes.samples, lenient_policy(genotypes.policy))
    dropped, overlaps, places = Dropped(), Counter[str](), defaultdict[str, list[NDArray[np.int64]]](list)
    for stretch in _stretches(merge_intervals(windows)):
        variants, left_out = lenient.read(stretch, reference)
        places[stretch.contig].append(variants.position)
        dropped.merge(left_out)
        overlaps.update(count_overlaps(variants))
    policy = genotypes.policy
    return [
        _variants({name: np.concatenate(found) for name, found in places.items()}, windows, policy.ploidy),
        _verdict("REF", "every REF equals the FASTA", dropped, _OTHER_REF, policy.ref_mismatch),
        *(
            [_verdict("ploidy", "all calls fit", dropped, (PLOIDY_CONFLICT,), policy.ploidy_conflict)]
            if policy.ploidy.men
            else []
        ),
        _verdict("phase", "all phased", dropped, ("unphased heterozygote",), policy.unphased),
        _verdict("missing genotypes", "none", dropped, UNKNOWN_CALLS, policy.missing),
        _verdict("duplicates", "none", dropped, ("duplicate record",), policy.duplicates),
        _verdict("alleles", "all are DNA sequence", dropped, _NO_DNA, "drop"),
        _overlap_verdict(overlaps),
        *_phase_sets(lenient, reference, windows),
    ]


def _variants(
    places: Mapping[str, NDArray[np.int64]], windows: Sequence[Interval], ploidy: Ploidy
) -> CheckResult:
    """Where variants begin, and the windows in which none does."""
    count = sum(map(len, places.values()))
    empty = [str(window) for window in windows if not _within(places, window)]
    message, notes = f"{count:,} usable variants in the windows", tuple(without_par(places, windows, ploidy))
    if count and empty:
        message += f"; none in {len(empty):,} of {len(windows):,}: {_first(empty)}"
    status: Status = "fail" if not count else "warn" if notes else "pass"
    return CheckResult("variants", status, message, notes)


def _within(places: Mapping[str, NDArray[np.int64]], window: Interval) -> int:
    here = places.get(window.contig, np.empty(0, np.int64))
    return int(np.subtract(*np.searchsorted(here, [window.end, window.start])))


def _verdict(name: str, good: str, dropped: Dropped, reasons: tuple[str, ...], policy: str) -> CheckResult:
    rows = [row for row in dropped.rows() if row["reason"] in reasons]
    if not rows:
        return CheckResult(name, "pass", good)
    message = "; ".join(
        f"{plural(int(str(row['count'])), str(row['kind']))}: {row['reason']}" for row in rows
    )
    names = [record for key, found in dropped.names.items() if key[1] in reasons for record in found]
    mend = [f"to mend: {HARD_CALLS}"] if any("dosage" in str(row["reason"]) for row in rows) else []
    status: Status = "fail" if policy == "error" else "warn"
    return CheckResult(name, status, message, tuple(names[:_SHOWN] + mend))


def _overlap_verdict(overlaps: Counter[str]) -> CheckResult:
    if not overlaps:
        return CheckResult("overlapping variants", "pass", "no haplotype carries two variants that overlap")
    message = (
        f"{plural(len(overlaps), 'pair')} of variants overlapping on "
        f"{plural(sum(overlaps.values()), 'haplotype')}"
    )
    return CheckResult("overlapping variants", "warn", message, tuple(overlaps)[:_SHOWN])


def _phase_sets(
    genotypes: Genotypes, reference: Reference, windows: Sequence[Interval]
) -> Iterator[CheckResult]:
    """Whether people's haplotypes are known throughout a window, where a file has phase sets."""
    if not genotypes.has_phase_sets:
        return
    found = people_across_sets(genotypes, (genotypes.read(window, reference)[0] for window in windows))
    split = [
        f"{window}: {plural(people, 'people')}"
        for window, people in zip(windows, found, strict=True)
        if people
    ]
    if not split:
        yield CheckResult("phase sets", "pass", "every window is in one phase set of each person")
        return
    message = f"{len(split):,} of {len(windows):,} windows span two phase sets of a person"
    yield CheckResult("phase sets", "warn", message, (*split[:_SHOWN], ACROSS_SETS))


def _stretches(intervals: Iterable[Interval]) -> Iterator[Interval]:
    """Intervals cut to a length whose genotypes fit in memory."""
    for interval in intervals:
        for start in range(interval.start, interval.end, _STRETCH):
            yield Interval(interval.contig, start, min(start + _STRETCH, interval.end))


T = TypeVar("T")


def check_cohort(
    files: CohortFiles, policy: GenotypePolicy, windows: Callable[[Gene], Interval]
) -> list[CheckResult]:
    """Check a cohort, going on after a failure wherever the rest can still be looked at.

    Parameters
    ----------
    windows
        The stretch around a gene whose variants will be used; every site in it is looked at.

    Returns
    -------
    list of CheckResult
        One for each concern; ``"fail"`` where `open_cohort` or a later stage would refuse.
    """
    return check_parts(CohortParts(files, policy), windows)


def check_parts(parts: CohortParts, windows: Callable[[Gene], Interval]) -> list[CheckResult]:
    """As `check_cohort`, of what is then used: nothing is opened twice."""
    check = _Check(parts, parts.policy)
    genotypes = check.open("genotypes", lambda: parts.genotypes, _say_genotypes)
    reference = check.open("reference", lambda: parts.reference, _say_reference)
    measured = check.open("expression", lambda: parts.measured, _say_expression)
    if measured is not None:
        check.results += [_order(measured), _constant(measured), _scale(measured)]
    check.contigs(genotypes, reference, measured)
    samples = check.people(genotypes, measured)
    covariates = check.covariates(samples)
    genes = check.genes(genotypes, reference, measured)
    genes = check.sexes(genotypes, reference, samples, genes, covariates, windows)
    check.sites(genotypes, reference, samples, genes, windows)
    check.genotype_pcs(samples)
    return check.results


@dataclass
class _Check:
    parts: CohortParts
    policy: GenotypePolicy
    results: list[CheckResult] = field(default_factory=list)

    def open(self, name: str, action: Callable[[], T], say: Callable[[T], CheckResult]) -> T | None:
        """Do one thing; its result is told by `say`, an error becomes a failure of this concern."""
        try:
            value = action()
        except HapsightError as error:
            details = tuple(f"{key}: {text}" for key, text in error.details.items())
            self.results.append(CheckResult(name, "fail", error.what, details))
            return None
        self.results.append(say(value))
        return value

    def skip(self, name: str, needs: str) -> None:
        self.results.append(CheckResult(name, "warn", f"not checked: needs {needs}"))

    def contigs(
        self, genotypes: Genotypes | None, reference: Reference | None, measured: Expression | None
    ) -> None:
        if genotypes is None or reference is None or measured is None:
            self.skip("contig names", "genotypes, reference and expression")
            return
        names = dict.fromkeys(gene.contig for gene in measured.genes)
        self.results.append(
            _contig_names(names, {"FASTA": reference.contigs, "genotypes": genotypes.contigs})
        )

    def people(self, genotypes: Genotypes | None, measured: Expression | None) -> tuple[str, ...] | None:
        if genotypes is None or measured is None:
            self.skip("people", "genotypes and expression")
            return None
        dropped = Dropped()

        def join() -> tuple[str, ...]:
            sheet, populations = self.parts.sheet, self.parts.files.populations
            return join_people(measured.samples, genotypes.samples_in_file, sheet, dropped, populations)

        def say(kept: tuple[str, ...]) -> CheckResult:
            sides = {"expression": measured.samples, "genotypes": genotypes.samples_in_file}
            alike = respelled(sides) if dropped.counts else None
            notes = (f"{alike[0]} and {alike[1]} look like one person",) if alike else ()
            return _left_out("people", plural(len(kept), "people"), dropped, notes)

        return self.open("people", join, say)

    def covariates(self, samples: Sequence[str] | None) -> Covariates | None:
        path = self.parts.files.covariates
        if path is None:
            return None
        if samples is None:
            self.skip("covariates", "the people")
            return None
        joined = self.open(
            "covariates",
            lambda: join_covariates(path, samples),
            lambda joined: CheckResult(
                "covariates",
                "warn" if joined[1] else "pass",
                f"{plural(len(joined[0].names) if joined[0] else 0, 'covariate')} of "
                f"{plural(len(samples), 'people')}{leverage_in_words(joined[0], len(samples))}",
                joined[1],
            ),
        )
        return None if joined is None else joined[0]

    def genotype_pcs(self, samples: tuple[str, ...] | None) -> None:
        if self.parts.files.genotype_pcs and samples is not None:
            name, made = "genotype PCs", partial(self.parts.genotype_pcs, samples)
            self.open(name, made, lambda found: CheckResult(name, "pass", str(found)))

    def genes(
        self, genotypes: Genotypes | None, reference: Reference | None, measured: Expression | None
    ) -> tuple[Gene, ...] | None:
        if genotypes is None or reference is None or measured is None:
            self.skip("genes", "genotypes, reference and expression")
            return None
        dropped = Dropped()

        def join() -> tuple[dict[int, Gene], tuple[str, ...]]:
            files, table = self.parts.files, self.parts.table
            return join_genes(files, measured, table, reference, genotypes.contigs, dropped)

        joined = self.open(
            "genes", join, lambda j: _left_out("genes", _say_genes(self.parts.files, j), dropped, j[1])
        )
        return None if joined is None else tuple(joined[0].values())

    def sexes(
        self,
        genotypes: Genotypes | None,
        reference: Reference | None,
        samples: tuple[str, ...] | None,
        genes: tuple[Gene, ...] | None,
        covariates: Covariates | None,
        windows: Callable[[Gene], Interval],
    ) -> tuple[Gene, ...] | None:
        """What the genes of chrX and chrY need; returns the genes that are left."""
        if genotypes is None or reference is None or samples is None or genes is None:
            return genes
        dropped = Dropped()

        def join() -> tuple[tuple[Gene, ...], tuple[str, ...]]:
            ploidy, notes = join_sexes(
                self.parts.sheet, genotypes, samples, genes, reference, self.policy.ploidy
            )
            self.policy = replace(self.policy, ploidy=ploidy)
            kept = without_chry(dict(enumerate(genes)), ploidy, samples, dropped)
            return tuple(kept.values()), notes

        if not any(is_on(gene.contig, plain) for gene in genes for plain in ("X", "Y")):
            return genes

        def say(joined: tuple[tuple[Gene, ...], tuple[str, ...]]) -> CheckResult:
            found, ploidy = joined[0], self.policy.ploidy
            advice = _chrx_advice(found, ploidy, covariates, samples, windows)
            women, men = len(ploidy.women), len(ploidy.men)
            sexes = (
                f"{plural(women, 'woman')}, {plural(men, 'man')}, {len(samples) - women - men} of unknown sex"
            )
            count = sum(is_on(gene.contig, "X") for gene in found)
            return _left_out("chrX", f"{plural(count, 'gene')} of {sexes}", dropped, (*joined[1], *advice))

        joined = self.open("chrX", join, say)
        return None if joined is None else joined[0]

    def sites(
        self,
        genotypes: Genotypes | None,
        reference: Reference | None,
        samples: tuple[str, ...] | None,
        genes: tuple[Gene, ...] | None,
        windows: Callable[[Gene], Interval],
    ) -> None:
        if genotypes is None or reference is None or samples is None or genes is None:
            self.skip("variants", "genotypes, reference, people and genes")
            return

        def scan() -> list[CheckResult]:
            kept = self.parts.kept(samples, self.policy)
            return scan_sites(kept, reference, [windows(gene) for gene in genes])

        found = self.open("variants", scan, lambda results: results[0])
        self.results += found[1:] if found else []


def _chrx_advice(
    genes: Sequence[Gene],
    ploidy: Ploidy,
    covariates: Covariates | None,
    samples: Sequence[str],
    windows: Callable[[Gene], Interval],
) -> Iterator[str]:
    """What users of chrX should know of their cohort."""
    on_x = [gene for gene in genes if is_on(gene.contig, "X")]
    across = [gene.gene_id for gene in on_x if ploidy.men and crosses_par(windows(gene), ploidy)]
    if across:
        yield (
            f"the windows of {len(across)} genes cross the border of a pseudo-autosomal region: a man's two "
            f"haplotypes there share the part that he has once: {_first(across)}"
        )
    if on_x and lacks_sex(covariates, ploidy, samples):
        yield "no covariate tells men from women: give sex as one, as plink2 --glm does on chrX"


def _say_genotypes(file: Genotypes) -> CheckResult:
    message = (
        f"{plural(len(file.samples_in_file), 'people')}, indexed (so sorted); contigs {_first(file.contigs)}"
    )
    if any(_is_stale(path) for path in file.paths):
        return CheckResult(
            "genotypes", "warn", message, ("the index is older than the file: index it again",)
        )
    return CheckResult("genotypes", "pass", message)


def _is_stale(path: Path) -> bool:
    """Whether an index is older than its file."""
    indexes = [Path(f"{path}{suffix}") for suffix in (".tbi", ".csi")]
    return any(index.is_file() and index.stat().st_mtime < path.stat().st_mtime for index in indexes)


def _say_reference(reference: Reference) -> CheckResult:
    return CheckResult(
        "reference", "pass", f"{plural(len(reference.contigs), 'contig')}: {_first(reference.contigs)}"
    )


def _say_expression(measured: Expression) -> CheckResult:
    return CheckResult(
        "expression",
        "pass",
        f"{plural(len(measured.genes), 'gene')} of {plural(len(measured.samples), 'people')}",
    )


def _say_genes(files: CohortFiles, joined: tuple[dict[int, Gene], tuple[str, ...]]) -> str:
    if files.phenotype == "peaks":
        return f"{len(joined[0])} peaks, each read at its centre"
    stranded = all(gene.strand for gene in joined[0].values())
    source = f"a {gene_format(files.genes)} gene table" if files.genes else "the expression file"
    source += "" if files.genes or stranded else ", without strand"
    return f"{plural(len(joined[0]), 'gene')} with a place, from {source}"


def _left_out(name: str, message: str, dropped: Dropped, notes: tuple[str, ...] = ()) -> CheckResult:
    reasons = tuple(
        f"{plural(count, kind)} left out, {reason}: {_first(dropped.names[kind, reason])}"
        for (kind, reason), count in sorted(dropped.counts.items())
    )
    return CheckResult(name, "warn" if reasons or notes else "pass", message, reasons + notes)


def _contig_names(names: Collection[str], sides: Mapping[str, Collection[str]]) -> CheckResult:
    """How the contigs of the expression file are called on the other sides."""
    renamed, absent = [], []
    for side, contigs in sides.items():
        for name in names:
            found = find_contig(name, contigs)
            if found is None:
                absent.append(f"{name} is not in the {side}")
            elif found != name:
                renamed.append(f"{name} is {found} in the {side}")
    usable = [name for name in names if all(find_contig(name, contigs) for contigs in sides.values())]
    message = f"{len(usable)} of {len(names)} contigs of the genes are in FASTA and genotypes"
    status: Status = "fail" if not usable else "warn" if renamed or absent else "pass"
    return CheckResult("contig names", status, message, tuple(renamed + absent)[:_SHOWN])


def _order(measured: Expression) -> CheckResult:
    places = [(gene.contig, gene.tss) for gene in measured.genes]
    contigs = list(dict.fromkeys(contig for contig, _ in places))
    grouped = sorted(places, key=lambda place: (contigs.index(place[0]), place[1]))
    if places == grouped:
        return CheckResult("expression order", "pass", "genes are sorted by contig and TSS")
    first = next(i for i, (a, b) in enumerate(zip(places, grouped, strict=True)) if a != b)
    return CheckResult(
        "expression order",
        "warn",
        "genes are not sorted by contig and TSS; hapsight does not mind, tensorQTL does",
        (f"from {measured.genes[first].gene_id} on",),
    )


def _constant(measured: Expression) -> CheckResult:
    rows = np.flatnonzero(np.ptp(measured.values, axis=1) == 0)
    names = tuple(measured.genes[i].gene_id for i in rows[:_SHOWN])
    if not names:
        return CheckResult("constant genes", "pass", "every gene varies between people")
    return CheckResult(
        "constant genes", "warn", f"{plural(len(rows), 'gene')} with one value in all people", names
    )


def _scale(measured: Expression) -> CheckResult:
    low, high = float(measured.values.min()), float(measured.values.max())
    message = f"values from {low:.4g} to {high:.4g}"
    if low >= 0:
        hint = _IF_LOGS if high < _MOST_OF_LOGS else ""
        message += f": not yet transformed, by their range{hint}"
        return CheckResult("expression scale", "pass", message)
    spread = measured.values.std(axis=1)
    standard = np.abs(measured.values.mean(axis=1)) < 0.05
    share = float((standard & (np.abs(spread - 1) < 0.1)).mean())
    hint = f"{share:.0%} of genes have mean 0 and spread 1; do not take logs of such values"
    return CheckResult("expression scale", "warn", f"{message}: already normalised or logged", (hint,))


def _first(names: Sequence[str] | dict[str, int], count: int = 5) -> str:
    listed = list(names)
    return ", ".join(listed[:count]) + (f" ... ({len(listed)})" if len(listed) > count else "")
