import polars as pl
from fake_run import write_run

from hapsight.report.cards import ceiling_sentence
from hapsight.report.run_folder import read_run
from hapsight.tables import HERITABILITY


def test_the_ceiling_is_the_mean_root_of_the_heritability(tmp_path) -> None:
    folder = write_run(tmp_path)
    assert ceiling_sentence(read_run(folder)) is None
    (folder / "eqtl").mkdir()
    genes = [{"phenotype_id": name, "h2": h2} for name, h2 in (("a", 0.25), ("b", 0.0), ("c", None))]
    pl.DataFrame(genes, schema=HERITABILITY).write_parquet(folder / "eqtl/heritability.parquet")
    said = ceiling_sentence(read_run(folder))
    assert "0.250 on average over 2 genes" in said
