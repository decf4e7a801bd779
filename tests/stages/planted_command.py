"""The command line with the slow toy model registered; processes of other work load no torch with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hapsight.cli.main import main
from hapsight.models.registry import register

if TYPE_CHECKING:
    from tests.stages.slow_toy import SlowToy


def load(weights: str | None = None, *, device: object = "cpu") -> SlowToy:
    """A loader, as the registry wants it."""
    from tests.stages.slow_toy import SlowToy

    return SlowToy()


if __name__ == "__main__":
    with register("toy", load):
        main()
