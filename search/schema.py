"""What the configurations of this package hold; the comments in ``conf`` say what the keys mean."""

from typing import Annotated, Any

from pydantic import Field

from agnet.runtime.schema import Count, FilePath, Schema, Section, Seed, TablePath, Text

Finite = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[Finite, Field(ge=0, description="a number of seconds from 0")]
Bounds = Annotated[
    dict[str, list[Finite]], Field(description="columns, each with a list of numbers, e.g. {latency_ms: [2, 4]}")
]
Wishes = Annotated[dict[str, Any], Field(description="columns, each with its bounds, e.g. {latency_ms: {max: 4}}")]
Queries = Annotated[list[Count], Field(min_length=1, description="a list of numbers of queries, e.g. [96,192]")]
CSVPath = Annotated[str, Field(pattern=r"\.csv$", description="a .csv file")]


class SearchConfig(Schema):
    """``conf/search.yaml``."""

    space: Section
    optimizer: Section
    objective: Section
    logger: Section
    seed: Seed
    budget: Count
    initial: Count
    batch: Count
    under: Bounds | None
    run_dir: FilePath | None
    force: bool
    threads: Count
    progress: bool
    plot: bool
    save_every: Seconds
    data_root: FilePath


class CompareConfig(SearchConfig):
    """``conf/compare.yaml``; :func:`search.comparison.plan.make_plan` reads optimizers, problems and ``only``."""

    executor: Section
    optimizers: Any
    problems: Any
    only: Any
    seeds: Count
    first_seed: Seed
    at: Queries | None
    baseline: Text | None
    show: list[Text] | None
    brief: bool
    into: FilePath | None
    mark: Text | None
    out: FilePath


class _Generator(Schema):
    state: Count
    latent_size: Count
    layers: Count


class PretrainConfig(Schema):
    """``conf/pretrain.yaml``."""

    space: Section
    pairing: Section
    generator: _Generator
    schedule: Section
    draws: Count
    seed: Seed
    threads: Count
    progress: bool
    out: FilePath


class ProposeConfig(Schema):
    """``conf/propose.yaml``."""

    run_dir: FilePath
    want: Wishes | None
    n: Count
    out: CSVPath | None
    seed: Seed
    trust: list[Text]


class ImportTableConfig(Schema):
    """``conf/import_table.yaml``."""

    importer: Section
    path: FilePath
    out: TablePath
    progress: bool
