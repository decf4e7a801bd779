"""Keys of ``[[models]]`` for a model that is a table of variant effects."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["EFFECTS", "EffectsKeys"]

EFFECTS: Final = "effects"
"""The name of the model that a table of effects is."""


class EffectsKeys(BaseModel):
    """What ``name = "effects"`` has beside a label."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: Path | None = Field(
        None, description='of name = "effects": variants and their effects, see docs/effects.md'
    )
    gene: str | None = Field(
        None,
        description='the column of `table` that names the gene, or "nearest TSS" (up to 100 kb away, or '
        "`within`); else as it is known",
    )
    within: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="only variants at most so many bases from the TSS; where `table` names no gene, of every "
        "gene that has its TSS so near",
    )
    value: str | None = Field(
        None, description="the column, dataset or INFO key of `table` with the effect; else as it is known"
    )
    tracks: tuple[str, ...] = Field((), description="tracks of `table` that are used; all where empty")
    where: dict[str, str | tuple[str, ...]] = Field(
        default_factory=dict, description="columns of `table`, and which of their texts are used"
    )

    @property
    def texts(self) -> dict[str, tuple[str, ...]]:
        """`where`, with a list for each column."""
        return {name: (text,) if isinstance(text, str) else text for name, text in self.where.items()}

    def fault(self, name: str, others: bool) -> str | None:
        """Why these keys do not go with a model's name; None where they do.

        Parameters
        ----------
        others
            Whether keys are set that only models of sequences have.
        """
        if name == EFFECTS:
            if self.table is None:
                return 'name = "effects" needs `table`, the file with the effects'
            return 'name = "effects" has no weights, read_out or options' if others else None
        given = [key for key in EffectsKeys.model_fields if getattr(self, key)]
        return f'`{given[0]}` goes with name = "effects" only' if given else None
