"""``python -m evaluation.report table=PATH out=DIR``: the analyses of a robustness table as figures, CSV and a page."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from agnet.errors import ConfigurationError
from agnet.runtime.command import entry_point
from agnet.runtime.files import locked
from agnet.runtime.names import file_name
from agnet.tables.table import read_metadata
from evaluation.report.agreement import agreement
from evaluation.report.best import best
from evaluation.report.confidence import confidence
from evaluation.report.correlation import correlation
from evaluation.report.measurements import Measurements
from evaluation.report.measures import measures
from evaluation.report.neighbours import neighbours
from evaluation.report.outputs import Outputs
from evaluation.report.page import page
from evaluation.report.pair import read_pair
from evaluation.report.reading import read_measurements
from evaluation.report.section import Section
from evaluation.report.spread import spread
from evaluation.report.summary import as_data, as_markdown
from evaluation.report.two_convolutions import two_convolutions

ANALYSES: tuple[Callable[[Measurements], Section], ...] = (
    spread, correlation, confidence, best, neighbours, two_convolutions, measures,
)  # fmt: skip
"""In the order of the report; with ``against``, :func:`~evaluation.report.agreement.agreement` is the first."""

TOP = 10
"""Best cells by every column that are looked up in the other table."""


def report(
    table: Path,
    out: Path,
    extra: Sequence[Path] = (),
    *,
    datasets: Sequence[str] | None = None,
    split: str | None = None,
    against: Path | None = None,
    columns: Sequence[str] | None = None,
    against_columns: Sequence[str] | None = None,
    top: int = TOP,
    progress: bool = False,
) -> dict[str, object]:
    """Analyse a table and write everything.

    Args:
        table: table to report on; this and the other arguments of reading are those of
            :func:`~evaluation.report.reading.read_measurements`.
        out: the folder; files of an earlier report in it are replaced.
        extra: tables to join.
        datasets: names of those to analyse; None for all.
        split: None for ``test`` where there is one.
        against: another table of the same cells to compare with, or None; this and the next two arguments are those of
            :func:`~evaluation.report.pair.read_pair`.
        columns: those to compare; None for clean accuracy and that under every attack.
        against_columns: the same of ``against``.
        top: number of best cells by every column to look up in ``against``.
        progress: show a bar on a terminal.

    Returns:
        The headline numbers of every data set.

    Raises:
        AGNetError: for a table, a setting or a folder that does not serve.
    """
    for key, names in (("columns", columns), ("against_columns", against_columns)):
        if against is None and names is not None:
            raise ConfigurationError(f"{key}=[{', '.join(names)}] without a second table; give against=PATH too")
    outputs = Outputs(out)
    found = read_measurements(table, extra, datasets=datasets, split=split)
    for data in found:
        file_name(data.dataset, "data set of the table's columns")
    analyses, source = ANALYSES, {"table": str(table), "made": read_metadata(table)}
    if against is not None:
        pair = read_pair(found, [table, *extra], against, columns=columns, against_columns=against_columns)
        analyses = (partial(agreement, pair=pair, top=top), *ANALYSES)
        source["against"] = {"table": str(against), "made": read_metadata(against)}
    with locked(out):
        return _write(table.name, source, found, analyses, outputs, progress=progress)


def _write(
    name: str,
    source: Mapping[str, object],
    found: Sequence[Measurements],
    analyses: Sequence[Callable[[Measurements], Section]],
    outputs: Outputs,
    *,
    progress: bool,
) -> dict[str, object]:
    """Analyse the data sets and write everything; the headline numbers."""
    images: dict[tuple[str, str], bytes] = {}
    results: list[tuple[Measurements, list[Section]]] = []
    with tqdm(total=len(found) * len(analyses), desc="report", disable=None if progress else True) as bar:
        for data in found:
            sections = []
            for analysis in analyses:
                section = analysis(data)
                for stem, columns in section.tables.items():
                    outputs.csv(f"{data.dataset}/{stem}.csv", columns)
                for picture in section.pictures:
                    stem = f"{data.dataset}/{picture.name}"
                    images[data.dataset, picture.name] = outputs.figure(stem, picture.figure)
                sections.append(section)
                bar.update()
            results.append((data, sections))
    heading = f"Robustness of NAS-Bench-201 cells: {name}"
    outputs.text("index.html", page(heading, results, images))
    outputs.text("summary.md", as_markdown(heading, results))
    facts = as_data(results)
    outputs.finish({**source, "datasets": facts})
    return facts


def run(cfg: DictConfig) -> None:
    """Write what a configuration describes and say where it lies."""
    from evaluation.schema import ReportConfig

    ReportConfig.check(OmegaConf.to_container(cfg, resolve=True))
    facts = report(
        Path(cfg.table),
        Path(cfg.out),
        [Path(path) for path in cfg.tables],
        datasets=None if cfg.datasets is None else list(cfg.datasets),
        split=cfg.split,
        against=None if cfg.against is None else Path(cfg.against),
        columns=None if cfg.columns is None else list(cfg.columns),
        against_columns=None if cfg.against_columns is None else list(cfg.against_columns),
        top=cfg.top,
        progress=True,
    )
    print(f"{Path(cfg.out) / 'index.html'}: {', '.join(facts)}")


main = entry_point(hydra.main, "report", run)
