"""Run the code of tutorial pages while the site is built, and set what it prints under it.

On a page under ``docs/tutorials/``, blocks of ``sh`` and ``python`` are run from top to bottom in one
temporary folder; Python blocks share their names. A comment before a block changes that:
``<!-- file: NAME -->`` writes the block to a file, ``<!-- append: NAME -->`` adds it to one,
``<!-- not run -->`` leaves it alone. A command or block that fails ends the build.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK = re.compile(
    r"(?:^<!-- (?P<what>file|append|not run)(?:: (?P<name>\S+))? -->\n)?"
    r"^```(?P<language>\w+)\n(?P<code>.*?)^```\n",
    re.MULTILINE | re.DOTALL,
)
LONGEST = 60
"""Lines of output that a page shows of one block; the middle of more is left out, and said to be."""


class TutorialError(Exception):
    """A block that failed, with what it printed."""


def shell(code: str, folder: Path) -> str:
    """Standard output of lines of a shell, run in a folder with this Python's programs first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "NO_COLOR": "1", "COLUMNS": "92", "TERM": "dumb"}
    command = ["sh", "-euc", code]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise TutorialError(f"exit code {done.returncode} of\n{code}\n{done.stdout}{done.stderr}")
    return done.stdout


def python(code: str, folder: Path, names: dict[str, Any]) -> str:
    """What Python code prints, run in a folder with the names of the blocks before it."""
    printed = io.StringIO()
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
            exec(compile(code, "tutorial", "exec"), names)
    except Exception as error:
        raise TutorialError(f"{error!r} of\n{code}\n{printed.getvalue()}") from error
    return printed.getvalue()


def shortened(text: str) -> str:
    lines = [line.rstrip() for line in text.rstrip().splitlines()]
    if len(lines) <= LONGEST:
        return "\n".join(lines)
    half = LONGEST // 2
    return "\n".join([*lines[:half], f"... {len(lines) - 2 * half} more lines ...", *lines[-half:]])


def results(text: str, folder: Path) -> Iterator[str]:
    """For each block of a page, what it prints; nothing for one that is not run."""
    names: dict[str, Any] = {}
    for block in BLOCK.finditer(text):
        language, code, what = block["language"], block["code"], block["what"]
        if what in ("file", "append"):
            with (folder / block["name"]).open("w" if what == "file" else "a") as file:
                file.write(code)
            yield ""
        elif what is None and language in ("sh", "python"):
            yield shell(code, folder) if language == "sh" else python(code, folder, names)
        else:
            yield ""


def with_output(text: str) -> str:
    """A page with what its blocks print, each under its block."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve() / "tutorial"
        folder.mkdir()
        printed = iter([shortened(one.replace(f"{folder}/", "")) for one in results(text, folder)])
    return BLOCK.sub(lambda block: block[0] + shown(next(printed)), text)


def shown(printed: str) -> str:
    return f"\n```text\n{printed}\n```\n" if printed else ""


def run_page(app: Any, docname: str, source: list[str]) -> None:
    if docname.startswith("tutorials/"):
        source[0] = with_output(source[0])


def setup(app: Any) -> dict[str, bool]:
    """As an extension of Sphinx."""
    app.connect("source-read", run_page)
    return {"parallel_read_safe": True}
