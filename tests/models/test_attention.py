from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hapsight.errors import ConfigError
from hapsight.models import enformer_net
from hapsight.models.enformer_net import RelativeAttention, attend_by_distance, distance_features


def random_attention(
    seed: int, width: int = 10, heads: int = 2, key: int = 3, value: int = 4
) -> RelativeAttention:
    module = RelativeAttention(width, heads, key, value, features=6).double()
    rng = np.random.default_rng(seed)
    for parameter in module.parameters():
        parameter.data = torch.from_numpy(rng.standard_normal(tuple(parameter.shape)))
    return module


def attend_slowly(module: RelativeAttention, x: torch.Tensor, distances: torch.Tensor) -> torch.Tensor:
    """One sequence (N, C), one head, one query and one key after another."""
    length, heads = len(x), module.heads
    q, k, v = (part(x).chunk(heads, dim=1) for part in (module.to_q, module.to_k, module.to_v))
    r = module.to_rel_k(distances).chunk(heads, dim=1)
    rows = []
    for i in range(length):
        out = []
        for h in range(heads):
            query = q[h][i] / q[h].shape[1] ** 0.5
            content = query + module.rel_content_bias[0, h, 0]
            place = query + module.rel_pos_bias[0, h, 0]
            logits = [content @ k[h][j] + place @ r[h][j - i + length - 1] for j in range(length)]
            out.append(torch.stack(logits).softmax(0) @ v[h])
        rows.append(module.to_out(torch.cat(out)))
    return torch.stack(rows)


class TestRelativeAttention:
    @settings(max_examples=25, deadline=None)
    @given(st.integers(1, 13), st.integers(1, 5), st.data(), st.integers(0, 2**32 - 1))
    @torch.no_grad()
    def test_equals_the_loops_for_any_queries_and_blocks(
        self, length: int, block: int, data: st.DataObject, seed: int
    ) -> None:
        first = data.draw(st.integers(0, length - 1))
        last = data.draw(st.integers(first + 1, length))
        module = random_attention(seed)
        x = torch.from_numpy(np.random.default_rng(seed).standard_normal((2, length, 10)))
        distances = torch.from_numpy(distance_features(length, 6))
        slow = torch.stack([attend_slowly(module, one, distances) for one in x])[:, first:last]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(enformer_net, "QUERY_BLOCK", block)
            fast = module(x, distances, first, last)
        np.testing.assert_allclose(fast.numpy(), slow.numpy(), rtol=1e-10, atol=1e-10)

    @settings(max_examples=25, deadline=None)
    @given(st.integers(1, 29), st.integers(1, 11), st.data(), st.integers(0, 2**32 - 1))
    @torch.no_grad()
    def test_the_fused_form_equals_the_loops(
        self, length: int, block: int, data: st.DataObject, seed: int
    ) -> None:
        first = data.draw(st.integers(0, length - 1))
        last = data.draw(st.integers(first + 1, length))
        module = random_attention(seed)
        x = torch.from_numpy(np.random.default_rng(seed).standard_normal((2, length, 10)))
        distances = torch.from_numpy(distance_features(length, 6))
        q, k, v = (module._split(part(x)) for part in (module.to_q, module.to_k, module.to_v))
        q = q[:, :, first:last] * 3**-0.5
        r = module._split(module.to_rel_k(distances[length - last : 2 * length - 1 - first])[None])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(enformer_net, "QUERY_BLOCK", block)
            made = attend_by_distance(q + module.rel_content_bias, q + module.rel_pos_bias, k, v, r)
        fast = module.to_out(made.transpose(1, 2).flatten(2))
        slow = torch.stack([attend_slowly(module, one, distances) for one in x])[:, first:last]
        np.testing.assert_allclose(fast.numpy(), slow.numpy(), rtol=1e-10, atol=1e-10)

    def test_gradients_flow_through_the_blocks(self) -> None:
        module, distances = random_attention(1), torch.from_numpy(distance_features(7, 6))
        x = torch.from_numpy(np.random.default_rng(2).standard_normal((1, 7, 10))).requires_grad_()
        assert torch.autograd.gradcheck(lambda x: module(x, distances, 1, 6), (x,))


class TestDistanceFeatures:
    def test_worked_by_hand(self) -> None:
        features = distance_features(64, 18)  # three of each kind, twice
        at = features[63:]  # distances 0, 1, 2, ...
        assert features.shape == (127, 18)
        np.testing.assert_allclose(at[8, :3], [2 ** -(8 / 8), 2 ** -(8 / 2**4.5), 2 ** -(8 / 64)])
        np.testing.assert_array_equal(at[[0, 1, 2, 3, 6, 7], 3:6].sum(axis=1), [3, 2, 2, 1, 1, 0])
        np.testing.assert_array_equal(at[1:, 9:], at[1:, :9])
        np.testing.assert_array_equal(at[0, 9:], np.zeros(9))

    def test_other_direction_has_the_other_sign(self) -> None:
        features = distance_features(50, 12)
        np.testing.assert_array_equal(features[::-1, :6], features[:, :6])
        np.testing.assert_array_equal(features[::-1, 6:], -features[:, 6:])

    def test_forms_of_gamma_differ_in_what_is_one(self) -> None:
        official, port = (distance_features(64, 24, gamma)[63:, 8:12] for gamma in ("official", "port"))
        np.testing.assert_allclose(official.max(axis=0), 1.0)
        np.testing.assert_allclose(port.max(axis=1), 1.0)
        assert np.abs(official - port).max() > 0.5

    def test_gamma_has_its_mode_below_its_mean(self) -> None:
        """Means 16, 32, 48, 64 and deviation 8: modes at mean - variance / mean."""
        official = distance_features(64, 24)[63:, 8:12]
        np.testing.assert_array_equal(official.argmax(axis=0), [12, 30, 47, 63])

    @pytest.mark.parametrize("count", [0, 5, 16])
    def test_a_count_that_6_does_not_divide(self, count: int) -> None:
        with pytest.raises(
            ConfigError, match=rf"that 6 divides.\n  expected: 6, 12, 18, ...\n  got: {count}"
        ):
            distance_features(10, count)

    def test_an_unknown_gamma(self) -> None:
        with pytest.raises(
            ConfigError, match=r"'gamma' features are unknown.\n  expected: official or port\n  got: 'tf'"
        ):
            distance_features(10, 6, "tf")
