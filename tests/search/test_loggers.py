"""What loggers are told, and that W&B works without a network and without questions."""

import hashlib
import json
import os
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from wandb.errors import UsageError
from wandb.proto import wandb_internal_pb2

from agnet.errors import ConfigurationError
from agnet.tables.goal import Goal, Limit
from search.history import History, Query, Round
from search.loggers import HistoryObserver, NoLogger, WandbLogger
from search.plot import plot_history
from search.result import make_result
from search.run import main


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
    recorder, history = Recorder(), History(Goal(maximize=("x",)))
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


def test_best_so_far_and_the_feasible_share() -> None:
    recorder, history = Recorder(), History(Goal(("x",), ("y",), (Limit("z", 1.0, upper=True),)))
    observer = HistoryObserver(recorder)
    for i, (x, y, z) in enumerate([(9, 0, 2), (3, 5, 1), (2, 1, 0), (4, 4, 1)]):
        history.extend([Query(i, f"cell {i}", {"x": float(x), "y": float(y), "z": float(z)}, i, 1.0)])
        observer(history)
    logged = [values for _, values in recorder.logged]
    assert [values["feasible_share"] for values in logged] == [0, 1 / 2, 2 / 3, 3 / 4]
    assert [(values.get("best/x"), values.get("best/y")) for values in logged] == [(None, None), (3, 5), (3, 1), (4, 1)]
    assert "incumbent/x" not in logged[0]


def test_a_resumed_search_is_logged_from_the_start() -> None:
    recorder, history = Recorder(), History(Goal(maximize=("x",)))
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


@pytest.fixture
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No network, no settings, no login, and an empty home folder."""
    for key in [key for key in os.environ if key.startswith("WANDB_")]:
        monkeypatch.delenv(key)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for key in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(key, "http://127.0.0.1:9")  # nothing listens there
    return home


def records(path: Path) -> Iterator[Any]:
    """What an offline session has written: W&B's records in LevelDB's log format."""
    data, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768  # a block ends with zeros where no header fits
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7]) if left >= 7 else (0, 0)
        if kind == 0:
            at += left
            continue
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield wandb_internal_pb2.Record.FromString(whole)  # pyright: ignore[reportAttributeAccessIssue]
            whole = b""


def test_wandb_offline(tmp_path: Path, clean: Path) -> None:
    """Files in the run directory alone; a session more has the same id, the whole search and the same artifacts."""
    run = tmp_path / "run"
    run.mkdir()
    history = History(Goal(maximize=("x",), minimize=("z",)))
    values = [{"x": 3.0, "z": 2.0}, {"x": 1.0, "z": 1.0}, {"x": 7.0, "z": 9.0}]
    history.extend(Query(i, f"cell {i}", v, 0, 1.0) for i, v in enumerate(values))
    plot_history(run / "incumbent.png", history, heading="h")
    settings = {"space": "s", "optimizer": "o", "seed": 0, "budget": 3, "pretrained": {}}
    result = make_result(history, report=lambda _: {"y": 2.0}, **settings)
    result |= {"hypervolume": {"share": [0.25, 0.5, 1.0]}, "exact": {"optimum": {"x": 8.0, "z": 0.5}}}
    for name in ("result.json", "history.jsonl", "config.yaml", "state.pt"):
        (run / name).write_text(f"the {name}")
    best = result["best"]["objective"]
    for _ in range(2):
        logger = WandbLogger(group="a group")
        logger.start(run, run_id="0123abcd", name="a search", config={"seed": 0, "objective": {"maximize": ["x"]}})
        HistoryObserver(logger)(history)
        assert logger.run.id == "0123abcd"
        logger.conclude(result, history, run / "incumbent.png")
        assert logger.run.summary["best_objective/x"] == best["x"]
        assert logger.run.summary["best_report/y"] == 2.0
        logger.finish(failed=False)
    assert [key for key in os.environ if key.startswith("WANDB_")] == []
    sessions = list((run / "wandb").glob("offline-run-*-0123abcd"))
    assert sessions
    digests = set()
    for session in sessions:
        [table] = session.glob("files/media/table/history_*.json")
        assert json.loads(table.read_text())["data"][2] == [3, "cell 2", 7.0, 9.0, 0]
        [table] = session.glob("files/media/table/pareto_*.json")
        front = json.loads(table.read_text())
        assert front["columns"] == ["architecture", "x", "z", "y"]
        assert sorted(front["data"]) == [["cell 0", 3, 2, 2], ["cell 1", 1, 1, 2], ["cell 2", 7, 9, 2]]
        assert list(session.glob("files/media/images/course_*.png"))
        [written] = session.glob("*.wandb")
        found = list(records(written))
        [header] = [r.run for r in found if r.WhichOneof("record_type") == "run"]
        assert (header.run_group, header.job_type, header.display_name) == ("a group", "search", "a search")
        rows = [{"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in r.history.item} for r in found]
        rows = [row for row in rows if row]
        assert [row["queries"] for row in rows] == [1, 2, 3, 1, 2, 3]
        assert [(row["best/x"], row["best/z"]) for row in rows[:3]] == [(3, 2), (3, 1), (7, 1)]
        assert [row["hypervolume_share"] for row in rows[3:]] == [0.25, 0.5, 1]
        assert [(row["regret/x"], row["regret/z"]) for row in rows[3:]] == [(5, 1.5), (5, 0.5), (1, 0.5)]
        artifacts = {r.artifact.name: r.artifact for r in found if r.artifact.name.startswith("search-")}
        assert {name: a.type for name, a in artifacts.items()} == {
            "search-0123abcd-result": "result",
            "search-0123abcd-checkpoint": "checkpoint",
        }
        for artifact in artifacts.values():
            for name, digest in json.loads(artifact.metadata)["sha256"].items():
                assert digest == hashlib.sha256((run / name).read_bytes()).hexdigest()
        assert set(json.loads(artifacts["search-0123abcd-result"].metadata)["sha256"]) == {
            *("result.json", "history.jsonl", "config.yaml")
        }
        digests.add(tuple(sorted((name, artifact.digest) for name, artifact in artifacts.items())))
    assert len(digests) == 1
    assert [p for p in clean.rglob("*") if "wandb" in str(p)] == []


def test_online_needs_a_login_and_asks_for_none(tmp_path: Path, clean: Path) -> None:
    with pytest.raises(ConfigurationError, match="wandb login"):
        WandbLogger(mode="online").start(tmp_path, run_id="0123abcd", name="a search", config={})
    assert [key for key in os.environ if key.startswith("WANDB_")] == []


@pytest.mark.parametrize("best", [True, False])
def test_a_search_without_a_plot_or_without_anything_feasible(tmp_path: Path, clean: Path, best: bool) -> None:
    history = History(Goal(maximize=("x",), limits=(Limit("z", 1.0 if best else 0.0, upper=True),)))
    history.extend([Query(0, "cell 0", {"x": 3.0, "z": 1.0}, 0, 1.0)])
    settings = {"space": "s", "optimizer": "o", "seed": 0, "budget": 1, "pretrained": {}}
    result = make_result(history, report=lambda _: {}, **settings)
    logger = WandbLogger(mode="disabled")
    logger.start(tmp_path, run_id="0123abcd", name="a search", config={})
    HistoryObserver(logger)(history)
    logger.conclude(result, history, tmp_path / "incumbent.png")
    name = "best" if best else "closest"
    assert logger.run.summary[f"{name}_architecture"] == "cell 0"
    assert logger.run.summary[f"{name}_constraints/z"] == 1
    logger.finish(failed=False)


class BrokenRun:
    """A W&B run of which one part fails."""

    def __init__(self, part: str) -> None:
        self.part, self.id, self.step, self.summary = part, "0123abcd", 0, self
        self.logged = 0

    def fail(self, part: str) -> None:
        if part == self.part:
            raise OSError(28, "No space left\non device")

    def define_metric(self, *args: Any, **settings: Any) -> None:
        self.fail("start")

    def log(self, values: Mapping[str, Any], step: int) -> None:
        self.logged += 1
        self.fail("log")
        if "history" in values:
            self.fail("conclude")

    def update(self, values: Mapping[str, Any]) -> None:
        self.fail("summary")

    def log_artifact(self, artifact: Any) -> None:
        self.fail("artifact")

    def finish(self, exit_code: int) -> None:
        self.fail("finish")


@pytest.mark.parametrize(
    "part",
    [
        *("init", "log", "finish", "teardown"),
        *(pytest.param(part, marks=pytest.mark.slow) for part in ("start", "conclude", "summary", "artifact")),
    ],
)
def test_a_failing_wandb_costs_one_line(
    table: Path,
    tmp_path: Path,
    clean: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    part: str,
) -> None:
    broken = BrokenRun(part)

    def init(**settings: Any) -> BrokenRun:
        broken.fail("init")
        return broken

    def teardown() -> None:
        if part == "teardown":
            raise SystemExit(3)  # as wandb does when its service ends with a status

    monkeypatch.setattr("wandb.init", init)
    monkeypatch.setattr("wandb.teardown", teardown)
    folder = tmp_path / "run"
    overrides = [
        "optimizer=random_search",
        f"objective.tables=[{table}]",
        "budget=20",
        "plot=false",
        f"run_dir={folder}",
    ]
    monkeypatch.setattr(sys, "argv", ["search/run.py", *overrides, "logger=wandb"])
    main()
    said = capfd.readouterr()
    assert said.err.startswith("warning: Weights & Biases failed (")
    assert "SystemExit: 3" in said.err if part == "teardown" else "No space left on device" in said.err
    assert said.err.endswith(f"with all its files in {folder}\n")
    assert said.err.count("\n") == 1
    assert "best of 20 queries" in said.out
    assert json.loads((folder / "result.json").read_text())["queries"] == 20
    assert broken.logged == {"init": 0, "start": 0, "log": 1, "conclude": 21}.get(part, 41)
    assert [key for key in os.environ if key.startswith("WANDB_")] == []


def test_settings_that_wandb_refuses_are_the_users(
    tmp_path: Path, clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**settings: Any) -> None:
        raise UsageError("invalid project name")

    monkeypatch.setattr("wandb.init", init)
    with pytest.raises(ConfigurationError, match="Weights & Biases refuses: invalid project name"):
        WandbLogger(project="a/b").start(tmp_path, run_id="0123abcd", name="a search", config={})


@pytest.mark.parametrize(
    ("variable", "given", "mode"),
    [
        ("disabled", None, "disabled"),
        ("disabled", "offline", "offline"),
        (None, None, "offline"),
        ("", None, "offline"),
    ],
)
def test_the_mode_of_the_environment(
    variable: str | None, given: str | None, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    if variable is not None:
        monkeypatch.setenv("WANDB_MODE", variable)
    assert WandbLogger(mode=given).mode == mode


def test_an_unknown_mode_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "loud")
    with pytest.raises(ConfigurationError, match=r"^WANDB_MODE=loud; choose one of offline, online, disabled$"):
        WandbLogger()
