"""GenVarLoader's side of the comparison; runs with the Python of an environment of its own.

Reads tasks as lines of JSON and answers each with a line. The first key of a task names what is done.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from importlib.metadata import version
from typing import Any

import genvarloader as gvl
import numpy as np
import polars as pl


class Server:
    """What is open between tasks."""

    data: Any = None

    def write(self, write: str, path: str, windows: list[list[Any]], people: list[str]) -> None:
        """Write a dataset of windows from a VCF, BCF or PGEN."""
        bed = pl.DataFrame(windows, schema=["chrom", "chromStart", "chromEnd"], orient="row")
        gvl.write(path, bed, write, samples=people, overwrite=True)

    def load(self, load: str, reference: str, length: int) -> list[str]:
        """Open a dataset; the people in its order."""
        self.data = gvl.Dataset.open(load, reference=reference).with_seqs("haplotypes").with_len(length)
        return list(self.data.samples)

    def build(self, build: int) -> None:
        """Every haplotype of the first windows, one window after the other."""
        for window in range(build):
            self.data[window, :]

    def digests(self, digests: int) -> list[list[str]]:
        """Of the upper-case bases of every haplotype, for each window: people, then haplotypes."""
        return [
            [hashlib.blake2b(bases.tobytes().upper(), digest_size=8).hexdigest() for bases in rows]
            for rows in (
                np.asarray(self.data[window, :]).reshape(-1, self.length) for window in range(digests)
            )
        ]

    @property
    def length(self) -> int:
        return int(self.data.output_length)


def main() -> None:
    """Answer until the input ends."""
    server = Server()
    print(json.dumps({"version": version("genvarloader")}), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        started = time.process_time()
        value = getattr(server, next(iter(task)))(**task)
        print(json.dumps({"seconds": time.process_time() - started, "value": value}), flush=True)


if __name__ == "__main__":
    main()
