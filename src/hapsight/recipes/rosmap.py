"""ROSMAP as Sasse 2023 used it: controlled data, so the user brings the files and the recipe checks them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from hapsight.cohort.check import CheckResult
from hapsight.errors import IncompleteError, StoreError, plural
from hapsight.files import write_atomically
from hapsight.recipes.cohort_files import ROLES, check_role, quoted_path
from hapsight.run.config import load_config

__all__ = ["APPLY", "PEOPLE", "RosmapFiles", "check_files", "write_config"]

PEOPLE: Final = 839
"""Of the study, with whole genomes and expression in cortex."""

APPLY: Final = """\
ROSMAP's genomes and expression are under controlled access; hapsight cannot download them for you.
  1. Make an account at https://www.synapse.org and have it validated.
  2. Ask for access to the AD Knowledge Portal (AMP-AD), syn2580853: its page names the data use certificate
     that you and your institution sign. Access is granted for a stated purpose and for named people.
  3. Then download, on the machine that the certificate names: the whole genomes (syn117074200), phased, as
     VCF or BCF with an index; the RNA-seq of dorsolateral prefrontal cortex; and its covariates.
  4. Bring expression into a tensorQTL phenotype BED (a column per person, named as in the genotypes), and
     take a FASTA of the genomes' build, bgzipped and indexed, and a GTF of the same build.
Nothing that hapsight does leaves this machine; still, its tables hold people's data (SECURITY.md)."""

_CONFIG: Final = """\
# ROSMAP as in Sasse 2023. The data are under controlled access: so is what is computed from them.
name = "ROSMAP (Sasse 2023)"
output = "run"
protocol = "sasse2023"

[cohort]
{cohort}

[expression]
transform = "log10"    # "none" if your values are logged or normalised already

[[models]]
name = "enformer"      # `hapsight models fetch enformer` brings the weights
"""


@dataclass(frozen=True, slots=True)
class RosmapFiles:
    """The user's files, as ``[cohort]`` names them; None where not given."""

    genotypes: Path | None = None
    reference: Path | None = None
    expression: Path | None = None
    genes: Path | None = None
    covariates: Path | None = None
    samples: Path | None = None

    @property
    def given(self) -> dict[str, Path]:
        """Role and path of each that is given."""
        paths = {field.name: getattr(self, field.name) for field in fields(self)}
        return {role: path for role, path in paths.items() if path is not None}


def check_files(files: RosmapFiles) -> list[CheckResult]:
    """Open the files one by one; then, whether they name the same people.

    Returns
    -------
    One result a role: ``fail`` where a file cannot be used or a needed one is not given.
    """
    opened: dict[str, Any] = {}
    results = [_check(role, files, opened) for role in ROLES]
    if {"genotypes", "expression"} <= opened.keys():
        results.append(_people(opened))
    return results


def write_config(files: RosmapFiles, out: Path) -> Path:
    """Write the configuration; call it when no check has failed.

    Raises
    ------
    IncompleteError
        A needed file is not given.
    StoreError
        There is a file of that name already.
    """
    missing = [role for role in _NEEDED if role not in files.given]
    if missing:
        raise IncompleteError(
            "The recipe needs files that only you can get.",
            expected=", ".join(_NEEDED),
            got=f"without {', '.join(missing)}",
            fix="; ".join(f"--{role} FILE" for role in missing),
        )
    if out.exists():
        raise StoreError("There is a configuration already; it is not overwritten.", where=out)
    lines = [f"{role} = {quoted_path(path.absolute())}" for role, path in files.given.items()]
    write_atomically(out, _CONFIG.format(cohort="\n".join(lines)).encode())
    load_config(out)
    return out


def _check(role: str, files: RosmapFiles, opened: dict[str, Any]) -> CheckResult:
    path = files.given.get(role)
    if path is None:
        return CheckResult(role, "fail" if role in _NEEDED else "pass", "not given")
    return check_role(role, path, opened)


def _people(opened: Mapping[str, Any]) -> CheckResult:
    """People in genotypes, expression and, where given, sample sheet."""
    sides = [set(opened["expression"].samples), set(opened["genotypes"].samples)]
    if "samples" in opened:
        sides.append(set(opened["samples"].samples))
    both = len(set.intersection(*sides))
    message = f"{plural(both, 'people')} in all files; the study had {PEOPLE}"
    return CheckResult("people", "fail" if both == 0 else "pass" if both == PEOPLE else "warn", message)


_NEEDED: Final = ("genotypes", "reference", "expression", "genes")
