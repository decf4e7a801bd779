"""The cookbook, word by word: each part in an environment of its own, as a new user would have it.

The values of each model are compared with those that its package gives of every person's sequence, which is
written out here from the VCF and the FASTA.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pysam
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/cookbook.md").read_text()
PARTS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
COHORT = "A cohort to try them on"
COMPLEMENT = str.maketrans("ACGT", "TGCA")
UNREACHABLE = ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "ProxyError")
"""In what pip says where it finds no index."""

EVERY = """
with torch.no_grad():
    values = [value(letters) for letters in json.load(open("letters.json"))]
json.dump(values, open("judged.json", "w"))
"""

pytestmark = pytest.mark.verify


def blocks(part: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PARTS[part], re.DOTALL)


@dataclass(frozen=True)
class Part:
    """A part of the page, and the package's own forward pass of one upper-case sequence: (T,) values."""

    title: str
    file: str
    window: tuple[int, int]
    oriented: bool
    judge: str


ENFORMER = Part(
    "Enformer, as enformer-pytorch has it",
    "enformer_file",
    (98_304, 98_304),
    False,
    """
from enformer_pytorch import Enformer, str_to_one_hot
torch.manual_seed(0)
network = Enformer.from_hparams(dim=96, depth=2, dim_divisible_by=8).eval()
def value(letters):
    return [network(str_to_one_hot(letters))["human"][447:450, 5110].sum().item()]
""",
)
BORZOI = Part(
    "Borzoi, as borzoi-pytorch has it",
    "borzoi_file",
    (2_048, 2_048),
    True,
    """
from borzoi_pytorch import Borzoi
torch.manual_seed(0)
network = Borzoi.from_hparams(dim=96, depth=1, bins_to_return=64).eval()
def value(letters):
    one_hot = torch.tensor([[float(letter == base) for letter in letters] for base in "ACGT"])
    return [network(one_hot[None])[0, 870, 28:36].sum().item()]
""",
)
OWN = Part(
    "A network of your own",
    "cnn_file",
    (3_000, 1_000),
    True,
    """
import cnn_file
network = cnn_file.CNN(32)
network.load_state_dict(torch.load("my-cnn.pt", weights_only=True))
def value(letters):
    one_hot = torch.tensor([[float(letter == base) for letter in letters] for base in "ACGT"])
    return network.eval()(one_hot[None])[0].tolist()
""",
)


def run(folder: Path, environment: dict[str, str], text: str) -> str:
    """Lines of a shell, as they stand on the page; ends the test where one fails."""
    done = subprocess.run(
        ["sh", "-euc", text],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    if done.returncode and any(word in done.stderr for word in UNREACHABLE):
        pytest.skip(f"no package index is reachable: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment_of(part: Part, tmp_path: Path) -> dict[str, str]:
    """With what the page installs; kept where HAPSIGHT_COOKBOOK_FOLDER says."""
    kept = os.environ.get("HAPSIGHT_COOKBOOK_FOLDER")
    venv = (Path(kept).resolve() if kept else tmp_path / "venvs") / part.file
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")
    }
    environment |= {"PATH": f"{venv / 'bin'}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    (install,) = (block for block in blocks(part.title, "sh") if block.startswith("pip install"))
    if not (venv / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        run(tmp_path, environment, install.replace("hapsight[models]", f"{ROOT}[models]"))
        (venv / "installed").touch()
    else:  # the hapsight of today
        run(tmp_path, environment, f"pip install --quiet --no-deps --force-reinstall '{ROOT}'")
    return environment


def sequences(folder: Path, part: Part) -> dict[tuple[str, int], str]:
    """Each person's two sequences around the TSS, as the model reads them; the cohort has SNVs only."""
    gene = re.search(r'keep_genes = \["(.*?)"\]', PAGE)[1]
    rows = [line.split("\t") for line in (folder / "cohort/genes.tsv").read_text().splitlines()]
    (_, _, contig, tss, strand) = next(row for row in rows if row[0] == gene)
    before, after = part.window
    minus = part.oriented and strand == "-"
    start = int(tss) - after if minus else int(tss) - 1 - before
    with pysam.FastaFile(str(folder / "cohort/reference.fa.gz")) as fasta:
        reference = fasta.fetch(contig, start, start + before + after).upper()
    people = [line.split("\t")[0] for line in (folder / "few.tsv").read_text().splitlines()[1:]]
    made = {(name, haplotype): list(reference) for name in people for haplotype in (1, 2)}
    with pysam.VariantFile(str(folder / "cohort/genotypes.vcf.gz")) as file:
        for record in file.fetch(contig, start, start + len(reference)):
            for name, haplotype in made:
                allele = record.samples[name]["GT"][haplotype - 1]
                made[name, haplotype][record.pos - 1 - start] = record.alleles[allele]
    texts = {key: "".join(letters) for key, letters in made.items()}
    return {key: text.translate(COMPLEMENT)[::-1] for key, text in texts.items()} if minus else texts


@pytest.mark.parametrize("part", [ENFORMER, BORZOI, OWN], ids=lambda part: part.file)
def test_a_new_user_gets_the_packages_own_numbers(part: Part, tmp_path: Path) -> None:
    began = time.perf_counter()
    environment = environment_of(part, tmp_path)
    installed = time.perf_counter()
    prepare, use = blocks(COHORT, "sh")
    run(tmp_path, environment, prepare)
    (code,), (section,) = blocks(part.title, "python"), blocks(part.title, "toml")
    (tmp_path / f"{part.file}.py").write_text(code)
    (tmp_path / "run.toml").write_text(blocks(COHORT, "toml")[0] + section)
    for block in blocks(part.title, "sh"):
        if not block.startswith("pip install"):
            run(tmp_path, environment, block)
    printed = run(tmp_path, environment, use)
    took = f"{installed - began:.0f} s to install, {time.perf_counter() - installed:.0f} s to run"
    print(f"{part.file}: {len(code.splitlines())} lines; {took}")
    assert "value" in printed
    run(
        tmp_path,
        environment,
        'python -c \'import hapsight as hs; hs.read_run("run").predictions().write_parquet("p.parquet")\'',
    )
    found = pl.read_parquet(tmp_path / "p.parquet").filter(pl.col("haplotype") > 0)
    made = sequences(tmp_path, part)
    distinct = sorted(set(made.values()))
    (tmp_path / "letters.json").write_text(json.dumps(distinct))
    (tmp_path / "judge.py").write_text(f"import json, torch\n{part.judge}\n{EVERY}")
    run(tmp_path, environment, "python judge.py")
    judged = dict(zip(distinct, json.loads((tmp_path / "judged.json").read_text()), strict=True))
    assert np.ptp(np.array(list(judged.values())), axis=0).min() > 0
    for (name, haplotype), letters in made.items():
        own = found.filter((pl.col("sample_id") == name) & (pl.col("haplotype") == haplotype))
        assert own["value"].to_list() == pytest.approx(judged[letters], rel=1e-5, abs=1e-6)
    assert found.height == len(made) * len(next(iter(judged.values())))
