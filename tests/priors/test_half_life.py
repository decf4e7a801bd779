"""Half-life features as an input of Xpresso: the same as a model that was loaded with them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hapsight.cohort.nouns import Gene, Strand  # noqa: E402
from hapsight.dna import reverse_complement  # noqa: E402
from hapsight.errors import InputError  # noqa: E402
from hapsight.models.xpresso import Xpresso, XpressoNet  # noqa: E402
from hapsight.priors.half_life import half_life_predictions  # noqa: E402

NETWORK = XpressoNet()
GENOME = np.random.default_rng(1).integers(0, 4, 40_000).astype(np.uint8)


def model(half_life=None):
    return Xpresso("xpresso/random", NETWORK, cell_type="none", half_life=half_life)


def fetch(interval):
    return GENOME[interval.start : interval.end]


@pytest.fixture(autouse=True, scope="module")
def lively():
    """Weights with which the features matter."""
    torch.manual_seed(3)
    for parameter in NETWORK.parameters():
        torch.nn.init.normal_(parameter, std=0.2)


def test_each_set_of_features_is_that_of_a_model_loaded_with_it():
    rng = np.random.default_rng(2)
    genes = [Gene("p", "chr1", 15_000, Strand.PLUS), Gene("m", "chr1", 20_000, Strand.MINUS)]
    features = rng.standard_normal((2, 3, 6))
    found = half_life_predictions(model(), genes, features, fetch)
    plus, minus = GENOME[8_000:18_500], reverse_complement(GENOME[16_501:27_001])
    for row, bases, sets in zip(found, (plus, minus), features, strict=True):
        codes = torch.from_numpy(np.ascontiguousarray(bases))[None]
        for value, one in zip(row, sets, strict=True):
            loaded = model(one.tolist())
            expected = float(loaded.predict(codes, loaded.read_outs["default"])[0, 0])
            assert value == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert np.ptp(found, axis=1).min() > 0


def test_a_sequence_of_another_length_is_refused():
    with pytest.raises(InputError, match="10500"):
        model().predict_with_half_lives(torch.zeros(100, dtype=torch.uint8), torch.zeros(1, 6))
