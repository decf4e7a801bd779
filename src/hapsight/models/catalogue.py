"""The models that come with hapsight: their published weights, and the options of published protocols.

Read without torch, so that listing and fetching need nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from hapsight.errors import ConfigError, WeightsError
from hapsight.models.weights import WeightsFile, cache_folder

__all__ = ["BY_HAND", "PROTOCOL_OPTIONS", "PROTOCOL_READ_OUTS", "WEIGHTS", "published_weights"]

_XPRESSO_URL: Final = (
    "https://raw.githubusercontent.com/ni-lab/personalized-expression-benchmark/"
    "65772e3819a56f740e6221041e3021bbab9a7051/xpresso/xpresso/pretrained_models/"
)


def _xpresso(name: str, filename: str, sha256: str) -> WeightsFile:
    return WeightsFile("xpresso", name, filename, _XPRESSO_URL + filename, sha256, 1_392_384, "MIT")


WEIGHTS: Final[Mapping[str, tuple[WeightsFile, ...]]] = MappingProxyType(
    {
        "xpresso": (
            _xpresso(
                "GM12878",
                "GM12878_trainepoch.06-0.5062.h5",
                "3e44d222897ca54d6dff9a5cff440ac351804d529be036f19c7c61c4bcc865f7",
            ),
            _xpresso(
                "K562",
                "K562_trainepoch.11-0.4917.h5",
                "95cb2279568a039bff7ae5dcfc1c9e467a8065ba97a7b250e91265b5cd946b80",
            ),
            _xpresso(
                "humanMedian",
                "humanMedian_trainepoch.11-0.426.h5",
                "15a383648008df5f843ec8651e78be5faf82609c88fb068da890aa7a89387bb0",
            ),
            _xpresso(
                "mESC",
                "mESC_trainepoch.10-0.3867.h5",
                "b352199616d675f9d4647626374553106be1af98aa82e4ba6d75f734f947cfe5",
            ),
            _xpresso(
                "mouseMedian",
                "mouseMedian_trainepoch.05-0.278.h5",
                "e2a48e994aa6e6d9c619ba2865cd76804433d63620f8f82b044389ea78239d37",
            ),
        )
    }
)
"""Model -> its published weights, the default first."""


def _by_hand_borzoi(model: str) -> str:
    return (
        f"download https://huggingface.co/johahi/{model}-replicate-0/resolve/main/model.safetensors (or of "
        f"replicate 1, 2, 3) to {model}/replicate-0.safetensors in the weights folder; and for the tracks' "
        "names https://raw.githubusercontent.com/johahi/borzoi-pytorch/main/borzoi_pytorch/precomputed/"
        "targets.txt to borzoi_targets_human.txt in the weights folder itself"
    )


BY_HAND: Final[Mapping[str, str]] = MappingProxyType(
    {
        "expecto": (
            "if its licence (Princeton, academic use, no redistribution) suits you, download "
            "https://deepsea.princeton.edu/media/code/expecto/resources_20190807.tar.gz into the folder "
            "'expecto' of the weights folder; what is needed is unpacked at first use. If it brings no .save "
            "files, put those of https://github.com/FunctionLab/ExPecto (folder 'models') beside it"
        ),
        "basenji2": (
            "download https://storage.googleapis.com/basenji_barnyard2/model_human.h5 (its checksum is not "
            "published), or https://zenodo.org/records/14969593/files/basenji2.pth for the weights 'zenodo' "
            "(md5 1f46acc933e05515faf4d7eec0e27d42), into the folder 'basenji2' of the weights folder; for "
            "names of tracks, https://raw.githubusercontent.com/calico/basenji/master/manuscripts/cross2020/"
            "targets_human.txt into the weights folder itself"
        ),
        "enformer": (
            "download "
            "https://huggingface.co/EleutherAI/enformer-official-rough/resolve/main/pytorch_model.bin "
            "(about 1 GB; its checksum is not published) into the folder 'enformer' of the weights folder; "
            "and for the tracks' names https://raw.githubusercontent.com/calico/basenji/master/manuscripts/cross2020/"
            "targets_human.txt into the weights folder itself"
        ),
        "borzoi": _by_hand_borzoi("borzoi"),
        "flashzoi": _by_hand_borzoi("flashzoi"),
    }
)
"""Model -> how a user gets its weights by hand, where the licence or a missing checksum forbids `fetch`."""

PROTOCOL_OPTIONS: Final[Mapping[str, Mapping[str, Mapping[str, object]]]] = MappingProxyType(
    {
        "xpresso": MappingProxyType(
            {"huang2023": MappingProxyType({"weights": "GM12878", "tss_index": 6999, "half_life": None})}
        ),
        "expecto": MappingProxyType({"huang2023": MappingProxyType({"weights": "20190807"})}),
    }
)
"""Model -> protocol -> the options of `load_model` with which that study ran it."""

PROTOCOL_READ_OUTS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "enformer": MappingProxyType({"huang2023": "huang2023", "sasse2023": "sasse2023"}),
        "basenji2": MappingProxyType({"huang2023": "huang2023"}),
        "expecto": MappingProxyType({"huang2023": "huang2023"}),
    }
)
"""Model -> protocol -> the read-out that the study took; without one, the model's default stands."""


def published_weights(model: str, name: str | None = None) -> tuple[WeightsFile, ...]:
    """List the published weights of a model that can be fetched: all, or those of one name.

    Raises
    ------
    ConfigError
        No such model or weights; lists what there is.
    WeightsError
        Weights that a user must get by hand; says how.
    """
    if model in BY_HAND:
        raise WeightsError(
            f"The weights of {model} cannot be fetched for you.",
            where=cache_folder() / model,
            fix=BY_HAND[model],
        )
    if model not in WEIGHTS:
        raise ConfigError(
            f"hapsight knows no published weights of a model {model!r}.", expected=", ".join(WEIGHTS)
        )
    files = WEIGHTS[model]
    chosen = files if name is None else tuple(file for file in files if file.name == name)
    if not chosen:
        raise ConfigError(
            f"The model {model!r} has no published weights {name!r}.",
            expected=", ".join(file.name for file in files),
        )
    return chosen
