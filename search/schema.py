"""What the configurations of this package hold; the comments in ``conf`` say what the keys mean."""

from typing import Annotated, Any

from pydantic import Field

from agnet.runtime.schema import Count, FilePath, Schema, Section, Seed, TablePath, Text

_Finite = Annotated[float, Field(allow_inf_nan=False)]


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
    under: Annotated[
        dict[str, list[_Finite]] | None,
        Field(description="columns, each with a list of numbers, e.g. {latency_ms: [2, 4]}, or null"),
    ]
    run_dir: FilePath | None
    force: bool
    threads: Count
    progress: bool
    plot: bool
    save_every: Annotated[_Finite, Field(ge=0, description="a number of seconds from 0")]
    data_root: FilePath


class CompareConfig(SearchConfig):
    """``conf/compare.yaml``; :func:`search.comparison.plan.make_plan` reads optimizers, problems and ``only``."""

    executor: Section
    optimizers: Any
    problems: Any
    only: Any
    seeds: Count
    first_seed: Seed
    at: Annotated[
        list[Count] | None,
        Field(min_length=1, description="a list of numbers of queries, e.g. [96,192], or null for the budget"),
    ]
    baseline: Text | None
    show: list[Text] | None
    brief: bool
    into: FilePath | None
    mark: Text | None
    out: FilePath


class PretrainConfig(Schema):
    """``conf/pretrain.yaml``."""

    class Generator(Schema):
        """Sizes of the network."""

        state: Count
        latent_size: Count
        layers: Count

    space: Section
    pairing: Section
    generator: Generator
    schedule: Section
    draws: Count
    seed: Seed
    threads: Count
    progress: bool
    out: FilePath


class ProposeConfig(Schema):
    """``conf/propose.yaml``."""

    run_dir: FilePath
    want: Annotated[
        dict[str, Any] | None, Field(description="columns, each with its bounds, e.g. {latency_ms: {max: 4}}, or null")
    ]
    n: Count
    out: Annotated[str, Field(pattern=r"\.csv$", description="a .csv file or null")] | None
    seed: Seed


class ImportTableConfig(Schema):
    """``conf/import_table.yaml``."""

    importer: Section
    path: FilePath
    out: TablePath
    progress: bool
