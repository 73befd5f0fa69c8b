"""A folder that belongs to one run: identified by its configuration, locked while a process works in it."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from agnet.errors import RunDirectoryError, UnreadableFile
from agnet.runtime.digests import check_identity, differences, of_file, of_json
from agnet.runtime.files import locked, write_text
from agnet.runtime.paths import CONF_DIR
from agnet.runtime.reading import damaged
from agnet.runtime.renamed import current
from agnet.runtime.sealed import read_sealed_json, write_sealed_json
from search.loop import HISTORY_FILE, OTHER_RUN, STATE_FILE
from search.result import read_result
from search.saved_config import read_yaml
from search.state import load_state

CONFIG_FILE, PLOT_FILE, RESULT_FILE, SEAL_FILE = "config.yaml", "incumbent.png", "result.json", "seal.json"
FILES = (CONFIG_FILE, HISTORY_FILE, STATE_FILE, PLOT_FILE, RESULT_FILE, SEAL_FILE)

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


def identity(config: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Whose a run folder's files are.

    Args:
        config: the resolved configuration.
        inputs: digests of whatever the search depends on.
    """
    return {"configuration": of_json(relevant(config)), "inputs": dict(inputs)}


@cache
def _note_once(text: str) -> None:
    sys.stderr.write(text)


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

    @property
    def seal(self) -> Path:
        """Digests of result and history, and of what they were made with; see :mod:`agnet.runtime.sealed`."""
        return self.path / SEAL_FILE

    def check(self, config: Mapping[str, Any]) -> bool:
        """Refuse a folder of another run.

        Returns:
            False if ``config.yaml`` is damaged, but the state says that it is this run; then the file is to be written
            anew.

        Raises:
            RunDirectoryError: if the folder's settings differ; the message names them, and nothing is changed.
        """
        remedy = "choose another run_dir, or replace that run with force=true"
        if not self.config.exists():
            found = [name for name in FILES if (self.path / name).exists()]
            if not found:
                return True
            said = f"{self.path} has {', '.join(found)} but no {CONFIG_FILE}; {remedy}"
        else:
            try:
                differing = differences(relevant(self.saved_config()), relevant(config))
            except UnreadableFile as error:
                said = f"{error}; {remedy}"
            else:
                if not differing:
                    return True
                said = f"{self.path} holds another run: {differing}; {remedy}"
        if not self._state_is_of(config):
            raise RunDirectoryError(said)
        _note_once(f"note: {self.config} does not say so, but {STATE_FILE} does: it is this run\n")
        return False

    def saved_config(self) -> dict[str, Any]:
        """The configuration that the folder holds, under today's names.

        Raises:
            UnreadableFile: if it is damaged.
        """
        saved = current(read_yaml(self.config))
        if not isinstance(saved, dict):
            raise damaged(self.config, "it holds no settings")
        return {str(key): value for key, value in saved.items()}

    def finished(self, config: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any] | None:
        """The result of a finished run, checked against the history and the inputs.

        Args:
            config: the resolved configuration, which :meth:`check` has accepted.
            inputs: digests of whatever the search depends on.

        Returns:
            None if the run is not finished, or its result has to be made again from history and state.

        Raises:
            RunDirectoryError: if the inputs are others than those the result was made with.
        """
        if not self.result.exists():
            return None
        try:
            if not self.seal.exists():
                return self._unsealed()
            sealed = read_sealed_json(self.seal)
            files, made_with = sealed.get("files"), sealed.get("identity")
            if not isinstance(files, dict) or not isinstance(made_with, dict):
                raise damaged(self.seal, "it is no seal of a run")
            for name, digest in self._digests().items():
                if digest != files.get(name):
                    raise damaged(self.path / name, "it was changed after it was written")
            result = read_result(self.result)
        except UnreadableFile as error:
            _note_once(f"note: {str(error).partition(';')[0]}; the result is made again\n")
            return None
        check_identity(self.result, made_with, identity(config, inputs), OTHER_RUN)
        return result

    def close(self, config: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
        """Seal the files of a finished run, with whose they are.

        Args:
            config: the resolved configuration.
            inputs: digests of whatever the search depends on.
        """
        write_sealed_json(self.seal, {"files": self._digests(), "identity": identity(config, inputs)})

    def _digests(self) -> dict[str, str]:
        """SHA-256 of the files that a seal covers."""
        return {path.name: of_file(path) for path in (self.result, self.path / HISTORY_FILE)}

    def _unsealed(self) -> dict[str, Any] | None:
        """The result of an earlier revision; None if a kill came before the seal, or where the state is lost."""
        if not (self.path / STATE_FILE).exists() or load_state(self.path / STATE_FILE).identity is not None:
            return None
        return read_result(self.result)

    def _state_is_of(self, config: Mapping[str, Any]) -> bool:
        """Whether the folder's state says that the folder is of this configuration."""
        try:
            whose = load_state(self.path / STATE_FILE).identity or {}
        except RunDirectoryError:
            return False
        return whose.get("configuration") == of_json(relevant(config))

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
            write_text(self.config, OmegaConf.to_yaml(OmegaConf.create(dict(config))))
            yield

    def _clear(self) -> None:
        for name in FILES:
            (self.path / name).unlink(missing_ok=True)
