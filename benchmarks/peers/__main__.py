"""One table of hapsight beside other programs, measured in one sitting: ``python -m benchmarks.peers``.

Each peer has an environment of its own under ``.peers``, made the first time (R and its packages, bcftools
and plink2 are Debian's). Sides take turns, on one thread each. Times are processor time, of the best of
several turns; a first turn, which compiles, does not count. What cannot be run is a row that says why. The
table goes to standard output, progress to standard error.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

from benchmarks.peers import eqtl, fits, sequences
from benchmarks.peers.table import ONE_THREAD, ROOT, NotRunError, Row, markdown, say
from threadpoolctl import threadpool_limits

from hapsight import __version__

DEMO = Path(str(files("hapsight") / "demo"))


def data_folder() -> Path | None:
    """The folder of real data, as the tests find it; where it is not there, the packaged cohort is used."""
    folder = Path(os.environ.get("HAPSIGHT_DATA", ROOT.parent / "shared" / "data"))
    return folder if (folder / "geuvadis_chr22" / "genotypes.vcf.gz").exists() else None


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("sequences", "fits", "eqtl"), nargs="+", help="parts of the table")
    parser.add_argument("--eqtl-genes", type=int, default=30)
    parser.add_argument("--glmnet-genes", type=int, default=8)
    parser.add_argument("--susie-genes", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3, help="turns of the eQTL commands")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    wanted, data = parse(), data_folder()
    cohort = DEMO if data is None else data / "geuvadis_chr22"
    before = os.getloadavg()[0]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="peers-") as name, threadpool_limits(1):
        scratch = Path(name)
        parts: dict[str, Callable[[], Iterator[Row]]] = {
            "sequences": lambda: sequences.rows(DEMO, data, scratch / "sequences"),
            "fits": lambda: fits.rows(cohort, wanted.glmnet_genes, wanted.susie_genes),
            "eqtl": lambda: eqtl.rows(cohort, scratch / "eqtl", wanted.eqtl_genes, wanted.repeats),
        }
        for part in wanted.only or parts:
            try:
                for row in parts[part]():
                    say(markdown([row]).splitlines()[-1])
                    rows.append(row)
            except NotRunError as why:
                rows.append(Row(part, "all", agreement=f"not run: {why}"))
    print(markdown(rows))
    print(
        f"\nhapsight {__version__}, Python {platform.python_version()}; processor time, one thread each; "
        f"{os.cpu_count()} cores ({platform.machine()}), load {before:.1f} before and "
        f"{os.getloadavg()[0]:.1f} after (1 is this command's own); cohort: {cohort.name}"
    )


if __name__ == "__main__":
    os.environ |= ONE_THREAD
    main()
