import pytest

from hapsight.cohort.nouns import Gene, Strand
from hapsight.errors import ConfigError
from hapsight.models.protocol import ModelWindow
from hapsight.predict.windows import require_fitting, window_of
from tests.planted import ToyModel


def test_a_contig_shorter_than_the_window_is_refused():
    genes = [Gene("fits", "long", 10, Strand.PLUS), Gene("does not", "short", 10, Strand.PLUS)]
    with pytest.raises(
        ConfigError, match=r"longer than the contig[\s\S]*does not on short[\s\S]*500 bp[\s\S]*499 bp"
    ):
        require_fitting(ToyModel(), genes, {"long": 500, "short": 499})


def test_a_gene_without_strand_is_refused_by_a_model_that_needs_one():
    with pytest.raises(ConfigError, match=r"needs the gene's strand[\s\S]*gene g"):
        require_fitting(ToyModel(), [Gene("g", "c", 10)], {"c": 1000})


def test_windows_of_both_strands_and_margins():
    model = ToyModel()
    plus = window_of(Gene("g", "c", 1000, Strand.PLUS), model, beyond=2)
    assert (plus.left, plus.right, plus.reverse) == (302, 202, False)
    minus = window_of(Gene("g", "c", 1000, Strand.MINUS), model)
    assert (minus.left, minus.right, minus.reverse) == (199, 301, True)
    model.window = ModelWindow(300, 200, oriented=True, minus_shift=1)
    shifted = window_of(Gene("g", "c", 1000, Strand.MINUS), model)
    assert (shifted.left, shifted.right) == (198, 302)
