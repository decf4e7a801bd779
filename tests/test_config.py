from pathlib import Path
from typing import get_args

import pytest

from hapsight.errors import ConfigError
from hapsight.run.config import Config, load_config, to_toml
from hapsight.stats.protocols import PROTOCOLS

MINIMAL = """
name = "toy"
output = "run"
[cohort]
genotypes = "g.vcf.gz"
reference = "/abs/r.fa.gz"
expression = "e.bed.gz"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "toy.toml"
    path.write_text(text)
    return path


def test_paths_start_at_the_file(tmp_path):
    config = load_config(write(tmp_path, MINIMAL))
    assert config.cohort.genotypes == tmp_path / "g.vcf.gz"
    assert config.cohort.reference == Path("/abs/r.fa.gz")
    assert config.output == tmp_path / "run"
    assert config.cohort.genes is None


def test_text_as_windows_writes_it(tmp_path):
    path = write(tmp_path, "")
    for encoding in ("utf-8", "utf-8-sig"):
        path.write_bytes(MINIMAL.replace("\n", "\r\n").encode(encoding))
        assert load_config(path).name == "toy"
    for encoding in ("utf-16", "latin-1"):
        path.write_bytes((MINIMAL + "# café\n").encode(encoding))
        with pytest.raises(ConfigError, match=r"no text in UTF-8[\s\S]*to mend: save the file as text"):
            load_config(path)


def test_resolved_config_reads_back_equal(tmp_path):
    config = load_config(
        write(tmp_path, MINIMAL + '[[models]]\nname = "xpresso"\noptions = {tss_index = 6999}')
    )
    assert load_config(write(tmp_path, to_toml(config))) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL + "minmaf = 0.1", r"cohort\.minmaf: unknown key; did you mean 'min_maf'\?"),
        (
            MINIMAL + "[[baseline.imported]]\nname = 1",
            r"imported\.0\.name: unknown key; 'name' stands above all",
        ),
        (MINIMAL + "workers = 2", r"cohort\.workers: unknown key; 'workers' stands above all sections"),
        (MINIMAL + "folds = 2", r"cohort\.folds: unknown key\n"),
        (MINIMAL + "inner_folds = 2", r"cohort\.inner_folds: unknown key; there is one in \[baseline\]\n"),
        (
            MINIMAL + "[eqtl]\npermutation = 9",
            r"eqtl\.permutation: unknown key; did you mean 'permutations'\?",
        ),
        (
            MINIMAL + "[[models]]\nname = 'x'\nweigths = 'y'",
            r"models\.0\.weigths: .*did you mean 'weights'\?",
        ),
        (MINIMAL + "min_maf = 0.7", r"cohort\.min_maf: [\s\S]*less than 0\.5, got 0\.7"),
        (MINIMAL.replace("name = ", "nome = "), r"name: Field required"),
        ("name = [", "not TOML"),
        (
            'protocol = "huang2023"\n' + MINIMAL + 'variants = "all"',
            r"protocol huang2023 has cohort\.variants = 'snv', not 'all'",
        ),
        (
            'protocol = "sasse"\n' + MINIMAL,
            r"protocol: [\s\S]*'default', 'huang2023' or 'sasse2023', got 'sasse'",
        ),
    ],
)
def test_errors_name_the_key(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as error:
        load_config(write(tmp_path, text))
    assert str(tmp_path / "toy.toml") in str(error.value)


def test_a_wrong_entry_of_a_list_is_one_mistake(tmp_path):
    text = MINIMAL + "minmaf = 0.1\n" + '[baseline]\nmethods = ["elastic-net"]'
    with pytest.raises(ConfigError) as error:
        load_config(write(tmp_path, text))
    lines = str(error.value).splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "cohort.minmaf",
        "baseline.methods.0",
        "where",
        "to mend",
    ]
    with pytest.raises(ConfigError, match=r"baseline\.methods: Tuple should have at least 1 item"):
        load_config(write(tmp_path, MINIMAL + "[baseline]\nmethods = []"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("", '[models]\nname = "mini"\n'), r"models: is there several times: write \[\[models\]\]"),
        (("", 'keep_genes = "ONE"\n'), r'keep_genes: a list: \["ONE"\]'),
        (('"g.vcf.gz"', "g.vcf.gz"), r"got: .*line 5.*\n +genotypes = g\.vcf\.gz\n.*straight quotes"),
        (('"g.vcf.gz"', '"C:\\data\\g.vcf"'), r"got: .*line 5.*\n +genotypes = .C:[\s\S]*single quotes"),
    ],
)
def test_toml_that_means_something_else(tmp_path, change, message):
    text = MINIMAL.replace(*change) if change[0] else MINIMAL + change[1]
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path, text))


def test_the_home_folder_as_a_shell_knows_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    text = MINIMAL.replace('"g.vcf.gz"', '["~/1.bcf", "2.bcf"]').replace('"e.bed.gz"', '"~/e.bed"')
    cohort = load_config(write(tmp_path, text.replace('"run"', '"~/run"'))).cohort
    assert cohort.genotypes == (tmp_path / "home/1.bcf", tmp_path / "2.bcf")
    assert cohort.expression == tmp_path / "home/e.bed"


def test_no_file(tmp_path):
    with pytest.raises(ConfigError, match=r"no such configuration[\s\S]*`hapsight init FOLDER`"):
        load_config(tmp_path / "none.toml")


def test_a_folder_is_no_configuration(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be read: it is a folder[\s\S]*`hapsight init FOLDER`"):
        load_config(tmp_path)
    (tmp_path / "config.toml").write_text(MINIMAL)
    with pytest.raises(ConfigError, match=r"give its configuration, \S+config\.toml"):
        load_config(tmp_path)


def test_protocol_fills_in_what_it_fixes(tmp_path):
    text = 'protocol = "huang2023"\n' + MINIMAL + '[[models]]\nname = "xpresso"'
    config = load_config(write(tmp_path, text))
    assert config.cohort.variants == "snv"
    assert config.models[0].weights == "GM12878"
    assert config.models[0].options == {"tss_index": 6999}


@pytest.mark.parametrize(
    ("protocol", "model", "read_out"),
    [
        ("sasse2023", "enformer", "sasse2023"),
        ("huang2023", "enformer", "huang2023"),
        ("huang2023", "basenji2", "huang2023"),
        ("huang2023", "expecto", "huang2023"),
        ("sasse2023", "basenji2", None),
    ],
)
def test_protocol_fixes_the_read_out(tmp_path, protocol, model, read_out):
    text = f'protocol = "{protocol}"\n{MINIMAL}[[models]]\nname = "{model}"\n'
    config = load_config(write(tmp_path, text))
    assert config.cohort.variants == "snv"
    assert config.models[0].read_out == read_out
    if read_out:
        message = rf"protocol {protocol} has models\.read_out = '{protocol}', not 'mine'"
        with pytest.raises(ConfigError, match=message):
            load_config(write(tmp_path, text + 'read_out = "mine"'))


def test_default_protocol_fixes_nothing(tmp_path):
    config = load_config(
        write(tmp_path, 'protocol = "default"\n' + MINIMAL + '[[models]]\nname = "enformer"')
    )
    assert config.cohort.variants == "all"
    assert config.models[0].read_out is None


def test_every_protocol_is_known_to_the_configuration():
    assert set(get_args(Config.model_fields["protocol"].annotation)) == set(PROTOCOLS)


def test_every_key_is_described():
    for name, field in Config.model_json_schema()["properties"].items():
        assert "description" in field or "$ref" in field or name in {"models"}, name
