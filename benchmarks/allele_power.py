"""How many people a planted cis effect needs: by total expression, and by the ratio of the two haplotypes.

``python -m benchmarks.allele_power`` prints the table of docs/alleles.md; with a name behind it, it draws
the figure there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from tests.stats.simulated_alleles import Design, power

DRAWS, WANTED = 200, 0.8
CONFOUNDERS = (0.0, 0.25, 0.5, 1.0)
CASES = (
    ("100 reads, 60 % of people", Design()),
    ("30 reads, 60 % of people", Design(reads=30)),
    ("1,000 reads, 60 % of people", Design(reads=1_000)),
    ("100 reads, 20 % of people", Design(exonic=0.2)),
    ("100 reads, rho .05", Design(rho=0.05)),
)


def people_needed(design: Design, by: str) -> int:
    """The fewest people, to 5 %, with a power of .8 at p < 1e-3."""
    low, high = 4, 8
    while power(design, high, DRAWS, by, 1) < WANTED:
        low, high = high, high * 2
    while high > low * 1.05 + 1:
        middle = round(np.sqrt(low * high))
        if power(design, middle, DRAWS, by, 1) < WANTED:
            low = middle
        else:
            high = middle
    return high


def rows() -> Iterator[dict[str, Any]]:
    """Of each case: what is needed by either way."""
    for spread in CONFOUNDERS:
        needed = people_needed(Design(confounders=spread), "total")
        yield {"way": "total expression", "confounders": spread, "people": needed}
    for words, design in CASES:
        needed = people_needed(replace(design, confounders=0.0), "ratio")
        yield from ({"way": words, "confounders": spread, "people": needed} for spread in CONFOUNDERS)


def draw(table: list[dict[str, Any]], path: str) -> None:
    """People needed over the spread of what confounds expression."""
    import altair as alt
    import polars as pl

    order = ["total expression", *(words for words, _ in CASES)]
    axis = alt.Axis(values=[50, 100, 200, 500, 1000, 2000])
    chart = (
        alt.Chart(pl.DataFrame(table))
        .mark_line(point=True)
        .encode(
            x=alt.X("confounders:Q", title="spread of trans effects and confounders (log2)"),
            y=alt.Y("people:Q", title="people needed", axis=axis).scale(type="log", domain=[30, 2000]),
            color=alt.Color("way:N", title=None, sort=order),
            strokeDash=alt.condition(
                alt.datum.way == "total expression", alt.value([1, 0]), alt.value([4, 3])
            ),
        )
        .properties(width=380, height=260)
    )
    chart.save(path, scale_factor=2)


if __name__ == "__main__":
    found = list(rows())
    for row in found:
        print(f"{row['way']:30} {row['confounders']:5} {row['people']:6}")
    if len(sys.argv) > 1:
        draw(found, sys.argv[1])
