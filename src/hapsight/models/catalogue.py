"""The models that come with hapsight: their published weights, and the options of published protocols.

Read without torch, so that listing and fetching need nothing heavy.

Keys of ``[[models]]`` for a model that is a table of variant effects.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from hapsight.errors import ConfigError, WeightsError, in_shell
from hapsight.models.weights import WeightsFile, cache_folder, locate, verify

__all__ = [
    "ALPHAGENOME",
    "BORZOI_TARGETS",
    "COMPANIONS",
    "EFFECTS",
    "EPINFORMER_TESTED",
    "PROTOCOL_OPTIONS",
    "PROTOCOL_READ_OUTS",
    "PYTHON_ONLY",
    "TARGETS",
    "WEIGHTS",
    "EffectsKeys",
    "alphagenome_command",
    "alphagenome_file",
    "chosen_weights",
    "how_to_get",
    "in_short",
    "published_weights",
]

EFFECTS: Final = "effects"
"""The name of the model that a table of effects is."""


_NOTHING_TO_FETCH: Final = {
    "mini": "its weights come with hapsight",
    EFFECTS: "it is a table of yours (docs/effects.md)",
}


class EffectsKeys(BaseModel):
    """What ``name = "effects"`` has beside a label."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: Path | None = Field(
        None, description='of name = "effects": variants and their effects, see docs/effects.md'
    )
    gene: str | None = Field(
        None,
        description='the column of `table` that names the gene, or "nearest TSS" (up to 100 kb away, or '
        "`within`); else as it is known",
    )
    within: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="only variants at most so many bases from the TSS; where `table` names no gene, of every "
        "gene that has its TSS so near",
    )
    value: str | None = Field(
        None, description="the column, dataset or INFO key of `table` with the effect; else as it is known"
    )
    tracks: tuple[str, ...] = Field((), description="tracks of `table` that are used; all where empty")
    where: dict[str, str | tuple[str, ...]] = Field(
        default_factory=dict, description="columns of `table`, and which of their texts are used"
    )

    @property
    def texts(self) -> dict[str, tuple[str, ...]]:
        """`where`, with a list for each column."""
        return {name: (text,) if isinstance(text, str) else text for name, text in self.where.items()}

    def fault(self, name: str, others: bool) -> str | None:
        """Why these keys do not go with a model's name; None where they do.

        Parameters
        ----------
        others
            Whether keys are set that only models of sequences have.
        """
        if name == EFFECTS:
            if self.table is None:
                return 'name = "effects" needs `table`, the file with the effects'
            return 'name = "effects" has no weights, read_out or options' if others else None
        given = [key for key in EffectsKeys.model_fields if getattr(self, key)]
        return f'`{given[0]}` goes with name = "effects" only' if given else None


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


EPINFORMER_TESTED: Final[Mapping[int, tuple[str, ...]]] = MappingProxyType(
    {
        **{fold: (str(fold + 1), str(fold + 11)) for fold in range(1, 11)},
        11: ("22", "X"),
        12: ("1",),
    }
)
"""Fold of EPInformer -> chromosomes that it was tested on, so not trained on; only fold 11 holds chr22 out.

Which ones chose when a training stopped is not published; of fold 12, most likely chr22."""

_EPINFORMER_URL: Final = (
    "https://raw.githubusercontent.com/JasonLinjc/EPInformer/3f96c43a0a5e8f7725d580d16d536268fe85b4a5/"
    "trained_models/pretrained_enhancer_encoder/fold_{fold}_best_{cell}_seq2activityLog2_leaveChrOut_combinedRS_"
    "2bins_bs64_H3K27ac_adamW_erisxdl_r0_checkpoint.pt"
)


def _epinformer(cell: str, fold: int, size: int, sha256: str) -> WeightsFile:
    name, url = f"{cell}_fold{fold:02d}", _EPINFORMER_URL.format(cell=cell, fold=fold)
    return WeightsFile("epinformer", name, f"epinformer/{name}.pt", url, sha256, size, "MIT")


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
        "epinformer": (
            _epinformer(
                "GM12878", 11, 3_244_771, "3e8f329d2b9bf20824d85cdffdff9b71b4fb26bfbfbbc5156c20729c30bed6f6"
            ),
            _epinformer(
                "GM12878", 1, 3_244_715, "f45ec77998ce45de827934925b449c16bf9e7115227b3d4ffbe781b884e67eac"
            ),
            _epinformer(
                "GM12878", 2, 3_244_715, "51e34edd0ef814b5f82ff5b5b7d9d6810fd1ed18b1e1bfb294f4db2047fdd307"
            ),
            _epinformer(
                "GM12878", 3, 3_244_715, "38e580181d3ebd4d23c83ff45be7f14c9301a5f0d8178c09b985161ea19b79bd"
            ),
            _epinformer(
                "GM12878", 4, 3_244_715, "5130a9206cd8f53b00e63893a0054da2adacf5d8f060045b3cbd31baf4180615"
            ),
            _epinformer(
                "GM12878", 5, 3_244_715, "5668a1f59cc33c2209670d9b9011615665091cc00d9a0149a8453ff91e682320"
            ),
            _epinformer(
                "GM12878", 6, 3_244_715, "e61fb6ba66e4b381cd866f646c38cd1204a9dd66073ebfe11c107a9268755720"
            ),
            _epinformer(
                "GM12878", 7, 3_244_715, "a63a42abe5e9a8d32d15cc9f319e3df05e42130df0581aa6fdadf1889feeb6ac"
            ),
            _epinformer(
                "GM12878", 8, 3_244_715, "c84d972791e1b371dd0f5651758ca99724b90569bf98a10c176bb6138ce863c4"
            ),
            _epinformer(
                "GM12878", 9, 3_244_715, "f63ffdd012ee694c13f01e5b7d9a4bec26be86db4f9c8da38ecbc33fbcadbfec"
            ),
            _epinformer(
                "GM12878", 10, 3_244_771, "edbd3c5112961ef26350a7ad99ce8c91737c4da38663b04528fdda251df45565"
            ),
            _epinformer(
                "GM12878", 12, 3_244_771, "989d6fc3299fc192d021cd7e7cfe8a752f10c9a3e59dac1ae64c89a12c915a7a"
            ),
            _epinformer(
                "K562", 11, 3_244_603, "e135f82ad37b745e917135b6eb39beae88b80184d405824ea5591fedd50f7ad1"
            ),
        ),
        "mpra_dragonn": (
            WeightsFile(
                "mpra_dragonn",
                "conv",
                "mpra_dragonn/conv.hdf5",
                "https://raw.githubusercontent.com/kundajelab/mpra_minimal/"
                "2799ed87821130fc537836651d37e45a3247382d/kipoi/ConvModel/pretrained.hdf5",
                "27eb5aee40317b012a17a6a409f545825292eb1787c2ad506d6d37b97990f006",
                1_390_888,
                "MIT",
            ),
        ),
        "framepool": (
            WeightsFile(
                "framepool",
                "combined_residual",
                "framepool/combined_residual.h5",
                "https://raw.githubusercontent.com/Karollus/5UTR/"
                "c575f9cdca0cac1ffa88eb18e4435fdfbc674b08/Models/utr_model_combined_residual.h5",
                "f009163ecb33e64f7a40db4f8da474317a1481003fdbacda95205736d956ad3b",
                3_459_120,
                "MIT",
            ),
        ),
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


PYTHON_ONLY: Final = {"framepool": "hapsight.models.framepool.load()"}
"""Models that read no window about a TSS, so no configuration can name them -> how Python loads them."""

ALPHAGENOME: Final = ("all_folds", "fold_0", "fold_1", "fold_2", "fold_3")
"""AlphaGenome's published weights, which users fetch themselves."""


def alphagenome_file(weights: str) -> Path:
    """Where AlphaGenome's published weights of this name are looked for."""
    return cache_folder() / "alphagenome" / f"alphagenome_{weights}.safetensors"


def alphagenome_command(folder: Path, weights: str = ALPHAGENOME[0]) -> str:
    """How a user gets AlphaGenome's weights into a folder, as an error says it."""
    return (
        "if deepmind.google.com/science/alphagenome/model-terms suit you (not for commercial use), run "
        f"`alphagenome-pt download --local-dir {in_shell(folder)} --fold {weights}`, which comes with "
        "`pip install 'hapsight[alphagenome]'`"
    )


def published_weights(model: str, name: str | None = None) -> tuple[WeightsFile, ...]:
    """List the published weights of a model: all, or those of one name.

    Raises
    ------
    ConfigError
        No such model or weights; lists what there is.
    """
    if model == "alphagenome":
        raise ConfigError(
            "AlphaGenome's weights have terms of their own; hapsight does not download them.",
            fix=alphagenome_command(alphagenome_file(ALPHAGENOME[0]).parent, name or ALPHAGENOME[0]),
        )
    if model in _NOTHING_TO_FETCH:
        raise ConfigError(f"There is nothing to fetch for {model!r}: {_NOTHING_TO_FETCH[model]}.")
    if model not in WEIGHTS:
        close = difflib.get_close_matches(model, WEIGHTS, n=1)
        raise ConfigError(
            f"hapsight knows no published weights of a model {model!r}.",
            expected=", ".join(WEIGHTS),
            fix=f"{f'did you mean {close[0]!r}? ' if close else ''}"
            "`hapsight models` lists the models; for your own give a path as `weights` under [[models]]",
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
    return f"run `{first.command}`, or download {first.url} by hand to {place}"


def in_short(model: str) -> str:
    """How a user gets a model's weights, in a few words; empty of a model that is not hapsight's."""
    if model == "alphagenome":
        return "by alphagenome-pt: docs/alphagenome.md"
    if model in WEIGHTS:
        python = " (for Python: docs/small_models.md)" if model in PYTHON_ONLY else ""
        return WEIGHTS[model][0].command + python
    return _NOTHING_TO_FETCH.get(model, "")


def chosen_weights(model: str, title: str, weights: str) -> tuple[Path, str]:
    """The file of the weights of a model, given by published name or by path; and what to call it.

    Parameters
    ----------
    title
        The model's name as people write it.

    Raises
    ------
    WeightsError
        The file is missing, or is not the published one.
    ConfigError
        An unknown name of weights.
    """
    known = {file.name: file for file in WEIGHTS[model]}
    if weights in known:
        path = locate(known[weights])
        verify(path, str(known[weights].sha256))
        return path, weights
    path = Path(weights).expanduser()
    if path.is_file():
        return path, path.stem
    suffixes = [*dict.fromkeys(Path(file.filename).suffix for file in known.values()), ".safetensors"]
    if path.suffix in {*suffixes, ".h5", ".hdf5"}:
        raise WeightsError("There is no file of weights at this path.", where=path)
    close = difflib.get_close_matches(weights, known, n=1)
    raise ConfigError(
        f"{title} has no weights {weights!r}.",
        expected=f"{', '.join(known)}, or the path of an {' or '.join(suffixes)} file",
        fix=f"did you mean {close[0]!r}?" if close else None,
    )
