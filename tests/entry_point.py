"""A model that other processes find: an installed package's metadata, in a folder on their path."""

from __future__ import annotations

from pathlib import Path


def offer_model(folder: Path, name: str, loader: str) -> Path:
    """Write what makes ``name`` a model of every process that has `folder` on its path; returns it."""
    info = folder / f"hapsight_{name}-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: hapsight-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[hapsight.models]\n{name} = {loader}\n")
    return folder
