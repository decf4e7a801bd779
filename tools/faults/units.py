"""The stages of ``hapsight run`` that are done in units, without the check, the statistics and the report."""

from __future__ import annotations

import sys
from pathlib import Path

from hapsight.errors import HapsightError, IncompleteError
from hapsight.pipeline import do_units
from hapsight.run.config import load_config
from hapsight.run.opened import Opened
from hapsight.stages.predict import load_models


def main() -> int:
    """Do all units of a configuration; exit codes are those of ``hapsight``."""
    try:
        opened = Opened.from_config(load_config(Path(sys.argv[1])))
        runs = load_models(opened)
        with opened.folder.locked():
            opened.begin()
            do_units(opened, runs, lambda *_: None)
    except HapsightError as error:
        print(error, file=sys.stderr)
        return 3 if isinstance(error, IncompleteError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
