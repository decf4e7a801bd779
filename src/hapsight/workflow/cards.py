"""The card that a run keeps of each model, for stages that need no more of it than that."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from pydantic import TypeAdapter

import hapsight
from hapsight.cohort.nouns import Gene, Interval
from hapsight.config import Config, ModelConfig
from hapsight.disk import write_atomically
from hapsight.effects_config import EFFECTS
from hapsight.files import file_name
from hapsight.models.protocol import ModelWindow, ReadOut, Track
from hapsight.predict.cost import Cost
from hapsight.predict.store import UnitStore
from hapsight.predict.windows import placed, seen_interval
from hapsight.workflow.blocks import (
    Block,
    KeyedBlock,
    blocks_of_size,
    even_blocks,
    keyed_blocks,
    model_target,
)
from hapsight.workflow.model_units import ModelSource
from hapsight.workflow.opened import POLICY_KEYS, Opened, gene_keys

__all__ = ["ModelCard", "asked_of", "read_card", "write_card"]


@dataclass(frozen=True, eq=False)
class ModelCard:
    """A model of a run and how it is read.

    Attributes
    ----------
    label
        What the model is called in tables: its name, or what the configuration calls it.
    name
        Its own, with weights.
    tracks
        Of the read-out, in its order.
    seen
        Bases ``[first, last)`` of the window that the read-out depends on.
    cost, toggled
        Of its values, and of the form that toggles variants.
    fingerprint
        Of its weights as they were loaded, whatever the model says.
    device
        Where the process that had it loaded had it.
    source
        How other processes load it, and where these have it.
    asked
        What the configuration said of it.
    levels
        Whether values of different genes can be compared: not where a value is only what variants change.
    """

    label: str
    name: str
    read_out: ReadOut
    tracks: tuple[Track, ...]
    window: ModelWindow
    seen: tuple[int, int]
    cost: Cost
    toggled: Cost
    fingerprint: str
    device: str
    source: ModelSource
    asked: dict[str, Any]
    levels: bool = field(default=True, kw_only=True)

    @property
    def of_effects(self) -> bool:
        """Whether it is a table of effects, which no sequence can be given to."""
        return self.source.name == EFFECTS

    @property
    def track_names(self) -> tuple[str, ...]:
        """Names of the tracks, in the read-out's order."""
        return tuple(track.name for track in self.tracks)

    def labels(self, protocol: str, track: str) -> dict[str, str]:
        """The labels of a track's numbers; a read-out of several tracks has a name for each."""
        name = self.read_out.name if len(self.tracks) == 1 else f"{self.read_out.name}:{track}"
        return {"model": self.label, "read_out": name, "protocol": protocol}

    def reads(self, gene: Gene) -> Interval:
        """The window around a gene."""
        return placed(gene, self.window).interval

    def sees(self, gene: Gene) -> Interval:
        """What of the genome the value of a gene depends on."""
        return seen_interval(gene, self.window, self.seen)

    def gene_keys(self, opened: Opened, genes: Sequence[Gene]) -> dict[str, str]:
        """By ``gene_id``: digest of all that the predictions of the gene depend on."""
        return gene_keys(
            "predict",
            genes,
            {
                "fingerprint": self.fingerprint,
                "read_out": asdict(self.read_out),
                "window": asdict(self.window),
                "device": self.source.device,
                "arithmetic": opened.config.predict.model_dump(
                    mode="json", include={"batch_size", "budget_gb", "precision", "compiled"}
                ),
                "policy": opened.config.cohort.model_dump(mode="json", include=POLICY_KEYS),
                **opened.key_parts("genotypes", "reference"),
            },
        )

    def units(self, opened: Opened) -> list[KeyedBlock]:
        """Name, key and genes of every unit."""
        keys = self.gene_keys(opened, opened.cohort.genes)
        return keyed_blocks(self.store(opened), self._blocks(opened), keys)

    def store(self, opened: Opened) -> UnitStore:
        """Where the units are."""
        return opened.folder.predictions(self.label, self.read_out.name)

    def _blocks(self, opened: Opened) -> list[Block]:
        """As many genes as are asked for, else of about equal predicted work."""
        cohort, size = opened.cohort, opened.config.predict.genes_per_unit
        if size is not None:
            return blocks_of_size(cohort.genes, size)
        return even_blocks(
            cohort.genes, lambda gene: self.predicted_flop(opened, gene), model_target(self.source.device)
        )

    def predicted_flop(self, opened: Opened, gene: Gene) -> float:
        """About how many floating-point operations a gene's predictions take."""
        variants = opened.cohort.genotypes.expected_records(self.reads(gene))
        return self.cost.predicted(variants, len(opened.cohort.samples))

    def entry(self, opened: Opened, units: Sequence[KeyedBlock]) -> dict[str, Any]:
        """What the record says of the model, whose `units` are done.

        Raises
        ------
        IncompleteError
            Some are not.
        """
        genes = self.store(opened).read(units, "genes")
        window = self.window
        return {
            "name": self.label,
            "model": self.name,
            "read_out": self.read_out.name,
            "fingerprint": self.fingerprint,
            "window": f"{window.upstream:,} bp before and {window.downstream:,} bp from the TSS on",
            "device": self.device,
            "asked": 2 * len(opened.cohort.samples) * len(genes),
            "distinct": int(genes["n_distinct"].sum()),
            "units": [unit.name for unit in units],
        }


def asked_of(config: Config, wanted: ModelConfig) -> dict[str, Any]:
    """All that decides which model an entry of the configuration is; JSON."""
    return {
        "hapsight": hapsight.__version__,
        "model": wanted.model_dump(mode="json", warnings=False),
        "arithmetic": config.predict.model_dump(mode="json", include={"device", "precision", "compiled"}),
    }


def write_card(opened: Opened, card: ModelCard) -> None:
    """Keep a model's card in the run folder; its file is left alone where it says the same."""
    facts = {one.name: getattr(card, one.name) for one in fields(ModelCard)}
    data = json.dumps(asdict(ModelCard(**facts)), indent=1).encode()
    path = opened.folder.path / "models" / file_name(card.label, card.read_out.name, suffix=".json")
    if not path.is_file() or path.read_bytes() != data:
        write_atomically(path, data)


def read_card(opened: Opened, wanted: ModelConfig) -> ModelCard | None:
    """The card of an entry of the configuration; None without one that can be read and is of that entry."""
    asked, cards = asked_of(opened.config, wanted), TypeAdapter(ModelCard)
    for path in sorted((opened.folder.path / "models").glob("*.json")):
        try:
            card = cards.validate_json(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            continue
        if card.asked == asked:
            return card
    return None
