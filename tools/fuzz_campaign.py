"""Spoil good files at random and give them to every reader, for as long as asked.

    python -m tools.fuzz_campaign --seconds 480
    python -m tools.fuzz_campaign --only vcf gtf --seconds 60 --engine atheris

Each reader runs in a process of its own, so that one that dies is told from one that lives. A try is lost
where the reader raises anything but a HapsightError, drops a row silently, or dies; its bytes are kept.
Nothing of hapsight is imported by this module itself, so that atheris can watch the imports.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tests.fuzz.harness import Target

BATCH = 25


def main() -> int:
    """Run the campaign; the exit code is 1 where anything was lost."""
    from tests.fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=480, help="in all, shared by the readers")
    parser.add_argument("--only", nargs="*", choices=sorted(TARGETS), default=sorted(TARGETS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=("random", "atheris"), default="random")
    parser.add_argument("--keep", type=Path, default=None, help="folder for the bytes of lost tries")
    asked = parser.parse_args()
    keep = asked.keep or Path(tempfile.mkdtemp(prefix="hapsight-fuzz-"))
    work = by_atheris if asked.engine == "atheris" else at_random
    share, totals = asked.seconds / len(asked.only), {"tries": 0, "read": 0, "refused": 0, "lost": 0}
    for name in asked.only:
        found = in_a_process(work, TARGETS[name], share, asked.seed, keep / name)
        print(
            f"{name:15} {found['tries']:7,} tries {found['read']:7,} read {found['refused']:7,} refused",
            end="",
        )
        print(f" {found['lost']:4} lost", *found["kinds"][:8], sep="\n    " if found["kinds"] else "")
        totals = {key: totals[key] + found[key] for key in totals}
    print(json.dumps(totals), f"lost tries: {keep}" if totals["lost"] else "nothing lost")
    return int(totals["lost"] > 0)


def in_a_process(work: Any, target: Target, seconds: float, seed: int, keep: Path) -> dict[str, Any]:
    """Run one reader's share; where its process dies, what it worked on is counted as lost and it goes on."""
    total: dict[str, Any] = {"tries": 0, "read": 0, "refused": 0, "lost": 0, "kinds": []}
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="hapsight-fuzz-") as folder:
        note = Path(folder) / "note.json"
        while (left := end - time.monotonic()) > 0:
            note.unlink(missing_ok=True)
            process = multiprocessing.get_context("spawn").Process(
                target=work, args=(target.name, left, seed, Path(folder), keep, note)
            )
            process.start()
            process.join()
            seed += 1_000_003
            found = json.loads(note.read_text()) if note.exists() else {"tries": 1}
            for key in ("tries", "read", "refused", "lost"):
                total[key] += found.get(key, 0)
            total["kinds"] += [kind for kind in found.get("kinds", []) if kind not in total["kinds"]]
            if process.exitcode:
                total["lost"] += 1
                total["kinds"].append(f"the process ended with {process.exitcode}")
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"death-{seed}").write_bytes((Path(folder) / "try" / target.filename).read_bytes())
    return total


class Count:
    """Tries of one process, written down every few of them."""

    def __init__(self, target: Target, folder: Path, keep: Path, note: Path) -> None:
        self.target, self.keep, self.note = target, keep, note
        self.folder = folder / "try"
        self.folder.mkdir(exist_ok=True)
        self.numbers, self.kinds = {"tries": 0, "read": 0, "refused": 0, "lost": 0}, list[str]()

    def one(self, content: bytes) -> None:
        """Try one content."""
        from tests.fuzz.harness import survives

        self.numbers["tries"] += 1
        try:
            self.numbers["read" if survives(self.target, content, self.folder) else "refused"] += 1
        except Exception as error:
            self.numbers["lost"] += 1
            self._lost(content, error)
        if self.numbers["tries"] % BATCH == 0:
            self.write()

    def _lost(self, content: bytes, error: Exception) -> None:
        last = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {str(error)[:120]!r}"
        if not any(known.startswith(kind.split(": ")[0]) for known in self.kinds):
            self.kinds.append(kind)
            self.keep.mkdir(parents=True, exist_ok=True)
            (self.keep / f"{len(self.kinds):03d}-{type(error).__name__}").write_bytes(content)

    def write(self) -> None:
        """Write the numbers down, for the parent."""
        self.note.write_text(json.dumps({**self.numbers, "kinds": self.kinds}))


def _hush() -> None:
    """Compiled libraries complain of every spoilt file on standard error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def at_random(name: str, seconds: float, seed: int, folder: Path, keep: Path, note: Path) -> None:
    """Random edits of the good file until the time is over."""
    from tests.fuzz.mutation import apply, drawn_edits
    from tests.fuzz.targets import TARGETS

    _hush()
    target, rng = TARGETS[name], np.random.default_rng(seed)
    good, count, end = target.good(), Count(target, folder, keep, note), time.monotonic() + seconds
    while time.monotonic() < end:
        count.one(apply(good, drawn_edits(rng)))
    count.write()


def by_atheris(name: str, seconds: float, seed: int, folder: Path, keep: Path, note: Path) -> None:
    """The same by atheris, which follows the branches of hapsight's own code."""
    import atheris

    _hush()
    with atheris.instrument_imports(include=["hapsight"]):
        from tests.fuzz.targets import TARGETS

    target = TARGETS[name]
    count, corpus = Count(target, folder, keep, note), folder / "corpus"
    corpus.mkdir(exist_ok=True)
    (corpus / "good").write_bytes(target.good())
    options = [f"-max_total_time={max(1, int(seconds))}", f"-seed={seed}", "-verbosity=0", "-rss_limit_mb=0"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], count.one)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
