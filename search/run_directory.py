"""A folder that belongs to one run: identified by its configuration, locked while a process works in it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from agnet.errors import RunDirectoryError
from agnet.runtime.files import locked, write_text
from agnet.runtime.paths import CONF_DIR
from agnet.runtime.renamed import current
from search.loop import HISTORY_FILE, STATE_FILE

CONFIG_FILE, PLOT_FILE, RESULT_FILE = "config.yaml", "incumbent.png", "result.json"
FILES = (CONFIG_FILE, HISTORY_FILE, STATE_FILE, PLOT_FILE, RESULT_FILE)

_IGNORED = frozenset({"run_dir", "logger", "progress", "force", "data_root", "plot", "save_every"})


@cache
def comparison_keys() -> frozenset[str]:
    """Keys of ``conf/compare.yaml``; an experiment may set some of them, but a single run ignores them."""
    written = OmegaConf.to_container(OmegaConf.load(CONF_DIR / "compare.yaml"))
    assert isinstance(written, dict)
    groups = {str(key) for entry in written.pop("defaults") if isinstance(entry, dict) for key in entry}
    return frozenset({*map(str, written), *groups})


def ignored() -> frozenset[str]:
    """Keys that do not change a search's result (``data_root`` counts through the paths that contain it)."""
    return _IGNORED | comparison_keys()


def relevant(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a configuration that determines a search's result."""
    return {key: value for key, value in config.items() if key not in ignored()}


class RunDirectory:
    """The files of one run.

    Args:
        path: the folder; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / CONFIG_FILE

    @property
    def plot(self) -> Path:
        """The incumbent's trajectory."""
        return self.path / PLOT_FILE

    @property
    def result(self) -> Path:
        """The result; its existence marks a finished run."""
        return self.path / RESULT_FILE

    def check(self, config: Mapping[str, Any]) -> None:
        """Refuse a folder of another run.

        Raises:
            RunDirectoryError: if the folder's settings differ; the message names them, and nothing is changed.
        """
        remedy = "choose another run_dir, or replace that run with force=true"
        if not self.config.exists():
            found = [name for name in FILES if (self.path / name).exists()]
            if found:
                raise RunDirectoryError(f"{self.path} has {', '.join(found)} but no {CONFIG_FILE}; {remedy}")
            return
        try:
            saved = current(OmegaConf.to_container(OmegaConf.load(self.config)))
            theirs = {str(k): v for k, v in saved.items()} if isinstance(saved, dict) else {}
        except (YAMLError, OmegaConfBaseException, OSError) as error:
            raise RunDirectoryError(f"{self.config} cannot be read ({error}); {remedy}") from error
        theirs, ours = _flat(relevant(theirs)), _flat(relevant(config))
        differences = [
            f"{key} is {theirs.get(key, '(absent)')!r} there and {ours.get(key, '(absent)')!r} here"
            for key in dict.fromkeys([*theirs, *ours])
            if key not in theirs or key not in ours or theirs[key] != ours[key]
        ]
        if differences:
            raise RunDirectoryError(f"{self.path} holds another run: {'; '.join(differences)}; {remedy}")

    @contextmanager
    def claimed(self, config: Mapping[str, Any], *, force: bool) -> Iterator[None]:
        """Lock the folder, create it if needed, and write ``config`` into it.

        Args:
            config: the resolved configuration.
            force: delete the files of any run in the folder; other files stay.

        Raises:
            RunDirectoryError: if the folder cannot be written, is in use, or belongs to another run.
        """
        with locked(self.path):
            if force:
                self._clear()
            self.check(config)
            self._tidy()
            try:
                write_text(self.config, OmegaConf.to_yaml(OmegaConf.create(dict(config))))
            except OSError as error:
                raise RunDirectoryError(f"cannot write {self.config} ({error.strerror}); choose another") from error
            yield

    def _clear(self) -> None:
        for name in FILES:
            (self.path / name).unlink(missing_ok=True)

    def _tidy(self) -> None:
        """Remove temporary files that a kill has left."""
        for name in FILES:
            for stale in self.path.glob(f".{name}.*"):
                stale.unlink(missing_ok=True)


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"a": {"b": 1}}`` as ``{"a.b": 1}``; an empty section counts as a value."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
