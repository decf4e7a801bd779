"""Whatever genes, people, tracks, labels and populations are called: all is written in the run folder."""

import polars as pl
import pytest
from click.testing import Result
from typer.testing import CliRunner

from hapsight.cli.main import app
from hapsight.models.protocol import SequenceModel, Track
from hapsight.models.registry import register
from tests.conftest import without_drawings
from tests.planted import write_planted
from tests.train.toy_personal import load_trainable

pytest.importorskip("vl_convert")
pytest.importorskip("zarr")

GENES = ("up../../x", "..", "CON", "up" + "x" * 300, "Up1", "up1")
LABEL = "../../label"
SECTIONS = """
[eqtl]
cis_window = 1000
permutations = 99
[explain]
run = true
motifs = false
saturation = [-2, 2]
gradients = true
tracks = "bedgraph"
[informed]
learning_genes = 2
[[informed.effects]]
label = "../evidence"
path = "effects.parquet"
[train]
seeds = 1
block = 5000
unseen_share = 0.2
max_steps = 2
baselines = ["top_snp"]
arms = [{ mode = "frozen", loss = "mse" }]
"""


def load_hostile(weights: str | None = None, **options: object) -> SequenceModel:
    model = load_trainable(weights, **options)
    model.tracks = (Track("../../track/t", "none", "none", ".", "arbitrary"),)
    return model


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Far down in folders of its own, so that what goes astray is found."""
    top = tmp_path_factory.mktemp("astray")
    folder = top / "a/b/c/d/cohort"
    planted = write_planted(folder, people=60, names=GENES, person="../P", populations=("../CEU", "/TSI"))
    text = planted.config.read_text().replace('name = "toy"', f'name = "toy"\nlabel = "{LABEL}"')
    text = text.replace("null_draws = 499", "null_draws = 99\npermutations = 99")
    planted.config.write_text(text.replace("[baseline]", '[baseline]\nmethods = ["top_snp"]') + SECTIONS)
    rows = [("up1", 1, "A", "C", 0.5)]
    columns = ["gene_id", "position", "ref", "alt", "effect"]
    pl.DataFrame(rows, schema=columns, orient="row").write_parquet(folder / "effects.parquet")
    return top, planted


def hapsight(*arguments: object) -> Result:
    found = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert found.exit_code == 0, (found.output, found.exception)
    return found


@pytest.mark.usefixtures("light")
def test_every_stage_writes_in_the_run_folder_alone(cohort):
    top, planted = cohort
    output, exported = planted.folder / "run", planted.folder / "exported"
    before = {path for path in top.rglob("*") if output not in (path, *path.parents)}
    with register("toy", load_hostile):
        with pytest.MonkeyPatch.context() as patch:
            without_drawings(patch)  # `report` draws
            hapsight("run", planted.config)
            hapsight("pages", planted.config, *GENES)
        hapsight("report", output)
        hapsight("train", "grid", planted.config)
        hapsight("informed", planted.config)
        hapsight("modisco", planted.config, exported)
    inside = {output, exported}
    after = {path for path in top.rglob("*") if not inside & {path, *path.parents}}
    assert after == before
    pages = [path.name for path in (output / "report/genes").glob("*.html")]
    assert len({name.casefold() for name in pages}) == len(GENES)
    assert len(list(output.glob("explain/*/gradients/*.zarr"))) == len(GENES)
    assert len(list(exported.glob("*/*/genes.bed"))) == 1
    for path in (*output.rglob("*"), *exported.rglob("*")):
        assert len(path.name) < 200
        assert path.name.partition(".")[0].lower() not in {"con", "nul"}
        assert "tmp" not in path.suffix
