"""``python -m evaluation.report table=PATH out=DIR``: the analyses of a robustness table as figures, CSV and a page."""

from collections.abc import Callable, Sequence
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from agnet.runtime.command import entry_point
from agnet.runtime.files import locked
from agnet.runtime.names import file_name
from agnet.tables.table import read_metadata
from evaluation.report.best import best
from evaluation.report.confidence import confidence
from evaluation.report.correlation import correlation
from evaluation.report.measurements import Measurements
from evaluation.report.measures import measures
from evaluation.report.neighbours import neighbours
from evaluation.report.outputs import Outputs
from evaluation.report.page import page
from evaluation.report.reading import read_measurements
from evaluation.report.section import Section
from evaluation.report.spread import spread
from evaluation.report.summary import as_data, as_markdown
from evaluation.report.two_convolutions import two_convolutions

ANALYSES: tuple[Callable[[Measurements], Section], ...] = (
    spread, correlation, confidence, best, neighbours, two_convolutions, measures,
)  # fmt: skip
"""In the order of the report."""


def report(
    table: Path,
    out: Path,
    extra: Sequence[Path] = (),
    *,
    datasets: Sequence[str] | None = None,
    split: str | None = None,
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
        progress: show a bar on a terminal.

    Returns:
        The headline numbers of every data set.

    Raises:
        AGNetError: for a table, a setting or a folder that does not serve.
    """
    outputs = Outputs(out)
    found = read_measurements(table, extra, datasets=datasets, split=split)
    for data in found:
        file_name(data.dataset, "data set of the table's columns")
    with locked(out):
        return _write(table, found, outputs, progress=progress)


def _write(table: Path, found: Sequence[Measurements], outputs: Outputs, *, progress: bool) -> dict[str, object]:
    """Analyse the data sets and write everything; the headline numbers."""
    images: dict[tuple[str, str], bytes] = {}
    results: list[tuple[Measurements, list[Section]]] = []
    with tqdm(total=len(found) * len(ANALYSES), desc="report", disable=None if progress else True) as bar:
        for data in found:
            sections = []
            for analysis in ANALYSES:
                section = analysis(data)
                for stem, columns in section.tables.items():
                    outputs.csv(f"{data.dataset}/{stem}.csv", columns)
                for picture in section.pictures:
                    stem = f"{data.dataset}/{picture.name}"
                    images[data.dataset, picture.name] = outputs.figure(stem, picture.figure)
                sections.append(section)
                bar.update()
            results.append((data, sections))
    heading = f"Robustness of NAS-Bench-201 cells: {table.name}"
    outputs.text("index.html", page(heading, results, images))
    outputs.text("summary.md", as_markdown(heading, results))
    facts = as_data(results)
    outputs.finish({"table": str(table), "made": read_metadata(table), "datasets": facts})
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
        progress=True,
    )
    print(f"{Path(cfg.out) / 'index.html'}: {', '.join(facts)}")


main = entry_point(hydra.main, "report", run)
