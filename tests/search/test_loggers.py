"""What loggers are told, and that W&B works without a network and without questions."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agnet.errors import ConfigurationError
from search.history import History, Query, Round
from search.loggers import HistoryObserver, NoLogger, WandbLogger
from search.plot import plot_history
from search.result import make_result


class Recorder(NoLogger):
    def __init__(self) -> None:
        self.logged: list[tuple[int, dict[str, float]]] = []

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.logged.append((step, dict(values)))


def grow(history: History, *values: float, spearman: float | None = None) -> None:
    start = len(history)
    history.extend(Query(i, f"cell {i}", {"x": v}, len(history.rounds), 1.0) for i, v in enumerate(values, start))
    history.rounds.append(Round(len(history), 1.0, spearman, {"pool_size": 9.0}))


def test_every_query_is_logged_once_with_its_incumbent() -> None:
    recorder, history = Recorder(), History(["x"], [True])
    observer = HistoryObserver(recorder)
    grow(history, 3.0, 1.0)
    observer(history)
    grow(history, 5.0, 4.0, spearman=0.5)
    observer(history)
    observer(history)
    assert [step for step, _ in recorder.logged] == [1, 2, 3, 4]
    assert [values["incumbent/x"] for _, values in recorder.logged] == [3, 3, 5, 5]
    assert [values["queried/x"] for _, values in recorder.logged] == [3, 1, 5, 4]
    ends = [values for _, values in recorder.logged if "optimizer/pool_size" in values]
    assert [values["round"] for values in ends] == [0, 1]
    assert [values.get("surrogate_spearman") for values in ends] == [None, 0.5]


def test_a_resumed_search_is_logged_from_the_start() -> None:
    recorder, history = Recorder(), History(["x"], [True])
    grow(history, 3.0, 1.0)
    grow(history, 5.0)
    HistoryObserver(recorder)(history)
    assert [step for step, _ in recorder.logged] == [1, 2, 3]


def test_an_unknown_mode_lists_the_modes() -> None:
    with pytest.raises(ConfigurationError, match=r"logger\.mode=of; choose one of offline, online, disabled"):
        WandbLogger(mode="of")


def test_a_logger_must_be_started() -> None:
    with pytest.raises(RuntimeError, match="not started"):
        WandbLogger().log({}, 0)


def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, no home folder to write to, no login; a session more has the same id and the whole search."""
    for key in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR"):
        monkeypatch.delenv(key, raising=False)
    home, run = tmp_path / "home", tmp_path / "run"
    home.mkdir()
    run.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for key in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(key, "http://127.0.0.1:9")  # nothing listens there
    history = History(["x"], [True])
    grow(history, 3.0, 1.0, 7.0)
    plot_history(run / "incumbent.png", history, heading="h")
    settings = {"space": "s", "optimizer": "o", "seed": 0, "budget": 3, "pretrained": {}}
    result = make_result(history, report=lambda _: {"y": 2.0}, **settings)
    for _ in range(2):
        logger = WandbLogger()
        logger.start(run, run_id="0123abcd", name="a search", config={"seed": 0, "objective": {"maximize": ["x"]}})
        HistoryObserver(logger)(history)
        assert logger.run.id == "0123abcd"
        logger.conclude(result, history, run / "incumbent.png")
        assert logger.run.summary["best_objective/x"] == 7.0
        assert logger.run.summary["best_report/y"] == 2.0
        logger.finish(failed=False)
    sessions = list((run / "wandb").glob("offline-run-*-0123abcd"))
    assert sessions
    for session in sessions:
        [table] = session.glob("files/media/table/history_*.json")
        assert json.loads(table.read_text())["data"][2] == [3, "cell 2", 7.0, 0]
        assert list(session.glob("files/media/images/course_*.png"))
        assert list(session.glob("*.wandb"))
    assert [p for p in home.rglob("*") if "wandb" in str(p)] == []
    with pytest.raises(ConfigurationError, match="wandb login"):
        WandbLogger(mode="online").start(run, run_id="0123abcd", name="a search", config={})
    disabled: Any = WandbLogger(mode="disabled")
    disabled.start(run, run_id="0123abcd", name="a search", config={})
    HistoryObserver(disabled)(history)
    disabled.conclude(result, history, run / "incumbent.png")
    disabled.finish(failed=False)
