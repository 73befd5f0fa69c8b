"""NAS-Bench-301's official ensembles, queried through their own package in a separate Python.

The package and its files (pickled models of old libraries) need versions that this project does not run with, so
another process answers. It uses the user's Python that can load the files; they are loaded there, never here.
"""

import json
import subprocess
import weakref
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agnet.errors import ConfigurationError, TaskError
from agnet.runtime.digests import of_file, of_json
from agnet.spaces.darts.notation import parse
from agnet.tables.objective import MeasuredObjective, MeasuredReport, measured_objective
from search.objectives.nasbench301 import COLUMNS

_SCRIPT = Path(__file__).with_name("nasbench301_answers.py")


class Ensembles:
    """Predictions of the official models; every call gives the same prediction for a pair of cells.

    Args:
        python: interpreter whose environment has ``nasbench301``.
        folders: folder of the model for each column.
        noise: whether to add normal noise with the spread among an ensemble's members, the benchmark's default.
        seed: seed of the noise, which depends on the seed and the pair of cells only.

    Raises:
        ConfigurationError: if the interpreter or a folder does not exist.
    """

    def __init__(self, python: str | Path, folders: Mapping[str, str | Path], *, noise: bool, seed: int) -> None:
        for key, path, exists in (
            ("python", python, Path(python).is_file()),
            *((column, folder, Path(folder).is_dir()) for column, folder in folders.items()),
        ):
            if not exists:
                raise ConfigurationError(
                    f"objective: {key}={path} does not exist; give the Python that has the package nasbench301, and "
                    "the folders of its models, xgb_v1.0 and lgb_runtime_v1.0"
                )
        self.seed = seed
        self._command = [
            str(python),
            str(_SCRIPT),
            json.dumps({k: str(v) for k, v in folders.items()}),
            json.dumps(noise),
        ]
        self._process: subprocess.Popen[str] | None = None
        self._known: dict[str, dict[str, float]] = {}

    def __call__(self, architectures: Sequence[str]) -> list[Mapping[str, float]]:
        """Predictions of pairs of cells by column.

        Raises:
            InvalidArchitecture: if a string is not a pair of cells; the message names the first.
            TaskError: if the other process ends.
        """
        for architecture in architectures:
            if architecture not in self._known:
                self._known[architecture] = self._asked(architecture)
        return [self._known[architecture] for architecture in architectures]

    def _asked(self, architecture: str) -> dict[str, float]:
        cells = [[part for node in cell for part in node] for cell in parse(architecture).values()]
        seed = zlib.crc32(f"{self.seed} {architecture}".encode())
        process = self._running()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps([seed, *cells]) + "\n")
            process.stdin.flush()
        except OSError:
            pass  # the process has ended, so reading its answer will fail
        return self._answer(process)

    def _running(self) -> "subprocess.Popen[str]":
        """The process, which is started on first use."""
        if self._process is None:
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            weakref.finalize(self, _end, self._process)
            self._answer(self._process)
        return self._process

    def _answer(self, process: "subprocess.Popen[str]") -> Any:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.endswith("\n"):
            raise TaskError(
                f"{' '.join(self._command[:2])} ended with status {process.wait()}; what it printed stands above"
            )
        return json.loads(line)


def _end(process: "subprocess.Popen[str]") -> None:
    """Close the input of a process, which then ends by itself."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.wait()


def _digest(folder: Path) -> str:
    """Digest of a model's files, by their names."""
    return of_json({str(p.relative_to(folder)): of_file(p) for p in sorted(folder.rglob("*")) if p.is_file()})


def nasbench301_official_objective(
    python: str | None,
    performance: str | None,
    runtime: str | None = None,
    noise: bool = False,
    seed: int = 0,
    **goal: Any,
) -> tuple[MeasuredObjective, MeasuredReport]:
    """Objective and report of a configuration; see :class:`Ensembles` and
    :func:`~agnet.tables.objective.measured_objective`.

    Raises:
        ConfigurationError: if the interpreter or the model is not given.
    """
    if python is None or performance is None:
        raise ConfigurationError(
            f"objective.python={python}, objective.performance={performance}; give the Python that has the package "
            "nasbench301 and the folder of a performance model, e.g. xgb_v1.0"
        )
    folders = {column: path for column, path in zip(COLUMNS, (performance, runtime), strict=True) if path is not None}
    return measured_objective(
        Ensembles(python, folders, noise=noise, seed=seed),
        list(folders),
        free=True,
        inputs={column: _digest(Path(folder)) for column, folder in folders.items()},
        **goal,
    )


vars(nasbench301_official_objective)["starts_program"] = True  # see agnet.runtime.building
