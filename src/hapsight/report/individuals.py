"""What a report holds of single people: nothing, unless it is asked for."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from hapsight.report.disclosure import FEWEST, Disclosure, hanging, nearest_five
from hapsight.report.run_folder import RunFolder, read_table
from hapsight.report.shown_genes import published
from hapsight.tables import DIRECTION_GENES

__all__ = ["MARK", "RULED", "asked_for", "pages_with_individuals", "unruled_pages", "without_individuals"]

MARK: Final = '<meta name="hapsight-individuals" content="yes">'
"""In the head of a gene page that shows single people."""
RULED: Final = '<meta name="hapsight-disclosure" content="1">'
"""In the head of a gene page that passed the disclosure rule."""

_HEAD: Final = 4096
_NOT_NAMED: Final = "not named; `--include-individuals` names them"
_NOT_SHOWN: Final = "in check.json"
_OF_FILES: Final = frozenset(
    {"samples", "genotypes", "reference", "expression", "expression order", "contig names", "covariates"}
    | {"genes", "constant genes", "effects", "given eQTLs", "weights"}
)
"""Checks whose messages and details tell of files and genes, not of what people carry."""
_OF_MODELS: Final = frozenset({"read-out", "positive control", "strand"})
"""Checks of models on the reference sequence."""
_NAMED_KINDS: Final = ("gene", "element", "pair", "target")
"""Kinds of what was left out that have nothing of people in their names."""
_OF_NOBODY: Final = frozenset({"reference", "genes", "weights", "given eQTLs", "sign priors"})
"""Inputs whose digest may be shown: nobody can be guessed from it."""


def asked_for(run: RunFolder) -> bool:
    """Whether the run's own configuration wants single people in its report; False where it cannot tell."""
    try:
        section = tomllib.loads(run.config or "").get("report", {})
    except tomllib.TOMLDecodeError:
        return False
    return isinstance(section, dict) and section.get("include_individuals") is True


def without_individuals(run: RunFolder) -> RunFolder:
    """The run as it may be published (docs/disclosure.md).

    `per_person` and `unrounded` are kept as they are, for what counts people and genes.
    """
    rule = _rule(run)
    ruled = replace(run, disclosure=rule, unrounded=run.per_gene)
    return replace(
        ruled,
        record=_record(run.record, rule.people),
        checks=None if run.checks is None else [_check(check, rule.people) for check in run.checks],
        dropped=_dropped(run.dropped),
        per_gene=published(ruled, "genes", run.per_gene),
        across_genes=published(ruled, "across_genes", run.across_genes),
        summary=published(ruled, "summary", run.summary),
    )


def _rule(run: RunFolder) -> Disclosure:
    """The rule for the people and genes of a run."""
    beside = read_table(run.folder / "evaluation/direction_genes.parquet", DIRECTION_GENES)
    own = [table.select("gene_id", "sd_expression") for table in (run.across_genes, beside)]
    spread = pl.concat(own).drop_nulls().unique("gene_id", keep="first", maintain_order=True)
    cohort = run.record.get("cohort")
    people = cohort.get("people") if isinstance(cohort, dict) else None
    most = run.per_gene["n"].max()
    return Disclosure(int(people or most or 1), spread, hanging(run.per_gene))  # type: ignore[arg-type]


def _record(record: dict[str, Any], people: int) -> dict[str, Any]:
    """``run.json`` without counts that one person changes, and digests that a guess can be held against."""
    shown = dict(record)
    if isinstance(record.get("cohort"), dict):
        shown["cohort"] = {**record["cohort"], "populations": _populations(record["cohort"])}
    shown["notes"] = [_some_people(note, people) for note in record.get("notes") or []]
    shown["models"] = [_about(model, ("asked", "distinct")) for model in record.get("models") or []]
    shown["stages"] = [
        {key: value for key, value in stage.items() if key != "detail"}
        for stage in record.get("stages") or []
    ]
    shown["inputs"] = [
        entry if entry.get("role") in _OF_NOBODY else {**entry, "bytes": None, "sha256": None}
        for entry in record.get("inputs") or []
    ]
    return shown


def _populations(cohort: dict[str, Any]) -> dict[str, int]:
    """People in each population to the nearest five; those of few are one, with the next smallest."""
    sizes = sorted((cohort.get("populations") or {}).items(), key=lambda pair: pair[1])
    few, n = 0, 0
    while few < len(sizes) and (sizes[few][1] < FEWEST or 0 < n < FEWEST):
        few, n = few + 1, n + sizes[few][1]
    shown = dict(cohort.get("populations") or {})
    for name, _ in sizes[:few]:
        del shown[name]
    if few:
        shown["other populations"] = n
    return {name: FEWEST * round(count / FEWEST) for name, count in shown.items()}


def _about(entry: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """An entry whose counts have two digits."""
    rounded = {name: _two_digits(entry[name]) for name in names if isinstance(entry.get(name), int)}
    return {**entry, **rounded}


def _two_digits(count: int) -> int:
    return int(float(f"{count:.1e}"))


def _dropped(dropped: pl.DataFrame) -> pl.DataFrame:
    """What was left out; of people, and of what people carry, neither names nor exact counts."""
    kind = pl.col("kind")
    nobody, none = (pl.lit([text], dtype=pl.List(pl.String)) for text in (_NOT_NAMED, "in dropped.parquet"))
    names = pl.when(kind.is_in(_NAMED_KINDS)).then("names").when(kind == "sample").then(nobody)
    two = pl.col("count").cast(pl.Float64).round_sig_figs(2).cast(pl.Int64)
    count = pl.when(kind.is_in([*_NAMED_KINDS, "sample"])).then("count").when(kind == "variant").then(two)
    return dropped.with_columns(
        names=names.otherwise(none), count=count.otherwise(nearest_five(pl.col("count")))
    )


def _check(check: dict[str, Any], people: int) -> dict[str, Any]:
    """A check without names of people, and without exact numbers of what they carry."""
    if check.get("name") in _OF_FILES or check.get("asks") in _OF_MODELS:
        return check
    message = _some_people(str(check.get("message", "")), people)
    in_names = r"(?<![A-Za-z\d])" if str(check.get("name")).startswith("model ") else ""  # GM12878 stays
    number = r"(?<![\d,.])(?>\d[\d,]*\.?\d*(?:e[-+]?\d+)?)(?! bp)"  # a window's length is nobody's
    message = re.sub(in_names + number, _shortened, message)
    if check.get("name") == "expression scale":  # the least and the largest value are of one person each
        message = f"the range of the values is {_NOT_SHOWN}"
    if check.get("asks"):  # details say what is to be looked at, in words
        message = re.sub(r"\b(\d[\d,]*)(?= effects| more)", _about_five, message)
        return {**check, "message": message}
    naming = check.get("name") in ("people", "people match")
    details = [f"people are {_NOT_NAMED}" if naming else _NOT_SHOWN] if check.get("details") else []
    return {**check, "message": message, "details": details}


def _about_five(found: re.Match[str]) -> str:
    return f"{FEWEST * round(int(found[1].replace(',', '')) / FEWEST):,}"


def _some_people(text: str, people: int) -> str:
    """Words whose counts of women, men and people are to the nearest five; that of all people stays."""

    def about(found: re.Match[str]) -> str:
        count = int(found[1].replace(",", ""))
        near = count if count in (0, people) else max(FEWEST, FEWEST * round(count / FEWEST))
        return f"{near:,}{found[2]}"

    return re.sub(r"\b(\d[\d,]*)( (?:women|men|people|samples|of unknown sex|of [\d,]+ people))", about, text)


def _shortened(found: re.Match[str]) -> str:
    """A count with two digits, where it has more than three."""
    text = found[0].rstrip(",")
    digits = text.replace(",", "")
    tail = found[0][len(text) :]
    return f"{_two_digits(int(digits)):,}{tail}" if digits.isdigit() and len(digits) > 3 else found[0]


def pages_with_individuals(folder: Path) -> int:
    """How many gene pages of a run folder show single people."""
    return sum(MARK in head for head in _heads(folder).values())


def unruled_pages(folder: Path) -> list[str]:
    """Gene pages of a run folder that neither passed the disclosure rule nor say that they show people."""
    return [name for name, head in _heads(folder).items() if MARK not in head and RULED not in head]


def _heads(folder: Path) -> dict[str, str]:
    pages = sorted((folder / "report" / "genes").glob("*.html"))
    return {page.name: _head(page) for page in pages}


def _head(page: Path) -> str:
    with page.open("rb") as file:
        return file.read(_HEAD).decode("utf-8", "replace")
