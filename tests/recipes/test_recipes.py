"""The recipes from end to end: small files of the published layout, served on loopback."""

import gzip
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from hapsight.cli import data
from hapsight.cohort.expression import read_expression
from hapsight.cohort.genes import read_genes
from hapsight.cohort.nouns import Interval
from hapsight.cohort.people import read_sample_sheet
from hapsight.cohort.reference import Reference
from hapsight.dna import decode
from hapsight.errors import IncompleteError, InputError, StoreError
from hapsight.recipes import geuvadis
from hapsight.recipes.rosmap import RosmapFiles, check_files, write_config
from hapsight.run.config import load_config
from tests.cohort.files import write_cohort
from tests.recipes.server import serving

PEOPLE = ("HG1", "HG2", "HG3")
EXPRESSION = "GD462.GeneQuantRPKM.50FN.samplename.resk10.txt.gz"
SEQUENCE = "ACGTN" * 40


def published() -> dict[str, bytes]:
    """Small files, each laid out as the published one; a person more in genotypes and expression."""
    rows = [
        ["TargetID", "Gene_Symbol", "Chr", "Coord", "HG2", "HG9", "HG1", "HG3"],
        ["ENSG02.1", "ENSG02.1", "1", "120", "0.5", "9", "1.5", "-0.25"],
        ["ENSG01.4", "ENSG01.4", "1", "20", "2", "9", "1", "3"],
    ]
    table = "".join("\t".join(row) + "\n" for row in rows).encode()
    return {
        "geuvadis.pgen": bytes(range(200)),
        "geuvadis.psam": b"#IID\tSEX\nHG1\t1\n",
        "geuvadis.pvar.zst": b"(zstd)" * 20,
        EXPRESSION: gzip.compress(table),
        "gene_list.csv": b"ENSG01,1,20,ONE,+\nENSG02,1,120,,-\n",
        "samples.txt": "\n".join(PEOPLE).encode() + b"\n",
        "hg19.fa.gz": gzip.compress(f">chr1\n{SEQUENCE}\n".encode()),
    }


@pytest.fixture
def place(monkeypatch):
    with serving(published()) as found:
        files = tuple(
            replace(f, url=f"{found.url}/{f.name}", md5=f.md5 and found.md5(f.name)) for f in geuvadis.FILES
        )
        monkeypatch.setattr(geuvadis, "FILES", files)
        yield found


@pytest.fixture
def command():
    app = typer.Typer()
    data.register(app)
    return lambda *words, **options: CliRunner().invoke(app, ["recipe", *map(str, words)], **options)


def test_every_file_of_the_recipe_has_its_published_checksum():
    without = [file.name for file in geuvadis.FILES if file.md5 is None]
    assert without == ["hg19.fa.gz"]
    assert all(file.url.startswith("https://") for file in geuvadis.FILES)
    assert {file.name for file in geuvadis.FILES} == set(published())


def test_geuvadis_from_nothing_to_a_configuration(place, command, tmp_path, capsys):
    result = command("geuvadis", "--folder", tmp_path / "g", "--yes", catch_exceptions=False)
    assert result.exit_code == 0, result.output
    config = load_config(tmp_path / "g" / "geuvadis.toml")
    assert config.protocol == "huang2023"
    assert config.cohort.genotypes == tmp_path / "g" / "geuvadis.pgen"
    assert config.expression.transform == "none"
    measured = read_expression(config.cohort.expression)
    assert measured.samples == PEOPLE
    assert [(g.gene_id, g.contig, g.tss) for g in measured.genes] == [
        ("ENSG01.4", "1", 19),
        ("ENSG02.1", "1", 119),
    ]
    assert measured.values.tolist() == [[1.0, 2.0, 3.0], [1.5, 0.5, -0.25]]
    genes = read_genes(config.cohort.genes)
    assert [(g.gene_id, g.tss, g.strand, g.gene_name) for g in genes] == [
        ("ENSG01", 19, "+", "ONE"),
        ("ENSG02", 119, "-", ""),
    ]
    assert read_sample_sheet(config.cohort.samples).samples == PEOPLE
    reference = Reference(config.cohort.reference)
    assert decode(reference.fetch(Interval("chr1", 0, len(SEQUENCE)))) == SEQUENCE


def test_sizes_and_time_are_told_and_nothing_begins_without_a_yes(place, command, tmp_path, capfd):
    result = command("geuvadis", "--folder", tmp_path / "g", input="n\n")
    said = result.output + "".join(capfd.readouterr())
    assert result.exit_code == 1
    assert "MB to download" in said
    assert "min at 10 MB/s" in said
    assert {method for method, _, _ in place.asked} == {"HEAD"}
    assert not (tmp_path / "g").exists()


def test_a_broken_download_goes_on_and_what_is_made_is_kept(place, command, tmp_path):
    place.cut[EXPRESSION] = 60
    folder = tmp_path / "g"
    broken = command("geuvadis", "--folder", folder, "--yes")
    assert isinstance(broken.exception, InputError)
    assert "60 bytes are kept" in str(broken.exception)
    place.asked.clear()
    assert command("geuvadis", "--folder", folder, "--yes").exit_code == 0
    gets = [(name, asked) for method, name, asked in place.asked if method == "GET"]
    assert gets[0] == (EXPRESSION, "bytes=60-")
    assert "geuvadis.pgen" not in [name for name, _ in gets]
    made = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    (folder / "geuvadis.toml").write_text((folder / "geuvadis.toml").read_text() + "# mine\n")
    place.asked.clear()
    assert command("geuvadis", "--folder", folder).exit_code == 0
    assert place.asked == []
    again = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert {n for n in made if made[n] != again[n]} == {"geuvadis.toml"}
    assert (folder / "geuvadis.toml").read_text().endswith("# mine\n")


def test_a_wrong_checksum_stops_the_recipe(place, command, tmp_path):
    place.files["geuvadis.psam"] = b"other people\n"
    result = command("geuvadis", "--folder", tmp_path / "g", "--yes")
    assert isinstance(result.exception, InputError)
    assert "checksum differs" in str(result.exception)
    assert not (tmp_path / "g" / "geuvadis.psam").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("samples.txt", b"HG1\nHG1\n", "one person a line"),
        ("gene_list.csv", b"ENSG01,1,20,ONE\n", "lines of gene,contig,TSS,name,strand"),
        (EXPRESSION, gzip.compress(b"TargetID\tHG1\n"), "columns TargetID"),
        (EXPRESSION, gzip.compress(b"TargetID\tGene_Symbol\tChr\tCoord\tHG1\n"), "people with HG2, HG3"),
        ("hg19.fa.gz", gzip.compress(b">chr1\nACGT\n" * 50)[:-9], "reference is damaged"),
    ],
    ids=["people", "genes", "no people", "other people", "damaged"],
)
def test_another_layout_is_an_error(tmp_path, name, content, message):
    for other, good in published().items():
        (tmp_path / other).write_bytes(content if other == name else good)
    with pytest.raises(InputError, match=message):
        geuvadis.prepare(tmp_path, lambda _: None)
    assert not (tmp_path / "geuvadis.toml").exists()
    assert not list(tmp_path.glob(".*"))


def rosmap_files(folder) -> RosmapFiles:
    files = write_cohort(folder)
    names = ("genotypes", "reference", "expression", "genes", "covariates", "samples")
    return RosmapFiles(*(getattr(files, name) for name in names))


def options(files: RosmapFiles) -> list[str]:
    return [word for role, path in files.given.items() for word in (f"--{role}", str(path))]


def test_rosmap_says_what_to_apply_for(command, tmp_path, capfd):
    result = command("rosmap", "--config", tmp_path / "r.toml")
    said = result.output + "".join(capfd.readouterr())
    assert isinstance(result.exception, IncompleteError)
    assert "--genotypes FILE; --reference FILE; --expression FILE; --genes FILE" in str(result.exception)
    for wanted in ("syn2580853", "syn117074200", "data use certificate"):
        assert wanted in said
    assert list(tmp_path.iterdir()) == []


def test_rosmap_checks_the_files_and_writes_the_configuration(command, tmp_path, capfd):
    files = rosmap_files(tmp_path)
    result = command("rosmap", *options(files), "--config", tmp_path / "r.toml", catch_exceptions=False)
    said = result.output + "".join(capfd.readouterr())
    assert result.exit_code == 0, said
    assert "4 people in all files; the study had 839" in said
    config = load_config(tmp_path / "r.toml")
    assert (config.protocol, config.cohort.variants) == ("sasse2023", "snv")
    assert config.cohort.genotypes == files.genotypes
    assert config.models[0].read_out == "sasse2023"


def test_rosmap_names_each_file_that_cannot_be_used(command, tmp_path, capfd):
    files = rosmap_files(tmp_path)
    files.expression.write_bytes(b"nonsense")
    (tmp_path / "genome.fa.gz.fai").unlink()
    result = command("rosmap", *options(files), "--config", tmp_path / "r.toml")
    said = result.output + "".join(capfd.readouterr())
    assert result.exit_code == 1
    assert "no .fai index" in said
    assert "nothing was written" in said
    assert not (tmp_path / "r.toml").exists()
    status = {found.name: found.status for found in check_files(files)}
    assert (status["expression"], status["reference"], status["genotypes"]) == ("fail", "fail", "pass")
    assert status["covariates"] == "warn"


def test_files_of_other_people_fail(tmp_path):
    files = rosmap_files(tmp_path)
    files.samples.write_text("sample_id\nzoe\n")
    (people,) = [found for found in check_files(files) if found.name == "people"]
    assert (people.status, people.message) == ("fail", "0 people in all files; the study had 839")


def test_a_configuration_is_not_overwritten(tmp_path):
    files = rosmap_files(tmp_path)
    write_config(files, tmp_path / "r.toml")
    with pytest.raises(StoreError, match="not overwritten"):
        write_config(files, tmp_path / "r.toml")
    with pytest.raises(IncompleteError, match="without genes"):
        write_config(replace(files, genes=None), tmp_path / "s.toml")
