"""Prior knowledge, published tables, and tables in Parquet."""

from __future__ import annotations

import io
from pathlib import Path

import h5py
import numpy as np
import polars as pl

from hapsight.cohort.allele_counts import read_allele_counts, read_features
from hapsight.cohort.effect_layouts import Wanted, read_given_effects
from hapsight.cohort.nouns import Gene, Interval, Strand
from hapsight.explain.support import read_effects
from hapsight.priors.regulons import read_gene_covariates, read_regulons
from hapsight.priors.signs import read_sign_priors
from hapsight.run.config import EvidenceEffectsConfig
from hapsight.stages.informed_evidence import EffectEvidence
from hapsight.stages.reproduce import reproduce_huang2023, reproduce_sasse2023
from tests.cohort.files import CONTIG
from tests.fuzz.harness import rows_of, text

GENES = [Gene(f"ENSG0{i}.1", CONTIG, 90, Strand.PLUS, f"G{i}") for i in range(4)]


def good_regulons() -> bytes:
    header: list[object] = ["source", "target", "weight"]
    return text([header, *([f"TF{i % 2}", f"G{i}", (-1) ** i] for i in range(6))])


def regulons(path: Path) -> None:
    found, dropped = read_regulons(path, GENES)
    assert np.isfinite(found.weight).all()
    known = np.count_nonzero(found.weight) + sum(dropped.counts.values())
    assert known == len(rows_of(path)) - 1


def good_allele_counts() -> bytes:
    header = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", "ann", "bob"]
    fixed = [".", "A", "C", ".", "PASS", ".", "GT:AS"]
    return text([header, *([CONTIG, 10 + i, *fixed, f"0|1:{i},9", "1|0:4,5"] for i in range(6))])


def allele_counts(path: Path) -> None:
    found = read_allele_counts(path, ("ann", "bob"), {"g": (Interval(CONTIG, 0, 100),)}, "haplotypes")
    sites = {one.places[0][0] for one in found.reads}
    left = sum(count for (kind, _), count in found.dropped.counts.items() if kind == "site")
    told = [row.split("\t") for row in rows_of(path) if not row.startswith("#")]
    names = next(iter(rows_of(path)), "").split("\t")
    people = [at for at, name in enumerate(names) if name in ("ann", "bob")] or [9, 10]
    phased = [
        row for row in told if any(row[at].split(":")[0] in ("0|1", "1|0") for at in people if at < len(row))
    ]
    het = {int(row[1]) for row in phased if row[0] == CONTIG and 0 < int(row[1]) <= 100}
    assert len(sites) + left >= len(het)


def good_haplotypic_counts() -> bytes:
    names = "contig start stop variants variantCount haplotypeA haplotypeB aCount bCount totalCount"
    rows = ([CONTIG, i, i, f"{CONTIG}_{i}_A_C", 1, "A", "C", i, 9, i + 9] for i in range(1, 7))
    return text([names.split(" "), *rows])


def haplotypic_counts(path: Path) -> None:
    named = path.with_name(path.name.replace("ann", "{sample}"))
    found = read_allele_counts(named, ("ann",), {"g": (Interval(CONTIG, 0, 100),)})
    assert all(min(one.counts) >= 0 for one in found.reads)


def good_features() -> bytes:
    return text([[CONTIG, 10 * i, 10 * i + 5, gene.gene_name] for i, gene in enumerate(GENES)])


def features(path: Path) -> None:
    found, dropped = read_features(path, GENES)
    rows = [row for row in rows_of(path) if not row.startswith(("#", "track", "browser"))]
    assert sum(map(len, found.values())) + sum(dropped.counts.values()) == len(rows)


def good_gene_covariates() -> bytes:
    return text([["gene_id", "length", "gc"], *([gene.gene_id, 10 * i, 0.5] for i, gene in enumerate(GENES))])


def gene_covariates(path: Path) -> None:
    names, values = read_gene_covariates(path, GENES)
    assert values.shape == (len(GENES), len(names))
    assert not np.isinf(values).any()


def good_signs() -> bytes:
    header: list[object] = ["contig", "position", "ref", "alt", "gene_id", "prior", "score"]
    return text([header, *([CONTIG, p, "A", "C", "ENSG01", "all", -0.5] for p in range(20, 26))])


def signs(path: Path) -> None:
    found = read_sign_priors(path)
    assert np.isfinite(found.typical)


def _parquet(table: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _table(content: bytes) -> pl.DataFrame:
    return pl.read_csv(content, separator="\t")


def good_signs_parquet() -> bytes:
    return _parquet(_table(good_signs()))


def good_effects() -> bytes:
    header: list[object] = ["gene_id", "track", "position", "ref", "alt", "effect", "chrom", "pos", "beta"]
    rows = [["ENSG01.1", "t", p, "A", "C", -0.5, CONTIG, p, 0.25] for p in range(20, 26)]
    return _parquet(_table(text([header, *rows])))


def effects_parquet(path: Path) -> None:
    """The same table as evidence, and as measured effects."""
    measured = read_effects(path)
    assert measured.given.table["value"].is_finite().all()
    found = EffectEvidence.opened(EvidenceEffectsConfig(label="x", path=path), GENES)
    assert np.isfinite(found.typical)


def good_variant_scores() -> bytes:
    header: list[object] = [
        "variant_id",
        "gene_id",
        "output_type",
        "variant_scorer",
        "track_name",
        "raw_score",
    ]
    rows = [
        [f"{CONTIG}:{p}:A>C", "ENSG01", "RNA_SEQ", "GeneMaskLFCScorer()", "t", -0.5] for p in range(20, 26)
    ]
    return text([header, *rows], ",")


def good_info() -> bytes:
    header: list[object] = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]
    return text([header, *([CONTIG, p, ".", "A", "C,G", ".", ".", "EFF=0.5,-1"] for p in range(20, 26))])


def good_sed() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["si"], file["gene"] = np.array([0, 1, 1]), np.array(["ENSG01", "ENSG01", "ENSG02"], "S")
        file["chr"], file["pos"] = np.array([CONTIG, CONTIG], "S"), np.array([20, 21], np.uint32)
        file["ref_allele"], file["alt_allele"] = np.array(["A", "A"], "S"), np.array(["C", "G"], "S")
        file["target_ids"], file["target_labels"] = np.array(["t1", "t2"], "S"), np.array(["a", "b"], "S")
        file["SED"] = np.arange(6, dtype=np.float16).reshape(3, 2)
    return buffer.getvalue()


def given_effects(path: Path) -> None:
    """A table as a model; a CSV has a row for each of its lines."""
    found = read_given_effects(path, Wanted()).table
    assert found["value"].is_finite().all()
    assert path.suffix != ".csv" or len(found) == len(rows_of(path)) - 1


def good_sasse() -> bytes:
    track = "CAGE,adult,brain"
    header: list[object] = ["#gene_name", f"PearsonR{track}", "RmeanRandom", "Rstdrandom"]
    header += ["MeanObs", f"Mean{track}", "PrediXcanR"]
    rng = np.random.default_rng(0)
    return text([header, *([f"G{i}", *rng.uniform(0.1, 0.9, 6).round(3)] for i in range(30))])


def sasse(path: Path) -> None:
    assert reproduce_sasse2023(path)


def good_huang() -> bytes:
    header: list[object] = ["", "Xpresso", "Enformer", "Basenji2", "ExPecto", "rvalue", "distance"]
    header += ["minor_allele_freq"]
    rng = np.random.default_rng(1)
    return text([header, *([i, *rng.random(7).round(3)] for i in range(30))], ",")


def huang(path: Path) -> None:
    assert reproduce_huang2023(path, path)
