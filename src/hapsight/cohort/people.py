"""The sample sheet: who the people are, and who of them is in all files.

Covariates in tensorQTL's form, covariates x people, or PLINK's, people x covariates.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped
from hapsight.cohort.ploidy import Sex, parse_sexes
from hapsight.cohort.tables import numbers, read_lines, read_table, require_unique, table_of, without_comments
from hapsight.errors import InputError, plural
from hapsight.least_squares import Design, independent, nearly_dependent

__all__ = [
    "Covariates",
    "SampleSheet",
    "join_covariates",
    "leverage_in_words",
    "match_people",
    "read_covariates",
    "read_sample_sheet",
    "respelled",
    "sheet_columns",
]


@dataclass(frozen=True)
class SampleSheet:
    """People with what the sheet says of them, in its words; ``None`` where it says nothing."""

    samples: tuple[str, ...]
    population: tuple[str | None, ...]
    sex: tuple[str | None, ...]
    super_population: tuple[str | None, ...] = ()
    path: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.super_population:
            object.__setattr__(self, "super_population", (None,) * len(self.samples))

    def population_of(self) -> dict[str, str | None]:
        """Population of each person."""
        return dict(zip(self.samples, self.population, strict=True))

    def super_population_of(self) -> dict[str, str | None]:
        """Super-population of each person, such as a continent's."""
        return dict(zip(self.samples, self.super_population, strict=True))

    def sexes(self) -> dict[str, Sex]:
        """Sex of each person of whom it is known.

        Raises
        ------
        InputError
            A word is none that the field uses for a sex.
        """
        return parse_sexes(zip(self.samples, self.sex, strict=True), self.path)


def read_sample_sheet(path: Path | str) -> SampleSheet:
    """Read a table with a column ``sample_id`` and perhaps ``population``, ``super_population`` and ``sex``.

    The columns may have the names of 1000 Genomes' tables and PLINK's (`_CALLED`), in any case.

    Raises
    ------
    InputError
        No column ``sample_id``, an empty one, a person twice, or two columns that could be one of these.
    """
    path = Path(path)
    table = read_table(path, "sample sheet")
    table = table.rename(sheet_columns(table.columns, path))
    if "sample_id" not in table.columns:
        raise InputError(
            "The sample sheet has no column sample_id.",
            where=path,
            expected="sample_id, and where known population, super_population and sex",
            got=", ".join(table.columns[:8]),
            fix="call the column of the people's names sample_id",
        )
    samples = _column(table, "sample_id")
    if None in samples:
        raise InputError("A sample_id is empty.", where=f"{path}, row {samples.index(None) + 2}")
    names = tuple(name for name in samples if name is not None)
    require_unique(names, "sample_id", path)
    population, above = (_labels(table, name) for name in ("population", "super_population"))
    return SampleSheet(names, population, _column(table, "sex"), above, path)


_CALLED: Final = {
    "sample_id": ("sample", "sample_name", "iid"),
    "population": ("pop", "population_code"),
    "super_population": ("super_pop", "superpop", "superpopulation", "superpopulation_code"),
    "sex": ("gender",),
}
"""What others call the columns of a sample sheet: 1000 Genomes (panel, IGSR's export), PLINK."""


def sheet_columns(columns: Sequence[str], path: Path) -> dict[str, str]:
    """Our name of each column of a sample sheet that has one; a column of our name comes before others.

    Raises
    ------
    InputError
        Two columns could be one of ours.

    Examples
    --------
    >>> sheet_columns(["#IID", "SEX", "age", "Population"], Path("a.psam"))
    {'#IID': 'sample_id', 'Population': 'population', 'SEX': 'sex'}
    """
    plain = {name: name.lstrip("#").strip().lower().replace(" ", "_") for name in columns}
    ours: dict[str, str] = {}
    for name, others in _CALLED.items():
        found = [name] if name in columns else [c for c in columns if plain[c] in (name, *others)]
        if len(found) > 1:
            raise InputError(
                f"Two columns of the sample sheet could be {name}.",
                where=path,
                got=", ".join(found),
                fix=f"call one of them {name}",
            )
        ours |= dict.fromkeys(found, name)
    return ours


_UNKNOWN: Final = frozenset({"na", "n/a", "nan", "none", "null", ".", "-9"})
"""How tables say, in any case, that somebody's population is not known."""


def _labels(table: pl.DataFrame, name: str) -> tuple[str | None, ...]:
    """A column of populations; ``None`` also where the sheet says that it is not known."""
    return tuple(None if (label or "").lower() in _UNKNOWN else label for label in _column(table, name))


def _column(table: pl.DataFrame, name: str) -> tuple[str | None, ...]:
    if name not in table.columns:
        return (None,) * len(table)
    values = (None if value is None else str(value).strip() for value in table[name])
    return tuple(value or None for value in values)


def match_people(sides: Mapping[str, Sequence[str]], dropped: Dropped) -> tuple[str, ...]:
    """People who are on every side, in the first side's order; the others are counted in `dropped`.

    Parameters
    ----------
    sides
        People of each file, by the file's part in the cohort, such as ``"expression"``.

    Raises
    ------
    InputError
        Nobody is on every side; shows the first names of each.
    """
    sets = {side: set(people) for side, people in sides.items()}
    everyone = dict.fromkeys(person for people in sides.values() for person in people)
    kept = []
    for person in everyone:
        absent = [side for side, people in sets.items() if person not in people]
        if absent:
            dropped.add("sample", "not in the " + " and the ".join(absent), person)
        else:
            kept.append(person)
    if not kept:
        raise _nobody(sides)
    return tuple(kept)


def _nobody(sides: Mapping[str, Sequence[str]]) -> InputError:
    first, *others = sides.values()
    pairs = ((a, b) for other in others for a in first[:50] if a not in other for b in other)
    alike = next(((a, b) for a, b in pairs if a in b or b in a), None) or respelled(sides)
    return InputError(
        f"No person is in all of: {', '.join(sides)}.",
        expected="the same sample names in these files",
        got="; ".join(f"{side}: {', '.join(people[:3])} ..." for side, people in sides.items()),
        fix="rename the samples on one side (bcftools reheader --samples)"
        + (f"; {alike[0]} and {alike[1]} look like one person" if alike else ""),
    )


def respelled(sides: Mapping[str, Sequence[str]]) -> tuple[str, str] | None:
    """Two names, of people of two sides, that are one but for signs, case or zeros in front.

    R's ``make.names`` and spreadsheets change them so.

    Examples
    --------
    >>> respelled({"expression": ["GTEX.111", "X07"], "genotypes": ["GTEX-111", "07"]})
    ('GTEX.111', 'GTEX-111')
    """
    first, *others = sides.values()
    ours, known = {_bare(name): name for name in first}, set(first)
    pairs = ((ours.get(_bare(name)), name) for other in others for name in other if name not in known)
    return next(((mine, name) for mine, name in pairs if mine is not None), None)


def _bare(name: str) -> str:
    """A name without signs and case, the X that R puts before a digit, and zeros that numbers lose."""
    return re.sub(r"^x(?=\d)", "", re.sub(r"[\W_]", "", name.lower())).lstrip("0") or "0"


@dataclass(frozen=True, eq=False)
class Covariates:
    """Covariates of people.

    Attributes
    ----------
    names
        C covariates.
    samples
        N people.
    values
        (N, C) float64, finite.
    """

    names: tuple[str, ...]
    samples: tuple[str, ...]
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        shape = (len(self.samples), len(self.names))
        if self.values.shape != shape:
            raise InputError(
                "The parts of Covariates do not fit each other.", expected=shape, got=self.values.shape
            )

    @property
    def redundant(self) -> tuple[str, ...]:
        """Covariates that follow from the intercept and those before them, constant ones included."""
        used = independent(self.values)
        return tuple(name for name, flag in zip(self.names, used, strict=True) if not flag)

    @property
    def nearly_redundant(self) -> tuple[str, ...]:
        """Covariates that would follow from those before them if they were not rounded."""
        flags = nearly_dependent(self.values)
        return tuple(name for name, flag in zip(self.names, flags, strict=True) if flag)

    @property
    def constant(self) -> tuple[str, ...]:
        """Covariates that have one value in all people; they explain nothing."""
        same = (self.values == self.values[:1]).all(axis=0)
        return tuple(name for name, flag in zip(self.names, same, strict=True) if flag)

    def take(self, samples: NDArray[np.intp]) -> Covariates:
        """The people at these indices, in this order."""
        return Covariates(self.names, tuple(self.samples[i] for i in samples), self.values[samples])


def read_covariates(path: Path | str, samples: Collection[str]) -> tuple[Covariates, bool]:
    """Read covariates x people, or people x covariates where the people are found in the first column.

    Parameters
    ----------
    path
        A table whose first column has names; tab-separated, or comma-separated where called ``.csv``. Or an
        ``.eigenvec`` of PLINK or GCTA: tabs or spaces; ``FID`` and ``IID``, or ``IID``; a header or none. Or
        EIGENSOFT's ``.evec``.
    samples
        People of the cohort, by whose names the orientation is known.

    Returns
    -------
    Covariates
        With all people of the file, in its order.
    bool
        True where the file was people x covariates.

    Raises
    ------
    InputError
        No person of the cohort is in the file; a value is no finite number; a name comes twice.
    """
    path = Path(path)
    table = _without_families(_read(path, set(samples)))
    first, header = [str(name).strip() for name in table[:, 0]], table.columns[1:]
    require_unique(first, "row", path)
    transposed = _is_transposed(path, header, first, set(samples))
    values = numbers(table[:, 1:], first, path, _WORDS)
    if transposed:
        return Covariates(tuple(header), tuple(first), values), True
    return Covariates(tuple(first), tuple(header), np.ascontiguousarray(values.T)), False


_WORDS: Final = (
    "a covariate of words, such as batches, becomes a covariate of 0 and 1 for each of its words but one; "
    "where a value is not known, leave the person or the covariate out of the file"
)

_MUCH_LEVERAGE: Final = 0.5


def leverage_in_words(covariates: Covariates | None, people: int) -> str:
    """For how many people covariates fit little else than their own value; empty where for nobody."""
    if covariates is None or len(covariates.names) > people - 3:
        return ""
    many = int((Design.of(people, covariates.values).leverage > _MUCH_LEVERAGE).sum())
    if not many:
        return ""
    return (
        f", {plural(many, 'people')} with a leverage above {_MUCH_LEVERAGE:g}: covariates that are fitted "
        "without them, as for held-out people, carry far, and few people may make a held-out R"
    )


def join_covariates(path: Path | None, samples: Sequence[str]) -> tuple[Covariates | None, tuple[str, ...]]:
    """Covariates of exactly these people, and notes on the file.

    Raises
    ------
    InputError
        A person has no covariates: neither a guess nor leaving the person out is right unasked.
    """
    if path is None:
        return None, ()
    table, transposed = read_covariates(path, samples)
    column = {name: i for i, name in enumerate(table.samples)}
    absent = [person for person in samples if person not in column]
    if absent:
        raise InputError(
            f"{len(absent)} of {len(samples)} people have no covariates: {', '.join(absent[:5])}"
            + (" ..." if len(absent) > 5 else "."),
            where=path,
            expected="covariates of everyone with expression and genotypes",
            got=f"{plural(len(table.samples), 'people')} in the file",
            fix="add them to the covariates, or leave them out with a sample sheet of the people to use; or "
            + _rename(absent, table.samples),
        )
    covariates = table.take(np.array([column[person] for person in samples], dtype=np.intp))
    notes = ["the covariates file is people x covariates: turned round"] if transposed else []
    notes += [*_missing_codes(covariates, path), *_numbered_groups(covariates)]
    covariates, far = _near_zero(covariates)
    if far:
        notes.append(
            "covariates whose least value was subtracted, since they hardly differ beside it: "
            f"{', '.join(far)} (R's lm takes them for constant)"
        )
    if covariates.constant:
        notes.append(f"covariates with one value in all people: {', '.join(covariates.constant)}")
    follow = [name for name in covariates.redundant if name not in covariates.constant]
    if follow and len(covariates.names) - len(covariates.redundant) < len(samples) - 1:  # else all people do
        notes.append(f"covariates that follow from those before them, and are not used: {', '.join(follow)}")
    if nearly := covariates.nearly_redundant:
        notes.append(
            f"covariates that follow from those before them but for rounding: {', '.join(nearly)}; what "
            "rounding leaves is fitted too, so leave them out"
        )
    return covariates, tuple(notes)


_CODES: Final = (-9.0, -99.0, -999.0, -9999.0)


def _missing_codes(covariates: Covariates, path: Path) -> Iterator[str]:
    """Covariates of which -9, their least value, may say that one is not known, as PLINK has it.

    Raises
    ------
    InputError
        No other value of a covariate is negative.
    """
    for name, values in zip(covariates.names, covariates.values.T, strict=True):
        code, others = float(values.min()), values[values > values.min()]
        negative = others[others < 0]
        if code not in _CODES or not len(others) or (negative == np.round(negative)).any():
            continue
        of = [one for one, value in zip(covariates.samples, values, strict=True) if value == code]
        told = f"{code:g} of {plural(len(of), 'people')}"
        if len(negative):
            yield f"{name}: {told}, taken as a number: if it says that a value is not known, leave {name} out"
            continue
        raise InputError(
            f"A covariate has {code:g}, and no other negative value: so PLINK says that one is not known.",
            where=f"{path}, covariate {name}",
            got=f"{told}: {', '.join(of[:_SHOWN])}",
            fix="leave out the covariate, or these people by a sample sheet of those to use; if it was "
            f"measured, add {-code:g} to every value of the covariate, which changes no result",
        )


_SHOWN: Final = 5
_GROUPS: Final = re.compile(
    r"batch|plate|platform|flow_?cell|sequencer|cent(?:er|re)(?!ed)|(?<![a-z])(?:lane|pool|site|lab)(?![a-z])",
    re.IGNORECASE,
)


def _numbered_groups(covariates: Covariates) -> Iterator[str]:
    """Covariates whose whole numbers are names of groups, by what the covariates are called."""
    for name, values in zip(covariates.names, covariates.values.T, strict=True):
        levels = np.unique(values)
        if _GROUPS.search(name) and 2 < len(levels) < len(values) and (levels == np.round(levels)).all():
            yield (
                f"{name}: its {len(levels)} whole numbers are taken as amounts; if they name groups, give "
                "a covariate of 0 and 1 for each but one"
            )


_FAR: Final = 1e-6
"""Standard deviation of whole numbers, as a share of the least one, below which that is subtracted."""


def _near_zero(covariates: Covariates) -> tuple[Covariates, tuple[str, ...]]:
    """Covariates whose whole numbers far from 0, such as times, count from the least; and which these are."""
    values = covariates.values
    least, spread = values.min(axis=0), values.std(axis=0)
    far = (spread > 0) & (spread < _FAR * np.abs(least)) & (values == np.round(values)).all(axis=0)
    if not far.any():
        return covariates, ()
    moved = Covariates(covariates.names, covariates.samples, values - np.where(far, least, 0.0))
    return moved, tuple(name for name, flag in zip(covariates.names, far, strict=True) if flag)


def _read(path: Path, samples: set[str]) -> pl.DataFrame:
    """The table, with a header where PLINK 1.9 and GCTA write none."""
    if path.suffix == ".parquet" or ".csv" in path.suffixes:
        return read_table(path, "covariates")
    lines = [line for line in read_lines(path, "covariates") if line and not line.startswith("##")]
    if lines and lines[0].lstrip().startswith("#eigvals:"):  # smartpca's, each line of which ends in a label
        lines = [line.rsplit(None, 1)[0] for line in lines[1:]]
    if lines and "\t" not in next((line for line in lines if line[0] != "#"), lines[0]):
        lines = ["\t".join(_CELL.findall(line)) for line in lines]
    lines = list(without_comments(lines, "\t"))
    rows = [line.split("\t") for line in lines]
    named = next((n for n in (2, 1) if _is_headless(rows, n, samples)), 0)
    if named:
        values = len(rows[0]) - named
        lines.insert(0, "\t".join([*("FID", "IID")[-named:], *(f"PC{n}" for n in range(1, values + 1))]))
    return table_of(lines, path, "covariates")


_CELL: Final = re.compile(r'"[^"]*"|\S+')


def _is_headless(rows: Sequence[Sequence[str]], named: int, samples: set[str]) -> bool:
    """Whether the first row is a person as well: `named` names, then numbers."""
    if not rows or len(rows[0]) <= named or not all(map(_is_number, rows[0][named:])):
        return False
    people = samples.intersection(row[named - 1] for row in rows if len(row) > named)
    return len(people) > len(samples.intersection(rows[0])) and (named == 2 or rows[0][0] in samples)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _without_families(table: pl.DataFrame) -> pl.DataFrame:
    """People by their ``IID`` alone, as the genotypes name them."""
    names = [name.lstrip("#").upper() for name in table.columns]
    families = [
        name for name, plain in zip(table.columns[:3], names, strict=False) if plain in ("FID", "SID")
    ]
    return table.drop(families) if "IID" in names[:2] else table


def _is_transposed(path: Path, header: list[str], first: list[str], samples: set[str]) -> bool:
    across, down = len(samples.intersection(header)), len(samples.intersection(first))
    if across == down:
        raise InputError(
            "It is not clear where the covariates file names the people."
            if across
            else "The covariates file names no person of the cohort.",
            where=path,
            expected=f"people such as {', '.join(sorted(samples)[:3])} in the header line",
            got=f"header {', '.join(header[:3])} ...; first column {', '.join(first[:3])} ...",
            fix=_rename(sorted(samples), [*header, *first]),
        )
    return down > across


def _rename(samples: Sequence[str], theirs: Sequence[str]) -> str:
    """How to mend covariates of people whom the cohort calls otherwise."""
    alike = respelled({"cohort": samples, "covariates": theirs})
    said = f"; {alike[0]} and {alike[1]} look like one person" if alike else ""
    return f"name people as the expression file does{said}"
