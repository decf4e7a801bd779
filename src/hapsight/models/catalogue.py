"""The models that come with hapsight: their published weights, and the options of published protocols.

Read without torch, so that listing and fetching need nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from hapsight.errors import ConfigError
from hapsight.models.weights import WeightsFile, cache_folder

__all__ = [
    "BORZOI_TARGETS",
    "COMPANIONS",
    "PROTOCOL_OPTIONS",
    "PROTOCOL_READ_OUTS",
    "TARGETS",
    "WEIGHTS",
    "how_to_get",
    "published_weights",
]

_XPRESSO_URL: Final = (
    "https://raw.githubusercontent.com/ni-lab/personalized-expression-benchmark/"
    "65772e3819a56f740e6221041e3021bbab9a7051/xpresso/xpresso/pretrained_models/"
)


def _xpresso(name: str, filename: str, sha256: str) -> WeightsFile:
    return WeightsFile("xpresso", name, filename, _XPRESSO_URL + filename, sha256, 1_392_384, "MIT")


TARGETS: Final = WeightsFile(
    "enformer",
    "targets",
    "targets_human.txt",
    "https://raw.githubusercontent.com/calico/basenji/master/manuscripts/cross2020/targets_human.txt",
    None,
    None,
    "Apache-2.0",
    md5="61c7fe3aa9da2f309124830ddb282ce3",
)
"""Names of the human tracks of Enformer and Basenji2."""

BORZOI_TARGETS: Final = WeightsFile(
    "borzoi",
    "targets",
    "borzoi_targets_human.txt",
    "https://raw.githubusercontent.com/johahi/borzoi-pytorch/main/borzoi_pytorch/precomputed/targets.txt",
    "cb0c1d4baf514f44de458364b2ae0b85f722a80b72cbe66c56bd700faa481785",
    1_215_560,
    "Apache-2.0",
)
"""Names of Borzoi's human tracks."""


def _borzoi(model: str, replicate: int) -> WeightsFile:
    return WeightsFile(
        model,
        f"replicate-{replicate}",
        f"{model}/replicate-{replicate}.safetensors",
        f"https://huggingface.co/johahi/{model}-replicate-{replicate}/resolve/main/model.safetensors",
        None,
        None,
        "CC-BY-4.0 / MIT",
    )


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
        ),
        "enformer": (
            WeightsFile(
                "enformer",
                "official",
                "enformer/pytorch_model.bin",
                "https://huggingface.co/EleutherAI/enformer-official-rough/resolve/main/pytorch_model.bin",
                None,
                None,
                "CC-BY-4.0 / Apache-2.0",
            ),
        ),
        "basenji2": (
            WeightsFile(
                "basenji2",
                "human",
                "basenji2/model_human.h5",
                "https://storage.googleapis.com/basenji_barnyard2/model_human.h5",
                None,
                None,
                "Apache-2.0",
            ),
            WeightsFile(
                "basenji2",
                "zenodo",
                "basenji2/basenji2.pth",
                "https://zenodo.org/records/14969593/files/basenji2.pth",
                None,
                None,
                "Apache-2.0",
                md5="1f46acc933e05515faf4d7eec0e27d42",
            ),
        ),
        "expecto": (
            WeightsFile(
                "expecto",
                "20190807",
                "expecto/resources_20190807.tar.gz",
                "https://deepsea.princeton.edu/media/code/expecto/resources_20190807.tar.gz",
                None,
                None,
                "Princeton, academic use",
                terms="ExPecto's licence: Princeton University, academic use only, no redistribution",
            ),
        ),
        "borzoi": tuple(_borzoi("borzoi", replicate) for replicate in range(4)),
        "flashzoi": tuple(_borzoi("flashzoi", replicate) for replicate in range(4)),
    }
)
"""Model -> its published weights, the default first."""

COMPANIONS: Final[Mapping[str, tuple[WeightsFile, ...]]] = MappingProxyType(
    {
        "enformer": (TARGETS,),
        "basenji2": (TARGETS,),
        "borzoi": (BORZOI_TARGETS,),
        "flashzoi": (BORZOI_TARGETS,),
    }
)
"""Model -> files that go with its weights: names of its tracks."""

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
    """List the published weights of a model: all, or those of one name.

    Raises
    ------
    ConfigError
        No such model or weights; lists what there is.
    """
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


def how_to_get(model: str) -> str:
    """How a user gets a model's weights that are not here, as an error says it."""
    first, *_ = WEIGHTS[model]
    place = cache_folder() / first.filename
    accept = " --accept-licence" if first.terms else ""
    return f"run `hapsight models fetch {model}{accept}`, or download {first.url} by hand to {place}"
