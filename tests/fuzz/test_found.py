"""What fuzzing found, one test a find; each file ended hapsight with a traceback, a crash or a lost row."""

import gzip

import pytest

from hapsight.cohort.expression import read_expression
from hapsight.cohort.genes import read_genes
from hapsight.cohort.genotypes import GenotypeFile
from hapsight.cohort.people import read_covariates, read_sample_sheet
from hapsight.cohort.predictdb import read_predictdb
from hapsight.cohort.reference import Reference
from hapsight.errors import ConfigError, HapsightError, InputError, WeightsError
from hapsight.models.tracks import read_targets
from hapsight.run.config import load_config
from hapsight.validate.elements import read_crispri
from tests.fuzz.genomes import good_vcf, good_vcf_gz, vcf_text
from tests.fuzz.harness import companion
from tests.fuzz.settings import (
    good_config,
    good_keras,
    good_mini,
    good_predictdb,
    good_targets,
    good_torch,
    keras,
    mini,
    torch_file,
)
from tests.fuzz.tables import good_crispri, good_expression, good_sheet, good_tsv
from tests.fuzz.targets import TARGETS


def written(folder, name, content: bytes):
    path = folder / name
    path.write_bytes(content)
    return path


# Tables


@pytest.mark.parametrize("cell", [b'"GBR', b'"', b'GBR"'])
def test_an_open_quote_swallows_no_rows(tmp_path, cell):
    with pytest.raises(InputError, match="quotes of a table do not come in pairs"):
        read_sample_sheet(written(tmp_path, "s.tsv", good_sheet().replace(b"GBR", cell, 1)))


def test_a_pair_of_quotes_within_a_cell_swallows_no_rows(tmp_path):
    path = written(tmp_path, "s.tsv", good_sheet().replace(b"GBR", b'G"B"R', 1))
    assert len(read_sample_sheet(path).samples) == 4


def test_a_quoted_table_is_read(tmp_path):
    quoted = good_sheet().replace(b"GBR", b'"GBR"').replace(b"sample_id", b'"sample_id"')
    assert read_sample_sheet(written(tmp_path, "s.tsv", quoted)).population == ("GBR",) * 4


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    path = written(tmp_path, "s.tsv", b"\xef\xbb\xbf" + good_sheet())
    assert len(read_sample_sheet(path).samples) == 4


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"chr1\t20\t", b"chr1\t20.5\t", "start is no place"),
        (b"chr1\t20\t", b"chr1\t-20\t", "start is no place"),
        (b"chr1\t20\t", b"chr1\t1e300\t", "start is no place"),
        (b"chr1\t20\t", b"\t20\t", "no contig or no gene"),
        (b"ENSG02.1", b"", "no contig or no gene"),
    ],
)
def test_a_gene_of_an_expression_file_has_a_name_and_a_place(tmp_path, old, new, message):
    with pytest.raises(InputError, match=message):
        read_expression(written(tmp_path, "e.bed", good_expression().replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"chr1\t11\t", b"chr1\t0\t", r"no name or no place[\s\S]*TSS 0"),
        (b"chr1\t11\t", b"chr1\t" + b"9" * 5000 + b"\t", "tss is not a whole number"),
        (b"chr1\t11\t", b"\t11\t", "no name or no place"),
        (b"ENSG01.1", b"", "no name or no place"),
    ],
)
def test_a_gene_of_a_table_has_a_name_and_a_place(tmp_path, old, new, message):
    with pytest.raises(InputError, match=message):
        read_genes(written(tmp_path, "g.tsv", good_tsv().replace(old, new)))


def test_a_header_that_comes_second(tmp_path):
    columns = b"track\ta\tb\tc\td"
    with pytest.raises(InputError, match=r"first line of the gene table is not its header[\s\S]*track"):
        read_genes(written(tmp_path, "g.tsv", columns + b"\n" + good_tsv()))


@pytest.mark.parametrize("column", ["chrom", "name", "measuredGeneEnsemblId"])
def test_a_crispri_pair_has_a_name_and_a_place(tmp_path, column):
    header, first, *rest = good_crispri().decode().split("\n")
    cells = first.split("\t")
    cells[header.split("\t").index(column)] = ""
    path = written(tmp_path, "k.tsv", "\n".join([header, "\t".join(cells), *rest]).encode())
    with pytest.raises(InputError, match=rf"no name or no place[\s\S]*row 2[\s\S]*{column}"):
        read_crispri(path, companion(path), [])


@pytest.mark.parametrize("place", ["phenotype_id", "variant_id"])
def test_an_eqtl_names_gene_and_variant(tmp_path, place):
    good = TARGETS["eqtl"].good().decode()
    header, first, *rest = good.split("\n")
    cells = first.split("\t")
    cells[header.split("\t").index(place)] = ""
    path = written(tmp_path, "q.tsv", "\n".join([header, "\t".join(cells), *rest]).encode())
    with pytest.raises(InputError, match=r"names no gene or no variant[\s\S]*row 2"):
        TARGETS["eqtl"].attempt(path)


def test_covariates_whose_quote_spans_rows(tmp_path):
    text = b'id\tann\tbob\nPC1\t"1\t2\nPC2\t3\t4"\n'
    with pytest.raises(InputError, match="quotes"):
        read_covariates(written(tmp_path, "c.tsv", text), ("ann", "bob"))


@pytest.mark.parametrize("other", [b" PC1", b'"PC1"', b"PC1"])
def test_a_column_that_is_there_twice_but_for_spaces_and_quotes(tmp_path, other):
    text = b"sample_id\tPC1\t" + other + b"\nann\t1\t2\nbob\t3\t4\n"
    with pytest.raises(InputError, match=r"column is there twice[\s\S]*PC1"):
        read_covariates(written(tmp_path, "c.tsv", text), ("ann", "bob"))


# Configuration


@pytest.mark.parametrize("text", [b"x = " + b"[" * 2000, b"x = " + b"9" * 5000], ids=["nested", "digits"])
def test_what_tomllib_cannot_hold_is_no_toml(tmp_path, text):
    with pytest.raises(ConfigError, match="not TOML"):
        load_config(written(tmp_path, "c.toml", text))


def test_a_folder_is_no_configuration(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    "models", [b"models = 3", b"models = [3]", b"models = [{name='xpresso', options=3}]"]
)
def test_a_protocol_and_models_that_are_none(tmp_path, models):
    text = good_config().partition(b"[[models]]")[0]
    text = b"protocol = 'huang2023'\n" + models + b"\n" + text
    with pytest.raises(ConfigError, match="models"):
        load_config(written(tmp_path, "c.toml", text))


# Genotypes and reference


@pytest.mark.parametrize("line", ["##contig=<ID=chr1>", "chr1", "chr1\t10"])
def test_a_line_that_ends_before_ref_does_not_end_the_process(tmp_path, line):
    text = good_vcf().decode().replace("chr1\t10\t", f"{line}\nchr1\t10\t", 1)
    with pytest.raises(HapsightError):
        vcf_text(written(tmp_path, "v.vcf", text.encode()))


def test_a_record_without_calls(tmp_path):
    text = good_vcf().replace(b"\tGT\t", b"\tPL\t", 1)
    with pytest.raises(InputError, match="no genotypes"):
        vcf_text(written(tmp_path, "v.vcf", text))


def test_a_damaged_block_and_a_header_that_is_none(tmp_path):
    packed = bytearray(good_vcf_gz())
    packed[30] ^= 0xFF
    path = written(tmp_path, "v.vcf.gz", bytes(packed))
    written(tmp_path, "v.vcf.gz.tbi", gzip.compress(b""))
    with pytest.raises(InputError, match="no VCF or BCF that can be read"):
        GenotypeFile(path)


@pytest.mark.parametrize(
    "index", [b"chr1", b"chr1\tlong\t6\t60\t61", b"chr1\t" + b"9" * 5000, b"\t200", b"\xff\xfe"]
)
def test_a_broken_index_of_a_fasta(tmp_path, index):
    path = written(tmp_path, "r.fa", b">chr1\nACGT\n")
    written(tmp_path, "r.fa.fai", index)
    with pytest.raises(InputError, match="index"):
        Reference(path)


def test_htslib_quotes_no_genotype(tmp_path, capfd):
    text = good_vcf().replace(b"##FORMAT", b"##FORMAT <", 1).replace(b"0|0", b"0|x", 1)
    with pytest.raises(HapsightError):
        vcf_text(written(tmp_path, "v.vcf", text))
    said = "".join(capfd.readouterr())
    assert "ann" not in said
    assert "0|1" not in said


# Weights


def test_an_hdf5_file_with_a_broken_heap(tmp_path):
    good = good_keras()
    place = good.index(b"HEAP")
    with pytest.raises(WeightsError, match="HDF5"):
        keras(written(tmp_path, "w.h5", good[:place] + b"HERP" + good[place + 4 :]))


@pytest.mark.parametrize("tracks", ["[3]", '[{"x": 1}]', "nothing", "{}"])
def test_tracks_of_mini_that_are_none(tmp_path, tracks):
    from safetensors.numpy import load, save

    arrays = load(good_mini())
    path = written(tmp_path, "n.safetensors", save(arrays, {"tracks": tracks}))
    with pytest.raises(WeightsError):
        mini(path)


@pytest.mark.parametrize("spoilt", [b"\xff", b"x" * 200_000], ids=["no text", "long line"])
def test_a_list_of_tracks_that_is_none(tmp_path, spoilt):
    from hapsight.models.tracks import read_borzoi_targets as read_borzoi

    path = written(tmp_path, "t.txt", good_targets() + spoilt)
    for read in (read_targets, read_borzoi):
        with pytest.raises(WeightsError):
            read(path)


def test_a_gene_of_a_predictdb_is_text(tmp_path):
    import sqlite3

    path = written(tmp_path, "p.db", good_predictdb())
    with sqlite3.connect(path) as database:
        database.execute("UPDATE weights SET gene = x'00ff' WHERE rowid = 2")
    database.close()
    with pytest.raises(InputError, match=r"not whole[\s\S]*row 2"):
        read_predictdb(path)


def test_a_pickle_of_a_torch_file_that_builds_no_tensor(tmp_path):
    import io
    import zipfile

    path = tmp_path / "w.pth"
    rebuild = b"\x80\x02}X\x08\x00\x00\x00a.weightctorch._utils\n_rebuild_tensor_v2\n)Rs."
    with zipfile.ZipFile(io.BytesIO(good_torch())) as good, zipfile.ZipFile(path, "w") as spoilt:
        for member in good.infolist():
            content = rebuild if member.filename.endswith("data.pkl") else good.read(member)
            spoilt.writestr(member.filename, content)
    with pytest.raises(WeightsError, match=r"torch tensors[\s\S]*missing 6 required"):
        torch_file(path)
