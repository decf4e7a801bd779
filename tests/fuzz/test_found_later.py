"""What fuzzing found in tracks, priors, published tables and run folders, one test a find."""

import polars as pl
import pysam
import pytest

from hapsight.cohort import tables
from hapsight.cohort.genes import read_genes
from hapsight.cohort.nouns import Gene, Strand
from hapsight.cohort.sites import read_sites
from hapsight.cohort.split import open_genotypes
from hapsight.errors import InputError, StoreError
from hapsight.priors.regulons import read_gene_covariates
from hapsight.report.run_folder import read_run
from hapsight.run.run_folder import RunFolder
from tests.fuzz.genomes import LENIENT, good_vcf, good_vcf_gz
from tests.fuzz.harness import companion, survives
from tests.fuzz.targets import TARGETS


def written(folder, name, content: bytes):
    path = folder / name
    path.write_bytes(content)
    return path


# Measured tracks, priors and published tables


@pytest.mark.parametrize("name", ["bigwig", "conservation"])
@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7])
def test_a_damaged_bigwig_does_not_end_the_process(tmp_path, name, place):
    target = TARGETS[name]
    good = target.good()
    cut = int(place * len(good))
    for spoilt in (good[:cut] + good[cut + 7 :], good[:cut] + b"\xff" * 40 + good[cut + 40 :]):
        survives(target, spoilt, tmp_path)


def test_a_column_called_by_a_star_is_one_column(tmp_path):
    path = written(tmp_path, "v.tsv", b"gene_id\tlength\t*\nENSG00.1\t1\t2\n")
    names, values = read_gene_covariates(path, [Gene("ENSG00.1", "chr1", 90, Strand.PLUS, "A")])
    assert (names, values.tolist()) == (("length", "*"), [[1.0, 2.0]])


@pytest.mark.parametrize("cell", [b"1.5", b"x", b""])
def test_a_sign_prior_has_a_place(tmp_path, cell):
    text = TARGETS["signs"].good().replace(b"\t21\t", b"\t" + cell + b"\t")
    with pytest.raises(InputError, match=r"sign priors has no place[\s\S]*in 1 of 6 rows"):
        TARGETS["signs"].attempt(written(tmp_path, "s.tsv", text))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("os.abort()", "its reader ended with -6"),
        ("raise MemoryError('alloc')", "MemoryError: alloc"),
    ],
)
def test_a_parquet_file_that_ends_its_reader_does_not_end_hapsight(tmp_path, monkeypatch, how, said):
    monkeypatch.setattr(tables, "_READ", f"import os; {how}")
    path = written(tmp_path, "t.parquet", TARGETS["signs_parquet"].good())
    for name in ("signs_parquet", "effects_parquet"):
        with pytest.raises(InputError, match=rf"no Parquet that can be read[\s\S]*{said}"):
            TARGETS[name].attempt(path)


def test_a_parquet_file_at_which_polars_panics_is_refused(tmp_path):
    """A length in the first page that asks for more memory than there is, or a page cut out."""
    good = TARGETS["signs_parquet"].good()
    for place in range(4, 400, 44):
        survives(TARGETS["signs_parquet"], good[:place] + b"\xff" * 8 + good[place + 8 :], tmp_path)


def test_a_table_of_a_run_at_which_polars_panics(tmp_path, monkeypatch):
    def panics(*_, **__):
        raise pl.exceptions.PanicException("called `Result::unwrap()` on an `Err` value")

    path = written(tmp_path, "t.parquet", TARGETS["per_gene"].good())
    monkeypatch.setattr(pl, "read_parquet", panics)
    with pytest.raises(StoreError, match=r"table of the run cannot be read[\s\S]*unwrap"):
        TARGETS["per_gene"].attempt(path)


def test_spaces_that_int_does_not_take(tmp_path):
    path = written(tmp_path, "g.bed", TARGETS["bed"].good().replace(b"\t30\t", b"\t30\x1f\t"))
    assert [gene.tss for gene in read_genes(path)][3] == 34


def test_a_contig_that_is_no_text(tmp_path):
    text = good_vcf().replace(b"chr1\t10\t", b"chr\xff\t10\t").replace(b"<ID=chr1", b"<ID=chr\xff")
    with pytest.raises(InputError, match=r"record of the VCF is no text[\s\S]*record 1"):
        read_sites(written(tmp_path, "v.vcf", text), companion(tmp_path / "v.vcf"), LENIENT)


def test_effects_whose_column_is_of_another_type(tmp_path):
    from hapsight.run.config import EvidenceEffectsConfig
    from hapsight.stages.informed_evidence import EffectEvidence

    rows = {"gene_id": ["g"], "position": [1], "ref": ["A"], "alt": ["C"], "effect": ["high"]}
    path = tmp_path / "f.parquet"
    pl.DataFrame(rows).write_parquet(path)
    with pytest.raises(InputError, match=r"not a finite number[\s\S]*row 1, column effect"):
        EffectEvidence.opened(EvidenceEffectsConfig(label="x", path=path), [])


@pytest.mark.parametrize("rows", [1, 2])
def test_a_published_table_that_is_too_short(tmp_path, rows):
    text = b"\n".join(TARGETS["sasse2023"].good().split(b"\n")[: 1 + rows])
    with pytest.raises(InputError, match="does not have the numbers of the study"):
        TARGETS["sasse2023"].attempt(written(tmp_path, "s1.tsv", text))


def test_a_published_table_whose_names_are_one_without_signs(tmp_path):
    text = TARGETS["huang2023"].good().replace(b"distance", b"##", 1)
    with pytest.raises(InputError, match="column is there twice"):
        TARGETS["huang2023"].attempt(written(tmp_path, "h.csv", text))


# Runs


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (b'"name": "toy"', b'"nam": "toy"', "models"),
        (b'"name": "elastic_net"', b'"name": 3', "baselines"),
        (b'"name": "predict"', b'"x": "predict"', "stages"),
        (b'"a note"', b"7", "notes"),
    ],
)
def test_a_record_whose_lists_are_none(tmp_path, old, new, what):
    path = written(tmp_path, "run.json", TARGETS["record"].good().replace(old, new))
    for read in (lambda: read_run(path.parent), RunFolder(path.parent).record):
        with pytest.raises(StoreError, match=rf'record of the run is damaged[\s\S]*"{what}"'):
            read()


def test_a_record_that_lacks_its_lists_and_one_too_deep(tmp_path):
    written(tmp_path, "run.json", b'{"format": 1}')
    RunFolder(tmp_path).add_model({"name": "toy", "read_out": "default"})
    assert len(read_run(tmp_path).record["models"]) == 1
    written(tmp_path, "run.json", b"[" * 100_000)
    for read in (lambda: read_run(tmp_path), RunFolder(tmp_path).record):
        with pytest.raises(StoreError, match="not JSON"):
            read()


def test_a_table_of_a_run_with_values_of_another_type(tmp_path):
    good = pl.read_parquet(written(tmp_path, "t.parquet", TARGETS["per_gene"].good()))
    path = tmp_path / "spoilt.parquet"
    good.with_columns(tss=pl.lit("here")).write_parquet(path)
    with pytest.raises(StoreError, match="values of another type"):
        TARGETS["per_gene"].attempt(path)


def test_a_pattern_with_a_digit_behind_its_second_chromosome(tmp_path):
    folder = tmp_path / "chr1"
    folder.mkdir()
    written(folder, "chr12.vcf.gz", good_vcf_gz())
    pysam.tabix_index(str(folder / "chr12.vcf.gz"), preset="vcf")
    found = open_genotypes(tmp_path / "chr{chrom}" / "chr{chrom}2.vcf.gz")
    assert [path.name for path in found.paths] == ["chr12.vcf.gz"]


def test_a_name_that_no_system_takes_is_not_there(tmp_path):
    with pytest.raises(InputError, match="is not there"):
        open_genotypes(tmp_path / ("x" * 5000))


@pytest.mark.parametrize(
    ("end", "why"),
    [(b"\t\tGRCh38", "has no Element"), (b"\tGP1BB\t", "has no Release"), (b'\tGP"1BB', "longer or shorter")],
)
def test_a_row_of_an_mpra_table_without_an_element_or_a_release_is_refused(tmp_path, end, why):
    """A last row that was cut off, with a quote in it, was left out and not counted."""
    target = TARGETS["mpra"]
    path = written(tmp_path, target.filename, target.good().removesuffix(b"\tGP1BB\tGRCh38\n") + end)
    with pytest.raises(InputError, match=why):
        target.attempt(path)


def test_allele_counts_of_a_person_of_another_name_are_no_lost_sites(tmp_path):
    target = TARGETS["allele_counts"]
    spoilt = target.good().replace(b"\tann\t", b"\tan n\t").replace(b"\t1|0:4,5\n", b"\tq|0:4,5\n", 1)
    assert survives(target, spoilt, tmp_path)


def test_covariates_of_an_eigenvec_without_a_header_are_all_its_rows(tmp_path):
    assert survives(TARGETS["covariates"], b"1 ann 0.1 2\n2 bob 0.2 3\n".replace(b" ", b"\t"), tmp_path)
