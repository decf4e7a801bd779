"""The files of a run folder: its record, its tables, the units of its stages; and names of split inputs."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import polars as pl

from hapsight.cohort.split import open_genotypes
from hapsight.errors import IncompleteError
from hapsight.report.run_folder import read_run
from hapsight.run.run_folder import RunFolder
from hapsight.run.store import UnitKey, UnitStore
from hapsight.tables import PER_GENE

RECORD = {
    "format": 1,
    "name": "x",
    "models": [{"name": "toy", "read_out": "default"}],
    "baselines": [{"name": "elastic_net", "read_out": ""}],
    "stages": [{"name": "predict", "detail": "", "seconds": 1.0, "peak_mb": 1}],
    "notes": ["a note"],
}


def good_record() -> bytes:
    return json.dumps(RECORD, indent=1).encode()


def record(path: Path) -> None:
    """Both readers of ``run.json``; what is taken must say what it is of."""
    found = read_run(path.parent)
    assert found.record["format"] == 1
    folder = RunFolder(path.parent)
    assert isinstance(folder.record(), dict)
    folder.add_model({"name": "toy", "read_out": "default"})
    with folder.stage("evaluate") as stage:
        stage["detail"] = "x"
    assert found.silent == tuple(m["name"] for m in found.record.get("models", []))


def _per_gene() -> pl.DataFrame:
    rows = [{"gene_id": f"G{i}", "model": "toy", "read_out": "default", "pearson_r": i / 8} for i in range(6)]
    return pl.DataFrame(rows, schema=dict(PER_GENE))


def _parquet(table: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def good_per_gene() -> bytes:
    return _parquet(_per_gene())


def per_gene(path: Path) -> None:
    """A table of results in the folder of a run."""
    folder = path.parent / "run"
    (folder / "evaluation").mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_bytes(good_record())
    (folder / "evaluation" / "per_gene.parquet").write_bytes(path.read_bytes())
    found = read_run(folder).per_gene
    assert dict(found.schema) == PER_GENE
    assert len(found) == len(pl.read_parquet(path))


def unit(path: Path) -> None:
    """A unit whose table or seal changed is not done: read whole as it was, or computed again."""
    store = UnitStore(path.parent)
    content = path.read_bytes()
    store.write("u", "key", {"genes": _per_gene()})
    path.write_bytes(content)
    try:
        found = store.read([UnitKey("u", "key")], "genes")
    except IncompleteError:
        assert not store.done("u", "key")
        raise
    assert found.equals(_per_gene())


def good_seal() -> bytes:
    digest = hashlib.sha256(good_per_gene()).hexdigest()
    return json.dumps({"key": "key", "tables": {"genes": digest}}, indent=1).encode()


def good_pattern() -> bytes:
    return b"chr{chrom}.vcf.gz"


def pattern(path: Path) -> None:
    """A pattern of files: one that fits nothing is refused, and no name fits that is not of the pattern."""
    given = path.read_bytes().decode(errors="surrogateescape")
    folder = path.parent / "split"
    folder.mkdir(exist_ok=True)
    good = folder / "chr1.vcf.gz"
    if not good.exists():
        import pysam

        from tests.fuzz.genomes import good_vcf_gz

        good.write_bytes(good_vcf_gz())
        pysam.tabix_index(str(good), preset="vcf", force=True)
    found = open_genotypes(folder / given.lstrip("/"))
    assert [p.name for p in found.paths] == ["chr1.vcf.gz"]
