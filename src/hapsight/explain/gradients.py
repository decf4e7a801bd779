"""Gradients of a read-out with respect to its input, by automatic differentiation.

A gradient says what an infinitely small amount of a base would do. It is cheap (one pass forward and one back
for all positions), and it is not the effect of a variant, which `hapsight.explain.ism` computes.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from hapsight.dna import N_CODE, Codes
from hapsight.errors import ConfigError
from hapsight.models.onehot import with_gradients
from hapsight.models.protocol import ReadOut, SequenceModel, SharedModel
from hapsight.predict.outputs import finite, finite_values
from hapsight.predict.values import Valuer
from hapsight.predict.views import View, views

__all__ = ["gradient_times_input", "input_gradient"]

Float = NDArray[np.float64]


def input_gradient(valuer: Valuer, codes: Codes) -> Float:
    """(R, T, 4, L + 2 * beyond) change of the read-out per unit of each base (A, C, G, T) at each position.

    Zero where the read-out does not depend on the base, which includes all that no view reaches.

    Parameters
    ----------
    codes
        (R, L + 2 * beyond) in the model's orientation, as for the `Valuer`; so is the result.

    Raises
    ------
    ConfigError
        The model does not read sequence through ``hapsight.models.onehot.one_hot``, so there is nothing to
        differentiate by.
    """
    every = list(views(valuer.model, valuer.read_out))
    total = np.zeros((len(codes), len(valuer.read_out.tracks), 4, codes.shape[1]))
    for r in range(len(codes)):  # one at a time: a graph holds every layer's activations
        for view in every:
            seen = np.ascontiguousarray(view.of(codes[r : r + 1], valuer.beyond))
            found = _of_view(valuer.model, view.read_out, seen, valuer.device)
            total[r][..., _part(view, valuer.beyond, codes.shape[1])] += _forward(view, found) / len(every)
    return total


def gradient_times_input(gradient: Float, codes: Codes) -> Float:
    """(R, T, L) the gradient at the base that is there; 0 where that is N.

    Parameters
    ----------
    gradient
        (R, T, 4, L) from `input_gradient`.
    codes
        (R, L) the same sequences.
    """
    there = np.minimum(codes, N_CODE - 1).astype(np.intp)[:, None, None, :]
    taken = np.take_along_axis(gradient, there, axis=2)[:, :, 0]  # (R, T, L)
    return np.where(codes[:, None] == N_CODE, 0.0, taken)


def _part(view: View, beyond: int, length: int) -> slice:
    """The bases that a view sees."""
    return slice(beyond + view.shift, length - beyond + view.shift)


def _forward(view: View, gradient: Float) -> Float:
    """(T, 4, L) of the sequence as it was given, where the view read its reverse complement."""
    return gradient[:, ::-1, ::-1] if view.flipped else gradient


def _of_view(model: SequenceModel, read_out: ReadOut, codes: Codes, device: str) -> Float:
    """(T, 4, L) of one sequence (1, L)."""
    with with_gradients() as inputs:
        values = _values(model, read_out, torch.from_numpy(codes).to(device))
        finite_values(model, read_out, values.detach(), 1)
        shape = (1, 4, codes.shape[1])
        if [tuple(x.shape) for x in inputs] != [shape]:
            raise ConfigError(
                f"Model {model.name} gives no gradients: it does not make its input with `one_hot`.",
                expected=f"one input of shape {shape}",
                got=f"{len(inputs)} of shapes {sorted({tuple(x.shape) for x in inputs})}",
                fix="encode the codes with hapsight.models.onehot.one_hot, once per sequence",
            )
        rows = [torch.autograd.grad(value, inputs[0], retain_graph=True)[0][0] for value in values[0]]
    return finite(model, torch.stack(rows).double().cpu().numpy(), "gradient")


def _values(model: SequenceModel, read_out: ReadOut, codes: torch.Tensor) -> torch.Tensor:
    """The read-out; of a shared model by its local layers on the whole window, which encode it once."""
    if not isinstance(model, SharedModel):
        return model.predict(codes, read_out)
    first, last = model.span(read_out)
    return model.read(model.embed(codes)[:, first:last], read_out)
