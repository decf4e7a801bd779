"""Scores as files that other programs read."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import polars as pl
import pysam
import pytest

from hapsight.errors import ConfigError
from hapsight.explain.tables import SCORES
from hapsight.stages.score import require_score_file, write_scores

CONTIGS = {"chr10": 90, "chr2": 200}


def scores() -> pl.DataFrame:
    """Two models, two genes and two tracks of a variant; one later on the FASTA's first contig."""
    rows = []
    for model in ("mini", "my model"):
        for gene, name in (("ENSG1.2", "A;B"), ("ENSG2", "")):
            for track, effect in (("liver, 2|x", 0.25), ("K562 = 1", -1.5)):
                for haplotype in (1, 2):
                    variant = ("rs1", "chr2", 9, 10, "A", "ACG", 3)
                    labels = (gene, name, model, "default", track, "ann", haplotype)
                    rows.append((*labels, *variant, 1 / 3, effect * haplotype))
    last = ("ENSG3", "C", "mini", "default", "t", "ann", 1, "rs2", "chr10", 80, 81, "G", "T", -3, 2.0, 1e-9)
    return pl.DataFrame([*rows, last], schema=SCORES, orient="row")


@pytest.mark.parametrize(
    "name", ["s.tsv", "s.tsv.gz", "s.csv", "s.csv.gz", "s.parquet", "s.txt.gz", "scores", "s.gz"]
)
def test_tables_come_back(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    require_score_file(path)
    write_scores(path, scores(), CONTIGS)
    if name == "s.parquet":
        assert pl.read_parquet(path).equals(scores())
        return
    raw = path.read_bytes()
    text = gzip.decompress(raw) if name.endswith(".gz") else raw
    found = pl.read_csv(text, separator="," if "csv" in name else "\t", schema=SCORES)
    found = found.with_columns(pl.col(pl.String).fill_null(""))
    assert found.equals(scores())
    assert [one.name for one in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["s.vcf", "s.vcf.gz", "s.bcf"])
def test_vcf_says_what_each_model_makes_of_each_variant(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_scores(path, scores(), CONTIGS)
    with pysam.VariantFile(str(path)) as file:
        first, second = file
        description = file.header.info["hapsight_my_model"].description
    assert [(one.contig, one.pos, one.id, one.alleles) for one in (first, second)] == [
        ("chr10", 81, "rs2", ("G", "T")),
        ("chr2", 10, "rs1", ("A", "ACG")),
    ]
    assert description.endswith(
        "on haplotypes 1 and 2 of ann. Format: gene_id|gene_name|track|haplotype|without|effect|Consequence"
    )
    assert list(first.info) == ["hapsight_mini", "hapsight_mini_max"]
    assert first.info["hapsight_mini"] == ("ENSG3|C|t|1|2|1e-09|up",)
    assert second.info["hapsight_my_model"][:2] == (
        "ENSG1.2|A%3BB|liver%2C%202%7Cx|1|0.3333333|0.25|up",
        "ENSG1.2|A%3BB|liver%2C%202%7Cx|2|0.3333333|0.5|up",
    )
    assert len(second.info["hapsight_mini"]) == 8
    assert second.info["hapsight_mini_max"] == (-3.0,)
    assert path.read_bytes()[:4] == (
        b"##fi" if name == "s.vcf" else b"\x1f\x8b\x08\x04"
    )  # BGZF: an extra field


def test_models_whose_names_look_alike_have_fields_of_their_own(tmp_path: Path) -> None:
    one = scores().filter(pl.col("contig") == "chr10")
    models = [("a b", "x"), ("a-b", "x"), ("a_b", "y"), ("a_b", "x"), ("a_b_max", "x"), ("é", "x")]
    rows = [
        one.with_columns(model=pl.lit(m), read_out=pl.lit(r), effect=pl.lit(float(i)))
        for i, (m, r) in enumerate(models)
    ]
    write_scores(tmp_path / "s.vcf", pl.concat(rows), CONTIGS)
    with pysam.VariantFile(str(tmp_path / "s.vcf")) as file:
        (record,) = file
    assert len(record.info) == 2 * len(models)
    assert sorted(value for name, (value,) in record.info.items() if isinstance(value, float)) == [
        0,
        1,
        2,
        3,
        4,
        5,
    ]


def test_nothing_scored_is_a_vcf_without_records(tmp_path: Path) -> None:
    write_scores(tmp_path / "s.vcf.gz", scores().clear(), CONTIGS)
    with pysam.VariantFile(str(tmp_path / "s.vcf.gz")) as file:
        assert list(file) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none/s.tsv", r"output cannot be written; nothing was computed[\s\S]*no folder"),
        ("folder", "a folder of that name"),
        ("file/s.tsv", "no folder"),
        ("s.tsv.zst", r"not written in this compression[\s\S]*\.vcf\.gz[\s\S]*got: \.zst"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=message):
        require_score_file(tmp_path / name)


@pytest.mark.verify
@pytest.mark.parametrize("name", ["s.vcf", "s.vcf.gz", "s.bcf"])
def test_bcftools_reads_and_filters_the_scores(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_scores(path, scores(), CONTIGS)
    query = ["bcftools", "query", "-f", "%CHROM:%POS %hapsight_mini_max\n", "-i", "abs(hapsight_mini_max)>1"]
    found = subprocess.run([*query, str(path)], capture_output=True, text=True, check=True)
    assert (found.stdout, found.stderr) == ("chr2:10 -3\n", "")


@pytest.mark.verify
def test_bcftools_splits_the_entries_into_columns_and_takes_them_over(tmp_path: Path) -> None:
    """`+split-vep` as of VEP's CSQ, and `annotate`: docs/formats.md has both."""
    path = tmp_path / "s.vcf.gz"
    last = scores().filter(pl.col("contig") == "chr10")
    write_scores(
        path,
        pl.concat([scores(), last.with_columns(effect=pl.lit(0.0), haplotype=pl.lit(2, pl.Int64))]),
        CONTIGS,
    )

    def bcftools(*words: str) -> str:
        return subprocess.run(["bcftools", *words], capture_output=True, text=True, check=True).stdout

    columns = "%CHROM:%POS %gene_id %track %haplotype %effect %Consequence\n"
    found = bcftools("+split-vep", "-a", "hapsight_mini", "-d", "-f", columns, str(path)).splitlines()
    assert found[:2] == ["chr10:81 ENSG3 t 1 1e-09 up", "chr10:81 ENSG3 t 2 0 none"]
    assert found[2:5:2] == [
        "chr2:10 ENSG1.2 liver%2C%202%7Cx 1 0.25 up",
        "chr2:10 ENSG1.2 K562%20%3D%201 1 -1.5 down",
    ]
    assert len(found) == 2 + 8
    bcftools("index", str(path))
    plain = tmp_path / "mine.vcf"
    header = "".join(f"##contig=<ID={name},length={size}>\n" for name, size in CONTIGS.items())
    plain.write_text(
        f"##fileformat=VCFv4.2\n{header}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\nchr2\t10\t.\tA\tACG\t.\t.\t.\n"
    )
    mine = str(tmp_path / "mine.vcf.gz")
    bcftools("view", "-O", "z", "-o", mine, str(plain))
    bcftools("index", mine)
    taken = bcftools("annotate", "-a", str(path), "-c", "INFO/hapsight_mini_max", mine)
    assert taken.splitlines()[-1].endswith("\thapsight_mini_max=-3")
