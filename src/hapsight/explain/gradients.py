"""Gradients of a read-out with respect to its input, by automatic differentiation.

A gradient says what an infinitely small amount of a base would do. It is cheap (one pass forward and one back
for all positions), and it is not the effect of a variant, which `hapsight.explain.ism` computes.

DeepLIFT/SHAP: what each base adds to a prediction, beside shuffled sequences.

The rescale rule of DeepLIFT (Shrikumar et al. 2017), averaged over reference sequences (Lundberg and Lee
2017), as tangermeme computes it. The contributions of a sequence add up to its prediction less the mean
prediction of its references; where they do not, the network has a layer without a rule, and is refused.
"""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from hapsight.dna import N_CODE, Codes
from hapsight.engine.engine import Valuer
from hapsight.engine.outputs import finite, finite_values
from hapsight.engine.views import View, views
from hapsight.errors import ConfigError, InputError, MissingExtraError
from hapsight.models.forward import one_hot, with_gradients
from hapsight.models.protocol import ReadOut, SequenceModel, SharedModel

if TYPE_CHECKING:
    from hapsight.models.xpresso import Xpresso

__all__ = ["XpressoLayers", "deepshap", "gradient_times_input", "input_gradient", "shuffled"]

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
        The model does not read sequence through ``hapsight.models.forward.one_hot``, so there is nothing to
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
                fix="encode the codes with hapsight.models.forward.one_hot, once per sequence",
            )
        rows = [torch.autograd.grad(value, inputs[0], retain_graph=True)[0][0] for value in values[0]]
    return finite(model, torch.stack(rows).double().cpu().numpy(), "gradient")


def _values(model: SequenceModel, read_out: ReadOut, codes: torch.Tensor) -> torch.Tensor:
    """The read-out; of a shared model by its local layers on the whole window, which encode it once."""
    if not isinstance(model, SharedModel):
        return model.predict(codes, read_out)
    first, last = model.span(read_out)
    return model.read(model.embed(codes)[:, first:last], read_out)


_INCOMPLETE = 1e-6
"""Of the summed absolute contributions: what they may miss of the difference that they explain."""


class XpressoLayers(nn.Module):
    """Xpresso's network, of its own weights, with a module for every layer that is not linear.

    DeepLIFT's rules hang on modules; the network itself calls these layers as functions.
    """

    half_life: torch.Tensor

    def __init__(self, model: Xpresso) -> None:
        super().__init__()
        self.network = model.network
        self.register_buffer("half_life", model.half_life)
        self.relu = nn.ReLU()
        self.pool1, self.pool2 = nn.MaxPool1d(30), nn.MaxPool1d(10)

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        """Predict from one-hot `sequence` (B, 4, 10500); returns (B, 1)."""
        net = self.network
        x = self.pool1(self.relu(net.conv1(F.pad(sequence, (2, 3)))))  # (B, 128, 350)
        x = self.pool2(self.relu(net.conv2(x))).transpose(1, 2).flatten(1)  # (B, 1120)
        x = torch.cat([x, self.half_life.expand(len(x), -1)], dim=1)  # (B, 1126)
        return net.dense3(self.relu(net.dense2(self.relu(net.dense1(x)))))  # type: ignore[no-any-return]


def deepshap(
    network: nn.Module,
    codes: Codes,
    references: Codes,
    *,
    target: int = 0,
    hypothetical: bool = False,
    batch_size: int = 32,
) -> Float:
    """Contributions (R, L, 4) of A, C, G, T at each position of R sequences; computed in float64.

    Parameters
    ----------
    network
        One-hot sequences (B, 4, L) in, (B, T) out; every layer that is not linear is a module. It is left as
        it was.
    codes
        (R, L) as the network reads them, without N.
    references
        (R, K, L) what each sequence is compared with, such as `shuffled`.
    target
        Which of the T outputs.
    hypothetical
        What each base would contribute were it there, as TF-MoDISco wants it; else 0 for those that are not.
    batch_size
        Pairs of a sequence and a reference that go through together.

    Raises
    ------
    MissingExtraError
        tangermeme is not installed.
    InputError
        A sequence has an N, or the references do not fit the sequences.
    ConfigError
        The contributions do not add up to what they explain.
    """
    attribute = _tangermeme().deep_lift_shap.deep_lift_shap
    _require_fitting(codes, references)
    exact = copy.deepcopy(network).double().eval()
    device = next(exact.parameters()).device
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of sums that do not fit: judged below, all at once
        found = attribute(
            exact,
            _encoded(codes),
            target=target,
            references=torch.stack([_encoded(one) for one in references]),
            hypothetical=True,
            batch_size=batch_size,
            device=device,
        )
    contributions: Float = found.numpy().transpose(0, 2, 1)  # (R, L, 4)
    there = np.asarray(contributions * (np.arange(4) == codes[..., None]))
    _require_complete(there, _difference(exact, codes, references, target, batch_size))
    return contributions if hypothetical else there


def shuffled(codes: Codes, n: int, rng: np.random.Generator) -> Codes:
    """(R, n, L): each of (R, L) sequences n times, shuffled; each dinucleotide is as frequent as before.

    Raises
    ------
    MissingExtraError
        tangermeme is not installed.
    InputError
        A sequence has an N.
    """
    shuffle = _tangermeme().ersatz.dinucleotide_shuffle
    _require_known(codes)
    made = shuffle(_encoded(codes), n=n, random_state=int(rng.integers(2**31)))  # (R, n, 4, L)
    return np.asarray(made.numpy().argmax(axis=2), np.uint8)


def _tangermeme() -> Any:
    try:
        import tangermeme.deep_lift_shap
        import tangermeme.ersatz
    except ImportError:
        raise MissingExtraError(
            "DeepLIFT/SHAP needs tangermeme.",
            got="no package tangermeme",
            fix="pip install 'hapsight[deepshap]'",
        ) from None
    return tangermeme


def _encoded(codes: Codes) -> torch.Tensor:
    """(B, 4, L) float64."""
    return one_hot(torch.from_numpy(np.ascontiguousarray(codes))).double()


def _require_known(codes: Codes) -> None:
    unknown = (codes >= N_CODE).any(axis=1)
    if unknown.any():
        raise InputError(
            "DeepLIFT/SHAP cannot say what an N contributes.",
            expected="A, C, G and T only",
            got=f"{unknown.sum()} of {len(codes)} sequences with N, the first is number {unknown.argmax()}",
            fix="leave these sequences out",
        )


def _require_fitting(codes: Codes, references: Codes) -> None:
    _require_known(codes)
    fits = references.ndim == 3 and references.shape[1] > 0
    if not fits or (len(references), references.shape[-1]) != codes.shape:
        raise InputError(
            "References do not fit the sequences.",
            expected=f"({len(codes)}, references, {codes.shape[1]})",
            got=references.shape,
        )


def _difference(network: nn.Module, codes: Codes, references: Codes, target: int, batch_size: int) -> Float:
    """(R,) prediction less the mean prediction of the references."""
    flat = np.concatenate([codes, references.reshape(-1, codes.shape[1])])
    device = next(network.parameters()).device
    parts = [_encoded(flat[first : first + batch_size]) for first in range(0, len(flat), batch_size)]
    with torch.no_grad():
        values = torch.cat([network(part.to(device))[:, target].cpu() for part in parts]).numpy()
    return np.asarray(values[: len(codes)] - values[len(codes) :].reshape(references.shape[:2]).mean(axis=1))


def _require_complete(contributions: Float, difference: Float) -> None:
    missed = np.abs(contributions.sum(axis=(1, 2)) - difference)
    worst = int(np.argmax(missed))
    if missed[worst] > _INCOMPLETE * max(np.abs(contributions[worst]).sum(), abs(difference[worst])):
        raise ConfigError(
            "The contributions do not add up to what they explain: a layer of the network has no rule.",
            expected=f"{difference[worst]:.6g}, the prediction less that of the references",
            got=f"{contributions[worst].sum():.6g} (sequence {worst})",
            fix="give every layer that is not linear a torch.nn module of its own, as XpressoLayers does",
        )
