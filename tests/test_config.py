from pathlib import Path

import pytest

from hapsight.config import Config, load_config, to_toml
from hapsight.errors import ConfigError

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


def test_resolved_config_reads_back_equal(tmp_path):
    config = load_config(
        write(tmp_path, MINIMAL + '[[models]]\nname = "xpresso"\noptions = {tss_index = 6999}')
    )
    assert load_config(write(tmp_path, to_toml(config))) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL + "minmaf = 0.1", r"cohort\.minmaf: unknown key; did you mean 'min_maf'\?"),
        (MINIMAL + "min_maf = 0.7", r"cohort\.min_maf: [\s\S]*less than 0\.5, got 0\.7"),
        (MINIMAL.replace("name = ", "nome = "), r"name: Field required"),
        ("name = [", "not TOML"),
        (
            'protocol = "huang2023"\n' + MINIMAL + 'variants = "all"',
            r"protocol huang2023 has cohort\.variants = 'snv', not 'all'",
        ),
        ('protocol = "sasse"\n' + MINIMAL, r"protocol: [\s\S]*'default' or 'huang2023', got 'sasse'"),
    ],
)
def test_errors_name_the_key(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as error:
        load_config(write(tmp_path, text))
    assert str(tmp_path / "toy.toml") in str(error.value)


def test_no_file(tmp_path):
    with pytest.raises(ConfigError, match="no such configuration"):
        load_config(tmp_path / "none.toml")


def test_protocol_fills_in_what_it_fixes(tmp_path):
    text = 'protocol = "huang2023"\n' + MINIMAL + '[[models]]\nname = "xpresso"'
    config = load_config(write(tmp_path, text))
    assert config.cohort.variants == "snv"
    assert config.models[0].weights == "GM12878"
    assert config.models[0].options == {"tss_index": 6999}


def test_every_key_is_described():
    for name, field in Config.model_json_schema()["properties"].items():
        assert "description" in field or "$ref" in field or name in {"models"}, name
