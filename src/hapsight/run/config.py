"""The one configuration file: TOML, checked when it is read, unknown keys refused."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import tomli_w
from pydantic import BaseModel, Field, ValidationError, model_validator

from hapsight.cohort.matching import gene_names, region_of
from hapsight.errors import AS_TOML, ConfigError, at_line
from hapsight.models.catalogue import PROTOCOL_OPTIONS, PROTOCOL_READ_OUTS, EffectsKeys
from hapsight.models.own import PREFIX
from hapsight.run.sections import (
    BaselineConfig,
    ClusterConfig,
    EqtlConfig,
    EvaluateConfig,
    EvidenceEffectsConfig,
    EvidenceTrackConfig,
    ExpressionConfig,
    GeneCovariatesConfig,
    ImportedConfig,
    InformedConfig,
    PriorEffectsConfig,
    PriorsConfig,
    ReportConfig,
    Section,
    TrainArmConfig,
    TrainConfig,
    is_address,
    section_at,
)
from hapsight.stats.protocols import PROTOCOLS

__all__ = [
    "BaselineConfig",
    "ClusterConfig",
    "CohortConfig",
    "Config",
    "EqtlConfig",
    "EvaluateConfig",
    "EvidenceEffectsConfig",
    "EvidenceTrackConfig",
    "ExplainConfig",
    "ExpressionConfig",
    "GeneCovariatesConfig",
    "ImportedConfig",
    "InformedConfig",
    "ModelConfig",
    "PredictConfig",
    "PriorEffectsConfig",
    "PriorsConfig",
    "ReportConfig",
    "TrainArmConfig",
    "TrainConfig",
    "choose",
    "config_part",
    "load_config",
    "to_toml",
]

_Part = TypeVar("_Part", bound=BaseModel)


class CohortConfig(Section):
    """The cohort's files (relative paths start at the configuration file) and what to do with their flaws."""

    genotypes: Path | Annotated[tuple[Path, ...], Field(min_length=1)] = Field(
        description="phased VCF or BCF, indexed, or PGEN: a file, a list, or a name with {chrom} in it"
    )
    reference: Path = Field(description="FASTA of the same build, indexed (bgzipped or plain)")
    expression: Path = Field(
        description="phenotype BED, plain, gzipped or Parquet; rows are TSSs, or have a strand"
    )
    phenotype: Literal["genes", "peaks"] = Field(
        "genes", description="what these rows are: genes, read at the TSS, or peaks, read at their centre"
    )
    genes: Path | None = Field(None, description="TSS and strand: GTF, BED6 or TSV; else the phenotype BED's")
    covariates: Path | None = Field(
        None, description="covariates x people, or people x covariates, such as an .eigenvec"
    )
    samples: Path | None = Field(
        None, description="sample sheet: sample_id, population, super_population, sex"
    )
    keep_genes: tuple[str, ...] = Field(
        (), description="only these genes, by identifier or name, or files of such; all where empty"
    )
    regions: tuple[str, ...] = Field(
        (), description="only genes whose TSS lies in one of these: contig:first-last, from 1, or a contig"
    )
    populations: tuple[str, ...] = Field((), description="only people of these, as the sample sheet has them")
    genotype_pcs: Annotated[int, Field(ge=0, le=100)] = Field(
        0, description="covariates beside the file's: principal components of common, thinned variants"
    )
    variants: Literal["all", "snv"] = Field("all", description="which variants go into personal sequences")
    min_maf: Annotated[float, Field(ge=0, lt=0.5)] = Field(0.0, description="frequency floor for sequences")
    missing: Literal["error", "reference", "drop"] = Field("error", description="missing genotypes")
    unphased: Literal["error", "drop"] = Field("error", description="unphased heterozygotes")
    ref_mismatch: Literal["error", "drop"] = Field("error", description="REF that differs from the FASTA")
    duplicates: Literal["error", "first"] = Field("error", description="records of one position, REF and ALT")
    ploidy_conflict: Literal["error", "missing", "drop"] = Field(
        "error", description="calls that a sex rules out, such as a man heterozygous on chrX outside the PARs"
    )
    chrx_dosage: Literal[1, 2] = Field(
        2, description="a man's ALT on chrX in linear methods, as the modes of plink2 --xchr-model"
    )
    par: tuple[tuple[Annotated[int, Field(ge=1)], int], ...] | None = Field(
        None,
        description="pseudo-autosomal regions of chrX, [first, last] from 1; else those of GRCh37 or GRCh38, "
        "whichever chrX is as long",
    )

    @model_validator(mode="after")
    def _regions_and_peaks(self) -> CohortConfig:
        """Regions end where they start, or later; peaks are where the phenotype BED says, and have no TSS."""
        if self.phenotype == "peaks" and self.genes is not None:
            raise ValueError('genes gives TSSs, and phenotype = "peaks" has none: leave one of both out')
        for first, last in self.par or ():
            if last < first:
                raise ValueError(f"par must be [first, last] with first <= last, got [{first}, {last}]")
        for text in self.regions:
            try:
                region_of(text)
            except ConfigError as error:
                raise ValueError(f"{error.what} Expected {error.details['expected']}") from None
        return self


class ModelConfig(EffectsKeys):
    """A model to run, or a table of variant effects that stands for one."""

    name: str = Field(
        description='as in `hapsight models`; file:PATH, a Python file, which is run; or "effects"'
    )
    label: str | None = Field(None, description="what tables call it; else its name and weights")
    weights: str | None = Field(None, description="a named set of weights, or a file")
    read_out: str | None = Field(
        None, description="a named read-out; else the model's default, or in training the one it has for that"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="options of this model")

    @model_validator(mode="after")
    def _of_one_kind(self) -> ModelConfig:
        """A table has none of a network's keys, and a network none of a table's."""
        if fault := self.fault(self.name, bool(self.weights or self.read_out or self.options)):
            raise ValueError(fault)
        return self


USUAL_BUDGET = 2 * 2**30
"""Bytes of memory that is used for sequences and embeddings unless the configuration says more."""


class PredictConfig(Section):
    """How models are run."""

    device: str = Field("auto", description="auto, cpu, cuda or mps")
    batch_size: Annotated[int, Field(ge=1)] = Field(
        64, description="sequences in a batch; fewer of windows over 16 kb"
    )
    genes_per_unit: Annotated[int, Field(ge=1)] | None = Field(
        None, description="genes that are saved together; else as many as make units of about equal work"
    )
    precision: Literal["float32", "float16x3", "tf32", "bfloat16"] = Field(
        "float32",
        description="arithmetic of products; float16x3 is as exact as float32 and the fastest such on a GPU; "
        "tf32 and bfloat16 lose small differences between people. All but float32 are tried on some genes "
        "first",
    )
    allow_imprecise: bool = Field(
        False,
        description="run in an arithmetic that loses differences between people; the report then says so",
    )
    compiled: bool = Field(False, description="torch.compile what reads an embedding; for GPUs")
    budget_gb: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="memory for sequences, embeddings and a batch, in GiB, of the GPU where there is one; "
        "what does not fit lies in a file; where not given 2, or up to half of what a GPU has free",
    )
    workers: Annotated[int, Field(ge=1)] = Field(
        1, description="processes that run models, each with a copy of the model; 1: no other than this one"
    )

    @property
    def budget(self) -> int | None:
        """`budget_gb` in bytes."""
        return None if self.budget_gb is None else int(self.budget_gb * 2**30)


class ExplainConfig(Section):
    """In-silico mutagenesis of the variants in the models' windows."""

    run: bool = Field(False, description="whether `hapsight run` does it")
    genes: tuple[str, ...] = Field((), description="only these genes, by identifier or name; all where empty")
    min_abs_r: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="only genes whose prediction has at least this abs(R) across people"
    )
    backgrounds: Annotated[int, Field(ge=0)] | None = Field(
        None, description="distinct haplotypes to toggle variants in, the commonest first; else all"
    )
    saturation: tuple[int, int] | None = Field(
        None,
        description="every base at these places: [first, last) from the TSS or driver, downstream positive",
    )
    saturation_around: Literal["tss", "driver"] = Field(
        "tss", description="what `saturation` is counted from; main drivers are those of `hapsight drivers`"
    )
    gradients: bool = Field(False, description="gradients of every base of the window, for each gene")
    tracks: Literal["none", "bedgraph", "bigwig"] = Field(
        "none", description="saturation, and gradient times input, of each gene as files for genome browsers"
    )
    motifs: bool | None = Field(
        None, description="look for JASPAR's motifs at drivers; else where the extra `motifs` is installed"
    )
    conservation: Path | None = Field(
        None, description="bigWig of conservation, such as phyloP, for the reliability of a sign"
    )
    sign_priors: Path | None = Field(
        None, description="table of variants and scores, above 0 where ALT should raise a gene's expression"
    )
    genes_per_unit: Annotated[int, Field(ge=1)] | None = Field(
        None, description="genes that are saved together; else as many as make units of about equal work"
    )

    @model_validator(mode="after")
    def _not_empty(self) -> ExplainConfig:
        """A stretch has a length, and tracks have something to show."""
        if self.saturation is not None and self.saturation[0] >= self.saturation[1]:
            raise ValueError(f"saturation must be [first, last) with first < last, got {self.saturation}")
        if self.saturation_around == "driver" and self.saturation is None:
            raise ValueError("saturation_around = 'driver' says where the saturation is, which is not set")
        if self.tracks != "none" and self.saturation is None and not self.gradients:
            raise ValueError(f"tracks = {self.tracks!r} shows the saturation, which is not set, or gradients")
        return self


class Config(Section):
    """A run of hapsight."""

    name: str = Field(description="the cohort's name, for titles")
    output: Path = Field(description="folder of the run")
    share_output: bool = Field(
        False, description="make a new `output` with the access of the umask; else for its owner only"
    )
    protocol: Literal["default", "huang2023", "sasse2023"] = Field(
        "default", description="a study's choices, see the README"
    )
    seed: int = Field(1, description="of folds and nulls")
    workers: Annotated[int, Field(ge=0)] = Field(0, description="processes for the baseline; 0: one per core")
    cohort: CohortConfig
    expression: ExpressionConfig = ExpressionConfig()
    models: tuple[ModelConfig, ...] = ()
    predict: PredictConfig = PredictConfig()
    baseline: BaselineConfig = BaselineConfig()
    informed: InformedConfig = InformedConfig()
    priors: PriorsConfig = PriorsConfig()
    eqtl: EqtlConfig = EqtlConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    explain: ExplainConfig = ExplainConfig()
    report: ReportConfig = ReportConfig()
    cluster: ClusterConfig = ClusterConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="before")
    @classmethod
    def _apply_protocol(cls, data: Any) -> Any:
        """Fill in what the protocol fixes; a contradiction is an error: its name goes with the numbers."""
        protocol = PROTOCOLS.get(str(data.get("protocol"))) if isinstance(data, dict) else None
        if protocol is None:
            return data
        fixed = dict(data)
        if protocol.variants and isinstance(data.get("cohort"), dict):
            fixed["cohort"] = _fix(data["cohort"], {"variants": protocol.variants}, "cohort", protocol.name)
        models = data.get("models", ())
        if isinstance(models, list | tuple):
            fixed["models"] = tuple(_fix_model(model, protocol.name) for model in models)
        return fixed


def _fix_model(model: Any, protocol: str) -> Any:
    """A model as the study ran it, where it did."""
    if not isinstance(model, dict):
        return model
    name = str(model.get("name"))
    read_out = PROTOCOL_READ_OUTS.get(name, {}).get(protocol)
    if read_out is not None:
        model = _fix(model, {"read_out": read_out}, "models", protocol)
    fixed = PROTOCOL_OPTIONS.get(name, {}).get(protocol)
    if fixed is None:
        return model
    options = {key: value for key, value in fixed.items() if key != "weights" and value is not None}
    given = _fix(model, {"weights": fixed["weights"]}, "models", protocol)
    return {**given, "options": _fix(model.get("options", {}), options, "models.options", protocol)}


def _fix(given: Any, fixed: dict[str, Any], where: str, protocol: str) -> Any:
    if not isinstance(given, dict):  # the checks that follow say so
        return given
    for key, value in fixed.items():
        if given.get(key, value) != value:
            raise ValueError(f"protocol {protocol} has {where}.{key} = {value!r}, not {given[key]!r}")
    return {**given, **fixed}


_WRITES_ONE: Final = "check the path; `hapsight init FOLDER` writes a configuration for the files in a folder"
_ALL_KEYS: Final = "`hapsight schema` prints every key and what it takes"


def load_config(path: Path) -> Config:
    """Read and check a configuration; paths in it are made absolute, from its own folder.

    Raises
    ------
    ConfigError
        The file is not there, not TOML, or has a key or value that hapsight does not know.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        data = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError("There is no such configuration file.", where=path, fix=_WRITES_ONE) from None
    except IsADirectoryError:
        given = path / "config.toml"
        fix = f"give its configuration, {given}" if given.is_file() else _WRITES_ONE
        raise ConfigError("The configuration cannot be read: it is a folder.", where=path, fix=fix) from None
    except OSError as error:
        raise ConfigError("The configuration cannot be read.", where=path, got=error) from None
    except UnicodeDecodeError as error:
        fix = "save the file as text in UTF-8"
        raise ConfigError("The configuration is no text in UTF-8.", where=path, got=error, fix=fix) from None
    except (ValueError, RecursionError) as error:  # what tomllib raises, its own error included
        said = at_line(error, text)
        raise ConfigError("The configuration is not TOML.", where=path, got=said, fix=AS_TOML) from None
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(*_first_complaints(error), where=path, fix=_ALL_KEYS) from None
    return _absolute(config, path.resolve().parent)


def choose(
    config: Config,
    genes: Sequence[str] | None = None,
    regions: Sequence[str] | None = None,
    populations: Sequence[str] | None = None,
) -> Config:
    """The configuration for other genes and people; what is None stays. Files of genes start here.

    Raises
    ------
    ConfigError
        A region is not understood, or a list of genes is not there or empty.
    InputError
        A list of genes is no text.
    """
    changes: dict[str, tuple[str, ...]] = {}
    if genes is not None:
        changes["keep_genes"] = gene_names(genes, Path())
    if regions is not None:
        changes["regions"] = tuple(region.strip() for region in regions)
    if populations is not None:
        changes["populations"] = tuple(name.strip() for text in populations for name in text.split(","))
    for region in changes.get("regions", ()):
        region_of(region)
    return config.model_copy(update={"cohort": config.cohort.model_copy(update=changes)})


def config_part(kind: Callable[..., _Part], **values: Any) -> _Part:
    """A part of the configuration.

    Raises
    ------
    ConfigError
        An unknown key or value, in the words of the configuration.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        raise ConfigError(*_first_complaints(error, kind)) from None


def _first_complaints(error: ValidationError, whole: object = None) -> tuple[str]:
    """What is wrong with a configuration, or another `whole`, as the first argument of a `ConfigError`."""
    lines = []
    errors = error.errors(include_url=False)
    for found in errors:
        inner = [other["loc"][: len(found["loc"])] for other in errors if other["loc"] != found["loc"]]
        if found["type"] == "too_short" and found["loc"] in inner:
            continue  # pydantic counts what is left of a list without its wrong entries
        key = ".".join(str(part) for part in found["loc"]) or "configuration"
        text = found["msg"].removeprefix("Value error, ")
        if found["type"] == "extra_forbidden":
            section = section_at(whole or Config, found["loc"][:-1])
            text = "unknown key" + _did_you_mean(str(found["loc"][-1]), section)
        elif found["type"] == "tuple_type" and isinstance(one := found["input"], dict | str):
            text = (
                f"is there several times: write [[{key}]]" if isinstance(one, dict) else f'a list: ["{one}"]'
            )
        elif found["type"] != "missing" and found["loc"]:
            text += f", got {found['input']!r}"
        lines.append(f"  {key}: {text}")
    return ("\n".join(["The configuration is not valid.", *lines]),)


def _did_you_mean(key: str, section: type[BaseModel] | None) -> str:
    """The key of the section that is nearly called so, or the sections that have this key."""
    if section is not None and (close := difflib.get_close_matches(key, section.model_fields, 1)):
        return f"; did you mean {close[0]!r}?"
    parts = {name: section_at(field.annotation, ()) for name, field in Config.model_fields.items()}
    having = [f"[{name}]" for name, part in parts.items() if part is not None and key in part.model_fields]
    if key in parts:
        return f"; {key!r} stands above all sections"
    return f"; there is one in {', '.join(having)}" if having else ""


def _absolute(config: Config, folder: Path) -> Config:
    cohort: dict[str, Any] = {
        name: folder / value for name, value in config.cohort if isinstance(value, Path)
    }
    cohort["keep_genes"] = gene_names(config.cohort.keep_genes, folder)
    if isinstance(config.cohort.genotypes, tuple):
        cohort["genotypes"] = tuple(folder / path for path in config.cohort.genotypes)
    models = tuple(
        model.model_copy(
            update={
                "name": _absolute_file(model.name, folder),
                "weights": _absolute_weights(model.weights, folder),
                "table": None if model.table is None else folder / model.table,
                "options": {name: _absolute_option(value, folder) for name, value in model.options.items()},
            }
        )
        for model in config.models
    )
    imported = tuple(
        weights.model_copy(update={"path": folder / weights.path}) for weights in config.baseline.imported
    )
    explain = {name: folder / value for name, value in config.explain if isinstance(value, Path)}
    return config.model_copy(
        update={
            "explain": config.explain.model_copy(update=explain),
            "output": folder / config.output,
            "cohort": config.cohort.model_copy(update=cohort),
            "models": models,
            "baseline": config.baseline.model_copy(update={"imported": imported}),
            "informed": _absolute_evidence(config.informed, folder),
            "priors": config.priors.from_folder(folder),
            "cluster": _absolute_cluster(config.cluster, folder),
            "train": config.train.from_folder(folder),
        }
    )


def _absolute_cluster(cluster: ClusterConfig, folder: Path) -> ClusterConfig:
    """A scheduler file, from `folder`; an address is left as it is."""
    if cluster.scheduler is None or is_address(cluster.scheduler):
        return cluster
    return cluster.model_copy(update={"scheduler": str(folder / cluster.scheduler)})


def _absolute_evidence(informed: InformedConfig, folder: Path) -> InformedConfig:
    tracks = tuple(
        track.model_copy(update={"paths": tuple(folder / path for path in track.paths)})
        for track in informed.tracks
    )
    effects = tuple(given.model_copy(update={"path": folder / given.path}) for given in informed.effects)
    signed = tuple(given.model_copy(update={"path": folder / given.path}) for given in informed.signed)
    return informed.model_copy(update={"tracks": tracks, "effects": effects, "signed": signed})


def _absolute_file(name: str, folder: Path) -> str:
    """A model's Python file, from `folder`; another name is left as it is."""
    return f"{PREFIX}{folder / name.removeprefix(PREFIX)}" if name.startswith(PREFIX) else name


def _absolute_weights(weights: str | None, folder: Path) -> str | None:
    """Weights given as a file or folder, from `folder`; a name is left as it is."""
    is_path = weights is not None and ("/" in weights or Path(weights).suffix != "")
    return str(folder / str(weights)) if is_path else weights


def _absolute_option(option: object, folder: Path) -> object:
    """A model's option that names a file in `folder`, from there; any other is left as it is."""
    named = isinstance(option, str) and option != "" and (folder / option).is_file()
    return str(folder / str(option)) if named else option


def to_toml(config: Config) -> str:
    """The whole configuration, defaults included, as TOML that `load_config` reads."""
    return tomli_w.dumps(as_toml(config))


def as_toml(config: Config) -> dict[str, Any]:
    """The same before it is text."""
    found: dict[str, Any] = config.model_dump(mode="json", exclude_none=True)
    return found
