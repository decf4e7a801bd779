"""The command line with the slow toy model registered, without drawings.

Processes of other work load no torch with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hapsight import pipeline
from hapsight.cli.main import main
from hapsight.models.registry import register

if TYPE_CHECKING:
    from tests.stages.slow_toy import SlowToy


def load(weights: str | None = None, *, device: object = "cpu") -> SlowToy:
    """A loader, as the registry wants it."""
    from tests.stages.slow_toy import SlowToy

    return SlowToy()


def undrawn(run: Path) -> Path:
    """In place of the report: the tables alone are looked at."""
    (run / "report.html").touch()
    return run / "report.html"


if __name__ == "__main__":
    pipeline.build_report = undrawn
    with register("toy", load):
        main()
