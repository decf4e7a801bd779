"""Which genes and people are wanted: lists, regions, populations."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapsight.cohort.matching import gene_names, genes_within, people_of, region_of
from hapsight.cohort.nouns import Gene
from hapsight.cohort.people import SampleSheet
from hapsight.errors import ConfigError, InputError

GENES = {
    n: Gene(f"g{n}", contig, tss) for n, (contig, tss) in enumerate([("chr1", 99), ("chr1", 100), ("2", 5)])
}
SHEET = SampleSheet(("a", "b", "c"), ("CEU", None, "TSI"), (None,) * 3)


def test_names_come_from_the_text_and_from_files(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("gene_id\tother\n# a remark\nENSG1.2\tx\n\n PACSIN2 , y\nENSG1.2\n")
    assert gene_names(["A,B", "list.txt", " C ", "A"], tmp_path) == ("A", "B", "ENSG1.2", "PACSIN2", "C")
    assert gene_names([str(tmp_path / "list.txt")], Path("/")) == ("ENSG1.2", "PACSIN2")


def test_a_list_may_be_gzipped_or_have_no_suffix(tmp_path: Path) -> None:
    import gzip

    (tmp_path / "l.txt.gz").write_bytes(gzip.compress(b"A\nB\n"))
    (tmp_path / "plain").write_text('"A"\n')
    assert gene_names(["l.txt.gz"], tmp_path) == ("A", "B")
    assert gene_names(["plain", "ENSG00000100266.18"], tmp_path) == ("A", "ENSG00000100266.18")


@pytest.mark.parametrize("name", ["none.txt", "folder/none", "none.csv"])
def test_a_list_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"no such list of genes[\s\S]*{name}"):
        gene_names([name], tmp_path)


def test_a_list_without_genes_or_text(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("# nothing\ngene\n")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="has none in it"):
        gene_names(["empty.txt"], tmp_path)
    with pytest.raises(InputError, match="no text"):
        gene_names(["bytes.txt"], tmp_path)


@pytest.mark.parametrize(
    ("regions", "kept"),
    [
        (["chr1:1-100"], [0]),
        (["1:101-101"], [1]),
        (["chr1"], [0, 1]),
        (["chr2", "chr1:1-100"], [0, 2]),
        (["chr1:1-2,000"], [0, 1]),
    ],
)
def test_regions_count_from_1_and_hold_both_ends(regions: list[str], kept: list[int]) -> None:
    assert list(genes_within(GENES, regions)) == kept


def test_no_gene_in_the_regions() -> None:
    with pytest.raises(InputError, match=r"No gene has its TSS[\s\S]*chr1, 2[\s\S]*got: chr3"):
        genes_within(GENES, ["chr3"])


@pytest.mark.parametrize("text", ["chr1:5", "chr1:5-", "chr1:-5", "", "chr1:,-,", "a b", "chr1:9-5"])
def test_regions_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="region"):
        region_of(text)


@given(st.text(max_size=20))
def test_any_text_is_a_region_or_refused(text: str) -> None:
    try:
        found = region_of(text)
    except ConfigError:
        return
    assert 0 <= found.start < found.end


def test_people_of_populations() -> None:
    assert people_of(SHEET, ["TSI", "CEU"]) == ("a", "c")
    with pytest.raises(ConfigError, match=r"'FIN'[\s\S]*CEU \(1\), TSI \(1\)"):
        people_of(SHEET, ["CEU", "FIN"])
    with pytest.raises(ConfigError, match=r"no sample sheet[\s\S]*give `samples`"):
        people_of(None, ["CEU"])
