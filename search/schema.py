"""What the configurations of this package hold; the comments in ``conf`` say what the keys mean."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from agnet.runtime.schema import (
    Count,
    FilePath,
    OutFolder,
    Schema,
    Section,
    Seed,
    TablePath,
    Text,
    Threads,
    writable_file,
)
from agnet.runtime.sections import Builds


def _file(path: str) -> str:
    if not Path(path).is_file():
        raise ValueError("no such file; name a markdown file that has the two lines")
    return path


Finite = Annotated[float, Field(allow_inf_nan=False)]
Bounded = Annotated[int, Field(ge=1, le=1_000_000)]
"""Number of what is held in memory at once."""
Seconds = Annotated[Finite, Field(ge=0, description="a number of seconds from 0")]
Bounds = Annotated[
    dict[str, Annotated[list[Finite], Field(min_length=1)]],
    Field(description="columns, each with a list of numbers, e.g. {latency_ms: [2, 4]}"),
]
Wishes = Annotated[dict[str, Any], Field(description="columns, each with its bounds, e.g. {latency_ms: {max: 4}}")]
Queries = Annotated[list[Count], Field(min_length=1, description="a list of numbers of queries, e.g. [96,192]")]
Document = Annotated[FilePath, AfterValidator(_file)]
CSVPath = Annotated[str, Field(pattern=r"\.csv$", description="a .csv file"), AfterValidator(writable_file)]
Space = Annotated[Section, Builds("agnet.spaces.base.AbstractSpace", "space")]


class SearchConfig(Schema):
    """``conf/search.yaml``."""

    space: Space
    optimizer: Annotated[Section, Builds("agnet.optimizers.base.AbstractOptimizer", "optimizer")]
    objective: Annotated[Section, Builds("agnet.tables.objective.AbstractObjective", "objective and report")]
    logger: Annotated[Section, Builds("search.loggers.AbstractLogger", "logger")]
    seed: Seed
    budget: Bounded
    initial: Bounded
    batch: Bounded
    under: Bounds | None
    run_dir: OutFolder | None
    force: bool
    threads: Threads
    progress: bool
    plot: bool
    save_every: Seconds
    data_root: FilePath


class CompareConfig(SearchConfig):
    """``conf/compare.yaml``; :func:`search.comparison.plan.make_plan` reads optimizers, problems and ``only``."""

    executor: Annotated[Section, Builds("agnet.runtime.executors.AbstractExecutor", "executor")]
    optimizers: Any
    problems: Any
    only: Annotated[list[Text] | None, Field(min_length=1, description="null or a list of labels of problems")]
    seeds: Annotated[int, Field(ge=1, le=10_000)]
    first_seed: Seed
    at: Queries | None
    baseline: Text | None
    show: Annotated[list[Text] | None, Field(min_length=1)]
    brief: bool
    into: Document | None
    mark: Text | None
    out: OutFolder


class _Generator(Schema):
    state: Count
    latent_size: Count
    layers: Count


class PretrainConfig(Schema):
    """``conf/pretrain.yaml``."""

    space: Space
    pairing: Annotated[Section, Builds("agnet.generator.pairing.AbstractPairing", "pairing")]
    generator: _Generator
    schedule: Annotated[Section, Builds("agnet.generator.pretrain.Schedule", "schedule")]
    draws: Bounded
    seed: Seed
    threads: Threads
    progress: bool
    out: OutFolder


class ProposeConfig(Schema):
    """``conf/propose.yaml``."""

    run_dir: FilePath
    want: Wishes | None
    n: Bounded
    out: CSVPath | None
    seed: Seed
    trust: list[Text]


class ImportTableConfig(Schema):
    """``conf/import_table.yaml``."""

    importer: Annotated[Section, Builds("search.importers.base.Importer", "importer")]
    path: FilePath
    out: TablePath
    progress: bool
