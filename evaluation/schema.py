"""What the configurations of this package hold; the comments in ``conf`` say what the keys mean.

Numbers of images and of architectures have no upper limits here: what reads them knows how many there are.
"""

from typing import Annotated, Any, Literal

import torch
from pydantic import AfterValidator, Field

from agnet.runtime.schema import Count, FilePath, OutFolder, Schema, Section, Seed, TablePath, Text, writable_file
from agnet.runtime.sections import Builds


def _present(device: str) -> str:
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("no CUDA device found; give device=cpu")
    return device


def _distinct(seeds: list[int]) -> list[int]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("give every seed once")
    return seeds


def _share(share: tuple[int, int]) -> tuple[int, int]:
    if share[0] > share[1]:
        raise ValueError(f"there is no share {share[0]} of {share[1]}; give [k,n], the k-th of n shares, from 1")
    return share


_ATTACK = Builds("evaluation.attacks.base.AbstractAttack", "attack", each=True)
_IMAGES = Builds("evaluation.data.images.ImageSplits", "set of images")
Attacks = Annotated[
    dict[str, Section], Field(min_length=1, description="at least one attack, e.g. attack=[fgsm,pgd]"), _ATTACK
]
Measures = Annotated[
    dict[str, Section],
    Field(min_length=1, description="at least one measure, e.g. measure@measures=[ntk]"),
    Builds("evaluation.training_free.measure.Measure", "measure", each=True),
]
Images = Annotated[Section, _IMAGES]
Adversary = Annotated[
    Section | None,
    Builds("evaluation.training.adversarial.AbstractAdversary", "method of adversarial training", optional=True),
]
Space = Annotated[Section, Builds("agnet.spaces.base.AbstractSpace", "space")]
Executor = Annotated[Section, Builds("agnet.runtime.executors.AbstractExecutor", "executor")]
Corruptions = Annotated[list[Text], Field(min_length=1, description="a list of names, e.g. [fog,snow]")]
Drawing = Annotated[
    str,
    Field(pattern=r"[^/]\.(png|pdf|svg)$", description="a file that ends in .png, .pdf or .svg"),
    AfterValidator(writable_file),
]
Counts = Annotated[dict[str, Any], Field(description="attacks, each with a number of images, e.g. {square: 100}")]
Seeds = Annotated[
    list[Seed],
    Field(min_length=1, description="a list of whole numbers from 0, e.g. [0,1,2]"),
    AfterValidator(_distinct),
]
Share = Annotated[
    tuple[Count, Count], AfterValidator(_share), Field(description="[k,n], the k-th of n shares, counted from 1")
]


Device = Annotated[Literal["cpu", "cuda"], AfterValidator(_present)]


class _OnDevice(Schema):
    data_root: FilePath
    device: Device
    out: OutFolder


class AttackConfig(_OnDevice):
    """``conf/attack.yaml``."""

    model: Text | None
    trust: bool | list[Text]
    images: FilePath | None
    dataset: Annotated[Section | None, _IMAGES] = None
    attack: Attacks
    num_images: Count | None
    mode: Text | None
    precision: Text | None
    seed: Seed | None
    batch_size: Count | None
    units: FilePath | None
    num_architectures: Count | None
    draw_seed: Seed | None
    attack_images: Counts | None
    calibration: bool
    transfer: bool
    executor: Executor
    retry: bool
    progress: bool
    table: TablePath | None


class CorruptConfig(_OnDevice):
    """``conf/corrupt.yaml``."""

    dataset: Images
    corruptions: Corruptions | None
    frost: FilePath | None
    num_images: Count | None
    seed: Seed


class DrawConfig(Schema):
    """``conf/draw.yaml``."""

    architecture: Text
    out: Drawing


class ExportConfig(Schema):
    """``conf/export.yaml``."""

    details: FilePath
    out: OutFolder
    split: Text
    seed: Seed | None
    force: bool
    progress: bool


class MeasureConfig(Schema):
    """``conf/measure.yaml``."""

    space: Space
    measures: Measures
    dataset: Images
    network: Annotated[Section, Builds("collections.abc.Callable", "function of a cell and a shape")]
    num_architectures: Count | None
    seed: Seed
    repeats: Count
    progress: bool
    data_root: FilePath
    table: TablePath


class ReportConfig(Schema):
    """``conf/report.yaml``."""

    table: FilePath
    tables: list[FilePath]
    datasets: Annotated[list[Text] | None, Field(min_length=1)]
    split: Text | None
    against: FilePath | None
    columns: Annotated[list[Text] | None, Field(min_length=1)]
    against_columns: Annotated[list[Text] | None, Field(min_length=1)]
    top: Count
    out: OutFolder


class _Network(Schema):
    channels: Count
    cells_per_stage: Count


class _Recipe(Schema, extra="allow"):  # its other keys are arguments
    epochs: Count
    batch_size: Count
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False, description="a number above 0")]


class _Corruption(Schema):
    names: Literal["all"] | list[Text]
    num_images: Count | None
    splits: list[Text]
    seed: Seed
    frost: FilePath | None
    path: FilePath | None


class _Sensitivity(Schema):
    num_images: Annotated[int, Field(ge=0)]
    projections: Count | None


class ProtocolConfig(Schema):
    """``conf/protocol``; :class:`~evaluation.production.protocol.Protocol` checks how the values go together."""

    dataset: Images
    recipe: Annotated[_Recipe, Builds("evaluation.training.sgd.Recipe", "recipe for tables")]
    adversarial: Adversary = None
    attack: Annotated[dict[str, Section] | None, _ATTACK] = None
    name: Text | None
    network: _Network
    attack_images: Counts | None
    corruption: _Corruption
    sensitivity: _Sensitivity
    group_size: Count
    group_seed: Seed | None = None
    mode: Text
    precision: Text
    calibration: bool = False


class LiveConfig(Schema):
    """``conf/objective/live.yaml``, without the protocol and the columns."""

    store: OutFolder
    seeds: Seeds
    device: Device


class RunConfig(ProtocolConfig, _OnDevice):
    """``conf/run.yaml``."""

    space: Annotated[
        Section,
        Builds("agnet.spaces.nasbench201.NASBench201", "space that it trains (nasbench201 is one)"),
    ]
    executor: Executor
    seeds: Seeds
    num_architectures: Count | None
    draw_seed: Seed | None
    extend: FilePath | None
    retime: bool
    share: Share | None
    retry: bool
    keep_weights: bool
    progress: bool
    table: TablePath | None


class TrainNetworkConfig(_OnDevice):
    """``conf/train_network.yaml``; some streams do without a data set."""

    dataset: Annotated[Section | None, _IMAGES] = None
    stream: Annotated[Section, Builds("evaluation.training.streams.AbstractStream", "stream")]
    network: Annotated[Section, Builds("evaluation.networks.darts.network.DARTSShape", "network of DARTS cells")]
    recipe: Annotated[Section, Builds("evaluation.training.final_recipe.FinalRecipe", "recipe of a final network")]
    adversarial: Adversary = None
    architecture: Text
    seed: Seed
    save_every: Count | None
    evaluate_every: Count
    progress: bool
