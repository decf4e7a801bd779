"""Names of files: safe, short, and never the same for two."""

import itertools
import random
import re

import pytest

from hapsight.files import file_name

NEIGHBOURS = [
    *("my model", "my-model", "my_model", "My-Model", "MY-MODEL", "my--model", " my model"),
    *(
        "RNA:LCL+",
        "RNA:LCL-",
        "RNA:LCL",
        "rna:lcl+",
        "RNA-LCL-",
        "a/b",
        "a%2Fb",
        "a\\b",
        "..",
        ".",
        "",
        "../a",
    ),
    *(
        "con",
        "CON",
        "Con.txt",
        "con.5",
        "lpt1",
        "nul",
        "a.tmp",
        ".a.tmp",
        "-rf",
        "a\0b",
        "a\nb",
        "é",
        "e\u0301",
    ),
    *(
        "ENSG1.5",
        "ensg1.5",
        "ENSG1",
        "ENSG1-5",
        "é" * 300,
        "é" * 301,
        "x" * 120,
        "x" * 121,
        "\ud800",
        "漢",
        "字",
    ),
    *(
        "FBgn0000001",
        "fbgn0000001",
        "FBGN0000001",
        "ENSG00000002586.20_PAR_Y",
        "a.driver",
        "a.b",
        "1.5",
        "v1.2",
    ),
]


def test_no_two_have_one_name():
    rng = random.Random(1)
    drawn = {"".join(rng.choices("aA1.-+ /", k=rng.randrange(1, 5))) for _ in range(3_000)}
    every = {*NEIGHBOURS, *drawn}
    singles = [file_name(name) for name in every]
    assert len({name.casefold() for name in [*singles, *map(file_name, singles)]}) == len({*every, *singles})


def test_no_two_lists_of_parts_have_one_name():
    words = ["a", "b", "1", "a.1", "a.b", "5", "1.5", "b.1.5", "driver", "A", ""]
    parts = [p for k in (1, 2, 3) for p in itertools.product(words, repeat=k)]
    assert len({file_name(*p).casefold() for p in parts}) == len(parts)


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_every_name_is_safe(name, tmp_path):
    made = file_name(name, suffix=".values.parquet")
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._=+-]*", made)
    assert len(made) < 140
    assert made.split(".")[0].lower() not in {"con", "nul", "prn", "aux", "lpt1"}
    (tmp_path / made).touch()
    assert [p.name for p in tmp_path.iterdir()] == [made]


@pytest.mark.parametrize(
    "parts",
    [
        *[("ENSG00000100075.5",), ("ENSMUSG00000000001",), ("FBgn0000001",), ("AT1G01010",), ("YAL001C",)],
        *[("enformer", "default"), ("borzoi", "rna_gm12878"), ("elastic_net",), ("mini", "maf0.05", "seed1")],
    ],
)
def test_ordinary_names_stay(parts):
    assert file_name(*parts) == ".".join(parts)


def test_what_was_changed_can_still_be_read():
    assert re.fullmatch(r"RNA-LCL\+-[0-9a-f]{16}", file_name("RNA:LCL+"))
    assert re.fullmatch(
        r"Enformer\.default-[0-9a-f]{16}\.json", file_name("Enformer", "default", suffix=".json")
    )
