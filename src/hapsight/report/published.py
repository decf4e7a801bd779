"""The run as a report may tell of it: nothing of single people, unless it is asked for.

Tables as they are published: numbers over genes are made anew over those whose R is shown, then rounded. A
number over all genes, less what is shown of the others, tells of the genes whose R is withheld
(`hapsight.report.disclosure.hanging`): their signs, from a share. So no published number counts them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from hapsight.explain.driver_summary import driver_summary
from hapsight.explain.reliability_quality import judged_genes
from hapsight.explain.tables import DRIVERS, RELIABILITY
from hapsight.report.disclosure import Disclosure, hanging
from hapsight.report.disclosure_rules import FEWEST, nearest_five
from hapsight.report.run_folder import RunFolder, read_table
from hapsight.seeds import stream
from hapsight.stats.agreement import r_beside_r
from hapsight.stats.direction_factors import direction_tables
from hapsight.stats.nulls import TESTS
from hapsight.stats.protocols import protocol_named
from hapsight.stats.summary import r_over_genes, summarise_gene_rows
from hapsight.tables import DIRECTION_GENES

__all__ = [
    "MADE_ANEW",
    "MARK",
    "RULED",
    "asked_for",
    "pages_with_individuals",
    "published",
    "unruled_pages",
    "without_individuals",
]

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


_OWN_BOOKS: Final = ("named", "noted_by", "tables", "finished")
"""By which a run knows what it has done: digests of files of people, notes as they were before a rule."""


def _record(record: dict[str, Any], people: int) -> dict[str, Any]:
    """``run.json`` without counts that one person changes, and digests that a guess can be held against."""
    shown = {name: value for name, value in record.items() if name not in _OWN_BOOKS}
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


Row = dict[str, Any]

_LABELS: Final = ("model", "read_out", "protocol")
_OF_R: Final = ("across_people_", "share_negative", "significant")
"""What the quantities of ``evaluation/summary`` begin with that are numbers over R."""
_SEED: Final = 16
"""Of the bootstrap over genes that a verdict is made of again."""


def published(run: RunFolder, name: str, table: pl.DataFrame) -> pl.DataFrame:
    """A table as the report may show it; as it is where single people are asked for.

    Parameters
    ----------
    name
        Of the table, as in `hapsight.report.disclosure_rules.KINDS`.
    table
        Of a name in `MADE_ANEW`: the run's own table, of which one is made a run.
    """
    rule = run.disclosure
    if rule is None:
        return table
    if name not in MADE_ANEW:
        return rule.table(name, table)
    if name not in run.made:
        plain = rule.few.is_empty() or table.is_empty()
        run.made[name] = rule.table(name, table if plain else MADE_ANEW[name](run, rule, table))
    return run.made[name]


def _summary(run: RunFolder, rule: Disclosure, table: pl.DataFrame) -> pl.DataFrame:
    """``evaluation/summary``: quantities across people are of the genes whose R is shown."""
    assert run.unrounded is not None
    every = run.unrounded

    def rows(own: pl.DataFrame) -> Iterator[Row]:
        genes = _of(every, own.row(0, named=True))
        held_out = "significant.folds" in own["quantity"]
        leading = protocol_named(own["protocol"][0]).test_of(held_out)
        shown, status = rule.without_hanging(genes), genes["status"].to_list()
        found = summarise_gene_rows(shown, status, TESTS, leading)
        made = {quantity.quantity: asdict(quantity) for quantity in found}
        nothing = dict.fromkeys(("value", "n", "ci_low", "ci_high"))
        for row in own.iter_rows(named=True):
            of_r = row["quantity"].startswith(_OF_R)
            yield row | made.get(row["quantity"], nothing if of_r else {})

    return _anew(rule, table, rows)


def _baselines(run: RunFolder, rule: Disclosure, table: pl.DataFrame) -> pl.DataFrame:
    """``evaluation/baselines``; means over folds, and differences, stay as they are over all genes.

    The rule rounds them more coarsely where an R of the arm, or of the one it is held against, is withheld.
    """
    counted = run.counted

    def rows(own: pl.DataFrame) -> Iterator[Row]:
        numbers = r_over_genes(_of(counted, own.row(0, named=True)))
        yield from (row | numbers for row in own.iter_rows(named=True))

    return _anew(rule, table, rows)


def _agreement(run: RunFolder, _rule: Disclosure, table: pl.DataFrame) -> pl.DataFrame:
    """``evaluation/agreement``: pairs of arms, of which one or both have an R that is withheld."""
    counted = run.counted
    genes, none = counted.partition_by("model", "read_out", as_dict=True), counted.clear()
    rows = [
        row
        | r_beside_r(
            genes.get((row["model"], row["read_out"]), none),
            genes.get((row["other_model"], row["other_read_out"]), none),
        )
        for row in table.iter_rows(named=True)
    ]
    return pl.DataFrame(rows, schema=table.schema)


def _beside_eqtls(run: RunFolder, rule: Disclosure, name: str) -> pl.DataFrame:
    """``evaluation/direction``, ``direction_strata`` or ``direction_factors``: made together, once."""
    if name not in run.beside_eqtls:
        genes = read_table(run.folder / "evaluation/direction_genes.parquet", DIRECTION_GENES)
        run.beside_eqtls.update(direction_tables(rule.without_hanging(genes)))
    return run.beside_eqtls[name]


def _drivers(run: RunFolder, rule: Disclosure, table: pl.DataFrame) -> pl.DataFrame:
    """``explain/driver_summary``."""
    genes = read_table(run.folder / "explain/drivers.parquet", DRIVERS)

    def rows(own: pl.DataFrame) -> Iterator[Row]:
        labels = own.select(_LABELS).row(0, named=True)
        shown = rule.without_hanging(_of(genes, labels))
        for form in own["form"].unique(maintain_order=True):
            part = shown.filter(pl.col("form") == form)
            yield from (labels | {"form": form} | row for row in driver_summary(part))

    return _anew(rule, table, rows)


def _reliability(run: RunFolder, rule: Disclosure, table: pl.DataFrame) -> pl.DataFrame:
    """``explain/reliability_summary``, from the rows of ``explain/reliability``."""
    genes = read_table(run.folder / "explain/reliability.parquet", RELIABILITY)

    def rows(own: pl.DataFrame) -> Iterator[Row]:
        for row in own.iter_rows(named=True):
            mine = rule.without_hanging(_of(genes, row))
            rng = stream(_SEED, "verdicts of shown genes")
            yield dict.fromkeys(row) | {k: row[k] for k in _LABELS} | judged_genes(mine, row["genes"], rng)

    return _anew(rule, table, rows)


MADE_ANEW: Final[Mapping[str, Callable[[RunFolder, Disclosure, pl.DataFrame], pl.DataFrame]]] = {
    "summary": _summary,
    "baselines": _baselines,
    "between_models": _agreement,
    "direction": lambda run, rule, _: _beside_eqtls(run, rule, "direction"),
    "direction_strata": lambda run, rule, _: _beside_eqtls(run, rule, "direction_strata"),
    "direction_factors": lambda run, rule, _: _beside_eqtls(run, rule, "direction_factors"),
    "driver_summary": _drivers,
    "reliability_summary": _reliability,
}
"""Published tables with numbers over R of several genes -> how they are made over the genes shown."""


def _anew(
    rule: Disclosure, table: pl.DataFrame, rows: Callable[[pl.DataFrame], Iterator[Row]]
) -> pl.DataFrame:
    """The table, in which arms with an R that is withheld have the given rows instead of their own."""
    few = set(rule.few.select("model", "read_out").iter_rows())
    parts = [
        pl.DataFrame(list(rows(own)), schema=table.schema) if pair in few else own
        for pair, own in table.group_by("model", "read_out", maintain_order=True)
    ]
    return pl.concat(parts)


def _of(table: pl.DataFrame, labels: Mapping[str, Any]) -> pl.DataFrame:
    return table.filter(pl.col("model") == labels["model"], pl.col("read_out") == labels["read_out"])
