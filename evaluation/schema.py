"""What the configurations of this package hold; the comments in ``conf`` say what the keys mean.

Numbers of images and of architectures have no upper limits here: what reads them knows how many there are.
"""

from typing import Annotated, Any, Literal

import torch
from pydantic import AfterValidator, ConfigDict, Field

from agnet.runtime.schema import Count, FilePath, Schema, Section, Seed, TablePath, Text


def _present(device: str) -> str:
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("no CUDA device found; give device=cpu")
    return device


def _share(share: tuple[int, int]) -> tuple[int, int]:
    if share[0] > share[1]:
        raise ValueError(f"there is no share {share[0]} of {share[1]}; give [k,n], the k-th of n shares, from 1")
    return share


Device = Annotated[Literal["cpu", "cuda"], AfterValidator(_present)]
Attacks = Annotated[dict[str, Section], Field(min_length=1, description="at least one attack, e.g. attack=[fgsm,pgd]")]


class AttackConfig(Schema):
    """``conf/attack.yaml``."""

    model: Text
    images: FilePath | None
    dataset: Section | None = None
    attack: Attacks
    data_root: FilePath
    num_images: int | None
    mode: Text
    precision: Text
    seed: Seed
    batch_size: Count | None
    device: Device
    out: FilePath


class CorruptConfig(Schema):
    """``conf/corrupt.yaml``."""

    dataset: Section
    data_root: FilePath
    corruptions: Annotated[
        list[Text] | None, Field(min_length=1, description="a list of names, e.g. [fog,snow], or null for all")
    ]
    frost: FilePath | None
    num_images: int | None
    seed: Seed
    device: Device
    out: FilePath


class DrawConfig(Schema):
    """``conf/draw.yaml``."""

    architecture: Text
    out: Annotated[
        str,
        Field(pattern=r"\.(png|pdf|svg)$", description="a file that ends in .png, .pdf or .svg"),
    ]


class ExportConfig(Schema):
    """``conf/export.yaml``."""

    details: FilePath
    out: FilePath
    split: Text
    seed: Seed | None
    force: bool
    progress: bool


class MeasureConfig(Schema):
    """``conf/measure.yaml``."""

    space: Section
    measures: Annotated[
        dict[str, Section], Field(min_length=1, description="at least one measure, e.g. measure@measures=[ntk]")
    ]
    dataset: Section
    network: Section
    num_architectures: int | None
    seed: Seed
    repeats: Count
    progress: bool
    data_root: FilePath
    table: TablePath


class ReportConfig(Schema):
    """``conf/report.yaml``."""

    table: FilePath
    tables: list[FilePath]
    datasets: list[Text] | None
    split: Text | None
    out: FilePath


class ProtocolConfig(Schema):
    """``conf/protocol``; :class:`evaluation.production.Protocol` checks how the values go together."""

    class Network(Schema):
        """Sizes of every network."""

        channels: Count
        cells_per_stage: Count

    class Recipe(Schema):
        """Built by its ``_target_``, which accepts 0 epochs: a table of untrained networks is a mistake."""

        model_config = ConfigDict(extra="allow")

        epochs: Count

    class Corruption(Schema):
        """Corrupted images."""

        names: Literal["all"] | list[Text]
        num_images: Count | None
        splits: list[Text]
        seed: Seed
        frost: FilePath | None
        path: FilePath | None

    class Sensitivity(Schema):
        """Sensitivities of the networks."""

        num_images: Annotated[int, Field(ge=0)]
        projections: Count | None

    dataset: Section
    recipe: Recipe
    attack: dict[str, Section] | None = None
    name: Text | None
    network: Network
    attack_images: Annotated[
        dict[str, Any] | None, Field(description="attacks, each with a number of images, e.g. {square: 100}, or null")
    ]
    corruption: Corruption
    sensitivity: Sensitivity
    group_size: Count
    mode: Text
    precision: Text


class RunConfig(ProtocolConfig):
    """``conf/run.yaml``."""

    space: Section
    executor: Section
    seeds: Annotated[list[Seed], Field(min_length=1, description="a list of whole numbers from 0, e.g. [0,1,2]")]
    num_architectures: int | None
    draw_seed: Seed | None
    extend: FilePath | None
    retime: bool
    share: Annotated[
        Annotated[tuple[Count, Count], AfterValidator(_share)] | None,
        Field(description="[k,n], the k-th of n shares, counted from 1, or null"),
    ]
    retry: bool
    progress: bool
    data_root: FilePath
    device: Device
    out: FilePath
    table: TablePath | None


class TrainNetworkConfig(Schema):
    """``conf/train_network.yaml``; some streams do without a data set."""

    dataset: Section | None = None
    stream: Section
    network: Section
    recipe: Section
    architecture: Text
    seed: Seed
    save_every: Count | None
    evaluate_every: Count
    progress: bool
    data_root: FilePath
    device: Device
    out: FilePath
