from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hapsight.errors import WeightsError
from hapsight.models.expecto_files import read_gblinear
from tests.models.old_booster import old_booster

FEATURES = 7
WEIGHTS = np.linspace(-1.0, 1.0, FEATURES, dtype=np.float32)
WHOLE = old_booster(WEIGHTS, 0.25)
GBLINEAR = HealthCheck.function_scoped_fixture


def read(tmp_path: Path, content: bytes, num_feature: int = FEATURES):  # type: ignore[no-untyped-def]
    path = tmp_path / "tissue.save"
    path.write_bytes(content)
    return read_gblinear(path, num_feature)


@settings(max_examples=40, deadline=None, suppress_health_check=[GBLINEAR])
@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=30),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.sampled_from([b"binf", b""]),
)
def test_what_was_written_is_read(tmp_path: Path, weights: list[float], bias: float, prefix: bytes) -> None:
    written = np.array(weights, dtype=np.float32)
    content = old_booster(written, bias, base_score=0.5, prefix=prefix)
    found = read(tmp_path, content, len(weights))
    np.testing.assert_array_equal(found.weights, written)
    assert found.weights.dtype == np.float32
    assert (found.bias, found.base_score) == (bias, 0.5)


@settings(max_examples=60, deadline=None, suppress_health_check=[GBLINEAR])
@given(st.integers(0, len(WHOLE) - 1))
def test_cut_anywhere_is_an_error(tmp_path: Path, size: int) -> None:
    with pytest.raises(WeightsError):
        read(tmp_path, WHOLE[:size])


def test_cut_short_says_where(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        read(tmp_path, WHOLE[:-6])
    assert str(caught.value) == (
        "A file of a linear booster is cut short in its weights.\n"
        f"  where: {tmp_path / 'tissue.save'}, byte {len(WHOLE) - 32:,}\n"
        "  expected: 32 more bytes\n"
        "  got: 26"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x1f\x8b" + bytes(range(2, 250)), "the name of the objective differs"),
        (old_booster(WEIGHTS, 0.0, objective=b"binary:logistic"), "the objective differs"),
        (old_booster(WEIGHTS, 0.0, booster=b"gbtree"), "the booster differs"),
        (old_booster(WEIGHTS, 0.0, num_feature=8), "the number of features differs"),
        (old_booster(WEIGHTS, 0.0, count=7), "the number of weights, the bias included differs"),
        (WHOLE + b"\0\0", "the number of bytes behind the weights differs"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        read(tmp_path, content)
    assert caught.value.details["where"] == str(tmp_path / "tissue.save")


def test_another_number_of_features_names_both(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="number of features differs") as caught:
        read(tmp_path, WHOLE, 20_030)
    assert (caught.value.details["expected"], caught.value.details["got"]) == ("20030", "7")


@pytest.mark.parametrize("broken", [{"bias": float("nan")}, {"bias": 0.0, "base_score": float("inf")}])
def test_not_a_number_is_refused(tmp_path: Path, broken: dict[str, float]) -> None:
    with pytest.raises(WeightsError, match="not all finite"):
        read(tmp_path, old_booster(WEIGHTS, **broken))  # type: ignore[arg-type]


def test_a_file_of_xgboost_090_predicts_as_xgboost_did(tmp_path: Path) -> None:
    golden = json.loads((Path(__file__).parent / "data" / "xgboost_golden.json").read_text())
    booster = read(tmp_path, base64.b64decode(golden["save"]), 12)
    predicted = np.array(golden["features"]) @ booster.weights + booster.bias + booster.base_score
    assert booster.base_score == 2.0
    np.testing.assert_allclose(predicted, golden["predictions"], rtol=0, atol=2e-6)
